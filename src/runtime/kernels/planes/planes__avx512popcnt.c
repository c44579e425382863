/* AVX-512 VPOPCNTDQ for the family "planes": eight channels' words a vector, a pixel's word broadcast to all.
 *
 * A tile has rows, the planes of x of its pixels, and columns, vectors of 8 channels; 6 rows by 4 columns, or 12 by 2, keep 24
 * counts in registers. A word costs a load and a broadcast a row, a load a column, and rows * columns times xor, vpopcntq and
 * vpaddq: three instructions for Zen 5's four vector ports, of which two count: 1.33 triples a cycle at
 * the most, 680 products of one bit. Counts of planes of x are added with their shifts at the end, planes of w one after the
 * other into the tile. */
#include "runtime/kernels/planes/planes.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { COUNTS = 24, ROWS = 12 };

/* ---- Staging: comparing 64 indices' bits gives 64 bits */

INLINE void stage_bits(uint8_t *dst, const uint8_t *src, size_t count, const __m512i bit) {
    for (size_t i = 0; i < count; i += 64) {
        const size_t left = count - i < 64 ? count - i : 64;
        const __m512i in = _mm512_maskz_loadu_epi8(~0ull >> (64 - left), src + i);
        const uint64_t word = _mm512_test_epi8_mask(in, bit);
        memcpy(dst + i / 8, &word, (left + 7) / 8);
    }
}

static void stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const crumb_planes_plan *plan = &((const crumb_planes *)(const void *)frame)->plan;
    const size_t in = (size_t)frame->in, used = (in + 7) / 8, bytes = (size_t)plan->plane_bytes;
    if (plan->packed && frame->in == frame->problem.channels) {
        stage_bits(dst, src, in * (size_t)pixels, _mm512_set1_epi8(1));
        return;
    }
    for (int32_t p = 0; p < pixels; p++, src += frame->problem.channels) {
        for (int32_t k = 0; k < plan->x; k++, dst += bytes) {
            stage_bits(dst, src, in, _mm512_set1_epi8((char)(1 << k)));
            memset(dst + used, 0, bytes - used);
        }
    }
}

/* ---- Tiles */

INLINE __m512i load(const uint8_t *x) {
    int64_t word;
    memcpy(&word, x, sizeof(word));
    return _mm512_set1_epi64(word);
}

/* 0x28: (a ^ b) & c. */
INLINE void add_word(__m512i *count, const uint8_t *const *x, size_t at, const uint8_t *w, __m512i mask, const int rows,
                     const int columns, const bool xor, const bool masked) {
    __m512i weight[4];
#pragma GCC unroll 4
    for (int v = 0; v < columns; v++) {
        weight[v] = _mm512_load_si512(w + 64 * v);
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        const __m512i in = load(x[r] + at);
#pragma GCC unroll 4
        for (int v = 0; v < columns; v++) {
            const __m512i both = !xor     ? _mm512_and_si512(in, weight[v])
                                 : masked ? _mm512_ternarylogic_epi64(in, weight[v], mask, 0x28)
                                          : _mm512_xor_si512(in, weight[v]);
            count[r * columns + v] = _mm512_add_epi64(count[r * columns + v], _mm512_popcnt_epi64(both));
        }
    }
}

INLINE const uint8_t *count_plane(const crumb_planes *planes, __m512i *count, const uint8_t *const *row, const uint8_t *w,
                                  const int rows, const int columns, const bool xor) {
    const crumb_frame *frame = &planes->frame;
    const size_t words = (size_t)planes->plan.words;
    const __m512i last = _mm512_set1_epi64((int64_t)planes->last);
#pragma GCC unroll 24
    for (int i = 0; i < rows * columns; i++) {
        count[i] = _mm512_setzero_si512();
    }
    for (int32_t s = 0; s < frame->segments; s++) {
        size_t at = crumb_frame_segment(frame, s);
        for (int32_t run = 0; run < planes->plan.runs; run++, at += (size_t)frame->pixel_bytes) {
            const size_t end = at + 8 * (words - 1);
            for (size_t u = at; u < end; u += 8, w += 64 * columns) {
                add_word(count, row, u, w, last, rows, columns, xor, false);
            }
            add_word(count, row, end, w, last, rows, columns, xor, true);
            w += 64 * columns;
        }
    }
    return w;
}

/* The tile gets factor * sum of shifted counts, onto the constants or what it has. */
INLINE void fold(const crumb_planes *planes, const crumb_frame_tile *t, const __m512i *count, int32_t j, const int rows,
                 const int columns) {
    const __m256i factor = _mm256_set1_epi32(planes->factor[j]);
    __m512i sum[4];
    int32_t *acc = t->acc;
    int plane = 0;
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < columns; v++) {
            const __m512i shifted = _mm512_sll_epi64(count[r * columns + v], _mm_cvtsi32_si128(plane));
            sum[v] = plane == 0 ? shifted : _mm512_add_epi64(sum[v], shifted);
        }
        if (++plane < planes->plan.x) {
            continue;
        }
