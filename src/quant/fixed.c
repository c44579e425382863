/* Scales that a file brings (ONNX's QuantizeLinear and DequantizeLinear): integer codes with a scale and a zero point that stay
 * as they are while the weights train.
 *
 *     code = round(x / step) in lo .. lo + 2^b - 1,   activations: lo = -zero,   weights: lo = -2^(b-1) - zero
 *     dQ/dx = 1 inside the range of the codes, 0 outside
 *
 * The zero point is already taken off the codes, so that value = step * code: an unsigned activation of zero point z has zero =
 * z. */
#include "quant/parts.h"

enum { STEP, ZERO };

static crumb_uniform form(const crumb_quant_call *call, int64_t channel) {
    int count = crumb_levels_all(call->site);
    float zero =
        crumb_round(call->state[ZERO][0] > -512.0f ? call->state[ZERO][0] < 512.0f ? call->state[ZERO][0] : 512.0f : -512.0f);
    float lo = -zero - (call->site->weight ? (float)(count / 2) : 0.0f);
    return crumb_uniform_make(call->state[STEP][channel], lo, lo + (float)(count - 1));
}

static bool uniform(const crumb_quant_call *call, crumb_uniform *u) {
    if (call->site->weight) {
        return false; /* a form for each output channel */
    }
    *u = form(call, 0);
    return true;
}

static bool lattice(const crumb_quant_call *call, int64_t channel, crumb_lattice *levels_of) {
    crumb_uniform u = form(call, channel);
    *levels_of = (crumb_lattice){.gain = 1.0f, .step = u.step, .lo = u.lo * u.step, .hi = u.hi * u.step};
    return true;
}

static void fake(const crumb_quant_call *call) {
    int64_t groups = call->site->weight ? call->site->channels : 1, size = call->count / groups;
    for (int64_t g = 0; g < groups; g++) {
        crumb_uniform u = form(call, g);
        crumb_uniform_fake(&u, call->x + g * size, call->y + g * size, size);
    }
}

static void grad(const crumb_quant_call *call) {
    int64_t groups = call->site->weight ? call->site->channels : 1, size = call->count / groups;
    for (int64_t g = 0; g < groups && call->dx != NULL; g++) {
        crumb_uniform u = form(call, g);
        crumb_uniform_grad(&u, call->x + g * size, call->dy + g * size, call->dx + g * size, call->add, NULL, false, size);
    }
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    codes->groups = call->site->weight ? call->site->channels : 1;
    codes->levels = crumb_levels_all(call->site);
    codes->multiply = 1;
    codes->offset = (int)form(call, 0).lo;
    int64_t size = call->count / codes->groups;
    for (int64_t g = 0; g < codes->groups; g++) {
        crumb_uniform u = form(call, g);
        crumb_uniform_encode(&u, call->x + g * size, codes->code + g * size, size);
        codes->scale[g] = u.step;
    }
}

const crumb_quantizer crumb_quantizer_fixed = {
    .name = "fixed",
    .doc = "a scale and a zero point that an imported model brings and that stay",
    .source = "ONNX, QuantizeLinear and DequantizeLinear",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ACTIVATION | CRUMB_QUANT_IDEMPOTENT,
    .min_bits = 1,
    .max_bits = 8,
    .params = (const crumb_param[]){{0}},
    .state =
        (const crumb_quant_state[]){
            {.name = "step", .per_channel = true, .preset = 0.0625f},
            {.name = "zero"},
            {0},
        },
    .levels = crumb_levels_all,
    .fake = fake,
    .grad = grad,
    .encode = encode,
    .uniform = uniform,
    .lattice = lattice,
};
