/* A stage as a function: the loops of its root, and the tail in them. Convolutions are in emit_conv.c and emit_conv_plain.c. */
#include "codegen/emit.h"

/* ---- Places. */

static bool is_flat(const crumb_emit *e) {
    return e->stage->height * e->stage->width == 1;
}

crumb_expression crumb_emit_position(const crumb_emit *e, const char *name, int32_t stride, int32_t padding) {
    if (is_flat(e)) {
        return crumb_expression_of("%d", (int)-padding);
    }
    crumb_expression start = stride == 1 ? crumb_expression_of("%s", name) : crumb_expression_of("%s * %d", name, (int)stride);
    return padding == 0 ? start : crumb_expression_of("%s - %d", start.text, (int)padding);
}

void crumb_emit_open_pixels(crumb_emit *e) {
    const crumb_codegen_stage *stage = e->stage;
    int32_t rows = stage->height, columns = stage->width;
    if (stage->pool >= 0) { /* what no window of the pool reaches is not computed */
        const crumb_packed_node *pool = &e->g->packed->node[stage->pool];
        rows = e->g->value[pool->output].height * pool->stride;
        columns = e->g->value[pool->output].width * pool->stride;
    }
    if (!is_flat(e)) {
        crumb_emit_open(e, "for (int32_t row = 0; row < %d; row++)", (int)rows);
        crumb_emit_open(e, "for (int32_t column = 0; column < %d; column++)", (int)columns);
    }
}

void crumb_emit_close_pixels(crumb_emit *e) {
    if (!is_flat(e)) {
        crumb_emit_close(e);
        crumb_emit_close(e);
    }
}

void crumb_emit_place(crumb_emit *e) {
    const crumb_codegen_stage *stage = e->stage;
    if (crumb_emit_needs_place(e)) {
        crumb_emit_line(e, is_flat(e) ? "const int32_t i = c;" : "const int32_t i = (row * %d + column) * %d + c;",
                        (int)stage->width, (int)stage->channels);
    }
    if (stage->pool >= 0) {
        const crumb_packed_node *pool = &e->g->packed->node[stage->pool];
        crumb_emit_line(e, is_flat(e) ? "const int32_t j = c;" : "const int32_t j = (row / %d * %d + column / %d) * %d + c;",
                        (int)pool->stride, (int)e->g->value[pool->output].width, (int)pool->stride, (int)stage->channels);
    }
}

void crumb_emit_open_elements(crumb_emit *e) {
    crumb_emit_open_pixels(e);
    crumb_emit_open(e, "for (int32_t c = 0; c < %d; c++)", (int)e->stage->channels);
    crumb_emit_place(e);
}

void crumb_emit_close_elements(crumb_emit *e) {
    crumb_emit_close(e);
    crumb_emit_close_pixels(e);
}

static const crumb_packed_node *root_of(const crumb_emit *e) {
    return &e->g->packed->node[e->stage->root];
}

static const crumb_codegen_value *input_of(const crumb_emit *e, int32_t k) {
    return &e->g->value[crumb_codegen_input(e->g, e->stage->root, k)];
}

crumb_expression crumb_emit_input_at(crumb_emit *e, int32_t k, const char *row, const char *column, const char *c) {
    const crumb_codegen_value *x = input_of(e, k);
    crumb_expression at = crumb_expression_of("(%s * %d + %s) * %d + %s", row, (int)x->width, column, (int)x->channels, c);
    return crumb_emit_read(e, crumb_codegen_input(e->g, e->stage->root, k), x->height * x->width == 1 ? c : at.text, c);
}

static const char *type_of(crumb_emit *e, int32_t k) {
    return crumb_codegen_is_codes(input_of(e, k)) ? "int32_t" : "float";
}

/* ---- Pools. */

/* "const int32_t top = ..., bottom = ...;": the window's part inside the image. Returns whether some window reaches out. */
static bool print_side(crumb_emit *e, const char *from, const char *to, const char *name, int32_t count, int32_t size) {
    const crumb_packed_node *node = root_of(e);
    bool across = name[0] == 'c';
    int32_t kernel = across ? node->kernel_width : node->kernel_height;
    int32_t stride = across ? crumb_packed_stride_width(node) : node->stride;
    crumb_expression start = crumb_emit_position(e, name, stride, node->padding);
    crumb_expression end = crumb_emit_position(e, name, stride, node->padding - kernel);
    if (kernel > node->padding) { /* not "row - -2" */
        crumb_expression at = crumb_emit_position(e, name, stride, 0);
        end = crumb_expression_of("%s + %d", at.text, (int)(kernel - node->padding));
    }
    bool beyond = (int64_t)(count - 1) * stride - node->padding + kernel > size;
    crumb_emit_line(e, node->padding > 0 ? "const int32_t %s = %s > 0 ? %s : 0;" : "const int32_t %s = %s;", from, start.text,
                    start.text);
    if (beyond) {
        crumb_emit_line(e, "const int32_t %s = %s < %d ? %s : %d;", to, end.text, (int)size, end.text, (int)size);
    } else {
        crumb_emit_line(e, "const int32_t %s = %s;", to, end.text);
    }
    return beyond || node->padding > 0;
}

