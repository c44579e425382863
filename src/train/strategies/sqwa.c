/* SQWA, stochastic quantized weight averaging (Shin, Boo, Sung, arXiv 2002.00343): the average of several low-bit networks,
 * caught at the low points of a cyclical learning rate, lies near the middle of a flat minimum; quantized again and trained on
 * gently it ends above the networks it was made of.
 *
 *     float     float training (or the recipe's initial weights)
 *     retrain   direct quantization with the steps of least squared error, then training with a cyclical rate high .. low; at
 * the lowest step of the last `captures` cycles (every `spacing`-th) the quantized weights q = Q(w) are captured average   w <-
 * mean of the captures; batch-norm statistics anew. With one step for all captures, K of M levels each make at most (M - 1) K +
 * 1 levels: 15 out of seven ternary networks. The average's own accuracy, with these weights as they are, and its levels a
 * layer are reported tune      the average quantized with a step of its own, trained on at a low rate
 *
 * The paper is known to us by its abstract and introduction: an average of the quantized (not the latent) weights, a frozen
 * step and the values of the table below are our reading, each with its switch. Sums are kept in double: equal sums of equal
 * levels then stay equal, or the levels could not be counted.
 *
 * Everything that is learned is averaged: the quantized weights as q, the others (biases, batch norm, float layers, learned
 * steps) as they are. Quantizers that keep a state "ready" look at the averaged weights as at new ones. */
#include "base/param.h"
#include "quant/parts.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PART_FLOAT = 1, PART_RETRAIN, PART_TUNE };
enum { AVERAGE_QUANTIZED, AVERAGE_LATENT };
enum { STEP_FROZEN, STEP_REFITTED };

typedef struct sqwa_params {
    int64_t float_epochs, captures, spacing, tune_epochs;
    double cycle, high, low, tune_rate;
    int shape, average, step, tune_schedule;
    bool reestimate, measure, keep;
} sqwa_params;

typedef struct sqwa_state {
    int64_t minima; /* low points of the phase in all, and those gone by */
    int64_t passed;
    int64_t captured;
} sqwa_state;

static const char shapes[] = "saw-tooth|triangle|stepped", tune_schedules[] = "cosine|step|constant";

static const sqwa_params *params_of(const crumb_strategy_run *run) {
    return (const sqwa_params *)(const void *)run->params;
}

/* ---- The timeline. */

/* How many epochs of the phase are for retraining: whole cycles, enough for the captures. */
static crumb_status retraining(crumb_ctx *ctx, const sqwa_params *params, const crumb_phase *phase, int64_t *epochs) {
    *epochs = phase->epochs - params->float_epochs - params->tune_epochs;
    double cycles = (double)*epochs / params->cycle;
    int64_t wanted = (params->captures - 1) * params->spacing + 1;
    if (*epochs < 1 || cycles < (double)wanted - 1e-6) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT,
                          "%lld captures want %lld cycles of %g epochs; of %lld epochs, %lld are float and %lld for tuning",
                          (long long)params->captures, (long long)wanted, params->cycle, (long long)phase->epochs,
                          (long long)params->float_epochs, (long long)params->tune_epochs);
    }
    if (fabs(cycles - round(cycles)) > 1e-6) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%lld epochs of retraining are no whole number of cycles of %g epochs",
                          (long long)*epochs, params->cycle);
    }
    return CRUMB_OK;
}

static crumb_status check(crumb_ctx *ctx, const sqwa_params *params, const crumb_timeline *timeline, int64_t *epochs) {
    const crumb_phase *phase = &timeline->phase[timeline->phases - 1];
    if (!crumb_phase_has_weights(phase)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "phase '%s' quantizes no weights", phase->name);
    }
    if (params->float_epochs > 0 && timeline->phases > 1) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "float_epochs: the timeline has %d phases before '%s'",
                          timeline->phases - 1, phase->name);
    }
    return retraining(ctx, params, phase, epochs);
}

/* A parameter of a row by name, as a recipe would set it. */
static crumb_status set(crumb_ctx *ctx, const crumb_param *table, void *out, const char *name, const char *text) {
    const crumb_param *param = crumb_param_find(table, name);
    return param != NULL ? crumb_param_set(ctx, param, out, text) : CRUMB_OK;
}

static crumb_status set_number(crumb_ctx *ctx, const crumb_param *table, void *out, const char *name, double value) {
    char text[32];
    snprintf(text, sizeof(text), "%.9g", value);
    return set(ctx, table, out, name, text);
}

static void set_rate(crumb_phase *phase, double rate) {
    memcpy(phase->optimizer.params, &rate, sizeof(rate)); /* every optimizer's struct starts with it */
}

