/* norm.h against the formulas in double, for every residue of the 16 lanes, each activation, with and without
 * residual; the two instruction sets against each other. Bounds: u = 2^-24; a value that goes through k rounded
 * operations on terms whose sizes add up to S is within 4*k*u*S; sums of R terms get gamma(R). */
#include "harness.h"

#include "backend/cpu/norm.h"

static uint32_t random_state = 7;

static float random_unit(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / 8388608.0f - 1.0f;
}

static float *make(int64_t count, float scale, float offset) {
    float *p = malloc((size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i++) {
        p[i] = random_unit() * scale + offset;
    }
    return p;
}

typedef struct {
    crumb_norm_plan plan;
    int64_t count;
    float *y, *residual, *dz, *z, *dy, *dresidual;
    float *mean, *var, *invstd, *gamma, *beta, *dgamma, *dbeta;
    uint16_t *mask;
    void *workspace;
    crumb_norm_channels channels;
} fixture;

static fixture open_fixture(crumb_norm_plan plan, int normalise, int residual, float offset) {
    fixture f = {.plan = plan, .count = plan.rows * plan.c};
    f.y = make(f.count, 1.0f, offset), f.residual = residual ? make(f.count, 0.5f, 0.0f) : NULL;
    f.dz = make(f.count, 1.0f, 0.1f), f.z = make(f.count, 0.0f, 0.0f), f.dy = make(f.count, 0.0f, 0.0f);
    f.dresidual = make(f.count, 0.0f, 0.0f);
    float **vectors[] = {&f.mean, &f.var, &f.invstd, &f.gamma, &f.beta, &f.dgamma, &f.dbeta};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        *vectors[i] = make(plan.c, 0.5f, 1.0f);
    }
    f.mask = malloc(crumb_norm_mask_size(&plan) * sizeof(uint16_t));
    f.workspace = aligned_alloc(64, (crumb_norm_workspace(&plan) + 63) / 64 * 64);
    if (normalise) {
        f.channels = (crumb_norm_channels){f.mean, f.invstd, f.gamma, f.beta};
    }
    return f;
}

static void close_fixture(fixture *f) {
    void *blocks[] = {f->y,      f->residual, f->dz,   f->z,      f->dy,    f->dresidual, f->mean,     f->var,
                      f->invstd, f->gamma,    f->beta, f->dgamma, f->dbeta, f->mask,      f->workspace};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        free(blocks[i]);
    }
}

/* The mean is rounded from double; the blocks' sums of up to 4096/c terms were f32. Deviations from a value inside
 * the block's range are at most 2, so that R terms err by R*u*2*R before division by R. */
static void check_statistics(fixture *f) {
    crumb_norm_statistics(&f->plan, f->mean, f->var, f->y, f->workspace);
    const double u = ldexp(1.0, -24), r = 4096.0 / (double)f->plan.c + 4.0;
    for (int64_t c = 0; c < f->plan.c; c++) {
        double mean = 0.0, var = 0.0;
        for (int64_t i = c; i < f->count; i += f->plan.c) {
            mean += (double)f->y[i];
        }
        mean /= (double)f->plan.rows;
        for (int64_t i = c; i < f->count; i += f->plan.c) {
            var += ((double)f->y[i] - mean) * ((double)f->y[i] - mean);
        }
        var /= (double)f->plan.rows;
        assert_true(fabs((double)f->mean[c] - mean) <= u * fabs(mean) + 2.0 * r * u);
        assert_true(fabs((double)f->var[c] - var) <= 4.0 * r * u * var + 16.0 * r * r * u * u + u * u * mean * mean);
        f->invstd[c] = 1.0f / sqrtf(f->var[c] + 1e-5f);
    }
}

static double pre(const fixture *f, int64_t i, double *size) {
    const int64_t c = i % f->plan.c;
    double u = (double)f->y[i];
    *size = fabs(u);
    if (f->channels.mean) {
        const double scale = (double)f->gamma[c] * (double)f->invstd[c];
        *size = fabs((u - (double)f->mean[c]) * scale) + fabs((double)f->beta[c]);
        u = (u - (double)f->mean[c]) * scale + (double)f->beta[c];
    }
    *size += f->residual ? fabs((double)f->residual[i]) : 0.0;
    return u + (f->residual ? (double)f->residual[i] : 0.0);
}

static int bit(const fixture *f, int64_t i) {
    const int64_t c = i % f->plan.c, chunks = (f->plan.c + 15) / 16;
    return f->mask[i / f->plan.c * chunks + c / 16] >> (c % 16) & 1;
}

/* Within the error of u the code may differ by one where u/step is that near to a half, and the mask where it is
 * that near to an edge; elsewhere both are exact. */
