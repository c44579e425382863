/* Known values of the ops: worked by hand, closed forms, or a direct sum written once more here. */
#include "harness.h"

#include "ops/infer.h"

/* Options are written as far as they differ from 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define PARAMS(type, ...)                                                                                                      \
    &(const crumb_##type##_params) {                                                                                           \
        __VA_ARGS__                                                                                                            \
    }
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool training = true;
static crumb_rng stream = {1, 0};
static float output[1 << 17]; /* of the last run */
static crumb_shape output_shape;
static float gradient[1 << 17]; /* of the last run's first input, for an output gradient of ones */

/* Runs forward and, when training, backward. params NULL: presets. Inputs are borrowed; STATE is written through. */
static void run(const char *name, const void *params, int inputs, const crumb_tensor *x) {
    const crumb_op *op = crumb_op_find(name);
    assert_non_null(op);
    _Alignas(16) char presets[2048] = {0};
    crumb_params_preset(op->params, presets);
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_op_plan plan;
    crumb_op_call call = {.params = params != NULL ? params : presets, .inputs = inputs, .training = training, .rng = stream};
    crumb_shape shapes[CRUMB_INPUTS_MAX];
    for (int i = 0; i < inputs; i++) {
        call.x[i] = x[i];
        shapes[i] = x[i].shape;
    }
    assert_ok(ctx, crumb_op_infer(ctx, op, call.params, inputs, shapes, &plan));
    int64_t count = crumb_shape_count(plan.output);
    assert_true(count <= (int64_t)LENGTH(output) && crumb_shape_count(shapes[0]) <= (int64_t)LENGTH(gradient));
    call.y = (crumb_tensor){plan.output, output};
    call.saved = training ? malloc(plan.saved + 1) : NULL;
    call.scratch = malloc(plan.scratch + 1);
    op->forward(&call);
    output_shape = plan.output;
    if (training) {
        float *dy = malloc((size_t)count * sizeof(float));
        for (int64_t i = 0; i < count; i++) {
            dy[i] = 1;
        }
        call.dy = dy;
        call.dx[0] = gradient;
        op->backward(&call);
        free(dy);
    }
    free(call.saved);
    free(call.scratch);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

#define TENSOR(values, ...)                                                                                                    \
    { {(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}}, values }
#define RUN(name, params, ...)                                                                                                 \
    run(name, params, LENGTH(((const crumb_tensor[]){__VA_ARGS__})), (const crumb_tensor[]){__VA_ARGS__})

static void check_values(const float *got, const double *expected, size_t count, double tolerance, int line) {
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)got[i] - expected[i]) <= tolerance * (1 + fabs(expected[i])))) {
            fail_msg("line %d: value %zu is %.9g, not %.9g", line, i, (double)got[i], expected[i]);
        }
    }
}
/* One rounding of a result near 1 is 2^-24; a few of them. */
#define OUTPUT_IS(...) check_values(output, (double[]){__VA_ARGS__}, LENGTH(((double[]){__VA_ARGS__})), 4 * 0x1p-24, __LINE__)
#define GRADIENT_IS(...)                                                                                                       \
    check_values(gradient, (double[]){__VA_ARGS__}, LENGTH(((double[]){__VA_ARGS__})), 4 * 0x1p-24, __LINE__)

static void fill_whole(float *values, int64_t count, crumb_rng *rng) { /* -8 .. 8: sums of products stay exact */
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)crumb_rng_below(rng, 17) - 8;
    }
}

/* ---- Convolution and linear. */

