/* SinReQ: sinusoidal regularisation for low-bit training (Elthakeb, Pilligundla, Esmaeilzadeh, arXiv 1905.01416).
 *
 *     loss + strength * sum over layers of mean over weights of sin^2(pi (u + shift) / step)
 *
 * The minima are the levels of each layer's quantizer (sine.h), so a layer's bits set its period. Which layers have the term,
 * the policy says: those with at most `max_bits` bits and equally spaced levels.
 *
 * The paper's code takes the sine of the raw weight. DoReFa rounds tanh(w) / max|tanh(w)|: on raw weights the minima are not
 * where its levels are, and small weights lie on the crest of the sine (mean R 0.955 at 3 bits for a standard deviation of
 * 0.02), where nothing pulls. So the default is the number that is rounded; `weights: raw` is the paper's form. */
#include "train/strategies/sine.h"

typedef struct sinreq_params {
    double strength;
    int profile;
    double centre, width;
    int weights;
    int64_t max_bits;
} sinreq_params;

enum { CONSTANT, RISING };

static double strength_now(const sinreq_params *params, const crumb_trainer *trainer) {
    return params->profile == CONSTANT
               ? params->strength
               : params->strength * crumb_sine_rise(crumb_sine_progress(trainer), params->centre, params->width);
}

static crumb_status add_gradient(crumb_strategy_run *run, crumb_trainer *trainer, double *extra_loss) {
    const sinreq_params *params = (const sinreq_params *)(const void *)run->params;
    const crumb_sine sine = {.weights = params->weights};
    double strength = strength_now(params, trainer);
    for (int i = 0; i < trainer->network->nodes && strength > 0; i++) {
        const crumb_quant *site = crumb_node_site(trainer->network, i);
        crumb_sine_term term;
        if (site != NULL && site->bits <= params->max_bits && crumb_sine_add(trainer, i, &sine, strength, &term)) {
            *extra_loss += strength * term.mean;
        }
    }
    return CRUMB_OK;
}

#define AT(member) offsetof(sinreq_params, member)
static const crumb_param table[] = {
    {"strength", CRUMB_PARAM_REAL, AT(strength), "1", 0, 1e6, NULL, "of the term, which is at most 1 a layer"},
    {"profile", CRUMB_PARAM_CHOICE, AT(profile), "constant", 0, 0, "constant|rising",
     "the strength all along, or rising as (1 + tanh((done - centre) / width)) / 2, done: share of the run"},
    {"centre", CRUMB_PARAM_REAL, AT(centre), "0.2", 0, 1, NULL, "of the rise, share of the run"},
    {"width", CRUMB_PARAM_REAL, AT(width), "0.02", 0.0001, 10, NULL, "of the rise, share of the run"},
    {"weights", CRUMB_PARAM_CHOICE, AT(weights), "rounded", 0, 0, CRUMB_SINE_WEIGHTS, CRUMB_SINE_WEIGHTS_DOC},
    {"max_bits", CRUMB_PARAM_INT, AT(max_bits), "5", 1, 8, NULL, "layers with more bits are left alone"},
    {0},
};

const crumb_strategy crumb_strategy_sinreq = {
    .name = "sinreq",
    .doc = "adds sin^2 of the weights to the loss, zero at the quantizer's levels, so that weights drift there",
    .about = "The timeline stays as it is. At each step every layer of few bits adds its term to the loss, with the period "
             "and phase of its own quantizer; what they add is the log's extra_loss.",
    .source = "Elthakeb et al., SinReQ, arXiv 1905.01416",
    .params = table,
    .params_size = sizeof(sinreq_params),
    .add_gradient = add_gradient,
};
