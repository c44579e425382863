/* Ops that become a node or two each, or none; what moves elements: lower_move.c. */
#include "lower/lowering.h"
#include "ops/params.h"
#include "ops/window.h"

static int input_of(const crumb_lowering *l, int node, int k) {
    return l->graph->node[node].input[k];
}

static crumb_shape shape_of(const crumb_lowering *l, int node, int k) {
    return l->graph->value[input_of(l, node, k)].shape;
}

/* A node on one vector or map in its own order. */
crumb_status crumb_lower_plain(crumb_lowering *l, int node, crumb_packed_node made) {
    CRUMB_TRY(crumb_lower_value(l, node, input_of(l, node, 0), true, &made.input[0]));
    return crumb_lower_append(l, &made, l->graph->node[node].output);
}

crumb_packed_node crumb_lower_named(const crumb_lowering *l, int node, crumb_packed_op op) {
    return crumb_build_node_of(op, l->graph->node[node].name, 0);
}

/* ---- Element by element. */

/* The order of a map does not matter: what is flattened stays so. */
static crumb_status emit_elementwise(crumb_lowering *l, int node, crumb_packed_node made) {
    const crumb_form *x = &l->form[input_of(l, node, 0)];
    crumb_form *y = &l->form[l->graph->node[node].output];
    CRUMB_TRY(crumb_lower_value(l, node, input_of(l, node, 0), false, &made.input[0]));
    CRUMB_TRY(crumb_lower_append(l, &made, l->graph->node[node].output));
    y->map_height = x->map_height;
    y->map_width = x->map_width;
    return CRUMB_OK;
}

static crumb_status lower_relu(crumb_lowering *l, int node) {
    return emit_elementwise(l, node, crumb_lower_named(l, node, CRUMB_PACKED_RELU));
}

static crumb_status lower_clip(crumb_lowering *l, int node) {
    const crumb_clip_params *p = l->graph->node[node].params;
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_CLIP);
    made.lo = (float)p->min;
    made.hi = (float)p->max;
    return emit_elementwise(l, node, made);
}

/* A vector of equal numbers. */
static crumb_status add_equal(crumb_lowering *l, int64_t count, float value, int32_t *tensor) {
    float *all = crumb_alloc(l->ctx, (size_t)count, sizeof(*all));
    if (all == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int64_t i = 0; i < count; i++) {
        all[i] = value;
    }
    *tensor = crumb_build_floats(&l->build, 1, (int32_t)count, all);
    crumb_free(l->ctx, all);
    return l->build.status;
}

static crumb_status lower_prelu(crumb_lowering *l, int node) {
    const crumb_value *slope = &l->graph->value[input_of(l, node, 1)];
    if (slope->data == NULL) {
        return crumb_lower_fail(l, node, "its slope is computed");
    }
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_PRELU);
    made.extra = crumb_build_floats(&l->build, 1, (int32_t)crumb_shape_count(slope->shape), slope->data);
    return crumb_lower_plain(l, node, made);
}

static crumb_status lower_leaky_relu(crumb_lowering *l, int node) {
    const crumb_leaky_relu_params *p = l->graph->node[node].params;
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_PRELU);
    CRUMB_TRY(add_equal(l, crumb_shape_last(shape_of(l, node, 0)), (float)p->slope, &made.extra));
    return crumb_lower_plain(l, node, made);
}

/* y = clip(fmaf(x, slope, offset), 0, 1); what it reads in *x. */
static crumb_status emit_pieces(crumb_lowering *l, int node, float slope, float offset, int32_t *x) {
    int64_t channels = crumb_shape_last(shape_of(l, node, 0));
    crumb_packed_node line = crumb_lower_named(l, node, CRUMB_PACKED_AFFINE),
                      made = crumb_lower_named(l, node, CRUMB_PACKED_CLIP);
    CRUMB_TRY(add_equal(l, channels, slope, &line.multiplier));
    CRUMB_TRY(add_equal(l, channels, offset, &line.bias));
    CRUMB_TRY(crumb_lower_value(l, node, input_of(l, node, 0), true, x));
    line.input[0] = *x;
    made.input[0] = crumb_build_append(&l->build, &line, NULL);
    made.hi = 1.0f;
    return crumb_lower_append(l, &made, l->graph->node[node].output);
}

static crumb_status lower_hard_sigmoid(crumb_lowering *l, int node) {
    const crumb_hard_sigmoid_params *p = l->graph->node[node].params;
    int32_t x;
    return emit_pieces(l, node, (float)p->slope, (float)p->offset, &x);
}

