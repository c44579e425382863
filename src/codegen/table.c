/* What the logits depend on, and functions of the pixel: an image of 8-bit pixels has 256 different values a channel, so the
 * normalised image and everything that is made of it element by element, such as the first layer's indices, is a table, exact
 * and without float arithmetic on the device. */
#include "codegen/codegen.h"

#include <string.h>

static void find_needed(crumb_codegen *g) {
    const crumb_packed *packed = g->packed;
    if (packed->logits > 0) {
        g->node[packed->logits - 1].needed = true;
    }
    for (int32_t i = packed->nodes - 1; i >= 0; i--) {
        const crumb_packed_node *node = &packed->node[i];
        for (int32_t k = 0; g->node[i].needed && k < node->inputs; k++) {
            if (node->input[k] > 0) {
                g->node[node->input[k] - 1].needed = true;
            }
        }
    }
}

static crumb_codegen_number pixel_value(const crumb_packed *packed, int32_t c, int32_t pixel) {
    return (crumb_codegen_number){.real = ((float)pixel / 255.0f - packed->mean[c]) / packed->deviation[c]};
}

/* Entries are what is stored: an index, or the bits of a float. */
static void count_tables(crumb_codegen_value *value) {
    size_t bytes = CRUMB_CODEGEN_PIXELS * sizeof(*value->table);
    value->tables = 1;
    for (int32_t c = 1; c < value->channels; c++) {
        if (memcmp(value->table, value->table + c * CRUMB_CODEGEN_PIXELS, bytes) != 0) {
            value->tables = value->channels;
        }
    }
}

static crumb_status make_table(crumb_codegen *g, int32_t index) {
    crumb_codegen_value *value = &g->value[index];
    const crumb_packed_node *node = index > 0 ? &g->packed->node[index - 1] : NULL;
    value->where = CRUMB_CODEGEN_TABLE;
    value->table = crumb_alloc(g->ctx, (size_t)value->channels * CRUMB_CODEGEN_PIXELS, sizeof(*value->table));
    if (value->table == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int32_t c = 0; c < value->channels; c++) {
        for (int32_t pixel = 0; pixel < CRUMB_CODEGEN_PIXELS; pixel++) {
            int32_t at = c * CRUMB_CODEGEN_PIXELS + pixel;
            value->table[at] = node == NULL ? pixel_value(g->packed, c, pixel)
                                            : crumb_codegen_element(g->packed, node, c, g->value[node->input[0]].table[at]);
        }
    }
    count_tables(value);
    return CRUMB_OK;
}

static bool is_function_of_pixel(const crumb_codegen *g, int32_t i) {
    const crumb_packed_node *node = &g->packed->node[i];
    return g->node[i].needed && node->output != g->packed->logits && node->inputs == 1 && crumb_codegen_is_element(node->op) &&
           g->value[node->input[0]].where == CRUMB_CODEGEN_TABLE;
}

/* A flattened vector is the vector. */
static bool changes_nothing(const crumb_codegen *g, const crumb_packed_node *node) {
    const crumb_codegen_value *x = &g->value[node->input[0]];
    return node->op == CRUMB_PACKED_FLATTEN && x->height == 1 && x->width == 1 && x->where == CRUMB_CODEGEN_NOWHERE;
}

crumb_status crumb_codegen_tables(crumb_codegen *g) {
    const crumb_packed *packed = g->packed;
    find_needed(g);
    for (int32_t v = 0; v < packed->values; v++) {
        const crumb_packed_value *from = &packed->value[v];
        g->value[v] = (crumb_codegen_value){.height = from->height,
                                            .width = from->width,
                                            .channels = from->channels,
                                            .codes = from->codes,
                                            .multiply = 1,
                                            .same = v,
                                            .stage = -1};
        if (v > 0 && changes_nothing(g, &packed->node[v - 1])) {
            g->value[v].same = crumb_codegen_input(g, v - 1, 0);
        } else if (v == 0 && g->reals) {
            g->value[v].where = CRUMB_CODEGEN_IMAGE;
        } else if (v == 0 || is_function_of_pixel(g, v - 1)) {
            CRUMB_TRY(make_table(g, v));
        }
    }
    g->logits = g->value[packed->logits].same;
    return CRUMB_OK;
}
