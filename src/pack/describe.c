/* What `crumb info` shows of a packed network. */
#include "pack/rules.h"

void crumb_packed_describe(const crumb_packed *packed, crumb_packed_info *info) {
    *info = (crumb_packed_info){
        .model = packed->model,
        .height = packed->value[0].height,
        .width = packed->value[0].width,
        .channels = packed->value[0].channels,
        .classes = packed->classes,
        .class_names = packed->class_name,
        .mean = packed->mean,
        .deviation = packed->deviation,
        .layers = packed->nodes,
        .file_bytes = packed->file_bytes,
    };
    for (int32_t i = 0; i < packed->nodes; i++) {
        info->operations += crumb_packed_operations(packed, i);
    }
}

static int bits_of(const crumb_packed_codes *codes) {
    return codes->levels == 0 ? 32 : codes->bits;
}

bool crumb_packed_layer_at(const crumb_packed *packed, int index, crumb_packed_layer *layer) {
    if (index < 0 || index >= packed->nodes) {
        return false;
    }
    const crumb_packed_node *node = &packed->node[index];
    const crumb_packed_value *made = &packed->value[node->output];
    *layer = (crumb_packed_layer){
        .name = node->name,
        .op = crumb_packed_op_name(node->op),
        .height = made->height,
        .width = made->width,
        .channels = made->channels,
        .operations = crumb_packed_operations(packed, index),
    };
    if (node->weight >= 0) {
        layer->weight_bits = bits_of(&packed->tensor[node->weight].codes);
        layer->activation_bits = bits_of(&packed->value[node->input[0]].codes);
        layer->weight_bytes = (size_t)packed->tensor[node->weight].bytes;
        layer->weight_bytes += crumb_packed_group(packed, node) > 0 ? (size_t)packed->tensor[node->extra].bytes : 0;
    }
    return true;
}
