/* Contours by their areas, levels, and the picture of a surface: well-formed, every model named, damaged files refused. */
#include "harness.h"

#include "base/file.h"
#include "crumb/report.h"
#include "crumb/train.h"
#include "report/contour.h"
#include "report/surface.h"

static crumb_ctx *ctx;

/* ---- Contours. */

/* Area of polygons "x y" a line, a blank line behind each (shoelace formula); *count of them. */
static double area(const char *text, int *count) {
    double total = 0, sum = 0, first_x = 0, first_y = 0, x = 0, y = 0, next_x, next_y;
    int corners = 0;
    *count = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (*line == '\n') {
            sum += x * first_y - first_x * y;
            assert_true(corners >= 3);
            total += sum / 2;
            sum = corners = 0;
            ++*count;
            continue;
        }
        assert_int_equal(sscanf(line, "%lf %lf", &next_x, &next_y), 2);
        if (corners++ == 0) {
            first_x = next_x;
            first_y = next_y;
        } else {
            sum += x * next_y - next_x * y;
        }
        x = next_x;
        y = next_y;
    }
    return total;
}

static double region(const crumb_field *field, double level, int *count) {
    crumb_text text = {.ctx = ctx};
    char *polygons;
    int said = crumb_contour_fill(&text, field, level);
    assert_ok(ctx, crumb_text_take(&text, &polygons));
    double found = area(polygons, count);
    assert_int_equal(said, *count);
    crumb_free(ctx, polygons);
    return found;
}

static void areas(void **state) {
    (void)state;
    const double x[] = {0, 1, 3, 4}, y[] = {-1, 0, 2};
    double z[12];
    int count;
    crumb_field field = {.columns = 4, .rows = 3, .x = x, .y = y, .z = z};
    for (int i = 0; i < 12; i++) {
        z[i] = x[i % 4]; /* a slope: the region above a level is a rectangle */
    }
    assert_true(fabs(region(&field, -INFINITY, &count) - 12) < 1e-9);
    assert_int_equal(count, 2); /* a rectangle a row */
    for (double level = 0.25; level < 4; level += 0.5) {
        assert_true(fabs(region(&field, level, &count) - 3 * (4 - level)) < 1e-4);
    }
    assert_true(region(&field, 4.5, &count) == 0 && count == 0);
    for (int i = 0; i < 12; i++) {
        z[i] = x[i % 4] + y[i / 4]; /* linear, so edges are straight: x + y >= 3 is (4,-1) (4,2) (1,2), 4.5 of 12 */
    }
    assert_true(fabs(region(&field, 3, &count) - 4.5) < 1e-4);
    for (int i = 0; i < 12; i++) {
        z[i] = -z[i];
    }
    assert_true(fabs(region(&field, -3, &count) - 7.5) < 1e-4);
    z[5] = NAN; /* counts as above everything: the four cells around it have it in a corner */
    assert_true(region(&field, 100, &count) >= 0 && count == 4);

    /* A saddle: two opposite corners of one cell. */
    const double unit[] = {0, 1}, saddle[] = {1, 0, 0, 1};
    field = (crumb_field){.columns = 2, .rows = 2, .x = unit, .y = unit, .z = saddle};
    assert_true(fabs(region(&field, 0.5, &count) - 0.75) < 1e-9); /* all but two corners of 1/8 */
}

static void levels(void **state) {
    (void)state;
    const double unit[] = {0, 1}, low[] = {1, 2, NAN, 1.5}, high[] = {100, 3, 2, 2};
    double level[CRUMB_LEVELS_MAX];
    crumb_field a = {.columns = 2, .rows = 2, .x = unit, .y = unit, .z = low}, b = a;
    b.z = high;
    assert_int_equal(crumb_contour_levels(&a, NULL, level), CRUMB_LEVELS_MAX);
    for (int k = 0; k < CRUMB_LEVELS_MAX; k++) { /* 1 to 2 in thirteen equal steps */
        assert_true(fabs(level[k] - (1 + (k + 1) / 13.0)) < 1e-12);
    }
    crumb_contour_levels(&a, &b, level); /* 1 to 100 in thirteen equal ratios */
    assert_true(fabs(level[0] - pow(100, 1 / 13.0)) < 1e-12 && fabs(level[11] - pow(100, 12 / 13.0)) < 1e-9);
    const double same[] = {5, 5, 5, 5}, none[] = {NAN, NAN, NAN, NAN}, zero[] = {0, 1, 4, 2};
    a.z = same;
    assert_int_equal(crumb_contour_levels(&a, NULL, level), 0);
    a.z = none;
    assert_int_equal(crumb_contour_levels(&a, NULL, level), 0);
    a.z = zero; /* no ratio to zero */
    crumb_contour_levels(&a, NULL, level);
    assert_true(fabs(level[0] - 4 / 13.0) < 1e-12);
}

