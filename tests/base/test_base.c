/* The context, parameter tables, files, random streams, shapes. */
#include "harness.h"

#include "base/file.h"
#include "base/param.h"
#include "base/rng.h"
#include "tensor/tensor.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

typedef struct sample_params {
    bool on;
    int64_t count;
    double rate;
    int shape;
    char text[CRUMB_TEXT_MAX];
    crumb_list drops;
} sample_params;

static const crumb_param table[] = {
    {"on", CRUMB_PARAM_BOOL, offsetof(sample_params, on), "true", 0, 1, NULL, "whether"},
    {"count", CRUMB_PARAM_INT, offsetof(sample_params, count), "3", 1, 8, NULL, "how many"},
    {"rate", CRUMB_PARAM_REAL, offsetof(sample_params, rate), "0.1", 0, 10, NULL, "per step"},
    {"shape", CRUMB_PARAM_CHOICE, offsetof(sample_params, shape), "saw", 0, 0, "saw|triangle|step", "of the wave"},
    {"text", CRUMB_PARAM_TEXT, offsetof(sample_params, text), "", 0, 0, NULL, "a name"},
    {"drops", CRUMB_PARAM_LIST, offsetof(sample_params, drops), "[82, 123]", 0, 1000, NULL, "epochs"},
    {0},
};

static crumb_ctx *new_ctx(void) {
    crumb_ctx *ctx;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    return ctx;
}

static void test_presets(void **state) {
    (void)state;
    sample_params p;
    crumb_params_preset(table, &p);
    assert_true(p.on);
    assert_int_equal(p.count, 3);
    assert_true(p.rate == 0.1);
    assert_int_equal(p.shape, 0);
    assert_string_equal(p.text, "");
    assert_int_equal(p.drops.count, 2);
    assert_true(p.drops.at[1] == 123);
}

static void test_bad_values(void **state) {
    (void)state;
    static const struct {
        const char *name, *text, *words;
    } cases[] = {
        {"on", "yes", "neither true nor false"},
        {"count", "9", "9 is outside 1 .. 8"},
        {"count", "2.5", "not a whole number"},
        {"count", "99999999999999999999", "not a whole number"},
        {"rate", "nan", "not a number"},
        {"rate", "1e999", "not a number"},
        {"rate", "-0.5", "outside 0 .. 10"},
        {"rate", "", "not a number"},
        {"shape", "sine", "none of saw|triangle|step"},
        {"drops", "3", "not a list"},
        {"drops", "[1, x]", "'x' in [1, x]"},
        {"drops", "[1, 2000]", "outside"},
    };
    crumb_ctx *ctx = new_ctx();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sample_params p, before;
        memset(&p, 0, sizeof(p));
        crumb_params_preset(table, &p);
        before = p;
        assert_fails(ctx, CRUMB_ERROR_ARGUMENT, cases[i].words,
                     crumb_param_set(ctx, crumb_param_find(table, cases[i].name), &p, cases[i].text));
        assert_non_null(strstr(crumb_message(ctx), cases[i].name));
        assert_memory_equal(&p, &before, sizeof(p));
    }
    crumb_ctx_destroy(ctx);
}

static void test_print_reads_back(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    crumb_rng rng = crumb_rng_at(1, 2, 3);
    for (int round = 0; round < 1000; round++) {
        sample_params p = {.on = round % 2 == 0, .count = 1 + round % 8, .shape = round % 3}, q;
        p.rate = 10.0 * crumb_rng_uniform(&rng) * crumb_rng_uniform(&rng);
        p.drops.count = round % (CRUMB_LIST_MAX + 1);
        for (int i = 0; i < p.drops.count; i++) {
            p.drops.at[i] = 1000.0 * crumb_rng_uniform(&rng);
        }
        snprintf(p.text, sizeof(p.text), "run %d", round);
        memset(&q, 0, sizeof(q));
        for (const crumb_param *row = table; row->name != NULL; row++) {
            char text[2048];
            assert_true(crumb_param_print(row, &p, text, sizeof(text)) < sizeof(text));
            assert_ok(ctx, crumb_param_set(ctx, row, &q, text));
        }
        assert_true(p.rate == q.rate && p.count == q.count && p.on == q.on && p.shape == q.shape);
        assert_memory_equal(&p.drops, &q.drops, sizeof(p.drops));
        assert_string_equal(p.text, q.text);
    }
    crumb_ctx_destroy(ctx);
}

