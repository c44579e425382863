/* A trained network: what it consists of, and how well it does. */
#include "train/network.h"

#include "train/trainer_parts.h"

#include <string.h>

/* ---- Looking in. */

/* The quantize node that makes a value, NULL if none does. */
static const crumb_quant *site_of(const crumb_graph *graph, int value) {
    int node = graph->value[value].node;
    return node >= 0 ? crumb_node_site(graph, node) : NULL;
}

bool *crumb_network_states(const crumb_graph *graph) {
    bool *own = crumb_alloc(graph->ctx, (size_t)graph->values + 1, sizeof(*own));
    for (int i = 0; own != NULL && i < graph->nodes; i++) {
        for (int k = 1; crumb_node_site(graph, i) != NULL && k < graph->node[i].inputs; k++) {
            own[graph->node[i].input[k]] = true;
        }
    }
    return own;
}

static bool is_stored(const crumb_value *value) {
    return value->kind == CRUMB_VALUE_PARAM || value->kind == CRUMB_VALUE_STATE;
}

static int64_t count_of(const crumb_graph *graph, int value) {
    return crumb_shape_count(graph->value[value].shape);
}

/* True for values that only the trainer needs: a quantizer's state, the number of batches seen. */
static bool is_bookkeeping(const crumb_graph *graph, int value) {
    const char *suffix = ".num_batches_tracked", *name = graph->value[value].name;
    size_t length = strlen(name);
    if (length > strlen(suffix) && strcmp(name + length - strlen(suffix), suffix) == 0) {
        return true;
    }
    for (int i = 0; i < graph->nodes; i++) {
        for (int k = 1; crumb_node_site(graph, i) != NULL && k < graph->node[i].inputs; k++) {
            if (graph->node[i].input[k] == value) {
                return true;
            }
        }
    }
    return false;
}

/* Bytes of the packed network: quantized weights at their bits and their scales, one scale an activation site, the rest as
 * floats. */
static crumb_status packed_bytes(const crumb_graph *graph, int64_t float_bytes, int64_t *bytes) {
    int64_t total = float_bytes;
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_quant *site = crumb_node_site(graph, i);
        if (site == NULL) {
            continue;
        }
        int64_t scales = 1;
        if (site->weight) {
            int64_t count = count_of(graph, graph->node[i].input[0]);
            crumb_codes codes; /* tell how many scales there are */
            CRUMB_TRY(crumb_graph_encode(graph, i, &codes));
            scales = codes.groups;
            crumb_codes_free(graph->ctx, &codes);
            total += (count * site->bits + 7) / 8 - count * (int64_t)sizeof(float);
        }
        total += scales * (int64_t)sizeof(float);
    }
    *bytes = total;
    return CRUMB_OK;
}

void crumb_network_describe(const crumb_network *network, crumb_network_info *info) {
    const crumb_graph *graph = network->graph;
    *info = (crumb_network_info){.model = network->recipe->model.model->name,
                                 .height = network->image.dim[1],
                                 .width = network->image.dim[2],
                                 .channels = network->image.dim[3],
                                 .classes = network->classes,
                                 .flops = crumb_graph_flops(graph)};
    while (crumb_graph_layer(graph, info->layers) >= 0) {
        info->layers++;
    }
    for (int v = 0; v < graph->values; v++) {
        if (is_stored(&graph->value[v]) && !is_bookkeeping(graph, v)) {
            info->parameters += graph->value[v].kind == CRUMB_VALUE_PARAM ? count_of(graph, v) : 0;
            info->float_bytes += count_of(graph, v) * (int64_t)sizeof(float);
        }
    }
    info->packed_bytes = network->packed_bytes;
}

crumb_status crumb_network_measure(crumb_network *network) {
    crumb_network_info info;
    crumb_network_describe(network, &info);
    return packed_bytes(network->graph, info.float_bytes, &network->packed_bytes);
}

