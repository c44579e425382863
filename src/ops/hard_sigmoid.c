/* A logistic function of three straight pieces; gradient 0 at the bends. */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const void *params, int inputs, const crumb_shape *x, crumb_op_plan *plan) {
    return crumb_infer_same(ctx, &CRUMB_OP_NAME(hard_sigmoid), params, inputs, x, plan);
}

static void forward(crumb_op_call *call) {
    const crumb_hard_sigmoid_params *p = call->params;
    const crumb_real slope = (crumb_real)p->slope, offset = (crumb_real)p->offset;
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
    int64_t count = crumb_shape_count(call->y.shape);
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_real line = slope * x[i] + offset;
        y[i] = line < 0 ? 0 : line > 1 ? 1 : line;
    }
}

static void backward(crumb_op_call *call) {
    const crumb_hard_sigmoid_params *p = call->params;
    const crumb_real slope = (crumb_real)p->slope, offset = (crumb_real)p->offset;
    const crumb_real *x = call->x[0].data, *dy = call->dy;
    crumb_real *dx = call->dx[0];
    int64_t count = dx != NULL ? crumb_shape_count(call->y.shape) : 0;
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_real line = slope * x[i] + offset;
        crumb_put(dx + i, line > 0 && line < 1 ? slope * dy[i] : 0, call->add[0]);
    }
}

static const crumb_param table[] = {
    {"slope", CRUMB_PARAM_REAL, offsetof(crumb_hard_sigmoid_params, slope), "0.2", -1e6, 1e6, NULL, "of the middle piece"},
    {"offset", CRUMB_PARAM_REAL, offsetof(crumb_hard_sigmoid_params, offset), "0.5", -1e6, 1e6, NULL, "value at x = 0"},
    {0},
};

const crumb_op CRUMB_OP_NAME(hard_sigmoid) = {
    .name = "hard_sigmoid",
    .doc = "y = min(max(slope * x + offset, 0), 1)",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_hard_sigmoid_params),
    .uses = CRUMB_USES_X0,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
