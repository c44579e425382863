/* LeNet-5 as in Ternary Weight Networks (arXiv 1605.04711): 32C5-MP2-64C5-MP2-512FC-10, convolutions without padding, batch
 * norm behind every hidden layer. 28x28 becomes 24, 12, 8, 4: 64 x 4 x 4 = 1024 values enter the first linear layer. */
#include "graph/path.h"

typedef struct lenet_params {
    double width;
    bool batch_norm;
} lenet_params;

static void normalise(crumb_path *path, const lenet_params *params, const char *bn, const char *relu) {
    if (params->batch_norm) {
        crumb_path_batch_norm(path, bn, true);
    }
    crumb_path_relu(path, relu);
}

static crumb_status build(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    const lenet_params *params = given;
    crumb_path path = crumb_path_begin(graph, x, params->width);
    crumb_conv conv = {.out = crumb_path_filters(&path, 32, 1), .kernel = 5, .bias = !params->batch_norm};
    crumb_path_conv2d(&path, "conv1", conv);
    normalise(&path, params, "bn1", "relu1");
    crumb_path_max_pool(&path, "pool1", 2, 2, 0);
    conv.out = crumb_path_filters(&path, 64, 1);
    crumb_path_conv2d(&path, "conv2", conv);
    normalise(&path, params, "bn2", "relu2");
    crumb_path_max_pool(&path, "pool2", 2, 2, 0);
    crumb_path_flatten(&path, "flatten");
    crumb_path_linear(&path, "fc1", crumb_path_filters(&path, 512, 1), !params->batch_norm);
    normalise(&path, params, "bn3", "relu3");
    crumb_path_linear(&path, "fc2", classes, true);
    return crumb_path_end(&path, logits);
}

static const crumb_param table[] = {
    CRUMB_MODEL_WIDTH(lenet_params),
    {"batch_norm", CRUMB_PARAM_BOOL, offsetof(lenet_params, batch_norm), "true", 0, 0, NULL,
     "batch norm behind each hidden layer"},
    {0},
};

const crumb_model crumb_model_lenet5 = {
    .name = "lenet5",
    .doc = "LeNet-5 of TWN: 32C5-MP2-64C5-MP2-512FC",
    .height = 28,
    .width = 28,
    .channels = 1,
    .params = table,
    .params_size = sizeof(lenet_params),
    .build = build,
};
