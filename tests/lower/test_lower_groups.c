/* Weights with a scale for each group of inputs: linear layers, also behind a flattened map, and convolutions of 1 x 1 are
 * packed and compute what the trained graph does, to the bit; other convolutions are refused, when they are quantized, and when
 * they came so. */
#include "lower/lowered.h"
#include "ops/params.h"

/* image -> 3x3 (float) -> 1x1 -> flatten -> linear -> linear */
static crumb_status build(crumb_ctx *ctx, crumb_graph **out) {
    crumb_graph *graph;
    int x;
    CRUMB_TRY(crumb_graph_create(ctx, &graph));
    crumb_status status = crumb_graph_input(graph, "image", CRUMB_SHAPE(1, 6, 5, 3), &x);
    graph->image = x;
#define THEN(call) status = status == CRUMB_OK ? (call) : status
    THEN(crumb_graph_conv2d(graph, "first", x, (crumb_conv){.out = 24, .kernel = 3, .padding = 1}, &x));
    THEN(crumb_graph_batch_norm(graph, "norm", x, true, &x));
    THEN(crumb_graph_relu(graph, "relu", x, &x));
    THEN(crumb_graph_conv2d(graph, "wide", x, (crumb_conv){.out = 35, .kernel = 1, .stride = 2}, &x));
    THEN(crumb_graph_batch_norm(graph, "norm2", x, true, &x));
    THEN(crumb_graph_relu(graph, "relu2", x, &x));
    THEN(crumb_graph_flatten(graph, "flatten", x, &x));
    THEN(crumb_graph_linear(graph, "fc1", x, 33, true, &x));
    THEN(crumb_graph_relu(graph, "relu3", x, &x));
    THEN(crumb_graph_linear(graph, "fc2", x, 7, true, &x));
#undef THEN
    if (status != CRUMB_OK) {
        crumb_graph_destroy(graph);
        return status;
    }
    graph->logits = x;
    crumb_graph_initialise(graph, 3);
    *out = graph;
    return CRUMB_OK;
}

typedef struct setting {
    const char *weights, *group, *activations; /* activations NULL: float */
    int bits;
    crumb_edge first;
} setting;

static crumb_quant_policy policy_of(crumb_ctx *ctx, const setting *set) {
    crumb_quant_policy policy = {.first = set->first};
    assert_ok(ctx, crumb_quant_choose(ctx, set->weights, true, set->bits, &policy.weights));
    const crumb_param *param = crumb_param_find(policy.weights.quantizer->params, "group");
    assert_ok(ctx, crumb_param_set(ctx, param, policy.weights.params, set->group));
    if (set->activations != NULL) {
        assert_ok(ctx, crumb_quant_choose(ctx, set->activations, false, 4, &policy.activations));
    }
    return policy;
}

static crumb_graph *quantized(crumb_ctx *ctx, const setting *set) {
    crumb_quant_policy policy = policy_of(ctx, set);
    crumb_graph *plain = NULL, *graph = NULL;
    assert_ok(ctx, build(ctx, &plain));
    assert_ok(ctx, crumb_graph_quantize(plain, &policy, &graph));
    crumb_graph_destroy(plain);
    lowered_observe(graph, 5);
    lowered_age(graph, 5);
    return graph;
}

