/* The trainer on tiny data: traces of 20 steps, every hook of a strategy, phases, evaluation, statistics, distillation, errors.
 */
#include "fixture.h"

#include "train/trainer_parts.h"

static crumb_ctx *ctx;

/* ---- A strategy that records the loss of each step. */

enum { TRACE_MAX = 256 };
static double trace[TRACE_MAX];
static int traced;

static crumb_status record(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    if (traced < TRACE_MAX) {
        trace[traced++] = *crumb_exec_value(trainer->exec, trainer->loss);
    }
    return CRUMB_OK;
}

static const crumb_strategy recorder = {.name = "recorder", .doc = "records losses", .source = "tests", .after_step = record};

static void add_strategy(crumb_recipe *recipe, const crumb_strategy *strategy) {
    recipe->strategy[recipe->strategies++].strategy = strategy;
}

static crumb_recipe *make(const char *model, const char *quantize, const char *train, const char *const *overrides) {
    crumb_recipe *recipe;
    assert_ok(ctx, fixture_recipe(ctx, model, quantize, train, overrides, &recipe));
    return recipe;
}

static crumb_train_result train(crumb_recipe *recipe, const char *out) {
    crumb_train_result result;
    crumb_train_options options = {.out = out};
    assert_ok(ctx, crumb_train(recipe, &options, &result));
    return result;
}

/* ---- Golden traces of 20 steps. Two runs of one build on one machine agree bit for bit. Other kernels sum in other orders:
 * 1e-6 in float; with 2-bit values the same until the first sum lands on the other side of a decision boundary, which moves a
 * whole step and, some steps on, the loss by up to 5e-2 (seen from step 17 on). A wrong gradient, decay or rate shows within
 * the first steps. */

enum { TRACE_EARLY = 10 };

static void run_trace(crumb_ctx *on, const char *quantize, const char *settings, double out[20]) {
    crumb_recipe *recipe;
    crumb_train_result result;
    assert_ok(on, fixture_recipe(on, FIXTURE_RESNET, quantize, settings, NULL, &recipe));
    add_strategy(recipe, &recorder);
    traced = 0;
    assert_ok(on, crumb_train(recipe, NULL, &result));
    assert_int_equal(traced, 24);
    memcpy(out, trace, 20 * sizeof(double));
    crumb_recipe_free(recipe);
}

static void compare_trace(const char *kernels, const double *found, const double *golden, int first, int last,
                          double tolerance) {
    double worst = 0;
    for (int i = first; i < last; i++) {
        double off = fabs(found[i] - golden[i]);
        worst = off <= worst ? worst : off; /* NaN stays */
    }
    print_message("%s kernels, steps %d to %d: at most %.2g from the golden trace\n", kernels, first + 1, last, worst);
    if (!(worst <= tolerance)) {
        for (int k = 0; k < 20; k++) {
            print_message("%.6f,%s", found[k], k % 10 == 9 ? "\n" : " ");
        }
        fail_msg("%s kernels: %.6g from the golden trace, tolerance %g", kernels, worst, tolerance);
    }
}

static void check_trace(const char *quantize, const char *settings, const double *golden, double late_tolerance) {
    double first[20], second[20], scalar[20];
    crumb_ctx *plain;
    run_trace(ctx, quantize, settings, first);
    run_trace(ctx, quantize, settings, second);
    assert_memory_equal(first, second, sizeof(first));
    compare_trace("best", first, golden, 0, TRACE_EARLY, 1e-4);
    compare_trace("best", first, golden, TRACE_EARLY, 20, late_tolerance);
    assert_int_equal(crumb_ctx_create(&plain, &(crumb_settings){.threads = 1, .cpu_limit = "scalar"}), CRUMB_OK);
    run_trace(plain, quantize, settings, scalar);
    crumb_ctx_destroy(plain);
    compare_trace("scalar", scalar, golden, 0, TRACE_EARLY, 1e-4);
    compare_trace("scalar", scalar, golden, TRACE_EARLY, 20, late_tolerance);
}

