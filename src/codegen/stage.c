/* Nodes become stages. A node that works element by element goes into the tail of the stage that makes the last of its inputs;
 * any other begins a stage. A max_pool over indices that a convolution makes, with windows side by side, is taken by the
 * convolution while it stores them: a quarter of the memory for pools of 2. */
#include "codegen/codegen.h"

/* Nodes outside of the stage, or none, may read what stage `s` has made so far, but for `value`. */
static bool only_this_is_read(const crumb_codegen *g, int32_t s, int32_t value) {
    int32_t readers = 0;
    if (g->value[g->logits].stage == s) {
        return false;
    }
    for (int32_t i = 0; i < g->packed->nodes; i++) {
        for (int32_t k = 0; g->node[i].needed && k < g->packed->node[i].inputs; k++) {
            int32_t x = crumb_codegen_input(g, i, k);
            readers += x == value;
            if (x != value && g->value[x].stage == s && g->node[i].stage != s) {
                return false;
            }
        }
    }
    return readers == 1;
}

/* The stage that can take this max_pool along, -1: none. */
static int32_t pooling_stage(const crumb_codegen *g, int32_t i) {
    const crumb_packed_node *node = &g->packed->node[i];
    int32_t value = crumb_codegen_input(g, i, 0), s = g->value[value].stage;
    const crumb_codegen_value *x = &g->value[value], *y = &g->value[node->output];
    if (node->op != CRUMB_PACKED_MAX_POOL || !crumb_codegen_is_codes(x) || s < 0) {
        return -1;
    }
    const crumb_codegen_stage *stage = &g->stage[s];
    bool square = node->kernel_height == node->kernel_width && crumb_packed_stride_width(node) == node->stride;
    bool side_by_side = square && node->kernel_height == node->stride && node->padding == 0 &&
                        y->height * node->stride <= x->height && y->width * node->stride <= x->width;
    bool convolves = stage->root >= 0 && g->packed->node[stage->root].op == CRUMB_PACKED_CONV2D && stage->pool < 0;
    return side_by_side && convolves && only_this_is_read(g, s, value) ? s : -1;
}

static int32_t last_input_stage(const crumb_codegen *g, int32_t i) {
    int32_t last = -1;
    for (int32_t k = 0; k < g->packed->node[i].inputs; k++) {
        int32_t stage = g->value[crumb_codegen_input(g, i, k)].stage;
        last = stage > last ? stage : last;
    }
    return last;
}

static int32_t stage_for(crumb_codegen *g, int32_t i) {
    const crumb_packed_node *node = &g->packed->node[i];
    bool element = crumb_codegen_is_element(node->op);
    int32_t s = element ? last_input_stage(g, i) : pooling_stage(g, i);
    if (element && s >= 0 && g->stage[s].pool < 0) {
        return s;
    }
    if (!element && s >= 0) {
        g->stage[s].pool = i;
        return s;
    }
    const crumb_codegen_value *y = &g->value[node->output];
    g->stage[g->stages] = (crumb_codegen_stage){
        .root = element ? -1 : i, .pool = -1, .first = i, .height = y->height, .width = y->width, .channels = y->channels};
    return g->stages++;
}

/* Inputs of roots, and what another stage makes, come from memory. */
static void mark_reads(crumb_codegen *g, int32_t i) {
    const crumb_codegen_stage *stage = &g->stage[g->node[i].stage];
    for (int32_t k = 0; k < g->packed->node[i].inputs; k++) {
        crumb_codegen_value *x = &g->value[crumb_codegen_input(g, i, k)];
        x->read = x->read || stage->root == i || x->stage != g->node[i].stage;
    }
}

void crumb_codegen_stages(crumb_codegen *g) {
    for (int32_t i = 0; i < g->packed->nodes; i++) {
        g->node[i].stage = -1;
    }
    for (int32_t i = 0; i < g->packed->nodes; i++) {
        crumb_codegen_value *made = &g->value[g->packed->node[i].output];
        if (g->node[i].needed && made->same == i + 1 && made->where == CRUMB_CODEGEN_NOWHERE) {
            g->node[i].stage = made->stage = stage_for(g, i);
            g->stage[made->stage].last = i;
            mark_reads(g, i);
        }
    }
    for (int32_t v = 0; v < g->packed->values; v++) {
        if (g->value[v].read && g->value[v].where == CRUMB_CODEGEN_NOWHERE) {
            g->value[v].where = CRUMB_CODEGEN_ARENA;
        }
    }
    g->value[g->logits].where = CRUMB_CODEGEN_LOGITS;
}

/* Backwards: what is stored, and what a statement of the same stage reads, is computed. Thresholds read the sum instead. */
void crumb_codegen_computed(crumb_codegen *g) {
    for (int32_t i = g->packed->nodes - 1; i >= 0; i--) {
        crumb_codegen_node *node = &g->node[i];
        if (node->stage < 0) {
            continue;
        }
        node->computed = node->computed || g->value[i + 1].where != CRUMB_CODEGEN_NOWHERE;
        for (int32_t k = 0; node->computed && node->threshold == NULL && k < g->packed->node[i].inputs; k++) {
            int32_t x = crumb_codegen_input(g, i, k);
            if (x > 0 && g->node[x - 1].stage == node->stage) {
                g->node[x - 1].computed = true;
            }
        }
    }
}
