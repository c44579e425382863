/* What a phase of the timeline needs: its quantized network with the loss behind it, the plans to train and to evaluate it, the
 * optimizer's buffers; and what happens once when it starts. */
#include "ops/params.h"
#include "train/imported.h"
#include "train/network.h"
#include "train/trainer_parts.h"

#include <string.h>

static const crumb_phase *phase_of(const crumb_trainer *trainer) {
    return &trainer->timeline->phase[trainer->phase];
}

/* ---- The network. */

/* Every loss takes the logits first and the labels last. */
static crumb_status add_loss(crumb_trainer *trainer, crumb_graph *network) {
    const crumb_recipe *recipe = trainer->recipe;
    const crumb_softmax_cross_entropy_params smooth = {.label_smoothing = recipe->train.label_smoothing};
    const crumb_distillation_params distill = {.temperature = recipe->teacher.temperature,
                                               .weight = recipe->teacher.weight,
                                               .label_smoothing = recipe->train.label_smoothing};
    const crumb_op *op = recipe->train.loss == 1 ? &crumb_op_mean_squared_error : &crumb_op_softmax_cross_entropy;
    const void *params = recipe->train.loss == 1 ? NULL : &smooth;
    int inputs = 0, input[3];
    input[inputs++] = network->logits;
    trainer->teacher_logits = -1;
    if (trainer->teacher != NULL) {
        op = &crumb_op_distillation;
        params = &distill;
        CRUMB_TRY(
            crumb_graph_input(network, "teacher_logits", network->value[network->logits].shape, &trainer->teacher_logits));
        input[inputs++] = trainer->teacher_logits;
    }
    CRUMB_TRY(crumb_graph_input(network, "labels", CRUMB_SHAPE(1), &trainer->labels));
    input[inputs++] = trainer->labels;
    return crumb_graph_node(network, "loss", op, params, inputs, input, &trainer->loss);
}

/* train.decay_all: weight decay on everything learned that is not a quantizer's. */
static crumb_status decay_everything(crumb_graph *network) {
    bool *own = crumb_network_states(network);
    if (own == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int v = 0; v < network->values; v++) {
        if (network->value[v].kind == CRUMB_VALUE_PARAM && !own[v]) {
            network->value[v].decay = 1.0f;
        }
    }
    crumb_free(network->ctx, own);
    return CRUMB_OK;
}

/* The recipe's network with the phase's quantizers, drawn from the seed. */
static crumb_status build_quantized(const crumb_trainer *trainer, crumb_graph **network) {
    const crumb_recipe *recipe = trainer->recipe;
    crumb_graph *plain;
    CRUMB_TRY(crumb_choice_build(trainer->ctx, &recipe->model, crumb_source_image(trainer->feed),
                                 trainer->source.train->info.classes, (uint64_t)recipe->train.seed, &plain));
    crumb_status status = crumb_graph_quantize(plain, &phase_of(trainer)->quant, network);
    crumb_graph_destroy(plain);
    return status;
}

/* Weights from the phase before, or from the recipe's file, if there is one. */
static crumb_status take_weights(const crumb_trainer *trainer, crumb_graph *network) {
    const crumb_recipe *recipe = trainer->recipe;
    if (trainer->network != NULL) {
        crumb_graph_copy(network, trainer->network, NULL);
        return CRUMB_OK;
    }
    if (recipe->model.init[0] == '\0') {
        return CRUMB_OK;
    }
    crumb_graph *initial;
    CRUMB_TRY(crumb_network_weights(trainer->ctx, &recipe->model, crumb_source_image(trainer->feed),
                                    trainer->source.train->info.classes, &initial));
    crumb_graph_copy(network, initial, NULL);
    crumb_graph_destroy(initial);
    return CRUMB_OK;
}

/* The phase's network with its weights and the loss; *out is new, the trainer keeps the old one. */
static crumb_status build_network(crumb_trainer *trainer, bool fresh, crumb_graph **out) {
    crumb_graph *network;
    CRUMB_TRY(build_quantized(trainer, &network));
    crumb_status status = fresh ? take_weights(trainer, network) : CRUMB_OK;
    if (status == CRUMB_OK) {
        status = add_loss(trainer, network);
    }
    if (status == CRUMB_OK && trainer->recipe->train.decay_all) {
        status = decay_everything(network);
    }
    if (status != CRUMB_OK) {
        crumb_graph_destroy(network);
        return status;
    }
    *out = network;
    return CRUMB_OK;
}

/* ---- Optimizer buffers. */

static void free_slots(crumb_ctx *ctx, float **slot, int64_t count) {
    for (int64_t i = 0; slot != NULL && i < count; i++) {
        crumb_free(ctx, slot[i]);
    }
    crumb_free(ctx, slot);
}

