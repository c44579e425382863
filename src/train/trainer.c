/* Training: the step, the epoch, the phase, the run.
 *
 * Nothing here knows a method. A method is a quantizer (in the graph), a strategy (hooks and the timeline) or a schedule. All
 * that a step depends on is counted by (phase, epoch, step) and held by the trainer, so a run goes on from a checkpoint with
 * the same bits. */
#include "train/imported.h"
#include "train/network.h"
#include "train/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const crumb_phase *phase_of(const crumb_trainer *trainer) {
    return &trainer->timeline->phase[trainer->phase];
}

/* ---- The step. */

/* Learning rate of a step of the phase. */
static double rate_at(const crumb_trainer *trainer, int64_t epoch, int64_t step) {
    const crumb_phase *phase = phase_of(trainer);
    double lr = *(const double *)(const void *)phase->optimizer.params; /* every optimizer's struct starts with it */
    double steps = (double)trainer->steps;
    return lr * crumb_schedule_at(&phase->schedule, (double)epoch + (double)step / steps, (double)phase->epochs, steps);
}

static void set_rate(crumb_trainer *trainer) {
    const crumb_phase *phase = phase_of(trainer);
    const crumb_schedule *schedule = phase->schedule.schedule;
    double steps = (double)trainer->steps, epochs = (double)phase->epochs;
    double epoch = (double)trainer->epoch + (double)trainer->step / steps;
    trainer->rate = rate_at(trainer, trainer->epoch, trainer->step);
    trainer->rate_minimum = schedule->minimum != NULL && schedule->minimum(phase->schedule.params, epoch, epochs, steps);
}

static crumb_status next_batch(crumb_trainer *trainer, const float **labels) {
    const float *images;
    int64_t valid;
    CRUMB_TRY(crumb_feed_next(trainer->feed, &images, labels, &valid));
    crumb_load_batch(trainer->exec, trainer->network, trainer->labels, images, *labels, valid);
    if (trainer->teacher == NULL) {
        return CRUMB_OK;
    }
    crumb_shape logits = crumb_exec_shape(trainer->teacher_exec, trainer->teacher->logits);
    crumb_load_batch(trainer->teacher_exec, trainer->teacher, -1, images, *labels, valid);
    crumb_exec_forward(trainer->teacher_exec, false, 0, 0);
    memcpy(crumb_exec_value(trainer->exec, trainer->teacher_logits),
           crumb_exec_value(trainer->teacher_exec, trainer->teacher->logits),
           (size_t)crumb_shape_count(logits) * sizeof(float));
    return CRUMB_OK;
}

/* `loss` of step `step` (from 1) is not finite: its batch once more, keeping every value, finds the layer that did it. */
static crumb_status blame(crumb_trainer *trainer, const char *what, double loss, int64_t step) {
    crumb_graph *network = trainer->network;
    crumb_exec *exec;
    crumb_exec_options options = {.batch = trainer->recipe->train.batch, .reference = true, .keep = true};
    CRUMB_TRY(crumb_exec_create(network, &options, &exec));
    for (int v = 0; v < network->values; v++) {
        if (network->value[v].kind == CRUMB_VALUE_INPUT) {
            memcpy(crumb_exec_value(exec, v), crumb_exec_value(trainer->exec, v),
                   (size_t)crumb_shape_count(crumb_exec_shape(exec, v)) * sizeof(float));
        }
    }
    crumb_exec_forward(exec, true, (uint64_t)trainer->recipe->train.seed, (uint64_t)trainer->total_step);
    const char *culprit = crumb_exec_culprit(exec);
    crumb_status status =
        crumb_fail(trainer->ctx, CRUMB_ERROR_NUMERIC,
                   "%s is %g at step %lld (epoch %lld, learning rate %g); the first layer whose output is not "
                   "finite: %s",
                   what, loss, (long long)step, (long long)((step - 1) / trainer->steps) + 1, trainer->rate,
                   culprit != NULL ? culprit : "none");
    crumb_exec_destroy(exec);
    return status;
}

static void count_batch(crumb_trainer *trainer, const float *labels, double loss, double extra) {
    crumb_score score = {0};
    int64_t batch = trainer->recipe->train.batch;
    int64_t classes = crumb_shape_last(crumb_exec_shape(trainer->exec, trainer->network->logits));
    crumb_score_add(&score, crumb_exec_value(trainer->exec, trainer->network->logits), labels, batch, classes);
    trainer->epoch_loss += loss * (double)batch;
    trainer->epoch_extra += extra * (double)batch;
    trainer->epoch_right += score.top1;
    trainer->epoch_seen += batch;
    trainer->images += batch;
}