/* The formula in conv2d.c's head, term by term. */
static double direct_sum(const crumb_conv2d_params *p, const crumb_tensor *x, const crumb_tensor *w, const int64_t at[4]) {
    const int64_t *in = x->shape.dim, *kernel = w->shape.dim;
    int64_t first = at[3] / (kernel[0] / p->groups) * kernel[3];
    double sum = 0;
    for (int64_t k = 0; k < kernel[1]; k++) {
        for (int64_t l = 0; l < kernel[2]; l++) {
            int64_t i = at[1] * p->stride - p->padding + k * p->dilation, j = at[2] * p->stride - p->padding + l * p->dilation;
            for (int64_t c = 0; i >= 0 && i < in[1] && j >= 0 && j < in[2] && c < kernel[3]; c++) {
                double value = (double)((float *)x->data)[((at[0] * in[1] + i) * in[2] + j) * in[3] + first + c];
                sum += value * (double)((float *)w->data)[((at[3] * kernel[1] + k) * kernel[2] + l) * kernel[3] + c];
            }
        }
    }
    return sum;
}

static void test_conv2d_is_the_direct_sum(void **state) {
    (void)state;
    crumb_rng rng = crumb_rng_at(3, 0, 0);
    static float x[4096], w[4096], b[16];
    for (int trial = 0; trial < 60; trial++) {
        crumb_conv2d_params p = {1 + crumb_rng_below(&rng, 3), crumb_rng_below(&rng, 3), 1 + crumb_rng_below(&rng, 2),
                                 1 + crumb_rng_below(&rng, 3)};
        int64_t group_c = 1 + crumb_rng_below(&rng, 3), o = p.groups * (1 + crumb_rng_below(&rng, 3));
        crumb_tensor in[3] = {TENSOR(x, 1 + crumb_rng_below(&rng, 2), 5 + crumb_rng_below(&rng, 5),
                                     5 + crumb_rng_below(&rng, 5), group_c * p.groups),
                              TENSOR(w, o, 1 + crumb_rng_below(&rng, 3), 1 + crumb_rng_below(&rng, 3), group_c), TENSOR(b, o)};
        fill_whole(x, crumb_shape_count(in[0].shape), &rng);
        fill_whole(w, crumb_shape_count(in[1].shape), &rng);
        fill_whole(b, o, &rng);
        run("conv2d", &p, 2 + trial % 2, in);
        const int64_t *dim = output_shape.dim;
        for (int64_t n = 0; n < crumb_shape_count(output_shape); n++) {
            int64_t at[4] = {n / dim[3] / dim[2] / dim[1], n / dim[3] / dim[2] % dim[1], n / dim[3] % dim[2], n % dim[3]};
            double expected = direct_sum(&p, &in[0], &in[1], at) + (trial % 2 ? (double)b[at[3]] : 0);
            assert_true((double)output[n] == expected);
        }
    }
}

/* conv(2 u - 3 v) = 2 conv(u) - 3 conv(v), exactly on whole numbers. */
static void test_conv2d_is_linear(void **state) {
    (void)state;
    crumb_rng rng = crumb_rng_at(4, 0, 0);
    static float u[2 * 9 * 7 * 5], v[LENGTH(u)], sum[LENGTH(u)], w[6 * 3 * 3 * 5], of_u[4096], of_v[4096];
    crumb_tensor weight = TENSOR(w, 6, 3, 3, 5);
    for (int trial = 0; trial < 10; trial++) {
        fill_whole(u, LENGTH(u), &rng);
        fill_whole(v, LENGTH(v), &rng);
        fill_whole(w, LENGTH(w), &rng);
        for (size_t i = 0; i < LENGTH(u); i++) {
            sum[i] = 2 * u[i] - 3 * v[i];
        }
        RUN("conv2d", PARAMS(conv2d, 2, 1, 1, 1), TENSOR(u, 2, 9, 7, 5), weight);
        memcpy(of_u, output, sizeof(of_u));
        RUN("conv2d", PARAMS(conv2d, 2, 1, 1, 1), TENSOR(v, 2, 9, 7, 5), weight);
        memcpy(of_v, output, sizeof(of_v));
        RUN("conv2d", PARAMS(conv2d, 2, 1, 1, 1), TENSOR(sum, 2, 9, 7, 5), weight);
        for (int64_t i = 0; i < crumb_shape_count(output_shape); i++) {
            assert_true(output[i] == 2 * of_u[i] - 3 * of_v[i]);
        }
    }
}

