/* Every row of kernels.inc against the definition (packed.h): sums over the window, written out. Buffers have their exact
 * sizes, so the sanitizer build sees a kernel that reads or writes next to them. */
#include "harness.h"

#include "runtime/kernel.h"

typedef struct setup {
    crumb_conv_problem p;
    int32_t images;
    int fill;
    uint8_t *codes;  /* x */
    float *reals;    /* x */
    void *weight;    /* uint16_t, float */
    float *scale;    /* of groups */
    int32_t *wanted; /* bits of float or int32 */
    int32_t *got;
    uint8_t *seen;
} setup;

enum { RANDOM, ALL_MAX, ALL_MIN, ALTERNATING, FILLS };

static size_t inputs(const setup *s) {
    return (size_t)s->images * (size_t)s->p.height * (size_t)s->p.width * (size_t)s->p.channels;
}

static size_t outputs(const setup *s) {
    return (size_t)s->images * (size_t)s->p.out_height * (size_t)s->p.out_width * (size_t)s->p.out_channels;
}

static size_t window(const setup *s) {
    return (size_t)s->p.kernel_height * (size_t)s->p.kernel_width * (size_t)(s->p.channels / s->p.groups);
}

static uint32_t level(uint64_t *state, int fill, int32_t levels, size_t i) {
    uint32_t high = (uint32_t)levels - 1;
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return fill == RANDOM    ? (uint32_t)(*state >> 33) % (uint32_t)levels
           : fill == ALL_MAX ? high
           : fill == ALL_MIN ? 0
           : i % 2           ? high
                             : 0;
}

static float real(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(int64_t)*state * 0x1p-62);
}

static int32_t bits_of(int32_t levels) {
    int32_t bits = 1;
    while ((1 << bits) < levels) {
        bits++;
    }
    return bits;
}

/* ---- The definition */

static bool inside(const crumb_conv_problem *p, int32_t y, int32_t x) {
    return y >= 0 && y < p->height && x >= 0 && x < p->width;
}

/* Index of the input element that tap (kh, kw), channel c of output (n, y, x, o) reads, or -1 in the padding. */
static int64_t element(const crumb_conv_problem *p, int64_t n, int32_t y, int32_t x, int32_t o, int32_t kh, int32_t kw,
                       int32_t c) {
    int32_t h = y * p->stride - p->padding + kh * p->dilation, w = x * p->stride - p->padding + kw * p->dilation;
    int32_t group = o / (p->out_channels / p->groups);
    return inside(p, h, w) ? ((n * p->height + h) * p->width + w) * p->channels + group * (p->channels / p->groups) + c : -1;
}

static int32_t sum_codes(const setup *s, int64_t n, int32_t y, int32_t x, int32_t o) {
    const crumb_conv_problem *p = &s->p;
    const uint16_t *w = (const uint16_t *)s->weight + (size_t)o * window(s);
    int64_t acc = 0;
    for (int32_t kh = 0; kh < p->kernel_height; kh++) {
        for (int32_t kw = 0; kw < p->kernel_width; kw++) {
            for (int32_t c = 0; c < p->channels / p->groups; c++, w++) {
                int64_t at = element(p, n, y, x, o, kh, kw, c);
                acc += at < 0 ? 0 : (int64_t)crumb_packed_code(&p->x, s->codes[at]) * crumb_packed_code(&p->w, *w);
            }
        }
    }
    assert_true(acc >= INT32_MIN && acc <= INT32_MAX);
    return (int32_t)acc;
}

