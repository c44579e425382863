/* Each method against its paper: published or derived numbers, gradients against the stated rule written out again here in
 * double, finite differences where the map without its rounding is smooth. */
#include "site.h"

static crumb_ctx *ctx;

static int setup(void **state) {
    (void)state;
    return crumb_ctx_create(&ctx, NULL);
}

static int teardown(void **state) {
    (void)state;
    crumb_ctx_destroy(ctx);
    return 0;
}

/* Relative L1 error of stochastic quantization. */
static double relative_error(const test_site *t) {
    double error = 0, norm = 0;
    for (int64_t i = 0; i < t->count; i++) {
        error += fabs((double)t->x[i] - (double)t->y[i]);
        norm += fabs((double)t->x[i]);
    }
    return error / norm;
}

/* ---- Straight-through rules. state: the site's first state value; low and high of min-max are read where needed. */

static double inside(double x, double low, double high) {
    return x >= low && x <= high ? 1.0 : 0.0;
}

static double slope_one(const test_site *t, double x) {
    (void)t;
    (void)x;
    return 1.0;
}
static double slope_unit(const test_site *t, double x) {
    (void)t;
    return inside(x, 0, 1);
}
static double slope_box(const test_site *t, double x) {
    (void)t;
    return inside(x, -1, 1);
}
static double slope_quadratic(const test_site *t, double x) {
    (void)t;
    return fabs(x) < 1 ? 2 - 2 * fabs(x) : 0;
}
static double slope_lsq_weight(const test_site *t, double x) {
    double v = x / (double)t->state[0][0], power = ldexp(1, t->site.bits - 1);
    return inside(v, -power, power - 1);
}
static double slope_lsq_activation(const test_site *t, double x) {
    return inside(x / (double)t->state[0][0], 0, ldexp(1, t->site.bits) - 1);
}
static double slope_pact(const test_site *t, double x) {
    return inside(x, 0, (double)t->state[0][0]);
}
static double slope_minmax(const test_site *t, double x) { /* the range, moved by the rounding of the zero point */
    double low = (double)t->state[0][0], high = (double)t->state[1][0], top = ldexp(1, t->site.bits) - 1;
    double step = (high - low) / top, zero = rint(-low / step);
    return inside(x, -zero * step, (top - zero) * step);
}
static double slope_ctmq_binary(const test_site *t, double x) {
    return (double)t->state[0][0] * inside(x, -1, 1);
}
static double slope_ctmq(const test_site *t, double x) {
    return inside(fabs(x), 0, 1.645 * (double)t->state[0][0]) / 1.645;
}

static void test_straight_through(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool weight;
        int bits;
        double (*slope)(const test_site *t, double x);
        const char *gradient; /* of the parameter `gradient` */
    } rules[] = {
        {"bwn", true, 1, slope_one, NULL},
        {"ctmq", false, 1, slope_box, NULL},
        {"ctmq", false, 4, slope_box, NULL},
        {"ctmq", true, 1, slope_ctmq_binary, NULL},
        {"ctmq", true, 3, slope_ctmq, NULL},
        {"dorefa", false, 2, slope_unit, NULL},
        {"dorefa", true, 1, slope_one, NULL},
        {"lsq", false, 2, slope_lsq_activation, NULL},
        {"lsq", true, 2, slope_lsq_weight, NULL},
        {"lsq", true, 4, slope_lsq_weight, NULL},
        {"minmax", true, 8, slope_one, NULL},
        {"minmax", false, 4, slope_minmax, NULL},
        {"pact", false, 3, slope_pact, NULL},
        {"sign", false, 1, slope_box, "hard_tanh"},
        {"sign", false, 1, slope_quadratic, "quadratic"},
        {"twn", true, 2, slope_one, NULL},
        {"uniform", true, 2, slope_one, NULL},
        {"wrpn", false, 3, slope_unit, NULL},
        {"wrpn", true, 1, slope_box, NULL},
        {"wrpn", true, 3, slope_box, NULL},
        {"xnor", true, 1, slope_box, "clip"},
    };
    for (size_t k = 0; k < sizeof(rules) / sizeof(rules[0]); k++) {
        test_site *t = test_site_normal(ctx, rules[k].name, rules[k].weight, rules[k].bits, CRUMB_SHAPE(9, 113), 1.0f);
        if (rules[k].gradient != NULL) {
            test_site_param(t, "gradient", rules[k].gradient);
        }
        test_site_forward(t, true);
        test_fill_normal(t->x, t->count, 1.5f, 22); /* state stays: some values leave the range */
        test_site_backward(t);
        int zeros = 0;
        for (int64_t i = 0; i < t->count; i++) {
            double slope = rules[k].slope(t, (double)t->x[i]);
            zeros += slope == 0;
            if (fabs((double)t->dx[i] - slope * (double)t->dy[i]) > 1e-6 * fabs((double)t->dy[i])) {
                fail_msg("%s %d bits: dx at x = %g is %g, slope %g, dy %g", rules[k].name, rules[k].bits, (double)t->x[i],
                         (double)t->dx[i], slope, (double)t->dy[i]);
            }
        }
        assert_int_equal(zeros == 0, rules[k].slope == slope_one);
        test_site_free(t);
    }
}

