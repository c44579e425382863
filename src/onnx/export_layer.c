/* conv2d: Conv, or for a linear layer Gemm or MatMulNBits, with the multiplier in the weights' scales. In QONNX's form the
 * weights keep their own scale and what is left of the multiplier follows, as batch norm does in networks made for it. */
#include "onnx/export_parts.h"

#include <math.h>

/* ---- Weights of the form. */

/* Weights are on the quantizer's own levels; the width is the smallest that has them (export_quantize.c has the same for
 * activations, which are clipped). Levels without a zero, -3 -1 1 3, have a zero point of one half. */
static const char *quant_weight(crumb_onnx_job *job, const crumb_onnx_weight *y) {
    crumb_onnx_writer *w = &job->w;
    const crumb_packed_codes *codes = y->codes;
    const char *real = crumb_onnx_weight_floats(job, y), *out = crumb_onnx_part(job, "weight/quantized");
    const char *scale = crumb_onnx_part(job, "weight/scale");
    float *at = crumb_onnx_tensor(w, scale, CRUMB_ONNX_FLOAT, y->rank, (const int64_t[]){y->rows, 1, 1, 1},
                                  (size_t)y->rows * sizeof(*at));
    bool bipolar = codes->levels == 2 && codes->multiply == 2 && codes->offset == -1;
    for (int32_t row = 0; at != NULL && row < y->rows; row++) {
        at[row] = y->scale[row] * (float)(bipolar ? 1 : codes->multiply);
    }
    int32_t high = codes->offset + codes->levels - 1;
    if (bipolar) {
        crumb_onnx_bipolar_quant(job, out, real, scale);
    } else if (codes->multiply == 1 && codes->offset < 0 && (codes->offset == -high || codes->offset == -high - 1)) {
        crumb_onnx_int_quant(job, out, real, scale, 0, codes->bits, true, codes->offset == -high);
    } else {
        crumb_onnx_int_quant(job, out, real, scale, -(float)codes->offset / (float)codes->multiply, codes->bits, false, false);
    }
    return out;
}

static const char *weight_of(crumb_onnx_job *job, const crumb_onnx_weight *y) {
    if (y->real != NULL || (!job->form->integers && !job->form->functions)) {
        return crumb_onnx_weight_floats(job, y);
    }
    return job->form->functions ? quant_weight(job, y) : crumb_onnx_weight_integers(job, y);
}

/* ---- The layer. */

static bool is_zero(const float *value, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (value[i] != 0.0f) {
            return false;
        }
    }
    return true;
}

/* Whether the input lies on levels: in ONNX it then comes from a DequantizeLinear, if the weights are floats or not. */
static bool takes_codes(const crumb_onnx_job *job, const crumb_packed_node *node) {
    const crumb_packed *packed = job->packed;
    int32_t value = node->input[0];
    while (value > 0 && packed->value[value].codes.levels == 0) {
        const crumb_packed_node *maker = &packed->node[value - 1];
        bool same = maker->op == CRUMB_PACKED_DEQUANTIZE || maker->op == CRUMB_PACKED_FLATTEN ||
                    maker->op == CRUMB_PACKED_GATHER || maker->op == CRUMB_PACKED_MAX_POOL;
        value = same ? maker->input[0] : 0;
    }
    return value > 0;
}

/* The layer's input. ONNX Runtime 1.30 puts integer products of its own behind a DequantizeLinear, some of which are none: a
 * QGemm has no 2-bit weights, and weights that are floats become 8-bit ones. A Concat of the one tensor stands between. */
static const char *input_of(crumb_onnx_job *job, const crumb_packed_node *node, const crumb_onnx_weight *y) {
    const char *x = crumb_onnx_like(job, node->input[0], y->linear), *same = crumb_onnx_part(job, "input");
    bool misread = y->code == NULL || (y->linear && crumb_onnx_weight_bits(job, y) == 2);
    if (!job->form->integers || !misread || !takes_codes(job, node)) {
        return x;
    }
    crumb_onnx_int(&job->w, CRUMB_ONNX_ADD(&job->w, "Concat", same, x), "axis", 1);
    return same;
}

