/* A lowering under way: what each value of the graph has become. */
#ifndef CRUMB_LOWERING_H
#define CRUMB_LOWERING_H

#include "lower/lower.h"
#include "pack/build.h"

/* A value of the graph as values of the packed network; -1: not there. */
typedef struct crumb_form {
    int32_t real, codes;
    float scale; /* of the codes */
    /* Not 0: this value is flattened, real and codes are still the map [map_height, map_width, C]; plain is the real one
     * flattened. */
    int64_t map_height, map_width;
    int32_t plain;
} crumb_form;

typedef struct crumb_lowering {
    crumb_ctx *ctx;
    crumb_graph *graph;
    crumb_build build;
    crumb_form *form; /* one a value */
    bool *needed;     /* one a node: the logits depend on it */
    bool *done;       /* one a node: it went into another one */
    int *source;      /* one a node: the value that an activation's quantize node reads, less what moved behind it */
} crumb_lowering;

/* The only node that reads a value, -1 if there are several, or if it is the logits. */
int crumb_lower_reader(const crumb_lowering *l, int value);
/* UNSUPPORTED: "layer1.0.add, op add: <what>". */
crumb_status crumb_lower_fail(const crumb_lowering *l, int node, const char *format, ...) CRUMB_PRINTF(3, 4);
/* The packed REAL value of a value of the graph, for a node that reads it; of a flattened one the map, or with `plain` the
 * vector. */
crumb_status crumb_lower_value(crumb_lowering *l, int node, int value, bool plain, int32_t *packed);
/* UNSUPPORTED unless the node's first input is of one image: windows go over height and width. */
crumb_status crumb_lower_check_single(const crumb_lowering *l, int node);
/* What a value of that shape is in the packed network. */
crumb_status crumb_lower_shape(const crumb_lowering *l, int node, crumb_shape shape, crumb_packed_value *value);
/* Appends a node that makes the graph's `value`, not flattened, real. */
crumb_status crumb_lower_append(crumb_lowering *l, const crumb_packed_node *made, int value);

/* ---- lower_layer.c */

crumb_status crumb_lower_layer(crumb_lowering *l, int node);  /* conv2d, linear and what is folded into it */
crumb_status crumb_lower_affine(crumb_lowering *l, int node); /* batch_norm, shift */

/* ---- lower_quantize.c */

/* How an activation's quantize node becomes codes. */
typedef struct crumb_levels {
    crumb_packed_codes codes;
    bool thresholds_form;
    float inverse, lo, hi;                        /* rounding */
    float threshold[CRUMB_PACKED_ACTIVATION_MAX]; /* thresholds: levels - 1 */
    bool rectifies;                               /* what is below 0 has the code of 0 */
} crumb_levels;
crumb_status crumb_lower_levels(const crumb_lowering *l, int node, crumb_levels *levels);
/* Finds what can move behind each quantize node; before anything is emitted. */
crumb_status crumb_lower_plan_quantizers(crumb_lowering *l);
crumb_status crumb_lower_quantize(crumb_lowering *l, int node);

/* ---- lower_move.c */

/* An op that only moves elements, as a gather, or nothing where they stay. */
crumb_status crumb_lower_move(crumb_lowering *l, int node);
crumb_status crumb_lower_gather(crumb_lowering *l, int node);
crumb_status crumb_lower_pad(crumb_lowering *l, int node);
crumb_status crumb_lower_slice(crumb_lowering *l, int node);
crumb_status crumb_lower_concat(crumb_lowering *l, int node);
crumb_status crumb_lower_reduce_mean(crumb_lowering *l, int node);
/* The packed value *x as a map [height, width] whose pixels lie `between` apart, the first at (top, left); zeros elsewhere. */
typedef struct crumb_spread {
    int64_t height, width, top, left, between;
} crumb_spread;
crumb_status crumb_lower_spread(crumb_lowering *l, int node, const crumb_spread *spread, int32_t *x);

/* ---- lower_ops.c: the other ops. */

crumb_packed_node crumb_lower_named(const crumb_lowering *l, int node, crumb_packed_op op);
/* Appends a node whose first input is the graph's node's, in its own order. */
crumb_status crumb_lower_plain(crumb_lowering *l, int node, crumb_packed_node made);
/* The same on codes where there are some. */
crumb_status crumb_lower_on_codes(crumb_lowering *l, int node, crumb_packed_node made);

/* A pooling node of that op on a packed value. */
crumb_packed_node crumb_lower_pool(const crumb_node *node, crumb_packed_op op, int32_t x);
typedef crumb_status (*crumb_lower_op)(crumb_lowering *l, int node);
crumb_lower_op crumb_lower_find(const crumb_op *op); /* NULL: cannot be packed */

#endif