/* ---- The picture. */

static char folder[64];

static const char *path(const char *name) {
    static char paths[4][128];
    static int next;
    char *at = paths[next++ % 4];
    snprintf(at, sizeof(paths[0]), "%s/%s", folder, name);
    return at;
}

static const char models[] = "[{\"file\":\"runs/it's/a<b>.safetensors\",\"x\":0,\"y\":0},{\"file\":\"b\",\"x\":0.5,\"y\":1},"
                             "{\"file\":\"c\",\"x\":1,\"y\":0}]";
static const char numbers[] = "{\"train_loss\":[[0.1,0.5],[null,1.5]],\"test_error\":[[8,9],[9.5,10]]}";

/* A surface.json; NULL leaves a part out. */
static const char *surface(const char *grid, const char *x, const char *model_list, const char *quantized,
                           const char *floating) {
    char text[2048];
    snprintf(text, sizeof(text), "{\"grid\":%s,\"x\":%s,\"y\":[-0.2,1.2],\"models\":%s%s%s%s%s}", grid, x, model_list,
             quantized != NULL ? ",\"quantized\":" : "", quantized != NULL ? quantized : "",
             floating != NULL ? ",\"float\":" : "", floating != NULL ? floating : "");
    const char *file = path("surface.json");
    assert_ok(ctx, crumb_file_write(ctx, file, text, strlen(text)));
    return file;
}

static void damaged_files_are_refused(void **state) {
    (void)state;
    crumb_surface_view *view = NULL;
    static const char good_x[] = "[-0.2,1.2]";
    const char *const cases[][6] = {
        {"grid", "1", good_x, models, numbers, numbers},
        {"grid", "100000", good_x, models, numbers, numbers},
        {"grid", "\"2\"", good_x, models, numbers, numbers},
        {"x", "2", "[0]", models, numbers, numbers},
        {"x", "2", "[1,0]", models, numbers, numbers},
        {"x", "2", "[0,null]", models, numbers, numbers},
        {"models", "2", good_x, "[]", numbers, numbers},
        {"models", "2", good_x, "[1,2,3]", numbers, numbers},
        {"train_loss", "2", good_x, models, numbers, NULL},
        {"train_loss", "2", good_x, models, "7", numbers},
        {"train_loss", "2", good_x, models, numbers, "{\"train_loss\":[[1,2]]}"},
        {"train_loss", "2", good_x, models, numbers, "{\"train_loss\":[[1,2],[1,\"x\"]]}"},
        {"test_error", "2", good_x, models, numbers, "{\"train_loss\":[[1,2],[1,2]]}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const *c = cases[i];
        assert_fails(ctx, CRUMB_ERROR_FORMAT, c[0], crumb_surface_read(ctx, surface(c[1], c[2], c[3], c[4], c[5]), &view));
        assert_null(view);
    }
    assert_ok(ctx, crumb_file_write(ctx, path("x.json"), "[1", 2));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "x.json", crumb_surface_read(ctx, path("x.json"), &view));
    assert_fails(ctx, CRUMB_ERROR_IO, "none.json", crumb_surface_read(ctx, path("none.json"), &view));
}

static crumb_status make_script(crumb_ctx *own, void *user) {
    crumb_plot plot = {.standalone = true};
    crumb_surface_view *view;
    CRUMB_TRY(crumb_surface_read(own, user, &view));
    crumb_status status = crumb_surface_plot(view, -1, -1, &plot);
    assert_true(status != CRUMB_OK || (plot.width > 100 && plot.height > 100));
    crumb_free(own, (char *)plot.script);
    crumb_surface_forget(view);
    return status;
}

static void every_allocation(void **state) {
    (void)state;
    char file[128];
    snprintf(file, sizeof(file), "%s", surface("2", "[-0.2,1.2]", models, numbers, numbers));
    test_every_allocation(make_script, file);
}

static bool svg_holds(const char *words) {
    uint8_t *text;
    size_t size;
    assert_ok(ctx, crumb_file_read(ctx, path("s.svg"), 0, &text, &size));
    bool found = strstr((const char *)text, words) != NULL;
    crumb_free(ctx, text);
    return found;
}

