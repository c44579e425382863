/* Residual networks (He et al., arXiv 1512.03385): a stem, stages of equal blocks that halve the size and double the filters,
 * global average pooling, one linear layer. A block is
 *
 *     y = relu2(bn2(conv2(relu1(bn1(conv1(x))))) + shortcut(x)).
 *
 * resnet20, 32, 44, 56   section 4.2, for CIFAR: three stages of n blocks with 16, 32, 64 filters, 6 n + 2 layers
 * resnet18               table 1, for ImageNet: four stages of two blocks with 64, 128, 256, 512 filters; torchvision's names
 *
 * Where the size changes the shortcut is a 1x1 convolution with batch norm, or ("option A", as the published CIFAR weights have
 * it) takes every second pixel and sets the new channels to zero, half of them in front of and half behind the old ones. It is
 * computed before conv2, so that bn2, add and relu2 are neighbours in the node list, which backends fuse. */
#include "graph/path.h"

typedef struct stages {
    int count, blocks;
    int64_t filters;        /* of the first stage; each further one has twice as many */
    const char *projection; /* scope of the 1x1 convolution and its batch norm; NULL: identity and zeros */
} stages;

static void project(crumb_path *outer, const char *scope, int64_t filters, int64_t stride) {
    crumb_path path = crumb_path_enter(outer, "%s", scope);
    crumb_path_conv2d(&path, NULL, (crumb_conv){.out = filters, .kernel = 1, .stride = stride});
    crumb_path_batch_norm(&path, NULL, true);
    crumb_path_leave(outer, &path);
}

static void subsample_and_pad(crumb_path *outer, int64_t filters, int64_t stride) {
    crumb_path path = crumb_path_enter(outer, "shortcut");
    int64_t added = filters - crumb_path_channels(outer);
    if (stride != 1) {
        crumb_path_subsample(&path, "slice", stride);
    }
    if (added != 0) {
        crumb_path_pad_channels(&path, "pad", added / 2, added - added / 2);
    }
    crumb_path_leave(outer, &path);
}

static void block(crumb_path *path, int64_t filters, int64_t stride, const char *projection) {
    int input = path->at;
    bool same = stride == 1 && crumb_path_channels(path) == filters;
    crumb_path_conv2d(path, "conv1", (crumb_conv){.out = filters, .kernel = 3, .stride = stride, .padding = 1});
    crumb_path_batch_norm(path, "bn1", true);
    crumb_path_relu(path, "relu1");
    int residual = path->at;
    path->at = input;
    if (!same && projection != NULL) {
        project(path, projection, filters, stride);
    } else if (!same) {
        subsample_and_pad(path, filters, stride);
    }
    int shortcut = path->at;
    path->at = residual;
    crumb_path_conv2d(path, "conv2", (crumb_conv){.out = filters, .kernel = 3, .padding = 1});
    crumb_path_batch_norm(path, "bn2", true);
    crumb_path_add(path, "add", shortcut);
    crumb_path_relu(path, "relu2");
}

static void body(crumb_path *path, const stages *plan) {
    for (int stage = 0; stage < plan->count; stage++) {
        int64_t filters = crumb_path_filters(path, plan->filters << stage, 1);
        for (int i = 0; i < plan->blocks; i++) {
            crumb_path inner = crumb_path_enter(path, "layer%d.%d", stage + 1, i);
            block(&inner, filters, stage > 0 && i == 0 ? 2 : 1, plan->projection);
            crumb_path_leave(path, &inner);
        }
    }
    crumb_path_global_average_pool(path, "avgpool");
}

static void stem(crumb_path *path, int64_t filters, int64_t kernel, int64_t stride) {
    crumb_conv conv = {.out = crumb_path_filters(path, filters, 1), .kernel = kernel, .stride = stride, .padding = kernel / 2};
    crumb_path_conv2d(path, "conv1", conv);
    crumb_path_batch_norm(path, "bn1", true);
    crumb_path_relu(path, "relu");
}

/* ---- CIFAR. */

enum { IDENTITY_PAD, PROJECTION };

typedef struct cifar_params {
    double width;
    int shortcut;
} cifar_params;

