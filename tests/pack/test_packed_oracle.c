/* The naive executor against numbers worked out by hand: each op of pack/packed.h on small inputs. */
#include "harness.h"

#include "pack/functions.h"
#include "pack/oracle.h"
#include "pack/sample.h"

typedef struct one {
    crumb_ctx *ctx;
    sample s;
    crumb_packed *packed;
    crumb_oracle *oracle;
} one;

static one *begin(int32_t height, int32_t width, int32_t channels) {
    one *o = calloc(1, sizeof(*o));
    assert_int_equal(crumb_ctx_create(&o->ctx, NULL), CRUMB_OK);
    crumb_build_begin(&o->s.build, o->ctx, height, width, channels);
    return o;
}

/* Logits must be a vector of reals: a mean over all pixels of what value 0 has, one a channel. */
static void run(one *o, const float *image) {
    o->s.build.packed.classes = sample_channels(&o->s, 0);
    sample_node(&o->s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, 0);
    assert_ok(o->ctx, crumb_build_end(&o->s.build, &o->packed));
    assert_ok(o->ctx, crumb_oracle_create(o->packed, &o->oracle));
    crumb_oracle_run(o->oracle, image);
}

static void end(one *o) {
    crumb_oracle_destroy(o->oracle);
    crumb_packed_close(o->packed);
    crumb_ctx_destroy(o->ctx);
    free(o);
}

static void check_real(const one *o, int32_t value, const float *expected, size_t count) {
    const float *real = crumb_oracle_real(o->oracle, value);
    assert_non_null(real);
    assert_null(crumb_oracle_index(o->oracle, value));
    assert_int_equal(crumb_packed_elements(&o->packed->value[value]), count);
    assert_memory_equal(real, expected, count * sizeof(*real));
}

static void check_index(const one *o, int32_t value, const int32_t *expected, size_t count) {
    const int32_t *index = crumb_oracle_index(o->oracle, value);
    assert_non_null(index);
    assert_null(crumb_oracle_real(o->oracle, value));
    assert_int_equal(crumb_packed_elements(&o->packed->value[value]), count);
    assert_memory_equal(index, expected, count * sizeof(*index));
}

static void test_quantize(void **state) {
    (void)state;
    one *o = begin(1, 11, 1);
    const float image[] = {0.25f, 0.75f, 1.25f, -0.25f, -9.0f, 9.0f, NAN, INFINITY, -INFINITY, -0.0f, 0.5f};
    o->s.rng = crumb_rng_at(1, 0, 0);
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_QUANTIZE, "round", 0);
    node.inverse = 2.0f; /* 0.5, 1.5, 2.5, -0.5: ties to even */
    node.lo = -1.0f;
    node.hi = 2.0f;
    int32_t rounded =
        crumb_build_append(&o->s.build, &node, &(crumb_packed_codes){.levels = 4, .multiply = 1, .offset = -1, .scale = 0.5f});
    node = crumb_build_node_of(CRUMB_PACKED_QUANTIZE, "thresholds", 0);
    node.thresholds_form = true;
    node.extra = crumb_build_floats(&o->s.build, 1, 3, (const float[]){-0.25f, 0.5f, INFINITY});
    int32_t counted =
        crumb_build_append(&o->s.build, &node, &(crumb_packed_codes){.levels = 4, .multiply = 2, .offset = -3, .scale = 2.0f});
    int32_t real = sample_node(&o->s, CRUMB_PACKED_DEQUANTIZE, counted);
    run(o, image);
    check_index(o, rounded, (const int32_t[]){1, 3, 3, 1, 0, 3, 0, 3, 0, 1, 2}, 11);
    check_index(o, counted, (const int32_t[]){1, 2, 2, 1, 0, 2, 0, 3, 0, 1, 2}, 11);
    check_real(o, real, (const float[]){-2, 2, 2, -2, -6, 2, -6, 6, -6, -2, 2}, 11);
    end(o);
}

