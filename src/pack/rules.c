/* The table of ops: names, members, shape rules, operations. */
#include "pack/rules.h"

#include <math.h>
#include <stdio.h>

/* Members of a node that an op reads; the others must be 0, tensor indices -1. */
enum {
    KERNEL = 1 << 0,
    STRIDE = 1 << 1,
    PADDING = 1 << 2,
    DILATION = 1 << 3,
    GROUPS = 1 << 4,
    AROUND = 1 << 5, /* before, after */
    INSIDE = 1 << 6, /* count_inside */
    FORM = 1 << 7,   /* thresholds_form, inverse */
    LIMITS = 1 << 8, /* lo, hi */
    WEIGHT = 1 << 9,
    SCALES = 1 << 10, /* multiplier, bias */
    EXTRA = 1 << 11,
    CEIL = 1 << 12,   /* ceil_mode */
    INVERSE = 1 << 13 /* without a form */
};

enum { PADDING_MAX = 255, OFFSET_MAX = 1024 };

typedef struct rule_call {
    const crumb_packed *packed;
    const char *file;
    int32_t index;
    const crumb_packed_node *node;
    const crumb_packed_value *x[CRUMB_PACKED_INPUTS_MAX];
} rule_call;

typedef struct rule {
    const char *name;
    int inputs_min, inputs_max;
    unsigned members;
    crumb_status (*infer)(const rule_call *call, crumb_packed_value *out);
    double per_output; /* operations an element of the output, without those of a window */
} rule;

static const rule rules[CRUMB_PACKED_OPS];

const char *crumb_packed_op_name(crumb_packed_op op) {
    return rules[op].name;
}

/* ---- Failures. */

CRUMB_PRINTF(2, 3) static crumb_status bad(const rule_call *call, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return crumb_fail(call->packed->ctx, CRUMB_ERROR_FORMAT, "%s: node %d, %s '%.80s': %s", call->file, (int)call->index,
                      rules[call->node->op].name, call->node->name, text);
}

static crumb_status need_range(const rule_call *call, const char *what, int32_t value, int32_t min, int32_t max) {
    return value >= min && value <= max ? CRUMB_OK
                                        : bad(call, "%s %d is outside %d .. %d", what, (int)value, (int)min, (int)max);
}

static crumb_status need_real(const rule_call *call) {
    for (int k = 0; k < call->node->inputs; k++) {
        if (call->x[k]->codes.levels != 0) {
            return bad(call, "input %d is codes, not REAL", k);
        }
    }
    return CRUMB_OK;
}

static crumb_status need_codes(const rule_call *call) {
    return call->x[0]->codes.levels != 0 ? CRUMB_OK : bad(call, "the input is REAL, not codes");
}

static crumb_status need_finite(const rule_call *call, const char *what, const float *value, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(value[i])) {
            return bad(call, "%s %lld is %g", what, (long long)i, (double)value[i]);
        }
    }
    return CRUMB_OK;
}

/* A float tensor of one row and `count` finite numbers. */
static crumb_status need_vector(const rule_call *call, const char *what, int32_t tensor, int32_t count) {
    if (tensor < 0 || tensor >= call->packed->tensors) {
        return bad(call, "%s is tensor %d of %d", what, (int)tensor, (int)call->packed->tensors);
    }
    const crumb_packed_tensor *t = &call->packed->tensor[tensor];
    if (t->encoding != CRUMB_PACKED_FLOAT || t->rows != 1 || t->columns != count) {
        return bad(call, "%s is %d x %d %s, not %d floats", what, (int)t->rows, (int)t->columns,
                   t->encoding == CRUMB_PACKED_FLOAT ? "floats" : "codes", (int)count);
    }
    return need_finite(call, what, crumb_packed_floats(call->packed, tensor), count);
}

static crumb_status make(const rule_call *call, crumb_packed_value *out, int64_t height, int64_t width, int64_t channels) {
    int64_t most = CRUMB_PACKED_ELEMENTS_MAX;
    if (height < 1 || width < 1 || channels < 1 || height > most || width > most / height ||
        channels > most / (height * width)) {
        return bad(call, "makes %lld x %lld x %lld elements", (long long)height, (long long)width, (long long)channels);
    }
    out->height = (int32_t)height;
    out->width = (int32_t)width;
    out->channels = (int32_t)channels;
    return CRUMB_OK;
}

