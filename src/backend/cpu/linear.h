/* Fully connected layer on raw pointers: y[n][o] = sum over i of x[n][i] * w[o][i] (+ bias[o]), and its gradients, by the
 * library's matrix product. Sums are f32 in the library's order: within gamma(R) * sum |terms| of the exact ones, gamma as in
 * conv2d.h. Plan once, then run without allocating; what planning and running return is said in conv2d.h. */
#ifndef CRUMB_BACKEND_CPU_LINEAR_H
#define CRUMB_BACKEND_CPU_LINEAR_H

#include "backend/cpu/conv2d.h"

typedef struct crumb_linear_plan crumb_linear_plan;

/* n rows, in inputs, out outputs. */
crumb_status crumb_linear_plan_create(crumb_ctx *ctx, int64_t n, int64_t in, int64_t out, int threads,
                                      crumb_linear_plan **out_plan);
void crumb_linear_plan_destroy(crumb_ctx *ctx, crumb_linear_plan *plan);
size_t crumb_linear_plan_workspace(const crumb_linear_plan *plan);

/* bias may be NULL. */
int crumb_linear_forward(const crumb_linear_plan *plan, float *y, const float *x, const float *w, const float *bias,
                         void *workspace);
/* dx <- gradient. */
int crumb_linear_backward_data(const crumb_linear_plan *plan, float *dx, const float *dy, const float *w, void *workspace);
/* dw <- gradient; db <- column sums of dy unless NULL. */
int crumb_linear_backward_weights(const crumb_linear_plan *plan, float *dw, float *db, const float *x, const float *dy,
                                  void *workspace);

#endif
