/* safetensors: 8 bytes little-endian header length, a JSON header {name: {dtype, shape, data_offsets}, "__metadata__": {text:
 * text}}, then the data. Every length is checked before use: header within the file and below 100 MB, offsets ordered, neither
 * gaps nor overlaps, equal to dtype x shape, ending with the file. */
#ifndef CRUMB_SAFETENSORS_H
#define CRUMB_SAFETENSORS_H

#include "tensor/tensor.h"

typedef struct crumb_safetensors crumb_safetensors;

typedef struct crumb_safetensor {
    const char *name;
    const char *dtype; /* "F32", "F16", "BF16", "F64", "I64", "I32", "I16", "I8", "U8", "BOOL" */
    crumb_shape shape; /* rank up to CRUMB_RANK_MAX */
    const void *data;  /* little-endian, may be unaligned; borrowed from the file */
    size_t bytes;
} crumb_safetensor;

crumb_status crumb_safetensors_open(crumb_ctx *ctx, const char *path, crumb_safetensors **file);
/* The same from memory; keeps no reference to `data` longer than the object lives. `name` stands for the file in messages. */
crumb_status crumb_safetensors_parse(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size,
                                     crumb_safetensors **file);
void crumb_safetensors_close(crumb_safetensors *file);
int crumb_safetensors_count(const crumb_safetensors *file);
crumb_safetensor crumb_safetensors_at(const crumb_safetensors *file, int index);
int crumb_safetensors_find(const crumb_safetensors *file, const char *name);            /* -1 if absent */
const char *crumb_safetensors_metadata(const crumb_safetensors *file, const char *key); /* NULL if absent */
/* Converts to float (F32, F16, BF16, F64, integers); UNSUPPORTED names the dtype. */
crumb_status crumb_safetensor_floats(crumb_ctx *ctx, const crumb_safetensor *tensor, float *out);

const char *crumb_safetensors_path(const crumb_safetensors *file);

/* Writing: add tensors and metadata (data is borrowed until commit), then commit: atomically, the widest types first, then by
 * name. The data starts at a multiple of 64 bytes and has no gaps: other readers refuse them. */
typedef struct crumb_safetensors_writer crumb_safetensors_writer;
crumb_status crumb_safetensors_begin(crumb_ctx *ctx, crumb_safetensors_writer **writer);
crumb_status crumb_safetensors_add(crumb_safetensors_writer *writer, const char *name, const char *dtype, crumb_shape shape,
                                   const void *data);
/* The same with memory of the writer's own, zeroed, for the caller to fill before commit. */
crumb_status crumb_safetensors_room(crumb_safetensors_writer *writer, const char *name, const char *dtype, crumb_shape shape,
                                    void **data);
/* The same with data that `fill` makes of `from`, which has the shape `of`, when it is written: one tensor at a time is in
 * memory. */
typedef void crumb_safetensors_fill(void *data, const void *from, crumb_shape of);
crumb_status crumb_safetensors_made(crumb_safetensors_writer *writer, const char *name, const char *dtype, crumb_shape shape,
                                    crumb_safetensors_fill *fill, const void *from, crumb_shape of);
crumb_status crumb_safetensors_note(crumb_safetensors_writer *writer, const char *key, const char *value);
crumb_status crumb_safetensors_commit(crumb_safetensors_writer *writer, const char *path);
void crumb_safetensors_drop(crumb_safetensors_writer *writer); /* frees; also after commit */

/* ---- Graphs in safetensors, PyTorch's names and layouts: conv weights OIHW in the file, OHWI in memory. (graph_io.c) */
#include "graph/graph.h"
/* Adds every PARAM and STATE of the graph. */
crumb_status crumb_graph_store(crumb_graph *graph, const char *prefix, crumb_safetensors_writer *writer);
/* What a PyTorch module of the network loads: every PARAM and STATE but those of quantizers, quantized weights as Q(w), or with
 * `codes` as integers (I8, or I16 where they are wider) beside <name>_scale. Weight quantizers observe their weights anew. */
crumb_status crumb_graph_store_quantized(const crumb_graph *graph, bool codes, crumb_safetensors_writer *writer);
/* Loads values by name ("module." in front, as DataParallel saves, is skipped). strict: every PARAM and STATE but quantizer
 * state must be there, and nothing else (num_batches_tracked may be missing or extra); otherwise loads what matches. A wrong
 * shape is an error that names it. */
crumb_status crumb_graph_load(crumb_graph *graph, const char *prefix, const crumb_safetensors *file, bool strict);

/* A row of formats.inc. */
typedef struct crumb_format {
    const char *name, *doc;
    bool reads, writes;
    bool (*probe)(const uint8_t *head, size_t size); /* first bytes of a file */
} crumb_format;
#define CRUMB_FORMAT(name) extern const crumb_format crumb_format_##name;
#include "formats/formats.inc"
#undef CRUMB_FORMAT
extern const crumb_format *const crumb_formats[]; /* NULL-terminated */

#endif