static crumb_status make_real(const rule_call *call, crumb_packed_value *out, int64_t height, int64_t width, int64_t channels) {
    out->codes = (crumb_packed_codes){0};
    return make(call, out, height, width, channels);
}

/* ---- Codes. */

static bool same_codes(const crumb_packed_codes *a, const crumb_packed_codes *b) {
    return a->levels == b->levels && a->bits == b->bits && a->multiply == b->multiply && a->offset == b->offset;
}

bool crumb_packed_codes_valid(const crumb_packed_codes *codes, int32_t levels) {
    static const crumb_packed_codes none;
    if (codes->levels == 0) {
        return same_codes(codes, &none) && codes->scale == 0.0f;
    }
    return codes->levels >= 2 && codes->levels <= levels && codes->bits == crumb_packed_bits(codes->levels) &&
           (codes->multiply == 1 || codes->multiply == 2) && codes->offset >= -OFFSET_MAX && codes->offset <= OFFSET_MAX &&
           isfinite(codes->scale) && codes->scale >= 0.0f;
}

static crumb_status infer_rounding(const rule_call *call, const crumb_packed_codes *codes) {
    const crumb_packed_node *node = call->node;
    if (node->extra != -1) {
        return bad(call, "rounds, but has tensor %d", (int)node->extra);
    }
    if (!isfinite(node->inverse) || codes->multiply != 1 || node->lo != (float)codes->offset ||
        node->hi != (float)(codes->offset + codes->levels - 1)) {
        return bad(call, "inverse %g and limits %g .. %g for codes %d .. %d", (double)node->inverse, (double)node->lo,
                   (double)node->hi, (int)codes->offset, (int)(codes->offset + codes->levels - 1));
    }
    return CRUMB_OK;
}

static crumb_status infer_thresholds(const rule_call *call, const crumb_packed_codes *codes) {
    const crumb_packed_node *node = call->node;
    if (node->inverse != 0.0f || node->lo != 0.0f || node->hi != 0.0f) {
        return bad(call, "has thresholds and limits");
    }
    if (node->extra < 0 || node->extra >= call->packed->tensors) {
        return bad(call, "thresholds are tensor %d of %d", (int)node->extra, (int)call->packed->tensors);
    }
    const crumb_packed_tensor *t = &call->packed->tensor[node->extra];
    if (t->encoding != CRUMB_PACKED_FLOAT || t->rows != 1 || t->columns != codes->levels - 1) {
        return bad(call, "%d x %d thresholds for %d levels", (int)t->rows, (int)t->columns, (int)codes->levels);
    }
    const float *threshold = crumb_packed_floats(call->packed, node->extra);
    for (int32_t i = 0; i < t->columns; i++) {
        if (isnan(threshold[i]) || (i > 0 && threshold[i] < threshold[i - 1])) {
            return bad(call, "threshold %d is %g, not above the last", (int)i, (double)threshold[i]);
        }
    }
    return CRUMB_OK;
}

static crumb_status infer_quantize(const rule_call *call, crumb_packed_value *out) {
    const crumb_packed_codes *codes = &out->codes;
    CRUMB_TRY(need_real(call));
    if (codes->levels == 0 || !crumb_packed_codes_valid(codes, CRUMB_PACKED_ACTIVATION_MAX)) {
        return bad(call, "%d levels of %d bits, code %d * index + %d, scale %g", (int)codes->levels, (int)codes->bits,
                   (int)codes->multiply, (int)codes->offset, (double)codes->scale);
    }
    CRUMB_TRY(call->node->thresholds_form ? infer_thresholds(call, codes) : infer_rounding(call, codes));
    return make(call, out, call->x[0]->height, call->x[0]->width, call->x[0]->channels);
}

static crumb_status infer_dequantize(const rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(need_codes(call));
    return make_real(call, out, call->x[0]->height, call->x[0]->width, call->x[0]->channels);
}

/* ---- Convolution. */

/* Pixels of a window's rows (or columns) along an image of `size`: negative if the window does not fit. */
static int64_t positions(int64_t size, int64_t extent, int64_t padding, int64_t stride) {
    int64_t room = size + 2 * padding - extent;
    return room < 0 ? 0 : room / stride + 1;
}

