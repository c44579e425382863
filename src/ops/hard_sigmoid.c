/* A logistic function of three straight pieces; gradient 0 at the bends. */
#include "ops/infer.h"

static inline crumb_real line(const crumb_hard_sigmoid_params *p, crumb_real x) {
    return (crumb_real)p->slope * x + (crumb_real)p->offset;
}

static inline crumb_real value(const void *params, crumb_real x) {
    crumb_real at = line(params, x);
    return at < 0 ? 0 : at > 1 ? 1 : at;
}

static inline crumb_real gradient(const void *params, crumb_real x, crumb_real y, crumb_real dy) {
    (void)y;
    crumb_real at = line(params, x);
    return at > 0 && at < 1 ? (crumb_real)((const crumb_hard_sigmoid_params *)params)->slope * dy : 0;
}

static const crumb_param table[] = {
    {"slope", CRUMB_PARAM_REAL, offsetof(crumb_hard_sigmoid_params, slope), "0.2", -1e6, 1e6, NULL, "of the middle piece"},
    {"offset", CRUMB_PARAM_REAL, offsetof(crumb_hard_sigmoid_params, offset), "0.5", -1e6, 1e6, NULL, "value at x = 0"},
    {0},
};

#define UNARY hard_sigmoid
#define UNARY_DOC "y = min(max(slope * x + offset, 0), 1)"
#define UNARY_USES CRUMB_USES_X0
#define UNARY_PARAMS crumb_hard_sigmoid_params
#include "ops/unary.tmpl"
