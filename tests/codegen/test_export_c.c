/* Packed networks as C: compiled as strict freestanding C99, each gives the logits of a session, bit for bit. Every op, random
 * networks, all widths of weights and activations with the largest sums; names, refusals, failing allocations, equal files. */
#include "codegen/compiled.h"
#include "runtime/random_network.h"

static crumb_ctx *make_ctx(void) {
    crumb_ctx *ctx = NULL;
    assert_int_equal(crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}), CRUMB_OK);
    return ctx;
}

static void every_op(void **state) {
    (void)state;
    crumb_ctx *ctx = make_ctx();
    compiled c;
    compiled_begin(&c);
    for (uint64_t seed = 0; seed < 6; seed++) {
        crumb_packed *packed;
        assert_ok(ctx, sample_every_op(ctx, seed, &packed));
        compiled_add(&c, packed, seed % 2 == 1);
    }
    compiled_build(&c, "-O1");
    const char *const *names = dlsym(c.library, "net2_class_name");
    assert_non_null(names);
    assert_string_equal(names[0], "cat");
    assert_string_equal(names[2], "鳥");
    assert_string_equal(names[3], "");
    compiled_check(&c, 6);
    crumb_ctx_destroy(ctx);
}

static void random_networks(void **state) {
    (void)state;
    enum { BUILDS = COMPILED_BUILDS, A_BUILD = 25 };
    crumb_ctx *ctx = make_ctx();
    for (int build = 0; build < BUILDS; build++) {
        compiled c;
        compiled_begin(&c);
        for (int k = 0; k < A_BUILD; k++) {
            crumb_packed *packed;
            uint64_t seed = (uint64_t)(1000 + A_BUILD * build + k);
            assert_ok(ctx, random_network(ctx, seed, 6 + (int)(seed % 30), &packed));
            compiled_add(&c, packed, k % 2 == 1);
        }
        compiled_build(&c, compiled_flags(build));
        compiled_check(&c, 5);
    }
    crumb_ctx_destroy(ctx);
}

/* ---- Widths. The rows of a weight begin with the largest index everywhere, then 0 everywhere, then what is drawn. */

static int32_t extreme_weight(sample *s, int32_t rows, int32_t columns, crumb_packed_codes codes) {
    uint16_t *index = calloc((size_t)rows * (size_t)columns, sizeof(*index));
    for (int32_t i = 0; i < rows * columns; i++) {
        index[i] = i < columns ? (uint16_t)(codes.levels - 1) : i < 2 * columns ? 0 : (uint16_t)draw(s, (uint32_t)codes.levels);
    }
    int32_t tensor = crumb_build_codes(&s->build, rows, columns, codes, index);
    free(index);
    return tensor;
}

/* All bits of weights on an image that is quantized to x_bits; the convolutions' results side by side are the logits. */
static crumb_status all_widths(crumb_ctx *ctx, int x_bits, bool few_steps, crumb_packed **packed) {
    enum { OUTPUTS = 4, SIDE = 5, CHANNELS = 3 };
    sample s = {.rng = crumb_rng_at(3, (uint64_t)x_bits, 0)};
    crumb_build_begin(&s.build, ctx, SIDE, SIDE, CHANNELS);
    int32_t x = x_bits % 2 == 0 ? sample_round(&s, 0, 1 << x_bits, x_bits > 4 ? -(1 << x_bits) / 2 : 0)
                                : sample_thresholds(&s, 0, 1 << x_bits);
    int32_t all = -1;
    for (int32_t w_bits = 1; w_bits <= 9; w_bits++) {
        crumb_packed_codes codes = {.levels = 1 << w_bits, .multiply = 1 + w_bits % 2, .offset = -(1 << w_bits) / 2};
        crumb_packed_node conv = crumb_build_node_of(CRUMB_PACKED_CONV2D, "conv", x);
        conv.kernel_height = conv.kernel_width = SIDE;
        conv.stride = conv.dilation = conv.groups = 1;
        conv.weight = extreme_weight(&s, OUTPUTS, SIDE * SIDE * CHANNELS, codes);
        conv.multiplier = sample_floats(&s, 1, OUTPUTS, false);
        conv.bias = sample_floats(&s, 1, OUTPUTS, false);
        int32_t y = crumb_build_append(&s.build, &conv, NULL);
        y = few_steps ? sample_node(&s, CRUMB_PACKED_DEQUANTIZE, sample_thresholds(&s, y, 1 + w_bits)) : y;
        all = all < 0 ? y : sample_pair(&s, CRUMB_PACKED_CONCAT, all, y);
    }
    s.build.packed.classes = 9 * OUTPUTS;
    return crumb_build_end(&s.build, packed);
}

