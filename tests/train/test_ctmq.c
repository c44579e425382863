/* CTMQ: the timeline cut up exactly, what each step quantizes, what it takes over, what is measured. */
#include "fixture.h"

static crumb_ctx *ctx;

#define CTMQ_W1A1 "{weights: {name: ctmq, bits: 1}, activations: {name: ctmq, bits: 1}, first: float, last: float}"

static crumb_recipe *make(const char *model, const char *quantize, const char *strategies, int64_t epochs) {
    char setting[512], settings[160];
    crumb_recipe *recipe;
    snprintf(setting, sizeof(setting), "strategies=%s", strategies);
    snprintf(settings, sizeof(settings), "epochs: %d, seed: 2, optimizer: {name: adam, lr: 0.01, weight_decay: 0.5}",
             (int)epochs);
    assert_ok(ctx, fixture_recipe(ctx, model, quantize, settings, (const char *const[]){setting, NULL}, &recipe));
    return recipe;
}

/* ---- The timeline. */

/* Whatever the shares and the number of epochs: they sum to the whole, and no step is more than one epoch off its share. */
static void epochs_sum_to_the_whole(void **state) {
    (void)state;
    static const char *const strategies[] = {"[{name: ctmq}]", "[{name: ctmq, cycles: 3, shares: [3, 1, 1, 1, 2.5]}]",
                                             "[{name: ctmq, cycles: 3, restart: 2, shares: [10, 1, 1, 1, 4]}]"};
    static const double shares[3][5] = {{1, 1, 1, 1, 1}, {3, 1, 1, 1, 2.5}, {10, 1, 1, 1, 4}};
    static const double totals[3] = {10, 3 * 8.5, 17 + 5 + 5};
    crumb_timeline *timeline = crumb_alloc(ctx, 1, sizeof(*timeline));
    for (int s = 0; s < 3; s++) {
        for (int64_t epochs = 30; epochs < 71; epochs++) {
            crumb_recipe *recipe = make(FIXTURE_MLP, CTMQ_W1A1, strategies[s], epochs);
            assert_ok(ctx, crumb_recipe_phases(recipe, timeline));
            assert_int_equal(timeline->phases, s == 0 ? 10 : s == 1 ? 15 : 9);
            int64_t sum = 0;
            for (int i = 0; i < timeline->phases; i++) {
                int place = timeline->phase[i].tag[0] - 1;
                double wanted = (double)epochs * shares[s][place % 5] / totals[s];
                assert_true(fabs((double)timeline->phase[i].epochs - wanted) <= 1);
                sum += timeline->phase[i].epochs;
            }
            assert_int_equal(sum, epochs);
            crumb_recipe_free(recipe);
        }
    }
    crumb_free(ctx, timeline);
}

/* Bits of weights and activations together; float steps without rules; rates and decays of a step. */
static void steps_have_their_bits(void **state) {
    (void)state;
    static const int bits[] = {32, 4, 1, 4, 1};
    crumb_timeline *timeline = crumb_alloc(ctx, 1, sizeof(*timeline));
    crumb_recipe *recipe = make(FIXTURE_MLP,
                                "{weights: {name: ctmq, bits: 2}, activations: {name: ctmq, bits: 3}, layers: [{match: fc1, "
                                "weights: {name: lsq, bits: 5}}]}",
                                "[{name: ctmq, chain: [32, 4, 1], restart: 4, rates: [1, 2, 0.5], decays: [1, 1, 0]}]", 15);
    assert_ok(ctx, crumb_recipe_phases(recipe, timeline));
    assert_int_equal(timeline->phases, 5);
    for (int i = 0; i < 5; i++) {
        const crumb_phase *phase = &timeline->phase[i];
        const double *rates = (const double *)(const void *)phase->optimizer.params;
        if (bits[i] == 32) {
            assert_true(phase->quant.weights.quantizer == NULL && phase->quant.activations.quantizer == NULL);
            assert_int_equal(phase->quant.rules, 0);
        } else {
            assert_int_equal(phase->quant.weights.bits, bits[i]);
            assert_int_equal(phase->quant.activations.bits, bits[i]);
            assert_int_equal(phase->quant.rule[0].weights.bits, 5); /* a layer of its own bits keeps them */
        }
        assert_true(rates[0] == 0.01 * (bits[i] == 4 ? 2 : bits[i] == 1 ? 0.5 : 1));
        assert_true(rates[1] == (bits[i] == 1 ? 0 : 0.5));
        assert_false(phase->keep_optimizer);
    }
    crumb_recipe_free(recipe);
    crumb_free(ctx, timeline);
}

