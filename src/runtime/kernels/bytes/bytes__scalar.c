/* The plain twin of the family "bytes". */
#include "runtime/kernels/bytes/bytes.h"

#include <string.h>

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        uint32_t acc[64];
        memcpy(acc, t->constant, (size_t)lanes * sizeof(acc[0]));
        const int8_t *w = (const int8_t *)t->weight;
        for (int32_t s = 0; s < frame->segments; s++) {
            const uint8_t *x = t->x + (size_t)p * t->step + crumb_frame_segment(frame, s);
            for (int32_t u = 0; u < frame->units; u++, x += 4, w += 4 * lanes) {
                for (int32_t c = 0; c < lanes; c++) {
                    int32_t sum = x[0] * w[4 * c] + x[1] * w[4 * c + 1] + x[2] * w[4 * c + 2] + x[3] * w[4 * c + 3];
                    acc[c] += (uint32_t)sum;
                }
            }
        }
        memcpy((int32_t *)t->acc + (size_t)p * (size_t)lanes, acc, (size_t)lanes * sizeof(acc[0]));
    }
}

static const crumb_frame_family family = {.stage = crumb_bytes_stage, .tile = tile, .pixels = {0, 16, 16, 16, 16}};

const crumb_conv_kernel crumb_conv_bytes__scalar = {
    .name = "conv_i32_u8_s8__scalar",
    .family = "bytes",
    .supports = crumb_bytes_supports,
    .prepare = crumb_bytes_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
