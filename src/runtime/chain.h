/* What follows a source of elements - a convolution's accumulators, a pool, a value in memory - until the results are stored:
 * batch norm, additions, rectifiers, quantizers, stores, without a visit to memory in between. A chain is a list of links; each
 * does to every element what its node in pack/packed.h says, so chains change no bit.
 *
 * A chain holds one float v and one index q an element. The first link sets v or q from the source or from memory, links in
 * between change v, quantizers set q from v and leave v alone, stores write v or q. So one chain may serve several readers: a
 * float for a shortcut, two quantizers for two convolutions.
 *
 * Values lie in memory as dense stacks [N, H, W, C], floats or an index a byte. `crumb_chain_run` is the scalar twin of
 * crumb_chain_run__avx2 and __avx512, which are instances of chain_vector.tmpl. */
#ifndef CRUMB_CHAIN_H
#define CRUMB_CHAIN_H

#include "pack/packed.h"

enum { CRUMB_LINKS_MAX = 48 };

typedef enum crumb_link_op {
    /* First links. acc is what the source hands over, `memory` the link's operand. */
    CRUMB_LINK_SCALE,      /* v = fmaf((float)acc, a[c], b[c]); int32_t acc */
    CRUMB_LINK_COUNT,      /* q = number of thresholds k with (acc ^ flip[c]) >= threshold[k * channels + c]; int32_t acc */
    CRUMB_LINK_REAL,       /* v = acc; float acc */
    CRUMB_LINK_INDEX,      /* q = acc; uint8_t acc */
    CRUMB_LINK_LOAD,       /* v = memory */
    CRUMB_LINK_LOAD_CODES, /* v = scale * (float)(multiply * memory + offset) */
    CRUMB_LINK_LOAD_INDEX, /* q = memory */
    /* v from v. */
    CRUMB_LINK_AFFINE, /* v = fmaf(v, a[c], b[c]) */
    CRUMB_LINK_ADD,    /* v = v + memory */
    CRUMB_LINK_ADD_CODES,
    CRUMB_LINK_MUL,
    CRUMB_LINK_MUL_CODES,
    CRUMB_LINK_RELU,
    CRUMB_LINK_PRELU, /* slopes a[c] */
    CRUMB_LINK_CLIP,  /* lo, hi */
    /* q from v. */
    CRUMB_LINK_ROUND,      /* inverse, lo, hi */
    CRUMB_LINK_THRESHOLDS, /* a[0 .. thresholds - 1] */
    /* Stores. */
    CRUMB_LINK_STORE,       /* v */
    CRUMB_LINK_STORE_INDEX, /* q */
    CRUMB_LINK_OPS
} crumb_link_op;

/* One link. Its operand in memory is a stack of images: pixel (y, x) of the chain is the operand's (step y, step x), channel c
 * its c - before, or 0 if it has no such channel. */
typedef struct crumb_link {
    crumb_link_op op;
    int32_t node;   /* of the packed network, which it carries out */
    int32_t buffer; /* of the plan; -1: touches no memory */
    int32_t step, before;
    int32_t height, width, channels; /* the operand's */
    uint8_t *base;                   /* its first image; set by the session */
    size_t pixel;                    /* bytes of a pixel */
    const float *a, *b;
    const int32_t *threshold, *flip;
    int32_t thresholds;
    float inverse, lo, hi;
    float scale;
    int32_t multiply, offset;
} crumb_link;

typedef struct crumb_chain {
    const crumb_link *link;
    int32_t links;
    int32_t height, width, channels; /* of an image */
    bool steps;                      /* some operand's step is not 1 */
    int32_t pattern;                 /* CRUMB_PATTERNS: none */
} crumb_chain;

/* Chains that most layers have. For these, on operands with all the chain's channels and pixels, the vector versions have loops
 * with the links written out, parameters in registers; what the links do is the same. */
enum { CRUMB_PATTERNS = 10, CRUMB_PATTERN_LINKS = 6 };
typedef struct crumb_chain_pattern {
    int32_t links;
    crumb_link_op op[CRUMB_PATTERN_LINKS];
} crumb_chain_pattern;
static const crumb_chain_pattern crumb_chain_patterns[CRUMB_PATTERNS] = {
    {2, {CRUMB_LINK_COUNT, CRUMB_LINK_STORE_INDEX}},
    {3, {CRUMB_LINK_SCALE, CRUMB_LINK_ROUND, CRUMB_LINK_STORE_INDEX}},
    {4, {CRUMB_LINK_SCALE, CRUMB_LINK_ADD, CRUMB_LINK_ROUND, CRUMB_LINK_STORE_INDEX}},
    {6, {CRUMB_LINK_SCALE, CRUMB_LINK_ADD, CRUMB_LINK_RELU, CRUMB_LINK_ROUND, CRUMB_LINK_STORE_INDEX, CRUMB_LINK_STORE}},
    {2, {CRUMB_LINK_SCALE, CRUMB_LINK_STORE}},
    {3, {CRUMB_LINK_SCALE, CRUMB_LINK_RELU, CRUMB_LINK_STORE}},
    {5, {CRUMB_LINK_SCALE, CRUMB_LINK_RELU, CRUMB_LINK_ROUND, CRUMB_LINK_STORE_INDEX, CRUMB_LINK_STORE}},
    {4, {CRUMB_LINK_REAL, CRUMB_LINK_ROUND, CRUMB_LINK_STORE_INDEX, CRUMB_LINK_STORE}},
    {4, {CRUMB_LINK_REAL, CRUMB_LINK_AFFINE, CRUMB_LINK_RELU, CRUMB_LINK_STORE}},
    {5, {CRUMB_LINK_REAL, CRUMB_LINK_AFFINE, CRUMB_LINK_ADD, CRUMB_LINK_RELU, CRUMB_LINK_STORE}},
};
/* The pattern of a chain with everything else set. */
int32_t crumb_chain_find(const crumb_chain *chain);

/* A crumb_conv_sink (kernel.h) whose user is the chain: pixels pixel .. pixel + pixels - 1 of the stack, channels o ..
 * o + channels - 1; element (p, c) of the source is acc[p * stride + c]. Reads acc only, and nothing beyond. */
typedef void crumb_chain_fn(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc, int32_t stride);
crumb_chain_fn crumb_chain_run, crumb_chain_run__avx2, crumb_chain_run__avx512;

/* Bytes of an element of what the first link takes from the source. */
static inline size_t crumb_chain_item(const crumb_chain *chain) {
    return chain->link[0].op == CRUMB_LINK_INDEX ? sizeof(uint8_t) : sizeof(float);
}

static inline bool crumb_link_is_bytes(crumb_link_op op) {
    return op == CRUMB_LINK_LOAD_CODES || op == CRUMB_LINK_LOAD_INDEX || op == CRUMB_LINK_ADD_CODES ||
           op == CRUMB_LINK_MUL_CODES || op == CRUMB_LINK_STORE_INDEX;
}

/* Where the operand of a pixel of the stack lies. */
static inline uint8_t *crumb_link_pixel(const crumb_chain *chain, const crumb_link *link, int64_t pixel) {
    if (link->step != 1) {
        int64_t x = pixel % chain->width, row = pixel / chain->width;
        int64_t y = row % chain->height, n = row / chain->height;
        pixel = (n * link->height + y * link->step) * link->width + x * link->step;
    }
    return (uint8_t *)((uintptr_t)link->base + (size_t)pixel * link->pixel); /* a number: without an operand there is no base */
}

#endif
