/* The picture of a loss surface: train loss above, test error below, the quantized weight domain on the left and the float one
 * on the right, with one scale of colours for both, so that they can be compared; or one of these panels alone. Lengths are
 * Euclidean distances of weights, the same in both directions unless the plane is too flat or too steep to be read. */
#include "base/file.h"
#include "crumb/train.h"
#include "report/contour.h"
#include "report/page.h"
#include "report/surface.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Layout, in pixels. */
enum {
    LEFT = 66,
    TOP = 44,
    TOP_IN_PAGE = 16,
    GAP = 26,
    BAR_GAP = 24,
    BAR = 16,
    RIGHT = 64,
    BETWEEN = 84,
    LINE = 20,
    BOTTOM = 58,
    PANEL = 330
};
enum { LEAST_HIGH = 200, LEAST_WIDE = 150, MOST_HIGH = 460, TIC_HIGH = 30, TIC_WIDE = 48 };

typedef struct picture {
    const crumb_surface_view *view;
    int first_row, rows, first_domain, domains; /* what is drawn of it */
    bool alone;                                 /* no page around it has titles and the models' names */
    int top, panel_width, panel_height, width, height;
    crumb_text script;
} picture;

const char *crumb_surface_row(int row) {
    static const char *const names[CRUMB_VIEW_ROWS] = {"Train loss", "Test error, %"};
    return names[row];
}

const char *crumb_surface_domain(const crumb_surface_view *view, int domain) {
    return domain + 1 < view->domains ? "quantized" : "float";
}

/* Viridis (Smith and van der Walt 2015) at nine places: evenly rising brightness, also without colour vision. */
static unsigned colour(double t) {
    static const unsigned table[9] = {0x440154, 0x472d7b, 0x3b528b, 0x2c728e, 0x21918c, 0x28ae80, 0x5ec962, 0xaddc30, 0xfde725};
    double at = t * 8;
    int i = at < 7 ? (int)at : 7;
    unsigned mixed = 0;
    for (int shift = 0; shift < 24; shift += 8) {
        double a = (double)((table[i] >> shift) & 255), b = (double)((table[i + 1] >> shift) & 255);
        mixed |= (unsigned)(a + (at - i) * (b - a) + 0.5) << shift;
    }
    return mixed;
}

static unsigned band_colour(int band, int levels) {
    return colour(levels > 0 ? (double)band / levels : 0);
}

static int within(double value, int least, int most) {
    return value < least ? least : value > most ? most : (int)value;
}

static double length_of(const crumb_surface_view *view, const double *axis) {
    return axis[view->grid - 1] - axis[0];
}

/* Panels have the plane's own proportions, within what is readable. */
static void lay_out(picture *p) {
    double ratio = length_of(p->view, p->view->y) / length_of(p->view, p->view->x);
    p->panel_width = within(MOST_HIGH / ratio, LEAST_WIDE, PANEL);
    p->panel_height = within(p->panel_width * ratio, LEAST_HIGH, MOST_HIGH);
    p->width = LEFT + p->domains * p->panel_width + (p->domains - 1) * GAP + BAR_GAP + BAR + RIGHT;
    p->width = p->alone && p->width < 620 ? 620 : p->width;
    p->top = p->alone ? TOP : TOP_IN_PAGE;
    p->height =
        p->top + p->rows * p->panel_height + (p->rows - 1) * BETWEEN + BOTTOM + (p->alone ? CRUMB_VIEW_MODELS * LINE : 0);
}

/* Margins of a plot between pixels from the left and from the top. */
static void place(picture *p, int left, int top, int width, int height) {
    crumb_text_print(&p->script, "set lmargin at screen %.6f\nset rmargin at screen %.6f\n", (double)left / p->width,
                     (double)(left + width) / p->width);
    crumb_text_print(&p->script, "set tmargin at screen %.6f\nset bmargin at screen %.6f\n", 1 - (double)top / p->height,
                     1 - (double)(top + height) / p->height);
}