/* The share of the quantized layers' weights that no mask excepts; NaN if none is quantized. */
static double quantized_share(const crumb_graph *network) {
    double all = 0, quantized = 0;
    for (int i = 0; i < network->nodes; i++) {
        const crumb_quant *site = crumb_node_site(network, i);
        if (site == NULL || !site->weight) {
            continue;
        }
        int64_t count = crumb_shape_count(network->value[network->node[i].input[0]].shape), set = 0;
        int64_t flags = site->mask_elements ? count : site->channels;
        for (int64_t k = 0; site->mask != NULL && k < flags; k++) {
            set += site->mask[k] != 0;
        }
        all += (double)count;
        quantized += site->mask != NULL ? (double)count * (double)set / (double)flags : (double)count;
    }
    return quantized / all;
}

void crumb_trainer_rewind(crumb_trainer *trainer) {
    bool full = trainer->step == trainer->steps; /* between an epoch's last step and its end */
    crumb_feed_seek(trainer->feed, trainer->total_epoch + full, full ? 0 : trainer->step);
}

crumb_status crumb_trainer_step(crumb_trainer *trainer) {
    const float *labels;
    double extra;
    set_rate(trainer);
    CRUMB_TRY(next_batch(trainer, &labels));
    crumb_update_project(trainer->network);
    CRUMB_TRY(crumb_strategies_before_forward(trainer));
    if (trainer->step == trainer->steps - 1) {
        trainer->quantized = quantized_share(trainer->network);
    }
    crumb_exec_forward(trainer->exec, true, (uint64_t)trainer->recipe->train.seed, (uint64_t)trainer->total_step);
    double loss = *crumb_exec_value(trainer->exec, trainer->loss);
    if (!isfinite(loss)) {
        return blame(trainer, "loss", loss, trainer->total_step + 1);
    }
    crumb_exec_backward(trainer->exec, trainer->loss);
    CRUMB_TRY(crumb_strategies_add_gradient(trainer, &extra));
    crumb_update_step(trainer);
    count_batch(trainer, labels, loss, extra);
    trainer->step++;
    trainer->total_step++;
    return crumb_strategies_after_step(trainer);
}

/* ---- Telling. */

/* The part of `value` that belongs to one of the epoch's images. */
static double per_image(const crumb_trainer *trainer, double value) {
    return trainer->epoch_seen > 0 ? value / (double)trainer->epoch_seen : NAN;
}

static double seconds_left(const crumb_trainer *trainer) {
    int64_t epochs = trainer->total_epochs - trainer->total_epoch;
    double steps = (double)(epochs * trainer->steps - trainer->step);
    return steps * trainer->step_seconds + (double)(epochs / trainer->recipe->train.evaluate_every) * trainer->eval_seconds;
}

static crumb_status report(crumb_trainer *trainer) {
    if (trainer->options->progress == NULL) {
        return CRUMB_OK;
    }
    crumb_progress progress = {
        .phase = phase_of(trainer)->name,
        .epoch = trainer->total_epoch,
        .epochs = trainer->total_epochs,
        .step = trainer->step,
        .steps = trainer->steps,
        .loss = per_image(trainer, trainer->epoch_loss),
        .rate = trainer->rate,
        .train_top1 = per_image(trainer, 100 * (double)trainer->epoch_right),
        .val_top1 = trainer->result.val_top1,
        .images_per_second = (double)trainer->recipe->train.batch / trainer->step_seconds,
        .seconds_left = seconds_left(trainer),
    };
    if (trainer->options->progress(trainer->options->user, &progress)) {
        return CRUMB_OK;
    }
    if (trainer->log != NULL) {
        CRUMB_TRY(crumb_checkpoint_save(trainer));
    }
    return crumb_fail(trainer->ctx, CRUMB_ERROR_STOPPED, "stopped after step %lld of epoch %lld", (long long)trainer->step,
                      (long long)trainer->total_epoch + 1);
}

static double rate_so_far(const crumb_trainer *trainer) {
    return trainer->train_seconds > 0 ? (double)trainer->images / trainer->train_seconds : NAN;
}

/* The bits that most layers have. */
static void count_bits(const crumb_graph *network, int *weight_bits, int *activation_bits) {
    const crumb_network view = {.graph = (crumb_graph *)network};
    int weights[33] = {0}, activations[33] = {0};
    crumb_layer_info layer;
    for (int i = 0; crumb_network_layer(&view, i, &layer); i++) {
        weights[layer.weight_bits]++;
        activations[layer.activation_bits]++;
    }
    *weight_bits = *activation_bits = 32;
    for (int bits = 0; bits <= 32; bits++) {
        *weight_bits = weights[bits] > weights[*weight_bits] ? bits : *weight_bits;
        *activation_bits = activations[bits] > activations[*activation_bits] ? bits : *activation_bits;
    }
}

