/* Stacks of 3x3 convolutions with batch norm, numbered as in PyTorch (features.N, classifier.N):
 *
 *   vgg7      TWN (arXiv 1605.04711): 2x128C3-MP2-2x256C3-MP2-2x512C3-MP2-1024FC-10
 *   vgg9      SQ (arXiv 1708.01001): [64C3]x2-MP2-[128C3]x2-MP2-[256C3]x2-MP2-512FC-512FC-10, dropout behind each pool and FC
 *   vgg11     VGG-A for CIFAR (arXiv 1409.1556): 64-MP2-128-MP2-256,256-MP2-512,512-MP2-512,512-MP2 and one linear layer
 *   svhn-net  SinReQ (arXiv 1905.01416): 32,32-MP2-64,64-MP2-128,128-MP2-256 (not padded)-MP2 and one linear layer; batch norm
 *             without weight and bias, dropout behind each convolution
 *
 * In vgg7 and vgg9 a layer in front of batch norm has no bias; vgg11 and svhn-net keep theirs, as published weights have them.
 */
#include "graph/path.h"

#include <stdlib.h>

enum { POOL = 0, END = INT32_MIN }; /* among numbers of filters; a negative number: a convolution without padding */

typedef struct vgg {
    const int *features;
    bool bias, affine;             /* of the convolutions, of batch norm */
    bool drops_convs, drops_pools; /* whether the network has dropout there (of probability 0, it still takes a number) */
    double dropout;
} vgg;

static void conv_layer(crumb_path *path, const vgg *net, int filters) {
    crumb_conv conv = {
        .out = crumb_path_filters(path, abs(filters), 1), .kernel = 3, .padding = filters > 0, .bias = net->bias};
    crumb_path_conv2d(path, NULL, conv);
    crumb_path_batch_norm(path, NULL, net->affine);
    crumb_path_relu(path, NULL);
    if (net->drops_convs) {
        crumb_path_dropout(path, NULL, net->dropout);
    }
}

static void features(crumb_path *outer, const vgg *net) {
    crumb_path path = crumb_path_enter(outer, "features");
    for (const int *row = net->features; *row != END; row++) {
        if (*row != POOL) {
            conv_layer(&path, net, *row);
            continue;
        }
        crumb_path_max_pool(&path, NULL, 2, 2, 0);
        if (net->drops_pools) {
            crumb_path_dropout(&path, NULL, net->dropout);
        }
    }
    crumb_path_leave(outer, &path);
    crumb_path_flatten(outer, "flatten");
}

static void linear_layer(crumb_path *path, int64_t units) {
    crumb_path_linear(path, NULL, crumb_path_filters(path, units, 1), false);
    crumb_path_batch_norm(path, NULL, true);
    crumb_path_relu(path, NULL);
}

static crumb_status build_vgg7(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    static const int rows[] = {128, 128, POOL, 256, 256, POOL, 512, 512, POOL, END};
    crumb_path path = crumb_path_begin(graph, x, ((const crumb_model_plain *)given)->width);
    features(&path, &(vgg){.features = rows, .affine = true});
    crumb_path classifier = crumb_path_enter(&path, "classifier");
    linear_layer(&classifier, 1024);
    crumb_path_linear(&classifier, NULL, classes, true);
    return crumb_path_end(&classifier, logits);
}

typedef struct vgg9_params {
    double width, dropout, classifier_dropout;
} vgg9_params;

static crumb_status build_vgg9(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    static const int rows[] = {64, 64, POOL, 128, 128, POOL, 256, 256, POOL, END};
    const vgg9_params *params = given;
    crumb_path path = crumb_path_begin(graph, x, params->width);
    features(&path, &(vgg){.features = rows, .affine = true, .drops_pools = true, .dropout = params->dropout});
    crumb_path classifier = crumb_path_enter(&path, "classifier");
    for (int i = 0; i < 2; i++) {
        linear_layer(&classifier, 512);
        crumb_path_dropout(&classifier, NULL, params->classifier_dropout);
    }
    crumb_path_linear(&classifier, NULL, classes, true);
    return crumb_path_end(&classifier, logits);
}

static crumb_status build_vgg11(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    static const int rows[] = {64, POOL, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512, POOL, END};
    crumb_path path = crumb_path_begin(graph, x, ((const crumb_model_plain *)given)->width);
    features(&path, &(vgg){.features = rows, .bias = true, .affine = true});
    crumb_path_linear(&path, "classifier", classes, true);
    return crumb_path_end(&path, logits);
}

typedef struct svhn_params {
    double width, dropout;
} svhn_params;

static crumb_status build_svhn(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    static const int rows[] = {32, 32, POOL, 64, 64, POOL, 128, 128, POOL, -256, POOL, END};
    const svhn_params *params = given;
    crumb_path path = crumb_path_begin(graph, x, params->width);
    features(&path, &(vgg){.features = rows, .bias = true, .drops_convs = true, .dropout = params->dropout});
    crumb_path classifier = crumb_path_enter(&path, "classifier");
    crumb_path_linear(&classifier, NULL, classes, true);
    return crumb_path_end(&classifier, logits);
}

static const crumb_param plain_table[] = {
    CRUMB_MODEL_WIDTH(crumb_model_plain),
    {0},
};

static const crumb_param vgg9_table[] = {
    CRUMB_MODEL_WIDTH(vgg9_params),
    {"dropout", CRUMB_PARAM_REAL, offsetof(vgg9_params, dropout), "0.25", 0, 0.99, NULL,
     "probability of a zero behind each pool"},
    {"classifier_dropout", CRUMB_PARAM_REAL, offsetof(vgg9_params, classifier_dropout), "0.5", 0, 0.99, NULL,
     "probability of a zero behind each hidden linear layer"},
    {0},
};

static const crumb_param svhn_table[] = {
    CRUMB_MODEL_WIDTH(svhn_params),
    {"dropout", CRUMB_PARAM_REAL, offsetof(svhn_params, dropout), "0.3", 0, 0.99, NULL,
     "probability of a zero behind each convolution"},
    {0},
};

const crumb_model crumb_model_vgg7 = {
    .name = "vgg7",
    .doc = "VGG-7 of TWN: 2x128C3-MP2-2x256C3-MP2-2x512C3-MP2-1024FC",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = plain_table,
    .params_size = sizeof(crumb_model_plain),
    .build = build_vgg7,
};

const crumb_model crumb_model_vgg9 = {
    .name = "vgg9",
    .doc = "VGG-9 of SQ: 2x64C3-MP2-2x128C3-MP2-2x256C3-MP2-512FC-512FC, with dropout",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = vgg9_table,
    .params_size = sizeof(vgg9_params),
    .build = build_vgg9,
};

const crumb_model crumb_model_vgg11 = {
    .name = "vgg11",
    .doc = "VGG-11 (configuration A) for CIFAR, batch norm, one linear layer",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = plain_table,
    .params_size = sizeof(crumb_model_plain),
    .build = build_vgg11,
};

const crumb_model crumb_model_svhn_net = {
    .name = "svhn-net",
    .doc = "SVHN network of the SinReQ experiments: 2x32C3-MP2-2x64C3-MP2-2x128C3-MP2-256C3-MP2, with dropout",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = svhn_table,
    .params_size = sizeof(svhn_params),
    .build = build_svhn,
};
