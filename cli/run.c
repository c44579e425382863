/* crumb run: a packed network on a data set or on image files. */
#include "cli.h"
#include "limits.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct run_options {
    const char *data;
    cli_int batch, limit, seed, resize, top;
    bool profile, plan;
} run_options;

/* What one invocation opens, in this order. */
typedef struct run_state {
    cli *self;
    const run_options *options;
    crumb_packed *packed;
    crumb_packed_info info;
    crumb_plan *plan;
    crumb_session *session;
    json_t *object; /* with --json */
    int64_t images; /* that went through */
} run_state;

/* ---- On a data set. */

static void report_evaluation(const run_state *run, const crumb_evaluation *evaluation) {
    if (run->self->common.json) {
        json_t *values = json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "data", run->options->data, "images",
                                   (json_int_t)evaluation->images, "top1", cli_real(evaluation->top1), "top5",
                                   cli_real(evaluation->top5), "loss", cli_real(evaluation->loss), "images_per_second",
                                   cli_real(evaluation->images_per_second), "seconds", cli_real(evaluation->seconds));
        json_object_update(run->object, values);
        json_decref(values);
        return;
    }
    printf("images  %" PRId64 "\n", evaluation->images);
    printf("top1    %.2f %%\n", evaluation->top1);
    printf("top5    %.2f %%\n", evaluation->top5);
    printf("loss    %.4f\n", evaluation->loss);
    printf("time    %.2f s, the network alone %.0f images/s\n", evaluation->seconds, evaluation->images_per_second);
}

static int run_data(run_state *run) {
    const run_options *options = run->options;
    crumb_dataset *dataset = NULL;
    crumb_evaluation evaluation;
    cli_progress progress;
    cli_progress_begin(&progress, run->self);
    crumb_evaluate_options wanted = {.limit = options->limit.value, .progress = cli_count_progress, .user = &progress};
    uint64_t seed = options->seed.given ? (uint64_t)options->seed.value : CLI_SEED;
    crumb_status status = crumb_dataset_open(run->self->ctx, options->data, seed, &dataset);
    if (status == CRUMB_OK) {
        status = crumb_evaluate_session(run->session, dataset, options->resize.value, &wanted, &evaluation);
        cli_progress_end(&progress);
    }
    if (status == CRUMB_OK) {
        report_evaluation(run, &evaluation);
        run->images = evaluation.images;
    }
    crumb_dataset_close(dataset);
    return status == CRUMB_OK ? CLI_DONE : cli_fail_message(run->self);
}

/* ---- On image files. */

/* The class after `last` in falling order of logits, equal ones in order of index; last -1: the first one. */
static int next_class(const float *logits, int classes, int last) {
    int best = -1;
    for (int i = 0; i < classes; i++) {
        bool after = last < 0 || logits[i] < logits[last] || (logits[i] == logits[last] && i > last);
        if (after && (best < 0 || logits[i] > logits[best])) {
            best = i;
        }
    }
    return best;
}

static double probability(const float *logits, int classes, int of) {
    double sum = 0;
    for (int i = 0; i < classes; i++) {
        sum += exp((double)logits[i] - (double)logits[of]);
    }
    return 1 / sum;
}

static void report_image(const run_state *run, const char *path, const float *logits, json_t *images) {
    int classes = run->info.classes, wanted = run->options->top.given ? (int)run->options->top.value : 5;
    json_t *top = json_array();
    if (!run->self->common.json) {
        printf("%s\n", path);
    }
    for (int k = 0, at = -1; k < wanted && (at = next_class(logits, classes, at)) >= 0; k++) {
        const char *name = run->info.class_names != NULL ? run->info.class_names[at] : NULL;
        double share = probability(logits, classes, at);
        if (run->self->common.json) {
            json_array_append_new(top, json_pack("{s:i, s:o, s:o, s:o}", "class", at, "name", cli_string(name), "probability",
                                                 cli_real(share), "logit", cli_real((double)logits[at])));
        } else {
            printf("  %6.2f %%  %d  %s\n", 100 * share, at, name != NULL ? name : "");
        }
    }
    if (run->self->common.json) {
        json_array_append_new(images, json_pack("{s:s, s:O}", "file", path, "top", top));
    }
    json_decref(top);
}

static crumb_status run_image(run_state *run, const char *path, float *logits) {
    const crumb_packed_info *info = &run->info;
    uint8_t *pixels;
    crumb_status status =
        crumb_image_load(run->self->ctx, path, info->height, info->width, info->channels, run->options->resize.value, &pixels);
    if (status == CRUMB_OK) {
        status = crumb_session_run_pixels(run->session, pixels, 1, logits);
        crumb_image_free(run->self->ctx, pixels);
    }
    return status;
}

static int run_images(run_state *run) {
    float *logits = calloc((size_t)run->info.classes, sizeof(*logits));
    json_t *images = json_array();
    int code = logits != NULL ? CLI_DONE : cli_fail(run->self, "out of memory");
    int count = run->self->arguments - 1;
    for (int i = 1; i <= count && code == CLI_DONE; i++) {
        const char *path = run->self->argument[i];
        if (run_image(run, path, logits) == CRUMB_OK) {
            report_image(run, path, logits, images);
        } else {
            code = cli_fail_message(run->self);
        }
    }
    run->images = count;
    if (run->object != NULL) {
        json_object_set(run->object, "images", images);
    }
    json_decref(images);
    free(logits);
    return code;
}

/* ---- Both. */

