/* Every row of ops.inc, compiled for double: backward against central differences, overwriting and adding, one wanted gradient
 * at a time, and with everything destroyed that `uses` says backward does not read. Then the float build against the double
 * one, and one thread against three. A row without a case fails. */
#include "harness.h"

#include "ops/infer.h"

#ifdef _OPENMP
#include <omp.h>
#endif

static const crumb_op *const double_ops[] = {
#define CRUMB_OP(name) &crumb_op_##name##_f64,
#include "ops/ops.inc"
#undef CRUMB_OP
    NULL,
};

/* Cases leave out what is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* How x[0] and the other DATA and PARAM inputs are drawn. */
typedef enum filling {
    UNIFORM, /* (-1, 1) */
    GRID,    /* odd multiples of 1/40: 1/40 away from any kink at a multiple of 1/20 */
    DISTINCT /* all different, at least 1/count apart: no ties under a maximum */
} filling;

typedef struct test_case {
    const char *op;
    const void *params; /* NULL: presets */
    int inputs;
    crumb_shape x[CRUMB_INPUTS_MAX];
    filling fill;
    bool eval;     /* forward and backward with training = false */
    double spread; /* multiplies DATA inputs; 0 = 1 */
} test_case;

#define PARAMS(type, ...)                                                                                                      \
    &(const crumb_##type##_params) {                                                                                           \
        __VA_ARGS__                                                                                                            \
    }
#define STATISTICS(c)                                                                                                          \
    {1, {c}}, {1, {c}}, {1, {c}}, {1, {c}}, {                                                                                  \
        1, {                                                                                                                   \
            1                                                                                                                  \
        }                                                                                                                      \
    }