static void test_nearest(void **state) {
    (void)state;
    static const char *const names[] = {"epochs", "batch", "seed", "optimizer"};
    assert_string_equal(crumb_nearest("epoch", names, 4), "epochs");
    assert_string_equal(crumb_nearest("optimiser", names, 4), "optimizer");
    assert_string_equal(crumb_nearest("bacth", names, 4), "batch");
    assert_null(crumb_nearest("zzzzzz", names, 4));
}

static void test_messages_are_one_line(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    crumb_fail(ctx, CRUMB_ERROR_FORMAT, "a\nb\t%s", "c\rd");
    assert_string_equal(crumb_message(ctx), "a?b?c?d");
    crumb_fail_in(ctx, CRUMB_ERROR_FORMAT, "%s", "file");
    assert_string_equal(crumb_message(ctx), "file: a?b?c?d");
    crumb_ctx_destroy(ctx);
    crumb_settings settings = {.cpu_limit = "pentium"};
    assert_int_equal(crumb_ctx_create(&ctx, &settings), CRUMB_ERROR_ARGUMENT);
    assert_null(ctx);
}

static void test_memory_blocks(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    assert_null(crumb_alloc(ctx, SIZE_MAX, 2));
    assert_null(crumb_alloc(ctx, SIZE_MAX / 2 + 2, 1));
    char *block = crumb_alloc(ctx, 100, 1);
    assert_int_equal((uintptr_t)block % 64, 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(block[i], 0);
    }
    memset(block, 7, 100);
    block = crumb_resize(ctx, block, 100, 200, 1);
    assert_int_equal(block[99], 7);
    assert_int_equal(block[100], 0);
    crumb_free(ctx, block);
    crumb_free(ctx, NULL);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* A full disk, simulated by the file-size limit: the old file stays, the temporary goes. */
static void test_writer(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    char path[128], nested[160];
    const char *folder = test_folder();
    snprintf(path, sizeof(path), "%s/file", folder);
    assert_ok(ctx, crumb_file_write(ctx, path, "old", 3));
    struct rlimit old, small = {4096, RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    char *large = crumb_alloc(ctx, 100000, 1);
    assert_fails(ctx, CRUMB_ERROR_IO, path, crumb_file_write(ctx, path, large, 100000));
    setrlimit(RLIMIT_FSIZE, &old);
    crumb_free(ctx, large);
    uint8_t *data;
    size_t size;
    assert_ok(ctx, crumb_file_read(ctx, path, 0, &data, &size));
    assert_int_equal(size, 3);
    assert_string_equal((char *)data, "old");
    crumb_free(ctx, data);
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "3 bytes", crumb_file_read(ctx, path, 2, &data, &size));
    assert_fails(ctx, CRUMB_ERROR_IO, "not a regular file", crumb_file_read(ctx, folder, 0, &data, &size));
    snprintf(nested, sizeof(nested), "%s/a/b/c", folder);
    assert_ok(ctx, crumb_folder_make(ctx, nested));
    assert_fails(ctx, CRUMB_ERROR_IO, "nothing", crumb_file_read(ctx, "/nothing/there", 0, &data, &size));
    unlink(path);
    rmdir(nested);
    assert_int_equal(rmdir(folder), -1); /* a and a/b are left: nothing else is, no temporary file */
    snprintf(nested, sizeof(nested), "%s/a/b", folder);
    rmdir(nested);
    snprintf(nested, sizeof(nested), "%s/a", folder);
    rmdir(nested);
    assert_int_equal(rmdir(folder), 0);
    crumb_ctx_destroy(ctx);
}

static crumb_status write_pair(crumb_ctx *ctx, const char *first, const char *second, const char *text) {
    crumb_writer a, b;
    CRUMB_TRY(crumb_writer_open(ctx, first, &a));
    CRUMB_TRY(crumb_writer_open(ctx, second, &b));
    crumb_writer_bytes(&a, text, strlen(text));
    crumb_writer_bytes(&b, text, strlen(text));
    return crumb_writer_commit_pair(&a, &b);
}

static void assert_holds(crumb_ctx *ctx, const char *path, const char *text) {
    uint8_t *data;
    size_t size;
    assert_ok(ctx, crumb_file_read(ctx, path, 0, &data, &size));
    assert_string_equal((char *)data, text);
    crumb_free(ctx, data);
}

/* A folder in the place of either file refuses both. */
static void test_writer_pair(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    char first[128], second[128];
    const char *folder = test_folder();
    snprintf(first, sizeof(first), "%s/first", folder);
    snprintf(second, sizeof(second), "%s/second", folder);
    assert_int_equal(mkdir(second, 0777), 0);
    assert_fails(ctx, CRUMB_ERROR_IO, second, write_pair(ctx, first, second, "one"));
    assert_false(crumb_file_exists(first));
    assert_ok(ctx, crumb_file_write(ctx, first, "old", 3));
    assert_fails(ctx, CRUMB_ERROR_IO, second, write_pair(ctx, first, second, "one"));
    assert_holds(ctx, first, "old");
    assert_fails(ctx, CRUMB_ERROR_IO, second, write_pair(ctx, second, first, "one"));
    assert_holds(ctx, first, "old");
    assert_int_equal(rmdir(second), 0);
    for (int i = 0; i < 2; i++) {
        const char *text = i == 0 ? "one" : "two";
        assert_ok(ctx, write_pair(ctx, first, second, text));
        assert_holds(ctx, first, text);
        assert_holds(ctx, second, text);
    }
    unlink(first);
    unlink(second);
    assert_int_equal(rmdir(folder), 0); /* nothing else is left */
    crumb_ctx_destroy(ctx);
}

/* What is no plain file is neither waited for nor replaced, and a program that dies while writing leaves nothing behind. */
static void test_special_files(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    char pipe[128], path[128], command[160];
    const char *folder = test_folder();
    snprintf(pipe, sizeof(pipe), "%s/pipe", folder);
    snprintf(path, sizeof(path), "%s/file", folder);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    uint8_t *data;
    const uint8_t *mapped;
    size_t size;
    assert_fails(ctx, CRUMB_ERROR_IO, "not a regular file", crumb_file_read(ctx, pipe, 0, &data, &size));
    assert_fails(ctx, CRUMB_ERROR_IO, "not a regular file", crumb_file_map(ctx, pipe, &mapped, &size));
    assert_fails(ctx, CRUMB_ERROR_IO, "not a regular file", crumb_file_write(ctx, pipe, "new", 3));
    struct stat info;
    assert_int_equal(stat(pipe, &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
    unlink(pipe);
    pid_t child = fork();
    if (child == 0) {
        crumb_writer writer;
        if (crumb_writer_open(ctx, path, &writer) == CRUMB_OK) {
            crumb_writer_bytes(&writer, "half", 4);
            fflush(writer.file);
        }
        raise(writer.nameless ? SIGKILL : SIGTERM);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    if (WTERMSIG(how) == SIGKILL) { /* the file system has nameless files */
        assert_int_equal(rmdir(folder), 0);
    } else {
        snprintf(command, sizeof(command), "rm -r %s", folder);
        assert_int_equal(system(command), 0);
    }
    crumb_ctx_destroy(ctx);
}

static void test_random(void **state) {
    (void)state;
    crumb_rng a = crumb_rng_at(1, 2, 3), b = crumb_rng_at(1, 2, 3), c = crumb_rng_at(1, 2, 4);
    assert_true(crumb_rng_u64(&a) == crumb_rng_u64(&b));
    assert_true(crumb_rng_u64(&a) != crumb_rng_u64(&c));
    double sum = 0, squares = 0;
    int cells[10] = {0};
    enum { N = 200000 };
    for (int i = 0; i < N; i++) {
        float x = crumb_rng_normal(&a), u = crumb_rng_uniform(&b);
        assert_true(u >= 0 && u < 1);
        sum += x;
        squares += (double)x * x;
        cells[crumb_rng_below(&c, 10)]++;
    }
    assert_true(fabs(sum / N) < 5 / sqrt(N)); /* five standard errors */
    assert_true(fabs(squares / N - 1) < 5 * sqrt(2.0 / N));
    for (int i = 0; i < 10; i++) {
        assert_true(abs(cells[i] - N / 10) < 5 * sqrt(N * 0.09));
    }
}

static void test_shapes(void **state) {
    (void)state;
    char text[CRUMB_SHAPE_TEXT];
    crumb_shape shape = CRUMB_SHAPE(128, 32, 32, 16);
    assert_int_equal(crumb_shape_count(shape), 128 * 32 * 32 * 16);
    assert_string_equal(crumb_shape_print(shape, text), "128x32x32x16");
    assert_int_equal(crumb_shape_last(shape), 16);
    assert_false(crumb_shape_equal(shape, CRUMB_SHAPE(128, 32, 32)));
    crumb_shape scalar = {0};
    assert_int_equal(crumb_shape_count(scalar), 1);
    assert_string_equal(crumb_shape_print(scalar, text), "scalar");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_print_reads_back),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_messages_are_one_line),
        cmocka_unit_test(test_memory_blocks),
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_writer_pair),
        cmocka_unit_test(test_special_files),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
