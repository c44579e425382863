/* From nodes to steps: which node goes into which chain, and which values need memory. */
#include "runtime/plan.h"

/* How a value's elements are found in a buffer. */
typedef struct view {
    int32_t buffer; /* -1: they are not in memory */
    int32_t step, before;
    const crumb_packed_codes *codes; /* the buffer's indices are dequantized on the way; NULL: taken as they are */
} view;

typedef struct builder {
    crumb_plan *plan;
    const crumb_packed *packed;
    bool keep;
    bool *done;    /* nodes that are in a chain, or are views */
    bool *there;   /* values that a finished step has stored, and views of them */
    int32_t *made; /* values that the present step stores */
    int32_t mades;
    view *views;    /* of values */
    int32_t *first; /* values: begin of their readers, in node order */
    int32_t *reader;
    crumb_step *step; /* in the making */
} builder;

/* ---- Readers. */

static void list_readers(builder *b) {
    const crumb_packed *packed = b->packed;
    for (int32_t i = 0; i < packed->nodes; i++) {
        for (int32_t k = 0; k < packed->node[i].inputs; k++) {
            b->first[packed->node[i].input[k] + 1]++;
        }
    }
    for (int32_t v = 0; v < packed->values; v++) {
        b->first[v + 1] += b->first[v];
    }
    for (int32_t i = packed->nodes - 1; i >= 0; i--) { /* backwards, filling each list from its end */
        for (int32_t k = packed->node[i].inputs - 1; k >= 0; k--) {
            int32_t v = packed->node[i].input[k];
            b->reader[--b->first[v + 1]] = i;
        }
    }
    for (int32_t v = 0; v < packed->values; v++) { /* first[v + 1] is now where the list of v begins */
        b->first[v] = b->first[v + 1];
    }
    int32_t all = 0;
    for (int32_t i = 0; i < packed->nodes; i++) {
        all += packed->node[i].inputs;
    }
    b->first[packed->values] = all;
}

/* Flattening a vector changes nothing: a link that is none for floats, the same view for codes. */
static bool flattens_vector(const builder *b, const crumb_packed_node *n, bool codes) {
    const crumb_packed_value *x = &b->packed->value[n->input[0]];
    return n->op == CRUMB_PACKED_FLATTEN && x->height == 1 && x->width == 1 && (x->codes.levels != 0) == codes;
}

static bool is_view(const builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    return n->op == CRUMB_PACKED_SUBSAMPLE || n->op == CRUMB_PACKED_PAD || n->op == CRUMB_PACKED_DEQUANTIZE ||
           flattens_vector(b, n, true);
}

static bool is_elementwise(const builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    return n->op == CRUMB_PACKED_AFFINE || n->op == CRUMB_PACKED_ADD || n->op == CRUMB_PACKED_MUL ||
           n->op == CRUMB_PACKED_RELU || n->op == CRUMB_PACKED_PRELU || n->op == CRUMB_PACKED_CLIP ||
           n->op == CRUMB_PACKED_QUANTIZE || flattens_vector(b, n, false);
}

/* True if a step after the present one reads the value from memory. */
static bool needs_memory(const builder *b, int32_t value, int32_t next) {
    bool needed = b->keep || value == b->packed->logits;
    for (int32_t i = b->first[value]; i < b->first[value + 1]; i++) {
        needed = needed || (!b->done[b->reader[i]] && b->reader[i] != next);
    }
    return needed;
}

/* True if some reader of a view wants a stack of its own, as all but element-wise nodes and other views do. */
static bool needs_stack(const builder *b, int32_t value) {
    bool needed = b->keep || value == b->packed->logits;
    for (int32_t i = b->first[value]; i < b->first[value + 1]; i++) {
        needed = needed || !(is_elementwise(b, b->reader[i]) || is_view(b, b->reader[i]));
    }
    return needed;
}

/* ---- Steps, links, buffers. There is room for as many as there can be (room_for). */

static int32_t add_buffer(builder *b, int32_t value) {
    crumb_plan *plan = b->plan;
    const crumb_packed_value *v = &b->packed->value[value];
    size_t pixel = (size_t)v->channels * (v->codes.levels != 0 ? sizeof(uint8_t) : sizeof(float));
    plan->buffer[plan->buffers] =
        (crumb_buffer){.value = value, .pixel = pixel, .bytes = ((size_t)v->height * (size_t)v->width * pixel + 63) / 64 * 64};
    plan->buffer_of[value] = plan->buffers;
    b->views[value] = (view){.buffer = plan->buffers, .step = 1};
    return plan->buffers++;
}

