/* Axes in another order. */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    const crumb_list *order = &((const crumb_transpose_params *)params)->order;
    crumb_shape shape = {.rank = x[0].rank};
    unsigned seen = 0;
    for (int i = 0; i < order->count && order->count == x[0].rank && order->at[i] < x[0].rank; i++) {
        seen |= 1u << (int)order->at[i];
        shape.dim[i] = x[0].dim[(int)order->at[i]];
    }
    if (order->count != x[0].rank || seen != (1u << x[0].rank) - 1) {
        return crumb_infer_fail(ctx, op, inputs, x, "order does not name each axis of x once");
    }
    *plan = (crumb_op_plan){.output = shape};
    return CRUMB_OK;
}

/* Element of x at which row `row` of y (along y's last axis) begins, and in *step the distance of its elements there. */
static int64_t row_in_x(const crumb_op_call *call, int64_t row, int64_t *step) {
    const crumb_list *order = &((const crumb_transpose_params *)call->params)->order;
    int64_t stride[CRUMB_RANK_MAX], at = 0;
    int rank = call->y.shape.rank;
    for (int axis = rank - 1; axis >= 0; axis--) {
        stride[axis] = axis == rank - 1 ? 1 : stride[axis + 1] * call->x[0].shape.dim[axis + 1];
    }
    for (int axis = rank - 2; axis >= 0; axis--) {
        at += row % call->y.shape.dim[axis] * stride[(int)order->at[axis]];
        row /= call->y.shape.dim[axis];
    }
    *step = rank > 0 ? stride[(int)order->at[rank - 1]] : 1;
    return at;
}

static void forward(crumb_op_call *call) {
    int64_t width = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / width;
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
#pragma omp parallel for if (rows * width > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        int64_t step, at = row_in_x(call, row, &step);
        for (int64_t i = 0; i < width; i++) {
            y[row * width + i] = x[at + i * step];
        }
    }
}

static void backward(crumb_op_call *call) {
    int64_t width = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / width;
    const crumb_real *dy = call->dy;
    crumb_real *dx = call->dx[0];
#pragma omp parallel for if (rows * width > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < (dx != NULL ? rows : 0); row++) {
        int64_t step, at = row_in_x(call, row, &step);
        for (int64_t i = 0; i < width; i++) {
            crumb_put(dx + at + i * step, dy[row * width + i], call->add[0]);
        }
    }
}

static const crumb_param table[] = {
    {"order", CRUMB_PARAM_LIST, offsetof(crumb_transpose_params, order), "[0, 3, 1, 2]", 0, CRUMB_RANK_MAX - 1, NULL,
     "which axis of x each axis of y is"},
    {0},
};

const crumb_op CRUMB_OP_NAME(transpose) = {
    .name = "transpose",
    .doc = "y = x with its axes in another order",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_transpose_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
