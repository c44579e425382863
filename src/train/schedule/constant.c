/* A learning rate that stays. */
#include "train/optim.h"

typedef struct constant_params {
    double warmup;
} constant_params;

static double constant_at(const void *params, double epoch, double epochs, double steps_per_epoch) {
    (void)params, (void)epoch, (void)epochs, (void)steps_per_epoch;
    return 1;
}

static const crumb_param constant_table[] = {
    {"warmup", CRUMB_PARAM_REAL, offsetof(constant_params, warmup), "0", 0, 1e6, NULL, "epochs of linear rise from 0"},
    {0},
};

const crumb_schedule crumb_schedule_constant = {
    .name = "constant",
    .doc = "always the optimizer's rate",
    .params = constant_table,
    .params_size = sizeof(constant_params),
    .at = constant_at,
};
