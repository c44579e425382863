/* Opening a run: everything that lives longer than a phase. */
#include "train/network.h"
#include "train/trainer_parts.h"

#include <math.h>
#include <string.h>

static crumb_status open_timeline(crumb_trainer *trainer) {
    trainer->timeline = crumb_alloc(trainer->ctx, 1, sizeof(*trainer->timeline));
    if (trainer->timeline == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(crumb_recipe_phases(trainer->recipe, trainer->timeline));
    for (int i = 0; i < trainer->timeline->phases; i++) {
        trainer->total_epochs += trainer->timeline->phase[i].epochs;
    }
    return CRUMB_OK;
}

static crumb_status open_data(crumb_trainer *trainer) {
    const crumb_recipe *recipe = trainer->recipe;
    char train[CRUMB_SHAPE_TEXT], test[CRUMB_SHAPE_TEXT];
    CRUMB_TRY(crumb_source_open(recipe, &trainer->source));
    CRUMB_TRY(crumb_source_feed(recipe, &trainer->source, CRUMB_PART_TRAIN, &trainer->feed));
    CRUMB_TRY(crumb_source_feed(recipe, &trainer->source, CRUMB_PART_VALIDATION, &trainer->eval_feed));
    trainer->steps = crumb_feed_steps(trainer->feed);
    crumb_shape image = crumb_source_image(trainer->feed), other = crumb_source_image(trainer->eval_feed);
    if (!crumb_shape_equal(image, other)) {
        return crumb_fail(trainer->ctx, CRUMB_ERROR_SHAPE, "data: training images are %s, test images %s",
                          crumb_shape_print(image, train), crumb_shape_print(other, test));
    }
    return CRUMB_OK;
}

static crumb_status open_strategies(crumb_trainer *trainer) {
    for (int i = 0; i < trainer->recipe->strategies; i++) {
        const crumb_strategy_choice *choice = &trainer->recipe->strategy[i];
        crumb_strategy_run *run = &trainer->strategy[i];
        run->strategy = choice->strategy;
        run->index = i;
        memcpy(run->params, choice->params, sizeof(run->params));
        run->state = crumb_alloc(trainer->ctx, choice->strategy->state_size + 1, 1);
        if (run->state == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        trainer->strategies++;
    }
    return CRUMB_OK;
}

static crumb_status open_teacher(crumb_trainer *trainer) {
    const crumb_model_choice *choice = &trainer->recipe->teacher.model;
    if (choice->model == NULL) {
        return CRUMB_OK;
    }
    if (choice->init[0] == '\0') {
        return crumb_fail(trainer->ctx, CRUMB_ERROR_ARGUMENT, "train.teacher.model.init: a teacher needs trained weights");
    }
    CRUMB_TRY(crumb_network_weights(trainer->ctx, choice, crumb_source_image(trainer->feed),
                                    trainer->source.train->info.classes, &trainer->teacher));
    crumb_exec_options options = {.batch = trainer->recipe->train.batch};
    return crumb_exec_create(trainer->teacher, &options, &trainer->teacher_exec);
}

crumb_status crumb_trainer_open(const crumb_recipe *recipe, const crumb_train_options *options, crumb_trainer **out) {
    static const crumb_train_options none;
    crumb_trainer *trainer = crumb_alloc(recipe->ctx, 1, sizeof(*trainer));
    if (trainer == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    trainer->ctx = recipe->ctx;
    trainer->recipe = recipe;
    trainer->options = options != NULL ? options : &none;
    trainer->log_position = -1;
    trainer->start = crumb_seconds();
    trainer->result = (crumb_train_result){
        .val_top1 = NAN, .val_top5 = NAN, .val_loss = NAN, .best_top1 = NAN, .direct_top1 = NAN, .float_top1 = NAN};
    crumb_status status = open_timeline(trainer);
    status = status == CRUMB_OK ? open_data(trainer) : status;
    status = status == CRUMB_OK ? open_strategies(trainer) : status;
    status = status == CRUMB_OK ? open_teacher(trainer) : status;
    if (status != CRUMB_OK) {
        crumb_trainer_close(trainer);
        return status;
    }
    *out = trainer;
    return CRUMB_OK;
}

void crumb_trainer_close(crumb_trainer *trainer) {
    if (trainer == NULL) {
        return;
    }
    crumb_ctx *ctx = trainer->ctx;
    crumb_phase_drop(trainer);
    crumb_run_log_close(trainer->log);
    crumb_exec_destroy(trainer->teacher_exec);
    crumb_graph_destroy(trainer->teacher);
    crumb_feed_destroy(trainer->feed);
    crumb_feed_destroy(trainer->eval_feed);
    crumb_source_close(&trainer->source);
    for (int i = 0; i < trainer->strategies; i++) {
        crumb_strategy_close(ctx, &trainer->strategy[i]);
    }
    crumb_free(ctx, trainer->figure);
    crumb_free(ctx, trainer->timeline);
    crumb_free(ctx, trainer);
}
