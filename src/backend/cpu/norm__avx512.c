/* AVX-512 instance of norm_kernels.tmpl; this file alone is compiled with -mavx512f. */
#include "backend/cpu/norm_kernels.h"

#include <immintrin.h>

typedef __m512 vec;

#define V static inline __attribute__((always_inline))
V vec v_load(const float *p, uint16_t lanes) {
    return lanes == 0xffff ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(lanes, p);
}
V void v_store(float *p, uint16_t lanes, vec v) {
    if (lanes == 0xffff) {
        _mm512_storeu_ps(p, v);
    } else {
        _mm512_mask_storeu_ps(p, lanes, v);
    }
}
V vec v_set1(float x) {
    return _mm512_set1_ps(x);
}
V vec v_add(vec a, vec b) {
    return _mm512_add_ps(a, b);
}
V vec v_sub(vec a, vec b) {
    return _mm512_sub_ps(a, b);
}
V vec v_mul(vec a, vec b) {
    return _mm512_mul_ps(a, b);
}
V vec v_fma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
V vec v_max(vec a, vec b) {
    return _mm512_max_ps(a, b);
}
V vec v_min(vec a, vec b) {
    return _mm512_min_ps(a, b);
}
V vec v_relu(vec x) {
    return _mm512_max_ps(_mm512_setzero_ps(), x);
}
V uint16_t v_inside(vec lo, vec x, vec hi) {
    return _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(lo, x, _CMP_LE_OQ), x, hi, _CMP_LE_OQ);
}
V uint16_t v_above(vec x, vec lo) {
    return _mm512_cmp_ps_mask(x, lo, _CMP_GT_OQ);
}
V vec v_keep(uint16_t bits, vec x) {
    return _mm512_maskz_mov_ps(bits, x);
}
V vec v_pick(uint16_t bits, vec a, vec b) {
    return _mm512_mask_blend_ps(bits, b, a);
}

#include "backend/cpu/norm_kernels.tmpl"

const crumb_norm_kernels *crumb_norm_kernels__avx512(void) {
    return __builtin_cpu_supports("avx512f") ? &table : NULL;
}
