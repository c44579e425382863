/* A comparison's plan: the recipe of every variant with every seed, and a budget that is the same for all.
 *
 * What counts is the number of training images, summed over the phases of the effective timeline: a method that trains in four
 * stages has to beat a control that trains as long. With `epochs: N` every variant's train.epochs is chosen so that its phases
 * together have N; without it, variants of different budgets are refused. */
#include "train/compare.h"

#include "train/source.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Recipes. */

/* Common overrides, then the variant's own, then what the comparison sets. epochs 0: the recipe's. */
static crumb_status load(crumb_comparison *c, const crumb_compare_variant *variant, const crumb_comparison_options *options,
                         int64_t seed, int64_t epochs, crumb_recipe **recipe) {
    char own[3][96];
    int count = 0;
    const char **set = crumb_alloc(c->ctx, (size_t)(options->override_count + variant->sets + 3), sizeof(*set));
    if (set == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int i = 0; i < options->override_count; i++) {
        set[count++] = options->overrides[i];
    }
    for (int i = 0; i < variant->sets; i++) {
        set[count++] = variant->set[i];
    }
    snprintf(own[0], sizeof(own[0]), "name=%s", variant->name);
    snprintf(own[1], sizeof(own[1]), "train.seed=%" PRId64, seed);
    snprintf(own[2], sizeof(own[2]), "train.epochs=%" PRId64, epochs);
    for (int i = 0; i < (epochs > 0 ? 3 : 2); i++) {
        set[count++] = own[i];
    }
    bool first = seed == c->seed[0] && epochs == 0;
    crumb_status status = (first ? crumb_recipe_load_with : crumb_recipe_load_again)(c->ctx, c->keys.recipe, set, count,
                                                                                     options->lookup, options->user, recipe);
    crumb_free(c->ctx, set);
    return status;
}

/* ---- Budgets. */

/* Epochs over all phases, and passes over the training set for statistics. */
static crumb_status count_epochs(const crumb_recipe *recipe, int64_t *epochs, int64_t *passes) {
    crumb_timeline *timeline = crumb_alloc(recipe->ctx, 1, sizeof(*timeline));
    if (timeline == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_status status = crumb_recipe_phases(recipe, timeline);
    *epochs = *passes = 0;
    for (int i = 0; status == CRUMB_OK && i < timeline->phases; i++) {
        *epochs += timeline->phase[i].epochs;
        *passes += timeline->phase[i].reestimate;
    }
    if (recipe->train.reestimate) { /* at the end, and before the weights are measured directly quantized */
        *passes += 1 + (recipe->train.measure_direct && recipe->model.init[0] != '\0');
    }
    crumb_free(recipe->ctx, timeline);
    return status;
}

/* train.epochs for which all phases together have `wanted`: their number grows with it, so halving finds it. Where a strategy
 * refuses, too few epochs are to blame below the recipe's own number, and too many above. */
static crumb_status search_epochs(crumb_recipe *probe, int64_t wanted, int64_t *found) {
    int64_t low = 1, high = wanted, given = probe->train.epochs, epochs = 0, passes;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        probe->train.epochs = middle;
        crumb_status status = count_epochs(probe, &epochs, &passes);
        if (status == CRUMB_ERROR_MEMORY) {
            return status;
        }
        bool less = status == CRUMB_OK ? epochs < wanted : middle < given;
        low = less ? middle + 1 : low;
        high = less ? high : middle;
    }
    probe->train.epochs = *found = low;
    CRUMB_TRY(count_epochs(probe, &epochs, &passes));
    return epochs == wanted
               ? CRUMB_OK
               : crumb_fail(probe->ctx, CRUMB_ERROR_ARGUMENT,
                            "no train.epochs gives %" PRId64 " epochs over all phases (%" PRId64 " give %" PRId64 ")", wanted,
                            low, epochs);
}

static crumb_status fit_epochs(const crumb_recipe *recipe, int64_t wanted, int64_t *found) {
    crumb_recipe *probe = crumb_alloc(recipe->ctx, 1, sizeof(*probe));
    if (probe == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    *probe = *recipe;
    crumb_status status = search_epochs(probe, wanted, found);
    crumb_free(recipe->ctx, probe);
    return status;
}

/* Training images an epoch: whole batches. */
static crumb_status count_images(const crumb_recipe *recipe, int64_t *images) {
    crumb_source source;
    crumb_feed *feed = NULL;
    CRUMB_TRY(crumb_source_open(recipe, &source));
    crumb_status status = crumb_source_feed(recipe, &source, CRUMB_PART_TRAIN, &feed);
    if (status == CRUMB_OK) {
        *images = crumb_feed_steps(feed) * recipe->train.batch;
    }
    crumb_feed_destroy(feed);
    crumb_source_close(&source);
    return status;
}

static bool same_data(const crumb_recipe *a, const crumb_recipe *b) {
    return strcmp(a->data.train, b->data.train) == 0 && a->data.limit == b->data.limit && a->data.holdout == b->data.holdout &&
           a->train.batch == b->train.batch;
}

/* Fills the v-th variant's budget; a data set that one before it has opened is not opened again. */
static crumb_status weigh(crumb_comparison *c, int v) {
    const crumb_recipe *recipe = c->variant[v].recipe[0];
    crumb_variant_info *info = &c->variant[v].info;
    int64_t images = 0;
    for (int i = 0; i < v && images == 0; i++) {
        const crumb_variant_info *other = &c->variant[i].info;
        images = same_data(recipe, c->variant[i].recipe[0]) ? other->images / other->epochs : 0;
    }
    CRUMB_TRY(count_epochs(recipe, &info->epochs, &info->passes));
    CRUMB_TRY(images == 0 ? count_images(recipe, &images) : CRUMB_OK);
    info->images = images * info->epochs;
    return CRUMB_OK;
}

/* The same budget as the control's, measured on the same images. */
static crumb_status check_fair(const crumb_comparison *c, const crumb_compare_variant *variant) {
    const crumb_compare_variant *control = &c->variant[c->control];
    const crumb_recipe_data *a = &variant->recipe[0]->data, *b = &control->recipe[0]->data;
    if (strcmp(a->test, b->test) != 0 || a->holdout != b->holdout) {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT,
                          "variants %s and %s are measured on different images (data.test, data.holdout)", variant->name,
                          control->name);
    }
    if (variant->info.images == control->info.images) {
        return CRUMB_OK;
    }
    return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT,
                      "variant %s trains on %" PRId64 " images (%" PRId64 " epochs), %s on %" PRId64 " (%" PRId64
                      "): change train.epochs of one, or say `epochs: N` for all",
                      variant->name, variant->info.images, variant->info.epochs, control->name, control->info.images,
                      control->info.epochs);
}