static void widths(void **state) {
    (void)state;
    crumb_ctx *ctx = make_ctx();
    compiled c;
    compiled_begin(&c);
    for (int i = 0; i < 32; i++) {
        crumb_packed *packed;
        assert_ok(ctx, all_widths(ctx, 1 + i % 8, i % 16 < 8, &packed));
        compiled_add(&c, packed, i >= 16);
    }
    compiled_build(&c, "-O1");
    compiled_check(&c, 9);
    crumb_ctx_destroy(ctx);
}

/* ---- Shapes that the generators do not reach. */

typedef struct shape_case {
    int32_t height, width, channels, kernel, pool;
    crumb_packed_node shape;
    int32_t levels, lowest; /* of the input's codes */
    crumb_packed_codes weight;
} shape_case;

static crumb_status one_shape(crumb_ctx *ctx, const shape_case *of, uint64_t seed, crumb_packed **packed) {
    sample s = {.rng = crumb_rng_at(seed, 9, 0)};
    crumb_build_begin(&s.build, ctx, of->height, of->width, 3);
    int32_t x = sample_conv(&s, sample_round(&s, 0, 256, -128), of->channels, 1, of->weight, (crumb_packed_node){0});
    x = of->levels > 0 ? sample_round(&s, x, of->levels, of->lowest) : sample_thresholds(&s, x, -of->levels);
    x = sample_conv(&s, x, 8 * (of->shape.groups > 0 ? of->shape.groups : 1), of->kernel, of->weight, of->shape);
    x = sample_round(&s, x, 4, 0);
    if (of->pool > 0) {
        x = sample_pool(&s, CRUMB_PACKED_MAX_POOL, x, of->pool, of->pool, 0);
    }
    x = sample_node(&s, CRUMB_PACKED_DEQUANTIZE, x);
    x = sample_node(&s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, x);
    s.build.packed.classes = sample_channels(&s, x);
    return crumb_build_end(&s.build, packed);
}

static void shapes(void **state) {
    (void)state;
    static const crumb_packed_codes two = {.levels = 4, .multiply = 2, .offset = -3},
                                    nine = {.levels = 512, .multiply = 2, .offset = -511};
    const shape_case cases[] = {
        {8, 8, 16, 3, 2, {.padding = 1}, 4, 0, two},                             /* the pool in the convolution */
        {9, 7, 16, 3, 2, {.padding = 1}, 4, 0, two},                             /* rows that no window reaches */
        {12, 12, 8, 3, 3, {.padding = 1, .dilation = 2}, -2, 0, two},            /* codes without 0, padded */
        {10, 9, 12, 3, 0, {.stride = 3, .padding = 2, .groups = 4}, -4, 0, two}, /* groups of three channels */
        {7, 7, 16, 1, 0, {.stride = 2}, 16, -8, two},                            /* windows that lie in memory */
        {6, 6, 24, 1, 0, {.groups = 3}, 4, 0, two},                              /* whole cells in groups */
        {6, 6, 20, 5, 0, {.padding = 2}, 256, -128, nine},                       /* sums that leave int32: code by code */
        {5, 1, 9, 1, 0, {.stride = 1}, 256, 3, nine},                            /* no level is 0 */
        {6, 5, 4, 3, 0, {.padding = 1}, -256, 0, nine},                          /* 0 has no place in a byte */
    };
    crumb_ctx *ctx = make_ctx();
    compiled c;
    compiled_begin(&c);
    for (int i = 0; i < 3 * (int)(sizeof(cases) / sizeof(cases[0])); i++) {
        crumb_packed *packed;
        assert_ok(ctx, one_shape(ctx, &cases[i / 3], (uint64_t)i, &packed));
        compiled_add(&c, packed, i % 2 == 1);
    }
    compiled_build(&c, "-O1");
    compiled_check(&c, 6);
    crumb_ctx_destroy(ctx);
}

