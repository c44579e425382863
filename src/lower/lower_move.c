/* Ops that move elements: slices, borders, transpositions, reshapes, repetitions, choices, nearest resizing, concatenation.
 * What is not every n-th pixel, channels of zeros or channels side by side becomes a gather, whose places come from the op
 * itself: it is run on the numbers 1, 2, 3, ... in place of the elements, 0 being none, and every one of these ops then gives
 * sums of a row's, a column's and a channel's number, which is checked. */
#include "lower/lowering.h"
#include "ops/broadcast.h"
#include "ops/params.h"

#include <string.h>

enum { PLACES_MAX = 1 << 24 }; /* floats hold every whole number up to it */

static int input_of(const crumb_lowering *l, int node, int k) {
    return l->graph->node[node].input[k];
}

static crumb_shape shape_of(const crumb_lowering *l, int node, int k) {
    return l->graph->value[input_of(l, node, k)].shape;
}

/* ---- Gather nodes. */

/* Places of the rows, columns, channels of `shape`, one after the other in `place`. */
typedef struct places {
    crumb_packed_value shape;
    int32_t *place;
} places;

static crumb_status places_begin(crumb_ctx *ctx, places *p, crumb_packed_value shape) {
    p->shape = shape;
    p->place = crumb_alloc(ctx, (size_t)shape.height + (size_t)shape.width + (size_t)shape.channels, sizeof(*p->place));
    return p->place != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static int32_t *row_of(const places *p) {
    return p->place;
}

static int32_t *column_of(const places *p) {
    return p->place + p->shape.height;
}

static int32_t *channel_of(const places *p) {
    return p->place + p->shape.height + p->shape.width;
}

static crumb_packed_node gather_of(crumb_lowering *l, int node, const places *p) {
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_GATHER);
    made.made_height = p->shape.height;
    made.made_width = p->shape.width;
    made.extra = crumb_build_places(&l->build, p->shape.height + p->shape.width + p->shape.channels, p->place);
    return made;
}

static void count_up(int32_t *place, int32_t count, int64_t step) {
    for (int32_t i = 0; i < count; i++) {
        place[i] = (int32_t)(i * step);
    }
}

/* The same elements in another shape: *packed, which may stay as it is. */
static crumb_status reshaped(crumb_lowering *l, int node, crumb_packed_value shape, int32_t *packed) {
    const crumb_packed_value *x = &l->build.packed.value[*packed];
    places p;
    if (x->height == shape.height && x->width == shape.width && x->channels == shape.channels) {
        return CRUMB_OK;
    }
    CRUMB_TRY(places_begin(l->ctx, &p, shape));
    count_up(row_of(&p), shape.height, (int64_t)shape.width * shape.channels);
    count_up(column_of(&p), shape.width, shape.channels);
    count_up(channel_of(&p), shape.channels, 1);
    crumb_packed_node made = gather_of(l, node, &p);
    made.input[0] = *packed;
    crumb_free(l->ctx, p.place);
    *packed = crumb_build_append(&l->build, &made, NULL);
    return l->build.status;
}

/* ---- Places from the op itself. */

/* from[i]: number of the element that element i of the output is, -1: none. */
static void run_on_numbers(const crumb_lowering *l, int node, const void *params, float *numbers, float *from) {
    const crumb_node *given = &l->graph->node[node];
    crumb_op_call call = {.params = params, .inputs = given->inputs, .y = {l->graph->value[given->output].shape, from}};
    for (int k = 0; k < given->inputs; k++) {
        call.x[k] = (crumb_tensor){shape_of(l, node, k), l->graph->value[given->input[k]].data};
    }
    for (int64_t i = 0; i < crumb_shape_count(call.x[0].shape); i++) {
        numbers[i] = (float)(i + 1);
    }
    call.x[0].data = numbers;
    given->op->forward(&call);
    for (int64_t i = 0; i < crumb_shape_count(call.y.shape); i++) {
        from[i] -= 1.0f;
    }
}

