/* A learning rate that goes in a straight line from 1 to `end` over the phase. */
#include "train/optim.h"

typedef struct linear_params {
    double warmup, end;
} linear_params;

static double linear_at(const void *params, double epoch, double epochs, double steps_per_epoch) {
    const linear_params *p = params;
    (void)steps_per_epoch;
    return 1 + (p->end - 1) * (epoch / epochs);
}

static const crumb_param linear_table[] = {
    {"warmup", CRUMB_PARAM_REAL, offsetof(linear_params, warmup), "0", 0, 1e6, NULL, "epochs of linear rise from 0"},
    {"end", CRUMB_PARAM_REAL, offsetof(linear_params, end), "0", 0, 1000, NULL, "multiple of the rate at the end"},
    {0},
};

const crumb_schedule crumb_schedule_linear = {
    .name = "linear",
    .doc = "a straight line from 1 to end",
    .params = linear_table,
    .params_size = sizeof(linear_params),
    .at = linear_at,
};
