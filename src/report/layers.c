/* The layers: their weights as histograms with the quantization levels drawn in, at a few epochs, and what quantization costs
 * each. */
#include "report/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EPOCHS_MAX = 256, LAYERS_MAX = 512, PRESET_RUNS = 4, DRAWN_LEVELS = 32 };

/* The epochs to draw: the nearest to those asked for, else the first, the middle one and the last there are. */
static int choose_epochs(const crumb_page *page, const crumb_run *run, int64_t epoch[CRUMB_REPORT_EPOCHS]) {
    int64_t all[EPOCHS_MAX];
    int count = crumb_run_histogram_epochs(run, all, EPOCHS_MAX), chosen = 0;
    int wanted = page->options.epochs > 0 ? page->options.epochs : count < 3 ? count : 3;
    for (int i = 0; i < wanted && i < CRUMB_REPORT_EPOCHS && count > 0; i++) {
        int at = wanted > 1 ? i * (count - 1) / (wanted - 1) : count - 1;
        for (int k = 0; page->options.epochs > 0 && k < count; k++) {
            int64_t goal = page->options.epoch[i];
            at = llabs(all[k] - goal) < llabs(all[at] - goal) ? k : at;
        }
        bool again = false;
        for (int k = 0; k < chosen; k++) {
            again = again || epoch[k] == all[at];
        }
        if (!again) {
            epoch[chosen++] = all[at];
        }
    }
    return chosen;
}

/* Names of the layers in the order of the file. */
static int list_layers(const crumb_run *run, const char *layer[LAYERS_MAX]) {
    int count = 0;
    for (int i = 0; i < run->histograms && count < LAYERS_MAX; i++) {
        bool known = false;
        for (int k = 0; k < count && !known; k++) {
            known = strcmp(layer[k], run->histogram[i].layer) == 0;
        }
        if (!known) {
            layer[count++] = run->histogram[i].layer;
        }
    }
    return count;
}

/* ---- Histograms. */

enum { WIDTH = 300, PANEL = 56, TOP = 17, GAP = 20, FOOT = 30 }; /* pixels; GAP and TOP have a line of text */

/* The epochs' histograms share an axis if they are in the same unit. */
static bool common_range(const crumb_run_histogram *const *h, int count, double *low, double *high) {
    bool common = true;
    *low = INFINITY;
    *high = -INFINITY;
    for (int i = 0; i < count; i++) {
        common = common && (h[i]->scales > 1) == (h[0]->scales > 1);
        *low = fmin(*low, h[i]->low);
        *high = fmax(*high, h[i]->high);
    }
    return common;
}

/* The bins as steps of heights up to 1, closed at the right; the levels as lines. */
static void print_data(const crumb_run_histogram *h, crumb_text *script) {
    double most = 1, width = (h->high - h->low) / h->bins;
    for (int i = 0; i < h->bins; i++) {
        most = fmax(most, h->bin[i]);
    }
    crumb_text_print(script, "$h << EOD\n");
    for (int i = 0; i < h->bins; i++) {
        crumb_text_print(script, "%.6g %.4f\n", h->low + i * width, h->bin[i] / most);
    }
    crumb_text_print(script, "%.6g 0\nEOD\n$l << EOD\n", h->high);
    for (int i = 0; i < h->levels && h->levels <= DRAWN_LEVELS; i++) {
        crumb_text_print(script, "%.6g\n", h->level[i]);
    }
    crumb_text_print(script, "EOD\n");
}

