/* What `crumb compare` found: reading compare.json, the verdicts as a table, the differences as a picture. */
#include "base/file.h"
#include "report/json.h"
#include "report/page.h"

#include <stdio.h>
#include <string.h>

enum { VARIANTS_MAX = 64, FILE_MAX = 16 << 20 };

/* ---- Reading. */

static void copy_text(char *to, size_t size, const char *text) {
    snprintf(to, size, "%s", text != NULL ? text : "");
}

static void take_variant(const json_t *object, crumb_report_variant *variant) {
    const json_t *top1 = json_object_get(object, "top1");
    copy_text(variant->name, sizeof(variant->name), crumb_json_text(object, "name"));
    copy_text(variant->verdict, sizeof(variant->verdict), crumb_json_text(object, "verdict"));
    variant->mean = crumb_json_real(object, "mean");
    variant->deviation = crumb_json_real(object, "deviation");
    variant->difference = crumb_json_real(object, "difference");
    variant->low = crumb_json_real(object, "low");
    variant->high = crumb_json_real(object, "high");
    variant->seconds = crumb_json_real(object, "seconds");
    variant->epochs = crumb_json_whole(object, "epochs", 0, INT64_MAX, 0);
    variant->images = crumb_json_whole(object, "images", 0, INT64_MAX, 0);
    variant->weight_bits = (int)crumb_json_whole(object, "weight_bits", 1, 32, 0);
    variant->activation_bits = (int)crumb_json_whole(object, "activation_bits", 1, 32, 0);
    for (size_t s = 0; s < json_array_size(top1) && s < CRUMB_COMPARE_SEEDS; s++) {
        const json_t *item = json_array_get(top1, s);
        double value = json_is_number(item) ? json_number_value(item) : NAN;
        variant->top1[variant->seeds++] = isfinite(value) ? value : NAN;
    }
}

