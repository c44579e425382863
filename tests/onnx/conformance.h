/* Test cases in the layout of ONNX's backend tests: a folder with model.onnx (or any one .onnx file) and
 * test_data_set_K/input_I.pb, output_I.pb. A case's model is imported with its first input as the image and the other inputs as
 * constants, run with the plain ops, and each output compared as ONNX's own runner does: |got - want| <= 1e-7 + 1e-3 |want|. */
#ifndef CRUMB_CONFORMANCE_H
#define CRUMB_CONFORMANCE_H

#include "harness.h"

#include "base/text.h"
#include "graph/exec.h"
#include "onnx/import.h"

#include <dirent.h>
#include <sys/stat.h>

typedef enum verdict { PASSED, FAILED, UNSUPPORTED } verdict;

enum { CONFORMANCE_MAX = 16 };

typedef struct data_set {
    CrumbOnnx__TensorProto *input[CONFORMANCE_MAX], *output[CONFORMANCE_MAX];
    int inputs, outputs;
} data_set;

static CrumbOnnx__TensorProto *conformance_tensor(crumb_ctx *ctx, const char *folder, int set, const char *kind, int index) {
    char path[4096];
    ProtobufCMessage *message;
    snprintf(path, sizeof(path), "%s/test_data_set_%d/%s_%d.pb", folder, set, kind, index);
    if (access(path, R_OK) != 0 || crumb_onnx_open(ctx, path, &crumb_onnx__tensor_proto__descriptor, &message) != CRUMB_OK) {
        return NULL;
    }
    return (CrumbOnnx__TensorProto *)message;
}

static void conformance_read(crumb_ctx *ctx, const char *folder, int set, data_set *d) {
    *d = (data_set){0};
    while (d->inputs < CONFORMANCE_MAX &&
           (d->input[d->inputs] = conformance_tensor(ctx, folder, set, "input", d->inputs)) != NULL) {
        d->inputs++;
    }
    while (d->outputs < CONFORMANCE_MAX &&
           (d->output[d->outputs] = conformance_tensor(ctx, folder, set, "output", d->outputs)) != NULL) {
        d->outputs++;
    }
}

static void conformance_free(crumb_ctx *ctx, data_set *d) {
    for (int i = 0; i < CONFORMANCE_MAX; i++) {
        crumb_onnx_free(ctx, d->input[i]);
        crumb_onnx_free(ctx, d->output[i]);
    }
}

static bool conformance_near(double got, double want) {
    return (isnan(got) && isnan(want)) || got == want || fabs(got - want) <= 1e-7 + 1e-3 * fabs(want);
}

/* Element `index` (in ONNX's order) of an output as the graph has it. */
static int64_t conformance_place(crumb_shape shape, bool last, int64_t index) {
    int64_t inner = 1;
    for (int i = 2; i < shape.rank; i++) {
        inner *= shape.dim[i];
    }
    if (!last || shape.rank < 3) {
        return index;
    }
    int64_t channels = shape.dim[1], n = index / (channels * inner), c = index / inner % channels, pixel = index % inner;
    return (n * inner + pixel) * channels + c;
}

static verdict conformance_compare(crumb_ctx *ctx, const crumb_import_output *output, const float *data,
                                   const CrumbOnnx__TensorProto *want, crumb_text *why) {
    crumb_onnx_array expected;
    if (crumb_onnx_tensor_read(ctx, "output", want, &expected) != CRUMB_OK) {
        crumb_text_print(why, "%s", crumb_message(ctx));
        return UNSUPPORTED;
    }
    verdict v = PASSED;
    char a[CRUMB_SHAPE_TEXT], b[CRUMB_SHAPE_TEXT];
    if (!crumb_shape_equal(expected.shape, output->shape)) {
        crumb_text_print(why, "output is %s, not %s", crumb_shape_print(output->shape, a),
                         crumb_shape_print(expected.shape, b));
        v = FAILED;
    }
    for (int64_t i = 0; v == PASSED && i < crumb_shape_count(expected.shape); i++) {
        double wanted = expected.real != NULL ? (double)expected.real[i] : (double)expected.whole[i];
        double got = output->array.real != NULL    ? (double)output->array.real[i]
                     : output->array.whole != NULL ? (double)output->array.whole[i]
                                                   : (double)data[conformance_place(output->shape, output->last, i)];
        if (!conformance_near(got, wanted)) {
            crumb_text_print(why, "value %lld is %.9g, not %.9g", (long long)i, got, wanted);
            v = FAILED;
        }
    }
    crumb_onnx_array_free(ctx, &expected);
    return v;
}

