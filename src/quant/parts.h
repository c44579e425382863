/* What several quantizers are made of: statistics of a tensor, the plain straight-through gradient, alpha * sign(x).
 *
 * Sums are taken in double over fixed parts of the tensor, and the parts' sums in order: the result is a function of the data
 * alone, whatever the number of threads. A tensor is cut into at most CRUMB_PARTS parts of crumb_part_size(count) elements. */
#ifndef CRUMB_PARTS_H
#define CRUMB_PARTS_H

#include "quant/quantizer.h"

enum { CRUMB_PARTS = 256, CRUMB_PART_LEAST = 4096, CRUMB_LANES = 16 };
enum { CRUMB_PARALLEL_LEAST = 1 << 15 }; /* elements below which waking threads costs more than it gains */

static inline int64_t crumb_part_size(int64_t count) {
    int64_t size = (count + CRUMB_PARTS - 1) / CRUMB_PARTS;
    return size > CRUMB_PART_LEAST ? (size + CRUMB_LANES - 1) / CRUMB_LANES * CRUMB_LANES : CRUMB_PART_LEAST;
}

/* Both are NaN if any element is NaN. count > 0. */
float crumb_mean_abs(const float *x, int64_t count);
float crumb_max_abs(const float *x, int64_t count);

/* Fills values[o] for each output channel o of a weight with of(call, its elements), or with the whole tensor's value. */
typedef float (*crumb_statistic)(const crumb_quant_call *call, const float *x, int64_t count);
void crumb_statistic_fill(const crumb_quant_call *call, bool per_channel, float *values, crumb_statistic of);
float crumb_statistic_mean_abs(const crumb_quant_call *call, const float *x, int64_t count);

/* dx = gain * dy where |x| <= limit, else 0. INFINITY and 1: the gradient passes unchanged. */
void crumb_straight_through(const crumb_quant_call *call, float limit, float gain);

/* y = alpha * sign(x), sign(0) = +1; alpha[o] for output channel o of a weight, or alpha[0] for all. */
void crumb_binary_fake(const crumb_quant_call *call, const float *alpha, bool per_channel);
/* Its codes -1 and +1. */
void crumb_binary_encode(const crumb_quant_call *call, const float *alpha, bool per_channel, crumb_codes *codes);

#endif
