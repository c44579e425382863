/* Choice, staging and wide panels of the family "real" (real.h). */
#include "runtime/kernels/real/real.h"

#include <string.h>

int32_t crumb_real_group(const crumb_packed_codes *w) {
    return w->levels == 0 || w->levels > 4 ? 1 : w->levels > 2 ? 2 : 4;
}

bool crumb_real_supports(const crumb_conv_problem *problem) {
    return problem->x.levels == 0 && problem->group == 0;
}

void crumb_real_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const size_t in = (size_t)frame->in * sizeof(float), out = (size_t)frame->pixel_bytes;
    const size_t stride = (size_t)frame->problem.channels * sizeof(float);
    if (in == stride && in == out) {
        memcpy(dst, src, (size_t)pixels * in);
        return;
    }
    for (int32_t p = 0; p < pixels; p++, src += stride, dst += out) {
        memcpy(dst, src, in);
        memset(dst + in, 0, out - in);
    }
}

static void put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const int32_t group = *(const int32_t *)user;
    float *to = (float *)(void *)place->block +
                ((size_t)place->segment * (size_t)frame->units + (size_t)place->unit) * (size_t)(group * place->lanes) +
                (size_t)place->lane;
    if (crumb_frame_scaled(frame)) {
        to += (size_t)(place->unit / frame->group_units + 1) * (size_t)place->lanes;
    }
    for (int32_t i = 0; i < group; i++, to += place->lanes) {
        int32_t tap, byte;
        crumb_frame_position(frame, place->segment, (group * place->unit + i) * (int32_t)sizeof(float), &tap, &byte);
        int32_t channel = byte / (int32_t)sizeof(float);
        if (channel < frame->in) {
            const size_t at = row + (size_t)tap * (size_t)frame->in + (size_t)channel;
            *to = frame->problem.w.levels == 0 ? ((const float *)weight)[at]
                                               : (float)crumb_packed_code(&frame->problem.w, ((const uint16_t *)weight)[at]);
        }
    }
}

crumb_status crumb_real_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                const void *weight, crumb_conv_ready *ready) {
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    crumb_real real = {.group = crumb_real_group(&p.w)};
    const int32_t in = p.channels / p.groups, filled = (in + real.group - 1) / real.group * real.group;
    crumb_frame_make(&real.frame, problem, kernel->inner, 64, real.group * (int32_t)sizeof(float),
                     filled * (int32_t)sizeof(float), false);
    crumb_frame_group(&real.frame, real.group);
    int32_t *constant;
    uint8_t *panel;
    const size_t each = (size_t)(real.frame.group_units * real.group + crumb_frame_scaled(&real.frame));
    const size_t block = sizeof(float) * (size_t)real.frame.segments * (size_t)crumb_frame_groups(&real.frame) * each *
                         (size_t)crumb_frame_lanes(&real.frame, 0);
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, sizeof(real), &real.frame, block, &constant, &panel));
    ((crumb_real *)ready->panel)->group = real.group;
    crumb_frame_pack(&real.frame, panel, weight, put, &real.group);
    crumb_frame_pack_scales(&real.frame, panel, problem->scale, sizeof(float) * each);
    return CRUMB_OK;
}
