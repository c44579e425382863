/* Lowering: the nodes that the logits depend on, in order. */
#include "lower/lowering.h"

#include <stdio.h>
#include <string.h>

/* ---- What the files of this folder share. */

int crumb_lower_reader(const crumb_lowering *l, int value) {
    int reader = -1;
    for (int i = 0; i < l->graph->nodes; i++) {
        for (int k = 0; k < l->graph->node[i].inputs; k++) {
            if (l->graph->node[i].input[k] == value) {
                if (reader >= 0) {
                    return -1;
                }
                reader = i;
            }
        }
    }
    return value == l->graph->logits ? -1 : reader;
}

crumb_status crumb_lower_fail(const crumb_lowering *l, int node, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const crumb_node *at = &l->graph->node[node];
    return crumb_fail(l->ctx, CRUMB_ERROR_UNSUPPORTED, "%s, op %s, cannot be packed: %s", at->name, at->op->name, text);
}

crumb_status crumb_lower_check_single(const crumb_lowering *l, int node) {
    int64_t images = l->graph->value[l->graph->node[node].input[0]].shape.dim[0];
    return images == 1 ? CRUMB_OK : crumb_lower_fail(l, node, "it works on %lld images", (long long)images);
}

crumb_status crumb_lower_shape(const crumb_lowering *l, int node, crumb_shape shape, crumb_packed_value *value) {
    int64_t dim[3] = {1, 1, 1};
    for (int axis = 0; axis < shape.rank; axis++) {
        dim[axis < shape.rank - 3 ? 0 : axis - shape.rank + 3] *= shape.dim[axis];
    }
    if (crumb_shape_count(shape) > CRUMB_PACKED_ELEMENTS_MAX) {
        return crumb_lower_fail(l, node, "it has %lld elements", (long long)crumb_shape_count(shape));
    }
    *value = (crumb_packed_value){.height = (int32_t)dim[0], .width = (int32_t)dim[1], .channels = (int32_t)dim[2]};
    return CRUMB_OK;
}

/* A value that is known beforehand. */
static crumb_status constant(crumb_lowering *l, int node, int value) {
    const crumb_value *v = &l->graph->value[value];
    crumb_packed_value shape;
    if (v->data == NULL) {
        return crumb_lower_fail(l, node, "%s is not computed from the image", v->name);
    }
    CRUMB_TRY(crumb_lower_shape(l, node, v->shape, &shape));
    crumb_packed_node made = crumb_build_node_of(CRUMB_PACKED_CONSTANT, v->name, 0);
    made.inputs = 0;
    made.made_height = shape.height;
    made.made_width = shape.width;
    made.extra = crumb_build_floats(&l->build, 1, (int32_t)crumb_packed_elements(&shape), v->data);
    l->form[value].real = crumb_build_append(&l->build, &made, NULL);
    return l->build.status;
}

crumb_status crumb_lower_value(crumb_lowering *l, int node, int value, bool plain, int32_t *packed) {
    crumb_form *form = &l->form[value];
    const char *name = l->graph->value[value].name;
    if (form->real < 0 && form->codes < 0) {
        CRUMB_TRY(constant(l, node, value));
    }
    if (form->real < 0) {
        crumb_packed_node made = crumb_build_node_of(CRUMB_PACKED_DEQUANTIZE, name, form->codes);
        form->real = crumb_build_append(&l->build, &made, NULL);
    }
    if (plain && form->map_height > 0 && form->plain < 0) {
        crumb_packed_node made = crumb_build_node_of(CRUMB_PACKED_FLATTEN, name, form->real);
        form->plain = crumb_build_append(&l->build, &made, NULL);
    }
    *packed = plain && form->map_height > 0 ? form->plain : form->real;
    return l->build.status;
}

crumb_status crumb_lower_append(crumb_lowering *l, const crumb_packed_node *made, int value) {
    l->form[value] = (crumb_form){.real = crumb_build_append(&l->build, made, NULL), .codes = -1, .plain = -1};
    return l->build.status;
}

/* ---- The walk. */

static void mark_needed(crumb_lowering *l) {
    const crumb_graph *graph = l->graph;
    bool *reads = l->done; /* nothing is done yet: node i's output is read by a needed node */
    for (int i = graph->nodes - 1; i >= 0; i--) {
        const crumb_node *node = &graph->node[i];
        l->needed[i] = reads[i] || node->output == graph->logits;
        for (int k = 0; k < node->inputs && l->needed[i]; k++) {
            int maker = graph->value[node->input[k]].node;
            if (maker >= 0) {
                reads[maker] = true;
            }
        }
    }
    memset(l->done, 0, (size_t)graph->nodes * sizeof(*l->done));
}

static bool is_weight_site(const crumb_graph *graph, int node) {
    const crumb_quant *site = crumb_node_site(graph, node);
    return site != NULL && site->weight;
}

