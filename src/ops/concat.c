/* Tensors put behind each other along one axis. */
#include "ops/box.h"
#include "ops/infer.h"

static int axis_of(const void *params, crumb_shape x) {
    int64_t axis = ((const crumb_concat_params *)params)->axis;
    return (int)(axis < 0 ? axis + x.rank : axis);
}

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    int axis = axis_of(params, x[0]);
    if (axis < 0 || axis >= x[0].rank) {
        return crumb_infer_fail(ctx, op, inputs, x, "there is no axis %lld",
                                (long long)((const crumb_concat_params *)params)->axis);
    }
    crumb_shape output = x[0];
    for (int i = 1; i < inputs; i++) {
        crumb_shape like = x[0];
        like.dim[axis] = x[i].dim[axis];
        if (!crumb_shape_equal(like, x[i])) {
            return crumb_infer_fail(ctx, op, inputs, x, "input %d differs beside axis %d", i, axis);
        }
        output.dim[axis] += x[i].dim[axis];
    }
    *plan = (crumb_op_plan){.output = output};
    return CRUMB_OK;
}

/* The place inside y of the input that follows the first `start` values of the axis. */
static crumb_box box_of(const crumb_op_call *call, int input, int64_t start) {
    crumb_box box = {.whole = call->y.shape, .dim = call->x[input].shape, .step = {1, 1, 1, 1, 1, 1}};
    box.start[axis_of(call->params, call->y.shape)] = start;
    return box;
}

static void forward(crumb_op_call *call) {
    int64_t start = 0;
    for (int i = 0; i < call->inputs; i++) {
        crumb_box box = box_of(call, i, start);
        crumb_box_write(&box, call->y.data, call->x[i].data, false);
        start += call->x[i].shape.dim[axis_of(call->params, call->y.shape)];
    }
}

static void backward(crumb_op_call *call) {
    int64_t start = 0;
    for (int i = 0; i < call->inputs; i++) {
        crumb_box box = box_of(call, i, start);
        if (call->dx[i] != NULL) {
            crumb_box_read(&box, call->dx[i], call->dy, call->add[i]);
        }
        start += call->x[i].shape.dim[axis_of(call->params, call->y.shape)];
    }
}

static const crumb_param table[] = {
    {"axis", CRUMB_PARAM_INT, offsetof(crumb_concat_params, axis), "-1", -CRUMB_RANK_MAX, CRUMB_RANK_MAX - 1, NULL,
     "the axis that grows; below 0: from the last"},
    {0},
};

const crumb_op CRUMB_OP_NAME(concat) = {
    .name = "concat",
    .doc = "y = the inputs behind each other along one axis",
    .min_inputs = 1,
    .max_inputs = CRUMB_INPUTS_MAX,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_concat_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
