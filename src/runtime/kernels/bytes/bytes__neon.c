/* NEON without dot products for the family "bytes": 16 products in two multiplications and two to four additions. */
#include "runtime/kernels/bytes/bytes.h"

#include "runtime/simd__neon.tmpl"

/* Two products are within int16 while x is not turned, |x w| <= 127 * 128; turned, (-128) (-128) + (-128) (-128) is not. */
V words dot(words sum, words in, words w, const bool turn) {
    const int8x16_t x = vreinterpretq_s8_s32(in), y = vreinterpretq_s8_s32(w);
    const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(y)), high = vmull_high_s8(x, y);
    return turn ? w_add(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high))) : vpadalq_s16(sum, vpaddq_s16(low, high));
}

#define DOT(sum, in, w, turn) dot(sum, in, w, turn)
#include "runtime/kernels/bytes/bytes_neon.tmpl"

const crumb_conv_kernel crumb_conv_bytes__neon = {
    .name = "conv_i32_u8_s8__neon",
    .family = "bytes",
    .cpu = CRUMB_CPU_NEON,
    .supports = crumb_bytes_supports,
    .prepare = crumb_bytes_prepare_signed,
    .run = crumb_frame_run,
    .inner = &family,
};
