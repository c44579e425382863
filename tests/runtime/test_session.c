/* Plans and sessions against the naive executor, bit for bit: every op, random networks, every instruction set, numbers of
 * threads and images; memory: none while running, the caller's, too little. */
#include "harness.h"

#include "pack/oracle.h"
#include "runtime/plan.h"
#include "runtime/random_network.h"
#include "runtime/session.h"

#include <pthread.h>

static const char *const limits[] = {"scalar", "avx2", NULL}; /* NULL: all there is */

static crumb_ctx *limited_ctx(const char *limit, int threads) {
    crumb_ctx *ctx = NULL;
    crumb_settings settings = {.threads = threads, .cpu_limit = limit};
    assert_int_equal(crumb_ctx_create(&ctx, &settings), CRUMB_OK);
    return ctx;
}

/* Images of ordinary numbers, and in some places of what needs care. */
static float *make_images(const crumb_packed *packed, int64_t count, uint64_t seed) {
    static const float odd[] = {-0.0f, 0.0f, INFINITY, -INFINITY, NAN, 1e-42f, 0.125f, 0.375f, -0.125f, 3e38f};
    int64_t elements = count * crumb_packed_elements(&packed->value[0]);
    float *images = malloc((size_t)elements * sizeof(*images));
    sample_image(images, elements, seed);
    for (int64_t i = 0; i < elements && seed % 2 == 1; i++) {
        images[i] = i % 37 < 10 ? odd[i % 37] : images[i];
    }
    return images;
}

/* The bits of one NaN are those of another. */
static void assert_same_reals(const float *got, const float *wanted, int64_t count, const char *what, int64_t which) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t a, b;
        memcpy(&a, &got[i], sizeof(a));
        memcpy(&b, &wanted[i], sizeof(b));
        if (a != b && !(isnan(got[i]) && isnan(wanted[i]))) {
            fail_msg("%s %lld: element %lld is %g (%08x), not %g (%08x)", what, (long long)which, (long long)i, (double)got[i],
                     a, (double)wanted[i], b);
        }
    }
}

static float *oracle_logits(const crumb_packed *packed, const float *images, int64_t count) {
    crumb_oracle *oracle;
    assert_ok(packed->ctx, crumb_oracle_create(packed, &oracle));
    int64_t image = crumb_packed_elements(&packed->value[0]), classes = packed->classes;
    float *logits = malloc((size_t)(count * classes) * sizeof(*logits));
    for (int64_t n = 0; n < count; n++) {
        crumb_oracle_run(oracle, images + n * image);
        memcpy(logits + n * classes, crumb_oracle_real(oracle, packed->logits), (size_t)classes * sizeof(*logits));
    }
    crumb_oracle_destroy(oracle);
    return logits;
}

/* ---- Logits. */

enum { IMAGES = 7 };

static void check_logits(crumb_packed *packed, const float *images, const float *wanted, int threads, int batch,
                         int64_t count) {
    crumb_plan *plan;
    crumb_session *session;
    assert_ok(packed->ctx, crumb_plan_create(packed, &plan));
    crumb_session_options options = {.threads = threads, .batch = batch};
    assert_ok(packed->ctx, crumb_session_create(plan, &options, &session));
    float *logits = calloc((size_t)(count * packed->classes), sizeof(*logits));
    for (int again = 0; again < 2; again++) {
        assert_int_equal(crumb_session_run(session, images, count, logits), CRUMB_OK);
        assert_same_reals(logits, wanted, count * packed->classes, "logits with threads", threads);
    }
    free(logits);
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
}

static void check_network(crumb_status (*make)(crumb_ctx *, uint64_t, crumb_packed **), uint64_t seed) {
    for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        crumb_ctx *ctx = limited_ctx(limits[l], 1);
        crumb_packed *packed;
        assert_ok(ctx, make(ctx, seed, &packed));
        float *images = make_images(packed, IMAGES, seed), *wanted = oracle_logits(packed, images, IMAGES);
        check_logits(packed, images, wanted, 1, 1, 2);
        check_logits(packed, images, wanted, 2, 1, 2);
        check_logits(packed, images, wanted, 3, 6, IMAGES);
        check_logits(packed, images, wanted, 1, 4, IMAGES);
        check_logits(packed, images, wanted, 2, 0, 3);
        free(wanted);
        free(images);
        crumb_packed_close(packed);
        crumb_ctx_destroy(ctx);
    }
}

static crumb_status make_random(crumb_ctx *ctx, uint64_t seed, crumb_packed **packed) {
    return random_network(ctx, seed, 6 + (int)(seed % 30), packed);
}

