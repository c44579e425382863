/* The same questions to every row of quantizers.inc, in each role, at each number of bits, with every word of every parameter,
 * on tensors both ordinary and hostile. */
#include "site.h"

#include "quant/uniform.h"

#include <float.h>

static crumb_ctx *ctx;

static int setup(void **state) {
    (void)state;
    return crumb_ctx_create(&ctx, NULL);
}

static int teardown(void **state) {
    (void)state;
    crumb_ctx_destroy(ctx);
    return 0;
}

/* ---- What is asked: a row in a role at some bits, one parameter off its preset, a shape and its values. */

typedef enum fill {
    FILL_NORMAL,
    FILL_SMALL,
    FILL_HALVES, /* multiples of 1/8: ties and edges */
    FILL_CONSTANT,
    FILL_ONE_HOT,
    FILL_ZERO,
    FILL_FINE, /* up to here values are ordinary numbers: results must be numbers too */
    FILL_DENORMAL,
    FILL_HUGE,
    FILL_NAN,
    FILL_INFINITE,
    FILLS
} fill;

typedef struct question {
    const crumb_quantizer *row;
    bool weight;
    int bits;
    const crumb_param *param; /* NULL: all presets */
    const char *word;
    crumb_shape shape;
    fill fill;
} question;

static void fill_values(float *x, int64_t count, fill kind) {
    static const float special[] = {[FILL_NAN] = NAN, [FILL_INFINITE] = INFINITY};
    test_fill_normal(x, count, kind == FILL_SMALL ? 0.02f : 1.0f, 11);
    for (int64_t i = 0; i < count; i++) {
        float sign = x[i] < 0.0f ? -1.0f : 1.0f;
        switch (kind) {
        case FILL_HALVES:
            x[i] = 0.125f * (float)(i % 41 - 20);
            break;
        case FILL_CONSTANT:
            x[i] = 0.3f;
            break;
        case FILL_ONE_HOT:
            x[i] = i == count / 2 ? -0.7f : 0.0f;
            break;
        case FILL_ZERO:
            x[i] = i % 2 == 0 ? 0.0f : -0.0f;
            break;
        case FILL_DENORMAL:
            x[i] *= FLT_MIN / 64.0f;
            break;
        case FILL_HUGE:
            x[i] = sign * (i % 3 == 0 ? FLT_MAX : 1e37f);
            break;
        case FILL_NAN:
        case FILL_INFINITE:
            x[i] = i % 5 == 0 ? sign * special[kind] : x[i];
            break;
        default:
            break;
        }
    }
}

static test_site *make(const question *q) {
    test_site *t = test_site_make(ctx, q->row->name, q->weight, q->bits, q->shape);
    if (q->param != NULL) {
        test_site_param(t, q->param->name, q->word);
    }
    fill_values(t->x, t->count, q->fill);
    test_fill_normal(t->dy, t->count, 1.0f, 12);
    return t;
}

/* Calls body for the preset parameters and for each other word of each BOOL and CHOICE. */
static void each_variant(question q, void (*body)(const question *q)) {
    char word[64];
    body(&q);
    for (const crumb_param *param = q.row->params; param != NULL && param->name != NULL; param++) {
        const char *words = param->type == CRUMB_PARAM_BOOL ? "true|false" : param->choices;
        for (int i = 0; words != NULL && crumb_choice_word(words, i, word, sizeof(word))[0] != '\0'; i++) {
            if (strcmp(word, param->preset) != 0) {
                q.param = param;
                q.word = word;
                body(&q);
            }
        }
    }
}

static void each_question(void (*body)(const question *q)) {
    static const crumb_shape shapes[2][5] = {
        {{1, {7}}, {2, {2, 1}}, {4, {1, 2, 2, 5}}, {2, {3, 33}}, {4, {2, 5, 5, 7}}}, /* activations */
        {{1, {1}}, {2, {6, 5}}, {4, {4, 1, 1, 1}}, {2, {1, 40}}, {4, {8, 3, 3, 6}}}, /* weights */
    };
    for (int k = 0; crumb_quantizers[k] != NULL; k++) {
        const crumb_quantizer *row = crumb_quantizers[k];
        for (int bits = row->min_bits; bits <= row->max_bits; bits++) {
            for (int role = 0; role < 2; role++) {
                if ((row->flags & (role ? CRUMB_QUANT_WEIGHT : CRUMB_QUANT_ACTIVATION)) == 0) {
                    continue;
                }
                for (int s = 0; s < 5; s++) {
                    for (fill f = 0; f < FILLS; f++) {
                        each_variant((question){row, role, bits, NULL, NULL, shapes[role][s], f}, body);
                    }
                }
            }
        }
    }
}

