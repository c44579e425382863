/* Clipping to [min, max]; the gradient passes where min <= x <= max, ends included as in PyTorch. A NaN stays a NaN. */
#include "ops/infer.h"

static crumb_status infer_clip(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                               crumb_op_plan *plan) {
    (void)op;
    (void)inputs;
    const crumb_clip_params *p = params;
    if (p->min > p->max) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "clip: min %g is above max %g", p->min, p->max);
    }
    *plan = (crumb_op_plan){.output = x[0]};
    return CRUMB_OK;
}

static inline crumb_real value(const void *params, crumb_real x) {
    const crumb_clip_params *p = params;
    return x < (crumb_real)p->min ? (crumb_real)p->min : x > (crumb_real)p->max ? (crumb_real)p->max : x;
}

static inline crumb_real gradient(const void *params, crumb_real x, crumb_real y, crumb_real dy) {
    (void)y;
    const crumb_clip_params *p = params;
    return x >= (crumb_real)p->min && x <= (crumb_real)p->max ? dy : 0;
}

static const crumb_param table[] = {
    {"min", CRUMB_PARAM_REAL, offsetof(crumb_clip_params, min), "0", -CRUMB_REAL_LIMIT, CRUMB_REAL_LIMIT, NULL,
     "smallest output"},
    {"max", CRUMB_PARAM_REAL, offsetof(crumb_clip_params, max), "1", -CRUMB_REAL_LIMIT, CRUMB_REAL_LIMIT, NULL,
     "largest output"},
    {0},
};

#define UNARY clip
#define UNARY_DOC "y = min(max(x, min), max)"
#define UNARY_USES CRUMB_USES_X0
#define UNARY_PARAMS crumb_clip_params
#define UNARY_INFER infer_clip
#include "ops/unary.tmpl"
