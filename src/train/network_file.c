/* Networks in files: crumb's own, which describe themselves, and PyTorch's, whose model has to be named. */
#include "train/network.h"

#include "base/file.h"
#include "onnx/import.h"
#include "train/imported.h"

#include <stdio.h>
#include <string.h>

static const char *const key_recipe = "crumb.recipe", *const key_image = "crumb.image", *const key_classes = "crumb.classes",
                         *const key_names = "crumb.class_names";

/* ---- Writing. */

/* What the file keeps of a recipe: nothing that points outside. */
static void make_portable(crumb_recipe *recipe, const crumb_network_facts *facts) {
    *recipe = *facts->recipe;
    recipe->quant = *facts->policy;
    recipe->strategies = 0;
    recipe->teacher.model.model = NULL;
    recipe->model.init[0] = '\0';
    recipe->data.train[strcspn(recipe->data.train, ":")] = '\0'; /* the kind of data stays, its place does not */
    recipe->data.test[strcspn(recipe->data.test, ":")] = '\0';
    if (facts->mean != NULL) {
        int channels = (int)crumb_shape_last(facts->image);
        recipe->data.mean.count = recipe->data.deviation.count = channels;
        for (int c = 0; c < channels; c++) {
            recipe->data.mean.at[c] = facts->mean[c];
            recipe->data.deviation.at[c] = facts->deviation[c];
        }
    }
}

static crumb_status print_portable(const crumb_network_facts *facts, char **text) {
    crumb_ctx *ctx = facts->recipe->ctx;
    crumb_recipe *recipe = crumb_alloc(ctx, 1, sizeof(*recipe));
    if (recipe == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    make_portable(recipe, facts);
    crumb_status status = crumb_recipe_print(recipe, text);
    crumb_free(ctx, recipe);
    return status;
}

static crumb_status note_facts(const crumb_network_facts *facts, crumb_safetensors_writer *writer) {
    char image[CRUMB_SHAPE_TEXT], classes[32];
    crumb_shape inner = CRUMB_SHAPE(facts->image.dim[1], facts->image.dim[2], facts->image.dim[3]);
    snprintf(classes, sizeof(classes), "%d", facts->classes);
    CRUMB_TRY(crumb_safetensors_note(writer, key_image, crumb_shape_print(inner, image)));
    CRUMB_TRY(crumb_safetensors_note(writer, key_classes, classes));
    if (facts->class_names != NULL) {
        CRUMB_TRY(crumb_safetensors_note(writer, key_names, facts->class_names));
    }
    if (facts->recipe->model.graph != NULL) {
        CRUMB_TRY(crumb_safetensors_note(writer, crumb_imported_key, facts->recipe->model.graph));
    }
    char *recipe;
    CRUMB_TRY(print_portable(facts, &recipe));
    crumb_status status = crumb_safetensors_note(writer, key_recipe, recipe);
    crumb_text_free(facts->recipe->ctx, recipe);
    return status;
}

crumb_status crumb_network_write(const crumb_network_facts *facts, crumb_graph *graph, const char *path) {
    crumb_safetensors_writer *writer;
    CRUMB_TRY(crumb_safetensors_begin(facts->recipe->ctx, &writer));
    crumb_status status = note_facts(facts, writer);
    if (status == CRUMB_OK) {
        status = crumb_graph_store(graph, "", writer);
    }
    if (status == CRUMB_OK) {
        status = crumb_safetensors_commit(writer, path);
    }
    crumb_safetensors_drop(writer);
    return status;
}

crumb_status crumb_network_save(crumb_network *network, const char *path) {
    crumb_network_facts facts = {.recipe = network->recipe,
                                 .policy = &network->recipe->quant,
                                 .image = network->image,
                                 .classes = network->classes,
                                 .class_names = network->class_names};
    return crumb_network_write(&facts, network->graph, path);
}

crumb_status crumb_network_class_names(crumb_ctx *ctx, const crumb_dataset_info *info, char **text) {
    *text = NULL;
    if (info->class_names == NULL) {
        return CRUMB_OK;
    }
    size_t room = 1, used = 0;
    for (int i = 0; i < info->classes; i++) {
        room += strlen(info->class_names[i]) + 1;
    }
    char *names = crumb_alloc(ctx, room, 1);
    if (names == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int i = 0; i < info->classes; i++) {
        used += (size_t)snprintf(names + used, room - used, "%s%s", i == 0 ? "" : "\n", info->class_names[i]);
    }
    *text = names;
    return CRUMB_OK;
}

/* ---- Reading. */

void crumb_network_close(crumb_network *network) {
    if (network == NULL) {
        return;
    }
    crumb_ctx *ctx = network->ctx;
    crumb_graph_destroy(network->graph);
    crumb_recipe_free(network->recipe);
    crumb_free(ctx, network->class_names);
    crumb_free(ctx, network);
}

/* Graph of network->recipe's model and quantization, without weights. */
static crumb_status build(crumb_network *network) {
    const crumb_model_choice *model = &network->recipe->model;
    crumb_graph *plain;
    CRUMB_TRY(crumb_choice_build(network->ctx, model, network->image, network->classes, 0, &plain));
    crumb_status status = crumb_graph_quantize(plain, &network->recipe->quant, &network->graph);
    crumb_graph_destroy(plain);
    return status;
}

static crumb_status bad_note(crumb_ctx *ctx, const crumb_safetensors *file, const char *key, const char *value) {
    return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: metadata %s is %s%.40s", crumb_safetensors_path(file), key,
                      value != NULL ? "" : "missing", value != NULL ? value : "");
}

