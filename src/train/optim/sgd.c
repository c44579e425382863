/* Stochastic gradient descent with momentum (Polyak 1964) or Nesterov's momentum, in PyTorch's form:
 *
 *     g <- g + decay w;   m <- momentum m + g;   w <- w - lr m                     (plain)
 *                                                w <- w - lr (g + momentum m)      (nesterov)
 *
 * Weight decay is part of the gradient. There is no dampening, so a zero buffer makes the first step PyTorch's first step. */
#include "train/optim.h"

typedef struct sgd_params {
    double lr, weight_decay, momentum;
    bool nesterov;
} sgd_params;

static void sgd_step(const void *params, float *w, const float *g, float *const *slot, int64_t count, double lr, double decay,
                     int64_t step) {
    const sgd_params *p = params;
    float *m = slot[0];
    const float rate = (float)lr, lambda = (float)decay, mu = (float)p->momentum;
    const float from_g = p->nesterov ? 1.0f : 0.0f, from_m = p->nesterov ? mu : 1.0f;
    (void)step;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float d = g[i] + lambda * w[i];
        m[i] = mu * m[i] + d;
        w[i] -= rate * (from_g * d + from_m * m[i]);
    }
}

static const crumb_param sgd_table[] = {
    {"lr", CRUMB_PARAM_REAL, offsetof(sgd_params, lr), "0.1", 0, 1000, NULL, "learning rate"},
    {"weight_decay", CRUMB_PARAM_REAL, offsetof(sgd_params, weight_decay), "0.0001", 0, 10, NULL,
     "L2 penalty: this times the weight is added to its gradient"},
    {"momentum", CRUMB_PARAM_REAL, offsetof(sgd_params, momentum), "0.9", 0, 0.999999, NULL, "share of the last update kept"},
    {"nesterov", CRUMB_PARAM_BOOL, offsetof(sgd_params, nesterov), "false", 0, 0, NULL, "look ahead along the momentum"},
    {0},
};

const crumb_optimizer crumb_optimizer_sgd = {
    .name = "sgd",
    .doc = "gradient descent with (Nesterov) momentum",
    .params = sgd_table,
    .params_size = sizeof(sgd_params),
    .slots = 1,
    .step = sgd_step,
};