/* The sums of groups of a pixel's channels, each by its scale. */
static float sum_groups(const setup *s, int64_t n, int32_t y, int32_t x, int32_t o) {
    const crumb_conv_problem *p = &s->p;
    const int32_t few = p->w.levels > 4 ? 1 : p->w.levels > 2 ? 2 : 4;
    const uint16_t *w = (const uint16_t *)s->weight + (size_t)o * window(s);
    const float *scale = s->scale + o * ((p->channels + p->group - 1) / p->group);
    float acc = 0;
    for (int32_t first = 0; first < p->channels; first += p->group) {
        const int32_t end = first + p->group < p->channels ? first + p->group : p->channels;
        float sum = 0, part = 0;
        for (int32_t c = first; c < end; c++) {
            const float v = s->reals[element(p, n, y, x, o, 0, 0, c)], code = (float)crumb_packed_code(&p->w, w[c]);
            if (few == 1) {
                sum = fmaf(v, code, sum);
                continue;
            }
            part = fmaf(v, code, (c - first) % few == 0 ? 0.0f : part);
            if ((c - first) % few == few - 1 || c == end - 1) {
                sum += part;
            }
        }
        acc = fmaf(sum, scale[first / p->group], acc);
    }
    return acc;
}

static float sum_reals(const setup *s, int64_t n, int32_t y, int32_t x, int32_t o) {
    const crumb_conv_problem *p = &s->p;
    const int32_t in = p->channels / p->groups, levels = p->w.levels, few = levels == 0 || levels > 4 ? 1 : levels > 2 ? 2 : 4;
    size_t at = (size_t)o * window(s);
    float acc = 0;
    for (int32_t kh = 0; kh < p->kernel_height; kh++) {
        for (int32_t kw = 0; kw < p->kernel_width; kw++) {
            float part = 0;
            for (int32_t c = 0; c < in; c++, at++) {
                int64_t from = element(p, n, y, x, o, kh, kw, c);
                if (from < 0) {
                    continue;
                }
                float w = levels == 0 ? ((float *)s->weight)[at] : (float)crumb_packed_code(&p->w, ((uint16_t *)s->weight)[at]);
                if (few == 1) {
                    acc = fmaf(s->reals[from], w, acc);
                    continue;
                }
                part = fmaf(s->reals[from], w, c % few == 0 ? 0.0f : part);
                if (c % few == few - 1 || c == in - 1) {
                    acc += part;
                }
            }
        }
    }
    return acc;
}

static void want(const setup *s) {
    const crumb_conv_problem *p = &s->p;
    int32_t *to = s->wanted;
    for (int64_t pixel = 0; pixel < (int64_t)s->images * p->out_height * p->out_width; pixel++) {
        int64_t n = pixel / (p->out_height * p->out_width);
        int32_t y = (int32_t)(pixel / p->out_width % p->out_height), x = (int32_t)(pixel % p->out_width);
        for (int32_t o = 0; o < p->out_channels; o++, to++) {
            if (p->x.levels != 0) {
                *to = sum_codes(s, n, y, x, o);
            } else {
                float acc = p->group > 0 ? sum_groups(s, n, y, x, o) : sum_reals(s, n, y, x, o);
                memcpy(to, &acc, sizeof(acc));
            }
        }
    }
}

/* ---- A problem and its buffers */

static void make(setup *s, crumb_conv_problem p, int32_t images, int fill, uint64_t seed) {
    const int32_t reach_y = (p.kernel_height - 1) * p.dilation + 1, reach_x = (p.kernel_width - 1) * p.dilation + 1;
    p.out_height = (p.height + 2 * p.padding - reach_y) / p.stride + 1;
    p.out_width = (p.width + 2 * p.padding - reach_x) / p.stride + 1;
    p.x.bits = p.x.levels ? bits_of(p.x.levels) : 0;
    p.w.bits = p.w.levels ? bits_of(p.w.levels) : 0;
    *s = (setup){.p = p, .images = images, .fill = fill};
    const size_t weights = (size_t)p.out_channels * window(s);
    s->codes = malloc(inputs(s));
    s->reals = malloc(inputs(s) * sizeof(float));
    s->weight = malloc(weights * (p.w.levels ? sizeof(uint16_t) : sizeof(float)));
    s->wanted = malloc(outputs(s) * sizeof(int32_t));
    s->got = malloc(outputs(s) * sizeof(int32_t));
    s->seen = malloc(outputs(s));
    for (size_t i = 0; i < inputs(s); i++) {
        s->reals[i] = real(&seed);
        s->codes[i] = (uint8_t)(p.x.levels ? level(&seed, fill, p.x.levels, i) : 0);
    }
    for (size_t i = 0; i < weights; i++) {
        if (p.w.levels) {
            ((uint16_t *)s->weight)[i] = (uint16_t)level(&seed, fill, p.w.levels, i);
        } else {
            ((float *)s->weight)[i] = real(&seed);
        }
    }
    if (p.group > 0) {
        const size_t scales = (size_t)p.out_channels * (size_t)((p.channels + p.group - 1) / p.group);
        s->scale = malloc(scales * sizeof(float));
        for (size_t i = 0; i < scales; i++) {
            s->scale[i] = real(&seed);
        }
        s->p.scale = s->scale;
    }
    want(s);
}

