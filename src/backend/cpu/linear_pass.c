/* linear.h as three matrix products; the transposes are strides. */
#include "backend/cpu/linear.h"
#include "backend/cpu/onednn.h"

#include <stdlib.h>

enum { FORWARD, FORWARD_BIAS, BACKWARD_DATA, BACKWARD_WEIGHTS, PRODUCTS };

struct crumb_linear_plan {
    int64_t n, in, out;
    crumb_onednn_matmul *product[PRODUCTS];
    size_t workspace;
};

int crumb_linear_plan_create(crumb_linear_plan **out_plan, int64_t n, int64_t in, int64_t out, int threads) {
    if (n < 1 || in < 1 || out < 1 || threads < 1) {
        return CRUMB_CONV2D_BAD_SHAPE;
    }
    const crumb_onednn_matmul_shape forward = {n, out, in, in, 1, 1, in};
    const crumb_onednn_matmul_shape shapes[PRODUCTS] = {
        forward, forward, {n, in, out, out, 1, in, 1}, {out, in, n, 1, out, in, 1}};
    crumb_linear_plan *p = calloc(1, sizeof *p);
    if (!p) {
        return CRUMB_CONV2D_NO_MEMORY;
    }
    p->n = n, p->in = in, p->out = out;
    for (int i = 0; i < PRODUCTS; i++) {
        if (crumb_onednn_matmul_create(&p->product[i], &shapes[i], i == FORWARD_BIAS, threads)) {
            crumb_linear_plan_destroy(p);
            return CRUMB_CONV2D_UNSUPPORTED;
        }
        const size_t bytes = crumb_onednn_matmul_workspace(p->product[i]);
        p->workspace = bytes > p->workspace ? bytes : p->workspace;
    }
    *out_plan = p;
    return CRUMB_CONV2D_OK;
}

void crumb_linear_plan_destroy(crumb_linear_plan *p) {
    for (int i = 0; p && i < PRODUCTS; i++) {
        crumb_onednn_matmul_destroy(p->product[i]);
    }
    free(p);
}

size_t crumb_linear_plan_workspace(const crumb_linear_plan *p) {
    return p->workspace;
}

int crumb_linear_forward(const crumb_linear_plan *p, float *y, const float *x, const float *w, const float *bias,
                         void *workspace) {
    return crumb_onednn_matmul_run(p->product[bias ? FORWARD_BIAS : FORWARD], y, x, w, bias, workspace) ? CRUMB_CONV2D_FAILED
                                                                                                        : CRUMB_CONV2D_OK;
}

int crumb_linear_backward_data(const crumb_linear_plan *p, float *dx, const float *dy, const float *w, void *workspace) {
    return crumb_onednn_matmul_run(p->product[BACKWARD_DATA], dx, dy, w, NULL, workspace) ? CRUMB_CONV2D_FAILED
                                                                                          : CRUMB_CONV2D_OK;
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
    return crumb_onednn_matmul_run(p->product[BACKWARD_WEIGHTS], dw, dy, x, NULL, workspace) ? CRUMB_CONV2D_FAILED
                                                                                             : CRUMB_CONV2D_OK;
}
