/* The records of a packed file (docs/FORMAT.md), as reader and writer copy them. Numbers are little-endian, floats IEEE 754; a
 * processor of the other order would need another reader, so this one does not compile there. */
#ifndef CRUMB_FILE_RECORDS_H
#define CRUMB_FILE_RECORDS_H

#include "pack/packed.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "packed files are little-endian");

enum { CRUMB_FILE_VERSION = 1, CRUMB_FILE_ALIGNMENT = 64, CRUMB_FILE_SUMMED_FROM = 16 };
#define CRUMB_FILE_MAGIC                                                                                                       \
    "\x89"                                                                                                                     \
    "CRUMB\r\n" /* not text, and noticed when a transfer takes it for text */
#define CRUMB_FILE_NONE UINT32_MAX

typedef struct crumb_file_header {
    uint8_t magic[8];
    uint32_t version, checksum; /* CRC-32C of the bytes behind it */
    uint64_t bytes;             /* of the file */
    uint32_t values, nodes, tensors, text_bytes;
    uint32_t logits, classes;
    uint32_t model, class_names; /* in the texts; CRUMB_FILE_NONE: no names */
    float mean[CRUMB_PACKED_PIXEL_MAX], deviation[CRUMB_PACKED_PIXEL_MAX];
    uint32_t zero[10];
} crumb_file_header;

typedef struct crumb_file_value {
    int32_t height, width, channels, levels, multiply, offset;
    float scale;
    uint32_t zero;
} crumb_file_value;

typedef struct crumb_file_node {
    uint32_t name; /* in the texts */
    int32_t op, inputs, input[CRUMB_PACKED_INPUTS_MAX], output;
    int32_t kernel_height, kernel_width, stride, padding, dilation, groups, before, after;
    uint32_t flags;
    float inverse, lo, hi;
    int32_t weight, multiplier, bias, extra;
} crumb_file_node;
enum { CRUMB_FILE_COUNT_INSIDE = 1, CRUMB_FILE_THRESHOLDS = 2, CRUMB_FILE_CEIL_MODE = 4 };

typedef struct crumb_file_tensor {
    int32_t encoding, rows, columns, levels, multiply, offset;
    uint64_t at; /* in the file */
} crumb_file_tensor;

_Static_assert(sizeof(crumb_file_header) == 128 && sizeof(crumb_file_value) == 32 && sizeof(crumb_file_node) == 112 &&
                   sizeof(crumb_file_tensor) == 32,
               "records have no gaps");

static inline uint64_t crumb_file_align(uint64_t at) {
    return (at + CRUMB_FILE_ALIGNMENT - 1) / CRUMB_FILE_ALIGNMENT * CRUMB_FILE_ALIGNMENT;
}

/* Where the parts lie, one behind the other; the tensors start at the next multiple of 64. */
typedef struct crumb_file_parts {
    uint64_t values, nodes, tensors, texts, end;
} crumb_file_parts;

static inline crumb_file_parts crumb_file_parts_of(const crumb_file_header *header) {
    crumb_file_parts p = {.values = sizeof(*header)};
    p.tensors = p.values + (uint64_t)header->values * sizeof(crumb_file_value);
    p.nodes = p.tensors + (uint64_t)header->tensors * sizeof(crumb_file_tensor);
    p.texts = p.nodes + (uint64_t)header->nodes * sizeof(crumb_file_node);
    p.end = p.texts + header->text_bytes;
    return p;
}

#endif