static crumb_status check_window(const rule_call *call) {
    const crumb_packed_node *node = call->node;
    CRUMB_TRY(need_range(call, "kernel height", node->kernel_height, 1, CRUMB_PACKED_WINDOW_MAX));
    CRUMB_TRY(need_range(call, "kernel width", node->kernel_width, 1, CRUMB_PACKED_WINDOW_MAX));
    return need_range(call, "stride", node->stride, 1, CRUMB_PACKED_WINDOW_MAX);
}

static crumb_status check_padding(const rule_call *call, int64_t least_extent) {
    int64_t most = least_extent - 1 < PADDING_MAX ? least_extent - 1 : PADDING_MAX;
    return need_range(call, "padding", call->node->padding, 0, (int32_t)most);
}

/* The weight's tensor, its shape, and the codes on both sides. */
static crumb_status check_weight(const rule_call *call) {
    const crumb_packed_node *node = call->node;
    if (node->weight < 0 || node->weight >= call->packed->tensors) {
        return bad(call, "weight is tensor %d of %d", (int)node->weight, (int)call->packed->tensors);
    }
    const crumb_packed_tensor *weight = &call->packed->tensor[node->weight];
    const crumb_packed_value *x = call->x[0];
    if (node->groups < 1 || x->channels % node->groups != 0 || weight->rows % node->groups != 0) {
        return bad(call, "%d channels and %d outputs in %d groups", (int)x->channels, (int)weight->rows, (int)node->groups);
    }
    int64_t columns = (int64_t)node->kernel_height * node->kernel_width * (x->channels / node->groups);
    if (columns != weight->columns) {
        return bad(call, "weight has %d values an output, the window %lld", (int)weight->columns, (long long)columns);
    }
    if (weight->encoding == CRUMB_PACKED_PLACES) {
        return bad(call, "weight is tensor %d, which is of places", (int)node->weight);
    }
    if (weight->codes.levels == 0) { /* then padding adds nothing to any sum, whether it is left out or 0 */
        CRUMB_TRY(need_finite(call, "weight", crumb_packed_floats(call->packed, node->weight), columns * weight->rows));
    }
    if (x->codes.levels == 0) {
        return CRUMB_OK;
    }
    if (weight->codes.levels == 0) {
        return bad(call, "float weights on codes");
    }
    int64_t sum = columns * crumb_packed_reach(&x->codes) * crumb_packed_reach(&weight->codes);
    return sum <= INT32_MAX
               ? CRUMB_OK
               : bad(call, "a sum of %lld products may reach %lld, beyond int32", (long long)columns, (long long)sum);
}

/* Scales of groups of a weight's channels. */
static crumb_status check_groups(const rule_call *call) {
    const crumb_packed_node *node = call->node;
    const crumb_packed_tensor *weight = &call->packed->tensor[node->weight], *scale = &call->packed->tensor[node->extra];
    int32_t group = crumb_packed_group(call->packed, node);
    if (scale->encoding != CRUMB_PACKED_FLOAT || (weight->columns - 1) / group + 1 != scale->columns) {
        return bad(call, "weight scales are %d x %d %s for %d weights an output: of no group of 16, 32, 64 or 128",
                   (int)scale->rows, (int)scale->columns, scale->encoding == CRUMB_PACKED_FLOAT ? "floats" : "codes",
                   (int)weight->columns);
    }
    if (call->x[0]->codes.levels != 0 || weight->codes.levels == 0 || node->kernel_height != 1 || node->kernel_width != 1 ||
        node->groups != 1) {
        return bad(call,
                   "scales of groups of %d weights want a REAL input, codes and a kernel of 1 x 1, not %d x %d in %d groups",
                   (int)group, (int)node->kernel_height, (int)node->kernel_width, (int)node->groups);
    }
    const float *value = crumb_packed_floats(call->packed, node->extra);
    return need_finite(call, "weight scale", value, (int64_t)scale->rows * scale->columns);
}

static crumb_status check_weight_scales(const rule_call *call) {
    const crumb_packed_node *node = call->node;
    if (node->extra == -1) {
        return CRUMB_OK;
    }
    if (node->extra < 0 || node->extra >= call->packed->tensors) {
        return bad(call, "weight scales are tensor %d of %d", (int)node->extra, (int)call->packed->tensors);
    }
    if (crumb_packed_group(call->packed, node) > 0) {
        return check_groups(call);
    }
    bool one = call->packed->tensor[node->extra].columns == 1;
    return need_vector(call, "weight scale", node->extra, one ? 1 : call->packed->tensor[node->weight].rows);
}

