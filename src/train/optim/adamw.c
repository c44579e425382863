/* AdamW (Loshchilov, Hutter 2017): Adam whose weight decay shrinks the weight itself, w <- (1 - lr decay) w, and so is not
 * divided by the second moment. */
#include "train/optim/adam.h"

static void adamw_step(const void *params, float *w, const float *g, float *const *slot, int64_t count, double lr, double decay,
                       int64_t step) {
    crumb_adam_update(params, w, g, slot, count, lr, 0.0f, (float)(1 - lr * decay), step);
}

static const crumb_param adamw_table[] = {
    {"lr", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, lr), "0.001", 0, 1000, NULL, "learning rate"},
    {"weight_decay", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, weight_decay), "0.01", 0, 10, NULL,
     "shrinks the weight by lr times this, each step"},
    {"beta1", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, beta1), "0.9", 0, 0.999999, NULL, "memory of the mean gradient"},
    {"beta2", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, beta2), "0.999", 0, 0.999999, NULL,
     "memory of the mean squared gradient"},
    {"eps", CRUMB_PARAM_REAL, offsetof(crumb_adam_params, eps), "1e-08", 1e-30, 1, NULL,
     "added to the root of the second moment"},
    {0},
};

const crumb_optimizer crumb_optimizer_adamw = {
    .name = "adamw",
    .doc = "Adam with weight decay apart from the gradient",
    .params = adamw_table,
    .params_size = sizeof(crumb_adam_params),
    .slots = 2,
    .step = adamw_step,
};
