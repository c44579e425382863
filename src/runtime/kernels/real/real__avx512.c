/* AVX-512 for the family "real", where channels are summed one by one: a broadcast activation times 16 channels' weights. Tiles
 * as in bytes__avx512vnni.c: two multiply-adds and two loads a cycle, four cycles each. */
#include "runtime/kernels/real/real.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* Pixel p of a tile: four pointers reach 16 pixels with the address modes base + {0, 1, 2} * step and base + 3 * step. */
INLINE const float *pixel(const float *const *x, size_t step, size_t step3, const int p) {
    return p % 4 == 3 ? x[p / 4] + step3 : x[p / 4] + (size_t)(p % 4) * step;
}

INLINE void run(const crumb_frame *frame, const crumb_frame_tile *t, const int pixels, const int blocks) {
    __m512 acc[28];
#pragma GCC unroll 28
    for (int i = 0; i < pixels * blocks; i++) {
        acc[i] = _mm512_setzero_ps();
    }
    const size_t step = t->step / sizeof(float);
    const float *w = (const float *)(const void *)t->weight;
    for (int32_t s = 0; s < frame->segments; s++) {
        const float *x[4];
        x[0] = (const float *)(const void *)(t->x + crumb_frame_segment(frame, s));
        x[1] = x[0] + 4 * step;
        x[2] = x[1] + 4 * step;
        x[3] = x[2] + 4 * step;
        for (int32_t u = 0; u < frame->units; u++) {
            __m512 weight[4];
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++) {
                weight[b] = _mm512_load_ps(w + CRUMB_FRAME_LANES * b);
            }
#pragma GCC unroll 16
            for (int p = 0; p < pixels; p++) {
                const __m512 in = _mm512_set1_ps(*pixel(x, step, 3 * step, p));
#pragma GCC unroll 4
                for (int b = 0; b < blocks; b++) {
                    acc[p * blocks + b] = _mm512_fmadd_ps(in, weight[b], acc[p * blocks + b]);
                }
            }
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                x[i]++;
            }
            w += CRUMB_FRAME_LANES * blocks;
        }
    }
#pragma GCC unroll 28
    for (int i = 0; i < pixels * blocks; i++) {
        _mm512_store_ps((float *)t->acc + i * CRUMB_FRAME_LANES, acc[i]);
    }
}

#define TILE(p, b)                                                                                                             \
    static void tile_##p##x##b(const crumb_frame *frame, const crumb_frame_tile *t) {                                          \
        run(frame, t, p, b);                                                                                                   \
    }
/* clang-format off */
TILE(1, 1)
TILE(2, 1)
TILE(3, 1)
TILE(4, 1)
TILE(5, 1)
TILE(6, 1)
TILE(7, 1)
TILE(8, 1)
TILE(9, 1)
TILE(10, 1)
TILE(11, 1)
TILE(12, 1)
TILE(13, 1)
TILE(14, 1)
TILE(15, 1)
TILE(16, 1)
TILE(1, 2)
TILE(2, 2)
TILE(3, 2)
TILE(4, 2)
TILE(5, 2)
TILE(6, 2)
TILE(7, 2)
TILE(8, 2)
TILE(9, 2)
TILE(10, 2)
TILE(11, 2)
TILE(12, 2)
TILE(13, 2)
TILE(14, 2)
TILE(1, 3)
TILE(2, 3)
TILE(3, 3)
TILE(4, 3)
TILE(5, 3)
TILE(6, 3)
TILE(7, 3)
TILE(8, 3)
TILE(9, 3)
TILE(1, 4)
TILE(2, 4)
TILE(3, 4)
TILE(4, 4)
TILE(5, 4)
TILE(6, 4)
/* clang-format on */

typedef void tile_fn(const crumb_frame *frame, const crumb_frame_tile *t);

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    static tile_fn *const tiles[4][17] = {
        {NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1, tile_7x1, tile_8x1, tile_9x1, tile_10x1, tile_11x1,
         tile_12x1, tile_13x1, tile_14x1, tile_15x1, tile_16x1},
        {NULL, tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2, tile_7x2, tile_8x2, tile_9x2, tile_10x2, tile_11x2,
         tile_12x2, tile_13x2, tile_14x2},
        {NULL, tile_1x3, tile_2x3, tile_3x3, tile_4x3, tile_5x3, tile_6x3, tile_7x3, tile_8x3, tile_9x3},
        {NULL, tile_1x4, tile_2x4, tile_3x4, tile_4x4, tile_5x4, tile_6x4},
    };
    tiles[t->blocks - 1][t->pixels](frame, t);
}

static bool supports(const crumb_conv_problem *problem) {
    return crumb_real_supports(problem) && crumb_real_group(&problem->w) == 1;
}

static const crumb_frame_family family = {.stage = crumb_real_stage, .tile = tile, .pixels = {0, 16, 14, 9, 6}};

const crumb_conv_kernel crumb_conv_real__avx512 = {
    .name = "conv_f32_f32_f32__avx512",
    .family = "real",
    .cpu = CRUMB_CPU_AVX512,
    .supports = supports,
    .prepare = crumb_real_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
