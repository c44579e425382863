/* Reports: what is read of files that anybody may have written, thinning, the page with hostile names, a run folder that is
 * damaged in every way. */
#include "harness.h"

#include "base/file.h"
#include "crumb/report.h"
#include "report/json.h"
#include "report/run.h"

#include <sys/stat.h>

static crumb_ctx *ctx;
static char folder[80];

static bool has_gnuplot(void) {
    return system("gnuplot --version >/dev/null 2>&1") == 0;
}

static int open_ctx(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "%s", test_folder());
    return crumb_ctx_create(&ctx, NULL) == CRUMB_OK ? 0 : -1;
}

static int close_ctx(void **state) {
    (void)state;
    char command[128];
    crumb_ctx_destroy(ctx);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void put(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_ok(ctx, crumb_file_write(ctx, path, text, strlen(text)));
}

static void drop(const char *name) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    unlink(path);
}

/* The folder as it is, read; crumb_run_free it. */
static crumb_run look(void) {
    crumb_run run = {0};
    assert_ok(ctx, crumb_run_read(ctx, folder, &run));
    return run;
}

static bool notes(const crumb_run *run, const char *words) {
    return run->notes.at != NULL && strstr(run->notes.at, words) != NULL;
}

/* ---- Thinning. */

static void test_thin(void **state) {
    (void)state;
    enum { COUNT = 100000, PARTS = 50 };
    double *x = calloc(COUNT, sizeof(*x)), *y = calloc(COUNT, sizeof(*y));
    for (int i = 0; i < COUNT; i++) {
        x[i] = i + 1;
        y[i] = i % 10 == 3 ? NAN : sin(i * 0.37);
    }
    y[777] = 100;
    y[55555] = -100;
    y[3] = 5;
    int count = crumb_thin(x, y, COUNT, PARTS);
    assert_true(count <= 4 * (PARTS + 1) && count >= PARTS);
    assert_true(x[0] == 1 && x[count - 1] == COUNT);
    bool high = false, low = false;
    for (int i = 0; i < count; i++) {
        assert_true(!isnan(y[i]) && (i == 0 || x[i] > x[i - 1]));
        high = high || (x[i] == 778 && y[i] == 100);
        low = low || (x[i] == 55556 && y[i] == -100);
    }
    assert_true(high && low);
    for (int i = 0; i < 100; i++) { /* few points: all stay but those that are no numbers */
        x[i] = i;
        y[i] = i % 2 == 0 ? i : NAN;
    }
    assert_int_equal(crumb_thin(x, y, 100, PARTS), 50);
    assert_true(x[49] == 98 && y[49] == 98);
    y[0] = NAN;
    assert_int_equal(crumb_thin(x, y, 1, PARTS), 0);
    assert_int_equal(crumb_thin(x, y, 0, PARTS), 0);
    free(x);
    free(y);
}

/* ---- The log. */

static void test_log(void **state) {
    (void)state;
    put("log.jsonl", "{\"phase\":\"float\",\"epoch\":0,\"val_top1\":91.5}\n"
                     "{\"phase\":\"direct\",\"epoch\":0,\"val_top1\":40.25}\n"
                     "{\"phase\":\"a\",\"epoch\":1,\"val_top1\":50,\"lr\":0.1,\"figures\":{\"s.levels\":3}}\n"
                     "{\"phase\":\"a\",\"epoch\":2,\"val_top1\":70,\"loss\":null,\"weight_bits\":4}\n"
                     "{\"phase\":\"b\",\"epoch\":4,\"val_top1\":60,\"weight_bits\":2,\"figures\":{\"s.levels\":5}}\n"
                     "{\"phase\":\"b\",\"epoch\":5,\"val_top1\":65,\"seconds\":9,\"weight_bits\":2}\n"
                     "{\"phase\":\"test\",\"epoch\":5,\"val_top1\":64}\n");
    crumb_run run = look();
    assert_true(run.any && !run.finished && run.count == 4 && run.phases == 2);
    assert_true(run.phase[0].count == 2 && run.phase[1].first == 2 && run.epochs == 5);
    assert_true(run.val_top1 == 65 && run.best_top1 == 65 && run.best_epoch == 5); /* of the last phase */
    assert_true(run.float_top1 == 91.5 && run.direct_top1 == 40.25 && run.weight_bits == 2 && run.seconds == 9);
    assert_true(isnan(run.epoch[1].at[CRUMB_COLUMN_LOSS]) && run.epoch[0].at[CRUMB_COLUMN_LR] == 0.1);
    assert_true(run.figures == 1 && run.figure[0].value == 5 && run.figure[0].epoch == 4);
    assert_false(notes(&run, "log.jsonl"));
    crumb_run_free(&run);
}

