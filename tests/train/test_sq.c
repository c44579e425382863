/* SQ: how many rows and which, against the stated probabilities and a roulette written as the paper has it; that ratio 1 is the
 * plain run; that every way to run a network heeds a mask. */
#include "fixture.h"

#include "quant/site.h"

static crumb_ctx *ctx;

/* ---- A strategy behind sq that counts which rows of fc1 are quantized. Its weights stay as set: the learning rate is 0. */

enum { ROWS = 16, SIZE = FIXTURE_SIDE * FIXTURE_SIDE, STAGES = 4 };

typedef struct seen {
    int64_t steps[STAGES], quantized[STAGES][ROWS], least[STAGES], most[STAGES], changes[STAGES];
    int64_t plain[STAGES]; /* steps without a mask */
    bool elements;
    uint8_t last[ROWS * SIZE];
} seen;

static seen now;

static int fc1_of(const crumb_trainer *trainer) {
    return fixture_first_site(trainer->network);
}

/* BWN's alpha of a row whose magnitudes are 1 - t and 1 + t, half each, is 1, and its error t. */
static double error_of_row(int row) {
    return 0.45 + 0.3 * row / (ROWS - 1);
}

static crumb_status set_rows(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    float *w = trainer->network->value[fixture_first_weight(trainer->network)].data;
    for (int i = 0; i < ROWS * SIZE; i++) {
        double t = error_of_row(i / SIZE);
        w[i] = (float)((i % 2 ? 1 - t : 1 + t) * (i / 2 % 2 ? -1 : 1));
    }
    assert_null(crumb_node_site(trainer->network, fc1_of(trainer))->mask); /* what comes first is not masked */
    return CRUMB_OK;
}

static crumb_status count_rows(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    const crumb_quant *site = crumb_node_site(trainer->network, fc1_of(trainer));
    int stage = trainer->phase;
    int64_t units = now.elements ? ROWS * SIZE : ROWS, chosen = 0;
    bool first = now.steps[stage]++ == 0;
    if (site->mask == NULL) {
        now.plain[stage]++;
        return CRUMB_OK;
    }
    assert_int_equal(site->mask_elements, now.elements);
    for (int64_t i = 0; i < units; i++) {
        assert_true(site->mask[i] < 2);
        chosen += site->mask[i];
        now.quantized[stage][now.elements ? i / SIZE : i] += site->mask[i];
    }
    now.changes[stage] += !first && memcmp(now.last, site->mask, (size_t)units) != 0;
    now.least[stage] = first || chosen < now.least[stage] ? chosen : now.least[stage];
    now.most[stage] = first || chosen > now.most[stage] ? chosen : now.most[stage];
    memcpy(now.last, site->mask, (size_t)units);
    return CRUMB_OK;
}

static const crumb_strategy counter = {
    .name = "counter", .doc = "counts rows", .source = "tests", .begin_phase = set_rows, .before_forward = count_rows};

/* Runs sq with its parameters for `epochs` epochs of 64 steps, and counts. */
static void count(const char *parameters, int epochs, bool elements) {
    char strategies[256], train[128];
    crumb_recipe *recipe;
    snprintf(strategies, sizeof(strategies), "strategies=[{name: sq, %s}]", parameters);
    snprintf(train, sizeof(train),
             "epochs: %d, seed: 11, evaluate_every: 1000000, schedule: constant, "
             "optimizer: {name: sgd, lr: 0, momentum: 0, weight_decay: 0}",
             epochs);
    const char *const overrides[] = {strategies, "train.batch=4", NULL};
    assert_ok(ctx, fixture_recipe(ctx, "{name: mlp, hidden: [16]}", "{weights: {name: bwn}}", train, overrides, &recipe));
    recipe->strategy[recipe->strategies++].strategy = &counter;
    now = (seen){.elements = elements};
    assert_ok(ctx, crumb_train(recipe, NULL, NULL));
    crumb_recipe_free(recipe);
}

