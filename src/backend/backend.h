/* How a backend offers faster versions of ops: an ordered list of rows (cpu/cpu.inc), best first.
 *
 * A row implements a run of consecutive nodes, its pattern: {"conv2d"} or {"batch_norm", "add", "relu", "quantize"}. The planner
 * walks the node list; at each node the first row wins whose pattern matches (each node of the run feeds the next one and nobody
 * else), whose ISA bits the CPU has, whose `supports` agrees and whose `prepare` does not refuse. Where no row is left, the op's
 * reference runs. Results must equal the reference's within the bound that the row's header states; integer-valued results
 * exactly.
 *
 * Seen from the row, a run has external inputs, numbered in order: those of the first node, then those of the second without the
 * chained one, and so on; and one output, the last node's. Values inside the run need not exist in memory. */
#ifndef CRUMB_BACKEND_H
#define CRUMB_BACKEND_H

#include "ops/op.h"

enum { CRUMB_PATTERN_MAX = 6, CRUMB_EXTERNAL_MAX = 16 };

/* One node of a run, as the planner presents it. */
typedef struct crumb_run_node {
    const crumb_op *op;
    const void *params;
    int inputs;
    int external[CRUMB_INPUTS_MAX]; /* index of the external input, or -1 for the chained value */
    crumb_shape x[CRUMB_INPUTS_MAX];
    crumb_shape y;
} crumb_run_node;

typedef struct crumb_run_query {
    crumb_ctx *ctx;
    int nodes;
    crumb_run_node node[CRUMB_PATTERN_MAX];
    int inputs; /* external */
    crumb_shape x[CRUMB_EXTERNAL_MAX];
    crumb_role roles[CRUMB_EXTERNAL_MAX];
    bool wants_dx[CRUMB_EXTERNAL_MAX]; /* gradient needed (never, when the exec plans no backward) */
    bool backward;
    int threads;
} crumb_run_query;

/* Answers of prepare. */
typedef struct crumb_run_plan {
    void *state;      /* the row's own plan object; freed by release */
    size_t saved;     /* bytes kept from forward to backward */
    size_t scratch;   /* bytes during one call */
    unsigned uses;    /* bit i: backward reads external input i;  CRUMB_USES_OUTPUT: reads the output */
} crumb_run_plan;
enum { CRUMB_USES_OUTPUT = 1 << 30 };

typedef struct crumb_run_call {
    const crumb_run_query *query;
    void *state;
    float *x[CRUMB_EXTERNAL_MAX];
    float *y;
    void *saved, *scratch;
    bool training;
    crumb_rng rng[CRUMB_PATTERN_MAX]; /* one stream a node */
    const float *dy;
    float *dx[CRUMB_EXTERNAL_MAX]; /* NULL: not wanted */
    bool add[CRUMB_EXTERNAL_MAX];
} crumb_run_call;

typedef struct crumb_backend_row {
    const char *name;                       /* "conv2d_onednn"; shown in plans */
    const char *pattern[CRUMB_PATTERN_MAX + 1]; /* op names, NULL-terminated */
    uint32_t isa;                           /* CRUMB_CPU_ bits needed */
    bool (*supports)(const crumb_run_query *query); /* NULL: whatever matches */
    /* Makes the plan; UNSUPPORTED: the next row is asked. NULL: all zero, uses everything. */
    crumb_status (*prepare)(const crumb_run_query *query, crumb_run_plan *plan);
    void (*release)(crumb_ctx *ctx, void *state);   /* NULL: nothing to free */
    void (*forward)(crumb_run_call *call);
    void (*backward)(crumb_run_call *call);         /* NULL: the row is for plans without backward */
} crumb_backend_row;

#define CRUMB_BACKEND(name) extern const crumb_backend_row crumb_backend_##name;
#include "backend/cpu/cpu.inc"
#undef CRUMB_BACKEND
extern const crumb_backend_row *const crumb_backend_rows[]; /* NULL-terminated, best first, from cpu.inc */

#endif
