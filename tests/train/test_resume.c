/* Interrupted runs: killed at any moment, stopped, out of disk space; resumed, each ends in the same bits as one that never
 * was. The runs to be interrupted are this program started again: "test_resume child FOLDER MODE". */
#include "fixture.h"

#include "formats/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

/* ---- The child: trains the common recipe in a folder. */

enum { STOP_STEP = 21, FULL_STEP = 19 };

static int step_calls;

static bool stop_sometime(void *user, const crumb_progress *progress) {
    (void)user, (void)progress;
    return ++step_calls != STOP_STEP;
}

/* From here on no file may grow beyond half a checkpoint. */
static bool fill_disk(void *user, const crumb_progress *progress) {
    (void)progress;
    if (++step_calls == FULL_STEP) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){*(rlim_t *)user, RLIM_INFINITY});
    }
    return true;
}

static bool kill_at(void *user, const crumb_progress *progress) {
    (void)progress;
    if (++step_calls == *(int *)user) {
        kill(getpid(), SIGKILL);
    }
    return true;
}

static const crumb_strategy idle = {.name = "idle", .doc = "has no state", .source = "tests"};

/* One recipe for all: learned steps, three phases, masks, Adam, a mean over weights, checkpoints in the middle of epochs. */
static crumb_status train_common(crumb_ctx *ctx, const crumb_train_options *options, const char *const *overrides) {
    crumb_recipe *recipe;
    crumb_train_result result;
    CRUMB_TRY(fixture_recipe(ctx, FIXTURE_MLP, FIXTURE_W8A8, FIXTURE_EVERY, overrides, &recipe));
    recipe->strategy[recipe->strategies++].strategy = &fixture_every;
    recipe->strategy[recipe->strategies++].strategy = &idle;
    crumb_status status = crumb_train(recipe, options, &result);
    crumb_recipe_free(recipe);
    return status;
}

/* Exit code: the status. */
static int child(const char *data, const char *folder, const char *mode, const char *number) {
    crumb_ctx *ctx;
    int at = atoi(number);
    rlim_t limit = (rlim_t)at;
    snprintf(fixture_folder, sizeof(fixture_folder), "%s", data);
    if (crumb_ctx_create(&ctx, &(crumb_settings){.threads = 2}) != CRUMB_OK) {
        return 99;
    }
    crumb_train_options options = {.out = folder, .resume = strcmp(mode, "new") != 0};
    if (strcmp(mode, "stop") == 0) {
        options.progress = stop_sometime;
    } else if (strcmp(mode, "full") == 0) {
        options.progress = fill_disk;
        options.user = &limit;
    } else if (strcmp(mode, "kill") == 0) {
        options.progress = kill_at;
        options.user = &at;
    }
    crumb_status status = train_common(ctx, &options, NULL);
    fprintf(stderr, "%s", crumb_message(ctx));
    crumb_ctx_destroy(ctx);
    return (int)status;
}

/* ---- The parent. */

