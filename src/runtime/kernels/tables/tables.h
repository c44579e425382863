/* Family "tables": float activations with weights of 2, 3 or 4 levels. The order of pack/packed.h sums four channels (of 2
 * levels) or two (of 3 and 4) before they are added to the accumulator, so that what such a group adds is one of at most 16
 * floats: a table of 64 bytes, made once when a pixel is staged, and then read by all output channels and all windows that see
 * the pixel. A group of weights is a number of 4 bits. An output channel's group costs a table look-up and an addition in place
 * of two or four multiplications, and no weight is ever converted to float.
 *
 * A table's entry is t = fmaf(v, w, t) over the group from 0, as the definition has it, so all rows are equal to "real" bit for
 * bit. Making one costs 16 * group products against out_channels * kernel_height * kernel_width look-ups.
 *
 * A unit is a table: staged pixels have units(in) * 64 bytes. Padding is tables of zeros: adding +0 changes no sum, since a sum
 * that starts at +0 never becomes -0. The panel of a block is [segment][8 units][lane] of uint32_t, the first unit in the
 * lowest four bits, the first channel of a group in the lowest of those: two bits a weight of 4 levels, one of 2. Groups of
 * channels that have scales begin with them and with a new word. */
#ifndef CRUMB_TABLES_H
#define CRUMB_TABLES_H

#include "runtime/kernels/frame.h"

enum { CRUMB_TABLES_ENTRIES = 16, CRUMB_TABLES_WORD = 8 }; /* of a table; units of a word of the panel */

typedef struct crumb_tables {
    crumb_frame frame;
    int32_t group;
    size_t floats;                       /* where a staged pixel's channels lie as they are, behind its tables; 0: nowhere */
    float code[4][CRUMB_TABLES_ENTRIES]; /* of a group's channel, by the entry's number */
} crumb_tables;

/* The inner loops of an instruction set. With `floats` linear layers stage the channels as they are, too. */
typedef struct crumb_tables_family {
    crumb_frame_family frame;
    bool floats;
} crumb_tables_family;

/* Words of a group of units that share scales, or of all units. */
static inline int32_t crumb_tables_words(const crumb_frame *frame) {
    return (frame->group_units + CRUMB_TABLES_WORD - 1) / CRUMB_TABLES_WORD;
}

bool crumb_tables_supports(const crumb_conv_problem *problem);
crumb_status crumb_tables_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                  const void *weight, crumb_conv_ready *ready);

#endif
