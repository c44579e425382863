/* WaveQ: one step of a width against the formula, widths that fall, are rounded, stay, and are told by the saved network. */
#include "strategy_probe.h"

#include "formats/safetensors.h"

static crumb_ctx *ctx;

#define DOREFA "{weights: {name: dorefa, bits: 3}}"
#define SGD "epochs: 5, seed: 2, optimizer: {name: sgd, lr: 0.02}, schedule: constant"

/* ---- Runs. */

typedef struct figures {
    int count;
    char name[64][64];
    double value[64];
} figures;

static void note(void *user, const char *name, double value) {
    figures *f = user;
    int at = 0;
    while (at < f->count && strcmp(f->name[at], name) != 0) {
        at++;
    }
    assert_true(at < 64);
    f->count += at == f->count;
    snprintf(f->name[at], sizeof(f->name[at]), "%s", name);
    f->value[at] = value;
}

static double figure(const figures *f, const char *name) {
    for (int i = 0; i < f->count; i++) {
        if (strcmp(f->name[i], name) == 0) {
            return f->value[i];
        }
    }
    fail_msg("no figure %s", name);
    return NAN;
}

/* What the sites had at each step: bits of the first two layers. */
enum { STEPS_MAX = 200 };
static int bits_seen[STEPS_MAX][2], steps_seen;
static double extra_seen[STEPS_MAX];

static crumb_status watch(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    int found = 0;
    for (int i = 0; i < trainer->network->nodes && found < 2; i++) {
        const crumb_quant *site = crumb_node_site(trainer->network, i);
        if (site != NULL && site->weight && steps_seen < STEPS_MAX) {
            bits_seen[steps_seen][found++] = site->bits;
        }
    }
    extra_seen[steps_seen] = trainer->epoch_extra / (double)trainer->epoch_seen;
    steps_seen++;
    return CRUMB_OK;
}

static const crumb_strategy watcher = {.name = "watcher", .doc = "", .source = "tests", .after_step = watch};

static crumb_status train(const char *quantize, const char *settings, const char *strategies, const char *folder, figures *f,
                          crumb_train_result *result) {
    char setting[512];
    crumb_recipe *recipe;
    snprintf(setting, sizeof(setting), "strategies=%s", strategies);
    assert_ok(ctx, fixture_recipe(ctx, FIXTURE_MLP, quantize, settings, (const char *const[]){setting, NULL}, &recipe));
    recipe->strategy[recipe->strategies++].strategy = &watcher;
    steps_seen = 0;
    crumb_train_options options = {.out = folder, .figure = f != NULL ? note : NULL, .user = f};
    crumb_status status = crumb_train(recipe, &options, result);
    crumb_recipe_free(recipe);
    return status;
}

/* ---- One step. */

/* R1 and its cost: db = s 2^-b (dmean/db - ln 2 mean) + s_b; plain SGD with a zero buffer moves b by -lr db. */
static void one_step_of_a_width(void **state) {
    (void)state;
    for (int power = 0; power <= 2; power++) {
        char setting[256];
        snprintf(
            setting, sizeof(setting),
            "strategies=[{name: waveq, strength: 1.5, centre: 0, width: 1, bits_strength: 0.03, start: 4, rate: 7, power: %d}]",
            power);
        probe p = probe_open(ctx, DOREFA, (const char *const[]){setting, NULL});
        crumb_strategy_run *run = &p.trainer->strategy[0];
        probe_normal(&p, 0.3);
        assert_ok(ctx, run->strategy->begin_phase(run, p.trainer));
        assert_int_equal(crumb_node_site(p.trainer->network, p.node)->bits, 4);
        probe_look(&p);
        crumb_sine_term term;
        assert_true(crumb_sine_add(p.trainer, p.node, &(crumb_sine){.bits = 4}, 0, &term));
        double strength = 1.5 * 0.5, extra = 0, share = exp2(-4.0 * power); /* the rise is at its middle */
        double wanted = strength * share * (term.slope - power * log(2) * term.mean) + 0.03;
        assert_ok(ctx, run->strategy->add_gradient(run, p.trainer, &extra));
        double one = strength * share * term.mean + 0.03 * 4;
        assert_true(extra > one && extra < one + strength + 0.03 * 4 + 1e-6); /* the second layer adds its own */
        p.trainer->rate = 0.01;
        p.trainer->total_step = p.trainer->step = p.trainer->optimizer_step = 1;
        assert_string_equal(run->tensor[0].name, "fc1.weight_quant");
        assert_ok(ctx, run->strategy->after_step(run, p.trainer));
        assert_true(fabs((double)run->tensor[0].data[0] - (4 - 0.07 * wanted)) < 1e-5);
        assert_int_equal(crumb_node_site(p.trainer->network, p.node)->bits, wanted > 0 ? 4 : 5);
        probe_close(&p);
    }
}

