/* NEON for the family "depthwise": 4 channels a vector; a pair of codes takes two multiplications and two additions. */
#include "runtime/kernels/depthwise/depthwise.h"

#include "runtime/simd__neon.tmpl"

V words w_part(const void *p, int32_t n) {
    int32_t part[WIDTH] = {0};
    memcpy(part, p, (size_t)n * sizeof(*part));
    return w_load(part);
}
V void w_set_part(void *p, int32_t n, words a) {
    int32_t part[WIDTH];
    w_store(part, a);
    memcpy(p, part, (size_t)n * sizeof(*part));
}
V words w_indices(const uint8_t *p, int32_t n) {
    uint32_t four = 0;
    memcpy(&four, p, (size_t)n);
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))));
}

#include "runtime/kernels/depthwise/depthwise_vector.tmpl"

const crumb_conv_kernel crumb_conv_depthwise__neon = {
    .name = "conv_depthwise_any_any__neon",
    .family = "depthwise",
    .cpu = CRUMB_CPU_NEON,
    .supports = crumb_depthwise_supports,
    .prepare = crumb_depthwise_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
