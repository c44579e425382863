/* The library in one page: train a recipe, open what came out, evaluate it. Only public headers.
 *
 *     cc 01_train.c $(pkg-config --cflags --libs crumb) -o 01_train && ./01_train recipes/demo-w2a2.yaml runs/example
 *
 * Every call that can fail returns a status; the context then holds one line that says what, where and which value. */
#include <crumb/train.h>

#include <stdio.h>

static void print_line(void *user, crumb_log_level level, const char *line) {
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

/* Called after every step; returning false would stop the training with a checkpoint. */
static bool print_epoch(void *user, const crumb_progress *progress) {
    (void)user;
    if (progress->step == progress->steps) {
        printf("epoch %d of %d: loss %.3f\n", (int)progress->epoch + 1, (int)progress->epochs, progress->loss);
    }
    return true;
}

/* Accuracy of the best network of the run on the built-in test images. */
static crumb_status evaluate(crumb_ctx *ctx, const char *folder) {
    char path[1024];
    snprintf(path, sizeof(path), "%s/best.safetensors", folder);
    crumb_network *network = NULL;
    crumb_dataset *dataset = NULL;
    crumb_evaluation evaluation;
    crumb_status status = crumb_network_open(ctx, path, &network);
    if (status == CRUMB_OK) {
        status = crumb_dataset_open(ctx, "digits:test", 1, &dataset);
    }
    if (status == CRUMB_OK) {
        status = crumb_evaluate(network, dataset, &(crumb_evaluate_options){.limit = 1000}, &evaluation);
    }
    if (status == CRUMB_OK) {
        printf("%d images: top-1 %.2f %%, %.0f images a second\n", (int)evaluation.images, evaluation.top1,
               evaluation.images_per_second);
    }
    crumb_dataset_close(dataset);
    crumb_network_close(network);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s RECIPE FOLDER [KEY.PATH=VALUE]...\n", argv[0]);
        return 2;
    }
    crumb_ctx *ctx = NULL;
    crumb_recipe *recipe = NULL;
    crumb_train_result result;
    crumb_status status = crumb_ctx_create(&ctx, &(crumb_settings){.log = print_line});
    if (status != CRUMB_OK) {
        fprintf(stderr, "%s\n", crumb_status_text(status));
        return 1;
    }
    status = crumb_recipe_load(ctx, argv[1], (const char *const *)argv + 3, argc - 3, &recipe);
    if (status == CRUMB_OK) {
        status = crumb_train(recipe, &(crumb_train_options){.out = argv[2], .progress = print_epoch}, &result);
    }
    if (status == CRUMB_OK) {
        printf("trained %d epochs in %.1f s: top-1 %.2f %%\n", (int)result.epochs, result.seconds, result.val_top1);
        status = evaluate(ctx, argv[2]);
    }
    if (status != CRUMB_OK) {
        fprintf(stderr, "%s: %s\n", crumb_status_text(status), crumb_message(ctx));
    }
    crumb_recipe_free(recipe);
    crumb_ctx_destroy(ctx);
    return status == CRUMB_OK ? 0 : 1;
}