static void print_axes(picture *p, int row, int domain) {
    const crumb_surface_view *v = p->view;
    crumb_text *s = &p->script;
    bool leftmost = domain == p->first_domain;
    double wide = length_of(v, v->x), high = length_of(v, v->y);
    crumb_text_print(s, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\nset format '%%g'\n", v->x[0], v->x[v->grid - 1],
                     v->y[0], v->y[v->grid - 1]);
    if (p->alone) {
        crumb_text_print(s, "set title '%s \xe2\x80\x93 %s weights' offset 0,-0.4\n", crumb_surface_row(row),
                         crumb_surface_domain(v, domain));
    }
    crumb_text_print(s, "set xlabel 'distance' offset 0,0.5\nset ylabel '%s' offset 1,0\nset ytics format '%s'\n",
                     leftmost ? "distance" : "", leftmost ? "%g" : "");
    crumb_text_print(s, "set xtics %.6g\nset ytics %.6g\n", crumb_nice_step(wide, p->panel_width / TIC_WIDE),
                     crumb_nice_step(high, p->panel_height / TIC_HIGH));
}

static void draw_panel(picture *p, int row, int domain, const double *level, int levels) {
    const crumb_surface_view *v = p->view;
    crumb_text *s = &p->script;
    crumb_field field = {.columns = v->grid, .rows = v->grid, .x = v->x, .y = v->y, .z = v->z[row][domain]};
    int painted[CRUMB_LEVELS_MAX + 1], count = 0;
    for (int k = 0; k <= levels; k++) {
        crumb_text_print(s, "$r%dd%dl%d << EOD\n", row, domain, k);
        if (crumb_contour_fill(s, &field, k == 0 ? -INFINITY : level[k - 1]) > 0) {
            painted[count++] = k;
        } else {
            crumb_text_print(s, "\n");
        }
        crumb_text_print(s, "EOD\n");
    }
    place(p, LEFT + (domain - p->first_domain) * (p->panel_width + GAP),
          p->top + (row - p->first_row) * (p->panel_height + BETWEEN), p->panel_width, p->panel_height);
    print_axes(p, row, domain);
    crumb_text_print(s, "plot ");
    for (int i = 0; i < count; i++) { /* a border of the same colour closes the hairlines between polygons */
        unsigned rgb = band_colour(painted[i], levels);
        crumb_text_print(s,
                         "$r%dd%dl%d using 1:2 with filledcurves closed fs solid 1 border lc rgb '#%06x' lw 0.6 lc rgb '#%06x' "
                         "notitle, ",
                         row, domain, painted[i], rgb, rgb);
    }
    crumb_text_print(s,
                     "$models using 1:2 with points pt 7 ps 1.8 lc rgb '#101010' notitle, $models using 1:2 with points pt 7 "
                     "ps 1.6 lc rgb '#ffffff' notitle, $models using 1:2:3 with labels tc rgb '#101010' notitle\n");
}

/* The colours with the values between them. */
static void draw_bar(picture *p, int row, const double *level, int levels) {
    crumb_text *s = &p->script;
    place(p, LEFT + p->domains * p->panel_width + (p->domains - 1) * GAP + BAR_GAP,
          p->top + (row - p->first_row) * (p->panel_height + BETWEEN), BAR, p->panel_height);
    crumb_text_print(s,
                     "unset title\nunset xlabel\nunset ylabel\nunset xtics\nunset ytics\nset border 0\nset xrange [0:1]\n"
                     "set yrange [0:%d]\nset y2range [0:%d]\nset y2tics scale 0 offset -0.6,0 tc rgb " CRUMB_PLOT_INK " (",
                     levels + 1, levels + 1);
    for (int k = 0; k < levels; k++) {
        crumb_text_print(s, "%s'%.3g' %d", k > 0 ? ", " : "", level[k], k + 1);
    }
    crumb_text_print(s, ")\n");
    for (int k = 0; k <= levels; k++) {
        crumb_text_print(s, "set object %d rectangle from 0,%d to 1,%d fs solid 1 noborder fc rgb '#%06x'\n", k + 1, k, k + 1,
                         band_colour(k, levels));
    }
    crumb_text_print(s, "plot NaN axes x1y2 notitle\n");
    for (int k = 0; k <= levels; k++) {
        crumb_text_print(s, "unset object %d\n", k + 1);
    }
    crumb_text_print(s,
                     "unset y2tics\nset border 15\nset xtics tc rgb " CRUMB_PLOT_INK "\nset ytics tc rgb " CRUMB_PLOT_INK "\n");
}