/* What the epoch that just ended, or one that did not take place (0), leaves in the log. */
static crumb_run_line begin_line(const crumb_trainer *trainer, const char *phase, int64_t epoch, const crumb_graph *network) {
    crumb_run_line line = {
        .phase = phase,
        .epoch = epoch,
        .step = trainer->total_step,
        .loss = per_image(trainer, trainer->epoch_loss),
        .extra_loss = per_image(trainer, trainer->epoch_extra),
        .lr = epoch > 0 ? trainer->rate : NAN,
        .lr_min = NAN,
        .lr_max = NAN,
        .train_top1 = per_image(trainer, 100 * (double)trainer->epoch_right),
        .val_top1 = NAN,
        .val_top5 = NAN,
        .val_loss = NAN,
        .quantized = epoch > 0 ? trainer->quantized : quantized_share(network),
    };
    count_bits(network, &line.weight_bits, &line.activation_bits);
    for (int64_t step = 0; trainer->epoch > 0 && step < trainer->steps; step++) {
        double rate = rate_at(trainer, trainer->epoch - 1, step);
        line.lr_min = fmin(line.lr_min, rate);
        line.lr_max = fmax(line.lr_max, rate);
    }
    return line;
}

/* evaluation may be NULL. */
static crumb_status log_line(crumb_trainer *trainer, crumb_run_line line, const crumb_evaluation *evaluation) {
    if (trainer->log == NULL) {
        return CRUMB_OK;
    }
    if (evaluation != NULL) {
        line.val_top1 = evaluation->top1;
        line.val_top5 = evaluation->top5;
        line.val_loss = evaluation->loss;
    }
    line.figures = trainer->figures;
    line.figure = trainer->figure;
    line.seconds = crumb_seconds() - trainer->start;
    line.images_per_second = rate_so_far(trainer);
    CRUMB_TRY(crumb_run_log_add(trainer->log, &line));
    crumb_figures_logged(trainer);
    return CRUMB_OK;
}

crumb_status crumb_trainer_save(crumb_trainer *trainer, const char *name) {
    if (trainer->log == NULL) {
        return CRUMB_OK;
    }
    char path[4096], *class_names;
    float mean[4], deviation[4];
    const crumb_dataset *dataset = trainer->source.train;
    if (snprintf(path, sizeof(path), "%s/%s", trainer->options->out, name) >= (int)sizeof(path)) {
        return crumb_fail(trainer->ctx, CRUMB_ERROR_ARGUMENT, "folder name of %zu bytes", strlen(trainer->options->out));
    }
    CRUMB_TRY(crumb_source_normalisation(trainer->recipe, dataset, mean, deviation));
    CRUMB_TRY(crumb_network_class_names(trainer->ctx, &dataset->info, &class_names));
    crumb_network_facts facts = {.recipe = trainer->recipe,
                                 .policy = &phase_of(trainer)->quant,
                                 .mean = mean,
                                 .deviation = deviation,
                                 .image = crumb_source_image(trainer->feed),
                                 .classes = dataset->info.classes,
                                 .class_names = class_names};
    crumb_status status = crumb_network_write(&facts, trainer->network, path);
    crumb_free(trainer->ctx, class_names);
    return status;
}

/* ---- The epoch. */

static crumb_status evaluate_epoch(crumb_trainer *trainer, crumb_evaluation *evaluation) {
    crumb_train_result *result = &trainer->result;
    CRUMB_TRY(crumb_trainer_evaluate(trainer, evaluation));
    if (!isfinite(evaluation->loss)) { /* the last step broke it: there is no next one to notice */
        return blame(trainer, "validation loss", evaluation->loss, trainer->total_step);
    }
    trainer->eval_seconds = evaluation->seconds;
    result->val_top1 = evaluation->top1;
    result->val_top5 = evaluation->top5;
    result->val_loss = evaluation->loss;
    if (isnan(result->best_top1) || evaluation->top1 > result->best_top1) {
        result->best_top1 = evaluation->top1;
        result->best_epoch = trainer->total_epoch;
        return crumb_trainer_save(trainer, "best.safetensors");
    }
    return CRUMB_OK;
}