/* Quantizers that search their step have a parameter `refit`; what others do with theirs is part of them. */
static crumb_status set_step(crumb_ctx *ctx, int step, crumb_quant_choice *choice) {
    return choice->quantizer != NULL
               ? set(ctx, choice->quantizer->params, choice->params, "refit", step == STEP_FROZEN ? "once" : "always")
               : CRUMB_OK;
}

static crumb_status set_steps(crumb_ctx *ctx, int step, crumb_quant_policy *quant) {
    CRUMB_TRY(set_step(ctx, step, &quant->weights));
    for (int i = 0; i < quant->rules; i++) {
        CRUMB_TRY(set_step(ctx, step, &quant->rule[i].weights));
    }
    return CRUMB_OK;
}

static void make_float(crumb_phase *phase, const sqwa_params *params) {
    phase->epochs = params->float_epochs;
    phase->quant = (crumb_quant_policy){0};
    crumb_phase_name(phase, "sqwa-float");
}

static crumb_status make_retrain(crumb_ctx *ctx, crumb_phase *phase, const sqwa_params *params, int64_t epochs) {
    crumb_schedule_choice cyclic = {.schedule = &crumb_schedule_cyclic};
    const crumb_param *table = cyclic.schedule->params;
    char shape[32];
    crumb_params_preset(table, cyclic.params);
    CRUMB_TRY(set(ctx, table, cyclic.params, "shape", crumb_choice_word(shapes, params->shape, shape, sizeof(shape))));
    CRUMB_TRY(set_number(ctx, table, cyclic.params, "cycle", params->cycle));
    CRUMB_TRY(set_number(ctx, table, cyclic.params, "high", 1));
    CRUMB_TRY(set_number(ctx, table, cyclic.params, "low", params->low / params->high));
    phase->schedule = cyclic;
    phase->epochs = epochs;
    set_rate(phase, params->high);
    crumb_phase_name(phase, "sqwa-retrain");
    double apart = (double)params->spacing * params->cycle;
    crumb_phase_note(phase, "%lld capture%s, %g epoch%s apart", (long long)params->captures, params->captures == 1 ? "" : "s",
                     apart, apart == 1 ? "" : "s");
    return set_steps(ctx, params->step, &phase->quant);
}

static crumb_status make_tune(crumb_ctx *ctx, crumb_phase *phase, const sqwa_params *params) {
    static const crumb_schedule *const schedules[] = {&crumb_schedule_cosine, &crumb_schedule_step, &crumb_schedule_constant};
    phase->schedule = (crumb_schedule_choice){.schedule = schedules[params->tune_schedule]};
    crumb_params_preset(phase->schedule.schedule->params, phase->schedule.params);
    if (phase->schedule.schedule == &crumb_schedule_step) { /* one tenth, half way */
        CRUMB_TRY(set(ctx, phase->schedule.schedule->params, phase->schedule.params, "milestones", "[0.5]"));
    }
    phase->epochs = params->tune_epochs;
    set_rate(phase, params->tune_rate);
    crumb_phase_name(phase, "sqwa-tune");
    return set_steps(ctx, params->step, &phase->quant);
}

static crumb_status rewrite(crumb_ctx *ctx, const crumb_strategy_run *run, crumb_timeline *timeline) {
    const sqwa_params *params = params_of(run);
    int at = timeline->phases - 1;
    int64_t epochs = 0;
    CRUMB_TRY(check(ctx, params, timeline, &epochs));
    CRUMB_TRY(crumb_timeline_repeat(ctx, timeline, at, 1 + (params->float_epochs > 0) + (params->tune_epochs > 0)));
    if (params->float_epochs > 0) {
        timeline->phase[at].tag[run->index] = PART_FLOAT;
        make_float(&timeline->phase[at++], params);
    }
    timeline->phase[at].tag[run->index] = PART_RETRAIN;
    CRUMB_TRY(make_retrain(ctx, &timeline->phase[at++], params, epochs));
    if (params->tune_epochs > 0) {
        timeline->phase[at].tag[run->index] = PART_TUNE;
        CRUMB_TRY(make_tune(ctx, &timeline->phase[at], params));
    }
    return CRUMB_OK;
}

/* ---- Sites. */

static bool retrains(const crumb_strategy_run *run, const crumb_trainer *trainer) {
    return trainer->timeline->phase[trainer->phase].tag[run->index] == PART_RETRAIN;
}

