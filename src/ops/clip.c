/* Clipping to [min, max]; the gradient passes where min <= x <= max, ends included as in PyTorch. A NaN stays a NaN. */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const void *params, int inputs, const crumb_shape *x, crumb_op_plan *plan) {
    const crumb_op *op = &CRUMB_OP_NAME(clip);
    const crumb_clip_params *p = params;
    CRUMB_TRY(crumb_infer_begin(ctx, op, params, inputs));
    if (p->min > p->max) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "clip: min %g is above max %g", p->min, p->max);
    }
    *plan = (crumb_op_plan){.output = x[0]};
    return CRUMB_OK;
}

static void forward(crumb_op_call *call) {
    const crumb_clip_params *p = call->params;
    const crumb_real low = (crumb_real)p->min, high = (crumb_real)p->max;
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
    int64_t count = crumb_shape_count(call->y.shape);
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        y[i] = x[i] < low ? low : x[i] > high ? high : x[i];
    }
}

static void backward(crumb_op_call *call) {
    const crumb_clip_params *p = call->params;
    const crumb_real low = (crumb_real)p->min, high = (crumb_real)p->max;
    const crumb_real *x = call->x[0].data, *dy = call->dy;
    crumb_real *dx = call->dx[0];
    int64_t count = dx != NULL ? crumb_shape_count(call->y.shape) : 0;
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_put(dx + i, x[i] >= low && x[i] <= high ? dy[i] : 0, call->add[0]);
    }
}

static const crumb_param table[] = {
    {"min", CRUMB_PARAM_REAL, offsetof(crumb_clip_params, min), "0", -CRUMB_REAL_LIMIT, CRUMB_REAL_LIMIT, NULL,
     "smallest output"},
    {"max", CRUMB_PARAM_REAL, offsetof(crumb_clip_params, max), "1", -CRUMB_REAL_LIMIT, CRUMB_REAL_LIMIT, NULL,
     "largest output"},
    {0},
};

const crumb_op CRUMB_OP_NAME(clip) = {
    .name = "clip",
    .doc = "y = min(max(x, min), max)",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_clip_params),
    .uses = CRUMB_USES_X0,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
