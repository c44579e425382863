/* Every row of cpu.inc against the chain of reference ops it stands for: outputs, gradients, running statistics and quantizer
 * state over three training steps and an evaluation, overwriting and adding, with some gradients not wanted.
 *
 * Rows without sums over many terms have the reference's bits. Where there are sums, both sides are within gamma(R) of the
 * exact value, so they are compared within 2 * gamma(R + 16) times the largest value that goes in, R the longest sum in f32.
 * Inputs are drawn again while a value lies within that distance of a quantizer's tie or edge, so codes and masks must agree.
 */
#include "harness.h"

#include "backend/backend.h"
#include "ops/params.h"
#include "quant/uniform.h"

static uint32_t random_state = 3;

static float random_unit(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / 8388608.0f - 1.0f;
}

typedef struct {
    crumb_shape shape;
    crumb_role role;
    int64_t count;
    float *data[2], *dx[2]; /* [0]: reference, [1]: row */
} external;

typedef struct {
    const crumb_backend_row *row;
    crumb_run_query query;
    external ext[CRUMB_EXTERNAL_MAX];
    float *value[CRUMB_PATTERN_MAX], *gradient[CRUMB_PATTERN_MAX]; /* reference: outputs of the nodes */
    void *saved[CRUMB_PATTERN_MAX], *scratch[CRUMB_PATTERN_MAX];
    float *y, *dy;
    crumb_run_plan plan;
    crumb_run_call call;
    double bound;
    crumb_quant site;
    crumb_batch_norm_params norm;
    crumb_conv2d_params conv;
} chain;

static float *fresh(int64_t count, float scale, float offset) {
    float *p = aligned_alloc(64, ((size_t)count * sizeof(float) + 64) / 64 * 64);
    for (int64_t i = 0; i < count; i++) {
        p[i] = random_unit() * scale + offset;
    }
    return p;
}

static int add_external(chain *c, crumb_shape shape, crumb_role role) {
    const int e = c->query.inputs++;
    c->ext[e] = (external){.shape = shape, .role = role, .count = crumb_shape_count(shape)};
    for (int k = 0; k < 2; k++) {
        c->ext[e].data[k] = fresh(c->ext[e].count, 0.0f, 0.0f);
        c->ext[e].dx[k] = fresh(c->ext[e].count, 0.0f, 0.0f);
    }
    c->query.x[e] = shape;
    c->query.roles[e] = role;
    c->query.wants_dx[e] = role == CRUMB_DATA || role == CRUMB_PARAM;
    return e;
}

static void set_data(chain *c, int e, float scale, float offset) {
    for (int64_t i = 0; i < c->ext[e].count; i++) {
        c->ext[e].data[0][i] = c->ext[e].data[1][i] = random_unit() * scale + offset;
    }
}

/* The node's own inputs behind x. */
static void add_inputs(chain *c, crumb_run_node *node, const char *name, crumb_shape x) {
    const int64_t channels = crumb_shape_last(x);
    if (strcmp(name, "batch_norm") == 0) {
        node->params = &c->norm;
        for (int k = 1; k < 6; k++) {
            const int e = add_external(c, k == 5 ? CRUMB_SHAPE(1) : CRUMB_SHAPE(channels), k < 3 ? CRUMB_PARAM : CRUMB_STATE);
            set_data(c, e, k == 5 ? 0.0f : 0.4f, k == 5 ? 0.0f : 1.0f);
            node->external[k] = e;
        }
        node->inputs = 6;
    } else if (strcmp(name, "quantize") == 0) {
        const crumb_quant_state *state = c->site.quantizer->state;
        c->site.channels = channels;
        node->params = &c->site;
        node->op = &crumb_op_quantize;
        for (node->inputs = 1; state[node->inputs - 1].name != NULL; node->inputs++) {
            const crumb_quant_state *s = &state[node->inputs - 1];
            const int e = add_external(c, CRUMB_SHAPE(1), s->learned ? CRUMB_PARAM : CRUMB_STATE);
            set_data(c, e, 0.0f, s->preset);
            node->external[node->inputs] = e;
        }
    } else if (strcmp(name, "conv2d") == 0 || strcmp(name, "linear") == 0) {
        const bool conv = strcmp(name, "conv2d") == 0;
        node->params = &c->conv;
        node->external[1] = add_external(c, conv ? CRUMB_SHAPE(7, 3, 3, channels) : CRUMB_SHAPE(7, channels), CRUMB_PARAM);
        node->external[2] = add_external(c, CRUMB_SHAPE(7), CRUMB_PARAM);
        set_data(c, node->external[1], 0.5f, 0.0f);
        set_data(c, node->external[2], 0.5f, 0.0f);
        node->inputs = 3;
    } else {
        node->inputs = 1;
    }
}