static void find_line(int32_t *place, int32_t count, const float *from, int64_t step, int32_t base) {
    for (int32_t i = 0; i < count; i++) {
        place[i] = from[i * step] < 0 ? -1 : (int32_t)from[i * step] - base;
    }
}

/* Differences to the reference's; the least one becomes 0, and *moved is what that takes off every sum. */
static void shift_line(int32_t *place, const float *from, int32_t count, int64_t step, int32_t reference, int32_t *moved) {
    int32_t least = reference;
    for (int32_t i = 0; i < count; i++) {
        least = from[i * step] >= 0 && (int32_t)from[i * step] < least ? (int32_t)from[i * step] : least;
    }
    find_line(place, count, from, step, least);
    *moved += reference - least;
}

static bool places_hold(const places *p, const float *from) {
    int64_t width = p->shape.width, channels = p->shape.channels;
    for (int64_t i = 0; i < crumb_packed_elements(&p->shape); i++) {
        int32_t row = row_of(p)[i / channels / width], column = column_of(p)[i / channels % width];
        int32_t channel = channel_of(p)[i % channels];
        bool none = row < 0 || column < 0 || channel < 0;
        if (from[i] != (none ? -1.0f : (float)(row + column + channel))) {
            return false;
        }
    }
    return true;
}

/* Through the first element that comes from somewhere: its column, row and line of channels. */
static bool find_places(const places *p, const float *from) {
    int64_t width = p->shape.width, channels = p->shape.channels, first = 0, all = crumb_packed_elements(&p->shape);
    while (first < all && from[first] < 0) {
        first++;
    }
    if (first == all) {
        return false;
    }
    int64_t c = first % channels, pixel = first / channels;
    int32_t moved = 0, reference = (int32_t)from[first];
    shift_line(channel_of(p), from + pixel * channels, (int32_t)channels, 1, reference, &moved);
    shift_line(column_of(p), from + pixel / width * width * channels + c, (int32_t)width, channels, reference, &moved);
    find_line(row_of(p), p->shape.height, from + pixel % width * channels + c, width * channels, moved);
    return places_hold(p, from);
}

static bool is_identity(const places *p, const float *from, int64_t count) {
    bool same = crumb_packed_elements(&p->shape) == count;
    for (int64_t i = 0; same && i < count; i++) {
        same = from[i] == (float)i;
    }
    return same;
}

static bool same_shape(const crumb_packed_value *a, const crumb_packed_value *b) {
    return a->height == b->height && a->width == b->width && a->channels == b->channels;
}

static bool has_none(const places *p) {
    int64_t count = (int64_t)p->shape.height + p->shape.width + p->shape.channels;
    bool none = false;
    for (int64_t i = 0; i < count; i++) {
        none = none || p->place[i] < 0;
    }
    return none;
}

/* y = op(x) with these parameters; -1 among the numbers: `lo`. */
static crumb_status emit_moved(crumb_lowering *l, int node, const void *params, float lo, bool border, places *p, float *from) {
    int64_t elements = crumb_shape_count(shape_of(l, node, 0));
    float *numbers = crumb_alloc(l->ctx, (size_t)elements, sizeof(*numbers));
    if (numbers == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    run_on_numbers(l, node, params, numbers, from);
    crumb_free(l->ctx, numbers);
    crumb_packed_value x;
    const crumb_form *form = &l->form[input_of(l, node, 0)];
    CRUMB_TRY(crumb_lower_shape(l, node, shape_of(l, node, 0), &x));
    if (same_shape(&x, &p->shape) && form->map_height == 0 && is_identity(p, from, elements)) {
        l->form[l->graph->node[node].output] = *form;
        return CRUMB_OK;
    }
    if (!find_places(p, from)) {
        return crumb_lower_fail(l, node, "it moves elements in another way than by rows, columns and channels");
    }
    crumb_packed_node made = gather_of(l, node, p);
    made.lo = has_none(p) ? lo : 0.0f;
    return border ? crumb_lower_plain(l, node, made) : crumb_lower_on_codes(l, node, made);
}

static crumb_status move_with(crumb_lowering *l, int node, const void *params, float lo, bool border) {
    crumb_shape y = l->graph->value[l->graph->node[node].output].shape, x = shape_of(l, node, 0);
    crumb_packed_value shape;
    places p = {0};
    CRUMB_TRY(crumb_lower_shape(l, node, y, &shape));
    if (crumb_shape_count(x) >= PLACES_MAX) {
        return crumb_lower_fail(l, node, "%lld elements are too many", (long long)crumb_shape_count(x));
    }
    float *from = crumb_alloc(l->ctx, (size_t)crumb_shape_count(y), sizeof(*from));
    crumb_status status = from != NULL ? places_begin(l->ctx, &p, shape) : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        status = emit_moved(l, node, params, lo, border, &p, from);
    }
    crumb_free(l->ctx, p.place);
    crumb_free(l->ctx, from);
    return status;
}

