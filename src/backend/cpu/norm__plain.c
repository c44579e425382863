/* Plain C instance of norm_kernels.tmpl: vectors as arrays of 16 floats, which the compiler cuts into
 * whatever registers the target has. */
#include "backend/cpu/norm_kernels.h"

typedef struct {
    float f[16];
} vec;

/* Unchecked in the sanitizer builds: loops of 16 over arrays of 16, inlined everywhere, take the compiler a minute with checks. */
#define V static inline __attribute__((always_inline, no_sanitize("undefined")))
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
V vec v_max(vec a, vec b) {
    EACH b.f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i];
    return b;
}
V vec v_min(vec a, vec b) {
    EACH b.f[i] = a.f[i] < b.f[i] ? a.f[i] : b.f[i];
    return b;
}
V vec v_relu(vec x) {
    EACH x.f[i] = x.f[i] < 0.0f ? 0.0f : x.f[i];
    return x;
}
V uint16_t v_inside(vec lo, vec x, vec hi) {
    unsigned bits = 0;
    EACH bits |= (unsigned)(lo.f[i] <= x.f[i] && x.f[i] <= hi.f[i]) << i;
    return (uint16_t)bits;
}
V uint16_t v_above(vec x, vec lo) {
    unsigned bits = 0;
    EACH bits |= (unsigned)(x.f[i] > lo.f[i]) << i;
    return (uint16_t)bits;
}
V vec v_keep(uint16_t bits, vec x) {
    EACH x.f[i] = bits >> i & 1 ? x.f[i] : 0.0f;
    return x;
}
V vec v_pick(uint16_t bits, vec a, vec b) {
    EACH a.f[i] = bits >> i & 1 ? a.f[i] : b.f[i];
    return a;
}

#include "backend/cpu/norm_kernels.tmpl"

const crumb_norm_kernels *crumb_norm_kernels__plain(void) {
    return &table;
}
