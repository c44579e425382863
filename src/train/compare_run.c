/* Running a comparison: seed by seed, so that pairs are complete early. A run is OUT/VARIANT/seed-N, an ordinary run folder; it
 * is finished when it holds a result.json, and belongs to the comparison when its recipe.yaml is the effective recipe. */
#include "train/compare.h"

#include "base/file.h"
#include "train/run_log.h"
#include "train/statistics.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 4096, NAME_ROOM = 160, RECIPE_MAX = 1 << 20, DIGITS = 10 };

/* ---- Run folders. */

static void folder_of(const crumb_comparison *c, const char *out, int v, int s, char path[PATH_ROOM]) {
    snprintf(path, PATH_ROOM, "%.*s/%s/seed-%" PRId64, PATH_ROOM - NAME_ROOM, out, c->variant[v].name, c->seed[s]);
}

static crumb_status check_recipe(const crumb_recipe *recipe, const char *folder) {
    crumb_ctx *ctx = recipe->ctx;
    char path[PATH_ROOM + 16], difference[CRUMB_RECIPE_DIFFERENCE], *now;
    uint8_t *before;
    size_t size;
    snprintf(path, sizeof(path), "%s/recipe.yaml", folder);
    if (!crumb_file_exists(path)) {
        return CRUMB_OK; /* nothing has run here */
    }
    CRUMB_TRY(crumb_file_read(ctx, path, RECIPE_MAX, &before, &size));
    crumb_status status = crumb_recipe_print(recipe, &now);
    if (status == CRUMB_OK) {
        if (crumb_recipe_difference(now, (const char *)before, difference)) {
            status = crumb_fail(ctx, CRUMB_ERROR_ARGUMENT,
                                "%s holds a run of another recipe (%s): compare into another folder, or remove this one",
                                folder, difference);
        }
        crumb_text_free(ctx, now);
    }
    crumb_free(ctx, before);
    return status;
}

/* Reads the result of a finished run, and checks that it trained on what the timeline promised. */
static crumb_status take_result(crumb_comparison *c, const char *folder, int v, int s) {
    crumb_compare_variant *variant = &c->variant[v];
    crumb_train_result *run = &variant->run[s];
    CRUMB_TRY(crumb_run_log_read_result(c->ctx, folder, run));
    if (run->images != variant->info.images) {
        return crumb_fail(c->ctx, CRUMB_ERROR_FORMAT, "%s: trained on %" PRId64 " images, the timeline says %" PRId64, folder,
                          run->images, variant->info.images);
    }
    variant->finished[s] = true;
    variant->info.finished++;
    variant->top1[s] = c->keys.measure == 1 ? run->best_top1 : run->val_top1;
    return CRUMB_OK;
}

static crumb_status look_at(crumb_comparison *c, const char *out, int v, int s) {
    char folder[PATH_ROOM], path[PATH_ROOM + 16];
    folder_of(c, out, v, s, folder);
    snprintf(path, sizeof(path), "%s/result.json", folder);
    c->variant[v].finished[s] = false;
    CRUMB_TRY(check_recipe(c->variant[v].recipe[s], folder));
    return crumb_file_exists(path) ? take_result(c, folder, v, s) : CRUMB_OK;
}

crumb_status crumb_comparison_look(crumb_comparison *c, const char *out) {
    if (strlen(out) >= PATH_ROOM - NAME_ROOM) {
        return crumb_fail(c->ctx, CRUMB_ERROR_ARGUMENT, "folder name of %zu bytes", strlen(out));
    }
    for (int v = 0; v < c->variants; v++) {
        c->variant[v].info.finished = 0;
        for (int s = 0; s < c->seeds; s++) {
            CRUMB_TRY(look_at(c, out, v, s));
        }
    }
    return CRUMB_OK;
}

/* ---- Runs. */

typedef struct teller {
    crumb_compare_progress progress;
    bool (*tell)(void *user, const crumb_compare_progress *progress);
    void *user;
} teller;

static bool on_step(void *user, const crumb_progress *now) {
    teller *t = user;
    double steps = now->steps > 0 ? (double)now->steps : 1, epochs = now->epochs > 0 ? (double)now->epochs : 1;
    t->progress.train = now;
    t->progress.fraction = (t->progress.run + ((double)now->epoch + (double)now->step / steps) / epochs) / t->progress.runs;
    return t->tell(t->user, &t->progress);
}

/* A run is finished, just now or long ago. */
static crumb_status tell_finished(const crumb_comparison *c, teller *t, int v, int s, bool found) {
    crumb_compare_progress *progress = &t->progress;
    progress->train = NULL;
    progress->found = found;
    progress->top1 = c->variant[v].top1[s];
    progress->seconds = c->variant[v].run[s].seconds;
    progress->fraction = (double)(progress->run + 1) / progress->runs;
    if (t->tell == NULL || t->tell(t->user, progress)) {
        return CRUMB_OK;
    }
    return crumb_fail(c->ctx, CRUMB_ERROR_STOPPED, "stopped after run %d of %d", progress->run + 1, progress->runs);
}

