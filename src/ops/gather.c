/* Elements of one axis, chosen by a list of their numbers: y[.., i, ..] = x[.., index[i], ..]. An index that names none gives
 * 0. */
#include "ops/infer.h"
#include "ops/loops.h"

/* x as [outer, size, inner], y as [outer, count, inner]. */
typedef struct sides {
    int64_t outer, size, inner, count;
} sides;

static int axis_of(const void *params, crumb_shape x) {
    int64_t axis = ((const crumb_gather_params *)params)->axis;
    return (int)(axis < 0 ? axis + x.rank : axis);
}

static sides sides_of(const crumb_op_call *call) {
    crumb_shape x = call->x[0].shape;
    int axis = axis_of(call->params, x);
    sides s = {.outer = 1, .size = x.dim[axis], .inner = 1, .count = crumb_shape_count(call->x[1].shape)};
    for (int i = 0; i < x.rank; i++) {
        s.outer *= i < axis ? x.dim[i] : 1;
        s.inner *= i > axis ? x.dim[i] : 1;
    }
    return s;
}

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    int axis = axis_of(params, x[0]);
    if (axis < 0 || axis >= x[0].rank || x[1].rank != 1) {
        return crumb_infer_fail(ctx, op, inputs, x, "there is no axis %d, or index is no list",
                                (int)((const crumb_gather_params *)params)->axis);
    }
    crumb_shape shape = x[0];
    shape.dim[axis] = x[1].dim[0];
    *plan = (crumb_op_plan){.output = shape};
    return CRUMB_OK;
}

/* -1: none. */
static int64_t chosen(const crumb_op_call *call, const sides *s, int64_t i) {
    crumb_real index = ((const crumb_real *)call->x[1].data)[i];
    return index >= 0 && index < (crumb_real)s->size ? (int64_t)index : -1;
}

static void forward(crumb_op_call *call) {
    sides s = sides_of(call);
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
#pragma omp parallel for if (s.outer * s.count * s.inner > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < s.outer * s.count; row++) {
        int64_t from = chosen(call, &s, row % s.count);
        if (from >= 0) {
            memcpy(y + row * s.inner, x + (row / s.count * s.size + from) * s.inner, (size_t)s.inner * sizeof(crumb_real));
        } else {
            memset(y + row * s.inner, 0, (size_t)s.inner * sizeof(crumb_real));
        }
    }
}

static void backward(crumb_op_call *call) {
    sides s = sides_of(call);
    const crumb_real *dy = call->dy;
    crumb_real *dx = call->dx[0];
#pragma omp parallel for if (s.outer * s.count * s.inner > CRUMB_LOOP_PARALLEL)
    for (int64_t n = 0; n < (dx != NULL ? s.outer : 0); n++) {
        crumb_clear_unless(call->add[0], dx + n * s.size * s.inner, s.size * s.inner);
        for (int64_t i = 0; i < s.count; i++) {
            int64_t from = chosen(call, &s, i);
            if (from >= 0) {
                crumb_axpy(dx + (n * s.size + from) * s.inner, 1, dy + (n * s.count + i) * s.inner, s.inner);
            }
        }
    }
}

static const crumb_param table[] = {
    {"axis", CRUMB_PARAM_INT, offsetof(crumb_gather_params, axis), "-1", -CRUMB_RANK_MAX, CRUMB_RANK_MAX - 1, NULL,
     "axis whose elements are chosen; below 0: from the last"},
    {0},
};

const crumb_op CRUMB_OP_NAME(gather) = {
    .name = "gather",
    .doc = "y[.., i, ..] = x[.., index[i], ..] along one axis",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = "x index",
    .roles = {CRUMB_DATA, CRUMB_LABEL},
    .params = table,
    .params_size = sizeof(crumb_gather_params),
    .uses = CRUMB_USES_X1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
