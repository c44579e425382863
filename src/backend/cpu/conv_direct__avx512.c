/* The AVX-512 kernels of conv_direct.h. This file alone is compiled with -mavx512f; see the header for
 * what the kernels compute and for the count of loads that shaped them. */
#include "backend/cpu/conv_direct.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
enum { LANES = CRUMB_CONV_LANES, PIXELS = 16 };

INLINE void tile_begin(const crumb_conv_tile *t, __m512 *acc, const int tr, const int tp) {
    __m512 start = t->bias ? _mm512_maskz_loadu_ps(t->lanes, t->bias) : _mm512_setzero_ps();
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; p++) {
        acc[p] = start;
    }
    if (!t->accumulate) {
        return;
    }
#pragma GCC unroll 2
    for (int r = 0; r < tr; r++) {
#pragma GCC unroll 16
        for (int p = 0; p < tp; p++) {
            if (r < t->rows && p < t->cols) {
                acc[r * tp + p] = _mm512_maskz_loadu_ps(t->lanes, t->y + (size_t)r * t->y_row + (size_t)p * t->y_px);
            }
        }
    }
}

INLINE void tile_end(const crumb_conv_tile *t, const __m512 *acc, const int tr, const int tp) {
    if (t->rows >= tr && t->cols >= tp && t->lanes == 0xffff) {
#pragma GCC unroll 16
        for (int p = 0; p < PIXELS; p++) {
            _mm512_storeu_ps(t->y + (size_t)(p / tp) * t->y_row + (size_t)(p % tp) * t->y_px, acc[p]);
        }
        return;
    }
#pragma GCC unroll 16
    for (int p = 0; p < PIXELS; p++) {
        if (p / tp < t->rows && p % tp < t->cols) {
            _mm512_mask_storeu_ps(t->y + (size_t)(p / tp) * t->y_row + (size_t)(p % tp) * t->y_px, t->lanes, acc[p]);
        }
    }
}

/* The inputs of a tile row are taken in steps of a third of the row, so that two updates of the same
 * accumulator are several instructions apart and the four-cycle latency of the multiply-add is hidden. */
INLINE void tile_channel(__m512 *acc, const float *x, size_t x_tile_row, const float *w, const int tr, const int tp,
                         const int kw, const int sw) {
    const int inputs = (tp - 1) * sw + kw, step = (inputs + 2) / 3;
    __m512 weight[3];
#pragma GCC unroll 3
    for (int k = 0; k < kw; k++) {
        weight[k] = _mm512_loadu_ps(w + k * LANES);
    }
#pragma GCC unroll 2
    for (int r = 0; r < tr; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < step; i++) {
#pragma GCC unroll 3
            for (int j = i; j < inputs; j += step) {
                __m512 b = _mm512_set1_ps(x[(size_t)r * x_tile_row + (size_t)(j * LANES)]);
#pragma GCC unroll 3
                for (int k = 0; k < kw; k++) {
                    if (j >= k && (j - k) % sw == 0 && (j - k) / sw < tp) {
                        int p = r * tp + (j - k) / sw;
                        acc[p] = _mm512_fmadd_ps(b, weight[k], acc[p]);
                    }
                }
            }
        }
    }
}

INLINE void tile_run(const crumb_conv_tile *t, const int tr, const int tp, const int kw, const int sw) {
    __m512 acc[PIXELS];
    const float *w = t->w;
    tile_begin(t, acc, tr, tp);
    for (int c0 = 0; c0 < t->c; c0 += LANES) {
        const int channels = t->c - c0 < LANES ? t->c - c0 : LANES;
        const float *x = t->x + (size_t)(c0 / LANES) * t->x_block;
        for (int kh = 0; kh < t->kh; kh++, x += t->x_row) {
            for (int c = 0; c < channels; c++, w += kw * LANES) {
                tile_channel(acc, x + c, t->x_tile_row, w, tr, tp, kw, sw);
            }
        }
    }
    tile_end(t, acc, tr, tp);
}

