/* What happened over the epochs: accuracies, losses, the learning rate, bits and the share of quantized weights.
 *
 * One run: a picture may hold two curves (training, validation), phases are shaded. Several runs: a curve a run in the run's
 * colour; phases are shaded if all have the same, else dots on the learning rate mark where one begins. */
#include "report/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 420, HEIGHT = 250, PARTS = 180 };

typedef struct chart {
    const char *title, *unit;
    enum { ALWAYS, ONE, SEVERAL } runs; /* of the report: when it is drawn */
    crumb_column column[2];
    const char *name[2]; /* name[1] NULL: one column */
    bool percent;        /* accuracies: the range is that of the trained epochs */
    bool zero;           /* the range begins at 0 */
    bool stairs;         /* a value holds for its epoch; not drawn where nothing changes */
    bool bits;           /* 1 .. 32 on a logarithmic axis */
    bool rate;           /* the learning rate */
} chart;

static const chart charts[] = {
    {.title = "Top-1 accuracy",
     .runs = ONE,
     .unit = "%",
     .column = {CRUMB_COLUMN_VAL_TOP1, CRUMB_COLUMN_TRAIN_TOP1},
     .name = {"validation", "training"},
     .percent = true},
    {.title = "Validation top-1",
     .runs = SEVERAL,
     .unit = "%",
     .column = {CRUMB_COLUMN_VAL_TOP1},
     .name = {"validation"},
     .percent = true},
    {.title = "Training top-1",
     .runs = SEVERAL,
     .unit = "%",
     .column = {CRUMB_COLUMN_TRAIN_TOP1},
     .name = {"training"},
     .percent = true},
    {.title = "Loss",
     .runs = ONE,
     .unit = "nats",
     .column = {CRUMB_COLUMN_VAL_LOSS, CRUMB_COLUMN_LOSS},
     .name = {"validation", "training"}},
    {.title = "Validation loss", .runs = SEVERAL, .unit = "nats", .column = {CRUMB_COLUMN_VAL_LOSS}, .name = {"validation"}},
    {.title = "Training loss", .runs = SEVERAL, .unit = "nats", .column = {CRUMB_COLUMN_LOSS}, .name = {"training"}},
    {.title = "Loss added by strategies", .unit = "", .column = {CRUMB_COLUMN_EXTRA_LOSS}, .name = {"added"}, .zero = true},
    {.title = "Learning rate", .unit = "", .column = {CRUMB_COLUMN_LR}, .name = {"end of epoch"}, .zero = true, .rate = true},
    {.title = "Weights quantized",
     .unit = "share",
     .column = {CRUMB_COLUMN_QUANTIZED},
     .name = {"share"},
     .zero = true,
     .stairs = true},
    {.title = "Bits",
     .runs = ONE,
     .unit = "",
     .column = {CRUMB_COLUMN_WEIGHT_BITS, CRUMB_COLUMN_ACTIVATION_BITS},
     .name = {"weights", "activations"},
     .stairs = true,
     .bits = true},
    {.title = "Weight bits",
     .runs = SEVERAL,
     .unit = "",
     .column = {CRUMB_COLUMN_WEIGHT_BITS},
     .name = {"weights"},
     .stairs = true,
     .bits = true},
    {.title = "Activation bits",
     .runs = SEVERAL,
     .unit = "",
     .column = {CRUMB_COLUMN_ACTIVATION_BITS},
     .name = {"activations"},
     .stairs = true,
     .bits = true},
};

/* A picture that is being put together. */
typedef struct drawing {
    crumb_page *page;
    const chart *chart;
    crumb_text data, plots; /* data blocks; the clauses of the plot command */
    double *x, *y;          /* room for two points an epoch of the longest run */
    double least, most;     /* y of what is drawn */
    double last_epoch;
    int curves;
    bool banded;
} drawing;

static const crumb_report *report_of(const drawing *d) {
    return d->page->report;
}

/* ---- Curves. */

