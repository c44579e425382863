/* crumb train: runs a recipe, float or low-bit, in a run folder that can be resumed. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct train_options {
    cli_texts set;
    const char *out;
    bool resume, dry_run;
    cli_int seed;
} train_options;

crumb_status cli_load_recipe(const cli *self, const char *path, const cli_texts *set, cli_int seed, crumb_recipe **recipe) {
    const char *overrides[CLI_TEXTS_MAX + 1];
    char text[64];
    int count = set->count;
    memcpy(overrides, set->at, (size_t)count * sizeof(*overrides));
    if (seed.given) {
        snprintf(text, sizeof(text), "train.seed=%" PRId64, seed.value);
        overrides[count++] = text;
    }
    return crumb_recipe_load_with(self->ctx, path, overrides, count, cli_environment, NULL, recipe);
}

/* ---- Progress. */

typedef struct train_progress {
    cli_progress bar;
    crumb_progress last; /* of the call before; phase NULL before the first */
    char phase[64];
    json_t *figures; /* what strategies reported, name: value */
} train_progress;

static const char *percent(double value, char text[CLI_NUMBER]) {
    snprintf(text, CLI_NUMBER, isfinite(value) ? "%.2f %%" : "-", value);
    return text;
}

/* The line of a finished epoch; `val` is known only once the next step begins. */
static void print_epoch(const train_progress *progress, double val) {
    const crumb_progress *last = &progress->last;
    char train_text[CLI_NUMBER], val_text[CLI_NUMBER], left[CLI_NUMBER];
    fprintf(stderr, "%sepoch %" PRId64 "/%" PRId64 "  %s  loss %.4f  train %s  val %s  rate %.3g  %.0f images/s  %s left\n",
            progress->bar.terminal ? "\r\033[K" : "", last->epoch + 1, last->epochs, progress->phase, last->loss,
            percent(last->train_top1, train_text), percent(val, val_text), last->rate, last->images_per_second,
            cli_duration(last->seconds_left, left));
}

static bool on_step(void *user, const crumb_progress *now) {
    train_progress *progress = user;
    bool quiet = progress->bar.self->common.quiet;
    if (!quiet && progress->last.phase != NULL && now->epoch > progress->last.epoch) {
        print_epoch(progress, now->val_top1);
    }
    progress->last = *now;
    progress->last.phase = progress->phase; /* the caller's may not outlive the call */
    snprintf(progress->phase, sizeof(progress->phase), "%s", now->phase);
    if (cli_progress_due(&progress->bar)) {
        char before[96], after[192], left[CLI_NUMBER], train_text[CLI_NUMBER];
        snprintf(before, sizeof(before), "epoch %" PRId64 "/%" PRId64 "  step %" PRId64 "/%" PRId64, now->epoch + 1,
                 now->epochs, now->step, now->steps);
        snprintf(after, sizeof(after), "loss %.4f  train %s  %.0f images/s  %s left", now->loss,
                 percent(now->train_top1, train_text), now->images_per_second, cli_duration(now->seconds_left, left));
        double done = (double)now->epoch + (double)now->step / (double)(now->steps > 0 ? now->steps : 1);
        cli_progress_draw(&progress->bar, done / (double)(now->epochs > 0 ? now->epochs : 1), before, after);
    }
    return !cli_interrupted();
}

static void on_figure(void *user, const char *name, double value) {
    train_progress *progress = user;
    json_object_set_new(progress->figures, name, cli_real(value));
}

/* ---- Results. */