static void tile_1x16_k1_s1(const crumb_conv_tile *t) {
    tile_run(t, 1, 16, 1, 1);
}
static void tile_1x16_k2_s1(const crumb_conv_tile *t) {
    tile_run(t, 1, 16, 2, 1);
}
static void tile_1x16_k3_s1(const crumb_conv_tile *t) {
    tile_run(t, 1, 16, 3, 1);
}
static void tile_1x16_k1_s2(const crumb_conv_tile *t) {
    tile_run(t, 1, 16, 1, 2);
}
static void tile_1x16_k2_s2(const crumb_conv_tile *t) {
    tile_run(t, 1, 16, 2, 2);
}
static void tile_1x16_k3_s2(const crumb_conv_tile *t) {
    tile_run(t, 1, 16, 3, 2);
}
static void tile_2x8_k1_s1(const crumb_conv_tile *t) {
    tile_run(t, 2, 8, 1, 1);
}
static void tile_2x8_k2_s1(const crumb_conv_tile *t) {
    tile_run(t, 2, 8, 2, 1);
}
static void tile_2x8_k3_s1(const crumb_conv_tile *t) {
    tile_run(t, 2, 8, 3, 1);
}
static void tile_2x8_k1_s2(const crumb_conv_tile *t) {
    tile_run(t, 2, 8, 1, 2);
}
static void tile_2x8_k2_s2(const crumb_conv_tile *t) {
    tile_run(t, 2, 8, 2, 2);
}
static void tile_2x8_k3_s2(const crumb_conv_tile *t) {
    tile_run(t, 2, 8, 3, 2);
}

INLINE const char *prefetch(const char *next, size_t lines) {
    for (size_t i = 0; i < lines; i++, next += 64) {
        _mm_prefetch(next, _MM_HINT_T1);
    }
    return next;
}

