/* A recipe, checked and typed. The YAML keys are the struct's tables (recipe.c); nothing here is read from anywhere else.
 *
 *     name: resnet20-lsq-w2a2
 *     model:
 *       name: resnet20              # row of models.inc; its own params beside it
 *       width: 1.0
 *       init: ${CRUMB_DATA}/weights/resnet20-cifar10.safetensors   # optional: crumb's own or PyTorch's names
 *     data:
 *       train: cifar10:${CRUMB_DATA}/cifar-10-batches-bin:train
 *       test: cifar10:${CRUMB_DATA}/cifar-10-batches-bin:test
 *       limit: 0                    # first images of the training set only; 0 = all
 *       holdout: 0                  # training images held out; validation then uses them and the test set stays unseen until the end
 *       mean: [0.485, 0.456, 0.406] # default: the set's own
 *       deviation: [0.229, 0.224, 0.225]
 *       augment: [{name: pad-crop, pad: 4}, {name: flip}]
 *       workers: 1
 *     quantize:                     # absent: float
 *       weights: {name: lsq, bits: 2}
 *       activations: {name: lsq, bits: 2}
 *       first: 8bit                 # same | float | 8bit
 *       last: 8bit
 *       shortcut: false             # residual additions see quantized activations
 *       layers: [{match: "layer3.*", weights: {name: lsq, bits: 4}, activations: {name: none}}]
 *     train:
 *       epochs: 15
 *       batch: 128
 *       seed: 1
 *       label_smoothing: 0
 *       clip_norm: 0                # 0 = off
 *       decay_all: false            # true: also biases and batch norm
 *       loss: cross-entropy         # or mse
 *       evaluate_every: 1           # epochs
 *       checkpoint_every: 0         # steps; 0 = at each epoch's end
 *       measure_direct: true        # evaluate float weights and direct quantization before training
 *       reestimate: false           # batch-norm statistics anew after training
 *       optimizer: {name: sgd, lr: 0.01, momentum: 0.9, weight_decay: 1e-4}
 *       schedule: {name: cosine, warmup: 0}
 *       teacher: {model: {name: resnet56, init: ...}, temperature: 4, weight: 0.5}   # distillation, optional
 *     strategies: [{name: sqwa, ...}]
 */
#ifndef CRUMB_RECIPE_H
#define CRUMB_RECIPE_H

#include "crumb/train.h"
#include "data/dataset.h"
#include "graph/graph.h"
#include "train/strategy.h"

typedef struct crumb_model_choice {
    const crumb_model *model; /* NULL: none */
    _Alignas(16) unsigned char params[CRUMB_MODEL_PARAMS_MAX];
    char init[CRUMB_TEXT_MAX]; /* path or "" */
    char *graph;               /* an imported network as text, the recipe's; NULL: none, or not yet looked at */
    int64_t elements;          /* of all tensors of the file that said so, 0: unknown */
} crumb_model_choice;

typedef struct crumb_recipe_data {
    char train[CRUMB_TEXT_MAX], test[CRUMB_TEXT_MAX];
    int64_t limit, holdout, workers;
    crumb_list mean, deviation; /* count 0: the set's own */
} crumb_recipe_data;

typedef struct crumb_recipe_train {
    int64_t epochs, batch, seed, evaluate_every, checkpoint_every;
    double label_smoothing, clip_norm;
    bool decay_all, measure_direct, reestimate;
    int loss; /* 0 cross-entropy, 1 mse */
} crumb_recipe_train;

typedef struct crumb_recipe_teacher {
    crumb_model_choice model;
    double temperature, weight;
} crumb_recipe_teacher;

typedef struct crumb_strategy_choice {
    const crumb_strategy *strategy;
    _Alignas(16) unsigned char params[CRUMB_STRATEGY_PARAMS_MAX];
} crumb_strategy_choice;

struct crumb_recipe {
    crumb_ctx *ctx;
    char name[128];
    crumb_model_choice model;
    crumb_recipe_data data;
    int augments;
    crumb_augment_choice augment[CRUMB_AUGMENTS_MAX];
    crumb_quant_policy quant;
    crumb_recipe_train train;
    crumb_optimizer_choice optimizer;
    crumb_schedule_choice schedule;
    crumb_recipe_teacher teacher;
    int strategies;
    crumb_strategy_choice strategy[CRUMB_STRATEGIES_MAX];
};

/* crumb_recipe_load_with for a recipe that was loaded before with other values of the same overrides: nothing is logged twice. */
crumb_status crumb_recipe_load_again(crumb_ctx *ctx, const char *path, const char *const *overrides, int count,
                                     crumb_lookup lookup, void *user, crumb_recipe **recipe);

/* The first key in which an effective recipe (as text) differs from another: "train.optimizer.lr is 0.2, was 0.1". False and ""
 * if none does. */
enum { CRUMB_RECIPE_DIFFERENCE = 384 };
bool crumb_recipe_difference(const char *now, const char *before, char text[CRUMB_RECIPE_DIFFERENCE]);

/* The phases: one from the recipe, rewritten by each strategy in order. Checks the result (epochs >= 1, bits in range, room). */
crumb_status crumb_recipe_phases(const crumb_recipe *recipe, crumb_timeline *timeline);

#endif
