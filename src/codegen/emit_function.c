/* Functions of a pixel: the operations of pack/functions.c in their order. A product that is added to something is the helper's
 * `product`, so that no compiler fuses the two; others are exact or rounded on their own anyway. */
#include "codegen/emit.h"

#include <stdio.h>

static const crumb_packed_node *root_of(const crumb_emit *e) {
    return &e->g->packed->node[e->stage->root];
}

static crumb_expression element(crumb_emit *e, int32_t k, const char *c) {
    return crumb_emit_input_at(e, k, "row", "column", c);
}

static crumb_expression exact(double value) {
    crumb_expression text;
    snprintf(text.text, sizeof(text.text), "%.17g", value);
    return text;
}

static void emit_single(crumb_emit *e, const char *name) {
    crumb_emit_open_elements(e);
    crumb_emit_tail(e, crumb_expression_of("%s(%s)", name, element(e, 0, "c").text).text);
    crumb_emit_close_elements(e);
}

static void emit_quotient(crumb_emit *e) {
    crumb_emit_open_elements(e);
    crumb_expression a = element(e, 0, "c"), b = element(e, 1, "c");
    crumb_emit_tail(e, crumb_expression_of("(%s / %s)", a.text, b.text).text);
    crumb_emit_close_elements(e);
}

static void emit_softmax(crumb_emit *e, bool logarithm) {
    int32_t channels = e->stage->channels;
    e->uses |= CRUMB_EMIT_EXPONENTIAL | (logarithm ? CRUMB_EMIT_LOGARITHM : 0);
    crumb_emit_open_pixels(e);
    crumb_emit_line(e, "double largest = (double)%s, sum = 0.0;", element(e, 0, "0").text);
    crumb_emit_open(e, "for (int32_t k = 1; k < %d; k++)", (int)channels);
    crumb_emit_line(e, "const double u = (double)%s;", element(e, 0, "k").text);
    crumb_emit_line(e, "largest = u > largest ? u : largest;");
    crumb_emit_close(e);
    crumb_emit_open(e, "for (int32_t k = 0; k < %d; k++)", (int)channels);
    crumb_emit_line(e, "sum += exponential((double)%s - largest);", element(e, 0, "k").text);
    crumb_emit_close(e);
    if (logarithm) {
        crumb_emit_line(e, "const double log_sum = logarithm(sum);");
    }
    crumb_emit_open(e, "for (int32_t c = 0; c < %d; c++)", (int)channels);
    crumb_emit_place(e);
    crumb_expression x = element(e, 0, "c");
    crumb_emit_tail(e, (logarithm ? crumb_expression_of("(float)(((double)%s - largest) - log_sum)", x.text)
                                  : crumb_expression_of("(float)(exponential((double)%s - largest) / sum)", x.text))
                           .text);
    crumb_emit_close(e);
    crumb_emit_close_pixels(e);
}

static void emit_lrn(crumb_emit *e) {
    const crumb_packed_node *node = root_of(e);
    int32_t size = node->kernel_height, channels = e->stage->channels;
    e->uses |= CRUMB_EMIT_EXPONENTIAL | CRUMB_EMIT_LOGARITHM;
    crumb_emit_open_elements(e);
    crumb_emit_line(e, "const int32_t first = c > %d ? c - %d : 0;", (int)((size - 1) / 2), (int)((size - 1) / 2));
    crumb_emit_line(e, "const int32_t last = c + %d < %d ? c + %d : %d;", (int)(size / 2), (int)channels, (int)(size / 2),
                    (int)(channels - 1));
    crumb_emit_line(e, "double sum = 0.0;");
    crumb_emit_open(e, "for (int32_t k = first; k <= last; k++)");
    crumb_emit_line(e, "const double u = (double)%s;", element(e, 0, "k").text);
    crumb_emit_line(e, "sum += u * u;");
    crumb_emit_close(e);
    crumb_emit_line(e, "const double base = %s + product(%s, sum);", exact((double)node->hi).text,
                    exact((double)node->inverse / (double)size).text);
    crumb_expression x = element(e, 0, "c"), beta = exact((double)node->lo);
    crumb_emit_tail(e, crumb_expression_of("(float)((double)%s * exponential(-%s * logarithm(base)))", x.text, beta.text).text);
    crumb_emit_close_elements(e);
}

void crumb_emit_function(crumb_emit *e) {
    switch (root_of(e)->op) {
    case CRUMB_PACKED_SIGMOID:
        e->uses |= CRUMB_EMIT_SIGMOID;
        emit_single(e, "sigmoid");
        break;
    case CRUMB_PACKED_TANH:
        e->uses |= CRUMB_EMIT_TANH;
        emit_single(e, "hyperbolic_tangent");
        break;
    case CRUMB_PACKED_SOFTMAX:
    case CRUMB_PACKED_LOG_SOFTMAX:
        emit_softmax(e, root_of(e)->op == CRUMB_PACKED_LOG_SOFTMAX);
        break;
    case CRUMB_PACKED_LRN:
        emit_lrn(e);
        break;
    default:
        emit_quotient(e);
        break;
    }
}
