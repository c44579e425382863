/* A learning rate that is multiplied by gamma at each milestone (He et al. 2015: a tenth at half and at three quarters). */
#include "train/optim.h"

typedef struct step_params {
    double warmup;
    crumb_list milestones;
    double gamma;
} step_params;

static double step_at(const void *params, double epoch, double epochs, double steps_per_epoch) {
    const step_params *p = params;
    double rate = 1;
    (void)steps_per_epoch;
    for (int i = 0; i < p->milestones.count; i++) {
        double milestone = p->milestones.at[i] < 1 ? p->milestones.at[i] * epochs : p->milestones.at[i];
        rate *= epoch >= milestone ? p->gamma : 1;
    }
    return rate;
}

static const crumb_param step_table[] = {
    {"warmup", CRUMB_PARAM_REAL, offsetof(step_params, warmup), "0", 0, 1e6, NULL, "epochs of linear rise from 0"},
    {"milestones", CRUMB_PARAM_LIST, offsetof(step_params, milestones), "[0.5, 0.75]", 0, 1e6, NULL,
     "epochs at which the rate falls; below 1: parts of the whole"},
    {"gamma", CRUMB_PARAM_REAL, offsetof(step_params, gamma), "0.1", 0, 1, NULL, "factor at each milestone"},
    {0},
};

const crumb_schedule crumb_schedule_step = {
    .name = "step",
    .doc = "times gamma at each milestone",
    .params = step_table,
    .params_size = sizeof(step_params),
    .at = step_at,
};
