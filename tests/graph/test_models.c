/* Networks: every row against numbers that are derived by hand or published, and what every row must be able to do. */
#include "graph/graph.h"

#include "harness.h"

#include "base/param.h"

/* ---- Published and hand-derived numbers.
 *
 * Learned values; batch norm counts 2 a channel. Multiply-adds of convolutions and linear layers for one image.
 *
 * mlp         784 256 + 256 256 + 256 10 + 10 + 2 512
 * lenet5      32 25 + 64 32 25 + 512 1024 + 512 10 + 10 + 2 (32 + 64 + 512);  MACs 24^2 800 + 8^2 51200 + 524288 + 5120
 * simplenet   6 75 + 6 + 16 150 + 16 + 400 120 + 120 + 120 84 + 84 + 84 10 + 10 = 62006 (PyTorch's CIFAR tutorial has the same
 * net) svhn-net    896 + 9248 + 18496 + 36928 + 73856 + 147584 + 295168 + 2570, batch norm without values vgg7        9 (3 128
 * + 128 128 + 128 256 + 256 256 + 256 512 + 512 512) + 8192 1024 + 1024 10 + 10 + 2 (2 (128 + 256 + 512) + 1024) MACs 1024 128
 * (27 + 1152) + 256 256 (1152 + 2304) + 64 512 (2304 + 4608) + 8192 1024 + 10240 vgg9        9 (3 64 + 64 64 + 64 128 + 128 128
 * + 128 256 + 256 256) + 4096 512 + 512 512 + 5130 + 2 (2 (64 + 128 + 256) + 1024) MACs 1024 64 (27 + 576) + 256 128 (576 +
 * 1152) + 64 256 (1152 + 2304) + 4096 512 + 512 512 + 5120 vgg11       9231114, as of PyTorch's CIFAR VGG-11 with batch norm
 *             MACs 1024 1728 + 256 73728 + 64 256 (1152 + 2304) + 16 512 (2304 + 4608) + 4 2 512 4608 + 5120
 * alexnet-bn  96 3 121 + 256 48 25 + 384 256 9 + 384 192 9 + 256 192 9 + 9216 4096 + 4096 4096 + 4096 1000 + 1000 + 2 (1376 +
 * 8192) MACs 3025 96 363 + 729 256 1200 + 169 (384 2304 + 384 1728 + 256 1728) + 9216 4096 + 4096 4096 + 4096000 resnet20
 * 269722, and 194432 for each six further layers: the published CIFAR models have 0.27, 0.46, 0.66, 0.85 million MACs 1024 432
 * + 6 1024 2304 + 2 (256 4608 + 5 256 9216) + 640; each six further layers add 6 2359296 resnet18    11689512 and 1814073344
 * MACs: torchvision
 * bireal      as resnet18, and a value a channel in front of each of the 16 convolutions (3392), three behind (11520) */
typedef struct numbers {
    const char *name;
    int64_t classes, parameters, macs;
} numbers;

static const numbers expected[] = {
    {"alexnet-bn", 1000, 60974792, 724406816},
    {"bireal-resnet18", 1000, 11689512 + 3392 + 11520, 1814073344},
    {"lenet5", 10, 582634, 24 * 24 * 800 + 8 * 8 * 51200 + 524288 + 5120},
    {"mlp", 10, 269834, 784 * 256 + 256 * 256 + 2560},
    {"resnet18", 1000, 11689512, 1814073344},
    {"resnet20", 10, 269722, 40551040},
    {"resnet32", 10, 464154, 40551040 + 12 * 2359296},
    {"resnet44", 10, 658586, 40551040 + 24 * 2359296},
    {"resnet56", 10, 853018, 40551040 + 36 * 2359296},
    {"simplenet-cifar", 10, 62006, 28 * 28 * 450 + 10 * 10 * 2400 + 48000 + 10080 + 840},
    {"svhn-net", 10, 584746, 1024 * (864 + 9216) + 256 * (18432 + 36864) + 64 * (73728 + 147456) + 4 * 294912 + 2560},
    {"vgg11", 10, 9231114, 152769536},
    {"vgg7", 10, 12979082, 615917568},
    {"vgg9", 10, 3512778, 155128832},
};
enum { EXPECTED = sizeof(expected) / sizeof(expected[0]) };

