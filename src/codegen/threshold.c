/* Integer thresholds. Multiplier, bias, rectifier and a quantizer of few levels behind integer sums are together a step
 * function of each channel's sum: multiplication by a number, addition, maximum, minimum and rounding are monotone, also with
 * their roundings, and so is what they make one after the other. Its steps are found here by bisection with the very operations
 * (element.c), so the device compares integers and gets the same indices. A function that falls rises with the complement of
 * the sum, -1 - V. */
#include "codegen/codegen.h"

#include <math.h>

typedef struct search {
    const crumb_codegen *g;
    const crumb_codegen_stage *stage;
    int32_t *path, nodes; /* behind the convolution, the quantizer last */
    uint16_t *row;
    /* of the channel */
    int32_t c;
    float multiplier, bias;
    int64_t offset;
    bool falls;
} search;

/* The nodes from the convolution to the quantizer, if each reads the one before and nothing else, and is monotone. */
static bool find_path(search *s, int32_t quantizer) {
    const crumb_codegen *g = s->g;
    s->nodes = 0;
    int32_t at = quantizer;
    for (; at != s->stage->root; at = crumb_codegen_input(g, at, 0) - 1) {
        crumb_packed_op op = g->packed->node[at].op;
        bool monotone =
            op == CRUMB_PACKED_AFFINE || op == CRUMB_PACKED_RELU || op == CRUMB_PACKED_PRELU || op == CRUMB_PACKED_CLIP;
        if ((!monotone && at != quantizer) || crumb_codegen_input(g, at, 0) == 0 ||
            g->value[crumb_codegen_input(g, at, 0)].stage != g->node[quantizer].stage) {
            return false;
        }
        s->path[s->nodes++] = at;
    }
    for (int32_t i = 0; i < s->nodes / 2; i++) {
        int32_t other = s->path[s->nodes - 1 - i];
        s->path[s->nodes - 1 - i] = s->path[i];
        s->path[i] = other;
    }
    return true;
}

/* The file's index for a sum. *finite becomes false if a number on the way is not finite. */
static int32_t index_of(const search *s, int64_t sum, bool *finite) {
    int64_t code = s->stage->sum.multiply * sum + s->offset;
    crumb_codegen_number number = {.real = fmaf((float)code, s->multiplier, s->bias)};
    for (int32_t i = 0; i < s->nodes; i++) {
        *finite = *finite && isfinite(number.real);
        number = crumb_codegen_element(s->g->packed, &s->g->packed->node[s->path[i]], s->c, number);
    }
    return number.index;
}

static void turn(bool *falls, float factor) {
    *falls = *falls != (factor < 0.0f);
}

/* Which way the function of the channel goes; false if it turns. */
static bool find_direction(search *s) {
    s->falls = false;
    turn(&s->falls, s->multiplier);
    for (int32_t i = 0; i < s->nodes; i++) {
        const crumb_packed_node *node = &s->g->packed->node[s->path[i]];
        if (node->op == CRUMB_PACKED_AFFINE) {
            turn(&s->falls, crumb_packed_floats(s->g->packed, node->multiplier)[s->c]);
        } else if (node->op == CRUMB_PACKED_PRELU && !(crumb_packed_floats(s->g->packed, node->extra)[s->c] >= 0.0f)) {
            return false;
        } else if (node->op == CRUMB_PACKED_QUANTIZE) {
            turn(&s->falls, node->inverse);
        }
    }
    return true;
}

/* The range of the channel's sums. */
static void find_range(search *s, int64_t *low, int64_t *high) {
    const crumb_packed_node *node = &s->g->packed->node[s->stage->root];
    const crumb_packed_tensor *weight = &s->g->packed->tensor[node->weight];
    const crumb_packed_codes *x = &s->g->value[crumb_codegen_input(s->g, s->stage->root, 0)].codes;
    *low = s->stage->sum.low;
    *high = s->stage->sum.high;
    if (s->stage->sum.form == CRUMB_CODEGEN_PLAIN) {
        return;
    }
    *low = *high = 0;
    crumb_packed_unpack_row(weight, s->c, s->row);
    for (int32_t i = 0; i < weight->columns; i++) {
        int32_t code = crumb_packed_code(&weight->codes, s->row[i]);
        *(code < 0 ? low : high) += (int64_t)code * (x->levels - 1);
    }
}

