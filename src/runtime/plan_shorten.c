/* Shorter chains with the same results.
 *
 * A rectifier in front of nothing but quantizers that give what is not positive their lowest level anyway goes.
 *
 * Multiplier, bias, rectifier and quantizer of few levels behind integer accumulators are together a step function of each
 * channel's accumulator: fmaf, max, min, multiplication by a positive number and rounding are monotone, and so is what they
 * make one after the other. Its steps are found by bisection over the accumulator with the very operations of the chain, hence
 * exact; the chain then compares integers (Larq's and FINN's thresholds). Where the multiplier is negative the function falls;
 * not(acc) = -1 - acc turns it around. */
#include "runtime/plan.h"

#include <math.h>

/* More thresholds cost more than the arithmetic they replace, six vector instructions. */
enum { THRESHOLDS_MAX = 3 };

static bool lowest_below_zero(const crumb_link *link) {
    return link->op == CRUMB_LINK_ROUND ? link->lo >= 0.0f && link->inverse >= 0.0f
                                        : link->thresholds == 0 || link->a[0] > 0.0f;
}

static void remove_link(crumb_plan *plan, crumb_step *step, int32_t index) {
    crumb_link *link = &plan->link[step->first];
    for (int32_t i = index; i + 1 < step->links; i++) {
        link[i] = link[i + 1];
    }
    step->links--;
}

static void drop_rectifier(crumb_plan *plan, crumb_step *step) {
    const crumb_link *link = &plan->link[step->first];
    int32_t last = -1;
    bool useless = true;
    for (int32_t i = 1; i < step->links; i++) {
        bool quantizes = link[i].op == CRUMB_LINK_ROUND || link[i].op == CRUMB_LINK_THRESHOLDS;
        if (link[i].op == CRUMB_LINK_RELU) {
            last = i;
            useless = true;
        } else {
            useless = useless && (link[i].op == CRUMB_LINK_STORE_INDEX || (quantizes && lowest_below_zero(&link[i])));
        }
    }
    if (last > 0 && useless) {
        remove_link(plan, step, last);
    }
}

/* ---- Thresholds. The pattern: SCALE, then any of RELU and CLIP, a quantizer, its store. */

static bool is_step_function(const crumb_link *link, int32_t links, int32_t channels) {
    if (links < 3 || link[0].op != CRUMB_LINK_SCALE || link[links - 1].op != CRUMB_LINK_STORE_INDEX) {
        return false;
    }
    for (int32_t i = 1; i < links - 2; i++) {
        if (link[i].op != CRUMB_LINK_RELU && link[i].op != CRUMB_LINK_CLIP) {
            return false;
        }
    }
    for (int32_t c = 0; c < channels; c++) {
        if (!isfinite(link[0].a[c]) || !isfinite(link[0].b[c])) {
            return false;
        }
    }
    const crumb_link *last = &link[links - 2];
    return last->op == CRUMB_LINK_THRESHOLDS ||
           (last->op == CRUMB_LINK_ROUND && last->inverse > 0.0f && isfinite(last->inverse));
}

/* The chain of one channel, for one element, whose index is kept. */
typedef struct probe {
    crumb_link link[CRUMB_LINKS_MAX];
    crumb_chain chain;
    float a, b;
    uint8_t index;
} probe;

static void probe_init(probe *p, const crumb_link *link, int32_t links, int32_t c) {
    for (int32_t i = 0; i < links; i++) {
        p->link[i] = link[i];
    }
    p->a = link[0].a[c];
    p->b = link[0].b[c];
    p->link[0].a = &p->a;
    p->link[0].b = &p->b;
    p->link[links - 1].base = &p->index;
    p->link[links - 1].pixel = 1;
    p->chain =
        (crumb_chain){.link = p->link, .links = links, .height = 1, .width = 1, .channels = 1, .pattern = CRUMB_PATTERNS};
}

/* The smallest x for which the index of x (of not(x) with flip -1) is at least `level`. INT32_MAX if it never is: no
 * accumulator reaches that, for 2^31 - 1 is prime, and neither a window nor a code has so many. */
