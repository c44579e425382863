/* An export under way: what each value of the packed network has become. */
#ifndef CRUMB_ONNX_EXPORT_PARTS_H
#define CRUMB_ONNX_EXPORT_PARTS_H

#include "onnx/export.h"
#include "onnx/writer.h"

/* The float tensor of a value, [N, C, H, W] and, if H = W = 1, [N, C]; NULL: not there. */
typedef struct crumb_onnx_value {
    const char *map, *vector;
} crumb_onnx_value;

typedef struct crumb_onnx_job {
    crumb_ctx *ctx;
    const crumb_packed *packed;
    const crumb_onnx_form *form;
    crumb_onnx_writer w;
    crumb_onnx_value *value;       /* one a value */
    const char *prefix;            /* of all names of the node under way: unique */
    bool int_quant, bipolar_quant; /* functions that are used */
} crumb_onnx_job;

/* "layer1.0.conv1/scale" */
const char *crumb_onnx_part(crumb_onnx_job *job, const char *part);
/* A value's tensor; reshaped if only the other shape is there. */
const char *crumb_onnx_map(crumb_onnx_job *job, int32_t value);
const char *crumb_onnx_vector(crumb_onnx_job *job, int32_t value);
/* Whether the value is there as a vector only: what works element by element then stays with vectors. */
bool crumb_onnx_is_vector(const crumb_onnx_job *job, int32_t value);
const char *crumb_onnx_like(crumb_onnx_job *job, int32_t value, bool vector);
void crumb_onnx_made(crumb_onnx_job *job, int32_t value, const char *name, bool vector);
/* A value for each channel, to be broadcast over a map or vector. */
const char *crumb_onnx_channels(crumb_onnx_job *job, const char *part, const float *of, int32_t channels, bool vector);

void crumb_onnx_quantize(crumb_onnx_job *job, const crumb_packed_node *node);      /* export_quantize.c */
crumb_status crumb_onnx_layer(crumb_onnx_job *job, const crumb_packed_node *node); /* export_layer.c: conv2d */

/* ---- export_move.c */
void crumb_onnx_concat(crumb_onnx_job *job, const crumb_packed_node *node);
void crumb_onnx_pad(crumb_onnx_job *job, const crumb_packed_node *node);
void crumb_onnx_subsample(crumb_onnx_job *job, const crumb_packed_node *node);
void crumb_onnx_flatten(crumb_onnx_job *job, const crumb_packed_node *node);
void crumb_onnx_gather(crumb_onnx_job *job, const crumb_packed_node *node);
void crumb_onnx_constant(crumb_onnx_job *job, const crumb_packed_node *node);

/* ---- export_weight.c: a layer's weights in ONNX's order of axes, [O, C / groups, KH, KW]. */

typedef struct crumb_onnx_weight {
    int32_t rows, columns;
    int rank;
    int64_t dim[4];
    bool linear; /* the kernel is the whole input: [O, C KH KW] */
    float *real; /* float weights; else NULL and */
    int16_t *code;
    const crumb_packed_codes *codes;
    float *scale;      /* of each row, or of each group of it: weight = scale * code, or = scale * real */
    int32_t group;     /* columns that share a scale: all, or those of a MatMulNBits' block */
    int32_t groups;    /* of a row */
    int32_t low, high; /* of all codes */
} crumb_onnx_weight;

crumb_status crumb_onnx_weight_read(crumb_onnx_job *job, const crumb_packed_node *node, crumb_onnx_weight *weight);
void crumb_onnx_weight_free(crumb_ctx *ctx, crumb_onnx_weight *weight);
/* Each returns the name of a float tensor. */
const char *crumb_onnx_weight_floats(crumb_onnx_job *job, const crumb_onnx_weight *weight);
const char *crumb_onnx_weight_integers(crumb_onnx_job *job, const crumb_onnx_weight *weight);
/* The width that takes its codes. */
int32_t crumb_onnx_weight_bits(const crumb_onnx_job *job, const crumb_onnx_weight *weight);
/* y = MatMulNBits(x, weight) for a linear layer, NULL if its codes have more than 8 bits. */
const char *crumb_onnx_weight_nbits(crumb_onnx_job *job, const crumb_onnx_weight *weight, const char *x);

/* ---- export_functions.c: QONNX. */

#define CRUMB_QONNX_DOMAIN "qonnx.custom_op.general"
/* output = IntQuant(x, scale, zero_point, bits): scale * (clip(round(x / scale + zero_point)) - zero_point). scale is a tensor.
 */
void crumb_onnx_int_quant(crumb_onnx_job *job, const char *output, const char *x, const char *scale, float zero_point, int bits,
                          bool is_signed, bool narrow);
/* output = BipolarQuant(x, scale): scale where x >= 0, else -scale. */
void crumb_onnx_bipolar_quant(crumb_onnx_job *job, const char *output, const char *x, const char *scale);
/* The bodies of those that were used, so that a runtime needs to know neither. */
void crumb_onnx_functions(crumb_onnx_job *job);

#endif