static const test_case cases[] = {
    {"add", NULL, 2, {{4, {2, 3, 3, 5}}, {4, {2, 3, 3, 5}}}},
    {"add", NULL, 2, {{4, {2, 3, 3, 5}}, {1, {5}}}},
    {"add", NULL, 2, {{2, {3, 7}}, {1, {7}}}},
    {"average_pool", PARAMS(pool, 2, 2), 1, {{4, {2, 6, 5, 3}}}},
    {"average_pool", PARAMS(pool, 3, 2, 1), 1, {{4, {2, 7, 6, 2}}}},
    {"average_pool", PARAMS(pool, 3, 1, 2, true), 1, {{4, {1, 4, 5, 3}}}},
    {"batch_norm", NULL, 6, {{4, {3, 4, 3, 5}}, STATISTICS(5)}},
    {"batch_norm", NULL, 6, {{2, {7, 18}}, STATISTICS(18)}},
    {"batch_norm", NULL, 6, {{4, {2, 3, 3, 4}}, STATISTICS(4)}, .eval = true},
    {"batch_norm", PARAMS(batch_norm, 1e-3, 0), 6, {{4, {2, 3, 2, 17}}, STATISTICS(17)}, .spread = 10},
    {"clip", NULL, 1, {{4, {2, 3, 3, 4}}}, GRID},
    {"clip", PARAMS(clip, -0.5, 0.25), 1, {{2, {5, 9}}}, GRID},
    {"concat", PARAMS(concat, -1), 3, {{4, {2, 3, 2, 4}}, {4, {2, 3, 2, 1}}, {4, {2, 3, 2, 5}}}},
    {"concat", PARAMS(concat, 1), 2, {{4, {2, 3, 2, 4}}, {4, {2, 1, 2, 4}}}},
    {"concat", PARAMS(concat, 0), 2, {{1, {3}}, {1, {6}}}},
    {"conv2d", PARAMS(conv2d, 1, 1, 1, 1), 2, {{4, {2, 5, 6, 3}}, {4, {4, 3, 3, 3}}}},
    {"conv2d", PARAMS(conv2d, 2, 1, 1, 1), 3, {{4, {2, 7, 6, 3}}, {4, {5, 3, 3, 3}}, {1, {5}}}},
    {"conv2d", PARAMS(conv2d, 1, 2, 2, 1), 3, {{4, {1, 6, 7, 2}}, {4, {3, 3, 3, 2}}, {1, {3}}}},
    {"conv2d", PARAMS(conv2d, 1, 1, 1, 2), 3, {{4, {2, 4, 5, 4}}, {4, {6, 3, 3, 2}}, {1, {6}}}},
    {"conv2d", PARAMS(conv2d, 2, 1, 1, 6), 2, {{4, {2, 5, 5, 6}}, {4, {6, 3, 3, 1}}}},
    {"conv2d", PARAMS(conv2d, 3, 0, 1, 1), 2, {{4, {2, 8, 9, 2}}, {4, {3, 1, 5, 2}}}},
    {"conv2d", PARAMS(conv2d, 1, 3, 1, 1), 2, {{4, {1, 2, 3, 2}}, {4, {2, 5, 2, 2}}}},
    {"conv2d", PARAMS(conv2d, 1, 0, 1, 1), 2, {{4, {2, 3, 3, 19}}, {4, {3, 1, 1, 19}}}},
    {"distillation", NULL, 3, {{2, {5, 7}}, {2, {5, 7}}, {1, {5}}}},
    {"distillation", PARAMS(distillation, 2, 0.9, 0.1), 3, {{2, {4, 3}}, {2, {4, 3}}, {1, {4}}}, .spread = 4},
    {"distillation", PARAMS(distillation, 1, 0, 0), 3, {{2, {4, 6}}, {2, {4, 6}}, {1, {4}}}},
    {"dropout", NULL, 1, {{4, {2, 4, 3, 5}}}},
    {"dropout", PARAMS(dropout, 0.2), 1, {{2, {6, 11}}}},
    {"dropout", NULL, 1, {{2, {3, 5}}}, .eval = true},
    {"flatten", NULL, 1, {{4, {2, 3, 4, 5}}}},
    {"flatten", NULL, 1, {{2, {3, 7}}}},
    {"global_average_pool", NULL, 1, {{4, {3, 4, 5, 6}}}},
    {"linear", NULL, 3, {{2, {4, 19}}, {2, {6, 19}}, {1, {6}}}},
    {"linear", NULL, 2, {{2, {3, 5}}, {2, {7, 5}}}},
    {"max_pool", PARAMS(pool, 2, 2), 1, {{4, {2, 6, 7, 3}}}, DISTINCT},
    {"max_pool", PARAMS(pool, 3, 2, 1), 1, {{4, {2, 7, 5, 2}}}, DISTINCT},
    {"max_pool", PARAMS(pool, 3, 1, 2), 1, {{4, {1, 4, 4, 3}}}, DISTINCT},
    {"mean_squared_error", NULL, 2, {{2, {6, 5}}, {1, {6}}}},
    {"mean_squared_error", NULL, 2, {{2, {1, 3}}, {1, {1}}}},
    {"mul", NULL, 2, {{4, {2, 3, 3, 5}}, {4, {2, 3, 3, 5}}}},
    {"mul", NULL, 2, {{4, {2, 3, 3, 5}}, {1, {5}}}},
    {"pad", PARAMS(pad, {4, {0, 1, 2, 3}}, {4, {0, 2, 0, 1}}, 0.5), 1, {{4, {2, 3, 2, 4}}}},
    {"pad", PARAMS(pad, {1, {2}}, {0}, 0), 1, {{2, {3, 4}}}},
    {"prelu", NULL, 2, {{4, {2, 3, 3, 18}}, {1, {18}}}, GRID},
    {"prelu", NULL, 2, {{2, {5, 3}}, {1, {3}}}, GRID},
    {"relu", NULL, 1, {{4, {2, 3, 4, 5}}}, GRID},
    {"relu", NULL, 1, {{2, {3, 7}}}, GRID},
    {"reshape", NULL, 1, {{4, {2, 3, 4, 5}}}},
    {"reshape", PARAMS(reshape, {3, {0, 6, 4}}), 1, {{4, {3, 2, 3, 4}}}},
    {"shift", NULL, 2, {{4, {2, 3, 3, 17}}, {1, {17}}}},
    {"shift", NULL, 2, {{2, {4, 3}}, {1, {3}}}},
    {"sigmoid", NULL, 1, {{4, {2, 3, 3, 4}}}, .spread = 4},
    {"slice", PARAMS(slice, .step = {3, {1, 2, 2}}), 1, {{4, {2, 5, 6, 3}}}},
    {"slice", PARAMS(slice, {4, {0, 1, -3, 2}}, {4, {0, -1, 100, 6}}, {4, {1, 2, 1, 3}}), 1, {{4, {2, 7, 5, 6}}}},
    {"softmax_cross_entropy", NULL, 2, {{2, {6, 10}}, {1, {6}}}},
    {"softmax_cross_entropy", PARAMS(softmax_cross_entropy, 0.1), 2, {{2, {5, 4}}, {1, {5}}}, .spread = 8},
    {"tanh", NULL, 1, {{4, {2, 3, 3, 4}}}, .spread = 2},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

/* ---- Running one op on doubles, whatever it is compiled for. */

typedef struct values {
    double *x[CRUMB_INPUTS_MAX], *dy;
} values;

typedef struct result {
    crumb_shape shape;
    double *y, *x[CRUMB_INPUTS_MAX], *dx[CRUMB_INPUTS_MAX]; /* x: as forward left it (STATE) */
} result;

typedef struct execution {
    const crumb_op *op;
    size_t real; /* sizeof(crumb_real) of the op's build */
    bool backward, add, destroy;
    unsigned want; /* bit i: gradient of input i */
} execution;

static void *to_real(const double *from, int64_t count, size_t real) {
    void *data = malloc((size_t)count * real + 1);
    for (int64_t i = 0; i < count; i++) {
        if (real == sizeof(float)) {
            ((float *)data)[i] = from != NULL ? (float)from[i] : NAN;
        } else {
            ((double *)data)[i] = from != NULL ? from[i] : (double)NAN;
        }
    }
    return data;
}

static double *from_real(void *data, int64_t count, size_t real) {
    double *to = malloc((size_t)count * sizeof(double) + 1);
    for (int64_t i = 0; i < count; i++) {
        to[i] = real == sizeof(float) ? (double)((float *)data)[i] : ((double *)data)[i];
    }
    free(data);
    return to;
}

static void destroy(void *data, crumb_shape shape, size_t real) {
    memset(data, 0xff, (size_t)crumb_shape_count(shape) * real); /* all ones is a NaN in either type */
}

static bool differentiable(const crumb_op *op, int input) {
    return op->roles[input] == CRUMB_DATA || op->roles[input] == CRUMB_PARAM;
}

static void call_backward(const execution *e, crumb_op_call *call, const values *v, double **dx) {
    int64_t count = crumb_shape_count(call->y.shape);
    void *dy = to_real(v->dy, count, e->real);
    for (int i = 0; i < call->inputs; i++) {
        bool read = (e->op->uses & 1u << i) != 0 || e->op->roles[i] == CRUMB_PARAM || e->op->roles[i] == CRUMB_STATE;
        if (e->destroy && !read) {
            destroy(call->x[i].data, call->x[i].shape, e->real);
        }
        if (differentiable(e->op, i) && (e->want & 1u << i) != 0) {
            /* adding starts from the input's own values, overwriting from NaN */
            call->dx[i] = to_real(e->add ? v->x[i] : NULL, crumb_shape_count(call->x[i].shape), e->real);
            call->add[i] = e->add;
        }
    }
    if (e->destroy && (e->op->uses & CRUMB_USES_Y) == 0) {
        destroy(call->y.data, call->y.shape, e->real);
    }
    call->dy = dy;
    e->op->backward(call);
    double *after = from_real(dy, count, e->real);
    for (int64_t i = 0; i < count; i++) {
        assert_true(after[i] == (e->real == sizeof(float) ? (double)(float)v->dy[i] : v->dy[i]));
    }
    free(after);
    for (int i = 0; i < call->inputs; i++) {
        dx[i] = call->dx[i] != NULL ? from_real(call->dx[i], crumb_shape_count(call->x[i].shape), e->real) : NULL;
    }
}

static result execute(execution e, const test_case *c, const values *v) {
    _Alignas(16) char presets[2048] = {0};
    assert_true(e.op->params_size <= sizeof(presets));
    crumb_params_preset(e.op->params, presets);
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_op_call call = {.params = c->params != NULL ? c->params : presets,
                          .inputs = c->inputs,
                          .training = !c->eval,
                          .rng = crumb_rng_at(7, 8, 9)};
    crumb_op_plan plan;
    assert_ok(ctx, e.op->infer(ctx, call.params, c->inputs, c->x, &plan));
    crumb_ctx_destroy(ctx);
    for (int i = 0; i < c->inputs; i++) {
        call.x[i] = (crumb_tensor){c->x[i], to_real(v->x[i], crumb_shape_count(c->x[i]), e.real)};
    }
    int64_t count = crumb_shape_count(plan.output);
    call.y = (crumb_tensor){plan.output, to_real(NULL, count, e.real)};
    call.saved = malloc(plan.saved + 1);
    call.scratch = malloc(plan.scratch + 1);
    memset(call.scratch, 0xff, plan.scratch);
    memset(call.saved, 0xff, plan.saved);
    e.op->forward(&call);
    result r = {.shape = plan.output};
    void *copy = malloc((size_t)count * e.real + 1);
    memcpy(copy, call.y.data, (size_t)count * e.real);
    r.y = from_real(copy, count, e.real);
    memset(call.scratch, 0xff, plan.scratch);
    if (e.backward) {
        call_backward(&e, &call, v, r.dx);
    }
    for (int i = 0; i < c->inputs; i++) {
        r.x[i] = from_real(call.x[i].data, crumb_shape_count(c->x[i]), e.real);
    }
    free(call.y.data);
    free(call.saved);
    free(call.scratch);
    return r;
}

static void forget(result *r) {
    free(r->y);
    for (int i = 0; i < CRUMB_INPUTS_MAX; i++) {
        free(r->x[i]);
        free(r->dx[i]);
    }
}

/* ---- Inputs: every value is a float, so that both builds see the same. */

static double draw(crumb_rng *rng, filling fill, int64_t i, int64_t count) {
    double u = (double)crumb_rng_uniform(rng);
    switch (fill) {
    case UNIFORM:
        break;
    case GRID:
        return (float)((floor(u * 40) + 0.5) / 20 - 1);
    case DISTINCT: /* 11 divides no count of these cases, so i * 11 visits every place once */
        return (float)((double)(i * 11 % count) / (double)count - 0.5);
    }
    return (float)(2 * u - 1);
}

static double *draw_input(const crumb_op *op, const test_case *c, int input, crumb_rng *rng) {
    int64_t count = crumb_shape_count(c->x[input]);
    double *x = malloc((size_t)count * sizeof(double) + 1);
    for (int64_t i = 0; i < count; i++) {
        if (op->roles[input] == CRUMB_STATE) {
            x[i] =
                count == 1 ? 3 : (float)(0.5 + (double)crumb_rng_uniform(rng)); /* a number of batches; a positive variance */
        } else if (op->roles[input] == CRUMB_LABEL && c->x[input].rank == 1) {
            x[i] = count > 1 && i == 1 ? -1.0 : crumb_rng_below(rng, (uint32_t)c->x[0].dim[1]); /* row 1 does not count */
        } else {
            double factor = c->spread != 0 && op->roles[input] != CRUMB_PARAM ? c->spread : 1;
            x[i] = (float)(factor * draw(rng, input == 0 ? c->fill : UNIFORM, i, count));
        }
    }
    return x;
}

static values draw_values(const crumb_op *op, const test_case *c, uint64_t seed) {
    crumb_rng rng = crumb_rng_at(seed, 1, 1);
    values v = {0};
    for (int i = 0; i < c->inputs; i++) {
        v.x[i] = draw_input(op, c, i, &rng);
    }
    result r = execute((execution){op, sizeof(double)}, c, &v);
    int64_t count = crumb_shape_count(r.shape);
    v.dy = malloc((size_t)count * sizeof(double));
    for (int64_t i = 0; i < count; i++) {
        v.dy[i] = draw(&rng, UNIFORM, i, count);
    }
    forget(&r);
    return v;
}

static void release(values *v) {
    free(v->dy);
    for (int i = 0; i < CRUMB_INPUTS_MAX; i++) {
        free(v->x[i]);
    }
}

static const crumb_op *find(const crumb_op *const *ops, const char *name) {
    for (int i = 0; ops[i] != NULL; i++) {
        if (strcmp(ops[i]->name, name) == 0) {
            return ops[i];
        }
    }
    fail_msg("there is no op %s", name);
    return NULL;
}

/* ---- Checks of one case. */

static double largest(const double *x, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        most = fabs(x[i]) > most ? fabs(x[i]) : most;
    }
    return most;
}

