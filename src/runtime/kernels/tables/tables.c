/* Codes and panels of the family "tables" (tables.h). */
#include "runtime/kernels/tables/tables.h"

bool crumb_tables_supports(const crumb_conv_problem *problem) {
    return problem->x.levels == 0 && problem->w.levels >= 2 && problem->w.levels <= 4;
}

static int32_t digit_bits(int32_t group) {
    return group == 4 ? 1 : 2;
}

static void put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const int32_t group = *(const int32_t *)user, inside = place->unit % frame->group_units;
    const int32_t scaled = crumb_frame_scaled(frame), words = crumb_tables_words(frame) + scaled;
    int32_t tap, byte;
    uint32_t number = 0;
    crumb_frame_position(frame, place->segment, place->unit * frame->unit, &tap, &byte);
    for (int32_t i = 0; i < group; i++) {
        const int32_t channel = byte / frame->unit * group + i;
        if (channel < frame->in) {
            const size_t at = row + (size_t)tap * (size_t)frame->in + (size_t)channel;
            number |= (uint32_t)((const uint16_t *)weight)[at] << (i * digit_bits(group));
        }
    }
    const size_t first = (size_t)(place->segment + place->unit / frame->group_units) * (size_t)words;
    const size_t word = first + (size_t)(scaled + inside / CRUMB_TABLES_WORD);
    uint32_t *to = (uint32_t *)(void *)place->block + word * (size_t)place->lanes + (size_t)place->lane;
    *to |= number << (inside % CRUMB_TABLES_WORD * 4);
}

static void fill_codes(crumb_tables *tables) {
    const crumb_packed_codes *w = &tables->frame.problem.w;
    const int32_t bits = digit_bits(tables->group);
    for (int32_t i = 0; i < tables->group; i++) {
        for (int32_t e = 0; e < CRUMB_TABLES_ENTRIES; e++) {
            const int32_t digit = e >> (i * bits) & ((1 << bits) - 1);
            tables->code[i][e] = digit < w->levels ? (float)crumb_packed_code(w, digit) : 0.0f;
        }
    }
}

crumb_status crumb_tables_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                  const void *weight, crumb_conv_ready *ready) {
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    crumb_tables made = {.group = p.w.levels == 2 ? 4 : 2};
    const int32_t table = CRUMB_TABLES_ENTRIES * (int32_t)sizeof(float);
    const int32_t in = p.channels / p.groups, groups = (in + made.group - 1) / made.group;
    const bool vector = p.out_height * p.out_width == 1;
    const crumb_tables_family *family = kernel->inner;
    int32_t pixel = groups * table;
    if (vector && p.height * p.width == 1 && family->floats) {
        made.floats = (size_t)pixel;
        pixel += (int32_t)crumb_frame_round((size_t)(groups * made.group) * sizeof(float), (size_t)table);
    }
    crumb_frame_make(&made.frame, problem, &family->frame, vector ? CRUMB_FRAME_BLOCK : 64, table, pixel, false);
    made.frame.units = made.frame.group_units = made.floats > 0 ? groups : made.frame.units;
    crumb_frame_group(&made.frame, made.group);
    const size_t words = (size_t)(crumb_tables_words(&made.frame) + crumb_frame_scaled(&made.frame));
    const size_t runs = (size_t)made.frame.segments * (size_t)crumb_frame_groups(&made.frame);
    const size_t bytes = sizeof(uint32_t) * runs * words * (size_t)crumb_frame_lanes(&made.frame, 0);
    int32_t *constant;
    uint8_t *panel;
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, sizeof(made), &made.frame, bytes, &constant, &panel));
    crumb_tables *tables = ready->panel;
    tables->group = made.group;
    tables->floats = made.floats;
    fill_codes(tables);
    crumb_frame_pack(&tables->frame, panel, weight, put, &made.group);
    crumb_frame_pack_scales(&tables->frame, panel, problem->scale, sizeof(uint32_t) * words);
    return CRUMB_OK;
}
