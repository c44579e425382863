/* Rows for runs of batch_norm, add, relu and quantize, in this order, any of them absent: the passes of norm.h behind
 * backend.h.
 *
 * Exactness against the reference chain: without batch_norm, y and all gradients but that of a learned step have the same
 * bits. With it, u (norm.h) may differ in its last places, because the factor of a channel is applied with a fused multiply-add
 * and the statistics are summed in blocks; a code then differs only where u / step is as near to a tie.
 *
 * A quantizer may want to see the unquantized values (`observe`). That takes a pass of its own, made only while the quantizer's
 * flags and state ask for it: a rule that learns its step looks at its first batch, one without statistics at none, one with a
 * running range at every one. Nothing else is remembered, so a resumed run observes as one that never stopped. */
#include "backend/backend.h"
#include "backend/cpu/norm.h"
#include "base/ctx.h"
#include "ops/params.h"
#include "quant/quantizer.h"

#include <math.h>
#include <string.h>

enum { X, WEIGHT, BIAS, MEAN, VAR, TRACKED };

typedef struct {
    crumb_norm_plan plan;                /* act without QUANT; the quantizer's values change from step to step */
    int residual;                        /* external input of add, -1: none */
    const crumb_batch_norm_params *norm; /* NULL: none */
    int quantize;                        /* node of the run, -1: none */
    size_t mask_at;                      /* in saved, behind mean and 1/deviation */
    size_t workspace_at;                 /* in scratch, behind dgamma and dbeta */
} run;

