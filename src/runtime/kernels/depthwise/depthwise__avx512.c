/* AVX-512 for the family "depthwise": 16 channels a vector, 64 multiply-adds of codes a cycle at the most, 32 of floats. */
#include "runtime/kernels/depthwise/depthwise.h"

#include "runtime/simd__avx512.tmpl"

V __mmask16 mask_of(int32_t n) {
    return (__mmask16)((1u << n) - 1);
}
V words w_part(const void *p, int32_t n) {
    return _mm512_maskz_loadu_epi32(mask_of(n), p);
}
V void w_set_part(void *p, int32_t n, words a) {
    _mm512_mask_storeu_epi32(p, mask_of(n), a);
}
V words w_indices(const uint8_t *p, int32_t n) {
    return _mm512_cvtepu8_epi32(n == WIDTH ? _mm_loadu_si128((const void *)p) : _mm_maskz_loadu_epi8(mask_of(n), p));
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
