/* AVX2 for the family "depthwise": 8 channels a vector, 32 multiply-adds of codes a cycle at the most, 16 of floats. */
#include "runtime/kernels/depthwise/depthwise.h"

#include "runtime/simd__avx2.tmpl"

V words mask_of(int32_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
V words w_part(const void *p, int32_t n) {
    return _mm256_maskload_epi32(p, mask_of(n));
}
V void w_set_part(void *p, int32_t n, words a) {
    _mm256_maskstore_epi32(p, mask_of(n), a);
}
V words w_indices(const uint8_t *p, int32_t n) {
    uint64_t eight = 0;
    memcpy(&eight, p, (size_t)n);
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)eight));
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
