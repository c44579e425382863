/* Models made by hand: what tests and the seeds of the fuzz target need of ONNX's messages. */
#ifndef CRUMB_ONNX_SAMPLE_H
#define CRUMB_ONNX_SAMPLE_H

#include "onnx/import.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLE_NODES = 24, SAMPLE_TENSORS = 16, SAMPLE_NAMES = 8, SAMPLE_ATTRIBUTES = 8 };

typedef struct sample {
    CrumbOnnx__ModelProto model;
    CrumbOnnx__GraphProto graph;
    CrumbOnnx__OperatorSetIdProto opset, *opsets[1];
    CrumbOnnx__NodeProto node[SAMPLE_NODES], *nodes[SAMPLE_NODES];
    char *inputs[SAMPLE_NODES][SAMPLE_NAMES], *outputs[SAMPLE_NODES][1];
    CrumbOnnx__AttributeProto attribute[SAMPLE_NODES][SAMPLE_ATTRIBUTES], *attributes[SAMPLE_NODES][SAMPLE_ATTRIBUTES];
    int64_t ints[SAMPLE_NODES][SAMPLE_ATTRIBUTES][8];
    CrumbOnnx__TensorProto tensor[SAMPLE_TENSORS], *tensors[SAMPLE_TENSORS];
    int64_t dims[SAMPLE_TENSORS][4];
    float floats[SAMPLE_TENSORS][512];
    CrumbOnnx__ValueInfoProto in, out, *ins[1], *outs[1];
    CrumbOnnx__TypeProto type;
    CrumbOnnx__TypeProto__Tensor tensor_type;
    CrumbOnnx__TensorShapeProto shape;
    CrumbOnnx__TensorShapeProto__Dimension dim[4], *dim_list[4];
} sample;

/* A model of opset 13 with one image [batch, c, h, w] named "x", and one output named "y"; no nodes yet. */
static inline void sample_begin(sample *s, int64_t c, int64_t h, int64_t w) {
    memset(s, 0, sizeof(*s));
    s->model = (CrumbOnnx__ModelProto)CRUMB_ONNX__MODEL_PROTO__INIT;
    s->graph = (CrumbOnnx__GraphProto)CRUMB_ONNX__GRAPH_PROTO__INIT;
    s->opset = (CrumbOnnx__OperatorSetIdProto)CRUMB_ONNX__OPERATOR_SET_ID_PROTO__INIT;
    s->in = s->out = (CrumbOnnx__ValueInfoProto)CRUMB_ONNX__VALUE_INFO_PROTO__INIT;
    s->type = (CrumbOnnx__TypeProto)CRUMB_ONNX__TYPE_PROTO__INIT;
    s->tensor_type = (CrumbOnnx__TypeProto__Tensor)CRUMB_ONNX__TYPE_PROTO__TENSOR__INIT;
    s->shape = (CrumbOnnx__TensorShapeProto)CRUMB_ONNX__TENSOR_SHAPE_PROTO__INIT;
    s->model.graph = &s->graph;
    s->model.has_ir_version = 1, s->model.ir_version = 8;
    s->opsets[0] = &s->opset, s->model.opset_import = s->opsets, s->model.n_opset_import = 1;
    s->opset.has_version = 1, s->opset.version = 13;
    s->graph.node = s->nodes, s->graph.initializer = s->tensors;
    s->ins[0] = &s->in, s->graph.input = s->ins, s->graph.n_input = 1, s->in.name = "x", s->in.type = &s->type;
    s->outs[0] = &s->out, s->graph.output = s->outs, s->graph.n_output = 1, s->out.name = "y";
    s->type.value_case = CRUMB_ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE, s->type.tensor_type = &s->tensor_type;
    s->tensor_type.has_elem_type = 1, s->tensor_type.elem_type = 1, s->tensor_type.shape = &s->shape;
    s->shape.dim = s->dim_list, s->shape.n_dim = 4;
    for (int i = 0; i < 4; i++) {
        s->dim[i] = (CrumbOnnx__TensorShapeProto__Dimension)CRUMB_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT;
        s->dim[i].value_case = i == 0 ? CRUMB_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                                      : CRUMB_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        if (i == 0) {
            s->dim[i].dim_param = "batch";
        } else {
            s->dim[i].dim_value = i == 1 ? c : i == 2 ? h : w;
        }
        s->dim_list[i] = &s->dim[i];
    }
}

/* output = op(inputs, separated by blanks: the text is cut up). */
static inline CrumbOnnx__NodeProto *sample_node(sample *s, char *op, char *inputs, char *output) {
    size_t at = s->graph.n_node++;
    CrumbOnnx__NodeProto *node = &s->node[at];
    *node = (CrumbOnnx__NodeProto)CRUMB_ONNX__NODE_PROTO__INIT;
    s->nodes[at] = node;
    node->op_type = op, node->input = s->inputs[at], node->output = s->outputs[at], node->attribute = s->attributes[at];
    for (char *name = strsep(&inputs, " "); name != NULL; name = strsep(&inputs, " ")) {
        s->inputs[at][node->n_input++] = name;
    }
    s->outputs[at][0] = output, node->n_output = 1;
    return node;
}