/* ---- BWN, TWN, XNOR-Net. */

static void test_bwn_twn_normal(void **state) {
    (void)state;
    enum { N = 100000 };
    float *x = test_floats(N);
    test_fill_quantiles(x, N);
    test_site *t = test_site_with(ctx, "bwn", true, 1, CRUMB_SHAPE(1, N), x);
    test_site_forward(t, true);
    assert_float_equal(t->y[N - 1], 0.79788, 1e-4);
    assert_float_equal(relative_error(t), 0.604880, 1e-4);
    test_site_free(t);

    t = test_site_with(ctx, "twn", true, 2, CRUMB_SHAPE(1, N), x);
    test_site_forward(t, true);
    int nonzero = 0;
    for (int i = 0; i < N; i++) {
        nonzero += t->y[i] != 0.0f;
    }
    assert_float_equal(test_site_state(t, "threshold")[0], 0.55852, 1e-4);
    assert_float_equal(test_site_state(t, "alpha")[0], 1.184146, 1e-4);
    assert_float_equal((double)nonzero / N, 0.576503, 2e-4);
    assert_float_equal(relative_error(t), 0.434932, 1e-4);
    test_site_free(t);
    free(x);
}

static void test_bwn_scopes(void **state) {
    (void)state;
    test_site *t = test_site_with(ctx, "bwn", true, 1, CRUMB_SHAPE(2, 3), (const float[]){1, -2, 0, 4, 0, 5});
    test_site_forward(t, true);
    test_values(t->y, (const double[]){1, -1, 1, 3, 3, 3}, 6, 0);
    test_site_param(t, "per", "tensor");
    test_site_forward(t, true);
    test_values(t->y, (const double[]){2, -2, 2, 2, 2, 2}, 6, 0);
    test_site_free(t);
}

/* Rows {1, -2, 0} and {4, 0, 5}: every scope of threshold and alpha by hand. */
static void test_twn_scopes(void **state) {
    (void)state;
    const float x[6] = {1, -2, 0, 4, 0, 5};
    test_site *t = test_site_with(ctx, "twn", true, 2, CRUMB_SHAPE(2, 3), x);
    test_site_forward(t, true); /* 0.7 * 12 / 6 = 1.4; mean of 2, 4, 5 */
    test_values(t->y, (const double[]){0, -11 / 3.0, 0, 11 / 3.0, 0, 11 / 3.0}, 6, 1e-6);
    test_site_param(t, "alpha_per", "channel");
    test_site_forward(t, true);
    test_values(t->y, (const double[]){0, -2, 0, 4.5, 0, 4.5}, 6, 1e-6);
    test_site_param(t, "threshold_per", "channel");
    test_site_forward(t, true); /* 0.7 and 2.1 */
    test_values(t->y, (const double[]){1.5, -1.5, 0, 4.5, 0, 4.5}, 6, 1e-6);
    test_site_param(t, "threshold_per", "tensor");
    test_site_param(t, "centre", "true"); /* mean 4/3; mean |x - 4/3| = 19/9; threshold 1.478 */
    test_site_forward(t, true);
    assert_float_equal(test_site_state(t, "threshold")[1], 0.7 * 19 / 9, 1e-6);
    test_site_param(t, "centre", "false");
    test_site_param(t, "threshold", "1");
    for (int i = 0; i < 6; i++) {
        t->x[i] = 0.5f; /* no weight lies above the threshold 0.5 */
    }
    test_site_forward(t, true);
    test_values(t->y, (const double[]){0, 0, 0, 0, 0, 0}, 6, 0);
    test_site_free(t);
}

