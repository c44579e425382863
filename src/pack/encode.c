/* Codes as bytes. BITS: index i occupies bits i * bits .. i * bits + bits - 1 of its row, counted from the lowest bit of the
 * first byte. TRITS: five indices below 3 a byte, since 3^5 = 243 <= 256: 1.6 bits an index, where two bits would be a quarter
 * more. Unused bits and indices of a row's last byte are 0. */
#include "pack/packed.h"

enum { TRITS_A_BYTE = 5 };

int32_t crumb_packed_bits(int32_t levels) {
    int32_t bits = levels > 0;
    while (levels > (int64_t)1 << bits) {
        bits++;
    }
    return bits;
}

uint64_t crumb_packed_row_bytes(const crumb_packed_tensor *tensor) {
    uint64_t columns = (uint64_t)tensor->columns;
    switch (tensor->encoding) {
    case CRUMB_PACKED_FLOAT:
    case CRUMB_PACKED_PLACES:
        return columns * sizeof(float);
    case CRUMB_PACKED_BITS:
        return (columns * (uint64_t)tensor->codes.bits + 7) / 8;
    default:
        return (columns + TRITS_A_BYTE - 1) / TRITS_A_BYTE;
    }
}

static void unpack_trits(const uint8_t *data, uint16_t *index, int32_t count) {
    for (int32_t i = 0; i < count;) {
        for (unsigned rest = *data++, k = 0; k < TRITS_A_BYTE && i < count; k++, rest /= 3) {
            index[i++] = (uint16_t)(rest % 3);
        }
    }
}

static void unpack_bits(const uint8_t *data, uint16_t *index, int32_t count, int32_t bits) {
    uint32_t held = 0;
    for (int32_t i = 0, have = 0; i < count; i++, have -= bits, held >>= bits) {
        for (; have < bits; have += 8) {
            held |= (uint32_t)*data++ << have;
        }
        index[i] = (uint16_t)(held & ((1u << bits) - 1));
    }
}

void crumb_packed_unpack_row(const crumb_packed_tensor *tensor, int32_t row, uint16_t *index) {
    const uint8_t *data = tensor->data + (uint64_t)row * crumb_packed_row_bytes(tensor);
    if (tensor->encoding == CRUMB_PACKED_TRITS) {
        unpack_trits(data, index, tensor->columns);
    } else {
        unpack_bits(data, index, tensor->columns, tensor->codes.bits);
    }
}

static void pack_trits(uint8_t *data, const uint16_t *index, int32_t count) {
    for (int32_t i = 0; i < count;) {
        unsigned byte = 0;
        for (unsigned k = 0, weight = 1; k < TRITS_A_BYTE && i < count; k++, weight *= 3) {
            byte += index[i++] * weight;
        }
        *data++ = (uint8_t)byte;
    }
}

static void pack_bits(uint8_t *data, const uint16_t *index, int32_t count, int32_t bits) {
    uint32_t held = 0;
    int32_t have = 0;
    for (int32_t i = 0; i < count; i++) {
        held |= (uint32_t)index[i] << have;
        for (have += bits; have >= 8; have -= 8, held >>= 8) {
            *data++ = (uint8_t)held;
        }
    }
    if (have > 0) {
        *data = (uint8_t)held;
    }
}

void crumb_packed_pack_row(const crumb_packed_tensor *tensor, int32_t row, const uint16_t *index, uint8_t *data) {
    data += (uint64_t)row * crumb_packed_row_bytes(tensor);
    if (tensor->encoding == CRUMB_PACKED_TRITS) {
        pack_trits(data, index, tensor->columns);
    } else {
        pack_bits(data, index, tensor->columns, tensor->codes.bits);
    }
}

int32_t crumb_packed_group(const crumb_packed *packed, const crumb_packed_node *node) {
    const crumb_packed_tensor *weight = &packed->tensor[node->weight];
    const crumb_packed_tensor *scale = node->extra >= 0 ? &packed->tensor[node->extra] : NULL;
    if (scale == NULL || scale->rows != weight->rows || scale->columns < 2) {
        return 0;
    }
    int32_t group = CRUMB_PACKED_GROUP_MIN;
    while (group < CRUMB_PACKED_GROUP_MAX && (weight->columns - 1) / group + 1 > scale->columns) {
        group *= 2;
    }
    return group;
}

const float *crumb_packed_floats(const crumb_packed *packed, int32_t tensor) {
    return tensor >= 0 ? (const float *)packed->tensor[tensor].data : NULL;
}

crumb_packed_places crumb_packed_places_of(const crumb_packed *packed, const crumb_packed_node *node) {
    const int32_t *row = (const int32_t *)packed->tensor[node->extra].data;
    return (crumb_packed_places){
        .row = row, .column = row + node->made_height, .channel = row + node->made_height + node->made_width};
}
