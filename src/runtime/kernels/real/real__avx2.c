/* AVX2 for the family "real": a broadcast activation times 8 channels' weights. 6 pixels by 16 channels are 12 sums, enough for
 * two multiply-adds a cycle of four cycles each; groups of 2 or 4 channels, which are summed by themselves (pack/packed.h),
 * begin with a product, as fmaf(x, w, +0) is but for the sign of a zero, which no sum that began at +0 can tell. */
#include "runtime/kernels/piece.h"
#include "runtime/kernels/real/real.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

enum { ONE_PIXELS = 6, GROUP_PIXELS = 4, TILE_PIXELS = 12 };

INLINE __m256 term(const float *x, const float *w, size_t row, const int group) {
    __m256 sum = _mm256_mul_ps(_mm256_broadcast_ss(x), _mm256_loadu_ps(w));
#pragma GCC unroll 4
    for (int i = 1; i < group; i++) {
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(x + i), _mm256_loadu_ps(w + (size_t)i * row), sum);
    }
    return sum;
}

INLINE void run(const crumb_piece *t, const int pixels, const int group) {
    __m256 sum[2 * ONE_PIXELS];
#pragma GCC unroll 16
    for (int i = 0; i < 2 * pixels; i++) {
        sum[i] = _mm256_setzero_ps();
    }
    const size_t step = t->step / sizeof(float), row = t->row / sizeof(float);
    const float *w = (const float *)(const void *)t->weight;
    for (int32_t s = 0; s < t->frame->segments; s++) {
        const float *x = (const float *)(const void *)(t->x + crumb_frame_segment(t->frame, s));
        for (int32_t u = 0; u < t->frame->units; u++) {
            const float *x3 = x + 3 * step; /* two pointers reach six pixels */
#pragma GCC unroll 8
            for (int p = 0; p < pixels; p++) {
                const float *in = (p < 3 ? x : x3) + (size_t)(p % 3) * step;
                if (group == 1) {
                    const __m256 one = _mm256_broadcast_ss(in);
                    sum[2 * p] = _mm256_fmadd_ps(one, _mm256_loadu_ps(w), sum[2 * p]);
                    sum[2 * p + 1] = _mm256_fmadd_ps(one, _mm256_loadu_ps(w + 8), sum[2 * p + 1]);
                } else {
                    sum[2 * p] = _mm256_add_ps(sum[2 * p], term(in, w, row, group));
                    sum[2 * p + 1] = _mm256_add_ps(sum[2 * p + 1], term(in, w + 8, row, group));
                }
            }
            x += group;
            w += (size_t)group * row;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 2 * pixels; i++) {
        _mm256_storeu_ps((float *)(void *)t->acc + (size_t)(i / 2) * t->lanes + i % 2 * 8, sum[i]);
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

const crumb_conv_kernel crumb_conv_real__avx2 = {
    .name = "conv_f32_f32_f32__avx2",
    .family = "real",
    .cpu = CRUMB_CPU_AVX2,
    .supports = crumb_real_supports,
    .prepare = crumb_real_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