static int32_t bisect(probe *p, int32_t flip, int32_t level) {
    int64_t below = (int64_t)INT32_MIN - 1, at = INT32_MAX;
    while (at - below > 1) {
        int64_t middle = below + (at - below) / 2;
        int32_t acc = (int32_t)middle ^ flip;
        crumb_chain_run(&p->chain, 0, 1, 0, 1, &acc, 1);
        if (p->index >= level) {
            at = middle;
        } else {
            below = middle;
        }
    }
    return (int32_t)at;
}

static crumb_status compare_integers(crumb_plan *plan, crumb_step *step) {
    crumb_link *link = &plan->link[step->first];
    int32_t links = step->links, channels = step->channels;
    int32_t levels = link[links - 2].thresholds;
    step->thresholds = crumb_alloc(plan->ctx, (size_t)(levels + 1) * (size_t)channels, sizeof(*step->thresholds));
    if (step->thresholds == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    int32_t *flip = step->thresholds, *threshold = flip + channels;
    for (int32_t c = 0; c < channels; c++) {
        flip[c] = link[0].a[c] < 0.0f ? -1 : 0;
        probe p;
        probe_init(&p, link, links, c);
        for (int32_t k = 0; k < levels; k++) {
            threshold[(size_t)k * (size_t)channels + (size_t)c] = bisect(&p, flip[c], k + 1);
        }
    }
    link[0] = (crumb_link){.op = CRUMB_LINK_COUNT,
                           .node = link[0].node,
                           .buffer = -1,
                           .step = 1,
                           .flip = flip,
                           .threshold = threshold,
                           .thresholds = levels};
    link[1] = link[links - 1];
    step->links = 2;
    return CRUMB_OK;
}

crumb_status crumb_plan_shorten(crumb_plan *plan, crumb_step *step) {
    drop_rectifier(plan, step);
    const crumb_link *link = &plan->link[step->first];
    if (is_step_function(link, step->links, step->channels) && link[step->links - 2].thresholds <= THRESHOLDS_MAX) {
        return compare_integers(plan, step);
    }
    return CRUMB_OK;
}

/* ---- The image: an index is a function of the channel and the pixel's 256 values if all links work on single elements and
 * only the last one stores. */

static bool is_element_function(const crumb_link *link, int32_t links) {
    for (int32_t i = 1; i < links - 1; i++) {
        if (link[i].buffer >= 0) {
            return false;
        }
    }
    return links >= 2 && link[0].op == CRUMB_LINK_REAL && link[links - 1].op == CRUMB_LINK_STORE_INDEX;
}

/* The operands of one channel: the chain's is channel 0. Thresholds are the same for all channels. */
static void probe_channel(probe *p, const crumb_link *link, int32_t links, int32_t c) {
    for (int32_t i = 0; i < links; i++) {
        p->link[i] = link[i];
        if (link[i].op == CRUMB_LINK_AFFINE || link[i].op == CRUMB_LINK_PRELU) {
            p->link[i].a += c;
            p->link[i].b += link[i].b != NULL ? c : 0;
        }
    }
    p->link[links - 1].base = &p->index;
    p->link[links - 1].pixel = 1;
    p->chain =
        (crumb_chain){.link = p->link, .links = links, .height = 1, .width = 1, .channels = 1, .pattern = CRUMB_PATTERNS};
}

crumb_status crumb_plan_tabulate(crumb_plan *plan) {
    const crumb_step *step = &plan->step[0];
    const crumb_link *link = &plan->link[step->first];
    if (!is_element_function(link, step->links)) {
        return CRUMB_OK;
    }
    plan->pixel_index = crumb_alloc(plan->ctx, (size_t)step->channels, 256);
    if (plan->pixel_index == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int32_t c = 0; c < step->channels; c++) {
        probe p;
        probe_channel(&p, link, step->links, c);
        for (int32_t pixel = 0; pixel < 256; pixel++) {
            float value = plan->pixel[c][pixel];
            crumb_chain_run(&p.chain, 0, 1, 0, 1, &value, 1);
            plan->pixel_index[c * 256 + pixel] = p.index;
        }
    }
    return CRUMB_OK;
}
