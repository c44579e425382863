/* Trained networks in files, packed and verified: every quantizer at every number of bits through the runtime; what a
 * verification counts and what it refuses. */
#include "fixture.h"

#include "crumb/run.h"
#include "lower/lower.h"
#include "quant/quantizer.h"
#include "train/network.h"

static crumb_ctx *ctx;
static char run[128];

/* A network trained a little: ranges, batch norms and biases are no longer what they began with. */
static crumb_network *trained(const char *model, const char *quantize) {
    static const char *const overrides[] = {"data.limit=32", "train.batch=16", NULL};
    crumb_recipe *recipe;
    crumb_train_result result;
    crumb_network *network;
    assert_ok(ctx, fixture_recipe(ctx, model, quantize, "epochs: 1, optimizer: {name: sgd, lr: 0.01}", overrides, &recipe));
    fixture_remove(run);
    assert_ok(ctx, crumb_train(recipe, &(crumb_train_options){.out = run}, &result));
    crumb_recipe_free(recipe);
    assert_ok(ctx, crumb_network_open(ctx, fixture_path(run, "last.safetensors"), &network));
    return network;
}

static const char *packed_path(void) {
    return fixture_path(run, "net.crumb");
}

static crumb_verification_info verified(crumb_network *network, const crumb_verify_options *options) {
    crumb_verification *made;
    crumb_verification_info info;
    assert_ok(ctx, crumb_network_verify(network, packed_path(), NULL, options, &made));
    crumb_verification_describe(made, &info);
    crumb_verification_close(made);
    return info;
}

static void check(const char *model, const char *quantize) {
    crumb_network *network = trained(model, quantize);
    assert_ok(ctx, crumb_network_pack(network, packed_path()));
    crumb_verification_info info = verified(network, &(crumb_verify_options){.images = 3, .seed = 5});
    if (!info.exact || info.jumps != 0 || (info.equal_images > 0 && info.logit_distance > 1e-3)) {
        fail_msg("%s %s: %d of %d codes and %d logits are inexact; %d jumps, %g", model, quantize, (int)info.inexact_codes,
                 (int)info.codes, (int)info.inexact_logits, (int)info.jumps, info.logit_distance);
    }
    crumb_network_close(network);
}

static bool offers(const crumb_quantizer *quantizer, unsigned flag, int bits) {
    return (quantizer->flags & flag) != 0 && bits >= quantizer->min_bits && bits <= quantizer->max_bits;
}

/* Each row on weights with its own activations, or another's where it has none. */
static void every_quantizer_at_every_width(void **state) {
    (void)state;
    static const char *const edges[] = {"same", "8bit", "float"};
    char quantize[256];
    for (size_t q = 0; crumb_quantizers[q] != NULL; q++) {
        const crumb_quantizer *row = crumb_quantizers[q];
        for (int bits = 1; bits <= 8; bits++) {
            const char *weights = offers(row, CRUMB_QUANT_WEIGHT, bits) ? row->name : "dorefa";
            const char *activations = offers(row, CRUMB_QUANT_ACTIVATION, bits) ? row->name : bits == 1 ? "sign" : "minmax";
            if (strcmp(weights, row->name) != 0 && strcmp(activations, row->name) != 0) {
                continue;
            }
            snprintf(quantize, sizeof(quantize),
                     "{weights: {name: %s, bits: %d}, activations: {name: %s, bits: %d}, first: %s, last: %s}", weights, bits,
                     activations, bits, edges[(q + (size_t)bits) % 3], edges[(q + (size_t)bits / 3) % 3]);
            check("{name: resnet20, width: 0.125}", quantize);
        }
    }
}

