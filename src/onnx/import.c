/* The import itself: names to values, nodes in their order, outputs. A model is only ever read forwards: ONNX requires nodes to
 * stand behind what they read, so a name that nothing before has made is a missing tensor or a cycle. */
#include "onnx/importer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OPSET_MIN = 6, OPSET_MAX = 26, INPUT_MAX = 1 << 26 };

static const crumb_import_row rows[] = {
#define CRUMB_ONNX_IMPORTER(domain, op, handler, attributes) {#domain, #op, attributes, crumb_import_##handler},
#include "onnx/importers.inc"
#undef CRUMB_ONNX_IMPORTER
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static crumb_status fail(const crumb_import_importer *im, crumb_status status, const char *format, ...) CRUMB_PRINTF(3, 4);
static crumb_status fail(const crumb_import_importer *im, crumb_status status, const char *format, ...) {
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return crumb_fail(im->ctx, status, "%s: %s", im->path, text);
}

/* ---- Names. */

static uint32_t hash(const char *name) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *name != '\0'; name++) {
        h = (h ^ (unsigned char)*name) * 16777619u;
    }
    return h;
}

static uint32_t slot_of(const crumb_import_importer *im, const char *name) {
    uint32_t slot = hash(name) & (im->slots - 1);
    while (im->slot[slot] >= 0 && strcmp(im->value[im->slot[slot]].name, name) != 0) {
        slot = (slot + 1) & (im->slots - 1);
    }
    return slot;
}

crumb_import_value *crumb_import_find(const crumb_import_importer *im, const char *name) {
    int index = im->slot[slot_of(im, name)];
    return index >= 0 ? &im->value[index] : NULL;
}

static crumb_status add_value(crumb_import_importer *im, const char *name, crumb_import_value **value) {
    uint32_t slot = slot_of(im, name);
    if (im->slot[slot] >= 0) {
        return fail(im, CRUMB_ERROR_FORMAT, "two values are named %.100s", name);
    }
    im->slot[slot] = im->values;
    *value = &im->value[im->values++];
    **value = (crumb_import_value){.name = name, .at = -1, .param = -1};
    return CRUMB_OK;
}

/* Room for every name of the model: the table stays at most half full. */
static crumb_status make_room(crumb_import_importer *im) {
    const CrumbOnnx__GraphProto *graph = im->model->graph;
    size_t names = graph->n_initializer + graph->n_input;
    for (size_t i = 0; i < graph->n_node; i++) {
        names += graph->node[i]->n_output;
    }
    for (im->slots = 64; im->slots < 2 * names;) {
        im->slots *= 2;
    }
    im->value = crumb_alloc(im->ctx, names + 1, sizeof(*im->value));
    im->slot = crumb_alloc(im->ctx, im->slots, sizeof(*im->slot));
    if (im->value == NULL || im->slot == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    memset(im->slot, 0xff, im->slots * sizeof(*im->slot));
    return CRUMB_OK;
}

/* ---- Constants and inputs. */

static crumb_status add_initializer(crumb_import_importer *im, CrumbOnnx__TensorProto *tensor, const char *name, bool owned) {
    crumb_import_value *value;
    if (name == NULL || name[0] == '\0') {
        return fail(im, CRUMB_ERROR_FORMAT, "an initializer has no name");
    }
    CRUMB_TRY(add_value(im, name, &value));
    CRUMB_TRY(crumb_onnx_tensor_check(im->ctx, im->path, tensor, &value->shape));
    value->known = true;
    value->tensor = tensor;
    value->owned = owned;
    return CRUMB_OK;
}

static const CrumbOnnx__TensorProto *binding_of(const crumb_import_importer *im, const char *name) {
    for (int i = 0; i < im->options->bindings; i++) {
        if (strcmp(im->options->binding[i].name, name) == 0) {
            return im->options->binding[i].tensor;
        }
    }
    return NULL;
}

/* The shape of the image; a symbolic batch is 1. */
static crumb_status input_shape(const crumb_import_importer *im, const CrumbOnnx__ValueInfoProto *input, crumb_shape *shape) {
    const CrumbOnnx__TypeProto__Tensor *type =
        input->type != NULL && input->type->value_case == CRUMB_ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? input->type->tensor_type
                                                                                                    : NULL;
    if (type == NULL || type->shape == NULL || type->elem_type != CRUMB_ONNX_FLOAT) {
        return fail(im, CRUMB_ERROR_UNSUPPORTED, "input %.80s is not a float tensor of known shape", input->name);
    }
    if (type->shape->n_dim > CRUMB_RANK_MAX) {
        return fail(im, CRUMB_ERROR_UNSUPPORTED, "input %.80s has %zu dimensions, at most %d", input->name, type->shape->n_dim,
                    CRUMB_RANK_MAX);
    }
    *shape = (crumb_shape){.rank = (int)type->shape->n_dim};
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        const CrumbOnnx__TensorShapeProto__Dimension *dim = type->shape->dim[i];
        bool fixed = dim->value_case == CRUMB_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        int64_t size = fixed ? dim->dim_value : i == 0 ? 1 : 0;
        size = i == 0 && size <= 0 ? 1 : size; /* some exporters write 0 or -1 for an open batch */
        if (size < 1 || size > INPUT_MAX / count) {
            return fail(im, CRUMB_ERROR_UNSUPPORTED,
                        "input %.80s: dimension %d is %s; supported are fixed sizes, at most %d values", input->name, i,
                        fixed ? "out of range" : "symbolic", INPUT_MAX);
        }
        shape->dim[i] = size;
        count *= size;
    }
    return CRUMB_OK;
}

