/* [N,...,C] -> [N, C * ...] in PyTorch's order, channels first: a linear weight trained behind an NCHW network fits as it is.
 */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    (void)params;
    if (x[0].rank < 2) {
        return crumb_infer_fail(ctx, op, inputs, x, "x has no dimensions behind the batch");
    }
    *plan = (crumb_op_plan){.output = CRUMB_SHAPE(x[0].dim[0], crumb_shape_count(x[0]) / x[0].dim[0])};
    return CRUMB_OK;
}

static void forward(crumb_op_call *call) {
    int64_t n = call->y.shape.dim[0], channels = crumb_shape_last(call->x[0].shape), pixels = call->y.shape.dim[1] / channels;
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
#pragma omp parallel for if (n * pixels * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < n * channels; row++) {
        for (int64_t pixel = 0; pixel < pixels; pixel++) {
            y[row * pixels + pixel] = x[(row / channels * pixels + pixel) * channels + row % channels];
        }
    }
}

static void backward(crumb_op_call *call) {
    int64_t n = call->y.shape.dim[0], channels = crumb_shape_last(call->x[0].shape), pixels = call->y.shape.dim[1] / channels;
    const crumb_real *dy = call->dy;
    crumb_real *dx = call->dx[0];
    int64_t rows = dx != NULL ? n * pixels : 0;
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < channels; c++) {
            crumb_put(dx + row * channels + c, dy[(row / pixels * channels + c) * pixels + row % pixels], call->add[0]);
        }
    }
}

const crumb_op CRUMB_OP_NAME(flatten) = {
    .name = "flatten",
    .doc = "y[n,(c*H+i)*W+j] = x[n,i,j,c]: PyTorch's order of an NCHW tensor",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
