/* The plain twin of the family "real". */
#include "runtime/kernels/real/real.h"

#include <math.h>
#include <string.h>

/* `units` units from x and w on; returns what follows in the panel. */
static const float *add_units(float *acc, const float *x, const float *w, int32_t units, int32_t group, int32_t lanes) {
    for (int32_t u = 0; u < units; u++, x += group, w += group * lanes) {
        for (int32_t c = 0; c < lanes; c++) {
            float sum = group == 1 ? acc[c] : 0.0f;
            for (int32_t i = 0; i < group; i++) {
                sum = fmaf(x[i], w[i * lanes + c], sum);
            }
            acc[c] = group == 1 ? sum : acc[c] + sum;
        }
    }
    return w;
}

static void window(const crumb_real *real, const crumb_frame_tile *t, const uint8_t *x, float *acc) {
    const crumb_frame *frame = &real->frame;
    const float *w = (const float *)(const void *)t->weight;
    for (int32_t s = 0; s < frame->segments; s++) {
        const float *from = (const float *)(const void *)(x + crumb_frame_segment(frame, s));
        w = add_units(acc, from, w, frame->units, real->group, t->blocks * CRUMB_FRAME_LANES);
    }
}

static void window_of_groups(const crumb_real *real, const crumb_frame_tile *t, const uint8_t *x, float *acc) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES, units = real->frame.group_units;
    const float *w = (const float *)(const void *)t->weight, *from = (const float *)(const void *)x;
    for (int32_t left = real->frame.units, n; left > 0; left -= n, from += n * real->group) {
        const float *scale = w;
        float sum[CRUMB_FRAME_BLOCK] = {0};
        n = left < units ? left : units;
        w = add_units(sum, from, w + lanes, n, real->group, lanes);
        for (int32_t c = 0; c < lanes; c++) {
            acc[c] = fmaf(sum[c], scale[c], acc[c]);
        }
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        float *acc = (float *)t->acc + (size_t)p * (size_t)lanes;
        memset(acc, 0, (size_t)lanes * sizeof(*acc));
        (crumb_frame_scaled(frame) ? window_of_groups : window)((const crumb_real *)(const void *)frame, t,
                                                                t->x + (size_t)p * t->step, acc);
    }
}

static bool supports(const crumb_conv_problem *problem) {
    return problem->x.levels == 0;
}

static const crumb_frame_family family = {.stage = crumb_real_stage, .tile = tile, .pixels = {0, 16, 16, 16, 16}};

const crumb_conv_kernel crumb_conv_real__scalar = {
    .name = "conv_f32_f32_f32__scalar",
    .family = "real",
    .supports = supports,
    .prepare = crumb_real_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
