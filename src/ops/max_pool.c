/* Maximum of windows, each channel by itself. Padding never wins; of equal values the first does (row by row); a NaN
 * wins. For the backward pass each output's place in its window is saved. */
#include "ops/infer.h"
#include "ops/loops.h"
#include "ops/window.h"

#include <math.h>

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    CRUMB_TRY(crumb_infer_pool(ctx, op, params, inputs, x, plan));
    plan->saved = (size_t)crumb_shape_count(plan->output) * sizeof(uint16_t);
    return CRUMB_OK;
}

/* One output pixel; place (NULL: not wanted) gets k * width + l of each channel's maximum. */
static void pool_pixel(const crumb_window *w, int64_t width, const crumb_real *image, crumb_real *y, uint16_t *place) {
    for (int64_t k = w->top; k < w->bottom; k++) {
        for (int64_t l = w->left; l < w->right; l++) {
            const crumb_real *in = image + crumb_window_at(w, k, l);
            bool first = k == w->top && l == w->left;
            for (int64_t c = 0; c < w->c; c++) {
                if (first || in[c] > y[c] || isnan(in[c])) {
                    y[c] = in[c];
                    if (place != NULL) {
                        place[c] = (uint16_t)(k * width + l);
                    }
                }
            }
        }
    }
}

static void forward(crumb_op_call *call) {
    const crumb_pool_params *p = call->params;
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
    uint16_t *place = call->training ? call->saved : NULL;
    int64_t pixels = crumb_window_pixels(call);
#pragma omp parallel for if (pixels > CRUMB_LOOP_PARALLEL / 64)
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        crumb_window w = crumb_window_of(call, p, pixel);
        pool_pixel(&w, crumb_window_width(p), x, y + pixel * w.c, place != NULL ? place + pixel * w.c : NULL);
    }
}

static void backward(crumb_op_call *call) {
    const crumb_pool_params *p = call->params;
    const crumb_real *dy = call->dy;
    const uint16_t *place = call->saved;
    crumb_real *dx = call->dx[0];
    if (dx == NULL) {
        return;
    }
    int64_t images = call->y.shape.dim[0], pixels = crumb_window_pixels(call) / images;
    int64_t size = crumb_shape_count(call->x[0].shape) / images;
#pragma omp parallel for if (images * size > CRUMB_LOOP_PARALLEL)
    for (int64_t n = 0; n < images; n++) { /* windows overlap only within an image */
        crumb_clear_unless(call->add[0], dx + n * size, size);
        for (int64_t pixel = n * pixels; pixel < (n + 1) * pixels; pixel++) {
            crumb_window w = crumb_window_of(call, p, pixel);
            for (int64_t c = 0; c < w.c; c++) {
                int64_t at = place[pixel * w.c + c];
                dx[crumb_window_at(&w, at / crumb_window_width(p), at % crumb_window_width(p)) + c] += dy[pixel * w.c + c];
            }
        }
    }
}

static const crumb_param table[] = {
    CRUMB_POOL_ROWS,
    {0},
};

const crumb_op CRUMB_OP_NAME(max_pool) = {
    .name = "max_pool",
    .doc = "y[n,i,j,c] = max over k, l < kernel of x[n,i*stride-padding+k,j*stride-padding+l,c]",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_pool_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_pool,
};
