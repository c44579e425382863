/* The runtime's inner loops outside of convolutions, one set an instruction set: chains (chain.h) and the rows of pools. All
 * sets give the same bits. */
#ifndef CRUMB_VECTOR_H
#define CRUMB_VECTOR_H

#include "runtime/chain.h"

typedef struct crumb_vector {
    crumb_chain_fn *chain;
    /* For i < n, none overlapping: y = x > y ? x : y; the same for indices; y = y + x; y = y * factor. */
    void (*max)(float *y, const float *x, int64_t n);
    void (*max_index)(uint8_t *y, const uint8_t *x, int64_t n);
    void (*add)(float *y, const float *x, int64_t n);
    void (*scale)(float *y, float factor, int64_t n);
} crumb_vector;

/* The fastest that the context may use. */
const crumb_vector *crumb_vector_pick(const crumb_ctx *ctx);
extern const crumb_vector crumb_vector__plain, crumb_vector__avx2, crumb_vector__avx512;

#endif