/* An input that only a transposition to NCHW reads is NHWC already. */
static bool is_nhwc(const crumb_import_importer *im, const char *name) {
    const CrumbOnnx__GraphProto *graph = im->model->graph;
    int readers = 0;
    for (size_t i = 0; i < graph->n_node; i++) {
        const CrumbOnnx__NodeProto *node = graph->node[i];
        for (size_t k = 0; k < node->n_input; k++) {
            if (strcmp(node->input[k], name) != 0) {
                continue;
            }
            const CrumbOnnx__AttributeProto *perm = node->n_attribute == 1 ? node->attribute[0] : NULL;
            if (node->op_type == NULL || strcmp(node->op_type, "Transpose") != 0 || perm == NULL || perm->n_ints != 4 ||
                perm->ints[1] != 3) {
                return false;
            }
            readers++;
        }
    }
    return readers > 0;
}

static crumb_status add_image(crumb_import_importer *im, const CrumbOnnx__ValueInfoProto *input) {
    crumb_shape shape;
    crumb_import_value *value;
    if (im->graph->image >= 0) {
        return fail(im, CRUMB_ERROR_UNSUPPORTED, "a second input, %.80s; supported is one", input->name);
    }
    CRUMB_TRY(input_shape(im, input, &shape));
    if (im->options->classifier && shape.rank != 4) {
        return fail(im, CRUMB_ERROR_UNSUPPORTED,
                    "input %.80s has %d dimensions; an image has batch, channels, height and width", input->name, shape.rank);
    }
    CRUMB_TRY(add_value(im, input->name, &value));
    value->known = true;
    value->shape = shape;
    value->last = shape.rank == 4 && !is_nhwc(im, input->name);
    return crumb_graph_input(im->graph, "image", crumb_import_memory_shape(value->last, shape), &value->at) == CRUMB_OK
               ? (im->graph->image = value->at, CRUMB_OK)
               : CRUMB_ERROR_MEMORY;
}

static crumb_status add_inputs(crumb_import_importer *im) {
    const CrumbOnnx__GraphProto *graph = im->model->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        CRUMB_TRY(add_initializer(im, graph->initializer[i], graph->initializer[i]->name, true));
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        const CrumbOnnx__ValueInfoProto *input = graph->input[i];
        if (input->name == NULL || input->name[0] == '\0') {
            return fail(im, CRUMB_ERROR_FORMAT, "an input has no name");
        }
        if (crumb_import_find(im, input->name) != NULL) {
            continue; /* files of IR version 3 list initializers as inputs too */
        }
        const CrumbOnnx__TensorProto *bound = binding_of(im, input->name);
        CRUMB_TRY(bound != NULL ? add_initializer(im, (CrumbOnnx__TensorProto *)bound, input->name, false)
                                : add_image(im, input));
    }
    return CRUMB_OK;
}

