/* Plan, constants and panels of the family "planes" (planes.h). */
#include "runtime/kernels/planes/planes.h"

#include <string.h>

static void split(crumb_planes_plan *plan, bool xor, int32_t c0, uint32_t ones0, int32_t c1, uint32_t ones1) {
    plan->xor = xor;
    plan->w = c1 != 0 ? 2 : 1;
    plan->coefficient[0] = c0;
    plan->coefficient[1] = c1;
    plan->ones[0] = ones0;
    plan->ones[1] = ones1;
}

/* The table of planes.h. */
static bool split_weights(const crumb_packed_codes *w, crumb_planes_plan *plan) {
    const int32_t m = w->multiply, low = w->offset, high = crumb_packed_code(w, w->levels - 1);
    if (w->levels == 2 && low == -high) {
        split(plan, true, high, 2, 0, 0);
    } else if (w->levels == 2 && low * high == 0) {
        split(plan, false, low + high, low == 0 ? 2 : 1, 0, 0);
    } else if (w->levels == 3 && low == -high) {
        split(plan, false, high, 4, low, 1);
    } else if (w->levels == 4 && low == 0) {
        split(plan, false, m, 2 | 8, 2 * m, 4 | 8);
    } else if (w->levels == 4 && low == -2 * m) {
        split(plan, false, m, 2 | 8, -2 * m, 1 | 2);
    } else if (w->levels == 4 && low == -high && m % 2 == 0) {
        split(plan, true, m / 2, 2 | 8, m, 4 | 8);
    } else {
        return false;
    }
    return plan->coefficient[0] != 0;
}

bool crumb_planes_plan_make(const crumb_conv_problem *problem, crumb_planes_plan *plan) {
    const int32_t levels = problem->x.levels, in = problem->channels / problem->groups;
    *plan = (crumb_planes_plan){0};
    if (levels < 2 || levels > 1 << CRUMB_PLANES_X || !split_weights(&problem->w, plan)) {
        return false;
    }
    while (1 << plan->x < levels) {
        plan->x++;
    }
    plan->packed = plan->x == 1 && in % 8 == 0;
    plan->plane_bytes = plan->packed ? in / 8 : (in + 63) / 64 * 8;
    const bool taps = problem->dilation > 1 && problem->kernel_width > 1;
    plan->runs = taps || plan->packed ? 1 : problem->kernel_width;
    plan->words = ((taps || !plan->packed ? 1 : problem->kernel_width) * plan->plane_bytes + 7) / 8;
    return true;
}

bool crumb_planes_supports(const crumb_conv_problem *problem) {
    crumb_planes_plan plan;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    return crumb_planes_plan_make(&p, &plan);
}

/* Bits of plane j in one word of a run. */
static uint64_t word_of(const crumb_planes *planes, const uint16_t *row, int32_t segment, int32_t unit, int32_t j) {
    const crumb_frame *frame = &planes->frame;
    const crumb_planes_plan *plan = &planes->plan;
    const int32_t start = unit / plan->words * frame->pixel_bytes + unit % plan->words * 8;
    uint64_t word = 0;
    for (int32_t bit = 0; bit < 64; bit++) {
        int32_t tap, byte;
        crumb_frame_position(frame, segment, start + bit / 8, &tap, &byte);
        const int32_t channel = byte * 8 + bit % 8;
        if (tap < frame->problem.kernel_height * frame->problem.kernel_width && channel < frame->in) {
            word |= (uint64_t)(plan->ones[j] >> row[(size_t)tap * (size_t)frame->in + (size_t)channel] & 1) << bit;
        }
    }
    return word;
}

static void put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const crumb_planes *planes = user;
    const size_t units = (size_t)frame->segments * (size_t)frame->units;
    const size_t unit = (size_t)place->segment * (size_t)frame->units + (size_t)place->unit;
    uint64_t *to = (uint64_t *)(void *)place->block;
    for (int32_t j = 0; j < planes->plan.w; j++) {
        to[((size_t)j * units + unit) * (size_t)place->lanes + (size_t)place->lane] =
            word_of(planes, (const uint16_t *)weight + row, place->segment, place->unit, j);
    }
}

