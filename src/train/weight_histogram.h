/* The weights of each layer as histograms with their quantizer's levels: what a report draws of them.
 *
 * DIR/histograms.jsonl has one JSON object a layer for some epochs (trainer.c chooses), in this order of keys:
 *
 *     {"step": 390, "epoch": 1, "phase": "train", "layer": "layer1.0.conv1", "quantizer": "lsq", "bits": 2, "weights": 2304,
 *      "scales": 1, "error": 0.31, "low": -0.2, "high": 0.2, "below": 0, "above": 3, "bins": [...], "levels": [...],
 *      "at_levels": [...]}
 *
 * bins count the weights in equal parts of low .. high, below and above those outside. levels are the quantizer's values, left
 * out when there are more than CRUMB_HISTOGRAM_LEVELS, at_levels how many weights each one gets. error is the quantization's,
 * |Q(w) - w| / |w| over the layer. Where a layer has several scales (one a channel), weights and levels are divided by their
 * channel's: levels are then the codes. A float layer has quantizer null, 32 bits and no error. */
#ifndef CRUMB_WEIGHT_HISTOGRAM_H
#define CRUMB_WEIGHT_HISTOGRAM_H

#include "graph/graph.h"

enum { CRUMB_HISTOGRAM_BINS = 64, CRUMB_HISTOGRAM_LEVELS = 32 };

typedef struct crumb_weight_histogram {
    const char *layer, *quantizer; /* quantizer NULL: float */
    int bits;
    int64_t weights, scales;
    double error; /* NaN: float, or all weights are zero */
    double low, high;
    int64_t below, above, bin[CRUMB_HISTOGRAM_BINS];
    int levels;
    double level[CRUMB_HISTOGRAM_LEVELS];
    int64_t at_level[CRUMB_HISTOGRAM_LEVELS];
} crumb_weight_histogram;

/* Of the nth layer (crumb_graph_layer), which must exist. Weights that are not finite are in no bin. */
crumb_status crumb_weight_histogram_take(const crumb_graph *network, int nth, crumb_weight_histogram *histogram);

typedef struct crumb_histogram_log crumb_histogram_log;

/* Opens DIR/histograms.jsonl. step < 0: empty; else only the lines of steps up to `step` stay. */
crumb_status crumb_histogram_log_open(crumb_ctx *ctx, const char *folder, int64_t step, crumb_histogram_log **log);
/* Adds a line for every layer. */
crumb_status crumb_histogram_log_add(crumb_histogram_log *log, const char *phase, int64_t epoch, int64_t step,
                                     const crumb_graph *network);
void crumb_histogram_log_close(crumb_histogram_log *log);

#endif