/* ---- Tools. */

/* A parameter struct of any row. */
typedef struct param_block {
    _Alignas(16) unsigned char bytes[CRUMB_MODEL_PARAMS_MAX];
} param_block;

static crumb_graph *build(crumb_ctx *ctx, const char *name, const void *params, crumb_shape image, int64_t classes) {
    crumb_graph *graph = NULL;
    const crumb_model *model = crumb_model_find(name);
    assert_non_null(model);
    assert_ok(ctx, crumb_model_build(ctx, model, params, image, classes, 1, &graph));
    return graph;
}

/* The same without drawing first values: for large networks of which only the shapes matter. */
static crumb_graph *build_bare(crumb_ctx *ctx, const char *name, const void *params, crumb_shape image, int64_t classes) {
    crumb_graph *graph;
    const crumb_model *model = crumb_model_find(name);
    param_block presets = {{0}};
    crumb_params_preset(model->params, presets.bytes);
    assert_ok(ctx, crumb_graph_create(ctx, &graph));
    assert_ok(ctx, crumb_graph_input(graph, "image", image, &graph->image));
    assert_ok(ctx, model->build(graph, params != NULL ? params : presets.bytes, graph->image, classes, &graph->logits));
    return graph;
}

static crumb_shape usual_image(const crumb_model *model) {
    return CRUMB_SHAPE(1, model->height, model->width, model->channels);
}

/* The presets but for one. */
static param_block with(crumb_ctx *ctx, const char *model_name, const char *name, const char *text) {
    const crumb_model *model = crumb_model_find(model_name);
    param_block block = {{0}};
    crumb_params_preset(model->params, block.bytes);
    const crumb_param *param = crumb_param_find(model->params, name);
    assert_non_null(param);
    assert_ok(ctx, crumb_param_set(ctx, param, block.bytes, text));
    return block;
}