/* Lines that are not of a log: each is left out and counted, the others stay. */
static void test_hostile_log(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "not JSON",
        "[1, 2]",
        "7",
        "null",
        "{}",
        "{\"phase\":\"a\"}",
        "{\"epoch\":3}",
        "{\"phase\":7,\"epoch\":3}",
        "{\"phase\":\"a\",\"epoch\":-1}",
        "{\"phase\":\"a\",\"epoch\":1.5}",
        "{\"phase\":\"a\",\"epoch\":\"3\"}",
        "{\"phase\":\"a\",\"epoch\":99999999999999999999}",
        "{\"phase\":\"a\",\"epoch\":2000000000}",
        "{\"phase\":\"a\",\"epoch\":1}",
        "{\"phase\":\"a\",\"epoch\":3,\"epoch\":4}",
        "{\"phase\":\"\xff\",\"epoch\":3}",
        "{\"phase\":\"a\",\"epoch\":3",
        "\"",
        "{\"phase\":\"a\",\"epoch\":3,\"lr\":1e999}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), "{\"phase\":\"a\",\"epoch\":2,\"loss\":1}\n%s\n{\"phase\":\"a\",\"epoch\":5,\"loss\":2}\n",
                 bad[i]);
        put("log.jsonl", text);
        crumb_run run = look();
        if (run.count != 2 || !notes(&run, "log.jsonl: 1 of 3 lines cannot be used, the first is line 2: ")) {
            fail_msg("line \"%s\": %d epochs, notes %s", bad[i], run.count, run.notes.at);
        }
        crumb_run_free(&run);
    }
    static const char *const odd[] = {"{\"phase\":\"a\",\"epoch\":3,\"loss\":{\"a\":[]},\"lr\":\"x\",\"figures\":7}",
                                      "{\"phase\":\"\",\"epoch\":3,\"figures\":{\"\":null,\"x\":[1]}}"};
    for (size_t i = 0; i < 2; i++) { /* wrong members alone are absent */
        put("log.jsonl", odd[i]);
        crumb_run run = look();
        assert_true(run.count == 1 && run.figures == 0 && isnan(run.epoch[0].at[CRUMB_COLUMN_LOSS]));
        crumb_run_free(&run);
    }
    char *deep = calloc(1, 200001);
    memset(deep, '[', 200000);
    put("log.jsonl", deep);
    crumb_run run = look();
    assert_true(run.count == 0 && notes(&run, "1 of 1 lines"));
    crumb_run_free(&run);
    free(deep);
    drop("log.jsonl");
}

/* ---- Histograms. */

#define HISTOGRAM(epoch, layer, rest)                                                                                          \
    "{\"epoch\":" epoch ",\"layer\":\"" layer "\",\"bits\":2,\"weights\":9,\"scales\":1," rest "}"
#define BINS "\"low\":-1,\"high\":1,\"bins\":[1,2,3]"
#define LEVELS ",\"levels\":[-0.5,0.5],\"at_levels\":[4,5]"

static void test_histograms(void **state) {
    (void)state;
    put("histograms.jsonl",
        HISTOGRAM("0", "a", BINS LEVELS ",\"error\":0.5") "\n" HISTOGRAM("4", "a", BINS LEVELS) "\n" HISTOGRAM(
            "4", "b", BINS ",\"levels\":[],\"at_levels\":[]") "\n" HISTOGRAM("4", "a", BINS LEVELS ",\"error\":0.25") "\n");
    crumb_run run = look();
    int64_t epoch[8];
    assert_int_equal(run.histograms, 4);
    assert_int_equal(crumb_run_histogram_epochs(&run, epoch, 8), 2);
    assert_true(epoch[0] == 0 && epoch[1] == 4);
    assert_int_equal(crumb_run_histogram_epochs(&run, epoch, 1), 1);
    assert_int_equal(epoch[0], 0);
    assert_true(crumb_run_find(&run, "a", 4)->error == 0.25); /* the later line counts: a resumed run wrote it */
    assert_true(crumb_run_find(&run, "a", 0)->level[1] == 0.5 && crumb_run_find(&run, "a", 0)->at_level[0] == 4);
    assert_null(crumb_run_find(&run, "c", 4));
    assert_true(run.packed_bytes == 2 * (3 + 4));
    crumb_run_free(&run);
}

