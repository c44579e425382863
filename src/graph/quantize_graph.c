/* Quantization as a rewrite: the float graph is copied node by node, and quantize nodes are put on the edges that enter
 * conv2d and linear layers. No layer knows that it is quantized.
 *
 *     before:  bn -> relu -> conv(x, w)          after:  bn -> relu -> quantize -> conv(x_q, quantize(w))
 *
 * The activation's node is emitted right behind the value it reads, so that batch_norm, add, relu, quantize stay one run of
 * consecutive nodes, which backends fuse; layers that read the same value with the same choice share it.
 *
 * A quantizer with negative levels (sign) behind a rectifier would see one sign only. XNOR-Net's order is batch norm, sign,
 * convolution; so such a layer reads the value in front of the rectifier, and a rectifier that nobody else reads disappears.
 * Between the two, ops that commute with a rectifier (max pooling, flatten, reshape, dropout) are looked through. */
#include "graph/graph.h"

#include "base/param.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

typedef struct layer_choice {
    int node; /* in `from` */
    crumb_quant_choice weights, activations;
} layer_choice;

typedef struct rewrite {
    const crumb_graph *from;
    crumb_graph *to;
    const crumb_quant_policy *policy;
    layer_choice *layer; /* one a conv2d or linear node, in graph order */
    int layers;
    int *map;         /* value of `from` -> value of `to` */
    int *layer_input; /* per layer: value of `to` it reads, -1 = map of its input */
    int *shown;       /* value of `from` -> what readers other than layers see (the quantized value with policy->shortcut) */
} rewrite;

/* ---- Which quantizers a layer gets. */

static crumb_status edge_choice(crumb_ctx *ctx, crumb_edge edge, bool weight, crumb_quant_choice *choice) {
    if (edge == CRUMB_EDGE_FLOAT) {
        choice->quantizer = NULL;
    } else if (edge == CRUMB_EDGE_8BIT && choice->quantizer != NULL) {
        return crumb_quant_choose(ctx, "minmax", weight, 8, choice);
    }
    return CRUMB_OK;
}

/* Scales of groups are for weights that are a matrix, and nothing else would be packed: said here, before training. */
static crumb_status check_group(const rewrite *r, const layer_choice *layer) {
    crumb_quant site = {.quantizer = layer->weights.quantizer, .bits = layer->weights.bits, .weight = true};
    memcpy(site.params, layer->weights.params, sizeof(site.params));
    int64_t group = site.quantizer != NULL && site.quantizer->group != NULL ? site.quantizer->group(&site) : 0;
    if (group == 0 || crumb_graph_layer_is_matrix(r->from, layer->node)) {
        return CRUMB_OK;
    }
    return crumb_fail(r->from->ctx, CRUMB_ERROR_UNSUPPORTED,
                      "%s: scales of groups of %d weights want a linear layer or a kernel of 1 x 1: give it a rule of its own "
                      "(quantize.layers) with group: none",
                      r->from->node[layer->node].name, (int)group);
}

static crumb_status choose(rewrite *r, int nth, layer_choice *layer) {
    const crumb_quant_policy *policy = r->policy;
    crumb_ctx *ctx = r->from->ctx;
    if (r->from->node[layer->node].keep_float) {
        return CRUMB_OK;
    }
    layer->weights = policy->weights;
    layer->activations = policy->activations;
    crumb_edge edges[2] = {nth == 0 ? policy->first : CRUMB_EDGE_SAME, nth == r->layers - 1 ? policy->last : CRUMB_EDGE_SAME};
    for (int i = 0; i < 2; i++) {
        CRUMB_TRY(edge_choice(ctx, edges[i], true, &layer->weights));
        CRUMB_TRY(edge_choice(ctx, edges[i], false, &layer->activations));
    }
    const char *name = r->from->node[layer->node].name;
    for (int i = 0; i < policy->rules; i++) {
        const crumb_quant_rule *rule = &policy->rule[i];
        if (fnmatch(rule->match, name, 0) == 0) {
            layer->weights = rule->set_weights ? rule->weights : layer->weights;
            layer->activations = rule->set_activations ? rule->activations : layer->activations;
        }
    }
    return check_group(r, layer);
}

static crumb_status choose_all(rewrite *r) {
    while (crumb_graph_layer(r->from, r->layers) >= 0) {
        r->layers++;
    }
    r->layer = crumb_alloc(r->from->ctx, (size_t)r->layers + 1, sizeof(*r->layer));
    r->layer_input = crumb_alloc(r->from->ctx, (size_t)r->layers + 1, sizeof(*r->layer_input));
    if (r->layer == NULL || r->layer_input == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int i = 0; i < r->layers; i++) {
        r->layer_input[i] = -1;
        r->layer[i].node = crumb_graph_layer(r->from, i);
        CRUMB_TRY(choose(r, i, &r->layer[i]));
    }
    return CRUMB_OK;
}

/* ---- Rectifiers and signed quantizers. */

