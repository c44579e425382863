/* A plan to run a graph: shapes for one batch size, one implementation per node (or per fused run of nodes), one block of memory
 * laid out by lifetime. Made once; forward and backward allocate nothing and cannot fail for lack of memory. */
#ifndef CRUMB_EXEC_H
#define CRUMB_EXEC_H

#include "graph/graph.h"

typedef struct crumb_exec crumb_exec;

typedef struct crumb_exec_options {
    int64_t batch;
    bool backward;  /* plan gradients too */
    bool reference; /* plain C ops only, one node at a time: the specification, and the first batch of a quantizer's life */
    bool keep;      /* keep every value of the forward pass (inspection, verification) */
} crumb_exec_options;

crumb_status crumb_exec_create(crumb_graph *graph, const crumb_exec_options *options, crumb_exec **exec);
void crumb_exec_destroy(crumb_exec *exec);

/* Data of a value: inputs to fill, logits, losses; params and states give the graph's own memory. NULL if the plan does not keep it. */
float *crumb_exec_value(crumb_exec *exec, int value);
crumb_shape crumb_exec_shape(const crumb_exec *exec, int value);
/* Gradient of a PARAM after backward; NULL for others and for params the loss does not reach. */
float *crumb_exec_gradient(crumb_exec *exec, int value);

/* seed and step choose the random streams (dropout): same pair, same numbers. training: see crumb_op_call. */
void crumb_exec_forward(crumb_exec *exec, bool training, uint64_t seed, uint64_t step);
/* Gradients of values[i] with respect to every param, starting from d(loss) = 1. Follows a training forward. */
void crumb_exec_backward(crumb_exec *exec, int loss);
/* Name of the first node whose output has a NaN or infinity in the last forward (walks the kept values), NULL if none. */
const char *crumb_exec_culprit(crumb_exec *exec);
/* Bytes of activations, gradients and workspace. */
size_t crumb_exec_bytes(const crumb_exec *exec);
/* The plan as text, one line a step: index, nodes, implementation, shape, bytes, flops. Caller frees with crumb_free. */
crumb_status crumb_exec_describe(crumb_exec *exec, char **text);

#endif