/* For messages: "lsq weight 3 bits per=channel 8x3x3x6 fill 4". */
static void fail_at(const question *q, const char *what, int64_t index, float got, float want) {
    char text[CRUMB_SHAPE_TEXT];
    fail_msg("%s %s %d bits %s=%s %s fill %d: %s at %lld: %g, expected %g", q->row->name, q->weight ? "weight" : "activation",
             q->bits, q->param ? q->param->name : "presets", q->param ? q->word : "", crumb_shape_print(q->shape, text),
             (int)q->fill, what, (long long)index, (double)got, (double)want);
}

static void check_same(const question *q, const char *what, const float *got, const float *want, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (!test_same(got[i], want[i])) {
            fail_at(q, what, i, got[i], want[i]);
        }
    }
}

static void check_near(const question *q, const char *what, const float *got, const float *want, float factor, int64_t count) {
    float largest = 0.0f;
    for (int64_t i = 0; i < count; i++) {
        largest = fmaxf(largest, fabsf(factor * want[i]));
    }
    for (int64_t i = 0; i < count; i++) {
        if (!(fabsf(got[i] - factor * want[i]) <= 1e-6f * largest)) {
            fail_at(q, what, i, got[i], factor * want[i]);
        }
    }
}

/* ---- Rows. */

static void test_rows(void **state) {
    (void)state;
    for (int k = 0; crumb_quantizers[k] != NULL; k++) {
        const crumb_quantizer *row = crumb_quantizers[k];
        assert_ptr_equal(crumb_quantizer_find(row->name), row);
        assert_true(row->doc != NULL && row->source != NULL && row->state != NULL);
        assert_true(row->params_size <= CRUMB_QUANT_PARAMS_MAX);
        assert_true(row->levels != NULL && row->fake != NULL && row->grad != NULL && row->encode != NULL);
        assert_int_equal(row->project != NULL, (row->flags & CRUMB_QUANT_PROJECTS) != 0);
        assert_true(1 <= row->min_bits && row->min_bits <= row->max_bits && row->max_bits <= 8);
        assert_true(row->flags & (CRUMB_QUANT_WEIGHT | CRUMB_QUANT_ACTIVATION));
        int states = 0;
        while (row->state[states].name != NULL) {
            states++;
        }
        assert_true(states <= CRUMB_QUANT_STATE_MAX);
    }
    assert_null(crumb_quantizer_find("no such"));
}

/* ---- Codes. */

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int distinct(const float *values, int64_t count) {
    float *sorted = test_floats(count);
    int numbers = 0, found = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!isnan(values[i])) {
            sorted[numbers++] = values[i];
        }
    }
    qsort(sorted, (size_t)numbers, sizeof(float), compare_floats);
    for (int i = 0; i < numbers; i++) {
        found += i == 0 || sorted[i] != sorted[i - 1];
    }
    free(sorted);
    return found;
}

