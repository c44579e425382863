/* NEON for the family "tables". A table of 16 floats is 64 bytes in four registers; tbl picks from them by byte, entry n's are
 * 4 n to 4 n + 3: five instructions for 4 channels' groups. */
#include "runtime/simd__neon.tmpl"

#include "runtime/kernels/tables/tables_stage.tmpl"

typedef uint8x16x4_t entries;

INLINE entries entries_at(const float *x) {
    return (entries){{vld1q_u8((const void *)x), vld1q_u8((const void *)(x + 4)), vld1q_u8((const void *)(x + 8)),
                      vld1q_u8((const void *)(x + 12))}};
}

INLINE reals entry(entries table, words number) {
    const words first = w_and(number, w_set1(15));
    const words bytes = vmlaq_s32(w_set1(0x03020100), first, w_set1(0x04040404));
    return vreinterpretq_f32_u8(vqtbl4q_u8(table, vreinterpretq_u8_s32(bytes)));
}

#include "runtime/kernels/tables/tables_vector.tmpl"

const crumb_conv_kernel crumb_conv_tables__neon = {
    .name = "conv_f32_f32_few__neon",
    .family = "tables",
    .cpu = CRUMB_CPU_NEON,
    .supports = supports,
    .prepare = crumb_tables_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
