/* The trainer: what a run consists of while it runs. Strategies may read and change all of it at their hooks. */
#ifndef CRUMB_TRAINER_H
#define CRUMB_TRAINER_H

#include "graph/exec.h"
#include "train/recipe.h"
#include "train/run_log.h"
#include "train/source.h"

struct crumb_trainer {
    crumb_ctx *ctx;
    const crumb_recipe *recipe;
    crumb_timeline *timeline;
    int phase;          /* index into the timeline */
    int64_t epoch;      /* within the phase */
    int64_t step;       /* within the epoch */
    int64_t total_epoch, total_step; /* over all phases: random streams and logs count these */
    int64_t steps;      /* an epoch */
    double rate;        /* learning rate of this step */
    bool rate_minimum;  /* the schedule's cycle ends with this step */

    crumb_graph *network; /* of the phase: quantized, with loss nodes behind the logits */
    int labels, teacher_logits, loss; /* value indices in network; teacher_logits -1 without a teacher */
    crumb_exec *exec;     /* training plan */
    crumb_exec *eval;     /* evaluation plan */
    crumb_graph *teacher;
    crumb_exec *teacher_exec;

    float **slot;         /* [values * slots]: optimizer buffers of each PARAM */
    int slots;
    int64_t optimizer_step;

    crumb_source source; /* data sets */
    crumb_feed *feed, *eval_feed;
    int strategies;
    crumb_strategy_run strategy[CRUMB_STRATEGIES_MAX];

    int figures;          /* what strategies reported so far, see crumb_trainer_report */
    crumb_figure *figure;

    double epoch_loss, epoch_extra; /* sums over the epoch's samples */
    int64_t epoch_right, epoch_seen;
    double quantized;     /* share of the quantized layers' weights that an epoch's last step quantized */

    /* The run around it; of no use to strategies. */
    const crumb_train_options *options;
    crumb_run_log *log;            /* NULL: nothing is written */
    int64_t log_position;          /* of a resumed run, -1: none */
    crumb_train_result result;     /* so far */
    int64_t total_epochs;          /* of the timeline */
    int64_t extra_images;          /* seen so far without training on them */
    int64_t images;                /* trained on so far, and the time spent on it */
    double train_seconds;
    double start;                  /* crumb_seconds when the run would have started had it never been interrupted */
    double step_seconds, eval_seconds; /* how long a step (running mean) and an evaluation take */
};

/* Recomputes every batch norm's running statistics as the cumulative mean over one pass of at most `images` training images (0: all). */
crumb_status crumb_trainer_reestimate(crumb_trainer *trainer, int64_t images);
crumb_status crumb_trainer_evaluate(crumb_trainer *trainer, crumb_evaluation *evaluation);
/* Accuracy with statistics re-estimated over `images` images, after which every state is put back: the training that goes on does
 * not notice. (The training plan then holds another batch's values.) */
crumb_status crumb_trainer_measure(crumb_trainer *trainer, int64_t images, crumb_evaluation *evaluation);

/* Writes the network as it stands into the run folder, if there is one: "capture-1.safetensors". A new run removes files of an
 * earlier one that are called capture-*.safetensors. */
crumb_status crumb_trainer_save(crumb_trainer *trainer, const char *name);

/* A number that belongs into the run's log and result under a name, printed: "sqwa.levels.conv1", 15. A name starts with the
 * strategy's; a second value replaces the first in the result. */
crumb_status crumb_trainer_report(crumb_trainer *trainer, double value, const char *name, ...) CRUMB_PRINTF(3, 4);

#endif
