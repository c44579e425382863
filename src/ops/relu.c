/* Rectifier: y = max(x, 0), gradient 0 at 0. A NaN stays a NaN, so that the layer that produced it can be found. */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const void *params, int inputs, const crumb_shape *x, crumb_op_plan *plan) {
    return crumb_infer_same(ctx, &CRUMB_OP_NAME(relu), params, inputs, x, plan);
}

static void forward(crumb_op_call *call) {
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
    int64_t count = crumb_shape_count(call->y.shape);
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        y[i] = x[i] < 0 ? 0 : x[i];
    }
}

static void backward(crumb_op_call *call) {
    const crumb_real *y = call->y.data, *dy = call->dy;
    crumb_real *dx = call->dx[0];
    int64_t count = dx != NULL ? crumb_shape_count(call->y.shape) : 0;
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_put(dx + i, y[i] > 0 ? dy[i] : 0, call->add[0]);
    }
}

const crumb_op CRUMB_OP_NAME(relu) = {
    .name = "relu",
    .doc = "y = max(x, 0)",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .uses = CRUMB_USES_Y,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
