/* Convolution kernels: one folder a family in kernels/, one file an instruction set in kernels.inc, chosen at plan time: the
 * first row whose instructions the context may use and whose `supports` says yes; the scalar rows, which take everything, are
 * last.
 *
 * Activations are dense stacks of images [N, H, W, C]: an index a byte (CODES), or floats (REAL). There are no halos and no
 * packed layouts outside of kernels: a kernel copies the input rows it is about to use into its scratch, with padding around
 * them, in the form its inner loop wants (bytes, groups of indices, planes of bits). An input element is copied once and then
 * multiplied with kernel_height * kernel_width * out_channels weights, so the copy is 1 to 2 % of the time of a layer; in
 * return whatever follows a convolution reads and writes plain arrays.
 *
 * A kernel computes accumulators (int32 for CODES, float for REAL) of strips of output pixels for a block of output channels,
 * and hands them to the caller's sink, which does what follows: multiplier and bias, addition, rectifier, quantization,
 * storing. Accumulators are exactly the sums of pack/packed.h, so all rows give equal bits.
 *
 * Weights are packed once at plan time into panels the inner loop reads in order. Where an activation's or weight's code is not
 * its index (multiply, offset), the difference is folded into the stored weights, into per-channel corrections and, where that
 * does not do, into the sum of the window's indices. Where 0 is not a level of the activation, padding needs corrections that
 * depend on which taps are inside: the window's border class. Weights that are floats must be finite: padding is added as 0. */
#ifndef CRUMB_KERNEL_H
#define CRUMB_KERNEL_H

#include "pack/packed.h"

/* What is to be computed. */
typedef struct crumb_conv_problem {
    int32_t height, width, channels; /* input */
    int32_t out_height, out_width, out_channels;
    int32_t kernel_height, kernel_width, stride, padding, dilation, groups;
    crumb_packed_codes x; /* levels 0: REAL */
    crumb_packed_codes w; /* levels 0: float weights, only with REAL x */
    /* Channels of w that share a scale (packed.h): REAL x, codes w, kernel 1 x 1, groups 1. 0: none. Scales are [out_channels,
     * groups], read by prepare only. */
    int32_t group;
    const float *scale;
} crumb_conv_problem;

/* Accumulators of `pixels` consecutive pixels of the output stack [N, out_height, out_width], from index `pixel` on (a strip
 * may cross rows and images), for output channels o .. o + channels - 1: acc[p * stride + c], int32 or float by the problem.
 * acc is aligned to 64 bytes and stride is a multiple of 16, so whole vectors may be read and, since the sink may overwrite
 * acc, written; what lies beyond `channels` has no meaning. o is a multiple of 16, channels too but for the last of the layer
 * or of a group (grouped layers: o is any multiple of out_channels / groups plus a multiple of 16). Called from many threads,
 * never twice for the same output. */
typedef void (*crumb_conv_sink)(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc,
                                int32_t stride);

typedef struct crumb_conv_kernel crumb_conv_kernel;

/* A kernel made ready for one problem: weights in panels, corrections, offsets. Immutable and shared by all sessions. */
typedef struct crumb_conv_ready {
    const crumb_conv_kernel *kernel;
    crumb_conv_problem problem;
    int32_t channel_step; /* run's o0 must be a multiple of it, o1 too or all channels; 0: only all channels at once */
    size_t scratch_bytes; /* a thread's own, given to run */
    void *panel;          /* the kernel's own; crumb_alloc'd in one piece with everything it needs */
    size_t panel_bytes;
} crumb_conv_ready;

struct crumb_conv_kernel {
    const char *name;   /* <op>_<acc>_<act>_<weight>__<isa>, "conv_i32_u8_s8__avx512vnni" */
    const char *family; /* its folder: "bytes", "lookup", "real", ... */
    uint32_t cpu;       /* CRUMB_CPU_ bits it needs */
    bool (*supports)(const crumb_conv_problem *problem);
    /* weight: the unpacked indices [O, KH, KW, C / groups] (uint16_t), or floats. Fills all of ready but kernel and problem. */
    crumb_status (*prepare)(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                            const void *weight, crumb_conv_ready *ready);
    /* Rows row0 .. row1 - 1 of the output stack (row n * out_height + y is row y of image n), channels o0 .. o1 - 1. x: the
     * input stack's first image; nothing outside of the images that these rows belong to is read. Give one call as many rows as
     * there are, of many images too: a linear layer (out_height 1) then works on several images at a time, and rows of one
     * image share staged input. Layers of few rows are better divided among threads by channels. scratch: 64-byte aligned. */
    void (*run)(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                crumb_conv_sink sink, void *user, void *scratch);
    const void *inner; /* the family's inner loops for this instruction set */
};

extern const crumb_conv_kernel *const crumb_conv_kernels[]; /* from kernels.inc, NULL-terminated, fastest first */

/* What a conv2d node computes. */
crumb_conv_problem crumb_conv_problem_of(const crumb_packed *packed, const crumb_packed_node *node);

/* The first row that fits, made ready. Fails only with MEMORY. */
crumb_status crumb_conv_prepare(crumb_ctx *ctx, const crumb_conv_problem *problem, const void *weight, crumb_conv_ready *ready);
const crumb_conv_kernel *crumb_conv_choose(const crumb_ctx *ctx, const crumb_conv_problem *problem);
/* With a certain row, whose supports must say yes; tests and benches ask for it. */
crumb_status crumb_conv_prepare_with(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                     const void *weight, crumb_conv_ready *ready);
void crumb_conv_release(crumb_ctx *ctx, crumb_conv_ready *ready);

#endif
