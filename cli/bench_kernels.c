/* crumb bench kernels: the rows of the registry beside the machine's limits. */
#include "bench.h"

typedef struct kernels_state {
    cli *self;
    json_t *figures;
    const crumb_limits *limits; /* of the run under way; NULL: printed */
    int rows;
} kernels_state;

static void print_figure(kernels_state *state, const crumb_kernel_figure *f) {
    char share[CLI_NUMBER], bytes[CLI_NUMBER];
    if (state->limits != NULL) {
        cli_limits_print(state->limits);
        state->limits = NULL;
    }
    if (state->rows == 0) {
        printf("%-10s  %-30s  %-34s  %7s  %9s  %9s  %8s  %-7s %9s\n", "bits", "shape", "kernel", "threads", "us", "GOP/s",
               "of limit", "", "weights");
    }
    printf("%-10s  %-30s  %-34s  %7d  %9.1f  %9.1f  %8s  %-7s %9s%s\n", f->bits, f->shape, f->kernel, f->threads,
           1e6 * f->seconds, 1e-9 * f->operations / f->seconds, cli_share(f->least, f->seconds, share),
           crumb_limit_name(f->limit), cli_bytes((double)f->weight_bytes, bytes), f->chosen ? "  *" : "");
    fflush(stdout);
}

static bool each(void *user, const crumb_kernel_figure *f) {
    kernels_state *state = user;
    if (state->figures == NULL) {
        print_figure(state, f);
    } else {
        json_array_append_new(
            state->figures, json_pack("{s:s, s:s, s:s, s:b, s:i, s:i, s:o, s:o, s:o, s:o, s:s, s:I}", "bits", f->bits, "shape",
                                      f->shape, "kernel", f->kernel, "chosen", f->chosen, "threads", f->threads, "images",
                                      f->images, "operations", cli_real(f->operations), "seconds", cli_real(f->seconds), "gops",
                                      cli_real(1e-9 * f->operations / f->seconds), "least_seconds", cli_real(f->least), "limit",
                                      crumb_limit_name(f->limit), "weight_bytes", (json_int_t)f->weight_bytes));
    }
    state->rows++;
    return !cli_interrupted();
}

static crumb_status measure(kernels_state *state, const bench_options *options, int threads, json_t *all) {
    cli *self = state->self;
    crumb_kernel_options wanted = {
        .threads = threads, .chosen = options->chosen, .words = self->argument + 1, .word_count = self->arguments - 1};
    crumb_limits limits;
    crumb_status status = crumb_limits_measure(self->ctx, threads, &limits);
    if (status == CRUMB_OK && all != NULL) {
        json_array_append_new(all, cli_limits_json(&limits));
    }
    state->limits = &limits;
    status = status == CRUMB_OK ? crumb_measure_kernels(self->ctx, &wanted, &limits, each, state) : status;
    state->limits = NULL;
    return status;
}

int cli_bench_kernels(cli *self, const bench_options *options) {
    kernels_state state = {.self = self, .figures = self->common.json ? json_array() : NULL};
    json_t *limits = self->common.json ? json_array() : NULL;
    int threads[2], count = cli_bench_threads(self, threads);
    crumb_status status = CRUMB_OK;
    cli_catch_signals();
    for (int i = 0; i < count && status == CRUMB_OK && !cli_interrupted(); i++) {
        status = measure(&state, options, threads[i], limits);
    }
    bool none = status == CRUMB_OK && state.rows == 0 && !cli_interrupted();
    if (status != CRUMB_OK || none) {
        json_decref(limits);
        json_decref(state.figures);
        return none ? cli_usage(self, "no kernel's line has %s", self->arguments > 2 ? "all of these words" : self->argument[1])
                    : cli_fail_message(self);
    }
    return self->common.json ? cli_print_json(json_pack("{s:o, s:o}", "limits", limits, "kernels", state.figures)) : CLI_DONE;
}
