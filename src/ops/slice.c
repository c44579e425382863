/* Part of a tensor: x[start : stop : step] of each axis. */
#include "ops/box.h"
#include "ops/infer.h"

static int64_t item(const crumb_list *list, int axis, int64_t missing) {
    return axis < list->count ? (int64_t)list->at[axis] : missing;
}

/* The place of y inside x; dimensions below 1 where nothing is left. */
static crumb_box box_of(const crumb_slice_params *p, crumb_shape x) {
    crumb_box box = {.whole = x, .dim = x};
    for (int axis = 0; axis < x.rank; axis++) {
        int64_t size = x.dim[axis], start = item(&p->start, axis, 0), stop = item(&p->stop, axis, 0);
        stop = stop <= 0 ? size + stop : stop < size ? stop : size;
        start = start >= 0 ? start : size + start > 0 ? size + start : 0;
        box.start[axis] = start;
        box.step[axis] = item(&p->step, axis, 1);
        box.dim.dim[axis] = stop > start ? (stop - start - 1) / box.step[axis] + 1 : 0;
    }
    return box;
}

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    const crumb_slice_params *p = params;
    if (x[0].rank == 0 || p->start.count > x[0].rank || p->stop.count > x[0].rank || p->step.count > x[0].rank) {
        return crumb_infer_fail(ctx, op, inputs, x, "x has no axis for some of start %d, stop %d, step %d", p->start.count,
                                p->stop.count, p->step.count);
    }
    crumb_box box = box_of(p, x[0]);
    if (crumb_shape_count(box.dim) == 0) {
        return crumb_infer_fail(ctx, op, inputs, x, "nothing is left of x");
    }
    *plan = (crumb_op_plan){.output = box.dim};
    return CRUMB_OK;
}

static void forward(crumb_op_call *call) {
    crumb_box box = box_of(call->params, call->x[0].shape);
    crumb_box_read(&box, call->y.data, call->x[0].data, false);
}

static void backward(crumb_op_call *call) {
    crumb_box box = box_of(call->params, call->x[0].shape);
    if (call->dx[0] != NULL) {
        crumb_clear_unless(call->add[0], call->dx[0], crumb_shape_count(call->x[0].shape));
        crumb_box_write(&box, call->dx[0], call->dy, true);
    }
}

static const crumb_param table[] = {
    {"start", CRUMB_PARAM_LIST, offsetof(crumb_slice_params, start), "[]", -65536, 65536, NULL,
     "first index of each axis; below 0: from the end"},
    {"stop", CRUMB_PARAM_LIST, offsetof(crumb_slice_params, stop), "[]", -65536, 65536, NULL,
     "index behind the last of each axis; 0 or below: from the end"},
    {"step", CRUMB_PARAM_LIST, offsetof(crumb_slice_params, step), "[]", 1, 65536, NULL,
     "distance of the indices of each axis"},
    {0},
};

const crumb_op CRUMB_OP_NAME(slice) = {
    .name = "slice",
    .doc = "y = x[start : stop : step] along each axis",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_slice_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
