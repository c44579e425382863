/* Imported networks: an ONNX file becomes a model file that reads back to the same values; a recipe that names it trains it
 * quantized, and what comes out describes itself. */
#include "train/fixture.h"

#include "onnx/sample.h"
#include "train/imported.h"
#include "train/network.h"

static const char *model_file(void) {
    static char path[256];
    if (path[0] == '\0') {
        sample s;
        sample_names names;
        crumb_ctx *ctx;
        sample_classifier(&s, &names, 1, FIXTURE_CLASSES);
        size_t size;
        uint8_t *bytes = sample_pack(&s.model, &size);
        snprintf(path, sizeof(path), "%s/net.onnx", fixture_data());
        assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
        assert_ok(ctx, crumb_file_write(ctx, path, bytes, size));
        crumb_ctx_destroy(ctx);
        free(bytes);
    }
    return path;
}

static crumb_status import_and_save(crumb_ctx *ctx, void *user) {
    crumb_network *network, *again;
    CRUMB_TRY(crumb_network_import(ctx, model_file(), NULL, NULL, 0, 0, 0, 0, &network));
    crumb_status status = crumb_network_save(network, user);
    if (status == CRUMB_OK) {
        status = crumb_network_open(ctx, user, &again);
    }
    if (status == CRUMB_OK) {
        crumb_network_info info;
        crumb_network_describe(again, &info);
        assert_string_equal(info.model, "imported");
        assert_int_equal(info.classes, FIXTURE_CLASSES);
        assert_int_equal(info.layers, 2);
        for (int v = 0; v < network->graph->values; v++) {
            const crumb_value *value = &network->graph->value[v];
            int other = value->data != NULL ? crumb_graph_find(again->graph, value->name) : -1;
            assert_true(value->data == NULL || other >= 0);
            for (int64_t i = 0; value->data != NULL && i < crumb_shape_count(value->shape); i++) {
                assert_true(again->graph->value[other].data[i] == value->data[i]);
            }
        }
        crumb_network_close(again);
    }
    crumb_network_close(network);
    return status;
}

static void test_file(void **state) {
    (void)state;
    char path[256];
    snprintf(path, sizeof(path), "%s/net.safetensors", fixture_data());
    model_file();
    test_every_allocation(import_and_save, path);
}

static crumb_status load(crumb_ctx *ctx, const char *init, const char *more, crumb_recipe **recipe) {
    char path[256], text[2048];
    snprintf(path, sizeof(path), "%s/recipe.yaml", fixture_data());
    snprintf(text, sizeof(text),
             "model: {%sinit: %s}\n"
             "data: {train: \"idx:%s:train\", test: \"idx:%s:test\"}\n"
             "quantize: {weights: {name: lsq, bits: 2}, activations: {name: lsq, bits: 2}}\n"
             "train: {epochs: 30, batch: 32, optimizer: {name: adam, lr: 0.01}}\n",
             more, init, fixture_data(), fixture_data());
    CRUMB_TRY(crumb_file_write(ctx, path, text, strlen(text)));
    return crumb_recipe_load(ctx, path, NULL, 0, recipe);
}

/* Trains from `init` into a folder of its own; the path of the last model. */
static void train(crumb_ctx *ctx, const char *init, const char *name, char last[256]) {
    crumb_recipe *recipe;
    crumb_train_result result;
    char out[200];
    snprintf(out, sizeof(out), "%s/%s", fixture_data(), name);
    assert_ok(ctx, load(ctx, init, "", &recipe));
    assert_ok(ctx, crumb_train(recipe, &(crumb_train_options){.out = out}, &result));
    assert_true(result.val_top1 > 60); /* of four classes, 25 by guessing */
    assert_int_equal(result.weight_bits, 2);
    crumb_recipe_free(recipe);
    snprintf(last, 256, "%s/last.safetensors", out);
}

static void test_training(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    char last[256], further[256], *yaml;
    crumb_network *network;
    crumb_layer_info layer;
    train(ctx, model_file(), "first", last);
    assert_ok(ctx, crumb_network_open(ctx, last, &network));
    assert_true(crumb_network_layer(network, 0, &layer));
    assert_string_equal(layer.name, "c");
    assert_int_equal(layer.weight_bits, 2);
    assert_ok(ctx, crumb_recipe_print(network->recipe, &yaml));
    assert_non_null(strstr(yaml, "name: imported"));
    crumb_text_free(ctx, yaml);
    crumb_network_close(network);
    train(ctx, last, "second", further); /* a model file as the start of another run */
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_errors(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_recipe *recipe;
    crumb_train_result result;
    crumb_network *network;
    char path[256];
    assert_fails(ctx, CRUMB_ERROR_IO, "there is no file", load(ctx, "/nowhere/net.onnx", "", &recipe));
    snprintf(path, sizeof(path), "%s/recipe.yaml", fixture_data());
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "recipe.yaml", load(ctx, path, "", &recipe));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "byte", crumb_network_import(ctx, path, NULL, NULL, 0, 0, 0, 0, &network));
    assert_ok(ctx, load(ctx, model_file(), "", &recipe));
    snprintf(recipe->data.train, sizeof(recipe->data.train), "digits:train");
    snprintf(recipe->data.test, sizeof(recipe->data.test), "digits:test");
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "the network takes 1x8x8x1 and gives 4 classes", crumb_train(recipe, NULL, &result));
    crumb_recipe_free(recipe);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "imported: a network comes with a file",
                 crumb_network_import(ctx, model_file(), "imported", NULL, 8, 8, 1, 4, &network));
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static int remove_data(void **state) {
    (void)state;
    fixture_remove(fixture_data());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_file), cmocka_unit_test(test_training),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, remove_data);
}
