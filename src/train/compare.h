/* A comparison while it is planned and run: compare_read.c reads the file, compare.c loads every variant's recipe and weighs
 * the budgets, compare_run.c runs and judges. docs/COMPARE.md has the rules. */
#ifndef CRUMB_COMPARE_H
#define CRUMB_COMPARE_H

#include "train/recipe.h"

enum { CRUMB_VARIANTS_MAX = 16, CRUMB_VARIANT_SETS_MAX = 32, CRUMB_SEEDS_MAX = CRUMB_LIST_MAX };

/* The keys of a comparison file but `variants`. */
typedef struct crumb_compare_keys {
    char recipe[CRUMB_TEXT_MAX], control[CRUMB_TEXT_MAX];
    int measure; /* 0 last, 1 best */
    int64_t epochs;
    crumb_list seeds;
} crumb_compare_keys;

typedef struct crumb_compare_variant {
    char name[64];
    int sets;
    char *set[CRUMB_VARIANT_SETS_MAX];     /* "key.path=value" */
    crumb_recipe *recipe[CRUMB_SEEDS_MAX]; /* of each seed */
    bool finished[CRUMB_SEEDS_MAX];
    crumb_train_result run[CRUMB_SEEDS_MAX];
    double top1[CRUMB_SEEDS_MAX];
    crumb_variant_info info;
} crumb_compare_variant;

struct crumb_comparison {
    crumb_ctx *ctx;
    crumb_compare_keys keys;
    int variants, control, seeds;
    int64_t seed[CRUMB_SEEDS_MAX];
    crumb_compare_variant *variant; /* room for CRUMB_VARIANTS_MAX */
};

/* Fills keys, variants, seeds and control from the file and the options, the options winning. */
crumb_status crumb_compare_read(crumb_comparison *comparison, const char *path, const crumb_comparison_options *options);

#endif