/* An attribute of the last node: `count` whole numbers, 0: the single number `first`. */
static inline void sample_ints(sample *s, char *name, int count, int64_t first, int64_t all) {
    size_t at = s->graph.n_node - 1;
    CrumbOnnx__NodeProto *node = &s->node[at];
    CrumbOnnx__AttributeProto *a = &s->attribute[at][node->n_attribute];
    *a = (CrumbOnnx__AttributeProto)CRUMB_ONNX__ATTRIBUTE_PROTO__INIT;
    a->name = name, a->has_type = 1;
    a->type = count > 0 ? CRUMB_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS : CRUMB_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    a->has_i = count == 0, a->i = first;
    a->ints = s->ints[at][node->n_attribute], a->n_ints = (size_t)count;
    for (int i = 0; i < count; i++) {
        a->ints[i] = i == 0 ? first : all;
    }
    s->attributes[at][node->n_attribute++] = a;
}

/* An initializer of floats that vary. */
static inline CrumbOnnx__TensorProto *sample_tensor(sample *s, char *name, int rank, int64_t a, int64_t b, int64_t c,
                                                    int64_t d) {
    size_t at = s->graph.n_initializer++;
    CrumbOnnx__TensorProto *t = &s->tensor[at];
    const int64_t dims[4] = {a, b, c, d};
    int64_t count = 1;
    *t = (CrumbOnnx__TensorProto)CRUMB_ONNX__TENSOR_PROTO__INIT;
    s->tensors[at] = t;
    for (int i = 0; i < rank; i++) {
        s->dims[at][i] = dims[i];
        count *= dims[i];
    }
    for (int64_t i = 0; i < count && i < 512; i++) {
        s->floats[at][i] = (float)((i * 7 + (int64_t)at * 3) % 11 - 5) / 8.0f;
    }
    t->name = name, t->has_data_type = 1, t->data_type = 1, t->dims = s->dims[at], t->n_dims = (size_t)rank;
    t->float_data = s->floats[at], t->n_float_data = (size_t)count;
    return t;
}

/* conv 3x3 with bias, batch norm, relu, max pool, flatten, gemm, softmax: a small classifier of 8x8 images.
 * The names' texts must live as long as the sample. */
typedef struct sample_names {
    char conv[16], norm[32], relu[8], pool[8], flat[8], gemm[16], soft[8];
} sample_names;

static inline void sample_classifier(sample *s, sample_names *names, int64_t channels, int64_t classes) {
    *names = (sample_names){"x c.weight c.b", "c n.w n.b n.m n.v", "n", "r", "p", "f g.weight g.b", "g"};
    sample_begin(s, channels, 8, 8);
    sample_tensor(s, "c.weight", 4, 4, channels, 3, 3);
    sample_tensor(s, "c.b", 1, 4, 0, 0, 0);
    sample_tensor(s, "n.w", 1, 4, 0, 0, 0);
    sample_tensor(s, "n.b", 1, 4, 0, 0, 0);
    sample_tensor(s, "n.m", 1, 4, 0, 0, 0);
    CrumbOnnx__TensorProto *variance = sample_tensor(s, "n.v", 1, 4, 0, 0, 0);
    for (int i = 0; i < 4; i++) {
        variance->float_data[i] = 1.0f + (float)i;
    }
    sample_tensor(s, "g.weight", 2, classes, 64, 0, 0);
    sample_tensor(s, "g.b", 1, classes, 0, 0, 0);
    sample_node(s, "Conv", names->conv, "c");
    sample_ints(s, "pads", 4, 1, 1);
    sample_node(s, "BatchNormalization", names->norm, "n");
    sample_node(s, "Relu", names->relu, "r");
    sample_node(s, "MaxPool", names->pool, "p");
    sample_ints(s, "kernel_shape", 2, 2, 2);
    sample_ints(s, "strides", 2, 2, 2);
    sample_node(s, "Flatten", names->flat, "f");
    sample_node(s, "Gemm", names->gemm, "g");
    sample_ints(s, "transB", 0, 1, 1);
    sample_node(s, "Softmax", names->soft, "y");
}

/* The model as a file has it; free it. */
static inline uint8_t *sample_pack(const CrumbOnnx__ModelProto *model, size_t *size) {
    *size = crumb_onnx__model_proto__get_packed_size(model);
    uint8_t *bytes = malloc(*size + 1);
    crumb_onnx__model_proto__pack(model, bytes);
    return bytes;
}

/* A file's bytes, and a model by way of them, as a graph. */
static inline crumb_status sample_import_bytes(crumb_ctx *ctx, const uint8_t *bytes, size_t size, crumb_graph **graph) {
    ProtobufCMessage *message;
    CRUMB_TRY(crumb_onnx_unpack(ctx, "m.onnx", &crumb_onnx__model_proto__descriptor, bytes, size, &message));
    crumb_status status = crumb_import_model(ctx, "m.onnx", (CrumbOnnx__ModelProto *)message,
                                             &(crumb_import_options){.classifier = true}, graph, NULL, NULL);
    crumb_onnx_free(ctx, message);
    return status;
}

static inline crumb_status sample_import(crumb_ctx *ctx, const CrumbOnnx__ModelProto *model, crumb_graph **graph) {
    size_t size;
    uint8_t *bytes = sample_pack(model, &size);
    crumb_status status = sample_import_bytes(ctx, bytes, size, graph);
    free(bytes);
    return status;
}

/* For test_every_allocation: imports the sample `user`. */
static inline crumb_status sample_import_once(crumb_ctx *ctx, void *user) {
    crumb_graph *graph;
    CRUMB_TRY(sample_import(ctx, &((const sample *)user)->model, &graph));
    crumb_graph_destroy(graph);
    return CRUMB_OK;
}

#endif