/* 2 x 3 image of two channels, one 2 x 2 window with padding 1, stride 2: three outputs in a row of two. */
static void test_conv_codes(void **state) {
    (void)state;
    one *o = begin(2, 3, 2);
    const float image[] = {1, 2, 3, 0, 2, 1, 0, 3, 1, 1, 3, 3};
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_QUANTIZE, "q", 0);
    node.inverse = 1.0f;
    node.hi = 3.0f;
    int32_t x = crumb_build_append(&o->s.build, &node, &(crumb_packed_codes){.levels = 4, .multiply = 1, .scale = 1.0f});
    node = crumb_build_node_of(CRUMB_PACKED_CONV2D, "conv", x);
    node.kernel_height = node.kernel_width = node.stride = 2;
    node.padding = node.dilation = node.groups = 1;
    crumb_packed_codes ternary = {.levels = 3, .multiply = 1, .offset = -1};
    /* output 0: 1 at (kh 1, kw 1, c 0), -1 at (1, 1, c 1); output 1: all ones */
    const uint16_t index[16] = {1, 1, 1, 1, 1, 1, 2, 0, 2, 2, 2, 2, 2, 2, 2, 2};
    node.weight = crumb_build_codes(&o->s.build, 2, 8, ternary, index);
    node.multiplier = crumb_build_floats(&o->s.build, 1, 2, (const float[]){0.5f, 2.0f});
    node.bias = crumb_build_floats(&o->s.build, 1, 2, (const float[]){0.25f, -1.0f});
    int32_t y = crumb_build_append(&o->s.build, &node, NULL);
    run(o, image);
    /* rows -1..0 and 1..2, columns -1..0 and 1..2 */
    const float expected[] = {
        (1 - 2) * 0.5f + 0.25f,
        (1 + 2) * 2.0f - 1,
        (2 - 1) * 0.5f + 0.25f,
        (3 + 0 + 2 + 1) * 2.0f - 1,
        (0 - 0) * 0.5f + 0.25f,
        (0 + 3) * 2.0f - 1,
        0.25f,
        (1 + 1 + 3 + 3) * 2.0f - 1,
    };
    check_real(o, y, expected, 8);
    end(o);
}

/* Order and rounding of float sums: 2^24 + 1 is no float, so 1 added twice to 2^24 is lost, and 2 added once is not. */
static void test_conv_reals(void **state) {
    (void)state;
    const float image[] = {16777216.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f};
    const struct {
        int32_t levels;
        float sum;
    } cases[] = {
        {0, 16777216.0f},         /* one by one: each 1 is lost */
        {8, 16777216.0f},         /* the same */
        {4, 16777216.0f + 2 + 2}, /* (2^24 + 1) + 2 + 2 + 1 */
        {3, 16777216.0f + 2 + 2}, /* the same */
        {2, 16777216.0f + 4},     /* fmaf: ((2^24 + 1) + 1) + 1 = 2^24; then + (1 + 1 + 1) = + 3, a tie to 2^24 + 4 */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        one *o = begin(1, 7, 1);
        int32_t flat = sample_node(&o->s, CRUMB_PACKED_FLATTEN, 0);
        crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_CONV2D, "conv", flat);
        node.kernel_height = node.kernel_width = node.stride = node.dilation = node.groups = 1;
        crumb_packed_codes codes = {.levels = cases[i].levels, .multiply = 1, .offset = 0};
        const uint16_t index[7] = {1, 1, 1, 1, 1, 1, 1};
        const float ones[7] = {1, 1, 1, 1, 1, 1, 1};
        node.weight =
            codes.levels > 0 ? crumb_build_codes(&o->s.build, 1, 7, codes, index) : crumb_build_floats(&o->s.build, 1, 7, ones);
        node.multiplier = crumb_build_floats(&o->s.build, 1, 1, ones);
        node.bias = crumb_build_floats(&o->s.build, 1, 1, (const float[]){0});
        int32_t y = crumb_build_append(&o->s.build, &node, NULL);
        run(o, image);
        check_real(o, y, &cases[i].sum, 1);
        end(o);
    }
}

