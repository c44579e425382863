/* ONNX messages, made and written. Raw data is little-endian, as the machines are that crumb runs on. */
#include "onnx/writer.h"

#include <stdio.h>
#include <string.h>

/* ---- The arena. */

enum { BLOCK = 1 << 16, ALIGNMENT = 16 };

struct crumb_onnx_block {
    crumb_onnx_block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) uint8_t data[];
};

void *crumb_onnx_room(crumb_onnx_writer *w, size_t count, size_t size) {
    size_t bytes;
    if (w->status != CRUMB_OK) {
        return NULL;
    }
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - BLOCK) {
        w->status = crumb_fail(w->ctx, CRUMB_ERROR_MEMORY, "out of memory");
        return NULL;
    }
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (w->block == NULL || w->block->size - w->block->used < bytes) {
        size_t room = bytes > BLOCK ? bytes : BLOCK;
        crumb_onnx_block *block = crumb_alloc(w->ctx, 1, sizeof(*block) + room);
        if (block == NULL) {
            w->status = CRUMB_ERROR_MEMORY;
            return NULL;
        }
        block->size = room;
        block->next = w->block;
        w->block = block;
    }
    void *at = w->block->data + w->block->used;
    w->block->used += bytes;
    return at;
}

const char *crumb_onnx_text(crumb_onnx_writer *w, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = crumb_onnx_room(w, (size_t)length + 1, 1);
    if (text == NULL) {
        return "";
    }
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

/* A list of pointers with room for one more: capacities are powers of two, so a list moves when its count is one. */
static void *grown(crumb_onnx_writer *w, void *list, size_t count) {
    if (count > 0 && (count & (count - 1)) != 0) {
        return list;
    }
    void *larger = crumb_onnx_room(w, count > 0 ? 2 * count : 1, sizeof(void *));
    if (larger != NULL && count > 0) {
        memcpy(larger, list, count * sizeof(void *));
    }
    return larger;
}

static char **texts(crumb_onnx_writer *w, int count, const char *const *text) {
    char **list = crumb_onnx_room(w, (size_t)count, sizeof(*list));
    for (int i = 0; list != NULL && i < count; i++) {
        list[i] = (char *)text[i]; /* read only */
    }
    return list;
}

/* ---- The model. */

void crumb_onnx_begin(crumb_onnx_writer *w, crumb_ctx *ctx, int64_t ir_version, int64_t opset) {
    *w = (crumb_onnx_writer){.ctx = ctx};
    crumb_onnx__model_proto__init(&w->model);
    crumb_onnx__graph_proto__init(&w->graph);
    w->model.graph = &w->graph;
    w->model.has_ir_version = true;
    w->model.ir_version = ir_version;
    w->model.producer_name = "crumb";
    w->model.producer_version = CRUMB_VERSION;
    w->graph.name = "network";
    crumb_onnx_import(w, "", opset);
}

crumb_status crumb_onnx_bytes(crumb_onnx_writer *w, const char *name, uint8_t **bytes, size_t *size) {
    CRUMB_TRY(w->status);
    size_t wanted = crumb_onnx__model_proto__get_packed_size(&w->model);
    if (wanted > INT32_MAX) {
        return crumb_fail(w->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: %zu bytes; an ONNX file ends at 2 GiB", name, wanted);
    }
    uint8_t *made = crumb_alloc(w->ctx, wanted, 1);
    if (made == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_onnx__model_proto__pack(&w->model, made);
    *bytes = made;
    *size = wanted;
    return CRUMB_OK;
}

void crumb_onnx_drop(crumb_onnx_writer *w) {
    for (crumb_onnx_block *block = w->block, *next; block != NULL; block = next) {
        next = block->next;
        crumb_free(w->ctx, block);
    }
    w->block = NULL;
}

static CrumbOnnx__OperatorSetIdProto *operator_set(crumb_onnx_writer *w, const char *domain, int64_t version) {
    CrumbOnnx__OperatorSetIdProto *set = crumb_onnx_room(w, 1, sizeof(*set));
    if (set != NULL) {
        crumb_onnx__operator_set_id_proto__init(set);
        set->domain = (char *)domain;
        set->has_version = true;
        set->version = version;
    }
    return set;
}

void crumb_onnx_import(crumb_onnx_writer *w, const char *domain, int64_t version) {
    CrumbOnnx__ModelProto *model = &w->model;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        if (strcmp(model->opset_import[i]->domain, domain) == 0) {
            return;
        }
    }
    CrumbOnnx__OperatorSetIdProto *set = operator_set(w, domain, version);
    CrumbOnnx__OperatorSetIdProto **list = grown(w, model->opset_import, model->n_opset_import);
    if (w->status == CRUMB_OK) {
        model->opset_import = list;
        list[model->n_opset_import++] = set;
    }
}

void crumb_onnx_note(crumb_onnx_writer *w, const char *key, const char *value) {
    CrumbOnnx__ModelProto *model = &w->model;
    CrumbOnnx__StringStringEntryProto *entry = crumb_onnx_room(w, 1, sizeof(*entry));
    CrumbOnnx__StringStringEntryProto **list = grown(w, model->metadata_props, model->n_metadata_props);
    if (w->status == CRUMB_OK) {
        crumb_onnx__string_string_entry_proto__init(entry);
        entry->key = (char *)key;
        entry->value = (char *)value;
        model->metadata_props = list;
        list[model->n_metadata_props++] = entry;
    }
}

/* ---- Inputs and outputs. */

static CrumbOnnx__TensorShapeProto *batch_shape(crumb_onnx_writer *w, int rank, const int64_t *dim) {
    CrumbOnnx__TensorShapeProto *shape = crumb_onnx_room(w, 1, sizeof(*shape));
    CrumbOnnx__TensorShapeProto__Dimension **list = crumb_onnx_room(w, (size_t)rank, sizeof(*list));
    CrumbOnnx__TensorShapeProto__Dimension *item = crumb_onnx_room(w, (size_t)rank, sizeof(*item));
    if (w->status != CRUMB_OK) {
        return NULL;
    }
    for (int i = 0; i < rank; i++) {
        crumb_onnx__tensor_shape_proto__dimension__init(&item[i]);
        item[i].value_case = CRUMB_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        item[i].dim_value = dim[i];
        list[i] = &item[i];
    }
    item[0].value_case = CRUMB_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    item[0].dim_param = "batch";
    crumb_onnx__tensor_shape_proto__init(shape);
    shape->n_dim = (size_t)rank;
    shape->dim = list;
    return shape;
}

/* A list of one. */
static CrumbOnnx__ValueInfoProto **describe(crumb_onnx_writer *w, const char *name, int rank, const int64_t *dim) {
    CrumbOnnx__ValueInfoProto **list = crumb_onnx_room(w, 1, sizeof(*list)), *info = crumb_onnx_room(w, 1, sizeof(*info));
    CrumbOnnx__TypeProto *type = crumb_onnx_room(w, 1, sizeof(*type));
    CrumbOnnx__TypeProto__Tensor *tensor = crumb_onnx_room(w, 1, sizeof(*tensor));
    CrumbOnnx__TensorShapeProto *shape = batch_shape(w, rank, dim);
    if (w->status != CRUMB_OK) {
        return NULL;
    }
    crumb_onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = true;
    tensor->elem_type = CRUMB_ONNX_FLOAT;
    tensor->shape = shape;
    crumb_onnx__type_proto__init(type);
    type->value_case = CRUMB_ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    crumb_onnx__value_info_proto__init(info);
    info->name = (char *)name;
    info->type = type;
    list[0] = info;
    return list;
}

void crumb_onnx_input(crumb_onnx_writer *w, const char *name, int rank, const int64_t *dim) {
    w->graph.input = describe(w, name, rank, dim);
    w->graph.n_input = w->graph.input != NULL;
}

void crumb_onnx_output(crumb_onnx_writer *w, const char *name, int rank, const int64_t *dim) {
    w->graph.output = describe(w, name, rank, dim);
    w->graph.n_output = w->graph.output != NULL;
}

/* ---- Nodes. */

static void append_node(crumb_onnx_writer *w, crumb_onnx_node *node) {
    size_t count = w->function != NULL ? w->function->n_node : w->graph.n_node;
    crumb_onnx_node **list = grown(w, w->function != NULL ? w->function->node : w->graph.node, count);
    if (list == NULL) {
        return;
    }
    list[count] = node;
    if (w->function != NULL) {
        w->function->node = list;
        w->function->n_node = count + 1;
    } else {
        w->graph.node = list;
        w->graph.n_node = count + 1;
    }
}

crumb_onnx_node *crumb_onnx_add(crumb_onnx_writer *w, const char *op, const char *output, int inputs,
                                const char *const *input) {
    crumb_onnx_node *node = crumb_onnx_room(w, 1, sizeof(*node));
    char **read = texts(w, inputs, input), **made = texts(w, 1, &output);
    if (w->status != CRUMB_OK) {
        return NULL;
    }
    crumb_onnx__node_proto__init(node);
    node->n_input = (size_t)inputs;
    node->input = read;
    node->n_output = 1;
    node->output = made;
    node->op_type = (char *)op;
    if (w->function == NULL) {
        node->name = (char *)output;
    }
    append_node(w, node);
    return w->status == CRUMB_OK ? node : NULL;
}

void crumb_onnx_domain(crumb_onnx_node *node, const char *domain) {
    if (node != NULL) {
        node->domain = (char *)domain;
    }
}

static CrumbOnnx__AttributeProto *attribute(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name,
                                            CrumbOnnx__AttributeProto__AttributeType type) {
    CrumbOnnx__AttributeProto *made = crumb_onnx_room(w, 1, sizeof(*made));
    CrumbOnnx__AttributeProto **list = node != NULL ? grown(w, node->attribute, node->n_attribute) : NULL;
    if (made == NULL || list == NULL) {
        return NULL;
    }
    crumb_onnx__attribute_proto__init(made);
    made->name = (char *)name;
    made->has_type = true;
    made->type = type;
    node->attribute = list;
    list[node->n_attribute++] = made;
    return made;
}

void crumb_onnx_int(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, int64_t value) {
    CrumbOnnx__AttributeProto *made = attribute(w, node, name, CRUMB_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (made != NULL) {
        made->has_i = true;
        made->i = value;
    }
}

void crumb_onnx_int_of(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, const char *of) {
    CrumbOnnx__AttributeProto *made = attribute(w, node, name, CRUMB_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (made != NULL) {
        made->ref_attr_name = (char *)of;
    }
}

void crumb_onnx_ints(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, int count, const int64_t *value) {
    CrumbOnnx__AttributeProto *made = attribute(w, node, name, CRUMB_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *list = crumb_onnx_room(w, (size_t)count, sizeof(*list));
    if (made != NULL && list != NULL) {
        memcpy(list, value, (size_t)count * sizeof(*list));
        made->n_ints = (size_t)count;
        made->ints = list;
    }
}

void crumb_onnx_real(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, float value) {
    CrumbOnnx__AttributeProto *made = attribute(w, node, name, CRUMB_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (made != NULL) {
        made->has_f = true;
        made->f = value;
    }
}

void crumb_onnx_word(crumb_onnx_writer *w, crumb_onnx_node *node, const char *name, const char *value) {
    CrumbOnnx__AttributeProto *made = attribute(w, node, name, CRUMB_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    if (made != NULL) {
        made->has_s = true;
        made->s = (ProtobufCBinaryData){.len = strlen(value), .data = (uint8_t *)value};
    }
}

/* ---- Initializers. */

void *crumb_onnx_tensor(crumb_onnx_writer *w, const char *name, int32_t type, int rank, const int64_t *dim, size_t bytes) {
    CrumbOnnx__TensorProto *tensor = crumb_onnx_room(w, 1, sizeof(*tensor));
    CrumbOnnx__TensorProto **list = grown(w, w->graph.initializer, w->graph.n_initializer);
    int64_t *dims = crumb_onnx_room(w, (size_t)rank, sizeof(*dims));
    uint8_t *data = crumb_onnx_room(w, bytes, 1);
    if (w->status != CRUMB_OK) {
        return NULL;
    }
    for (int i = 0; i < rank; i++) {
        dims[i] = dim[i];
    }
    crumb_onnx__tensor_proto__init(tensor);
    tensor->name = (char *)name;
    tensor->has_data_type = true;
    tensor->data_type = type;
    tensor->n_dims = (size_t)rank;
    tensor->dims = dims;
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){.len = bytes, .data = data};
    w->graph.initializer = list;
    list[w->graph.n_initializer++] = tensor;
    return data;
}

const char *crumb_onnx_floats(crumb_onnx_writer *w, const char *name, int rank, const int64_t *dim, const float *value) {
    size_t bytes = sizeof(*value);
    for (int i = 0; i < rank; i++) {
        bytes *= (size_t)dim[i];
    }
    void *data = crumb_onnx_tensor(w, name, CRUMB_ONNX_FLOAT, rank, dim, bytes);
    if (data != NULL) {
        memcpy(data, value, bytes);
    }
    return name;
}

const char *crumb_onnx_int64s(crumb_onnx_writer *w, const char *name, int64_t count, const int64_t *value) {
    size_t bytes = (size_t)count * sizeof(*value);
    void *data = crumb_onnx_tensor(w, name, CRUMB_ONNX_INT64, 1, &count, bytes);
    if (data != NULL) {
        memcpy(data, value, bytes);
    }
    return name;
}

const char *crumb_onnx_scalar(crumb_onnx_writer *w, const char *name, float value) {
    return crumb_onnx_floats(w, name, 0, NULL, &value);
}

const char *crumb_onnx_byte(crumb_onnx_writer *w, const char *name, int32_t type, int32_t value) {
    uint8_t *data = crumb_onnx_tensor(w, name, type, 0, NULL, 1);
    if (data != NULL) {
        *data = (uint8_t)value;
    }
    return name;
}

/* ---- Functions. */

void crumb_onnx_function_open(crumb_onnx_writer *w, const char *domain, const char *name, int inputs, const char *const *input,
                              const char *output, int attributes, const char *const *attribute_name) {
    CrumbOnnx__ModelProto *model = &w->model;
    CrumbOnnx__FunctionProto *function = crumb_onnx_room(w, 1, sizeof(*function));
    CrumbOnnx__FunctionProto **list = grown(w, model->functions, model->n_functions);
    CrumbOnnx__OperatorSetIdProto **sets = crumb_onnx_room(w, 1, sizeof(*sets));
    char **read = texts(w, inputs, input), **made = texts(w, 1, &output), **named = texts(w, attributes, attribute_name);
    CrumbOnnx__OperatorSetIdProto *set = operator_set(w, "", w->status == CRUMB_OK ? model->opset_import[0]->version : 0);
    if (w->status != CRUMB_OK) {
        return;
    }
    crumb_onnx__function_proto__init(function);
    sets[0] = set;
    function->domain = (char *)domain;
    function->name = (char *)name;
    function->n_input = (size_t)inputs;
    function->input = read;
    function->n_output = 1;
    function->output = made;
    function->n_attribute = (size_t)attributes;
    function->attribute = named;
    function->n_opset_import = 1;
    function->opset_import = sets;
    model->functions = list;
    list[model->n_functions++] = function;
    w->function = function;
}

void crumb_onnx_function_close(crumb_onnx_writer *w) {
    w->function = NULL;
}

static void rename_in(char **list, size_t count, const char *from, const char *to) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], from) == 0) {
            list[i] = (char *)to;
        }
    }
}

void crumb_onnx_rename(crumb_onnx_writer *w, const char *from, const char *to) {
    for (size_t i = 0; i < w->graph.n_node; i++) {
        crumb_onnx_node *node = w->graph.node[i];
        rename_in(node->input, node->n_input, from, to);
        rename_in(node->output, node->n_output, from, to);
    }
}
