/* A loss surface while it is measured: surface.c has the networks and measures a point, surface_run.c walks over the grid and
 * keeps what is done in a file. */
#ifndef CRUMB_SURFACE_H
#define CRUMB_SURFACE_H

#include "graph/exec.h"
#include "train/network.h"
#include "train/plane.h"

enum { CRUMB_SURFACE_MODELS = 3 };

/* A network whose weights can be put anywhere on the plane, as they are or quantized. */
typedef struct crumb_terrain {
    crumb_ctx *ctx;
    crumb_surface_options options; /* defaults filled in */
    crumb_network *model[CRUMB_SURFACE_MODELS];
    int base;           /* the model whose quantizers the plane gets: the first that has any */
    bool quantized;     /* some model quantizes weights */
    double step_spread; /* see crumb_surface_result */
    crumb_graph *graph; /* of the base without weight quantizers: it is given weights, and evaluates them */
    crumb_exec *exec;
    crumb_feed *norm, *train, *test; /* norm: augmented as in training */
    crumb_dataset *train_set, *test_set;
    crumb_plane plane;
    bool *state;                         /* for every value of the base's graph: is it a quantizer's? */
    float *states[CRUMB_SURFACE_MODELS]; /* what each model's quantizers hold, node by node of the base's graph */
    float *point;                        /* plane.count numbers */
    uint64_t digest;                     /* depends on every weight and state of the three models */
} crumb_terrain;

crumb_status crumb_terrain_open(crumb_ctx *ctx, const crumb_surface_options *options, crumb_terrain *terrain);
void crumb_terrain_close(crumb_terrain *terrain);
/* What the network does at P(a, b), in the quantized or in the float domain. */
crumb_status crumb_terrain_measure(crumb_terrain *terrain, double a, double b, bool quantized, crumb_surface_value *value);

#endif
