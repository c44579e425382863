/* An import under way: the values of the model, and what handlers build a graph with. */
#ifndef CRUMB_ONNX_IMPORTER_H
#define CRUMB_ONNX_IMPORTER_H

#include "onnx/import.h"
#include "ops/params.h"
#include "quant/quantizer.h"

enum { CRUMB_ONNX_INPUTS_MAX = 64, CRUMB_ONNX_NODES_MAX = 10000 };

/* Which step an element has: one for all (axis < 0), one for each place along an axis, or for each `block` places of it. */
typedef struct crumb_import_steps {
    crumb_shape shape; /* of the elements */
    int axis;
    int64_t block; /* 0: 1 */
} crumb_import_steps;

/* The quantizer `fixed` that a constant came out of: value = step * code. */
typedef struct crumb_import_codes {
    crumb_import_steps place;
    float *step, zero;
    int bits;
    int64_t levels;
    bool odd;
} crumb_import_codes;

/* A value of the model: computed by the graph (at >= 0), or constant (tensor or array). */
typedef struct crumb_import_value {
    const char *name;
    crumb_shape shape;              /* as ONNX has it */
    int uses;                       /* inputs of nodes still to come that read it */
    bool known;                     /* something has made it */
    int at;                         /* value of the graph, -1: constant */
    bool last;                      /* the graph's value has axis 1 behind the others */
    CrumbOnnx__TensorProto *tensor; /* constant, still in the file; `owned`: its raw bytes may be freed */
    bool owned;
    crumb_onnx_array array; /* constant, once it is read */
    int param;              /* PARAM or STATE made of it, -1: none yet */
    unsigned form;          /* and how: see crumb_import_param */
    /* Quantized models (quantized.c). is_codes: the graph's value is what these codes stand for; only DequantizeLinear may read
     * it. */
    bool is_codes;
    float scale;
    int64_t zero;
    struct crumb_import_codes *codes; /* constant: what it is made of, NULL: floats alone */
} crumb_import_value;

typedef struct crumb_import_importer {
    crumb_ctx *ctx;
    const char *path;
    CrumbOnnx__ModelProto *model;
    const crumb_import_options *options;
    crumb_graph *graph;
    int opset;
    crumb_import_value *value;
    int values;
    int *slot; /* hash table: index of a value, -1: free */
    uint32_t slots;
    int node; /* index of the node under way */
} crumb_import_importer;

/* A node of the model, its inputs looked up. */
typedef struct crumb_import_node {
    crumb_import_importer *im;
    const CrumbOnnx__NodeProto *proto;
    const char *name; /* of the graph's nodes made for it; unique */
    int inputs;
    crumb_import_value *x[CRUMB_ONNX_INPUTS_MAX]; /* NULL: left out */
} crumb_import_node;

typedef crumb_status (*crumb_import_handler)(const crumb_import_node *n);

/* A row of importers.inc. */
typedef struct crumb_import_row {
    const char *domain, *op;
    const char *attributes; /* those that are understood, separated by blanks */
    crumb_import_handler handler;
} crumb_import_row;
#define CRUMB_ONNX_IMPORTER(domain, op, handler, attributes) crumb_status crumb_import_##handler(const crumb_import_node *n);
#include "onnx/importers.inc"
#undef CRUMB_ONNX_IMPORTER

crumb_import_value *crumb_import_find(const crumb_import_importer *im, const char *name); /* NULL: no such value */

/* UNSUPPORTED or FORMAT: "m.onnx: Conv conv1: <text>". */
crumb_status crumb_import_fail(const crumb_import_node *n, crumb_status status, const char *format, ...) CRUMB_PRINTF(3, 4);

/* ---- attributes.c: FORMAT when an attribute has another type. Absent ones give the preset. */
crumb_status crumb_import_int(const crumb_import_node *n, const char *name, int64_t preset, int64_t *value);
crumb_status crumb_import_real(const crumb_import_node *n, const char *name, double preset, double *value);
crumb_status crumb_import_word(const crumb_import_node *n, const char *name, const char *preset, char word[64]);
typedef struct crumb_import_ints {
    int count;
    int64_t at[CRUMB_ONNX_INPUTS_MAX];
} crumb_import_ints;
/* count is -1 when absent. */
crumb_status crumb_import_list(const crumb_import_node *n, const char *name, crumb_import_ints *list);
/* The same from the attribute, or else from input k, which has to be constant. */
crumb_status crumb_import_list_of(const crumb_import_node *n, const char *name, int k, crumb_import_ints *list);
const CrumbOnnx__AttributeProto *crumb_import_attribute(const crumb_import_node *n, const char *name);
crumb_status crumb_import_check_attributes(const crumb_import_node *n, const crumb_import_row *row);
/* An axis of x in 0 .. rank - 1. */
crumb_status crumb_import_axis(const crumb_import_node *n, int64_t axis, int rank, int *out);

/* ---- values.c: values of the graph. */
bool crumb_import_is_constant(const crumb_import_value *x);
/* The constant's values, read when they are not yet. FORMAT if x is not constant: `what` says which input has to be. */
crumb_status crumb_import_constant(const crumb_import_node *n, crumb_import_value *x, const char *what,
                                   const crumb_onnx_array **array);
crumb_status crumb_import_reals(const crumb_import_node *n, crumb_import_value *x, const char *what, const float **reals);
void crumb_import_forget(crumb_import_importer *im, crumb_import_value *x); /* frees a constant's memory */
/* Output k of the node: a value of the graph. */
crumb_status crumb_import_set(const crumb_import_node *n, int k, int at, crumb_shape shape, bool last);
/* Output k: a constant; takes the array. */
crumb_status crumb_import_set_array(const crumb_import_node *n, int k, crumb_onnx_array *array);
/* Output k is what x is. */
crumb_status crumb_import_set_same(const crumb_import_node *n, int k, crumb_import_value *x);
/* Appends a node. params NULL: presets. */
crumb_status crumb_import_emit(const crumb_import_node *n, const crumb_op *op, const void *params, int inputs, const int *x,
                               int *y);
