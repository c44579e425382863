/* crumb surface: loss and error over the plane through three models, in the quantized and in the float weight domain. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct surface_options {
    const char *data, *train, *test, *out, *margin, *steps;
    cli_int grid, train_images, test_images, norm_images, batch, seed;
} surface_options;

typedef struct data_names {
    char train[1024], test[1024];
} data_names;

/* "cifar10:DIR" -> "cifar10:DIR:train" and "cifar10:DIR:test", whatever split it names. */
static int find_data(const cli *self, const surface_options *options, data_names *names) {
    if (options->data == NULL && (options->train == NULL || options->test == NULL)) {
        return cli_usage(self, "--data is missing");
    }
    const char *data = options->data != NULL ? options->data : "";
    size_t length = strlen(data);
    static const char *const splits[] = {":train", ":test"};
    for (int i = 0; i < 2; i++) {
        size_t split = strlen(splits[i]);
        if (length > split && strcmp(data + length - split, splits[i]) == 0) {
            length -= split;
        }
    }
    if (length > sizeof(names->train) - 8) {
        return cli_usage(self, "--data: a name of %zu bytes", length);
    }
    snprintf(names->train, sizeof(names->train), "%.*s:train", (int)length, data);
    snprintf(names->test, sizeof(names->test), "%.*s:test", (int)length, data);
    return CLI_DONE;
}

static int find_margin(const cli *self, const char *text, double *margin) {
    char *end;
    *margin = -1;
    if (text == NULL) {
        return CLI_DONE;
    }
    *margin = strtod(text, &end);
    if (end == text || *end != '\0' || !(*margin >= 0 && *margin <= 100)) {
        return cli_usage(self, "--margin: \"%s\" is not a number from 0 to 100", text);
    }
    return CLI_DONE;
}

static int find_steps(const cli *self, const char *text, crumb_surface_steps *steps) {
    static const char *const words[] = {"follow", "shared", "refit"};
    for (int i = 0; i < 3; i++) {
        if (text == NULL || strcmp(text, words[i]) == 0) {
            *steps = (crumb_surface_steps)i;
            return CLI_DONE;
        }
    }
    return cli_usage(self, "--steps: \"%s\" is none of follow, shared, refit", text);
}

/* ---- Progress. */

typedef struct surface_progress {
    cli_progress bar;
    struct timespec begun;
} surface_progress;

static bool on_point(void *user, const crumb_surface_progress *now) {
    surface_progress *progress = user;
    if (now->done == now->found && now->found > 0) {
        cli_note(progress->bar.self, "%" PRId64 " of %" PRId64 " points are there", now->found, now->total);
    }
    if (now->done > now->found && cli_progress_due(&progress->bar)) {
        struct timespec time;
        char before[64], after[160], left[CLI_NUMBER];
        clock_gettime(CLOCK_MONOTONIC, &time);
        double spent = (double)(time.tv_sec - progress->begun.tv_sec) + 1e-9 * (double)(time.tv_nsec - progress->begun.tv_nsec);
        double each = spent / (double)(now->done - now->found);
        snprintf(before, sizeof(before), "%" PRId64 "/%" PRId64 " %s", now->done, now->total,
                 now->quantized ? "quantized" : "float");
        snprintf(after, sizeof(after), "train loss %.4f  test error %.2f %%  %.2f s a point  %s left", now->value.train_loss,
                 now->value.test_error, each, cli_duration(each * (double)(now->total - now->done), left));
        cli_progress_draw(&progress->bar, (double)now->done / (double)now->total, before, after);
    }
    return !cli_interrupted();
}

/* ---- The outcome. */

/* surface.json without its grids, which are long. */
static int print_file(const cli *self, const char *out) {
    char path[4200];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/surface.json", out);
    json_t *object = json_load_file(path, 0, &error);
    if (object == NULL) {
        return cli_fail(self, "%s: %s", path, error.text);
    }
    json_object_del(object, "quantized");
    json_object_del(object, "float");
    json_object_set_new(object, "out", json_string(out));
    return cli_print_json(object);
}

static void print_values(cli_table *table, const crumb_surface_value *value) {
    if (isnan(value->train_loss)) {
        cli_table_cell(table, "-");
        cli_table_cell(table, "-");
        return;
    }
    cli_table_cell(table, "%.4f", value->train_loss);
    cli_table_cell(table, "%.2f", value->test_error);
}

static void print_outcome(const cli *self, const crumb_surface_result *result, crumb_surface_steps steps, const char *out) {
    static const char *const heads[] = {"", "x", "y", "quantized: loss", "error %", "float: loss", "error %"};
    cli_table table = {.align = "lrrrrrr"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        cli_table_cell(&table, "%s", heads[i]);
    }
    for (int m = 0; m < 3; m++) {
        cli_table_cell(&table, "%c  %s", 'A' + m, self->argument[m]);
        cli_table_cell(&table, "%.2f", result->x[m]);
        cli_table_cell(&table, "%.2f", result->y[m]);
        print_values(&table, &result->quantized[m]);
        print_values(&table, &result->plain[m]);
    }
    cli_table_cell(&table, "least on the grid");
    cli_table_cell(&table, "%s", "");
    cli_table_cell(&table, "%s", "");
    print_values(&table, &result->best_quantized);
    print_values(&table, &result->best_plain);
    cli_table_print(&table, stdout, "");
    if (steps != CRUMB_STEPS_FOLLOW && result->step_spread > 1e-3) {
        printf("\nThe models' steps differ by up to %.3g %%: with --steps follow, points at models would be the models.\n",
               100 * result->step_spread);
    }
    printf("\n%s/surface.json\n%s/surface.svg\n", out, out);
}

