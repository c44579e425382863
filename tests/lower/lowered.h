/* What tests of lowering share: networks with trained-looking statistics, and a packed network against the trained graph. */
#ifndef CRUMB_TEST_LOWERED_H
#define CRUMB_TEST_LOWERED_H

#include "harness.h"

#include "base/param.h"
#include "base/rng.h"
#include "graph/exec.h"
#include "lower/exact.h"
#include "lower/lower.h"
#include "pack/oracle.h"

static const float lowered_mean[4] = {0.1f, 0.2f, 0.3f, 0.4f}, lowered_deviation[4] = {1, 0.5f, 0.25f, 2};

static inline crumb_status lowered(crumb_graph *graph, crumb_packed **packed) {
    crumb_lower_facts facts = {.model = "test", .mean = lowered_mean, .deviation = lowered_deviation};
    return crumb_lower(graph, &facts, packed);
}

/* As after some training: batch norm's parameters and statistics, biases, slopes and shifts are no longer what they began with.
 */
static inline void lowered_age(crumb_graph *graph, uint64_t seed) {
    for (int v = 0; v < graph->values; v++) {
        crumb_value *value = &graph->value[v];
        crumb_rng rng = crumb_rng_at(seed, 77, (uint64_t)v);
        const char *dot = strrchr(value->name, '.');
        bool quantizer = strstr(value->name, "_quant.") != NULL;
        for (int64_t i = 0; !quantizer && dot != NULL && value->data != NULL && i < crumb_shape_count(value->shape); i++) {
            if (strcmp(dot, ".running_mean") == 0 || strcmp(dot, ".bias") == 0) {
                value->data[i] += 0.3f * crumb_rng_normal(&rng);
            } else if (strcmp(dot, ".running_var") == 0) {
                value->data[i] *= 0.5f + crumb_rng_uniform(&rng);
            } else if (strcmp(dot, ".weight") == 0 && value->shape.rank == 1) {
                value->data[i] = (crumb_rng_below(&rng, 8) == 0 ? -1.0f : 1.0f) * (0.5f + crumb_rng_uniform(&rng));
            }
        }
    }
}

/* A training forward of a batch of noise sets batch norms and activation quantizers as training does. */
static inline void lowered_observe(crumb_graph *graph, uint64_t seed) {
    enum { BATCH = 4 };
    crumb_exec *exec;
    crumb_exec_options options = {.batch = BATCH, .reference = true};
    assert_ok(graph->ctx, crumb_exec_create(graph, &options, &exec));
    crumb_rng rng = crumb_rng_at(seed, 78, 0);
    float *image = crumb_exec_value(exec, graph->image);
    for (int64_t i = 0; i < BATCH * crumb_shape_count(graph->value[graph->image].shape); i++) {
        image[i] = crumb_rng_normal(&rng);
    }
    crumb_exec_forward(exec, true, seed, 0);
    crumb_exec_destroy(exec);
}

/* How a packed network and the simulation differ on one image. */
typedef struct lowered_difference {
    int64_t codes, differing; /* elements that enter layers as codes */
    double logits, largest;   /* largest distance of logits, largest logit */
    int layers;               /* with codes */
} lowered_difference;

/* The layer of the graph that a packed convolution comes from. */
static inline const crumb_node *lowered_layer(const crumb_graph *graph, const char *name) {
    for (int i = 0; crumb_graph_layer(graph, i) >= 0; i++) {
        const crumb_node *node = &graph->node[crumb_graph_layer(graph, i)];
        if (strcmp(node->name, name) == 0) {
            return node;
        }
    }
    fail_msg("no layer %s", name);
    return NULL;
}

/* Element of the graph's value, flattened channel by channel or not, that packed element i of [H, W, C] is. */
static inline int64_t lowered_place(const crumb_packed_value *value, crumb_shape shape, int64_t i) {
    int64_t pixels = (int64_t)value->height * value->width;
    return shape.rank == 2 ? i % value->channels * pixels + i / value->channels : i;
}

/* Codes that enter a layer: bit for bit those of the exact evaluation; counted against the simulation. */
static inline void lowered_compare_codes(const crumb_packed *packed, const crumb_oracle *oracle, const crumb_graph *graph,
                                         const crumb_exact *exact, crumb_exec *exec, const crumb_packed_node *conv,
                                         lowered_difference *difference) {
    const crumb_packed_value *x = &packed->value[conv->input[0]];
    const crumb_node *layer = lowered_layer(graph, conv->name);
    const int32_t *index = crumb_oracle_index(oracle, conv->input[0]);
    const float *code = crumb_exact_code(exact, layer->input[0]);
    const float *simulated = crumb_exec_value(exec, layer->input[0]);
    crumb_shape shape = graph->value[layer->input[0]].shape;
    assert_int_equal(crumb_packed_elements(x), crumb_shape_count(shape));
    if (index == NULL) {
        assert_true(code == NULL || packed->tensor[conv->weight].codes.levels == 0 || crumb_packed_group(packed, conv) > 0);
        return;
    }
    difference->layers++;
    for (int64_t i = 0; i < crumb_packed_elements(x); i++) {
        int64_t at = lowered_place(x, shape, i);
        int32_t here = crumb_packed_code(&x->codes, index[i]);
        if ((float)here != code[at]) {
            fail_msg("%s: element %d is %d, exactly %g", conv->name, (int)i, (int)here, (double)code[at]);
        }
        difference->codes++;
        difference->differing += x->codes.scale * (float)here != simulated[at];
    }
}

/* One image of noise through the oracle, the exact evaluation and the simulation. */
static inline lowered_difference lowered_compare(crumb_graph *graph, const crumb_packed *packed, uint64_t seed) {
    lowered_difference difference = {0};
    crumb_oracle *oracle;
    crumb_exact *exact;
    crumb_exec *exec;
    crumb_exec_options options = {.batch = 1, .keep = true};
    assert_ok(graph->ctx, crumb_oracle_create(packed, &oracle));
    assert_ok(graph->ctx, crumb_exact_create(graph, &exact));
    assert_ok(graph->ctx, crumb_exec_create(graph, &options, &exec));
    crumb_rng rng = crumb_rng_at(seed, 79, 0);
    float *image = crumb_exec_value(exec, graph->image);
    for (int64_t i = 0; i < crumb_packed_elements(&packed->value[0]); i++) {
        image[i] = crumb_rng_normal(&rng);
    }
    crumb_oracle_run(oracle, image);
    crumb_exact_run(exact, image);
    crumb_exec_forward(exec, false, 0, 0);
    for (int32_t i = 0; i < packed->nodes; i++) {
        if (packed->node[i].op == CRUMB_PACKED_CONV2D) {
            lowered_compare_codes(packed, oracle, graph, exact, exec, &packed->node[i], &difference);
        }
    }
    const float *logits = crumb_oracle_real(oracle, packed->logits), *exactly = crumb_exact_real(exact, graph->logits);
    const float *simulated = crumb_exec_value(exec, graph->logits);
    assert_memory_equal(logits, exactly, (size_t)packed->classes * sizeof(*logits));
    for (int32_t i = 0; i < packed->classes; i++) {
        difference.logits = fmax(difference.logits, fabs((double)logits[i] - (double)simulated[i]));
        difference.largest = fmax(difference.largest, fabs((double)simulated[i]));
    }
    crumb_exec_destroy(exec);
    crumb_exact_destroy(exact);
    crumb_oracle_destroy(oracle);
    return difference;
}

#endif