/* The quantize node that reads a parameter as its weight, -1: none. */
static int site_of(const crumb_graph *network, int value) {
    for (int i = 0; i < network->nodes; i++) {
        if (crumb_node_weight_site(network, i) != NULL && network->node[i].input[0] == value) {
            return i;
        }
    }
    return -1;
}

/* Weight quantizers that keep what they once saw look again; `all`: also those that only start from it and learn on. */
static void look_again(crumb_graph *network, bool all) {
    for (int i = 0; i < network->nodes; i++) {
        const crumb_quant *site = crumb_node_weight_site(network, i);
        if (site == NULL || (!all && crumb_param_find(site->quantizer->params, "refit") == NULL)) {
            continue;
        }
        for (int k = 0; site->quantizer->state[k].name != NULL; k++) {
            if (strcmp(site->quantizer->state[k].name, "ready") == 0) {
                network->value[network->node[i].input[1 + k]].data[0] = 0;
            }
        }
    }
}

/* ---- Captures. */

/* The sum of a parameter's captures: doubles in a named buffer, which has room for two floats each. */
static double *sum_of(crumb_strategy_run *run, crumb_trainer *trainer, const crumb_value *value) {
    char name[CRUMB_NAME_MAX + 8];
    snprintf(name, sizeof(name), "sum.%s", value->name);
    return (double *)(void *)crumb_strategy_tensor(trainer->ctx, run, name, 2 * crumb_shape_count(value->shape));
}

/* What is captured of a parameter: as it is, or quantized; NULL: no memory. */
static const float *captured(crumb_strategy_run *run, crumb_trainer *trainer, int value) {
    const crumb_value *v = &trainer->network->value[value];
    int node = params_of(run)->average == AVERAGE_QUANTIZED ? site_of(trainer->network, value) : -1;
    if (node < 0) {
        return v->data;
    }
    float *y = crumb_strategy_scratch(trainer->ctx, run, (size_t)crumb_shape_count(v->shape) * sizeof(float));
    if (y != NULL) {
        crumb_graph_fake(trainer->network, node, y);
    }
    return y;
}

