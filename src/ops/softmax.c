/* Softmax over the last dimension (softmax.h). softmax_cross_entropy is the loss. */
#include "ops/softmax.h"

static void forward(crumb_op_call *call) {
    crumb_softmax_forward(call, false);
}

static void backward(crumb_op_call *call) {
    crumb_softmax_backward(call, false);
}

const crumb_op CRUMB_OP_NAME(softmax) = {
    .name = "softmax",
    .doc = "y[j] = exp(x[j]) / sum_k exp(x[k]) over the last dimension",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .uses = CRUMB_USES_Y,
    .infer = crumb_infer_same,
    .forward = forward,
    .backward = backward,
    .flops = crumb_softmax_flops,
};
