/* Optimizers and learning-rate schedules: one file each in optim/ and schedule/, one row each in optimizers.inc and schedules.inc. */
#ifndef CRUMB_OPTIM_H
#define CRUMB_OPTIM_H

#include "base/ctx.h"

enum { CRUMB_TRAIN_PARAMS_MAX = 512, CRUMB_SLOTS_MAX = 4 };

/* A row of any train list, selected by name, with its parameters. */
typedef struct crumb_optimizer {
    const char *name; /* "sgd", "adam", "adamw" */
    const char *doc;
    const crumb_param *params; /* each struct starts with `double lr; double weight_decay;` */
    size_t params_size;
    int slots; /* float buffers per parameter (momentum, second moment), zero at the start of a phase */
    /* One tensor: w -= ... from g. lr is the scheduled rate times the tensor's own factor, decay likewise; step counts from 1. */
    void (*step)(const void *params, float *w, const float *g, float *const *slot, int64_t count, double lr, double decay,
                 int64_t step);
} crumb_optimizer;

typedef struct crumb_schedule {
    const char *name; /* "constant", "step", "linear", "cosine", "cyclic" */
    const char *doc;
    const crumb_param *params; /* each struct starts with `double warmup;` (epochs) */
    size_t params_size;
    /* Learning rate as a multiple of the optimizer's lr, for the step that starts at `epoch` (fractional, from 0) of a phase of
     * `epochs`; warm-up is applied by crumb_schedule_at. */
    double (*at)(const void *params, double epoch, double epochs, double steps_per_epoch);
    /* True if that step is the lowest of its cycle (SQWA captures there); NULL: never. */
    bool (*minimum)(const void *params, double epoch, double epochs, double steps_per_epoch);
} crumb_schedule;

#define CRUMB_OPTIMIZER(name) extern const crumb_optimizer crumb_optimizer_##name;
#include "train/optimizers.inc"
#undef CRUMB_OPTIMIZER
#define CRUMB_SCHEDULE(name) extern const crumb_schedule crumb_schedule_##name;
#include "train/schedules.inc"
#undef CRUMB_SCHEDULE
extern const crumb_optimizer *const crumb_optimizers[]; /* NULL-terminated */
extern const crumb_schedule *const crumb_schedules[];   /* NULL-terminated */

typedef struct crumb_optimizer_choice {
    const crumb_optimizer *optimizer;
    _Alignas(16) unsigned char params[CRUMB_TRAIN_PARAMS_MAX];
} crumb_optimizer_choice;
typedef struct crumb_schedule_choice {
    const crumb_schedule *schedule;
    _Alignas(16) unsigned char params[CRUMB_TRAIN_PARAMS_MAX];
} crumb_schedule_choice;

/* Rate multiple for the step that starts at `epoch`: the schedule's, times a linear warm-up from 0 over the first `warmup` epochs. */
double crumb_schedule_at(const crumb_schedule_choice *choice, double epoch, double epochs, double steps_per_epoch);

#endif
