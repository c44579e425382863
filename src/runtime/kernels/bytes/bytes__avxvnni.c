/* AVX-VNNI for the family "bytes": vpdpbusd on 256 bits, 32 products an instruction, for processors that have it without
 * AVX-512. It takes 4 or 5 cycles and two start in each: the 12 sums of a piece hide that. */
#include "base/ctx.h"
#include "runtime/kernels/bytes/bytes.h"

#include "runtime/simd__avx2.tmpl"
#define DOT(sum, in, w, turn) _mm256_dpbusd_avx_epi32(sum, in, w)
#include "runtime/kernels/piece_vector.tmpl"

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    crumb_piece_each(frame, t, dot_piece, PIXELS);
}

static const crumb_frame_family family = {
    .stage = crumb_bytes_stage, .tile = tile, .pixels = {0, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS}};

const crumb_conv_kernel crumb_conv_bytes__avxvnni = {
    .name = "conv_i32_u8_s8__avxvnni",
    .family = "bytes",
    .cpu = CRUMB_CPU_AVX2 | CRUMB_CPU_AVXVNNI,
    .supports = crumb_bytes_supports,
    .prepare = crumb_bytes_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