/* decode(encode(x)) is fake(x); codes are multiply * index + offset; no group has more values than levels. */
static void ask_codes(const question *q) {
    test_site *t = make(q);
    test_site_forward(t, true);
    crumb_quant_call call = test_site_call(t);
    crumb_codes codes = {.count = t->count};
    codes.code = calloc((size_t)t->count, sizeof(int16_t));
    codes.scale = test_floats(t->site.channels * t->site.groups);
    q->row->encode(&call, &codes);
    assert_int_equal(codes.levels, q->row->levels(&t->site));
    assert_true(codes.levels >= 2 && codes.levels <= 1 << q->bits);
    assert_true(codes.groups == 1 || (q->weight && codes.groups == t->site.channels * t->site.groups));
    assert_true(codes.groups >= t->site.groups);
    for (int64_t i = 0; i < t->count; i++) {
        int index = (codes.code[i] - codes.offset) / codes.multiply;
        assert_int_equal(codes.multiply * index + codes.offset, codes.code[i]);
        assert_in_range(index, 0, codes.levels - 1);
        float value = codes.scale[crumb_codes_group(&codes, i)] * (float)codes.code[i];
        if (!test_same(value, t->y[i])) {
            fail_at(q, "decode(encode)", i, value, t->y[i]);
        }
        if (q->fill < FILL_FINE && !isfinite(value)) {
            fail_at(q, "value", i, value, 0.0f);
        }
    }
    for (int64_t g = 0, from = 0, to = 0; g < codes.groups; g++, from = to) {
        while (to < t->count && crumb_codes_group(&codes, to) == g) {
            to++;
        }
        assert_true(to > from);
        assert_in_range(distinct(t->y + from, to - from), 0, codes.levels);
    }
    free(codes.code);
    free(codes.scale);
    test_site_free(t);
}

static void test_codes(void **state) {
    (void)state;
    each_question(ask_codes);
}

/* ---- The same question twice, from saved state, and added. */

static void ask_again(const question *q) {
    test_site *first = make(q), *second = make(q), *loaded = make(q);
    test_site_forward(first, true);
    test_site_backward(first);
    test_site_forward(second, true);
    test_site_backward(second);
    check_same(q, "y again", second->y, first->y, first->count);
    check_same(q, "dx again", second->dx, first->dx, first->count);
    for (int k = 0; k < first->states; k++) {
        check_same(q, "state again", second->state[k], first->state[k], first->state_count[k]);
        check_same(q, "dstate again", second->dstate[k], first->dstate[k], first->state_count[k]);
        memcpy(loaded->state[k], first->state[k], (size_t)first->state_count[k] * sizeof(float));
    }
    for (int64_t i = 0; i < first->count; i++) {
        loaded->dx[i] = 3.0f;
    }
    loaded->add = true;
    test_site_forward(loaded, false);
    test_site_backward(loaded);
    check_same(q, "y from saved state", loaded->y, first->y, first->count);
    for (int64_t i = 0; i < first->count; i++) {
        float want = 3.0f + first->dx[i];
        if (!test_same(loaded->dx[i], want) && fabsf(loaded->dx[i] - want) > 1e-5f * (3.0f + fabsf(first->dx[i]))) {
            fail_at(q, "added dx", i, loaded->dx[i], want);
        }
        if (q->fill < FILL_FINE && !isfinite(first->dx[i])) {
            fail_at(q, "dx", i, first->dx[i], 0.0f);
        }
    }
    test_site_free(first);
    test_site_free(second);
    test_site_free(loaded);
}

static void test_again(void **state) {
    (void)state;
    each_question(ask_again);
}

/* ---- The uniform form, from its definition. */

static void ask_uniform(const question *q) {
    if (q->row->uniform == NULL) {
        return;
    }
    test_site *t = make(q);
    test_site_forward(t, true);
    test_site_backward(t);
    crumb_quant_call call = test_site_call(t);
    crumb_uniform u;
    if (q->row->uniform(&call, &u)) {
        double inside = 0, above = 0, below = 0, size = 0;
        for (int64_t i = 0; i < t->count; i++) {
            float v = t->x[i] * u.inverse, c = rintf(fminf(fmaxf(v, u.lo), u.hi));
            bool within = v >= u.lo && v <= u.hi;
            c = isnan(v) ? u.lo : c;
            float y = c * u.step, dx = within ? t->dy[i] : 0.0f;
            check_same(q, "y of the uniform form", &t->y[i], &y, 1);
            check_same(q, "dx of the uniform form", &t->dx[i], &dx, 1);
            inside += within ? (double)t->dy[i] * ((double)c - (double)v) : 0.0;
            above += !within && v > u.hi ? (double)t->dy[i] : 0.0;
            below += !within && !(v > u.hi) ? (double)t->dy[i] : 0.0;
            size += fabs((double)t->dy[i]) * (double)fmaxf(-u.lo, u.hi);
        }
        if (u.learned >= 0) {
            double scale = (double)u.grad_scale;
            double want = scale * ((double)u.grad_inside * inside + above * (double)u.hi + below * (double)u.lo);
            double got = (double)t->dstate[u.learned][0];
            if (!(fabs(got - want) <= 1e-6 * scale * size)) {
                fail_at(q, "dstep of the uniform form", 0, (float)got, (float)want);
            }
            assert_true(q->row->state[u.learned].learned);
        }
    }
    test_site_free(t);
}

