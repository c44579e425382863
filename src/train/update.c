/* What changes weights between a backward pass and the next forward pass: projection, clipping, the optimizer. */
#include "train/trainer_parts.h"

#include <math.h>

void crumb_update_project(crumb_graph *network) {
    for (int i = 0; i < network->nodes; i++) {
        const crumb_quant *site = crumb_node_site(network, i);
        if (site != NULL && site->weight && site->quantizer->project != NULL) {
            crumb_quant_call call = crumb_node_call(network, i);
            site->quantizer->project(&call, network->value[network->node[i].input[0]].data);
        }
    }
}

/* A gradient that is used: its value is a parameter that the loss reaches and that is not frozen. */
static float *used_gradient(crumb_trainer *trainer, int value) {
    const crumb_value *v = &trainer->network->value[value];
    return v->kind == CRUMB_VALUE_PARAM && v->rate != 0.0f ? crumb_exec_gradient(trainer->exec, value) : NULL;
}

/* Pascanu et al. 2012: gradients of a norm above `limit` are scaled down to it, all together. */
static void clip(crumb_trainer *trainer, double limit) {
    const crumb_graph *network = trainer->network;
    double sum = 0;
    for (int v = 0; v < network->values; v++) {
        const float *g = used_gradient(trainer, v);
        for (int64_t i = 0; g != NULL && i < crumb_shape_count(network->value[v].shape); i++) {
            sum += (double)g[i] * (double)g[i];
        }
    }
    if (!(sqrt(sum) > limit)) {
        return;
    }
    float scale = (float)(limit / sqrt(sum));
    for (int v = 0; v < network->values; v++) {
        float *g = used_gradient(trainer, v);
        for (int64_t i = 0; g != NULL && i < crumb_shape_count(network->value[v].shape); i++) {
            g[i] *= scale;
        }
    }
}

/* One tensor in chunks that threads share: updates go element by element, so any split gives the same bits. */
static void update(const crumb_optimizer_choice *choice, float *w, const float *g, float *const *slot, int64_t count, double lr,
                   double decay, int64_t step) {
    enum { CHUNK = 1 << 15 };
    const crumb_optimizer *optimizer = choice->optimizer;
#pragma omp parallel for schedule(static) if (count > CHUNK)
    for (int64_t at = 0; at < count; at += CHUNK) {
        float *part[CRUMB_SLOTS_MAX];
        for (int k = 0; k < optimizer->slots; k++) {
            part[k] = slot[k] + at;
        }
        optimizer->step(choice->params, w + at, g + at, part, count - at < CHUNK ? count - at : CHUNK, lr, decay, step);
    }
}

void crumb_update_step(crumb_trainer *trainer) {
    const crumb_optimizer_choice *choice = &trainer->timeline->phase[trainer->phase].optimizer;
    double weight_decay =
        ((const double *)(const void *)choice->params)[1]; /* every optimizer's struct starts lr, weight_decay */
    if (trainer->recipe->train.clip_norm > 0) {
        clip(trainer, trainer->recipe->train.clip_norm);
    }
    trainer->optimizer_step++;
    for (int v = 0; v < trainer->network->values; v++) {
        crumb_value *value = &trainer->network->value[v];
        const float *g = used_gradient(trainer, v);
        if (g != NULL) {
            update(choice, value->data, g, trainer->slot + (int64_t)v * trainer->slots, crumb_shape_count(value->shape),
                   trainer->rate * (double)value->rate, weight_decay * (double)value->decay, trainer->optimizer_step);
        }
    }
}
