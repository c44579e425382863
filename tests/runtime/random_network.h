/* Packed networks drawn from a seed: every op, shapes with all residues, values with several readers. */
#ifndef CRUMB_TEST_RANDOM_NETWORK_H
#define CRUMB_TEST_RANDOM_NETWORK_H

#include "pack/sample.h"

static inline uint32_t draw(sample *s, uint32_t n) {
    return crumb_rng_below(&s->rng, n);
}

static inline const crumb_packed_value *value_of(const sample *s, int32_t value) {
    return &s->build.packed.value[value];
}

/* A value among the last few, of floats or codes. -1: there is none. */
static inline int32_t recent(sample *s, bool codes) {
    int32_t last = s->build.packed.values - 1;
    for (int tries = 0; tries < 20; tries++) {
        int32_t value = last - (int32_t)draw(s, (uint32_t)(last < 8 ? last + 1 : 8));
        if ((value_of(s, value)->codes.levels != 0) == codes) {
            return value;
        }
    }
    return -1;
}

/* Another value of floats of the same shape as `value`, or itself. */
static inline int32_t partner(sample *s, int32_t value) {
    const crumb_packed_value *a = value_of(s, value);
    int32_t first = (int32_t)draw(s, (uint32_t)s->build.packed.values);
    for (int32_t i = 0; i < s->build.packed.values; i++) {
        int32_t other = (first + i) % s->build.packed.values;
        const crumb_packed_value *b = value_of(s, other);
        if (other != value && b->codes.levels == 0 && a->height == b->height && a->width == b->width &&
            a->channels == b->channels) {
            return other;
        }
    }
    return value;
}

static inline int32_t draw_quantizer(sample *s, int32_t x) {
    static const int32_t levels[] = {2, 3, 4, 5, 8, 16, 256};
    int32_t n = levels[draw(s, 7)];
    if (draw(s, 3) == 0) {
        return sample_thresholds(s, x, n);
    }
    static const int32_t low[] = {0, 0, 0, -1, -100};
    int32_t lo = low[draw(s, 5)];
    return sample_round(s, x, n, lo < -n ? -n / 2 : lo);
}

static inline int32_t draw_conv(sample *s, int32_t x) {
    static const crumb_packed_codes weights[] = {
        {.levels = 2, .multiply = 2, .offset = -1},    {.levels = 3, .multiply = 1, .offset = -1},
        {.levels = 4, .multiply = 1, .offset = -2},    {.levels = 4, .multiply = 2, .offset = -3},
        {.levels = 15, .multiply = 1, .offset = -7},   {.levels = 255, .multiply = 1, .offset = -127},
        {.levels = 511, .multiply = 1, .offset = -255}};
    static const int32_t outputs[] = {1, 3, 8, 15, 16, 17, 24, 33, 40};
    const crumb_packed_value *v = value_of(s, x);
    crumb_packed_codes weight = weights[draw(s, 7)];
    bool real = v->codes.levels == 0;
    crumb_packed_node shape = {.stride = 1 + (int32_t)draw(s, 2), .dilation = 1};
    int32_t kernel = v->height > 1 && v->width > 1 ? 1 + 2 * (int32_t)draw(s, 2) : 1, out = outputs[draw(s, 9)];
    shape.padding = kernel == 3 ? (int32_t)draw(s, 3) : 0;
    if (v->height + 2 * shape.padding < kernel || v->width + 2 * shape.padding < kernel) {
        kernel = 1;
        shape.padding = 0;
    }
    if (real && kernel == 1 && v->channels > CRUMB_PACKED_GROUP_MIN && draw(s, 2) == 0) {
        return sample_groups(s, x, out, shape.stride, weight, CRUMB_PACKED_GROUP_MIN << (v->channels > 32 ? draw(s, 2) : 0));
    }
    uint32_t groups = draw(s, 6);
    if (groups == 0) { /* depthwise */
        out = v->channels;
        shape.groups = v->channels;
    } else if (groups == 1 && v->channels % 2 == 0) {
        out = out / 2 * 2 + 2;
        shape.groups = 2;
    }
    return sample_conv(s, x, out, kernel, real && draw(s, 2) == 0 ? (crumb_packed_codes){0} : weight, shape);
}

static inline int32_t draw_vector_op(sample *s, crumb_packed_op op, int32_t x) {
    crumb_packed_node node = crumb_build_node_of(op, crumb_packed_op_name(op), x);
    if (op == CRUMB_PACKED_AFFINE) {
        node.multiplier = sample_floats(s, 1, sample_channels(s, x), false);
        node.bias = sample_floats(s, 1, sample_channels(s, x), false);
    } else if (op == CRUMB_PACKED_PRELU) {
        node.extra = sample_floats(s, 1, sample_channels(s, x), false);
    } else if (op == CRUMB_PACKED_CLIP) {
        node.lo = -0.5f * crumb_rng_uniform(&s->rng);
        node.hi = 6.0f * crumb_rng_uniform(&s->rng);
    } else if (op == CRUMB_PACKED_PAD) {
        node.before = (int32_t)draw(s, 9);
        node.after = (int32_t)draw(s, 9);
    } else if (op == CRUMB_PACKED_SUBSAMPLE) {
        node.stride = 1 + (int32_t)draw(s, 3);
    }
    return crumb_build_append(&s->build, &node, NULL);
}

