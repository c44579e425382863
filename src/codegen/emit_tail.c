/* Elements: where they are read, what the tail of a stage makes of them, where they are stored. */
#include "codegen/emit.h"

static const char *name_of(const crumb_emit *e, int32_t value) {
    return value > 0 ? e->g->node[value - 1].name : "pixel";
}

/* ---- Memory. */

static int32_t stored_values(const crumb_emit *e) {
    int32_t count = 0;
    for (int32_t v = 1; v < e->g->packed->values; v++) {
        count += e->g->value[v].stage == e->s && e->g->value[v].where == CRUMB_CODEGEN_ARENA;
    }
    return count;
}

static bool is_root_input(const crumb_emit *e, int32_t value) {
    for (int32_t k = 0; e->stage->root >= 0 && k < e->g->packed->node[e->stage->root].inputs; k++) {
        if (crumb_codegen_input(e->g, e->stage->root, k) == value) {
            return true;
        }
    }
    return false;
}

/* A value that the stage reads or makes, as a local pointer's name. */
static crumb_expression pointer_of(const crumb_emit *e, int32_t value) {
    bool made = e->g->value[value].stage == e->s;
    bool only = made ? stored_values(e) == 1 : is_root_input(e, value) && e->g->packed->node[e->stage->root].inputs == 1;
    return only ? crumb_expression_of("%s", made ? "y" : "x") : crumb_expression_of("%s%d", made ? "y" : "x", (int)value);
}

crumb_expression crumb_emit_read(crumb_emit *e, int32_t value, const char *at, const char *c) {
    const crumb_codegen_value *v = &e->g->value[value];
    switch (v->where) {
    case CRUMB_CODEGEN_TABLE:
        return v->tables == 1 ? crumb_expression_of("%s_table[pixels[%s]]", name_of(e, value), at)
                              : crumb_expression_of("%s_table[256 * (%s) + pixels[%s]]", name_of(e, value), c, at);
    case CRUMB_CODEGEN_IMAGE:
        return crumb_expression_of("image[%s]", at);
    case CRUMB_CODEGEN_LOGITS:
        return crumb_expression_of("logits[%s]", at);
    default:
        return crumb_expression_of("%s[%s]%s", pointer_of(e, value).text, at, crumb_codegen_is_codes(v) ? "" : ".real");
    }
}

/* True if a statement of the tail reads the value from memory. */
static bool tail_reads(const crumb_emit *e, int32_t value) {
    for (int32_t i = e->stage->first; i <= e->stage->last; i++) {
        const crumb_codegen_node *node = &e->g->node[i];
        bool reads = node->stage == e->s && node->computed && node->threshold == NULL && i != e->stage->root &&
                     i != e->stage->pool && e->g->value[value].stage != e->s;
        for (int32_t k = 0; reads && k < e->g->packed->node[i].inputs; k++) {
            if (crumb_codegen_input(e->g, i, k) == value) {
                return true;
            }
        }
    }
    return false;
}

bool crumb_emit_reads(const crumb_emit *e, int32_t value) {
    return is_root_input(e, value) || tail_reads(e, value);
}

void crumb_emit_pointers(crumb_emit *e) {
    bool gathers = e->stage->sum.form != CRUMB_CODEGEN_NO_SUM && e->stage->sum.form != CRUMB_CODEGEN_REAL &&
                   e->stage->sum.form != CRUMB_CODEGEN_PLAIN;
    for (int32_t v = 1; v < e->g->packed->values; v++) {
        const crumb_codegen_value *value = &e->g->value[v];
        bool made = value->stage == e->s;
        if (value->where != CRUMB_CODEGEN_ARENA || !(made || tail_reads(e, v) || (is_root_input(e, v) && !gathers))) {
            continue;
        }
        const char *constant = made ? "" : "const ";
        crumb_expression pointer = pointer_of(e, v);
        if (crumb_codegen_is_codes(value)) {
            crumb_emit_line(e, "%suint8_t *const %s = (%suint8_t *)(arena + %d);", constant, pointer.text, constant,
                            (int)value->cell);
        } else {
            crumb_emit_line(e, "%scell *const %s = arena + %d;", constant, pointer.text, (int)value->cell);
        }
    }
}

