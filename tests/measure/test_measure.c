/* Limits and figures of kernels: that they are there, belong together and stop when asked; not how large they are. */
#include "harness.h"

#include "measure/limits.h"
#include "pack/sample.h"

static crumb_limits round_limits(void) {
    crumb_limits limits = {.threads = 1, .table_columns = 64, .cache_bytes = 1 << 20};
    const double rate[CRUMB_LIMITS] = {1e9, 4e9, 24e9, 1e9, 1e6};
    memcpy(limits.rate, rate, sizeof(rate));
    return limits;
}

static crumb_conv_problem problem(int32_t x, int32_t w) {
    return (crumb_conv_problem){.height = 8,
                                .width = 8,
                                .channels = 16,
                                .out_height = 8,
                                .out_width = 8,
                                .out_channels = 32,
                                .kernel_height = 3,
                                .kernel_width = 3,
                                .stride = 1,
                                .padding = 1,
                                .dilation = 1,
                                .groups = 1,
                                .x = {.levels = x, .multiply = 1},
                                .w = {.levels = w, .multiply = 1}};
}

/* 8 * 8 * 32 outputs of 9 * 16 products; at W1A1 bits 24e9, at W2A2 24e9 / 4 against tables of three channels, 2 * 3 * 1e9. */
static void test_problems(void **state) {
    (void)state;
    static const struct {
        int32_t x, w;
        double rate;
        crumb_limit limit;
    } cases[] = {
        {2, 2, 24e9, CRUMB_LIMIT_BITS},   {4, 2, 12e9, CRUMB_LIMIT_BITS},     {4, 4, 6e9, CRUMB_LIMIT_BITS},
        {256, 4, 4e9, CRUMB_LIMIT_BYTES}, {256, 256, 4e9, CRUMB_LIMIT_BYTES}, {0, 256, 1e9, CRUMB_LIMIT_FLOATS},
        {0, 0, 1e9, CRUMB_LIMIT_FLOATS},
    };
    crumb_limits limits = round_limits();
    const double operations = 2.0 * 8 * 8 * 32 * 9 * 16;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        crumb_conv_problem p = problem(cases[i].x, cases[i].w);
        crumb_limit which = CRUMB_LIMITS;
        double seconds = crumb_limits_problem(&limits, &p, 1, false, &which);
        assert_true(fabs(seconds * cases[i].rate / operations - 1) < 1e-12);
        assert_int_equal(which, cases[i].limit);
        assert_true(fabs(crumb_limits_problem(&limits, &p, 5, false, &which) / seconds - 5) < 1e-12);
    }
    crumb_conv_problem p = problem(256, 256);
    crumb_limit which = CRUMB_LIMITS;
    assert_true(fabs(crumb_limits_problem(&limits, &p, 1, true, &which) * 1e6 - 32 * 9 * 16) < 1e-6);
    assert_int_equal(which, CRUMB_LIMIT_MEMORY);
}

static void test_layers(void **state) {
    (void)state;
    crumb_ctx *ctx = NULL;
    crumb_packed *packed = NULL;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_ok(ctx, sample_every_op(ctx, 1, &packed));
    crumb_limits limits = round_limits();
    int convolutions = 0;
    for (int i = 0; i < packed->nodes; i++) {
        crumb_limit which = CRUMB_LIMITS;
        double least = crumb_limits_layer(&limits, packed, i, 3, &which);
        assert_int_equal(least > 0, packed->node[i].op == CRUMB_PACKED_CONV2D);
        convolutions += least > 0;
    }
    assert_true(convolutions > 3);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

static crumb_status measure_limits(crumb_ctx *ctx, void *user) {
    return crumb_limits_measure(ctx, 2, user);
}

static void test_limits(void **state) {
    (void)state;
    static const char *const cpu[] = {"scalar", "avx2", "avxvnni", NULL};
    for (size_t i = 0; i < sizeof(cpu) / sizeof(cpu[0]); i++) {
        crumb_ctx *ctx = NULL;
        crumb_limits limits;
        crumb_settings settings = {.threads = 1, .cpu_limit = cpu[i]};
        assert_int_equal(crumb_ctx_create(&ctx, &settings), CRUMB_OK);
        assert_ok(ctx, crumb_limits_measure(ctx, 0, &limits));
        assert_int_equal(limits.threads, 1);
        for (int k = 0; k < CRUMB_LIMITS; k++) {
            assert_int_equal(limits.rate[k] > 0, limits.loop[k] != NULL);
            assert_true(limits.rate[k] > 1e6 || k == CRUMB_LIMIT_TABLES);
        }
        assert_int_equal(limits.table_columns > 0, limits.rate[CRUMB_LIMIT_TABLES] > 0);
        crumb_ctx_destroy(ctx);
    }
    crumb_limits limits;
    test_every_allocation(measure_limits, &limits);
    assert_int_equal(limits.threads, 2);
}

typedef struct seen {
    int figures, chosen, most;
} seen;

static bool see(void *user, const crumb_kernel_figure *f) {
    seen *s = user;
    assert_string_equal(f->bits, "W2A2");
    assert_non_null(strstr(f->shape, "8x8x64"));
    assert_true(f->seconds > 0 && f->least > 0 && f->weight_bytes > 0 && f->threads == 2 && f->images == 4);
    assert_true(f->operations == 2.0 * 4 * 8 * 8 * 64 * 9 * 64);
    s->chosen += f->chosen;
    return ++s->figures < s->most;
}

static crumb_status measure_some(crumb_ctx *ctx, void *user) {
    static const char *const words[] = {"W2A2", "8x8x64"};
    crumb_limits limits = round_limits();
    *(seen *)user = (seen){.most = 1000};
    crumb_kernel_options options = {.threads = 2, .words = words, .word_count = 2};
    return crumb_measure_kernels(ctx, &options, &limits, see, user);
}

static void test_kernels(void **state) {
    (void)state;
    static const char *const words[] = {"W2A2", "8x8x64"};
    seen all;
    test_every_allocation(measure_some, &all);
    assert_int_equal(all.chosen, 1);
    int fitting = 0;
    crumb_ctx *ctx = NULL;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    crumb_conv_problem p = problem(4, 4);
    p.channels = p.out_channels = 64;
    p.w.offset = -2;
    for (const crumb_conv_kernel *const *k = crumb_conv_kernels; *k != NULL; k++) {
        fitting += ((*k)->cpu & ~crumb_cpu(ctx)) == 0 && (*k)->supports(&p);
    }
    assert_int_equal(all.figures, fitting);
    crumb_limits limits = round_limits();
    seen few = {.most = 1};
    crumb_kernel_options options = {.threads = 2, .chosen = true, .words = words, .word_count = 2};
    assert_ok(ctx, crumb_measure_kernels(ctx, &options, &limits, see, &few));
    assert_int_equal(few.figures, 1);
    assert_int_equal(few.chosen, 1);
    crumb_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
