/* Convolution kernels: one folder a family in kernels/, one file a row in kernels.inc, chosen at plan time: the first row whose
 * instructions the context may use and whose `supports` says yes; the scalar rows, which take everything, are last.
 *
 * A kernel computes accumulators (int32 for CODES, float for REAL) of a strip of pixels of one output row for a block of output
 * channels, and hands them to the caller's sink, which does what follows: multiplier and bias, addition, rectifier,
 * quantization, storing. Accumulators are exactly the sums of pack/packed.h, so all integer rows give equal bits; float rows
 * keep the order of the sum for each output (they vectorise over outputs).
 *
 * Weights are packed once at plan time into panels the inner loop reads in order. Where an activation's or weight's code is not
 * its index (multiply, offset), the difference is folded into per-channel corrections and, for weights with an offset, into the
 * sum of the window's indices. Where 0 is not a level of the activation, padding needs corrections that depend on which taps
 * are inside: the window's border class. */
#ifndef CRUMB_KERNEL_H
#define CRUMB_KERNEL_H

#include "pack/packed.h"
#include "runtime/layout.h"

/* What is to be computed. */
typedef struct crumb_conv_problem {
    int32_t height, width, channels; /* input */
    int32_t out_height, out_width, out_channels;
    int32_t kernel_height, kernel_width, stride, padding, dilation, groups;
    int32_t halo;         /* of the input buffer, >= padding: other readers of the value may need more */
    crumb_packed_codes x; /* levels 0: REAL */
    crumb_packed_codes w; /* levels 0: float weights */
} crumb_conv_problem;

/* Accumulators of `pixels` consecutive output pixels (y, x .. x + pixels - 1) for output channels o .. o + channels - 1:
 * acc[p * stride + c], int32 or float by the problem. The sink only reads them, and nothing beyond. It is called from many
 * threads, never twice for the same output; the channels of one pixel come from one thread unless o0 .. o1 divides them. It is
 * fastest where o and, but for the last strip, channels are multiples of 16, and strips have 64 to 1024 accumulators. */
typedef void (*crumb_conv_sink)(void *user, int32_t y, int32_t x, int32_t pixels, int32_t o, int32_t channels, const void *acc,
                                int32_t stride);

typedef struct crumb_conv_kernel crumb_conv_kernel;

/* A kernel made ready for one problem: weights in panels, corrections, offsets. Immutable and shared by all sessions. */
typedef struct crumb_conv_ready {
    const crumb_conv_kernel *kernel;
    crumb_conv_problem problem;
    crumb_layout input;   /* the layout it reads: kernel's kind, the problem's halo */
    int32_t channel_step; /* run's o0 must be a multiple of it, a multiple of 16 itself; 0: only all channels at once */
    size_t scratch_bytes; /* a thread's own, given to run */
    void *panel;          /* the kernel's own; crumb_alloc'd in one piece with everything it needs */
    size_t panel_bytes;
} crumb_conv_ready;

struct crumb_conv_kernel {
    const char *name;   /* <op>_<dst>_<act>_<weight>__<isa>_<tile>, "conv_i32_u2_s2__avx512_8x32" */
    const char *family; /* "planes", "bytes", "depthwise", "real" */
    uint32_t cpu;       /* CRUMB_CPU_ bits it needs */
    crumb_layout_kind reads;
    bool (*supports)(const crumb_conv_problem *problem);
    /* weight: the unpacked indices [O, KH, KW, C / groups] (uint16_t), or floats. Fills ready->input, scratch_bytes, panel. */
    crumb_status (*prepare)(crumb_ctx *ctx, const crumb_conv_problem *problem, const void *weight, crumb_conv_ready *ready);
    /* Output rows y0 .. y1 - 1, channels o0 .. o1 - 1 of one image; o1 is a multiple of channel_step or the last. Layers of few
     * rows are divided among threads by channels. x is a buffer of layout ready->input; scratch is 64-byte aligned. */
    void (*run)(const crumb_conv_ready *ready, const uint8_t *x, int32_t y0, int32_t y1, int32_t o0, int32_t o1,
                crumb_conv_sink sink, void *user, void *scratch);
};

extern const crumb_conv_kernel *const crumb_conv_kernels[]; /* from kernels.inc, NULL-terminated, fastest first */

/* The first row that fits, made ready. Fails only with MEMORY. */
crumb_status crumb_conv_prepare(crumb_ctx *ctx, const crumb_conv_problem *problem, const void *weight, crumb_conv_ready *ready);
void crumb_conv_release(crumb_ctx *ctx, crumb_conv_ready *ready);

#endif
