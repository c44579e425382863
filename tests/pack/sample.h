/* Small packed networks for tests: weights, thresholds and images drawn from a seed. */
#ifndef CRUMB_TEST_SAMPLE_H
#define CRUMB_TEST_SAMPLE_H

#include "base/rng.h"
#include "pack/build.h"

#include <stdlib.h>

typedef struct sample {
    crumb_build build;
    crumb_rng rng;
} sample;

static inline float sample_real(sample *s) {
    return 4.0f * crumb_rng_uniform(&s->rng) - 2.0f;
}

/* A vector of `count` floats, or a float weight of rows x columns. */
static inline int32_t sample_floats(sample *s, int32_t rows, int32_t columns, bool ascending) {
    float *value = calloc((size_t)rows * (size_t)columns, sizeof(*value));
    for (int32_t i = 0; i < rows * columns; i++) {
        value[i] = ascending && i > 0 ? value[i - 1] + crumb_rng_uniform(&s->rng) : sample_real(s);
    }
    int32_t tensor = crumb_build_floats(&s->build, rows, columns, value);
    free(value);
    return tensor;
}

static inline int32_t sample_codes(sample *s, int32_t rows, int32_t columns, crumb_packed_codes codes) {
    uint16_t *index = calloc((size_t)rows * (size_t)columns, sizeof(*index));
    for (int32_t i = 0; i < rows * columns; i++) {
        index[i] = (uint16_t)crumb_rng_below(&s->rng, (uint32_t)codes.levels);
    }
    int32_t tensor = crumb_build_codes(&s->build, rows, columns, codes, index);
    free(index);
    return tensor;
}

/* Channels of a value; 1 once the build has failed. */
static inline int32_t sample_channels(const sample *s, int32_t value) {
    return s->build.status == CRUMB_OK ? s->build.packed.value[value].channels : 1;
}

/* quantize by rounding to codes lo .. lo + levels - 1. */
static inline int32_t sample_round(sample *s, int32_t x, int32_t levels, int32_t lo) {
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_QUANTIZE, "round", x);
    crumb_packed_codes codes = {.levels = levels, .multiply = 1, .offset = lo, .scale = 0.25f};
    node.inverse = 4.0f;
    node.lo = (float)lo;
    node.hi = (float)(lo + levels - 1);
    return crumb_build_append(&s->build, &node, &codes);
}

/* quantize by thresholds to the odd codes -L, -L + 2, .. L of `levels` = L + 1 levels (1 bit: the sign). */
static inline int32_t sample_thresholds(sample *s, int32_t x, int32_t levels) {
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_QUANTIZE, "thresholds", x);
    crumb_packed_codes codes = {.levels = levels, .multiply = 2, .offset = 1 - levels, .scale = 0.5f};
    node.thresholds_form = true;
    node.extra = sample_floats(s, 1, levels - 1, true);
    return crumb_build_append(&s->build, &node, &codes);
}

/* A square convolution; weight.levels 0: float weights. stride, padding, dilation, groups come in `shape`. */
static inline int32_t sample_conv(sample *s, int32_t x, int32_t out, int32_t kernel, crumb_packed_codes weight,
                                  crumb_packed_node shape) {
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_CONV2D, "conv", x);
    node.kernel_height = node.kernel_width = kernel;
    node.stride = shape.stride > 0 ? shape.stride : 1;
    node.padding = shape.padding;
    node.dilation = shape.dilation > 0 ? shape.dilation : 1;
    node.groups = shape.groups > 0 ? shape.groups : 1;
    int32_t columns = kernel * kernel * (sample_channels(s, x) / node.groups);
    node.weight = weight.levels > 0 ? sample_codes(s, out, columns, weight) : sample_floats(s, out, columns, false);
    node.multiplier = sample_floats(s, 1, out, false);
    node.bias = sample_floats(s, 1, out, false);
    node.extra = sample_floats(s, 1, 1, false);
    return crumb_build_append(&s->build, &node, NULL);
}

/* A convolution of 1 x 1 whose weights have a scale for each `group` channels. */
static inline int32_t sample_groups(sample *s, int32_t x, int32_t out, int32_t stride, crumb_packed_codes weight,
                                    int32_t group) {
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_CONV2D, "groups", x);
    int32_t columns = sample_channels(s, x);
    node.kernel_height = node.kernel_width = node.dilation = node.groups = 1;
    node.stride = stride;
    node.weight = sample_codes(s, out, columns, weight);
    node.multiplier = sample_floats(s, 1, out, false);
    node.bias = sample_floats(s, 1, out, false);
    node.extra = sample_floats(s, out, (columns + group - 1) / group, false);
    return crumb_build_append(&s->build, &node, NULL);
}

