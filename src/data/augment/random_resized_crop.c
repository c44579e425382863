/* Cuts a window of random area and proportions and scales it to a square (C. Szegedy et al., "Going deeper with convolutions",
 * 2015), as torchvision's RandomResizedCrop: area uniform, ratio uniform in its logarithm, ten attempts to fit, else the
 * largest window in the middle whose ratio is allowed. */
#include "data/augment/resample.h"

#include <math.h>

typedef struct random_resized_crop_params {
    int64_t size;
    double scale_min, scale_max, ratio_min, ratio_max;
} random_resized_crop_params;

#define MEMBER(name) offsetof(random_resized_crop_params, name)
static const crumb_param params[] = {
    {"size", CRUMB_PARAM_INT, MEMBER(size), "224", 1, 4096, NULL, "pixels of each side of the result"},
    {"scale_min", CRUMB_PARAM_REAL, MEMBER(scale_min), "0.08", 1e-4, 1, NULL, "smallest share of the area"},
    {"scale_max", CRUMB_PARAM_REAL, MEMBER(scale_max), "1", 1e-4, 1, NULL, "largest share of the area"},
    {"ratio_min", CRUMB_PARAM_REAL, MEMBER(ratio_min), "0.75", 0.01, 100, NULL, "smallest width / height"},
    {"ratio_max", CRUMB_PARAM_REAL, MEMBER(ratio_max), "1.3333333333333333", 0.01, 100, NULL, "largest width / height"},
    {0},
};

typedef struct window {
    int64_t top, left, height, width;
} window;

static double between(crumb_rng *rng, double low, double high) {
    return low + (high - low) * (double)crumb_rng_uniform(rng);
}

static int64_t at_least_one(double value) {
    return value < 1 ? 1 : (int64_t)value;
}

static window draw_window(const random_resized_crop_params *p, int64_t height, int64_t width, crumb_rng *rng) {
    double area = (double)height * (double)width;
    for (int attempt = 0; attempt < 10; attempt++) {
        double target = area * between(rng, p->scale_min, p->scale_max);
        double ratio = exp(between(rng, log(p->ratio_min), log(p->ratio_max)));
        int64_t w = (int64_t)(sqrt(target * ratio) + 0.5), h = (int64_t)(sqrt(target / ratio) + 0.5);
        if (w > 0 && w <= width && h > 0 && h <= height) {
            return (window){crumb_rng_below(rng, (uint32_t)(height - h + 1)), crumb_rng_below(rng, (uint32_t)(width - w + 1)),
                            h, w};
        }
    }
    double ratio = (double)width / (double)height;
    int64_t w = width, h = height;
    if (ratio < p->ratio_min) {
        h = at_least_one((double)width / p->ratio_min + 0.5);
        h = h < height ? h : height;
    } else if (ratio > p->ratio_max) {
        w = at_least_one((double)height * p->ratio_max + 0.5);
        w = w < width ? w : width;
    }
    return (window){(height - h) / 2, (width - w) / 2, h, w};
}

static void random_resized_crop_shape(const void *given, int64_t *height, int64_t *width) {
    const random_resized_crop_params *p = given;
    *height = *width = p->size;
}

static void random_resized_crop_bytes(const void *given, const crumb_image *from, crumb_image *to, crumb_rng *rng) {
    window w = draw_window(given, from->height, from->width, rng);
    crumb_resample(from, w.top, w.left, w.height, w.width, to);
}

const crumb_augment crumb_augment_random_resized_crop = {
    .name = "random-resized-crop",
    .doc = "scale a window of random area and proportions to a square (torchvision RandomResizedCrop)",
    .params = params,
    .params_size = sizeof(random_resized_crop_params),
    .random = true,
    .shape = random_resized_crop_shape,
    .bytes = random_resized_crop_bytes,
};
