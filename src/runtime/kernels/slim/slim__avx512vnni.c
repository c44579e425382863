/* AVX-512 VNNI for the family "slim": shift, mask and vpdpbusd, 64 products for 16 or 32 bytes of panel.
 *
 * One or two pixels take a whole block, 8 sub-blocks, whose sums hide the five cycles of a dot product, and read the panel in
 * order, asking for it ahead of use. More pixels take up to three sub-blocks at a time, so that weights are spread once for 8
 * products. */
#include "runtime/kernels/bytes/bytes.h"
#include "runtime/kernels/slim/slim.h"

#include <string.h>

#define PANEL_FAMILY crumb_slim
#define PANEL_IN uint8_t
#define PANEL_SUM int32_t
#define PANEL_BITS 2
#define PANEL_BITS_TOO 4
#include "runtime/kernels/panel__avx512.tmpl"

INLINE __m512i broadcast(const uint8_t *x) {
    int32_t unit;
    memcpy(&unit, x, sizeof(unit));
    return _mm512_set1_epi32(unit);
}

/* One unit: `shift` is where its indices lie in w's bytes. */
INLINE void add_unit(__m512i *acc, const piece *t, const uint8_t *w, const uint8_t *x, const unsigned shift, const int bits,
                     const int pixels, const int blocks) {
    const __m512i mask = _mm512_set1_epi8((char)((1 << bits) - 1));
    __m512i weight[8];
#pragma GCC unroll 8
    for (int b = 0; b < blocks; b++) {
        const __m512i number = _mm512_load_si512(w + 64 * b);
        weight[b] = _mm512_and_si512(shift == 0 ? number : _mm512_srli_epi32(number, shift), mask);
    }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) {
        const __m512i in = broadcast(x + (size_t)p * t->step);
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            acc[p * blocks + b] = _mm512_dpbusd_epi32(acc[p * blocks + b], in, weight[b]);
        }
    }
}

/* The first `units` units of a word's row. */
INLINE void add_word(__m512i *acc, const piece *t, const uint8_t *w, const uint8_t *x, int32_t units, const int bits,
                     const int pixels, const int blocks) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; u++) {
        if (u < 8 / bits && u < units) {
            add_unit(acc, t, w, x + 4 * u, (unsigned)(u * bits), bits, pixels, blocks);
        }
    }
}

INLINE void run(const piece *t, const int bits, const int pixels, const int blocks) {
    const crumb_frame *frame = &t->layer->frame;
    const int32_t word = 8 / bits;
    const uint8_t *w = t->weight;
    __m512i acc[24];
#pragma GCC unroll 24
    for (int i = 0; i < pixels * blocks; i++) {
        acc[i] = _mm512_loadu_si512(t->constant + t->lane + i % blocks * CRUMB_FRAME_LANES);
    }
    for (int32_t s = 0; s < frame->segments; s++) {
        const uint8_t *x = t->x + crumb_frame_segment(frame, s);
        int32_t left = frame->units;
        for (; left >= word; left -= word, w += t->row, x += 4 * word) {
            if (pixels <= 2) {
                crumb_frame_ahead(w, blocks);
            }
            add_word(acc, t, w, x, word, bits, pixels, blocks);
        }
        if (left > 0) {
            add_word(acc, t, w, x, left, bits, pixels, blocks);
            w += t->row;
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < pixels * blocks; i++) {
        _mm512_store_si512(t->acc + (size_t)(i / blocks) * t->lanes + i % blocks * CRUMB_FRAME_LANES, acc[i]);
    }
}

static const crumb_frame_family family = {.stage = crumb_bytes_stage, .tile = tile, .pixels = {0, 16, 16, 16, 16, 8, 8, 8, 8}};

const crumb_conv_kernel crumb_conv_slim__avx512vnni = {
    .name = "conv_i32_u8_slim__avx512vnni",
    .family = "slim",
    .cpu = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512VNNI,
    .supports = crumb_slim_supports,
    .prepare = crumb_slim_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
