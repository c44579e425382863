/* QuantizeLinear and DequantizeLinear. A pair of them on a computed value is one quantize node, on a constant the values it
 * stands for, which remember their codes (sites.c). */
#include "onnx/importer.h"

#include "quant/quantizer.h"

#include <inttypes.h>
#include <math.h>

typedef struct grid {
    crumb_import_steps steps;
    const float *scale;
    const int64_t *zero; /* NULL: 0 */
    int64_t count;
    int type;
} grid;

/* One for the tensor, one for each place along an axis, or one for each block of them, in a tensor like x's. */
static crumb_status read_steps(const crumb_import_node *n, grid *g) {
    crumb_shape x = n->x[0]->shape, scale = n->x[1]->shape;
    int64_t axis;
    g->steps = (crumb_import_steps){.shape = x, .axis = -1};
    g->count = crumb_shape_count(scale);
    CRUMB_TRY(crumb_import_int(n, "axis", 1, &axis));
    CRUMB_TRY(crumb_import_int(n, "block_size", 0, &g->steps.block));
    if (g->steps.block < 0) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "block_size %" PRId64, g->steps.block);
    }
    if (g->steps.block > 0 ? scale.rank != x.rank : scale.rank > 1) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "a scale of %d dimensions for %d, blocks of %" PRId64, scale.rank,
                                 x.rank, g->steps.block);
    }
    if (g->count == 1) {
        g->steps.block = 0;
        return CRUMB_OK;
    }
    CRUMB_TRY(crumb_import_axis(n, axis, x.rank, &g->steps.axis));
    bool fits = g->count == crumb_import_step_count(&g->steps);
    for (int i = 0; g->steps.block > 0 && i < x.rank; i++) {
        fits = fits && (i == g->steps.axis || scale.dim[i] == x.dim[i]);
    }
    return fits ? CRUMB_OK : crumb_import_fail(n, CRUMB_ERROR_SHAPE, "%" PRId64 " scales", g->count);
}

/* type: of the codes; 0: what zero_point has, else UINT8. */
static crumb_status read_grid(const crumb_import_node *n, int type, grid *g) {
    const crumb_onnx_array *zero = NULL;
    *g = (grid){.type = type > 0 ? type : CRUMB_ONNX_UINT8};
    CRUMB_TRY(crumb_import_reals(n, n->inputs > 1 ? n->x[1] : NULL, "scale", &g->scale));
    CRUMB_TRY(read_steps(n, g));
    CRUMB_TRY(crumb_import_check_steps(n, g->scale, g->count));
    if (n->inputs < 3 || n->x[2] == NULL) {
        return CRUMB_OK;
    }
    CRUMB_TRY(crumb_import_constant(n, n->x[2], "zero_point", &zero));
    if (zero->whole == NULL || (type > 0 && zero->type != type) || crumb_shape_count(zero->shape) != g->count) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "a zero_point unlike its scale and codes: %" PRId64 " of %s",
                                 crumb_shape_count(zero->shape), crumb_onnx_type_of(zero->type)->name);
    }
    g->zero = zero->whole;
    g->type = zero->type;
    return CRUMB_OK;
}

static int64_t zero_at(const grid *g, int64_t element) {
    return g->zero != NULL ? g->zero[crumb_import_step_of(&g->steps, element)] : 0;
}

static bool is_signed(int type) {
    return type == CRUMB_ONNX_INT8 || type == CRUMB_ONNX_INT4 || type == CRUMB_ONNX_INT2;
}

static crumb_status check_bits(const crumb_import_node *n, int type, int *bits) {
    const crumb_onnx_type *t = crumb_onnx_type_of(type);
    *bits = t != NULL && t->whole ? t->bits : 0;
    return *bits >= 2 && *bits <= 8 && type != CRUMB_ONNX_BOOL
               ? CRUMB_OK
               : crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "element type %s; supported are integers of 2, 4 and 8 bits",
                                   t != NULL ? t->name : "unknown");
}

/* ---- QuantizeLinear. */

static crumb_status quantize_constant(const crumb_import_node *n, const grid *g, int bits) {
    const float *x;
    crumb_onnx_array made;
    int64_t low = is_signed(g->type) ? -(INT64_C(1) << (bits - 1)) : 0, high = low + (INT64_C(1) << bits) - 1;
    CRUMB_TRY(crumb_import_reals(n, n->x[0], "input", &x));
    CRUMB_TRY(crumb_onnx_array_make(n->im->ctx, g->type, n->x[0]->shape, &made));
    for (int64_t i = 0; i < crumb_shape_count(made.shape); i++) {
        double code = (double)nearbyintf(x[i] / g->scale[crumb_import_step_of(&g->steps, i)]) + (double)zero_at(g, i);
        made.whole[i] = code > (double)low ? code < (double)high ? (int64_t)code : high : low; /* NaN: the lowest */
    }
    return crumb_import_set_array(n, 0, &made);
}