/* The levels are those of all domains, whichever are drawn. */
static void draw_row(picture *p, int row) {
    const crumb_surface_view *v = p->view;
    double level[CRUMB_LEVELS_MAX];
    crumb_field fields[CRUMB_VIEW_DOMAINS];
    for (int d = 0; d < v->domains; d++) {
        fields[d] = (crumb_field){.columns = v->grid, .rows = v->grid, .x = v->x, .y = v->y, .z = v->z[row][d]};
    }
    int levels = crumb_contour_levels(&fields[0], v->domains > 1 ? &fields[1] : NULL, level);
    for (int d = p->first_domain; d < p->first_domain + p->domains; d++) {
        draw_panel(p, row, d, level, levels);
        crumb_text_print(&p->script, "unset label\n");
    }
    draw_bar(p, row, level, levels);
}

static void draw_all(picture *p) {
    crumb_text *s = &p->script;
    lay_out(p);
    crumb_text_print(s, "$models << EOD\n");
    for (int m = 0; m < CRUMB_VIEW_MODELS; m++) {
        crumb_text_print(s, "%.6g %.6g %c\n", p->view->model[m].x, p->view->model[m].y, 'A' + m);
    }
    crumb_text_print(s, "EOD\nset multiplot\nunset key\nunset grid\nset border 15\nset tics out nomirror\n");
    for (int m = 0; m < CRUMB_VIEW_MODELS && p->alone; m++) {
        crumb_text_print(s, "set label %d ", m + 1);
        crumb_plot_text(s, p->view->model[m].name);
        crumb_text_print(s, " at screen %.6f,%.6f tc rgb " CRUMB_PLOT_INK "\n", (double)LEFT / p->width,
                         (double)((CRUMB_VIEW_MODELS - m) * LINE - LINE / 2) / p->height);
    }
    for (int row = p->first_row; row < p->first_row + p->rows; row++) {
        draw_row(p, row);
    }
    crumb_text_print(s, "unset multiplot\n");
}

crumb_status crumb_surface_plot(const crumb_surface_view *view, int row, int domain, crumb_plot *plot) {
    char *script;
    picture p = {.view = view, .alone = plot->standalone, .script = {.ctx = view->ctx}};
    p.first_row = row >= 0 ? row : 0;
    p.rows = row >= 0 ? 1 : CRUMB_VIEW_ROWS;
    p.first_domain = domain >= 0 ? domain : 0;
    p.domains = domain >= 0 ? 1 : view->domains;
    draw_all(&p);
    CRUMB_TRY(crumb_text_take(&p.script, &script));
    plot->title = row >= 0 ? crumb_surface_row(row) : "Loss surface";
    plot->description =
        p.domains > 1 ? "Filled contours over the plane through three models, with quantized weights on the left "
                        "and with float weights on the right"
        : p.first_domain + 1 < view->domains ? "Filled contours over the plane through three models, with quantized weights"
                                             : "Filled contours over the plane through three models, with float weights";
    plot->width = p.width;
    plot->height = p.height;
    plot->script = script;
    return CRUMB_OK;
}

crumb_status crumb_surface_draw(crumb_ctx *ctx, const char *json_path, const char *svg_path) {
    crumb_plot plot = {.id = "surface", .standalone = true};
    crumb_surface_view *view;
    char *svg = NULL;
    CRUMB_TRY(crumb_surface_read(ctx, json_path, &view));
    crumb_status status = crumb_surface_plot(view, -1, -1, &plot);
    status = status == CRUMB_OK ? crumb_plot_svg(ctx, &plot, &svg) : status;
    status = status == CRUMB_OK ? crumb_file_write(ctx, svg_path, svg, strlen(svg)) : status;
    crumb_free(ctx, svg);
    crumb_free(ctx, (char *)plot.script);
    crumb_surface_forget(view);
    return status;
}
