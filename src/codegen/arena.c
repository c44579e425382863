/* Where values lie: from the stage that makes one to the stage that last reads it, and gathered windows during theirs. Blocks
 * that live at the same time lie apart, with one exception: what a stage stores element by element may take the place of what
 * it reads element by element, for the last time, from the same start (a residual addition works in place). Two orders are
 * tried, by birth and by size; each block goes to the lowest place that is free; the smaller arena wins. */
#include "codegen/codegen.h"

#include <stdlib.h>

typedef struct block {
    int32_t cells, born, dies;
    int32_t value; /* -1: a window */
    int32_t *cell;
} block;

typedef struct arena {
    const crumb_codegen *g;
    block *block;
    int32_t blocks;
} arena;

/* True if `made` may take the place of `read`. */
static bool in_place(const crumb_codegen *g, const block *read, const block *made) {
    if (read->value < 0 || made->value < 0 || read->dies != made->born) {
        return false;
    }
    const crumb_codegen_value *x = &g->value[read->value], *y = &g->value[made->value];
    const crumb_codegen_stage *stage = &g->stage[made->born];
    if (stage->pool >= 0 || crumb_codegen_elements(x) != crumb_codegen_elements(y) ||
        (crumb_codegen_is_codes(x) && !crumb_codegen_is_codes(y))) {
        return false;
    }
    for (int32_t k = 0; stage->root >= 0 && k < g->packed->node[stage->root].inputs; k++) {
        if (crumb_codegen_input(g, stage->root, k) == read->value) {
            return false;
        }
    }
    return true;
}

static bool may_lie(const arena *a, const block *wanted, int32_t at, const block *other) {
    bool together = wanted->born <= other->dies && other->born <= wanted->dies;
    bool apart = at >= *other->cell + other->cells || *other->cell >= at + wanted->cells;
    return !together || apart || (at == *other->cell && (in_place(a->g, other, wanted) || in_place(a->g, wanted, other)));
}

static bool is_free(const arena *a, int32_t placed, int32_t at) {
    for (int32_t i = 0; i < placed; i++) {
        if (!may_lie(a, &a->block[placed], at, &a->block[i])) {
            return false;
        }
    }
    return true;
}

/* Gives every block a place in the order they have; returns the cells of all. */
static int64_t place(arena *a) {
    int64_t end = 0;
    for (int32_t i = 0; i < a->blocks; i++) {
        int64_t best = is_free(a, i, 0) ? 0 : INT64_MAX;
        for (int32_t k = 0; k < i && best > 0; k++) {
            int64_t start = *a->block[k].cell, after = start + a->block[k].cells;
            best = start < best && is_free(a, i, (int32_t)start) ? start : best;
            best = after < best && after + a->block[i].cells <= INT32_MAX && is_free(a, i, (int32_t)after) ? after : best;
        }
        if (best + a->block[i].cells > INT32_MAX) {
            return INT64_MAX;
        }
        *a->block[i].cell = (int32_t)best;
        end = best + a->block[i].cells > end ? best + a->block[i].cells : end;
    }
    return end;
}

static int by_birth(const void *p, const void *q) {
    const block *a = p, *b = q;
    return a->born != b->born ? (a->born > b->born ? 1 : -1) : (a->value > b->value) - (a->value < b->value);
}

static int by_size(const void *p, const void *q) {
    const block *a = p, *b = q;
    return a->cells != b->cells ? (a->cells < b->cells ? 1 : -1) : by_birth(p, q);
}

static void find_lifetimes(crumb_codegen *g) {
    for (int32_t i = 0; i < g->packed->nodes; i++) {
        g->value[i + 1].born = g->value[i + 1].dies = g->value[i + 1].stage;
    }
    for (int32_t i = 0; i < g->packed->nodes; i++) {
        for (int32_t k = 0; g->node[i].stage >= 0 && k < g->packed->node[i].inputs; k++) {
            crumb_codegen_value *x = &g->value[crumb_codegen_input(g, i, k)];
            x->dies = g->node[i].stage > x->dies ? g->node[i].stage : x->dies;
        }
    }
}

static void collect(crumb_codegen *g, arena *a) {
    for (int32_t v = 0; v < g->packed->values; v++) {
        crumb_codegen_value *value = &g->value[v];
        if (value->where == CRUMB_CODEGEN_ARENA) {
            int64_t elements = crumb_codegen_elements(value);
            value->cells = (int32_t)(crumb_codegen_is_codes(value) ? (elements + 3) / 4 : elements);
            a->block[a->blocks++] = (block){value->cells, value->born, value->dies, v, &value->cell};
        }
    }
    for (int32_t s = 0; s < g->stages; s++) {
        if (g->stage[s].sum.cells > 0) {
            a->block[a->blocks++] = (block){g->stage[s].sum.cells, s, s, -1, &g->stage[s].sum.cell};
        }
    }
}

crumb_status crumb_codegen_arena(crumb_codegen *g) {
    arena a = {.g = g};
    find_lifetimes(g);
    a.block = crumb_alloc(g->ctx, (size_t)g->packed->values + (size_t)g->stages, sizeof(*a.block));
    if (a.block == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    collect(g, &a);
    qsort(a.block, (size_t)a.blocks, sizeof(*a.block), by_birth);
    int64_t cells = place(&a);
    qsort(a.block, (size_t)a.blocks, sizeof(*a.block), by_size);
    int64_t other = place(&a);
    if (other > cells) {
        qsort(a.block, (size_t)a.blocks, sizeof(*a.block), by_birth);
        other = place(&a);
    }
    crumb_free(g->ctx, a.block);
    g->cells = (int32_t)(other < INT32_MAX ? other : 0);
    return other < INT32_MAX ? CRUMB_OK
                             : crumb_fail(g->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: the activations need more than 8 GB", g->name);
}
