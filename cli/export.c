/* crumb export: a network as a file of another kind. A kind is one row of `formats`: how it is called, how its file ends, and
 * the function that writes it, of a packed network or of a trained one. A trained network is packed first where that is wanted.
 */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct export_options {
    const char *format, *out, *form;
    cli_int opset;
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
    crumb_status (*write_trained)(export_work *work, crumb_network *network); /* instead */
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

static crumb_status write_onnx(export_work *work, const crumb_packed *packed) {
    const export_options *options = work->options;
    const crumb_export_onnx_options onnx = {.form = options->form, .opset = (int)options->opset.value};
    json_object_set_new(work->object, "form", cli_string(options->form != NULL ? options->form : "qcdq"));
    return crumb_packed_export_onnx(packed, options->out, &onnx);
}

static crumb_status write_safetensors(export_work *work, crumb_network *network) {
    const char *form = work->options->form != NULL ? work->options->form : "float";
    json_object_set_new(work->object, "form", cli_string(form));
    return crumb_network_export_safetensors(network, work->options->out, strcmp(form, "codes") == 0);
}

static const export_format formats[] = {
    {"c", ".c", "a freestanding C99 file and its header beside it, for microcontrollers", write_c, NULL},
    {"onnx", ".onnx", "ONNX, in the forms that runtimes take", write_onnx, NULL},
    {"safetensors", ".safetensors", "weights under PyTorch's names", NULL, write_safetensors},
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

/* What does not belong to the format is not passed over. */
static int check_options(const cli *self, const export_options *options, const export_format *format) {
    bool c = strcmp(format->name, "c") == 0, onnx = strcmp(format->name, "onnx") == 0;
    const char *form = options->form;
    if (options->floats && !c) {
        return cli_usage(self, "--floats is for --format c");
    }
    if (form != NULL && c) {
        return cli_usage(self, "--form is for --format onnx and safetensors");
    }
    if (options->opset.given && !onnx) {
        return cli_usage(self, "--opset is for --format onnx");
    }
    if (form != NULL && !onnx && strcmp(form, "float") != 0 && strcmp(form, "codes") != 0) {
        return cli_usage(self, "--format safetensors has the forms float and codes, not %s", form);
    }
    return CLI_DONE;
}

/* A network, one of the two. */
typedef struct export_source {
    crumb_network *network;
    crumb_packed *packed;
} export_source;

static void close_source(export_source *source) {
    crumb_packed_close(source->packed);
    crumb_network_close(source->network);
}

/* Opens MODEL as the format wants it. */
static int open_source(const cli *self, const export_format *format, export_source *source) {
    const char *path = self->argument[0];
    if (format->write != NULL) {
        return crumb_packed_load(self->ctx, path, &source->packed) == CRUMB_OK ? CLI_DONE : cli_fail_message(self);
    }
    if (crumb_packed_open(self->ctx, path, &source->packed) == CRUMB_OK) {
        return cli_fail(
            self,
            "%s is packed: batch norm is folded in and the module's tensors are gone; --format %s takes the trained network",
            path, format->name);
    }
    return crumb_network_open(self->ctx, path, &source->network) == CRUMB_OK ? CLI_DONE : cli_fail_message(self);
}

static const char *model_of(const export_source *source) {
    crumb_packed_info packed;
    crumb_network_info network;
    if (source->packed != NULL) {
        crumb_packed_describe(source->packed, &packed);
        return packed.model;
    }
    crumb_network_describe(source->network, &network);
    return network.model;
}

static int write_file(const cli *self, const export_options *options, const export_format *format, export_source *source) {
    json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "format", format->name, "file", options->out, "from", self->argument[0],
                               "model", model_of(source));
    export_work work = {.self = self, .options = options, .object = object};
    crumb_status status = CRUMB_ERROR_MEMORY;
    if (object != NULL) {
        status = format->write != NULL ? format->write(&work, source->packed) : format->write_trained(&work, source->network);
    }
    if (status != CRUMB_OK) {
        json_decref(object);
        return cli_fail_message(self);
    }
    return show(self, object);
}

static int run(cli *self, const void *given) {
    const export_options *options = given;
    export_source source = {NULL, NULL};
    int code = cli_check_out(self, options->out, NULL);
    if (code != CLI_DONE) {
        return code;
    }
    const export_format *format = find_format(self, options);
    code = format != NULL ? check_options(self, options, format) : CLI_USAGE;
    if (code == CLI_DONE) {
        code = open_source(self, format, &source);
    }
    if (code == CLI_DONE) {
        code = write_file(self, options, format, &source);
    }
    close_source(&source);
    return code;
}

static const cli_option options_table[] = {
    {"format", 'f', CLI_TEXT, offsetof(export_options, format), "NAME", 0, 0, CLI_OFFER_NOTHING,
     "c: a freestanding C99 file and its header; onnx; safetensors (default: what the file's ending says)"},
    {"out", 'o', CLI_TEXT, offsetof(export_options, out), "FILE", 0, 0, CLI_OFFER_FILES, "file to write"},
    {"form", 0, CLI_TEXT, offsetof(export_options, form), "NAME", 0, 0, CLI_OFFER_NOTHING,
     "onnx: qcdq (default), qdq, nbits, qonnx, float; safetensors: float (default), codes"},
    {"opset", 0, CLI_INT, offsetof(export_options, opset), "N", 1, 1000, CLI_OFFER_NOTHING,
     "onnx, qdq: 21 packs weights to 4 bits (default), 25 to 2 bits too"},
    {"floats", 0, CLI_FLAG, offsetof(export_options, floats), NULL, 0, 0, 0,
     "c: images come as normalised floats, not as 8-bit pixels"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_export = {
    .name = "export",
    .arguments = "MODEL",
    .summary = "write a network in another form: C for microcontrollers, ONNX, PyTorch's weights",
    .examples = "crumb export model.crumb --format c -o net.c   # net.c and net.h: net_run(pixels, logits)\n"
                "crumb export model.crumb -o net.c --floats     # net_run(image, logits)\n"
                "crumb export model.crumb -o net.onnx           # QuantizeLinear, Clip, DequantizeLinear: every runtime\n"
                "crumb export model.crumb -o net.onnx --form qdq --opset 25  # weights of 2 bits take 2 bits\n"
                "crumb export runs/demo-w2a2/best.safetensors -o net.c       # packed on the way\n"
                "crumb export best.safetensors -o weights.safetensors        # quantized weights for a PyTorch module\n",
    .about =
        "MODEL is a .crumb file, or a trained network, which is packed on the way. The C file needs no library, no operating "
        "system and no allocation: weights are constants at their bits, activations lie in one static array, and the logits "
        "are those of crumb run, bit for bit. ONNX files take normalised images [batch, C, H, W]; docs/EXPORT.md describes "
        "their forms. Weights for PyTorch have its names: floats that take the quantized values, or codes and scales.",
    .options = options_table,
    .size = sizeof(export_options),
    .min_arguments = 1,
    .max_arguments = 1,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