static void bad_chains_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *strategy, *message;
    } cases[] = {
        {"{name: ctmq, chain: [4, 4]}", "strategy ctmq: chain: 4 follows 4; bits have to fall"},
        {"{name: ctmq, chain: [2, 3]}", "strategy ctmq: chain: 3 follows 2; bits have to fall"},
        {"{name: ctmq, chain: [12, 3]}", "strategy ctmq: chain: 12 is neither 1 .. 8 bits nor 32 for float"},
        {"{name: ctmq, chain: [2.5]}", "strategy ctmq: chain: 2.5 is neither 1 .. 8 bits nor 32 for float"},
        {"{name: ctmq, chain: []}", "strategy ctmq: chain: is empty"},
        {"{name: ctmq, chain: [32, 1], shares: [1]}", "strategy ctmq: shares has 1 values, the chain 2"},
        {"{name: ctmq, chain: [32, 1], rates: [1, 1, 1]}", "strategy ctmq: rates has 3 values, the chain 2"},
        {"{name: ctmq, restart: 5}", "strategy ctmq: restart: the chain has no step of 5 bits"},
        {"{name: ctmq, cycles: 5}", "strategy ctmq: 20 epochs leave none for ctmq1-"},
        {"{name: ctmq, cycles: 50, chain: [32, 8, 7, 6, 5, 4]}", "strategy ctmq: "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char list[256], *text;
        snprintf(list, sizeof(list), "[%s]", cases[i].strategy);
        crumb_recipe *recipe = make(FIXTURE_MLP, CTMQ_W1A1, list, 20);
        assert_fails(ctx, CRUMB_ERROR_ARGUMENT, cases[i].message, crumb_recipe_timeline(recipe, &text));
        crumb_recipe_free(recipe);
    }
    char *text;
    crumb_recipe *recipe = make(FIXTURE_MLP, "none", "[ctmq]", 20);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "strategy ctmq: phase 'train' has no quantizer to walk down with",
                 crumb_recipe_timeline(recipe, &text));
    crumb_recipe_free(recipe);
    recipe = make(FIXTURE_MLP, "{weights: {name: lsq, bits: 2}}", "[{name: ctmq, chain: [2, 1]}]", 20);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "phase 'ctmq1-1bit': lsq with 1 bits is outside 2 .. 8",
                 crumb_recipe_timeline(recipe, &text));
    crumb_recipe_free(recipe);
}

/* ---- The run. */

typedef struct figures {
    int count;
    char name[64][64];
    double value[64];
} figures;

static void note(void *user, const char *name, double value) {
    figures *f = user;
    assert_true(f->count < 64);
    snprintf(f->name[f->count], sizeof(f->name[0]), "%s", name);
    f->value[f->count++] = value;
}

/* Latent weight and statistics at the end of a step and at the start of the next, behind CTMQ's own hooks. */
static float weight_left;
static int begun;

static const float *stored(const crumb_trainer *trainer, const char *name) {
    int value = crumb_graph_find(trainer->network, name);
    assert_true(value >= 0);
    return trainer->network->value[value].data;
}

