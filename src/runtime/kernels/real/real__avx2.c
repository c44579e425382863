/* AVX2 for the family "real". */
#include "runtime/simd__avx2.tmpl"

#include "runtime/kernels/real/real_vector.tmpl"

const crumb_conv_kernel crumb_conv_real__avx2 = {
    .name = "conv_f32_f32_f32__avx2",
    .family = "real",
    .cpu = CRUMB_CPU_AVX2,
    .supports = crumb_real_supports,
    .prepare = crumb_real_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
