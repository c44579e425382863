/* AVX-512 for the family "depthwise": 16 channels a vector, vpmaddwd and vpaddd for two taps of codes, vfmadd for one of
 * floats. A tap's weights are loaded once for four pixels; the pixels themselves, a load for each product, are what the two
 * load ports allow: 64 multiply-adds of codes a cycle at the most, 32 of floats. The last vector of channels is masked. */
#include "runtime/kernels/depthwise/depthwise.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

enum { PIXELS = 4 };

typedef enum kind { CODES, FUSED, APART } kind;

/* 16-bit codes of 16 indices in the lower halves of 32-bit lanes. */
INLINE __m512i codes_of(const uint8_t *index, __mmask16 channels, __m512i multiply, __m512i offset) {
    const __m512i i = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(channels, index));
    return _mm512_and_si512(_mm512_add_epi32(_mm512_madd_epi16(i, multiply), offset), _mm512_set1_epi32(0xffff));
}

static void pair(const crumb_packed_codes *x, int16_t *dst, const uint8_t *low, const uint8_t *high, int32_t channels) {
    const __m512i multiply = _mm512_set1_epi32(x->multiply & 0xffff), offset = _mm512_set1_epi32(x->offset);
    for (int32_t c = 0; c < channels; c += CRUMB_FRAME_LANES) {
        const int32_t left = channels - c < CRUMB_FRAME_LANES ? channels - c : CRUMB_FRAME_LANES;
        const __mmask16 mask = (__mmask16)((1u << left) - 1);
        __m512i both = low != NULL ? codes_of(low + c, mask, multiply, offset) : _mm512_setzero_si512();
        if (high != NULL) {
            both = _mm512_or_si512(both, _mm512_slli_epi32(codes_of(high + c, mask, multiply, offset), 16));
        }
        _mm512_mask_storeu_epi32(dst + 2 * c, mask, both);
    }
}

INLINE __m512i add(__m512i acc, __m512i x, __m512i w, const kind how) {
    if (how == CODES) {
        return _mm512_add_epi32(acc, _mm512_madd_epi16(x, w));
    }
    const __m512 a = _mm512_castsi512_ps(acc), v = _mm512_castsi512_ps(x), k = _mm512_castsi512_ps(w);
    return _mm512_castps_si512(how == FUSED ? _mm512_fmadd_ps(v, k, a) : _mm512_add_ps(a, _mm512_mul_ps(v, k)));
}

/* `pixels` pixels of 16 channels. */
INLINE void sixteen(const crumb_frame *frame, const crumb_frame_tile *t, int32_t *acc, const uint8_t *x, const uint8_t *w,
                    __mmask16 mask, const int pixels, const kind how) {
    const crumb_depthwise *d = (const crumb_depthwise *)(const void *)frame;
    const size_t lanes = (size_t)t->blocks * CRUMB_FRAME_LANES, column = (how == CODES ? 2 : 1) * frame->segment_column;
    __m512i sum[PIXELS];
#pragma GCC unroll 4
    for (int p = 0; p < pixels; p++) {
        sum[p] = _mm512_setzero_si512();
    }
    for (int32_t kh = 0; kh < frame->problem.kernel_height; kh++, x += frame->segment_row) {
        const uint8_t *in = x;
        for (int32_t k = 0; k < d->pairs; k++, in += column, w += 4 * lanes) {
            const __m512i weight = _mm512_loadu_si512(w);
#pragma GCC unroll 4
            for (int p = 0; p < pixels; p++) {
                sum[p] = add(sum[p], _mm512_maskz_loadu_epi32(mask, in + (size_t)p * t->step), weight, how);
            }
        }
    }
#pragma GCC unroll 4
    for (int p = 0; p < pixels; p++) {
        _mm512_storeu_si512(acc + (size_t)p * lanes, sum[p]);
    }
}

INLINE void run(const crumb_frame *frame, const crumb_frame_tile *t, const kind how) {
    const int32_t first = crumb_depthwise_channel(frame, t), lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t c = 0; c < lanes; c += CRUMB_FRAME_LANES) {
        const int32_t left = frame->out - first - c, used = left < CRUMB_FRAME_LANES ? left : CRUMB_FRAME_LANES;
        const __mmask16 mask = (__mmask16)((1u << used) - 1);
        const uint8_t *x = t->x + 4 * (size_t)(first + c), *w = t->weight + 4 * (size_t)c;
        int32_t *acc = (int32_t *)t->acc + c, p = 0;
        for (; p + PIXELS <= t->pixels; p += PIXELS, x += PIXELS * t->step) {
            sixteen(frame, t, acc + (size_t)p * (size_t)lanes, x, w, mask, PIXELS, how);
        }
        for (; p < t->pixels; p++, x += t->step) {
            sixteen(frame, t, acc + (size_t)p * (size_t)lanes, x, w, mask, 1, how);
        }
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    if (frame->problem.x.levels != 0) {
        run(frame, t, CODES);
    } else if (((const crumb_depthwise *)(const void *)frame)->fused) {
        run(frame, t, FUSED);
    } else {
        run(frame, t, APART);
    }
}

static const crumb_depthwise_family family = {
    .frame = {.stage = crumb_depthwise_stage, .tile = tile, .pixels = {0, 16, 16, 16, 16}}, .pair = pair};

const crumb_conv_kernel crumb_conv_depthwise__avx512 = {
    .name = "conv_depthwise_any_any__avx512",
    .family = "depthwise",
    .cpu = CRUMB_CPU_AVX512,
    .supports = crumb_depthwise_supports,
    .prepare = crumb_depthwise_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