static crumb_status capture(crumb_strategy_run *run, crumb_trainer *trainer) {
    for (int v = 0; v < trainer->network->values; v++) {
        const crumb_value *value = &trainer->network->value[v];
        if (value->kind != CRUMB_VALUE_PARAM) {
            continue;
        }
        double *sum = sum_of(run, trainer, value);
        const float *data = sum != NULL ? captured(run, trainer, v) : NULL;
        if (data == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        for (int64_t i = 0; i < crumb_shape_count(value->shape); i++) {
            sum[i] += (double)data[i];
        }
    }
    ((sqwa_state *)run->state)->captured++;
    return CRUMB_OK;
}

/* The accuracy of weights as they stand, with batch-norm statistics of their own. */
static crumb_status measure(const crumb_strategy_run *run, crumb_trainer *trainer, const char *name, int number) {
    crumb_evaluation evaluation;
    CRUMB_TRY(params_of(run)->reestimate ? crumb_trainer_measure(trainer, 0, &evaluation)
                                         : crumb_trainer_evaluate(trainer, &evaluation));
    return number > 0 ? crumb_trainer_report(trainer, evaluation.top1, "sqwa.%s%d_top1", name, number)
                      : crumb_trainer_report(trainer, evaluation.top1, "sqwa.%s_top1", name);
}

static crumb_status after_step(crumb_strategy_run *run, crumb_trainer *trainer) {
    const sqwa_params *params = params_of(run);
    sqwa_state *state = run->state;
    if (!retrains(run, trainer) || !trainer->rate_minimum) {
        return CRUMB_OK;
    }
    int64_t left = state->minima - ++state->passed;
    if (left % params->spacing != 0 || left / params->spacing >= params->captures) {
        return CRUMB_OK;
    }
    CRUMB_TRY(capture(run, trainer));
    if (params->keep) {
        char name[64];
        snprintf(name, sizeof(name), "capture-%d.safetensors", (int)state->captured);
        CRUMB_TRY(crumb_trainer_save(trainer, name));
    }
    return params->measure ? measure(run, trainer, "capture", (int)state->captured) : CRUMB_OK;
}

/* ---- The phase's begin and end. */

static int64_t count_minima(const crumb_trainer *trainer) {
    const crumb_phase *phase = &trainer->timeline->phase[trainer->phase];
    const crumb_schedule_choice *choice = &phase->schedule;
    int64_t minima = 0;
    double steps = (double)trainer->steps;
    for (int64_t i = 0; choice->schedule->minimum != NULL && i < phase->epochs * trainer->steps; i++) {
        double epoch = (double)(i / trainer->steps) + (double)(i % trainer->steps) / steps;
        minima += choice->schedule->minimum(choice->params, epoch, (double)phase->epochs, steps);
    }
    return minima;
}

static crumb_status begin_phase(crumb_strategy_run *run, crumb_trainer *trainer) {
    if (!retrains(run, trainer)) {
        return CRUMB_OK;
    }
    *(sqwa_state *)run->state = (sqwa_state){.minima = count_minima(trainer)};
    for (int v = 0; v < trainer->network->values; v++) {
        const crumb_value *value = &trainer->network->value[v];
        double *sum = value->kind == CRUMB_VALUE_PARAM ? sum_of(run, trainer, value) : NULL;
        if (sum == NULL && value->kind == CRUMB_VALUE_PARAM) {
            return CRUMB_ERROR_MEMORY;
        }
        for (int64_t i = 0; sum != NULL && i < crumb_shape_count(value->shape); i++) {
            sum[i] = 0;
        }
    }
    look_again(trainer->network, false);
    return CRUMB_OK;
}

static crumb_status take_average(crumb_strategy_run *run, crumb_trainer *trainer) {
    const sqwa_state *state = run->state;
    for (int v = 0; v < trainer->network->values; v++) {
        crumb_value *value = &trainer->network->value[v];
        const double *sum = value->kind == CRUMB_VALUE_PARAM ? sum_of(run, trainer, value) : NULL;
        if (sum == NULL && value->kind == CRUMB_VALUE_PARAM) {
            return CRUMB_ERROR_MEMORY;
        }
        for (int64_t i = 0; sum != NULL && i < crumb_shape_count(value->shape); i++) {
            value->data[i] = (float)(sum[i] / (double)state->captured);
        }
    }
    return CRUMB_OK;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Different values among `count`, which are sorted for it. */
static int64_t different(float *values, int64_t count) {
    int64_t found = count > 0;
    qsort(values, (size_t)count, sizeof(*values), ascending);
    for (int64_t i = 1; i < count; i++) {
        found += values[i] != values[i - 1];
    }
    return found;
}

/* True if the channels of a weight, or groups of them, have scales of their own. */
static bool has_channel_scales(const crumb_quant_call *call) {
    for (int k = 0; call->site->quantizer->state[k].name != NULL; k++) {
        for (int64_t o = 1; o < call->state_count[k]; o++) {
            if (call->state[k][o] != call->state[k][0]) {
                return true;
            }
        }
    }
    return false;
}

/* The levels of each averaged layer, or the most of one of its channels or groups where each has its own scale. */
static crumb_status report_levels(crumb_strategy_run *run, crumb_trainer *trainer) {
    static const char suffix[] = ".weight_quant";
    for (int i = 0; i < trainer->network->nodes; i++) {
        if (crumb_node_weight_site(trainer->network, i) == NULL) {
            continue;
        }
        crumb_quant_call call = crumb_node_call(trainer->network, i);
        bool own = has_channel_scales(&call);
        int64_t groups = own ? call.site->channels * call.site->groups : 1, most = 0;
        float *values = crumb_strategy_scratch(trainer->ctx, run, (size_t)call.count * sizeof(float));
        if (values == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        for (int64_t g = 0; g < groups; g++) {
            crumb_span span = own ? crumb_span_of(&call, g) : (crumb_span){0, call.count};
            memcpy(values, call.x + span.at, (size_t)span.count * sizeof(float));
            int64_t levels = different(values, span.count);
            most = levels > most ? levels : most;
        }
        const char *name = trainer->network->node[i].name;
        CRUMB_TRY(crumb_trainer_report(trainer, (double)most, "sqwa.levels.%.*s", (int)(strlen(name) - strlen(suffix)), name));
    }
    return CRUMB_OK;
}

/* The average with its weights as they are: every site lets them pass. */
static crumb_status measure_average(crumb_strategy_run *run, crumb_trainer *trainer) {
    const crumb_graph *network = trainer->network;
    int64_t channels = 0;
    for (int i = 0; i < network->nodes; i++) {
        const crumb_quant *site = crumb_node_weight_site(network, i);
        channels = site != NULL && site->channels > channels ? site->channels : channels;
    }
    uint8_t *none = crumb_strategy_scratch(trainer->ctx, run, (size_t)channels);
    if (none == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    memset(none, 0, (size_t)channels);
    for (int on = 1; on >= 0; on--) {
        for (int i = 0; i < network->nodes; i++) {
            crumb_quant *site = crumb_node_weight_site(network, i);
            if (site != NULL) {
                site->mask = on ? none : NULL;
                site->mask_elements = false;
            }
        }
        if (on) {
            CRUMB_TRY(measure(run, trainer, "average", 0));
        }
    }
    return CRUMB_OK;
}

static crumb_status end_phase(crumb_strategy_run *run, crumb_trainer *trainer) {
    const sqwa_state *state = run->state;
    if (!retrains(run, trainer) || state->captured == 0) {
        return CRUMB_OK;
    }
    CRUMB_TRY(crumb_trainer_report(trainer, (double)state->captured, "sqwa.captures"));
    CRUMB_TRY(take_average(run, trainer));
    CRUMB_TRY(report_levels(run, trainer));
    CRUMB_TRY(measure_average(run, trainer));
    look_again(trainer->network, true);
    if (params_of(run)->reestimate) {
        CRUMB_TRY(crumb_trainer_reestimate(trainer, 0));
    }
    crumb_evaluation evaluation;
    CRUMB_TRY(crumb_trainer_evaluate(trainer, &evaluation));
    return crumb_trainer_report(trainer, evaluation.top1, "sqwa.requantized_top1");
}

#define SQWA(member) offsetof(sqwa_params, member)

static const crumb_param table[] = {
    {"float_epochs", CRUMB_PARAM_INT, SQWA(float_epochs), "0", 0, 1e6, NULL, "of the phase's epochs: float training first"},
    {"captures", CRUMB_PARAM_INT, SQWA(captures), "7", 1, 1e6, NULL, "networks that are averaged"},
    {"spacing", CRUMB_PARAM_INT, SQWA(spacing), "1", 1, 1e6, NULL, "cycles from one capture to the next"},
    {"shape", CRUMB_PARAM_CHOICE, SQWA(shape), "saw-tooth", 0, 0, shapes, "of a cycle, as in the schedule cyclic"},
    {"cycle", CRUMB_PARAM_REAL, SQWA(cycle), "2", 0.001, 1e6, NULL, "epochs a cycle"},
    {"high", CRUMB_PARAM_REAL, SQWA(high), "0.05", 1e-12, 1000, NULL, "learning rate at the top of a cycle"},
    {"low", CRUMB_PARAM_REAL, SQWA(low), "0.01", 0, 1000, NULL, "learning rate at the bottom, where captures are made"},
    {"average", CRUMB_PARAM_CHOICE, SQWA(average), "quantized", 0, 0, "quantized|latent", "which weights are averaged"},
    {"step", CRUMB_PARAM_CHOICE, SQWA(step), "frozen", 0, 0, "frozen|refitted",
     "quantizers with a parameter refit search their step once a phase, or before every use"},
    {"reestimate", CRUMB_PARAM_BOOL, SQWA(reestimate), "true", 0, 0, NULL,
     "batch-norm statistics anew for the average, for its quantization, for measured captures"},
    {"tune_epochs", CRUMB_PARAM_INT, SQWA(tune_epochs), "10", 0, 1e6, NULL, "of the phase's epochs: fine-tuning in the end"},
    {"tune_rate", CRUMB_PARAM_REAL, SQWA(tune_rate), "0.001", 0, 1000, NULL, "its learning rate"},
    {"tune_schedule", CRUMB_PARAM_CHOICE, SQWA(tune_schedule), "cosine", 0, 0, tune_schedules,
     "to nil, a tenth half way, or constant"},
    {"measure", CRUMB_PARAM_BOOL, SQWA(measure), "false", 0, 0, NULL, "report each capture's own accuracy"},
    {"keep", CRUMB_PARAM_BOOL, SQWA(keep), "false", 0, 0, NULL,
     "write each capture into the run folder: capture-1.safetensors"},
    {0},
};

const crumb_strategy crumb_strategy_sqwa = {
    .name = "sqwa",
    .doc = "stochastic quantized weight averaging: cyclical rate, average of low-bit networks, fine-tuning",
    .about =
        "The last phase, which quantizes weights, is cut into float training (float_epochs), retraining with a cyclical rate "
        "(what is left, whole cycles) and fine-tuning (tune_epochs): together its epochs. The quantized weights at the low "
        "points of the last cycles are averaged; the average's accuracy (sqwa.average_top1), that of its quantization "
        "(sqwa.requantized_top1) and its levels a layer (sqwa.levels.LAYER) are reported.",
    .source = "Shin, Boo, Sung, SQWA, arXiv 2002.00343; Izmailov et al., SWA, arXiv 1803.05407",
    .params = table,
    .params_size = sizeof(sqwa_params),
    .state_size = sizeof(sqwa_state),
    .rewrite = rewrite,
    .begin_phase = begin_phase,
    .after_step = after_step,
    .end_phase = end_phase,
};
