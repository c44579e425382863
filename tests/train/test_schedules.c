/* Schedules against their closed forms; warm-up; where cycles have their minima. */
#include "harness.h"

#include "base/param.h"
#include "train/optim.h"

static crumb_ctx *ctx;

static crumb_schedule_choice choose(const char *name, const char *const *settings) {
    crumb_schedule_choice choice = {0};
    for (int i = 0; crumb_schedules[i] != NULL; i++) {
        if (strcmp(crumb_schedules[i]->name, name) == 0) {
            choice.schedule = crumb_schedules[i];
        }
    }
    assert_non_null(choice.schedule);
    assert_true(choice.schedule->params_size <= CRUMB_TRAIN_PARAMS_MAX);
    crumb_params_preset(choice.schedule->params, choice.params);
    for (; settings != NULL && *settings != NULL; settings += 2) {
        assert_ok(ctx,
                  crumb_param_set(ctx, crumb_param_find(choice.schedule->params, settings[0]), choice.params, settings[1]));
    }
    return choice;
}
#define CHOOSE(name, ...) choose(name, (const char *const[]){__VA_ARGS__, NULL})

static double at(const crumb_schedule_choice *choice, double epoch) {
    return crumb_schedule_at(choice, epoch, 20, 10);
}

static void smooth_schedules(void **state) {
    (void)state;
    crumb_schedule_choice constant = choose("constant", NULL), linear = CHOOSE("linear", "end", "0.1");
    crumb_schedule_choice cosine = CHOOSE("cosine", "end", "0.2");
    for (int i = 0; i <= 200; i++) {
        double epoch = i / 10.0;
        assert_true(at(&constant, epoch) == 1);
        assert_true(fabs(at(&linear, epoch) - (1 - 0.9 * i / 200)) < 1e-12);
        double c = cos(acos(-1) * i / 400); /* (1 + cos 2a) / 2 = cos^2 a */
        assert_true(fabs(at(&cosine, epoch) - (0.2 + 0.8 * c * c)) < 1e-12);
    }
    crumb_schedule_choice plain = choose("cosine", NULL);
    assert_true(at(&plain, 0) == 1 && fabs(at(&plain, 10) - 0.5) < 1e-15 && fabs(at(&plain, 20)) < 1e-15);
}

static void step_falls_at_milestones(void **state) {
    (void)state;
    crumb_schedule_choice epochs = CHOOSE("step", "milestones", "[5, 12]", "gamma", "0.5");
    crumb_schedule_choice parts = choose("step", NULL); /* halves and three quarters of 20 epochs */
    assert_true(at(&epochs, 4.9) == 1 && at(&epochs, 5) == 0.5 && at(&epochs, 11.9) == 0.5 && at(&epochs, 12) == 0.25);
    assert_true(at(&parts, 9.9) == 1 && at(&parts, 10) == 0.1);
    assert_true(fabs(at(&parts, 15) - 0.01) < 1e-15);
}

static void warmup_rises_from_zero(void **state) {
    (void)state;
    for (int row = 0; crumb_schedules[row] != NULL; row++) {
        crumb_schedule_choice with = CHOOSE(crumb_schedules[row]->name, "warmup", "2.5");
        crumb_schedule_choice without = choose(crumb_schedules[row]->name, NULL);
        assert_int_equal(crumb_param_find(crumb_schedules[row]->params, "warmup")->offset, 0);
        for (int i = 0; i < 200; i++) {
            double epoch = i / 10.0, rise = epoch < 2.5 ? epoch / 2.5 : 1;
            assert_true(fabs(at(&with, epoch) - rise * at(&without, epoch)) < 1e-15);
        }
        assert_true(at(&with, 0) == 0 && at(&without, 0) > 0);
    }
}

/* Walks 6 cycles of 2 epochs of 10 steps: rates against the formula in cyclic.c, exactly one minimum a cycle and at the lowest
 * rate. */
static void cyclic_shapes(void **state) {
    (void)state;
    static const char *const shapes[] = {"saw-tooth", "triangle", "stepped"};
    static const int lowest[] = {19, 10, 19};
    for (int shape = 0; shape < 3; shape++) {
        crumb_schedule_choice c = CHOOSE("cyclic", "shape", shapes[shape], "cycle", "2", "high", "0.8", "low", "0.1");
        for (int i = 0; i < 120; i++) {
            int k = i % 20;
            double t = shape == 0 ? (k + 1) / 20.0 : shape == 1 ? (k <= 10 ? k / 10.0 : 2 - k / 10.0) : (k / 10 + 1) / 2.0;
            assert_true(fabs(at(&c, i / 10.0) - ((1 - t) * 0.8 + t * 0.1)) < 1e-12);
            assert_int_equal(c.schedule->minimum(c.params, i / 10.0, 20, 10), k == lowest[shape]);
            assert_true(k != lowest[shape] || fabs(at(&c, i / 10.0) - 0.1) < 1e-12);
        }
    }
}

/* Steps an epoch that do not divide evenly: epoch = i / 390 is not exact in binary, minima must still come once a cycle. */
static void cycle_minima_survive_rounding(void **state) {
    (void)state;
    crumb_schedule_choice c = CHOOSE("cyclic", "cycle", "1.5");
    int minima = 0;
    for (int i = 0; i < 390 * 30; i++) {
        bool minimum = c.schedule->minimum(c.params, (double)(i / 390) + (double)(i % 390) / 390, 30, 390);
        assert_int_equal(minimum, i % 585 == 584);
        minima += minimum;
    }
    assert_int_equal(minima, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smooth_schedules),
        cmocka_unit_test(step_falls_at_milestones),
        cmocka_unit_test(warmup_rises_from_zero),
        cmocka_unit_test(cyclic_shapes),
        cmocka_unit_test(cycle_minima_survive_rounding),
    };
    if (crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    crumb_ctx_destroy(ctx);
    return failed;
}