static void test_exact(void **state) {
    (void)state;
    static const setting settings[] = {
        {"minmax", "16", NULL, 2, CRUMB_EDGE_FLOAT},      {"minmax", "32", NULL, 3, CRUMB_EDGE_FLOAT},
        {"minmax", "128", NULL, 8, CRUMB_EDGE_FLOAT},     {"uniform", "16", NULL, 3, CRUMB_EDGE_FLOAT},
        {"uniform", "64", "minmax", 2, CRUMB_EDGE_FLOAT}, {"minmax", "16", "lsq", 4, CRUMB_EDGE_8BIT},
    };
    crumb_ctx *ctx = test_ctx(&(test_memory){0}, 1);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        crumb_graph *graph = quantized(ctx, &settings[i]);
        crumb_packed *packed;
        assert_ok(ctx, lowered(graph, &packed));
        int32_t group = atoi(settings[i].group), grouped = 0;
        for (int32_t n = 0; n < packed->nodes; n++) {
            const crumb_packed_node *node = &packed->node[n];
            int32_t found = node->op == CRUMB_PACKED_CONV2D ? crumb_packed_group(packed, node) : 0;
            assert_true(found == 0 || found == group);
            grouped += found == group;
        }
        assert_int_equal(grouped, 1 + (group < 24) + (group < 33)); /* fc1 has 315 inputs */
        lowered_difference difference = lowered_compare(graph, packed, i);
        assert_true(difference.logits <= 1e-4 * difference.largest + 1e-6 || settings[i].activations != NULL);
        crumb_packed_close(packed);
        crumb_graph_destroy(graph);
    }
    crumb_ctx_destroy(ctx);
}

static void test_refused(void **state) {
    (void)state;
    crumb_ctx *ctx = test_ctx(&(test_memory){0}, 1);
    crumb_quant_policy policy = policy_of(ctx, &(setting){"minmax", "16", NULL, 4, CRUMB_EDGE_SAME});
    crumb_graph *plain, *graph = NULL;
    assert_ok(ctx, build(ctx, &plain));
    assert_int_equal(crumb_graph_quantize(plain, &policy, &graph), CRUMB_ERROR_UNSUPPORTED);
    assert_null(graph);
    assert_non_null(
        strstr(crumb_message(ctx), "first: scales of groups of 16 weights want a linear layer or a kernel of 1 x 1"));
    crumb_graph_destroy(plain);
    crumb_ctx_destroy(ctx);
}

/* A network that came with its quantizers, as imports do: image -> 3x3 with scales of groups. */
static void test_refused_later(void **state) {
    (void)state;
    crumb_ctx *ctx = test_ctx(&(test_memory){0}, 1);
    crumb_quant_choice choice = policy_of(ctx, &(setting){"minmax", "16", NULL, 4, CRUMB_EDGE_SAME}).weights;
    crumb_quant site = {.quantizer = choice.quantizer, .bits = choice.bits, .weight = true};
    memcpy(site.params, choice.params, sizeof(site.params));
    crumb_shape shape = CRUMB_SHAPE(8, 3, 3, 3);
    crumb_quant_fit(&site, shape);
    crumb_graph *graph;
    int x, quantize[CRUMB_INPUTS_MAX], inputs = 1, conv[2];
    assert_ok(ctx, crumb_graph_create(ctx, &graph));
    assert_ok(ctx, crumb_graph_input(graph, "image", CRUMB_SHAPE(1, 6, 6, 3), &x));
    assert_ok(ctx, crumb_graph_param(graph, "conv.weight", shape, true, &quantize[0]));
    for (const crumb_quant_state *row = site.quantizer->state; row != NULL && row->name != NULL; row++, inputs++) {
        crumb_shape count = CRUMB_SHAPE(crumb_quant_state_count(&site, inputs - 1));
        assert_ok(ctx, crumb_graph_state(graph, row->name, count, row->preset, &quantize[inputs]));
    }
    conv[0] = graph->image = x;
    assert_ok(ctx, crumb_graph_node(graph, "quantize", &crumb_op_quantize, &site, inputs, quantize, &conv[1]));
    crumb_conv2d_params params = {.stride = 1, .padding = 1, .dilation = 1, .groups = 1};
    assert_ok(ctx, crumb_graph_node(graph, "conv", &crumb_op_conv2d, &params, 2, conv, &x));
    assert_ok(ctx, crumb_graph_flatten(graph, "flatten", x, &graph->logits));
    crumb_graph_initialise(graph, 3);
    crumb_packed *packed;
    assert_int_equal(lowered(graph, &packed), CRUMB_ERROR_UNSUPPORTED);
    assert_non_null(strstr(crumb_message(ctx), "conv"));
    assert_non_null(strstr(crumb_message(ctx), "scales of groups of 16 weights want a linear layer or a kernel of 1 x 1"));
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_refused_later)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
