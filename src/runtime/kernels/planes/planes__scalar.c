/* The plain twin of the family "planes". */
#include "runtime/kernels/planes/planes.h"

#include <string.h>

/* Bits are written lowest first into bytes, so that staged words are the same on every machine with the lowest byte first. */
static void stage_plane(uint8_t *dst, const uint8_t *src, int32_t in, int32_t plane, size_t bytes) {
    memset(dst, 0, bytes);
    for (int32_t c = 0; c < in; c++) {
        dst[c / 8] = (uint8_t)(dst[c / 8] | (src[c] >> plane & 1) << (c % 8));
    }
}

static void stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const crumb_planes_plan *plan = &((const crumb_planes *)(const void *)frame)->plan;
    const size_t bytes = (size_t)plan->plane_bytes;
    for (int32_t p = 0; p < pixels; p++, src += frame->problem.channels) {
        for (int32_t k = 0; k < plan->x; k++, dst += bytes) {
            stage_plane(dst, src, frame->in, k, bytes);
        }
    }
}

static void count(const crumb_planes *planes, const crumb_frame_tile *t, const uint8_t *x, int32_t j, uint64_t *sum) {
    const crumb_planes_plan *plan = &planes->plan;
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    const size_t units = (size_t)planes->frame.segments * (size_t)planes->frame.units;
    const uint64_t *w = (const uint64_t *)(const void *)t->weight + (size_t)j * units * (size_t)lanes;
    for (int32_t s = 0; s < planes->frame.segments; s++) {
        for (int32_t u = 0; u < planes->frame.units; u++, w += lanes) {
            const size_t run = (size_t)(u / plan->words), word = (size_t)(u % plan->words);
            const uint64_t mask = u % plan->words == plan->words - 1 ? planes->last : ~0ull;
            uint64_t in;
            memcpy(&in, x + crumb_frame_segment(&planes->frame, s) + run * (size_t)planes->frame.pixel_bytes + 8 * word, 8);
            for (int32_t c = 0; c < lanes; c++) {
                sum[c] += (uint64_t)__builtin_popcountll((plan->xor ? in ^ w[c] : in & w[c]) & mask);
            }
        }
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const crumb_planes *planes = (const crumb_planes *)(const void *)frame;
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        uint32_t acc[CRUMB_PLANES_BLOCK];
        memcpy(acc, t->constant, (size_t)lanes * sizeof(*acc));
        for (int32_t j = 0; j < planes->plan.w; j++) {
            for (int32_t k = 0; k < planes->plan.x; k++) {
                uint64_t sum[CRUMB_PLANES_BLOCK] = {0};
                count(planes, t, t->x + (size_t)p * t->step + (size_t)k * (size_t)planes->plan.plane_bytes, j, sum);
                for (int32_t c = 0; c < lanes; c++) {
                    acc[c] += (uint32_t)planes->factor[j] * (uint32_t)(sum[c] << k);
                }
            }
        }
        memcpy((int32_t *)t->acc + (size_t)p * (size_t)lanes, acc, (size_t)lanes * sizeof(*acc));
    }
}

#define FAMILY                                                                                                                 \
    {                                                                                                                          \
        .stage = stage, .tile = tile, .pixels = { 0, 16, 16 }                                                                  \
    }
static const crumb_frame_family family[CRUMB_PLANES_X] = {FAMILY, FAMILY, FAMILY, FAMILY};

const crumb_conv_kernel crumb_conv_planes__scalar = {
    .name = "conv_i32_bits_bits__scalar",
    .family = "planes",
    .supports = crumb_planes_supports,
    .prepare = crumb_planes_prepare,
    .run = crumb_frame_run,
    .inner = family,
};