/* The product of input and weights, with a bias where it is not NULL. */
static void emit_product(crumb_onnx_job *job, const crumb_packed_node *node, const crumb_onnx_weight *y, const char *output,
                         const char *bias) {
    crumb_onnx_writer *w = &job->w;
    const char *x = input_of(job, node, y);
    const char *read[3] = {x, weight_of(job, y), bias};
    crumb_onnx_node *made = crumb_onnx_add(w, y->linear ? "Gemm" : "Conv", output, bias != NULL ? 3 : 2, read);
    if (y->linear) {
        crumb_onnx_int(w, made, "transB", 1);
        return;
    }
    int64_t p = node->padding;
    crumb_onnx_ints(w, made, "kernel_shape", 2, y->dim + 2);
    crumb_onnx_ints(w, made, "strides", 2, (const int64_t[]){node->stride, node->stride});
    crumb_onnx_ints(w, made, "pads", 4, (const int64_t[]){p, p, p, p});
    crumb_onnx_ints(w, made, "dilations", 2, (const int64_t[]){node->dilation, node->dilation});
    crumb_onnx_int(w, made, "group", node->groups);
}

/* Multiplies by what the weights' own scales leave of the multiplier, and adds the bias. */
static crumb_status emit_unfolded(crumb_onnx_job *job, const crumb_packed_node *node, const crumb_onnx_weight *y,
                                  const float *bias) {
    crumb_onnx_writer *w = &job->w;
    const crumb_packed_codes *x = &job->packed->value[node->input[0]].codes;
    const float *multiplier = crumb_packed_floats(job->packed, node->multiplier);
    double scale_x = x->levels > 0 && x->scale > 0.0f ? (double)x->scale : 1;
    float *rest = crumb_onnx_room(w, (size_t)y->rows, sizeof(*rest));
    bool plain = true;
    for (int32_t row = 0; rest != NULL && row < y->rows; row++) {
        rest[row] = (float)((double)multiplier[row] / (scale_x * (double)y->scale[row]));
        plain = plain && rest[row] == 1.0f;
    }
    CRUMB_TRY(w->status);
    const char *sum = crumb_onnx_part(job, "sum"), *product = crumb_onnx_part(job, "product");
    bool add = !is_zero(bias, y->rows);
    emit_product(job, node, y, plain && !add ? job->prefix : sum, NULL);
    if (!plain) {
        CRUMB_ONNX_ADD(w, "Mul", add ? product : job->prefix, sum,
                       crumb_onnx_channels(job, "multiplier", rest, y->rows, y->linear));
    }
    if (add) {
        CRUMB_ONNX_ADD(w, "Add", job->prefix, plain ? sum : product,
                       crumb_onnx_channels(job, "bias", bias, y->rows, y->linear));
    }
    return w->status;
}

/* Behind integer weights the bias is an Add of its own, also where it is zero: runtimes round a bias inside Conv to multiples
 * of scale_x * scale_w (ONNX Runtime 1.30 does), which at 2 bits is more than a level of the next quantizer. */
static crumb_status emit_integers(crumb_onnx_job *job, const crumb_packed_node *node, const crumb_onnx_weight *y,
                                  const float *bias) {
    const char *product = NULL;
    if (job->form->nbits && y->linear) {
        product = crumb_onnx_weight_nbits(job, y, crumb_onnx_vector(job, node->input[0]));
    }
    if (product == NULL) {
        product = crumb_onnx_part(job, "product");
        emit_product(job, node, y, product, NULL);
    }
    CRUMB_ONNX_ADD(&job->w, "Add", job->prefix, product, crumb_onnx_channels(job, "bias", bias, y->rows, y->linear));
    return job->w.status;
}

static crumb_status emit_layer(crumb_onnx_job *job, const crumb_packed_node *node, const crumb_onnx_weight *y) {
    const float *bias = crumb_packed_floats(job->packed, node->bias);
    if (job->form->functions && y->code != NULL) {
        return emit_unfolded(job, node, y, bias);
    }
    if (job->form->integers && y->code != NULL) {
        return emit_integers(job, node, y, bias);
    }
    bool add = !is_zero(bias, y->rows);
    emit_product(job, node, y, job->prefix,
                 add ? crumb_onnx_floats(&job->w, crumb_onnx_part(job, "bias"), 1, y->dim, bias) : NULL);
    return job->w.status;
}

crumb_status crumb_onnx_layer(crumb_onnx_job *job, const crumb_packed_node *node) {
    crumb_onnx_weight weight;
    CRUMB_TRY(crumb_onnx_weight_read(job, node, &weight));
    crumb_status status = emit_layer(job, node, &weight);
    crumb_onnx_weight_free(job->ctx, &weight);
    crumb_onnx_made(job, node->output, job->prefix, weight.linear);
    return status;
}
