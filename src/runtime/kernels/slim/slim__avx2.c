/* AVX2 for the family "slim": vpmaddubsw. A word's products are summed in int16, at most 4 units of 2 bits or 2 of 4: 4 * 2 *
 * 255 * 3 and 2 * 2 * 255 * 15. */
#include "runtime/simd__avx2.tmpl"

V words dots(words sum, const words *in, const words *w, const int units) {
    words part = _mm256_maddubs_epi16(in[0], w[0]);
#pragma GCC unroll 4
    for (int u = 1; u < units; u++) {
        part = _mm256_add_epi16(part, _mm256_maddubs_epi16(in[u], w[u]));
    }
    return w_add(sum, w_pairs(part, _mm256_set1_epi16(1)));
}

#include "runtime/kernels/slim/slim_vector.tmpl"

const crumb_conv_kernel crumb_conv_slim__avx2 = {
    .name = "conv_i32_u8_slim__avx2",
    .family = "slim",
    .cpu = CRUMB_CPU_AVX2,
    .supports = crumb_slim_supports,
    .prepare = crumb_slim_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
