/* Cyclical learning rates between `high` and `low`, for averaging models at the low points (SWA, FGE, SQWA). With i the step,
 * from 0, and C the steps of a cycle:
 *
 *     saw-tooth  t = (i mod C + 1) / C            rate = (1 - t) high + t low                       lowest at the cycle's last
 * step (Izmailov et al. 2018, equation 1) triangle   t = (i mod C) / C                rate = (1 - 2t) high + 2t low, then back
 * up       lowest at the cycle's middle (Garipov et al. 2018, section 4) stepped    t = (whole epochs in cycle + 1) / c   as
 * saw-tooth, constant during an epoch       lowest in the cycle's last epoch
 */
#include "train/optim.h"

#include <math.h>

enum { SAW_TOOTH, TRIANGLE, STEPPED };

typedef struct cyclic_params {
    double warmup;
    int shape;
    double cycle, high, low;
} cyclic_params;

/* Step within the cycle, and the cycle's length in steps. */
static int64_t place(const cyclic_params *p, double epoch, double steps_per_epoch, int64_t *length) {
    int64_t rounded = llround(p->cycle * steps_per_epoch);
    *length = rounded > 1 ? rounded : 1;
    return llround(epoch * steps_per_epoch) % *length;
}

static double cyclic_at(const void *params, double epoch, double epochs, double steps_per_epoch) {
    const cyclic_params *p = params;
    int64_t length, i = place(p, epoch, steps_per_epoch, &length);
    double t = ((double)i + 1) / (double)length;
    (void)epochs;
    if (p->shape == TRIANGLE) {
        t = 1 - fabs(1 - 2 * (double)i / (double)length);
    } else if (p->shape == STEPPED) {
        t = fmin(1, (floor((double)i / steps_per_epoch) + 1) / ceil(p->cycle));
    }
    return (1 - t) * p->high + t * p->low;
}

static bool cyclic_minimum(const void *params, double epoch, double epochs, double steps_per_epoch) {
    const cyclic_params *p = params;
    int64_t length, i = place(p, epoch, steps_per_epoch, &length);
    (void)epochs;
    return i == (p->shape == TRIANGLE ? length / 2 : length - 1);
}

static const crumb_param cyclic_table[] = {
    {"warmup", CRUMB_PARAM_REAL, offsetof(cyclic_params, warmup), "0", 0, 1e6, NULL, "epochs of linear rise from 0"},
    {"shape", CRUMB_PARAM_CHOICE, offsetof(cyclic_params, shape), "saw-tooth", 0, 0, "saw-tooth|triangle|stepped",
     "how the rate falls: each step, each step and back up, each epoch"},
    {"cycle", CRUMB_PARAM_REAL, offsetof(cyclic_params, cycle), "2", 0.001, 1e6, NULL, "epochs a cycle"},
    {"high", CRUMB_PARAM_REAL, offsetof(cyclic_params, high), "1", 0, 1000, NULL, "multiple of the rate at the top"},
    {"low", CRUMB_PARAM_REAL, offsetof(cyclic_params, low), "0.2", 0, 1000, NULL, "multiple of the rate at the bottom"},
    {0},
};

const crumb_schedule crumb_schedule_cyclic = {
    .name = "cyclic",
    .doc = "up and down between high and low",
    .params = cyclic_table,
    .params_size = sizeof(cyclic_params),
    .at = cyclic_at,
    .minimum = cyclic_minimum,
};
