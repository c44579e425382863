/* Layers with weights: convolutions, matrix products, batch norm. */
#include "onnx/importer.h"

#include <inttypes.h>
#include <string.h>

/* ---- Images of one or two axes as [N,H,W,C]. */

/* x as [N,H,W,C]; a single spatial axis is the width of a row. */
static crumb_status image_of(const crumb_import_node *n, int *at) {
    crumb_import_value *x = n->x[0];
    CRUMB_TRY(crumb_import_last(n, x, at));
    crumb_shape s = crumb_import_memory_shape(true, x->shape);
    return s.rank == 3 ? crumb_import_emit_reshape(n, *at, s, CRUMB_SHAPE(s.dim[0], 1, s.dim[1], s.dim[2]), at) : CRUMB_OK;
}

/* Output 0 is the image `at`, of as many axes as the input has. */
static crumb_status set_image(const crumb_import_node *n, int at) {
    crumb_shape s = n->im->graph->value[at].shape;
    if (n->x[0]->shape.rank == 4) {
        return crumb_import_set(n, 0, at, CRUMB_SHAPE(s.dim[0], s.dim[3], s.dim[1], s.dim[2]), true);
    }
    CRUMB_TRY(crumb_import_emit_reshape(n, at, s, CRUMB_SHAPE(s.dim[0], s.dim[2], s.dim[3]), &at));
    return crumb_import_set(n, 0, at, CRUMB_SHAPE(s.dim[0], s.dim[3], s.dim[2]), true);
}

/* Pixels around the image that a symmetric padding does not give. */
static crumb_status pad_image(const crumb_import_node *n, const crumb_import_window *w, double value, int *at) {
    crumb_pad_params pad = {.value = value};
    pad.before = (crumb_list){.count = 4, .at = {0, (double)w->before[0], (double)w->before[1], 0}};
    pad.after = (crumb_list){.count = 4, .at = {0, (double)w->after[0], (double)w->after[1], 0}};
    return crumb_import_emit(n, &crumb_op_pad, &pad, 1, at, at);
}

static bool same_pads(const crumb_import_window *w) {
    return w->before[0] == w->before[1] && w->before[0] == w->after[0] && w->before[0] == w->after[1];
}

/* Every stride-th pixel, by axis. */
static crumb_status thin(const crumb_import_node *n, const int64_t stride[2], int *at) {
    crumb_slice_params every = {.step = {.count = 3, .at = {1, (double)stride[0], (double)stride[1]}}};
    return crumb_import_emit(n, &crumb_op_slice, &every, 1, at, at);
}

/* ---- Convolutions. */

/* The weight [O,I,K..] or [I,O,K..] as [.., KH, KW, ..]. */
static crumb_status conv_weight(const crumb_import_node *n, int64_t kernel[2], int *at) {
    crumb_import_value *w = n->x[1];
    if (w == NULL || w->shape.rank != n->x[0]->shape.rank || w->shape.rank < 3 || w->shape.rank > 4) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "an input of %d dimensions, a weight of %d; supported are 3 or 4 of both", n->x[0]->shape.rank,
                                 w != NULL ? w->shape.rank : 0);
    }
    crumb_shape s = w->shape;
    kernel[0] = s.rank == 4 ? s.dim[2] : 1;
    kernel[1] = s.dim[s.rank - 1];
    crumb_import_form form = {.shape = CRUMB_SHAPE(s.dim[0], kernel[0], kernel[1], s.dim[1]),
                              .from = CRUMB_SHAPE(s.dim[0], s.dim[1], kernel[0], kernel[1]),
                              .order = {0, 2, 3, 1},
                              .learned = true,
                              .decay = true};
    CRUMB_TRY(crumb_import_param(n, w, &form, "weight", at));
    return n->proto->op_type[4] == '\0' ? crumb_import_weight_site(n, w, 0, at) : CRUMB_OK; /* transposed ones stay in float */
}

static crumb_status one_dilation(const crumb_import_node *n, const crumb_import_window *w, int64_t *dilation) {
    int64_t d[2] = {w->dilation[0], w->dilation[1]};
    d[0] = w->kernel[0] == 1 ? d[1] : d[0];
    d[1] = w->kernel[1] == 1 ? d[0] : d[1];
    *dilation = d[0];
    return d[0] == d[1] ? CRUMB_OK
                        : crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                            "dilations %" PRId64 " and %" PRId64 "; supported are equal ones", d[0], d[1]);
}