crumb_status crumb_lower_move(crumb_lowering *l, int node) {
    int value = input_of(l, node, 0);
    int32_t x;
    if (l->form[value].codes < 0) { /* a constant appears here */
        CRUMB_TRY(crumb_lower_value(l, node, value, false, &x));
    }
    return move_with(l, node, l->graph->node[node].params, 0.0f, false);
}

/* Elements by a list, which may name none. */
crumb_status crumb_lower_gather(crumb_lowering *l, int node) {
    return l->graph->value[input_of(l, node, 1)].data != NULL ? move_with(l, node, l->graph->node[node].params, 0.0f, true)
                                                              : crumb_lower_fail(l, node, "its index is computed");
}

/* ---- Borders. */

static double item(const crumb_list *list, int axis, double missing) {
    return axis < list->count ? list->at[axis] : missing;
}

crumb_status crumb_lower_pad(crumb_lowering *l, int node) {
    crumb_pad_params p = *(const crumb_pad_params *)l->graph->node[node].params;
    int last = shape_of(l, node, 0).rank - 1;
    bool channels = p.value == 0, any = false;
    for (int axis = 0; axis <= last; axis++) {
        bool here = item(&p.before, axis, 0) != 0 || item(&p.after, axis, 0) != 0;
        channels = channels && (axis == last || !here);
        any = any || here;
    }
    if (!any) {
        crumb_form *y = &l->form[l->graph->node[node].output];
        *y = (crumb_form){.codes = -1, .plain = -1};
        return crumb_lower_value(l, node, input_of(l, node, 0), true, &y->real);
    }
    if (!channels) {
        float value = (float)p.value;
        p.value = 0;
        return move_with(l, node, &p, value, true);
    }
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_PAD);
    made.before = (int32_t)item(&p.before, last, 0);
    made.after = (int32_t)item(&p.after, last, 0);
    return crumb_lower_plain(l, node, made);
}

/* ---- Slices. */

/* Steps along height and width of a slice that takes every n-th row and every m-th column; false for any other. */
static bool steps_of(const crumb_lowering *l, int node, double step[2]) {
    const crumb_slice_params *p = l->graph->node[node].params;
    crumb_shape x = shape_of(l, node, 0);
    bool every = x.rank == 4 && item(&p->step, 0, 1) == 1 && item(&p->step, 3, 1) == 1;
    for (int axis = 0; axis < x.rank; axis++) {
        double stop = item(&p->stop, axis, 0);
        every = every && item(&p->start, axis, 0) == 0 && (stop == 0 || stop >= (double)x.dim[axis]);
    }
    step[0] = item(&p->step, 1, 1);
    step[1] = item(&p->step, 2, 1);
    return every;
}

static bool is_slice(const crumb_lowering *l, int node) {
    return node >= 0 && l->graph->node[node].op == &crumb_op_slice;
}

/* Other programs slice an axis at a time: x[:, ::2] and then [:, :, ::2]. What is not square goes on to the slice that alone
 * reads it, whose steps multiply with its own, if that makes it square. So the chain of slices that ends here is gone through
 * from its start. */