/* The rate at an epoch's begin: where the rate only rose or only fell, the other end of its range; NaN where it did both. */
static double rate_before(const crumb_run_epoch *epoch) {
    double end = epoch->at[CRUMB_COLUMN_LR], low = epoch->at[CRUMB_COLUMN_LR_MIN], high = epoch->at[CRUMB_COLUMN_LR_MAX];
    double near = 1e-6 * fabs(high);
    return fabs(end - low) <= near ? high : fabs(end - high) <= near ? low : NAN;
}

static bool wild(double value) {
    return fabs(value) > 1e15;
}

/* The rate's way: from each epoch's begin to its end. */
static int gather_rate(const drawing *d, const crumb_run *run) {
    int count = 0;
    for (int i = 0; i < run->count; i++) {
        const crumb_run_epoch *epoch = &run->epoch[i];
        const double rate[2] = {rate_before(epoch), epoch->at[CRUMB_COLUMN_LR]};
        for (int k = 0; k < 2; k++) {
            d->x[count] = (double)epoch->epoch - 1 + k;
            d->y[count++] = wild(rate[k]) ? NAN : rate[k];
        }
    }
    return crumb_thin(d->x, d->y, count, PARTS);
}

static int gather_column(const drawing *d, const crumb_run *run, crumb_column column) {
    int count = 0;
    for (int i = 0; i < run->count; i++) {
        double value = run->epoch[i].at[column];
        bool wrong = wild(value) || (d->chart->bits && (value < 1 || value > 32));
        d->x[count] = (double)run->epoch[i].epoch;
        d->y[count++] = wrong ? NAN : value;
    }
    return crumb_thin(d->x, d->y, count, PARTS);
}

static int gather(const drawing *d, const crumb_run *run, int which) {
    return d->chart->rate ? gather_rate(d, run) : gather_column(d, run, d->chart->column[which]);
}

/* A value holds from the end of the epoch before: two points for each change. In place, from the back, as the curve grows; the
 * room is twice the epochs. */
static int make_stairs(double *x, double *y, int count) {
    for (int i = count - 1; i >= 0; i--) {
        x[2 * i + 1] = x[i];
        y[2 * i] = y[2 * i + 1] = y[i];
    }
    for (int i = 0; i < count; i++) {
        x[2 * i] = i > 0 ? x[2 * i - 1] : x[1] - 1;
    }
    return 2 * count;
}

static bool is_constant(const double *y, int count) {
    for (int i = 1; i < count; i++) {
        if (y[i] != y[0]) {
            return false;
        }
    }
    return true;
}

static void print_points(drawing *d, const char *name, int count) {
    crumb_text_print(&d->data, "$%s << EOD\n", name);
    for (int i = 0; i < count; i++) {
        crumb_text_print(&d->data, "%.9g %.6g\n", d->x[i], d->y[i]);
        d->least = fmin(d->least, d->y[i]);
        d->most = fmax(d->most, d->y[i]);
    }
    crumb_text_print(&d->data, "EOD\n");
}

static void add_curve(drawing *d, const crumb_run *run, int which) {
    const chart *c = d->chart;
    bool alone = report_of(d)->runs == 1;
    char name[32], title[CRUMB_RUN_NAME + 64];
    int count = gather(d, run, which);
    if (count == 0) {
        return;
    }
    bool few = count <= 40 && !c->stairs && !c->rate;
    count = c->stairs ? make_stairs(d->x, d->y, count) : count;
    snprintf(name, sizeof(name), "c%d", d->curves);
    snprintf(title, sizeof(title), "%s", alone ? c->name[which] : run->label);
    print_points(d, name, count);
    crumb_text_print(&d->plots, "%s$%s using 1:2 with %s lt %d ps 0.35 title ", d->plots.length > 0 ? ", " : "", name,
                     few ? "linespoints" : "lines", alone ? which + 1 : (run->colour - 1) % (2 * CRUMB_PLOT_SERIES) + 1);
    crumb_plot_text(&d->plots, title);
    d->last_epoch = fmax(d->last_epoch, d->x[count - 1]);
    d->curves++;
}