static void mixed_bits_and_float_activations(void **state) {
    (void)state;
    check("{name: resnet20, width: 0.25}", "{weights: {name: twn}, first: float, last: float}");
    check("{name: resnet20, width: 0.25}", "{activations: {name: lsq, bits: 3}}");
    check("{name: resnet20, width: 0.25}", "none");
    check("{name: mlp, hidden: [12]}", FIXTURE_W8A8);
    check("{name: resnet20, width: 0.25}",
          "{weights: {name: lsq, bits: 2}, activations: {name: lsq, bits: 2}, shortcut: true, first: 8bit, layers: ["
          "{match: 'layer1.*', weights: {name: twn}, activations: {name: pact, bits: 5}}, "
          "{match: 'layer2.1.*', weights: {name: lsq, bits: 7}, activations: {name: lsq, bits: 8}}, "
          "{match: 'layer3.0.*', weights: none}, {match: 'layer3.1.*', activations: none}]}");
}

static void layers_are_listed(void **state) {
    (void)state;
    crumb_network *network = trained(FIXTURE_RESNET, FIXTURE_W2A2);
    crumb_verification *made;
    crumb_verification_info info;
    crumb_verified_layer layer;
    crumb_dataset *test;
    char spec[256];
    snprintf(spec, sizeof(spec), "idx:%s:test", fixture_data());
    assert_ok(ctx, crumb_dataset_open(ctx, spec, 0, &test));
    assert_ok(ctx, crumb_network_pack(network, packed_path()));
    assert_ok(ctx, crumb_network_verify(network, packed_path(), test, &(crumb_verify_options){.images = 1000}, &made));
    crumb_verification_describe(made, &info);
    assert_int_equal(info.images, FIXTURE_TEST);
    assert_int_equal(info.layers, 20);
    int64_t codes = 0, differing = 0;
    for (int i = 0; crumb_verification_layer(made, i, &layer); i++) {
        assert_int_equal(layer.bits, i == 0 || i == 19 ? 8 : 2);
        assert_true(layer.inexact == 0 && layer.codes > 0);
        codes += layer.codes;
        differing += layer.differing;
    }
    assert_int_equal(codes, info.codes);
    assert_int_equal(differing, info.differing);
    assert_true(crumb_verification_layer(made, 1, &layer));
    assert_string_equal(layer.name, "layer1.0.conv1");
    assert_int_equal(layer.codes, (int64_t)FIXTURE_TEST * FIXTURE_SIDE * FIXTURE_SIDE * 4);
    assert_false(crumb_verification_layer(made, 20, &layer));
    assert_false(crumb_verification_layer(made, -1, &layer));
    crumb_verification_close(made);
    crumb_dataset_close(test);
    crumb_network_close(network);
}

/* One weight moved by one level, and one bias by a little: seen; the simulation moves with the network. */
static void changes_are_seen(void **state) {
    (void)state;
    static const char *const changed[] = {"layer2.0.conv2.weight", "bn1.bias", "linear.bias"};
    crumb_network *network = trained(FIXTURE_RESNET, FIXTURE_W2A2);
    assert_ok(ctx, crumb_network_pack(network, packed_path()));
    assert_true(verified(network, NULL).exact);
    for (int i = 0; i < 3; i++) {
        float *data = network->graph->value[crumb_graph_find(network->graph, changed[i])].data, before = *data;
        *data = i == 0 ? -before * 1000 : before + 0.01f;
        assert_false(verified(network, NULL).exact);
        *data = before;
        assert_true(verified(network, NULL).exact);
    }
    crumb_network_close(network);
}

/* 8-bit codes of a deep network: some differ from the simulation; a bound below that is broken, and nothing else. */
static void bounds_bind(void **state) {
    (void)state;
    crumb_network *network = trained("{name: resnet56, width: 0.5}", FIXTURE_W8A8);
    assert_ok(ctx, crumb_network_pack(network, packed_path()));
    crumb_verification_info info = verified(network, &(crumb_verify_options){.images = 40, .ties = 100, .agreement = 1});
    assert_true(info.exact && info.bounded && info.jumps == 0);
    assert_true(info.ties > 0 && info.differing >= info.ties && info.share > 0);
    int64_t codes = info.codes, differing = info.differing;
    assert_int_equal(info.exact_images, 40);
    info =
        verified(network, &(crumb_verify_options){
                              .images = 40, .exact = 2, .ties = 50.0 * (double)info.ties / (double)info.codes, .agreement = 1});
    assert_true(info.exact && !info.bounded && info.exact_images == 2);
    assert_true(info.codes == codes && info.differing == differing);
    crumb_network_close(network);
}

