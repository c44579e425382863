/* The runtime's inner loops outside of convolutions, one set an instruction set: chains (chain.h) and the rows of pools. All
 * sets give the same bits. */
#ifndef CRUMB_VECTOR_H
#define CRUMB_VECTOR_H

#include "runtime/chain.h"

typedef struct crumb_vector {
    crumb_chain_fn *chain;
    /* The largest of rows x columns pixels of `channels` elements, x the first, pixel after pixel, rows `row` elements apart: y
     * = x, then x > y ? x : y row by row, for each channel. Then the same for indices. */
    void (*max)(float *y, const float *x, int64_t row, int64_t rows, int64_t columns, int64_t channels);
    void (*max_index)(uint8_t *y, const uint8_t *x, int64_t row, int64_t rows, int64_t columns, int64_t channels);
    /* y[p * channels + c] = table[c * 256 + x[p * channels + c]]; channels up to CRUMB_PACKED_PIXEL_MAX. */
    void (*translate)(uint8_t *y, const uint8_t *x, const uint8_t *table, int64_t pixels, int64_t channels);
    /* For i < n, none overlapping: y = y + x; y = y * factor. */
    void (*add)(float *y, const float *x, int64_t n);
    void (*scale)(float *y, float factor, int64_t n);
} crumb_vector;

/* The fastest that the context may use. */
const crumb_vector *crumb_vector_pick(const crumb_ctx *ctx);
extern const crumb_vector crumb_vector__plain, crumb_vector__avx2, crumb_vector__avx512, crumb_vector__avx512vbmi;

#endif
