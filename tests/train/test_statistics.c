/* Student's t against published tables, spread and paired verdicts against values worked out by hand. */
#include "harness.h"

#include "train/statistics.h"

static void near(double value, double want, double bound) {
    if (!(fabs(value - want) <= bound)) {
        fail_msg("%.12g, wanted %.12g", value, want);
    }
}

/* Two-sided 95 % and 99 % of the usual tables (Fisher and Yates), and closed forms: n = 1 is Cauchy, tan(pi level / 2); n = 2
 * has t = level sqrt(2 / (1 - level^2)). */
static void students_t(void **state) {
    (void)state;
    static const struct {
        int degrees;
        double t95, t99;
    } table[] = {{1, 12.706, 63.657}, {2, 4.303, 9.925},  {3, 3.182, 5.841},  {4, 2.776, 4.604},  {5, 2.571, 4.032},
                 {9, 2.262, 3.250},   {10, 2.228, 3.169}, {29, 2.045, 2.756}, {30, 2.042, 2.750}, {120, 1.980, 2.617}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        near(crumb_student_t(0.95, table[i].degrees), table[i].t95, 5e-4);
        near(crumb_student_t(0.99, table[i].degrees), table[i].t99, 5e-4);
    }
    near(crumb_student_t(0.95, 1), tan(M_PI_2 * 0.95), 1e-9);
    near(crumb_student_t(0.95, 2), 0.95 * sqrt(2 / (1 - 0.95 * 0.95)), 1e-9);
    near(crumb_student_t(0.95, 100000), 1.959987708, 1e-6); /* close to the normal distribution's 1.959964 */
}

static void spread(void **state) {
    (void)state;
    const double x[] = {2, 4, 4, 4, 5, 5, 7, 9};
    crumb_spread s = crumb_spread_of(x, 8);
    near(s.mean, 5, 0);
    near(s.deviation, sqrt(32.0 / 7), 1e-15);
    s = crumb_spread_of(x, 1);
    assert_true(s.mean == 2 && isnan(s.deviation));
    s = crumb_spread_of(x, 0);
    assert_true(isnan(s.mean) && isnan(s.deviation));
}

/* Differences 1, 2, 3: mean 2, deviation 1, half width 4.3027 / sqrt(3) = 2.4841. */
static void paired(void **state) {
    (void)state;
    const double control[] = {90, 80, 70, 60}, up[] = {91, 82, 73, 64}, sure[] = {91, 81.1, 71.2, 61.1};
    crumb_paired p = crumb_paired_of(up, control, 3);
    near(p.difference, 2, 1e-12);
    near(p.high - p.difference, 4.302652730 / sqrt(3), 1e-8);
    near(p.difference - p.low, p.high - p.difference, 1e-12);
    assert_int_equal(p.verdict, CRUMB_VERDICT_NONE);
    p = crumb_paired_of(up, control, 4); /* 1, 2, 3, 4: 2.5 +- 3.1824 * 1.2910 / 2 = 2.0542 */
    near(p.low, 2.5 - 2.054260, 1e-5);
    assert_int_equal(p.verdict, CRUMB_VERDICT_BETTER);
    p = crumb_paired_of(control, up, 4);
    assert_int_equal(p.verdict, CRUMB_VERDICT_WORSE);
    near(p.difference, -2.5, 1e-12);
    assert_int_equal(crumb_paired_of(sure, control, 4).verdict, CRUMB_VERDICT_BETTER); /* the seeds' spread is not in the way */

    /* One seed, however large the difference; equal runs; differences without spread. */
    p = crumb_paired_of(up, control, 1);
    assert_true(p.difference == 1 && isnan(p.low) && isnan(p.high));
    assert_int_equal(p.verdict, CRUMB_VERDICT_NONE);
    p = crumb_paired_of(control, control, 4);
    assert_true(p.difference == 0 && p.low == 0 && p.high == 0);
    assert_int_equal(p.verdict, CRUMB_VERDICT_NONE);
    const double same[] = {2, 3}, zero[] = {1, 2};
    assert_int_equal(crumb_paired_of(same, zero, 2).verdict, CRUMB_VERDICT_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(students_t),
        cmocka_unit_test(spread),
        cmocka_unit_test(paired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
