/* Quotient of two tensors of one shape, or of a tensor and one value a channel: da = dy / b, db = -sum dy a / b^2. */
#include "ops/infer.h"
#include "ops/loops.h"

/* y = (or +=) a / b */
static void divide(crumb_real *y, const crumb_real *a, const crumb_real *b, int64_t rows, int64_t channels, int64_t step,
                   bool add) {
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < channels; c++) {
            crumb_put(y + row * channels + c, a[row * channels + c] / b[row * step + c], add);
        }
    }
}

static void forward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    divide(call->y.data, call->x[0].data, call->x[1].data, rows, channels, crumb_binary_step(call), false);
}

static void backward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    int64_t step = crumb_binary_step(call), count = step != 0 ? rows * channels : channels, summed = step != 0 ? 1 : rows;
    const crumb_real *a = call->x[0].data, *b = call->x[1].data, *dy = call->dy;
    crumb_real *db = call->dx[1];
    if (call->dx[0] != NULL) {
        divide(call->dx[0], dy, b, rows, channels, step, call->add[0]);
    }
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < (db != NULL ? count : 0); i++) {
        double sum = 0;
        for (int64_t row = 0; row < summed; row++) {
            sum -= (double)dy[row * channels + i] * (double)a[row * channels + i];
        }
        crumb_put(db + i, (crumb_real)(sum / ((double)b[i] * (double)b[i])), call->add[1]);
    }
}

const crumb_op CRUMB_OP_NAME(div) = {
    .name = "div",
    .doc = "y = a / b; b may be one value a channel",
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