static int find_node(const crumb_graph *graph, const char *name) {
    for (int i = 0; i < graph->nodes; i++) {
        if (strcmp(graph->node[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("no node %s", name);
    return -1;
}

static crumb_shape shape_of(const crumb_graph *graph, const char *stored) {
    int value = crumb_graph_find(graph, stored);
    if (value < 0) {
        fail_msg("no %s", stored);
    }
    return graph->value[value].shape;
}

static int readers(const crumb_graph *graph, int value) {
    int count = 0;
    for (int i = 0; i < graph->nodes; i++) {
        for (int k = 0; k < graph->node[i].inputs; k++) {
            count += graph->node[i].input[k] == value;
        }
    }
    return count;
}

/* Multiply-adds of convolutions and linear layers, from the shapes alone. */
static int64_t macs(const crumb_graph *graph) {
    int64_t sum = 0;
    for (int i = 0, node; (node = crumb_graph_layer(graph, i)) >= 0; i++) {
        const crumb_node *layer = &graph->node[node];
        crumb_shape weight = graph->value[layer->input[1]].shape, y = graph->value[layer->output].shape;
        sum += crumb_shape_count(y) * (crumb_shape_count(weight) / weight.dim[0]);
    }
    return sum;
}

/* ---- Tests. */

static void test_rows(void **state) {
    (void)state;
    int rows = 0;
    for (; crumb_models[rows] != NULL; rows++) {
        const crumb_model *model = crumb_models[rows];
        assert_true(rows < EXPECTED);
        assert_string_equal(model->name, expected[rows].name);
        assert_ptr_equal(crumb_model_find(model->name), model);
        assert_non_null(model->doc);
        assert_true(model->params_size <= CRUMB_MODEL_PARAMS_MAX);
        assert_string_equal(model->params[0].name, "width");
        assert_int_equal(model->params[0].offset, 0);
        assert_int_equal(model->params[0].type, CRUMB_PARAM_REAL);
    }
    assert_int_equal(rows, EXPECTED);
    assert_null(crumb_model_find("resnet21"));
}

static void test_numbers(void **state) {
    crumb_ctx *ctx = *state;
    for (int i = 0; i < EXPECTED; i++) {
        const crumb_model *model = crumb_model_find(expected[i].name);
        crumb_graph *graph = build_bare(ctx, model->name, NULL, usual_image(model), expected[i].classes);
        if (crumb_graph_parameters(graph) != expected[i].parameters || macs(graph) != expected[i].macs) {
            fail_msg("%s has %lld parameters and %lld multiply-adds, not %lld and %lld", model->name,
                     (long long)crumb_graph_parameters(graph), (long long)macs(graph), (long long)expected[i].parameters,
                     (long long)expected[i].macs);
        }
        /* All operations: two a multiply-add, and the rest (batch norm, ReLU, pools, biases) is small. */
        double flops = crumb_graph_flops(graph), least = 2.0 * (double)expected[i].macs;
        assert_true(flops >= least);
        assert_true(flops <= least * 1.15);
        crumb_graph_destroy(graph);
    }
}

static void check_output(const crumb_graph *graph, int64_t classes) {
    assert_true(graph->logits >= 0);
    crumb_shape logits = graph->value[graph->logits].shape;
    assert_true(crumb_shape_equal(logits, CRUMB_SHAPE(1, classes)));
    assert_int_equal(graph->value[graph->logits].node, graph->nodes - 1);
    assert_int_equal(graph->value[graph->image].kind, CRUMB_VALUE_INPUT);
    /* Every node but the last has a reader: nothing is computed in vain. */
    for (int i = 0; i < graph->nodes - 1; i++) {
        assert_true(readers(graph, graph->node[i].output) > 0);
    }
}

/* Other sizes, channels and classes; the large networks narrow, or at the smallest image, to keep the memory small. */
static void test_sizes(void **state) {
    crumb_ctx *ctx = *state;
    for (int i = 0; crumb_models[i] != NULL; i++) {
        const crumb_model *model = crumb_models[i];
        bool large = model->height > 100;
        param_block half = with(ctx, model->name, "width", "0.5"), twice = with(ctx, model->name, "width", "2");
        int64_t height = large ? 96 : model->height + 9, width = large ? 67 : model->width + 4;
        crumb_graph *graph = build(ctx, model->name, half.bytes, CRUMB_SHAPE(1, height, width, 2), 7);
        check_output(graph, 7);
        crumb_graph_destroy(graph);
        crumb_shape image = large ? CRUMB_SHAPE(1, 67, 67, 3) : usual_image(model);
        graph = build_bare(ctx, model->name, twice.bytes, image, 2);
        check_output(graph, 2);
        crumb_graph_destroy(graph);
        param_block narrow = with(ctx, model->name, "width", "0.01"); /* every layer keeps a filter */
        graph = build(ctx, model->name, narrow.bytes, image, 1);
        check_output(graph, 1);
        crumb_graph_destroy(graph);
    }
}

static void test_width(void **state) {
    crumb_ctx *ctx = *state;
    /* Twice the filters: 4 times the inner convolutions (267264), twice the first (432), batch norms (1376), last weight (640).
     */
    param_block twice = with(ctx, "resnet20", "width", "2");
    crumb_graph *graph = build(ctx, "resnet20", twice.bytes, CRUMB_SHAPE(1, 32, 32, 3), 10);
    assert_int_equal(crumb_graph_parameters(graph), 4 * 267264 + 2 * (432 + 1376 + 640) + 10);
    assert_true(crumb_shape_equal(shape_of(graph, "conv1.weight"), CRUMB_SHAPE(32, 3, 3, 3)));
    assert_true(crumb_shape_equal(shape_of(graph, "linear.weight"), CRUMB_SHAPE(10, 128)));
    crumb_graph_destroy(graph);
    /* Grouped convolutions keep an even number of filters: 96 x 0.01 = 0.96, and 2 is the least. */
    param_block narrow = with(ctx, "alexnet-bn", "width", "0.01");
    graph = build(ctx, "alexnet-bn", narrow.bytes, CRUMB_SHAPE(1, 67, 67, 3), 10);
    assert_true(crumb_shape_equal(shape_of(graph, "features.0.weight"), CRUMB_SHAPE(2, 11, 11, 3)));
    assert_true(crumb_shape_equal(shape_of(graph, "features.4.weight"), CRUMB_SHAPE(2, 5, 5, 1)));
    crumb_graph_destroy(graph);
}

static void test_options(void **state) {
    crumb_ctx *ctx = *state;
    crumb_shape cifar = CRUMB_SHAPE(1, 32, 32, 3), mnist = CRUMB_SHAPE(1, 28, 28, 1);
    /* Projections add 512 + 64 and 2048 + 128. */
    param_block params = with(ctx, "resnet20", "shortcut", "projection");
    crumb_graph *graph = build(ctx, "resnet20", params.bytes, cifar, 10);
    assert_int_equal(crumb_graph_parameters(graph), 272474);
    assert_true(crumb_shape_equal(shape_of(graph, "layer2.0.shortcut.0.weight"), CRUMB_SHAPE(32, 1, 1, 16)));
    assert_true(crumb_shape_equal(shape_of(graph, "layer3.0.shortcut.1.running_var"), CRUMB_SHAPE(64)));
    crumb_graph_destroy(graph);
    /* ResNet-18 for CIFAR-10: 11173962 as published; 4x4 pixels enter the global pool, 1x1 behind the ImageNet stem. */
    params = with(ctx, "resnet18", "stem", "cifar");
    graph = build(ctx, "resnet18", params.bytes, cifar, 10);
    assert_int_equal(crumb_graph_parameters(graph), 11173962);
    crumb_shape pooled = graph->value[graph->node[find_node(graph, "avgpool")].input[0]].shape;
    assert_true(crumb_shape_equal(pooled, CRUMB_SHAPE(1, 4, 4, 512)));
    crumb_graph_destroy(graph);
    /* Without batch norm the layers have biases instead. */
    params = with(ctx, "lenet5", "batch_norm", "false");
    graph = build(ctx, "lenet5", params.bytes, mnist, 10);
    assert_int_equal(crumb_graph_parameters(graph), 582634 - (32 + 64 + 512));
    assert_int_equal(crumb_graph_find(graph, "bn1.weight"), -1);
    crumb_graph_destroy(graph);
    params = with(ctx, "mlp", "hidden", "[]");
    graph = build(ctx, "mlp", params.bytes, mnist, 10);
    assert_int_equal(crumb_graph_parameters(graph), 7850);
    crumb_graph_destroy(graph);
    params = with(ctx, "mlp", "dropout", "0.2");
    graph = build(ctx, "mlp", params.bytes, mnist, 10);
    find_node(graph, "dropout2");
    crumb_graph_destroy(graph);
    /* Dropout of probability 0 leaves no node, and the numbers behind it stay. */
    params = with(ctx, "svhn-net", "dropout", "0");
    graph = build(ctx, "svhn-net", params.bytes, cifar, 10);
    assert_true(crumb_shape_equal(shape_of(graph, "features.4.weight"), CRUMB_SHAPE(32, 3, 3, 32)));
    for (int i = 0; i < graph->nodes; i++) {
        assert_string_not_equal(graph->node[i].op->name, "dropout");
    }
    crumb_graph_destroy(graph);
}

/* Names that PyTorch's models of the same definition have. */
static void test_names(void **state) {
    crumb_ctx *ctx = *state;
    static const struct {
        const char *model, *tensor;
        crumb_shape shape;
    } tensors[] = {
        {"bireal-resnet18", "layer2.0.downsample.1.weight", {4, {128, 1, 1, 64}}},
        {"bireal-resnet18", "layer2.0.rsign1.bias", {1, {64}}},
        {"bireal-resnet18", "layer2.0.rprelu1.1.weight", {1, {128}}},
        {"resnet18", "layer2.0.downsample.0.weight", {4, {128, 1, 1, 64}}},
        {"resnet18", "layer4.1.bn2.running_mean", {1, {512}}},
        {"resnet18", "fc.weight", {2, {10, 512}}},
        {"vgg11", "features.25.weight", {4, {512, 3, 3, 512}}},
        {"vgg11", "features.26.num_batches_tracked", {0, {0}}},
        {"vgg11", "classifier.bias", {1, {10}}},
        {"vgg7", "features.3.weight", {4, {128, 3, 3, 128}}},
        {"vgg7", "classifier.3.weight", {2, {10, 1024}}},
        {"vgg9", "features.8.weight", {4, {128, 3, 3, 64}}},
        {"vgg9", "classifier.8.bias", {1, {10}}},
        {"svhn-net", "features.27.bias", {1, {256}}},
        {"svhn-net", "classifier.0.weight", {2, {10, 256}}},
        {"simplenet-cifar", "fc1.weight", {2, {120, 400}}},
        {"lenet5", "fc1.weight", {2, {512, 1024}}},
        {"mlp", "fc3.weight", {2, {10, 256}}},
    };
    for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
        const crumb_model *model = crumb_model_find(tensors[i].model);
        crumb_graph *graph = build_bare(ctx, model->name, NULL, usual_image(model), 10);
        char found[CRUMB_SHAPE_TEXT], wanted[CRUMB_SHAPE_TEXT];
        crumb_shape shape = shape_of(graph, tensors[i].tensor);
        assert_string_equal(crumb_shape_print(shape, found), crumb_shape_print(tensors[i].shape, wanted));
        crumb_graph_destroy(graph);
    }
}

/* Names of nodes are names of modules, no two alike, so that patterns in recipes mean what they say. */
static void test_node_names(void **state) {
    crumb_ctx *ctx = *state;
    for (int i = 0; crumb_models[i] != NULL; i++) {
        param_block narrow = with(ctx, crumb_models[i]->name, "width", "0.1");
        crumb_graph *graph = build(ctx, crumb_models[i]->name, narrow.bytes, usual_image(crumb_models[i]), 10);
        for (int a = 0; a < graph->nodes; a++) {
            for (int b = 0; b < a; b++) {
                assert_string_not_equal(graph->node[a].name, graph->node[b].name);
            }
        }
        for (int nth = 0, node; (node = crumb_graph_layer(graph, nth)) >= 0; nth++) {
            char weight[2 * CRUMB_NAME_MAX];
            snprintf(weight, sizeof(weight), "%s.weight", graph->node[node].name);
            assert_int_equal(crumb_graph_find(graph, weight), graph->node[node].input[1]);
        }
        crumb_graph_destroy(graph);
    }
}

/* What backends fuse: behind each batch norm its addition and its rectifier follow at once, each read by the next alone. */
static void test_runs(void **state) {
    crumb_ctx *ctx = *state;
    int additions = 0, rectified = 0;
    for (int i = 0; crumb_models[i] != NULL; i++) {
        param_block narrow = with(ctx, crumb_models[i]->name, "width", "0.1");
        crumb_graph *graph = build(ctx, crumb_models[i]->name, narrow.bytes, usual_image(crumb_models[i]), 10);
        for (int n = 1; n < graph->nodes; n++) {
            const crumb_node *node = &graph->node[n], *before = &graph->node[n - 1];
            bool adds = node->op == &crumb_op_add, rectifies = node->op == &crumb_op_relu;
            if (!adds && !rectifies) {
                continue;
            }
            assert_int_equal(node->input[0], before->output);
            assert_int_equal(readers(graph, before->output), 1);
            if (adds) {
                assert_ptr_equal(before->op, &crumb_op_batch_norm);
                bool bireal = strcmp(crumb_models[i]->name, "bireal-resnet18") == 0; /* its rectifier is a chain of three */
                assert_ptr_equal(graph->node[n + 1].op, bireal ? &crumb_op_shift : &crumb_op_relu);
            }
            additions += adds;
            rectified += rectifies && before->op == &crumb_op_batch_norm;
        }
        crumb_graph_destroy(graph);
    }
    assert_int_equal(additions, 8 + 9 + 15 + 21 + 27 + 16);
    /* resnets: the stem and one a block; alexnet 7, lenet 3, mlp 2, svhn 7, vgg11 8, vgg7 7, vgg9 8; the binary one has none */
    assert_int_equal(rectified, additions - 16 + 5 + 7 + 3 + 2 + 7 + 8 + 7 + 8);
}

/* The identity shortcut computed: every second pixel, zeros in the new channels, half of them in front. */
static void test_identity_shortcut(void **state) {
    crumb_ctx *ctx = *state;
    crumb_graph *graph = build(ctx, "resnet20", NULL, CRUMB_SHAPE(1, 5, 4, 3), 10);
    float x[5 * 4 * 16], sliced[3 * 2 * 16], y[3 * 2 * 32];
    for (int i = 0; i < 5 * 4 * 16; i++) {
        x[i] = (float)i + 1.0f;
    }
    const crumb_node *slice = &graph->node[find_node(graph, "layer2.0.shortcut.slice")];
    const crumb_node *pad = &graph->node[find_node(graph, "layer2.0.shortcut.pad")];
    assert_string_equal(graph->node[graph->value[slice->input[0]].node].name, "layer1.2.relu2");
    assert_int_equal(graph->node[find_node(graph, "layer2.0.add")].input[1], pad->output);
    crumb_tensor whole = {CRUMB_SHAPE(1, 5, 4, 16), x}, half = {CRUMB_SHAPE(1, 3, 2, 16), sliced};
    crumb_tensor padded = {CRUMB_SHAPE(1, 3, 2, 32), y};
    assert_true(crumb_shape_equal(graph->value[slice->output].shape, half.shape));
    assert_true(crumb_shape_equal(graph->value[pad->output].shape, padded.shape));
    slice->op->forward(&(crumb_op_call){.params = slice->params, .inputs = 1, .x = {whole}, .y = half});
    pad->op->forward(&(crumb_op_call){.params = pad->params, .inputs = 1, .x = {half}, .y = padded});
    for (int i = 0; i < 3 * 2 * 32; i++) {
        int c = i % 32 - 8, column = i / 32 % 2, row = i / 64;
        assert_float_equal(y[i], c < 0 || c >= 16 ? 0.0f : x[(2 * row * 4 + 2 * column) * 16 + c], 0);
    }
    crumb_graph_destroy(graph);
}

static void test_decay(void **state) {
    crumb_ctx *ctx = *state;
    crumb_graph *graph = build(ctx, "vgg11", NULL, CRUMB_SHAPE(1, 32, 32, 3), 10);
    assert_true(graph->value[crumb_graph_find(graph, "features.0.weight")].decay == 1.0f);
    assert_true(graph->value[crumb_graph_find(graph, "features.0.bias")].decay == 0.0f);
    assert_true(graph->value[crumb_graph_find(graph, "features.1.weight")].decay == 0.0f);
    assert_true(graph->value[crumb_graph_find(graph, "classifier.weight")].decay == 1.0f);
    assert_true(graph->value[crumb_graph_find(graph, "features.1.running_var")].data[63] == 1.0f);
    crumb_graph_destroy(graph);
    /* Batch norm without weight and bias: states that are 1 and 0 and stay so. */
    graph = build(ctx, "svhn-net", NULL, CRUMB_SHAPE(1, 32, 32, 3), 10);
    const crumb_value *weight = &graph->value[crumb_graph_find(graph, "features.1.weight")];
    assert_int_equal(weight->kind, CRUMB_VALUE_STATE);
    assert_true(weight->data[0] == 1.0f && weight[1].data[0] == 0.0f);
    crumb_graph_destroy(graph);
}

static void test_seed(void **state) {
    crumb_ctx *ctx = *state;
    crumb_graph *graph[3];
    const crumb_model *model = crumb_model_find("lenet5");
    for (int i = 0; i < 3; i++) {
        assert_ok(ctx, crumb_model_build(ctx, model, NULL, usual_image(model), 10, i < 2 ? 7 : 8, &graph[i]));
    }
    int value = crumb_graph_find(graph[0], "conv2.weight");
    size_t size = (size_t)crumb_shape_count(graph[0]->value[value].shape) * sizeof(float);
    assert_memory_equal(graph[0]->value[value].data, graph[1]->value[value].data, size);
    assert_memory_not_equal(graph[0]->value[value].data, graph[2]->value[value].data, size);
    for (int i = 0; i < 3; i++) {
        crumb_graph_destroy(graph[i]);
    }
}

static void refuse(crumb_ctx *ctx, const char *name, int64_t size, const char *words) {
    const crumb_model *model = crumb_model_find(name);
    crumb_graph *graph = NULL;
    assert_fails(ctx, CRUMB_ERROR_SHAPE, words,
                 crumb_model_build(ctx, model, NULL, CRUMB_SHAPE(1, size, size, 3), 10, 1, &graph));
    assert_null(graph);
}

/* One pixel less than the smallest image that passes. */
static void test_too_small(void **state) {
    crumb_ctx *ctx = *state;
    static const struct {
        const char *name;
        int64_t least;
    } sizes[] = {{"alexnet-bn", 63},      {"bireal-resnet18", 1}, {"lenet5", 16}, {"mlp", 1},  {"resnet18", 1}, {"resnet20", 1},
                 {"simplenet-cifar", 16}, {"svhn-net", 32},       {"vgg11", 32},  {"vgg7", 8}, {"vgg9", 8}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        param_block narrow = with(ctx, sizes[i].name, "width", "0.1");
        crumb_graph *graph = build(ctx, sizes[i].name, narrow.bytes, CRUMB_SHAPE(1, sizes[i].least, sizes[i].least, 3), 10);
        check_output(graph, 10);
        crumb_graph_destroy(graph);
        char words[64];
        snprintf(words, sizeof(words), "%s on images of %dx%dx3: ", sizes[i].name, (int)sizes[i].least - 1,
                 (int)sizes[i].least - 1);
        refuse(ctx, sizes[i].name, sizes[i].least - 1, sizes[i].least > 1 ? words : sizes[i].name);
    }
    refuse(ctx, "lenet5", 12, "lenet5 on images of 12x12x3: conv2: ");
}

static void test_bad_arguments(void **state) {
    crumb_ctx *ctx = *state;
    const crumb_model *model = crumb_model_find("mlp");
    crumb_graph *graph = NULL;
    crumb_shape image = CRUMB_SHAPE(1, 4, 4, 1);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "mlp: 0 classes", crumb_model_build(ctx, model, NULL, image, 0, 1, &graph));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "classes", crumb_model_build(ctx, model, NULL, image, INT64_MAX, 1, &graph));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "mlp: 4x4x1 is not the shape",
                 crumb_model_build(ctx, model, NULL, CRUMB_SHAPE(4, 4, 1), 10, 1, &graph));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "mlp: 2x4x4x1 is not the shape",
                 crumb_model_build(ctx, model, NULL, CRUMB_SHAPE(2, 4, 4, 1), 10, 1, &graph));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "is not the shape",
                 crumb_model_build(ctx, model, NULL, CRUMB_SHAPE(1, INT64_MAX, INT64_MAX, 3), 10, 1, &graph));
    param_block params = with(ctx, "mlp", "hidden", "[16, 2.5]");
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "hidden: 2.5", crumb_model_build(ctx, model, params.bytes, image, 10, 1, &graph));
    assert_null(graph);
}