static crumb_status infer_conv2d(const rule_call *call, crumb_packed_value *out) {
    const crumb_packed_node *node = call->node;
    const crumb_packed_value *x = call->x[0];
    CRUMB_TRY(check_window(call));
    CRUMB_TRY(need_range(call, "dilation", node->dilation, 1, CRUMB_PACKED_WINDOW_MAX));
    CRUMB_TRY(check_weight(call));
    int64_t high = (int64_t)(node->kernel_height - 1) * node->dilation + 1;
    int64_t wide = (int64_t)(node->kernel_width - 1) * node->dilation + 1;
    CRUMB_TRY(check_padding(call, high < wide ? high : wide));
    const crumb_packed_tensor *weight = &call->packed->tensor[node->weight];
    CRUMB_TRY(need_vector(call, "multiplier", node->multiplier, weight->rows));
    CRUMB_TRY(need_vector(call, "bias", node->bias, weight->rows));
    CRUMB_TRY(check_weight_scales(call));
    return make_real(call, out, positions(x->height, high, node->padding, node->stride),
                     positions(x->width, wide, node->padding, node->stride), weight->rows);
}

/* ---- Element by element. */

static crumb_status infer_same(const rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(need_real(call));
    return make_real(call, out, call->x[0]->height, call->x[0]->width, call->x[0]->channels);
}

static crumb_status infer_affine(const rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(need_vector(call, "multiplier", call->node->multiplier, call->x[0]->channels));
    CRUMB_TRY(need_vector(call, "bias", call->node->bias, call->x[0]->channels));
    return infer_same(call, out);
}

static crumb_status infer_binary(const rule_call *call, crumb_packed_value *out) {
    const crumb_packed_value *a = call->x[0], *b = call->x[1];
    if (a->height != b->height || a->width != b->width || a->channels != b->channels) {
        return bad(call, "inputs of %d x %d x %d and %d x %d x %d", (int)a->height, (int)a->width, (int)a->channels,
                   (int)b->height, (int)b->width, (int)b->channels);
    }
    return infer_same(call, out);
}

static crumb_status infer_prelu(const rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(need_vector(call, "slope", call->node->extra, call->x[0]->channels));
    return infer_same(call, out);
}

static crumb_status infer_clip(const rule_call *call, crumb_packed_value *out) {
    if (!isfinite(call->node->lo) || !isfinite(call->node->hi) || call->node->lo > call->node->hi) {
        return bad(call, "limits %g .. %g", (double)call->node->lo, (double)call->node->hi);
    }
    return infer_same(call, out);
}

/* ---- Pixels and channels. */

/* Of a pool along a side of `size`. With ceil_mode the last one must still begin in front of the image's end. */
static int64_t windows(const crumb_packed_node *node, int64_t size, int64_t kernel, int64_t stride) {
    int64_t count = positions(size + (node->ceil_mode ? stride - 1 : 0), kernel, node->padding, stride);
    return count > 0 && (count - 1) * stride >= size + node->padding ? count - 1 : count;
}

static crumb_status infer_pool(const rule_call *call, crumb_packed_value *out) {
    const crumb_packed_node *node = call->node;
    const crumb_packed_value *x = call->x[0];
    CRUMB_TRY(check_window(call));
    CRUMB_TRY(check_padding(call, node->kernel_height < node->kernel_width ? node->kernel_height : node->kernel_width));
    CRUMB_TRY(need_range(call, "stride along a row", node->stride_width, 0, CRUMB_PACKED_WINDOW_MAX));
    out->codes = x->codes;
    return make(call, out, windows(node, x->height, node->kernel_height, node->stride),
                windows(node, x->width, node->kernel_width, crumb_packed_stride_width(node)), x->channels);
}

static crumb_status infer_average_pool(const rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(need_real(call));
    return infer_pool(call, out);
}

static crumb_status infer_global_average_pool(const rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(need_real(call));
    return make_real(call, out, 1, 1, call->x[0]->channels);
}