static void the_cost_is_the_sum_of_widths(void **state) {
    (void)state;
    crumb_train_result result;
    assert_ok(ctx, train(DOREFA, SGD, "[{name: waveq, strength: 0, bits_strength: 0.5, start: 6, rate: 0, frozen: 0}]", NULL,
                         NULL, &result));
    assert_true(fabs(extra_seen[0] - 0.5 * 12) < 1e-6 && bits_seen[steps_seen - 1][0] == 6);
    assert_ok(ctx,
              train(DOREFA, SGD,
                    "[{name: waveq, strength: 0, bits_strength: 0.5, bits_profile: hump, centre: 0.3, bits_end: 0.6, width: "
                    "0.01, start: 6, rate: 0, frozen: 0}]",
                    NULL, NULL, &result));
    /* Means over epochs of 8 steps: the first is before the hump, which goes from step 12 to 24, the third in it but for the
     * last step's (1 + tanh -2.5) / 2 = 0.007 of 6 over 8, the fifth behind. */
    assert_true(extra_seen[7] < 1e-6 && fabs(extra_seen[23] - 6) < 0.006 && extra_seen[39] < 1e-6);
}

/* ---- Whole runs. */

static void same_params(const char *a, const char *b) {
    crumb_safetensors *x, *y;
    assert_ok(ctx, crumb_safetensors_open(ctx, fixture_path(a, "last.safetensors"), &x));
    assert_ok(ctx, crumb_safetensors_open(ctx, fixture_path(b, "last.safetensors"), &y));
    assert_int_equal(crumb_safetensors_count(x), crumb_safetensors_count(y));
    for (int i = 0; i < crumb_safetensors_count(x); i++) {
        crumb_safetensor tensor = crumb_safetensors_at(x, i);
        int other = crumb_safetensors_find(y, tensor.name);
        assert_true(other >= 0);
        assert_memory_equal(tensor.data, crumb_safetensors_at(y, other).data, tensor.bytes);
    }
    crumb_safetensors_close(x);
    crumb_safetensors_close(y);
}

/* Nothing pulls and nothing costs: the plain run's bits, also with an optimizer that divides by the gradient's size. */
static void nothing_changes_nothing(void **state) {
    (void)state;
    static const char *const settings[] = {SGD, "epochs: 3, optimizer: {name: adam, lr: 0.01}"};
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        char plain[128], folder[128];
        crumb_train_result a, b;
        snprintf(plain, sizeof(plain), "%s", test_folder());
        snprintf(folder, sizeof(folder), "%s", test_folder());
        assert_ok(ctx, train(DOREFA, settings[i], "[]", plain, NULL, &a));
        assert_ok(ctx,
                  train(DOREFA, settings[i], "[{name: waveq, strength: 0, bits_strength: 0, start: 0}]", folder, NULL, &b));
        same_params(plain, folder);
        assert_true(a.val_loss == b.val_loss && b.weight_bits == 3);
        fixture_remove(plain);
        fixture_remove(folder);
    }
}