static crumb_status add_bias(const crumb_import_node *n, int k, int64_t channels, int *input, int *inputs) {
    if (n->inputs > k && n->x[k] != NULL) {
        CRUMB_TRY(crumb_import_vector(n, n->x[k], channels, true, "bias", &input[(*inputs)++]));
    }
    return CRUMB_OK;
}

crumb_status crumb_import_conv(const crumb_import_node *n) {
    int64_t kernel[2], groups;
    int input[3], inputs = 2, y;
    crumb_import_window w;
    crumb_conv2d_params p = {0};
    CRUMB_TRY(crumb_import_int(n, "group", 1, &groups));
    CRUMB_TRY(conv_weight(n, kernel, &input[1]));
    CRUMB_TRY(crumb_import_window_of(n, kernel, &w));
    CRUMB_TRY(one_dilation(n, &w, &p.dilation));
    CRUMB_TRY(image_of(n, &input[0]));
    CRUMB_TRY(add_bias(n, 2, n->x[1]->shape.dim[0], input, &inputs));
    if (same_pads(&w)) {
        p.padding = w.before[0];
    } else {
        CRUMB_TRY(pad_image(n, &w, 0, &input[0]));
    }
    w.stride[0] = w.axes == 1 ? w.stride[1] : w.stride[0]; /* a row has none downwards */
    p.stride = w.stride[0] == w.stride[1] ? w.stride[0] : 1;
    p.groups = groups;
    CRUMB_TRY(crumb_import_emit(n, &crumb_op_conv2d, &p, inputs, input, &y));
    if (w.stride[0] != w.stride[1]) {
        CRUMB_TRY(thin(n, w.stride, &y));
    }
    return set_image(n, y);
}

/* Padding takes pixels off the output, output_padding adds some behind: what is not equal on all sides is cut off afterwards.
 */
crumb_status crumb_import_conv_transpose(const crumb_import_node *n) {
    int64_t kernel[2], groups;
    int input[3], inputs = 2, y;
    crumb_import_window w;
    crumb_import_ints extra;
    crumb_conv_transpose2d_params p = {0};
    char mode[64];
    CRUMB_TRY(crumb_import_int(n, "group", 1, &groups));
    CRUMB_TRY(conv_weight(n, kernel, &input[1]));
    CRUMB_TRY(crumb_import_window_of(n, kernel, &w));
    CRUMB_TRY(crumb_import_word(n, "auto_pad", "NOTSET", mode));
    CRUMB_TRY(crumb_import_list(n, "output_padding", &extra));
    CRUMB_TRY(one_dilation(n, &w, &p.dilation));
    bool one = n->x[0]->shape.rank == 3;
    int64_t behind[2] = {!one && extra.count == 2 ? extra.at[0] : 0, extra.count > 0 ? extra.at[extra.count - 1] : 0};
    if (mode[0] == 'S' || (!one && w.stride[0] != w.stride[1]) || (one && w.kernel[0] != 1) || behind[0] < 0 || behind[1] < 0 ||
        behind[0] >= w.stride[1] + p.dilation || behind[1] >= w.stride[1] + p.dilation || extra.count > w.axes) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "auto_pad %s, strides %" PRId64 " and %" PRId64
                                 "; supported are explicit pads and equal strides",
                                 mode, w.stride[0], w.stride[1]);
    }
    CRUMB_TRY(image_of(n, &input[0]));
    CRUMB_TRY(add_bias(n, 2, n->x[1]->shape.dim[1] * groups, input, &inputs));
    p.stride = w.stride[1];
    p.groups = groups;
    p.output_padding = behind[0] > behind[1] ? behind[0] : behind[1];
    CRUMB_TRY(crumb_import_emit(n, &crumb_op_conv_transpose2d, &p, inputs, input, &y));
    crumb_shape full = n->im->graph->value[y].shape;
    crumb_slice_params cut = {.start = {.count = 3}, .stop = {.count = 3}, .step = {.count = 3, .at = {1, 1, 1}}};
    bool any = false;
    for (int i = 0; i < 2; i++) {
        int64_t stop = full.dim[1 + i] - w.after[i] - (p.output_padding - behind[i]);
        if (stop <= w.before[i]) {
            return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "pads leave nothing");
        }
        any |= w.before[i] > 0 || stop < full.dim[1 + i];
        cut.start.at[1 + i] = (double)w.before[i];
        cut.stop.at[1 + i] = (double)stop;
    }
    if (any) {
        CRUMB_TRY(crumb_import_emit(n, &crumb_op_slice, &cut, 1, &y, &y));
    }
    return set_image(n, y);
}

