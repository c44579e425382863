/* Plain C instance of norm_kernels.tmpl: vectors as arrays of 16 floats, which the compiler cuts into
 * whatever registers the target has. */
#include "backend/cpu/norm_kernels.h"

typedef struct {
    float f[16];
} vec;

#define V static inline __attribute__((always_inline))
#define EACH for (int i = 0; i < 16; i++)
V vec v_load(const float *p, uint16_t lanes) {
    vec v;
    if (lanes == 0xffff) {
        EACH v.f[i] = p[i];
    } else {
        EACH v.f[i] = lanes >> i & 1 ? p[i] : 0.0f;
    }
    return v;
}
V void v_store(float *p, uint16_t lanes, vec v) {
    EACH {
        if (lanes >> i & 1) {
            p[i] = v.f[i];
        }
    }
}
V vec v_set1(float x) {
    vec v;
    EACH v.f[i] = x;
    return v;
}
V vec v_add(vec a, vec b) {
    EACH a.f[i] += b.f[i];
    return a;
}
V vec v_sub(vec a, vec b) {
    EACH a.f[i] -= b.f[i];
    return a;
}
V vec v_mul(vec a, vec b) {
    EACH a.f[i] *= b.f[i];
    return a;
}
V vec v_fma(vec a, vec b, vec c) {
    EACH c.f[i] += a.f[i] * b.f[i];
    return c;
}
V vec v_max(vec lo, vec x) {
    EACH x.f[i] = lo.f[i] > x.f[i] ? lo.f[i] : x.f[i];
    return x;
}
V vec v_min(vec hi, vec x) {
    EACH x.f[i] = hi.f[i] < x.f[i] ? hi.f[i] : x.f[i];
    return x;
}
/* Adding 1.5 * 2^23 leaves no bits below one: the sum is rounded by the hardware, ties to even. */
V vec v_round(vec x) {
    EACH x.f[i] = (x.f[i] + 12582912.0f) - 12582912.0f;
    return x;
}
V uint16_t v_between(vec lo, vec x, vec hi) {
    unsigned bits = 0;
    EACH bits |= (unsigned)(lo.f[i] < x.f[i] && x.f[i] < hi.f[i]) << i;
    return (uint16_t)bits;
}
V uint16_t v_above(vec x, vec hi) {
    unsigned bits = 0;
    EACH bits |= (unsigned)(x.f[i] >= hi.f[i]) << i;
    return (uint16_t)bits;
}
V vec v_keep(uint16_t bits, vec x) {
    EACH x.f[i] = bits >> i & 1 ? x.f[i] : 0.0f;
    return x;
}

#include "backend/cpu/norm_kernels.tmpl"

const crumb_norm_kernels *crumb_norm_kernels__plain(void) {
    return &table;
}
