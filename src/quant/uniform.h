/* The uniform quantizer in plain C: the meaning of crumb_uniform, shared by every quantizer of that form (DoReFa, WRPN, PACT,
 * LSQ, min-max). A fused kernel must give the same bits of y and dx. */
#ifndef CRUMB_UNIFORM_H
#define CRUMB_UNIFORM_H

#include "quant/quantizer.h"

#include <float.h>

/* To the nearest integer, ties to even, for |v| < 2^22: after adding 1.5 * 2^23 no bits are left for a fraction. Two additions
 * vectorise on every processor, and the result is never -0 (an SIMD rounding instruction gives -0 for -0.5 .. -0; add 0). */
static inline float crumb_round(float v) {
    return (v + 0x1.8p23f) - 0x1.8p23f;
}

/* The code of x: a small integer kept in a float. min/max are written so that NaN becomes lo. */
static inline float crumb_uniform_code(const crumb_uniform *u, float x) {
    float v = x * u->inverse;
    v = v > u->lo ? v : u->lo;
    v = v < u->hi ? v : u->hi;
    return crumb_round(v);
}

static inline bool crumb_uniform_inside(const crumb_uniform *u, float x) {
    float v = x * u->inverse;
    return (v >= u->lo) & (v <= u->hi);
}

/* 1 / step; 0 where that is no number of use (step zero, denormal or NaN): every code is 0 then, not NaN. */
static inline float crumb_step_inverse(float step) {
    return step >= FLT_MIN ? 1.0f / step : 0.0f;
}

/* Codes lo .. hi times step, nothing learned. */
static inline crumb_uniform crumb_uniform_make(float step, float lo, float hi) {
    return (crumb_uniform){.step = step, .inverse = crumb_step_inverse(step), .lo = lo, .hi = hi, .learned = -1};
}

/* quantize_k of DoReFa-Net on [0, 1]: round(x L) / L, L = 2^bits - 1. */
static inline crumb_uniform crumb_uniform_unit(int bits) {
    float top = (float)((1 << bits) - 1);
    return (crumb_uniform){.step = 1.0f / top, .inverse = top, .lo = 0.0f, .hi = top, .learned = -1};
}

void crumb_uniform_fake(const crumb_uniform *u, const float *x, float *y, int64_t count);
/* dx by the straight-through rule; *dstep (may be NULL) by the formula of crumb_uniform, summed in double: fixed parts of the
 * tensor (parts.h), sixteen running sums in each. The same for any number of threads. */
void crumb_uniform_grad(const crumb_uniform *u, const float *x, const float *dy, float *dx, bool add, float *dstep,
                        bool add_step, int64_t count);
void crumb_uniform_encode(const crumb_uniform *u, const float *x, int16_t *code, int64_t count);

/* fake, grad and encode of a row, or of a role of a row, that has the form: they ask the row's `uniform`. */
void crumb_uniform_call_fake(const crumb_quant_call *call);
void crumb_uniform_call_grad(const crumb_quant_call *call);
void crumb_uniform_call_encode(const crumb_quant_call *call, crumb_codes *codes);

#endif
