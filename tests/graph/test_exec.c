/* Graphs, the quantization rewrite, plans: a small residual network in every mode must give the same numbers. */
#include "harness.h"

#include "graph/exec.h"
#include "ops/params.h"

enum { BATCH = 6, CLASSES = 5 };

typedef struct net {
    crumb_graph *graph;
    int labels, loss;
} net;

/* conv bn relu | conv bn relu conv bn add relu | pool linear loss, with every reader pattern the planner knows. */
static crumb_status build_float(crumb_ctx *ctx, crumb_graph **out) {
    crumb_graph *g;
    CRUMB_TRY(crumb_graph_create(ctx, &g));
    *out = g;
    int x, y, z;
    crumb_conv conv = {.out = 16, .kernel = 3, .padding = 1};
    CRUMB_TRY(crumb_graph_input(g, "image", CRUMB_SHAPE(1, 8, 8, 3), &x));
    g->image = x;
    CRUMB_TRY(crumb_graph_conv2d(g, "conv1", x, conv, &x));
    CRUMB_TRY(crumb_graph_batch_norm(g, "bn1", x, true, &x));
    CRUMB_TRY(crumb_graph_relu(g, "relu1", x, &x));
    CRUMB_TRY(crumb_graph_conv2d(g, "block.conv1", x, conv, &y));
    CRUMB_TRY(crumb_graph_batch_norm(g, "block.bn1", y, true, &y));
    CRUMB_TRY(crumb_graph_relu(g, "block.relu1", y, &y));
    CRUMB_TRY(crumb_graph_conv2d(g, "block.conv2", y, conv, &y));
    CRUMB_TRY(crumb_graph_batch_norm(g, "block.bn2", y, true, &y));
    CRUMB_TRY(crumb_graph_add(g, "block.add", y, x, &y));
    CRUMB_TRY(crumb_graph_relu(g, "block.relu2", y, &y));
    conv.stride = 2;
    CRUMB_TRY(crumb_graph_conv2d(g, "down.a", y, conv, &z));
    conv.kernel = 1;
    conv.padding = 0;
    CRUMB_TRY(crumb_graph_conv2d(g, "down.b", y, conv, &y));
    CRUMB_TRY(crumb_graph_add(g, "down.add", z, y, &y));
    CRUMB_TRY(crumb_graph_global_average_pool(g, "pool", y, &y));
    CRUMB_TRY(crumb_graph_linear(g, "fc", y, CLASSES, true, &y));
    g->logits = y;
    crumb_graph_initialise(g, 7);
    return CRUMB_OK;
}

static crumb_status add_loss(net *n) {
    CRUMB_TRY(crumb_graph_input(n->graph, "labels", CRUMB_SHAPE(1), &n->labels));
    return crumb_graph_node(n->graph, "loss", &crumb_op_softmax_cross_entropy, NULL, 2,
                            (int[]){n->graph->logits, n->labels}, &n->loss);
}

static crumb_status build(crumb_ctx *ctx, const crumb_quant_policy *policy, net *n) {
    crumb_graph *plain = NULL;
    n->graph = NULL;
    crumb_status status = build_float(ctx, &plain);
    if (status == CRUMB_OK && policy != NULL) {
        status = crumb_graph_quantize(plain, policy, &n->graph);
        crumb_graph_destroy(plain);
    } else {
        n->graph = plain;
    }
    return status == CRUMB_OK ? add_loss(n) : status;
}

static void fill_inputs(crumb_exec *exec, const net *n) {
    crumb_rng rng = crumb_rng_at(3, 1, 4);
    float *image = crumb_exec_value(exec, n->graph->image);
    for (int64_t i = 0; i < crumb_shape_count(crumb_exec_shape(exec, n->graph->image)); i++) {
        image[i] = crumb_rng_normal(&rng);
    }
    for (int i = 0; i < BATCH; i++) {
        crumb_exec_value(exec, n->labels)[i] = (float)(i % CLASSES);
    }
}

