/* AVX2 for the family "narrow": a word's indices of 16 channels become floats in a buffer of the first-level cache, which all
 * the tile's pixels then multiply with; sums lie in memory between words. */
#include "runtime/kernels/narrow/narrow.h"
#include "runtime/kernels/real/real.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { PIXELS = 8, LANES = 8 };

/* The first `units` units of 16 channels' words, [unit][channel]. */
INLINE void make_floats(const crumb_narrow *narrow, float *to, const uint8_t *w, int32_t units, const int bits) {
    const __m256 multiply = _mm256_set1_ps(narrow->multiply), offset = _mm256_set1_ps(narrow->offset);
    const __m256i mask = _mm256_set1_epi32((1 << bits) - 1);
    __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)w);
    __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(w + 4 * LANES));
    for (int32_t u = 0; u < units; u++, to += CRUMB_FRAME_LANES) {
        const __m256 a = _mm256_cvtepi32_ps(_mm256_and_si256(first, mask));
        const __m256 b = _mm256_cvtepi32_ps(_mm256_and_si256(second, mask));
        _mm256_storeu_ps(to, _mm256_fmadd_ps(a, multiply, offset));
        _mm256_storeu_ps(to + LANES, _mm256_fmadd_ps(b, multiply, offset));
        first = _mm256_srli_epi32(first, bits);
        second = _mm256_srli_epi32(second, bits);
    }
}

INLINE void add_products(float *acc, const float *x, const float *weight, int32_t units) {
    __m256 first = _mm256_loadu_ps(acc), second = _mm256_loadu_ps(acc + LANES);
    for (int32_t u = 0; u < units; u++, weight += CRUMB_FRAME_LANES) {
        const __m256 one = _mm256_broadcast_ss(x + u);
        first = _mm256_fmadd_ps(one, _mm256_loadu_ps(weight), first);
        second = _mm256_fmadd_ps(one, _mm256_loadu_ps(weight + LANES), second);
    }
    _mm256_storeu_ps(acc, first);
    _mm256_storeu_ps(acc + LANES, second);
}

/* `units` units of all the tile's pixels and channels; returns what follows in the panel. */
static const uint8_t *add_units(const crumb_narrow *narrow, float *acc, const crumb_frame_tile *t, const uint8_t *x,
                                const uint8_t *w, int32_t units) {
    const size_t lanes = (size_t)t->blocks * CRUMB_FRAME_LANES;
    float weight[CRUMB_NARROW_UNITS * CRUMB_FRAME_LANES];
    for (int32_t left = units, n; left > 0; left -= n, x += (size_t)n * sizeof(float)) {
        n = left < narrow->word ? left : narrow->word;
        for (int32_t b = 0; b < t->blocks; b++, w += 4 * CRUMB_FRAME_LANES) {
            if (narrow->bits == 4) {
                make_floats(narrow, weight, w, n, 4);
            } else {
                make_floats(narrow, weight, w, n, 8);
            }
            for (int32_t p = 0; p < t->pixels; p++) {
                const float *from = (const float *)(const void *)(x + (size_t)p * t->step);
                add_products(acc + (size_t)p * lanes + b * CRUMB_FRAME_LANES, from, weight, n);
            }
        }
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
    const crumb_narrow *narrow = (const crumb_narrow *)(const void *)frame;
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    const size_t sums = (size_t)(t->pixels * lanes);
    const uint8_t *w = t->weight, *x = t->x;
    memset(t->acc, 0, sums * sizeof(float));
    if (!crumb_frame_scaled(frame)) {
        for (int32_t s = 0; s < frame->segments; s++) {
            w = add_units(narrow, t->acc, t, x + crumb_frame_segment(frame, s), w, frame->units);
        }
        return;
    }
    for (int32_t left = frame->units, n; left > 0; left -= n) {
        float sum[PIXELS * CRUMB_FRAME_BLOCK];
        const uint8_t *scale = w;
        n = left < frame->group_units ? left : frame->group_units;
        memset(sum, 0, sums * sizeof(float));
        w = add_units(narrow, sum, t, x, w + 4 * (size_t)lanes, n);
        add_scaled(t->acc, sum, scale, t->pixels, lanes);
        x += (size_t)n * sizeof(float);
    }
}

static const crumb_frame_family family = {
    .stage = crumb_real_stage, .tile = tile, .pixels = {0, PIXELS, PIXELS, PIXELS, PIXELS, PIXELS, PIXELS, PIXELS, PIXELS}};

const crumb_conv_kernel crumb_conv_narrow__avx2 = {
    .name = "conv_f32_f32_narrow__avx2",
    .family = "narrow",
    .cpu = CRUMB_CPU_AVX2,
    .supports = crumb_narrow_supports,
    .prepare = crumb_narrow_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
