/* The table behind models.inc; a network with its input and first values. */
#include "graph/graph.h"

#include "base/param.h"

#include <string.h>

const crumb_model *const crumb_models[] = {
#define CRUMB_MODEL(name) &crumb_model_##name,
#include "graph/models.inc"
#undef CRUMB_MODEL
    NULL,
};

const crumb_model *crumb_model_find(const char *name) {
    for (int i = 0; crumb_models[i] != NULL; i++) {
        if (strcmp(crumb_models[i]->name, name) == 0) {
            return crumb_models[i];
        }
    }
    return NULL;
}

/* Far above anything of use, and low enough that the number of elements of every tensor of every network (widths below 64)
 * stays below 2^63: 2^28 pixels into a layer of 2^22 units are 2^50 weights. */
enum { IMAGE_MAX = 1 << 28, CLASSES_MAX = 1 << 20 };

static crumb_status check_arguments(crumb_ctx *ctx, const crumb_model *model, crumb_shape image, int64_t classes) {
    bool fits = image.rank == 4 && image.dim[0] == 1;
    for (int64_t i = 1, count = 1; fits && i < 4; count *= image.dim[i++]) {
        fits = image.dim[i] >= 1 && image.dim[i] <= IMAGE_MAX / count;
    }
    if (!fits) {
        char text[CRUMB_SHAPE_TEXT];
        return crumb_fail(ctx, CRUMB_ERROR_SHAPE, "%s: %s is not the shape of an image, 1xHxWxC of at most %d values",
                          model->name, crumb_shape_print(image, text), IMAGE_MAX);
    }
    if (classes < 1 || classes > CLASSES_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %lld classes, possible are 1 to %d", model->name, (long long)classes,
                          CLASSES_MAX);
    }
    return CRUMB_OK;
}

/* The graph with its input; what the network's own file has to say follows. */
static crumb_status fill(crumb_graph *graph, const crumb_model *model, const void *params, crumb_shape image, int64_t classes) {
    CRUMB_TRY(crumb_graph_input(graph, "image", image, &graph->image));
    crumb_status status = model->build(graph, params, graph->image, classes, &graph->logits);
    if (status == CRUMB_OK || status == CRUMB_ERROR_MEMORY) {
        return status;
    }
    return crumb_fail_in(graph->ctx, status, "%s on images of %lldx%lldx%lld", model->name, (long long)image.dim[1],
                         (long long)image.dim[2], (long long)image.dim[3]);
}

crumb_status crumb_model_build(crumb_ctx *ctx, const crumb_model *model, const void *params, crumb_shape image, int64_t classes,
                               uint64_t seed, crumb_graph **out) {
    _Alignas(16) unsigned char presets[CRUMB_MODEL_PARAMS_MAX] = {0};
    if (params == NULL) {
        crumb_params_preset(model->params, presets);
        params = presets;
    }
    CRUMB_TRY(check_arguments(ctx, model, image, classes));
    crumb_graph *graph;
    CRUMB_TRY(crumb_graph_create(ctx, &graph));
    crumb_status status = fill(graph, model, params, image, classes);
    if (status != CRUMB_OK) {
        crumb_graph_destroy(graph);
        return status;
    }
    crumb_graph_initialise(graph, seed);
    *out = graph;
    return CRUMB_OK;
}