static void print_panel(const crumb_run_histogram *h, int panel, int panels, double low, double high, bool axis,
                        crumb_text *script) {
    double height = TOP + panels * (PANEL + GAP) - GAP + FOOT;
    double top = 1 - (TOP + panel * (PANEL + GAP)) / height, bottom = top - PANEL / height;
    double margin = 0.02 * (high - low);
    print_data(h, script);
    crumb_text_print(script,
                     "set tmargin at screen %.4f\nset bmargin at screen %.4f\nset xrange [%.9g:%.9g]\n"
                     "set label 1 'epoch %" PRId64 "' at graph 0,graph 1 left offset 0,0.5 font ',11' tc rgb " CRUMB_PLOT_MUTED
                     "\n",
                     top, bottom, low - margin, high + margin, h->epoch);
    if (isfinite(h->error)) {
        crumb_text_print(
            script, "set label 2 'error %.3g' at graph 1,graph 1 right offset 0,0.5 font ',11' tc rgb " CRUMB_PLOT_MUTED "\n",
            h->error);
    } else {
        crumb_text_print(script, "unset label 2\n");
    }
    crumb_text_print(script, "set format x '%s'\nset xtics %.6g\n", axis ? "%g" : "", crumb_nice_step(high - low, 4));
    crumb_text_print(script, "plot $h using 1:2 with fillsteps lc rgb " CRUMB_PLOT_FILL " notitle");
    if (h->levels > 0 && h->levels <= DRAWN_LEVELS) {
        crumb_text_print(script, ", $l using 1:(0):(0):(%g) with vectors nohead lw 1.5 lc rgb " CRUMB_PLOT_ACCENT " notitle",
                         h->levels <= 8 ? 1.0 : 0.35);
    }
    crumb_text_print(script, "\n");
}

/* "2.5, 30, 67.5 % at the levels" */
static void print_shares(const crumb_run_histogram *h, int most, crumb_text *out) {
    double all = 0;
    for (int i = 0; i < h->levels; i++) {
        all += h->at_level[i];
    }
    for (int i = 0; i < h->levels && h->levels <= most && all > 0; i++) {
        crumb_text_print(out, "%s%.0f", i > 0 ? "\xc2\xa0\xc2\xb7\xc2\xa0" : "", 100 * h->at_level[i] / all);
    }
    if (h->levels > 0 && h->levels <= most && all > 0) {
        crumb_text_print(out, " %%");
    }
}

static void print_caption(const crumb_run_histogram *last, crumb_text *caption) {
    crumb_xml_text(caption, last->layer);
    crumb_text_print(caption, " <small>");
    if (last->quantizer[0] == '\0') {
        crumb_text_print(caption, "float");
    } else {
        crumb_xml_text(caption, last->quantizer);
        crumb_text_print(caption, " %d bit%s", last->bits, last->bits == 1 ? "" : "s");
        crumb_text_print(caption, last->scales > 1 ? ", in units of each channel's scale" : "");
        crumb_text_print(caption, last->levels > 0 && last->levels <= 4 ? "<br/>" : "");
        print_shares(last, 4, caption);
        crumb_text_print(caption, last->levels > 0 && last->levels <= 4 ? " of %" PRId64 " weights" : "", last->weights);
    }
    crumb_text_print(caption, "</small>");
}

static void describe(const crumb_run_histogram *const *h, int count, crumb_text *words) {
    for (int i = 0; i < count; i++) {
        crumb_text_print(words, "%sEpoch %" PRId64 ": %" PRId64 " weights, mostly %.3g to %.3g", i > 0 ? " " : "", h[i]->epoch,
                         h[i]->weights, h[i]->low, h[i]->high);
        crumb_text_print(words, h[i]->levels > 0 ? ", shares of the %d levels " : "", h[i]->levels);
        print_shares(h[i], 16, words);
        crumb_text_print(words, isfinite(h[i]->error) ? ", relative error %.3g." : ".", h[i]->error);
    }
}

