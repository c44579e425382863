/* See plane.h. Sums are doubles: a network has millions of weights, and the second direction is a difference. */
#include "train/plane.h"

#include <math.h>

static double dot(const float *x, const float *y, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)x[i] * (double)y[i];
    }
    return sum;
}

static crumb_status fill(crumb_plane *p, const float *const w[3]) {
    for (int64_t i = 0; i < p->count; i++) {
        p->origin[i] = w[0][i];
        p->u[i] = (float)((double)w[2][i] - (double)w[0][i]);
        p->v[i] = (float)((double)w[1][i] - (double)w[0][i]);
    }
    double uu = dot(p->u, p->u, p->count), to_second = dot(p->v, p->v, p->count);
    if (!isfinite(uu) || !isfinite(to_second)) {
        return crumb_fail(p->ctx, CRUMB_ERROR_NUMERIC, "the weights of a model are not finite numbers");
    }
    if (!(uu > 0) || !(to_second > 0)) {
        return crumb_fail(p->ctx, CRUMB_ERROR_ARGUMENT, "the first and the %s model have the same weights: no plane",
                          uu > 0 ? "second" : "third");
    }
    double share = dot(p->v, p->u, p->count) / uu;
    for (int64_t i = 0; i < p->count; i++) {
        p->v[i] = (float)((double)w[1][i] - (double)w[0][i] - share * (double)p->u[i]);
    }
    p->u_length = sqrt(uu);
    p->v_length = sqrt(dot(p->v, p->v, p->count));
    p->a[1] = share;
    p->b[1] = 1;
    p->a[2] = 1;
    if (!(p->v_length > 1e-6 * sqrt(to_second))) { /* what float rounding leaves */
        return crumb_fail(p->ctx, CRUMB_ERROR_ARGUMENT, "the three models lie on a line: no plane");
    }
    return CRUMB_OK;
}

crumb_status crumb_plane_make(crumb_ctx *ctx, const float *const w[3], int64_t count, crumb_plane *plane) {
    crumb_plane made = {.ctx = ctx, .count = count};
    made.origin = crumb_alloc(ctx, (size_t)count + 1, sizeof(float));
    made.u = crumb_alloc(ctx, (size_t)count + 1, sizeof(float));
    made.v = crumb_alloc(ctx, (size_t)count + 1, sizeof(float));
    crumb_status status = made.origin != NULL && made.u != NULL && made.v != NULL ? fill(&made, w) : CRUMB_ERROR_MEMORY;
    if (status != CRUMB_OK) {
        crumb_plane_free(&made);
        return status;
    }
    *plane = made;
    return CRUMB_OK;
}

void crumb_plane_point(const crumb_plane *p, double a, double b, float *out) {
    for (int64_t i = 0; i < p->count; i++) {
        out[i] = (float)((double)p->origin[i] + a * (double)p->u[i] + b * (double)p->v[i]);
    }
}

void crumb_plane_free(crumb_plane *p) {
    if (p->ctx != NULL) {
        crumb_free(p->ctx, p->origin);
        crumb_free(p->ctx, p->u);
        crumb_free(p->ctx, p->v);
    }
    *p = (crumb_plane){0};
}
