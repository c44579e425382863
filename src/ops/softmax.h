/* The loops of softmax and of its logarithm over the last dimension:
 *
 *     softmax       y[j] = exp(x[j] - l)    dx[j] = y[j] (dy[j] - sum_k dy[k] y[k])
 *     log_softmax   y[j] = x[j] - l         dx[j] = dy[j] - exp(y[j]) sum_k dy[k]          l = log sum_k exp(x[k])
 */
#ifndef CRUMB_OPS_SOFTMAX_H
#define CRUMB_OPS_SOFTMAX_H

#include "ops/infer.h"
#include "ops/loss.h"

static inline void crumb_softmax_forward(crumb_op_call *call, bool logarithm) {
    int64_t width = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / width;
#pragma omp parallel for if (rows * width > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        const crumb_real *x = (const crumb_real *)call->x[0].data + row * width;
        crumb_real *y = (crumb_real *)call->y.data + row * width;
        double log_sum = crumb_log_sum_exp(x, width, 1);
        for (int64_t j = 0; j < width; j++) {
            double value = (double)x[j] - log_sum;
            y[j] = (crumb_real)(logarithm ? value : exp(value));
        }
    }
}

static inline void crumb_softmax_backward(crumb_op_call *call, bool logarithm) {
    int64_t width = crumb_shape_last(call->y.shape), rows = call->dx[0] != NULL ? crumb_shape_count(call->y.shape) / width : 0;
#pragma omp parallel for if (rows * width > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        const crumb_real *y = (const crumb_real *)call->y.data + row * width, *dy = (const crumb_real *)call->dy + row * width;
        crumb_real *dx = (crumb_real *)call->dx[0] + row * width;
        double sum = 0;
        for (int64_t j = 0; j < width; j++) {
            sum += (double)dy[j] * (logarithm ? 1 : (double)y[j]);
        }
        for (int64_t j = 0; j < width; j++) {
            double slope = logarithm ? (double)dy[j] - exp((double)y[j]) * sum : (double)y[j] * ((double)dy[j] - sum);
            crumb_put(dx + j, (crumb_real)slope, call->add[0]);
        }
    }
}

/* An exponential counts as three operations, the subtraction as one. */
static inline double crumb_softmax_flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    return 4 * crumb_flops_elementwise(params, inputs, x, y);
}

#endif