static crumb_status draw_layer(crumb_page *page, const crumb_run *run, const char *layer, const int64_t *epoch, int epochs) {
    const crumb_run_histogram *h[CRUMB_REPORT_EPOCHS];
    int count = 0;
    for (int i = 0; i < epochs; i++) {
        h[count] = crumb_run_find(run, layer, epoch[i]);
        count += h[count] != NULL;
    }
    if (count == 0) {
        return CRUMB_OK;
    }
    double low, high;
    bool common = common_range(h, count, &low, &high);
    crumb_text script = {.ctx = page->ctx}, caption = {.ctx = page->ctx}, words = {.ctx = page->ctx};
    crumb_text_print(&script,
                     "set multiplot\nset lmargin at screen 0.01\nset rmargin at screen 0.99\nset border 1\nunset ytics\n"
                     "unset grid\nset yrange [0:1.02]\nset xtics out scale 0.4 font ',11' offset 0,0.3\nset key off\n");
    for (int i = 0; i < count; i++) {
        print_panel(h[i], i, count, common ? low : h[i]->low, common ? high : h[i]->high, !common || i == count - 1, &script);
    }
    crumb_text_print(&script, "unset multiplot\n");
    print_caption(h[count - 1], &caption);
    describe(h, count, &words);
    crumb_plot plot = {.title = layer,
                       .description = words.at,
                       .width = WIDTH,
                       .height = TOP + count * (PANEL + GAP) - GAP + FOOT,
                       .script = script.at};
    crumb_status status = script.status != CRUMB_OK    ? script.status
                          : caption.status != CRUMB_OK ? caption.status
                                                       : words.status;
    status = status == CRUMB_OK ? crumb_page_picture(page, &plot, caption.at) : status;
    crumb_free(page->ctx, script.at);
    crumb_free(page->ctx, caption.at);
    crumb_free(page->ctx, words.at);
    return status;
}

/* ---- Quantization error. */

enum { ERROR_FOOT = 34, ERROR_ROW = 18 }; /* pixels: below the bars, a bar */

/* A bar a layer for the last of the epochs, a dot where it was at the first. */
typedef struct error_rows {
    crumb_text bars, dots, names;
    int rows;
    double most;
} error_rows;

static void add_error(error_rows *e, const crumb_run *run, const char *layer, int64_t first_epoch, int64_t last_epoch) {
    const crumb_run_histogram *last = crumb_run_find(run, layer, last_epoch), *first = crumb_run_find(run, layer, first_epoch);
    size_t length = strlen(layer), cut = length > 22 ? length - 20 : 0;
    char name[32];
    if (last == NULL || !isfinite(last->error)) {
        return;
    }
    snprintf(name, sizeof(name), "%s%s", cut > 0 ? ".." : "", layer + cut);
    crumb_text_print(&e->bars, "%.6g %d\n", last->error, -e->rows);
    if (first != NULL && first != last && isfinite(first->error)) {
        crumb_text_print(&e->dots, "%.6g %d\n", first->error, -e->rows);
        e->most = fmax(e->most, first->error);
    }
    crumb_text_print(&e->names, "%s", e->rows > 0 ? ", " : "");
    crumb_plot_text(&e->names, name);
    crumb_text_print(&e->names, " %d", -e->rows);
    e->most = fmax(e->most, last->error);
    e->rows++;
}

static void print_errors(const error_rows *e, crumb_text *script) {
    double height = ERROR_FOOT + ERROR_ROW * e->rows;
    crumb_text_print(script, "$b << EOD\n%sEOD\n$d << EOD\n%sEOD\nset ytics (%s) scale 0 font ',11'\n", e->bars.at,
                     e->dots.length > 0 ? e->dots.at : "", e->names.at);
    crumb_text_print(script,
                     "set border 1\nunset grid\nset grid x lt 1 lc rgb " CRUMB_PLOT_GRID
                     "\nset xtics %.6g scale 0.4\nset yrange [%g:0.7]\nset xrange [0:%.6g]\nset key off\n"
                     "set lmargin at screen 0.34\nset rmargin at screen 0.97\nset tmargin at screen %.4f\n"
                     "set bmargin at screen %.4f\n",
                     crumb_nice_step(e->most > 0 ? e->most : 1, 5), -e->rows + 0.3, e->most > 0 ? 1.05 * e->most : 1,
                     1 - 4 / height, ERROR_FOOT / height);
    crumb_text_print(script,
                     "plot $b using (0):2:(0):1:($2-0.32):($2+0.32) with boxxyerror lc rgb " CRUMB_PLOT_FILL " notitle");
    if (e->dots.length > 0) {
        crumb_text_print(script, ", $d using 1:2 with points pt 7 ps 0.55 lc rgb " CRUMB_PLOT_ACCENT " notitle");
    }
    crumb_text_print(script, "\n");
}

