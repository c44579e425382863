/* crumb/measure.h - how fast packed networks and their kernels run, beside what this machine could do at most.
 *
 * A limit is the rate of an endless loop of one instruction pair on registers, or of reading memory; what a layer could take at
 * the least follows from its operations, its bits and its weights' bytes. Times of a shared machine drift: limits and figures
 * that are compared belong to one run. A multiply-accumulate counts as two operations. See base.h for the conventions. */
#ifndef CRUMB_MEASURE_H
#define CRUMB_MEASURE_H

#include "crumb/run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum crumb_limit {
    CRUMB_LIMIT_FLOATS, /* operations a second of float multiply-adds */
    CRUMB_LIMIT_BYTES,  /* operations a second of 8-bit dot products */
    CRUMB_LIMIT_BITS,   /* operations a second of xor and population count, 1 bit by 1 bit */
    CRUMB_LIMIT_TABLES, /* look-ups a second in tables of bytes, with the addition of what they give; 0: there are none */
    CRUMB_LIMIT_MEMORY, /* bytes a second read, more than the caches hold */
    CRUMB_LIMITS
} crumb_limit;
CRUMB_API const char *crumb_limit_name(crumb_limit limit); /* "floats", "bytes", ... */
CRUMB_API const char *crumb_limit_unit(crumb_limit limit); /* "op/s", "look-ups/s", "B/s" */

typedef struct crumb_limits {
    int threads;
    double rate[CRUMB_LIMITS];
    const char *loop[CRUMB_LIMITS]; /* "vpdpbusd", ... */
    int table_columns;              /* entries of a table that one look-up chooses from */
    size_t cache_bytes;             /* of the largest cache; 0: unknown */
} crumb_limits;

/* Takes half a second and 256 MiB. `threads` 0: the context's; uses the instructions that the context may use. */
CRUMB_API crumb_status crumb_limits_measure(crumb_ctx *ctx, int threads, crumb_limits *limits);

/* The least seconds an image of layer `index` at these limits when `batch` images go through it together, and the limit that
 * says so: the fastest way of multiplying at the layer's bits; or memory, if the network's weights are more than the largest
 * cache holds. 0 for what is no convolution or linear layer. */
CRUMB_API double crumb_limits_layer(const crumb_limits *limits, const crumb_packed *packed, int index, int64_t batch,
                                    crumb_limit *which);

/* ---- Kernels alone. */

typedef struct crumb_kernel_figure {
    const char *bits;   /* "W2A2", "W4A32" */
    const char *shape;  /* "3x3 56x56x64", "matrix-vector 4096x14336" */
    const char *kernel; /* name of the row */
    bool chosen;        /* plans take this row */
    int threads, images;
    double operations, seconds; /* of one call */
    double least;               /* seconds at the limit */
    crumb_limit limit;
    size_t weight_bytes; /* as the kernel keeps them */
} crumb_kernel_figure;

typedef struct crumb_kernel_options {
    int threads;              /* 0: the context's */
    bool chosen;              /* only the rows that plans take */
    const char *const *words; /* only figures whose bits, shape and kernel's name contain each of them; may be NULL */
    int word_count;
} crumb_kernel_options;

/* Times every kind of bits, every shape and every row of the registry that fits, each the least of some calls, without what
 * follows a convolution in a network. `each` gets one figure after the other; false stops. Weights of a matrix-vector product
 * come from memory, not from the caches. */
CRUMB_API crumb_status crumb_measure_kernels(crumb_ctx *ctx, const crumb_kernel_options *options, const crumb_limits *limits,
                                             bool (*each)(void *user, const crumb_kernel_figure *figure), void *user);

#ifdef __cplusplus
}
#endif
#endif
