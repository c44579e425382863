/* Weights of any number of bits, in every way that files write them: DequantizeLinear with zero points a row and in blocks,
 * QONNX's IntQuant and BipolarQuant, MatMulNBits. Each imports as the values that its definition gives, on as few bits as its
 * codes need, survives the graph's text, and packs. */
#include "harness.h"

#include "onnx/sample.h"

#include "base/param.h"
#include "graph/exec.h"
#include "lower/lower.h"

#include <math.h>

enum { SIDE = 4, CHANNELS = 2, IN = CHANNELS * SIDE * SIDE, OUT = 3 };

typedef struct low_bits {
    sample s;
    char names[8][32];
    int32_t codes[OUT * IN], zeros[16];
    double weight[OUT][IN]; /* by definition */
} low_bits;

static char *name(low_bits *q, int i, const char *text) { /* sample_node cuts it up */
    snprintf(q->names[i], sizeof(q->names[i]), "%s", text);
    return q->names[i];
}

static CrumbOnnx__TensorProto *integers(low_bits *q, char *called, int type, int rank, int64_t a, int64_t b, int32_t *values) {
    CrumbOnnx__TensorProto *t = sample_tensor(&q->s, called, rank, a, b, 0, 0);
    t->n_int32_data = t->n_float_data;
    t->data_type = type, t->n_float_data = 0, t->int32_data = values;
    return t;
}

static float *floats(low_bits *q, char *called, int rank, int64_t a, int64_t b) {
    return sample_tensor(&q->s, called, rank, a, b, 0, 0)->float_data;
}

static void word(low_bits *q, char *attribute, const char *value) {
    sample_ints(&q->s, attribute, 0, 0, 0);
    CrumbOnnx__AttributeProto *a = &q->s.attribute[q->s.graph.n_node - 1][q->s.node[q->s.graph.n_node - 1].n_attribute - 1];
    a->has_i = 0, a->has_s = 1, a->s.data = (uint8_t *)(uintptr_t)value, a->s.len = strlen(value);
    a->type = CRUMB_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
}

/* x -> flatten "f"; the weight comes next. */
static void begin(low_bits *q) {
    memset(q, 0, sizeof(*q));
    sample_begin(&q->s, CHANNELS, SIDE, SIDE);
    sample_node(&q->s, "Flatten", name(q, 0, "x"), "f");
}

static void finish(low_bits *q) { /* the weight "d" */
    sample_node(&q->s, "Gemm", name(q, 1, "f d"), "y");
    sample_ints(&q->s, "transB", 0, 1, 1);
}

/* Codes low .. high, both of them there in each row. */
static void draw(low_bits *q, int low, int high) {
    for (int i = 0; i < OUT * IN; i++) {
        q->codes[i] = i % IN == 0 ? low : i % IN == 1 ? high : low + i * 29 % (high - low + 1);
    }
}

static void define(low_bits *q, const float *scale, int blocks, const double *zero, int zeros) {
    for (int o = 0; o < OUT; o++) {
        for (int i = 0; i < IN; i++) {
            int step = o * blocks + i / (IN / blocks);
            q->weight[o][i] = (double)scale[step] * (q->codes[o * IN + i] - zero[zeros == 1 ? 0 : step]);
        }
    }
}

/* ---- The ways. */

static const float scales[6] = {0.25f, 0.5f, 0.125f, 0.75f, 0.0625f, 0.3f};

/* uint2, with a zero point a row: -2 .. 1, -1 .. 2 and 0 .. 3, the second turned. */
static void rows_with_zeros(low_bits *q) {
    begin(q);
    draw(q, 0, 3);
    q->zeros[0] = 2, q->zeros[1] = 1, q->zeros[2] = 2;
    integers(q, "w", CRUMB_ONNX_UINT8, 2, OUT, IN, q->codes);
    memcpy(floats(q, "s", 1, OUT, 0), scales, OUT * sizeof(float));
    integers(q, "z", CRUMB_ONNX_UINT8, 1, OUT, 0, q->zeros);
    sample_node(&q->s, "DequantizeLinear", name(q, 2, "w s z"), "d");
    sample_ints(&q->s, "axis", 0, 0, 0);
    finish(q);
    define(q, scales, 1, (double[]){2, 1, 2}, OUT);
}

