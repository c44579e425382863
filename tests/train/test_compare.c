/* Comparisons: the file, the words of the command line, budgets, run folders, the outcome; every allocation failing. */
#include "fixture.h"

#include "train/compare.h"

#include <jansson.h>

static crumb_ctx *ctx;
static char work[128];

static const char *file(const char *name, const char *text) {
    const char *path = fixture_path(work, name);
    assert_ok(ctx, crumb_file_write(ctx, path, text, strlen(text)));
    return path;
}

static const char *recipe_file(void) {
    char text[1024];
    snprintf(text, sizeof(text),
             "model: {name: mlp, hidden: [4]}\ndata: {train: 'idx:%s:train', test: 'idx:%s:test', workers: 0, mean: [0.3], "
             "deviation: [0.2]}\nquantize: {weights: {name: uniform, bits: 2}}\ntrain: {batch: 32, epochs: 2}\n",
             fixture_data(), fixture_data());
    return file("recipe.yaml", text);
}

/* A comparison of that recipe; what follows `recipe:`. */
static const char *compare_file(const char *rest) {
    char text[2048], recipe[256];
    snprintf(recipe, sizeof(recipe), "%s", recipe_file());
    snprintf(text, sizeof(text), "recipe: %s\n%s", recipe, rest);
    return file("compare.yaml", text);
}

static crumb_comparison *load(const char *rest) {
    crumb_comparison *c;
    assert_ok(ctx, crumb_comparison_load(ctx, compare_file(rest), NULL, &c));
    return c;
}

static void refused(const char *words, const char *rest) {
    crumb_comparison *c = NULL;
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, words, crumb_comparison_load(ctx, compare_file(rest), NULL, &c));
    assert_null(c);
}

static void reads_the_file(void **state) {
    (void)state;
    crumb_comparison *c =
        load("seeds: [7, 3]\ncontrol: b\nmeasure: best\nvariants:\n"
             "  a: {train.optimizer: {name: adam, lr: 0.01}, data.augment: [flip, {name: pad-crop, pad: 1}]}\n"
             "  b:\n"
             "  c: {train.optimizer.lr: 0.5, quantize.weights.bits: 3}\n");
    crumb_variant_info info;
    int64_t seed;
    assert_true(crumb_comparison_seed(c, 1, &seed) && seed == 3);
    assert_false(crumb_comparison_seed(c, 2, &seed));
    assert_string_equal(crumb_comparison_measure(c), "best");
    assert_true(crumb_comparison_variant(c, 0, &info));
    assert_string_equal(info.name, "a");
    assert_string_equal(crumb_recipe_name(info.recipe), "a");
    assert_string_equal(info.recipe->optimizer.optimizer->name, "adam");
    assert_int_equal(info.recipe->augments, 2);
    assert_int_equal(info.recipe->train.seed, 7);
    assert_int_equal(c->variant[0].recipe[1]->train.seed, 3);
    assert_true(info.epochs == 2 && info.images == 2 * FIXTURE_TRAIN && info.passes == 0);
    assert_int_equal(info.verdict, CRUMB_VERDICT_NONE);
    assert_true(crumb_comparison_variant(c, 1, &info));
    assert_int_equal(info.verdict, CRUMB_VERDICT_CONTROL);
    assert_int_equal(info.recipe->augments, 0);
    assert_true(crumb_comparison_variant(c, 2, &info));
    assert_int_equal(info.recipe->quant.weights.bits, 3);
    assert_false(crumb_comparison_variant(c, 3, &info));
    crumb_comparison_free(c);
    c = load("variants: {only: {}}\n");
    assert_int_equal(c->seeds, 3);
    assert_string_equal(crumb_comparison_measure(c), "last");
    crumb_comparison_free(c);
}

static void reads_words(void **state) {
    (void)state;
    static const char *const words[] = {"plain", "low:train.optimizer.lr=0.01", "low:train.batch=64"};
    static const char *const common[] = {"train.epochs=4"};
    static const int64_t seeds[] = {5};
    crumb_comparison *c;
    crumb_variant_info info;
    crumb_comparison_options options = {.variants = words,
                                        .variant_count = 3,
                                        .overrides = common,
                                        .override_count = 1,
                                        .seeds = seeds,
                                        .seed_count = 1,
                                        .control = "low",
                                        .measure = "best"};
    assert_ok(ctx, crumb_comparison_load(ctx, recipe_file(), &options, &c));
    assert_int_equal(c->variants, 2);
    assert_true(crumb_comparison_variant(c, 1, &info));
    assert_string_equal(info.name, "low");
    assert_true(info.verdict == CRUMB_VERDICT_CONTROL && info.recipe->train.batch == 64 && info.epochs == 4);
    crumb_comparison_free(c);
    options.control = "lo";
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "did you mean 'low'", crumb_comparison_load(ctx, recipe_file(), &options, &c));
    options.control = NULL;
    options.measure = "first";
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "none of last, best", crumb_comparison_load(ctx, recipe_file(), &options, &c));
    options.measure = NULL;
    options.variants = (const char *const[]){"../up"};
    options.variant_count = 1;
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "'../up' is no name", crumb_comparison_load(ctx, recipe_file(), &options, &c));
    options.variants = (const char *const[]){"x:train.epoch=3"};
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "variant x: --set train.epoch=3",
                 crumb_comparison_load(ctx, recipe_file(), &options, &c));
}