/* (L(x + h) - L(x - h)) / 2h with L = sum dy y. h = 1e-5 balances truncation h^2 |L'''| / 6 and rounding 1e-16 |y| / h. */
static double central_difference(const crumb_op *op, const test_case *c, const values *v, int input, int64_t at) {
    const double h = 1e-5;
    double x = v->x[input][at], sum = 0;
    v->x[input][at] = x + h;
    result above = execute((execution){op, sizeof(double)}, c, v);
    v->x[input][at] = x - h;
    result below = execute((execution){op, sizeof(double)}, c, v);
    v->x[input][at] = x;
    for (int64_t i = 0; i < crumb_shape_count(above.shape); i++) {
        sum += v->dy[i] * (above.y[i] - below.y[i]);
    }
    forget(&above);
    forget(&below);
    return sum / (2 * h);
}

static void check_differences(int index, const crumb_op *op, const test_case *c, const values *v, const result *r) {
    for (int input = 0; input < c->inputs; input++) {
        int64_t count = crumb_shape_count(c->x[input]);
        if (!differentiable(op, input)) {
            continue;
        }
        double size = largest(r->dx[input], count);
        assert_true(isfinite(size));
        for (int64_t i = 0; i < count; i++) {
            double expected = central_difference(op, c, v, input, i), got = r->dx[input][i];
            /* relative, but not to values far below the gradient's own size: those are differences of larger terms */
            double scale = fmax(fmax(fabs(expected), fabs(got)), 1e-3 * size);
            if (!(fabs(expected - got) <= 1e-6 * scale)) {
                fail_msg("case %d %s: gradient of input %d at %lld is %.12g, differences give %.12g", index, op->name, input,
                         (long long)i, got, expected);
            }
        }
    }
}