static void test_linear(void **state) {
    (void)state;
    float x[] = {1, 2, 3, 4}, w[] = {1, 0, 0, 1, 1, 1}, b[] = {0.5f, 0, -1};
    RUN("linear", NULL, TENSOR(x, 2, 2), TENSOR(w, 3, 2), TENSOR(b, 3));
    OUTPUT_IS(1.5, 2, 2, 3.5, 4, 6);
    GRADIENT_IS(2, 2, 2, 2);
    float long_x[21], long_w[21]; /* past the eight lanes: sum of i (21 - i) = 21 * 210 - 2870 */
    for (int i = 0; i < 21; i++) {
        long_x[i] = (float)i;
        long_w[i] = (float)(21 - i);
    }
    RUN("linear", NULL, TENSOR(long_x, 1, 21), TENSOR(long_w, 1, 21));
    OUTPUT_IS(1540);
}

static void test_flops(void **state) {
    (void)state;
    crumb_shape conv[] = {CRUMB_SHAPE(2, 8, 8, 4), CRUMB_SHAPE(6, 3, 3, 2)},
                linear[] = {CRUMB_SHAPE(3, 10), CRUMB_SHAPE(5, 10)};
    assert_true(crumb_op_conv2d.flops(PARAMS(conv2d, 1, 1, 1, 2), 2, conv, CRUMB_SHAPE(2, 8, 8, 6)) == 2.0 * 2 * 64 * 6 * 18);
    assert_true(crumb_op_linear.flops(NULL, 2, linear, CRUMB_SHAPE(3, 5)) == 2.0 * 3 * 5 * 10);
}

/* ---- Batch norm. */

static void test_batch_norm_statistics(void **state) {
    (void)state;
    float x[] = {1, 2, 3, 4}, weight = 2, bias = 1, mean = 0, var = 1, tracked = 0;
    crumb_tensor in[] = {TENSOR(x, 4, 1),  TENSOR(&weight, 1), TENSOR(&bias, 1),
                         TENSOR(&mean, 1), TENSOR(&var, 1),    TENSOR(&tracked, 1)};
    run("batch_norm", NULL, 6, in);
    double r = 2 / sqrt(1.25 + 1e-5);
    OUTPUT_IS(1 - 1.5 * r, 1 - 0.5 * r, 1 + 0.5 * r, 1 + 1.5 * r);
    GRADIENT_IS(0, 0, 0, 0); /* the mean does not feel a shift */
    check_values((float[]){mean, var, tracked}, (double[]){0.25, 0.9 + 0.1 * 5 / 3, 1}, 3, 0x1p-23, __LINE__);
    training = false;
    run("batch_norm", NULL, 6, in);
    training = true;
    r = 2 / sqrt(0.9 + 0.1 * 5 / 3 + 1e-5);
    OUTPUT_IS(1 + 0.75 * r, 1 + 1.75 * r, 1 + 2.75 * r, 1 + 3.75 * r);
    assert_true(tracked == 1 && mean == 0.25f); /* evaluation changes no state */
}

/* momentum 0: the plain mean of the batches' means and unbiased variances, whatever stood there before. */
static void test_batch_norm_reestimation(void **state) {
    (void)state;
    float x[3][4] = {{1, 2, 3, 4}, {0, 0, 6, 6}, {-5, 1, 1, 1}}, weight = 1, bias = 0;
    for (double momentum = 0; momentum >= -1; momentum -= 1) {
        float mean = 77, var = 99, tracked = 0;
        for (int batch = 0; batch < 3; batch++) {
            RUN("batch_norm", PARAMS(batch_norm, 1e-5, momentum), TENSOR(x[batch], 2, 1, 2, 1), TENSOR(&weight, 1),
                TENSOR(&bias, 1), TENSOR(&mean, 1), TENSOR(&var, 1), TENSOR(&tracked, 1));
        }
        double means = (2.5 + 3 - 0.5) / 3, vars = (5.0 / 3 + 12 + 9) / 3;
        check_values((float[]){mean, var, tracked}, (double[]){means, vars, 3}, 3, 0x1p-22, __LINE__);
    }
}

