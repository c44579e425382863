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

crumb_conv_problem crumb_conv_problem_of(const crumb_packed *packed, const crumb_packed_node *node) {
    const crumb_packed_value *x = &packed->value[node->input[0]], *y = &packed->value[node->output];
    return (crumb_conv_problem){.height = x->height,
                                .width = x->width,
                                .channels = x->channels,
                                .out_height = y->height,
                                .out_width = y->width,
                                .out_channels = y->channels,
                                .kernel_height = node->kernel_height,
                                .kernel_width = node->kernel_width,
                                .stride = node->stride,
                                .padding = node->padding,
                                .dilation = node->dilation,
                                .groups = node->groups,
                                .x = x->codes,
                                .w = packed->tensor[node->weight].codes,
                                .group = crumb_packed_group(packed, node),
                                .scale = crumb_packed_floats(packed, node->extra)};
}

crumb_status crumb_conv_prepare_with(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                     const void *weight, crumb_conv_ready *ready) {
    crumb_conv_ready made = {.kernel = kernel, .problem = *problem};
    CRUMB_TRY(kernel->prepare(ctx, kernel, problem, weight, &made));
    *ready = made;
    return CRUMB_OK;
}

const crumb_conv_kernel *crumb_conv_choose(const crumb_ctx *ctx, const crumb_conv_problem *problem) {
    const crumb_conv_kernel *const *kernel = crumb_conv_kernels;
    while (((*kernel)->cpu & ~crumb_cpu(ctx)) != 0 || !(*kernel)->supports(problem)) {
        kernel++;
    }
    return *kernel;
}

crumb_status crumb_conv_prepare(crumb_ctx *ctx, const crumb_conv_problem *problem, const void *weight,
                                crumb_conv_ready *ready) {
    return crumb_conv_prepare_with(ctx, crumb_conv_choose(ctx, problem), problem, weight, ready);
}

void crumb_conv_release(crumb_ctx *ctx, crumb_conv_ready *ready) {
    crumb_free(ctx, ready->panel);
    *ready = (crumb_conv_ready){0};
}