#pragma GCC unroll 4
        for (int v = 0; v < columns; v++) {
            const __m256i before = _mm256_loadu_si256((const void *)(j == 0 ? t->constant + 8 * v : acc + 8 * v));
            const __m256i here = _mm256_mullo_epi32(_mm512_cvtepi64_epi32(sum[v]), factor);
            _mm256_storeu_si256((void *)(acc + 8 * v), _mm256_add_epi32(before, here));
        }
        acc += 8 * columns;
        plane = 0;
    }
}

INLINE void run(const crumb_frame *frame, const crumb_frame_tile *t, const int rows, const int columns, const bool xor) {
    const crumb_planes *planes = (const crumb_planes *)(const void *)frame;
    const uint8_t *row[ROWS], *w = t->weight;
    __m512i count[COUNTS];
    const int32_t x = planes->plan.x;
    for (int r = 0, p = 0, k = 0; r < rows; r++) {
        row[r] = t->x + (size_t)p * t->step + (size_t)(k * planes->plan.plane_bytes);
        k = k + 1 == x ? 0 : k + 1;
        p += k == 0;
    }
    for (int32_t j = 0; j < planes->plan.w; j++) {
        w = count_plane(planes, count, row, w, rows, columns, xor);
        fold(planes, t, count, j, rows, columns);
    }
}

#define TILE(r, c)                                                                                                             \
    static void xor_##r##x##c(const crumb_frame *frame, const crumb_frame_tile *t) {                                           \
        run(frame, t, r, c, true);                                                                                             \
    }                                                                                                                          \
    static void and_##r##x##c(const crumb_frame *frame, const crumb_frame_tile *t) {                                           \
        run(frame, t, r, c, false);                                                                                            \
    }
/* clang-format off */
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
TILE(1, 4)
TILE(2, 4)
TILE(3, 4)
TILE(4, 4)
TILE(5, 4)
TILE(6, 4)
/* clang-format on */

typedef void tile_fn(const crumb_frame *frame, const crumb_frame_tile *t);

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    static tile_fn *const tiles[2][2][ROWS + 1] = {
        {{NULL, xor_1x2, xor_2x2, xor_3x2, xor_4x2, xor_5x2, xor_6x2, xor_7x2, xor_8x2, xor_9x2, xor_10x2, xor_11x2, xor_12x2},
         {NULL, xor_1x4, xor_2x4, xor_3x4, xor_4x4, xor_5x4, xor_6x4}},
        {{NULL, and_1x2, and_2x2, and_3x2, and_4x2, and_5x2, and_6x2, and_7x2, and_8x2, and_9x2, and_10x2, and_11x2, and_12x2},
         {NULL, and_1x4, and_2x4, and_3x4, and_4x4, and_5x4, and_6x4}},
    };
    const crumb_planes_plan *plan = &((const crumb_planes *)(const void *)frame)->plan;
    tiles[!plan->xor ][t->blocks - 1][t->pixels * plan->x](frame, t);
}

/* Where it beats the others. A triple takes 1.6 times a vpdpbusd; with what a tile costs besides, 2.2 (crumb bench kernels). Of
 * four triples for 64 products the family "lookup" takes less time, but a panel of 8 bits for 2 or 3 weights: with one pixel,
 * reading it decides. */
enum { TRIPLE = 22, DOT = 10 };

static bool supports(const crumb_conv_problem *problem) {
    crumb_planes_plan plan;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    if (!crumb_planes_plan_make(&p, &plan)) {
        return false;
    }
    const int64_t in = p.channels / p.groups, planes = plan.x * plan.w, taps = p.dilation > 1 ? p.kernel_width : 1;
    const int64_t triples = 2 * planes * taps * plan.runs * plan.words, dots = (in * p.kernel_width + 3) / 4;
    return triples * TRIPLE < dots * DOT && (planes <= 3 || p.out_height * p.out_width == 1);
}

static const crumb_frame_family family[CRUMB_PLANES_X] = {
    {.stage = stage, .tile = tile, .pixels = {0, 12, 6}},
    {.stage = stage, .tile = tile, .pixels = {0, 6, 3}},
    {.stage = stage, .tile = tile, .pixels = {0, 4, 2}},
    {.stage = stage, .tile = tile, .pixels = {0, 3, 1}},
};

const crumb_conv_kernel crumb_conv_planes__avx512popcnt = {
    .name = "conv_i32_bits_bits__avx512popcnt",
    .family = "planes",
    .cpu = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512POPCNT,
    .supports = supports,
    .prepare = crumb_planes_prepare,
    .run = crumb_frame_run,
    .inner = family,
};
