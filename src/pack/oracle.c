/* The naive executor; see oracle.h. */
#include "pack/oracle.h"

#include "pack/functions.h"

#include <math.h>
#include <string.h>

typedef struct held {
    float *real;
    int32_t *index;
} held;

struct crumb_oracle {
    const crumb_packed *packed;
    held *value;
    int32_t **code; /* of a node's weight, all rows; NULL for float weights and other nodes */
};

typedef struct step {
    crumb_oracle *oracle;
    const crumb_packed_node *node;
    const crumb_packed_value *in, *out; /* first input, output */
    held x, y;
} step;

/* ---- Places. */

static int64_t at(const crumb_packed_value *v, int64_t h, int64_t w, int64_t c) {
    return (h * v->width + w) * v->channels + c;
}

static bool inside(const crumb_packed_value *v, int64_t h, int64_t w) {
    return h >= 0 && h < v->height && w >= 0 && w < v->width;
}

/* ---- Codes. */

static int32_t round_index(const crumb_packed_node *node, float v) {
    float scaled = v * node->inverse;
    float low = scaled > node->lo ? scaled : node->lo;
    float clamped = low < node->hi ? low : node->hi;
    return (int32_t)(rintf(clamped) - node->lo);
}

static int32_t count_thresholds(const float *threshold, int32_t count, float v) {
    int32_t index = 0;
    for (int32_t i = 0; i < count; i++) {
        index += v >= threshold[i];
    }
    return index;
}

static void quantize(const step *s) {
    const float *threshold = crumb_packed_floats(s->oracle->packed, s->node->extra);
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.index[i] = s->node->thresholds_form ? count_thresholds(threshold, s->out->codes.levels - 1, s->x.real[i])
                                                 : round_index(s->node, s->x.real[i]);
    }
}

static void dequantize(const step *s) {
    const crumb_packed_codes *codes = &s->in->codes;
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.real[i] = codes->scale * (float)crumb_packed_code(codes, s->x.index[i]);
    }
}

/* ---- Convolution. */

typedef struct window {
    int64_t first;         /* channel of the group's first input */
    int64_t channels, row; /* channels of a group; the output's first weight */
    int64_t top, left;     /* input pixel under kernel position (0, 0) */
} window;

static int64_t sum_codes(const step *s, const window *w) {
    const int32_t *code = s->oracle->code[s->node->output - 1];
    int64_t sum = 0;
    for (int64_t kh = 0; kh < s->node->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->node->kernel_width; kw++) {
            int64_t h = w->top + kh * s->node->dilation, v = w->left + kw * s->node->dilation;
            for (int64_t c = 0; inside(s->in, h, v) && c < w->channels; c++) {
                int64_t x = crumb_packed_code(&s->in->codes, s->x.index[at(s->in, h, v, w->first + c)]);
                sum += x * code[w->row + (kh * s->node->kernel_width + kw) * w->channels + c];
            }
        }
    }
    return sum;
}

/* The weights of one tap for one output: codes or floats. */
typedef struct tap {
    const int32_t *code;
    const float *weight;
} tap;

static float weight_at(const tap *t, int64_t c) {
    return t->code != NULL ? (float)t->code[c] : t->weight[c];
}

/* Channels that are summed among themselves before they are added; 1: all go into one sum. */
static int64_t channels_at_a_time(int32_t levels) {
    return levels == 2 ? 4 : levels == 3 || levels == 4 ? 2 : 1;
}

static float add_tap(float sum, const float *x, const tap *t, int64_t channels, int64_t together) {
    for (int64_t c = 0; c < channels; c += together) {
        float part = together > 1 ? 0.0f : sum;
        for (int64_t i = c; i < c + together && i < channels; i++) {
            part = fmaf(x[i], weight_at(t, i), part);
        }
        sum = together > 1 ? sum + part : part;
    }
    return sum;
}

