/* NEON without dot products for the family "slim". A word's products are summed in uint16, at most 4 units of 2 bits or 2 of 4:
 * pairs are at most 2 * 4 * 255 * 3 and 2 * 2 * 255 * 15. */
#include "runtime/simd__neon.tmpl"

V uint16x8_t low_products(uint16x8_t sum, words in, words w) {
    return vmlal_u8(sum, vget_low_u8(vreinterpretq_u8_s32(in)), vget_low_u8(vreinterpretq_u8_s32(w)));
}

V uint16x8_t high_products(uint16x8_t sum, words in, words w) {
    return vmlal_high_u8(sum, vreinterpretq_u8_s32(in), vreinterpretq_u8_s32(w));
}

V words dots(words sum, const words *in, const words *w, const int units) {
    uint16x8_t low = vdupq_n_u16(0), high = low;
#pragma GCC unroll 4
    for (int u = 0; u < units; u++) {
        low = low_products(low, in[u], w[u]);
        high = high_products(high, in[u], w[u]);
    }
    return vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(sum), vpaddq_u16(low, high)));
}

#include "runtime/kernels/slim/slim_vector.tmpl"

const crumb_conv_kernel crumb_conv_slim__neon = {
    .name = "conv_i32_u8_slim__neon",
    .family = "slim",
    .cpu = CRUMB_CPU_NEON,
    .supports = crumb_slim_supports,
    .prepare = crumb_slim_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