static crumb_exec *new_exec(crumb_ctx *ctx, net *n, bool reference, bool keep, bool backward) {
    crumb_exec *exec = NULL;
    crumb_exec_options options = {.batch = BATCH, .backward = backward, .reference = reference, .keep = keep};
    assert_ok(ctx, crumb_exec_create(n->graph, &options, &exec));
    fill_inputs(exec, n);
    return exec;
}

static crumb_quant_policy policy_of(crumb_ctx *ctx, const char *weights, int weight_bits, const char *activations, int bits) {
    crumb_quant_policy policy = {.first = CRUMB_EDGE_8BIT, .last = CRUMB_EDGE_8BIT};
    assert_ok(ctx, crumb_quant_choose(ctx, weights, true, weight_bits, &policy.weights));
    if (activations != NULL) {
        assert_ok(ctx, crumb_quant_choose(ctx, activations, false, bits, &policy.activations));
    }
    return policy;
}

static double distance(const float *a, const float *b, int64_t count) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / (size + 1e-30));
}

/* Two plans of the same network: loss, logits, every parameter's gradient, running statistics. bound 0: the same bits. */
static void compare(crumb_ctx *ctx, const crumb_quant_policy *policy, bool reference_a, bool keep_a, bool reference_b, bool keep_b,
                    double bound) {
    net a, b;
    assert_ok(ctx, build(ctx, policy, &a));
    assert_ok(ctx, build(ctx, policy, &b));
    crumb_exec *first_a = new_exec(ctx, &a, true, false, false), *first_b = new_exec(ctx, &b, true, false, false);
    crumb_exec_forward(first_a, true, 1, 0); /* quantizers see their first batch unfused */
    crumb_exec_forward(first_b, true, 1, 0);
    crumb_exec *p = new_exec(ctx, &a, reference_a, keep_a, true), *q = new_exec(ctx, &b, reference_b, keep_b, true);
    for (uint64_t step = 1; step < 3; step++) {
        crumb_exec_forward(p, true, 1, step);
        crumb_exec_forward(q, true, 1, step);
        int64_t logits = crumb_shape_count(crumb_exec_shape(p, a.graph->logits));
        assert_true(distance(crumb_exec_value(p, a.graph->logits), crumb_exec_value(q, b.graph->logits), logits) <= bound);
        crumb_exec_backward(p, a.loss);
        crumb_exec_backward(q, b.loss);
    }
    for (int v = 0; v < a.graph->values; v++) {
        int64_t count = crumb_shape_count(a.graph->value[v].shape);
        const float *ga = crumb_exec_gradient(p, v), *gb = crumb_exec_gradient(q, v);
        assert_int_equal(ga == NULL, gb == NULL);
        if (a.graph->value[v].kind == CRUMB_VALUE_PARAM) {
            assert_non_null(ga);
        }
        if (ga != NULL && distance(ga, gb, count) > bound) {
            fail_msg("gradient of %s differs by %g", a.graph->value[v].name, distance(ga, gb, count));
        }
        if (a.graph->value[v].kind == CRUMB_VALUE_STATE) {
            assert_true(distance(a.graph->value[v].data, b.graph->value[v].data, count) <= bound);
        }
    }
    crumb_exec_destroy(first_a);
    crumb_exec_destroy(first_b);
    crumb_exec_destroy(p);
    crumb_exec_destroy(q);
    crumb_graph_destroy(a.graph);
    crumb_graph_destroy(b.graph);
}

static const struct {
    const char *weights, *activations;
    int weight_bits, bits;
} schemes[] = {
    {"lsq", "lsq", 2, 2}, {"dorefa", "dorefa", 2, 2}, {"dorefa", "pact", 3, 4}, {"minmax", "minmax", 8, 8}, {"lsq", NULL, 4, 0},
    {"xnor", "sign", 1, 1},
};

