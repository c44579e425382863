/* The timeline of a recipe: one phase, rewritten by each strategy in turn, then checked; what strategies rewrite it with; its
 * text. */
#include "base/param.h"
#include "base/text.h"
#include "train/recipe.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char preset_name[] = "train";

static void first_phase(const crumb_recipe *recipe, crumb_phase *phase) {
    memcpy(phase->name, preset_name, sizeof(preset_name));
    phase->quant = recipe->quant;
    phase->optimizer = recipe->optimizer;
    phase->schedule = recipe->schedule;
    phase->epochs = recipe->train.epochs;
}

static crumb_status check_choice(crumb_ctx *ctx, const crumb_phase *phase, const crumb_quant_choice *choice) {
    const crumb_quantizer *quantizer = choice->quantizer;
    if (quantizer != NULL && (choice->bits < quantizer->min_bits || choice->bits > quantizer->max_bits)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "phase '%s': %s with %" PRId64 " bits is outside %d .. %d", phase->name,
                          quantizer->name, choice->bits, quantizer->min_bits, quantizer->max_bits);
    }
    return CRUMB_OK;
}

static crumb_status check_phase(crumb_ctx *ctx, const crumb_phase *phase) {
    const crumb_quant_policy *quant = &phase->quant;
    if (phase->epochs < 1) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "phase '%s' has %" PRId64 " epochs", phase->name, phase->epochs);
    }
    if (phase->optimizer.optimizer == NULL || phase->schedule.schedule == NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "phase '%s' has no %s", phase->name,
                          phase->optimizer.optimizer == NULL ? "optimizer" : "schedule");
    }
    if (quant->rules < 0 || quant->rules > CRUMB_QUANT_RULES_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "phase '%s' has %d layer rules, at most %d", phase->name, quant->rules,
                          CRUMB_QUANT_RULES_MAX);
    }
    CRUMB_TRY(check_choice(ctx, phase, &quant->weights));
    CRUMB_TRY(check_choice(ctx, phase, &quant->activations));
    for (int i = 0; i < quant->rules; i++) {
        CRUMB_TRY(check_choice(ctx, phase, &quant->rule[i].weights));
        CRUMB_TRY(check_choice(ctx, phase, &quant->rule[i].activations));
    }
    return CRUMB_OK;
}

static crumb_status rewrite(const crumb_recipe *recipe, int index, crumb_timeline *timeline) {
    const crumb_strategy_choice *choice = &recipe->strategy[index];
    if (choice->strategy->rewrite == NULL) {
        return CRUMB_OK;
    }
    crumb_strategy_run run = {.strategy = choice->strategy, .index = index};
    memcpy(run.params, choice->params, sizeof(run.params));
    crumb_status status = choice->strategy->rewrite(recipe->ctx, &run, timeline);
    if (status == CRUMB_OK && (timeline->phases < 1 || timeline->phases > CRUMB_PHASES_MAX)) {
        status = crumb_fail(recipe->ctx, CRUMB_ERROR_ARGUMENT, "%d phases, at most %d", timeline->phases, CRUMB_PHASES_MAX);
    }
    return status == CRUMB_OK ? status : crumb_fail_in(recipe->ctx, status, "strategy %s", choice->strategy->name);
}

crumb_status crumb_recipe_phases(const crumb_recipe *recipe, crumb_timeline *timeline) {
    memset(timeline, 0, sizeof(*timeline));
    first_phase(recipe, &timeline->phase[0]);
    timeline->phases = 1;
    timeline->trained = recipe->model.init[0] != '\0';
    for (int i = 0; i < recipe->strategies; i++) {
        CRUMB_TRY(rewrite(recipe, i, timeline));
    }
    for (int i = 0; i < timeline->phases; i++) {
        CRUMB_TRY(check_phase(recipe->ctx, &timeline->phase[i]));
    }
    return CRUMB_OK;
}

/* ---- For strategies. */

bool crumb_phase_has_weights(const crumb_phase *phase) {
    bool any = phase->quant.weights.quantizer != NULL;
    for (int i = 0; i < phase->quant.rules; i++) {
        any |= phase->quant.rule[i].set_weights && phase->quant.rule[i].weights.quantizer != NULL;
    }
    return any;
}

crumb_status crumb_timeline_repeat(crumb_ctx *ctx, crumb_timeline *timeline, int at, int count) {
    crumb_phase *phase = &timeline->phase[at];
    if (timeline->phases + count - 1 > CRUMB_PHASES_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%d phases, at most %d", timeline->phases + count - 1, CRUMB_PHASES_MAX);
    }
    memmove(phase + count, phase + 1, (size_t)(timeline->phases - at - 1) * sizeof(*phase));
    for (int i = 1; i < count; i++) {
        phase[i] = *phase;
        phase[i].keep_optimizer = phase[i].reestimate = false;
    }
    timeline->phases += count - 1;
    return CRUMB_OK;
}

void crumb_phase_name(crumb_phase *phase, const char *format, ...) {
    char name[sizeof(phase->name)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof(name), format, arguments);
    va_end(arguments);
    size_t room = sizeof(name) - strlen(name) - 1; /* where both are too long, the older name gives way */
    size_t kept = strcmp(phase->name, preset_name) != 0 ? strlen(phase->name) : 0;
    kept = kept < room ? kept : room > 0 ? room - 1 : 0;
    if (kept > 0) {
        phase->name[kept++] = '/';
    }
    memcpy(phase->name + kept, name, strlen(name) + 1);
}