/* ---- The roulette as the paper and the authors' program describe it: shares of draws in which each row was drawn. */

static void roulette(const double *p, int draws, double share[ROWS]) {
    enum { TRIES = 200000 };
    crumb_rng rng = crumb_rng_at(9, 8, 7);
    memset(share, 0, ROWS * sizeof(*share));
    for (int n = 0; n < TRIES; n++) {
        double left[ROWS], sum = 0;
        memcpy(left, p, sizeof(left));
        for (int i = 0; i < ROWS; i++) {
            sum += left[i];
        }
        for (int d = 0; d < draws; d++) {
            double v = (1 - (double)crumb_rng_uniform(&rng)) * sum, run = 0;
            int j = -1;
            for (int i = 0; i < ROWS && run < v; i++) {
                run += left[i];
                j = left[i] > 0 ? i : j; /* no sum reaches v: the last one there is */
            }
            share[j] += 1.0 / TRIES;
            sum -= left[j];
            left[j] = 0;
        }
    }
}

static double probability(const char *name, double x) {
    return strcmp(name, "linear") == 0    ? x
           : strcmp(name, "softmax") == 0 ? exp(x)
           : strcmp(name, "sigmoid") == 0 ? 1 / (1 + exp(-x))
                                          : 1;
}

/* Shares of STEPS draws have a standard error of at most 0.5 / sqrt(STEPS) = 0.0056; four of them, for 16 rows at a time. */
enum { EPOCHS = 125, STEPS = 64 * EPOCHS };
static const double tolerance = 0.0225;

static void check_shares(const char *rule, const char *odds) {
    char parameters[200];
    double p[ROWS], share[ROWS], worst = 0;
    static const double ratios[3] = {0.5, 0.75, 0.875};
    bool code = strcmp(rule, "code") == 0;
    snprintf(parameters, sizeof(parameters), "epochs: each, rule: %s, probability: %s", rule, odds);
    count(parameters, EPOCHS, false);
    for (int stage = 0; stage < 3; stage++) {
        int floats = (int)((1 - ratios[stage]) * ROWS);
        for (int i = 0; i < ROWS; i++) {
            p[i] = probability(odds, code ? error_of_row(i) : 1 / (error_of_row(i) + 1e-7));
        }
        roulette(p, code ? floats : ROWS - floats, share);
        assert_int_equal(now.steps[stage], STEPS);
        assert_true(now.least[stage] == ROWS - floats && now.most[stage] == ROWS - floats);
        for (int i = 0; i < ROWS; i++) {
            double found = (double)now.quantized[stage][i] / STEPS, wanted = code ? 1 - share[i] : share[i];
            worst = fmax(worst, fabs(found - wanted));
        }
    }
    assert_int_equal(now.plain[3], STEPS); /* everything: no mask at all */
    print_message("rule %s, %s: shares at most %.4f from the roulette's\n", rule, odds, worst);
    assert_true(worst < tolerance);
}

/* Shares of the best and the worst row, as simulated for the methods' comparison. */
static void rows_are_chosen_as_often_as_stated(void **state) {
    (void)state;
    static const double stated[2][3][2] = {{{0.600, 0.418}, {0.839, 0.665}, {0.937, 0.813}},
                                           {{0.592, 0.415}, {0.805, 0.693}, {0.906, 0.843}}};
    static const char *const rules[] = {"paper", "code"};
    for (int rule = 0; rule < 2; rule++) {
        check_shares(rules[rule], "linear");
        for (int stage = 0; stage < 3; stage++) {
            double best = (double)now.quantized[stage][0] / STEPS, least = (double)now.quantized[stage][ROWS - 1] / STEPS;
            assert_true(fabs(best - stated[rule][stage][0]) < tolerance);
            assert_true(fabs(least - stated[rule][stage][1]) < tolerance);
        }
    }
}

static void every_probability(void **state) {
    (void)state;
    check_shares("paper", "constant");
    check_shares("paper", "softmax");
    check_shares("code", "softmax");
    check_shares("paper", "sigmoid");
    check_shares("code", "sigmoid");
}