static bool is_signed(const crumb_quant_choice *choice) {
    return choice->quantizer != NULL && (choice->quantizer->flags & CRUMB_QUANT_SIGNED) != 0;
}

static const crumb_node *producer(const rewrite *r, int value) {
    int node = r->from->value[value].node;
    return node >= 0 ? &r->from->node[node] : NULL;
}

static bool is_relu(const crumb_node *node) {
    return node != NULL && node->op == &crumb_op_relu;
}

static bool commutes_with_relu(const crumb_node *node) {
    static const char *const names[] = {"max_pool", "flatten", "reshape", "dropout"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(node->op->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int layer_of_node(const rewrite *r, int node) {
    for (int i = 0; i < r->layers; i++) {
        if (r->layer[i].node == node) {
            return i;
        }
    }
    return -1;
}

/* True if everything that reads `value` is in the end a layer with a signed activation quantizer. */
static bool only_signed_readers(const rewrite *r, int value) {
    bool any = false;
    for (int i = 0; i < r->from->nodes; i++) {
        const crumb_node *node = &r->from->node[i];
        for (int k = 0; k < node->inputs; k++) {
            if (node->input[k] != value) {
                continue;
            }
            any = true;
            int layer = layer_of_node(r, i);
            bool fits = layer >= 0 ? k == 0 && is_signed(&r->layer[layer].activations)
                                   : commutes_with_relu(node) && only_signed_readers(r, node->output);
            if (!fits) {
                return false;
            }
        }
    }
    return any && value != r->from->logits;
}

/* ---- Emitting. */

static crumb_status emit_state(rewrite *r, const char *site_name, const crumb_quant_state *row, int64_t count, int *value) {
    char name[CRUMB_NAME_MAX + 64];
    snprintf(name, sizeof(name), "%s.%s", site_name, row->name);
    crumb_shape shape = CRUMB_SHAPE(count);
    if (!row->learned) {
        return crumb_graph_state(r->to, name, shape, row->preset, value);
    }
    CRUMB_TRY(crumb_graph_param(r->to, name, shape, false, value));
    for (int64_t i = 0; i < shape.dim[0]; i++) {
        r->to->value[*value].data[i] = row->preset;
    }
    r->to->value[*value].decay = row->decay;
    return CRUMB_OK;
}

static crumb_status emit_quantize(rewrite *r, const char *layer, bool weight, const crumb_quant_choice *choice, int x, int *y) {
    const crumb_quantizer *quantizer = choice->quantizer;
    crumb_shape shape = r->to->value[x].shape;
    crumb_quant site = {.quantizer = quantizer, .bits = choice->bits, .weight = weight};
    memcpy(site.params, choice->params, sizeof(site.params));
    crumb_quant_fit(&site, shape);
    char name[CRUMB_NAME_MAX + 32];
    snprintf(name, sizeof(name), "%s.%s", layer, weight ? "weight_quant" : "input_quant");
    int input[CRUMB_INPUTS_MAX] = {x};
    int inputs = 1;
    for (const crumb_quant_state *row = quantizer->state; row != NULL && row->name != NULL; row++) {
        int64_t count = crumb_quant_state_count(&site, inputs - 1);
        CRUMB_TRY(emit_state(r, name, row, count, &input[inputs++]));
    }
    return crumb_graph_node(r->to, name, &crumb_op_quantize, &site, inputs, input, y);
}

static bool same_choice(const crumb_quant_choice *a, const crumb_quant_choice *b) {
    return a->quantizer == b->quantizer && a->bits == b->bits && memcmp(a->params, b->params, sizeof(a->params)) == 0;
}

/* Value of `from` that a layer's quantizer reads: its input, or what stands in front of the rectifier there. */
static int quantized_source(const rewrite *r, const layer_choice *layer) {
    int source = r->from->node[layer->node].input[0];
    const crumb_node *maker = producer(r, source);
    return is_signed(&layer->activations) && is_relu(maker) ? maker->input[0] : source;
}

/* Behind a value of `from` that has just been emitted: the quantize nodes of all layers that read it. */
static crumb_status emit_activation_sites(rewrite *r, int value) {
    r->shown[value] = r->map[value];
    for (int i = 0; i < r->layers; i++) {
        const layer_choice *layer = &r->layer[i];
        if (layer->activations.quantizer == NULL || quantized_source(r, layer) != value) {
            continue;
        }
        for (int j = 0; j < i && r->layer_input[i] < 0; j++) {
            if (r->layer_input[j] >= 0 && quantized_source(r, &r->layer[j]) == value &&
                same_choice(&r->layer[j].activations, &layer->activations)) {
                r->layer_input[i] = r->layer_input[j];
            }
        }
        if (r->layer_input[i] < 0) {
            CRUMB_TRY(emit_quantize(r, r->from->node[layer->node].name, false, &layer->activations, r->map[value],
                                    &r->layer_input[i]));
        }
        if (r->policy->shortcut && r->from->node[layer->node].input[0] == value) {
            r->shown[value] = r->layer_input[i];
        }
    }
    return CRUMB_OK;
}

static crumb_status emit_node(rewrite *r, int index) {
    const crumb_node *node = &r->from->node[index];
    int layer = layer_of_node(r, index);
    if (is_relu(node) && only_signed_readers(r, node->output)) {
        r->map[node->output] = r->map[node->input[0]];
        r->shown[node->output] = r->map[node->output];
        return CRUMB_OK;
    }
    int input[CRUMB_INPUTS_MAX];
    for (int k = 0; k < node->inputs; k++) {
        input[k] = layer >= 0 ? r->map[node->input[k]] : r->shown[node->input[k]];
    }
    if (layer >= 0) {
        input[0] = r->layer_input[layer] >= 0 ? r->layer_input[layer] : input[0];
        if (r->layer[layer].weights.quantizer != NULL) {
            CRUMB_TRY(emit_quantize(r, node->name, true, &r->layer[layer].weights, input[1], &input[1]));
        }
    }
    CRUMB_TRY(crumb_graph_node(r->to, node->name, node->op, node->params, node->inputs, input, &r->map[node->output]));
    r->to->node[r->to->nodes - 1].keep_float = node->keep_float;
    return CRUMB_OK;
}

static crumb_status emit_stored(rewrite *r, int index) {
    const crumb_value *value = &r->from->value[index];
    int *to = &r->map[index];
    if (value->kind == CRUMB_VALUE_INPUT) {
        return crumb_graph_input(r->to, value->name, value->shape, to);
    }
    if (value->kind == CRUMB_VALUE_STATE) {
        CRUMB_TRY(crumb_graph_state(r->to, value->name, value->shape, 0, to));
    } else {
        CRUMB_TRY(crumb_graph_param(r->to, value->name, value->shape, false, to));
        r->to->value[*to].decay = value->decay;
        r->to->value[*to].rate = value->rate;
    }
    memcpy(r->to->value[*to].data, value->data, (size_t)crumb_shape_count(value->shape) * sizeof(float));
    return CRUMB_OK;
}

/* Values are numbered in the order of creation, so walking them visits inputs before the nodes that read them. */
static crumb_status emit_all(rewrite *r) {
    for (int i = 0; i < r->from->values; i++) {
        int node = r->from->value[i].node;
        CRUMB_TRY(node >= 0 ? emit_node(r, node) : emit_stored(r, i));
        CRUMB_TRY(emit_activation_sites(r, i));
    }
    r->to->image = r->from->image >= 0 ? r->map[r->from->image] : -1;
    r->to->logits = r->from->logits >= 0 ? r->map[r->from->logits] : -1;
    return CRUMB_OK;
}

/* A network that came with quantizers would get a second one on the same edge. */
static crumb_status check_unquantized(const rewrite *r) {
    const crumb_graph *from = r->from;
    int site = -1, layer = -1;
    for (int i = 0; i < from->nodes && site < 0; i++) {
        site = crumb_node_site(from, i) != NULL ? i : -1;
    }
    for (int i = 0; i < r->layers && layer < 0; i++) {
        bool quantizes = r->layer[i].weights.quantizer != NULL || r->layer[i].activations.quantizer != NULL;
        layer = quantizes ? r->layer[i].node : -1;
    }
    if (site < 0 || layer < 0) {
        return CRUMB_OK;
    }
    return crumb_fail(from->ctx, CRUMB_ERROR_UNSUPPORTED,
                      "%s: the network came quantized (%s, by %s): leave its quantizers as they are (quantize.weights.name and "
                      "quantize.activations.name: none), or begin with the float model",
                      from->node[layer].name, from->node[site].name, crumb_node_site(from, site)->quantizer->name);
}

crumb_status crumb_graph_quantize(const crumb_graph *from, const crumb_quant_policy *policy, crumb_graph **out) {
    crumb_ctx *ctx = from->ctx;
    rewrite r = {.from = from, .policy = policy};
    crumb_status status = crumb_graph_create(ctx, &r.to);
    if (status == CRUMB_OK) {
        r.map = crumb_alloc(ctx, (size_t)from->values + 1, sizeof(*r.map));
        r.shown = crumb_alloc(ctx, (size_t)from->values + 1, sizeof(*r.shown));
        status = r.map != NULL && r.shown != NULL ? choose_all(&r) : CRUMB_ERROR_MEMORY;
    }
    if (status == CRUMB_OK) {
        status = check_unquantized(&r);
    }
    if (status == CRUMB_OK) {
        status = emit_all(&r);
    }
    crumb_free(ctx, r.map);
    crumb_free(ctx, r.shown);
    crumb_free(ctx, r.layer);
    crumb_free(ctx, r.layer_input);
    if (status != CRUMB_OK) {
        crumb_graph_destroy(r.to);
        return status;
    }
    *out = r.to;
    return CRUMB_OK;
}
