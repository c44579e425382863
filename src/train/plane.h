/* The plane through three weight vectors (Garipov et al., arXiv 1802.10026, section 3):
 *
 *     u = w3 - w1,   v = (w2 - w1) - <w2 - w1, u> / |u|^2 u,   P(a, b) = w1 + a u + b v
 *
 * w1 is (0, 0), w3 is (1, 0), w2 is (<w2 - w1, u> / |u|^2, 1). a |u| and b |v| are Euclidean distances. */
#ifndef CRUMB_PLANE_H
#define CRUMB_PLANE_H

#include "base/ctx.h"

typedef struct crumb_plane {
    crumb_ctx *ctx;
    int64_t count;
    float *origin, *u, *v;
    double u_length, v_length;
    double a[3], b[3]; /* of the three vectors */
} crumb_plane;

/* Copies what it needs. ARGUMENT if two vectors are the same, or all three on a line, up to the rounding of floats. */
crumb_status crumb_plane_make(crumb_ctx *ctx, const float *const w[3], int64_t count, crumb_plane *plane);
void crumb_plane_point(const crumb_plane *plane, double a, double b, float *out);
void crumb_plane_free(crumb_plane *plane);

#endif
