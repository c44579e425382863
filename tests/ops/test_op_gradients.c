/* Every row of ops.inc, compiled for double: backward against central differences, overwriting and adding, one wanted gradient
 * at a time, and with everything destroyed that `uses` says backward does not read. A row without a case fails. */
#include "op_cases.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_has_a_case),
        cmocka_unit_test(test_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
