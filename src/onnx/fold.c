/* Nodes whose inputs are all constant, done at once: exporters compute shapes with chains of Shape, Gather, Cast and
 * arithmetic, and transpose or reshape weights. Whole numbers stay whole, so that shapes are exact. */
#include "onnx/importer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { FOLD_MAX = 1 << 22 }; /* elements of an array that is made out of nothing */

static crumb_status make(const crumb_import_node *n, int type, crumb_shape shape, crumb_onnx_array *array) {
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] < 0 || shape.dim[i] > FOLD_MAX) {
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "dimension %d would be %" PRId64, i, shape.dim[i]);
        }
    }
    double count = 1;
    for (int i = 0; i < shape.rank; i++) {
        count *= (double)shape.dim[i];
    }
    if (count > FOLD_MAX) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "a constant of %.0f values; at most %d", count, FOLD_MAX);
    }
    return crumb_onnx_array_make(n->im->ctx, type, shape, array);
}

static crumb_status input(const crumb_import_node *n, int k, const crumb_onnx_array **array) {
    return k < n->inputs ? crumb_import_constant(n, n->x[k], "input", array)
                         : crumb_import_fail(n, CRUMB_ERROR_FORMAT, "input %d is missing", k);
}

static void copy(crumb_onnx_array *to, int64_t at, const crumb_onnx_array *from, int64_t index, int64_t count) {
    if (to->real != NULL && from->real != NULL) {
        memcpy(to->real + at, from->real + index, (size_t)count * sizeof(float));
    } else if (to->whole != NULL && from->whole != NULL) {
        memcpy(to->whole + at, from->whole + index, (size_t)count * sizeof(int64_t));
    }
}

/* The same values in another shape. */
static crumb_status reshaped(const crumb_import_node *n, const crumb_onnx_array *from, crumb_shape shape) {
    crumb_onnx_array made;
    if (crumb_shape_count(shape) != crumb_shape_count(from->shape)) {
        return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "%" PRId64 " values do not fill the new shape",
                                 crumb_shape_count(from->shape));
    }
    CRUMB_TRY(make(n, from->type, shape, &made));
    copy(&made, 0, from, 0, crumb_shape_count(shape));
    return crumb_import_set_array(n, 0, &made);
}

/* ---- Out of nothing. */

static crumb_status fold_constant(const crumb_import_node *n) {
    const CrumbOnnx__AttributeProto *a = n->proto->n_attribute == 1 ? n->proto->attribute[0] : NULL;
    const char *name = a != NULL && a->name != NULL ? a->name : "";
    crumb_onnx_array array;
    if (strcmp(name, "value") == 0 && a->t != NULL) {
        CRUMB_TRY(crumb_onnx_tensor_read(n->im->ctx, n->im->path, a->t, &array));
        return crumb_import_set_array(n, 0, &array);
    }
    if (strcmp(name, "value_int") == 0 || strcmp(name, "value_float") == 0) {
        CRUMB_TRY(make(n, name[6] == 'i' ? CRUMB_ONNX_INT64 : CRUMB_ONNX_FLOAT, (crumb_shape){0}, &array));
        if (array.whole != NULL) {
            array.whole[0] = a->i;
        } else {
            array.real[0] = a->f;
        }
        return crumb_import_set_array(n, 0, &array);
    }
    if (strcmp(name, "value_ints") == 0) {
        CRUMB_TRY(make(n, CRUMB_ONNX_INT64, CRUMB_SHAPE((int64_t)a->n_ints), &array));
        memcpy(array.whole, a->ints, a->n_ints * sizeof(int64_t));
        return crumb_import_set_array(n, 0, &array);
    }
    if (strcmp(name, "value_floats") == 0) {
        CRUMB_TRY(make(n, CRUMB_ONNX_FLOAT, CRUMB_SHAPE((int64_t)a->n_floats), &array));
        memcpy(array.real, a->floats, a->n_floats * sizeof(float));
        return crumb_import_set_array(n, 0, &array);
    }
    return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "supported is a constant of one tensor, number or list of numbers");
}

/* Whatever x is: its shape is known. */
static crumb_status fold_shape(const crumb_import_node *n) {
    int64_t start, end, rank = n->x[0]->shape.rank;
    CRUMB_TRY(crumb_import_int(n, "start", 0, &start));
    CRUMB_TRY(crumb_import_int(n, "end", rank, &end));
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end;
    start = start < 0 ? 0 : start > rank ? rank : start;
    end = end < start ? start : end > rank ? rank : end;
    crumb_onnx_array made;
    CRUMB_TRY(make(n, CRUMB_ONNX_INT64, CRUMB_SHAPE(end - start), &made));
    memcpy(made.whole, n->x[0]->shape.dim + start, (size_t)(end - start) * sizeof(int64_t));
    return crumb_import_set_array(n, 0, &made);
}

