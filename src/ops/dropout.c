/* Dropout (Srivastava et al. 2014), inverted: training zeroes each value with probability p and multiplies the rest by 1 / (1 -
 * p); otherwise y = x. Element i draws number i of the call's stream, whichever thread computes it. One byte an element is
 * saved. */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    CRUMB_TRY(crumb_infer_same(ctx, op, params, inputs, x, plan));
    plan->saved = (size_t)crumb_shape_count(x[0]);
    return CRUMB_OK;
}

static crumb_real scale(const crumb_op_call *call) {
    return (crumb_real)(1 / (1 - ((const crumb_dropout_params *)call->params)->p));
}

static void forward(crumb_op_call *call) {
    const crumb_dropout_params *p = call->params;
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data, keep = scale(call);
    uint8_t *kept = call->saved;
    int64_t count = crumb_shape_count(call->y.shape);
    if (!call->training) {
        crumb_put_all(y, x, count, false);
        return;
    }
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_rng rng = {call->rng.key, call->rng.counter + (uint64_t)i};
        kept[i] = (double)crumb_rng_uniform(&rng) >= p->p;
        y[i] = kept[i] ? keep * x[i] : 0;
    }
}

static void backward(crumb_op_call *call) {
    const crumb_real *dy = call->dy;
    crumb_real *dx = call->dx[0], keep = call->training ? scale(call) : 1;
    const uint8_t *kept = call->saved;
    int64_t count = dx != NULL ? crumb_shape_count(call->y.shape) : 0;
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_put(dx + i, !call->training || kept[i] ? keep * dy[i] : 0, call->add[0]);
    }
}

static const crumb_param table[] = {
    {"p", CRUMB_PARAM_REAL, offsetof(crumb_dropout_params, p), "0.5", 0, 0.999, NULL, "probability of a zero"},
    {0},
};

const crumb_op CRUMB_OP_NAME(dropout) = {
    .name = "dropout",
    .doc = "training: y = x / (1 - p) with probability 1 - p, else 0; otherwise y = x",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_dropout_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
