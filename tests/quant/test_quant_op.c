/* crumb_op_quantize through op calls, choosing a quantizer by name, and the uniform form's promises. */
#include "site.h"

#include "quant/uniform.h"

#ifdef _OPENMP
#include <omp.h>
#else /* one thread whatever is asked */
static void omp_set_num_threads(int threads) {
    (void)threads;
}
static int omp_get_max_threads(void) {
    return 1;
}
#endif

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

static void test_choose(void **state) {
    (void)state;
    crumb_quant_choice choice = {.bits = 77};
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "there is no quantizer 'dorfea'; did you mean 'dorefa'?",
                 crumb_quant_choose(ctx, "dorfea", true, 2, &choice));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "there is no quantizer 'xyzzyxyzzy'",
                 crumb_quant_choose(ctx, "xyzzyxyzzy", true, 2, &choice));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "lsq: 9 bits is outside 2 .. 8", crumb_quant_choose(ctx, "lsq", true, 9, &choice));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "bwn is not for activations", crumb_quant_choose(ctx, "bwn", false, 1, &choice));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "pact is not for weights", crumb_quant_choose(ctx, "pact", true, 2, &choice));
    assert_int_equal(choice.bits, 77); /* untouched on failure */
    assert_ok(ctx, crumb_quant_choose(ctx, "lsq", false, 2, &choice));
    assert_ptr_equal(choice.quantizer, crumb_quantizer_find("lsq"));
    assert_int_equal(choice.bits, 2);
}

static void test_infer(void **state) {
    (void)state;
    test_site *t = test_site_make(ctx, "minmax", true, 8, CRUMB_SHAPE(4, 3, 3, 2));
    crumb_shape x[4] = {CRUMB_SHAPE(4, 3, 3, 2), CRUMB_SHAPE(4), CRUMB_SHAPE(4), CRUMB_SHAPE(1)};
    crumb_op_plan plan;
    assert_ok(ctx, crumb_op_infer(ctx, &crumb_op_quantize, &t->site, 4, x, &plan));
    assert_true(crumb_shape_equal(plan.output, x[0]));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "3 inputs, wants x and 3 states",
                 crumb_op_infer(ctx, &crumb_op_quantize, &t->site, 3, x, &plan));
    x[2] = CRUMB_SHAPE(3);
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "state high is 3, wants 4 values",
                 crumb_op_infer(ctx, &crumb_op_quantize, &t->site, 4, x, &plan));
    x[0] = CRUMB_SHAPE(5, 3, 3, 2);
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "weight is 5x3x3x2, the site has 4 channels",
                 crumb_op_infer(ctx, &crumb_op_quantize, &t->site, 4, x, &plan));
    test_site_free(t);
}

/* An activation's range is observed in training only, a weight's always. */
static void test_observe(void **state) {
    (void)state;
    test_site *t = test_site_make(ctx, "minmax", false, 8, CRUMB_SHAPE(2, 4));
    test_fill_normal(t->x, t->count, 1.0f, 1);
    test_site_forward(t, false);
    assert_true(test_site_state(t, "ready")[0] == 0.0f && test_site_state(t, "high")[0] == 1.0f);
    test_site_forward(t, true);
    float first = test_site_state(t, "high")[0];
    assert_true(test_site_state(t, "ready")[0] == 1.0f && first > 0.0f && first != 1.0f);
    for (int64_t i = 0; i < t->count; i++) {
        t->x[i] *= 2.0f;
    }
    test_site_forward(t, true); /* running mean: 0.9 first + 0.1 * 2 first */
    assert_float_equal(test_site_state(t, "high")[0], 1.1f * first, 1e-6);
    test_site_free(t);

    t = test_site_make(ctx, "minmax", true, 8, CRUMB_SHAPE(2, 4));
    t->x[3] = -3.0f;
    test_site_forward(t, false);
    assert_true(test_site_state(t, "high")[0] == 3.0f && test_site_state(t, "high")[1] == 3.0f);
    test_site_param(t, "per", "channel");
    test_site_forward(t, false);
    assert_true(test_site_state(t, "high")[0] == 3.0f && test_site_state(t, "high")[1] == 0.0f);
    test_site_free(t);
}

