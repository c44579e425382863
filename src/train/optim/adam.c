/* Adam (Kingma, Ba 2014): steps scaled by running moments of the gradient. Weight decay is part of the gradient. */
#include "train/optim/adam.h"

static void adam_step(const void *params, float *w, const float *g, float *const *slot, int64_t count, double lr, double decay,
                      int64_t step) {
    crumb_adam_update(params, w, g, slot, count, lr, (float)decay, 1.0f, step);
}

static const crumb_param adam_table[] = {
    CRUMB_ADAM_ROW(lr, "0.001", 0, 1000, "learning rate"),
    CRUMB_ADAM_ROW(weight_decay, "0", 0, 10, "L2 penalty: this times the weight is added to its gradient"),
    CRUMB_ADAM_MOMENTS,
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