crumb_status crumb_import_emit_reshape(const crumb_import_node *n, int x, crumb_shape from, crumb_shape to, int *y);
crumb_status crumb_import_emit_transpose(const crumb_import_node *n, int x, int rank, const int *order, int *y);
/* x in the graph with axis 1 behind the others, or in ONNX's order; a constant becomes a STATE. Shapes are then exactly x's. */
crumb_status crumb_import_last(const crumb_import_node *n, crumb_import_value *x, int *at);
crumb_status crumb_import_plain(const crumb_import_node *n, crumb_import_value *x, int *at);
/* Axis of the graph's value that is ONNX's `axis`. */
int crumb_import_memory_axis(bool last, int rank, int axis);
crumb_shape crumb_import_memory_shape(bool last, crumb_shape shape);
/* What a constant becomes: axes in another order, in another shape. */
typedef struct crumb_import_form {
    crumb_shape shape;         /* of the PARAM */
    int order[CRUMB_RANK_MAX]; /* axis i of it is axis order[i] of `from` */
    crumb_shape from;          /* the constant's, perhaps with dimensions of 1 added */
    double factor;             /* 0: 1 */
    bool learned, decay;
} crumb_import_form;
/* A PARAM or STATE made of a constant; the same one if it was made so before. member: "weight", for constants without a name.
 */
crumb_status crumb_import_param(const crumb_import_node *n, crumb_import_value *x, const crumb_import_form *form,
                                const char *member, int *at);
/* A constant of `count` values as a vector of that. */
crumb_status crumb_import_vector(const crumb_import_node *n, crumb_import_value *x, int64_t count, bool learned,
                                 const char *member, int *at);
/* A vector without a tensor in the file. */
crumb_status crumb_import_filled(const crumb_import_node *n, const char *member, int64_t count, float value, bool learned,
                                 int *at);

/* ---- shapes.c: shapes that attributes and constant inputs describe, for x[0]. */
crumb_status crumb_import_new_shape(const crumb_import_node *n, crumb_shape *shape);      /* Reshape */
crumb_status crumb_import_squeezed_shape(const crumb_import_node *n, crumb_shape *shape); /* Squeeze, Unsqueeze */
crumb_status crumb_import_order(const crumb_import_node *n, int order[CRUMB_RANK_MAX]);   /* Transpose */
typedef struct crumb_import_cut {
    /* step >= 1: 0 <= start <= stop <= dimension; step < 0, backwards: -1 <= stop <= start < dimension. `count` elements. */
    int64_t start[CRUMB_RANK_MAX], stop[CRUMB_RANK_MAX], step[CRUMB_RANK_MAX], count[CRUMB_RANK_MAX];
} crumb_import_cut;
crumb_status crumb_import_cuts(const crumb_import_node *n, crumb_import_cut *cut); /* Slice */
/* The window of a convolution or pool over one or two spatial axes; a single one counts as a row of width 1. */
typedef struct crumb_import_window {
    int axes;
    int64_t kernel[2], stride[2], dilation[2], before[2], after[2];
    bool ceil_mode;
} crumb_import_window;
/* kernel: of the weight, 0: from kernel_shape. Padding by auto_pad is for an input of x[0]'s size. */
crumb_status crumb_import_window_of(const crumb_import_node *n, const int64_t kernel[2], crumb_import_window *w);

/* ---- sites.c: quantize nodes of the quantizer `fixed`. */
int64_t crumb_import_step_count(const crumb_import_steps *steps);
int64_t crumb_import_step_of(const crumb_import_steps *steps, int64_t element);
/* Makes `out` (NULL: output 0) the constant of values step * code. codes: FLOAT, whole numbers if `whole`; taken. */
crumb_status crumb_import_set_codes(const crumb_import_node *n, crumb_import_value *out, crumb_onnx_array *codes, bool whole,
                                    const crumb_import_steps *steps, const float *step);
/* A quantize node on the weight *at of a layer, if the constant w was quantized in a way that the layer can have. */
crumb_status crumb_import_weight_site(const crumb_import_node *n, const crumb_import_value *w, int channel_axis, int *at);
/* One on the value x, with one step; what->zero as `fixed` counts it. */
crumb_status crumb_import_value_site(const crumb_import_node *n, const crumb_import_codes *what, float step, int x, int *y);
/* A site of that many codes, and of the bits they need. */
crumb_status crumb_import_set_levels(const crumb_import_node *n, crumb_quant *site, int64_t levels);
/* The least bits that have so many codes. */
int crumb_import_bits_of(int64_t levels);
/* That all of them are numbers above 0. */
crumb_status crumb_import_check_steps(const crumb_import_node *n, const float *step, int64_t count);

/* ---- quantized.c. */
/* Clip between QuantizeLinear and DequantizeLinear: fewer levels than the element type has. */
crumb_status crumb_import_clip_codes(const crumb_import_node *n);

/* ---- handlers_layers.c: output 0 is x[0], any shape [.., I], times the weight [O,I] in the graph; bias may be NULL. */
crumb_status crumb_import_rows(const crumb_import_node *n, int weight, crumb_import_value *bias);

/* ---- fold.c: nodes of constants. True if the op is one of those that are folded and all inputs are constant. */
bool crumb_import_can_fold(const crumb_import_node *n);
crumb_status crumb_import_fold(const crumb_import_node *n);

#endif