/* swap: the chained value is the second operand of add. */
static void add_node(crumb_ctx *ctx, chain *c, int i, bool swap) {
    crumb_run_node *node = &c->query.node[i];
    const char *name = c->row->pattern[i];
    const crumb_shape x = i == 0 ? c->query.x[0] : c->query.node[i - 1].y;
    node->op = crumb_op_find(name);
    node->external[0] = i == 0 ? 0 : -1;
    add_inputs(c, node, name, x);
    if (strcmp(name, "add") == 0) {
        node->inputs = 2;
        node->external[1] = add_external(c, x, CRUMB_DATA);
        if (swap && i > 0) {
            node->external[0] = node->external[1];
            node->external[1] = -1;
        }
    }
    crumb_op_plan plan = {0};
    for (int k = 0; k < node->inputs; k++) {
        node->x[k] = node->external[k] < 0 || (i == 0 && k == 0) ? x : c->query.x[node->external[k]];
    }
    assert_ok(ctx, crumb_op_infer(ctx, node->op, node->params, node->inputs, node->x, &plan));
    node->y = plan.output;
    c->saved[i] = fresh((int64_t)plan.saved / 4 + 16, 0.0f, 0.0f);
    c->scratch[i] = fresh((int64_t)plan.scratch / 4 + 16, 0.0f, 0.0f);
    c->value[i] = fresh(crumb_shape_count(plan.output), 0.0f, 0.0f);
    c->gradient[i] = fresh(crumb_shape_count(plan.output), 0.0f, 0.0f);
    c->query.nodes = i + 1;
}

static crumb_op_call op_call(chain *c, int i, bool training) {
    const crumb_run_node *node = &c->query.node[i];
    crumb_op_call call = {.params = node->params,
                          .inputs = node->inputs,
                          .y = {node->y, c->value[i]},
                          .saved = c->saved[i],
                          .scratch = c->scratch[i],
                          .training = training,
                          .dy = c->gradient[i]};
    for (int k = 0; k < node->inputs; k++) {
        const int e = node->external[k];
        call.x[k] = (crumb_tensor){node->x[k], e < 0 ? c->value[i - 1] : c->ext[e].data[0]};
        call.dx[k] = e < 0 ? c->gradient[i - 1] : c->query.wants_dx[e] ? c->ext[e].dx[0] : NULL;
        call.add[k] = e >= 0 && c->call.add[e];
    }
    return call;
}

static void reference(chain *c, bool training, bool backward) {
    for (int i = 0; i < c->query.nodes && !backward; i++) {
        crumb_op_call call = op_call(c, i, training);
        c->query.node[i].op->forward(&call);
    }
    for (int i = c->query.nodes - 1; i >= 0 && backward; i--) {
        crumb_op_call call = op_call(c, i, training);
        c->query.node[i].op->backward(&call);
    }
}

static void bind(chain *c) {
    const crumb_shape y = c->query.node[c->query.nodes - 1].y;
    c->y = fresh(crumb_shape_count(y), 0.0f, 0.0f);
    c->dy = c->gradient[c->query.nodes - 1];
    c->call = (crumb_run_call){.query = &c->query,
                               .state = c->plan.state,
                               .y = c->y,
                               .dy = c->dy,
                               .saved = c->plan.saved ? fresh((int64_t)c->plan.saved / 4 + 16, 0.0f, 0.0f) : NULL,
                               .scratch = fresh((int64_t)c->plan.scratch / 4 + 16, 0.0f, 0.0f)};
    for (int e = 0; e < c->query.inputs; e++) {
        c->call.x[e] = c->ext[e].data[1];
        c->call.dx[e] = c->query.wants_dx[e] ? c->ext[e].dx[1] : NULL;
    }
}

