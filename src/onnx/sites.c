/* Quantize nodes of an import. Whatever op it came out of, a quantized constant is codes times steps; here the codes become a
 * quantizer `fixed` of as few bits as they need, which a layer that reads the constant as its weight gets. So a quantized model
 * is a quantized network: it packs into integer kernels, and trains on with its scales as they are. */
#include "onnx/importer.h"

#include "base/param.h"
#include "quant/quantizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Steps. */

static int64_t inner_of(const crumb_import_steps *steps) {
    int64_t inner = 1;
    for (int i = steps->axis + 1; i < steps->shape.rank; i++) {
        inner *= steps->shape.dim[i];
    }
    return inner;
}

static int64_t block_of(const crumb_import_steps *steps) {
    return steps->block > 0 ? steps->block : 1;
}

/* Steps along the axis. */
static int64_t blocks_of(const crumb_import_steps *steps) {
    return (steps->shape.dim[steps->axis] + block_of(steps) - 1) / block_of(steps);
}

int64_t crumb_import_step_count(const crumb_import_steps *steps) {
    if (steps->axis < 0) {
        return 1;
    }
    if (steps->block == 0) {
        return steps->shape.dim[steps->axis];
    }
    int64_t size = steps->shape.dim[steps->axis];
    return size > 0 ? crumb_shape_count(steps->shape) / size * blocks_of(steps) : 0;
}

int64_t crumb_import_step_of(const crumb_import_steps *steps, int64_t element) {
    if (steps->axis < 0) {
        return 0;
    }
    int64_t inner = inner_of(steps), size = steps->shape.dim[steps->axis], place = element / inner % size;
    if (steps->block == 0) {
        return place;
    }
    return (element / inner / size * blocks_of(steps) + place / steps->block) * inner + element % inner;
}

crumb_status crumb_import_check_steps(const crumb_import_node *n, const float *step, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (!(step[i] > 0) || !isfinite(step[i])) {
            return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "scale %g", (double)step[i]);
        }
    }
    return CRUMB_OK;
}

int crumb_import_bits_of(int64_t levels) {
    int bits = 1;
    while (bits < 32 && levels > INT64_C(1) << bits) {
        bits++;
    }
    return bits;
}

/* ---- Constants. */

/* The codes that belong to a step. */
typedef struct range {
    float low, high;
} range;

static range join(range a, range b) {
    return (range){b.low < a.low ? b.low : a.low, b.high > a.high ? b.high : a.high};
}

static int bits_of_range(range r) {
    return crumb_import_bits_of((int64_t)r.high - (int64_t)r.low + 1);
}

/* With the sign that puts the longer side below zero, where two's complement has one code more. */
static range turned(range r) {
    return r.high > -r.low ? (range){-r.high, -r.low} : r;
}

static void find_ranges(const crumb_onnx_array *codes, const crumb_import_steps *steps, range *of, bool *odd) {
    int64_t count = crumb_shape_count(codes->shape), run = steps->axis < 0 ? count : inner_of(steps);
    run = steps->block > 0 ? 1 : run;
    *odd = true;
    for (int64_t i = 0; i < count; i += run) {
        range *r = &of[crumb_import_step_of(steps, i)];
        for (int64_t k = i; k < i + run; k++) {
            *r = join(*r, (range){codes->real[k], codes->real[k]});
            *odd = *odd && ((int64_t)codes->real[k] & 1) != 0;
        }
    }
}

/* As few bits as the codes need; exporters write low-bit weights in bytes. Steps turn their sign where that saves a bit: a
 * batch norm of negative scale, folded into a channel, turns its codes. */
static void describe(crumb_import_codes *made, const range *of, int64_t count, bool odd) {
    range all = {0, 0}, best = {0, 0};
    for (int64_t g = 0; g < count; g++) {
        all = join(all, of[g]);
        best = join(best, turned(of[g]));
    }
    bool turn = bits_of_range(best) < bits_of_range(all);
    for (int64_t g = 0; turn && g < count; g++) {
        made->step[g] = of[g].high > -of[g].low ? -made->step[g] : made->step[g];
    }
    all = turn ? best : all;
    float far = all.high > -all.low ? all.high : -all.low;
    int bits = bits_of_range(all), odd_bits = crumb_import_bits_of((int64_t)far + 1);
    made->odd = odd && odd_bits < bits;
    made->bits = made->odd ? odd_bits : bits < 2 ? 2 : bits;
    float half = (float)(INT64_C(1) << (made->bits - 1));
    if (!made->odd && (all.low < -half || all.high > half - 1 || all.high - all.low == 2)) {
        made->zero = -half - all.low;
        made->levels = all.high - all.low == 2 ? 3 : 0; /* ternary: its kernels are faster */
    }
}

