/* Binary activations (Hubara et al., arXiv 1602.02830, eq. 1 and 4; Liu et al., Bi-Real Net, arXiv 1808.00278, eq. 5).
 *
 *     Q(x) = +1 where x >= 0, else -1
 *     dQ/dx = 1 where |x| <= 1 (hard_tanh), or 2 - 2|x| where |x| < 1 (quadratic), else 0 */
#include "quant/parts.h"

#include <math.h>

typedef struct sign_params {
    int gradient; /* 0 hard_tanh, 1 quadratic */
} sign_params;

static void fake(const crumb_quant_call *call) {
    const float *x = call->x;
    float *y = call->y;
    int64_t count = call->count;
#pragma omp parallel for simd schedule(static) if (count >= CRUMB_PARALLEL_LEAST)
    for (int64_t i = 0; i < count; i++) {
        y[i] = x[i] >= 0.0f ? 1.0f : -1.0f;
    }
}

static void grad_quadratic(const crumb_quant_call *call) {
    const float *x = call->x, *dy = call->dy;
    float *dx = call->dx;
    bool add = call->add;
    int64_t count = call->count;
#pragma omp parallel for simd schedule(static) if (count >= CRUMB_PARALLEL_LEAST)
    for (int64_t i = 0; i < count; i++) {
        float slope = 2.0f - 2.0f * fabsf(x[i]), before = dx[i], value = dy[i] * (slope > 0.0f ? slope : 0.0f);
        dx[i] = add ? before + value : value;
    }
}

static void grad(const crumb_quant_call *call) {
    if (((const sign_params *)call->site->params)->gradient == 0) {
        crumb_straight_through(call, 1.0f, 1.0f);
    } else if (call->dx != NULL) {
        grad_quadratic(call);
    }
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    crumb_binary_encode(call, (const float[]){1.0f}, false, codes);
}

const crumb_quantizer crumb_quantizer_sign = {
    .name = "sign",
    .doc = "binary activations: +1 or -1",
    .source = "Hubara et al., BNN, arXiv 1602.02830, eq. 1 and 4; Liu et al., Bi-Real Net, arXiv 1808.00278, eq. 5",
    .flags = CRUMB_QUANT_ACTIVATION | CRUMB_QUANT_ODD | CRUMB_QUANT_IDEMPOTENT | CRUMB_QUANT_SIGNED,
    .min_bits = 1,
    .max_bits = 1,
    .params =
        (const crumb_param[]){
            {.name = "gradient",
             .type = CRUMB_PARAM_CHOICE,
             .offset = offsetof(sign_params, gradient),
             .preset = "hard_tanh",
             .choices = "hard_tanh|quadratic",
             .doc = "1 where |x| <= 1, or 2 - 2|x|"},
            {0},
        },
    .params_size = sizeof(sign_params),
    .state = (const crumb_quant_state[]){{0}},
    .levels = crumb_levels_all,
    .fake = fake,
    .grad = grad,
    .encode = encode,
};
