/* Networks in files and in memory: what they say of themselves, saving and opening again, importing, accuracy, errors. */
#include "fixture.h"

#include "formats/safetensors.h"
#include "train/network.h"

static crumb_ctx *ctx;
static char run[128];             /* folder of a trained W2A2 network */
static crumb_train_result result; /* of that run */

static int train_setup(void **state) {
    (void)state;
    crumb_recipe *recipe;
    snprintf(run, sizeof(run), "%s", test_folder());
    assert_ok(ctx,
              fixture_recipe(ctx, FIXTURE_RESNET, FIXTURE_W2A2, "epochs: 1, optimizer: {name: sgd, lr: 0.05}", NULL, &recipe));
    assert_ok(ctx, crumb_train(recipe, &(crumb_train_options){.out = run}, &result));
    crumb_recipe_free(recipe);
    return 0;
}

static int train_teardown(void **state) {
    (void)state;
    fixture_remove(run);
    fixture_remove(fixture_data());
    return 0;
}

static crumb_network *open_trained(void) {
    crumb_network *network;
    assert_ok(ctx, crumb_network_open(ctx, fixture_path(run, "last.safetensors"), &network));
    return network;
}

static crumb_dataset *open_test(void) {
    crumb_dataset *dataset;
    char spec[256];
    snprintf(spec, sizeof(spec), "idx:%s:test", fixture_data());
    assert_ok(ctx, crumb_dataset_open(ctx, spec, 0, &dataset));
    return dataset;
}

/* resnet20 at a quarter of its width on 8x8x1: conv 9 x 4 + blocks, counted by hand below. */
static void describes_itself(void **state) {
    (void)state;
    crumb_network *network = open_trained();
    crumb_network_info info;
    crumb_network_describe(network, &info);
    assert_string_equal(info.model, "resnet20");
    assert_int_equal(info.height, FIXTURE_SIDE);
    assert_int_equal(info.width, FIXTURE_SIDE);
    assert_int_equal(info.channels, 1);
    assert_int_equal(info.classes, FIXTURE_CLASSES);
    assert_int_equal(info.layers, 20);
    /* filters 4, 8, 16; six 3x3 convolutions a stage, the first of a stage from the stage before */
    int64_t convolutions = 9 * (4 + 6 * 16 + (4 * 8 + 5 * 64) + (8 * 16 + 5 * 256)), linear = 16 * 4 + 4;
    int64_t norms = 7 * 4 + 6 * 8 + 6 * 16;
    assert_int_equal(info.parameters, convolutions + linear + 2 * norms);
    assert_int_equal(info.float_bytes, 4 * (convolutions + linear + 4 * norms));
    /* first and last weights at 8 bits, the others at 2, one scale a weight and an activation site that is not shared */
    int64_t eight = 9 * 4 + 16 * 4, two = convolutions + linear - 4 - eight, sites = 0;
    for (int i = 0; i < network->graph->nodes; i++) {
        sites += crumb_node_site(network->graph, i) != NULL;
    }
    assert_int_equal(info.packed_bytes, eight + two / 4 + 4 * (4 + 4 * norms) + 4 * sites);
    crumb_network_close(network);
}

static void lists_layers(void **state) {
    (void)state;
    crumb_network *network = open_trained();
    crumb_layer_info layer;
    assert_true(crumb_network_layer(network, 0, &layer));
    assert_string_equal(layer.name, "conv1");
    assert_string_equal(layer.op, "conv2d");
    assert_int_equal(layer.weight_bits, 8);
    assert_string_equal(layer.weight_quantizer, "minmax");
    assert_true(crumb_network_layer(network, 1, &layer));
    assert_string_equal(layer.name, "layer1.0.conv1");
    assert_string_equal(layer.weight_quantizer, "lsq");
    assert_string_equal(layer.activation_quantizer, "lsq");
    assert_int_equal(layer.weight_bits, 2);
    assert_int_equal(layer.activation_bits, 2);
    assert_int_equal(layer.parameters, 9 * 16);
    assert_true(layer.flops == 2.0 * 9 * 16 * 64);
    assert_true(crumb_network_layer(network, 19, &layer));
    assert_string_equal(layer.op, "linear");
    assert_false(crumb_network_layer(network, 20, &layer));
    assert_false(crumb_network_layer(network, -1, &layer));
    crumb_network_close(network);
}

