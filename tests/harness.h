/* What the tests share: cmocka, a context whose k-th allocation fails, temporary folders, the real data's place. */
#ifndef CRUMB_HARNESS_H
#define CRUMB_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ctx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEST_SKIPPED = 77 }; /* exit code that ctest reports as skipped */

/* Counts allocations; the fail_at-th (from 1) and all later ones fail, 0 = none. live must be 0 after everything is destroyed. */
typedef struct test_memory {
    long count, fail_at, live;
} test_memory;

static inline void *test_alloc(void *user, size_t bytes) {
    test_memory *memory = user;
    long count = __atomic_add_fetch(&memory->count, 1, __ATOMIC_RELAXED);
    if (memory->fail_at != 0 && count >= memory->fail_at) {
        return NULL;
    }
    __atomic_add_fetch(&memory->live, 1, __ATOMIC_RELAXED);
    return malloc(bytes);
}

static inline void test_release(void *user, void *block) {
    test_memory *memory = user;
    if (block != NULL) {
        __atomic_sub_fetch(&memory->live, 1, __ATOMIC_RELAXED);
    }
    free(block);
}

/* A context on that memory; NULL if its own allocation is the one that fails. */
static inline crumb_ctx *test_ctx(test_memory *memory, int threads) {
    crumb_ctx *ctx = NULL;
    crumb_settings settings = {.alloc = test_alloc, .release = test_release, .allocator_user = memory, .threads = threads};
    crumb_ctx_create(&ctx, &settings);
    return ctx;
}

/* Runs body(ctx, user) with the k-th allocation failing for k = 1, 2, ... until it succeeds: each failure must be
 * CRUMB_ERROR_MEMORY, and nothing may stay allocated. */
static inline void test_every_allocation(crumb_status (*body)(crumb_ctx *ctx, void *user), void *user) {
    for (long k = 1;; k++) {
        test_memory memory = {.fail_at = k};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        if (ctx == NULL) {
            continue;
        }
        crumb_status status = body(ctx, user);
        if (status != CRUMB_OK && status != CRUMB_ERROR_MEMORY) {
            fail_msg("allocation %ld failing gave status %d: %s", k, (int)status, crumb_message(ctx));
        }
        bool failed = memory.count >= k;
        assert_int_equal(status == CRUMB_OK, !failed);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
        if (!failed) {
            return;
        }
    }
}

/* A new empty folder; the path is static and overwritten by the next call. */
static inline const char *test_folder(void) {
    static char path[64];
    strcpy(path, "/tmp/crumb-test-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

/* Folder of the real data sets, NULL when not there. */
static inline const char *test_data(void) {
    const char *path = getenv("CRUMB_DATA");
    return path != NULL && path[0] != '\0' ? path : NULL;
}

#define assert_ok(ctx, call)                                                       \
    do {                                                                           \
        crumb_status assert_status_ = (call);                                      \
        if (assert_status_ != CRUMB_OK) {                                          \
            fail_msg("%s: %s (%s)", #call, crumb_message(ctx), crumb_status_text(assert_status_)); \
        }                                                                          \
    } while (0)
#define assert_fails(ctx, status, words, call)                                     \
    do {                                                                           \
        assert_int_equal(call, status);                                            \
        if (strstr(crumb_message(ctx), words) == NULL) {                           \
            fail_msg("message \"%s\" lacks \"%s\"", crumb_message(ctx), words);    \
        }                                                                          \
    } while (0)

#endif