static crumb_status fold_size(const crumb_import_node *n) {
    crumb_onnx_array made;
    CRUMB_TRY(make(n, CRUMB_ONNX_INT64, (crumb_shape){0}, &made));
    made.whole[0] = crumb_shape_count(n->x[0]->shape);
    return crumb_import_set_array(n, 0, &made);
}

static crumb_status fold_constant_of_shape(const crumb_import_node *n) {
    crumb_import_ints dims;
    CRUMB_TRY(crumb_import_list_of(n, "", 0, &dims));
    const CrumbOnnx__AttributeProto *a = crumb_import_attribute(n, "value");
    crumb_onnx_array value = {0}, made;
    crumb_shape shape = {.rank = dims.count};
    if (dims.count < 0 || dims.count > CRUMB_RANK_MAX) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "%d dimensions, at most %d", dims.count, CRUMB_RANK_MAX);
    }
    memcpy(shape.dim, dims.at, (size_t)dims.count * sizeof(int64_t));
    if (a != NULL && a->t != NULL) {
        CRUMB_TRY(crumb_onnx_tensor_read(n->im->ctx, n->im->path, a->t, &value));
    }
    bool one = value.type == 0 || crumb_shape_count(value.shape) == 1;
    crumb_status status = one ? make(n, value.type != 0 ? value.type : CRUMB_ONNX_FLOAT, shape, &made)
                              : crumb_import_fail(n, CRUMB_ERROR_FORMAT, "attribute value is not one number");
    for (int64_t i = 0; status == CRUMB_OK && value.type != 0 && i < crumb_shape_count(shape); i++) {
        copy(&made, i, &value, 0, 1);
    }
    crumb_onnx_array_free(n->im->ctx, &value);
    return status == CRUMB_OK ? crumb_import_set_array(n, 0, &made) : status;
}

/* ---- Rearranging. */

static crumb_status fold_identity(const crumb_import_node *n) {
    return crumb_import_set_same(n, 0, n->x[0]);
}

static crumb_status fold_cast(const crumb_import_node *n) {
    const crumb_onnx_array *x;
    int64_t to;
    crumb_onnx_array made;
    CRUMB_TRY(input(n, 0, &x));
    CRUMB_TRY(crumb_import_int(n, "to", 0, &to));
    const crumb_onnx_type *type = to > 0 && to < 64 ? crumb_onnx_type_of((int)to) : NULL;
    if (type == NULL || (type->whole && type->bits < 32) || (!type->whole && type->bits < 32)) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "a cast to type %" PRId64 "; supported are wide numbers", to);
    }
    CRUMB_TRY(make(n, (int)to, x->shape, &made));
    for (int64_t i = 0; i < crumb_shape_count(x->shape); i++) {
        if (made.whole != NULL) {
            made.whole[i] = x->whole != NULL ? x->whole[i] : fabsf(x->real[i]) < 0x1p62f ? (int64_t)x->real[i] : 0;
        } else {
            made.real[i] = x->whole != NULL ? (float)x->whole[i] : x->real[i];
        }
    }
    return crumb_import_set_array(n, 0, &made);
}

static crumb_status fold_reshape(const crumb_import_node *n) {
    const crumb_onnx_array *x;
    crumb_shape shape;
    CRUMB_TRY(input(n, 0, &x));
    CRUMB_TRY(crumb_import_new_shape(n, &shape));
    return reshaped(n, x, shape);
}

static crumb_status fold_transpose(const crumb_import_node *n) {
    const crumb_onnx_array *x;
    int order[CRUMB_RANK_MAX];
    crumb_onnx_array made;
    CRUMB_TRY(input(n, 0, &x));
    CRUMB_TRY(crumb_import_order(n, order));
    crumb_shape shape = {.rank = x->shape.rank};
    int64_t stride[CRUMB_RANK_MAX], step = 1;
    for (int axis = x->shape.rank - 1; axis >= 0; step *= x->shape.dim[axis--]) {
        stride[axis] = step;
    }
    for (int i = 0; i < shape.rank; i++) {
        shape.dim[i] = x->shape.dim[order[i]];
    }
    CRUMB_TRY(make(n, x->type, shape, &made));
    for (int64_t i = 0; i < crumb_shape_count(shape); i++) {
        int64_t from = 0, rest = i;
        for (int axis = shape.rank - 1; axis >= 0; axis--) {
            from += rest % shape.dim[axis] * stride[order[axis]];
            rest /= shape.dim[axis];
        }
        copy(&made, i, x, from, 1);
    }
    return crumb_import_set_array(n, 0, &made);
}

