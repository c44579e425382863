/* What attributes and constant inputs say about shapes, windows and axes. */
#include "onnx/importer.h"

#include <inttypes.h>
#include <string.h>

crumb_status crumb_import_new_shape(const crumb_import_node *n, crumb_shape *shape) {
    crumb_import_ints list;
    int64_t allow_zero, known = 1, count = crumb_shape_count(n->x[0]->shape);
    int open = -1;
    CRUMB_TRY(crumb_import_list_of(n, "shape", 1, &list));
    CRUMB_TRY(crumb_import_int(n, "allowzero", 0, &allow_zero));
    if (list.count < 0 || list.count > CRUMB_RANK_MAX) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "a shape of %d dimensions, at most %d", list.count,
                                 CRUMB_RANK_MAX);
    }
    *shape = (crumb_shape){.rank = list.count};
    for (int i = 0; i < list.count; i++) {
        int64_t dim = list.at[i];
        dim = dim == 0 && allow_zero == 0 && i < n->x[0]->shape.rank ? n->x[0]->shape.dim[i] : dim;
        if (dim < -1 || (dim == -1 && open >= 0) || (dim > 0 && known > (count + 1) / dim + 1)) {
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "dimension %d cannot be %" PRId64, i, list.at[i]);
        }
        shape->dim[i] = dim;
        open = dim == -1 ? i : open;
        known *= dim == -1 ? 1 : dim;
    }
    if (open >= 0 && known > 0) {
        shape->dim[open] = count / known;
    }
    if ((open >= 0 && known < 1) || crumb_shape_count(*shape) != count) {
        char text[CRUMB_SHAPE_TEXT];
        return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "%s does not fill the new shape",
                                 crumb_shape_print(n->x[0]->shape, text));
    }
    return CRUMB_OK;
}

/* The axes named are marked; without any, `all` of them (-1: an error). */
static crumb_status mark_axes(const crumb_import_node *n, int rank, bool marks[CRUMB_RANK_MAX], int *named) {
    crumb_import_ints axes;
    CRUMB_TRY(crumb_import_list_of(n, "axes", 1, &axes));
    *named = axes.count;
    memset(marks, 0, CRUMB_RANK_MAX * sizeof(*marks));
    for (int i = 0; i < axes.count; i++) {
        int axis;
        CRUMB_TRY(crumb_import_axis(n, axes.at[i], rank, &axis));
        if (marks[axis]) {
            return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "axis %d is named twice", axis);
        }
        marks[axis] = true;
    }
    return CRUMB_OK;
}

static crumb_status unsqueezed(const crumb_import_node *n, crumb_shape *shape) {
    crumb_import_ints axes;
    bool marks[CRUMB_RANK_MAX];
    int named;
    CRUMB_TRY(crumb_import_list_of(n, "axes", 1, &axes));
    crumb_shape x = n->x[0]->shape;
    if (axes.count < 0 || x.rank + axes.count > CRUMB_RANK_MAX) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "%d new axes beside %d, at most %d in all", axes.count, x.rank,
                                 CRUMB_RANK_MAX);
    }
    *shape = (crumb_shape){.rank = x.rank + axes.count};
    CRUMB_TRY(mark_axes(n, shape->rank, marks, &named));
    for (int axis = 0, from = 0; axis < shape->rank; axis++) {
        shape->dim[axis] = marks[axis] ? 1 : x.dim[from++];
    }
    return CRUMB_OK;
}

crumb_status crumb_import_squeezed_shape(const crumb_import_node *n, crumb_shape *shape) {
    bool marks[CRUMB_RANK_MAX];
    int named;
    crumb_shape x = n->x[0]->shape;
    if (n->proto->op_type[0] == 'U') {
        return unsqueezed(n, shape);
    }
    CRUMB_TRY(mark_axes(n, x.rank, marks, &named));
    *shape = (crumb_shape){0};
    for (int axis = 0; axis < x.rank; axis++) {
        if (marks[axis] && x.dim[axis] != 1) {
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "axis %d has %" PRId64 " values, not one", axis, x.dim[axis]);
        }
        if (named < 0 ? x.dim[axis] != 1 : !marks[axis]) {
            shape->dim[shape->rank++] = x.dim[axis];
        }
    }
    return CRUMB_OK;
}