static void golden_trace_float(void **state) {
    (void)state;
    static const double golden[20] = {1.330658, 1.445041, 1.302073, 1.250289, 1.159813, 1.034906, 0.878005,
                                      0.720954, 0.563012, 0.523403, 0.338445, 0.321578, 0.264831, 0.158212,
                                      0.269922, 0.194679, 0.158939, 0.161285, 0.110203, 0.086602};
    check_trace("none", "epochs: 3, seed: 5, optimizer: {name: sgd, lr: 0.05}, schedule: cosine", golden, 1e-4);
}

static void golden_trace_lsq_w2a2(void **state) {
    (void)state;
    static const double golden[20] = {1.485517, 1.454049, 1.419508, 1.368176, 1.531742, 1.271591, 1.351357,
                                      1.395985, 1.331353, 1.214895, 1.367818, 1.336510, 1.286340, 1.255683,
                                      1.339939, 1.285418, 1.250774, 1.286029, 1.241936, 1.334448};
    check_trace(FIXTURE_W2A2, "epochs: 3, seed: 5, optimizer: {name: sgd, lr: 0.01}, schedule: cosine", golden, 0.15);
}

/* Figures as they are told: how many, and the sum of their values. */
typedef struct told {
    int figures;
    double sum;
} told;

static void note_figure(void *user, const char *name, double value) {
    told *t = user;
    assert_int_equal(strncmp(name, "every-hook.phase", 16), 0);
    t->figures++;
    t->sum += value;
}

static void every_hook_runs(void **state) {
    (void)state;
    told t = {0};
    crumb_train_options options = {.figure = note_figure, .user = &t};
    crumb_recipe *recipe = make(FIXTURE_MLP, FIXTURE_W8A8, FIXTURE_EVERY, NULL);
    add_strategy(recipe, &fixture_every);
    add_strategy(recipe, &recorder); /* strategies compose: the second sees the same steps */
    traced = 0;
    crumb_train_result result;
    assert_ok(ctx, crumb_train(recipe, &options, &result));
    assert_int_equal(t.figures, 6);
    assert_true(t.sum > 0 && t.sum <= 600);
    assert_int_equal(fixture_every_last.begun, 3);
    assert_int_equal(fixture_every_last.ended, 3);
    assert_int_equal(fixture_every_last.steps, 3 * 2 * 8);
    assert_int_equal(fixture_every_last.masked, 48);
    assert_int_equal(fixture_every_last.pulled, 48);
    assert_int_equal(traced, 48);
    assert_int_equal(result.epochs, 6);
    assert_int_equal(result.weight_bits, 2);
    assert_int_equal(result.activation_bits, 2);
    crumb_recipe_free(recipe);
}

/* ---- Measuring in the middle of an epoch: the training that goes on does not notice. */

static bool measuring;

static crumb_status measure_sometimes(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    crumb_evaluation evaluation;
    if (!measuring || trainer->step % 3 != 2) {
        return CRUMB_OK;
    }
    CRUMB_TRY(crumb_trainer_measure(trainer, trainer->step > 2 ? 64 : 0, &evaluation));
    assert_int_equal(evaluation.images, FIXTURE_TEST);
    return CRUMB_OK;
}

static const crumb_strategy sometimes = {
    .name = "sometimes", .doc = "measures", .source = "tests", .after_step = measure_sometimes};

static void measuring_leaves_no_trace(void **state) {
    (void)state;
    double loss[2][24];
    crumb_train_result result[2];
    for (int i = 0; i < 2; i++) {
        crumb_recipe *recipe = make(FIXTURE_RESNET, FIXTURE_W2A2, "epochs: 3", NULL);
        add_strategy(recipe, &recorder); /* first: measuring leaves another batch in the plan */
        add_strategy(recipe, &sometimes);
        traced = 0;
        measuring = i == 1;
        result[i] = train(recipe, NULL);
        memcpy(loss[i], trace, sizeof(loss[i]));
        crumb_recipe_free(recipe);
    }
    assert_memory_equal(loss[0], loss[1], sizeof(loss[0]));
    assert_true(result[0].val_loss == result[1].val_loss);
}

/* ---- What phases carry over and what they start anew. */

static float weight_before, step_before, slot_before;
static int phases_seen;

