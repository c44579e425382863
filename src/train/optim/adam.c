/* Adam (Kingma, Ba 2014): steps scaled by running moments of the gradient. Weight decay is part of the gradient. */
#include "train/optim/adam.h"

static void adam_step(const void *params, float *w, const float *g, float *const *slot, int64_t count, double lr, double decay,
                      int64_t step) {
    crumb_adam_update(params, w, g, slot, count, lr, (float)decay, 1.0f, step);
}

static const crumb_param adam_table[] = {
    {"lr", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, lr), "0.001", 0, 1000, NULL, "learning rate"},
    {"weight_decay", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, weight_decay), "0", 0, 10, NULL,
     "L2 penalty: this times the weight is added to its gradient"},
    {"beta1", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, beta1), "0.9", 0, 0.999999, NULL, "memory of the mean gradient"},
    {"beta2", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, beta2), "0.999", 0, 0.999999, NULL,
     "memory of the mean squared gradient"},
    {"eps", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, eps), "1e-08", 1e-30, 1, NULL,
     "added to the root of the second moment"},
    {0},
};

const crumb_optimizer crumb_optimizer_adam = {
    .name = "adam",
    .doc = "steps scaled by the moments of the gradient; weight decay in the gradient",
    .params = adam_table,
    .params_size = sizeof(crumb_adam_params),
    .slots = 2,
    .step = adam_step,
};