/* A pool of what a convolution's stage makes, where something else in it is read too: 0 the sums, 1 the indices, 2 nothing. */
static crumb_status shared_pool(crumb_ctx *ctx, int other, uint64_t seed, crumb_packed **packed) {
    static const crumb_packed_codes two = {.levels = 4, .multiply = 1, .offset = -2};
    sample s = {.rng = crumb_rng_at(seed, 11, 0)};
    crumb_build_begin(&s.build, ctx, 8, 8, 1);
    int32_t conv = sample_conv(&s, sample_round(&s, 0, 4, 0), 8, 3, two, (crumb_packed_node){.padding = 1});
    int32_t sums = sample_node(&s, CRUMB_PACKED_RELU, conv), indices = sample_round(&s, sums, 4, 0);
    int32_t x = sample_pool(&s, CRUMB_PACKED_MAX_POOL, indices, 2, 2, 0);
    x = sample_node(&s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, sample_conv(&s, x, 8, 1, two, (crumb_packed_node){0}));
    if (other < 2) {
        int32_t y = sample_conv(&s, other == 0 ? sums : indices, 8, 3, two, (crumb_packed_node){0});
        x = sample_pair(&s, CRUMB_PACKED_ADD, x, sample_node(&s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, y));
    }
    s.build.packed.classes = sample_channels(&s, x);
    return crumb_build_end(&s.build, packed);
}

static void shared_pools(void **state) {
    (void)state;
    crumb_ctx *ctx = make_ctx();
    compiled c;
    compiled_begin(&c);
    for (int i = 0; i < 9; i++) {
        crumb_packed *packed;
        assert_ok(ctx, shared_pool(ctx, i % 3, (uint64_t)i, &packed));
        compiled_add(&c, packed, i >= 3);
    }
    compiled_build(&c, "-O1");
    compiled_check(&c, 4);
    crumb_ctx_destroy(ctx);
}

/* Pixels that become infinite, and not a number. */
static void odd_pixels(void **state) {
    (void)state;
    crumb_ctx *ctx = make_ctx();
    sample s = {.rng = crumb_rng_at(1, 13, 0)};
    crumb_build_begin(&s.build, ctx, 4, 4, 2);
    s.build.packed.deviation[0] = 1e-40f;
    s.build.packed.mean[0] = 0.5f;
    crumb_packed_node affine = crumb_build_node_of(CRUMB_PACKED_AFFINE, "affine", 0);
    affine.multiplier = crumb_build_floats(&s.build, 1, 2, (const float[]){0.0f, 1.0f});
    affine.bias = sample_floats(&s, 1, 2, false);
    int32_t none = sample_node(&s, CRUMB_PACKED_FLATTEN, crumb_build_append(&s.build, &affine, NULL));
    int32_t infinite = sample_node(&s, CRUMB_PACKED_FLATTEN, 0);
    s.build.packed.classes = 64;
    sample_pair(&s, CRUMB_PACKED_CONCAT, none, infinite);
    crumb_packed *packed;
    assert_ok(ctx, crumb_build_end(&s.build, &packed));
    compiled c;
    compiled_begin(&c);
    compiled_add(&c, packed, false);
    compiled_build(&c, "-O1");
    compiled_check(&c, 4);
    crumb_ctx_destroy(ctx);
}

