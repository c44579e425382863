/* SinReQ and the sine it shares with WaveQ: published and derived numbers, gradients against the formula in double and its
 * differences, and what a strength of nothing must leave alone. */
#include "strategy_probe.h"

static crumb_ctx *ctx;

static const double PI = 3.14159265358979323846;

/* ---- The sine in double, from the papers' formulas: sin^2(pi (u + shift) / step). */

typedef struct formula {
    bool dorefa; /* else WRPN */
    int bits;
    int weights;
    double range; /* DoReFa: max|tanh w|; MAX: max|w| */
} formula;

static double step_of(const formula *f) {
    double q = exp2(f->bits - 1); /* magnitude bits: mid-rise 1 / (2^q - 1/2), mid-tread 1 / (2^q - 1) */
    return f->dorefa ? 1 / (q - 0.5) : 1 / (q - 1);
}

static double rounded(const formula *f, double w) {
    if (f->weights == CRUMB_SINE_RAW) {
        return w;
    }
    if (f->weights == CRUMB_SINE_MAX) {
        return w / f->range;
    }
    return f->dorefa ? tanh(w) / f->range : fmax(-1, fmin(1, w));
}

static double sine(const formula *f, double w) {
    double step = step_of(f), s = sin(PI * (rounded(f, w) + (f->dorefa ? step / 2 : 0)) / step);
    return s * s;
}

static double range_of(const formula *f, const float *w, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)w[i]));
    }
    return f->weights == CRUMB_SINE_ROUNDED ? tanh(most) : most;
}

static probe open_probe(bool dorefa, int bits) {
    char quantize[96];
    snprintf(quantize, sizeof(quantize), "{weights: {name: %s, bits: %d}}", dorefa ? "dorefa" : "wrpn", bits);
    return probe_open(ctx, quantize, NULL);
}

static crumb_sine_term add(probe *p, const crumb_sine *form, double strength) {
    crumb_sine_term term;
    probe_look(p);
    assert_true(crumb_sine_add(p->trainer, p->node, form, strength, &term));
    return term;
}

/* ---- Numbers. */

/* Step 2/7, shift 1/7: at 0.123 the derivative of sin^2 is -4.650409; steps of 2 to 5 bits. */
static void published_numbers(void **state) {
    (void)state;
    static const double steps[2][4] = {{1, 1.0 / 3, 1.0 / 7, 1.0 / 15}, {0.666667, 0.285714, 0.133333, 0.064516}};
    probe p = open_probe(true, 3);
    for (int64_t i = 0; i < p.count; i++) {
        p.w[i] = 0.123f;
    }
    add(&p, &(crumb_sine){.weights = CRUMB_SINE_RAW}, (double)p.count);
    for (int64_t i = 0; i < p.count; i++) {
        assert_true(fabs((double)p.g[i] + 4.650409) < 1e-5);
    }
    probe_close(&p);
    for (int dorefa = 0; dorefa < 2; dorefa++) {
        for (int bits = 2; bits <= 5; bits++) {
            crumb_lattice lattice;
            p = open_probe(dorefa, bits);
            probe_look(&p);
            crumb_quant_call call = crumb_node_call(p.trainer->network, p.node);
            assert_true(crumb_quant_lattice(&call, 0, &lattice));
            assert_true(fabs((double)lattice.step - steps[dorefa][bits - 2]) < 1e-6);
            assert_true(fabs((double)lattice.step - step_of(&(formula){.dorefa = dorefa, .bits = bits})) < 1e-7);
            probe_close(&p);
        }
    }
}

/* Zero, with no pull, on every level of 2 to 5 bits; the tolerance is the square of pi times a float rounding of f u <= 16. */
static void zero_on_the_levels(void **state) {
    (void)state;
    for (int dorefa = 0; dorefa < 2; dorefa++) {
        for (int bits = 2; bits <= 5; bits++) {
            probe p = open_probe(dorefa, bits);
            int levels = (1 << bits) - !dorefa;
            for (int64_t i = 0; i < p.count; i++) {
                double level = 2 * (double)(i % levels) / (levels - 1) - 1;
                p.w[i] = (float)level;
            }
            crumb_sine_term term = add(&p, &(crumb_sine){.weights = CRUMB_SINE_RAW}, 1);
            assert_true(term.mean < 1e-10);
            for (int64_t i = 0; i < p.count; i++) {
                assert_true(fabs((double)p.g[i]) < 1e-4 / (double)p.count * (PI / step_of(&(formula){dorefa, bits, 0, 0})));
            }
            probe_close(&p);
        }
    }
}