bool crumb_network_layer(const crumb_network *network, int index, crumb_layer_info *layer) {
    const crumb_graph *graph = network->graph;
    int at = index >= 0 ? crumb_graph_layer(graph, index) : -1;
    if (at < 0) {
        return false;
    }
    const crumb_node *node = &graph->node[at];
    const crumb_quant *activation = site_of(graph, node->input[0]), *weight = site_of(graph, node->input[1]);
    crumb_shape x[CRUMB_INPUTS_MAX];
    *layer = (crumb_layer_info){.name = node->name, .op = node->op->name, .weight_bits = 32, .activation_bits = 32};
    for (int k = 0; k < node->inputs; k++) {
        x[k] = graph->value[node->input[k]].shape;
        layer->parameters += k > 0 ? crumb_shape_count(x[k]) : 0;
    }
    if (weight != NULL) {
        layer->weight_quantizer = weight->quantizer->name;
        layer->weight_bits = weight->bits;
    }
    if (activation != NULL) {
        layer->activation_quantizer = activation->quantizer->name;
        layer->activation_bits = activation->bits;
    }
    layer->flops =
        node->op->flops != NULL ? node->op->flops(node->params, node->inputs, x, graph->value[node->output].shape) : 0;
    return true;
}

void crumb_network_normalise(crumb_network *network, const float *mean, const float *deviation, int channels) {
    crumb_recipe_data *data = &network->recipe->data;
    data->mean.count = data->deviation.count = channels < 4 ? channels : 4;
    for (int c = 0; c < data->mean.count; c++) {
        data->mean.at[c] = mean[c];
        data->deviation.at[c] = deviation[c];
    }
}

/* ---- Accuracy on a data set. */

static crumb_status check_fit(const crumb_network *network, const crumb_dataset *dataset, crumb_shape image) {
    char have[CRUMB_SHAPE_TEXT], want[CRUMB_SHAPE_TEXT];
    if (!crumb_shape_equal(image, network->image)) {
        return crumb_fail(network->ctx, CRUMB_ERROR_SHAPE, "images are %s, the network takes %s",
                          crumb_shape_print(image, have), crumb_shape_print(network->image, want));
    }
    if (dataset->info.classes > network->classes) {
        return crumb_fail(network->ctx, CRUMB_ERROR_SHAPE, "the data set has %d classes, the network %d", dataset->info.classes,
                          network->classes);
    }
    return CRUMB_OK;
}

crumb_status crumb_network_feed(const crumb_network *network, crumb_dataset *dataset, bool augment, crumb_feed_options options,
                                crumb_feed **feed) {
    if (augment) {
        options.augments = network->recipe->augments;
        memcpy(options.augment, network->recipe->augment, sizeof(options.augment));
    } else {
        options.augments = crumb_source_still(network->recipe, options.augment);
    }
    CRUMB_TRY(crumb_source_normalisation(network->recipe, dataset, options.mean, options.deviation));
    CRUMB_TRY(crumb_feed_create(dataset, &options, feed));
    crumb_status status = check_fit(network, dataset, crumb_source_image(*feed));
    if (status != CRUMB_OK) {
        crumb_feed_destroy(*feed);
        *feed = NULL;
    }
    return status;
}

crumb_status crumb_evaluate(crumb_network *network, crumb_dataset *dataset, const crumb_evaluate_options *given,
                            crumb_evaluation *evaluation) {
    crumb_evaluate_options options = given != NULL ? *given : (crumb_evaluate_options){0};
    int64_t all = dataset->info.count, total = options.limit > 0 && options.limit < all ? options.limit : all;
    int64_t batch = options.batch > 0 ? options.batch : 250;
    crumb_exec_options plan = {.batch = batch < all ? batch : all};
    crumb_feed *feed = NULL;
    crumb_exec *exec = NULL;
    crumb_score score = {0};
    double start = crumb_seconds();
    crumb_feed_options wanted = {.batch = plan.batch, .workers = 1};
    crumb_status status = crumb_network_feed(network, dataset, false, wanted, &feed);
    if (status == CRUMB_OK) {
        status = crumb_exec_create(network->graph, &plan, &exec);
    }
    if (status == CRUMB_OK) {
        start = crumb_seconds();
        status = crumb_score_feed(&score, exec, network->graph, -1, feed, total, &options);
    }
    if (status == CRUMB_OK) {
        crumb_score_result(&score, crumb_seconds() - start, evaluation);
    }
    crumb_exec_destroy(exec);
    crumb_feed_destroy(feed);
    return status;
}