static crumb_status remember_end(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    int weight = fixture_first_weight(trainer->network), step = crumb_graph_find(trainer->network, "fc1.weight_quant.step");
    weight_before = trainer->network->value[weight].data[5];
    step_before = trainer->network->value[step].data[0];
    slot_before = trainer->slot[weight * trainer->slots][5];
    return CRUMB_OK;
}

static crumb_status compare_begin(crumb_strategy_run *run, crumb_trainer *trainer) {
    int weight = fixture_first_weight(trainer->network), step = crumb_graph_find(trainer->network, "fc1.weight_quant.step");
    const crumb_phase *phase = &trainer->timeline->phase[trainer->phase];
    if (trainer->phase > 0) {
        assert_true(trainer->network->value[weight].data[5] == weight_before);
        assert_true((trainer->network->value[step].data[0] == step_before) == (phase->tag[run->index] == 1)); /* 1: bits stay */
        assert_true((trainer->slot[weight * trainer->slots][5] == slot_before) == phase->keep_optimizer);
        assert_true((trainer->optimizer_step == 0) != phase->keep_optimizer);
    }
    phases_seen++;
    return CRUMB_OK;
}

static crumb_status three_phases(crumb_ctx *c, const crumb_strategy_run *run, crumb_timeline *timeline) {
    (void)c;
    timeline->phases = 3;
    timeline->phase[1] = timeline->phase[2] = timeline->phase[0];
    timeline->phase[1].tag[run->index] = 1;
    timeline->phase[1].keep_optimizer = true;
    timeline->phase[2].quant.weights.bits = 4;
    return CRUMB_OK;
}

static const crumb_strategy carrying = {.name = "carrying",
                                        .doc = "compares phases",
                                        .source = "tests",
                                        .rewrite = three_phases,
                                        .begin_phase = compare_begin,
                                        .end_phase = remember_end};

static void phases_carry_what_they_should(void **state) {
    (void)state;
    crumb_recipe *recipe = make(FIXTURE_MLP, FIXTURE_W8A8, "epochs: 1, optimizer: {name: sgd, lr: 0.05}", NULL);
    add_strategy(recipe, &carrying);
    phases_seen = 0;
    crumb_train_result result = train(recipe, NULL);
    assert_int_equal(phases_seen, 3);
    assert_int_equal(result.weight_bits, 4);
    crumb_recipe_free(recipe);
}

/* ---- A loss that is not a number. */

static int64_t break_after;

static crumb_status break_weight(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    if (trainer->total_step == break_after) {
        int weight = crumb_graph_find(trainer->network, "layer2.1.conv2.weight");
        assert_true(weight >= 0);
        trainer->network->value[weight].data[0] = INFINITY;
    }
    return CRUMB_OK;
}

static const crumb_strategy breaking = {
    .name = "breaking", .doc = "breaks a weight", .source = "tests", .after_step = break_weight};

static void nan_loss_names_step_and_layer(void **state) {
    (void)state;
    crumb_train_result result;
    crumb_recipe *recipe = make(FIXTURE_RESNET, "none", "epochs: 1", NULL);
    add_strategy(recipe, &breaking);
    break_after = 4;
    assert_fails(ctx, CRUMB_ERROR_NUMERIC, "step 5 (epoch 1,", crumb_train(recipe, NULL, &result));
    assert_non_null(strstr(crumb_message(ctx), "layer2.1.conv2"));
    break_after = 8; /* the last step: the evaluation notices */
    assert_fails(ctx, CRUMB_ERROR_NUMERIC, "validation loss", crumb_train(recipe, NULL, &result));
    assert_non_null(strstr(crumb_message(ctx), "step 8 (epoch 1,"));
    assert_non_null(strstr(crumb_message(ctx), "layer2.1.conv2"));
    crumb_recipe_free(recipe);
}

/* ---- Rates, clipping, weight decay: what one step does to the weights, against the formula. */

static float *weights_copy;
static double norm_seen;

