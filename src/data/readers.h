/* The readers of file contents that lie in memory: what loaders, tests and fuzzers share. `name` stands for the file in
 * messages, each of which names file, byte offset and value. None of them trusts a length. */
#ifndef CRUMB_READERS_H
#define CRUMB_READERS_H

#include "base/ctx.h"

/* ---- zlib (inflate.c) */

enum { CRUMB_INFLATE_ZLIB = 15, CRUMB_INFLATE_GZIP = 31, CRUMB_INFLATE_RAW = -15 };
/* Decompresses at most `room` bytes into out; *got says how many came. Stops early at the stream's end only. */
crumb_status crumb_inflate(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, int kind, uint8_t *out,
                           size_t room, size_t *got);

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

#endif
