/* A trainer with its first phase built, for looking at hooks one by one: the fixture's mlp with chosen weights. */
#ifndef CRUMB_STRATEGY_PROBE_H
#define CRUMB_STRATEGY_PROBE_H

#include "fixture.h"

#include "train/strategies/sine.h"
#include "train/trainer_parts.h"

typedef struct probe {
    crumb_recipe *recipe;
    crumb_trainer *trainer;
    int node, value; /* the first weight's quantizer, and the weight */
    int64_t count;
    float *w, *g;
} probe;

/* quantize: as in a recipe. The quantizer has seen its weights only after probe_look. */
static inline probe probe_open(crumb_ctx *ctx, const char *quantize, const char *const *overrides) {
    probe p;
    assert_ok(ctx, fixture_recipe(ctx, FIXTURE_MLP, quantize, "epochs: 1", overrides, &p.recipe));
    assert_ok(ctx, crumb_trainer_open(p.recipe, NULL, &p.trainer));
    assert_ok(ctx, crumb_phase_build(p.trainer, true));
    p.node = fixture_first_site(p.trainer->network);
    p.value = fixture_first_weight(p.trainer->network);
    p.count = fixture_first_count(p.trainer);
    p.w = p.trainer->network->value[p.value].data;
    p.g = crumb_exec_gradient(p.trainer->exec, p.value);
    assert_non_null(p.g);
    return p;
}

/* Brings every quantizer's state up to date with the weights; gradients are 0 after it. */
static inline void probe_look(probe *p) {
    for (int i = 0; i < p->trainer->network->nodes; i++) {
        const crumb_quant *site = crumb_node_site(p->trainer->network, i);
        if (site != NULL && site->weight && site->quantizer->observe != NULL) {
            crumb_quant_call call = crumb_node_call(p->trainer->network, i);
            site->quantizer->observe(&call);
        }
    }
    memset(p->g, 0, (size_t)p->count * sizeof(float));
}

static inline void probe_close(probe *p) {
    crumb_trainer_close(p->trainer);
    crumb_recipe_free(p->recipe);
}

static inline void probe_normal(probe *p, double deviation) {
    crumb_rng rng = crumb_rng_at(11, 0, 0);
    for (int64_t i = 0; i < p->count; i++) {
        p->w[i] = (float)deviation * crumb_rng_normal(&rng);
    }
}

#endif
