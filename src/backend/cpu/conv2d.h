/* Convolution on raw pointers: plan once, then run forward and both backward passes without allocating.
 *
 * Layout. Activations are NHWC, weights OHWI: w[o][kh][kw][c], c counting the c/groups input channels
 * of o's group. Everything is f32, dense, and needs only the alignment of a float (64 bytes is faster).
 * With P = oh*ow output pixels of an image,
 *
 *     y[n][i][j][o]  = bias[o] + sum over (kh, kw, c) of x[n][i*sh + kh*dh - pt][j*sw + kw*dw - pl][c] * w[o][kh][kw][c]
 *     dx             = the transpose of that map applied to dy
 *     dw[o][kh][kw][c] = sum over (n, i, j) of dy[n][i][j][o] * x[...][c]
 *
 * where x outside the image is 0. Two providers stand behind the plan: own kernels (AVX-512, one
 * group, no dilation, kernel width up to 3) and oneDNN for the rest.
 *
 * Exactness. Sums are accumulated in f32 with fused multiply-add in a fixed order, so a result differs
 * from the exact one by at most gamma(R) * sum |terms| with R the reduction length and
 * gamma(R) = R*u / (1 - R*u), u = 2^-24. Same plan, same threads, same input: the same bits. The order
 * of forward and backward-data does not depend on the number of threads; that of the weight gradient
 * does, because each thread sums its share of the images and the shares are added in thread order.
 */
#ifndef CRUMB_BACKEND_CPU_CONV2D_H
#define CRUMB_BACKEND_CPU_CONV2D_H

#include "base/ctx.h"

typedef struct {
    int64_t n, h, w, c;         /* input images, height, width, channels */
    int64_t o, kh, kw;          /* output channels, kernel height and width */
    int64_t stride_h, stride_w; /* at least 1 */
    int64_t pad_top, pad_left;  /* rows and columns of zeros around the input, at least 0 */
    int64_t pad_bottom, pad_right;
    int64_t dilation_h, dilation_w; /* distance of two taps, 1 for a dense kernel */
    int64_t groups;                 /* divides c and o */
} crumb_conv2d_shape;

/* Who may run the three passes; bits. AUTO: where both can, the one that measured faster; with PREFER_OWN, the own kernels. */
enum { CRUMB_CONV2D_OWN = 1, CRUMB_CONV2D_ONEDNN = 2, CRUMB_CONV2D_AUTO = 3, CRUMB_CONV2D_PREFER_OWN = 7 };

typedef struct crumb_conv2d_plan crumb_conv2d_plan;

int64_t crumb_conv2d_out_h(const crumb_conv2d_shape *shape);
int64_t crumb_conv2d_out_w(const crumb_conv2d_shape *shape);

/* Settles providers, kernels and workspace of the three passes; threads >= 1, allow as above. SHAPE: a size is not positive, or
 * the kernel is larger than the padded input. UNSUPPORTED, without a message: no provider here does this shape, the reference
 * op does. */
crumb_status crumb_conv2d_plan_create(crumb_ctx *ctx, const crumb_conv2d_shape *shape, int threads, unsigned allow,
                                      crumb_conv2d_plan **out);
void crumb_conv2d_plan_destroy(crumb_ctx *ctx, crumb_conv2d_plan *plan);

/* Bytes that each of the three calls may scribble on; one buffer, aligned to 64, serves every plan. */
size_t crumb_conv2d_plan_workspace(const crumb_conv2d_plan *plan);

/* The three passes return 0, or 1 if the library refused a call that it had planned.
 * y <- conv(x, w) + bias; bias may be NULL. */
int crumb_conv2d_forward(const crumb_conv2d_plan *plan, float *y, const float *x, const float *w, const float *bias,
                         void *workspace);

/* dx <- gradient, or with accumulate != 0, dx <- dx + gradient. */
int crumb_conv2d_backward_data(const crumb_conv2d_plan *plan, float *dx, const float *dy, const float *w, int accumulate,
                               void *workspace);

/* dw <- gradient; db <- column sums of dy unless NULL. */
int crumb_conv2d_backward_weights(const crumb_conv2d_plan *plan, float *dw, float *db, const float *x, const float *dy,
                                  void *workspace);

#endif
