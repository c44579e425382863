/* Convolutions element by element: float sums in the order that pack/packed.h says, and codes whose sums of indices would leave
 * int32. */
#include "codegen/emit.h"

/* Channels that are summed among themselves before they are added; 1: all go into one sum. */
static int32_t channels_at_a_time(int32_t levels) {
    return levels == 2 ? 4 : levels == 3 || levels == 4 ? 2 : 1;
}

static crumb_expression scaled_index(const crumb_packed_codes *codes, const char *index) {
    return crumb_expression_of(codes->multiply == 1 ? "(%s + %d)" : "(2 * %s + %d)", index, (int)codes->offset);
}

static crumb_expression weight_at(crumb_emit *e, const crumb_packed_node *node, const char *column) {
    const crumb_packed_tensor *weight = &e->g->packed->tensor[node->weight];
    const char *name = e->g->node[e->stage->root].name;
    if (weight->codes.levels == 0) {
        return crumb_expression_of("%s_weight[%d * c + %s]", name, (int)weight->columns, column);
    }
    int32_t bytes = crumb_emit_row_bytes(weight);
    e->index_of_row[weight->codes.bits] = true;
    crumb_expression index =
        crumb_expression_of("index%d(%s_weight + %d * c, %s)", (int)weight->codes.bits, name, (int)bytes, column);
    return scaled_index(&weight->codes, index.text);
}

/* Channels `from` up to `to` (`even`: a multiple of what is summed together) into `sum`. */
static void add_channels(crumb_emit *e, const crumb_packed_node *node, const char *x, const char *sum, const char *from,
                         const char *to, bool even) {
    const crumb_packed_codes *w = &e->g->packed->tensor[node->weight].codes;
    int32_t together = channels_at_a_time(w->levels);
    crumb_expression weight = weight_at(e, node, together > 1 ? "tap + n" : "tap + k");
    crumb_expression real = crumb_expression_of(w->levels > 0 ? "(float)%s" : "%s", weight.text);
    e->uses |= CRUMB_EMIT_FUSED;
    if (together == 1) {
        crumb_emit_open(e, "for (int32_t k = %s; k < %s; k++)", from, to);
        crumb_emit_line(e, "%s = fused(%s, %s, %s);", sum, x, real.text, sum);
        crumb_emit_close(e);
        return;
    }
    crumb_emit_open(e, "for (int32_t k = %s; k < %s; k += %d)", from, to, (int)together);
    crumb_emit_line(e, "float part = 0.0f;");
    if (even) {
        crumb_emit_open(e, "for (int32_t n = k; n < k + %d; n++)", (int)together);
    } else {
        crumb_emit_open(e, "for (int32_t n = k; n < k + %d && n < %s; n++)", (int)together, to);
    }
    crumb_emit_line(e, "part = fused(%s, %s, part);", x, real.text);
    crumb_emit_close(e);
    crumb_emit_line(e, "%s += part;", sum);
    crumb_emit_close(e);
}

static void add_real(crumb_emit *e, const crumb_packed_node *node, const char *x, int32_t channels) {
    const crumb_packed *packed = e->g->packed;
    int32_t together = channels_at_a_time(packed->tensor[node->weight].codes.levels), group = crumb_packed_group(packed, node);
    if (group == 0) {
        crumb_expression all = crumb_expression_of("%d", (int)channels);
        add_channels(e, node, x, "sum", "0", all.text, channels % together == 0);
        return;
    }
    const char *name = e->g->node[e->stage->root].name;
    const crumb_packed_tensor *scale = &packed->tensor[node->extra];
    crumb_emit_reals(e, name, "scale", crumb_packed_floats(packed, node->extra), (int64_t)scale->rows * scale->columns);
    crumb_emit_open(e, "for (int32_t g = 0; g < %d; g++)", (int)scale->columns);
    crumb_emit_line(e, "const int32_t end = g * %d + %d < %d ? g * %d + %d : %d;", (int)group, (int)group, (int)channels,
                    (int)group, (int)group, (int)channels);
    crumb_emit_line(e, "float own = 0.0f;");
    crumb_expression first = crumb_expression_of("g * %d", (int)group);
    add_channels(e, node, x, "own", first.text, "end", channels % together == 0);
    crumb_emit_line(e, "sum = fused(own, %s_scale[%d * c + g], sum);", name, (int)scale->columns);
    crumb_emit_close(e);
}