static crumb_link *add_link(builder *b, crumb_link_op op, int32_t node) {
    crumb_link *link = &b->plan->link[b->plan->links++];
    *link = (crumb_link){.op = op, .node = node, .buffer = -1, .step = 1};
    b->step->links++;
    return link;
}

static void set_operand(builder *b, crumb_link *link, const view *from) {
    const crumb_buffer *buffer = &b->plan->buffer[from->buffer];
    const crumb_packed_value *value = &b->packed->value[buffer->value];
    link->buffer = from->buffer;
    link->step = from->step;
    link->before = from->before;
    link->height = value->height;
    link->width = value->width;
    link->channels = value->channels;
    link->pixel = buffer->pixel;
    if (from->codes != NULL) {
        link->scale = from->codes->scale;
        link->multiply = from->codes->multiply;
        link->offset = from->codes->offset;
    }
}

static void add_load(builder *b, int32_t value, int32_t node) {
    const view *from = &b->views[value];
    bool indices = b->packed->value[value].codes.levels != 0;
    crumb_link_op op = indices ? CRUMB_LINK_LOAD_INDEX : from->codes != NULL ? CRUMB_LINK_LOAD_CODES : CRUMB_LINK_LOAD;
    set_operand(b, add_link(b, op, node), from);
}

static void add_store(builder *b, int32_t value, int32_t node) {
    bool indices = b->packed->value[value].codes.levels != 0;
    crumb_link *link = add_link(b, indices ? CRUMB_LINK_STORE_INDEX : CRUMB_LINK_STORE, node);
    add_buffer(b, value);
    b->made[b->mades++] = value;
    set_operand(b, link, &b->views[value]);
}

static void add_quantizer(builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    crumb_link *link = add_link(b, n->thresholds_form ? CRUMB_LINK_THRESHOLDS : CRUMB_LINK_ROUND, node);
    link->inverse = n->inverse;
    link->lo = n->lo;
    link->hi = n->hi;
    link->thresholds = b->packed->value[n->output].codes.levels - 1;
    link->a = crumb_packed_floats(b->packed, n->extra);
}

/* ---- Chains. */

static int32_t operand_of(const crumb_packed_node *node, int32_t value) {
    return node->input[0] == value ? node->input[1] : node->input[0];
}

/* The node of an element-wise op that goes on from `value`. */
static void add_node(builder *b, int32_t node, int32_t value) {
    const crumb_packed_node *n = &b->packed->node[node];
    if (n->op == CRUMB_PACKED_ADD || n->op == CRUMB_PACKED_MUL) {
        const view *from = &b->views[operand_of(n, value)];
        bool add = n->op == CRUMB_PACKED_ADD, codes = from->codes != NULL;
        crumb_link_op op = add     ? (codes ? CRUMB_LINK_ADD_CODES : CRUMB_LINK_ADD)
                           : codes ? CRUMB_LINK_MUL_CODES
                                   : CRUMB_LINK_MUL;
        set_operand(b, add_link(b, op, node), from);
        return;
    }
    if (n->op == CRUMB_PACKED_FLATTEN) {
        return;
    }
    static const crumb_link_op ops[CRUMB_PACKED_OPS] = {[CRUMB_PACKED_AFFINE] = CRUMB_LINK_AFFINE,
                                                        [CRUMB_PACKED_RELU] = CRUMB_LINK_RELU,
                                                        [CRUMB_PACKED_PRELU] = CRUMB_LINK_PRELU,
                                                        [CRUMB_PACKED_CLIP] = CRUMB_LINK_CLIP};
    crumb_link *link = add_link(b, ops[n->op], node);
    link->a = crumb_packed_floats(b->packed, n->op == CRUMB_PACKED_AFFINE ? n->multiplier : n->extra);
    link->b = crumb_packed_floats(b->packed, n->bias);
    link->lo = n->lo;
    link->hi = n->hi;
}

/* The first reader of `value` that can go on now, -1: none. */
static int32_t next_node(const builder *b, int32_t value) {
    for (int32_t i = b->first[value]; i < b->first[value + 1]; i++) {
        const crumb_packed_node *n = &b->packed->node[b->reader[i]];
        bool can = is_elementwise(b, b->reader[i]) && n->op != CRUMB_PACKED_QUANTIZE && !b->done[b->reader[i]];
        if (can && (n->inputs == 1 || b->there[operand_of(n, value)])) {
            return b->reader[i];
        }
    }
    return -1;
}