static void test_hostile_histograms(void **state) {
    (void)state;
    static const char *const bad[] = {
        HISTOGRAM("-1", "a", BINS LEVELS),
        HISTOGRAM("1", "a", "\"low\":1,\"high\":1,\"bins\":[1]"),
        HISTOGRAM("1", "a", "\"low\":2,\"high\":1,\"bins\":[1]"),
        HISTOGRAM("1", "a", "\"low\":null,\"high\":1,\"bins\":[1]"),
        HISTOGRAM("1", "a", "\"low\":-1e300,\"high\":1e300,\"bins\":[1]"),
        HISTOGRAM("1", "a", "\"low\":0,\"high\":1e-300,\"bins\":[1]"),
        HISTOGRAM("1", "a", "\"low\":0,\"high\":1,\"bins\":[],\"levels\":[],\"at_levels\":[]"),
        HISTOGRAM("1", "a", "\"low\":0,\"high\":1,\"bins\":[-1],\"levels\":[],\"at_levels\":[]"),
        HISTOGRAM("1", "a", "\"low\":0,\"high\":1,\"bins\":[null],\"levels\":[],\"at_levels\":[]"),
        HISTOGRAM("1", "a", "\"low\":0,\"high\":1,\"bins\":{\"0\":1},\"levels\":[],\"at_levels\":[]"),
        HISTOGRAM("1", "a", BINS),
        HISTOGRAM("1", "a", BINS ",\"levels\":[1,2],\"at_levels\":[1]"),
        HISTOGRAM("1", "a", BINS ",\"levels\":[2,1],\"at_levels\":[1,1]"),
        HISTOGRAM("1", "a", BINS ",\"levels\":[-1e300,1],\"at_levels\":[1,1]"),
        HISTOGRAM("1", "a", BINS ",\"levels\":[\"a\"],\"at_levels\":[1]"),
        "{\"epoch\":1,\"layer\":null,\"bits\":2,\"weights\":9," BINS LEVELS "}",
        "{\"epoch\":1,\"layer\":\"a\",\"bits\":0,\"weights\":9," BINS LEVELS "}",
        "{\"epoch\":1,\"layer\":\"a\",\"bits\":2,\"weights\":0," BINS LEVELS "}",
        "{\"epoch\":1,\"layer\":\"a\",\"bits\":2,\"weights\":9223372036854775807," BINS LEVELS "}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        put("histograms.jsonl", bad[i]);
        crumb_run run = look();
        if (run.histograms != 0 || !notes(&run, "histograms.jsonl: 1 of 1 lines")) {
            fail_msg("line %s: %d histograms, notes %s", bad[i], run.histograms, run.notes.at);
        }
        crumb_run_free(&run);
    }
    char long_bins[4096] =
        "{\"epoch\":1,\"layer\":\"a\",\"bits\":2,\"weights\":9,\"low\":0,\"high\":1,\"levels\":[],\"at_levels\":[],\"bins\":[1";
    for (int i = 0; i < CRUMB_RUN_BINS; i++) {
        strcat(long_bins, ",1");
    }
    strcat(long_bins, "]}");
    put("histograms.jsonl", long_bins);
    crumb_run run = look();
    assert_true(run.histograms == 0 && notes(&run, "no bins"));
    crumb_run_free(&run);
    drop("histograms.jsonl");
}

/* ---- Recipe, result, networks. */