static crumb_status run_one(crumb_comparison *c, const char *out, int v, int s, teller *t) {
    char folder[PATH_ROOM];
    bool found = c->variant[v].finished[s];
    t->progress.variant = c->variant[v].name;
    t->progress.seed = c->seed[s];
    if (!found) {
        folder_of(c, out, v, s, folder);
        crumb_train_options options = {.out = folder, .resume = true, .progress = t->tell != NULL ? on_step : NULL, .user = t};
        crumb_status status = crumb_train(c->variant[v].recipe[s], &options, NULL);
        if (status != CRUMB_OK) {
            return crumb_fail_in(c->ctx, status, "%s", folder);
        }
        CRUMB_TRY(take_result(c, folder, v, s)); /* as written: the same numbers whether it ran now or before */
    }
    return tell_finished(c, t, v, s, found);
}

/* ---- The outcome. */

static void judge(const crumb_comparison *c, crumb_compare_variant *variant) {
    crumb_variant_info *info = &variant->info;
    crumb_spread spread = crumb_spread_of(variant->top1, c->seeds);
    info->mean = spread.mean;
    info->deviation = spread.deviation;
    info->seconds = 0;
    info->extra_images = 0;
    for (int s = 0; s < c->seeds; s++) {
        const crumb_train_result *run = &variant->run[s];
        info->seconds += run->seconds / c->seeds;
        info->extra_images = run->extra_images > info->extra_images ? run->extra_images : info->extra_images;
    }
    if (info->verdict != CRUMB_VERDICT_CONTROL) {
        crumb_paired paired = crumb_paired_of(variant->top1, c->variant[c->control].top1, c->seeds);
        info->difference = paired.difference;
        info->low = paired.low;
        info->high = paired.high;
        info->verdict = paired.verdict;
    }
}

static json_t *real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *variant_json(const crumb_comparison *c, const crumb_compare_variant *variant) {
    const crumb_variant_info *info = &variant->info;
    json_t *sets = json_array(), *top1 = json_array();
    for (int i = 0; i < variant->sets; i++) {
        json_array_append_new(sets, json_string(variant->set[i]));
    }
    for (int s = 0; s < c->seeds; s++) {
        json_array_append_new(top1, real(variant->top1[s]));
    }
    if ((int)json_array_size(sets) != variant->sets || (int)json_array_size(top1) != c->seeds) { /* no memory */
        json_decref(sets);
        json_decref(top1);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:i, s:i, s:o}", "name", variant->name,
                     "set", sets, "top1", top1, "mean", real(info->mean), "deviation", real(info->deviation), "difference",
                     real(info->difference), "low", real(info->low), "high", real(info->high), "verdict",
                     crumb_verdict_text(info->verdict), "epochs", (json_int_t)info->epochs, "images", (json_int_t)info->images,
                     "extra_images", (json_int_t)info->extra_images, "weight_bits", variant->run[0].weight_bits,
                     "activation_bits", variant->run[0].activation_bits, "seconds", real(info->seconds));
}

/* The outcome as text, which jansson allocated; NULL: no memory. */
static char *print_outcome(const crumb_comparison *c) {
    json_t *seeds = json_array(), *variants = json_array();
    int failed = 0;
    for (int s = 0; s < c->seeds; s++) {
        failed |= json_array_append_new(seeds, json_integer(c->seed[s]));
    }
    for (int v = 0; v < c->variants; v++) {
        failed |= json_array_append_new(variants, variant_json(c, &c->variant[v]));
    }
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:i, s:o, s:o}", "recipe", c->keys.recipe, "control", c->variant[c->control].name, "measure",
                  crumb_comparison_measure(c), "confidence", 95, "seeds", seeds, "variants", variants);
    char *text = failed == 0 ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(object);
    return text;
}

static crumb_status write_outcome(const crumb_comparison *c, const char *out) {
    char path[PATH_ROOM];
    snprintf(path, sizeof(path), "%s/compare.json", out);
    char *text = print_outcome(c);
    if (text == NULL) {
        return crumb_fail(c->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    crumb_status status = crumb_file_write(c->ctx, path, text, strlen(text));
    free(text);
    return status;
}

crumb_status crumb_compare(crumb_comparison *c, const char *out,
                           bool (*progress)(void *user, const crumb_compare_progress *progress), void *user) {
    teller t = {.tell = progress, .user = user, .progress = {.runs = c->variants * c->seeds}};
    CRUMB_TRY(crumb_comparison_look(c, out));
    for (int s = 0; s < c->seeds; s++) {
        for (int v = 0; v < c->variants; v++) {
            CRUMB_TRY(run_one(c, out, v, s, &t));
            t.progress.run++;
        }
    }
    for (int v = 0; v < c->variants; v++) {
        judge(c, &c->variant[v]);
    }
    return write_outcome(c, out);
}
