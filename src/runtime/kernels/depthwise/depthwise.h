/* Family "depthwise": every channel has a kernel of its own (groups = channels = out_channels). Nothing is summed over
 * channels, so they are the lanes, and the frame walks such a layer as one group whose blocks of output channels see the same
 * channels of the input.
 *
 * Codes: a staged channel is two int16, the code of its pixel and of the pixel one tap to the right (dilation pixels on), so
 * that one multiply-add of pairs (pmaddwd) takes two taps of a kernel row; the panel of a block is [kernel row][pair][lane][2]
 * of int16, with 0 for the tap beyond an odd row. Codes are staged as they are and padding is 0: no constants, no borders. Two
 * products are at most 2 * 255 * 511.
 *
 * Floats: staged as they come, panel [tap][lane] of float. The order of pack/packed.h is tap by tap; a channel is a group of
 * its own, so weights of more than 4 levels and floats are fmaf(x, w, acc), and those of at most 4 acc + x * w. */
#ifndef CRUMB_DEPTHWISE_H
#define CRUMB_DEPTHWISE_H

#include "runtime/kernels/frame.h"

enum { CRUMB_DEPTHWISE_BLOCK = 64 };

typedef struct crumb_depthwise {
    crumb_frame frame; /* of the layer as one group */
    int32_t pairs;     /* of a kernel row; floats: taps */
    bool fused;        /* floats: fmaf */
} crumb_depthwise;

typedef struct crumb_depthwise_family {
    crumb_frame_family frame;
    /* dst[c] = code(low[c]), code(high[c]); 0 for NULL. */
    void (*pair)(const crumb_packed_codes *x, int16_t *dst, const uint8_t *low, const uint8_t *high, int32_t channels);
} crumb_depthwise_family;

bool crumb_depthwise_supports(const crumb_conv_problem *problem);
crumb_status crumb_depthwise_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                     const void *weight, crumb_conv_ready *ready);
void crumb_depthwise_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels);

/* First channel of a tile's block. */
static inline int32_t crumb_depthwise_channel(const crumb_frame *frame, const crumb_frame_tile *tile) {
    return (int32_t)((size_t)(tile->weight - frame->panel) / frame->block_bytes) * frame->block;
}

#endif