static crumb_status build_cifar(crumb_graph *graph, const cifar_params *params, int x, int64_t classes, int *logits,
                                int blocks) {
    crumb_path path = crumb_path_begin(graph, x, params->width);
    const char *projection = params->shortcut == PROJECTION ? "shortcut" : NULL;
    stem(&path, 16, 3, 1);
    body(&path, &(stages){.count = 3, .blocks = blocks, .filters = 16, .projection = projection});
    crumb_path_linear(&path, "linear", classes, true);
    return crumb_path_end(&path, logits);
}

static crumb_status build20(crumb_graph *graph, const void *params, int x, int64_t classes, int *logits) {
    return build_cifar(graph, params, x, classes, logits, 3);
}

static crumb_status build32(crumb_graph *graph, const void *params, int x, int64_t classes, int *logits) {
    return build_cifar(graph, params, x, classes, logits, 5);
}

static crumb_status build44(crumb_graph *graph, const void *params, int x, int64_t classes, int *logits) {
    return build_cifar(graph, params, x, classes, logits, 7);
}

static crumb_status build56(crumb_graph *graph, const void *params, int x, int64_t classes, int *logits) {
    return build_cifar(graph, params, x, classes, logits, 9);
}

static const crumb_param cifar_table[] = {
    CRUMB_MODEL_WIDTH(cifar_params),
    {"shortcut", CRUMB_PARAM_CHOICE, offsetof(cifar_params, shortcut), "identity-pad", 0, 0, "identity-pad|projection",
     "where the size changes: every second pixel and zero channels, or a 1x1 convolution"},
    {0},
};

/* ---- ImageNet. */

enum { STEM_IMAGENET, STEM_CIFAR };

typedef struct imagenet_params {
    double width;
    int stem;
} imagenet_params;

static crumb_status build18(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    const imagenet_params *params = given;
    crumb_path path = crumb_path_begin(graph, x, params->width);
    if (params->stem == STEM_IMAGENET) {
        stem(&path, 64, 7, 2);
        crumb_path_max_pool(&path, "maxpool", 3, 2, 1);
    } else {
        stem(&path, 64, 3, 1);
    }
    body(&path, &(stages){.count = 4, .blocks = 2, .filters = 64, .projection = "downsample"});
    crumb_path_linear(&path, "fc", classes, true);
    return crumb_path_end(&path, logits);
}

static const crumb_param imagenet_table[] = {
    CRUMB_MODEL_WIDTH(imagenet_params),
    {"stem", CRUMB_PARAM_CHOICE, offsetof(imagenet_params, stem), "imagenet", 0, 0, "imagenet|cifar",
     "7x7 convolution and 3x3 pool, both of stride 2, or a 3x3 convolution"},
    {0},
};

const crumb_model crumb_model_resnet18 = {
    .name = "resnet18",
    .doc = "ResNet-18, 64-128-256-512 filters, 1x1 shortcuts",
    .height = 224,
    .width = 224,
    .channels = 3,
    .params = imagenet_table,
    .params_size = sizeof(imagenet_params),
    .build = build18,
};

const crumb_model crumb_model_resnet20 = {
    .name = "resnet20",
    .doc = "ResNet-20 for CIFAR, 16-32-64 filters",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = cifar_table,
    .params_size = sizeof(cifar_params),
    .build = build20,
};

const crumb_model crumb_model_resnet32 = {
    .name = "resnet32",
    .doc = "ResNet-32 for CIFAR, 16-32-64 filters",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = cifar_table,
    .params_size = sizeof(cifar_params),
    .build = build32,
};

const crumb_model crumb_model_resnet44 = {
    .name = "resnet44",
    .doc = "ResNet-44 for CIFAR, 16-32-64 filters",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = cifar_table,
    .params_size = sizeof(cifar_params),
    .build = build44,
};

const crumb_model crumb_model_resnet56 = {
    .name = "resnet56",
    .doc = "ResNet-56 for CIFAR, 16-32-64 filters",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = cifar_table,
    .params_size = sizeof(cifar_params),
    .build = build56,
};
