/* Convolution rates on the shapes of ResNet-20 (or of the command line): own kernels and oneDNN, each pass,
 * interleaved, best of many. usage: bench_conv [THREADS] [BATCH] */
#include "backend/cpu/conv2d.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct {
    crumb_conv2d_shape shape;
    float *x, *w, *y, *dx, *dw;
    void *workspace;
} problem;

static float *filled(int64_t count) {
    float *p = aligned_alloc(64, (size_t)(count * 4 + 63) / 64 * 64);
    for (int64_t i = 0; i < count; i++) {
        p[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    }
    return p;
}

static void run_pass(const crumb_conv2d_plan *plan, problem *p, int pass) {
    if (pass == 0) {
        crumb_conv2d_forward(plan, p->y, p->x, p->w, NULL, p->workspace);
    } else if (pass == 1) {
        crumb_conv2d_backward_data(plan, p->dx, p->y, p->w, 0, p->workspace);
    } else {
        crumb_conv2d_backward_weights(plan, p->dw, NULL, p->x, p->y, p->workspace);
    }
}

/* Best of 15 rounds; the two providers take turns, so that a slow moment of the machine hits both. */
static void measure(crumb_conv2d_plan *const plan[2], problem *p, int pass, double best[2]) {
    best[0] = best[1] = 1e9;
    for (int round = 0; round < 15; round++) {
        for (int who = 0; who < 2; who++) {
            double t = now();
            run_pass(plan[who], p, pass);
            t = now() - t;
            best[who] = t < best[who] ? t : best[who];
        }
    }
}

int main(int argc, char **argv) {
    static const int64_t shapes[][4] = {{32, 3, 16, 1},  {32, 16, 16, 1}, {32, 16, 32, 2}, {16, 32, 32, 1},
                                        {16, 32, 64, 2}, {8, 64, 64, 1},  {56, 64, 64, 1}, {14, 256, 256, 1}};
    static const char *const names[] = {"forward", "backward-data", "backward-weights"};
    const int threads = argc > 1 ? atoi(argv[1]) : 2;
    const int64_t batch = argc > 2 ? atoi(argv[2]) : 128;
    crumb_ctx *ctx = NULL;
    if (crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        return 1;
    }
    printf("%-22s %-17s %9s %9s %6s\n", "shape", "pass", "own GF/s", "dnnl GF/s", "ratio");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t *d = shapes[i], n = d[0] * d[1] > 2000 ? batch / 8 + 1 : batch;
        problem p = {.shape = {n, d[0], d[0], d[1], d[2], 3, 3, d[3], d[3], 1, 1, 1, 1, 1, 1, 1}};
        const int64_t out = crumb_conv2d_out_h(&p.shape), x = n * d[0] * d[0] * d[1], y = n * out * out * d[2];
        crumb_conv2d_plan *plan[2];
        if (crumb_conv2d_plan_create(ctx, &p.shape, threads, CRUMB_CONV2D_PREFER_OWN, &plan[0]) ||
            crumb_conv2d_plan_create(ctx, &p.shape, threads, CRUMB_CONV2D_ONEDNN, &plan[1])) {
            fprintf(stderr, "bench_conv: no plan\n");
            return 1;
        }
        size_t a = crumb_conv2d_plan_workspace(plan[0]), b = crumb_conv2d_plan_workspace(plan[1]);
        p.x = filled(x), p.dx = filled(x), p.y = filled(y), p.w = filled(d[1] * d[2] * 9), p.dw = filled(d[1] * d[2] * 9);
        p.workspace = filled((int64_t)(a > b ? a : b) / 4 + 16);
        for (int pass = 0; pass < 3; pass++) {
            double best[2], flop = 2.0 * 9.0 * (double)(y * d[1]);
            measure(plan, &p, pass, best);
            printf("%3ldx%-3ld %3ld -> %3ld s%ld    %-17s %9.0f %9.0f %6.2f\n", (long)d[0], (long)d[0], (long)d[1], (long)d[2],
                   (long)d[3], names[pass], flop / best[0] * 1e-9, flop / best[1] * 1e-9, best[1] / best[0]);
        }
        free(p.x), free(p.dx), free(p.y), free(p.w), free(p.dw), free(p.workspace);
        crumb_conv2d_plan_destroy(ctx, plan[0]);
        crumb_conv2d_plan_destroy(ctx, plan[1]);
    }
    crumb_ctx_destroy(ctx);
    return 0;
}
