/* crumb export: a packed network in another form. A form is one row of `formats`: how it is called, how its file ends, and the
 * function that writes it. */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct export_options {
    const char *format, *out;
    bool floats;
} export_options;

/* What a format's function works on. It adds what it wants to tell to `object`, in the order in which it is to be shown. */
typedef struct export_work {
    const cli *self;
    const export_options *options;
    json_t *object;
} export_work;

typedef struct export_format {
    const char *name, *ending; /* "c", ".c" */
    const char *doc;
    crumb_status (*write)(export_work *work, const crumb_packed *packed);
} export_format;

/* ---- Formats. */

static crumb_status write_c(export_work *work, const crumb_packed *packed) {
    const crumb_export_c_options options = {.floats = work->options->floats};
    crumb_export_c_result *result = malloc(sizeof(*result));
    crumb_status status =
        result != NULL ? crumb_packed_export_c(packed, work->options->out, &options, result) : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        json_object_set_new(work->object, "header", cli_string(result->header));
        json_object_set_new(work->object, "constant_bytes", json_integer((json_int_t)result->constant_bytes));
        json_object_set_new(work->object, "memory_bytes", json_integer((json_int_t)result->memory_bytes));
    }
    free(result);
    return status;
}

static const export_format formats[] = {
    {"c", ".c", "a freestanding C99 file and its header beside it, for microcontrollers", write_c},
};
enum { FORMATS = sizeof(formats) / sizeof(formats[0]) };

/* ---- Which. */

static bool ends_with(const char *text, const char *ending) {
    size_t length = strlen(text), end = strlen(ending);
    return length >= end && strcmp(text + length - end, ending) == 0;
}

/* By name, or else by the file's ending; NULL, said on stderr. */
static const export_format *find_format(const cli *self, const export_options *options) {
    const char *names[FORMATS];
    for (size_t i = 0; i < FORMATS; i++) {
        names[i] = formats[i].name;
        if (options->format != NULL ? strcmp(options->format, names[i]) == 0 : ends_with(options->out, formats[i].ending)) {
            return &formats[i];
        }
    }
    const char *near = options->format != NULL ? crumb_nearest(options->format, names, FORMATS) : NULL;
    if (options->format == NULL) {
        cli_usage(self, "--format is missing: no format's files end like %s", options->out);
    } else if (near != NULL) {
        cli_usage(self, "no format \"%s\"; did you mean \"%s\"?", options->format, near);
    } else {
        cli_usage(self, "no format \"%s\"", options->format);
    }
    return NULL;
}

/* ---- The command. */

static int show(const cli *self, json_t *object) {
    if (self->common.json) {
        return cli_print_json(object);
    }
    cli_table table = {.align = "ll"};
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        cli_table_cell(&table, "%s", key);
        if (json_is_string(value)) {
            cli_table_cell(&table, "%s", json_string_value(value));
        } else if (json_is_integer(value)) {
            cli_table_cell(&table, "%" PRId64, (int64_t)json_integer_value(value));
        } else {
            cli_table_cell(&table, "%g", json_number_value(value));
        }
    }
    cli_table_print(&table, stdout, "");
    json_decref(object);
    return CLI_DONE;
}

static int run(cli *self, const void *given) {
    const export_options *options = given;
    if (options->out == NULL) {
        return cli_usage(self, "--out is missing");
    }
    const export_format *format = find_format(self, options);
    if (format == NULL) {
        return CLI_USAGE;
    }
    crumb_packed *packed = NULL;
    if (crumb_packed_load(self->ctx, self->argument[0], &packed) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    crumb_packed_info info;
    crumb_packed_describe(packed, &info);
    json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "format", format->name, "file", options->out, "from", self->argument[0],
                               "model", info.model);
    export_work work = {.self = self, .options = options, .object = object};
    crumb_status status = object != NULL ? format->write(&work, packed) : CRUMB_ERROR_MEMORY;
    crumb_packed_close(packed);
    if (status != CRUMB_OK) {
        json_decref(object);
        return cli_fail_message(self);
    }
    return show(self, object);
}

static const cli_option options_table[] = {
    {"format", 'f', CLI_TEXT, offsetof(export_options, format), "NAME", 0, 0, CLI_OFFER_NOTHING,
     "c: a freestanding C99 file and its header (default: what the file's ending says)"},
    {"out", 'o', CLI_TEXT, offsetof(export_options, out), "FILE", 0, 0, CLI_OFFER_FILES, "file to write"},
    {"floats", 0, CLI_FLAG, offsetof(export_options, floats), NULL, 0, 0, 0,
     "c: images come as normalised floats, not as 8-bit pixels"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_export = {
    .name = "export",
    .arguments = "MODEL",
    .summary = "write a packed network in another form: C for microcontrollers",
    .examples = "crumb export model.crumb --format c -o net.c         # net.c and net.h: net_run(pixels, logits)\n"
                "crumb export model.crumb -o net.c --floats           # net_run(image, logits)\n"
                "crumb export runs/demo-w2a2/best.safetensors -o net.c  # packed on the way\n",
    .about = "MODEL is a .crumb file, or a trained network, which is packed on the way. The C file needs no library, no "
             "operating system and no allocation: weights are constants at "
             "their bits, activations lie in one static array, and the logits are those of crumb run, bit for bit.",
    .options = options_table,
    .size = sizeof(export_options),
    .min_arguments = 1,
    .max_arguments = 1,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
