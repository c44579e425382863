/* The trained graph itself in the arithmetic of packed networks: what a lowering has to compute, found without one. Node after
 * node of the graph as it is, nothing moved, dropped or encoded into bits: codes come from each quantizer's `encode` on the
 * whole tensor, sums of their products are exact, folded factors are kept in double beside the values that they multiply (the
 * formulas of lower.h, as a second text). A packed network is right if its codes and logits equal these to the bit. */
#ifndef CRUMB_EXACT_H
#define CRUMB_EXACT_H

#include "graph/graph.h"

typedef struct crumb_exact crumb_exact;

/* Weight quantizers observe their weights anew. Keeps the graph, whose weights must not change meanwhile. UNSUPPORTED names an
 * op that packed networks do not have. */
crumb_status crumb_exact_create(crumb_graph *graph, crumb_exact **exact);
void crumb_exact_destroy(crumb_exact *exact);
/* One image, in the shape of graph->image. */
void crumb_exact_run(crumb_exact *exact, const float *image);
/* Of the last run, in the graph's layout; NULL for values that no node makes. */
const float *crumb_exact_real(const crumb_exact *exact, int value);
/* The codes of a quantized activation, integers; NULL for other values. */
const float *crumb_exact_code(const crumb_exact *exact, int value);

#endif
