/* Values of the graph: layouts, constants as parameters, appended nodes. */
#include "onnx/importer.h"

#include "base/param.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool crumb_import_is_constant(const crumb_import_value *x) {
    return x->at < 0;
}

/* The file's bytes of a constant, once they are not needed any more. */
static void free_raw(crumb_import_importer *im, crumb_import_value *x) {
    if (x->tensor != NULL && x->owned && x->tensor->has_raw_data) {
        crumb_free(im->ctx, x->tensor->raw_data.data);
        x->tensor->raw_data = (ProtobufCBinaryData){0};
    }
}

crumb_status crumb_import_constant(const crumb_import_node *n, crumb_import_value *x, const char *what,
                                   const crumb_onnx_array **array) {
    if (x == NULL || x->at >= 0) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "%s %s; it has to be constant", what,
                                 x == NULL ? "is missing" : "is computed");
    }
    if (x->array.real == NULL && x->array.whole == NULL) {
        if (x->tensor == NULL) {
            return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "%s %s is used after its last use", what, x->name);
        }
        CRUMB_TRY(crumb_onnx_tensor_read(n->im->ctx, n->im->path, x->tensor, &x->array));
        free_raw(n->im, x);
    }
    *array = &x->array;
    return CRUMB_OK;
}

crumb_status crumb_import_reals(const crumb_import_node *n, crumb_import_value *x, const char *what, const float **reals) {
    const crumb_onnx_array *array = NULL;
    CRUMB_TRY(crumb_import_constant(n, x, what, &array));
    if (array->real == NULL) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "%s is %s; supported are floats", what,
                                 crumb_onnx_type_of(array->type)->name);
    }
    *reals = array->real;
    return CRUMB_OK;
}

void crumb_import_forget(crumb_import_importer *im, crumb_import_value *x) {
    crumb_onnx_array_free(im->ctx, &x->array);
    crumb_free(im->ctx, x->codes != NULL ? x->codes->step : NULL);
    crumb_free(im->ctx, x->codes);
    x->codes = NULL;
    free_raw(im, x);
    x->tensor = NULL;
}

/* ---- Outputs. */

static crumb_status output_of(const crumb_import_node *n, int k, crumb_import_value **value) {
    crumb_import_importer *im = n->im;
    *value = NULL;
    if ((size_t)k >= n->proto->n_output || n->proto->output[k][0] == '\0') {
        return CRUMB_OK;
    }
    crumb_import_value *found = crumb_import_find(im, n->proto->output[k]);
    if (found == NULL || found->known) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "output %.80s has been made before", n->proto->output[k]);
    }
    *value = found;
    return CRUMB_OK;
}

crumb_status crumb_import_set(const crumb_import_node *n, int k, int at, crumb_shape shape, bool last) {
    crumb_import_value *value;
    CRUMB_TRY(output_of(n, k, &value));
    if (value != NULL) {
        value->known = true;
        value->at = at;
        value->shape = shape;
        value->last = last;
    }
    return CRUMB_OK;
}

crumb_status crumb_import_set_array(const crumb_import_node *n, int k, crumb_onnx_array *array) {
    crumb_import_value *value;
    crumb_status status = output_of(n, k, &value);
    if (status != CRUMB_OK || value == NULL) {
        crumb_onnx_array_free(n->im->ctx, array);
        return status;
    }
    value->known = true;
    value->shape = array->shape;
    value->array = *array;
    return CRUMB_OK;
}

/* A constant is copied: its memory goes with the last use of each name. */
crumb_status crumb_import_set_same(const crumb_import_node *n, int k, crumb_import_value *x) {
    if (!crumb_import_is_constant(x)) {
        return crumb_import_set(n, k, x->at, x->shape, x->last);
    }
    const crumb_onnx_array *from = NULL;
    crumb_onnx_array copy;
    CRUMB_TRY(crumb_import_constant(n, x, "input", &from));
    CRUMB_TRY(crumb_onnx_array_make(n->im->ctx, from->type, from->shape, &copy));
    size_t count = (size_t)crumb_shape_count(from->shape);
    if (copy.real != NULL) {
        memcpy(copy.real, from->real, count * sizeof(float));
    } else {
        memcpy(copy.whole, from->whole, count * sizeof(int64_t));
    }
    return crumb_import_set_array(n, k, &copy);
}

/* ---- Nodes. */

