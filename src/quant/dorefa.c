/* DoReFa-Net (Zhou et al., arXiv 1606.06160, eq. 5-9), as in the authors' code.
 *
 *     quantize_k(x) = round(x L) / L,  L = 2^k - 1
 *     weights, k = 1:  E sign(w),  E = mean|w| of the layer, a constant to the gradient, sign(0) = +1;  dQ/dw = 1
 *     weights, k > 1:  2 quantize_k(t / (2 M) + 1/2) - 1,  t = tanh(w),  M = max|t| of the layer
 *     activations:     quantize_k(clip(x, 0, 1)),  gradient 1 inside [0, 1], 0 outside
 *
 * With the rounding passed straight through, the k > 1 gradient is
 *
 *     dL/dw_i = g_i (1 - t_i^2) / M   and, at the weight i* of the maximum, less  sign(t_i*) (1 - t_i*^2) / M^2 * sum_j g_j t_j
 *
 * The second term is M's own derivative. The authors' code has it; `max_gradient: false` leaves it out, as PACT's does. */
#include "quant/parts.h"

#include <math.h>

typedef struct dorefa_params {
    bool max_gradient;
} dorefa_params;

enum { RANGE }; /* E or M */

static bool is_binary_weight(const crumb_quant *site) {
    return site->weight && site->bits == 1;
}

static void observe(const crumb_quant_call *call) {
    if (call->site->weight) {
        call->state[RANGE][0] =
            is_binary_weight(call->site) ? crumb_mean_abs(call->x, call->count) : tanhf(crumb_max_abs(call->x, call->count));
    }
}

static crumb_odd odd_of(const crumb_quant_call *call) {
    float top = (float)crumb_levels_all(call->site) - 1.0f, range = call->state[RANGE][0];
    return (crumb_odd){
        .top = top,
        .half_inverse = 0.5f * crumb_step_inverse(range),
        .scale = isnan(range) ? NAN : 1.0f / top, /* a NaN among the weights must not turn into a level */
    };
}

static bool uniform(const crumb_quant_call *call, crumb_uniform *u) {
    if (!call->site->weight) {
        *u = crumb_uniform_unit(call->site->bits);
    }
    return !call->site->weight;
}

/* Levels (2 i - L) / L: none at zero. */
static bool lattice(const crumb_quant_call *call, int64_t channel, crumb_lattice *levels_of) {
    (void)channel;
    float top = (float)crumb_levels_all(call->site) - 1.0f;
    *levels_of = (crumb_lattice){
        .tanh = true, .gain = crumb_step_inverse(call->state[RANGE][0]), .step = 2.0f / top, .lo = -1.0f, .hi = 1.0f};
    return !is_binary_weight(call->site) && levels_of->gain > 0.0f;
}

static void fake(const crumb_quant_call *call) {
    if (!call->site->weight) {
        crumb_uniform_call_fake(call);
        return;
    }
    if (is_binary_weight(call->site)) {
        crumb_binary_fake(call);
        return;
    }
    crumb_odd odd = odd_of(call);
#pragma omp parallel for schedule(static) if (call->count >= CRUMB_PARALLEL_LEAST)
    for (int64_t i = 0; i < call->count; i++) {
        call->y[i] = crumb_odd_code(&odd, tanhf(call->x[i])) * odd.scale;
    }
}

static void grad_tanh(const crumb_quant_call *call) {
    const dorefa_params *params = (const dorefa_params *)call->site->params;
    float range = call->state[RANGE][0], inverse = crumb_step_inverse(range);
    double sum = 0;
    int64_t largest = -1;
    for (int64_t i = 0; i < call->count; i++) {
        float t = tanhf(call->x[i]);
        sum += (double)call->dy[i] * (double)t;
        largest = largest < 0 && fabsf(t) >= range ? i : largest;
        crumb_put(&call->dx[i], call->dy[i] * (1.0f - t * t) * inverse, call->add);
    }
    if (params->max_gradient && largest >= 0) {
        double t = tanh((double)call->x[largest]), share = (1.0 - t * t) * (double)inverse * (double)inverse * sum;
        call->dx[largest] -= (float)(t < 0 ? -share : share);
    }
}

static void grad(const crumb_quant_call *call) {
    if (!call->site->weight) {
        crumb_uniform_call_grad(call);
    } else if (is_binary_weight(call->site)) {
        crumb_pass_gradient(call);
    } else if (call->dx != NULL) {
        grad_tanh(call);
    }
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    if (!call->site->weight) {
        crumb_uniform_call_encode(call, codes);
        return;
    }
    if (is_binary_weight(call->site)) {
        crumb_binary_encode(call, call->state[RANGE], false, codes);
        return;
    }
    crumb_odd odd = odd_of(call);
    for (int64_t i = 0; i < call->count; i++) {
        codes->code[i] = (int16_t)crumb_odd_code(&odd, tanhf(call->x[i]));
    }
    crumb_codes_describe(codes, odd.scale, crumb_levels_all(call->site), 2, -(int)odd.top);
}

const crumb_quantizer crumb_quantizer_dorefa = {
    .name = "dorefa",
    .doc = "weights: tanh scaled to [-1, 1] and rounded (1 bit: mean|w| sign(w)); activations: clip to [0, 1] and round",
    .source = "Zhou et al., DoReFa-Net, arXiv 1606.06160, eq. 5-9",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ACTIVATION | CRUMB_QUANT_ODD,
    .min_bits = 1,
    .max_bits = 8,
    .params =
        (const crumb_param[]){
            {.name = "max_gradient",
             .type = CRUMB_PARAM_BOOL,
             .offset = offsetof(dorefa_params, max_gradient),
             .preset = "true",
             .doc = "weights: the gradient goes through max|tanh(w)| too"},
            {0},
        },
    .params_size = sizeof(dorefa_params),
    .state = (const crumb_quant_state[]){{.name = "range"}, {0}},
    .levels = crumb_levels_all,
    .observe = observe,
    .fake = fake,
    .grad = grad,
    .encode = encode,
    .uniform = uniform,
    .lattice = lattice,
};
