/* Every network runs: forward and backward through a plan, narrow, on a small batch. */
#include "graph/exec.h"

#include "harness.h"

#include "base/param.h"

enum { BATCH = 2, CLASSES = 5 };

/* A network of the row with a quarter of its filters (two convolution groups stay), its usual image or a small one. */
static crumb_graph *build(crumb_ctx *ctx, const crumb_model *model) {
    _Alignas(16) unsigned char params[CRUMB_MODEL_PARAMS_MAX] = {0};
    crumb_params_preset(model->params, params);
    *(double *)params = 0.25;
    int64_t side = model->height > 100 ? 67 : model->height;
    crumb_graph *graph;
    assert_ok(ctx, crumb_model_build(ctx, model, params, CRUMB_SHAPE(1, side, side, model->channels), CLASSES, 1, &graph));
    return graph;
}

static crumb_exec *plan(crumb_ctx *ctx, crumb_graph *graph, bool backward, bool reference) {
    crumb_exec *exec;
    crumb_exec_options options = {.batch = BATCH, .backward = backward, .reference = reference};
    assert_ok(ctx, crumb_exec_create(graph, &options, &exec));
    float *image = crumb_exec_value(exec, graph->image);
    crumb_rng rng = crumb_rng_at(5, 0, 0);
    for (int64_t i = 0; i < crumb_shape_count(crumb_exec_shape(exec, graph->image)); i++) {
        image[i] = crumb_rng_normal(&rng);
    }
    return exec;
}

static void check_finite(const char *name, const float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) {
            fail_msg("%s: value %lld is %g", name, (long long)i, (double)values[i]);
        }
    }
}

/* A training step: the loss of untrained logits is near ln 5, and its gradient reaches every parameter. */
static void test_training(void **state) {
    (void)state;
    for (int i = 0; crumb_models[i] != NULL; i++) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 2);
        crumb_graph *graph = build(ctx, crumb_models[i]);
        int labels, loss;
        assert_ok(ctx, crumb_graph_input(graph, "labels", CRUMB_SHAPE(1), &labels));
        assert_ok(ctx, crumb_graph_node(graph, "loss", &crumb_op_softmax_cross_entropy, NULL, 2, (int[]){graph->logits, labels},
                                        &loss));
        crumb_exec *exec = plan(ctx, graph, true, false);
        for (int n = 0; n < BATCH; n++) {
            crumb_exec_value(exec, labels)[n] = (float)n;
        }
        crumb_exec_forward(exec, true, 1, 0);
        crumb_exec_backward(exec, loss);
        float value = crumb_exec_value(exec, loss)[0];
        if (!(value > 0.3f && value < 6.0f)) {
            fail_msg("%s starts with a loss of %g", crumb_models[i]->name, (double)value);
        }
        for (int v = 0; v < graph->values; v++) {
            if (graph->value[v].kind == CRUMB_VALUE_PARAM) {
                assert_non_null(crumb_exec_gradient(exec, v));
                check_finite(graph->value[v].name, crumb_exec_gradient(exec, v), crumb_shape_count(graph->value[v].shape));
            }
        }
        crumb_exec_destroy(exec);
        crumb_graph_destroy(graph);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

/* The backend's plan and the reference's give the same logits: only the order of sums differs, and 1e-4 is a thousand
 * roundings. */
static void test_evaluation(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 2);
    for (int i = 0; crumb_models[i] != NULL; i++) {
        crumb_graph *graph = build(ctx, crumb_models[i]);
        crumb_exec *fast = plan(ctx, graph, false, false), *reference = plan(ctx, graph, false, true);
        crumb_exec_forward(fast, false, 0, 0);
        crumb_exec_forward(reference, false, 0, 0);
        const float *a = crumb_exec_value(fast, graph->logits), *b = crumb_exec_value(reference, graph->logits);
        double difference = 0, size = 0;
        for (int k = 0; k < BATCH * CLASSES; k++) {
            difference += ((double)a[k] - b[k]) * ((double)a[k] - b[k]);
            size += (double)b[k] * b[k];
        }
        assert_true(size > 0);
        if (!(sqrt(difference / size) <= 1e-4)) {
            fail_msg("%s: logits differ by %g", crumb_models[i]->name, sqrt(difference / size));
        }
        crumb_exec_destroy(fast);
        crumb_exec_destroy(reference);
        crumb_graph_destroy(graph);
    }
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_evaluation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