/* ---- Loading. */

static crumb_status plan_variant(crumb_comparison *c, int v, const crumb_comparison_options *options) {
    crumb_compare_variant *variant = &c->variant[v];
    int64_t epochs = 0;
    variant->info = (crumb_variant_info){.name = variant->name,
                                         .top1 = variant->top1,
                                         .mean = NAN,
                                         .deviation = NAN,
                                         .difference = NAN,
                                         .low = NAN,
                                         .high = NAN,
                                         .verdict = v == c->control ? CRUMB_VERDICT_CONTROL : CRUMB_VERDICT_NONE,
                                         .seconds = NAN};
    CRUMB_TRY(load(c, variant, options, c->seed[0], 0, &variant->recipe[0]));
    if (c->keys.epochs > 0) {
        CRUMB_TRY(fit_epochs(variant->recipe[0], c->keys.epochs, &epochs));
        crumb_recipe_free(variant->recipe[0]);
        variant->recipe[0] = NULL;
    }
    for (int s = 0; s < c->seeds; s++) {
        variant->top1[s] = NAN;
        if (variant->recipe[s] == NULL) {
            CRUMB_TRY(load(c, variant, options, c->seed[s], epochs, &variant->recipe[s]));
        }
    }
    variant->info.recipe = variant->recipe[0];
    return weigh(c, v);
}

static crumb_status plan(crumb_comparison *c, const char *path, const crumb_comparison_options *options) {
    c->variant = crumb_alloc(c->ctx, CRUMB_VARIANTS_MAX, sizeof(*c->variant));
    if (c->variant == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(crumb_compare_read(c, path, options));
    for (int v = 0; v < c->variants; v++) {
        crumb_status status = plan_variant(c, v, options);
        if (status != CRUMB_OK) {
            return crumb_fail_in(c->ctx, status, "variant %s", c->variant[v].name);
        }
    }
    for (int v = 0; v < c->variants; v++) {
        CRUMB_TRY(check_fair(c, &c->variant[v]));
    }
    return CRUMB_OK;
}

crumb_status crumb_comparison_load(crumb_ctx *ctx, const char *path, const crumb_comparison_options *options,
                                   crumb_comparison **comparison) {
    static const crumb_comparison_options none;
    crumb_comparison *c = crumb_alloc(ctx, 1, sizeof(*c));
    if (c == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    c->ctx = ctx;
    crumb_status status = plan(c, path, options != NULL ? options : &none);
    if (status != CRUMB_OK) {
        crumb_comparison_free(c);
        return status;
    }
    *comparison = c;
    return CRUMB_OK;
}

void crumb_comparison_free(crumb_comparison *c) {
    if (c == NULL) {
        return;
    }
    for (int v = 0; v < c->variants; v++) {
        for (int i = 0; i < c->variant[v].sets; i++) {
            crumb_free(c->ctx, c->variant[v].set[i]);
        }
        for (int s = 0; s < CRUMB_SEEDS_MAX; s++) {
            crumb_recipe_free(c->variant[v].recipe[s]);
        }
    }
    crumb_free(c->ctx, c->variant);
    crumb_free(c->ctx, c);
}

/* ---- Looking in. */

bool crumb_comparison_variant(const crumb_comparison *c, int index, crumb_variant_info *info) {
    if (index < 0 || index >= c->variants) {
        return false;
    }
    *info = c->variant[index].info;
    return true;
}

bool crumb_comparison_seed(const crumb_comparison *c, int index, int64_t *seed) {
    if (index < 0 || index >= c->seeds) {
        return false;
    }
    *seed = c->seed[index];
    return true;
}

const char *crumb_comparison_measure(const crumb_comparison *c) {
    return c->keys.measure == 1 ? "best" : "last";
}

const char *crumb_verdict_text(crumb_verdict verdict) {
    static const char *const text[] = {"control", "no difference shown", "better", "worse"};
    return text[verdict];
}