static crumb_status read_numbers(crumb_network *network, const crumb_safetensors *file) {
    const char *image = crumb_safetensors_metadata(file, key_image), *classes = crumb_safetensors_metadata(file, key_classes);
    long long h, w, c;
    char rest;
    if (image == NULL || sscanf(image, "%lldx%lldx%lld%c", &h, &w, &c, &rest) != 3 || h < 1 || w < 1 || c < 1 || h > 1 << 16 ||
        w > 1 << 16 || c > 1 << 16) {
        return bad_note(network->ctx, file, key_image, image);
    }
    if (classes == NULL || sscanf(classes, "%d%c", &network->classes, &rest) != 1 || network->classes < 1 ||
        network->classes > 1 << 24) {
        return bad_note(network->ctx, file, key_classes, classes);
    }
    network->image = CRUMB_SHAPE(1, h, w, c);
    return CRUMB_OK;
}

static crumb_status read_own(crumb_network *network, const crumb_safetensors *file) {
    const char *recipe = crumb_safetensors_metadata(file, key_recipe), *names = crumb_safetensors_metadata(file, key_names);
    if (recipe == NULL) {
        return crumb_fail(network->ctx, CRUMB_ERROR_FORMAT,
                          "%s: no metadata %s, so its model is unknown; import it under its model's name",
                          crumb_safetensors_path(file), key_recipe);
    }
    CRUMB_TRY(read_numbers(network, file));
    if (names != NULL && (network->class_names = crumb_copy_text(network->ctx, names)) == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(crumb_recipe_parse(network->ctx, crumb_safetensors_path(file), recipe, strlen(recipe), NULL, 0, NULL, NULL,
                                 &network->recipe));
    if (network->recipe->model.model == &crumb_imported) {
        CRUMB_TRY(crumb_imported_read(network->ctx, file, &network->recipe->model));
    }
    CRUMB_TRY(build(network));
    CRUMB_TRY(crumb_graph_load(network->graph, "", file, true));
    return crumb_network_measure(network);
}

static crumb_status open_own(crumb_ctx *ctx, const crumb_safetensors *file, crumb_network **out) {
    crumb_network *network = crumb_alloc(ctx, 1, sizeof(*network));
    if (network == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    network->ctx = ctx;
    crumb_status status = read_own(network, file);
    if (status != CRUMB_OK) {
        crumb_network_close(network);
        return status;
    }
    *out = network;
    return CRUMB_OK;
}

crumb_status crumb_network_open(crumb_ctx *ctx, const char *path, crumb_network **network) {
    crumb_safetensors *file;
    if (crumb_packed_probe_file(path)) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: this is a packed network; the trained one it was made of is wanted",
                          path);
    }
    if (crumb_is_onnx(path) && crumb_file_exists(path)) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: this is an ONNX file; crumb import makes a model file of it", path);
    }
    CRUMB_TRY(crumb_safetensors_open(ctx, path, &file));
    crumb_status status = open_own(ctx, file, network);
    crumb_safetensors_close(file);
    return status;
}

