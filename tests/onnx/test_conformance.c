/* ONNX's backend tests and models of real exporters, where they are at hand: none may give a wrong result, and what is
 * supported today stays supported; packed, too. */
#include "onnx/conformance.h"

static void run(const char *name, int least, int least_packed) {
    char root[512], path[1024];
    snprintf(root, sizeof(root), "%s/onnx/%s", test_data(), name);
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    struct dirent **entries;
    int count = scandir(root, &entries, NULL, alphasort), passed = 0, packed = 0;
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/%s", root, entries[i]->d_name);
        free(entries[i]);
        char data[1100], op[64];
        snprintf(data, sizeof(data), "%s/test_data_set_0", path);
        if (access(data, R_OK) == 0) {
            crumb_text why = {.ctx = ctx};
            verdict how, v = conformance_case(ctx, path, 0, op, &how, &why);
            passed += v == PASSED;
            packed += how == PASSED;
            if (v == FAILED || how == FAILED) {
                fail_msg("%s (%s): %s", path, op, why.at);
            }
            crumb_free(ctx, why.at);
        }
    }
    assert_true(count >= 0);
    free(entries);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
    if (passed < least || packed < least_packed) {
        fail_msg("%s: %d cases pass, it were %d; packed %d, it were %d", root, passed, least, packed, least_packed);
    }
}

static void test_nodes(void **state) {
    (void)state;
    run("node", 106, 98);
}

static void test_pytorch(void **state) {
    (void)state;
    run("pytorch-converted", 28, 28);
    run("pytorch-operator", 9, 9);
}

static void test_models(void **state) {
    (void)state;
    run("models", 2, 2);
}

int main(void) {
    char path[512];
    snprintf(path, sizeof(path), "%s/onnx/node", test_data() != NULL ? test_data() : "");
    if (test_data() == NULL || access(path, R_OK) != 0) {
        return TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nodes), cmocka_unit_test(test_pytorch),
                                       cmocka_unit_test(test_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
