/* AVX2 for the family "bytes", where a product of a byte and a weight is within 15 bits: vpmaddubsw and an addition, 32
 * products the pair. What is wider goes to the family "words".
 *
 * vpmaddubsw adds two products x w of a byte and a signed byte in an int16 lane, saturating. With 0 <= x <= X and w between
 * -L and H a pair lies between -2 X L and 2 X H, so the sums of
 *
 *     n = min(32767 / (2 X H), 32768 / (2 X L))
 *
 * units are exact in int16 (crumb_bytes_pairs). Two loops follow:
 *
 *     narrow   n >= 3: a vpmaddubsw and a 16-bit addition a unit; every n units the sums are widened into the int32 sums, which
 *              lie in memory. W2A2 has n = 1820, W4A4 136, W2A8 21, W4A8 4 to 8.
 *     pairs    n = 1 or 2: every vpmaddubsw is widened at once by a vpmaddwd with ones: W6A8, W7A8. */
#include "runtime/kernels/bytes/bytes.h"

#include "runtime/simd__avx2.tmpl"
#define DOT(sum, in, w, turn) w_add(sum, w_pairs(_mm256_maddubs_epi16(in, w), _mm256_set1_epi16(1)))
#include "runtime/kernels/piece_vector.tmpl"

/* sum (int16) is added to the sums in memory and becomes 0. */
INLINE void empty(const crumb_piece *t, __m256i *sum, const int pixels) {
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 12
    for (int i = 0; i < 2 * pixels; i++) {
        w_store(sum_at(t, i), w_add(w_load(sum_at(t, i)), w_pairs(sum[i], ones)));
        sum[i] = w_zero();
    }
}

INLINE void narrow(const crumb_piece *t, const int pixels) {
    __m256i sum[SUMS];
#pragma GCC unroll 16
    for (int i = 0; i < 2 * pixels; i++) {
        sum[i] = w_zero();
    }
    const uint8_t *w = t->weight;
    const int32_t limit = crumb_bytes_pairs(&t->frame->problem);
    int32_t left = limit;
    for (int32_t s = 0; s < t->frame->segments; s++) {
        const uint8_t *x[2] = {t->x + crumb_frame_segment(t->frame, s), NULL};
        x[1] = x[0] + 3 * t->step;
        for (int32_t units = t->frame->units, count; units > 0; units -= count) {
            count = units < left ? units : left;
            for (int32_t u = 0; u < count; u++) {
                const __m256i w0 = w_load(w), w1 = w_load(w + 32);
#pragma GCC unroll 8
                for (int p = 0; p < pixels; p++) {
                    const __m256i in = w_unit(pixel(x, t->step, p));
                    sum[2 * p] = _mm256_add_epi16(sum[2 * p], _mm256_maddubs_epi16(in, w0));
                    sum[2 * p + 1] = _mm256_add_epi16(sum[2 * p + 1], _mm256_maddubs_epi16(in, w1));
                }
                x[0] += 4;
                x[1] += 4;
                w += t->row;
            }
            left -= count;
            if (left == 0) {
                empty(t, sum, pixels);
                left = limit;
            }
        }
    }
    empty(t, sum, pixels);
}

static void narrow_piece(const crumb_piece *t) {
    CRUMB_PIXELS_6(t->pixels, narrow, t);
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    crumb_piece_each(frame, t, crumb_bytes_pairs(&frame->problem) >= 3 ? narrow_piece : dot_piece, PIXELS);
}

static bool supports(const crumb_conv_problem *problem) {
    return crumb_bytes_supports(problem) && crumb_bytes_pairs(problem) > 0;
}

static const crumb_frame_family family = {
    .stage = crumb_bytes_stage, .tile = tile, .pixels = {0, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS, TILE_PIXELS}};

const crumb_conv_kernel crumb_conv_bytes__avx2 = {
    .name = "conv_i32_u8_s8__avx2",
    .family = "bytes",
    .cpu = CRUMB_CPU_AVX2,
    .supports = supports,
    .prepare = crumb_bytes_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