static void test_uniform(void **state) {
    (void)state;
    each_question(ask_uniform);
}

/* Every activation row of the form says so: fused kernels depend on it. */
static void test_uniform_rows(void **state) {
    (void)state;
    static const char *const rows[] = {"dorefa", "lsq", "minmax", "pact", "wrpn"};
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        test_site *t = test_site_make(ctx, rows[k], false, 2, CRUMB_SHAPE(3, 5));
        crumb_quant_call call = test_site_call(t);
        crumb_uniform u;
        assert_true(t->site.quantizer->uniform(&call, &u));
        assert_true(u.lo == 0.0f || strcmp(rows[k], "minmax") == 0);
        test_site_free(t);
    }
}

/* ---- The lattice: Q(x) is the level nearest to the number that is rounded. */

static void ask_lattice(const question *q) {
    if (!q->weight || (q->fill != FILL_NORMAL && q->fill != FILL_SMALL)) {
        return;
    }
    test_site *t = make(q);
    test_site_forward(t, true);
    crumb_quant_call call = test_site_call(t);
    int64_t channels = crumb_quant_has_channels(&t->site) ? t->site.channels : 1, size = t->count / channels;
    for (int64_t i = 0; i < t->count; i++) {
        crumb_lattice l;
        if (!crumb_quant_lattice(&call, i / size, &l)) {
            continue;
        }
        assert_int_equal((int)rint((double)(l.hi - l.lo) / (double)l.step) + 1, q->row->levels(&t->site));
        double x = (double)t->x[i], u = (double)l.gain * (l.tanh ? tanh(x) : x);
        double place = (fmin(fmax(u, (double)l.lo), (double)l.hi) - (double)l.lo) / (double)l.step;
        if (fabs(fabs(place - rint(place)) - 0.5) < 1e-4) {
            continue; /* between two levels, where roundings of float decide */
        }
        double level = (double)l.lo + rint(place) * (double)l.step;
        if (!(fabs((double)t->y[i] - level) <= 1e-5 * (double)l.hi)) { /* a few roundings of numbers up to hi */
            fail_at(q, "nearest level", i, t->y[i], (float)level);
        }
    }
    test_site_free(t);
}

static void test_lattice(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int bits;
        bool has;
    } rows[] = {{"bwn", 1, false},    {"ctmq", 1, false}, {"ctmq", 2, true},   {"dorefa", 1, false},
                {"dorefa", 5, true},  {"lsq", 3, true},   {"minmax", 8, true}, {"twn", 2, false},
                {"uniform", 2, true}, {"wrpn", 1, false}, {"wrpn", 4, true},   {"xnor", 1, false}};
    each_question(ask_lattice);
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        crumb_lattice lattice;
        test_site *t = test_site_make(ctx, rows[k].name, true, rows[k].bits, CRUMB_SHAPE(2, 6));
        test_fill_normal(t->x, t->count, 1.0f, 13);
        test_site_forward(t, true);
        crumb_quant_call call = test_site_call(t);
        assert_int_equal(crumb_quant_lattice(&call, 1, &lattice), rows[k].has);
        memset(t->x, 0, (size_t)t->count * sizeof(float));
        bool fixed =
            strcmp(rows[k].name, "wrpn") == 0 || strcmp(rows[k].name, "lsq") == 0; /* the step is not of these weights */
        test_site_forward(t, true);
        assert_int_equal(crumb_quant_lattice(&call, 0, &lattice), rows[k].has && fixed);
        test_site_free(t);
    }
}

