/* First values of a network's parameters, each tensor from its own random stream (seed, name): adding a layer leaves the others as
 * they were.
 *
 *   conv2d  weight: normal, standard deviation sqrt(2 / (O KH KW)) (He et al. 2015, fan out: keeps the backward variance)
 *   linear  weight, and every bias: uniform in +-1 / sqrt(fan in), PyTorch's default
 *   batch norm: weight 1, bias 0;  PReLU: slope 0.25;  shift: 0 */
#include "graph/graph.h"

#include <string.h>

/* FNV-1a: a name's stream number. */
static uint64_t hash_name(const char *name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    }
    return hash;
}

static void fill(crumb_value *value, float constant) {
    for (int64_t i = 0; i < crumb_shape_count(value->shape); i++) {
        value->data[i] = constant;
    }
}

static void draw_normal(crumb_value *value, crumb_rng rng, float deviation) {
    for (int64_t i = 0; i < crumb_shape_count(value->shape); i++) {
        value->data[i] = deviation * crumb_rng_normal(&rng);
    }
}

static void draw_uniform(crumb_value *value, crumb_rng rng, float bound) {
    for (int64_t i = 0; i < crumb_shape_count(value->shape); i++) {
        value->data[i] = bound * (2.0f * crumb_rng_uniform(&rng) - 1.0f);
    }
}

static void initialise_input(crumb_graph *graph, const crumb_node *node, int input, uint64_t seed) {
    crumb_value *value = &graph->value[node->input[input]];
    if (value->kind != CRUMB_VALUE_PARAM) {
        return;
    }
    crumb_rng rng = crumb_rng_at(seed, hash_name(value->name), 0);
    crumb_shape weight = graph->value[node->input[1]].shape;
    float fan_in = (float)(crumb_shape_count(weight) / (weight.rank > 0 ? weight.dim[0] : 1));
    if (node->op == &crumb_op_conv2d && input == 1) {
        draw_normal(value, rng, sqrtf(2.0f / (float)(weight.dim[0] * weight.dim[1] * weight.dim[2])));
    } else if (node->op == &crumb_op_conv2d || node->op == &crumb_op_linear) {
        draw_uniform(value, rng, 1.0f / sqrtf(fan_in));
    } else if (node->op == &crumb_op_batch_norm) {
        fill(value, input == 1 ? 1.0f : 0.0f);
    } else if (strcmp(node->op->name, "prelu") == 0) {
        fill(value, 0.25f);
    }
}

void crumb_graph_initialise(crumb_graph *graph, uint64_t seed) {
    for (int i = 0; i < graph->nodes; i++) {
        for (int k = 1; k < graph->node[i].inputs; k++) {
            initialise_input(graph, &graph->node[i], k, seed);
        }
    }
}
