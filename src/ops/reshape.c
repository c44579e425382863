/* The same values under another shape, in memory order (NHWC). */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    const crumb_list *list = &((const crumb_reshape_params *)params)->shape;
    crumb_shape shape = {.rank = list->count};
    int64_t known = 1, count = crumb_shape_count(x[0]);
    int open = -1;
    for (int i = 0; i < list->count; i++) {
        shape.dim[i] = list->at[i] == 0 && i < x[0].rank ? x[0].dim[i] : (int64_t)list->at[i];
        if (shape.dim[i] == -1 && open < 0) {
            open = i;
        } else if (shape.dim[i] < 1 || known > count) {
            return crumb_infer_fail(ctx, op, inputs, x, "dimension %d cannot be %lld", i, (long long)shape.dim[i]);
        } else {
            known *= shape.dim[i];
        }
    }
    if (open >= 0) {
        shape.dim[open] = count / known;
    }
    if (crumb_shape_count(shape) != count) {
        char text[CRUMB_SHAPE_TEXT];
        return crumb_infer_fail(ctx, op, inputs, x, "%lld values do not fill %s", (long long)count,
                                crumb_shape_print(shape, text));
    }
    *plan = (crumb_op_plan){.output = shape};
    return CRUMB_OK;
}

static void forward(crumb_op_call *call) {
    crumb_put_all(call->y.data, call->x[0].data, crumb_shape_count(call->y.shape), false);
}

static void backward(crumb_op_call *call) {
    if (call->dx[0] != NULL) {
        crumb_put_all(call->dx[0], call->dy, crumb_shape_count(call->y.shape), call->add[0]);
    }
}

static const crumb_param table[] = {
    {"shape", CRUMB_PARAM_LIST, offsetof(crumb_reshape_params, shape), "[0, -1]", -1, 1e9, NULL,
     "new dimensions; 0 keeps the old one, one -1 takes what is left"},
    {0},
};

const crumb_op CRUMB_OP_NAME(reshape) = {
    .name = "reshape",
    .doc = "y = x with the dimensions `shape`, values in memory order",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_reshape_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