static int report(const cli *self, const char *out, const crumb_train_result *result, json_t *figures) {
    if (self->common.json) {
        return cli_print_json(json_pack(
            "{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:i, s:i, s:o, s:o, s:O}", "out", out, "val_top1",
            cli_real(result->val_top1), "val_top5", cli_real(result->val_top5), "val_loss", cli_real(result->val_loss),
            "best_top1", cli_real(result->best_top1), "best_epoch", (json_int_t)result->best_epoch, "epochs",
            (json_int_t)result->epochs, "seconds", cli_real(result->seconds), "images_per_second",
            cli_real(result->images_per_second), "weight_bits", result->weight_bits, "activation_bits", result->activation_bits,
            "direct_top1", cli_real(result->direct_top1), "float_top1", cli_real(result->float_top1), "figures", figures));
    }
    char text[CLI_NUMBER];
    printf("val top1   %s (best %.2f %% in epoch %" PRId64 " of %" PRId64 ")\n", percent(result->val_top1, text),
           result->best_top1, result->best_epoch, result->epochs);
    printf("val top5   %s\n", percent(result->val_top5, text));
    printf("val loss   %.4f\n", result->val_loss);
    if (isfinite(result->float_top1)) {
        printf("float      %s before training\n", percent(result->float_top1, text));
    }
    if (isfinite(result->direct_top1)) {
        printf("direct     %s right after quantization\n", percent(result->direct_top1, text));
    }
    printf("bits       weights %d, activations %d\n", result->weight_bits, result->activation_bits);
    const char *name;
    json_t *value;
    json_object_foreach(figures, name, value) {
        printf("%-10s %.6g\n", name, json_number_value(value));
    }
    printf("time       %s, %.0f images/s\n", cli_duration(result->seconds, text), result->images_per_second);
    printf("run        %s\n", out);
    return CLI_DONE;
}

/* The words that go on with a stopped run. */
static void tell_resume(const cli *self, const train_options *options, const char *out) {
    char text[1024];
    int used = snprintf(text, sizeof(text), "crumb train %s", self->argument[0]);
    for (int i = 0; i < options->set.count && used < (int)sizeof(text); i++) {
        used += snprintf(text + used, sizeof(text) - (size_t)used, " --set '%s'", options->set.at[i]);
    }
    if (options->seed.given && used < (int)sizeof(text)) {
        used += snprintf(text + used, sizeof(text) - (size_t)used, " --seed %" PRId64, options->seed.value);
    }
    if (used < (int)sizeof(text)) {
        snprintf(text + used, sizeof(text) - (size_t)used, " --out %s --resume", out);
    }
    cli_fail(self, "stopped, checkpoint written; go on with: %s", text);
}

