/* Pictures: what gnuplot draws becomes a clean SVG element; text from outside is never executed. */
#include "harness.h"
#include "report/plot.h"

#include <sys/stat.h>

static crumb_ctx *ctx;

static bool has_gnuplot(void) {
    return system("gnuplot --version >/dev/null 2>&1") == 0;
}

static int open_ctx(void **state) {
    (void)state;
    return crumb_ctx_create(&ctx, NULL) == CRUMB_OK ? 0 : -1;
}

static int close_ctx(void **state) {
    (void)state;
    crumb_ctx_destroy(ctx);
    return 0;
}

static crumb_plot small(const char *script) {
    return (crumb_plot){.id = "small", .title = "A & B", .description = "rises", .width = 300, .height = 200, .script = script};
}

static bool holds(const char *text, const char *part) {
    return strstr(text, part) != NULL;
}

static void test_text(void **state) {
    (void)state;
    crumb_text text = {.ctx = ctx};
    char *got;
    crumb_plot_text(&text, "it's `id`\n$x \"q\" \\\xff\xc3\xa9");
    assert_ok(ctx, crumb_text_take(&text, &got));
    assert_string_equal(got, "'it''s `id` $x \"q\" \\?\xc3\xa9'");
    crumb_free(ctx, got);
}

static void test_xml(void **state) {
    (void)state;
    crumb_text text = {.ctx = ctx};
    char *got;
    crumb_xml_text(&text, "<a href='x'>&\"\x01\xff\xed\xa0\x80\xc3\xa9\n");
    assert_ok(ctx, crumb_text_take(&text, &got));
    assert_string_equal(got,
                        "&#60;a href=&#39;x&#39;&#62;&#38;&#34;\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                        "\xc3\xa9\n");
    crumb_free(ctx, got);
}

/* What the cleaning does to each construct, without gnuplot. */
static const char raw_svg[] =
    "<?xml version=\"1.0\"?>\n<svg width=\"3\">\n<title>Gnuplot</title>\n<desc>Produced by</desc>\n<g id=\"gnuplot_canvas\">\n"
    "<defs>\n\t<circle id='gpDot' r='0.5'/>\n\t<path id='gpPt0' d='M-1,0'/>\n\t<filter id='textbox'/>\n</defs>\n"
    "<g fill=\"none\" color=\"black\">\n</g>\n\t<g id=\"gnuplot_plot_1\" ><title>gnuplot_plot_1</title>\n"
    "<g fill=\"none\" color=\"black\" stroke=\"black\"><path stroke='rgb(249,   3,  16)' class=\"gridline\" d='M1'/>"
    "<use xlink:href='#gpPt0' color='rgb( 10,  20,  30)'/><text>rgb(249,3,16) a &lt;b> gpPt0</text></g>\n\t</g>\n"
    "</g>\n</svg>\n";

static void test_clean(void **state) {
    (void)state;
    char *svg;
    crumb_plot plot = small("");
    assert_ok(ctx, crumb_plot_clean(ctx, &plot, raw_svg, &svg));
    assert_string_equal(svg,
                        "<svg class=\"plot\" width=\"300\" height=\"200\" viewBox=\"0 0 300 200\" role=\"img\" "
                        "aria-labelledby=\"small-title small-desc\">\n<title id=\"small-title\">A &#38; B</title>\n"
                        "<desc id=\"small-desc\">rises</desc>\n<defs>\n<circle id='small-gpDot' r='0.5'/>\n"
                        "<path id='small-gpPt0' d='M-1,0'/>\n</defs>\n<g ><g fill=\"none\" stroke=\"currentColor\">"
                        "<path stroke='var(--plot-1,#2463c9)' d='M1'/><use href='#small-gpPt0' color='rgb( 10,  20,  30)'/>"
                        "<text>rgb(249,3,16) a &lt;b> gpPt0</text></g>\n</g>\n</svg>\n");
    crumb_free(ctx, svg);
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "small", crumb_plot_clean(ctx, &plot, "", &svg));
    for (size_t size = 0; size < sizeof(raw_svg) - 10; size++) { /* cut anywhere before its end: refused, not read past */
        char cut[sizeof(raw_svg)];
        memcpy(cut, raw_svg, size);
        cut[size] = '\0';
        assert_int_equal(crumb_plot_clean(ctx, &plot, cut, &svg), CRUMB_ERROR_FORMAT);
    }
}

