/* What Adam and AdamW share: parameters and the update from bias-corrected moments (Kingma, Ba 2014, algorithm 1), as PyTorch
 * writes it:
 *
 *     m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2
 *     w <- w - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 */
#ifndef CRUMB_ADAM_H
#define CRUMB_ADAM_H

#include "train/optim.h"

#include <math.h>

typedef struct crumb_adam_params {
    double lr, weight_decay, beta1, beta2, eps;
} crumb_adam_params;

/* coupled: decay that is added to the gradient (Adam); shrink: factor on the weight before the update (AdamW). */
static inline void crumb_adam_update(const crumb_adam_params *p, float *w, const float *g, float *const *slot, int64_t count,
                                     double lr, float coupled, float shrink, int64_t step) {
    float *m = slot[0], *v = slot[1];
    const float b1 = (float)p->beta1, b2 = (float)p->beta2, c1 = (float)(1 - p->beta1), c2 = (float)(1 - p->beta2);
    const float rate = (float)(lr / (1 - pow(p->beta1, (double)step)));
    const float spread = (float)(1 / sqrt(1 - pow(p->beta2, (double)step))), eps = (float)p->eps;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float d = g[i] + coupled * w[i];
        m[i] = b1 * m[i] + c1 * d;
        v[i] = b2 * v[i] + c2 * (d * d);
        w[i] = shrink * w[i] - rate * (m[i] / (sqrtf(v[i]) * spread + eps));
    }
}

/* Rows of both tables behind weight_decay. */
#define CRUMB_ADAM_ROW(member, preset, min, max, doc)                                                                          \
    { #member, CRUMB_PARAM_REAL, offsetof(crumb_adam_params, member), preset, min, max, NULL, doc }
#define CRUMB_ADAM_MOMENTS                                                                                                     \
    CRUMB_ADAM_ROW(beta1, "0.9", 0, 0.999999, "memory of the mean gradient"),                                                  \
        CRUMB_ADAM_ROW(beta2, "0.999", 0, 0.999999, "memory of the mean squared gradient"),                                    \
        CRUMB_ADAM_ROW(eps, "1e-08", 1e-30, 1, "added to the root of the second moment")

#endif