static void saved_and_opened_is_the_same(void **state) {
    (void)state;
    crumb_network *network = open_trained();
    crumb_dataset *test = open_test();
    crumb_evaluation evaluation, part;
    assert_ok(ctx, crumb_evaluate(network, test, NULL, &evaluation));
    assert_true(evaluation.top1 == result.val_top1 && evaluation.top5 == result.val_top5);
    assert_true(fabs(evaluation.loss - result.val_loss) < 1e-6);
    assert_int_equal(evaluation.images, FIXTURE_TEST);
    assert_ok(ctx, crumb_evaluate(network, test, &(crumb_evaluate_options){.batch = 7, .limit = 20}, &part));
    assert_int_equal(part.images, 20);
    assert_ok(ctx, crumb_network_save(network, fixture_path(run, "again.safetensors")));
    assert_true(fixture_same_file(fixture_path(run, "again.safetensors"), fixture_path(run, "last.safetensors")));
    crumb_network_close(network);
    crumb_dataset_close(test);
}

static bool stop_evaluation(void *user, int64_t done, int64_t total) {
    *(int64_t *)user = done;
    assert_int_equal(total, FIXTURE_TEST);
    return done < 40;
}

static void evaluation_can_be_stopped(void **state) {
    (void)state;
    crumb_network *network = open_trained();
    crumb_dataset *test = open_test();
    crumb_evaluation evaluation;
    int64_t done = 0;
    crumb_evaluate_options options = {.batch = 20, .progress = stop_evaluation, .user = &done};
    assert_fails(ctx, CRUMB_ERROR_STOPPED, "40 images", crumb_evaluate(network, test, &options, &evaluation));
    assert_int_equal(done, 40);
    crumb_network_close(network);
    crumb_dataset_close(test);
}

static void normalisation_is_kept(void **state) {
    (void)state;
    crumb_network *network = open_trained(), *again;
    crumb_dataset *test = open_test();
    crumb_evaluation before, after;
    assert_ok(ctx, crumb_evaluate(network, test, NULL, &before));
    crumb_network_normalise(network, (float[]){0.9f}, (float[]){0.05f}, 1);
    assert_ok(ctx, crumb_network_save(network, fixture_path(run, "other.safetensors")));
    assert_ok(ctx, crumb_network_open(ctx, fixture_path(run, "other.safetensors"), &again));
    assert_ok(ctx, crumb_evaluate(again, test, NULL, &after));
    assert_true(after.loss != before.loss);
    assert_ok(ctx, crumb_evaluate(network, test, NULL, &before));
    assert_true(after.loss == before.loss);
    crumb_network_close(network);
    crumb_network_close(again);
    crumb_dataset_close(test);
}

/* ---- Weights without a description. */

static void write_bare(const char *path, bool complete) {
    crumb_network *network = open_trained();
    crumb_safetensors_writer *writer;
    const crumb_graph *graph = network->graph;
    assert_ok(ctx, crumb_safetensors_begin(ctx, &writer));
    if (complete) {
        crumb_graph *plain;
        assert_ok(ctx, crumb_model_build(ctx, network->recipe->model.model, network->recipe->model.params, network->image,
                                         network->classes, 0, &plain));
        crumb_graph_copy(plain, graph, NULL);
        assert_ok(ctx, crumb_graph_store(plain, "", writer));
        assert_ok(ctx, crumb_safetensors_commit(writer, path));
        crumb_graph_destroy(plain);
    } else {
        float one = 1;
        assert_ok(ctx, crumb_safetensors_add(writer, "conv1.weight", "F32", CRUMB_SHAPE(1), &one));
        assert_ok(ctx, crumb_safetensors_commit(writer, path));
    }
    crumb_safetensors_drop(writer);
    crumb_network_close(network);
}

static void imports_bare_weights(void **state) {
    (void)state;
    crumb_network *network;
    crumb_network_info info;
    const char *path = fixture_path(run, "bare.safetensors");
    write_bare(path, true);
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "its model is unknown", crumb_network_open(ctx, path, &network));
    assert_ok(ctx, crumb_network_import(ctx, path, "resnet20", "width=0.25", FIXTURE_SIDE, FIXTURE_SIDE, 1, FIXTURE_CLASSES,
                                        &network));
    crumb_network_describe(network, &info);
    assert_int_equal(info.layers, 20);
    assert_int_equal(info.float_bytes, info.packed_bytes); /* nothing is quantized */
    crumb_network *trained = open_trained();
    int a = crumb_graph_find(network->graph, "layer3.2.conv2.weight");
    int b = crumb_graph_find(trained->graph, "layer3.2.conv2.weight");
    assert_memory_equal(network->graph->value[a].data, trained->graph->value[b].data, 9 * 256 * sizeof(float));
    crumb_network_close(network);

    /* crumb's own file imports as its float weights */
    assert_ok(ctx, crumb_network_import(ctx, fixture_path(run, "last.safetensors"), "resnet20", "width=0.25", FIXTURE_SIDE,
                                        FIXTURE_SIDE, 1, FIXTURE_CLASSES, &network));
    crumb_layer_info layer;
    assert_true(crumb_network_layer(network, 3, &layer));
    assert_null(layer.weight_quantizer);
    crumb_network_close(network);
    crumb_network_close(trained);
}

