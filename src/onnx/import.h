/* ONNX models as graphs: opsets 6 to 26, float models of the ops in importers.inc.
 *
 * ONNX lays images out as NCHW, crumb as NHWC: a value of rank 3 or 4 that comes from an image keeps its channels last, and
 * every handler says which of the two it wants; transposes appear only where a model really mixes them. What a model computes
 * from shapes and constants alone is folded. The first dimension of the input is the batch. */
#ifndef CRUMB_ONNX_IMPORT_H
#define CRUMB_ONNX_IMPORT_H

#include "graph/graph.h"
#include "onnx/tensor.h"

/* An input of the model that stands for a constant: tests of single ops give weights as inputs. */
typedef struct crumb_import_binding {
    const char *name;
    const CrumbOnnx__TensorProto *tensor;
} crumb_import_binding;

typedef struct crumb_import_options {
    const crumb_import_binding *binding;
    int bindings;
    bool classifier; /* one image in, [batch, classes] out; a softmax at the end is left out: its input are the logits */
} crumb_import_options;

/* An output of the model: a value of the graph, or an array when it is constant. */
typedef struct crumb_import_output {
    const char *name;  /* in the model's memory */
    crumb_shape shape; /* as ONNX has it */
    int value;         /* -1: constant */
    bool last;         /* the graph's value has axis 1 behind the others */
    crumb_onnx_array array;
} crumb_import_output;

enum { CRUMB_ONNX_OUTPUTS_MAX = 16 };

/* The graph of a model. Takes the model's constants out of `model` as it goes, to hold them once. outputs (NULL: not wanted)
 * has CRUMB_ONNX_OUTPUTS_MAX entries; their arrays are the caller's to free. UNSUPPORTED names node, op and attribute. */
crumb_status crumb_import_model(crumb_ctx *ctx, const char *path, CrumbOnnx__ModelProto *model,
                                const crumb_import_options *options, crumb_graph **graph, crumb_import_output *outputs,
                                int *count);
/* What a model's metadata say besides, under the keys that the export writes. */
typedef struct crumb_import_facts {
    char *class_names; /* one a line, NULL: none; crumb_free it */
    int channels;      /* that mean and deviation are for, 0: they are not there */
    float mean[4], deviation[4];
} crumb_import_facts;
crumb_status crumb_import_notes(crumb_ctx *ctx, const char *path, const CrumbOnnx__ModelProto *model, int64_t channels,
                                int64_t classes, crumb_import_facts *facts);
/* A file as a classifier. facts may be NULL. */
crumb_status crumb_import_file(crumb_ctx *ctx, const char *path, crumb_graph **graph, crumb_import_facts *facts);

#endif
