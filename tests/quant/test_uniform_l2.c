/* The uniform quantizer's step: the least squared error on the normal distribution, on small tensors against an exact search,
 * kept or searched again; ties; averages of ternary tensors. */
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

static double squared_error(const float *x, const float *y, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    }
    return sum;
}

/* Smallest squared error over all steps, exactly: S1^2 / S2 of every set of codes that some step gives. */
static double exact_error(const float *x, int top, int64_t count) {
    double norm = 0, best = 0;
    for (int64_t i = 0; i < count; i++) {
        norm += (double)x[i] * (double)x[i];
    }
    for (int64_t k = 0; k < count; k++) {
        for (int j = 1; j <= top && x[k] != 0.0f; j++) {
            double step = fabs((double)x[k]) / (j - 0.5), s1 = 0, s2 = 0;
            for (int64_t i = 0; i < count; i++) {
                double q = fmin(floor(fabs((double)x[i]) / step + 0.5 + 1e-12), top);
                s1 += fabs((double)x[i]) * q;
                s2 += q * q;
            }
            best = s2 > 0 ? fmax(best, s1 * s1 / s2) : best;
        }
    }
    return norm - best;
}

static void test_uniform_normal(void **state) {
    (void)state;
    static const struct {
        int bits;
        double step, error;
    } known[] = {{2, 1.224004, 0.190174}, {3, 0.650793, 0.046860}, {4, 0.353401, 0.012889}, {5, 0.193250, 0.003693}};
    enum { N = 100000 };
    float *x = test_floats(N);
    test_fill_quantiles(x, N);
    for (int k = 0; k < 4; k++) {
        test_site *t = test_site_with(ctx, "uniform", true, known[k].bits, CRUMB_SHAPE(10, N / 10), x);
        test_site_forward(t, true);
        assert_float_equal(t->state[0][0], known[k].step, 0.001 * known[k].step);
        assert_true(t->state[0][9] == t->state[0][0]);
        assert_float_equal(squared_error(t->x, t->y, N) / N, known[k].error, 0.003 * known[k].error);
        test_site_free(t);
    }
    free(x);
}

/* Few weights make the error jagged: the search may miss the least by up to 0.2 %. */
static void test_uniform_is_least(void **state) {
    (void)state;
    static const int64_t counts[] = {1, 2, 3, 7, 20, 144, 300};
    for (int bits = 2; bits <= 5; bits++) {
        for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
            for (uint64_t seed = 0; seed < 5; seed++) {
                test_site *t = test_site_make(ctx, "uniform", true, bits, CRUMB_SHAPE(1, counts[k]));
                test_fill_normal(t->x, t->count, 0.1f, 100 + seed);
                test_site_forward(t, true);
                double got = squared_error(t->x, t->y, t->count);
                double least = exact_error(t->x, (1 << (bits - 1)) - 1, t->count);
                double rounding = 1e-6 * (double)t->count * 0.01;
                if (got > 1.002 * least + rounding || got < 0.999 * least - rounding) {
                    fail_msg("%d bits, %lld weights: error %g, least %g", bits, (long long)t->count, got, least);
                }
                test_site_free(t);
            }
        }
    }
}

static void test_uniform_refit(void **state) {
    (void)state;
    test_site *t = test_site_normal(ctx, "uniform", true, 2, CRUMB_SHAPE(4, 50), 1.0f);
    test_site_forward(t, true);
    float first = t->state[0][0];
    test_site_param(t, "refit", "once");
    for (int64_t i = 0; i < t->count; i++) {
        t->x[i] *= 3.0f;
    }
    test_site_forward(t, true);
    assert_true(t->state[0][0] == first);
    test_site_param(t, "refit", "always");
    test_site_forward(t, true);
    assert_float_equal(t->state[0][0], 3.0f * first, 1e-5f);
    test_site_param(t, "per", "channel");
    test_site_forward(t, true);
    assert_true(t->state[0][0] != t->state[0][1]);
    test_site_free(t);

    /* Half a step goes up, as floor(|w| / D + 1/2) says; to even would give 0. */
    t = test_site_with(ctx, "uniform", true, 2, CRUMB_SHAPE(1, 5), (const float[]){0.5f, -0.5f, 1.5f, 0.25f, 1.0f});
    test_site_param(t, "refit", "once");
    test_site_state(t, "step")[0] = 1.0f;
    test_site_state(t, "ready")[0] = 1.0f;
    test_site_forward(t, true);
    test_values(t->y, (const double[]){1, -1, 1, 0, 1}, 5, 0);
    test_site_free(t);
}

/* K ternary tensors of one step have an average of at most 2 K + 1 values (SQWA). */
static void test_ternary_average(void **state) {
    (void)state;
    enum { K = 7, N = 400 };
    int sum[N] = {0}, seen[2 * K + 1] = {0}, values = 0;
    for (uint64_t k = 0; k < K; k++) {
        test_site *t = test_site_make(ctx, "uniform", true, 2, CRUMB_SHAPE(4, N / 4));
        test_fill_normal(t->x, N, 1.0f, 300 + k);
        test_site_param(t, "refit", "once");
        for (int o = 0; o < 4; o++) {
            test_site_state(t, "step")[o] = 1.224f;
        }
        test_site_state(t, "ready")[0] = 1.0f;
        test_site_forward(t, true);
        for (int i = 0; i < N; i++) {
            assert_true(t->y[i] == 0.0f || fabsf(t->y[i]) == 1.224f);
            sum[i] += (t->y[i] > 0.0f) - (t->y[i] < 0.0f);
        }
        test_site_free(t);
    }
    for (int i = 0; i < N; i++) {
        values += seen[sum[i] + K]++ == 0;
    }
    assert_in_range(values, 5, 2 * K + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform_normal),
        cmocka_unit_test(test_uniform_is_least),
        cmocka_unit_test(test_uniform_refit),
        cmocka_unit_test(test_ternary_average),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
