/* AVX-512 for the family "narrow". Indices of 4 bits are looked up in a register of 16 floats (vpermps reads the lowest four
 * bits of the panel's words), indices of 8 bits converted. A word is loaded once a byte, each time a byte further, so that its
 * bytes need no shifts.
 *
 * One or two pixels take a whole block, whose sums hide the four cycles of a multiply-add, and read the panel in order: 2.5
 * instructions for 16 weights of 4 bits, 4 for 16 of 8, on four ports at 3.7 GHz 43 and 54 GB/s of panel. More pixels take up
 * to three sub-blocks at a time: 8 by 3 sums, so that floats are made once for 8 products. */
#include "runtime/kernels/narrow/narrow.h"
#include "runtime/kernels/real/real.h"

#define PANEL_FAMILY crumb_narrow
#define PANEL_IN float
#define PANEL_SUM float
#define PANEL_BITS 4
#define PANEL_BITS_TOO 8
#include "runtime/kernels/panel__avx512.tmpl"

/* What makes floats of indices. */
typedef struct maker {
    __m512 code, multiply, offset;
    __m512i byte;
} maker;

INLINE maker maker_of(const crumb_narrow *narrow) {
    return (maker){.code = _mm512_loadu_ps(narrow->code),
                   .multiply = _mm512_set1_ps(narrow->multiply),
                   .offset = _mm512_set1_ps(narrow->offset),
                   .byte = _mm512_set1_epi32(255)};
}

INLINE __m512 weight_of(const maker *m, __m512i number, const int bits) {
    return bits == 4 ? _mm512_permutexvar_ps(number, m->code)
                     : _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_and_si512(number, m->byte)), m->multiply, m->offset);
}

INLINE void add_products(__m512 *acc, const float *x, size_t step, __m512 weight, const int b, const int pixels,
                         const int blocks) {
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) {
        acc[p * blocks + b] = _mm512_fmadd_ps(_mm512_set1_ps(x[(size_t)p * step]), weight, acc[p * blocks + b]);
    }
}

/* A byte of each of w's words, a unit of 8 bits or one or `two` of 4; few pixels: each word is loaded once. */
INLINE void add_byte(__m512 *acc, const piece *t, const maker *m, const uint8_t *w, const float *x, const bool two,
                     const int bits, const int pixels, const int blocks) {
#pragma GCC unroll 8
    for (int b = 0; b < blocks; b++) {
        const __m512i number = _mm512_loadu_si512(w + 64 * b);
        add_products(acc, x, t->step, weight_of(m, number, bits), b, pixels, blocks);
        if (two) {
            add_products(acc, x + 1, t->step, weight_of(m, _mm512_srli_epi32(number, 4), bits), b, pixels, blocks);
        }
    }
}

/* The same of one unit of many pixels: each input is loaded once. */
INLINE void add_unit(__m512 *acc, const piece *t, const maker *m, const uint8_t *w, const float *x, const bool high,
                     const int bits, const int pixels, const int blocks) {
    __m512 weight[PIECE_BLOCKS];
#pragma GCC unroll 3
    for (int b = 0; b < blocks; b++) {
        const __m512i number = _mm512_loadu_si512(w + 64 * b);
        weight[b] = weight_of(m, high ? _mm512_srli_epi32(number, 4) : number, bits);
    }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) {
        const __m512 in = _mm512_set1_ps(x[(size_t)p * t->step]);
#pragma GCC unroll 3
        for (int b = 0; b < blocks; b++) {
            acc[p * blocks + b] = _mm512_fmadd_ps(in, weight[b], acc[p * blocks + b]);
        }
    }
}

/* The first `units` units of a word's row. */
INLINE void add_word(__m512 *acc, const piece *t, const maker *m, const uint8_t *w, const float *x, int32_t units,
                     const int bits, const int pixels, const int blocks) {
    const int each = 8 / bits;
    for (int32_t u = 0; u < units; u += each, w++, x += each) {
        const bool two = bits == 4 && u + 1 < units;
        if (pixels <= 2) {
            add_byte(acc, t, m, w, x, two, bits, pixels, blocks);
            continue;
        }
        add_unit(acc, t, m, w, x, false, bits, pixels, blocks);
        if (two) {
            add_unit(acc, t, m, w, x + 1, true, bits, pixels, blocks);
        }
    }
}

/* `units` units from w on; returns what follows in the panel. */
INLINE const uint8_t *add_units(__m512 *acc, const piece *t, const maker *m, const uint8_t *w, const float *x, int32_t units,
                                const int bits, const int pixels, const int blocks) {
    const int32_t word = 32 / bits;
    for (; units >= word; units -= word, w += t->row, x += word) {
        if (pixels <= 2) {
            crumb_frame_ahead(w, blocks);
        }
        add_word(acc, t, m, w, x, word, bits, pixels, blocks);
    }
    if (units > 0) {
        add_word(acc, t, m, w, x, units, bits, pixels, blocks);
        w += t->row;
    }
    return w;
}

INLINE void add_scaled(const piece *t, __m512 *acc, const uint8_t *scale, const int pixels, const int blocks) {
#pragma GCC unroll 24
    for (int i = 0; i < pixels * blocks; i++) {
        float *sum = t->acc + (size_t)(i / blocks) * t->lanes + i % blocks * CRUMB_FRAME_LANES;
        const __m512 by = _mm512_load_ps((const float *)(const void *)(scale + 64 * (i % blocks)));
        _mm512_store_ps(sum, _mm512_fmadd_ps(acc[i], by, _mm512_load_ps(sum)));
        acc[i] = _mm512_setzero_ps();
    }
}

INLINE void run(const piece *t, const int bits, const int pixels, const int blocks) {
    const crumb_frame *frame = &t->layer->frame;
    const maker m = maker_of(t->layer);
    const uint8_t *w = t->weight;
    __m512 acc[24];
#pragma GCC unroll 24
    for (int i = 0; i < pixels * blocks; i++) {
        acc[i] = _mm512_setzero_ps();
        _mm512_store_ps(t->acc + (size_t)(i / blocks) * t->lanes + i % blocks * CRUMB_FRAME_LANES, acc[i]);
    }
    for (int32_t s = 0; s < frame->segments; s++) {
        const float *x = t->x + crumb_frame_segment(frame, s) / sizeof(float);
        if (!crumb_frame_scaled(frame)) {
            w = add_units(acc, t, &m, w, x, frame->units, bits, pixels, blocks);
            continue;
        }
        for (int32_t left = frame->units, n; left > 0; left -= n, x += n) {
            const uint8_t *scale = w;
            if (pixels <= 2) {
                crumb_frame_ahead(w, blocks);
            }
            n = left < frame->group_units ? left : frame->group_units;
            w = add_units(acc, t, &m, w + t->row, x, n, bits, pixels, blocks);
            add_scaled(t, acc, scale, pixels, blocks);
        }
    }
    if (!crumb_frame_scaled(frame)) {
#pragma GCC unroll 24
        for (int i = 0; i < pixels * blocks; i++) {
            _mm512_store_ps(t->acc + (size_t)(i / blocks) * t->lanes + i % blocks * CRUMB_FRAME_LANES, acc[i]);
        }
    }
}

static const crumb_frame_family family = {.stage = crumb_real_stage, .tile = tile, .pixels = {0, 16, 16, 16, 16, 8, 8, 8, 8}};

const crumb_conv_kernel crumb_conv_narrow__avx512 = {
    .name = "conv_f32_f32_narrow__avx512",
    .family = "narrow",
    .cpu = CRUMB_CPU_AVX512,
    .supports = crumb_narrow_supports,
    .prepare = crumb_narrow_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
