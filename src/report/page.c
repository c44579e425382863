/* The page: its frame, the result table, what was wrong, the recipes. HTML that is also well-formed XML. */
#include "report/page.h"

#include "base/file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Parts of a page. */

void crumb_page_text(crumb_page *page, const char *text) {
    crumb_xml_text(&page->html, text);
}

void crumb_page_key(crumb_page *page, int colour) {
    crumb_text_print(&page->html, "<span class=\"key k%d%s\"></span>", (colour - 1) % CRUMB_PLOT_SERIES + 1,
                     (colour - 1) / CRUMB_PLOT_SERIES % 2 != 0 ? " dash" : "");
}

void crumb_page_label(crumb_page *page, const crumb_run *run) {
    crumb_page_key(page, run->colour);
    crumb_page_text(page, run->label);
}

void crumb_page_group(crumb_page *page, const crumb_run *run) {
    crumb_page_key(page, run->colour);
    crumb_page_text(page, run->variant[0] != '\0' ? run->variant : run->label);
}

void crumb_page_number(crumb_page *page, double value, int decimals) {
    if (isfinite(value)) {
        crumb_text_print(&page->html, "<td>%.*f</td>", decimals, value);
    } else {
        crumb_text_print(&page->html, "<td class=\"quiet\">\xe2\x80\x93</td>");
    }
}

void crumb_page_cell(crumb_page *page, const char *text) {
    crumb_text_print(&page->html, "<td%s>", text[0] == '\0' ? " class=\"quiet\"" : "");
    crumb_page_text(page, text[0] != '\0' ? text : "\xe2\x80\x93");
    crumb_text_print(&page->html, "</td>");
}

const char *crumb_page_bits(int weight_bits, int activation_bits, char text[CRUMB_PAGE_BITS]) {
    if (weight_bits == 0) {
        text[0] = '\0';
    } else if (weight_bits == 32 && (activation_bits == 32 || activation_bits == 0)) {
        snprintf(text, CRUMB_PAGE_BITS, "float");
    } else {
        snprintf(text, CRUMB_PAGE_BITS, activation_bits > 0 ? "W%d A%d" : "W%d", weight_bits, activation_bits);
    }
    return text;
}

/* "1.2 MB" */
static const char *bytes_text(double bytes, char text[CRUMB_PAGE_BITS]) {
    const char *const units[] = {"B", "kB", "MB", "GB"};
    int unit = 0;
    while (bytes >= 999.5 && unit < 3) {
        bytes /= 1000;
        unit++;
    }
    text[0] = '\0';
    if (isfinite(bytes) && bytes > 0) {
        snprintf(text, CRUMB_PAGE_BITS, "%.*f %s",
                 unit == 0 || bytes >= 99.95 ? 0
                 : bytes >= 9.995            ? 1
                                             : 2,
                 bytes, units[unit]);
    }
    return text;
}

bool crumb_is_repeated(const crumb_report *report, int which) {
    const crumb_run *run = &report->run[which];
    return which > 0 && run->variant[0] != '\0' && strcmp(run->variant, run[-1].variant) == 0;
}

