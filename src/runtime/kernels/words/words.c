/* Staging and panels of the family "words" (words.h). */
#include "runtime/kernels/words/words.h"

bool crumb_words_supports(const crumb_conv_problem *problem) {
    return problem->x.levels != 0;
}

void crumb_words_widen(int16_t *restrict to, const uint8_t *restrict from, size_t count, const crumb_packed_codes *codes) {
    const int16_t multiply = (int16_t)codes->multiply, offset = (int16_t)codes->offset;
    for (size_t i = 0; i < count; i++) {
        to[i] = (int16_t)(multiply * from[i] + offset);
    }
}

void crumb_words_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const size_t in = (size_t)frame->in, stride = (size_t)frame->problem.channels;
    int16_t *to = (int16_t *)(void *)dst;
    if (in == stride) {
        crumb_words_widen(to, src, in * (size_t)pixels, &frame->problem.x);
        return;
    }
    for (int32_t p = 0; p < pixels; p++, src += stride, to += in) {
        crumb_words_widen(to, src, in, &frame->problem.x);
    }
}

/* Channels of a block: many, so that what follows is called seldom, but 16 where many would not stay in a second-level cache
 * beside the staged input. */
enum { BLOCK = 64, PANEL = 192 * 1024 };

static void put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    (void)user;
    const uint16_t *index = (const uint16_t *)weight + row;
    const size_t unit = (size_t)place->segment * (size_t)frame->units + (size_t)place->unit;
    int16_t *to = (int16_t *)(void *)place->block + 2 * (unit * (size_t)place->lanes + (size_t)place->lane);
    for (int32_t i = 0; i < 2; i++) {
        int32_t tap, byte;
        crumb_frame_position(frame, place->segment, 4 * place->unit + 2 * i, &tap, &byte);
        if (tap < frame->problem.kernel_height * frame->problem.kernel_width && byte < frame->pixel_bytes) {
            to[i] = (int16_t)crumb_packed_code(&frame->problem.w, index[(size_t)tap * (size_t)frame->in + (size_t)byte / 2]);
        }
    }
}

crumb_status crumb_words_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                 const void *weight, crumb_conv_ready *ready) {
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    crumb_frame frame;
    const int64_t unrolled =
        (int64_t)p.kernel_height * p.kernel_width * (p.channels / p.groups) * BLOCK * (int64_t)sizeof(int16_t);
    crumb_frame_make(&frame, problem, kernel->inner, unrolled <= PANEL ? BLOCK : CRUMB_FRAME_LANES, 4,
                     2 * (p.channels / p.groups), true);
    int32_t *constant;
    uint8_t *panel;
    const size_t block = 4 * (size_t)frame.segments * (size_t)frame.units * (size_t)crumb_frame_lanes(&frame, 0);
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, sizeof(frame), &frame, block, &constant, &panel));
    crumb_frame_pack(&frame, panel, weight, put, NULL);
    return CRUMB_OK;
}
