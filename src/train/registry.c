/* The tables behind optimizers.inc, schedules.inc and strategies.inc; warm-up, which every schedule has. */
#include "train/optim.h"
#include "train/strategy.h"

const crumb_optimizer *const crumb_optimizers[] = {
#define CRUMB_OPTIMIZER(name) &crumb_optimizer_##name,
#include "train/optimizers.inc"
#undef CRUMB_OPTIMIZER
    NULL,
};

const crumb_schedule *const crumb_schedules[] = {
#define CRUMB_SCHEDULE(name) &crumb_schedule_##name,
#include "train/schedules.inc"
#undef CRUMB_SCHEDULE
    NULL,
};

const crumb_strategy *const crumb_strategies[] = {
#define CRUMB_STRATEGY(name) &crumb_strategy_##name,
#include "train/strategies.inc"
#undef CRUMB_STRATEGY
    NULL,
};

double crumb_schedule_at(const crumb_schedule_choice *choice, double epoch, double epochs, double steps_per_epoch) {
    double warmup = *(const double *)(const void *)choice->params; /* every schedule's struct starts with it */
    double rise = epoch < warmup ? epoch / warmup : 1;
    return rise * choice->schedule->at(choice->params, epoch, epochs, steps_per_epoch);
}
