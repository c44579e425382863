/* The ops of exact.h, one image, naive. */
#include "lower/exact_parts.h"
#include "lower/lower.h"
#include "ops/broadcast.h"
#include "ops/params.h"
#include "ops/window.h"
#include "pack/functions.h"

#include <math.h>
#include <string.h>

static int64_t size(const exact_step *s) {
    return crumb_shape_count(s->out);
}

static const float *parameter(const exact_step *s, int k) {
    return s->exact->graph->value[s->node->input[k]].data;
}

static float *operand(const exact_step *s, int k) {
    return s->exact->value[s->node->input[k]].real;
}

/* ---- Layers: all kinds as windows over a map, by strides. A transposed convolution's map has zeros between its pixels. */

typedef struct window {
    int64_t height, width, channels; /* of the map; channels of a group */
    int64_t row, column, channel;    /* strides of the map */
    int64_t kernel_height, kernel_width;
    int64_t first, group, weights, kernel_row, kernel_column, kernel_channel; /* of the weight: its first, then strides */
    int64_t stride, padding[2], dilation, groups, between;                    /* distance of the pixels in the map */
    int64_t out_width, outputs;
} window;

static window window_of_conv(const exact_step *s) {
    const crumb_conv2d_params *p = s->node->params;
    crumb_shape w = s->exact->graph->value[s->node->input[1]].shape;
    return (window){.height = s->in.dim[1],
                    .width = s->in.dim[2],
                    .channels = w.dim[3],
                    .row = s->in.dim[2] * s->in.dim[3],
                    .column = s->in.dim[3],
                    .channel = 1,
                    .kernel_height = w.dim[1],
                    .kernel_width = w.dim[2],
                    .weights = w.dim[1] * w.dim[2] * w.dim[3],
                    .group = s->out.dim[3] / p->groups * w.dim[1] * w.dim[2] * w.dim[3],
                    .kernel_row = w.dim[2] * w.dim[3],
                    .kernel_column = w.dim[3],
                    .kernel_channel = 1,
                    .stride = p->stride,
                    .padding = {p->padding, p->padding},
                    .dilation = p->dilation,
                    .groups = p->groups,
                    .between = 1,
                    .out_width = s->out.dim[2],
                    .outputs = s->out.dim[3]};
}

/* The weight is [C, KH, KW, O / groups], and is gone through from its last tap to its first. */
static window window_of_transposed(const exact_step *s) {
    const crumb_conv_transpose2d_params *p = s->node->params;
    crumb_shape w = s->exact->graph->value[s->node->input[1]].shape;
    int64_t row = w.dim[2] * w.dim[3], channels = s->in.dim[3] / p->groups;
    return (window){.height = s->in.dim[1],
                    .width = s->in.dim[2],
                    .channels = channels,
                    .row = s->in.dim[2] * s->in.dim[3],
                    .column = s->in.dim[3],
                    .channel = 1,
                    .kernel_height = w.dim[1],
                    .kernel_width = w.dim[2],
                    .first = (w.dim[1] - 1) * row + row - w.dim[3],
                    .group = channels * w.dim[1] * row,
                    .weights = 1,
                    .kernel_row = -row,
                    .kernel_column = -w.dim[3],
                    .kernel_channel = w.dim[1] * row,
                    .stride = 1,
                    .padding = {(w.dim[1] - 1) * p->dilation - p->padding, (w.dim[2] - 1) * p->dilation - p->padding},
                    .dilation = p->dilation,
                    .groups = p->groups,
                    .between = p->stride,
                    .out_width = s->out.dim[2],
                    .outputs = s->out.dim[3]};
}

/* On a flattened map, channel by channel, the window is the whole map; its sum still goes pixel by pixel, unless groups of
 * inputs have scales. */