static bool open_window(crumb_emit *e) {
    bool rows = print_side(e, "top", "bottom", "row", e->stage->height, input_of(e, 0)->height);
    bool columns = print_side(e, "left", "right", "column", e->stage->width, input_of(e, 0)->width);
    return rows || columns;
}

static void emit_max_pool(crumb_emit *e) {
    crumb_emit_open_elements(e);
    open_window(e);
    crumb_emit_line(e, "%s best = %s;", type_of(e, 0), crumb_emit_input_at(e, 0, "top", "left", "c").text);
    crumb_emit_open(e, "for (int32_t h = top; h < bottom; h++)");
    crumb_emit_open(e, "for (int32_t w = left; w < right; w++)");
    crumb_emit_line(e, "const %s u = %s;", type_of(e, 0), crumb_emit_input_at(e, 0, "h", "w", "c").text);
    crumb_emit_line(e, "best = u > best ? u : best;");
    crumb_emit_close(e);
    crumb_emit_close(e);
    crumb_emit_tail(e, "best");
    crumb_emit_close_elements(e);
}

static void emit_average_pool(crumb_emit *e) {
    const crumb_packed_node *node = root_of(e);
    crumb_emit_open_elements(e);
    bool varies = open_window(e) && node->count_inside;
    crumb_emit_line(e, "float sum = 0.0f;");
    crumb_emit_open(e, "for (int32_t h = top; h < bottom; h++)");
    crumb_emit_open(e, "for (int32_t w = left; w < right; w++)");
    crumb_emit_line(e, "sum += %s;", crumb_emit_input_at(e, 0, "h", "w", "c").text);
    crumb_emit_close(e);
    crumb_emit_close(e);
    crumb_expression divided = crumb_expression_of("times(sum, 1.0f / (float)((bottom - top) * (right - left)))");
    if (!varies) {
        float inverse = 1.0f / (float)(node->kernel_height * node->kernel_width);
        divided = crumb_expression_of("times(sum, %s)", crumb_emit_real(inverse).text);
    }
    e->uses |= CRUMB_EMIT_TIMES;
    crumb_emit_tail(e, divided.text);
    crumb_emit_close_elements(e);
}

static void emit_global_average_pool(crumb_emit *e) {
    const crumb_codegen_value *x = input_of(e, 0);
    int32_t pixels = x->height * x->width;
    crumb_emit_open_elements(e);
    crumb_emit_line(e, "float sum = 0.0f;");
    crumb_emit_open(e, "for (int32_t k = 0; k < %d; k++)", (int)pixels);
    crumb_expression at = crumb_expression_of("k * %d + c", (int)x->channels);
    crumb_emit_line(e, "sum += %s;", crumb_emit_read(e, crumb_codegen_input(e->g, e->stage->root, 0), at.text, "c").text);
    crumb_emit_close(e);
    e->uses |= CRUMB_EMIT_TIMES;
    crumb_emit_tail(e, crumb_expression_of("times(sum, %s)", crumb_emit_real(1.0f / (float)pixels).text).text);
    crumb_emit_close_elements(e);
}

/* ---- Moving elements. */

static void emit_concat(crumb_emit *e) {
    int32_t inputs = root_of(e)->inputs, start = 0;
    crumb_emit_open_elements(e);
    crumb_emit_line(e, "float u;");
    for (int32_t k = 0; k < inputs; k++) {
        crumb_expression c = start == 0 ? crumb_expression_of("c") : crumb_expression_of("c - %d", (int)start);
        start += input_of(e, k)->channels;
        if (k == inputs - 1) {
            crumb_emit_open(e, "%s", k > 0 ? "else" : "");
        } else {
            crumb_emit_open(e, "%sif (c < %d)", k > 0 ? "else " : "", (int)start);
        }
        crumb_emit_line(e, "u = %s;", crumb_emit_input_at(e, k, "row", "column", c.text).text);
        crumb_emit_close(e);
    }
    crumb_emit_tail(e, "u");
    crumb_emit_close_elements(e);
}

static void emit_pad(crumb_emit *e) {
    const crumb_packed_node *node = root_of(e);
    crumb_expression c = node->before == 0 ? crumb_expression_of("c") : crumb_expression_of("c - %d", (int)node->before);
    crumb_emit_open_elements(e);
    crumb_emit_line(e, "float u = 0.0f;");
    crumb_emit_open(e, "if (c >= %d && c < %d)", (int)node->before, (int)(node->before + input_of(e, 0)->channels));
    crumb_emit_line(e, "u = %s;", crumb_emit_input_at(e, 0, "row", "column", c.text).text);
    crumb_emit_close(e);
    crumb_emit_tail(e, "u");
    crumb_emit_close_elements(e);
}

