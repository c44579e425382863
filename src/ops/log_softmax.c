/* Logarithm of the softmax over the last dimension (softmax.h). */
#include "ops/softmax.h"

static void forward(crumb_op_call *call) {
    crumb_softmax_forward(call, true);
}

static void backward(crumb_op_call *call) {
    crumb_softmax_backward(call, true);
}

const crumb_op CRUMB_OP_NAME(log_softmax) = {
    .name = "log_softmax",
    .doc = "y[j] = x[j] - log sum_k exp(x[k]) over the last dimension",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .uses = CRUMB_USES_Y,
    .infer = crumb_infer_same,
    .forward = forward,
    .backward = backward,
    .flops = crumb_softmax_flops,
};