/* What a phase's last epoch adds: the strategies' last word, then statistics for the weights that they leave. */
static crumb_status close_phase(crumb_trainer *trainer) {
    CRUMB_TRY(crumb_strategies_end_phase(trainer));
    bool last = trainer->phase == trainer->timeline->phases - 1;
    return last && trainer->recipe->train.reestimate ? crumb_trainer_reestimate(trainer, 0) : CRUMB_OK;
}

/* Weights as histograms after as many evaluations as a power of two, and when a phase ends: often while much changes, and the
 * file stays small. */
static crumb_status log_histograms(crumb_trainer *trainer, bool last) {
    int64_t evaluations = trainer->total_epoch / trainer->recipe->train.evaluate_every;
    if (trainer->log == NULL || (!last && (evaluations & (evaluations - 1)) != 0)) {
        return CRUMB_OK;
    }
    return crumb_run_log_histograms(trainer->log, phase_of(trainer)->name, trainer->total_epoch, trainer->total_step,
                                    trainer->network);
}

static crumb_status finish_epoch(crumb_trainer *trainer) {
    crumb_evaluation evaluation;
    trainer->epoch++;
    trainer->total_epoch++;
    trainer->step = 0;
    bool last = trainer->epoch == phase_of(trainer)->epochs;
    bool due = last || trainer->total_epoch % trainer->recipe->train.evaluate_every == 0;
    crumb_run_line line = begin_line(trainer, phase_of(trainer)->name, trainer->total_epoch, trainer->network);
    if (last) {
        CRUMB_TRY(close_phase(trainer));
    }
    if (due) {
        CRUMB_TRY(evaluate_epoch(trainer, &evaluation));
        CRUMB_TRY(log_histograms(trainer, last));
    }
    CRUMB_TRY(log_line(trainer, line, due ? &evaluation : NULL));
    trainer->epoch_loss = trainer->epoch_extra = 0;
    trainer->epoch_right = trainer->epoch_seen = 0;
    if (trainer->log == NULL) {
        return CRUMB_OK;
    }
    CRUMB_TRY(crumb_run_log_weights(trainer->log, trainer->total_step, trainer->network));
    CRUMB_TRY(crumb_trainer_save(trainer, "last.safetensors"));
    return crumb_checkpoint_save(trainer);
}

static crumb_status run_epoch(crumb_trainer *trainer) {
    int64_t every = trainer->recipe->train.checkpoint_every;
    while (trainer->step < trainer->steps) {
        double start = crumb_seconds();
        CRUMB_TRY(crumb_trainer_step(trainer));
        double seconds = crumb_seconds() - start;
        trainer->train_seconds += seconds;
        trainer->step_seconds = trainer->step_seconds > 0 ? 0.95 * trainer->step_seconds + 0.05 * seconds : seconds;
        CRUMB_TRY(report(trainer));
        if (every > 0 && trainer->total_step % every == 0 && trainer->step < trainer->steps && trainer->log != NULL) {
            CRUMB_TRY(crumb_checkpoint_save(trainer));
        }
    }
    return finish_epoch(trainer);
}

/* ---- The phase. */

/* Accuracy of the initial weights in float. */
static crumb_status measure_float(crumb_trainer *trainer) {
    const crumb_model_choice *model = &trainer->recipe->model;
    crumb_shape image = crumb_source_image(trainer->feed);
    crumb_graph *weights = NULL, *plain = NULL;
    crumb_exec *exec = NULL;
    crumb_score score = {0};
    crumb_evaluation evaluation;
    crumb_exec_options options = {.batch = trainer->recipe->train.batch};
    int classes = trainer->source.train->info.classes;
    crumb_status status = crumb_network_weights(trainer->ctx, model, image, classes, &weights);
    status = status == CRUMB_OK ? crumb_choice_build(trainer->ctx, model, image, classes, 0, &plain) : status;
    if (status == CRUMB_OK) {
        crumb_graph_copy(plain, weights, NULL);
        status = crumb_exec_create(plain, &options, &exec);
    }
    status = status == CRUMB_OK ? crumb_score_feed(&score, exec, plain, -1, trainer->eval_feed, 0, NULL) : status;
    if (status == CRUMB_OK) {
        crumb_score_result(&score, 0, &evaluation);
        trainer->result.float_top1 = evaluation.top1;
        status = log_line(trainer, begin_line(trainer, "float", 0, plain), &evaluation);
    }
    crumb_exec_destroy(exec);
    crumb_graph_destroy(plain);
    crumb_graph_destroy(weights);
    return status;
}

