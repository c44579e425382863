/* A graph's parameters and states in safetensors, under PyTorch's names and in PyTorch's layouts: convolution weights (the only
 * tensors of rank 4) are OIHW in the file and OHWI in memory, everything else is stored as it is. */
#include "formats/dtype.h"
#include "formats/safetensors.h"
#include "ops/op.h"

#include <stdio.h>
#include <string.h>

static const char parallel[] = "module."; /* DataParallel puts it in front of every name */

/* [O, H, W, I] <-> [O, I, H, W] as shapes. */
static crumb_shape file_shape(crumb_shape s) {
    return s.rank == 4 ? CRUMB_SHAPE(s.dim[0], s.dim[3], s.dim[1], s.dim[2]) : s;
}

/* Copies between the layouts; to_file: OHWI -> OIHW, else back. `shape` is the one in memory. */
static void permute(float *to, const float *from, crumb_shape shape, bool to_file) {
    int64_t pixels = shape.dim[1] * shape.dim[2], inputs = shape.dim[3];
    for (int64_t o = 0; o < shape.dim[0]; o++, to += pixels * inputs, from += pixels * inputs) {
        for (int64_t p = 0; p < pixels; p++) {
            for (int64_t i = 0; i < inputs; i++) {
                int64_t in_file = i * pixels + p, in_memory = p * inputs + i;
                to[to_file ? in_file : in_memory] = from[to_file ? in_memory : in_file];
            }
        }
    }
}

static void to_file(void *data, const void *from, crumb_shape of) {
    permute(data, from, of, true);
}

static bool is_stored(const crumb_value *value) {
    return value->kind == CRUMB_VALUE_PARAM || value->kind == CRUMB_VALUE_STATE;
}

crumb_status crumb_graph_store(crumb_graph *graph, const char *prefix, crumb_safetensors_writer *writer) {
    for (int i = 0; i < graph->values; i++) {
        const crumb_value *value = &graph->value[i];
        if (!is_stored(value)) {
            continue;
        }
        char name[2 * CRUMB_NAME_MAX];
        snprintf(name, sizeof(name), "%s%s", prefix, value->name);
        if (value->shape.rank != 4) {
            CRUMB_TRY(crumb_safetensors_add(writer, name, "F32", value->shape, value->data));
            continue;
        }
        CRUMB_TRY(crumb_safetensors_made(writer, name, "F32", file_shape(value->shape), to_file, value->data, value->shape));
    }
    return CRUMB_OK;
}

/* ---- Storing for PyTorch: quantized weights as what they stand for, no state of quantizers. */

/* The number of batches a batch norm has seen. Files from before PyTorch 0.4.1 lack it, other programs' files may have it where
 * we have none: it matters only to a re-estimation of statistics, which starts from 0. */
static bool is_counter(const char *name) {
    static const char tail[] = "num_batches_tracked";
    size_t length = strlen(name);
    return length >= sizeof(tail) - 1 && strcmp(name + length - (sizeof(tail) - 1), tail) == 0;
}

/* What is no part of a network for other programs: quantizers' states, weight and bias of a batch norm that learns none. */
static void find_optional(const crumb_graph *graph, bool *optional) {
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_node *node = &graph->node[i];
        bool site = crumb_node_site(graph, i) != NULL;
        for (int j = 1; site && j < node->inputs; j++) {
            optional[node->input[j]] = true;
        }
        for (int j = 1; node->op == &crumb_op_batch_norm && j <= 2; j++) {
            optional[node->input[j]] = graph->value[node->input[j]].kind == CRUMB_VALUE_STATE;
        }
    }
}

/* The quantize node that reads a value, -1: none. */
static int quantizer_of(const crumb_graph *graph, int value) {
    for (int i = 0; i < graph->nodes; i++) {
        if (crumb_node_weight_site(graph, i) != NULL && graph->node[i].input[0] == value) {
            return i;
        }
    }
    return -1;
}

/* A tensor of floats, or of integers that fit the dtype, I8, I16 or I64, in the file's layout. */
static crumb_status store_numbers(crumb_safetensors_writer *writer, const char *name, const char *dtype, crumb_shape shape,
                                  const float *data, float *scratch) {
    void *out;
    CRUMB_TRY(crumb_safetensors_room(writer, name, dtype, file_shape(shape), &out));
    if (shape.rank == 4) {
        permute(scratch, data, shape, true);
        data = scratch;
    }
    for (int64_t i = 0; i < crumb_shape_count(shape); i++) {
        if (strcmp(dtype, "I8") == 0) {
            ((int8_t *)out)[i] = (int8_t)data[i];
        } else if (strcmp(dtype, "I16") == 0) {
            ((int16_t *)out)[i] = (int16_t)data[i];
        } else if (strcmp(dtype, "I64") == 0) {
            ((int64_t *)out)[i] = (int64_t)data[i];
        } else {
            ((float *)out)[i] = data[i];
        }
    }
    return CRUMB_OK;
}

