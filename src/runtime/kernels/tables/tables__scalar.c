/* The plain twin of the family "tables". */
#include "runtime/kernels/tables/tables.h"

#include <math.h>
#include <string.h>

static void stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const crumb_tables *tables = (const crumb_tables *)(const void *)frame;
    const int32_t in = frame->in, group = tables->group;
    const float *x = (const float *)(const void *)src;
    float *to = (float *)(void *)dst;
    for (int32_t p = 0; p < pixels; p++, x += frame->problem.channels) {
        for (int32_t c = 0; c < in; c += group, to += CRUMB_TABLES_ENTRIES) {
            memset(to, 0, CRUMB_TABLES_ENTRIES * sizeof(*to));
            for (int32_t i = 0; i < group && c + i < in; i++) {
                for (int32_t e = 0; e < CRUMB_TABLES_ENTRIES; e++) {
                    to[e] = fmaf(x[c + i], tables->code[i][e], to[e]);
                }
            }
        }
    }
}

/* `units` units from x and w on; returns what follows in the panel. */
static const uint32_t *add_units(float *acc, const float *x, const uint32_t *w, int32_t units, int32_t lanes) {
    for (int32_t u = 0; u < units; u++, x += CRUMB_TABLES_ENTRIES) {
        const int32_t shift = u % CRUMB_TABLES_WORD * 4;
        for (int32_t c = 0; c < lanes; c++) {
            acc[c] += x[w[c] >> shift & 15];
        }
        w += u % CRUMB_TABLES_WORD == CRUMB_TABLES_WORD - 1 || u == units - 1 ? lanes : 0;
    }
    return w;
}

static void window(const crumb_frame *frame, const crumb_frame_tile *t, const uint8_t *x, float *acc) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    const uint32_t *w = (const uint32_t *)(const void *)t->weight;
    for (int32_t s = 0; s < frame->segments; s++) {
        w = add_units(acc, (const float *)(const void *)(x + crumb_frame_segment(frame, s)), w, frame->units, lanes);
    }
}

static void window_of_groups(const crumb_frame *frame, const crumb_frame_tile *t, const uint8_t *x, float *acc) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    const uint32_t *w = (const uint32_t *)(const void *)t->weight;
    for (int32_t left = frame->units, n; left > 0; left -= n) {
        const float *scale = (const float *)(const void *)w;
        float sum[CRUMB_FRAME_BLOCK] = {0};
        n = left < frame->group_units ? left : frame->group_units;
        w = add_units(sum, (const float *)(const void *)x, w + lanes, n, lanes);
        x += (size_t)n * CRUMB_TABLES_ENTRIES * sizeof(float);
        for (int32_t c = 0; c < lanes; c++) {
            acc[c] = fmaf(sum[c], scale[c], acc[c]);
        }
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        float *acc = (float *)t->acc + (size_t)p * (size_t)lanes;
        const uint8_t *x = t->x + (size_t)p * t->step;
        memset(acc, 0, (size_t)lanes * sizeof(*acc));
        (crumb_frame_scaled(frame) ? window_of_groups : window)(frame, t, x, acc);
    }
}

static const crumb_tables_family family = {.frame = {.stage = stage, .tile = tile, .pixels = {0, 16, 16, 16, 16, 8, 8, 8, 8}}};

const crumb_conv_kernel crumb_conv_tables__scalar = {
    .name = "conv_f32_f32_few__scalar",
    .family = "tables",
    .supports = crumb_tables_supports,
    .prepare = crumb_tables_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