/* The range that the rate went through within each epoch, where that says more than the way: cycles shorter than an epoch. */
static bool needs_band(const crumb_run *run) {
    for (int i = 0; i < run->count; i++) {
        const crumb_run_epoch *epoch = &run->epoch[i];
        if (isfinite(epoch->at[CRUMB_COLUMN_LR_MAX]) && isnan(rate_before(epoch))) {
            return true;
        }
    }
    return false;
}

static void add_band(drawing *d, const crumb_run *run) {
    int points = 0, stride = run->count / (2 * PARTS) + 1;
    crumb_text block = {.ctx = d->page->ctx};
    for (int i = 0; i < run->count; i += stride) {
        double low = INFINITY, high = -INFINITY;
        for (int k = i; k < run->count && k < i + stride; k++) {
            low = fmin(low, run->epoch[k].at[CRUMB_COLUMN_LR_MIN]);
            high = fmax(high, run->epoch[k].at[CRUMB_COLUMN_LR_MAX]);
        }
        if (isfinite(low) && isfinite(high) && high < 1e15) {
            int end = i + stride <= run->count ? i + stride - 1 : run->count - 1;
            double from = (double)run->epoch[i].epoch - 1, to = (double)run->epoch[end].epoch;
            crumb_text_print(&block, "%.9g %.6g %.6g\n%.9g %.6g %.6g\n", from, low, high, to, low, high);
            d->most = fmax(d->most, high);
            points++;
        }
    }
    d->banded = d->banded || points > 0;
    if (points > 0 && block.status == CRUMB_OK) {
        crumb_text_print(&d->data, "$band%d << EOD\n%sEOD\n", d->curves, block.at);
        crumb_text_print(&d->plots,
                         "%s$band%d using 1:2:3 with filledcurves lc rgb '#f903%02x' fs transparent solid 0.22 notitle",
                         d->plots.length > 0 ? ", " : "", d->curves, 0x10 + (run->colour - 1) % CRUMB_PLOT_SERIES);
    }
    d->data.status = d->data.status == CRUMB_OK ? block.status : d->data.status;
    crumb_free(d->page->ctx, block.at);
}

/* ---- Phases. */

static bool same_phases(const crumb_report *report) {
    const crumb_run *first = &report->run[0];
    for (int r = 1; r < report->runs; r++) {
        const crumb_run *run = &report->run[r];
        if (run->phases != first->phases) {
            return false;
        }
        for (int p = 0; p < run->phases; p++) {
            if (run->epoch[run->phase[p].first].epoch != first->epoch[first->phase[p].first].epoch) {
                return false;
            }
        }
    }
    return true;
}

/* Every second phase lies on a band, with its number above if there is room. */
static void shade_phases(drawing *d) {
    const crumb_run *run = &report_of(d)->run[0];
    for (int p = 0; run->phases > 1 && p < run->phases; p++) {
        const crumb_run_phase *phase = &run->phase[p];
        double from = (double)run->epoch[phase->first].epoch - 1;
        double to = (double)run->epoch[phase->first + phase->count - 1].epoch;
        if (p % 2 == 1) {
            crumb_text_print(&d->data,
                             "set object rect from first %.9g,graph 0 to first %.9g,graph 1 behind fc rgb " CRUMB_PLOT_BAND
                             " fs solid noborder\n",
                             from, to);
        }
        if ((to - from) / d->last_epoch > 0.05) {
            crumb_text_print(&d->data,
                             "set label '%d' at first %.9g,graph 1.05 center font ',11' tc rgb " CRUMB_PLOT_MUTED "\n", p + 1,
                             (from + to) / 2);
        }
    }
}

