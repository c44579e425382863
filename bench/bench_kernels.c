/* Rates of the convolution kernels on one thread, beside what the processor can do: every row that fits a problem, with a sink
 * that does nothing, best of many short repetitions. The limits come from loops without memory in the same run.
 * usage: bench_kernels [ROW] [PROBLEM]: parts of a row's name ("vnni") and of a problem's name ("W2A2") */
#include "runtime/kernel.h"

#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Limits */

enum { CHAINS = 16, ROUNDS = 200000, TIMES = 60 };

#define KEEP(v) __asm__ volatile("" : "+v"(v))
#define LIMIT(name, start, step)                                                                                               \
    __attribute__((target("avx512f,avx512bw,avx512vnni,avx512vbmi,avx512vpopcntdq"), noinline)) static double name(void) {     \
        __m512i a[CHAINS], b = _mm512_set1_epi32(start);                                                                       \
        double best = 1e9;                                                                                                     \
        _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++) {                                                            \
            a[i] = _mm512_set1_epi32(i);                                                                                       \
        }                                                                                                                      \
        for (int n = 0; n < TIMES; n++) {                                                                                      \
            double t = now();                                                                                                  \
            for (int r = 0; r < ROUNDS / TIMES; r++) {                                                                         \
                _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++) {                                                    \
                    step;                                                                                                      \
                    KEEP(a[i]);                                                                                                \
                    KEEP(b);                                                                                                   \
                }                                                                                                              \
            }                                                                                                                  \
            t = now() - t;                                                                                                     \
            best = t < best ? t : best;                                                                                        \
        }                                                                                                                      \
        return CHAINS * (ROUNDS / TIMES) / best * 1e-9;                                                                        \
    }
LIMIT(limit_vnni, 0x01020304, a[i] = _mm512_dpbusd_epi32(a[i], b, b))
LIMIT(limit_fma, 0x3f800000,
      a[i] = _mm512_castps_si512(_mm512_fmadd_ps(_mm512_castsi512_ps(a[i]), _mm512_castsi512_ps(b), _mm512_castsi512_ps(b))))
LIMIT(limit_table, 0x01020304, __m512i t = _mm512_permutexvar_epi8(b, b); KEEP(t); a[i] = _mm512_add_epi8(a[i], t))
LIMIT(limit_table32, 0x01020304, __m512i t = _mm512_permutexvar_epi32(b, b); KEEP(t);
      a[i] = _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a[i]), _mm512_castsi512_ps(t))))
LIMIT(limit_popcount, 0x01020304, __m512i t = _mm512_xor_si512(a[i], b); KEEP(t); t = _mm512_popcnt_epi64(t); KEEP(t);
      a[i] = _mm512_add_epi64(a[i], t))

/* Best of pieces of 1 MiB, each read once in 256: a processor that is shared is not always ours. */
__attribute__((target("avx512f"), noinline)) static double limit_memory(void) {
    const size_t bytes = (size_t)256 << 20, piece = (size_t)1 << 20;
    char *p = aligned_alloc(64, bytes);
    double best = 1e9;
    memset(p, 1, bytes);
    for (size_t at = 0; at < bytes; at += piece) {
        __m512i a[4] = {0};
        double t = now();
        for (size_t i = at; i < at + piece; i += 256) {
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++) {
                a[k] = _mm512_add_epi64(a[k], _mm512_load_si512(p + i + 64 * k));
            }
        }
        t = now() - t;
        KEEP(a[0]);
        KEEP(a[1]);
        KEEP(a[2]);
        KEEP(a[3]);
        best = t < best ? t : best;
    }
    free(p);
    return (double)piece / best * 1e-9;
}

/* ---- Problems */

typedef struct pair {
    const char *name;
    crumb_packed_codes w, x;
} pair;

