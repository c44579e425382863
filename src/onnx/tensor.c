/* Reading tensors. A tensor's bytes lie in raw_data (little-endian), in the typed field of its element type, or in a file
 * beside the model, named by a relative path that may not leave the model's folder. */
#include "onnx/tensor.h"

#include "base/file.h"
#include "formats/dtype.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int number;
    crumb_onnx_type type;
} types[] = {
    {CRUMB_ONNX_FLOAT, {"FLOAT", 32, false}},       {CRUMB_ONNX_UINT8, {"UINT8", 8, true}},
    {CRUMB_ONNX_INT8, {"INT8", 8, true}},           {CRUMB_ONNX_UINT16, {"UINT16", 16, true}},
    {CRUMB_ONNX_INT16, {"INT16", 16, true}},        {CRUMB_ONNX_INT32, {"INT32", 32, true}},
    {CRUMB_ONNX_INT64, {"INT64", 64, true}},        {CRUMB_ONNX_BOOL, {"BOOL", 8, true}},
    {CRUMB_ONNX_FLOAT16, {"FLOAT16", 16, false}},   {CRUMB_ONNX_DOUBLE, {"DOUBLE", 64, false}},
    {CRUMB_ONNX_UINT32, {"UINT32", 32, true}},      {CRUMB_ONNX_UINT64, {"UINT64", 64, true}},
    {CRUMB_ONNX_BFLOAT16, {"BFLOAT16", 16, false}}, {CRUMB_ONNX_UINT4, {"UINT4", 4, true}},
    {CRUMB_ONNX_INT4, {"INT4", 4, true}},           {CRUMB_ONNX_UINT2, {"UINT2", 2, true}},
    {CRUMB_ONNX_INT2, {"INT2", 2, true}},
};

const crumb_onnx_type *crumb_onnx_type_of(int number) {
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i].number == number) {
            return &types[i].type;
        }
    }
    return NULL;
}

static const char *name_of(const CrumbOnnx__TensorProto *tensor) {
    return tensor->name != NULL && tensor->name[0] != '\0' ? tensor->name : "(unnamed)";
}

static bool is_external(const CrumbOnnx__TensorProto *tensor) {
    return tensor->has_data_location && tensor->data_location == CRUMB_ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

/* Bytes of `count` elements; elements below 8 bits are packed, the last byte filled up. */
static size_t bytes_of(const crumb_onnx_type *type, int64_t count) {
    return ((size_t)count * (size_t)type->bits + 7) / 8;
}

/* ---- Typed fields: which one an element type uses, how many values it needs. */

typedef enum field { FIELD_FLOAT, FIELD_INT32, FIELD_INT64, FIELD_DOUBLE, FIELD_UINT64 } field;

static field field_of(int number) {
    switch (number) {
    case CRUMB_ONNX_FLOAT:
        return FIELD_FLOAT;
    case CRUMB_ONNX_INT64:
        return FIELD_INT64;
    case CRUMB_ONNX_DOUBLE:
        return FIELD_DOUBLE;
    case CRUMB_ONNX_UINT32:
    case CRUMB_ONNX_UINT64:
        return FIELD_UINT64;
    default:
        return FIELD_INT32;
    }
}

static size_t field_count(const CrumbOnnx__TensorProto *t) {
    const size_t counts[] = {t->n_float_data, t->n_int32_data, t->n_int64_data, t->n_double_data, t->n_uint64_data};
    return counts[field_of(t->data_type)];
}

static size_t field_needed(const crumb_onnx_type *type, int64_t count) {
    return type->bits < 8 ? bytes_of(type, count) : (size_t)count;
}

/* ---- Checks. */

static crumb_status check_dims(crumb_ctx *ctx, const char *path, const CrumbOnnx__TensorProto *tensor, crumb_shape *shape) {
    if (tensor->n_dims > CRUMB_RANK_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_UNSUPPORTED, "%s: tensor %s: %zu dimensions, at most %d", path, name_of(tensor),
                          tensor->n_dims, CRUMB_RANK_MAX);
    }
    *shape = (crumb_shape){.rank = (int)tensor->n_dims};
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        int64_t dim = tensor->dims[i];
        if (dim < 0 || (dim > 0 && count > INT64_C(0x1000000000) / dim)) {
            return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: tensor %s: dimension %d is %" PRId64, path, name_of(tensor), i,
                              dim);
        }
        shape->dim[i] = dim;
        count *= dim;
    }
    return CRUMB_OK;
}

crumb_status crumb_onnx_tensor_check(crumb_ctx *ctx, const char *path, const CrumbOnnx__TensorProto *tensor,
                                     crumb_shape *shape) {
    const crumb_onnx_type *type = crumb_onnx_type_of(tensor->data_type);
    if (type == NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_UNSUPPORTED, "%s: tensor %s: element type %d cannot be read as numbers", path,
                          name_of(tensor), (int)tensor->data_type);
    }
    CRUMB_TRY(check_dims(ctx, path, tensor, shape));
    if (tensor->segment != NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_UNSUPPORTED, "%s: tensor %s: is split into segments", path, name_of(tensor));
    }
    int64_t count = crumb_shape_count(*shape);
    if (is_external(tensor)) {
        return CRUMB_OK;
    }
    size_t have = tensor->has_raw_data ? tensor->raw_data.len : field_count(tensor);
    size_t need = tensor->has_raw_data ? bytes_of(type, count) : field_needed(type, count);
    if (have != need) {
        char text[CRUMB_SHAPE_TEXT];
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: tensor %s: %s %s needs %zu %s, the file has %zu", path, name_of(tensor),
                          type->name, crumb_shape_print(*shape, text), need, tensor->has_raw_data ? "bytes" : "values", have);
    }
    return CRUMB_OK;
}

