/* WaveQ: learns the number of bits of each layer's weights through the period of SinReQ's sine (Elthakeb et al., arXiv
 * 2003.00146). A layer has a real width b, trained with the weights by the same optimizer:
 *
 *     loss + s(e) sum over layers of mean sin^2(pi (f(b) u + p)) / 2^(power b)  +  s_b(e) sum over layers of b
 *     dR/db = (d mean / db - power ln 2 mean) / 2^(power b)
 *
 *     s(e) = strength (1 + tanh((e - centre) / width)) / 2,   s_b constant, or bits_strength (s(e) - s'(e)), s' centred at
 * bits_end
 *
 * The quantizer works with ceil(b) bits, b between 1 and 8. f(b) is the quantizer's own period at b bits (sine.h), so that at a
 * whole b the minima are its levels; `period: plain` is the paper's f = 2^b - 1, p = 0 for u in [-1, 1], whose minima at even
 * numerators lie half way between two levels of DoReFa. For the last `frozen` part of the run the widths are ceil(b) and stay,
 * and the sine goes on at these.
 *
 * Layers that the policy gives bits or a quantizer of their own (edges, rules) keep them. A layer that reaches 1 bit has no
 * lattice any more and stays there. Learned widths become rules of the phase's policy, so that saved networks describe
 * themselves. */
#include "train/strategies/sine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONSTANT, HUMP };
enum { BITS, GRADIENT, SLOT, NUMBERS = SLOT + CRUMB_SLOTS_MAX }; /* of a layer's tensor */

typedef struct waveq_params {
    double strength, centre, width;
    double bits_strength, bits_end;
    int bits_profile, weights, period;
    int64_t power, start, least;
    double rate, frozen;
} waveq_params;

static const waveq_params *params_of(const crumb_strategy_run *run) {
    return (const waveq_params *)(const void *)run->params;
}

/* The learned numbers of a layer, NULL if it has none. */
static float *learned(const crumb_strategy_run *run, const crumb_node *node) {
    for (int i = 0; i < run->tensors; i++) {
        if (strcmp(run->tensor[i].name, node->name) == 0) {
            return run->tensor[i].data;
        }
    }
    return NULL;
}

/* The same if the node is a weight's quantizer in this phase. */
static float *learned_site(const crumb_strategy_run *run, const crumb_trainer *trainer, int node) {
    const crumb_quant *site = crumb_node_site(trainer->network, node);
    return site != NULL && site->weight ? learned(run, &trainer->network->node[node]) : NULL;
}

/* Whether the widths are fixed for a step of the run, counted from 0. */
static bool is_frozen(const crumb_strategy_run *run, const crumb_trainer *trainer, int64_t step) {
    return (double)step >= (1 - params_of(run)->frozen) * (double)(trainer->steps * trainer->total_epochs);
}

/* ---- Bits of sites and of the policy that describes them. */

static crumb_status set_rule(crumb_ctx *ctx, crumb_quant_policy *policy, const crumb_node *node, const crumb_quant *site) {
    int length = (int)(strrchr(node->name, '.') - node->name); /* "<layer>.weight_quant" */
    int at = 0;
    while (at < policy->rules && (strncmp(policy->rule[at].match, node->name, (size_t)length) != 0 ||
                                  policy->rule[at].match[length] != '\0' || policy->rule[at].set_activations)) {
        at++;
    }
    if (at == CRUMB_QUANT_RULES_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: a policy has room for the learned bits of %d layers", node->name,
                          CRUMB_QUANT_RULES_MAX);
    }
    crumb_quant_rule *rule = &policy->rule[at];
    *rule = (crumb_quant_rule){.set_weights = true, .weights = {.quantizer = site->quantizer, .bits = site->bits}};
    snprintf(rule->match, sizeof(rule->match), "%.*s", length, node->name);
    memcpy(rule->weights.params, site->params, sizeof(rule->weights.params));
    policy->rules += at == policy->rules;
    return CRUMB_OK;
}

/* Gives every learned layer its bits, in the network and in the policies of this phase and the next. */
static crumb_status apply(crumb_strategy_run *run, crumb_trainer *trainer) {
    crumb_phase *phase = &trainer->timeline->phase[trainer->phase];
    bool more = trainer->phase + 1 < trainer->timeline->phases;
    for (int i = 0; i < trainer->network->nodes; i++) {
        const float *numbers = learned_site(run, trainer, i);
        if (numbers == NULL) {
            continue;
        }
        const crumb_node *node = &trainer->network->node[i];
        crumb_quant *site = crumb_node_site(trainer->network, i);
        site->bits = (int)ceilf(numbers[BITS]);
        CRUMB_TRY(set_rule(trainer->ctx, &phase->quant, node, site));
        if (more && phase[1].quant.weights.quantizer == site->quantizer) {
            CRUMB_TRY(set_rule(trainer->ctx, &phase[1].quant, node, site));
        }
    }
    return CRUMB_OK;
}

