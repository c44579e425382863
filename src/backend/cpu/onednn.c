/* oneDNN 2.x behind onednn.h; the only file that includes its header.
 *
 * Activations keep the caller's NHWC layout. Weights are planned as format "any": the library picks the
 * blocked layout of its fastest kernel, and a reorder before the pass (after it, for the weight gradient)
 * moves between that and OHWI. The weights of a training step change every step, so nothing is cached.
 * The library's scratchpad is the caller's workspace, behind the reordered weights.
 */
#include "backend/cpu/onednn.h"
#include "base/threads.h"

#include <oneapi/dnnl/dnnl.h>

#define ALIGN_UP(bytes) (((bytes) + 63) / 64 * 64)

typedef struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int threads;
} device;

struct crumb_onednn_conv {
    device dev;
    int pass;
    dnnl_primitive_t conv, reorder; /* reorder is NULL when the library takes OHWI itself */
    dnnl_memory_t x, y, w_user, w_own, scratch;
    size_t w_bytes, scratch_bytes;
};

struct crumb_onednn_matmul {
    device dev;
    dnnl_primitive_t matmul;
    dnnl_memory_t a, b, c, bias, scratch;
    size_t scratch_bytes;
};

static int device_open(device *dev, int threads) {
    dev->threads = threads;
    return dnnl_engine_create(&dev->engine, dnnl_cpu, 0) != dnnl_success ||
           dnnl_stream_create(&dev->stream, dev->engine, dnnl_stream_default_flags) != dnnl_success;
}

static void device_close(device *dev) {
    if (dev->stream) {
        dnnl_stream_destroy(dev->stream);
    }
    if (dev->engine) {
        dnnl_engine_destroy(dev->engine);
    }
}

static int memory_make(dnnl_memory_t *out, const dnnl_memory_desc_t *desc, device *dev) {
    return dnnl_memory_create(out, desc, dev->engine, DNNL_MEMORY_NONE) != dnnl_success;
}

static void memory_drop(dnnl_memory_t memory) {
    if (memory) {
        dnnl_memory_destroy(memory);
    }
}

static void primitive_drop(dnnl_primitive_t primitive) {
    if (primitive) {
        dnnl_primitive_destroy(primitive);
    }
}

