/* Rectifier: y = max(x, 0), gradient 0 at 0. A NaN stays a NaN, so that the layer that produced it can be found. */
#include "ops/infer.h"

static inline crumb_real value(const void *params, crumb_real x) {
    (void)params;
    return x < 0 ? 0 : x;
}

static inline crumb_real gradient(const void *params, crumb_real x, crumb_real y, crumb_real dy) {
    (void)params;
    (void)x;
    return y > 0 ? dy : 0;
}

#define UNARY relu
#define UNARY_DOC "y = max(x, 0)"
#define UNARY_USES CRUMB_USES_Y
#include "ops/unary.tmpl"
