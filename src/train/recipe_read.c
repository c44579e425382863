/* Reads a mapping by its schema. Messages start with the place ("recipe.yaml:12: ...") and, for names that do not exist, end
 * with the nearest one that does. */
#include "train/recipe_read.h"

#include "base/param.h"
#include "train/catalog.h"

#include <stdio.h>
#include <string.h>

enum { NAMES_MAX = 64 };

typedef struct reader {
    crumb_ctx *ctx;
    bool files; /* also look whether files exist */
    bool tell;  /* say what an override has made useless */
} reader;

static void *at_offset(void *owner, size_t offset) {
    return (char *)owner + offset;
}

/* ---- Presets: what a mapping holds before its keys are read, and if it is absent. */

static void preset_params(const crumb_schema *schema, const void *row, void *owner) {
    for (const crumb_param *param = schema->params; param != NULL && param->name != NULL; param++) {
        crumb_param pair[2] = {crumb_schema_param(schema, row, param), {0}};
        crumb_params_preset(pair, owner);
    }
}

/* Chooses the row of that name with preset params; nothing for "none". */
static crumb_status choose_row(crumb_ctx *ctx, const crumb_schema *schema, const char *name, void *owner) {
    const void *row = NULL;
    if (schema->preset == NULL || strcmp(schema->preset, "none") != 0 || !crumb_tree_is_nothing(name)) {
        CRUMB_TRY(crumb_kind_find(ctx, (crumb_kind)schema->kind, name, &row));
        if (schema->accept != NULL) {
            CRUMB_TRY(schema->accept(ctx, row));
        }
    }
    memcpy(at_offset(owner, schema->row), &row, sizeof(row));
    if (row != NULL) {
        crumb_params_preset(crumb_row_params((crumb_kind)schema->kind, row), at_offset(owner, schema->row_params));
        preset_params(schema, row, owner);
    }
    return CRUMB_OK;
}

static crumb_status preset(crumb_ctx *ctx, const crumb_schema *schema, void *owner) {
    if (schema->kind != CRUMB_NO_KIND) {
        return schema->preset != NULL ? choose_row(ctx, schema, schema->preset, owner) : CRUMB_OK;
    }
    preset_params(schema, NULL, owner);
    for (const crumb_schema_child *child = schema->children; child != NULL && child->key != NULL; child++) {
        if (child->max == 0) {
            CRUMB_TRY(preset(ctx, child->schema, at_offset(owner, child->offset)));
        }
    }
    return CRUMB_OK;
}

/* ---- Scalars and lists of numbers. */

/* A list of scalars as the text "[a, b]". */
static crumb_status list_text(crumb_ctx *ctx, const crumb_param *param, const crumb_tree *node, crumb_text *text) {
    for (const crumb_tree *item = node->first; item != NULL; item = item->next) {
        if (item->kind != CRUMB_TREE_SCALAR || strpbrk(item->text, ",[]") != NULL) {
            return crumb_tree_fail(ctx, CRUMB_ERROR_ARGUMENT, item, "%s: an element is not a number", param->name);
        }
        crumb_text_print(text, "%s%s", item == node->first ? "[" : ", ", item->text);
    }
    crumb_text_print(text, node->first == NULL ? "[]" : "]");
    return CRUMB_OK;
}

static crumb_status set_list(crumb_ctx *ctx, const crumb_param *param, const crumb_tree *node, void *owner) {
    crumb_text text = {.ctx = ctx};
    char *joined = NULL;
    crumb_status status = list_text(ctx, param, node, &text);
    crumb_status taken = crumb_text_take(&text, &joined);
    if (status == CRUMB_OK && (status = taken) == CRUMB_OK) {
        status = crumb_param_set(ctx, param, owner, joined);
        status = status == CRUMB_OK ? status : crumb_tree_blame(ctx, status, node);
    }
    crumb_free(ctx, taken == CRUMB_OK ? joined : NULL);
    return status;
}

