/* AdamW (Loshchilov, Hutter 2017): Adam whose weight decay shrinks the weight itself, w <- (1 - lr decay) w, and so is not
 * divided by the second moment. */
#include "train/optim/adam.h"

static void adamw_step(const void *params, float *w, const float *g, float *const *slot, int64_t count, double lr, double decay,
                       int64_t step) {
    crumb_adam_update(params, w, g, slot, count, lr, 0.0f, (float)(1 - lr * decay), step);
}

static const crumb_param adamw_table[] = {
    CRUMB_ADAM_ROW(lr, "0.001", 0, 1000, "learning rate"),
    CRUMB_ADAM_ROW(weight_decay, "0.01", 0, 10, "shrinks the weight by lr times this, each step"),
    CRUMB_ADAM_MOMENTS,
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