static void check_forward(fixture *f) {
    const crumb_norm_plan *p = &f->plan;
    for (int64_t i = 0; i < f->count; i++) {
        double size, u = pre(f, i, &size), e = 4.0 * 5.0 * ldexp(size, -24), z = u;
        double edge = INFINITY;
        int inside = 1;
        if (p->act & CRUMB_ACT_RELU) {
            edge = fabs(u);
            inside = u > 0.0;
            z = u = fmax(u, 0.0);
        }
        if (p->act & CRUMB_ACT_QUANT) {
            const double inverse = (double)p->inv_step, v = u * inverse, lo = (double)p->lo, hi = (double)p->hi;
            edge = fmin(edge, fmin(fabs(v - lo) / inverse, fabs(v - hi) / inverse));
            inside = inside && v >= lo && v <= hi;
            const double down = rint(fmin(fmax(v - e * inverse, lo), hi)), up = rint(fmin(fmax(v + e * inverse, lo), hi));
            assert_true(f->z[i] == (float)down * p->step || f->z[i] == (float)up * p->step);
        } else {
            assert_true(fabs((double)f->z[i] - z) <= e);
        }
        assert_true(p->act == CRUMB_ACT_NONE || bit(f, i) == inside || edge <= e);
    }
}

/* Adding gives the rounded sum of what was there and what overwriting gives; a gradient not asked for is not written. */
static void check_accumulation(const fixture *f, const crumb_norm_gradient *once) {
    float *dy = make(f->count, 1.0f, 0.0f), *dresidual = make(f->count, 1.0f, 0.0f);
    float *dy0 = make(f->count, 0.0f, 0.0f), *dresidual0 = make(f->count, 0.0f, 0.0f);
    for (int which = 1; which < 4; which++) {
        memcpy(dy0, dy, (size_t)f->count * sizeof(float));
        memcpy(dresidual0, dresidual, (size_t)f->count * sizeof(float));
        crumb_norm_gradient g = *once;
        g.dy = which & 1 ? dy : NULL, g.dresidual = which & 2 ? dresidual : NULL;
        g.add_dy = g.add_dresidual = 1;
        crumb_norm_backward_apply(&f->plan, &g, &f->channels, f->workspace);
        for (int64_t i = 0; i < f->count; i++) {
            assert_true(dy[i] == (which & 1 ? dy0[i] + f->dy[i] : dy0[i]));
            assert_true(dresidual[i] == (which & 2 ? dresidual0[i] + f->dresidual[i] : dresidual0[i]));
        }
    }
    free(dy), free(dresidual), free(dy0), free(dresidual0);
}

static void check_backward(fixture *f) {
    const crumb_norm_plan *p = &f->plan;
    const uint16_t *mask = p->act == CRUMB_ACT_NONE ? NULL : f->mask;
    float dstep = 0.0f;
    const crumb_norm_reduction r = {f->dgamma, f->dbeta, &dstep, f->dz, f->y, f->residual, mask};
    crumb_norm_backward_reduce(p, &r, &f->channels, f->workspace);
    const crumb_norm_gradient g = {
        .dy = f->dy, .dresidual = f->dresidual, .dz = f->dz, .y = f->y, .mask = mask, .dgamma = f->dgamma, .dbeta = f->dbeta};
    crumb_norm_backward_apply(p, &g, &f->channels, f->workspace);
    const double unit = ldexp(1.0, -24), block = 4096.0 / (double)p->c + 20.0, n = (double)p->rows;
    for (int64_t c = 0; c < p->c; c++) {
        double s0 = 0.0, s1 = 0.0, size0 = 0.0, size1 = 0.0;
        const double invstd = (double)f->invstd[c], mean = (double)f->mean[c];
        for (int64_t i = c; i < f->count; i += p->c) {
            const double k = mask && !bit(f, i) ? 0.0 : (double)f->dz[i], d = ((double)f->y[i] - mean) * invstd;
            s0 += k, s1 += k * d, size0 += fabs(k), size1 += fabs(k * d);
        }
        if (f->channels.mean) {
            assert_true(fabs((double)f->dbeta[c] - s0) <= block * unit * size0);
            assert_true(fabs((double)f->dgamma[c] - s1) <= 2.0 * block * unit * size1);
        }
        for (int64_t i = c; i < f->count; i += p->c) {
            const double k = mask && !bit(f, i) ? 0.0 : (double)f->dz[i], d = ((double)f->y[i] - mean) * invstd;
            const double a = (double)f->gamma[c] * invstd, dy = f->channels.mean ? a * (k - s0 / n - d * s1 / n) : k;
            const double size = fabs(a) * (fabs(k) + size0 / n + fabs(d) * size1 / n);
            assert_true(fabs((double)f->dy[i] - dy) <= 4.0 * (block + 5.0) * unit * size);
            assert_true(f->dresidual[i] == (float)k);
        }
    }
    check_accumulation(f, &g);
}

static const crumb_norm_plan acts[] = {
    {.act = CRUMB_ACT_NONE},
    {.act = CRUMB_ACT_RELU},
    {.act = CRUMB_ACT_RELU | CRUMB_ACT_QUANT, .lo = 0.0f, .hi = 15.0f, .step = 0.07f, .inv_step = 1.0f / 0.07f},
    {.act = CRUMB_ACT_QUANT, .lo = 0.0f, .hi = 3.0f, .step = 1.0f / 3.0f, .inv_step = 3.0f},
    {.act = CRUMB_ACT_QUANT, .lo = -8.0f, .hi = 7.0f, .step = 0.11f, .inv_step = 1.0f / 0.11f},
};