/* A mean 1e4 times the deviation: sums of squares would lose everything. */
static void test_batch_norm_far_from_zero(void **state) {
    (void)state;
    static float x[1000];
    float weight = 1, bias = 0, mean = 0, var = 1, tracked = 0;
    for (int i = 0; i < 1000; i++) {
        x[i] = 10000 + (float)(i % 2); /* deviation 0.5 */
    }
    RUN("batch_norm", NULL, TENSOR(x, 1000, 1), TENSOR(&weight, 1), TENSOR(&bias, 1), TENSOR(&mean, 1), TENSOR(&var, 1),
        TENSOR(&tracked, 1));
    double r = 1 / sqrt(0.25 + 1e-5);
    OUTPUT_IS(-0.5 * r, 0.5 * r, -0.5 * r, 0.5 * r);
}

/* ---- Pooling. */

static void test_max_pool(void **state) {
    (void)state;
    float x[] = {-1, -2, -3, -4, -5, -6, -7, -8, -9};
    RUN("max_pool", PARAMS(pool, 2, 2, 1), TENSOR(x, 1, 3, 3, 1)); /* padding is not a zero that wins */
    OUTPUT_IS(-1, -2, -4, -5);
    GRADIENT_IS(1, 1, 0, 1, 1, 0, 0, 0, 0);
    RUN("max_pool", PARAMS(pool, 2, 1), TENSOR(x, 1, 3, 3, 1));
    OUTPUT_IS(-1, -2, -4, -5);
    float two[] = {1, 8, 2, 7, 3, 6, 4, 5}; /* 2x2 pixels, two channels */
    RUN("max_pool", PARAMS(pool, 2, 2), TENSOR(two, 1, 2, 2, 2));
    OUTPUT_IS(4, 8);
    float same[] = {3, 3, 3, 3}; /* the first of equals */
    RUN("max_pool", PARAMS(pool, 2, 2), TENSOR(same, 1, 2, 2, 1));
    GRADIENT_IS(1, 0, 0, 0);
    same[2] = NAN;
    RUN("max_pool", PARAMS(pool, 2, 2), TENSOR(same, 1, 2, 2, 1));
    assert_true(isnan(output[0]));
}

static void test_average_pool(void **state) {
    (void)state;
    float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    RUN("average_pool", PARAMS(pool, 2, 2, 1, false), TENSOR(x, 1, 3, 3, 1));
    OUTPUT_IS(1, 2.5, 5.5, 7);
    GRADIENT_IS(1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.5, 0.25, 0.25);
    RUN("average_pool", PARAMS(pool, 2, 2, 1, true), TENSOR(x, 1, 3, 3, 1));
    OUTPUT_IS(0.25, 1.25, 2.75, 7);
    RUN("average_pool", PARAMS(pool, 3, 3), TENSOR(x, 1, 3, 3, 1));
    OUTPUT_IS(5);
    RUN("average_pool", PARAMS(pool, 2, 2, .ceil_mode = true), TENSOR(x, 1, 3, 3, 1)); /* only pixels inside count */
    OUTPUT_IS(3, 4.5, 7.5, 9);
    GRADIENT_IS(0.25, 0.25, 0.5, 0.25, 0.25, 0.5, 0.5, 0.5, 1);
    RUN("average_pool", PARAMS(pool, 2, 2, 1, .ceil_mode = true), TENSOR(x, 1, 3, 3, 1)); /* none begins behind the image */
    OUTPUT_IS(1, 2.5, 5.5, 7);
    float two[] = {1, 8, 2, 7, 3, 6, 4, 5};
    RUN("global_average_pool", NULL, TENSOR(two, 1, 2, 2, 2));
    OUTPUT_IS(2.5, 6.5);
    GRADIENT_IS(0.25, 0.25, 0.25, 0.25);
    assert_true(crumb_shape_equal(output_shape, CRUMB_SHAPE(1, 2)));
}