/* The network in a file has the learned bits, and on the test set the accuracy that the run told. */
static void check_network(const char *folder, const char *name, const figures *f, double top1) {
    crumb_network *network;
    crumb_dataset *dataset;
    crumb_layer_info layer;
    crumb_evaluation evaluation;
    char data[200];
    assert_ok(ctx, crumb_network_open(ctx, fixture_path(folder, name), &network));
    for (int i = 0; crumb_network_layer(network, i, &layer); i++) {
        char figure_name[64];
        snprintf(figure_name, sizeof(figure_name), "waveq.width.%s", layer.name);
        assert_int_equal(layer.weight_bits, (int)figure(f, figure_name));
    }
    snprintf(data, sizeof(data), "idx:%s:test", fixture_data());
    assert_ok(ctx, crumb_dataset_open(ctx, data, 0, &dataset));
    assert_ok(ctx, crumb_evaluate(network, dataset, NULL, &evaluation));
    assert_true(evaluation.top1 == top1);
    crumb_dataset_close(dataset);
    crumb_network_close(network);
}

static void widths_fall_freeze_and_are_told(void **state) {
    (void)state;
    char folder[128];
    figures f = {0};
    crumb_train_result result;
    snprintf(folder, sizeof(folder), "%s", test_folder());
    assert_ok(ctx, train(DOREFA, SGD, "[{name: waveq, bits_strength: 0.5, centre: 0.1, frozen: 0.4}]", folder, &f, &result));
    assert_int_equal(steps_seen, 40);
    double first = figure(&f, "waveq.width.fc1"), second = figure(&f, "waveq.width.fc2");
    assert_true(first == rint(first) && second == rint(second) && first < 8 && second < 8 && first >= 1);
    for (int layer = 0; layer < 2; layer++) {
        assert_int_equal(bits_seen[0][layer], 8);
        for (int step = 1; step < 40; step++) {
            assert_true(step < 24 || bits_seen[step][layer] == bits_seen[23][layer]);
        }
        assert_int_equal(bits_seen[39][layer], (int)(layer == 0 ? first : second));
    }
    assert_true(fabs(figure(&f, "waveq.mean_bits") - (768 * first + 48 * second) / 816) <
                1e-9); /* 64 x 12 and 12 x 4 weights */
    check_network(folder, "last.safetensors", &f, result.val_top1);
    check_network(folder, "best.safetensors", &f, result.best_top1); /* the best of these bits */
    fixture_remove(folder);
}

/* Widths stay between `least`, or what the quantizer can do, and 8; edges and rules keep what the policy says. */
static void widths_have_bounds(void **state) {
    (void)state;
    static const struct {
        const char *quantize, *strategy;
        int bits[2];
    } cases[] = {
        {DOREFA, "[{name: waveq, bits_strength: 50}]", {1, 1}},
        {DOREFA, "[{name: waveq, bits_strength: 50, least: 3}]", {3, 3}},
        {"{weights: {name: lsq, bits: 4}}", "[{name: waveq, bits_strength: 50}]", {2, 2}},
        {"{weights: {name: dorefa, bits: 3}, first: 8bit}", "[{name: waveq, bits_strength: 50}]", {8, 1}},
        {"{weights: {name: dorefa, bits: 3}, layers: [{match: fc2, weights: {name: dorefa, bits: 5}}]}",
         "[{name: waveq, bits_strength: 50}]",
         {1, 5}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        crumb_train_result result;
        assert_ok(ctx, train(cases[i].quantize, SGD, cases[i].strategy, NULL, NULL, &result));
        assert_int_equal(bits_seen[steps_seen - 1][0], cases[i].bits[0]);
        assert_int_equal(bits_seen[steps_seen - 1][1], cases[i].bits[1]);
    }
}

static void other_quantizers_are_refused(void **state) {
    (void)state;
    crumb_train_result result;
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "strategy waveq: the levels of quantizer twn are not equally spaced",
                 train("{weights: {name: twn}}", SGD, "[waveq]", NULL, NULL, &result));
}

static int setup(void **state) {
    (void)state;
    fixture_data();
    return crumb_ctx_create(&ctx, &(crumb_settings){.threads = 2});
}

static int teardown(void **state) {
    (void)state;
    crumb_ctx_destroy(ctx);
    fixture_remove(fixture_data());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step_of_a_width),     cmocka_unit_test(the_cost_is_the_sum_of_widths),
        cmocka_unit_test(nothing_changes_nothing), cmocka_unit_test(widths_fall_freeze_and_are_told),
        cmocka_unit_test(widths_have_bounds),      cmocka_unit_test(other_quantizers_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
