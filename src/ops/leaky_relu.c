/* Leaky rectifier: y = x where x > 0, else slope * x; a fixed slope (prelu learns one a channel). */
#include "ops/infer.h"

static inline crumb_real slope(const crumb_leaky_relu_params *p) {
    return (crumb_real)p->slope;
}

static inline crumb_real value(const void *params, crumb_real x) {
    return x > 0 ? x : slope(params) * x;
}

static inline crumb_real gradient(const void *params, crumb_real x, crumb_real y, crumb_real dy) {
    (void)y;
    return x > 0 ? dy : slope(params) * dy;
}

static const crumb_param table[] = {
    {"slope", CRUMB_PARAM_REAL, offsetof(crumb_leaky_relu_params, slope), "0.01", -1e6, 1e6, NULL, "factor of what is below 0"},
    {0},
};

#define UNARY leaky_relu
#define UNARY_DOC "y = x > 0 ? x : slope * x"
#define UNARY_USES CRUMB_USES_X0
#define UNARY_PARAMS crumb_leaky_relu_params
#include "ops/unary.tmpl"
