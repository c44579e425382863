/* crumb compare: variants of a recipe, the same budget and the same seeds for each, and what the spread allows to say. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct compare_options {
    cli_texts variant, set;
    const char *seeds, *control, *measure, *out;
    cli_int epochs;
    bool dry_run;
} compare_options;

enum { SEEDS_MAX = 64 };

/* "1,2,3" */
static int read_seeds(const cli *self, const char *text, int64_t seeds[SEEDS_MAX], int *count) {
    for (const char *at = text;;) {
        char *end;
        errno = 0;
        long long value = strtoll(at, &end, 10);
        if (end == at || (*end != ',' && *end != '\0') || errno != 0 || value < 0 || *count == SEEDS_MAX) {
            return cli_usage(self, "--seeds: \"%s\" is not a list of at most %d whole numbers such as 1,2,3", text, SEEDS_MAX);
        }
        seeds[(*count)++] = value;
        if (*end == '\0') {
            return CLI_DONE;
        }
        at = end + 1;
    }
}

/* ---- Progress. */

static bool on_progress(void *user, const crumb_compare_progress *now) {
    cli_progress *bar = user;
    char before[160], after[128], text[CLI_NUMBER];
    snprintf(before, sizeof(before), "%d/%d  %s seed %" PRId64, now->run + 1, now->runs, now->variant, now->seed);
    if (now->train == NULL) {
        if (!bar->self->common.quiet) {
            fprintf(stderr, "%s%s  %.2f %% in %s%s\n", bar->terminal ? "\r\033[K" : "", before, now->top1,
                    cli_duration(now->seconds, text), now->found ? ", finished before" : "");
        }
    } else if (cli_progress_due(bar)) {
        snprintf(after, sizeof(after), "epoch %" PRId64 "/%" PRId64 "  loss %.4f  %.0f images/s  run: %s left",
                 now->train->epoch + 1, now->train->epochs, now->train->loss, now->train->images_per_second,
                 cli_duration(now->train->seconds_left, text));
        cli_progress_draw(bar, now->fraction, before, after);
    }
    return !cli_interrupted();
}

/* ---- The plan. */

static json_t *plan_json(const cli *self, const crumb_variant_info *info) {
    char *timeline = NULL;
    if (crumb_recipe_timeline(info->recipe, &timeline) != CRUMB_OK) {
        return NULL;
    }
    json_t *object = json_pack("{s:s, s:I, s:I, s:I, s:i, s:s}", "name", info->name, "epochs", (json_int_t)info->epochs,
                               "images", (json_int_t)info->images, "passes", (json_int_t)info->passes, "finished",
                               info->finished, "timeline", timeline);
    crumb_text_free(self->ctx, timeline);
    return object;
}

static void print_lines(const char *text, const char *indent) {
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        printf("%s%.*s\n", indent, (int)length, text);
        text += length + (text[length] == '\n');
    }
}

static int show_plan(const cli *self, const crumb_comparison *comparison, const char *out) {
    crumb_variant_info info;
    int64_t seed;
    int seeds = 0;
    json_t *list = json_array(), *all = json_array();
    while (crumb_comparison_seed(comparison, seeds, &seed)) {
        json_array_append_new(all, json_integer(seed));
        seeds++;
    }
    for (int i = 0; self->common.json && crumb_comparison_variant(comparison, i, &info); i++) {
        json_array_append_new(list, plan_json(self, &info));
    }
    if (self->common.json) {
        return cli_print_json(json_pack("{s:s, s:o, s:o}", "out", out, "seeds", all, "variants", list));
    }
    json_decref(all);
    json_decref(list);
    for (int i = 0; crumb_comparison_variant(comparison, i, &info); i++) {
        char *timeline = NULL;
        if (crumb_recipe_timeline(info.recipe, &timeline) != CRUMB_OK) {
            return cli_fail_message(self);
        }
        printf("%s: %" PRId64 " training images a run in %" PRId64 " epochs", info.name, info.images, info.epochs);
        if (info.passes > 0) {
            printf(", %" PRId64 " more passes for statistics", info.passes);
        }
        printf("; %d of %d runs finished\n", info.finished, seeds);
        print_lines(timeline, "    ");
        crumb_text_free(self->ctx, timeline);
    }
    return CLI_DONE;
}

