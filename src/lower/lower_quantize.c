/* Activation quantizers. A quantizer that has the uniform form becomes the same float operations. Any other is a staircase, so
 * it is given by the smallest float of each level: found by bisection over all floats in their order, on the quantizer's own
 * `encode`, so that ties fall as they do in training, to the bit. */
#include "lower/lowering.h"

#include <math.h>
#include <string.h>

/* ---- The code of one number. */

typedef struct probe {
    crumb_quant site;
    crumb_quant_call call;
    crumb_codes codes;
    float x, scale;
    int16_t code;
} probe;

static void probe_begin(probe *p, const crumb_graph *graph, int node) {
    memset(p, 0, sizeof(*p));
    p->site = *crumb_node_site(graph, node);
    p->site.channels = 1;
    p->call = crumb_node_call(graph, node);
    p->call.site = &p->site;
    p->call.shape = CRUMB_SHAPE(1, 1);
    p->call.count = 1;
    p->call.x = &p->x;
    p->codes = (crumb_codes){.code = &p->code, .scale = &p->scale, .count = 1};
}

static int32_t index_of(probe *p, float x) {
    p->x = x;
    p->site.quantizer->encode(&p->call, &p->codes);
    return (p->code - p->codes.offset) / p->codes.multiply;
}

/* ---- All floats but NaN in their order, as numbers: -infinity first. */

static uint32_t rank_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

static float of_rank(uint32_t rank) {
    uint32_t bits = (rank & 0x80000000u) != 0 ? rank & 0x7fffffffu : ~rank;
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* The smallest float of at least this index, which infinity must reach. */
static float first_of(probe *p, int32_t index) {
    uint32_t low = rank_of(-INFINITY), high = rank_of(INFINITY);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index_of(p, of_rank(middle)) >= index) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return of_rank(low) + 0.0f; /* not -0: comparisons do not tell them apart */
}

static int32_t count_below(const crumb_levels *levels, float x) {
    int32_t count = 0;
    for (int32_t i = 0; i + 1 < levels->codes.levels; i++) {
        count += x >= levels->threshold[i];
    }
    return count;
}

/* That the quantizer is the staircase: around every threshold, and at floats all over their range. */
static bool is_staircase(probe *p, const crumb_levels *levels) {
    for (int32_t i = 0; i + 1 < levels->codes.levels; i++) {
        float below = nextafterf(levels->threshold[i], -INFINITY), above = nextafterf(levels->threshold[i], INFINITY);
        if (index_of(p, below) != count_below(levels, below) || index_of(p, above) != count_below(levels, above) ||
            index_of(p, levels->threshold[i]) != count_below(levels, levels->threshold[i])) {
            return false;
        }
    }
    const uint32_t first = rank_of(-INFINITY), step = (rank_of(INFINITY) - first) / 4099;
    for (uint32_t k = 0; k < 4099; k++) {
        float x = of_rank(first + k * step);
        if (index_of(p, x) != count_below(levels, x)) {
            return false;
        }
    }
    return true;
}

static crumb_status find_thresholds(const crumb_lowering *l, int node, crumb_levels *levels) {
    probe p;
    probe_begin(&p, l->graph, node);
    int32_t top = index_of(&p, INFINITY);
    levels->codes = (crumb_packed_codes){
        .levels = p.codes.levels, .multiply = p.codes.multiply, .offset = p.codes.offset, .scale = p.scale};
    levels->thresholds_form = true;
    if (p.codes.levels < 2 || p.codes.levels > CRUMB_PACKED_ACTIVATION_MAX || top != p.codes.levels - 1) {
        return crumb_lower_fail(l, node, "%s has %d levels, of which infinity has index %d", p.site.quantizer->name,
                                p.codes.levels, (int)top);
    }
    for (int32_t i = 1; i < p.codes.levels; i++) {
        levels->threshold[i - 1] = first_of(&p, i);
    }
    levels->rectifies = levels->threshold[0] > 0.0f;
    return is_staircase(&p, levels) ? CRUMB_OK : crumb_lower_fail(l, node, "%s does not rise with x", p.site.quantizer->name);
}

crumb_status crumb_lower_levels(const crumb_lowering *l, int node, crumb_levels *levels) {
    const crumb_quantizer *quantizer = crumb_node_site(l->graph, node)->quantizer;
    crumb_quant_call call = crumb_node_call(l->graph, node);
    crumb_uniform u;
    memset(levels, 0, sizeof(*levels));
    if (quantizer->uniform == NULL || !quantizer->uniform(&call, &u)) {
        return find_thresholds(l, node, levels);
    }
    if (!(u.inverse >= 0.0f) || !(u.hi - u.lo < (float)CRUMB_PACKED_ACTIVATION_MAX)) {
        return crumb_lower_fail(l, node, "%s with 1 / step %g and codes %g .. %g", quantizer->name, (double)u.inverse,
                                (double)u.lo, (double)u.hi);
    }
    levels->codes =
        (crumb_packed_codes){.levels = (int32_t)(u.hi - u.lo) + 1, .multiply = 1, .offset = (int32_t)u.lo, .scale = u.step};
    levels->inverse = u.inverse;
    levels->lo = u.lo;
    levels->hi = u.hi;
    levels->rectifies = u.lo == 0.0f;
    return CRUMB_OK;
}

