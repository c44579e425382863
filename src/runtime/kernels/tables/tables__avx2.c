/* AVX2 for the family "tables". A table of 16 floats is two registers. vpermps picks from each by the lowest three bits of the
 * panel's words, vblendvps chooses by the fourth, shifted to the sign: six instructions for 8 channels' groups. */
#include "runtime/simd__avx2.tmpl"

#include "runtime/kernels/tables/tables_stage.tmpl"

typedef struct entries {
    reals low, high;
} entries;

INLINE entries entries_at(const float *x) {
    return (entries){r_load(x), r_load(x + WIDTH)};
}

INLINE reals entry(entries table, words number) {
    const reals first = _mm256_permutevar8x32_ps(table.low, number), second = _mm256_permutevar8x32_ps(table.high, number);
    return _mm256_blendv_ps(first, second, w_as_reals(w_left(number, 28)));
}

#include "runtime/kernels/tables/tables_vector.tmpl"

const crumb_conv_kernel crumb_conv_tables__avx2 = {
    .name = "conv_f32_f32_few__avx2",
    .family = "tables",
    .cpu = CRUMB_CPU_AVX2,
    .supports = supports,
    .prepare = crumb_tables_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
