/* Ops that rearrange: shapes, axes, parts, sizes; and means over axes. */
#include "onnx/importer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* x in ONNX's order under another shape, as output 0. What only drops or adds dimensions of 1 behind the channels, and what
 * flattens an image, needs no transposition. */
static crumb_status reshape_to(const crumb_import_node *n, crumb_shape to) {
    crumb_import_value *x = n->x[0];
    int at;
    if (!crumb_import_is_constant(x)) {
        crumb_shape have = n->im->graph->value[x->at].shape;
        if (to.rank == 2 && to.dim[0] == x->shape.dim[0] && crumb_shape_equal(have, to)) {
            return crumb_import_set(n, 0, x->at, to, false); /* a pooled map */
        }
        if (x->last && to.rank == 2 && to.dim[0] == x->shape.dim[0] && have.rank > 2) {
            CRUMB_TRY(crumb_import_emit(n, &crumb_op_flatten, NULL, 1, &x->at, &at));
            return crumb_import_set(n, 0, at, to, false);
        }
    }
    CRUMB_TRY(crumb_import_plain(n, x, &at));
    CRUMB_TRY(crumb_import_emit_reshape(n, at, x->shape, to, &at));
    return crumb_import_set(n, 0, at, to, false);
}

crumb_status crumb_import_reshape(const crumb_import_node *n) {
    crumb_shape shape;
    CRUMB_TRY(crumb_import_new_shape(n, &shape));
    return reshape_to(n, shape);
}

crumb_status crumb_import_flatten(const crumb_import_node *n) {
    int64_t axis;
    crumb_shape x = n->x[0]->shape, flat = CRUMB_SHAPE(1, 1);
    CRUMB_TRY(crumb_import_int(n, "axis", 1, &axis));
    axis = axis < 0 ? axis + x.rank : axis;
    if (axis < 0 || axis > x.rank) {
        return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "there is no axis %" PRId64 " of %d", axis, x.rank);
    }
    for (int i = 0; i < x.rank; i++) {
        flat.dim[i < axis ? 0 : 1] *= x.dim[i];
    }
    return reshape_to(n, flat);
}

crumb_status crumb_import_squeeze(const crumb_import_node *n) {
    crumb_shape shape;
    CRUMB_TRY(crumb_import_squeezed_shape(n, &shape));
    return reshape_to(n, shape);
}

crumb_status crumb_import_transpose(const crumb_import_node *n) {
    crumb_import_value *x = n->x[0];
    int order[CRUMB_RANK_MAX], memory[CRUMB_RANK_MAX], at, rank = x->shape.rank;
    crumb_shape shape = {.rank = rank};
    CRUMB_TRY(crumb_import_order(n, order));
    for (int i = 0; i < rank; i++) {
        shape.dim[i] = x->shape.dim[order[i]];
    }
    bool to_last = rank == 4 && !x->last && order[0] == 0 && order[1] == 3 && order[2] == 1 && order[3] == 2;
    if (to_last && !crumb_import_is_constant(x)) { /* NHWC to NCHW: what lies there has its channels last already */
        return crumb_import_set(n, 0, x->at, shape, true);
    }
    bool last = !crumb_import_is_constant(x) && x->last;
    CRUMB_TRY(last ? crumb_import_last(n, x, &at) : crumb_import_plain(n, x, &at));
    for (int i = 0; i < rank; i++) {
        memory[i] = crumb_import_memory_axis(last, rank, order[i]);
    }
    CRUMB_TRY(crumb_import_emit_transpose(n, at, rank, memory, &at));
    return crumb_import_set(n, 0, at, shape, false);
}

/* ---- Parts. */

/* x as it lies, at its full rank, and whether its channels are last. */
static crumb_status as_it_lies(const crumb_import_node *n, crumb_import_value *x, bool *last, int *at) {
    *last = !crumb_import_is_constant(x) && x->last;
    return *last ? crumb_import_last(n, x, at) : crumb_import_plain(n, x, at);
}

static void put(crumb_list *list, int at, int rank, int64_t value) {
    list->count = rank;
    list->at[at] = (double)value;
}

