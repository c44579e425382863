/* The object: memory of all values, codes of the weights, folded factors. */
#include "lower/exact.h"

#include "base/threads.h"
#include "lower/exact_parts.h"
#include "lower/lower.h"
#include "ops/params.h"

#include <math.h>
#include <string.h>

static bool is_layer(const crumb_node *node) {
    return node->op == &crumb_op_conv2d || node->op == &crumb_op_linear || node->op == &crumb_op_conv_transpose2d;
}

static bool is_weight_site(const crumb_graph *graph, int node) {
    const crumb_quant *site = crumb_node_site(graph, node);
    return site != NULL && site->weight;
}

static int count_readers(const crumb_graph *graph, int value) {
    int readers = value == graph->logits;
    for (int i = 0; i < graph->nodes; i++) {
        for (int k = 0; k < graph->node[i].inputs; k++) {
            readers += graph->node[i].input[k] == value;
        }
    }
    return readers;
}

/* ---- Weights. */

static crumb_status take_weight(crumb_exact *exact, int index) {
    const crumb_graph *graph = exact->graph;
    exact_weight *weight = &exact->weight[index];
    int maker = graph->value[graph->node[index].input[1]].node;
    if (maker < 0) {
        return CRUMB_OK;
    }
    if (graph->node[index].op == &crumb_op_conv_transpose2d) {
        return crumb_fail(exact->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: its weight is computed", graph->node[index].name);
    }
    crumb_quant_call call = crumb_node_call(graph, maker);
    if (call.site->quantizer->observe != NULL) {
        call.site->quantizer->observe(&call);
    }
    crumb_codes codes;
    CRUMB_TRY(crumb_graph_encode(graph, maker, &codes));
    weight->scale = codes.scale;
    weight->groups = codes.groups;
    weight->size = codes.size;
    weight->levels = codes.levels;
    weight->code = crumb_alloc(exact->ctx, (size_t)codes.count, sizeof(*weight->code));
    for (int64_t i = 0; weight->code != NULL && i < codes.count; i++) {
        weight->code[i] = codes.code[i];
    }
    codes.scale = NULL;
    crumb_codes_free(exact->ctx, &codes);
    return weight->code != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

/* ---- Factors. */

/* The scale of the codes that an activation's quantize node makes. */
static float scale_of(const crumb_graph *graph, int node) {
    float zero = 0, scale = 0;
    int16_t code;
    crumb_quant_call call = crumb_node_call(graph, node);
    crumb_codes codes = {.code = &code, .scale = &scale, .count = 1};
    call.x = &zero;
    call.count = 1;
    call.site->quantizer->encode(&call, &codes);
    return scale;
}

static void start_factors(const exact_step *s) {
    const exact_weight *weight = &s->exact->weight[s->index];
    const crumb_value *bias = s->node->inputs == 3 ? &s->exact->graph->value[s->node->input[2]] : NULL;
    int64_t channels = crumb_shape_last(s->out);
    for (int64_t o = 0; o < channels; o++) {
        bool folds = weight->code != NULL && weight->size == 0;
        double scale_w = folds ? (double)weight->scale[o * weight->groups / channels] : 1;
        double scale_x = folds && s->x->code != NULL ? (double)s->x->scale : 1;
        s->y->multiplier[o] = scale_x * scale_w;
        s->y->bias[o] = bias != NULL ? (double)bias->data[o] : 0;
    }
    s->y->sum = s->y->own_sum;
}

static void fold_factors(const exact_step *s) {
    const crumb_graph *graph = s->exact->graph;
    const int *input = s->node->input;
    bool folds = s->x->sum != NULL && count_readers(graph, input[0]) == 1;
    s->y->sum = folds ? s->x->sum : s->x->real;
    for (int64_t c = 0; c < crumb_shape_last(s->out); c++) {
        double multiplier = folds ? s->x->multiplier[c] : 1, bias = folds ? s->x->bias[c] : 0;
        if (s->node->op != &crumb_op_batch_norm) {
            double v = (double)graph->value[input[1]].data[c];
            bias += s->node->op == &crumb_op_shift || s->node->op == &crumb_op_add ? v : s->node->op == &crumb_op_sub ? -v : 0;
            multiplier = s->node->op == &crumb_op_mul   ? multiplier * v
                         : s->node->op == &crumb_op_div ? multiplier / v
                                                        : multiplier;
            bias = s->node->op == &crumb_op_mul ? bias * v : s->node->op == &crumb_op_div ? bias / v : bias;
        } else {
            double eps = ((const crumb_batch_norm_params *)s->node->params)->eps;
            double gain = (double)graph->value[input[1]].data[c] / sqrt((double)graph->value[input[4]].data[c] + eps);
            multiplier *= gain;
            bias = (bias - (double)graph->value[input[3]].data[c]) * gain + (double)graph->value[input[2]].data[c];
        }
        s->y->multiplier[c] = multiplier;
        s->y->bias[c] = bias;
    }
}

void crumb_exact_settle(const exact_step *s) {
    int64_t channels = crumb_shape_last(s->out);
    for (int64_t i = 0; i < crumb_shape_count(s->out); i++) {
        s->y->real[i] = fmaf(s->y->sum[i], (float)s->y->multiplier[i % channels], (float)s->y->bias[i % channels]);
    }
}

/* ---- Making. */

static exact_step step_of(crumb_exact *exact, int index) {
    const crumb_node *node = &exact->graph->node[index];
    return (exact_step){.exact = exact,
                        .index = index,
                        .node = node,
                        .in = exact->graph->value[node->input[0]].shape,
                        .out = exact->graph->value[node->output].shape,
                        .x = &exact->value[node->input[0]],
                        .y = &exact->value[node->output]};
}

/* Codes stay codes through these. */
static bool keeps_codes(const crumb_op *op) {
    return op == &crumb_op_max_pool || op == &crumb_op_global_max_pool || op == &crumb_op_flatten || op == &crumb_op_dropout ||
           op == &crumb_op_slice || op == &crumb_op_reshape || op == &crumb_op_transpose || op == &crumb_op_expand ||
           op == &crumb_op_resize_nearest;
}

/* And the order of a flattened map through these. */
static bool keeps_map(const crumb_op *op) {
    return op == &crumb_op_quantize || op == &crumb_op_relu || op == &crumb_op_clip || op == &crumb_op_dropout ||
           op == &crumb_op_flatten;
}

static crumb_status make_codes(const exact_step *s) {
    const crumb_op *op = s->node->op;
    bool flattens = op == &crumb_op_flatten && s->in.rank == 4 && s->in.dim[0] == 1;
    if (op == &crumb_op_quantize || (keeps_codes(op) && s->x->code != NULL)) {
        s->y->code = crumb_alloc(s->exact->ctx, (size_t)crumb_shape_count(s->out), sizeof(*s->y->code));
        s->y->scale = op == &crumb_op_quantize ? scale_of(s->exact->graph, s->index) : s->x->scale;
    }
    if (keeps_map(op)) {
        s->y->map_height = flattens ? s->in.dim[1] : s->x->map_height;
        s->y->map_width = flattens ? s->in.dim[2] : s->x->map_width;
    }
    return op != &crumb_op_quantize || s->y->code != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status make_factors(const exact_step *s) {
    size_t channels = (size_t)crumb_shape_last(s->out);
    s->y->multiplier = crumb_alloc(s->exact->ctx, channels, sizeof(*s->y->multiplier));
    s->y->bias = crumb_alloc(s->exact->ctx, channels, sizeof(*s->y->bias));
    if (s->y->multiplier == NULL || s->y->bias == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    if (crumb_lower_is_affine(s->exact->graph, s->index)) {
        fold_factors(s);
        return CRUMB_OK;
    }
    s->y->own_sum = crumb_alloc(s->exact->ctx, (size_t)crumb_shape_count(s->out), sizeof(*s->y->own_sum));
    CRUMB_TRY(s->y->own_sum != NULL ? take_weight(s->exact, s->index) : CRUMB_ERROR_MEMORY);
    start_factors(s);
    return CRUMB_OK;
}

/* Constants among what the op computes with. */
static crumb_status copy_constants(crumb_exact *exact, const crumb_node *node) {
    for (int k = 0; k < node->inputs; k++) {
        const crumb_value *from = &exact->graph->value[node->input[k]];
        float **real = &exact->value[node->input[k]].real;
        if (node->op->roles[k] == CRUMB_DATA && from->data != NULL && *real == NULL) {
            size_t count = (size_t)crumb_shape_count(from->shape);
            *real = crumb_alloc(exact->ctx, count, sizeof(**real));
            if (*real == NULL) {
                return CRUMB_ERROR_MEMORY;
            }
            memcpy(*real, from->data, count * sizeof(**real));
        }
    }
    return CRUMB_OK;
}

static crumb_status make_step(crumb_exact *exact, int index) {
    exact_step s = step_of(exact, index);
    if (crumb_exact_find(s.node->op) == NULL) {
        return crumb_fail(exact->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: op %s has no exact form", s.node->name, s.node->op->name);
    }
    s.y->real = crumb_alloc(exact->ctx, (size_t)crumb_shape_count(s.out), sizeof(*s.y->real));
    if (s.y->real == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(copy_constants(exact, s.node));
    CRUMB_TRY(make_codes(&s));
    return is_layer(s.node) || crumb_lower_is_affine(exact->graph, index) ? make_factors(&s) : CRUMB_OK;
}

static crumb_status make_image(crumb_exact *exact, int64_t *largest) {
    const crumb_graph *graph = exact->graph;
    *largest = crumb_shape_count(graph->value[graph->image].shape);
    for (int i = 0; i < graph->nodes; i++) {
        int64_t count = crumb_shape_count(graph->value[graph->node[i].output].shape);
        *largest = count > *largest ? count : *largest;
    }
    float **image = &exact->value[graph->image].real;
    *image = crumb_alloc(exact->ctx, (size_t)crumb_shape_count(graph->value[graph->image].shape), sizeof(**image));
    return *image != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status make_all(crumb_exact *exact) {
    const crumb_graph *graph = exact->graph;
    int64_t largest;
    exact->value = crumb_alloc(exact->ctx, (size_t)graph->values + 1, sizeof(*exact->value));
    exact->weight = crumb_alloc(exact->ctx, (size_t)graph->nodes + 1, sizeof(*exact->weight));
    if (exact->value == NULL || exact->weight == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(make_image(exact, &largest));
    for (int i = 0; i < graph->nodes; i++) {
        if (!is_weight_site(graph, i)) {
            CRUMB_TRY(make_step(exact, i));
        }
    }
    exact->codes = crumb_alloc(exact->ctx, (size_t)largest, sizeof(*exact->codes));
    return exact->codes != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

crumb_status crumb_exact_create(crumb_graph *graph, crumb_exact **out) {
    crumb_exact *exact = crumb_alloc(graph->ctx, 1, sizeof(*exact));
    if (exact == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    exact->ctx = graph->ctx;
    exact->graph = graph;
    crumb_status status = make_all(exact);
    if (status != CRUMB_OK) {
        crumb_exact_destroy(exact);
        return status;
    }
    *out = exact;
    return CRUMB_OK;
}

void crumb_exact_destroy(crumb_exact *exact) {
    if (exact == NULL) {
        return;
    }
    for (int i = 0; exact->value != NULL && i < exact->graph->values; i++) {
        exact_value *value = &exact->value[i];
        crumb_free(exact->ctx, value->real);
        crumb_free(exact->ctx, value->code);
        crumb_free(exact->ctx, value->own_sum);
        crumb_free(exact->ctx, value->multiplier);
        crumb_free(exact->ctx, value->bias);
    }
    for (int i = 0; exact->weight != NULL && i < exact->graph->nodes; i++) {
        crumb_free(exact->ctx, exact->weight[i].code);
        crumb_free(exact->ctx, exact->weight[i].scale);
    }
    crumb_free(exact->ctx, exact->value);
    crumb_free(exact->ctx, exact->weight);
    crumb_free(exact->ctx, exact->codes);
    crumb_free(exact->ctx, exact);
}

/* ---- Running. */

void crumb_exact_run(crumb_exact *exact, const float *image) {
    const crumb_graph *graph = exact->graph;
    crumb_threads_begin(exact->ctx);
    memcpy(exact->value[graph->image].real, image,
           (size_t)crumb_shape_count(graph->value[graph->image].shape) * sizeof(*image));
    for (int i = 0; i < graph->nodes; i++) {
        if (!is_weight_site(graph, i)) {
            exact_step s = step_of(exact, i);
            crumb_exact_find(s.node->op)(&s);
        }
    }
}

const float *crumb_exact_real(const crumb_exact *exact, int value) {
    return exact->value[value].real;
}

const float *crumb_exact_code(const crumb_exact *exact, int value) {
    return exact->value[value].code;
}