static void import_errors_say_why(void **state) {
    (void)state;
    crumb_network *network;
    const char *path = fixture_path(run, "bare.safetensors");
    const int64_t side = FIXTURE_SIDE;
    write_bare(path, true);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "resnet20",
                 crumb_network_import(ctx, path, "resnet21", NULL, side, side, 1, FIXTURE_CLASSES, &network));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "width",
                 crumb_network_import(ctx, path, "resnet20", "widht=1", side, side, 1, FIXTURE_CLASSES, &network));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "conv1.weight",
                 crumb_network_import(ctx, path, "resnet20", NULL, side, side, 1, FIXTURE_CLASSES, &network));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "linear.weight",
                 crumb_network_import(ctx, path, "resnet20", "width=0.25", side, side, 1, 7, &network));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "0x8x1",
                 crumb_network_import(ctx, path, "resnet20", "width=0.25", 0, side, 1, 7, &network));
    assert_fails(ctx, CRUMB_ERROR_IO, "nowhere", crumb_network_open(ctx, fixture_path(run, "nowhere"), &network));
    write_bare(path, false);
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "conv1.weight",
                 crumb_network_import(ctx, path, "resnet20", "width=0.25", side, side, 1, FIXTURE_CLASSES, &network));
}

/* A file's description is input like any other: each fact damaged in turn gives an error that names file and fact. */
static void damaged_descriptions_are_refused(void **state) {
    (void)state;
    static const char *const facts[][3] = {
        {"8x8x1", "8x8x0", "crumb.image"},
        {"8x8x1", "8x8y1", "crumb.image"},
        {"\"4\"", "\"x\"", "crumb.classes"},
        {"name: resnet20", "name: resnet99", "resnet99"},
    };
    uint8_t *data;
    size_t size;
    char path[512];
    snprintf(path, sizeof(path), "%s/damaged.safetensors", run);
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        crumb_network *network;
        assert_ok(ctx, crumb_file_read(ctx, fixture_path(run, "last.safetensors"), 0, &data, &size));
        char *at = memmem(data, size, facts[i][0], strlen(facts[i][0]));
        assert_non_null(at);
        memcpy(at, facts[i][1], strlen(facts[i][1]));
        assert_ok(ctx, crumb_file_write(ctx, path, data, size));
        crumb_status status = crumb_network_open(ctx, path, &network);
        assert_true(status == CRUMB_ERROR_FORMAT || status == CRUMB_ERROR_ARGUMENT);
        assert_non_null(strstr(crumb_message(ctx), facts[i][2]));
        assert_non_null(strstr(crumb_message(ctx), "damaged.safetensors"));
        crumb_free(ctx, data);
    }
}

static void data_must_fit(void **state) {
    (void)state;
    crumb_network *network = open_trained();
    crumb_dataset *digits;
    crumb_evaluation evaluation;
    assert_ok(ctx, crumb_dataset_open(ctx, "digits:test", 1, &digits));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "1x28x28x1", crumb_evaluate(network, digits, NULL, &evaluation));
    crumb_dataset_close(digits);
    crumb_network_close(network);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_itself),
        cmocka_unit_test(lists_layers),
        cmocka_unit_test(saved_and_opened_is_the_same),
        cmocka_unit_test(evaluation_can_be_stopped),
        cmocka_unit_test(normalisation_is_kept),
        cmocka_unit_test(imports_bare_weights),
        cmocka_unit_test(import_errors_say_why),
        cmocka_unit_test(damaged_descriptions_are_refused),
        cmocka_unit_test(data_must_fit),
    };
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 2}) != CRUMB_OK) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, train_setup, train_teardown);
    crumb_ctx_destroy(ctx);
    return failed;
}
