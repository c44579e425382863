/* Convolutions on codes as sums over windows: the window's indices are gathered once, in the order of a row of weights, and
 * each output channel is a sum of products of two arrays of cells (emit_dot.c). */
#include "codegen/emit.h"

typedef struct conv {
    const crumb_packed_node *node;
    const crumb_codegen_value *x;
    const crumb_codegen_sum *sum;
    int32_t unit;     /* indices that are copied at a time: 4, cells, or 1 */
    int32_t channels; /* of a group, in units */
    int32_t input;    /* value */
} conv;

static conv conv_of(const crumb_emit *e) {
    const crumb_packed_node *node = &e->g->packed->node[e->stage->root];
    conv c = {.node = node, .sum = &e->stage->sum, .input = crumb_codegen_input(e->g, e->stage->root, 0)};
    c.x = &e->g->value[c.input];
    c.unit = c.sum->whole ? 4 : 1;
    c.channels = c.x->channels / node->groups / c.unit;
    return c;
}

/* ---- The window. */

bool crumb_emit_open_tap(crumb_emit *e, const char *count, const char *at, int32_t kernel, const char *position,
                         int32_t dilation) {
    if (kernel == 1) {
        crumb_emit_line(e, "const int32_t %s = %s;", at, position);
        return false;
    }
    crumb_emit_open(e, "for (int32_t %s = 0; %s < %d; %s++)", count, count, (int)kernel, count);
    crumb_emit_line(e, dilation == 1 ? "const int32_t %s = %s + %s;" : "const int32_t %s = %s + %s * %d;", at, position, count,
                    (int)dilation);
    return true;
}

static void print_from(crumb_emit *e, const conv *c) {
    crumb_expression group = {""};
    if (c->node->groups > 1) {
        group = crumb_expression_of(" + group * %d", (int)c->channels);
    }
    crumb_expression at =
        crumb_expression_of("(h * %d + w) * %d%s", (int)c->x->width, (int)(c->x->channels / c->unit), group.text);
    if (c->x->where == CRUMB_CODEGEN_TABLE) {
        crumb_emit_line(e, "const uint8_t *const from = pixels + %s;", at.text);
    } else if (c->sum->whole) {
        crumb_emit_line(e, "const cell *const from = arena + %d + %s;", (int)c->x->cell, at.text);
    } else {
        crumb_emit_line(e, "const uint8_t *const from = (const uint8_t *)(arena + %d) + %s;", (int)c->x->cell, at.text);
    }
}

static void copy(crumb_emit *e, const conv *c, int32_t count) {
    print_from(e, c);
    crumb_emit_open(e, "for (int32_t k = 0; k < %d; k++)", (int)count);
    if (c->x->where != CRUMB_CODEGEN_TABLE) {
        crumb_emit_line(e, "*to++ = from[k];");
    } else {
        const char *name = c->input > 0 ? e->g->node[c->input - 1].name : "pixel";
        crumb_expression channel = crumb_expression_of(c->node->groups > 1 ? "(group * %d + k)" : "k", (int)c->channels);
        crumb_expression table = crumb_expression_of(c->x->tables > 1 ? "256 * %s + " : "%.0s", channel.text);
        crumb_emit_line(e, "*to++ = %s_table[%sfrom[k]];", name, table.text);
    }
    crumb_emit_close(e);
}

static void fill(crumb_emit *e, const conv *c) {
    crumb_emit_open(e, "for (int32_t k = 0; k < %d; k++)", (int)c->channels);
    if (c->sum->whole) {
        crumb_emit_line(e, "to++->word = 0x%08xu;", 0x01010101u * (unsigned)c->sum->outside);
    } else {
        crumb_emit_line(e, "*to++ = %d;", (int)c->sum->outside);
    }
    crumb_emit_close(e);
}

/* Rows of windows that lie inside are runs of pixels. */
static bool is_run(const conv *c) {
    bool table = c->x->where == CRUMB_CODEGEN_TABLE && c->x->tables > 1;
    return c->node->padding == 0 && c->node->dilation == 1 && c->node->groups == 1 && !table;
}

static void gather(crumb_emit *e, const conv *c) {
    const crumb_packed_node *node = c->node;
    crumb_expression top = crumb_emit_position(e, "row", node->stride, node->padding);
    crumb_expression left = crumb_emit_position(e, "column", node->stride, node->padding);
    int32_t width = is_run(c) ? 1 : node->kernel_width;
    crumb_emit_line(e, c->sum->whole ? "cell *to = window;" : "uint8_t *to = (uint8_t *)window;");
    bool rows = crumb_emit_open_tap(e, "kh", "h", node->kernel_height, top.text, node->dilation);
    bool columns = crumb_emit_open_tap(e, "kw", "w", width, left.text, node->dilation);
    if (node->padding > 0) {
        crumb_emit_open(e, "if (h >= 0 && h < %d && w >= 0 && w < %d)", (int)c->x->height, (int)c->x->width);
    }
    copy(e, c, is_run(c) ? node->kernel_width * c->channels : c->channels);
    if (node->padding > 0) {
        crumb_emit_close(e);
        crumb_emit_open(e, "else");
        fill(e, c);
        crumb_emit_close(e);
    }
    for (int32_t open = rows + columns; open > 0; open--) {
        crumb_emit_close(e);
    }
}

