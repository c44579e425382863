/* The benches of `crumb bench`. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "limits.h"

typedef struct bench_options {
    cli_texts set;
    cli_int steps, batch;
    bool plan, chosen, profile;
} bench_options;

int cli_bench_train(cli *self, const bench_options *options);
int cli_bench_kernels(cli *self, const bench_options *options);
int cli_bench_run(cli *self, const bench_options *options);

/* Numbers of threads to time: --threads, or one and as many as there are. Returns how many numbers. */
int cli_bench_threads(const cli *self, int threads[2]);

#endif
