/* What every row of ops.inc promises about itself, and the one-line errors of its shape rule. A row without an error case
 * fails. */
#include "harness.h"

#include "ops/infer.h"

/* Cases leave out what is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define PARAMS(type, ...)                                                                                                      \
    &(const crumb_##type##_params) {                                                                                           \
        __VA_ARGS__                                                                                                            \
    }

static const struct error_case {
    const char *op;
    const void *params; /* NULL: presets */
    int inputs;
    crumb_shape x[CRUMB_INPUTS_MAX];
    const char *message; /* all of it */
    crumb_status status; /* 0: SHAPE */
} cases[] = {
    {"add", NULL, 1, {{1, {2}}}, "add: 1 inputs given, it takes 2 to 2 (a b)", CRUMB_ERROR_ARGUMENT},
    {"add",
     NULL,
     2,
     {{2, {2, 3}}, {2, {2, 4}}},
     "add: shapes differ, and the second is not one value a channel (a 2x3, b 2x4)"},
    {"average_pool",
     PARAMS(pool, 3, 1, 3),
     1,
     {{4, {1, 5, 5, 1}}},
     "average_pool: padding 3 leaves windows of 3 without a pixel",
     CRUMB_ERROR_ARGUMENT},
    {"batch_norm",
     NULL,
     6,
     {{4, {1, 2, 2, 3}}, {1, {4}}, {1, {3}}, {1, {3}}, {1, {3}}, {1, {1}}},
     "batch_norm: input 1 is not one value a channel of x (x 1x2x2x3, weight 4, bias 3, running_mean 3, running_var 3, "
     "num_batches_tracked 1)"},
    {"batch_norm",
     NULL,
     6,
     {{2, {1, 3}}, {1, {3}}, {1, {3}}, {1, {3}}, {1, {2}}, {1, {1}}},
     "batch_norm: statistics must be [C], num_batches_tracked one value (x 1x3, weight 3, bias 3, running_mean 3, running_var "
     "2, "
     "num_batches_tracked 1)"},
    {"clip", PARAMS(clip, 1, 0), 1, {{1, {2}}}, "clip: min 1 is above max 0", CRUMB_ERROR_ARGUMENT},
    {"clip",
     PARAMS(clip, NAN, 0),
     1,
     {{1, {2}}},
     "clip: min: nan is outside -3.40282e+38 .. 3.40282e+38",
     CRUMB_ERROR_ARGUMENT},
    {"concat", NULL, 3, {{2, {2, 3}}, {2, {2, 5}}, {2, {1, 3}}}, "concat: input 2 differs beside axis 1 (x 2x3, x 2x5, x 1x3)"},
    {"concat", PARAMS(concat, -3), 2, {{2, {2, 3}}, {2, {2, 5}}}, "concat: there is no axis -3 (x 2x3, x 2x5)"},
    {"conv2d",
     NULL,
     2,
     {{4, {1, 8, 8, 3}}, {4, {4, 3, 3, 5}}},
     "conv2d: channels do not fit 1 groups (x 1x8x8x3, weight 4x3x3x5)"},
    {"conv2d",
     NULL,
     2,
     {{2, {1, 8}}, {4, {4, 3, 3, 5}}},
     "conv2d: x must be [N,H,W,C], weight [O,KH,KW,C/groups] (x 1x8, weight 4x3x3x5)"},
    {"conv2d",
     NULL,
     3,
     {{4, {1, 8, 8, 3}}, {4, {4, 3, 3, 3}}, {1, {3}}},
     "conv2d: bias is not one value an output channel (x 1x8x8x3, weight 4x3x3x3, bias 3)"},
    {"conv2d",
     PARAMS(conv2d, 1, 0, 4, 1),
     2,
     {{4, {1, 8, 8, 3}}, {4, {4, 3, 3, 3}}},
     "conv2d: the kernel is larger than the image with padding 0 (x 1x8x8x3, weight 4x3x3x3)"},
    {"conv2d",
     PARAMS(conv2d, 0, 0, 1, 1),
     2,
     {{4, {1, 8, 8, 3}}, {4, {4, 3, 3, 3}}},
     "conv2d: stride: 0 is outside 1 .. 65536",
     CRUMB_ERROR_ARGUMENT},
    {"conv_transpose2d",
     PARAMS(conv_transpose2d, 1, 0, 1, 2, 0),
     2,
     {{4, {1, 8, 8, 3}}, {4, {3, 3, 3, 5}}},
     "conv_transpose2d: channels do not fit 2 groups (x 1x8x8x3, weight 3x3x3x5)"},
    {"conv_transpose2d",
     PARAMS(conv_transpose2d, 1, 2, 1, 1, 0),
     2,
     {{4, {1, 2, 2, 3}}, {4, {3, 1, 1, 5}}},
     "conv_transpose2d: padding 2 leaves nothing (x 1x2x2x3, weight 3x1x1x5)"},
    {"conv_transpose2d",
     NULL,
     3,
     {{4, {1, 2, 2, 3}}, {4, {3, 1, 1, 5}}, {1, {3}}},
     "conv_transpose2d: bias is not one value an output channel (x 1x2x2x3, weight 3x1x1x5, bias 3)"},
    {"distillation",
     NULL,
     3,
     {{2, {4, 3}}, {2, {4, 5}}, {1, {4}}},
     "distillation: logits differ in shape (logits 4x3, teacher_logits 4x5, labels 4)"},
    {"div", NULL, 2, {{2, {2, 3}}, {1, {2}}}, "div: shapes differ, and the second is not one value a channel (a 2x3, b 2)"},
    {"dropout", PARAMS(dropout, 1), 1, {{1, {2}}}, "dropout: p: 1 is outside 0 .. 0.999", CRUMB_ERROR_ARGUMENT},
    {"expand", NULL, 2, {{2, {2, 3}}, {2, {2, 7}}}, "expand: the shapes do not fit each other (x 2x3, like 2x7)"},
    {"expand", NULL, 2, {{2, {2, 3}}, {1, {3}}}, "expand: the shapes do not fit each other (x 2x3, like 3)"},
    {"gather",
     PARAMS(gather, 2),
     2,
     {{2, {2, 3}}, {1, {7}}},
     "gather: there is no axis 2, or index is no list (x 2x3, index 7)"},
    {"flatten", NULL, 1, {{1, {4}}}, "flatten: x has no dimensions behind the batch (x 4)"},
    {"global_average_pool", NULL, 1, {{2, {4, 3}}}, "global_average_pool: x must be [N,H,W,C] (x 4x3)"},
    {"global_max_pool", NULL, 1, {{2, {4, 3}}}, "global_max_pool: x must be [N,H,W,C] (x 4x3)"},
    {"hard_sigmoid", NULL, 2, {{1, {2}}, {1, {2}}}, "hard_sigmoid: 2 inputs given, it takes 1 to 1 (x)", CRUMB_ERROR_ARGUMENT},
    {"hard_swish", NULL, 0, {{0}}, "hard_swish: 0 inputs given, it takes 1 to 1 (x)", CRUMB_ERROR_ARGUMENT},
    {"leaky_relu",
     PARAMS(leaky_relu, NAN),
     1,
     {{1, {2}}},
     "leaky_relu: slope: nan is outside -1e+06 .. 1e+06",
     CRUMB_ERROR_ARGUMENT},
    {"linear", NULL, 2, {{2, {2, 4}}, {2, {3, 5}}}, "linear: x must be [N,I], weight [O,I] (x 2x4, weight 3x5)"},
    {"linear",
     NULL,
     3,
     {{2, {2, 4}}, {2, {3, 4}}, {1, {4}}},
     "linear: bias is not one value an output (x 2x4, weight 3x4, bias 4)"},
    {"log_softmax", NULL, 2, {{1, {2}}, {1, {2}}}, "log_softmax: 2 inputs given, it takes 1 to 1 (x)", CRUMB_ERROR_ARGUMENT},
    {"lrn", PARAMS(lrn, 0, 1, 1, 1), 1, {{2, {2, 3}}}, "lrn: size: 0 is outside 1 .. 4096", CRUMB_ERROR_ARGUMENT},
    {"max_pool", NULL, 1, {{4, {1, 1, 5, 1}}}, "max_pool: kernel 2 is larger than the image with padding 0 (x 1x1x5x1)"},
    {"mean_squared_error",
     NULL,
     2,
     {{2, {4, 3}}, {1, {3}}},
     "mean_squared_error: labels must be [N], one class index a row of logits (logits 4x3, labels 3)"},
    {"mul", NULL, 2, {{2, {2, 3}}, {1, {2}}}, "mul: shapes differ, and the second is not one value a channel (a 2x3, b 2)"},
    {"pad", PARAMS(pad, {3, {1, 1, 1}}, {0}, 0), 1, {{2, {2, 3}}}, "pad: x has no axis for some of before 3, after 0 (x 2x3)"},
    {"pad", PARAMS(pad, {1, {0.5}}, {0}, 0), 1, {{2, {2, 3}}}, "pad: before: 0.5 is no whole number", CRUMB_ERROR_ARGUMENT},
    {"pad",
     PARAMS(pad, {7, {0}}, {0}, 0),
     1,
     {{2, {2, 3}}},
     "pad: before: 7 values, a tensor has at most 6 axes",
     CRUMB_ERROR_ARGUMENT},
    {"prelu", NULL, 2, {{2, {2, 3}}, {1, {1}}}, "prelu: input 1 is not one value a channel of x (x 2x3, slope 1)"},
    {"reduce_mean", NULL, 1, {{2, {2, 3}}}, "reduce_mean: there is no axis 2 (x 2x3)"},
    {"relu", NULL, 2, {{1, {2}}, {1, {2}}}, "relu: 2 inputs given, it takes 1 to 1 (x)", CRUMB_ERROR_ARGUMENT},
    {"reshape", PARAMS(reshape, {2, {5, -1}}), 1, {{2, {2, 3}}}, "reshape: 6 values do not fill 5x1 (x 2x3)"},
    {"reshape", PARAMS(reshape, {2, {-1, -1}}), 1, {{2, {2, 3}}}, "reshape: dimension 1 cannot be -1 (x 2x3)"},
    {"resize_nearest", NULL, 1, {{2, {2, 3}}}, "resize_nearest: x must be [N,H,W,C] (x 2x3)"},
    {"shift", NULL, 2, {{1, {3}}, {1, {3}}}, "shift: x has no channels beside the batch (x 3, bias 3)"},
    {"sigmoid", NULL, 0, {{0}}, "sigmoid: 0 inputs given, it takes 1 to 1 (x)", CRUMB_ERROR_ARGUMENT},
    {"slice", PARAMS(slice, {2, {0, 3}}), 1, {{2, {2, 3}}}, "slice: nothing is left of x (x 2x3)"},
    {"slice", PARAMS(slice, .step = {1, {0}}), 1, {{2, {2, 3}}}, "slice: step: 0 is outside 1 .. 65536", CRUMB_ERROR_ARGUMENT},
    {"softmax", NULL, 0, {{0}}, "softmax: 0 inputs given, it takes 1 to 1 (x)", CRUMB_ERROR_ARGUMENT},
    {"softmax_cross_entropy",
     NULL,
     2,
     {{3, {4, 3, 2}}, {1, {4}}},
     "softmax_cross_entropy: logits must be [N,classes] (logits 4x3x2, labels 4)"},
    {"softmax_cross_entropy",
     PARAMS(softmax_cross_entropy, 1.5),
     2,
     {{2, {4, 3}}, {1, {4}}},
     "softmax_cross_entropy: label_smoothing: 1.5 is outside 0 .. 1",
     CRUMB_ERROR_ARGUMENT},
    {"sub", NULL, 2, {{2, {2, 3}}, {1, {2}}}, "sub: shapes differ, and the second is not one value a channel (a 2x3, b 2)"},
    {"tanh", NULL, 3, {{1, {2}}}, "tanh: 3 inputs given, it takes 1 to 1 (x)", CRUMB_ERROR_ARGUMENT},
    {"transpose",
     PARAMS(transpose, {2, {1, 1}}),
     1,
     {{2, {2, 3}}},
     "transpose: order does not name each axis of x once (x 2x3)"},
    {"transpose", NULL, 1, {{2, {2, 3}}}, "transpose: order does not name each axis of x once (x 2x3)"},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static void test_errors(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    for (int i = 0; i < CASES; i++) {
        const struct error_case *c = &cases[i];
        const crumb_op *op = crumb_op_find(c->op);
        _Alignas(16) char presets[2048] = {0};
        crumb_params_preset(op->params, presets);
        crumb_op_plan plan = {.saved = 12345}, before = plan;
        crumb_status status = crumb_op_infer(ctx, op, c->params != NULL ? c->params : presets, c->inputs, c->x, &plan);
        assert_string_equal(crumb_message(ctx), c->message);
        assert_int_equal(status, c->status != 0 ? c->status : CRUMB_ERROR_SHAPE);
        assert_memory_equal(&plan, &before, sizeof(plan)); /* results are untouched on failure */
    }
    crumb_ctx_destroy(ctx);
}

static int words(const char *text) {
    int count = 1;
    for (; *text != '\0'; text++) {
        count += *text == ' ';
    }
    return count;
}

static void test_descriptors(void **state) {
    (void)state;
    for (int i = 0; crumb_ops[i] != NULL; i++) {
        const crumb_op *op = crumb_ops[i];
        int errors = 0;
        for (int k = 0; k < CASES; k++) {
            errors += strcmp(cases[k].op, op->name) == 0;
        }
        if (errors == 0) {
            fail_msg("op %s has no error case", op->name);
        }
        assert_ptr_equal(crumb_op_find(op->name), op);
        assert_true(op->doc[0] != '\0' && strchr(op->doc, '\n') == NULL);
        assert_true(op->min_inputs >= 1 && op->max_inputs <= CRUMB_INPUTS_MAX);
        assert_true(words(op->input_names) == op->max_inputs || op->max_inputs == CRUMB_INPUTS_MAX);
        assert_true((op->params == NULL) == (op->params_size == 0));
        for (const crumb_param *param = op->params; param != NULL && param->name != NULL; param++) {
            assert_true(param->offset < op->params_size && param->doc[0] != '\0');
        }
        assert_true(op->infer != NULL && op->forward != NULL && op->backward != NULL);
        assert_true(i == 0 || strcmp(crumb_ops[i - 1]->name, op->name) < 0);
    }
    assert_null(crumb_op_find("conv3d"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors), cmocka_unit_test(test_descriptors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