/* ---- The order of quantizers and what they read. */

static bool is_activation_site(const crumb_graph *graph, int node) {
    return node >= 0 && crumb_node_site(graph, node) != NULL && !crumb_node_site(graph, node)->weight;
}

/* Whether a rising function of each element may be taken before this op instead of behind it. */
static bool commutes(const crumb_graph *graph, const crumb_node *node) {
    crumb_shape x = graph->value[node->input[0]].shape;
    bool map = x.rank == 4 && x.dim[0] == 1;
    return (node->op == &crumb_op_max_pool && map) || (node->op == &crumb_op_flatten && (map || x.rank == 2)) ||
           node->op == &crumb_op_dropout;
}

static crumb_status plan_one(crumb_lowering *l, int node) {
    const crumb_graph *graph = l->graph;
    crumb_levels levels;
    CRUMB_TRY(crumb_lower_levels(l, node, &levels));
    int value = graph->node[node].input[0], reader = node;
    for (;;) {
        int maker = graph->value[value].node;
        const crumb_node *before = maker >= 0 ? &graph->node[maker] : NULL;
        if (before == NULL || crumb_lower_reader(l, value) != reader ||
            is_activation_site(graph, graph->value[before->input[0]].node) ||
            !(commutes(graph, before) || (before->op == &crumb_op_relu && levels.rectifies))) {
            break;
        }
        l->done[maker] = true;
        value = before->input[0];
        reader = maker;
    }
    l->source[node] = value;
    return CRUMB_OK;
}

crumb_status crumb_lower_plan_quantizers(crumb_lowering *l) {
    for (int i = 0; i < l->graph->nodes; i++) {
        if (l->needed[i] && is_activation_site(l->graph, i)) {
            CRUMB_TRY(plan_one(l, i));
        }
    }
    return CRUMB_OK;
}

/* ---- Emitting. */

/* One of the nodes that moved behind the quantizer, now on codes. */
static crumb_status emit_moved(crumb_lowering *l, int node, crumb_form *form) {
    const crumb_node *moved = &l->graph->node[node];
    crumb_shape shape = l->graph->value[moved->input[0]].shape;
    if (moved->op == &crumb_op_flatten && shape.rank == 4 && shape.dim[1] * shape.dim[2] > 1) {
        form->map_height = shape.dim[1];
        form->map_width = shape.dim[2];
    }
    if (moved->op != &crumb_op_max_pool) {
        return CRUMB_OK;
    }
    crumb_packed_node pool = crumb_lower_pool(moved, CRUMB_PACKED_MAX_POOL, form->codes);
    form->codes = crumb_build_append(&l->build, &pool, NULL);
    return l->build.status;
}

/* Everything between the quantizer's source and `value`, in the graph's order. */
static crumb_status emit_all_moved(crumb_lowering *l, int value, int source, crumb_form *form) {
    if (value == source) {
        return CRUMB_OK;
    }
    int maker = l->graph->value[value].node;
    CRUMB_TRY(emit_all_moved(l, l->graph->node[maker].input[0], source, form));
    return emit_moved(l, maker, form);
}

crumb_status crumb_lower_quantize(crumb_lowering *l, int node) {
    const crumb_form *source = &l->form[l->source[node]];
    crumb_levels levels;
    CRUMB_TRY(crumb_lower_levels(l, node, &levels));
    int32_t x;
    CRUMB_TRY(crumb_lower_value(l, node, l->source[node], false, &x));
    crumb_packed_node made = crumb_build_node_of(CRUMB_PACKED_QUANTIZE, l->graph->node[node].name, x);
    made.thresholds_form = levels.thresholds_form;
    if (levels.thresholds_form) {
        made.extra = crumb_build_floats(&l->build, 1, levels.codes.levels - 1, levels.threshold);
    }
    made.inverse = levels.inverse;
    made.lo = levels.lo;
    made.hi = levels.hi;
    crumb_form form = {.real = -1, .plain = -1, .scale = levels.codes.scale};
    form.map_height = source->map_height;
    form.map_width = source->map_width;
    form.codes = crumb_build_append(&l->build, &made, &levels.codes);
    CRUMB_TRY(l->build.status);
    CRUMB_TRY(emit_all_moved(l, l->graph->node[node].input[0], l->source[node], &form));
    l->form[l->graph->node[node].output] = form;
    return CRUMB_OK;
}
