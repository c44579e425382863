/* Hyperbolic tangent; gradient 1 - y^2. */
#include "ops/infer.h"
#include "ops/loops.h"

#include <math.h>

static crumb_status infer(crumb_ctx *ctx, const void *params, int inputs, const crumb_shape *x, crumb_op_plan *plan) {
    return crumb_infer_same(ctx, &CRUMB_OP_NAME(tanh), params, inputs, x, plan);
}

static void forward(crumb_op_call *call) {
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
    int64_t count = crumb_shape_count(call->y.shape);
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        y[i] = (crumb_real)tanh((double)x[i]);
    }
}

static void backward(crumb_op_call *call) {
    const crumb_real *y = call->y.data, *dy = call->dy;
    crumb_real *dx = call->dx[0];
    int64_t count = dx != NULL ? crumb_shape_count(call->y.shape) : 0;
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_put(dx + i, dy[i] * (1 - y[i] * y[i]), call->add[0]);
    }
}

const crumb_op CRUMB_OP_NAME(tanh) = {
    .name = "tanh",
    .doc = "y = tanh(x)",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .uses = CRUMB_USES_Y,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
