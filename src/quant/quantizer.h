/* What a quantizer is: one file in src/quant/ and one row in quantizers.inc.
 *
 * A quantizer turns latent reals into a few levels. Applied at one place of a network it is a *site* (crumb_quant): a weight,
 * or the activation that enters a convolution or linear layer. In the graph a site is an ordinary node whose op is
 * crumb_op_quantize and whose params are the site; its inputs are x and the quantizer's state tensors, so that learned steps
 * get gradients, optimizer slots and a place in checkpoints like any other parameter.
 *
 * Layouts: a weight is [O, ...] with output channel o's values contiguous (count / channels each); an activation is
 * [N, ..., C].  All arithmetic is float: what training sees is bit for bit what `encode` describes,
 *     fake(x)[i] == scale[group of i] * code[i]      (one float multiplication)
 * A scale belongs to the whole tensor, to an output channel, or to `group` consecutive values of a channel (its last group may
 * be smaller).
 */
#ifndef CRUMB_QUANTIZER_H
#define CRUMB_QUANTIZER_H

#include "ops/op.h"

enum { CRUMB_QUANT_STATE_MAX = 4, CRUMB_QUANT_PARAMS_MAX = 128 };

/* Properties a row declares; tests/quant checks each. ODD, IDEMPOTENT and SCALES speak of weights where the row does weights,
 * and hold up to the rounding of float. */
enum {
    CRUMB_QUANT_WEIGHT = 1 << 0,     /* can quantize weights */
    CRUMB_QUANT_ACTIVATION = 1 << 1, /* can quantize activations */
    CRUMB_QUANT_ODD = 1 << 2,        /* Q(-x) = -Q(x) where x is not on a decision boundary */
    CRUMB_QUANT_IDEMPOTENT = 1 << 3, /* Q(Q(x)) = Q(x) with the state of Q(x) computed anew where it is not learned */
    CRUMB_QUANT_SCALES = 1 << 4,     /* Q(a x) = a Q(x) for powers of two a > 0 */
    CRUMB_QUANT_SIGNED = 1 << 5,     /* an activation quantizer with negative levels: it reads the value before the rectifier */
    CRUMB_QUANT_PROJECTS = 1 << 6,   /* has `project`: latent weights are rewritten before each training forward (XNOR-Net) */
    /* An activation's observe moves its state with every training batch (a running range). Without this, an activation wants to
     * be observed only while its state "ready" is 0, and never when it has no such state. */
    CRUMB_QUANT_RUNNING = 1 << 7
};

/* One tensor of a quantizer's state. */
typedef struct crumb_quant_state {
    const char *name; /* "step"; in checkpoints "<layer>.<weight|input>_quant.step" */
    bool per_channel; /* a weight has one value an output channel (equal ones when its rule is per tensor), or one a group of
                       * each channel, channel by channel; else one value */
    bool learned;     /* has a gradient (role PARAM), else STATE */
    float preset;     /* value before the first observe */
    float decay;      /* learned: multiplies the optimizer's weight decay (0: excluded; PACT's alpha: 1) */
} crumb_quant_state;

typedef struct crumb_quantizer crumb_quantizer;

/* A quantizer at one place. */
typedef struct crumb_quant {
    const crumb_quantizer *quantizer;
    _Alignas(16) unsigned char params[CRUMB_QUANT_PARAMS_MAX]; /* quantizer->params_size bytes of it */
    int bits;
    bool weight;      /* else activation */
    int64_t channels; /* output channels of a weight, last dimension of an activation */
    int64_t groups;   /* of each channel of a weight, 1 without grouped scales; both by crumb_quant_fit */
    /* Stochastic quantization (SQ): 1 = quantize, 0 = pass x through. One byte an output channel, or one an element when
     * mask_elements; NULL = quantize everything. Weights only. Borrowed; set between steps by a strategy. */
    const uint8_t *mask;
    bool mask_elements;
} crumb_quant;