static void test_xnor(void **state) {
    (void)state;
    const float x[8] = {0.5f, -0.1f, 3.0f, 0.0f, /* second filter */ 0.2f, 0.4f, -4.0f, -1.0f};
    test_site *t = test_site_with(ctx, "xnor", true, 1, CRUMB_SHAPE(2, 1, 2, 2), x); /* two taps of two input channels each */
    crumb_quant_call call = test_site_call(t);
    t->site.quantizer->project(&call, t->x);
    const double centred[8] = {0.3, -0.3, 1, -1, -0.1, 0.1, -1, 1};
    test_values(t->x, centred, 8, 1e-6);
    test_site_param(t, "gradient", "official");
    test_site_forward(t, true);
    test_values(t->y, (const double[]){0.65, -0.65, 0.65, -0.65, -0.55, 0.55, -0.55, 0.55}, 8, 1e-6);
    test_site_backward(t);
    double want[8];
    for (int i = 0; i < 8; i++) { /* g (alpha [|w| < 1] + 1/n) (1 - 1/c) n with n = 4, c = 2 */
        double alpha = i < 4 ? 0.65 : 0.55;
        want[i] = (double)t->dy[i] * ((fabs(centred[i]) < 1 ? alpha : 0) + 0.25) * 0.5 * 4;
    }
    test_values(t->dx, want, 8, 1e-5);
    test_site_free(t);

    t = test_site_with(ctx, "xnor", true, 1, CRUMB_SHAPE(2, 2, 2, 1), x); /* one input channel: clamped, not centred */
    call = test_site_call(t);
    t->site.quantizer->project(&call, t->x);
    test_values(t->x, (const double[]){0.5, -0.1, 1, 0, 0.2, 0.4, -1, -1}, 8, 1e-6);
    test_site_free(t);
}

/* ---- DoReFa-Net, WRPN. */

static void test_level_spacing(void **state) {
    (void)state;
    static const double dorefa[] = {0.666667, 0.285714, 0.133333, 0.064516}, wrpn[] = {1, 1 / 3.0, 1 / 7.0, 1 / 15.0};
    for (int bits = 2; bits <= 5; bits++) {
        for (int method = 0; method < 2; method++) {
            test_site *t = test_site_normal(ctx, method ? "wrpn" : "dorefa", true, bits, CRUMB_SHAPE(1, 4000), 0.5f);
            test_site_forward(t, true);
            double step = method ? wrpn[bits - 2] : dorefa[bits - 2], shift = method ? 0 : 1;
            double top = 0;
            for (int64_t i = 0; i < t->count; i++) {
                double level = ((double)t->y[i] + shift) / step;
                assert_true(fabs(level - rint(level)) < 1e-4);
                top = fmax(top, (double)t->y[i]);
            }
            assert_float_equal(top, 1.0, 1e-6);
            test_site_free(t);
        }
    }
}

/* sum_j g_j t_j / M: the loss that DoReFa's weights have without rounding. */
static double dorefa_loss(const double *w, const float *g, int count) {
    double max = 0, sum = 0;
    for (int i = 0; i < count; i++) {
        max = fmax(max, fabs(tanh(w[i])));
        sum += (double)g[i] * tanh(w[i]);
    }
    return sum / max;
}

