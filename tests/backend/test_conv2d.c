/* conv2d.h against naive loops in double: every residue of the tiles, strides, paddings, dilations, groups.
 *
 * The bound is the one the header promises. A sum of R products in f32, in any order, with or without fused
 * multiply-add, is within gamma(R) * sum |x*w| of the exact one, gamma(R) = R*u/(1 - R*u), u = 2^-24; a bias
 * or a value added to counts as one more term, and the rounding of a final store as one more step. */
#include "harness.h"

#include "backend/cpu/conv2d.h"

static crumb_ctx *ctx;

static uint32_t random_state = 1;

static uint32_t random_bits(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static int64_t random_below(int64_t n) {
    return (int64_t)random_bits() % n;
}

enum { GUARD = 32 };

/* count random floats between two guards that must survive. */
static float *make(int64_t count) {
    float *p = malloc((size_t)(count + 2 * GUARD) * sizeof(float));
    for (int64_t i = 0; i < count + 2 * GUARD; i++) {
        p[i] = i < GUARD || i >= count + GUARD ? 1234.5f : (float)random_bits() / 8388608.0f - 1.0f;
    }
    return p + GUARD;
}

static void drop(float *p, int64_t count) {
    for (int i = 0; i < GUARD; i++) {
        assert_true(p[-1 - i] == 1234.5f && p[count + i] == 1234.5f);
    }
    free(p - GUARD);
}

typedef struct {
    crumb_conv2d_shape s;
    int64_t x, w, y; /* element counts */
} sizes;

/* Calls visit(x index, w index, y index) for every product of the convolution. */
typedef void visitor(void *user, int64_t x, int64_t w, int64_t y);

static void taps(const crumb_conv2d_shape *s, int64_t n, int64_t i, int64_t j, int64_t o, visitor *visit, void *user) {
    const int64_t cg = s->c / s->groups, first = o / (s->o / s->groups) * cg;
    const int64_t oh = crumb_conv2d_out_h(s), ow = crumb_conv2d_out_w(s);
    for (int64_t kh = 0; kh < s->kh; kh++) {
        for (int64_t kw = 0; kw < s->kw; kw++) {
            const int64_t r = i * s->stride_h + kh * s->dilation_h - s->pad_top;
            const int64_t q = j * s->stride_w + kw * s->dilation_w - s->pad_left;
            if (r < 0 || r >= s->h || q < 0 || q >= s->w) {
                continue;
            }
            for (int64_t c = 0; c < cg; c++) {
                visit(user, ((n * s->h + r) * s->w + q) * s->c + first + c, ((o * s->kh + kh) * s->kw + kw) * cg + c,
                      ((n * oh + i) * ow + j) * s->o + o);
            }
        }
    }
}

static void every_product(const crumb_conv2d_shape *s, visitor *visit, void *user) {
    for (int64_t n = 0; n < s->n; n++) {
        for (int64_t i = 0; i < crumb_conv2d_out_h(s); i++) {
            for (int64_t j = 0; j < crumb_conv2d_out_w(s); j++) {
                for (int64_t o = 0; o < s->o; o++) {
                    taps(s, n, i, j, o, visit, user);
                }
            }
        }
    }
}

typedef struct {
    const float *x, *w, *y;
    double *sum, *size; /* of the tensor being computed */
    int64_t *terms;
    int which; /* 0: y, 1: dx, 2: dw */
} oracle;

static void accumulate(void *user, int64_t x, int64_t w, int64_t y) {
    oracle *o = user;
    const int64_t at = o->which == 0 ? y : o->which == 1 ? x : w;
    const double a = o->which == 1 ? (double)o->y[y] : (double)o->x[x], b = o->which == 0   ? (double)o->w[w]
                                                                            : o->which == 1 ? (double)o->w[w]
                                                                                            : (double)o->y[y];
    o->sum[at] += a * b;
    o->size[at] += fabs(a * b);
    o->terms[at]++;
}

static void compare(const char *what, const crumb_conv2d_shape *s, const float *got, const oracle *o, int64_t count) {
    const double u = ldexp(1.0, -24);
    for (int64_t i = 0; i < count; i++) {
        const double r = (double)o->terms[i] + 1.0, bound = r * u / (1.0 - r * u) * o->size[i];
        if (!(fabs((double)got[i] - o->sum[i]) <= bound)) {
            fail_msg("%s of n%d h%d w%d c%d o%d k%dx%d s%dx%d p%d,%d,%d,%d d%dx%d g%d: [%ld] is %.9g, not %.9g +- %.2g", what,
                     (int)s->n, (int)s->h, (int)s->w, (int)s->c, (int)s->o, (int)s->kh, (int)s->kw, (int)s->stride_h,
                     (int)s->stride_w, (int)s->pad_top, (int)s->pad_left, (int)s->pad_bottom, (int)s->pad_right,
                     (int)s->dilation_h, (int)s->dilation_w, (int)s->groups, (long)i, (double)got[i], o->sum[i], bound);
        }
    }
}

/* start: values that the result is added to, or NULL. */
static void check_pass(const char *what, const sizes *z, int which, const float *x, const float *w, const float *y,
                       const float *got, const float *start, int64_t start_period) {
    const int64_t count = which == 0 ? z->y : which == 1 ? z->x : z->w;
    oracle o = {.x = x, .w = w, .y = y, .which = which};
    o.sum = calloc((size_t)count, sizeof(double));
    o.size = calloc((size_t)count, sizeof(double));
    o.terms = calloc((size_t)count, sizeof(int64_t));
    for (int64_t i = 0; start && i < count; i++) {
        o.sum[i] = (double)start[i % start_period];
        o.size[i] = fabs(o.sum[i]);
        o.terms[i] = 1;
    }
    every_product(&z->s, accumulate, &o);
    compare(what, &z->s, got, &o, count);
    free(o.sum);
    free(o.size);
    free(o.terms);
}

static sizes measure(crumb_conv2d_shape s) {
    return (sizes){s, s.n * s.h * s.w * s.c, s.o * s.kh * s.kw * (s.c / s.groups),
                   s.n * crumb_conv2d_out_h(&s) * crumb_conv2d_out_w(&s) * s.o};
}

static void check_backward(const crumb_conv2d_plan *plan, const sizes *z, const float *x, const float *w, const float *y,
                           void *workspace) {
    float *dx = make(z->x), *before = make(z->x), *dw = make(z->w), *again = make(z->w), *db = make(z->s.o);
    assert_int_equal(crumb_conv2d_backward_data(plan, dx, y, w, 0, workspace), 0);
    check_pass("dx", z, 1, x, w, y, dx, NULL, 1);
    memcpy(dx, before, (size_t)z->x * sizeof(float));
    assert_int_equal(crumb_conv2d_backward_data(plan, dx, y, w, 1, workspace), 0);
    check_pass("dx added to", z, 1, x, w, y, dx, before, z->x);
    assert_int_equal(crumb_conv2d_backward_weights(plan, dw, db, x, y, workspace), 0);
    check_pass("dw", z, 2, x, w, y, dw, NULL, 1);
    assert_int_equal(crumb_conv2d_backward_weights(plan, again, NULL, x, y, workspace), 0);
    assert_memory_equal(again, dw, (size_t)z->w * sizeof(float));
    for (int64_t o = 0; o < z->s.o; o++) {
        double sum = 0.0;
        for (int64_t i = o; i < z->y; i += z->s.o) {
            sum += (double)y[i];
        }
        assert_true(fabs((double)db[o] - sum) <= ldexp(fabs(sum), -23));
    }
    drop(dx, z->x), drop(before, z->x), drop(dw, z->w), drop(again, z->w), drop(db, z->s.o);
}

static int check(crumb_conv2d_shape s, int threads, unsigned allow) {
    const sizes z = measure(s);
    crumb_conv2d_plan *plan = NULL;
    const crumb_status status = crumb_conv2d_plan_create(ctx, &s, threads, allow, &plan);
    if (status == CRUMB_ERROR_UNSUPPORTED) {
        assert_null(plan);
        return 0;
    }
    assert_ok(ctx, status);
    const int64_t bytes = (int64_t)crumb_conv2d_plan_workspace(plan);
    float *x = make(z.x), *w = make(z.w), *y = make(z.y), *bias = make(s.o), *got = make(z.y), *scratch = make(bytes / 4 + 16);
    void *workspace = (void *)(((uintptr_t)scratch + 63) / 64 * 64);
    assert_int_equal(crumb_conv2d_forward(plan, got, x, w, NULL, workspace), 0);
    check_pass("y", &z, 0, x, w, y, got, NULL, 1);
    assert_int_equal(crumb_conv2d_forward(plan, got, x, w, bias, workspace), 0);
    check_pass("y with bias", &z, 0, x, w, y, got, bias, s.o);
    check_backward(plan, &z, x, w, y, workspace);
    drop(x, z.x), drop(w, z.w), drop(y, z.y), drop(bias, s.o), drop(got, z.y), drop(scratch, bytes / 4 + 16);
    crumb_conv2d_plan_destroy(ctx, plan);
    return 1;
}

static crumb_conv2d_shape square(int64_t n, int64_t size, int64_t c, int64_t o, int64_t k, int64_t stride, int64_t pad) {
    return (crumb_conv2d_shape){n, size, size, c, o, k, k, stride, stride, pad, pad, pad, pad, 1, 1, 1};
}

static void test_tile_residues(void **state) {
    (void)state;
    for (int64_t width = 1; width <= 34; width++) {
        crumb_conv2d_shape s = square(2, 3, 5, 16, 3, 1 + width % 2, 1);
        s.w = width;
        check(s, 2, CRUMB_CONV2D_PREFER_OWN);
    }
    for (int64_t height = 1; height <= 9; height++) {
        crumb_conv2d_shape s = square(3, 8, 16, 8, 3, 1 + height % 2, 1);
        s.h = height;
        check(s, 2, CRUMB_CONV2D_PREFER_OWN);
    }
}

static void test_channel_residues(void **state) {
    (void)state;
    for (int64_t c = 1; c <= 33; c++) {
        check(square(1, 5, c, 8 + c % 9, 3, 1 + c % 2, 1), 1, CRUMB_CONV2D_PREFER_OWN);
        check(square(1, 5, 1 + c % 4, c, 3, 1 + c % 2, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    }
}

/* Images larger than a unit's scratch, several images a unit, more threads than units. */
static void test_units(void **state) {
    (void)state;
    check(square(1, 40, 48, 16, 3, 1, 1), 3, CRUMB_CONV2D_PREFER_OWN);
    check(square(1, 41, 40, 16, 3, 2, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    check(square(13, 4, 16, 16, 3, 1, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    check(square(9, 8, 3, 24, 3, 1, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    check(square(1, 4, 16, 16, 3, 1, 1), 5, CRUMB_CONV2D_PREFER_OWN);
    check(square(1, 70, 3, 16, 3, 1, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    check(square(2, 9, 256, 8, 3, 1, 1), 2, CRUMB_CONV2D_PREFER_OWN);
}

static crumb_conv2d_shape random_shape(void) {
    crumb_conv2d_shape s = {.n = 1 + random_below(3), .h = 1 + random_below(12), .w = 1 + random_below(20)};
    s.groups = random_below(4) ? 1 : 1 + random_below(3);
    s.c = s.groups * (1 + random_below(20));
    s.o = s.groups * (1 + random_below(20));
    s.kh = 1 + random_below(4), s.kw = 1 + random_below(4);
    s.stride_h = 1 + random_below(3), s.stride_w = 1 + random_below(3);
    s.dilation_h = random_below(3) ? 1 : 2, s.dilation_w = random_below(3) ? 1 : 2;
    s.pad_top = random_below(3), s.pad_left = random_below(3);
    s.pad_bottom = random_below(3), s.pad_right = random_below(3);
    return s;
}

static void check_random(unsigned allow, int cases) {
    int done = 0;
    for (int i = 0; i < cases; i++) {
        crumb_conv2d_shape s = random_shape();
        if (s.h + s.pad_top + s.pad_bottom > (s.kh - 1) * s.dilation_h &&
            s.w + s.pad_left + s.pad_right > (s.kw - 1) * s.dilation_w) {
            done += check(s, random_below(6) ? 1 : 2 + (int)random_below(2), allow);
        }
    }
    print_message("%d of %d random shapes were supported\n", done, cases);
}

static void test_random_shapes(void **state) {
    (void)state;
    check_random(CRUMB_CONV2D_AUTO, 300);
}

static void test_random_shapes_library(void **state) {
    (void)state;
    check_random(CRUMB_CONV2D_ONEDNN, 150);
}

static void test_random_shapes_own(void **state) {
    (void)state;
    for (int i = 0; i < 150; i++) {
        crumb_conv2d_shape s = random_shape();
        s.c /= s.groups;
        s.o = 8 * (1 + random_below(5));
        s.kw = 3, s.groups = s.dilation_h = s.dilation_w = 1;
        s.stride_h = 1 + random_below(2), s.stride_w = 1 + random_below(2);
        s.h += s.kh, s.w += s.kw;
        check(s, random_below(6) ? 1 : 2 + (int)random_below(2), CRUMB_CONV2D_OWN);
    }
}

static void test_resnet20_shapes(void **state) {
    (void)state;
    check(square(2, 32, 3, 16, 3, 1, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    check(square(2, 32, 16, 16, 3, 1, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    check(square(2, 32, 16, 32, 3, 2, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    check(square(3, 16, 32, 32, 3, 1, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    check(square(3, 16, 32, 64, 3, 2, 1), 2, CRUMB_CONV2D_PREFER_OWN);
    check(square(5, 8, 64, 64, 3, 1, 1), 2, CRUMB_CONV2D_PREFER_OWN);
}

/* Forward and backward-data have one order of summation whatever the threads. */
static void test_threads_do_not_change_bits(void **state) {
    (void)state;
    const crumb_conv2d_shape s = square(5, 11, 16, 24, 3, 2, 1);
    const sizes z = measure(s);
    float *x = make(z.x), *w = make(z.w), *y[2] = {make(z.y), make(z.y)}, *dx[2] = {make(z.x), make(z.x)};
    for (int i = 0; i < 2; i++) {
        crumb_conv2d_plan *plan = NULL;
        if (crumb_conv2d_plan_create(ctx, &s, 1 + 2 * i, CRUMB_CONV2D_OWN, &plan)) {
            skip();
        }
        void *workspace = aligned_alloc(64, (crumb_conv2d_plan_workspace(plan) + 63) / 64 * 64);
        assert_int_equal(crumb_conv2d_forward(plan, y[i], x, w, NULL, workspace), 0);
        assert_int_equal(crumb_conv2d_backward_data(plan, dx[i], y[0], w, 0, workspace), 0);
        free(workspace);
        crumb_conv2d_plan_destroy(ctx, plan);
    }
    assert_memory_equal(y[0], y[1], (size_t)z.y * sizeof(float));
    assert_memory_equal(dx[0], dx[1], (size_t)z.x * sizeof(float));
    drop(x, z.x), drop(w, z.w), drop(y[0], z.y), drop(y[1], z.y), drop(dx[0], z.x), drop(dx[1], z.x);
}

static void test_bad_shapes(void **state) {
    (void)state;
    crumb_conv2d_plan *plan = NULL;
    crumb_conv2d_shape s = square(1, 4, 4, 4, 3, 1, 0);
    s.groups = 3;
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "4 x 4 x 4 through 3 x 3, 3 groups",
                 crumb_conv2d_plan_create(ctx, &s, 1, CRUMB_CONV2D_AUTO, &plan));
    s = square(1, 2, 4, 4, 3, 1, 0);
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "2 x 2 x 4 through 3 x 3",
                 crumb_conv2d_plan_create(ctx, &s, 1, CRUMB_CONV2D_AUTO, &plan));
    assert_null(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tile_residues),
        cmocka_unit_test(test_channel_residues),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_resnet20_shapes),
        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_random_shapes_library),
        cmocka_unit_test(test_random_shapes_own),
        cmocka_unit_test(test_threads_do_not_change_bits),
        cmocka_unit_test(test_bad_shapes),
    };
    test_memory memory = {0};
    ctx = test_ctx(&memory, 3);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    crumb_ctx_destroy(ctx);
    return failed + (memory.live != 0);
}
