/* Element by element: activations and arithmetic with broadcasting. */
#include "onnx/importer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Output 0 is op(x), x as it lies. */
static crumb_status unary(const crumb_import_node *n, const crumb_op *op, const void *params) {
    crumb_import_value *x = n->x[0];
    int at = x->at;
    if (crumb_import_is_constant(x)) {
        CRUMB_TRY(crumb_import_plain(n, x, &at));
    }
    CRUMB_TRY(crumb_import_emit(n, op, params, 1, &at, &at));
    return crumb_import_set(n, 0, at, x->shape, x->last && !crumb_import_is_constant(x));
}

crumb_status crumb_import_activation(const crumb_import_node *n) {
    const char *op = n->proto->op_type;
    if (strcmp(op, "LeakyRelu") == 0) {
        crumb_leaky_relu_params p;
        CRUMB_TRY(crumb_import_real(n, "alpha", 0.01, &p.slope));
        return unary(n, &crumb_op_leaky_relu, &p);
    }
    if (strcmp(op, "HardSigmoid") == 0) {
        crumb_hard_sigmoid_params p;
        CRUMB_TRY(crumb_import_real(n, "alpha", 0.2, &p.slope));
        CRUMB_TRY(crumb_import_real(n, "beta", 0.5, &p.offset));
        return unary(n, &crumb_op_hard_sigmoid, &p);
    }
    return unary(n,
                 strcmp(op, "Relu") == 0      ? &crumb_op_relu
                 : strcmp(op, "Sigmoid") == 0 ? &crumb_op_sigmoid
                 : strcmp(op, "Tanh") == 0    ? &crumb_op_tanh
                                              : &crumb_op_hard_swish,
                 NULL);
}

crumb_status crumb_import_identity(const crumb_import_node *n) {
    return crumb_import_set_same(n, 0, n->x[0]);
}

/* Does nothing but in training. */
crumb_status crumb_import_dropout(const crumb_import_node *n) {
    crumb_dropout_params p;
    const crumb_onnx_array *array;
    CRUMB_TRY(crumb_import_real(n, "ratio", 0.5, &p.p));
    if (n->proto->n_output > 1 && n->proto->output[1][0] != '\0' && crumb_import_find(n->im, n->proto->output[1])->uses > 0) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "output 1, the mask");
    }
    if (n->inputs > 1 && n->x[1] != NULL) {
        CRUMB_TRY(crumb_import_constant(n, n->x[1], "ratio", &array));
        p.p = array->real != NULL && crumb_shape_count(array->shape) == 1 ? (double)array->real[0] : 0.5;
    }
    if (n->inputs > 2 && n->x[2] != NULL) {
        CRUMB_TRY(crumb_import_constant(n, n->x[2], "training_mode", &array));
        if (array->whole == NULL || crumb_shape_count(array->shape) != 1 || array->whole[0] != 0) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "input training_mode; supported is false");
        }
    }
    return p.p > 0 && p.p <= 0.999 && !crumb_import_is_constant(n->x[0]) ? unary(n, &crumb_op_dropout, &p)
                                                                         : crumb_import_set_same(n, 0, n->x[0]);
}

/* ---- Clip. */

static crumb_status limit(const crumb_import_node *n, const char *name, int k, double preset, double *value) {
    const float *reals;
    CRUMB_TRY(crumb_import_real(n, name, preset, value));
    if (k < n->inputs && n->x[k] != NULL) {
        CRUMB_TRY(crumb_import_reals(n, n->x[k], name, &reals));
        if (crumb_shape_count(n->x[k]->shape) != 1) {
            return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "input %s is not one number", name);
        }
        *value = (double)reals[0];
    }
    *value = isnan(*value) ? preset : fmax(fmin(*value, (double)3.4028235e38f), (double)-3.4028235e38f);
    return CRUMB_OK;
}

crumb_status crumb_import_clip(const crumb_import_node *n) {
    const double most = (double)3.4028235e38f;
    crumb_clip_params p;
    if (n->x[0]->is_codes) {
        return crumb_import_clip_codes(n);
    }
    CRUMB_TRY(limit(n, "min", 1, -most, &p.min));
    CRUMB_TRY(limit(n, "max", 2, most, &p.max));
    p.min = p.min > p.max ? p.max : p.min; /* ONNX: the maximum wins */
    if (p.max >= most && (p.min == 0 || p.min <= -most)) {
        return p.min == 0 ? unary(n, &crumb_op_relu, NULL) : crumb_import_set_same(n, 0, n->x[0]);
    }
    return unary(n, &crumb_op_clip, &p);
}

/* ---- PRelu: one slope a channel, or one for all. */

