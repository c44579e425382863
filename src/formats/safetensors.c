/* Reading safetensors (https://github.com/huggingface/safetensors, "Format"). The JSON tree stays alive as long as the file
 * object: names and metadata point into it. */
#include "formats/safetensors.h"

#include "base/file.h"
#include "formats/dtype.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 100 * 1000 * 1000, PREFIX = 8 };

struct crumb_safetensors {
    crumb_ctx *ctx;
    char *path;
    uint8_t *owned; /* whole file, NULL when borrowed */
    json_t *header;
    int count;
    crumb_safetensor *tensor;
};

/* One entry of the header on its way to a crumb_safetensor. */
typedef struct entry {
    const char *path;
    const char *name;
    size_t begin, end;
} entry;

static crumb_status bad(crumb_ctx *ctx, const entry *at, const char *what) {
    return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: tensor '%.80s': %s", at->path, at->name, what);
}

static crumb_status read_shape(crumb_ctx *ctx, const entry *at, const json_t *json, crumb_shape *shape, int64_t *elements) {
    if (!json_is_array(json)) {
        return bad(ctx, at, "'shape' is not a list");
    }
    size_t rank = json_array_size(json);
    if (rank > CRUMB_RANK_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: tensor '%.80s': rank %zu, at most %d", at->path, at->name, rank,
                          CRUMB_RANK_MAX);
    }
    shape->rank = (int)rank;
    *elements = 1;
    for (size_t i = 0; i < rank; i++) {
        const json_t *dim = json_array_get(json, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) {
            return bad(ctx, at, "a dimension is not a whole number from 0");
        }
        shape->dim[i] = json_integer_value(dim);
        if (__builtin_mul_overflow(*elements, shape->dim[i], elements)) {
            return bad(ctx, at, "the shape's size overflows");
        }
    }
    return CRUMB_OK;
}

static crumb_status read_offsets(crumb_ctx *ctx, entry *at, const json_t *json, size_t data_size) {
    const json_t *begin = json_array_get(json, 0), *end = json_array_get(json, 1);
    if (json_array_size(json) != 2 || !json_is_integer(begin) || !json_is_integer(end)) {
        return bad(ctx, at, "'data_offsets' is not a list of two whole numbers");
    }
    json_int_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || (uint64_t)to > data_size) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT,
                          "%s: tensor '%.80s': bytes %" JSON_INTEGER_FORMAT " .. %" JSON_INTEGER_FORMAT
                          " are not within the data's %zu bytes",
                          at->path, at->name, from, to, data_size);
    }
    at->begin = (size_t)from;
    at->end = (size_t)to;
    return CRUMB_OK;
}

static crumb_status read_tensor(crumb_ctx *ctx, entry *at, const json_t *json, const uint8_t *data, size_t data_size,
                                crumb_safetensor *tensor) {
    const json_t *name = json_object_get(json, "dtype");
    if (!json_is_object(json) || json_object_size(json) != 3 || !json_is_string(name)) {
        return bad(ctx, at, "is not {dtype, shape, data_offsets}");
    }
    const crumb_dtype *dtype = crumb_dtype_find(json_string_value(name));
    if (dtype == NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: tensor '%.80s': dtype '%.20s' is unknown", at->path, at->name,
                          json_string_value(name));
    }
    crumb_shape shape = {0};
    int64_t elements = 0;
    size_t bytes;
    CRUMB_TRY(read_shape(ctx, at, json_object_get(json, "shape"), &shape, &elements));
    CRUMB_TRY(read_offsets(ctx, at, json_object_get(json, "data_offsets"), data_size));
    if (__builtin_mul_overflow(elements, dtype->bytes, &bytes) || bytes != at->end - at->begin) {
        char text[CRUMB_SHAPE_TEXT];
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: tensor '%.80s': %zu bytes for %s of shape %s", at->path, at->name,
                          at->end - at->begin, dtype->name, crumb_shape_print(shape, text));
    }
    *tensor = (crumb_safetensor){at->name, dtype->name, shape, data + at->begin, bytes};
    return CRUMB_OK;
}

static int by_address(const void *a, const void *b) {
    const crumb_safetensor *x = a, *y = b;
    const uint8_t *from_x = x->data, *from_y = y->data;
    if (from_x != from_y) {
        return from_x < from_y ? -1 : 1;
    }
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const crumb_safetensor *)a)->name, ((const crumb_safetensor *)b)->name);
}

/* The tensors tile the data: the next one begins where the last one ended, and the last one ends the file. */
static crumb_status check_tiling(crumb_safetensors *file, const uint8_t *data, size_t size) {
    if (file->count > 1) {
        qsort(file->tensor, (size_t)file->count, sizeof(*file->tensor), by_address);
    }
    const uint8_t *at = data;
    for (int i = 0; i < file->count; i++) {
        const crumb_safetensor *tensor = &file->tensor[i];
        if ((const uint8_t *)tensor->data != at) {
            return crumb_fail(file->ctx, CRUMB_ERROR_FORMAT, "%s: tensor '%.80s' begins at byte %zu of the data, %s %zu",
                              file->path, tensor->name, (size_t)((const uint8_t *)tensor->data - data),
                              (const uint8_t *)tensor->data > at ? "a gap after" : "inside the tensor that ends at",
                              (size_t)(at - data));
        }
        at += tensor->bytes;
    }
    if (at != data + size) {
        return crumb_fail(file->ctx, CRUMB_ERROR_FORMAT, "%s: %zu bytes after the last tensor", file->path,
                          (size_t)(data + size - at));
    }
    if (file->count > 1) {
        qsort(file->tensor, (size_t)file->count, sizeof(*file->tensor), by_name);
    }
    return CRUMB_OK;
}