static window window_of_linear(const exact_step *s) {
    bool map = s->x->map_height > 0 && s->exact->weight[s->index].size == 0;
    int64_t h = map ? s->x->map_height : 1, w = map ? s->x->map_width : 1;
    int64_t inputs = crumb_shape_last(s->in);
    return (window){.height = h,
                    .width = w,
                    .channels = inputs / (h * w),
                    .row = w,
                    .column = 1,
                    .channel = h * w,
                    .kernel_height = h,
                    .kernel_width = w,
                    .weights = inputs,
                    .kernel_row = w,
                    .kernel_column = 1,
                    .kernel_channel = h * w,
                    .stride = 1,
                    .dilation = 1,
                    .groups = 1,
                    .between = 1,
                    .out_width = 1,
                    .outputs = crumb_shape_last(s->out)};
}

/* One tap: place of its first channel in the map, -1 outside the image; and in the weight. */
typedef struct tap {
    int64_t x, w;
} tap;

static tap tap_at(const window *g, int64_t pixel, int64_t o, int64_t kh, int64_t kw) {
    int64_t h = pixel / g->out_width * g->stride - g->padding[0] + kh * g->dilation;
    int64_t w = pixel % g->out_width * g->stride - g->padding[1] + kw * g->dilation;
    bool inside = h >= 0 && h % g->between == 0 && w >= 0 && w % g->between == 0;
    h /= g->between;
    w /= g->between;
    int64_t outputs = g->outputs / g->groups, group = o / outputs;
    return (tap){inside && h < g->height && w < g->width ? h * g->row + w * g->column + group * g->channels * g->channel : -1,
                 g->first + group * g->group + o % outputs * g->weights + kh * g->kernel_row + kw * g->kernel_column};
}

/* Codes are integers of 16 bits: their products and any sum of 2^22 of them are integers that a double holds, in any order.
 * Four at a time, where the channels lie side by side. */
static double add_codes(const window *g, tap t, const float *x, const float *w, double sum) {
    double part[4] = {0};
    int64_t c = 0;
    for (; g->channel == 1 && g->kernel_channel == 1 && c + 4 <= g->channels; c += 4) {
        for (int i = 0; i < 4; i++) {
            part[i] += (double)x[t.x + c + i] * (double)w[t.w + c + i];
        }
    }
    for (; c < g->channels; c++) {
        sum += (double)x[t.x + c * g->channel] * (double)w[t.w + c * g->kernel_channel];
    }
    return sum + (part[0] + part[1] + part[2] + part[3]);
}

/* Two-level weights four channels at a time, three- and four-level ones two, others straight into the sum. */
static float add_reals(const window *g, tap t, const float *x, const exact_weight *w, const float *floats, float sum) {
    int64_t few = w->code == NULL || w->levels > 4 ? 0 : w->levels == 2 ? 4 : 2;
    float part = 0.0f;
    for (int64_t c = 0; c < g->channels; c++) {
        int64_t at = t.w + c * g->kernel_channel;
        float weight = w->code != NULL ? w->code[at] : floats[at], value = x[t.x + c * g->channel];
        if (few == 0) {
            sum = fmaf(value, weight, sum);
            continue;
        }
        part = fmaf(value, weight, part);
        if (c % few == few - 1 || c + 1 == g->channels) {
            sum += part;
            part = 0.0f;
        }
    }
    return sum;
}

/* The sums of groups of one tap's channels, each by its scale. */
static float sum_groups(const exact_step *s, const window *g, int64_t pixel, int64_t o) {
    const exact_weight *weight = &s->exact->weight[s->index];
    const float *scale = weight->scale + o * (weight->groups / g->outputs);
    tap t = tap_at(g, pixel, o, 0, 0);
    float sum = 0.0f;
    for (int64_t c = 0; t.x >= 0 && c < g->channels; c += weight->size, t.x += weight->size, t.w += weight->size) {
        window part = *g;
        part.channels = g->channels - c < weight->size ? g->channels - c : weight->size;
        sum = fmaf(add_reals(&part, t, s->x->real, weight, NULL, 0.0f), *scale++, sum);
    }
    return sum;
}