static void add_codes(crumb_emit *e, const crumb_packed_node *node, const char *x, int32_t channels) {
    const crumb_codegen_value *value = &e->g->value[crumb_codegen_input(e->g, e->stage->root, 0)];
    crumb_emit_open(e, "for (int32_t k = 0; k < %d; k++)", (int)channels);
    crumb_emit_line(e, "v += %s * %s;", scaled_index(&value->codes, x).text, weight_at(e, node, "tap + k").text);
    crumb_emit_close(e);
}

static void add_tap(crumb_emit *e, const crumb_packed_node *node, int32_t channels, bool real) {
    int32_t value = crumb_codegen_input(e->g, e->stage->root, 0), outputs = e->stage->channels / node->groups;
    const crumb_codegen_value *x = &e->g->value[value];
    bool pairs = real && channels_at_a_time(e->g->packed->tensor[node->weight].codes.levels) > 1;
    crumb_expression first = {""};
    if (node->groups > 1) {
        first = crumb_expression_of("c / %d * %d + ", (int)outputs, (int)channels);
    }
    crumb_expression channel = crumb_expression_of("%s%s", first.text, pairs ? "n" : "k");
    crumb_expression at = crumb_expression_of("(h * %d + w) * %d + %s", (int)x->width, (int)x->channels, channel.text);
    crumb_expression element = crumb_emit_read(e, value, at.text, channel.text);
    bool wide = node->kernel_width > 1, high = node->kernel_height > 1;
    crumb_expression tap = !wide && !high ? crumb_expression_of("0")
                           : !high        ? crumb_expression_of("kw * %d", (int)channels)
                           : !wide        ? crumb_expression_of("kh * %d", (int)channels)
                                          : crumb_expression_of("(kh * %d + kw) * %d", (int)node->kernel_width, (int)channels);
    crumb_emit_line(e, "const int32_t tap = %s;", tap.text);
    if (real) {
        add_real(e, node, element.text, channels);
    } else {
        add_codes(e, node, element.text, channels);
    }
}

void crumb_emit_conv_plain(crumb_emit *e) {
    const crumb_packed_node *node = &e->g->packed->node[e->stage->root];
    const crumb_codegen_value *x = &e->g->value[crumb_codegen_input(e->g, e->stage->root, 0)];
    bool real = e->stage->sum.form == CRUMB_CODEGEN_REAL;
    crumb_emit_weights(e);
    crumb_emit_clear_pool(e);
    crumb_emit_open_pixels(e);
    crumb_emit_open(e, "for (int32_t c = 0; c < %d; c++)", (int)e->stage->channels);
    crumb_emit_place(e);
    crumb_emit_line(e, real ? "float sum = 0.0f;" : "int32_t v = 0;");
    crumb_expression top = crumb_emit_position(e, "row", node->stride, node->padding);
    crumb_expression left = crumb_emit_position(e, "column", node->stride, node->padding);
    bool rows = crumb_emit_open_tap(e, "kh", "h", node->kernel_height, top.text, node->dilation);
    bool columns = crumb_emit_open_tap(e, "kw", "w", node->kernel_width, left.text, node->dilation);
    if (node->padding > 0) {
        crumb_emit_open(e, "if (h >= 0 && h < %d && w >= 0 && w < %d)", (int)x->height, (int)x->width);
    }
    add_tap(e, node, x->channels / node->groups, real);
    for (int32_t open = rows + columns + (node->padding > 0); open > 0; open--) {
        crumb_emit_close(e);
    }
    crumb_emit_tail(e, real ? "sum" : "v");
    crumb_emit_close(e);
    crumb_emit_close_pixels(e);
}
