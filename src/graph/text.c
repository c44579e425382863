/* A graph as text, a line a value: what a model file keeps of a network that no row of models.inc builds.
 *
 *     crumb graph 1
 *     input image 1x28x28x1
 *     param conv1.weight 8x5x5x1 decay=1 rate=1
 *     node conv1 conv2d 0 1 : stride=1; padding=2; dilation=1; groups=1
 *     node relu1 relu 2 :
 *     logits 3
 *
 * Numbers behind an op are lines above, counted from 0. Values of parameters are not part of it. */
#include "graph/graph.h"

#include "base/param.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char first_line[] = "crumb graph 1";

/* ---- Writing. */

static void print_node(crumb_text *text, const crumb_node *node) {
    char value[1024];
    crumb_text_print(text, "node %s %s", node->name, node->op->name);
    for (int k = 0; k < node->inputs; k++) {
        crumb_text_print(text, " %d", node->input[k]);
    }
    crumb_text_print(text, " :%s", node->keep_float ? " keep_float=true;" : "");
    const crumb_quant *site = node->op == &crumb_op_quantize ? node->params : NULL;
    if (site != NULL) {
        crumb_text_print(text, " quantizer=%s; bits=%d; weight=%d;", site->quantizer->name, site->bits, site->weight);
    }
    const void *params = site != NULL ? (const void *)site->params : node->params;
    for (const crumb_param *param = site != NULL ? site->quantizer->params : node->op->params;
         param != NULL && param->name != NULL; param++) {
        crumb_param_print(param, params, value, sizeof(value));
        crumb_text_print(text, " %s=%s;", param->name, value);
    }
    crumb_text_print(text, "\n");
}

crumb_status crumb_graph_print(const crumb_graph *graph, char **out) {
    crumb_text text = {.ctx = graph->ctx};
    char shape[CRUMB_SHAPE_TEXT];
    crumb_text_print(&text, "%s\n", first_line);
    for (int i = 0; i < graph->values; i++) {
        const crumb_value *value = &graph->value[i];
        if (value->node >= 0) {
            print_node(&text, &graph->node[value->node]);
            continue;
        }
        const char *kind = value->kind == CRUMB_VALUE_INPUT ? "input" : value->kind == CRUMB_VALUE_PARAM ? "param" : "state";
        crumb_text_print(&text, "%s %s %s", kind, value->name, crumb_shape_print(value->shape, shape));
        if (value->kind == CRUMB_VALUE_PARAM) {
            crumb_text_print(&text, " decay=%.9g rate=%.9g", (double)value->decay, (double)value->rate);
        }
        crumb_text_print(&text, "\n");
    }
    crumb_text_print(&text, "logits %d\n", graph->logits);
    return crumb_text_take(&text, out);
}

/* ---- Reading. */

typedef struct reader {
    crumb_graph *graph;
    const char *name; /* of the file */
    char *rest;       /* of the line under way */
    int line;
    int64_t left; /* elements that parameters may still have */
} reader;

static crumb_status bad(const reader *r, const char *what, const char *word) {
    return crumb_fail(r->graph->ctx, CRUMB_ERROR_FORMAT, "%s: line %d of its graph: %s '%.60s'", r->name, r->line, what,
                      word != NULL ? word : "");
}

static char *word_of(reader *r) {
    char *word = strsep(&r->rest, " ");
    return word != NULL && word[0] != '\0' ? word : NULL;
}

static bool read_shape(const char *text, crumb_shape *shape) {
    *shape = (crumb_shape){0};
    for (const char *at = text; strcmp(text, "scalar") != 0;) {
        char *end;
        long long dim = strtoll(at, &end, 10);
        if (end == at || dim < 1 || dim > INT32_MAX || shape->rank == CRUMB_RANK_MAX) {
            return false;
        }
        shape->dim[shape->rank++] = dim;
        if (*end == '\0') {
            break;
        }
        if (*end != 'x') {
            return false;
        }
        at = end + 1;
    }
    return true;
}