static const char *duration(double seconds, char text[CRUMB_PAGE_BITS]) {
    text[0] = '\0';
    if (isfinite(seconds) && seconds >= 0 && seconds < 1e9) {
        long whole = lround(seconds);
        if (whole >= 3600) {
            snprintf(text, CRUMB_PAGE_BITS, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
        } else {
            snprintf(text, CRUMB_PAGE_BITS, "%ld:%02ld", whole / 60, whole % 60);
        }
    }
    return text;
}

double crumb_nice_step(double range, int most) {
    double least = range / most, ten = pow(10, floor(log10(least)));
    return least <= ten ? ten : least <= 2 * ten ? 2 * ten : least <= 5 * ten ? 5 * ten : 10 * ten;
}

crumb_status crumb_page_picture(crumb_page *page, crumb_plot *plot, const char *caption) {
    char id[32], *svg = NULL;
    snprintf(id, sizeof(id), "p%d", ++page->pictures);
    plot->id = id;
    crumb_status status = crumb_plot_svg(page->ctx, plot, &svg);
    if (status != CRUMB_OK && status != CRUMB_ERROR_FORMAT) {
        return status;
    }
    crumb_text_print(&page->html, "<figure><figcaption>%s</figcaption>\n", caption);
    if (svg != NULL) {
        crumb_text_bytes(&page->html, svg, strlen(svg));
    } else {
        crumb_text_print(&page->html, "<p class=\"problem\">Not drawn: ");
        crumb_page_text(page, crumb_message(page->ctx));
        crumb_text_print(&page->html, "</p>");
    }
    crumb_text_print(&page->html, "</figure>\n");
    crumb_free(page->ctx, svg);
    plot->id = NULL;
    return page->html.status;
}

/* ---- Results. */

static void print_run(crumb_page *page, const crumb_run *run) {
    char text[CRUMB_PAGE_BITS];
    crumb_text_print(&page->html, "<tr><th scope=\"row\">");
    crumb_page_label(page, run);
    crumb_text_print(&page->html, run->finished ? "</th>" : "<span class=\"tag\">unfinished</span></th>");
    crumb_page_number(page, run->val_top1, 2);
    crumb_page_number(page, run->best_top1, 2);
    crumb_page_cell(page, crumb_page_bits(run->weight_bits, run->activation_bits, text));
    crumb_page_number(page, run->direct_top1, 2);
    crumb_page_number(page, run->float_top1, 2);
    crumb_page_cell(page, run->model);
    crumb_text_print(&page->html, "<td>%" PRId64 "</td>", run->epochs);
    crumb_page_cell(page, duration(run->seconds, text));
    crumb_page_number(page, run->speed, 0);
    crumb_page_cell(page, bytes_text((double)run->file_bytes, text));
    crumb_page_cell(page, bytes_text(run->packed_bytes, text));
    crumb_text_print(&page->html, "</tr>\n");
}

static void print_notes(crumb_page *page, const char *label, const crumb_text *notes) {
    for (const char *at = notes->at; at != NULL && *at != '\0';) {
        char line[1200];
        size_t length = strcspn(at, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)(length < 1100 ? length : 1100), at);
        crumb_text_print(&page->html, "<li>");
        if (label != NULL) {
            crumb_text_print(&page->html, "<b>");
            crumb_page_text(page, label);
            crumb_text_print(&page->html, "</b>: ");
        }
        crumb_page_text(page, line);
        crumb_text_print(&page->html, "</li>\n");
        at += length + (at[length] == '\n');
    }
}

static void print_problems(crumb_page *page) {
    const crumb_report *report = page->report;
    bool any = report->notes.length > 0;
    for (int i = 0; i < report->runs; i++) {
        any = any || report->run[i].notes.length > 0;
    }
    if (!any) {
        return;
    }
    crumb_text_print(&page->html, "<ul class=\"problem\">\n");
    print_notes(page, NULL, &report->notes);
    for (int i = 0; i < report->runs; i++) {
        print_notes(page, report->run[i].label, &report->run[i].notes);
    }
    crumb_text_print(&page->html, "</ul>\n");
}

/* Where the numbers of one row are of different images. */
static void print_holdout(crumb_page *page) {
    for (int i = 0; i < page->report->runs; i++) {
        const char *holdout = crumb_run_key(&page->report->run[i], "data.holdout");
        if (holdout != NULL && strcmp(holdout, "0") != 0 && page->report->run[i].finished) {
            crumb_text_print(&page->html,
                             "<p class=\"quiet\">Where training images were held out (data.holdout), <em>last</em> is of the "
                             "test set, seen once; <em>best</em> and the curves are of the images held out.</p>\n");
            return;
        }
    }
}

/* What strategies reported, a table a run. */
static void print_figures(crumb_page *page) {
    for (int i = 0; i < page->report->runs; i++) {
        const crumb_run *run = &page->report->run[i];
        if (run->figures == 0) {
            continue;
        }
        crumb_text_print(&page->html, "<details%s><summary>", page->report->runs == 1 ? " open=\"open\"" : "");
        crumb_page_label(page, run);
        crumb_text_print(&page->html,
                         " <small>what its strategies report</small></summary>\n<div class=\"scroll\" tabindex=\"0\" "
                         "role=\"region\" aria-label=\"Figures\"><table><thead><tr><th scope=\"col\">Figure</th>"
                         "<th scope=\"col\">Value</th><th scope=\"col\">Epoch</th></tr></thead><tbody>\n");
        for (int k = 0; k < run->figures; k++) {
            const crumb_run_figure *figure = &run->figure[k];
            crumb_text_print(&page->html, "<tr><th scope=\"row\">");
            crumb_page_text(page, figure->name);
            crumb_text_print(&page->html, "</th><td>%.6g</td>", figure->value);
            crumb_page_number(page, figure->epoch >= 0 ? (double)figure->epoch : NAN, 0);
            crumb_text_print(&page->html, "</tr>\n");
        }
        crumb_text_print(&page->html, "</tbody></table></div></details>\n");
    }
}

