/* A printed recipe reads back to the same recipe: those in recipes/, and random settings of every key and row. Presets of every
 * row are in range and print to text that reads back to the same bits. */
#include "harness.h"

#include "base/file.h"
#include "base/param.h"
#include "base/rng.h"
#include "base/text.h"
#include "train/catalog.h"
#include "train/recipe_schema.h"

#include <dirent.h>

static const char *lookup(void *user, const char *name) {
    (void)user, (void)name;
    return "/data";
}

static crumb_recipe *parse(crumb_ctx *ctx, const char *name, const char *text) {
    crumb_recipe *recipe = NULL;
    crumb_status status = crumb_recipe_parse(ctx, name, text, strlen(text), NULL, 0, lookup, NULL, &recipe);
    if (status != CRUMB_OK) {
        fail_msg("%s\n%s", crumb_message(ctx), text);
    }
    return recipe;
}

/* text -> recipe -> text' -> recipe' -> text'': recipes and texts are equal. */
static void check_round_trip(crumb_ctx *ctx, const char *name, const char *text) {
    char *first, *second;
    crumb_recipe *recipe = parse(ctx, name, text);
    assert_ok(ctx, crumb_recipe_print(recipe, &first));
    crumb_recipe *again = parse(ctx, name, first);
    assert_ok(ctx, crumb_recipe_print(again, &second));
    assert_string_equal(first, second);
    assert_memory_equal(recipe, again, sizeof(*recipe));
    crumb_text_free(ctx, first);
    crumb_text_free(ctx, second);
    crumb_recipe_free(recipe);
    crumb_recipe_free(again);
}

static void test_shipped_recipes(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    DIR *folder = opendir("recipes");
    assert_non_null(folder);
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0) {
            char path[512];
            uint8_t *text;
            size_t size;
            snprintf(path, sizeof(path), "recipes/%s", entry->d_name);
            assert_ok(ctx, crumb_file_read(ctx, path, 0, &text, &size));
            check_round_trip(ctx, path, (const char *)text);
            crumb_free(ctx, text);
            count++;
        }
    }
    closedir(folder);
    assert_true(count > 0);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* ---- Random recipes: a walk over the same tables. */

static double random_real(crumb_rng *rng, double min, double max) {
    uint32_t how = crumb_rng_below(rng, 5);
    double u = (double)(crumb_rng_u64(rng) >> 11) * 0x1p-53, wide = exp(80 * (u - 0.5));
    double value = how == 0 ? min : how == 1 ? max : how == 2 ? floor(20 * u) : how == 3 ? wide : min + u * (max - min);
    return value < min ? min : value > max ? max : value;
}

static void random_text(crumb_text *to, crumb_rng *rng) {
    static const char *const texts[] = {"plain",   "'a b'",    "\"x\\ty\"", "\"quote \\\" back \\\\ slash\"",
                                        "'#no'",   "\"\\n\"",  "'- a'",     "\"\\u00e9 \\u2028 \\U0001F35E\"",
                                        "'$${X}'", "'{a: b}'", "' blank '", "\"\\x7f\\x01\"",
                                        "'null'",  "~",        "'%'",       "'*.conv1'",
                                        "-1",      "'[1, 2]'", "0x10",      "\"\\ufeff\\u0085\"",
                                        "'@'",     "\"a: b\"", "'!x'",      "/a/b-c_d.e"};
    crumb_text_print(to, "%s", texts[crumb_rng_below(rng, sizeof(texts) / sizeof(texts[0]))]);
}

static int words(const char *choices) {
    int count = 1;
    for (; *choices != '\0'; choices++) {
        count += *choices == '|';
    }
    return count;
}