/* Output k: the cut out of x, which lies in the graph at `at`. The batch is taken whole without naming its size. */
static crumb_status emit_cut(const crumb_import_node *n, int k, const crumb_import_cut *cut, bool last, int at) {
    crumb_shape x = n->x[0]->shape, y = x;
    crumb_slice_params p = {0};
    bool cuts = false;
    for (int axis = 0; axis < x.rank; axis++) {
        int to = crumb_import_memory_axis(last, x.rank, axis);
        bool whole = cut->start[axis] == 0 && cut->stop[axis] == x.dim[axis];
        y.dim[axis] = cut->count[axis];
        if (cut->step[axis] < 1) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                     "step %" PRId64 "; supported are steps forwards but for constants", cut->step[axis]);
        }
        if (y.dim[axis] < 1) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "nothing is left along axis %d", axis);
        }
        put(&p.start, to, x.rank, cut->start[axis]);
        put(&p.stop, to, x.rank, whole ? 0 : cut->stop[axis]);
        put(&p.step, to, x.rank, cut->step[axis]);
        cuts |= !whole || cut->step[axis] != 1;
    }
    if (cuts) {
        CRUMB_TRY(crumb_import_emit(n, &crumb_op_slice, &p, 1, &at, &at));
    }
    return crumb_import_set(n, k, at, y, last);
}

crumb_status crumb_import_slice(const crumb_import_node *n) {
    crumb_import_cut cut;
    bool last;
    int at;
    CRUMB_TRY(crumb_import_cuts(n, &cut));
    CRUMB_TRY(as_it_lies(n, n->x[0], &last, &at));
    return emit_cut(n, 0, &cut, last, at);
}

/* Gather with constant indices, along any axis but the batch's. */
static crumb_status add_index(const crumb_import_node *n, int axis, const crumb_onnx_array *index, int *at) {
    int64_t count = crumb_shape_count(index->shape), size = n->x[0]->shape.dim[axis];
    CRUMB_TRY(crumb_import_filled(n, "index", count, 0, false, at));
    for (int64_t i = 0; i < count; i++) {
        int64_t place = index->whole[i] < 0 ? index->whole[i] + size : index->whole[i];
        if (place < 0 || place >= size || place >= 1 << 24) {
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "index %" PRId64 " of %" PRId64, index->whole[i], size);
        }
        n->im->graph->value[*at].data[i] = (float)place;
    }
    return CRUMB_OK;
}

crumb_status crumb_import_gather(const crumb_import_node *n) {
    const crumb_onnx_array *index;
    crumb_shape x = n->x[0]->shape, picked = x, shape = {0};
    int64_t given;
    int axis, input[2];
    bool last = false;
    CRUMB_TRY(crumb_import_int(n, "axis", 0, &given));
    CRUMB_TRY(crumb_import_axis(n, given, x.rank, &axis));
    CRUMB_TRY(crumb_import_constant(n, n->inputs > 1 ? n->x[1] : NULL, "indices", &index));
    int64_t count = crumb_shape_count(index->shape);
    if (axis == 0 || index->whole == NULL || count < 1 || count > INT32_MAX ||
        x.rank + index->shape.rank - 1 > CRUMB_RANK_MAX) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "axis %d with %" PRId64 " indices; supported are axes from 1",
                                 axis, count);
    }
    for (int i = 0; i < x.rank; i++) {
        for (int k = 0; i == axis && k < index->shape.rank; k++) {
            shape.dim[shape.rank++] = index->shape.dim[k];
        }
        if (i != axis) {
            shape.dim[shape.rank++] = x.dim[i];
        }
    }
    picked.dim[axis] = count;
    bool same = index->shape.rank == 1;
    CRUMB_TRY(same ? as_it_lies(n, n->x[0], &last, &input[0]) : crumb_import_plain(n, n->x[0], &input[0]));
    CRUMB_TRY(add_index(n, axis, index, &input[1]));
    crumb_gather_params p = {.axis = crumb_import_memory_axis(last, x.rank, axis)};
    CRUMB_TRY(crumb_import_emit(n, &crumb_op_gather, &p, 2, input, &input[0]));
    CRUMB_TRY(same ? CRUMB_OK : crumb_import_emit_reshape(n, input[0], picked, shape, &input[0]));
    return crumb_import_set(n, 0, input[0], shape, last);
}