static void check_same(int index, const crumb_op *op, const test_case *c, const result *a, const result *b, const char *what) {
    for (int input = 0; input < c->inputs; input++) {
        size_t bytes = (size_t)crumb_shape_count(c->x[input]) * sizeof(double);
        if (a->dx[input] != NULL && b->dx[input] != NULL && memcmp(a->dx[input], b->dx[input], bytes) != 0) {
            fail_msg("case %d %s: gradient of input %d changes %s", index, op->name, input, what);
        }
    }
}

static void check_adding(int index, const crumb_op *op, const test_case *c, const values *v, const result *r) {
    result sum = execute((execution){op, sizeof(double), true, true, false, ~0u}, c, v);
    for (int input = 0; input < c->inputs; input++) {
        for (int64_t i = 0; sum.dx[input] != NULL && i < crumb_shape_count(c->x[input]); i++) {
            double expected = v->x[input][i] + r->dx[input][i];
            if (!(fabs(sum.dx[input][i] - expected) <= 1e-12 * (1 + fabs(expected)))) {
                fail_msg("case %d %s: adding gives %g at %lld of input %d, not %g", index, op->name, sum.dx[input][i],
                         (long long)i, input, expected);
            }
        }
    }
    forget(&sum);
}

static void test_gradients(void **state) {
    (void)state;
    for (int index = 0; index < CASES; index++) {
        const test_case *c = &cases[index];
        const crumb_op *op = find(double_ops, c->op);
        values v = draw_values(op, c, (uint64_t)index);
        result all = execute((execution){op, sizeof(double), true, false, false, ~0u}, c, &v);
        check_differences(index, op, c, &v, &all);
        check_adding(index, op, c, &v, &all);
        result destroyed = execute((execution){op, sizeof(double), true, false, true, ~0u}, c, &v);
        check_same(index, op, c, &all, &destroyed, "when values that `uses` does not name are destroyed");
        forget(&destroyed);
        for (int input = 0; input < c->inputs; input++) {
            result one = execute((execution){op, sizeof(double), true, false, false, 1u << input}, c, &v);
            check_same(index, op, c, &all, &one, "when it is the only one wanted");
            forget(&one);
        }
        forget(&all);
        release(&v);
    }
}

