/* Mean over some axes, which stay as dimensions of 1. */
#include "ops/broadcast.h"
#include "ops/infer.h"

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    const crumb_list *axes = &((const crumb_reduce_mean_params *)params)->axes;
    crumb_shape shape = x[0];
    for (int i = 0; i < axes->count; i++) {
        int64_t axis = (int64_t)axes->at[i] + (axes->at[i] < 0 ? shape.rank : 0);
        if (axis < 0 || axis >= shape.rank) {
            return crumb_infer_fail(ctx, op, inputs, x, "there is no axis %lld", (long long)axes->at[i]);
        }
        shape.dim[axis] = 1;
    }
    *plan = (crumb_op_plan){.output = shape};
    return CRUMB_OK;
}

static void forward(crumb_op_call *call) {
    crumb_broadcast b = crumb_broadcast_of(call->y.shape, call->x[0].shape);
    crumb_broadcast_sum(&b, call->y.data, call->x[0].data, 1 / (double)b.count[1], false);
}

static void backward(crumb_op_call *call) {
    crumb_broadcast b = crumb_broadcast_of(call->y.shape, call->x[0].shape);
    if (call->dx[0] != NULL) {
        crumb_broadcast_repeat(&b, call->dx[0], call->dy, 1 / (crumb_real)b.count[1], call->add[0]);
    }
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    (void)params;
    (void)inputs;
    (void)y;
    return (double)crumb_shape_count(x[0]);
}

static const crumb_param table[] = {
    {"axes", CRUMB_PARAM_LIST, offsetof(crumb_reduce_mean_params, axes), "[1, 2]", -CRUMB_RANK_MAX, CRUMB_RANK_MAX - 1, NULL,
     "axes to take the mean over; below 0: from the last"},
    {0},
};

const crumb_op CRUMB_OP_NAME(reduce_mean) = {
    .name = "reduce_mean",
    .doc = "y = mean of x over some axes, which stay as dimensions of 1",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_reduce_mean_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
