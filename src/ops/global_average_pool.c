/* Mean over the image, each channel by itself: [N,H,W,C] -> [N,C]. */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    (void)params;
    if (x[0].rank != 4) {
        return crumb_infer_fail(ctx, op, inputs, x, "x must be [N,H,W,C]");
    }
    *plan = (crumb_op_plan){.output = CRUMB_SHAPE(x[0].dim[0], x[0].dim[3])};
    return CRUMB_OK;
}

static void forward(crumb_op_call *call) {
    const int64_t *dim = call->x[0].shape.dim;
    int64_t pixels = dim[1] * dim[2], channels = dim[3];
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
    for (int64_t n = 0; n < dim[0]; n++) {
        crumb_channel_sums(y + n * channels, x + n * pixels * channels, NULL, pixels, channels, false);
    }
    for (int64_t i = 0; i < dim[0] * channels; i++) {
        y[i] /= (crumb_real)pixels;
    }
}

static void backward(crumb_op_call *call) {
    const int64_t *dim = call->x[0].shape.dim;
    int64_t pixels = dim[1] * dim[2], channels = dim[3], count = call->dx[0] != NULL ? dim[0] * pixels : 0;
    const crumb_real *dy = call->dy;
    crumb_real *dx = call->dx[0];
#pragma omp parallel for if (count * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t at = 0; at < count; at++) {
        for (int64_t c = 0; c < channels; c++) {
            crumb_put(dx + at * channels + c, dy[at / pixels * channels + c] / (crumb_real)pixels, call->add[0]);
        }
    }
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    (void)params;
    (void)inputs;
    (void)y;
    return (double)crumb_shape_count(x[0]);
}

const crumb_op CRUMB_OP_NAME(global_average_pool) = {
    .name = "global_average_pool",
    .doc = "y[n,c] = mean over i, j of x[n,i,j,c]",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
