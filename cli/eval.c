/* crumb eval: accuracy of a trained network on a data set. */
#include "cli.h"

#include <inttypes.h>

typedef struct eval_options {
    const char *data;
    cli_int batch, limit, seed;
} eval_options;

static int report(const cli *self, const eval_options *options, const crumb_evaluation *evaluation) {
    if (self->common.json) {
        return cli_print_json(json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "model", self->argument[0], "data",
                                        options->data, "images", (json_int_t)evaluation->images, "top1",
                                        cli_real(evaluation->top1), "top5", cli_real(evaluation->top5), "loss",
                                        cli_real(evaluation->loss), "images_per_second",
                                        cli_real(evaluation->images_per_second), "seconds", cli_real(evaluation->seconds)));
    }
    printf("images  %" PRId64 "\n", evaluation->images);
    printf("top1    %.2f %%\n", evaluation->top1);
    printf("top5    %.2f %%\n", evaluation->top5);
    printf("loss    %.4f\n", evaluation->loss);
    printf("time    %.2f s, %.0f images/s\n", evaluation->seconds, evaluation->images_per_second);
    return CLI_DONE;
}

static int run(cli *self, const void *given) {
    const eval_options *options = given;
    if (options->data == NULL) {
        return cli_usage(self, "--data is missing");
    }
    crumb_network *network = NULL;
    crumb_dataset *dataset = NULL;
    crumb_evaluation evaluation;
    cli_progress progress;
    cli_progress_begin(&progress, self);
    crumb_evaluate_options wanted = {
        .batch = options->batch.value, .limit = options->limit.value, .progress = cli_count_progress, .user = &progress};
    uint64_t seed = options->seed.given ? (uint64_t)options->seed.value : CLI_SEED;
    crumb_status status = crumb_network_open(self->ctx, self->argument[0], &network);
    if (status == CRUMB_OK) {
        status = crumb_dataset_open(self->ctx, options->data, seed, &dataset);
    }
    if (status == CRUMB_OK) {
        status = crumb_evaluate(network, dataset, &wanted, &evaluation);
        cli_progress_end(&progress);
    }
    int code = status == CRUMB_OK ? report(self, options, &evaluation) : cli_fail_message(self);
    crumb_dataset_close(dataset);
    crumb_network_close(network);
    return code;
}

static const cli_option options_table[] = {
    {"data", 'd', CLI_TEXT, offsetof(eval_options, data), "KIND:PATH[:SPLIT]", 0, 0, CLI_OFFER_DATA, "images to evaluate on"},
    {"batch", 'b', CLI_INT, offsetof(eval_options, batch), "N", 1, 65536, 0, "images at a time (default: 250)"},
    {"limit", 0, CLI_INT, offsetof(eval_options, limit), "N", 1, INT64_MAX, 0, "the first N images only"},
    {"seed", 0, CLI_INT, offsetof(eval_options, seed), "N", 0, INT64_MAX, 0, "seed of data that is drawn: digits (default: 1)"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_eval = {
    .name = "eval",
    .arguments = "MODEL",
    .summary = "accuracy of a trained network",
    .examples = "crumb eval runs/demo-w2a2/best.safetensors --data digits\n"
                "crumb eval model.safetensors --data cifar10:cifar-10-batches-bin:test --json\n",
    .about = "MODEL is a .safetensors file that crumb wrote: it knows its network, quantizers and normalisation. Weights "
             "from elsewhere become one with crumb import. Accuracies are in percent, the loss is the mean cross-entropy in "
             "nats.",
    .options = options_table,
    .size = sizeof(eval_options),
    .min_arguments = 1,
    .max_arguments = 1,
    .offer = CLI_OFFER_FILES,
    .run = run,
};
