/* The plain twin of the family "depthwise". Ahead of the rows of other families in kernels.inc: those would sum one channel in
 * a vector of 16. */
#include "runtime/kernels/depthwise/depthwise.h"

#include <math.h>
#include <string.h>

static void pair(const crumb_packed_codes *x, int16_t *dst, const uint8_t *low, const uint8_t *high, int32_t channels) {
    for (int32_t c = 0; c < channels; c++) {
        dst[2 * c] = (int16_t)(low != NULL ? crumb_packed_code(x, low[c]) : 0);
        dst[2 * c + 1] = (int16_t)(high != NULL ? crumb_packed_code(x, high[c]) : 0);
    }
}

static void add_codes(int32_t *acc, const int16_t *x, const int16_t *w, int32_t channels) {
    for (int32_t c = 0; c < channels; c++) {
        acc[c] += x[2 * c] * w[2 * c] + x[2 * c + 1] * w[2 * c + 1];
    }
}

static void add_floats(float *acc, const float *x, const float *w, int32_t channels, bool fused) {
    for (int32_t c = 0; c < channels; c++) {
        acc[c] = fused ? fmaf(x[c], w[c], acc[c]) : acc[c] + x[c] * w[c];
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const crumb_depthwise *d = (const crumb_depthwise *)(const void *)frame;
    const bool codes = frame->problem.x.levels != 0;
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES, first = crumb_depthwise_channel(frame, t);
    const int32_t channels = frame->out - first < lanes ? frame->out - first : lanes;
    const size_t column = (codes ? 2 : 1) * frame->segment_column;
    for (int32_t p = 0; p < t->pixels; p++) {
        uint8_t *acc = (uint8_t *)t->acc + 4 * (size_t)p * (size_t)lanes;
        const uint8_t *w = t->weight;
        memset(acc, 0, 4 * (size_t)lanes);
        for (int32_t kh = 0; kh < frame->problem.kernel_height; kh++) {
            const uint8_t *x = t->x + (size_t)p * t->step + (size_t)kh * frame->segment_row + 4 * (size_t)first;
            for (int32_t k = 0; k < d->pairs; k++, x += column, w += 4 * lanes) {
                if (codes) {
                    add_codes((int32_t *)(void *)acc, (const int16_t *)(const void *)x, (const int16_t *)(const void *)w,
                              channels);
                } else {
                    add_floats((float *)(void *)acc, (const float *)(const void *)x, (const float *)(const void *)w, channels,
                               d->fused);
                }
            }
        }
    }
}

static const crumb_depthwise_family family = {
    .frame = {.stage = crumb_depthwise_stage, .tile = tile, .pixels = {0, 16, 16, 16, 16}}, .pair = pair};

const crumb_conv_kernel crumb_conv_depthwise__scalar = {
    .name = "conv_depthwise_any_any__scalar",
    .family = "depthwise",
    .supports = crumb_depthwise_supports,
    .prepare = crumb_depthwise_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