static void random_value(crumb_text *to, crumb_rng *rng, const crumb_param *param) {
    char word[64];
    switch (param->type) {
    case CRUMB_PARAM_BOOL:
        crumb_text_print(to, "%s", crumb_rng_below(rng, 2) ? "true" : "false");
        break;
    case CRUMB_PARAM_INT:
        crumb_text_print(to, "%.0f", floor(random_real(rng, param->min, fmin(param->max, 0x1p53))));
        break;
    case CRUMB_PARAM_REAL:
        crumb_text_print(to, "%.17g", random_real(rng, param->min, param->max));
        break;
    case CRUMB_PARAM_CHOICE:
        crumb_choice_word(param->choices, (int)crumb_rng_below(rng, (uint32_t)words(param->choices)), word, sizeof(word));
        crumb_text_print(to, "%s", word);
        break;
    case CRUMB_PARAM_TEXT:
        random_text(to, rng);
        break;
    case CRUMB_PARAM_LIST: /* three: as many means as deviations */
        crumb_text_print(to, "[%.17g, %.17g, %.17g]", random_real(rng, param->min, param->max),
                         random_real(rng, param->min, param->max), random_real(rng, param->min, param->max));
        break;
    }
}

/* Flow style, so that no indent has to be kept. Params may be left out where `all` is false. */
static void random_params(crumb_text *to, crumb_rng *rng, const crumb_schema *schema, const void *row,
                          const crumb_param *params, bool all) {
    for (; params != NULL && params->name != NULL; params++) {
        if (all || crumb_rng_below(rng, 3) > 0) {
            crumb_param here = crumb_schema_param(schema, row, params);
            crumb_text_print(to, "\"%s\": ", params->name);
            random_value(to, rng, &here);
            crumb_text_print(to, ", ");
        }
    }
}

/* A row that may stand there; NULL if the list is empty. */
static const void *random_row(crumb_ctx *ctx, crumb_rng *rng, const crumb_schema *schema) {
    uint32_t count = (uint32_t)crumb_kind_count((crumb_kind)schema->kind);
    const void *row = NULL;
    while (count > 0 && row == NULL) {
        row = crumb_kind_row((crumb_kind)schema->kind, (int)crumb_rng_below(rng, count));
        if (schema->accept != NULL && schema->accept(ctx, row) != CRUMB_OK) {
            row = NULL;
        }
    }
    return row;
}

static void random_map(crumb_ctx *ctx, crumb_text *to, crumb_rng *rng, const crumb_schema *schema);

static void random_child(crumb_ctx *ctx, crumb_text *to, crumb_rng *rng, const crumb_schema_child *child) {
    bool empty = child->schema->kind != CRUMB_NO_KIND && crumb_kind_count((crumb_kind)child->schema->kind) == 0;
    crumb_text_print(to, "\"%s\": ", child->key);
    if (child->max == 0) {
        random_map(ctx, to, rng, child->schema);
    } else {
        crumb_text_print(to, "[");
        for (uint32_t i = empty ? 0 : crumb_rng_below(rng, 4); i > 0; i--) {
            random_map(ctx, to, rng, child->schema);
            crumb_text_print(to, ", ");
        }
        crumb_text_print(to, "]");
    }
    crumb_text_print(to, ", ");
}

static void random_map(crumb_ctx *ctx, crumb_text *to, crumb_rng *rng, const crumb_schema *schema) {
    const void *row = NULL;
    crumb_text_print(to, "{");
    if (schema->kind != CRUMB_NO_KIND) {
        row = random_row(ctx, rng, schema);
        crumb_text_print(to, "name: %s, ", crumb_row_name(row));
        random_params(to, rng, schema, NULL, crumb_row_params((crumb_kind)schema->kind, row), false);
    }
    random_params(to, rng, schema, row, schema->params, row == NULL);
    for (const crumb_schema_child *child = schema->children; child != NULL && child->key != NULL; child++) {
        random_child(ctx, to, rng, child);
    }
    crumb_text_print(to, "}");
}

