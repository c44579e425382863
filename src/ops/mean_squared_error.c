/* Mean squared distance of the logits from the one-hot target, over the elements of the rows with a label:
 *
 *     loss = sum_{n,j} (x[n,j] - t[n,j])^2 / (rows classes),   dx = 2 (x - t) / (rows classes). */
#include "ops/infer.h"
#include "ops/loss.h"

static double row_loss(const crumb_op_call *call, int64_t n, int64_t class) {
    int64_t classes = call->x[0].shape.dim[1];
    const crumb_real *z = (const crumb_real *)call->x[0].data + n * classes;
    double sum = 0;
    for (int64_t j = 0; j < classes; j++) {
        double distance = (double)z[j] - (j == class);
        sum += distance * distance;
    }
    return sum / (double)classes;
}

static void row_gradient(const crumb_op_call *call, int64_t n, int64_t class, double dy, crumb_real *dx) {
    int64_t classes = call->x[0].shape.dim[1];
    const crumb_real *z = (const crumb_real *)call->x[0].data + n * classes;
    for (int64_t j = 0; j < classes; j++) {
        crumb_put(dx + j, (crumb_real)(2 * dy * ((double)z[j] - (j == class)) / (double)classes), call->add[0]);
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
    return 3 * crumb_flops_elementwise(params, inputs, x, x[0]); /* subtract, multiply, add */
}

const crumb_op CRUMB_OP_NAME(mean_squared_error) = {
    .name = "mean_squared_error",
    .doc = "y = mean_{n,j} (logits[n,j] - onehot(labels[n])[j])^2, rows with a negative label left out",
    .min_inputs = 2,
    .max_inputs = 2,
    .input_names = "logits labels",
    .roles = {CRUMB_DATA, CRUMB_LABEL},
    .uses = CRUMB_USES_X0 | CRUMB_USES_X1,
    .infer = crumb_infer_loss,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
