/* What the shape rules share. Nothing here depends on crumb_real: one build serves both. */
#ifndef CRUMB_OPS_INFER_H
#define CRUMB_OPS_INFER_H

#include "base/param.h"
#include "ops/op.h"
#include "ops/params.h"

/* The largest float: the range of parameters that may be any number. */
#define CRUMB_REAL_LIMIT 3.4028234663852886e38

/* SHAPE with "conv2d: <text> (x 1x32x32x16, weight 16x3x3x8)". */
crumb_status crumb_infer_fail(crumb_ctx *ctx, const crumb_op *op, int inputs, const crumb_shape *x, const char *format, ...)
    CRUMB_PRINTF(5, 6);
/* Rules that several ops have as their `infer`, or begin theirs with.
 * Output like x[0], which has at least two dimensions; each further input is one value a channel. */
crumb_status crumb_infer_per_channel(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                                     crumb_op_plan *plan);
/* Output like x[0] of any shape. */
crumb_status crumb_infer_same(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                              crumb_op_plan *plan);
/* x[0] and x[1] of the same shape, or x[1] one value a channel of x[0]. */
crumb_status crumb_infer_binary(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                                crumb_op_plan *plan);
/* [N,H,W,C] -> windows of crumb_pool_params. */
crumb_status crumb_infer_pool(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                              crumb_op_plan *plan);
/* Logits [N,C] first, labels [N] last, logits of a teacher between; output a scalar. */
crumb_status crumb_infer_loss(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                              crumb_op_plan *plan);

/* One operation an output element. */
double crumb_flops_elementwise(const void *params, int inputs, const crumb_shape *x, crumb_shape y);
/* One operation a value of each pooling window. */
double crumb_flops_pool(const void *params, int inputs, const crumb_shape *x, crumb_shape y);

#endif
