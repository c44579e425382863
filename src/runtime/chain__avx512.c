/* Chains with AVX-512: sixteen lanes, masks for those that exist. */
#include "runtime/chain.h"

#include <immintrin.h>

#define RUN crumb_chain_run__avx512
#define WIDTH 16
#define V static inline __attribute__((always_inline))

typedef __m512 reals;
typedef __m512i words;
typedef __m128i bytes;
typedef __m128i counts;
typedef __mmask16 lanes;

V lanes lanes_of(int32_t lo, int32_t hi) {
    return (lanes)(((1u << hi) - 1) & ~((1u << lo) - 1));
}
V reals r_load(const void *p, lanes m, bool full) {
    return full ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(m, p);
}
V words w_load(const void *p, lanes m, bool full) {
    return full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi32(m, p);
}
V bytes b_load(const void *p, lanes m, bool full) {
    return full ? _mm_loadu_si128(p) : _mm_maskz_loadu_epi8(m, p);
}
V void r_store(void *p, lanes m, bool full, reals v) {
    if (full) {
        _mm512_storeu_ps(p, v);
    } else {
        _mm512_mask_storeu_ps(p, m, v);
    }
}
V void b_store(void *p, int32_t n, bool full, bytes q) {
    if (full) {
        _mm_storeu_si128(p, q);
    } else {
        _mm_mask_storeu_epi8(p, lanes_of(0, n), q);
    }
}
V reals r_set1(float x) {
    return _mm512_set1_ps(x);
}
V reals r_add(reals a, reals b) {
    return _mm512_add_ps(a, b);
}
V reals r_mul(reals a, reals b) {
    return _mm512_mul_ps(a, b);
}
V reals r_fma(reals a, reals b, reals c) {
    return _mm512_fmadd_ps(a, b, c);
}
V reals r_max(reals a, reals b) {
    return _mm512_max_ps(a, b);
}
V reals r_min(reals a, reals b) {
    return _mm512_min_ps(a, b);
}
V reals r_prelu(reals v, reals slope) {
    return _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NGT_UQ), slope, v);
}
V reals r_clip(reals v, reals lo, reals hi) {
    return _mm512_mask_mov_ps(_mm512_min_ps(hi, v), _mm512_cmp_ps_mask(v, lo, _CMP_LT_OQ), lo);
}
V reals r_keep(lanes m, reals v) {
    return _mm512_maskz_mov_ps(m, v);
}
V reals w_real(words q) {
    return _mm512_cvtepi32_ps(q);
}
V words r_round(reals v) {
    return _mm512_cvtps_epi32(v);
}
V words b_words(bytes q) {
    return _mm512_cvtepu8_epi32(q);
}
V bytes w_bytes(words a) {
    return _mm512_cvtepi32_epi8(a);
}
V bytes b_zero(void) {
    return _mm_setzero_si128();
}
V words w_set1(int32_t x) {
    return _mm512_set1_epi32(x);
}
V words w_sub(words a, words b) {
    return _mm512_sub_epi32(a, b);
}
V words w_xor(words a, words b) {
    return _mm512_xor_si512(a, b);
}
V counts c_zero(void) {
    return _mm_setzero_si128();
}
V counts r_count(counts n, reals v, reals t) {
    return _mm_mask_sub_epi8(n, _mm512_cmp_ps_mask(v, t, _CMP_GE_OQ), n, _mm_set1_epi8(-1));
}
V counts w_count(counts n, words a, words t) {
    return _mm_mask_sub_epi8(n, _mm512_cmpge_epi32_mask(a, t), n, _mm_set1_epi8(-1));
}
V bytes c_bytes(counts n) {
    return n;
}

#include "runtime/chain_vector.tmpl"
