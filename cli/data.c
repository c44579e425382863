/* crumb data: checks a data set image by image, counts the classes, draws a contact sheet. */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct data_options {
    const char *sheet;
    cli_int columns, rows, seed;
} data_options;

static json_t *numbers(const float *value, int64_t count) {
    json_t *array = json_array();
    for (int64_t i = 0; i < count; i++) {
        json_array_append_new(array, json_real(value[i]));
    }
    return array;
}

static int report_json(const cli *self, const crumb_dataset_info *info, const int64_t *counts) {
    json_t *classes = json_array();
    for (int c = 0; c < info->classes; c++) {
        json_array_append_new(classes, json_pack("{s:o, s:I}", "name",
                                                 cli_string(info->class_names != NULL ? info->class_names[c] : NULL), "images",
                                                 (json_int_t)counts[c]));
    }
    int64_t channels = info->channels < 4 ? info->channels : 4;
    return cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "data", self->argument[0], "kind",
                                    info->kind, "split", info->split, "images", (json_int_t)info->count, "height",
                                    (json_int_t)info->height, "width", (json_int_t)info->width, "channels",
                                    (json_int_t)info->channels, "mean", numbers(info->mean, channels), "deviation",
                                    numbers(info->deviation, channels), "classes", classes));
}

static int report(const cli *self, const crumb_dataset_info *info, const int64_t *counts) {
    if (self->common.json) {
        return report_json(self, info, counts);
    }
    char size[64] = "of different sizes";
    if (info->height > 0) {
        snprintf(size, sizeof(size), "%" PRId64 " x %" PRId64, info->height, info->width);
    }
    printf("%s, split %s: %" PRId64 " images %s, %" PRId64 " channel%s%s, %d classes, all readable\n", info->kind, info->split,
           info->count, size, info->channels, info->channels == 1 ? "" : "s", info->real ? " of reals" : "", info->classes);
    cli_table table = {.align = "rlr"};
    for (int c = 0; c < info->classes; c++) {
        cli_table_cell(&table, "%d", c);
        cli_table_cell(&table, "%s", info->class_names != NULL ? info->class_names[c] : "");
        cli_table_cell(&table, "%" PRId64, counts[c]);
    }
    cli_table_print(&table, stdout, "  ");
    return CLI_DONE;
}

static int run(cli *self, const void *given) {
    const data_options *options = given;
    crumb_dataset *dataset = NULL;
    uint64_t seed = options->seed.given ? (uint64_t)options->seed.value : CLI_SEED;
    if (crumb_dataset_open(self->ctx, self->argument[0], seed, &dataset) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    crumb_dataset_info info;
    crumb_dataset_describe(dataset, &info);
    int64_t *counts = calloc((size_t)info.classes + 1, sizeof(*counts));
    int code = counts == NULL ? cli_fail(self, "out of memory") : CLI_DONE;
    if (code == CLI_DONE && crumb_dataset_check(dataset, counts) != CRUMB_OK) {
        code = cli_fail_message(self);
    }
    if (code == CLI_DONE && options->sheet != NULL) {
        int columns = options->columns.given ? (int)options->columns.value : 20;
        int rows = options->rows.given ? (int)options->rows.value : 10;
        code = crumb_dataset_sheet(dataset, columns, rows, options->sheet) == CRUMB_OK ? CLI_DONE : cli_fail_message(self);
    }
    if (code == CLI_DONE) {
        code = report(self, &info, counts);
    }
    free(counts);
    crumb_dataset_close(dataset);
    return code;
}

static const cli_option options_table[] = {
    {"sheet", 0, CLI_TEXT, offsetof(data_options, sheet), "FILE.png", 0, 0, CLI_OFFER_FILES,
     "write a contact sheet, images by class"},
    {"columns", 0, CLI_INT, offsetof(data_options, columns), "N", 1, 1000, 0, "images across the sheet (default: 20)"},
    {"rows", 0, CLI_INT, offsetof(data_options, rows), "N", 1, 1000, 0, "images down the sheet (default: 10)"},
    {"seed", 0, CLI_INT, offsetof(data_options, seed), "N", 0, INT64_MAX, 0, "seed of data that is drawn: digits (default: 1)"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_data = {
    .name = "data",
    .arguments = "KIND:PATH[:SPLIT]",
    .summary = "check and count a data set, show it on a contact sheet",
    .examples = "crumb data digits:train --sheet digits.png         # the built-in set\n"
                "crumb data cifar10:cifar-10-batches-bin:train      # reads every image once\n"
                "crumb info loaders                                 # the kinds there are\n",
    .about = "A truncated file, a wrong magic number, a label out of range or an image that cannot be decoded is named with "
             "file, offset and value.",
    .options = options_table,
    .size = sizeof(data_options),
    .min_arguments = 1,
    .max_arguments = 1,
    .offer = CLI_OFFER_DATA,
    .run = run,
};