/* Small raw weights lie on the crest of DoReFa's sine: the means of 0.955 and 0.772 at 3 bits. 768 weights: the spread of the
 * mean is below 0.01. */
static void small_raw_weights_lie_on_the_crest(void **state) {
    (void)state;
    static const double deviations[2] = {0.02, 0.05}, means[2] = {0.955, 0.772};
    for (int i = 0; i < 2; i++) {
        probe p = open_probe(true, 3);
        probe_normal(&p, deviations[i]);
        crumb_sine_term raw = add(&p, &(crumb_sine){.weights = CRUMB_SINE_RAW}, 1);
        assert_true(fabs(raw.mean - means[i]) < 0.03);
        crumb_sine_term normalised = add(&p, &(crumb_sine){.weights = CRUMB_SINE_ROUNDED}, 1);
        assert_true(normalised.mean > 0.3 && normalised.mean < 0.7);
        probe_close(&p);
    }
}

/* Means and gradients against the formula in double, gradients by its differences with the range held. Tolerances: u carries a
 * few float roundings and f u is at most 16, hence 1e-5 of the largest slope; near the end of the clip differences see both
 * sides. */
static void gradients_are_the_formulas(void **state) {
    (void)state;
    for (int variant = 0; variant < 2 * 4 * 3; variant++) {
        formula f = {.dorefa = variant % 2, .bits = 2 + variant / 2 % 4, .weights = variant / 8};
        probe p = open_probe(f.dorefa, f.bits);
        probe_normal(&p, 0.6);
        f.range = range_of(&f, p.w, p.count);
        crumb_sine_term term = add(&p, &(crumb_sine){.weights = f.weights}, (double)p.count);
        double mean = 0, slope = PI / step_of(&f) / (f.weights == CRUMB_SINE_RAW ? 1 : fmin(1, f.range)), h = 1e-6;
        for (int64_t i = 0; i < p.count; i++) {
            double w = (double)p.w[i], difference = (sine(&f, w + h) - sine(&f, w - h)) / (2 * h);
            mean += sine(&f, w) / (double)p.count;
            bool corner = f.weights == CRUMB_SINE_ROUNDED && !f.dorefa && fabs(fabs(w) - 1) < 1e-3;
            if (!corner && !(fabs((double)p.g[i] - difference) <= 3e-5 * slope)) {
                fail_msg("variant %d: gradient %g at %g, not %g", variant, (double)p.g[i], w, difference);
            }
        }
        assert_true(fabs(mean - term.mean) < 1e-5);
        probe_close(&p);
    }
}

/* d mean / d bits against differences in bits, at whole and broken widths, from the quantizer's period and the plain one. */
static void widths_have_a_slope(void **state) {
    (void)state;
    static const double widths[] = {2, 2.7, 4.05, 5.5};
    for (int variant = 0; variant < 4; variant++) {
        probe p = open_probe(variant % 2, 4);
        probe_normal(&p, 0.5);
        for (size_t k = 0; k < sizeof(widths) / sizeof(widths[0]); k++) {
            const double h = 1e-3;
            crumb_sine at = {.bits = widths[k], .plain = variant / 2 == 1}, less = at, more = at;
            less.bits -= h;
            more.bits += h;
            double slope = add(&p, &at, 0).slope, difference = (add(&p, &more, 0).mean - add(&p, &less, 0).mean) / (2 * h);
            assert_true(fabs(slope - difference) < 1e-3 * (1 + fabs(slope))); /* h^2, and float roundings over h */
        }
        crumb_sine_term own = add(&p, &(crumb_sine){0}, 0), four = add(&p, &(crumb_sine){.bits = 4}, 0);
        assert_true(own.mean == four.mean);
        probe_close(&p);
    }
}