/* Puts the first input into the graph's image. */
static crumb_status conformance_fill(crumb_ctx *ctx, crumb_exec *exec, const crumb_graph *graph,
                                     const CrumbOnnx__TensorProto *x) {
    crumb_onnx_array array;
    CRUMB_TRY(crumb_onnx_tensor_read(ctx, "input", x, &array));
    crumb_shape image = graph->value[graph->image].shape;
    bool last = !crumb_shape_equal(image, array.shape) || image.rank == 4;
    float *to = crumb_exec_value(exec, graph->image);
    for (int64_t i = 0; array.real != NULL && i < crumb_shape_count(array.shape); i++) {
        to[conformance_place(array.shape, last, i)] = array.real[i];
    }
    crumb_onnx_array_free(ctx, &array);
    return CRUMB_OK;
}

static verdict conformance_run(crumb_ctx *ctx, crumb_graph *graph, const crumb_import_output *outputs, int count,
                               const data_set *d, crumb_text *why) {
    crumb_exec *exec = NULL;
    int64_t batch =
        graph->image >= 0 && graph->value[graph->image].shape.rank > 0 ? graph->value[graph->image].shape.dim[0] : 1;
    if (graph->image >= 0 && graph->nodes > 0) {
        if (crumb_exec_create(graph, &(crumb_exec_options){.batch = batch, .reference = true, .keep = true}, &exec) !=
                CRUMB_OK ||
            conformance_fill(ctx, exec, graph, d->input[0]) != CRUMB_OK) {
            crumb_text_print(why, "%s", crumb_message(ctx));
            crumb_exec_destroy(exec);
            return FAILED;
        }
        crumb_exec_forward(exec, false, 1, 1);
    }
    verdict v = PASSED;
    for (int i = 0; i < count && i < d->outputs && v == PASSED; i++) {
        const float *data = outputs[i].value >= 0 && exec != NULL ? crumb_exec_value(exec, outputs[i].value) : NULL;
        if (data == NULL && outputs[i].value >= 0) {
            crumb_text_print(why, "the output is the input");
            v = UNSUPPORTED;
        } else {
            v = conformance_compare(ctx, &outputs[i], data, d->output[i], why);
        }
    }
    crumb_exec_destroy(exec);
    return v;
}

/* The only file that ends with .onnx. */
static bool conformance_model(const char *folder, char path[4096]) {
    bool found = false;
    DIR *open = opendir(folder);
    for (struct dirent *entry = open != NULL ? readdir(open) : NULL; entry != NULL; entry = readdir(open)) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".onnx") == 0) {
            snprintf(path, 4096, "%s/%s", folder, entry->d_name);
            found = true;
        }
    }
    if (open != NULL) {
        closedir(open);
    }
    return found;
}

/* Inputs of the model that are no initializers, in order: input_0.pb, input_1.pb, ... */
static int conformance_bind(const CrumbOnnx__GraphProto *graph, const data_set *d, crumb_import_binding *binding) {
    int inputs = 0, bindings = 0;
    for (size_t i = 0; i < graph->n_input; i++) {
        bool initialized = false;
        for (size_t k = 0; k < graph->n_initializer; k++) {
            initialized |= strcmp(graph->initializer[k]->name, graph->input[i]->name) == 0;
        }
        if (!initialized && inputs < d->inputs && inputs++ > 0) {
            binding[bindings++] = (crumb_import_binding){graph->input[i]->name, d->input[inputs - 1]};
        }
    }
    return bindings;
}

/* One data set of one case. ops (may be NULL) gets the name of the last op of the model. */
static verdict conformance_case(crumb_ctx *ctx, const char *folder, int set, char op[64], crumb_text *why) {
    char path[4096];
    data_set d;
    ProtobufCMessage *message;
    crumb_import_output outputs[CRUMB_ONNX_OUTPUTS_MAX];
    crumb_import_binding binding[CONFORMANCE_MAX];
    crumb_graph *graph;
    int count = 0;
    strcpy(op, "?");
    if (!conformance_model(folder, path) ||
        crumb_onnx_open(ctx, path, &crumb_onnx__model_proto__descriptor, &message) != CRUMB_OK) {
        crumb_text_print(why, "no model: %s", crumb_message(ctx));
        return UNSUPPORTED;
    }
    CrumbOnnx__ModelProto *model = (CrumbOnnx__ModelProto *)message;
    conformance_read(ctx, folder, set, &d);
    verdict v = UNSUPPORTED;
    if (model->graph != NULL && model->graph->n_node > 0) {
        snprintf(op, 64, "%s", model->graph->node[0]->op_type);
        crumb_import_options options = {.binding = binding, .bindings = conformance_bind(model->graph, &d, binding)};
        if (crumb_import_model(ctx, path, model, &options, &graph, outputs, &count) != CRUMB_OK) {
            crumb_text_print(why, "%s", crumb_message(ctx));
        } else {
            v = conformance_run(ctx, graph, outputs, count, &d, why);
            for (int i = 0; i < count; i++) {
                crumb_onnx_array_free(ctx, &outputs[i].array);
            }
            crumb_graph_destroy(graph);
        }
    }
    conformance_free(ctx, &d);
    crumb_onnx_free(ctx, message);
    return v;
}

#endif
