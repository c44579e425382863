/* crumb bench run: how fast packed networks run, on counted pixels: the time depends on no value. */
#include "bench.h"

#include <stdlib.h>
#include <time.h>

enum { CALLS_MIN = 5, CALLS_MAX = 20000 };
static const double SECONDS = 0.6; /* of the calls of a figure */

typedef struct net {
    cli *self;
    const bench_options *options;
    const char *path;
    crumb_packed *packed;
    crumb_packed_info info;
    crumb_plan *plan;
    uint8_t *pixels;
    float *logits;
    int64_t room;     /* images of pixels and logits */
    json_t *networks; /* with --json */
    cli_table *table; /* without */
} net;

typedef struct figure {
    int threads;
    int64_t batch;
    double least, median;  /* seconds of a batch */
    double processor;      /* the least of all threads' processor time */
    double *before, *best; /* of each layer: up to a call; in the fastest one */
} figure;

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void keep_layers(const net *n, const crumb_session *session, figure *f) {
    cli_profile_read(f->best, session, n->info.layers);
    for (int i = 0; i < n->info.layers; i++) {
        f->best[i] -= f->before[i];
    }
}

static crumb_status time_session(const net *n, crumb_session *session, figure *f) {
    double *seconds = malloc(CALLS_MAX * sizeof(*seconds)), all = 0;
    int calls = 0;
    crumb_status status = seconds != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    while (status == CRUMB_OK && calls < CALLS_MAX && (calls < CALLS_MIN || all < SECONDS)) {
        double start = now(CLOCK_MONOTONIC), processor = now(CLOCK_PROCESS_CPUTIME_ID);
        status = crumb_session_run_pixels(session, n->pixels, f->batch, n->logits);
        processor = now(CLOCK_PROCESS_CPUTIME_ID) - processor;
        seconds[calls] = now(CLOCK_MONOTONIC) - start;
        f->processor = calls == 0 || processor < f->processor ? processor : f->processor;
        if (calls == 0 || seconds[calls] < f->least) {
            f->least = seconds[calls];
            keep_layers(n, session, f);
        }
        cli_profile_read(f->before, session, n->info.layers);
        all += seconds[calls++];
    }
    if (status == CRUMB_OK) {
        qsort(seconds, (size_t)calls, sizeof(*seconds), ascending);
        f->median = seconds[calls / 2];
    }
    free(seconds);
    return status;
}

static double least_possible(const net *n, const crumb_limits *limits, int64_t batch) {
    double seconds = 0;
    crumb_limit which;
    for (int i = 0; i < n->info.layers; i++) {
        seconds += crumb_limits_layer(limits, n->packed, i, batch, &which);
    }
    return seconds * (double)batch;
}

static void report(net *n, const crumb_limits *limits, const figure *f) {
    double least = least_possible(n, limits, f->batch), operations = n->info.operations * (double)f->batch;
    cli_profile profile = {.packed = n->packed, .seconds = f->best, .limits = limits, .images = f->batch, .batch = f->batch};
    if (n->networks != NULL) {
        json_t *object = json_pack("{s:s, s:s, s:i, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "packed", n->path, "model",
                                   n->info.model, "threads", f->threads, "batch", (json_int_t)f->batch, "seconds",
                                   cli_real(f->least), "median_seconds", cli_real(f->median), "processor_seconds",
                                   cli_real(f->processor), "images_per_second", cli_real((double)f->batch / f->least), "gops",
                                   cli_real(1e-9 * operations / f->least), "least_seconds", cli_real(least));
        if (n->options->profile) {
            json_object_set_new(object, "profile", cli_profile_json(&profile));
        }
        json_array_append_new(n->networks, object);
        return;
    }
    char share[CLI_NUMBER];
    if (n->options->profile) {
        printf("%s, %d threads, batch %d\n", n->path, f->threads, (int)f->batch);
        cli_profile_print(&profile);
    }
    cli_table_cell(n->table, "%s", n->path);
    cli_table_cell(n->table, "%d", f->threads);
    cli_table_cell(n->table, "%d", (int)f->batch);
    cli_table_cell(n->table, "%.3f", 1e3 * f->least);
    cli_table_cell(n->table, "%.3f", 1e3 * f->median);
    cli_table_cell(n->table, "%.3f", 1e3 * f->processor);
    cli_table_cell(n->table, "%.0f", (double)f->batch / f->least);
    cli_table_cell(n->table, "%.0f", 1e-9 * operations / f->least);
    cli_table_cell(n->table, "%s", cli_share(least, f->least, share));
}