/* Blocks along the rows of a matrix that all have their row's step: one a row. */
static void join_blocks(crumb_import_codes *made) {
    crumb_import_steps *place = &made->place;
    if (place->block == 0 || place->shape.rank != 2 || place->axis != 1) {
        return;
    }
    int64_t rows = place->shape.dim[0], blocks = blocks_of(place);
    for (int64_t i = 0; i < rows * blocks; i++) {
        if (made->step[i] != made->step[i / blocks * blocks]) {
            return;
        }
    }
    for (int64_t row = 0; row < rows; row++) {
        made->step[row] = made->step[row * blocks];
    }
    *place = (crumb_import_steps){.shape = place->shape};
}

/* NULL in *made: codes of more than 8 bits, as of a bias. */
static crumb_status describe_all(crumb_ctx *ctx, const crumb_onnx_array *codes, const crumb_import_steps *steps,
                                 const float *step, crumb_import_codes **made) {
    size_t count = (size_t)crumb_import_step_count(steps);
    range *of = crumb_alloc(ctx, count + 1, sizeof(*of));
    float *copy = crumb_alloc(ctx, count + 1, sizeof(*copy));
    bool odd, good = false;
    *made = crumb_alloc(ctx, 1, sizeof(**made));
    crumb_status status = of != NULL && copy != NULL && *made != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        memcpy(copy, step, count * sizeof(*copy));
        **made = (crumb_import_codes){.place = *steps, .step = copy};
        find_ranges(codes, steps, of, &odd);
        describe(*made, of, (int64_t)count, odd);
        join_blocks(*made);
        good = (*made)->bits <= 8;
    }
    crumb_free(ctx, of);
    if (!good) {
        crumb_free(ctx, copy);
        crumb_free(ctx, *made);
        *made = NULL;
    }
    return status;
}

crumb_status crumb_import_set_codes(const crumb_import_node *n, crumb_import_value *out, crumb_onnx_array *codes, bool whole,
                                    const crumb_import_steps *steps, const float *step) {
    crumb_ctx *ctx = n->im->ctx;
    crumb_import_codes *made = NULL;
    crumb_status status = whole ? describe_all(ctx, codes, steps, step, &made) : CRUMB_OK;
    if (status != CRUMB_OK) {
        crumb_onnx_array_free(ctx, codes);
        return status;
    }
    int64_t count = crumb_shape_count(codes->shape);
    for (int64_t i = 0; i < count; i++) {
        codes->real[i] *= step[crumb_import_step_of(steps, i)];
    }
    if (out != NULL) {
        out->shape = codes->shape;
        out->array = *codes;
    } else {
        status = crumb_import_set_array(n, 0, codes);
        out = status == CRUMB_OK && n->proto->output[0][0] != '\0' ? crumb_import_find(n->im, n->proto->output[0]) : NULL;
    }
    if (out != NULL) {
        out->codes = made;
    } else {
        crumb_free(ctx, made != NULL ? made->step : NULL);
        crumb_free(ctx, made);
    }
    return status;
}

/* ---- Nodes. */

static crumb_status add_state(const crumb_import_node *n, const char *site, const char *member, int64_t count, int *at) {
    char name[2 * CRUMB_NAME_MAX];
    snprintf(name, sizeof(name), "%s.%s", site, member);
    return strlen(name) < CRUMB_NAME_MAX ? crumb_graph_state(n->im->graph, name, CRUMB_SHAPE(count), 0, at)
                                         : crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "a name of %zu bytes", strlen(name));
}

static crumb_status set_param(const crumb_import_node *n, crumb_quant *site, const char *name, const char *text) {
    return crumb_param_set(n->im->ctx, crumb_param_find(site->quantizer->params, name), site->params, text);
}

