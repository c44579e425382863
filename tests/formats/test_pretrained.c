/* The pretrained CIFAR-10 networks fill crumb's networks tensor by tensor (needs the real data). */
#include "harness.h"

#include "formats/safetensors.h"

static void test_pretrained(void **state) {
    (void)state;
    for (int layers = 20; layers <= 56; layers += 12) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        crumb_graph *graph;
        crumb_safetensors *file;
        char model[32], real[512];
        snprintf(model, sizeof(model), "resnet%d", layers);
        snprintf(real, sizeof(real), "%s/weights/%s-cifar10.safetensors", test_data(), model);
        assert_ok(ctx, crumb_safetensors_open(ctx, real, &file));
        assert_ok(ctx, crumb_model_build(ctx, crumb_model_find(model), NULL, CRUMB_SHAPE(1, 32, 32, 3), 10, 1, &graph));
        assert_ok(ctx, crumb_graph_load(graph, "", file, true));
        float first;
        crumb_safetensor weight = crumb_safetensors_at(file, crumb_safetensors_find(file, "module.conv1.weight"));
        memcpy(&first, weight.data, sizeof(first));
        assert_true(first == graph->value[crumb_graph_find(graph, "conv1.weight")].data[0]);
        crumb_safetensors_close(file);
        crumb_graph_destroy(graph);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

int main(void) {
    if (test_data() == NULL) {
        return TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pretrained)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
