/* Cases for every op and a way to run either build of an op on them: what the generic tests of ops share. The including program
 * is compiled for double (CRUMB_REAL) and linked with both builds. */
#ifndef CRUMB_OP_CASES_H
#define CRUMB_OP_CASES_H

#include "harness.h"

#include "ops/infer.h"
#include "ops/op_case_list.h"

static const crumb_op *const double_ops[] = {
#define CRUMB_OP(name) &crumb_op_##name##_f64,
#include "ops/ops.inc"
#undef CRUMB_OP
    NULL,
};

/* ---- Running one op on doubles, whatever it is compiled for. */

typedef struct values {
    double *x[CRUMB_INPUTS_MAX], *dy;
} values;

typedef struct result {
    crumb_shape shape;
    double *y, *x[CRUMB_INPUTS_MAX], *dx[CRUMB_INPUTS_MAX]; /* x: as forward left it (STATE) */
} result;

typedef struct execution {
    const crumb_op *op;
    size_t real; /* sizeof(crumb_real) of the op's build */
    bool backward, add, destroy;
    unsigned want; /* bit i: gradient of input i */
} execution;

static void *to_real(const double *from, int64_t count, size_t real) {
    void *data = malloc((size_t)count * real + 1);
    for (int64_t i = 0; i < count; i++) {
        if (real == sizeof(float)) {
            ((float *)data)[i] = from != NULL ? (float)from[i] : NAN;
        } else {
            ((double *)data)[i] = from != NULL ? from[i] : (double)NAN;
        }
    }
    return data;
}

static double *from_real(void *data, int64_t count, size_t real) {
    double *to = malloc((size_t)count * sizeof(double) + 1);
    for (int64_t i = 0; i < count; i++) {
        to[i] = real == sizeof(float) ? (double)((float *)data)[i] : ((double *)data)[i];
    }
    free(data);
    return to;
}

static void destroy(void *data, crumb_shape shape, size_t real) {
    memset(data, 0xff, (size_t)crumb_shape_count(shape) * real); /* all ones is a NaN in either type */
}

static bool differentiable(const crumb_op *op, int input) {
    return op->roles[input] == CRUMB_DATA || op->roles[input] == CRUMB_PARAM;
}

static void call_backward(const execution *e, crumb_op_call *call, const values *v, double **dx) {
    int64_t count = crumb_shape_count(call->y.shape);
    void *dy = to_real(v->dy, count, e->real);
    for (int i = 0; i < call->inputs; i++) {
        bool read = (e->op->uses & 1u << i) != 0 || e->op->roles[i] == CRUMB_PARAM || e->op->roles[i] == CRUMB_STATE;
        if (e->destroy && !read) {
            destroy(call->x[i].data, call->x[i].shape, e->real);
        }
        if (differentiable(e->op, i) && (e->want & 1u << i) != 0) {
            /* adding starts from the input's own values, overwriting from NaN */
            call->dx[i] = to_real(e->add ? v->x[i] : NULL, crumb_shape_count(call->x[i].shape), e->real);
            call->add[i] = e->add;
        }
    }
    if (e->destroy && (e->op->uses & CRUMB_USES_Y) == 0) {
        destroy(call->y.data, call->y.shape, e->real);
    }
    call->dy = dy;
    e->op->backward(call);
    double *after = from_real(dy, count, e->real);
    for (int64_t i = 0; i < count; i++) {
        assert_true(after[i] == (e->real == sizeof(float) ? (double)(float)v->dy[i] : v->dy[i]));
    }
    free(after);
    for (int i = 0; i < call->inputs; i++) {
        dx[i] = call->dx[i] != NULL ? from_real(call->dx[i], crumb_shape_count(call->x[i].shape), e->real) : NULL;
    }
}

