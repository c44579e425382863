/* What an op is: one file in src/ops/ with shape rule, forward and backward in plain C, and one row in ops.inc.
 *
 * These functions are the specification. They are compiled for float (CRUMB_REAL = float, the library) and for double (the
 * gradient checks); op code says crumb_real and never float. Backends override them with faster versions of equal meaning.
 *
 * Conventions
 * - Layouts: see tensor.h. One output per op.
 * - An input is DATA (differentiable activation), PARAM (learned), STATE (updated by forward when training, e.g. running
 *   statistics; no gradient) or LABEL (no gradient). The graph owns all memory.
 * - backward reads dy and writes dx[i] for each i whose dx[i] is not NULL: overwriting when add[i] is false, adding when it
 *   is true (a value with several consumers). Nothing is zeroed beforehand.
 * - `saved` lives from forward to backward of the same step; `scratch` only during one call. Both are given whenever the plan
 *   asks for them, but `saved` may be NULL in a forward with training = false that no backward follows.
 * - The buffers of a call do not overlap, except that one value may be several inputs: add(x, x) gets the same dx twice, the
 *   second time with add = true. Gradients are therefore written in the order of the inputs.
 * - forward with training = false neither updates STATE nor draws random numbers.
 */
#ifndef CRUMB_OP_H
#define CRUMB_OP_H

#include "base/rng.h"
#include "tensor/tensor.h"

#ifndef CRUMB_REAL
#define CRUMB_REAL float
#endif
typedef CRUMB_REAL crumb_real;

enum { CRUMB_INPUTS_MAX = 8 };

typedef enum crumb_role { CRUMB_DATA, CRUMB_PARAM, CRUMB_STATE, CRUMB_LABEL } crumb_role;

/* The answers of an op's shape rule. */
typedef struct crumb_op_plan {
    crumb_shape output;
    size_t saved;   /* bytes kept from forward to backward */
    size_t scratch; /* bytes needed during forward or backward */
} crumb_op_plan;

typedef struct crumb_op_call {
    const void *params;
    int inputs;
    crumb_tensor x[CRUMB_INPUTS_MAX]; /* in call order; STATE inputs are written through */
    crumb_tensor y;
    void *saved, *scratch;
    bool training;
    crumb_rng rng; /* this node's random stream at this step (dropout, stochastic rounding) */
    /* backward only */
    const void *dy;
    void *dx[CRUMB_INPUTS_MAX]; /* NULL: not wanted */
    bool add[CRUMB_INPUTS_MAX];
} crumb_op_call;

/* What backward reads besides dy, `saved` and PARAM/STATE inputs; what is not listed may be overwritten after the forward pass. */
enum { CRUMB_USES_X0 = 1, CRUMB_USES_X1 = 2, CRUMB_USES_X = 0xff, CRUMB_USES_Y = 0x100 };

typedef struct crumb_op {
    const char *name; /* as in ONNX or PyTorch, snake_case */
    const char *doc;  /* one line with the formula */
    int min_inputs, max_inputs;
    const char *input_names;                    /* "x weight bias" */
    crumb_role roles[CRUMB_INPUTS_MAX];          /* of inputs; the last given one repeats for variadic ops */
    const crumb_param *params;
    size_t params_size;
    unsigned uses;
    /* The shape rule, called through crumb_op_infer alone. Errors name the op and the offending shapes. */
    crumb_status (*infer)(crumb_ctx *ctx, const struct crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan);
    void (*forward)(crumb_op_call *call);
    void (*backward)(crumb_op_call *call);       /* NULL: not differentiable */
    double (*flops)(const void *params, int inputs, const crumb_shape *x, crumb_shape y); /* forward; multiply-add = 2; NULL: 0 */
} crumb_op;

/* The op's shape rule behind what holds for all: the number of inputs fits, every parameter is within its row's range. */
crumb_status crumb_op_infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                            crumb_op_plan *plan);

/* In the double build every descriptor gets a suffix, so both builds link into one test program. */
#ifdef CRUMB_REAL_IS_DOUBLE
#define CRUMB_OP_NAME(name) crumb_op_##name##_f64
#else
#define CRUMB_OP_NAME(name) crumb_op_##name
#endif

#define CRUMB_OP(name) extern const crumb_op crumb_op_##name, crumb_op_##name##_f64;
#include "ops/ops.inc"
#undef CRUMB_OP

extern const crumb_op *const crumb_ops[]; /* NULL-terminated, from ops.inc */
const crumb_op *crumb_op_find(const char *name);

/* dst[i] = value or dst[i] += value, by the call's accumulate rule. */
static inline void crumb_put(crumb_real *dst, crumb_real value, bool add) {
    *dst = add ? *dst + value : value;
}

#endif
