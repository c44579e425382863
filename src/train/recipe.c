/* Recipes: text, overrides and variables to a checked recipe. The keys are in recipe_schema.c. */
#include "train/recipe.h"
#include "train/imported.h"

#include "base/file.h"
#include "base/utf8.h"
#include "train/recipe_read.h"

#include <stdio.h>
#include <string.h>

enum { RECIPE_MAX = 1 << 20 }; /* bytes of a file */

/* What every entry point has to carry around. */
typedef struct source {
    crumb_ctx *ctx;
    const char *name; /* stands for the file in messages */
    const char *const *overrides;
    int count;
    crumb_lookup lookup;
    void *user;
    bool files; /* look whether the files named exist */
    bool tell;  /* log which keys of the file an override has made useless */
} source;

/* "runs/w2a2.yaml" -> "w2a2"; bytes that are not UTF-8 become '?'. */
static void name_by_file(crumb_recipe *recipe, const char *path) {
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    const char *dot = strrchr(base, '.');
    size_t length = dot != NULL && dot != base ? (size_t)(dot - base) : strlen(base);
    length = length < sizeof(recipe->name) ? length : sizeof(recipe->name) - 1;
    memcpy(recipe->name, base, length);
    for (size_t at = 0, step; at < length; at += step) {
        uint32_t point;
        step = crumb_utf8_next(recipe->name + at, length - at, &point);
        if (step == 0) {
            recipe->name[at] = '?';
            step = 1;
        }
    }
}

static void free_origins(crumb_ctx *ctx, char **origins, int count) {
    for (int i = 0; origins != NULL && i < count; i++) {
        crumb_free(ctx, origins[i]);
    }
    crumb_free(ctx, origins);
}

/* Applies each override; its text in messages is kept in origins[i]. */
static crumb_status apply_overrides(const source *from, crumb_tree *tree, char **origins) {
    for (int i = 0; i < from->count; i++) {
        char origin[512];
        snprintf(origin, sizeof(origin), "--set %.400s", from->overrides[i]);
        origins[i] = crumb_copy_text(from->ctx, origin);
        if (origins[i] == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        CRUMB_TRY(crumb_tree_override(from->ctx, tree, from->overrides[i], origins[i]));
    }
    return crumb_tree_expand(from->ctx, tree, from->lookup, from->user);
}

static crumb_status read_tree(const source *from, const crumb_tree *tree, crumb_recipe **out) {
    crumb_recipe *recipe = crumb_alloc(from->ctx, 1, sizeof(*recipe));
    if (recipe == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    recipe->ctx = from->ctx;
    crumb_status status = crumb_recipe_read(from->ctx, tree, from->files, from->tell, recipe);
    if (status == CRUMB_OK && from->files) {
        status = crumb_imported_describe(from->ctx, &recipe->model);
    }
    if (status == CRUMB_OK && from->files) {
        status = crumb_imported_describe(from->ctx, &recipe->teacher.model);
    }
    if (status != CRUMB_OK) {
        crumb_recipe_free(recipe);
        return status;
    }
    if (recipe->name[0] == '\0') {
        name_by_file(recipe, from->name);
    }
    *out = recipe;
    return CRUMB_OK;
}

static crumb_status parse(const source *from, const char *text, size_t size, crumb_recipe **recipe) {
    crumb_tree *tree;
    CRUMB_TRY(crumb_tree_parse(from->ctx, from->name, text, size, &tree));
    char **origins = crumb_alloc(from->ctx, (size_t)from->count, sizeof(*origins));
    crumb_status status = origins != NULL ? apply_overrides(from, tree, origins) : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        status = read_tree(from, tree, recipe);
    }
    crumb_tree_free(from->ctx, tree);
    free_origins(from->ctx, origins, from->count);
    return status;
}

crumb_status crumb_recipe_parse(crumb_ctx *ctx, const char *name, const char *text, size_t size, const char *const *overrides,
                                int count, crumb_lookup lookup, void *user, crumb_recipe **recipe) {
    const source from = {ctx, name, overrides, count, lookup, user, false, true};
    return parse(&from, text, size, recipe);
}

static crumb_status load(const source *from, crumb_recipe **recipe) {
    uint8_t *data;
    size_t size;
    CRUMB_TRY(crumb_file_read(from->ctx, from->name, RECIPE_MAX, &data, &size));
    crumb_status status = parse(from, (const char *)data, size, recipe);
    crumb_free(from->ctx, data);
    return status;
}

crumb_status crumb_recipe_load_with(crumb_ctx *ctx, const char *path, const char *const *overrides, int count,
                                    crumb_lookup lookup, void *user, crumb_recipe **recipe) {
    const source from = {ctx, path, overrides, count, lookup, user, true, true};
    return load(&from, recipe);
}

crumb_status crumb_recipe_load_again(crumb_ctx *ctx, const char *path, const char *const *overrides, int count,
                                     crumb_lookup lookup, void *user, crumb_recipe **recipe) {
    const source from = {ctx, path, overrides, count, lookup, user, true, false};
    return load(&from, recipe);
}

crumb_status crumb_recipe_load(crumb_ctx *ctx, const char *path, const char *const *overrides, int count,
                               crumb_recipe **recipe) {
    return crumb_recipe_load_with(ctx, path, overrides, count, NULL, NULL, recipe);
}

void crumb_recipe_free(crumb_recipe *recipe) {
    if (recipe != NULL) {
        crumb_free(recipe->ctx, recipe->model.graph);
        crumb_free(recipe->ctx, recipe->teacher.model.graph);
        crumb_free(recipe->ctx, recipe);
    }
}

const char *crumb_recipe_name(const crumb_recipe *recipe) {
    return recipe->name;
}
