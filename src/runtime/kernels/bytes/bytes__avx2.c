/* AVX2 for the family "bytes": vpmaddubsw and vpmaddwd, 32 and 16 products an instruction, two of either a cycle.
 *
 * vpmaddubsw adds two products x w of a byte and a signed byte in an int16 lane, saturating. With 0 <= x <= X and w between
 * -L and H a pair lies between -2 X L and 2 X H, so the sums of
 *
 *     n = min(32767 / (2 X H), 32768 / (2 X L))
 *
 * units are exact in int16 (crumb_bytes_pairs). Three loops follow:
 *
 *     narrow   n >= 3: a vpmaddubsw and a 16-bit addition a unit; every n units the sums are widened into the int32 sums, which
 *              lie in memory. W2A2 has n = 1820, W4A4 136, W2A8 21, W4A8 4 to 8.
 *     pairs    n = 1 or 2: every vpmaddubsw is widened at once by a vpmaddwd with ones.
 *     wide     n = 0 (8 by 8 bits): bytes 0, 2 and 1, 3 of a unit as 16-bit halves, x >> 8 and x & 255, w likewise with sign. A
 *              vpmaddwd of equal halves stays in its channel's int32 lane. As many multiplications as `pairs` has.
 *
 * A piece of a tile is 6, 5 or 4 pixels by 16 channels: 12, 10 or 8 sums, the unit's weights and what else a loop keeps fill
 * the 16 registers. Loads are then 8 for 12 multiplications of `narrow`. */
#include "runtime/kernels/bytes/bytes.h"
#include "runtime/kernels/piece.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { NARROW_PIXELS = 6, PAIRS_PIXELS = 5, WIDE_PIXELS = 4, TILE_PIXELS = 12 };

INLINE __m256i broadcast(const uint8_t *x) {
    int32_t unit;
    memcpy(&unit, x, sizeof(unit));
    return _mm256_set1_epi32(unit);
}

INLINE __m256i load(const void *from) {
    return _mm256_loadu_si256(from);
}

/* Pixel p: two pointers reach six pixels with the address modes base + {0, 1, 2} * step. */
INLINE const uint8_t *pixel(const uint8_t *const *x, size_t step, const int p) {
    return x[p / 3] + (size_t)(p % 3) * step;
}

INLINE void load_sums(const crumb_piece *t, __m256i *sum, const int pixels) {
#pragma GCC unroll 16
    for (int i = 0; i < 2 * pixels; i++) {
        sum[i] = load(t->acc + (size_t)(i / 2) * t->lanes + i % 2 * 8);
    }
}

INLINE void store_sums(const crumb_piece *t, const __m256i *sum, const int pixels) {
#pragma GCC unroll 16
    for (int i = 0; i < 2 * pixels; i++) {
        _mm256_storeu_si256((__m256i *)(void *)(t->acc + (size_t)(i / 2) * t->lanes + i % 2 * 8), sum[i]);
    }
}

/* sum (int16) is added to the sums in memory and becomes 0. */
INLINE void empty(const crumb_piece *t, __m256i *sum, const int pixels) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 16
    for (int i = 0; i < 2 * pixels; i++) {
        __m256i *to = (__m256i *)(void *)(t->acc + (size_t)(i / 2) * t->lanes + i % 2 * 8);
        _mm256_storeu_si256(to, _mm256_add_epi32(load(to), _mm256_madd_epi16(sum[i], ones)));
        sum[i] = _mm256_setzero_si256();
    }
}

INLINE void narrow(const crumb_piece *t, const int pixels) {
    __m256i sum[2 * NARROW_PIXELS];
#pragma GCC unroll 16
    for (int i = 0; i < 2 * pixels; i++) {
        sum[i] = _mm256_setzero_si256();
    }
    const uint8_t *w = t->weight;
    const int32_t limit = crumb_bytes_pairs(t->frame);
    int32_t left = limit;
    for (int32_t s = 0; s < t->frame->segments; s++) {
        const uint8_t *x[2] = {t->x + crumb_frame_segment(t->frame, s), NULL};
        x[1] = x[0] + 3 * t->step;
        for (int32_t units = t->frame->units, count; units > 0; units -= count) {
            count = units < left ? units : left;
            for (int32_t u = 0; u < count; u++) {
                const __m256i w0 = load(w), w1 = load(w + 32);
#pragma GCC unroll 8
                for (int p = 0; p < pixels; p++) {
                    const __m256i in = broadcast(pixel(x, t->step, p));
                    sum[2 * p] = _mm256_add_epi16(sum[2 * p], _mm256_maddubs_epi16(in, w0));
                    sum[2 * p + 1] = _mm256_add_epi16(sum[2 * p + 1], _mm256_maddubs_epi16(in, w1));
                }
                x[0] += 4;
                x[1] += 4;
                w += t->row;
            }
            left -= count;
            if (left == 0) {
                empty(t, sum, pixels);
                left = limit;
            }
        }
    }
    empty(t, sum, pixels);
}

