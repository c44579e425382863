/* Copying between a dense tensor and a strided box inside another one: pad, slice and concat are this and a choice of box. */
#ifndef CRUMB_OPS_BOX_H
#define CRUMB_OPS_BOX_H

#include "ops/loops.h"

/* The elements start[a] + i * step[a], i < dim[a], of a tensor of shape `whole`. */
typedef struct crumb_box {
    crumb_shape whole, dim;
    int64_t start[CRUMB_RANK_MAX], step[CRUMB_RANK_MAX];
} crumb_box;

static inline int64_t crumb_box_rows(const crumb_box *box) {
    return crumb_shape_count(box->dim) / crumb_shape_last(box->dim);
}

/* Element index in the whole tensor of the first element of the box's row-th row (a row runs along the last axis). */
static inline int64_t crumb_box_row(const crumb_box *box, int64_t row) {
    int last = box->dim.rank - 1;
    int64_t at = box->start[last], stride = box->whole.dim[last];
    for (int axis = last - 1; axis >= 0; axis--) {
        at += (box->start[axis] + row % box->dim.dim[axis] * box->step[axis]) * stride;
        stride *= box->whole.dim[axis];
        row /= box->dim.dim[axis];
    }
    return at;
}

/* dense = (or +=) box of whole */
static inline void crumb_box_read(const crumb_box *box, crumb_real *dense, const crumb_real *whole, bool add) {
    int64_t width = crumb_shape_last(box->dim), rows = crumb_box_rows(box), step = box->step[box->dim.rank - 1];
#pragma omp parallel for if (rows * width > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        const crumb_real *from = whole + crumb_box_row(box, row);
        for (int64_t i = 0; i < width; i++) {
            crumb_put(dense + row * width + i, from[i * step], add);
        }
    }
}

/* box of whole = (or +=) dense */
static inline void crumb_box_write(const crumb_box *box, crumb_real *whole, const crumb_real *dense, bool add) {
    int64_t width = crumb_shape_last(box->dim), rows = crumb_box_rows(box), step = box->step[box->dim.rank - 1];
#pragma omp parallel for if (rows * width > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        crumb_real *to = whole + crumb_box_row(box, row);
        for (int64_t i = 0; i < width; i++) {
            crumb_put(to + i * step, dense[row * width + i], add);
        }
    }
}

#endif
