/* Measuring a point of a loss surface on the quantized weight domain (Shin et al., SQWA, arXiv 2002.00343; Garipov et al.,
 * arXiv 1802.10026, for the plane):
 *
 *     L(Q(P(a, b))): every weight tensor quantized with its own quantizer, batch norm's statistics computed anew for these
 *     weights on images augmented as in training (a binary ResNet-20 has 12.6 % error with such statistics, 17 % with those of
 *     the plain images), then loss and error on plain ones.
 *
 * A quantizer's step is what it would be in training: computed from the point's weights by quantizers that do so always; else
 * (learned or frozen) the same affine function of (a, b) as the weights are, kept between the least and the largest of the
 * three. So a point at a model is the model, and steps that the models share are the same all over the plane.
 *
 * The network that is evaluated has no quantizers of weights: it gets Q(P) or P, so both domains differ in nothing else. Its
 * activations keep their quantizers. */
#include "train/surface.h"

#include "train/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Values of the base network's graph. */

/* Coordinates of the plane: what is learned, but for quantizers' steps. */
static bool is_coordinate(const crumb_value *value, bool state) {
    return value->kind == CRUMB_VALUE_PARAM && !state;
}

static int64_t size_of(const crumb_graph *graph, int v) {
    return crumb_shape_count(graph->value[v].shape);
}

static bool has_weight_site(const crumb_graph *graph) {
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_quant *site = crumb_node_site(graph, i);
        if (site != NULL && site->weight) {
            return true;
        }
    }
    return false;
}

/* ---- Opening. */

/* How a node's values are quantized: "lsq 2 bits". */
static const char *words_of(const crumb_quant *site, char *text, size_t size) {
    if (site == NULL) {
        return "float";
    }
    snprintf(text, size, "%s %d bits", site->quantizer->name, site->bits);
    return text;
}

/* The same quantizers and bits in the same places. Their parameters may differ: SQWA keeps the steps that its control computes
 * anew each time. The plane's points have the base's. */
static crumb_status check_quantizers(const crumb_terrain *t, int index) {
    const crumb_graph *a = t->model[t->base]->graph, *b = t->model[index]->graph;
    const char *const *files = t->options.models;
    for (int i = 0; i < a->nodes && i < b->nodes; i++) {
        const crumb_quant *x = crumb_node_site(a, i), *y = crumb_node_site(b, i);
        if ((x == NULL) != (y == NULL) || (x != NULL && (x->quantizer != y->quantizer || x->bits != y->bits))) {
            char one[64], other[64];
            return crumb_fail(t->ctx, CRUMB_ERROR_ARGUMENT,
                              "%s and %s have different quantizers: %s is %s in one, %s in the other", files[t->base],
                              files[index], a->node[i].name, words_of(x, one, sizeof(one)), words_of(y, other, sizeof(other)));
        }
    }
    return a->nodes == b->nodes
               ? CRUMB_OK
               : crumb_fail(t->ctx, CRUMB_ERROR_ARGUMENT, "%s and %s have different quantizers: %d nodes and %d",
                            files[t->base], files[index], a->nodes, b->nodes);
}

static crumb_status check_same(const crumb_terrain *t, int index) {
    const crumb_network *a = t->model[0], *b = t->model[index];
    const crumb_model_choice *x = &a->recipe->model, *y = &b->recipe->model;
    if (x->model != y->model || memcmp(x->params, y->params, sizeof(x->params)) != 0 || a->classes != b->classes ||
        !crumb_shape_equal(a->image, b->image)) {
        return crumb_fail(t->ctx, CRUMB_ERROR_ARGUMENT, "%s and %s are not the same network", t->options.models[0],
                          t->options.models[index]);
    }
    return t->quantized && has_weight_site(b->graph) ? check_quantizers(t, index) : CRUMB_OK;
}

static crumb_status open_models(crumb_terrain *t) {
    for (int i = 0; i < CRUMB_SURFACE_MODELS; i++) {
        CRUMB_TRY(crumb_network_open(t->ctx, t->options.models[i], &t->model[i]));
        if (!t->quantized && has_weight_site(t->model[i]->graph)) {
            t->quantized = true;
            t->base = i;
        }
    }
    for (int i = 0; i < CRUMB_SURFACE_MODELS; i++) {
        CRUMB_TRY(check_same(t, i));
    }
    return CRUMB_OK;
}