/* Masked elements keep their value, pass their gradient on and have no part in the gradient of a learned step. */
static void check_mask(const char *name, bool elements, bool add) {
    enum { O = 4, N = 48 };
    test_site *t = test_site_make(ctx, name, true, 2, CRUMB_SHAPE(O, 3, 2, 2));
    uint8_t mask[N] = {0};
    for (int i = 0; i < (elements ? N : O); i++) {
        mask[i] = elements ? (i * 7 % 5 < 3) : i % 2;
    }
    test_fill_normal(t->x, N, 0.5f, 3);
    test_fill_normal(t->dy, N, 1.0f, 4);
    test_site_forward(t, true);
    float plain_y[N], plain_dx[N], dy[N], dstate = 0.0f;
    memcpy(plain_y, t->y, sizeof(plain_y));
    memcpy(dy, t->dy, sizeof(dy));
    for (int i = 0; i < N; i++) {
        t->dy[i] = mask[elements ? i : i / (N / O)] ? dy[i] : 0.0f;
    }
    test_site_backward(t);
    memcpy(plain_dx, t->dx, sizeof(plain_dx));
    dstate = t->states > 0 ? t->dstate[0][0] : 0.0f;

    memcpy(t->dy, dy, sizeof(dy));
    t->site.mask = mask;
    t->site.mask_elements = elements;
    t->add = add;
    for (int i = 0; i < N; i++) {
        t->dx[i] = 10.0f;
    }
    t->dstate[0][0] = 20.0f;
    test_site_forward(t, true);
    test_site_backward(t);
    int passed = 0;
    for (int i = 0; i < N; i++) {
        bool on = mask[elements ? i : i / (N / O)];
        passed += !on;
        assert_true(t->y[i] == (on ? plain_y[i] : t->x[i]));
        float want = on ? plain_dx[i] : plain_dx[i] + dy[i];
        assert_float_equal(t->dx[i], add ? 10.0f + want : want, 2e-6);
    }
    assert_in_range(passed, 10, N - 10);
    if (t->site.quantizer->state[0].learned) {
        assert_float_equal(t->dstate[0][0], add ? 20.0f + dstate : dstate, 1e-5);
    }
    assert_memory_equal(t->dy, dy, sizeof(dy));
    test_site_free(t);
}

static void test_mask(void **state) {
    (void)state;
    for (int k = 0; crumb_quantizers[k] != NULL; k++) {
        const crumb_quantizer *row = crumb_quantizers[k];
        if ((row->flags & CRUMB_QUANT_WEIGHT) && row->min_bits <= 2 && row->max_bits >= 2) {
            for (int variant = 0; variant < 4; variant++) {
                check_mask(row->name, variant & 1, variant & 2);
            }
        }
    }
}

/* Without dx or dstate wanted nothing is written there. */
static void test_unwanted(void **state) {
    (void)state;
    test_site *t = test_site_make(ctx, "lsq", true, 3, CRUMB_SHAPE(2, 8));
    test_fill_normal(t->x, t->count, 1.0f, 5);
    test_fill_normal(t->dy, t->count, 1.0f, 6);
    test_site_forward(t, true);
    crumb_op_call op = test_site_op(t, true);
    op.dx[0] = NULL;
    crumb_op_quantize.backward(&op);
    float only = t->dstate[0][0];
    assert_true(fabsf(only) > 0.0f && isnan(t->dx[0]));
    op = test_site_op(t, true);
    op.dx[1] = NULL;
    t->dstate[0][0] = 5.0f;
    crumb_op_quantize.backward(&op);
    assert_true(t->dstate[0][0] == 5.0f);
    op = test_site_op(t, true);
    crumb_op_quantize.backward(&op);
    assert_true(t->dstate[0][0] == only);
    test_site_free(t);
}

/* The same bits for any number of threads, for every row, role and a size with a ragged end. */
static void check_threads(const crumb_quantizer *row, bool weight) {
    test_site *t[3];
    for (int k = 0; k < 3; k++) {
        int bits = row->max_bits < 4 ? row->max_bits : 4;
        t[k] = test_site_make(ctx, row->name, weight, bits, weight ? CRUMB_SHAPE(7, 9973) : CRUMB_SHAPE(3, 23269));
        test_fill_normal(t[k]->x, t[k]->count, 1.0f, 7);
        test_fill_normal(t[k]->dy, t[k]->count, 1.0f, 8);
        omp_set_num_threads(k + 1);
        test_site_forward(t[k], true);
        test_site_backward(t[k]);
        size_t bytes = (size_t)t[k]->count * sizeof(float);
        assert_memory_equal(t[k]->y, t[0]->y, bytes);
        assert_memory_equal(t[k]->dx, t[0]->dx, bytes);
        for (int s = 0; s < t[k]->states; s++) {
            assert_memory_equal(t[k]->state[s], t[0]->state[s], (size_t)t[k]->state_count[s] * sizeof(float));
            assert_memory_equal(t[k]->dstate[s], t[0]->dstate[s], (size_t)t[k]->state_count[s] * sizeof(float));
        }
    }
    for (int k = 0; k < 3; k++) {
        test_site_free(t[k]);
    }
}

static void test_threads(void **state) {
    (void)state;
    int threads = omp_get_max_threads();
    for (int k = 0; crumb_quantizers[k] != NULL; k++) {
        if (crumb_quantizers[k]->flags & CRUMB_QUANT_WEIGHT) {
            check_threads(crumb_quantizers[k], true);
        }
        if (crumb_quantizers[k]->flags & CRUMB_QUANT_ACTIVATION) {
            check_threads(crumb_quantizers[k], false);
        }
    }
    omp_set_num_threads(threads);
}

/* crumb_round is rintf over the whole range of codes, ties included, and never gives -0. */
static void test_round(void **state) {
    (void)state;
    for (float v = -1200.0f; v <= 1200.0f; v += 0.0625f) {
        float next = nextafterf(v, 1e9f), before = nextafterf(v, -1e9f);
        assert_true(crumb_round(v) == rintf(v) && crumb_round(next) == rintf(next) && crumb_round(before) == rintf(before));
    }
    assert_false(signbit(crumb_round(-0.25f)));
    assert_false(signbit(crumb_round(-0.0f)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose),   cmocka_unit_test(test_infer), cmocka_unit_test(test_observe),
        cmocka_unit_test(test_mask),     cmocka_unit_test(test_round), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_unwanted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
