/* The loops that ops share, in crumb_real. Sums that run over a batch are kept in double; the order of every sum is fixed, so
 * no result depends on the number of threads. */
#ifndef CRUMB_OPS_LOOPS_H
#define CRUMB_OPS_LOOPS_H

#include "ops/op.h"

#include <string.h>

enum {
    CRUMB_LOOP_PARALLEL = 1 << 14, /* elements below which a thread team costs more than it gains */
    CRUMB_LOOP_CHANNELS = 16       /* channels a task: one cache line of floats */
};

/* y += a * x */
static inline void crumb_axpy(crumb_real *restrict y, crumb_real a, const crumb_real *restrict x, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        y[i] += a * x[i];
    }
}

/* Before adding into dst: zeros, unless its old value is part of the sum. */
static inline void crumb_clear_unless(bool add, crumb_real *dst, int64_t count) {
    if (!add) {
        memset(dst, 0, (size_t)count * sizeof(crumb_real));
    }
}

/* dst = src or dst += src. */
static inline void crumb_put_all(crumb_real *dst, const crumb_real *src, int64_t count, bool add) {
#pragma omp parallel for if (count > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < count; i++) {
        crumb_put(dst + i, src[i], add);
    }
}

/* Channels of the task that begins with channel `first`. */
static inline int64_t crumb_loop_width(int64_t channels, int64_t first) {
    return channels - first < CRUMB_LOOP_CHANNELS ? channels - first : CRUMB_LOOP_CHANNELS;
}

/* dst[c] = (or +=) sum over rows of a[row, c] * b[row, c]; b NULL: of a[row, c]. */
static inline void crumb_channel_sums(crumb_real *dst, const crumb_real *a, const crumb_real *b, int64_t rows, int64_t channels,
                                      bool add) {
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t first = 0; first < channels; first += CRUMB_LOOP_CHANNELS) {
        int64_t width = crumb_loop_width(channels, first);
        double sum[CRUMB_LOOP_CHANNELS] = {0};
        for (int64_t row = 0; row < rows; row++) {
            for (int64_t j = 0; j < width; j++) {
                int64_t at = row * channels + first + j;
                sum[j] += b == NULL ? (double)a[at] : (double)a[at] * (double)b[at];
            }
        }
        for (int64_t j = 0; j < width; j++) {
            crumb_put(dst + first + j, (crumb_real)sum[j], add);
        }
    }
}

/* Distance of the second operand's rows: 0 when it is one row of channels for all rows of the first. */
static inline int64_t crumb_binary_step(const crumb_op_call *call) {
    return crumb_shape_equal(call->x[0].shape, call->x[1].shape) ? crumb_shape_last(call->y.shape) : 0;
}

#endif
