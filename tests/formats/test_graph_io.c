/* Graphs in safetensors: names, layouts, what is missing or foreign; the pretrained CIFAR-10 networks load (with the real
 * data). */
#include "harness.h"

#include "formats/safetensors.h"

/* A network with a convolution (2 outputs, 3 inputs, 2x2 kernel), batch norm and a linear layer. */
static crumb_status build_norm(crumb_ctx *ctx, bool affine, crumb_graph **out) {
    crumb_graph *graph;
    CRUMB_TRY(crumb_graph_create(ctx, &graph));
    int x;
    crumb_status status = crumb_graph_input(graph, "image", CRUMB_SHAPE(1, 4, 4, 3), &x);
    status = status != CRUMB_OK ? status
                                : crumb_graph_conv2d(graph, "conv", x, (crumb_conv){.out = 2, .kernel = 2, .stride = 2}, &x);
    status = status != CRUMB_OK ? status : crumb_graph_batch_norm(graph, "bn", x, affine, &x);
    status = status != CRUMB_OK ? status : crumb_graph_flatten(graph, "flat", x, &x);
    status = status != CRUMB_OK ? status : crumb_graph_linear(graph, "fc", x, 3, true, &x);
    if (status != CRUMB_OK) {
        crumb_graph_destroy(graph);
        return status;
    }
    graph->image = 0;
    graph->logits = x;
    crumb_graph_initialise(graph, 3);
    *out = graph;
    return CRUMB_OK;
}

static crumb_status build(crumb_ctx *ctx, crumb_graph **out) {
    return build_norm(ctx, true, out);
}

static char path[128];

static crumb_status save(crumb_graph *graph, const char *prefix) {
    crumb_safetensors_writer *writer;
    CRUMB_TRY(crumb_safetensors_begin(graph->ctx, &writer));
    crumb_status status = crumb_graph_store(graph, prefix, writer);
    status = status == CRUMB_OK ? crumb_safetensors_commit(writer, path) : status;
    crumb_safetensors_drop(writer);
    return status;
}

static crumb_status load(crumb_graph *graph, const char *prefix, bool strict) {
    crumb_safetensors *file;
    CRUMB_TRY(crumb_safetensors_open(graph->ctx, path, &file));
    crumb_status status = crumb_graph_load(graph, prefix, file, strict);
    crumb_safetensors_close(file);
    return status;
}

static bool stored(const crumb_value *value) {
    return value->kind == CRUMB_VALUE_PARAM || value->kind == CRUMB_VALUE_STATE;
}

static void scramble(crumb_graph *graph) {
    for (int i = 0; i < graph->values; i++) {
        for (int64_t j = 0; stored(&graph->value[i]) && j < crumb_shape_count(graph->value[i].shape); j++) {
            graph->value[i].data[j] = 1e6f + (float)j;
        }
    }
}

static void assert_same_values(const crumb_graph *a, const crumb_graph *b) {
    assert_int_equal(a->values, b->values);
    for (int i = 0; i < a->values; i++) {
        if (stored(&a->value[i])) {
            assert_memory_equal(a->value[i].data, b->value[i].data,
                                sizeof(float) * (size_t)crumb_shape_count(a->value[i].shape));
        }
    }
}

static crumb_status round_trip(crumb_ctx *ctx, void *user) {
    crumb_graph *graph;
    CRUMB_TRY(build(ctx, &graph));
    crumb_status status = save(graph, user);
    status = status == CRUMB_OK ? load(graph, user, true) : status;
    crumb_graph_destroy(graph);
    return status;
}

static void test_round_trip(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_graph *graph, *other;
    assert_ok(ctx, build(ctx, &graph));
    assert_ok(ctx, build(ctx, &other));
    const char *prefixes[] = {"", "net.", "module."};
    for (int i = 0; i < 3; i++) {
        scramble(other);
        assert_ok(ctx, save(graph, prefixes[i]));
        assert_ok(ctx, load(other, prefixes[i], true));
        assert_same_values(graph, other);
    }
    scramble(other); /* the last file's names start with "module.", which is skipped */
    assert_ok(ctx, load(other, "", true));
    assert_same_values(graph, other);
    crumb_graph_destroy(graph);
    crumb_graph_destroy(other);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
    test_every_allocation(round_trip, "x.");
}

