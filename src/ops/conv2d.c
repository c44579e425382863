/* 2-D convolution (cross-correlation, as in every framework) in NHWC:
 *
 *     y[n,i,j,o] = b[o] + sum_{k,l,c} x[n, i s - p + k d, j s - p + l d, c] w[o,k,l,c],   c over the input channels of o's
 * group.
 *
 * The innermost loop always runs over contiguous channels and adds a multiple of one row to another, so it vectorises without
 * reassociation. For that the forward pass and the weight's gradient use the weight as [KH,KW,C,O], in scratch. */
#include "ops/infer.h"
#include "ops/loops.h"

typedef struct geometry {
    int64_t n, h, w, c, out_h, out_w, o, kernel_h, kernel_w;
    int64_t group_c, group_o; /* channels of one group */
    crumb_conv2d_params p;
} geometry;

static geometry geometry_of(const void *params, const crumb_shape *x, crumb_shape y) {
    const crumb_conv2d_params *p = params;
    return (geometry){.n = x[0].dim[0],
                      .h = x[0].dim[1],
                      .w = x[0].dim[2],
                      .c = x[0].dim[3],
                      .out_h = y.dim[1],
                      .out_w = y.dim[2],
                      .o = y.dim[3],
                      .kernel_h = x[1].dim[1],
                      .kernel_w = x[1].dim[2],
                      .group_c = x[1].dim[3],
                      .group_o = y.dim[3] / p->groups,
                      .p = *p};
}

static geometry geometry_of_call(const crumb_op_call *call) {
    return geometry_of(call->params, (crumb_shape[]){call->x[0].shape, call->x[1].shape}, call->y.shape);
}

/* Pixels that the kernel covers, for output size: negative if the kernel does not fit. */
static int64_t output_size(int64_t size, int64_t kernel, const crumb_conv2d_params *p) {
    int64_t room = size + 2 * p->padding - ((kernel - 1) * p->dilation + 1);
    return room < 0 ? -1 : room / p->stride + 1;
}

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    const crumb_conv2d_params *p = params;
    if (x[0].rank != 4 || x[1].rank != 4) {
        return crumb_infer_fail(ctx, op, inputs, x, "x must be [N,H,W,C], weight [O,KH,KW,C/groups]");
    }
    if (x[1].dim[3] * p->groups != x[0].dim[3] || x[1].dim[0] % p->groups != 0) {
        return crumb_infer_fail(ctx, op, inputs, x, "channels do not fit %lld groups", (long long)p->groups);
    }
    if (inputs == 3 && (x[2].rank != 1 || x[2].dim[0] != x[1].dim[0])) {
        return crumb_infer_fail(ctx, op, inputs, x, "bias is not one value an output channel");
    }
    int64_t out_h = output_size(x[0].dim[1], x[1].dim[1], p), out_w = output_size(x[0].dim[2], x[1].dim[2], p);
    if (out_h < 1 || out_w < 1) {
        return crumb_infer_fail(ctx, op, inputs, x, "the kernel is larger than the image with padding %lld",
                                (long long)p->padding);
    }
    *plan = (crumb_op_plan){.output = CRUMB_SHAPE(x[0].dim[0], out_h, out_w, x[1].dim[0]),
                            .scratch = (size_t)crumb_shape_count(x[1]) * sizeof(crumb_real)};
    return CRUMB_OK;
}

/* The input pixel under kernel position (k, l) of output pixel (i, j) in image n; NULL in the padding. */
static inline const crumb_real *pixel(const geometry *g, const crumb_real *x, int64_t n, int64_t i, int64_t j, int64_t k,
                                      int64_t l) {
    int64_t row = i * g->p.stride - g->p.padding + k * g->p.dilation;
    int64_t column = j * g->p.stride - g->p.padding + l * g->p.dilation;
    bool inside = row >= 0 && row < g->h && column >= 0 && column < g->w;
    return inside ? x + ((n * g->h + row) * g->w + column) * g->c : NULL;
}

/* t[k,l,c,o] = w[o,k,l,c] */
static void transpose(const geometry *g, crumb_real *t, const crumb_real *w) {
    int64_t rows = g->kernel_h * g->kernel_w * g->group_c;
    for (int64_t o = 0; o < g->o; o++) {
        for (int64_t r = 0; r < rows; r++) {
            t[r * g->o + o] = w[o * rows + r];
        }
    }
}

/* out[o] += sum_c in[c] t[c,o] over the channels of each group. */
static void add_pixel(const geometry *g, crumb_real *out, const crumb_real *in, const crumb_real *t) {
    for (int64_t group = 0; group < g->p.groups; group++) {
        for (int64_t c = 0; c < g->group_c; c++) {
            crumb_axpy(out + group * g->group_o, in[group * g->group_c + c], t + c * g->o + group * g->group_o, g->group_o);
        }
    }
}

static void forward(crumb_op_call *call) {
    geometry g = geometry_of_call(call);
    const crumb_real *x = call->x[0].data, *bias = call->inputs == 3 ? call->x[2].data : NULL;
    crumb_real *y = call->y.data, *t = call->scratch;
    transpose(&g, t, call->x[1].data);
#pragma omp parallel for if (crumb_shape_count(call->y.shape) > CRUMB_LOOP_PARALLEL / 8)
    for (int64_t row = 0; row < g.n * g.out_h; row++) {
        for (int64_t j = 0; j < g.out_w; j++) {
            crumb_real *out = y + (row * g.out_w + j) * g.o;
            for (int64_t o = 0; o < g.o; o++) {
                out[o] = bias != NULL ? bias[o] : 0;
            }
            for (int64_t kl = 0; kl < g.kernel_h * g.kernel_w; kl++) {
                const crumb_real *in = pixel(&g, x, row / g.out_h, row % g.out_h, j, kl / g.kernel_w, kl % g.kernel_w);
                if (in != NULL) {
                    add_pixel(&g, out, in, t + kl * g.group_c * g.o);
                }
            }
        }
    }
}

