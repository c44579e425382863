/* What the keys of a recipe mean: tables from which reading, printing, presets and the tests of docs/RECIPES.md work.
 *
 * A schema describes one mapping. Its owner is the struct it fills; every offset is in the owner. A schema with a kind chooses
 * a row of that kind's list by the key `name`, and the row's own params are keys of the mapping too. */
#ifndef CRUMB_RECIPE_SCHEMA_H
#define CRUMB_RECIPE_SCHEMA_H

#include "train/recipe.h"

enum { CRUMB_NO_KIND = -1 };
#define CRUMB_NO_OFFSET ((size_t)-1)

typedef struct crumb_schema crumb_schema;

/* A key whose value is a mapping or a list of mappings. */
typedef struct crumb_schema_child {
    const char *key;
    const char *doc;
    const crumb_schema *schema;
    size_t offset;        /* of the child's owner in ours */
    size_t given;         /* of a bool: was the key there?  CRUMB_NO_OFFSET: not kept */
    int max;              /* a list of at most this many; 0: one mapping */
    size_t count, stride; /* list: of the int that counts its elements; bytes from one to the next */
} crumb_schema_child;

struct crumb_schema {
    const char *title;                  /* in messages without a row: "train" */
    const crumb_param *params;          /* may be NULL */
    const crumb_schema_child *children; /* ends with a NULL key; may be NULL */
    int kind;                           /* crumb_kind or CRUMB_NO_KIND */
    size_t row, row_params;             /* kind: where the row's address and its params lie */
    const char *preset;                 /* kind: name of the row when none is given; "none"; NULL: one must be given */
    /* All optional. */
    crumb_status (*accept)(crumb_ctx *ctx, const void *row); /* may this row stand here? */
    void (*narrow)(const void *row, crumb_param *param);     /* a param's range and preset for this row */
    const char *unnamed, *unnamed_key; /* row of a mapping without `name` that has this key */
    crumb_status (*check_param)(crumb_ctx *ctx, const crumb_param *param, const void *owner); /* with the file system */
    crumb_status (*check)(crumb_ctx *ctx, const void *owner);                                 /* all keys together */
};

extern const crumb_schema crumb_recipe_schema; /* owner: crumb_recipe */

/* The chosen row, NULL for none. */
const void *crumb_schema_row(const crumb_schema *schema, const void *owner);
/* A param as it is for this row. */
crumb_param crumb_schema_param(const crumb_schema *schema, const void *row, const crumb_param *param);

#endif