/* What follows the last column in the window adds nothing to any sum. */
static void clear_end(crumb_emit *e, const conv *c) {
    if (c->sum->columns < 4 * c->sum->cells) {
        crumb_emit_open(e, "for (int32_t k = %d; k < %d; k++)", (int)c->sum->columns, (int)(4 * c->sum->cells));
        crumb_emit_line(e, "((uint8_t *)window)[k] = 0;");
        crumb_emit_close(e);
    }
}

void crumb_emit_clear_pool(crumb_emit *e) {
    if (e->stage->pool >= 0) {
        int64_t count = crumb_codegen_elements(&e->g->value[e->g->packed->node[e->stage->pool].output]);
        crumb_emit_open(e, "for (int32_t j = 0; j < %lld; j++)", (long long)count);
        crumb_emit_line(e, "y[j] = 0;");
        crumb_emit_close(e);
    }
}

static void print_direct(crumb_emit *e, const conv *c) {
    bool pixel = c->x->height * c->x->width > 1 && c->node->kernel_height == 1 && c->node->kernel_width == 1;
    if (!pixel) {
        crumb_emit_line(e, "const cell *const window = arena + %d;", (int)c->x->cell);
        return;
    }
    crumb_expression row = crumb_emit_position(e, "row", c->node->stride, 0);
    crumb_expression column = crumb_emit_position(e, "column", c->node->stride, 0);
    crumb_emit_line(e, "const cell *const window = arena + %d + (%s * %d + %s) * %d;", (int)c->x->cell, row.text,
                    (int)c->x->width, column.text, (int)(c->x->channels / 4));
}

/* ---- Channels. */

static void print_total(crumb_emit *e, const conv *c) {
    bool small = c->sum->x_bits <= 6;
    e->uses |= small ? CRUMB_EMIT_TOTAL_SMALL : CRUMB_EMIT_TOTAL;
    crumb_emit_line(e, "const int32_t total = %s(window, %d);", small ? "total_small" : "total_bytes",
                    (int)(c->sum->blocks * c->sum->block / 4));
}

static void print_sum(crumb_emit *e, const conv *c) {
    const crumb_packed_codes *w = &e->g->packed->tensor[c->node->weight].codes;
    int32_t words = c->sum->blocks * crumb_emit_block_words(c->sum);
    crumb_expression dot =
        crumb_expression_of("dot%dx%d(window, %s_weight + %d * c, %d)", (int)c->sum->x_bits, (int)c->sum->w_bits,
                            e->g->node[e->stage->root].name, (int)words, (int)c->sum->blocks);
    crumb_expression offset = w->offset == 0   ? crumb_expression_of("%s", "")
                              : w->offset == 1 ? crumb_expression_of(" + total")
                              : w->offset < 0  ? crumb_expression_of(" - %d * total", (int)-w->offset)
                                               : crumb_expression_of(" + %d * total", (int)w->offset);
    crumb_emit_line(e, w->multiply == 1 ? "const int32_t v = %s%s;" : "const int32_t v = 2 * %s%s;", dot.text, offset.text);
}

static void each_channel(crumb_emit *e, const conv *c) {
    int32_t channels = e->stage->channels / c->node->groups;
    if (c->node->groups == 1) {
        crumb_emit_open(e, "for (int32_t c = 0; c < %d; c++)", (int)channels);
    } else {
        crumb_emit_open(e, "for (int32_t k = 0; k < %d; k++)", (int)channels);
        crumb_emit_line(e, "const int32_t c = group * %d + k;", (int)channels);
    }
    print_sum(e, c);
    crumb_emit_place(e);
    crumb_emit_tail(e, "v");
    crumb_emit_close(e);
}

void crumb_emit_conv(crumb_emit *e) {
    conv c = conv_of(e);
    bool total = e->g->packed->tensor[c.node->weight].codes.offset != 0;
    crumb_emit_weights(e);
    crumb_emit_dot(e, c.sum);
    if (!c.sum->direct) {
        crumb_emit_line(e, "cell *const window = arena + %d;", (int)c.sum->cell);
        clear_end(e, &c);
    }
    crumb_emit_clear_pool(e);
    crumb_emit_open_pixels(e);
    bool groups = crumb_emit_loop(e, "group", c.node->groups);
    if (c.sum->direct) {
        print_direct(e, &c);
    } else {
        gather(e, &c);
    }
    if (total) {
        print_total(e, &c);
    }
    each_channel(e, &c);
    if (groups) {
        crumb_emit_close(e);
    }
    crumb_emit_close_pixels(e);
}