/* One call on one site. */
typedef struct crumb_quant_call {
    const crumb_quant *site;
    crumb_shape shape; /* of x */
    int64_t count;     /* elements of x */
    const float *x;
    float *y;                            /* fake */
    float *state[CRUMB_QUANT_STATE_MAX]; /* in the order of quantizer->state */
    int64_t state_count[CRUMB_QUANT_STATE_MAX];
    bool training;
    crumb_rng rng;
    /* grad */
    const float *dy;
    float *dx; /* NULL: not wanted */
    bool add;
    float *dstate[CRUMB_QUANT_STATE_MAX]; /* NULL where not learned or not wanted */
    bool add_state[CRUMB_QUANT_STATE_MAX];
} crumb_quant_call;

/* Integer codes of a tensor: value[i] = scale[crumb_codes_group(i)] * (float)code[i];
 * code = multiply * index + offset with index in 0 .. levels - 1: the index is what a packed file stores. */
typedef struct crumb_codes {
    int16_t *code;
    float *scale;
    int64_t count, groups; /* values, scales */
    int64_t size, channel; /* a scale is for `size` values of each `channel` ones; 0: for count / groups values */
    int levels, multiply, offset;
} crumb_codes;

static inline int64_t crumb_codes_group(const crumb_codes *codes, int64_t i) {
    if (codes->size == 0) {
        return i / (codes->count / codes->groups);
    }
    return i / codes->channel * ((codes->channel + codes->size - 1) / codes->size) + i % codes->channel / codes->size;
}

/* The form fused kernels understand:  c = rint(min(max(x * inverse, lo), hi)),  y = c * step  (float operations in this order,
 * ties to even), gradient to x where lo <= x * inverse <= hi, and
 *     dstep = grad_scale * ( grad_inside * sum_inside dy * (c - x * inverse) + sum_above dy * hi + sum_below dy * lo ).
 * See uniform.h for the plain C of exactly this. */
typedef struct crumb_uniform {
    float step, inverse, lo, hi;
    float grad_scale, grad_inside;
    int learned; /* index of the state tensor that receives dstep, -1: none */
} crumb_uniform;

/* Where the levels of a weight lie. The number that is rounded is
 *     u = gain * x,  or gain * tanh(x);    Q(x) is the nearest of the levels lo, lo + step, .. hi
 * What methods that pull weights to levels go by (SinReQ). Ranges that were computed from x are constants here. */
typedef struct crumb_lattice {
    bool tanh;
    float gain, step, lo, hi;
} crumb_lattice;

struct crumb_quantizer {
    const char *name;   /* as in recipes: "lsq" */
    const char *doc;    /* one line */
    const char *source; /* paper and equation */
    unsigned flags;
    int min_bits, max_bits;
    const crumb_param *params;
    size_t params_size;
    const crumb_quant_state *state; /* ends with a NULL name; at most CRUMB_QUANT_STATE_MAX rows */
    /* Number of levels of one scale group for these bits. */
    int (*levels)(const crumb_quant *site);
    /* Values of a weight's channel that share a scale, by the parameters; 0: all of them. NULL: 0. */
    int64_t (*group)(const crumb_quant *site);
    /* Brings the state up to date with x. Weights: before every fake, also in evaluation (the state of a data-free rule is a
     * function of the weight). Activations: before every fake in training. NULL: nothing to do. */
    void (*observe)(const crumb_quant_call *call);
    /* y = Q(x), every element (the mask is applied by the caller). x and y may be the same buffer. NaN gives a NaN or a level,
     * never undefined behaviour. */
    void (*fake)(const crumb_quant_call *call);
    /* dx and dstate from dy (straight-through rule of the method, visible here). */
    void (*grad)(const crumb_quant_call *call);
    /* codes->code and codes->scale have room for count and max(1, channels * groups) values; fills every member but count, and
     * those that are 0 on entry. */
    void (*encode)(const crumb_quant_call *call, crumb_codes *codes);
    /* True and *uniform filled if fake and grad are of that form at the current state; NULL: never. Once a network trains, the
     * fused kernels then do the work of fake and grad (observe: see CRUMB_QUANT_RUNNING). */
    bool (*uniform)(const crumb_quant_call *call, crumb_uniform *uniform);
    /* Weights whose levels are equally spaced: those of an output channel (of the whole tensor if no state is per channel) at
     * the current state. False, or NULL and no `uniform`: they are not, as where groups of a channel have scales. Called
     * through crumb_quant_lattice. */
    bool (*lattice)(const crumb_quant_call *call, int64_t channel, crumb_lattice *lattice);
    /* Rewrites the latent weight in place before a training forward; only with CRUMB_QUANT_PROJECTS. */
    void (*project)(const crumb_quant_call *call, float *latent);
};