/* Reusing memory must not change a bit: the planner's lifetimes are right. */
static void test_memory_plan(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 2);
    compare(ctx, NULL, true, true, true, false, 0);
    compare(ctx, NULL, false, true, false, true, 0);
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        crumb_quant_policy policy =
            policy_of(ctx, schemes[i].weights, schemes[i].weight_bits, schemes[i].activations, schemes[i].bits);
        compare(ctx, &policy, true, true, true, false, 0);
        policy.shortcut = true;
        compare(ctx, &policy, true, true, true, false, 0);
    }
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* The backend against the reference. In a float network only summation order differs: 1e-4 is 1000 float roundings, for sums of at most
 * 144 * 384 terms. With activations of few levels one rounding tie may flip a code, so only weights are quantized here; the
 * fused quantizer's own bit-exactness is tested with the backend. */
static void test_backend(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 2);
    compare(ctx, NULL, false, false, true, true, 1e-4);
    crumb_quant_policy policy = policy_of(ctx, "lsq", 4, NULL, 0);
    compare(ctx, &policy, false, false, true, true, 1e-4);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static int count_sites(const crumb_graph *graph, bool weight) {
    int count = 0;
    for (int i = 0; i < graph->nodes; i++) {
        count += crumb_node_site(graph, i) != NULL && crumb_node_site(graph, i)->weight == weight;
    }
    return count;
}

static const crumb_node *find_node(const crumb_graph *graph, const char *name) {
    for (int i = 0; i < graph->nodes; i++) {
        if (strcmp(graph->node[i].name, name) == 0) {
            return &graph->node[i];
        }
    }
    return NULL;
}