/* The base's graph with its activations' quantizers, and the weights as they are given. */
static crumb_status build_graph(crumb_terrain *t) {
    const crumb_network *base = t->model[t->base];
    const crumb_model_choice *model = &base->recipe->model;
    crumb_quant_policy policy = base->recipe->quant;
    crumb_graph *plain;
    policy.weights.quantizer = NULL;
    for (int i = 0; i < policy.rules; i++) {
        policy.rule[i].weights.quantizer = NULL;
    }
    CRUMB_TRY(crumb_model_build(t->ctx, model->model, model->params, base->image, base->classes, 0, &plain));
    crumb_status status = crumb_graph_quantize(plain, &policy, &t->graph);
    crumb_graph_destroy(plain);
    if (status != CRUMB_OK) {
        return status;
    }
    crumb_exec_options options = {.batch = t->options.batch};
    return crumb_exec_create(t->graph, &options, &t->exec);
}

/* Numbers that the quantizers of a graph hold. */
static int64_t states_size(const crumb_graph *graph) {
    int64_t count = 0;
    for (int i = 0; i < graph->nodes; i++) {
        for (int k = 1; crumb_node_site(graph, i) != NULL && k < graph->node[i].inputs; k++) {
            count += size_of(graph, graph->node[i].input[k]);
        }
    }
    return count;
}

/* One number of a state: those of the models that have it; the others get their mean. */
static void take_number(crumb_terrain *t, const float *const data[CRUMB_SURFACE_MODELS], int64_t i, int64_t at, bool weight) {
    double sum = 0, low = INFINITY, high = -INFINITY;
    int count = 0;
    for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
        if (data[m] != NULL) {
            double value = (double)data[m][i];
            sum += value;
            count++;
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
    }
    double mean = sum / count, spread = mean != 0 ? (high - low) / fabs(mean) : 0;
    t->step_spread = weight && spread > t->step_spread ? spread : t->step_spread;
    for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
        t->states[m][at] = data[m] != NULL ? data[m][i] : (float)mean;
    }
}

/* States of weights that are functions of the weight are brought up to date in a model. */
static void observe_weights(const crumb_graph *graph) {
    for (int i = 0; i < graph->nodes; i++) {
        const crumb_quant *site = crumb_node_site(graph, i);
        if (site != NULL && site->weight && site->quantizer->observe != NULL) {
            crumb_quant_call call = crumb_node_call(graph, i);
            site->quantizer->observe(&call);
        }
    }
}

static crumb_status take_states(crumb_terrain *t) {
    const crumb_graph *base = t->model[t->base]->graph;
    int64_t count = states_size(base), at = 0;
    for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
        observe_weights(t->model[m]->graph);
        t->states[m] = crumb_alloc(t->ctx, (size_t)count + 1, sizeof(float));
        if (t->states[m] == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
    }
    for (int i = 0; i < base->nodes; i++) {
        const crumb_quant *site = crumb_node_site(base, i);
        for (int k = 1; site != NULL && k < base->node[i].inputs; k++) {
            const crumb_value *value = &base->value[base->node[i].input[k]];
            const float *data[CRUMB_SURFACE_MODELS];
            for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
                const crumb_graph *graph = t->model[m]->graph;
                int found = crumb_graph_find(graph, value->name);
                data[m] = found >= 0 ? graph->value[found].data : NULL;
            }
            for (int64_t j = 0; j < size_of(base, base->node[i].input[k]); j++) {
                take_number(t, data, j, at++, site->weight);
            }
        }
    }
    return CRUMB_OK;
}

/* The three models' coordinates, and the plane through them. */
static crumb_status make_plane(crumb_terrain *t) {
    const bool *state = t->state;
    const crumb_graph *base = t->model[t->base]->graph;
    float *w[CRUMB_SURFACE_MODELS] = {0};
    int64_t count = 0, at = 0;
    for (int v = 0; v < base->values; v++) {
        count += is_coordinate(&base->value[v], state[v]) ? size_of(base, v) : 0;
    }
    crumb_status status = CRUMB_OK;
    for (int m = 0; m < CRUMB_SURFACE_MODELS && status == CRUMB_OK; m++) {
        w[m] = crumb_alloc(t->ctx, (size_t)count + 1, sizeof(float));
        status = w[m] != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
        at = 0;
        for (int v = 0; v < base->values && status == CRUMB_OK; v++) {
            if (is_coordinate(&base->value[v], state[v])) {
                const crumb_graph *graph = t->model[m]->graph;
                memcpy(w[m] + at, graph->value[crumb_graph_find(graph, base->value[v].name)].data,
                       (size_t)size_of(base, v) * sizeof(float));
                at += size_of(base, v);
            }
        }
    }
    status = status == CRUMB_OK ? crumb_plane_make(t->ctx, (const float *const *)w, count, &t->plane) : status;
    for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
        crumb_free(t->ctx, w[m]);
    }
    return status;
}