static void refuses_bad_files(void **state) {
    (void)state;
    crumb_comparison *c;
    refused("no mapping 'variants'", "seeds: [1]\n");
    refused("no mapping 'variants'", "variants: [a]\n");
    refused("no variants", "variants: {}\n");
    refused("did you mean 'seeds'", "seed: [1]\nvariants: {a: {}}\n");
    refused("compare.yaml:3: 'a b' is no name", "variants:\n  a b: {}\n");
    refused("a mapping of keys", "variants: {a: [1]}\n");
    refused("train.seed is set by the comparison", "variants: {a: {train.seed: 3}}\n");
    refused("seed 2 is there twice", "seeds: [2, 2]\nvariants: {a: {}}\n");
    refused("not a whole number", "seeds: [1.5]\nvariants: {a: {}}\n");
    refused("0 seeds", "seeds: []\nvariants: {a: {}}\n");
    refused("no variant 'x'", "control: x\nvariants: {a: {}}\n");
    refused("variant a: --set train.epochs=many", "variants: {a: {train.epochs: many}}\n");
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "key 'recipe' is missing",
                 crumb_comparison_load(ctx, file("x.yaml", "variants: {a: {}}\n"), NULL, &c));
    assert_fails(ctx, CRUMB_ERROR_IO, "missing.yaml",
                 crumb_comparison_load(ctx, file("x.yaml", "recipe: missing.yaml\nvariants: {a: {}}\n"), NULL, &c));
}

/* Different numbers of images are refused, or fitted; batch sizes that leave other rests count too. */
static void budgets_are_equal(void **state) {
    (void)state;
    refused("variant b trains on 768 images (3 epochs), a on 512 (2)", "variants: {a: {}, b: {train.epochs: 3}}\n");
    refused("variant b trains on 480 images", "variants: {a: {}, b: {train.batch: 48}}\n"); /* 5 batches of 48 in 256 images */
    refused("different images", "variants: {a: {}, b: {data.holdout: 64}}\n");
    crumb_comparison *c = load("variants: {a: {}, b: {data.limit: 128, train.epochs: 4}}\n");
    assert_true(c->variant[0].info.images == 512 && c->variant[1].info.images == 512);
    crumb_comparison_free(c);
    c = load("epochs: 5\nvariants: {a: {train.reestimate: true}, b: {train.epochs: 3}}\n");
    for (int v = 0; v < 2; v++) {
        assert_true(c->variant[v].info.epochs == 5 && c->variant[v].info.images == 5 * FIXTURE_TRAIN);
        assert_int_equal(c->variant[v].recipe[2]->train.epochs, 5);
        assert_int_equal(c->variant[v].info.passes, v == 0);
    }
    crumb_comparison_free(c);
}

/* ---- Running. */

static const char two_variants[] = "seeds: [1, 2]\nvariants: {a: {}, b: {train.optimizer.lr: 0.001, train.reestimate: true}}\n";

typedef struct watch {
    int steps, finished, found, stop_after; /* steps; 0: never */
    double last;
} watch;

static bool look_on(void *user, const crumb_compare_progress *now) {
    watch *w = user;
    assert_int_equal(now->runs, 4);
    assert_true(now->fraction >= w->last && now->fraction <= 1);
    w->last = now->fraction;
    if (now->train == NULL) {
        w->finished++;
        w->found += now->found;
        assert_true(now->top1 > 0 && now->seconds > 0);
    } else {
        w->steps++;
    }
    return w->stop_after == 0 || w->steps < w->stop_after;
}

static json_t *outcome(const char *folder) {
    json_t *object = json_load_file(fixture_path(folder, "compare.json"), 0, NULL);
    assert_non_null(object);
    json_t *variants = json_object_get(object, "variants");
    for (size_t i = 0; i < json_array_size(variants); i++) {
        assert_true(json_number_value(json_object_get(json_array_get(variants, i), "seconds")) > 0);
        json_object_del(json_array_get(variants, i), "seconds");
    }
    return object;
}

