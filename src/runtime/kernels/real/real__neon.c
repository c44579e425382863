/* NEON for the family "real". */
#include "runtime/simd__neon.tmpl"

#include "runtime/kernels/real/real_vector.tmpl"

const crumb_conv_kernel crumb_conv_real__neon = {
    .name = "conv_f32_f32_f32__neon",
    .family = "real",
    .cpu = CRUMB_CPU_NEON,
    .supports = crumb_real_supports,
    .prepare = crumb_real_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
