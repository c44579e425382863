/* AVX-512 for the family "depthwise": 16 channels a vector, 64 multiply-adds of codes a cycle at the most, 32 of floats. */
#include "runtime/kernels/depthwise/depthwise.h"

#include <immintrin.h>

#define WIDTH 16
#define V static inline __attribute__((always_inline))

typedef __m512i words;

V __mmask16 mask_of(int32_t n) {
    return (__mmask16)((1u << n) - 1);
}
V words w_load(const void *p, int32_t n, bool full) {
    return full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi32(mask_of(n), p);
}
V void w_store(void *p, int32_t n, bool full, words v) {
    if (full) {
        _mm512_storeu_si512(p, v);
    } else {
        _mm512_mask_storeu_epi32(p, mask_of(n), v);
    }
}
V words w_indices(const uint8_t *p, int32_t n, bool full) {
    return _mm512_cvtepu8_epi32(full ? _mm_loadu_si128((const void *)p) : _mm_maskz_loadu_epi8(mask_of(n), p));
}
V words w_zero(void) {
    return _mm512_setzero_si512();
}
V words w_set1(int32_t x) {
    return _mm512_set1_epi32(x);
}
V words w_add(words a, words b) {
    return _mm512_add_epi32(a, b);
}
V words w_and(words a, words b) {
    return _mm512_and_si512(a, b);
}
V words w_or(words a, words b) {
    return _mm512_or_si512(a, b);
}
V words w_upper(words a) {
    return _mm512_slli_epi32(a, 16);
}
V words w_pairs(words a, words b) {
    return _mm512_madd_epi16(a, b);
}
V words w_fma(words a, words b, words c) {
    return _mm512_castps_si512(_mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), _mm512_castsi512_ps(c)));
}
V words w_apart(words a, words b, words c) {
    return _mm512_castps_si512(
        _mm512_add_ps(_mm512_castsi512_ps(c), _mm512_mul_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b))));
}

#include "runtime/kernels/depthwise/depthwise_vector.tmpl"

const crumb_conv_kernel crumb_conv_depthwise__avx512 = {
    .name = "conv_depthwise_any_any__avx512",
    .family = "depthwise",
    .cpu = CRUMB_CPU_AVX512,
    .supports = crumb_depthwise_supports,
    .prepare = crumb_depthwise_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
