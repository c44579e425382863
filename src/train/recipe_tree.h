/* A recipe's text as a tree of mappings, lists and scalars that remember where they came from, for messages like
 * "recipe.yaml:12: ..." and "--set train.batch=0: ...". */
#ifndef CRUMB_RECIPE_TREE_H
#define CRUMB_RECIPE_TREE_H

#include "base/ctx.h"
#include "crumb/train.h"

typedef enum crumb_tree_kind { CRUMB_TREE_SCALAR, CRUMB_TREE_MAP, CRUMB_TREE_LIST } crumb_tree_kind;

typedef struct crumb_tree {
    crumb_tree_kind kind;
    char *key;                       /* in a mapping, else NULL */
    char *text;                      /* of a scalar, else NULL */
    const char *file;                /* where it stands, borrowed: the file's name, or the whole override */
    int line;                        /* from 1; 0 = no line is shown */
    struct crumb_tree *first, *next; /* children; next sibling */
} crumb_tree;

/* YAML text to a tree. `name` stands for the file and must outlive the tree. Duplicate keys, anchors, aliases, tags, several
 * documents and zero bytes are refused. An empty text is an empty mapping. */
crumb_status crumb_tree_parse(crumb_ctx *ctx, const char *name, const char *text, size_t size, crumb_tree **tree);
void crumb_tree_free(crumb_ctx *ctx, crumb_tree *tree);
/* Puts "key.path=value" into the tree; list elements are named by their index, the first index past the end appends. A value
 * that starts with [ or { is YAML, any other is text. `origin` ("--set key.path=value") must outlive the tree. */
crumb_status crumb_tree_override(crumb_ctx *ctx, crumb_tree *tree, const char *override, const char *origin);
/* Replaces ${NAME} in every scalar; $${ stands for ${. */
crumb_status crumb_tree_expand(crumb_ctx *ctx, crumb_tree *tree, crumb_lookup lookup, void *user);
/* "", "~", "null" and "none" stand for nothing where a mapping, a list or a row's name could be. */
bool crumb_tree_is_nothing(const char *text);
const crumb_tree *crumb_tree_find(const crumb_tree *map, const char *key);

/* Fails with "file:line: message". */
crumb_status crumb_tree_fail(crumb_ctx *ctx, crumb_status status, const crumb_tree *at, const char *format, ...)
    CRUMB_PRINTF(4, 5);
/* Puts "file:line: " before the last message. */
crumb_status crumb_tree_blame(crumb_ctx *ctx, crumb_status status, const crumb_tree *at);

#endif
