/* WRPN: wide reduced-precision networks (Mishra et al., arXiv 1709.01134, section 4).
 *
 *     weights, k > 1:  round(clip(w, -1, 1) S) / S,  S = 2^(k-1) - 1
 *     weights, k = 1:  alpha sign(w), alpha = mean|w| of the layer, a constant to the gradient, sign(0) = +1
 *     activations:     round(clip(x, 0, 1) L) / L,  L = 2^k - 1
 *     gradient 1 inside the clip, 0 outside */
#include "quant/parts.h"

enum { ALPHA };

static bool is_binary_weight(const crumb_quant *site) {
    return site->weight && site->bits == 1;
}

static int levels(const crumb_quant *site) {
    return site->weight && site->bits > 1 ? (1 << site->bits) - 1 : 1 << site->bits;
}

static void observe(const crumb_quant_call *call) {
    if (is_binary_weight(call->site)) {
        call->state[ALPHA][0] = crumb_mean_abs(call->x, call->count);
    }
}

static bool uniform(const crumb_quant_call *call, crumb_uniform *u) {
    if (is_binary_weight(call->site)) {
        return false;
    }
    *u = crumb_uniform_unit(call->site->weight ? call->site->bits - 1 : call->site->bits);
    u->lo = call->site->weight ? -u->hi : 0.0f;
    return true;
}

static void fake(const crumb_quant_call *call) {
    if (is_binary_weight(call->site)) {
        crumb_binary_fake(call);
    } else {
        crumb_uniform_call_fake(call);
    }
}

static void grad(const crumb_quant_call *call) {
    if (is_binary_weight(call->site)) {
        crumb_straight_through(call, 1.0f, 1.0f);
    } else {
        crumb_uniform_call_grad(call);
    }
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    if (is_binary_weight(call->site)) {
        crumb_binary_encode(call, call->state[ALPHA], false, codes);
    } else {
        crumb_uniform_call_encode(call, codes);
    }
}

const crumb_quantizer crumb_quantizer_wrpn = {
    .name = "wrpn",
    .doc = "weights: clip to [-1, 1] and round (1 bit: mean|w| sign(w)); activations: clip to [0, 1] and round",
    .source = "Mishra et al., WRPN, arXiv 1709.01134, section 4",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ACTIVATION | CRUMB_QUANT_ODD | CRUMB_QUANT_IDEMPOTENT,
    .min_bits = 1,
    .max_bits = 8,
    .state = (const crumb_quant_state[]){{.name = "alpha"}, {0}},
    .levels = levels,
    .observe = observe,
    .fake = fake,
    .grad = grad,
    .encode = encode,
    .uniform = uniform,
};
