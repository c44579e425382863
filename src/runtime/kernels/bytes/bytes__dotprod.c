/* NEON with dot products for the family "bytes": sdot, 16 products an instruction. It multiplies int8 with int8: bytes x up to
 * 127 are that already, larger ones are made x - 128 by turning the sign bit, and the constants hold 128 times the sums of
 * weights (crumb_bytes_prepare_signed).
 *
 * A piece of a tile is 6 pixels by 16 channels: 24 sums, 4 vectors of weights and a broadcast unit of the 32 registers; 10
 * loads for 24 dot products. */
#include "runtime/kernels/bytes/bytes.h"
#include "runtime/kernels/piece.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

enum { PIXELS = 6, TILE_PIXELS = 12 };

INLINE int8x16_t broadcast(const uint8_t *x, const bool turn) {
    uint32_t unit;
    memcpy(&unit, x, sizeof(unit));
    const int8x16_t all = vreinterpretq_s8_u32(vdupq_n_u32(unit));
    return turn ? veorq_s8(all, vdupq_n_s8(INT8_MIN)) : all;
}

INLINE void run(const crumb_piece *t, const int pixels, const bool turn) {
    int32x4_t sum[4 * PIXELS];
#pragma GCC unroll 24
    for (int i = 0; i < 4 * pixels; i++) {
        sum[i] = vld1q_s32(t->acc + (size_t)(i / 4) * t->lanes + i % 4 * 4);
    }
    const uint8_t *w = t->weight;
    for (int32_t s = 0; s < t->frame->segments; s++) {
        const uint8_t *x = t->x + crumb_frame_segment(t->frame, s);
        for (int32_t u = 0; u < t->frame->units; u++) {
            int8x16_t weight[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                weight[i] = vreinterpretq_s8_u8(vld1q_u8(w + 16 * i));
            }
#pragma GCC unroll 6
            for (int p = 0; p < pixels; p++) {
                const int8x16_t in = broadcast(x + (size_t)p * t->step, turn);
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++) {
                    sum[4 * p + i] = vdotq_s32(sum[4 * p + i], weight[i], in);
                }
            }
            x += 4;
            w += t->row;
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < 4 * pixels; i++) {
        vst1q_s32(t->acc + (size_t)(i / 4) * t->lanes + i % 4 * 4, sum[i]);
    }
}

static void as_is(const crumb_piece *t) {
    switch (t->pixels) {
    case 1:
        run(t, 1, false);
        break;
    case 2:
        run(t, 2, false);
        break;
    case 3:
        run(t, 3, false);
        break;
    case 4:
        run(t, 4, false);
        break;
    case 5:
        run(t, 5, false);
        break;
    case 6:
        run(t, 6, false);
        break;
    }
}

static void turned(const crumb_piece *t) {
    switch (t->pixels) {
    case 1:
        run(t, 1, true);
        break;
    case 2:
        run(t, 2, true);
        break;
    case 3:
        run(t, 3, true);
        break;
    case 4:
        run(t, 4, true);
        break;
    case 5:
        run(t, 5, true);
        break;
    case 6:
        run(t, 6, true);
        break;
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    crumb_piece_each(frame, t, crumb_bytes_most(&frame->problem) > INT8_MAX ? turned : as_is, PIXELS);
}

static const crumb_frame_family family = {
    .stage = crumb_bytes_stage, .tile = tile, .pixels = {0, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS}};

const crumb_conv_kernel crumb_conv_bytes__dotprod = {
    .name = "conv_i32_u8_s8__dotprod",
    .family = "bytes",
    .cpu = CRUMB_CPU_NEON | CRUMB_CPU_DOTPROD,
    .supports = crumb_bytes_supports,
    .prepare = crumb_bytes_prepare_signed,
    .run = crumb_frame_run,
    .inner = &family,
};