static crumb_status open_data(crumb_terrain *t) {
    crumb_surface_options *o = &t->options;
    const crumb_network *base = t->model[t->base];
    CRUMB_TRY(crumb_dataset_open(t->ctx, o->train, o->seed, &t->train_set));
    CRUMB_TRY(crumb_dataset_open(t->ctx, o->test, o->seed, &t->test_set));
    int64_t least = t->train_set->info.count < t->test_set->info.count ? t->train_set->info.count : t->test_set->info.count;
    o->batch = o->batch < least ? o->batch : least;
    crumb_feed_options options = {.batch = o->batch, .shuffle = true, .seed = o->seed, .workers = 1};
    CRUMB_TRY(crumb_network_feed(base, t->train_set, true, options, &t->norm));
    CRUMB_TRY(crumb_network_feed(base, t->train_set, false, options, &t->train));
    return crumb_network_feed(base, t->test_set, false, options, &t->test);
}

static uint64_t digest(const crumb_terrain *t) {
    uint64_t mixed = 0;
    for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
        const crumb_graph *graph = t->model[m]->graph;
        for (int v = 0; v < graph->values; v++) {
            const float *data = graph->value[v].data;
            for (int64_t i = 0; data != NULL && i < size_of(graph, v); i++) {
                uint32_t bits;
                memcpy(&bits, &data[i], sizeof(bits));
                mixed = crumb_mix(mixed + bits + 0x9e3779b97f4a7c15u);
            }
        }
    }
    return mixed;
}

