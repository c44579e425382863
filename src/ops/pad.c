/* A tensor with a constant around it. */
#include "ops/box.h"
#include "ops/infer.h"

/* The place of x inside y. */
static crumb_box box_of(const crumb_pad_params *p, crumb_shape x) {
    crumb_box box = {.whole = x, .dim = x};
    for (int axis = 0; axis < x.rank; axis++) {
        box.start[axis] = axis < p->before.count ? (int64_t)p->before.at[axis] : 0;
        box.step[axis] = 1;
        box.whole.dim[axis] += box.start[axis] + (axis < p->after.count ? (int64_t)p->after.at[axis] : 0);
    }
    return box;
}

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    const crumb_pad_params *p = params;
    if (x[0].rank == 0 || p->before.count > x[0].rank || p->after.count > x[0].rank) {
        return crumb_infer_fail(ctx, op, inputs, x, "x has no axis for some of before %d, after %d", p->before.count,
                                p->after.count);
    }
    *plan = (crumb_op_plan){.output = box_of(p, x[0]).whole};
    return CRUMB_OK;
}

static void forward(crumb_op_call *call) {
    const crumb_pad_params *p = call->params;
    crumb_box box = box_of(p, call->x[0].shape);
    crumb_real *y = call->y.data;
    int64_t count = crumb_shape_count(call->y.shape);
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        y[i] = (crumb_real)p->value;
    }
    crumb_box_write(&box, y, call->x[0].data, false);
}

static void backward(crumb_op_call *call) {
    crumb_box box = box_of(call->params, call->x[0].shape);
    if (call->dx[0] != NULL) {
        crumb_box_read(&box, call->dx[0], call->dy, call->add[0]);
    }
}

static const crumb_param table[] = {
    {"before", CRUMB_PARAM_LIST, offsetof(crumb_pad_params, before), "[]", 0, 65536, NULL, "values put before each axis"},
    {"after", CRUMB_PARAM_LIST, offsetof(crumb_pad_params, after), "[]", 0, 65536, NULL, "values put behind each axis"},
    {"value", CRUMB_PARAM_REAL, offsetof(crumb_pad_params, value), "0", -CRUMB_REAL_LIMIT, CRUMB_REAL_LIMIT, NULL,
     "what is put there"},
    {0},
};

const crumb_op CRUMB_OP_NAME(pad) = {
    .name = "pad",
    .doc = "y = x with `before` and `after` values added to each axis",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_pad_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