static void drop(setup *s) {
    free(s->codes);
    free(s->reals);
    free(s->weight);
    free(s->scale);
    free(s->wanted);
    free(s->got);
    free(s->seen);
}

static void collect(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc, int32_t stride) {
    setup *s = user;
    assert_true((uintptr_t)acc % 64 == 0 && stride % 16 == 0 && channels <= stride && channels > 0 && pixels > 0);
    assert_true(o % (s->p.out_channels / s->p.groups) % 16 == 0);
    for (int32_t i = 0; i < pixels; i++) {
        for (int32_t c = 0; c < channels; c++) {
            size_t at = (size_t)(pixel + i) * (size_t)s->p.out_channels + (size_t)(o + c);
            assert_true(at < outputs(s) && o + c < s->p.out_channels);
            assert_int_equal(s->seen[at]++, 0);
            s->got[at] = ((int32_t *)acc)[i * stride + c];
        }
    }
    memset(acc, 0x55, (size_t)(pixels * stride) * sizeof(int32_t));
}

static void compare(const setup *s, const crumb_conv_kernel *kernel, const char *how) {
    const crumb_conv_problem *p = &s->p;
    for (size_t i = 0; i < outputs(s); i++) {
        if (!s->seen[i] || s->got[i] != s->wanted[i]) {
            fail_msg("%s (%s): %d images %dx%dx%d, kernel %dx%d, stride %d, padding %d, dilation %d, groups %d, %d outputs, "
                     "x %d levels *%d%+d, w %d levels *%d%+d, group %d, fill %d: output %zu is %d (%a), not %d (%a)%s",
                     kernel->name, how, s->images, p->height, p->width, p->channels, p->kernel_height, p->kernel_width,
                     p->stride, p->padding, p->dilation, p->groups, p->out_channels, p->x.levels, p->x.multiply, p->x.offset,
                     p->w.levels, p->w.multiply, p->w.offset, p->group, s->fill, i, s->got[i], (double)((float *)s->got)[i],
                     s->wanted[i], (double)((float *)s->wanted)[i], s->seen[i] ? "" : ", never given");
        }
    }
}

/* The whole stack in one call, then rows and channels in pieces. */
static void run_row(setup *s, crumb_ctx *ctx, const crumb_conv_kernel *kernel) {
    const crumb_conv_problem *p = &s->p;
    const void *x = p->x.levels ? (const void *)s->codes : (const void *)s->reals;
    crumb_conv_ready ready = {0};
    assert_ok(ctx, crumb_conv_prepare_with(ctx, kernel, p, s->weight, &ready));
    assert_ptr_equal(ready.kernel, kernel);
    assert_int_equal(ready.channel_step % 16, 0);
    void *scratch = NULL;
    assert_int_equal(posix_memalign(&scratch, 64, ready.scratch_bytes ? ready.scratch_bytes : 1), 0);
    memset(scratch, 0xff, ready.scratch_bytes); /* as bytes large, as floats NaN */
    const int64_t rows = (int64_t)s->images * p->out_height;
    memset(s->seen, 0, outputs(s));
    kernel->run(&ready, x, 0, rows, 0, p->out_channels, collect, s, scratch);
    compare(s, kernel, "whole");
    memset(s->seen, 0, outputs(s));
    const int32_t step = ready.channel_step ? ready.channel_step : p->out_channels;
    for (int64_t r = 0, piece = 1; r < rows; r += piece, piece = piece % 3 + 1) {
        for (int32_t o = 0; o < p->out_channels; o += step) {
            int64_t end = r + piece < rows ? r + piece : rows;
            kernel->run(&ready, x, r, end, o, o + step < p->out_channels ? o + step : p->out_channels, collect, s, scratch);
        }
    }
    compare(s, kernel, "pieces");
    free(scratch);
    crumb_conv_release(ctx, &ready);
}