static crumb_status lower_hard_swish(crumb_lowering *l, int node) {
    int output = l->graph->node[node].output;
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_MUL);
    made.inputs = 2;
    CRUMB_TRY(emit_pieces(l, node, 1.0f / 6.0f, 0.5f, &made.input[1]));
    made.input[0] = l->form[output].real;
    return crumb_lower_append(l, &made, output);
}

/* ---- Arithmetic. */

static crumb_status emit_pair(crumb_lowering *l, int node, crumb_packed_op op, bool negative) {
    if (crumb_lower_is_affine(l->graph, node)) {
        return crumb_lower_affine(l, node);
    }
    if (!crumb_shape_equal(shape_of(l, node, 0), shape_of(l, node, 1))) {
        return crumb_lower_fail(l, node, "its inputs have different shapes");
    }
    crumb_packed_node made = crumb_lower_named(l, node, op), minus = crumb_lower_named(l, node, CRUMB_PACKED_AFFINE);
    made.inputs = 2;
    CRUMB_TRY(crumb_lower_value(l, node, input_of(l, node, 1), true, &made.input[1]));
    if (negative) {
        int64_t channels = crumb_shape_last(shape_of(l, node, 1));
        CRUMB_TRY(add_equal(l, channels, -1.0f, &minus.multiplier));
        CRUMB_TRY(add_equal(l, channels, 0.0f, &minus.bias));
        minus.input[0] = made.input[1];
        made.input[1] = crumb_build_append(&l->build, &minus, NULL);
    }
    return crumb_lower_plain(l, node, made);
}

static crumb_status lower_add(crumb_lowering *l, int node) {
    return emit_pair(l, node, CRUMB_PACKED_ADD, false);
}

static crumb_status lower_sub(crumb_lowering *l, int node) {
    return emit_pair(l, node, CRUMB_PACKED_ADD, true);
}

static crumb_status lower_mul(crumb_lowering *l, int node) {
    return emit_pair(l, node, CRUMB_PACKED_MUL, false);
}

static crumb_status lower_div(crumb_lowering *l, int node) {
    return emit_pair(l, node, CRUMB_PACKED_DIV, false);
}

/* ---- Pools. */

crumb_packed_node crumb_lower_pool(const crumb_node *node, crumb_packed_op op, int32_t x) {
    const crumb_pool_params *p = node->params;
    crumb_packed_node made = crumb_build_node_of(op, node->name, x);
    made.kernel_height = (int32_t)p->kernel;
    made.kernel_width = (int32_t)crumb_window_width(p);
    made.stride = (int32_t)p->stride;
    made.stride_width = p->stride_width != p->stride ? (int32_t)p->stride_width : 0;
    made.padding = (int32_t)p->padding;
    made.ceil_mode = p->ceil_mode;
    made.count_inside = op == CRUMB_PACKED_AVERAGE_POOL && !p->count_include_pad;
    return made;
}

crumb_status crumb_lower_on_codes(crumb_lowering *l, int node, crumb_packed_node made) {
    const crumb_form x = l->form[input_of(l, node, 0)];
    int output = l->graph->node[node].output;
    if (x.codes < 0) {
        return crumb_lower_plain(l, node, made);
    }
    made.input[0] = x.codes;
    if (x.map_height > 0) {
        crumb_packed_node flat = crumb_build_node_of(CRUMB_PACKED_FLATTEN, made.name, x.codes);
        made.input[0] = crumb_build_append(&l->build, &flat, NULL);
    }
    l->form[output] = (crumb_form){.real = -1, .plain = -1, .scale = x.scale};
    l->form[output].codes = crumb_build_append(&l->build, &made, NULL);
    return l->build.status;
}

static crumb_status lower_max_pool(crumb_lowering *l, int node) {
    CRUMB_TRY(crumb_lower_check_single(l, node));
    return crumb_lower_on_codes(l, node, crumb_lower_pool(&l->graph->node[node], CRUMB_PACKED_MAX_POOL, 0));
}

static crumb_status lower_average_pool(crumb_lowering *l, int node) {
    CRUMB_TRY(crumb_lower_check_single(l, node));
    return crumb_lower_plain(l, node, crumb_lower_pool(&l->graph->node[node], CRUMB_PACKED_AVERAGE_POOL, 0));
}

static crumb_status lower_global_average_pool(crumb_lowering *l, int node) {
    CRUMB_TRY(crumb_lower_check_single(l, node));
    return crumb_lower_plain(l, node, crumb_lower_named(l, node, CRUMB_PACKED_GLOBAL_AVERAGE_POOL));
}

