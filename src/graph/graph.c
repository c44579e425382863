/* Building a graph: values, nodes, memory of parameters; looking up, copying, counting. */
#include "graph/graph.h"

#include "base/param.h"
#include "ops/params.h"

#include <stdio.h>
#include <string.h>

crumb_status crumb_graph_create(crumb_ctx *ctx, crumb_graph **out) {
    crumb_graph *graph = crumb_alloc(ctx, 1, sizeof(*graph));
    if (graph == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    graph->ctx = ctx;
    graph->image = -1;
    graph->logits = -1;
    *out = graph;
    return CRUMB_OK;
}

void crumb_graph_destroy(crumb_graph *graph) {
    if (graph == NULL) {
        return;
    }
    for (int i = 0; i < graph->values; i++) {
        crumb_free(graph->ctx, graph->value[i].data);
    }
    for (int i = 0; i < graph->nodes; i++) {
        crumb_free(graph->ctx, graph->node[i].params);
    }
    crumb_free(graph->ctx, graph->value);
    crumb_free(graph->ctx, graph->node);
    crumb_free(graph->ctx, graph);
}

static crumb_status check_name(crumb_graph *graph, const char *name) {
    if (strlen(name) >= CRUMB_NAME_MAX) {
        return crumb_fail(graph->ctx, CRUMB_ERROR_ARGUMENT, "name of %zu bytes is longer than %d: %.40s...", strlen(name),
                          CRUMB_NAME_MAX - 1, name);
    }
    return CRUMB_OK;
}

/* Room for one more value and one more node: whoever appends both cannot fail between the two. */
static crumb_status make_room(crumb_graph *graph) {
    if (graph->values == graph->value_room) {
        int room = graph->value_room * 2 + 64;
        crumb_value *value = crumb_resize(graph->ctx, graph->value, (size_t)graph->values, (size_t)room, sizeof(*value));
        if (value == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        graph->value = value;
        graph->value_room = room;
    }
    if (graph->nodes == graph->node_room) {
        int room = graph->node_room * 2 + 32;
        crumb_node *node = crumb_resize(graph->ctx, graph->node, (size_t)graph->nodes, (size_t)room, sizeof(*node));
        if (node == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        graph->node = node;
        graph->node_room = room;
    }
    return CRUMB_OK;
}

static int append_value(crumb_graph *graph, const char *name, crumb_value_kind kind, crumb_shape shape) {
    crumb_value *value = &graph->value[graph->values];
    *value = (crumb_value){.kind = kind, .shape = shape, .node = -1, .rate = 1.0f};
    snprintf(value->name, sizeof(value->name), "%s", name);
    return graph->values++;
}

crumb_status crumb_graph_input(crumb_graph *graph, const char *name, crumb_shape shape, int *value) {
    CRUMB_TRY(check_name(graph, name));
    CRUMB_TRY(make_room(graph));
    *value = append_value(graph, name, CRUMB_VALUE_INPUT, shape);
    return CRUMB_OK;
}

static crumb_status add_stored(crumb_graph *graph, const char *name, crumb_value_kind kind, crumb_shape shape, int *value) {
    CRUMB_TRY(check_name(graph, name));
    if (crumb_graph_find(graph, name) >= 0) {
        return crumb_fail(graph->ctx, CRUMB_ERROR_ARGUMENT, "%s: there is already a tensor of that name", name);
    }
    CRUMB_TRY(make_room(graph));
    float *data = crumb_alloc(graph->ctx, (size_t)crumb_shape_count(shape), sizeof(float));
    if (data == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    *value = append_value(graph, name, kind, shape);
    graph->value[*value].data = data;
    return CRUMB_OK;
}

crumb_status crumb_graph_param(crumb_graph *graph, const char *name, crumb_shape shape, bool decay, int *value) {
    CRUMB_TRY(add_stored(graph, name, CRUMB_VALUE_PARAM, shape, value));
    graph->value[*value].decay = decay ? 1.0f : 0.0f;
    return CRUMB_OK;
}

crumb_status crumb_graph_state(crumb_graph *graph, const char *name, crumb_shape shape, float fill, int *value) {
    CRUMB_TRY(add_stored(graph, name, CRUMB_VALUE_STATE, shape, value));
    for (int64_t i = 0; i < crumb_shape_count(shape); i++) {
        graph->value[*value].data[i] = fill;
    }
    return CRUMB_OK;
}

/* At most 2^40 values: what is more is a mistake, and later products of sizes cannot overflow. */
static bool is_sane(crumb_shape shape) {
    int64_t left = INT64_C(1) << 40;
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] < 1 || shape.dim[i] > left) {
            return false;
        }
        left /= shape.dim[i];
    }
    return true;
}

crumb_status crumb_graph_node(crumb_graph *graph, const char *name, const crumb_op *op, const void *params, int inputs,
                              const int *input, int *value) {
    CRUMB_TRY(check_name(graph, name));
    if (inputs < op->min_inputs || inputs > op->max_inputs || inputs > CRUMB_INPUTS_MAX) {
        return crumb_fail(graph->ctx, CRUMB_ERROR_ARGUMENT, "%s: %s takes %d to %d inputs, got %d", name, op->name,
                          op->min_inputs, op->max_inputs, inputs);
    }
    crumb_shape x[CRUMB_INPUTS_MAX];
    for (int i = 0; i < inputs; i++) {
        if (input[i] < 0 || input[i] >= graph->values) {
            return crumb_fail(graph->ctx, CRUMB_ERROR_ARGUMENT, "%s: input %d is value %d of %d", name, i, input[i],
                              graph->values);
        }
        x[i] = graph->value[input[i]].shape;
    }
    CRUMB_TRY(make_room(graph));
    void *copy = crumb_alloc(graph->ctx, op->params_size + 1, 1); /* never of size 0 */
    if (copy == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    if (params != NULL) {
        memcpy(copy, params, op->params_size);
    } else {
        crumb_params_preset(op->params, copy);
    }
    crumb_op_plan plan = {0};
    crumb_status status = crumb_op_infer(graph->ctx, op, copy, inputs, x, &plan);
    if (status == CRUMB_OK && !is_sane(plan.output)) {
        status = crumb_fail(graph->ctx, CRUMB_ERROR_SHAPE, "its output has more than 2^40 values, or none");
    }
    if (status != CRUMB_OK) {
        crumb_free(graph->ctx, copy);
        return status == CRUMB_ERROR_MEMORY ? status : crumb_fail_in(graph->ctx, status, "%s", name);
    }
    crumb_node *node = &graph->node[graph->nodes];
    *node = (crumb_node){.op = op, .params = copy, .inputs = inputs};
    snprintf(node->name, sizeof(node->name), "%s", name);
    memcpy(node->input, input, (size_t)inputs * sizeof(*input));
    node->output = append_value(graph, name, CRUMB_VALUE_NODE, plan.output);
    graph->value[node->output].node = graph->nodes++;
    *value = node->output;
    return CRUMB_OK;
}

int crumb_graph_find(const crumb_graph *graph, const char *name) {
    for (int i = 0; i < graph->values; i++) {
        const crumb_value *value = &graph->value[i];
        if ((value->kind == CRUMB_VALUE_PARAM || value->kind == CRUMB_VALUE_STATE) && strcmp(value->name, name) == 0) {
            return i;
        }
    }
    return -1;
}

crumb_quant *crumb_node_site(const crumb_graph *graph, int node) {
    return graph->node[node].op == &crumb_op_quantize ? graph->node[node].params : NULL;
}

crumb_quant_call crumb_node_call(const crumb_graph *graph, int index) {
    const crumb_node *node = &graph->node[index];
    crumb_op_call op = {.params = node->params, .inputs = node->inputs};
    for (int k = 0; k < node->inputs; k++) {
        const crumb_value *value = &graph->value[node->input[k]];
        op.x[k] = (crumb_tensor){value->shape, value->data};
    }
    crumb_quant_call call;
    crumb_quant_call_of(&op, &call);
    return call;
}

/* A quantizer's state means something only to the same quantizer at the same bits. */
static bool same_site(const crumb_graph *a, int node_a, const crumb_graph *b, int node_b) {
    const crumb_quant *p = crumb_node_site(a, node_a), *q = crumb_node_site(b, node_b);
    return p->quantizer == q->quantizer && p->bits == q->bits;
}

static int find_site(const crumb_graph *graph, const char *name) {
    for (int i = 0; i < graph->nodes; i++) {
        if (crumb_node_site(graph, i) != NULL && strcmp(graph->node[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

/* The quantize node that holds value as its state, -1 if none. */
static int site_of_state(const crumb_graph *graph, int value) {
    for (int i = 0; i < graph->nodes; i++) {
        for (int k = 1; crumb_node_site(graph, i) != NULL && k < graph->node[i].inputs; k++) {
            if (graph->node[i].input[k] == value) {
                return i;
            }
        }
    }
    return -1;
}

void crumb_graph_copy(crumb_graph *to, const crumb_graph *from, int *copied) {
    int count = 0;
    for (int i = 0; i < to->values; i++) {
        crumb_value *value = &to->value[i];
        if (value->kind != CRUMB_VALUE_PARAM && value->kind != CRUMB_VALUE_STATE) {
            continue;
        }
        int other = crumb_graph_find(from, value->name);
        if (other < 0 || !crumb_shape_equal(from->value[other].shape, value->shape)) {
            continue;
        }
        int site = site_of_state(to, i);
        if (site >= 0) {
            int other_site = find_site(from, to->node[site].name);
            if (other_site < 0 || !same_site(to, site, from, other_site)) {
                continue;
            }
        }
        memcpy(value->data, from->value[other].data, (size_t)crumb_shape_count(value->shape) * sizeof(float));
        count++;
    }
    if (copied != NULL) {
        *copied = count;
    }
}

int64_t crumb_graph_parameters(const crumb_graph *graph) {
    int64_t count = 0;
    for (int i = 0; i < graph->values; i++) {
        if (graph->value[i].kind == CRUMB_VALUE_PARAM) {
            count += crumb_shape_count(graph->value[i].shape);
        }
    }
    return count;
}

double crumb_graph_flops(const crumb_graph *graph) {
    double flops = 0;
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_node *node = &graph->node[i];
        crumb_shape x[CRUMB_INPUTS_MAX];
        for (int k = 0; k < node->inputs; k++) {
            x[k] = graph->value[node->input[k]].shape;
        }
        if (node->op->flops != NULL) {
            flops += node->op->flops(node->params, node->inputs, x, graph->value[node->output].shape);
        }
    }
    return flops;
}

int crumb_graph_layer(const crumb_graph *graph, int nth) {
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_op *op = graph->node[i].op;
        if ((op == &crumb_op_conv2d || op == &crumb_op_linear) && nth-- == 0) {
            return i;
        }
    }
    return -1;
}

bool crumb_graph_layer_is_matrix(const crumb_graph *graph, int layer) {
    const crumb_node *node = &graph->node[layer];
    crumb_shape weight = graph->value[node->input[1]].shape;
    return node->op != &crumb_op_conv2d ||
           (weight.dim[1] == 1 && weight.dim[2] == 1 && ((const crumb_conv2d_params *)node->params)->groups == 1);
}
