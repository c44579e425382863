/* Hyperbolic tangent; gradient 1 - y^2. */
#include "ops/infer.h"

#include <math.h>

static inline crumb_real value(const void *params, crumb_real x) {
    (void)params;
    return (crumb_real)tanh((double)x);
}

static inline crumb_real gradient(const void *params, crumb_real x, crumb_real y, crumb_real dy) {
    (void)params;
    (void)x;
    return dy * (1 - y * y);
}

#define UNARY tanh
#define UNARY_DOC "y = tanh(x)"
#define UNARY_USES CRUMB_USES_Y
#include "ops/unary.tmpl"
