/* The plain twin of the family "words", and the last row: it takes codes of any kind. */
#include "runtime/kernels/words/words.h"

#include <string.h>

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        uint32_t acc[64] = {0};
        const int16_t *w = (const int16_t *)(const void *)t->weight;
        for (int32_t s = 0; s < frame->segments; s++) {
            const uint8_t *from = t->x + (size_t)p * t->step + crumb_frame_segment(frame, s);
            for (int32_t u = 0; u < frame->units; u++, from += 4, w += 2 * lanes) {
                int16_t x[2];
                memcpy(x, from, sizeof(x));
                for (int32_t c = 0; c < lanes; c++) {
                    acc[c] += (uint32_t)(x[0] * w[2 * c] + x[1] * w[2 * c + 1]);
                }
            }
        }
        memcpy((int32_t *)t->acc + (size_t)p * (size_t)lanes, acc, (size_t)lanes * sizeof(acc[0]));
    }
}

static const crumb_frame_family family = {.stage = crumb_words_stage, .tile = tile, .pixels = {0, 16, 16, 16, 16}};

const crumb_conv_kernel crumb_conv_words__scalar = {
    .name = "conv_i32_s16_s16__scalar",
    .family = "words",
    .supports = crumb_words_supports,
    .prepare = crumb_words_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
