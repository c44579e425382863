/* Choice, staging and panels of the family "depthwise" (depthwise.h). */
#include "runtime/kernels/depthwise/depthwise.h"

#include <string.h>

/* A kernel as large as the image would be rewritten as one of a single pixel, which has no channels of its own. */
bool crumb_depthwise_supports(const crumb_conv_problem *problem) {
    const bool whole = problem->kernel_height == problem->height && problem->kernel_width == problem->width;
    return problem->groups == problem->channels && problem->groups == problem->out_channels && !whole;
}

void crumb_depthwise_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const crumb_depthwise_family *family = (const crumb_depthwise_family *)(const void *)frame->family;
    const crumb_conv_problem *p = &frame->problem;
    const int32_t channels = p->channels;
    if (p->x.levels == 0) {
        memcpy(dst, src, (size_t)pixels * (size_t)channels * sizeof(float));
        return;
    }
    const int32_t ahead = p->kernel_width > 1 ? p->dilation : 0, before = ahead < p->padding ? ahead : p->padding;
    int16_t *to = (int16_t *)(void *)(dst - (size_t)before * (size_t)frame->pixel_bytes);
    for (int32_t i = -before; i < pixels; i++, to += 2 * channels) {
        const uint8_t *low = i >= 0 ? src + (size_t)i * (size_t)channels : NULL;
        const bool inside = ahead > 0 && i + ahead >= 0 && i + ahead < pixels;
        family->pair(&p->x, to, low, inside ? src + (size_t)(i + ahead) * (size_t)channels : NULL, channels);
    }
}

static void pack_codes(const crumb_depthwise *d, uint8_t *panel, const uint16_t *index) {
    const crumb_frame *f = &d->frame;
    const crumb_conv_problem *p = &f->problem;
    for (int32_t o = 0; o < p->out_channels; o++) {
        const int32_t block = o / f->block, lanes = crumb_frame_lanes(f, block);
        int16_t *to = (int16_t *)(void *)(panel + (size_t)block * f->block_bytes) + 2 * (o % f->block);
        for (int32_t kh = 0; kh < p->kernel_height; kh++) {
            for (int32_t kw = 0; kw < p->kernel_width; kw++, index++) {
                to[(size_t)(kh * d->pairs + kw / 2) * (size_t)(2 * lanes) + (size_t)(kw % 2)] =
                    (int16_t)crumb_packed_code(&p->w, *index);
            }
        }
    }
}

static void pack_floats(const crumb_depthwise *d, uint8_t *panel, const void *weight) {
    const crumb_frame *f = &d->frame;
    const crumb_conv_problem *p = &f->problem;
    const int32_t taps = p->kernel_height * p->kernel_width;
    for (int32_t o = 0; o < p->out_channels; o++) {
        const int32_t block = o / f->block, lanes = crumb_frame_lanes(f, block);
        float *to = (float *)(void *)(panel + (size_t)block * f->block_bytes) + o % f->block;
        for (int32_t t = 0; t < taps; t++, to += lanes) {
            const size_t at = (size_t)o * (size_t)taps + (size_t)t;
            *to = p->w.levels == 0 ? ((const float *)weight)[at]
                                   : (float)crumb_packed_code(&p->w, ((const uint16_t *)weight)[at]);
        }
    }
}

crumb_status crumb_depthwise_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                     const void *weight, crumb_conv_ready *ready) {
    const crumb_depthwise_family *family = kernel->inner;
    const bool codes = problem->x.levels != 0;
    crumb_conv_problem one = *problem;
    one.groups = 1;
    crumb_depthwise made = {.pairs = codes ? (problem->kernel_width + 1) / 2 : problem->kernel_width,
                            .fused = problem->w.levels == 0 || problem->w.levels > 4};
    /* Two int16 or a float: 4 bytes a channel, in the panel too. */
    crumb_frame_make(&made.frame, &one, &family->frame, CRUMB_DEPTHWISE_BLOCK, 4, 4 * problem->channels, false);
    const size_t block = 4 * (size_t)problem->kernel_height * (size_t)made.pairs * (size_t)crumb_frame_lanes(&made.frame, 0);
    int32_t *constant;
    uint8_t *panel;
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, sizeof(made), &made.frame, block, &constant, &panel));
    memcpy(ready->panel, &made, sizeof(made));
    if (codes) {
        pack_codes(&made, panel, weight);
    } else {
        pack_floats(&made, panel, weight);
    }
    return CRUMB_OK;
}
