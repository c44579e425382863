/* Construction of packed networks. The end writes the file's bytes and reads them: there is one kind of packed network. */
#include "pack/build.h"

#include "pack/rules.h"

#include <string.h>

enum { FIRST_ROOM = 16 };

static void *grown(crumb_build *b, void *list, int32_t count, int32_t *room, size_t size) {
    if (b->status != CRUMB_OK || count < *room) {
        return list;
    }
    int32_t wanted = *room > 0 ? 2 * *room : FIRST_ROOM;
    void *larger = crumb_resize(b->packed.ctx, list, (size_t)*room, (size_t)wanted, size);
    if (larger == NULL) {
        b->status = CRUMB_ERROR_MEMORY;
        return list;
    }
    *room = wanted;
    return larger;
}

void crumb_build_begin(crumb_build *b, crumb_ctx *ctx, int32_t height, int32_t width, int32_t channels) {
    *b = (crumb_build){.packed = {.ctx = ctx, .deviation = {1, 1, 1, 1}, .model = "", .logits = -1}};
    b->packed.value = grown(b, NULL, 0, &b->value_room, sizeof(*b->packed.value));
    if (b->status == CRUMB_OK) {
        b->packed.value[b->packed.values++] = (crumb_packed_value){.height = height, .width = width, .channels = channels};
    }
}

/* ---- Tensors. */

/* Takes the descriptor and gives it memory; NULL after a failure. */
static uint8_t *append_tensor(crumb_build *b, crumb_packed_tensor tensor) {
    crumb_packed *packed = &b->packed;
    packed->tensor = grown(b, packed->tensor, packed->tensors, &b->tensor_room, sizeof(*packed->tensor));
    if (b->status != CRUMB_OK) {
        return NULL;
    }
    tensor.bytes = (uint64_t)tensor.rows * crumb_packed_row_bytes(&tensor);
    uint8_t *data = crumb_alloc(packed->ctx, (size_t)tensor.bytes, 1);
    if (data == NULL) {
        b->status = CRUMB_ERROR_MEMORY;
        return NULL;
    }
    tensor.data = data;
    packed->tensor[packed->tensors++] = tensor;
    return data;
}

int32_t crumb_build_floats(crumb_build *b, int32_t rows, int32_t columns, const float *values) {
    uint8_t *data = append_tensor(b, (crumb_packed_tensor){.encoding = CRUMB_PACKED_FLOAT, .rows = rows, .columns = columns});
    if (data == NULL) {
        return -1;
    }
    memcpy(data, values, (size_t)rows * (size_t)columns * sizeof(*values));
    return b->packed.tensors - 1;
}

int32_t crumb_build_places(crumb_build *b, int32_t count, const int32_t *places) {
    uint8_t *data = append_tensor(b, (crumb_packed_tensor){.encoding = CRUMB_PACKED_PLACES, .rows = 1, .columns = count});
    if (data == NULL) {
        return -1;
    }
    memcpy(data, places, (size_t)count * sizeof(*places));
    return b->packed.tensors - 1;
}

int32_t crumb_build_codes(crumb_build *b, int32_t rows, int32_t columns, crumb_packed_codes codes, const uint16_t *index) {
    codes.bits = crumb_packed_bits(codes.levels);
    codes.scale = 0.0f;
    crumb_packed_tensor tensor = {.encoding = codes.levels == 3 ? CRUMB_PACKED_TRITS : CRUMB_PACKED_BITS,
                                  .rows = rows,
                                  .columns = columns,
                                  .codes = codes};
    uint8_t *data = append_tensor(b, tensor);
    for (int32_t row = 0; data != NULL && row < rows; row++) {
        crumb_packed_pack_row(&tensor, row, index + (size_t)row * (size_t)columns, data);
    }
    return b->packed.tensors - 1;
}

/* ---- Nodes. */

crumb_packed_node crumb_build_node_of(crumb_packed_op op, const char *name, int32_t input) {
    return (crumb_packed_node){
        .name = name, .op = op, .inputs = 1, .input = {input}, .weight = -1, .multiplier = -1, .bias = -1, .extra = -1};
}

/* What messages call a network that is no file yet. */
static const char *name_of(const crumb_packed *packed) {
    return packed->model[0] != '\0' ? packed->model : "network";
}

static crumb_status append(crumb_build *b, const crumb_packed_node *given, const crumb_packed_codes *codes) {
    crumb_packed *packed = &b->packed;
    char *name = crumb_copy_text(packed->ctx, given->name);
    if (name == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_packed_node *node = &packed->node[packed->nodes];
    *node = *given;
    node->name = name;
    node->output = packed->values;
    packed->nodes++;
    crumb_packed_value made = {0};
    if (codes != NULL) {
        made.codes = *codes;
        made.codes.bits = crumb_packed_bits(codes->levels);
    }
    CRUMB_TRY(crumb_packed_infer(packed, name_of(packed), packed->nodes - 1, &made));
    packed->value[packed->values++] = made;
    return CRUMB_OK;
}

int32_t crumb_build_append(crumb_build *b, const crumb_packed_node *node, const crumb_packed_codes *codes) {
    crumb_packed *packed = &b->packed;
    packed->value = grown(b, packed->value, packed->values, &b->value_room, sizeof(*packed->value));
    packed->node = grown(b, packed->node, packed->nodes, &b->node_room, sizeof(*packed->node));
    if (b->status == CRUMB_OK) {
        b->status = append(b, node, codes);
    }
    return b->status == CRUMB_OK ? packed->values - 1 : 0;
}

/* ---- The end. */

static crumb_status finish(crumb_build *b, crumb_packed **out) {
    uint8_t *bytes;
    size_t size;
    CRUMB_TRY(b->status);
    b->packed.logits = b->packed.logits >= 0 ? b->packed.logits : b->packed.values - 1;
    CRUMB_TRY(crumb_packed_bytes(&b->packed, &bytes, &size));
    crumb_status status = crumb_packed_parse(b->packed.ctx, name_of(&b->packed), bytes, size, out);
    if (status != CRUMB_OK) {
        crumb_free(b->packed.ctx, bytes);
        return status;
    }
    (*out)->owned = true;
    return CRUMB_OK;
}

crumb_status crumb_build_end(crumb_build *b, crumb_packed **out) {
    crumb_packed *packed = &b->packed;
    crumb_status status = finish(b, out);
    for (int32_t i = 0; i < packed->tensors; i++) {
        crumb_free(packed->ctx, (void *)packed->tensor[i].data);
    }
    for (int32_t i = 0; i < packed->nodes; i++) {
        crumb_free(packed->ctx, (void *)packed->node[i].name);
    }
    crumb_free(packed->ctx, packed->value);
    crumb_free(packed->ctx, packed->node);
    crumb_free(packed->ctx, packed->tensor);
    return status;
}
