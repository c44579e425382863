/* SQWA: which low points are captured, what their average is, how many levels it has, the step that is frozen and the one that
 * is new, the accuracies that are reported. */
#include "fixture.h"

#include "quant/parts.h"
#include "train/trainer_parts.h"

static crumb_ctx *ctx;

/* ---- A strategy behind sqwa that makes the average again, from weights and steps as they lie in the network. */

enum { MINIMA_MAX = 32, LEVELS_MAX = 64 };

typedef struct witness {
    int captures, spacing; /* as the recipe has them */
    bool latent;
    int minima;
    double *weight[MINIMA_MAX]; /* fc1 at each low point, quantized unless latent */
    double *bias[MINIMA_MAX];   /* fc2's bias */
    float steps[MINIMA_MAX];    /* fc1's step */
    float new_step;
    bool ended;
} witness;

static witness seen;

static double *copy(const float *data, int64_t count) {
    double *out = malloc((size_t)count * sizeof(*out));
    for (int64_t i = 0; i < count; i++) {
        out[i] = (double)data[i];
    }
    return out;
}

static const crumb_value *value_of(const crumb_trainer *trainer, const char *name) {
    int at = crumb_graph_find(trainer->network, name);
    assert_true(at >= 0);
    return &trainer->network->value[at];
}

static bool retrains(const crumb_trainer *trainer) {
    return strcmp(trainer->timeline->phase[trainer->phase].name, "sqwa-retrain") == 0;
}

static crumb_status watch_step(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    if (!retrains(trainer) || !trainer->rate_minimum) {
        return CRUMB_OK;
    }
    const crumb_value *weight = value_of(trainer, "fc1.weight"), *bias = value_of(trainer, "fc2.bias");
    int64_t count = crumb_shape_count(weight->shape);
    float *q = malloc((size_t)count * sizeof(*q));
    crumb_graph_fake(trainer->network, fixture_first_site(trainer->network), q);
    assert_true(seen.minima < MINIMA_MAX);
    seen.steps[seen.minima] = value_of(trainer, "fc1.weight_quant.step")->data[0];
    seen.bias[seen.minima] = copy(bias->data, crumb_shape_count(bias->shape));
    seen.weight[seen.minima++] = copy(seen.latent ? weight->data : q, count);
    free(q);
    return CRUMB_OK;
}

/* The last `captures` low points, `spacing` apart. */
static double mean_at(double *const *values, int64_t i) {
    double sum = 0;
    for (int k = 0; k < seen.captures; k++) {
        sum += values[seen.minima - 1 - k * seen.spacing][i];
    }
    return sum / seen.captures;
}

/* After sqwa's own: the weights are the average, the step is that of least squared error for them. */
static crumb_status watch_end(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    if (!retrains(trainer)) {
        return CRUMB_OK;
    }
    const crumb_value *weight = value_of(trainer, "fc1.weight"), *bias = value_of(trainer, "fc2.bias");
    int64_t count = crumb_shape_count(weight->shape);
    for (int64_t i = 0; i < count; i++) {
        assert_true(fabs((double)weight->data[i] - mean_at(seen.weight, i)) <= 1e-7 * fabs(mean_at(seen.weight, i)));
    }
    for (int64_t i = 0; i < crumb_shape_count(bias->shape); i++) {
        assert_true(fabs((double)bias->data[i] - mean_at(seen.bias, i)) < 1e-7);
    }
    for (int i = 0; i < trainer->network->nodes; i++) {
        const crumb_quant *site = crumb_node_site(trainer->network, i);
        assert_true(site == NULL || site->mask == NULL);
    }
    seen.new_step = value_of(trainer, "fc1.weight_quant.step")->data[0];
    assert_true(seen.new_step == crumb_step_l2(weight->data, count, 1));
    seen.ended = true;
    return CRUMB_OK;
}

static const crumb_strategy watcher = {
    .name = "watcher", .doc = "averages again", .source = "tests", .after_step = watch_step, .end_phase = watch_end};

/* ---- Figures. */

typedef struct figures {
    int count, captures;
    double levels[4], capture[16], average, requantized;
} figures;

static void note(void *user, const char *name, double value) {
    figures *f = user;
    int number;
    f->count++;
    if (sscanf(name, "sqwa.capture%d_top1", &number) == 1) {
        f->capture[number] = value;
    } else if (sscanf(name, "sqwa.levels.fc%d", &number) == 1) {
        f->levels[number] = value;
    } else if (strcmp(name, "sqwa.captures") == 0) {
        f->captures = (int)value;
    } else if (strcmp(name, "sqwa.average_top1") == 0) {
        f->average = value;
    } else if (strcmp(name, "sqwa.requantized_top1") == 0) {
        f->requantized = value;
    } else {
        fail_msg("figure %s", name);
    }
}

static void forget(void) {
    for (int i = 0; i < seen.minima; i++) {
        free(seen.weight[i]);
        free(seen.bias[i]);
    }
}

