/* The kernel sequence of one ResNet-20 training step on CIFAR-10 shapes, without a framework around it:
 * what the trainer's images per second can at best become. Weights and data are random, the loss gradient
 * is a constant; every pass that a real step makes is made, in its order, on buffers of its size.
 * usage: bench_resnet20 [float|dorefa] [THREADS] [STEPS] */
#include "backend/cpu/conv2d.h"
#include "backend/cpu/norm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { BATCH = 128, LAYERS = 19 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Convolution, batch norm, activation; in: the layer whose output it reads (-1 the images); shortcut: the
 * layer whose output is added before the activation, or -2. */
typedef struct {
    crumb_conv2d_shape shape;
    crumb_conv2d_plan *conv;
    crumb_norm_plan norm;
    int shortcut;
    int64_t count; /* elements of y */
    float *w, *dw, *wq, *y, *z;
    uint16_t *mask;
    float *vectors, *mean, *var, *invstd, *gamma, *beta, *dgamma, *dbeta;
    float *narrow; /* shortcut after subsampling and channel padding */
} layer;

typedef struct {
    crumb_ctx *ctx;
    int threads, quantized;
    layer l[LAYERS];
    float *images, *dz, *dz_small, *dy;
    void *workspace;
    double conv[3], stats, norm, reduce, apply, other;
} net;

static float *filled(int64_t count, float scale) {
    float *p = aligned_alloc(64, (size_t)(count * 4 + 63) / 64 * 64);
    for (int64_t i = 0; i < count; i++) {
        p[i] = ((float)rand() / (float)RAND_MAX - 0.5f) * scale;
    }
    return p;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t build_layer(net *m, int i, int64_t size, int64_t c, int64_t o, int64_t stride, int shortcut) {
    layer *l = &m->l[i];
    l->shape = (crumb_conv2d_shape){BATCH, size, size, c, o, 3, 3, stride, stride, 1, 1, 1, 1, 1, 1, 1};
    if (crumb_conv2d_plan_create(m->ctx, &l->shape, m->threads, CRUMB_CONV2D_AUTO, &l->conv)) {
        fprintf(stderr, "bench_resnet20: no plan\n");
        exit(1);
    }
    const int64_t out = crumb_conv2d_out_h(&l->shape), rows = BATCH * out * out;
    l->norm = (crumb_norm_plan){.rows = rows, .c = o, .threads = m->threads, .simd = 1, .act = CRUMB_ACT_RELU};
    if (m->quantized) {
        l->norm.act = CRUMB_ACT_RELU | CRUMB_ACT_QUANT;
        l->norm.hi = 3.0f;
        l->norm.inv_step = 3.0f;
        l->norm.step = 1.0f / 3.0f;
    }
    l->shortcut = shortcut;
    l->count = rows * o;
    l->w = filled(o * c * 9, 0.2f), l->dw = filled(o * c * 9, 0.0f), l->wq = filled(o * c * 9, 0.0f);
    l->y = filled(l->count, 1.0f), l->z = filled(l->count, 1.0f);
    l->mask = calloc(crumb_norm_mask_size(&l->norm), 2);
    l->vectors = filled(7 * 64, 1.0f);
    float **v[] = {&l->mean, &l->var, &l->invstd, &l->gamma, &l->beta, &l->dgamma, &l->dbeta};
    for (int k = 0; k < 7; k++) {
        *v[k] = l->vectors + k * 64;
    }
    if (shortcut >= 0 && m->l[shortcut].count != l->count) {
        l->narrow = filled(l->count, 0.0f);
    }
    return larger(crumb_conv2d_plan_workspace(l->conv), crumb_norm_workspace(&l->norm));
}

static void build(net *m) {
    size_t bytes = build_layer(m, 0, 32, 3, 16, 1, -2);
    int64_t c = 16, size = 32;
    for (int b = 0; b < 9; b++) {
        const int64_t o = 16 << b / 3, stride = b % 3 == 0 && b ? 2 : 1;
        bytes = larger(bytes, build_layer(m, 1 + 2 * b, size, c, o, stride, -2));
        size /= stride;
        bytes = larger(bytes, build_layer(m, 2 + 2 * b, size, o, o, 1, 2 * b));
        c = o;
    }
    m->images = filled(BATCH * 32 * 32 * 3, 1.0f);
    m->dz = filled(BATCH * 32 * 32 * 16, 1.0f), m->dz_small = filled(BATCH * 32 * 32 * 16, 1.0f);
    m->dy = filled(BATCH * 32 * 32 * 16, 1.0f);
    m->workspace = filled((int64_t)bytes / 4 + 16, 0.0f);
}

static void tick(double *sum, double *t) {
    double n = now();
    *sum += n - *t;
    *t = n;
}

/* Option A of the ResNet paper: every second pixel, channels padded with a quarter of zeros on each side;
 * back != 0 moves a gradient the other way. */
static void narrow(net *m, float *half, float *full, int64_t size, int64_t c, int back) {
    const int64_t rows = BATCH * size / 2;
#pragma omp parallel for num_threads(m->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < size / 2; j++) {
            float *h = half + (r * size / 2 + j) * 2 * c, *f = full + (2 * r * size + 2 * j) * c;
            if (back) {
                memcpy(f, h + c / 2, (size_t)c * 4);
                memset(f + c, 0, (size_t)c * 4);
            } else {
                memset(h, 0, (size_t)c * 8);
                memcpy(h + c / 2, f, (size_t)c * 4);
            }
        }
        if (back) {
            memset(full + (2 * r + 1) * size * c, 0, (size_t)(size * c) * 4);
        }
    }
}