static bool stop_verifying(void *user, int64_t done, int64_t total) {
    *(int64_t *)user = done;
    return done < 3 && total == 8;
}

static void what_is_refused(void **state) {
    (void)state;
    crumb_network *network = trained(FIXTURE_RESNET, FIXTURE_W2A2), *other;
    crumb_verification *made;
    int64_t done = 0;
    crumb_verify_options options = {.images = 8, .progress = stop_verifying, .user = &done};
    char path[512];
    snprintf(path, sizeof(path), "%s.crumb", run);
    assert_ok(ctx, crumb_network_pack(network, path));
    assert_fails(ctx, CRUMB_ERROR_STOPPED, "3 images", crumb_network_verify(network, path, NULL, &options, &made));
    assert_int_equal(done, 3);
    assert_fails(ctx, CRUMB_ERROR_IO, "nowhere", crumb_network_pack(network, "/proc/nowhere/net.crumb"));
    assert_fails(ctx, CRUMB_ERROR_IO, "nowhere", crumb_network_verify(network, "/proc/nowhere", NULL, NULL, &made));
    crumb_network_normalise(network, (float[]){0.5f}, (float[]){0.2f}, 1);
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "normalises", crumb_network_verify(network, path, NULL, NULL, &made));
    crumb_network_close(network);

    other = trained("{name: resnet20, width: 0.125}", FIXTURE_W2A2); /* other channels */
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "layer1.0.conv1", crumb_network_verify(other, path, NULL, NULL, &made));
    crumb_network_close(other);
    other = trained("{name: resnet32, width: 0.25}", FIXTURE_W2A2); /* more layers */
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "more than", crumb_network_verify(other, path, NULL, NULL, &made));
    crumb_network_close(other);
    other = trained(FIXTURE_RESNET, "none"); /* no codes */
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "codes", crumb_network_verify(other, path, NULL, NULL, &made));
    crumb_network_close(other);
    unlink(path);
}

static crumb_status pack_and_verify(crumb_ctx *c, void *user) {
    const char *path = user;
    crumb_network *network;
    crumb_verification *made = NULL;
    CRUMB_TRY(crumb_network_open(c, fixture_path(run, "last.safetensors"), &network));
    crumb_status status = crumb_network_pack(network, path);
    if (status == CRUMB_OK) {
        status = crumb_network_verify(network, path, NULL, &(crumb_verify_options){.images = 1}, &made);
    }
    if (status == CRUMB_OK) {
        crumb_verification_close(made);
    }
    crumb_network_close(network);
    return status;
}

static void every_allocation(void **state) {
    (void)state;
    char path[512];
    crumb_network_close(trained("{name: mlp, hidden: [4]}", FIXTURE_W8A8));
    snprintf(path, sizeof(path), "%s/memory.crumb", run);
    test_every_allocation(pack_and_verify, path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quantizer_at_every_width),
        cmocka_unit_test(mixed_bits_and_float_activations),
        cmocka_unit_test(layers_are_listed),
        cmocka_unit_test(changes_are_seen),
        cmocka_unit_test(bounds_bind),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(every_allocation),
    };
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}) != CRUMB_OK) {
        return 1;
    }
    snprintf(run, sizeof(run), "%s", test_folder());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fixture_remove(run);
    fixture_remove(fixture_data());
    crumb_ctx_destroy(ctx);
    return failed;
}