static const pair pairs[] = {
    {"W1A1", {.levels = 2, .bits = 1, .multiply = 2, .offset = -1}, {.levels = 2, .bits = 1, .multiply = 2, .offset = -1}},
    {"W1A2", {.levels = 2, .bits = 1, .multiply = 2, .offset = -1}, {.levels = 4, .bits = 2, .multiply = 1}},
    {"WTA2", {.levels = 3, .bits = 2, .multiply = 1, .offset = -1}, {.levels = 4, .bits = 2, .multiply = 1}},
    {"W2A2", {.levels = 4, .bits = 2, .multiply = 2, .offset = -3}, {.levels = 4, .bits = 2, .multiply = 1}},
    {"W3A3", {.levels = 8, .bits = 3, .multiply = 1, .offset = -4}, {.levels = 8, .bits = 3, .multiply = 1}},
    {"W4A4", {.levels = 16, .bits = 4, .multiply = 1, .offset = -8}, {.levels = 16, .bits = 4, .multiply = 1}},
    {"W2A8", {.levels = 4, .bits = 2, .multiply = 2, .offset = -3}, {.levels = 256, .bits = 8, .multiply = 1}},
    {"W8A8", {.levels = 255, .bits = 8, .multiply = 1, .offset = -127}, {.levels = 256, .bits = 8, .multiply = 1}},
    {"W8oddA8", {.levels = 256, .bits = 8, .multiply = 2, .offset = -255}, {.levels = 256, .bits = 8, .multiply = 1}},
    {"W1A32", {.levels = 2, .bits = 1, .multiply = 2, .offset = -1}, {0}},
    {"W2A32", {.levels = 4, .bits = 2, .multiply = 2, .offset = -3}, {0}},
    {"W4A32", {.levels = 16, .bits = 4, .multiply = 1, .offset = -8}, {0}},
    {"W8A32", {.levels = 255, .bits = 8, .multiply = 1, .offset = -127}, {0}},
    {"W32A32", {0}, {0}},
};

typedef struct layer {
    const char *name;
    int32_t size, channels, kernel, out, groups, images;
} layer;

static const layer layers[] = {
    {"3x3 32x32x16", 32, 16, 3, 16, 1, 4},
    {"3x3 16x16x32", 16, 32, 3, 32, 1, 8},
    {"3x3 8x8x64", 8, 64, 3, 64, 1, 16},
    {"3x3 56x56x64", 56, 64, 3, 64, 1, 1},
    {"3x3 28x28x128", 28, 128, 3, 128, 1, 1},
    {"3x3 14x14x256", 14, 256, 3, 256, 1, 1},
    {"3x3 7x7x512", 7, 512, 3, 512, 1, 1},
    {"1x1 14x14x512", 14, 512, 1, 512, 1, 1},
    {"matrix 64 x 1024 x 1024", 1, 1024, 1, 1024, 1, 64},
    {"vector 4096 x 14336", 1, 4096, 1, 14336, 1, 1},
    {"depthwise 28x28x128", 28, 128, 3, 128, 128, 1},
};

static crumb_conv_problem problem_of(const layer *l, const pair *c) {
    const int32_t padding = l->kernel / 2;
    return (crumb_conv_problem){.height = l->size,
                                .width = l->size,
                                .channels = l->channels,
                                .out_height = l->size,
                                .out_width = l->size,
                                .out_channels = l->out,
                                .kernel_height = l->kernel,
                                .kernel_width = l->kernel,
                                .stride = 1,
                                .padding = padding,
                                .dilation = 1,
                                .groups = l->groups,
                                .x = c->x,
                                .w = c->w};
}

static void nothing(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc, int32_t stride) {
    (void)pixel, (void)pixels, (void)o, (void)channels, (void)stride;
    *(int32_t *)user += *(int32_t *)acc;
}

static void *inputs(const crumb_conv_problem *p, int32_t images) {
    const size_t count = (size_t)images * (size_t)p->height * (size_t)p->width * (size_t)p->channels;
    uint8_t *x = malloc(count * (p->x.levels ? 1 : sizeof(float)) + 64);
    for (size_t i = 0; i < count; i++) {
        if (p->x.levels) {
            x[i] = (uint8_t)(rand() / 64 % p->x.levels);
        } else {
            ((float *)(void *)x)[i] = (float)(rand() % 1000) / 500.0f - 1.0f;
        }
    }
    return x;
}