static bool holds(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* A run folder is never overwritten. */
static int check_folder(const cli *self, const char *out, bool resume) {
    bool finished = holds(out, "result.json");
    if (resume || (!finished && !holds(out, "last.safetensors") && !holds(out, "log.jsonl"))) {
        return CLI_DONE;
    }
    return cli_fail(self, "%s holds %s run: --resume goes on with it, --out DIR starts elsewhere", out,
                    finished ? "a finished" : "an unfinished");
}

/* The effective recipe and its timeline, on stdout. */
static int show_plan(const cli *self, const crumb_recipe *recipe) {
    char *yaml = NULL, *timeline = NULL;
    int code = CLI_DONE;
    if (crumb_recipe_print(recipe, &yaml) != CRUMB_OK || crumb_recipe_timeline(recipe, &timeline) != CRUMB_OK) {
        code = cli_fail_message(self);
    } else if (self->common.json) {
        code = cli_print_json(
            json_pack("{s:s, s:s, s:s}", "name", crumb_recipe_name(recipe), "recipe", yaml, "timeline", timeline));
    } else {
        printf("%s\n# timeline\n", yaml);
        for (const char *line = timeline; *line != '\0';) {
            size_t length = strcspn(line, "\n");
            printf("# %.*s\n", (int)length, line);
            line += length + (line[length] == '\n');
        }
    }
    crumb_text_free(self->ctx, yaml);
    crumb_text_free(self->ctx, timeline);
    return code;
}

/* What is about to be trained, a phase a line, on stderr. */
static crumb_status tell_timeline(const cli *self, const crumb_recipe *recipe) {
    char *timeline = NULL;
    crumb_status status = crumb_recipe_timeline(recipe, &timeline);
    for (const char *line = timeline; status == CRUMB_OK && *line != '\0';) {
        size_t length = strcspn(line, "\n");
        cli_note(self, "  %.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    crumb_text_free(self->ctx, timeline);
    return status;
}

static int train(cli *self, const train_options *options, const crumb_recipe *recipe) {
    char preset[600];
    const char *out = options->out;
    if (out == NULL) {
        snprintf(preset, sizeof(preset), "runs/%s", crumb_recipe_name(recipe));
        out = preset;
    }
    int code = check_folder(self, out, options->resume);
    if (code != CLI_DONE) {
        return code;
    }
    cli_note(self, "%s -> %s", self->argument[0], out);
    if (tell_timeline(self, recipe) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    train_progress progress = {.figures = json_object()};
    cli_progress_begin(&progress.bar, self);
    cli_catch_signals();
    crumb_train_result result;
    crumb_train_options wanted = {
        .out = out, .resume = options->resume, .progress = on_step, .user = &progress, .figure = on_figure};
    crumb_status status = crumb_train(recipe, &wanted, &result);
    cli_progress_end(&progress.bar);
    code = CLI_FAILED;
    if (status == CRUMB_ERROR_STOPPED) {
        tell_resume(self, options, out);
    } else if (status != CRUMB_OK) {
        code = cli_fail_message(self);
    } else {
        if (!self->common.quiet && progress.last.phase != NULL) {
            print_epoch(&progress, result.val_top1);
        }
        code = report(self, out, &result, progress.figures);
    }
    json_decref(progress.figures);
    return code;
}

static int run(cli *self, const void *given) {
    const train_options *options = given;
    crumb_recipe *recipe = NULL;
    if (cli_load_recipe(self, self->argument[0], &options->set, options->seed, &recipe) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    int code = options->dry_run ? show_plan(self, recipe) : train(self, options, recipe);
    crumb_recipe_free(recipe);
    return code;
}

static const cli_option options_table[] = {
    {"set", 's', CLI_TEXTS, offsetof(train_options, set), "KEY.PATH=VALUE", 0, 0, 0,
     "override a key of the recipe; again for more"},
    {"out", 'o', CLI_TEXT, offsetof(train_options, out), "DIR", 0, 0, CLI_OFFER_FOLDERS,
     "run folder (default: runs/<recipe name>)"},
    {"resume", 'r', CLI_FLAG, offsetof(train_options, resume), NULL, 0, 0, 0, "go on from the run folder's checkpoint"},
    {"seed", 0, CLI_INT, offsetof(train_options, seed), "N", 0, INT64_MAX, 0, "the same as --set train.seed=N"},
    {"dry-run", 'n', CLI_FLAG, offsetof(train_options, dry_run), NULL, 0, 0, 0,
     "print the effective recipe and its timeline, train nothing"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_train = {
    .name = "train",
    .arguments = "RECIPE",
    .summary = "train a network as a recipe says, in float or with few bits",
    .examples = "crumb train recipes/demo-w2a2.yaml                          # into runs/demo-w2a2\n"
                "crumb train r.yaml --set train.epochs=3 --out runs/short    # with a key changed\n"
                "crumb train r.yaml --out runs/short --resume                # go on where it stopped\n"
                "crumb train r.yaml --dry-run                                # every key, and the phases\n",
    .about = "One recipe is one experiment (docs/RECIPES.md). The run folder gets recipe.yaml (every key written out), "
             "log.jsonl (an "
             "object a line), TensorBoard event files, last.safetensors and best.safetensors, and in the end result.json.\n\n"
             "Ctrl-C finishes the step, writes a checkpoint and tells how to go on. A run that was killed and resumed ends in "
             "the same "
             "bits as one that never was.",
    .options = options_table,
    .size = sizeof(train_options),
    .min_arguments = 1,
    .max_arguments = 1,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
