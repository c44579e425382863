/* Ops that become one node each, or none. */
#include "lower/lowering.h"
#include "ops/params.h"

static int input_of(const crumb_lowering *l, int node, int k) {
    return l->graph->node[node].input[k];
}

static crumb_shape shape_of(const crumb_lowering *l, int node, int k) {
    return l->graph->value[input_of(l, node, k)].shape;
}

/* A node on one vector or map in its own order. */
static crumb_status emit_plain(crumb_lowering *l, int node, crumb_packed_node made) {
    CRUMB_TRY(crumb_lower_value(l, node, input_of(l, node, 0), true, &made.input[0]));
    return crumb_lower_append(l, &made, l->graph->node[node].output);
}

static crumb_packed_node named(const crumb_lowering *l, int node, crumb_packed_op op) {
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
    return emit_elementwise(l, node, named(l, node, CRUMB_PACKED_RELU));
}

static crumb_status lower_clip(crumb_lowering *l, int node) {
    const crumb_clip_params *p = l->graph->node[node].params;
    crumb_packed_node made = named(l, node, CRUMB_PACKED_CLIP);
    made.lo = (float)p->min;
    made.hi = (float)p->max;
    return emit_elementwise(l, node, made);
}

static crumb_status lower_prelu(crumb_lowering *l, int node) {
    const crumb_value *slope = &l->graph->value[input_of(l, node, 1)];
    if (slope->data == NULL) {
        return crumb_lower_fail(l, node, "its slope is computed");
    }
    crumb_packed_node made = named(l, node, CRUMB_PACKED_PRELU);
    made.extra = crumb_build_floats(&l->build, 1, (int32_t)crumb_shape_count(slope->shape), slope->data);
    return emit_plain(l, node, made);
}

static crumb_status emit_pair(crumb_lowering *l, int node, crumb_packed_op op) {
    if (!crumb_shape_equal(shape_of(l, node, 0), shape_of(l, node, 1))) {
        return crumb_lower_fail(l, node, "its inputs have different shapes");
    }
    crumb_packed_node made = named(l, node, op);
    made.inputs = 2;
    CRUMB_TRY(crumb_lower_value(l, node, input_of(l, node, 1), true, &made.input[1]));
    return emit_plain(l, node, made);
}

static crumb_status lower_add(crumb_lowering *l, int node) {
    return emit_pair(l, node, CRUMB_PACKED_ADD);
}

static crumb_status lower_mul(crumb_lowering *l, int node) {
    return emit_pair(l, node, CRUMB_PACKED_MUL);
}

/* ---- Pools. */

crumb_packed_node crumb_lower_pool(const crumb_node *node, crumb_packed_op op, int32_t x) {
    const crumb_pool_params *p = node->params;
    crumb_packed_node made = crumb_build_node_of(op, node->name, x);
    made.kernel_height = made.kernel_width = (int32_t)p->kernel;
    made.stride = (int32_t)p->stride;
    made.padding = (int32_t)p->padding;
    made.ceil_mode = p->ceil_mode;
    made.count_inside = op == CRUMB_PACKED_AVERAGE_POOL && !p->count_include_pad;
    return made;
}

/* A node on codes where there are some, else on reals; neither flattened. */
static crumb_status emit_on_codes(crumb_lowering *l, int node, crumb_packed_node made) {
    const crumb_form x = l->form[input_of(l, node, 0)];
    int output = l->graph->node[node].output;
    if (x.codes < 0 || x.map_height > 0) {
        return emit_plain(l, node, made);
    }
    made.input[0] = x.codes;
    l->form[output] = (crumb_form){.real = -1, .plain = -1, .scale = x.scale};
    l->form[output].codes = crumb_build_append(&l->build, &made, NULL);
    return l->build.status;
}

bool crumb_lower_square(const crumb_node *node) {
    const crumb_pool_params *p = node->params;
    return p->kernel_width == 0 && p->stride_width == 0;
}

static crumb_status check_square(const crumb_lowering *l, int node) {
    return crumb_lower_square(&l->graph->node[node]) ? CRUMB_OK : crumb_lower_fail(l, node, "its windows are not square");
}

static crumb_status lower_max_pool(crumb_lowering *l, int node) {
    CRUMB_TRY(check_square(l, node));
    return emit_on_codes(l, node, crumb_lower_pool(&l->graph->node[node], CRUMB_PACKED_MAX_POOL, 0));
}

static crumb_status lower_average_pool(crumb_lowering *l, int node) {
    CRUMB_TRY(check_square(l, node));
    return emit_plain(l, node, crumb_lower_pool(&l->graph->node[node], CRUMB_PACKED_AVERAGE_POOL, 0));
}

static crumb_status lower_global_average_pool(crumb_lowering *l, int node) {
    return emit_plain(l, node, named(l, node, CRUMB_PACKED_GLOBAL_AVERAGE_POOL));
}

/* ---- Pixels and channels. */