/* Groups and dilation: kernel 1 x 2 with dilation 2 on a row of 4 pixels, two groups of one channel. */
static void test_conv_groups(void **state) {
    (void)state;
    one *o = begin(1, 4, 2);
    const float image[] = {1, 10, 2, 20, 3, 30, 4, 40};
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_CONV2D, "conv", 0);
    node.kernel_height = node.stride = 1;
    node.kernel_width = node.dilation = node.groups = 2;
    node.weight = crumb_build_floats(&o->s.build, 4, 2, (const float[]){1, 0, 0, 1, 1, 1, -1, 2});
    node.multiplier = crumb_build_floats(&o->s.build, 1, 4, (const float[]){1, 1, 1, 2});
    node.bias = crumb_build_floats(&o->s.build, 1, 4, (const float[]){0, 0, 0, 5});
    int32_t y = crumb_build_append(&o->s.build, &node, NULL);
    run(o, image);
    check_real(o, y, (const float[]){1, 3, 40, 105, 2, 4, 60, 125}, 8);
    end(o);
}

/* 17 inputs in groups of 16: codes are 1 and 2, the groups' scales 2 and 10, then -1 and 0.5. */
static void test_groups(void **state) {
    (void)state;
    enum { INPUTS = 17 };
    one *o = begin(1, 1, 1);
    crumb_build *b = &o->s.build;
    uint16_t index[2 * INPUTS];
    float gain[INPUTS], zero[INPUTS] = {0};
    for (int i = 0; i < INPUTS; i++) {
        gain[i] = (float)(1 + i);
        index[i] = (uint16_t)(i == 3);
        index[INPUTS + i] = 1;
    }
    int32_t x = 0;
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_CONV2D, "spread", x);
    node.kernel_height = node.kernel_width = node.stride = node.dilation = node.groups = 1;
    node.weight = crumb_build_floats(b, INPUTS, 1, gain);
    node.multiplier =
        crumb_build_floats(b, 1, INPUTS, (const float[INPUTS]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
    node.bias = crumb_build_floats(b, 1, INPUTS, zero);
    x = crumb_build_append(b, &node, NULL);
    node.input[0] = x;
    node.weight = crumb_build_codes(b, 2, INPUTS, (crumb_packed_codes){.levels = 8, .multiply = 1, .offset = 1}, index);
    node.multiplier = crumb_build_floats(b, 1, 2, (const float[]){1, 3});
    node.bias = crumb_build_floats(b, 1, 2, (const float[]){0, 5});
    node.extra = crumb_build_floats(b, 2, 2, (const float[]){2, 10, -1, 0.5f});
    int32_t y = crumb_build_append(b, &node, NULL);
    run(o, (const float[]){1});
    assert_int_equal(crumb_packed_group(o->packed, &o->packed->node[y - 1]), 16);
    check_real(o, y, (const float[]){2 * (136 + 4) + 10 * 17, 3 * (-2 * 136 + 17) + 5}, 2);
    end(o);
}

static void test_elements(void **state) {
    (void)state;
    one *o = begin(1, 2, 2);
    const float image[] = {-2, 3, 0.5f, NAN};
    crumb_build *b = &o->s.build;
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_AFFINE, "affine", 0);
    node.multiplier = crumb_build_floats(b, 1, 2, (const float[]){2, -1});
    node.bias = crumb_build_floats(b, 1, 2, (const float[]){1, 1});
    int32_t affine = crumb_build_append(b, &node, NULL);
    int32_t relu = sample_node(&o->s, CRUMB_PACKED_RELU, 0);
    node = crumb_build_node_of(CRUMB_PACKED_PRELU, "prelu", affine);
    node.extra = crumb_build_floats(b, 1, 2, (const float[]){0.5f, 4});
    int32_t prelu = crumb_build_append(b, &node, NULL);
    node = crumb_build_node_of(CRUMB_PACKED_CLIP, "clip", relu);
    node.lo = 1;
    node.hi = 2;
    int32_t clip = crumb_build_append(b, &node, NULL);
    int32_t sum = sample_pair(&o->s, CRUMB_PACKED_ADD, relu, clip), product = sample_pair(&o->s, CRUMB_PACKED_MUL, sum, clip);
    run(o, image);
    check_real(o, relu, (const float[]){0, 3, 0.5f, 0}, 4);
    assert_true(crumb_oracle_real(o->oracle, affine)[0] == -3.0f && crumb_oracle_real(o->oracle, affine)[2] == 2.0f);
    assert_true(crumb_oracle_real(o->oracle, prelu)[0] == -1.5f && crumb_oracle_real(o->oracle, prelu)[1] == -8.0f);
    check_real(o, clip, (const float[]){1, 2, 1, 1}, 4);
    check_real(o, sum, (const float[]){1, 5, 1.5f, 1}, 4);
    check_real(o, product, (const float[]){1, 10, 1.5f, 1}, 4);
    end(o);
}