static crumb_status infer_concat(const rule_call *call, crumb_packed_value *out) {
    const crumb_packed_value *first = call->x[0];
    int64_t channels = 0;
    CRUMB_TRY(need_real(call));
    for (int k = 0; k < call->node->inputs; k++) {
        const crumb_packed_value *x = call->x[k];
        if (x->height != first->height || x->width != first->width) {
            return bad(call, "input %d is %d x %d, the first %d x %d", k, (int)x->height, (int)x->width, (int)first->height,
                       (int)first->width);
        }
        channels += x->channels;
    }
    return make_real(call, out, first->height, first->width, channels);
}

static crumb_status infer_pad(const rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(need_real(call));
    CRUMB_TRY(need_range(call, "before", call->node->before, 0, CRUMB_PACKED_ELEMENTS_MAX));
    CRUMB_TRY(need_range(call, "after", call->node->after, 0, CRUMB_PACKED_ELEMENTS_MAX));
    return make_real(call, out, call->x[0]->height, call->x[0]->width,
                     (int64_t)call->x[0]->channels + call->node->before + call->node->after);
}

static crumb_status infer_subsample(const rule_call *call, crumb_packed_value *out) {
    const crumb_packed_value *x = call->x[0];
    CRUMB_TRY(need_range(call, "stride", call->node->stride, 1, CRUMB_PACKED_WINDOW_MAX));
    out->codes = x->codes;
    return make(call, out, (x->height - 1) / call->node->stride + 1, (x->width - 1) / call->node->stride + 1, x->channels);
}

static crumb_status infer_flatten(const rule_call *call, crumb_packed_value *out) {
    out->codes = call->x[0]->codes;
    return make(call, out, 1, 1, crumb_packed_elements(call->x[0]));
}

/* ---- Any element anywhere. */

/* The tensor `extra` of that encoding, whose columns begin with `before` others than the channels. */
static crumb_status need_parts(const rule_call *call, crumb_packed_encoding encoding, int64_t before, int64_t *channels) {
    const crumb_packed_node *node = call->node;
    if (node->extra < 0 || node->extra >= call->packed->tensors) {
        return bad(call, "what it reads is tensor %d of %d", (int)node->extra, (int)call->packed->tensors);
    }
    const crumb_packed_tensor *t = &call->packed->tensor[node->extra];
    *channels = t->columns - before;
    return t->encoding == encoding && t->rows == 1 && *channels >= 1
               ? CRUMB_OK
               : bad(call, "tensor %d of %d x %d, encoding %d, makes no %d x %d pixels", (int)node->extra, (int)t->rows,
                     (int)t->columns, (int)t->encoding, (int)node->made_height, (int)node->made_width);
}

/* Each place is -1 or at least 0. *largest: of them; *none: whether some are -1. */
static crumb_status check_places(const rule_call *call, const int32_t *place, int64_t count, int64_t *largest, bool *none) {
    int32_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        if (place[i] < -1) {
            return bad(call, "place %d", (int)place[i]);
        }
        most = place[i] > most ? place[i] : most;
        *none = *none || place[i] < 0;
    }
    *largest += most;
    return CRUMB_OK;
}

static crumb_status check_filling(const rule_call *call) {
    const crumb_packed_codes *codes = &call->x[0]->codes;
    float lo = call->node->lo;
    bool fits = isfinite(lo) && call->node->hi == 0.0f;
    if (fits && codes->levels != 0) {
        fits = lo >= 0.0f && lo < (float)codes->levels && lo == (float)(int32_t)lo;
    }
    return fits ? CRUMB_OK : bad(call, "it fills with %g, %g", (double)lo, (double)call->node->hi);
}

static crumb_status infer_gather(const rule_call *call, crumb_packed_value *out) {
    const crumb_packed_node *node = call->node;
    int64_t channels, largest = 0;
    bool none = false;
    CRUMB_TRY(need_range(call, "height", node->made_height, 1, CRUMB_PACKED_ELEMENTS_MAX));
    CRUMB_TRY(need_range(call, "width", node->made_width, 1, CRUMB_PACKED_ELEMENTS_MAX));
    CRUMB_TRY(need_parts(call, CRUMB_PACKED_PLACES, (int64_t)node->made_height + (int64_t)node->made_width, &channels));
    crumb_packed_places at = crumb_packed_places_of(call->packed, node);
    CRUMB_TRY(check_places(call, at.row, node->made_height, &largest, &none));
    CRUMB_TRY(check_places(call, at.column, node->made_width, &largest, &none));
    CRUMB_TRY(check_places(call, at.channel, channels, &largest, &none));
    if (largest >= crumb_packed_elements(call->x[0])) {
        return bad(call, "place %lld of %lld elements", (long long)largest, (long long)crumb_packed_elements(call->x[0]));
    }
    CRUMB_TRY(none ? check_filling(call) : CRUMB_OK);
    if (!none && (node->lo != 0.0f || node->hi != 0.0f)) {
        return bad(call, "it fills nothing, with %g, %g", (double)node->lo, (double)node->hi);
    }
    out->codes = call->x[0]->codes;
    return make(call, out, node->made_height, node->made_width, channels);
}

