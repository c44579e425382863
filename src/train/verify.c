/* Proving a packed file; see crumb_network_verify in crumb/train.h. What is compared are the codes that enter each layer, by
 * the layer's name, and the logits. Codes of the simulation are its values divided by the scale: they are products of the two,
 * so the quotient is within rounding of the integer. */
#include "base/rng.h"
#include "graph/exec.h"
#include "lower/exact.h"
#include "runtime/session.h"
#include "train/packing.h"
#include "train/source.h"
#include "train/trainer_parts.h"

#include <math.h>
#include <string.h>

enum { IMAGES = 32 };
static const double TIES = 0.1, AGREEMENT = 95, LOGIT_DISTANCE = 1e-3;

/* A layer that codes enter: its packed node, and the value of the graph that enters it. */
typedef struct pair {
    int32_t node;
    int value;
} pair;

struct crumb_verification {
    crumb_ctx *ctx;
    crumb_packed *packed; /* layers' names are in it */
    crumb_verified_layer *layer;
    crumb_verification_info info;
};

typedef struct verifier {
    crumb_ctx *ctx;
    crumb_network *network;
    crumb_verify_options options;
    crumb_verification *made;
    const crumb_packed *packed;
    pair *pair; /* one a layer with codes */
    crumb_plan *plan, *keeping;
    crumb_session *session, *kept;
    crumb_exact *exact;
    crumb_exec *exec;
    crumb_feed *feed; /* NULL: random pixels */
    uint8_t *pixels;
    float *image, *logits, *logits_kept;
    const float *label; /* of the image; NULL: none */
    int64_t agreeing;
    crumb_score score, simulated;
} verifier;

/* ---- Which layer is which. */

static int find_layer(const crumb_graph *graph, const char *name) {
    for (int i = 0, node; (node = crumb_graph_layer(graph, i)) >= 0; i++) {
        if (strcmp(graph->node[node].name, name) == 0) {
            return node;
        }
    }
    return -1;
}

static crumb_status pair_layer(verifier *v, int32_t index, int *layers) {
    const crumb_graph *graph = v->network->graph;
    const crumb_packed_node *node = &v->packed->node[index];
    const crumb_packed_value *x = &v->packed->value[node->input[0]];
    int layer = find_layer(graph, node->name);
    if (layer < 0) {
        return crumb_fail(v->ctx, CRUMB_ERROR_SHAPE, "the network has no layer %s", node->name);
    }
    int value = graph->node[layer].input[0];
    bool codes = x->codes.levels != 0;
    if (crumb_shape_count(graph->value[value].shape) != crumb_packed_elements(x) ||
        (codes && crumb_exact_code(v->exact, value) == NULL)) {
        return crumb_fail(v->ctx, CRUMB_ERROR_SHAPE, "layer %s reads %lld %s, the network's %lld", node->name,
                          (long long)crumb_packed_elements(x), codes ? "codes" : "reals",
                          (long long)crumb_shape_count(graph->value[value].shape));
    }
    if (codes) {
        v->made->layer[*layers] = (crumb_verified_layer){.name = node->name, .bits = x->codes.bits};
        v->pair[(*layers)++] = (pair){.node = index, .value = value};
    }
    return CRUMB_OK;
}

/* What a transposed convolution has become reads reals. */
static bool is_transposed(const crumb_graph *graph, const char *name) {
    bool is = false;
    for (int i = 0; i < graph->nodes && !is; i++) {
        is = graph->node[i].op == &crumb_op_conv_transpose2d && strcmp(graph->node[i].name, name) == 0;
    }
    return is;
}

static crumb_status pair_layers(verifier *v) {
    int convolutions = 0, layers = 0;
    for (int32_t i = 0; i < v->packed->nodes; i++) {
        if (v->packed->node[i].op == CRUMB_PACKED_CONV2D && !is_transposed(v->network->graph, v->packed->node[i].name)) {
            CRUMB_TRY(pair_layer(v, i, &layers));
            convolutions++;
        }
    }
    if (crumb_graph_layer(v->network->graph, convolutions) >= 0) {
        return crumb_fail(v->ctx, CRUMB_ERROR_SHAPE, "the network has more than the packed file's %d layers", convolutions);
    }
    v->made->info.layers = layers;
    return CRUMB_OK;
}

