/* The table behind quantizers.inc and the op that applies a site to a tensor. */
#include "quant/uniform.h"

#include "base/param.h"

#include <math.h>
#include <string.h>

const crumb_quantizer *const crumb_quantizers[] = {
#define CRUMB_QUANTIZER(name) &crumb_quantizer_##name,
#include "quant/quantizers.inc"
#undef CRUMB_QUANTIZER
    NULL,
};
enum { ROWS = sizeof(crumb_quantizers) / sizeof(crumb_quantizers[0]) - 1 };

const crumb_quantizer *crumb_quantizer_find(const char *name) {
    for (int i = 0; i < ROWS; i++) {
        if (strcmp(crumb_quantizers[i]->name, name) == 0) {
            return crumb_quantizers[i];
        }
    }
    return NULL;
}

static crumb_status fail_unknown(crumb_ctx *ctx, const char *name) {
    const char *names[ROWS];
    for (int i = 0; i < ROWS; i++) {
        names[i] = crumb_quantizers[i]->name;
    }
    const char *nearest = crumb_nearest(name, names, ROWS);
    return nearest != NULL
               ? crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "there is no quantizer '%s'; did you mean '%s'?", name, nearest)
               : crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "there is no quantizer '%s'", name);
}

crumb_status crumb_quant_choose(crumb_ctx *ctx, const char *name, bool weight, int bits, crumb_quant_choice *choice) {
    const crumb_quantizer *row = crumb_quantizer_find(name);
    if (row == NULL) {
        return fail_unknown(ctx, name);
    }
    if ((row->flags & (weight ? CRUMB_QUANT_WEIGHT : CRUMB_QUANT_ACTIVATION)) == 0) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "quantizer %s is not for %s", name, weight ? "weights" : "activations");
    }
    if (bits < row->min_bits || bits > row->max_bits) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "quantizer %s: %d bits is outside %d .. %d", name, bits, row->min_bits,
                          row->max_bits);
    }
    *choice = (crumb_quant_choice){.quantizer = row, .bits = bits};
    crumb_params_preset(row->params, choice->params);
    return CRUMB_OK;
}

static int state_tensors(const crumb_quantizer *row) {
    int states = 0;
    while (row->state[states].name != NULL) {
        states++;
    }
    return states;
}

bool crumb_quant_lattice(const crumb_quant_call *call, int64_t channel, crumb_lattice *lattice) {
    const crumb_quantizer *row = call->site->quantizer;
    crumb_uniform u;
    bool found = false;
    if (call->site->groups > 1) {
        return false;
    }
    if (call->site->weight && row->lattice != NULL) {
        found = row->lattice(call, channel, lattice);
    } else if (call->site->weight && row->uniform != NULL && row->uniform(call, &u)) {
        *lattice = (crumb_lattice){.gain = 1.0f, .step = u.step, .lo = u.lo * u.step, .hi = u.hi * u.step};
        found = true;
    }
    return found && lattice->step >= FLT_MIN && isfinite(lattice->gain * lattice->step);
}

void crumb_quant_fit(crumb_quant *site, crumb_shape shape) {
    site->channels = site->weight && shape.rank > 0 ? shape.dim[0] : crumb_shape_last(shape);
    int64_t size = site->weight && site->channels > 0 ? crumb_shape_count(shape) / site->channels : 1;
    int64_t group = site->weight && site->quantizer->group != NULL ? site->quantizer->group(site) : 0;
    site->groups = group > 0 && size > group ? (size + group - 1) / group : 1;
}

bool crumb_quant_has_channels(const crumb_quant *site) {
    bool any = false;
    for (int k = 0; site->quantizer->state[k].name != NULL; k++) {
        any |= site->weight && site->quantizer->state[k].per_channel;
    }
    return any;
}

void crumb_quant_call_of(const crumb_op_call *op, crumb_quant_call *call) {
    const crumb_quant *site = op->params;
    *call = (crumb_quant_call){
        .site = site,
        .shape = op->x[0].shape,
        .count = crumb_shape_count(op->x[0].shape),
        .x = op->x[0].data,
        .y = op->y.data,
        .training = op->training,
        .rng = op->rng,
        .dy = op->dy,
        .dx = op->dx[0],
        .add = op->add[0],
    };
    for (int k = 0; k + 1 < op->inputs; k++) {
        call->state[k] = op->x[k + 1].data;
        call->state_count[k] = crumb_shape_count(op->x[k + 1].shape);
        call->dstate[k] = site->quantizer->state[k].learned ? op->dx[k + 1] : NULL;
        call->add_state[k] = op->add[k + 1];
    }
}