/* ---- Elementwise. */

static void test_activations(void **state) {
    (void)state;
    float x[] = {-2, -0.5f, 0, 0.5f, 2, 1000}, slope[] = {0.5f, 0.25f};
    RUN("relu", NULL, TENSOR(x, 1, 6));
    OUTPUT_IS(0, 0, 0, 0.5, 2, 1000);
    GRADIENT_IS(0, 0, 0, 1, 1, 1);
    RUN("prelu", NULL, TENSOR(x, 3, 2), TENSOR(slope, 2));
    OUTPUT_IS(-1, -0.125, 0, 0.5, 2, 1000);
    GRADIENT_IS(0.5, 0.25, 0.5, 1, 1, 1);
    RUN("clip", PARAMS(clip, -0.5, 2), TENSOR(x, 1, 6));
    OUTPUT_IS(-0.5, -0.5, 0, 0.5, 2, 2);
    GRADIENT_IS(0, 1, 1, 1, 1, 0);
    RUN("tanh", NULL, TENSOR(x, 1, 6));
    OUTPUT_IS(tanh(-2), tanh(-0.5), 0, tanh(0.5), tanh(2), 1);
    float far[] = {-1000, -1, 0, 1, 1000};
    RUN("sigmoid", NULL, TENSOR(far, 1, 5));
    OUTPUT_IS(0, 1 / (1 + exp(1)), 0.5, 1 / (1 + exp(-1)), 1);
    const char *unary[] = {"relu", "clip", "tanh", "sigmoid"};
    for (size_t i = 0; i < LENGTH(unary); i++) { /* a NaN is passed on, so that its origin can be found */
        RUN(unary[i], NULL, TENSOR(((float[]){NAN}), 1, 1));
        assert_true(isnan(output[0]));
    }
}

static void test_add_mul_shift(void **state) {
    (void)state;
    float a[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20, 30, 40, 50, 60};
    RUN("add", NULL, TENSOR(a, 3, 2), TENSOR(b, 3, 2));
    OUTPUT_IS(11, 22, 33, 44, 55, 66);
    RUN("add", NULL, TENSOR(a, 3, 2), TENSOR(b, 2));
    OUTPUT_IS(11, 22, 13, 24, 15, 26);
    RUN("mul", NULL, TENSOR(a, 3, 2), TENSOR(b, 3, 2));
    OUTPUT_IS(10, 40, 90, 160, 250, 360);
    RUN("mul", NULL, TENSOR(a, 3, 2), TENSOR(b, 2));
    OUTPUT_IS(10, 40, 30, 80, 50, 120);
    GRADIENT_IS(10, 20, 10, 20, 10, 20);
    RUN("shift", NULL, TENSOR(a, 3, 2), TENSOR(b, 2));
    OUTPUT_IS(11, 22, 13, 24, 15, 26);
}

/* One value as both inputs: the gradients meet in one buffer, the second one added. */
static void test_one_value_twice(void **state) {
    (void)state;
    const struct {
        const char *op;
        float expected[3]; /* d sum(y) / dx */
    } cases[] = {{"add", {2, 2, 2}}, {"mul", {2, 4, 6}}, {"concat", {2, 2, 2}}};
    float x[] = {1, 2, 3}, dx[3], dy[] = {1, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        crumb_tensor in = TENSOR(x, 1, 3);
        crumb_op_call call = {.params = PARAMS(concat, -1),
                              .inputs = 2,
                              .x = {in, in},
                              .y = TENSOR(output, 1, i == 2 ? 6 : 3),
                              .training = true,
                              .dy = dy,
                              .dx = {dx, dx},
                              .add = {false, true}};
        const crumb_op *op = crumb_op_find(cases[i].op);
        op->forward(&call);
        op->backward(&call);
        assert_memory_equal(dx, cases[i].expected, sizeof(dx));
    }
}