crumb_status crumb_import_split(const crumb_import_node *n) {
    int64_t given, parts = (int64_t)n->proto->n_output, start = 0;
    crumb_shape x = n->x[0]->shape;
    crumb_import_ints sizes;
    int axis, at;
    bool last;
    CRUMB_TRY(crumb_import_int(n, "axis", 0, &given));
    CRUMB_TRY(crumb_import_axis(n, given, x.rank, &axis));
    CRUMB_TRY(crumb_import_list_of(n, "split", 1, &sizes));
    if (sizes.count >= 0 && sizes.count != parts) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "%d sizes for %" PRId64 " outputs", sizes.count, parts);
    }
    CRUMB_TRY(as_it_lies(n, n->x[0], &last, &at));
    for (int k = 0; k < parts; k++) {
        int64_t most = (x.dim[axis] + parts - 1) / parts, rest = x.dim[axis] - start;
        int64_t size = sizes.count >= 0 ? sizes.at[k] : most < rest ? most : rest;
        if (size < 1 || size > rest || (k == parts - 1 && size != rest)) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "part %d of %" PRId64 " values, %" PRId64 " are left", k, size,
                                     rest);
        }
        crumb_import_cut cut;
        for (int i = 0; i < x.rank; i++) {
            cut.start[i] = i == axis ? start : 0;
            cut.stop[i] = i == axis ? start + size : x.dim[i];
            cut.step[i] = 1;
            cut.count[i] = cut.stop[i] - cut.start[i];
        }
        CRUMB_TRY(emit_cut(n, k, &cut, last, at));
        start += size;
    }
    return CRUMB_OK;
}

crumb_status crumb_import_concat(const crumb_import_node *n) {
    int64_t given;
    int axis, input[CRUMB_INPUTS_MAX], inputs = 0;
    crumb_shape shape = n->x[0]->shape;
    bool last = false;
    CRUMB_TRY(crumb_import_int(n, "axis", 1, &given));
    CRUMB_TRY(crumb_import_axis(n, given, shape.rank, &axis));
    if (n->inputs == 1) {
        return crumb_import_set_same(n, 0, n->x[0]);
    }
    shape.dim[axis] = 0;
    for (int k = 0; k < n->inputs; k++) {
        if (n->x[k] == NULL || n->x[k]->shape.rank != shape.rank) {
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "input %d has another number of dimensions", k);
        }
        last |= !crumb_import_is_constant(n->x[k]) && n->x[k]->last;
        shape.dim[axis] += n->x[k]->shape.dim[axis];
    }
    crumb_concat_params p = {.axis = crumb_import_memory_axis(last, shape.rank, axis)};
    p.axis = p.axis == shape.rank - 1 ? -1 : p.axis;
    for (int k = 0; k < n->inputs; k++) {
        CRUMB_TRY(last ? crumb_import_last(n, n->x[k], &input[inputs++]) : crumb_import_plain(n, n->x[k], &input[inputs++]));
        if (inputs == CRUMB_INPUTS_MAX || k == n->inputs - 1) { /* longer lists piece by piece */
            CRUMB_TRY(crumb_import_emit(n, &crumb_op_concat, &p, inputs, input, &input[0]));
            inputs = 1;
        }
    }
    return crumb_import_set(n, 0, input[0], shape, last);
}

/* ---- Pad: constants around; what is negative is cut off. */

static crumb_status pad_amounts(const crumb_import_node *n, int64_t before[CRUMB_RANK_MAX], int64_t after[CRUMB_RANK_MAX]) {
    crumb_import_ints pads, axes = {.count = -1};
    int rank = n->x[0]->shape.rank;
    CRUMB_TRY(crumb_import_list_of(n, "pads", 1, &pads));
    if (n->inputs > 3) {
        CRUMB_TRY(crumb_import_list_of(n, "", 3, &axes));
    }
    int count = axes.count >= 0 ? axes.count : rank;
    if (pads.count != 2 * count) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "%d pads for %d axes", pads.count, count);
    }
    memset(before, 0, CRUMB_RANK_MAX * sizeof(*before));
    memset(after, 0, CRUMB_RANK_MAX * sizeof(*after));
    for (int i = 0; i < count; i++) {
        int axis;
        CRUMB_TRY(crumb_import_axis(n, axes.count >= 0 ? axes.at[i] : i, rank, &axis));
        before[axis] = pads.at[i];
        after[axis] = pads.at[count + i];
        if (before[axis] < -65536 || before[axis] > 65536 || after[axis] < -65536 || after[axis] > 65536) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "more than 65536 pads along axis %d", axis);
        }
    }
    return CRUMB_OK;
}

static crumb_status pad_value(const crumb_import_node *n, double *value) {
    const float *reals;
    CRUMB_TRY(crumb_import_real(n, "value", 0, value));
    if (n->inputs > 2 && n->x[2] != NULL) {
        CRUMB_TRY(crumb_import_reals(n, n->x[2], "value", &reals));
        *value = crumb_shape_count(n->x[2]->shape) == 1 ? (double)reals[0] : (double)NAN;
    }
    return isfinite(*value) ? CRUMB_OK : crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "a value that is not a finite number");
}