INLINE void pairs(const crumb_piece *t, const int pixels) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[2 * PAIRS_PIXELS];
    load_sums(t, sum, pixels);
    const uint8_t *w = t->weight;
    for (int32_t s = 0; s < t->frame->segments; s++) {
        const uint8_t *x[2] = {t->x + crumb_frame_segment(t->frame, s), NULL};
        x[1] = x[0] + 3 * t->step;
        for (int32_t u = 0; u < t->frame->units; u++) {
            const __m256i w0 = load(w), w1 = load(w + 32);
#pragma GCC unroll 8
            for (int p = 0; p < pixels; p++) {
                const __m256i in = broadcast(pixel(x, t->step, p));
                sum[2 * p] = _mm256_add_epi32(sum[2 * p], _mm256_madd_epi16(_mm256_maddubs_epi16(in, w0), ones));
                sum[2 * p + 1] = _mm256_add_epi32(sum[2 * p + 1], _mm256_madd_epi16(_mm256_maddubs_epi16(in, w1), ones));
            }
            x[0] += 4;
            x[1] += 4;
            w += t->row;
        }
    }
    store_sums(t, sum, pixels);
}

INLINE void wide(const crumb_piece *t, const int pixels) {
    const __m256i low = _mm256_set1_epi16(255);
    __m256i sum[2 * WIDE_PIXELS];
    load_sums(t, sum, pixels);
    const uint8_t *w = t->weight;
    for (int32_t s = 0; s < t->frame->segments; s++) {
        const uint8_t *x[2] = {t->x + crumb_frame_segment(t->frame, s), NULL};
        x[1] = x[0] + 3 * t->step;
        for (int32_t u = 0; u < t->frame->units; u++) {
            const __m256i w0 = load(w), w1 = load(w + 32);
            const __m256i even0 = _mm256_srai_epi16(_mm256_slli_epi16(w0, 8), 8), odd0 = _mm256_srai_epi16(w0, 8);
            const __m256i even1 = _mm256_srai_epi16(_mm256_slli_epi16(w1, 8), 8), odd1 = _mm256_srai_epi16(w1, 8);
#pragma GCC unroll 8
            for (int p = 0; p < pixels; p++) {
                const __m256i in = broadcast(pixel(x, t->step, p));
                const __m256i even = _mm256_and_si256(in, low), odd = _mm256_srli_epi16(in, 8);
                sum[2 * p] = _mm256_add_epi32(sum[2 * p], _mm256_madd_epi16(even, even0));
                sum[2 * p + 1] = _mm256_add_epi32(sum[2 * p + 1], _mm256_madd_epi16(even, even1));
                sum[2 * p] = _mm256_add_epi32(sum[2 * p], _mm256_madd_epi16(odd, odd0));
                sum[2 * p + 1] = _mm256_add_epi32(sum[2 * p + 1], _mm256_madd_epi16(odd, odd1));
            }
            x[0] += 4;
            x[1] += 4;
            w += t->row;
        }
    }
    store_sums(t, sum, pixels);
}

static void narrow_piece(const crumb_piece *t) {
    switch (t->pixels) {
    case 1:
        narrow(t, 1);
        break;
    case 2:
        narrow(t, 2);
        break;
    case 3:
        narrow(t, 3);
        break;
    case 4:
        narrow(t, 4);
        break;
    case 5:
        narrow(t, 5);
        break;
    case 6:
        narrow(t, 6);
        break;
    }
}

static void pairs_piece(const crumb_piece *t) {
    switch (t->pixels) {
    case 1:
        pairs(t, 1);
        break;
    case 2:
        pairs(t, 2);
        break;
    case 3:
        pairs(t, 3);
        break;
    case 4:
        pairs(t, 4);
        break;
    case 5:
        pairs(t, 5);
        break;
    }
}

static void wide_piece(const crumb_piece *t) {
    switch (t->pixels) {
    case 1:
        wide(t, 1);
        break;
    case 2:
        wide(t, 2);
        break;
    case 3:
        wide(t, 3);
        break;
    case 4:
        wide(t, 4);
        break;
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t limit = crumb_bytes_pairs(frame);
    if (limit >= 3) {
        crumb_piece_each(frame, t, narrow_piece, NARROW_PIXELS);
    } else if (limit > 0) {
        crumb_piece_each(frame, t, pairs_piece, PAIRS_PIXELS);
    } else {
        crumb_piece_each(frame, t, wide_piece, WIDE_PIXELS);
    }
}

static const crumb_frame_family family = {
    .stage = crumb_bytes_stage, .tile = tile, .pixels = {0, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS}};

const crumb_conv_kernel crumb_conv_bytes__avx2 = {
    .name = "conv_i32_u8_s8__avx2",
    .family = "bytes",
    .cpu = CRUMB_CPU_AVX2,
    .supports = crumb_bytes_supports,
    .prepare = crumb_bytes_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
