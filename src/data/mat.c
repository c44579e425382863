/* MATLAB level 5 files ("MAT-File Format", MathWorks): a 128-byte header, then elements {type, bytes, data padded to 8}. An
 * array is an element of type miMATRIX that holds four more: flags, dimensions, name, numbers. MATLAB writes each array
 * compressed, as an element miCOMPRESSED around a zlib stream. Only little-endian numeric arrays are read. */
#include "data/readers.h"

#include <string.h>

enum { INT8 = 1, INT32 = 5, UINT32 = 6, MATRIX = 14, COMPRESSED = 15 };
enum { CLASS_DOUBLE = 6, CLASS_UINT64 = 15, FLAG_COMPLEX = 0x0800 };

size_t crumb_mat_item(int type) {
    static const uint8_t bytes[14] = {
        [1] = 1, [2] = 1, [3] = 2, [4] = 2, [5] = 4, [6] = 4, [7] = 4, [9] = 8, [12] = 8, [13] = 8};
    return type >= 0 && type < 14 ? bytes[type] : 0;
}

static uint32_t little32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

double crumb_mat_value(const crumb_mat *array, size_t index) {
    size_t item = crumb_mat_item(array->type);
    const uint8_t *at = array->data + index * item;
    uint64_t bits = 0;
    for (size_t i = 0; i < item; i++) {
        bits |= (uint64_t)at[i] << (8 * i);
    }
    float single;
    double number;
    uint32_t low = (uint32_t)bits;
    switch (array->type) {
    case 1:
        return (int8_t)bits;
    case 3:
        return (int16_t)bits;
    case 5:
        return (int32_t)bits;
    case 7:
        memcpy(&single, &low, sizeof(single));
        return single;
    case 9:
        memcpy(&number, &bits, sizeof(number));
        return number;
    case 12:
        return (double)(int64_t)bits;
    default:
        return (double)bits;
    }
}

/* A run of bytes with a position: the file, or a decompressed element. */
typedef struct reader {
    crumb_ctx *ctx;
    const char *name;
    const uint8_t *data;
    size_t size, at;
    size_t element; /* where in the file the element began, for messages */
    bool unpacked;
} reader;