crumb_status crumb_import_set_levels(const crumb_import_node *n, crumb_quant *site, int64_t levels) {
    char text[24];
    site->bits = crumb_import_bits_of(levels);
    snprintf(text, sizeof(text), "%" PRId64, levels == INT64_C(1) << site->bits ? 0 : levels);
    return set_param(n, site, "levels", text);
}

/* A quantize node on value x of the graph; *steps are for the caller to fill. */
static crumb_status emit_site(const crumb_import_node *n, const char *name, bool weight, const crumb_import_codes *what,
                              int64_t group, int x, float **steps, int *y) {
    crumb_graph *graph = n->im->graph;
    crumb_quant site = {.quantizer = &crumb_quantizer_fixed, .bits = what->bits, .weight = weight};
    crumb_params_preset(site.quantizer->params, site.params);
    if (what->levels > 0) {
        CRUMB_TRY(crumb_import_set_levels(n, &site, what->levels));
    }
    if (what->odd) {
        CRUMB_TRY(set_param(n, &site, "odd", "true"));
    }
    if (group > 0) {
        char text[24];
        snprintf(text, sizeof(text), "%" PRId64, group);
        CRUMB_TRY(set_param(n, &site, "group", text));
    }
    crumb_quant_fit(&site, graph->value[x].shape);
    int input[3] = {x};
    CRUMB_TRY(add_state(n, name, "step", crumb_quant_state_count(&site, 0), &input[1]));
    CRUMB_TRY(add_state(n, name, "zero", 1, &input[2]));
    *steps = graph->value[input[1]].data;
    graph->value[input[2]].data[0] = what->zero;
    crumb_status status = crumb_graph_node(graph, name, &crumb_op_quantize, &site, 3, input, y);
    return status == CRUMB_OK || status == CRUMB_ERROR_MEMORY ? status : crumb_fail_in(n->im->ctx, status, "%s", n->im->path);
}

crumb_status crumb_import_value_site(const crumb_import_node *n, const crumb_import_codes *what, float step, int x, int *y) {
    float *steps;
    CRUMB_TRY(emit_site(n, n->name, false, what, 0, x, &steps, y));
    steps[0] = step;
    return CRUMB_OK;
}

/* Inputs of a channel that share a step: 0: all of them; -1: not as `fixed` has them. */
static int64_t group_of(const crumb_import_steps *place, int channel_axis, int64_t channels) {
    if (place->axis < 0 || (place->axis == channel_axis && place->block == 0)) {
        return 0;
    }
    int64_t size = place->shape.dim[place->axis];
    bool matrix = place->axis != channel_axis && place->block > 0 && crumb_shape_count(place->shape) == channels * size;
    bool fits = place->block == 16 || place->block == 32 || place->block == 64 || place->block == 128;
    return !matrix ? -1 : place->block >= size ? 0 : fits ? place->block : -1;
}

crumb_status crumb_import_weight_site(const crumb_import_node *n, const crumb_import_value *w, int channel_axis, int *at) {
    const crumb_import_codes *codes = w->codes;
    crumb_shape shape = n->im->graph->value[*at].shape;
    char site[CRUMB_NAME_MAX];
    float *steps;
    int64_t group = codes != NULL ? group_of(&codes->place, channel_axis, shape.dim[0]) : -1;
    if (group < 0) {
        return CRUMB_OK; /* the values are right, as floats */
    }
    snprintf(site, sizeof(site), "%.*s.weight_quant", CRUMB_NAME_MAX - 32, n->name);
    CRUMB_TRY(emit_site(n, site, true, codes, group, *at, &steps, at));
    /* An element of channel o and group b, as the file has it. */
    const crumb_import_steps *place = &codes->place;
    crumb_import_steps channel = {.shape = place->shape, .axis = channel_axis};
    int64_t inner = inner_of(&channel), columns = crumb_shape_count(place->shape) / shape.dim[0];
    int64_t groups = group > 0 ? (columns + group - 1) / group : 1, next = group > 0 ? inner_of(place) * group : 0;
    for (int64_t i = 0; i < shape.dim[0] * groups; i++) {
        steps[i] = codes->step[crumb_import_step_of(place, i / groups * inner + i % groups * next)];
    }
    return CRUMB_OK;
}