static crumb_train_result train(const char *parameters, int epochs, witness expected, const char *out, figures *f) {
    char strategies[256], settings[128];
    crumb_recipe *recipe;
    crumb_train_result result;
    snprintf(strategies, sizeof(strategies), "strategies=[{name: sqwa, %s}]", parameters);
    snprintf(settings, sizeof(settings), "epochs: %d, seed: 6, optimizer: {name: sgd, lr: 0.05}", epochs);
    const char *const overrides[] = {strategies, NULL};
    assert_ok(ctx, fixture_recipe(ctx, FIXTURE_MLP, "{weights: {name: uniform, bits: 2}}", settings, overrides, &recipe));
    recipe->strategy[recipe->strategies++].strategy = &watcher;
    seen = expected;
    *f = (figures){0};
    crumb_train_options options = {.out = out, .figure = note, .user = f};
    assert_ok(ctx, crumb_train(recipe, &options, &result));
    assert_true(seen.ended);
    assert_int_equal(result.epochs, epochs);
    crumb_recipe_free(recipe);
    return result;
}

/* ---- Tests. */

/* K ternary networks with one step: at most 2 K + 1 levels; the step stays through the phase and is new for the average. */
static void levels_of_the_average(void **state) {
    (void)state;
    static const int captures[] = {1, 3, 7};
    for (int i = 0; i < 3; i++) {
        char parameters[128];
        figures f;
        snprintf(parameters, sizeof(parameters), "captures: %d, cycle: 1, high: 0.2, tune_epochs: 1", captures[i]);
        train(parameters, 9, (witness){.captures = captures[i], .spacing = 1}, NULL, &f);
        assert_int_equal(seen.minima, 8);
        assert_int_equal(f.captures, captures[i]);
        for (int k = 1; k <= 2; k++) {
            assert_true(f.levels[k] <= 2 * captures[i] + 1 && f.levels[k] >= 3);
        }
        assert_true(captures[i] == 1 || f.levels[1] > 3);
        for (int k = 1; k < seen.minima; k++) {
            assert_true(seen.steps[k] == seen.steps[0]);
        }
        assert_true(captures[i] == 1 ? fabsf(seen.new_step - seen.steps[0]) < 1e-6f : seen.new_step != seen.steps[0]);
        assert_int_equal(f.count, 5); /* captures, two layers, two accuracies */
        forget();
    }
}

/* Spacing, half cycles, refitted steps, latent weights. */
static void low_points_and_averages(void **state) {
    (void)state;
    figures f;
    train("captures: 3, spacing: 2, cycle: 0.5, shape: triangle, tune_epochs: 1", 5, (witness){.captures = 3, .spacing = 2},
          NULL, &f);
    assert_int_equal(seen.minima, 8);
    forget();
    train("captures: 2, cycle: 2, shape: stepped, step: refitted, tune_epochs: 0", 4, (witness){.captures = 2, .spacing = 1},
          NULL, &f);
    assert_int_equal(seen.minima, 2);
    assert_true(seen.steps[0] != seen.steps[1]);
    assert_true(f.levels[1] > 5); /* the sums of {-a, 0, a} and {-b, 0, b} */
    forget();
    train("captures: 3, cycle: 1, average: latent, tune_epochs: 1", 4, (witness){.captures = 3, .spacing = 1, .latent = true},
          NULL, &f);
    assert_true(f.levels[1] > 100);
    forget();
}

/* The line of a phase's last epoch in log.jsonl. */
static char *last_line(const char *folder, const char *phase) {
    static char line[1 << 13], found[1 << 13];
    FILE *file = fopen(fixture_path(folder, "log.jsonl"), "r");
    assert_non_null(file);
    char key[64];
    snprintf(key, sizeof(key), "\"phase\":\"%s\"", phase);
    found[0] = '\0';
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strstr(line, key) != NULL) {
            strcpy(found, line);
        }
    }
    fclose(file);
    assert_true(found[0] != '\0');
    return found;
}

static double member(const char *line, const char *name) {
    char key[64];
    snprintf(key, sizeof(key), "\"%s\":", name);
    const char *at = strstr(line, key);
    assert_non_null(at);
    return strtod(at + strlen(key), NULL);
}

static double accuracy_of(const char *path) {
    crumb_network *network;
    crumb_dataset *test;
    crumb_evaluation evaluation;
    char spec[256];
    snprintf(spec, sizeof(spec), "idx:%s:test", fixture_data());
    assert_ok(ctx, crumb_network_open(ctx, path, &network));
    assert_ok(ctx, crumb_dataset_open(ctx, spec, 0, &test));
    assert_ok(ctx, crumb_evaluate(network, test, NULL, &evaluation));
    crumb_dataset_close(test);
    crumb_network_close(network);
    return evaluation.top1;
}

/* What is reported stands in the log at the end of the retraining, whose accuracy is that of the quantized average; captures
 * are files, and a new run removes those of the one before. */
