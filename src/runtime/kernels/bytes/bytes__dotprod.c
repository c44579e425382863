/* NEON with dot products for the family "bytes": sdot, 16 products an instruction. */
#include "runtime/kernels/bytes/bytes.h"

#include "runtime/simd__neon.tmpl"
#define DOT(sum, in, w, turn) vdotq_s32(sum, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(in))
#include "runtime/kernels/bytes/bytes_neon.tmpl"

const crumb_conv_kernel crumb_conv_bytes__dotprod = {
    .name = "conv_i32_u8_s8__dotprod",
    .family = "bytes",
    .cpu = CRUMB_CPU_NEON | CRUMB_CPU_DOTPROD,
    .supports = crumb_bytes_supports,
    .prepare = crumb_bytes_prepare_signed,
    .run = crumb_frame_run,
    .inner = &family,
};