static crumb_status make_slots(crumb_trainer *trainer, const crumb_graph *network, int slots, float ***out) {
    int64_t count = (int64_t)network->values * slots;
    float **slot = crumb_alloc(trainer->ctx, (size_t)count + 1, sizeof(*slot));
    for (int64_t i = 0; slot != NULL && i < count; i++) {
        const crumb_value *value = &network->value[i / slots];
        if (value->kind != CRUMB_VALUE_PARAM) {
            continue;
        }
        slot[i] = crumb_alloc(trainer->ctx, (size_t)crumb_shape_count(value->shape), sizeof(float));
        if (slot[i] == NULL) {
            free_slots(trainer->ctx, slot, count);
            return CRUMB_ERROR_MEMORY;
        }
    }
    *out = slot;
    return slot != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

/* phase.keep_optimizer: buffers of parameters that the phase before had too go on. */
static void carry_slots(const crumb_trainer *trainer, const crumb_graph *network, float **slot) {
    for (int v = 0; v < network->values; v++) {
        const crumb_value *value = &network->value[v];
        int old = value->kind == CRUMB_VALUE_PARAM ? crumb_graph_find(trainer->network, value->name) : -1;
        if (old < 0 || !crumb_shape_equal(trainer->network->value[old].shape, value->shape)) {
            continue;
        }
        for (int k = 0; k < trainer->slots; k++) {
            const float *from = trainer->slot[(int64_t)old * trainer->slots + k];
            if (from != NULL) {
                memcpy(slot[(int64_t)v * trainer->slots + k], from, (size_t)crumb_shape_count(value->shape) * sizeof(float));
            }
        }
    }
}

/* ---- Building and dropping. */

void crumb_phase_drop(crumb_trainer *trainer) {
    crumb_exec_destroy(trainer->exec);
    crumb_exec_destroy(trainer->eval);
    trainer->exec = NULL;
    trainer->eval = NULL;
    if (trainer->network != NULL) {
        free_slots(trainer->ctx, trainer->slot, (int64_t)trainer->network->values * trainer->slots);
    }
    crumb_graph_destroy(trainer->network);
    trainer->slot = NULL;
    trainer->network = NULL;
}

crumb_status crumb_phase_build(crumb_trainer *trainer, bool fresh) {
    const crumb_phase *phase = phase_of(trainer);
    crumb_graph *network;
    float **slot;
    int slots = phase->optimizer.optimizer->slots;
    bool keep =
        phase->keep_optimizer && trainer->network != NULL && phase->optimizer.optimizer == phase[-1].optimizer.optimizer;
    CRUMB_TRY(build_network(trainer, fresh, &network));
    crumb_status status = make_slots(trainer, network, slots, &slot);
    if (status != CRUMB_OK) {
        crumb_graph_destroy(network);
        return status;
    }
    if (keep) {
        carry_slots(trainer, network, slot);
    } else {
        trainer->optimizer_step = 0;
    }
    crumb_phase_drop(trainer);
    trainer->network = network;
    trainer->slot = slot;
    trainer->slots = slots;
    crumb_exec_options options = {.batch = trainer->recipe->train.batch};
    CRUMB_TRY(crumb_exec_create(network, &options, &trainer->eval));
    options.backward = true;
    return crumb_exec_create(network, &options, &trainer->exec);
}

/* ---- The first batch of a phase. */

void crumb_states_swap(crumb_graph *network, const bool *leave_out, float *block, bool save) {
    for (int v = 0; v < network->values; v++) {
        const crumb_value *value = &network->value[v];
        size_t count = (size_t)crumb_shape_count(value->shape);
        if (value->kind == CRUMB_VALUE_STATE && (leave_out == NULL || !leave_out[v])) {
            memcpy(save ? block : value->data, save ? value->data : block, count * sizeof(float));
            block += count;
        }
    }
}

size_t crumb_states_size(const crumb_graph *network) {
    size_t count = 0;
    for (int v = 0; v < network->values; v++) {
        count += network->value[v].kind == CRUMB_VALUE_STATE ? (size_t)crumb_shape_count(network->value[v].shape) : 0;
    }
    return count;
}

/* Images for the first look: the batch, less for networks so large that plain C would take long (about 10 GFLOP in all). */
static int64_t observed_images(const crumb_trainer *trainer) {
    double images = 10e9 / (crumb_graph_flops(trainer->network) + 1);
    int64_t batch = trainer->recipe->train.batch;
    return images >= (double)batch ? batch : images < 8 ? (batch < 8 ? batch : 8) : (int64_t)images;
}

/* One batch through the unfused reference, so that every quantizer sees its values before fused kernels use its state. */
static crumb_status observe(crumb_trainer *trainer) {
    crumb_graph *network = trainer->network;
    const float *images, *labels;
    int64_t valid;
    crumb_exec *exec = NULL;
    crumb_exec_options options = {.batch = observed_images(trainer), .reference = true};
    bool *own = crumb_network_states(network);
    float *block = crumb_alloc(trainer->ctx, crumb_states_size(network) + 1, sizeof(*block));
    crumb_status status = own != NULL && block != NULL ? crumb_exec_create(network, &options, &exec) : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        crumb_feed_seek(trainer->feed, trainer->total_epoch, 0);
        status = crumb_feed_next(trainer->feed, &images, &labels, &valid);
    }
    if (status == CRUMB_OK) {
        crumb_update_project(network);
        crumb_load_batch(exec, network, trainer->labels, images, labels, valid);
        crumb_states_swap(network, own, block, true); /* this look must not move batch norm's statistics */
        crumb_exec_forward(exec, true, (uint64_t)trainer->recipe->train.seed, (uint64_t)trainer->total_step);
        crumb_states_swap(network, own, block, false);
        trainer->extra_images += options.batch;
    }
    crumb_exec_destroy(exec);
    crumb_free(trainer->ctx, own);
    crumb_free(trainer->ctx, block);
    return status;
}

bool crumb_phase_is_quantized(const crumb_trainer *trainer) {
    for (int i = 0; i < trainer->network->nodes; i++) {
        if (crumb_node_site(trainer->network, i) != NULL) {
            return true;
        }
    }
    return false;
}

crumb_status crumb_phase_prepare(crumb_trainer *trainer) {
    if (crumb_phase_is_quantized(trainer)) {
        CRUMB_TRY(observe(trainer));
    }
    if (phase_of(trainer)->reestimate) {
        CRUMB_TRY(crumb_trainer_reestimate(trainer, 0));
    }
    crumb_feed_seek(trainer->feed, trainer->total_epoch, 0);
    return CRUMB_OK;
}
