/* Pads an image on all sides and cuts a window of the original size at random, as torchvision's RandomCrop(size, padding). */
#include "data/dataset.h"

#include <string.h>

typedef struct pad_crop_params {
    int64_t pad;
    int mode;
} pad_crop_params;

enum { MODE_ZERO, MODE_REFLECT };

static const crumb_param params[] = {
    {"pad", CRUMB_PARAM_INT, offsetof(pad_crop_params, pad), "4", 0, 1024, NULL, "pixels added on each side"},
    {"mode", CRUMB_PARAM_CHOICE, offsetof(pad_crop_params, mode), "zero", 0, 0, "zero|reflect", "what the added pixels hold"},
    {0},
};

/* Index of the pixel that a reflection without repeating the edge shows at i: ... 2 1 0 1 2 ... */
static int64_t reflect(int64_t i, int64_t size) {
    while (i < 0 || i >= size) {
        i = i < 0 ? -i : 2 * (size - 1) - i;
        if (size == 1) {
            return 0;
        }
    }
    return i;
}

/* One row of the window, whose left edge lies at `left` of the row `source`. */
static void zero_row(uint8_t *target, const uint8_t *source, int64_t left, int64_t width, int64_t channels) {
    int64_t begin = left < 0 ? -left : 0, end = left > 0 ? width - left : width;
    begin = begin < width ? begin : width;
    end = end > begin ? end : begin;
    memset(target, 0, (size_t)(begin * channels));
    memcpy(target + begin * channels, source + (left + begin) * channels, (size_t)((end - begin) * channels));
    memset(target + end * channels, 0, (size_t)((width - end) * channels));
}

static void reflect_row(uint8_t *target, const uint8_t *source, int64_t left, int64_t width, int64_t channels) {
    for (int64_t x = 0; x < width; x++) {
        memcpy(target + x * channels, source + reflect(left + x, width) * channels, (size_t)channels);
    }
}

static void pad_crop_bytes(const void *given, const crumb_image *from, crumb_image *to, crumb_rng *rng) {
    const pad_crop_params *p = given;
    int64_t top = (int64_t)crumb_rng_below(rng, (uint32_t)(2 * p->pad + 1)) - p->pad;
    int64_t left = (int64_t)crumb_rng_below(rng, (uint32_t)(2 * p->pad + 1)) - p->pad;
    int64_t row = from->width * from->channels;
    for (int64_t y = 0; y < from->height; y++) {
        uint8_t *target = to->pixels + y * row;
        if (p->mode == MODE_REFLECT) {
            reflect_row(target, from->pixels + reflect(top + y, from->height) * row, left, from->width, from->channels);
        } else if (top + y < 0 || top + y >= from->height) {
            memset(target, 0, (size_t)row);
        } else {
            zero_row(target, from->pixels + (top + y) * row, left, from->width, from->channels);
        }
    }
}

const crumb_augment crumb_augment_pad_crop = {
    .name = "pad-crop",
    .doc = "pad all sides, cut the original size at random (torchvision RandomCrop with padding)",
    .params = params,
    .params_size = sizeof(pad_crop_params),
    .random = true,
    .bytes = pad_crop_bytes,
};