static crumb_status lower_concat(crumb_lowering *l, int node) {
    const crumb_node *given = &l->graph->node[node];
    int64_t axis = ((const crumb_concat_params *)given->params)->axis;
    if (axis != -1 && axis != shape_of(l, node, 0).rank - 1) {
        return crumb_lower_fail(l, node, "axis %lld is not the channels", (long long)axis);
    }
    crumb_packed_node made = named(l, node, CRUMB_PACKED_CONCAT);
    made.inputs = given->inputs;
    for (int k = 1; k < given->inputs; k++) {
        CRUMB_TRY(crumb_lower_value(l, node, given->input[k], true, &made.input[k]));
    }
    return emit_plain(l, node, made);
}

static double item(const crumb_list *list, int axis, double missing) {
    return axis < list->count ? list->at[axis] : missing;
}

static crumb_status lower_pad(crumb_lowering *l, int node) {
    const crumb_pad_params *p = l->graph->node[node].params;
    int last = shape_of(l, node, 0).rank - 1;
    bool channels = p->value == 0;
    for (int axis = 0; axis < last; axis++) {
        channels = channels && item(&p->before, axis, 0) == 0 && item(&p->after, axis, 0) == 0;
    }
    if (!channels) {
        return crumb_lower_fail(l, node, "it adds more than channels of zeros");
    }
    crumb_packed_node made = named(l, node, CRUMB_PACKED_PAD);
    made.before = (int32_t)item(&p->before, last, 0);
    made.after = (int32_t)item(&p->after, last, 0);
    return emit_plain(l, node, made);
}

/* Steps along height and width of a slice that takes every n-th row and every m-th column; false for any other. */
static bool steps_of(const crumb_lowering *l, int node, double step[2]) {
    const crumb_slice_params *p = l->graph->node[node].params;
    crumb_shape x = shape_of(l, node, 0);
    bool every = x.rank == 4 && item(&p->step, 0, 1) == 1 && item(&p->step, 3, 1) == 1;
    for (int axis = 0; axis < x.rank; axis++) {
        double stop = item(&p->stop, axis, 0);
        every = every && item(&p->start, axis, 0) == 0 && (stop == 0 || stop >= (double)x.dim[axis]);
    }
    step[0] = item(&p->step, 1, 1);
    step[1] = item(&p->step, 2, 1);
    return every;
}

static bool is_slice(const crumb_lowering *l, int node) {
    return node >= 0 && l->graph->node[node].op == &crumb_op_slice;
}

/* Other programs slice an axis at a time: x[:, ::2] and then [:, :, ::2]. What is not square goes on to the slice that alone
 * reads it, whose steps multiply with its own. So the chain of slices that ends here is gone through from its start. */
static bool chained_steps(const crumb_lowering *l, int node, double step[2]) {
    const crumb_graph *graph = l->graph;
    int at = node;
    for (int before = graph->value[input_of(l, at, 0)].node;
         is_slice(l, before) && crumb_lower_reader(l, input_of(l, at, 0)) == at;
         before = graph->value[input_of(l, at, 0)].node) {
        at = before;
    }
    double own[2];
    bool every = steps_of(l, at, step);
    while (every && at != node) {
        bool square = step[0] == step[1]; /* was emitted */
        at = crumb_lower_reader(l, graph->node[at].output);
        every = steps_of(l, at, own);
        step[0] = square ? own[0] : step[0] * own[0];
        step[1] = square ? own[1] : step[1] * own[1];
    }
    return every;
}

static crumb_status lower_slice(crumb_lowering *l, int node) {
    double step[2];
    int output = l->graph->node[node].output;
    bool every = chained_steps(l, node, step);
    if (every && step[0] != step[1] && is_slice(l, crumb_lower_reader(l, output))) {
        l->form[output] = l->form[input_of(l, node, 0)];
        return CRUMB_OK;
    }
    if (!every || step[0] != step[1] || step[0] > CRUMB_PACKED_WINDOW_MAX) {
        return crumb_lower_fail(l, node, "it takes something else than every n-th pixel");
    }
    crumb_packed_node made = named(l, node, CRUMB_PACKED_SUBSAMPLE);
    made.stride = (int32_t)step[0];
    return emit_on_codes(l, node, made);
}

/* ---- No node. */

static crumb_status lower_flatten(crumb_lowering *l, int node) {
    crumb_shape x = shape_of(l, node, 0);
    crumb_form *y = &l->form[l->graph->node[node].output];
    *y = l->form[input_of(l, node, 0)];
    if (x.rank == 4 && x.dim[1] * x.dim[2] > 1) {
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
    {&crumb_op_concat, lower_concat},
    {&crumb_op_conv2d, crumb_lower_layer},
    {&crumb_op_dropout, lower_dropout},
    {&crumb_op_flatten, lower_flatten},
    {&crumb_op_global_average_pool, lower_global_average_pool},
    {&crumb_op_linear, crumb_lower_layer},
    {&crumb_op_max_pool, lower_max_pool},
    {&crumb_op_mul, lower_mul},
    {&crumb_op_pad, lower_pad},
    {&crumb_op_prelu, lower_prelu},
    {&crumb_op_quantize, crumb_lower_quantize},
    {&crumb_op_relu, lower_relu},
    {&crumb_op_shift, crumb_lower_affine},
    {&crumb_op_slice, lower_slice},
};

crumb_lower_op crumb_lower_find(const crumb_op *op) {
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].op == op) {
            return table[i].lower;
        }
    }
    return NULL;
}
