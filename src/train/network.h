/* A trained network and the file that describes it: the weights under PyTorch's names, and as metadata
 *
 *     crumb.recipe        the recipe with the network's own quantization and normalisation, without its data and strategies
 *     crumb.image         "32x32x3"
 *     crumb.classes       "10"
 *     crumb.class_names   one a line, when the data set names them
 *     crumb.graph         the network as text (graph/text.c), when it was imported and no row of models.inc builds it
 */
#ifndef CRUMB_NETWORK_H
#define CRUMB_NETWORK_H

#include "formats/safetensors.h"
#include "train/recipe.h"

struct crumb_network {
    crumb_ctx *ctx;
    crumb_recipe *recipe;
    crumb_graph *graph;
    crumb_shape image; /* [1, H, W, C] */
    int classes;
    char *class_names; /* one a line, NULL: none */
    int64_t packed_bytes;
};

/* For every value of a graph: is it the state of a quantize node? crumb_free it; NULL: no memory. */
bool *crumb_network_states(const crumb_graph *graph);
/* Images as the network takes them: its normalisation, its augmentations (`augment` false: only those that are not random).
 * SHAPE if they do not fit. */
crumb_status crumb_network_feed(const crumb_network *network, crumb_dataset *dataset, bool augment, crumb_feed_options options,
                                crumb_feed **feed);

/* Fills packed_bytes; once, when the weights are in. */
crumb_status crumb_network_measure(crumb_network *network);

/* A graph of the chosen model with the weights of choice->init, crumb's own (quantized as the file says) or PyTorch's. FORMAT
 * if they are not this model's for this input and these classes. */
crumb_status crumb_network_weights(crumb_ctx *ctx, const crumb_model_choice *choice, crumb_shape image, int classes,
                                   crumb_graph **graph);

/* Writes a graph as a self-describing file: `recipe` but for its quantization (policy) and normalisation. */
typedef struct crumb_network_facts {
    const crumb_recipe *recipe;
    const crumb_quant_policy *policy;
    const float *mean, *deviation; /* per channel; NULL: as the recipe has it */
    crumb_shape image;             /* [1, H, W, C] */
    int classes;
    const char *class_names; /* one a line, or NULL */
} crumb_network_facts;
crumb_status crumb_network_write(const crumb_network_facts *facts, crumb_graph *graph, const char *path);

/* All names of a data set's classes, one a line; *text is NULL if it has none. crumb_free it. */
crumb_status crumb_network_class_names(crumb_ctx *ctx, const crumb_dataset_info *info, char **text);

#endif