/* Dots where a run's phases begin, for pictures of several runs with phases of their own. */
static void mark_phases(drawing *d, const crumb_run *run) {
    if (run->phases < 2) {
        return;
    }
    crumb_text_print(&d->data, "$m%d << EOD\n", d->curves);
    int marks = 0;
    for (int p = 1; p < run->phases; p++) {
        const crumb_run_epoch *epoch = &run->epoch[run->phase[p].first];
        double begin = rate_before(epoch), rate = isfinite(begin) ? begin : epoch->at[CRUMB_COLUMN_LR_MAX];
        if (isfinite(rate) && !wild(rate)) {
            crumb_text_print(&d->data, "%" PRId64 " %.6g\n", epoch->epoch - 1, rate);
            marks++;
        }
    }
    crumb_text_print(&d->data, "EOD\n");
    if (marks > 0) {
        crumb_text_print(&d->plots, "%s$m%d using 1:2 with points lt %d pt 7 ps 0.9 notitle", d->plots.length > 0 ? ", " : "",
                         d->curves, (run->colour - 1) % CRUMB_PLOT_SERIES + 1);
    }
}

/* ---- Axes. */

static void print_axes(const drawing *d, crumb_text *script) {
    const chart *c = d->chart;
    double low = d->least, high = d->most;
    if (c->percent) {
        double span = fmax(d->most - d->least, 0.5);
        low = fmax(0, d->least - 0.06 * span);
        high = fmin(100.5, d->most + 0.06 * span);
    } else if (c->zero) {
        low = fmin(0, d->least);
        high = d->most > 0 ? 1.06 * d->most : 1;
    } else {
        double span = fmax(d->most - d->least, 1e-6 * fmax(1e-6, fabs(d->most)));
        low = d->least >= 0 ? fmax(0, d->least - 0.06 * span) : d->least - 0.06 * span;
        high = d->most + 0.06 * span;
    }
    crumb_text_print(script, "set lmargin at screen 0.125\nset rmargin at screen 0.965\nset tmargin at screen 0.93\n"
                             "set bmargin at screen 0.19\nset xlabel 'epoch' offset 0,0.6\n");
    crumb_text_print(script, "set xrange [0:%.9g]\nset xtics %.9g\nset format x '%%.0f'\nset format y '%%g'\n", d->last_epoch,
                     fmax(1, crumb_nice_step(d->last_epoch, 6)));
    if (c->bits) {
        crumb_text_print(script, "set logscale y 2\nset yrange [0.85:38]\n"
                                 "set ytics ('1' 1, '2' 2, '3' 3, '4' 4, '6' 6, '8' 8, 'float' 32)\n");
    } else {
        crumb_text_print(script, "set yrange [%.9g:%.9g]\n", low, high > low ? high : low + 1);
    }
    crumb_text_print(script, "set key off\n");
}

/* ---- One chart. */

static bool worth_drawing(drawing *d) {
    const crumb_report *report = report_of(d);
    bool varies = false, any = false;
    for (int r = 0; r < report->runs; r++) {
        for (int k = 0; k < 2 && d->chart->name[k] != NULL; k++) {
            int count = gather(d, &report->run[r], k);
            any = any || count > 0;
            varies = varies || (count > 0 && (!is_constant(d->y, count) || d->y[0] != 0));
            if (d->chart->stairs && count > 0) {
                varies = varies && !is_constant(d->y, count);
            }
            if (varies) {
                return true;
            }
        }
    }
    return any && varies;
}

/* Says in words what the picture shows: where each curve ends. */
static void describe(const drawing *d, crumb_text *out) {
    const crumb_report *report = report_of(d);
    for (int r = 0; r < report->runs && r < 16; r++) {
        for (int k = 0; k < 2 && d->chart->name[k] != NULL; k++) {
            int count = gather(d, &report->run[r], k);
            if (count > 0) {
                crumb_text_print(out, "%s%s%s from %.4g in epoch %g to %.4g in epoch %g.", out->length > 0 ? " " : "",
                                 report->runs > 1 ? report->run[r].label : d->chart->name[k], report->runs > 1 ? ":" : "",
                                 d->y[0], d->x[0], d->y[count - 1], d->x[count - 1]);
            }
        }
    }
}