static void forward(net *m) {
    double t = now();
    for (int i = 0; i < LAYERS; i++) {
        layer *l = &m->l[i];
        const float *x = i ? m->l[i - 1].z : m->images, *residual = NULL;
        if (l->shortcut >= 0) {
            layer *s = &m->l[l->shortcut];
            residual = l->narrow ? l->narrow : s->z;
            if (l->narrow) {
                narrow(m, l->narrow, s->z, l->shape.h * 2, s->shape.o, 0);
            }
        }
        tick(&m->other, &t);
        crumb_conv2d_forward(l->conv, l->y, x, l->w, NULL, m->workspace);
        tick(&m->conv[0], &t);
        crumb_norm_statistics(&l->norm, l->mean, l->var, l->y, m->workspace);
        for (int64_t c = 0; c < l->shape.o; c++) {
            l->invstd[c] = 1.0f / sqrtf(l->var[c] + 1e-5f);
        }
        tick(&m->stats, &t);
        crumb_norm_forward(&l->norm, l->z, l->mask, l->y, residual,
                           &(crumb_norm_channels){l->mean, l->invstd, l->gamma, l->beta}, m->workspace);
        tick(&m->norm, &t);
    }
}

static void backward_layer(net *m, int i, float *dz, float *dresidual, float *dx, int accumulate) {
    layer *l = &m->l[i];
    double t = now();
    const crumb_norm_channels h = {l->mean, l->invstd, l->gamma, l->beta};
    const crumb_norm_reduction r = {.dgamma = l->dgamma, .dbeta = l->dbeta, .dz = dz, .y = l->y, .mask = l->mask};
    const crumb_norm_gradient g = {
        .dy = m->dy, .dresidual = dresidual, .dz = dz, .y = l->y, .mask = l->mask, .dgamma = l->dgamma, .dbeta = l->dbeta};
    crumb_norm_backward_reduce(&l->norm, &r, &h, m->workspace);
    tick(&m->reduce, &t);
    crumb_norm_backward_apply(&l->norm, &g, &h, m->workspace);
    tick(&m->apply, &t);
    crumb_conv2d_backward_weights(l->conv, l->dw, NULL, i ? m->l[i - 1].z : m->images, m->dy, m->workspace);
    tick(&m->conv[2], &t);
    if (dx) {
        crumb_conv2d_backward_data(l->conv, dx, m->dy, l->w, accumulate, m->workspace);
        tick(&m->conv[1], &t);
    }
}

