/* Transposed convolution in NHWC, the gradient of conv2d with respect to its input as a layer:
 *
 *     y[n, i s - p + k d, j s - p + l d, o] += x[n,i,j,c] w[c,k,l,o],   o over the output channels of c's group.
 *
 * The weight is [I,KH,KW,O/groups]: in files PyTorch's [I,O/groups,KH,KW]. */
#include "ops/infer.h"
#include "ops/loops.h"

typedef struct geometry {
    int64_t n, h, w, c, out_h, out_w, o, kernel_h, kernel_w;
    int64_t group_c, group_o; /* channels of one group */
    crumb_conv_transpose2d_params p;
} geometry;

static geometry geometry_of(const crumb_op_call *call) {
    const crumb_conv_transpose2d_params *p = call->params;
    const int64_t *x = call->x[0].shape.dim, *weight = call->x[1].shape.dim, *y = call->y.shape.dim;
    return (geometry){.n = x[0],
                      .h = x[1],
                      .w = x[2],
                      .c = x[3],
                      .out_h = y[1],
                      .out_w = y[2],
                      .o = y[3],
                      .kernel_h = weight[1],
                      .kernel_w = weight[2],
                      .group_c = x[3] / p->groups,
                      .group_o = weight[3],
                      .p = *p};
}

static int64_t output_size(int64_t size, int64_t kernel, const crumb_conv_transpose2d_params *p) {
    return (size - 1) * p->stride - 2 * p->padding + (kernel - 1) * p->dilation + 1 + p->output_padding;
}

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    const crumb_conv_transpose2d_params *p = params;
    if (x[0].rank != 4 || x[1].rank != 4) {
        return crumb_infer_fail(ctx, op, inputs, x, "x must be [N,H,W,C], weight [C,KH,KW,O/groups]");
    }
    if (x[1].dim[0] != x[0].dim[3] || x[0].dim[3] % p->groups != 0) {
        return crumb_infer_fail(ctx, op, inputs, x, "channels do not fit %lld groups", (long long)p->groups);
    }
    int64_t out = x[1].dim[3] * p->groups;
    if (inputs == 3 && (x[2].rank != 1 || x[2].dim[0] != out)) {
        return crumb_infer_fail(ctx, op, inputs, x, "bias is not one value an output channel");
    }
    int64_t h = output_size(x[0].dim[1], x[1].dim[1], p), w = output_size(x[0].dim[2], x[1].dim[2], p);
    if (h < 1 || w < 1) {
        return crumb_infer_fail(ctx, op, inputs, x, "padding %lld leaves nothing", (long long)p->padding);
    }
    *plan = (crumb_op_plan){.output = CRUMB_SHAPE(x[0].dim[0], h, w, out)};
    return CRUMB_OK;
}

/* Index of the output pixel that kernel position kl of input pixel ij of image n reaches, -1 outside. */
static int64_t reached(const geometry *g, int64_t n, int64_t ij, int64_t kl) {
    int64_t row = ij / g->w * g->p.stride - g->p.padding + kl / g->kernel_w * g->p.dilation;
    int64_t column = ij % g->w * g->p.stride - g->p.padding + kl % g->kernel_w * g->p.dilation;
    bool inside = row >= 0 && row < g->out_h && column >= 0 && column < g->out_w;
    return inside ? (n * g->out_h + row) * g->out_w + column : -1;
}

static void forward_image(const geometry *g, crumb_real *y, const crumb_real *x, const crumb_real *w, int64_t n) {
    int64_t positions = g->kernel_h * g->kernel_w;
    for (int64_t ij = 0; ij < g->h * g->w; ij++) {
        const crumb_real *in = x + (n * g->h * g->w + ij) * g->c;
        for (int64_t kl = 0; kl < positions; kl++) {
            int64_t pixel = reached(g, n, ij, kl);
            for (int64_t c = 0; pixel >= 0 && c < g->c; c++) {
                crumb_axpy(y + pixel * g->o + c / g->group_c * g->group_o, in[c], w + (c * positions + kl) * g->group_o,
                           g->group_o);
            }
        }
    }
}

static void forward(crumb_op_call *call) {
    geometry g = geometry_of(call);
    const crumb_real *bias = call->inputs == 3 ? call->x[2].data : NULL;
    crumb_real *y = call->y.data;
    int64_t image = g.out_h * g.out_w * g.o;
#pragma omp parallel for if (g.n * image > CRUMB_LOOP_PARALLEL / 8)
    for (int64_t n = 0; n < g.n; n++) {
        for (int64_t i = 0; i < image; i++) {
            y[n * image + i] = bias != NULL ? bias[i % g.o] : 0;
        }
        forward_image(&g, y, call->x[0].data, call->x[1].data, n);
    }
}

