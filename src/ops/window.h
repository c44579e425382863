/* Windows of the pooling ops. */
#ifndef CRUMB_OPS_WINDOW_H
#define CRUMB_OPS_WINDOW_H

#include "base/param.h"
#include "ops/op.h"
#include "ops/params.h"

/* The part of one output pixel's window that lies in the image: kernel rows top <= k < bottom, columns left <= l < right. */
typedef struct crumb_window {
    int64_t top, bottom, left, right;
    int64_t origin, w, c; /* element index of kernel position (0, 0), may be outside; width and channels of the input */
} crumb_window;

/* Of kernel and stride along a row. */
static inline int64_t crumb_window_width(const crumb_pool_params *p) {
    return p->kernel_width != 0 ? p->kernel_width : p->kernel;
}

static inline int64_t crumb_window_step(const crumb_pool_params *p) {
    return p->stride_width != 0 ? p->stride_width : p->stride;
}

static inline int64_t crumb_window_pixels(const crumb_op_call *call) {
    return call->y.shape.dim[0] * call->y.shape.dim[1] * call->y.shape.dim[2];
}

/* Of the pixel-th output pixel, counted through images, rows and columns. */
static inline crumb_window crumb_window_of(const crumb_op_call *call, const crumb_pool_params *p, int64_t pixel) {
    const int64_t *in = call->x[0].shape.dim, *out = call->y.shape.dim;
    int64_t row = pixel / out[2] % out[1] * p->stride - p->padding, column = pixel % out[2] * crumb_window_step(p) - p->padding;
    int64_t width = crumb_window_width(p), n = pixel / out[2] / out[1];
    return (crumb_window){.top = row < 0 ? -row : 0,
                          .bottom = row + p->kernel > in[1] ? in[1] - row : p->kernel,
                          .left = column < 0 ? -column : 0,
                          .right = column + width > in[2] ? in[2] - column : width,
                          .origin = ((n * in[1] + row) * in[2] + column) * in[3],
                          .w = in[2],
                          .c = in[3]};
}

/* Element index of channel 0 under kernel position (k, l). */
static inline int64_t crumb_window_at(const crumb_window *w, int64_t k, int64_t l) {
    return w->origin + (k * w->w + l) * w->c;
}

/* Rows of a pooling op's table. */
#define CRUMB_POOL_ROW(member, preset, min, doc)                                                                               \
    { #member, CRUMB_PARAM_INT, offsetof(crumb_pool_params, member), preset, min, 255, NULL, doc }
#define CRUMB_POOL_ROWS                                                                                                        \
    CRUMB_POOL_ROW(kernel, "2", 1, "height and width of the window, pixels"),                                                  \
        CRUMB_POOL_ROW(stride, "2", 1, "step of the window, pixels"),                                                          \
        CRUMB_POOL_ROW(padding, "0", 0, "border on each side of the image, pixels; less than the kernel"),                     \
        {"ceil_mode",                                                                                                          \
         CRUMB_PARAM_BOOL,                                                                                                     \
         offsetof(crumb_pool_params, ceil_mode),                                                                               \
         "false",                                                                                                              \
         0,                                                                                                                    \
         1,                                                                                                                    \
         NULL,                                                                                                                 \
         "also a last window that reaches out of the image"},                                                                  \
        CRUMB_POOL_ROW(kernel_width, "0", 0, "width of the window where it is not square; 0: it is"),                          \
        CRUMB_POOL_ROW(stride_width, "0", 0, "step along a row where it is another one; 0: it is not")

#endif
