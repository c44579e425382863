/* A packed network under construction: values, nodes and tensors are appended; shapes follow from the nodes. The first failure
 * sticks, later calls do nothing, and end says what it was; so construction checks once.
 *
 *     crumb_build b;
 *     crumb_build_begin(&b, ctx, 32, 32, 3);
 *     crumb_packed_node conv = crumb_build_node_of(CRUMB_PACKED_CONV2D, "conv1", 0);
 *     conv.weight = crumb_build_codes(&b, ...);  ...
 *     b.packed.logits = crumb_build_append(&b, &conv, NULL);
 *     crumb_build_end(&b, &packed);  */
#ifndef CRUMB_PACKED_BUILD_H
#define CRUMB_PACKED_BUILD_H

#include "pack/packed.h"

typedef struct crumb_build {
    /* The caller may set mean and deviation (0 and 1), logits (the last value), model, classes and class_name; texts are
     * borrowed until end. */
    crumb_packed packed;
    int32_t value_room, node_room, tensor_room;
    crumb_status status;
} crumb_build;

void crumb_build_begin(crumb_build *build, crumb_ctx *ctx, int32_t height, int32_t width, int32_t channels);
/* A float tensor; returns its index. values are copied. */
int32_t crumb_build_floats(crumb_build *build, int32_t rows, int32_t columns, const float *values);
/* What a gather node reads: count places. */
int32_t crumb_build_places(crumb_build *build, int32_t count, const int32_t *places);
/* rows * columns indices below codes.levels; three levels become TRITS, others BITS. codes.bits is filled here. */
int32_t crumb_build_codes(crumb_build *build, int32_t rows, int32_t columns, crumb_packed_codes codes, const uint16_t *index);
/* A node of one input with nothing else set: 0, tensors -1. */
crumb_packed_node crumb_build_node_of(crumb_packed_op op, const char *name, int32_t input);
/* Appends a node (its name is copied, its output set) and returns the value it makes. codes: of a quantize node, else NULL;
 * bits is filled here. */
int32_t crumb_build_append(crumb_build *build, const crumb_packed_node *node, const crumb_packed_codes *codes);
/* Releases what was built. On success *packed is what reading its file gives. */
crumb_status crumb_build_end(crumb_build *build, crumb_packed **packed);

#endif
