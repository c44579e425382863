/* The table behind kernels.inc and the choice among its rows. */
#include "runtime/kernel.h"

#if defined(__x86_64__)
#define CRUMB_CONV_X86(name) CRUMB_CONV(name)
#define CRUMB_CONV_ARM(name)
#elif defined(__aarch64__)
#define CRUMB_CONV_X86(name)
#define CRUMB_CONV_ARM(name) CRUMB_CONV(name)
#else
#define CRUMB_CONV_X86(name)
#define CRUMB_CONV_ARM(name)
#endif

#define CRUMB_CONV(name) extern const crumb_conv_kernel crumb_conv_##name;
#include "runtime/kernels.inc"
#undef CRUMB_CONV

const crumb_conv_kernel *const crumb_conv_kernels[] = {
#define CRUMB_CONV(name) &crumb_conv_##name,
#include "runtime/kernels.inc"
#undef CRUMB_CONV
    NULL,
};

crumb_status crumb_conv_prepare_with(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                     const void *weight, crumb_conv_ready *ready) {
    crumb_conv_ready made = {.kernel = kernel, .problem = *problem};
    CRUMB_TRY(kernel->prepare(ctx, kernel, problem, weight, &made));
    *ready = made;
    return CRUMB_OK;
}

crumb_status crumb_conv_prepare(crumb_ctx *ctx, const crumb_conv_problem *problem, const void *weight,
                                crumb_conv_ready *ready) {
    const crumb_conv_kernel *const *kernel = crumb_conv_kernels;
    while (((*kernel)->cpu & ~crumb_cpu(ctx)) != 0 || !(*kernel)->supports(problem)) {
        kernel++;
    }
    return crumb_conv_prepare_with(ctx, *kernel, problem, weight, ready);
}

void crumb_conv_release(crumb_ctx *ctx, crumb_conv_ready *ready) {
    crumb_free(ctx, ready->panel);
    *ready = (crumb_conv_ready){0};
}
