/* The published data sets, where they are there: images per class, first labels. */
#include "samples.h"

static crumb_ctx *ctx;

static void open_real(const char *kind, const char *name, const char *split, crumb_dataset **set) {
    char spec[512];
    snprintf(spec, sizeof(spec), "%s:%s/%s:%s", kind, test_data(), name, split);
    assert_ok(ctx, crumb_dataset_open(ctx, spec, 1, set));
}

static void assert_balanced(const char *kind, const char *name, const char *split, int classes, int64_t each,
                            const int *first) {
    crumb_dataset *set;
    int64_t counts[100];
    open_real(kind, name, split, &set);
    assert_int_equal(set->info.classes, classes);
    assert_ok(ctx, crumb_dataset_check(set, counts));
    for (int k = 0; k < classes; k++) {
        assert_int_equal(counts[k], each);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(set->label(set, i), first[i]);
    }
    crumb_dataset_close(set);
}

static void cifar(void **state) {
    (void)state;
    assert_balanced("cifar10", "cifar-10-batches-bin", "train", 10, 5000, (int[]){6, 9, 9, 4, 1});
    assert_balanced("cifar10", "cifar-10-batches-bin", "test", 10, 1000, (int[]){3, 8, 8, 0, 6});
    assert_balanced("cifar100", "cifar-100-binary", "train", 100, 500, (int[]){19, 29, 0, 11, 1});
    assert_balanced("cifar100", "cifar-100-binary", "test", 100, 100, (int[]){49, 33, 72, 51, 71});
    crumb_dataset *set;
    open_real("cifar100", "cifar-100-binary", "test", &set);
    assert_string_equal(set->info.class_names[49], "mountain");
    crumb_dataset_close(set);
}

static void mnist(void **state) {
    (void)state;
    static const int64_t train[] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
    static const int64_t test[] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
    static const int first[2][5] = {{7, 2, 1, 0, 4}, {5, 0, 4, 1, 9}};
    for (int k = 0; k < 2; k++) {
        crumb_dataset *set;
        int64_t counts[10];
        open_real("idx", "mnist", k == 0 ? "test" : "train", &set);
        assert_int_equal(set->info.classes, 10);
        assert_ok(ctx, crumb_dataset_check(set, counts));
        assert_memory_equal(counts, k == 0 ? test : train, sizeof(test));
        for (int i = 0; i < 5; i++) {
            assert_int_equal(set->label(set, i), first[k][i]);
        }
        crumb_dataset_close(set);
    }
}

int main(void) {
    if (test_data() == NULL) {
        return TEST_SKIPPED;
    }
    crumb_ctx_create(&ctx, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(cifar), cmocka_unit_test(mnist)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    crumb_ctx_destroy(ctx);
    return failed;
}