crumb_status crumb_import_quantize(const crumb_import_node *n) {
    int64_t given;
    int bits, y;
    grid g;
    CRUMB_TRY(crumb_import_int(n, "output_dtype", 0, &given));
    CRUMB_TRY(read_grid(n, given > 0 && given < 64 ? (int)given : 0, &g));
    CRUMB_TRY(check_bits(n, g.type, &bits));
    if (crumb_import_is_constant(n->x[0])) {
        return quantize_constant(n, &g, bits);
    }
    if (g.count != 1) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "scales along an axis of a computed value; supported is one");
    }
    crumb_import_value *x = n->x[0], *out;
    int64_t zero = zero_at(&g, 0), half = is_signed(g.type) ? INT64_C(1) << (bits - 1) : 0;
    crumb_import_codes codes = {.bits = bits, .zero = (float)(zero + half)};
    CRUMB_TRY(crumb_import_value_site(n, &codes, g.scale[0], x->at, &y));
    CRUMB_TRY(crumb_import_set(n, 0, y, x->shape, x->last));
    out = crumb_import_find(n->im, n->proto->output[0]);
    out->is_codes = true;
    out->scale = g.scale[0];
    out->zero = zero;
    return CRUMB_OK;
}

/* One limit of a Clip on codes; absent: that of the element type, which the quantize node has anyway. */
static crumb_status code_limit(const crumb_import_node *n, int k, const char *what, int64_t preset, int64_t *value) {
    const crumb_onnx_array *array;
    *value = preset;
    if (k >= n->inputs || n->x[k] == NULL) {
        return CRUMB_OK;
    }
    CRUMB_TRY(crumb_import_constant(n, n->x[k], what, &array));
    if (array->whole == NULL || crumb_shape_count(array->shape) != 1) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "input %s is not one whole number", what);
    }
    *value = array->whole[0];
    return CRUMB_OK;
}

/* The quantize node, which nothing else reads yet, gets the levels lo .. hi. */
crumb_status crumb_import_clip_codes(const crumb_import_node *n) {
    crumb_import_value *x = n->x[0], *out;
    crumb_graph *graph = n->im->graph;
    const crumb_node *node = &graph->node[graph->value[x->at].node];
    crumb_quant *site = node->params;
    float *zero = graph->value[node->input[2]].data;
    int64_t lo, hi, least = x->zero - (int64_t)zero[0], most = least + (INT64_C(1) << site->bits) - 1;
    CRUMB_TRY(code_limit(n, 1, "min", least, &lo));
    CRUMB_TRY(code_limit(n, 2, "max", most, &hi));
    if (x->uses != 1 || lo < least || hi > most || lo >= hi) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "codes from %" PRId64 " to %" PRId64 "; supported are two or more of the element type, "
                                 "read by one DequantizeLinear",
                                 lo, hi);
    }
    zero[0] = (float)(x->zero - lo);
    CRUMB_TRY(crumb_import_set_levels(n, site, hi - lo + 1));
    CRUMB_TRY(crumb_import_set(n, 0, x->at, x->shape, x->last));
    out = crumb_import_find(n->im, n->proto->output[0]);
    out->is_codes = true;
    out->scale = x->scale;
    out->zero = x->zero;
    return CRUMB_OK;
}

/* ---- DequantizeLinear. */

static crumb_status dequantize_constant(const crumb_import_node *n) {
    const crumb_onnx_array *x;
    crumb_onnx_array made;
    grid g;
    CRUMB_TRY(crumb_import_constant(n, n->x[0], "input", &x));
    CRUMB_TRY(read_grid(n, x->type, &g));
    if (x->whole == NULL) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "codes of type %s; supported are integers",
                                 crumb_onnx_type_of(x->type)->name);
    }
    CRUMB_TRY(crumb_onnx_array_make(n->im->ctx, CRUMB_ONNX_FLOAT, x->shape, &made));
    for (int64_t i = 0; i < crumb_shape_count(x->shape); i++) {
        made.real[i] = (float)(x->whole[i] - zero_at(&g, i));
    }
    return crumb_import_set_codes(n, NULL, &made, crumb_onnx_type_of(x->type)->bits <= 8, &g.steps, g.scale);
}

crumb_status crumb_import_dequantize(const crumb_import_node *n) {
    crumb_import_value *x = n->x[0];
    grid g;
    if (crumb_import_is_constant(x)) {
        return dequantize_constant(n);
    }
    CRUMB_TRY(read_grid(n, 0, &g));
    if (!x->is_codes || g.count != 1 || g.scale[0] != x->scale || zero_at(&g, 0) != x->zero) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "scale or zero_point differ from those of the QuantizeLinear before it");
    }
    return crumb_import_set(n, 0, x->at, x->shape, x->last);
}
