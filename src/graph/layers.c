/* Layers: an op with its parameters, under PyTorch's names.
 *
 *   conv2d      <name>.weight [O,K,K,I/groups], <name>.bias [O]
 *   linear      <name>.weight [O,I], <name>.bias [O]
 *   prelu       <name>.weight [C]
 *   shift       <name>.bias [C]
 *   batch_norm  <name>.weight, <name>.bias (if affine), <name>.running_mean, <name>.running_var, <name>.num_batches_tracked
 *
 * Weights decay; biases and batch norm are excluded from weight decay. Values of parameters are 0 until
 * crumb_graph_initialise. Flatten reads the image in PyTorch's order C,H,W, so that the columns of a linear layer behind it
 * mean the same in both programs. */
#include "graph/graph.h"

#include "base/param.h"
#include "ops/params.h"

#include <stdio.h>

static crumb_status stored_name(crumb_graph *graph, const char *layer, const char *member, char full[CRUMB_NAME_MAX]) {
    int length = snprintf(full, CRUMB_NAME_MAX, "%s.%s", layer, member);
    if (length >= CRUMB_NAME_MAX) {
        return crumb_fail(graph->ctx, CRUMB_ERROR_ARGUMENT, "name of %d bytes is longer than %d: %.40s...", length,
                          CRUMB_NAME_MAX - 1, layer);
    }
    return CRUMB_OK;
}

static crumb_status add_param(crumb_graph *graph, const char *layer, const char *member, crumb_shape shape, bool decay,
                              int *value) {
    char name[CRUMB_NAME_MAX];
    CRUMB_TRY(stored_name(graph, layer, member, name));
    return crumb_graph_param(graph, name, shape, decay, value);
}

static crumb_status add_state(crumb_graph *graph, const char *layer, const char *member, crumb_shape shape, float fill,
                              int *value) {
    char name[CRUMB_NAME_MAX];
    CRUMB_TRY(stored_name(graph, layer, member, name));
    return crumb_graph_state(graph, name, shape, fill, value);
}

/* The shape of x, which has to have `rank` dimensions (0: two or more). */
static crumb_status read_shape(crumb_graph *graph, const char *name, int x, int rank, crumb_shape *shape) {
    if (x < 0 || x >= graph->values) {
        return crumb_fail(graph->ctx, CRUMB_ERROR_ARGUMENT, "%s: input is value %d of %d", name, x, graph->values);
    }
    *shape = graph->value[x].shape;
    if (rank == 0 ? shape->rank < 2 : shape->rank != rank) {
        char text[CRUMB_SHAPE_TEXT];
        return crumb_fail(graph->ctx, CRUMB_ERROR_SHAPE, "%s: the input must have %d%s dimensions, it is %s", name,
                          rank == 0 ? 2 : rank, rank == 0 ? " or more" : "", crumb_shape_print(*shape, text));
    }
    return CRUMB_OK;
}

/* A node of one input. params NULL: presets. */
static crumb_status unary(crumb_graph *graph, const char *name, const crumb_op *op, const void *params, int x, int *y) {
    return crumb_graph_node(graph, name, op, params, 1, &x, y);
}

crumb_status crumb_graph_conv2d(crumb_graph *graph, const char *name, int x, crumb_conv conv, int *y) {
    crumb_shape shape;
    CRUMB_TRY(read_shape(graph, name, x, 4, &shape));
    crumb_conv2d_params params = {.stride = conv.stride != 0 ? conv.stride : 1,
                                  .padding = conv.padding,
                                  .dilation = conv.dilation != 0 ? conv.dilation : 1,
                                  .groups = conv.groups != 0 ? conv.groups : 1};
    int64_t channels = crumb_shape_last(shape);
    if (conv.out < 1 || conv.kernel < 1 || params.groups < 1 || channels % params.groups != 0 ||
        conv.out % params.groups != 0) {
        return crumb_fail(graph->ctx, CRUMB_ERROR_SHAPE, "%s: %lld filters of %lldx%lld on %lld channels in %lld groups", name,
                          (long long)conv.out, (long long)conv.kernel, (long long)conv.kernel, (long long)channels,
                          (long long)params.groups);
    }
    int input[3] = {x};
    crumb_shape weight = CRUMB_SHAPE(conv.out, conv.kernel, conv.kernel, channels / params.groups);
    CRUMB_TRY(add_param(graph, name, "weight", weight, true, &input[1]));
    if (conv.bias) {
        CRUMB_TRY(add_param(graph, name, "bias", CRUMB_SHAPE(conv.out), false, &input[2]));
    }
    CRUMB_TRY(crumb_graph_node(graph, name, &crumb_op_conv2d, &params, conv.bias ? 3 : 2, input, y));
    graph->node[graph->nodes - 1].keep_float = conv.keep_float;
    return CRUMB_OK;
}