static void test_pools(void **state) {
    (void)state;
    one *o = begin(3, 3, 1);
    const float image[] = {1, 2, 3, 4, -5, 6, 7, 8, 18};
    int32_t largest = sample_pool(&o->s, CRUMB_PACKED_MAX_POOL, 0, 2, 2, 1);
    int32_t inside = sample_pool(&o->s, CRUMB_PACKED_AVERAGE_POOL, 0, 2, 2, 1);
    int32_t whole = sample_pool(&o->s, CRUMB_PACKED_AVERAGE_POOL, 0, 2, 1, 0);
    int32_t codes = sample_pool(&o->s, CRUMB_PACKED_MAX_POOL, sample_round(&o->s, 0, 256, -128), 3, 1, 0);
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_MAX_POOL, "ceil", 0);
    node.kernel_height = node.kernel_width = node.stride = 2;
    node.ceil_mode = true;
    int32_t reaching = crumb_build_append(&o->s.build, &node, NULL);
    node.op = CRUMB_PACKED_AVERAGE_POOL;
    int32_t reaching_mean = crumb_build_append(&o->s.build, &node, NULL);
    node.kernel_height = node.kernel_width = 1; /* windows 0, 2; 4 would begin behind the image */
    int32_t single = crumb_build_append(&o->s.build, &node, NULL);
    run(o, image);
    check_real(o, reaching, (const float[]){4, 6, 8, 18}, 4);
    check_real(o, reaching_mean, (const float[]){0.5f, 2.25f, 3.75f, 4.5f}, 4);
    check_real(o, single, (const float[]){1, 3, 7, 18}, 4);
    check_real(o, largest, (const float[]){1, 3, 7, 18}, 4);
    check_real(o, inside, (const float[]){1, 2.5f, 5.5f, 6.75f}, 4);
    check_real(o, whole, (const float[]){0.5f, 1.5f, 3.5f, 6.75f}, 4);
    check_index(o, codes, (const int32_t[]){4 * 18 + 128}, 1);
    check_real(o, o->packed->logits, (const float[]){44 * (1.0f / 9)}, 1);
    end(o);
}

static void test_places(void **state) {
    (void)state;
    one *o = begin(2, 3, 2);
    const float image[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_SUBSAMPLE, "subsample", 0);
    node.stride = 2;
    int32_t every = crumb_build_append(&o->s.build, &node, NULL);
    node = crumb_build_node_of(CRUMB_PACKED_PAD, "pad", every);
    node.before = 1;
    node.after = 2;
    int32_t padded = crumb_build_append(&o->s.build, &node, NULL);
    int32_t flat = sample_node(&o->s, CRUMB_PACKED_FLATTEN, 0);
    int32_t beside = sample_pair(&o->s, CRUMB_PACKED_CONCAT, every, padded);
    run(o, image);
    check_real(o, every, (const float[]){0, 1, 4, 5}, 4);
    check_real(o, padded, (const float[]){0, 0, 1, 0, 0, 0, 4, 5, 0, 0}, 10);
    check_real(o, flat, (const float[]){0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11}, 12);
    check_real(o, beside, (const float[]){0, 1, 0, 0, 1, 0, 0, 4, 5, 0, 4, 5, 0, 0}, 14);
    end(o);
}

static void test_gather(void **state) {
    (void)state;
    one *o = begin(2, 3, 2);
    const float image[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    static const int32_t places[] = {6, -1, 4, 0, 1, 0, -1};
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_GATHER, "gather", 0);
    node.made_height = 2;
    node.made_width = 2;
    node.extra = crumb_build_places(&o->s.build, 7, places);
    node.lo = -2;
    int32_t gathered = crumb_build_append(&o->s.build, &node, NULL);
    int32_t constant = sample_constant(&o->s, gathered);
    run(o, image);
    check_real(o, gathered, (const float[]){11, 10, -2, 7, 6, -2, -2, -2, -2, -2, -2, -2}, 12);
    check_real(o, constant, crumb_packed_floats(o->packed, o->packed->node[constant - 1].extra), 12);
    end(o);
}

