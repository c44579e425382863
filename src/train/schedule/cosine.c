/* Half a cosine from 1 to `end` over the phase (Loshchilov, Hutter 2016, equation 5, without restarts). */
#include "train/optim.h"

#include <math.h>

typedef struct cosine_params {
    double warmup, end;
} cosine_params;

static double cosine_at(const void *params, double epoch, double epochs, double steps_per_epoch) {
    const cosine_params *p = params;
    (void)steps_per_epoch;
    return p->end + (1 - p->end) * 0.5 * (1 + cos(3.14159265358979323846 * epoch / epochs));
}

static const crumb_param cosine_table[] = {
    {"warmup", CRUMB_PARAM_REAL, offsetof(cosine_params, warmup), "0", 0, 1e6, NULL, "epochs of linear rise from 0"},
    {"end", CRUMB_PARAM_REAL, offsetof(cosine_params, end), "0", 0, 1000, NULL, "multiple of the rate at the end"},
    {0},
};

const crumb_schedule crumb_schedule_cosine = {
    .name = "cosine",
    .doc = "half a cosine from 1 to end",
    .params = cosine_table,
    .params_size = sizeof(cosine_params),
    .at = cosine_at,
};