/* ---- Nodes. */

static crumb_status add_outputs(crumb_import_importer *im) {
    const CrumbOnnx__GraphProto *graph = im->model->graph;
    for (size_t i = 0; i < graph->n_node; i++) {
        const CrumbOnnx__NodeProto *node = graph->node[i];
        if (node->op_type == NULL) {
            return fail(im, CRUMB_ERROR_FORMAT, "node %zu has no op", i);
        }
        for (size_t k = 0; k < node->n_output; k++) {
            crumb_import_value *value;
            if (node->output[k][0] != '\0') {
                CRUMB_TRY(add_value(im, node->output[k], &value));
            }
        }
    }
    return CRUMB_OK;
}

static bool is_read(const crumb_import_importer *im, const CrumbOnnx__NodeProto *node) {
    for (size_t k = 0; k < node->n_output; k++) {
        const crumb_import_value *value = node->output[k][0] != '\0' ? crumb_import_find(im, node->output[k]) : NULL;
        if (value != NULL && value->uses > 0) {
            return true;
        }
    }
    return false;
}

/* Counts readers from the end: what nothing reads is never looked at. */
static void count_uses(crumb_import_importer *im) {
    const CrumbOnnx__GraphProto *graph = im->model->graph;
    for (size_t i = 0; i < graph->n_output; i++) {
        crumb_import_value *value = graph->output[i]->name != NULL ? crumb_import_find(im, graph->output[i]->name) : NULL;
        if (value != NULL) {
            value->uses++;
        }
    }
    for (size_t i = graph->n_node; i-- > 0;) {
        const CrumbOnnx__NodeProto *node = graph->node[i];
        for (size_t k = 0; is_read(im, node) && k < node->n_input; k++) {
            crumb_import_value *value = node->input[k][0] != '\0' ? crumb_import_find(im, node->input[k]) : NULL;
            if (value != NULL) {
                value->uses++;
            }
        }
    }
}

/* "layer1.0.conv1" of a weight "layer1.0.conv1.weight"; else the node's name, else its op and number. */
static void name_node(const crumb_import_node *n, int index, char name[CRUMB_NAME_MAX]) {
    static const char suffix[] = ".weight";
    const char *weight = n->inputs > 1 && n->x[1] != NULL && n->x[1]->tensor != NULL ? n->x[1]->name : "";
    size_t length = strlen(weight), tail = sizeof(suffix) - 1, most = CRUMB_NAME_MAX / 2;
    if (length > tail && length < most && strcmp(weight + length - tail, suffix) == 0) {
        snprintf(name, CRUMB_NAME_MAX, "%.*s", (int)(length - tail), weight);
    } else if (n->proto->name != NULL && n->proto->name[0] != '\0' && strlen(n->proto->name) < most) {
        snprintf(name, CRUMB_NAME_MAX, "%s", n->proto->name);
    } else {
        snprintf(name, CRUMB_NAME_MAX, "%.32s_%d", n->proto->op_type, index);
    }
    for (char *at = name; *at != '\0'; at++) {
        *at = *at > ' ' && *at < 127 ? *at : '_';
    }
    const crumb_graph *graph = n->im->graph;
    length = strlen(name);
    for (int i = 0, copy = 2; i < graph->nodes; i++) {
        if (strcmp(graph->node[i].name, name) == 0) {
            snprintf(name + length, CRUMB_NAME_MAX - length, "_%d", copy++);
            i = -1;
        }
    }
}

