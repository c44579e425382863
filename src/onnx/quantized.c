/* QuantizeLinear and DequantizeLinear. A pair of them on a computed value is one quantize node of the quantizer `fixed`, on a
 * constant the value it stands for; a weight that came out of DequantizeLinear gets a quantize node of its own in the layer
 * that reads it. So a quantized model is a quantized network: it packs into integer kernels, and trains on with its scales as
 * they are. */
#include "onnx/importer.h"

#include "quant/quantizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Scales and zero points along one axis; one of each: for all of the tensor. */
typedef struct grid {
    const float *scale;
    const int64_t *zero;  /* NULL: 0 */
    int64_t count, inner; /* of the axis; elements behind it */
    int axis, type;
} grid;

static crumb_status read_grid(const crumb_import_node *n, int type, grid *g) {
    crumb_shape x = n->x[0]->shape;
    int64_t axis, block;
    const crumb_onnx_array *zero = NULL;
    *g = (grid){.type = type, .inner = 1};
    CRUMB_TRY(crumb_import_int(n, "axis", 1, &axis));
    CRUMB_TRY(crumb_import_int(n, "block_size", 0, &block));
    CRUMB_TRY(crumb_import_reals(n, n->inputs > 1 ? n->x[1] : NULL, "scale", &g->scale));
    g->count = crumb_shape_count(n->x[1]->shape);
    if (n->inputs > 2 && n->x[2] != NULL) {
        CRUMB_TRY(crumb_import_constant(n, n->x[2], "zero_point", &zero));
        g->zero = zero->whole;
        g->type = zero->type;
    }
    if (block != 0 || n->x[1]->shape.rank > 1 ||
        (zero != NULL && (zero->whole == NULL || crumb_shape_count(zero->shape) != g->count))) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "blocks, or a zero_point unlike its scale; supported are a scale for the tensor "
                                 "or one along an axis");
    }
    if (g->count > 1) {
        CRUMB_TRY(crumb_import_axis(n, axis, x.rank, &g->axis));
        for (int i = g->axis + 1; i < x.rank; i++) {
            g->inner *= x.dim[i];
        }
    }
    for (int64_t i = 0; i < g->count; i++) {
        if (!(g->scale[i] > 0) || !isfinite(g->scale[i])) {
            return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "scale %g", (double)g->scale[i]);
        }
    }
    bool fits = g->count == 1 || (g->count > 1 && g->count == x.dim[g->axis]);
    return fits ? CRUMB_OK : crumb_import_fail(n, CRUMB_ERROR_SHAPE, "%" PRId64 " scales", g->count);
}

static int64_t group_of(const grid *g, int64_t element) {
    return g->count == 1 ? 0 : element / g->inner % g->count;
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

/* The zero point as `fixed` counts it: of unsigned codes for activations, of signed ones for weights. */
static float zero_of(int64_t zero, int type, int bits, bool weight) {
    int64_t half = INT64_C(1) << (bits - 1);
    return (float)(weight ? (is_signed(type) ? zero : zero - half) : is_signed(type) ? zero + half : zero);
}

static crumb_status add_state(const crumb_import_node *n, const char *site, const char *member, int64_t count,
                              const float *values, int64_t given, int *at) {
    char name[2 * CRUMB_NAME_MAX];
    snprintf(name, sizeof(name), "%s.%s", site, member);
    if (strlen(name) >= CRUMB_NAME_MAX) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "a name of %zu bytes", strlen(name));
    }
    CRUMB_TRY(crumb_graph_state(n->im->graph, name, CRUMB_SHAPE(count), 0, at));
    for (int64_t i = 0; i < count; i++) {
        n->im->graph->value[*at].data[i] = values[given == 1 ? 0 : i];
    }
    return CRUMB_OK;
}