INLINE void grad_run(const crumb_conv_grad *g, const int sw) {
    __m512 acc[24];
#pragma GCC unroll 24
    for (int i = 0; i < 24; i++) {
        acc[i] = _mm512_loadu_ps(g->acc + i * LANES);
    }
    const char *next = g->next;
    for (int64_t r = 0; r < g->images * g->rows; r++) {
        const size_t image = (size_t)(r / g->rows), row = (size_t)(r % g->rows);
        const float *x = g->x + image * g->x_image + row * g->x_tile_row;
        const float *dy = g->dy + image * g->dy_image + row * g->dy_row;
        next = prefetch(next, g->next_lines);
        for (int64_t p = 0; p < g->cols; p++, x += sw * LANES, dy += g->dy_px) {
            __m512 x0 = _mm512_loadu_ps(x), x1 = _mm512_loadu_ps(x + LANES), x2 = _mm512_loadu_ps(x + 2 * LANES);
#pragma GCC unroll 8
            for (int o = 0; o < 8; o++) {
                __m512 b = _mm512_set1_ps(dy[o]);
                acc[o] = _mm512_fmadd_ps(b, x0, acc[o]);
                acc[8 + o] = _mm512_fmadd_ps(b, x1, acc[8 + o]);
                acc[16 + o] = _mm512_fmadd_ps(b, x2, acc[16 + o]);
            }
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < 24; i++) {
        _mm512_storeu_ps(g->acc + i * LANES, acc[i]);
    }
}

static void grad_s1(const crumb_conv_grad *g) {
    grad_run(g, 1);
}
static void grad_s2(const crumb_conv_grad *g) {
    grad_run(g, 2);
}

INLINE void grad_small_run(const crumb_conv_grad *g, const int sw) {
    __m512 acc[27];
#pragma GCC unroll 27
    for (int i = 0; i < 27; i++) {
        acc[i] = _mm512_loadu_ps(g->acc + i * LANES);
    }
    const char *next = g->next;
    for (int64_t r = 0; r < g->images * g->rows; r++) {
        const size_t image = (size_t)(r / g->rows), row = (size_t)(r % g->rows);
        const float *x = g->x + image * g->x_image + row * g->x_tile_row;
        const float *dy = g->dy + image * g->dy_image + row * g->dy_row;
        next = prefetch(next, g->next_lines);
        const float *x1 = x + g->x_row, *x2 = x1 + g->x_row;
        for (int64_t p = 0; p < g->cols; p++, dy += g->dy_px) {
            __m512 d = _mm512_maskz_loadu_ps(g->lanes, dy);
#pragma GCC unroll 9
            for (int i = 0; i < 9; i++) {
                const int at = i / 3 * LANES + i % 3;
                acc[i] = _mm512_fmadd_ps(_mm512_set1_ps(x[at]), d, acc[i]);
                acc[9 + i] = _mm512_fmadd_ps(_mm512_set1_ps(x1[at]), d, acc[9 + i]);
                acc[18 + i] = _mm512_fmadd_ps(_mm512_set1_ps(x2[at]), d, acc[18 + i]);
            }
            x += sw * LANES;
            x1 += sw * LANES;
            x2 += sw * LANES;
        }
    }
#pragma GCC unroll 27
    for (int i = 0; i < 27; i++) {
        _mm512_storeu_ps(g->acc + i * LANES, acc[i]);
    }
}

static void grad_small_s1(const crumb_conv_grad *g) {
    grad_small_run(g, 1);
}
static void grad_small_s2(const crumb_conv_grad *g) {
    grad_small_run(g, 2);
}

static void zero_pixels(float *dst, int64_t pixels) {
    for (int64_t p = 0; p < pixels; p++) {
        _mm512_storeu_ps(dst + p * LANES, _mm512_setzero_ps());
    }
}

static void fill(const crumb_conv_fill *f) {
    const int64_t left = f->col0 < 0 ? (-f->col0 < f->width ? -f->col0 : f->width) : 0;
    const int64_t first = f->col0 + left; /* image column under scratch column "left" */
    const int64_t there = f->w - first > 0 ? f->w - first : 0;
    const int64_t count = there < f->width - left ? there : f->width - left;
    for (int64_t c0 = 0; c0 < f->c; c0 += LANES) {
        const __mmask16 lanes = f->c - c0 < LANES ? (__mmask16)((1u << (f->c - c0)) - 1) : (__mmask16)0xffff;
        float *dst = f->dst + c0 * f->rows * f->width;
        for (int64_t r = 0; r < f->rows; r++, dst += f->width * LANES) {
            const int64_t row = f->row0 + r;
            if (row < 0 || row >= f->h) {
                zero_pixels(dst, f->width);
                continue;
            }
            const float *src = f->src + (row * f->w + first) * f->c + c0;
            zero_pixels(dst, left);
            for (int64_t p = 0; p < count; p++) {
                _mm512_storeu_ps(dst + (left + p) * LANES, _mm512_maskz_loadu_ps(lanes, src + p * f->c));
            }
            zero_pixels(dst + (left + count) * LANES, f->width - left - count);
        }
    }
}

/* Four rounds of butterflies: after round k, rows that differ in bit k have exchanged that bit of the
 * column. Rounds on 4-byte and 8-byte pieces stay within 128-bit quarters, the last two move quarters. */
static void transpose(float *dst, size_t dst_step, const float *src, size_t src_step) {
    __m512 r[16], s[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) {
        r[i] = _mm512_loadu_ps(src + i * src_step);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        s[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            __m512d a = _mm512_castps_pd(s[i + j]), b = _mm512_castps_pd(s[i + j + 2]);
            r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512 a = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88), b = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd);
        __m512 c = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88), d = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);
        _mm512_storeu_ps(dst + (size_t)i * dst_step, _mm512_shuffle_f32x4(a, c, 0x88));
        _mm512_storeu_ps(dst + (size_t)(8 + i) * dst_step, _mm512_shuffle_f32x4(a, c, 0xdd));
        _mm512_storeu_ps(dst + (size_t)(4 + i) * dst_step, _mm512_shuffle_f32x4(b, d, 0x88));
        _mm512_storeu_ps(dst + (size_t)(12 + i) * dst_step, _mm512_shuffle_f32x4(b, d, 0xdd));
    }
}

static const crumb_conv_kernels kernels = {
    .name = "avx512",
    .tile = {{{tile_1x16_k1_s1, tile_1x16_k1_s2}, {tile_1x16_k2_s1, tile_1x16_k2_s2}, {tile_1x16_k3_s1, tile_1x16_k3_s2}},
             {{tile_2x8_k1_s1, tile_2x8_k1_s2}, {tile_2x8_k2_s1, tile_2x8_k2_s2}, {tile_2x8_k3_s1, tile_2x8_k3_s2}}},
    .grad = {grad_s1, grad_s2},
    .grad_small = {grad_small_s1, grad_small_s2},
    .fill = fill,
    .transpose = transpose,
};

const crumb_conv_kernels *crumb_conv_kernels__avx512(void) {
    return __builtin_cpu_supports("avx512f") ? &kernels : NULL;
}
