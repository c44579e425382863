/* Changes brightness, then contrast, each by a random factor in [1 - strength, 1 + strength], as torchvision's ColorJitter:
 * brightness scales the pixels, contrast scales their distance from the image's mean gray. */
#include "data/dataset.h"

typedef struct jitter_params {
    double brightness, contrast;
} jitter_params;

static const crumb_param params[] = {
    {"brightness", CRUMB_PARAM_REAL, offsetof(jitter_params, brightness), "0.4", 0, 1, NULL, "strength, 0 = off"},
    {"contrast", CRUMB_PARAM_REAL, offsetof(jitter_params, contrast), "0.4", 0, 1, NULL, "strength, 0 = off"},
    {0},
};

static uint8_t clip(float value) {
    return (uint8_t)(value <= 0 ? 0 : value >= 255 ? 255 : (int)(value + 0.5f));
}

/* Luma of ITU-R 601 for colours, the channel itself for gray; of the image after brightness. */
static float mean_gray(const crumb_image *image, float brightness) {
    double sum = 0;
    int64_t pixels = image->height * image->width, channels = image->channels;
    for (int64_t i = 0; i < pixels; i++) {
        const uint8_t *at = image->pixels + i * channels;
        sum += channels >= 3
                   ? 0.299 * clip(brightness * at[0]) + 0.587 * clip(brightness * at[1]) + 0.114 * clip(brightness * at[2])
                   : clip(brightness * at[0]);
    }
    return (float)(sum / (double)pixels);
}

static void jitter_bytes(const void *given, const crumb_image *from, crumb_image *to, crumb_rng *rng) {
    const jitter_params *p = given;
    float brightness = (float)(1 + p->brightness * (2 * (double)crumb_rng_uniform(rng) - 1));
    float contrast = (float)(1 + p->contrast * (2 * (double)crumb_rng_uniform(rng) - 1));
    float gray = mean_gray(from, brightness) * (1 - contrast);
    uint8_t table[256];
    for (int v = 0; v < 256; v++) {
        table[v] = clip(gray + contrast * clip(brightness * (float)v));
    }
    for (int64_t i = 0; i < from->height * from->width * from->channels; i++) {
        to->pixels[i] = table[from->pixels[i]];
    }
}

const crumb_augment crumb_augment_jitter = {
    .name = "jitter",
    .doc = "random brightness and contrast (torchvision ColorJitter)",
    .params = params,
    .params_size = sizeof(jitter_params),
    .random = true,
    .bytes = jitter_bytes,
};