static crumb_status infer_constant(const rule_call *call, crumb_packed_value *out) {
    const crumb_packed_node *node = call->node;
    int64_t elements, pixels = (int64_t)node->made_height * node->made_width;
    CRUMB_TRY(need_range(call, "height", node->made_height, 1, CRUMB_PACKED_ELEMENTS_MAX));
    CRUMB_TRY(need_range(call, "width", node->made_width, 1, CRUMB_PACKED_ELEMENTS_MAX));
    CRUMB_TRY(need_parts(call, CRUMB_PACKED_FLOAT, 0, &elements));
    if (elements % pixels != 0) {
        return bad(call, "%lld elements for %lld pixels", (long long)elements, (long long)pixels);
    }
    CRUMB_TRY(need_finite(call, "element", crumb_packed_floats(call->packed, node->extra), elements));
    return make_real(call, out, node->made_height, node->made_width, elements / pixels);
}

static crumb_status infer_lrn(const rule_call *call, crumb_packed_value *out) {
    const crumb_packed_node *node = call->node;
    CRUMB_TRY(need_range(call, "window", node->kernel_height, 1, CRUMB_PACKED_WINDOW_MAX));
    CRUMB_TRY(need_range(call, "window's width", node->kernel_width, 1, 1));
    if (!(node->inverse >= 0.0f && node->lo >= 0.0f && node->hi > 0.0f) || !isfinite(node->inverse + node->lo + node->hi)) {
        return bad(call, "alpha %g, beta %g, bias %g", (double)node->inverse, (double)node->lo, (double)node->hi);
    }
    return infer_same(call, out);
}

/* ---- The table. */

static const rule rules[CRUMB_PACKED_OPS] = {
    [CRUMB_PACKED_QUANTIZE] = {"quantize", 1, 1, FORM | LIMITS | EXTRA, infer_quantize, 1},
    [CRUMB_PACKED_DEQUANTIZE] = {"dequantize", 1, 1, 0, infer_dequantize, 1},
    [CRUMB_PACKED_CONV2D] = {"conv2d", 1, 1, KERNEL | STRIDE | PADDING | DILATION | GROUPS | WEIGHT | SCALES | EXTRA,
                             infer_conv2d, 0},
    [CRUMB_PACKED_AFFINE] = {"affine", 1, 1, SCALES, infer_affine, 2},
    [CRUMB_PACKED_ADD] = {"add", 2, 2, 0, infer_binary, 1},
    [CRUMB_PACKED_MUL] = {"mul", 2, 2, 0, infer_binary, 1},
    [CRUMB_PACKED_RELU] = {"relu", 1, 1, 0, infer_same, 1},
    [CRUMB_PACKED_PRELU] = {"prelu", 1, 1, EXTRA, infer_prelu, 1},
    [CRUMB_PACKED_CLIP] = {"clip", 1, 1, LIMITS, infer_clip, 1},
    [CRUMB_PACKED_MAX_POOL] = {"max_pool", 1, 1, KERNEL | STRIDE | PADDING | DILATION | CEIL, infer_pool, 0},
    [CRUMB_PACKED_AVERAGE_POOL] = {"average_pool", 1, 1, KERNEL | STRIDE | PADDING | DILATION | CEIL | INSIDE,
                                   infer_average_pool, 0},
    [CRUMB_PACKED_GLOBAL_AVERAGE_POOL] = {"global_average_pool", 1, 1, 0, infer_global_average_pool, 0},
    [CRUMB_PACKED_CONCAT] = {"concat", 1, CRUMB_PACKED_INPUTS_MAX, 0, infer_concat, 0},
    [CRUMB_PACKED_PAD] = {"pad", 1, 1, AROUND, infer_pad, 0},
    [CRUMB_PACKED_SUBSAMPLE] = {"subsample", 1, 1, STRIDE, infer_subsample, 0},
    [CRUMB_PACKED_FLATTEN] = {"flatten", 1, 1, 0, infer_flatten, 0},
    [CRUMB_PACKED_GATHER] = {"gather", 1, 1, AROUND | LIMITS | EXTRA, infer_gather, 0},
    [CRUMB_PACKED_CONSTANT] = {"constant", 0, 0, AROUND | EXTRA, infer_constant, 0},
    [CRUMB_PACKED_DIV] = {"div", 2, 2, 0, infer_binary, 1},
    [CRUMB_PACKED_SIGMOID] = {"sigmoid", 1, 1, 0, infer_same, 1},
    [CRUMB_PACKED_TANH] = {"tanh", 1, 1, 0, infer_same, 1},
    [CRUMB_PACKED_SOFTMAX] = {"softmax", 1, 1, 0, infer_same, 4},
    [CRUMB_PACKED_LOG_SOFTMAX] = {"log_softmax", 1, 1, 0, infer_same, 4},
    [CRUMB_PACKED_LRN] = {"lrn", 1, 1, KERNEL | INVERSE | LIMITS, infer_lrn, 4},
};