static result execute(execution e, const test_case *c, const values *v) {
    _Alignas(16) char presets[2048] = {0};
    assert_true(e.op->params_size <= sizeof(presets));
    crumb_params_preset(e.op->params, presets);
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_op_call call = {.params = c->params != NULL ? c->params : presets,
                          .inputs = c->inputs,
                          .training = !c->eval,
                          .rng = crumb_rng_at(7, 8, 9)};
    crumb_op_plan plan;
    assert_ok(ctx, crumb_op_infer(ctx, e.op, call.params, c->inputs, c->x, &plan));
    crumb_ctx_destroy(ctx);
    for (int i = 0; i < c->inputs; i++) {
        call.x[i] = (crumb_tensor){c->x[i], to_real(v->x[i], crumb_shape_count(c->x[i]), e.real)};
    }
    int64_t count = crumb_shape_count(plan.output);
    call.y = (crumb_tensor){plan.output, to_real(NULL, count, e.real)};
    call.saved = malloc(plan.saved + 1);
    call.scratch = malloc(plan.scratch + 1);
    memset(call.scratch, 0xff, plan.scratch);
    memset(call.saved, 0xff, plan.saved);
    e.op->forward(&call);
    result r = {.shape = plan.output};
    void *copy = malloc((size_t)count * e.real + 1);
    memcpy(copy, call.y.data, (size_t)count * e.real);
    r.y = from_real(copy, count, e.real);
    memset(call.scratch, 0xff, plan.scratch);
    if (e.backward) {
        call_backward(&e, &call, v, r.dx);
    }
    for (int i = 0; i < c->inputs; i++) {
        r.x[i] = from_real(call.x[i].data, crumb_shape_count(c->x[i]), e.real);
    }
    free(call.y.data);
    free(call.saved);
    free(call.scratch);
    return r;
}

static void forget(result *r) {
    free(r->y);
    for (int i = 0; i < CRUMB_INPUTS_MAX; i++) {
        free(r->x[i]);
        free(r->dx[i]);
    }
}

/* ---- Inputs: every value is a float, so that both builds see the same. */

static double draw(crumb_rng *rng, filling fill, int64_t i, int64_t count) {
    double u = (double)crumb_rng_uniform(rng);
    switch (fill) {
    case UNIFORM:
        break;
    case GRID:
        return (float)((floor(u * 40) + 0.5) / 20 - 1);
    case DISTINCT: /* 11 divides no count of these cases, so i * 11 visits every place once */
        return (float)((double)(i * 11 % count) / (double)count - 0.5);
    }
    return (float)(2 * u - 1);
}

static double *draw_input(const crumb_op *op, const test_case *c, int input, crumb_rng *rng) {
    int64_t count = crumb_shape_count(c->x[input]);
    double *x = malloc((size_t)count * sizeof(double) + 1);
    for (int64_t i = 0; i < count; i++) {
        if (op->roles[input] == CRUMB_STATE) {
            x[i] =
                count == 1 ? 3 : (float)(0.5 + (double)crumb_rng_uniform(rng)); /* a number of batches; a positive variance */
        } else if (op->roles[input] == CRUMB_LABEL && c->x[input].rank == 1) {
            x[i] = count > 1 && i == 1 ? -1.0 : crumb_rng_below(rng, (uint32_t)c->x[0].dim[1]); /* row 1 does not count */
        } else {
            double factor = c->spread != 0 && op->roles[input] != CRUMB_PARAM ? c->spread : 1;
            x[i] = (float)(factor * draw(rng, input == 0 ? c->fill : UNIFORM, i, count) + (input > 0 ? c->shift : 0));
        }
    }
    return x;
}

static values draw_values(const crumb_op *op, const test_case *c, uint64_t seed) {
    crumb_rng rng = crumb_rng_at(seed, 1, 1);
    values v = {0};
    for (int i = 0; i < c->inputs; i++) {
        v.x[i] = draw_input(op, c, i, &rng);
    }
    result r = execute((execution){op, sizeof(double)}, c, &v);
    int64_t count = crumb_shape_count(r.shape);
    v.dy = malloc((size_t)count * sizeof(double));
    for (int64_t i = 0; i < count; i++) {
        v.dy[i] = draw(&rng, UNIFORM, i, count);
    }
    forget(&r);
    return v;
}

static void release(values *v) {
    free(v->dy);
    for (int i = 0; i < CRUMB_INPUTS_MAX; i++) {
        free(v->x[i]);
    }
}

static const crumb_op *find(const crumb_op *const *ops, const char *name) {
    for (int i = 0; ops[i] != NULL; i++) {
        if (strcmp(ops[i]->name, name) == 0) {
            return ops[i];
        }
    }
    fail_msg("there is no op %s", name);
    return NULL;
}

static void check_same(int index, const crumb_op *op, const test_case *c, const result *a, const result *b, const char *what) {
    for (int input = 0; input < c->inputs; input++) {
        size_t bytes = (size_t)crumb_shape_count(c->x[input]) * sizeof(double);
        if (a->dx[input] != NULL && b->dx[input] != NULL && memcmp(a->dx[input], b->dx[input], bytes) != 0) {
            fail_msg("case %d %s: gradient of input %d changes %s", index, op->name, input, what);
        }
    }
}

#endif