static crumb_status draw_errors(crumb_page *page, const crumb_run *run, const char *const *layer, int layers,
                                const int64_t *epoch, int epochs) {
    error_rows e = {.bars = {.ctx = page->ctx}, .dots = {.ctx = page->ctx}, .names = {.ctx = page->ctx}};
    crumb_text script = {.ctx = page->ctx};
    char caption[256], first[64] = "";
    for (int i = 0; i < layers; i++) {
        add_error(&e, run, layer[i], epoch[0], epoch[epochs - 1]);
    }
    crumb_status status = e.bars.status != CRUMB_OK   ? e.bars.status
                          : e.dots.status != CRUMB_OK ? e.dots.status
                                                      : e.names.status;
    if (status == CRUMB_OK && e.rows > 0) {
        print_errors(&e, &script);
        if (e.dots.length > 0) {
            snprintf(first, sizeof(first), ", dot: epoch %" PRId64, epoch[0]);
        }
        snprintf(caption, sizeof(caption), "Quantization error <small>|Q(w) \xe2\x88\x92 w| / |w|, epoch %" PRId64 "%s</small>",
                 epoch[epochs - 1], first);
        crumb_plot plot = {.title = "Relative quantization error of each layer's weights",
                           .width = 420,
                           .height = ERROR_FOOT + ERROR_ROW * e.rows,
                           .script = script.at};
        status = script.status == CRUMB_OK ? crumb_page_picture(page, &plot, caption) : script.status;
    }
    crumb_free(page->ctx, e.bars.at);
    crumb_free(page->ctx, e.dots.at);
    crumb_free(page->ctx, e.names.at);
    crumb_free(page->ctx, script.at);
    return status;
}

/* ---- The section. */

static crumb_status draw_run(crumb_page *page, const crumb_run *run, bool open) {
    const char *layer[LAYERS_MAX];
    int64_t epoch[CRUMB_REPORT_EPOCHS];
    int layers = list_layers(run, layer), epochs = choose_epochs(page, run, epoch);
    crumb_text_print(&page->html, "<details%s><summary>", open ? " open=\"open\"" : "");
    crumb_page_label(page, run);
    crumb_text_print(&page->html, " <small>%d layer%s</small></summary>\n<div>\n<div class=\"figures\">\n", layers,
                     layers == 1 ? "" : "s");
    CRUMB_TRY(draw_errors(page, run, layer, layers, epoch, epochs));
    crumb_text_print(&page->html,
                     "</div>\n<h3>Weights <small>vertical lines: the levels</small></h3>\n<div class=\"figures small\">\n");
    for (int i = 0; i < layers; i++) {
        CRUMB_TRY(draw_layer(page, run, layer[i], epoch, epochs));
    }
    crumb_text_print(&page->html, "</div></div></details>\n");
    return page->html.status;
}

/* Of a comparison's variant the first run stands for all seeds. */
static bool is_drawn(const crumb_report *report, int which) {
    return report->run[which].histograms > 0 && !crumb_is_repeated(report, which);
}

crumb_status crumb_section_layers(crumb_page *page) {
    const crumb_report *report = page->report;
    int most = page->options.layer_runs > 0 ? page->options.layer_runs : PRESET_RUNS, drawn = 0, all = 0;
    for (int r = 0; r < report->runs; r++) {
        all += is_drawn(report, r);
    }
    if (all == 0) {
        return CRUMB_OK;
    }
    crumb_text_print(&page->html, "<section><h2>Layers</h2>\n");
    for (int r = 0; r < report->runs && drawn < most; r++) {
        if (is_drawn(report, r)) {
            CRUMB_TRY(draw_run(page, &report->run[r], all == 1));
            drawn++;
        }
    }
    if (drawn < all) {
        crumb_text_print(&page->html, "<p class=\"quiet\">Drawn for the first %d of %d runs.</p>\n", drawn, all);
    }
    crumb_text_print(&page->html, "</section>\n");
    return page->html.status;
}