static void test_dropout(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    static float x[COUNT], first[COUNT];
    for (int i = 0; i < COUNT; i++) {
        x[i] = 3;
    }
    stream = crumb_rng_at(1, 2, 3);
    RUN("dropout", PARAMS(dropout, 0.25), TENSOR(x, COUNT, 1));
    memcpy(first, output, sizeof(first));
    int zeros = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_true(output[i] == 0 || output[i] == 4);
        assert_true(gradient[i] == output[i] / 3);
        zeros += output[i] == 0;
    }
    assert_true(fabs(zeros - 0.25 * COUNT) < 5 * sqrt(0.25 * 0.75 * COUNT));
    RUN("dropout", PARAMS(dropout, 0.25), TENSOR(x, COUNT, 1));
    assert_memory_equal(output, first, sizeof(first));
    stream = crumb_rng_at(1, 2, 4);
    RUN("dropout", PARAMS(dropout, 0.25), TENSOR(x, COUNT, 1));
    assert_memory_not_equal(output, first, sizeof(first));
    training = false;
    RUN("dropout", PARAMS(dropout, 0.25), TENSOR(x, COUNT, 1));
    training = true;
    assert_memory_equal(output, x, sizeof(x));
}

/* ---- Moving data. */

static void test_moving(void **state) {
    (void)state;
    float x[] = {0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32}; /* 2x2 pixels of three channels: pixel * 10 + channel */
    RUN("flatten", NULL, TENSOR(x, 1, 2, 2, 3));
    OUTPUT_IS(0, 10, 20, 30, 1, 11, 21, 31, 2, 12, 22, 32);
    RUN("flatten", NULL, TENSOR(x, 4, 3));
    OUTPUT_IS(0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32);
    RUN("reshape", PARAMS(reshape, {3, {0, -1, 2}}), TENSOR(x, 1, 2, 2, 3));
    assert_true(crumb_shape_equal(output_shape, CRUMB_SHAPE(1, 6, 2)));
    OUTPUT_IS(0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32);
    RUN("concat", PARAMS(concat, -1), TENSOR(x, 2, 2), TENSOR(x + 6, 2, 1));
    OUTPUT_IS(0, 1, 20, 2, 10, 21);
    RUN("concat", PARAMS(concat, 0), TENSOR(x, 1, 3), TENSOR(x + 6, 2, 3));
    OUTPUT_IS(0, 1, 2, 20, 21, 22, 30, 31, 32);
    RUN("pad", PARAMS(pad, {2, {0, 1}}, {2, {1, 0}}, 7), TENSOR(x, 2, 3));
    OUTPUT_IS(7, 0, 1, 2, 7, 10, 11, 12, 7, 7, 7, 7);
    RUN("slice", PARAMS(slice, .step = {3, {1, 2, 2}}), TENSOR(x, 1, 2, 2, 3));
    OUTPUT_IS(0, 1, 2);
    assert_true(crumb_shape_equal(output_shape, CRUMB_SHAPE(1, 1, 1, 3)));
    RUN("slice", PARAMS(slice, {2, {-3, 1}}, {2, {-1, 99}}), TENSOR(x, 4, 3));
    OUTPUT_IS(11, 12, 21, 22);
    GRADIENT_IS(0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0);
}

/* ---- Losses. */

