/* Logarithm of the softmax over the last dimension; dx = dy - exp(y) sum_k dy[k]. */
#include "ops/infer.h"
#include "ops/loss.h"

static crumb_status infer(crumb_ctx *ctx, const void *params, int inputs, const crumb_shape *x, crumb_op_plan *plan) {
    return crumb_infer_same(ctx, &CRUMB_OP_NAME(log_softmax), params, inputs, x, plan);
}

static void forward(crumb_op_call *call) {
    int64_t width = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / width;
#pragma omp parallel for if (rows * width > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        const crumb_real *x = (const crumb_real *)call->x[0].data + row * width;
        crumb_real *y = (crumb_real *)call->y.data + row * width;
        double log_sum = crumb_log_sum_exp(x, width, 1);
        for (int64_t j = 0; j < width; j++) {
            y[j] = (crumb_real)((double)x[j] - log_sum);
        }
    }
}

static void backward(crumb_op_call *call) {
    int64_t width = crumb_shape_last(call->y.shape), rows = call->dx[0] != NULL ? crumb_shape_count(call->y.shape) / width : 0;
#pragma omp parallel for if (rows * width > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        const crumb_real *y = (const crumb_real *)call->y.data + row * width, *dy = (const crumb_real *)call->dy + row * width;
        crumb_real *dx = (crumb_real *)call->dx[0] + row * width;
        double sum = 0;
        for (int64_t j = 0; j < width; j++) {
            sum += (double)dy[j];
        }
        for (int64_t j = 0; j < width; j++) {
            crumb_put(dx + j, (crumb_real)((double)dy[j] - exp((double)y[j]) * sum), call->add[0]);
        }
    }
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    return 4 * crumb_flops_elementwise(params, inputs, x, y);
}

const crumb_op CRUMB_OP_NAME(log_softmax) = {
    .name = "log_softmax",
    .doc = "y[j] = x[j] - log sum_k exp(x[k]) over the last dimension",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .uses = CRUMB_USES_Y,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