/* ---- Weights for a network that is described elsewhere. */

/* Every parameter and statistic of the plain model must be among the weights of a file of crumb's own. */
static crumb_status check_weights(const char *path, const crumb_graph *plain, const crumb_graph *weights) {
    char have[CRUMB_SHAPE_TEXT], want[CRUMB_SHAPE_TEXT];
    for (int v = 0; v < plain->values; v++) {
        const crumb_value *value = &plain->value[v];
        if (value->kind != CRUMB_VALUE_PARAM && value->kind != CRUMB_VALUE_STATE) {
            continue;
        }
        int other = crumb_graph_find(weights, value->name);
        if (other < 0) {
            return crumb_fail(plain->ctx, CRUMB_ERROR_FORMAT, "%s: has no tensor %s", path, value->name);
        }
        if (!crumb_shape_equal(weights->value[other].shape, value->shape)) {
            return crumb_fail(plain->ctx, CRUMB_ERROR_FORMAT, "%s: %s is %s, this network needs %s", path, value->name,
                              crumb_shape_print(weights->value[other].shape, have), crumb_shape_print(value->shape, want));
        }
    }
    return CRUMB_OK;
}

static crumb_status take_own(crumb_ctx *ctx, const crumb_safetensors *file, const crumb_graph *plain, crumb_graph **graph) {
    crumb_network *network;
    CRUMB_TRY(open_own(ctx, file, &network));
    crumb_status status = check_weights(crumb_safetensors_path(file), plain, network->graph);
    if (status == CRUMB_OK) {
        *graph = network->graph;
        network->graph = NULL;
    }
    crumb_network_close(network);
    return status;
}

static crumb_status take_onnx(crumb_ctx *ctx, const crumb_model_choice *choice, crumb_shape image, int classes,
                              crumb_graph **graph) {
    crumb_graph *made;
    CRUMB_TRY(crumb_import_file(ctx, choice->init, &made, NULL));
    crumb_status status = crumb_imported_check(made, choice->init, image, classes);
    if (status != CRUMB_OK) {
        crumb_graph_destroy(made);
        return status;
    }
    *graph = made;
    return CRUMB_OK;
}

crumb_status crumb_network_weights(crumb_ctx *ctx, const crumb_model_choice *choice, crumb_shape image, int classes,
                                   crumb_graph **graph) {
    if (choice->model == &crumb_imported && crumb_is_onnx(choice->init)) {
        return take_onnx(ctx, choice, image, classes, graph);
    }
    crumb_graph *plain, *own = NULL;
    CRUMB_TRY(crumb_choice_build(ctx, choice, image, classes, 0, &plain));
    crumb_safetensors *file = NULL;
    crumb_status status = crumb_safetensors_open(ctx, choice->init, &file);
    if (status == CRUMB_OK) {
        status = crumb_safetensors_metadata(file, key_recipe) != NULL ? take_own(ctx, file, plain, &own)
                                                                      : crumb_graph_load(plain, "", file, true);
    }
    crumb_safetensors_close(file);
    if (status != CRUMB_OK || own != NULL) {
        crumb_graph_destroy(plain);
    }
    if (status == CRUMB_OK) {
        *graph = own != NULL ? own : plain;
    }
    return status;
}

/* ---- Importing: a recipe that says no more than the model, and the weights. */

enum { OVERRIDES_MAX = 16, OVERRIDE_MAX = 256 };

