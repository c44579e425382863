/* Family "real": float activations with float weights or codes; every output's sum is taken in the order of packed.h, so rows
 * vectorise over output channels only.
 *
 * A unit is `group` floats of a pixel (1, or 2 or 4 for codes of few levels; the staged pixel is filled up with zeros, which
 * change nothing: fmaf(0, 0, t) = t, and a sum that starts at +0 never becomes -0). The wide panel of a block is
 * [segment][unit][group][lane] of float, codes already converted: all integers of 9 bits are floats. Only the plain row takes
 * scales of groups. */
#ifndef CRUMB_REAL_H
#define CRUMB_REAL_H

#include "runtime/kernels/frame.h"

typedef struct crumb_real {
    crumb_frame frame;
    int32_t group;
} crumb_real;

/* Channels that are summed together: pack/packed.h. */
int32_t crumb_real_group(const crumb_packed_codes *w);
bool crumb_real_supports(const crumb_conv_problem *problem); /* float activations, no scales of groups */
crumb_status crumb_real_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                const void *weight, crumb_conv_ready *ready);
void crumb_real_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels);

#endif