static void test_every_row_has_a_case(void **state) {
    (void)state;
    for (int i = 0; double_ops[i] != NULL; i++) {
        int found = 0;
        for (int index = 0; index < CASES; index++) {
            found += strcmp(cases[index].op, double_ops[i]->name) == 0;
        }
        if (found == 0) {
            fail_msg("op %s has no case", double_ops[i]->name);
        }
        assert_ptr_equal(crumb_ops[i], find(crumb_ops, double_ops[i]->name));
    }
}

/* ---- The float build against the double one.
 *
 * Both see the same inputs, so they differ by the float build's roundings: |error| <= T u M (1 + O(u)), u = 2^-24, where T
 * counts the roundings on the longest way to a result and M bounds what is rounded: the result itself where T <= 2, the sum of
 * absolute terms (the op on absolute values) for sums of products, a bound from the formula otherwise. */

typedef double (*amount)(const test_case *c, crumb_shape y);

static double exact(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 0;
}

static double one(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 1;
}

static double two(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 2;
}

/* dy * y * (1 - y) and dy * (1 - y * y): y itself counts at most twice, then three operations. */
static double slope(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 5;
}

static double window(const test_case *c, crumb_shape y) {
    (void)y;
    double kernel = (double)((const crumb_pool_params *)c->params)->kernel;
    return kernel * kernel + 2; /* sum, share, product */
}

