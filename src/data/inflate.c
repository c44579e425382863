/* Deflate streams by zlib, through the context's allocator. */
#include "data/readers.h"

#include <limits.h>
#include <zlib.h>

static void *z_alloc(void *user, unsigned count, unsigned size) {
    return crumb_alloc(user, count, size);
}

static void z_free(void *user, void *block) {
    crumb_free(user, block);
}

static unsigned piece(size_t left) {
    return left < UINT_MAX ? (unsigned)left : UINT_MAX;
}

crumb_status crumb_inflate(crumb_ctx *ctx, const crumb_deflated *from, uint8_t *out, size_t room, size_t *got) {
    z_stream stream = {.zalloc = z_alloc, .zfree = z_free, .opaque = ctx};
    if (inflateInit2(&stream, from->kind) != Z_OK) {
        return CRUMB_ERROR_MEMORY;
    }
    size_t taken = 0, made = 0;
    int result = Z_OK;
    while (result == Z_OK && made < room) {
        stream.next_in = (uint8_t *)from->data + taken; /* zlib's member is not const, but only read */
        stream.avail_in = piece(from->size - taken);
        stream.next_out = out + made;
        stream.avail_out = piece(room - made);
        result = inflate(&stream, Z_NO_FLUSH);
        taken = (size_t)(stream.next_in - from->data);
        made = (size_t)(stream.next_out - out);
        /* A gzip file may be several members, one after the other (RFC 1952, 2.2). */
        if (result == Z_STREAM_END && from->kind == CRUMB_INFLATE_GZIP && taken < from->size && from->data[taken] == 0x1f) {
            result = inflateReset(&stream);
        }
    }
    crumb_status status = CRUMB_OK;
    if (result == Z_MEM_ERROR) {
        status = CRUMB_ERROR_MEMORY;
    } else if (result != Z_OK && result != Z_STREAM_END) {
        status = crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: compressed data: %s", from->name, from->base + taken,
                            taken == from->size  ? "truncated"
                            : stream.msg != NULL ? stream.msg
                                                 : "damaged");
    }
    inflateEnd(&stream);
    if (status == CRUMB_OK) {
        *got = made;
    }
    return status;
}
