/* The run folder: lines and their order, resuming at a checkpoint, the result, a full disk. */
#include "harness.h"

#include "base/file.h"
#include "train/run_log.h"

#include <dirent.h>
#include <jansson.h>

static const char text[] = "name: \"with \\\"quotes\\\"\"\n"
                           "model: lenet5\n"
                           "data: {train: \"digits:train\", test: digits}\n";
static char folder[96];

static crumb_status parse(crumb_ctx *ctx, crumb_recipe **recipe) {
    return crumb_recipe_parse(ctx, "r.yaml", text, strlen(text), NULL, 0, NULL, NULL, recipe);
}

/* The first is in the log already. */
static const crumb_figure figures[2] = {{"a.top1", 91.5, 1}, {"a.levels.\"x\"", NAN, 0}};

static crumb_run_line line_of(int64_t epoch) {
    return (crumb_run_line){
        .phase = "train",
        .epoch = epoch,
        .step = 10 * epoch,
        .loss = 1.0 / 3,
        .extra_loss = 0,
        .lr = 0.1,
        .lr_min = 0.05,
        .lr_max = 0.2,
        .train_top1 = 50,
        .val_top1 = epoch == 1 ? NAN : 60,
        .val_top5 = INFINITY,
        .val_loss = 2,
        .seconds = 3,
        .images_per_second = 1e5,
        .weight_bits = 2,
        .activation_bits = 4,
        .quantized = 0.5,
    };
}

static void clear(void) {
    DIR *opened = opendir(folder);
    for (const struct dirent *entry; opened != NULL && (entry = readdir(opened)) != NULL;) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (opened != NULL) {
        closedir(opened);
    }
}

static int count_files(const char *beginning) {
    int count = 0;
    DIR *opened = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(opened)) != NULL;) {
        count += strncmp(entry->d_name, beginning, strlen(beginning)) == 0;
    }
    closedir(opened);
    return count;
}

static char *contents(crumb_ctx *ctx, const char *name) {
    char path[256];
    uint8_t *data;
    size_t size;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_ok(ctx, crumb_file_read(ctx, path, 0, &data, &size));
    return (char *)data;
}

/* The epochs of the log's lines, each of which must be a JSON object. */
static int epochs_logged(crumb_ctx *ctx, int64_t epochs[8]) {
    char *all = contents(ctx, "log.jsonl");
    int count = 0;
    for (char *at = all; *at != '\0'; at += strcspn(at, "\n") + 1) {
        json_t *object = json_loadb(at, strcspn(at, "\n"), JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(object) && at[strcspn(at, "\n")] == '\n' && count < 8);
        epochs[count++] = json_integer_value(json_object_get(object, "epoch"));
        json_decref(object);
    }
    crumb_free(ctx, all);
    return count;
}

/* A recipe in a context of its own, and the log of its run. */
typedef struct fixture {
    test_memory memory;
    crumb_ctx *ctx;
    crumb_recipe *recipe;
    crumb_run_log *log;
} fixture;

static void begin(fixture *f) {
    *f = (fixture){0};
    f->ctx = test_ctx(&f->memory, 1);
    assert_ok(f->ctx, parse(f->ctx, &f->recipe));
}

/* A new run, or one that goes on at `position` behind `step` steps. */
static void open_log(fixture *f, int64_t position, int64_t step) {
    assert_ok(f->ctx, crumb_run_log_open(f->recipe, folder, position, step, &f->log));
}

static void end(fixture *f) {
    crumb_recipe_free(f->recipe);
    clear();
    crumb_ctx_destroy(f->ctx);
    assert_int_equal(f->memory.live, 0);
}

static void test_lines(void **state) {
    (void)state;
    fixture f;
    crumb_recipe *copy;
    begin(&f);
    open_log(&f, -1, 0);
    crumb_run_line line = line_of(1);
    assert_ok(f.ctx, crumb_run_log_add(f.log, &line));
    char *all = contents(f.ctx, "log.jsonl"); /* before the log is closed: lines are flushed */
    assert_string_equal(all, "{\"phase\":\"train\",\"epoch\":1,\"step\":10,\"loss\":0.3333333333,\"extra_loss\":0.0,\"lr\":0.1,"
                             "\"lr_min\":0.05,\"lr_max\":0.2,"
                             "\"train_top1\":50.0,\"val_top1\":null,\"val_top5\":null,\"val_loss\":2.0,\"seconds\":3.0,"
                             "\"images_per_second\":100000.0,\"quantized\":0.5,\"weight_bits\":2,"
                             "\"activation_bits\":4}\n");
    crumb_free(f.ctx, all);
    line.figure = figures;
    line.figures = 2;
    assert_ok(f.ctx, crumb_run_log_add(f.log, &line));
    char *both = contents(f.ctx, "log.jsonl");
    assert_non_null(strstr(both, "}\n{"));
    assert_non_null(strstr(both, ",\"activation_bits\":4,\"figures\":{\"a.levels.\\\"x\\\"\":null}}\n"));
    crumb_free(f.ctx, both);
    crumb_run_log_close(f.log);
    char *yaml = contents(f.ctx, "recipe.yaml"); /* the copy is the same recipe */
    assert_ok(f.ctx, crumb_recipe_parse(f.ctx, "copy", yaml, strlen(yaml), NULL, 0, NULL, NULL, &copy));
    assert_memory_equal(f.recipe, copy, sizeof(*copy));
    crumb_free(f.ctx, yaml);
    assert_int_equal(count_files("events.out.tfevents."), 1);
    crumb_recipe_free(copy);
    end(&f);
}