/* Shapes of layers that the networks do not use, or use with one set of numbers only. */
static void test_layers(void **state) {
    crumb_ctx *ctx = *state;
    crumb_graph *graph;
    int x, y;
    assert_ok(ctx, crumb_graph_create(ctx, &graph));
    assert_ok(ctx, crumb_graph_input(graph, "x", CRUMB_SHAPE(1, 9, 8, 6), &x));
    crumb_conv conv = {.out = 4, .kernel = 3, .stride = 2, .dilation = 2, .padding = 1, .groups = 2, .bias = true};
    assert_ok(ctx, crumb_graph_conv2d(graph, "conv", x, conv, &y)); /* windows of 5 on 11x10: 4x3 */
    assert_true(crumb_shape_equal(graph->value[y].shape, CRUMB_SHAPE(1, 4, 3, 4)));
    assert_true(crumb_shape_equal(shape_of(graph, "conv.weight"), CRUMB_SHAPE(4, 3, 3, 3)));
    assert_true(crumb_shape_equal(shape_of(graph, "conv.bias"), CRUMB_SHAPE(4)));
    assert_ok(ctx, crumb_graph_average_pool(graph, "pool", x, 3, 2, &y)); /* the last column has two pixels in the image */
    assert_true(crumb_shape_equal(graph->value[y].shape, CRUMB_SHAPE(1, 4, 4, 6)));
    assert_ok(ctx, crumb_graph_pad_channels(graph, "pad", y, 1, 3, &y));
    assert_true(crumb_shape_equal(graph->value[y].shape, CRUMB_SHAPE(1, 4, 4, 10)));
    assert_ok(ctx, crumb_graph_subsample(graph, "every third", y, 3, &y));
    assert_true(crumb_shape_equal(graph->value[y].shape, CRUMB_SHAPE(1, 2, 2, 10)));
    assert_ok(ctx, crumb_graph_prelu(graph, "prelu", y, &y));
    assert_true(crumb_shape_equal(shape_of(graph, "prelu.weight"), CRUMB_SHAPE(10)));
    assert_ok(ctx, crumb_graph_shift(graph, "shift", y, &y));
    assert_true(crumb_shape_equal(shape_of(graph, "shift.bias"), CRUMB_SHAPE(10)));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "already", crumb_graph_conv2d(graph, "conv", x, conv, &y));
    crumb_graph_destroy(graph);
}