/* ---- Pools. */

static crumb_status check_pool(const crumb_import_node *n, const crumb_import_window *w) {
    bool one = w->axes == 1;
    if (w->dilation[0] != 1 || w->dilation[1] != 1) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "dilations; supported are windows without");
    }
    if (n->proto->n_output > 1 && n->proto->output[1][0] != '\0') {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "output 1; supported is the maximum alone");
    }
    if (w->kernel[0] > 255 || w->kernel[1] > 255 || w->stride[0] > 255 || w->stride[1] > 255 || (one && w->ceil_mode)) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "windows or strides above 255, or rounding up in one dimension");
    }
    return CRUMB_OK;
}

/* Windows along a side whose size is rounded up; none begins behind the image. Less than 1 if not one fits. */
static int64_t windows_up(int64_t size, int64_t padding, int64_t kernel, int64_t stride) {
    int64_t room = size + 2 * padding - kernel, last = room < 0 ? -1 : (room + stride - 1) / stride;
    return last * stride >= size + padding ? last : last + 1;
}

/* Whether the windows are those of symmetric pads and sizes that are rounded up: more pads behind are then only reached out to.
 */
static bool rounds_up(const crumb_import_node *n, const crumb_import_window *w) {
    if (w->ceil_mode || w->axes == 1 || w->before[0] != w->before[1]) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        int64_t size = n->x[0]->shape.dim[2 + i], room = size + w->before[i] + w->after[i] - w->kernel[i];
        if (room < 0 || room / w->stride[i] + 1 != windows_up(size, w->before[i], w->kernel[i], w->stride[i])) {
            return false;
        }
    }
    return true;
}

/* Pads count in the mean, what a last window reaches out of them does not: so they become pixels, behind the image as many as
 * the windows have, and pixels are what counts. */
static crumb_status count_pads(const crumb_import_node *n, const crumb_import_window *w, crumb_pool_params *p, int *at) {
    crumb_import_window pads = *w;
    for (int i = 0; i < 2; i++) {
        int64_t size = n->x[0]->shape.dim[2 + i] + w->before[i];
        int64_t count = windows_up(n->x[0]->shape.dim[2 + i], w->before[i], w->kernel[i], w->stride[i]);
        int64_t seen = (count - 1) * w->stride[i] + w->kernel[i] - size;
        pads.after[i] = seen < 0 ? 0 : seen < w->after[i] ? seen : w->after[i];
    }
    if (p->padding > 0) {
        CRUMB_TRY(pad_image(n, &pads, 0, at));
    }
    p->padding = 0;
    p->count_include_pad = false;
    return CRUMB_OK;
}

