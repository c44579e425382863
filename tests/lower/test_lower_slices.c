/* Slices of an axis at a time, as other programs write them, become every n-th pixel where that comes out. */
#include "lower/lowered.h"
#include "ops/params.h"

/* image -> slices with these steps (height, width) -> linear; with `twice` the first slice has another reader. */
static crumb_status build(crumb_ctx *ctx, const double (*step)[2], int slices, bool twice, crumb_graph **out) {
    crumb_graph *graph;
    int x, first = -1, y;
    CRUMB_TRY(crumb_graph_create(ctx, &graph));
    crumb_status status = crumb_graph_input(graph, "image", CRUMB_SHAPE(1, 9, 8, 2), &x);
    graph->image = x;
    for (int i = 0; i < slices && status == CRUMB_OK; i++) {
        crumb_slice_params p = {.step = {.count = 3, .at = {1, step[i][0], step[i][1]}}};
        status = crumb_graph_node(graph, "slice", &crumb_op_slice, &p, 1, &x, &x);
        first = i == 0 ? x : first;
    }
    if (status == CRUMB_OK && twice) {
        status = crumb_graph_add(graph, "add", first, first, &y);
        status = status == CRUMB_OK ? crumb_graph_global_average_pool(graph, "mean", y, &y) : status;
    }
    status = status == CRUMB_OK ? crumb_graph_global_average_pool(graph, "pool", x, &x) : status;
    status = status == CRUMB_OK && twice ? crumb_graph_add(graph, "sum", x, y, &x) : status;
    status = status == CRUMB_OK ? crumb_graph_linear(graph, "fc", x, 3, true, &x) : status;
    if (status != CRUMB_OK) {
        crumb_graph_destroy(graph);
        return status;
    }
    graph->logits = x;
    crumb_graph_initialise(graph, 3);
    *out = graph;
    return CRUMB_OK;
}

/* The strides of the packed network's subsample nodes as a number, "22" for two of 2, and the number of gathers in front, "100"
 * for one; the logits are the trained graph's. */
static int strides_of(const double (*step)[2], int slices, bool twice) {
    crumb_ctx *ctx = NULL;
    crumb_graph *graph = NULL;
    crumb_packed *packed;
    crumb_exact *exact;
    crumb_oracle *oracle;
    float image[9 * 8 * 2];
    int strides = 0, gathers = 0;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    assert_ok(ctx, build(ctx, step, slices, twice, &graph));
    assert_ok(ctx, lowered(graph, &packed));
    assert_ok(ctx, crumb_exact_create(graph, &exact));
    assert_ok(ctx, crumb_oracle_create(packed, &oracle));
    for (int i = 0; i < 9 * 8 * 2; i++) {
        image[i] = (float)((i * 37) % 101) / 50.0f - 1.0f;
    }
    crumb_exact_run(exact, image);
    crumb_oracle_run(oracle, image);
    assert_memory_equal(crumb_exact_real(exact, graph->logits), crumb_oracle_real(oracle, packed->logits), 3 * sizeof(float));
    for (int32_t i = 0; i < packed->nodes; i++) {
        strides = packed->node[i].op == CRUMB_PACKED_SUBSAMPLE ? 10 * strides + packed->node[i].stride : strides;
        gathers += packed->node[i].op == CRUMB_PACKED_GATHER;
    }
    crumb_oracle_destroy(oracle);
    crumb_exact_destroy(exact);
    crumb_packed_close(packed);
    crumb_graph_destroy(graph);
    crumb_ctx_destroy(ctx);
    return 100 * gathers + strides;
}

static void test_chains(void **state) {
    (void)state;
    assert_int_equal(strides_of((const double[][2]){{2, 2}}, 1, false), 2);
    assert_int_equal(strides_of((const double[][2]){{2, 1}, {1, 2}}, 2, false), 2);
    assert_int_equal(strides_of((const double[][2]){{1, 3}, {3, 1}}, 2, false), 3);
    assert_int_equal(strides_of((const double[][2]){{2, 1}, {1, 4}, {2, 1}}, 3, false), 4);
    assert_int_equal(strides_of((const double[][2]){{2, 1}, {1, 2}, {2, 1}, {1, 2}}, 4, false), 22);
    assert_int_equal(strides_of((const double[][2]){{2, 2}, {2, 1}, {1, 2}}, 3, false), 22);
}

/* What is not square, or is read in between, is a gather each. */
static void test_others(void **state) {
    (void)state;
    assert_int_equal(strides_of((const double[][2]){{2, 1}}, 1, false), 100);
    assert_int_equal(strides_of((const double[][2]){{2, 1}, {3, 1}}, 2, false), 200);
    assert_int_equal(strides_of((const double[][2]){{2, 1}, {1, 2}, {3, 1}}, 3, false), 102);
    assert_int_equal(strides_of((const double[][2]){{2, 1}, {1, 2}}, 2, true), 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chains), cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
