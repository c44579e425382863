/* crumb bench train: how fast this machine trains a recipe. */
#include "bench.h"

#include <sys/resource.h>

static int report(const cli *self, const crumb_bench_result *result, const char *plan) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double peak = 1024.0 * (double)usage.ru_maxrss;
    if (self->common.json) {
        json_t *object =
            json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:I, s:I}", "recipe", self->argument[1], "threads",
                      crumb_threads(self->ctx), "train_images_per_second", cli_real(result->train_images_per_second),
                      "eval_images_per_second", cli_real(result->eval_images_per_second), "load_images_per_second",
                      cli_real(result->load_images_per_second), "train_gflops", cli_real(result->train_gflops), "plan_bytes",
                      (json_int_t)result->bytes, "peak_bytes", (json_int_t)peak);
        if (plan != NULL) {
            json_object_set_new(object, "plan", json_string(plan));
        }
        return cli_print_json(object);
    }
    char text[CLI_NUMBER];
    printf("training   %.0f images/s, %.1f GFLOP/s, %d threads\n", result->train_images_per_second, result->train_gflops,
           crumb_threads(self->ctx));
    printf("evaluation %.0f images/s\n", result->eval_images_per_second);
    printf("loading    %.0f images/s alone\n", result->load_images_per_second);
    printf("plan       %s of activations, gradients and workspace\n", cli_bytes((double)result->bytes, text));
    printf("peak       %s of the process\n", cli_bytes(peak, text));
    if (plan != NULL) {
        printf("\n%s", plan);
    }
    return CLI_DONE;
}

int cli_bench_train(cli *self, const bench_options *options) {
    if (self->arguments != 2) {
        return cli_usage(self, "bench train needs one recipe");
    }
    crumb_recipe *recipe = NULL;
    crumb_bench_result result;
    char *plan = NULL;
    int steps = options->steps.given ? (int)options->steps.value : 30;
    crumb_status status = cli_load_recipe(self, self->argument[1], &options->set, (cli_int){0}, &recipe);
    if (status == CRUMB_OK) {
        status = crumb_bench_train(recipe, steps, &result, options->plan || self->common.verbose ? &plan : NULL);
    }
    int code = status == CRUMB_OK ? report(self, &result, plan) : cli_fail_message(self);
    crumb_text_free(self->ctx, plan);
    crumb_recipe_free(recipe);
    return code;
}