static crumb_status open_all(crumb_terrain *t) {
    CRUMB_TRY(open_models(t));
    CRUMB_TRY(open_data(t));
    CRUMB_TRY(build_graph(t));
    t->digest = digest(t);
    t->state = crumb_network_states(t->model[t->base]->graph);
    if (t->state == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(take_states(t));
    CRUMB_TRY(make_plane(t));
    t->point = crumb_alloc(t->ctx, (size_t)t->plane.count + 1, sizeof(float));
    return t->point != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

crumb_status crumb_terrain_open(crumb_ctx *ctx, const crumb_surface_options *options, crumb_terrain *terrain) {
    *terrain = (crumb_terrain){.ctx = ctx, .options = *options};
    crumb_status status = open_all(terrain);
    if (status != CRUMB_OK) {
        crumb_terrain_close(terrain);
    }
    return status;
}

void crumb_terrain_close(crumb_terrain *t) {
    crumb_exec_destroy(t->exec);
    crumb_graph_destroy(t->graph);
    crumb_feed_destroy(t->norm);
    crumb_feed_destroy(t->train);
    crumb_feed_destroy(t->test);
    crumb_dataset_close(t->train_set);
    crumb_dataset_close(t->test_set);
    for (int i = 0; i < CRUMB_SURFACE_MODELS; i++) {
        crumb_network_close(t->model[i]);
        crumb_free(t->ctx, t->states[i]);
    }
    crumb_plane_free(&t->plane);
    crumb_free(t->ctx, t->state);
    crumb_free(t->ctx, t->point);
    *t = (crumb_terrain){.ctx = t->ctx};
}

/* ---- A point. */

/* The quantizers' states at P(a, b), into the base's graph. P = A + share[1] (B - A) + share[2] (C - A). */
static void place_states(const crumb_terrain *t, double a, double b) {
    const crumb_graph *base = t->model[t->base]->graph;
    double share[CRUMB_SURFACE_MODELS] = {1.0 / 3, 1.0 / 3, 1.0 / 3};
    if (t->options.steps == CRUMB_STEPS_FOLLOW) {
        share[1] = b;
        share[2] = a - b * t->plane.a[1];
        share[0] = 1 - share[1] - share[2];
    }
    for (int64_t i = 0, at = 0; i < base->nodes; i++) {
        for (int k = 1; crumb_node_site(base, (int)i) != NULL && k < base->node[i].inputs; k++) {
            int v = base->node[i].input[k];
            for (int64_t j = 0; j < size_of(base, v); j++, at++) {
                float x = t->states[0][at], y = t->states[1][at], z = t->states[2][at];
                float low = fminf(x, fminf(y, z)), high = fmaxf(x, fmaxf(y, z));
                float mixed = (float)(share[0] * (double)x + share[1] * (double)y + share[2] * (double)z);
                base->value[v].data[j] = mixed < low ? low : mixed > high ? high : mixed;
            }
        }
    }
}

/* The point's numbers into the base's graph and into the evaluated one. */
static void place(crumb_terrain *t, double a, double b) {
    const crumb_graph *base = t->model[t->base]->graph;
    const float *at = t->point;
    crumb_plane_point(&t->plane, a, b, t->point);
    for (int v = 0; v < base->values; v++) {
        if (is_coordinate(&base->value[v], t->state[v])) {
            memcpy(base->value[v].data, at, (size_t)size_of(base, v) * sizeof(float));
            at += size_of(base, v);
        }
    }
    place_states(t, a, b);
    crumb_graph_copy(t->graph, base, NULL);
}

/* A step that the quantizer computes from the weight is computed anew; a learned one has no rule to find it by. */
static void refit(const crumb_quant_call *call) {
    const crumb_quantizer *quantizer = call->site->quantizer;
    bool learned = false;
    for (int k = 0; quantizer->state[k].name != NULL; k++) {
        learned |= quantizer->state[k].learned;
    }
    for (int k = 0; !learned && quantizer->state[k].name != NULL; k++) {
        for (int64_t i = 0; i < call->state_count[k]; i++) {
            call->state[k][i] = quantizer->state[k].preset;
        }
    }
    if (!learned && quantizer->observe != NULL) {
        quantizer->observe(call);
    }
}

/* Weight by weight from the base's graph into the evaluated one. */
static void quantize(crumb_terrain *t) {
    const crumb_graph *base = t->model[t->base]->graph;
    for (int i = 0; i < base->nodes; i++) {
        const crumb_quant *site = crumb_node_site(base, i);
        if (site == NULL || !site->weight) {
            continue;
        }
        crumb_quant_call call = crumb_node_call(base, i);
        if (t->options.steps == CRUMB_STEPS_REFIT) {
            refit(&call);
        } else if (t->options.steps == CRUMB_STEPS_FOLLOW && site->quantizer->observe != NULL) {
            site->quantizer->observe(&call);
        }
        const char *name = base->value[base->node[i].input[0]].name;
        call.y = t->graph->value[crumb_graph_find(t->graph, name)].data;
        site->quantizer->fake(&call);
    }
}

static crumb_status score(crumb_terrain *t, crumb_feed *feed, int64_t images, double *loss, double *error) {
    crumb_score score = {0};
    crumb_evaluation evaluation;
    CRUMB_TRY(crumb_score_feed(&score, t->exec, t->graph, -1, feed, images, NULL));
    crumb_score_result(&score, 0, &evaluation);
    *loss = evaluation.loss;
    *error = 100 - evaluation.top1;
    return CRUMB_OK;
}

static crumb_status evaluate(crumb_terrain *t, crumb_surface_value *value) {
    const crumb_surface_options *o = &t->options;
    int64_t batches = o->norm_images / o->batch, most = crumb_feed_steps(t->norm);
    batches = batches < 1 ? 1 : batches < most ? batches : most;
    crumb_feed_seek(t->norm, 0, 0);
    CRUMB_TRY(crumb_reestimate(t->exec, t->graph, -1, t->norm, batches, o->seed));
    CRUMB_TRY(score(t, t->train, o->train_images, &value->train_loss, &value->train_error));
    return score(t, t->test, o->test_images, &value->test_loss, &value->test_error);
}

crumb_status crumb_terrain_measure(crumb_terrain *t, double a, double b, bool quantized, crumb_surface_value *value) {
    crumb_surface_value found;
    place(t, a, b);
    if (quantized) {
        quantize(t);
    }
    CRUMB_TRY(evaluate(t, &found));
    *value = found;
    return CRUMB_OK;
}