/* Along axis 0 only where the rest is in one piece: shapes are vectors. */
static crumb_status fold_gather(const crumb_import_node *n) {
    const crumb_onnx_array *x, *index;
    int64_t axis;
    crumb_onnx_array made;
    CRUMB_TRY(input(n, 0, &x));
    CRUMB_TRY(input(n, 1, &index));
    CRUMB_TRY(crumb_import_int(n, "axis", 0, &axis));
    if (axis != 0 || x->shape.rank < 1 || index->whole == NULL || index->shape.rank + x->shape.rank - 1 > CRUMB_RANK_MAX) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "axis %" PRId64 "; supported is gathering along axis 0", axis);
    }
    crumb_shape shape = index->shape;
    int64_t size = x->shape.dim[0], piece = 1;
    for (int i = 1; i < x->shape.rank; i++) {
        shape.dim[shape.rank++] = x->shape.dim[i];
        piece *= x->shape.dim[i];
    }
    for (int64_t i = 0; i < crumb_shape_count(index->shape); i++) {
        if (index->whole[i] < -size || index->whole[i] >= size) {
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "index %" PRId64 " of %" PRId64, index->whole[i], size);
        }
    }
    CRUMB_TRY(make(n, x->type, shape, &made));
    for (int64_t i = 0; i < crumb_shape_count(index->shape); i++) {
        int64_t at = index->whole[i] < 0 ? index->whole[i] + size : index->whole[i];
        copy(&made, i * piece, x, at * piece, piece);
    }
    return crumb_import_set_array(n, 0, &made);
}

static crumb_status fold_concat(const crumb_import_node *n) {
    crumb_onnx_array made;
    int64_t count = 0, axis, at = 0;
    const crumb_onnx_array *x, *first;
    CRUMB_TRY(input(n, 0, &first));
    CRUMB_TRY(crumb_import_int(n, "axis", 0, &axis));
    for (int k = 0; k < n->inputs; k++) {
        CRUMB_TRY(input(n, k, &x));
        if (x->shape.rank != 1 || (axis != 0 && axis != -1) || (x->whole == NULL) != (first->whole == NULL)) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "constants of %d dimensions; supported are lists",
                                     x->shape.rank);
        }
        count += x->shape.dim[0];
    }
    CRUMB_TRY(make(n, first->type, CRUMB_SHAPE(count), &made));
    for (int k = 0; k < n->inputs; k++) {
        const crumb_onnx_array *part = &n->x[k]->array;
        copy(&made, at, part, 0, part->shape.dim[0]);
        at += part->shape.dim[0];
    }
    return crumb_import_set_array(n, 0, &made);
}

static crumb_status fold_squeeze(const crumb_import_node *n) {
    const crumb_onnx_array *x;
    crumb_shape shape;
    CRUMB_TRY(input(n, 0, &x));
    CRUMB_TRY(crumb_import_squeezed_shape(n, &shape));
    return reshaped(n, x, shape);
}

/* Exporters turn lists of pads around with steps of -1. */
static crumb_status fold_slice(const crumb_import_node *n) {
    const crumb_onnx_array *x;
    crumb_import_cut cut;
    crumb_onnx_array made;
    CRUMB_TRY(input(n, 0, &x));
    CRUMB_TRY(crumb_import_cuts(n, &cut));
    crumb_shape shape = x->shape;
    for (int axis = 0; axis < shape.rank; axis++) {
        shape.dim[axis] = cut.count[axis];
    }
    CRUMB_TRY(make(n, x->type, shape, &made));
    for (int64_t i = 0; i < crumb_shape_count(shape); i++) {
        int64_t from = 0, rest = i, stride = 1;
        for (int axis = shape.rank - 1; axis >= 0; axis--) {
            from += (cut.start[axis] + rest % shape.dim[axis] * cut.step[axis]) * stride;
            rest /= shape.dim[axis];
            stride *= x->shape.dim[axis];
        }
        copy(&made, i, x, from, 1);
    }
    return crumb_import_set_array(n, 0, &made);
}

/* ---- Arithmetic: lists of one length, or one number for all. */