/* A quantize node on value x of the graph. */
static crumb_status emit_site(const crumb_import_node *n, const char *site, bool weight, int bits, const float *step,
                              int64_t steps, float zero, int x, int *y) {
    crumb_quant quant = {.quantizer = &crumb_quantizer_fixed, .bits = bits, .weight = weight};
    crumb_quant_fit(&quant, n->im->graph->value[x].shape);
    int input[3] = {x};
    CRUMB_TRY(add_state(n, site, "step", weight ? quant.channels : 1, step, steps, &input[1]));
    CRUMB_TRY(add_state(n, site, "zero", 1, &zero, 1, &input[2]));
    crumb_status status = crumb_graph_node(n->im->graph, site, &crumb_op_quantize, &quant, 3, input, y);
    return status == CRUMB_OK || status == CRUMB_ERROR_MEMORY ? status : crumb_fail_in(n->im->ctx, status, "%s", n->im->path);
}

/* ---- QuantizeLinear. */

static crumb_status quantize_constant(const crumb_import_node *n, const grid *g, int bits) {
    const float *x;
    crumb_onnx_array made;
    int64_t low = is_signed(g->type) ? -(INT64_C(1) << (bits - 1)) : 0, high = low + (INT64_C(1) << bits) - 1;
    CRUMB_TRY(crumb_import_reals(n, n->x[0], "input", &x));
    CRUMB_TRY(crumb_onnx_array_make(n->im->ctx, g->type, n->x[0]->shape, &made));
    for (int64_t i = 0; i < crumb_shape_count(made.shape); i++) {
        int64_t group = group_of(g, i);
        double code = (double)nearbyintf(x[i] / g->scale[group]) + (double)(g->zero != NULL ? g->zero[group] : 0);
        made.whole[i] = code > (double)low ? code < (double)high ? (int64_t)code : high : low; /* NaN: the lowest */
    }
    return crumb_import_set_array(n, 0, &made);
}

crumb_status crumb_import_quantize(const crumb_import_node *n) {
    int64_t given;
    int bits, y;
    grid g;
    CRUMB_TRY(crumb_import_int(n, "output_dtype", 0, &given));
    CRUMB_TRY(read_grid(n, given > 0 && given < 64 ? (int)given : CRUMB_ONNX_UINT8, &g));
    CRUMB_TRY(check_bits(n, g.type, &bits));
    if (crumb_import_is_constant(n->x[0])) {
        return quantize_constant(n, &g, bits);
    }
    if (g.count != 1) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "scales along an axis of a computed value; supported is one");
    }
    crumb_import_value *x = n->x[0], *out;
    float zero = zero_of(g.zero != NULL ? g.zero[0] : 0, g.type, bits, false);
    CRUMB_TRY(emit_site(n, n->name, false, bits, g.scale, 1, zero, x->at, &y));
    CRUMB_TRY(crumb_import_set(n, 0, y, x->shape, x->last));
    out = crumb_import_find(n->im, n->proto->output[0]);
    out->is_codes = true;
    out->scale = g.scale[0];
    out->zero = g.zero != NULL ? g.zero[0] : 0;
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
    int64_t lo, hi, least = x->zero - (int64_t)zero[0], bits = 1;
    CRUMB_TRY(code_limit(n, 1, "min", least, &lo));
    CRUMB_TRY(code_limit(n, 2, "max", least + (INT64_C(1) << site->bits) - 1, &hi));
    while (bits < 9 && hi - lo + 1 > INT64_C(1) << bits) {
        bits++;
    }
    if (x->uses != 1 || lo < least || hi > least + (INT64_C(1) << site->bits) - 1 || hi - lo + 1 != INT64_C(1) << bits) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "codes from %" PRId64 " to %" PRId64 "; supported are a power of two of them, "
                                 "within the element type, read by one DequantizeLinear",
                                 lo, hi);
    }
    site->bits = (int)bits;
    zero[0] = (float)(x->zero - lo);
    CRUMB_TRY(crumb_import_set(n, 0, x->at, x->shape, x->last));
    out = crumb_import_find(n->im, n->proto->output[0]);
    out->is_codes = true;
    out->scale = x->scale;
    out->zero = x->zero;
    return CRUMB_OK;
}