static void *weights(const crumb_conv_problem *p) {
    const size_t count = (size_t)p->out_channels * (size_t)(p->kernel_height * p->kernel_width * (p->channels / p->groups));
    uint16_t *w = malloc(count * (p->w.levels ? sizeof(uint16_t) : sizeof(float)));
    for (size_t i = 0; i < count; i++) {
        if (p->w.levels) {
            w[i] = (uint16_t)(rand() / 64 % p->w.levels);
        } else {
            ((float *)(void *)w)[i] = (float)(rand() % 1000) / 500.0f - 1.0f;
        }
    }
    return w;
}

static double seconds(const crumb_conv_ready *ready, const void *x, int64_t rows, void *scratch) {
    static int32_t sum;
    double best = 1e9, spent = 0;
    for (int n = 0; n < 200 && (n < 5 || spent < 0.15); n++) {
        double t = now();
        ready->kernel->run(ready, x, 0, rows, 0, ready->problem.out_channels, nothing, &sum, scratch);
        t = now() - t;
        spent += t;
        best = t < best ? t : best;
    }
    return best;
}

static void measure(crumb_ctx *ctx, const layer *l, const pair *c, const char *row) {
    const crumb_conv_problem p = problem_of(l, c);
    void *x = inputs(&p, l->images), *w = weights(&p);
    const double operations =
        2.0 * l->images * p.out_height * p.out_width * p.out_channels * l->kernel * l->kernel * (double)(p.channels / p.groups);
    for (const crumb_conv_kernel *const *kernel = crumb_conv_kernels; *kernel != NULL; kernel++) {
        crumb_conv_ready ready = {0};
        if (((*kernel)->cpu & ~crumb_cpu(ctx)) != 0 || !(*kernel)->supports(&p) || strstr((*kernel)->name, row) == NULL ||
            crumb_conv_prepare_with(ctx, *kernel, &p, w, &ready) != CRUMB_OK) {
            continue;
        }
        void *scratch = aligned_alloc(64, (ready.scratch_bytes + 127) / 64 * 64);
        const double t = seconds(&ready, x, (int64_t)l->images * p.out_height, scratch);
        printf("%-8s %-24s %-32s %8.1f GOP/s %8.3f ms %7.1f GB/s of panels\n", c->name, l->name, (*kernel)->name,
               operations / t * 1e-9, t * 1e3, (double)ready.panel_bytes / t * 1e-9);
        fflush(stdout);
        free(scratch);
        crumb_conv_release(ctx, &ready);
    }
    free(x);
    free(w);
}

int main(int argc, char **argv) {
    crumb_ctx *ctx = NULL;
    if (crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 1;
    }
    const uint32_t all = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512VNNI | CRUMB_CPU_AVX512VBMI;
    if ((crumb_cpu(ctx) & all) == all) {
        printf("limits of a core: vpdpbusd %.0f GOP/s, float fma %.0f, vpermb + vpaddb %.2f G/s, vpermd + vaddps %.2f G/s, "
               "xor + vpopcntq + vpaddq %.2f G/s, reading %.1f GB/s\n",
               limit_vnni() * 128, limit_fma() * 32, limit_table(), limit_table32(), limit_popcount(), limit_memory());
    }
    char name[100];
    for (size_t c = 0; c < sizeof pairs / sizeof *pairs; c++) {
        for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
            snprintf(name, sizeof name, "%s %s", pairs[c].name, layers[l].name);
            if (argc < 3 || strstr(name, argv[2]) != NULL) {
                measure(ctx, &layers[l], &pairs[c], argc > 1 ? argv[1] : "");
            }
        }
    }
    crumb_ctx_destroy(ctx);
    return 0;
}
