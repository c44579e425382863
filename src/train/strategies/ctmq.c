/* CTMQ: cyclic training with multiple quantization steps (Kim, Shin, Del Barrio, arXiv 2206.12794). A network of few bits
 * starts from the trained weights of one with a bit more, down a chain of bit depths for weights and activations together; then
 * the weights of the low-bit network start the accurate one anew, and the chain is walked again.
 *
 *     cycle 1:  float -> 4 -> 3 -> 2 -> 1 bit,   cycle 2:  float (or `restart`) -> ... -> 1 bit,   ...
 *
 * Every step is a phase: it takes over all tensors of the step before as its last epoch left them, starts its optimizer and its
 * schedule afresh, and gets its share of the epochs that the phase it was made from had, so that the whole costs what a plain
 * run of the same recipe costs. The output scale of a weight jumps from step to step (its rms is that of w in float, 0.55 of it
 * at 3 and 4 bits, 0.6 at 2, 0.8 at 1), so batch-norm statistics are computed anew before anything is measured: when a step
 * starts, for the accuracy that the weights bring with them, and when it ends.
 *
 * The paper's chain, epochs and number of cycles are not known to us; presets follow the laboratory's other programs. */
#include "train/trainer.h"

#include <math.h>

enum { FLOAT_BITS = 32 };

typedef struct ctmq_params {
    crumb_list chain;
    int64_t cycles, restart;
    crumb_list shares, rates, decays;
    int64_t images;
} ctmq_params;

typedef struct ctmq_state {
    double best_top1; /* of a cycle's last step */
    int64_t best_cycle;
} ctmq_state;

static const ctmq_params *params_of(const crumb_strategy_run *run) {
    return (const ctmq_params *)(const void *)run->params;
}

/* ---- Steps. A phase's tag is 1 + place, counted over cycles with all of the chain. */

static int bits_at(const ctmq_params *params, int place) {
    return (int)params->chain.at[place % params->chain.count];
}

static double element(const crumb_list *list, int index) {
    return list->count > 0 ? list->at[index] : 1.0;
}

/* Where in the chain cycles from the second on begin; -1: nowhere. */
static int restart_index(const ctmq_params *params) {
    int index = 0;
    while (index < params->chain.count && params->restart != 0 && params->chain.at[index] != (double)params->restart) {
        index++;
    }
    return index < params->chain.count ? index : -1;
}

/* The place after this one, -1 at the end. */
static int next_place(const ctmq_params *params, int place) {
    int next = place + 1, chain = params->chain.count;
    if (next % chain == 0) {
        next += restart_index(params);
    }
    return next < (int)params->cycles * chain ? next : -1;
}

/* ---- The timeline. */

static crumb_status check_list(crumb_ctx *ctx, const ctmq_params *params, const crumb_list *list, const char *name) {
    return list->count == 0 || list->count == params->chain.count
               ? CRUMB_OK
               : crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s has %d values, the chain %d", name, list->count,
                            params->chain.count);
}

static crumb_status check(crumb_ctx *ctx, const ctmq_params *params) {
    const crumb_list *chain = &params->chain;
    for (int i = 0; i < chain->count; i++) {
        double bits = chain->at[i];
        if (bits != rint(bits) || (bits > 8 && bits != FLOAT_BITS)) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "chain: %g is neither 1 .. 8 bits nor 32 for float", bits);
        }
        if (i > 0 && bits >= chain->at[i - 1]) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "chain: %g follows %g; bits have to fall", bits, chain->at[i - 1]);
        }
    }
    if (chain->count == 0) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "chain: is empty");
    }
    CRUMB_TRY(check_list(ctx, params, &params->shares, "shares"));
    CRUMB_TRY(check_list(ctx, params, &params->rates, "rates"));
    CRUMB_TRY(check_list(ctx, params, &params->decays, "decays"));
    return restart_index(params) >= 0 ? CRUMB_OK
                                      : crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "restart: the chain has no step of %lld bits",
                                                   (long long)params->restart);
}

static void set_bits(crumb_quant_policy *quant, int bits) {
    if (bits == FLOAT_BITS) {
        quant->weights.quantizer = quant->activations.quantizer = NULL;
        quant->rules = 0;
    } else {
        quant->weights.bits = quant->activations.bits = bits;
    }
}

/* Makes the copy of a phase into the step at a place. */
static void make_step(const crumb_strategy_run *run, int place, int64_t epochs, crumb_phase *step) {
    const ctmq_params *params = params_of(run);
    int bits = bits_at(params, place), index = place % params->chain.count, cycle = place / params->chain.count + 1;
    if (bits == FLOAT_BITS) {
        crumb_phase_name(step, "ctmq%d-float", cycle);
    } else {
        crumb_phase_name(step, "ctmq%d-%dbit", cycle, bits);
    }
    set_bits(&step->quant, bits);
    double *rates = (double *)(void *)step->optimizer.params; /* every optimizer's struct starts lr, weight_decay */
    rates[0] *= element(&params->rates, index);
    rates[1] *= element(&params->decays, index);
    step->epochs = epochs;
    step->tag[run->index] = place + 1;
}

