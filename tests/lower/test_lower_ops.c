/* Every op that occurs at inference packs and runs: a graph of one op, on reals and on codes, packed, then the naive executor
 * and a session against the exact evaluation, bit for bit, and that against the op itself. A row of ops.inc without a case
 * fails. */
#include "lower/op_graphs.h"

#include "graph/exec.h"
#include "lower/exact.h"
#include "pack/oracle.h"

enum { IMAGES = 3 };

static void check_near(const crumb_op *op, const float *got, const float *wanted, int64_t count) {
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)wanted[i]));
    }
    for (int64_t i = 0; i < count; i++) { /* folded factors are rounded once, not at each op; sums go in another order */
        if (!(fabs((double)got[i] - (double)wanted[i]) <= 2e-6 * largest + 1e-30)) {
            fail_msg("%s: element %d is %.9g, the op gives %.9g", op->name, (int)i, (double)got[i], (double)wanted[i]);
        }
    }
}

static void compare(crumb_graph *graph, crumb_packed *packed, const crumb_op *op, const test_case *c) {
    crumb_ctx *ctx = graph->ctx;
    crumb_exact *exact;
    crumb_oracle *oracle;
    crumb_exec *exec;
    crumb_plan *plan;
    crumb_session *session;
    int64_t elements = crumb_packed_elements(&packed->value[0]), classes = packed->classes;
    float *images = draw_images(c, elements, IMAGES), *logits = calloc((size_t)(IMAGES * classes), sizeof(*logits));
    assert_ok(ctx, crumb_exact_create(graph, &exact));
    assert_ok(ctx, crumb_oracle_create(packed, &oracle));
    assert_ok(ctx, crumb_exec_create(graph, &(crumb_exec_options){.batch = 1, .reference = true, .keep = true}, &exec));
    assert_ok(ctx, crumb_plan_create(packed, &plan));
    assert_ok(ctx, crumb_session_create(plan, &(crumb_session_options){.threads = 2, .batch = 2}, &session));
    assert_ok(ctx, crumb_session_run(session, images, IMAGES, logits));
    for (int n = 0; n < IMAGES; n++) {
        const float *image = images + n * elements;
        crumb_exact_run(exact, image);
        crumb_oracle_run(oracle, image);
        memcpy(crumb_exec_value(exec, graph->image), image, (size_t)elements * sizeof(*image));
        crumb_exec_forward(exec, false, 0, 0);
        const float *wanted = crumb_exact_real(exact, graph->logits);
        if (memcmp(wanted, crumb_oracle_real(oracle, packed->logits), (size_t)classes * sizeof(*wanted)) != 0 ||
            memcmp(wanted, logits + n * classes, (size_t)classes * sizeof(*wanted)) != 0) {
            fail_msg("%s: image %d has other bits", op->name, n);
        }
        check_near(op, wanted, crumb_exec_value(exec, graph->logits), classes);
    }
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    crumb_exec_destroy(exec);
    crumb_oracle_destroy(oracle);
    crumb_exact_destroy(exact);
    free(logits);
    free(images);
}

static void run_case(const crumb_op *op, const test_case *c, bool codes) {
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 2);
    crumb_graph *graph = build(ctx, op, c, codes);
    crumb_packed *packed;
    pack(graph, c, &packed);
    compare(graph, packed, op, c);
    crumb_packed_close(packed);
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void run_all(bool codes) {
    for (const crumb_op *const *op = crumb_ops; *op != NULL; op++) {
        int found = 0;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && !is_loss(*op); i++) {
            if (strcmp(cases[i].op, (*op)->name) == 0) {
                run_case(*op, &cases[i], codes);
                found++;
            }
        }
        if (found == 0 && !is_loss(*op)) {
            fail_msg("op %s has no case", (*op)->name);
        }
    }
}

static void test_reals(void **state) {
    (void)state;
    run_all(false);
}

static void test_codes(void **state) {
    (void)state;
    run_all(true);
}

/* Lowering of everything with each allocation failing once. */
static crumb_status lower_case(crumb_ctx *ctx, void *user) {
    static const float mean[4] = {0}, deviation[4] = {1, 1, 1, 1};
    const test_case *c = user;
    crumb_ctx *other = NULL;
    assert_int_equal(crumb_ctx_create(&other, NULL), CRUMB_OK);
    crumb_graph *graph = build(other, crumb_op_find(c->op), c, false);
    crumb_packed *packed;
    graph->ctx = ctx;
    crumb_lower_facts facts = {.model = c->op, .mean = mean, .deviation = deviation};
    crumb_status status = crumb_lower(graph, &facts, &packed);
    if (status == CRUMB_OK) {
        crumb_packed_close(packed);
    }
    graph->ctx = other;
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(other);
    return status;
}

static void test_allocations(void **state) {
    (void)state;
    static const char *const ops[] = {"concat", "conv_transpose2d", "expand", "hard_swish",
                                      "pad",    "reduce_mean",      "sub",    "transpose"};
    for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            if (strcmp(cases[i].op, ops[k]) == 0) {
                test_every_allocation(lower_case, (void *)&cases[i]);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reals), cmocka_unit_test(test_codes),
                                       cmocka_unit_test(test_allocations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
