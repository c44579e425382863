/* What the losses share: rows of logits, class labels, softmax. All in double; a loss is a mean over a batch.
 *
 * A label is a class index stored as a real. Rows with a negative (or NaN) label do not count: a batch may be filled up with
 * them. A label past the last class makes the loss NaN, which training reports. */
#ifndef CRUMB_OPS_LOSS_H
#define CRUMB_OPS_LOSS_H

#include "ops/op.h"

#include <math.h>

/* Rows with a label. */
static inline int64_t crumb_loss_rows(const crumb_tensor *labels) {
    const crumb_real *label = labels->data;
    int64_t rows = 0;
    for (int64_t n = 0; n < labels->shape.dim[0]; n++) {
        rows += label[n] >= 0;
    }
    return rows;
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

/* The target of class j: (1 - smoothing) * one-hot + smoothing / classes. */
static inline double crumb_smooth_target(crumb_real label, int64_t j, int64_t classes, double smoothing) {
    return (j == (int64_t)label ? 1 - smoothing : 0) + smoothing / (double)classes;
}

/* -sum_j target[j] log softmax(z)[j] */
static inline double crumb_cross_entropy(const crumb_real *z, crumb_real label, int64_t classes, double smoothing) {
    if (!(label < (crumb_real)classes)) {
        return NAN;
    }
    double log_sum = crumb_log_sum_exp(z, classes, 1), loss = (1 - smoothing) * (log_sum - (double)z[(int64_t)label]);
    for (int64_t j = 0; smoothing > 0 && j < classes; j++) {
        loss += smoothing / (double)classes * (log_sum - (double)z[j]);
    }
    return loss;
}

#endif
