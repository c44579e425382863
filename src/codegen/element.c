/* What a node that works element by element makes of one number: pack/packed.h for a single element. Tables of pixels and the
 * thresholds of integer sums are found with it. */
#include "codegen/codegen.h"

#include <math.h>

bool crumb_codegen_is_element(crumb_packed_op op) {
    return op == CRUMB_PACKED_QUANTIZE || op == CRUMB_PACKED_DEQUANTIZE || op == CRUMB_PACKED_AFFINE ||
           op == CRUMB_PACKED_ADD || op == CRUMB_PACKED_MUL || op == CRUMB_PACKED_RELU || op == CRUMB_PACKED_PRELU ||
           op == CRUMB_PACKED_CLIP;
}

static int32_t quantize(const crumb_packed *packed, const crumb_packed_node *node, float v) {
    int32_t index = 0;
    if (node->thresholds_form) {
        const float *threshold = crumb_packed_floats(packed, node->extra);
        for (int32_t i = 0; i < packed->tensor[node->extra].columns; i++) {
            index += v >= threshold[i];
        }
        return index;
    }
    float scaled = v * node->inverse;
    float raised = scaled > node->lo ? scaled : node->lo;
    return (int32_t)(rintf(raised < node->hi ? raised : node->hi) - node->lo);
}

crumb_codegen_number crumb_codegen_element(const crumb_packed *packed, const crumb_packed_node *node, int32_t c,
                                           crumb_codegen_number x) {
    const crumb_packed_codes *codes = &packed->value[node->input[0]].codes;
    float v = x.real;
    switch (node->op) {
    case CRUMB_PACKED_QUANTIZE:
        return (crumb_codegen_number){.index = quantize(packed, node, v)};
    case CRUMB_PACKED_DEQUANTIZE:
        return (crumb_codegen_number){.real = codes->scale * (float)crumb_packed_code(codes, x.index)};
    case CRUMB_PACKED_AFFINE:
        return (crumb_codegen_number){
            .real = fmaf(v, crumb_packed_floats(packed, node->multiplier)[c], crumb_packed_floats(packed, node->bias)[c])};
    case CRUMB_PACKED_RELU:
        return (crumb_codegen_number){.real = v > 0.0f ? v : 0.0f};
    case CRUMB_PACKED_PRELU:
        return (crumb_codegen_number){.real = v > 0.0f ? v : crumb_packed_floats(packed, node->extra)[c] * v};
    default: /* CLIP */
        return (crumb_codegen_number){.real = v < node->lo ? node->lo : v > node->hi ? node->hi : v};
    }
}
