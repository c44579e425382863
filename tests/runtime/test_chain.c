/* The chains that have loops of their own (crumb_chain_patterns), on vectors against plain C: all strips, remainders and
 * places. */
#include "harness.h"

#include "base/rng.h"
#include "runtime/vector.h"

enum { PIXELS = 30, CHANNELS = 100, STRIDE = 112, THRESHOLDS = 3 };

typedef struct bed {
    float a[CHANNELS], b[CHANNELS];
    int32_t threshold[THRESHOLDS * CHANNELS], flip[CHANNELS];
    float operand[PIXELS * CHANNELS];
    float reals[2][PIXELS * CHANNELS];
    uint8_t indices[2][PIXELS * CHANNELS];
    _Alignas(64) float acc[PIXELS * STRIDE];
    crumb_link link[CRUMB_PATTERN_LINKS];
    crumb_chain chain;
} bed;

static void fill(bed *t, int32_t pattern, int32_t channels, uint64_t seed) {
    static const float odd[] = {-0.0f, INFINITY, -INFINITY, NAN, 1e-42f};
    crumb_rng rng = crumb_rng_at(seed, 4, (uint64_t)pattern);
    crumb_link_op first = crumb_chain_patterns[pattern].op[0];
    memset(t, 0, sizeof(*t));
    for (int i = 0; i < CHANNELS; i++) {
        t->a[i] = crumb_rng_normal(&rng) * (first == CRUMB_LINK_SCALE ? 0.01f : 1.0f);
        t->b[i] = crumb_rng_normal(&rng);
        t->flip[i] = crumb_rng_below(&rng, 2) == 0 ? -1 : 0;
    }
    for (int i = 0; i < THRESHOLDS * CHANNELS; i++) {
        t->threshold[i] = (int32_t)crumb_rng_below(&rng, 400) - 200;
    }
    for (int i = 0; i < PIXELS * channels; i++) {
        t->operand[i] = i % 41 < 5 ? odd[i % 41] : crumb_rng_normal(&rng);
    }
    for (int i = 0; i < PIXELS * STRIDE; i++) {
        int32_t sum = (int32_t)crumb_rng_below(&rng, 600) - 300;
        float real = i % 43 < 5 ? odd[i % 43] : crumb_rng_normal(&rng);
        memcpy(&t->acc[i], first == CRUMB_LINK_REAL ? (void *)&real : (void *)&sum, sizeof(real));
    }
}

/* The pattern's links, storing into the `which`-th results. */
static void link_up(bed *t, const crumb_chain_pattern *pattern, int32_t channels, int which) {
    for (int32_t i = 0; i < pattern->links; i++) {
        crumb_link *link = &t->link[i];
        *link = (crumb_link){.op = pattern->op[i],
                             .buffer = -1,
                             .step = 1,
                             .a = t->a,
                             .b = t->b,
                             .threshold = t->threshold,
                             .flip = t->flip,
                             .thresholds = THRESHOLDS,
                             .inverse = 3.0f,
                             .lo = -4.0f,
                             .hi = 11.0f,
                             .height = PIXELS / 5,
                             .width = 5,
                             .channels = channels};
        bool index = link->op == CRUMB_LINK_STORE_INDEX;
        if (index || link->op == CRUMB_LINK_STORE || link->op == CRUMB_LINK_ADD) {
            link->buffer = 0;
            link->pixel = (size_t)channels * (index ? 1 : sizeof(float));
            link->base = index                        ? t->indices[which]
                         : link->op == CRUMB_LINK_ADD ? (uint8_t *)t->operand
                                                      : (uint8_t *)t->reals[which];
        }
    }
    t->chain = (crumb_chain){.link = t->link, .links = pattern->links, .height = PIXELS / 5, .width = 5, .channels = channels};
    t->chain.pattern = crumb_chain_find(&t->chain);
}

static void check(const crumb_vector *vector, int32_t pattern, int32_t channels, int32_t pixel, int32_t pixels, int32_t o) {
    static bed t;
    const crumb_chain_pattern *links = &crumb_chain_patterns[pattern];
    fill(&t, pattern, channels, (uint64_t)(channels * 31 + pixels));
    link_up(&t, links, channels, 0);
    assert_int_equal(t.chain.pattern, pattern);
    crumb_chain_run(&t.chain, pixel, pixels, o, channels - o, t.acc, STRIDE);
    link_up(&t, links, channels, 1);
    vector->chain(&t.chain, pixel, pixels, o, channels - o, t.acc, STRIDE);
    for (int i = 0; i < PIXELS * channels; i++) { /* the bits of one NaN are those of another */
        bool nan = isnan(t.reals[0][i]) && isnan(t.reals[1][i]);
        assert_true(nan || memcmp(&t.reals[0][i], &t.reals[1][i], sizeof(float)) == 0);
    }
    assert_memory_equal(t.indices[0], t.indices[1], sizeof(t.indices[0]));
}

static void patterns(void **state) {
    (void)state;
    static const char *const limits[] = {"avx2", NULL};
    for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        crumb_ctx *ctx = NULL;
        crumb_settings settings = {.threads = 1, .cpu_limit = limits[l]};
        assert_int_equal(crumb_ctx_create(&ctx, &settings), CRUMB_OK);
        for (int32_t p = 0; p < CRUMB_PATTERNS; p++) {
            for (int32_t pixels = 1; pixels <= 10; pixels++) {
                check(crumb_vector_pick(ctx), p, 16, 3, pixels, 0);
                check(crumb_vector_pick(ctx), p, 64, 30 - pixels, pixels, 32);
                check(crumb_vector_pick(ctx), p, 100, 7, pixels, 16);
                check(crumb_vector_pick(ctx), p, 7, 1, pixels, 0);
            }
        }
        crumb_ctx_destroy(ctx);
    }
}

/* What has other operands is no pattern. */
static void others(void **state) {
    (void)state;
    static bed t;
    for (int32_t p = 0; p < CRUMB_PATTERNS; p++) {
        for (int32_t i = 0; i < crumb_chain_patterns[p].links; i++) {
            link_up(&t, &crumb_chain_patterns[p], 32, 0);
            if (t.link[i].buffer >= 0) {
                t.link[i].channels = 16;
                assert_int_equal(crumb_chain_find(&t.chain), CRUMB_PATTERNS);
                t.link[i].channels = 32;
                t.chain.steps = true;
                assert_int_equal(crumb_chain_find(&t.chain), CRUMB_PATTERNS);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),
        cmocka_unit_test(others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
