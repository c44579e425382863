/* A network as a list of nodes in execution order, and the values between them.
 *
 * The list is append-only and topologically sorted by construction: a node's inputs exist before it. Autodiff is the list walked
 * backwards. Parameter and state memory belongs to the graph; activations and gradients belong to an exec (exec.h), whose batch
 * size and backend differ from one to the next. Shapes here are for a batch of one; an exec infers them again for its batch. */
#ifndef CRUMB_GRAPH_H
#define CRUMB_GRAPH_H

#include "ops/op.h"
#include "quant/quantizer.h"

enum { CRUMB_NAME_MAX = 128 };

/* Where a value comes from. */
typedef enum crumb_value_kind {
    CRUMB_VALUE_INPUT, /* filled by the caller before each forward: images, labels, teacher logits */
    CRUMB_VALUE_PARAM, /* learned; data owned by the graph */
    CRUMB_VALUE_STATE, /* running statistics, quantizer state; data owned by the graph */
    CRUMB_VALUE_NODE   /* output of a node */
} crumb_value_kind;

typedef struct crumb_value {
    char name[CRUMB_NAME_MAX]; /* params and states: PyTorch's name, "layer1.0.conv1.weight" */
    crumb_value_kind kind;
    crumb_shape shape; /* batch of 1 */
    int node;          /* producer, -1 if none */
    float *data;       /* PARAM and STATE */
    float decay;       /* PARAM: multiplies the optimizer's weight decay; 0 = excluded */
    float rate;        /* PARAM: multiplies the learning rate; 0 = frozen */
} crumb_value;

typedef struct crumb_node {
    char name[CRUMB_NAME_MAX]; /* layer name, "layer1.0.conv1"; quantize nodes: "<layer>.weight_quant", "<layer>.input_quant" */
    const crumb_op *op;
    void *params; /* owned by the graph; op->params_size bytes */
    int inputs;
    int input[CRUMB_INPUTS_MAX]; /* value indices */
    int output;                  /* value index */
    bool keep_float;             /* a layer that no policy quantizes */
} crumb_node;

typedef struct crumb_graph {
    crumb_ctx *ctx;
    crumb_value *value;
    int values, value_room;
    crumb_node *node;
    int nodes, node_room;
    int image;  /* value index of the network's input, shape [1, H, W, C] */
    int logits; /* value index of the network's output, -1 until set */
} crumb_graph;

crumb_status crumb_graph_create(crumb_ctx *ctx, crumb_graph **graph);
void crumb_graph_destroy(crumb_graph *graph);

/* Building. Each sets *value to the new value's index. Names must be unique among params and states. */
crumb_status crumb_graph_input(crumb_graph *graph, const char *name, crumb_shape shape, int *value);
/* Zeroed data; initialise through graph->value[*value].data or crumb_graph_initialise. */
crumb_status crumb_graph_param(crumb_graph *graph, const char *name, crumb_shape shape, bool decay, int *value);
crumb_status crumb_graph_state(crumb_graph *graph, const char *name, crumb_shape shape, float fill, int *value);
/* Appends op(input...) with a copy of params (NULL: presets); infers and checks shapes. */
crumb_status crumb_graph_node(crumb_graph *graph, const char *name, const crumb_op *op, const void *params, int inputs,
                              const int *input, int *value);
/* The layers networks are made of, each one or more nodes with PyTorch's parameter names (layers.c). x is a value index. */
typedef struct crumb_conv {
    int64_t out, kernel, stride, padding, dilation, groups; /* 0 reads as: stride 1, dilation 1, groups 1 */
    bool bias;
    bool keep_float; /* belongs to the method's definition, not to a policy: the 1x1 shortcuts of binary networks */
} crumb_conv;
crumb_status crumb_graph_conv2d(crumb_graph *graph, const char *name, int x, crumb_conv conv, int *y);
crumb_status crumb_graph_linear(crumb_graph *graph, const char *name, int x, int64_t out, bool bias, int *y);
crumb_status crumb_graph_batch_norm(crumb_graph *graph, const char *name, int x, bool affine, int *y);
crumb_status crumb_graph_relu(crumb_graph *graph, const char *name, int x, int *y);
crumb_status crumb_graph_prelu(crumb_graph *graph, const char *name, int x, int *y);
crumb_status crumb_graph_shift(crumb_graph *graph, const char *name, int x, int *y); /* + <name>.bias[c] */
crumb_status crumb_graph_add(crumb_graph *graph, const char *name, int a, int b, int *y);
crumb_status crumb_graph_max_pool(crumb_graph *graph, const char *name, int x, int64_t kernel, int64_t stride, int64_t padding,
                                  int *y);