crumb_status crumb_import_order(const crumb_import_node *n, int order[CRUMB_RANK_MAX]) {
    crumb_import_ints perm;
    int rank = n->x[0]->shape.rank;
    unsigned seen = 0;
    CRUMB_TRY(crumb_import_list(n, "perm", &perm));
    for (int i = 0; i < rank; i++) {
        int64_t axis = perm.count < 0 ? rank - 1 - i : i < perm.count ? perm.at[i] : -1;
        order[i] = axis >= 0 && axis < rank ? (int)axis : 0;
        seen |= axis >= 0 && axis < rank ? 1u << axis : 0;
    }
    if ((perm.count >= 0 && perm.count != rank) || seen != (1u << rank) - 1) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "attribute perm does not name each of %d axes once", rank);
    }
    return CRUMB_OK;
}

/* ---- Slice. */

/* An index that may count from the end, inside least .. most. */
static int64_t clamp(int64_t value, int64_t size, int64_t least, int64_t most) {
    value = value < 0 ? value + size : value; /* INT64_MIN + size does not overflow: size >= 0 */
    return value < least ? least : value > most ? most : value;
}

static void set_cut(crumb_import_cut *cut, int axis, int64_t start, int64_t stop, int64_t step, int64_t size) {
    bool back = step < 0;
    int64_t from = clamp(start, size, back ? -1 : 0, back ? size - 1 : size), to = clamp(stop, size, back ? -1 : 0, size);
    to = back ? (to > from ? from : to) : (to < from ? from : to);
    cut->start[axis] = from;
    cut->stop[axis] = to;
    cut->step[axis] = step;
    cut->count[axis] = back ? (from - to - step - 1) / -step : (to - from + step - 1) / step;
}

crumb_status crumb_import_cuts(const crumb_import_node *n, crumb_import_cut *cut) {
    crumb_import_ints starts, ends, axes, steps;
    crumb_shape x = n->x[0]->shape;
    CRUMB_TRY(crumb_import_list_of(n, "starts", 1, &starts));
    CRUMB_TRY(crumb_import_list_of(n, "ends", 2, &ends));
    CRUMB_TRY(crumb_import_list_of(n, "axes", 3, &axes));
    CRUMB_TRY(crumb_import_list_of(n, "steps", 4, &steps));
    if (starts.count < 0 || starts.count != ends.count || (axes.count >= 0 && axes.count != starts.count) ||
        (steps.count >= 0 && steps.count != starts.count)) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "%d starts, %d ends, %d axes, %d steps", starts.count, ends.count,
                                 axes.count, steps.count);
    }
    for (int axis = 0; axis < x.rank; axis++) {
        set_cut(cut, axis, 0, x.dim[axis], 1, x.dim[axis]);
    }
    for (int i = 0; i < starts.count; i++) {
        int axis;
        CRUMB_TRY(crumb_import_axis(n, axes.count >= 0 ? axes.at[i] : i, x.rank, &axis));
        int64_t step = steps.count >= 0 ? steps.at[i] : 1;
        if (step == 0 || step < -65536 || step > 65536) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "step %" PRId64 "; supported are up to 65536, and not 0",
                                     step);
        }
        set_cut(cut, axis, starts.at[i], ends.at[i], step, x.dim[axis]);
    }
    return CRUMB_OK;
}

/* ---- Windows. */