static void test_drawn(void **state) {
    (void)state;
    if (!has_gnuplot()) {
        skip();
    }
    char *svg;
    crumb_plot plot = small("set title 'x < y'\n$d << EOD\n1 2\n2 4\nEOD\nplot $d using 1:2 with linespoints lt 2 notitle\n");
    assert_ok(ctx, crumb_plot_svg(ctx, &plot, &svg));
    assert_true(holds(svg, "var(--plot-2,") && holds(svg, "var(--plot-muted,") && holds(svg, "x &lt; y"));
    assert_false(holds(svg, "GNUPLOT") || holds(svg, "249") || holds(svg, "xlink") || holds(svg, "http"));
    assert_true(holds(svg, "id='small-gpPt7'") && !holds(svg, "'gpPt"));
    crumb_free(ctx, svg);
    plot.standalone = true;
    assert_ok(ctx, crumb_plot_svg(ctx, &plot, &svg));
    assert_true(holds(svg, "<?xml") && holds(svg, "xmlns=") && holds(svg, "prefers-color-scheme") && holds(svg, "--plot-2:"));
    crumb_free(ctx, svg);
}

static void test_refused(void **state) {
    (void)state;
    if (!has_gnuplot()) {
        skip();
    }
    char *svg;
    crumb_plot plot = small("plot x y z\n");
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "unexpected", crumb_plot_svg(ctx, &plot, &svg));
    plot.script = "set grid\n";
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "no picture", crumb_plot_svg(ctx, &plot, &svg));
}

/* Backquotes, quotes and line ends in names neither run nor break anything. */
static void test_hostile(void **state) {
    (void)state;
    if (!has_gnuplot()) {
        skip();
    }
    char mark[80], name[512], *script, *svg;
    snprintf(mark, sizeof(mark), "%s/mark", test_folder());
    snprintf(name, sizeof(name), "`touch %s`' ; system('touch %s') #\n!touch %s\n\"`touch %s`\" @x $y", mark, mark, mark, mark);
    crumb_text text = {.ctx = ctx};
    crumb_text_print(&text, "set title ");
    crumb_plot_text(&text, name);
    crumb_text_print(&text, "\n$d << EOD\n1 2 `touch %s`\n2 3\nEOD\nplot $d using 1:2 with lines title ", mark);
    crumb_plot_text(&text, name);
    assert_ok(ctx, crumb_text_take(&text, &script));
    crumb_plot plot = small(script);
    assert_ok(ctx, crumb_plot_svg(ctx, &plot, &svg));
    struct stat info;
    assert_int_not_equal(stat(mark, &info), 0);
    assert_true(holds(svg, "`touch"));
    crumb_free(ctx, svg);
    crumb_free(ctx, script);
}

static void test_missing(void **state) {
    (void)state;
    char *path = strdup(getenv("PATH")), *svg;
    assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
    crumb_plot plot = small("plot x\n");
    assert_fails(ctx, CRUMB_ERROR_UNSUPPORTED, "gnuplot-nox", crumb_plot_svg(ctx, &plot, &svg));
    setenv("PATH", path, 1);
    free(path);
}

static crumb_status clean_body(crumb_ctx *own, void *user) {
    (void)user;
    char *svg;
    crumb_plot plot = small("");
    CRUMB_TRY(crumb_plot_clean(own, &plot, raw_svg, &svg));
    crumb_free(own, svg);
    return CRUMB_OK;
}

static crumb_status draw_body(crumb_ctx *own, void *user) {
    (void)user;
    char *svg;
    crumb_plot plot = small("plot [0:1] x notitle\n");
    CRUMB_TRY(crumb_plot_svg(own, &plot, &svg));
    crumb_free(own, svg);
    return CRUMB_OK;
}

static void test_memory_of(void **state) {
    (void)state;
    test_every_allocation(clean_body, NULL);
    if (has_gnuplot()) {
        test_every_allocation(draw_body, NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),    cmocka_unit_test(test_xml),       cmocka_unit_test(test_clean),
        cmocka_unit_test(test_drawn),   cmocka_unit_test(test_refused),   cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_missing), cmocka_unit_test(test_memory_of),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
