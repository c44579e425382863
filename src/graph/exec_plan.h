/* Inside an exec: shared by the planner (plan_steps.c), the memory layout (plan_memory.c) and the runner (exec.c). */
#ifndef CRUMB_EXEC_PLAN_H
#define CRUMB_EXEC_PLAN_H

#include "backend/backend.h"
#include "graph/exec.h"

/* One step of the plan: a run of `nodes` consecutive nodes done by a backend row, or one node done by its reference. */
typedef struct exec_step {
    int first, nodes;
    const crumb_backend_row *row; /* NULL: reference */
    int inputs;
    int input[CRUMB_EXTERNAL_MAX]; /* external inputs: value indices */
    int output;                    /* value index */
    bool backward;                 /* has a part in the backward pass */
    crumb_run_query query;         /* of a row */
    crumb_run_plan plan;           /* also filled for the reference: saved, scratch, uses */
    size_t saved_at;               /* offset in the arena */
    crumb_run_call run;            /* pointers bound once, when the arena exists */
    crumb_op_call call;
} exec_step;

typedef struct exec_value {
    crumb_shape shape;
    bool wants_gradient;  /* the loss's gradient is needed here */
    bool stored;          /* has a place in the arena (false: inside a run, or graph-owned) */
    bool kept;            /* readable after the forward pass */
    int producer;         /* step, -1: input or graph-owned */
    int last_reader;      /* last step that reads it, -1: none */
    size_t at, gradient_at; /* offsets in the arena */
    bool has_gradient;    /* gradient_at is set */
} exec_value;

struct crumb_exec {
    crumb_ctx *ctx;
    crumb_graph *graph;
    crumb_exec_options options;
    exec_step *step;
    int steps;
    exec_value *value; /* one a graph value */
    int loss;          /* output of the last node, if options.backward */
    char *arena;
    size_t bytes, scratch_at, gradients_at, gradient_bytes;
};

/* Shapes for the batch, who needs gradients, which row does what. */
crumb_status crumb_exec_plan_steps(crumb_exec *exec);
/* Offsets of everything in one arena; allocates it. */
crumb_status crumb_exec_plan_memory(crumb_exec *exec);

#endif
