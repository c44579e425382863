/* One member of a ZIP archive (PKWARE APPNOTE 6.3), as numpy.savez writes them: the central directory at the end of the file
 * says where each member is and how large. Stored and deflated members; no ZIP64, encryption or spanning. */
#include "data/readers.h"

#include <string.h>
#include <zlib.h>

enum { END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30, COMMENT_MAX = 65535, STORED = 0, DEFLATED = 8 };
enum { END_MAGIC = 0x06054b50, ENTRY_MAGIC = 0x02014b50, LOCAL_MAGIC = 0x04034b50 };

static uint32_t little16(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8;
}

static uint32_t little32(const uint8_t *at) {
    return little16(at) | little16(at + 2) << 16;
}

typedef struct archive {
    crumb_ctx *ctx;
    const char *name;
    const uint8_t *data;
    size_t size;
} archive;

static crumb_status bad(const archive *a, size_t at, const char *what, size_t value) {
    return crumb_fail(a->ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: %s %zu", a->name, at, what, value);
}

/* The end record lies before a comment of unknown length: the last place where its signature is. */
static crumb_status find_end(const archive *a, size_t *end) {
    size_t least = a->size > END_SIZE + COMMENT_MAX ? a->size - END_SIZE - COMMENT_MAX : 0;
    for (size_t at = a->size >= END_SIZE ? a->size - END_SIZE + 1 : 0; at-- > least;) {
        if (little32(a->data + at) == END_MAGIC) {
            *end = at;
            return CRUMB_OK;
        }
    }
    return bad(a, a->size, "no ZIP directory at the end (truncated?), file size", a->size);
}

typedef struct member {
    size_t offset, packed, size;
    uint32_t method, crc;
} member;

/* Looks the member up; entry->offset stays SIZE_MAX if it is not there. */
static crumb_status find_member(const archive *a, const char *name, member *found) {
    size_t end = 0, length = strlen(name);
    CRUMB_TRY(find_end(a, &end));
    size_t entries = little16(a->data + end + 10), at = little32(a->data + end + 16);
    if (at == UINT32_MAX) {
        return crumb_fail(a->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: byte %zu: ZIP64 archive", a->name, end + 16);
    }
    found->offset = SIZE_MAX;
    for (size_t i = 0; i < entries; i++) {
        if (at > end || end - at < ENTRY_SIZE || little32(a->data + at) != ENTRY_MAGIC) {
            return bad(a, at, "damaged ZIP directory, entry", i);
        }
        const uint8_t *entry = a->data + at;
        size_t name_size = little16(entry + 28), rest = little16(entry + 30) + little16(entry + 32);
        if (end - at - ENTRY_SIZE < name_size + rest) {
            return bad(a, at, "truncated ZIP directory, entry", i);
        }
        if (name_size == length && memcmp(entry + ENTRY_SIZE, name, length) == 0) {
            *found = (member){little32(entry + 42), little32(entry + 20), little32(entry + 24), little16(entry + 10),
                              little32(entry + 16)};
            if ((little16(entry + 8) & 1) != 0 || found->offset == UINT32_MAX || found->packed == UINT32_MAX ||
                found->size == UINT32_MAX || (found->method != STORED && found->method != DEFLATED)) {
                return crumb_fail(a->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: byte %zu: member %s: ZIP64, encrypted or method %u",
                                  a->name, at, name, found->method);
            }
            return CRUMB_OK;
        }
        at += ENTRY_SIZE + name_size + rest;
    }
    return CRUMB_OK;
}

static crumb_status unpack(const archive *a, const member *m, const uint8_t *packed, size_t at, uint8_t *out) {
    size_t got = m->packed;
    if (m->method == STORED) {
        memcpy(out, packed, m->packed < m->size ? m->packed : m->size);
    } else {
        crumb_deflated from = {a->name, packed, m->packed, at, CRUMB_INFLATE_RAW};
        CRUMB_TRY(crumb_inflate(a->ctx, &from, out, m->size + 1, &got));
    }
    if (got != m->size) {
        return bad(a, at, "member is not as long as the directory says, bytes:", got);
    }
    uint32_t crc = (uint32_t)crc32_z(crc32(0, NULL, 0), out, m->size);
    return crc == m->crc ? CRUMB_OK : bad(a, at, "member is damaged, CRC", crc);
}

crumb_status crumb_zip_read(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, const char *wanted,
                            uint8_t **out, size_t *out_size) {
    archive a = {ctx, name, data, size};
    member m = {0};
    CRUMB_TRY(find_member(&a, wanted, &m));
    if (m.offset == SIZE_MAX) {
        *out = NULL;
        return CRUMB_OK;
    }
    if (m.offset > size || size - m.offset < LOCAL_SIZE || little32(data + m.offset) != LOCAL_MAGIC) {
        return bad(&a, m.offset, "no ZIP member here; file size", size);
    }
    size_t at = m.offset + LOCAL_SIZE + little16(data + m.offset + 26) + little16(data + m.offset + 28);
    if (at > size || size - at < m.packed || m.size / 1032 > m.packed) { /* deflate gains at most 1032 : 1 */
        return bad(&a, at, "truncated: member promises bytes:", m.size);
    }
    uint8_t *plain = crumb_alloc(ctx, m.size + 1, 1); /* one more shows a member that is longer than it says */
    if (plain == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_status status = unpack(&a, &m, data + at, at, plain);
    if (status != CRUMB_OK) {
        crumb_free(ctx, plain);
        return status;
    }
    *out = plain;
    *out_size = m.size;
    return CRUMB_OK;
}
