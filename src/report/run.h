/* A run folder as a report sees it. Everything in it may be missing: numbers are then NaN, counts 0, texts "". */
#ifndef CRUMB_REPORT_RUN_H
#define CRUMB_REPORT_RUN_H

#include "base/text.h"

/* What the log tells of an epoch. */
typedef enum crumb_column {
    CRUMB_COLUMN_LOSS,
    CRUMB_COLUMN_EXTRA_LOSS,
    CRUMB_COLUMN_LR,
    CRUMB_COLUMN_LR_MIN,
    CRUMB_COLUMN_LR_MAX,
    CRUMB_COLUMN_TRAIN_TOP1,
    CRUMB_COLUMN_VAL_TOP1,
    CRUMB_COLUMN_VAL_LOSS,
    CRUMB_COLUMN_SECONDS,
    CRUMB_COLUMN_SPEED,
    CRUMB_COLUMN_QUANTIZED,
    CRUMB_COLUMN_WEIGHT_BITS,
    CRUMB_COLUMN_ACTIVATION_BITS,
    CRUMB_COLUMNS
} crumb_column;

typedef struct crumb_run_epoch {
    int64_t epoch; /* from 1, rising */
    double at[CRUMB_COLUMNS];
} crumb_run_epoch;

enum { CRUMB_RUN_NAME = 192, CRUMB_RUN_BINS = 256, CRUMB_RUN_LEVELS = 64, CRUMB_RUN_PHASES = 512 };

typedef struct crumb_run_phase {
    char name[CRUMB_RUN_NAME];
    int first, count; /* of the epochs */
} crumb_run_phase;

/* A layer's weights after an epoch (train/weight_histogram.h says what the numbers mean). */
typedef struct crumb_run_histogram {
    int64_t epoch;
    char layer[CRUMB_RUN_NAME], quantizer[64]; /* quantizer "": float */
    int bits;
    int64_t weights, scales;
    double error, low, high;
    int bins, levels;
    int64_t outside;
    double bin[CRUMB_RUN_BINS]; /* counts */
    double level[CRUMB_RUN_LEVELS], at_level[CRUMB_RUN_LEVELS];
} crumb_run_histogram;

/* What a strategy reported (train/run_log.h): the last value of each name. */
typedef struct crumb_run_figure {
    char name[128];
    double value;
    int64_t epoch; /* of the log line that has it, -1: only the result does */
} crumb_run_figure;

/* A key of the effective recipe: "train.optimizer.lr", "data.augment.0.name". */
typedef struct crumb_recipe_key {
    char path[CRUMB_RUN_NAME], value[CRUMB_RUN_NAME];
} crumb_recipe_key;

typedef struct crumb_run {
    crumb_ctx *ctx;
    char folder[4096];
    char variant[CRUMB_RUN_NAME]; /* of a comparison, "": none */
    int64_t seed;                 /* of a comparison */
    char label[CRUMB_RUN_NAME];   /* what the report calls it */
    int colour;                   /* line type of gnuplot */
    bool any;                     /* something was readable */
    bool finished;                /* there is a result.json */
    crumb_text notes;             /* what is wrong with the files, a line each */

    char name[CRUMB_RUN_NAME], model[64];
    double val_top1, val_top5, val_loss, best_top1, direct_top1, float_top1, seconds, speed;
    int64_t best_epoch, epochs;       /* epochs: trained so far */
    int weight_bits, activation_bits; /* 0: not known */
    int64_t file_bytes;               /* of best.safetensors, else of last.safetensors; 0: neither */
    double packed_bytes;              /* of the layers' weights at their bits and their scales; NaN: not known */

    char *recipe; /* text, NULL: none */
    int keys;
    crumb_recipe_key *key;

    int count, room; /* epochs of the log */
    crumb_run_epoch *epoch;
    int phases;
    crumb_run_phase *phase;
    double float_point, direct_point; /* accuracies that the log has before the first epoch */

    int figures, figure_room;
    crumb_run_figure *figure;

    int histograms, histogram_room;
    crumb_run_histogram *histogram;
} crumb_run;

/* Reads what the folder holds. Only MEMORY fails: the rest is a note. `run` is zeroed by the caller but for variant and seed.
 */
crumb_status crumb_run_read(crumb_ctx *ctx, const char *folder, crumb_run *run);
void crumb_run_free(crumb_run *run);
/* Adds a line to the notes. */
void crumb_run_note(crumb_run *run, const char *format, ...) CRUMB_PRINTF(2, 3);

/* DIR/name, at most 256 MiB, into *text (crumb_free it), NULL if it cannot be read. A note says why unless the file may be
 * absent. */
crumb_status crumb_run_file(crumb_run *run, const char *name, bool may_be_absent, char **text);

/* ---- The files, one reader each. */

crumb_status crumb_run_read_log(crumb_run *run);
/* Takes the members of "figures" of a line or of the result (a json_t object); false: out of memory. */
bool crumb_run_take_figures(crumb_run *run, const void *json, int64_t epoch);
crumb_status crumb_run_read_histograms(crumb_run *run);
crumb_status crumb_run_read_recipe(crumb_run *run);
/* The value of a key of the recipe, NULL if there is none. */
const char *crumb_run_key(const crumb_run *run, const char *path);

/* ---- Choosing what is drawn. */

/* Thins a curve, x rising: of each of `parts` equal parts of the range of x the first, the lowest, the highest and the last
 * point stay. Points whose y is NaN go. Returns how many are left. */
int crumb_thin(double *x, double *y, int count, int parts);
/* The epochs of which there are histograms, rising, at most `max`; returns how many there are. */
int crumb_run_histogram_epochs(const crumb_run *run, int64_t *epoch, int max);
/* The layer's histogram after that epoch; the last one if the file has several; NULL if there is none. */
const crumb_run_histogram *crumb_run_find(const crumb_run *run, const char *layer, int64_t epoch);

#endif