static void reports_and_files(void **state) {
    (void)state;
    char out[128];
    figures f;
    snprintf(out, sizeof(out), "%s", test_folder());
    train("captures: 2, cycle: 1, tune_epochs: 1, measure: true, keep: true, reestimate: false", 4,
          (witness){.captures = 2, .spacing = 1}, out, &f);
    const char *line = last_line(out, "sqwa-retrain");
    assert_true(fabs(member(line, "val_top1") - f.requantized) < 1e-6);
    assert_true(fabs(member(line, "sqwa.average_top1") - f.average) < 1e-6);
    assert_true(f.average > 60 && f.requantized > 50 && f.capture[1] > 50 && f.capture[2] > 50); /* four classes */
    assert_true(fabs(accuracy_of(fixture_path(out, "capture-1.safetensors")) - f.capture[1]) < 1e-6);
    assert_true(fabs(accuracy_of(fixture_path(out, "capture-2.safetensors")) - f.capture[2]) < 1e-6);
    assert_false(crumb_file_exists(fixture_path(out, "capture-3.safetensors")));
    forget();
    train("captures: 2, cycle: 1, tune_epochs: 1", 4, (witness){.captures = 2, .spacing = 1}, out, &f);
    assert_false(crumb_file_exists(fixture_path(out, "capture-1.safetensors")));
    forget();
    fixture_remove(out);
}

/* The average is measured with its weights as they are: as a float network that has them. With one capture of latent weights
 * the average is the latent network itself. */
static double float_accuracy;

static crumb_status measure_latent(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    if (!retrains(trainer)) {
        return CRUMB_OK;
    }
    crumb_graph *plain;
    crumb_exec *exec;
    const crumb_recipe *recipe = trainer->recipe;
    crumb_exec_options options = {.batch = recipe->train.batch};
    crumb_score score = {0};
    CRUMB_TRY(crumb_model_build(ctx, recipe->model.model, recipe->model.params, CRUMB_SHAPE(1, FIXTURE_SIDE, FIXTURE_SIDE, 1),
                                FIXTURE_CLASSES, 1, &plain));
    crumb_graph_copy(plain, trainer->network, NULL);
    CRUMB_TRY(crumb_exec_create(plain, &options, &exec));
    CRUMB_TRY(crumb_score_feed(&score, exec, plain, -1, trainer->eval_feed, 0, NULL));
    float_accuracy = 100 * (double)score.top1 / (double)score.images;
    crumb_exec_destroy(exec);
    crumb_graph_destroy(plain);
    return CRUMB_OK;
}

static const crumb_strategy float_watcher = {
    .name = "float-watcher", .doc = "measures in float", .source = "tests", .end_phase = measure_latent};

static void the_average_is_measured_in_float(void **state) {
    (void)state;
    crumb_recipe *recipe;
    figures f = {0};
    const char *const overrides[] = {
        "strategies=[{name: sqwa, captures: 3, cycle: 1, high: 0.01, low: 0.001, tune_epochs: 0, reestimate: false}]",
        "data.limit=192", NULL};
    assert_ok(
        ctx, fixture_recipe(ctx, FIXTURE_MLP, "{weights: {name: uniform, bits: 2}}", "epochs: 4, seed: 9", overrides, &recipe));
    recipe->strategy[recipe->strategies++].strategy = &float_watcher;
    crumb_train_options options = {.figure = note, .user = &f};
    assert_ok(ctx, crumb_train(recipe, &options, NULL));
    assert_true(fabs(f.average - float_accuracy) < 1e-9);
    print_message("average %.2f %%, quantized again %.2f %%\n", f.average, f.requantized);
    assert_true(f.average != f.requantized);
    crumb_recipe_free(recipe);
}

/* ---- What is refused. */

static void refuse(const char *quantize, const char *strategies, const char *message) {
    fixture_refuses(ctx, quantize, "epochs: 20", strategies, message);
}

static void refusals(void **state) {
    (void)state;
    const char *uniform = "{weights: {name: uniform, bits: 2}}";
    refuse("none", "strategies=[sqwa]", "strategy sqwa: phase 'train' quantizes no weights");
    refuse(uniform, "strategies=[sqwa]", "7 captures want 7 cycles of 2 epochs; of 20 epochs, 0 are float and 10 for tuning");
    refuse(uniform, "strategies=[{name: sqwa, captures: 2, tune_epochs: 30}]", "of 20 epochs");
    refuse(uniform, "strategies=[{name: sqwa, captures: 2, tune_epochs: 3}]", "17 epochs of retraining are no whole number");
    refuse(uniform, "strategies=[{name: sq, epochs: each}, {name: sqwa, float_epochs: 2, captures: 2}]",
           "float_epochs: the timeline has 3 phases before 'sq-100'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_of_the_average),
        cmocka_unit_test(low_points_and_averages),
        cmocka_unit_test(reports_and_files),
        cmocka_unit_test(the_average_is_measured_in_float),
        cmocka_unit_test(refusals),
    };
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}) != CRUMB_OK) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    crumb_ctx_destroy(ctx);
    fixture_remove(fixture_data());
    return failed;
}