static crumb_status look_up_inputs(crumb_import_node *n) {
    const CrumbOnnx__NodeProto *proto = n->proto;
    if (proto->n_input > CRUMB_ONNX_INPUTS_MAX) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "%zu inputs, at most %d", proto->n_input, CRUMB_ONNX_INPUTS_MAX);
    }
    for (n->inputs = 0; n->inputs < (int)proto->n_input; n->inputs++) {
        const char *name = proto->input[n->inputs];
        crumb_import_value *x = name[0] != '\0' ? crumb_import_find(n->im, name) : NULL;
        if (name[0] != '\0' && (x == NULL || !x->known)) {
            return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "reads %.100s, which nothing before it makes: %s", name,
                                     x == NULL ? "no tensor or node has that name" : "a cycle, or nodes out of order");
        }
        if (x != NULL && x->is_codes && strcmp(proto->op_type, "DequantizeLinear") != 0 &&
            strcmp(proto->op_type, "Clip") != 0) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                     "reads the codes of %.80s; supported is DequantizeLinear behind it", name);
        }
        n->x[n->inputs] = x;
    }
    return CRUMB_OK;
}

/* What importers.inc calls a node's domain; "": none of it. QONNX's was FINN's before, and Brevitas writes its own. */
static const char *domain_of(const CrumbOnnx__NodeProto *node) {
    static const char *const names[][2] = {{"", "onnx"},
                                           {"ai.onnx", "onnx"},
                                           {"com.microsoft", "microsoft"},
                                           {"qonnx.custom_op.general", "qonnx"},
                                           {"finn.custom_op.general", "qonnx"},
                                           {"onnx.brevitas", "qonnx"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(node->domain != NULL ? node->domain : "", names[i][0]) == 0) {
            return names[i][1];
        }
    }
    return "";
}

/* Says which ops of that domain there are, of ONNX's own where there are none. */
static crumb_status unknown_op(const crumb_import_node *n, const char *domain) {
    bool usual = strcmp(domain, "onnx") == 0;
    const char *listed = domain[0] != '\0' ? domain : "onnx", *space = "";
    char ops[768] = "";
    for (int i = 0, at = 0; i < ROWS && at < (int)sizeof(ops); i++) {
        if (strcmp(rows[i].domain, listed) == 0) {
            at += snprintf(ops + at, sizeof(ops) - (size_t)at, "%s%s", space, rows[i].op);
            space = " ";
        }
    }
    return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "this op%s%.40s is not supported; supported are %s",
                             usual ? "" : " of ", usual ? "" : n->proto->domain, ops);
}

static crumb_status run_handler(const crumb_import_node *n) {
    const char *domain = domain_of(n->proto);
    for (int i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].op, n->proto->op_type) == 0 && strcmp(rows[i].domain, domain) == 0) {
            if (n->inputs < 1 || n->x[0] == NULL || n->proto->n_output < 1) {
                return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "has no %s", n->proto->n_output < 1 ? "output" : "input");
            }
            CRUMB_TRY(crumb_import_check_attributes(n, &rows[i]));
            return rows[i].handler(n);
        }
    }
    return unknown_op(n, domain);
}

static crumb_status import_node(crumb_import_importer *im, int index) {
    crumb_import_node n = {.im = im, .proto = im->model->graph->node[index]};
    char name[CRUMB_NAME_MAX];
    snprintf(name, sizeof(name), "%.32s_%d", n.proto->op_type, index);
    n.name = name;
    if (!is_read(im, n.proto)) {
        return CRUMB_OK;
    }
    CRUMB_TRY(look_up_inputs(&n));
    name_node(&n, index, name);
    CRUMB_TRY(crumb_import_can_fold(&n) ? crumb_import_fold(&n) : run_handler(&n));
    for (int k = 0; k < n.inputs; k++) {
        if (n.x[k] != NULL && --n.x[k]->uses == 0) {
            crumb_import_forget(im, n.x[k]);
        }
    }
    return CRUMB_OK;
}

/* ---- The whole model. */