/* ---- Partitions, counts. */

static void deterministic_takes_the_least_errors(void **state) {
    (void)state;
    static const char *const rules[] = {"partition: deterministic, epochs: each",
                                        "partition: deterministic, epochs: each, rule: code"};
    for (int rule = 0; rule < 2; rule++) {
        count(rules[rule], 1, false);
        static const int quantized[3] = {8, 12, 14};
        for (int stage = 0; stage < 3; stage++) {
            for (int i = 0; i < ROWS; i++) {
                assert_int_equal(now.quantized[stage][i], i < quantized[stage] ? 64 : 0);
            }
        }
    }
}

static void fixed_stays_for_a_stage(void **state) {
    (void)state;
    count("partition: fixed, epochs: each", 1, false);
    for (int stage = 0; stage < 3; stage++) {
        assert_true(now.steps[stage] == 64 && now.changes[stage] == 0 && now.plain[stage] == 0);
    }
    assert_int_equal(now.most[0], 8);
    count("epochs: each", 1, false); /* and stochastic does not */
    assert_true(now.changes[0] > 60 && now.changes[2] > 50);
}

/* The number that stays in float is int((1 - r) m), but for the binary fractions: (1 - 0.8) 10 is 2. */
static void counts(void **state) {
    (void)state;
    count("ratios: [0.9, 0.8, 0.3, 1], epochs: each", 1, false);
    assert_true(now.least[0] == 15 && now.most[0] == 15);
    assert_true(now.least[1] == 13 && now.least[2] == 5 && now.most[2] == 5);
    count("schedule: ave, ratios: [0, 0.5, 0.95, 1], epochs: each", 1, false); /* own ratios come before the schedule's */
    assert_true(now.most[0] == 0 && now.plain[0] == 0);
    assert_true(now.least[1] == 8 && now.least[2] == 16);
    count("select: elements, ratios: [0.8, 0.123, 1], epochs: each", 1, true);
    assert_true(now.least[0] == 1024 - 204 && now.most[0] == 1024 - 204);
    assert_true(now.least[1] == 1024 - 898 && now.most[1] == 1024 - 898);
    assert_int_equal(now.plain[2], 64);
}

/* An element's error is |w - q| / |w|, here t / (1 + t) for the larger half, t / (1 - t) for the smaller. */
static void elements_with_small_errors_come_first(void **state) {
    (void)state;
    count("select: elements, partition: deterministic, ratios: [0.5, 1], epochs: each", 1, true);
    int64_t large = 0, small = 0;
    for (int i = 0; i < ROWS * SIZE; i++) {
        *(i % 2 ? &small : &large) += now.last[i];
    }
    assert_true(large == 512 && small == 0);
}

/* ---- Ratio 1, and masks of ones, are the plain run. */

static double losses[64];
static int recorded;

static crumb_status record(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    losses[recorded++ % 64] = *crumb_exec_value(trainer->exec, trainer->loss);
    return CRUMB_OK;
}

static uint8_t ones[1 << 12];

static crumb_status mask_with_ones(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    for (int i = 0; i < trainer->network->nodes; i++) {
        crumb_quant *site = crumb_node_weight_site(trainer->network, i);
        if (site != NULL) {
            site->mask = ones;
        }
    }
    return CRUMB_OK;
}

static const crumb_strategy recorder = {.name = "recorder", .doc = "records losses", .source = "tests", .after_step = record};
static const crumb_strategy masker = {
    .name = "masker", .doc = "masks of ones", .source = "tests", .before_forward = mask_with_ones};