crumb_status crumb_section_results(crumb_page *page) {
    const crumb_report *report = page->report;
    if (report->runs > 0) {
        crumb_text_print(&page->html,
                         "<section><h2>Results</h2>\n"
                         "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Results\"><table><thead><tr>"
                         "<th scope=\"col\">Run</th><th scope=\"col\">Top-1<br/><small>last, %%</small></th>"
                         "<th scope=\"col\">Top-1<br/><small>best, %%</small></th><th scope=\"col\">Bits</th>"
                         "<th scope=\"col\">Direct<br/><small>untrained, %%</small></th>"
                         "<th scope=\"col\">Float<br/><small>initial, %%</small></th><th scope=\"col\">Network</th><th "
                         "scope=\"col\">Epochs</th>"
                         "<th scope=\"col\">Time</th><th scope=\"col\">Images/s</th>"
                         "<th scope=\"col\">File<br/><small>floats</small></th>"
                         "<th scope=\"col\">Weights<br/><small>at their bits</small></th></tr></thead><tbody>\n");
        for (int i = 0; i < report->runs; i++) {
            print_run(page, &report->run[i]);
        }
        crumb_text_print(&page->html, "</tbody></table></div>\n");
    }
    print_holdout(page);
    print_figures(page);
    print_problems(page);
    crumb_text_print(&page->html, report->runs > 0 ? "</section>\n" : "");
    return page->html.status;
}

/* ---- Recipes. */

/* True if not all runs that have a recipe agree on the key. */
static bool differs(const crumb_report *report, const char *path) {
    const char *first = NULL;
    bool seen = false;
    for (int i = 0; i < report->runs; i++) {
        const char *value = crumb_run_key(&report->run[i], path);
        if (report->run[i].keys == 0 || crumb_is_repeated(report, i)) {
            continue;
        }
        if (seen && ((value == NULL) != (first == NULL) || (value != NULL && strcmp(value, first) != 0))) {
            return true;
        }
        first = value;
        seen = true;
    }
    return false;
}

static bool listed_before(const crumb_report *report, int which, const char *path) {
    for (int i = 0; i < which; i++) {
        if (crumb_run_key(&report->run[i], path) != NULL) {
            return true;
        }
    }
    return false;
}

enum { DIFFERENCES_MAX = 60 };

static void print_difference(crumb_page *page, const char *path) {
    crumb_text_print(&page->html, "<tr><th scope=\"row\">");
    crumb_page_text(page, path);
    crumb_text_print(&page->html, "</th>");
    for (int i = 0; i < page->report->runs; i++) {
        const char *value = crumb_run_key(&page->report->run[i], path);
        if (!crumb_is_repeated(page->report, i)) {
            crumb_page_cell(page, value != NULL ? value : "");
        }
    }
    crumb_text_print(&page->html, "</tr>\n");
}

/* The keys in which the recipes differ, a column a run. */
static void print_differences(crumb_page *page) {
    const crumb_report *report = page->report;
    int rows = 0;
    for (int i = 0; i < report->runs && report->runs > 1; i++) {
        for (int k = 0; k < report->run[i].keys && rows < DIFFERENCES_MAX; k++) {
            const char *path = report->run[i].key[k].path;
            if (strcmp(path, "name") == 0 || listed_before(report, i, path) || !differs(report, path)) {
                continue;
            }
            if (rows++ == 0) {
                crumb_text_print(&page->html,
                                 "<h3>Where the recipes differ</h3>\n<div class=\"scroll\" tabindex=\"0\" "
                                 "role=\"region\" aria-label=\"Differences\"><table class=\"keys\"><thead><tr><th>Key</th>");
                for (int r = 0; r < report->runs; r++) {
                    if (!crumb_is_repeated(report, r)) {
                        crumb_text_print(&page->html, "<th scope=\"col\">");
                        crumb_page_group(page, &report->run[r]);
                        crumb_text_print(&page->html, "</th>");
                    }
                }
                crumb_text_print(&page->html, "</tr></thead><tbody>\n");
            }
            print_difference(page, path);
        }
    }
    crumb_text_print(&page->html, rows > 0 ? "</tbody></table></div>\n" : "");
}