static void print_caption(const chart *c, bool alone, bool banded, crumb_text *caption) {
    crumb_text_print(caption, "%s <small>%s", c->title, c->unit);
    for (int k = 0; alone && k < 2 && c->name[1] != NULL; k++) {
        crumb_text_print(caption, "%s<span class=\"key k%d\"></span>%s", k == 0 && c->unit[0] == '\0' ? "" : "&#160; ", k + 1,
                         c->name[k]);
    }
    crumb_text_print(caption, c->rate && banded ? "end of each epoch, shaded: range within it" : "");
    crumb_text_print(caption, "</small>");
}

static crumb_status draw_chart(drawing *d) {
    const crumb_report *report = report_of(d);
    crumb_text script = {.ctx = d->page->ctx}, caption = {.ctx = d->page->ctx}, words = {.ctx = d->page->ctx};
    bool shaded = same_phases(report);
    for (int r = 0; r < report->runs; r++) {
        if (d->chart->rate && needs_band(&report->run[r])) {
            add_band(d, &report->run[r]);
        }
        if (d->chart->rate && !shaded) {
            mark_phases(d, &report->run[r]);
        }
        for (int k = 1; k >= 0; k--) { /* the first column lies on top */
            if (d->chart->name[k] != NULL) {
                add_curve(d, &report->run[r], k);
            }
        }
    }
    if (shaded && report->run[0].phases > 0) {
        shade_phases(d);
    }
    crumb_status status = CRUMB_OK;
    if (d->curves > 0) {
        crumb_text_bytes(&script, d->data.at, d->data.length);
        print_axes(d, &script);
        crumb_text_print(&script, "plot %s\n", d->plots.at != NULL ? d->plots.at : "");
        describe(d, &words);
        print_caption(d->chart, report->runs == 1, d->banded, &caption);
        crumb_text *const texts[] = {&d->data, &d->plots, &words, &caption, &script};
        for (int i = 0; i < 5 && status == CRUMB_OK; i++) {
            status = texts[i]->status;
        }
        crumb_plot plot = {
            .title = d->chart->title, .description = words.at, .width = WIDTH, .height = HEIGHT, .script = script.at};
        status = status == CRUMB_OK ? crumb_page_picture(d->page, &plot, caption.at) : status;
    }
    crumb_free(d->page->ctx, script.at);
    crumb_free(d->page->ctx, caption.at);
    crumb_free(d->page->ctx, words.at);
    return status;
}

/* ---- The section. */

static crumb_status draw_charts(crumb_page *page, double *x, double *y) {
    const unsigned other = page->report->runs == 1 ? SEVERAL : ONE;
    crumb_status status = CRUMB_OK;
    for (size_t i = 0; i < sizeof(charts) / sizeof(charts[0]) && status == CRUMB_OK; i++) {
        drawing d = {.page = page,
                     .chart = &charts[i],
                     .data = {.ctx = page->ctx},
                     .plots = {.ctx = page->ctx},
                     .x = x,
                     .y = y,
                     .least = INFINITY,
                     .most = -INFINITY};
        if (charts[i].runs != other && worth_drawing(&d)) {
            status = draw_chart(&d);
        }
        crumb_free(page->ctx, d.data.at);
        crumb_free(page->ctx, d.plots.at);
    }
    return status;
}

