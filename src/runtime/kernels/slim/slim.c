/* Choice and panels of the family "slim" (slim.h). */
#include "runtime/kernels/slim/slim.h"

#include "runtime/kernels/bytes/bytes.h"

bool crumb_slim_supports(const crumb_conv_problem *problem) {
    return problem->out_height * problem->out_width == 1 && problem->groups == 1 && problem->padding == 0 &&
           problem->w.levels >= 2 && problem->w.levels <= 16 && crumb_bytes_supports(problem);
}

static size_t words_of(const crumb_slim *slim) {
    return (size_t)((slim->frame.units + slim->word - 1) / slim->word);
}

static void put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const crumb_slim *slim = user;
    const uint16_t *index = (const uint16_t *)weight + row;
    const size_t word = (size_t)place->segment * words_of(slim) + (size_t)(place->unit / slim->word);
    uint8_t *to = place->block + 4 * (word * (size_t)place->lanes + (size_t)place->lane);
    for (int32_t i = 0; i < 4; i++) {
        int32_t tap, byte;
        crumb_frame_position(frame, place->segment, 4 * place->unit + i, &tap, &byte);
        if (tap < frame->problem.kernel_height * frame->problem.kernel_width && byte < frame->in) {
            const int32_t number = index[(size_t)tap * (size_t)frame->in + (size_t)byte];
            to[i] |= (uint8_t)(number << (place->unit % slim->word * slim->bits));
        }
    }
}

/* The window's sum of codes w, times the smallest code x. */
static void fill_constants(const crumb_frame *frame, int32_t *constant, const uint16_t *index) {
    const size_t row = (size_t)(frame->problem.kernel_height * frame->problem.kernel_width) * (size_t)frame->in;
    for (int32_t o = 0; o < frame->problem.out_channels; o++, index += row) {
        int64_t sum = 0;
        for (size_t i = 0; i < row; i++) {
            sum += crumb_packed_code(&frame->problem.w, index[i]);
        }
        constant[o] = (int32_t)(uint32_t)(sum * frame->problem.x.offset);
    }
}

crumb_status crumb_slim_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                const void *weight, crumb_conv_ready *ready) {
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    crumb_slim slim = {.bits = p.w.levels <= 4 ? 2 : 4};
    slim.word = 8 / slim.bits;
    crumb_frame_make(&slim.frame, problem, kernel->inner, CRUMB_FRAME_BLOCK, 4, p.channels, true);
    slim.frame.a = p.w.multiply;
    slim.frame.b = p.w.offset;
    const size_t block =
        sizeof(uint32_t) * (size_t)slim.frame.segments * words_of(&slim) * (size_t)crumb_frame_lanes(&slim.frame, 0);
    int32_t *constant;
    uint8_t *panel;
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, sizeof(slim), &slim.frame, block, &constant, &panel));
    crumb_slim *made = ready->panel;
    made->bits = slim.bits;
    made->word = slim.word;
    crumb_frame_pack(&made->frame, panel, weight, put, made);
    fill_constants(&made->frame, constant, weight);
    return CRUMB_OK;
}
