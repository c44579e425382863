/* Packed network -> file. The bytes are a function of the network alone. */
#include "base/crc32c.h"
#include "base/file.h"
#include "pack/file_records.h"

#include <string.h>

typedef struct sizes {
    uint64_t text_bytes, bytes;
} sizes;

static uint64_t tensor_bytes(const crumb_packed_tensor *tensor) {
    return (uint64_t)tensor->rows * crumb_packed_row_bytes(tensor);
}

static uint64_t text_bytes(const crumb_packed *packed) {
    uint64_t bytes = strlen(packed->model) + 1;
    for (int32_t i = 0; packed->class_name != NULL && i < packed->classes; i++) {
        bytes += strlen(packed->class_name[i]) + 1;
    }
    for (int32_t i = 0; i < packed->nodes; i++) {
        bytes += strlen(packed->node[i].name) + 1;
    }
    return bytes;
}

static crumb_file_header header_of(const crumb_packed *packed) {
    crumb_file_header header = {
        .magic = CRUMB_FILE_MAGIC,
        .version = CRUMB_FILE_VERSION,
        .values = (uint32_t)packed->values,
        .nodes = (uint32_t)packed->nodes,
        .tensors = (uint32_t)packed->tensors,
        .text_bytes = (uint32_t)text_bytes(packed),
        .logits = (uint32_t)packed->logits,
        .classes = (uint32_t)packed->classes,
        .class_names = CRUMB_FILE_NONE,
    };
    memcpy(header.mean, packed->mean, sizeof(header.mean));
    memcpy(header.deviation, packed->deviation, sizeof(header.deviation));
    header.bytes = crumb_file_align(crumb_file_parts_of(&header).end);
    for (int32_t i = 0; i < packed->tensors; i++) {
        header.bytes += crumb_file_align(tensor_bytes(&packed->tensor[i]));
    }
    return header;
}

static void write_values(const crumb_packed *packed, uint8_t *at) {
    for (int32_t i = 0; i < packed->values; i++) {
        const crumb_packed_value *v = &packed->value[i];
        crumb_file_value record = {v->height,         v->width,        v->channels,    v->codes.levels,
                                   v->codes.multiply, v->codes.offset, v->codes.scale, 0};
        memcpy(at + (size_t)i * sizeof(record), &record, sizeof(record));
    }
}

static void write_tensors(const crumb_packed *packed, uint8_t *bytes, const crumb_file_parts *parts) {
    uint64_t at = crumb_file_align(parts->end);
    for (int32_t i = 0; i < packed->tensors; i++) {
        const crumb_packed_tensor *t = &packed->tensor[i];
        crumb_file_tensor record = {(int32_t)t->encoding, t->rows,         t->columns, t->codes.levels,
                                    t->codes.multiply,    t->codes.offset, at};
        memcpy(bytes + parts->tensors + (size_t)i * sizeof(record), &record, sizeof(record));
        memcpy(bytes + at, t->data, tensor_bytes(t));
        at += crumb_file_align(tensor_bytes(t));
    }
}

static crumb_file_node node_record(const crumb_packed_node *n, uint32_t name) {
    crumb_file_node record = {
        .name = name,
        .op = (int32_t)n->op,
        .inputs = n->inputs,
        .output = n->output,
        .kernel_height = n->kernel_height,
        .kernel_width = n->kernel_width,
        .stride = n->stride,
        .padding = n->padding,
        .dilation = n->dilation,
        .groups = n->groups,
        .before = n->before,
        .after = n->after,
        .flags = (n->count_inside ? CRUMB_FILE_COUNT_INSIDE : 0u) | (n->thresholds_form ? CRUMB_FILE_THRESHOLDS : 0u) |
                 (n->ceil_mode ? CRUMB_FILE_CEIL_MODE : 0u),
        .inverse = n->inverse,
        .lo = n->lo,
        .hi = n->hi,
        .weight = n->weight,
        .multiplier = n->multiplier,
        .bias = n->bias,
        .extra = n->extra,
    };
    memcpy(record.input, n->input, sizeof(record.input));
    return record;
}

/* Puts a text behind the last one and returns its offset in the texts. */
static uint32_t put_text(uint8_t *texts, uint32_t *used, const char *text) {
    uint32_t at = *used;
    size_t size = strlen(text) + 1;
    memcpy(texts + at, text, size);
    *used += (uint32_t)size;
    return at;
}

static void write_texts_and_nodes(const crumb_packed *packed, uint8_t *bytes, const crumb_file_parts *parts,
                                  crumb_file_header *header) {
    uint8_t *texts = bytes + parts->texts;
    uint32_t used = 0;
    header->model = put_text(texts, &used, packed->model);
    for (int32_t i = 0; packed->class_name != NULL && i < packed->classes; i++) {
        uint32_t at = put_text(texts, &used, packed->class_name[i]);
        header->class_names = i == 0 ? at : header->class_names;
    }
    for (int32_t i = 0; i < packed->nodes; i++) {
        crumb_file_node record = node_record(&packed->node[i], put_text(texts, &used, packed->node[i].name));
        memcpy(bytes + parts->nodes + (size_t)i * sizeof(record), &record, sizeof(record));
    }
}

crumb_status crumb_packed_bytes(const crumb_packed *packed, uint8_t **out, size_t *size) {
    if (text_bytes(packed) >= CRUMB_FILE_NONE) {
        return crumb_fail(packed->ctx, CRUMB_ERROR_UNSUPPORTED, "%llu bytes of names are more than a packed file holds",
                          (unsigned long long)text_bytes(packed));
    }
    crumb_file_header header = header_of(packed);
    crumb_file_parts parts = crumb_file_parts_of(&header);
    uint8_t *bytes = crumb_alloc(packed->ctx, (size_t)header.bytes, 1);
    if (bytes == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    write_values(packed, bytes + parts.values);
    write_tensors(packed, bytes, &parts);
    write_texts_and_nodes(packed, bytes, &parts, &header);
    memcpy(bytes, &header, sizeof(header));
    header.checksum = crumb_crc32c(bytes + CRUMB_FILE_SUMMED_FROM, (size_t)header.bytes - CRUMB_FILE_SUMMED_FROM);
    memcpy(bytes, &header, sizeof(header));
    *out = bytes;
    *size = (size_t)header.bytes;
    return CRUMB_OK;
}

crumb_status crumb_packed_write(const crumb_packed *packed, const char *path) {
    uint8_t *bytes;
    size_t size;
    CRUMB_TRY(crumb_packed_bytes(packed, &bytes, &size));
    crumb_status status = crumb_file_write(packed->ctx, path, bytes, size);
    crumb_free(packed->ctx, bytes);
    return status;
}