static void test_dorefa_gradient(void **state) {
    (void)state;
    test_site *t = test_site_with(ctx, "dorefa", true, 2, CRUMB_SHAPE(1, 3), (const float[]){0.3f, -0.9f, 0.5f});
    memcpy(t->dy, (const float[]){0.2f, -0.4f, 0.7f}, 3 * sizeof(float));
    test_site_forward(t, true);
    test_site_backward(t);
    test_values(t->dx, (const double[]){0.255519, 0.362277, 0.768554}, 3, 2e-6);
    test_site_param(t, "max_gradient", "false");
    test_site_backward(t);
    double max = tanh(0.9);
    test_values(t->dx, (const double[]){0.255519, -0.4 * (1 - max * max) / max, 0.768554}, 3, 2e-6);
    test_site_free(t);

    enum { N = 40 };
    t = test_site_normal(ctx, "dorefa", true, 3, CRUMB_SHAPE(4, N / 4), 0.8f);
    test_site_forward(t, true);
    test_site_backward(t);
    double w[N], want[N];
    for (int i = 0; i < N; i++) {
        w[i] = (double)t->x[i];
    }
    for (int i = 0; i < N; i++) {
        double at = w[i], h = 1e-6;
        w[i] = at + h;
        double above = dorefa_loss(w, t->dy, N);
        w[i] = at - h;
        want[i] = (above - dorefa_loss(w, t->dy, N)) / (2 * h);
        w[i] = at;
    }
    test_values(t->dx, want, N, 1e-5);
    test_site_free(t);
}

/* ---- Learned states. */

static void check_lsq(bool weight, int bits) {
    test_site *t = test_site_normal(ctx, "lsq", weight, bits, CRUMB_SHAPE(6, 5, 5, 4), 1.0f);
    double power = ldexp(1, weight ? bits - 1 : bits), top = power - 1, low = weight ? -power : 0, mean = 0, sum = 0;
    for (int64_t i = 0; i < t->count; i++) {
        t->x[i] = weight ? t->x[i] : fmaxf(t->x[i], 0.0f);
        mean += fabs((double)t->x[i]) / (double)t->count;
    }
    test_site_forward(t, true);
    assert_float_equal(t->state[0][0], 2 * mean / sqrt(top), 1e-6);
    t->state[0][0] *= 0.37f; /* learned by now; a ready step is not set again */
    double step = (double)t->state[0][0];
    test_site_forward(t, true);
    assert_true((double)t->state[0][0] == step);
    test_site_backward(t);
    for (int64_t i = 0; i < t->count; i++) {
        double v = (double)t->x[i] / step;
        double slope = v <= low ? low : v >= top ? top : rint(v) - v;
        assert_float_equal(t->y[i], step * fmin(fmax(rint(v), low), top), 1e-5);
        sum += (double)t->dy[i] * slope;
    }
    double features = weight ? 600 : 100; /* a sample of 6 has 5 * 5 * 4 */
    assert_float_equal(t->dstate[0][0], sum / sqrt(features * top), 1e-4);
    test_site_free(t);
}

static void test_lsq(void **state) {
    (void)state;
    for (int bits = 2; bits <= 8; bits += 2) {
        check_lsq(true, bits);
        check_lsq(false, bits);
    }
    test_site *t = test_site_make(ctx, "lsq", false, 2, CRUMB_SHAPE(2, 4)); /* a batch of zeros starts nothing */
    test_site_forward(t, true);
    assert_true(t->state[0][0] == 1.0f && t->state[1][0] == 0.0f);
    t->x[2] = 0.5f;
    test_site_forward(t, true);
    assert_true(t->state[1][0] == 1.0f && t->state[0][0] < 1.0f);
    /* A step pushed below zero gives tiny values of the right sign, and a gradient that raises it where the loss wants more. */
    t->state[0][0] = -0.1f;
    for (int i = 0; i < 8; i++) {
        t->x[i] = 1.0f;
        t->dy[i] = -1.0f;
    }
    test_site_forward(t, true);
    test_site_backward(t);
    assert_true(t->y[0] > 0.0f && t->y[0] < 1e-6f && t->dstate[0][0] < 0.0f);
    t->state[0][0] = NAN; /* must show */
    test_site_forward(t, true);
    assert_true(isnan(t->y[0]));
    test_site_free(t);
}