static crumb_status check_same(const verifier *v) {
    const crumb_packed_value *image = &v->packed->value[0];
    float mean[4] = {0}, deviation[4] = {1, 1, 1, 1};
    crumb_shape shape = CRUMB_SHAPE(1, image->height, image->width, image->channels);
    char have[CRUMB_SHAPE_TEXT], want[CRUMB_SHAPE_TEXT];
    if (!crumb_shape_equal(shape, v->network->image) || v->packed->classes != v->network->classes) {
        return crumb_fail(v->ctx, CRUMB_ERROR_SHAPE,
                          "the packed file is for images of %s and %d classes, the network %s and %d",
                          crumb_shape_print(shape, have), (int)v->packed->classes, crumb_shape_print(v->network->image, want),
                          v->network->classes);
    }
    CRUMB_TRY(crumb_network_pixels(v->network, mean, deviation));
    if (memcmp(mean, v->packed->mean, (size_t)image->channels * sizeof(*mean)) != 0 ||
        memcmp(deviation, v->packed->deviation, (size_t)image->channels * sizeof(*deviation)) != 0) {
        return crumb_fail(v->ctx, CRUMB_ERROR_SHAPE, "the packed file normalises pixels in another way than the network");
    }
    return CRUMB_OK;
}

/* ---- Making. */

static crumb_status make_sessions(verifier *v) {
    crumb_session_options one = {.batch = 1};
    CRUMB_TRY(crumb_plan_create(v->made->packed, &v->plan));
    CRUMB_TRY(crumb_session_create(v->plan, &one, &v->session));
    CRUMB_TRY(crumb_plan_create_keeping(v->made->packed, &v->keeping));
    return crumb_session_create(v->keeping, &one, &v->kept);
}

