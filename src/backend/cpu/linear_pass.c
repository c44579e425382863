/* linear.h as three matrix products; the transposes are strides. */
#include "backend/cpu/linear.h"
#include "backend/cpu/onednn.h"

enum { FORWARD, FORWARD_BIAS, BACKWARD_DATA, BACKWARD_WEIGHTS, PRODUCTS };

struct crumb_linear_plan {
    int64_t n, in, out;
    crumb_onednn_matmul *product[PRODUCTS];
    size_t workspace;
};

crumb_status crumb_linear_plan_create(crumb_ctx *ctx, int64_t n, int64_t in, int64_t out, int threads,
                                      crumb_linear_plan **out_plan) {
    if (n < 1 || in < 1 || out < 1) {
        return crumb_fail(ctx, CRUMB_ERROR_SHAPE, "linear: %lld rows of %lld to %lld", (long long)n, (long long)in,
                          (long long)out);
    }
    const crumb_onednn_matmul_shape forward = {n, out, in, in, 1, 1, in};
    const crumb_onednn_matmul_shape shapes[PRODUCTS] = {
        forward, forward, {n, in, out, out, 1, in, 1}, {out, in, n, 1, out, in, 1}};
    crumb_linear_plan *p = crumb_alloc(ctx, 1, sizeof *p);
    if (!p) {
        return CRUMB_ERROR_MEMORY;
    }
    p->n = n, p->in = in, p->out = out;
    for (int i = 0; i < PRODUCTS; i++) {
        crumb_status status = crumb_onednn_matmul_create(ctx, &shapes[i], i == FORWARD_BIAS, threads, &p->product[i]);
        if (status != CRUMB_OK) {
            crumb_linear_plan_destroy(ctx, p);
            return status;
        }
        const size_t bytes = crumb_onednn_matmul_workspace(p->product[i]);
        p->workspace = bytes > p->workspace ? bytes : p->workspace;
    }
    *out_plan = p;
    return CRUMB_OK;
}

void crumb_linear_plan_destroy(crumb_ctx *ctx, crumb_linear_plan *p) {
    for (int i = 0; p && i < PRODUCTS; i++) {
        crumb_onednn_matmul_destroy(ctx, p->product[i]);
    }
    crumb_free(ctx, p);
}

size_t crumb_linear_plan_workspace(const crumb_linear_plan *p) {
    return p->workspace;
}

int crumb_linear_forward(const crumb_linear_plan *p, float *y, const float *x, const float *w, const float *bias,
                         void *workspace) {
    return crumb_onednn_matmul_run(p->product[bias ? FORWARD_BIAS : FORWARD], y, x, w, bias, workspace);
}

int crumb_linear_backward_data(const crumb_linear_plan *p, float *dx, const float *dy, const float *w, void *workspace) {
    return crumb_onednn_matmul_run(p->product[BACKWARD_DATA], dx, dy, w, NULL, workspace);
}

int crumb_linear_backward_weights(const crumb_linear_plan *p, float *dw, float *db, const float *x, const float *dy,
                                  void *workspace) {
    for (int64_t o = 0; db && o < p->out; o++) {
        double sum = 0.0;
        for (int64_t r = 0; r < p->n; r++) {
            sum += (double)dy[r * p->out + o];
        }
        db[o] = (float)sum;
    }
    return crumb_onednn_matmul_run(p->product[BACKWARD_WEIGHTS], dw, dy, x, NULL, workspace);
}
