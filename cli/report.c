/* crumb report: one HTML page, or the table alone, from run folders. */
#include "cli.h"

#include "crumb/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct report_options {
    const char *out, *title;
    cli_reals epochs;
    cli_int layers;
} report_options;

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void number_cell(cli_table *table, const json_t *object, const char *key, int decimals) {
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value)) {
        cli_table_cell(table, "%.*f", decimals, json_number_value(value));
    } else {
        cli_table_cell(table, "-");
    }
}

/* What the models of each loss surface do, in the domain of the picture's left side. */
static void print_surfaces(const json_t *surfaces) {
    const json_t *surface, *model;
    size_t i, k;
    json_array_foreach(surfaces, i, surface) {
        printf("\n%s\n", text_of(surface, "file"));
        cli_table rows = {.align = "lrr"};
        json_array_foreach(json_object_get(surface, "models"), k, model) {
            const json_t *quantized = json_object_get(model, "quantized");
            const json_t *at = quantized != NULL ? quantized : json_object_get(model, "float");
            cli_table_cell(&rows, "%s", text_of(model, "name"));
            number_cell(&rows, at, "train_loss", 4);
            number_cell(&rows, at, "test_error", 2);
        }
        cli_table_print(&rows, stdout, "  ");
    }
}

static void print_table(const cli *self, const json_t *report) {
    static const char *const heads[] = {"run", "network", "W", "A", "top1", "best", "direct", "epochs", "images/s"};
    const json_t *runs = json_object_get(report, "runs"), *run, *comparison, *variant;
    cli_table table = {.align = "llrrrrrrr"};
    size_t i, k;
    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        cli_table_cell(&table, "%s", heads[i]);
    }
    json_array_foreach(runs, i, run) {
        cli_table_cell(&table, "%s%s", text_of(run, "folder"),
                       json_is_true(json_object_get(run, "finished")) ? "" : " (unfinished)");
        cli_table_cell(&table, "%s", text_of(run, "model"));
        number_cell(&table, run, "weight_bits", 0);
        number_cell(&table, run, "activation_bits", 0);
        number_cell(&table, run, "val_top1", 2);
        number_cell(&table, run, "best_top1", 2);
        number_cell(&table, run, "direct_top1", 2);
        number_cell(&table, run, "epochs", 0);
        number_cell(&table, run, "images_per_second", 0);
    }
    if (json_array_size(runs) > 0) {
        cli_table_print(&table, stdout, "");
    } else {
        cli_table_free(&table);
    }
    json_array_foreach(json_object_get(report, "comparisons"), i, comparison) {
        printf("\n%s, control %s\n", text_of(comparison, "folder"), text_of(comparison, "control"));
        cli_table rows = {.align = "lrrl"};
        json_array_foreach(json_object_get(comparison, "variants"), k, variant) {
            cli_table_cell(&rows, "%s", text_of(variant, "name"));
            number_cell(&rows, variant, "mean", 2);
            number_cell(&rows, variant, "difference", 2);
            cli_table_cell(&rows, "%s", text_of(variant, "verdict"));
        }
        cli_table_print(&rows, stdout, "  ");
    }
    print_surfaces(json_object_get(report, "surfaces"));
    (void)self;
}

/* Problems are in the page; they are said on stderr too. */
static void tell_problems(const cli *self, const json_t *report) {
    const json_t *run, *line;
    size_t i, k;
    json_array_foreach(json_object_get(report, "problems"), i, line) {
        cli_note(self, "%s", json_string_value(line));
    }
    json_array_foreach(json_object_get(report, "runs"), i, run) {
        json_array_foreach(json_object_get(run, "problems"), k, line) {
            cli_note(self, "%s: %s", text_of(run, "folder"), json_string_value(line));
        }
    }
}

static int write_page(cli *self, const report_options *options, const crumb_report *report, const char *out) {
    crumb_report_options wanted = {
        .title = options->title, .epochs = options->epochs.count, .layer_runs = (int)options->layers.value};
    for (int i = 0; i < wanted.epochs; i++) {
        wanted.epoch[i] = (int64_t)options->epochs.at[i];
    }
    return crumb_report_write(report, &wanted, out) == CRUMB_OK ? CLI_DONE : cli_fail_message(self);
}

static int tell(cli *self, const crumb_report *report, const char *out) {
    char *text;
    if (crumb_report_json(report, &text) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    json_t *object = json_loads(text, 0, NULL);
    crumb_text_free(self->ctx, text);
    if (object == NULL) {
        return cli_fail(self, "out of memory");
    }
    tell_problems(self, object);
    if (self->common.json) {
        json_object_set_new(object, "out", cli_string(out));
        return cli_print_json(object);
    }
    print_table(self, object);
    printf("\n%s\n", out);
    json_decref(object);
    return CLI_DONE;
}

static int run(cli *self, const void *given) {
    const report_options *options = given;
    for (int i = 0; i < options->epochs.count; i++) {
        if (!(options->epochs.at[i] >= 0 && options->epochs.at[i] <= 1e9f &&
              options->epochs.at[i] == floorf(options->epochs.at[i]))) {
            return cli_usage(self, "--epochs: %g is no epoch", (double)options->epochs.at[i]);
        }
    }
    const char *out = options->out != NULL ? options->out : self->common.json ? NULL : "report.html";
    crumb_report *report;
    if (crumb_report_open(self->ctx, self->argument, self->arguments, &report) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    int code = out != NULL ? write_page(self, options, report, out) : CLI_DONE;
    code = code == CLI_DONE ? tell(self, report, out) : code;
    crumb_report_close(report);
    return code;
}

static const cli_option options_table[] = {
    {"out", 'o', CLI_TEXT, offsetof(report_options, out), "FILE.html", 0, 0, CLI_OFFER_FILES,
     "the page (default: report.html; with --json none)"},
    {"title", 0, CLI_TEXT, offsetof(report_options, title), "TEXT", 0, 0, 0, "title of the page"},
    {"epochs", 0, CLI_REALS, offsetof(report_options, epochs), "N,N,...", 0, 0, 0,
     "epochs whose histograms are drawn, at most 4 (default: first, middle, last)"},
    {"layers", 0, CLI_INT, offsetof(report_options, layers), "N", 1, 1000, 0,
     "draw the layers of the first N runs (default: 4)"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_report = {
    .name = "report",
    .arguments = "DIR...",
    .summary = "one HTML page from run folders: tables, curves, histograms, verdicts",
    .examples = "crumb report runs/demo-w2a2                      # report.html\n"
                "crumb report runs/* -o all.html                  # several runs in the same pictures\n"
                "crumb report runs/methods                        # a folder that crumb compare wrote\n"
                "crumb report runs/sqwa runs/plane                # a run, and a loss surface that crumb surface wrote\n"
                "crumb report runs/* --json                       # the table alone, on stdout\n",
    .about = "The page holds everything: no network and no scripts are needed to read it, light and dark follow the reader. "
             "It shows the result table, learning curves, rates, bits and phases, each layer's weights as histograms with "
             "the quantization levels, the quantization errors, loss surfaces, and the effective recipes. Unfinished runs "
             "are shown as far as they came; what is missing or damaged is said in its place.\n\nPictures are drawn by "
             "gnuplot (Debian package gnuplot-nox).",
    .options = options_table,
    .size = sizeof(report_options),
    .min_arguments = 1,
    .max_arguments = 512,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
