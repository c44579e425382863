/* TWN: ternary weights (Li et al., arXiv 1605.04711, eq. 3-6).
 *
 *     T(w) = +1 where w > D, -1 where w < -D, else 0;   Q(w) = alpha T(w);   dQ/dw = 1
 *     D = threshold * mean|w|,  alpha = mean of |w| over |w| > D (0 if there is none)
 *
 * The first code has D and alpha per layer, the authors' later one threshold 0.75 and both per filter. Stochastic
 * quantization's paper (arXiv 1708.01001) has both per channel; its code has alpha per channel and D = 0.7 mean|w - mean(w)| of
 * the layer: `alpha_per: channel, centre: true`. */
#include "quant/parts.h"

#include <math.h>
#include <string.h>

typedef struct twn_params {
    double threshold;
    int threshold_per, alpha_per; /* 0 tensor, 1 channel */
    bool centre;
} twn_params;

enum { THRESHOLD, ALPHA };

static const twn_params *params_of(const crumb_quant *site) {
    return (const twn_params *)site->params;
}

static int levels(const crumb_quant *site) {
    (void)site;
    return 3;
}

static float threshold_of(const crumb_quant_call *call, const float *x, int64_t count) {
    double factor = params_of(call->site)->threshold, mean = 0, deviation = 0;
    if (!params_of(call->site)->centre) {
        return (float)(factor * (double)crumb_mean_abs(x, count));
    }
    for (int64_t i = 0; i < count; i++) {
        mean += (double)x[i];
    }
    mean /= (double)count;
    for (int64_t i = 0; i < count; i++) {
        deviation += fabs((double)x[i] - mean);
    }
    return (float)(factor * deviation / (double)count);
}

/* Sum and number of the |x| above a threshold, added to *sum and *above. A NaN threshold gives a NaN sum, so that a NaN among
 * the weights does not end as zeros. */
static void sum_above(double *sum, int64_t *above, const float *x, float threshold, int64_t count) {
    *sum += isnan(threshold) ? (double)threshold : 0.0;
    *above += isnan(threshold);
    for (int64_t i = 0; i < count; i++) {
        float a = fabsf(x[i]);
        *sum += a > threshold ? (double)a : 0.0;
        *above += a > threshold;
    }
}

static void observe(const crumb_quant_call *call) {
    const twn_params *params = params_of(call->site);
    int64_t channels = call->site->channels, size = call->count / channels, above = 0;
    float *threshold = call->state[THRESHOLD], *alpha = call->state[ALPHA];
    double sum = 0;
    crumb_statistic_fill(call, params->threshold_per == 1, threshold, threshold_of);
    for (int64_t o = 0; o < channels; o++) {
        if (params->alpha_per == 1) {
            sum = 0;
            above = 0;
        }
        sum_above(&sum, &above, call->x + o * size, threshold[o], size);
        alpha[o] = above > 0 ? (float)(sum / (double)above) : 0.0f;
    }
    for (int64_t o = 0; params->alpha_per == 0 && o < channels; o++) {
        alpha[o] = alpha[channels - 1]; /* of all channels */
    }
}

static inline float code_of(float x, float threshold) {
    return (float)(x > threshold) - (float)(x < -threshold);
}

static void fake(const crumb_quant_call *call) {
    int64_t size = call->count / call->site->channels;
    for (int64_t o = 0; o < call->site->channels; o++) {
        float threshold = call->state[THRESHOLD][o], alpha = call->state[ALPHA][o];
        for (int64_t i = o * size; i < (o + 1) * size; i++) {
            call->y[i] = code_of(call->x[i], threshold) * alpha;
        }
    }
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    int64_t size = call->count / call->site->channels;
    for (int64_t i = 0; i < call->count; i++) {
        codes->code[i] = (int16_t)code_of(call->x[i], call->state[THRESHOLD][i / size]);
    }
    crumb_codes_describe(codes, call->state[ALPHA][0], 3, 1, -1);
    if (params_of(call->site)->alpha_per == 1) {
        codes->groups = call->site->channels;
        memcpy(codes->scale, call->state[ALPHA], (size_t)codes->groups * sizeof(float));
    }
}

const crumb_quantizer crumb_quantizer_twn = {
    .name = "twn",
    .doc = "ternary weights: alpha where |w| > threshold * mean|w|, else 0",
    .source = "Li et al., Ternary Weight Networks, arXiv 1605.04711, eq. 3-6",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ODD | CRUMB_QUANT_IDEMPOTENT | CRUMB_QUANT_SCALES,
    .min_bits = 2,
    .max_bits = 2,
    .params =
        (const crumb_param[]){
            {.name = "threshold",
             .type = CRUMB_PARAM_REAL,
             .offset = offsetof(twn_params, threshold),
             .preset = "0.7",
             .min = 0.0,
             .max = 10.0,
             .doc = "threshold as a multiple of mean|w|"},
            {.name = "threshold_per",
             .type = CRUMB_PARAM_CHOICE,
             .offset = offsetof(twn_params, threshold_per),
             .preset = "tensor",
             .choices = "tensor|channel",
             .doc = "mean|w| of the tensor or of each output channel"},
            {.name = "alpha_per",
             .type = CRUMB_PARAM_CHOICE,
             .offset = offsetof(twn_params, alpha_per),
             .preset = "tensor",
             .choices = "tensor|channel",
             .doc = "one alpha for the tensor or one an output channel"},
            {.name = "centre",
             .type = CRUMB_PARAM_BOOL,
             .offset = offsetof(twn_params, centre),
             .preset = "false",
             .doc = "threshold from mean|w - mean(w)|"},
            {0},
        },
    .params_size = sizeof(twn_params),
    .state =
        (const crumb_quant_state[]){{.name = "threshold", .per_channel = true}, {.name = "alpha", .per_channel = true}, {0}},
    .levels = levels,
    .observe = observe,
    .fake = fake,
    .grad = crumb_pass_gradient,
    .encode = encode,
};