static inline int32_t sample_node(sample *s, crumb_packed_op op, int32_t x) {
    crumb_packed_node node = crumb_build_node_of(op, crumb_packed_op_name(op), x);
    return crumb_build_append(&s->build, &node, NULL);
}

static inline int32_t sample_pair(sample *s, crumb_packed_op op, int32_t a, int32_t b) {
    crumb_packed_node node = crumb_build_node_of(op, crumb_packed_op_name(op), a);
    node.inputs = 2;
    node.input[1] = b;
    return crumb_build_append(&s->build, &node, NULL);
}

static inline int32_t sample_pool(sample *s, crumb_packed_op op, int32_t x, int32_t kernel, int32_t stride, int32_t padding) {
    crumb_packed_node node = crumb_build_node_of(op, crumb_packed_op_name(op), x);
    node.kernel_height = node.kernel_width = kernel;
    node.stride = stride;
    node.padding = padding;
    node.count_inside = op == CRUMB_PACKED_AVERAGE_POOL && padding > 0;
    node.ceil_mode = stride > 1;
    return crumb_build_append(&s->build, &node, NULL);
}

/* A gather to height x width pixels from drawn places, with `holes` some from nowhere; channels 0: the input's. */
static inline int32_t sample_gather(sample *s, int32_t x, int32_t height, int32_t width, int32_t channels, bool holes) {
    if (s->build.status != CRUMB_OK) {
        return 0;
    }
    const crumb_packed_value *v = &s->build.packed.value[x];
    int32_t place[3 * 64] = {0}, count[3] = {height, width, channels > 0 ? channels : v->channels}, n = 0;
    int32_t size[3] = {v->height, v->width, v->channels}, step[3] = {v->width * v->channels, v->channels, 1};
    for (int side = 0; side < 3; side++) {
        for (int32_t i = 0; i < count[side]; i++) {
            bool hole = holes && crumb_rng_below(&s->rng, 5) == 0;
            place[n++] = hole ? -1 : (int32_t)crumb_rng_below(&s->rng, (uint32_t)size[side]) * step[side];
        }
    }
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_GATHER, "gather", x);
    node.made_height = height;
    node.made_width = width;
    node.extra = crumb_build_places(&s->build, n, place);
    bool any = false;
    for (int32_t i = 0; i < n; i++) {
        any = any || place[i] < 0;
    }
    node.lo = !any ? 0.0f : v->codes.levels != 0 ? (float)(v->codes.levels - 1) : -0.75f;
    return crumb_build_append(&s->build, &node, NULL);
}

static inline int32_t sample_constant(sample *s, int32_t like) {
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_CONSTANT, "constant", 0);
    if (s->build.status == CRUMB_OK) {
        const crumb_packed_value *v = &s->build.packed.value[like];
        node.inputs = 0;
        node.made_height = v->height;
        node.made_width = v->width;
        node.extra = sample_floats(s, 1, v->height * v->width * v->channels, false);
    }
    return crumb_build_append(&s->build, &node, NULL);
}

static inline int32_t sample_lrn(sample *s, int32_t x, int32_t size) {
    crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_LRN, "lrn", x);
    node.kernel_height = size;
    node.kernel_width = 1;
    node.inverse = 0.5f;
    node.lo = 0.75f;
    node.hi = 1.5f;
    return crumb_build_append(&s->build, &node, NULL);
}

/* A map through gathers of codes and reals, a constant, windows that are not square, and every function. */
static inline int32_t sample_functions(sample *s, int32_t x) {
    int32_t codes = sample_gather(s, sample_round(s, x, 16, -3), 5, 4, 0, true);
    x = sample_gather(s, sample_node(s, CRUMB_PACKED_DEQUANTIZE, codes), 6, 7, 3, true);
    crumb_packed_node pool = crumb_build_node_of(CRUMB_PACKED_AVERAGE_POOL, "average_pool", x);
    pool.kernel_height = 2;
    pool.kernel_width = 3;
    pool.stride = 1;
    pool.stride_width = 2;
    pool.padding = 1;
    x = crumb_build_append(&s->build, &pool, NULL);
    pool.op = CRUMB_PACKED_MAX_POOL;
    pool.padding = 0;
    pool.input[0] = x;
    x = crumb_build_append(&s->build, &pool, NULL);
    x = sample_pair(s, CRUMB_PACKED_DIV, x, sample_constant(s, x));
    x = sample_pair(s, CRUMB_PACKED_MUL, sample_node(s, CRUMB_PACKED_SIGMOID, x), sample_node(s, CRUMB_PACKED_TANH, x));
    x = sample_lrn(s, sample_node(s, CRUMB_PACKED_LOG_SOFTMAX, x), 3);
    return sample_node(s, CRUMB_PACKED_SOFTMAX, x);
}

