/* A small tensor beside a large one of the same rank: along some axes the small one has a dimension of 1 and stands for all of
 * the large one's values. expand repeats along those axes, reduce_mean sums over them; each is the other's gradient. */
#ifndef CRUMB_OPS_BROADCAST_H
#define CRUMB_OPS_BROADCAST_H

#include "ops/loops.h"

/* Axes of the large tensor: those that both have, and those that only the large one has. */
typedef struct crumb_broadcast {
    int64_t count[2]; /* elements of the small tensor; elements of the large one for each of them */
    int axes[2];
    int64_t dim[2][CRUMB_RANK_MAX], stride[2][CRUMB_RANK_MAX];
} crumb_broadcast;

static inline crumb_broadcast crumb_broadcast_of(crumb_shape small, crumb_shape large) {
    crumb_broadcast b = {.count = {1, 1}};
    int64_t stride = 1;
    for (int axis = large.rank - 1; axis >= 0; stride *= large.dim[axis--]) {
        int kind = small.dim[axis] == 1;
        b.count[kind] *= large.dim[axis];
        b.dim[kind][b.axes[kind]] = large.dim[axis];
        b.stride[kind][b.axes[kind]++] = stride;
    }
    return b;
}

/* Index in the large tensor of the small one's element (kind 0), or distance of its index-th repetition (kind 1). */
static inline int64_t crumb_broadcast_at(const crumb_broadcast *b, int kind, int64_t index) {
    int64_t at = 0;
    for (int i = 0; i < b->axes[kind]; i++) {
        at += index % b->dim[kind][i] * b->stride[kind][i];
        index /= b->dim[kind][i];
    }
    return at;
}

/* Every repetition of small[i] in large is (or is increased by) factor * small[i]. */
static inline void crumb_broadcast_repeat(const crumb_broadcast *b, crumb_real *large, const crumb_real *small,
                                          crumb_real factor, bool add) {
#pragma omp parallel for if (b->count[0] * b->count[1] > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < b->count[0]; i++) {
        crumb_real *to = large + crumb_broadcast_at(b, 0, i), value = factor * small[i];
        for (int64_t r = 0; r < b->count[1]; r++) {
            crumb_put(to + crumb_broadcast_at(b, 1, r), value, add);
        }
    }
}

/* small[i] is (or is increased by) factor times the sum of its repetitions in large. */
static inline void crumb_broadcast_sum(const crumb_broadcast *b, crumb_real *small, const crumb_real *large, double factor,
                                       bool add) {
#pragma omp parallel for if (b->count[0] * b->count[1] > CRUMB_LOOP_PARALLEL)
    for (int64_t i = 0; i < b->count[0]; i++) {
        const crumb_real *from = large + crumb_broadcast_at(b, 0, i);
        double sum = 0;
        for (int64_t r = 0; r < b->count[1]; r++) {
            sum += (double)from[crumb_broadcast_at(b, 1, r)];
        }
        crumb_put(small + i, (crumb_real)(factor * sum), add);
    }
}

#endif
