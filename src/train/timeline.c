/* The timeline of a recipe: one phase, rewritten by each strategy in turn, then checked. */
#include "base/text.h"
#include "train/recipe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void first_phase(const crumb_recipe *recipe, crumb_phase *phase) {
    snprintf(phase->name, sizeof(phase->name), "train");
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
    for (int i = 0; i < recipe->strategies; i++) {
        CRUMB_TRY(rewrite(recipe, i, timeline));
    }
    for (int i = 0; i < timeline->phases; i++) {
        CRUMB_TRY(check_phase(recipe->ctx, &timeline->phase[i]));
    }
    return CRUMB_OK;
}

/* ---- As text. */

static void print_choice(crumb_text *text, const char *what, const crumb_quant_choice *choice) {
    if (choice->quantizer != NULL) {
        crumb_text_print(text, ", %s %s %" PRId64 " bits", what, choice->quantizer->name, choice->bits);
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

static void print_phase(crumb_text *text, int index, const crumb_phase *phase) {
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
    crumb_text_print(text, ", %s lr %g, %s%s%s\n", phase->optimizer.optimizer->name, lr, phase->schedule.schedule->name,
                     phase->keep_optimizer ? ", optimizer goes on" : "", phase->reestimate ? ", batch norm anew" : "");
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
            print_phase(&text, i, &timeline->phase[i]);
        }
        status = crumb_text_take(&text, out);
    }
    crumb_free(recipe->ctx, timeline);
    return status;
}
