/* Timelines: the recipe's own phase, strategies that rewrite it, what is refused; and the catalog of all lists. */
#include "harness.h"

#include "base/param.h"
#include "train/catalog.h"
#include "train/recipe.h"

static const char text[] = "model: resnet20\n"
                           "data: {train: \"digits:train\", test: digits}\n"
                           "quantize: {weights: {name: lsq, bits: 2}, activations: {name: lsq, bits: 4}, first: 8bit,\n"
                           "           layers: [{match: x, weights: none}]}\n"
                           "train: {epochs: 6, optimizer: {name: sgd, lr: 0.05}, schedule: cosine}\n";

static crumb_recipe *parse(crumb_ctx *ctx) {
    crumb_recipe *recipe = NULL;
    assert_ok(ctx, crumb_recipe_parse(ctx, "r.yaml", text, strlen(text), NULL, 0, NULL, NULL, &recipe));
    return recipe;
}

/* ---- Strategies of the tests' own: `parts` phases out of each, and one that spoils a phase. */

typedef struct split_params {
    int64_t parts;
} split_params;

static const crumb_param split_table[] = {
    {"parts", CRUMB_PARAM_INT, offsetof(split_params, parts), "2", 1, 1000, NULL, "phases out of one"},
    {0},
};

static crumb_status split_rewrite(crumb_ctx *ctx, const crumb_strategy_run *run, crumb_timeline *timeline) {
    int parts = (int)((const split_params *)run->params)->parts, before = timeline->phases;
    if (before * parts > CRUMB_PHASES_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%d phases are too many", before * parts);
    }
    for (int i = before * parts - 1; i >= 0; i--) {
        crumb_phase phase = timeline->phase[i / parts];
        phase.epochs /= parts;
        phase.tag[run->index] = i % parts + 1;
        snprintf(phase.name, sizeof(phase.name), "part %d", i);
        timeline->phase[i] = phase;
    }
    timeline->phases = before * parts;
    return CRUMB_OK;
}

static int spoil; /* which fault spoil_rewrite makes */

static crumb_status spoil_rewrite(crumb_ctx *ctx, const crumb_strategy_run *run, crumb_timeline *timeline) {
    crumb_phase *phase = &timeline->phase[timeline->phases - 1];
    (void)ctx, (void)run;
    switch (spoil) {
    case 0:
        phase->quant.weights.bits = 9;
        break;
    case 1:
        phase->quant.rule[0].activations = phase->quant.activations;
        phase->quant.rule[0].activations.bits = 0;
        break;
    case 2:
        timeline->phases = 0;
        break;
    case 3:
        phase->schedule.schedule = NULL;
        break;
    default:
        phase->quant.rules = CRUMB_QUANT_RULES_MAX + 1;
        break;
    }
    return CRUMB_OK;
}

static const crumb_strategy split = {.name = "split",
                                     .doc = "",
                                     .source = "",
                                     .params = split_table,
                                     .params_size = sizeof(split_params),
                                     .rewrite = split_rewrite};
static const crumb_strategy spoiler = {.name = "spoiler", .doc = "", .source = "", .rewrite = spoil_rewrite};
static const crumb_strategy idle = {.name = "idle", .doc = "", .source = ""};

static void use(crumb_recipe *recipe, const crumb_strategy *strategy, int64_t parts) {
    crumb_strategy_choice *choice = &recipe->strategy[recipe->strategies++];
    choice->strategy = strategy;
    memcpy(choice->params, &parts, sizeof(parts));
}

