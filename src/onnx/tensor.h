/* Tensors of ONNX files as arrays: raw data, typed fields or files beside the model, every element type that holds numbers. */
#ifndef CRUMB_ONNX_TENSOR_H
#define CRUMB_ONNX_TENSOR_H

#include "onnx/message.h"
#include "tensor/tensor.h"

/* Element types by their number in the schema; those after BFLOAT16 are newer than Debian's schema. */
enum {
    CRUMB_ONNX_FLOAT = 1,
    CRUMB_ONNX_UINT8,
    CRUMB_ONNX_INT8,
    CRUMB_ONNX_UINT16,
    CRUMB_ONNX_INT16,
    CRUMB_ONNX_INT32,
    CRUMB_ONNX_INT64,
    CRUMB_ONNX_STRING,
    CRUMB_ONNX_BOOL,
    CRUMB_ONNX_FLOAT16,
    CRUMB_ONNX_DOUBLE,
    CRUMB_ONNX_UINT32,
    CRUMB_ONNX_UINT64,
    CRUMB_ONNX_BFLOAT16 = 16,
    CRUMB_ONNX_UINT4 = 21,
    CRUMB_ONNX_INT4 = 22,
    CRUMB_ONNX_UINT2 = 25,
    CRUMB_ONNX_INT2 = 26
};

typedef struct crumb_onnx_type {
    const char *name; /* "INT4" */
    int bits;         /* of an element; below 8 the first one lies in the lowest bits */
    bool whole;       /* read as int64_t, else as float */
} crumb_onnx_type;
const crumb_onnx_type *crumb_onnx_type_of(int number); /* NULL: not one of numbers */

/* An array in memory: exactly one of real and whole is set. */
typedef struct crumb_onnx_array {
    crumb_shape shape;
    int type; /* element type in the file */
    float *real;
    int64_t *whole;
} crumb_onnx_array;

/* Shape and element type, against the bytes that are there; nothing is read. `path` is the model's, for messages and for files
 * beside it. */
crumb_status crumb_onnx_tensor_check(crumb_ctx *ctx, const char *path, const CrumbOnnx__TensorProto *tensor,
                                     crumb_shape *shape);
/* The values of a tensor that passed the check; crumb_onnx_array_free. */
crumb_status crumb_onnx_tensor_read(crumb_ctx *ctx, const char *path, const CrumbOnnx__TensorProto *tensor,
                                    crumb_onnx_array *array);
/* Zeroed memory for that shape and type. */
crumb_status crumb_onnx_array_make(crumb_ctx *ctx, int type, crumb_shape shape, crumb_onnx_array *array);
void crumb_onnx_array_free(crumb_ctx *ctx, crumb_onnx_array *array);

#endif