static crumb_status lower_nodes(crumb_lowering *l) {
    for (int i = 0; i < l->graph->nodes; i++) {
        if (!l->needed[i] || l->done[i] || is_weight_site(l->graph, i)) {
            continue;
        }
        crumb_lower_op lower = crumb_lower_find(l->graph->node[i].op);
        if (lower == NULL) {
            return crumb_lower_fail(l, i, "the op has no packed form");
        }
        CRUMB_TRY(lower(l, i));
    }
    return crumb_lower_value(l, l->graph->value[l->graph->logits].node, l->graph->logits, true, &l->build.packed.logits);
}

static crumb_status make_room(crumb_lowering *l) {
    const crumb_graph *graph = l->graph;
    l->form = crumb_alloc(l->ctx, (size_t)graph->values + 1, sizeof(*l->form));
    l->needed = crumb_alloc(l->ctx, (size_t)graph->nodes + 1, sizeof(*l->needed));
    l->done = crumb_alloc(l->ctx, (size_t)graph->nodes + 1, sizeof(*l->done));
    l->source = crumb_alloc(l->ctx, (size_t)graph->nodes + 1, sizeof(*l->source));
    if (l->form == NULL || l->needed == NULL || l->done == NULL || l->source == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int i = 0; i < graph->values; i++) {
        l->form[i] = (crumb_form){.real = -1, .codes = -1, .plain = -1};
    }
    l->form[graph->image].real = 0;
    return l->build.status;
}

static crumb_status lower_all(crumb_lowering *l) {
    if (l->graph->logits < 0 || l->graph->value[l->graph->logits].node < 0) {
        return crumb_fail(l->ctx, CRUMB_ERROR_UNSUPPORTED, "a graph without logits cannot be packed");
    }
    crumb_shape image = l->graph->value[l->graph->image].shape;
    if (image.rank != 4 || image.dim[0] != 1) {
        char text[CRUMB_SHAPE_TEXT];
        return crumb_fail(l->ctx, CRUMB_ERROR_UNSUPPORTED, "an input of %s cannot be packed: it is not one image",
                          crumb_shape_print(image, text));
    }
    CRUMB_TRY(make_room(l));
    mark_needed(l);
    CRUMB_TRY(crumb_lower_plan_quantizers(l));
    return lower_nodes(l);
}

/* ---- Facts beside the graph. */

/* class_names as an array, if there is one a class; both are crumb_free'd by the caller. */
static crumb_status split_names(crumb_ctx *ctx, const char *text, int32_t classes, char **copy, const char ***name) {
    int32_t lines = text != NULL;
    for (const char *at = text; at != NULL && *at != '\0'; at++) {
        lines += *at == '\n';
    }
    if (lines != classes) {
        return CRUMB_OK;
    }
    *copy = crumb_copy_text(ctx, text);
    *name = crumb_alloc(ctx, (size_t)classes, sizeof(**name));
    if (*copy == NULL || *name == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    char *at = *copy;
    for (int32_t i = 0; i < classes; i++) {
        (*name)[i] = at;
        at += strcspn(at, "\n");
        if (i + 1 < classes) {
            *at++ = '\0';
        }
    }
    return CRUMB_OK;
}

static void set_facts(crumb_packed *packed, const crumb_graph *graph, const crumb_lower_facts *facts) {
    int64_t channels = crumb_shape_last(graph->value[graph->image].shape);
    for (int64_t c = 0; c < channels && c < CRUMB_PACKED_PIXEL_MAX; c++) {
        packed->mean[c] = facts->mean[c];
        packed->deviation[c] = facts->deviation[c];
    }
    packed->model = facts->model;
    packed->classes = graph->logits >= 0 ? (int32_t)crumb_shape_last(graph->value[graph->logits].shape) : 0;
}

crumb_status crumb_lower(crumb_graph *graph, const crumb_lower_facts *facts, crumb_packed **packed) {
    crumb_lowering l = {.ctx = graph->ctx, .graph = graph};
    crumb_shape image = graph->value[graph->image].shape;
    char *names = NULL;
    crumb_build_begin(&l.build, l.ctx, (int32_t)image.dim[1], (int32_t)image.dim[2], (int32_t)image.dim[3]);
    set_facts(&l.build.packed, graph, facts);
    crumb_status status = split_names(l.ctx, facts->class_names, l.build.packed.classes, &names, &l.build.packed.class_name);
    const char **name = l.build.packed.class_name;
    if (status == CRUMB_OK) {
        status = lower_all(&l);
    }
    l.build.status = status;
    status = crumb_build_end(&l.build, packed);
    crumb_free(l.ctx, names);
    crumb_free(l.ctx, name);
    crumb_free(l.ctx, l.form);
    crumb_free(l.ctx, l.needed);
    crumb_free(l.ctx, l.done);
    crumb_free(l.ctx, l.source);
    return status == CRUMB_ERROR_FORMAT ? CRUMB_ERROR_UNSUPPORTED : status; /* the packed form has no room for it */
}
