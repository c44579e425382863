/* Timing rows of the registry: kinds of bits x shapes x rows. Weights and activations are drawn at random. */
#include "base/rng.h"
#include "measure/limits.h"
#include "runtime/share.h"
#include "runtime/team.h"

#include <stdio.h>
#include <string.h>

enum { CALLS_MAX = 1000, FLUSH_BYTES = 1 << 27 };
static const double CALLS_SECONDS = 0.05, WAIT_SECONDS = 0.3; /* of a row's calls; with what comes in between */

/* ---- What is timed. */

typedef struct kind {
    const char *bits;
    crumb_packed_codes x, w;
    int32_t group; /* inputs that share a scale, in linear layers only; 0: none */
} kind;

#define UNSIGNED(n)                                                                                                            \
    { .levels = (n), .multiply = 1 }
#define SIGNED(n)                                                                                                              \
    { .levels = (n), .multiply = 1, .offset = -(n) / 2 }
#define ODD(n)                                                                                                                 \
    { .levels = (n), .multiply = 2, .offset = 1 - (n) }
static const kind kinds[] = {
    {"W1A1", UNSIGNED(2), ODD(2), 0},
    {"W1A1 signs", ODD(2), ODD(2), 0},
    {"W1A2", UNSIGNED(4), ODD(2), 0},
    {"W1A4", UNSIGNED(16), ODD(2), 0},
    {"WTA2", UNSIGNED(4), SIGNED(3), 0},
    {"W2A2", UNSIGNED(4), SIGNED(4), 0},
    {"W3A3", UNSIGNED(8), SIGNED(8), 0},
    {"W4A4", UNSIGNED(16), SIGNED(16), 0},
    {"W1A8", UNSIGNED(256), ODD(2), 0},
    {"W2A8", UNSIGNED(256), SIGNED(4), 0},
    {"W4A8", UNSIGNED(256), SIGNED(16), 0},
    {"W8A8", UNSIGNED(256), SIGNED(255), 0},
    {"W1A32", {0}, ODD(2), 0},
    {"WTA32", {0}, SIGNED(3), 0},
    {"W2A32", {0}, SIGNED(4), 0},
    {"W4A32", {0}, SIGNED(16), 0},
    {"W8A32", {0}, SIGNED(255), 0},
    {"W2A32 g32", {0}, SIGNED(4), .group = 32},
    {"W4A32 g32", {0}, SIGNED(16), .group = 32},
    {"W32A32", {0}, {0}, 0},
};

/* ResNet-20's and ResNet-18's layers, MobileNet's depthwise ones, large language models' linear ones. */
typedef struct form {
    const char *name;
    int32_t size, channels, out, kernel, stride, groups, images;
    bool from_memory;
} form;
static const form forms[] = {
    {"3x3 32x32x16", 32, 16, 16, 3, 1, 1, 4, false},
    {"3x3 16x16x32", 16, 32, 32, 3, 1, 1, 4, false},
    {"3x3 8x8x64", 8, 64, 64, 3, 1, 1, 4, false},
    {"3x3 56x56x64", 56, 64, 64, 3, 1, 1, 1, false},
    {"3x3 28x28x128", 28, 128, 128, 3, 1, 1, 1, false},
    {"3x3 14x14x256", 14, 256, 256, 3, 1, 1, 1, false},
    {"3x3 7x7x512", 7, 512, 512, 3, 1, 1, 1, false},
    {"3x3 stride 2 56x56x64 -> 128", 56, 64, 128, 3, 2, 1, 1, false},
    {"1x1 56x56x64 -> 256", 56, 64, 256, 1, 1, 1, 1, false},
    {"1x1 14x14x1024 -> 256", 14, 1024, 256, 1, 1, 1, 1, false},
    {"depthwise 3x3 56x56x128", 56, 128, 128, 3, 1, 128, 1, false},
    {"depthwise 3x3 14x14x512", 14, 512, 512, 3, 1, 512, 1, false},
    {"matrix 1024x4096, 64 columns", 1, 4096, 1024, 1, 1, 1, 64, false},
    {"matrix-vector 4096x14336", 1, 14336, 4096, 1, 1, 1, 1, true},
    {"matrix-vector 4096x11008", 1, 11008, 4096, 1, 1, 1, 1, true},
};