/* ---- Files beside the model. */

typedef struct external {
    const char *location;
    int64_t offset, length; /* length -1: not given */
} external;

static crumb_status read_external(crumb_ctx *ctx, const char *path, const CrumbOnnx__TensorProto *tensor, external *e) {
    *e = (external){.length = -1};
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const char *key = tensor->external_data[i]->key, *value = tensor->external_data[i]->value;
        if (key == NULL || value == NULL) {
            continue;
        }
        if (strcmp(key, "location") == 0) {
            e->location = value;
        } else if (strcmp(key, "offset") == 0 || strcmp(key, "length") == 0) {
            char *end;
            int64_t number = strtoll(value, &end, 10);
            if (end == value || *end != '\0' || number < 0) {
                return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: tensor %s: external %s is \"%.40s\"", path, name_of(tensor),
                                  key, value);
            }
            *(key[0] == 'o' ? &e->offset : &e->length) = number;
        }
    }
    return CRUMB_OK;
}

/* A relative path without "..", empty or absolute parts. */
static bool stays_inside(const char *location) {
    if (location == NULL || location[0] == '\0' || location[0] == '/' || strchr(location, '\\') != NULL) {
        return false;
    }
    for (const char *at = location; *at != '\0';) {
        size_t length = strcspn(at, "/");
        if (length == 2 && at[0] == '.' && at[1] == '.') {
            return false;
        }
        at += length + (at[length] == '/');
    }
    return true;
}

static crumb_status load_external(crumb_ctx *ctx, const char *path, const CrumbOnnx__TensorProto *tensor, size_t bytes,
                                  uint8_t **out) {
    external e;
    CRUMB_TRY(read_external(ctx, path, tensor, &e));
    if (!stays_inside(e.location)) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT,
                          "%s: tensor %s: external data \"%.80s\" is not a file below the model's folder", path,
                          name_of(tensor), e.location != NULL ? e.location : "");
    }
    char full[4096];
    const char *slash = strrchr(path, '/');
    int folder = slash != NULL ? (int)(slash - path) + 1 : 0;
    if (snprintf(full, sizeof(full), "%.*s%s", folder, path, e.location) >= (int)sizeof(full)) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: tensor %s: external path of %zu bytes", path, name_of(tensor),
                          strlen(e.location));
    }
    const uint8_t *data;
    size_t size;
    CRUMB_TRY(crumb_file_map(ctx, full, &data, &size));
    crumb_status status = CRUMB_OK;
    if ((e.length >= 0 && (uint64_t)e.length != bytes) || (uint64_t)e.offset > size || bytes > size - (uint64_t)e.offset) {
        status = crumb_fail(ctx, CRUMB_ERROR_FORMAT,
                            "%s: tensor %s: %zu bytes from byte %" PRId64 " (length %" PRId64 ") of %zu bytes", full,
                            name_of(tensor), bytes, e.offset, e.length, size);
    } else {
        *out = crumb_alloc(ctx, bytes + 1, 1);
        status = *out != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    }
    if (status == CRUMB_OK) {
        memcpy(*out, data + e.offset, bytes);
    }
    crumb_file_unmap(data, size);
    return status;
}

/* ---- Elements. */

static bool is_signed(int number) {
    return number == CRUMB_ONNX_INT4 || number == CRUMB_ONNX_INT2;
}

/* Element i of packed ones, the first in the lowest bits. */
static int64_t small(const uint8_t *data, int64_t i, int bits, bool negative) {
    int64_t per = 8 / bits;
    int value = data[i / per] >> (int)(i % per) * bits & ((1 << bits) - 1);
    return negative && value >= 1 << (bits - 1) ? value - (1 << bits) : value;
}

#define LOAD(type)                                                                                                             \
    {                                                                                                                          \
        type loaded;                                                                                                           \
        memcpy(&loaded, data + i * (int64_t)sizeof(type), sizeof(type));                                                       \
        return (int64_t)loaded;                                                                                                \
    }

static int64_t raw_whole(int number, const uint8_t *data, int64_t i) {
    switch (number) {
    case CRUMB_ONNX_UINT8:
        return data[i];
    case CRUMB_ONNX_BOOL:
        return data[i] != 0;
    case CRUMB_ONNX_INT8:
        return (int8_t)data[i];
    case CRUMB_ONNX_UINT16:
        LOAD(uint16_t)
    case CRUMB_ONNX_INT16:
        LOAD(int16_t)
    case CRUMB_ONNX_INT32:
        LOAD(int32_t)
    case CRUMB_ONNX_UINT32:
        LOAD(uint32_t)
    case CRUMB_ONNX_UINT4:
    case CRUMB_ONNX_INT4:
        return small(data, i, 4, is_signed(number));
    case CRUMB_ONNX_UINT2:
    case CRUMB_ONNX_INT2:
        return small(data, i, 2, is_signed(number));
    default:
        LOAD(int64_t)
    }
}

