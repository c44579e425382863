/* Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3):
 *
 *     y[c] = x[c] s[c]^-beta,   s[c] = bias + alpha / size * sum over the window of c of x^2
 *     dx[j] = dy[j] s[j]^-beta - 2 alpha beta / size x[j] * sum over c whose window has j of dy[c] x[c] s[c]^(-beta-1) */
#include "ops/infer.h"
#include "ops/loops.h"

#include <math.h>

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    CRUMB_TRY(crumb_infer_same(ctx, op, params, inputs, x, plan));
    plan->scratch = (size_t)crumb_shape_count(x[0]) * sizeof(crumb_real);
    return CRUMB_OK;
}

/* Sum of f(c) = a[c] b[c] over the channels first .. last that exist. */
static double window_sum(const crumb_real *a, const crumb_real *b, int64_t first, int64_t last, int64_t channels) {
    double sum = 0;
    for (int64_t c = first < 0 ? 0 : first; c <= last && c < channels; c++) {
        sum += (double)a[c] * (b != NULL ? (double)b[c] : 1);
    }
    return sum;
}

static double base(const crumb_lrn_params *p, const crumb_real *x, int64_t c, int64_t channels) {
    return p->bias + p->alpha / (double)p->size * window_sum(x, x, c - (p->size - 1) / 2, c + p->size / 2, channels);
}

static void forward(crumb_op_call *call) {
    const crumb_lrn_params *p = call->params;
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL / 8)
    for (int64_t row = 0; row < rows; row++) {
        const crumb_real *x = (const crumb_real *)call->x[0].data + row * channels;
        crumb_real *y = (crumb_real *)call->y.data + row * channels;
        for (int64_t c = 0; c < channels; c++) {
            y[c] = (crumb_real)((double)x[c] * pow(base(p, x, c, channels), -p->beta));
        }
    }
}

static void backward(crumb_op_call *call) {
    const crumb_lrn_params *p = call->params;
    int64_t channels = crumb_shape_last(call->y.shape);
    int64_t rows = call->dx[0] != NULL ? crumb_shape_count(call->y.shape) / channels : 0;
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL / 8)
    for (int64_t row = 0; row < rows; row++) {
        const crumb_real *x = (const crumb_real *)call->x[0].data + row * channels;
        const crumb_real *dy = (const crumb_real *)call->dy + row * channels;
        crumb_real *dx = (crumb_real *)call->dx[0] + row * channels, *t = (crumb_real *)call->scratch + row * channels;
        for (int64_t c = 0; c < channels; c++) {
            t[c] = (crumb_real)((double)dy[c] * (double)x[c] * pow(base(p, x, c, channels), -p->beta - 1));
        }
        for (int64_t j = 0; j < channels; j++) {
            double others = window_sum(t, NULL, j - p->size / 2, j + (p->size - 1) / 2, channels);
            double own = (double)dy[j] * pow(base(p, x, j, channels), -p->beta);
            crumb_put(dx + j, (crumb_real)(own - 2 * p->alpha * p->beta / (double)p->size * (double)x[j] * others),
                      call->add[0]);
        }
    }
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    return (2 * (double)((const crumb_lrn_params *)params)->size + 4) * crumb_flops_elementwise(params, inputs, x, y);
}

static const crumb_param table[] = {
    {"size", CRUMB_PARAM_INT, offsetof(crumb_lrn_params, size), "5", 1, 4096, NULL, "channels of a window"},
    {"alpha", CRUMB_PARAM_REAL, offsetof(crumb_lrn_params, alpha), "1e-4", 0, 1e6, NULL, "factor of the mean square"},
    {"beta", CRUMB_PARAM_REAL, offsetof(crumb_lrn_params, beta), "0.75", 0, 100, NULL, "exponent"},
    {"bias", CRUMB_PARAM_REAL, offsetof(crumb_lrn_params, bias), "1", 1e-6, 1e6, NULL, "added to the mean square"},
    {0},
};

const crumb_op CRUMB_OP_NAME(lrn) = {
    .name = "lrn",
    .doc = "y[c] = x[c] / (bias + alpha / size * sum over a window of channels of x^2)^beta",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_lrn_params),
    .uses = CRUMB_USES_X0,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
