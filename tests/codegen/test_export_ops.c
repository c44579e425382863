/* Packed networks of every op as C: compiled, each gives the logits of a session, bit for bit. */
#include "codegen/compiled.h"
#include "lower/op_graphs.h"

static void test_every_op(void **state) {
    (void)state;
    enum { A_BUILD = 50 };
    crumb_ctx *ctx = NULL;
    compiled c;
    assert_int_equal(crumb_ctx_create(&ctx, &(crumb_settings){.threads = 1}), CRUMB_OK);
    compiled_begin(&c);
    for (int i = 0; i < 2 * CASES; i++) {
        const crumb_op *op = crumb_op_find(cases[i / 2].op);
        if (!is_loss(op)) {
            crumb_packed *packed;
            crumb_graph *graph = build(ctx, op, &cases[i / 2], i % 2 == 1);
            pack(graph, &cases[i / 2], &packed);
            crumb_graph_destroy(graph);
            compiled_add(&c, packed, i / 2 % 2 == 0);
        }
        if (c.networks == A_BUILD || i == 2 * CASES - 1) {
            compiled_build(&c, "-O1");
            compiled_check(&c, 5);
            compiled_begin(&c);
        }
    }
    rmdir(c.folder);
    crumb_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_op)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
