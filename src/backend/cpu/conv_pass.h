/* The three passes of a convolution on the direct kernels of conv_direct.h: planning, packing of weights,
 * division among threads. conv2d.c chooses between these and oneDNN. */
#ifndef CRUMB_BACKEND_CPU_CONV_PASS_H
#define CRUMB_BACKEND_CPU_CONV_PASS_H

#include "backend/cpu/conv2d.h"
#include "backend/cpu/conv_direct.h"

/* A convolution that writes every stride-th output: all of a forward pass, or one residue of backward-data.
 * Output (i, j) lies at y + y_offset + i*y_row + j*y_px and reads the input from row i*stride_h + in_row. */
typedef struct {
    int64_t kh, kw;            /* taps; either may be 0, then the outputs are 0 */
    int64_t first_kh, step_kh; /* tap k of this class is tap first_kh + k*step_kh of the filter */
    int64_t first_kw, step_kw;
    int64_t rows, cols;
    int64_t in_row, in_col;
    size_t y_offset, y_row, y_px;
    size_t w_offset;            /* of its packed weights, in floats */
    int shape;                  /* 0: tiles of 1 x 16, 1: of 2 x 8 */
    int64_t block_rows, blocks; /* output rows of a unit, units of an image */
    int64_t scratch_rows, scratch_cols;
} crumb_conv_class;

enum { CRUMB_CONV_MAX_CLASSES = 4 }; /* strides up to 2 */

typedef struct {
    const crumb_conv_kernels *kernels;
    int threads;
    int transposed;  /* backward-data: channels of the source are output channels */
    int64_t n, c, o; /* images, source channels, destination channels */
    int64_t src_h, src_w;
    int64_t stride_h, stride_w; /* of the source in one step of the destination */
    int64_t filter_kh, filter_kw;
    size_t src_image, dst_image; /* floats of an image */
    int classes;
    crumb_conv_class class[CRUMB_CONV_MAX_CLASSES];
    size_t packed, scratch; /* floats: all packed weights; a thread's scratch */
} crumb_conv_pass;

/* Plans forward (transposed = 0) or backward-data (1); false: a kernel is missing. */
bool crumb_conv_pass_init(crumb_conv_pass *pass, const crumb_conv2d_shape *shape, int transposed, int threads,
                          const crumb_conv_kernels *kernels);
size_t crumb_conv_pass_workspace(const crumb_conv_pass *pass);
void crumb_conv_pass_run(const crumb_conv_pass *pass, float *dst, const float *src, const float *w, const float *bias,
                         int accumulate, void *workspace);

typedef struct {
    const crumb_conv_kernels *kernels;
    int threads;
    int small; /* the kernel for at most 3 input channels */
    crumb_conv2d_shape shape;
    int64_t oh, ow;
    int64_t block_rows, blocks; /* output rows of a unit, units of an image; or, if an image is small, */
    int64_t images;             /* images of a unit */
    int64_t scratch_rows, scratch_cols;
    int64_t o_blocks, c_blocks;
    size_t sums, scratch; /* floats of a thread */
} crumb_conv_gradient;

/* Plans backward-weights; false: a kernel is missing. */
bool crumb_conv_gradient_init(crumb_conv_gradient *grad, const crumb_conv2d_shape *shape, int threads,
                              const crumb_conv_kernels *kernels);
size_t crumb_conv_gradient_workspace(const crumb_conv_gradient *grad);
void crumb_conv_gradient_run(const crumb_conv_gradient *grad, float *dw, const float *x, const float *dy, void *workspace);

#endif
