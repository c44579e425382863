/* LSQ: learned step size quantization (Esser et al., arXiv 1902.08153, eq. 1-3 and 5).
 *
 *     Q(v) = s * round(clip(v / s, -Qn, Qp)),   weights Qn = 2^(b-1), Qp = 2^(b-1) - 1;   activations Qn = 0, Qp = 2^b - 1
 *     dQ/dv = 1 inside, 0 outside;   dQ/ds = round(v/s) - v/s inside, -Qn below, Qp above
 *     dL/ds is multiplied by 1 / sqrt(N Qp);   s starts at 2 mean|v| / sqrt(Qp)
 *
 * N is the number of weights, or of features of one sample as the paper has it (many programs count the whole batch, which
 * makes the step of activations learn sqrt(batch) times slower). A weight starts from its first values, an activation from its
 * first training batch; a batch of zeros says nothing and is passed over.
 *
 * The paper's start clips activations hard: behind batch norm and a rectifier half of the values are zero, mean|v| is 0.4
 * standard deviations, and at 2 bits the largest level is only 1.4 of them. Fine-tuning a small network then begins far from
 * the float one, with gradients ten times as large (docs/RESULTS.md). `init: l2` starts from the step of least squared error
 * instead. */
#include "quant/parts.h"

#include <math.h>

enum { STEP, READY };
enum { INIT_MEAN, INIT_L2 };

typedef struct lsq_params {
    int init;
} lsq_params;

/* The optimizer may push a step to zero or below; from here its gradient brings it back. */
static const float LEAST_STEP = 1e-8f;

static float top_code(const crumb_quant *site) {
    return (float)((1 << (site->weight ? site->bits - 1 : site->bits)) - 1);
}

static void observe(const crumb_quant_call *call) {
    if (call->state[READY][0] != 0.0f) {
        return;
    }
    const lsq_params *params = (const lsq_params *)call->site->params;
    float top = top_code(call->site), step = params->init == INIT_L2 ? crumb_step_l2(call->x, call->count, top)
                                                                     : 2.0f * crumb_mean_abs(call->x, call->count) / sqrtf(top);
    if (step > 0.0f && isfinite(step)) {
        call->state[STEP][0] = step;
        call->state[READY][0] = 1.0f;
    }
}

static bool uniform(const crumb_quant_call *call, crumb_uniform *u) {
    const crumb_quant *site = call->site;
    float step = call->state[STEP][0], top = top_code(site);
    int64_t samples = site->weight || call->shape.rank == 0 ? 1 : call->shape.dim[0];
    *u = crumb_uniform_make(step < LEAST_STEP ? LEAST_STEP : step, site->weight ? -top - 1.0f : 0.0f, top);
    u->grad_scale = 1.0f / sqrtf((float)(call->count / samples) * top);
    u->grad_inside = 1.0f;
    u->learned = STEP;
    return true;
}

const crumb_quantizer crumb_quantizer_lsq = {
    .name = "lsq",
    .doc = "learned step size: s * round(clip(x / s)), s trained with the network",
    .source = "Esser et al., Learned Step Size Quantization, arXiv 1902.08153, eq. 1-3, 5",
    .flags = CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ACTIVATION | CRUMB_QUANT_IDEMPOTENT,
    .min_bits = 2,
    .max_bits = 8,
    .params =
        (const crumb_param[]){
            {"init", CRUMB_PARAM_CHOICE, offsetof(lsq_params, init), "mean", 0, 0, "mean|l2",
             "first step: 2 mean|x| / sqrt(Qp) as in the paper, or the step of least squared error"},
            {0},
        },
    .params_size = sizeof(lsq_params),
    .state = (const crumb_quant_state[]){{.name = "step", .learned = true, .preset = 1.0f}, {.name = "ready"}, {0}},
    .levels = crumb_levels_all,
    .observe = observe,
    .fake = crumb_uniform_call_fake,
    .grad = crumb_uniform_call_grad,
    .encode = crumb_uniform_call_encode,
    .uniform = uniform,
};
