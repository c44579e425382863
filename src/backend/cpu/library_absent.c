/* Stands in for onednn.c where the build has no oneDNN: every plan is refused, and what the own kernels do
 * not cover falls to the reference ops. */
#ifndef CRUMB_ONEDNN

#include "backend/cpu/onednn.h"

crumb_status crumb_onednn_conv_create(crumb_ctx *ctx, const crumb_conv2d_shape *shape, int pass, int threads,
                                      crumb_onednn_conv **out) {
    (void)ctx, (void)shape, (void)pass, (void)threads, (void)out;
    return CRUMB_ERROR_UNSUPPORTED;
}

void crumb_onednn_conv_destroy(crumb_ctx *ctx, crumb_onednn_conv *conv) {
    (void)ctx, (void)conv;
}

size_t crumb_onednn_conv_workspace(const crumb_onednn_conv *conv) {
    (void)conv;
    return 0;
}

int crumb_onednn_conv_run(const crumb_onednn_conv *conv, float *x, float *w, float *y, void *workspace) {
    (void)conv, (void)x, (void)w, (void)y, (void)workspace;
    return 1;
}

crumb_status crumb_onednn_matmul_create(crumb_ctx *ctx, const crumb_onednn_matmul_shape *shape, int with_bias, int threads,
                                        crumb_onednn_matmul **out) {
    (void)ctx, (void)shape, (void)with_bias, (void)threads, (void)out;
    return CRUMB_ERROR_UNSUPPORTED;
}

void crumb_onednn_matmul_destroy(crumb_ctx *ctx, crumb_onednn_matmul *matmul) {
    (void)ctx, (void)matmul;
}

size_t crumb_onednn_matmul_workspace(const crumb_onednn_matmul *matmul) {
    (void)matmul;
    return 0;
}

int crumb_onednn_matmul_run(const crumb_onednn_matmul *matmul, float *c, const float *a, const float *b, const float *bias,
                            void *workspace) {
    (void)matmul, (void)c, (void)a, (void)b, (void)bias, (void)workspace;
    return 1;
}

#endif
