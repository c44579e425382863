/* AVX2 for the family "words": vpmaddwd and vpaddd, 16 products the pair. Two multiplications a cycle, and four of any
 * instruction, allow 32 products a cycle, and both limits are reached together: nothing else may be in the loop but loads,
 * which is why codes are made words when they are staged and packed. */
#include "runtime/kernels/words/words.h"

#include "runtime/simd__avx2.tmpl"
#define DOT(sum, in, w, turn) w_add(sum, w_pairs(in, w))
#include "runtime/kernels/piece_vector.tmpl"

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    crumb_piece_each(frame, t, dot_piece, PIXELS);
}

static const crumb_frame_family family = {
    .stage = crumb_words_stage, .tile = tile, .pixels = {0, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS}};

const crumb_conv_kernel crumb_conv_words__avx2 = {
    .name = "conv_i32_s16_s16__avx2",
    .family = "words",
    .cpu = CRUMB_CPU_AVX2,
    .supports = crumb_words_supports,
    .prepare = crumb_words_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