crumb_status crumb_graph_linear(crumb_graph *graph, const char *name, int x, int64_t out, bool bias, int *y) {
    crumb_shape shape;
    CRUMB_TRY(read_shape(graph, name, x, 2, &shape));
    if (out < 1) {
        return crumb_fail(graph->ctx, CRUMB_ERROR_SHAPE, "%s: %lld outputs", name, (long long)out);
    }
    int input[3] = {x};
    CRUMB_TRY(add_param(graph, name, "weight", CRUMB_SHAPE(out, shape.dim[1]), true, &input[1]));
    if (bias) {
        CRUMB_TRY(add_param(graph, name, "bias", CRUMB_SHAPE(out), false, &input[2]));
    }
    return crumb_graph_node(graph, name, &crumb_op_linear, NULL, bias ? 3 : 2, input, y);
}

/* Without affine, weight and bias are states that stay 1 and 0: the op has one form, and nothing is learned. */
crumb_status crumb_graph_batch_norm(crumb_graph *graph, const char *name, int x, bool affine, int *y) {
    crumb_shape shape;
    CRUMB_TRY(read_shape(graph, name, x, 0, &shape));
    crumb_shape channel = CRUMB_SHAPE(crumb_shape_last(shape)), scalar = {.rank = 0};
    int input[6] = {x};
    if (affine) {
        CRUMB_TRY(add_param(graph, name, "weight", channel, false, &input[1]));
        CRUMB_TRY(add_param(graph, name, "bias", channel, false, &input[2]));
    } else {
        CRUMB_TRY(add_state(graph, name, "weight", channel, 1, &input[1]));
        CRUMB_TRY(add_state(graph, name, "bias", channel, 0, &input[2]));
    }
    CRUMB_TRY(add_state(graph, name, "running_mean", channel, 0, &input[3]));
    CRUMB_TRY(add_state(graph, name, "running_var", channel, 1, &input[4]));
    CRUMB_TRY(add_state(graph, name, "num_batches_tracked", scalar, 0, &input[5]));
    return crumb_graph_node(graph, name, &crumb_op_batch_norm, NULL, 6, input, y);
}

crumb_status crumb_graph_relu(crumb_graph *graph, const char *name, int x, int *y) {
    return unary(graph, name, &crumb_op_relu, NULL, x, y);
}

/* A node with one learned value a channel, which is not decayed. */
static crumb_status per_channel(crumb_graph *graph, const char *name, const crumb_op *op, const char *member, int x, int *y) {
    crumb_shape shape;
    CRUMB_TRY(read_shape(graph, name, x, 0, &shape));
    int input[2] = {x};
    CRUMB_TRY(add_param(graph, name, member, CRUMB_SHAPE(crumb_shape_last(shape)), false, &input[1]));
    return crumb_graph_node(graph, name, op, NULL, 2, input, y);
}

crumb_status crumb_graph_prelu(crumb_graph *graph, const char *name, int x, int *y) {
    return per_channel(graph, name, &crumb_op_prelu, "weight", x, y);
}

crumb_status crumb_graph_shift(crumb_graph *graph, const char *name, int x, int *y) {
    return per_channel(graph, name, &crumb_op_shift, "bias", x, y);
}

crumb_status crumb_graph_add(crumb_graph *graph, const char *name, int a, int b, int *y) {
    return crumb_graph_node(graph, name, &crumb_op_add, NULL, 2, (int[]){a, b}, y);
}

crumb_status crumb_graph_max_pool(crumb_graph *graph, const char *name, int x, int64_t kernel, int64_t stride, int64_t padding,
                                  int *y) {
    crumb_pool_params params = {.kernel = kernel, .stride = stride, .padding = padding};
    return unary(graph, name, &crumb_op_max_pool, &params, x, y);
}

crumb_status crumb_graph_average_pool(crumb_graph *graph, const char *name, int x, int64_t kernel, int64_t stride, int *y) {
    crumb_pool_params params = {.kernel = kernel, .stride = stride, .ceil_mode = true};
    return unary(graph, name, &crumb_op_average_pool, &params, x, y);
}

crumb_status crumb_graph_global_average_pool(crumb_graph *graph, const char *name, int x, int *y) {
    return unary(graph, name, &crumb_op_global_average_pool, NULL, x, y);
}

crumb_status crumb_graph_flatten(crumb_graph *graph, const char *name, int x, int *y) {
    return unary(graph, name, &crumb_op_flatten, NULL, x, y);
}

crumb_status crumb_graph_subsample(crumb_graph *graph, const char *name, int x, int64_t step, int *y) {
    double every = (double)step;
    crumb_slice_params params = {.step = {.count = 3, .at = {1, every, every}}};
    return unary(graph, name, &crumb_op_slice, &params, x, y);
}

crumb_status crumb_graph_pad_channels(crumb_graph *graph, const char *name, int x, int64_t before, int64_t after, int *y) {
    crumb_pad_params params = {.before = {.count = 4, .at = {0, 0, 0, (double)before}},
                               .after = {.count = 4, .at = {0, 0, 0, (double)after}}};
    return unary(graph, name, &crumb_op_pad, &params, x, y);
}

crumb_status crumb_graph_dropout(crumb_graph *graph, const char *name, int x, double p, int *y) {
    return unary(graph, name, &crumb_op_dropout, &(crumb_dropout_params){.p = p}, x, y);
}
