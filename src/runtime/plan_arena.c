/* Where buffers lie: each from the step that first writes it to the step that last reads it, the lowest place that is free all
 * that time, in order of birth. */
#include "runtime/plan.h"

static void find_lifetimes(crumb_plan *plan, bool keep) {
    for (int32_t i = 0; i < plan->buffers; i++) {
        plan->buffer[i].born = plan->steps;
    }
    for (int32_t i = 0; i < plan->steps; i++) {
        const crumb_step *step = &plan->step[i];
        for (int32_t k = 0; k < step->inputs; k++) {
            plan->buffer[step->input[k]].dies = i;
        }
        for (int32_t k = step->first; k < step->first + step->links; k++) {
            if (plan->link[k].buffer >= 0) {
                crumb_buffer *buffer = &plan->buffer[plan->link[k].buffer];
                buffer->born = i < buffer->born ? i : buffer->born;
                buffer->dies = i;
            }
        }
    }
    for (int32_t i = 0; i < plan->buffers; i++) {
        bool stays = keep || plan->buffer_of[plan->packed->logits] == i;
        plan->buffer[i].dies = stays ? plan->steps : plan->buffer[i].dies;
    }
}

static bool live_together(const crumb_buffer *a, const crumb_buffer *b) {
    return a->born <= b->dies && b->born <= a->dies;
}

/* True if none of the first `count` buffers is in the way of `wanted` at this offset. */
static bool fits(const crumb_plan *plan, int32_t count, const crumb_buffer *wanted, size_t offset) {
    for (int32_t i = 0; i < count; i++) {
        const crumb_buffer *other = &plan->buffer[i];
        if (live_together(other, wanted) && offset < other->offset + other->bytes && other->offset < offset + wanted->bytes) {
            return false;
        }
    }
    return true;
}

/* The lowest place is 0 or the end of another buffer. */
static size_t lowest_place(const crumb_plan *plan, int32_t count, const crumb_buffer *wanted) {
    size_t best = SIZE_MAX;
    if (fits(plan, count, wanted, 0)) {
        return 0;
    }
    for (int32_t i = 0; i < count; i++) {
        size_t end = plan->buffer[i].offset + plan->buffer[i].bytes;
        if (end < best && fits(plan, count, wanted, end)) {
            best = end;
        }
    }
    return best;
}

void crumb_plan_arena(crumb_plan *plan, bool keep) {
    find_lifetimes(plan, keep);
    for (int32_t i = 0; i < plan->buffers; i++) {
        crumb_buffer *buffer = &plan->buffer[i];
        buffer->offset = lowest_place(plan, i, buffer);
        size_t end = buffer->offset + buffer->bytes;
        plan->arena = end > plan->arena ? end : plan->arena;
    }
}