static void test_softmax_cross_entropy(void **state) {
    (void)state;
    float z[] = {1, 2, 3, 0, 0, 0}, labels[] = {2, 0};
    double sum = exp(1) + exp(2) + exp(3), first = log(sum) - 3, second = log(3);
    RUN("softmax_cross_entropy", NULL, TENSOR(z, 2, 3), TENSOR(labels, 2));
    OUTPUT_IS((first + second) / 2);
    GRADIENT_IS(exp(1) / sum / 2, exp(2) / sum / 2, (exp(3) / sum - 1) / 2, -1.0 / 3, 1.0 / 6, 1.0 / 6);
    assert_int_equal(output_shape.rank, 0);
    RUN("softmax_cross_entropy", PARAMS(softmax_cross_entropy, 0.3), TENSOR(z, 2, 3), TENSOR(labels, 2));
    OUTPUT_IS((0.7 * first + 0.3 * (log(sum) - 2) + second) / 2); /* 0.1 on each class: log sum - (1 + 2 + 3) / 3 */
    labels[1] = -1;
    RUN("softmax_cross_entropy", NULL, TENSOR(z, 2, 3), TENSOR(labels, 2));
    OUTPUT_IS(first);
    GRADIENT_IS(exp(1) / sum, exp(2) / sum, exp(3) / sum - 1, 0, 0, 0);
    labels[0] = -1;
    RUN("softmax_cross_entropy", NULL, TENSOR(z, 2, 3), TENSOR(labels, 2));
    OUTPUT_IS(0);
    GRADIENT_IS(0, 0, 0, 0, 0, 0);
    float large[] = {1e4f, -1e4f, 1e4f};
    labels[0] = 0;
    RUN("softmax_cross_entropy", NULL, TENSOR(large, 1, 3), TENSOR(labels, 1));
    OUTPUT_IS(log(2));
    const char *losses[] = {"softmax_cross_entropy", "mean_squared_error"};
    for (int i = 0; i < 4; i++) { /* no such class: NaN, and nothing outside the row is read */
        labels[0] = i < 2 ? 3 : INFINITY;
        RUN(losses[i % 2], NULL, TENSOR(large, 1, 3), TENSOR(labels, 1));
        assert_true(isnan(output[0]));
    }
}

static void test_mean_squared_error(void **state) {
    (void)state;
    float z[] = {1, 2, 0, 3, 9, 9}, labels[] = {0, 1, -1};
    RUN("mean_squared_error", NULL, TENSOR(z, 3, 2), TENSOR(labels, 3)); /* (0 + 4 + 0 + 4) / 4 */
    OUTPUT_IS(2);
    GRADIENT_IS(0, 1, 0, 1, 0, 0);
}

static void test_distillation(void **state) {
    (void)state;
    float z[] = {1, 2, 3}, t[] = {2, 0, -1}, label = 1;
    double hard = log(exp(1) + exp(2) + exp(3)) - 2, divergence = 0;
    RUN("distillation", PARAMS(distillation, 4, 0.75, 0), TENSOR(z, 1, 3), TENSOR(z, 1, 3), TENSOR(&label, 1));
    OUTPUT_IS(0.25 * hard); /* a teacher of one's own opinion */
    double p_sum = exp(0.5) + exp(1) + exp(1.5), q_sum = exp(1) + exp(0) + exp(-0.5);
    for (int j = 0; j < 3; j++) {
        double p = exp((double)z[j] / 2) / p_sum, q = exp((double)t[j] / 2) / q_sum;
        divergence += q * log(q / p);
    }
    RUN("distillation", PARAMS(distillation, 2, 0.75, 0), TENSOR(z, 1, 3), TENSOR(t, 1, 3), TENSOR(&label, 1));
    OUTPUT_IS(0.75 * 4 * divergence + 0.25 * hard);
    RUN("distillation", PARAMS(distillation, 2, 0, 0.3), TENSOR(z, 1, 3), TENSOR(t, 1, 3), TENSOR(&label, 1));
    double smoothed = output[0];
    RUN("softmax_cross_entropy", PARAMS(softmax_cross_entropy, 0.3), TENSOR(z, 1, 3), TENSOR(&label, 1));
    OUTPUT_IS(smoothed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv2d_is_the_direct_sum),
        cmocka_unit_test(test_conv2d_is_linear),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_flops),
        cmocka_unit_test(test_batch_norm_statistics),
        cmocka_unit_test(test_batch_norm_reestimation),
        cmocka_unit_test(test_batch_norm_far_from_zero),
        cmocka_unit_test(test_max_pool),
        cmocka_unit_test(test_average_pool),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_add_mul_shift),
        cmocka_unit_test(test_one_value_twice),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_moving),
        cmocka_unit_test(test_softmax_cross_entropy),
        cmocka_unit_test(test_mean_squared_error),
        cmocka_unit_test(test_distillation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
