/* The import: a classifier of every usual layer, computed a second time in ONNX's own order; and models that lie, which give
 * one line that says where. Exact comparison of whole models: test_conformance. */
#include "harness.h"

#include "onnx/sample.h"
#include "onnx/writer.h"

#include "graph/exec.h"

static double pixel(const double *image, int c, int i, int j) {
    return i >= 0 && j >= 0 && i < 8 && j < 8 ? image[(c * 8 + i) * 8 + j] : 0;
}

/* The sample's logits, NCHW, in double. */
static void compute(const sample *s, const double *image, double logits[3]) {
    const float *w = s->floats[0], *b = s->floats[1], *g = s->floats[2], *shift = s->floats[3], *mean = s->floats[4],
                *var = s->floats[5], *matrix = s->floats[6], *bias = s->floats[7];
    double flat[64];
    for (int at = 0; at < 64; at++) {
        int o = at / 16, i = at / 4 % 4 * 2, j = at % 4 * 2;
        flat[at] = 0; /* the maximum of what is rectified */
        for (int inside = 0; inside < 4; inside++) {
            double sum = (double)b[o];
            for (int tap = 0; tap < 18; tap++) {
                sum += (double)w[o * 18 + tap] *
                       pixel(image, tap / 9, i + inside / 2 + tap % 9 / 3 - 1, j + inside % 2 + tap % 3 - 1);
            }
            double y = (sum - (double)mean[o]) / sqrt((double)var[o] + 1e-5) * (double)g[o] + (double)shift[o];
            flat[at] = y > flat[at] ? y : flat[at];
        }
    }
    for (int o = 0; o < 3; o++) {
        logits[o] = (double)bias[o];
        for (int at = 0; at < 64; at++) {
            logits[o] += (double)matrix[o * 64 + at] * flat[at];
        }
    }
}

