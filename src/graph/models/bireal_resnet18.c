/* The binary ResNet-18: ResNet-18 rebuilt for one-bit values. Bi-Real Net (Liu et al., arXiv 1808.00278) gives every 3x3
 * convolution its own shortcut, so that the real values behind each batch norm reach the end; ReActNet (Liu et al., arXiv
 * 2003.03488) learns where a sign changes (RSign) and where a rectifier bends (RPReLU), a channel each:
 *
 *     y = RPReLU(bn(conv(x + a)) + shortcut(x)),   RPReLU(v) = prelu(v + b) + c
 *
 * The quantizer of the convolution's input stands behind x + a. Where the size changes the shortcut is a 2x2 mean, a 1x1
 * convolution that stays float whatever the policy, and batch norm. Stem and last layer are float where the recipe says
 * `first: float` and `last: float`, as the papers have it. */
#include "graph/path.h"

#include <stdio.h>

enum { STAGES = 4 };
enum { STEM_IMAGENET, STEM_CIFAR };

typedef struct bireal_params {
    double width;
    int stem;
    int64_t blocks;
    double dropout;
} bireal_params;

/* Every second size: two pixels of a side become one, also the last odd one. */
static void downsample(crumb_path *outer, int64_t filters) {
    crumb_path path = crumb_path_enter(outer, "downsample");
    crumb_path_average_pool(&path, NULL, 2, 2);
    crumb_path_conv2d(&path, NULL, (crumb_conv){.out = filters, .kernel = 1, .keep_float = true});
    crumb_path_batch_norm(&path, NULL, true);
    crumb_path_leave(outer, &path);
}

static void rprelu(crumb_path *outer, int nth) {
    crumb_path path = crumb_path_enter(outer, "rprelu%d", nth);
    crumb_path_shift(&path, NULL);
    crumb_path_prelu(&path, NULL);
    crumb_path_shift(&path, NULL);
    crumb_path_leave(outer, &path);
}

/* One convolution with its shortcut. The shortcut comes first: batch norm and addition are then neighbours, which backends
 * fuse. */
static void unit(crumb_path *path, int nth, int64_t filters, int64_t stride) {
    char sign[16], conv[16], norm[16], add[16];
    snprintf(sign, sizeof(sign), "rsign%d", nth);
    snprintf(conv, sizeof(conv), "conv%d", nth);
    snprintf(norm, sizeof(norm), "bn%d", nth);
    snprintf(add, sizeof(add), "add%d", nth);
    int input = path->at;
    if (stride != 1) {
        downsample(path, filters);
    }
    int shortcut = path->at;
    path->at = input;
    crumb_path_shift(path, sign);
    crumb_path_conv2d(path, conv, (crumb_conv){.out = filters, .kernel = 3, .stride = stride, .padding = 1});
    crumb_path_batch_norm(path, norm, true);
    crumb_path_add(path, add, shortcut);
    rprelu(path, nth);
}

static void stem(crumb_path *path, int kind) {
    bool small = kind == STEM_CIFAR;
    crumb_conv conv = {
        .out = crumb_path_filters(path, 64, 1), .kernel = small ? 3 : 7, .stride = small ? 1 : 2, .padding = small ? 1 : 3};
    crumb_path_conv2d(path, "conv1", conv);
    crumb_path_batch_norm(path, "bn1", true);
    if (!small) {
        crumb_path_max_pool(path, "maxpool", 3, 2, 1);
    }
}

static crumb_status build(crumb_graph *graph, const void *given, int x, int64_t classes, int *logits) {
    const bireal_params *params = given;
    crumb_path path = crumb_path_begin(graph, x, params->width);
    stem(&path, params->stem);
    for (int stage = 0; stage < STAGES; stage++) {
        int64_t filters = crumb_path_filters(&path, 64 << stage, 1);
        for (int i = 0; i < (int)params->blocks; i++) {
            crumb_path inner = crumb_path_enter(&path, "layer%d.%d", stage + 1, i);
            unit(&inner, 1, filters, stage > 0 && i == 0 ? 2 : 1);
            unit(&inner, 2, filters, 1);
            crumb_path_leave(&path, &inner);
        }
    }
    crumb_path_global_average_pool(&path, "avgpool");
    crumb_path_dropout(&path, "dropout", params->dropout);
    crumb_path_linear(&path, "fc", classes, true);
    return crumb_path_end(&path, logits);
}

static const crumb_param table[] = {
    CRUMB_MODEL_WIDTH(bireal_params),
    {"stem", CRUMB_PARAM_CHOICE, offsetof(bireal_params, stem), "imagenet", 0, 0, "imagenet|cifar",
     "7x7 convolution and 3x3 pool, both of stride 2, or a 3x3 convolution"},
    {"blocks", CRUMB_PARAM_INT, offsetof(bireal_params, blocks), "2", 1, 16, NULL,
     "pairs of convolutions in each of the 4 stages"},
    {"dropout", CRUMB_PARAM_REAL, offsetof(bireal_params, dropout), "0", 0, 0.99, NULL,
     "probability of a zero in front of the last layer; 0.5 in the laboratory's CIFAR-100 network"},
    {0},
};

const crumb_model crumb_model_bireal_resnet18 = {
    .name = "bireal-resnet18",
    .doc = "binary ResNet-18: a shortcut a convolution, RSign and RPReLU, float 1x1 shortcuts",
    .height = 224,
    .width = 224,
    .channels = 3,
    .params = table,
    .params_size = sizeof(bireal_params),
    .build = build,
};