/* Starts a child whose messages go to FOLDER.txt; kills it after `microseconds` if that is not negative. */
static int run_child(const char *folder, const char *mode, int number, long microseconds) {
    char text[32], messages[256];
    snprintf(text, sizeof(text), "%d", number);
    snprintf(messages, sizeof(messages), "%s.txt", folder);
    char *arguments[] = {"test_resume", "child", (char *)fixture_data(), (char *)folder, (char *)mode, text, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, messages, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t pid;
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    if (microseconds >= 0) {
        usleep((useconds_t)microseconds);
        kill(pid, SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool exited_with(int status, int code) {
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static void assert_message(const char *folder, const char *words) {
    char path[256], text[2048] = "";
    snprintf(path, sizeof(path), "%s.txt", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    if (strstr(text, words) == NULL) {
        fail_msg("message \"%s\" lacks \"%s\"", text, words);
    }
}

static void new_folder(char folder[128]) {
    snprintf(folder, 128, "%s", test_folder());
}

static void remove_folder(const char *folder) {
    char messages[256];
    snprintf(messages, sizeof(messages), "%s.txt", folder);
    unlink(messages);
    fixture_remove(folder);
}

static char reference[128];     /* a run that was never interrupted */
static long reference_duration; /* microseconds */

static int reference_setup(void **state) {
    (void)state;
    struct timespec start, end;
    setenv("OMP_WAIT_POLICY", "passive", 1); /* children share few processors with other tests */
    snprintf(reference, sizeof(reference), "%s", test_folder());
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_true(exited_with(run_child(reference, "new", 0, -1), CRUMB_OK));
    clock_gettime(CLOCK_MONOTONIC, &end);
    reference_duration = (end.tv_sec - start.tv_sec) * 1000000 + (end.tv_nsec - start.tv_nsec) / 1000;
    return 0;
}

static int reference_teardown(void **state) {
    (void)state;
    remove_folder(reference);
    fixture_remove(fixture_data());
    return 0;
}

static void two_runs_agree(void **state) {
    (void)state;
    char folder[128];
    new_folder(folder);
    assert_true(exited_with(run_child(folder, "new", 0, -1), CRUMB_OK));
    fixture_assert_same_run(folder, reference);
    char *result = fixture_timeless(fixture_path(folder, "result.json"));
    assert_non_null(strstr(result, "every-hook.phase3.capture2_top1")); /* also what strategies report */
    free(result);
    assert_true(exited_with(run_child(folder, "resume", 0, -1), CRUMB_OK)); /* a finished run is finished again */
    fixture_assert_same_run(folder, reference);
    remove_folder(folder);
}

/* Each step of the run in turn is the last one before the kill; resumed runs are killed again at their own n-th step. */
static void killed_at_chosen_steps(void **state) {
    (void)state;
    static const int steps[] = {1, 3, 4, 8, 9, 16, 17, 31, 47};
    char folder[128];
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        new_folder(folder);
        int status = run_child(folder, "kill", steps[i], -1);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        run_child(folder, "kill", 5, -1);
        assert_true(exited_with(run_child(folder, "resume", 0, -1), CRUMB_OK));
        fixture_assert_same_run(folder, reference);
        remove_folder(folder);
    }
}

/* Kills at random moments, from before the first file to after the last, until the run has finished between two of them. */
static void killed_at_random_moments(void **state) {
    (void)state;
    crumb_rng rng = crumb_rng_at((uint64_t)time(NULL), 0, 0);
    int kills = 0;
    for (int run = 0; run < 6; run++) {
        char folder[128];
        new_folder(folder);
        for (int attempt = 0;; attempt++) {
            long delay = attempt < 6 ? (long)crumb_rng_below(&rng, (uint32_t)(reference_duration + 1)) : -1;
            int status = run_child(folder, "resume", 0, delay);
            if (exited_with(status, CRUMB_OK)) {
                break;
            }
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            kills++;
        }
        fixture_assert_same_run(folder, reference);
        remove_folder(folder);
    }
    print_message("killed %d times\n", kills);
    assert_true(kills > 0);
}

static void stopping_leaves_a_checkpoint(void **state) {
    (void)state;
    char folder[128];
    new_folder(folder);
    assert_true(exited_with(run_child(folder, "stop", 0, -1), CRUMB_ERROR_STOPPED));
    assert_message(folder, "stopped after step 5 of epoch 3");
    assert_true(exited_with(run_child(folder, "kill", 1, -1), 0) == false); /* the resumed run starts at step 6: killed there */
    assert_true(exited_with(run_child(folder, "resume", 0, -1), CRUMB_OK));
    fixture_assert_same_run(folder, reference);
    remove_folder(folder);
}

/* The last good checkpoint outlives a write that fails, and a later run goes on from it. */
static void full_disk_keeps_the_last_checkpoint(void **state) {
    (void)state;
    char folder[128], kept[512];
    new_folder(folder);
    int status = run_child(folder, "kill", FULL_STEP, -1); /* a first run, for its checkpoint at that step */
    assert_true(WIFSIGNALED(status));
    snprintf(kept, sizeof(kept), "%s.kept", folder);
    char command[1200];
    snprintf(command, sizeof(command), "cp '%s/checkpoint.safetensors' '%s' && rm -r '%s'", folder, kept, folder);
    assert_int_equal(system(command), 0);

    status = run_child(folder, "full", 2000, -1);
    assert_true(exited_with(status, CRUMB_ERROR_IO));
    assert_message(folder, "checkpoint.safetensors");
    assert_message(folder, strerror(EFBIG));
    crumb_ctx *ctx;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    crumb_safetensors *a, *b;
    assert_ok(ctx, crumb_safetensors_open(ctx, fixture_path(folder, "checkpoint.safetensors"), &a));
    assert_ok(ctx, crumb_safetensors_open(ctx, kept, &b));
    int at = crumb_safetensors_find(a, "counters"), other = crumb_safetensors_find(b, "counters");
    assert_memory_equal(crumb_safetensors_at(a, at).data, crumb_safetensors_at(b, other).data, 8);
    crumb_safetensors_close(a);
    crumb_safetensors_close(b);
    crumb_ctx_destroy(ctx);
    assert_true(exited_with(run_child(folder, "resume", 0, -1), CRUMB_OK));
    fixture_assert_same_run(folder, reference);
    unlink(kept);
    remove_folder(folder);
}

/* The same on a file system that is really full, where this user may mount one. */
static void full_file_system(void **state) {
    (void)state;
    char folder[128], run[160];
    new_folder(folder);
    if (mount("none", folder, "tmpfs", 0, "size=96k") != 0) {
        print_message("no tmpfs here: %s\n", strerror(errno));
        remove_folder(folder);
        skip();
    }
    snprintf(run, sizeof(run), "%s/run", folder);
    int status = run_child(run, "new", 0, -1);
    bool failed = exited_with(status, CRUMB_ERROR_IO);
    assert_int_equal(mount("none", folder, "tmpfs", MS_REMOUNT, "size=16m"), 0);
    int resumed = run_child(run, "resume", 0, -1);
    if (failed) {
        assert_message(run, "");
    }
    if (exited_with(resumed, CRUMB_OK)) {
        fixture_assert_same_run(run, reference);
    }
    assert_int_equal(umount(folder), 0);
    remove_folder(folder);
    assert_true(failed);
    assert_true(exited_with(resumed, CRUMB_OK));
}

static void another_recipe_does_not_resume(void **state) {
    (void)state;
    char folder[128];
    new_folder(folder);
    int status = run_child(folder, "kill", 10, -1);
    assert_true(WIFSIGNALED(status));
    crumb_ctx *ctx;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    crumb_train_options options = {.out = folder, .resume = true};
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "another recipe (train.clip_norm is 3, was 0)",
                 train_common(ctx, &options, (const char *const[]){"train.clip_norm=3", NULL}));
    crumb_ctx_destroy(ctx);
    remove_folder(folder);
}

/* A new run in an old folder starts anew: nothing of the old one is taken for its own. */
static void a_new_run_clears_the_folder(void **state) {
    (void)state;
    char folder[128];
    new_folder(folder);
    assert_true(WIFSIGNALED(run_child(folder, "kill", 30, -1)));
    FILE *left =
        fopen(fixture_path(folder, "last.safetensors.4711.tmp"), "w"); /* as a process killed while writing leaves it */
    assert_non_null(left);
    fclose(left);
    crumb_ctx *ctx;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    crumb_train_options options = {.out = folder, .progress = stop_sometime};
    step_calls = STOP_STEP - 2; /* stops at the second step */
    assert_int_equal(train_common(ctx, &options, NULL), CRUMB_ERROR_STOPPED);
    assert_false(crumb_file_exists(fixture_path(folder, "last.safetensors")));
    assert_false(crumb_file_exists(fixture_path(folder, "last.safetensors.4711.tmp")));
    assert_true(crumb_file_exists(fixture_path(folder, "checkpoint.safetensors")));
    crumb_ctx_destroy(ctx);
    assert_true(exited_with(run_child(folder, "resume", 0, -1), CRUMB_OK));
    fixture_assert_same_run(folder, reference);
    remove_folder(folder);
}

static void damaged_checkpoints_are_refused(void **state) {
    (void)state;
    char folder[128];
    new_folder(folder);
    assert_true(WIFSIGNALED(run_child(folder, "kill", 10, -1)));
    const char *path = fixture_path(folder, "checkpoint.safetensors");
    crumb_ctx *ctx;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    uint8_t *data;
    size_t size;
    assert_ok(ctx, crumb_file_read(ctx, path, 0, &data, &size));
    crumb_train_options options = {.out = folder, .resume = true};
    assert_ok(ctx, crumb_file_write(ctx, path, data, size / 2));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "checkpoint.safetensors", train_common(ctx, &options, NULL));
    uint8_t *name = memmem(data, size, "slot1.fc1", 9); /* a tensor that is not there under its name */
    assert_non_null(name);
    name[4] = '7';
    assert_ok(ctx, crumb_file_write(ctx, path, data, size));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "slot1.fc1", train_common(ctx, &options, NULL));
    crumb_free(ctx, data);
    crumb_ctx_destroy(ctx);
    remove_folder(folder);
}

int main(int count, char **arguments) {
    if (count == 6 && strcmp(arguments[1], "child") == 0) {
        return child(arguments[2], arguments[3], arguments[4], arguments[5]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_runs_agree),
        cmocka_unit_test(killed_at_chosen_steps),
        cmocka_unit_test(killed_at_random_moments),
        cmocka_unit_test(stopping_leaves_a_checkpoint),
        cmocka_unit_test(full_disk_keeps_the_last_checkpoint),
        cmocka_unit_test(full_file_system),
        cmocka_unit_test(another_recipe_does_not_resume),
        cmocka_unit_test(a_new_run_clears_the_folder),
        cmocka_unit_test(damaged_checkpoints_are_refused),
    };
    return cmocka_run_group_tests(tests, reference_setup, reference_teardown);
}