static void test_bad_layers(void **state) {
    crumb_ctx *ctx = *state;
    crumb_graph *graph;
    int x, flat, y = -5;
    assert_ok(ctx, crumb_graph_create(ctx, &graph));
    assert_ok(ctx, crumb_graph_input(graph, "x", CRUMB_SHAPE(1, 4, 4, 6), &x));
    assert_ok(ctx, crumb_graph_flatten(graph, "flatten", x, &flat));
    crumb_conv conv = {.out = 8, .kernel = 3, .groups = 4};
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "c: 8 filters of 3x3 on 6 channels in 4 groups",
                 crumb_graph_conv2d(graph, "c", x, conv, &y));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "c: 0 filters", crumb_graph_conv2d(graph, "c", x, (crumb_conv){.kernel = 1}, &y));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "c: the input must have 4 dimensions, it is 1x96",
                 crumb_graph_conv2d(graph, "c", flat, conv, &y));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "l: the input must have 2", crumb_graph_linear(graph, "l", x, 3, true, &y));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "l: 0 outputs", crumb_graph_linear(graph, "l", flat, 0, true, &y));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "value 99", crumb_graph_batch_norm(graph, "b", 99, true, &y));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "r: input 0 is value -1", crumb_graph_relu(graph, "r", -1, &y));
    char longest[200];
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "longer than", crumb_graph_linear(graph, longest, flat, 3, true, &y));
    assert_int_equal(y, -5); /* results are untouched on failure */
    crumb_graph_destroy(graph);
}

static crumb_status build_narrow(crumb_ctx *ctx, void *user) {
    const crumb_model *model = user;
    _Alignas(16) unsigned char params[CRUMB_MODEL_PARAMS_MAX] = {0};
    crumb_params_preset(model->params, params);
    *(double *)params = 0.05;
    crumb_shape image = model->height > 100 ? CRUMB_SHAPE(1, 67, 67, 3) : usual_image(model);
    crumb_graph *graph = NULL;
    CRUMB_TRY(crumb_model_build(ctx, model, params, image, 10, 1, &graph));
    crumb_graph_destroy(graph);
    return CRUMB_OK;
}

static void test_allocations(void **state) {
    (void)state;
    for (int i = 0; crumb_models[i] != NULL; i++) {
        test_every_allocation(build_narrow, (void *)crumb_models[i]);
    }
}

static test_memory memory;

static int setup(void **state) {
    memory = (test_memory){0};
    *state = test_ctx(&memory, 1);
    return *state == NULL;
}

static int teardown(void **state) {
    crumb_ctx_destroy(*state);
    return memory.live != 0; /* a leak */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_width, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_node_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identity_shortcut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_decay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_small, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_layers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_layers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_allocations, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
