/* Overwrites a random rectangle of the normalised image (Z. Zhong et al., "Random erasing data augmentation", 2017), as
 * torchvision's RandomErasing: area uniform, ratio uniform in its logarithm, ten attempts to fit, else nothing is erased. */
#include "data/dataset.h"

#include <math.h>

typedef struct erase_params {
    double p, scale_min, scale_max, ratio_min, ratio_max, value;
} erase_params;

static const crumb_param params[] = {
    {"p", CRUMB_PARAM_REAL, offsetof(erase_params, p), "0.5", 0, 1, NULL, "probability"},
    {"scale_min", CRUMB_PARAM_REAL, offsetof(erase_params, scale_min), "0.02", 0, 1, NULL, "smallest share of the area"},
    {"scale_max", CRUMB_PARAM_REAL, offsetof(erase_params, scale_max), "0.33", 0, 1, NULL, "largest share of the area"},
    {"ratio_min", CRUMB_PARAM_REAL, offsetof(erase_params, ratio_min), "0.3", 0.01, 100, NULL, "smallest height / width"},
    {"ratio_max", CRUMB_PARAM_REAL, offsetof(erase_params, ratio_max), "3.3", 0.01, 100, NULL, "largest height / width"},
    {"value", CRUMB_PARAM_REAL, offsetof(erase_params, value), "0", -100, 100, NULL, "what is written, after normalisation"},
    {0},
};

static double between(crumb_rng *rng, double low, double high) {
    return low + (high - low) * (double)crumb_rng_uniform(rng);
}

static void erase_reals(const void *given, float *image, int64_t height, int64_t width, int64_t channels, crumb_rng *rng) {
    const erase_params *p = given;
    if (crumb_rng_uniform(rng) >= p->p) {
        return;
    }
    for (int attempt = 0; attempt < 10; attempt++) {
        double area = (double)height * (double)width * between(rng, p->scale_min, p->scale_max);
        double ratio = exp(between(rng, log(p->ratio_min), log(p->ratio_max)));
        int64_t h = (int64_t)(sqrt(area * ratio) + 0.5), w = (int64_t)(sqrt(area / ratio) + 0.5);
        if (h >= height || w >= width) {
            continue;
        }
        int64_t top = crumb_rng_below(rng, (uint32_t)(height - h + 1)), left = crumb_rng_below(rng, (uint32_t)(width - w + 1));
        for (int64_t y = top; y < top + h; y++) {
            for (int64_t i = left * channels; i < (left + w) * channels; i++) {
                image[y * width * channels + i] = (float)p->value;
            }
        }
        return;
    }
}

const crumb_augment crumb_augment_erase = {
    .name = "erase",
    .doc = "overwrite a random rectangle after normalisation (torchvision RandomErasing)",
    .params = params,
    .params_size = sizeof(erase_params),
    .random = true,
    .reals = erase_reals,
};
