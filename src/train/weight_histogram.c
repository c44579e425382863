/* Histograms of weights in the unit of their quantizer. */
#include "train/weight_histogram.h"

#include <math.h>
#include <string.h>

/* A layer's weights, and their codes if they are quantized. */
typedef struct source {
    const float *weight;
    int64_t count;
    crumb_codes codes; /* code NULL: float */
} source;

/* The i-th weight in the histogram's unit; a channel whose scale is 0 has only zeros to show. */
static double value_of(const source *s, int64_t i) {
    if (s->codes.code == NULL || s->codes.groups == 1) {
        return s->weight[i];
    }
    double scale = s->codes.scale[crumb_codes_group(&s->codes, i)];
    return scale != 0 ? s->weight[i] / scale : 0;
}

static void list_levels(const source *s, crumb_weight_histogram *h) {
    const crumb_codes *codes = &s->codes;
    if (codes->code == NULL || codes->levels > CRUMB_HISTOGRAM_LEVELS) {
        return;
    }
    h->levels = codes->levels;
    for (int k = 0; k < h->levels; k++) {
        int code = codes->multiply * k + codes->offset;
        h->level[k] = codes->groups == 1 ? codes->scale[0] * (float)code : (double)code;
    }
    for (int64_t i = 0; i < s->count; i++) {
        int k = (codes->code[i] - codes->offset) / codes->multiply;
        h->at_level[k >= 0 && k < h->levels ? k : 0]++;
    }
}

static void measure_error(const source *s, crumb_weight_histogram *h) {
    double wrong = 0, all = 0;
    for (int64_t i = 0; s->codes.code != NULL && i < s->count; i++) {
        double value = s->weight[i], quantized = s->codes.scale[crumb_codes_group(&s->codes, i)] * (float)s->codes.code[i];
        wrong += (quantized - value) * (quantized - value);
        all += value * value;
    }
    h->error = all > 0 ? sqrt(wrong / all) : NAN;
}

/* Four standard deviations around the mean, no more than there is, and every level: a few weights far out must not press the
 * others into one bin. */
static void choose_range(const source *s, crumb_weight_histogram *h) {
    double sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    int64_t finite = 0;
    for (int64_t i = 0; i < s->count; i++) {
        double value = value_of(s, i);
        if (isfinite(value)) {
            sum += value;
            squares += value * value;
            least = fmin(least, value);
            most = fmax(most, value);
            finite++;
        }
    }
    double mean = finite > 0 ? sum / (double)finite : 0;
    double spread = finite > 0 ? 4 * sqrt(fmax(0, squares / (double)finite - mean * mean)) : 0;
    h->low = finite > 0 ? fmax(least, mean - spread) : 0;
    h->high = finite > 0 ? fmin(most, mean + spread) : 0;
    for (int k = 0; k < h->levels; k++) {
        h->low = fmin(h->low, h->level[k]);
        h->high = fmax(h->high, h->level[k]);
    }
    if (!(h->high > h->low)) { /* all the same */
        double half = h->low != 0 ? fabs(h->low) / 2 : 0.5;
        h->low -= half;
        h->high += half;
    }
}

static void fill_bins(const source *s, crumb_weight_histogram *h) {
    double per_bin = (h->high - h->low) / CRUMB_HISTOGRAM_BINS;
    for (int64_t i = 0; i < s->count; i++) {
        double value = value_of(s, i);
        if (value < h->low) {
            h->below++;
        } else if (value > h->high) {
            h->above++;
        } else if (isfinite(value)) {
            int bin = (int)((value - h->low) / per_bin);
            h->bin[bin < CRUMB_HISTOGRAM_BINS ? bin : CRUMB_HISTOGRAM_BINS - 1]++;
        }
    }
}

crumb_status crumb_weight_histogram_take(const crumb_graph *network, int nth, crumb_weight_histogram *out) {
    const crumb_node *layer = &network->node[crumb_graph_layer(network, nth)];
    int at = network->value[layer->input[1]].node, weight = layer->input[1];
    const crumb_quant *site = at >= 0 ? crumb_node_site(network, at) : NULL;
    crumb_weight_histogram h = {.layer = layer->name, .bits = 32, .error = NAN};
    source s = {0};
    if (site != NULL) {
        CRUMB_TRY(crumb_graph_encode(network, at, &s.codes));
        weight = network->node[at].input[0];
        h.quantizer = site->quantizer->name;
        h.bits = site->bits;
        h.scales = s.codes.groups;
    }
    s.weight = network->value[weight].data;
    s.count = h.weights = crumb_shape_count(network->value[weight].shape);
    list_levels(&s, &h);
    measure_error(&s, &h);
    choose_range(&s, &h);
    fill_bins(&s, &h);
    crumb_codes_free(network->ctx, &s.codes);
    *out = h;
    return CRUMB_OK;
}
