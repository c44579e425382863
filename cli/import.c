/* crumb import: networks trained elsewhere (ONNX, or safetensors with PyTorch's names) become a model that knows itself. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

typedef struct import_options {
    const char *model, *out, *params, *input;
    cli_int classes;
    cli_reals mean, deviation;
} import_options;

/* An ONNX file names its network, images and classes itself. */
static bool is_onnx(const char *path) {
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".onnx") == 0;
}

static int check(const cli *self, const import_options *options, int64_t size[3]) {
    bool onnx = is_onnx(self->argument[0]);
    int code = cli_check_out(self, options->out, ".safetensors");
    if (code != CLI_DONE) {
        return code;
    }
    if (options->model == NULL && !onnx) {
        return cli_usage(
            self, "--model is missing: %s does not end in .onnx, so it holds the weights of a network that --model names",
            self->argument[0]);
    }
    if (onnx && (options->model != NULL || options->params != NULL || options->input != NULL || options->classes.given)) {
        return cli_usage(self, "--model, --params, --input, --classes: %s says that itself", self->argument[0]);
    }
    if (options->input != NULL) {
        char rest;
        if (sscanf(options->input, "%" SCNd64 "x%" SCNd64 "x%" SCNd64 "%c", &size[0], &size[1], &size[2], &rest) != 3 ||
            size[0] < 1 || size[1] < 1 || size[2] < 1 || size[0] > 4096 || size[1] > 4096 || size[2] > 4) {
            return cli_usage(self, "--input: \"%s\" is not HEIGHTxWIDTHxCHANNELS such as 32x32x3", options->input);
        }
    }
    if (options->mean.count != options->deviation.count ||
        (!onnx && options->mean.count > 0 && options->mean.count != size[2])) {
        return cli_usage(self, "--mean has %d numbers, --deviation %d; the image has %" PRId64 " channels", options->mean.count,
                         options->deviation.count, size[2]);
    }
    for (int c = 0; c < options->deviation.count; c++) {
        if (options->deviation.at[c] <= 0) {
            return cli_usage(self, "--deviation: %g is not positive", (double)options->deviation.at[c]);
        }
    }
    return CLI_DONE;
}

static int report(const cli *self, const import_options *options, const crumb_network *network) {
    crumb_network_info info;
    crumb_network_describe(network, &info);
    if (self->common.json) {
        return cli_print_json(json_pack("{s:s, s:s, s:i, s:I, s:I, s:i}", "out", options->out, "model", info.model, "layers",
                                        info.layers, "parameters", (json_int_t)info.parameters, "float_bytes",
                                        (json_int_t)info.float_bytes, "classes", info.classes));
    }
    char count[CLI_NUMBER];
    printf("%s: %s with %d layers, %s parameters\n", options->out, info.model, info.layers,
           cli_short((double)info.parameters, count));
    return CLI_DONE;
}

static int run(cli *self, const void *given) {
    const import_options *options = given;
    int64_t size[3] = {32, 32, 3};
    int code = check(self, options, size);
    if (code != CLI_DONE) {
        return code;
    }
    crumb_network *network = NULL;
    int classes = options->classes.given ? (int)options->classes.value : 10;
    crumb_status status = crumb_network_import(self->ctx, self->argument[0], options->model, options->params, size[0], size[1],
                                               size[2], classes, &network);
    if (status == CRUMB_OK) {
        crumb_network_info info;
        crumb_network_describe(network, &info);
        if (options->mean.count > 0 && options->mean.count != info.channels) {
            crumb_network_close(network);
            return cli_usage(self, "--mean has %d numbers; the image has %" PRId64 " channels", options->mean.count,
                             info.channels);
        }
        if (options->mean.count > 0) {
            crumb_network_normalise(network, options->mean.at, options->deviation.at, options->mean.count);
        }
        status = crumb_network_save(network, options->out);
    }
    code = status == CRUMB_OK ? report(self, options, network) : cli_fail_message(self);
    crumb_network_close(network);
    return code;
}

static const cli_option options_table[] = {
    {"model", 'm', CLI_TEXT, offsetof(import_options, model), "NAME", 0, 0, CLI_OFFER_MODELS,
     "the network the weights belong to; an ONNX file says it itself"},
    {"out", 'o', CLI_TEXT, offsetof(import_options, out), "FILE", 0, 0, CLI_OFFER_FILES, "model file to write"},
    {"params", 0, CLI_TEXT, offsetof(import_options, params), "KEY=VALUE,...", 0, 0, 0,
     "parameters of the network, see crumb info NAME"},
    {"input", 0, CLI_TEXT, offsetof(import_options, input), "HxWxC", 0, 0, 0, "size of an image (default: 32x32x3)"},
    {"classes", 0, CLI_INT, offsetof(import_options, classes), "N", 1, 100000, 0, "number of classes (default: 10)"},
    {"mean", 0, CLI_REALS, offsetof(import_options, mean), "A,B,C", 0, 0, 0, "mean of a channel, pixels in 0..1 (default: 0)"},
    {"deviation", 0, CLI_REALS, offsetof(import_options, deviation), "A,B,C", 0, 0, 0, "its standard deviation (default: 1)"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_import = {
    .name = "import",
    .arguments = "FILE",
    .summary = "turn an ONNX model, or weights with PyTorch's names, into a model file",
    .examples = "crumb import model.onnx --out model.safetensors\n"
                "crumb import resnet20.safetensors --model resnet20 --out model.safetensors \\\n"
                "             --mean 0.485,0.456,0.406 --deviation 0.229,0.224,0.225\n",
    .about = "An ONNX model takes one image and gives a value a class; a softmax at its end is left out.\n"
             "Tensors that are missing, left over or of another shape are named.",
    .options = options_table,
    .size = sizeof(import_options),
    .min_arguments = 1,
    .max_arguments = 1,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