static void check_case(int act, int64_t rows, int64_t c, int threads, int simd, int flags, float offset) {
    crumb_norm_plan plan = acts[act];
    plan.rows = rows, plan.c = c, plan.threads = threads, plan.simd = simd;
    fixture f = open_fixture(plan, flags & 1, flags & 2, offset);
    check_statistics(&f);
    crumb_norm_forward(&plan, f.z, f.mask, f.y, f.residual, &f.channels, f.workspace);
    check_forward(&f);
    check_backward(&f);
    close_fixture(&f);
}

static void test_channels(void **state) {
    (void)state;
    for (int64_t c = 1; c <= 34; c++) {
        for (int act = 0; act < 5; act++) {
            for (int flags = 0; flags < 8; flags++) {
                check_case(act, 1 + (c * 7 + flags) % 23, c, c % 5 ? 1 : 1 + (int)c % 3, flags >> 2, flags & 3, 0.0f);
            }
        }
    }
}

static void test_many_rows(void **state) {
    (void)state;
    for (int flags = 0; flags < 8; flags++) {
        check_case(1, 2049, 16, 2, flags >> 2, flags & 3, 0.0f);
        check_case(3, 1023, 64, 3, flags >> 2, flags & 3, 0.0f);
        check_case(3, 40, 520, 3, flags >> 2, flags & 3, 0.0f);
    }
}

/* A mean 10^4 times the deviation must not cost the variance its digits. */
static void test_far_mean(void **state) {
    (void)state;
    check_case(0, 5000, 16, 2, 1, 1, 10000.0f);
    check_case(0, 5000, 16, 2, 0, 1, 10000.0f);
    check_case(0, 300, 48, 3, 1, 1, -10000.0f);
}

static double step_gradient(const fixture *f) {
    double sum = 0.0;
    for (int64_t i = 0; i < f->count; i++) {
        double size, u = pre(f, i, &size), lo = (double)f->plan.lo, hi = (double)f->plan.hi;
        double v = (f->plan.act & CRUMB_ACT_RELU ? fmax(u, 0.0) : u) * (double)f->plan.inv_step;
        sum += (double)f->dz[i] * (v > hi ? hi : v < lo ? lo : (double)f->plan.grad_inside * (rint(v) - v));
    }
    return sum;
}

/* The inputs are multiples of 1/16 away from ties and edges, so that the sum has no jumps within rounding. */
static void test_step_gradient(void **state) {
    (void)state;
    for (int i = 0; i < 32; i++) {
        crumb_norm_plan plan = {.rows = 300,
                                .c = 13 + i % 4,
                                .threads = 2,
                                .act = CRUMB_ACT_QUANT,
                                .lo = i & 4 ? -2.0f : 0.0f,
                                .hi = 3.0f,
                                .step = 0.25f,
                                .inv_step = 4.0f,
                                .simd = i & 1,
                                .step_gradient = 1,
                                .grad_inside = i & 2 ? 1.0f : 0.0f};
        fixture f = open_fixture(plan, 0, i & 8, 0.0f);
        for (int64_t k = 0; k < f.count; k++) {
            f.y[k] = rintf(f.y[k] * 16.0f) / 16.0f + 1.0f / 64.0f;
            if (f.residual) {
                f.residual[k] = rintf(f.residual[k] * 16.0f) / 16.0f;
            }
        }
        float dstep = 0.0f;
        const crumb_norm_reduction r = {.dstep = &dstep, .dz = f.dz, .y = f.y, .residual = f.residual};
        crumb_norm_backward_reduce(&plan, &r, &f.channels, f.workspace);
        assert_true(fabs((double)dstep - step_gradient(&f)) <= ldexp(3.0 * (double)f.count, -24) * 300.0 / 16.0);
        close_fixture(&f);
    }
}

static void test_nan(void **state) {
    (void)state;
    for (int simd = 0; simd < 2; simd++) {
        crumb_norm_plan plan = acts[3];
        plan.rows = 2, plan.c = 16, plan.threads = 1, plan.simd = simd;
        fixture f = open_fixture(plan, 0, 0, 0.0f);
        f.y[3] = NAN;
        crumb_norm_forward(&plan, f.z, f.mask, f.y, NULL, &f.channels, f.workspace);
        assert_true(f.z[3] == 0.0f && !bit(&f, 3) && !isnan(f.z[4]));
        f.plan.act = CRUMB_ACT_RELU;
        crumb_norm_forward(&f.plan, f.z, f.mask, f.y, NULL, &f.channels, f.workspace);
        assert_true(isnan(f.z[3]) && !bit(&f, 3) && !isnan(f.z[4]));
        close_fixture(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels),      cmocka_unit_test(test_many_rows), cmocka_unit_test(test_far_mean),
        cmocka_unit_test(test_step_gradient), cmocka_unit_test(test_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
