/* Printing the file: a planned network (codegen.h) as C. Arrays, helper functions and stages go into three texts that are put
 * together at the end, so that a helper is there only if something used it. */
#ifndef CRUMB_EMIT_H
#define CRUMB_EMIT_H

#include "codegen/codegen.h"

/* Helper functions of the file. */
enum {
    CRUMB_EMIT_FUSED = 1 << 0,       /* fmaf */
    CRUMB_EMIT_TIMES = 1 << 1,       /* a product that no compiler fuses with what follows */
    CRUMB_EMIT_ROUNDED = 1 << 2,     /* quantize, ROUND */
    CRUMB_EMIT_PASSED = 1 << 3,      /* quantize, THRESHOLDS */
    CRUMB_EMIT_TOTAL_SMALL = 1 << 4, /* sum of a window's indices below 64 */
    CRUMB_EMIT_TOTAL = 1 << 5,
    CRUMB_EMIT_PRODUCTS = 1 << 6, /* two products */
    CRUMB_EMIT_SIGMOID = 1 << 7,
    CRUMB_EMIT_TANH = 1 << 8,
    CRUMB_EMIT_EXPONENTIAL = 1 << 9, /* of doubles, as pack/functions.c computes it; so logarithm */
    CRUMB_EMIT_LOGARITHM = 1 << 10
};

enum { CRUMB_EMIT_LEVELS = 4, CRUMB_EMIT_WIDTHS = 10, CRUMB_EMIT_EXPRESSION = 512 };

typedef struct crumb_emit {
    const crumb_codegen *g;
    const crumb_codegen_stage *stage; /* being printed, s-th */
    int32_t s;
    crumb_text data, helpers, stages;
    int indent;
    int64_t constant_bytes;
    unsigned uses;
    bool level[2][CRUMB_EMIT_LEVELS];               /* integer thresholds: [wide][their number, 0: more than 3] */
    bool dot[CRUMB_EMIT_WIDTHS][CRUMB_EMIT_WIDTHS]; /* sums of products: [bits of x][bits of w] */
    bool index_of_row[CRUMB_EMIT_WIDTHS];           /* single weights: [bits] */
    uint16_t *row;                                  /* of weights, room for the longest */
} crumb_emit;

/* A short expression. */
typedef struct crumb_expression {
    char text[CRUMB_EMIT_EXPRESSION];
} crumb_expression;
crumb_expression crumb_expression_of(const char *format, ...) CRUMB_PRINTF(1, 2);

/* ---- emit.c: lines of functions, arrays. */

void crumb_emit_line(crumb_emit *e, const char *format, ...) CRUMB_PRINTF(2, 3);
void crumb_emit_open(crumb_emit *e, const char *format, ...) CRUMB_PRINTF(2, 3); /* a line that ends in an opened brace */
void crumb_emit_close(crumb_emit *e);
/* for (int32_t name = 0; name < count; name++), unless count is 1: returns whether it was opened. */
bool crumb_emit_loop(crumb_emit *e, const char *name, int32_t count);

void crumb_emit_reals(crumb_emit *e, const char *owner, const char *ending, const float *value, int64_t count);
/* Of int8_t to int32_t, uint8_t to uint32_t: bits of an element, negative for signed. */
void crumb_emit_array_open(crumb_emit *e, const char *owner, const char *ending, int bits, int64_t count);
void crumb_emit_element(crumb_emit *e, int bits, int64_t value, int64_t at);
void crumb_emit_array_close(crumb_emit *e);
crumb_expression crumb_emit_real(float value); /* "0.25f": the same float again */

/* ---- emit_tail.c: reading, computing and storing elements. */

/* Element `at` of a value from memory, its channel `c`; arithmetic needs no more parentheses. */
crumb_expression crumb_emit_read(crumb_emit *e, int32_t value, const char *at, const char *c);
/* Declarations of the pointers that elements are read and stored through. */
void crumb_emit_pointers(crumb_emit *e);
bool crumb_emit_reads(const crumb_emit *e, int32_t value); /* the stage reads the value from memory or table */
bool crumb_emit_needs_place(const crumb_emit *e);          /* the tail reads or stores elements `i` */
/* What follows the root at element i, channel c. For sums on codes `v` is the sum; else `root` is the root's element. */
void crumb_emit_tail(crumb_emit *e, const char *root);

/* ---- emit_stage.c */

void crumb_emit_stage(crumb_emit *e, int32_t s);
/* What the stage's function is given: declared, or in the call, as names. */
crumb_expression crumb_emit_parameters(const crumb_emit *e, bool declared);
/* Loops over `row` and `column` of the root's elements; none for a single pixel, where the two do not exist. */
void crumb_emit_open_pixels(crumb_emit *e);
void crumb_emit_close_pixels(crumb_emit *e);
/* Declarations of the places `i`, and `j` of a pool, of channel `c` at row and column. */
void crumb_emit_place(crumb_emit *e);
/* "row * 2 - 1": where in the input a window begins; a number for a single pixel. */
crumb_expression crumb_emit_position(const crumb_emit *e, const char *name, int32_t stride, int32_t padding);

/* The same, and the loop over channels `c` in them, with its place. */
void crumb_emit_open_elements(crumb_emit *e);
void crumb_emit_close_elements(crumb_emit *e);
/* Channel c of the root's k-th input at a pixel. */
crumb_expression crumb_emit_input_at(crumb_emit *e, int32_t k, const char *row, const char *column, const char *c);

void crumb_emit_gather(crumb_emit *e); /* emit_gather.c */
void crumb_emit_constant(crumb_emit *e);
void crumb_emit_function(crumb_emit *e); /* emit_function.c: div, sigmoid, tanh, softmax, log_softmax, lrn */

/* ---- emit_conv.c: sums over windows */

void crumb_emit_conv(crumb_emit *e);
/* "for (count ...)", unless there is one only, and the declaration of `at`, the input's row or column there; returns whether it
 * was opened. */
bool crumb_emit_open_tap(crumb_emit *e, const char *count, const char *at, int32_t kernel, const char *position,
                         int32_t dilation);
void crumb_emit_clear_pool(crumb_emit *e);

void crumb_emit_conv_plain(crumb_emit *e); /* emit_conv_plain.c: element by element; REAL and PLAIN */

/* ---- emit_dot.c: sums of products and the weights they read. */

void crumb_emit_weights(crumb_emit *e);
void crumb_emit_dot(crumb_emit *e, const crumb_codegen_sum *sum);
int32_t crumb_emit_block_words(const crumb_codegen_sum *sum);
int32_t crumb_emit_row_bytes(const crumb_packed_tensor *weight); /* element by element */

/* ---- The files. */

void crumb_emit_helpers(const crumb_emit *e, crumb_text *out); /* emit_helpers.c */
void crumb_emit_source(crumb_emit *e, crumb_text *out);        /* emit_file.c */
void crumb_emit_header(const crumb_emit *e, crumb_text *out);  /* after the source */

#endif