static void test_random_recipes(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    for (uint64_t i = 0; i < 300; i++) {
        crumb_rng rng = crumb_rng_at(1, 2, i);
        crumb_text text = {.ctx = ctx};
        char *yaml;
        random_map(ctx, &text, &rng, &crumb_recipe_schema);
        assert_ok(ctx, crumb_text_take(&text, &yaml));
        check_round_trip(ctx, "random.yaml", yaml);
        crumb_free(ctx, yaml);
    }
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* ---- Rows. */

static void check_preset(crumb_ctx *ctx, const char *row, const crumb_param *param) {
    _Alignas(16) static unsigned char once[1 << 16], twice[1 << 16];
    char text[CRUMB_TEXT_MAX * 2];
    assert_true(param->offset + sizeof(crumb_list) < sizeof(once));
    memset(once, 0, sizeof(once));
    memset(twice, 0, sizeof(twice));
    if (crumb_param_set(ctx, param, once, param->preset) != CRUMB_OK) {
        fail_msg("%s: preset '%s': %s", row, param->preset, crumb_message(ctx));
    }
    assert_true(crumb_param_print(param, once, text, sizeof(text)) < sizeof(text));
    assert_ok(ctx, crumb_param_set(ctx, param, twice, text));
    assert_memory_equal(once, twice, sizeof(once));
    if (param->doc == NULL || param->doc[0] == '\0') {
        fail_msg("%s: %s has no doc", row, param->name);
    }
}

static void test_presets_of_every_row(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    int rows = 0;
    for (int kind = 0; kind < CRUMB_KINDS; kind++) {
        crumb_entry entry;
        for (int i = 0; crumb_kind_entry((crumb_kind)kind, i, &entry); i++, rows++) {
            for (const crumb_param *param = entry.params; param != NULL && param->name != NULL; param++) {
                check_preset(ctx, entry.name, param);
            }
        }
    }
    assert_true(rows > 40);
    crumb_ctx_destroy(ctx);
}

/* ---- Differences: the first key that differs, with its path. */

static const char base_recipe[] =
    "model: {name: mlp}\ndata: {train: digits, test: digits, augment: [flip, {name: pad-crop, pad: 2}]}\n"
    "quantize: {weights: {name: lsq, bits: 3}}\n";

static void check_difference(crumb_ctx *ctx, const char *override, const char *want) {
    char *before, *now, text[CRUMB_RECIPE_DIFFERENCE];
    crumb_recipe *recipe = parse(ctx, "a.yaml", base_recipe), *changed;
    assert_ok(ctx, crumb_recipe_parse(ctx, "a.yaml", base_recipe, strlen(base_recipe), &override, 1, lookup, NULL, &changed));
    assert_ok(ctx, crumb_recipe_print(recipe, &before));
    assert_ok(ctx, crumb_recipe_print(changed, &now));
    assert_true(crumb_recipe_difference(now, before, text));
    assert_string_equal(text, want);
    assert_false(crumb_recipe_difference(now, now, text));
    assert_string_equal(text, "");
    crumb_text_free(ctx, before);
    crumb_text_free(ctx, now);
    crumb_recipe_free(recipe);
    crumb_recipe_free(changed);
}

static void test_differences(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    check_difference(ctx, "train.epochs=3", "train.epochs is 3, was 10");
    check_difference(ctx, "train.optimizer.lr=0.5", "train.optimizer.lr is 0.5, was 0.1");
    check_difference(ctx, "train.optimizer.name=adam", "train.optimizer.name is adam, was sgd");
    check_difference(ctx, "data.augment.1.pad=3", "data.augment.1.pad is 3, was 2");
    check_difference(ctx, "data.augment.2=flip", "data.augment.2.name is new");
    check_difference(ctx, "data.augment=[flip]", "data.augment.1.name is gone");
    check_difference(ctx, "quantize.weights.bits=2", "quantize.weights.bits is 2, was 3");
    check_difference(ctx, "name=b", "name is b, was a");
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped_recipes),
        cmocka_unit_test(test_random_recipes),
        cmocka_unit_test(test_presets_of_every_row),
        cmocka_unit_test(test_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
