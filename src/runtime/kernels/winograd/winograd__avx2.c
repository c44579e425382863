/* AVX2 for the family "winograd": vpmaddwd and vpaddd as in words__avx2.c, for 2.25 times the products. */
#include "runtime/kernels/winograd/winograd.h"

#include "runtime/simd__avx2.tmpl"
#define DOT(sum, in, w, turn) w_add(sum, w_pairs(in, w))
#include "runtime/kernels/piece_vector.tmpl"

static const crumb_winograd_family family = {.multiply = dot_piece, .pixels = PIXELS};

/* Where it beats words__avx2.c: few channels do not pay for the transformations, and a panel that does not stay in the
 * second-level cache, 32 bytes of which serve half a cycle a tile, wants tiles to be many. */
enum { CHANNELS = 32, PANEL = 512 * 1024, TILES = 32 };

static bool supports(const crumb_conv_problem *p) {
    const int64_t tiles = (int64_t)((p->out_height + 1) / 2) * ((p->out_width + 1) / 2);
    const bool stays = (int64_t)p->channels * p->out_channels * 16 * (int64_t)sizeof(int16_t) <= PANEL || tiles >= TILES;
    return p->channels >= CHANNELS && p->out_channels >= CHANNELS && stays && crumb_winograd_supports(p);
}

const crumb_conv_kernel crumb_conv_winograd__avx2 = {
    .name = "conv3x3_i32_s16_s16__avx2",
    .family = "winograd",
    .cpu = CRUMB_CPU_AVX2,
    .supports = supports,
    .prepare = crumb_winograd_prepare,
    .run = crumb_winograd_run,
    .inner = &family,
};
