/* Family "narrow": float activations with weights of 5 to 256 levels where the weights' bytes are what a layer takes: linear
 * layers, and weights whose groups have scales. Sums go in the order of pack/packed.h, channel by channel, as in "real"; but
 * the panel keeps indices of 4 or 8 bits, an eighth or a quarter of real's floats, and the inner loop makes floats of them.
 *
 * A unit is a float of a pixel. The panel of a block is [segment][group][scales, if there are][word][lane] of uint32_t: a word
 * has 8 units of 4 bits or 4 of 8, the first in its lowest bits; a segment and a group begin with a new word. */
#ifndef CRUMB_NARROW_H
#define CRUMB_NARROW_H

#include "runtime/kernels/frame.h"

enum { CRUMB_NARROW_LEVELS = 16, CRUMB_NARROW_UNITS = 8 }; /* of 4 bits; of a word, at most */

typedef struct crumb_narrow {
    crumb_frame frame;
    int32_t bits, word;              /* of an index; units of a word */
    float multiply, offset;          /* weight = multiply * index + offset: small integers, exact */
    float code[CRUMB_NARROW_LEVELS]; /* by the index, with 4 bits */
} crumb_narrow;

bool crumb_narrow_supports(const crumb_conv_problem *problem);
crumb_status crumb_narrow_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                  const void *weight, crumb_conv_ready *ready);

#endif
