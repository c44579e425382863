/* The parameter structs of the ops, for whoever builds a node or overrides an op. An op's table (crumb_op.params) has one row a
 * member with its range and preset; members left out of an initialiser are 0, which is not always the preset. */
#ifndef CRUMB_OPS_PARAMS_H
#define CRUMB_OPS_PARAMS_H

#include "crumb/base.h"

/* y[i] looks at x[i * stride - padding + k * dilation], k < kernel, zeros outside; the same for height and width. The kernel's
 * size is the weight's. Input and output channels are split into `groups` equal parts that do not see each other. */
typedef struct crumb_conv2d_params {
    int64_t stride, padding, dilation, groups;
} crumb_conv2d_params;

/* max_pool, average_pool: windows of kernel x kernel_width pixels (0: square), stride_width columns apart (0: as the rows);
 * padding is less than either side. count_include_pad (average_pool only): true divides by the window's size everywhere, false
 * by the number of pixels inside the image. ceil_mode: a last window that begins inside the image and reaches out of it counts
 * too. */
typedef struct crumb_pool_params {
    int64_t kernel, stride, padding;
    bool count_include_pad, ceil_mode;
    int64_t kernel_width, stride_width;
} crumb_pool_params;

/* running = (1 - momentum) * running + momentum * batch. A momentum of 0 or less takes 1 / num_batches_tracked instead, which
 * makes `running` the plain mean over all batches since num_batches_tracked was 0 (PyTorch's momentum=None). */
typedef struct crumb_batch_norm_params {
    double eps, momentum;
} crumb_batch_norm_params;

typedef struct crumb_clip_params {
    double min, max;
} crumb_clip_params;

typedef struct crumb_dropout_params {
    double p; /* probability of a zero */
} crumb_dropout_params;

/* y[n, i * stride - padding + k * dilation, ...] gets x[n, i, ...] through kernel position k; output_padding more rows and
 * columns behind. */
typedef struct crumb_conv_transpose2d_params {
    int64_t stride, padding, dilation, groups, output_padding;
} crumb_conv_transpose2d_params;

typedef struct crumb_leaky_relu_params {
    double slope;
} crumb_leaky_relu_params;

typedef struct crumb_hard_sigmoid_params {
    double slope, offset;
} crumb_hard_sigmoid_params;

/* Over the channels c - (size - 1) / 2 .. c + size / 2. */
typedef struct crumb_lrn_params {
    int64_t size;
    double alpha, beta, bias;
} crumb_lrn_params;

/* Output axis i is input axis order[i]. */
typedef struct crumb_transpose_params {
    crumb_list order;
} crumb_transpose_params;

/* The axes stay, as dimensions of 1. */
typedef struct crumb_reduce_mean_params {
    crumb_list axes;
} crumb_reduce_mean_params;

/* Output size; output / input as the file says it, which need not be the quotient of the sizes; how an output's place becomes
 * the input's, and that a pixel: words of the op's table. */
typedef struct crumb_resize_nearest_params {
    int64_t height, width;
    double scale_height, scale_width;
    int coordinates, rounding;
} crumb_resize_nearest_params;

/* Negative axes count from the last one, -1; so of concat. */
typedef struct crumb_gather_params {
    int64_t axis;
} crumb_gather_params;

typedef struct crumb_concat_params {
    int64_t axis;
} crumb_concat_params;

/* Values added before and after each axis; axes past a list's end get none. {.before = {4, {0, 1, 1, 0}}, .after = ...} */
typedef struct crumb_pad_params {
    crumb_list before, after;
    double value;
} crumb_pad_params;

/* x[start : stop : step] of each axis; axes past a list's end are taken whole. start < 0 and stop <= 0 count from the end (stop
 * 0 is the end); a stop behind the end is the end. step >= 1. */
typedef struct crumb_slice_params {
    crumb_list start, stop, step;
} crumb_slice_params;

/* 0 keeps the dimension of that axis (the batch), one -1 takes what is left. */
typedef struct crumb_reshape_params {
    crumb_list shape;
} crumb_reshape_params;

/* The target is (1 - label_smoothing) * one-hot + label_smoothing / classes. */
typedef struct crumb_softmax_cross_entropy_params {
    double label_smoothing;
} crumb_softmax_cross_entropy_params;

/* weight of the soft targets at this temperature, 1 - weight of the labels. */
typedef struct crumb_distillation_params {
    double temperature, weight, label_smoothing;
} crumb_distillation_params;

#endif