void crumb_phase_note(crumb_phase *phase, const char *format, ...) {
    size_t used = strlen(phase->note);
    va_list arguments;
    used += (size_t)snprintf(phase->note + used, sizeof(phase->note) - used, ", ");
    used = used < sizeof(phase->note) ? used : sizeof(phase->note) - 1;
    va_start(arguments, format);
    vsnprintf(phase->note + used, sizeof(phase->note) - used, format, arguments);
    va_end(arguments);
}

/* ---- As text. */

/* The parameters that are not as preset: " (cycle 4, low 0.1)". */
static void print_changed(crumb_text *text, const crumb_param *params, const void *from) {
    const char *before = " (";
    for (const crumb_param *param = params; param != NULL && param->name != NULL; param++) {
        unsigned char presets[CRUMB_STRATEGY_PARAMS_MAX] __attribute__((aligned(16))) = {0};
        char value[CRUMB_LIST_MAX * 32], preset[CRUMB_LIST_MAX * 32];
        crumb_params_preset(params, presets);
        crumb_param_print(param, from, value, sizeof(value));
        crumb_param_print(param, presets, preset, sizeof(preset));
        if (strcmp(value, preset) != 0) {
            crumb_text_print(text, "%s%s %s", before, param->name, value);
            before = ", ";
        }
    }
    crumb_text_print(text, "%s", before[0] == ',' ? ")" : "");
}

static void print_choice(crumb_text *text, const char *what, const crumb_quant_choice *choice) {
    if (choice->quantizer != NULL) {
        crumb_text_print(text, ", %s %s %" PRId64 " bits", what, choice->quantizer->name, choice->bits);
        print_changed(text, choice->quantizer->params, choice->params);
    }
}

static void print_edges(crumb_text *text, const crumb_quant_policy *quant) {
    static const char *const names[] = {"same", "float", "8bit"};
    if (quant->first != CRUMB_EDGE_SAME) {
        crumb_text_print(text, ", first %s", names[quant->first]);
    }
    if (quant->last != CRUMB_EDGE_SAME) {
        crumb_text_print(text, ", last %s", names[quant->last]);
    }
    if (quant->rules > 0) {
        crumb_text_print(text, ", %d layer rule%s", quant->rules, quant->rules == 1 ? "" : "s");
    }
}

/* Strategies that leave the timeline as it is act in every phase with quantized weights. */
static void print_others(crumb_text *text, const crumb_recipe *recipe, const crumb_phase *phase) {
    for (int i = 0; i < recipe->strategies && crumb_phase_has_weights(phase); i++) {
        if (recipe->strategy[i].strategy->rewrite == NULL) {
            crumb_text_print(text, ", with %s", recipe->strategy[i].strategy->name);
            print_changed(text, recipe->strategy[i].strategy->params, recipe->strategy[i].params);
        }
    }
}

static void print_phase(crumb_text *text, const crumb_recipe *recipe, int index, const crumb_phase *phase) {
    const crumb_quant_policy *quant = &phase->quant;
    double lr; /* every optimizer's params start with it */
    memcpy(&lr, phase->optimizer.params, sizeof(lr));
    crumb_text_print(text, "%d %s: %" PRId64 " epoch%s", index + 1, phase->name, phase->epochs, phase->epochs == 1 ? "" : "s");
    print_choice(text, "weights", &quant->weights);
    print_choice(text, "activations", &quant->activations);
    if (quant->weights.quantizer == NULL && quant->activations.quantizer == NULL) {
        crumb_text_print(text, ", float");
    }
    print_edges(text, quant);
    crumb_text_print(text, ", %s lr %g", phase->optimizer.optimizer->name, lr);
    crumb_text_print(text, ", %s", phase->schedule.schedule->name);
    print_changed(text, phase->schedule.schedule->params, phase->schedule.params);
    crumb_text_print(text, "%s%s%s", phase->keep_optimizer ? ", optimizer goes on" : "",
                     phase->reestimate ? ", batch norm anew" : "", phase->note);
    print_others(text, recipe, phase);
    crumb_text_print(text, "\n");
}

/* Several phases: how much they are together. */
static void print_total(crumb_text *text, const crumb_timeline *timeline) {
    int64_t epochs = 0;
    for (int i = 0; i < timeline->phases; i++) {
        epochs += timeline->phase[i].epochs;
    }
    if (timeline->phases > 1) {
        crumb_text_print(text, "together %" PRId64 " epochs\n", epochs);
    }
}

crumb_status crumb_recipe_timeline(const crumb_recipe *recipe, char **out) {
    crumb_timeline *timeline = crumb_alloc(recipe->ctx, 1, sizeof(*timeline));
    if (timeline == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_status status = crumb_recipe_phases(recipe, timeline);
    if (status == CRUMB_OK) {
        crumb_text text = {.ctx = recipe->ctx};
        for (int i = 0; i < timeline->phases; i++) {
            print_phase(&text, recipe, i, &timeline->phase[i]);
        }
        print_total(&text, timeline);
        status = crumb_text_take(&text, out);
    }
    crumb_free(recipe->ctx, timeline);
    return status;
}
