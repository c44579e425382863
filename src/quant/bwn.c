/* BWN: binary weights (Rastegari et al., arXiv 1603.05279, eq. 6), the bare form that stochastic quantization builds on.
 *
 *     Q(w) = alpha sign(w),  alpha = mean|w| of the output channel (or tensor),  sign(0) = +1;   dQ/dw = 1
 *
 * XNOR-Net's centring, clamping and gradient scale are in `xnor`. */
#include "quant/parts.h"

typedef struct bwn_params {
    int per; /* 0 channel, 1 tensor */
} bwn_params;

enum { ALPHA };

static bool per_channel(const crumb_quant *site) {
    return ((const bwn_params *)site->params)->per == 0;
}

static void observe(const crumb_quant_call *call) {
    crumb_statistic_fill(call, per_channel(call->site), call->state[ALPHA], crumb_statistic_mean_abs);
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    crumb_binary_encode(call, call->state[ALPHA], per_channel(call->site), codes);
}

const crumb_quantizer crumb_quantizer_bwn = {
    .name = "bwn",
    .doc = "binary weights: mean|w| sign(w)",
    .source = "Rastegari et al., XNOR-Net, arXiv 1603.05279, eq. 6; Dong et al., arXiv 1708.01001, section 3",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ODD | CRUMB_QUANT_IDEMPOTENT | CRUMB_QUANT_SCALES,
    .min_bits = 1,
    .max_bits = 1,
    .params =
        (const crumb_param[]){
            {.name = "per",
             .type = CRUMB_PARAM_CHOICE,
             .offset = offsetof(bwn_params, per),
             .preset = "channel",
             .choices = "channel|tensor",
             .doc = "one alpha an output channel, or one for the tensor"},
            {0},
        },
    .params_size = sizeof(bwn_params),
    .state = (const crumb_quant_state[]){{.name = "alpha", .per_channel = true}, {0}},
    .levels = crumb_levels_all,
    .observe = observe,
    .fake = crumb_binary_fake,
    .grad = crumb_pass_gradient,
    .encode = encode,
};