static crumb_train_result trace(const char *quantize, const char *strategies, bool masked, double out[64]) {
    crumb_recipe *recipe;
    crumb_train_result result;
    const char *const overrides[] = {strategies, NULL};
    assert_ok(ctx, fixture_recipe(ctx, FIXTURE_RESNET, quantize, "epochs: 2, seed: 2, optimizer: {name: sgd, lr: 0.02}",
                                  overrides, &recipe));
    recipe->strategy[recipe->strategies++].strategy = &recorder;
    if (masked) {
        recipe->strategy[recipe->strategies++].strategy = &masker;
    }
    memset(losses, 0, sizeof(losses));
    recorded = 0;
    assert_ok(ctx, crumb_train(recipe, NULL, &result));
    memcpy(out, losses, sizeof(losses));
    crumb_recipe_free(recipe);
    return result;
}

static void ratio_one_is_the_plain_run(void **state) {
    (void)state;
    static const char *const quantize[] = {"{weights: {name: bwn}}", FIXTURE_W2A2};
    double plain[64], one[64], masked[64], half[64];
    memset(ones, 1, sizeof(ones));
    for (int i = 0; i < 2; i++) {
        crumb_train_result a = trace(quantize[i], NULL, false, plain);
        crumb_train_result b = trace(quantize[i], "strategies=[{name: sq, ratios: [1]}]", false, one);
        crumb_train_result c = trace(quantize[i], NULL, true, masked);
        crumb_train_result d = trace(quantize[i], "strategies=[{name: sq, ratios: [0.5, 1]}]", false, half);
        assert_memory_equal(plain, one, sizeof(plain));
        assert_memory_equal(plain, masked, sizeof(plain));
        assert_true(a.val_loss == b.val_loss && a.val_loss == c.val_loss);
        assert_true(plain[0] != half[0] && a.epochs == d.epochs);
    }
}

/* ---- Every way to run a network heeds a mask. */

static void fill(crumb_exec *exec, const crumb_graph *graph) {
    crumb_shape shape = crumb_exec_shape(exec, graph->image);
    test_fill_normal(crumb_exec_value(exec, graph->image), crumb_shape_count(shape), 1, 5);
}

/* Logits of a plan; training: with batch statistics. */
static void logits_of(crumb_graph *graph, bool reference, bool training, float out[4 * 10]) {
    crumb_exec *exec;
    crumb_exec_options options = {.batch = 4, .backward = training, .reference = reference};
    assert_ok(ctx, crumb_exec_create(graph, &options, &exec));
    fill(exec, graph);
    crumb_exec_forward(exec, training, 1, 1);
    memcpy(out, crumb_exec_value(exec, graph->logits), 40 * sizeof(float));
    crumb_exec_destroy(exec);
}

static double distance(const float *a, const float *b) {
    double worst = 0;
    for (int i = 0; i < 40; i++) {
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    }
    return worst;
}

static void every_plan_heeds_a_mask(void **state) {
    (void)state;
    const crumb_model *model = crumb_model_find("resnet20");
    crumb_quant_policy policy = {0};
    crumb_graph *plain, *graph;
    float floats[40], quantized[40], mixed[40], other[40];
    uint8_t mask[64] = {0};
    assert_ok(ctx, crumb_quant_choose(ctx, "twn", true, 2, &policy.weights));
    assert_ok(ctx, crumb_model_build(ctx, model, NULL, CRUMB_SHAPE(1, 32, 32, 3), 10, 3, &plain));
    assert_ok(ctx, crumb_graph_quantize(plain, &policy, &graph));
    for (int training = 0; training < 2; training++) {
        logits_of(plain, false, training, floats);
        logits_of(graph, false, training, quantized);
        assert_true(distance(floats, quantized) > 1e-2);
        for (int on = 0; on < 2; on++) { /* all zero, then every other row */
            for (int i = 0; i < 64; i++) {
                mask[i] = on && i % 2;
            }
            for (int i = 0; i < graph->nodes; i++) {
                crumb_quant *site = crumb_node_weight_site(graph, i);
                if (site != NULL) {
                    site->mask = mask;
                }
            }
            logits_of(graph, false, training, mixed);
            logits_of(graph, true, training, other);
            assert_true(distance(mixed, other) < 1e-3);
            assert_true(on ? distance(mixed, floats) > 1e-2 && distance(mixed, quantized) > 1e-2
                           : distance(mixed, floats) == 0);
        }
        for (int i = 0; i < graph->nodes; i++) {
            if (crumb_node_weight_site(graph, i) != NULL) {
                crumb_node_weight_site(graph, i)->mask = NULL;
            }
        }
        logits_of(graph, false, training, other);
        assert_true(distance(other, quantized) == 0);
    }
    crumb_graph_destroy(graph);
    crumb_graph_destroy(plain);
}