static crumb_status read_stored(reader *r, const char *kind) {
    crumb_shape shape;
    int value;
    const char *name = word_of(r), *text = word_of(r);
    if (name == NULL || text == NULL || !read_shape(text, &shape)) {
        return bad(r, "no shape", text);
    }
    for (int i = 0; i < shape.rank; i++) { /* what is left shrinks by each dimension: no product overflows */
        int64_t rest = 1;
        for (int k = 0; k < i; k++) {
            rest *= shape.dim[k];
        }
        if (shape.dim[i] > r->left / rest) {
            return bad(r, "more values than the file can hold:", text);
        }
    }
    if (kind[0] == 'i') {
        CRUMB_TRY(crumb_graph_input(r->graph, name, shape, &value));
        r->graph->image = r->graph->image < 0 ? value : r->graph->image;
        return CRUMB_OK;
    }
    r->left -= crumb_shape_count(shape);
    if (kind[0] == 's') {
        return crumb_graph_state(r->graph, name, shape, 0, &value);
    }
    CRUMB_TRY(crumb_graph_param(r->graph, name, shape, false, &value));
    if (r->rest == NULL ||
        sscanf(r->rest, "decay=%f rate=%f", &r->graph->value[value].decay, &r->graph->value[value].rate) != 2) {
        return bad(r, "no decay and rate", r->rest);
    }
    return CRUMB_OK;
}

/* The key of a quantize node that is none of its quantizer's parameters; false if it is one. */
static bool read_site_key(crumb_quant *site, const char *key, const char *value) {
    if (strcmp(key, "quantizer") == 0) {
        site->quantizer = crumb_quantizer_find(value);
        if (site->quantizer != NULL) {
            crumb_params_preset(site->quantizer->params, site->params);
        }
        return site->quantizer != NULL;
    }
    if (strcmp(key, "bits") == 0 && site->quantizer != NULL) {
        site->bits = atoi(value);
        return site->bits >= site->quantizer->min_bits && site->bits <= site->quantizer->max_bits;
    }
    site->weight = value[0] == '1';
    return strcmp(key, "weight") == 0 && site->quantizer != NULL && (value[0] == '0' || value[0] == '1') && value[1] == '\0';
}

static crumb_status read_params(reader *r, const crumb_op *op, void *params, bool *keep_float) {
    crumb_quant *site = op == &crumb_op_quantize ? params : NULL;
    crumb_ctx *ctx = r->graph->ctx;
    for (char *pair = strsep(&r->rest, ";"); pair != NULL; pair = strsep(&r->rest, ";")) {
        pair += strspn(pair, " ");
        char *value = strchr(pair, '=');
        if (pair[0] == '\0') {
            continue;
        }
        if (value == NULL) {
            return bad(r, "no value in", pair);
        }
        *value++ = '\0';
        const crumb_param *table = site != NULL && site->quantizer != NULL ? site->quantizer->params : op->params;
        const crumb_param *param = crumb_param_find(table, pair);
        if (param == NULL && site != NULL && read_site_key(site, pair, value)) {
            continue;
        }
        if (param == NULL && strcmp(pair, "keep_float") != 0) {
            return bad(r, "unknown parameter", pair);
        }
        *keep_float |= param == NULL;
        crumb_status status =
            param != NULL ? crumb_param_set(ctx, param, site != NULL ? site->params : params, value) : CRUMB_OK;
        if (status != CRUMB_OK) {
            return status == CRUMB_ERROR_MEMORY
                       ? status
                       : crumb_fail_in(ctx, CRUMB_ERROR_FORMAT, "%s: line %d of its graph", r->name, r->line);
        }
    }
    return CRUMB_OK;
}

/* What a quantize node's params do not say: the channels of what it reads. */
static crumb_status finish_site(const reader *r, const crumb_op *op, crumb_quant *site, int inputs, const int *input) {
    if (op != &crumb_op_quantize) {
        return CRUMB_OK;
    }
    unsigned role = site->weight ? CRUMB_QUANT_WEIGHT : CRUMB_QUANT_ACTIVATION;
    if (site->quantizer == NULL || site->bits == 0 || (site->quantizer->flags & role) == 0 || inputs < 1) {
        return bad(r, "no quantizer, bits and role", "");
    }
    crumb_quant_fit(site, r->graph->value[input[0]].shape);
    return CRUMB_OK;
}

