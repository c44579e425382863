/* Chooses a provider for each pass of a convolution and runs it; conv2d.h is the contract.
 *
 * Where both can run a pass, bench/bench_conv decides (batch 128, two threads). The own kernels win where channels are few and
 * images large: 1.2 to 1.5 times oneDNN's rate at 16 channels. Their weights are streamed from the second-level cache once a
 * tile, which costs them a tenth to a sixth from 64 channels on, and a stride halves the use of each loaded input.
 * Backward-data of stride 1 is theirs throughout, because oneDNN runs it slower than its own forward pass. */
#include "backend/cpu/conv2d.h"

#include "backend/cpu/conv_pass.h"
#include "backend/cpu/onednn.h"

enum { FORWARD = 0, BACKWARD_DATA = 1, BACKWARD_WEIGHTS = 2, PASSES = 3 };

struct crumb_conv2d_plan {
    crumb_conv2d_shape shape;
    int threads;
    int own[PASSES];           /* 1: direct kernels, 0: oneDNN */
    crumb_conv_pass direct[2]; /* FORWARD, BACKWARD_DATA */
    crumb_conv_gradient gradient;
    crumb_onednn_conv *dnnl[PASSES];
    size_t workspace, dx_offset; /* dx_offset: where oneDNN's dx waits to be accumulated */
};

int64_t crumb_conv2d_out_h(const crumb_conv2d_shape *s) {
    return (s->h + s->pad_top + s->pad_bottom - (s->kh - 1) * s->dilation_h - 1) / s->stride_h + 1;
}

int64_t crumb_conv2d_out_w(const crumb_conv2d_shape *s) {
    return (s->w + s->pad_left + s->pad_right - (s->kw - 1) * s->dilation_w - 1) / s->stride_w + 1;
}

static int shape_is_valid(const crumb_conv2d_shape *s) {
    return s->n > 0 && s->h > 0 && s->w > 0 && s->c > 0 && s->o > 0 && s->kh > 0 && s->kw > 0 && s->stride_h > 0 &&
           s->stride_w > 0 && s->pad_top >= 0 && s->pad_left >= 0 && s->pad_bottom >= 0 && s->pad_right >= 0 &&
           s->dilation_h > 0 && s->dilation_w > 0 && s->groups > 0 && s->c % s->groups == 0 && s->o % s->groups == 0 &&
           s->h + s->pad_top + s->pad_bottom > (s->kh - 1) * s->dilation_h &&
           s->w + s->pad_left + s->pad_right > (s->kw - 1) * s->dilation_w;
}

/* Whether the own kernels measured faster; see the head of this file. */
static int own_is_faster(const crumb_conv2d_shape *s, int pass) {
    switch (pass) {
    case FORWARD:
        return s->c < 16 || (s->c < 64 && s->stride_w == 1);
    case BACKWARD_DATA:
        return s->stride_w == 1;
    default:
        return s->c <= 64;
    }
}

static bool plan_own(crumb_conv2d_plan *p, int pass) {
    const crumb_conv_kernels *kernels = crumb_conv_kernels__avx512();
    if (pass == BACKWARD_WEIGHTS) {
        return crumb_conv_gradient_init(&p->gradient, &p->shape, p->threads, kernels);
    }
    return crumb_conv_pass_init(&p->direct[pass], &p->shape, pass, p->threads, kernels);
}

static size_t pass_workspace(const crumb_conv2d_plan *p, int pass) {
    if (!p->own[pass]) {
        return crumb_onednn_conv_workspace(p->dnnl[pass]);
    }
    return pass == BACKWARD_WEIGHTS ? crumb_conv_gradient_workspace(&p->gradient) : crumb_conv_pass_workspace(&p->direct[pass]);
}

static crumb_status plan_pass(crumb_ctx *ctx, crumb_conv2d_plan *p, int pass, unsigned allow) {
    const bool own = (allow & CRUMB_CONV2D_OWN) && plan_own(p, pass);
    const bool prefer = own && ((allow & CRUMB_CONV2D_PREFER_OWN) == CRUMB_CONV2D_PREFER_OWN || own_is_faster(&p->shape, pass));
    if (!prefer && (allow & CRUMB_CONV2D_ONEDNN)) {
        crumb_status status = crumb_onednn_conv_create(ctx, &p->shape, pass, p->threads, &p->dnnl[pass]);
        if (status != CRUMB_OK && status != CRUMB_ERROR_UNSUPPORTED) {
            return status;
        }
    }
    p->own[pass] = p->dnnl[pass] == NULL;
    if (p->own[pass] && !own) {
        return CRUMB_ERROR_UNSUPPORTED;
    }
    size_t bytes = (pass_workspace(p, pass) + 63) / 64 * 64;
    if (pass == BACKWARD_DATA && !p->own[pass]) {
        p->dx_offset = bytes;
        bytes += (size_t)(p->shape.n * p->shape.h * p->shape.w * p->shape.c) * sizeof(float);
    }
    p->workspace = bytes > p->workspace ? bytes : p->workspace;
    return CRUMB_OK;
}