#define CRUMB_QUANTIZER(name) extern const crumb_quantizer crumb_quantizer_##name;
#include "quant/quantizers.inc"
#undef CRUMB_QUANTIZER

extern const crumb_quantizer *const crumb_quantizers[]; /* NULL-terminated, from quantizers.inc */
const crumb_quantizer *crumb_quantizer_find(const char *name);

/* Settles channels and groups of a site for what it quantizes. */
void crumb_quant_fit(crumb_quant *site, crumb_shape shape);
/* Values of the k-th state tensor of a site. */
static inline int64_t crumb_quant_state_count(const crumb_quant *site, int k) {
    return site->weight && site->quantizer->state[k].per_channel ? site->channels * site->groups : 1;
}

/* The lattice of a weight's channel, from `lattice` or from `uniform`. False if there is none, or if it has no step (all
 * weights zero, or not numbers). */
bool crumb_quant_lattice(const crumb_quant_call *call, int64_t channel, crumb_lattice *lattice);
/* Whether channels of the weight have lattices of their own. */
bool crumb_quant_has_channels(const crumb_quant *site);

/* The op of every site: forward = observe, fake, mask; backward = grad, mask. Params: crumb_quant. Inputs: x, then the states
 * in the order of quantizer->state. The op's roles call every state PARAM; whether a state is learned, its row says. A masked
 * element passes its gradient on and has no part in the gradient of the states. */
extern const crumb_op crumb_op_quantize;

/* Prepares *call from an op call of a quantize node (used by crumb_op_quantize, backends, the packer). Of the op call it reads
 * params, inputs, x, y.data, training, rng, dy, dx and add. */
void crumb_quant_call_of(const crumb_op_call *op, crumb_quant_call *call);

/* What to quantize with: a row, its parameters, the bits. quantizer NULL = leave in float. */
typedef struct crumb_quant_choice {
    const crumb_quantizer *quantizer;
    _Alignas(16) unsigned char params[CRUMB_QUANT_PARAMS_MAX];
    int64_t bits; /* wide as an INT parameter: recipes read it through a table */
} crumb_quant_choice;

/* Sets a choice by name with preset parameters; ARGUMENT with the nearest name, or if bits are outside the row's range, or if
 * the row cannot do weights/activations. */
crumb_status crumb_quant_choose(crumb_ctx *ctx, const char *name, bool weight, int bits, crumb_quant_choice *choice);

/* A network-wide choice. Rules are tried in order on the layer's name (shell pattern: * ? [...]); the last match wins; first
 * and last apply before the rules. */
typedef enum crumb_edge { CRUMB_EDGE_SAME, CRUMB_EDGE_FLOAT, CRUMB_EDGE_8BIT } crumb_edge;
enum { CRUMB_QUANT_RULES_MAX = 64 }; /* a rule for each layer of ResNet-56 */
typedef struct crumb_quant_rule {
    char match[128];
    bool set_weights, set_activations;
    crumb_quant_choice weights, activations;
} crumb_quant_rule;
typedef struct crumb_quant_policy {
    crumb_quant_choice weights, activations;
    crumb_edge first, last; /* of the conv/linear layers in graph order; 8BIT: minmax weights, minmax activations */
    bool shortcut;          /* true: residual additions see the quantized activation, false: the float one */
    int rules;
    crumb_quant_rule rule[CRUMB_QUANT_RULES_MAX];
} crumb_quant_policy;

#endif
