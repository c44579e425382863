/* The binary ResNet-18: where its quantizers stand, which layers stay float, what its parts compute. */
#include "graph/exec.h"

#include "harness.h"

#include "base/param.h"

enum { CLASSES = 10 };

static crumb_graph *build(crumb_ctx *ctx, const char *const *settings, crumb_shape image) {
    const crumb_model *model = crumb_model_find("bireal-resnet18");
    _Alignas(16) unsigned char params[CRUMB_MODEL_PARAMS_MAX] = {0};
    crumb_params_preset(model->params, params);
    for (; settings != NULL && settings[0] != NULL; settings += 2) {
        assert_ok(ctx, crumb_param_set(ctx, crumb_param_find(model->params, settings[0]), params, settings[1]));
    }
    crumb_graph *graph;
    assert_ok(ctx, crumb_model_build(ctx, model, params, image, CLASSES, 1, &graph));
    return graph;
}

static const char *const thin[] = {"width", "0.125", "stem", "cifar", NULL};

static int find_node(const crumb_graph *graph, const char *name) {
    for (int i = 0; i < graph->nodes; i++) {
        if (strcmp(graph->node[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("no node %s", name);
    return -1;
}

/* Even a rule for every layer leaves the 1x1 shortcuts float; nothing else stays float but what the policy says. */
static void shortcuts_stay_float(void **state) {
    crumb_ctx *ctx = *state;
    crumb_graph *plain = build(ctx, thin, CRUMB_SHAPE(1, 32, 32, 3)), *graph;
    static crumb_quant_policy policy;
    policy = (crumb_quant_policy){.first = CRUMB_EDGE_FLOAT, .last = CRUMB_EDGE_8BIT, .rules = 1};
    assert_ok(ctx, crumb_quant_choose(ctx, "ctmq", true, 1, &policy.weights));
    assert_ok(ctx, crumb_quant_choose(ctx, "ctmq", false, 1, &policy.activations));
    policy.rule[0] = (crumb_quant_rule){.match = "*downsample*",
                                        .set_weights = true,
                                        .set_activations = true,
                                        .weights = policy.weights,
                                        .activations = policy.activations};
    assert_ok(ctx, crumb_graph_quantize(plain, &policy, &graph));
    int quantized = 0, kept = 0, layers = 0;
    for (int nth = 0, at; (at = crumb_graph_layer(graph, nth)) >= 0; nth++, layers++) {
        const crumb_node *layer = &graph->node[at];
        int producer = graph->value[layer->input[0]].node, weights = graph->value[layer->input[1]].node;
        bool has_input = producer >= 0 && crumb_node_site(graph, producer) != NULL;
        bool has_weights = weights >= 0 && crumb_node_site(graph, weights) != NULL;
        bool shortcut = strstr(layer->name, "downsample") != NULL;
        assert_true(layer->keep_float == shortcut);
        assert_true(has_input == has_weights);
        assert_true(has_weights != (shortcut || nth == 0));
        if (has_input && strcmp(layer->name, "fc") != 0) { /* the quantizer stands behind the learned shift */
            const crumb_node *site = &graph->node[producer];
            assert_string_equal(graph->node[graph->value[site->input[0]].node].op->name, "shift");
        }
        quantized += has_weights;
        kept += shortcut;
    }
    assert_int_equal(layers, 1 + 16 + 3 + 1);
    assert_int_equal(quantized, 16 + 1);
    assert_int_equal(kept, 3);
    crumb_graph_destroy(graph);
    crumb_graph_destroy(plain);
}

/* Odd sizes: the pooled shortcut has as many pixels as the convolution of stride 2. */
static void sizes_fit(void **state) {
    crumb_ctx *ctx = *state;
    static const int64_t sizes[][2] = {{32, 32}, {33, 32}, {31, 29}, {1, 5}, {2, 2}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        crumb_graph *graph = build(ctx, thin, CRUMB_SHAPE(1, sizes[i][0], sizes[i][1], 3));
        const crumb_node *pool = &graph->node[find_node(graph, "avgpool")];
        crumb_shape last = graph->value[pool->input[0]].shape;
        assert_true(crumb_shape_equal(last, CRUMB_SHAPE(1, (sizes[i][0] + 7) / 8, (sizes[i][1] + 7) / 8, 64)));
        crumb_graph_destroy(graph);
    }
}

static void blocks_and_dropout(void **state) {
    crumb_ctx *ctx = *state;
    const char *const shallow[] = {"width", "0.25", "stem", "cifar", "blocks", "1", "dropout", "0.5", NULL};
    crumb_graph *graph = build(ctx, shallow, CRUMB_SHAPE(1, 32, 32, 3));
    int layers = 0;
    while (crumb_graph_layer(graph, layers) >= 0) {
        layers++;
    }
    assert_int_equal(layers, 1 + 8 + 3 + 1);
    assert_string_equal(graph->node[find_node(graph, "dropout")].op->name, "dropout");
    assert_int_equal(crumb_graph_find(graph, "layer1.1.conv1.weight"), -1);
    crumb_graph_destroy(graph);
}

/* RPReLU from its parts, and that shifts start at 0 and slopes at 1/4. */
static void rprelu_computes(void **state) {
    crumb_ctx *ctx = *state;
    crumb_graph *graph = build(ctx, thin, CRUMB_SHAPE(1, 8, 8, 3));
    const char *const names[] = {"layer1.0.rprelu1.0.bias", "layer1.0.rprelu1.1.weight", "layer1.0.rprelu1.2.bias"};
    float *stored[3];
    for (int i = 0; i < 3; i++) {
        const crumb_value *value = &graph->value[crumb_graph_find(graph, names[i])];
        assert_true(value->data[0] == (i == 1 ? 0.25f : 0.0f) && value->decay == 0.0f);
        stored[i] = value->data;
    }
    stored[0][2] = -0.5f;
    stored[2][2] = 3.0f;
    crumb_exec *exec;
    crumb_exec_options options = {.batch = 1, .reference = true, .keep = true};
    assert_ok(ctx, crumb_exec_create(graph, &options, &exec));
    float *image = crumb_exec_value(exec, graph->image);
    crumb_rng rng = crumb_rng_at(5, 0, 0);
    for (int i = 0; i < 8 * 8 * 3; i++) {
        image[i] = crumb_rng_normal(&rng);
    }
    crumb_exec_forward(exec, false, 0, 0);
    const float *x = crumb_exec_value(exec, graph->node[find_node(graph, "layer1.0.add1")].output);
    const float *y = crumb_exec_value(exec, graph->node[find_node(graph, "layer1.0.rprelu1.2")].output);
    for (int i = 0; i < 8 * 8 * 8; i++) {
        float b = i % 8 == 2 ? -0.5f : 0.0f, c = i % 8 == 2 ? 3.0f : 0.0f, v = x[i] + b;
        assert_true(y[i] == (v > 0 ? v : 0.25f * v) + c);
    }
    crumb_exec_destroy(exec);
    crumb_graph_destroy(graph);
}

static int setup(void **state) {
    crumb_ctx *ctx;
    int status = crumb_ctx_create(&ctx, NULL);
    *state = ctx;
    return status;
}

static int teardown(void **state) {
    crumb_ctx_destroy(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shortcuts_stay_float),
        cmocka_unit_test(sizes_fit),
        cmocka_unit_test(blocks_and_dropout),
        cmocka_unit_test(rprelu_computes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
