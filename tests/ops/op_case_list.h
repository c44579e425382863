/* Cases for every op, as data: of every row of ops.inc at least one. */
#ifndef CRUMB_OP_CASE_LIST_H
#define CRUMB_OP_CASE_LIST_H

#include "ops/op.h"
#include "ops/params.h"

/* Cases leave out what is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* How x[0] and the other DATA and PARAM inputs are drawn. */
typedef enum filling {
    UNIFORM, /* (-1, 1) */
    GRID,    /* odd multiples of 1/40: 1/40 away from any kink at a multiple of 1/20 */
    DISTINCT /* all different, at least 1/count apart: no ties under a maximum */
} filling;

typedef struct test_case {
    const char *op;
    const void *params; /* NULL: presets */
    int inputs;
    crumb_shape x[CRUMB_INPUTS_MAX];
    filling fill;
    bool eval;     /* forward and backward with training = false */
    double spread; /* multiplies DATA inputs; 0 = 1 */
    double shift;  /* added to all inputs but the first */
} test_case;

#define PARAMS(type, ...)                                                                                                      \
    &(const crumb_##type##_params) {                                                                                           \
        __VA_ARGS__                                                                                                            \
    }
#define STATISTICS(c)                                                                                                          \
    {1, {c}}, {1, {c}}, {1, {c}}, {1, {c}}, {                                                                                  \
        1, {                                                                                                                   \
            1                                                                                                                  \
        }                                                                                                                      \
    }