/* WaveQ's form, section 4 of the methods: sin^2(pi w (2^b - 1)) of w / max|w|; its derivatives by b and w. */
static void plain_form(void **state) {
    (void)state;
    probe p = open_probe(false, 8);
    probe_normal(&p, 0.1);
    const double bits = 3.3, f = exp2(bits) - 1;
    double most = 0, mean = 0, slope = 0, n = (double)p.count;
    for (int64_t i = 0; i < p.count; i++) {
        most = fmax(most, fabs((double)p.w[i]));
    }
    crumb_sine_term term = add(&p, &(crumb_sine){.weights = CRUMB_SINE_MAX, .bits = bits, .plain = true}, 1);
    for (int64_t i = 0; i < p.count; i++) {
        double w = (double)p.w[i] / most;
        mean += pow(sin(PI * w * f), 2) / n;
        slope += PI * w * log(2) * exp2(bits) * sin(2 * PI * w * f) / n;
        assert_true(fabs((double)p.g[i] - PI * f * sin(2 * PI * w * f) / n / most) < 1e-5 * PI * f / n / most);
    }
    assert_true(fabs(term.mean - mean) < 1e-6 && fabs(term.slope - slope) < 1e-5);
    probe_close(&p);
}

/* A step a channel: each channel its own lattice, all of them in one mean. */
static void channels_have_their_own_period(void **state) {
    (void)state;
    probe p = probe_open(ctx, "{weights: {name: uniform, bits: 3, per: channel}}", NULL);
    probe_normal(&p, 0.3);
    crumb_sine_term term = add(&p, &(crumb_sine){0}, (double)p.count);
    crumb_quant_call call = crumb_node_call(p.trainer->network, p.node);
    int64_t size = p.count / call.site->channels;
    double mean = 0;
    for (int64_t i = 0; i < p.count; i++) {
        double step = (double)call.state[0][i / size], w = (double)p.w[i];
        double r = fabs(w) <= 3 * step ? sin(PI * w / step) : 0,
               g = fabs(w) <= 3 * step ? PI / step * sin(2 * PI * w / step) : 0;
        mean += r * r / (double)p.count;
        assert_true(fabs((double)p.g[i] - g) < 3e-5 * PI / step);
    }
    assert_true(fabs(term.mean - mean) < 1e-6);
    probe_close(&p);
}

/* ---- What has no term. */

static void layers_without_a_term(void **state) {
    (void)state;
    static const char *const none[] = {"{weights: {name: bwn}}", "{weights: {name: dorefa, bits: 1}}", "{weights: {name: twn}}",
                                       "{activations: {name: dorefa, bits: 3}}"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        crumb_recipe *recipe;
        crumb_trainer *trainer;
        crumb_sine_term term;
        assert_ok(ctx, fixture_recipe(ctx, FIXTURE_MLP, none[i], "epochs: 1", NULL, &recipe));
        assert_ok(ctx, crumb_trainer_open(recipe, NULL, &trainer));
        assert_ok(ctx, crumb_phase_build(trainer, true));
        for (int node = 0; node < trainer->network->nodes; node++) {
            assert_false(crumb_sine_add(trainer, node, &(crumb_sine){0}, 1, &term));
        }
        crumb_trainer_close(trainer);
        crumb_recipe_free(recipe);
    }
    probe p = open_probe(true, 3); /* all weights zero: no range, no lattice */
    crumb_sine_term term;
    memset(p.w, 0, (size_t)p.count * sizeof(float));
    probe_look(&p);
    assert_false(crumb_sine_add(p.trainer, p.node, &(crumb_sine){0}, 1, &term));
    probe_close(&p);
}

/* ---- Runs. */

static double last_extra; /* of the last step */

static crumb_status watch(crumb_strategy_run *run, crumb_trainer *trainer) {
    (void)run;
    last_extra = trainer->epoch_extra / (double)trainer->epoch_seen;
    return CRUMB_OK;
}