/* "key=value,..." as overrides of the model's section. */
static crumb_status model_overrides(crumb_ctx *ctx, const char *model, const char *parameters, char (*text)[OVERRIDE_MAX],
                                    int *count) {
    *count = 1;
    if (snprintf(text[0], OVERRIDE_MAX, "model.name=%s", model) >= OVERRIDE_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "model name of %zu bytes", strlen(model));
    }
    for (const char *at = parameters; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, ",");
        if (*count == OVERRIDES_MAX || length + sizeof("model.") >= OVERRIDE_MAX) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "model parameters too long: %.60s...", parameters);
        }
        snprintf(text[(*count)++], OVERRIDE_MAX, "model.%.*s", (int)length, at);
        at += length + (at[length] == ',');
    }
    return CRUMB_OK;
}

static crumb_status import_into(crumb_network *network, const char *path, const char *model, const char *parameters) {
    static const char text[] = "name: imported\ndata: {train: digits:train, test: digits:test}\n";
    char overrides[OVERRIDES_MAX][OVERRIDE_MAX];
    const char *pointers[OVERRIDES_MAX];
    int count;
    CRUMB_TRY(model_overrides(network->ctx, model, parameters, overrides, &count));
    for (int i = 0; i < count; i++) {
        pointers[i] = overrides[i];
    }
    CRUMB_TRY(crumb_recipe_parse(network->ctx, "import", text, strlen(text), pointers, count, NULL, NULL, &network->recipe));
    crumb_model_choice choice = network->recipe->model;
    if (snprintf(choice.init, sizeof(choice.init), "%s", path) >= (int)sizeof(choice.init)) {
        return crumb_fail(network->ctx, CRUMB_ERROR_ARGUMENT, "path of %zu bytes is too long", strlen(path));
    }
    crumb_graph *weights;
    CRUMB_TRY(build(network));
    CRUMB_TRY(crumb_network_weights(network->ctx, &choice, network->image, network->classes, &weights));
    crumb_graph_copy(network->graph, weights, NULL); /* without the quantizers that a file of crumb's own may bring */
    crumb_graph_destroy(weights);
    return crumb_network_measure(network);
}

/* An ONNX file says all of it. */
static crumb_status import_onnx(crumb_network *network, const char *path) {
    static const char text[] = "name: imported\nmodel: {name: imported}\ndata: {train: digits:train, test: digits:test}\n";
    CRUMB_TRY(crumb_recipe_parse(network->ctx, "import", text, strlen(text), NULL, 0, NULL, NULL, &network->recipe));
    crumb_import_facts facts;
    CRUMB_TRY(crumb_import_file(network->ctx, path, &network->graph, &facts));
    network->class_names = facts.class_names;
    if (facts.channels > 0) {
        crumb_network_normalise(network, facts.mean, facts.deviation, facts.channels);
    }
    CRUMB_TRY(crumb_graph_print(network->graph, &network->recipe->model.graph));
    network->image = network->graph->value[network->graph->image].shape;
    int64_t channels = crumb_shape_last(network->image),
            classes = crumb_shape_last(network->graph->value[network->graph->logits].shape);
    if (channels > 4 || classes > 1 << 24) {
        return crumb_fail(network->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: images of %lld channels, %lld classes", path,
                          (long long)channels, (long long)classes);
    }
    network->classes = (int)classes;
    return crumb_network_measure(network);
}

crumb_status crumb_network_import(crumb_ctx *ctx, const char *path, const char *model, const char *parameters, int64_t height,
                                  int64_t width, int64_t channels, int classes, crumb_network **out) {
    bool onnx = model == NULL;
    if (!onnx && (height < 1 || width < 1 || channels < 1 || channels > 4 || classes < 1)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "images of %lldx%lldx%lld and %d classes", (long long)height,
                          (long long)width, (long long)channels, classes);
    }
    crumb_network *network = crumb_alloc(ctx, 1, sizeof(*network));
    if (network == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    network->ctx = ctx;
    network->image = CRUMB_SHAPE(1, height, width, channels);
    network->classes = classes;
    crumb_status status = onnx ? import_onnx(network, path) : import_into(network, path, model, parameters);
    if (status != CRUMB_OK) {
        crumb_network_close(network);
        return status;
    }
    *out = network;
    return CRUMB_OK;
}
