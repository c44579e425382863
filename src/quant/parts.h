/* What several quantizers are made of: statistics of a tensor, the plain straight-through gradient, alpha * sign(x), odd codes.
 *
 * Sums are taken in double over fixed parts of the tensor, and the parts' sums in order: the result is a function of the data
 * alone, whatever the number of threads. A tensor is cut into at most CRUMB_PARTS parts of crumb_part_size(count) elements. */
#ifndef CRUMB_PARTS_H
#define CRUMB_PARTS_H

#include "quant/uniform.h"

enum { CRUMB_PARTS = 256, CRUMB_PART_LEAST = 4096, CRUMB_LANES = 16 };
enum { CRUMB_PARALLEL_LEAST = 1 << 15 }; /* elements below which waking threads costs more than it gains */

static inline int64_t crumb_part_size(int64_t count) {
    int64_t size = (count + CRUMB_PARTS - 1) / CRUMB_PARTS;
    return size > CRUMB_PART_LEAST ? (size + CRUMB_LANES - 1) / CRUMB_LANES * CRUMB_LANES : CRUMB_PART_LEAST;
}

/* Both are NaN if any element is NaN. count > 0. */
float crumb_mean_abs(const float *x, int64_t count);
float crumb_max_abs(const float *x, int64_t count);

/* The step D that minimises sum (|x| - D min(round(|x| / D), top))^2 (uniform_l2.c); max|x| if that is 0 or no number. */
float crumb_step_l2(const float *x, int64_t count, float top);

/* A scale's values: `count` from the `at`-th on. */
typedef struct crumb_span {
    int64_t at, count;
} crumb_span;

/* What the g-th scale of a weight is for: a group of a channel, where its site has groups, or a channel. */
crumb_span crumb_span_of(const crumb_quant_call *call, int64_t g);
/* codes->groups and the values of each: a scale for each group, or for each channel, or one for all. */
void crumb_codes_divide(const crumb_quant_call *call, bool per_channel, crumb_codes *codes);
/* The word of a parameter "group" and what it means for a channel; parameters that begin with such a choice. */
#define CRUMB_GROUP_PARAM(offset_)                                                                                             \
    {                                                                                                                          \
        .name = "group", .type = CRUMB_PARAM_CHOICE, .offset = (offset_), .preset = "none", .choices = "none|16|32|64|128",    \
        .doc = "weights: inputs of an output channel that share a step, for layers with float activations; none: no groups"      \
    }
static inline int64_t crumb_group_of(int choice) {
    return choice == 0 ? 0 : 8 << choice;
}

/* Fills values[o] for each output channel o of a weight (for each group of it, where the site has groups) with of(call, its
 * elements), or with the whole tensor's value. */
typedef float (*crumb_statistic)(const crumb_quant_call *call, const float *x, int64_t count);
void crumb_statistic_fill(const crumb_quant_call *call, bool per_channel, float *values, crumb_statistic of);
float crumb_statistic_mean_abs(const crumb_quant_call *call, const float *x, int64_t count);

/* dx = gain * dy where |x| <= limit, else 0. */
void crumb_straight_through(const crumb_quant_call *call, float limit, float gain);
/* dx = dy: the `grad` of weights with dQ/dw = 1. */
void crumb_pass_gradient(const crumb_quant_call *call);

/* 2^bits: a quantizer that uses every code. */
int crumb_levels_all(const crumb_quant *site);

/* y = alpha sign(x) of a weight, sign(0) = +1; alpha is the first state: one value, or one an output channel. A `fake`. */
void crumb_binary_fake(const crumb_quant_call *call);
/* The codes -1 and +1 of alpha sign(x); alpha[o] for output channel o of a weight, or alpha[0] for all. */
void crumb_binary_encode(const crumb_quant_call *call, const float *alpha, bool per_channel, crumb_codes *codes);

/* The levels of DoReFa's weights and of CTMQ: no zero, codes -L, -L + 2, .. L with L = 2^bits - 1,
 *     code = 2 round(L clip(x * half_inverse + 1/2, 0, 1)) - L,   y = code * scale. */
typedef struct crumb_odd {
    float top, half_inverse, scale;
} crumb_odd;

static inline float crumb_odd_code(const crumb_odd *odd, float x) {
    float v = odd->top * (x * odd->half_inverse + 0.5f);
    v = v > 0.0f ? v : 0.0f; /* NaN: 0 */
    v = v < odd->top ? v : odd->top;
    return 2.0f * crumb_round(v) - odd->top;
}

/* Everything of *codes but the codes: one scale for levels values, code = multiply * index + offset. */
void crumb_codes_describe(crumb_codes *codes, float scale, int levels, int multiply, int offset);

#endif
