/* Mirrors an image left to right with probability p, as torchvision's RandomHorizontalFlip. */
#include "data/dataset.h"

#include <string.h>

typedef struct flip_params {
    double p;
} flip_params;

static const crumb_param params[] = {
    {"p", CRUMB_PARAM_REAL, offsetof(flip_params, p), "0.5", 0, 1, NULL, "probability"},
    {0},
};

static void flip_bytes(const void *given, const crumb_image *from, crumb_image *to, crumb_rng *rng) {
    const flip_params *p = given;
    int64_t channels = from->channels, row = from->width * channels;
    if (crumb_rng_uniform(rng) >= p->p) {
        memcpy(to->pixels, from->pixels, (size_t)(from->height * row));
        return;
    }
    for (int64_t y = 0; y < from->height; y++) {
        const uint8_t *source = from->pixels + y * row;
        uint8_t *target = to->pixels + y * row;
        for (int64_t x = 0; x < from->width; x++) {
            for (int64_t c = 0; c < channels; c++) {
                target[x * channels + c] = source[(from->width - 1 - x) * channels + c];
            }
        }
    }
}

const crumb_augment crumb_augment_flip = {
    .name = "flip",
    .doc = "mirror left to right at random (torchvision RandomHorizontalFlip)",
    .params = params,
    .params_size = sizeof(flip_params),
    .random = true,
    .bytes = flip_bytes,
};