/* sum g clip(x, 0, alpha), what PACT is without rounding. */
static double pact_loss(const test_site *t, double alpha) {
    double sum = 0;
    for (int64_t i = 0; i < t->count; i++) {
        sum += (double)t->dy[i] * fmin(fmax((double)t->x[i], 0), alpha);
    }
    return sum;
}

static void test_pact(void **state) {
    (void)state;
    for (int bits = 1; bits <= 8; bits++) {
        test_site *t = test_site_normal(ctx, "pact", false, bits, CRUMB_SHAPE(5, 60), 1.0f);
        test_site_param(t, "alpha", "1.25");
        test_site_forward(t, true);
        assert_true(t->state[0][0] == 1.25f && t->site.quantizer->state[0].decay == 1.0f);
        test_site_backward(t);
        double top = ldexp(1, bits) - 1, h = 1e-6;
        for (int64_t i = 0; i < t->count; i++) {
            double y = fmin(fmax((double)t->x[i], 0), 1.25);
            assert_float_equal(t->y[i], rint(y * top / 1.25) * 1.25 / top, 1e-6);
        }
        assert_float_equal(t->dstate[0][0], (pact_loss(t, 1.25 + h) - pact_loss(t, 1.25 - h)) / (2 * h), 1e-4);
        t->state[0][0] = 0.9f; /* learned: the parameter is the start only */
        test_site_forward(t, true);
        assert_true(t->state[0][0] == 0.9f);
        t->state[0][0] = -1.0f;
        test_site_forward(t, true);
        test_site_backward(t);
        for (int64_t i = 0; i < t->count; i++) {
            assert_true(t->y[i] >= 0.0f && t->y[i] <= 1.1e-6f);
        }
        assert_true(isfinite(t->dstate[0][0]) && t->dstate[0][0] != 0.0f);
        test_site_free(t);
    }
}

/* ---- Min-max. */

static void test_minmax(void **state) {
    (void)state;
    test_site *t =
        test_site_with(ctx, "minmax", false, 2, CRUMB_SHAPE(1, 6), (const float[]){-1.1f, 0, 0.4f, 1.9f, 0.9f, -0.3f});
    test_site_forward(t, true); /* step 1, zero point round(1.1) = 1: codes -1 .. 2 */
    test_values(t->y, (const double[]){-1, 0, 0, 2, 1, 0}, 6, 1e-6);
    crumb_quant_call call = test_site_call(t);
    int16_t code[6];
    float scale[1];
    crumb_codes codes = {.code = code, .scale = scale, .count = 6};
    t->site.quantizer->encode(&call, &codes);
    assert_int_equal(codes.offset, -1);
    assert_int_equal(codes.levels, 4);
    test_site_free(t);

    t = test_site_with(ctx, "minmax", true, 8, CRUMB_SHAPE(2, 3), (const float[]){1.27f, -0.014f, 0.5f, 0, 254, -127});
    test_site_param(t, "per", "channel");
    test_site_forward(t, true);
    test_values(t->y, (const double[]){1.27, -0.01, 0.5, 0, 254, -128}, 6, 1e-5);
    test_site_free(t);
}

/* Two channels of 20 weights in groups of 16: a step for each 16 and for each 4 that are left. */
static void test_groups(void **state) {
    (void)state;
    enum { COUNT = 40, EACH = 20, GROUP = 16 };
    static const char *const rows[] = {"minmax", "uniform"};
    for (size_t k = 0; k < 2; k++) {
        float x[COUNT], scale[4];
        int16_t code[COUNT];
        for (int i = 0; i < COUNT; i++) {
            static const float step[] = {1, 0.25f, 8, 0.5f};
            x[i] = (float)(i % 3 - 1) * step[i / EACH * 2 + i % EACH / GROUP];
        }
        test_site *t = test_site_make(ctx, rows[k], true, 2, CRUMB_SHAPE(2, 20));
        test_site_param(t, "group", "16");
        memcpy(t->x, x, sizeof(x));
        assert_true(t->site.groups == 2 && t->state_count[0] == 4);
        test_site_forward(t, true); /* three levels, so each weight is one */
        assert_memory_equal(t->y, x, sizeof(x));
        crumb_quant_call call = test_site_call(t);
        crumb_codes codes = {.code = code, .scale = scale, .count = COUNT};
        t->site.quantizer->encode(&call, &codes);
        assert_true(codes.groups == 4 && codes.size == GROUP && codes.channel == EACH);
        test_values(scale, (const double[]){1, 0.25, 8, 0.5}, 4, 0);
        crumb_lattice lattice;
        assert_false(crumb_quant_lattice(&call, 0, &lattice));
        test_site_free(t);
    }
}

