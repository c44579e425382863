/* A trained network for PyTorch: tensors by formats/graph_io.c, and as metadata what a program needs besides:
 *
 *     format              "pt", as PyTorch's own files have it
 *     crumb.model, crumb.image, crumb.mean, crumb.deviation, crumb.class_names
 *     crumb.layers        JSON: {"conv1": {"weight": {"quantizer": "lsq", "bits": 2},
 *                                          "input": {"quantizer": "lsq", "bits": 2, "scale": 0.3, "low": 0, "high": 3}}, ...}
 *
 * An input's value is scale * clip(round(x / scale), low, high), ties to even, where its quantizer has that form. */
#include "base/text.h"
#include "quant/uniform.h"
#include "train/network.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static json_t *describe_site(const crumb_graph *graph, int value) {
    int node = graph->value[value].node;
    const crumb_quant *site = node >= 0 ? crumb_node_site(graph, node) : NULL;
    if (site == NULL) {
        return json_null();
    }
    json_t *made = json_pack("{s:s, s:i}", "quantizer", site->quantizer->name, "bits", site->bits);
    crumb_quant_call call = crumb_node_call(graph, node);
    crumb_uniform u;
    if (!site->weight && site->quantizer->uniform != NULL && site->quantizer->uniform(&call, &u) && isfinite(u.step)) {
        json_object_set_new(made, "scale", json_real((double)u.step)); /* a failure shows in the size */
        json_object_set_new(made, "low", json_integer((json_int_t)u.lo));
        json_object_set_new(made, "high", json_integer((json_int_t)u.hi));
    }
    return made;
}

static json_t *describe_layers(const crumb_graph *graph) {
    json_t *layers = json_object();
    for (int i = 0, at; (at = crumb_graph_layer(graph, i)) >= 0; i++) {
        const crumb_node *node = &graph->node[at];
        json_t *layer = json_pack("{s:o, s:o}", "weight", describe_site(graph, node->input[1]), "input",
                                  describe_site(graph, node->input[0]));
        if (layer == NULL || json_object_set_new(layers, node->name, layer) != 0) {
            json_decref(layers);
            return NULL;
        }
    }
    return layers;
}

static crumb_status note_layers(const crumb_network *network, crumb_safetensors_writer *writer) {
    json_t *layers = describe_layers(network->graph);
    char *text = layers != NULL ? json_dumps(layers, JSON_COMPACT) : NULL;
    crumb_status status = text != NULL ? crumb_safetensors_note(writer, "crumb.layers", text)
                                       : crumb_fail(network->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    free(text); /* jansson's allocator */
    json_decref(layers);
    return status;
}

static crumb_status note_list(const crumb_network *network, crumb_safetensors_writer *writer, const char *key,
                              const crumb_list *list) {
    crumb_text text = {.ctx = network->ctx};
    char *taken;
    for (int c = 0; c < list->count; c++) {
        crumb_text_print(&text, "%s%.9g", c == 0 ? "" : ",", list->at[c]);
    }
    CRUMB_TRY(crumb_text_take(&text, &taken));
    crumb_status status = crumb_safetensors_note(writer, key, taken);
    crumb_text_free(network->ctx, taken);
    return status;
}

static crumb_status note_facts(const crumb_network *network, crumb_safetensors_writer *writer) {
    char image[CRUMB_SHAPE_TEXT];
    crumb_shape inner = CRUMB_SHAPE(network->image.dim[1], network->image.dim[2], network->image.dim[3]);
    CRUMB_TRY(crumb_safetensors_note(writer, "format", "pt"));
    CRUMB_TRY(crumb_safetensors_note(writer, "crumb.model", network->recipe->model.model->name));
    CRUMB_TRY(crumb_safetensors_note(writer, "crumb.image", crumb_shape_print(inner, image)));
    if (network->recipe->data.mean.count > 0) {
        CRUMB_TRY(note_list(network, writer, "crumb.mean", &network->recipe->data.mean));
        CRUMB_TRY(note_list(network, writer, "crumb.deviation", &network->recipe->data.deviation));
    }
    if (network->class_names != NULL) {
        CRUMB_TRY(crumb_safetensors_note(writer, "crumb.class_names", network->class_names));
    }
    return note_layers(network, writer);
}

crumb_status crumb_network_export_safetensors(crumb_network *network, const char *path, bool codes) {
    crumb_safetensors_writer *writer;
    CRUMB_TRY(crumb_safetensors_begin(network->ctx, &writer));
    crumb_status status = note_facts(network, writer);
    if (status == CRUMB_OK) {
        status = crumb_graph_store_quantized(network->graph, codes, writer);
    }
    if (status == CRUMB_OK) {
        status = crumb_safetensors_commit(writer, path);
    }
    crumb_safetensors_drop(writer);
    return status;
}