static void destroy(crumb_ctx *ctx, chain *c) {
    for (int i = 0; i < c->query.nodes; i++) {
        free(c->value[i]), free(c->gradient[i]), free(c->saved[i]), free(c->scratch[i]);
    }
    for (int e = 0; e < c->query.inputs; e++) {
        for (int k = 0; k < 2; k++) {
            free(c->ext[e].data[k]), free(c->ext[e].dx[k]);
        }
    }
    if (c->row->release != NULL) {
        c->row->release(ctx, c->plan.state);
    }
    free(c->y), free(c->call.saved), free(c->call.scratch);
}

static bool has(const chain *c, const char *name) {
    for (int i = 0; i < c->query.nodes; i++) {
        if (strcmp(c->row->pattern[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void same(const chain *c, const char *what, int at, const float *row, const float *ref, int64_t count, double bound) {
    double largest = 1.0;
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)ref[i]));
    }
    for (int64_t i = 0; i < count; i++) {
        if (!(fabs((double)row[i] - (double)ref[i]) <= bound * largest)) {
            fail_msg("%s: %s %d [%ld] is %.9g, reference %.9g, bound %.3g", c->row->name, what, at, (long)i, (double)row[i],
                     (double)ref[i], bound * largest);
        }
    }
}

/* Whether the quantizer's input is clear of ties and edges; without batch norm it has the reference's bits, and they do not
 * matter. */
static bool clear_of_ties(chain *c) {
    const int q = c->query.nodes - 1;
    if (!has(c, "quantize") || !has(c, "batch_norm")) {
        return true;
    }
    crumb_op_call op = op_call(c, q, true);
    crumb_quant_call call;
    crumb_uniform u;
    crumb_quant_call_of(&op, &call);
    c->site.quantizer->uniform(&call, &u);
    for (int64_t i = 0; i < call.count; i++) {
        const double v = (double)(call.x[i] * u.inverse), margin = ldexp(fmax(1.0, (double)u.inverse), -19);
        const bool inside = v > (double)u.lo - 1.0 && v < (double)u.hi + 1.0, zero = call.x[i] == 0.0f && has(c, "relu");
        if (!zero && inside &&
            (fabs(fabs(v - rint(v)) - 0.5) < margin || fabs(v - (double)u.lo) < margin || fabs(v - (double)u.hi) < margin)) {
            return false;
        }
    }
    return true;
}

static void compare(const chain *c, int step) {
    const int64_t count = crumb_shape_count(c->query.node[c->query.nodes - 1].y);
    same(c, "y", step, c->y, c->value[c->query.nodes - 1], count, c->bound);
    for (int e = 0; e < c->query.inputs; e++) {
        same(c, "x", e, c->ext[e].data[1], c->ext[e].data[0], c->ext[e].count, c->bound);
        const bool summed = c->ext[e].role == CRUMB_PARAM;
        same(c, "dx", e, c->ext[e].dx[1], c->ext[e].dx[0], c->ext[e].count,
             summed ? c->bound + ldexp((double)count, -24) : c->bound * 4.0);
    }
}

/* Gradients for a step, and data, unless it is to see the data of the step before once more. */
static void draw(chain *c, int step, bool again) {
    for (int e = 0; e < c->query.inputs; e++) {
        if (c->ext[e].role == CRUMB_DATA && !again) {
            set_data(c, e, 1.5f, 0.2f);
        }
        c->call.add[e] = step == 1;
        for (int64_t i = 0; i < c->ext[e].count; i++) {
            c->ext[e].dx[0][i] = c->ext[e].dx[1][i] = random_unit();
        }
    }
    for (int64_t i = 0; i < crumb_shape_count(c->query.node[c->query.nodes - 1].y); i++) {
        c->dy[i] = random_unit();
    }
}

/* One training step; false if the data was too near to a tie (nothing has been compared then). */
static bool step(chain *c, int number, bool again) {
    float kept[CRUMB_EXTERNAL_MAX][64];
    draw(c, number, again);
    for (int e = 0; e < c->query.inputs; e++) {
        memcpy(kept[e], c->ext[e].data[0],
               sizeof(float) * (size_t)(c->ext[e].role == CRUMB_STATE || c->ext[e].count == 1 ? c->ext[e].count : 0));
    }
    reference(c, true, false);
    if (!clear_of_ties(c)) {
        for (int e = 0; e < c->query.inputs; e++) {
            memcpy(c->ext[e].data[0], kept[e],
                   sizeof(float) * (size_t)(c->ext[e].role == CRUMB_STATE || c->ext[e].count == 1 ? c->ext[e].count : 0));
        }
        return false;
    }
    c->call.training = true;
    c->row->forward(&c->call);
    reference(c, true, true);
    c->row->backward(&c->call);
    compare(c, number);
    return true;
}

static void describe(crumb_ctx *ctx, chain *c, const crumb_backend_row *row, const char *quantizer, int bits, int threads,
                     int64_t channels, bool swap) {
    *c = (chain){.row = row, .norm = {1e-5, 0.1}, .conv = {1, 1, 1, 1}};
    c->query = (crumb_run_query){.ctx = ctx, .backward = true, .threads = threads};
    crumb_quant_choice choice;
    assert_ok(ctx, crumb_quant_choose(ctx, quantizer, false, bits, &choice));
    c->site = (crumb_quant){.quantizer = choice.quantizer, .bits = bits};
    memcpy(c->site.params, choice.params, sizeof c->site.params);
    add_external(c, strcmp(row->pattern[0], "linear") ? CRUMB_SHAPE(2, 5, 4, channels) : CRUMB_SHAPE(5, channels), CRUMB_DATA);
    for (int i = 0; row->pattern[i] != NULL; i++) {
        add_node(ctx, c, i, swap);
    }
}

static void check(const crumb_backend_row *row, const char *quantizer, int bits, int threads, int64_t channels, bool swap,
                  unsigned skipped) {
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, threads);
    static chain c;
    describe(ctx, &c, row, quantizer, bits, threads, channels, swap);
    for (int e = 0; e < c.query.inputs; e++) {
        c.query.wants_dx[e] &= !(skipped >> e & 1);
    }
    assert_true(row->supports == NULL || row->supports(&c.query));
    c.plan = (crumb_run_plan){.uses = ~0u};
    assert_ok(ctx, row->prepare(&c.query, &c.plan));
    bind(&c);
    const bool sums = has(&c, "batch_norm") || has(&c, "conv2d") || has(&c, "linear");
    c.bound = sums ? 2.0 * ldexp((double)(9 * channels + 40 + 16), -24) : 0.0;
    for (int number = 0, tries = 0; number < 3; tries++) {
        if (tries == 50) {
            fail_msg("%s with %s: no data clear of ties", row->name, quantizer);
        }
        number += step(&c, number, number == 1 && tries == 1); /* a running range that rests for a step still moves on */
    }
    draw(&c, 0, false);
    reference(&c, false, false);
    if (clear_of_ties(&c)) {
        c.call.training = false;
        row->forward(&c.call);
        compare(&c, 99);
    }
    destroy(ctx, &c);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* The extremes of a first batch are the edges of minmax's range: behind batch norm, rounding decides on their gradient. */
static void test_rows(void **state) {
    (void)state;
    static const char *const quantizers[] = {"dorefa", "lsq", "minmax"};
    for (int i = 0; crumb_backend_rows[i] != NULL; i++) {
        for (int k = 0; k < 12; k++) {
            const bool norm = strcmp(crumb_backend_rows[i]->pattern[0], "batch_norm") == 0;
            check(crumb_backend_rows[i], quantizers[norm ? k % 2 : k % 3], 2 + k % 2, 1 + k % 2, 3 + 6 * k / 2 % 30, k & 1, 0);
        }
    }
}

static void test_unwanted_gradients(void **state) {
    (void)state;
    for (int i = 0; crumb_backend_rows[i] != NULL; i++) {
        for (unsigned skipped = 1; skipped < 32; skipped += 2) {
            check(crumb_backend_rows[i], "lsq", 3, 2, 16, false, skipped);
            check(crumb_backend_rows[i], "lsq", 3, 2, 16, false, skipped << 1);
        }
    }
}

static crumb_status prepare_row(crumb_ctx *ctx, void *user) {
    const chain *c = user;
    crumb_run_query query = c->query;
    crumb_run_plan plan = {0};
    query.ctx = ctx;
    CRUMB_TRY(c->row->prepare(&query, &plan));
    c->row->release(ctx, plan.state);
    return CRUMB_OK;
}

static void test_allocations(void **state) {
    (void)state;
    for (int i = 0; crumb_backend_rows[i] != NULL; i++) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        static chain c;
        describe(ctx, &c, crumb_backend_rows[i], "lsq", 2, 1, 16, false);
        test_every_allocation(prepare_row, &c);
        destroy(ctx, &c);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_unwanted_gradients),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
