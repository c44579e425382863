/* Symmetric uniform weights with the step that minimises the squared error (Hwang and Sung, SiPS 2014; Shin et al., arXiv
 * 1702.08171; the quantizer of SQWA, arXiv 2002.00343).
 *
 *     Q(w) = sign(w) D min(floor(|w| / D + 1/2), h),  h = (M - 1) / 2,  M = 2^b - 1;   D = argmin ||w - Q(w)||^2;   dQ/dw = 1
 *
 * For fixed codes q the best D is S1 / S2 and the error is sum w^2 - S1^2 / S2, with S1 = sum |w| q and S2 = sum q^2. A code is
 * the number of thresholds (j - 1/2) D, j = 1 .. h, at or below |w|, hence
 *
 *     S1 = sum_j T((j - 1/2) D),  S2 = sum_j (2 j - 1) N((j - 1/2) D),    T, N: sum and number of the |w| at or above
 *
 * so a histogram of |w| gives S1^2 / S2 of any D in h look-ups. The best of a fine grid of D then goes through D <- S1 / S2 on
 * the weights themselves, which never raises the error, until it stands still. D lies in [mean|w| / h, max|w|], since q <= h
 * and q >= 1 where it counts. */
#include "quant/parts.h"

#include <math.h>
#include <string.h>

typedef struct uniform_params {
    int refit, per, group; /* 0 always, 1 once; 0 tensor, 1 channel; 0 none, 1 .. 4: 16 .. 128 */
} uniform_params;

enum { STEP, READY };
enum { BINS = 1024, REFINEMENTS = 64 };

static const uniform_params *params_of(const crumb_quant *site) {
    return (const uniform_params *)site->params;
}

static bool per_channel(const crumb_quant *site) {
    return params_of(site)->per == 1;
}

static int64_t group(const crumb_quant *site) {
    return crumb_group_of(params_of(site)->group);
}

static int levels(const crumb_quant *site) {
    return (1 << site->bits) - 1;
}

static float top_code(const crumb_quant *site) {
    return (float)((levels(site) - 1) / 2);
}

/* min(floor(a / step + 1/2), top) of a = |w|, exact where a / step lies half way. */
static inline float magnitude(float a, float step, float top) {
    float v = step > 0.0f ? a / step : 0.0f;
    v = v < top ? v : top;
    float q = crumb_round(v);
    return v - q == 0.5f ? q + 1.0f : q;
}

static inline float code_of(float w, float step, float top) {
    float q = magnitude(fabsf(w), step, top);
    return w < 0.0f ? -q : q;
}

/* tail_sum[k], tail_count[k]: over |x| in bins k and above, of BINS equal ones between 0 and max. */
typedef struct histogram {
    double tail_sum[BINS + 1], tail_count[BINS + 1];
    double bins_per_unit;
} histogram;

static void histogram_fill(histogram *h, const float *x, float max, int64_t count) {
    *h = (histogram){.bins_per_unit = BINS / (double)max};
    for (int64_t i = 0; i < count; i++) {
        double a = (double)fabsf(x[i]);
        int bin = (int)(a * h->bins_per_unit);
        bin = bin < BINS ? bin : BINS - 1;
        h->tail_sum[bin] += a;
        h->tail_count[bin] += 1.0;
    }
    for (int k = BINS - 1; k >= 0; k--) {
        h->tail_sum[k] += h->tail_sum[k + 1];
        h->tail_count[k] += h->tail_count[k + 1];
    }
}

/* S1^2 / S2 for a step: by how much its codes lower the squared error. */
static double histogram_gain(const histogram *h, double step, int top) {
    double s1 = 0, s2 = 0;
    for (int j = 1; j <= top; j++) {
        double edge = (j - 0.5) * step * h->bins_per_unit + 0.5;
        if (edge >= BINS) {
            break;
        }
        s1 += h->tail_sum[(int)edge];
        s2 += (2 * j - 1) * h->tail_count[(int)edge];
    }
    return s2 > 0 ? s1 * s1 / s2 : 0;
}

/* S1 / S2 of the codes that a step gives; the step itself where every code is zero. */
static float fitted(const float *x, float step, float top, int64_t count) {
    double s1[CRUMB_LANES] = {0}, s2[CRUMB_LANES] = {0};
    int64_t i = 0;
    for (; i + CRUMB_LANES <= count; i += CRUMB_LANES) {
        for (int j = 0; j < CRUMB_LANES; j++) {
            float a = fabsf(x[i + j]), q = magnitude(a, step, top);
            s1[j] += (double)a * (double)q;
            s2[j] += (double)(q * q);
        }
    }
    for (; i < count; i++) {
        float a = fabsf(x[i]), q = magnitude(a, step, top);
        s1[0] += (double)a * (double)q;
        s2[0] += (double)(q * q);
    }
    for (int j = 1; j < CRUMB_LANES; j++) {
        s1[0] += s1[j];
        s2[0] += s2[j];
    }
    return s2[0] > 0 ? (float)(s1[0] / s2[0]) : step;
}