static void test_rewrite(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_quant_policy policy = policy_of(ctx, "lsq", 2, "lsq", 3);
    net n;
    assert_ok(ctx, build(ctx, &policy, &n));
    assert_int_equal(count_sites(n.graph, true), 6);
    assert_int_equal(count_sites(n.graph, false), 5); /* down.a and down.b share theirs */
    assert_string_equal(((crumb_quant *)find_node(n.graph, "conv1.weight_quant")->params)->quantizer->name, "minmax");
    assert_int_equal(((crumb_quant *)find_node(n.graph, "conv1.input_quant")->params)->bits, 8);
    assert_int_equal(((crumb_quant *)find_node(n.graph, "block.conv2.input_quant")->params)->bits, 3);
    const crumb_node *add = find_node(n.graph, "block.add");
    assert_ptr_equal(n.graph->node[n.graph->value[add->input[1]].node].op, &crumb_op_relu);
    /* batch_norm, add, relu, quantize stay neighbours */
    int bn = (int)(find_node(n.graph, "block.bn2") - n.graph->node);
    assert_ptr_equal(n.graph->node[bn + 1].op, &crumb_op_add);
    assert_ptr_equal(n.graph->node[bn + 2].op, &crumb_op_relu);
    assert_ptr_equal(n.graph->node[bn + 3].op, &crumb_op_quantize);
    crumb_graph_destroy(n.graph);

    policy.shortcut = true;
    policy.rules = 1;
    policy.rule[0] = (crumb_quant_rule){.match = "down.*", .set_weights = true, .set_activations = true};
    policy.first = CRUMB_EDGE_FLOAT;
    assert_ok(ctx, build(ctx, &policy, &n));
    assert_int_equal(count_sites(n.graph, true), 3);
    assert_int_equal(count_sites(n.graph, false), 3);
    add = find_node(n.graph, "block.add");
    assert_ptr_equal(n.graph->node[n.graph->value[add->input[1]].node].op, &crumb_op_quantize);
    crumb_graph_destroy(n.graph);

    policy = policy_of(ctx, "xnor", 1, "sign", 1);
    policy.first = policy.last = CRUMB_EDGE_FLOAT;
    assert_ok(ctx, build(ctx, &policy, &n));
    const crumb_node *site = find_node(n.graph, "block.conv2.input_quant");
    assert_ptr_equal(n.graph->node[n.graph->value[site->input[0]].node].op, &crumb_op_batch_norm);
    assert_null(find_node(n.graph, "block.relu1"));     /* nobody reads it any more */
    assert_non_null(find_node(n.graph, "relu1"));       /* the shortcut does */
    crumb_graph_destroy(n.graph);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* Values travel by name; quantizer state only to the same quantizer at the same bits. */
static void test_copy(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_quant_policy two = policy_of(ctx, "lsq", 2, NULL, 0), four = policy_of(ctx, "lsq", 4, NULL, 0);
    net a, b, c;
    assert_ok(ctx, build(ctx, &two, &a));
    assert_ok(ctx, build(ctx, &two, &b));
    assert_ok(ctx, build(ctx, &four, &c));
    const char *weight = "block.conv1.weight", *step = "block.conv1.weight_quant.step";
    a.graph->value[crumb_graph_find(a.graph, weight)].data[0] = 42;
    a.graph->value[crumb_graph_find(a.graph, step)].data[0] = 43;
    int copied;
    crumb_graph_copy(b.graph, a.graph, &copied);
    assert_true(b.graph->value[crumb_graph_find(b.graph, weight)].data[0] == 42);
    assert_true(b.graph->value[crumb_graph_find(b.graph, step)].data[0] == 43);
    int fewer;
    crumb_graph_copy(c.graph, a.graph, &fewer);
    assert_true(c.graph->value[crumb_graph_find(c.graph, weight)].data[0] == 42);
    assert_true(c.graph->value[crumb_graph_find(c.graph, step)].data[0] != 43);
    assert_true(fewer < copied);
    crumb_graph_destroy(a.graph);
    crumb_graph_destroy(b.graph);
    crumb_graph_destroy(c.graph);
    crumb_ctx_destroy(ctx);
}

static void test_errors(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_graph *g;
    int x, w, y;
    assert_ok(ctx, crumb_graph_create(ctx, &g));
    assert_ok(ctx, crumb_graph_input(g, "image", CRUMB_SHAPE(1, 8, 8, 3), &x));
    assert_ok(ctx, crumb_graph_param(g, "w", CRUMB_SHAPE(4, 3, 3, 5), true, &w));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "already", crumb_graph_param(g, "w", CRUMB_SHAPE(1), true, &y));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "layer7", crumb_graph_node(g, "layer7", &crumb_op_conv2d, NULL, 2, (int[]){x, w}, &y));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "takes", crumb_graph_node(g, "c", &crumb_op_conv2d, NULL, 1, (int[]){x}, &y));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "value 99", crumb_graph_node(g, "c", &crumb_op_relu, NULL, 1, (int[]){99}, &y));
    crumb_exec *exec;
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "batch of 0", crumb_exec_create(g, &(crumb_exec_options){.batch = 0}, &exec));
    crumb_graph_destroy(g);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static crumb_status whole_life(crumb_ctx *ctx, void *user) {
    (void)user;
    crumb_quant_policy policy = {.first = CRUMB_EDGE_8BIT};
    CRUMB_TRY(crumb_quant_choose(ctx, "lsq", true, 2, &policy.weights));
    CRUMB_TRY(crumb_quant_choose(ctx, "lsq", false, 2, &policy.activations));
    net n;
    crumb_exec *exec = NULL;
    char *text = NULL;
    crumb_status status = build(ctx, &policy, &n);
    if (status == CRUMB_OK) {
        status = crumb_exec_create(n.graph, &(crumb_exec_options){.batch = 2, .backward = true}, &exec);
    }
    if (status == CRUMB_OK) {
        status = crumb_exec_describe(exec, &text);
    }
    crumb_free(ctx, text);
    crumb_exec_destroy(exec);
    crumb_graph_destroy(n.graph);
    return status;
}

static void test_allocations(void **state) {
    (void)state;
    test_every_allocation(whole_life, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_plan), cmocka_unit_test(test_backend), cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_copy),        cmocka_unit_test(test_errors),  cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
