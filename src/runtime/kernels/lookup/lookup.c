/* Plan, tables, staging and panels of the family "lookup" (lookup.h). */
#include "runtime/kernels/lookup/lookup.h"

#include <string.h>

static int32_t power(int32_t base, int32_t exponent) {
    int32_t value = 1;
    for (int32_t i = 0; i < exponent && value <= CRUMB_LOOKUP_PATTERNS; i++) {
        value *= base;
    }
    return value;
}

static int32_t zero_index(const crumb_packed_codes *codes) {
    for (int32_t i = 0; i < codes->levels; i++) {
        if (crumb_packed_code(codes, i) == 0) {
            return i;
        }
    }
    return -1;
}

/* Smallest and largest product of codes; 0 is among them where padding means it. */
static void products(const crumb_conv_problem *p, int32_t zero, int32_t *low, int32_t *high) {
    const int32_t x[2] = {crumb_packed_code(&p->x, 0), crumb_packed_code(&p->x, p->x.levels - 1)};
    const int32_t w[2] = {crumb_packed_code(&p->w, 0), crumb_packed_code(&p->w, p->w.levels - 1)};
    *low = *high = zero < 0 ? 0 : x[0] * w[0];
    for (int i = 0; i < 4; i++) {
        int32_t product = x[i / 2] * w[i % 2];
        *low = product < *low ? product : *low;
        *high = product > *high ? product : *high;
    }
}

bool crumb_lookup_plan_make(const crumb_conv_problem *problem, int32_t weight_patterns, crumb_lookup_plan *plan) {
    const int32_t lx = problem->x.levels, lw = problem->w.levels, in = problem->channels / problem->groups;
    if (lx < 2 || lw < 2 || lx > 16 || lw > 16) {
        return false;
    }
    const int32_t zero = zero_index(&problem->x), others = zero < 0 ? 2 : 0;
    int32_t low, high;
    products(problem, zero, &low, &high);
    for (int32_t group = 6; group >= 2; group--) {
        const int32_t span = group * (high - low), patterns = power(lx, group);
        if (group <= in && patterns + others <= CRUMB_LOOKUP_PATTERNS && power(lw, group) <= weight_patterns && span <= 127) {
            *plan = (crumb_lookup_plan){group, patterns, zero, group * low, span, 255 / span};
            return true;
        }
    }
    return false;
}

/* A group's pattern is a number with the group's indices as digits, the first channel the lowest. */
void crumb_lookup_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    const int32_t in = frame->in, group = lookup->plan.group, levels = frame->problem.x.levels;
    uint16_t *to = (uint16_t *)(void *)dst;
    for (int32_t p = 0; p < pixels; p++, src += frame->problem.channels) {
        for (int32_t c = 0; c < in; c += group) {
            int32_t pattern = 0;
            for (int32_t i = group - 1; i >= 0; i--) {
                pattern = pattern * levels + (c + i < in ? src[c + i] : lookup->fill);
            }
            *to++ = (uint16_t)(pattern * lookup->row);
        }
    }
}

static int32_t digit(int32_t number, int32_t base, int32_t at) {
    return number / power(base, at) % base;
}

/* Filling channels of a pixel's last group. */
static int32_t filling(const crumb_frame *frame, int32_t group) {
    return (group - frame->in % group) % group;
}

/* What filling adds to each tap. */
static int32_t filled(const crumb_lookup *lookup) {
    const crumb_conv_problem *p = &lookup->frame.problem;
    const int32_t product = crumb_packed_code(&p->x, 0) * crumb_packed_code(&p->w, 0);
    return lookup->plan.zero < 0 ? filling(&lookup->frame, lookup->plan.group) * product : 0;
}

static void fill_table(const crumb_lookup *lookup, uint8_t *table) {
    const crumb_lookup_plan *plan = &lookup->plan;
    const crumb_conv_problem *p = &lookup->frame.problem;
    const int32_t weights = power(p->w.levels, plan->group);
    for (int32_t a = 0; a < plan->patterns; a++) {
        for (int32_t b = 0; b < weights; b++) {
            int32_t sum = 0;
            for (int32_t i = 0; i < plan->group; i++) {
                sum += crumb_packed_code(&p->x, digit(a, p->x.levels, i)) * crumb_packed_code(&p->w, digit(b, p->w.levels, i));
            }
            table[a * lookup->row + b] = (uint8_t)(sum - plan->low);
        }
    }
    if (plan->zero < 0) {
        memset(table + plan->patterns * lookup->row, -plan->low, (size_t)lookup->row);
        memset(table + (plan->patterns + 1) * lookup->row, filled(lookup) - plan->low, (size_t)lookup->row);
    }
}

