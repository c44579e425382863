/* Test cases in the layout of ONNX's backend tests: a folder with model.onnx (or any one .onnx file) and
 * test_data_set_K/input_I.pb, output_I.pb. A case's model is imported with its first input as the image and the other inputs as
 * constants, run with the plain ops, and each output compared as ONNX's own runner does: |got - want| <= 1e-7 + 1e-3 |want|.
 *
 * Packed: the same with each output as the logits of a network whose image are the input's values, [1, n, 1, 1]: lowered, run
 * by a session, and the session's bits compared with those of the exact evaluation, too. Where windows go over several images,
 * the model is imported for one, and the session is given all of them. */
#ifndef CRUMB_CONFORMANCE_H
#define CRUMB_CONFORMANCE_H

#include "harness.h"

#include "base/text.h"
#include "graph/exec.h"
#include "lower/exact.h"
#include "lower/lower.h"
#include "onnx/import.h"
#include "ops/params.h"

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

/* The first input as the graph's image has it. */
static crumb_status conformance_fill(crumb_ctx *ctx, float *to, const crumb_graph *graph, const CrumbOnnx__TensorProto *x) {
    crumb_onnx_array array;
    CRUMB_TRY(crumb_onnx_tensor_read(ctx, "input", x, &array));
    crumb_shape image = graph->value[graph->image].shape;
    image.dim[0] = array.shape.rank > 0 ? array.shape.dim[0] : image.dim[0];
    bool last = !crumb_shape_equal(image, array.shape) || image.rank == 4;
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
            conformance_fill(ctx, crumb_exec_value(exec, graph->image), graph, d->input[0]) != CRUMB_OK) {
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

/* ---- Packed. */

/* Appends a node that is put in front of all others: image [1, n, 1, 1] -> the shape that the image had. */
static crumb_status conformance_front(crumb_graph *graph) {
    crumb_shape shape = graph->value[graph->image].shape;
    crumb_reshape_params p = {.shape.count = shape.rank};
    for (int i = 0; i < shape.rank; i++) {
        p.shape.at[i] = (double)shape.dim[i];
    }
    int before = graph->image, pixels, image;
    CRUMB_TRY(crumb_graph_input(graph, "pixels", CRUMB_SHAPE(1, crumb_shape_count(shape), 1, 1), &pixels));
    CRUMB_TRY(crumb_graph_node(graph, "image", &crumb_op_reshape, &p, 1, &pixels, &image));
    crumb_node made = graph->node[graph->nodes - 1];
    memmove(graph->node + 1, graph->node, (size_t)(graph->nodes - 1) * sizeof(made));
    graph->node[0] = made;
    for (int i = 1; i < graph->nodes; i++) {
        for (int k = 0; k < graph->node[i].inputs; k++) {
            graph->node[i].input[k] = graph->node[i].input[k] == before ? image : graph->node[i].input[k];
        }
        graph->value[graph->node[i].output].node = i;
    }
    graph->value[image].node = 0;
    graph->image = pixels;
    return CRUMB_OK;
}

/* The value as a vector, which becomes the logits. */
static crumb_status conformance_back(crumb_graph *graph, int value) {
    crumb_reshape_params p = {.shape = {2, {1, (double)crumb_shape_count(graph->value[value].shape)}}};
    return crumb_graph_node(graph, "logits", &crumb_op_reshape, &p, 1, &value, &graph->logits);
}

static verdict conformance_session(crumb_graph *graph, crumb_packed *packed, const float *image, int64_t images, float *logits,
                                   crumb_text *why) {
    crumb_ctx *ctx = graph->ctx;
    crumb_exact *exact = NULL;
    crumb_plan *plan = NULL;
    crumb_session *session = NULL;
    verdict v = FAILED;
    if (crumb_exact_create(graph, &exact) != CRUMB_OK || crumb_plan_create(packed, &plan) != CRUMB_OK ||
        crumb_session_create(plan, &(crumb_session_options){.threads = 1}, &session) != CRUMB_OK ||
        crumb_session_run(session, image, images, logits) != CRUMB_OK) {
        crumb_text_print(why, "packed: %s", crumb_message(ctx));
    } else {
        int64_t classes = crumb_shape_count(graph->value[graph->logits].shape);
        v = PASSED;
        for (int64_t n = 0; n < images; n++) {
            crumb_exact_run(exact, image + n * crumb_packed_elements(&packed->value[0]));
            const float *wanted = crumb_exact_real(exact, graph->logits);
            v = memcmp(logits + n * classes, wanted, (size_t)classes * sizeof(*logits)) == 0 ? v : FAILED;
        }
        if (v == FAILED) {
            crumb_text_print(why, "packed: other bits than exactly");
        }
    }
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    crumb_exact_destroy(exact);
    return v;
}

/* One output. UNSUPPORTED: it cannot be packed. */
static verdict conformance_output(crumb_graph *graph, const crumb_import_output *output, const float *image, int64_t images,
                                  const CrumbOnnx__TensorProto *want, crumb_text *why) {
    static const float mean[4] = {0}, deviation[4] = {1, 1, 1, 1};
    crumb_ctx *ctx = graph->ctx;
    crumb_lower_facts facts = {.model = "case", .mean = mean, .deviation = deviation};
    crumb_packed *packed;
    if (conformance_back(graph, output->value) != CRUMB_OK || crumb_lower(graph, &facts, &packed) != CRUMB_OK) {
        crumb_text_print(why, "packed: %s", crumb_message(ctx));
        return UNSUPPORTED;
    }
    float *logits = calloc((size_t)(images * packed->classes), sizeof(*logits));
    crumb_import_output all = *output;
    all.shape.dim[0] *= images;
    verdict v = conformance_session(graph, packed, image, images, logits, why);
    v = v == PASSED ? conformance_compare(ctx, &all, logits, want, why) : v;
    free(logits);
    crumb_packed_close(packed);
    return v;
}

/* After the plain run: changes the graph. images: that it is given, each as large as its image. */
static verdict conformance_packed(crumb_ctx *ctx, crumb_graph *graph, const crumb_import_output *outputs, int count,
                                  const data_set *d, int64_t images, crumb_text *why) {
    bool any = false;
    for (int i = 0; i < count; i++) {
        any = any || (outputs[i].value >= 0 && graph->value[outputs[i].value].node >= 0);
    }
    if (!any || graph->image < 0) {
        crumb_text_print(why, "packed: no output is computed");
        return UNSUPPORTED;
    }
    float *image = calloc((size_t)(images * crumb_shape_count(graph->value[graph->image].shape)) + 1, sizeof(*image));
    verdict v =
        conformance_fill(ctx, image, graph, d->input[0]) == CRUMB_OK && conformance_front(graph) == CRUMB_OK ? PASSED : FAILED;
    for (int i = 0; i < count && i < d->outputs && v == PASSED; i++) {
        if (outputs[i].value >= 0 && graph->value[outputs[i].value].node >= 0) {
            v = conformance_output(graph, &outputs[i], image, images, d->output[i], why);
        }
    }
    free(image);
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

/* The model again, imported for one image; UNSUPPORTED where that is not what its first dimension is. */
static verdict conformance_images(crumb_ctx *ctx, const char *path, const data_set *d, crumb_text *why) {
    ProtobufCMessage *message;
    crumb_import_output outputs[CRUMB_ONNX_OUTPUTS_MAX];
    crumb_import_binding binding[CONFORMANCE_MAX];
    crumb_graph *graph;
    int count = 0;
    verdict v = UNSUPPORTED;
    assert_ok(ctx, crumb_onnx_open(ctx, path, &crumb_onnx__model_proto__descriptor, &message));
    CrumbOnnx__ModelProto *model = (CrumbOnnx__ModelProto *)message;
    CrumbOnnx__TensorShapeProto *shape = model->graph->input[0]->type->tensor_type->shape;
    shape->dim[0]->value_case = CRUMB_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    shape->dim[0]->dim_value = 1;
    crumb_import_options options = {.binding = binding, .bindings = conformance_bind(model->graph, d, binding)};
    if (crumb_import_model(ctx, path, model, &options, &graph, outputs, &count) == CRUMB_OK) {
        if (count == 1 && outputs[0].value >= 0 && outputs[0].shape.dim[0] == 1) {
            crumb_text_print(why, "; for one image: ");
            v = conformance_packed(ctx, graph, outputs, count, d, d->input[0]->dims[0], why);
        }
        for (int i = 0; i < count; i++) {
            crumb_onnx_array_free(ctx, &outputs[i].array);
        }
        crumb_graph_destroy(graph);
    }
    crumb_onnx_free(ctx, message);
    return v;
}

/* One data set of one case. op gets the name of the model's first op. *packed (NULL: not wanted) how it went packed;
 * UNSUPPORTED where it does not pass plainly. */
static verdict conformance_case(crumb_ctx *ctx, const char *folder, int set, char op[64], verdict *packed, crumb_text *why) {
    char path[4096];
    data_set d;
    ProtobufCMessage *message;
    crumb_import_output outputs[CRUMB_ONNX_OUTPUTS_MAX];
    crumb_import_binding binding[CONFORMANCE_MAX];
    crumb_graph *graph;
    int count = 0;
    strcpy(op, "?");
    if (packed != NULL) {
        *packed = UNSUPPORTED;
    }
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
            if (v == PASSED && packed != NULL) {
                *packed = conformance_packed(ctx, graph, outputs, count, &d, 1, why);
                bool several = *packed == UNSUPPORTED && strstr(crumb_message(ctx), "it works on") != NULL;
                *packed = several ? conformance_images(ctx, path, &d, why) : *packed;
            }
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
