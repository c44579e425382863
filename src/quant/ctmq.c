/* The n-bit quantizer of cyclic training with multiple quantization steps (Kim et al., arXiv 2206.12794), from the laboratory's
 * code.
 *
 *     L = 2^k - 1
 *     weights, k = 1:  Q(w) = mu where w > 0, else -mu,  mu = mean|w|;   dQ/dw = mu [|w| <= 1]
 *     weights, k > 1:  Q(w) = s (2 round(L clip(w / (2 * 1.645 s) + 1/2, 0, 1)) / L - 1),  s = standard deviation with n - 1;
 *                      dQ/dw = [|w| <= 1.645 s] / 1.645
 *     activations:     Q(x) = 2 round(L clip(x / 2 + 1/2, 0, 1)) / L - 1,  k = 1: +1 where x > 0, else -1;   dQ/dx = [|x| <= 1]
 *
 * mu and s are of the whole tensor and constants to the gradient. It looks like DoReFa-Net and is not: no tanh, levels reach s
 * and the clip 1.645 s, activations are signed, sign(0) = -1. */
#include "quant/parts.h"

#include <math.h>

enum { SCALE }; /* mu or s */

static const float REACH = 1.645f; /* the middle 90 % of a normal distribution */

static float standard_deviation(const float *x, int64_t count) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)x[i];
    }
    double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) {
        squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    }
    return count > 1 ? (float)sqrt(squares / (double)(count - 1)) : 0.0f;
}

static void observe(const crumb_quant_call *call) {
    if (call->site->weight) {
        call->state[SCALE][0] =
            call->site->bits == 1 ? crumb_mean_abs(call->x, call->count) : standard_deviation(call->x, call->count);
    }
}

/* Also for one bit, where only top and scale count. */
static crumb_odd form_of(const crumb_quant_call *call) {
    float top = (float)crumb_levels_all(call->site) - 1.0f, scale = call->site->weight ? call->state[SCALE][0] : 1.0f;
    float half_inverse = call->site->weight ? crumb_step_inverse(2.0f * REACH * scale) : 0.5f;
    return (crumb_odd){.top = top, .half_inverse = half_inverse, .scale = scale / top};
}

static inline float code_of(const crumb_odd *form, float x) {
    return form->top > 1.0f ? crumb_odd_code(form, x) : x > 0.0f ? 1.0f : -1.0f;
}

static void fake(const crumb_quant_call *call) {
    crumb_odd form = form_of(call);
#pragma omp parallel for schedule(static) if (call->count >= CRUMB_PARALLEL_LEAST)
    for (int64_t i = 0; i < call->count; i++) {
        call->y[i] = code_of(&form, call->x[i]) * form.scale;
    }
}

static void grad(const crumb_quant_call *call) {
    if (!call->site->weight) {
        crumb_straight_through(call, 1.0f, 1.0f);
    } else if (call->site->bits == 1) {
        crumb_straight_through(call, 1.0f, call->state[SCALE][0]);
    } else {
        crumb_straight_through(call, REACH * call->state[SCALE][0], 1.0f / REACH);
    }
}

/* Levels s (2 j / L - 1) of the weight over 1.645. */
static bool lattice(const crumb_quant_call *call, int64_t channel, crumb_lattice *levels_of) {
    (void)channel;
    float scale = call->state[SCALE][0], top = (float)crumb_levels_all(call->site) - 1.0f;
    *levels_of = (crumb_lattice){.gain = 1.0f / REACH, .step = 2.0f * scale / top, .lo = -scale, .hi = scale};
    return call->site->bits > 1;
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    crumb_odd form = form_of(call);
    for (int64_t i = 0; i < call->count; i++) {
        codes->code[i] = (int16_t)code_of(&form, call->x[i]);
    }
    crumb_codes_describe(codes, form.scale, crumb_levels_all(call->site), 2, -(int)form.top);
}

const crumb_quantizer crumb_quantizer_ctmq = {
    .name = "ctmq",
    .doc = "CTMQ's rule for 1 to 8 bits: weights in standard deviations, signed activations in [-1, 1]",
    .source = "Kim et al., CTMQ, arXiv 2206.12794, with the laboratory's published quantizer",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ACTIVATION | CRUMB_QUANT_ODD | CRUMB_QUANT_SCALES | CRUMB_QUANT_SIGNED,
    .min_bits = 1,
    .max_bits = 8,
    .state = (const crumb_quant_state[]){{.name = "scale"}, {0}},
    .levels = crumb_levels_all,
    .observe = observe,
    .fake = fake,
    .grad = grad,
    .encode = encode,
    .lattice = lattice,
};
