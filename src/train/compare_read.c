/* A comparison's file:
 *
 *     recipe: recipes/resnet20-uniform-w2a32.yaml
 *     seeds: [1, 2, 3]
 *     control: plain
 *     variants:
 *       plain: {train.epochs: 20}
 *       sqwa: {strategies: [{name: sqwa}], train.optimizer.lr: 0.02}
 *
 * A variant is what --set would say: paths of keys with values, turned into the same text. */
#include "train/compare.h"

#include "base/file.h"
#include "train/recipe_read.h"

#include <stdio.h>
#include <string.h>

enum { FILE_MAX = 1 << 20 };

#define AT(member) offsetof(crumb_compare_keys, member)
static const crumb_param key_params[] = {
    {"recipe", CRUMB_PARAM_TEXT, AT(recipe), "", 0, 0, NULL, "the recipe that variants change"},
    {"control", CRUMB_PARAM_TEXT, AT(control), "", 0, 0, NULL, "the variant that the others are measured against"},
    {"measure", CRUMB_PARAM_CHOICE, AT(measure), "last", 0, 0, "last|best", "accuracy of the last epoch or of the best"},
    {"epochs", CRUMB_PARAM_INT, AT(epochs), "0", 0, 1e6, NULL, "of every variant, all phases together; 0: as they come"},
    {"seeds", CRUMB_PARAM_LIST, AT(seeds), "[1, 2, 3]", 0, 0x1p53, NULL, "of the runs of every variant"},
    {0},
};
static const crumb_schema key_schema = {.title = "the comparison", .params = key_params, .kind = CRUMB_NO_KIND};

/* ---- Variants. */

/* A name is a folder's too. */
static bool is_name(const char *name, size_t length) {
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.";
    return length > 0 && length < sizeof(((crumb_compare_variant *)0)->name) && name[0] != '.' && strspn(name, safe) >= length;
}

/* The variant of that name, made if it is not there. */
static crumb_status find_variant(crumb_comparison *c, const char *name, size_t length, crumb_compare_variant **out) {
    for (int i = 0; i < c->variants; i++) {
        if (strlen(c->variant[i].name) == length && memcmp(c->variant[i].name, name, length) == 0) {
            *out = &c->variant[i];
            return CRUMB_OK;
        }
    }
    if (!is_name(name, length)) {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT,
                          "'%.*s' is no name of a variant: letters, digits and . _ - +, at most 63, not . first",
                          (int)(length < 80 ? length : 80), name);
    }
    if (c->variants == CRUMB_VARIANTS_MAX) {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "more than %d variants", CRUMB_VARIANTS_MAX);
    }
    *out = &c->variant[c->variants++];
    memcpy((*out)->name, name, length);
    return CRUMB_OK;
}

/* Takes the text, also on failure. */
static crumb_status add_set(crumb_comparison *c, crumb_compare_variant *variant, char *text) {
    static const char *const own[] = {"train.seed=", "name="};
    crumb_status status = CRUMB_OK;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && status == CRUMB_OK; i++) {
        if (strncmp(text, own[i], strlen(own[i])) == 0) {
            status = crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "variant %s: %.*s is set by the comparison", variant->name,
                                (int)strlen(own[i]) - 1, own[i]);
        }
    }
    if (status == CRUMB_OK && variant->sets == CRUMB_VARIANT_SETS_MAX) {
        status =
            crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "variant %s: more than %d keys", variant->name, CRUMB_VARIANT_SETS_MAX);
    }
    if (status != CRUMB_OK) {
        crumb_free(c->ctx, text);
        return status;
    }
    variant->set[variant->sets++] = text;
    return CRUMB_OK;
}

/* YAML in flow style, which --set reads; a scalar at the top is the text itself. */
static void print_value(crumb_text *to, const crumb_tree *node, bool top) {
    if (node->kind == CRUMB_TREE_SCALAR) {
        if (top) {
            crumb_text_bytes(to, node->text, strlen(node->text));
        } else {
            crumb_recipe_quote(to, node->text, false);
        }
        return;
    }
    bool map = node->kind == CRUMB_TREE_MAP;
    crumb_text_bytes(to, map ? "{" : "[", 1);
    for (const crumb_tree *child = node->first; child != NULL; child = child->next) {
        if (map) {
            crumb_recipe_quote(to, child->key, false);
            crumb_text_bytes(to, ": ", 2);
        }
        print_value(to, child, false);
        crumb_text_bytes(to, ", ", child->next != NULL ? 2 : 0);
    }
    crumb_text_bytes(to, map ? "}" : "]", 1);
}

static crumb_status read_variant(crumb_comparison *c, const crumb_tree *node) {
    crumb_compare_variant *variant;
    CRUMB_TRY(find_variant(c, node->key, strlen(node->key), &variant));
    bool nothing = node->kind == CRUMB_TREE_SCALAR && crumb_tree_is_nothing(node->text);
    if (node->kind != CRUMB_TREE_MAP && !nothing) {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "variant %s: a mapping of keys to values is expected", variant->name);
    }
    for (const crumb_tree *key = node->first; key != NULL; key = key->next) {
        crumb_text text = {.ctx = c->ctx};
        char *set;
        crumb_text_print(&text, "%s=", key->key);
        print_value(&text, key, true);
        CRUMB_TRY(crumb_text_take(&text, &set));
        CRUMB_TRY(add_set(c, variant, set));
    }
    return CRUMB_OK;
}