static void stopped_and_continued_is_the_same(void **state) {
    (void)state;
    char whole[192], parts[192];
    snprintf(whole, sizeof(whole), "%s/whole", work);
    snprintf(parts, sizeof(parts), "%s/parts", work);
    watch w = {0};
    crumb_comparison *c = load(two_variants);
    assert_ok(ctx, crumb_compare(c, whole, look_on, &w));
    assert_true(w.finished == 4 && w.found == 0 && w.steps == 4 * 16 && w.last == 1);
    crumb_variant_info a, b;
    assert_true(crumb_comparison_variant(c, 0, &a) && crumb_comparison_variant(c, 1, &b));
    assert_true(a.finished == 2 && a.extra_images == 32 && b.extra_images == 32 + FIXTURE_TRAIN);
    assert_true(fabs(a.mean - (a.top1[0] + a.top1[1]) / 2) < 1e-9 && a.deviation >= 0);
    assert_true(fabs(b.difference - (b.mean - a.mean)) < 1e-9 && b.low <= b.difference && b.difference <= b.high);
    assert_true(a.seconds > 0 && isnan(a.difference));

    for (int stop = 7; stop < 64; stop += 19) { /* in the first, second and third run, then to the end */
        watch part = {.stop_after = stop - (stop > 7 ? 7 : 0)};
        crumb_status status = crumb_compare(c, parts, look_on, &part);
        if (status != CRUMB_OK) {
            assert_int_equal(status, CRUMB_ERROR_STOPPED);
        }
    }
    watch rest = {0};
    assert_ok(ctx, crumb_compare(c, parts, look_on, &rest));
    crumb_comparison_free(c);
    json_t *x = outcome(whole), *y = outcome(parts);
    assert_true(json_equal(x, y));
    json_decref(x);
    json_decref(y);

    /* Again: everything is found. One more seed: only it runs. Another recipe: refused by name, before anything runs. */
    c = load(two_variants);
    watch again = {0};
    assert_ok(ctx, crumb_comparison_look(c, whole));
    assert_true(crumb_comparison_variant(c, 1, &b) && b.finished == 2);
    assert_ok(ctx, crumb_compare(c, whole, look_on, &again));
    assert_true(again.found == 4 && again.steps == 0);
    crumb_comparison_free(c);
    c = load("seeds: [1, 2]\nvariants: {a: {}, b: {train.optimizer.lr: 0.002, train.reestimate: true}}\n");
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "b/seed-1 holds a run of another recipe (train.optimizer.lr is 0.002, was 0.001)",
                 crumb_compare(c, whole, NULL, NULL));
    crumb_comparison_free(c);
}

/* A result that tells of another number of images is not believed. */
static void results_are_checked(void **state) {
    (void)state;
    char out[192], path[256];
    snprintf(out, sizeof(out), "%s/checked", work);
    snprintf(path, sizeof(path), "%s/a/seed-1/result.json", out);
    crumb_comparison *c = load("seeds: [1]\nvariants: {a: {}, b: {train.optimizer.lr: 0.3}}\n");
    assert_ok(ctx, crumb_compare(c, out, NULL, NULL));
    crumb_variant_info b;
    assert_true(crumb_comparison_variant(c, 1, &b));
    assert_true(b.verdict == CRUMB_VERDICT_NONE && isnan(b.deviation) && isnan(b.low)); /* one seed */
    json_t *object = json_load_file(path, 0, NULL);
    json_object_set_new(object, "images", json_integer(511));
    assert_int_equal(json_dump_file(object, path, 0), 0);
    json_decref(object);
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "trained on 511 images, the timeline says 512", crumb_compare(c, out, NULL, NULL));
    crumb_comparison_free(c);
}

static crumb_status load_and_free(crumb_ctx *own, void *user) {
    crumb_comparison *c;
    CRUMB_TRY(crumb_comparison_load(own, user, NULL, &c));
    crumb_comparison_free(c);
    return CRUMB_OK;
}

static crumb_status run_again(crumb_ctx *own, void *user) {
    crumb_comparison *c;
    char out[192];
    snprintf(out, sizeof(out), "%s/memory", work);
    CRUMB_TRY(crumb_comparison_load(own, user, NULL, &c));
    crumb_status status = crumb_compare(c, out, NULL, NULL);
    crumb_comparison_free(c);
    return status;
}

static void every_allocation(void **state) {
    (void)state;
    char path[256];
    snprintf(path, sizeof(path), "%s",
             compare_file("seeds: [1]\nepochs: 3\nvariants: {a: {data.augment: [flip]}, b: {train.optimizer.lr: 0.1}}\n"));
    test_every_allocation(load_and_free, path);
    assert_ok(ctx, run_again(ctx, path)); /* finished runs: the failures are then the comparison's own */
    test_every_allocation(run_again, path);
}

static int setup(void **state) {
    (void)state;
    snprintf(work, sizeof(work), "%s", test_folder());
    return crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1});
}

static int teardown(void **state) {
    (void)state;
    crumb_ctx_destroy(ctx);
    fixture_remove(work);
    fixture_remove(fixture_data());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_file),
        cmocka_unit_test(reads_words),
        cmocka_unit_test(refuses_bad_files),
        cmocka_unit_test(budgets_are_equal),
        cmocka_unit_test(stopped_and_continued_is_the_same),
        cmocka_unit_test(results_are_checked),
        cmocka_unit_test(every_allocation),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