/* Against the C library's functions, of doubles: within a unit in the last place of a float. */
static void test_functions(void **state) {
    (void)state;
    one *o = begin(1, 1, 3);
    const float image[] = {-3.25f, 1e-5f, 0.75f};
    int32_t sigmoid = sample_node(&o->s, CRUMB_PACKED_SIGMOID, 0), tangent = sample_node(&o->s, CRUMB_PACKED_TANH, 0);
    int32_t softmax = sample_node(&o->s, CRUMB_PACKED_SOFTMAX, 0), logarithm = sample_node(&o->s, CRUMB_PACKED_LOG_SOFTMAX, 0);
    int32_t lrn = sample_lrn(&o->s, 0, 2), quotient = sample_pair(&o->s, CRUMB_PACKED_DIV, 0, sigmoid);
    float wanted[6][3];
    double sum = exp(-3.25) + exp((double)image[1]) + exp(0.75);
    for (int c = 0; c < 3; c++) {
        double x = (double)image[c], next = c < 2 ? (double)image[c + 1] : 0;
        wanted[0][c] = (float)(1 / (1 + exp(-x)));
        wanted[1][c] = (float)tanh(x);
        wanted[2][c] = (float)(exp(x) / sum);
        wanted[3][c] = (float)(x - log(sum));
        wanted[4][c] = (float)(x * pow(1.5 + 0.25 * (x * x + next * next), -0.75));
        wanted[5][c] = image[c] / wanted[0][c];
    }
    run(o, image);
    const int32_t values[] = {sigmoid, tangent, softmax, logarithm, lrn, quotient};
    for (int k = 0; k < 6; k++) {
        const float *got = crumb_oracle_real(o->oracle, values[k]);
        for (int c = 0; c < 3; c++) {
            assert_true(fabsf(got[c] - wanted[k][c]) <= 1.2e-7f * fabsf(wanted[k][c]));
        }
    }
    end(o);
}

/* The bound of functions.h, over all sizes of numbers. */
static void test_elementary(void **state) {
    (void)state;
    crumb_rng rng = crumb_rng_at(3, 3, 3);
    for (int i = 0; i < 200000; i++) {
        double x = 708 * (2 * (double)crumb_rng_uniform(&rng) - 1), y = exp(0.9 * x), u = crumb_packed_exp(x), v = exp(x);
        assert_true(fabs(u - v) <= 2e-15 * v);
        assert_true(fabs(crumb_packed_log(y) - log(y)) <= 2e-15 * fabs(log(y)) + 1e-300);
        y = 1 + x / 1e6;
        assert_true(fabs(crumb_packed_log(y) - log(y)) <= 2e-15 * fabs(log(y)));
    }
    assert_true(crumb_packed_exp(0) == 1 && crumb_packed_exp(800) == (double)INFINITY && crumb_packed_exp(-800) == 0);
    assert_true(crumb_packed_exp((double)INFINITY) == (double)INFINITY && crumb_packed_exp(-(double)INFINITY) == 0);
    assert_true(isnan(crumb_packed_exp((double)NAN)) && isnan(crumb_packed_log((double)NAN)) && isnan(crumb_packed_log(-1)));
    assert_true(crumb_packed_log(0) == -(double)INFINITY && crumb_packed_log((double)INFINITY) == (double)INFINITY);
    assert_true(fabs(crumb_packed_exp(-740) - exp(-740)) <= 1e-320 && fabs(crumb_packed_log(5e-324) - log(5e-324)) <= 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantize),    cmocka_unit_test(test_conv_codes), cmocka_unit_test(test_conv_reals),
        cmocka_unit_test(test_conv_groups), cmocka_unit_test(test_groups),     cmocka_unit_test(test_elements),
        cmocka_unit_test(test_pools),       cmocka_unit_test(test_places),     cmocka_unit_test(test_gather),
        cmocka_unit_test(test_functions),   cmocka_unit_test(test_elementary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