/* Accuracy of the same weights quantized, before any training. */
static crumb_status measure_direct(crumb_trainer *trainer) {
    crumb_evaluation evaluation;
    if (trainer->recipe->train.reestimate) {
        CRUMB_TRY(crumb_trainer_reestimate(trainer, 0));
    }
    CRUMB_TRY(crumb_trainer_evaluate(trainer, &evaluation));
    trainer->result.direct_top1 = evaluation.top1;
    return log_line(trainer, begin_line(trainer, "direct", 0, trainer->network), &evaluation);
}

static crumb_status begin_phase(crumb_trainer *trainer) {
    bool measure = trainer->phase == 0 && trainer->recipe->train.measure_direct && trainer->recipe->model.init[0] != '\0';
    trainer->epoch = trainer->step = 0;
    trainer->result.best_top1 = NAN; /* the best of another phase may be of other bits */
    if (measure) {
        CRUMB_TRY(measure_float(trainer));
    }
    CRUMB_TRY(crumb_phase_build(trainer, true));
    CRUMB_TRY(crumb_phase_prepare(trainer));
    CRUMB_TRY(crumb_strategies_begin_phase(trainer));
    if (trainer->phase == 0 && trainer->log != NULL) {
        CRUMB_TRY(crumb_run_log_histograms(trainer->log, phase_of(trainer)->name, 0, 0, trainer->network));
    }
    return measure && crumb_phase_is_quantized(trainer) ? measure_direct(trainer) : CRUMB_OK;
}

/* ---- The run. */

/* Held-out images have chosen so far; the test set is seen once, here. */
static crumb_status final_test(crumb_trainer *trainer) {
    if (trainer->recipe->data.holdout == 0 || trainer->source.test == NULL) {
        return CRUMB_OK;
    }
    crumb_evaluation evaluation;
    crumb_feed *held_out = trainer->eval_feed;
    CRUMB_TRY(crumb_source_feed(trainer->recipe, &trainer->source, CRUMB_PART_TEST, &trainer->eval_feed));
    crumb_feed_destroy(held_out);
    CRUMB_TRY(crumb_trainer_evaluate(trainer, &evaluation));
    trainer->result.val_top1 = evaluation.top1;
    trainer->result.val_top5 = evaluation.top5;
    trainer->result.val_loss = evaluation.loss;
    return log_line(trainer, begin_line(trainer, "test", trainer->total_epoch, trainer->network), &evaluation);
}

static crumb_status finish(crumb_trainer *trainer) {
    crumb_train_result *result = &trainer->result;
    CRUMB_TRY(final_test(trainer));
    count_bits(trainer->network, &result->weight_bits, &result->activation_bits);
    result->epochs = trainer->total_epoch;
    result->images = trainer->images;
    result->extra_images = trainer->extra_images;
    result->seconds = crumb_seconds() - trainer->start;
    result->images_per_second = rate_so_far(trainer);
    return trainer->log != NULL ? crumb_run_log_result(trainer->log, result, trainer->figure, trainer->figures) : CRUMB_OK;
}

static crumb_status open_log(crumb_trainer *trainer, bool resumed) {
    const char *out = trainer->options->out;
    if (out == NULL) {
        return CRUMB_OK;
    }
    if (!resumed) {
        CRUMB_TRY(crumb_checkpoint_clear(trainer));
    }
    return crumb_run_log_open(trainer->recipe, out, trainer->log_position, trainer->total_step, &trainer->log);
}

static crumb_status run(crumb_trainer *trainer) {
    const crumb_train_options *options = trainer->options;
    bool resumed = options->resume && options->out != NULL && crumb_checkpoint_exists(options->out);
    if (resumed) {
        CRUMB_TRY(crumb_checkpoint_load(trainer));
        crumb_figures_tell(trainer, trainer->figure, trainer->figures);
    }
    CRUMB_TRY(open_log(trainer, resumed));
    for (bool built = resumed; trainer->phase < trainer->timeline->phases; built = false) {
        if (!built) {
            CRUMB_TRY(begin_phase(trainer));
        }
        while (trainer->epoch < phase_of(trainer)->epochs) {
            CRUMB_TRY(run_epoch(trainer));
        }
        if (trainer->phase == trainer->timeline->phases - 1) {
            break;
        }
        trainer->phase++;
    }
    return finish(trainer);
}

crumb_status crumb_train(const crumb_recipe *recipe, const crumb_train_options *options, crumb_train_result *result) {
    crumb_trainer *trainer;
    CRUMB_TRY(crumb_trainer_open(recipe, options, &trainer));
    crumb_status status = run(trainer);
    if (status == CRUMB_OK && result != NULL) {
        *result = trainer->result;
    }
    crumb_trainer_close(trainer);
    return status;
}
