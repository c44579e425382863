/* An image of another size: each output pixel is the input pixel nearest to its place, where "nearest" and "place" are what
 * ONNX's Resize defines. With s = scale, i the output's index:
 *
 *     asymmetric            i / s                      half_pixel            (i + 1/2) / s - 1/2
 *     align_corners         i (in - 1) / (out - 1)     pytorch_half_pixel    (i + 1/2) / s - 1/2, 0 if there is one output
 *     half_pixel_symmetric  half_pixel around the middle of s * in pixels */
#include "ops/infer.h"
#include "ops/loops.h"

#include <math.h>

enum { ASYMMETRIC, HALF_PIXEL, ALIGN_CORNERS, PYTORCH_HALF_PIXEL, HALF_PIXEL_SYMMETRIC };
enum { FLOOR, CEIL, PREFER_FLOOR, PREFER_CEIL };

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    const crumb_resize_nearest_params *p = params;
    if (x[0].rank != 4) {
        return crumb_infer_fail(ctx, op, inputs, x, "x must be [N,H,W,C]");
    }
    *plan = (crumb_op_plan){.output = CRUMB_SHAPE(x[0].dim[0], p->height, p->width, x[0].dim[3])};
    return CRUMB_OK;
}

static double place(int coordinates, double i, double scale, double in, double out) {
    double half = (i + 0.5) / scale - 0.5;
    switch (coordinates) {
    case ASYMMETRIC:
        return i / scale;
    case ALIGN_CORNERS:
        return out > 1 ? i * (in - 1) / (out - 1) : 0;
    case PYTORCH_HALF_PIXEL:
        return out > 1 ? half : 0;
    case HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - out / (scale * in)) + half;
    default:
        return half;
    }
}

/* The input index of output index i. */
static int64_t nearest(const crumb_resize_nearest_params *p, int64_t i, double scale, int64_t in, int64_t out) {
    double at = place(p->coordinates, (double)i, scale, (double)in, (double)out);
    double whole = p->rounding == FLOOR          ? floor(at)
                   : p->rounding == CEIL         ? ceil(at)
                   : p->rounding == PREFER_FLOOR ? ceil(at - 0.5)
                                                 : floor(at + 0.5);
    return whole < 0 ? 0 : whole > (double)(in - 1) ? in - 1 : (int64_t)whole;
}

/* Element of x that output pixel (n, i, j) shows, channel 0. */
static int64_t source(const crumb_op_call *call, int64_t n, int64_t i, int64_t j) {
    const crumb_resize_nearest_params *p = call->params;
    const int64_t *in = call->x[0].shape.dim, *out = call->y.shape.dim;
    int64_t row = nearest(p, i, p->scale_height, in[1], out[1]), column = nearest(p, j, p->scale_width, in[2], out[2]);
    return ((n * in[1] + row) * in[2] + column) * in[3];
}

static void forward(crumb_op_call *call) {
    const int64_t *out = call->y.shape.dim;
    const crumb_real *x = call->x[0].data;
    crumb_real *y = call->y.data;
#pragma omp parallel for if (crumb_shape_count(call->y.shape) > CRUMB_LOOP_PARALLEL)
    for (int64_t row = 0; row < out[0] * out[1]; row++) {
        for (int64_t j = 0; j < out[2]; j++) {
            memcpy(y + (row * out[2] + j) * out[3], x + source(call, row / out[1], row % out[1], j),
                   (size_t)out[3] * sizeof(crumb_real));
        }
    }
}

static void backward(crumb_op_call *call) {
    const int64_t *out = call->y.shape.dim;
    const crumb_real *dy = call->dy;
    crumb_real *dx = call->dx[0];
    int64_t image = crumb_shape_count(call->x[0].shape) / out[0];
#pragma omp parallel for if (crumb_shape_count(call->y.shape) > CRUMB_LOOP_PARALLEL)
    for (int64_t n = 0; n < (dx != NULL ? out[0] : 0); n++) {
        crumb_clear_unless(call->add[0], dx + n * image, image);
        for (int64_t pixel = 0; pixel < out[1] * out[2]; pixel++) {
            crumb_axpy(dx + source(call, n, pixel / out[2], pixel % out[2]), 1, dy + (n * out[1] * out[2] + pixel) * out[3],
                       out[3]);
        }
    }
}

static const crumb_param table[] = {
    {"height", CRUMB_PARAM_INT, offsetof(crumb_resize_nearest_params, height), "2", 1, 65536, NULL, "rows of the output"},
    {"width", CRUMB_PARAM_INT, offsetof(crumb_resize_nearest_params, width), "2", 1, 65536, NULL, "columns of the output"},
    {"scale_height", CRUMB_PARAM_REAL, offsetof(crumb_resize_nearest_params, scale_height), "2", 1e-6, 1e6, NULL,
     "rows of the output for one of the input"},
    {"scale_width", CRUMB_PARAM_REAL, offsetof(crumb_resize_nearest_params, scale_width), "2", 1e-6, 1e6, NULL,
     "columns of the output for one of the input"},
    {"coordinates", CRUMB_PARAM_CHOICE, offsetof(crumb_resize_nearest_params, coordinates), "asymmetric", 0, 0,
     "asymmetric|half_pixel|align_corners|pytorch_half_pixel|half_pixel_symmetric", "where an output pixel lies in the input"},
    {"rounding", CRUMB_PARAM_CHOICE, offsetof(crumb_resize_nearest_params, rounding), "floor", 0, 0,
     "floor|ceil|round_prefer_floor|round_prefer_ceil", "which pixel that is"},
    {0},
};

const crumb_op CRUMB_OP_NAME(resize_nearest) = {
    .name = "resize_nearest",
    .doc = "y[n,i,j,c] = x[n,i',j',c], (i', j') the input pixel nearest to the place of (i, j)",
    .min_inputs = 1,
    .max_inputs = 1,
    .input_names = "x",
    .params = table,
    .params_size = sizeof(crumb_resize_nearest_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
