/* conv2d and linear layers, with the batch norms and shifts behind them folded; see lower.h for the formulas. */
#include "lower/lowering.h"
#include "ops/params.h"

#include <math.h>

/* ---- Folding. */

typedef struct fold {
    int64_t channels;
    double *multiplier, *bias;
    int output; /* value of the graph that holds the result so far */
} fold;

static crumb_status fold_begin(crumb_ctx *ctx, fold *f, int64_t channels, int output) {
    *f = (fold){.channels = channels, .output = output};
    f->multiplier = crumb_alloc(ctx, (size_t)channels, sizeof(*f->multiplier));
    f->bias = crumb_alloc(ctx, (size_t)channels, sizeof(*f->bias));
    return f->multiplier != NULL && f->bias != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static void fold_end(crumb_ctx *ctx, fold *f) {
    crumb_free(ctx, f->multiplier);
    crumb_free(ctx, f->bias);
}

static void fold_batch_norm(const crumb_graph *graph, const crumb_node *node, fold *f) {
    enum { WEIGHT = 1, BIAS, MEAN, VAR };
    const float *weight = graph->value[node->input[WEIGHT]].data, *bias = graph->value[node->input[BIAS]].data;
    const float *mean = graph->value[node->input[MEAN]].data, *var = graph->value[node->input[VAR]].data;
    double eps = ((const crumb_batch_norm_params *)node->params)->eps;
    for (int64_t c = 0; c < f->channels; c++) {
        double gain = (double)weight[c] / sqrt((double)var[c] + eps);
        f->multiplier[c] *= gain;
        f->bias[c] = (f->bias[c] - (double)mean[c]) * gain + (double)bias[c];
    }
}

static void fold_constant(const crumb_graph *graph, const crumb_node *node, fold *f) {
    const float *v = graph->value[node->input[1]].data;
    for (int64_t c = 0; c < f->channels; c++) {
        if (node->op == &crumb_op_mul) {
            f->multiplier[c] *= (double)v[c];
            f->bias[c] *= (double)v[c];
        } else if (node->op == &crumb_op_div) {
            f->multiplier[c] /= (double)v[c];
            f->bias[c] /= (double)v[c];
        } else {
            f->bias[c] += node->op == &crumb_op_sub ? -(double)v[c] : (double)v[c];
        }
    }
}

static void fold_node(crumb_lowering *l, int index, fold *f) {
    const crumb_node *node = &l->graph->node[index];
    if (node->op == &crumb_op_batch_norm) {
        fold_batch_norm(l->graph, node, f);
    } else {
        fold_constant(l->graph, node, f);
    }
    l->done[index] = true;
    f->output = node->output;
}

bool crumb_lower_is_affine(const crumb_graph *graph, int index) {
    const crumb_node *node = &graph->node[index];
    if (node->op == &crumb_op_batch_norm || node->op == &crumb_op_shift) {
        return true;
    }
    bool computes =
        node->op == &crumb_op_add || node->op == &crumb_op_sub || node->op == &crumb_op_mul || node->op == &crumb_op_div;
    const crumb_value *x = &graph->value[node->input[0]], *v = computes ? &graph->value[node->input[1]] : NULL;
    return computes && x->data == NULL && v->data != NULL && v->shape.rank == 1 &&
           v->shape.dim[0] == crumb_shape_last(x->shape);
}

/* Everything behind the result so far that is a function of the channel and has it for itself. */
static void fold_all(crumb_lowering *l, fold *f) {
    for (int next = crumb_lower_reader(l, f->output); next >= 0 && crumb_lower_is_affine(l->graph, next);
         next = crumb_lower_reader(l, f->output)) {
        fold_node(l, next, f);
    }
}

/* Rounded to float, as the node's vectors. */
static crumb_status fold_vectors(crumb_lowering *l, const fold *f, crumb_packed_node *made) {
    float *value = crumb_alloc(l->ctx, (size_t)f->channels, sizeof(*value));
    if (value == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int64_t c = 0; c < f->channels; c++) {
        value[c] = (float)f->multiplier[c];
    }
    made->multiplier = crumb_build_floats(&l->build, 1, (int32_t)f->channels, value);
    for (int64_t c = 0; c < f->channels; c++) {
        value[c] = (float)f->bias[c];
    }
    made->bias = crumb_build_floats(&l->build, 1, (int32_t)f->channels, value);
    crumb_free(l->ctx, value);
    return l->build.status;
}

/* ---- Affine nodes. */

static crumb_status emit_affine(crumb_lowering *l, int node, fold *f) {
    int32_t x;
    CRUMB_TRY(crumb_lower_value(l, node, l->graph->node[node].input[0], true, &x));
    for (int64_t c = 0; c < f->channels; c++) {
        f->multiplier[c] = 1;
    }
    fold_node(l, node, f);
    fold_all(l, f);
    crumb_packed_node made = crumb_build_node_of(CRUMB_PACKED_AFFINE, l->graph->node[node].name, x);
    CRUMB_TRY(fold_vectors(l, f, &made));
    return crumb_lower_append(l, &made, f->output);
}

crumb_status crumb_lower_affine(crumb_lowering *l, int node) {
    fold f;
    int value = l->graph->node[node].input[0];
    crumb_status status = fold_begin(l->ctx, &f, crumb_shape_last(l->graph->value[value].shape), value);
    if (status == CRUMB_OK) {
        status = emit_affine(l, node, &f);
    }
    fold_end(l->ctx, &f);
    return status;
}

/* ---- Weights. */

typedef struct layer {
    int node, weight; /* in the graph; the weight's value, behind its quantizer */
    bool transposed;
    const crumb_form *x;
    int64_t rows, columns; /* output channels, weights of each */
    int64_t map_size;      /* a linear layer on a flattened map: its pixels, else 1 */
    bool has_codes;        /* weights are codes, */
    bool grouped;          /* with a scale for each codes.size of a row */
    crumb_codes codes;
} layer;

/* A flattened map's columns are channel by channel; as a convolution's window they go pixel by pixel. */
static int64_t column_of(const layer *y, int64_t column) {
    int64_t channels = y->columns / y->map_size;
    return column % y->map_size * channels + column / y->map_size;
}

/* Where element i of a weight [C, KH, KW, O / groups] of a transposed convolution goes in [O, KH, KW, C / groups], turned by
 * 180 degrees. */
static int64_t turned_place(const layer *y, crumb_shape weight, int64_t i) {
    int64_t outputs = weight.dim[3], taps = weight.dim[1] * weight.dim[2], channels = y->columns / taps;
    int64_t o = i % outputs, tap = i / outputs % taps, c = i / outputs / taps;
    return ((c / channels * outputs + o) * taps + taps - 1 - tap) * channels + c % channels;
}

/* What has scales of groups computes in floats, on a vector or pixel by pixel: the groups stay whole. */
static crumb_status check_groups(const crumb_lowering *l, layer *y) {
    y->map_size = 1;
    if (!crumb_graph_layer_is_matrix(l->graph, y->node)) {
        return crumb_lower_fail(l, y->node, "scales of groups of %d weights want a linear layer or a kernel of 1 x 1",
                                (int)y->codes.size);
    }
    return CRUMB_OK;
}

static crumb_status read_weight(crumb_lowering *l, layer *y) {
    const crumb_graph *graph = l->graph;
    int maker = graph->value[y->weight].node;
    if (maker < 0) {
        return graph->value[y->weight].data != NULL ? CRUMB_OK : crumb_lower_fail(l, y->node, "its weight is an input");
    }
    if (y->transposed) {
        return crumb_lower_fail(l, y->node, "its weight is computed by %s", graph->node[maker].name);
    }
    const crumb_quant *site = crumb_node_site(graph, maker);
    if (site == NULL || !site->weight || site->mask != NULL || graph->value[graph->node[maker].input[0]].data == NULL) {
        return crumb_lower_fail(l, y->node, "its weight is computed by %s", graph->node[maker].name);
    }
    if (site->quantizer->observe != NULL) {
        crumb_quant_call call = crumb_node_call(graph, maker);
        site->quantizer->observe(&call);
    }
    CRUMB_TRY(crumb_graph_encode(graph, maker, &y->codes));
    y->has_codes = true;
    y->grouped = y->codes.size > 0;
    return y->grouped ? check_groups(l, y) : CRUMB_OK;
}

static crumb_status add_codes(crumb_lowering *l, const layer *y, crumb_packed_node *made) {
    const crumb_codes *codes = &y->codes;
    uint16_t *index = crumb_alloc(l->ctx, (size_t)(y->rows * y->columns), sizeof(*index));
    if (index == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int64_t i = 0; i < y->rows * y->columns; i++) {
        int64_t at = i / y->columns * y->columns + column_of(y, i % y->columns);
        index[at] = (uint16_t)((codes->code[i] - codes->offset) / codes->multiply);
    }
    made->weight = crumb_build_codes(
        &l->build, (int32_t)y->rows, (int32_t)y->columns,
        (crumb_packed_codes){.levels = codes->levels, .multiply = codes->multiply, .offset = codes->offset}, index);
    crumb_free(l->ctx, index);
    int32_t rows = y->grouped ? (int32_t)y->rows : 1;
    made->extra = crumb_build_floats(&l->build, rows, (int32_t)codes->groups / rows, codes->scale);
    return l->build.status;
}

static crumb_status add_floats(crumb_lowering *l, const layer *y, crumb_packed_node *made) {
    const float *weight = l->graph->value[y->weight].data;
    float *moved = crumb_alloc(l->ctx, (size_t)(y->rows * y->columns), sizeof(*moved));
    if (moved == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int64_t i = 0; i < y->rows * y->columns; i++) {
        int64_t to = y->transposed ? turned_place(y, l->graph->value[y->weight].shape, i)
                                   : i / y->columns * y->columns + column_of(y, i % y->columns);
        moved[to] = weight[i];
    }
    made->weight = crumb_build_floats(&l->build, (int32_t)y->rows, (int32_t)y->columns, moved);
    crumb_free(l->ctx, moved);
    return l->build.status;
}

/* ---- Layers. */

static void set_window(const crumb_lowering *l, const layer *y, crumb_packed_node *made) {
    const crumb_node *node = &l->graph->node[y->node];
    crumb_shape weight = l->graph->value[y->weight].shape;
    if (y->transposed) {
        const crumb_conv_transpose2d_params *p = node->params;
        made->kernel_height = (int32_t)weight.dim[1];
        made->kernel_width = (int32_t)weight.dim[2];
        made->stride = 1;
        made->dilation = (int32_t)p->dilation;
        made->groups = (int32_t)p->groups;
    } else if (node->op == &crumb_op_conv2d) {
        const crumb_conv2d_params *p = node->params;
        made->kernel_height = (int32_t)weight.dim[1];
        made->kernel_width = (int32_t)weight.dim[2];
        made->stride = (int32_t)p->stride;
        made->padding = (int32_t)p->padding;
        made->dilation = (int32_t)p->dilation;
        made->groups = (int32_t)p->groups;
    } else {
        bool map = y->map_size > 1;
        made->kernel_height = map ? (int32_t)y->x->map_height : 1;
        made->kernel_width = map ? (int32_t)y->x->map_width : 1;
        made->stride = made->dilation = made->groups = 1;
    }
}

/* A transposed convolution is one over its input with zeros between and around the pixels; padding wider than the kernel, which
 * a packed network does not have, is laid around the input likewise. */
static crumb_status widen(crumb_lowering *l, const layer *y, crumb_packed_node *made) {
    const crumb_node *node = &l->graph->node[y->node];
    crumb_shape x = l->graph->value[node->input[0]].shape, out = l->graph->value[node->output].shape;
    int64_t high = (int64_t)(made->kernel_height - 1) * made->dilation,
            wide = (int64_t)(made->kernel_width - 1) * made->dilation;
    if (y->transposed) {
        const crumb_conv_transpose2d_params *p = node->params;
        return crumb_lower_spread(
            l, y->node, &(crumb_spread){out.dim[1] + high, out.dim[2] + wide, high - p->padding, wide - p->padding, p->stride},
            &made->input[0]);
    }
    int64_t padding = made->padding;
    if (padding <= (high < wide ? high : wide) && padding <= UINT8_MAX) {
        return CRUMB_OK;
    }
    made->padding = 0;
    return crumb_lower_spread(l, y->node, &(crumb_spread){x.dim[1] + 2 * padding, x.dim[2] + 2 * padding, padding, padding, 1},
                              &made->input[0]);
}

/* Scales and the layer's own bias, before anything is folded. */
static void set_scales(const crumb_lowering *l, const layer *y, fold *f) {
    const crumb_node *node = &l->graph->node[y->node];
    const float *bias = node->inputs == 3 ? l->graph->value[node->input[2]].data : NULL;
    bool folds = y->has_codes && !y->grouped;
    double scale_x = folds && y->x->codes >= 0 ? (double)y->x->scale : 1;
    for (int64_t o = 0; o < y->rows; o++) {
        f->multiplier[o] = scale_x * (folds ? (double)y->codes.scale[o / (y->rows / y->codes.groups)] : 1);
        f->bias[o] = bias != NULL ? (double)bias[o] : 0;
    }
}

static crumb_status emit_layer(crumb_lowering *l, layer *y, fold *f) {
    const crumb_node *node = &l->graph->node[y->node];
    CRUMB_TRY(read_weight(l, y));
    int32_t x = y->x->codes;
    if (!y->has_codes || y->grouped || x < 0) {
        CRUMB_TRY(crumb_lower_value(l, y->node, node->input[0], y->transposed || y->grouped, &x));
    }
    CRUMB_TRY(fold_begin(l->ctx, f, y->rows, node->output));
    set_scales(l, y, f);
    fold_all(l, f);
    crumb_packed_node made = crumb_build_node_of(CRUMB_PACKED_CONV2D, node->name, x);
    set_window(l, y, &made);
    CRUMB_TRY(widen(l, y, &made));
    CRUMB_TRY(y->has_codes ? add_codes(l, y, &made) : add_floats(l, y, &made));
    CRUMB_TRY(fold_vectors(l, f, &made));
    return crumb_lower_append(l, &made, f->output);
}

crumb_status crumb_lower_layer(crumb_lowering *l, int index) {
    const crumb_node *node = &l->graph->node[index];
    layer y = {.node = index, .weight = node->input[1], .x = &l->form[node->input[0]]};
    fold f = {0};
    crumb_shape shape = l->graph->value[y.weight].shape;
    CRUMB_TRY(crumb_lower_check_single(l, index));
    y.transposed = node->op == &crumb_op_conv_transpose2d;
    y.rows = y.transposed ? crumb_shape_last(l->graph->value[node->output].shape) : shape.dim[0];
    y.columns = crumb_shape_count(shape) / y.rows;
    y.map_size = y.x->map_height > 0 ? y.x->map_height * y.x->map_width : 1;
    if (y.rows * y.columns > INT32_MAX) {
        return crumb_lower_fail(l, index, "%lld weights are too many", (long long)(y.rows * y.columns));
    }
    crumb_status status = emit_layer(l, &y, &f);
    fold_end(l->ctx, &f);
    crumb_codes_free(l->ctx, &y.codes);
    return status;
}
