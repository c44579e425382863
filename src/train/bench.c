/* Speed of training, evaluation and loading on a recipe's own network and data. */
#include "train/trainer_parts.h"

enum { WARM_UP = 3 };

static crumb_status time_loading(crumb_trainer *trainer, int steps, crumb_bench_result *result) {
    const float *images, *labels;
    int64_t valid, count = 0;
    crumb_feed_seek(trainer->feed, 1, 0); /* drops what was prepared ahead */
    double start = crumb_seconds();
    for (int i = 0; i < steps; i++) {
        CRUMB_TRY(crumb_feed_next(trainer->feed, &images, &labels, &valid));
        count += valid;
    }
    result->load_images_per_second = (double)count / (crumb_seconds() - start);
    return CRUMB_OK;
}

static crumb_status time_training(crumb_trainer *trainer, int steps, crumb_bench_result *result) {
    double start = 0;
    for (int i = 0; i < steps + WARM_UP; i++) {
        if (i == WARM_UP) {
            start = crumb_seconds();
        }
        CRUMB_TRY(crumb_trainer_step(trainer));
        trainer->step %= trainer->steps;
    }
    double images = (double)steps * (double)trainer->recipe->train.batch;
    result->train_images_per_second = images / (crumb_seconds() - start);
    result->train_gflops = 3e-9 * crumb_graph_flops(trainer->network) * result->train_images_per_second;
    return CRUMB_OK;
}

static void time_evaluation(crumb_trainer *trainer, int steps, crumb_bench_result *result) {
    double start = 0;
    for (int i = 0; i < steps + WARM_UP; i++) {
        if (i == WARM_UP) {
            start = crumb_seconds();
        }
        crumb_exec_forward(trainer->eval, false, 0, 0);
    }
    result->eval_images_per_second = (double)steps * (double)trainer->recipe->train.batch / (crumb_seconds() - start);
}

static crumb_status measure(crumb_trainer *trainer, int steps, crumb_bench_result *result) {
    CRUMB_TRY(crumb_phase_build(trainer, true));
    CRUMB_TRY(crumb_phase_prepare(trainer));
    CRUMB_TRY(crumb_strategies_begin_phase(trainer));
    CRUMB_TRY(time_training(trainer, steps, result));
    time_evaluation(trainer, steps, result);
    result->bytes = (int64_t)crumb_exec_bytes(trainer->exec);
    return time_loading(trainer, 10 * steps, result); /* ten times as fast, by the same token */
}

crumb_status crumb_bench_train(const crumb_recipe *recipe, int steps, crumb_bench_result *result, char **plan) {
    if (steps < 1) {
        return crumb_fail(recipe->ctx, CRUMB_ERROR_ARGUMENT, "%d steps to time, at least 1", steps);
    }
    crumb_trainer *trainer;
    crumb_bench_result measured = {0};
    CRUMB_TRY(crumb_trainer_open(recipe, NULL, &trainer));
    crumb_status status = measure(trainer, steps, &measured);
    if (status == CRUMB_OK && plan != NULL) {
        status = crumb_exec_describe(trainer->exec, plan);
    }
    if (status == CRUMB_OK) {
        *result = measured;
    }
    crumb_trainer_close(trainer);
    return status;
}
