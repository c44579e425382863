/* Making a plan, in order: steps (plan_steps.c), kernels, shorter chains (plan_shorten.c), the arena (plan_arena.c), the text.
 */
#include "runtime/plan.h"

/* ---- Kernels. */

static crumb_status prepare(crumb_plan *plan, crumb_step *step) {
    const crumb_packed_node *node = &plan->packed->node[step->node];
    const crumb_packed_tensor *tensor = &plan->packed->tensor[node->weight];
    crumb_conv_problem problem = crumb_conv_problem_of(plan->packed, node);
    if (tensor->codes.levels == 0) {
        return crumb_conv_prepare(plan->ctx, &problem, crumb_packed_floats(plan->packed, node->weight), &step->conv);
    }
    uint16_t *index = crumb_alloc(plan->ctx, (size_t)tensor->rows * (size_t)tensor->columns, sizeof(*index));
    if (index == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int32_t row = 0; row < tensor->rows; row++) {
        crumb_packed_unpack_row(tensor, row, index + (size_t)row * (size_t)tensor->columns);
    }
    crumb_status status = crumb_conv_prepare(plan->ctx, &problem, index, &step->conv);
    crumb_free(plan->ctx, index);
    return status;
}

/* What a source other than a convolution writes its strips into. */
static size_t strip_bytes(const crumb_step *step) {
    size_t elements = (size_t)step->channels;
    return (elements < CRUMB_STRIP ? CRUMB_STRIP : elements) * sizeof(float);
}

crumb_status crumb_plan_kernels(crumb_plan *plan) {
    for (int32_t i = 0; i < plan->steps; i++) {
        crumb_step *step = &plan->step[i];
        size_t scratch = strip_bytes(step);
        if (step->source == crumb_step_conv) {
            CRUMB_TRY(prepare(plan, step));
            scratch = step->conv.scratch_bytes;
        }
        plan->scratch = scratch > plan->scratch ? scratch : plan->scratch;
    }
    plan->scratch = (plan->scratch + 63) / 64 * 64;
    return CRUMB_OK;
}

/* ---- The plan. */

/* The pixels of packed.h: each step rounded, in this order. */
static void tabulate_pixels(crumb_plan *plan) {
    for (int32_t c = 0; c < plan->packed->value[0].channels; c++) {
        for (int pixel = 0; pixel < 256; pixel++) {
            plan->pixel[c][pixel] = ((float)pixel / 255.0f - plan->packed->mean[c]) / plan->packed->deviation[c];
        }
    }
}

static crumb_status make(crumb_plan *plan, bool keep) {
    tabulate_pixels(plan);
    CRUMB_TRY(crumb_plan_steps(plan, keep));
    CRUMB_TRY(crumb_plan_kernels(plan));
    for (int32_t i = 0; i < plan->steps; i++) {
        CRUMB_TRY(crumb_plan_shorten(plan, &plan->step[i]));
    }
    CRUMB_TRY(crumb_plan_tabulate(plan));
    crumb_plan_arena(plan, keep);
    return crumb_plan_print(plan);
}

crumb_status crumb_plan_make(crumb_packed *packed, bool keep, crumb_plan **out) {
    crumb_plan *plan = crumb_alloc(packed->ctx, 1, sizeof(*plan));
    if (plan == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    plan->ctx = packed->ctx;
    plan->packed = packed;
    plan->vector = crumb_vector_pick(packed->ctx);
    crumb_status status = make(plan, keep);
    if (status != CRUMB_OK) {
        crumb_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return CRUMB_OK;
}

crumb_status crumb_plan_create(crumb_packed *packed, crumb_plan **plan) {
    return crumb_plan_make(packed, false, plan);
}

void crumb_plan_destroy(crumb_plan *plan) {
    if (plan == NULL) {
        return;
    }
    for (int32_t i = 0; i < plan->steps; i++) {
        crumb_conv_release(plan->ctx, &plan->step[i].conv);
        crumb_free(plan->ctx, plan->step[i].thresholds);
    }
    crumb_free(plan->ctx, plan->pixel_index);
    crumb_free(plan->ctx, plan->text);
    crumb_free(plan->ctx, plan->buffer_of);
    crumb_free(plan->ctx, plan->buffer);
    crumb_free(plan->ctx, plan->link);
    crumb_free(plan->ctx, plan->step);
    crumb_free(plan->ctx, plan);
}

const char *crumb_plan_text(const crumb_plan *plan) {
    return plan->text;
}