static bool chained_steps(const crumb_lowering *l, int node, double step[2]) {
    const crumb_graph *graph = l->graph;
    int at = node;
    for (int before = graph->value[input_of(l, at, 0)].node;
         is_slice(l, before) && crumb_lower_reader(l, input_of(l, at, 0)) == at;
         before = graph->value[input_of(l, at, 0)].node) {
        at = before;
    }
    double own[2];
    bool every = steps_of(l, at, step);
    while (every && at != node) {
        bool square = step[0] == step[1]; /* was emitted */
        at = crumb_lower_reader(l, graph->node[at].output);
        every = steps_of(l, at, own);
        step[0] = square ? own[0] : step[0] * own[0];
        step[1] = square ? own[1] : step[1] * own[1];
    }
    return every;
}

/* Whether a slice behind this one, whose steps so far are `step`, ends with a square. */
static bool becomes_square(const crumb_lowering *l, int node, const double step[2]) {
    double so_far[2] = {step[0], step[1]}, own[2];
    int at = crumb_lower_reader(l, l->graph->node[node].output);
    for (; is_slice(l, at) && steps_of(l, at, own); at = crumb_lower_reader(l, l->graph->node[at].output)) {
        so_far[0] *= own[0];
        so_far[1] *= own[1];
        if (so_far[0] == so_far[1]) {
            return so_far[0] <= CRUMB_PACKED_WINDOW_MAX;
        }
    }
    return false;
}

crumb_status crumb_lower_slice(crumb_lowering *l, int node) {
    double step[2];
    int output = l->graph->node[node].output;
    bool every = shape_of(l, node, 0).dim[0] == 1 && chained_steps(l, node, step);
    if (every && step[0] != step[1] && becomes_square(l, node, step)) {
        l->form[output] = l->form[input_of(l, node, 0)];
        return CRUMB_OK;
    }
    if (!every || step[0] != step[1] || step[0] > CRUMB_PACKED_WINDOW_MAX) {
        return crumb_lower_move(l, node);
    }
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_SUBSAMPLE);
    made.stride = (int32_t)step[0];
    return crumb_lower_on_codes(l, node, made);
}

/* ---- Concatenation. */

/* Along another axis than the last one: what lies behind that axis counts as channels. */
static crumb_status concat_axis(crumb_lowering *l, int node, int axis, crumb_packed_node *made) {
    for (int k = 0; k < made->inputs; k++) {
        crumb_shape x = shape_of(l, node, k);
        int64_t before = 1, behind = 1;
        for (int i = 0; i < x.rank; i++) {
            *(i < axis ? &before : &behind) *= x.dim[i];
        }
        crumb_packed_value shape = {.height = (int32_t)before, .width = 1, .channels = (int32_t)behind};
        CRUMB_TRY(reshaped(l, node, shape, &made->input[k]));
    }
    return CRUMB_OK;
}

crumb_status crumb_lower_concat(crumb_lowering *l, int node) {
    const crumb_node *given = &l->graph->node[node];
    int rank = shape_of(l, node, 0).rank, axis = (int)((const crumb_concat_params *)given->params)->axis;
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_CONCAT);
    crumb_packed_value shape;
    int32_t y;
    axis += axis < 0 ? rank : 0;
    made.inputs = given->inputs;
    for (int k = 0; k < given->inputs; k++) {
        CRUMB_TRY(crumb_lower_value(l, node, given->input[k], true, &made.input[k]));
    }
    CRUMB_TRY(crumb_lower_shape(l, node, l->graph->value[given->output].shape, &shape));
    CRUMB_TRY(axis == rank - 1 ? CRUMB_OK : concat_axis(l, node, axis, &made));
    y = crumb_build_append(&l->build, &made, NULL);
    CRUMB_TRY(l->build.status);
    CRUMB_TRY(reshaped(l, node, shape, &y));
    l->form[given->output] = (crumb_form){.real = y, .codes = -1, .plain = -1};
    return CRUMB_OK;
}

/* ---- Means over axes. */