static long runs;
enum { ROWS_MAX = 64 };
static long runs_of[ROWS_MAX]; /* by row of the list */

static void run_all(crumb_conv_problem p, int32_t images, int fill, uint64_t seed) {
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    setup s;
    make(&s, p, images, fill, seed);
    for (const crumb_conv_kernel *const *kernel = crumb_conv_kernels; *kernel != NULL; kernel++) {
        if (((*kernel)->cpu & ~crumb_cpu(ctx)) == 0 && (*kernel)->supports(&s.p)) {
            run_row(&s, ctx, *kernel);
            runs_of[kernel - crumb_conv_kernels]++;
            runs++;
        }
    }
    drop(&s);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* ---- Cases */

static const crumb_packed_codes activations[] = {
    {.levels = 2, .multiply = 1},
    {.levels = 2, .multiply = 2, .offset = -1},
    {.levels = 3, .multiply = 1},
    {.levels = 3, .multiply = 1, .offset = -1},
    {.levels = 4, .multiply = 1},
    {.levels = 4, .multiply = 1, .offset = -2},
    {.levels = 4, .multiply = 2, .offset = -3},
    {.levels = 4, .multiply = 1, .offset = 5},
    {.levels = 8, .multiply = 1},
    {.levels = 16, .multiply = 1, .offset = -3},
    {.levels = 128, .multiply = 2, .offset = -127},
    {.levels = 200, .multiply = 1, .offset = -7},
    {.levels = 256, .multiply = 1},
    {.levels = 256, .multiply = 1, .offset = -128},
    {.levels = 256, .multiply = 2, .offset = -255},
    {0},
};
static const crumb_packed_codes weights[] = {
    {.levels = 2, .multiply = 2, .offset = -1},
    {.levels = 2, .multiply = 1, .offset = -1},
    {.levels = 3, .multiply = 1, .offset = -1},
    {.levels = 4, .multiply = 2, .offset = -3},
    {.levels = 4, .multiply = 1, .offset = -2},
    {.levels = 4, .multiply = 1},
    {.levels = 7, .multiply = 1, .offset = -3},
    {.levels = 8, .multiply = 2, .offset = -7},
    {.levels = 16, .multiply = 1, .offset = -8},
    {.levels = 16, .multiply = 2, .offset = -15},
    {.levels = 64, .multiply = 1, .offset = -32},
    {.levels = 255, .multiply = 1, .offset = -127},
    {.levels = 256, .multiply = 1, .offset = -128},
    {.levels = 256, .multiply = 2, .offset = -255},
    {.levels = 256, .multiply = 1},
    {.levels = 511, .multiply = 1, .offset = -255},
    {0},
};
enum { ACTIVATIONS = sizeof(activations) / sizeof(activations[0]), WEIGHTS = sizeof(weights) / sizeof(weights[0]) };

static const struct {
    int32_t height, width, channels, kernel_height, kernel_width, stride, padding, dilation, groups, out, images;
} shapes[] = {
    {5, 6, 3, 3, 3, 1, 1, 1, 1, 16, 2},    {4, 4, 16, 3, 3, 1, 1, 1, 1, 20, 1},   {6, 7, 5, 3, 3, 2, 1, 1, 1, 70, 1},
    {4, 5, 8, 1, 1, 1, 0, 1, 1, 33, 3},    {5, 5, 7, 1, 1, 2, 0, 1, 1, 5, 2},     {9, 8, 4, 3, 3, 1, 2, 2, 1, 17, 1},
    {8, 9, 6, 2, 3, 1, 0, 3, 1, 3, 1},     {6, 6, 12, 3, 3, 1, 1, 1, 3, 9, 2},    {5, 4, 10, 3, 3, 1, 1, 1, 10, 10, 2},
    {5, 6, 8, 3, 3, 2, 1, 1, 8, 16, 1},    {3, 3, 11, 3, 3, 1, 0, 1, 1, 19, 11},  {1, 1, 50, 1, 1, 1, 0, 1, 1, 66, 5},
    {7, 7, 3, 7, 7, 2, 3, 1, 1, 8, 1},     {1, 9, 130, 1, 3, 1, 0, 1, 1, 64, 1},  {2, 2, 2, 5, 5, 1, 4, 1, 1, 2, 1},
    {6, 5, 34, 3, 1, 3, 1, 1, 2, 160, 1},  {4, 4, 96, 3, 3, 1, 1, 1, 1, 65, 1},   {9, 8, 70, 3, 3, 1, 2, 2, 70, 70, 1},
    {7, 19, 33, 3, 3, 2, 1, 1, 33, 33, 2}, {6, 12, 16, 2, 5, 1, 2, 3, 16, 16, 1}, {3, 5, 18, 1, 1, 1, 0, 1, 18, 18, 2},
    {5, 9, 32, 3, 3, 1, 1, 1, 1, 40, 2},
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static crumb_conv_problem shape(int i) {
    return (crumb_conv_problem){.height = shapes[i].height,
                                .width = shapes[i].width,
                                .channels = shapes[i].channels,
                                .kernel_height = shapes[i].kernel_height,
                                .kernel_width = shapes[i].kernel_width,
                                .stride = shapes[i].stride,
                                .padding = shapes[i].padding,
                                .dilation = shapes[i].dilation,
                                .groups = shapes[i].groups,
                                .out_channels = shapes[i].out};
}

static void test_codes_and_shapes(void **state) {
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        for (int a = 0; a < ACTIVATIONS; a++) {
            for (int w = 0; w < WEIGHTS; w++) {
                crumb_conv_problem p = shape(i);
                p.x = activations[a];
                p.w = weights[w];
                if (p.x.levels != 0 && p.w.levels == 0) {
                    continue;
                }
                run_all(p, shapes[i].images, (a + w + i) % FILLS, (uint64_t)(i * 1000 + a * 20 + w));
            }
        }
    }
    assert_true(runs > 3000);
}

/* Every remainder of the tiles: rows of 1 to 40 pixels, 1 to 130 channels; the codes users have. */
static const crumb_packed_codes pairs[][2] = {
    {{.levels = 2, .multiply = 2, .offset = -1}, {.levels = 2, .multiply = 2, .offset = -1}},
    {{.levels = 2, .multiply = 1}, {.levels = 2, .multiply = 2, .offset = -1}},
    {{.levels = 4, .multiply = 1}, {.levels = 2, .multiply = 2, .offset = -1}},
    {{.levels = 4, .multiply = 1}, {.levels = 3, .multiply = 1, .offset = -1}},
    {{.levels = 4, .multiply = 1}, {.levels = 4, .multiply = 2, .offset = -3}},
    {{.levels = 8, .multiply = 1}, {.levels = 4, .multiply = 1, .offset = -2}},
    {{.levels = 16, .multiply = 1}, {.levels = 16, .multiply = 1, .offset = -8}},
    {{.levels = 256, .multiply = 1}, {.levels = 256, .multiply = 2, .offset = -255}},
    {{.levels = 256, .multiply = 1, .offset = -128}, {.levels = 255, .multiply = 1, .offset = -127}},
    {{0}, {0}},
    {{0}, {.levels = 2, .multiply = 2, .offset = -1}},
    {{0}, {.levels = 4, .multiply = 1, .offset = -2}},
    {{0}, {.levels = 16, .multiply = 2, .offset = -15}},
    {{0}, {.levels = 256, .multiply = 1, .offset = -128}},
};
enum { PAIRS = sizeof(pairs) / sizeof(pairs[0]) };

static void test_remainders(void **state) {
    (void)state;
    for (int i = 0; i < PAIRS; i++) {
        for (int32_t n = 1; n <= 40; n++) {
            crumb_conv_problem p = {.height = 2,
                                    .width = n,
                                    .channels = 1 + n % 7,
                                    .kernel_height = 1,
                                    .kernel_width = 3,
                                    .stride = 1,
                                    .padding = 0,
                                    .dilation = 1,
                                    .groups = 1,
                                    .out_channels = 18 + n,
                                    .x = pairs[i][0],
                                    .w = pairs[i][1]};
            p.width = n + 2;
            run_all(p, 1, n % FILLS, (uint64_t)n);
            p.out_channels += 48; /* rows that want many channels */
            run_all(p, 1, (n + 1) % FILLS, (uint64_t)n);
        }
        for (int32_t n = 1; n <= 130; n++) {
            crumb_conv_problem p = {.height = 1,
                                    .width = 1,
                                    .channels = n,
                                    .kernel_height = 1,
                                    .kernel_width = 1,
                                    .stride = 1,
                                    .padding = 0,
                                    .dilation = 1,
                                    .groups = 1,
                                    .out_channels = n,
                                    .x = pairs[i][0],
                                    .w = pairs[i][1]};
            run_all(p, 1 + n % 19, n % FILLS, (uint64_t)n);
        }
    }
}

/* Scales of groups: all sizes, channels that end within a group, on vectors and on maps. */
static void test_groups(void **state) {
    (void)state;
    for (int w = 0; weights[w].levels != 0; w++) {
        for (int32_t n = 1; n <= 48; n++) {
            crumb_conv_problem p = {.height = 1,
                                    .width = 1,
                                    .channels = 15 + 7 * n,
                                    .kernel_height = 1,
                                    .kernel_width = 1,
                                    .stride = 1,
                                    .dilation = 1,
                                    .groups = 1,
                                    .out_channels = 1 + n * 5 % 150,
                                    .w = weights[w],
                                    .group = 16 << n % 4};
            run_all(p, 1 + n % 17, n % FILLS, (uint64_t)n);
            p.height = 2 + n % 3;
            p.width = 1 + n % 5;
            p.stride = 1 + n % 2;
            p.channels = 16 + n;
            run_all(p, 2, (n + 1) % FILLS, (uint64_t)n);
        }
    }
}

/* Long sums: narrow partial sums must be emptied in time. */
static void test_long_sums(void **state) {
    (void)state;
    for (int i = 0; i < PAIRS; i++) {
        for (int fill = 0; fill < FILLS; fill++) {
            crumb_conv_problem p = {.height = 3,
                                    .width = 3,
                                    .channels = 3001,
                                    .kernel_height = 3,
                                    .kernel_width = 3,
                                    .stride = 1,
                                    .padding = 1,
                                    .dilation = 1,
                                    .groups = 1,
                                    .out_channels = 17,
                                    .x = pairs[i][0],
                                    .w = pairs[i][1]};
            run_all(p, 1, fill, (uint64_t)fill);
        }
    }
}

/* Staged input of more than one band. */
static void test_bands(void **state) {
    (void)state;
    for (int i = 0; i < PAIRS; i++) {
        crumb_conv_problem p = {.height = 40,
                                .width = 50,
                                .channels = 130,
                                .kernel_height = 3,
                                .kernel_width = 3,
                                .stride = 1 + i % 2,
                                .padding = 1,
                                .dilation = 1,
                                .groups = 1,
                                .out_channels = 3,
                                .x = pairs[i][0],
                                .w = pairs[i][1]};
        run_all(p, 1, RANDOM, 7);
        p.kernel_height = p.kernel_width = p.stride = 1;
        p.padding = 0;
        run_all(p, 2, RANDOM, 8);
        p.height = 12, p.width = 90, p.channels = 64, p.out_channels = 33;
        p.kernel_height = p.kernel_width = 3;
        run_all(p, 1, RANDOM, 9);
    }
}

static crumb_status prepare_all(crumb_ctx *ctx, void *user) {
    const setup *s = user;
    for (const crumb_conv_kernel *const *kernel = crumb_conv_kernels; *kernel != NULL; kernel++) {
        if (((*kernel)->cpu & ~crumb_cpu(ctx)) == 0 && (*kernel)->supports(&s->p)) {
            crumb_conv_ready ready = {0};
            crumb_status status = crumb_conv_prepare_with(ctx, *kernel, &s->p, s->weight, &ready);
            assert_true(status == CRUMB_OK || ready.panel == NULL);
            crumb_conv_release(ctx, &ready);
            CRUMB_TRY(status);
        }
    }
    return CRUMB_OK;
}

static void test_no_memory(void **state) {
    (void)state;
    for (int i = 0; i < PAIRS; i++) {
        crumb_conv_problem p = shape(0);
        p.x = pairs[i][0];
        p.w = pairs[i][1];
        setup s;
        make(&s, p, 1, RANDOM, 1);
        test_every_allocation(prepare_all, &s);
        drop(&s);
        if (p.x.levels == 0 && p.w.levels != 0) {
            p = (crumb_conv_problem){
                .height = 1, .width = 1, .channels = 40, .kernel_height = 1, .kernel_width = 1, .stride = 1};
            p.dilation = p.groups = 1;
            p.out_channels = 20;
            p.w = pairs[i][1];
            p.group = 16;
            make(&s, p, 1, RANDOM, 1);
            test_every_allocation(prepare_all, &s);
            drop(&s);
        }
    }
}

/* The choice: what the context may use, and a row for everything. */
static void test_choice(void **state) {
    (void)state;
    static const char *const limits[] = {"scalar", "avx2", "avxvnni", "neon", NULL};
    for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        test_memory memory = {0};
        crumb_ctx *ctx = NULL;
        crumb_settings settings = {
            .alloc = test_alloc, .release = test_release, .allocator_user = &memory, .threads = 1, .cpu_limit = limits[l]};
        assert_int_equal(crumb_ctx_create(&ctx, &settings), CRUMB_OK);
        for (int a = 0; a < ACTIVATIONS; a++) {
            for (int w = 0; w < WEIGHTS - (activations[a].levels != 0); w++) {
                crumb_conv_problem p = shape(0);
                p.x = activations[a];
                p.w = weights[w];
                setup s;
                make(&s, p, 1, RANDOM, 1);
                crumb_conv_ready ready = {0};
                assert_ok(ctx, crumb_conv_prepare(ctx, &s.p, s.weight, &ready));
                assert_int_equal(ready.kernel->cpu & ~crumb_cpu(ctx), 0);
                crumb_conv_release(ctx, &ready);
                drop(&s);
            }
        }
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

/* The tests above ran every row that this processor can run, those too that the choice never takes here. */
static void test_every_row(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    for (int i = 0; crumb_conv_kernels[i] != NULL; i++) {
        const crumb_conv_kernel *kernel = crumb_conv_kernels[i];
        assert_true(i < ROWS_MAX);
        if ((kernel->cpu & ~crumb_cpu(ctx)) == 0 && runs_of[i] == 0) {
            fail_msg("row %s was never run", kernel->name);
        }
        printf("%s: %ld problems\n", kernel->name, runs_of[i]);
    }
    crumb_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_and_shapes), cmocka_unit_test(test_remainders), cmocka_unit_test(test_groups),
        cmocka_unit_test(test_long_sums),        cmocka_unit_test(test_bands),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_choice),           cmocka_unit_test(test_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