static inline void draw_pool(sample *s, crumb_packed_op op, int32_t x) {
    const crumb_packed_value *v = value_of(s, x);
    int32_t least = v->height < v->width ? v->height : v->width, kernel = 1 + (int32_t)draw(s, 3);
    kernel = kernel < least ? kernel : least;
    sample_pool(s, op, x, kernel, 1 + (int32_t)draw(s, 2), (int32_t)draw(s, (uint32_t)(kernel + 1) / 2));
}

static inline void draw_function(sample *s, int32_t x) {
    static const crumb_packed_op ops[] = {CRUMB_PACKED_SIGMOID, CRUMB_PACKED_TANH, CRUMB_PACKED_SOFTMAX,
                                          CRUMB_PACKED_LOG_SOFTMAX};
    uint32_t which = draw(s, 6);
    if (which == 4) {
        sample_lrn(s, x, 1 + 2 * (int32_t)draw(s, 3)); /* ONNX Runtime has odd windows only */
    } else if (which == 5) {
        sample_pair(s, CRUMB_PACKED_DIV, x, partner(s, x));
    } else {
        sample_node(s, ops[which], x);
    }
}

static inline void draw_node(sample *s) {
    static const crumb_packed_op single[] = {CRUMB_PACKED_AFFINE, CRUMB_PACKED_RELU, CRUMB_PACKED_RELU,     CRUMB_PACKED_PRELU,
                                             CRUMB_PACKED_CLIP,   CRUMB_PACKED_PAD,  CRUMB_PACKED_SUBSAMPLE};
    int32_t real = recent(s, false), codes = recent(s, true);
    int32_t either = codes < 0 || (real >= 0 && draw(s, 2) == 0) ? real : codes;
    uint32_t what = draw(s, 36);
    if (what < 6 && real >= 0) {
        draw_quantizer(s, real);
    } else if (what < 14) {
        draw_conv(s, either);
    } else if (what < 20 && real >= 0) {
        draw_vector_op(s, single[draw(s, 7)], real);
    } else if (what < 25 && real >= 0) {
        sample_pair(s, draw(s, 3) == 0 ? CRUMB_PACKED_MUL : CRUMB_PACKED_ADD, real, partner(s, real));
    } else if (what == 25 && codes >= 0) {
        sample_node(s, CRUMB_PACKED_DEQUANTIZE, codes);
    } else if (what == 26) {
        draw_pool(s, CRUMB_PACKED_MAX_POOL, either);
    } else if (what == 27 && real >= 0) {
        draw_pool(s, CRUMB_PACKED_AVERAGE_POOL, real);
    } else if (what == 28 && real >= 0 && sample_channels(s, real) < 100) {
        sample_pair(s, CRUMB_PACKED_CONCAT, real, partner(s, real));
    } else if (what == 29 && codes >= 0) {
        draw_vector_op(s, CRUMB_PACKED_SUBSAMPLE, codes);
    } else if (what == 30 && s->build.packed.values > 12) {
        sample_node(s, CRUMB_PACKED_FLATTEN, either);
    } else if (what == 31 && real >= 0 && s->build.packed.values > 12) {
        sample_node(s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, real);
    } else if (what >= 34) {
        sample_gather(s, either, 1 + (int32_t)draw(s, 9), 1 + (int32_t)draw(s, 9), 1 + (int32_t)draw(s, 40), draw(s, 2) == 0);
    } else if (what == 33 && real >= 0) {
        sample_constant(s, real);
    } else if (what == 32 && real >= 0) {
        draw_function(s, real);
    }
}

/* `nodes` draws, then a head of five classes. */
static inline crumb_status random_network(crumb_ctx *ctx, uint64_t seed, int nodes, crumb_packed **packed) {
    sample s = {.rng = crumb_rng_at(seed, 7, 0)};
    crumb_build_begin(&s.build, ctx, 5 + (int32_t)draw(&s, 6), 5 + (int32_t)draw(&s, 6), 1 + (int32_t)draw(&s, 4));
    s.build.packed.classes = 5;
    for (int i = 0; i < nodes; i++) {
        draw_node(&s);
    }
    int32_t last = s.build.packed.values - 1;
    if (s.build.status == CRUMB_OK && value_of(&s, last)->codes.levels != 0) {
        last = sample_node(&s, draw(&s, 2) ? CRUMB_PACKED_FLATTEN : CRUMB_PACKED_DEQUANTIZE, last);
        last = value_of(&s, last)->codes.levels != 0 ? sample_node(&s, CRUMB_PACKED_DEQUANTIZE, last) : last;
    }
    last = sample_node(&s, CRUMB_PACKED_GLOBAL_AVERAGE_POOL, last);
    last = sample_node(&s, CRUMB_PACKED_FLATTEN, last);
    last = draw(&s, 2) ? draw_quantizer(&s, last) : last;
    static const crumb_packed_codes eight = {.levels = 255, .multiply = 1, .offset = -127};
    last = sample_conv(&s, last, 5, 1, eight, (crumb_packed_node){0});
    for (uint32_t i = draw(&s, 3); i > 0; i--) {
        draw_vector_op(&s, CRUMB_PACKED_AFFINE, last++);
    }
    return crumb_build_end(&s.build, packed);
}

#endif
