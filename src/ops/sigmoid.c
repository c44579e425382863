/* Logistic function; gradient y (1 - y). exp never overflows: it sees -|x|. */
#include "ops/infer.h"

#include <math.h>

static inline crumb_real value(const void *params, crumb_real x) {
    (void)params;
    double e = exp(-fabs((double)x));
    return (crumb_real)((x < 0 ? e : 1) / (1 + e));
}

static inline crumb_real gradient(const void *params, crumb_real x, crumb_real y, crumb_real dy) {
    (void)params;
    (void)x;
    return dy * y * (1 - y);
}

#define UNARY sigmoid
#define UNARY_DOC "y = 1 / (1 + exp(-x))"
#define UNARY_USES CRUMB_USES_Y
#include "ops/unary.tmpl"