static void every_op(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        check_network(sample_every_op, seed);
    }
}

static void random_networks(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 120; seed++) {
        check_network(make_random, seed);
    }
}

/* ---- Values in between, with a plan that keeps them; they are those of the ordinary plan, whose logits are checked above. */

static void check_values(crumb_packed *packed, const crumb_session *session, const crumb_oracle *oracle, uint64_t seed) {
    for (int32_t v = 0; v < packed->values; v++) {
        int64_t count = crumb_packed_elements(&packed->value[v]);
        const float *reals = crumb_session_reals(session, v);
        const uint8_t *indices = crumb_session_indices(session, v);
        if (packed->value[v].codes.levels == 0) {
            assert_non_null(reals);
            assert_null(indices);
            assert_same_reals(reals, crumb_oracle_real(oracle, v), count, "value", v);
            continue;
        }
        assert_non_null(indices);
        assert_null(reals);
        for (int64_t i = 0; i < count; i++) {
            if (indices[i] != crumb_oracle_index(oracle, v)[i]) {
                fail_msg("network %d value %d: index %lld is %d, not %d", (int)seed, (int)v, (long long)i, (int)indices[i],
                         (int)crumb_oracle_index(oracle, v)[i]);
            }
        }
    }
}

static void values(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        crumb_ctx *ctx = limited_ctx(limits[seed % 3], 2);
        crumb_packed *packed;
        crumb_plan *plan;
        crumb_session *session;
        crumb_oracle *oracle;
        assert_ok(ctx, seed == 0 ? sample_every_op(ctx, seed, &packed) : make_random(ctx, seed, &packed));
        float *image = make_images(packed, 1, seed), *logits = calloc((size_t)packed->classes, sizeof(*logits));
        assert_ok(ctx, crumb_oracle_create(packed, &oracle));
        assert_ok(ctx, crumb_plan_create_keeping(packed, &plan));
        assert_ok(ctx, crumb_session_create(plan, &(crumb_session_options){.batch = 1}, &session));
        crumb_oracle_run(oracle, image);
        assert_int_equal(crumb_session_run(session, image, 1, logits), CRUMB_OK);
        check_values(packed, session, oracle, seed);
        free(logits);
        free(image);
        crumb_session_destroy(session);
        crumb_plan_destroy(plan);
        crumb_oracle_destroy(oracle);
        crumb_packed_close(packed);
        crumb_ctx_destroy(ctx);
    }
}

/* ---- Pixels become the floats of packed.h. */

static void pixels(void **state) {
    (void)state;
    crumb_ctx *ctx = limited_ctx(NULL, 2);
    crumb_packed *packed;
    assert_ok(ctx, sample_every_op(ctx, 3, &packed));
    int64_t elements = crumb_packed_elements(&packed->value[0]);
    uint8_t *bytes = malloc((size_t)elements * 5);
    float *images = malloc((size_t)elements * 5 * sizeof(*images)), logits[25];
    for (int64_t i = 0; i < 5 * elements; i++) {
        bytes[i] = (uint8_t)(i * 7);
        int64_t c = i % packed->value[0].channels;
        images[i] = ((float)bytes[i] / 255.0f - packed->mean[c]) / packed->deviation[c];
    }
    float *wanted = oracle_logits(packed, images, 5);
    crumb_plan *plan;
    crumb_session *session;
    assert_ok(ctx, crumb_plan_create(packed, &plan));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "a session of -1 threads and a batch of 0",
                 crumb_session_create(plan, &(crumb_session_options){.threads = -1}, &session));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "a batch of -3",
                 crumb_session_create(plan, &(crumb_session_options){.batch = -3}, &session));
    assert_ok(ctx, crumb_session_create(plan, NULL, &session));
    assert_int_equal(crumb_session_run_pixels(session, bytes, 5, logits), CRUMB_OK);
    assert_same_reals(logits, wanted, 25, "logits of pixels", 0);
    assert_int_equal(crumb_session_run_pixels(session, NULL, 5, logits), CRUMB_ERROR_ARGUMENT);
    assert_int_equal(crumb_session_run_pixels(session, bytes, -1, logits), CRUMB_ERROR_ARGUMENT);
    assert_int_equal(crumb_session_run(session, images, 5, NULL), CRUMB_ERROR_ARGUMENT);
    assert_int_equal(crumb_session_run(session, NULL, 0, NULL), CRUMB_OK);
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    free(wanted);
    free(images);
    free(bytes);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

