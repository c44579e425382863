/* Shape rules: arity, parameter ranges, error lines, the rules that several ops have in common. */
#include "ops/infer.h"

#include "ops/window.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static crumb_status check_value(crumb_ctx *ctx, const crumb_op *op, const crumb_param *param, double value) {
    if (value >= param->min && value <= param->max) {
        return CRUMB_OK;
    }
    return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %s: %g is outside %g .. %g", op->name, param->name, value, param->min,
                      param->max);
}

static crumb_status check_list(crumb_ctx *ctx, const crumb_op *op, const crumb_param *param, const crumb_list *list) {
    if (list->count < 0 || list->count > CRUMB_RANK_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %s: %d values, a tensor has at most %d axes", op->name, param->name,
                          list->count, CRUMB_RANK_MAX);
    }
    for (int i = 0; i < list->count; i++) {
        CRUMB_TRY(check_value(ctx, op, param, list->at[i]));
        if (list->at[i] != floor(list->at[i])) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %s: %g is no whole number", op->name, param->name, list->at[i]);
        }
    }
    return CRUMB_OK;
}

static crumb_status check_call(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs) {
    if (inputs < op->min_inputs || inputs > op->max_inputs) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %d inputs given, it takes %d to %d (%s)", op->name, inputs,
                          op->min_inputs, op->max_inputs, op->input_names);
    }
    for (const crumb_param *param = op->params; param != NULL && param->name != NULL; param++) {
        const void *at = (const char *)params + param->offset;
        if (param->type == CRUMB_PARAM_INT) {
            CRUMB_TRY(check_value(ctx, op, param, (double)*(const int64_t *)at));
        } else if (param->type == CRUMB_PARAM_REAL) {
            CRUMB_TRY(check_value(ctx, op, param, *(const double *)at));
        } else if (param->type == CRUMB_PARAM_LIST) {
            CRUMB_TRY(check_list(ctx, op, param, at));
        }
    }
    return CRUMB_OK;
}

crumb_status crumb_op_infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                            crumb_op_plan *plan) {
    CRUMB_TRY(check_call(ctx, op, params, inputs));
    return op->infer(ctx, op, params, inputs, x, plan);
}

crumb_status crumb_infer_fail(crumb_ctx *ctx, const crumb_op *op, int inputs, const crumb_shape *x, const char *format, ...) {
    char text[160], shapes[CRUMB_INPUTS_MAX * (CRUMB_SHAPE_TEXT + 24)], shape[CRUMB_SHAPE_TEXT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const char *name = op->input_names;
    size_t used = 0;
    shapes[0] = '\0';
    for (int i = 0; i < inputs && used < sizeof(shapes); i++) {
        used += (size_t)snprintf(shapes + used, sizeof(shapes) - used, "%s%.*s %s", i == 0 ? "" : ", ", (int)strcspn(name, " "),
                                 name, crumb_shape_print(x[i], shape));
        const char *next = strchr(name, ' ');
        name = next != NULL ? next + 1 : name; /* the last name repeats for variadic ops */
    }
    return crumb_fail(ctx, CRUMB_ERROR_SHAPE, "%s: %s (%s)", op->name, text, shapes);
}

crumb_status crumb_infer_same(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                              crumb_op_plan *plan) {
    (void)ctx;
    (void)op;
    (void)params;
    (void)inputs;
    *plan = (crumb_op_plan){.output = x[0]};
    return CRUMB_OK;
}

static bool is_per_channel(crumb_shape shape, crumb_shape x) {
    return shape.rank == 1 && shape.dim[0] == crumb_shape_last(x);
}

crumb_status crumb_infer_per_channel(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                                     crumb_op_plan *plan) {
    (void)params;
    if (x[0].rank < 2) {
        return crumb_infer_fail(ctx, op, inputs, x, "x has no channels beside the batch");
    }
    for (int i = 1; i < inputs; i++) {
        if (!is_per_channel(x[i], x[0]) && op->roles[i] != CRUMB_STATE) {
            return crumb_infer_fail(ctx, op, inputs, x, "input %d is not one value a channel of x", i);
        }
    }
    *plan = (crumb_op_plan){.output = x[0]};
    return CRUMB_OK;
}

crumb_status crumb_infer_binary(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                                crumb_op_plan *plan) {
    (void)params;
    if (!crumb_shape_equal(x[0], x[1]) && !is_per_channel(x[1], x[0])) {
        return crumb_infer_fail(ctx, op, inputs, x, "shapes differ, and the second is not one value a channel");
    }
    *plan = (crumb_op_plan){.output = x[0]};
    return CRUMB_OK;
}

/* Windows along a side of `size` pixels; less than 1 if not one fits. */
static int64_t pool_outputs(const crumb_pool_params *pool, int64_t kernel, int64_t stride, int64_t size) {
    int64_t room = size + 2 * pool->padding - kernel + (pool->ceil_mode ? stride - 1 : 0);
    if (room < 0) {
        return 0;
    }
    int64_t count = room / stride + 1;
    return (count - 1) * stride >= size + pool->padding ? count - 1 : count; /* none begins behind the image */
}

crumb_status crumb_infer_pool(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                              crumb_op_plan *plan) {
    const crumb_pool_params *pool = params;
    if (x[0].rank != 4) {
        return crumb_infer_fail(ctx, op, inputs, x, "x must be [N,H,W,C]");
    }
    if (pool->padding >= pool->kernel || pool->padding >= crumb_window_width(pool)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: padding %lld leaves windows of %lld without a pixel", op->name,
                          (long long)pool->padding, (long long)pool->kernel);
    }
    int64_t h = pool_outputs(pool, pool->kernel, pool->stride, x[0].dim[1]);
    int64_t w = pool_outputs(pool, crumb_window_width(pool), crumb_window_step(pool), x[0].dim[2]);
    if (h < 1 || w < 1) {
        return crumb_infer_fail(ctx, op, inputs, x, "kernel %lld is larger than the image with padding %lld",
                                (long long)pool->kernel, (long long)pool->padding);
    }
    *plan = (crumb_op_plan){.output = CRUMB_SHAPE(x[0].dim[0], h, w, x[0].dim[3])};
    return CRUMB_OK;
}

crumb_status crumb_infer_loss(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                              crumb_op_plan *plan) {
    (void)params;
    if (x[0].rank != 2) {
        return crumb_infer_fail(ctx, op, inputs, x, "logits must be [N,classes]");
    }
    for (int i = 1; i < inputs - 1; i++) {
        if (!crumb_shape_equal(x[i], x[0])) {
            return crumb_infer_fail(ctx, op, inputs, x, "logits differ in shape");
        }
    }
    if (x[inputs - 1].rank != 1 || x[inputs - 1].dim[0] != x[0].dim[0]) {
        return crumb_infer_fail(ctx, op, inputs, x, "labels must be [N], one class index a row of logits");
    }
    *plan = (crumb_op_plan){.output = {.rank = 0}};
    return CRUMB_OK;
}

double crumb_flops_elementwise(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    (void)params;
    (void)inputs;
    (void)x;
    return (double)crumb_shape_count(y);
}

double crumb_flops_pool(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    (void)inputs;
    (void)x;
    const crumb_pool_params *pool = params;
    return (double)crumb_shape_count(y) * (double)(pool->kernel * crumb_window_width(pool));
}
