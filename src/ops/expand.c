/* Broadcasting as an op of its own: x repeated along its dimensions of 1 where `like` has more. `like` is read for its shape
 * only. */
#include "ops/broadcast.h"
#include "ops/infer.h"

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    (void)params;
    crumb_shape shape = x[0];
    for (int i = 0; i < shape.rank && x[1].rank == shape.rank; i++) {
        shape.dim[i] = shape.dim[i] == 1 ? x[1].dim[i] : shape.dim[i];
    }
    for (int i = 0; i < shape.rank || x[1].rank != shape.rank; i++) {
        if (x[1].rank != shape.rank || (x[1].dim[i] != 1 && x[1].dim[i] != shape.dim[i])) {
            return crumb_infer_fail(ctx, op, inputs, x, "the shapes do not fit each other");
        }
    }
    *plan = (crumb_op_plan){.output = shape};
    return CRUMB_OK;
}

static void forward(crumb_op_call *call) {
    crumb_broadcast b = crumb_broadcast_of(call->x[0].shape, call->y.shape);
    crumb_broadcast_repeat(&b, call->y.data, call->x[0].data, 1, false);
}

static void backward(crumb_op_call *call) {
    crumb_broadcast b = crumb_broadcast_of(call->x[0].shape, call->y.shape);
    if (call->dx[0] != NULL) {
        crumb_broadcast_sum(&b, call->dx[0], call->dy, 1, call->add[0]);
    }
}

const crumb_op CRUMB_OP_NAME(expand) = {
    .name = "expand",
    .doc = "y = x repeated along its dimensions of 1 where `like` has more",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = "x like",
    .roles = {CRUMB_DATA, CRUMB_LABEL},
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