static void draws(void **state) {
    (void)state;
    if (system("gnuplot --version >/dev/null 2>&1") != 0) {
        print_message("no gnuplot here\n");
        skip();
    }
    static const char flat[] = "{\"train_loss\":[[1,1],[1,1]],\"test_error\":[[null,null],[null,null]]}";
    assert_ok(ctx, crumb_surface_draw(ctx, surface("2", "[-0.2,1.2]", models, numbers, numbers), path("s.svg")));
    assert_true(svg_holds("A: runs/it's/a&lt;b") || svg_holds("A: runs/it&#39;s/a&#60;b"));
    assert_true(svg_holds("quantized weights") && svg_holds("float weights") && svg_holds("Test error"));
    assert_true(svg_holds("<title"));
    char command[300];
    snprintf(command, sizeof(command), "! command -v xmllint >/dev/null || xmllint --noout '%s'", path("s.svg"));
    assert_int_equal(system(command), 0);
    assert_ok(ctx, crumb_surface_draw(ctx, surface("2", "[-0.2,1.2]", models, NULL, flat), path("s.svg")));
    assert_false(svg_holds("quantized weights"));
    assert_fails(ctx, CRUMB_ERROR_IO, "nowhere", crumb_surface_draw(ctx, path("surface.json"), path("nowhere/s.svg")));
}

/* One panel has the same colours as in the picture of all: the levels are those of both domains. */
static void panels_share_their_levels(void **state) {
    (void)state;
    crumb_surface_view *view;
    static const char low[] = "{\"train_loss\":[[1,2],[1,2]],\"test_error\":[[1,2],[1,2]]}";
    static const char high[] = "{\"train_loss\":[[1,64],[1,64]],\"test_error\":[[1,64],[1,64]]}";
    assert_ok(ctx, crumb_surface_read(ctx, surface("2", "[-0.2,1.2]", models, low, high), &view));
    crumb_plot all = {0}, left = {0}, right = {0};
    assert_ok(ctx, crumb_surface_plot(view, -1, -1, &all));
    assert_ok(ctx, crumb_surface_plot(view, 1, 0, &left));
    assert_ok(ctx, crumb_surface_plot(view, 1, 1, &right));
    assert_true(left.width < all.width && left.height < all.height && left.width == right.width);
    const crumb_plot *const plots[] = {&all, &left, &right};
    for (int i = 0; i < 3; i++) { /* 64^(1/13) and 64^(12/13) */
        assert_non_null(strstr(plots[i]->script, "'1.38' 1"));
        assert_non_null(strstr(plots[i]->script, "'46.5' 12"));
        crumb_free(ctx, (char *)plots[i]->script);
    }
    crumb_surface_forget(view);
}

/* Planes that are flat or steep keep panels that can be read. */
static void planes_of_any_proportions(void **state) {
    (void)state;
    static const char *const axes[] = {"[0,1e-4]", "[0,0.3]", "[0,1e4]"};
    for (int i = 0; i < 3; i++) {
        crumb_surface_view *view;
        crumb_plot plot = {0};
        assert_ok(ctx, crumb_surface_read(ctx, surface("2", axes[i], models, numbers, numbers), &view));
        assert_ok(ctx, crumb_surface_plot(view, 0, 0, &plot));
        assert_true(plot.width >= 300 && plot.width <= 520 && plot.height >= 260 && plot.height <= 580);
        crumb_free(ctx, (char *)plot.script);
        crumb_surface_forget(view);
    }
}

static crumb_status report_on(crumb_ctx *own, void *user) {
    crumb_report *report;
    char *json = NULL;
    const char *const folders[] = {user};
    CRUMB_TRY(crumb_report_open(own, folders, 1, &report));
    crumb_status status = crumb_report_json(report, &json);
    if (status == CRUMB_OK) {
        assert_non_null(strstr(json, "\"surfaces\""));
        assert_non_null(strstr(json, "A: runs/it's/a<b>.safetensors"));
    }
    crumb_text_free(own, json);
    crumb_report_close(report);
    return status;
}

/* A folder with nothing but a surface makes a page, a damaged one is said. */
static void report_has_it(void **state) {
    (void)state;
    crumb_report *report;
    const char *const folders[] = {folder};
    surface("2", "[-0.2,1.2]", models, numbers, numbers);
    test_every_allocation(report_on, folder);
    if (system("gnuplot --version >/dev/null 2>&1") == 0) {
        assert_ok(ctx, crumb_report_open(ctx, folders, 1, &report));
        assert_ok(ctx, crumb_report_write(report, NULL, path("s.svg"))); /* a page, whatever it is called */
        crumb_report_close(report);
        assert_true(svg_holds("<h2>Loss surface</h2>") && svg_holds("float weights") && svg_holds("p4-title"));
        assert_true(svg_holds("/a&#60;b&#62;"));
        assert_false(svg_holds("Not drawn"));
    }
    surface("3", "[-0.2,1.2]", models, numbers, numbers);
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "surface.json: no surface: x is missing",
                 crumb_report_open(ctx, folders, 1, &report));
}

static int setup(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "%s", test_folder());
    return crumb_ctx_create(&ctx, NULL) == CRUMB_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    crumb_ctx_destroy(ctx);
    snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas),
        cmocka_unit_test(levels),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(draws),
        cmocka_unit_test(panels_share_their_levels),
        cmocka_unit_test(planes_of_any_proportions),
        cmocka_unit_test(report_has_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