static crumb_status set_param(crumb_ctx *ctx, const crumb_param *param, const crumb_tree *node, void *owner) {
    static const char *const wanted[] = {"true or false", "a whole number", "a number",
                                         "a word",        "a text",         "a list of numbers"};
    if (param->type == CRUMB_PARAM_LIST && node->kind == CRUMB_TREE_LIST) {
        return set_list(ctx, param, node, owner);
    }
    if (node->kind != CRUMB_TREE_SCALAR) {
        return crumb_tree_fail(ctx, CRUMB_ERROR_ARGUMENT, node, "%s: %s where %s is expected", param->name,
                               node->kind == CRUMB_TREE_MAP ? "a mapping" : "a list", wanted[param->type]);
    }
    crumb_status status = crumb_param_set(ctx, param, owner, node->text);
    return status == CRUMB_OK ? status : crumb_tree_blame(ctx, status, node);
}

/* ---- Mappings. */

static crumb_status read_map(const reader *r, const crumb_schema *schema, const crumb_tree *node, void *owner);

static void add_names(const char **names, size_t *count, const crumb_param *params) {
    for (; params != NULL && params->name != NULL && *count < NAMES_MAX; params++) {
        names[(*count)++] = params->name;
    }
}

static crumb_status unknown_key(crumb_ctx *ctx, const crumb_schema *schema, const void *row, const crumb_tree *node) {
    const char *names[NAMES_MAX];
    size_t count = 0;
    bool has_kind = schema->kind != CRUMB_NO_KIND;
    if (has_kind) {
        names[count++] = "name";
    }
    add_names(names, &count, row != NULL || !has_kind ? schema->params : NULL);
    add_names(names, &count, row != NULL ? crumb_row_params((crumb_kind)schema->kind, row) : NULL);
    for (const crumb_schema_child *child = schema->children; child != NULL && child->key != NULL; child++) {
        if (count < NAMES_MAX) {
            names[count++] = child->key;
        }
    }
    const char *nearest = crumb_nearest(node->key, names, count);
    char where[128];
    if (has_kind) {
        snprintf(where, sizeof(where), "%s %s", crumb_kind_singular((crumb_kind)schema->kind),
                 row != NULL ? crumb_row_name(row) : "none");
    }
    return crumb_tree_fail(ctx, CRUMB_ERROR_ARGUMENT, node, "unknown key '%.60s' in %s%s%s%s", node->key,
                           has_kind ? where : schema->title, nearest != NULL ? "; did you mean '" : "",
                           nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
}

static bool is_nothing(const crumb_tree *node) {
    return node->kind == CRUMB_TREE_SCALAR && crumb_tree_is_nothing(node->text);
}

static crumb_status read_list(const reader *r, const crumb_schema_child *child, const crumb_tree *node, void *owner) {
    int count = 0;
    if (node->kind != CRUMB_TREE_LIST && !is_nothing(node)) {
        return crumb_tree_fail(r->ctx, CRUMB_ERROR_ARGUMENT, node, "%s: a list is expected", child->key);
    }
    for (const crumb_tree *item = node->first; item != NULL; item = item->next, count++) {
        if (count == child->max) {
            return crumb_tree_fail(r->ctx, CRUMB_ERROR_ARGUMENT, item, "%s: more than %d elements", child->key, child->max);
        }
        CRUMB_TRY(read_map(r, child->schema, item, at_offset(owner, child->offset + (size_t)count * child->stride)));
    }
    memcpy(at_offset(owner, child->count), &count, sizeof(count));
    return CRUMB_OK;
}

static crumb_status read_child(const reader *r, const crumb_schema_child *child, const crumb_tree *node, void *owner) {
    if (child->given != CRUMB_NO_OFFSET) {
        memcpy(at_offset(owner, child->given), &(bool){true}, sizeof(bool));
    }
    if (child->max > 0) {
        return read_list(r, child, node, owner);
    }
    bool optional = child->schema->kind == CRUMB_NO_KIND;
    return optional && is_nothing(node) ? CRUMB_OK : read_map(r, child->schema, node, at_offset(owner, child->offset));
}

/* One key: a param of the schema, a param of the row, or a child. */
static crumb_status read_key(const reader *r, const crumb_schema *schema, const void *row, const crumb_tree *node,
                             void *owner) {
    bool has_kind = schema->kind != CRUMB_NO_KIND;
    const crumb_param *param = has_kind && row == NULL ? NULL : crumb_param_find(schema->params, node->key);
    if (param != NULL) {
        crumb_param here = crumb_schema_param(schema, row, param);
        CRUMB_TRY(set_param(r->ctx, &here, node, owner));
        crumb_status status = r->files && schema->check_param != NULL ? schema->check_param(r->ctx, param, owner) : CRUMB_OK;
        return status == CRUMB_OK ? status : crumb_tree_blame(r->ctx, status, node);
    }
    param = row != NULL ? crumb_param_find(crumb_row_params((crumb_kind)schema->kind, row), node->key) : NULL;
    if (param != NULL) {
        return set_param(r->ctx, param, node, at_offset(owner, schema->row_params));
    }
    for (const crumb_schema_child *child = schema->children; child != NULL && child->key != NULL; child++) {
        if (strcmp(child->key, node->key) == 0) {
            return read_child(r, child, node, owner);
        }
    }
    return unknown_key(r->ctx, schema, row, node);
}

/* ---- A row chosen by an override, in a mapping whose keys the recipe wrote for another row. */

static const crumb_tree *name_of(const crumb_tree *node) {
    return node->kind == CRUMB_TREE_MAP ? crumb_tree_find(node, "name") : NULL;
}

static bool has_key(const crumb_schema *schema, const void *row, const char *key) {
    return row != NULL && (crumb_param_find(schema->params, key) != NULL ||
                           crumb_param_find(crumb_row_params((crumb_kind)schema->kind, row), key) != NULL);
}

/* A key of the file that the chosen row does not have but another row does. Typing errors, and what the overrides themselves
 * say, stay errors. */
static bool is_leftover(const crumb_schema *schema, const void *row, const crumb_tree *node, const crumb_tree *key) {
    const crumb_tree *name = name_of(node);
    bool known = false;
    if (name == NULL || name->line > 0 || key->line == 0 || has_key(schema, row, key->key)) {
        return false;
    }
    for (int i = 0; i < crumb_kind_count((crumb_kind)schema->kind) && !known; i++) {
        known = has_key(schema, crumb_kind_row((crumb_kind)schema->kind, i), key->key);
    }
    return known;
}

/* "--set train.optimizer.name=adam: leaves out momentum; keeps lr = 0.1" */
static crumb_status tell_leftovers(const reader *r, const crumb_schema *schema, const void *row, const crumb_tree *node) {
    crumb_text out = {.ctx = r->ctx}, stay = {.ctx = r->ctx};
    char *gone, *kept;
    for (const crumb_tree *key = node->first; key != NULL; key = key->next) {
        if (is_leftover(schema, row, node, key)) {
            crumb_text_print(&out, "%s%s", out.length > 0 ? ", " : "", key->key);
        } else if (key->line > 0) {
            crumb_text_print(&stay, "%s%s%s%s", stay.length > 0 ? ", " : "", key->key, key->text != NULL ? " = " : "",
                             key->text != NULL ? key->text : "");
        }
    }
    crumb_status status = crumb_text_take(&out, &gone), taken = crumb_text_take(&stay, &kept);
    if (status == CRUMB_OK && taken == CRUMB_OK && gone[0] != '\0') {
        crumb_log(r->ctx, CRUMB_LOG_INFO, "%s: leaves out %s%s%s", name_of(node)->file, gone, kept[0] != '\0' ? "; keeps " : "",
                  kept);
    }
    crumb_free(r->ctx, status == CRUMB_OK ? gone : NULL);
    crumb_free(r->ctx, taken == CRUMB_OK ? kept : NULL);
    return status == CRUMB_OK ? taken : status;
}

/* The row that a mapping's `name` (or a scalar in place of the mapping) chooses. */
static crumb_status read_row(const reader *r, const crumb_schema *schema, const crumb_tree *node, void *owner) {
    const crumb_tree *name = node->kind == CRUMB_TREE_SCALAR ? node : crumb_tree_find(node, "name");
    if (name == NULL && schema->unnamed != NULL && crumb_tree_find(node, schema->unnamed_key) != NULL) {
        return choose_row(r->ctx, schema, schema->unnamed, owner);
    }
    if (name == NULL) {
        return schema->preset != NULL && strcmp(schema->preset, "none") != 0
                   ? CRUMB_OK
                   : crumb_tree_fail(r->ctx, CRUMB_ERROR_ARGUMENT, node, "key 'name' is missing in %s", schema->title);
    }
    if (name->kind != CRUMB_TREE_SCALAR) {
        return crumb_tree_fail(r->ctx, CRUMB_ERROR_ARGUMENT, name, "name: a word is expected");
    }
    crumb_status status = choose_row(r->ctx, schema, name->text, owner);
    return status == CRUMB_OK ? status : crumb_tree_blame(r->ctx, status, name);
}

/* A child that chooses a row without which its parent makes no sense must have got one. */
static crumb_status check_children(const reader *r, const crumb_schema *schema, const crumb_tree *node, const void *owner) {
    for (const crumb_schema_child *child = schema->children; child != NULL && child->key != NULL; child++) {
        const crumb_schema *inner = child->schema;
        if (child->max == 0 && inner->kind != CRUMB_NO_KIND && inner->preset == NULL &&
            crumb_schema_row(inner, (const char *)owner + child->offset) == NULL) {
            return crumb_tree_fail(r->ctx, CRUMB_ERROR_ARGUMENT, node, "key '%s' is missing in %s", child->key, schema->title);
        }
    }
    crumb_status status = schema->check != NULL ? schema->check(r->ctx, owner) : CRUMB_OK;
    return status == CRUMB_OK ? status : crumb_tree_blame(r->ctx, status, node);
}

static crumb_status read_map(const reader *r, const crumb_schema *schema, const crumb_tree *node, void *owner) {
    bool has_kind = schema->kind != CRUMB_NO_KIND;
    if (node->kind == CRUMB_TREE_LIST || (node->kind == CRUMB_TREE_SCALAR && !has_kind)) {
        return crumb_tree_fail(r->ctx, CRUMB_ERROR_ARGUMENT, node, "%s: a mapping is expected", schema->title);
    }
    CRUMB_TRY(preset(r->ctx, schema, owner));
    if (has_kind) {
        CRUMB_TRY(read_row(r, schema, node, owner));
    }
    const void *row = has_kind ? crumb_schema_row(schema, owner) : NULL;
    for (const crumb_tree *key = node->first; key != NULL; key = key->next) {
        if (!has_kind || (strcmp(key->key, "name") != 0 && !is_leftover(schema, row, node, key))) {
            CRUMB_TRY(read_key(r, schema, row, key, owner));
        }
    }
    if (has_kind && r->tell) {
        CRUMB_TRY(tell_leftovers(r, schema, row, node));
    }
    return check_children(r, schema, node, owner);
}

crumb_status crumb_schema_read(crumb_ctx *ctx, const crumb_schema *schema, const crumb_tree *tree, bool files, void *owner) {
    const reader r = {.ctx = ctx, .files = files};
    return read_map(&r, schema, tree, owner);
}

crumb_status crumb_recipe_read(crumb_ctx *ctx, const crumb_tree *tree, bool files, bool tell, crumb_recipe *recipe) {
    const reader r = {.ctx = ctx, .files = files, .tell = tell};
    CRUMB_TRY(read_map(&r, &crumb_recipe_schema, tree, recipe));
    for (const crumb_schema_child *child = crumb_recipe_schema.children; child->key != NULL; child++) {
        bool whole = child->max == 0 && child->schema->kind == CRUMB_NO_KIND && child->schema->check != NULL;
        crumb_status status = whole ? child->schema->check(ctx, recipe) : CRUMB_OK; /* also where the section is absent */
        if (status != CRUMB_OK) {
            return crumb_tree_blame(ctx, status, tree);
        }
    }
    return CRUMB_OK;
}