static bool unused_members_are_clear(const crumb_packed_node *node, unsigned members) {
    const struct {
        unsigned member;
        bool clear;
    } parts[] = {
        {KERNEL, node->kernel_height == 0 && node->kernel_width == 0},
        {STRIDE, node->stride == 0},
        {PADDING, node->padding == 0},
        {DILATION, node->dilation == 0},
        {GROUPS, node->groups == 0},
        {AROUND, node->before == 0 && node->after == 0},
        {INSIDE, !node->count_inside},
        {CEIL, !node->ceil_mode},
        {FORM, !node->thresholds_form},
        {FORM | INVERSE, node->inverse == 0.0f},
        {LIMITS, node->lo == 0.0f && node->hi == 0.0f},
        {WEIGHT, node->weight == -1},
        {SCALES, node->multiplier == -1 && node->bias == -1},
        {EXTRA, node->extra == -1},
    };
    bool clear = true;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        clear = clear && (parts[i].clear || (members & parts[i].member) != 0);
    }
    return clear;
}

crumb_status crumb_packed_infer(const crumb_packed *packed, const char *file, int32_t index, crumb_packed_value *out) {
    const crumb_packed_node *node = &packed->node[index];
    if ((unsigned)node->op >= CRUMB_PACKED_OPS) {
        return crumb_fail(packed->ctx, CRUMB_ERROR_FORMAT, "%s: node %d '%.80s': there is no op %d", file, (int)index,
                          node->name, (int)node->op);
    }
    const rule *row = &rules[node->op];
    rule_call call = {.packed = packed, .file = file, .index = index, .node = node};
    CRUMB_TRY(need_range(&call, "number of inputs", node->inputs, row->inputs_min, row->inputs_max));
    for (int k = 0; k < node->inputs; k++) {
        CRUMB_TRY(need_range(&call, "input", node->input[k], 0, index));
        call.x[k] = &packed->value[node->input[k]];
    }
    for (int k = node->inputs; k < CRUMB_PACKED_INPUTS_MAX; k++) {
        CRUMB_TRY(need_range(&call, "input that is none", node->input[k], 0, 0));
    }
    if (node->output != index + 1) {
        return bad(&call, "makes value %d, not %d", (int)node->output, (int)index + 1);
    }
    if (!unused_members_are_clear(node, row->members)) {
        return bad(&call, "a member that the op does not have is set");
    }
    return row->infer(&call, out);
}

double crumb_packed_operations(const crumb_packed *packed, int32_t index) {
    const crumb_packed_node *node = &packed->node[index];
    double outputs = (double)crumb_packed_elements(&packed->value[node->output]);
    double window = (double)node->kernel_height * (double)node->kernel_width;
    switch (node->op) {
    case CRUMB_PACKED_CONV2D:
        return 2.0 * outputs * (double)packed->tensor[node->weight].columns;
    case CRUMB_PACKED_GLOBAL_AVERAGE_POOL:
        return (double)crumb_packed_elements(&packed->value[node->input[0]]);
    default:
        return outputs * (rules[node->op].per_output + window);
    }
}
