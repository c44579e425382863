/* Rows for conv2d and linear: the plans of conv2d.h and linear.h behind backend.h. Results are within the bounds of those
 * headers. A gradient that has to be added to goes through scratch, unless the kernel adds by itself. */
#include "backend/backend.h"
#include "backend/cpu/conv2d.h"
#include "backend/cpu/linear.h"
#include "base/ctx.h"
#include "ops/params.h"

enum { X, WEIGHT, BIAS };

/* Scratch of a backward call: dweight and dbias waiting to be added, then the kernels' workspace. */
static size_t padded(int64_t floats) {
    return ((size_t)floats * sizeof(float) + 63) / 64 * 64;
}

static void put(float *dst, const float *src, int64_t count, bool add) {
    for (int64_t i = 0; dst != NULL && i < count; i++) {
        crumb_put(dst + i, src[i], add);
    }
}

static size_t parts_size(const crumb_run_query *query) {
    return padded(crumb_shape_count(query->x[WEIGHT])) + padded(query->x[WEIGHT].dim[0]);
}

static void fill_plan(const crumb_run_query *query, void *state, size_t workspace, crumb_run_plan *plan) {
    plan->state = state;
    plan->scratch = workspace + parts_size(query);
    plan->uses = (query->wants_dx[WEIGHT] ? 1u << X : 0) | (query->wants_dx[X] ? 1u << WEIGHT : 0);
}

static crumb_conv2d_shape shape_of(const crumb_run_query *query) {
    const crumb_conv2d_params *p = query->node[0].params;
    const int64_t *x = query->x[X].dim, *w = query->x[WEIGHT].dim;
    return (crumb_conv2d_shape){.n = x[0],
                                .h = x[1],
                                .w = x[2],
                                .c = x[3],
                                .o = w[0],
                                .kh = w[1],
                                .kw = w[2],
                                .stride_h = p->stride,
                                .stride_w = p->stride,
                                .pad_top = p->padding,
                                .pad_left = p->padding,
                                .pad_bottom = p->padding,
                                .pad_right = p->padding,
                                .dilation_h = p->dilation,
                                .dilation_w = p->dilation,
                                .groups = p->groups};
}

static crumb_status conv2d_prepare(const crumb_run_query *query, crumb_run_plan *plan) {
    const crumb_conv2d_shape shape = shape_of(query);
    const bool fast = (crumb_cpu(query->ctx) & CRUMB_CPU_AVX512) != 0;
    crumb_conv2d_plan *conv;
    CRUMB_TRY(
        crumb_conv2d_plan_create(query->ctx, &shape, query->threads, fast ? CRUMB_CONV2D_AUTO : CRUMB_CONV2D_ONEDNN, &conv));
    fill_plan(query, conv, crumb_conv2d_plan_workspace(conv), plan);
    return CRUMB_OK;
}

static void conv2d_release(crumb_ctx *ctx, void *state) {
    crumb_conv2d_plan_destroy(ctx, state);
}

static void *workspace_of(const crumb_run_call *call) {
    return (char *)call->scratch + parts_size(call->query);
}

static void conv2d_forward(crumb_run_call *call) {
    crumb_conv2d_forward(call->state, call->y, call->x[X], call->x[WEIGHT], call->query->inputs > BIAS ? call->x[BIAS] : NULL,
                         workspace_of(call));
}

/* Where the weights' gradient is written first: its place, or scratch if it is to be added. */
typedef struct {
    float *dw, *db;
} parts;

static parts begin_parts(const crumb_run_call *call) {
    float *dw = call->scratch;
    float *db = (float *)(void *)((char *)call->scratch + padded(crumb_shape_count(call->query->x[WEIGHT])));
    const bool bias = call->query->inputs > BIAS && call->dx[BIAS] != NULL;
    return (parts){call->dx[WEIGHT] == NULL || call->add[WEIGHT] ? dw : call->dx[WEIGHT], bias ? db : NULL};
}

static void end_parts(const crumb_run_call *call, const parts *p) {
    const crumb_shape w = call->query->x[WEIGHT];
    if (p->dw != call->dx[WEIGHT]) {
        put(call->dx[WEIGHT], p->dw, crumb_shape_count(w), true);
    }
    if (p->db != NULL) {
        put(call->dx[BIAS], p->db, w.dim[0], call->add[BIAS]);
    }
}

static void conv2d_backward(crumb_run_call *call) {
    const parts p = begin_parts(call);
    if (call->dx[WEIGHT] != NULL || p.db != NULL) {
        crumb_conv2d_backward_weights(call->state, p.dw, p.db, call->x[X], call->dy, workspace_of(call));
        end_parts(call, &p);
    }
    if (call->dx[X] != NULL) {
        crumb_conv2d_backward_data(call->state, call->dx[X], call->dy, call->x[WEIGHT], call->add[X], workspace_of(call));
    }
}

const crumb_backend_row crumb_backend_conv2d = {
    .name = "conv2d",
    .pattern = {"conv2d"},
    .prepare = conv2d_prepare,
    .release = conv2d_release,
    .forward = conv2d_forward,
    .backward = conv2d_backward,
};

static crumb_status linear_prepare(const crumb_run_query *query, crumb_run_plan *plan) {
    crumb_linear_plan *linear;
    CRUMB_TRY(crumb_linear_plan_create(query->ctx, query->x[X].dim[0], query->x[X].dim[1], query->x[WEIGHT].dim[0],
                                       query->threads, &linear));
    const size_t dx = padded(crumb_shape_count(query->x[X]));
    fill_plan(query, linear, dx + (crumb_linear_plan_workspace(linear) + 63) / 64 * 64, plan);
    return CRUMB_OK;
}

static void linear_release(crumb_ctx *ctx, void *state) {
    crumb_linear_plan_destroy(ctx, state);
}

static void linear_forward(crumb_run_call *call) {
    crumb_linear_forward(call->state, call->y, call->x[X], call->x[WEIGHT], call->query->inputs > BIAS ? call->x[BIAS] : NULL,
                         workspace_of(call));
}

static void linear_backward(crumb_run_call *call) {
    const parts p = begin_parts(call);
    const int64_t count = crumb_shape_count(call->query->x[X]);
    float *dx = workspace_of(call);
    char *workspace = (char *)dx + padded(count);
    if (call->dx[WEIGHT] != NULL || p.db != NULL) {
        crumb_linear_backward_weights(call->state, p.dw, p.db, call->x[X], call->dy, workspace);
        end_parts(call, &p);
    }
    if (call->dx[X] != NULL && call->add[X]) {
        crumb_linear_backward_data(call->state, dx, call->dy, call->x[WEIGHT], workspace);
        put(call->dx[X], dx, count, true);
    } else if (call->dx[X] != NULL) {
        crumb_linear_backward_data(call->state, call->dx[X], call->dy, call->x[WEIGHT], workspace);
    }
}

const crumb_backend_row crumb_backend_linear = {
    .name = "linear",
    .pattern = {"linear"},
    .prepare = linear_prepare,
    .release = linear_release,
    .forward = linear_forward,
    .backward = linear_backward,
};
