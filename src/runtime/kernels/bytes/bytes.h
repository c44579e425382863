/* Family "bytes": indices of up to 8 bits times weights of up to 8 bits, four products at a time into an int32 lane: what
 * vpdpbusd, vpmaddubsw and NEON's udot do. Weights of fewer bits are widened when the plan is made.
 *
 * A unit is four staged bytes. The panel of a block is [segment][unit][lane][4] of int8, so a vector holds four weights of each
 * of 16 channels, and a pixel's unit is broadcast to all lanes.
 *
 * Weights are codes where those fit int8. Else (odd codes -255 .. 255, or 0 .. 255) they are v = index - 128, and
 * code = multiply * v + (offset + 128 * multiply): the frame's a and b. Sums wrap modulo 2^32 on the way; the result is the
 * exact one, which fits. */
#ifndef CRUMB_BYTES_H
#define CRUMB_BYTES_H

#include "runtime/kernels/frame.h"

bool crumb_bytes_supports(const crumb_conv_problem *problem);
crumb_status crumb_bytes_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                 const void *weight, crumb_conv_ready *ready);
/* For rows that multiply int8 with int8 and so take x - 128 for x: the constants give 128 back where crumb_bytes_most > 127. */
crumb_status crumb_bytes_prepare_signed(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                        const void *weight, crumb_conv_ready *ready);
void crumb_bytes_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels);
/* The largest staged byte. */
int32_t crumb_bytes_most(const crumb_conv_problem *problem);
/* How many units' sums of two products stay within int16; 0: not even one's. */
int32_t crumb_bytes_pairs(const crumb_conv_problem *problem);

#endif