/* One pixel's channels by an output's weights, which have a scale for every `group` of them. */
static float sum_groups(const step *s, const window *w, int64_t group) {
    const crumb_packed_node *node = s->node;
    const crumb_packed_tensor *tensor = &s->oracle->packed->tensor[node->weight];
    const int32_t *code = s->oracle->code[node->output - 1] + w->row;
    const float *x = s->x.real + at(s->in, w->top, w->left, 0);
    const float *scale = crumb_packed_floats(s->oracle->packed, node->extra) +
                         w->row / tensor->columns * s->oracle->packed->tensor[node->extra].columns;
    float sum = 0.0f;
    for (int64_t c = 0; c < w->channels; c += group) {
        int64_t count = w->channels - c < group ? w->channels - c : group;
        float part = add_tap(0.0f, x + c, &(tap){.code = code + c}, count, channels_at_a_time(tensor->codes.levels));
        sum = fmaf(part, *scale++, sum);
    }
    return sum;
}

static float sum_reals(const step *s, const window *w) {
    int32_t group = crumb_packed_group(s->oracle->packed, s->node);
    if (group > 0) {
        return sum_groups(s, w, group);
    }
    const crumb_packed_tensor *tensor = &s->oracle->packed->tensor[s->node->weight];
    const int32_t *code = s->oracle->code[s->node->output - 1];
    int64_t together = channels_at_a_time(tensor->codes.levels);
    float sum = 0.0f;
    for (int64_t kh = 0; kh < s->node->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->node->kernel_width; kw++) {
            int64_t h = w->top + kh * s->node->dilation, v = w->left + kw * s->node->dilation;
            int64_t first = w->row + (kh * s->node->kernel_width + kw) * w->channels;
            tap t = {.code = code != NULL ? code + first : NULL,
                     .weight = code != NULL ? NULL : (const float *)tensor->data + first};
            if (inside(s->in, h, v)) {
                sum = add_tap(sum, s->x.real + at(s->in, h, v, w->first), &t, w->channels, together);
            }
        }
    }
    return sum;
}

static void conv2d(const step *s) {
    const crumb_packed *packed = s->oracle->packed;
    const crumb_packed_node *node = s->node;
    const float *multiplier = crumb_packed_floats(packed, node->multiplier), *bias = crumb_packed_floats(packed, node->bias);
    int64_t columns = packed->tensor[node->weight].columns, channels = s->in->channels / node->groups;
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        int64_t o = i % s->out->channels, pixel = i / s->out->channels;
        window w = {.first = o / (s->out->channels / node->groups) * channels,
                    .channels = channels,
                    .row = o * columns,
                    .top = pixel / s->out->width * node->stride - node->padding,
                    .left = pixel % s->out->width * node->stride - node->padding};
        float sum = s->in->codes.levels != 0 ? (float)sum_codes(s, &w) : sum_reals(s, &w);
        s->y.real[i] = fmaf(sum, multiplier[o], bias[o]);
    }
}

/* ---- Element by element. */

static void affine(const step *s) {
    const float *multiplier = crumb_packed_floats(s->oracle->packed, s->node->multiplier);
    const float *bias = crumb_packed_floats(s->oracle->packed, s->node->bias);
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        int64_t c = i % s->out->channels;
        s->y.real[i] = fmaf(s->x.real[i], multiplier[c], bias[c]);
    }
}

static void add(const step *s) {
    const float *b = s->oracle->value[s->node->input[1]].real;
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.real[i] = s->x.real[i] + b[i];
    }
}

static void mul(const step *s) {
    const float *b = s->oracle->value[s->node->input[1]].real;
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.real[i] = s->x.real[i] * b[i];
    }
}

static void relu(const step *s) {
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.real[i] = s->x.real[i] > 0.0f ? s->x.real[i] : 0.0f;
    }
}