/* The first node made for a model's node has its name, further ones a suffix. */
crumb_status crumb_import_emit(const crumb_import_node *n, const crumb_op *op, const void *params, int inputs, const int *x,
                               int *y) {
    crumb_graph *graph = n->im->graph;
    char name[CRUMB_NAME_MAX];
    snprintf(name, sizeof(name), "%s", n->name);
    if (op != &crumb_op_conv2d && op != &crumb_op_linear) {
        for (int i = graph->nodes - 1; i >= 0 && i >= graph->nodes - 8; i--) {
            if (strcmp(graph->node[i].name, name) == 0) {
                snprintf(name, sizeof(name), "%.*s.%s", CRUMB_NAME_MAX - 32, n->name, op->name);
            }
        }
    }
    crumb_status status = crumb_graph_node(graph, name, op, params, inputs, x, y);
    return status == CRUMB_OK || status == CRUMB_ERROR_MEMORY ? status : crumb_fail_in(n->im->ctx, status, "%s", n->im->path);
}

/* The same values under another shape. The batch, and what is a multiple of it, stays open. */
crumb_status crumb_import_emit_reshape(const crumb_import_node *n, int x, crumb_shape from, crumb_shape to, int *y) {
    crumb_reshape_params params = {.shape = {.count = to.rank}};
    if (crumb_shape_equal(from, to)) {
        *y = x;
        return CRUMB_OK;
    }
    for (int i = 0; i < to.rank; i++) {
        params.shape.at[i] = (double)to.dim[i];
    }
    if (to.rank > 0 && from.rank > 0) {
        bool same = from.dim[0] == to.dim[0];
        params.shape.at[0] = same ? 0 : to.dim[0] % from.dim[0] == 0 ? -1 : (double)to.dim[0];
    }
    return crumb_import_emit(n, &crumb_op_reshape, &params, 1, &x, y);
}

crumb_status crumb_import_emit_transpose(const crumb_import_node *n, int x, int rank, const int *order, int *y) {
    crumb_transpose_params params = {.order = {.count = rank}};
    bool moves = false;
    for (int i = 0; i < rank; i++) {
        params.order.at[i] = order[i];
        moves |= order[i] != i;
    }
    *y = x;
    return moves ? crumb_import_emit(n, &crumb_op_transpose, &params, 1, &x, y) : CRUMB_OK;
}

/* ---- Layouts. */

int crumb_import_memory_axis(bool last, int rank, int axis) {
    return !last || axis == 0 ? axis : axis == 1 ? rank - 1 : axis - 1;
}

crumb_shape crumb_import_memory_shape(bool last, crumb_shape shape) {
    crumb_shape memory = shape;
    for (int axis = 0; axis < shape.rank; axis++) {
        memory.dim[crumb_import_memory_axis(last, shape.rank, axis)] = shape.dim[axis];
    }
    return memory;
}

/* True if either order of the axes is the same row of numbers: one axis behind the batch is longer than 1 at most, or the
 * channels are alone. */
static bool orders_agree(crumb_shape shape) {
    int64_t inner = 1;
    for (int axis = 2; axis < shape.rank; axis++) {
        inner *= shape.dim[axis];
    }
    return inner == 1 || shape.rank < 3 || shape.dim[1] == 1;
}

static crumb_status constant_value(const crumb_import_node *n, crumb_import_value *x, bool last, int *at) {
    crumb_import_form form = {.from = x->shape, .shape = crumb_import_memory_shape(last, x->shape)};
    for (int axis = 0; axis < x->shape.rank; axis++) {
        form.order[crumb_import_memory_axis(last, x->shape.rank, axis)] = axis;
    }
    return crumb_import_param(n, x, &form, "constant", at);
}

/* x in the wanted order, its full rank. A pooled map [N,C] counts as [N,C,1,1]. */
static crumb_status in_order(const crumb_import_node *n, crumb_import_value *x, bool last, int *at) {
    if (crumb_import_is_constant(x)) {
        return constant_value(n, x, last, at);
    }
    crumb_shape have = n->im->graph->value[x->at].shape, want = crumb_import_memory_shape(last, x->shape);
    if (x->last == last || orders_agree(x->shape)) {
        return crumb_import_emit_reshape(n, x->at, have, want, at);
    }
    int order[CRUMB_RANK_MAX], rank = x->shape.rank;
    for (int axis = 0; axis < rank; axis++) {
        order[crumb_import_memory_axis(last, rank, axis)] = crumb_import_memory_axis(x->last, rank, axis);
    }
    int full;
    CRUMB_TRY(crumb_import_emit_reshape(n, x->at, have, crumb_import_memory_shape(x->last, x->shape), &full));
    return crumb_import_emit_transpose(n, full, rank, order, at);
}

crumb_status crumb_import_last(const crumb_import_node *n, crumb_import_value *x, int *at) {
    return in_order(n, x, x->shape.rank > 2, at);
}

crumb_status crumb_import_plain(const crumb_import_node *n, crumb_import_value *x, int *at) {
    return in_order(n, x, false, at);
}

/* ---- Constants in the graph. */