/* One window, the whole map. */
static crumb_status lower_global_max_pool(crumb_lowering *l, int node) {
    crumb_shape x = shape_of(l, node, 0);
    CRUMB_TRY(crumb_lower_check_single(l, node));
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_MAX_POOL);
    made.kernel_height = (int32_t)x.dim[1];
    made.kernel_width = (int32_t)x.dim[2];
    made.stride = 1;
    return crumb_lower_on_codes(l, node, made);
}

/* ---- Functions of a pixel. */

static crumb_status lower_sigmoid(crumb_lowering *l, int node) {
    return crumb_lower_plain(l, node, crumb_lower_named(l, node, CRUMB_PACKED_SIGMOID));
}

static crumb_status lower_tanh(crumb_lowering *l, int node) {
    return crumb_lower_plain(l, node, crumb_lower_named(l, node, CRUMB_PACKED_TANH));
}

static crumb_status lower_softmax(crumb_lowering *l, int node) {
    return crumb_lower_plain(l, node, crumb_lower_named(l, node, CRUMB_PACKED_SOFTMAX));
}

static crumb_status lower_log_softmax(crumb_lowering *l, int node) {
    return crumb_lower_plain(l, node, crumb_lower_named(l, node, CRUMB_PACKED_LOG_SOFTMAX));
}

static crumb_status lower_lrn(crumb_lowering *l, int node) {
    const crumb_lrn_params *p = l->graph->node[node].params;
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_LRN);
    made.kernel_height = (int32_t)p->size;
    made.kernel_width = 1;
    made.inverse = (float)p->alpha;
    made.lo = (float)p->beta;
    made.hi = (float)p->bias;
    return crumb_lower_plain(l, node, made);
}

/* ---- No node. */

static crumb_status lower_flatten(crumb_lowering *l, int node) {
    crumb_shape x = shape_of(l, node, 0);
    crumb_form *y = &l->form[l->graph->node[node].output];
    if (x.rank != 4 || x.dim[0] != 1) {
        return crumb_lower_move(l, node);
    }
    *y = l->form[input_of(l, node, 0)];
    if (x.dim[1] * x.dim[2] > 1) {
        y->map_height = x.dim[1];
        y->map_width = x.dim[2];
        y->plain = -1;
    }
    return CRUMB_OK;
}

static crumb_status lower_dropout(crumb_lowering *l, int node) {
    l->form[l->graph->node[node].output] = l->form[input_of(l, node, 0)];
    return CRUMB_OK;
}

static const struct {
    const crumb_op *op;
    crumb_lower_op lower;
} table[] = {
    {&crumb_op_add, lower_add},
    {&crumb_op_average_pool, lower_average_pool},
    {&crumb_op_batch_norm, crumb_lower_affine},
    {&crumb_op_clip, lower_clip},
    {&crumb_op_concat, crumb_lower_concat},
    {&crumb_op_conv2d, crumb_lower_layer},
    {&crumb_op_conv_transpose2d, crumb_lower_layer},
    {&crumb_op_div, lower_div},
    {&crumb_op_dropout, lower_dropout},
    {&crumb_op_expand, crumb_lower_move},
    {&crumb_op_flatten, lower_flatten},
    {&crumb_op_gather, crumb_lower_gather},
    {&crumb_op_global_average_pool, lower_global_average_pool},
    {&crumb_op_global_max_pool, lower_global_max_pool},
    {&crumb_op_hard_sigmoid, lower_hard_sigmoid},
    {&crumb_op_hard_swish, lower_hard_swish},
    {&crumb_op_leaky_relu, lower_leaky_relu},
    {&crumb_op_linear, crumb_lower_layer},
    {&crumb_op_log_softmax, lower_log_softmax},
    {&crumb_op_lrn, lower_lrn},
    {&crumb_op_max_pool, lower_max_pool},
    {&crumb_op_mul, lower_mul},
    {&crumb_op_pad, crumb_lower_pad},
    {&crumb_op_prelu, lower_prelu},
    {&crumb_op_quantize, crumb_lower_quantize},
    {&crumb_op_reduce_mean, crumb_lower_reduce_mean},
    {&crumb_op_relu, lower_relu},
    {&crumb_op_reshape, crumb_lower_move},
    {&crumb_op_resize_nearest, crumb_lower_move},
    {&crumb_op_shift, crumb_lower_affine},
    {&crumb_op_sigmoid, lower_sigmoid},
    {&crumb_op_slice, crumb_lower_slice},
    {&crumb_op_softmax, lower_softmax},
    {&crumb_op_sub, lower_sub},
    {&crumb_op_tanh, lower_tanh},
    {&crumb_op_transpose, crumb_lower_move},
};

crumb_lower_op crumb_lower_find(const crumb_op *op) {
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].op == op) {
            return table[i].lower;
        }
    }
    return NULL;
}
