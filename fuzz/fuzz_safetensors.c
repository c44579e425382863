/* safetensors: any bytes give a file whose every tensor can be read, or a message; and a network can be asked to load it. */
#include "formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

static crumb_graph *small_network(crumb_ctx *ctx) {
    crumb_graph *graph;
    int x;
    if (crumb_graph_create(ctx, &graph) != CRUMB_OK ||
        crumb_graph_input(graph, "image", CRUMB_SHAPE(1, 2, 2, 2), &x) != CRUMB_OK ||
        crumb_graph_conv2d(graph, "conv", x, (crumb_conv){.out = 2, .kernel = 2}, &x) != CRUMB_OK ||
        crumb_graph_batch_norm(graph, "bn", x, true, &x) != CRUMB_OK) {
        abort();
    }
    return graph;
}

static void read_all(crumb_ctx *ctx, const crumb_safetensors *file) {
    for (int i = 0; i < crumb_safetensors_count(file); i++) {
        crumb_safetensor tensor = crumb_safetensors_at(file, i);
        float *values = malloc((size_t)crumb_shape_count(tensor.shape) * sizeof(float) + 1);
        if (values == NULL || crumb_safetensors_find(file, tensor.name) != i) {
            abort();
        }
        crumb_safetensor_floats(ctx, &tensor, values);
        free(values);
    }
    crumb_safetensors_metadata(file, "format");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    crumb_ctx *ctx;
    crumb_safetensors *file;
    if (crumb_ctx_create(&ctx, NULL) != CRUMB_OK) {
        abort();
    }
    if (crumb_safetensors_parse(ctx, "fuzz", data, size, &file) == CRUMB_OK) {
        crumb_graph *graph = small_network(ctx);
        read_all(ctx, file);
        crumb_graph_load(graph, "", file, false);
        crumb_graph_load(graph, "", file, true);
        crumb_graph_destroy(graph);
        crumb_safetensors_close(file);
    } else if (crumb_message(ctx)[0] == '\0') {
        abort();
    }
    crumb_ctx_destroy(ctx);
    return 0;
}