/* ---- DequantizeLinear. */

/* As few bits as the codes of a weight need: exporters write low-bit weights in bytes. */
static int needed_bits(const crumb_onnx_array *codes, int bits) {
    int64_t low = 0, high = 0;
    for (int64_t i = 0; i < crumb_shape_count(codes->shape); i++) {
        low = codes->whole[i] < low ? codes->whole[i] : low;
        high = codes->whole[i] > high ? codes->whole[i] : high;
    }
    while (bits > 2 && low >= -(INT64_C(1) << (bits - 2)) && high < INT64_C(1) << (bits - 2)) {
        bits--;
    }
    return bits;
}

static crumb_status dequantize_constant(const crumb_import_node *n) {
    const crumb_onnx_array *x;
    crumb_onnx_array made;
    crumb_import_value *in = n->x[0], *out;
    grid g;
    CRUMB_TRY(crumb_import_constant(n, in, "input", &x));
    CRUMB_TRY(read_grid(n, x->type, &g));
    if (x->whole == NULL) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "codes of type %s; supported are integers",
                                 crumb_onnx_type_of(x->type)->name);
    }
    CRUMB_TRY(crumb_onnx_array_make(n->im->ctx, CRUMB_ONNX_FLOAT, x->shape, &made));
    bool one_zero = true;
    for (int64_t i = 0; i < g.count && g.zero != NULL; i++) {
        one_zero &= g.zero[i] == g.zero[0];
    }
    for (int64_t i = 0; i < crumb_shape_count(x->shape); i++) {
        int64_t group = group_of(&g, i);
        made.real[i] = (float)(x->whole[i] - (g.zero != NULL ? g.zero[group] : 0)) * g.scale[group];
    }
    int bits = crumb_onnx_type_of(x->type)->bits;
    float zero = bits <= 8 ? zero_of(g.zero != NULL ? g.zero[0] : 0, x->type, bits, true) : 0;
    CRUMB_TRY(crumb_import_set_array(n, 0, &made));
    out = crumb_import_find(n->im, n->proto->output[0]);
    if (out == NULL || bits > 8 || !one_zero) {
        return CRUMB_OK; /* a bias, or a weight that stays in float */
    }
    out->step = crumb_alloc(n->im->ctx, (size_t)g.count, sizeof(*out->step));
    if (out->step == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    memcpy(out->step, g.scale, (size_t)g.count * sizeof(*out->step));
    out->steps = g.count;
    out->step_axis = g.axis;
    out->bits = zero == 0 && is_signed(x->type) ? needed_bits(x, bits) : bits;
    out->step_zero = zero;
    return CRUMB_OK;
}

crumb_status crumb_import_dequantize(const crumb_import_node *n) {
    crumb_import_value *x = n->x[0];
    grid g;
    if (crumb_import_is_constant(x)) {
        return dequantize_constant(n);
    }
    CRUMB_TRY(read_grid(n, CRUMB_ONNX_UINT8, &g));
    if (!x->is_codes || g.count != 1 || g.scale[0] != x->scale || (g.zero != NULL ? g.zero[0] : 0) != x->zero) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "scale or zero_point differ from those of the QuantizeLinear before it");
    }
    return crumb_import_set(n, 0, x->at, x->shape, x->last);
}

crumb_status crumb_import_weight_site(const crumb_import_node *n, const crumb_import_value *w, int channel_axis, int *at) {
    crumb_shape shape = n->im->graph->value[*at].shape;
    char site[CRUMB_NAME_MAX];
    if (w->step == NULL) {
        return CRUMB_OK;
    }
    if (w->steps > 1 && (w->step_axis != channel_axis || w->steps != shape.dim[0])) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "scales of the weight along axis %d; supported are output channels", w->step_axis);
    }
    snprintf(site, sizeof(site), "%.*s.weight_quant", CRUMB_NAME_MAX - 32, n->name);
    return emit_site(n, site, true, w->bits, w->step, w->steps, w->step_zero, *at, at);
}