static crumb_status bad(const reader *r, size_t at, const char *what, long long value) {
    if (r->unpacked) {
        return crumb_fail(r->ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: byte %zu of the decompressed element: %s %lld", r->name,
                          r->element, at, what, value);
    }
    return crumb_fail(r->ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: %s %lld", r->name, at, what, value);
}

typedef struct element {
    int type;
    size_t size, offset;
} element;

/* Steps over the next element: {type, bytes} and data padded to 8, or the short form with both in one word and four bytes. */
static crumb_status next_element(reader *r, element *found) {
    if (r->size - r->at < 8) {
        return bad(r, r->at, "truncated element tag, bytes left:", (long long)(r->size - r->at));
    }
    uint32_t type = little32(r->data + r->at), bytes = little32(r->data + r->at + 4);
    bool brief = type >> 16 != 0;
    *found = (element){(int)(type & 0xffff), brief ? type >> 16 : bytes, r->at + (brief ? 4 : 8)};
    if (!brief && type > 0xffff) {
        return bad(r, r->at, "element type", type);
    }
    if (found->size > (brief ? 4 : r->size - found->offset)) {
        return bad(r, r->at, "truncated: element promises bytes:", (long long)found->size);
    }
    size_t end = found->offset + found->size;
    bool padded = found->type != COMPRESSED;
    end = brief ? r->at + 8 : padded ? (end + 7) / 8 * 8 : end;
    r->at = end < r->size ? end : r->size;
    return CRUMB_OK;
}

static crumb_status expect(reader *r, int type, const char *what, size_t bytes_min, size_t bytes_max, element *found) {
    size_t at = r->at;
    CRUMB_TRY(next_element(r, found));
    if (found->type != type) {
        return bad(r, at, what, found->type);
    }
    return found->size >= bytes_min && found->size <= bytes_max ? CRUMB_OK : bad(r, at, what, (long long)found->size);
}

static crumb_status parse_matrix(reader *r, crumb_mat *array) {
    element flags = {0}, dims = {0}, name = {0}, numbers = {0};
    CRUMB_TRY(expect(r, UINT32, "array flags:", 8, 8, &flags));
    uint32_t word = little32(r->data + flags.offset);
    if ((word & 0xff) < CLASS_DOUBLE || (word & 0xff) > CLASS_UINT64 || (word & FLAG_COMPLEX) != 0) {
        return bad(r, flags.offset, "not a real numeric array: class and flags", word);
    }
    CRUMB_TRY(expect(r, INT32, "array dimensions:", 8, 16, &dims));
    array->rank = (int)(dims.size / 4);
    array->count = 1;
    for (int i = 0; i < array->rank; i++) {
        uint32_t dim = little32(r->data + dims.offset + 4 * (size_t)i);
        array->dim[i] = dim;
        if (dim > INT32_MAX || __builtin_mul_overflow(array->count, (size_t)dim, &array->count)) {
            return bad(r, dims.offset + 4 * (size_t)i, "array dimension", dim);
        }
    }
    CRUMB_TRY(expect(r, INT8, "array name:", 0, sizeof(array->name) - 1, &name));
    memcpy(array->name, r->data + name.offset, name.size);
    size_t at = r->at;
    CRUMB_TRY(next_element(r, &numbers));
    size_t item = crumb_mat_item(numbers.type);
    if (item == 0) {
        return bad(r, at, "array of type", numbers.type);
    }
    if (numbers.size / item != array->count || numbers.size % item != 0) {
        return bad(r, at, "bytes of numbers do not match the dimensions:", (long long)numbers.size);
    }
    array->type = numbers.type;
    array->offset = numbers.offset;
    array->data = r->data + numbers.offset;
    return CRUMB_OK;
}

/* Decompresses an element; what is inside must be one matrix. */
static crumb_status unpack(reader *file, const element *packed, uint8_t **block, size_t *block_size) {
    uint8_t tag[8];
    size_t got;
    crumb_deflated from = {file->name, file->data + packed->offset, packed->size, packed->offset, CRUMB_INFLATE_ZLIB};
    CRUMB_TRY(crumb_inflate(file->ctx, &from, tag, sizeof(tag), &got));
    size_t bytes = got == sizeof(tag) ? little32(tag + 4) : 0;
    if (got != sizeof(tag) || little32(tag) != MATRIX || bytes / 1032 > packed->size) { /* deflate gains at most 1032 : 1 */
        return bad(file, packed->offset, "no array in the compressed element; bytes inside:", (long long)bytes);
    }
    uint8_t *plain = crumb_alloc(file->ctx, bytes + sizeof(tag), 1);
    if (plain == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_status status = crumb_inflate(file->ctx, &from, plain, bytes + sizeof(tag), &got);
    if (status == CRUMB_OK && got != bytes + sizeof(tag)) {
        status = bad(file, packed->offset, "truncated: compressed element holds bytes:", (long long)got);
    }
    if (status != CRUMB_OK) {
        crumb_free(file->ctx, plain);
        return status;
    }
    *block = plain;
    *block_size = got;
    return CRUMB_OK;
}

crumb_status crumb_mat_check(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size) {
    if (size < CRUMB_MAT_FIRST) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: truncated in the MATLAB header of 128 bytes", name, size);
    }
    uint32_t magic = little32(data + 124); /* version, then 'M' * 256 + 'I' in the writer's byte order */
    if (magic >> 16 == 0x494d || magic == 0x4d490200) {
        return crumb_fail(ctx, CRUMB_ERROR_UNSUPPORTED,
                          "%s: byte 124: MATLAB file of version and byte order 0x%08x; only little-endian "
                          "version 5 is read",
                          name, magic);
    }
    if (magic != 0x4d490100) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte 124: magic 0x%08x, MATLAB version 5 has 0x4d490100", name, magic);
    }
    return CRUMB_OK;
}

crumb_status crumb_mat_next(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, size_t *offset,
                            crumb_mat *out) {
    reader file = {.ctx = ctx, .name = name, .data = data, .size = size, .at = *offset};
    element outer = {0};
    crumb_mat array = {0};
    CRUMB_TRY(next_element(&file, &outer));
    reader inside = file;
    inside.size = outer.offset + outer.size;
    inside.at = outer.offset;
    if (outer.type == COMPRESSED) {
        inside = (reader){.ctx = ctx, .name = name, .at = 8, .element = *offset, .unpacked = true};
        CRUMB_TRY(unpack(&file, &outer, &array.block, &inside.size));
        inside.data = array.block;
    } else if (outer.type != MATRIX) {
        return bad(&file, *offset, "neither an array nor a compressed one: element of type", outer.type);
    }
    crumb_status status = parse_matrix(&inside, &array);
    if (status != CRUMB_OK) {
        crumb_free(ctx, array.block);
        return status;
    }
    *out = array;
    *offset = file.at;
    return CRUMB_OK;
}