/* ---- The op. */

static crumb_status infer(crumb_ctx *ctx, const crumb_op *op, const void *params, int inputs, const crumb_shape *x,
                          crumb_op_plan *plan) {
    (void)op;
    const crumb_quant *site = params;
    const crumb_quantizer *row = site->quantizer;
    char text[CRUMB_SHAPE_TEXT];
    if (inputs != 1 + state_tensors(row)) {
        return crumb_fail(ctx, CRUMB_ERROR_SHAPE, "quantize %s: %d inputs, wants x and %d states", row->name, inputs,
                          state_tensors(row));
    }
    int64_t channels = site->weight && x[0].rank > 0 ? x[0].dim[0] : crumb_shape_last(x[0]);
    if (channels != site->channels || channels < 1) {
        return crumb_fail(ctx, CRUMB_ERROR_SHAPE, "quantize %s: %s is %s, the site has %lld channels", row->name,
                          site->weight ? "weight" : "activation", crumb_shape_print(x[0], text), (long long)site->channels);
    }
    for (int k = 0; k + 1 < inputs; k++) {
        if (crumb_shape_count(x[k + 1]) != crumb_quant_state_count(site, k)) {
            return crumb_fail(ctx, CRUMB_ERROR_SHAPE, "quantize %s: state %s is %s, wants %lld values", row->name,
                              row->state[k].name, crumb_shape_print(x[k + 1], text),
                              (long long)crumb_quant_state_count(site, k));
        }
    }
    *plan = (crumb_op_plan){.output = x[0]};
    plan->scratch = site->weight ? (size_t)crumb_shape_count(x[0]) * sizeof(float) : 0; /* a mask may be set at any time */
    return CRUMB_OK;
}

static bool is_quantized(const crumb_quant *site, int64_t i, int64_t channel_size) {
    return site->mask[site->mask_elements ? i : i / channel_size] != 0;
}

static void forward(crumb_op_call *op) {
    crumb_quant_call call;
    crumb_quant_call_of(op, &call);
    const crumb_quant *site = call.site;
    if (site->quantizer->observe != NULL && (site->weight || call.training)) {
        site->quantizer->observe(&call);
    }
    site->quantizer->fake(&call);
    for (int64_t i = 0; site->mask != NULL && i < call.count; i++) {
        if (!is_quantized(site, i, call.count / site->channels)) {
            call.y[i] = call.x[i];
        }
    }
}

/* Every rule is linear in dy. So with a mask: the rule on the quantized elements' dy alone, plus the others' dy as it is. */
static void backward(crumb_op_call *op) {
    crumb_quant_call call;
    crumb_quant_call_of(op, &call);
    const crumb_quant *site = call.site;
    if (site->mask == NULL) {
        site->quantizer->grad(&call);
        return;
    }
    const float *dy = call.dy;
    float *quantized = op->scratch;
    int64_t size = call.count / site->channels;
    for (int64_t i = 0; i < call.count; i++) {
        quantized[i] = is_quantized(site, i, size) ? dy[i] : 0.0f;
    }
    call.dy = quantized;
    site->quantizer->grad(&call);
    for (int64_t i = 0; call.dx != NULL && i < call.count; i++) {
        if (!is_quantized(site, i, size)) {
            call.dx[i] += dy[i];
        }
    }
}

const crumb_op crumb_op_quantize = {
    .name = "quantize",
    .doc = "y = Q(x) by the site's quantizer; the gradient by its straight-through rule",
    .min_inputs = 1,
    .max_inputs = 1 + CRUMB_QUANT_STATE_MAX,
    .input_names = "x state",
    .roles = {CRUMB_DATA, CRUMB_PARAM, CRUMB_PARAM, CRUMB_PARAM, CRUMB_PARAM},
    .params_size = sizeof(crumb_quant),
    .uses = CRUMB_USES_X0,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
