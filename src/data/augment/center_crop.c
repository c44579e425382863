/* Cuts a square out of the middle; a smaller image is first padded with zeros, as torchvision's CenterCrop. */
#include "data/dataset.h"

#include <string.h>

typedef struct center_crop_params {
    int64_t size;
} center_crop_params;

static const crumb_param params[] = {
    {"size", CRUMB_PARAM_INT, offsetof(center_crop_params, size), "224", 1, 4096, NULL, "pixels of each side"},
    {0},
};

static void center_crop_shape(const void *given, int64_t *height, int64_t *width) {
    const center_crop_params *p = given;
    *height = *width = p->size;
}

/* torchvision: where something is cut the offset is round(excess / 2), half to even; where something is added, missing / 2
 * rounded down is added in front. */
static int64_t offset(int64_t from, int64_t to) {
    int64_t excess = from - to, half = excess / 2;
    return excess < 0 ? -(-excess / 2) : half + (excess % 2 != 0 && half % 2 != 0);
}

static void center_crop_bytes(const void *given, const crumb_image *from, crumb_image *to, crumb_rng *rng) {
    (void)given, (void)rng;
    int64_t top = offset(from->height, to->height), left = offset(from->width, to->width), channels = from->channels;
    int64_t begin = left < 0 ? -left : 0, first = left < 0 ? 0 : left;
    int64_t width = from->width - first < to->width - begin ? from->width - first : to->width - begin;
    memset(to->pixels, 0, (size_t)(to->height * to->width * channels));
    for (int64_t y = 0; y < to->height; y++) {
        if (top + y >= 0 && top + y < from->height) {
            memcpy(to->pixels + (y * to->width + begin) * channels, from->pixels + ((top + y) * from->width + first) * channels,
                   (size_t)(width * channels));
        }
    }
}

const crumb_augment crumb_augment_center_crop = {
    .name = "center-crop",
    .doc = "cut a square from the middle, padding a smaller image with zeros (torchvision CenterCrop)",
    .params = params,
    .params_size = sizeof(center_crop_params),
    .random = false,
    .shape = center_crop_shape,
    .bytes = center_crop_bytes,
};