static crumb_status check_update(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    const crumb_graph *network = trainer->network;
    double sum = 0;
    for (int v = 0; v < network->values; v++) {
        const float *g = crumb_exec_gradient(trainer->exec, v);
        for (int64_t i = 0; g != NULL && i < crumb_shape_count(network->value[v].shape); i++) {
            sum += (double)g[i] * g[i];
        }
    }
    norm_seen = sqrt(sum);
    if (weights_copy == NULL) {
        return CRUMB_OK;
    }
    int names[2] = {crumb_graph_find(network, "fc1.weight"), crumb_graph_find(network, "fc2.bias")};
    for (int n = 0; n < 2; n++) {
        const float *w = network->value[names[n]].data, *g = crumb_exec_gradient(trainer->exec, names[n]);
        double decay = n == 0 || trainer->recipe->train.decay_all ? 0.1 : 0;
        double expect = weights_copy[n] - 0.5 * (g[0] + decay * weights_copy[n]);
        assert_true(fabs(w[0] - expect) < 1e-6);
    }
    free(weights_copy);
    weights_copy = NULL;
    return CRUMB_OK;
}

static crumb_status keep_weights(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    if (trainer->total_step == 0) {
        weights_copy = malloc(2 * sizeof(float));
        weights_copy[0] = trainer->network->value[crumb_graph_find(trainer->network, "fc1.weight")].data[0];
        weights_copy[1] = trainer->network->value[crumb_graph_find(trainer->network, "fc2.bias")].data[0];
    }
    return CRUMB_OK;
}

static const crumb_strategy checking = {.name = "checking",
                                        .doc = "checks an update",
                                        .source = "tests",
                                        .before_forward = keep_weights,
                                        .after_step = check_update};

static void decay_and_clipping(void **state) {
    (void)state;
    for (int all = 0; all < 2; all++) {
        crumb_recipe *recipe = make(FIXTURE_MLP, "none",
                                    all ? "epochs: 1, clip_norm: 0.25, decay_all: true, schedule: constant, "
                                          "optimizer: {name: sgd, lr: 0.5, weight_decay: 0.1}"
                                        : "epochs: 1, clip_norm: 0.25, schedule: constant, "
                                          "optimizer: {name: sgd, lr: 0.5, weight_decay: 0.1}",
                                    NULL);
        add_strategy(recipe, &checking);
        train(recipe, NULL);
        assert_true(norm_seen < 0.25 * (1 + 1e-5)); /* what the optimizer saw is clipped */
        crumb_recipe_free(recipe);
    }
}

/* ---- Held-out images. */

static int64_t images_evaluated, steps_seen;

static crumb_status count_images(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    crumb_evaluation evaluation;
    CRUMB_TRY(crumb_trainer_evaluate(trainer, &evaluation));
    images_evaluated = evaluation.images;
    steps_seen = trainer->steps;
    return CRUMB_OK;
}

static const crumb_strategy counting = {
    .name = "counting", .doc = "counts images", .source = "tests", .begin_phase = count_images};

static void holdout_validates_and_test_comes_last(void **state) {
    (void)state;
    static const char *const overrides[] = {"data.limit=200", "data.holdout=40", NULL};
    char out[128];
    snprintf(out, sizeof(out), "%s", test_folder());
    crumb_recipe *recipe = make(FIXTURE_MLP, "none", "epochs: 2", overrides);
    add_strategy(recipe, &counting);
    crumb_train_result result = train(recipe, out);
    assert_int_equal(images_evaluated, 40);
    assert_int_equal(steps_seen, 160 / 32);
    crumb_network *network;
    crumb_dataset *test;
    crumb_evaluation evaluation;
    assert_ok(ctx, crumb_network_open(ctx, fixture_path(out, "last.safetensors"), &network));
    assert_ok(ctx, crumb_dataset_open(ctx, recipe->data.test, 0, &test));
    assert_ok(ctx, crumb_evaluate(network, test, NULL, &evaluation));
    assert_int_equal(evaluation.images, FIXTURE_TEST);
    assert_true(fabs(evaluation.top1 - result.val_top1) < 1e-9); /* of the test set */
    crumb_dataset_close(test);
    crumb_network_close(network);
    crumb_recipe_free(recipe);

    static const char *const all[] = {"data.holdout=256", NULL};
    recipe = make(FIXTURE_MLP, "none", "epochs: 1", all);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "data.holdout: 256 of 256", crumb_train(recipe, NULL, &result));
    crumb_recipe_free(recipe);
    fixture_remove(out);
}

