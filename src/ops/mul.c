/* Product of two tensors of one shape, or of a tensor and one value a channel. */
#include "ops/infer.h"
#include "ops/loops.h"

/* dst = (or +=) a * b, b with rows `step` apart */
static void multiply(crumb_real *dst, const crumb_real *a, const crumb_real *b, int64_t rows, int64_t channels, int64_t step,
                     bool add) {
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < channels; c++) {
            crumb_put(dst + row * channels + c, a[row * channels + c] * b[row * step + c], add);
        }
    }
}

static void forward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    multiply(call->y.data, call->x[0].data, call->x[1].data, rows, channels, crumb_binary_step(call), false);
}

static void backward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    int64_t step = crumb_binary_step(call);
    if (call->dx[0] != NULL) {
        multiply(call->dx[0], call->dy, call->x[1].data, rows, channels, step, call->add[0]);
    }
    if (call->dx[1] != NULL && step != 0) {
        multiply(call->dx[1], call->dy, call->x[0].data, rows, channels, step, call->add[1]);
    } else if (call->dx[1] != NULL) {
        crumb_channel_sums(call->dx[1], call->dy, call->x[0].data, rows, channels, call->add[1]);
    }
}

const crumb_op CRUMB_OP_NAME(mul) = {
    .name = "mul",
    .doc = "y = a * b; b may be one value a channel",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = "a b",
    .roles = {CRUMB_DATA, CRUMB_DATA},
    .uses = CRUMB_USES_X0 | CRUMB_USES_X1,
    .infer = crumb_infer_binary,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