/* The phases by number: the last epoch's values, and the best accuracy within. */
static void print_phases(crumb_page *page, const crumb_run *run) {
    char bits[CRUMB_PAGE_BITS];
    crumb_text_print(&page->html,
                     "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Phases\"><table><thead><tr>"
                     "<th scope=\"col\">Phase</th><th scope=\"col\">Epochs</th><th scope=\"col\">Bits</th>"
                     "<th scope=\"col\">Quantized<br/><small>share</small></th>"
                     "<th scope=\"col\">Top-1<br/><small>last, %%</small></th>"
                     "<th scope=\"col\">Top-1<br/><small>best, %%</small></th></tr></thead><tbody>\n");
    for (int p = 0; p < run->phases; p++) {
        const crumb_run_phase *phase = &run->phase[p];
        const crumb_run_epoch *first = &run->epoch[phase->first], *last = first + phase->count - 1;
        double best = NAN, weights = last->at[CRUMB_COLUMN_WEIGHT_BITS], activations = last->at[CRUMB_COLUMN_ACTIVATION_BITS];
        for (const crumb_run_epoch *epoch = first; epoch <= last; epoch++) {
            best = fmax(best, epoch->at[CRUMB_COLUMN_VAL_TOP1]);
        }
        crumb_text_print(&page->html, "<tr><th scope=\"row\">%d&#160; ", p + 1);
        crumb_page_text(page, phase->name);
        crumb_text_print(&page->html, "</th><td>%" PRId64 " to %" PRId64 "</td>", first->epoch, last->epoch);
        crumb_page_cell(page, crumb_page_bits(weights >= 1 && weights <= 32 ? (int)weights : 0,
                                              activations >= 1 && activations <= 32 ? (int)activations : 0, bits));
        crumb_page_number(page, last->at[CRUMB_COLUMN_QUANTIZED], 2);
        crumb_page_number(page, last->at[CRUMB_COLUMN_VAL_TOP1], 2);
        crumb_page_number(page, best, 2);
        crumb_text_print(&page->html, "</tr>\n");
    }
    crumb_text_print(&page->html, "</tbody></table></div>\n");
}

static void print_all_phases(crumb_page *page) {
    const crumb_report *report = page->report;
    for (int r = 0; r < report->runs; r++) {
        const crumb_run *run = &report->run[r];
        if (run->phases > 1) {
            crumb_text_print(&page->html, report->runs == 1 ? "<h3>Phases</h3>\n" : "<details><summary>");
            if (report->runs > 1) {
                crumb_page_label(page, run);
                crumb_text_print(&page->html, " <small>%d phases</small></summary><div>\n", run->phases);
            }
            print_phases(page, run);
            crumb_text_print(&page->html, report->runs == 1 ? "" : "</div></details>\n");
        }
    }
}

static void print_legend(crumb_page *page) {
    const crumb_report *report = page->report;
    crumb_text_print(&page->html, "<ul class=\"legend\">");
    for (int r = 0; r < report->runs; r++) {
        const crumb_run *run = &report->run[r];
        bool again = r > 0 && run->variant[0] != '\0' && strcmp(run->variant, run[-1].variant) == 0;
        if (!again) {
            crumb_text_print(&page->html, "<li>");
            crumb_page_group(page, run);
            crumb_text_print(&page->html, "</li>");
        }
    }
    crumb_text_print(&page->html, "</ul>\n");
}

crumb_status crumb_section_curves(crumb_page *page) {
    const crumb_report *report = page->report;
    int longest = 0;
    for (int r = 0; r < report->runs; r++) {
        longest = report->run[r].count > longest ? report->run[r].count : longest;
    }
    if (longest == 0) {
        return CRUMB_OK;
    }
    double *x = crumb_alloc(page->ctx, 2 * (size_t)longest, sizeof(*x));
    double *y = crumb_alloc(page->ctx, 2 * (size_t)longest, sizeof(*y));
    crumb_status status = x != NULL && y != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        crumb_text_print(&page->html, "<section><h2>Over the epochs</h2>\n");
        if (report->runs > 1) {
            print_legend(page);
        }
        crumb_text_print(&page->html, "<div class=\"figures\">\n");
        status = draw_charts(page, x, y);
        crumb_text_print(&page->html, "</div>\n");
        print_all_phases(page);
        crumb_text_print(&page->html, "</section>\n");
    }
    crumb_free(page->ctx, x);
    crumb_free(page->ctx, y);
    return status;
}