static double dot(const crumb_real *a, const crumb_real *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static void backward_x(const geometry *g, crumb_op_call *call) {
    const crumb_real *dy = call->dy, *w = call->x[1].data;
    crumb_real *dx = call->dx[0];
    int64_t pixels = g->h * g->w, positions = g->kernel_h * g->kernel_w;
#pragma omp parallel for if (g->n * pixels * g->c > CRUMB_LOOP_PARALLEL / 8)
    for (int64_t at = 0; at < g->n * pixels; at++) {
        for (int64_t c = 0; c < g->c; c++) {
            double sum = 0;
            for (int64_t kl = 0; kl < positions; kl++) {
                int64_t pixel = reached(g, at / pixels, at % pixels, kl);
                const crumb_real *out = dy + pixel * g->o + c / g->group_c * g->group_o;
                sum += pixel < 0 ? 0 : dot(out, w + (c * positions + kl) * g->group_o, g->group_o);
            }
            crumb_put(dx + at * g->c + c, (crumb_real)sum, call->add[0]);
        }
    }
}

static void backward_weight(const geometry *g, crumb_op_call *call) {
    const crumb_real *dy = call->dy, *x = call->x[0].data;
    crumb_real *dw = call->dx[1];
    int64_t pixels = g->h * g->w, positions = g->kernel_h * g->kernel_w;
#pragma omp parallel for if (g->n * pixels * g->c > CRUMB_LOOP_PARALLEL / 8)
    for (int64_t c = 0; c < g->c; c++) {
        crumb_real *to = dw + c * positions * g->group_o;
        crumb_clear_unless(call->add[1], to, positions * g->group_o);
        for (int64_t at = 0; at < g->n * pixels; at++) {
            for (int64_t kl = 0; kl < positions; kl++) {
                int64_t pixel = reached(g, at / pixels, at % pixels, kl);
                if (pixel >= 0) {
                    crumb_axpy(to + kl * g->group_o, x[at * g->c + c], dy + pixel * g->o + c / g->group_c * g->group_o,
                               g->group_o);
                }
            }
        }
    }
}

static void backward(crumb_op_call *call) {
    geometry g = geometry_of(call);
    if (call->dx[0] != NULL) {
        backward_x(&g, call);
    }
    if (call->dx[1] != NULL) {
        backward_weight(&g, call);
    }
    if (call->inputs == 3 && call->dx[2] != NULL) {
        crumb_channel_sums(call->dx[2], call->dy, NULL, g.n * g.out_h * g.out_w, g.o, call->add[2]);
    }
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    (void)params;
    double terms = 2.0 * (double)(x[1].dim[1] * x[1].dim[2] * x[1].dim[3]);
    return (double)crumb_shape_count(x[0]) * terms + (inputs == 3 ? (double)crumb_shape_count(y) : 0);
}

#define ROW(member, preset, min, doc)                                                                                          \
    { #member, CRUMB_PARAM_INT, offsetof(crumb_conv_transpose2d_params, member), preset, min, 65536, NULL, doc }
static const crumb_param table[] = {
    ROW(stride, "1", 1, "distance of the outputs of neighbouring inputs, pixels"),
    ROW(padding, "0", 0, "pixels taken off each side of the output"),
    ROW(dilation, "1", 1, "distance of the kernel's taps, pixels"),
    ROW(groups, "1", 1, "parts of the channels that do not see each other"),
    ROW(output_padding, "0", 0, "rows and columns put behind the output"),
    {0},
};

const crumb_op CRUMB_OP_NAME(conv_transpose2d) = {
    .name = "conv_transpose2d",
    .doc = "y[n,i*stride-padding+k*dilation,j*stride-padding+l*dilation,o] = b[o] + sum of x[n,i,j,c] w[c,k,l,o]",
    .min_inputs = 2,
    .max_inputs = 3,
    .input_names = "x weight bias",
    .roles = {CRUMB_DATA, CRUMB_PARAM, CRUMB_PARAM},
    .params = table,
    .params_size = sizeof(crumb_conv_transpose2d_params),
    .uses = CRUMB_USES_X0 | CRUMB_USES_X1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
