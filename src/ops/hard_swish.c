/* x times a logistic function of three straight pieces (MobileNetV3, arXiv 1905.02244, section 5.2). */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const void *params, int inputs, const crumb_shape *x, crumb_op_plan *plan) {
    return crumb_infer_same(ctx, &CRUMB_OP_NAME(hard_swish), params, inputs, x, plan);
}

static void forward(crumb_op_call *call) {
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
    int64_t count = crumb_shape_count(call->y.shape);
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_real gate = x[i] / 6 + (crumb_real)0.5;
        y[i] = x[i] * (gate < 0 ? 0 : gate > 1 ? 1 : gate);
    }
}

static void backward(crumb_op_call *call) {
    const crumb_real *x = call->x[0].data, *dy = call->dy;
    crumb_real *dx = call->dx[0];
    int64_t count = dx != NULL ? crumb_shape_count(call->y.shape) : 0;
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_real slope = x[i] <= -3 ? 0 : x[i] >= 3 ? 1 : x[i] / 3 + (crumb_real)0.5;
        crumb_put(dx + i, slope * dy[i], call->add[0]);
    }
}

const crumb_op CRUMB_OP_NAME(hard_swish) = {
    .name = "hard_swish",
    .doc = "y = x * min(max(x / 6 + 1/2, 0), 1)",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .uses = CRUMB_USES_X0,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