crumb_status crumb_import_pad(const crumb_import_node *n) {
    char mode[64];
    int64_t before[CRUMB_RANK_MAX], after[CRUMB_RANK_MAX];
    crumb_shape shape = n->x[0]->shape;
    crumb_pad_params p = {0};
    crumb_slice_params cut = {0};
    bool last, cuts = false, pads = false;
    int at;
    CRUMB_TRY(crumb_import_word(n, "mode", "constant", mode));
    if (strcmp(mode, "constant") != 0) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "mode %s; supported is constant", mode);
    }
    CRUMB_TRY(pad_amounts(n, before, after));
    CRUMB_TRY(pad_value(n, &p.value));
    CRUMB_TRY(as_it_lies(n, n->x[0], &last, &at));
    for (int axis = 0; axis < shape.rank; axis++) {
        int to = crumb_import_memory_axis(last, shape.rank, axis);
        shape.dim[axis] += before[axis] + after[axis];
        put(&p.before, to, shape.rank, before[axis] > 0 ? before[axis] : 0);
        put(&p.after, to, shape.rank, after[axis] > 0 ? after[axis] : 0);
        put(&cut.start, to, shape.rank, before[axis] < 0 ? -before[axis] : 0);
        put(&cut.stop, to, shape.rank, after[axis] < 0 ? after[axis] : 0);
        put(&cut.step, to, shape.rank, 1);
        cuts |= before[axis] < 0 || after[axis] < 0;
        pads |= before[axis] > 0 || after[axis] > 0;
        if (shape.dim[axis] < 1) {
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "nothing is left along axis %d", axis);
        }
    }
    if (cuts) {
        CRUMB_TRY(crumb_import_emit(n, &crumb_op_slice, &cut, 1, &at, &at));
    }
    if (pads) {
        CRUMB_TRY(crumb_import_emit(n, &crumb_op_pad, &p, 1, &at, &at));
    }
    return crumb_import_set(n, 0, at, shape, last);
}

/* ---- Means. */

crumb_status crumb_import_reduce_mean(const crumb_import_node *n) {
    int64_t keep, nothing;
    crumb_import_ints axes;
    crumb_shape x = n->x[0]->shape, kept = x, dropped = {0};
    crumb_reduce_mean_params p = {0};
    bool marks[CRUMB_RANK_MAX] = {false}, last;
    int at;
    CRUMB_TRY(crumb_import_int(n, "keepdims", 1, &keep));
    CRUMB_TRY(crumb_import_int(n, "noop_with_empty_axes", 0, &nothing));
    CRUMB_TRY(crumb_import_list_of(n, "axes", 1, &axes));
    for (int i = 0; i < axes.count; i++) {
        int axis;
        CRUMB_TRY(crumb_import_axis(n, axes.at[i], x.rank, &axis));
        marks[axis] = true;
    }
    CRUMB_TRY(as_it_lies(n, n->x[0], &last, &at));
    for (int axis = 0; axis < x.rank; axis++) {
        marks[axis] |= axes.count <= 0 && nothing == 0;
        if (marks[axis]) {
            kept.dim[axis] = 1;
            p.axes.at[p.axes.count++] = crumb_import_memory_axis(last, x.rank, axis);
        } else {
            dropped.dim[dropped.rank++] = x.dim[axis];
        }
    }
    bool image = last && x.rank == 4 && p.axes.count == 2 && marks[2] && marks[3];
    CRUMB_TRY(
        crumb_import_emit(n, image ? &crumb_op_global_average_pool : &crumb_op_reduce_mean, image ? NULL : &p, 1, &at, &at));
    if (image) {
        return crumb_import_set(n, 0, at, keep != 0 ? kept : dropped, keep != 0);
    }
    if (keep == 0 && last) { /* the axes that are left stand in ONNX's order only when the channels are gone or alone */
        int order[CRUMB_RANK_MAX];
        for (int axis = 0; axis < x.rank; axis++) {
            order[axis] = crumb_import_memory_axis(true, x.rank, axis);
        }
        CRUMB_TRY(crumb_import_emit_transpose(n, at, x.rank, order, &at));
        last = false;
    }
    if (keep == 0) {
        CRUMB_TRY(crumb_import_emit_reshape(n, at, kept, dropped, &at));
    }
    return crumb_import_set(n, 0, at, keep != 0 ? kept : dropped, last);
}