/* ---- The file. */

/* Cuts `variants` out of the tree: what is left is the schema's. */
static crumb_tree *cut_variants(crumb_tree *tree) {
    for (crumb_tree **at = &tree->first; *at != NULL; at = &(*at)->next) {
        crumb_tree *found = *at;
        if (found->key != NULL && strcmp(found->key, "variants") == 0) {
            *at = found->next;
            found->next = NULL;
            return found;
        }
    }
    return NULL;
}

static crumb_status read_tree(crumb_comparison *c, const char *path, crumb_tree *tree, const crumb_tree *variants,
                              const crumb_comparison_options *options) {
    if (variants == NULL || variants->kind != CRUMB_TREE_MAP) {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT,
                          "%s: no mapping 'variants', so it is no comparison; a recipe is compared with --variant", path);
    }
    CRUMB_TRY(crumb_tree_expand(c->ctx, tree, options->lookup, options->user));
    CRUMB_TRY(crumb_schema_read(c->ctx, &key_schema, tree, true, &c->keys));
    if (c->keys.recipe[0] == '\0') {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "%s: key 'recipe' is missing", path);
    }
    for (const crumb_tree *node = variants->first; node != NULL; node = node->next) {
        crumb_status status = read_variant(c, node);
        if (status != CRUMB_OK) {
            return crumb_tree_blame(c->ctx, status, node);
        }
    }
    return CRUMB_OK;
}

static crumb_status read_file(crumb_comparison *c, const char *path, const crumb_comparison_options *options) {
    uint8_t *data;
    size_t size;
    crumb_tree *tree;
    CRUMB_TRY(crumb_file_read(c->ctx, path, FILE_MAX, &data, &size));
    crumb_status status = crumb_tree_parse(c->ctx, path, (const char *)data, size, &tree);
    crumb_free(c->ctx, data);
    if (status != CRUMB_OK) {
        return status;
    }
    crumb_tree *variants = cut_variants(tree);
    status = read_tree(c, path, tree, variants, options);
    crumb_tree_free(c->ctx, variants);
    crumb_tree_free(c->ctx, tree);
    return status;
}

/* ---- Options. */

static crumb_status read_words(crumb_comparison *c, const char *path, const crumb_comparison_options *options) {
    crumb_tree empty = {.kind = CRUMB_TREE_MAP, .file = path};
    CRUMB_TRY(crumb_schema_read(c->ctx, &key_schema, &empty, false, &c->keys));
    if (snprintf(c->keys.recipe, sizeof(c->keys.recipe), "%s", path) >= (int)sizeof(c->keys.recipe)) {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "file name of %zu bytes", strlen(path));
    }
    for (int i = 0; i < options->variant_count; i++) {
        const char *word = options->variants[i];
        crumb_compare_variant *variant;
        size_t length = strcspn(word, ":");
        CRUMB_TRY(find_variant(c, word, length, &variant));
        if (word[length] == '\0') {
            continue;
        }
        char *set = crumb_copy_text(c->ctx, word + length + 1);
        if (set == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        CRUMB_TRY(add_set(c, variant, set));
    }
    return CRUMB_OK;
}

static crumb_status take_seeds(crumb_comparison *c, const crumb_comparison_options *options) {
    c->seeds = options->seed_count > 0 ? options->seed_count : c->keys.seeds.count;
    if (c->seeds < 1 || c->seeds > CRUMB_SEEDS_MAX) {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "%d seeds, wanted 1 to %d", c->seeds, CRUMB_SEEDS_MAX);
    }
    for (int i = 0; i < c->seeds; i++) {
        double real = options->seed_count > 0 ? (double)options->seeds[i] : c->keys.seeds.at[i];
        c->seed[i] = (int64_t)real;
        if ((double)c->seed[i] != real || real < 0 || real > 0x1p53) {
            return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "seed %g is not a whole number from 0 to 2^53", real);
        }
        for (int j = 0; j < i; j++) {
            if (c->seed[j] == c->seed[i]) {
                return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "seed %lld is there twice", (long long)c->seed[i]);
            }
        }
    }
    return CRUMB_OK;
}

/* By default the first variant. */
static crumb_status take_control(crumb_comparison *c, const char *name) {
    const char *names[CRUMB_VARIANTS_MAX];
    for (int i = 0; i < c->variants; i++) {
        names[i] = c->variant[i].name;
        if (name[0] == '\0' || strcmp(name, names[i]) == 0) {
            c->control = i;
            return CRUMB_OK;
        }
    }
    const char *near = crumb_nearest(name, names, (size_t)c->variants);
    return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "control: there is no variant '%.60s'%s%s%s", name,
                      near != NULL ? "; did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "");
}

crumb_status crumb_compare_read(crumb_comparison *c, const char *path, const crumb_comparison_options *options) {
    CRUMB_TRY(options->variant_count > 0 ? read_words(c, path, options) : read_file(c, path, options));
    if (c->variants == 0) {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "%s: no variants", path);
    }
    if (options->measure != NULL) {
        c->keys.measure = strcmp(options->measure, "best") == 0;
        if (c->keys.measure == 0 && strcmp(options->measure, "last") != 0) {
            return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "measure: '%.60s' is none of last, best", options->measure);
        }
    }
    c->keys.epochs = options->epochs > 0 ? options->epochs : c->keys.epochs;
    CRUMB_TRY(take_seeds(c, options));
    return take_control(c, options->control != NULL ? options->control : c->keys.control);
}