/* Lines after the checkpoint are cut; a damaged log goes on in a new line. */
static void test_resume(void **state) {
    (void)state;
    fixture f;
    int64_t position, epochs[8];
    begin(&f);
    open_log(&f, -1, 0);
    for (int64_t epoch = 1; epoch <= 3; epoch++) {
        crumb_run_line line = line_of(epoch);
        assert_ok(f.ctx, crumb_run_log_add(f.log, &line));
        if (epoch == 2) {
            assert_ok(f.ctx, crumb_run_log_position(f.log, &position));
        }
    }
    crumb_run_log_close(f.log);
    assert_int_equal(epochs_logged(f.ctx, epochs), 3);
    open_log(&f, position, 20);
    assert_int_equal(epochs_logged(f.ctx, epochs), 2);
    crumb_run_line line = line_of(7);
    assert_ok(f.ctx, crumb_run_log_add(f.log, &line));
    assert_ok(f.ctx, crumb_run_log_position(f.log, &position));
    crumb_run_log_close(f.log);
    assert_int_equal(epochs_logged(f.ctx, epochs), 3);
    assert_true(epochs[0] == 1 && epochs[1] == 2 && epochs[2] == 7);
    assert_int_equal(count_files("events.out.tfevents."), 2);

    char *all = contents(f.ctx, "log.jsonl"), path[256];
    snprintf(path, sizeof(path), "%s/log.jsonl", folder);
    size_t first = strcspn(all, "\n");
    assert_ok(f.ctx, crumb_file_write(f.ctx, path, all, first)); /* the newline is lost too */
    crumb_free(f.ctx, all);
    open_log(&f, position, 20);
    assert_ok(f.ctx, crumb_run_log_add(f.log, &line));
    crumb_run_log_close(f.log);
    assert_int_equal(epochs_logged(f.ctx, epochs), 2);
    assert_true(epochs[0] == 1 && epochs[1] == 7);

    open_log(&f, -1, 0); /* a new run starts over */
    crumb_run_log_close(f.log);
    assert_int_equal(epochs_logged(f.ctx, epochs), 0);
    end(&f);
}

static const crumb_train_result result = {.val_top1 = 91.25,
                                          .val_top5 = 99,
                                          .val_loss = 0.3,
                                          .best_top1 = 91.5,
                                          .best_epoch = 4,
                                          .epochs = 5,
                                          .seconds = 12.5,
                                          .images_per_second = 1000,
                                          .weight_bits = 2,
                                          .activation_bits = 32,
                                          .direct_top1 = NAN,
                                          .float_top1 = 92,
                                          .images = 250000,
                                          .extra_images = 50128};

