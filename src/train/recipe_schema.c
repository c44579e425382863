/* The keys of a recipe: one table a mapping. Adding a key is a row here and a member in recipe.h. */
#include "train/recipe_schema.h"

#include "base/file.h"
#include "base/param.h"
#include "train/catalog.h"
#include "train/recipe_tree.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(crumb_recipe, member)
#define INT_MAX_REAL 2147483647.0
#define ANY_REAL 1e300

const void *crumb_schema_row(const crumb_schema *schema, const void *owner) {
    const void *row;
    memcpy(&row, (const char *)owner + schema->row, sizeof(row));
    return row;
}

crumb_param crumb_schema_param(const crumb_schema *schema, const void *row, const crumb_param *param) {
    crumb_param narrowed = *param;
    if (schema->narrow != NULL && row != NULL) {
        schema->narrow(row, &narrowed);
    }
    return narrowed;
}

/* ---- model */

static crumb_status check_init(crumb_ctx *ctx, const crumb_param *param, const void *owner) {
    const char *path = ((const crumb_model_choice *)owner)->init;
    if (strcmp(param->name, "init") == 0 && path[0] != '\0' && !crumb_file_exists(path)) {
        return crumb_fail(ctx, CRUMB_ERROR_IO, "init: there is no file %s%s", path,
                          crumb_tree_is_nothing(path) ? ": for random weights leave init out or empty" : "");
    }
    return CRUMB_OK;
}

static const crumb_param model_params[] = {
    {"init", CRUMB_PARAM_TEXT, offsetof(crumb_model_choice, init), "", 0, 0, NULL,
     "file with the initial weights: crumb's own, safetensors with PyTorch's names, or ONNX; empty: random"},
    {0},
};

static const crumb_schema model_schema = {
    .title = "model",
    .params = model_params,
    .kind = CRUMB_KIND_MODEL,
    .row = offsetof(crumb_model_choice, model),
    .row_params = offsetof(crumb_model_choice, params),
    .unnamed = "imported",
    .unnamed_key = "init",
    .check_param = check_init,
};

/* ---- data (owner: the recipe) */

static const crumb_schema augment_schema = {
    .title = "augment",
    .kind = CRUMB_KIND_AUGMENT,
    .row = offsetof(crumb_augment_choice, augment),
    .row_params = offsetof(crumb_augment_choice, params),
};

static const crumb_param data_params[] = {
    {"train", CRUMB_PARAM_TEXT, AT(data.train), "", 0, 0, NULL, "training set, KIND:PATH[:SPLIT]"},
    {"test", CRUMB_PARAM_TEXT, AT(data.test), "", 0, 0, NULL, "test set, KIND:PATH[:SPLIT]"},
    {"limit", CRUMB_PARAM_INT, AT(data.limit), "0", 0, INT_MAX_REAL, NULL,
     "images of the training set, drawn at random, always the same; 0: all"},
    {"holdout", CRUMB_PARAM_INT, AT(data.holdout), "0", 0, INT_MAX_REAL, NULL,
     "training images, drawn likewise, held out for validation; the test set is then used once, at the end"},
    {"mean", CRUMB_PARAM_LIST, AT(data.mean), "[]", -1000, 1000, NULL,
     "subtracted from pixels in 0..1, one a channel; empty: the set's own"},
    {"deviation", CRUMB_PARAM_LIST, AT(data.deviation), "[]", 1e-6, 1000, NULL,
     "then divided by, one a channel; empty: the set's own"},
    {"workers", CRUMB_PARAM_INT, AT(data.workers), "1", 0, 64, NULL, "background threads that load and augment; 0: none"},
    {0},
};

static const crumb_schema_child data_children[] = {
    {"augment", "augmentations of training images, in order", &augment_schema, AT(augment), CRUMB_NO_OFFSET, CRUMB_AUGMENTS_MAX,
     AT(augments), sizeof(crumb_augment_choice)},
    {0},
};

static crumb_status check_data_param(crumb_ctx *ctx, const crumb_param *param, const void *owner) {
    const char *text = (const char *)owner + param->offset;
    if (param->type != CRUMB_PARAM_TEXT || text[0] == '\0') {
        return CRUMB_OK;
    }
    crumb_status status = crumb_dataset_locate(ctx, text);
    return status == CRUMB_OK ? status : crumb_fail_in(ctx, status, "%s", param->name);
}

static crumb_status check_data(crumb_ctx *ctx, const void *owner) {
    const crumb_recipe_data *data = &((const crumb_recipe *)owner)->data;
    if (data->train[0] == '\0' || (data->test[0] == '\0' && data->holdout == 0)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "key '%s' is missing in data", data->train[0] == '\0' ? "train" : "test");
    }
    if (data->mean.count != data->deviation.count || data->mean.count > 4) {
        return crumb_fail(ctx, CRUMB_ERROR_SHAPE, "mean has %d numbers and deviation %d: one a channel, at most 4",
                          data->mean.count, data->deviation.count);
    }
    return CRUMB_OK;
}