static void prelu(const step *s) {
    const float *slope = crumb_packed_floats(s->oracle->packed, s->node->extra);
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        float v = s->x.real[i];
        s->y.real[i] = v > 0.0f ? v : slope[i % s->out->channels] * v;
    }
}

static void clip(const step *s) {
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        float v = s->x.real[i];
        s->y.real[i] = v < s->node->lo ? s->node->lo : v > s->node->hi ? s->node->hi : v;
    }
}

/* ---- Pools. */

static void max_pool_at(const step *s, int64_t h, int64_t w, int64_t c) {
    int64_t best = -1;
    for (int64_t kh = 0; kh < s->node->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->node->kernel_width; kw++) {
            int64_t y = h * s->node->stride - s->node->padding + kh,
                    x = w * crumb_packed_stride_width(s->node) - s->node->padding + kw;
            if (!inside(s->in, y, x)) {
                continue;
            }
            int64_t i = at(s->in, y, x, c);
            bool larger = best < 0 || (s->x.real != NULL ? s->x.real[i] > s->x.real[best] : s->x.index[i] > s->x.index[best]);
            best = larger ? i : best;
        }
    }
    if (s->x.real != NULL) {
        s->y.real[at(s->out, h, w, c)] = s->x.real[best];
    } else {
        s->y.index[at(s->out, h, w, c)] = s->x.index[best];
    }
}

static void average_pool_at(const step *s, int64_t h, int64_t w, int64_t c) {
    float sum = 0.0f;
    int32_t count = 0;
    for (int64_t kh = 0; kh < s->node->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->node->kernel_width; kw++) {
            int64_t y = h * s->node->stride - s->node->padding + kh,
                    x = w * crumb_packed_stride_width(s->node) - s->node->padding + kw;
            if (inside(s->in, y, x)) {
                sum += s->x.real[at(s->in, y, x, c)];
                count++;
            }
        }
    }
    int32_t divisor = s->node->count_inside ? count : s->node->kernel_height * s->node->kernel_width;
    s->y.real[at(s->out, h, w, c)] = sum * (1.0f / (float)divisor);
}

static void for_each_output(const step *s, void (*of)(const step *s, int64_t h, int64_t w, int64_t c)) {
    for (int64_t h = 0; h < s->out->height; h++) {
        for (int64_t w = 0; w < s->out->width; w++) {
            for (int64_t c = 0; c < s->out->channels; c++) {
                of(s, h, w, c);
            }
        }
    }
}

static void max_pool(const step *s) {
    for_each_output(s, max_pool_at);
}

static void average_pool(const step *s) {
    for_each_output(s, average_pool_at);
}

static void global_average_pool(const step *s) {
    int64_t pixels = (int64_t)s->in->height * s->in->width;
    for (int64_t c = 0; c < s->in->channels; c++) {
        float sum = 0.0f;
        for (int64_t p = 0; p < pixels; p++) {
            sum += s->x.real[p * s->in->channels + c];
        }
        s->y.real[c] = sum * (1.0f / (float)pixels);
    }
}

/* ---- Rearranging. */

static void concat(const step *s) {
    int64_t pixels = (int64_t)s->out->height * s->out->width, start = 0;
    for (int k = 0; k < s->node->inputs; k++) {
        const float *x = s->oracle->value[s->node->input[k]].real;
        int64_t channels = s->oracle->packed->value[s->node->input[k]].channels;
        for (int64_t i = 0; i < pixels * channels; i++) {
            s->y.real[i / channels * s->out->channels + start + i % channels] = x[i];
        }
        start += channels;
    }
}

static void pad(const step *s) {
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        int64_t c = i % s->out->channels - s->node->before, pixel = i / s->out->channels;
        s->y.real[i] = c >= 0 && c < s->in->channels ? s->x.real[pixel * s->in->channels + c] : 0.0f;
    }
}

static void move(const step *s, int64_t to, int64_t from) {
    if (s->x.real != NULL) {
        s->y.real[to] = s->x.real[from];
    } else {
        s->y.index[to] = s->x.index[from];
    }
}

