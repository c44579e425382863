/* The uniform quantizer in plain C; see uniform.h. */
#include "quant/uniform.h"

#include "quant/parts.h"

#include <math.h>

void crumb_uniform_fake(const crumb_uniform *u, const float *x, float *y, int64_t count) {
    const crumb_uniform form = *u; /* a copy that y cannot alias */
#pragma omp parallel for simd schedule(static) if (count >= CRUMB_PARALLEL_LEAST)
    for (int64_t i = 0; i < count; i++) {
        y[i] = crumb_uniform_code(&form, x[i]) * form.step;
    }
}

void crumb_uniform_encode(const crumb_uniform *u, const float *x, int16_t *code, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        code[i] = (int16_t)crumb_uniform_code(u, x[i]);
    }
}

/* d(code * step) / dstep at x, where the rounding is held: hi above, lo below, inside the rounding error c - v. */
static inline float slope(const crumb_uniform *u, float x) {
    float v = x * u->inverse;
    float inside = u->grad_inside * (crumb_uniform_code(u, x) - v);
    float within = v >= u->lo ? inside : u->lo;
    return v > u->hi ? u->hi : within;
}

static double sum_slopes(const crumb_uniform *u, const float *x, const float *dy, int64_t count) {
    double lane[CRUMB_LANES] = {0};
    int64_t i = 0;
    for (; i + CRUMB_LANES <= count; i += CRUMB_LANES) {
        for (int j = 0; j < CRUMB_LANES; j++) {
            lane[j] += (double)dy[i + j] * (double)slope(u, x[i + j]);
        }
    }
    double sum = 0;
    for (int j = 0; j < CRUMB_LANES; j++) {
        sum += lane[j];
    }
    for (; i < count; i++) {
        sum += (double)dy[i] * (double)slope(u, x[i]);
    }
    return sum;
}

static void pass_inside(const crumb_uniform *u, const float *x, const float *dy, float *dx, bool add, int64_t count) {
    const crumb_uniform form = *u;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) { /* loads first: no branch, so it vectorises */
        float g = dy[i], before = dx[i], value = crumb_uniform_inside(&form, x[i]) ? g : 0.0f;
        dx[i] = add ? before + value : value;
    }
}

void crumb_uniform_grad(const crumb_uniform *u, const float *x, const float *dy, float *dx, bool add, float *dstep,
                        bool add_step, int64_t count) {
    double part[CRUMB_PARTS] = {0}, sum = 0;
    int64_t size = crumb_part_size(count), parts = (count + size - 1) / size;
#pragma omp parallel for schedule(static) if (count >= CRUMB_PARALLEL_LEAST)
    for (int64_t p = 0; p < parts; p++) {
        int64_t at = p * size, here = p + 1 < parts ? size : count - at;
        if (dstep != NULL) { /* first: dx may be the buffer of dy */
            part[p] = sum_slopes(u, x + at, dy + at, here);
        }
        if (dx != NULL) {
            pass_inside(u, x + at, dy + at, dx + at, add, here);
        }
    }
    if (dstep != NULL) {
        for (int64_t p = 0; p < parts; p++) {
            sum += part[p];
        }
        float value = (float)((double)u->grad_scale * sum);
        *dstep = add_step ? *dstep + value : value;
    }
}

void crumb_uniform_call_fake(const crumb_quant_call *call) {
    crumb_uniform u;
    if (call->site->quantizer->uniform(call, &u)) {
        crumb_uniform_fake(&u, call->x, call->y, call->count);
    }
}

void crumb_uniform_call_grad(const crumb_quant_call *call) {
    crumb_uniform u;
    if (call->site->quantizer->uniform(call, &u)) {
        float *dstep = u.learned >= 0 ? call->dstate[u.learned] : NULL;
        crumb_uniform_grad(&u, call->x, call->dy, call->dx, call->add, dstep, dstep != NULL && call->add_state[u.learned],
                           call->count);
    }
}

void crumb_uniform_call_encode(const crumb_quant_call *call, crumb_codes *codes) {
    crumb_uniform u;
    if (call->site->quantizer->uniform(call, &u)) {
        crumb_uniform_encode(&u, call->x, codes->code, call->count);
        crumb_codes_describe(codes, u.step, (int)(u.hi - u.lo) + 1, 1, (int)u.lo);
    }
}
