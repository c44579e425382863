/* The plain twin of the family "lookup". */
#include "runtime/kernels/lookup/lookup.h"

#include <string.h>

enum { VECTOR = 64 };

static bool supports(const crumb_conv_problem *problem) {
    crumb_lookup_plan plan;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    return crumb_lookup_plan_make(&p, 64, &plan);
}

static int32_t lane(int32_t channel) {
    return channel;
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        int32_t *acc = (int32_t *)t->acc + (size_t)p * (size_t)lanes;
        const uint8_t *w = t->weight;
        memcpy(acc, t->constant, (size_t)lanes * sizeof(*acc));
        for (int32_t s = 0; s < frame->segments; s++) {
            const uint16_t *x = (const uint16_t *)(const void *)(t->x + (size_t)p * t->step + crumb_frame_segment(frame, s));
            for (int32_t u = 0; u < frame->units; u++, w += VECTOR) {
                const uint8_t *row = lookup->table + x[u];
                for (int32_t c = 0; c < lanes; c++) {
                    acc[c] += row[w[c]];
                }
            }
        }
    }
}

static const crumb_lookup_family family = {.frame = {.stage = crumb_lookup_stage, .tile = tile, .pixels = {0, 16, 16, 16, 16}},
                                           .row = 64,
                                           .vector = VECTOR,
                                           .block = VECTOR,
                                           .lane = lane};

const crumb_conv_kernel crumb_conv_lookup__scalar = {
    .name = "conv_i32_few_few__scalar",
    .family = "lookup",
    .supports = supports,
    .prepare = crumb_lookup_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
