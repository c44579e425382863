/* AVX-512 VNNI for the family "slim": shift, mask and vpdpbusd, 64 products for 16 or 32 bytes of panel.
 *
 * One or two pixels take a whole block, 8 sub-blocks, whose sums hide the five cycles of a dot product, and read the panel in
 * order, asking for it ahead of use. More pixels take up to three sub-blocks at a time, so that weights are spread once for 8
 * products. */
#include "runtime/kernels/bytes/bytes.h"
#include "runtime/kernels/slim/slim.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { PIECE_BLOCKS = 3, PIECE_PIXELS = 8 };

/* Pixels and sub-blocks of a tile. */
typedef struct piece {
    const crumb_slim *slim;
    const uint8_t *weight, *x; /* of the first pixel */
    const int32_t *constant;
    int32_t *acc;
    size_t step, row, lanes; /* bytes to the next pixel, to the panel's next row; sums to the next pixel's */
} piece;

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
    for (int u = 0; u < 8 / bits; u++) {
        if (u < units) {
            add_unit(acc, t, w, x + 4 * u, (unsigned)(u * bits), bits, pixels, blocks);
        }
    }
}

INLINE void run(const piece *t, const int bits, const int pixels, const int blocks) {
    const crumb_frame *frame = &t->slim->frame;
    const int32_t word = 8 / bits;
    const uint8_t *w = t->weight;
    __m512i acc[24];
#pragma GCC unroll 24
    for (int i = 0; i < pixels * blocks; i++) {
        acc[i] = _mm512_loadu_si512(t->constant + i % blocks * CRUMB_FRAME_LANES);
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

#define PIECE(p, b)                                                                                                            \
    static void piece_##p##x##b(const piece *t) {                                                                              \
        if (t->slim->bits == 2) {                                                                                              \
            run(t, 2, p, b);                                                                                                   \
        } else {                                                                                                               \
            run(t, 4, p, b);                                                                                                   \
        }                                                                                                                      \
    }
/* clang-format off */
PIECE(1, 1)
PIECE(1, 2)
PIECE(1, 3)
PIECE(1, 4)
PIECE(1, 5)
PIECE(1, 6)
PIECE(1, 7)
PIECE(1, 8)
PIECE(2, 1)
PIECE(2, 2)
PIECE(2, 3)
PIECE(2, 4)
PIECE(2, 5)
PIECE(2, 6)
PIECE(2, 7)
PIECE(2, 8)
PIECE(4, 1)
PIECE(4, 2)
PIECE(4, 3)
PIECE(8, 1)
PIECE(8, 2)
PIECE(8, 3)
/* clang-format on */

typedef void piece_fn(const piece *t);

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    static piece_fn *const pieces[4][9] = {
        {NULL, piece_1x1, piece_1x2, piece_1x3, piece_1x4, piece_1x5, piece_1x6, piece_1x7, piece_1x8},
        {NULL, piece_2x1, piece_2x2, piece_2x3, piece_2x4, piece_2x5, piece_2x6, piece_2x7, piece_2x8},
        {NULL, piece_4x1, piece_4x2, piece_4x3},
        {NULL, piece_8x1, piece_8x2, piece_8x3},
    };
    piece part = {.slim = (const crumb_slim *)(const void *)frame,
                  .step = t->step,
                  .row = 64 * (size_t)t->blocks,
                  .lanes = (size_t)t->blocks * CRUMB_FRAME_LANES};
    const int32_t most = t->pixels <= 2 ? t->blocks : PIECE_BLOCKS;
    for (int32_t b = 0, blocks; b < t->blocks; b += blocks) {
        blocks = t->blocks - b < most ? t->blocks - b : most;
        part.weight = t->weight + 64 * b;
        part.constant = t->constant + b * CRUMB_FRAME_LANES;
        for (int32_t p = 0, kind; p < t->pixels; p += 1 << kind) {
            const int32_t left = t->pixels - p;
            kind = left >= PIECE_PIXELS ? 3 : left >= 4 ? 2 : left >= 2 ? 1 : 0;
            part.x = t->x + (size_t)p * t->step;
            part.acc = (int32_t *)t->acc + (size_t)p * part.lanes + b * CRUMB_FRAME_LANES;
            pieces[kind][blocks](&part);
        }
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
