/* Leaky rectifier: y = x where x > 0, else slope * x; a fixed slope (prelu learns one a channel). */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const void *params, int inputs, const crumb_shape *x, crumb_op_plan *plan) {
    return crumb_infer_same(ctx, &CRUMB_OP_NAME(leaky_relu), params, inputs, x, plan);
}

static void forward(crumb_op_call *call) {
    const crumb_real slope = (crumb_real)((const crumb_leaky_relu_params *)call->params)->slope;
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
    int64_t count = crumb_shape_count(call->y.shape);
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        y[i] = x[i] > 0 ? x[i] : slope * x[i];
    }
}

static void backward(crumb_op_call *call) {
    const crumb_real slope = (crumb_real)((const crumb_leaky_relu_params *)call->params)->slope;
    const crumb_real *x = call->x[0].data, *dy = call->dy;
    crumb_real *dx = call->dx[0];
    int64_t count = dx != NULL ? crumb_shape_count(call->y.shape) : 0;
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_put(dx + i, x[i] > 0 ? dy[i] : slope * dy[i], call->add[0]);
    }
}

static const crumb_param table[] = {
    {"slope", CRUMB_PARAM_REAL, offsetof(crumb_leaky_relu_params, slope), "0.01", -1e6, 1e6, NULL, "factor of what is below 0"},
    {0},
};

const crumb_op CRUMB_OP_NAME(leaky_relu) = {
    .name = "leaky_relu",
    .doc = "y = x > 0 ? x : slope * x",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_leaky_relu_params),
    .uses = CRUMB_USES_X0,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
