/* Batch normalisation (Ioffe and Szegedy 2015) over all but the last dimension, with PyTorch's statistics:
 *
 *     y = (x - mean) / sqrt(var + eps) * weight + bias
 *
 * Training: mean and biased variance of the batch (two passes in double); running_mean and the unbiased running_var move
 * towards them. Otherwise the running ones. With r = 1 / sqrt(var + eps), xh = (x - mean) r and n values a channel the
 * gradients are
 *
 *     dbias = sum dy,   dweight = sum dy xh,   dx = weight r (dy - dbias / n - xh dweight / n)     (training)
 *                                              dx = weight r dy                                    (otherwise). */
#include "ops/infer.h"
#include "ops/loops.h"

#include <math.h>

enum { X, WEIGHT, BIAS, MEAN, VAR, TRACKED };

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    crumb_op_plan own;
    CRUMB_TRY(crumb_infer_per_channel(ctx, op, params, inputs, x, &own));
    if (!crumb_shape_equal(x[MEAN], x[WEIGHT]) || !crumb_shape_equal(x[VAR], x[WEIGHT]) || crumb_shape_count(x[TRACKED]) != 1) {
        return crumb_infer_fail(ctx, op, inputs, x, "statistics must be [C], num_batches_tracked one value");
    }
    own.saved = 2 * (size_t)crumb_shape_last(x[X]) * sizeof(crumb_real); /* mean and r of the batch */
    own.scratch = own.saved;
    *plan = own;
    return CRUMB_OK;
}

/* Mean and biased variance of the channels of one block. The second pass subtracts the mean first: no cancellation. */
static void block_statistics(const crumb_real *x, int64_t rows, int64_t channels, int64_t width, double *mean, double *var) {
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t j = 0; j < width; j++) {
            mean[j] += (double)x[row * channels + j];
        }
    }
    for (int64_t j = 0; j < width; j++) {
        mean[j] /= (double)rows;
    }
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t j = 0; j < width; j++) {
            double distance = (double)x[row * channels + j] - mean[j];
            var[j] += distance * distance;
        }
    }
    for (int64_t j = 0; j < width; j++) {
        var[j] /= (double)rows;
    }
}

static void batch_statistics(crumb_op_call *call, crumb_real *mean, crumb_real *rstd, double momentum) {
    const crumb_batch_norm_params *p = call->params;
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    const crumb_real *x = call->x[X].data;
    crumb_real *running_mean = call->x[MEAN].data, *running_var = call->x[VAR].data;
    double unbias = rows > 1 ? (double)rows / (double)(rows - 1) : 1;
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t first = 0; first < channels; first += CRUMB_LOOP_CHANNELS) {
        double m[CRUMB_LOOP_CHANNELS] = {0}, v[CRUMB_LOOP_CHANNELS] = {0};
        block_statistics(x + first, rows, channels, crumb_loop_width(channels, first), m, v);
        for (int64_t j = 0; j < crumb_loop_width(channels, first); j++) {
            int64_t c = first + j;
            mean[c] = (crumb_real)m[j];
            rstd[c] = (crumb_real)(1 / sqrt(v[j] + p->eps));
            running_mean[c] = (crumb_real)((1 - momentum) * (double)running_mean[c] + momentum * m[j]);
            running_var[c] = (crumb_real)((1 - momentum) * (double)running_var[c] + momentum * v[j] * unbias);
        }
    }
}

static void running_statistics(const crumb_op_call *call, crumb_real *mean, crumb_real *rstd) {
    const crumb_batch_norm_params *p = call->params;
    const crumb_real *running_mean = call->x[MEAN].data, *running_var = call->x[VAR].data;
    for (int64_t c = 0; c < crumb_shape_last(call->y.shape); c++) {
        mean[c] = running_mean[c];
        rstd[c] = (crumb_real)(1 / sqrt((double)running_var[c] + p->eps));
    }
}