/* ---- The outcome. */

static void print_variant(cli_table *table, const crumb_variant_info *info, int seeds) {
    char text[CLI_NUMBER];
    bool control = info->verdict == CRUMB_VERDICT_CONTROL;
    cli_table_cell(table, "%s", info->name);
    if (seeds > 1) {
        cli_table_cell(table, "%.2f ± %.2f", info->mean, info->deviation);
    } else {
        cli_table_cell(table, "%.2f", info->mean);
    }
    if (control) {
        cli_table_cell(table, "%s", "");
    } else if (seeds > 1) {
        cli_table_cell(table, "%+.2f (%+.2f to %+.2f)", info->difference, info->low, info->high);
    } else {
        cli_table_cell(table, "%+.2f", info->difference);
    }
    cli_table_cell(table, "%s%s", crumb_verdict_text(info->verdict), !control && seeds == 1 ? " (one seed)" : "");
    cli_table_cell(table, "%s", cli_short((double)info->extra_images, text));
    cli_table_cell(table, "%s", cli_duration(info->seconds, text));
}

static void print_outcome(const crumb_comparison *comparison) {
    static const char *const heads[] = {"variant", "top-1 %", "difference", "verdict", "seen besides", "time a run"};
    cli_table table = {.align = "lrllrr"};
    crumb_variant_info info, control = {0};
    int64_t seed;
    int seeds = 0;
    while (crumb_comparison_seed(comparison, seeds, &seed)) {
        seeds++;
    }
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        cli_table_cell(&table, "%s", heads[i]);
    }
    for (int i = 0; crumb_comparison_variant(comparison, i, &info); i++) {
        print_variant(&table, &info, seeds);
        control = info.verdict == CRUMB_VERDICT_CONTROL ? info : control;
    }
    cli_table_print(&table, stdout, "");
    printf("\n%" PRId64 " training images a run (%" PRId64 " epochs). Top-1 of the %s epoch", control.images, control.epochs,
           crumb_comparison_measure(comparison));
    if (seeds > 1) {
        printf(": mean and standard deviation of %d seeds.\nDifference to %s: mean and 95 %% interval of the seeds' "
               "differences; a verdict needs an interval without 0.\n",
               seeds, control.name);
    } else {
        printf(" with one seed, which shows no difference.\n");
    }
}

/* compare.json as it is. */
static int print_file(const cli *self, const char *out) {
    char path[4200];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/compare.json", out);
    json_t *object = json_load_file(path, 0, &error);
    return object != NULL ? cli_print_json(object) : cli_fail(self, "%s: %s", path, error.text);
}

/* ---- Running. */

static int compare(cli *self, const compare_options *options, crumb_comparison *comparison, const char *out) {
    crumb_status status = crumb_comparison_look(comparison, out);
    if (status == CRUMB_OK && options->dry_run) {
        return show_plan(self, comparison, out);
    }
    if (status == CRUMB_OK) {
        cli_progress bar;
        cli_note(self, "%s -> %s", self->argument[0], out);
        cli_progress_begin(&bar, self);
        cli_catch_signals();
        status = crumb_compare(comparison, out, on_progress, &bar);
        cli_progress_end(&bar);
    }
    if (status == CRUMB_ERROR_STOPPED) {
        return cli_fail(self, "stopped, checkpoint written; the same command goes on");
    }
    if (status != CRUMB_OK) {
        return cli_fail_message(self);
    }
    if (self->common.json) {
        return print_file(self, out);
    }
    print_outcome(comparison);
    return CLI_DONE;
}