/* Element (o, h, w, i) of the weight in memory is element (o, i, h, w) of the file. */
static void test_layout(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_graph *graph;
    crumb_safetensors *file;
    assert_ok(ctx, build(ctx, &graph));
    assert_ok(ctx, save(graph, ""));
    assert_ok(ctx, crumb_safetensors_open(ctx, path, &file));
    crumb_safetensor tensor = crumb_safetensors_at(file, crumb_safetensors_find(file, "conv.weight"));
    assert_true(crumb_shape_equal(tensor.shape, CRUMB_SHAPE(2, 3, 2, 2)));
    float in_file[2][3][2][2];
    assert_ok(ctx, crumb_safetensor_floats(ctx, &tensor, &in_file[0][0][0][0]));
    const float *in_memory = graph->value[crumb_graph_find(graph, "conv.weight")].data;
    for (int o = 0; o < 2; o++) {
        for (int h = 0; h < 2; h++) {
            for (int w = 0; w < 2; w++) {
                for (int i = 0; i < 3; i++) {
                    assert_true(in_file[o][i][h][w] == in_memory[((o * 2 + h) * 2 + w) * 3 + i]);
                }
            }
        }
    }
    assert_true(crumb_safetensors_find(file, "bn.running_var") >= 0 && crumb_safetensors_find(file, "fc.bias") >= 0);
    crumb_safetensors_close(file);
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* ---- Files made by hand: each is a list of tensors with one value everywhere. */

typedef struct hand_tensor {
    const char *name, *dtype;
    crumb_shape shape;
} hand_tensor;

#define SHAPE(...)                                                                                                             \
    {                                                                                                                          \
        (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {                                                           \
            __VA_ARGS__                                                                                                        \
        }                                                                                                                      \
    }
#define REST                                                                                                                   \
    {"bn.weight", "F32", SHAPE(2)}, {"bn.bias", "F32", SHAPE(2)}, {"bn.running_mean", "F32", SHAPE(2)},                        \
        {"bn.running_var", "F32", SHAPE(2)}, {                                                                                 \
        "fc.weight", "F32", SHAPE(3, 8)                                                                                        \
    }

typedef struct hand_case {
    hand_tensor tensor[10];
    crumb_status strict, loose;
    const char *message;
} hand_case;

static const hand_case cases[] = {
    {{{"conv.weight", "F32", SHAPE(2, 3, 2, 2)}, {"fc.bias", "F32", SHAPE(3)}, REST}, CRUMB_OK, CRUMB_OK, NULL},
    {{{"conv.weight", "I64", SHAPE(2, 3, 2, 2)}, {"fc.bias", "F64", SHAPE(3)}, {"bn.num_batches_tracked", "I64", {0}}, REST},
     CRUMB_OK,
     CRUMB_OK,
     NULL},
    {{{"conv.weight", "F32", SHAPE(2, 3, 2, 2)}, REST}, CRUMB_ERROR_FORMAT, CRUMB_OK, "lacks fc.bias"},
    {{{"conv.weight", "F32", SHAPE(2, 3, 2, 2)}, {"fc.bias", "F32", SHAPE(3)}, {"fc.scale", "F32", SHAPE(3)}, REST},
     CRUMB_ERROR_FORMAT,
     CRUMB_OK,
     "has tensors the network does not: fc.scale"},
    {{{"a", "F32", SHAPE(1)}, {"b", "F32", SHAPE(1)}, {"c", "F32", SHAPE(1)}, {"d", "F32", SHAPE(1)}, {"e", "F32", SHAPE(1)}},
     CRUMB_ERROR_FORMAT,
     CRUMB_OK,
     "lacks conv.weight, bn.weight, bn.bias, bn.running_mean and 3 more; has tensors the network does not: a, b, c, d and 1 "
     "more"},
    {{{"conv.weight", "F32", SHAPE(2, 2, 2, 3)}, {"fc.bias", "F32", SHAPE(3)}, REST},
     CRUMB_ERROR_FORMAT,
     CRUMB_ERROR_FORMAT,
     "conv.weight is 2x2x2x3, the network needs 2x3x2x2"},
    {{{"conv.weight", "F32", SHAPE(2, 3, 2, 2)}, {"fc.bias", "F8_E5M2", SHAPE(3)}, REST},
     CRUMB_ERROR_UNSUPPORTED,
     CRUMB_ERROR_UNSUPPORTED,
     "fc.bias: dtype F8_E5M2 cannot be read"},
};

static void write_hand(crumb_ctx *ctx, const hand_case *at) {
    static const uint64_t zeros[64];
    crumb_safetensors_writer *writer;
    assert_ok(ctx, crumb_safetensors_begin(ctx, &writer));
    for (int i = 0; i < 10 && at->tensor[i].name != NULL; i++) {
        const hand_tensor *tensor = &at->tensor[i];
        assert_ok(ctx, crumb_safetensors_add(writer, tensor->name, tensor->dtype, tensor->shape, zeros));
    }
    assert_ok(ctx, crumb_safetensors_commit(writer, path));
    crumb_safetensors_drop(writer);
}

static void test_mismatches(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_hand(ctx, &cases[i]);
        for (int strict = 0; strict < 2; strict++) {
            crumb_graph *graph, *before;
            assert_ok(ctx, build(ctx, &graph));
            assert_ok(ctx, build(ctx, &before));
            crumb_status wanted = strict ? cases[i].strict : cases[i].loose, got = load(graph, "", strict);
            if (got != wanted || (got != CRUMB_OK && strstr(crumb_message(ctx), cases[i].message) == NULL)) {
                fail_msg("case %zu: \"%s\" instead of \"%s\"", i, crumb_message(ctx), cases[i].message);
            }
            if (got != CRUMB_OK) {
                assert_same_values(graph, before); /* a failure changes nothing */
            }
            crumb_graph_destroy(graph);
            crumb_graph_destroy(before);
        }
    }
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* PyTorch stores no weight and bias of a batch norm with affine=False: the file is complete without them, and they stay 1 and
 * 0. */
static void test_norm_without_affine(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    const hand_case file = {.tensor = {{"conv.weight", "F32", SHAPE(2, 3, 2, 2)},
                                       {"bn.running_mean", "F32", SHAPE(2)},
                                       {"bn.running_var", "F32", SHAPE(2)},
                                       {"fc.weight", "F32", SHAPE(3, 8)},
                                       {"fc.bias", "F32", SHAPE(3)}}};
    write_hand(ctx, &file);
    crumb_graph *plain, *affine;
    assert_ok(ctx, build_norm(ctx, false, &plain));
    assert_ok(ctx, build_norm(ctx, true, &affine));
    assert_ok(ctx, load(plain, "", true));
    for (int i = 0; i < plain->values; i++) {
        const crumb_value *value = &plain->value[i];
        bool one = stored(value) && strcmp(value->name, "bn.weight") == 0;
        for (int64_t j = 0; stored(value) && j < crumb_shape_count(value->shape); j++) {
            assert_true(value->data[j] == (one ? 1.0f : 0.0f));
        }
    }
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "lacks bn.weight, bn.bias", load(affine, "", true));
    crumb_graph_destroy(plain);
    crumb_graph_destroy(affine);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* A float file may fill a quantized network: its quantizers' states keep their presets. And a quantized file fills it entirely.
 */
static void test_quantizer_state(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_graph *graph, *quantized, *other;
    crumb_quant_policy policy = {0};
    assert_ok(ctx, build(ctx, &graph));
    assert_ok(ctx, crumb_quant_choose(ctx, "lsq", true, 2, &policy.weights));
    assert_ok(ctx, crumb_quant_choose(ctx, "lsq", false, 2, &policy.activations));
    assert_ok(ctx, crumb_graph_quantize(graph, &policy, &quantized));
    assert_ok(ctx, crumb_graph_quantize(graph, &policy, &other));
    assert_true(quantized->values > graph->values);
    assert_ok(ctx, save(graph, ""));
    assert_ok(ctx, load(quantized, "", true));
    scramble(quantized);
    assert_ok(ctx, save(quantized, ""));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "has tensors the network does not", load(graph, "", true));
    assert_ok(ctx, load(graph, "", false));
    assert_ok(ctx, load(other, "", true));
    assert_same_values(quantized, other);
    crumb_graph_destroy(graph);
    crumb_graph_destroy(quantized);
    crumb_graph_destroy(other);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* ---- For PyTorch. */

static crumb_status save_quantized(const crumb_graph *graph, bool codes) {
    crumb_safetensors_writer *writer;
    CRUMB_TRY(crumb_safetensors_begin(graph->ctx, &writer));
    crumb_status status = crumb_graph_store_quantized(graph, codes, writer);
    status = status == CRUMB_OK ? crumb_safetensors_commit(writer, path) : status;
    crumb_safetensors_drop(writer);
    return status;
}

static crumb_status build_quantized(crumb_ctx *ctx, const char *weights, int bits, crumb_graph **quantized) {
    crumb_graph *graph;
    crumb_quant_policy policy = {0};
    CRUMB_TRY(build(ctx, &graph));
    crumb_status status = crumb_quant_choose(ctx, weights, true, bits, &policy.weights);
    status = status == CRUMB_OK ? crumb_quant_choose(ctx, "lsq", false, 2, &policy.activations) : status;
    status = status == CRUMB_OK ? crumb_graph_quantize(graph, &policy, quantized) : status;
    crumb_graph_destroy(graph);
    return status;
}

/* What the files hold of the weight of a layer: floats, and codes times scales. */
static void read_weights(crumb_ctx *ctx, const crumb_graph *quantized, const char *name, const char *dtype, float *real,
                         float *product) {
    crumb_safetensors *file;
    char scale_name[64];
    float code[24], scale[4];
    snprintf(scale_name, sizeof(scale_name), "%s_scale", name);
    assert_ok(ctx, save_quantized(quantized, false));
    assert_ok(ctx, crumb_safetensors_open(ctx, path, &file));
    crumb_safetensor tensor = crumb_safetensors_at(file, crumb_safetensors_find(file, name));
    int64_t count = crumb_shape_count(tensor.shape);
    assert_string_equal(tensor.dtype, "F32");
    assert_ok(ctx, crumb_safetensor_floats(ctx, &tensor, real));
    assert_int_equal(crumb_safetensors_find(file, scale_name), -1);
    crumb_safetensors_close(file);
    assert_ok(ctx, save_quantized(quantized, true));
    assert_ok(ctx, crumb_safetensors_open(ctx, path, &file));
    tensor = crumb_safetensors_at(file, crumb_safetensors_find(file, name));
    crumb_safetensor scales = crumb_safetensors_at(file, crumb_safetensors_find(file, scale_name));
    assert_string_equal(tensor.dtype, dtype);
    assert_ok(ctx, crumb_safetensor_floats(ctx, &tensor, code));
    assert_ok(ctx, crumb_safetensor_floats(ctx, &scales, scale));
    for (int64_t i = 0; i < count; i++) {
        product[i] = code[i] * scale[i / (count / crumb_shape_count(scales.shape))];
    }
    tensor = crumb_safetensors_at(file, crumb_safetensors_find(file, "bn.num_batches_tracked"));
    assert_string_equal(tensor.dtype, "I64");
    assert_int_equal(tensor.shape.rank, 0);
    assert_int_equal(crumb_safetensors_find(file, "fc.input_quant.step"), -1);
    crumb_safetensors_close(file);
}

/* A float network takes the file whole, and has the quantized weights; codes times scales are the same floats. */
static void test_quantized(void **state) {
    (void)state;
    static const struct {
        const char *name, *dtype;
        int bits;
    } rules[] = {{"lsq", "I8", 2}, {"xnor", "I8", 1}, {"twn", "I8", 2}, {"dorefa", "I16", 8}, {"minmax", "I8", 8}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        crumb_graph *quantized, *plain;
        float real[24], product[24], fake[24];
        assert_ok(ctx, build_quantized(ctx, rules[i].name, rules[i].bits, &quantized));
        assert_ok(ctx, build(ctx, &plain));
        read_weights(ctx, quantized, "fc.weight", rules[i].dtype, real, product);
        assert_memory_equal(real, product, sizeof(real));
        read_weights(ctx, quantized, "conv.weight", rules[i].dtype, real, product);
        assert_memory_equal(real, product, sizeof(real));
        assert_ok(ctx, save_quantized(quantized, false));
        scramble(plain);
        assert_ok(ctx, load(plain, "", true));
        int weight = crumb_graph_find(quantized, "conv.weight");
        for (int n = 0; n < quantized->nodes; n++) {
            if (quantized->node[n].input[0] == weight) {
                crumb_graph_fake(quantized, n, fake);
            }
        }
        assert_memory_equal(plain->value[crumb_graph_find(plain, "conv.weight")].data, fake, sizeof(fake));
        crumb_graph_destroy(quantized);
        crumb_graph_destroy(plain);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

static crumb_status store_one(crumb_ctx *ctx, void *user) {
    crumb_graph *quantized;
    CRUMB_TRY(build_quantized(ctx, "twn", 2, &quantized));
    crumb_status status = save_quantized(quantized, user != NULL);
    crumb_graph_destroy(quantized);
    return status;
}

static void test_quantized_allocations(void **state) {
    (void)state;
    test_every_allocation(store_one, NULL);
    test_every_allocation(store_one, path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_mismatches),
        cmocka_unit_test(test_norm_without_affine),
        cmocka_unit_test(test_quantizer_state),
        cmocka_unit_test(test_quantized),
        cmocka_unit_test(test_quantized_allocations),
    };
    char folder[64];
    strcpy(folder, test_folder());
    snprintf(path, sizeof(path), "%s/x.safetensors", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}
