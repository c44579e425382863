/* AVX2 for the family "tables", linear layers: a product of a matrix and a vector is as fast as its panel is read, and this
 * panel has 16 (2 levels: 32) times fewer bytes than the floats that real__avx2.c multiplies. Convolutions are faster there.
 *
 * A table of 16 floats is two registers. vpermps picks from each by the lowest three bits of the panel's words, vblendvps
 * chooses by the fourth, shifted to the sign: six instructions for 8 channels' groups. The panel is read in order: a word of 8
 * units is done for 32 channels, their sums in registers, then for the next 32; between words the sums lie in memory. */
#include "runtime/kernels/tables/tables.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { PIXELS = 8, VECTORS = 4, LANES = 8 };

/* ---- Staging */

INLINE __m256 half_table(const crumb_tables *tables, const float *x, const int group, const int half) {
    __m256 sum = _mm256_mul_ps(_mm256_broadcast_ss(x), _mm256_loadu_ps(tables->code[0] + LANES * half));
#pragma GCC unroll 4
    for (int i = 1; i < group; i++) {
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(x + i), _mm256_loadu_ps(tables->code[i] + LANES * half), sum);
    }
    return sum;
}

INLINE void stage_group(const crumb_tables *tables, float *to, const float *x, const int group) {
    _mm256_storeu_ps(to, half_table(tables, x, group, 0));
    _mm256_storeu_ps(to + LANES, half_table(tables, x, group, 1));
}

INLINE void stage_all(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels, const int group) {
    const crumb_tables *tables = (const crumb_tables *)(const void *)frame;
    const int32_t in = frame->in, whole = in / group * group;
    const float *x = (const float *)(const void *)src;
    float *to = (float *)(void *)dst;
    for (int32_t p = 0; p < pixels; p++, x += frame->problem.channels) {
        for (int32_t c = 0; c < whole; c += group, to += CRUMB_TABLES_ENTRIES) {
            stage_group(tables, to, x + c, group);
        }
        if (whole < in) {
            float last[4] = {0};
            memcpy(last, x + whole, (size_t)(in - whole) * sizeof(*x));
            stage_group(tables, to, last, group);
            to += CRUMB_TABLES_ENTRIES;
        }
    }
}

static void stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    if (frame->problem.w.levels == 2) {
        stage_all(frame, dst, src, pixels, 4);
    } else {
        stage_all(frame, dst, src, pixels, 2);
    }
}

/* ---- Tiles */

/* One word of `units` units for LANES * vectors channels of a pixel. */
INLINE void add_word(float *acc, const uint8_t *w, const float *x, int32_t units, const int vectors) {
    __m256 sum[VECTORS];
    __m256i number[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        sum[v] = _mm256_loadu_ps(acc + LANES * v);
        number[v] = _mm256_loadu_si256((const __m256i *)(const void *)(w + 4 * LANES * v));
    }
    for (int32_t u = 0; u < units; u++, x += CRUMB_TABLES_ENTRIES) {
        const __m256 low = _mm256_loadu_ps(x), high = _mm256_loadu_ps(x + LANES);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const __m256 fourth = _mm256_castsi256_ps(_mm256_slli_epi32(number[v], 28));
            const __m256 first = _mm256_permutevar8x32_ps(low, number[v]);
            const __m256 second = _mm256_permutevar8x32_ps(high, number[v]);
            sum[v] = _mm256_add_ps(sum[v], _mm256_blendv_ps(first, second, fourth));
            number[v] = _mm256_srli_epi32(number[v], 4);
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        _mm256_storeu_ps(acc + LANES * v, sum[v]);
    }
}

/* `units` units of all the tile's pixels and channels; returns what follows in the panel. */
static const uint8_t *add_units(float *acc, const crumb_frame_tile *t, const uint8_t *x, const uint8_t *w, int32_t units) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t left = units, n; left > 0; left -= n) {
        n = left < CRUMB_TABLES_WORD ? left : CRUMB_TABLES_WORD;
        for (int32_t p = 0; p < t->pixels; p++) {
            const float *table = (const float *)(const void *)(x + (size_t)p * t->step);
            float *to = acc + (size_t)p * (size_t)lanes;
            int32_t c = 0;
            for (; c + VECTORS * LANES <= lanes; c += VECTORS * LANES) {
                add_word(to + c, w + 4 * c, table, n, VECTORS);
            }
            if (c < lanes) {
                add_word(to + c, w + 4 * c, table, n, VECTORS / 2);
            }
        }
        x += (size_t)n * CRUMB_TABLES_ENTRIES * sizeof(float);
        w += 4 * (size_t)lanes;
    }
    return w;
}

static void add_scaled(float *acc, const float *sum, const uint8_t *scale, int32_t pixels, int32_t lanes) {
    for (int32_t p = 0; p < pixels; p++, acc += lanes, sum += lanes) {
        for (int32_t c = 0; c < lanes; c += LANES) {
            const __m256 by = _mm256_loadu_ps((const float *)(const void *)scale + c);
            _mm256_storeu_ps(acc + c, _mm256_fmadd_ps(_mm256_loadu_ps(sum + c), by, _mm256_loadu_ps(acc + c)));
        }
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    const size_t sums = (size_t)(t->pixels * lanes);
    const uint8_t *w = t->weight, *x = t->x;
    memset(t->acc, 0, sums * sizeof(float));
    if (!crumb_frame_scaled(frame)) {
        for (int32_t s = 0; s < frame->segments; s++) {
            w = add_units(t->acc, t, x + crumb_frame_segment(frame, s), w, frame->units);
        }
        return;
    }
    for (int32_t left = frame->units, n; left > 0; left -= n) {
        float sum[PIXELS * CRUMB_FRAME_BLOCK];
        const uint8_t *scale = w;
        n = left < frame->group_units ? left : frame->group_units;
        memset(sum, 0, sums * sizeof(float));
        w = add_units(sum, t, x, w + 4 * (size_t)lanes, n);
        add_scaled(t->acc, sum, scale, t->pixels, lanes);
        x += (size_t)n * CRUMB_TABLES_ENTRIES * sizeof(float);
    }
}

static bool supports(const crumb_conv_problem *problem) {
    return problem->out_height * problem->out_width == 1 && crumb_tables_supports(problem);
}

static const crumb_tables_family family = {
    .frame = {.stage = stage, .tile = tile, .pixels = {0, PIXELS, PIXELS, PIXELS, PIXELS, PIXELS, PIXELS, PIXELS, PIXELS}}};

const crumb_conv_kernel crumb_conv_tables__avx2 = {
    .name = "conv_f32_f32_few__avx2",
    .family = "tables",
    .cpu = CRUMB_CPU_AVX2,
    .supports = supports,
    .prepare = crumb_tables_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
