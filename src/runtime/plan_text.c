/* A plan as text, a line a step:
 *
 *     layer1.0.conv1      32 x 32 x 16   conv_i32_u8_s8__avx512vnni   9.2 k   conv2d + relu + quantize -> value 7 (codes)
 *
 * name of the first node, its output, kernel, bytes of weights in panels, the nodes in the chain, what is stored. */
#include "runtime/plan.h"

#include "base/text.h"

#include <stdio.h>

static const char *name_of(const crumb_plan *plan, const crumb_step *step) {
    return step->node < 0 ? "image" : plan->packed->node[step->node].name;
}

static void print_chain(const crumb_plan *plan, const crumb_step *step, crumb_text *text) {
    int32_t last = step->node;
    crumb_text_print(text, "%s", last < 0 ? "image" : crumb_packed_op_name(plan->packed->node[last].op));
    for (int32_t i = step->first; i < step->first + step->links; i++) {
        const crumb_link *link = &plan->link[i];
        if (link->node != last && link->node >= 0) {
            last = link->node;
            crumb_text_print(text, " + %s", crumb_packed_op_name(plan->packed->node[last].op));
        }
        if (link->op == CRUMB_LINK_COUNT) {
            crumb_text_print(text, " + thresholds");
        }
        if (link->op == CRUMB_LINK_STORE || link->op == CRUMB_LINK_STORE_INDEX) {
            crumb_text_print(text, " -> %s at %zu", link->op == CRUMB_LINK_STORE ? "floats" : "codes",
                             plan->buffer[link->buffer].offset);
        }
    }
}

static void print_step(const crumb_plan *plan, const crumb_step *step, crumb_text *text) {
    char shape[48];
    snprintf(shape, sizeof(shape), "%d x %d x %d", (int)step->height, (int)step->width, (int)step->channels);
    const char *kernel = step->conv.kernel != NULL ? step->conv.kernel->name : "";
    crumb_text_print(text, "%-24s %-16s %-32s %9zu  ", name_of(plan, step), shape, kernel, step->conv.panel_bytes);
    print_chain(plan, step, text);
    crumb_text_print(text, "\n");
}

crumb_status crumb_plan_print(crumb_plan *plan) {
    crumb_text text = {.ctx = plan->ctx};
    size_t panels = 0;
    for (int32_t i = 0; i < plan->steps; i++) {
        print_step(plan, &plan->step[i], &text);
        panels += plan->step[i].conv.panel_bytes;
    }
    crumb_text_print(&text, "%d steps, %zu bytes of weights, %zu of activations an image, %zu of scratch a thread\n",
                     (int)plan->steps, panels, plan->arena, plan->scratch);
    return crumb_text_take(&text, &plan->text);
}
