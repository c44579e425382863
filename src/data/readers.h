/* The readers of file contents that lie in memory: what loaders, tests and fuzzers share. `name` stands for the file in
 * messages, each of which names file, byte offset and value. None of them trusts a length. */
#ifndef CRUMB_READERS_H
#define CRUMB_READERS_H

#include "base/ctx.h"

/* ---- zlib (inflate.c) */

enum { CRUMB_INFLATE_ZLIB = 15, CRUMB_INFLATE_GZIP = 31, CRUMB_INFLATE_RAW = -15 };
typedef struct crumb_deflated {
    const char *name;
    const uint8_t *data;
    size_t size, base; /* base: where data begins in the file, for messages */
    int kind;
} crumb_deflated;
/* Decompresses at most `room` bytes into out; *got says how many came. Stops early at the stream's end only. */
crumb_status crumb_inflate(crumb_ctx *ctx, const crumb_deflated *from, uint8_t *out, size_t room, size_t *got);

/* ---- IDX (idx.c): big-endian, unsigned bytes only */

typedef struct crumb_idx {
    int rank;
    int64_t dim[4];
    size_t offset; /* of the first element */
    size_t count;  /* elements */
} crumb_idx;
crumb_status crumb_idx_parse(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, crumb_idx *idx);
/* The contents of a .gz as far as its IDX header reaches; other data is handed through. *data is replaced, the old block freed.
 */
crumb_status crumb_idx_unzip(crumb_ctx *ctx, const char *name, uint8_t **data, size_t *size);

/* ---- CIFAR (cifar.c): records of `label_bytes` labels, the last of which counts, and 32 x 32 x 3 pixels as planes */

/* pixels and labels have room for `records` of them; size must be exactly that many records. */
crumb_status crumb_cifar_parse(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, int label_bytes, int classes,
                               int64_t records, uint8_t *pixels, int32_t *labels);

/* ---- MATLAB 5 (mat.c) */

typedef struct crumb_mat {
    char name[64];
    int rank;
    int64_t dim[4];
    int type; /* of the stored elements: miUINT8 = 2, ... */
    size_t count;
    size_t offset;       /* of the first element, in block or in the file */
    const uint8_t *data; /* in block or in the file */
    uint8_t *block;      /* decompressed element, the caller's to free; NULL if the file's element was plain */
} crumb_mat;
crumb_status crumb_mat_check(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size);
/* The numeric array at *offset, which starts at CRUMB_MAT_FIRST and moves on to the next; it is `size` at the end. */
enum { CRUMB_MAT_FIRST = 128, CRUMB_MAT_UINT8 = 2 };
crumb_status crumb_mat_next(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, size_t *offset,
                            crumb_mat *array);
size_t crumb_mat_item(int type); /* bytes an element; 0 for types that are no numbers */
double crumb_mat_value(const crumb_mat *array, size_t index);

/* ---- NumPy (npy.c): .npy versions 1 to 3 and .npz, which is ZIP with stored or deflated members */

typedef struct crumb_npy {
    char kind; /* 'u', 'i', 'f' */
    int item;  /* bytes */
    int rank;
    int64_t dim[4];
    size_t count, offset; /* elements; of the first one */
} crumb_npy;
crumb_status crumb_npy_parse(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, crumb_npy *npy);
/* A ZIP member's contents, crumb_free'd by the caller; *out is NULL if there is no such member. */
crumb_status crumb_zip_read(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, const char *member,
                            uint8_t **out, size_t *out_size);

/* ---- PNG and JPEG (picture.c). Safe on worker threads: failures are explained in message, not in the context. */

typedef struct crumb_picture {
    uint8_t *pixels; /* height x width x 3; crumb_free */
    int64_t height, width;
} crumb_picture;
crumb_status crumb_picture_decode(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, crumb_picture *picture,
                                  char *message, size_t room);
/* Height and width alone, from the header. */
crumb_status crumb_picture_size(const char *name, const uint8_t *data, size_t size, crumb_picture *picture, char *message,
                                size_t room);

#endif
