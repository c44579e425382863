/* AVX2 for the family "narrow". */
#include "runtime/simd__avx2.tmpl"

#include "runtime/kernels/narrow/narrow_vector.tmpl"

const crumb_conv_kernel crumb_conv_narrow__avx2 = {
    .name = "conv_f32_f32_narrow__avx2",
    .family = "narrow",
    .cpu = CRUMB_CPU_AVX2,
    .supports = crumb_narrow_supports,
    .prepare = crumb_narrow_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