static float raw_real(int number, const uint8_t *data, int64_t i) {
    uint16_t half;
    double wide;
    float value;
    switch (number) {
    case CRUMB_ONNX_DOUBLE:
        memcpy(&wide, data + i * 8, 8);
        return (float)wide;
    case CRUMB_ONNX_FLOAT16:
        memcpy(&half, data + i * 2, 2);
        return crumb_half_to_float(half);
    case CRUMB_ONNX_BFLOAT16:
        memcpy(&half, data + i * 2, 2);
        return crumb_bfloat_to_float(half);
    default:
        memcpy(&value, data + i * 4, 4);
        return value;
    }
}

static void from_raw(const uint8_t *data, int number, int64_t count, crumb_onnx_array *array) {
    if (number == CRUMB_ONNX_FLOAT) {
        memcpy(array->real, data, (size_t)count * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        if (array->whole != NULL) {
            array->whole[i] = raw_whole(number, data, i);
        } else {
            array->real[i] = raw_real(number, data, i);
        }
    }
}

static float half_real(int number, uint16_t bits) {
    return number == CRUMB_ONNX_FLOAT16 ? crumb_half_to_float(bits) : crumb_bfloat_to_float(bits);
}

/* int32_data holds the bits of 16-bit floats, and packed elements a byte a value. */
static void from_int32(const CrumbOnnx__TensorProto *tensor, int bits, int64_t count, crumb_onnx_array *array) {
    for (int64_t i = 0; i < count; i++) {
        int32_t value = tensor->int32_data[bits < 8 ? i * bits / 8 : i];
        uint8_t byte = (uint8_t)value;
        if (array->whole == NULL) {
            array->real[i] = half_real(tensor->data_type, (uint16_t)value);
        } else if (bits < 8) {
            array->whole[i] = small(&byte, i % (8 / bits), bits, is_signed(tensor->data_type));
        } else {
            array->whole[i] = value;
        }
    }
}

static void from_fields(const CrumbOnnx__TensorProto *tensor, int bits, int64_t count, crumb_onnx_array *array) {
    switch (field_of(tensor->data_type)) {
    case FIELD_FLOAT:
        memcpy(array->real, tensor->float_data, (size_t)count * sizeof(float));
        break;
    case FIELD_INT64:
        memcpy(array->whole, tensor->int64_data, (size_t)count * sizeof(int64_t));
        break;
    case FIELD_UINT64:
        memcpy(array->whole, tensor->uint64_data, (size_t)count * sizeof(int64_t));
        break;
    case FIELD_DOUBLE:
        for (int64_t i = 0; i < count; i++) {
            array->real[i] = (float)tensor->double_data[i];
        }
        break;
    case FIELD_INT32:
        from_int32(tensor, bits, count, array);
        break;
    }
}

crumb_status crumb_onnx_array_make(crumb_ctx *ctx, int type, crumb_shape shape, crumb_onnx_array *array) {
    bool whole = crumb_onnx_type_of(type)->whole;
    size_t count = (size_t)crumb_shape_count(shape) + 1; /* never of size 0 */
    void *data = crumb_alloc(ctx, count, whole ? sizeof(int64_t) : sizeof(float));
    if (data == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    *array = (crumb_onnx_array){.shape = shape, .type = type};
    *(whole ? (void **)&array->whole : (void **)&array->real) = data;
    return CRUMB_OK;
}

crumb_status crumb_onnx_tensor_read(crumb_ctx *ctx, const char *path, const CrumbOnnx__TensorProto *tensor,
                                    crumb_onnx_array *array) {
    crumb_shape shape;
    CRUMB_TRY(crumb_onnx_tensor_check(ctx, path, tensor, &shape));
    const crumb_onnx_type *type = crumb_onnx_type_of(tensor->data_type);
    int64_t count = crumb_shape_count(shape);
    uint8_t *loaded = NULL;
    if (is_external(tensor)) { /* read before anything of that size is allocated */
        CRUMB_TRY(load_external(ctx, path, tensor, bytes_of(type, count), &loaded));
    }
    crumb_status status = crumb_onnx_array_make(ctx, tensor->data_type, shape, array);
    if (status == CRUMB_OK && count > 0) {
        if (loaded != NULL || tensor->has_raw_data) {
            from_raw(loaded != NULL ? loaded : tensor->raw_data.data, tensor->data_type, count, array);
        } else {
            from_fields(tensor, type->bits, count, array);
        }
    }
    crumb_free(ctx, loaded);
    return status;
}

void crumb_onnx_array_free(crumb_ctx *ctx, crumb_onnx_array *array) {
    crumb_free(ctx, array->real);
    crumb_free(ctx, array->whole);
    array->real = NULL;
    array->whole = NULL;
}
