/* Mean of windows, each channel by itself: over the pixels inside the image, or over all of the window with zeros outside
 * (count_include_pad). */
#include "ops/infer.h"
#include "ops/loops.h"
#include "ops/window.h"

/* One divided by the number of values that the mean is taken over. */
static crumb_real share(const crumb_pool_params *p, const crumb_window *w) {
    int64_t count = p->count_include_pad ? p->kernel * crumb_window_width(p) : (w->bottom - w->top) * (w->right - w->left);
    return 1 / (crumb_real)count;
}

static void forward(crumb_op_call *call) {
    const crumb_pool_params *p = call->params;
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
    int64_t pixels = crumb_window_pixels(call);
#pragma omp parallel for if (pixels > CRUMB_LOOP_PARALLEL / 64)
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        crumb_window w = crumb_window_of(call, p, pixel);
        crumb_real *out = y + pixel * w.c, weight = share(p, &w);
        memset(out, 0, (size_t)w.c * sizeof(crumb_real));
        for (int64_t k = w.top; k < w.bottom; k++) {
            for (int64_t l = w.left; l < w.right; l++) {
                crumb_axpy(out, 1, x + crumb_window_at(&w, k, l), w.c);
            }
        }
        for (int64_t c = 0; c < w.c; c++) {
            out[c] *= weight;
        }
    }
}

static void backward(crumb_op_call *call) {
    const crumb_pool_params *p = call->params;
    const crumb_real *dy = call->dy;
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
            for (int64_t k = w.top; k < w.bottom; k++) {
                for (int64_t l = w.left; l < w.right; l++) {
                    crumb_axpy(dx + crumb_window_at(&w, k, l), share(p, &w), dy + pixel * w.c, w.c);
                }
            }
        }
    }
}

static const crumb_param table[] = {
    CRUMB_POOL_ROWS,
    {"count_include_pad", CRUMB_PARAM_BOOL, offsetof(crumb_pool_params, count_include_pad), "false", 0, 1, NULL,
     "divide by kernel * kernel everywhere, not by the pixels inside the image"},
    {0},
};

const crumb_op CRUMB_OP_NAME(average_pool) = {
    .name = "average_pool",
    .doc = "y[n,i,j,c] = mean over k, l < kernel of x[n,i*stride-padding+k,j*stride-padding+l,c]",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_pool_params),
    .infer = crumb_infer_pool,
    .forward = forward,
    .backward = backward,
    .flops = crumb_flops_pool,
};