static float sum_window(const exact_step *s, const window *g, int64_t pixel, int64_t o) {
    const exact_weight *weight = &s->exact->weight[s->index];
    if (weight->size > 0) {
        return sum_groups(s, g, pixel, o);
    }
    bool codes = s->x->code != NULL && weight->code != NULL;
    double whole = 0;
    float real = 0.0f;
    for (int64_t k = 0; k < g->kernel_height * g->kernel_width; k++) {
        tap t = tap_at(g, pixel, o, k / g->kernel_width, k % g->kernel_width);
        if (t.x >= 0 && codes) {
            whole = add_codes(g, t, s->x->code, weight->code, whole);
        } else if (t.x >= 0) {
            real = add_reals(g, t, s->x->real, weight, parameter(s, 1), real);
        }
    }
    return codes ? (float)whole : real;
}

static void layer(const exact_step *s) {
    window g = s->node->op == &crumb_op_conv2d   ? window_of_conv(s)
               : s->node->op == &crumb_op_linear ? window_of_linear(s)
                                                 : window_of_transposed(s);
    int64_t outputs = size(s);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < outputs; i++) {
        s->y->own_sum[i] = sum_window(s, &g, i / g.outputs, i % g.outputs);
    }
    crumb_exact_settle(s);
}

/* ---- Quantizers. */

static void quantize(const exact_step *s) {
    crumb_quant_call call = crumb_node_call(s->exact->graph, s->index);
    crumb_codes codes = {.code = s->exact->codes, .scale = &s->y->scale, .count = size(s)};
    call.x = s->x->real;
    call.site->quantizer->encode(&call, &codes);
    for (int64_t i = 0; i < size(s); i++) {
        s->y->code[i] = codes.code[i];
        s->y->real[i] = s->y->scale * (float)codes.code[i];
    }
}

/* ---- Element by element. */

static void relu(const exact_step *s) {
    for (int64_t i = 0; i < size(s); i++) {
        s->y->real[i] = s->x->real[i] > 0.0f ? s->x->real[i] : 0.0f;
    }
}

static void prelu(const exact_step *s) {
    for (int64_t i = 0; i < size(s); i++) {
        float v = s->x->real[i];
        s->y->real[i] = v > 0.0f ? v : parameter(s, 1)[i % crumb_shape_last(s->out)] * v;
    }
}

static void clip(const exact_step *s) {
    const crumb_clip_params *p = s->node->params;
    for (int64_t i = 0; i < size(s); i++) {
        float v = s->x->real[i];
        s->y->real[i] = v < (float)p->min ? (float)p->min : v > (float)p->max ? (float)p->max : v;
    }
}

static void add(const exact_step *s) {
    for (int64_t i = 0; i < size(s); i++) {
        s->y->real[i] = s->x->real[i] + operand(s, 1)[i];
    }
}

static void sub(const exact_step *s) {
    for (int64_t i = 0; i < size(s); i++) {
        s->y->real[i] = s->x->real[i] + fmaf(operand(s, 1)[i], -1.0f, 0.0f);
    }
}

static void mul(const exact_step *s) {
    for (int64_t i = 0; i < size(s); i++) {
        s->y->real[i] = s->x->real[i] * operand(s, 1)[i];
    }
}

static void divide(const exact_step *s) {
    for (int64_t i = 0; i < size(s); i++) {
        s->y->real[i] = s->x->real[i] / operand(s, 1)[i];
    }
}

/* With one constant a channel, as a batch norm; else of two tensors. */
static void arithmetic(const exact_step *s) {
    const crumb_op *op = s->node->op;
    if (crumb_lower_is_affine(s->exact->graph, s->index)) {
        crumb_exact_settle(s);
    } else {
        (op == &crumb_op_add ? add : op == &crumb_op_sub ? sub : op == &crumb_op_mul ? mul : divide)(s);
    }
}

static void leaky_relu(const exact_step *s) {
    float slope = (float)((const crumb_leaky_relu_params *)s->node->params)->slope;
    for (int64_t i = 0; i < size(s); i++) {
        s->y->real[i] = s->x->real[i] > 0.0f ? s->x->real[i] : slope * s->x->real[i];
    }
}

static float piece(float x, float slope, float offset) {
    float line = fmaf(x, slope, offset);
    return line < 0.0f ? 0.0f : line > 1.0f ? 1.0f : line;
}