static void test_recipe(void **state) {
    (void)state;
    put("recipe.yaml",
        "name: \"two words\"\nmodel:\n  name: lenet5\n  init: \"\"\ndata:\n  mean: [0.5, 0.25]\n  augment:\n    - name: flip\n"
        "      p: 0.5\n    - name: erase\nquantize:\n  weights:\n    name: lsq\n    bits: 3\n  activations:\n    name: none\n"
        "train:\n  epochs: 4\nstrategies: []\n");
    crumb_run run = look();
    assert_string_equal(crumb_run_key(&run, "name"), "two words");
    assert_string_equal(crumb_run_key(&run, "model.init"), "");
    assert_string_equal(crumb_run_key(&run, "data.mean"), "[0.5, 0.25]");
    assert_string_equal(crumb_run_key(&run, "data.augment.0.p"), "0.5");
    assert_string_equal(crumb_run_key(&run, "data.augment.1.name"), "erase");
    assert_string_equal(crumb_run_key(&run, "train.epochs"), "4");
    assert_string_equal(crumb_run_key(&run, "strategies"), "[]");
    assert_null(crumb_run_key(&run, "model"));
    assert_true(run.weight_bits == 3 && run.activation_bits == 32); /* no log, no result: the recipe knows */
    assert_string_equal(run.model, "lenet5");
    assert_true(run.any && notes(&run, "log.jsonl is missing"));
    crumb_run_free(&run);
    static const char *const odd[] = {":",
                                      "- - - -",
                                      "                                                  x: y",
                                      "a:\n    b: c\n- d: e\n",
                                      "\t\t:::\n :\n",
                                      "- \n-\n - x"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        put("recipe.yaml", odd[i]);
        run = look();
        crumb_run_free(&run);
    }
    drop("recipe.yaml");
}

static void test_result(void **state) {
    (void)state;
    put("result.json", "{\"name\":\"n\",\"model\":\"m\",\"val_top1\":90,\"best_top1\":91,\"epochs\":3,\"weight_bits\":2,"
                       "\"activation_bits\":99,"
                       "\"seconds\":null,\"figures\":{\"a.b\":1.5}}");
    crumb_run run = look();
    assert_true(run.finished && run.val_top1 == 90 && run.best_top1 == 91 && run.epochs == 3 && run.weight_bits == 2);
    assert_true(run.activation_bits == 0 && isnan(run.seconds) && run.figures == 1 && run.figure[0].epoch == -1);
    crumb_run_free(&run);
    static const char *const bad[] = {"", "{", "[]", "{\"val_top1\":\"x\"}", "\x00x"};
    static const char *const words[] = {"result.json is empty", "result.json: line 1", "not an object", "no val_top1", "empty"};
    for (int i = 0; i < 5; i++) {
        put("result.json", bad[i]);
        run = look();
        assert_true(notes(&run, words[i]) && isnan(run.val_top1));
        crumb_run_free(&run);
    }
    drop("result.json");
    put("best.safetensors", "\x02\x00\x00\x00");
    run = look();
    assert_true(notes(&run, "best.safetensors is damaged") && run.file_bytes == 0 && !run.any);
    crumb_run_free(&run);
    put("best.safetensors", "\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f{}"); /* a header longer than the file */
    run = look();
    assert_true(notes(&run, "best.safetensors is damaged"));
    crumb_run_free(&run);
    drop("best.safetensors");
}

/* ---- The report. */

static void put_hostile_run(void) {
    put("recipe.yaml", "name: \"<script>alert('1')</script> & `id`\"\nmodel:\n  name: a\"b\n");
    put("log.jsonl", "{\"phase\":\"<p>\",\"epoch\":1,\"val_top1\":50,\"loss\":1,\"lr\":0.1,\"figures\":{\"<f>\":1}}\nbroken\n"
                     "{\"phase\":\"</p>\",\"epoch\":2,\"val_top1\":60,\"loss\":0.5,\"lr\":1e300}\n");
    put("histograms.jsonl", HISTOGRAM("1", "<layer '`id`'>", BINS LEVELS ",\"quantizer\":\"<q>\",\"error\":1e300") "\n");
}

static void test_nothing(void **state) {
    (void)state;
    crumb_report *report;
    const char *none[] = {folder}, *missing[] = {"/nowhere/at/all"};
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "no run", crumb_report_open(ctx, none, 1, &report));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "/nowhere", crumb_report_open(ctx, missing, 1, &report));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "", crumb_report_open(ctx, missing, 0, &report));
}