static bool has_room(const builder *b) {
    return b->step->links + 5 <= CRUMB_LINKS_MAX; /* a node, two of a quantizer, a store, one more */
}

static void add_quantizers(builder *b, int32_t value) {
    for (int32_t i = b->first[value]; i < b->first[value + 1]; i++) {
        int32_t node = b->reader[i];
        if (b->packed->node[node].op == CRUMB_PACKED_QUANTIZE && !b->done[node] && has_room(b)) {
            b->done[node] = true;
            if (needs_memory(b, b->packed->node[node].output, -1)) {
                add_quantizer(b, node);
                add_store(b, b->packed->node[node].output, node);
            }
        }
    }
}

/* The rest of a chain that has just computed the float `value`, which is in memory already or not. */
static void extend(builder *b, int32_t value, int32_t node, bool stored) {
    for (;;) {
        add_quantizers(b, value);
        int32_t next = has_room(b) ? next_node(b, value) : -1;
        if (!stored && needs_memory(b, value, next)) {
            add_store(b, value, node);
        }
        if (next < 0) {
            return;
        }
        add_node(b, next, value);
        b->done[next] = true;
        value = b->packed->node[next].output;
        node = next;
        stored = false;
    }
}

/* ---- Steps. */

static void begin_step(builder *b, crumb_step_source *source, int32_t node, int32_t value) {
    const crumb_packed_value *v = &b->packed->value[value];
    b->step = &b->plan->step[b->plan->steps++];
    *b->step = (crumb_step){.source = source,
                            .node = node,
                            .height = v->height,
                            .width = v->width,
                            .channels = v->channels,
                            .first = b->plan->links};
}

static void add_view(builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    view v = b->views[n->input[0]];
    v.step *= n->op == CRUMB_PACKED_SUBSAMPLE ? n->stride : 1;
    v.before += n->op == CRUMB_PACKED_PAD ? n->before : 0;
    v.codes = n->op == CRUMB_PACKED_DEQUANTIZE ? &b->packed->value[n->input[0]].codes : v.codes;
    b->views[n->output] = v;
    b->done[node] = true;
    b->there[n->output] = true;
    if (n->op == CRUMB_PACKED_FLATTEN) {
        b->plan->buffer_of[n->output] = v.buffer;
    }
}

/* What the step stored is there for the next ones; so are views of it that need no stack. */
static void end_step(builder *b) {
    for (int32_t i = 0; i < b->mades; i++) {
        int32_t value = b->made[i];
        b->there[value] = true;
        for (int32_t k = b->first[value]; k < b->first[value + 1]; k++) {
            int32_t node = b->reader[k], output = b->packed->node[node].output;
            bool looks = is_view(b, node) && !b->done[node];
            if (looks && (b->packed->node[node].op == CRUMB_PACKED_FLATTEN || !needs_stack(b, output))) {
                add_view(b, node);
                b->made[b->mades++] = output;
            }
        }
    }
    b->mades = 0;
}

static crumb_step_source *source_of(const builder *b, const crumb_packed_node *node) {
    bool codes = b->packed->value[node->input[0]].codes.levels != 0;
    switch (node->op) {
    case CRUMB_PACKED_CONV2D:
        return crumb_step_conv;
    case CRUMB_PACKED_MAX_POOL:
        return codes ? crumb_step_max_pool_index : crumb_step_max_pool;
    case CRUMB_PACKED_AVERAGE_POOL:
        return crumb_step_average_pool;
    case CRUMB_PACKED_GLOBAL_AVERAGE_POOL:
        return crumb_step_global_average_pool;
    case CRUMB_PACKED_CONCAT:
        return crumb_step_concat;
    case CRUMB_PACKED_FLATTEN:
        return crumb_step_flatten;
    case CRUMB_PACKED_GATHER:
        return crumb_step_gather;
    case CRUMB_PACKED_CONSTANT:
        return crumb_step_constant;
    default:
        return crumb_step_function;
    }
}

