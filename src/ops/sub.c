/* Difference of two tensors of one shape, or of a tensor and one value a channel. */
#include "ops/infer.h"
#include "ops/loops.h"

static void forward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    int64_t step = crumb_binary_step(call);
    const crumb_real *a = call->x[0].data, *b = call->x[1].data;
    crumb_real *y = call->y.data;
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < channels; c++) {
            y[row * channels + c] = a[row * channels + c] - b[row * step + c];
        }
    }
}

/* db = -sum over the rows of dy, in double; one row where shapes are equal. */
static void backward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    bool whole = crumb_binary_step(call) != 0;
    const crumb_real *dy = call->dy;
    crumb_real *db = call->dx[1];
    if (call->dx[0] != NULL) {
        crumb_put_all(call->dx[0], dy, rows * channels, call->add[0]);
    }
    int64_t count = whole ? rows * channels : channels, summed = whole ? 1 : rows;
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < (db != NULL ? count : 0); i++) {
        double sum = 0;
        for (int64_t row = 0; row < summed; row++) {
            sum -= (double)dy[row * channels + i];
        }
        crumb_put(db + i, (crumb_real)sum, call->add[1]);
    }
}

const crumb_op CRUMB_OP_NAME(sub) = {
    .name = "sub",
    .doc = "y = a - b; b may be one value a channel",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = "a b",
    .roles = {CRUMB_DATA, CRUMB_DATA},
    .infer = crumb_infer_binary,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
