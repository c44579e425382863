/* Min-max quantization, the usual way to 8 bits (Jacob et al., arXiv 1712.05877, eq. 1 and section 3).
 *
 *     weights:      code = round(w / step) in -Q .. Q,  Q = 2^(b-1) - 1,  step = max|w| / Q of the tensor, output channel or
 *                   group of its inputs; dQ/dw = 1
 *     activations:  code = round(x / step) in -z .. 2^b - 1 - z,  step = (high - low) / (2^b - 1),  z = round(-low / step);
 *                   dQ/dx = 1 inside the range of the codes, 0 outside
 *
 * low and high are running means of each training batch's minimum and maximum, widened to hold 0. The usual codes are 0 .. 2^b
 * - 1; the zero point z is a whole number and already taken off here, so that value = step * code, and 0 is exact. */
#include "quant/parts.h"

typedef struct minmax_params {
    int per;         /* 0 tensor, 1 channel */
    double momentum; /* of a new batch in the running range */
    int group;       /* 0 none, 1 .. 4: 16 .. 128 */
} minmax_params;

enum { LOW, HIGH, READY }; /* a weight's range is LOW = -HIGH */

static const minmax_params *params_of(const crumb_quant *site) {
    return (const minmax_params *)site->params;
}

static bool per_channel(const crumb_quant *site) {
    return params_of(site)->per == 1;
}

static int64_t group(const crumb_quant *site) {
    return crumb_group_of(params_of(site)->group);
}

static int levels(const crumb_quant *site) {
    return site->weight ? (1 << site->bits) - 1 : 1 << site->bits;
}

static float largest(const crumb_quant_call *call, const float *x, int64_t count) {
    (void)call;
    return crumb_max_abs(x, count);
}

static void observe_weight(const crumb_quant_call *call) {
    crumb_statistic_fill(call, per_channel(call->site), call->state[HIGH], largest);
    for (int64_t g = 0; g < call->state_count[HIGH]; g++) {
        call->state[LOW][g] = -call->state[HIGH][g];
    }
}

static void observe_activation(const crumb_quant_call *call) {
    const float *x = call->x;
    float low = 0.0f, high = 0.0f;
    int64_t count = call->count;
    /* clang-format off */
#pragma omp parallel for simd schedule(static) reduction(min : low) reduction(max : high) if (count >= CRUMB_PARALLEL_LEAST)
    /* clang-format on */
    for (int64_t i = 0; i < count; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float keep = call->state[READY][0] != 0.0f ? 1.0f - (float)params_of(call->site)->momentum : 0.0f;
    call->state[LOW][0] = keep * call->state[LOW][0] + (1.0f - keep) * low;
    call->state[HIGH][0] = keep * call->state[HIGH][0] + (1.0f - keep) * high;
    call->state[READY][0] = 1.0f;
}

static void observe(const crumb_quant_call *call) {
    if (call->site->weight) {
        observe_weight(call);
    } else {
        observe_activation(call);
    }
}

static crumb_uniform weight_form(const crumb_quant_call *call, int64_t g) {
    float top = (float)((levels(call->site) - 1) / 2);
    return crumb_uniform_make(call->state[HIGH][g] / top, -top, top);
}

static bool uniform(const crumb_quant_call *call, crumb_uniform *u) {
    if (call->site->weight) {
        return false; /* the gradient passes everywhere */
    }
    float top = (float)(levels(call->site) - 1), low = call->state[LOW][0], high = call->state[HIGH][0];
    float step = (high - low) / top, zero = -low * crumb_step_inverse(step);
    zero = zero > 0.0f ? zero : 0.0f;
    zero = crumb_round(zero < top ? zero : top);
    *u = crumb_uniform_make(step, -zero, top - zero);
    return true;
}

static void fake(const crumb_quant_call *call) {
    if (!call->site->weight) {
        crumb_uniform_call_fake(call);
        return;
    }
    for (int64_t g = 0; g < call->state_count[HIGH]; g++) {
        crumb_uniform form = weight_form(call, g);
        crumb_span span = crumb_span_of(call, g);
        crumb_uniform_fake(&form, call->x + span.at, call->y + span.at, span.count);
    }
}

static bool lattice(const crumb_quant_call *call, int64_t channel, crumb_lattice *levels_of) {
    crumb_uniform u = weight_form(call, per_channel(call->site) ? channel : 0);
    *levels_of = (crumb_lattice){.gain = 1.0f, .step = u.step, .lo = u.lo * u.step, .hi = u.hi * u.step};
    return true;
}

static void grad(const crumb_quant_call *call) {
    if (call->site->weight) {
        crumb_pass_gradient(call);
    } else {
        crumb_uniform_call_grad(call);
    }
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    if (!call->site->weight) {
        crumb_uniform_call_encode(call, codes);
        return;
    }
    crumb_codes_divide(call, per_channel(call->site), codes);
    codes->levels = levels(call->site);
    codes->multiply = 1;
    codes->offset = -(codes->levels - 1) / 2;
    for (int64_t g = 0; g < call->state_count[HIGH]; g++) {
        crumb_uniform form = weight_form(call, g);
        crumb_span span = crumb_span_of(call, g);
        crumb_uniform_encode(&form, call->x + span.at, codes->code + span.at, span.count);
        codes->scale[g < codes->groups ? g : 0] = form.step;
    }
}

const crumb_quantizer crumb_quantizer_minmax = {
    .name = "minmax",
    .doc = "weights: max|w| symmetric; activations: running minimum and maximum with an integer zero point",
    .source = "Jacob et al., arXiv 1712.05877, eq. 1 and section 3",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ACTIVATION | CRUMB_QUANT_ODD | CRUMB_QUANT_IDEMPOTENT | CRUMB_QUANT_SCALES |
             CRUMB_QUANT_RUNNING,
    .min_bits = 2,
    .max_bits = 8,
    .params =
        (const crumb_param[]){
            {.name = "per",
             .type = CRUMB_PARAM_CHOICE,
             .offset = offsetof(minmax_params, per),
             .preset = "tensor",
             .choices = "tensor|channel",
             .doc = "weights: one step for the tensor or one an output channel"},
            {.name = "momentum",
             .type = CRUMB_PARAM_REAL,
             .offset = offsetof(minmax_params, momentum),
             .preset = "0.1",
             .min = 0.0,
             .max = 1.0,
             .doc = "activations: share of a new batch in the running range"},
            CRUMB_GROUP_PARAM(offsetof(minmax_params, group)),
            {0},
        },
    .params_size = sizeof(minmax_params),
    .state =
        (const crumb_quant_state[]){
            {.name = "low", .per_channel = true},
            {.name = "high", .per_channel = true, .preset = 1.0f},
            {.name = "ready"},
            {0},
        },
    .levels = levels,
    .group = group,
    .observe = observe,
    .fake = fake,
    .grad = grad,
    .encode = encode,
    .uniform = uniform,
    .lattice = lattice,
};
