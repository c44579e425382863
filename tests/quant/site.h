/* A quantize node for tests: a site, its tensors and state in buffers of exactly their size, run through crumb_op_quantize. */
#ifndef CRUMB_TEST_SITE_H
#define CRUMB_TEST_SITE_H

#include "harness.h"

#include "base/param.h"
#include "quant/quantizer.h"

typedef struct test_site {
    crumb_ctx *ctx;
    crumb_quant site;
    crumb_shape shape;
    int64_t count;
    int states;
    int64_t state_count[CRUMB_QUANT_STATE_MAX];
    float *x, *y, *dy, *dx, *scratch;
    float *state[CRUMB_QUANT_STATE_MAX], *dstate[CRUMB_QUANT_STATE_MAX];
    bool add;
} test_site;

static inline float *test_floats(int64_t count) {
    float *values = calloc((size_t)count, sizeof(float));
    assert_non_null(values);
    return values;
}

/* States at their presets, sized by the parameters. */
static inline void test_site_states(test_site *t) {
    const crumb_quant_state *row = t->site.quantizer->state;
    crumb_quant_fit(&t->site, t->shape);
    for (int k = 0; k < t->states; k++) {
        free(t->state[k]);
        free(t->dstate[k]);
    }
    for (t->states = 0; row[t->states].name != NULL; t->states++) {
        int k = t->states;
        t->state_count[k] = crumb_quant_state_count(&t->site, k);
        t->state[k] = test_floats(t->state_count[k]);
        t->dstate[k] = test_floats(t->state_count[k]);
        for (int64_t i = 0; i < t->state_count[k]; i++) {
            t->state[k][i] = row[k].preset;
            t->dstate[k][i] = NAN;
        }
    }
}

/* x and dy zero; outputs are NaN, since nobody zeroes them for a backward pass. */
static inline test_site *test_site_make(crumb_ctx *ctx, const char *name, bool weight, int bits, crumb_shape shape) {
    test_site *t = calloc(1, sizeof(*t));
    crumb_quant_choice choice;
    assert_ok(ctx, crumb_quant_choose(ctx, name, weight, bits, &choice));
    t->ctx = ctx;
    t->site = (crumb_quant){.quantizer = choice.quantizer, .bits = bits, .weight = weight};
    memcpy(t->site.params, choice.params, sizeof(t->site.params));
    t->shape = shape;
    t->count = crumb_shape_count(shape);
    t->x = test_floats(t->count);
    t->y = test_floats(t->count);
    t->dy = test_floats(t->count);
    t->dx = test_floats(t->count);
    t->scratch = test_floats(t->count);
    for (int64_t i = 0; i < t->count; i++) {
        t->y[i] = t->dx[i] = t->scratch[i] = NAN;
    }
    test_site_states(t);
    return t;
}

static inline void test_site_free(test_site *t) {
    float *buffers[] = {t->x, t->y, t->dy, t->dx, t->scratch};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        free(buffers[i]);
    }
    for (int k = 0; k < t->states; k++) {
        free(t->state[k]);
        free(t->dstate[k]);
    }
    free(t);
}

static inline void test_site_param(test_site *t, const char *name, const char *value) {
    const crumb_param *param = crumb_param_find(t->site.quantizer->params, name);
    assert_non_null(param);
    assert_ok(t->ctx, crumb_param_set(t->ctx, param, t->site.params, value));
    int64_t groups = t->site.groups;
    crumb_quant_fit(&t->site, t->shape);
    if (t->site.groups != groups) {
        test_site_states(t);
    }
}

static inline crumb_op_call test_site_op(test_site *t, bool training) {
    crumb_op_call op = {.params = &t->site, .inputs = 1 + t->states, .training = training, .scratch = t->scratch};
    op.x[0] = (crumb_tensor){t->shape, t->x};
    op.y = (crumb_tensor){t->shape, t->y};
    op.dy = t->dy;
    op.dx[0] = t->dx;
    op.add[0] = t->add;
    for (int k = 0; k < t->states; k++) {
        op.x[k + 1] = (crumb_tensor){CRUMB_SHAPE(t->state_count[k]), t->state[k]};
        op.dx[k + 1] = t->site.quantizer->state[k].learned ? t->dstate[k] : NULL;
        op.add[k + 1] = t->add;
    }
    return op;
}

static inline void test_site_forward(test_site *t, bool training) {
    crumb_op_call op = test_site_op(t, training);
    crumb_op_quantize.forward(&op);
}

static inline void test_site_backward(test_site *t) {
    crumb_op_call op = test_site_op(t, true);
    crumb_op_quantize.backward(&op);
}

static inline crumb_quant_call test_site_call(test_site *t) {
    crumb_op_call op = test_site_op(t, true);
    crumb_quant_call call;
    crumb_quant_call_of(&op, &call);
    return call;
}

static inline float *test_site_state(test_site *t, const char *name) {
    for (int k = 0; k < t->states; k++) {
        if (strcmp(t->site.quantizer->state[k].name, name) == 0) {
            return t->state[k];
        }
    }
    fail_msg("%s has no state %s", t->site.quantizer->name, name);
    return NULL;
}

static inline void test_fill_normal(float *values, int64_t count, float deviation, uint64_t seed) {
    crumb_rng rng = crumb_rng_at(seed, 1, 2);
    for (int64_t i = 0; i < count; i++) {
        values[i] = deviation * crumb_rng_normal(&rng);
    }
}

/* Equal, or both NaN; -0 equals 0. */
static inline bool test_same(float a, float b) {
    return a == b || (a != a && b != b);
}

/* Values x, or normal ones; normal dy. */
static inline test_site *test_site_with(crumb_ctx *ctx, const char *name, bool weight, int bits, crumb_shape shape,
                                        const float *x) {
    test_site *t = test_site_make(ctx, name, weight, bits, shape);
    memcpy(t->x, x, (size_t)t->count * sizeof(float));
    test_fill_normal(t->dy, t->count, 1.0f, 21);
    return t;
}

static inline test_site *test_site_normal(crumb_ctx *ctx, const char *name, bool weight, int bits, crumb_shape shape,
                                          float deviation) {
    test_site *t = test_site_make(ctx, name, weight, bits, shape);
    test_fill_normal(t->x, t->count, deviation, 20);
    test_fill_normal(t->dy, t->count, 1.0f, 21);
    return t;
}

static inline void test_values(const float *got, const double *want, int count, double tolerance) {
    for (int i = 0; i < count; i++) {
        if (!(fabs((double)got[i] - want[i]) <= tolerance)) {
            fail_msg("value %d is %.9g, expected %.9g", i, (double)got[i], want[i]);
        }
    }
}

/* The standard normal as a sample: the quantiles (i + 1/2) / count. What is expected of it was integrated numerically;
 * simulated figures that circulate differ from these by up to 0.1 %. */
static inline void test_fill_quantiles(float *x, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        double p = ((double)i + 0.5) / (double)count, lo = -9, hi = 9;
        for (int k = 0; k < 45; k++) {
            double z = 0.5 * (lo + hi);
            *(0.5 * erfc(-z * M_SQRT1_2) < p ? &lo : &hi) = z;
        }
        x[i] = (float)(0.5 * (lo + hi));
    }
}

#endif