/* The smallest number in low .. high from which on the index is at least `level`; high + 1: none. */
static int32_t bisect(const search *s, int64_t low, int64_t high, int32_t level) {
    bool finite = true;
    int64_t below = low - 1, at = high + 1;
    while (at - below > 1) {
        int64_t middle = below + (at - below) / 2;
        if (index_of(s, s->falls ? ~middle : middle, &finite) >= level) {
            at = middle;
        } else {
            below = middle;
        }
    }
    return (int32_t)at;
}

static bool search_channel(search *s, crumb_codegen_node *node, int32_t thresholds) {
    int64_t low, high;
    bool finite = true;
    if (!find_direction(s)) {
        return false;
    }
    s->offset = crumb_codegen_channel_offset(s->g, s->stage, s->c, s->row);
    find_range(s, &low, &high);
    index_of(s, low, &finite);
    index_of(s, high, &finite);
    if (!finite || low <= INT32_MIN || high >= INT32_MAX) {
        return false;
    }
    node->falls[s->c] = s->falls;
    node->any_falls = node->any_falls || s->falls;
    for (int32_t k = 0; k < thresholds; k++) {
        node->threshold[(int64_t)s->c * thresholds + k] =
            s->falls ? bisect(s, ~high, ~low, k + 1) : bisect(s, low, high, k + 1);
    }
    return true;
}

static void forget(crumb_codegen *g, crumb_codegen_node *node) {
    crumb_free(g->ctx, node->threshold);
    crumb_free(g->ctx, node->falls);
    node->threshold = NULL;
    node->falls = NULL;
}

static crumb_status search_node(crumb_codegen *g, search *s, int32_t i) {
    const crumb_packed_node *root = &g->packed->node[s->stage->root];
    crumb_codegen_node *node = &g->node[i];
    int32_t thresholds = g->packed->value[i + 1].codes.levels - 1, channels = s->stage->channels;
    node->threshold = crumb_alloc(g->ctx, (size_t)channels * (size_t)thresholds, sizeof(*node->threshold));
    node->falls = crumb_alloc(g->ctx, (size_t)channels, sizeof(*node->falls));
    bool found = node->threshold != NULL && node->falls != NULL;
    crumb_status status = found ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    for (s->c = 0; found && s->c < channels; s->c++) {
        s->multiplier = crumb_packed_floats(g->packed, root->multiplier)[s->c];
        s->bias = crumb_packed_floats(g->packed, root->bias)[s->c];
        found = search_channel(s, node, thresholds);
    }
    if (!found) {
        forget(g, node);
    }
    return status;
}

static bool is_candidate(const crumb_codegen *g, int32_t i) {
    const crumb_codegen_stage *stage = g->node[i].stage >= 0 ? &g->stage[g->node[i].stage] : NULL;
    return stage != NULL && stage->sum.form != CRUMB_CODEGEN_NO_SUM && stage->sum.form != CRUMB_CODEGEN_REAL &&
           g->packed->node[i].op == CRUMB_PACKED_QUANTIZE && g->packed->value[i + 1].codes.levels <= CRUMB_CODEGEN_LEVELS_MAX;
}

crumb_status crumb_codegen_thresholds(crumb_codegen *g) {
    const crumb_packed *packed = g->packed;
    int32_t columns = 1;
    for (int32_t i = 0; i < packed->tensors; i++) {
        columns = packed->tensor[i].columns > columns ? packed->tensor[i].columns : columns;
    }
    search s = {.g = g};
    s.path = crumb_alloc(g->ctx, (size_t)packed->nodes + 1, sizeof(*s.path));
    s.row = crumb_alloc(g->ctx, (size_t)columns, sizeof(*s.row));
    crumb_status status = s.path != NULL && s.row != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    for (int32_t i = 0; status == CRUMB_OK && i < packed->nodes; i++) {
        if (is_candidate(g, i)) {
            s.stage = &g->stage[g->node[i].stage];
            status = find_path(&s, i) ? search_node(g, &s, i) : CRUMB_OK;
        }
    }
    crumb_free(g->ctx, s.path);
    crumb_free(g->ctx, s.row);
    return status;
}