static void forward(crumb_op_call *call) {
    const crumb_batch_norm_params *p = call->params;
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    const crumb_real *x = call->x[X].data, *weight = call->x[WEIGHT].data, *bias = call->x[BIAS].data;
    crumb_real *y = call->y.data, *mean = call->training ? call->saved : call->scratch, *rstd = mean + channels;
    if (call->training) {
        crumb_real *tracked = call->x[TRACKED].data;
        *tracked += 1;
        batch_statistics(call, mean, rstd, p->momentum > 0 ? p->momentum : 1 / (double)*tracked);
    } else {
        running_statistics(call, mean, rstd);
    }
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < channels; c++) {
            y[row * channels + c] = (x[row * channels + c] - mean[c]) * (rstd[c] * weight[c]) + bias[c];
        }
    }
}

/* dbias and dweight of this batch, without accumulation, into scratch. */
static void block_sums(const crumb_real *x, const crumb_real *dy, int64_t rows, int64_t channels, int64_t width,
                       const crumb_real *mean, const crumb_real *rstd, crumb_real *dbias, crumb_real *dweight) {
    double sum[CRUMB_LOOP_CHANNELS] = {0}, product[CRUMB_LOOP_CHANNELS] = {0};
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t j = 0; j < width; j++) {
            double gradient = (double)dy[row * channels + j];
            sum[j] += gradient;
            product[j] += gradient * (double)(x[row * channels + j] - mean[j]);
        }
    }
    for (int64_t j = 0; j < width; j++) {
        dbias[j] = (crumb_real)sum[j];
        dweight[j] = (crumb_real)(product[j] * (double)rstd[j]);
    }
}

static void backward_x(crumb_op_call *call, const crumb_real *mean, const crumb_real *rstd, const crumb_real *dbias,
                       const crumb_real *dweight) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    const crumb_real *x = call->x[X].data, *weight = call->x[WEIGHT].data, *dy = call->dy;
    crumb_real *dx = call->dx[X], share = call->training ? 1 / (crumb_real)rows : 0;
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t c = 0; c < channels; c++) {
            int64_t at = row * channels + c;
            crumb_real centred = dy[at] - share * (dbias[c] + (x[at] - mean[c]) * rstd[c] * dweight[c]);
            crumb_put(dx + at, weight[c] * rstd[c] * centred, call->add[X]);
        }
    }
}

static void backward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    const crumb_real *x = call->x[X].data, *dy = call->dy;
    crumb_real *mean = call->saved, *rstd = mean + channels, *dbias = call->scratch, *dweight = dbias + channels;
    if (!call->training) {
        running_statistics(call, mean, rstd);
    }
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t c = 0; c < channels; c += CRUMB_LOOP_CHANNELS) {
        block_sums(x + c, dy + c, rows, channels, crumb_loop_width(channels, c), mean + c, rstd + c, dbias + c, dweight + c);
    }
    if (call->dx[X] != NULL) {
        backward_x(call, mean, rstd, dbias, dweight);
    }
    if (call->dx[WEIGHT] != NULL) {
        crumb_put_all(call->dx[WEIGHT], dweight, channels, call->add[WEIGHT]);
    }
    if (call->dx[BIAS] != NULL) {
        crumb_put_all(call->dx[BIAS], dbias, channels, call->add[BIAS]);
    }
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    return 2 * crumb_flops_elementwise(params, inputs, x, y);
}

static const crumb_param table[] = {
    {"eps", CRUMB_PARAM_REAL, offsetof(crumb_batch_norm_params, eps), "1e-5", 0, 1, NULL, "added to the variance"},
    {"momentum", CRUMB_PARAM_REAL, offsetof(crumb_batch_norm_params, momentum), "0.1", -1, 1, NULL,
     "share of the newest batch in the running statistics; 0 or less: plain mean over all batches"},
    {0},
};

const crumb_op CRUMB_OP_NAME(batch_norm) = {
    .name = "batch_norm",
    .doc = "y = (x - mean) / sqrt(var + eps) * weight + bias, statistics over all but the last dimension",
    .min_inputs = 6,
    .max_inputs = 6,
    .input_names = "x weight bias running_mean running_var num_batches_tracked",
    .roles = {CRUMB_DATA, CRUMB_PARAM, CRUMB_PARAM, CRUMB_STATE, CRUMB_STATE, CRUMB_STATE},
    .params = table,
    .params_size = sizeof(crumb_batch_norm_params),
    .uses = CRUMB_USES_X0,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