static bool whole_result(char op, int64_t a, int64_t b, int64_t *y) {
    switch (op) {
    case 'A':
        return !__builtin_add_overflow(a, b, y);
    case 'S':
        return !__builtin_sub_overflow(a, b, y);
    case 'M':
        return !__builtin_mul_overflow(a, b, y);
    default:
        *y = b != 0 && b != -1 ? a / b : 0;
        return b != 0 && b != -1;
    }
}

static float real_result(char op, float a, float b) {
    return op == 'A' ? a + b : op == 'S' ? a - b : op == 'M' ? a * b : a / b;
}

static crumb_status fold_arithmetic(const crumb_import_node *n) {
    const crumb_onnx_array *a, *b;
    crumb_onnx_array made;
    CRUMB_TRY(input(n, 0, &a));
    CRUMB_TRY(input(n, 1, &b));
    int64_t counts[2] = {crumb_shape_count(a->shape), crumb_shape_count(b->shape)};
    bool fits = crumb_shape_equal(a->shape, b->shape) || counts[1] == 1 || counts[0] == 1;
    if (!fits || (a->whole == NULL) != (b->whole == NULL)) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "constants of two shapes or types");
    }
    bool larger_b = counts[0] == 1 && (counts[1] > 1 || b->shape.rank > a->shape.rank);
    crumb_status status = make(n, a->type, larger_b ? b->shape : a->shape, &made);
    for (int64_t i = 0; status == CRUMB_OK && i < crumb_shape_count(made.shape); i++) {
        int64_t ia = counts[0] == 1 ? 0 : i, ib = counts[1] == 1 ? 0 : i;
        char op = n->proto->op_type[0];
        if (made.real != NULL) {
            made.real[i] = real_result(op, a->real[ia], b->real[ib]);
        } else if (!whole_result(op, a->whole[ia], b->whole[ib], &made.whole[i])) {
            crumb_onnx_array_free(n->im->ctx, &made);
            status = crumb_import_fail(n, CRUMB_ERROR_FORMAT, "%" PRId64 " and %" PRId64 " give no whole number", a->whole[ia],
                                       b->whole[ib]);
        }
    }
    return status == CRUMB_OK ? crumb_import_set_array(n, 0, &made) : status;
}

static crumb_status fold_rounding(const crumb_import_node *n) {
    const float *x;
    crumb_onnx_array made;
    CRUMB_TRY(crumb_import_reals(n, n->x[0], "input", &x));
    CRUMB_TRY(make(n, CRUMB_ONNX_FLOAT, n->x[0]->shape, &made));
    for (int64_t i = 0; i < crumb_shape_count(made.shape); i++) {
        made.real[i] = n->proto->op_type[0] == 'F' ? floorf(x[i]) : ceilf(x[i]);
    }
    return crumb_import_set_array(n, 0, &made);
}

static const struct {
    const char *op;
    crumb_import_handler fold;
    int inputs; /* that have to be constant; -1: all */
} table[] = {
    {"Add", fold_arithmetic, -1},    {"Cast", fold_cast, -1},         {"Ceil", fold_rounding, -1},
    {"Concat", fold_concat, -1},     {"Constant", fold_constant, -1}, {"ConstantOfShape", fold_constant_of_shape, -1},
    {"Div", fold_arithmetic, -1},    {"Floor", fold_rounding, -1},    {"Gather", fold_gather, -1},
    {"Identity", fold_identity, -1}, {"Mul", fold_arithmetic, -1},    {"Reshape", fold_reshape, -1},
    {"Shape", fold_shape, 0},        {"Size", fold_size, 0},          {"Slice", fold_slice, -1},
    {"Squeeze", fold_squeeze, -1},   {"Sub", fold_arithmetic, -1},    {"Transpose", fold_transpose, -1},
    {"Unsqueeze", fold_squeeze, -1},
};

static int find_row(const crumb_import_node *n) {
    const char *domain = n->proto->domain;
    for (size_t i = 0; (domain == NULL || domain[0] == '\0') && i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(table[i].op, n->proto->op_type) == 0) {
            return (int)i;
        }
    }
    return -1;
}

bool crumb_import_can_fold(const crumb_import_node *n) {
    int row = find_row(n);
    if (row < 0 || n->proto->n_output < 1 || (n->inputs > 0 ? n->x[0] == NULL : strcmp(table[row].op, "Constant") != 0)) {
        return false;
    }
    for (int k = 0; k < n->inputs && table[row].inputs < 0; k++) {
        if (n->x[k] != NULL && !crumb_import_is_constant(n->x[k])) {
            return false;
        }
    }
    return true;
}

crumb_status crumb_import_fold(const crumb_import_node *n) {
    return table[find_row(n)].fold(n);
}
