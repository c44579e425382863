/* Scales that a file brings (ONNX's QuantizeLinear, QONNX's IntQuant): integer codes with a scale and a zero point that stay as
 * they are while the weights train.
 *
 *     code = round(x / step) in lo .. lo + levels - 1,   activations: lo = -zero,   weights: lo = -2^(b-1) - zero
 *     odd: code in -L, -L + 2 .. L,  L = 2^b - 1;  1 bit: code = +1 where x >= 0, else -1
 *     dQ/dx = 1 inside the range of the codes, 0 outside
 *
 * The zero point is already taken off the codes, so that value = step * code: an unsigned activation of zero point z has zero =
 * z. A weight's step may be below zero: channels whose codes have the opposite sign then share one range. */
#include "quant/parts.h"

#include <math.h>

typedef struct fixed_params {
    int group; /* 0 none, 1 .. 4: 16 .. 128 */
    bool odd;
    int64_t levels; /* 0: 2^bits */
} fixed_params;

enum { STEP, ZERO };

static const fixed_params *params_of(const crumb_quant *site) {
    return (const fixed_params *)site->params;
}

static int64_t group(const crumb_quant *site) {
    return crumb_group_of(params_of(site)->group);
}

static int levels(const crumb_quant *site) {
    int all = crumb_levels_all(site);
    int64_t wanted = params_of(site)->levels;
    return wanted > 0 && wanted < all && !params_of(site)->odd ? (int)wanted : all;
}

/* The codes of the g-th step: a uniform form, or an odd one. */
typedef struct form {
    bool odd;
    crumb_odd o;
    crumb_uniform u;
} form;

static form form_of(const crumb_quant_call *call, int64_t g) {
    int count = levels(call->site);
    float step = call->state[STEP][g], zero = call->state[ZERO][0];
    if (params_of(call->site)->odd) {
        float top = (float)(count - 1);
        return (form){.odd = true, .o = {top, 0.5f * crumb_step_inverse(step) / top, step}};
    }
    zero = crumb_round(zero > -512.0f ? zero < 512.0f ? zero : 512.0f : -512.0f);
    float lo = -zero - (call->site->weight ? (float)(1 << (call->site->bits - 1)) : 0.0f);
    form f = {.u = crumb_uniform_make(fabsf(step), lo, lo + (float)(count - 1))};
    f.u.step = step < 0.0f ? -f.u.step : f.u.step;
    f.u.inverse = step < 0.0f ? -f.u.inverse : f.u.inverse;
    return f;
}

static crumb_span span_of(const crumb_quant_call *call, int64_t g) {
    return call->site->weight ? crumb_span_of(call, g) : (crumb_span){0, call->count};
}

static float odd_code(const crumb_odd *o, float x) {
    return o->top == 1.0f ? x >= 0.0f ? 1.0f : -1.0f : crumb_odd_code(o, x);
}

static void fake(const crumb_quant_call *call) {
    for (int64_t g = 0; g < call->state_count[STEP]; g++) {
        form f = form_of(call, g);
        crumb_span span = span_of(call, g);
        const float *x = call->x + span.at;
        float *y = call->y + span.at;
        if (!f.odd) {
            crumb_uniform_fake(&f.u, x, y, span.count);
        }
        for (int64_t i = 0; f.odd && i < span.count; i++) {
            y[i] = f.o.scale * odd_code(&f.o, x[i]);
        }
    }
}

static void grad(const crumb_quant_call *call) {
    for (int64_t g = 0; g < call->state_count[STEP] && call->dx != NULL; g++) {
        form f = form_of(call, g);
        crumb_span span = span_of(call, g);
        const float *x = call->x + span.at, *dy = call->dy + span.at;
        float *dx = call->dx + span.at, limit = f.o.top * f.o.scale;
        if (!f.odd) {
            crumb_uniform_grad(&f.u, x, dy, dx, call->add, NULL, false, span.count);
        }
        for (int64_t i = 0; f.odd && i < span.count; i++) {
            float value = fabsf(x[i]) <= limit ? dy[i] : 0.0f;
            dx[i] = call->add ? dx[i] + value : value;
        }
    }
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    bool odd = params_of(call->site)->odd;
    if (call->site->weight) {
        crumb_codes_divide(call, true, codes);
    } else {
        codes->groups = 1;
    }
    codes->levels = levels(call->site);
    codes->multiply = odd ? 2 : 1;
    codes->offset = odd ? 1 - codes->levels : (int)form_of(call, 0).u.lo;
    for (int64_t g = 0; g < codes->groups; g++) {
        form f = form_of(call, g);
        crumb_span span = span_of(call, g);
        if (!f.odd) {
            crumb_uniform_encode(&f.u, call->x + span.at, codes->code + span.at, span.count);
        }
        for (int64_t i = span.at; f.odd && i < span.at + span.count; i++) {
            codes->code[i] = (int16_t)odd_code(&f.o, call->x[i]);
        }
        codes->scale[g] = call->state[STEP][g];
    }
}

static bool uniform(const crumb_quant_call *call, crumb_uniform *u) {
    form f = form_of(call, 0);
    *u = f.u;
    return !f.odd && !call->site->weight; /* weights have a form for each step */
}

static bool lattice(const crumb_quant_call *call, int64_t channel, crumb_lattice *levels_of) {
    form f = form_of(call, channel);
    float lo = f.odd ? -f.o.top * f.o.scale : f.u.lo * f.u.step, hi = f.odd ? f.o.top * f.o.scale : f.u.hi * f.u.step;
    float step = f.odd ? 2.0f * f.o.scale : fabsf(f.u.step);
    *levels_of = (crumb_lattice){.gain = 1.0f, .step = step, .lo = lo < hi ? lo : hi, .hi = lo < hi ? hi : lo};
    return true;
}

const crumb_quantizer crumb_quantizer_fixed = {
    .name = "fixed",
    .doc = "a scale and a zero point that an imported model brings and that stay",
    .source = "ONNX, QuantizeLinear and DequantizeLinear; Pappalardo et al., QONNX, arXiv 2206.07527",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ACTIVATION | CRUMB_QUANT_IDEMPOTENT,
    .min_bits = 1,
    .max_bits = 8,
    .params =
        (const crumb_param[]){
            CRUMB_GROUP_PARAM(offsetof(fixed_params, group)),
            {.name = "odd",
             .type = CRUMB_PARAM_BOOL,
             .offset = offsetof(fixed_params, odd),
             .preset = "false",
             .doc = "codes are the odd numbers from 1 - 2^bits to 2^bits - 1"},
            {.name = "levels",
             .type = CRUMB_PARAM_INT,
             .offset = offsetof(fixed_params, levels),
             .preset = "0",
             .max = 256,
             .doc = "how many codes, where not all of the bits' (0)"},
            {0},
        },
    .params_size = sizeof(fixed_params),
    .state =
        (const crumb_quant_state[]){
            {.name = "step", .per_channel = true, .preset = 0.0625f},
            {.name = "zero"},
            {0},
        },
    .levels = levels,
    .group = group,
    .fake = fake,
    .grad = grad,
    .encode = encode,
    .uniform = uniform,
    .lattice = lattice,
};