static crumb_status measure(net *n, const crumb_limits *limits, int64_t batch) {
    size_t layers = (size_t)n->info.layers;
    double *seconds = calloc(2 * layers, sizeof(*seconds));
    figure f = {.threads = limits->threads, .batch = batch, .before = seconds, .best = seconds + layers};
    crumb_session *session = NULL;
    crumb_session_options wanted = {.threads = limits->threads, .batch = batch == 1 ? 1 : 0, .profile = n->options->profile};
    crumb_status status = seconds != NULL ? crumb_session_create(n->plan, &wanted, &session) : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        status = time_session(n, session, &f);
    }
    if (status == CRUMB_OK) {
        report(n, limits, &f);
    }
    crumb_session_destroy(session);
    free(seconds);
    return status;
}

static crumb_status open_net(net *n) {
    crumb_status status = crumb_packed_open(n->self->ctx, n->path, &n->packed);
    if (status == CRUMB_OK) {
        crumb_packed_describe(n->packed, &n->info);
        status = crumb_plan_create(n->packed, &n->plan);
    }
    if (status != CRUMB_OK) {
        return status;
    }
    size_t image = (size_t)n->info.height * (size_t)n->info.width * (size_t)n->info.channels;
    n->pixels = calloc((size_t)n->room, image);
    n->logits = calloc((size_t)n->room * (size_t)n->info.classes, sizeof(*n->logits));
    if (n->pixels == NULL || n->logits == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (size_t i = 0; i < (size_t)n->room * image; i++) {
        n->pixels[i] = (uint8_t)(i * 37 + i / 11);
    }
    return CRUMB_OK;
}

static void close_net(net *n) {
    free(n->logits);
    free(n->pixels);
    crumb_plan_destroy(n->plan);
    crumb_packed_close(n->packed);
}

static crumb_status bench_net(net *n, const crumb_limits *limits, int limit_count) {
    const cli_int *given = &n->options->batch;
    const int64_t batches[] = {given->given ? given->value : 1, 128};
    n->room = batches[given->given ? 0 : 1];
    crumb_status status = open_net(n);
    for (int b = 0; b < (given->given ? 1 : 2); b++) {
        for (int t = 0; t < limit_count && status == CRUMB_OK; t++) {
            status = measure(n, &limits[t], batches[b]);
        }
    }
    close_net(n);
    return status;
}

static crumb_status bench_all(cli *self, const bench_options *options, cli_table *table, json_t *networks, json_t *all) {
    crumb_limits limits[2];
    int threads[2], count = cli_bench_threads(self, threads);
    crumb_status status = CRUMB_OK;
    for (int t = 0; t < count && status == CRUMB_OK; t++) {
        status = crumb_limits_measure(self->ctx, threads[t], &limits[t]);
    }
    for (int i = 1; i < self->arguments && status == CRUMB_OK; i++) {
        net n = {.self = self, .options = options, .path = self->argument[i], .networks = networks, .table = table};
        status = bench_net(&n, limits, count);
    }
    for (int t = 0; t < count && status == CRUMB_OK; t++) {
        if (all != NULL) {
            json_array_append_new(all, cli_limits_json(&limits[t]));
        } else {
            cli_limits_print(&limits[t]);
            printf("\n");
        }
    }
    return status;
}

int cli_bench_run(cli *self, const bench_options *options) {
    static const char *const heads[] = {"network",      "threads",  "batch", "ms",      "median ms",
                                        "processor ms", "images/s", "GOP/s", "of limit"};
    cli_table table = {.align = "lrrrrrrrr"};
    json_t *networks = self->common.json ? json_array() : NULL, *limits = self->common.json ? json_array() : NULL;
    if (self->arguments < 2) {
        return cli_usage(self, "bench run needs packed networks");
    }
    for (int i = 0; i < 9; i++) {
        cli_table_cell(&table, "%s", heads[i]);
    }
    crumb_status status = bench_all(self, options, &table, networks, limits);
    if (status != CRUMB_OK) {
        json_decref(networks);
        json_decref(limits);
        cli_table_free(&table);
        return cli_fail(self, "%s", status == CRUMB_ERROR_MEMORY ? crumb_status_text(status) : crumb_message(self->ctx));
    }
    if (networks != NULL) {
        cli_table_free(&table);
        return cli_print_json(json_pack("{s:o, s:o}", "limits", limits, "networks", networks));
    }
    cli_table_print(&table, stdout, "");
    return CLI_DONE;
}