/* A last window that reaches out of the image takes the mean of the pixels inside. */
crumb_status crumb_graph_average_pool(crumb_graph *graph, const char *name, int x, int64_t kernel, int64_t stride, int *y);
crumb_status crumb_graph_global_average_pool(crumb_graph *graph, const char *name, int x, int *y); /* [N,H,W,C] -> [N,C] */
crumb_status crumb_graph_flatten(crumb_graph *graph, const char *name, int x, int *y); /* PyTorch's C,H,W order: see layers.c */
crumb_status crumb_graph_dropout(crumb_graph *graph, const char *name, int x, double p, int *y);
crumb_status crumb_graph_subsample(crumb_graph *graph, const char *name, int x, int64_t step, int *y); /* x[:, ::step, ::step] */
crumb_status crumb_graph_pad_channels(crumb_graph *graph, const char *name, int x, int64_t before, int64_t after, int *y);

/* Kaiming-normal (fan out) conv weights, PyTorch's uniform linear weights and biases, batch norm 1/0, from (seed, name). */
void crumb_graph_initialise(crumb_graph *graph, uint64_t seed);
int crumb_graph_find(const crumb_graph *graph, const char *value_name); /* PARAM or STATE by name, -1 if none */
/* Copies every PARAM and STATE that exists in both under the same name and shape; *copied (may be NULL) counts them. */
void crumb_graph_copy(crumb_graph *to, const crumb_graph *from, int *copied);
/* Number of learned values of conv/linear weights, total, flops of one image. */
int64_t crumb_graph_parameters(const crumb_graph *graph);
double crumb_graph_flops(const crumb_graph *graph);
/* The `nth` layer with a weight (conv2d or linear), as quantization counts them: node index, or -1 past the end. */
int crumb_graph_layer(const crumb_graph *graph, int nth);
/* Whether the weight of such a layer is a matrix [outputs, inputs]: linear, or conv2d of 1 x 1 in one group. */
bool crumb_graph_layer_is_matrix(const crumb_graph *graph, int layer);

/* A new graph like `from`, with quantize nodes by the policy: on each conv/linear weight and each conv/linear input that the policy
 * quantizes. Conv inputs that are the same value share a node when their choices agree. A SIGNED activation quantizer whose input comes from a
 * rectifier reads the rectifier's input instead. Values of params and states are copied; quantizer states start at their presets. */
crumb_status crumb_graph_quantize(const crumb_graph *from, const crumb_quant_policy *policy, crumb_graph **graph);
/* Site of a quantize node, NULL for other nodes. */
crumb_quant *crumb_node_site(const crumb_graph *graph, int node);
/* The site of a quantize node that quantizes a weight, NULL for other nodes. */
crumb_quant *crumb_node_weight_site(const crumb_graph *graph, int node);
/* Q(w) of the weight that a quantize node reads into y, the site's state brought up to date as by a forward pass; no mask. */
void crumb_graph_fake(const crumb_graph *graph, int node, float *y);
/* Codes of the weight that a quantize node quantizes, from its state as it stands; crumb_codes_free them. */
crumb_status crumb_graph_encode(const crumb_graph *graph, int node, crumb_codes *codes);
void crumb_codes_free(crumb_ctx *ctx, crumb_codes *codes);
/* A call of a weight's site on its graph's memory: x and states, nothing to write to. */
crumb_quant_call crumb_node_call(const crumb_graph *graph, int node);

/* ---- Graphs as text (text.c): structure without values; what a model file keeps of an imported network. */

/* crumb_free the text. */
crumb_status crumb_graph_print(const crumb_graph *graph, char **text);
/* The same graph, parameters zero, with image and logits; `name` stands for the file in messages. most: elements that its inputs, parameters
 * and states together may have. */
crumb_status crumb_graph_parse(crumb_ctx *ctx, const char *name, const char *text, int64_t most, crumb_graph **graph);

/* ---- Networks: one file in src/graph/models/ and one row in models.inc. */

typedef struct crumb_model {
    const char *name; /* "resnet20" */
    const char *doc;
    int64_t height, width, channels; /* the input it is usually used with; build must accept the data set's */
    const crumb_param *params;       /* each row's struct must start with `double width` (filter multiplier, WRPN) */
    size_t params_size;
    /* Appends the network from `x` ([1,H,W,C]) to `classes` logits. */
    crumb_status (*build)(crumb_graph *graph, const void *params, int x, int64_t classes, int *logits);
} crumb_model;

enum { CRUMB_MODEL_PARAMS_MAX = 512 }; /* an mlp has a list of sizes */
#define CRUMB_MODEL(name) extern const crumb_model crumb_model_##name;
#include "graph/models.inc"
#undef CRUMB_MODEL
extern const crumb_model *const crumb_models[]; /* NULL-terminated */
const crumb_model *crumb_model_find(const char *name);
/* Graph with image input of the given shape and the model behind it; parameters initialised from seed. params NULL: presets. */
crumb_status crumb_model_build(crumb_ctx *ctx, const crumb_model *model, const void *params, crumb_shape image, int64_t classes,
                               uint64_t seed, crumb_graph **graph);

#endif