static crumb_conv_problem problem_of(const kind *k, const form *f) {
    int32_t padding = (f->kernel - 1) / 2, out = (f->size + 2 * padding - f->kernel) / f->stride + 1;
    return (crumb_conv_problem){.height = f->size,
                                .width = f->size,
                                .channels = f->channels,
                                .out_height = out,
                                .out_width = out,
                                .out_channels = f->out,
                                .kernel_height = f->kernel,
                                .kernel_width = f->kernel,
                                .stride = f->stride,
                                .padding = padding,
                                .dilation = 1,
                                .groups = f->groups,
                                .x = k->x,
                                .w = k->w,
                                .group = k->group};
}

/* ---- Its data. */

typedef struct bench {
    crumb_ctx *ctx;
    const crumb_kernel_options *options;
    const crumb_limits *limits;
    bool (*each)(void *user, const crumb_kernel_figure *figure);
    void *user;
    bool stopped;
    crumb_team *team;
    int threads;
    const kind *kind;
    const form *form;
    crumb_conv_problem problem;
    crumb_conv_ready ready;
    void *x, *weight, *scale;
    uint8_t *scratch;
    size_t scratch_bytes; /* of a thread */
    uint8_t *flush;       /* what is read to empty the caches */
} bench;

static void *draw(crumb_ctx *ctx, int64_t count, int32_t levels, bool wide, uint64_t stream) {
    size_t item = levels == 0 ? sizeof(float) : wide ? sizeof(uint16_t) : sizeof(uint8_t);
    uint8_t *data = crumb_alloc(ctx, (size_t)count, item);
    crumb_rng rng = crumb_rng_at(1, stream, 0);
    for (int64_t i = 0; i < count && data != NULL; i++) {
        if (levels == 0) {
            ((float *)(void *)data)[i] = crumb_rng_uniform(&rng) - 0.5f;
        } else if (wide) {
            ((uint16_t *)(void *)data)[i] = (uint16_t)crumb_rng_below(&rng, (uint32_t)levels);
        } else {
            data[i] = (uint8_t)crumb_rng_below(&rng, (uint32_t)levels);
        }
    }
    return data;
}

static int64_t weights_of(const crumb_conv_problem *p) {
    return (int64_t)p->kernel_height * p->kernel_width * (p->channels / p->groups) * p->out_channels;
}