static crumb_status make_room(verifier *v) {
    size_t pixels = (size_t)crumb_packed_elements(&v->packed->value[0]), classes = (size_t)v->packed->classes;
    v->made->layer = crumb_alloc(v->ctx, (size_t)v->packed->nodes + 1, sizeof(*v->made->layer));
    v->pair = crumb_alloc(v->ctx, (size_t)v->packed->nodes + 1, sizeof(*v->pair));
    v->pixels = crumb_alloc(v->ctx, pixels, 1);
    v->image = crumb_alloc(v->ctx, pixels, sizeof(*v->image));
    v->logits = crumb_alloc(v->ctx, classes, sizeof(*v->logits));
    v->logits_kept = crumb_alloc(v->ctx, classes, sizeof(*v->logits_kept));
    bool all = v->made->layer != NULL && v->pair != NULL && v->pixels != NULL && v->image != NULL && v->logits != NULL &&
               v->logits_kept != NULL;
    return all ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status make_feed(verifier *v, crumb_dataset *dataset) {
    if (dataset == NULL) {
        return CRUMB_OK;
    }
    v->options.images = v->options.images < dataset->info.count ? v->options.images : dataset->info.count;
    return crumb_network_feed(v->network, dataset, false, (crumb_feed_options){.batch = 1, .workers = 1}, &v->feed);
}

static crumb_status make(verifier *v, const char *path, crumb_dataset *dataset) {
    CRUMB_TRY(crumb_packed_open(v->ctx, path, &v->made->packed));
    v->packed = v->made->packed;
    CRUMB_TRY(make_room(v));
    CRUMB_TRY(check_same(v));
    CRUMB_TRY(crumb_exact_create(v->network->graph, &v->exact));
    CRUMB_TRY(pair_layers(v));
    CRUMB_TRY(make_sessions(v));
    CRUMB_TRY(crumb_exec_create(v->network->graph, &(crumb_exec_options){.batch = 1, .keep = true}, &v->exec));
    return make_feed(v, dataset);
}

static void unmake(verifier *v) {
    crumb_feed_destroy(v->feed);
    crumb_exec_destroy(v->exec);
    crumb_exact_destroy(v->exact);
    crumb_session_destroy(v->session);
    crumb_session_destroy(v->kept);
    crumb_plan_destroy(v->plan);
    crumb_plan_destroy(v->keeping);
    crumb_free(v->ctx, v->pair);
    crumb_free(v->ctx, v->pixels);
    crumb_free(v->ctx, v->image);
    crumb_free(v->ctx, v->logits);
    crumb_free(v->ctx, v->logits_kept);
}

/* ---- One image. */

/* Sets v->image, and v->pixels when they are random. */
static crumb_status next_image(verifier *v, int64_t number) {
    int64_t count = crumb_packed_elements(&v->packed->value[0]), channels = v->packed->value[0].channels;
    if (v->feed != NULL) {
        const float *image;
        int64_t valid;
        CRUMB_TRY(crumb_feed_next(v->feed, &image, &v->label, &valid));
        memcpy(v->image, image, (size_t)count * sizeof(*image));
        return CRUMB_OK;
    }
    crumb_rng rng = crumb_rng_at(v->options.seed, 0, (uint64_t)number);
    for (int64_t i = 0; i < count; i++) {
        v->pixels[i] = (uint8_t)crumb_rng_below(&rng, 256);
        v->image[i] = ((float)v->pixels[i] / 255.0f - v->packed->mean[i % channels]) / v->packed->deviation[i % channels];
    }
    return CRUMB_OK;
}

static crumb_status run_image(verifier *v, bool exact) {
    CRUMB_TRY(v->feed != NULL ? crumb_session_run(v->session, v->image, 1, v->logits)
                              : crumb_session_run_pixels(v->session, v->pixels, 1, v->logits));
    CRUMB_TRY(crumb_session_run(v->kept, v->image, 1, v->logits_kept));
    if (exact) {
        crumb_exact_run(v->exact, v->image);
    }
    memcpy(crumb_exec_value(v->exec, v->network->graph->image), v->image,
           (size_t)crumb_packed_elements(&v->packed->value[0]) * sizeof(*v->image));
    crumb_exec_forward(v->exec, false, 0, 0);
    return CRUMB_OK;
}

/* Levels between a code and a value of the simulation. */
static int levels_between(const crumb_packed_codes *codes, int32_t code, float value) {
    double simulated = codes->scale > 0.0f ? rint((double)value / (double)codes->scale) : (double)code;
    double levels = fabs(simulated - (double)code) / codes->multiply;
    return levels < codes->levels ? (int)levels : codes->levels; /* NaN: farther than any level */
}

/* Element of the graph's value that element i of the map is: flattened values go channel by channel. */
static int64_t place_of(const crumb_packed_value *x, crumb_shape shape, int64_t i) {
    int64_t pixels = (int64_t)x->height * x->width;
    return shape.rank == 2 ? i % x->channels * pixels + i / x->channels : i;
}

/* exact: the exact evaluation has seen the image. clean: no layer before has a differing code in it. Returns whether this one
 * has none either. */
static bool compare_layer(verifier *v, int layer, const uint8_t *index, bool exact, bool clean) {
    const pair *p = &v->pair[layer];
    const crumb_packed_value *x = &v->packed->value[v->packed->node[p->node].input[0]];
    crumb_shape shape = v->network->graph->value[p->value].shape;
    const float *exactly = crumb_exact_code(v->exact, p->value), *simulated = crumb_exec_value(v->exec, p->value);
    crumb_verified_layer *sum = &v->made->layer[layer];
    int64_t before = sum->differing;
    for (int64_t i = 0; i < crumb_packed_elements(x); i++) {
        int64_t at = place_of(x, shape, i);
        int32_t code = crumb_packed_code(&x->codes, index[i]);
        int levels = levels_between(&x->codes, code, simulated[at]);
        sum->codes++;
        sum->inexact += exact && (float)code != exactly[at];
        sum->differing += levels > 0;
        sum->largest = levels > sum->largest ? levels : sum->largest;
        sum->ties += clean && levels > 0;
        sum->jumps += clean && levels > 1;
    }
    return clean && sum->differing == before;
}

static int32_t best_of(const float *logits, int32_t classes) {
    int32_t best = 0;
    for (int32_t i = 1; i < classes; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

static void compare_logits(verifier *v, bool exact, bool clean) {
    crumb_verification_info *info = &v->made->info;
    const float *exactly = crumb_exact_real(v->exact, v->network->graph->logits);
    const float *simulated = crumb_exec_value(v->exec, v->network->graph->logits);
    double distance = 0, largest = 0;
    for (int32_t i = 0; i < v->packed->classes; i++) {
        bool same = memcmp(&v->logits[i], &v->logits_kept[i], sizeof(*v->logits)) == 0;
        info->inexact_logits += !same || (exact && memcmp(&v->logits[i], &exactly[i], sizeof(*exactly)) != 0);
        distance = fmax(distance, fabs((double)v->logits[i] - (double)simulated[i]));
        largest = fmax(largest, fabs((double)simulated[i]));
    }
    v->agreeing += best_of(v->logits, v->packed->classes) == best_of(simulated, v->packed->classes);
    if (v->label != NULL) {
        crumb_score_add(&v->score, v->logits, v->label, 1, v->packed->classes);
        crumb_score_add(&v->simulated, simulated, v->label, 1, v->packed->classes);
    }
    if (clean) {
        info->equal_images++;
        info->logit_distance = fmax(info->logit_distance, largest > 0 ? distance / largest : distance);
    }
}

static crumb_status verify_image(verifier *v, int64_t number) {
    bool clean = true, exact = number < v->options.exact;
    CRUMB_TRY(next_image(v, number));
    CRUMB_TRY(run_image(v, exact));
    for (int i = 0; i < v->made->info.layers; i++) {
        int32_t x = v->packed->node[v->pair[i].node].input[0];
        const uint8_t *index = crumb_session_indices(v->kept, x);
        if (index == NULL) {
            return crumb_fail(v->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: the runtime keeps no codes of its input",
                              v->made->layer[i].name);
        }
        clean = compare_layer(v, i, index, exact, clean);
    }
    compare_logits(v, exact, clean);
    v->made->info.images++;
    v->made->info.exact_images += exact;
    return CRUMB_OK;
}

/* ---- All images. */

static void sum_up(verifier *v) {
    crumb_verification_info *info = &v->made->info;
    for (int i = 0; i < info->layers; i++) {
        const crumb_verified_layer *layer = &v->made->layer[i];
        info->codes += layer->codes;
        info->inexact_codes += layer->inexact;
        info->differing += layer->differing;
        info->ties += layer->ties;
        info->jumps += layer->jumps;
        info->largest = layer->largest > info->largest ? layer->largest : info->largest;
        info->share = fmax(info->share, 100 * (double)layer->differing / (double)(layer->codes > 0 ? layer->codes : 1));
    }
    double images = (double)(info->images > 0 ? info->images : 1);
    info->agreement = 100 * (double)v->agreeing / images;
    info->top1 = v->label != NULL ? 100 * (double)v->score.top1 / images : NAN;
    info->top1_simulated = v->label != NULL ? 100 * (double)v->simulated.top1 / images : NAN;
    info->exact = info->inexact_codes == 0 && info->inexact_logits == 0;
    bool few = 100 * (double)info->ties <= v->options.ties * (double)info->codes;
    bool agree = info->agreement >= v->options.agreement || v->agreeing + 1 >= info->images;
    info->bounded = info->jumps == 0 && few && agree && info->logit_distance <= LOGIT_DISTANCE;
}

static crumb_status verify_all(verifier *v) {
    for (int64_t i = 0; i < v->options.images; i++) {
        CRUMB_TRY(verify_image(v, i));
        if (v->options.progress != NULL && !v->options.progress(v->options.user, i + 1, v->options.images)) {
            return crumb_fail(v->ctx, CRUMB_ERROR_STOPPED, "stopped after %lld images", (long long)(i + 1));
        }
    }
    sum_up(v);
    return CRUMB_OK;
}

crumb_status crumb_network_verify(crumb_network *network, const char *path, crumb_dataset *dataset,
                                  const crumb_verify_options *given, crumb_verification **out) {
    verifier v = {.ctx = network->ctx, .network = network, .options = given != NULL ? *given : (crumb_verify_options){0}};
    v.options.images = v.options.images > 0 ? v.options.images : IMAGES;
    v.options.ties = v.options.ties > 0 ? v.options.ties : TIES;
    v.options.exact = v.options.exact > 0 ? v.options.exact : v.options.images;
    v.options.agreement = v.options.agreement > 0 ? v.options.agreement : AGREEMENT;
    v.made = crumb_alloc(v.ctx, 1, sizeof(*v.made));
    if (v.made == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    v.made->ctx = v.ctx;
    crumb_status status = make(&v, path, dataset);
    if (status == CRUMB_OK) {
        status = verify_all(&v);
    }
    unmake(&v);
    if (status != CRUMB_OK) {
        crumb_verification_close(v.made);
        return status;
    }
    *out = v.made;
    return CRUMB_OK;
}

void crumb_verification_close(crumb_verification *verification) {
    if (verification != NULL) {
        crumb_packed_close(verification->packed);
        crumb_free(verification->ctx, verification->layer);
        crumb_free(verification->ctx, verification);
    }
}

void crumb_verification_describe(const crumb_verification *verification, crumb_verification_info *info) {
    *info = verification->info;
}

bool crumb_verification_layer(const crumb_verification *verification, int index, crumb_verified_layer *layer) {
    if (index < 0 || index >= verification->info.layers) {
        return false;
    }
    *layer = verification->layer[index];
    return true;
}