static const crumb_schema data_schema = {
    .title = "data",
    .params = data_params,
    .children = data_children,
    .kind = CRUMB_NO_KIND,
    .check_param = check_data_param,
    .check = check_data,
};

/* ---- quantize (owner: crumb_quant_policy) */

static const crumb_param quant_params[] = {
    {"bits", CRUMB_PARAM_INT, offsetof(crumb_quant_choice, bits), "2", 1, 8, NULL,
     "bits a value; the range is the quantizer's, the preset 2 or the nearest it offers"},
    {0},
};

static void narrow_bits(const void *row, crumb_param *param) {
    static const char *const numbers[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8"};
    const crumb_quantizer *quantizer = row;
    int preset = quantizer->min_bits > 2 ? quantizer->min_bits : quantizer->max_bits < 2 ? quantizer->max_bits : 2;
    param->min = quantizer->min_bits;
    param->max = quantizer->max_bits;
    param->preset = numbers[preset];
}

static crumb_status accept_for(crumb_ctx *ctx, const crumb_quantizer *quantizer, unsigned flag, const char *what) {
    return (quantizer->flags & flag) != 0
               ? CRUMB_OK
               : crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "quantizer %s is not for %s", quantizer->name, what);
}

static crumb_status accept_weights(crumb_ctx *ctx, const void *row) {
    return accept_for(ctx, row, CRUMB_QUANT_WEIGHT, "weights");
}

static crumb_status accept_activations(crumb_ctx *ctx, const void *row) {
    return accept_for(ctx, row, CRUMB_QUANT_ACTIVATION, "activations");
}

#define QUANT_SCHEMA(which)                                                                                                    \
    {                                                                                                                          \
        .title = #which, .params = quant_params, .kind = CRUMB_KIND_QUANTIZER, .row = offsetof(crumb_quant_choice, quantizer), \
        .row_params = offsetof(crumb_quant_choice, params), .preset = "none", .accept = accept_##which, .narrow = narrow_bits, \
    }
static const crumb_schema weights_schema = QUANT_SCHEMA(weights);
static const crumb_schema activations_schema = QUANT_SCHEMA(activations);

#define RULE(member) offsetof(crumb_quant_rule, member)

static const crumb_param rule_params[] = {
    {"match", CRUMB_PARAM_TEXT, RULE(match), "", 0, sizeof(((crumb_quant_rule *)0)->match), NULL,
     "layers by name, a shell pattern with * ? [...]"},
    {0},
};

static const crumb_schema_child rule_children[] = {
    {"weights", "instead of the common choice; absent: unchanged", &weights_schema, RULE(weights), RULE(set_weights), 0, 0, 0},
    {"activations", "instead of the common choice; absent: unchanged", &activations_schema, RULE(activations),
     RULE(set_activations), 0, 0, 0},
    {0},
};

static crumb_status check_rule(crumb_ctx *ctx, const void *owner) {
    return ((const crumb_quant_rule *)owner)->match[0] != '\0'
               ? CRUMB_OK
               : crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "key 'match' is missing in layers");
}

static const crumb_schema rule_schema = {
    .title = "layers",
    .params = rule_params,
    .children = rule_children,
    .kind = CRUMB_NO_KIND,
    .check = check_rule,
};

#define POLICY(member) offsetof(crumb_quant_policy, member)
_Static_assert(sizeof(crumb_edge) == sizeof(int), "edges are read as choices");

static const crumb_param policy_params[] = {
    {"first", CRUMB_PARAM_CHOICE, POLICY(first), "same", 0, 0, "same|float|8bit",
     "the first layer: as the others, float, or 8 bits"},
    {"last", CRUMB_PARAM_CHOICE, POLICY(last), "same", 0, 0, "same|float|8bit",
     "the last layer: as the others, float, or 8 bits"},
    {"shortcut", CRUMB_PARAM_BOOL, POLICY(shortcut), "false", 0, 0, NULL, "residual additions see quantized activations"},
    {0},
};

static const crumb_schema_child policy_children[] = {
    {"weights", "quantizer of convolution and linear weights", &weights_schema, POLICY(weights), CRUMB_NO_OFFSET, 0, 0, 0},
    {"activations", "quantizer of convolution and linear inputs", &activations_schema, POLICY(activations), CRUMB_NO_OFFSET, 0,
     0, 0},
    {"layers", "other choices by layer name, in order; the last match wins", &rule_schema, POLICY(rule), CRUMB_NO_OFFSET,
     CRUMB_QUANT_RULES_MAX, POLICY(rules), sizeof(crumb_quant_rule)},
    {0},
};

static const crumb_schema policy_schema = {
    .title = "quantize", .params = policy_params, .children = policy_children, .kind = CRUMB_NO_KIND};

/* ---- train (owner: the recipe) */

static const crumb_schema optimizer_schema = {
    .title = "optimizer",
    .kind = CRUMB_KIND_OPTIMIZER,
    .row = offsetof(crumb_optimizer_choice, optimizer),
    .row_params = offsetof(crumb_optimizer_choice, params),
    .preset = "sgd",
};