/* Products behind one output of a convolution or linear layer, and the bias. */
static double taps(const test_case *c, crumb_shape y) {
    (void)y;
    return (double)(crumb_shape_count(c->x[1]) / c->x[1].dim[0]) + 2;
}

/* Products behind one gradient of its input: kernel positions and output channels. */
static double outputs(const test_case *c, crumb_shape y) {
    (void)y;
    return (double)(crumb_shape_count(c->x[1]) / crumb_shape_last(c->x[1])) + 2;
}

/* Products behind one gradient of its weight: output pixels of all images. */
static double pixels(const test_case *c, crumb_shape y) {
    (void)c;
    return (double)(crumb_shape_count(y) / crumb_shape_last(y)) + 2;
}

/* mean, x - mean, r, r * weight, product, sum forward; about twice that backward. */
static double norm_forward(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 6;
}

static double norm_backward(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 14;
}

/* Of n values |x - mean| r <= sqrt(n), and in these cases |mean| r < sqrt(n) and r < 4; |weight|, |bias|, |dy| < 1. So y's
 * terms stay below 2 sqrt(n) + 1, dweight's below n + n sqrt(n) / sqrt(n), and dx = weight r (dy - (dbias + xh dweight) / n)
 * below 4 (2 + n). */
static double norm_size(const test_case *c, crumb_shape y) {
    (void)c;
    return 4 * (2 + (double)(crumb_shape_count(y) / crumb_shape_last(y)));
}

