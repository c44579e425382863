/* The uniform quantizer in plain C: the meaning of crumb_uniform, shared by every quantizer of that form (DoReFa, WRPN, PACT, LSQ,
 * min-max). A fused kernel must give the same bits. */
#ifndef CRUMB_UNIFORM_H
#define CRUMB_UNIFORM_H

#include "quant/quantizer.h"

/* The code of x: a small integer kept in a float. min/max are written so that NaN becomes lo. */
static inline float crumb_uniform_code(const crumb_uniform *u, float x) {
    float v = x * u->inverse;
    v = v > u->lo ? v : u->lo;
    v = v < u->hi ? v : u->hi;
    return rintf(v);
}

static inline bool crumb_uniform_inside(const crumb_uniform *u, float x) {
    float v = x * u->inverse;
    return v >= u->lo && v <= u->hi;
}

void crumb_uniform_fake(const crumb_uniform *u, const float *x, float *y, int64_t count);
/* dx by the straight-through rule; *dstep (may be NULL) by the formula of crumb_uniform, summed in double in index order. */
void crumb_uniform_grad(const crumb_uniform *u, const float *x, const float *dy, float *dx, bool add, float *dstep,
                        bool add_step, int64_t count);
void crumb_uniform_encode(const crumb_uniform *u, const float *x, int16_t *code, int64_t count);

#endif