static void hard_sigmoid(const exact_step *s) {
    const crumb_hard_sigmoid_params *p = s->node->params;
    for (int64_t i = 0; i < size(s); i++) {
        s->y->real[i] = piece(s->x->real[i], (float)p->slope, (float)p->offset);
    }
}

static void hard_swish(const exact_step *s) {
    for (int64_t i = 0; i < size(s); i++) {
        s->y->real[i] = piece(s->x->real[i], 1.0f / 6.0f, 0.5f) * s->x->real[i];
    }
}

/* ---- Functions of a pixel. */

static void function(const exact_step *s, crumb_packed_op op) {
    crumb_packed_node node = {.op = op};
    int64_t channels = crumb_shape_last(s->out);
    if (op == CRUMB_PACKED_LRN) {
        const crumb_lrn_params *p = s->node->params;
        node.kernel_height = (int32_t)p->size;
        node.inverse = (float)p->alpha;
        node.lo = (float)p->beta;
        node.hi = (float)p->bias;
    }
    for (int64_t i = 0; i < size(s); i += channels) {
        const float *x = s->x->real + i;
        crumb_packed_function_of(op)(&node, &x, s->y->real + i, channels);
    }
}

static void sigmoid(const exact_step *s) {
    function(s, CRUMB_PACKED_SIGMOID);
}

static void hyperbolic_tangent(const exact_step *s) {
    function(s, CRUMB_PACKED_TANH);
}

static void softmax(const exact_step *s) {
    function(s, CRUMB_PACKED_SOFTMAX);
}

static void log_softmax(const exact_step *s) {
    function(s, CRUMB_PACKED_LOG_SOFTMAX);
}

static void lrn(const exact_step *s) {
    function(s, CRUMB_PACKED_LRN);
}

/* ---- Pools. */

static int64_t place(crumb_shape shape, int64_t h, int64_t w, int64_t c) {
    return (h * shape.dim[2] + w) * shape.dim[3] + c;
}

/* Input element under kernel position k of output element i, -1 outside the image. */
static int64_t pooled(const exact_step *s, const crumb_pool_params *p, int64_t i, int64_t k) {
    int64_t c = i % s->out.dim[3], pixel = i / s->out.dim[3];
    int64_t h = pixel / s->out.dim[2] * p->stride - p->padding + k / crumb_window_width(p);
    int64_t w = pixel % s->out.dim[2] * crumb_window_step(p) - p->padding + k % crumb_window_width(p);
    return h >= 0 && h < s->in.dim[1] && w >= 0 && w < s->in.dim[2] ? place(s->in, h, w, c) : -1;
}

static void max_pool(const exact_step *s) {
    const crumb_pool_params *p = s->node->params;
    for (int64_t i = 0; i < size(s); i++) {
        int64_t best = -1;
        for (int64_t k = 0; k < p->kernel * crumb_window_width(p); k++) {
            int64_t from = pooled(s, p, i, k);
            best = from >= 0 && (best < 0 || s->x->real[from] > s->x->real[best]) ? from : best;
        }
        s->y->real[i] = s->x->real[best];
        if (s->y->code != NULL) {
            s->y->code[i] = s->x->code[best];
        }
    }
}

static void average_pool(const exact_step *s) {
    const crumb_pool_params *p = s->node->params;
    for (int64_t i = 0; i < size(s); i++) {
        float sum = 0.0f;
        int64_t inside = 0;
        for (int64_t k = 0; k < p->kernel * crumb_window_width(p); k++) {
            int64_t from = pooled(s, p, i, k);
            if (from >= 0) {
                sum += s->x->real[from];
                inside++;
            }
        }
        s->y->real[i] = sum * (1.0f / (float)(p->count_include_pad ? p->kernel * crumb_window_width(p) : inside));
    }
}

static void global_max_pool(const exact_step *s) {
    int64_t channels = s->in.dim[3], pixels = s->in.dim[1] * s->in.dim[2];
    for (int64_t c = 0; c < channels; c++) {
        int64_t best = c;
        for (int64_t pixel = 1; pixel < pixels; pixel++) {
            best = s->x->real[pixel * channels + c] > s->x->real[best] ? pixel * channels + c : best;
        }
        s->y->real[c] = s->x->real[best];
        if (s->y->code != NULL) {
            s->y->code[c] = s->x->code[best];
        }
    }
}