/* Codes, and as <name>_scale what they are multiplied by: one value, or one an output channel or group of it. */
static crumb_status store_codes(const crumb_graph *graph, int node, crumb_safetensors_writer *writer, float *quantized,
                                float *scratch) {
    const crumb_value *value = &graph->value[graph->node[node].input[0]];
    crumb_codes codes;
    char name[2 * CRUMB_NAME_MAX];
    crumb_graph_fake(graph, node, quantized); /* brings the scales up to date */
    CRUMB_TRY(crumb_graph_encode(graph, node, &codes));
    bool narrow = true;
    for (int64_t i = 0; i < codes.count; i++) {
        narrow = narrow && codes.code[i] >= INT8_MIN && codes.code[i] <= INT8_MAX;
        quantized[i] = (float)codes.code[i];
    }
    snprintf(name, sizeof(name), "%s_scale", value->name);
    crumb_status status = store_numbers(writer, value->name, narrow ? "I8" : "I16", value->shape, quantized, scratch);
    if (status == CRUMB_OK) {
        status = store_numbers(writer, name, "F32", CRUMB_SHAPE(codes.groups), codes.scale, NULL);
    }
    crumb_codes_free(graph->ctx, &codes);
    return status;
}

/* Room for the largest value, twice, and a flag a value. */
typedef struct store_room {
    float *quantized, *scratch;
    bool *optional;
} store_room;

static crumb_status store_values(const crumb_graph *graph, bool codes, crumb_safetensors_writer *writer,
                                 const store_room *room) {
    find_optional(graph, room->optional);
    for (int i = 0; i < graph->values; i++) {
        const crumb_value *value = &graph->value[i];
        int node = quantizer_of(graph, i);
        if (!is_stored(value) || room->optional[i]) {
            continue;
        }
        if (node >= 0 && codes) {
            CRUMB_TRY(store_codes(graph, node, writer, room->quantized, room->scratch));
            continue;
        }
        if (node >= 0) {
            crumb_graph_fake(graph, node, room->quantized);
        }
        CRUMB_TRY(store_numbers(writer, value->name, is_counter(value->name) ? "I64" : "F32", value->shape,
                                node >= 0 ? room->quantized : value->data, room->scratch));
    }
    return CRUMB_OK;
}

crumb_status crumb_graph_store_quantized(const crumb_graph *graph, bool codes, crumb_safetensors_writer *writer) {
    int64_t most = 1;
    for (int i = 0; i < graph->values; i++) {
        int64_t count = is_stored(&graph->value[i]) ? crumb_shape_count(graph->value[i].shape) : 0;
        most = count > most ? count : most;
    }
    store_room room = {.quantized = crumb_alloc(graph->ctx, 2 * (size_t)most, sizeof(float)),
                       .optional = crumb_alloc(graph->ctx, (size_t)graph->values + 1, sizeof(bool))};
    crumb_status status = CRUMB_ERROR_MEMORY;
    if (room.quantized != NULL && room.optional != NULL) {
        room.scratch = room.quantized + most;
        status = store_values(graph, codes, writer, &room);
    }
    crumb_free(graph->ctx, room.quantized);
    crumb_free(graph->ctx, room.optional);
    return status;
}

/* ---- Loading: match names, check shapes, and only then touch the graph. */

enum { NAMES_SHOWN = 4 };

/* Names that do not fit, for one message: the first few and how many more. */
typedef struct name_list {
    char text[480];
    int count;
} name_list;

static void add_name(name_list *list, const char *name) {
    size_t used = strlen(list->text);
    if (list->count++ < NAMES_SHOWN) {
        snprintf(list->text + used, sizeof(list->text) - used, "%s%.100s", used == 0 ? "" : ", ", name);
    }
}

static void end_names(name_list *list) {
    size_t used = strlen(list->text);
    if (list->count > NAMES_SHOWN) {
        snprintf(list->text + used, sizeof(list->text) - used, " and %d more", list->count - NAMES_SHOWN);
    }
}

/* Which tensor fills which value. */
typedef struct matching {
    crumb_graph *graph;
    const char *prefix;
    const crumb_safetensors *file;
    int *tensor;      /* [values]: index in the file, -1: none */
    bool *taken;      /* [tensors] */
    bool *optional;   /* [values] may be absent, and keep their presets */
    int64_t permuted; /* elements of the largest tensor to permute */
} matching;

static int find_tensor(const matching *m, const char *value_name) {
    char name[3 * CRUMB_NAME_MAX];
    snprintf(name, sizeof(name), "%s%s%s", parallel, m->prefix, value_name);
    int found = crumb_safetensors_find(m->file, name + strlen(parallel));
    return found >= 0 ? found : crumb_safetensors_find(m->file, name);
}

/* A tensor in one element may be a scalar in the file. */
static bool shape_fits(crumb_shape in_memory, crumb_shape in_file) {
    return crumb_shape_equal(file_shape(in_memory), in_file) ||
           (in_memory.rank == 1 && in_memory.dim[0] == 1 && in_file.rank == 0);
}