/* Networks that quantize their image first: 8-bit pixels become indices by a table. */
static crumb_status pixel_network(crumb_ctx *ctx, int32_t channels, int32_t width, bool affine, bool rounds,
                                  crumb_packed **packed) {
    static const crumb_packed_codes ternary = {.levels = 3, .multiply = 1, .offset = -1};
    sample s = {.rng = crumb_rng_at((uint64_t)channels, 3, 0)};
    crumb_build_begin(&s.build, ctx, 7, width, channels);
    s.build.packed.classes = 5;
    for (int32_t c = 0; c < channels; c++) {
        s.build.packed.mean[c] = 0.25f * (float)c;
        s.build.packed.deviation[c] = 0.05f + 0.1f * (float)c;
    }
    int32_t x = 0;
    if (affine) {
        crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_AFFINE, "affine", 0);
        node.multiplier = sample_floats(&s, 1, channels, false);
        node.bias = sample_floats(&s, 1, channels, false);
        node.output = crumb_build_append(&s.build, &node, NULL);
        crumb_packed_node prelu = crumb_build_node_of(CRUMB_PACKED_PRELU, "prelu", node.output);
        prelu.extra = sample_floats(&s, 1, channels, false);
        x = crumb_build_append(&s.build, &prelu, NULL);
    }
    x = rounds ? sample_round(&s, x, 200, -100) : sample_thresholds(&s, x, 5);
    x = sample_pool(&s, CRUMB_PACKED_MAX_POOL, x, 2, 1, 0);
    x = sample_conv(&s, x, 5, 3, ternary, (crumb_packed_node){.padding = 0});
    sample_node(&s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, x);
    return crumb_build_end(&s.build, packed);
}

enum { COUNT = 3 };

static void check_pixel_network(const char *limit, int32_t channels, int32_t width, bool affine, bool rounds) {
    crumb_ctx *ctx = limited_ctx(limit, 1);
    crumb_packed *packed;
    crumb_plan *plan;
    crumb_session *session;
    assert_ok(ctx, pixel_network(ctx, channels, width, affine, rounds, &packed));
    int64_t elements = COUNT * crumb_packed_elements(&packed->value[0]);
    uint8_t *pixels = malloc((size_t)elements);
    float *images = malloc((size_t)elements * sizeof(*images)), logits[COUNT * 5];
    for (int64_t i = 0; i < elements; i++) {
        int64_t c = i % channels;
        pixels[i] = (uint8_t)(i * 89 + i / 7);
        images[i] = ((float)pixels[i] / 255.0f - packed->mean[c]) / packed->deviation[c];
    }
    float *wanted = oracle_logits(packed, images, COUNT);
    assert_ok(ctx, crumb_plan_create(packed, &plan));
    assert_non_null(plan->pixel_index);
    assert_ok(ctx, crumb_session_create(plan, &(crumb_session_options){.batch = 2}, &session));
    assert_int_equal(crumb_session_run_pixels(session, pixels, COUNT, logits), CRUMB_OK);
    assert_same_reals(logits, wanted, COUNT * 5, "logits of a table's pixels, channels", channels);
    assert_int_equal(crumb_session_run(session, images, COUNT, logits), CRUMB_OK);
    assert_same_reals(logits, wanted, COUNT * 5, "logits of images, channels", channels);
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    free(wanted);
    free(images);
    free(pixels);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

static void pixel_tables(void **state) {
    (void)state;
    for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        for (int32_t channels = 1; channels <= 4; channels++) {
            for (int32_t width = 5; width < 40; width += 17) {
                check_pixel_network(limits[l], channels, width, false, true);
                check_pixel_network(limits[l], channels, width, true, width == 5);
            }
        }
    }
}

/* ---- Memory. */

static void no_allocation_while_running(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 2);
    crumb_packed *packed;
    crumb_plan *plan;
    crumb_session *session;
    assert_ok(ctx, sample_every_op(ctx, 1, &packed));
    assert_ok(ctx, crumb_plan_create(packed, &plan));
    assert_ok(ctx, crumb_session_create(plan, &(crumb_session_options){.threads = 2, .batch = 4, .profile = true}, &session));
    float *images = make_images(packed, 9, 2), logits[45];
    long before = memory.count;
    assert_int_equal(crumb_session_run(session, images, 9, logits), CRUMB_OK);
    assert_int_equal(crumb_session_run(session, images, 1, logits), CRUMB_OK);
    assert_int_equal(memory.count, before);
    double seconds = 0;
    for (int i = 0; i < packed->nodes; i++) {
        seconds += crumb_session_seconds(session, i);
    }
    assert_true(seconds > 0);
    free(images);
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static crumb_status all_of_it(crumb_ctx *ctx, void *user) {
    crumb_packed *packed = NULL;
    crumb_plan *plan = NULL;
    crumb_session *session = NULL;
    crumb_status status = sample_every_op(ctx, 5, &packed);
    if (status == CRUMB_OK) {
        status = crumb_plan_create(packed, &plan);
    }
    if (status == CRUMB_OK) {
        status = crumb_session_create(plan, user, &session);
    }
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    crumb_packed_close(packed);
    return status;
}

