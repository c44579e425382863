/* crumb bench: how fast this machine trains a recipe, runs packed networks, and what each kernel does. */
#include "bench.h"

#include <string.h>

int cli_bench_threads(const cli *self, int threads[2]) {
    int all = crumb_threads(self->ctx);
    threads[0] = self->common.threads.given ? all : 1;
    threads[1] = all;
    return threads[0] == all ? 1 : 2;
}

static int run(cli *self, const void *given) {
    static const struct {
        const char *name;
        int (*run)(cli *self, const bench_options *options);
    } benches[] = {{"train", cli_bench_train}, {"run", cli_bench_run}, {"kernels", cli_bench_kernels}};
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
        if (strcmp(self->argument[0], benches[i].name) == 0) {
            return benches[i].run(self, given);
        }
    }
    return cli_usage(self, "no bench \"%s\"; there are: train, run, kernels", self->argument[0]);
}

static const cli_option options_table[] = {
    {"set", 's', CLI_TEXTS, offsetof(bench_options, set), "KEY.PATH=VALUE", 0, 0, 0,
     "train: override a key of the recipe; again for more"},
    {"steps", 0, CLI_INT, offsetof(bench_options, steps), "N", 1, 100000, 0, "train: steps to time (default: 30)"},
    {"plan", 0, CLI_FLAG, offsetof(bench_options, plan), NULL, 0, 0, 0, "train: also show which implementation runs each node"},
    {"batch", 'b', CLI_INT, offsetof(bench_options, batch), "N", 1, 65536, 0, "run: images at a time (default: 1, then 128)"},
    {"profile", 0, CLI_FLAG, offsetof(bench_options, profile), NULL, 0, 0, 0, "run: also show the time of each layer"},
    {"chosen", 0, CLI_FLAG, offsetof(bench_options, chosen), NULL, 0, 0, 0, "kernels: only those that plans choose"},
    {NULL, 0, CLI_FLAG, 0, NULL, 0, 0, 0, NULL},
};

const cli_command cli_bench = {
    .name = "bench",
    .arguments = "train RECIPE | run PACKED... | kernels [WORD...]",
    .summary = "measure training, packed networks or kernels",
    .examples = "crumb bench train recipes/demo-w2a2.yaml\n"
                "crumb bench train r.yaml --steps 100 --threads 1 --json\n"
                "crumb bench run float.crumb w2a2.crumb  # at batch 1 and 128, with one and all threads\n"
                "crumb bench run w2a2.crumb --batch 1 --threads 1 --profile\n"
                "crumb bench kernels W2A2 3x3  # only lines with these words\n",
    .about = "train: three steps warm up, then --steps training steps, as many evaluation batches, and the loader alone are "
             "timed. run and kernels take the least time of many calls, with one thread and with all of them (--threads: "
             "only so many), and set it beside what the machine can do at most, measured in the same run. A "
             "multiply-accumulate counts as two operations. A star marks the kernel that plans choose. Nothing is written.",
    .options = options_table,
    .size = sizeof(bench_options),
    .min_arguments = 1,
    .max_arguments = 64,
    .offer = CLI_OFFER_WORDS,
    .words = "train run kernels",
    .run = run,
};
