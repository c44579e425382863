/* Recipes: any bytes give a recipe or a one-line message. What parses prints, and the print parses to the same recipe. Lines
 * that start with "#set " are overrides. */
#include "train/recipe.h"

#include <stdlib.h>
#include <string.h>

enum { OVERRIDES_MAX = 4 };

/* libfyaml 0.7.12 loses 2 KiB in fy_atom_format_text for a scalar of more than about 20 escapes or lines; the leaks looked for
 * here are crumb's. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libfyaml";
}

static const char *lookup(void *user, const char *name) {
    (void)user;
    return strcmp(name, "CRUMB_DATA") == 0 ? "/data" : NULL;
}

/* Cuts "#set a=b" lines out of the text's copy; returns how many. */
static int find_overrides(char *text, const char *overrides[OVERRIDES_MAX]) {
    int count = 0;
    for (char *at = strstr(text, "#set "); at != NULL && count < OVERRIDES_MAX; at = strstr(at, "#set ")) {
        at += 5;
        overrides[count++] = at;
        at += strcspn(at, "\n");
        if (*at == '\n') {
            *at++ = '\0';
        }
    }
    return count;
}

static void check_print(crumb_ctx *ctx, const crumb_recipe *recipe) {
    char *yaml = NULL, *timeline = NULL;
    crumb_recipe *again = NULL;
    if (crumb_recipe_print(recipe, &yaml) != CRUMB_OK ||
        crumb_recipe_parse(ctx, "print", yaml, strlen(yaml), NULL, 0, NULL, NULL, &again) != CRUMB_OK ||
        memcmp(recipe, again, sizeof(*recipe)) != 0) {
        abort();
    }
    if (crumb_recipe_timeline(recipe, &timeline) == CRUMB_OK) {
        crumb_text_free(ctx, timeline);
    }
    crumb_text_free(ctx, yaml);
    crumb_recipe_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *overrides[OVERRIDES_MAX];
    crumb_ctx *ctx;
    crumb_recipe *recipe;
    char *copy = malloc(size + 1);
    if (copy == NULL || crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        abort();
    }
    memcpy(copy, data, size);
    copy[size] = '\0';
    int count = find_overrides(copy, overrides);
    if (crumb_recipe_parse(ctx, "fuzz", (const char *)data, size, overrides, count, lookup, NULL, &recipe) == CRUMB_OK) {
        check_print(ctx, recipe);
        crumb_recipe_free(recipe);
    } else if (crumb_message(ctx)[0] == '\0' || strchr(crumb_message(ctx), '\n') != NULL) {
        abort();
    }
    crumb_ctx_destroy(ctx);
    free(copy);
    return 0;
}