static float refine(const float *x, float step, float top, int64_t count) {
    for (int round = 0; round < REFINEMENTS; round++) {
        float next = fitted(x, step, top, count);
        if (next == step) {
            break;
        }
        step = next;
    }
    return step;
}

float crumb_step_l2(const float *x, int64_t count, float top) {
    float max = crumb_max_abs(x, count), mean = crumb_mean_abs(x, count);
    if (!(max > 0.0f) || !isfinite(max)) {
        return max; /* all zero, or not numbers: Q(w) is then zero, or not a number */
    }
    histogram h;
    histogram_fill(&h, x, max, count);
    int candidates = 64 + 32 * (int)top;
    double ratio = pow((double)mean / ((double)top * (double)max), 1.0 / candidates), step = max, best = max, best_gain = 0;
    for (int i = 0; i <= candidates; i++, step *= ratio) {
        double gain = histogram_gain(&h, step, (int)top);
        if (gain > best_gain) {
            best_gain = gain;
            best = step;
        }
    }
    return refine(x, (float)best, top, count);
}

static float best_step(const crumb_quant_call *call, const float *x, int64_t count) {
    return crumb_step_l2(x, count, top_code(call->site));
}

static void observe(const crumb_quant_call *call) {
    if (params_of(call->site)->refit == 0 || call->state[READY][0] == 0.0f) {
        crumb_statistic_fill(call, per_channel(call->site), call->state[STEP], best_step);
        call->state[READY][0] = 1.0f;
    }
}

static void fake(const crumb_quant_call *call) {
    float top = top_code(call->site);
#pragma omp parallel for schedule(static) if (call->count >= CRUMB_PARALLEL_LEAST)
    for (int64_t g = 0; g < call->state_count[STEP]; g++) {
        crumb_span span = crumb_span_of(call, g);
        float step = call->state[STEP][g];
        for (int64_t i = span.at; i < span.at + span.count; i++) {
            call->y[i] = code_of(call->x[i], step, top) * step;
        }
    }
}

static bool lattice(const crumb_quant_call *call, int64_t channel, crumb_lattice *levels_of) {
    float step = call->state[STEP][channel], end = top_code(call->site) * step;
    *levels_of = (crumb_lattice){.gain = 1.0f, .step = step, .lo = -end, .hi = end};
    return true;
}

static void encode(const crumb_quant_call *call, crumb_codes *codes) {
    float top = top_code(call->site);
    for (int64_t g = 0; g < call->state_count[STEP]; g++) {
        crumb_span span = crumb_span_of(call, g);
        for (int64_t i = span.at; i < span.at + span.count; i++) {
            codes->code[i] = (int16_t)code_of(call->x[i], call->state[STEP][g], top);
        }
    }
    crumb_codes_describe(codes, call->state[STEP][0], levels(call->site), 1, -(int)top);
    crumb_codes_divide(call, per_channel(call->site), codes);
    memcpy(codes->scale, call->state[STEP], (size_t)codes->groups * sizeof(float));
}

const crumb_quantizer crumb_quantizer_uniform = {
    .name = "uniform",
    .doc = "symmetric uniform weights with 2^b - 1 levels and the step of least squared error",
    .source = "Shin et al., arXiv 1702.08171; Shin et al., SQWA, arXiv 2002.00343",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ODD | CRUMB_QUANT_IDEMPOTENT | CRUMB_QUANT_SCALES,
    .min_bits = 2,
    .max_bits = 8,
    .params =
        (const crumb_param[]){
            {.name = "refit",
             .type = CRUMB_PARAM_CHOICE,
             .offset = offsetof(uniform_params, refit),
             .preset = "always",
             .choices = "always|once",
             .doc = "search the step before every use, or keep the first one"},
            {.name = "per",
             .type = CRUMB_PARAM_CHOICE,
             .offset = offsetof(uniform_params, per),
             .preset = "tensor",
             .choices = "tensor|channel",
             .doc = "one step for the tensor or one an output channel"},
            CRUMB_GROUP_PARAM(offsetof(uniform_params, group)),
            {0},
        },
    .params_size = sizeof(uniform_params),
    .state = (const crumb_quant_state[]){{.name = "step", .per_channel = true}, {.name = "ready"}, {0}},
    .levels = levels,
    .group = group,
    .observe = observe,
    .fake = fake,
    .grad = crumb_pass_gradient,
    .encode = encode,
    .lattice = lattice,
};