static crumb_status check_model(crumb_import_importer *im) {
    const CrumbOnnx__ModelProto *model = im->model;
    if (model->graph == NULL || model->graph->n_node == 0) {
        return fail(im, CRUMB_ERROR_FORMAT, "there is no graph in it: this is not an ONNX model");
    }
    if (model->graph->n_node > CRUMB_ONNX_NODES_MAX) {
        return fail(im, CRUMB_ERROR_UNSUPPORTED, "%zu nodes, at most %d", model->graph->n_node, CRUMB_ONNX_NODES_MAX);
    }
    if (model->graph->n_sparse_initializer > 0) {
        return fail(im, CRUMB_ERROR_UNSUPPORTED, "it has sparse initializers");
    }
    int64_t version = -1;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = model->opset_import[i]->domain;
        if (domain == NULL || domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0) {
            version = model->opset_import[i]->version;
        }
    }
    if (version < OPSET_MIN || version > OPSET_MAX) {
        return fail(im, CRUMB_ERROR_UNSUPPORTED, "opset %" PRId64 "; supported are %d to %d", version, OPSET_MIN, OPSET_MAX);
    }
    im->opset = (int)version;
    return CRUMB_OK;
}

/* The graph's shapes for a batch of one, whatever the model was exported with. */
static crumb_status set_batch_of_one(crumb_import_importer *im) {
    crumb_graph *graph = im->graph;
    crumb_shape x[CRUMB_INPUTS_MAX];
    if (graph->value[graph->image].shape.dim[0] == 1) {
        return CRUMB_OK;
    }
    graph->value[graph->image].shape.dim[0] = 1;
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_node *node = &graph->node[i];
        crumb_op_plan plan;
        for (int k = 0; k < node->inputs; k++) {
            x[k] = graph->value[node->input[k]].shape;
        }
        crumb_status status = crumb_op_infer(im->ctx, node->op, node->params, node->inputs, x, &plan);
        if (status != CRUMB_OK) {
            return crumb_fail_in(im->ctx, status, "%s: %s, for one image", im->path, node->name);
        }
        graph->value[node->output].shape = plan.output;
    }
    return CRUMB_OK;
}

/* Takes away a softmax that makes the output: training and evaluation work on its input. */
static int without_softmax(crumb_graph *graph, int value) {
    const crumb_node *node = graph->value[value].node >= 0 ? &graph->node[graph->value[value].node] : NULL;
    bool softmax = node != NULL && (node->op == &crumb_op_softmax || node->op == &crumb_op_log_softmax);
    if (!softmax || graph->value[value].node != graph->nodes - 1 || value != graph->values - 1) {
        return value;
    }
    int before = node->input[0];
    crumb_free(graph->ctx, node->params);
    graph->nodes--;
    graph->values--;
    return before;
}

static crumb_status find_logits(crumb_import_importer *im) {
    const CrumbOnnx__GraphProto *proto = im->model->graph;
    crumb_graph *graph = im->graph;
    const crumb_import_value *output = crumb_import_find(im, proto->output[0]->name);
    if (proto->n_output != 1 || output->at < 0) {
        return fail(im, CRUMB_ERROR_UNSUPPORTED, "%zu outputs, the first %s; a classifier has one that its image decides",
                    proto->n_output, output->at < 0 ? "constant" : proto->output[0]->name);
    }
    int64_t classes = output->shape.rank > 1 ? output->shape.dim[1] : 0;
    if (graph->image < 0 || classes < 1 || crumb_shape_count(output->shape) != output->shape.dim[0] * classes) {
        char text[CRUMB_SHAPE_TEXT];
        return fail(im, CRUMB_ERROR_UNSUPPORTED, "output %.80s is %s; a classifier gives a value a class", output->name,
                    crumb_shape_print(output->shape, text));
    }
    graph->logits = without_softmax(graph, output->at);
    if (graph->value[graph->logits].shape.rank != 2) {
        CRUMB_TRY(crumb_graph_flatten(graph, "logits", graph->logits, &graph->logits));
    }
    return set_batch_of_one(im);
}

