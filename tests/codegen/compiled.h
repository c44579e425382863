/* What tests of the C export share: networks become C files, these one shared library, and its functions are run beside a
 * session. The compiler is the one that built the test; what it must accept without a word is strict freestanding C99. */
#ifndef CRUMB_TEST_COMPILED_H
#define CRUMB_TEST_COMPILED_H

#include "harness.h"

#include "base/rng.h"
#include "crumb/train.h"
#include "pack/packed.h"

#include <dlfcn.h>

#define COMPILED_STRICT "-std=c99 -ffreestanding -pedantic -Wall -Wextra -Wshadow -Werror"
#ifdef __SANITIZE_ADDRESS__
#define COMPILED_CHECKED " -fsanitize=address,undefined -fno-sanitize-recover=all"
enum { COMPILED_BUILDS = 2 }; /* of random networks; the compiler takes its time */
#else
#define COMPILED_CHECKED ""
enum { COMPILED_BUILDS = 6 };
#endif

enum { COMPILED_MAX = 64 };

typedef struct compiled {
    char folder[64];
    int networks;
    crumb_packed *packed[COMPILED_MAX];
    bool floats[COMPILED_MAX];
    void *library;
} compiled;

static inline void compiled_begin(compiled *c) {
    *c = (compiled){0};
    strcpy(c->folder, test_folder());
}

/* Takes the network. */
static inline void compiled_add(compiled *c, crumb_packed *packed, bool floats) {
    char path[128];
    assert_true(c->networks < COMPILED_MAX);
    snprintf(path, sizeof(path), "%s/net%d.c", c->folder, c->networks);
    crumb_export_c_result result;
    assert_ok(packed->ctx, crumb_packed_export_c(packed, path, &(crumb_export_c_options){.floats = floats}, &result));
    assert_true(result.constant_bytes >= 0 && result.memory_bytes >= 0);
    c->packed[c->networks] = packed;
    c->floats[c->networks++] = floats;
}

/* flags: of optimisation and the processor. */
static inline void compiled_build(compiled *c, const char *flags) {
    char command[1024], path[128];
    snprintf(command, sizeof(command),
             "cd %s && " CRUMB_TEST_CC " " COMPILED_STRICT COMPILED_CHECKED " %s -fPIC -shared net*.c -o nets.so", c->folder,
             flags);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof(path), "%s/nets.so", c->folder);
    c->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (c->library == NULL) {
        fail_msg("%s", dlerror());
    }
}

/* Pixels, or numbers with some in between that need care. */
static inline void compiled_image(uint8_t *pixels, float *reals, int64_t count, uint64_t seed) {
    static const float odd[] = {-0.0f, 0.0f, INFINITY, -INFINITY, NAN, 1e-42f, 0.125f, 0.375f, -0.125f, 3e38f};
    crumb_rng rng = crumb_rng_at(seed, 5, 0);
    for (int64_t i = 0; i < count; i++) {
        pixels[i] = seed % 4 == 3 ? (uint8_t)(255 * (seed / 4 % 2)) : (uint8_t)crumb_rng_below(&rng, 256);
        reals[i] = seed % 3 == 1 && i % 37 < 10 ? odd[i % 37] : seed % 5 == 4 ? 1e4f : 2.0f * crumb_rng_normal(&rng);
    }
}

/* The bits of one NaN are those of another. */
static inline void compiled_compare(const float *got, const float *wanted, int32_t count, int network, uint64_t seed) {
    for (int32_t i = 0; i < count; i++) {
        uint32_t a, b;
        memcpy(&a, &got[i], sizeof(a));
        memcpy(&b, &wanted[i], sizeof(b));
        if (a != b && !(isnan(got[i]) && isnan(wanted[i]))) {
            fail_msg("network %d image %d: logit %d is %g (%08x), not %g (%08x)", network, (int)seed, (int)i, (double)got[i], a,
                     (double)wanted[i], b);
        }
    }
}

static inline void compiled_check_network(const compiled *c, int k, int images) {
    crumb_packed *packed = c->packed[k];
    int64_t count = crumb_packed_elements(&packed->value[0]);
    uint8_t *pixels = malloc((size_t)count);
    float *reals = malloc((size_t)count * sizeof(*reals));
    float *got = malloc((size_t)packed->classes * sizeof(*got)), *wanted = malloc((size_t)packed->classes * sizeof(*wanted));
    char name[32];
    snprintf(name, sizeof(name), "net%d_run", k);
    void *run = dlsym(c->library, name);
    assert_non_null(run);
    crumb_plan *plan;
    crumb_session *session;
    assert_ok(packed->ctx, crumb_plan_create(packed, &plan));
    assert_ok(packed->ctx, crumb_session_create(plan, &(crumb_session_options){.threads = 1, .batch = 1}, &session));
    for (int n = 0; n < images; n++) {
        uint64_t seed = (uint64_t)(k + 100 * n);
        compiled_image(pixels, reals, count, seed);
        memset(got, 77, (size_t)packed->classes * sizeof(*got));
        if (c->floats[k]) {
            ((void (*)(const float *, float *))run)(reals, got);
            assert_int_equal(crumb_session_run(session, reals, 1, wanted), CRUMB_OK);
        } else {
            ((void (*)(const uint8_t *, float *))run)(pixels, got);
            assert_int_equal(crumb_session_run_pixels(session, pixels, 1, wanted), CRUMB_OK);
        }
        compiled_compare(got, wanted, packed->classes, k, seed);
    }
    crumb_session_destroy(session);
    crumb_plan_destroy(plan);
    free(wanted);
    free(got);
    free(reals);
    free(pixels);
}

/* Every network on some images; closes them and removes the folder. */
static inline void compiled_check(compiled *c, int images) {
    char command[128];
    for (int k = 0; k < c->networks; k++) {
        compiled_check_network(c, k, images);
        crumb_packed_close(c->packed[k]);
    }
    assert_int_equal(dlclose(c->library), 0);
    snprintf(command, sizeof(command), "rm -rf %s", c->folder);
    assert_int_equal(system(command), 0);
}

/* Flags of the n-th build: levels of optimisation, with and without an instruction for fmaf, a compiler that would contract. */
static inline const char *compiled_flags(int n) {
    static const char *const flags[] = {"-O0", "-O2",       "-O3 -ffp-contract=fast",
                                        "-Os", "-O1 -mfma", "-O3 -mavx2 -mfma -ffp-contract=fast"};
    int count = 4;
#ifdef __x86_64__
    count = __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2") ? 6 : 4;
#endif
    return flags[n % count];
}

#endif