crumb_status crumb_import_prelu(const crumb_import_node *n) {
    crumb_import_value *slope = n->inputs > 1 ? n->x[1] : NULL;
    crumb_shape x = n->x[0]->shape;
    int input[2], y;
    if (slope == NULL || x.rank < 2) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "no slope, or an input of %d dimensions", x.rank);
    }
    int64_t count = crumb_shape_count(slope->shape), channels = x.dim[1];
    int channel_axis = slope->shape.rank - x.rank + 1; /* of the slope, aligned to the right */
    bool old = n->im->opset < 7 && slope->shape.rank == 1;
    bool fits = count == channels && (old || (channel_axis >= 0 && slope->shape.dim[channel_axis] == channels));
    CRUMB_TRY(crumb_import_last(n, n->x[0], &input[0]));
    if (fits) {
        CRUMB_TRY(crumb_import_vector(n, slope, channels, true, "slope", &input[1]));
    } else if (count == 1) {
        const float *value;
        CRUMB_TRY(crumb_import_reals(n, slope, "slope", &value));
        CRUMB_TRY(crumb_import_filled(n, "slope", channels, value[0], true, &input[1]));
    } else {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "%" PRId64 " slopes; supported are one, or one a channel", count);
    }
    CRUMB_TRY(crumb_import_emit(n, &crumb_op_prelu, NULL, 2, input, &y));
    return crumb_import_set(n, 0, y, x, x.rank > 2);
}

/* ---- Arithmetic. */

typedef struct pair {
    crumb_shape shape; /* of the result, as ONNX has it */
    bool last;         /* channels last in the graph */
    const crumb_op *op;
} pair;

static crumb_status broadcast(const crumb_import_node *n, crumb_shape a, crumb_shape b, crumb_shape *y) {
    y->rank = a.rank > b.rank ? a.rank : b.rank;
    for (int i = 1; i <= y->rank; i++) {
        int64_t da = i <= a.rank ? a.dim[a.rank - i] : 1, db = i <= b.rank ? b.dim[b.rank - i] : 1;
        if (da != db && da != 1 && db != 1) {
            char ta[CRUMB_SHAPE_TEXT], tb[CRUMB_SHAPE_TEXT];
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "shapes %s and %s", crumb_shape_print(a, ta),
                                     crumb_shape_print(b, tb));
        }
        y->dim[y->rank - i] = da > db ? da : db;
    }
    return CRUMB_OK;
}

static crumb_shape widen(crumb_shape s, int rank) {
    crumb_shape wide = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        wide.dim[i] = i < rank - s.rank ? 1 : s.dim[i - (rank - s.rank)];
    }
    return wide;
}

/* A constant of one value a channel of the graph's value, or of one value, as a vector. */
static crumb_status channel_vector(const crumb_import_node *n, crumb_import_value *x, const pair *p, bool *is, int *at) {
    int channel = p->last ? 1 : p->shape.rank - 1;
    int64_t channels = p->shape.dim[channel], count = crumb_shape_count(x->shape);
    *is = p->shape.rank > 0 && (count == 1 || (count == channels && widen(x->shape, p->shape.rank).dim[channel] == channels));
    if (!*is) {
        return CRUMB_OK;
    }
    if (count == channels) {
        return crumb_import_vector(n, x, channels, x->tensor != NULL, "constant", at);
    }
    const float *value;
    CRUMB_TRY(crumb_import_reals(n, x, "constant", &value));
    return crumb_import_filled(n, "constant", channels, value[0], false, at);
}

/* x in the pair's order and rank, dimensions of 1 where it broadcasts. */
static crumb_status operand(const crumb_import_node *n, crumb_import_value *x, const pair *p, int *at) {
    crumb_shape wide = widen(x->shape, p->shape.rank), memory = crumb_import_memory_shape(p->last, wide);
    if (crumb_import_is_constant(x)) {
        crumb_import_form form = {.shape = memory, .from = wide};
        for (int axis = 0; axis < wide.rank; axis++) {
            form.order[crumb_import_memory_axis(p->last, wide.rank, axis)] = axis;
        }
        form.learned = x->tensor != NULL && crumb_shape_count(x->shape) > 1;
        return crumb_import_param(n, x, &form, "constant", at);
    }
    if (x->shape.rank == p->shape.rank) {
        return p->last ? crumb_import_last(n, x, at) : crumb_import_plain(n, x, at);
    }
    int order[CRUMB_RANK_MAX];
    CRUMB_TRY(crumb_import_plain(n, x, at));
    CRUMB_TRY(crumb_import_emit_reshape(n, *at, x->shape, wide, at));
    for (int axis = 0; axis < wide.rank; axis++) {
        order[crumb_import_memory_axis(p->last, wide.rank, axis)] = axis;
    }
    return crumb_import_emit_transpose(n, *at, wide.rank, order, at);
}