/* ---- Names that mean something in C, twice the same, that end comments. */

static void names(void **state) {
    (void)state;
    static const char *const odd[] = {
        "int",         "conv",     "conv",     "conv.weight",
        "conv_weight", "x",        "x2",       "dot2x2",
        "level3",      "level",    "3d",       "",
        "*/",          "ü",        "net0_run", "NET0_CLASSES",
        "linux",       "run_conv", "a_b",      "a.b",
        "a__b",        "n5",       "total",    "a_very_long_name_that_goes_on_and_on_and_on_and_on_and_on_until_it_ends",
        "INT32_MAX"};
    crumb_ctx *ctx = make_ctx();
    sample s = {.rng = crumb_rng_at(1, 0, 0)};
    crumb_build_begin(&s.build, ctx, 4, 4, 3);
    s.build.packed.model = "a */ model \\ ?";
    int32_t x = 0;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        x = sample_conv(&s, sample_round(&s, x, 4, 0), 3, 1, (crumb_packed_codes){.levels = 4, .multiply = 1, .offset = -2},
                        (crumb_packed_node){0});
        crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_RELU, odd[i], x);
        x = crumb_build_append(&s.build, &node, NULL);
    }
    s.build.packed.classes = sample_channels(&s, sample_node(&s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, x));
    crumb_packed *packed;
    assert_ok(ctx, crumb_build_end(&s.build, &packed));
    compiled c;
    compiled_begin(&c);
    compiled_add(&c, packed, false);
    compiled_build(&c, "-O0");
    compiled_check(&c, 2);
    crumb_ctx_destroy(ctx);
}

static void refusals(void **state) {
    (void)state;
    static const char *const bad[] = {"net.h", "net", ".c", "dir/.c", "2net.c", "ne-t.c", "nét.c", ""};
    crumb_ctx *ctx = make_ctx();
    crumb_packed *packed;
    assert_ok(ctx, sample_every_op(ctx, 1, &packed));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(crumb_packed_export_c(packed, bad[i], NULL, NULL), CRUMB_ERROR_ARGUMENT);
        assert_non_null(strstr(crumb_message(ctx), bad[i]));
    }
    assert_int_equal(crumb_packed_export_c(packed, "/nowhere/at/all/net.c", NULL, NULL), CRUMB_ERROR_IO);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

/* The same network gives the same files. */
static crumb_status export_twice(crumb_ctx *ctx, void *user) {
    char path[256];
    crumb_packed *packed;
    CRUMB_TRY(sample_every_op(ctx, 4, &packed));
    crumb_status status = CRUMB_OK;
    for (int i = 0; i < 2 && status == CRUMB_OK; i++) {
        snprintf(path, sizeof(path), "%s/%d/net.c", (const char *)user, i);
        status = crumb_packed_export_c(packed, path, NULL, NULL);
    }
    crumb_packed_close(packed);
    return status;
}

static void memory(void **state) {
    (void)state;
    char folder[64], command[512];
    strcpy(folder, test_folder());
    snprintf(command, sizeof(command), "mkdir %s/0 %s/1", folder, folder);
    assert_int_equal(system(command), 0);
    test_every_allocation(export_twice, folder);
    snprintf(command, sizeof(command), "diff -r %s/0 %s/1 && test $(ls %s/0 | wc -l) = 2 && rm -r %s", folder, folder, folder,
             folder);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op), cmocka_unit_test(random_networks), cmocka_unit_test(widths),
        cmocka_unit_test(shapes),   cmocka_unit_test(shared_pools),    cmocka_unit_test(odd_pixels),
        cmocka_unit_test(names),    cmocka_unit_test(refusals),        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
