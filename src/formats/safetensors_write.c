/* Writing safetensors, in the order the reference implementation uses (widest element first, then by name: every tensor stays
 * aligned without gaps), the header padded with spaces so that the data starts at a multiple of 64 bytes. */
#include "base/file.h"
#include "formats/dtype.h"
#include "formats/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX = 8, ALIGNMENT = 64 };

typedef struct item {
    char *name;
    const crumb_dtype *dtype;
    crumb_shape shape;
    const void *data;
    void *owned;                  /* the same data when the writer made it */
    crumb_safetensors_fill *fill; /* not NULL: makes the data of `data`, which has the shape `of` */
    crumb_shape of;
    size_t bytes;
} item;

struct crumb_safetensors_writer {
    crumb_ctx *ctx;
    json_t *metadata;
    item *item;
    size_t items, room;
};

crumb_status crumb_safetensors_begin(crumb_ctx *ctx, crumb_safetensors_writer **out) {
    crumb_safetensors_writer *writer = crumb_alloc(ctx, 1, sizeof(*writer));
    if (writer == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    writer->ctx = ctx;
    writer->metadata = json_object();
    if (writer->metadata == NULL) {
        crumb_free(ctx, writer);
        return crumb_fail(ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    *out = writer;
    return CRUMB_OK;
}

void crumb_safetensors_drop(crumb_safetensors_writer *writer) {
    if (writer == NULL) {
        return;
    }
    for (size_t i = 0; i < writer->items; i++) {
        crumb_free(writer->ctx, writer->item[i].name);
        crumb_free(writer->ctx, writer->item[i].owned);
    }
    json_decref(writer->metadata);
    crumb_free(writer->ctx, writer->item);
    crumb_free(writer->ctx, writer);
}

/* Appends an item without data. */
static crumb_status append(crumb_safetensors_writer *writer, const char *name, const char *dtype, crumb_shape shape,
                           item **out) {
    crumb_ctx *ctx = writer->ctx;
    item made = {.dtype = crumb_dtype_find(dtype), .shape = shape};
    if (made.dtype == NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "tensor '%.80s': dtype '%.20s' is unknown", name, dtype);
    }
    made.bytes = (size_t)crumb_shape_count(shape) * made.dtype->bytes;
    if (writer->items == writer->room) {
        size_t room = 2 * writer->room + 16;
        item *larger = crumb_resize(ctx, writer->item, writer->items, room, sizeof(*larger));
        if (larger == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        writer->item = larger;
        writer->room = room;
    }
    made.name = crumb_copy_text(ctx, name);
    if (made.name == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    *out = &writer->item[writer->items++];
    **out = made;
    return CRUMB_OK;
}

crumb_status crumb_safetensors_add(crumb_safetensors_writer *writer, const char *name, const char *dtype, crumb_shape shape,
                                   const void *data) {
    item *made = NULL;
    CRUMB_TRY(append(writer, name, dtype, shape, &made));
    made->data = data;
    return CRUMB_OK;
}

crumb_status crumb_safetensors_room(crumb_safetensors_writer *writer, const char *name, const char *dtype, crumb_shape shape,
                                    void **data) {
    item *made = NULL;
    CRUMB_TRY(append(writer, name, dtype, shape, &made));
    made->owned = crumb_alloc(writer->ctx, made->bytes, 1);
    if (made->owned == NULL) {
        return CRUMB_ERROR_MEMORY; /* the item stays, for drop to free */
    }
    made->data = *data = made->owned;
    return CRUMB_OK;
}

crumb_status crumb_safetensors_made(crumb_safetensors_writer *writer, const char *name, const char *dtype, crumb_shape shape,
                                    crumb_safetensors_fill *fill, const void *from, crumb_shape of) {
    item *made = NULL;
    CRUMB_TRY(append(writer, name, dtype, shape, &made));
    made->data = from;
    made->fill = fill;
    made->of = of;
    return CRUMB_OK;
}

crumb_status crumb_safetensors_note(crumb_safetensors_writer *writer, const char *key, const char *value) {
    json_t *text = json_string(value); /* NULL also when not UTF-8 */
    if (text == NULL || json_object_set_new(writer->metadata, key, text) != 0) {
        return crumb_fail(writer->ctx, CRUMB_ERROR_ARGUMENT, "metadata '%.80s': '%.80s' is not UTF-8 text", key, value);
    }
    return CRUMB_OK;
}

static int widest_first(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->dtype->bytes != y->dtype->bytes) {
        return x->dtype->bytes > y->dtype->bytes ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static json_t *describe(const item *at, size_t begin) {
    json_t *shape = json_array();
    for (int i = 0; i < at->shape.rank; i++) {
        json_array_append_new(shape, json_integer(at->shape.dim[i])); /* a failure shows in the count */
    }
    if (shape == NULL || json_array_size(shape) != (size_t)at->shape.rank) {
        json_decref(shape);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", at->dtype->name, "shape", shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + at->bytes));
}

/* Puts metadata and every sorted item into header. */
static crumb_status fill_header(const crumb_safetensors_writer *writer, json_t *header) {
    size_t begin = 0;
    if (json_object_size(writer->metadata) > 0 && json_object_set(header, "__metadata__", writer->metadata) != 0) {
        return crumb_fail(writer->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < writer->items; i++) {
        const item *at = &writer->item[i];
        if (json_object_get(header, at->name) != NULL || strcmp(at->name, "__metadata__") == 0) {
            return crumb_fail(writer->ctx, CRUMB_ERROR_ARGUMENT, "tensor '%.80s' is already in the file", at->name);
        }
        json_t *entry = describe(at, begin);
        if (entry == NULL || json_object_set_new(header, at->name, entry) != 0) {
            return crumb_fail(writer->ctx, CRUMB_ERROR_ARGUMENT, "tensor name '%.80s' is not UTF-8 text", at->name);
        }
        begin += at->bytes;
    }
    return CRUMB_OK;
}

static crumb_status write_made(crumb_ctx *ctx, const item *at, crumb_writer *file) {
    void *data = crumb_alloc(ctx, at->bytes + 1, 1);
    if (data == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    at->fill(data, at->data, at->of);
    crumb_writer_bytes(file, data, at->bytes);
    crumb_free(ctx, data);
    return CRUMB_OK;
}

static crumb_status write_items(const crumb_safetensors_writer *writer, crumb_writer *file) {
    for (size_t i = 0; i < writer->items; i++) {
        const item *at = &writer->item[i];
        if (at->fill != NULL) {
            CRUMB_TRY(write_made(writer->ctx, at, file));
        } else {
            crumb_writer_bytes(file, at->data, at->bytes);
        }
    }
    return CRUMB_OK;
}

static crumb_status write_file(const crumb_safetensors_writer *writer, const char *text, const char *path) {
    static const char spaces[ALIGNMENT + 1] = "                                                                ";
    crumb_writer file;
    CRUMB_TRY(crumb_writer_open(writer->ctx, path, &file));
    size_t length = strlen(text);
    size_t padding = (ALIGNMENT - (PREFIX + length) % ALIGNMENT) % ALIGNMENT;
    uint64_t prefix = length + padding;
    crumb_writer_bytes(&file, &prefix, PREFIX);
    crumb_writer_bytes(&file, text, length);
    crumb_writer_bytes(&file, spaces, padding);
    crumb_status status = write_items(writer, &file);
    if (status != CRUMB_OK) {
        crumb_writer_abandon(&file);
        return status;
    }
    return crumb_writer_commit(&file);
}

crumb_status crumb_safetensors_commit(crumb_safetensors_writer *writer, const char *path) {
    char *text = NULL;
    if (writer->items > 1) {
        qsort(writer->item, writer->items, sizeof(*writer->item), widest_first);
    }
    json_t *header = json_object();
    crumb_status status =
        header != NULL ? fill_header(writer, header) : crumb_fail(writer->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    if (status == CRUMB_OK) {
        text = json_dumps(header, JSON_COMPACT);
        status = text != NULL ? write_file(writer, text, path) : crumb_fail(writer->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    free(text); /* jansson's allocator */
    json_decref(header);
    return status;
}
