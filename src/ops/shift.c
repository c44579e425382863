/* One learned value a channel, added: a bias behind any op. */
#include "ops/infer.h"
#include "ops/loops.h"

static void forward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    const crumb_real *x = call->x[0].data, *bias = call->x[1].data;
    crumb_real *y = call->y.data;
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < channels; c++) {
            y[row * channels + c] = x[row * channels + c] + bias[c];
        }
    }
}

static void backward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    if (call->dx[0] != NULL) {
        crumb_put_all(call->dx[0], call->dy, rows * channels, call->add[0]);
    }
    if (call->dx[1] != NULL) {
        crumb_channel_sums(call->dx[1], call->dy, NULL, rows, channels, call->add[1]);
    }
}

const crumb_op CRUMB_OP_NAME(shift) = {
    .name = "shift",
    .doc = "y = x + bias[c]",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = "x bias",
    .roles = {CRUMB_DATA, CRUMB_PARAM},
    .infer = crumb_infer_per_channel,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