/* int8 codes -5 .. 4, `block` inputs a scale. */
static void blocks_of(low_bits *q, int block) {
    static float many[OUT * IN];
    int count = IN / block;
    begin(q);
    draw(q, -5, 4);
    integers(q, "w", CRUMB_ONNX_INT8, 2, OUT, IN, q->codes);
    for (int i = 0; i < OUT * count; i++) {
        many[i] = scales[i % 6];
    }
    memcpy(floats(q, "s", 2, OUT, count), many, (size_t)(OUT * count) * sizeof(*many));
    sample_node(&q->s, "DequantizeLinear", name(q, 2, "w s"), "d");
    sample_ints(&q->s, "axis", 0, 1, 1);
    sample_ints(&q->s, "block_size", 0, block, block);
    finish(q);
    define(q, many, count, (double[]){0}, 1);
}

static void blocks(low_bits *q) {
    blocks_of(q, 16);
}
static void small_blocks(low_bits *q) { /* which no kernel has: floats */
    blocks_of(q, 8);
}

/* The same as a matrix [I,O], blocks down its columns. */
static void blocks_of_columns(low_bits *q) {
    static int32_t turned[OUT * IN];
    begin(q);
    draw(q, -5, 4);
    for (int i = 0; i < OUT * IN; i++) {
        turned[i % IN * OUT + i / IN] = q->codes[i];
    }
    integers(q, "w", CRUMB_ONNX_INT8, 2, IN, OUT, turned);
    float *scale = floats(q, "s", 2, 2, OUT);
    for (int i = 0; i < 2 * OUT; i++) {
        scale[i % 2 * OUT + i / 2] = scales[i];
    }
    sample_node(&q->s, "DequantizeLinear", name(q, 2, "w s"), "d");
    sample_ints(&q->s, "axis", 0, 0, 0);
    sample_ints(&q->s, "block_size", 0, 16, 16);
    sample_node(&q->s, "MatMul", name(q, 1, "f d"), "y");
    define(q, scales, 2, (double[]){0}, 1);
}

/* x / s + z of the code plus 0.3, so that there is something to round. */
static void latent(low_bits *q, const double *zero, int zeros) {
    float *w = floats(q, "w", 2, OUT, IN);
    define(q, scales, 1, zero, zeros);
    for (int i = 0; i < OUT * IN; i++) {
        w[i] = (float)q->weight[i / IN][i % IN] + 0.3f * scales[i / IN];
    }
}

static void int_quant(low_bits *q, int low, int high, double zero, float bits, bool is_signed, bool narrow) {
    begin(q);
    draw(q, low, high);
    latent(q, &zero, 1);
    memcpy(floats(q, "s", 2, OUT, 1), scales, OUT * sizeof(float));
    floats(q, "z", 1, 1, 0)[0] = (float)zero;
    floats(q, "b", 1, 1, 0)[0] = bits;
    sample_node(&q->s, "IntQuant", name(q, 2, "w s z b"), "d")->domain = "qonnx.custom_op.general";
    sample_ints(&q->s, "signed", 0, is_signed, 0);
    sample_ints(&q->s, "narrow", 0, narrow, 0);
    word(q, "rounding_mode", "ROUND");
    finish(q);
}

static void int_quant_narrow(low_bits *q) {
    int_quant(q, -3, 3, 0, 3, true, true);
}
static void int_quant_ternary(low_bits *q) {
    int_quant(q, -1, 1, 0, 2, true, true);
}
static void int_quant_middle(low_bits *q) { /* -3, -1, 1, 3 times half a scale */
    int_quant(q, 0, 3, 1.5, 2, false, false);
}
static void int_quant_brevitas(low_bits *q) {
    int_quant(q, -8, 7, 0, 4, true, false);
    q->s.node[1].op_type = "Quant", q->s.node[1].domain = "onnx.brevitas";
}

static void bipolar(low_bits *q) {
    begin(q);
    draw(q, 0, 1);
    for (int i = 0; i < OUT * IN; i++) {
        q->codes[i] = 2 * q->codes[i] - 1;
    }
    latent(q, (double[]){0}, 1);
    memcpy(floats(q, "s", 2, OUT, 1), scales, OUT * sizeof(float));
    sample_node(&q->s, "BipolarQuant", name(q, 2, "w s"), "d")->domain = "finn.custom_op.general";
    finish(q);
}

