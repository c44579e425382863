/* Fully connected layer, PyTorch's weight layout:  y[n,o] = b[o] + sum_i x[n,i] w[o,i]. */
#include "ops/infer.h"
#include "ops/loops.h"

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    (void)params;
    if (x[0].rank != 2 || x[1].rank != 2 || x[0].dim[1] != x[1].dim[1]) {
        return crumb_infer_fail(ctx, op, inputs, x, "x must be [N,I], weight [O,I]");
    }
    if (inputs == 3 && (x[2].rank != 1 || x[2].dim[0] != x[1].dim[0])) {
        return crumb_infer_fail(ctx, op, inputs, x, "bias is not one value an output");
    }
    *plan = (crumb_op_plan){.output = CRUMB_SHAPE(x[0].dim[0], x[1].dim[0])};
    return CRUMB_OK;
}

/* sum_i a[i] b[i] in eight interleaved partial sums: they vectorise without the compiler reordering anything, and round less.
 */
static crumb_real dot(const crumb_real *a, const crumb_real *b, int64_t count) {
    enum { LANES = 8 };
    crumb_real lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (int64_t j = 0; j < LANES; j++) {
            lane[j] += a[i + j] * b[i + j];
        }
    }
    for (int64_t j = 0; i + j < count; j++) {
        lane[j] += a[i + j] * b[i + j];
    }
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static void forward(crumb_op_call *call) {
    int64_t rows = call->x[0].shape.dim[0], in = call->x[1].shape.dim[1], out = call->x[1].shape.dim[0];
    const crumb_real *x = call->x[0].data, *w = call->x[1].data, *bias = call->inputs == 3 ? call->x[2].data : NULL;
    crumb_real *y = call->y.data;
#pragma omp parallel for if (rows * in * out > CRUMB_LOOP_PARALLEL)
    for (int64_t o = 0; o < out; o++) { /* outside: each row of the weight is read from memory once */
        for (int64_t n = 0; n < rows; n++) {
            y[n * out + o] = dot(x + n * in, w + o * in, in) + (bias != NULL ? bias[o] : 0);
        }
    }
}

static void backward(crumb_op_call *call) {
    int64_t rows = call->x[0].shape.dim[0], in = call->x[1].shape.dim[1], out = call->x[1].shape.dim[0];
    const crumb_real *x = call->x[0].data, *w = call->x[1].data, *dy = call->dy;
    crumb_real *dx = call->dx[0], *dw = call->dx[1];
#pragma omp parallel for if (dx != NULL && rows * in * out > CRUMB_LOOP_PARALLEL)
    for (int64_t n = 0; n < (dx != NULL ? rows : 0); n++) {
        crumb_clear_unless(call->add[0], dx + n * in, in);
        for (int64_t o = 0; o < out; o++) {
            crumb_axpy(dx + n * in, dy[n * out + o], w + o * in, in);
        }
    }
#pragma omp parallel for if (dw != NULL && rows * in * out > CRUMB_LOOP_PARALLEL)
    for (int64_t o = 0; o < (dw != NULL ? out : 0); o++) {
        crumb_clear_unless(call->add[1], dw + o * in, in);
        for (int64_t n = 0; n < rows; n++) {
            crumb_axpy(dw + o * in, dy[n * out + o], x + n * in, in);
        }
    }
    if (call->inputs == 3 && call->dx[2] != NULL) {
        crumb_channel_sums(call->dx[2], dy, NULL, rows, out, call->add[2]);
    }
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    (void)params;
    return (double)crumb_shape_count(y) * (2.0 * (double)x[1].dim[1] + (inputs == 3));
}

const crumb_op CRUMB_OP_NAME(linear) = {
    .name = "linear",
    .doc = "y[n,o] = b[o] + sum_i x[n,i] w[o,i]",
    .min_inputs = 2,
    .max_inputs = 3,
    .input_names = "x weight bias",
    .roles = {CRUMB_DATA, CRUMB_PARAM, CRUMB_PARAM},
    .uses = CRUMB_USES_X0 | CRUMB_USES_X1, /* the weight may be a quantize node's output */
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
