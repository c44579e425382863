/* The plain twin of the family "winograd". */
#include "runtime/kernels/winograd/winograd.h"

static void multiply(const crumb_piece *t) {
    for (int32_t p = 0; p < t->pixels; p++) {
        const int16_t *x = (const int16_t *)(const void *)(t->x + (size_t)p * t->step);
        const int16_t *w = (const int16_t *)(const void *)t->weight;
        uint32_t acc[CRUMB_FRAME_LANES] = {0};
        for (int32_t u = 0; u < t->frame->units; u++, x += 2, w += 2 * CRUMB_FRAME_LANES) {
            for (int32_t c = 0; c < CRUMB_FRAME_LANES; c++) {
                acc[c] += (uint32_t)(x[0] * w[2 * c] + x[1] * w[2 * c + 1]);
            }
        }
        memcpy(t->acc + (size_t)p * t->lanes, acc, sizeof(acc));
    }
}

static const crumb_winograd_family family = {.multiply = multiply, .pixels = CRUMB_FRAME_PIXELS};

const crumb_conv_kernel crumb_conv_winograd__scalar = {
    .name = "conv3x3_i32_s16_s16__scalar",
    .family = "winograd",
    .supports = crumb_winograd_supports,
    .prepare = crumb_winograd_prepare,
    .run = crumb_winograd_run,
    .inner = &family,
};
