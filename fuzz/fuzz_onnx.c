/* ONNX: any bytes give a graph, or a message: as a classifier and as a model of any outputs; a graph's text reads back. */
#include "graph/graph.h"
#include "onnx/import.h"

#include <stdlib.h>
#include <string.h>

/* Honest small files may ask for large tensors: those are refused, as on a small machine. */
static void *limited(void *user, size_t bytes) {
    (void)user;
    return bytes <= (size_t)64 << 20 ? malloc(bytes) : NULL;
}

static void release(void *user, void *block) {
    (void)user;
    free(block);
}

static void check_text(crumb_ctx *ctx, const crumb_graph *graph) {
    char *text, *again;
    crumb_graph *copy;
    if (crumb_graph_print(graph, &text) != CRUMB_OK) {
        return;
    }
    if (crumb_graph_parse(ctx, "fuzz", text, INT64_C(1) << 40, &copy) == CRUMB_OK) {
        if (crumb_graph_print(copy, &again) == CRUMB_OK) {
            if (strcmp(text, again) != 0) {
                abort();
            }
            crumb_free(ctx, again);
        }
        crumb_graph_destroy(copy);
    }
    crumb_free(ctx, text);
}

static void import(crumb_ctx *ctx, const uint8_t *data, size_t size, bool classifier) {
    ProtobufCMessage *message;
    crumb_graph *graph;
    crumb_import_output outputs[CRUMB_ONNX_OUTPUTS_MAX];
    int count = 0;
    if (crumb_onnx_unpack(ctx, "fuzz", &crumb_onnx__model_proto__descriptor, data, size, &message) == CRUMB_OK) {
        if (crumb_import_model(ctx, "/nowhere/fuzz", (CrumbOnnx__ModelProto *)message,
                               &(crumb_import_options){.classifier = classifier}, &graph, classifier ? NULL : outputs,
                               &count) == CRUMB_OK) {
            if (classifier) {
                check_text(ctx, graph);
            }
            for (int i = 0; i < count; i++) {
                crumb_onnx_array_free(ctx, &outputs[i].array);
            }
            crumb_graph_destroy(graph);
            crumb_onnx_free(ctx, message);
            return;
        }
        crumb_onnx_free(ctx, message);
    }
    if (crumb_message(ctx)[0] == '\0') {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    crumb_ctx *ctx;
    if (crumb_ctx_create(&ctx, &(crumb_settings){.alloc = limited, .release = release, .threads = 1}) != CRUMB_OK) {
        abort();
    }
    import(ctx, data, size, true);
    import(ctx, data, size, false);
    crumb_ctx_destroy(ctx);
    return 0;
}