/* The axes as pixels, in their order, what stays as channels; *x stays as it is if it lies so already. */
static crumb_status axes_to_pixels(crumb_lowering *l, int node, const crumb_broadcast *b, int32_t *x) {
    places p;
    bool same = true;
    CRUMB_TRY(places_begin(l->ctx, &p,
                           (crumb_packed_value){.height = 1, .width = (int32_t)b->count[1], .channels = (int32_t)b->count[0]}));
    row_of(&p)[0] = 0;
    for (int32_t i = 0; i < p.shape.width; i++) {
        column_of(&p)[i] = (int32_t)crumb_broadcast_at(b, 1, i);
        same = same && column_of(&p)[i] == i * p.shape.channels;
    }
    for (int32_t i = 0; i < p.shape.channels; i++) {
        channel_of(&p)[i] = (int32_t)crumb_broadcast_at(b, 0, i);
        same = same && channel_of(&p)[i] == i;
    }
    if (!same || l->build.packed.value[*x].channels != p.shape.channels) {
        crumb_packed_node made = gather_of(l, node, &p);
        made.input[0] = *x;
        *x = crumb_build_append(&l->build, &made, NULL);
    }
    crumb_free(l->ctx, p.place);
    return l->build.status;
}

crumb_status crumb_lower_reduce_mean(crumb_lowering *l, int node) {
    int output = l->graph->node[node].output;
    crumb_packed_node made = crumb_lower_named(l, node, CRUMB_PACKED_GLOBAL_AVERAGE_POOL);
    crumb_packed_value shape;
    crumb_shape y = l->graph->value[output].shape;
    crumb_broadcast b = crumb_broadcast_of(y, shape_of(l, node, 0));
    CRUMB_TRY(crumb_lower_shape(l, node, shape_of(l, node, 0), &shape));
    CRUMB_TRY(crumb_lower_value(l, node, input_of(l, node, 0), true, &made.input[0]));
    CRUMB_TRY(axes_to_pixels(l, node, &b, &made.input[0]));
    int32_t mean = crumb_build_append(&l->build, &made, NULL);
    CRUMB_TRY(crumb_lower_shape(l, node, y, &shape));
    CRUMB_TRY(l->build.status);
    CRUMB_TRY(reshaped(l, node, shape, &mean));
    l->form[output] = (crumb_form){.real = mean, .codes = -1, .plain = -1};
    return CRUMB_OK;
}

/* ---- Zeros between and around pixels. */

/* Pixel i of the input lies at i * stride + before of a side of `made` pixels. */
static void spread_side(int32_t *place, int64_t made, int64_t size, int64_t step, int64_t before, int64_t stride) {
    for (int64_t i = 0; i < made; i++) {
        int64_t at = i - before;
        place[i] = at >= 0 && at % stride == 0 && at / stride < size ? (int32_t)(at / stride * step) : -1;
    }
}

/* The index that stands for 0, -1: none does. */
static int32_t index_of_zero(const crumb_packed_codes *codes) {
    int32_t index = -codes->offset / codes->multiply;
    return codes->offset <= 0 && index < codes->levels && crumb_packed_code(codes, index) == 0 ? index : -1;
}

crumb_status crumb_lower_spread(crumb_lowering *l, int node, const crumb_spread *spread, int32_t *x) {
    const crumb_packed_value from = l->build.packed.value[*x];
    crumb_packed_value shape;
    places to;
    int32_t zero = from.codes.levels != 0 ? index_of_zero(&from.codes) : 0;
    if (zero < 0) {
        return crumb_lower_fail(l, node, "its padding is wider than its kernel, and its input has no code for 0");
    }
    CRUMB_TRY(crumb_lower_shape(l, node, CRUMB_SHAPE(spread->height, spread->width, from.channels), &shape));
    CRUMB_TRY(places_begin(l->ctx, &to, shape));
    spread_side(row_of(&to), shape.height, from.height, (int64_t)from.width * from.channels, spread->top, spread->between);
    spread_side(column_of(&to), shape.width, from.width, from.channels, spread->left, spread->between);
    count_up(channel_of(&to), shape.channels, 1);
    crumb_packed_node made = gather_of(l, node, &to);
    made.lo = (float)zero;
    made.input[0] = *x;
    crumb_free(l->ctx, to.place);
    *x = crumb_build_append(&l->build, &made, NULL);
    return l->build.status;
}