static const struct bound {
    const char *op;
    amount y, dx[3]; /* T of the output and of each gradient, the last given for all further inputs */
    bool products;   /* M from the op on absolute values */
    amount size;     /* M at least this; NULL: 0 */
} bounds[] = {
    {"add", one, {exact, one}, false, NULL},
    {"average_pool", window, {window}, true, NULL},
    {"batch_norm", norm_forward, {norm_backward, norm_backward, one}, false, norm_size},
    {"clip", exact, {exact}, false, NULL},
    {"concat", exact, {exact, exact, exact}, false, NULL},
    {"conv2d", taps, {outputs, pixels, one}, true, NULL},
    {"distillation", one, {one}, false, NULL},
    {"dropout", two, {two}, false, NULL},
    {"flatten", exact, {exact}, false, NULL},
    {"global_average_pool", two, {one}, false, NULL},
    {"linear", taps, {outputs, pixels, one}, true, NULL},
    {"max_pool", exact, {window}, true, NULL},
    {"mean_squared_error", one, {one}, false, NULL},
    {"mul", one, {one, one}, false, NULL},
    {"pad", exact, {exact}, false, NULL},
    {"prelu", one, {one, one}, false, NULL},
    {"relu", exact, {exact}, false, NULL},
    {"reshape", exact, {exact}, false, NULL},
    {"shift", one, {exact, one}, false, NULL},
    {"sigmoid", one, {slope}, false, one},
    {"slice", exact, {exact}, false, NULL},
    {"softmax_cross_entropy", one, {one}, false, NULL},
    {"tanh", one, {slope}, false, one},
};

static const struct bound *bound_of(const char *op) {
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        if (strcmp(bounds[i].op, op) == 0) {
            return &bounds[i];
        }
    }
    fail_msg("op %s has no bound for its float build", op);
    return NULL;
}

static void check_near(int index, const char *what, const double *single, const double *exactly, const double *products,
                       int64_t count, double roundings, double size) {
    for (int64_t i = 0; i < count; i++) {
        double m = fmax(fmax(fabs(exactly[i]), products != NULL ? fabs(products[i]) : 0), size);
        double limit = roundings * 0x1p-24 * m * 1.001;
        if (!(fabs(single[i] - exactly[i]) <= limit)) {
            fail_msg("case %d %s: %s at %lld is %.9g in float, %.17g in double, bound %.3g", index, cases[index].op, what,
                     (long long)i, single[i], exactly[i], limit);
        }
    }
}

/* Both builds' results of a case; products: the double build's on absolute values. */
static void check_builds(int index, const test_case *c, const values *v, const result *products) {
    const struct bound *bound = bound_of(c->op);
    const execution e = {find(double_ops, c->op), sizeof(double), true, false, false, ~0u};
    result exactly = execute(e, c, v);
    result single = execute((execution){find(crumb_ops, c->op), sizeof(float), true, false, false, ~0u}, c, v);
    double size = bound->size != NULL ? bound->size(c, exactly.shape) : 0;
    check_near(index, "output", single.y, exactly.y, products != NULL ? products->y : NULL, crumb_shape_count(exactly.shape),
               bound->y(c, exactly.shape), size);
    for (int i = 0; i < c->inputs; i++) {
        if (exactly.dx[i] != NULL) {
            check_near(index,
                       i == 0   ? "first gradient"
                       : i == 1 ? "second gradient"
                                : "later gradient",
                       single.dx[i], exactly.dx[i], products != NULL ? products->dx[i] : NULL, crumb_shape_count(c->x[i]),
                       bound->dx[i < 2 ? i : 2](c, exactly.shape), size);
        }
        if (e.op->roles[i] ==
            CRUMB_STATE) { /* (1 - m) running + m batch, in double: one rounding; the batch's own is of its inputs' size */
            check_near(index, "state", single.x[i], exactly.x[i], NULL, crumb_shape_count(c->x[i]), 1, 0);
        }
    }
    forget(&exactly);
    forget(&single);
}