static const crumb_schema schedule_schema = {
    .title = "schedule",
    .kind = CRUMB_KIND_SCHEDULE,
    .row = offsetof(crumb_schedule_choice, schedule),
    .row_params = offsetof(crumb_schedule_choice, params),
    .preset = "cosine",
};

static const crumb_param teacher_params[] = {
    {"temperature", CRUMB_PARAM_REAL, AT(teacher.temperature), "4", 0.1, 100, NULL, "both networks' logits are divided by it"},
    {"weight", CRUMB_PARAM_REAL, AT(teacher.weight), "0.5", 0, 1, NULL,
     "of the distillation loss; the labels' loss gets the rest"},
    {0},
};

static const crumb_schema_child teacher_children[] = {
    {"model", "the float network that teaches", &model_schema, AT(teacher.model), CRUMB_NO_OFFSET, 0, 0, 0},
    {0},
};

static const crumb_schema teacher_schema = {
    .title = "teacher", .params = teacher_params, .children = teacher_children, .kind = CRUMB_NO_KIND};

static const crumb_param train_params[] = {
    {"epochs", CRUMB_PARAM_INT, AT(train.epochs), "10", 1, 1e6, NULL, "passes over the training set"},
    {"batch", CRUMB_PARAM_INT, AT(train.batch), "128", 1, 65536, NULL, "images a step"},
    {"seed", CRUMB_PARAM_INT, AT(train.seed), "1", 0, 0x1p53, NULL, "of every random number of the run"},
    {"loss", CRUMB_PARAM_CHOICE, AT(train.loss), "cross-entropy", 0, 0, "cross-entropy|mse", "of logits against labels"},
    {"label_smoothing", CRUMB_PARAM_REAL, AT(train.label_smoothing), "0", 0, 0.999, NULL,
     "share of the target spread over all classes"},
    {"clip_norm", CRUMB_PARAM_REAL, AT(train.clip_norm), "0", 0, ANY_REAL, NULL,
     "largest Euclidean norm of all gradients together; 0: off"},
    {"decay_all", CRUMB_PARAM_BOOL, AT(train.decay_all), "false", 0, 0, NULL, "weight decay also on biases and batch norm"},
    {"evaluate_every", CRUMB_PARAM_INT, AT(train.evaluate_every), "1", 1, 1e6, NULL, "epochs from one evaluation to the next"},
    {"checkpoint_every", CRUMB_PARAM_INT, AT(train.checkpoint_every), "0", 0, INT_MAX_REAL, NULL,
     "steps from one checkpoint to the next; 0: at each epoch's end"},
    {"measure_direct", CRUMB_PARAM_BOOL, AT(train.measure_direct), "true", 0, 0, NULL,
     "evaluate the float weights and their direct quantization before training"},
    {"reestimate", CRUMB_PARAM_BOOL, AT(train.reestimate), "false", 0, 0, NULL,
     "compute batch-norm statistics anew after training"},
    {0},
};

static const crumb_schema_child train_children[] = {
    {"optimizer", "how a gradient changes a weight", &optimizer_schema, AT(optimizer), CRUMB_NO_OFFSET, 0, 0, 0},
    {"schedule", "learning rate over time", &schedule_schema, AT(schedule), CRUMB_NO_OFFSET, 0, 0, 0},
    {"teacher", "distillation; none: off", &teacher_schema, 0, CRUMB_NO_OFFSET, 0, 0, 0},
    {0},
};

static const crumb_schema train_schema = {
    .title = "train", .params = train_params, .children = train_children, .kind = CRUMB_NO_KIND};

/* ---- the recipe */

static const crumb_schema strategy_schema = {
    .title = "strategy",
    .kind = CRUMB_KIND_STRATEGY,
    .row = offsetof(crumb_strategy_choice, strategy),
    .row_params = offsetof(crumb_strategy_choice, params),
};

static const crumb_param recipe_params[] = {
    {"name", CRUMB_PARAM_TEXT, AT(name), "", 0, sizeof(((crumb_recipe *)0)->name), NULL,
     "of the experiment; by default the file's name without folder and suffix"},
    {0},
};

static const crumb_schema_child recipe_children[] = {
    {"model", "the network", &model_schema, AT(model), CRUMB_NO_OFFSET, 0, 0, 0},
    {"data", "what it is trained and tested on", &data_schema, 0, CRUMB_NO_OFFSET, 0, 0, 0},
    {"quantize", "which values get few bits; none: all float", &policy_schema, AT(quant), CRUMB_NO_OFFSET, 0, 0, 0},
    {"train", "how long and how", &train_schema, 0, CRUMB_NO_OFFSET, 0, 0, 0},
    {"strategies", "rewrite the timeline and hook the step, in order", &strategy_schema, AT(strategy), CRUMB_NO_OFFSET,
     CRUMB_STRATEGIES_MAX, AT(strategies), sizeof(crumb_strategy_choice)},
    {0},
};

const crumb_schema crumb_recipe_schema = {
    .title = "the recipe", .params = recipe_params, .children = recipe_children, .kind = CRUMB_NO_KIND};
