/* NEON with dot products for the family "slim": udot, since indices have no sign. */
#include "runtime/simd__neon.tmpl"

V words dots(words sum, const words *in, const words *w, const int units) {
#pragma GCC unroll 4
    for (int u = 0; u < units; u++) {
        sum = vreinterpretq_s32_u32(
            vdotq_u32(vreinterpretq_u32_s32(sum), vreinterpretq_u8_s32(in[u]), vreinterpretq_u8_s32(w[u])));
    }
    return sum;
}

#include "runtime/kernels/slim/slim_vector.tmpl"

const crumb_conv_kernel crumb_conv_slim__dotprod = {
    .name = "conv_i32_u8_slim__dotprod",
    .family = "slim",
    .cpu = CRUMB_CPU_NEON | CRUMB_CPU_DOTPROD,
    .supports = crumb_slim_supports,
    .prepare = crumb_slim_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