/* ---- Nearest resizing. */

/* Size and scale along each axis from `sizes` or `scales`. */
static crumb_status target(const crumb_import_node *n, int64_t size[CRUMB_RANK_MAX], double scale[CRUMB_RANK_MAX]) {
    crumb_shape x = n->x[0]->shape;
    bool upsample = n->proto->op_type[0] == 'U';
    int k = upsample || n->im->opset < 11 ? 1 : 2, count = -1, axis;
    const CrumbOnnx__AttributeProto *given = crumb_import_attribute(n, "scales");
    crumb_import_ints sizes = {.count = -1}, axes;
    const float *scales = given != NULL ? given->floats : NULL;
    CRUMB_TRY(crumb_import_list(n, "axes", &axes));
    if (scales != NULL) {
        count = (int)given->n_floats;
    } else if (n->inputs > k && n->x[k] != NULL && crumb_shape_count(n->x[k]->shape) > 0) {
        CRUMB_TRY(crumb_import_reals(n, n->x[k], "scales", &scales));
        count = (int)crumb_shape_count(n->x[k]->shape);
    } else {
        CRUMB_TRY(crumb_import_list_of(n, "", 3, &sizes));
        count = sizes.count;
    }
    if (count != (axes.count >= 0 ? axes.count : x.rank)) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "sizes or scales of %d axes, the input has %d", count, x.rank);
    }
    for (int i = 0; i < x.rank; i++) {
        size[i] = x.dim[i];
        scale[i] = 1;
    }
    for (int i = 0; i < count; i++) {
        CRUMB_TRY(crumb_import_axis(n, axes.count >= 0 ? axes.at[i] : i, x.rank, &axis));
        double by = sizes.count >= 0 ? (double)sizes.at[i] / (double)x.dim[axis] : (double)scales[i];
        double wanted = sizes.count >= 0 ? (double)sizes.at[i] : floor((double)x.dim[axis] * by);
        if (!(by > 0) || !(wanted >= 1) || wanted > 65536) {
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "axis %d would have %g values", axis, wanted);
        }
        size[axis] = (int64_t)wanted;
        scale[axis] = by;
    }
    return CRUMB_OK;
}

static crumb_status choice(const crumb_import_node *n, const char *name, const char *preset, const char *const *words,
                           int *index) {
    char word[64];
    CRUMB_TRY(crumb_import_word(n, name, preset, word));
    for (*index = 0; words[*index] != NULL; ++*index) {
        if (strcmp(word, words[*index]) == 0) {
            return CRUMB_OK;
        }
    }
    return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "attribute %s is %s", name, word);
}

crumb_status crumb_import_resize(const crumb_import_node *n) {
    static const char *const coordinates[] = {"asymmetric",         "half_pixel",           "align_corners",
                                              "pytorch_half_pixel", "half_pixel_symmetric", NULL};
    static const char *const roundings[] = {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil", NULL};
    static const char *const modes[] = {"nearest", NULL}, *const policies[] = {"stretch", NULL};
    bool old = n->proto->op_type[0] == 'U' || n->im->opset < 11;
    crumb_resize_nearest_params p = {0};
    crumb_shape x = n->x[0]->shape;
    int64_t size[CRUMB_RANK_MAX];
    double scale[CRUMB_RANK_MAX];
    int at, ignored;
    CRUMB_TRY(choice(n, "mode", "nearest", modes, &ignored));
    CRUMB_TRY(choice(n, "keep_aspect_ratio_policy", "stretch", policies, &ignored));
    CRUMB_TRY(choice(n, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel", coordinates, &p.coordinates));
    CRUMB_TRY(choice(n, "nearest_mode", old ? "floor" : "round_prefer_floor", roundings, &p.rounding));
    CRUMB_TRY(target(n, size, scale));
    if (x.rank != 4 || size[0] != x.dim[0] || size[1] != x.dim[1]) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "other axes than height and width of an image");
    }
    p.height = size[2], p.width = size[3];
    p.scale_height = scale[2], p.scale_width = scale[3];
    CRUMB_TRY(crumb_import_last(n, n->x[0], &at));
    CRUMB_TRY(crumb_import_emit(n, &crumb_op_resize_nearest, &p, 1, &at, &at));
    return crumb_import_set(n, 0, at, CRUMB_SHAPE(x.dim[0], x.dim[1], size[2], size[3]), true);
}