static void test_json(void **state) {
    (void)state;
    crumb_report *report;
    char *text;
    const char *folders[] = {"/nowhere/at/all", folder};
    put_hostile_run();
    assert_ok(ctx, crumb_report_open(ctx, folders, 2, &report));
    assert_ok(ctx, crumb_report_json(report, &text));
    json_t *object = json_loads(text, 0, NULL);
    const json_t *run = json_array_get(json_object_get(object, "runs"), 0);
    assert_string_equal(crumb_json_text(run, "name"), "<script>alert('1')</script> & `id`");
    assert_true(crumb_json_real(run, "val_top1") == 60 && json_is_false(json_object_get(run, "finished")));
    assert_true(json_array_size(json_object_get(run, "problems")) == 1);
    json_decref(object);
    crumb_free(ctx, text);
    crumb_report_close(report);
}

static void test_page(void **state) {
    (void)state;
    char page[128];
    uint8_t *html;
    size_t size;
    crumb_report *report;
    const char *folders[] = {folder};
    if (!has_gnuplot()) {
        skip();
    }
    put_hostile_run();
    snprintf(page, sizeof(page), "%s/page.html", folder);
    assert_ok(ctx, crumb_report_open(ctx, folders, 1, &report));
    assert_ok(ctx, crumb_report_write(report, &(crumb_report_options){.title = "<T>", .epochs = 1, .epoch = {7}}, page));
    assert_ok(ctx, crumb_file_read(ctx, page, 0, &html, &size));
    const char *text = (const char *)html;
    static const char *const absent[] = {"<script", "</p>1",  "<T>",  "<f>",     "<q>", "<layer",
                                         "http:",   "https:", "src=", "@import", "url("};
    static const char *const present[] = {
        "&#60;script&#62;",        "&#60;T&#62;", "&#60;layer", "<svg", "prefers-color-scheme",
        "log.jsonl: 1 of 3 lines", "var(--plot-1"};
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        if (strstr(text, absent[i]) != NULL) {
            fail_msg("the page holds %s", absent[i]);
        }
    }
    for (size_t i = 0; i < sizeof(present) / sizeof(present[0]); i++) {
        if (strstr(text, present[i]) == NULL) {
            fail_msg("the page lacks %s", present[i]);
        }
    }
    crumb_free(ctx, html);
    assert_fails(ctx, CRUMB_ERROR_IO, "/proc/nowhere", crumb_report_write(report, NULL, "/proc/nowhere/page.html"));
    crumb_report_close(report);
    drop("page.html");
}

/* Without gnuplot there is an error and no page; the table is there all the same. */
static void test_no_gnuplot(void **state) {
    (void)state;
    char *path = strdup(getenv("PATH")), page[128];
    crumb_report *report;
    const char *folders[] = {folder};
    put_hostile_run();
    snprintf(page, sizeof(page), "%s/page.html", folder);
    setenv("PATH", "/nowhere", 1);
    assert_ok(ctx, crumb_report_open(ctx, folders, 1, &report));
    assert_fails(ctx, CRUMB_ERROR_UNSUPPORTED, "gnuplot-nox", crumb_report_write(report, NULL, page));
    assert_false(crumb_file_exists(page));
    crumb_report_close(report);
    setenv("PATH", path, 1);
    free(path);
}

static crumb_status memory_body(crumb_ctx *own, void *user) {
    (void)user;
    char page[128], *text;
    crumb_report *report;
    const char *folders[] = {folder, "/nowhere"};
    snprintf(page, sizeof(page), "%s/page.html", folder);
    CRUMB_TRY(crumb_report_open(own, folders, 2, &report));
    crumb_status status = crumb_report_json(report, &text);
    if (status == CRUMB_OK) {
        crumb_free(own, text);
        status = has_gnuplot() ? crumb_report_write(report, NULL, page) : CRUMB_OK;
    }
    crumb_report_close(report);
    return status;
}

static void test_memory_of(void **state) {
    (void)state;
    put("recipe.yaml", "name: x\ntrain:\n  epochs: 1\n");
    put("log.jsonl", "{\"phase\":\"a\",\"epoch\":1,\"loss\":1,\"figures\":{\"a\":1}}\nbroken\n");
    put("histograms.jsonl", HISTOGRAM("1", "a", BINS LEVELS) "\n");
    test_every_allocation(memory_body, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thin),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_hostile_log),
        cmocka_unit_test(test_histograms),
        cmocka_unit_test(test_hostile_histograms),
        cmocka_unit_test(test_recipe),
        cmocka_unit_test(test_result),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_no_gnuplot),
        cmocka_unit_test(test_memory_of),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