static crumb_status read_node(reader *r) {
    _Alignas(16) unsigned char params[2048] = {0};
    const char *name = word_of(r), *op_name = word_of(r);
    const crumb_op *op = op_name == NULL                    ? NULL
                         : strcmp(op_name, "quantize") == 0 ? &crumb_op_quantize
                                                            : crumb_op_find(op_name);
    if (op == NULL || op->params_size > sizeof(params)) {
        return bad(r, "there is no op", op_name);
    }
    int input[CRUMB_INPUTS_MAX], inputs = 0, value;
    for (char *word = word_of(r); word == NULL || strcmp(word, ":") != 0; word = word_of(r)) {
        char *end;
        long index = word != NULL ? strtol(word, &end, 10) : -1;
        if (word == NULL || *end != '\0' || index < 0 || index >= r->graph->values || inputs == CRUMB_INPUTS_MAX) {
            return bad(r, "no line above is", word);
        }
        input[inputs++] = (int)index;
    }
    bool keep_float = false;
    crumb_params_preset(op->params, params);
    CRUMB_TRY(read_params(r, op, params, &keep_float));
    CRUMB_TRY(finish_site(r, op, (crumb_quant *)params, inputs, input));
    crumb_status status = crumb_graph_node(r->graph, name, op, params, inputs, input, &value);
    if (status != CRUMB_OK) {
        return status == CRUMB_ERROR_MEMORY
                   ? status
                   : crumb_fail_in(r->graph->ctx, CRUMB_ERROR_FORMAT, "%s: line %d of its graph", r->name, r->line);
    }
    r->graph->node[r->graph->nodes - 1].keep_float = keep_float;
    return CRUMB_OK;
}

static crumb_status read_logits(reader *r) {
    const char *word = word_of(r);
    char *end = NULL;
    long index = word != NULL ? strtol(word, &end, 10) : -1;
    if (word == NULL || *end != '\0' || index < 0 || index >= r->graph->values || r->graph->value[index].node < 0 ||
        r->graph->value[index].shape.rank != 2) {
        return bad(r, "no line above that gives logits is", word);
    }
    r->graph->logits = (int)index;
    return CRUMB_OK;
}

static crumb_status read_line(reader *r, char *line) {
    r->line++;
    r->rest = line;
    const char *kind = word_of(r);
    if (r->line == 1) {
        return strncmp(line, "crumb", 5) == 0 && r->rest != NULL && strcmp(r->rest, first_line + 6) == 0
                   ? CRUMB_OK
                   : bad(r, "not a graph:", line);
    }
    if (kind == NULL || r->graph->logits >= 0) {
        return kind == NULL ? CRUMB_OK : bad(r, "behind the logits:", kind);
    }
    if (strcmp(kind, "node") == 0) {
        return read_node(r);
    }
    if (strcmp(kind, "logits") == 0) {
        return read_logits(r);
    }
    return strcmp(kind, "input") == 0 || strcmp(kind, "param") == 0 || strcmp(kind, "state") == 0
               ? read_stored(r, kind)
               : bad(r, "unknown word", kind);
}

static crumb_status read_all(reader *r, char *text) {
    for (char *line = strsep(&text, "\n"); line != NULL; line = strsep(&text, "\n")) {
        CRUMB_TRY(read_line(r, line));
    }
    const crumb_graph *graph = r->graph;
    if (graph->logits < 0 || graph->image < 0 || graph->value[graph->image].shape.rank != 4 ||
        graph->value[graph->image].shape.dim[0] != 1 || graph->value[graph->logits].shape.dim[0] != 1) {
        return bad(r, "the graph has no image or no logits", "");
    }
    return CRUMB_OK;
}

crumb_status crumb_graph_parse(crumb_ctx *ctx, const char *name, const char *text, int64_t most, crumb_graph **graph) {
    reader r = {.name = name, .left = most};
    char *copy = crumb_copy_text(ctx, text);
    if (copy == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_status status = crumb_graph_create(ctx, &r.graph);
    if (status == CRUMB_OK) {
        status = read_all(&r, copy);
    }
    crumb_free(ctx, copy);
    if (status != CRUMB_OK) {
        crumb_graph_destroy(r.graph);
        return status;
    }
    *graph = r.graph;
    return CRUMB_OK;
}