crumb_status crumb_section_recipes(crumb_page *page) {
    const crumb_report *report = page->report;
    bool any = false;
    for (int i = 0; i < report->runs; i++) {
        any = any || report->run[i].recipe != NULL;
    }
    if (!any) {
        return CRUMB_OK;
    }
    crumb_text_print(&page->html, "<section><h2>Recipes</h2>\n");
    print_differences(page);
    for (int i = 0; i < report->runs; i++) {
        const crumb_run *run = &report->run[i];
        if (run->recipe == NULL) {
            continue;
        }
        crumb_text_print(&page->html, "<details><summary>");
        crumb_page_label(page, run);
        crumb_text_print(&page->html, " <small>effective recipe</small></summary>\n<div><pre>");
        crumb_page_text(page, run->recipe);
        crumb_text_print(&page->html, "</pre></div></details>\n");
    }
    crumb_text_print(&page->html, "</section>\n");
    return page->html.status;
}

/* ---- The whole. */

static void print_title(crumb_page *page) {
    const crumb_report *report = page->report;
    if (page->options.title != NULL) {
        crumb_page_text(page, page->options.title);
    } else if (report->comparisons == 1) {
        const char *slash = strrchr(report->comparison[0].folder, '/');
        crumb_page_text(page, slash != NULL && slash[1] != '\0' ? slash + 1 : report->comparison[0].folder);
    } else if (report->runs == 1) {
        crumb_page_text(page, report->run[0].label);
    } else if (report->runs == 0 && report->surfaces > 0) {
        crumb_text_print(&page->html, "Loss surface%s", report->surfaces > 1 ? "s" : "");
    } else {
        crumb_text_print(&page->html, "Training runs");
    }
}

static void print_summary(crumb_page *page) {
    const crumb_report *report = page->report;
    int finished = 0;
    for (int i = 0; i < report->runs; i++) {
        finished += report->run[i].finished;
    }
    if (report->runs == 0) {
        return;
    }
    crumb_text_print(&page->html, "<p class=\"lead\">");
    if (report->runs == 1) {
        crumb_page_text(page, report->run[0].folder);
        crumb_text_print(&page->html, finished == 1 ? "" : ", not finished");
    } else if (finished == report->runs) {
        crumb_text_print(&page->html, "%d runs, all finished", report->runs);
    } else {
        crumb_text_print(&page->html, "%d of %d runs finished", finished, report->runs);
    }
    crumb_text_print(&page->html, "</p>\n");
}

static crumb_status print_page(crumb_page *page) {
    static crumb_status (*const sections[])(crumb_page *) = {
        crumb_section_comparisons, crumb_section_results,  crumb_section_curves,
        crumb_section_layers,      crumb_section_surfaces, crumb_section_recipes,
    };
    crumb_text_print(&page->html, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
                                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                                  "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>");
    print_title(page);
    crumb_text_print(&page->html, "</title>\n<style>\n%s%s</style></head>\n<body><main>\n<header><h1>", crumb_plot_style,
                     crumb_page_style);
    print_title(page);
    crumb_text_print(&page->html, "</h1>\n");
    print_summary(page);
    crumb_text_print(&page->html, "</header>\n");
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        CRUMB_TRY(sections[i](page));
    }
    crumb_text_print(&page->html, "<footer>Written by crumb " CRUMB_VERSION " from the files of the run folders.</footer>\n"
                                  "</main></body></html>\n");
    return page->html.status;
}

crumb_status crumb_report_write(const crumb_report *report, const crumb_report_options *options, const char *path) {
    crumb_page page = {.ctx = report->ctx, .report = report, .html = {.ctx = report->ctx}};
    if (options != NULL) {
        page.options = *options;
    }
    crumb_status status = print_page(&page);
    if (status == CRUMB_OK) {
        status = crumb_file_write(report->ctx, path, page.html.at, page.html.length);
    }
    crumb_free(report->ctx, page.html.at);
    return status;
}
