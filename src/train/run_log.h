/* What a run leaves to read while and after it runs, in the run's folder:
 *
 *     recipe.yaml         the effective recipe
 *     log.jsonl           one JSON object a line, one line an epoch; NaN is null
 *     histograms.jsonl    the weights of each layer at some epochs (weight_histogram.h)
 *     events.out.tfevents.*   the same numbers and weight histograms for TensorBoard
 *     result.json         the outcome, written once at the end
 *
 * Lines are flushed as they are written. A checkpoint keeps crumb_run_log_position; a resumed run cuts the log there, so that
 * an epoch that is trained again is not in it twice. */
#ifndef CRUMB_RUN_LOG_H
#define CRUMB_RUN_LOG_H

#include "train/recipe.h"

typedef struct crumb_run_log crumb_run_log;

/* What a strategy reported: "sqwa.average_top1". Saved in checkpoints as it lies in memory. */
enum { CRUMB_FIGURE_NAME = 112 };
typedef struct crumb_figure {
    char name[CRUMB_FIGURE_NAME];
    double value;
    int64_t logged; /* it is in a line already */
} crumb_figure;

/* One line of the log. Numbers that were not measured are NaN. */
typedef struct crumb_run_line {
    const char *phase;
    int64_t epoch;                                           /* finished, over all phases, from 1; 0: before training */
    int64_t step;                                            /* finished steps over all phases */
    double loss, extra_loss, lr, lr_min, lr_max, train_top1; /* lr: of the last step; least and most of the epoch */
    double val_top1, val_top5, val_loss;
    double seconds; /* since the start of the run, time before a resume included */
    double images_per_second;
    int weight_bits, activation_bits; /* most common over the layers; 32: float */
    double quantized;                 /* share of the quantized layers' weights that the last step quantized (SQ's ratio) */
    int figures; /* those that are not logged yet stand in the member "figures" */
    const crumb_figure *figure;
} crumb_run_line;

/* Makes the folder and writes recipe.yaml. position < 0: a new run, whose log starts empty; else a resumed one: the log is cut
 * to `position` bytes, and events after `step` (finished steps at the checkpoint) are void. The recipe is borrowed until close.
 */
crumb_status crumb_run_log_open(const crumb_recipe *recipe, const char *folder, int64_t position, int64_t step,
                                crumb_run_log **log);
crumb_status crumb_run_log_add(crumb_run_log *log, const crumb_run_line *line);
/* Histogram of every PARAM, for TensorBoard alone. */
crumb_status crumb_run_log_weights(crumb_run_log *log, int64_t step, const crumb_graph *network);
/* Adds every layer to histograms.jsonl. */
crumb_status crumb_run_log_histograms(crumb_run_log *log, const char *phase, int64_t epoch, int64_t step,
                                      const crumb_graph *network);
/* Bytes of the log so far, all on disk when this returns. */
crumb_status crumb_run_log_position(crumb_run_log *log, int64_t *position);
/* Writes result.json: every member of the result under its name; recipe and model names; all figures, if there are any, in the
 * member "figures"; NaN is null. */
crumb_status crumb_run_log_result(crumb_run_log *log, const crumb_train_result *result, const crumb_figure *figure,
                                  int figures);
void crumb_run_log_close(crumb_run_log *log);

/* Reads folder/result.json back. FORMAT if it lacks a member. */
crumb_status crumb_run_log_read_result(crumb_ctx *ctx, const char *folder, crumb_train_result *result);

#endif
