/* Scales an image: its shorter side to `size`, keeping the proportions, or both sides, as torchvision's Resize. */
#include "data/augment/resample.h"

typedef struct resize_params {
    int64_t size;
    bool exact;
} resize_params;

static const crumb_param params[] = {
    {"size", CRUMB_PARAM_INT, offsetof(resize_params, size), "256", 1, 4096, NULL, "pixels of the shorter side"},
    {"exact", CRUMB_PARAM_BOOL, offsetof(resize_params, exact), "false", 0, 0, NULL, "true: both sides get this size"},
    {0},
};

static void resize_shape(const void *given, int64_t *height, int64_t *width) {
    const resize_params *p = given;
    if (p->exact) {
        *height = *width = p->size;
    } else if (*height > 0 && *width > 0) { /* else the proportions are unknown, and so is the result */
        bool tall = *height > *width;
        int64_t longer = tall ? p->size * *height / *width : p->size * *width / *height;
        *height = tall ? longer : p->size;
        *width = tall ? p->size : longer;
    }
}

static void resize_bytes(const void *given, const crumb_image *from, crumb_image *to, crumb_rng *rng) {
    (void)given, (void)rng;
    crumb_resample(from, 0, 0, from->height, from->width, to);
}

const crumb_augment crumb_augment_resize = {
    .name = "resize",
    .doc = "scale the shorter side, or both, to a size; bilinear with antialiasing (torchvision Resize)",
    .params = params,
    .params_size = sizeof(resize_params),
    .random = false,
    .shape = resize_shape,
    .bytes = resize_bytes,
};
