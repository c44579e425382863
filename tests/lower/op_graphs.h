/* A graph of one op for each case of op_case_list.h, on reals and on codes, and the packed network of it. */
#ifndef CRUMB_OP_GRAPHS_H
#define CRUMB_OP_GRAPHS_H

#include "harness.h"

#include "base/rng.h"
#include "lower/lower.h"
#include "ops/op_case_list.h"

enum { OUTPUTS = 3 };

/* Losses: no network computes one when it runs. */
static inline bool is_loss(const crumb_op *op) {
    return op->backward == NULL || strcmp(op->name, "distillation") == 0 || strcmp(op->name, "mean_squared_error") == 0 ||
           strcmp(op->name, "softmax_cross_entropy") == 0;
}

static inline void check(crumb_ctx *ctx, crumb_status status) {
    if (status != CRUMB_OK) {
        fail_msg("%s", crumb_message(ctx));
    }
}

/* One image: windows go over height and width. */
static inline crumb_shape single(crumb_shape shape) {
    if (shape.rank == 4 || shape.rank == 2) {
        shape.dim[0] = 1;
    }
    return shape;
}

static inline crumb_reshape_params to_shape(crumb_shape shape) {
    crumb_reshape_params p = {.shape.count = shape.rank};
    for (int i = 0; i < shape.rank; i++) {
        p.shape.at[i] = (double)shape.dim[i];
    }
    return p;
}

/* A site of the quantizer `fixed`: signed codes for weights, unsigned ones around `zero` for activations. */
static inline int quantized(crumb_graph *graph, const char *name, int x, int bits, bool weight, float step, float zero) {
    crumb_quant site = {.quantizer = &crumb_quantizer_fixed, .bits = bits, .weight = weight};
    crumb_quant_fit(&site, graph->value[x].shape);
    int input[3] = {x}, y;
    char text[CRUMB_NAME_MAX];
    snprintf(text, sizeof(text), "%s.step", name);
    check(graph->ctx, crumb_graph_state(graph, text, CRUMB_SHAPE(weight ? site.channels : 1), step, &input[1]));
    snprintf(text, sizeof(text), "%s.zero", name);
    check(graph->ctx, crumb_graph_state(graph, text, CRUMB_SHAPE(1), zero, &input[2]));
    check(graph->ctx, crumb_graph_node(graph, name, &crumb_op_quantize, &site, 3, input, &y));
    return y;
}

/* The next part of the image, under the shape. */
static inline int part_of_image(crumb_graph *graph, crumb_shape shape, int64_t *taken) {
    int64_t count = crumb_shape_count(shape);
    crumb_slice_params cut = {
        .start = {4, {0, (double)*taken, 0, 0}}, .stop = {4, {0, (double)(*taken + count), 0, 0}}, .step = {0}};
    crumb_reshape_params p = to_shape(shape);
    int y;
    check(graph->ctx, crumb_graph_node(graph, "part", &crumb_op_slice, &cut, 1, &graph->image, &y));
    check(graph->ctx, crumb_graph_node(graph, "shape", &crumb_op_reshape, &p, 1, &y, &y));
    *taken += count;
    return y;
}

static inline int parameter(crumb_graph *graph, const test_case *c, int k, crumb_rng *rng) {
    char name[CRUMB_NAME_MAX];
    int y;
    snprintf(name, sizeof(name), "input%d.weight", k);
    check(graph->ctx, crumb_graph_param(graph, name, c->x[k], true, &y));
    for (int64_t i = 0; i < crumb_shape_count(c->x[k]); i++) {
        graph->value[y].data[i] = 0.5f + crumb_rng_uniform(rng) - (c->x[k].rank == 4 ? 1.0f : 0.0f);
    }
    return y;
}

/* image [1, n, 1, 1] -> its parts in the inputs' shapes (quantized) -> op -> logits (or a layer of quantized weights).
 * constant: the second input, where it is as long as the channels, is known beforehand. */
static inline crumb_graph *build(crumb_ctx *ctx, const crumb_op *op, const test_case *c, bool codes) {
    crumb_graph *graph;
    crumb_rng rng = crumb_rng_at(7, 1, 0);
    int64_t elements = 0, taken = 0;
    int input[CRUMB_INPUTS_MAX], y;
    for (int k = 0; k < c->inputs; k++) {
        bool vector = k > 0 && c->x[k].rank == 1 && c->x[0].rank > 1;
        elements += op->roles[k] == CRUMB_DATA && !vector ? crumb_shape_count(single(c->x[k])) : 0;
    }
    check(ctx, crumb_graph_create(ctx, &graph));
    check(ctx, crumb_graph_input(graph, "image", CRUMB_SHAPE(1, elements, 1, 1), &graph->image));
    for (int k = 0; k < c->inputs; k++) {
        bool vector = k > 0 && c->x[k].rank == 1 && c->x[0].rank > 1;
        char name[32];
        snprintf(name, sizeof(name), "input%d", k);
        if (op->roles[k] != CRUMB_DATA || vector) {
            input[k] = parameter(graph, c, k, &rng);
        } else {
            input[k] = part_of_image(graph, single(c->x[k]), &taken);
            input[k] = codes ? quantized(graph, name, input[k], 8, false, 0.02f, 120) : input[k];
        }
    }
    check(ctx, crumb_graph_node(graph, "op", op, c->params, c->inputs, input, &y));
    int64_t made = crumb_shape_count(graph->value[y].shape);
    crumb_reshape_params flat = to_shape(CRUMB_SHAPE(1, made));
    check(ctx, crumb_graph_node(graph, "flat", &crumb_op_reshape, &flat, 1, &y, &y));
    if (codes) {
        crumb_shape shape = CRUMB_SHAPE(OUTPUTS, made);
        int weight;
        check(ctx, crumb_graph_param(graph, "fc.weight", shape, true, &weight));
        for (int64_t i = 0; i < crumb_shape_count(shape); i++) {
            graph->value[weight].data[i] = crumb_rng_normal(&rng);
        }
        weight = quantized(graph, "fc.weight_quant", weight, 4, true, 0.25f, 0);
        check(ctx, crumb_graph_node(graph, "fc", &crumb_op_linear, NULL, 2, (int[]){y, weight}, &y));
    }
    graph->logits = y;
    return graph;
}

static inline void pack(crumb_graph *graph, const test_case *c, crumb_packed **packed) {
    static const float mean[4] = {0}, deviation[4] = {1, 1, 1, 1};
    crumb_lower_facts facts = {.model = c->op, .mean = mean, .deviation = deviation};
    assert_ok(graph->ctx, crumb_lower(graph, &facts, packed));
}

/* `count` images in the case's range. */
static inline float *draw_images(const test_case *c, int64_t elements, int count) {
    float *images = calloc((size_t)(count * elements), sizeof(*images));
    crumb_rng rng = crumb_rng_at(9, 2, 0);
    for (int64_t i = 0; i < count * elements; i++) {
        double second = i % elements >= crumb_shape_count(single(c->x[0])) ? c->shift : 0;
        images[i] = (float)((c->spread > 0 ? c->spread : 1) * (2 * (double)crumb_rng_uniform(&rng) - 1) + second);
    }
    return images;
}

#endif
