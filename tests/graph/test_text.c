/* Graphs as text: every network of models.inc reads back to the same text and the same shapes; texts that lie are refused by
 * line. */
#include "harness.h"

#include "base/param.h"
#include "graph/graph.h"

static crumb_graph *build(crumb_ctx *ctx, const crumb_model *model) {
    _Alignas(16) unsigned char params[CRUMB_MODEL_PARAMS_MAX] = {0};
    crumb_graph *graph;
    crumb_params_preset(model->params, params);
    assert_ok(ctx, crumb_param_set(ctx, crumb_param_find(model->params, "width"), params, "0.1"));
    assert_ok(ctx, crumb_model_build(ctx, model, params, CRUMB_SHAPE(1, model->height, model->width, model->channels), 10, 1,
                                     &graph));
    return graph;
}

static void test_models(void **state) {
    (void)state;
    for (int i = 0; crumb_models[i] != NULL; i++) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        crumb_graph *graph = build(ctx, crumb_models[i]), *again;
        char *text, *twice;
        assert_ok(ctx, crumb_graph_print(graph, &text));
        assert_ok(ctx, crumb_graph_parse(ctx, "t", text, 1 << 28, &again));
        assert_ok(ctx, crumb_graph_print(again, &twice));
        assert_string_equal(text, twice);
        assert_int_equal(graph->logits, again->logits);
        for (int v = 0; v < graph->values; v++) {
            assert_true(crumb_shape_equal(graph->value[v].shape, again->value[v].shape));
            assert_true(graph->value[v].decay == again->value[v].decay);
        }
        int copied, stored = 0;
        crumb_graph_copy(again, graph, &copied);
        for (int v = 0; v < graph->values; v++) {
            stored += graph->value[v].data != NULL;
        }
        assert_int_equal(copied, stored);
        crumb_free(ctx, text);
        crumb_free(ctx, twice);
        crumb_graph_destroy(graph);
        crumb_graph_destroy(again);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

#define HEAD "crumb graph 1\ninput image 1x4x4x2\nparam w 3x32 decay=1 rate=1\n"

static const struct {
    const char *text, *message;
} bad[] = {
    {"", "t: line 1 of its graph: not a graph"},
    {"crumb graph 2\n", "not a graph: 'crumb'"},
    {HEAD, "the graph has no image or no logits"},
    {HEAD "node f flatten 7 :\n", "line 4 of its graph: no line above is '7'"},
    {HEAD "node f flatten -1 :\n", "no line above is '-1'"},
    {HEAD "node f nothing 0 :\n", "there is no op 'nothing'"},
    {HEAD "node f flatten 0\n", "no line above is ''"},
    {HEAD "node f flatten 0 : axis=1;\n", "unknown parameter 'axis'"},
    {HEAD "node f relu 0 : keep_float\n", "no value in 'keep_float'"},
    {HEAD "node f clip 0 : min=x;\n", "line 4 of its graph: min"},
    {HEAD "node f linear 0 1 :\n", "linear: x must be [N,I]"},
    {HEAD "param v 1x0x2 decay=1 rate=1\n", "no shape '1x0x2'"},
    {HEAD "param v 3x3\n", "no decay and rate"},
    {HEAD "param w 3 decay=1 rate=1\n", "there is already a tensor of that name"},
    {HEAD "state v 2147483647x2147483647x2147483647\n",
     "more values than the file can hold: '2147483647x2147483647x2147483647'"},
    {HEAD "state v 99999999999\n", "no shape '99999999999'"},
    {HEAD "node f flatten 0 :\nlogits 9\n", "no line above that gives logits is '9'"},
    {HEAD "node f relu 0 :\nlogits 2\n", "no line above that gives logits is '2'"},
    {HEAD "node f flatten 0 :\nlogits 2\nstate v 3\n", "behind the logits: 'state'"},
    {HEAD "weights 3\n", "unknown word 'weights'"},
};

static void test_bad(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        crumb_graph *graph;
        crumb_status status = crumb_graph_parse(ctx, "t", bad[i].text, 1 << 20, &graph);
        assert_true(status == CRUMB_ERROR_FORMAT || status == CRUMB_ERROR_ARGUMENT);
        if (strstr(crumb_message(ctx), bad[i].message) == NULL) {
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, crumb_message(ctx), bad[i].message);
        }
    }
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static crumb_status parse_one(crumb_ctx *ctx, void *user) {
    crumb_graph *graph;
    char *text;
    CRUMB_TRY(crumb_graph_parse(ctx, "t", user, 1 << 20, &graph));
    crumb_status status = crumb_graph_print(graph, &text);
    if (status == CRUMB_OK) {
        assert_string_equal(text, user);
        crumb_free(ctx, text);
    }
    crumb_graph_destroy(graph);
    return status;
}

static void test_memory_fails(void **state) {
    (void)state;
    test_every_allocation(parse_one, HEAD "node f flatten 0 :\nnode g linear 2 1 : keep_float=true;\nlogits 3\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models), cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_memory_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
