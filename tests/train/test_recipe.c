/* Recipes: what they mean, what is refused and how, overrides, variables, files. */
#include "harness.h"

#include "base/file.h"
#include "train/recipe.h"

#include <libgen.h>

#define BASE                                                                                                                   \
    "model: {name: resnet20}\n"                                                                                                \
    "data: {train: \"digits:train\", test: digits}\n"

static const char *lookup(void *user, const char *name) {
    (void)user;
    return strcmp(name, "HERE") == 0 ? "/some/where" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static crumb_status parse(crumb_ctx *ctx, const char *text, const char *const *overrides, int count, crumb_recipe **recipe) {
    return crumb_recipe_parse(ctx, "recipe.yaml", text, strlen(text), overrides, count, lookup, NULL, recipe);
}

static crumb_recipe *good(crumb_ctx *ctx, const char *text, const char *const *overrides, int count) {
    crumb_recipe *recipe = NULL;
    assert_ok(ctx, parse(ctx, text, overrides, count, &recipe));
    return recipe;
}

static const char full[] = "name: everything\n"
                           "model:\n"
                           "  name: resnet32\n"
                           "  width: 1.5\n"
                           "  init: ${HERE}/weights.safetensors\n"
                           "data:\n"
                           "  train: cifar10:${HERE}/cifar:train\n"
                           "  test: cifar10:${HERE}/cifar:test\n"
                           "  limit: 1000\n"
                           "  holdout: 500\n"
                           "  mean: [0.4, 0.5, 0.6]\n"
                           "  deviation: [0.2, 0.21, 0.22]\n"
                           "  augment: [{name: pad-crop, pad: 3}, flip]\n"
                           "  workers: 2\n"
                           "quantize:\n"
                           "  weights: {name: lsq, bits: 3}\n"
                           "  activations: {name: pact, bits: 4}\n"
                           "  first: 8bit\n"
                           "  last: float\n"
                           "  shortcut: true\n"
                           "  layers:\n"
                           "    - match: \"layer3.*\"\n"
                           "      weights: {name: twn}\n"
                           "      activations: none\n"
                           "    - {match: layer1.0.conv1, weights: {name: bwn}}\n"
                           "train:\n"
                           "  epochs: 7\n"
                           "  batch: 64\n"
                           "  seed: 12345678901\n"
                           "  label_smoothing: 0.1\n"
                           "  clip_norm: 5\n"
                           "  decay_all: true\n"
                           "  loss: mse\n"
                           "  evaluate_every: 2\n"
                           "  checkpoint_every: 100\n"
                           "  measure_direct: false\n"
                           "  reestimate: true\n"
                           "  optimizer: {name: adam, lr: 0.002, weight_decay: 0}\n"
                           "  schedule: {name: constant, warmup: 0.5}\n"
                           "  teacher: {model: {name: resnet56, init: t.safetensors}, temperature: 3, weight: 0.75}\n"
                           "strategies: []\n";

static void check_data(const crumb_recipe *recipe) {
    assert_string_equal(recipe->data.train, "cifar10:/some/where/cifar:train");
    assert_string_equal(recipe->data.test, "cifar10:/some/where/cifar:test");
    assert_int_equal(recipe->data.limit, 1000);
    assert_int_equal(recipe->data.holdout, 500);
    assert_int_equal(recipe->data.workers, 2);
    assert_int_equal(recipe->data.mean.count, 3);
    assert_true(recipe->data.mean.at[2] == 0.6 && recipe->data.deviation.at[1] == 0.21);
    assert_int_equal(recipe->augments, 2);
    assert_string_equal(recipe->augment[0].augment->name, "pad-crop");
    assert_string_equal(recipe->augment[1].augment->name, "flip");
}

static void check_quant(const crumb_quant_policy *quant) {
    assert_string_equal(quant->weights.quantizer->name, "lsq");
    assert_int_equal(quant->weights.bits, 3);
    assert_string_equal(quant->activations.quantizer->name, "pact");
    assert_int_equal(quant->activations.bits, 4);
    assert_true(quant->first == CRUMB_EDGE_8BIT && quant->last == CRUMB_EDGE_FLOAT && quant->shortcut);
    assert_int_equal(quant->rules, 2);
    assert_string_equal(quant->rule[0].match, "layer3.*");
    assert_true(quant->rule[0].set_weights && quant->rule[0].set_activations);
    assert_int_equal(quant->rule[0].weights.bits, 2);
    assert_null(quant->rule[0].activations.quantizer);
    assert_true(quant->rule[1].set_weights && !quant->rule[1].set_activations);
    assert_int_equal(quant->rule[1].weights.bits, 1); /* the nearest to 2 that BWN offers */
}

static void test_every_key(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_recipe *recipe = good(ctx, full, NULL, 0);
    assert_string_equal(crumb_recipe_name(recipe), "everything");
    assert_string_equal(recipe->model.model->name, "resnet32");
    assert_string_equal(recipe->model.init, "/some/where/weights.safetensors");
    double width;
    memcpy(&width, recipe->model.params, sizeof(width));
    assert_true(width == 1.5);
    check_data(recipe);
    check_quant(&recipe->quant);
    const crumb_recipe_train *train = &recipe->train;
    assert_true(train->epochs == 7 && train->batch == 64 && train->seed == 12345678901 && train->evaluate_every == 2);
    assert_true(train->label_smoothing == 0.1 && train->clip_norm == 5 && train->loss == 1 && train->checkpoint_every == 100);
    assert_true(train->decay_all && !train->measure_direct && train->reestimate);
    double lr;
    memcpy(&lr, recipe->optimizer.params, sizeof(lr));
    assert_true(lr == 0.002);
    assert_string_equal(recipe->optimizer.optimizer->name, "adam");
    assert_string_equal(recipe->schedule.schedule->name, "constant");
    assert_string_equal(recipe->teacher.model.model->name, "resnet56");
    assert_true(recipe->teacher.temperature == 3 && recipe->teacher.weight == 0.75);
    crumb_recipe_free(recipe);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* Absent sections are presets: float, SGD, cosine. */
static void test_presets(void **state) {
    (void)state;
    static const char *const texts[] = {
        BASE,
        "model: resnet20\ndata: {train: digits:train, test: digits}\nquantize: none\ntrain:\nstrategies: ~\n",
        "{\"model\": \"resnet20\", \"data\": {\"train\": \"digits:train\", \"test\": \"digits\", \"augment\": []}}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        crumb_recipe *recipe = good(ctx, texts[i], NULL, 0);
        assert_string_equal(crumb_recipe_name(recipe), "recipe");
        assert_null(recipe->quant.weights.quantizer);
        assert_null(recipe->quant.activations.quantizer);
        assert_true(recipe->quant.first == CRUMB_EDGE_SAME && recipe->quant.rules == 0);
        assert_string_equal(recipe->optimizer.optimizer->name, "sgd");
        assert_string_equal(recipe->schedule.schedule->name, "cosine");
        assert_null(recipe->teacher.model.model);
        assert_true(recipe->train.batch == 128 && recipe->train.evaluate_every == 1 && recipe->train.measure_direct);
        assert_true(recipe->augments == 0 && recipe->strategies == 0 && recipe->data.mean.count == 0);
        crumb_recipe_free(recipe);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

typedef struct bad_case {
    const char *text, *message;
    const char *override; /* NULL: none */
} bad_case;

static const bad_case bad[] = {
    {BASE "train: {epoch: 3}", "recipe.yaml:3: unknown key 'epoch' in train; did you mean 'epochs'?", NULL},
    {BASE "trian: {epochs: 3}", "recipe.yaml:3: unknown key 'trian' in the recipe; did you mean 'train'?", NULL},
    {BASE "zzzzzzzz: 3", "recipe.yaml:3: unknown key 'zzzzzzzz' in the recipe", NULL},
    {BASE "quantize:\n  weights: {name: dorefa}\n  activations:\n    name: lsq\n    bits: 9",
     "recipe.yaml:7: bits: 9 is outside 2 .. 8", NULL},
    {BASE "quantize: {weights: {name: bwn, bits: 2}}", "recipe.yaml:3: bits: 2 is outside 1 .. 1", NULL},
    {BASE "quantize: {weights: {name: pact}}", "recipe.yaml:3: quantizer pact is not for weights", NULL},
    {BASE "quantize: {activations: {name: twn}}", "recipe.yaml:3: quantizer twn is not for activations", NULL},
    {BASE "quantize: {weights: {name: lqs}}", "recipe.yaml:3: unknown quantizer 'lqs'; did you mean 'lsq'?", NULL},
    {BASE "quantize: {weights: {name: none, bits: 2}}", "recipe.yaml:3: unknown key 'bits' in quantizer none", NULL},
    {BASE "quantize: {weights: {bits: 2}}", "recipe.yaml:3: key 'name' is missing in weights", NULL},
    {BASE "quantize: {layers: [{weights: {name: lsq}}]}", "recipe.yaml:3: key 'match' is missing in layers", NULL},
    {BASE "quantize: {first: 8bits}", "recipe.yaml:3: first: '8bits' is none of same|float|8bit", NULL},
    {BASE "quantize: 2", "recipe.yaml:3: quantize: a mapping is expected", NULL},
    {BASE "train: {epochs: fifteen}", "recipe.yaml:3: epochs: 'fifteen' is not a whole number", NULL},
    {BASE "train: {epochs: 1.5}", "recipe.yaml:3: epochs: '1.5' is not a whole number", NULL},
    {BASE "train: {epochs: 0}", "recipe.yaml:3: epochs: 0 is outside 1 .. 1e+06", NULL},
    {BASE "train: {epochs: [1]}", "recipe.yaml:3: epochs: a list where a whole number is expected", NULL},
    {BASE "train: {decay_all: {a: 1}}", "recipe.yaml:3: decay_all: a mapping where true or false is expected", NULL},
    {BASE "train: {decay_all: yes}", "recipe.yaml:3: decay_all: 'yes' is neither true nor false", NULL},
    {BASE "train: {label_smoothing: .nan}", "recipe.yaml:3: label_smoothing: '.nan' is not a number", NULL},
    {BASE "train: {clip_norm: nan}", "recipe.yaml:3: clip_norm: 'nan' is not a number", NULL},
    {BASE "train: {optimizer: {name: sgd, momentm: 1}}",
     "recipe.yaml:3: unknown key 'momentm' in optimizer sgd; did you mean 'momentum'?", NULL},
    {BASE "train: {optimizer: {name: [sgd]}}", "recipe.yaml:3: name: a word is expected", NULL},
    {BASE "train: {schedule: cosin}", "recipe.yaml:3: unknown schedule 'cosin'; did you mean 'cosine'?", NULL},
    {BASE "train: {teacher: {temperature: 2}}", "recipe.yaml:3: key 'model' is missing in teacher", NULL},
    {BASE "train: [1]", "recipe.yaml:3: train: a mapping is expected", NULL},
    {BASE "strategies: [{name: no-such-strategy}]", "recipe.yaml:3: unknown strategy 'no-such-strategy'", NULL},
    {BASE "strategies: {name: x}", "recipe.yaml:3: strategies: a list is expected", NULL},
    {BASE "data: {train: x}", "recipe.yaml:3: key 'data' is already in line 2", NULL},
    {BASE "train:\n  epochs: 1\n  batch: 2\n  epochs: 3", "recipe.yaml:6: key 'epochs' is already in line 4", NULL},
    {BASE "? [a]\n: 1", "recipe.yaml:3: a key is not a word", NULL},
    {BASE "train: &a {epochs: 1}", "recipe.yaml:3: anchors, aliases and tags are not used in recipes", NULL},
    {BASE "train: {epochs: !!int 3}", "recipe.yaml:3: anchors, aliases and tags are not used in recipes", NULL},
    {BASE "name: \"a\\0b\"", "recipe.yaml:3: a text with a zero byte", NULL},
    {BASE "%YAML 1.2\n", "recipe.yaml:3: a line that starts with '%': directives are not used in recipes", NULL},
    {"%ame>e: |\xd3[MB |\xd3[MB_DATA},", "recipe.yaml:1: a line that starts with '%'", NULL},
    {BASE "name: \xd3[", "recipe.yaml:3: the text is not UTF-8", NULL},
    {BASE "name: \x01", "recipe.yaml:3: a control character", NULL},
    {BASE "name: a\xc2\x85z", "recipe.yaml:3: a control character", NULL},
    {BASE "train: {epochs: 3", "recipe.yaml:", NULL},
    {BASE "train:\n\tepochs: 3", "recipe.yaml:", NULL},
    {BASE "---\nname: second\n", "recipe.yaml:3: a second document", NULL},
    {BASE "name: ${MISSING}/x", "recipe.yaml:3: ${MISSING} is not set", NULL},
    {BASE "name: ${HERE", "recipe.yaml:3: '${HERE' is not ${NAME}", NULL},
    {"model: resnet21\n", "recipe.yaml:1: unknown model 'resnet21'; did you mean 'resnet20'?", NULL},
    {"model: {width: 1}\n", "recipe.yaml:1: key 'name' is missing in model", NULL},
    {"model: {name: resnet20, width: wide}\n", "recipe.yaml:1: width: 'wide' is not a number", NULL},
    {"", "recipe.yaml: key 'model' is missing in the recipe", NULL},
    {"data: {train: digits:train, test: digits}\n", "recipe.yaml: key 'model' is missing in the recipe", NULL},
    {"model: resnet20\n", "recipe.yaml: key 'train' is missing in data", NULL},
    {"model: resnet20\ndata: {train: digits:train}\n", "recipe.yaml:2: key 'test' is missing in data", NULL},
    {"model: resnet20\ndata: {train: d, test: d, mean: [1]}\n",
     "recipe.yaml:2: mean has 1 numbers and deviation 0: one a channel, at most 4", NULL},
    {"model: resnet20\ndata: {train: d, test: d, mean: [a]}\n", "recipe.yaml:2: mean: 'a' in [a] is not a number", NULL},
    {"model: resnet20\ndata: {train: d, test: d, mean: [[1]]}\n", "recipe.yaml:2: mean: an element is not a number", NULL},
    {"model: resnet20\ndata: {train: d, test: d, deviation: [0]}\n", "recipe.yaml:2: deviation: 0 is outside 1e-06 .. 1000",
     NULL},
    {"model: resnet20\ndata: {train: d, test: d, augment: [f, flip]}\n", "recipe.yaml:2: unknown augment 'f'", NULL},
    {"model: resnet20\ndata:\n  train: d\n  test: d\n  augment: [flip, flip, flip, flip, flip, flip, flip, flip,\n    flip]\n",
     "recipe.yaml:6: augment: more than 8 elements", NULL},
    {"- a\n- b\n", "recipe.yaml: the recipe: a mapping is expected", NULL},
    {"just words", "recipe.yaml: the recipe: a mapping is expected", NULL},
    /* overrides */
    {BASE, "--set train.lr=0.1: unknown key 'lr' in train", "train.lr=0.1"},
    {BASE, "--set train.batch=0: batch: 0 is outside 1 .. 65536", "train.batch=0"},
    {BASE, "--set train.batch: no '='; write key.path=value", "train.batch"},
    {BASE, "--set =3: an empty key", "=3"},
    {BASE, "--set train..batch=3: an empty key", "train..batch=3"},
    {BASE, "--set strategies.1.name=x: '1' is no element of a list of 0", "strategies.1.name=x"},
    {BASE, "--set data.augment=[flip: ", "data.augment=[flip"},
    {BASE, "--set data.augment.x=1: augment: a list is expected", "data.augment.x=1"},
    {BASE, "--set train.optimizer.name=sdg: unknown optimizer 'sdg'; did you mean 'sgd'?", "train.optimizer.name=sdg"},
    {BASE, "--set name=${NONE}: ${NONE} is not set", "name=${NONE}"},
    {BASE, "--set name=\xff: the text is not UTF-8", "name=\xff"},
    {BASE, "--set name.x=1: name: a mapping where a text is expected", "name.x=1"},
};

static void test_bad_recipes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        crumb_recipe *recipe = NULL;
        crumb_status status = parse(ctx, bad[i].text, &bad[i].override, bad[i].override != NULL, &recipe);
        if (status == CRUMB_OK || strncmp(crumb_message(ctx), bad[i].message, strlen(bad[i].message)) != 0) {
            fail_msg("case %zu: \"%s\" instead of \"%s\"", i, crumb_message(ctx), bad[i].message);
        }
        assert_null(recipe);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

static void test_overrides(void **state) {
    (void)state;
    static const char *const overrides[] = {
        "model.width=2",
        "train.epochs=3",
        "train.optimizer={name: adamw, lr: 0.25}",
        "train.optimizer.weight_decay=0.5",
        "data.augment.0=flip",
        "data.augment.1.name=pad-crop",
        "data.augment.1.pad=2",
        "data.mean=[1, 2]",
        "data.deviation=[3, 4]",
        "quantize.layers.0.match=layer1.*",
        "quantize.layers.0.weights.name=lsq",
        "quantize.layers.1.match=conv1",
        "name=a=b.c",
        "train.teacher.model=resnet56",
        "train.teacher.model.init=${HERE}/t",
    };
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_recipe *recipe = good(ctx,
                                "model: resnet20\n"
                                "data: {train: digits:train, test: digits}\n"
                                "train: {epochs: 9, batch: 5}\n",
                                overrides, sizeof(overrides) / sizeof(overrides[0]));
    double width, lr[2];
    memcpy(&width, recipe->model.params, sizeof(width));
    memcpy(lr, recipe->optimizer.params, sizeof(lr));
    assert_true(width == 2 && lr[0] == 0.25 && lr[1] == 0.5);
    assert_true(recipe->train.epochs == 3 && recipe->train.batch == 5);
    assert_string_equal(recipe->optimizer.optimizer->name, "adamw");
    assert_int_equal(recipe->augments, 2);
    assert_string_equal(recipe->augment[0].augment->name, "flip");
    assert_string_equal(recipe->augment[1].augment->name, "pad-crop");
    assert_true(recipe->data.mean.at[1] == 2 && recipe->data.deviation.at[0] == 3);
    assert_int_equal(recipe->quant.rules, 2);
    assert_string_equal(recipe->quant.rule[0].match, "layer1.*");
    assert_string_equal(recipe->quant.rule[0].weights.quantizer->name, "lsq");
    assert_false(recipe->quant.rule[1].set_weights);
    assert_string_equal(recipe->name, "a=b.c");
    assert_string_equal(recipe->teacher.model.model->name, "resnet56");
    assert_string_equal(recipe->teacher.model.init, "/some/where/t");
    crumb_recipe_free(recipe);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void keep_line(void *user, crumb_log_level level, const char *line) {
    (void)level;
    snprintf(user, 256, "%s%s", strlen(user) > 0 ? "twice! " : "", line);
}

/* Another name by an override leaves out the file's keys that only other rows have, says so, and keeps every other mistake one.
 */
static void test_other_row(void **state) {
    (void)state;
    static const char text[] =
        BASE "quantize: {weights: {name: lsq, bits: 3, init: mean}, layers: [{match: x, weights: {name: lsq}}]}\n"
             "train: {optimizer: {lr: 0.02, momentum: 0.8}, schedule: cosine}\n";
    static const struct {
        const char *set[2], *says;
    } cases[] = {
        {{"train.optimizer.name=adam"}, "--set train.optimizer.name=adam: leaves out momentum; keeps lr = 0.02"},
        {{"train.optimizer.name=adam", "train.optimizer.lr=0.5"}, "--set train.optimizer.name=adam: leaves out momentum"},
        {{"quantize.weights.name=dorefa"}, "--set quantize.weights.name=dorefa: leaves out init; keeps bits = 3"},
        {{"quantize.weights.name=none"}, "--set quantize.weights.name=none: leaves out bits, init"},
        {{"train.optimizer.name=sgd"}, ""},
        {{"train.optimizer=adam"}, ""},
        {{"quantize.layers.0.weights.name=dorefa"}, ""},
    };
    char said[256];
    crumb_ctx *ctx;
    crumb_recipe *recipe;
    crumb_settings settings = {.log = keep_line, .log_user = said};
    assert_int_equal(crumb_ctx_create(&ctx, &settings), CRUMB_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        said[0] = '\0';
        recipe = good(ctx, text, cases[i].set, cases[i].set[1] != NULL ? 2 : 1);
        assert_string_equal(said, cases[i].says);
        double lr;
        memcpy(&lr, recipe->optimizer.params, sizeof(lr));
        assert_true(lr == (cases[i].set[1] != NULL                                ? 0.5
                           : strcmp(cases[i].set[0], "train.optimizer=adam") == 0 ? 0.001
                                                                                  : 0.02));
        crumb_recipe_free(recipe);
    }
    static const char *const wrong[][2] = {
        {"train.optimizer.name=adam", "train.optimizer.momentum=0.5"}, /* asked for in words */
        {"train.schedule.name=step", "train.schedule.momentum=1"},
    };
    for (int i = 0; i < 2; i++) {
        assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "unknown key 'momentum'", parse(ctx, text, wrong[i], 2, &recipe));
    }
    static const char typing[] = BASE "train: {optimizer: {momentun: 0.8}}\n";
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "unknown key 'momentun'", parse(ctx, typing, wrong[0], 1, &recipe));
    static const char named[] = BASE "train: {optimizer: {name: adam, momentum: 0.8}}\n"; /* the file contradicts itself */
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "unknown key 'momentum' in optimizer adam", parse(ctx, named, NULL, 0, &recipe));
    crumb_ctx_destroy(ctx);
}

static void test_variables(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    static const char *const cases[][2] = {
        {"name: a${HERE}b${HERE}", "a/some/whereb/some/where"},
        {"name: \"${EMPTY}x\"", "x"},
        {"name: $${HERE}", "${HERE}"},
        {"name: $HERE", "$HERE"},
        {"name: $$${HERE}", "$${HERE}"},
        {"name: \"$\"", "$"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s%s", BASE, cases[i][0]);
        crumb_recipe *recipe = good(ctx, text, NULL, 0);
        assert_string_equal(crumb_recipe_name(recipe), cases[i][1]);
        crumb_recipe_free(recipe);
    }
    crumb_recipe *recipe = NULL;
    assert_ok(ctx, crumb_recipe_parse(ctx, "a/\xc3\xa9\xff.yaml", BASE, strlen(BASE), NULL, 0, NULL, NULL, &recipe));
    assert_string_equal(crumb_recipe_name(recipe), "\xc3\xa9?");
    crumb_recipe_free(recipe);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "x.yaml:1: ${HERE} is not set",
                 crumb_recipe_parse(ctx, "x.yaml", "name: ${HERE}", 13, NULL, 0, NULL, NULL, &recipe));
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* Loading from a file also looks for the files that the recipe names. */
static void test_files(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_recipe *recipe;
    char path[128], text[512], words[256];
    snprintf(path, sizeof(path), "%s/w2.a2.yaml", test_folder());
    assert_fails(ctx, CRUMB_ERROR_IO, path, crumb_recipe_load(ctx, path, NULL, 0, &recipe));
    assert_ok(ctx, crumb_file_write(ctx, path, BASE, strlen(BASE)));
    assert_ok(ctx, crumb_recipe_load(ctx, path, NULL, 0, &recipe));
    assert_string_equal(crumb_recipe_name(recipe), "w2.a2");
    crumb_recipe_free(recipe);

    const char *wrong[][2] = {
        {"model:\n  name: resnet20\n  init: no/such/file", ":3: init: there is no file no/such/file"},
        {"model:\n  name: resnet20\n  init: none", ":3: init: there is no file none: for random weights leave init out"},
        {"model: resnet20\ndata:\n  train: cifar10:no/where:train",
         ":3: train: data set 'cifar10:no/where:train': there is no"},
        {"model: resnet20\ndata: {train: digits:train,\n  test: cfar10:x}", ":3: test: data set 'cfar10:x': unknown kind"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "%s", wrong[i][0]);
        snprintf(words, sizeof(words), "%s%s", path, wrong[i][1]);
        assert_ok(ctx, crumb_file_write(ctx, path, text, strlen(text)));
        crumb_status status = crumb_recipe_load(ctx, path, NULL, 0, &recipe);
        if (status == CRUMB_OK || strstr(crumb_message(ctx), words) != crumb_message(ctx)) {
            fail_msg("\"%s\" instead of \"%s\"", crumb_message(ctx), words);
        }
    }
    unlink(path);
    rmdir(dirname(path));
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static crumb_status parse_and_print(crumb_ctx *ctx, void *user) {
    static const char *const overrides[] = {"train.optimizer.lr=0.5", "data.mean=[1, 2, 3]", "name=x",
                                            "quantize.weights.name=dorefa", "train.optimizer.name=sgd"};
    crumb_recipe *recipe;
    char *text;
    (void)user;
    CRUMB_TRY(parse(ctx, full, overrides, 5, &recipe));
    crumb_status status = crumb_recipe_print(recipe, &text);
    if (status == CRUMB_OK) {
        crumb_text_free(ctx, text);
        status = crumb_recipe_timeline(recipe, &text);
    }
    if (status == CRUMB_OK) {
        crumb_text_free(ctx, text);
    }
    crumb_recipe_free(recipe);
    return status;
}

static void test_allocations(void **state) {
    (void)state;
    test_every_allocation(parse_and_print, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key), cmocka_unit_test(test_presets),     cmocka_unit_test(test_bad_recipes),
        cmocka_unit_test(test_overrides), cmocka_unit_test(test_other_row),   cmocka_unit_test(test_variables),
        cmocka_unit_test(test_files),     cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