static void test_one_phase(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_recipe *recipe = parse(ctx);
    crumb_timeline *timeline = crumb_alloc(ctx, 1, sizeof(*timeline));
    char *printed;
    assert_ok(ctx, crumb_recipe_phases(recipe, timeline));
    const crumb_phase *phase = &timeline->phase[0];
    assert_int_equal(timeline->phases, 1);
    assert_string_equal(phase->name, "train");
    assert_memory_equal(&phase->quant, &recipe->quant, sizeof(phase->quant));
    assert_memory_equal(&phase->optimizer, &recipe->optimizer, sizeof(phase->optimizer));
    assert_memory_equal(&phase->schedule, &recipe->schedule, sizeof(phase->schedule));
    assert_true(phase->epochs == 6 && phase->tag[0] == 0 && !phase->keep_optimizer && !phase->reestimate);
    assert_ok(ctx, crumb_recipe_timeline(recipe, &printed));
    assert_string_equal(printed, "1 train: 6 epochs, weights lsq 2 bits, activations lsq 4 bits, first 8bit, 1 layer rule, "
                                 "sgd lr 0.05, cosine\n");
    crumb_text_free(ctx, printed);
    crumb_free(ctx, timeline);
    crumb_recipe_free(recipe);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* Strategies compose in the recipe's order. */
static void test_rewrites(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_recipe *recipe = parse(ctx);
    crumb_timeline *timeline = crumb_alloc(ctx, 1, sizeof(*timeline));
    use(recipe, &split, 2);
    use(recipe, &idle, 0);
    use(recipe, &split, 3);
    assert_ok(ctx, crumb_recipe_phases(recipe, timeline));
    assert_int_equal(timeline->phases, 6);
    for (int i = 0; i < 6; i++) {
        const int *tag = timeline->phase[i].tag; /* of each strategy its own */
        assert_true(timeline->phase[i].epochs == 1 && tag[0] == i / 3 + 1 && tag[1] == 0 && tag[2] == i % 3 + 1);
    }
    assert_string_equal(timeline->phase[4].name, "part 4");
    crumb_free(ctx, timeline);
    crumb_recipe_free(recipe);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_refused(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_recipe *recipe = parse(ctx);
    char *printed;
    use(recipe, &split, 7);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "phase 'part 0' has 0 epochs", crumb_recipe_timeline(recipe, &printed));
    recipe->strategies = 0;
    use(recipe, &split, 1000);
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "strategy split: 1000 phases are too many",
                 crumb_recipe_timeline(recipe, &printed));
    recipe->strategies = 0;
    use(recipe, &spoiler, 0);
    static const char *const messages[] = {
        "phase 'train': lsq with 9 bits is outside 2 .. 8", "phase 'train': lsq with 0 bits is outside 2 .. 8",
        "strategy spoiler: 0 phases, at most 256",          "phase 'train' has no schedule",
        "phase 'train' has 65 layer rules, at most 64",
    };
    for (spoil = 0; spoil < 5; spoil++) {
        assert_fails(ctx, CRUMB_ERROR_ARGUMENT, messages[spoil], crumb_recipe_timeline(recipe, &printed));
    }
    crumb_recipe_free(recipe);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* ---- The catalog. */

static void check_detail(const char *name, const char *detail) {
    assert_non_null(detail);
    for (const char *line = detail; *line != '\0';) { /* "key: value" lines, no blank ones, no newline at the end */
        size_t length = strcspn(line, "\n");
        const char *colon = memchr(line, ':', length);
        if (colon == NULL || colon == line || colon[1] != ' ' || strstr(line, "(null)") != NULL) {
            fail_msg("%s: detail \"%s\"", name, detail);
        }
        line += length;
        if (*line == '\n') {
            line++;
            assert_true(*line != '\0');
        }
    }
}

static void test_catalog(void **state) {
    (void)state;
    for (int kind = 0; kind < CRUMB_KINDS; kind++) {
        crumb_entry entry, other;
        int count = crumb_kind_count((crumb_kind)kind);
        assert_true(strlen(crumb_kind_name((crumb_kind)kind)) > 1);
        for (int i = 0; i < count; i++) {
            assert_true(crumb_kind_entry((crumb_kind)kind, i, &entry));
            assert_non_null(entry.doc);
            check_detail(entry.name, crumb_kind_detail((crumb_kind)kind, i));
            for (int j = 0; j < i && kind != CRUMB_KIND_BACKEND; j++) {
                assert_true(crumb_kind_entry((crumb_kind)kind, j, &other));
                assert_string_not_equal(entry.name, other.name);
            }
        }
        assert_false(crumb_kind_entry((crumb_kind)kind, count, &entry));
        assert_false(crumb_kind_entry((crumb_kind)kind, -1, &entry));
        assert_null(crumb_kind_detail((crumb_kind)kind, count));
    }
    assert_null(crumb_kind_name(CRUMB_KINDS));
}

static void test_lookup(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    const void *row;
    assert_ok(ctx, crumb_kind_find(ctx, CRUMB_KIND_QUANTIZER, "lsq", &row));
    assert_ptr_equal(row, crumb_quantizer_find("lsq"));
    assert_non_null(crumb_param_find(crumb_row_params(CRUMB_KIND_OPTIMIZER, &crumb_optimizer_sgd), "momentum"));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "unknown loader 'cifar11'; did you mean 'cifar10'?",
                 crumb_kind_find(ctx, CRUMB_KIND_LOADER, "cifar11", &row));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "unknown format 'qqqqqqqqqqqqqqqq'",
                 crumb_kind_find(ctx, CRUMB_KIND_FORMAT, "qqqqqqqqqqqqqqqq", &row));
    assert_null(strstr(crumb_message(ctx), "did you mean"));
    crumb_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_phase), cmocka_unit_test(test_rewrites), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_catalog),   cmocka_unit_test(test_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