static void subsample_at(const step *s, int64_t h, int64_t w, int64_t c) {
    move(s, at(s->out, h, w, c), at(s->in, h * s->node->stride, w * s->node->stride, c));
}

static void subsample(const step *s) {
    for_each_output(s, subsample_at);
}

static void flatten(const step *s) {
    int64_t pixels = (int64_t)s->in->height * s->in->width;
    for (int64_t i = 0; i < crumb_packed_elements(s->in); i++) {
        move(s, i % s->in->channels * pixels + i / s->in->channels, i);
    }
}

static void gather(const step *s) {
    crumb_packed_places from = crumb_packed_places_of(s->oracle->packed, s->node);
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        int64_t pixel = i / s->out->channels, row = from.row[pixel / s->out->width];
        int64_t column = from.column[pixel % s->out->width], channel = from.channel[i % s->out->channels];
        if (row >= 0 && column >= 0 && channel >= 0) {
            move(s, i, row + column + channel);
        } else if (s->x.real != NULL) {
            s->y.real[i] = s->node->lo;
        } else {
            s->y.index[i] = (int32_t)s->node->lo;
        }
    }
}

static void constant(const step *s) {
    memcpy(s->y.real, crumb_packed_floats(s->oracle->packed, s->node->extra),
           (size_t)crumb_packed_elements(s->out) * sizeof(*s->y.real));
}

/* ---- Functions of a pixel. */

static void function(const step *s) {
    int64_t channels = s->out->channels;
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i += channels) {
        const float *x[] = {s->x.real + i, s->oracle->value[s->node->input[1]].real};
        x[1] = s->node->inputs > 1 ? x[1] + i : NULL;
        crumb_packed_function_of(s->node->op)(s->node, x, s->y.real + i, channels);
    }
}

static void (*const run_op[CRUMB_PACKED_OPS])(const step *s) = {
    [CRUMB_PACKED_QUANTIZE] = quantize,
    [CRUMB_PACKED_DEQUANTIZE] = dequantize,
    [CRUMB_PACKED_CONV2D] = conv2d,
    [CRUMB_PACKED_AFFINE] = affine,
    [CRUMB_PACKED_ADD] = add,
    [CRUMB_PACKED_MUL] = mul,
    [CRUMB_PACKED_RELU] = relu,
    [CRUMB_PACKED_PRELU] = prelu,
    [CRUMB_PACKED_CLIP] = clip,
    [CRUMB_PACKED_MAX_POOL] = max_pool,
    [CRUMB_PACKED_AVERAGE_POOL] = average_pool,
    [CRUMB_PACKED_GLOBAL_AVERAGE_POOL] = global_average_pool,
    [CRUMB_PACKED_CONCAT] = concat,
    [CRUMB_PACKED_PAD] = pad,
    [CRUMB_PACKED_SUBSAMPLE] = subsample,
    [CRUMB_PACKED_FLATTEN] = flatten,
    [CRUMB_PACKED_GATHER] = gather,
    [CRUMB_PACKED_CONSTANT] = constant,
    [CRUMB_PACKED_DIV] = function,
    [CRUMB_PACKED_SIGMOID] = function,
    [CRUMB_PACKED_TANH] = function,
    [CRUMB_PACKED_SOFTMAX] = function,
    [CRUMB_PACKED_LOG_SOFTMAX] = function,
    [CRUMB_PACKED_LRN] = function,
};

/* ---- The object. */

void crumb_oracle_run(crumb_oracle *oracle, const float *image) {
    const crumb_packed *packed = oracle->packed;
    memcpy(oracle->value[0].real, image, (size_t)crumb_packed_elements(&packed->value[0]) * sizeof(*image));
    for (int32_t i = 0; i < packed->nodes; i++) {
        const crumb_packed_node *node = &packed->node[i];
        run_op[node->op](&(step){.oracle = oracle,
                                 .node = node,
                                 .in = &packed->value[node->input[0]],
                                 .out = &packed->value[node->output],
                                 .x = oracle->value[node->input[0]],
                                 .y = oracle->value[node->output]});
    }
}

