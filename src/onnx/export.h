/* Packed network -> ONNX, in the forms that other runtimes take (docs/EXPORT.md).
 *
 * The file computes in floats that take the packed network's values: a value of codes is the float tensor scale * code,
 * whichever ops of the form made it, and what stands between is the packed network's node list in NCHW. So the forms differ
 * only in how quantizers (export_quantize.c) and weights (export_layer.c) are written:
 *
 *     float    Mul, Clip, Round, Mul; weights as floats
 *     qcdq     QuantizeLinear, Clip, DequantizeLinear; weights int8 behind DequantizeLinear: opset 13
 *     qdq      the same, weights of up to 4 bits packed: opset 21, of up to 2 bits too: opset 25
 *     nbits    qcdq, but linear layers are MatMulNBits
 *     qonnx    IntQuant and BipolarQuant, with function bodies
 *
 * Scales are of conv2d's multipliers less the input's scale, scale_w[o] = |multiplier[o]| / scale_x: batch norm stays folded.
 * Where a multiplier is negative the row's codes change sign, since runtimes expect scales above zero. qonnx keeps the weights'
 * own scales, and multiplies behind the convolution. */
#ifndef CRUMB_ONNX_EXPORT_H
#define CRUMB_ONNX_EXPORT_H

#include "pack/packed.h"

typedef struct crumb_onnx_form {
    const char *name, *doc;
    int opset, ir_version;
    bool integers;  /* quantizers are QuantizeLinear, weights integers */
    bool nbits;     /* linear layers are MatMulNBits */
    bool functions; /* IntQuant, BipolarQuant */
} crumb_onnx_form;

extern const crumb_onnx_form crumb_onnx_forms[]; /* ends with a NULL name; the first of a name is its preset opset */
/* opset 0: the form's. ARGUMENT if there is no such form, or not with this opset. */
crumb_status crumb_onnx_form_find(crumb_ctx *ctx, const char *name, int opset, const crumb_onnx_form **form);

/* The file's bytes; crumb_free them. `name` stands for it in messages. */
crumb_status crumb_onnx_print(const crumb_packed *packed, const crumb_onnx_form *form, const char *name, uint8_t **bytes,
                              size_t *size);
/* Writes the file, whole or not at all. */
crumb_status crumb_onnx_export(const crumb_packed *packed, const crumb_onnx_form *form, const char *path);

#endif
