/* AlexNet with batch norm as in SQ (arXiv 1708.01001):
 * 96C11s4p2-MP3s2-256C5p2(g2)-MP3s2-384C3-384C3(g2)-256C3(g2)-MP3s2-4096-4096, batch norm behind each layer but the last,
 * dropout behind the two large linear layers. 224x224 becomes 55, 27, 13, 6. */
#include "graph/path.h"

typedef struct alexnet_params {
    double width, dropout;
} alexnet_params;

/* Even numbers of filters everywhere: two groups read them. */
static void conv_layer(crumb_path *path, crumb_conv conv) {
    conv.out = crumb_path_filters(path, conv.out, 2);
    crumb_path_conv2d(path, NULL, conv);
    crumb_path_batch_norm(path, NULL, true);
    crumb_path_relu(path, NULL);
}

static crumb_status build(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    const alexnet_params *params = given;
    crumb_path path = crumb_path_begin(graph, x, params->width);
    crumb_path features = crumb_path_enter(&path, "features");
    conv_layer(&features, (crumb_conv){.out = 96, .kernel = 11, .stride = 4, .padding = 2});
    crumb_path_max_pool(&features, NULL, 3, 2, 0);
    conv_layer(&features, (crumb_conv){.out = 256, .kernel = 5, .padding = 2, .groups = 2});
    crumb_path_max_pool(&features, NULL, 3, 2, 0);
    conv_layer(&features, (crumb_conv){.out = 384, .kernel = 3, .padding = 1});
    conv_layer(&features, (crumb_conv){.out = 384, .kernel = 3, .padding = 1, .groups = 2});
    conv_layer(&features, (crumb_conv){.out = 256, .kernel = 3, .padding = 1, .groups = 2});
    crumb_path_max_pool(&features, NULL, 3, 2, 0);
    crumb_path_leave(&path, &features);
    crumb_path_flatten(&path, "flatten");
    crumb_path classifier = crumb_path_enter(&path, "classifier");
    for (int i = 0; i < 2; i++) {
        crumb_path_linear(&classifier, NULL, crumb_path_filters(&classifier, 4096, 1), false);
        crumb_path_batch_norm(&classifier, NULL, true);
        crumb_path_relu(&classifier, NULL);
        crumb_path_dropout(&classifier, NULL, params->dropout);
    }
    crumb_path_linear(&classifier, NULL, classes, true);
    return crumb_path_end(&classifier, logits);
}

static const crumb_param table[] = {
    CRUMB_MODEL_WIDTH(alexnet_params),
    {"dropout", CRUMB_PARAM_REAL, offsetof(alexnet_params, dropout), "0.5", 0, 0.99, NULL,
     "probability of a zero behind each hidden linear layer"},
    {0},
};

const crumb_model crumb_model_alexnet_bn = {
    .name = "alexnet-bn",
    .doc = "AlexNet with batch norm, as in SQ",
    .height = 224,
    .width = 224,
    .channels = 3,
    .params = table,
    .params_size = sizeof(alexnet_params),
    .build = build,
};