crumb_status crumb_import_pool(const crumb_import_node *n) {
    bool average = n->proto->op_type[0] == 'A';
    crumb_import_window w;
    int64_t include = 0;
    int at;
    CRUMB_TRY(crumb_import_window_of(n, NULL, &w));
    CRUMB_TRY(check_pool(n, &w));
    CRUMB_TRY(crumb_import_int(n, "count_include_pad", 0, &include));
    CRUMB_TRY(image_of(n, &at));
    crumb_pool_params p = {.kernel = w.kernel[0],
                           .kernel_width = w.kernel[1],
                           .stride = w.stride[0],
                           .stride_width = w.stride[1],
                           .padding = w.before[0],
                           .ceil_mode = w.ceil_mode,
                           .count_include_pad = include != 0};
    p.kernel_width = p.kernel_width == p.kernel ? 0 : p.kernel_width;
    p.stride_width = p.stride_width == p.stride ? 0 : p.stride_width;
    if (same_pads(&w) && average && include != 0 && w.ceil_mode) {
        CRUMB_TRY(count_pads(n, &w, &p, &at));
    } else if (!same_pads(&w) && !(average && include != 0) && rounds_up(n, &w)) {
        p.ceil_mode = true;
    } else if (!same_pads(&w)) {
        if (w.ceil_mode || (average && include == 0)) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                     "pads that differ between the sides, where %s; supported are equal ones",
                                     average ? "they do not count" : "sizes are rounded up");
        }
        CRUMB_TRY(pad_image(n, &w, average ? 0 : -3.4028234663852886e38, &at));
        p.padding = 0;
    }
    CRUMB_TRY(crumb_import_emit(n, average ? &crumb_op_average_pool : &crumb_op_max_pool, &p, 1, &at, &at));
    return set_image(n, at);
}

crumb_status crumb_import_global_pool(const crumb_import_node *n) {
    const crumb_op *op = n->proto->op_type[6] == 'A' ? &crumb_op_global_average_pool : &crumb_op_global_max_pool;
    crumb_shape x = n->x[0]->shape;
    int at;
    if (x.rank != 4 && x.rank != 3) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "an input of %d dimensions; supported are 3 and 4", x.rank);
    }
    CRUMB_TRY(image_of(n, &at));
    CRUMB_TRY(crumb_import_emit(n, op, NULL, 1, &at, &at));
    crumb_shape y = {.rank = x.rank, .dim = {x.dim[0], x.dim[1], 1, 1}};
    return crumb_import_set(n, 0, at, y, true);
}

/* ---- Matrix products. */

/* A matrix [I,O], or [O,I] when `transposed`, as the weight [O,I] of a linear layer. */
static crumb_status linear_weight(const crumb_import_node *n, bool transposed, double factor, int *at) {
    crumb_import_value *w = n->x[1];
    if (w == NULL || w->shape.rank != 2) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "a second operand of %d dimensions; supported is a constant matrix",
                                 w != NULL ? w->shape.rank : 0);
    }
    int64_t out = w->shape.dim[transposed ? 0 : 1], in = w->shape.dim[transposed ? 1 : 0];
    crumb_import_form form = {
        .shape = CRUMB_SHAPE(out, in), .from = w->shape, .factor = factor, .learned = true, .decay = true};
    form.order[0] = transposed ? 0 : 1;
    form.order[1] = transposed ? 1 : 0;
    CRUMB_TRY(crumb_import_param(n, w, &form, "weight", at));
    return factor == 0 || factor == 1 ? crumb_import_weight_site(n, w, form.order[0], at) : CRUMB_OK;
}

crumb_status crumb_import_gemm(const crumb_import_node *n) {
    int64_t trans_a, trans_b;
    double alpha, beta;
    int input[3], inputs = 2, y;
    CRUMB_TRY(crumb_import_int(n, "transA", 0, &trans_a));
    CRUMB_TRY(crumb_import_int(n, "transB", 0, &trans_b));
    CRUMB_TRY(crumb_import_real(n, "alpha", 1, &alpha));
    CRUMB_TRY(crumb_import_real(n, "beta", 1, &beta));
    if (trans_a != 0 || n->x[0]->shape.rank != 2) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "attribute transA is %" PRId64 "; supported is 0, a matrix of one row an image", trans_a);
    }
    CRUMB_TRY(linear_weight(n, trans_b != 0, alpha, &input[1]));
    CRUMB_TRY(crumb_import_plain(n, n->x[0], &input[0]));
    int64_t out = n->im->graph->value[input[1]].shape.dim[0];
    bool bias = n->inputs > 2 && n->x[2] != NULL;
    if (bias && crumb_shape_count(n->x[2]->shape) == out && crumb_shape_last(n->x[2]->shape) == out && out > 0) {
        crumb_import_form form = {.shape = CRUMB_SHAPE(out), .from = CRUMB_SHAPE(out), .factor = beta, .learned = true};
        CRUMB_TRY(crumb_import_param(n, n->x[2], &form, "bias", &input[inputs++]));
    } else if (bias) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "input C is not one value an output");
    }
    CRUMB_TRY(crumb_import_emit(n, &crumb_op_linear, NULL, inputs, input, &y));
    return crumb_import_set(n, 0, y, n->im->graph->value[y].shape, false);
}