static crumb_status match_value(matching *m, int index) {
    const crumb_value *value = &m->graph->value[index];
    m->tensor[index] = find_tensor(m, value->name);
    if (m->tensor[index] < 0) {
        return CRUMB_OK;
    }
    m->taken[m->tensor[index]] = true;
    crumb_safetensor tensor = crumb_safetensors_at(m->file, m->tensor[index]);
    if (!shape_fits(value->shape, tensor.shape)) {
        char wanted[CRUMB_SHAPE_TEXT], found[CRUMB_SHAPE_TEXT];
        return crumb_fail(m->graph->ctx, CRUMB_ERROR_FORMAT, "%s: %s is %s, the network needs %s",
                          crumb_safetensors_path(m->file), tensor.name, crumb_shape_print(tensor.shape, found),
                          crumb_shape_print(file_shape(value->shape), wanted));
    }
    const crumb_dtype *dtype = crumb_dtype_find(tensor.dtype);
    if (dtype == NULL || dtype->load == NULL) {
        return crumb_fail(m->graph->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: %s: dtype %s cannot be read as numbers",
                          crumb_safetensors_path(m->file), tensor.name, tensor.dtype);
    }
    if (value->shape.rank == 4 && crumb_shape_count(value->shape) > m->permuted) {
        m->permuted = crumb_shape_count(value->shape);
    }
    return CRUMB_OK;
}

static bool has_prefix(const matching *m, const char *name) {
    if (strncmp(name, parallel, strlen(parallel)) == 0 && strncmp(m->prefix, parallel, strlen(parallel)) != 0) {
        name += strlen(parallel);
    }
    return strncmp(name, m->prefix, strlen(m->prefix)) == 0;
}

static crumb_status check_complete(const matching *m) {
    name_list missing = {0}, unknown = {0};
    for (int i = 0; i < m->graph->values; i++) {
        const crumb_value *value = &m->graph->value[i];
        if (is_stored(value) && m->tensor[i] < 0 && !m->optional[i] && !is_counter(value->name)) {
            add_name(&missing, value->name);
        }
    }
    for (int i = 0; i < crumb_safetensors_count(m->file); i++) {
        const char *name = crumb_safetensors_at(m->file, i).name;
        if (!m->taken[i] && has_prefix(m, name) && !is_counter(name)) {
            add_name(&unknown, name);
        }
    }
    if (missing.count == 0 && unknown.count == 0) {
        return CRUMB_OK;
    }
    end_names(&missing);
    end_names(&unknown);
    return crumb_fail(m->graph->ctx, CRUMB_ERROR_FORMAT, "%s: %s%s%s%s%s", crumb_safetensors_path(m->file),
                      missing.count > 0 ? "lacks " : "", missing.text, missing.count > 0 && unknown.count > 0 ? "; " : "",
                      unknown.count > 0 ? "has tensors the network does not: " : "", unknown.text);
}

static crumb_status match_all(matching *m, bool strict) {
    find_optional(m->graph, m->optional);
    for (int i = 0; i < m->graph->values; i++) {
        m->tensor[i] = -1;
        if (is_stored(&m->graph->value[i])) {
            CRUMB_TRY(match_value(m, i));
        }
    }
    return strict ? check_complete(m) : CRUMB_OK;
}

static crumb_status copy_values(const matching *m) {
    crumb_ctx *ctx = m->graph->ctx;
    float *scratch = crumb_alloc(ctx, (size_t)m->permuted, sizeof(float));
    crumb_status status = scratch != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    for (int i = 0; i < m->graph->values && status == CRUMB_OK; i++) {
        crumb_value *value = &m->graph->value[i];
        if (m->tensor[i] < 0) {
            continue;
        }
        crumb_safetensor tensor = crumb_safetensors_at(m->file, m->tensor[i]);
        status = crumb_safetensor_floats(ctx, &tensor, value->shape.rank == 4 ? scratch : value->data);
        if (value->shape.rank == 4) {
            permute(value->data, scratch, value->shape, false);
        }
    }
    crumb_free(ctx, scratch);
    return status;
}

crumb_status crumb_graph_load(crumb_graph *graph, const char *prefix, const crumb_safetensors *file, bool strict) {
    crumb_ctx *ctx = graph->ctx;
    matching m = {.graph = graph, .prefix = prefix, .file = file};
    m.tensor = crumb_alloc(ctx, (size_t)graph->values, sizeof(*m.tensor));
    m.taken = crumb_alloc(ctx, (size_t)crumb_safetensors_count(file), sizeof(*m.taken));
    m.optional = crumb_alloc(ctx, (size_t)graph->values, sizeof(*m.optional));
    crumb_status status = CRUMB_ERROR_MEMORY;
    if (m.tensor != NULL && m.taken != NULL && m.optional != NULL) {
        status = match_all(&m, strict);
    }
    if (status == CRUMB_OK) {
        status = copy_values(&m);
    }
    crumb_free(ctx, m.tensor);
    crumb_free(ctx, m.taken);
    crumb_free(ctx, m.optional);
    return status;
}