static crumb_status expanded(const crumb_import_node *n, int like, int *at) {
    const crumb_value *value = n->im->graph->value;
    if (crumb_shape_equal(value[*at].shape, value[like].shape)) {
        return CRUMB_OK;
    }
    return crumb_import_emit(n, &crumb_op_expand, NULL, 2, (int[]){*at, like}, at);
}

static crumb_status emit_pair(const crumb_import_node *n, const pair *p, int *y) {
    int input[2];
    crumb_import_value *a = n->x[0], *b = n->x[1];
    bool commutes = p->op == &crumb_op_add || p->op == &crumb_op_mul, vector = false;
    if (crumb_import_is_constant(a) && commutes) {
        a = n->x[1], b = n->x[0];
    }
    if (!crumb_import_is_constant(a) && crumb_import_is_constant(b) &&
        crumb_shape_equal(widen(a->shape, p->shape.rank), p->shape)) {
        CRUMB_TRY(channel_vector(n, b, p, &vector, &input[1]));
    }
    CRUMB_TRY(operand(n, a, p, &input[0]));
    if (vector) {
        const crumb_op *op = p->op == &crumb_op_add && p->shape.rank >= 2 ? &crumb_op_shift : p->op;
        return crumb_import_emit(n, op, NULL, 2, input, y);
    }
    CRUMB_TRY(operand(n, b, p, &input[1]));
    CRUMB_TRY(expanded(n, input[1], &input[0]));
    CRUMB_TRY(expanded(n, input[0], &input[1]));
    return crumb_import_emit(n, p->op, NULL, 2, input, y);
}

crumb_status crumb_import_binary(const crumb_import_node *n) {
    static const crumb_op *const ops[] = {&crumb_op_add, &crumb_op_sub, &crumb_op_mul, &crumb_op_div};
    pair p = {.op = ops[strcspn("ASMD", (char[]){n->proto->op_type[0], '\0'})]};
    int y;
    if (n->inputs != 2 || n->x[1] == NULL) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "has %d inputs, not 2", n->inputs);
    }
    CRUMB_TRY(broadcast(n, n->x[0]->shape, n->x[1]->shape, &p.shape));
    for (int k = 0; k < 2; k++) {
        p.last |= !crumb_import_is_constant(n->x[k]) && n->x[k]->last && n->x[k]->shape.rank == p.shape.rank;
    }
    CRUMB_TRY(emit_pair(n, &p, &y));
    return crumb_import_set(n, 0, y, p.shape, p.last);
}

/* ---- Softmax: over the last axis of the graph's value. */

crumb_status crumb_import_softmax(const crumb_import_node *n) {
    const crumb_op *op = n->proto->op_type[0] == 'L' ? &crumb_op_log_softmax : &crumb_op_softmax;
    crumb_import_value *x = n->x[0];
    bool single = n->im->opset >= 13;
    int64_t given;
    int axis, at, rank = x->shape.rank;
    CRUMB_TRY(crumb_import_int(n, "axis", single ? -1 : 1, &given));
    CRUMB_TRY(crumb_import_axis(n, given, rank, &axis));
    if (!single && axis < rank - 1) { /* all axes from this one on count as one */
        crumb_shape flat = CRUMB_SHAPE(1, 1);
        for (int i = 0; i < rank; i++) {
            flat.dim[i < axis ? 0 : 1] *= x->shape.dim[i];
        }
        CRUMB_TRY(crumb_import_plain(n, x, &at));
        CRUMB_TRY(crumb_import_emit_reshape(n, at, x->shape, flat, &at));
        CRUMB_TRY(crumb_import_emit(n, op, NULL, 1, &at, &at));
        CRUMB_TRY(crumb_import_emit_reshape(n, at, flat, x->shape, &at));
        return crumb_import_set(n, 0, at, x->shape, false);
    }
    if (axis == 1 && rank > 2) {
        CRUMB_TRY(crumb_import_last(n, x, &at));
        CRUMB_TRY(crumb_import_emit(n, op, NULL, 1, &at, &at));
        return crumb_import_set(n, 0, at, x->shape, true);
    }
    int order[CRUMB_RANK_MAX];
    for (int i = 0; i < rank; i++) {
        order[i] = i == axis ? rank - 1 : i == rank - 1 ? axis : i;
    }
    CRUMB_TRY(crumb_import_plain(n, x, &at));
    CRUMB_TRY(crumb_import_emit_transpose(n, at, rank, order, &at));
    CRUMB_TRY(crumb_import_emit(n, op, NULL, 1, &at, &at));
    CRUMB_TRY(crumb_import_emit_transpose(n, at, rank, order, &at));
    return crumb_import_set(n, 0, at, x->shape, false);
}
