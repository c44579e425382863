/* XNOR-Net's weights (Rastegari et al., arXiv 1603.05279, section 3.1, and the authors' training code).
 *
 *     before each training forward:  w <- clip(w - mean over input channels, -1, 1)
 *     Q(w) = alpha sign(w),  alpha = mean|w| of the filter,  sign(0) = +1
 *     gradient, clip (preset):  dL/dw = g where |w| <= 1, else 0
 *     gradient, official:       dL/dw = g (alpha [|w| < 1] + 1/n) (1 - 1/c) n,   n weights a filter, c input channels
 *
 * `official` is what the authors' code does for SGD; its factor n makes the learning rate depend on the layer's size. A filter
 * with one input channel is not centred, since nothing would be left of it, and its factor 1 - 1/c is 1. */
#include "quant/parts.h"

#include <math.h>

typedef struct xnor_params {
    int gradient; /* 0 clip, 1 official */
} xnor_params;

enum { ALPHA };

static void project(const crumb_quant_call *call, float *latent) {
    int64_t inputs = crumb_shape_last(call->shape);
    for (int64_t row = 0; row < call->count; row += inputs) {
        double sum = 0;
        for (int64_t i = row; i < row + inputs; i++) {
            sum += (double)latent[i];
        }
        float mean = inputs > 1 ? (float)(sum / (double)inputs) : 0.0f;
        for (int64_t i = row; i < row + inputs; i++) {
            float w = latent[i] - mean;
            w = w < -1.0f ? -1.0f : w;
            latent[i] = w > 1.0f ? 1.0f : w;
        }
    }
}

static void observe(const crumb_quant_call *call) {
    crumb_statistic_fill(call, true, call->state[ALPHA], crumb_statistic_mean_abs);
}

static void grad_official(const crumb_quant_call *call) {
    int64_t size = call->count / call->site->channels, inputs = crumb_shape_last(call->shape);
    float n = (float)size, centred = inputs > 1 ? 1.0f - 1.0f / (float)inputs : 1.0f;
    for (int64_t i = 0; i < call->count; i++) {
        float inside = fabsf(call->x[i]) < 1.0f ? call->state[ALPHA][i / size] : 0.0f;
        crumb_put(&call->dx[i], call->dy[i] * (inside + 1.0f / n) * centred * n, call->add);
    }
}

static void grad(const crumb_quant_call *call) {
    if (((const xnor_params *)call->site->params)->gradient == 0) {
        crumb_straight_through(call, 1.0f, 1.0f);
    } else if (call->dx != NULL) {
        grad_official(call);
    }
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    crumb_binary_encode(call, call->state[ALPHA], true, codes);
}

const crumb_quantizer crumb_quantizer_xnor = {
    .name = "xnor",
    .doc = "XNOR-Net's weights: centred and clamped latent values, mean|w| sign(w) a filter",
    .source = "Rastegari et al., XNOR-Net, arXiv 1603.05279, section 3.1",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ODD | CRUMB_QUANT_IDEMPOTENT | CRUMB_QUANT_SCALES | CRUMB_QUANT_PROJECTS,
    .min_bits = 1,
    .max_bits = 1,
    .params =
        (const crumb_param[]){
            {.name = "gradient",
             .type = CRUMB_PARAM_CHOICE,
             .offset = offsetof(xnor_params, gradient),
             .preset = "clip",
             .choices = "clip|official",
             .doc = "1 inside [-1, 1], or the rule of the authors' code"},
            {0},
        },
    .params_size = sizeof(xnor_params),
    .state = (const crumb_quant_state[]){{.name = "alpha", .per_channel = true}, {0}},
    .levels = crumb_levels_all,
    .observe = observe,
    .fake = crumb_binary_fake,
    .grad = grad,
    .encode = encode,
    .project = project,
};