/* ---- CTMQ: the vectors of the method's notes. */

static void test_ctmq(void **state) {
    (void)state;
    static const float w[7] = {-0.3f, -0.1f, -0.02f, 0, 0.05f, 0.2f, 0.4f};
    static const double weights[4][7] = {
        {-0.152857, -0.152857, -0.152857, -0.152857, 0.152857, 0.152857, 0.152857},
        {-0.221864, -0.073955, -0.073955, 0.073955, 0.073955, 0.073955, 0.221864},
        {-0.158475, -0.031695, -0.031695, 0.031695, 0.031695, 0.095085, 0.221864},
        {-0.192282, -0.073955, -0.014791, 0.014791, 0.044373, 0.133119, 0.221864},
    };
    static const float x[9] = {-1.7f, -1, -0.6f, -0.2f, 0, 0.1f, 0.34f, 0.8f, 1.3f};
    static const double activations[4][9] = {
        {-1, -1, -1, -1, -1, 1, 1, 1, 1},
        {-1, -1, -.333333, -.333333, .333333, .333333, .333333, 1, 1},
        {-1, -1, -.714286, -.142857, .142857, .142857, .428571, .714286, 1},
        {-1, -1, -.6, -.2, .066667, .066667, .333333, .866667, 1},
    };
    for (int bits = 1; bits <= 4; bits++) {
        test_site *t = test_site_with(ctx, "ctmq", true, bits, CRUMB_SHAPE(1, 7), w);
        test_site_forward(t, true);
        test_values(t->y, weights[bits - 1], 7, 1e-6);
        assert_float_equal(t->state[0][0], bits == 1 ? 0.152857143 : 0.221864394, 1e-7);
        test_site_free(t);
        t = test_site_with(ctx, "ctmq", false, bits, CRUMB_SHAPE(1, 9), x);
        test_site_forward(t, true);
        test_values(t->y, activations[bits - 1], 9, 1e-6);
        test_site_free(t);
    }
}

/* sign(0): +1 for BWN, DoReFa-Net, WRPN, XNOR-Net and the activations, -1 for CTMQ. */
static void test_sign_of_zero(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool weight;
        float sign;
    } rows[] = {{"bwn", true, 1},   {"dorefa", true, 1}, {"wrpn", true, 1},  {"xnor", true, 1},
                {"sign", false, 1}, {"ctmq", true, -1},  {"ctmq", false, -1}};
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        test_site *t =
            test_site_with(ctx, rows[k].name, rows[k].weight, 1, CRUMB_SHAPE(1, 3), (const float[]){0.0f, -0.0f, 3.0f});
        test_site_forward(t, true);
        assert_true(t->y[0] * rows[k].sign > 0.0f && t->y[1] * rows[k].sign > 0.0f && t->y[2] > 0.0f);
        test_site_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_straight_through),
        cmocka_unit_test(test_bwn_twn_normal),
        cmocka_unit_test(test_bwn_scopes),
        cmocka_unit_test(test_twn_scopes),
        cmocka_unit_test(test_xnor),
        cmocka_unit_test(test_level_spacing),
        cmocka_unit_test(test_dorefa_gradient),
        cmocka_unit_test(test_lsq),
        cmocka_unit_test(test_pact),
        cmocka_unit_test(test_minmax),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_ctmq),
        cmocka_unit_test(test_sign_of_zero),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