static crumb_status check_metadata(crumb_safetensors *file, json_t *metadata) {
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) {
        return crumb_fail(file->ctx, CRUMB_ERROR_FORMAT, "%s: __metadata__ is not an object", file->path);
    }
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value)) {
            return crumb_fail(file->ctx, CRUMB_ERROR_FORMAT, "%s: __metadata__ '%.80s' is not a text", file->path, key);
        }
    }
    return CRUMB_OK;
}

static crumb_status read_entries(crumb_safetensors *file, const uint8_t *data, size_t size) {
    const char *name;
    json_t *value;
    file->tensor = crumb_alloc(file->ctx, json_object_size(file->header) + 1, sizeof(*file->tensor));
    if (file->tensor == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    json_object_foreach(file->header, name, value) {
        if (strcmp(name, "__metadata__") == 0) {
            CRUMB_TRY(check_metadata(file, value));
            continue;
        }
        entry at = {.path = file->path, .name = name};
        CRUMB_TRY(read_tensor(file->ctx, &at, value, data, size, &file->tensor[file->count]));
        file->count++;
    }
    return check_tiling(file, data, size);
}

static crumb_status read_header(crumb_safetensors *file, const uint8_t *data, size_t size) {
    uint64_t length = 0;
    if (size < PREFIX) {
        return crumb_fail(file->ctx, CRUMB_ERROR_FORMAT, "%s: %zu bytes are too few for a safetensors file", file->path, size);
    }
    memcpy(&length, data, PREFIX);
    if (length > HEADER_MAX || length > size - PREFIX) {
        return crumb_fail(file->ctx, CRUMB_ERROR_FORMAT, "%s: this is not a safetensors file: header of %" PRIu64 " bytes in a file of %zu", file->path, length,
                          size);
    }
    if (length == 0 || data[PREFIX] != '{') {
        return crumb_fail(file->ctx, CRUMB_ERROR_FORMAT, "%s: byte 8 does not start a JSON header", file->path);
    }
    json_error_t error;
    file->header = json_loadb((const char *)data + PREFIX, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (file->header == NULL) {
        bool memory = json_error_code(&error) == json_error_out_of_memory;
        return crumb_fail(file->ctx, memory ? CRUMB_ERROR_MEMORY : CRUMB_ERROR_FORMAT, "%s: header, byte %d: %s", file->path,
                          error.position, error.text);
    }
    return read_entries(file, data + PREFIX + length, size - PREFIX - (size_t)length);
}

crumb_status crumb_safetensors_parse(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size,
                                     crumb_safetensors **out) {
    crumb_safetensors *file = crumb_alloc(ctx, 1, sizeof(*file));
    if (file == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    file->ctx = ctx;
    file->path = crumb_copy_text(ctx, name);
    crumb_status status = file->path != NULL ? read_header(file, data, size) : CRUMB_ERROR_MEMORY;
    if (status != CRUMB_OK) {
        crumb_safetensors_close(file);
        return status;
    }
    *out = file;
    return CRUMB_OK;
}

crumb_status crumb_safetensors_open(crumb_ctx *ctx, const char *path, crumb_safetensors **file) {
    uint8_t *data;
    size_t size;
    CRUMB_TRY(crumb_file_read(ctx, path, 0, &data, &size));
    crumb_status status = crumb_safetensors_parse(ctx, path, data, size, file);
    if (status != CRUMB_OK) {
        crumb_free(ctx, data);
        return status;
    }
    (*file)->owned = data;
    return CRUMB_OK;
}

void crumb_safetensors_close(crumb_safetensors *file) {
    if (file == NULL) {
        return;
    }
    json_decref(file->header);
    crumb_free(file->ctx, file->owned);
    crumb_free(file->ctx, file->tensor);
    crumb_free(file->ctx, file->path);
    crumb_free(file->ctx, file);
}

const char *crumb_safetensors_path(const crumb_safetensors *file) {
    return file->path;
}

int crumb_safetensors_count(const crumb_safetensors *file) {
    return file->count;
}

crumb_safetensor crumb_safetensors_at(const crumb_safetensors *file, int index) {
    return file->tensor[index];
}

int crumb_safetensors_find(const crumb_safetensors *file, const char *name) {
    crumb_safetensor wanted = {.name = name};
    if (file->count == 0) {
        return -1;
    }
    const crumb_safetensor *found = bsearch(&wanted, file->tensor, (size_t)file->count, sizeof(wanted), by_name);
    return found != NULL ? (int)(found - file->tensor) : -1;
}

const char *crumb_safetensors_metadata(const crumb_safetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

crumb_status crumb_safetensor_floats(crumb_ctx *ctx, const crumb_safetensor *tensor, float *out) {
    const crumb_dtype *dtype = crumb_dtype_find(tensor->dtype);
    if (dtype == NULL || dtype->load == NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_UNSUPPORTED, "tensor '%.80s': dtype %s cannot be read as numbers", tensor->name,
                          tensor->dtype);
    }
    size_t count = tensor->bytes / dtype->bytes;
    for (size_t i = 0; i < count; i++) {
        out[i] = dtype->load((const uint8_t *)tensor->data + i * dtype->bytes);
    }
    return CRUMB_OK;
}

/* A header length that could be one, and the header's first byte. */
static bool probe(const uint8_t *head, size_t size) {
    uint64_t length = 0;
    if (size <= PREFIX) {
        return false;
    }
    memcpy(&length, head, PREFIX);
    return length >= 2 && length <= HEADER_MAX && head[PREFIX] == '{';
}

const crumb_format crumb_format_safetensors = {
    .name = "safetensors",
    .doc = "named tensors with a JSON header, as PyTorch and Hugging Face tools exchange them",
    .reads = true,
    .writes = true,
    .probe = probe,
};
