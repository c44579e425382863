/* Optimizers against values of PyTorch's documented algorithms, worked out in double by hand for three steps on three weights.
 */
#include "harness.h"

#include "base/param.h"
#include "train/optim.h"

static const float gradients[3][3] = {{0.1f, -0.2f, 0.3f}, {-0.05f, 0.4f, 0.25f}, {0.2f, 0.1f, -0.6f}};

typedef struct optim_case {
    const char *name;
    const char *settings[4]; /* "key=value" */
    double lr, decay;
    double expect[3];
} optim_case;

static const optim_case cases[] = {
    {"sgd", {"momentum=0"}, 0.1, 0, {0.975, -2.03, 0.505}},
    {"sgd", {"momentum=0.9"}, 0.1, 0.01, {0.956827789, -2.020625578, 0.4285363695}},
    {"sgd", {"momentum=0.9", "nesterov=true"}, 0.1, 0.01, {0.933209762551, -2.042611225102, 0.4394614348005}},
    {"adam", {NULL}, 0.01, 0.1, {0.9728278472967621, -1.983983034921308, 0.48006618038251353}},
    {"adamw", {NULL}, 0.01, 0.1, {0.9777811678031988, -1.9918398744602297, 0.47979783208621024}},
};

static const crumb_optimizer *find(const char *name) {
    for (int i = 0; crumb_optimizers[i] != NULL; i++) {
        if (strcmp(crumb_optimizers[i]->name, name) == 0) {
            return crumb_optimizers[i];
        }
    }
    fail_msg("no optimizer %s", name);
    return NULL;
}

static void configure(crumb_ctx *ctx, const optim_case *c, const crumb_optimizer *optimizer, void *params) {
    crumb_params_preset(optimizer->params, params);
    for (int i = 0; i < 4 && c->settings[i] != NULL; i++) {
        char key[64];
        snprintf(key, sizeof(key), "%s", c->settings[i]);
        char *value = strchr(key, '=');
        *value++ = '\0';
        assert_ok(ctx, crumb_param_set(ctx, crumb_param_find(optimizer->params, key), params, value));
    }
}

static void optimizers_match_closed_values(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        const crumb_optimizer *optimizer = find(cases[n].name);
        _Alignas(16) unsigned char params[CRUMB_TRAIN_PARAMS_MAX];
        configure(ctx, &cases[n], optimizer, params);
        float w[3] = {1.0f, -2.0f, 0.5f}, first[3] = {0}, second[3] = {0};
        float *slot[2] = {first, second};
        assert_true(optimizer->slots <= 2);
        for (int t = 0; t < 3; t++) {
            optimizer->step(params, w, gradients[t], slot, 3, cases[n].lr, cases[n].decay, t + 1);
        }
        for (int i = 0; i < 3; i++) {
            if (fabs(w[i] - cases[n].expect[i]) > 4e-7) { /* three float steps from a weight of up to 2 */
                fail_msg("%s case %zu weight %d: %.9g, expected %.9g", cases[n].name, n, i, w[i], cases[n].expect[i]);
            }
        }
    }
    crumb_ctx_destroy(ctx);
}

/* Updates are element by element: any split of a tensor gives the same bits. */
static void splitting_changes_nothing(void **state) {
    (void)state;
    enum { N = 1003 };
    static float w[2][N], g[N], slots[2][2][N];
    for (int row = 0; crumb_optimizers[row] != NULL; row++) {
        const crumb_optimizer *optimizer = crumb_optimizers[row];
        _Alignas(16) unsigned char params[CRUMB_TRAIN_PARAMS_MAX];
        crumb_params_preset(optimizer->params, params);
        memset(slots, 0, sizeof(slots));
        for (int i = 0; i < N; i++) {
            w[0][i] = w[1][i] = sinf((float)i);
            g[i] = cosf(3 * (float)i);
        }
        for (int t = 1; t <= 5; t++) {
            float *whole[2] = {slots[0][0], slots[0][1]};
            optimizer->step(params, w[0], g, whole, N, 0.01, 0.001, t);
            for (int at = 0; at < N; at += 17) {
                float *part[2] = {slots[1][0] + at, slots[1][1] + at};
                optimizer->step(params, w[1] + at, g + at, part, at + 17 < N ? 17 : N - at, 0.01, 0.001, t);
            }
        }
        assert_memory_equal(w[0], w[1], sizeof(w[0]));
        assert_memory_equal(slots[0], slots[1], sizeof(slots[0]));
    }
}

/* Each parameter struct starts with lr and weight_decay: strategies and the trainer rely on it. */
static void tables_start_with_rate_and_decay(void **state) {
    (void)state;
    for (int row = 0; crumb_optimizers[row] != NULL; row++) {
        const crumb_optimizer *optimizer = crumb_optimizers[row];
        assert_true(optimizer->params_size <= CRUMB_TRAIN_PARAMS_MAX);
        assert_int_equal(crumb_param_find(optimizer->params, "lr")->offset, 0);
        assert_int_equal(crumb_param_find(optimizer->params, "weight_decay")->offset, sizeof(double));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optimizers_match_closed_values),
        cmocka_unit_test(splitting_changes_nothing),
        cmocka_unit_test(tables_start_with_rate_and_decay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
