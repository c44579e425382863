/* Every row of ops.inc in both builds: the float results within the rounding bounds of the double ones, and the same bits from
 * one thread as from three. A row without a bound fails.
 *
 * Both see the same inputs, so they differ by the float build's roundings: |error| <= T u M (1 + O(u)), u = 2^-24, where T
 * counts the roundings on the longest way to a result and M bounds what is rounded: the result itself where T <= 2, the sum of
 * absolute terms (the op on absolute values) for sums of products, a bound from the formula otherwise. */
#include "op_cases.h"

#ifdef _OPENMP
#include <omp.h>
#endif

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

/* Gradients that meet at one element, at most. */
static double choices(const test_case *c, crumb_shape y) {
    (void)y;
    return (double)crumb_shape_count(c->x[1]) + 1;
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

/* The line, its two roundings and those of slope and offset. */
static double line(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 5;
}

/* hard_swish: |x| < 5, so x times the line before it is cut off is below 5 * 4/3. */
static double swish_size(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 7;
}

/* softmax: the roundings of y in y (dy - sum dy y), where y, dy and the sum are at most 1, and that of the result. */
static double softmax_slope(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 5;
}

/* log_softmax: dy - exp(y) sum dy is at most 1 + n, and the rounding of y moves it by n max(exp(y) |y|) = n / e of one. */
static double row_size(const test_case *c, crumb_shape y) {
    (void)c;
    return 1 + (double)crumb_shape_last(y);
}

/* lrn: both terms of the gradient are below 4 in these cases. */
static double lrn_size(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 4;
}

/* resize_nearest: no input pixel is shown by more than eight. */
static double copies(const test_case *c, crumb_shape y) {
    (void)c, (void)y;
    return 8;
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
    {"conv_transpose2d", outputs, {one, pixels, one}, true, NULL},
    {"distillation", one, {one}, false, NULL},
    {"div", one, {one, one}, false, NULL},
    {"dropout", two, {two}, false, NULL},
    {"expand", exact, {one}, false, NULL},
    {"flatten", exact, {exact}, false, NULL},
    {"gather", exact, {choices}, true, NULL},
    {"global_average_pool", two, {one}, false, NULL},
    {"global_max_pool", exact, {exact}, false, NULL},
    {"hard_sigmoid", line, {two}, false, one},
    {"hard_swish", line, {line}, false, swish_size},
    {"leaky_relu", two, {two}, false, NULL},
    {"linear", taps, {outputs, pixels, one}, true, NULL},
    {"log_softmax", one, {two}, false, row_size},
    {"lrn", one, {two}, false, lrn_size},
    {"max_pool", exact, {window}, true, NULL},
    {"mean_squared_error", one, {one}, false, NULL},
    {"mul", one, {one, one}, false, NULL},
    {"pad", exact, {exact}, false, NULL},
    {"prelu", one, {one, one}, false, NULL},
    {"reduce_mean", one, {two}, false, NULL},
    {"relu", exact, {exact}, false, NULL},
    {"reshape", exact, {exact}, false, NULL},
    {"resize_nearest", exact, {copies}, true, NULL},
    {"shift", one, {exact, one}, false, NULL},
    {"sigmoid", one, {slope}, false, one},
    {"slice", exact, {exact}, false, NULL},
    {"softmax", one, {softmax_slope}, false, one},
    {"softmax_cross_entropy", one, {one}, false, NULL},
    {"sub", one, {exact, one}, false, NULL},
    {"tanh", one, {slope}, false, one},
    {"transpose", exact, {exact}, false, NULL},
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
            assert_int_equal(crumb_op_infer(NULL, op, c->params != NULL ? c->params : "", c->inputs, c->x, &plan), CRUMB_OK);
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
        cmocka_unit_test(test_float_agrees_with_double),
        cmocka_unit_test(test_threads_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
