/* Chains with AVX2 and FMA: eight lanes. */
#include "runtime/chain.h"

#include <immintrin.h>

#define RUN crumb_chain_run__avx2
#define WIDTH 8
#define V static inline __attribute__((always_inline))

typedef __m256 reals;
typedef __m256i words;
typedef __m128i bytes; /* the low eight */
typedef __m256i counts;
typedef struct lanes {
    int32_t lo, hi;
} lanes;

V lanes lanes_of(int32_t lo, int32_t hi) {
    return (lanes){lo, hi};
}
V words mask_of(lanes m) {
    const words place = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(m.lo), place),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32(m.hi), place));
}
V reals r_load(const void *p, lanes m, bool full) {
    return full ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, mask_of(m));
}
V words w_load(const void *p, lanes m, bool full) {
    return full ? _mm256_loadu_si256(p) : _mm256_maskload_epi32(p, mask_of(m));
}
V bytes b_load(const void *p, lanes m, bool full) {
    uint64_t eight = 0;
    if (full) {
        __builtin_memcpy(&eight, p, sizeof(eight));
    } else {
        for (int32_t i = m.lo; i < m.hi; i++) {
            eight |= (uint64_t)((const uint8_t *)p)[i] << 8 * i;
        }
    }
    return _mm_cvtsi64_si128((int64_t)eight);
}
V void r_store(void *p, lanes m, bool full, reals v) {
    if (full) {
        _mm256_storeu_ps(p, v);
    } else {
        _mm256_maskstore_ps(p, mask_of(m), v);
    }
}
V void b_store(void *p, int32_t n, bool full, bytes q) {
    uint64_t eight = (uint64_t)_mm_cvtsi128_si64(q);
    __builtin_memcpy(p, &eight, full ? sizeof(eight) : (size_t)n);
}
V reals r_set1(float x) {
    return _mm256_set1_ps(x);
}
V reals r_add(reals a, reals b) {
    return _mm256_add_ps(a, b);
}
V reals r_mul(reals a, reals b) {
    return _mm256_mul_ps(a, b);
}
V reals r_fma(reals a, reals b, reals c) {
    return _mm256_fmadd_ps(a, b, c);
}
V reals r_max(reals a, reals b) {
    return _mm256_max_ps(a, b);
}
V reals r_min(reals a, reals b) {
    return _mm256_min_ps(a, b);
}
V reals r_prelu(reals v, reals slope) {
    return _mm256_blendv_ps(_mm256_mul_ps(slope, v), v, _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ));
}
V reals r_clip(reals v, reals lo, reals hi) {
    return _mm256_blendv_ps(_mm256_min_ps(hi, v), lo, _mm256_cmp_ps(v, lo, _CMP_LT_OQ));
}
V reals r_keep(lanes m, reals v) {
    return _mm256_and_ps(v, _mm256_castsi256_ps(mask_of(m)));
}
V reals w_real(words q) {
    return _mm256_cvtepi32_ps(q);
}
V words r_round(reals v) {
    return _mm256_cvtps_epi32(v);
}
V words b_words(bytes q) {
    return _mm256_cvtepu8_epi32(q);
}
V bytes w_bytes(words a) {
    const __m128i low = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    return _mm_unpacklo_epi32(_mm_shuffle_epi8(_mm256_castsi256_si128(a), low),
                              _mm_shuffle_epi8(_mm256_extracti128_si256(a, 1), low));
}
V bytes b_zero(void) {
    return _mm_setzero_si128();
}
V words w_set1(int32_t x) {
    return _mm256_set1_epi32(x);
}
V words w_sub(words a, words b) {
    return _mm256_sub_epi32(a, b);
}
V words w_xor(words a, words b) {
    return _mm256_xor_si256(a, b);
}
V counts c_zero(void) {
    return _mm256_setzero_si256();
}
V counts r_count(counts n, reals v, reals t) {
    return _mm256_sub_epi32(n, _mm256_castps_si256(_mm256_cmp_ps(v, t, _CMP_GE_OQ)));
}
V counts w_count(counts n, words a, words t) {
    return _mm256_sub_epi32(n, _mm256_andnot_si256(_mm256_cmpgt_epi32(t, a), _mm256_set1_epi32(-1)));
}
V bytes c_bytes(counts n) {
    return w_bytes(n);
}

#include "runtime/chain_vector.tmpl"