/* The library sizes its thread teams by the OpenMP default of the moment; runs fn under ours. */
static int swap_threads(int threads) {
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

typedef struct {
    dnnl_memory_desc_t x, y, w_any, w_user;
    dnnl_dims_t stride, dilate, pad_l, pad_r;
} conv_descs;

static int describe(conv_descs *d, const crumb_conv2d_shape *s) {
    int64_t oh = crumb_conv2d_out_h(s), ow = crumb_conv2d_out_w(s), cg = s->c / s->groups;
    dnnl_dims_t x_dims = {s->n, s->c, s->h, s->w}, y_dims = {s->n, s->o, oh, ow};
    dnnl_dims_t w_dims = {s->groups, s->o / s->groups, cg, s->kh, s->kw};
    int64_t filter = s->kh * s->kw * cg;
    dnnl_dims_t w_strides = {s->o / s->groups * filter, filter, 1, s->kw * cg, cg};
    int skip = s->groups == 1;
    dnnl_dims_t stride = {s->stride_h, s->stride_w};
    dnnl_dims_t dilate = {s->dilation_h - 1, s->dilation_w - 1};
    dnnl_dims_t pad_l = {s->pad_top, s->pad_left}, pad_r = {s->pad_bottom, s->pad_right};
    for (int i = 0; i < 2; i++) {
        d->stride[i] = stride[i];
        d->dilate[i] = dilate[i];
        d->pad_l[i] = pad_l[i];
        d->pad_r[i] = pad_r[i];
    }
    /* The library floors the output size and rejects slack: give it the padding that is really read. */
    d->pad_r[0] = (oh - 1) * s->stride_h + (s->kh - 1) * s->dilation_h + 1 - s->h - s->pad_top;
    d->pad_r[1] = (ow - 1) * s->stride_w + (s->kw - 1) * s->dilation_w + 1 - s->w - s->pad_left;
    return dnnl_memory_desc_init_by_tag(&d->x, 4, x_dims, dnnl_f32, dnnl_nhwc) != dnnl_success ||
           dnnl_memory_desc_init_by_tag(&d->y, 4, y_dims, dnnl_f32, dnnl_nhwc) != dnnl_success ||
           dnnl_memory_desc_init_by_tag(&d->w_any, 5 - skip, w_dims + skip, dnnl_f32, dnnl_format_tag_any) != dnnl_success ||
           dnnl_memory_desc_init_by_strides(&d->w_user, 5 - skip, w_dims + skip, dnnl_f32, w_strides + skip) != dnnl_success;
}

/* The primitive descriptor of a pass; the backward ones need the forward one as a hint. */
static dnnl_primitive_desc_t conv_pd(const conv_descs *d, int pass, dnnl_engine_t engine) {
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t forward = NULL, pd = NULL;
    dnnl_primitive_attr_t attr = NULL;
    if (dnnl_primitive_attr_create(&attr) != dnnl_success) {
        return NULL;
    }
    dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_training, dnnl_convolution_direct, &d->x, &d->w_any,
                                                   NULL, &d->y, d->stride, d->dilate, d->pad_l, d->pad_r) == dnnl_success &&
        dnnl_primitive_desc_create(&forward, &desc, attr, engine, NULL) != dnnl_success) {
        forward = NULL;
    }
    if (pass == CRUMB_ONEDNN_FORWARD || !forward) {
        dnnl_primitive_attr_destroy(attr);
        return forward;
    }
    dnnl_status_t status =
        pass == CRUMB_ONEDNN_BACKWARD_DATA
            ? dnnl_dilated_convolution_backward_data_desc_init(&desc, dnnl_convolution_direct, &d->x, &d->w_any, &d->y,
                                                               d->stride, d->dilate, d->pad_l, d->pad_r)
            : dnnl_dilated_convolution_backward_weights_desc_init(&desc, dnnl_convolution_direct, &d->x, &d->w_any, NULL, &d->y,
                                                                  d->stride, d->dilate, d->pad_l, d->pad_r);
    if (status == dnnl_success && dnnl_primitive_desc_create(&pd, &desc, attr, engine, forward) != dnnl_success) {
        pd = NULL;
    }
    dnnl_primitive_desc_destroy(forward);
    dnnl_primitive_attr_destroy(attr);
    return pd;
}

static int make_reorder(crumb_onednn_conv *c, const dnnl_memory_desc_t *own, const dnnl_memory_desc_t *user) {
    if (dnnl_memory_desc_equal(own, user)) {
        return 0;
    }
    int gradient = c->pass == CRUMB_ONEDNN_BACKWARD_WEIGHTS;
    dnnl_primitive_desc_t pd = NULL;
    if (dnnl_reorder_primitive_desc_create(&pd, gradient ? own : user, c->dev.engine, gradient ? user : own, c->dev.engine,
                                           NULL) != dnnl_success) {
        return 1;
    }
    int failed = dnnl_primitive_create(&c->reorder, pd) != dnnl_success;
    dnnl_primitive_desc_destroy(pd);
    c->w_bytes = ALIGN_UP(dnnl_memory_desc_get_size(own));
    return failed || memory_make(&c->w_own, own, &c->dev);
}