/* zero points: 0 the middle, 1 packed, 2 floats */
static void nbits(low_bits *q, int bits, int zero_points) {
    static const double packed[6] = {1, 2, 0, 3, 2, 1}, halves[6] = {1.5, 2, 0.5, 3, 2.25, 1};
    static int32_t bytes[OUT * IN], zero_bytes[OUT];
    double middle = 1 << (bits - 1);
    begin(q);
    draw(q, 0, (1 << bits) - 1);
    memset(bytes, 0, sizeof(bytes));
    memset(zero_bytes, 0, sizeof(zero_bytes));
    for (int i = 0; i < OUT * IN; i++) {
        bytes[i * bits / 8] |= q->codes[i] << i * bits % 8;
    }
    for (int i = 0; i < OUT * 2; i++) {
        zero_bytes[i / 2] |= (int)packed[i] << i % 2 * bits;
    }
    integers(q, "B", CRUMB_ONNX_UINT8, 2, OUT, IN * bits / 8, bytes);
    memcpy(floats(q, "s", 1, OUT * 2, 0), scales, sizeof(scales));
    if (zero_points == 1) {
        integers(q, "z", CRUMB_ONNX_UINT8, 1, OUT, 0, zero_bytes);
    } else if (zero_points == 2) {
        float *z = floats(q, "z", 1, OUT * 2, 0);
        for (int i = 0; i < OUT * 2; i++) {
            z[i] = (float)halves[i];
        }
    }
    sample_node(&q->s, "MatMulNBits", name(q, 2, zero_points > 0 ? "f B s z" : "f B s"), "y")->domain = "com.microsoft";
    sample_ints(&q->s, "K", 0, IN, 0);
    sample_ints(&q->s, "N", 0, OUT, 0);
    sample_ints(&q->s, "bits", 0, bits, 0);
    sample_ints(&q->s, "block_size", 0, 16, 0);
    sample_ints(&q->s, "accuracy_level", 0, 4, 0);
    define(q, scales, 2, zero_points == 1 ? packed : zero_points == 2 ? halves : &middle, zero_points > 0 ? 6 : 1);
}

static void nbits_4(low_bits *q) {
    nbits(q, 4, 0);
}
static void nbits_2_zeros(low_bits *q) {
    nbits(q, 2, 1);
}
static void nbits_4_halves(low_bits *q) {
    nbits(q, 4, 2);
}