/* ---- Hooks. */

static float within(const waveq_params *params, const crumb_quantizer *quantizer, float bits) {
    float least = (float)(params->least > quantizer->min_bits ? params->least : quantizer->min_bits);
    float most = (float)quantizer->max_bits;
    bits = bits > least ? bits : least; /* NaN: least */
    return bits < most ? bits : most;
}

/* A layer's tensor, made if the layer has the policy's common choice. */
static crumb_status take_layer(crumb_strategy_run *run, crumb_trainer *trainer, int index) {
    const waveq_params *params = params_of(run);
    const crumb_phase *phase = &trainer->timeline->phase[trainer->phase];
    const crumb_quant_choice *common = &phase->quant.weights;
    const crumb_node *node = &trainer->network->node[index];
    const crumb_quant *site = crumb_node_site(trainer->network, index);
    float *numbers = learned(run, node);
    if (numbers == NULL && (site->quantizer != common->quantizer || site->bits != common->bits)) {
        return CRUMB_OK;
    }
    if (site->quantizer->lattice == NULL && site->quantizer->uniform == NULL) {
        return crumb_fail(trainer->ctx, CRUMB_ERROR_ARGUMENT, "the levels of quantizer %s are not equally spaced",
                          site->quantizer->name);
    }
    if (site->groups > 1) {
        return crumb_fail(trainer->ctx, CRUMB_ERROR_ARGUMENT, "%s: quantizer %s has %d steps an output channel, not one",
                          node->name, site->quantizer->name, (int)site->groups);
    }
    if (numbers == NULL) {
        numbers = crumb_strategy_tensor(trainer->ctx, run, node->name, NUMBERS);
        if (numbers == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        numbers[BITS] = within(params, site->quantizer, (float)(params->start > 0 ? params->start : site->bits));
    }
    if (!phase->keep_optimizer) {
        memset(numbers + SLOT, 0, CRUMB_SLOTS_MAX * sizeof(*numbers));
    }
    return CRUMB_OK;
}

static crumb_status begin_phase(crumb_strategy_run *run, crumb_trainer *trainer) {
    for (int i = 0; i < trainer->network->nodes; i++) {
        const crumb_quant *site = crumb_node_site(trainer->network, i);
        if (site != NULL && site->weight) {
            CRUMB_TRY(take_layer(run, trainer, i));
        }
    }
    return apply(run, trainer);
}

static double bits_strength(const waveq_params *params, double progress) {
    if (params->bits_profile == CONSTANT) {
        return params->bits_strength;
    }
    return params->bits_strength * (crumb_sine_rise(progress, params->centre, params->width) -
                                    crumb_sine_rise(progress, params->bits_end, params->width));
}

static crumb_status add_gradient(crumb_strategy_run *run, crumb_trainer *trainer, double *extra_loss) {
    const waveq_params *params = params_of(run);
    double progress = crumb_sine_progress(trainer), power = (double)params->power;
    double strength = params->strength * crumb_sine_rise(progress, params->centre, params->width);
    double cost = bits_strength(params, progress);
    bool frozen = is_frozen(run, trainer, trainer->total_step);
    for (int i = 0; i < trainer->network->nodes; i++) {
        float *numbers = learned_site(run, trainer, i);
        crumb_sine_term term = {0};
        if (numbers == NULL) {
            continue;
        }
        numbers[BITS] = frozen ? ceilf(numbers[BITS]) : numbers[BITS];
        double bits = (double)numbers[BITS], share = exp2(-power * bits);
        const crumb_sine sine = {.weights = params->weights, .bits = bits, .plain = params->period != 0};
        if (strength > 0) {
            crumb_sine_add(trainer, i, &sine, strength * share, &term);
        }
        numbers[GRADIENT] = (float)(strength * share * (term.slope - power * log(2) * term.mean) + cost);
        *extra_loss += strength * share * term.mean + (frozen ? 0 : cost * bits);
    }
    return CRUMB_OK;
}

/* Reports the mean over all learned layers' weights. */
static crumb_status report_mean(const crumb_strategy_run *run, crumb_trainer *trainer) {
    double sum = 0, count = 0;
    for (int i = 0; i < trainer->network->nodes; i++) {
        const float *numbers = learned_site(run, trainer, i);
        if (numbers != NULL) {
            double weights = (double)crumb_shape_count(trainer->network->value[trainer->network->node[i].input[0]].shape);
            sum += weights * ceil((double)numbers[BITS]);
            count += weights;
        }
    }
    return count > 0 ? crumb_trainer_report(trainer, sum / count, "waveq.mean_bits") : CRUMB_OK;
}

/* One step of the phase's optimizer on a layer's width; true if its bits change. */
static bool move(const crumb_strategy_run *run, const crumb_trainer *trainer, int node, float *numbers) {
    const crumb_optimizer_choice *choice = &trainer->timeline->phase[trainer->phase].optimizer;
    const crumb_quant *site = crumb_node_site(trainer->network, node);
    float *slot[CRUMB_SLOTS_MAX];
    for (int k = 0; k < CRUMB_SLOTS_MAX; k++) {
        slot[k] = numbers + SLOT + k;
    }
    double rate = trainer->rate * params_of(run)->rate;
    choice->optimizer->step(choice->params, numbers + BITS, numbers + GRADIENT, slot, 1, rate, 0, trainer->optimizer_step);
    numbers[BITS] = within(params_of(run), site->quantizer, numbers[BITS]);
    return (int)ceilf(numbers[BITS]) != site->bits;
}

static crumb_status after_step(crumb_strategy_run *run, crumb_trainer *trainer) {
    bool changed = false, frozen = is_frozen(run, trainer, trainer->total_step - 1);
    for (int i = 0; i < trainer->network->nodes && !frozen; i++) {
        float *numbers = learned_site(run, trainer, i);
        changed |= numbers != NULL && move(run, trainer, i, numbers);
    }
    if (changed) {
        trainer->result.best_top1 = NAN; /* it was of other bits */
        CRUMB_TRY(apply(run, trainer));
    }
    return trainer->step == trainer->steps ? report_mean(run, trainer) : CRUMB_OK;
}

static crumb_status end_phase(crumb_strategy_run *run, crumb_trainer *trainer) {
    for (int i = 0; i < trainer->network->nodes; i++) {
        const float *numbers = learned_site(run, trainer, i);
        const char *name = trainer->network->node[i].name;
        if (numbers != NULL) {
            CRUMB_TRY(crumb_trainer_report(trainer, (double)numbers[BITS], "waveq.width.%.*s", (int)(strrchr(name, '.') - name),
                                           name));
        }
    }
    return CRUMB_OK;
}

#define AT(member) offsetof(waveq_params, member)
static const crumb_param table[] = {
    {"strength", CRUMB_PARAM_REAL, AT(strength), "1", 0, 1e6, NULL, "of the sine"},
    {"centre", CRUMB_PARAM_REAL, AT(centre), "0.2", 0, 1, NULL, "where the sine's strength rises, share of the run"},
    {"width", CRUMB_PARAM_REAL, AT(width), "0.02", 0.0001, 10, NULL, "of the rise, share of the run"},
    {"bits_strength", CRUMB_PARAM_REAL, AT(bits_strength), "0.03", 0, 1e6, NULL, "what a bit of a layer costs"},
    {"bits_profile", CRUMB_PARAM_CHOICE, AT(bits_profile), "constant", 0, 0, "constant|hump",
     "a bit's cost all along, or from `centre` to `bits_end`"},
    {"bits_end", CRUMB_PARAM_REAL, AT(bits_end), "0.8", 0, 1, NULL, "end of the hump, share of the run"},
    {"power", CRUMB_PARAM_INT, AT(power), "1", 0, 2, NULL, "the sine is divided by 2^(power * bits)"},
    {"weights", CRUMB_PARAM_CHOICE, AT(weights), "rounded", 0, 0, CRUMB_SINE_WEIGHTS, CRUMB_SINE_WEIGHTS_DOC},
    {"period", CRUMB_PARAM_CHOICE, AT(period), "quantizer", 0, 0, "quantizer|plain",
     "minima at the quantizer's levels, or at multiples of 1 / (2^bits - 1)"},
    {"start", CRUMB_PARAM_INT, AT(start), "8", 0, 8, NULL, "first width, bits; 0: the recipe's"},
    {"least", CRUMB_PARAM_INT, AT(least), "1", 1, 8, NULL, "smallest width, bits"},
    {"rate", CRUMB_PARAM_REAL, AT(rate), "1", 0, 1e6, NULL, "learning rate of the widths, multiple of the weights'"},
    {"frozen", CRUMB_PARAM_REAL, AT(frozen), "0.2", 0, 1, NULL, "last part of the run, with widths rounded up and fixed"},
    {0},
};

const crumb_strategy crumb_strategy_waveq = {
    .name = "waveq",
    .doc = "learns the bits of each layer's weights through the period of a sine in the loss",
    .about = "The timeline stays as it is. Layers with the recipe's common weight quantizer start at `start` bits and learn "
             "their widths until the last `frozen` part of the run, in which the widths are whole. The mean of the bits is "
             "reported every epoch, each layer's width at the end of a phase.",
    .source = "Elthakeb et al., WaveQ, arXiv 2003.00146",
    .params = table,
    .params_size = sizeof(waveq_params),
    .begin_phase = begin_phase,
    .resume = apply,
    .add_gradient = add_gradient,
    .after_step = after_step,
    .end_phase = end_phase,
};