static crumb_status watch_begin(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    if (begun++ > 0) {
        assert_true(stored(trainer, "layer2.0.conv1.weight")[3] == weight_left);
        assert_true(stored(trainer, "layer2.0.bn1.num_batches_tracked")[0] == 2); /* 64 images re-estimated, 32 a batch */
        assert_int_equal(trainer->optimizer_step, 0);
    }
    return CRUMB_OK;
}

static crumb_status watch_end(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    weight_left = stored(trainer, "layer2.0.conv1.weight")[3];
    assert_true(stored(trainer, "layer2.0.bn1.num_batches_tracked")[0] == 2);
    return CRUMB_OK;
}

static const crumb_strategy watcher = {
    .name = "watcher", .doc = "", .source = "tests", .begin_phase = watch_begin, .end_phase = watch_end};

static void every_step_is_measured(void **state) {
    (void)state;
    static const char *const names[] = {
        "ctmq.cycle1.bits32.top1", "ctmq.cycle1.bits2.start_top1",
        "ctmq.cycle1.bits2.top1",  "ctmq.cycle1.bits1.start_top1",
        "ctmq.cycle1.bits1.top1",  "ctmq.cycle1.top1",
        "ctmq.best_cycle",         "ctmq.cycle2.bits32.start_top1",
        "ctmq.cycle2.bits32.top1", "ctmq.cycle2.bits2.start_top1",
        "ctmq.cycle2.bits2.top1",  "ctmq.cycle2.bits1.start_top1",
        "ctmq.cycle2.bits1.top1",  "ctmq.cycle2.top1",
        "ctmq.best_cycle",
    };
    enum { NAMES = sizeof(names) / sizeof(names[0]) };
    figures f = {0};
    crumb_train_result result;
    crumb_recipe *recipe = make("{name: bireal-resnet18, width: 0.0625, stem: cifar, blocks: 1}", CTMQ_W1A1,
                                "[{name: ctmq, chain: [32, 2, 1], images: 64}]", 6);
    recipe->strategy[recipe->strategies++].strategy = &watcher;
    begun = 0;
    assert_ok(ctx, crumb_train(recipe, &(crumb_train_options){.figure = note, .user = &f}, &result));
    assert_int_equal(begun, 6);
    assert_int_equal(f.count, NAMES);
    for (int i = 0; i < NAMES; i++) {
        assert_string_equal(f.name[i], names[i]);
    }
    double first = f.value[4], second = f.value[12];
    assert_true(f.value[5] == first && f.value[13] == second && result.val_top1 == second);
    assert_true(f.value[6] == 1 && f.value[14] == (second > first ? 2 : 1));
    assert_true(f.value[0] > 60); /* four classes, float: what is measured is a trained network */
    assert_int_equal(result.weight_bits, 1);
    assert_int_equal(result.activation_bits, 1);
    assert_true(result.extra_images == 11 * 64 + 4 * 32); /* quantizers look at a batch when a step starts */
    crumb_recipe_free(recipe);
}

/* One step of the recipe's own bits trains the weights that the plain recipe trains. */
static void one_step_is_the_plain_run(void **state) {
    (void)state;
    crumb_train_result plain, chained;
    crumb_recipe *recipe = make("{name: mlp, hidden: [12], batch_norm: false}", CTMQ_W1A1, "[]", 3);
    assert_ok(ctx, crumb_train(recipe, NULL, &plain));
    crumb_recipe_free(recipe);
    recipe = make("{name: mlp, hidden: [12], batch_norm: false}", CTMQ_W1A1, "[{name: ctmq, chain: [1], cycles: 1}]", 3);
    assert_ok(ctx, crumb_train(recipe, NULL, &chained));
    crumb_recipe_free(recipe);
    assert_true(plain.val_loss == chained.val_loss && plain.val_top1 == chained.val_top1);
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
        cmocka_unit_test(epochs_sum_to_the_whole),   cmocka_unit_test(steps_have_their_bits),
        cmocka_unit_test(bad_chains_are_refused),    cmocka_unit_test(every_step_is_measured),
        cmocka_unit_test(one_step_is_the_plain_run),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