static const struct way {
    const char *name;
    void (*make)(low_bits *q);
    int bits, levels, group; /* bits 0: floats */
    bool odd;
} ways[] = {
    {"rows with zero points", rows_with_zeros, 2, 4, 0, false},
    {"blocks", blocks, 4, 16, 16, false},
    {"blocks of columns", blocks_of_columns, 4, 16, 16, false},
    {"small blocks", small_blocks, 0, 0, 0, false},
    {"narrow", int_quant_narrow, 3, 8, 0, false},
    {"ternary", int_quant_ternary, 2, 3, 0, false},
    {"zero point in the middle", int_quant_middle, 2, 4, 0, true},
    {"Brevitas", int_quant_brevitas, 4, 16, 0, false},
    {"bipolar", bipolar, 1, 2, 0, true},
    {"nbits 4", nbits_4, 4, 16, 16, false},
    {"nbits 2, zero points", nbits_2_zeros, 3, 8, 16, false}, /* -3 .. 3 */
    {"nbits 4, zero points between codes", nbits_4_halves, 0, 0, 0, false},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* ---- What comes of them. */

static void check_values(crumb_ctx *ctx, crumb_graph *graph, const low_bits *q) {
    crumb_exec *exec;
    assert_ok(ctx, crumb_exec_create(graph, &(crumb_exec_options){.batch = 1, .reference = true}, &exec));
    float *x = crumb_exec_value(exec, graph->image);
    double sums[OUT] = {0};
    for (int i = 0; i < IN; i++) { /* NHWC here, NCHW there */
        x[i] = (float)(i * 7 % 31 - 12) / 8.0f;
        for (int o = 0; o < OUT; o++) {
            sums[o] += (double)x[i] * q->weight[o][i % CHANNELS * SIDE * SIDE + i / CHANNELS];
        }
    }
    crumb_exec_forward(exec, false, 1, 1);
    for (int o = 0; o < OUT; o++) {
        double got = (double)crumb_exec_value(exec, graph->logits)[o];
        if (!(fabs(got - sums[o]) <= 1e-4)) {
            fail_msg("logit %d is %g, not %g", o, got, sums[o]);
        }
    }
    crumb_exec_destroy(exec);
}

static const crumb_quant *weight_site(const crumb_graph *graph) {
    for (int i = 0; i < graph->nodes; i++) {
        if (crumb_node_weight_site(graph, i) != NULL) {
            return crumb_node_weight_site(graph, i);
        }
    }
    return NULL;
}

static void check_packs(crumb_ctx *ctx, crumb_graph *graph, const struct way *way) {
    const float mean[CHANNELS] = {0}, deviation[CHANNELS] = {1, 1};
    crumb_packed *packed;
    int layers = 0;
    assert_ok(ctx,
              crumb_lower(graph, &(crumb_lower_facts){.model = "imported", .mean = mean, .deviation = deviation}, &packed));
    for (int i = 0; i < packed->nodes; i++) {
        const crumb_packed_node *node = &packed->node[i];
        if (node->op == CRUMB_PACKED_CONV2D) {
            layers++;
            assert_int_equal(packed->tensor[node->weight].codes.levels, way->levels);
            assert_int_equal(crumb_packed_group(packed, node), way->group);
        }
    }
    assert_int_equal(layers, 1);
    crumb_packed_close(packed);
}

static void test_ways(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    static low_bits q;
    for (int i = 0; i < WAYS; i++) {
        crumb_graph *graph, *again;
        char *text;
        print_message("%s\n", ways[i].name);
        ways[i].make(&q);
        assert_ok(ctx, sample_import(ctx, &q.s.model, &graph));
        const crumb_quant *site = weight_site(graph);
        assert_int_equal(site != NULL ? site->bits : 0, ways[i].bits);
        assert_int_equal(site != NULL ? site->quantizer->levels(site) : 0, ways[i].levels);
        check_values(ctx, graph, &q);
        check_packs(ctx, graph, &ways[i]);
        assert_ok(ctx, crumb_graph_print(graph, &text));
        assert_int_equal(strstr(text, "odd=true") != NULL, ways[i].odd);
        assert_ok(ctx, crumb_graph_parse(ctx, "t", text, 1 << 16, &again));
        crumb_graph_copy(again, graph, NULL);
        check_values(ctx, again, &q);
        crumb_free(ctx, text);
        crumb_graph_destroy(again);
        crumb_graph_destroy(graph);
    }
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* ---- Activations. */

/* f -> op -> "a", which the layer reads; the weight is floats. */
static void activation(low_bits *q, char *op, float scale, float zero, float bits, bool is_signed, bool narrow) {
    begin(q);
    floats(q, "d", 2, OUT, IN);
    floats(q, "s", 0, 0, 0)[0] = scale;
    q->s.tensor[1].n_float_data = 1;
    floats(q, "z", 1, 1, 0)[0] = zero;
    floats(q, "b", 1, 1, 0)[0] = bits;
    bool bipolar = op[0] == 'B';
    sample_node(&q->s, op, name(q, 2, bipolar ? "f s" : "f s z b"), "a")->domain = "qonnx.custom_op.general";
    if (!bipolar) {
        sample_ints(&q->s, "signed", 0, is_signed, 0);
        sample_ints(&q->s, "narrow", 0, narrow, 0);
    }
    finish(q);
    q->s.inputs[2][0] = "a";
}

static void test_activations(void **state) {
    (void)state;
    static const struct {
        char *op;
        float scale, zero, bits;
        bool is_signed, narrow;
        float y[6]; /* of -9, -0.4, 0, 0.6, 1.3, 9 */
    } cases[] = {
        {"IntQuant", 0.5f, 0, 2, false, false, {0, 0, 0, 0.5f, 1.5f, 1.5f}},
        {"IntQuant", 0.5f, 0, 2, false, true, {0, 0, 0, 0.5f, 1, 1}},
        {"IntQuant", 0.5f, 0, 3, true, true, {-1.5f, -0.5f, 0, 0.5f, 1.5f, 1.5f}},
        {"IntQuant", 0.5f, 2, 3, false, false, {-1, -0.5f, 0, 0.5f, 1.5f, 2.5f}},
        {"IntQuant", 1, 1.5f, 2, false, false, {-1.5f, -0.5f, 0.5f, 0.5f, 1.5f, 1.5f}},
        {"BipolarQuant", 0.75f, 0, 0, false, false, {-0.75f, -0.75f, 0.75f, 0.75f, 0.75f, 0.75f}},
    };
    crumb_ctx *ctx = test_ctx(&(test_memory){0}, 1);
    static low_bits q;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        crumb_graph *graph;
        activation(&q, cases[i].op, cases[i].scale, cases[i].zero, cases[i].bits, cases[i].is_signed, cases[i].narrow);
        assert_ok(ctx, sample_import(ctx, &q.s.model, &graph));
        int node = 0;
        while (crumb_node_site(graph, node) == NULL) {
            node++;
        }
        crumb_quant_call call = crumb_node_call(graph, node);
        float x[6] = {-9, -0.4f, 0, 0.6f, 1.3f, 9}, y[6];
        call.x = x, call.y = y, call.count = 6;
        call.site->quantizer->fake(&call);
        for (int k = 0; k < 6; k++) {
            if (y[k] != cases[i].y[k]) {
                fail_msg("case %zu: %g becomes %g, not %g", i, (double)x[k], (double)y[k], (double)cases[i].y[k]);
            }
        }
        const float mean[CHANNELS] = {0}, deviation[CHANNELS] = {1, 1};
        crumb_packed *packed;
        assert_ok(ctx,
                  crumb_lower(graph, &(crumb_lower_facts){.model = "imported", .mean = mean, .deviation = deviation}, &packed));
        crumb_packed_close(packed);
        crumb_graph_destroy(graph);
    }
    crumb_ctx_destroy(ctx);
}

/* ---- Lies. */

static void test_lies(void **state) {
    (void)state;
    static low_bits q;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_graph *graph;
#define LIE(way, status, words, change)                                                                                        \
    way(&q);                                                                                                                   \
    change;                                                                                                                    \
    assert_fails(ctx, CRUMB_ERROR_##status, words, sample_import(ctx, &q.s.model, &graph))
    LIE(blocks, SHAPE, "6 scales", q.s.attribute[1][1].i = 8);
    LIE(blocks, SHAPE, "6 scales", q.s.attribute[1][0].i = 0);
    LIE(blocks, FORMAT, "block_size -16", q.s.attribute[1][1].i = -16);
    LIE(blocks, UNSUPPORTED, "a scale of 1 dimensions for 2, blocks of 16", q.s.tensor[1].n_dims = 1; q.s.dims[1][0] = 6);
    LIE(rows_with_zeros, UNSUPPORTED, "a zero_point unlike its scale and codes: 3 of INT8",
        q.s.tensor[2].data_type = CRUMB_ONNX_INT8);
    LIE(int_quant_narrow, UNSUPPORTED, "rounding_mode FLOOR", q.s.attribute[1][2].s.data = (uint8_t *)(uintptr_t) "FLOOR");
    LIE(int_quant_narrow, UNSUPPORTED, "2.5 bits", q.s.floats[3][0] = 2.5f);
    LIE(int_quant_narrow, UNSUPPORTED, "narrow 7", q.s.attribute[1][1].i = 7);
    LIE(int_quant_narrow, FORMAT, "scale -1", q.s.floats[1][0] = -1);
    LIE(int_quant_narrow, FORMAT, "zeropt inf", q.s.floats[2][0] = INFINITY);
    LIE(int_quant_narrow, UNSUPPORTED, "scales 3x3 for values 3x32", q.s.dims[1][1] = 3; q.s.tensor[1].n_float_data = 9);
    LIE(int_quant_narrow, UNSUPPORTED, "bitwidth is missing", q.s.node[1].n_input = 3);
    LIE(bipolar, FORMAT, "scale nan", q.s.floats[1][2] = NAN);
    LIE(bipolar, UNSUPPORTED, "this op of somewhere is not supported", q.s.node[1].domain = "somewhere");
    LIE(nbits_4, SHAPE, "B has 48 values of UINT8, not 96", q.s.attribute[1][2].i = 8);
    LIE(nbits_4, UNSUPPORTED, "3 bits", q.s.attribute[1][2].i = 3);
    LIE(nbits_4, UNSUPPORTED, "N 0", q.s.attribute[1][1].i = 0);
    LIE(nbits_4, UNSUPPORTED, "blocks of -16", q.s.attribute[1][3].i = -16);
    LIE(nbits_4, SHAPE, "rows of 32 values for K 16", q.s.attribute[1][0].i = 16; q.s.dims[0][1] = 8;
        q.s.tensor[0].n_int32_data = 24; q.s.dims[1][0] = 3; q.s.tensor[1].n_float_data = 3);
    LIE(nbits_4, SHAPE, "scales has 5 values, not 6", q.s.dims[1][0] = 5; q.s.tensor[1].n_float_data = 5);
    LIE(nbits_2_zeros, SHAPE, "zero_points has 2 values of UINT8, not 3", q.s.dims[2][0] = 2; q.s.tensor[2].n_int32_data = 2);
#undef LIE
    activation(&q, "IntQuant", 0.5f, 0.25f, 2, false, false);
    assert_fails(ctx, CRUMB_ERROR_UNSUPPORTED, "zeropt 0.25 of a computed value", sample_import(ctx, &q.s.model, &graph));
    activation(&q, "IntQuant", 0.5f, 0, 9, false, false);
    assert_fails(ctx, CRUMB_ERROR_UNSUPPORTED, "9 bits", sample_import(ctx, &q.s.model, &graph));
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_memory_fails(void **state) {
    (void)state;
    static low_bits q;
    for (int i = 0; i < WAYS; i++) {
        ways[i].make(&q);
        test_every_allocation(sample_import_once, &q.s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ways), cmocka_unit_test(test_activations),
                                       cmocka_unit_test(test_lies), cmocka_unit_test(test_memory_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
