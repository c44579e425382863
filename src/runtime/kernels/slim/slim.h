/* Family "slim": linear layers of codes with weights of 2 to 16 levels, where a layer takes what its weights' bytes take. As in
 * "bytes" four bytes of a pixel are multiplied with four of a channel; but the panel keeps indices of 2 or 4 bits, a quarter or
 * half of bytes' panel, and the inner loop spreads them.
 *
 * A unit is four staged bytes. The panel of a block is [segment][word][lane] of uint32_t; a word is 4 units of 2 bits or 2 of
 * 4: byte i of it has the i-th index of each, the first unit in its lowest bits. A segment begins with a new word.
 *
 * With code(w) = multiply * index + offset, the frame's a and b turn sums of indices into sums of codes. */
#ifndef CRUMB_SLIM_H
#define CRUMB_SLIM_H

#include "runtime/kernels/frame.h"

typedef struct crumb_slim {
    crumb_frame frame;
    int32_t bits, word; /* of an index; units of a word */
} crumb_slim;

bool crumb_slim_supports(const crumb_conv_problem *problem);
crumb_status crumb_slim_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                const void *weight, crumb_conv_ready *ready);

#endif
