/* The trainer's parts, between its files: phase.c makes what a phase needs, update.c changes the weights, evaluate.c measures,
 * checkpoint.c saves and restores, trainer.c runs them in order. */
#ifndef CRUMB_TRAINER_PARTS_H
#define CRUMB_TRAINER_PARTS_H

#include "train/trainer.h"

#include <time.h>

/* Time that only goes forward, in seconds. */
static inline double crumb_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- trainer_open.c */

/* Data, timeline, strategies, teacher of a recipe; no phase yet. options may be NULL. */
crumb_status crumb_trainer_open(const crumb_recipe *recipe, const crumb_train_options *options, crumb_trainer **trainer);
void crumb_trainer_close(crumb_trainer *trainer);

/* ---- trainer.c */

/* One step of training, from batch to changed weights. */
crumb_status crumb_trainer_step(crumb_trainer *trainer);
/* Sets the feed to the batch of the step that comes next. */
void crumb_trainer_rewind(crumb_trainer *trainer);

/* ---- phase.c */

/* Network, plans and optimizer buffers of timeline->phase[trainer->phase]. fresh: weights come from the phase before, if there
 * is one, else from the recipe's initial weights; not fresh: the caller fills them in. Everything of the phase before is freed.
 */
crumb_status crumb_phase_build(crumb_trainer *trainer, bool fresh);
/* What happens once, when a phase starts fresh: quantizers see their first batch, statistics are re-estimated if the phase says
 * so. */
crumb_status crumb_phase_prepare(crumb_trainer *trainer);
void crumb_phase_drop(crumb_trainer *trainer);
bool crumb_phase_is_quantized(const crumb_trainer *trainer); /* anything in it */

/* Copies every STATE of the network but those marked (NULL: none) out into one block of crumb_states_size floats, or back. */
void crumb_states_swap(crumb_graph *network, const bool *leave_out, float *block, bool save);
size_t crumb_states_size(const crumb_graph *network);

/* ---- strategy.c: the hooks of all strategies, in the recipe's order. */

crumb_status crumb_strategies_begin_phase(crumb_trainer *trainer);
crumb_status crumb_strategies_resume(crumb_trainer *trainer);
crumb_status crumb_strategies_before_forward(crumb_trainer *trainer);
crumb_status crumb_strategies_add_gradient(crumb_trainer *trainer, double *extra_loss); /* the loss they add */
crumb_status crumb_strategies_after_step(crumb_trainer *trainer);
crumb_status crumb_strategies_end_phase(crumb_trainer *trainer);
void crumb_strategy_close(crumb_ctx *ctx, crumb_strategy_run *run);

/* ---- figures.c */

/* Tells the caller of crumb_train. */
void crumb_figures_tell(const crumb_trainer *trainer, const crumb_figure *figure, int count);
void crumb_figures_logged(crumb_trainer *trainer); /* all of them */

/* ---- update.c */

/* Latent weights that their quantizer keeps in a range (CRUMB_QUANT_PROJECTS). */
void crumb_update_project(crumb_graph *network);
/* Clips the gradients to the recipe's norm and takes one optimizer step with trainer->rate. */
void crumb_update_step(crumb_trainer *trainer);

/* ---- evaluate.c */

typedef struct crumb_score {
    int64_t images, top1, top5;
    double loss; /* sum of cross-entropies */
} crumb_score;

/* Adds `valid` rows of logits. */
void crumb_score_add(crumb_score *score, const float *logits, const float *labels, int64_t valid, int64_t classes);
/* Runs every batch of the feed from the start (or the first `limit` images) through a plan without training. labels: value that
 * gets the labels, -1: none. */
crumb_status crumb_score_feed(crumb_score *score, crumb_exec *exec, const crumb_graph *graph, int labels, crumb_feed *feed,
                              int64_t limit, const crumb_evaluate_options *options);
void crumb_score_result(const crumb_score *score, double seconds, crumb_evaluation *evaluation);
/* Copies a batch into the plan's inputs; rows from `valid` on get label -1, which losses leave out. labels -1: images only. */
void crumb_load_batch(crumb_exec *exec, const crumb_graph *graph, int label_value, const float *images, const float *labels,
                      int64_t valid);
/* Every batch norm's running statistics as the mean over the feed's next `batches`. labels as above. */
crumb_status crumb_reestimate(crumb_exec *exec, crumb_graph *graph, int labels, crumb_feed *feed, int64_t batches,
                              uint64_t seed);

/* ---- checkpoint.c */

/* DIR/checkpoint.safetensors: all that is needed to go on from between two steps. */
crumb_status crumb_checkpoint_save(crumb_trainer *trainer);
bool crumb_checkpoint_exists(const char *folder);
/* Restores counters, builds the phase, restores values. FORMAT if the checkpoint belongs to another recipe. */
crumb_status crumb_checkpoint_load(crumb_trainer *trainer);
/* Removes what an earlier run left in the folder and a new run would be mistaken for. */
crumb_status crumb_checkpoint_clear(crumb_trainer *trainer);

#endif