bool crumb_emit_needs_place(const crumb_emit *e) {
    for (int32_t v = 0; v < e->g->packed->values; v++) {
        bool stored = e->stage->pool < 0 && e->g->value[v].stage == e->s && e->g->value[v].where != CRUMB_CODEGEN_NOWHERE;
        if (stored || tail_reads(e, v)) {
            return true;
        }
    }
    return false;
}

/* ---- Computing. */

static crumb_expression input_of(crumb_emit *e, int32_t node, int32_t k) {
    int32_t value = crumb_codegen_input(e->g, node, k);
    return e->g->value[value].stage == e->s ? crumb_expression_of("%s", name_of(e, value))
                                            : crumb_emit_read(e, value, "i", "c");
}

/* Thresholds of all channels in one array, each channel's behind its mask for the complement if any channel falls. */
static void print_thresholds(crumb_emit *e, int32_t i, int32_t thresholds, bool wide) {
    const crumb_codegen_node *node = &e->g->node[i];
    int32_t channels = e->stage->channels, bits = wide ? -32 : -16;
    int64_t at = 0;
    crumb_emit_array_open(e, node->name, "step", bits, (int64_t)channels * (thresholds + node->any_falls));
    for (int32_t c = 0; c < channels; c++) {
        if (node->any_falls) {
            crumb_emit_element(e, bits, node->falls[c] ? -1 : 0, at++);
        }
        for (int32_t k = 0; k < thresholds; k++) {
            crumb_emit_element(e, bits, node->threshold[(int64_t)c * thresholds + k], at++);
        }
    }
    crumb_emit_array_close(e);
}

static crumb_expression compare_integers(crumb_emit *e, int32_t i) {
    const crumb_codegen_node *node = &e->g->node[i];
    int32_t thresholds = e->g->packed->value[i + 1].codes.levels - 1, width = thresholds + node->any_falls;
    bool wide = false;
    for (int64_t k = 0; k < (int64_t)e->stage->channels * thresholds; k++) {
        wide = wide || node->threshold[k] != (int16_t)node->threshold[k];
    }
    print_thresholds(e, i, thresholds, wide);
    crumb_expression first = width == 1 ? crumb_expression_of("%s_step + c", node->name)
                                        : crumb_expression_of("%s_step + %d * c", node->name, (int)width);
    crumb_expression sum = crumb_expression_of("v");
    if (node->any_falls) {
        sum = crumb_expression_of("v ^ %s_step[%d * c]", node->name, (int)width);
        first = crumb_expression_of("%s_step + %d * c + 1", node->name, (int)width);
    }
    bool few = thresholds < CRUMB_EMIT_LEVELS;
    e->level[wide][few ? thresholds : 0] = true;
    return few ? crumb_expression_of("level%d%s(%s, %s)", (int)thresholds, wide ? "_wide" : "", sum.text, first.text)
               : crumb_expression_of("level%s(%s, %s, %d)", wide ? "_wide" : "", sum.text, first.text, (int)thresholds);
}

static crumb_expression quantize(crumb_emit *e, int32_t i) {
    const crumb_packed_node *node = &e->g->packed->node[i];
    crumb_expression x = input_of(e, i, 0);
    if (!node->thresholds_form) {
        e->uses |= CRUMB_EMIT_ROUNDED | CRUMB_EMIT_TIMES;
        return crumb_expression_of("rounded(%s, %s, %s, %s)", x.text, crumb_emit_real(node->inverse).text,
                                   crumb_emit_real(node->lo).text, crumb_emit_real(node->hi).text);
    }
    int32_t thresholds = e->g->packed->tensor[node->extra].columns;
    e->uses |= CRUMB_EMIT_PASSED;
    crumb_emit_reals(e, e->g->node[i].name, "threshold", crumb_packed_floats(e->g->packed, node->extra), thresholds);
    return crumb_expression_of("passed(%s, %s_threshold, %d)", x.text, e->g->node[i].name, (int)thresholds);
}

