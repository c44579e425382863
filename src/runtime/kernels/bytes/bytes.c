/* Choice, staging and panels of the family "bytes" (bytes.h). */
#include "runtime/kernels/bytes/bytes.h"

#include <string.h>

static bool fits_int8(const crumb_packed_codes *w) {
    int32_t low = w->offset, high = crumb_packed_code(w, w->levels - 1);
    return low >= -128 && low <= 127 && high >= -128 && high <= 127;
}

bool crumb_bytes_supports(const crumb_conv_problem *problem) {
    const crumb_packed_codes *x = &problem->x, *w = &problem->w;
    if (x->levels == 0 || x->multiply < 0 || (int64_t)x->multiply * (x->levels - 1) > 255) {
        return false;
    }
    /* Padding is staged as the byte of code 0. */
    bool zero = x->offset <= 0 && x->offset >= -255;
    return (problem->padding == 0 || zero) && (fits_int8(w) || w->levels <= 256);
}

/* s = multiply * index */
void crumb_bytes_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const size_t in = (size_t)frame->in, out = (size_t)frame->pixel_bytes, stride = (size_t)frame->problem.channels;
    const int32_t multiply = frame->problem.x.multiply;
    if (multiply == 1 && in == stride && in == out) {
        memcpy(dst, src, (size_t)pixels * in);
        return;
    }
    for (int32_t p = 0; p < pixels; p++, src += stride, dst += out) {
        for (size_t c = 0; c < in; c++) {
            dst[c] = (uint8_t)(multiply * src[c]);
        }
        memset(dst + in, 0, out - in);
    }
}

int32_t crumb_bytes_most(const crumb_conv_problem *problem) {
    const crumb_packed_codes *x = &problem->x;
    const int32_t most = x->multiply * (x->levels - 1), padding = -x->offset;
    return problem->padding > 0 && padding > most ? padding : most;
}

int32_t crumb_bytes_pairs(const crumb_conv_problem *problem) {
    const crumb_packed_codes *w = &problem->w;
    const bool direct = fits_int8(w);
    const int32_t low = direct ? w->offset : -128, high = direct ? crumb_packed_code(w, w->levels - 1) : w->levels - 129;
    const int32_t most = crumb_bytes_most(problem);
    const int32_t above = high > 0 ? 2 * most * high : 0, below = low < 0 ? -2 * most * low : 0;
    const int32_t up = above > 0 ? INT16_MAX / above : INT16_MAX, down = below > 0 ? (INT16_MAX + 1) / below : INT16_MAX;
    return up < down ? up : down;
}

static void put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const uint16_t *index = (const uint16_t *)weight + row;
    const bool direct = *(const bool *)user;
    uint8_t *to =
        place->block + 4 * (((size_t)place->segment * (size_t)frame->units + (size_t)place->unit) * (size_t)place->lanes +
                            (size_t)place->lane);
    for (int32_t i = 0; i < 4; i++) {
        int32_t tap, byte;
        crumb_frame_position(frame, place->segment, 4 * place->unit + i, &tap, &byte);
        if (tap < frame->problem.kernel_height * frame->problem.kernel_width && byte < frame->in) {
            int32_t w = index[(size_t)tap * (size_t)frame->in + (size_t)byte];
            to[i] = (uint8_t)(direct ? crumb_packed_code(&frame->problem.w, w) : w - 128);
        }
    }
}

/* The window's sum of codes w, times the smallest code x; and, as the stored v has a v = code - b, 128 times a sum of v. */
static void fill_constants(const crumb_frame *frame, int32_t *constant, const uint16_t *index, bool is_signed) {
    const bool back = is_signed && crumb_bytes_most(&frame->problem) > INT8_MAX;
    const size_t row = (size_t)(frame->problem.kernel_height * frame->problem.kernel_width) * (size_t)frame->in;
    for (int32_t o = 0; o < frame->problem.out_channels; o++) {
        int64_t sum = 0;
        for (size_t i = 0; i < row; i++) {
            sum += crumb_packed_code(&frame->problem.w, index[(size_t)o * row + i]);
        }
        const int32_t group = o / frame->out, inside = o % frame->out;
        const int64_t less = back ? 128 * (sum - (int64_t)row * frame->b) : 0;
        constant[group * frame->blocks * frame->block + inside] = (int32_t)(uint32_t)(sum * frame->problem.x.offset + less);
    }
}

static crumb_status prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                            const void *weight, crumb_conv_ready *ready, bool is_signed) {
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    const int32_t in = p.channels / p.groups;
    crumb_frame frame;
    crumb_frame_make(&frame, problem, kernel->inner, 64, 4, in, true);
    const bool direct = fits_int8(&p.w);
    if (!direct) {
        frame.a = p.w.multiply;
        frame.b = p.w.offset + 128 * p.w.multiply;
    }
    frame.padding_byte = (uint8_t)-p.x.offset;
    int32_t *constant;
    uint8_t *panel;
    const size_t block = 4 * (size_t)frame.segments * (size_t)frame.units * (size_t)crumb_frame_lanes(&frame, 0);
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, sizeof(frame), &frame, block, &constant, &panel));
    crumb_frame_pack(&frame, panel, weight, put, &direct);
    fill_constants(&frame, constant, weight, is_signed);
    return CRUMB_OK;
}

crumb_status crumb_bytes_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                 const void *weight, crumb_conv_ready *ready) {
    return prepare(ctx, kernel, problem, weight, ready, false);
}

crumb_status crumb_bytes_prepare_signed(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                        const void *weight, crumb_conv_ready *ready) {
    return prepare(ctx, kernel, problem, weight, ready, true);
}
