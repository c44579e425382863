/* crumb verify: proves that a packed file computes what was trained. */
#include "cli.h"

#include <inttypes.h>

typedef struct verify_options {
    const char *data;
    cli_int images, exact, seed;
    cli_reals ties, agreement;
} verify_options;

static json_t *layer_json(const crumb_verified_layer *layer) {
    return json_pack("{s:s, s:i, s:I, s:I, s:I, s:i, s:I, s:I}", "name", layer->name, "bits", layer->bits, "codes",
                     (json_int_t)layer->codes, "inexact", (json_int_t)layer->inexact, "differing", (json_int_t)layer->differing,
                     "largest", layer->largest, "ties", (json_int_t)layer->ties, "jumps", (json_int_t)layer->jumps);
}

static int report_json(const cli *self, const crumb_verification *made, const crumb_verification_info *info) {
    json_t *layers = json_array();
    crumb_verified_layer layer;
    for (int i = 0; crumb_verification_layer(made, i, &layer); i++) {
        json_array_append_new(layers, layer_json(&layer));
    }
    return cli_print_json(json_pack(
        "{s:s, s:s, s:I, s:I, s:b, s:b, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:i, s:I, s:o, s:o, s:o, s:o, s:o}", "model",
        self->argument[0], "packed", self->argument[1], "images", (json_int_t)info->images, "exact_images",
        (json_int_t)info->exact_images, "exact", info->exact, "bounded", info->bounded, "codes", (json_int_t)info->codes,
        "inexact_codes", (json_int_t)info->inexact_codes, "inexact_logits", (json_int_t)info->inexact_logits, "differing",
        (json_int_t)info->differing, "share", cli_real(info->share), "ties", (json_int_t)info->ties, "jumps",
        (json_int_t)info->jumps, "largest", info->largest, "equal_images", (json_int_t)info->equal_images, "logit_distance",
        cli_real(info->logit_distance), "agreement", cli_real(info->agreement), "top1", cli_real(info->top1), "top1_simulated",
        cli_real(info->top1_simulated), "layers", layers));
}

static void print_layers(const crumb_verification *made) {
    cli_table table = {.align = "lrrrrrrr"};
    static const char *const head[] = {"layer", "bits", "codes", "inexact", "differing", "%", "largest", "ties"};
    for (int i = 0; i < 8; i++) {
        cli_table_cell(&table, "%s", head[i]);
    }
    crumb_verified_layer layer;
    for (int i = 0; crumb_verification_layer(made, i, &layer); i++) {
        cli_table_cell(&table, "%s", layer.name);
        cli_table_cell(&table, "%d", layer.bits);
        cli_table_cell(&table, "%" PRId64, layer.codes);
        cli_table_cell(&table, "%" PRId64, layer.inexact);
        cli_table_cell(&table, "%" PRId64, layer.differing);
        cli_table_cell(&table, "%.4f", 100 * (double)layer.differing / (double)layer.codes);
        cli_table_cell(&table, "%d", layer.largest);
        cli_table_cell(&table, "%" PRId64, layer.ties);
    }
    cli_table_print(&table, stdout, "");
    printf("\n");
}

static void print_summary(const crumb_verification_info *info) {
    printf("exact arithmetic   %s: %" PRId64 " of %" PRId64 " codes and %" PRId64 " logits differ, over %" PRId64 " images\n",
           info->exact ? "equal" : "NOT EQUAL", info->inexact_codes, info->codes / info->images * info->exact_images,
           info->inexact_logits, info->exact_images);
    printf("float simulation   %s: ", info->bounded ? "within bounds" : "OUT OF BOUNDS");
    if (info->codes > 0) {
        printf("%" PRId64 " of %" PRId64 " codes are rounded to another level, %" PRId64 " of them by more than one\n",
               info->ties, info->codes, info->jumps);
        printf("                   %" PRId64
               " codes differ with what follows, by at most %d levels, at most %.3f %% of a layer\n",
               info->differing, info->largest, info->share);
    } else {
        printf("no layer takes codes\n");
    }
    printf("                   same top-1 in %.2f %% of %" PRId64 " images; logits within %.1e where no code differs (%" PRId64
           " images)\n",
           info->agreement, info->images, info->logit_distance, info->equal_images);
    if (info->top1 == info->top1) {
        printf("top-1              %.2f %% packed, %.2f %% simulated\n", info->top1, info->top1_simulated);
    }
}