/* Every op there is, on a 9 x 8 image of three channels. */
static inline crumb_status sample_every_op(crumb_ctx *ctx, uint64_t seed, crumb_packed **packed) {
    static const char *names[] = {"cat", "dög", "鳥", "", "cat"};
    static const crumb_packed_codes ternary = {.levels = 3, .multiply = 1, .offset = -1};
    static const crumb_packed_codes binary = {.levels = 2, .multiply = 2, .offset = -1};
    static const crumb_packed_codes four = {.levels = 4, .multiply = 1, .offset = -2};
    static const crumb_packed_codes odd = {.levels = 512, .multiply = 2, .offset = -511};
    sample s = {.rng = crumb_rng_at(seed, 0, 0)};
    crumb_build_begin(&s.build, ctx, 9, 8, 3);
    crumb_packed *p = &s.build.packed;
    p->model = "every op";
    p->classes = 5;
    p->class_name = names;
    p->mean[1] = 0.5f;
    p->deviation[2] = 0.25f;
    int32_t x = sample_conv(&s, 0, 4, 3, (crumb_packed_codes){0}, (crumb_packed_node){.padding = 1});
    int32_t weight_only = sample_conv(&s, 0, 4, 3, ternary, (crumb_packed_node){.padding = 1});
    x = sample_pair(&s, CRUMB_PACKED_ADD, sample_node(&s, CRUMB_PACKED_RELU, x), weight_only);
    int32_t two = sample_round(&s, x, 4, 0);
    int32_t a = sample_conv(&s, two, 6, 3, four, (crumb_packed_node){.padding = 1, .stride = 2, .groups = 2});
    int32_t b = sample_conv(&s, sample_thresholds(&s, x, 2), 6, 3, binary,
                            (crumb_packed_node){.padding = 2, .stride = 2, .dilation = 2});
    crumb_packed_node affine = crumb_build_node_of(CRUMB_PACKED_AFFINE, "affine", a);
    affine.multiplier = sample_floats(&s, 1, 6, false);
    affine.bias = sample_floats(&s, 1, 6, false);
    a = crumb_build_append(&s.build, &affine, NULL);
    crumb_packed_node prelu = crumb_build_node_of(CRUMB_PACKED_PRELU, "prelu", b);
    prelu.extra = sample_floats(&s, 1, 6, false);
    b = crumb_build_append(&s.build, &prelu, NULL);
    crumb_packed_node clip = crumb_build_node_of(CRUMB_PACKED_CLIP, "clip", sample_pair(&s, CRUMB_PACKED_MUL, a, b));
    clip.lo = -1.5f;
    clip.hi = 6.0f;
    x = crumb_build_append(&s.build, &clip, NULL);
    crumb_packed_node pad = crumb_build_node_of(CRUMB_PACKED_PAD, "pad", x);
    pad.before = 1;
    pad.after = 2;
    x = sample_pair(&s, CRUMB_PACKED_CONCAT, crumb_build_append(&s.build, &pad, NULL), a);
    int32_t pooled = sample_pool(&s, CRUMB_PACKED_MAX_POOL, sample_round(&s, x, 256, -100), 3, 2, 1);
    int32_t thick = sample_node(&s, CRUMB_PACKED_DEQUANTIZE, sample_node(&s, CRUMB_PACKED_FLATTEN, pooled));
    int32_t wide = sample_conv(&s, pooled, 4, 1, odd, (crumb_packed_node){0});
    wide = sample_pool(&s, CRUMB_PACKED_AVERAGE_POOL, wide, 2, 1, 1);
    crumb_packed_node subsample = crumb_build_node_of(CRUMB_PACKED_SUBSAMPLE, "subsample", wide);
    subsample.stride = 2;
    wide = crumb_build_append(&s.build, &subsample, NULL);
    wide = sample_pool(&s, CRUMB_PACKED_MAX_POOL, wide, 2, 1, 0);
    wide = sample_functions(&s, wide);
    wide = sample_pair(&s, CRUMB_PACKED_CONCAT, sample_node(&s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, wide), thick);
    sample_conv(&s, wide, 5, 1, (crumb_packed_codes){0}, (crumb_packed_node){0});
    return crumb_build_end(&s.build, packed);
}

static inline void sample_image(float *image, int64_t count, uint64_t seed) {
    crumb_rng rng = crumb_rng_at(seed, 1, 0);
    for (int64_t i = 0; i < count; i++) {
        image[i] = crumb_rng_normal(&rng);
    }
}

#endif
