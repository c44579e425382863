/* oneDNN behind eight functions: convolution (three passes) and matrix product. Whatever differs between oneDNN's major versions
 * stays in onednn.c. When the library refuses, creating gives UNSUPPORTED, without a message, and running 1 instead of 0. */
#ifndef CRUMB_BACKEND_CPU_ONEDNN_H
#define CRUMB_BACKEND_CPU_ONEDNN_H

#include "backend/cpu/conv2d.h"

enum { CRUMB_ONEDNN_FORWARD = 0, CRUMB_ONEDNN_BACKWARD_DATA = 1, CRUMB_ONEDNN_BACKWARD_WEIGHTS = 2 };

typedef struct crumb_onednn_conv crumb_onednn_conv;

/* One pass of one convolution, without bias. */
crumb_status crumb_onednn_conv_create(crumb_ctx *ctx, const crumb_conv2d_shape *shape, int pass, int threads,
                                      crumb_onednn_conv **out);
void crumb_onednn_conv_destroy(crumb_ctx *ctx, crumb_onednn_conv *conv);
size_t crumb_onednn_conv_workspace(const crumb_onednn_conv *conv);

/* The three tensors in the layout of conv2d.h; the pass says which one is written. */
int crumb_onednn_conv_run(const crumb_onednn_conv *conv, float *x, float *w, float *y, void *workspace);

typedef struct crumb_onednn_matmul crumb_onednn_matmul;

/* c[m][n] = sum over k of a[m][k] * b[k][n], c dense, a and b given by row and column strides. */
typedef struct {
    int64_t m, n, k;
    int64_t a_row, a_col, b_row, b_col; /* element (i, j) of a lies at a[i*a_row + j*a_col] */
} crumb_onednn_matmul_shape;

crumb_status crumb_onednn_matmul_create(crumb_ctx *ctx, const crumb_onednn_matmul_shape *shape, int with_bias, int threads,
                                        crumb_onednn_matmul **out);
void crumb_onednn_matmul_destroy(crumb_ctx *ctx, crumb_onednn_matmul *matmul);
size_t crumb_onednn_matmul_workspace(const crumb_onednn_matmul *matmul);
/* bias is a row of n values added to every row of c, NULL exactly when planned without. */
int crumb_onednn_matmul_run(const crumb_onednn_matmul *matmul, float *c, const float *a, const float *b, const float *bias,
                            void *workspace);

#endif
