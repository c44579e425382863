/* Networks that a file describes instead of a row of models.inc: the row "imported". Their structure travels as text
 * (graph/text.c): in a recipe's memory once the file of model.init has been looked at, and in model files as the metadata
 * crumb.graph. */
#include "train/imported.h"

#include "onnx/import.h"

#include <inttypes.h>
#include <string.h>

static crumb_status build(crumb_graph *graph, const void *params, int x, int64_t classes, int *logits) {
    (void)params, (void)x, (void)classes, (void)logits;
    return crumb_fail(graph->ctx, CRUMB_ERROR_ARGUMENT, "imported: a network comes with a file; model.init names it");
}

const crumb_model crumb_imported = {
    .name = "imported",
    .doc = "the network of the file that init names: ONNX, or a model file made of one",
    .height = 32,
    .width = 32,
    .channels = 3,
    .params = (const crumb_param[]){{0}},
    .params_size = sizeof(double),
    .build = build,
};

bool crumb_is_onnx(const char *path) {
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".onnx") == 0;
}

static crumb_status describe_onnx(crumb_ctx *ctx, crumb_model_choice *choice) {
    crumb_graph *graph;
    CRUMB_TRY(crumb_import_file(ctx, choice->init, &graph, NULL));
    crumb_status status = crumb_graph_print(graph, &choice->graph);
    crumb_graph_destroy(graph);
    return status;
}

static crumb_status describe_own(crumb_ctx *ctx, crumb_model_choice *choice) {
    crumb_safetensors *file;
    CRUMB_TRY(crumb_safetensors_open(ctx, choice->init, &file));
    crumb_status status = crumb_imported_read(ctx, file, choice);
    crumb_safetensors_close(file);
    return status;
}

crumb_status crumb_imported_describe(crumb_ctx *ctx, crumb_model_choice *choice) {
    if (choice->model != &crumb_imported || choice->graph != NULL || choice->init[0] == '\0') {
        return CRUMB_OK;
    }
    return crumb_is_onnx(choice->init) ? describe_onnx(ctx, choice) : describe_own(ctx, choice);
}

crumb_status crumb_imported_read(crumb_ctx *ctx, const crumb_safetensors *file, crumb_model_choice *choice) {
    const char *text = crumb_safetensors_metadata(file, crumb_imported_key);
    if (text == NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: does not describe its network (no metadata %s): set model.name",
                          crumb_safetensors_path(file), crumb_imported_key);
    }
    choice->elements = 0;
    for (int i = 0; i < crumb_safetensors_count(file); i++) {
        choice->elements += crumb_shape_count(crumb_safetensors_at(file, i).shape);
    }
    choice->graph = crumb_copy_text(ctx, text);
    return choice->graph != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

crumb_status crumb_imported_check(const crumb_graph *graph, const char *path, crumb_shape image, int64_t classes) {
    char have[CRUMB_SHAPE_TEXT], want[CRUMB_SHAPE_TEXT];
    crumb_shape own = graph->value[graph->image].shape;
    int64_t outputs = crumb_shape_last(graph->value[graph->logits].shape);
    if (crumb_shape_equal(own, image) && outputs == classes) {
        return CRUMB_OK;
    }
    return crumb_fail(
        graph->ctx, CRUMB_ERROR_SHAPE, "%s: the network takes %s and gives %" PRId64 " classes; there are %s and %" PRId64,
        path[0] != '\0' ? path : "imported", crumb_shape_print(own, have), outputs, crumb_shape_print(image, want), classes);
}

/* Elements that the tensors of an imported network may have: as many as its file has, and the image. */
static int64_t room_of(const crumb_model_choice *choice) {
    return (choice->elements > 0 ? choice->elements : INT64_C(1) << 32) + (INT64_C(1) << 28);
}

crumb_status crumb_choice_build(crumb_ctx *ctx, const crumb_model_choice *choice, crumb_shape image, int64_t classes,
                                uint64_t seed, crumb_graph **graph) {
    if (choice->model != &crumb_imported || choice->graph == NULL) {
        return crumb_model_build(ctx, choice->model, choice->params, image, classes, seed, graph);
    }
    crumb_graph *made;
    CRUMB_TRY(
        crumb_graph_parse(ctx, choice->init[0] != '\0' ? choice->init : "imported", choice->graph, room_of(choice), &made));
    crumb_status status = crumb_imported_check(made, choice->init, image, classes);
    if (status != CRUMB_OK) {
        crumb_graph_destroy(made);
        return status;
    }
    *graph = made;
    return CRUMB_OK;
}
