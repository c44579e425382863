/* Measuring: how often the right class is the largest logit or among the five largest, mean cross-entropy; and the pass that
 * makes batch norm's statistics anew. */
#include "ops/params.h"
#include "train/trainer_parts.h"

#include <math.h>
#include <string.h>

/* Classes that come before `label` when logits are sorted, equal ones in index order. A NaN comes first, and so is never right.
 */
static int64_t rank_of(const float *logits, int64_t label, int64_t classes) {
    int64_t rank = isnan(logits[label]) ? classes : 0;
    for (int64_t j = 0; j < classes; j++) {
        rank += j < label ? !(logits[label] > logits[j]) : j > label && !(logits[label] >= logits[j]);
    }
    return rank;
}

/* log sum exp(logits) - logits[label], the largest taken out first. */
static double cross_entropy(const float *logits, int64_t label, int64_t classes) {
    double largest = logits[0], sum = 0;
    for (int64_t j = 1; j < classes; j++) {
        largest = logits[j] > largest ? logits[j] : largest;
    }
    for (int64_t j = 0; j < classes; j++) {
        sum += exp(logits[j] - largest);
    }
    return largest + log(sum) - logits[label];
}

void crumb_score_add(crumb_score *score, const float *logits, const float *labels, int64_t valid, int64_t classes) {
    for (int64_t n = 0; n < valid; n++) {
        const float *row = logits + n * classes;
        int64_t rank = rank_of(row, (int64_t)labels[n], classes);
        score->top1 += rank < 1;
        score->top5 += rank < 5;
        score->loss += cross_entropy(row, (int64_t)labels[n], classes);
        score->images++;
    }
}

void crumb_load_batch(crumb_exec *exec, const crumb_graph *graph, int label_value, const float *images, const float *labels,
                      int64_t valid) {
    crumb_shape shape = crumb_exec_shape(exec, graph->image);
    memcpy(crumb_exec_value(exec, graph->image), images, (size_t)crumb_shape_count(shape) * sizeof(float));
    if (label_value < 0) {
        return;
    }
    float *target = crumb_exec_value(exec, label_value);
    for (int64_t n = 0; n < shape.dim[0]; n++) {
        target[n] = n < valid ? labels[n] : -1.0f;
    }
}

crumb_status crumb_score_feed(crumb_score *score, crumb_exec *exec, const crumb_graph *graph, int labels, crumb_feed *feed,
                              int64_t limit, const crumb_evaluate_options *options) {
    int64_t classes = crumb_shape_last(crumb_exec_shape(exec, graph->logits)), steps = crumb_feed_steps(feed);
    crumb_feed_seek(feed, 0, 0);
    for (int64_t i = 0; i < steps && (limit == 0 || score->images < limit); i++) {
        const float *images, *truth;
        int64_t valid;
        CRUMB_TRY(crumb_feed_next(feed, &images, &truth, &valid));
        crumb_load_batch(exec, graph, labels, images, truth, valid);
        crumb_exec_forward(exec, false, 0, 0);
        int64_t counted = limit != 0 && limit - score->images < valid ? limit - score->images : valid;
        crumb_score_add(score, crumb_exec_value(exec, graph->logits), truth, counted, classes);
        if (options != NULL && options->progress != NULL && !options->progress(options->user, score->images, limit)) {
            return crumb_fail(graph->ctx, CRUMB_ERROR_STOPPED, "stopped after %lld images", (long long)score->images);
        }
    }
    return CRUMB_OK;
}

void crumb_score_result(const crumb_score *score, double seconds, crumb_evaluation *evaluation) {
    double images = score->images > 0 ? (double)score->images : 1;
    *evaluation = (crumb_evaluation){
        .images = score->images,
        .top1 = 100 * (double)score->top1 / images,
        .top5 = 100 * (double)score->top5 / images,
        .loss = score->loss / images,
        .seconds = seconds,
        .images_per_second = seconds > 0 ? (double)score->images / seconds : 0,
    };
}