static void test_result(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    open_log(&f, -1, 0);
    assert_int_equal(count_files("result.json"), 0);
    assert_ok(f.ctx, crumb_run_log_result(f.log, &result, figures, 2));
    crumb_run_log_close(f.log);
    char *all = contents(f.ctx, "result.json");
    json_t *object = json_loads(all, JSON_REJECT_DUPLICATES, NULL);
    const char *name, *model;
    double top1, top5, loss, best, floating, seconds, rate;
    int best_epoch, epochs, weight_bits, activation_bits;
    assert_int_equal(json_unpack(object, "{s:s, s:s, s:F, s:F, s:F, s:F, s:F, s:F, s:F, s:i, s:i, s:i, s:i, s:n}", "name",
                                 &name, "model", &model, "val_top1", &top1, "val_top5", &top5, "val_loss", &loss, "best_top1",
                                 &best, "float_top1", &floating, "seconds", &seconds, "images_per_second", &rate, "best_epoch",
                                 &best_epoch, "epochs", &epochs, "weight_bits", &weight_bits, "activation_bits",
                                 &activation_bits, "direct_top1"),
                     0);
    assert_string_equal(name, "with \"quotes\"");
    assert_string_equal(model, "lenet5");
    assert_true(top1 == 91.25 && top5 == 99 && loss == 0.3 && best == 91.5 && floating == 92 && seconds == 12.5 &&
                rate == 1000);
    assert_true(best_epoch == 4 && epochs == 5 && weight_bits == 2 && activation_bits == 32);
    const json_t *reported = json_object_get(object, "figures");
    assert_true(json_object_size(reported) == 2 && json_real_value(json_object_get(reported, "a.top1")) == 91.5);
    assert_true(json_is_null(json_object_get(reported, "a.levels.\"x\"")));
    json_decref(object);
    crumb_train_result again;
    assert_ok(f.ctx, crumb_run_log_read_result(f.ctx, folder, &again));
    assert_true(isnan(again.direct_top1));
    again.direct_top1 = result.direct_top1; /* NaN bits */
    assert_memory_equal(&again, &result, sizeof(result));
    char path[256];
    snprintf(path, sizeof(path), "%s/result.json", folder);
    assert_ok(f.ctx, crumb_file_write(f.ctx, path, "{\"val_top1\": 1}", 15));
    assert_fails(f.ctx, CRUMB_ERROR_FORMAT, "val_top5 is missing", crumb_run_log_read_result(f.ctx, folder, &again));
    assert_ok(f.ctx, crumb_file_write(f.ctx, path, "[", 1));
    assert_fails(f.ctx, CRUMB_ERROR_FORMAT, "result.json", crumb_run_log_read_result(f.ctx, folder, &again));
    assert_memory_equal(&again.val_top1, &result.val_top1, sizeof(double)); /* untouched by failures */
    crumb_free(f.ctx, all);
    end(&f);
}

static crumb_status whole_run(crumb_ctx *ctx, void *user) {
    crumb_recipe *recipe;
    crumb_run_log *log;
    crumb_graph *network = NULL;
    crumb_run_line line = line_of(2);
    line.figure = figures;
    line.figures = 2;
    (void)user;
    CRUMB_TRY(parse(ctx, &recipe));
    crumb_status status = crumb_run_log_open(recipe, folder, -1, 0, &log);
    if (status == CRUMB_OK) {
        const crumb_model_choice *model = &recipe->model;
        status = crumb_model_build(ctx, model->model, model->params, CRUMB_SHAPE(1, 28, 28, 1), 10, 1, &network);
        status = status == CRUMB_OK ? crumb_run_log_add(log, &line) : status;
        status = status == CRUMB_OK ? crumb_run_log_weights(log, 20, network) : status;
        status = status == CRUMB_OK ? crumb_run_log_result(log, &result, figures, 2) : status;
        crumb_graph_destroy(network);
        crumb_run_log_close(log);
    }
    crumb_recipe_free(recipe);
    return status;
}

/* As test_every_allocation, but every try leaves files. Allocations are sampled: each try writes and syncs. */
static void test_allocations(void **state) {
    (void)state;
    bool failed = true;
    for (long k = 1; failed; k += k < 40 ? 1 : 7) {
        test_memory memory = {.fail_at = k};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        if (ctx != NULL) {
            crumb_status status = whole_run(ctx, NULL);
            failed = memory.count >= k;
            if (status != (failed ? CRUMB_ERROR_MEMORY : CRUMB_OK)) {
                fail_msg("allocation %ld: %s", k, crumb_message(ctx));
            }
            crumb_ctx_destroy(ctx);
            assert_int_equal(memory.live, 0);
            clear();
        }
    }
}

/* A line that does not fit on the disk is an error that names the file. */
static void test_full_disk(void **state) {
    (void)state;
    fixture f;
    char path[256];
    begin(&f);
    snprintf(path, sizeof(path), "%s/log.jsonl", folder);
    assert_ok(f.ctx, crumb_folder_make(f.ctx, folder));
    assert_int_equal(symlink("/dev/full", path), 0);
    open_log(&f, -1, 0);
    crumb_run_line line = line_of(1);
    assert_fails(f.ctx, CRUMB_ERROR_IO, "log.jsonl: No space left on device", crumb_run_log_add(f.log, &line));
    crumb_run_log_close(f.log);
    end(&f);
}

static void test_refused(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    assert_fails(f.ctx, CRUMB_ERROR_IO, "/dev/null/run", crumb_run_log_open(f.recipe, "/dev/null/run", -1, 0, &f.log));
    crumb_run_log_close(NULL);
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),       cmocka_unit_test(test_resume),  cmocka_unit_test(test_result),
        cmocka_unit_test(test_allocations), cmocka_unit_test(test_refused), cmocka_unit_test(test_full_disk),
    };
    char parent[64];
    strcpy(parent, test_folder());
    snprintf(folder, sizeof(folder), "%s/run", parent);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    rmdir(parent);
    return failed;
}
