/* The plain twin of the family "real". */
#include "runtime/kernels/real/real.h"

#include <math.h>
#include <string.h>

static void window(const crumb_real *real, const crumb_frame_tile *t, int32_t p, float *acc) {
    const crumb_frame *frame = &real->frame;
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES, group = real->group;
    const float *w = (const float *)(const void *)t->weight;
    for (int32_t s = 0; s < frame->segments; s++) {
        const float *x = (const float *)(const void *)(t->x + (size_t)p * t->step + crumb_frame_segment(frame, s));
        for (int32_t u = 0; u < frame->units; u++, x += group, w += group * lanes) {
            for (int32_t c = 0; c < lanes; c++) {
                float sum = group == 1 ? acc[c] : 0.0f;
                for (int32_t i = 0; i < group; i++) {
                    sum = fmaf(x[i], w[i * lanes + c], sum);
                }
                acc[c] = group == 1 ? sum : acc[c] + sum;
            }
        }
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        float *acc = (float *)t->acc + (size_t)p * (size_t)lanes;
        memset(acc, 0, (size_t)lanes * sizeof(*acc));
        window((const crumb_real *)(const void *)frame, t, p, acc);
    }
}

static const crumb_frame_family family = {.stage = crumb_real_stage, .tile = tile, .pixels = {0, 16, 16, 16, 16}};

const crumb_conv_kernel crumb_conv_real__scalar = {
    .name = "conv_f32_f32_f32__scalar",
    .family = "real",
    .supports = crumb_real_supports,
    .prepare = crumb_real_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
