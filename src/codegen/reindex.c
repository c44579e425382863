/* Padding has the code 0. Where 0 is no level of a convolution's input (codes -1 and 1: there is none between), nothing can
 * stand for it in a gathered window; so what is stored becomes
 *
 *     code - min(0, lowest code)
 *
 * instead of the index: every level and 0 have a number, in the same order. The rule goes for the quantizer that makes the
 * value and for all that is made of it by moving elements about. Where the numbers need more than a byte the value stays as it
 * is, and the convolution goes code by code (sum.c). */
#include "codegen/codegen.h"

enum { BYTE_MAX = 255 };

static bool moves_elements(crumb_packed_op op) {
    return op == CRUMB_PACKED_MAX_POOL || op == CRUMB_PACKED_SUBSAMPLE || op == CRUMB_PACKED_FLATTEN ||
           op == CRUMB_PACKED_GATHER;
}

static bool has_zero(const crumb_packed_codes *codes) {
    int32_t index = -codes->offset / codes->multiply;
    return crumb_packed_code(codes, index) == 0 && index >= 0 && index < codes->levels;
}

/* The value of a quantize node whose indices these are. */
static int32_t origin(const crumb_codegen *g, int32_t value) {
    while (moves_elements(g->packed->node[value - 1].op)) {
        value = g->packed->node[value - 1].input[0];
    }
    return value;
}

static void renumber(crumb_codegen_value *value) {
    crumb_packed_codes *codes = &value->codes;
    int32_t low = crumb_packed_code(codes, 0), high = crumb_packed_code(codes, codes->levels - 1);
    int32_t base = low < 0 ? low : 0, top = high > 0 ? high : 0;
    if (top - base > BYTE_MAX) {
        return;
    }
    value->multiply = codes->multiply;
    value->offset = low - base;
    *codes = (crumb_packed_codes){.levels = top - base + 1,
                                  .bits = crumb_packed_bits(top - base + 1),
                                  .multiply = 1,
                                  .offset = base,
                                  .scale = codes->scale};
}

static void renumber_table(crumb_codegen_value *value) {
    for (int32_t i = 0; i < value->channels * CRUMB_CODEGEN_PIXELS; i++) {
        value->table[i].index = value->multiply * value->table[i].index + value->offset;
    }
}

void crumb_codegen_reindex(crumb_codegen *g) {
    const crumb_packed *packed = g->packed;
    for (int32_t i = 0; i < packed->nodes; i++) {
        const crumb_packed_node *node = &packed->node[i];
        if (g->node[i].needed && node->op == CRUMB_PACKED_CONV2D && node->padding > 0 &&
            packed->value[node->input[0]].codes.levels != 0) {
            crumb_codegen_value *made = &g->value[origin(g, node->input[0])];
            if (!has_zero(&made->codes)) {
                renumber(made);
            }
        }
    }
    for (int32_t i = 0; i < packed->nodes; i++) {
        const crumb_packed_node *node = &packed->node[i];
        crumb_codegen_value *made = &g->value[node->output];
        if (moves_elements(node->op)) {
            const crumb_codegen_value *from = &g->value[node->input[0]];
            made->codes = from->codes;
            made->multiply = from->multiply;
            made->offset = from->offset;
        } else if (made->where == CRUMB_CODEGEN_TABLE && crumb_codegen_is_codes(made)) {
            renumber_table(made);
        }
    }
}
