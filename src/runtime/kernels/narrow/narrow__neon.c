/* NEON for the family "narrow". */
#include "runtime/simd__neon.tmpl"

#include "runtime/kernels/narrow/narrow_vector.tmpl"

const crumb_conv_kernel crumb_conv_narrow__neon = {
    .name = "conv_f32_f32_narrow__neon",
    .family = "narrow",
    .cpu = CRUMB_CPU_NEON,
    .supports = crumb_narrow_supports,
    .prepare = crumb_narrow_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