static crumb_status make_data(bench *b) {
    const crumb_conv_problem *p = &b->problem;
    const int64_t groups = p->group > 0 ? (p->channels + p->group - 1) / p->group : 0;
    b->x = draw(b->ctx, (int64_t)p->height * p->width * p->channels * b->form->images, p->x.levels, false, 1);
    b->weight = draw(b->ctx, weights_of(p), p->w.levels, true, 2);
    b->scale = groups > 0 ? draw(b->ctx, groups * p->out_channels, 0, false, 3) : NULL;
    b->problem.scale = b->scale;
    return b->x != NULL && b->weight != NULL && (b->scale != NULL || groups == 0) ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static void drop_data(bench *b) {
    crumb_free(b->ctx, b->x);
    crumb_free(b->ctx, b->weight);
    crumb_free(b->ctx, b->scale);
    b->x = b->weight = b->scale = NULL;
}

/* ---- A row. */

static void no_sink(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc, int32_t stride) {
    (void)user, (void)pixel, (void)pixels, (void)o, (void)channels, (void)acc, (void)stride;
}

static void call(void *given, int thread) {
    bench *b = given;
    crumb_share mine = crumb_share_of((int64_t)b->problem.out_height * b->form->images, b->problem.out_channels,
                                      b->ready.channel_step, b->threads, thread);
    if (mine.row0 < mine.row1 && mine.o0 < mine.o1) {
        b->ready.kernel->run(&b->ready, b->x, mine.row0, mine.row1, mine.o0, mine.o1, no_sink, NULL,
                             b->scratch + (size_t)thread * b->scratch_bytes);
    }
}

static void empty_caches(const bench *b) {
    for (size_t i = 0; i < FLUSH_BYTES; i += 64) {
        __asm__ volatile("" : : "r"(b->flush[i]));
    }
}

static double least_seconds(bench *b) {
    double least = 0, all = 0, begun = crumb_measure_now(), start = begun;
    for (int i = 0; i == 0 || (i < CALLS_MAX && all < CALLS_SECONDS && start - begun < WAIT_SECONDS); i++) {
        if (b->form->from_memory) {
            empty_caches(b);
        }
        start = crumb_measure_now();
        crumb_team_run(b->team, call, b);
        double seconds = crumb_measure_now() - start;
        least = i == 0 || seconds < least ? seconds : least;
        all += seconds;
    }
    return least;
}

static crumb_status time_row(bench *b, crumb_kernel_figure *figure) {
    const size_t scratch = (b->ready.scratch_bytes + 63) / 64 * 64;
    b->scratch = crumb_alloc(b->ctx, (size_t)b->threads, scratch);
    if (b->scratch == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    b->scratch_bytes = scratch;
    figure->seconds = least_seconds(b);
    crumb_free(b->ctx, b->scratch);
    return CRUMB_OK;
}

static bool wanted(const bench *b, const crumb_conv_kernel *kernel) {
    bool all = true;
    for (int i = 0; i < b->options->word_count; i++) {
        const char *word = b->options->words[i];
        all = all && (strstr(b->kind->bits, word) != NULL || strstr(b->form->name, word) != NULL ||
                      strstr(kernel->name, word) != NULL);
    }
    return all;
}

static crumb_status measure_row(bench *b, const crumb_conv_kernel *kernel, bool chosen) {
    const crumb_conv_problem *p = &b->problem;
    crumb_kernel_figure figure = {.bits = b->kind->bits,
                                  .shape = b->form->name,
                                  .kernel = kernel->name,
                                  .chosen = chosen,
                                  .threads = b->threads,
                                  .images = b->form->images};
    figure.operations = 2.0 * (double)weights_of(p) * p->out_height * p->out_width * b->form->images;
    figure.least = crumb_limits_problem(b->limits, p, b->form->images, b->form->from_memory, &figure.limit);
    if (b->x == NULL) {
        CRUMB_TRY(make_data(b));
    }
    CRUMB_TRY(crumb_conv_prepare_with(b->ctx, kernel, p, b->weight, &b->ready));
    figure.weight_bytes = b->ready.panel_bytes;
    crumb_status status = time_row(b, &figure);
    crumb_conv_release(b->ctx, &b->ready);
    if (status == CRUMB_OK && !b->each(b->user, &figure)) {
        b->stopped = true;
        return CRUMB_ERROR_STOPPED;
    }
    return status;
}

static crumb_status measure_problem(bench *b) {
    b->problem = problem_of(b->kind, b->form);
    const crumb_conv_kernel *chosen = crumb_conv_choose(b->ctx, &b->problem);
    crumb_status status = CRUMB_OK;
    for (const crumb_conv_kernel *const *k = crumb_conv_kernels; *k != NULL && status == CRUMB_OK; k++) {
        bool fits = ((*k)->cpu & ~crumb_cpu(b->ctx)) == 0 && (*k)->supports(&b->problem);
        if (fits && (*k == chosen || !b->options->chosen) && wanted(b, *k)) {
            status = measure_row(b, *k, *k == chosen);
        }
    }
    drop_data(b);
    return status;
}

static crumb_status measure_all(bench *b) {
    b->flush = crumb_alloc(b->ctx, FLUSH_BYTES, 1);
    if (b->flush == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
        for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
            b->form = &forms[f];
            b->kind = &kinds[k];
            if (b->kind->group == 0 || b->form->size == 1) {
                CRUMB_TRY(measure_problem(b));
            }
        }
    }
    return CRUMB_OK;
}

crumb_status crumb_measure_kernels(crumb_ctx *ctx, const crumb_kernel_options *options, const crumb_limits *limits,
                                   bool (*each)(void *user, const crumb_kernel_figure *figure), void *user) {
    static const crumb_kernel_options none;
    bench b = {.ctx = ctx, .options = options != NULL ? options : &none, .limits = limits, .each = each, .user = user};
    b.threads = b.options->threads > 0 ? b.options->threads : crumb_threads(ctx);
    CRUMB_TRY(crumb_team_create(ctx, b.threads, &b.team));
    crumb_status status = measure_all(&b);
    crumb_free(ctx, b.flush);
    crumb_team_destroy(b.team);
    return b.stopped ? CRUMB_OK : status;
}