static const crumb_strategy watcher = {.name = "watcher", .doc = "", .source = "tests", .after_step = watch};

static crumb_train_result train(const char *quantize, const char *strategies, const char *folder) {
    char setting[512];
    crumb_recipe *recipe;
    crumb_train_result result;
    snprintf(setting, sizeof(setting), "strategies=%s", strategies);
    assert_ok(ctx, fixture_recipe(ctx, FIXTURE_MLP, quantize, "epochs: 6, seed: 2, optimizer: {name: sgd, lr: 0.02}",
                                  (const char *const[]){setting, NULL}, &recipe));
    recipe->strategy[recipe->strategies++].strategy = &watcher;
    assert_ok(ctx, crumb_train(recipe, &(crumb_train_options){.out = folder}, &result));
    crumb_recipe_free(recipe);
    return result;
}

#define MIXED                                                                                                                  \
    "{weights: {name: dorefa, bits: 3}, first: 8bit, layers: [{match: fc1, weights: {name: dorefa, bits: 2}}, "                \
    "{match: fc2, weights: {name: wrpn, bits: 7}}]}"

/* Strength 0, or no layer of so few bits: the plain run's bits. */
static void nothing_changes_nothing(void **state) {
    (void)state;
    static const char *const idle[] = {"[{name: sinreq, strength: 0}]", "[{name: sinreq, strength: 9, max_bits: 1}]",
                                       "[{name: sinreq, strength: 0, profile: rising}]"};
    char plain[128], folder[128];
    snprintf(plain, sizeof(plain), "%s", test_folder());
    train(MIXED, "[]", plain);
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++) {
        snprintf(folder, sizeof(folder), "%s", test_folder());
        train(MIXED, idle[i], folder);
        assert_true(last_extra == 0);
        assert_true(fixture_same_file(fixture_path(folder, "last.safetensors"), fixture_path(plain, "last.safetensors")));
        fixture_remove(folder);
    }
    fixture_remove(plain);
}

/* The term counts layers of up to max_bits bits, each with its own period, and falls when it is strong. */
static void the_term_falls(void **state) {
    (void)state;
    train(MIXED, "[{name: sinreq, strength: 1e-6}]", NULL);
    double without = last_extra * 1e6;
    train(MIXED, "[{name: sinreq, strength: 1}]", NULL);
    double with = last_extra;
    assert_true(without > 0.1 && without <= 1); /* fc1 alone: fc2 has 7 bits */
    assert_true(with < 0.5 * without);
    train(MIXED, "[{name: sinreq, strength: 1e-6, max_bits: 8}]", NULL);
    assert_true(last_extra * 1e6 > without && last_extra * 1e6 <= 2);
    train(MIXED, "[{name: sinreq, strength: 1, profile: rising, centre: 1, width: 0.05}]", NULL);
    assert_true(last_extra > 1e-3 && last_extra < 0.5 * without); /* half of the strength at the end, little before */
}

static void rise(void **state) {
    (void)state;
    assert_true(crumb_sine_rise(0.2, 0.2, 0.02) == 0.5);
    assert_true(fabs(crumb_sine_rise(0.25, 0.2, 0.05) - 0.5 * (1 + tanh(1))) < 1e-15);
}

static int setup(void **state) {
    (void)state;
    fixture_data();
    return crumb_ctx_create(&ctx, &(crumb_settings){.threads = 2});
}

static int teardown(void **state) {
    (void)state;
    crumb_ctx_destroy(ctx);
    fixture_remove(fixture_data());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_numbers),
        cmocka_unit_test(zero_on_the_levels),
        cmocka_unit_test(small_raw_weights_lie_on_the_crest),
        cmocka_unit_test(gradients_are_the_formulas),
        cmocka_unit_test(widths_have_a_slope),
        cmocka_unit_test(plain_form),
        cmocka_unit_test(channels_have_their_own_period),
        cmocka_unit_test(layers_without_a_term),
        cmocka_unit_test(nothing_changes_nothing),
        cmocka_unit_test(the_term_falls),
        cmocka_unit_test(rise),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
