/* gather and constant. Places that go up by equal steps are computed, others are read from arrays. */
#include "codegen/emit.h"

/* Rows, columns or channels. */
typedef struct side {
    const int32_t *place;
    int32_t count;
    const char *index; /* of the loop */
    const char *ending;
    int32_t step;
    bool none, even; /* some are -1; place[i] = place[0] + i * step */
} side;

static side side_of(const int32_t *place, int32_t count, const char *index, const char *ending) {
    side s = {.place = place, .count = count, .index = index, .ending = ending, .even = true};
    s.step = count > 1 ? place[1] - place[0] : 0;
    for (int32_t i = 0; i < count; i++) {
        s.none = s.none || place[i] < 0;
        s.even = s.even && place[i] == place[0] + (int64_t)i * s.step;
    }
    s.even = s.even && !s.none;
    return s;
}

/* A single pixel has neither row nor column. */
static crumb_expression place_of(crumb_emit *e, const side *s) {
    if (s->even && (s->count == 1 || s->step == 0)) {
        return crumb_expression_of("%d", (int)s->place[0]);
    }
    if (s->even && s->step > 0) {
        crumb_expression product =
            s->step == 1 ? crumb_expression_of("%s", s->index) : crumb_expression_of("%s * %d", s->index, (int)s->step);
        return s->place[0] == 0 ? product : crumb_expression_of("%s + %d", product.text, (int)s->place[0]);
    }
    const char *name = e->stage->name;
    crumb_emit_array_open(e, name, s->ending, -32, s->count);
    for (int32_t i = 0; i < s->count; i++) {
        crumb_emit_element(e, -32, s->place[i], i);
    }
    crumb_emit_array_close(e);
    return s->count == 1 ? crumb_expression_of("%s_%s[0]", name, s->ending)
                         : crumb_expression_of("%s_%s[%s]", name, s->ending, s->index);
}

static crumb_expression sum_of(const side *s, const char *const *names) {
    crumb_expression all = {""};
    for (int k = 0; k < 3; k++) {
        bool nothing = s[k].even && s[k].step == 0 && s[k].place[0] == 0;
        if (!nothing) {
            all =
                all.text[0] == '\0' ? crumb_expression_of("%s", names[k]) : crumb_expression_of("%s + %s", all.text, names[k]);
        }
    }
    return all.text[0] == '\0' ? crumb_expression_of("0") : all;
}

static crumb_expression condition_of(const side *s, const char *const *names) {
    crumb_expression all = {""};
    for (int k = 0; k < 3; k++) {
        if (s[k].none) {
            all = all.text[0] == '\0' ? crumb_expression_of("%s >= 0", names[k])
                                      : crumb_expression_of("%s && %s >= 0", all.text, names[k]);
        }
    }
    return all;
}

void crumb_emit_gather(crumb_emit *e) {
    static const char *const names[] = {"from_row", "from_column", "from_channel"};
    const crumb_packed_node *node = &e->g->packed->node[e->stage->root];
    int32_t value = crumb_codegen_input(e->g, e->stage->root, 0);
    const crumb_codegen_value *x = &e->g->value[value];
    crumb_packed_places at = crumb_packed_places_of(e->g->packed, node);
    const side sides[] = {side_of(at.row, node->made_height, "row", "rows"),
                          side_of(at.column, node->made_width, "column", "columns"),
                          side_of(at.channel, e->stage->channels, "c", "channels")};
    crumb_emit_open_elements(e);
    for (int k = 0; k < 3; k++) {
        bool nothing = sides[k].even && sides[k].step == 0 && sides[k].place[0] == 0;
        if (!nothing) {
            crumb_emit_line(e, "const int32_t %s = %s;", names[k], place_of(e, &sides[k]).text);
        }
    }
    crumb_emit_line(e, "const int32_t from = %s;", sum_of(sides, names).text);
    crumb_expression none = condition_of(sides, names), channel = crumb_expression_of("from %% %d", (int)x->channels);
    crumb_expression read = crumb_emit_read(e, value, "from", channel.text);
    if (none.text[0] == '\0') {
        crumb_emit_tail(e, read.text);
    } else {
        bool codes = crumb_codegen_is_codes(x);
        crumb_expression lo =
            codes ? crumb_expression_of("%d", (int)(x->multiply * (int32_t)node->lo + x->offset)) : crumb_emit_real(node->lo);
        crumb_emit_line(e, "%s u = %s;", codes ? "int32_t" : "float", lo.text);
        crumb_emit_open(e, "if (%s)", none.text);
        crumb_emit_line(e, "u = %s;", read.text);
        crumb_emit_close(e);
        crumb_emit_tail(e, "u");
    }
    crumb_emit_close_elements(e);
}

void crumb_emit_constant(crumb_emit *e) {
    const crumb_packed_node *node = &e->g->packed->node[e->stage->root];
    int32_t elements = e->g->packed->tensor[node->extra].columns;
    bool flat = e->stage->height * e->stage->width == 1;
    crumb_emit_reals(e, e->stage->name, "elements", crumb_packed_floats(e->g->packed, node->extra), elements);
    crumb_emit_open_elements(e);
    crumb_expression at = flat ? crumb_expression_of("%s_elements[c]", e->stage->name)
                               : crumb_expression_of("%s_elements[(row * %d + column) * %d + c]", e->stage->name,
                                                     (int)e->stage->width, (int)e->stage->channels);
    crumb_emit_tail(e, at.text);
    crumb_emit_close_elements(e);
}
