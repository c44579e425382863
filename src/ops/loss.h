/* What the losses share: the mean over the rows that have a label, softmax, smoothed targets. All in double.
 *
 * Logits are the first input, labels the last: a label is a class index stored as a real. Rows with a negative (or NaN) label
 * do not count: a batch may be filled up with them. A label past the last class makes the loss NaN, which training reports. */
#ifndef CRUMB_OPS_LOSS_H
#define CRUMB_OPS_LOSS_H

#include "ops/loops.h"

#include <math.h>

/* The loss of row n, whose class is valid. */
typedef double (*crumb_loss_row)(const crumb_op_call *call, int64_t n, int64_t class);
/* dx[j] = (or +=) dy * d(loss of row n) / d(logits[n, j]) */
typedef void (*crumb_loss_row_gradient)(const crumb_op_call *call, int64_t n, int64_t class, double dy, crumb_real *dx);

/* -1: the row does not count; classes: there is no such class. */
static inline int64_t crumb_loss_class(crumb_real label, int64_t classes) {
    return !(label >= 0) ? -1 : label < (crumb_real)classes ? (int64_t)label : classes;
}

static inline int64_t crumb_loss_rows(const crumb_op_call *call) {
    const crumb_real *label = call->x[call->inputs - 1].data;
    int64_t rows = 0;
    for (int64_t n = 0; n < call->x[0].shape.dim[0]; n++) {
        rows += label[n] >= 0;
    }
    return rows;
}

/* y = mean of row() over the rows that count, 0 without any. */
static inline void crumb_loss_forward(crumb_op_call *call, crumb_loss_row row) {
    const crumb_real *label = call->x[call->inputs - 1].data;
    int64_t rows = crumb_loss_rows(call), classes = call->x[0].shape.dim[1];
    double sum = 0;
    for (int64_t n = 0; n < call->x[0].shape.dim[0]; n++) {
        int64_t class = crumb_loss_class(label[n], classes);
        sum += class < 0 ? 0 : class < classes ? row(call, n, class) : (double)NAN;
    }
    *(crumb_real *)call->y.data = (crumb_real)(rows > 0 ? sum / (double)rows : 0);
}

static inline void crumb_loss_backward(crumb_op_call *call, crumb_loss_row_gradient row) {
    const crumb_real *label = call->x[call->inputs - 1].data;
    int64_t rows = crumb_loss_rows(call), classes = call->x[0].shape.dim[1];
    crumb_real *dx = call->dx[0];
    for (int64_t n = 0; dx != NULL && n < call->x[0].shape.dim[0]; n++) {
        int64_t class = crumb_loss_class(label[n], classes);
        if (class >= 0) {
            row(call, n, class, (double)*(const crumb_real *)call->dy / (double)rows, dx + n * classes);
        } else {
            crumb_clear_unless(call->add[0], dx + n * classes, classes);
        }
    }
}

/* log sum_j exp(z[j] / temperature), the largest taken out first. */
static inline double crumb_log_sum_exp(const crumb_real *z, int64_t classes, double temperature) {
    double largest = (double)z[0], sum = 0;
    for (int64_t j = 1; j < classes; j++) {
        largest = (double)z[j] > largest ? (double)z[j] : largest;
    }
    for (int64_t j = 0; j < classes; j++) {
        sum += exp(((double)z[j] - largest) / temperature);
    }
    return largest / temperature + log(sum);
}

/* t[j] = (1 - smoothing) * one-hot + smoothing / classes */
static inline double crumb_smooth_target(int64_t class, int64_t j, int64_t classes, double smoothing) {
    return (j == class ? 1 - smoothing : 0) + smoothing / (double)classes;
}

/* -sum_j t[j] log softmax(z)[j] */
static inline double crumb_cross_entropy(const crumb_real *z, int64_t class, int64_t classes, double smoothing) {
    double log_sum = crumb_log_sum_exp(z, classes, 1), spread = 0;
    for (int64_t j = 0; smoothing > 0 && j < classes; j++) {
        spread += log_sum - (double)z[j];
    }
    return (1 - smoothing) * (log_sum - (double)z[class]) + smoothing * spread / (double)classes;
}

#endif