/* A name that no PARAM or STATE has: what the file says if it can be, else the node's with a member. */
static void unique_name(const crumb_import_node *n, const char *given, const char *member, char name[CRUMB_NAME_MAX]) {
    if (given != NULL && given[0] != '\0' && strlen(given) < CRUMB_NAME_MAX - 16) {
        snprintf(name, CRUMB_NAME_MAX, "%s", given);
    } else {
        snprintf(name, CRUMB_NAME_MAX, "%.*s.%s", CRUMB_NAME_MAX - 48, n->name, member);
    }
    for (char *at = name; *at != '\0'; at++) {
        *at = *at > ' ' && *at < 127 ? *at : '_';
    }
    size_t length = strlen(name);
    for (int i = 2; crumb_graph_find(n->im->graph, name) >= 0; i++) {
        snprintf(name + length, CRUMB_NAME_MAX - length, "_%d", i);
    }
}

static crumb_status add_stored(const crumb_import_node *n, const char *name, crumb_shape shape, bool learned, bool decay,
                               int *at) {
    return learned ? crumb_graph_param(n->im->graph, name, shape, decay, at)
                   : crumb_graph_state(n->im->graph, name, shape, 0, at);
}

/* Copies with the axes in the form's order. */
static void permute(float *to, const float *from, const crumb_import_form *form) {
    int rank = form->from.rank;
    int64_t stride[CRUMB_RANK_MAX], dim[CRUMB_RANK_MAX], count = crumb_shape_count(form->from);
    for (int axis = rank - 1, step = 0; axis >= 0; axis--, step++) {
        stride[axis] = step == 0 ? 1 : stride[axis + 1] * form->from.dim[axis + 1];
    }
    for (int i = 0; i < rank; i++) {
        dim[i] = form->from.dim[form->order[i]];
    }
    int64_t at[CRUMB_RANK_MAX] = {0}, source = 0;
    float factor = form->factor != 0 ? (float)form->factor : 1.0f;
    for (int64_t i = 0; i < count; i++) {
        to[i] = factor * from[source];
        for (int axis = rank - 1; axis >= 0; axis--) {
            source += stride[form->order[axis]];
            if (++at[axis] < dim[axis]) {
                break;
            }
            source -= stride[form->order[axis]] * dim[axis];
            at[axis] = 0;
        }
    }
}

/* A number for what a form does to a constant, so that two uses alike share one PARAM. */
static unsigned form_number(const crumb_import_form *form) {
    unsigned number = form->learned ? 3 : 1;
    for (int i = 0; i < form->from.rank; i++) {
        number = number * 7 + (unsigned)form->order[i] + 1;
    }
    for (int i = 0; i < form->shape.rank; i++) {
        number = number * 31 + (unsigned)form->shape.dim[i];
    }
    return number;
}

crumb_status crumb_import_param(const crumb_import_node *n, crumb_import_value *x, const crumb_import_form *form,
                                const char *member, int *at) {
    const crumb_onnx_array *array = NULL;
    bool shareable = form->factor == 0 || form->factor == 1;
    if (x != NULL && shareable && x->param >= 0 && x->form == form_number(form)) {
        *at = x->param;
        return CRUMB_OK;
    }
    CRUMB_TRY(crumb_import_constant(n, x, member, &array));
    if (crumb_shape_count(form->from) != crumb_shape_count(array->shape) || crumb_shape_count(array->shape) < 1) {
        return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "%s has %" PRId64 " values", member, crumb_shape_count(array->shape));
    }
    char name[CRUMB_NAME_MAX];
    const float *reals;
    CRUMB_TRY(crumb_import_reals(n, x, member, &reals));
    unique_name(n, x->name, member, name);
    CRUMB_TRY(add_stored(n, name, form->shape, form->learned, form->decay, at));
    permute(n->im->graph->value[*at].data, reals, form);
    if (shareable) {
        x->param = *at;
        x->form = form_number(form);
    }
    return CRUMB_OK;
}

crumb_status crumb_import_vector(const crumb_import_node *n, crumb_import_value *x, int64_t count, bool learned,
                                 const char *member, int *at) {
    if (x == NULL || crumb_shape_count(x->shape) != count) {
        return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "%s has %" PRId64 " values, not %" PRId64, member,
                                 x != NULL ? crumb_shape_count(x->shape) : 0, count);
    }
    crumb_import_form form = {.shape = CRUMB_SHAPE(count), .from = CRUMB_SHAPE(count), .learned = learned};
    return crumb_import_param(n, x, &form, member, at);
}

crumb_status crumb_import_filled(const crumb_import_node *n, const char *member, int64_t count, float value, bool learned,
                                 int *at) {
    char name[CRUMB_NAME_MAX];
    unique_name(n, NULL, member, name);
    CRUMB_TRY(add_stored(n, name, count > 0 ? CRUMB_SHAPE(count) : (crumb_shape){0}, learned, false, at));
    for (int64_t i = 0; i < count; i++) {
        n->im->graph->value[*at].data[i] = value;
    }
    return CRUMB_OK;
}
