/* Softmax and cross-entropy in one, with label smoothing (Szegedy et al. 2016, section 7), as PyTorch defines it:
 *
 *     loss = -mean over rows of sum_j t[j] log p[j],   p = softmax(logits),   t = (1 - s) one-hot + s / classes,
 *     dlogits = (p - t) / rows. */
#include "ops/infer.h"
#include "ops/loss.h"

static double row_loss(const crumb_op_call *call, int64_t n, int64_t class) {
    const crumb_softmax_cross_entropy_params *p = call->params;
    int64_t classes = call->x[0].shape.dim[1];
    return crumb_cross_entropy((const crumb_real *)call->x[0].data + n * classes, class, classes, p->label_smoothing);
}

static void row_gradient(const crumb_op_call *call, int64_t n, int64_t class, double dy, crumb_real *dx) {
    const crumb_softmax_cross_entropy_params *p = call->params;
    int64_t classes = call->x[0].shape.dim[1];
    const crumb_real *z = (const crumb_real *)call->x[0].data + n * classes;
    double log_sum = crumb_log_sum_exp(z, classes, 1);
    for (int64_t j = 0; j < classes; j++) {
        double gradient = exp((double)z[j] - log_sum) - crumb_smooth_target(class, j, classes, p->label_smoothing);
        crumb_put(dx + j, (crumb_real)(dy * gradient), call->add[0]);
    }
}

static void forward(crumb_op_call *call) {
    crumb_loss_forward(call, row_loss);
}

static void backward(crumb_op_call *call) {
    crumb_loss_backward(call, row_gradient);
}

static double flops(const void *params, int inputs, const crumb_shape *x, crumb_shape y) {
    (void)y;
    return 4 * crumb_flops_elementwise(params, inputs, x, x[0]); /* subtract, exp, sum, target */
}

static const crumb_param table[] = {
    {"label_smoothing", CRUMB_PARAM_REAL, offsetof(crumb_softmax_cross_entropy_params, label_smoothing), "0", 0, 1, NULL,
     "share of the target that is spread evenly over the classes"},
    {0},
};

const crumb_op CRUMB_OP_NAME(softmax_cross_entropy) = {
    .name = "softmax_cross_entropy",
    .doc = "y = -mean_n sum_j t[n,j] log softmax(logits[n])[j], rows with a negative label left out",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = "logits labels",
    .roles = {CRUMB_DATA, CRUMB_LABEL},
    .params = table,
    .params_size = sizeof(crumb_softmax_cross_entropy_params),
    .uses = CRUMB_USES_X0 | CRUMB_USES_X1,
    .infer = crumb_infer_loss,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