static void test_float_agrees_with_double(void **state) {
    (void)state;
    for (int index = 0; index < CASES; index++) {
        const test_case *c = &cases[index];
        const crumb_op *op = find(double_ops, c->op);
        values v = draw_values(op, c, 1000 + (uint64_t)index), positive = draw_values(op, c, 1000 + (uint64_t)index);
        result products = {0};
        if (bound_of(c->op)->products) {
            for (int i = 0; i < c->inputs; i++) {
                for (int64_t k = 0; k < crumb_shape_count(c->x[i]); k++) {
                    /* max_pool: its places must stay, and only the gradients are sums */
                    positive.x[i][k] = strcmp(c->op, "max_pool") == 0 ? v.x[i][k] : fabs(v.x[i][k]);
                }
            }
            crumb_op_plan plan;
            assert_int_equal(op->infer(NULL, c->params != NULL ? c->params : "", c->inputs, c->x, &plan), CRUMB_OK);
            for (int64_t k = 0; k < crumb_shape_count(plan.output); k++) {
                positive.dy[k] = fabs(v.dy[k]);
            }
            products = execute((execution){op, sizeof(double), true, false, false, ~0u}, c, &positive);
        }
        check_builds(index, c, &v, products.y != NULL ? &products : NULL);
        forget(&products);
        release(&v);
        release(&positive);
    }
}

/* ---- Threads: the same bits from one thread as from three. */

/* The case with a batch large enough that its loops are shared out. */
static test_case grown(const crumb_op *op, const test_case *c) {
    test_case large = *c;
    int64_t factor = 50000 / crumb_shape_count(c->x[0]) + 1;
    for (int i = 0; i < c->inputs; i++) {
        if ((op->roles[i] == CRUMB_DATA || op->roles[i] == CRUMB_LABEL) && c->x[i].dim[0] == c->x[0].dim[0]) {
            large.x[i].dim[0] *= factor;
        }
    }
    return large;
}

static void test_threads_do_not_matter(void **state) {
    (void)state;
#ifdef _OPENMP
    int before = omp_get_max_threads();
    for (int index = 0; index < CASES; index++) {
        const crumb_op *op = find(crumb_ops, cases[index].op);
        test_case c = grown(op, &cases[index]);
        values v = draw_values(find(double_ops, cases[index].op), &c, 5);
        omp_set_num_threads(1);
        result alone = execute((execution){op, sizeof(float), true, false, false, ~0u}, &c, &v);
        omp_set_num_threads(3);
        result team = execute((execution){op, sizeof(float), true, false, false, ~0u}, &c, &v);
        omp_set_num_threads(before);
        check_same(index, op, &c, &alone, &team, "with the number of threads");
        assert_memory_equal(alone.y, team.y, (size_t)crumb_shape_count(alone.shape) * sizeof(double));
        for (int i = 0; i < c.inputs; i++) {
            assert_memory_equal(alone.x[i], team.x[i], (size_t)crumb_shape_count(c.x[i]) * sizeof(double));
        }
        forget(&alone);
        forget(&team);
        release(&v);
    }
#else
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_has_a_case),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_float_agrees_with_double),
        cmocka_unit_test(test_threads_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
