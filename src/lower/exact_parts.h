/* What exact.c and exact_ops.c share. */
#ifndef CRUMB_EXACT_PARTS_H
#define CRUMB_EXACT_PARTS_H

#include "lower/exact.h"

/* A value: always real; codes too where it is quantized. */
typedef struct exact_value {
    float *real;
    float *code; /* small integers */
    float scale;
    /* Results of layers, batch norms and shifts: real = fmaf(sum, multiplier[c], bias[c]), which may be folded further. */
    const float *sum;
    float *own_sum;
    double *multiplier, *bias;
    int64_t map_height, map_width; /* not 0: flattened from such a map */
} exact_value;

typedef struct exact_weight {
    float *code; /* NULL: the weights are floats */
    float *scale;
    int64_t groups;
    int64_t size; /* of a row's weights that share a scale; 0: all, and the scale is folded */
    int levels;
} exact_weight;

struct crumb_exact {
    crumb_ctx *ctx;
    crumb_graph *graph;
    exact_value *value;   /* one a value */
    exact_weight *weight; /* one a node */
    int16_t *codes;       /* of the largest value */
};

typedef struct exact_step {
    crumb_exact *exact;
    int index;
    const crumb_node *node;
    crumb_shape in, out;
    const exact_value *x;
    exact_value *y;
} exact_step;

/* real from sum. */
void crumb_exact_settle(const exact_step *s);
/* NULL: packed networks have no such op. */
typedef void (*crumb_exact_op)(const exact_step *s);
crumb_exact_op crumb_exact_find(const crumb_op *op);

#endif