/* ---- Batch norm statistics. */

/* fc1 is linear, so the mean of its outputs over the training set is its output for the mean image: known without running. */
static crumb_status check_statistics(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    enum { PIXELS = FIXTURE_SIDE * FIXTURE_SIDE };
    double mean[PIXELS] = {0};
    for (int64_t n = 0; n < FIXTURE_TRAIN; n++) {
        uint8_t *pixels;
        int64_t h, w;
        int label;
        CRUMB_TRY(crumb_dataset_image(trainer->source.train, n, &pixels, &h, &w, &label));
        for (int i = 0; i < PIXELS; i++) {
            mean[i] += (pixels[i] / 255.0 - 0.3) / 0.2 / FIXTURE_TRAIN;
        }
        crumb_dataset_release(trainer->source.train, pixels);
    }
    CRUMB_TRY(crumb_trainer_reestimate(trainer, 0));
    const crumb_graph *network = trainer->network;
    const float *weight = network->value[crumb_graph_find(network, "fc1.weight")].data;
    const float *running = network->value[crumb_graph_find(network, "bn1.running_mean")].data;
    for (int c = 0; c < 12; c++) {
        double expect = 0;
        for (int i = 0; i < PIXELS; i++) {
            expect += (double)weight[c * PIXELS + i] * mean[i];
        }
        assert_true(fabs(running[c] - expect) < 1e-4);
    }
    return CRUMB_OK;
}

static const crumb_strategy statistics = {
    .name = "statistics", .doc = "checks re-estimation", .source = "tests", .begin_phase = check_statistics};

static void reestimation_is_the_mean_over_the_set(void **state) {
    (void)state;
    crumb_recipe *recipe = make(FIXTURE_MLP, "none", "epochs: 1, reestimate: true", NULL);
    add_strategy(recipe, &statistics);
    crumb_train_result result = train(recipe, NULL);
    crumb_recipe_free(recipe);
    assert_int_equal(result.images, FIXTURE_TRAIN);
    assert_int_equal(result.extra_images, 2 * FIXTURE_TRAIN); /* the strategy's pass and the one at the end */

    /* Quantizers look at a batch of 32 first. */
    recipe = make(FIXTURE_MLP, FIXTURE_W2A2, "epochs: 2", NULL);
    result = train(recipe, NULL);
    crumb_recipe_free(recipe);
    assert_int_equal(result.images, 2 * FIXTURE_TRAIN);
    assert_int_equal(result.extra_images, 32);
}

/* ---- From float weights: their accuracy, direct quantization, distillation. */

static void direct_quantization_is_measured(void **state) {
    (void)state;
    char out[128], init[256];
    snprintf(out, sizeof(out), "%s", test_folder());
    snprintf(init, sizeof(init), "model.init=%s/last.safetensors", out);
    crumb_recipe *recipe = make(FIXTURE_RESNET, "none", "epochs: 3, optimizer: {name: sgd, lr: 0.05}", NULL);
    crumb_train_result plain = train(recipe, out);
    assert_true(isnan(plain.float_top1) && isnan(plain.direct_top1)); /* random weights are not worth measuring */
    assert_true(plain.val_top1 > 90);
    crumb_recipe_free(recipe);

    recipe =
        make(FIXTURE_RESNET, FIXTURE_W2A2, "epochs: 3, optimizer: {name: sgd, lr: 0.01}", (const char *const[]){init, NULL});
    crumb_train_result low = train(recipe, NULL);
    assert_true(low.float_top1 == plain.val_top1);
    assert_true(low.direct_top1 >= 0 && low.direct_top1 < plain.val_top1);
    assert_true(low.val_top1 > low.direct_top1);
    assert_int_equal(low.weight_bits, 2);
    crumb_recipe_free(recipe);

    /* A student that never sees a label (weight 1) learns the classes from the teacher. */
    char teacher[256];
    snprintf(teacher, sizeof(teacher),
             "train.teacher={model: {name: resnet20, width: 0.25, init: %s/last.safetensors}, weight: 1}", out);
    recipe = make(FIXTURE_MLP, "none", "epochs: 8, optimizer: {name: sgd, lr: 0.05}", (const char *const[]){teacher, NULL});
    assert_non_null(recipe->teacher.model.model);
    add_strategy(recipe, &recorder);
    traced = 0;
    crumb_train_result student = train(recipe, NULL);
    assert_true(student.val_top1 > 80);
    double with_teacher = trace[0];
    crumb_recipe_free(recipe);
    recipe = make(FIXTURE_MLP, "none", "epochs: 1, optimizer: {name: sgd, lr: 0.05}", NULL);
    add_strategy(recipe, &recorder);
    traced = 0;
    train(recipe, NULL);
    assert_true(trace[0] != with_teacher);
    crumb_recipe_free(recipe);
    fixture_remove(out);
}