const float *crumb_oracle_real(const crumb_oracle *oracle, int32_t value) {
    return oracle->value[value].real;
}

const int32_t *crumb_oracle_index(const crumb_oracle *oracle, int32_t value) {
    return oracle->value[value].index;
}

static crumb_status decode_weight(crumb_oracle *oracle, int32_t node) {
    const crumb_packed *packed = oracle->packed;
    int32_t index = packed->node[node].weight;
    if (index < 0 || packed->tensor[index].codes.levels == 0) {
        return CRUMB_OK;
    }
    const crumb_packed_tensor *t = &packed->tensor[index];
    int32_t *code = oracle->code[node] = crumb_alloc(packed->ctx, (size_t)t->rows * (size_t)t->columns, sizeof(*code));
    uint16_t *row = crumb_alloc(packed->ctx, (size_t)t->columns, sizeof(*row));
    for (int32_t o = 0; code != NULL && row != NULL && o < t->rows; o++) {
        crumb_packed_unpack_row(t, o, row);
        for (int32_t i = 0; i < t->columns; i++) {
            code[(size_t)o * (size_t)t->columns + (size_t)i] = crumb_packed_code(&t->codes, row[i]);
        }
    }
    crumb_free(packed->ctx, row);
    return code != NULL && row != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status hold_value(crumb_oracle *oracle, int32_t value) {
    const crumb_packed_value *v = &oracle->packed->value[value];
    held *to = &oracle->value[value];
    size_t count = (size_t)crumb_packed_elements(v);
    if (v->codes.levels != 0) {
        to->index = crumb_alloc(oracle->packed->ctx, count, sizeof(*to->index));
    } else {
        to->real = crumb_alloc(oracle->packed->ctx, count, sizeof(*to->real));
    }
    return to->index != NULL || to->real != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status fill(crumb_oracle *oracle) {
    const crumb_packed *packed = oracle->packed;
    oracle->value = crumb_alloc(packed->ctx, (size_t)packed->values, sizeof(*oracle->value));
    oracle->code = crumb_alloc(packed->ctx, (size_t)packed->nodes + 1, sizeof(*oracle->code));
    if (oracle->value == NULL || oracle->code == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int32_t i = 0; i < packed->nodes; i++) {
        CRUMB_TRY(decode_weight(oracle, i));
    }
    for (int32_t i = 0; i < packed->values; i++) {
        CRUMB_TRY(hold_value(oracle, i));
    }
    return CRUMB_OK;
}

crumb_status crumb_oracle_create(const crumb_packed *packed, crumb_oracle **out) {
    crumb_oracle *oracle = crumb_alloc(packed->ctx, 1, sizeof(*oracle));
    if (oracle == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    oracle->packed = packed;
    crumb_status status = fill(oracle);
    if (status != CRUMB_OK) {
        crumb_oracle_destroy(oracle);
        return status;
    }
    *out = oracle;
    return CRUMB_OK;
}

void crumb_oracle_destroy(crumb_oracle *oracle) {
    if (oracle == NULL) {
        return;
    }
    crumb_ctx *ctx = oracle->packed->ctx;
    for (int32_t i = 0; oracle->value != NULL && i < oracle->packed->values; i++) {
        crumb_free(ctx, oracle->value[i].real);
        crumb_free(ctx, oracle->value[i].index);
    }
    for (int32_t i = 0; oracle->code != NULL && i < oracle->packed->nodes; i++) {
        crumb_free(ctx, oracle->code[i]);
    }
    crumb_free(ctx, oracle->value);
    crumb_free(ctx, oracle->code);
    crumb_free(ctx, oracle);
}
