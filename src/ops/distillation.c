/* Distillation (Hinton, Vinyals, Dean 2015): with teacher logits t, student logits z, temperature T and weight w
 *
 *     loss = mean over rows of  w T^2 sum_j q[j] (log q[j] - log p[j])  +  (1 - w) cross-entropy(z, labels),
 *     q = softmax(t / T),  p = softmax(z / T),
 *     dz = (w T (p - q) + (1 - w) (softmax(z) - target)) / rows.
 *
 * T^2 keeps the soft part's gradient of one size whatever T. The target of the labels may be smoothed; the teacher gets no
 * gradient. */
#include "ops/infer.h"
#include "ops/loss.h"

static double row_loss(const crumb_op_call *call, int64_t n, int64_t class) {
    const crumb_distillation_params *p = call->params;
    int64_t classes = call->x[0].shape.dim[1];
    double temperature = p->temperature, divergence = 0;
    const crumb_real *z = (const crumb_real *)call->x[0].data + n * classes;
    const crumb_real *t = (const crumb_real *)call->x[1].data + n * classes;
    double z_sum = crumb_log_sum_exp(z, classes, temperature), t_sum = crumb_log_sum_exp(t, classes, temperature);
    for (int64_t j = 0; j < classes; j++) {
        double log_p = (double)z[j] / temperature - z_sum, log_q = (double)t[j] / temperature - t_sum;
        divergence += exp(log_q) * (log_q - log_p);
    }
    return p->weight * temperature * temperature * divergence +
           (1 - p->weight) * crumb_cross_entropy(z, class, classes, p->label_smoothing);
}

static void row_gradient(const crumb_op_call *call, int64_t n, int64_t class, double dy, crumb_real *dx) {
    const crumb_distillation_params *p = call->params;
    int64_t classes = call->x[0].shape.dim[1];
    double temperature = p->temperature;
    const crumb_real *z = (const crumb_real *)call->x[0].data + n * classes;
    const crumb_real *t = (const crumb_real *)call->x[1].data + n * classes;
    double hard_sum = crumb_log_sum_exp(z, classes, 1);
    double z_sum = crumb_log_sum_exp(z, classes, temperature), t_sum = crumb_log_sum_exp(t, classes, temperature);
    for (int64_t j = 0; j < classes; j++) {
        double soft = exp((double)z[j] / temperature - z_sum) - exp((double)t[j] / temperature - t_sum);
        double hard = exp((double)z[j] - hard_sum) - crumb_smooth_target(class, j, classes, p->label_smoothing);
        crumb_put(dx + j, (crumb_real)(dy * (p->weight * temperature * soft + (1 - p->weight) * hard)), call->add[0]);
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
    return 12 * crumb_flops_elementwise(params, inputs, x, x[0]); /* three softmaxes, two logarithms, product, sum */
}

#define ROW(member, preset, min, max, doc)                                                                                     \
    { #member, CRUMB_PARAM_REAL, offsetof(crumb_distillation_params, member), preset, min, max, NULL, doc }
static const crumb_param table[] = {
    ROW(temperature, "4", 1e-3, 1e3, "divides both networks' logits in the soft part"),
    ROW(weight, "0.5", 0, 1, "of the soft part; the labels get the rest"),
    ROW(label_smoothing, "0", 0, 1, "share of the labels' target that is spread evenly over the classes"),
    {0},
};

const crumb_op CRUMB_OP_NAME(distillation) = {
    .name = "distillation",
    .doc = "y = mean_n weight*T^2*KL(softmax(teacher/T) || softmax(logits/T)) + (1-weight)*cross-entropy(logits, labels)",
    .min_inputs = 3,
    .max_inputs = 3,
    .input_names = "logits teacher_logits labels",
    .roles = {CRUMB_DATA, CRUMB_LABEL, CRUMB_LABEL},
    .params = table,
    .params_size = sizeof(crumb_distillation_params),
    .uses = CRUMB_USES_X,
    .infer = crumb_infer_loss,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};
