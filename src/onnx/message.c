/* Reading ONNX messages: a walk over the wire format that checks what protobuf-c would believe, then protobuf-c.
 *
 * Wire format: a message is a row of fields; a field is a varint key, number << 3 | type, then its value. Types: 0 varint, 1
 * eight bytes, 2 a varint length and that many bytes (texts, bytes, messages, packed numbers), 5 four bytes. Types 3 and 4,
 * groups, are not in the schema. Fields that the schema does not know are skipped, as newer files have them. */
#include "onnx/message.h"

#include "base/file.h"

#include <inttypes.h>
#include <string.h>

/* What protobuf-c gets as allocator: the context, and whether it refused; of a mapped file, what of it may be forgotten as it
 * is copied, so that file and copy are not both in memory. */
typedef struct memory {
    crumb_ctx *ctx;
    bool refused;
    const uint8_t *file; /* NULL: not mapped */
    size_t file_bytes, copied;
} memory;

enum { FORGET_EVERY = 1 << 20 }; /* bytes */

static void *allocate(void *user, size_t size) {
    memory *m = user;
    void *block = crumb_alloc(m->ctx, 1, size);
    m->refused |= block == NULL;
    m->copied += size;
    if (m->file != NULL && m->copied >= FORGET_EVERY) { /* what was asked for before has been copied */
        crumb_file_forget(m->file, m->file_bytes);
        m->copied = 0;
    }
    return block;
}

static void release(void *user, void *block) {
    crumb_free(((memory *)user)->ctx, block);
}

/* The walk: where it stands in the file, and how many messages it has seen. */
typedef struct walk {
    crumb_ctx *ctx;
    const char *name;
    const uint8_t *start, *at;
    int messages;
} walk;

static crumb_status bad(const walk *w, const char *what) {
    return crumb_fail(w->ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: %s", w->name, (size_t)(w->at - w->start), what);
}

static crumb_status read_varint(walk *w, const uint8_t *end, uint64_t *value) {
    *value = 0;
    for (int i = 0; i < 10; i++) {
        if (w->at == end) {
            return bad(w, "the file ends inside a number");
        }
        uint8_t byte = *w->at++;
        *value |= (uint64_t)(byte & 127) << (i < 9 ? 7 * i : 63);
        if (byte < 128) {
            return CRUMB_OK;
        }
    }
    return bad(w, "a number longer than 10 bytes");
}

/* A message under way: its type and where it ends. */
typedef struct level {
    const ProtobufCMessageDescriptor *type;
    const uint8_t *end;
} level;

/* A value of wire type 2; a message inside becomes the next level. */
static crumb_status walk_bytes(walk *w, level *levels, int *depth, const ProtobufCFieldDescriptor *field) {
    const uint8_t *end = levels[*depth].end;
    uint64_t length = 0;
    CRUMB_TRY(read_varint(w, end, &length));
    if (length > (uint64_t)(end - w->at)) {
        return crumb_fail(w->ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: %s of %" PRIu64 " bytes, %zu are left", w->name,
                          (size_t)(w->at - w->start), field != NULL ? field->name : "a field", length, (size_t)(end - w->at));
    }
    if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (++*depth == CRUMB_ONNX_DEPTH) {
            return bad(w, "messages too deep inside each other");
        }
        if (++w->messages > CRUMB_ONNX_MESSAGES) {
            return bad(w, "more than 2,000,000 messages");
        }
        levels[*depth] = (level){field->descriptor, w->at + length};
        return CRUMB_OK;
    }
    if (field != NULL && field->type == PROTOBUF_C_TYPE_STRING && memchr(w->at, 0, length) != NULL) {
        return crumb_fail(w->ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: a zero byte in the text %s", w->name,
                          (size_t)(w->at - w->start), field->name);
    }
    w->at += length;
    return CRUMB_OK;
}

static crumb_status walk_field(walk *w, level *levels, int *depth) {
    const uint8_t *end = levels[*depth].end;
    uint64_t key = 0, number = 0;
    CRUMB_TRY(read_varint(w, end, &key));
    if (key >> 3 == 0 || key >> 3 > 0x1fffffff) {
        return bad(w, "a field number outside 1 .. 536870911");
    }
    switch (key & 7) {
    case 0:
        return read_varint(w, end, &number);
    case 1:
    case 5: {
        size_t width = (key & 7) == 1 ? 8 : 4;
        if ((size_t)(end - w->at) < width) {
            return bad(w, "the file ends inside a number");
        }
        w->at += width;
        return CRUMB_OK;
    }
    case 2:
        return walk_bytes(w, levels, depth, protobuf_c_message_descriptor_get_field(levels[*depth].type, (unsigned)(key >> 3)));
    default:
        return bad(w, "a field of a type that protobuf does not have: this is not an ONNX file");
    }
}

static crumb_status walk_message(walk *w, const ProtobufCMessageDescriptor *type, size_t size) {
    level levels[CRUMB_ONNX_DEPTH] = {{type, w->start + size}};
    for (int depth = 0; depth >= 0;) {
        if (w->at == levels[depth].end) {
            depth--;
        } else {
            CRUMB_TRY(walk_field(w, levels, &depth));
        }
    }
    return CRUMB_OK;
}

static crumb_status unpack(crumb_ctx *ctx, const char *name, const ProtobufCMessageDescriptor *type, const uint8_t *data,
                           size_t size, bool mapped, ProtobufCMessage **message) {
    if (size > INT32_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: %zu bytes; an ONNX message has less than 2 GiB", name, size);
    }
    walk w = {.ctx = ctx, .name = name, .start = data, .at = data};
    CRUMB_TRY(walk_message(&w, type, size));
    memory user = {.ctx = ctx, .file = mapped ? data : NULL, .file_bytes = size};
    *message = protobuf_c_message_unpack(type, &(ProtobufCAllocator){allocate, release, &user}, size, data);
    if (*message != NULL) {
        return CRUMB_OK;
    }
    return user.refused ? CRUMB_ERROR_MEMORY
                        : crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: a field of %s has the wrong type", name, type->short_name);
}

crumb_status crumb_onnx_unpack(crumb_ctx *ctx, const char *name, const ProtobufCMessageDescriptor *type, const uint8_t *data,
                               size_t size, ProtobufCMessage **message) {
    return unpack(ctx, name, type, data, size, false, message);
}

crumb_status crumb_onnx_open(crumb_ctx *ctx, const char *path, const ProtobufCMessageDescriptor *type,
                             ProtobufCMessage **message) {
    const uint8_t *data;
    size_t size;
    CRUMB_TRY(crumb_file_map(ctx, path, &data, &size));
    crumb_status status = unpack(ctx, path, type, data, size, true, message);
    crumb_file_unmap(data, size);
    return status;
}

void crumb_onnx_free(crumb_ctx *ctx, void *message) {
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, &(ProtobufCAllocator){allocate, release, &(memory){.ctx = ctx}});
    }
}
