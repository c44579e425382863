/* AVX-512 VNNI for the family "bytes": vpdpbusd, 64 products an instruction.
 *
 * A tile of P pixels by B sub-blocks of 16 channels keeps P * B accumulators in registers; a unit costs B loads of weights, P
 * broadcasts from memory and P * B dot products. The processor does two dot products and two loads a cycle, and a dot product
 * takes five cycles: P * B >= 10 hides that, and P + B <= P * B leaves the dot products as the only limit. 32 registers hold P
 * * B + B + 1. */
#include "runtime/kernels/bytes/bytes.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

INLINE __m512i broadcast(const uint8_t *x) {
    int32_t unit;
    memcpy(&unit, x, sizeof(unit));
    return _mm512_set1_epi32(unit);
}

/* Pixel p of a tile: four pointers reach 16 pixels with the address modes base + {0, 1, 2} * step and base + 3 * step. */
INLINE const uint8_t *pixel(const uint8_t *const *x, size_t step, size_t step3, const int p) {
    return p % 4 == 3 ? x[p / 4] + step3 : x[p / 4] + (size_t)(p % 4) * step;
}

INLINE void run(const crumb_frame *frame, const crumb_frame_tile *t, const int pixels, const int blocks) {
    __m512i acc[28];
#pragma GCC unroll 28
    for (int i = 0; i < pixels * blocks; i++) {
        acc[i] = _mm512_loadu_si512(t->constant + i % blocks * CRUMB_FRAME_LANES);
    }
    const size_t step = t->step, step3 = 3 * step;
    const uint8_t *w = t->weight;
    for (int32_t s = 0; s < frame->segments; s++) {
        const uint8_t *x[4];
        x[0] = t->x + crumb_frame_segment(frame, s);
        x[1] = x[0] + 4 * step;
        x[2] = x[1] + 4 * step;
        x[3] = x[2] + 4 * step;
        for (int32_t u = 0; u < frame->units; u++) {
            __m512i weight[4];
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++) {
                weight[b] = _mm512_load_si512(w + 64 * b);
            }
#pragma GCC unroll 16
            for (int p = 0; p < pixels; p++) {
                __m512i in = broadcast(pixel(x, step, step3, p));
#pragma GCC unroll 4
                for (int b = 0; b < blocks; b++) {
                    acc[p * blocks + b] = _mm512_dpbusd_epi32(acc[p * blocks + b], in, weight[b]);
                }
            }
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                x[i] += 4;
            }
            w += 64 * blocks;
        }
    }
#pragma GCC unroll 28
    for (int i = 0; i < pixels * blocks; i++) {
        _mm512_store_si512((int32_t *)t->acc + i * CRUMB_FRAME_LANES, acc[i]);
    }
}

#define TILE(p, b)                                                                                                             \
    static void tile_##p##x##b(const crumb_frame *frame, const crumb_frame_tile *t) {                                          \
        run(frame, t, p, b);                                                                                                   \
    }
TILE(1, 1)
TILE(2, 1)
TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(8, 1) TILE(9, 1) TILE(10, 1) TILE(11, 1) TILE(12, 1) TILE(13, 1)
    TILE(14, 1) TILE(15, 1) TILE(16, 1) TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2) TILE(7, 2) TILE(8, 2)
        TILE(9, 2) TILE(10, 2) TILE(11, 2) TILE(12, 2) TILE(13, 2) TILE(14, 2) TILE(1, 3) TILE(2, 3) TILE(3, 3) TILE(4, 3)
            TILE(5, 3) TILE(6, 3) TILE(7, 3) TILE(8, 3) TILE(9, 3) TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4) TILE(5, 4)
                TILE(6, 4)

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

static const crumb_frame_family family = {.stage = crumb_bytes_stage, .tile = tile, .pixels = {0, 16, 14, 9, 6}};

const crumb_conv_kernel crumb_conv_bytes__avx512vnni = {
    .name = "conv_i32_u8_s8__avx512vnni",
    .family = "bytes",
    .cpu = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512VNNI,
    .supports = crumb_bytes_supports,
    .prepare = crumb_bytes_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
