/* AVX-VNNI for the family "slim": vpdpbusd on 256 bits. */
#include "runtime/simd__avx2.tmpl"

V words dots(words sum, const words *in, const words *w, const int units) {
#pragma GCC unroll 4
    for (int u = 0; u < units; u++) {
        sum = _mm256_dpbusd_avx_epi32(sum, in[u], w[u]);
    }
    return sum;
}

#include "runtime/kernels/slim/slim_vector.tmpl"

const crumb_conv_kernel crumb_conv_slim__avxvnni = {
    .name = "conv_i32_u8_slim__avxvnni",
    .family = "slim",
    .cpu = CRUMB_CPU_AVX2 | CRUMB_CPU_AVXVNNI,
    .supports = crumb_slim_supports,
    .prepare = crumb_slim_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
