/* PACT: parameterized clipping activation (Choi et al., arXiv 1805.06085, eq. 1-3).
 *
 *     y = clip(x, 0, alpha),   Q(x) = round(y L / alpha) alpha / L,   L = 2^b - 1
 *     dQ/dx = 1 inside [0, alpha], 0 outside;   dQ/dalpha = 1 above alpha, else 0
 *
 * alpha is one learned number a layer under an L2 penalty, the optimizer's weight decay. The paper quantizes weights by
 * DoReFa-Net's rule: that is `dorefa`. */
#include "quant/parts.h"
#include "quant/uniform.h"

typedef struct pact_params {
    double alpha;
} pact_params;

enum { ALPHA, READY };

/* The optimizer may push alpha to zero or below; from here its gradient brings it back. */
static const float LEAST_ALPHA = 1e-6f;

static void observe(const crumb_quant_call *call) {
    if (call->state[READY][0] == 0.0f) {
        call->state[ALPHA][0] = (float)((const pact_params *)call->site->params)->alpha;
        call->state[READY][0] = 1.0f;
    }
}

static bool uniform(const crumb_quant_call *call, crumb_uniform *u) {
    float top = (float)(crumb_levels_all(call->site) - 1), alpha = call->state[ALPHA][0];
    alpha = alpha < LEAST_ALPHA ? LEAST_ALPHA : alpha;
    *u = crumb_uniform_make(alpha / top, 0.0f, top);
    u->grad_scale = 1.0f / top; /* above alpha the form counts dy * hi */
    u->learned = ALPHA;
    return true;
}

const crumb_quantizer crumb_quantizer_pact = {
    .name = "pact",
    .doc = "activations: clip to [0, alpha] and round, alpha trained with the network",
    .source = "Choi et al., PACT, arXiv 1805.06085, eq. 1-3",
    .flags = CRUMB_QUANT_ACTIVATION | CRUMB_QUANT_IDEMPOTENT,
    .min_bits = 1,
    .max_bits = 8,
    .params =
        (const crumb_param[]){
            {.name = "alpha",
             .type = CRUMB_PARAM_REAL,
             .offset = offsetof(pact_params, alpha),
             .preset = "8",
             .min = 1e-3,
             .max = 1e3,
             .doc = "clipping level that training starts from"},
            {0},
        },
    .params_size = sizeof(pact_params),
    .state =
        (const crumb_quant_state[]){{.name = "alpha", .learned = true, .preset = 8.0f, .decay = 1.0f}, {.name = "ready"}, {0}},
    .levels = crumb_levels_all,
    .observe = observe,
    .fake = crumb_uniform_call_fake,
    .grad = crumb_uniform_call_grad,
    .encode = crumb_uniform_call_encode,
    .uniform = uniform,
};