static int draw(const cli *self, const char *out) {
    char from[4200], to[4200];
    snprintf(from, sizeof(from), "%s/surface.json", out);
    snprintf(to, sizeof(to), "%s/surface.svg", out);
    return crumb_surface_draw(self->ctx, from, to) == CRUMB_OK ? CLI_DONE : cli_fail_message(self);
}

static int run(cli *self, const void *given) {
    const surface_options *options = given;
    data_names names;
    double margin;
    crumb_surface_steps steps = CRUMB_STEPS_FOLLOW;
    int code = find_data(self, options, &names);
    code = code == CLI_DONE ? find_margin(self, options->margin, &margin) : code;
    code = code == CLI_DONE ? find_steps(self, options->steps, &steps) : code;
    if (code != CLI_DONE) {
        return code;
    }
    surface_progress progress = {0};
    const char *out = options->out != NULL ? options->out : "runs/surface";
    crumb_surface_result result;
    crumb_surface_options wanted = {
        .models = {self->argument[0], self->argument[1], self->argument[2]},
        .train = options->train != NULL ? options->train : names.train,
        .test = options->test != NULL ? options->test : names.test,
        .out = out,
        .grid = options->grid.value,
        .margin = margin,
        .train_images = options->train_images.value,
        .test_images = options->test_images.value,
        .norm_images = options->norm_images.value,
        .batch = options->batch.value,
        .seed = options->seed.given ? (uint64_t)options->seed.value : CLI_SEED,
        .steps = steps,
        .progress = on_point,
        .user = &progress,
    };
    cli_progress_begin(&progress.bar, self);
    clock_gettime(CLOCK_MONOTONIC, &progress.begun);
    cli_catch_signals();
    crumb_status status = crumb_surface(self->ctx, &wanted, &result);
    cli_progress_end(&progress.bar);
    if (status == CRUMB_ERROR_STOPPED) {
        return cli_fail(self, "%s; the same command goes on", crumb_message(self->ctx));
    }
    code = status == CRUMB_OK ? draw(self, out) : cli_fail_message(self);
    if (code == CLI_DONE && self->common.json) {
        return print_file(self, out);
    }
    if (code == CLI_DONE) {
        print_outcome(self, &result, wanted.steps, out);
    }
    return code;
}

static const cli_option options_table[] = {
    {"data", 'd', CLI_TEXT, offsetof(surface_options, data), "KIND:PATH", 0, 0, CLI_OFFER_DATA,
     "data set: its training images for loss and batch norm, its test images for the error"},
    {"train", 0, CLI_TEXT, offsetof(surface_options, train), "KIND:PATH[:SPLIT]", 0, 0, CLI_OFFER_DATA,
     "other training images"},
    {"test", 0, CLI_TEXT, offsetof(surface_options, test), "KIND:PATH[:SPLIT]", 0, 0, CLI_OFFER_DATA, "other test images"},
    {"out", 'o', CLI_TEXT, offsetof(surface_options, out), "DIR", 0, 0, CLI_OFFER_FOLDERS, "folder (default: runs/surface)"},
    {"grid", 'g', CLI_INT, offsetof(surface_options, grid), "N", 2, 1001, 0, "points a side (default: 21)"},
    {"margin", 0, CLI_TEXT, offsetof(surface_options, margin), "SHARE", 0, 0, 0,
     "around the models, as a share of the plane's lengths (default: 0.2)"},
    {"train-images", 0, CLI_INT, offsetof(surface_options, train_images), "N", 1, INT64_MAX, 0,
     "for the loss of a point (default: 1000)"},
    {"test-images", 0, CLI_INT, offsetof(surface_options, test_images), "N", 1, INT64_MAX, 0,
     "for the error of a point (default: 1000)"},
    {"norm-images", 0, CLI_INT, offsetof(surface_options, norm_images), "N", 1, INT64_MAX, 0,
     "for its batch-norm statistics, whole batches (default: 1000)"},
    {"batch", 'b', CLI_INT, offsetof(surface_options, batch), "N", 1, 65536, 0, "images at a time (default: 100)"},
    {"steps", 0, CLI_TEXT, offsetof(surface_options, steps), "WORD", 0, 0, 0,
     "of a point's quantizers: follow (as the models find theirs, default), shared (their mean), refit (anew)"},
    {"seed", 0, CLI_INT, offsetof(surface_options, seed), "N", 0, INT64_MAX, 0, "chooses the images (default: 1)"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_surface = {
    .name = "surface",
    .arguments = "A B C",
    .summary = "loss and error over the plane through three models, quantized and float",
    .examples = "crumb surface a.safetensors b.safetensors c.safetensors --data cifar10:cifar-10-batches-bin -o runs/plane\n"
                "crumb surface a.safetensors b.safetensors c.safetensors --data digits --grid 11 --train-images 500\n",
    .about =
        "The models are files that crumb wrote, of one network: three captures, two captures and their average, or a float "
        "model, a retrained one and an averaged one. At every point of the grid the weights are quantized tensor by tensor, "
        "batch norm's statistics are computed anew, and loss and error are measured; then the same with float weights "
        "(docs/SURFACE.md). DIR gets surface.json and the picture surface.svg (needs gnuplot).\n\n"
        "Every finished point is kept in DIR/points.jsonl: after an interruption the same command goes on, to the same "
        "result.",
    .options = options_table,
    .size = sizeof(surface_options),
    .min_arguments = 3,
    .max_arguments = 3,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