static void test_classifier(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    sample s;
    sample_names names;
    crumb_graph *graph;
    crumb_exec *exec;
    double image[128], logits[3];
    sample_classifier(&s, &names, 2, 3);
    assert_ok(ctx, sample_import(ctx, &s.model, &graph));
    assert_string_equal(graph->node[crumb_graph_layer(graph, 0)].name, "c");
    assert_true(crumb_graph_find(graph, "g.weight") >= 0);
    assert_ok(ctx, crumb_exec_create(graph, &(crumb_exec_options){.batch = 2, .reference = true}, &exec));
    float *x = crumb_exec_value(exec, graph->image);
    for (int at = 0; at < 128; at++) {
        image[at] = (double)((at * 5) % 13 - 6) / 4;
        x[128 + at % 64 * 2 + at / 64] = x[at % 64 * 2 + at / 64] = (float)image[at];
    }
    crumb_exec_forward(exec, false, 1, 1);
    compute(&s, image, logits);
    for (int i = 0; i < 6; i++) { /* without the softmax; float sums of 64 terms below 8 */
        double got = (double)crumb_exec_value(exec, graph->logits)[i];
        assert_true(fabs(got - logits[i % 3]) <= 1e-4);
    }
    crumb_exec_destroy(exec);
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* ---- Models that lie. */

static void refuse(const sample *s, crumb_status status, const char *words) {
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_graph *graph;
    assert_fails(ctx, status, words, sample_import(ctx, &s->model, &graph));
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_lies(void **state) {
    (void)state;
    sample s;
    sample_names names;
#define LIE(status, words, ...)                                                                                                \
    sample_classifier(&s, &names, 2, 3);                                                                                       \
    __VA_ARGS__;                                                                                                               \
    refuse(&s, CRUMB_ERROR_##status, words)
    LIE(FORMAT, "Conv Conv_0: reads nowhere, which nothing before it makes: no tensor", s.inputs[0][0] = "nowhere");
    LIE(FORMAT, "Relu Relu_2: reads y, which nothing before it makes: a cycle", s.inputs[2][0] = "y");
    LIE(FORMAT, "two values are named c.b", s.tensor[0].name = "c.b");
    LIE(FORMAT, "two values are named n", s.outputs[2][0] = "n");
    LIE(FORMAT, "tensor c.weight: FLOAT 4x2x3x4 needs 96 values, the file has 72", s.dims[0][3] = 4);
    LIE(FORMAT, "tensor c.weight: dimension 0 is -4", s.dims[0][0] = -4);
    LIE(FORMAT, "tensor c.weight: dimension 1 is 9223372036854775807", s.dims[0][1] = INT64_MAX);
    LIE(UNSUPPORTED, "tensor c.b: element type 8 cannot be read as numbers", s.tensor[1].data_type = CRUMB_ONNX_STRING);
    LIE(SHAPE, "conv2d: channels do not fit 3 groups", sample_ints(&s, "x", 0, 3, 3);
        s.attribute[6][0].name = "axis", s.node[6].n_attribute = 0, s.node[0].n_attribute = 2,
        s.attributes[0][1] = &s.attribute[6][0], s.attribute[6][0].name = "group");
    LIE(SHAPE, "weight has 4 values, not 2", s.dims[0][0] = 2, s.tensor[0].n_float_data = 36, s.dims[1][0] = 2,
        s.tensor[1].n_float_data = 2);
    LIE(UNSUPPORTED, "Relu Relu_2: attribute pads; supported are: none", s.node[2].n_attribute = 1,
        s.attributes[2][0] = &s.attribute[0][0]);
    LIE(FORMAT, "attribute pads has 3 values for 2 axes", s.attribute[0][0].n_ints = 3);
    LIE(UNSUPPORTED, "Erf Erf_2: this op is not supported", s.node[2].op_type = "Erf");
    LIE(UNSUPPORTED, "this op of com.example is not supported", s.node[2].domain = "com.example");
    LIE(UNSUPPORTED, "opset 27; supported are 6 to 26", s.opset.version = 27);
    LIE(UNSUPPORTED, "input x: dimension 2 is symbolic",
        s.dim[2].value_case = CRUMB_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET);
    LIE(UNSUPPORTED, "output r is 1x4x8x8; a classifier gives a value a class", s.out.name = "r");
    LIE(FORMAT, "nothing makes output z", s.out.name = "z");
    LIE(FORMAT, "there is no graph in it", s.model.graph = NULL);
    LIE(FORMAT, "external data \"../secret\" is not a file below the model's folder", s.tensor[0].has_data_location = 1,
        s.tensor[0].data_location = 1, s.tensor[0].n_external_data = 1,
        s.tensor[0].external_data = &(CrumbOnnx__StringStringEntryProto *){&(CrumbOnnx__StringStringEntryProto){
            .base = PROTOBUF_C_MESSAGE_INIT(&crumb_onnx__string_string_entry_proto__descriptor),
            .key = "location",
            .value = "../secret"}});
#undef LIE
}

static void test_memory_fails(void **state) {
    (void)state;
    sample s;
    sample_names names;
    sample_classifier(&s, &names, 2, 3);
    test_every_allocation(sample_import_once, &s);
}

/* Each byte changed in a few ways: an answer, never a crash. */
static void test_noise(void **state) {
    (void)state;
    sample s;
    sample_names names;
    size_t size;
    sample_classifier(&s, &names, 2, 3);
    uint8_t *bytes = sample_pack(&s.model, &size);
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    for (size_t at = 0; at < size; at++) {
        for (size_t k = 0; k < sizeof(flips) && (at < 400 || at + 900 > size); k++) {
            test_memory memory = {0};
            crumb_ctx *ctx = test_ctx(&memory, 1);
            crumb_graph *graph;
            bytes[at] ^= flips[k];
            if (sample_import_bytes(ctx, bytes, size, &graph) == CRUMB_OK) {
                crumb_graph_destroy(graph);
            } else {
                assert_true(crumb_message(ctx)[0] != '\0');
            }
            bytes[at] ^= flips[k];
            crumb_ctx_destroy(ctx);
            assert_int_equal(memory.live, 0);
        }
    }
    free(bytes);
}

/* PyTorch writes F.pad(x, (0, 0, 0, 0, 1, 2)) as a list of pads by axis from the last, which a slice backwards turns around. */
static void test_turned_pads(void **state) {
    (void)state;
    static const int64_t pads[] = {0, 0, 0, 0, 1, 2, 0, 0}, last[] = {-1}, before[] = {-INT64_MAX}, zero[] = {0}, flat[] = {-1};
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_graph *graph;
    crumb_onnx_writer w;
    crumb_onnx_begin(&w, ctx, 8, 13);
    crumb_onnx_input(&w, "image", 4, (const int64_t[]){0, 1, 2, 2});
    int64_t *matrix = crumb_onnx_tensor(&w, "pads", CRUMB_ONNX_INT64, 2, (const int64_t[]){4, 2}, sizeof(pads));
    assert_non_null(matrix);
    memcpy(matrix, pads, sizeof(pads));
    CRUMB_ONNX_ADD(&w, "Slice", "turned", "pads", crumb_onnx_int64s(&w, "last", 1, last),
                   crumb_onnx_int64s(&w, "before", 1, before), crumb_onnx_int64s(&w, "axis", 1, zero),
                   crumb_onnx_int64s(&w, "back", 1, last));
    crumb_onnx_ints(&w, CRUMB_ONNX_ADD(&w, "Transpose", "columns", "turned"), "perm", 2, (const int64_t[]){1, 0});
    CRUMB_ONNX_ADD(&w, "Reshape", "list", "columns", crumb_onnx_int64s(&w, "flat", 1, flat));
    CRUMB_ONNX_ADD(&w, "Pad", "padded", "image", "list");
    CRUMB_ONNX_ADD(&w, "Flatten", "logits", "padded");
    crumb_onnx_output(&w, "logits", 2, (const int64_t[]){0, 16});
    assert_ok(ctx, w.status);
    assert_ok(ctx, sample_import(ctx, &w.model, &graph));
    crumb_exec *exec;
    assert_ok(ctx, crumb_exec_create(graph, &(crumb_exec_options){.batch = 1, .reference = true}, &exec));
    float *x = crumb_exec_value(exec, graph->image);
    for (int i = 0; i < 4; i++) {
        x[i] = (float)(i + 1);
    }
    crumb_exec_forward(exec, false, 0, 0);
    const float *y = crumb_exec_value(exec, graph->logits);
    for (int i = 0; i < 16; i++) {
        assert_true(y[i] == (i >= 4 && i < 8 ? (float)(i - 3) : 0.0f));
    }
    crumb_exec_destroy(exec);
    crumb_graph_destroy(graph);
    crumb_onnx_drop(&w);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* A last window that reaches out of the image behind: by rounding its size up, or by pads on that side. The mean is over what
 * lies inside, even where pads count. */
static void test_last_windows(void **state) {
    (void)state;
    static const float wanted[] = {3, 4.5f, 7.5f, 9};
    for (int how = 0; how < 3; how++) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        crumb_graph *graph;
        crumb_onnx_writer w;
        crumb_onnx_begin(&w, ctx, 8, 13);
        crumb_onnx_input(&w, "image", 4, (const int64_t[]){0, 1, 3, 3});
        crumb_onnx_node *pool = CRUMB_ONNX_ADD(&w, "AveragePool", "pooled", "image");
        crumb_onnx_ints(&w, pool, "kernel_shape", 2, (const int64_t[]){2, 2});
        crumb_onnx_ints(&w, pool, "strides", 2, (const int64_t[]){2, 2});
        if (how == 2) {
            crumb_onnx_ints(&w, pool, "pads", 4, (const int64_t[]){0, 0, 1, 1});
        } else {
            crumb_onnx_int(&w, pool, "ceil_mode", 1);
            crumb_onnx_int(&w, pool, "count_include_pad", how);
        }
        CRUMB_ONNX_ADD(&w, "Flatten", "logits", "pooled");
        crumb_onnx_output(&w, "logits", 2, (const int64_t[]){0, 4});
        assert_ok(ctx, w.status);
        assert_ok(ctx, sample_import(ctx, &w.model, &graph));
        crumb_exec *exec;
        assert_ok(ctx, crumb_exec_create(graph, &(crumb_exec_options){.batch = 1, .reference = true}, &exec));
        for (int i = 0; i < 9; i++) {
            crumb_exec_value(exec, graph->image)[i] = (float)(i + 1);
        }
        crumb_exec_forward(exec, false, 0, 0);
        assert_memory_equal(crumb_exec_value(exec, graph->logits), wanted, sizeof(wanted));
        crumb_exec_destroy(exec);
        crumb_graph_destroy(graph);
        crumb_onnx_drop(&w);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

/* ---- Class names and normalisation in the metadata. */

static crumb_status read_notes(crumb_ctx *ctx, const char *names, const char *mean, const char *deviation,
                               crumb_import_facts *facts) {
    const char *const keys[] = {"crumb.class_names", "crumb.mean", "crumb.deviation"}, *const values[] = {names, mean,
                                                                                                          deviation};
    CrumbOnnx__ModelProto model = CRUMB_ONNX__MODEL_PROTO__INIT;
    CrumbOnnx__StringStringEntryProto entry[3], *list[3];
    for (int i = 0; i < 3; i++) {
        crumb_onnx__string_string_entry_proto__init(&entry[i]);
        if (values[i] != NULL) {
            entry[i].key = (char *)(uintptr_t)keys[i];
            entry[i].value = (char *)(uintptr_t)values[i];
            list[model.n_metadata_props++] = &entry[i];
        }
    }
    model.metadata_props = list;
    return crumb_import_notes(ctx, "net.onnx", &model, 2, 3, facts);
}

static void test_notes(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_import_facts facts;
    assert_ok(ctx, read_notes(ctx, "cat\ndog\n\u9ce5", "0.5,-1e-3", "0.25,2", &facts));
    assert_string_equal(facts.class_names, "cat\ndog\n\u9ce5");
    assert_true(facts.channels == 2 && facts.mean[1] == -1e-3f && facts.deviation[0] == 0.25f);
    crumb_free(ctx, facts.class_names);
    assert_ok(ctx, read_notes(ctx, NULL, NULL, NULL, &facts));
    assert_true(facts.class_names == NULL && facts.channels == 0);
    static const char *const bad[][4] = {{"cat\ndog", NULL, NULL, "has 2 lines for 3 classes"},
                                         {NULL, "0.5,1", NULL, "for 2 channels"},
                                         {NULL, "0.5", "1,1", "for 2 channels"},
                                         {NULL, "0.5,1,", "1,1", "for 2 channels"},
                                         {NULL, "0.5,nan", "1,1", "for 2 channels"},
                                         {NULL, "0.5,1", "1,0", "for 2 channels"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_notes(ctx, bad[i][0], bad[i][1], bad[i][2], &facts), CRUMB_ERROR_FORMAT);
        assert_non_null(strstr(crumb_message(ctx), bad[i][3]));
    }
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_notes),      cmocka_unit_test(test_classifier),
                                       cmocka_unit_test(test_lies),       cmocka_unit_test(test_memory_fails),
                                       cmocka_unit_test(test_noise),      cmocka_unit_test(test_last_windows),
                                       cmocka_unit_test(test_turned_pads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
