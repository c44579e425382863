/* crumb pack: a trained network as a packed file. */
#include "packed.h"

typedef struct pack_options {
    const char *out;
} pack_options;

/* The file as written is read again: what is reported is what it says. */
static int report(const cli *self, const pack_options *options) {
    crumb_packed *packed;
    if (crumb_packed_open(self->ctx, options->out, &packed) != CRUMB_OK) {
        return cli_fail_message(self);
    }
    int code = cli_show_packed(self, options->out, packed);
    crumb_packed_close(packed);
    return code;
}

static int run(cli *self, const void *given) {
    const pack_options *options = given;
    crumb_network *network = NULL;
    int code = cli_check_out(self, options->out, ".crumb");
    if (code != CLI_DONE) {
        return code;
    }
    crumb_status status = crumb_network_open(self->ctx, self->argument[0], &network);
    if (status == CRUMB_OK) {
        status = crumb_network_pack(network, options->out);
    }
    crumb_network_close(network);
    return status == CRUMB_OK ? report(self, options) : cli_fail_message(self);
}

static const cli_option options_table[] = {
    {"out", 'o', CLI_TEXT, offsetof(pack_options, out), "FILE", 0, 0, CLI_OFFER_FILES, "packed file to write"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_pack = {
    .name = "pack",
    .arguments = "MODEL",
    .summary = "turns a trained network into a small file that runs on integers",
    .examples = "crumb pack runs/demo-w2a2/best.safetensors -o demo.crumb\n"
                "crumb info demo.crumb                  # layers, bits, bytes, operations\n",
    .about = "Batch norm, scales and biases are folded, weights take their bits: a 2-bit weight 2 bits, a ternary one 1.6. "
             "crumb verify proves that the file computes what was trained.",
    .options = options_table,
    .size = sizeof(pack_options),
    .min_arguments = 1,
    .max_arguments = 1,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