static int report(const cli *self, const crumb_verification *made) {
    crumb_verification_info info;
    crumb_verification_describe(made, &info);
    int code = info.exact && info.bounded ? CLI_DONE : CLI_FAILED;
    if (self->common.json) {
        return report_json(self, made, &info) == CLI_DONE ? code : CLI_FAILED;
    }
    if (self->common.verbose) {
        print_layers(made);
    }
    print_summary(&info);
    return code;
}

static crumb_status verify(cli *self, const verify_options *options, crumb_verification **made) {
    crumb_network *network = NULL;
    crumb_dataset *dataset = NULL;
    cli_progress progress;
    cli_progress_begin(&progress, self);
    uint64_t seed = options->seed.given ? (uint64_t)options->seed.value : CLI_SEED;
    crumb_verify_options wanted = {.images = options->images.value,
                                   .exact = options->exact.value,
                                   .seed = seed,
                                   .ties = options->ties.count > 0 ? (double)options->ties.at[0] : 0,
                                   .agreement = options->agreement.count > 0 ? (double)options->agreement.at[0] : 0,
                                   .progress = cli_count_progress,
                                   .user = &progress};
    crumb_status status = crumb_network_open(self->ctx, self->argument[0], &network);
    if (status == CRUMB_OK && options->data != NULL) {
        status = crumb_dataset_open(self->ctx, options->data, seed, &dataset);
    }
    if (status == CRUMB_OK) {
        status = crumb_network_verify(network, self->argument[1], dataset, &wanted, made);
        cli_progress_end(&progress);
    }
    crumb_dataset_close(dataset);
    crumb_network_close(network);
    return status;
}

static int run(cli *self, const void *given) {
    const verify_options *options = given;
    const cli_reals *percent[] = {&options->ties, &options->agreement};
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "ties" : "agreement";
        if (percent[i]->count > 1) {
            return cli_usage(self, "--%s is one number, not %d", name, percent[i]->count);
        }
        if (percent[i]->count == 1 && (percent[i]->at[0] <= 0 || percent[i]->at[0] > 100)) {
            return cli_usage(self, "--%s: %g is not above 0 and up to 100", name, (double)percent[i]->at[0]);
        }
    }
    crumb_verification *made = NULL;
    crumb_status status = verify(self, options, &made);
    int code = status == CRUMB_OK ? report(self, made) : cli_fail_message(self);
    crumb_verification_close(made);
    return code;
}

static const cli_option options_table[] = {
    {"data", 'd', CLI_TEXT, offsetof(verify_options, data), "KIND:PATH[:SPLIT]", 0, 0, CLI_OFFER_DATA,
     "images to compare on (default: random pixels)"},
    {"images", 'n', CLI_INT, offsetof(verify_options, images), "N", 1, INT64_MAX, 0, "the first N images only (default: 32)"},
    {"exact", 0, CLI_INT, offsetof(verify_options, exact), "N", 1, INT64_MAX, 0,
     "evaluate the first N of them exactly, which is slow (default: all)"},
    {"seed", 0, CLI_INT, offsetof(verify_options, seed), "N", 0, INT64_MAX, 0,
     "seed of images that are drawn: digits, random pixels (default: 1)"},
    {"ties", 0, CLI_REALS, offsetof(verify_options, ties), "PERCENT", 0, 0, 0,
     "how many codes may be the first to differ from the simulation (default: 0.1)"},
    {"agreement", 0, CLI_REALS, offsetof(verify_options, agreement), "PERCENT", 0, 0, 0,
     "how many images must have the simulation's top-1, all but one at most (default: 95)"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_verify = {
    .name = "verify",
    .arguments = "MODEL PACKED",
    .summary = "proves that a packed file computes what was trained",
    .examples = "crumb verify runs/demo-w2a2/best.safetensors demo.crumb --data digits\n"
                "crumb verify model.safetensors model.crumb --images 100 --verbose\n",
    .about =
        "Two comparisons, of the codes that enter each layer and of the logits. The trained network evaluated in exact integer "
        "arithmetic must equal the packed file, run with this processor's kernels, bit for bit. The float simulation that was "
        "trained rounds its sums elsewhere: codes next to a boundary may differ by one level, and what follows from them; they "
        "are counted, and the first ones of each image (ties) bounded. Exit status 0 if both hold.",
    .options = options_table,
    .size = sizeof(verify_options),
    .min_arguments = 2,
    .max_arguments = 2,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