static void failing_allocations(void **state) {
    (void)state;
    test_every_allocation(all_of_it, &(crumb_session_options){.threads = 2, .batch = 2});
}

/* The caller's workspace is enough to the byte, and nothing beside it is touched. */
static void own_workspace(void **state) {
    (void)state;
    crumb_ctx *ctx = limited_ctx(NULL, 1);
    crumb_packed *packed;
    crumb_plan *plan;
    crumb_session *session = NULL;
    assert_ok(ctx, sample_every_op(ctx, 1, &packed));
    assert_ok(ctx, crumb_plan_create(packed, &plan));
    float *images = make_images(packed, 5, 2), *wanted = oracle_logits(packed, images, 5), logits[25];
    for (int threads = 1; threads <= 2; threads++) {
        crumb_session_options options = {.threads = threads, .batch = 3};
        size_t bytes = crumb_session_workspace(plan, &options);
        uint8_t *block = aligned_alloc(64, bytes + 128);
        memset(block, 0xa5, bytes + 128);
        options.workspace = block + 64;
        assert_ok(ctx, crumb_session_create(plan, &options, &session));
        assert_int_equal(crumb_session_run(session, images, 5, logits), CRUMB_OK);
        assert_same_reals(logits, wanted, 25, "logits", threads);
        crumb_session_destroy(session);
        for (size_t i = 0; i < 64; i++) {
            assert_int_equal(block[i], 0xa5);
            assert_int_equal(block[64 + bytes + i], 0xa5);
        }
        options.workspace = block + 4;
        assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "aligned", crumb_session_create(plan, &options, &session));
        free(block);
    }
    free(wanted);
    free(images);
    crumb_plan_destroy(plan);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

/* ---- Many sessions of one plan at once. */

typedef struct runner {
    crumb_session *session;
    const float *images, *wanted;
    bool same;
} runner;

static void *run_often(void *given) {
    runner *r = given;
    r->same = true;
    for (int i = 0; i < 20; i++) {
        float logits[IMAGES * 5];
        r->same = crumb_session_run(r->session, r->images, IMAGES, logits) == CRUMB_OK && r->same;
        r->same = r->same && memcmp(logits, r->wanted, sizeof(logits)) == 0;
    }
    return NULL;
}

static void many_sessions(void **state) {
    (void)state;
    enum { SESSIONS = 4 };
    crumb_ctx *ctx = limited_ctx(NULL, 1);
    crumb_packed *packed;
    crumb_plan *plan;
    runner runners[SESSIONS];
    pthread_t thread[SESSIONS];
    assert_ok(ctx, sample_every_op(ctx, 2, &packed));
    assert_ok(ctx, crumb_plan_create(packed, &plan));
    float *images = make_images(packed, IMAGES, 2), *wanted = oracle_logits(packed, images, IMAGES);
    for (int i = 0; i < SESSIONS; i++) {
        crumb_session_options options = {.threads = 1 + i % 2, .batch = 1 + i};
        runners[i] = (runner){.images = images, .wanted = wanted};
        assert_ok(ctx, crumb_session_create(plan, &options, &runners[i].session));
        assert_int_equal(pthread_create(&thread[i], NULL, run_often, &runners[i]), 0);
    }
    for (int i = 0; i < SESSIONS; i++) {
        pthread_join(thread[i], NULL);
        assert_true(runners[i].same);
        crumb_session_destroy(runners[i].session);
    }
    free(wanted);
    free(images);
    crumb_plan_destroy(plan);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op),
        cmocka_unit_test(random_networks),
        cmocka_unit_test(values),
        cmocka_unit_test(pixels),
        cmocka_unit_test(pixel_tables),
        cmocka_unit_test(no_allocation_while_running),
        cmocka_unit_test(failing_allocations),
        cmocka_unit_test(own_workspace),
        cmocka_unit_test(many_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