/* dx of image n: each output pixel's gradient goes back to the pixels it saw. */
static void backward_image(const geometry *g, crumb_real *dx, const crumb_real *dy, const crumb_real *w, int64_t n) {
    int64_t positions = g->kernel_h * g->kernel_w;
    for (int64_t ij = 0; ij < g->out_h * g->out_w; ij++) {
        const crumb_real *out = dy + (n * g->out_h * g->out_w + ij) * g->o;
        for (int64_t kl = 0; kl < positions; kl++) {
            crumb_real *in = (crumb_real *)pixel(g, dx, n, ij / g->out_w, ij % g->out_w, kl / g->kernel_w, kl % g->kernel_w);
            for (int64_t o = 0; in != NULL && o < g->o; o++) {
                crumb_axpy(in + o / g->group_o * g->group_c, out[o], w + (o * positions + kl) * g->group_c, g->group_c);
            }
        }
    }
}

/* t[k,l,c,o] = sum over pixels of x dy for one kernel position, group, and at most CRUMB_LOOP_CHANNELS channels from c on. */
static void backward_weight_block(const geometry *g, crumb_real *t, const crumb_real *x, const crumb_real *dy, int64_t kl,
                                  int64_t group, int64_t c) {
    int64_t end = c + crumb_loop_width(g->group_c, c), from = group * g->group_o;
    for (int64_t at = c; at < end; at++) {
        memset(t + (kl * g->group_c + at) * g->o + from, 0, (size_t)g->group_o * sizeof(crumb_real));
    }
    for (int64_t row = 0; row < g->n * g->out_h; row++) {
        for (int64_t j = 0; j < g->out_w; j++) {
            const crumb_real *in = pixel(g, x, row / g->out_h, row % g->out_h, j, kl / g->kernel_w, kl % g->kernel_w);
            const crumb_real *out = dy + (row * g->out_w + j) * g->o + from;
            for (int64_t at = c; in != NULL && at < end; at++) {
                crumb_axpy(t + (kl * g->group_c + at) * g->o + from, in[group * g->group_c + at], out, g->group_o);
            }
        }
    }
}

static void backward_weight(const geometry *g, crumb_op_call *call) {
    crumb_real *t = call->scratch, *dw = call->dx[1];
    int64_t blocks = (g->group_c + CRUMB_LOOP_CHANNELS - 1) / CRUMB_LOOP_CHANNELS, positions = g->kernel_h * g->kernel_w;
#pragma omp parallel for schedule(dynamic) if (crumb_shape_count(call->y.shape) > CRUMB_LOOP_PARALLEL / 8)
    for (int64_t task = 0; task < positions * g->p.groups * blocks; task++) {
        backward_weight_block(g, t, call->x[0].data, call->dy, task / blocks / g->p.groups, task / blocks % g->p.groups,
                              task % blocks * CRUMB_LOOP_CHANNELS);
    }
    int64_t rows = positions * g->group_c;
    for (int64_t o = 0; o < g->o; o++) {
        for (int64_t r = 0; r < rows; r++) {
            crumb_put(dw + o * rows + r, t[r * g->o + o], call->add[1]);
        }
    }
}

static void backward(crumb_op_call *call) {
    geometry g = geometry_of_call(call);
    crumb_real *dx = call->dx[0];
    if (dx != NULL) {
        int64_t image = g.h * g.w * g.c;
#pragma omp parallel for if (g.n * image > CRUMB_LOOP_PARALLEL / 8)
        for (int64_t n = 0; n < g.n; n++) {
            crumb_clear_unless(call->add[0], dx + n * image, image);
            backward_image(&g, dx, call->dy, call->x[1].data, n);
        }
    }
    if (call->dx[1] != NULL) {
        backward_weight(&g, call);
    }
    if (call->inputs == 3 && call->dx[2] != NULL) {
        crumb_channel_sums(call->dx[2], call->dy, NULL, g.n * g.out_h * g.out_w, g.o, call->add[2]);
    }
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    geometry g = geometry_of(params, x, y);
    double terms = 2.0 * (double)(g.kernel_h * g.kernel_w * g.group_c) + (inputs == 3);
    return (double)crumb_shape_count(y) * terms;
}

#define ROW(member, preset, min, doc)                                                                                          \
    { #member, CRUMB_PARAM_INT, offsetof(crumb_conv2d_params, member), preset, min, 65536, NULL, doc }
static const crumb_param table[] = {
    ROW(stride, "1", 1, "step of the window, pixels"),
    ROW(padding, "0", 0, "zeros on each side of the image, pixels"),
    ROW(dilation, "1", 1, "distance of the kernel's taps, pixels"),
    ROW(groups, "1", 1, "parts of the channels that do not see each other"),
    {0},
};

const crumb_op CRUMB_OP_NAME(conv2d) = {
    .name = "conv2d",
    .doc = "y[n,i,j,o] = b[o] + sum_{k,l,c} x[n,i*stride-padding+k*dilation,j*stride-padding+l*dilation,c] w[o,k,l,c]",
    .min_inputs = 2,
    .max_inputs = 3,
    .input_names = "x weight bias",
    .roles = {CRUMB_DATA, CRUMB_PARAM, CRUMB_PARAM},
    .params = table,
    .params_size = sizeof(crumb_conv2d_params),
    .uses = CRUMB_USES_X0 | CRUMB_USES_X1, /* the weight may be a quantize node's output */
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