/* ---- Declared properties. They speak of weights where a row does weights. */

static void ask_properties(const question *q) {
    unsigned flags = q->row->flags;
    if ((q->fill != FILL_NORMAL && q->fill != FILL_SMALL) || q->param != NULL ||
        (!q->weight && (flags & CRUMB_QUANT_WEIGHT) != 0)) {
        return;
    }
    test_site *once = make(q), *twice = make(q);
    test_site_forward(once, true);
    if (flags & CRUMB_QUANT_ODD) {
        for (int64_t i = 0; i < once->count; i++) {
            twice->x[i] = -once->x[i];
        }
        test_site_forward(twice, true);
        check_near(q, "Q(-x)", twice->y, once->y, -1.0f, once->count);
    }
    for (float factor = 0.25f; (flags & CRUMB_QUANT_SCALES) && factor <= 4.0f; factor *= 2.0f) {
        for (int64_t i = 0; i < once->count; i++) {
            twice->x[i] = factor * once->x[i];
        }
        test_site_forward(twice, true);
        check_near(q, "Q(ax)", twice->y, once->y, factor, once->count);
    }
    if (flags & CRUMB_QUANT_IDEMPOTENT) {
        bool learned = false;
        for (int k = 0; k < once->states; k++) {
            learned |= q->row->state[k].learned;
        }
        test_site *again = make(q);
        for (int k = 0; learned && k < once->states; k++) {
            memcpy(again->state[k], once->state[k], (size_t)once->state_count[k] * sizeof(float));
        }
        memcpy(again->x, once->y, (size_t)once->count * sizeof(float));
        test_site_forward(again, true);
        check_near(q, "Q(Q(x))", again->y, once->y, 1.0f, once->count);
        test_site_free(again);
    }
    test_site_free(once);
    test_site_free(twice);
}

/* The state of an activation follows every training batch if the row says so, and else only the first. */
static void ask_running(const question *q) {
    if (q->weight || q->fill != FILL_NORMAL) {
        return;
    }
    test_site *t = make(q), *after = make(q);
    test_site_forward(t, true);
    for (int k = 0; k < t->states; k++) {
        memcpy(after->state[k], t->state[k], (size_t)t->state_count[k] * sizeof(float));
    }
    for (int64_t i = 0; i < t->count; i++) {
        after->x[i] = 3.0f * t->x[i] + 1.0f;
    }
    test_site_forward(after, true);
    bool moved = false;
    for (int k = 0; k < t->states; k++) {
        moved |= memcmp(after->state[k], t->state[k], (size_t)t->state_count[k] * sizeof(float)) != 0;
    }
    if (moved != ((q->row->flags & CRUMB_QUANT_RUNNING) != 0)) {
        fail_at(q, moved ? "state moved" : "state stayed", 0, 0.0f, 0.0f);
    }
    test_site_free(t);
    test_site_free(after);
}

static void test_running(void **state) {
    (void)state;
    each_question(ask_running);
}

static void test_properties(void **state) {
    (void)state;
    each_question(ask_properties);
}

/* A NaN among the weights reaches the output of every rule whose scale comes from the data, so that training notices. */
static void test_nan_shows(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int bits;
    } rows[] = {{"bwn", 1},    {"ctmq", 1}, {"ctmq", 3},    {"dorefa", 1}, {"dorefa", 3},
                {"minmax", 8}, {"twn", 2},  {"uniform", 2}, {"wrpn", 1},   {"xnor", 1}};
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        test_site *t = test_site_make(ctx, rows[k].name, true, rows[k].bits, CRUMB_SHAPE(2, 6));
        test_fill_normal(t->x, t->count, 1.0f, 13);
        t->x[4] = NAN;
        test_site_forward(t, true);
        assert_true(isnan(t->y[0]) && isnan(t->y[4]));
        test_site_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_codes),      cmocka_unit_test(test_again),
        cmocka_unit_test(test_uniform),      cmocka_unit_test(test_properties), cmocka_unit_test(test_nan_shows),
        cmocka_unit_test(test_uniform_rows), cmocka_unit_test(test_running),    cmocka_unit_test(test_lattice),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
