/* Maximum over the image, each channel by itself: [N,H,W,C] -> [N,C]. Of equal values the first counts; a NaN wins. */
#include "ops/infer.h"
#include "ops/loops.h"

#include <math.h>

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    (void)params;
    if (x[0].rank != 4) {
        return crumb_infer_fail(ctx, op, inputs, x, "x must be [N,H,W,C]");
    }
    *plan = (crumb_op_plan){.output = CRUMB_SHAPE(x[0].dim[0], x[0].dim[3])};
    return CRUMB_OK;
}

/* Element of x that is the maximum of image n, channel c. */
static int64_t place(const crumb_op_call *call, int64_t n, int64_t c) {
    const int64_t *dim = call->x[0].shape.dim;
    const crumb_real *x = call->x[0].data;
    int64_t at = n * dim[1] * dim[2] * dim[3] + c, best = at;
    for (int64_t pixel = 0; pixel < dim[1] * dim[2]; pixel++, at += dim[3]) {
        best = x[at] > x[best] || (isnan(x[at]) && !isnan(x[best])) ? at : best;
    }
    return best;
}

static void forward(crumb_op_call *call) {
    int64_t channels = call->y.shape.dim[1], count = crumb_shape_count(call->y.shape);
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
#pragma omp parallel for if (crumb_shape_count(call->x[0].shape) > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        y[i] = x[place(call, i / channels, i % channels)];
    }
}

static void backward(crumb_op_call *call) {
    int64_t channels = call->y.shape.dim[1], count = call->dx[0] != NULL ? crumb_shape_count(call->y.shape) : 0;
    const crumb_real *dy = call->dy;
    crumb_real *dx = call->dx[0];
    if (dx != NULL) {
        crumb_clear_unless(call->add[0], dx, crumb_shape_count(call->x[0].shape));
    }
#pragma omp parallel for if (crumb_shape_count(call->x[0].shape) > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        dx[place(call, i / channels, i % channels)] += dy[i];
    }
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    (void)params;
    (void)inputs;
    (void)y;
    return (double)crumb_shape_count(x[0]);
}

const crumb_op CRUMB_OP_NAME(global_max_pool) = {
    .name = "global_max_pool",
    .doc = "y[n,c] = max over i, j of x[n,i,j,c]",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .uses = CRUMB_USES_X0,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