static size_t padded(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

static bool is(const crumb_run_node *node, const char *name) {
    return strcmp(node->op->name, name) == 0;
}

/* The op call that the quantize node would get, x being `values`. */
static crumb_quant_call call_of(const crumb_run_call *call, float *values) {
    const crumb_run_node *node = &call->query->node[((const run *)call->state)->quantize];
    crumb_op_call op = {.params = node->params, .inputs = node->inputs, .training = call->training};
    op.x[0] = (crumb_tensor){node->y, values};
    for (int k = 1; k < node->inputs; k++) {
        op.x[k] = (crumb_tensor){node->x[k], call->x[node->external[k]]};
    }
    crumb_quant_call quant;
    crumb_quant_call_of(&op, &quant);
    return quant;
}

/* Whether the site has the uniform form is the site's matter, not the state's: asked with a state of ones. */
static bool uniform_form(const crumb_run_node *node, crumb_uniform *form) {
    const crumb_quant *site = node->params;
    float ones[CRUMB_QUANT_STATE_MAX] = {1.0f, 1.0f, 1.0f, 1.0f};
    crumb_quant_call probe = {.site = site, .shape = node->y, .count = crumb_shape_count(node->y)};
    if (site->weight || site->quantizer->uniform == NULL) {
        return false;
    }
    for (int k = 0; k + 1 < node->inputs; k++) {
        if (crumb_shape_count(node->x[k + 1]) != 1) {
            return false;
        }
        probe.state[k] = &ones[k];
        probe.state_count[k] = 1;
    }
    return site->quantizer->uniform(&probe, form);
}

static bool supports(const crumb_run_query *query) {
    for (int i = 0; i < query->nodes; i++) {
        const crumb_run_node *node = &query->node[i];
        crumb_uniform form;
        if (is(node, "add") && !crumb_shape_equal(node->x[0], node->x[1])) {
            return false;
        }
        if (is(node, "quantize") && !uniform_form(node, &form)) {
            return false;
        }
    }
    return query->node[0].y.rank > 0 && crumb_shape_count(query->node[0].y) > 0;
}

static void describe(run *r, const crumb_run_query *query, crumb_run_plan *plan) {
    bool learned = false;
    r->residual = r->quantize = -1;
    for (int i = 0; i < query->nodes; i++) {
        const crumb_run_node *node = &query->node[i];
        if (is(node, "batch_norm")) {
            r->norm = node->params;
        } else if (is(node, "add")) {
            r->residual = i == 0 || node->external[1] >= 0 ? node->external[1] : node->external[0];
        } else if (is(node, "relu")) {
            r->plan.act |= CRUMB_ACT_RELU;
        } else {
            crumb_uniform form;
            r->quantize = i;
            learned = uniform_form(node, &form) && form.learned >= 0;
        }
    }
    plan->uses = r->norm != NULL || learned ? 1u << X : 0;
    plan->uses |= learned && r->residual >= 0 ? 1u << r->residual : 0;
}

static crumb_status prepare(const crumb_run_query *query, crumb_run_plan *plan) {
    run *r = crumb_alloc(query->ctx, 1, sizeof(*r));
    if (r == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    const crumb_shape y = query->node[0].y;
    r->plan = (crumb_norm_plan){.c = crumb_shape_last(y),
                                .rows = crumb_shape_count(y) / crumb_shape_last(y),
                                .threads = query->threads,
                                .simd = (crumb_cpu(query->ctx) & CRUMB_CPU_AVX512) != 0};
    describe(r, query, plan);
    const size_t vectors = padded(2 * (size_t)r->plan.c * sizeof(float));
    const bool acts = r->plan.act != CRUMB_ACT_NONE || r->quantize >= 0;
    r->mask_at = vectors;
    r->workspace_at = vectors;
    plan->state = r;
    plan->saved = query->backward ? vectors + (acts ? crumb_norm_mask_size(&r->plan) * sizeof(uint16_t) : 0) : 0;
    plan->scratch = 2 * vectors + crumb_norm_workspace(&r->plan);
    return CRUMB_OK;
}

static void release(crumb_ctx *ctx, void *state) {
    crumb_free(ctx, state);
}

/* Mean and 1/deviation: saved for backward, or behind the workspace's front in scratch. */
static float *mean_of(const crumb_run_call *call) {
    return call->saved != NULL ? call->saved : call->scratch;
}

static uint16_t *mask_of(const crumb_run_call *call) {
    const run *r = call->state;
    const bool acts = r->plan.act != CRUMB_ACT_NONE || r->quantize >= 0;
    return call->saved != NULL && acts ? (uint16_t *)(void *)((char *)call->saved + r->mask_at) : NULL;
}

static void *workspace_of(const crumb_run_call *call) {
    return (char *)call->scratch + ((const run *)call->state)->workspace_at;
}

static crumb_norm_channels channels_of(const crumb_run_call *call) {
    const run *r = call->state;
    const float *mean = mean_of(call);
    return r->norm != NULL ? (crumb_norm_channels){mean, mean + r->plan.c, call->x[WEIGHT], call->x[BIAS]}
                           : (crumb_norm_channels){0};
}

/* As the op does it: the biased variance normalises, the unbiased one goes into the running statistics. */
static void set_statistics(const crumb_run_call *call) {
    const run *r = call->state;
    const int64_t c = r->plan.c, n = r->plan.rows;
    float *mean = mean_of(call), *rstd = mean + c;
    const double eps = r->norm->eps, unbias = n > 1 ? (double)n / (double)(n - 1) : 1.0;
    double momentum = r->norm->momentum;
    if (call->training) {
        *call->x[TRACKED] += 1.0f;
        momentum = momentum > 0 ? momentum : 1.0 / (double)*call->x[TRACKED];
        crumb_norm_statistics(&r->plan, mean, rstd, call->x[X], workspace_of(call));
    }
    for (int64_t i = 0; i < c; i++) {
        float *running_mean = call->x[MEAN] + i, *running_var = call->x[VAR] + i;
        if (call->training) {
            *running_mean = (float)((1.0 - momentum) * (double)*running_mean + momentum * (double)mean[i]);
            *running_var = (float)((1.0 - momentum) * (double)*running_var + momentum * (double)rstd[i] * unbias);
        } else {
            mean[i] = *running_mean;
            rstd[i] = *running_var;
        }
        rstd[i] = (float)(1.0 / sqrt((double)rstd[i] + eps));
    }
}

static void pass(const crumb_run_call *call, const crumb_norm_plan *plan) {
    const run *r = call->state;
    const crumb_norm_channels channels = channels_of(call);
    crumb_norm_forward(plan, call->y, mask_of(call), call->x[X], r->residual >= 0 ? call->x[r->residual] : NULL, &channels,
                       workspace_of(call));
}

/* See CRUMB_QUANT_RUNNING. */
static bool wants_observation(const crumb_quant_call *quant) {
    const crumb_quantizer *row = quant->site->quantizer;
    if (row->observe == NULL || (row->flags & CRUMB_QUANT_RUNNING) != 0) {
        return row->observe != NULL;
    }
    for (int k = 0; row->state != NULL && row->state[k].name != NULL; k++) {
        if (strcmp(row->state[k].name, "ready") == 0) {
            return *quant->state[k] == 0.0f;
        }
    }
    return false;
}

static void observe(const crumb_run_call *call) {
    const run *r = call->state;
    const crumb_quant_call quant = call_of(call, call->y);
    if (wants_observation(&quant)) {
        pass(call, &r->plan);
        quant.site->quantizer->observe(&quant);
    }
}

/* The plan with the quantizer's values of this step. */
static crumb_norm_plan plan_now(const crumb_run_call *call, crumb_uniform *form) {
    const run *r = call->state;
    crumb_norm_plan plan = r->plan;
    const crumb_quant_call quant = call_of(call, call->y);
    quant.site->quantizer->uniform(&quant, form);
    plan.act |= CRUMB_ACT_QUANT;
    plan.lo = form->lo, plan.hi = form->hi, plan.step = form->step, plan.inv_step = form->inverse;
    plan.grad_inside = form->grad_inside;
    return plan;
}

static void forward(crumb_run_call *call) {
    const run *r = call->state;
    if (r->norm != NULL) {
        set_statistics(call);
    }
    if (r->quantize < 0) {
        pass(call, &r->plan);
        return;
    }
    if (call->training) {
        observe(call);
    }
    crumb_uniform form;
    const crumb_norm_plan plan = plan_now(call, &form);
    pass(call, &plan);
}

static void put(float *dst, const float *src, int64_t count, bool add) {
    for (int64_t i = 0; dst != NULL && i < count; i++) {
        crumb_put(dst + i, src[i], add);
    }
}

/* Gradients of the vectors and of a learned step. */
static void reduce(const crumb_run_call *call, float *dgamma, float *dbeta) {
    const run *r = call->state;
    const crumb_norm_channels channels = channels_of(call);
    crumb_norm_plan plan = r->plan;
    crumb_uniform form = {.learned = -1};
    float dstep = 0.0f;
    int step = -1;
    if (r->quantize >= 0) {
        plan = plan_now(call, &form);
        step = form.learned >= 0 ? call->query->node[r->quantize].external[1 + form.learned] : -1;
        plan.step_gradient = step >= 0 && call->dx[step] != NULL;
    }
    if (r->norm != NULL || plan.step_gradient) {
        const crumb_norm_reduction reduction = {.dgamma = dgamma,
                                                .dbeta = dbeta,
                                                .dstep = &dstep,
                                                .dz = call->dy,
                                                .y = call->x[X],
                                                .mask = mask_of(call),
                                                .residual = r->residual >= 0 ? call->x[r->residual] : NULL};
        crumb_norm_backward_reduce(&plan, &reduction, &channels, workspace_of(call));
    }
    if (plan.step_gradient) {
        crumb_put(call->dx[step], form.grad_scale * dstep, call->add[step]);
    }
    if (r->norm != NULL) {
        put(call->dx[WEIGHT], dgamma, plan.c, call->add[WEIGHT]);
        put(call->dx[BIAS], dbeta, plan.c, call->add[BIAS]);
    }
}

static void backward(crumb_run_call *call) {
    const run *r = call->state;
    float *dgamma = call->scratch, *dbeta = dgamma + r->plan.c;
    const crumb_norm_channels channels = channels_of(call);
    reduce(call, dgamma, dbeta);
    const bool residual = r->residual >= 0;
    const crumb_norm_gradient gradient = {.dy = call->dx[X],
                                          .add_dy = call->add[X],
                                          .dresidual = residual ? call->dx[r->residual] : NULL,
                                          .add_dresidual = residual && call->add[r->residual],
                                          .constant = !call->training,
                                          .dz = call->dy,
                                          .y = call->x[X],
                                          .mask = mask_of(call),
                                          .dgamma = dgamma,
                                          .dbeta = dbeta};
    if (gradient.dy != NULL || gradient.dresidual != NULL) {
        crumb_norm_backward_apply(&r->plan, &gradient, &channels, workspace_of(call));
    }
}

#define METHODS .supports = supports, .prepare = prepare, .release = release, .forward = forward, .backward = backward

const crumb_backend_row crumb_backend_norm_add_relu_quantize = {
    .name = "norm_add_relu_quantize", .pattern = {"batch_norm", "add", "relu", "quantize"}, METHODS};
const crumb_backend_row crumb_backend_norm_relu_quantize = {
    .name = "norm_relu_quantize", .pattern = {"batch_norm", "relu", "quantize"}, METHODS};
const crumb_backend_row crumb_backend_norm_add_quantize = {
    .name = "norm_add_quantize", .pattern = {"batch_norm", "add", "quantize"}, METHODS};
const crumb_backend_row crumb_backend_norm_add_relu = {
    .name = "norm_add_relu", .pattern = {"batch_norm", "add", "relu"}, METHODS};
const crumb_backend_row crumb_backend_norm_quantize = {.name = "norm_quantize", .pattern = {"batch_norm", "quantize"}, METHODS};
const crumb_backend_row crumb_backend_norm_relu = {.name = "norm_relu", .pattern = {"batch_norm", "relu"}, METHODS};
const crumb_backend_row crumb_backend_norm_add = {.name = "norm_add", .pattern = {"batch_norm", "add"}, METHODS};
const crumb_backend_row crumb_backend_norm = {.name = "norm", .pattern = {"batch_norm"}, METHODS};
const crumb_backend_row crumb_backend_add_relu_quantize = {
    .name = "add_relu_quantize", .pattern = {"add", "relu", "quantize"}, METHODS};
const crumb_backend_row crumb_backend_add_relu = {.name = "add_relu", .pattern = {"add", "relu"}, METHODS};
const crumb_backend_row crumb_backend_add_quantize = {.name = "add_quantize", .pattern = {"add", "quantize"}, METHODS};
const crumb_backend_row crumb_backend_add = {.name = "add", .pattern = {"add"}, METHODS};
const crumb_backend_row crumb_backend_relu_quantize = {.name = "relu_quantize", .pattern = {"relu", "quantize"}, METHODS};
const crumb_backend_row crumb_backend_relu = {.name = "relu", .pattern = {"relu"}, METHODS};
const crumb_backend_row crumb_backend_quantize = {.name = "quantize", .pattern = {"quantize"}, METHODS};
