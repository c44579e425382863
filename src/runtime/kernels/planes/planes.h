/* Family "planes": indices and weights cut into bits, 64 products a word: and or exclusive or, population count, addition.
 *
 * With the bits x_k of an activation's index, code(x) = m * sum 2^k x_k + offset. A weight's code is a sum of bits with
 * coefficients in one of two forms,
 *
 *     and    code(w) = sum c_j w_j             sum of x_k w_j        = popcount(x_k & w_j)
 *     xor    code(w) = sum c_j (2 w_j - 1)     sum of x_k (2 w_j - 1) = popcount(w_j) - popcount(x_k ^ w_j)
 *
 * The latter, for -1 and +1 and for odd codes of 2 bits, follows from popcount(x ^ w) = popcount(x) + popcount(w) - 2
 * popcount(x & w): the window's popcount(x), which would have to be counted too, cancels out, and popcount(w_j) is a constant
 * of the channel. So planes(w) * planes(x) words are counted for 64 products: 1 for W1A1, 2 for W1A2, 4 for W2A2 and ternary
 * A2.
 *
 *     weights            form   planes, coefficients
 *     {-c, c}            xor    c
 *     {0, c}, {-c, 0}    and    +-c
 *     {-c, 0, c}         and    c, -c
 *     {0, c, 2c, 3c}     and    c, 2c
 *     {-2c, -c, 0, c}    and    c, -2c (of the upper bit inverted)
 *     {-3c, -c, c, 3c}   xor    c, 2c
 *
 * The offset's part, offset * sum code(w), is a constant too; padding is staged as zeros, and where the offset is not 0 the
 * frame's border takes it back.
 *
 * Staged form: a pixel is [plane of x][plane_bytes]. Of one plane, in a multiple of 8 channels, pixels follow each other
 * without gaps, a kernel row is one run of bits, and only its last word has bits beyond (`last` masks them); else a pixel's
 * planes are filled up to whole words, and a run is a tap. The panel of a block is [plane of w][segment][run][word][lane] of
 * uint64_t. */
#ifndef CRUMB_PLANES_H
#define CRUMB_PLANES_H

#include "runtime/kernels/frame.h"

enum { CRUMB_PLANES_X = 4, CRUMB_PLANES_W = 2, CRUMB_PLANES_BLOCK = 32 };

typedef struct crumb_planes_plan {
    int32_t x, w;                        /* planes */
    bool xor ;                           /* the form */
    int32_t coefficient[CRUMB_PLANES_W]; /* c_j */
    uint32_t ones[CRUMB_PLANES_W];       /* bit i: w_j of index i */
    bool packed;                         /* pixels without gaps */
    int32_t plane_bytes;
    int32_t runs, words; /* of a segment, of a run */
} crumb_planes_plan;

/* The problem as rewritten; false where the family does not fit. */
bool crumb_planes_plan_make(const crumb_conv_problem *problem, crumb_planes_plan *plan);

typedef struct crumb_planes {
    crumb_frame frame;
    crumb_planes_plan plan;
    uint64_t last;                  /* bits of a run's last word that count */
    int32_t factor[CRUMB_PLANES_W]; /* of the counts of plane j */
} crumb_planes;

bool crumb_planes_supports(const crumb_conv_problem *problem);
/* kernel->inner: crumb_frame_family [CRUMB_PLANES_X], by planes of x. */
crumb_status crumb_planes_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                  const void *weight, crumb_conv_ready *ready);

#endif
