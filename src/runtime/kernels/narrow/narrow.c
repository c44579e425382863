/* Choice and panels of the family "narrow" (narrow.h). */
#include "runtime/kernels/narrow/narrow.h"

bool crumb_narrow_supports(const crumb_conv_problem *problem) {
    return problem->x.levels == 0 && problem->w.levels > 4 && problem->w.levels <= 256 && problem->groups == 1 &&
           (problem->group > 0 || problem->out_height * problem->out_width == 1);
}

/* Words of a group of units that share scales, or of a segment. */
static size_t words_of(const crumb_narrow *narrow) {
    return (size_t)((narrow->frame.group_units + narrow->word - 1) / narrow->word + crumb_frame_scaled(&narrow->frame));
}

static void put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const crumb_narrow *narrow = user;
    const int32_t inside = place->unit % frame->group_units;
    int32_t tap, byte;
    crumb_frame_position(frame, place->segment, place->unit * frame->unit, &tap, &byte);
    const size_t at = row + (size_t)tap * (size_t)frame->in + (size_t)byte / sizeof(float);
    const size_t group = (size_t)(place->segment + place->unit / frame->group_units);
    const size_t word = group * words_of(narrow) + (size_t)(crumb_frame_scaled(frame) + inside / narrow->word);
    uint32_t *to = (uint32_t *)(void *)place->block + word * (size_t)place->lanes + (size_t)place->lane;
    *to |= (uint32_t)((const uint16_t *)weight)[at] << (inside % narrow->word * narrow->bits);
}

crumb_status crumb_narrow_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                  const void *weight, crumb_conv_ready *ready) {
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    crumb_narrow made = {.bits = p.w.levels <= CRUMB_NARROW_LEVELS ? 4 : 8};
    made.word = 32 / made.bits;
    made.multiply = (float)p.w.multiply;
    made.offset = (float)p.w.offset;
    for (int32_t i = 0; i < CRUMB_NARROW_LEVELS; i++) {
        made.code[i] = (float)crumb_packed_code(&p.w, i);
    }
    const int32_t block = p.out_height * p.out_width == 1 ? CRUMB_FRAME_BLOCK : 64;
    crumb_frame_make(&made.frame, problem, kernel->inner, block, sizeof(float), p.channels * (int32_t)sizeof(float), false);
    crumb_frame_group(&made.frame, 1);
    const size_t bytes = sizeof(uint32_t) * words_of(&made);
    const size_t runs = (size_t)made.frame.segments * (size_t)crumb_frame_groups(&made.frame);
    int32_t *constant;
    uint8_t *panel;
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, sizeof(made), &made.frame, runs * bytes * (size_t)crumb_frame_lanes(&made.frame, 0),
                                &constant, &panel));
    crumb_narrow *narrow = ready->panel;
    const crumb_frame frame = narrow->frame;
    *narrow = made;
    narrow->frame = frame;
    crumb_frame_pack(&narrow->frame, panel, weight, put, narrow);
    crumb_frame_pack_scales(&narrow->frame, panel, problem->scale, bytes);
    return CRUMB_OK;
}
