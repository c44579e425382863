/* An ONNX file under construction: nodes, initializers, functions, metadata as protobuf-c's structs, all in one arena. The
 * first failure sticks, later calls do nothing, and crumb_onnx_bytes says what it was; so construction checks once. Texts that
 * are passed in must live until then: literals, or texts of the arena. */
#ifndef CRUMB_ONNX_WRITER_H
#define CRUMB_ONNX_WRITER_H

#include "base/ctx.h"
#include "onnx/tensor.h" /* element types */

typedef struct crumb_onnx_block crumb_onnx_block;

typedef struct crumb_onnx_writer {
    crumb_ctx *ctx;
    crumb_status status;
    crumb_onnx_block *block; /* the arena's, latest first */
    CrumbOnnx__ModelProto model;
    CrumbOnnx__GraphProto graph;
    CrumbOnnx__FunctionProto *function; /* not NULL: nodes go into it */
} crumb_onnx_writer;

void crumb_onnx_begin(crumb_onnx_writer *w, crumb_ctx *ctx, int64_t ir_version, int64_t opset);
/* The bytes of the file `name`; crumb_free them. UNSUPPORTED: there would be more than 2 GiB, which protobuf does not allow. */
crumb_status crumb_onnx_bytes(crumb_onnx_writer *w, const char *name, uint8_t **bytes, size_t *size);
void crumb_onnx_drop(crumb_onnx_writer *w); /* frees everything but the bytes */

/* Zeroed memory of the arena; NULL after a failure. */
void *crumb_onnx_room(crumb_onnx_writer *w, size_t count, size_t size);
/* A text of the arena; "" after a failure. */
const char *crumb_onnx_text(crumb_onnx_writer *w, const char *format, ...) CRUMB_PRINTF(2, 3);
void crumb_onnx_note(crumb_onnx_writer *w, const char *key, const char *value);
/* The file uses this version of a domain. Once for each. */
void crumb_onnx_import(crumb_onnx_writer *w, const char *domain, int64_t version);

/* FLOAT of rank 4 with a symbolic first dimension, or of rank 2. */
void crumb_onnx_input(crumb_onnx_writer *w, const char *name, int rank, const int64_t *dim);
void crumb_onnx_output(crumb_onnx_writer *w, const char *name, int rank, const int64_t *dim);

/* Appends output = op(input...). NULL after a failure: attributes then do nothing. */
typedef CrumbOnnx__NodeProto crumb_onnx_node;
crumb_onnx_node *crumb_onnx_add(crumb_onnx_writer *w, const char *op, const char *output, int inputs, const char *const *input);
#define CRUMB_ONNX_ADD(w, op, output, ...)                                                                                     \
    crumb_onnx_add(w, op, output, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)),                         \
                   (const char *[]){__VA_ARGS__})
void crumb_onnx_domain(crumb_onnx_node *node, const char *domain);
void crumb_onnx_int(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, int64_t value);
void crumb_onnx_ints(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, int count, const int64_t *value);
void crumb_onnx_real(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, float value);
void crumb_onnx_word(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, const char *value);
/* In a function: the attribute has the value of the function's attribute `of`, an integer. */
void crumb_onnx_int_of(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, const char *of);

/* Appends an initializer; its bytes, zeroed, little-endian, for the caller to fill. NULL after a failure. */
void *crumb_onnx_tensor(crumb_onnx_writer *w, const char *name, int32_t type, int rank, const int64_t *dim, size_t bytes);
/* The same with its values; they return `name`. rank 0: one value. */
const char *crumb_onnx_floats(crumb_onnx_writer *w, const char *name, int rank, const int64_t *dim, const float *value);
const char *crumb_onnx_int64s(crumb_onnx_writer *w, const char *name, int64_t count, const int64_t *value);
const char *crumb_onnx_scalar(crumb_onnx_writer *w, const char *name, float value);
const char *crumb_onnx_byte(crumb_onnx_writer *w, const char *name, int32_t type, int32_t value); /* UINT8 and INT8 */

/* Opens a model-local function of `domain`; nodes that follow are its body, until close. */
void crumb_onnx_function_open(crumb_onnx_writer *w, const char *domain, const char *name, int inputs, const char *const *input,
                              const char *output, int attributes, const char *const *attribute);
void crumb_onnx_function_close(crumb_onnx_writer *w);

/* Renames a tensor wherever it is made and read. */
void crumb_onnx_rename(crumb_onnx_writer *w, const char *from, const char *to);

#endif