static crumb_status take_outputs(crumb_import_importer *im, crumb_import_output *outputs, int *count) {
    const CrumbOnnx__GraphProto *graph = im->model->graph;
    crumb_import_node n = {.im = im, .proto = graph->node[graph->n_node - 1], .name = "output"};
    *count = 0;
    if (graph->n_output > CRUMB_ONNX_OUTPUTS_MAX) {
        return fail(im, CRUMB_ERROR_UNSUPPORTED, "%zu outputs, at most %d", graph->n_output, CRUMB_ONNX_OUTPUTS_MAX);
    }
    for (size_t i = 0; i < graph->n_output; i++) {
        crumb_import_value *value = crumb_import_find(im, graph->output[i]->name);
        const crumb_onnx_array *array;
        outputs[i] = (crumb_import_output){.name = value->name, .shape = value->shape, .value = value->at, .last = value->last};
        if (value->at < 0) {
            CRUMB_TRY(crumb_import_constant(&n, value, "output", &array));
            outputs[i].array = *array;
            value->array = (crumb_onnx_array){0};
        }
        *count = (int)i + 1;
    }
    return CRUMB_OK;
}

static crumb_status check_outputs(const crumb_import_importer *im) {
    const CrumbOnnx__GraphProto *graph = im->model->graph;
    for (size_t i = 0; i < graph->n_output; i++) {
        const char *name = graph->output[i]->name;
        const crumb_import_value *value = name != NULL && name[0] != '\0' ? crumb_import_find(im, name) : NULL;
        if (value == NULL || !value->known) {
            return fail(im, CRUMB_ERROR_FORMAT, "nothing makes output %.100s", name != NULL ? name : "(without name)");
        }
    }
    return graph->n_output > 0 ? CRUMB_OK : fail(im, CRUMB_ERROR_FORMAT, "it has no output");
}

static crumb_status import_all(crumb_import_importer *im, crumb_import_output *outputs, int *count) {
    CRUMB_TRY(check_model(im));
    CRUMB_TRY(make_room(im));
    CRUMB_TRY(add_inputs(im));
    CRUMB_TRY(add_outputs(im));
    count_uses(im);
    for (size_t i = 0; i < im->model->graph->n_node; i++) {
        CRUMB_TRY(import_node(im, (int)i));
    }
    CRUMB_TRY(check_outputs(im));
    if (im->options->classifier) {
        CRUMB_TRY(find_logits(im));
    }
    return outputs != NULL ? take_outputs(im, outputs, count) : CRUMB_OK;
}

crumb_status crumb_import_model(crumb_ctx *ctx, const char *path, CrumbOnnx__ModelProto *model,
                                const crumb_import_options *options, crumb_graph **graph, crumb_import_output *outputs,
                                int *count) {
    crumb_import_importer im = {.ctx = ctx, .path = path, .model = model, .options = options};
    crumb_status status = crumb_graph_create(ctx, &im.graph);
    if (status == CRUMB_OK) {
        status = import_all(&im, outputs, count);
    }
    for (int i = 0; i < im.values; i++) {
        crumb_import_forget(&im, &im.value[i]);
    }
    crumb_free(ctx, im.value);
    crumb_free(ctx, im.slot);
    if (status != CRUMB_OK) {
        for (int i = 0; outputs != NULL && i < *count; i++) {
            crumb_onnx_array_free(ctx, &outputs[i].array);
        }
        crumb_graph_destroy(im.graph);
        return status;
    }
    *graph = im.graph;
    return CRUMB_OK;
}

crumb_status crumb_import_file(crumb_ctx *ctx, const char *path, crumb_graph **graph, crumb_import_facts *facts) {
    ProtobufCMessage *message;
    CRUMB_TRY(crumb_onnx_open(ctx, path, &crumb_onnx__model_proto__descriptor, &message));
    CrumbOnnx__ModelProto *model = (CrumbOnnx__ModelProto *)message;
    crumb_graph *made = NULL;
    crumb_status status = crumb_import_model(ctx, path, model, &(crumb_import_options){.classifier = true}, &made, NULL, NULL);
    if (status == CRUMB_OK && facts != NULL) {
        status = crumb_import_notes(ctx, path, model, crumb_shape_last(made->value[made->image].shape),
                                    crumb_shape_last(made->value[made->logits].shape), facts);
        if (status != CRUMB_OK) {
            crumb_graph_destroy(made);
        }
    }
    if (status == CRUMB_OK) {
        *graph = made;
    }
    crumb_onnx_free(ctx, message);
    return status;
}