static void backward(net *m) {
    float *dz = m->dz, *other = m->dz_small;
    for (int i = LAYERS - 1; i > 0; i -= 2) {
        backward_layer(m, i, dz, dz, other, 0);
        if (m->l[i].narrow) {
            double t = now();
            layer *s = &m->l[m->l[i].shortcut];
            backward_layer(m, i - 1, other, NULL, NULL, 0);
            narrow(m, dz, other, s->shape.h / s->shape.stride_h, s->shape.o, 1);
            m->other += 0.0 * t;
            t = now();
            crumb_conv2d_backward_data(m->l[i - 1].conv, other, m->dy, m->l[i - 1].w, 1, m->workspace);
            tick(&m->conv[1], &t);
            float *swap = dz;
            dz = other;
            other = swap;
        } else {
            backward_layer(m, i - 1, other, NULL, dz, 1);
        }
    }
    backward_layer(m, 0, dz, NULL, NULL, 0);
}

/* DoReFa's weights: tanh, divided by the largest, to 2 bits. */
static void quantize_weights(layer *l) {
    const int64_t count = l->shape.o * l->shape.c * 9;
    float largest = 0.0f;
    for (int64_t i = 0; i < count; i++) {
        l->wq[i] = tanhf(l->w[i]);
        largest = fmaxf(largest, fabsf(l->wq[i]));
    }
    for (int64_t i = 0; i < count; i++) {
        l->wq[i] = rintf((l->wq[i] / (2.0f * largest) + 0.5f) * 3.0f) / 3.0f * 2.0f - 1.0f;
    }
}

static void update(net *m) {
    double t = now();
    for (int i = 0; i < LAYERS; i++) {
        layer *l = &m->l[i];
        for (int64_t k = 0; k < l->shape.o * l->shape.c * 9; k++) {
            l->w[k] -= 1e-6f * l->dw[k];
        }
        if (m->quantized && i) {
            quantize_weights(l);
        }
    }
    tick(&m->other, &t);
}

int main(int argc, char **argv) {
    static net m;
    if (crumb_ctx_create(&m.ctx, NULL) != CRUMB_OK) {
        return 1;
    }
    m.quantized = argc > 1 && !strcmp(argv[1], "dorefa");
    m.threads = argc > 2 ? atoi(argv[2]) : 2;
    const int steps = argc > 3 ? atoi(argv[3]) : 20;
    double best = 1e9, total = 0.0;
    build(&m);
    for (int s = -3; s < steps; s++) {
        if (s == 0) {
            m.conv[0] = m.conv[1] = m.conv[2] = m.stats = m.norm = m.reduce = m.apply = m.other = 0.0;
            total = 0.0;
        }
        double t = now();
        forward(&m);
        backward(&m);
        update(&m);
        t = now() - t;
        best = t < best ? t : best;
        total += t;
    }
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("%s: best %.0f images/s, mean %.0f, %ld MB\n", m.quantized ? "dorefa" : "float", BATCH / best, BATCH * steps / total,
           use.ru_maxrss / 1024);
    printf("ms a step: conv forward %.1f data %.1f weights %.1f, norm statistics %.1f forward %.1f reduce %.1f "
           "apply %.1f, other %.1f\n",
           m.conv[0] / steps * 1e3, m.conv[1] / steps * 1e3, m.conv[2] / steps * 1e3, m.stats / steps * 1e3,
           m.norm / steps * 1e3, m.reduce / steps * 1e3, m.apply / steps * 1e3, m.other / steps * 1e3);
    return 0;
}