static void emit_subsample(crumb_emit *e) {
    crumb_expression row = crumb_emit_position(e, "row", root_of(e)->stride, 0);
    crumb_expression column = crumb_emit_position(e, "column", root_of(e)->stride, 0);
    crumb_emit_open_elements(e);
    crumb_emit_tail(e, crumb_emit_input_at(e, 0, row.text, column.text, "c").text);
    crumb_emit_close_elements(e);
}

/* The output's channel c is the input's channel c / pixels. */
static void emit_flatten(crumb_emit *e) {
    const crumb_codegen_value *x = input_of(e, 0);
    int32_t pixels = x->height * x->width, value = crumb_codegen_input(e->g, e->stage->root, 0);
    crumb_expression channel = crumb_expression_of(pixels > 1 ? "c / %d" : "c", (int)pixels);
    crumb_expression at =
        crumb_expression_of(pixels > 1 ? "c %% %d * %d + c / %d" : "c", (int)pixels, (int)x->channels, (int)pixels);
    crumb_emit_open_elements(e);
    crumb_emit_tail(e, crumb_emit_read(e, value, at.text, channel.text).text);
    crumb_emit_close_elements(e);
}

static void emit_elements(crumb_emit *e) {
    crumb_emit_open_elements(e);
    crumb_emit_tail(e, "");
    crumb_emit_close_elements(e);
}

/* ---- The function. */

static void emit_root(crumb_emit *e) {
    switch (root_of(e)->op) {
    case CRUMB_PACKED_CONV2D:
        if (e->stage->sum.form == CRUMB_CODEGEN_PLAIN || e->stage->sum.form == CRUMB_CODEGEN_REAL) {
            crumb_emit_conv_plain(e);
        } else {
            crumb_emit_conv(e);
        }
        break;
    case CRUMB_PACKED_MAX_POOL:
        emit_max_pool(e);
        break;
    case CRUMB_PACKED_AVERAGE_POOL:
        emit_average_pool(e);
        break;
    case CRUMB_PACKED_GLOBAL_AVERAGE_POOL:
        emit_global_average_pool(e);
        break;
    case CRUMB_PACKED_CONCAT:
        emit_concat(e);
        break;
    case CRUMB_PACKED_PAD:
        emit_pad(e);
        break;
    case CRUMB_PACKED_SUBSAMPLE:
        emit_subsample(e);
        break;
    case CRUMB_PACKED_FLATTEN:
        emit_flatten(e);
        break;
    case CRUMB_PACKED_GATHER:
        crumb_emit_gather(e);
        break;
    case CRUMB_PACKED_CONSTANT:
        crumb_emit_constant(e);
        break;
    default:
        crumb_emit_function(e);
        break;
    }
}

static bool reads(const crumb_emit *e, crumb_codegen_where where) {
    for (int32_t v = 0; v < e->g->packed->values; v++) {
        if (e->g->value[v].where == where && crumb_emit_reads(e, v)) {
            return true;
        }
    }
    return false;
}

/* What the function is given: declared, or in the call, as names. */
crumb_expression crumb_emit_parameters(const crumb_emit *e, bool declared) {
    bool pixels = reads(e, CRUMB_CODEGEN_TABLE), image = reads(e, CRUMB_CODEGEN_IMAGE);
    bool logits = e->g->value[e->g->logits].stage == e->s;
    const char *in = pixels ? "const uint8_t *pixels" : image ? "const float *image" : "";
    const char *in_name = pixels ? "pixels" : image ? "image" : "";
    crumb_expression made = crumb_expression_of("%s%s%s", declared ? in : in_name, (pixels || image) && logits ? ", " : "",
                                                logits ? (declared ? "float *logits" : "logits") : "");
    return made.text[0] == '\0' && declared ? crumb_expression_of("void") : made;
}

static void print_comment(crumb_emit *e) {
    crumb_text_print(&e->stages, "\n/* ");
    bool first = true;
    for (int32_t i = e->stage->first; i <= e->stage->last; i++) {
        if (e->g->node[i].stage == e->s) {
            crumb_text_print(&e->stages, "%s%s", first ? "" : ", ", crumb_packed_op_name(e->g->packed->node[i].op));
            first = false;
        }
    }
    crumb_text_print(&e->stages, " */\n");
}

void crumb_emit_stage(crumb_emit *e, int32_t s) {
    e->s = s;
    e->stage = &e->g->stage[s];
    print_comment(e);
    crumb_emit_open(e, "static void run_%s(%s)", e->stage->name, crumb_emit_parameters(e, true).text);
    crumb_emit_pointers(e);
    if (e->stage->root < 0) {
        emit_elements(e);
    } else {
        emit_root(e);
    }
    crumb_emit_close(e);
}
