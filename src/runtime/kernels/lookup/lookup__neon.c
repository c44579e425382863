/* NEON for the family "lookup": tbl, 16 entries a table row, 16 channels at a time; for one-bit weights, 3 or 4 channels a
 * group: 64 products for a tbl and an addition. Groups of 2 gain nothing over the dot products of bytes__dotprod.c.
 *
 * A tile is 4 pixels by up to 4 vectors of channels: 16 byte sums, a unit's weights, a table row and what it gives. Per period
 * the byte sums are added to 16-bit sums in memory. */
#include "runtime/kernels/lookup/lookup.h"

#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { VECTOR = 16, ROW = 16, PIXELS = 4, VECTORS = 4, SUMS = PIXELS * VECTORS, FLUSH = 65535 };

static int32_t lane(int32_t channel) {
    return channel;
}

/* 16-bit sums to the tile's accumulators, 16 at a time; they become 0. */
static void flush(const crumb_frame_tile *t, uint16_t *wide, int32_t sums) {
    for (int32_t i = 0; i < sums; i++) {
        for (int32_t c = 0; c < VECTOR; c++) {
            ((int32_t *)t->acc)[i * VECTOR + c] += wide[i * VECTOR + c];
            wide[i * VECTOR + c] = 0;
        }
    }
}

INLINE void widen(const uint8x16_t *sum, uint16_t *wide, const int sums) {
#pragma GCC unroll 16
    for (int i = 0; i < sums; i++) {
        uint16_t *to = wide + i * VECTOR;
        vst1q_u16(to, vaddw_u8(vld1q_u16(to), vget_low_u8(sum[i])));
        vst1q_u16(to + 8, vaddw_high_u8(vld1q_u16(to + 8), sum[i]));
    }
}

INLINE void add_unit(uint8x16_t *sum, const uint8_t *table, const uint8_t *x, size_t step, const uint8_t *w, const int pixels,
                     const int vectors) {
    uint8x16_t weight[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        weight[v] = vld1q_u8(w + v * VECTOR);
    }
#pragma GCC unroll 4
    for (int p = 0; p < pixels; p++) {
        const uint8x16_t entries = vld1q_u8(table + *(const uint16_t *)(const void *)(x + (size_t)p * step));
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            sum[p * vectors + v] = vaddq_u8(sum[p * vectors + v], vqtbl1q_u8(entries, weight[v]));
        }
    }
}

INLINE void run(const crumb_frame *frame, const crumb_frame_tile *t, const int pixels, const int vectors) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    const int32_t period = lookup->plan.period, most = FLUSH / lookup->plan.span;
    const uint8_t *w = t->weight, *table = lookup->table;
    uint16_t wide[SUMS * VECTOR] = {0};
    int32_t left = most;
    for (int32_t s = 0; s < frame->segments; s++) {
        const uint8_t *x = t->x + crumb_frame_segment(frame, s);
        for (int32_t u = frame->units, n; u > 0; u -= n, left -= n) {
            uint8x16_t sum[SUMS];
#pragma GCC unroll 16
            for (int i = 0; i < pixels * vectors; i++) {
                sum[i] = vdupq_n_u8(0);
            }
            if (left < period) {
                flush(t, wide, pixels * vectors);
                left = most;
            }
            n = u < period ? u : period;
            for (int32_t i = n; i > 0; i--) {
                add_unit(sum, table, x, t->step, w, pixels, vectors);
                x += 2;
                w += vectors * VECTOR;
            }
            widen(sum, wide, pixels * vectors);
        }
    }
    flush(t, wide, pixels * vectors);
}

static void one(const crumb_frame *frame, const crumb_frame_tile *t) {
    switch (t->pixels) {
    case 1:
        run(frame, t, 1, 1);
        break;
    case 2:
        run(frame, t, 2, 1);
        break;
    case 3:
        run(frame, t, 3, 1);
        break;
    case 4:
        run(frame, t, 4, 1);
        break;
    }
}

static void two(const crumb_frame *frame, const crumb_frame_tile *t) {
    switch (t->pixels) {
    case 1:
        run(frame, t, 1, 2);
        break;
    case 2:
        run(frame, t, 2, 2);
        break;
    case 3:
        run(frame, t, 3, 2);
        break;
    case 4:
        run(frame, t, 4, 2);
        break;
    }
}

static void three(const crumb_frame *frame, const crumb_frame_tile *t) {
    switch (t->pixels) {
    case 1:
        run(frame, t, 1, 3);
        break;
    case 2:
        run(frame, t, 2, 3);
        break;
    case 3:
        run(frame, t, 3, 3);
        break;
    case 4:
        run(frame, t, 4, 3);
        break;
    }
}

static void four(const crumb_frame *frame, const crumb_frame_tile *t) {
    switch (t->pixels) {
    case 1:
        run(frame, t, 1, 4);
        break;
    case 2:
        run(frame, t, 2, 4);
        break;
    case 3:
        run(frame, t, 3, 4);
        break;
    case 4:
        run(frame, t, 4, 4);
        break;
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const size_t lanes = (size_t)(t->blocks * CRUMB_FRAME_LANES);
    for (int32_t p = 0; p < t->pixels; p++) {
        memcpy((int32_t *)t->acc + (size_t)p * lanes, t->constant, lanes * sizeof(int32_t));
    }
    static void (*const by_vectors[VECTORS])(const crumb_frame *, const crumb_frame_tile *) = {one, two, three, four};
    by_vectors[t->blocks - 1](frame, t);
}

static bool supports(const crumb_conv_problem *problem) {
    crumb_lookup_plan plan;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    return crumb_lookup_plan_make(&p, ROW, &plan) && plan.group > 2;
}

static const crumb_lookup_family family = {
    .frame = {.stage = crumb_lookup_stage, .tile = tile, .pixels = {0, PIXELS, PIXELS, PIXELS, PIXELS}},
    .row = ROW,
    .vector = VECTOR,
    .block = VECTORS * VECTOR,
    .lane = lane};

const crumb_conv_kernel crumb_conv_lookup__neon = {
    .name = "conv_i32_few_few__neon",
    .family = "lookup",
    .cpu = CRUMB_CPU_NEON,
    .supports = supports,
    .prepare = crumb_lookup_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