/* "runs/NAME" for the file NAME.yaml */
static void preset_out(const char *path, char out[600]) {
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    const char *dot = strrchr(base, '.');
    int length = dot != NULL && dot != base ? (int)(dot - base) : (int)strlen(base);
    snprintf(out, 600, "runs/%.*s", length < 500 ? length : 500, base);
}

static int run(cli *self, const void *given) {
    const compare_options *options = given;
    crumb_comparison *comparison = NULL;
    int64_t seeds[SEEDS_MAX];
    int count = 0;
    char preset[600];
    int code = options->seeds != NULL ? read_seeds(self, options->seeds, seeds, &count) : CLI_DONE;
    if (code != CLI_DONE) {
        return code;
    }
    crumb_comparison_options wanted = {
        .variants = options->variant.at,
        .variant_count = options->variant.count,
        .overrides = options->set.at,
        .override_count = options->set.count,
        .seeds = seeds,
        .seed_count = count,
        .control = options->control,
        .measure = options->measure,
        .epochs = options->epochs.value,
        .lookup = cli_environment,
    };
    if (crumb_comparison_load(self->ctx, self->argument[0], &wanted, &comparison) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    preset_out(self->argument[0], preset);
    code = compare(self, options, comparison, options->out != NULL ? options->out : preset);
    crumb_comparison_free(comparison);
    return code;
}

static const cli_option options_table[] = {
    {"variant", 0, CLI_TEXTS, offsetof(compare_options, variant), "NAME[:KEY.PATH=VALUE]", 0, 0, 0,
     "a variant of the recipe FILE; again with the same name for more keys"},
    {"set", 's', CLI_TEXTS, offsetof(compare_options, set), "KEY.PATH=VALUE", 0, 0, 0, "override a key of every variant"},
    {"seeds", 0, CLI_TEXT, offsetof(compare_options, seeds), "N,N,...", 0, 0, 0, "seeds of the runs (default: 1,2,3)"},
    {"control", 0, CLI_TEXT, offsetof(compare_options, control), "NAME", 0, 0, 0,
     "what the others are measured against (default: the first variant)"},
    {"measure", 0, CLI_TEXT, offsetof(compare_options, measure), "last|best", 0, 0, 0,
     "accuracy of the last epoch (default) or of the best one"},
    {"epochs", 0, CLI_INT, offsetof(compare_options, epochs), "N", 1, 1000000, 0,
     "give every variant N epochs over all its phases"},
    {"out", 'o', CLI_TEXT, offsetof(compare_options, out), "DIR", 0, 0, CLI_OFFER_FOLDERS,
     "where the runs go (default: runs/<name of FILE>)"},
    {"dry-run", 'n', CLI_FLAG, offsetof(compare_options, dry_run), NULL, 0, 0, 0,
     "print budgets, timelines and what is finished, train nothing"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_compare = {
    .name = "compare",
    .arguments = "FILE",
    .summary = "which variant of a recipe is better: same budget, same seeds, honest verdict",
    .examples = "crumb compare methods.yaml --out runs/methods               # a file that names a recipe and variants\n"
                "crumb compare r.yaml --variant plain \\\n"
                "              --variant low:train.optimizer.lr=0.01        # variants of a recipe\n"
                "crumb compare methods.yaml --dry-run                        # budgets and timelines\n"
                "crumb compare methods.yaml --seeds 1,2,3,4,5 --json         # more seeds; finished runs stay\n",
    .about =
        "FILE is a comparison (docs/COMPARE.md), or a recipe with --variant. Every variant gets the same number of training "
        "images, summed over all phases of its timeline, and the same seeds; variants of different budgets are refused, or "
        "fitted with --epochs. Runs lie in DIR/VARIANT/seed-N and are ordinary run folders: finished ones are recognised, "
        "unfinished ones go on. The outcome is DIR/compare.json.\n\n"
        "A variant is better or worse when the 95 % interval (Student's t) of its paired differences to the control leaves "
        "out 0. One seed shows nothing.",
    .options = options_table,
    .size = sizeof(compare_options),
    .min_arguments = 1,
    .max_arguments = 1,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