/* constant = offset * sum code(w), and in the xor form the counts of w; border = - offset * a tap's sum code(w). */
static void fill_constants(crumb_planes *planes, int32_t *constant, int32_t *border, const uint16_t *index) {
    const crumb_frame *frame = &planes->frame;
    const crumb_planes_plan *plan = &planes->plan;
    const crumb_packed_codes *x = &frame->problem.x, *w = &frame->problem.w;
    const int32_t taps = frame->problem.kernel_height * frame->problem.kernel_width;
    for (int32_t o = 0; o < frame->problem.out_channels; o++) {
        const int32_t inside = o % frame->out, lane = inside % frame->block;
        const size_t block = (size_t)(o / frame->out) * (size_t)frame->blocks + (size_t)(inside / frame->block);
        int64_t all = 0, counts = 0;
        for (int32_t t = 0; t < taps; t++) {
            int64_t sum = 0;
            for (int32_t c = 0; c < frame->in; c++, index++) {
                sum += crumb_packed_code(w, *index);
                for (int32_t j = 0; j < plan->w; j++) {
                    counts += plan->coefficient[j] * (int64_t)(plan->ones[j] >> *index & 1);
                }
            }
            all += sum;
            if (border != NULL) {
                border[(block * (size_t)taps + (size_t)t) * (size_t)frame->block + (size_t)lane] = (int32_t)(-x->offset * sum);
            }
        }
        const int64_t value = x->offset * all + (plan->xor ? counts * x->multiply * ((1 << plan->x) - 1) : 0);
        constant[block * (size_t)frame->block + (size_t)lane] = (int32_t)(uint32_t)(uint64_t)value;
    }
}

static void settle(crumb_planes *made, const crumb_conv_problem *problem, const crumb_frame_family *family) {
    const crumb_planes_plan *plan = &made->plan;
    crumb_frame_make(&made->frame, problem, family, CRUMB_PLANES_BLOCK, 8, plan->x * plan->plane_bytes, plan->packed);
    made->frame.units = plan->runs * plan->words;
    const int32_t kernel = made->frame.taps || !plan->packed ? 1 : made->frame.problem.kernel_width;
    const int32_t rest = kernel * plan->plane_bytes % 8;
    made->last = rest != 0 ? ~0ull >> (64 - 8 * rest) : ~0ull;
    for (int32_t j = 0; j < plan->w; j++) {
        made->factor[j] = made->frame.problem.x.multiply * plan->coefficient[j] * (plan->xor ? -1 : 1);
    }
}

crumb_status crumb_planes_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                  const void *weight, crumb_conv_ready *ready) {
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    crumb_planes made = {0};
    crumb_planes_plan_make(&p, &made.plan);
    settle(&made, problem, (const crumb_frame_family *)kernel->inner + made.plan.x - 1);
    const crumb_frame *frame = &made.frame;
    const bool bordered = p.x.offset != 0 && p.padding != 0;
    const size_t head = crumb_frame_round(sizeof(made), 64), taps = (size_t)(p.kernel_height * p.kernel_width);
    const size_t channels = (size_t)p.groups * (size_t)frame->blocks * (size_t)frame->block;
    const size_t border = bordered ? channels * taps * sizeof(int32_t) : 0;
    const size_t block = sizeof(uint64_t) * (size_t)made.plan.w * (size_t)frame->segments * (size_t)frame->units *
                         (size_t)crumb_frame_lanes(frame, 0);
    int32_t *constant;
    uint8_t *panel;
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, head + border, &made.frame, block, &constant, &panel));
    int32_t *corrections = bordered ? (int32_t *)(void *)((uint8_t *)ready->panel + head) : NULL;
    made.frame.border = corrections;
    memcpy(ready->panel, &made, sizeof(made));
    fill_constants(&made, constant, corrections, weight);
    crumb_frame_pack(&made.frame, panel, weight, put, &made);
    return CRUMB_OK;
}
