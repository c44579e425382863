/* The small CIFAR network of the SinReQ experiments (Distiller's simplenet_cifar): 6C5-MP2-16C5-MP2-FC120-FC84-FC10 with biases
 * and without batch norm. 32x32 becomes 28, 14, 10, 5: 16 x 5 x 5 = 400 values enter the first linear layer. */
#include "graph/path.h"

static crumb_status build(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    const crumb_model_plain *params = given;
    crumb_path path = crumb_path_begin(graph, x, params->width);
    crumb_path_conv2d(&path, "conv1", (crumb_conv){.out = crumb_path_filters(&path, 6, 1), .kernel = 5, .bias = true});
    crumb_path_relu(&path, "relu_conv1");
    crumb_path_max_pool(&path, "pool1", 2, 2, 0);
    crumb_path_conv2d(&path, "conv2", (crumb_conv){.out = crumb_path_filters(&path, 16, 1), .kernel = 5, .bias = true});
    crumb_path_relu(&path, "relu_conv2");
    crumb_path_max_pool(&path, "pool2", 2, 2, 0);
    crumb_path_flatten(&path, "flatten");
    crumb_path_linear(&path, "fc1", crumb_path_filters(&path, 120, 1), true);
    crumb_path_relu(&path, "relu_fc1");
    crumb_path_linear(&path, "fc2", crumb_path_filters(&path, 84, 1), true);
    crumb_path_relu(&path, "relu_fc2");
    crumb_path_linear(&path, "fc3", classes, true);
    return crumb_path_end(&path, logits);
}

static const crumb_param table[] = {
    CRUMB_MODEL_WIDTH(crumb_model_plain),
    {0},
};

const crumb_model crumb_model_simplenet_cifar = {
    .name = "simplenet-cifar",
    .doc = "small CIFAR network of the SinReQ experiments: 6C5-MP2-16C5-MP2-FC120-FC84",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = table,
    .params_size = sizeof(crumb_model_plain),
    .build = build,
};