static void squared_error_trains(void **state) {
    (void)state;
    crumb_recipe *recipe =
        make(FIXTURE_MLP, "none", "epochs: 8, loss: mse, optimizer: {name: sgd, lr: 0.1, nesterov: true}", NULL);
    assert_true(train(recipe, NULL).val_top1 > 80);
    crumb_recipe_free(recipe);
}

/* ---- Progress. */

static int calls;
static crumb_progress last_progress;

static bool note_progress(void *user, const crumb_progress *progress) {
    (void)user;
    assert_string_equal(progress->phase, "train");
    last_progress = *progress;
    calls++;
    return true;
}

static void progress_is_told_after_every_step(void **state) {
    (void)state;
    crumb_recipe *recipe = make(FIXTURE_MLP, "none", "epochs: 2, evaluate_every: 2", NULL);
    crumb_train_options options = {.progress = note_progress};
    crumb_train_result result;
    calls = 0;
    assert_ok(ctx, crumb_train(recipe, &options, &result));
    assert_int_equal(calls, 16);
    assert_int_equal(last_progress.step, 8);
    assert_int_equal(last_progress.steps, 8);
    assert_int_equal(last_progress.epoch, 1);
    assert_int_equal(last_progress.epochs, 2);
    assert_true(last_progress.loss > 0 && last_progress.images_per_second > 0 && last_progress.seconds_left >= 0);
    assert_true(isnan(last_progress.val_top1)); /* evaluated only after the second epoch */
    assert_int_equal(result.best_epoch, 2);
    crumb_recipe_free(recipe);
}

static void bench_measures(void **state) {
    (void)state;
    crumb_recipe *recipe = make(FIXTURE_RESNET, FIXTURE_W2A2, "epochs: 1", NULL);
    crumb_bench_result result;
    char *plan;
    assert_ok(ctx, crumb_bench_train(recipe, 12, &result, &plan)); /* more steps than an epoch has */
    assert_true(result.train_images_per_second > 0 && result.eval_images_per_second > 0 && result.load_images_per_second > 0);
    assert_true(result.train_gflops > 0 && result.bytes > 0);
    assert_non_null(strstr(plan, "layer1.0.conv1"));
    crumb_text_free(ctx, plan);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "0 steps", crumb_bench_train(recipe, 0, &result, NULL));
    crumb_recipe_free(recipe);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_trace_float),
        cmocka_unit_test(golden_trace_lsq_w2a2),
        cmocka_unit_test(every_hook_runs),
        cmocka_unit_test(measuring_leaves_no_trace),
        cmocka_unit_test(phases_carry_what_they_should),
        cmocka_unit_test(nan_loss_names_step_and_layer),
        cmocka_unit_test(decay_and_clipping),
        cmocka_unit_test(holdout_validates_and_test_comes_last),
        cmocka_unit_test(reestimation_is_the_mean_over_the_set),
        cmocka_unit_test(direct_quantization_is_measured),
        cmocka_unit_test(squared_error_trains),
        cmocka_unit_test(progress_is_told_after_every_step),
        cmocka_unit_test(bench_measures),
    };
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 2}) != CRUMB_OK) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    crumb_ctx_destroy(ctx);
    fixture_remove(fixture_data());
    return failed;
}