static void reduce_mean(const exact_step *s) {
    crumb_broadcast b = crumb_broadcast_of(s->out, s->in);
    for (int64_t i = 0; i < size(s); i++) {
        float sum = 0.0f;
        for (int64_t k = 0; k < b.count[1]; k++) {
            sum += s->x->real[crumb_broadcast_at(&b, 0, i) + crumb_broadcast_at(&b, 1, k)];
        }
        s->y->real[i] = sum * (1.0f / (float)b.count[1]);
    }
}

static void global_average_pool(const exact_step *s) {
    int64_t channels = s->in.dim[3], pixels = s->in.dim[1] * s->in.dim[2];
    for (int64_t c = 0; c < channels; c++) {
        float sum = 0.0f;
        for (int64_t pixel = 0; pixel < pixels; pixel++) {
            sum += s->x->real[pixel * channels + c];
        }
        s->y->real[c] = sum * (1.0f / (float)pixels);
    }
}

/* ---- Rearranging: by the op itself, on the values and on the codes. */

static void run_op(const exact_step *s, float *x, float *y) {
    crumb_op_call call = {.params = s->node->params, .inputs = s->node->inputs, .y = {s->out, y}};
    for (int k = 0; k < s->node->inputs; k++) {
        int value = s->node->input[k];
        float *real = operand(s, k);
        call.x[k] =
            (crumb_tensor){s->exact->graph->value[value].shape, real != NULL ? real : s->exact->graph->value[value].data};
    }
    call.x[0].data = x;
    s->node->op->forward(&call);
}

static void rearrange(const exact_step *s) {
    run_op(s, s->x->real, s->y->real);
    if (s->y->code != NULL) {
        run_op(s, s->x->code, s->y->code);
    }
}

static const struct {
    const crumb_op *op;
    crumb_exact_op run;
} table[] = {
    {&crumb_op_add, arithmetic},
    {&crumb_op_average_pool, average_pool},
    {&crumb_op_batch_norm, crumb_exact_settle},
    {&crumb_op_clip, clip},
    {&crumb_op_concat, rearrange},
    {&crumb_op_conv2d, layer},
    {&crumb_op_conv_transpose2d, layer},
    {&crumb_op_div, arithmetic},
    {&crumb_op_dropout, rearrange},
    {&crumb_op_expand, rearrange},
    {&crumb_op_flatten, rearrange},
    {&crumb_op_gather, rearrange},
    {&crumb_op_global_average_pool, global_average_pool},
    {&crumb_op_global_max_pool, global_max_pool},
    {&crumb_op_hard_sigmoid, hard_sigmoid},
    {&crumb_op_hard_swish, hard_swish},
    {&crumb_op_leaky_relu, leaky_relu},
    {&crumb_op_linear, layer},
    {&crumb_op_log_softmax, log_softmax},
    {&crumb_op_lrn, lrn},
    {&crumb_op_max_pool, max_pool},
    {&crumb_op_mul, arithmetic},
    {&crumb_op_pad, rearrange},
    {&crumb_op_prelu, prelu},
    {&crumb_op_quantize, quantize},
    {&crumb_op_reduce_mean, reduce_mean},
    {&crumb_op_relu, relu},
    {&crumb_op_reshape, rearrange},
    {&crumb_op_resize_nearest, rearrange},
    {&crumb_op_shift, crumb_exact_settle},
    {&crumb_op_sigmoid, sigmoid},
    {&crumb_op_slice, rearrange},
    {&crumb_op_softmax, softmax},
    {&crumb_op_sub, arithmetic},
    {&crumb_op_tanh, hyperbolic_tangent},
    {&crumb_op_transpose, rearrange},
};

crumb_exact_op crumb_exact_find(const crumb_op *op) {
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].op == op) {
            return table[i].run;
        }
    }
    return NULL;
}