static crumb_expression dequantize(crumb_emit *e, int32_t i) {
    const crumb_codegen_value *x = &e->g->value[crumb_codegen_input(e->g, i, 0)];
    crumb_expression index = input_of(e, i, 0);
    crumb_expression code =
        crumb_expression_of(x->codes.multiply == 1 ? "(%s + %d)" : "(2 * %s + %d)", index.text, (int)x->codes.offset);
    if (x->codes.offset == 0) {
        code = crumb_expression_of(x->codes.multiply == 1 ? "%s" : "(2 * %s)", index.text);
    }
    e->uses |= CRUMB_EMIT_TIMES;
    return crumb_expression_of("times(%s, (float)%s)", crumb_emit_real(x->codes.scale).text, code.text);
}

static crumb_expression affine(crumb_emit *e, int32_t i) {
    const crumb_packed_node *node = &e->g->packed->node[i];
    const char *name = e->g->node[i].name;
    int32_t channels = e->g->value[node->output].channels;
    e->uses |= CRUMB_EMIT_FUSED;
    crumb_emit_reals(e, name, "multiplier", crumb_packed_floats(e->g->packed, node->multiplier), channels);
    crumb_emit_reals(e, name, "bias", crumb_packed_floats(e->g->packed, node->bias), channels);
    return crumb_expression_of("fused(%s, %s_multiplier[c], %s_bias[c])", input_of(e, i, 0).text, name, name);
}

static crumb_expression prelu(crumb_emit *e, int32_t i) {
    const crumb_packed_node *node = &e->g->packed->node[i];
    const char *name = e->g->node[i].name;
    crumb_expression x = input_of(e, i, 0);
    e->uses |= CRUMB_EMIT_TIMES;
    crumb_emit_reals(e, name, "slope", crumb_packed_floats(e->g->packed, node->extra), e->g->value[node->output].channels);
    return crumb_expression_of("%s > 0.0f ? %s : times(%s_slope[c], %s)", x.text, x.text, name, x.text);
}

static crumb_expression clip(crumb_emit *e, int32_t i) {
    const crumb_packed_node *node = &e->g->packed->node[i];
    crumb_expression x = input_of(e, i, 0), lo = crumb_emit_real(node->lo), hi = crumb_emit_real(node->hi);
    return crumb_expression_of("%s < %s ? %s : %s > %s ? %s : %s", x.text, lo.text, lo.text, x.text, hi.text, hi.text, x.text);
}

static crumb_expression pair(crumb_emit *e, int32_t i) {
    crumb_expression a = input_of(e, i, 0), b = input_of(e, i, 1);
    bool add = e->g->packed->node[i].op == CRUMB_PACKED_ADD;
    e->uses |= add ? 0 : CRUMB_EMIT_TIMES;
    return crumb_expression_of(add ? "%s + %s" : "times(%s, %s)", a.text, b.text);
}

static crumb_expression computed(crumb_emit *e, int32_t i) {
    switch (e->g->packed->node[i].op) {
    case CRUMB_PACKED_QUANTIZE:
        return e->g->node[i].threshold != NULL ? compare_integers(e, i) : quantize(e, i);
    case CRUMB_PACKED_DEQUANTIZE:
        return dequantize(e, i);
    case CRUMB_PACKED_AFFINE:
        return affine(e, i);
    case CRUMB_PACKED_RELU:
        return crumb_expression_of("%s > 0.0f ? %s : 0.0f", input_of(e, i, 0).text, input_of(e, i, 0).text);
    case CRUMB_PACKED_PRELU:
        return prelu(e, i);
    case CRUMB_PACKED_CLIP:
        return clip(e, i);
    default:
        return pair(e, i);
    }
}