/* Cuts up the phase at `at`; *after is where the next one stands then. */
static crumb_status cut(crumb_ctx *ctx, const crumb_strategy_run *run, crumb_timeline *timeline, int at, int *after) {
    const ctmq_params *params = params_of(run);
    const crumb_phase *from = &timeline->phase[at];
    double total = 0, sum = 0, epochs = (double)from->epochs;
    int steps = 0;
    if (from->quant.weights.quantizer == NULL && from->quant.activations.quantizer == NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "phase '%s' has no quantizer to walk down with", from->name);
    }
    for (int place = 0; place >= 0; place = next_place(params, place), steps++) {
        total += element(&params->shares, place % params->chain.count);
    }
    CRUMB_TRY(crumb_timeline_repeat(ctx, timeline, at, steps));
    *after = at + steps;
    int64_t given = 0; /* epochs up to a place are rounded, so that the steps' sum to the whole */
    for (int place = 0; place >= 0; place = next_place(params, place), at++) {
        sum += element(&params->shares, place % params->chain.count);
        int64_t upto = llround(epochs * (sum / total));
        make_step(run, place, upto - given, &timeline->phase[at]);
        if (upto == given) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%g epochs leave none for %s", epochs, timeline->phase[at].name);
        }
        given = upto;
    }
    return CRUMB_OK;
}

static crumb_status rewrite(crumb_ctx *ctx, const crumb_strategy_run *run, crumb_timeline *timeline) {
    CRUMB_TRY(check(ctx, params_of(run)));
    for (int at = 0; at < timeline->phases;) {
        CRUMB_TRY(cut(ctx, run, timeline, at, &at));
    }
    return CRUMB_OK;
}

/* ---- The run. */

/* Accuracy with statistics of the weights as they are now, which stay. */
static crumb_status measure(const crumb_strategy_run *run, crumb_trainer *trainer, const char *what, double *top1) {
    const ctmq_params *params = params_of(run);
    int place = trainer->timeline->phase[trainer->phase].tag[run->index] - 1;
    crumb_evaluation evaluation;
    CRUMB_TRY(crumb_trainer_reestimate(trainer, params->images));
    CRUMB_TRY(crumb_trainer_evaluate(trainer, &evaluation));
    *top1 = evaluation.top1;
    return crumb_trainer_report(trainer, evaluation.top1, "ctmq.cycle%d.bits%d.%s", place / params->chain.count + 1,
                                bits_at(params, place), what);
}

static bool is_step(const crumb_strategy_run *run, const crumb_trainer *trainer, int phase) {
    return phase >= 0 && phase < trainer->timeline->phases && trainer->timeline->phase[phase].tag[run->index] > 0;
}

/* The first step has nothing to measure unless the recipe gave it weights. */
static crumb_status begin_phase(crumb_strategy_run *run, crumb_trainer *trainer) {
    double top1;
    bool has_weights = trainer->phase > 0 || trainer->recipe->model.init[0] != '\0';
    return is_step(run, trainer, trainer->phase) && has_weights ? measure(run, trainer, "start_top1", &top1) : CRUMB_OK;
}

static crumb_status end_phase(crumb_strategy_run *run, crumb_trainer *trainer) {
    const ctmq_params *params = params_of(run);
    ctmq_state *state = run->state;
    double top1;
    if (!is_step(run, trainer, trainer->phase)) {
        return CRUMB_OK;
    }
    CRUMB_TRY(measure(run, trainer, "top1", &top1));
    int place = trainer->timeline->phase[trainer->phase].tag[run->index] - 1, cycle = place / params->chain.count + 1;
    if (place % params->chain.count != params->chain.count - 1) {
        return CRUMB_OK;
    }
    if (state->best_cycle == 0 || top1 > state->best_top1) {
        *state = (ctmq_state){.best_top1 = top1, .best_cycle = cycle};
    }
    CRUMB_TRY(crumb_trainer_report(trainer, top1, "ctmq.cycle%d.top1", cycle));
    return crumb_trainer_report(trainer, (double)state->best_cycle, "ctmq.best_cycle");
}

#define AT(member) offsetof(ctmq_params, member)
static const crumb_param table[] = {
    {"chain", CRUMB_PARAM_LIST, AT(chain), "[32, 4, 3, 2, 1]", 1, FLOAT_BITS, NULL,
     "bits of weights and activations, step after step; 32: float"},
    {"cycles", CRUMB_PARAM_INT, AT(cycles), "2", 1, 50, NULL, "how often the chain is walked"},
    {"restart", CRUMB_PARAM_INT, AT(restart), "0", 0, FLOAT_BITS, NULL,
     "bits at which cycles from the second on begin; 0: the chain's first"},
    {"shares", CRUMB_PARAM_LIST, AT(shares), "[]", 0.001, 1e6, NULL,
     "parts of the epochs that the chain's steps get; empty: all the same"},
    {"rates", CRUMB_PARAM_LIST, AT(rates), "[]", 0, 1e6, NULL, "multiples of the learning rate, one a step; empty: 1"},
    {"decays", CRUMB_PARAM_LIST, AT(decays), "[]", 0, 1e6, NULL, "multiples of the weight decay, one a step; empty: 1"},
    {"images", CRUMB_PARAM_INT, AT(images), "10000", 0, 2147483647.0, NULL,
     "training images for batch-norm statistics at a step's start and end; 0: all"},
    {0},
};

const crumb_strategy crumb_strategy_ctmq = {
    .name = "ctmq",
    .doc = "walks down a chain of bit depths, each step from the weights of the one before, in cycles",
    .about = "Every phase becomes `cycles` walks down `chain`, weights and activations together, and its epochs are shared out "
             "among the steps. A step starts from all values that the one before left, with a fresh optimizer and schedule. "
             "Batch-norm statistics are computed anew at its start and end, and the accuracies there are reported.",
    .source = "Kim, Shin, Del Barrio, CTMQ, arXiv 2206.12794",
    .params = table,
    .params_size = sizeof(ctmq_params),
    .state_size = sizeof(ctmq_state),
    .rewrite = rewrite,
    .begin_phase = begin_phase,
    .end_phase = end_phase,
};