crumb_status crumb_conv2d_plan_create(crumb_ctx *ctx, const crumb_conv2d_shape *shape, int threads, unsigned allow,
                                      crumb_conv2d_plan **out) {
    if (!shape_is_valid(shape)) {
        return crumb_fail(ctx, CRUMB_ERROR_SHAPE, "conv2d: %lld x %lld x %lld through %lld x %lld, %lld groups",
                          (long long)shape->h, (long long)shape->w, (long long)shape->c, (long long)shape->kh,
                          (long long)shape->kw, (long long)shape->groups);
    }
    crumb_conv2d_plan *p = crumb_alloc(ctx, 1, sizeof *p);
    if (!p) {
        return CRUMB_ERROR_MEMORY;
    }
    p->shape = *shape;
    p->threads = threads;
    for (int pass = 0; pass < PASSES; pass++) {
        crumb_status status = plan_pass(ctx, p, pass, allow);
        if (status != CRUMB_OK) {
            crumb_conv2d_plan_destroy(ctx, p);
            return status;
        }
    }
    *out = p;
    return CRUMB_OK;
}

void crumb_conv2d_plan_destroy(crumb_ctx *ctx, crumb_conv2d_plan *p) {
    if (!p) {
        return;
    }
    for (int pass = 0; pass < PASSES; pass++) {
        crumb_onednn_conv_destroy(ctx, p->dnnl[pass]);
    }
    crumb_free(ctx, p);
}

size_t crumb_conv2d_plan_workspace(const crumb_conv2d_plan *p) {
    return p->workspace;
}

static void add_bias(float *y, const float *bias, int64_t rows, int64_t o, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < o; i++) {
            y[r * o + i] += bias[i];
        }
    }
}

int crumb_conv2d_forward(const crumb_conv2d_plan *p, float *y, const float *x, const float *w, const float *bias,
                         void *workspace) {
    const crumb_conv2d_shape *s = &p->shape;
    if (p->own[FORWARD]) {
        crumb_conv_pass_run(&p->direct[FORWARD], y, x, w, bias, 0, workspace);
        return 0;
    }
    if (crumb_onednn_conv_run(p->dnnl[FORWARD], (float *)(uintptr_t)x, (float *)(uintptr_t)w, y, workspace)) {
        return 1;
    }
    if (bias) {
        add_bias(y, bias, s->n * crumb_conv2d_out_h(s) * crumb_conv2d_out_w(s), s->o, p->threads);
    }
    return 0;
}

int crumb_conv2d_backward_data(const crumb_conv2d_plan *p, float *dx, const float *dy, const float *w, int accumulate,
                               void *workspace) {
    if (p->own[BACKWARD_DATA]) {
        crumb_conv_pass_run(&p->direct[BACKWARD_DATA], dx, dy, w, NULL, accumulate, workspace);
        return 0;
    }
    float *to = accumulate ? (float *)((char *)workspace + p->dx_offset) : dx;
    if (crumb_onednn_conv_run(p->dnnl[BACKWARD_DATA], to, (float *)(uintptr_t)w, (float *)(uintptr_t)dy, workspace)) {
        return 1;
    }
    const int64_t count = accumulate ? p->shape.n * p->shape.h * p->shape.w * p->shape.c : 0;
#pragma omp parallel for simd num_threads(p->threads) schedule(static)
    for (int64_t i = 0; i < count; i++) {
        dx[i] += to[i];
    }
    return 0;
}

/* Column sums of dy, in double: few values, and their number is that of all output pixels. */
static void sum_columns(float *db, const float *dy, int64_t rows, int64_t o, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < o; i++) {
        double sum = 0.0;
        for (int64_t r = 0; r < rows; r++) {
            sum += (double)dy[r * o + i];
        }
        db[i] = (float)sum;
    }
}

int crumb_conv2d_backward_weights(const crumb_conv2d_plan *p, float *dw, float *db, const float *x, const float *dy,
                                  void *workspace) {
    const crumb_conv2d_shape *s = &p->shape;
    if (db) {
        sum_columns(db, dy, s->n * crumb_conv2d_out_h(s) * crumb_conv2d_out_w(s), s->o, p->threads);
    }
    if (p->own[BACKWARD_WEIGHTS]) {
        crumb_conv_gradient_run(&p->gradient, dw, x, dy, workspace);
        return 0;
    }
    return crumb_onednn_conv_run(p->dnnl[BACKWARD_WEIGHTS], (float *)(uintptr_t)x, dw, (float *)(uintptr_t)dy, workspace);
}
