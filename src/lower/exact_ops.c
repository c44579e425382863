/* The ops of exact.h, one image, naive. */
#include "lower/exact_parts.h"
#include "ops/params.h"

#include <math.h>
#include <string.h>

static int64_t size(const exact_step *s) {
    return crumb_shape_count(s->out);
}

static const float *second(const exact_step *s) {
    return s->exact->value[s->node->input[1]].real;
}

static const float *parameter(const exact_step *s, int k) {
    return s->exact->graph->value[s->node->input[k]].data;
}

/* ---- Layers: both kinds as windows over a map, by strides. */

typedef struct window {
    int64_t height, width, channels; /* of the map; channels of a group */
    int64_t row, column, channel;    /* strides of the map */
    int64_t kernel_height, kernel_width;
    int64_t weights, kernel_row, kernel_column, kernel_channel; /* strides of the weight: output, kernel, channel */
    int64_t stride, padding, dilation, groups;
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
                    .kernel_row = w.dim[2] * w.dim[3],
                    .kernel_column = w.dim[3],
                    .kernel_channel = 1,
                    .stride = p->stride,
                    .padding = p->padding,
                    .dilation = p->dilation,
                    .groups = p->groups,
                    .out_width = s->out.dim[2],
                    .outputs = s->out.dim[3]};
}

/* On a flattened map, channel by channel, the window is the whole map; its sum still goes pixel by pixel. */
static window window_of_linear(const exact_step *s) {
    int64_t h = s->x->map_height > 0 ? s->x->map_height : 1, w = s->x->map_width > 0 ? s->x->map_width : 1;
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
                    .out_width = 1,
                    .outputs = crumb_shape_last(s->out)};
}

/* One tap: place of its first channel in the map, -1 outside the image; and in the weight. */
typedef struct tap {
    int64_t x, w;
} tap;

static tap tap_at(const window *g, int64_t pixel, int64_t o, int64_t kh, int64_t kw) {
    int64_t h = pixel / g->out_width * g->stride - g->padding + kh * g->dilation;
    int64_t w = pixel % g->out_width * g->stride - g->padding + kw * g->dilation;
    bool inside = h >= 0 && h < g->height && w >= 0 && w < g->width;
    int64_t group = o / (g->outputs / g->groups);
    return (tap){inside ? h * g->row + w * g->column + group * g->channels * g->channel : -1,
                 o * g->weights + kh * g->kernel_row + kw * g->kernel_column};
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

static float sum_window(const exact_step *s, const window *g, int64_t pixel, int64_t o) {
    const exact_weight *weight = &s->exact->weight[s->index];
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
    window g = s->node->op == &crumb_op_conv2d ? window_of_conv(s) : window_of_linear(s);
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
        s->y->real[i] = s->x->real[i] + second(s)[i];
    }
}

static void mul(const exact_step *s) {
    for (int64_t i = 0; i < size(s); i++) {
        s->y->real[i] = s->x->real[i] * second(s)[i];
    }
}

/* ---- Pools. */

static int64_t place(crumb_shape shape, int64_t h, int64_t w, int64_t c) {
    return (h * shape.dim[2] + w) * shape.dim[3] + c;
}

/* Input element under kernel position k of output element i, -1 outside the image. */
static int64_t pooled(const exact_step *s, const crumb_pool_params *p, int64_t i, int64_t k) {
    int64_t c = i % s->out.dim[3], pixel = i / s->out.dim[3];
    int64_t h = pixel / s->out.dim[2] * p->stride - p->padding + k / p->kernel;
    int64_t w = pixel % s->out.dim[2] * p->stride - p->padding + k % p->kernel;
    return h >= 0 && h < s->in.dim[1] && w >= 0 && w < s->in.dim[2] ? place(s->in, h, w, c) : -1;
}

static void max_pool(const exact_step *s) {
    const crumb_pool_params *p = s->node->params;
    for (int64_t i = 0; i < size(s); i++) {
        int64_t best = -1;
        for (int64_t k = 0; k < p->kernel * p->kernel; k++) {
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
        for (int64_t k = 0; k < p->kernel * p->kernel; k++) {
            int64_t from = pooled(s, p, i, k);
            if (from >= 0) {
                sum += s->x->real[from];
                inside++;
            }
        }
        s->y->real[i] = sum * (1.0f / (float)(p->count_include_pad ? p->kernel * p->kernel : inside));
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
        call.x[k] = (crumb_tensor){s->exact->graph->value[value].shape, s->exact->value[value].real};
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
    {&crumb_op_add, add},
    {&crumb_op_average_pool, average_pool},
    {&crumb_op_batch_norm, crumb_exact_settle},
    {&crumb_op_clip, clip},
    {&crumb_op_concat, rearrange},
    {&crumb_op_conv2d, layer},
    {&crumb_op_dropout, rearrange},
    {&crumb_op_flatten, rearrange},
    {&crumb_op_global_average_pool, global_average_pool},
    {&crumb_op_linear, layer},
    {&crumb_op_max_pool, max_pool},
    {&crumb_op_mul, mul},
    {&crumb_op_pad, rearrange},
    {&crumb_op_prelu, prelu},
    {&crumb_op_quantize, quantize},
    {&crumb_op_relu, relu},
    {&crumb_op_shift, crumb_exact_settle},
    {&crumb_op_slice, rearrange},
};

crumb_exact_op crumb_exact_find(const crumb_op *op) {
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].op == op) {
            return table[i].run;
        }
    }
    return NULL;
}
