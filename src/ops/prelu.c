/* Parametric rectifier (He et al. 2015): y = x where x > 0, else slope[c] * x with one learned slope a channel. */
#include "ops/infer.h"
#include "ops/loops.h"

static void forward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    const crumb_real *x = call->x[0].data, *slope = call->x[1].data;
    crumb_real *y = call->y.data;
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
        for (int64_t c = 0; c < channels; c++) { /* both sides first: no branch, so it vectorises; so below */
            crumb_real value = x[row * channels + c], below = slope[c] * value;
            y[row * channels + c] = value > 0 ? value : below;
        }
    }
}

static void backward_x(const crumb_op_call *call, int64_t rows, int64_t channels) {
    const crumb_real *x = call->x[0].data, *slope = call->x[1].data, *dy = call->dy;
    crumb_real *dx = call->dx[0];
    const bool add = call->add[0];
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
        for (int64_t c = 0; c < channels; c++) {
            int64_t at = row * channels + c;
            crumb_real g = dy[at], below = slope[c] * g, before = dx[at], value = x[at] > 0 ? g : below;
            dx[at] = add ? before + value : value;
        }
    }
}

/* dslope[c] = sum of dy x where x <= 0 */
static void backward_slope(const crumb_op_call *call, int64_t rows, int64_t channels) {
    const crumb_real *x = call->x[0].data, *dy = call->dy;
    crumb_real *dslope = call->dx[1];
#pragma omp parallel for if (rows * channels > CRUMB_LOOP_PARALLEL)
    for (int64_t first = 0; first < channels; first += CRUMB_LOOP_CHANNELS) {
        int64_t width = crumb_loop_width(channels, first);
        double sum[CRUMB_LOOP_CHANNELS] = {0};
        for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
            for (int64_t j = 0; j < width; j++) {
                int64_t at = row * channels + first + j;
                double product = (double)dy[at] * (double)x[at];
                sum[j] += x[at] > 0 ? 0 : product;
            }
        }
        for (int64_t j = 0; j < width; j++) {
            crumb_put(dslope + first + j, (crumb_real)sum[j], call->add[1]);
        }
    }
}

static void backward(crumb_op_call *call) {
    int64_t channels = crumb_shape_last(call->y.shape), rows = crumb_shape_count(call->y.shape) / channels;
    if (call->dx[0] != NULL) {
        backward_x(call, rows, channels);
    }
    if (call->dx[1] != NULL) {
        backward_slope(call, rows, channels);
    }
}

const crumb_op CRUMB_OP_NAME(prelu) = {
    .name = "prelu",
    .doc = "y = max(x, 0) + slope[c] * min(x, 0)",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = "x slope",
    .roles = {CRUMB_DATA, CRUMB_PARAM},
    .uses = CRUMB_USES_X0,
    .infer = crumb_infer_per_channel,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_elementwise,
};
