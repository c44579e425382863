/* The part of cmocka's interface that the tests of libcrumb_run use, for builds with CRUMB_RUN_ONLY: a cross compiler comes
 * without cmocka. The first failure ends the program. */
#ifndef CRUMB_RUN_ONLY_CMOCKA_H
#define CRUMB_RUN_ONLY_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
};

#define cmocka_unit_test(function)                                                                                             \
    { #function, function }

#define fail_msg(...)                                                                                                          \
    do {                                                                                                                       \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                                        \
        fprintf(stderr, __VA_ARGS__);                                                                                          \
        fputc('\n', stderr);                                                                                                   \
        exit(1);                                                                                                               \
    } while (0)
#define assert_true(condition)                                                                                                 \
    do {                                                                                                                       \
        if (!(condition)) {                                                                                                    \
            fail_msg("not so: %s", #condition);                                                                                \
        }                                                                                                                      \
    } while (0)
#define assert_false(condition) assert_true(!(condition))
#define assert_null(pointer) assert_true((pointer) == NULL)
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_string_equal(a, b) assert_true(strcmp(a, b) == 0)
#define assert_memory_equal(a, b, bytes) assert_true(memcmp(a, b, bytes) == 0)
#define assert_int_equal(a, b)                                                                                                 \
    do {                                                                                                                       \
        const long long got_ = (long long)(a), wanted_ = (long long)(b);                                                       \
        if (got_ != wanted_) {                                                                                                 \
            fail_msg("%s is %lld, %s is %lld", #a, got_, #b, wanted_);                                                         \
        }                                                                                                                      \
    } while (0)

#define cmocka_run_group_tests(tests, setup, teardown) run_tests(tests, sizeof(tests) / sizeof((tests)[0]))

static inline int run_tests(const struct CMUnitTest *tests, size_t count) {
    for (size_t i = 0; i < count; i++) {
        void *state = NULL;
        printf("%s\n", tests[i].name);
        fflush(stdout);
        tests[i].test(&state);
    }
    return 0;
}

#endif
