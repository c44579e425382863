/* Quantized models: QuantizeLinear and DequantizeLinear become quantize nodes that give ONNX's values exactly, survive the
 * graph's text, and pack into integer layers; pairs that do not fit each other are refused. */
#include "harness.h"

#include "onnx/sample.h"

#include "graph/exec.h"
#include "lower/lower.h"

enum { SIDE = 4, CHANNELS = 2, OUT = 3, INPUT = CHANNELS * SIDE * SIDE };

typedef struct quantized {
    sample s;
    char names[8][24];
    int32_t weight[OUT * CHANNELS], zeros[4];
} quantized;

static void set_codes(sample *s, char *name, int type, int count, int32_t *values) {
    CrumbOnnx__TensorProto *t = sample_tensor(s, name, 1, count, 0, 0, 0);
    t->data_type = type, t->n_float_data = 0, t->int32_data = values, t->n_int32_data = (size_t)count;
    t->n_dims = count > 1;
}

/* x -> uint8, scale 1/8, zero point 40 -> 1x1 convolution with int8 weights of a scale each -> mean over the image. */
static void make(quantized *q) {
    static const char *const names[] = {"x sx zx", "xq sx zx", "w sw zw", "xd wd", "c"};
    memset(q, 0, sizeof(*q));
    for (int i = 0; i < 5; i++) {
        snprintf(q->names[i], sizeof(q->names[i]), "%s", names[i]);
    }
    sample *s = &q->s;
    sample_begin(s, CHANNELS, SIDE, SIDE);
    q->zeros[0] = 40;
    sample_tensor(s, "sx", 0, 0, 0, 0, 0)->float_data[0] = 0.125f;
    s->tensor[0].n_float_data = 1;
    set_codes(s, "zx", CRUMB_ONNX_UINT8, 1, &q->zeros[0]);
    for (int i = 0; i < OUT * CHANNELS; i++) {
        q->weight[i] = (i * 53) % 200 - 100;
    }
    set_codes(s, "w", CRUMB_ONNX_INT8, OUT * CHANNELS, q->weight);
    s->tensor[2].n_dims = 4;
    s->dims[2][0] = OUT, s->dims[2][1] = CHANNELS, s->dims[2][2] = s->dims[2][3] = 1;
    float *scales = sample_tensor(s, "sw", 1, OUT, 0, 0, 0)->float_data;
    scales[0] = 0.01f, scales[1] = 0.02f, scales[2] = 0.005f;
    set_codes(s, "zw", CRUMB_ONNX_INT8, OUT, &q->zeros[1]);
    sample_node(s, "QuantizeLinear", q->names[0], "xq");
    sample_node(s, "DequantizeLinear", q->names[1], "xd");
    sample_node(s, "DequantizeLinear", q->names[2], "wd");
    sample_ints(s, "axis", 0, 0, 0);
    sample_node(s, "Conv", q->names[3], "c");
    sample_node(s, "GlobalAveragePool", q->names[4], "y");
}

/* ONNX's definition: saturate(round(x / scale) + zero), then (q - zero) * scale. */
static double dequantized(double x) {
    double code = nearbyint(x / 0.125) + 40;
    return ((code < 0 ? 0 : code > 255 ? 255 : code) - 40) * 0.125;
}

static void check_values(crumb_ctx *ctx, crumb_graph *graph, const quantized *q) {
    static const double scales[] = {0.01, 0.02, 0.005};
    crumb_exec *exec;
    assert_ok(ctx, crumb_exec_create(graph, &(crumb_exec_options){.batch = 1, .reference = true}, &exec));
    float *x = crumb_exec_value(exec, graph->image);
    double sums[OUT] = {0};
    for (int i = 0; i < INPUT; i++) { /* NHWC; both ends saturate */
        x[i] = (float)(i * 7 % 31 - 12) * 1.3f;
        for (int o = 0; o < OUT; o++) {
            sums[o] += dequantized((double)x[i]) * scales[o] * q->weight[o * CHANNELS + i % CHANNELS] / (SIDE * SIDE);
        }
    }
    crumb_exec_forward(exec, false, 1, 1);
    for (int o = 0; o < OUT; o++) {
        assert_true(fabs((double)crumb_exec_value(exec, graph->logits)[o] - sums[o]) <=
                    1e-4); /* float sums of 32 terms below 40 */
    }
    crumb_exec_destroy(exec);
}

