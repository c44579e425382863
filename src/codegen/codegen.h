/* A packed network on its way to C: what becomes a function, what lies where, how sums are computed.
 *
 * A stage is one function of the file. It has a root that makes elements (a convolution, a pool, a concatenation, ...; -1: it
 * loads what it needs) and a tail of nodes that work element by element on what the root makes, so that values that only they
 * read never exist in memory. Values that other stages read lie in one arena of cells of four bytes: a float a cell, or four
 * indices. Functions of a pixel alone (normalisation, the first quantizer) become tables of 256 entries. */
#ifndef CRUMB_CODEGEN_H
#define CRUMB_CODEGEN_H

#include "base/text.h"
#include "crumb/train.h"
#include "pack/packed.h"

enum {
    CRUMB_CODEGEN_NAME = 64,      /* of an identifier in the file */
    CRUMB_CODEGEN_PIXELS = 256,   /* values of a pixel */
    CRUMB_CODEGEN_LEVELS_MAX = 16 /* more than these are computed in float: thresholds would outweigh the weights */
};

typedef enum crumb_codegen_where {
    CRUMB_CODEGEN_NOWHERE, /* lives inside its stage */
    CRUMB_CODEGEN_ARENA,
    CRUMB_CODEGEN_IMAGE, /* the caller's floats */
    CRUMB_CODEGEN_TABLE, /* a function of the pixel */
    CRUMB_CODEGEN_LOGITS /* the caller's result */
} crumb_codegen_where;

typedef union crumb_codegen_number {
    float real;
    int32_t index;
} crumb_codegen_number;

typedef struct crumb_codegen_value {
    int32_t height, width, channels;
    /* Of what is stored, which is multiply * (the file's index) + offset; see reindex.c. */
    crumb_packed_codes codes;
    int32_t multiply, offset;
    crumb_codegen_where where;
    int32_t same;                    /* the value whose elements these are: itself, but for a flattened vector */
    int32_t stage;                   /* that makes it, -1: none */
    bool read;                       /* from memory or table, by a stage */
    int32_t cell, cells, born, dies; /* ARENA: place, size, stages */
    crumb_codegen_number *table;     /* TABLE: [channels][256] */
    int32_t tables;                  /* channels, or 1 if all are equal */
} crumb_codegen_value;

/* How a convolution sums index(x) * index(w); see sum.c. */
typedef enum crumb_codegen_form {
    CRUMB_CODEGEN_NO_SUM,
    CRUMB_CODEGEN_FOURS, /* four products a multiplication */
    CRUMB_CODEGEN_TWOS,  /* two products a multiplication */
    CRUMB_CODEGEN_ONES,  /* one product a multiplication, or two with the processor's own instruction */
    CRUMB_CODEGEN_PLAIN, /* code by code, window by window */
    CRUMB_CODEGEN_REAL   /* float sums */
} crumb_codegen_form;

typedef struct crumb_codegen_sum {
    crumb_codegen_form form;
    int32_t x_bits, w_bits;
    int32_t columns;       /* of a row of weights */
    int32_t block, blocks; /* columns that are unpacked at a time; of them in a row */
    int32_t outside;       /* index that padding has */
    int64_t low, high;     /* range of the sum of index(x) * code(w); PLAIN: code(x) * code(w) */
    int32_t multiply;      /* accumulator = multiply * sum + offset of the channel, if there are offsets */
    bool offsets;
    bool direct;         /* the input lies in memory as the window that is summed: nothing is gathered */
    bool whole;          /* a pixel of a group is whole cells */
    int32_t cell, cells; /* the gathered window */
} crumb_codegen_sum;

typedef struct crumb_codegen_stage {
    int32_t root, pool;              /* nodes, -1: none; pool: a max_pool that is taken while storing */
    int32_t first, last;             /* its nodes are among these */
    int32_t height, width, channels; /* of the root's elements */
    crumb_codegen_sum sum;
    const char *name;
    int64_t constant_bytes;
} crumb_codegen_stage;

typedef struct crumb_codegen_node {
    int32_t stage; /* -1: not needed, or a function of the pixel, or the same elements as its input */
    bool needed;   /* the logits depend on it */
    bool computed; /* appears as a statement */
    /* A quantizer of few levels behind integer sums: thresholds of each channel in ascending order, for the sum, or where
     * `falls` says so, for its complement. */
    int32_t *threshold;
    bool *falls;
    bool any_falls;
    char name[CRUMB_CODEGEN_NAME];
} crumb_codegen_node;

typedef struct crumb_codegen {
    crumb_ctx *ctx;
    const crumb_packed *packed;
    crumb_codegen_value *value;
    crumb_codegen_node *node;
    crumb_codegen_stage *stage;
    int32_t stages;
    int32_t logits; /* value */
    int32_t cells;  /* of the arena */
    const char *name;
    bool reals; /* images are floats */
} crumb_codegen;

/* ---- export.c */

typedef struct crumb_codegen_files {
    crumb_text source, header;
    int64_t constant_bytes, memory_bytes;
} crumb_codegen_files;

/* The two files as texts; functions are called <name>_... */
crumb_status crumb_codegen_print(const crumb_packed *packed, const char *name, bool floats, crumb_codegen_files *files);
void crumb_codegen_release(crumb_ctx *ctx, crumb_codegen_files *files);

/* ---- element.c: what one node makes of one number. */

bool crumb_codegen_is_element(crumb_packed_op op); /* works element by element */
/* Of a node with one input, for channel c; the file's indices. */
crumb_codegen_number crumb_codegen_element(const crumb_packed *packed, const crumb_packed_node *node, int32_t c,
                                           crumb_codegen_number x);

/* ---- Planning, in this order. */

crumb_status crumb_codegen_tables(crumb_codegen *g);     /* table.c: what is needed; functions of the pixel */
void crumb_codegen_reindex(crumb_codegen *g);            /* reindex.c: an index for padding */
void crumb_codegen_stages(crumb_codegen *g);             /* stage.c */
void crumb_codegen_sums(crumb_codegen *g);               /* sum.c: the form of each convolution */
crumb_status crumb_codegen_thresholds(crumb_codegen *g); /* threshold.c */
void crumb_codegen_computed(crumb_codegen *g);           /* stage.c: which nodes are left to be computed */
crumb_status crumb_codegen_arena(crumb_codegen *g);      /* arena.c */
void crumb_codegen_names(crumb_codegen *g);              /* name.c */

/* The sum over a row of code(w) times the offset of x: what the accumulator of channel o is off by. row: room for its columns.
 */
int64_t crumb_codegen_channel_offset(const crumb_codegen *g, const crumb_codegen_stage *stage, int32_t o, uint16_t *row);

/* The value whose elements a node's k-th input is. */
static inline int32_t crumb_codegen_input(const crumb_codegen *g, int32_t node, int32_t k) {
    return g->value[g->packed->node[node].input[k]].same;
}
static inline bool crumb_codegen_is_codes(const crumb_codegen_value *value) {
    return value->codes.levels != 0;
}
static inline int64_t crumb_codegen_elements(const crumb_codegen_value *value) {
    return (int64_t)value->height * value->width * value->channels;
}
/* True if `text` is an identifier of C that a program may define. */
bool crumb_codegen_identifier(const char *text);

#endif
