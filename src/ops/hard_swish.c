/* x times a logistic function of three straight pieces (MobileNetV3, arXiv 1905.02244, section 5.2). */
#include "ops/infer.h"

static inline crumb_real value(const void *params, crumb_real x) {
    (void)params;
    crumb_real gate = x / 6 + (crumb_real)0.5;
    return x * (gate < 0 ? 0 : gate > 1 ? 1 : gate);
}

static inline crumb_real gradient(const void *params, crumb_real x, crumb_real y, crumb_real dy) {
    (void)params;
    (void)y;
    crumb_real slope = x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + (crumb_real)0.5;
    return slope * dy;
}

#define UNARY hard_swish
#define UNARY_DOC "y = x * min(max(x / 6 + 1/2, 0), 1)"
#define UNARY_USES CRUMB_USES_X0
#include "ops/unary.tmpl"