/* Of every row of ops.inc at least one. */
static const test_case cases[] = {
    {"add", NULL, 2, {{4, {2, 3, 3, 5}}, {4, {2, 3, 3, 5}}}},
    {"add", NULL, 2, {{4, {2, 3, 3, 5}}, {1, {5}}}},
    {"add", NULL, 2, {{2, {3, 7}}, {1, {7}}}},
    {"average_pool", PARAMS(pool, 2, 2), 1, {{4, {2, 6, 5, 3}}}},
    {"average_pool", PARAMS(pool, 3, 2, 1), 1, {{4, {2, 7, 6, 2}}}},
    {"average_pool", PARAMS(pool, 3, 1, 2, true), 1, {{4, {1, 4, 5, 3}}}},
    {"average_pool", PARAMS(pool, 2, 2, .ceil_mode = true), 1, {{4, {2, 5, 6, 3}}}},
    {"average_pool", PARAMS(pool, 3, 2, 1, .ceil_mode = true), 1, {{4, {2, 4, 1, 2}}}},
    {"average_pool", PARAMS(pool, 2, 2, 1, .kernel_width = 3, .stride_width = 1), 1, {{4, {2, 5, 6, 3}}}},
    {"batch_norm", NULL, 6, {{4, {3, 4, 3, 5}}, STATISTICS(5)}},
    {"batch_norm", NULL, 6, {{2, {7, 18}}, STATISTICS(18)}},
    {"batch_norm", NULL, 6, {{4, {2, 3, 3, 4}}, STATISTICS(4)}, .eval = true},
    {"batch_norm", PARAMS(batch_norm, 1e-3, 0), 6, {{4, {2, 3, 2, 17}}, STATISTICS(17)}, .spread = 10},
    {"clip", NULL, 1, {{4, {2, 3, 3, 4}}}, GRID},
    {"clip", PARAMS(clip, -0.5, 0.25), 1, {{2, {5, 9}}}, GRID},
    {"concat", PARAMS(concat, -1), 3, {{4, {2, 3, 2, 4}}, {4, {2, 3, 2, 1}}, {4, {2, 3, 2, 5}}}},
    {"concat", PARAMS(concat, 1), 2, {{4, {2, 3, 2, 4}}, {4, {2, 1, 2, 4}}}},
    {"concat", PARAMS(concat, 0), 2, {{1, {3}}, {1, {6}}}},
    {"conv2d", PARAMS(conv2d, 1, 1, 1, 1), 2, {{4, {2, 5, 6, 3}}, {4, {4, 3, 3, 3}}}},
    {"conv2d", PARAMS(conv2d, 2, 1, 1, 1), 3, {{4, {2, 7, 6, 3}}, {4, {5, 3, 3, 3}}, {1, {5}}}},
    {"conv2d", PARAMS(conv2d, 1, 2, 2, 1), 3, {{4, {1, 6, 7, 2}}, {4, {3, 3, 3, 2}}, {1, {3}}}},
    {"conv2d", PARAMS(conv2d, 1, 1, 1, 2), 3, {{4, {2, 4, 5, 4}}, {4, {6, 3, 3, 2}}, {1, {6}}}},
    {"conv2d", PARAMS(conv2d, 2, 1, 1, 6), 2, {{4, {2, 5, 5, 6}}, {4, {6, 3, 3, 1}}}},
    {"conv2d", PARAMS(conv2d, 3, 0, 1, 1), 2, {{4, {2, 8, 9, 2}}, {4, {3, 1, 5, 2}}}},
    {"conv2d", PARAMS(conv2d, 1, 3, 1, 1), 2, {{4, {1, 2, 3, 2}}, {4, {2, 5, 2, 2}}}},
    {"conv2d", PARAMS(conv2d, 1, 0, 1, 1), 2, {{4, {2, 3, 3, 19}}, {4, {3, 1, 1, 19}}}},
    {"conv_transpose2d", PARAMS(conv_transpose2d, 1, 0, 1, 1, 0), 2, {{4, {2, 3, 4, 3}}, {4, {3, 3, 2, 4}}}},
    {"conv_transpose2d", PARAMS(conv_transpose2d, 2, 1, 1, 1, 1), 3, {{4, {2, 3, 3, 3}}, {4, {3, 3, 3, 2}}, {1, {2}}}},
    {"conv_transpose2d", PARAMS(conv_transpose2d, 3, 0, 2, 2, 0), 3, {{4, {1, 3, 2, 4}}, {4, {4, 2, 3, 3}}, {1, {6}}}},
    {"distillation", NULL, 3, {{2, {5, 7}}, {2, {5, 7}}, {1, {5}}}},
    {"distillation", PARAMS(distillation, 2, 0.9, 0.1), 3, {{2, {4, 3}}, {2, {4, 3}}, {1, {4}}}, .spread = 4},
    {"distillation", PARAMS(distillation, 1, 0, 0), 3, {{2, {4, 6}}, {2, {4, 6}}, {1, {4}}}},
    {"div", NULL, 2, {{4, {2, 3, 3, 5}}, {4, {2, 3, 3, 5}}}, .shift = 3},
    {"div", NULL, 2, {{4, {2, 3, 3, 5}}, {1, {5}}}, .shift = -2},
    {"dropout", NULL, 1, {{4, {2, 4, 3, 5}}}},
    {"dropout", PARAMS(dropout, 0.2), 1, {{2, {6, 11}}}},
    {"dropout", NULL, 1, {{2, {3, 5}}}, .eval = true},
    {"expand", NULL, 2, {{4, {2, 1, 5, 1}}, {4, {2, 3, 1, 4}}}},
    {"expand", NULL, 2, {{2, {3, 1}}, {2, {3, 7}}}},
    {"flatten", NULL, 1, {{4, {2, 3, 4, 5}}}},
    {"flatten", NULL, 1, {{2, {3, 7}}}},
    {"gather", PARAMS(gather, 1), 2, {{4, {2, 3, 4, 5}}, {1, {7}}}},
    {"gather", PARAMS(gather, -1), 2, {{2, {3, 7}}, {1, {4}}}},
    {"global_average_pool", NULL, 1, {{4, {3, 4, 5, 6}}}},
    {"global_max_pool", NULL, 1, {{4, {3, 4, 5, 6}}}, DISTINCT},
    {"hard_sigmoid", NULL, 1, {{4, {2, 3, 3, 4}}}, GRID, .spread = 5},
    {"hard_sigmoid", PARAMS(hard_sigmoid, 1, 0.25), 1, {{2, {5, 9}}}, GRID},
    {"hard_swish", NULL, 1, {{4, {2, 3, 3, 4}}}, GRID, .spread = 5},
    {"leaky_relu", NULL, 1, {{4, {2, 3, 3, 4}}}, GRID},
    {"leaky_relu", PARAMS(leaky_relu, 0.3), 1, {{2, {4, 7}}}, GRID},
    {"linear", NULL, 3, {{2, {4, 19}}, {2, {6, 19}}, {1, {6}}}},
    {"linear", NULL, 2, {{2, {3, 5}}, {2, {7, 5}}}},
    {"log_softmax", NULL, 1, {{2, {4, 7}}}, .spread = 3},
    {"lrn", NULL, 1, {{4, {2, 3, 2, 7}}}, .spread = 3},
    {"lrn", PARAMS(lrn, 4, 0.5, 0.6, 2), 1, {{2, {3, 9}}}, .spread = 2},
    {"max_pool", PARAMS(pool, 2, 2), 1, {{4, {2, 6, 7, 3}}}, DISTINCT},
    {"max_pool", PARAMS(pool, 3, 2, 1), 1, {{4, {2, 7, 5, 2}}}, DISTINCT},
    {"max_pool", PARAMS(pool, 3, 1, 2), 1, {{4, {1, 4, 4, 3}}}, DISTINCT},
    {"max_pool", PARAMS(pool, 2, 2, .ceil_mode = true), 1, {{4, {2, 5, 7, 3}}}, DISTINCT},
    {"max_pool", PARAMS(pool, 3, 1, .kernel_width = 2, .stride_width = 2), 1, {{4, {2, 5, 7, 3}}}, DISTINCT},
    {"mean_squared_error", NULL, 2, {{2, {6, 5}}, {1, {6}}}},
    {"mean_squared_error", NULL, 2, {{2, {1, 3}}, {1, {1}}}},
    {"mul", NULL, 2, {{4, {2, 3, 3, 5}}, {4, {2, 3, 3, 5}}}},
    {"mul", NULL, 2, {{4, {2, 3, 3, 5}}, {1, {5}}}},
    {"pad", PARAMS(pad, {4, {0, 1, 2, 3}}, {4, {0, 2, 0, 1}}, 0.5), 1, {{4, {2, 3, 2, 4}}}},
    {"pad", PARAMS(pad, {1, {2}}, {0}, 0), 1, {{2, {3, 4}}}},
    {"prelu", NULL, 2, {{4, {2, 3, 3, 18}}, {1, {18}}}, GRID},
    {"prelu", NULL, 2, {{2, {5, 3}}, {1, {3}}}, GRID},
    {"reduce_mean", NULL, 1, {{4, {2, 3, 4, 5}}}},
    {"reduce_mean", PARAMS(reduce_mean, {2, {0, -1}}), 1, {{3, {3, 4, 5}}}},
    {"relu", NULL, 1, {{4, {2, 3, 4, 5}}}, GRID},
    {"relu", NULL, 1, {{2, {3, 7}}}, GRID},
    {"reshape", NULL, 1, {{4, {2, 3, 4, 5}}}},
    {"reshape", PARAMS(reshape, {3, {0, 6, 4}}), 1, {{4, {3, 2, 3, 4}}}},
    {"resize_nearest", PARAMS(resize_nearest, 6, 8, 2, 2), 1, {{4, {2, 3, 4, 3}}}},
    {"resize_nearest", PARAMS(resize_nearest, 3, 2, 0.6, 0.5, 1, 2), 1, {{4, {2, 5, 4, 2}}}},
    {"resize_nearest", PARAMS(resize_nearest, 7, 5, 1.75, 1.25, 2, 3), 1, {{4, {1, 4, 4, 2}}}},
    {"shift", NULL, 2, {{4, {2, 3, 3, 17}}, {1, {17}}}},
    {"shift", NULL, 2, {{2, {4, 3}}, {1, {3}}}},
    {"sigmoid", NULL, 1, {{4, {2, 3, 3, 4}}}, .spread = 4},
    {"slice", PARAMS(slice, .step = {3, {1, 2, 2}}), 1, {{4, {2, 5, 6, 3}}}},
    {"slice", PARAMS(slice, {4, {0, 1, -3, 2}}, {4, {0, -1, 100, 6}}, {4, {1, 2, 1, 3}}), 1, {{4, {2, 7, 5, 6}}}},
    {"softmax", NULL, 1, {{2, {4, 7}}}, .spread = 3},
    {"softmax", NULL, 1, {{4, {2, 2, 3, 4}}}},
    {"softmax_cross_entropy", NULL, 2, {{2, {6, 10}}, {1, {6}}}},
    {"softmax_cross_entropy", PARAMS(softmax_cross_entropy, 0.1), 2, {{2, {5, 4}}, {1, {5}}}, .spread = 8},
    {"sub", NULL, 2, {{4, {2, 3, 3, 5}}, {4, {2, 3, 3, 5}}}},
    {"sub", NULL, 2, {{2, {3, 7}}, {1, {7}}}},
    {"tanh", NULL, 1, {{4, {2, 3, 3, 4}}}, .spread = 2},
    {"transpose", NULL, 1, {{4, {2, 3, 4, 5}}}},
    {"transpose", PARAMS(transpose, {3, {1, 0, 2}}), 1, {{3, {3, 4, 2}}}},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

#endif