static void test_values(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    static quantized q;
    crumb_graph *graph, *again;
    char *text, *twice;
    make(&q);
    assert_ok(ctx, sample_import(ctx, &q.s.model, &graph));
    check_values(ctx, graph, &q);
    assert_ok(ctx, crumb_graph_print(graph, &text));
    assert_non_null(strstr(text, "quantizer=fixed; bits=8; weight=0; group=none; odd=false; levels=0;"));
    assert_non_null(strstr(text, "quantizer=fixed; bits=7; weight=1;")); /* -100 .. 0, two channels turned */
    assert_ok(ctx, crumb_graph_parse(ctx, "t", text, 1 << 16, &again));
    assert_ok(ctx, crumb_graph_print(again, &twice));
    assert_string_equal(text, twice);
    crumb_graph_copy(again, graph, NULL);
    check_values(ctx, again, &q);
    crumb_free(ctx, text);
    crumb_free(ctx, twice);
    crumb_graph_destroy(again);
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_packs(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    static quantized q;
    crumb_graph *graph;
    crumb_packed *packed;
    make(&q);
    assert_ok(ctx, sample_import(ctx, &q.s.model, &graph));
    const float mean[CHANNELS] = {0}, deviation[CHANNELS] = {1, 1};
    assert_ok(ctx,
              crumb_lower(graph, &(crumb_lower_facts){.model = "imported", .mean = mean, .deviation = deviation}, &packed));
    int layers = 0;
    for (int i = 0; i < packed->nodes; i++) {
        if (packed->node[i].op == CRUMB_PACKED_CONV2D) {
            layers++;
            assert_int_equal(packed->value[packed->node[i].input[0]].codes.levels, 256);
        }
    }
    assert_int_equal(layers, 1);
    crumb_packed_close(packed);
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* A Clip between the two: codes 36 .. 36 + levels - 1. */
static void add_clip(quantized *q, int levels) {
    sample *s = &q->s;
    static int32_t low, high;
    low = 36, high = 35 + levels;
    set_codes(s, "lo", CRUMB_ONNX_UINT8, 1, &low);
    set_codes(s, "hi", CRUMB_ONNX_UINT8, 1, &high);
    snprintf(q->names[5], sizeof(q->names[5]), "xq lo hi");
    CrumbOnnx__NodeProto *clip = sample_node(s, "Clip", q->names[5], "xc");
    for (int i = 5; i > 1; i--) {
        s->nodes[i] = s->nodes[i - 1];
    }
    s->nodes[1] = clip;
    s->inputs[1][0] = "xc";
}

static void test_clip(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    static quantized q;
    crumb_graph *graph;
    make(&q);
    add_clip(&q, 16);
    assert_ok(ctx, sample_import(ctx, &q.s.model, &graph));
    const crumb_quant *site = crumb_node_site(graph, 0);
    assert_int_equal(site->bits, 4);
    crumb_quant_call call = crumb_node_call(graph, 0);
    float x[3] = {-100.0f, 0.3f, 100.0f}, y[3];
    call.x = x, call.y = y, call.count = 3;
    site->quantizer->fake(&call);
    assert_true(y[0] == -0.5f && y[1] == 0.25f && y[2] == 11 * 0.125f);
    crumb_graph_destroy(graph);
    make(&q);
    add_clip(&q, 11); /* not a power of two of them */
    assert_ok(ctx, sample_import(ctx, &q.s.model, &graph));
    site = crumb_node_site(graph, 0);
    assert_int_equal(site->bits, 4);
    assert_int_equal(site->quantizer->levels(site), 11);
    call = crumb_node_call(graph, 0);
    call.x = x, call.y = y, call.count = 3;
    site->quantizer->fake(&call);
    assert_true(y[0] == -0.5f && y[1] == 0.25f && y[2] == 6 * 0.125f);
    crumb_graph_destroy(graph);
    make(&q);
    add_clip(&q, 1);
    assert_fails(ctx, CRUMB_ERROR_UNSUPPORTED, "codes from 36 to 36; supported are two or more",
                 sample_import(ctx, &q.s.model, &graph));
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_lies(void **state) {
    (void)state;
    static quantized q;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_graph *graph;
#define LIE(status, words, change)                                                                                             \
    make(&q);                                                                                                                  \
    change;                                                                                                                    \
    assert_fails(ctx, CRUMB_ERROR_##status, words, sample_import(ctx, &q.s.model, &graph))
    LIE(UNSUPPORTED, "reads the codes of xq", q.s.inputs[3][0] = "xq");
    LIE(UNSUPPORTED, "differ from those of the QuantizeLinear", q.s.inputs[1][1] = "s2";
        sample_tensor(&q.s, "s2", 1, 1, 0, 0, 0)->float_data[0] = 0.5f);
    LIE(FORMAT, "scale -1", q.s.floats[0][0] = -1);
    LIE(FORMAT, "scale inf", q.s.floats[0][0] = INFINITY);
    LIE(SHAPE, "3 scales", q.s.ints[2][0][0] = 0; q.s.attribute[2][0].i = 1);
    LIE(UNSUPPORTED, "element type INT32; supported are integers of 2, 4 and 8 bits",
        q.s.tensor[1].data_type = CRUMB_ONNX_INT32);
    LIE(UNSUPPORTED, "zero_point unlike its scale", q.s.inputs[0][2] = "zw");
#undef LIE
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_memory_fails(void **state) {
    (void)state;
    static quantized q;
    make(&q);
    test_every_allocation(sample_import_once, &q.s);
}

/* A network that came quantized gets no second quantizers, and is copied as it is without any. */
static void test_not_twice(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    static quantized q;
    crumb_graph *graph, *copy;
    crumb_quant_policy policy = {0};
    make(&q);
    assert_ok(ctx, sample_import(ctx, &q.s.model, &graph));
    assert_ok(ctx, crumb_graph_quantize(graph, &policy, &copy));
    assert_int_equal(copy->nodes, graph->nodes);
    crumb_graph_destroy(copy);
    for (int weight = 0; weight < 2; weight++) {
        policy = (crumb_quant_policy){0};
        assert_ok(ctx, crumb_quant_choose(ctx, "lsq", weight, 2, weight ? &policy.weights : &policy.activations));
        assert_int_equal(crumb_graph_quantize(graph, &policy, &copy), CRUMB_ERROR_UNSUPPORTED);
        assert_non_null(strstr(crumb_message(ctx), "the network came quantized"));
        assert_non_null(strstr(crumb_message(ctx), "by fixed"));
    }
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values),    cmocka_unit_test(test_packs),
                                       cmocka_unit_test(test_clip),      cmocka_unit_test(test_lies),
                                       cmocka_unit_test(test_not_twice), cmocka_unit_test(test_memory_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
