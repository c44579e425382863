/* AVX2 for the family "depthwise": 8 channels a vector, 32 multiply-adds of codes a cycle at the most, 16 of floats. */
#include "runtime/kernels/depthwise/depthwise.h"

#include <immintrin.h>

#define WIDTH 8
#define V static inline __attribute__((always_inline))

typedef __m256i words;

V words mask_of(int32_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
V words w_load(const void *p, int32_t n, bool full) {
    return full ? _mm256_loadu_si256(p) : _mm256_maskload_epi32(p, mask_of(n));
}
V void w_store(void *p, int32_t n, bool full, words v) {
    if (full) {
        _mm256_storeu_si256(p, v);
    } else {
        _mm256_maskstore_epi32(p, mask_of(n), v);
    }
}
V words w_indices(const uint8_t *p, int32_t n, bool full) {
    uint64_t eight = 0;
    __builtin_memcpy(&eight, p, full ? sizeof(eight) : (size_t)n);
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)eight));
}
V words w_zero(void) {
    return _mm256_setzero_si256();
}
V words w_set1(int32_t x) {
    return _mm256_set1_epi32(x);
}
V words w_add(words a, words b) {
    return _mm256_add_epi32(a, b);
}
V words w_and(words a, words b) {
    return _mm256_and_si256(a, b);
}
V words w_or(words a, words b) {
    return _mm256_or_si256(a, b);
}
V words w_upper(words a) {
    return _mm256_slli_epi32(a, 16);
}
V words w_pairs(words a, words b) {
    return _mm256_madd_epi16(a, b);
}
V words w_fma(words a, words b, words c) {
    return _mm256_castps_si256(_mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), _mm256_castsi256_ps(c)));
}
V words w_apart(words a, words b, words c) {
    return _mm256_castps_si256(
        _mm256_add_ps(_mm256_castsi256_ps(c), _mm256_mul_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b))));
}

#include "runtime/kernels/depthwise/depthwise_vector.tmpl"

const crumb_conv_kernel crumb_conv_depthwise__avx2 = {
    .name = "conv_depthwise_any_any__avx2",
    .family = "depthwise",
    .cpu = CRUMB_CPU_AVX2,
    .supports = crumb_depthwise_supports,
    .prepare = crumb_depthwise_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