/* The rows of all leading axes are images of a linear layer. */
crumb_status crumb_import_rows(const crumb_import_node *n, int weight, crumb_import_value *bias) {
    int input[3] = {0, weight}, inputs = 2, y;
    crumb_shape x = n->x[0]->shape, out = x, w = n->im->graph->value[weight].shape;
    if (x.rank < 2 || crumb_import_is_constant(n->x[0])) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "a first operand that is constant or a vector");
    }
    int64_t width = x.dim[x.rank - 1];
    CRUMB_TRY(crumb_import_plain(n, n->x[0], &input[0]));
    CRUMB_TRY(crumb_import_emit_reshape(n, input[0], x, CRUMB_SHAPE(crumb_shape_count(x) / width, width), &input[0]));
    if (bias != NULL) {
        CRUMB_TRY(crumb_import_vector(n, bias, w.dim[0], true, "bias", &input[inputs++]));
    }
    CRUMB_TRY(crumb_import_emit(n, &crumb_op_linear, NULL, inputs, input, &y));
    out.dim[x.rank - 1] = w.dim[0];
    CRUMB_TRY(crumb_import_emit_reshape(n, y, n->im->graph->value[y].shape, out, &y));
    return crumb_import_set(n, 0, y, out, false);
}

crumb_status crumb_import_matmul(const crumb_import_node *n) {
    int weight;
    CRUMB_TRY(linear_weight(n, false, 0, &weight));
    return crumb_import_rows(n, weight, NULL);
}

/* ---- Normalisation. */

crumb_status crumb_import_batch_norm(const crumb_import_node *n) {
    static const char *const members[] = {"", "weight", "bias", "running_mean", "running_var"};
    crumb_shape x = n->x[0]->shape;
    int64_t training, spatial;
    double eps, momentum;
    int input[6], y;
    CRUMB_TRY(crumb_import_int(n, "training_mode", 0, &training));
    CRUMB_TRY(crumb_import_int(n, "spatial", 1, &spatial));
    CRUMB_TRY(crumb_import_real(n, "epsilon", 1e-5, &eps));
    CRUMB_TRY(crumb_import_real(n, "momentum", 0.9, &momentum));
    if (training != 0 || spatial != 1 || n->inputs < 5 || x.rank < 2 || x.rank > 4) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "training_mode %" PRId64 ", spatial %" PRId64 ", %d inputs, %d dimensions; "
                                 "supported are 0, 1, 5 and 2 to 4",
                                 training, spatial, n->inputs, x.rank);
    }
    CRUMB_TRY(crumb_import_last(n, n->x[0], &input[0]));
    for (int k = 1; k < 5; k++) {
        CRUMB_TRY(crumb_import_vector(n, n->x[k], x.dim[1], k < 3, members[k], &input[k]));
    }
    CRUMB_TRY(crumb_import_filled(n, "num_batches_tracked", 0, 0, false, &input[5]));
    crumb_batch_norm_params p = {.eps = eps, .momentum = 1 - momentum};
    CRUMB_TRY(crumb_import_emit(n, &crumb_op_batch_norm, &p, 6, input, &y));
    return crumb_import_set(n, 0, y, x, x.rank > 2);
}

crumb_status crumb_import_lrn(const crumb_import_node *n) {
    crumb_lrn_params p;
    int at;
    CRUMB_TRY(crumb_import_int(n, "size", 0, &p.size));
    CRUMB_TRY(crumb_import_real(n, "alpha", 1e-4, &p.alpha));
    CRUMB_TRY(crumb_import_real(n, "beta", 0.75, &p.beta));
    CRUMB_TRY(crumb_import_real(n, "bias", 1, &p.bias));
    CRUMB_TRY(crumb_import_last(n, n->x[0], &at));
    CRUMB_TRY(crumb_import_emit(n, &crumb_op_lrn, &p, 1, &at, &at));
    return crumb_import_set(n, 0, at, n->x[0]->shape, n->x[0]->shape.rank > 2);
}
