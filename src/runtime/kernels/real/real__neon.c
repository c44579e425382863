/* NEON for the family "real": 4 channels' weights times an activation. A piece of a tile is 6 pixels (groups: 4) by 16
 * channels. Groups of 2 or 4 channels, which are summed by themselves (pack/packed.h), begin with a product, as fmaf(x, w, +0)
 * is but for the sign of a zero, which no sum that began at +0 can tell. */
#include "runtime/kernels/piece.h"
#include "runtime/kernels/real/real.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

enum { ONE_PIXELS = 6, GROUP_PIXELS = 4, TILE_PIXELS = 12 };

INLINE float32x4_t term(const float *x, const float *w, size_t row, const int group) {
    float32x4_t sum = vmulq_n_f32(vld1q_f32(w), x[0]);
#pragma GCC unroll 4
    for (int i = 1; i < group; i++) {
        sum = vfmaq_n_f32(sum, vld1q_f32(w + (size_t)i * row), x[i]);
    }
    return sum;
}

INLINE void run(const crumb_piece *t, const int pixels, const int group) {
    float32x4_t sum[4 * ONE_PIXELS];
#pragma GCC unroll 24
    for (int i = 0; i < 4 * pixels; i++) {
        sum[i] = vdupq_n_f32(0);
    }
    const size_t step = t->step / sizeof(float), row = t->row / sizeof(float);
    const float *w = (const float *)(const void *)t->weight;
    for (int32_t s = 0; s < t->frame->segments; s++) {
        const float *x = (const float *)(const void *)(t->x + crumb_frame_segment(t->frame, s));
        for (int32_t u = 0; u < t->frame->units; u++) {
#pragma GCC unroll 6
            for (int p = 0; p < pixels; p++) {
                const float *in = x + (size_t)p * step;
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++) {
                    float32x4_t *to = &sum[4 * p + i];
                    *to = group == 1 ? vfmaq_n_f32(*to, vld1q_f32(w + 4 * i), in[0])
                                     : vaddq_f32(*to, term(in, w + 4 * i, row, group));
                }
            }
            x += group;
            w += (size_t)group * row;
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < 4 * pixels; i++) {
        vst1q_f32((float *)(void *)t->acc + (size_t)(i / 4) * t->lanes + i % 4 * 4, sum[i]);
    }
}

static void one(const crumb_piece *t) {
    switch (t->pixels) {
    case 1:
        run(t, 1, 1);
        break;
    case 2:
        run(t, 2, 1);
        break;
    case 3:
        run(t, 3, 1);
        break;
    case 4:
        run(t, 4, 1);
        break;
    case 5:
        run(t, 5, 1);
        break;
    case 6:
        run(t, 6, 1);
        break;
    }
}

static void two(const crumb_piece *t) {
    switch (t->pixels) {
    case 1:
        run(t, 1, 2);
        break;
    case 2:
        run(t, 2, 2);
        break;
    case 3:
        run(t, 3, 2);
        break;
    case 4:
        run(t, 4, 2);
        break;
    }
}

static void four(const crumb_piece *t) {
    switch (t->pixels) {
    case 1:
        run(t, 1, 4);
        break;
    case 2:
        run(t, 2, 4);
        break;
    case 3:
        run(t, 3, 4);
        break;
    case 4:
        run(t, 4, 4);
        break;
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t group = ((const crumb_real *)(const void *)frame)->group;
    crumb_piece_each(frame, t, group == 1 ? one : group == 2 ? two : four, group == 1 ? ONE_PIXELS : GROUP_PIXELS);
}

static const crumb_frame_family family = {
    .stage = crumb_real_stage, .tile = tile, .pixels = {0, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS}};

const crumb_conv_kernel crumb_conv_real__neon = {
    .name = "conv_f32_f32_f32__neon",
    .family = "real",
    .cpu = CRUMB_CPU_NEON,
    .supports = crumb_real_supports,
    .prepare = crumb_real_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