static crumb_status take_comparison(crumb_report *report, const char *folder, const json_t *object) {
    const json_t *variants = json_object_get(object, "variants");
    size_t count = json_array_size(variants);
    if (count == 0 || count > VARIANTS_MAX) {
        crumb_text_print(&report->notes, "%s/compare.json: %zu variants, expected 1 to %d\n", folder, count, VARIANTS_MAX);
        return CRUMB_OK;
    }
    crumb_comparison_view *view = &report->comparison[report->comparisons];
    view->variant = crumb_alloc(report->ctx, count, sizeof(*view->variant));
    if (view->variant == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    report->comparisons++;
    view->variants = (int)count;
    copy_text(view->folder, sizeof(view->folder), folder);
    copy_text(view->control, sizeof(view->control), crumb_json_text(object, "control"));
    copy_text(view->measure, sizeof(view->measure), crumb_json_text(object, "measure"));
    for (size_t v = 0; v < count; v++) {
        take_variant(json_array_get(variants, v), &view->variant[v]);
        view->variant[v].colour = (int)v + 1;
    }
    return CRUMB_OK;
}

crumb_status crumb_comparison_view_read(crumb_report *report, const char *folder, bool *found) {
    char path[4096 + 32];
    uint8_t *data;
    size_t size;
    json_error_t error;
    int before = report->comparisons;
    snprintf(path, sizeof(path), "%s/compare.json", folder);
    *found = false;
    if (!crumb_file_exists(path)) {
        return CRUMB_OK;
    }
    crumb_status status = crumb_file_read(report->ctx, path, FILE_MAX, &data, &size);
    if (status != CRUMB_OK) {
        crumb_text_print(&report->notes, "%s\n", status != CRUMB_ERROR_MEMORY ? crumb_message(report->ctx) : "");
        return status == CRUMB_ERROR_MEMORY ? status : CRUMB_OK;
    }
    json_t *object = json_loadb((const char *)data, size, 0, &error);
    crumb_free(report->ctx, data);
    if (json_is_object(object)) {
        status = take_comparison(report, folder, object);
    } else {
        crumb_text_print(&report->notes, "%s: line %d: %s\n", path, error.line, object != NULL ? "not an object" : error.text);
    }
    json_decref(object);
    *found = report->comparisons > before;
    return status;
}

/* ---- Showing. */

static void print_rows(crumb_page *page, const crumb_comparison_view *view) {
    char text[CRUMB_PAGE_BITS];
    for (int v = 0; v < view->variants; v++) {
        const crumb_report_variant *variant = &view->variant[v];
        crumb_text_print(&page->html, "<tr><th scope=\"row\">");
        crumb_page_key(page, variant->colour);
        crumb_page_text(page, variant->name);
        crumb_text_print(&page->html, "</th>");
        crumb_page_cell(page, crumb_page_bits(variant->weight_bits, variant->activation_bits, text));
        crumb_page_number(page, variant->mean, 2);
        crumb_page_number(page, variant->deviation, 2);
        crumb_text_print(&page->html, "<td>%d</td>", variant->seeds);
        if (isfinite(variant->difference)) {
            crumb_text_print(&page->html, "<td>%+.2f</td>", variant->difference);
        } else {
            crumb_page_number(page, NAN, 2);
        }
        if (isfinite(variant->low) && isfinite(variant->high)) {
            crumb_text_print(&page->html, "<td>%+.2f to %+.2f</td>", variant->low, variant->high);
        } else {
            crumb_page_number(page, NAN, 2);
        }
        crumb_text_print(&page->html, "<td class=\"left\">");
        crumb_page_text(page, variant->verdict);
        crumb_text_print(&page->html, "</td></tr>\n");
    }
}

/* Differences with their intervals, a row a variant, the control's at the top left out. */
static crumb_status draw(crumb_page *page, const crumb_comparison_view *view) {
    crumb_text script = {.ctx = page->ctx}, tics = {.ctx = page->ctx}, data = {.ctx = page->ctx};
    int rows = 0;
    for (int v = 0; v < view->variants; v++) {
        const crumb_report_variant *variant = &view->variant[v];
        if (!isfinite(variant->difference) || strcmp(variant->name, view->control) == 0) {
            continue;
        }
        bool interval = isfinite(variant->low) && isfinite(variant->high);
        char name[32];
        snprintf(name, sizeof(name), "%.17s%s", variant->name, strlen(variant->name) > 17 ? ".." : "");
        crumb_text_print(&tics, "%s", rows > 0 ? ", " : "");
        crumb_plot_text(&tics, name);
        crumb_text_print(&tics, " %d", -rows);
        crumb_text_print(&data, "%.6g %d %.6g %.6g %d\n", variant->difference, -rows,
                         interval ? variant->low : variant->difference, interval ? variant->high : variant->difference,
                         0x10 + (variant->colour - 1) % CRUMB_PLOT_SERIES);
        rows++;
    }
    crumb_text_bytes(&tics, "", 0);
    crumb_text_bytes(&data, "", 0);
    crumb_status status = tics.status == CRUMB_OK ? data.status : tics.status;
    if (status == CRUMB_OK && rows > 0) {
        crumb_text_print(&script,
                         "set border 1\nset yrange [%g:0.6]\nset ytics (%s) scale 0 font ',11'\nunset grid\nset grid x lt 1 lc "
                         "rgb " CRUMB_PLOT_GRID
                         "\nset format x '%%+g'\nset lmargin at screen 0.32\nset rmargin at screen 0.96\n"
                         "set arrow from 0,graph 0 to 0,graph 1 nohead lc rgb " CRUMB_PLOT_MUTED "\n$d << EOD\n%sEOD\n"
                         "set autoscale xfix\nset offsets graph 0.05, graph 0.05, 0, 0\n"
                         "plot $d using 1:2:3:4:(0xf90300+$5) with xerrorbars lt 1 lw 2 pt 7 ps 0.8 lc rgb variable notitle, "
                         "(0) with lines lc rgb " CRUMB_PLOT_MUTED " lw 0.01 notitle\n",
                         -rows + 0.4, tics.at, data.at);
        crumb_plot plot = {.title = "Difference of top-1 to the control, with 95 % intervals",
                           .width = 420,
                           .height = 56 + 30 * rows,
                           .script = script.at};
        status = script.status == CRUMB_OK ? crumb_page_picture(page, &plot,
                                                                "Difference to the control <small>points of top-1, 95 "
                                                                "% interval over the seeds</small>")
                                           : script.status;
    }
    crumb_free(page->ctx, script.at);
    crumb_free(page->ctx, tics.at);
    crumb_free(page->ctx, data.at);
    return status;
}

crumb_status crumb_section_comparisons(crumb_page *page) {
    for (int i = 0; i < page->report->comparisons; i++) {
        const crumb_comparison_view *view = &page->report->comparison[i];
        crumb_text_print(&page->html, "<section><h2>Comparison</h2>\n<p class=\"lead\">");
        crumb_page_text(page, view->folder);
        crumb_text_print(&page->html, ": top-1 of the %s epoch in %%, against the control <b>",
                         strcmp(view->measure, "best") == 0 ? "best" : "last");
        crumb_page_text(page, view->control);
        crumb_text_print(&page->html,
                         "</b>. A verdict needs a 95 %% interval of the paired differences that leaves out 0.</p>\n"
                         "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Comparison\"><table><thead><tr>"
                         "<th scope=\"col\">Variant</th><th scope=\"col\">Bits</th><th scope=\"col\">Mean</th>"
                         "<th scope=\"col\">Deviation</th><th scope=\"col\">Seeds</th><th scope=\"col\">Difference</th>"
                         "<th scope=\"col\">Interval</th><th scope=\"col\" class=\"left\">Verdict</th></tr></thead><tbody>\n");
        print_rows(page, view);
        crumb_text_print(&page->html, "</tbody></table></div>\n<div class=\"figures\">\n");
        CRUMB_TRY(draw(page, view));
        crumb_text_print(&page->html, "</div></section>\n");
    }
    return CRUMB_OK;
}