static crumb_status open_all(run_state *run) {
    const run_options *options = run->options;
    crumb_status status = crumb_packed_open(run->self->ctx, run->self->argument[0], &run->packed);
    if (status == CRUMB_OK) {
        crumb_packed_describe(run->packed, &run->info);
        status = crumb_plan_create(run->packed, &run->plan);
    }
    if (status == CRUMB_OK) {
        int batch = options->data == NULL ? 1 : (int)options->batch.value;
        crumb_session_options wanted = {.batch = batch, .profile = options->profile};
        status = crumb_session_create(run->plan, &wanted, &run->session);
    }
    return status;
}

static void show_plan(const run_state *run) {
    if (run->object != NULL && run->options->plan) {
        json_object_set_new(run->object, "plan", json_string(crumb_plan_text(run->plan)));
    } else if (run->options->plan) {
        printf("%s\n", crumb_plan_text(run->plan));
    }
}

static int report_profile(run_state *run) {
    const cli_int *batch = &run->options->batch;
    crumb_limits limits;
    if (crumb_limits_measure(run->self->ctx, 0, &limits) != CRUMB_OK) {
        return cli_fail_message(run->self);
    }
    double *seconds = calloc((size_t)run->info.layers, sizeof(*seconds));
    if (seconds == NULL) {
        return cli_fail(run->self, "out of memory");
    }
    cli_profile_read(seconds, run->session, run->info.layers);
    cli_profile profile = {.packed = run->packed,
                           .seconds = seconds,
                           .limits = &limits,
                           .images = run->images,
                           .batch = run->options->data != NULL && batch->given ? batch->value : 1};
    if (run->object != NULL) {
        json_object_set_new(run->object, "limits", cli_limits_json(&limits));
        json_object_set_new(run->object, "profile", cli_profile_json(&profile));
    } else {
        printf("\n");
        cli_profile_print(&profile);
        cli_limits_print(&limits);
    }
    free(seconds);
    return CLI_DONE;
}

static int work(run_state *run) {
    if (open_all(run) != CRUMB_OK) {
        return cli_fail_message(run->self);
    }
    if (run->self->common.json) {
        run->object = json_pack("{s:s, s:s, s:i}", "packed", run->self->argument[0], "model", run->info.model, "threads",
                                crumb_threads(run->self->ctx));
    }
    show_plan(run);
    int code = CLI_DONE;
    if (run->options->data != NULL) {
        code = run_data(run);
    } else if (run->self->arguments > 1) {
        code = run_images(run);
    }
    if (code == CLI_DONE && run->options->profile && run->images > 0) {
        code = report_profile(run);
    }
    return code == CLI_DONE && run->object != NULL ? cli_print_json(json_incref(run->object)) : code;
}

static int run_command(cli *self, const void *given) {
    const run_options *options = given;
    bool images = self->arguments > 1;
    if (options->data != NULL && images) {
        return cli_usage(self, "either --data or image files");
    }
    if (options->data == NULL && !images && !options->plan) {
        return cli_usage(self, "--data or image files are missing");
    }
    if (options->data != NULL && options->top.given) {
        return cli_usage(self, "--top is for image files, not for --data");
    }
    if (images && (options->limit.given || options->seed.given)) {
        return cli_usage(self, "--%s is for --data, not for image files", options->limit.given ? "limit" : "seed");
    }
    run_state run = {.self = self, .options = options};
    int code = work(&run);
    json_decref(run.object);
    crumb_session_destroy(run.session);
    crumb_plan_destroy(run.plan);
    crumb_packed_close(run.packed);
    return code;
}

static const cli_option options_table[] = {
    {"data", 'd', CLI_TEXT, offsetof(run_options, data), "KIND:PATH[:SPLIT]", 0, 0, CLI_OFFER_DATA, "images to run on"},
    {"batch", 'b', CLI_INT, offsetof(run_options, batch), "N", 1, 65536, 0,
     "images worked on at a time, by all threads together (default: what the caches hold)"},
    {"limit", 0, CLI_INT, offsetof(run_options, limit), "N", 1, INT64_MAX, 0, "the first N images only"},
    {"seed", 0, CLI_INT, offsetof(run_options, seed), "N", 0, INT64_MAX, 0, "seed of data that is drawn: digits (default: 1)"},
    {"resize", 0, CLI_INT, offsetof(run_options, resize), "N", 1, 32768, 0,
     "scale the shorter side of an image to N pixels before cutting out the middle (default: the network's)"},
    {"top", 'k', CLI_INT, offsetof(run_options, top), "K", 1, 1000, 0, "classes shown of an image file (default: 5)"},
    {"profile", 0, CLI_FLAG, offsetof(run_options, profile), NULL, 0, 0, 0, "also show time and operations of each layer"},
    {"plan", 0, CLI_FLAG, offsetof(run_options, plan), NULL, 0, 0, 0, "also show kernels, what is fused, memory"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_run = {
    .name = "run",
    .arguments = "MODEL [IMAGE]...",
    .summary = "run a packed network on a data set or on image files",
    .examples = "crumb run model.crumb --data cifar10:cifar-10-batches-bin:test\n"
                "crumb run model.crumb cat.png dog.jpg --top 3\n"
                "crumb run model.crumb --data digits --threads 1 --profile\n",
    .about = "MODEL is a .crumb file. On a data set the figures are those of crumb eval, but images per second are "
             "of the network alone, without loading. Image files are PNG or JPEG; with --batch 1 all threads share each image.",
    .options = options_table,
    .size = sizeof(run_options),
    .min_arguments = 1,
    .max_arguments = 1 << 20,
    .offer = CLI_OFFER_FILES,
    .run = run_command,
};
