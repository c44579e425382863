/* A multi-layer perceptron: fc1, bn1, relu1, fc2, ... with a linear layer at the end. Any input shape. */
#include "graph/path.h"

#include <stdio.h>

typedef struct mlp_params {
    double width;
    bool batch_norm;
    double dropout;
    crumb_list hidden;
} mlp_params;
_Static_assert(sizeof(mlp_params) <= CRUMB_MODEL_PARAMS_MAX, "an mlp's parameters fit in every model choice");

static const char *numbered(char text[32], const char *word, int number) {
    snprintf(text, 32, "%s%d", word, number);
    return text;
}

static void hidden_layer(crumb_path *path, const mlp_params *params, int number) {
    char name[32];
    int64_t units = (int64_t)params->hidden.at[number - 1];
    crumb_path_linear(path, numbered(name, "fc", number), crumb_path_filters(path, units, 1), !params->batch_norm);
    if (params->batch_norm) {
        crumb_path_batch_norm(path, numbered(name, "bn", number), true);
    }
    crumb_path_relu(path, numbered(name, "relu", number));
    crumb_path_dropout(path, numbered(name, "dropout", number), params->dropout);
}

static crumb_status build(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    const mlp_params *params = given;
    crumb_path path = crumb_path_begin(graph, x, params->width);
    crumb_path_flatten(&path, "flatten");
    for (int i = 0; i < params->hidden.count; i++) {
        if (params->hidden.at[i] != floor(params->hidden.at[i])) {
            return crumb_fail(graph->ctx, CRUMB_ERROR_ARGUMENT, "hidden: %g is not a whole number", params->hidden.at[i]);
        }
        hidden_layer(&path, params, i + 1);
    }
    char name[32];
    crumb_path_linear(&path, numbered(name, "fc", params->hidden.count + 1), classes, true);
    return crumb_path_end(&path, logits);
}

static const crumb_param table[] = {
    CRUMB_MODEL_WIDTH(mlp_params),
    {"batch_norm", CRUMB_PARAM_BOOL, offsetof(mlp_params, batch_norm), "true", 0, 0, NULL,
     "batch norm behind each hidden layer"},
    {"dropout", CRUMB_PARAM_REAL, offsetof(mlp_params, dropout), "0", 0, 0.99, NULL,
     "probability of a zero behind each hidden layer"},
    {"hidden", CRUMB_PARAM_LIST, offsetof(mlp_params, hidden), "[256, 256]", 1, 65536, NULL, "units of each hidden layer"},
    {0},
};

const crumb_model crumb_model_mlp = {
    .name = "mlp",
    .doc = "multi-layer perceptron",
    .height = 28,
    .width = 28,
    .channels = 1,
    .params = table,
    .params_size = sizeof(mlp_params),
    .build = build,
};