/* Gathering of 16 groups to 4 bytes each, or 8 groups to 8. */
static void fill_gather(crumb_lookup *lookup) {
    const int32_t group = lookup->plan.group, wide = group <= 4 ? 4 : 8;
    for (int32_t i = 0; i < 64; i++) {
        const bool used = i % wide < group;
        lookup->gather[i] = (uint8_t)(used ? i / wide * group + i % wide : 0);
        lookup->powers[i] = (int8_t)(used ? power(lookup->frame.problem.x.levels, i % wide) : 0);
    }
}

/* A pixel of padding, as staged. */
static void fill_padding(const crumb_lookup *lookup, uint16_t *pixel) {
    const crumb_lookup_plan *plan = &lookup->plan;
    const int32_t units = lookup->frame.pixel_bytes / lookup->frame.unit;
    int32_t zeros = 0;
    for (int32_t i = 0; i < plan->group; i++) {
        zeros = zeros * lookup->frame.problem.x.levels + plan->zero;
    }
    for (int32_t u = 0; u < units; u++) {
        pixel[u] = (uint16_t)((plan->zero >= 0 ? zeros : plan->patterns + (u == units - 1)) * lookup->row);
    }
}

typedef struct packer {
    const crumb_lookup *lookup;
    const crumb_lookup_family *family;
} packer;

static void put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const packer *pack = user;
    const int32_t group = pack->lookup->plan.group, levels = frame->problem.w.levels, vector = pack->family->vector;
    int32_t tap, byte, pattern = 0;
    crumb_frame_position(frame, place->segment, place->unit * frame->unit, &tap, &byte);
    for (int32_t i = group - 1; i >= 0; i--) {
        const int32_t c = byte / frame->unit * group + i;
        const size_t at = row + (size_t)tap * (size_t)frame->in + (size_t)c;
        pattern = pattern * levels + (c < frame->in ? ((const uint16_t *)weight)[at] : 0);
    }
    const size_t unit = (size_t)place->segment * (size_t)frame->units + (size_t)place->unit;
    const size_t vectors = (size_t)((place->lanes + vector - 1) / vector);
    uint8_t *to = place->block + (unit * vectors + (size_t)(place->lane / vector)) * (size_t)vector;
    to[pack->family->lane(place->lane % vector)] = (uint8_t)pattern;
}

/* Object, table, a pixel of padding: one piece with the panels. */
static crumb_status build(crumb_ctx *ctx, crumb_lookup *made, const crumb_lookup_family *family, crumb_conv_ready *ready,
                          int32_t **constant, uint8_t **panel) {
    const size_t head = crumb_frame_round(sizeof(*made), 64);
    const size_t table = crumb_frame_round((size_t)(made->plan.patterns + 2) * (size_t)made->row, 64);
    const int32_t lanes = made->frame.block < made->frame.out ? made->frame.block : made->frame.out;
    const size_t vectors = (size_t)((lanes + family->vector - 1) / family->vector);
    const size_t block = (size_t)made->frame.segments * (size_t)made->frame.units * vectors * (size_t)family->vector;
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, head + table + (size_t)made->frame.pixel_bytes, &made->frame,
                                crumb_frame_round(block, 64), constant, panel));
    uint8_t *memory = ready->panel;
    made->frame = *(crumb_frame *)ready->panel;
    made->frame.padding = memory + head + table;
    made->table = memory + head;
    made->fill = made->plan.zero < 0 ? 0 : made->plan.zero;
    fill_gather(made);
    memcpy(memory, made, sizeof(*made));
    fill_table(made, memory + head);
    fill_padding(made, (uint16_t *)(void *)(memory + head + table));
    return CRUMB_OK;
}

crumb_status crumb_lookup_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                  const void *weight, crumb_conv_ready *ready) {
    const crumb_lookup_family *family = kernel->inner;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    crumb_lookup made = {.row = family->row};
    crumb_lookup_plan_make(&p, family->row, &made.plan);
    const int32_t group = made.plan.group, in = p.channels / p.groups, out = p.out_channels / p.groups;
    const int32_t block = out > family->vector ? family->block : family->vector;
    crumb_frame_make(&made.frame, problem, &family->frame, block, 2, (in + group - 1) / group * 2, false);
    int32_t *constant;
    uint8_t *panel;
    CRUMB_TRY(build(ctx, &made, family, ready, &constant, &panel));
    crumb_frame_pack(&made.frame, panel, weight, put, &(packer){ready->panel, family});
    const int32_t taps = p.kernel_height * p.kernel_width;
    for (int32_t i = 0; i < p.groups * made.frame.blocks * made.frame.block; i++) {
        constant[i] = made.frame.segments * made.frame.units * made.plan.low - taps * filled(&made);
    }
    return CRUMB_OK;
}