static void compute(crumb_emit *e, int32_t i) {
    const crumb_codegen_value *made = &e->g->value[i + 1];
    crumb_expression expression = computed(e, i);
    if (!crumb_codegen_is_codes(made)) {
        crumb_emit_line(e, "const float %s = %s;", name_of(e, i + 1), expression.text);
    } else if (made->multiply == 1 && made->offset == 0) {
        crumb_emit_line(e, "const int32_t %s = %s;", name_of(e, i + 1), expression.text);
    } else {
        crumb_emit_line(e, "const int32_t %s = %d * %s + %d;", name_of(e, i + 1), (int)made->multiply, expression.text,
                        (int)made->offset);
    }
}

/* ---- The root's element, and all of it. */

static void compute_root(crumb_emit *e, const char *root) {
    const char *name = name_of(e, e->stage->root + 1);
    const crumb_codegen_sum *sum = &e->stage->sum;
    if (sum->form == CRUMB_CODEGEN_NO_SUM) {
        bool codes = crumb_codegen_is_codes(&e->g->value[e->stage->root + 1]);
        crumb_emit_line(e, "const %s %s = %s;", codes ? "int32_t" : "float", name, root);
        return;
    }
    crumb_expression code = crumb_expression_of("%s", root);
    if (sum->form != CRUMB_CODEGEN_REAL) {
        crumb_expression offset = sum->offsets ? crumb_expression_of(" + %s_offset[c]", name) : crumb_expression_of("%s", "");
        crumb_expression product =
            sum->multiply == 1 ? crumb_expression_of("v") : crumb_expression_of("%d * v", (int)sum->multiply);
        bool plain = sum->multiply == 1 && !sum->offsets;
        code = crumb_expression_of(plain ? "(float)%s%s" : "(float)(%s%s)", product.text, offset.text);
    }
    e->uses |= CRUMB_EMIT_FUSED;
    crumb_emit_line(e, "const float %s = fused(%s, %s_multiplier[c], %s_bias[c]);", name, code.text, name, name);
}

static void store(crumb_emit *e, int32_t value) {
    const crumb_codegen_value *v = &e->g->value[value];
    const char *name = name_of(e, value);
    if (v->where == CRUMB_CODEGEN_LOGITS) {
        crumb_emit_line(e, "logits[i] = %s;", name);
    } else if (crumb_codegen_is_codes(v)) {
        crumb_emit_line(e, "%s[i] = (uint8_t)%s;", pointer_of(e, value).text, name);
    } else {
        crumb_emit_line(e, "%s[i].real = %s;", pointer_of(e, value).text, name);
    }
}

static void store_maximum(crumb_emit *e) {
    const char *name = name_of(e, crumb_codegen_input(e->g, e->stage->pool, 0));
    crumb_emit_open(e, "if (%s > y[j])", name);
    crumb_emit_line(e, "y[j] = (uint8_t)%s;", name);
    crumb_emit_close(e);
}

void crumb_emit_tail(crumb_emit *e, const char *root) {
    const crumb_codegen *g = e->g;
    if (e->stage->root >= 0 && g->node[e->stage->root].computed) {
        compute_root(e, root);
    }
    for (int32_t i = e->stage->first; i <= e->stage->last; i++) {
        if (g->node[i].stage == e->s && g->node[i].computed && i != e->stage->root && i != e->stage->pool) {
            compute(e, i);
        }
    }
    for (int32_t v = 1; e->stage->pool < 0 && v < g->packed->values; v++) {
        if (g->value[v].stage == e->s && g->value[v].where != CRUMB_CODEGEN_NOWHERE) {
            store(e, v);
        }
    }
    if (e->stage->pool >= 0) {
        store_maximum(e);
    }
}