/* A list of one value a spatial axis; a single axis is the second of two. */
static crumb_status spread(const crumb_import_node *n, const char *name, int axes, int64_t preset, int64_t most,
                           int64_t out[2]) {
    crumb_import_ints list;
    CRUMB_TRY(crumb_import_list(n, name, &list));
    out[0] = out[1] = preset;
    if (list.count >= 0 && list.count != axes) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "attribute %s has %d values for %d axes", name, list.count, axes);
    }
    for (int i = 0; i < list.count; i++) {
        if (list.at[i] < 1 || list.at[i] > most) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "attribute %s is %" PRId64 "; supported are 1 to %" PRId64,
                                     name, list.at[i], most);
        }
        out[2 - axes + i] = list.at[i];
    }
    return CRUMB_OK;
}

/* SAME: as many outputs as strides fit, the odd pixel behind (UPPER) or in front. */
static void pad_same(crumb_import_window *w, const crumb_shape *x, bool upper) {
    for (int i = 2 - w->axes; i < 2; i++) {
        int64_t size = x->dim[x->rank - 2 + i], outputs = (size + w->stride[i] - 1) / w->stride[i];
        int64_t total = (outputs - 1) * w->stride[i] + (w->kernel[i] - 1) * w->dilation[i] + 1 - size;
        total = total > 0 ? total : 0;
        w->before[i] = upper ? total / 2 : total - total / 2;
        w->after[i] = total - w->before[i];
    }
}

static crumb_status read_pads(const crumb_import_node *n, crumb_import_window *w) {
    char mode[64];
    crumb_import_ints pads;
    CRUMB_TRY(crumb_import_word(n, "auto_pad", "NOTSET", mode));
    CRUMB_TRY(crumb_import_list(n, "pads", &pads));
    if (strcmp(mode, "SAME_UPPER") == 0 || strcmp(mode, "SAME_LOWER") == 0) {
        pad_same(w, &n->x[0]->shape, mode[5] == 'U');
        return CRUMB_OK;
    }
    if (strcmp(mode, "NOTSET") != 0 && strcmp(mode, "VALID") != 0) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "auto_pad %s; supported are NOTSET, VALID, SAME_UPPER, SAME_LOWER",
                                 mode);
    }
    if (pads.count >= 0 && pads.count != 2 * w->axes) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "attribute pads has %d values for %d axes", pads.count, w->axes);
    }
    for (int i = 0; mode[0] == 'N' && i < pads.count; i++) {
        if (pads.at[i] < 0 || pads.at[i] > 65536) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "pads of %" PRId64 "; supported are 0 to 65536", pads.at[i]);
        }
        (i < w->axes ? w->before : w->after)[2 - w->axes + i % w->axes] = pads.at[i];
    }
    return CRUMB_OK;
}

crumb_status crumb_import_window_of(const crumb_import_node *n, const int64_t kernel[2], crumb_import_window *w) {
    crumb_shape x = n->x[0]->shape;
    int64_t ceil_mode, given[2];
    *w = (crumb_import_window){.axes = x.rank - 2};
    if (w->axes < 1 || w->axes > 2) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "an input of %d dimensions; supported are batch, channels and one or two axes", x.rank);
    }
    CRUMB_TRY(spread(n, "kernel_shape", w->axes, 1, 65536, given));
    if (kernel == NULL && crumb_import_attribute(n, "kernel_shape") == NULL) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "attribute kernel_shape is missing");
    }
    memcpy(w->kernel, kernel != NULL ? kernel : given, sizeof(w->kernel));
    if (crumb_import_attribute(n, "kernel_shape") != NULL && memcmp(given, w->kernel, sizeof(given)) != 0) {
        return crumb_import_fail(n, CRUMB_ERROR_SHAPE,
                                 "kernel_shape %" PRId64 "x%" PRId64 ", the weight has %" PRId64 "x%" PRId64, given[0],
                                 given[1], kernel[0], kernel[1]);
    }
    CRUMB_TRY(spread(n, "strides", w->axes, 1, 65536, w->stride));
    CRUMB_TRY(spread(n, "dilations", w->axes, 1, 65536, w->dilation));
    CRUMB_TRY(crumb_import_int(n, "ceil_mode", 0, &ceil_mode));
    w->ceil_mode = ceil_mode != 0;
    return read_pads(n, w);
}