/* A node that makes its elements itself. */
static void source_step(builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    bool from_codes = b->packed->value[n->input[0]].codes.levels != 0, to_codes = b->packed->value[n->output].codes.levels != 0;
    begin_step(b, source_of(b, n), node, n->output);
    for (int32_t k = 0; k < n->inputs; k++) {
        b->step->input[b->step->inputs++] = b->views[n->input[k]].buffer;
    }
    b->done[node] = true;
    add_link(b, to_codes ? CRUMB_LINK_INDEX : CRUMB_LINK_REAL, node);
    if (n->op == CRUMB_PACKED_CONV2D) {
        crumb_link *link = &b->plan->link[b->step->first];
        link->op = CRUMB_LINK_SCALE;
        link->a = crumb_packed_floats(b->packed, n->multiplier);
        link->b = crumb_packed_floats(b->packed, n->bias);
        if (!from_codes) { /* the accumulators are floats */
            crumb_link *affine = add_link(b, CRUMB_LINK_AFFINE, node);
            affine->a = link->a;
            affine->b = link->b;
            link->op = CRUMB_LINK_REAL;
        }
    }
    if (!to_codes) {
        extend(b, n->output, node, false);
    } else if (needs_memory(b, n->output, -1)) {
        add_store(b, n->output, node);
    }
    end_step(b);
}

/* A view that some reader wants as a stack of its own: the others are done since their input is there. */
static void stack_step(builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    add_view(b, node);
    begin_step(b, crumb_step_memory, node, n->output);
    add_load(b, n->output, node);
    if (b->packed->value[n->output].codes.levels == 0) {
        extend(b, n->output, node, false);
    } else if (needs_memory(b, n->output, -1)) {
        add_store(b, n->output, node);
    }
    end_step(b);
}

/* An element-wise node that no chain took along: a chain of its own, from its first input. */
static void memory_step(builder *b, int32_t node) {
    int32_t value = b->packed->node[node].input[0];
    begin_step(b, crumb_step_memory, node, value);
    add_load(b, value, node);
    extend(b, value, node, true);
    end_step(b);
}

static void image_step(builder *b) {
    begin_step(b, crumb_step_image, -1, 0);
    add_link(b, CRUMB_LINK_REAL, -1);
    extend(b, 0, -1, false);
    end_step(b);
}

static void build(builder *b) {
    for (int32_t v = 0; v < b->packed->values; v++) {
        b->plan->buffer_of[v] = -1;
        b->views[v].buffer = -1;
    }
    list_readers(b);
    image_step(b);
    for (int32_t i = 0; i < b->packed->nodes; i++) {
        if (b->done[i]) {
            continue;
        }
        if (is_view(b, i)) {
            stack_step(b, i);
        } else if (is_elementwise(b, i)) {
            memory_step(b, i);
        } else {
            source_step(b, i);
        }
    }
}

/* A node is at most a first link, one or two of its own and a store; a step more begins with a load. */
static bool room_for(builder *b) {
    crumb_ctx *ctx = b->plan->ctx;
    size_t nodes = (size_t)b->packed->nodes + 1, values = (size_t)b->packed->values + 1;
    b->plan->step = crumb_alloc(ctx, nodes, sizeof(*b->plan->step));
    b->plan->link = crumb_alloc(ctx, 5 * nodes, sizeof(*b->plan->link));
    b->plan->buffer = crumb_alloc(ctx, values, sizeof(*b->plan->buffer));
    b->plan->buffer_of = crumb_alloc(ctx, values, sizeof(*b->plan->buffer_of));
    b->done = crumb_alloc(ctx, nodes, sizeof(*b->done));
    b->there = crumb_alloc(ctx, values, sizeof(*b->there));
    b->made = crumb_alloc(ctx, values, sizeof(*b->made));
    b->views = crumb_alloc(ctx, values, sizeof(*b->views));
    b->first = crumb_alloc(ctx, values + 1, sizeof(*b->first));
    b->reader = crumb_alloc(ctx, nodes * CRUMB_PACKED_INPUTS_MAX, sizeof(*b->reader));
    return b->plan->step != NULL && b->plan->link != NULL && b->plan->buffer != NULL && b->plan->buffer_of != NULL &&
           b->done != NULL && b->there != NULL && b->made != NULL && b->views != NULL && b->first != NULL && b->reader != NULL;
}

crumb_status crumb_plan_steps(crumb_plan *plan, bool keep) {
    builder b = {.plan = plan, .packed = plan->packed, .keep = keep};
    bool room = room_for(&b);
    if (room) {
        build(&b);
    }
    crumb_free(plan->ctx, b.reader);
    crumb_free(plan->ctx, b.first);
    crumb_free(plan->ctx, b.views);
    crumb_free(plan->ctx, b.made);
    crumb_free(plan->ctx, b.there);
    crumb_free(plan->ctx, b.done);
    return room ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}