crumb_status crumb_trainer_evaluate(crumb_trainer *trainer, crumb_evaluation *evaluation) {
    crumb_score score = {0};
    double start = crumb_seconds();
    CRUMB_TRY(crumb_score_feed(&score, trainer->eval, trainer->network, trainer->labels, trainer->eval_feed, 0, NULL));
    crumb_score_result(&score, crumb_seconds() - start, evaluation);
    return CRUMB_OK;
}

/* ---- Batch norm statistics. A momentum of 0 makes the running ones the plain mean over all batches seen (ops/params.h). */

/* Sets the momentum of the network's batch norms: 0 and empty statistics, or back to saved[node]. */
static void statistics_begin(crumb_graph *network, double *saved) {
    enum { MEAN = 3, STATES_END = 6 };
    for (int i = 0; i < network->nodes; i++) {
        crumb_node *node = &network->node[i];
        if (node->op != &crumb_op_batch_norm) {
            continue;
        }
        crumb_batch_norm_params *params = node->params;
        saved[i] = params->momentum;
        params->momentum = 0;
        for (int k = MEAN; k < STATES_END; k++) {
            crumb_value *value = &network->value[node->input[k]];
            memset(value->data, 0, (size_t)crumb_shape_count(value->shape) * sizeof(float));
        }
    }
}

static void statistics_end(crumb_graph *network, const double *saved) {
    for (int i = 0; i < network->nodes; i++) {
        if (network->node[i].op == &crumb_op_batch_norm) {
            ((crumb_batch_norm_params *)network->node[i].params)->momentum = saved[i];
        }
    }
}

crumb_status crumb_reestimate(crumb_exec *exec, crumb_graph *graph, int labels, crumb_feed *feed, int64_t batches,
                              uint64_t seed) {
    double *saved = crumb_alloc(graph->ctx, (size_t)graph->nodes + 1, sizeof(*saved));
    if (saved == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_status status = CRUMB_OK;
    statistics_begin(graph, saved);
    for (int64_t i = 0; i < batches && status == CRUMB_OK; i++) {
        const float *images, *truth;
        int64_t valid;
        status = crumb_feed_next(feed, &images, &truth, &valid);
        if (status == CRUMB_OK) {
            crumb_load_batch(exec, graph, labels, images, truth, valid);
            crumb_exec_forward(exec, true, seed, (uint64_t)i);
        }
    }
    statistics_end(graph, saved);
    crumb_free(graph->ctx, saved);
    return status;
}

crumb_status crumb_trainer_reestimate(crumb_trainer *trainer, int64_t images) {
    int64_t batch = trainer->recipe->train.batch, batches = images > 0 ? (images + batch - 1) / batch : trainer->steps;
    batches = batches < trainer->steps ? batches : trainer->steps;
    crumb_update_project(trainer->network);
    crumb_feed_seek(trainer->feed, trainer->total_epoch, 0);
    crumb_status status = crumb_reestimate(trainer->exec, trainer->network, trainer->labels, trainer->feed, batches,
                                           (uint64_t)trainer->recipe->train.seed);
    crumb_trainer_rewind(trainer);
    trainer->extra_images += batches * batch;
    return status;
}

crumb_status crumb_trainer_measure(crumb_trainer *trainer, int64_t images, crumb_evaluation *evaluation) {
    crumb_graph *network = trainer->network;
    float *block = crumb_alloc(trainer->ctx, crumb_states_size(network) + 1, sizeof(*block));
    if (block == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    int64_t extra_images = trainer->extra_images;
    crumb_states_swap(network, NULL, block, true);
    crumb_status status = crumb_trainer_reestimate(trainer, images);
    status = status == CRUMB_OK ? crumb_trainer_evaluate(trainer, evaluation) : status;
    crumb_states_swap(network, NULL, block, false);
    trainer->extra_images = extra_images; /* the training had nothing from them */
    crumb_free(trainer->ctx, block);
    return status;
}
