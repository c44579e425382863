/* The real networks, narrow, under several quantizers, lowered and exported as C: compiled, each gives the logits of a session,
 * bit for bit. */
#include "codegen/compiled.h"
#include "lower/lowered.h"

typedef struct setting {
    const char *weights, *activations; /* NULL: float */
    int weight_bits, activation_bits;
    crumb_edge edge;
    bool shortcut;
} setting;

static const setting settings[] = {
    {"lsq", "lsq", 2, 2, CRUMB_EDGE_8BIT, false},      {"twn", NULL, 2, 32, CRUMB_EDGE_FLOAT, false},
    {"xnor", "sign", 1, 1, CRUMB_EDGE_8BIT, true},     {"ctmq", "ctmq", 4, 3, CRUMB_EDGE_SAME, true},
    {"minmax", "minmax", 8, 8, CRUMB_EDGE_SAME, true},
};

static crumb_graph *build(crumb_ctx *ctx, const crumb_model *model, const setting *set, uint64_t seed) {
    _Alignas(16) unsigned char params[CRUMB_MODEL_PARAMS_MAX] = {0};
    crumb_quant_policy policy = {.first = set->edge, .last = set->edge, .shortcut = set->shortcut};
    crumb_graph *plain, *graph;
    int64_t side = model->height >= 224 ? 64 : model->height;
    crumb_params_preset(model->params, params);
    *(double *)(void *)params = 0.125;
    assert_ok(ctx, crumb_quant_choose(ctx, set->weights, true, set->weight_bits, &policy.weights));
    if (set->activations != NULL) {
        assert_ok(ctx, crumb_quant_choose(ctx, set->activations, false, set->activation_bits, &policy.activations));
    }
    assert_ok(ctx, crumb_model_build(ctx, model, params, CRUMB_SHAPE(1, side, side, model->channels), 7, seed, &plain));
    assert_ok(ctx, crumb_graph_quantize(plain, &policy, &graph));
    crumb_graph_destroy(plain);
    lowered_observe(graph, seed);
    lowered_age(graph, seed);
    return graph;
}

/* One setting a model, and of the first model all: every model and every setting is there, and the compiler has an end. */
static void models(void **state) {
    (void)state;
    const size_t count = sizeof(settings) / sizeof(settings[0]);
    crumb_ctx *ctx = test_ctx(&(test_memory){0}, 1);
    compiled c;
    compiled_begin(&c);
    for (size_t m = 0; crumb_models[m] != NULL; m++) {
        for (size_t i = 0; i < count; i++) {
            if (m == 0 || i == m % count) {
                crumb_graph *graph = build(ctx, crumb_models[m], &settings[i], m * count + i);
                crumb_packed *packed;
                assert_ok(ctx, lowered(graph, &packed));
                compiled_add(&c, packed, m % 3 == 2);
                crumb_graph_destroy(graph);
            }
        }
    }
    compiled_build(&c, "-O1");
    compiled_check(&c, 2);
    crumb_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
