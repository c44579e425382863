/* How a network is written down: a path that grows layer by layer.
 *
 * Each call appends a layer behind `at`. The first failure sticks and later calls do nothing, so that a definition reads as the
 * list of its layers and checks once, at the end. Scopes are PyTorch's modules: inside the scope "layer1.0" the layer "conv1"
 * is "layer1.0.conv1". A layer named NULL gets the scope's next number, as in nn.Sequential: "features.0", "features.1", ... */
#ifndef CRUMB_PATH_H
#define CRUMB_PATH_H

#include "graph/graph.h"

typedef struct crumb_path {
    crumb_graph *graph;
    char scope[CRUMB_NAME_MAX]; /* "layer1.0", "" at the top */
    int at;                     /* value that the next layer reads */
    int number;                 /* of the next layer without a name */
    double width;               /* filters and hidden units are multiplied by this (WRPN, arXiv 1709.01134) */
    crumb_status status;
} crumb_path;

crumb_path crumb_path_begin(crumb_graph *graph, int x, double width);
/* The status; if all is well *value is where the path ends. */
crumb_status crumb_path_end(const crumb_path *path, int *value);
/* A path that goes on from `outer` inside a named scope; leave makes `outer` go on where `inner` ends. */
crumb_path crumb_path_enter(const crumb_path *outer, const char *format, ...) CRUMB_PRINTF(2, 3);
void crumb_path_leave(crumb_path *outer, const crumb_path *inner);

/* filters times width, at least 1, rounded to a multiple of `groups`. */
int64_t crumb_path_filters(const crumb_path *path, int64_t filters, int64_t groups);
int64_t crumb_path_channels(const crumb_path *path); /* of the value at the path's end */

/* conv.out and the outputs of linear are taken as they are: crumb_path_filters widens them. */
void crumb_path_conv2d(crumb_path *path, const char *name, crumb_conv conv);
void crumb_path_linear(crumb_path *path, const char *name, int64_t out, bool bias);
void crumb_path_batch_norm(crumb_path *path, const char *name, bool affine);
void crumb_path_relu(crumb_path *path, const char *name);
void crumb_path_prelu(crumb_path *path, const char *name);
void crumb_path_shift(crumb_path *path, const char *name);
void crumb_path_add(crumb_path *path, const char *name, int other);
void crumb_path_max_pool(crumb_path *path, const char *name, int64_t kernel, int64_t stride, int64_t padding);
void crumb_path_average_pool(crumb_path *path, const char *name, int64_t kernel, int64_t stride);
void crumb_path_global_average_pool(crumb_path *path, const char *name);
void crumb_path_flatten(crumb_path *path, const char *name);
void crumb_path_dropout(crumb_path *path, const char *name, double p); /* p = 0: no node, but the number is used up */
void crumb_path_subsample(crumb_path *path, const char *name, int64_t step);
void crumb_path_pad_channels(crumb_path *path, const char *name, int64_t before, int64_t after);

/* The first row of every network's parameter table. */
#define CRUMB_MODEL_WIDTH(type)                                                                                                \
    { "width", CRUMB_PARAM_REAL, offsetof(type, width), "1", 0.01, 64, NULL, "multiplies the number of filters (WRPN)" }
/* The parameters of networks that have no others. */
typedef struct crumb_model_plain {
    double width;
} crumb_model_plain;

#endif