/* ---- Errors of normal rows: closed forms. */

static void errors_of_normal_rows(void **state) {
    (void)state;
    enum { COUNT = 1 << 20 };
    static const char *const names[] = {"bwn", "twn"};
    static const double expected[] = {0.60549, 0.43496};
    for (int i = 0; i < 2; i++) {
        test_site *t = test_site_make(ctx, names[i], true, 1 + i, CRUMB_SHAPE(1, COUNT));
        double difference = 0, sum = 0;
        test_fill_normal(t->x, COUNT, 1, 3);
        test_site_forward(t, true);
        for (int k = 0; k < COUNT; k++) {
            difference += fabs((double)t->x[k] - (double)t->y[k]);
            sum += fabs((double)t->x[k]);
        }
        assert_true(fabs(difference / sum - expected[i]) < 2e-3); /* a standard error is 1 / sqrt(COUNT) = 0.001 at most */
        test_site_free(t);
    }
}

/* ---- What is refused; what is reported. */

static void refuse(const char *quantize, const char *strategies, const char *message) {
    fixture_refuses(ctx, quantize, "epochs: 3", strategies, message);
}

static void refusals(void **state) {
    (void)state;
    const char *bwn = "{weights: {name: bwn}}";
    refuse("none", "strategies=[sq]", "strategy sq: no phase quantizes weights");
    refuse("{activations: {name: lsq, bits: 2}}", "strategies=[sq]", "no phase quantizes weights");
    refuse(bwn, "strategies=[{name: sq, ratios: [0.5, 0.9]}]", "the last one is 0.9");
    refuse(bwn, "strategies=[sq]", "3 epochs are too few for 4 stages");
    refuse(bwn, "strategies=[{name: sq, schedule: tune, epochs: each}]", "model.init names none");
}

static double mixed_top1;
static int mixed_figures;

static void note(void *user, const char *name, double value) {
    (void)user;
    mixed_figures++;
    mixed_top1 = strcmp(name, "sq.50_mixed_top1") == 0 ? value : mixed_top1;
}

static void mixed_networks_are_measured(void **state) {
    (void)state;
    crumb_recipe *recipe;
    const char *const overrides[] = {"strategies=[{name: sq, ratios: [0.5, 0.5, 1], epochs: each}]", NULL};
    assert_ok(ctx, fixture_recipe(ctx, FIXTURE_MLP, "{weights: {name: twn}}", "epochs: 3, optimizer: {name: sgd, lr: 0.05}",
                                  overrides, &recipe));
    crumb_train_options options = {.figure = note};
    assert_ok(ctx, crumb_train(recipe, &options, NULL));
    assert_int_equal(mixed_figures, 2);
    assert_true(mixed_top1 > 60); /* four classes */
    crumb_recipe_free(recipe);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_chosen_as_often_as_stated),
        cmocka_unit_test(every_probability),
        cmocka_unit_test(deterministic_takes_the_least_errors),
        cmocka_unit_test(fixed_stays_for_a_stage),
        cmocka_unit_test(counts),
        cmocka_unit_test(elements_with_small_errors_come_first),
        cmocka_unit_test(ratio_one_is_the_plain_run),
        cmocka_unit_test(every_plan_heeds_a_mask),
        cmocka_unit_test(errors_of_normal_rows),
        cmocka_unit_test(refusals),
        cmocka_unit_test(mixed_networks_are_measured),
    };
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}) != CRUMB_OK) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    crumb_ctx_destroy(ctx);
    fixture_remove(fixture_data());
    return failed;
}