static int conv_build(crumb_onednn_conv *c, const crumb_conv2d_shape *shape) {
    conv_descs d;
    if (device_open(&c->dev, c->dev.threads) || describe(&d, shape)) {
        return 1;
    }
    dnnl_primitive_desc_t pd = conv_pd(&d, c->pass, c->dev.engine);
    if (!pd) {
        return 1;
    }
    const dnnl_memory_desc_t *own = dnnl_primitive_desc_query_md(
        pd, c->pass == CRUMB_ONEDNN_BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    c->scratch_bytes = ALIGN_UP(dnnl_memory_desc_get_size(scratch));
    int failed = dnnl_primitive_create(&c->conv, pd) != dnnl_success || make_reorder(c, own, &d.w_user) ||
                 memory_make(&c->x, &d.x, &c->dev) || memory_make(&c->y, &d.y, &c->dev) ||
                 memory_make(&c->w_user, &d.w_user, &c->dev) || memory_make(&c->scratch, scratch, &c->dev);
    dnnl_primitive_desc_destroy(pd);
    return failed;
}

crumb_status crumb_onednn_conv_create(crumb_ctx *ctx, const crumb_conv2d_shape *shape, int pass, int threads,
                                      crumb_onednn_conv **out) {
    crumb_onednn_conv *c = crumb_alloc(ctx, 1, sizeof *c);
    if (!c) {
        return CRUMB_ERROR_MEMORY;
    }
    c->pass = pass;
    c->dev.threads = threads;
    int before = swap_threads(threads);
    int failed = conv_build(c, shape);
    omp_set_num_threads(before);
    if (failed) {
        crumb_onednn_conv_destroy(ctx, c);
        return CRUMB_ERROR_UNSUPPORTED;
    }
    *out = c;
    return CRUMB_OK;
}

void crumb_onednn_conv_destroy(crumb_ctx *ctx, crumb_onednn_conv *c) {
    if (!c) {
        return;
    }
    primitive_drop(c->conv);
    primitive_drop(c->reorder);
    memory_drop(c->x);
    memory_drop(c->y);
    memory_drop(c->w_user);
    memory_drop(c->w_own);
    memory_drop(c->scratch);
    device_close(&c->dev);
    crumb_free(ctx, c);
}

size_t crumb_onednn_conv_workspace(const crumb_onednn_conv *c) {
    return c->w_bytes + c->scratch_bytes;
}

static int run_reorder(const crumb_onednn_conv *c, dnnl_memory_t from, dnnl_memory_t to) {
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    return dnnl_primitive_execute(c->reorder, c->dev.stream, 2, args) != dnnl_success;
}

static int conv_execute(const crumb_onednn_conv *c, dnnl_memory_t w) {
    static const int names[3][3] = {
        {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
    };
    const int *name = names[c->pass];
    dnnl_exec_arg_t args[] = {{name[0], c->x}, {name[1], w}, {name[2], c->y}, {DNNL_ARG_SCRATCHPAD, c->scratch}};
    return dnnl_primitive_execute(c->conv, c->dev.stream, 4, args) != dnnl_success;
}

int crumb_onednn_conv_run(const crumb_onednn_conv *c, float *x, float *w, float *y, void *workspace) {
    int before = swap_threads(c->dev.threads), failed = 0;
    dnnl_memory_set_data_handle(c->x, x);
    dnnl_memory_set_data_handle(c->y, y);
    dnnl_memory_set_data_handle(c->w_user, w);
    dnnl_memory_set_data_handle(c->scratch, (char *)workspace + c->w_bytes);
    if (c->w_own) {
        dnnl_memory_set_data_handle(c->w_own, workspace);
    }
    dnnl_memory_t w_used = c->w_own ? c->w_own : c->w_user;
    if (c->reorder && c->pass != CRUMB_ONEDNN_BACKWARD_WEIGHTS) {
        failed = run_reorder(c, c->w_user, c->w_own);
    }
    failed = failed || conv_execute(c, w_used);
    if (c->reorder && c->pass == CRUMB_ONEDNN_BACKWARD_WEIGHTS) {
        failed = failed || run_reorder(c, c->w_own, c->w_user);
    }
    failed = failed || dnnl_stream_wait(c->dev.stream) != dnnl_success;
    omp_set_num_threads(before);
    return failed;
}

static int matmul_build(crumb_onednn_matmul *m, const crumb_onednn_matmul_shape *s, int with_bias) {
    dnnl_dims_t a_dims = {s->m, s->k}, b_dims = {s->k, s->n}, c_dims = {s->m, s->n}, bias_dims = {1, s->n};
    dnnl_dims_t a_strides = {s->a_row, s->a_col}, b_strides = {s->b_row, s->b_col};
    dnnl_memory_desc_t a, b, c, bias;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = NULL;
    if (device_open(&m->dev, m->dev.threads) || dnnl_primitive_attr_create(&attr) != dnnl_success) {
        return 1;
    }
    dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    int failed = dnnl_memory_desc_init_by_strides(&a, 2, a_dims, dnnl_f32, a_strides) != dnnl_success ||
                 dnnl_memory_desc_init_by_strides(&b, 2, b_dims, dnnl_f32, b_strides) != dnnl_success ||
                 dnnl_memory_desc_init_by_tag(&c, 2, c_dims, dnnl_f32, dnnl_ab) != dnnl_success ||
                 dnnl_memory_desc_init_by_tag(&bias, 2, bias_dims, dnnl_f32, dnnl_ab) != dnnl_success ||
                 dnnl_matmul_desc_init(&desc, &a, &b, with_bias ? &bias : NULL, &c) != dnnl_success ||
                 dnnl_primitive_desc_create(&pd, &desc, attr, m->dev.engine, NULL) != dnnl_success;
    dnnl_primitive_attr_destroy(attr);
    if (failed) {
        return 1;
    }
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    m->scratch_bytes = ALIGN_UP(dnnl_memory_desc_get_size(scratch));
    failed = dnnl_primitive_create(&m->matmul, pd) != dnnl_success || memory_make(&m->a, &a, &m->dev) ||
             memory_make(&m->b, &b, &m->dev) || memory_make(&m->c, &c, &m->dev) || memory_make(&m->scratch, scratch, &m->dev) ||
             (with_bias && memory_make(&m->bias, &bias, &m->dev));
    dnnl_primitive_desc_destroy(pd);
    return failed;
}

crumb_status crumb_onednn_matmul_create(crumb_ctx *ctx, const crumb_onednn_matmul_shape *shape, int with_bias, int threads,
                                        crumb_onednn_matmul **out) {
    crumb_onednn_matmul *m = crumb_alloc(ctx, 1, sizeof *m);
    if (!m) {
        return CRUMB_ERROR_MEMORY;
    }
    m->dev.threads = threads;
    int before = swap_threads(threads);
    int failed = matmul_build(m, shape, with_bias);
    omp_set_num_threads(before);
    if (failed) {
        crumb_onednn_matmul_destroy(ctx, m);
        return CRUMB_ERROR_UNSUPPORTED;
    }
    *out = m;
    return CRUMB_OK;
}

void crumb_onednn_matmul_destroy(crumb_ctx *ctx, crumb_onednn_matmul *m) {
    if (!m) {
        return;
    }
    primitive_drop(m->matmul);
    memory_drop(m->a);
    memory_drop(m->b);
    memory_drop(m->c);
    memory_drop(m->bias);
    memory_drop(m->scratch);
    device_close(&m->dev);
    crumb_free(ctx, m);
}

size_t crumb_onednn_matmul_workspace(const crumb_onednn_matmul *m) {
    return m->scratch_bytes;
}

int crumb_onednn_matmul_run(const crumb_onednn_matmul *m, float *c, const float *a, const float *b, const float *bias,
                            void *workspace) {
    int before = swap_threads(m->dev.threads);
    dnnl_memory_set_data_handle(m->a, (void *)(uintptr_t)a);
    dnnl_memory_set_data_handle(m->b, (void *)(uintptr_t)b);
    dnnl_memory_set_data_handle(m->c, c);
    dnnl_memory_set_data_handle(m->scratch, workspace);
    dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, m->a},
                               {DNNL_ARG_WEIGHTS, m->b},
                               {DNNL_ARG_DST, m->c},
                               {DNNL_ARG_SCRATCHPAD, m->scratch},
                               {DNNL_ARG_BIAS, m->bias}};
    if (m->bias) {
        dnnl_memory_set_data_handle(m->bias, (void *)(uintptr_t)bias);
    }
    int failed = dnnl_primitive_execute(m->matmul, m->dev.stream, m->bias ? 5 : 4, args) != dnnl_success ||
                 dnnl_stream_wait(m->dev.stream) != dnnl_success;
    omp_set_num_threads(before);
    return failed;
}
