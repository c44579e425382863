/* docs/RECIPES.md ends with one table a mapping, written from the tables that recipes are read by. The test fails when they
 * differ;
 *
 *     build/tests/test_recipe_docs --write
 *
 * brings the page up to date. */
#include "harness.h"

#include "base/file.h"
#include "base/text.h"
#include "train/catalog.h"
#include "train/recipe_schema.h"

static const char page[] = "docs/RECIPES.md";
static const char marker[] = "<!-- What follows is written by build/tests/test_recipe_docs --write -->\n";

static void print_range(crumb_text *to, const crumb_param *param) {
    if (param->type == CRUMB_PARAM_CHOICE) {
        for (const char *at = param->choices; *at != '\0'; at++) {
            crumb_text_print(to, *at == '|' ? "`, `" : at == param->choices ? "`%c" : "%c", *at);
        }
        crumb_text_print(to, "`");
    } else if (param->type == CRUMB_PARAM_BOOL) {
        crumb_text_print(to, "`true`, `false`");
    } else if (param->type == CRUMB_PARAM_TEXT) {
        crumb_text_print(to, "text");
    } else {
        const char *what = param->type == CRUMB_PARAM_INT ? "whole" : param->type == CRUMB_PARAM_REAL ? "number" : "numbers";
        crumb_text_print(to, param->max >= 1e300 ? "%s, from %g" : "%s, %g .. %g", what, param->min, param->max);
    }
}

/* A preset as a table cell. */
static void print_preset(crumb_text *to, const char *preset) {
    crumb_text_print(to, preset != NULL && preset[0] != '\0' ? " `%s` |" : " |", preset);
}

static void print_param(crumb_text *to, const crumb_param *param) {
    crumb_text_print(to, "| `%s` | ", param->name);
    print_range(to, param);
    crumb_text_print(to, " |");
    print_preset(to, param->preset);
    crumb_text_print(to, " %s |\n", param->doc);
}

static void print_schema(crumb_text *to, const char *path, const char *doc, const crumb_schema *schema) {
    bool root = path[0] == '\0';
    crumb_text_print(to, "\n### %s%s%s\n\n", root ? "The recipe" : "`", path, root ? "" : "`");
    crumb_text_print(to, "%s%s", doc, root ? "" : ".\n\n");
    crumb_text_print(to, "| key | value | default | meaning |\n|---|---|---|---|\n");
    if (schema->kind != CRUMB_NO_KIND) {
        crumb_text_print(to, "| `name` | a row of `crumb info %s` |", crumb_kind_name((crumb_kind)schema->kind));
        print_preset(to, schema->preset);
        crumb_text_print(to, " its own keys stand beside it |\n");
    }
    for (const crumb_param *param = schema->params; param != NULL && param->name != NULL; param++) {
        print_param(to, param);
    }
    for (const crumb_schema_child *child = schema->children; child != NULL && child->key != NULL; child++) {
        char most[32] = "a mapping";
        if (child->max > 0) {
            snprintf(most, sizeof(most), "a list, at most %d", child->max);
        }
        crumb_text_print(to, "| `%s` | %s | | %s |\n", child->key, most, child->doc);
    }
    for (const crumb_schema_child *child = schema->children; child != NULL && child->key != NULL; child++) {
        char below[128];
        snprintf(below, sizeof(below), "%s%s%s%s", path, root ? "" : ".", child->key, child->max > 0 ? "[]" : "");
        print_schema(to, below, child->doc, child->schema);
    }
}

/* The page as it should be: its own head, then the tables. */
static char *expected(crumb_ctx *ctx, const char *text) {
    const char *end = strstr(text, marker);
    crumb_text page_text = {.ctx = ctx};
    char *out;
    assert_non_null(end);
    crumb_text_bytes(&page_text, text, (size_t)(end - text) + strlen(marker));
    print_schema(&page_text, "", "", &crumb_recipe_schema);
    assert_ok(ctx, crumb_text_take(&page_text, &out));
    return out;
}

static bool writing;

static void test_page(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    uint8_t *text;
    size_t size;
    assert_ok(ctx, crumb_file_read(ctx, page, 0, &text, &size));
    char *wanted = expected(ctx, (const char *)text);
    if (writing) {
        assert_ok(ctx, crumb_file_write(ctx, page, wanted, strlen(wanted)));
    } else if (strcmp((const char *)text, wanted) != 0) {
        fail_msg("%s is not up to date: run build/tests/test_recipe_docs --write", page);
    }
    crumb_free(ctx, text);
    crumb_free(ctx, wanted);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_page)};
    writing = argc == 2 && strcmp(argv[1], "--write") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
