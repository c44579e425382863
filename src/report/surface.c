/* The picture of a loss surface: train loss above, test error below, the quantized weight domain on the left and the float one
 * on the right, with one scale of colours for both, so that they can be compared. Lengths are Euclidean distances of weights,
 * the same in both directions. */
#include "report/surface.h"

#include "base/file.h"
#include "crumb/train.h"
#include "report/contour.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FILE_LARGEST = 1 << 30, GRID_MAX = 1001, MODELS = 3, ROWS = 2, NAME_SHOWN = 72 };

/* Layout, in pixels. */
enum { LEFT = 62, TOP = 44, GAP = 26, BAR_GAP = 24, BAR = 16, RIGHT = 64, BETWEEN = 84, LINE = 20, BOTTOM = 58, PANEL = 330 };

typedef struct picture {
    crumb_ctx *ctx;
    const char *path;
    int grid, domains; /* 2: quantized and float; 1: float */
    double *x, *y;
    double *z[ROWS][2]; /* [train loss, test error][domain] */
    double model_x[MODELS], model_y[MODELS];
    char model[MODELS][NAME_SHOWN + 8];
    int panel_width, panel_height, width, height;
    crumb_text script;
} picture;

static const char *const row_keys[ROWS] = {"train_loss", "test_error"};
static const char *const row_names[ROWS] = {"Train loss", "Test error, %"};

/* ---- Reading. */

static crumb_status bad(const picture *p, const char *what) {
    return crumb_fail(p->ctx, CRUMB_ERROR_FORMAT, "%s: no surface: %s is missing or not as expected", p->path, what);
}

/* `count` numbers, null as NaN. */
static bool take_numbers(const json_t *array, int count, double *out) {
    if ((int)json_array_size(array) != count) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, (size_t)i);
        if (!json_is_number(value) && !json_is_null(value)) {
            return false;
        }
        out[i] = json_is_number(value) ? json_number_value(value) : NAN;
    }
    return true;
}

static crumb_status take_axis(picture *p, const json_t *object, const char *key, double **axis) {
    *axis = crumb_alloc(p->ctx, (size_t)p->grid, sizeof(double));
    if (*axis == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    if (!take_numbers(json_object_get(object, key), p->grid, *axis)) {
        return bad(p, key);
    }
    for (int i = 0; i < p->grid; i++) {
        if (!isfinite((*axis)[i]) || (i > 0 && !((*axis)[i] > (*axis)[i - 1]))) {
            return bad(p, key);
        }
    }
    return CRUMB_OK;
}

static crumb_status take_field(picture *p, const json_t *domain, const char *key, double **z) {
    const json_t *rows = json_object_get(domain, key);
    *z = crumb_alloc(p->ctx, (size_t)p->grid * (size_t)p->grid, sizeof(double));
    if (*z == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    if ((int)json_array_size(rows) != p->grid) {
        return bad(p, key);
    }
    for (int r = 0; r < p->grid; r++) {
        if (!take_numbers(json_array_get(rows, (size_t)r), p->grid, *z + (int64_t)r * p->grid)) {
            return bad(p, key);
        }
    }
    return CRUMB_OK;
}

/* "A: .../plain/last.safetensors": the end of a path says more than its beginning. */
static void take_name(char *to, int index, const char *file) {
    size_t length = strlen(file), skip = length > NAME_SHOWN ? length - NAME_SHOWN : 0;
    while (skip > 0 && skip < length && ((unsigned char)file[skip] & 0xc0) == 0x80) {
        skip++; /* not into the middle of a character */
    }
    snprintf(to, NAME_SHOWN + 8, "%c: %s%s", 'A' + index, skip > 0 ? "\xe2\x80\xa6" : "", file + skip);
}

static crumb_status take_models(picture *p, const json_t *models) {
    if (json_array_size(models) != MODELS) {
        return bad(p, "models");
    }
    for (int m = 0; m < MODELS; m++) {
        const json_t *model = json_array_get(models, (size_t)m), *x = json_object_get(model, "x"),
                     *y = json_object_get(model, "y");
        const char *file = json_string_value(json_object_get(model, "file"));
        if (!json_is_number(x) || !json_is_number(y) || file == NULL) {
            return bad(p, "models");
        }
        p->model_x[m] = json_number_value(x);
        p->model_y[m] = json_number_value(y);
        take_name(p->model[m], m, file);
    }
    return CRUMB_OK;
}

static crumb_status take_all(picture *p, const json_t *object) {
    const json_t *grid = json_object_get(object, "grid"), *quantized = json_object_get(object, "quantized");
    if (!json_is_integer(grid) || json_integer_value(grid) < 2 || json_integer_value(grid) > GRID_MAX) {
        return bad(p, "grid");
    }
    p->grid = (int)json_integer_value(grid);
    p->domains = quantized != NULL ? 2 : 1;
    CRUMB_TRY(take_axis(p, object, "x", &p->x));
    CRUMB_TRY(take_axis(p, object, "y", &p->y));
    CRUMB_TRY(take_models(p, json_object_get(object, "models")));
    for (int row = 0; row < ROWS; row++) {
        for (int d = 0; d < p->domains; d++) {
            const json_t *domain = d + 1 < p->domains ? quantized : json_object_get(object, "float");
            CRUMB_TRY(take_field(p, domain, row_keys[row], &p->z[row][d]));
        }
    }
    return CRUMB_OK;
}

static crumb_status read_file(picture *p) {
    uint8_t *data;
    size_t size;
    CRUMB_TRY(crumb_file_read(p->ctx, p->path, FILE_LARGEST, &data, &size));
    json_t *object = json_loadb((const char *)data, size, 0, NULL);
    crumb_free(p->ctx, data);
    crumb_status status = json_is_object(object) ? take_all(p, object) : bad(p, "JSON object");
    json_decref(object);
    return status;
}

/* ---- Drawing. */

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

/* Panels have the plane's own proportions, within what is readable. */
static void lay_out(picture *p) {
    double wide = p->x[p->grid - 1] - p->x[0], high = p->y[p->grid - 1] - p->y[0], ratio = high / wide;
    p->panel_width = ratio > 1.4 ? (int)(PANEL * 1.4 / ratio) : PANEL;
    p->panel_width = p->panel_width < 120 ? 120 : p->panel_width;
    p->panel_height = (int)(p->panel_width * ratio);
    p->panel_height = p->panel_height < 90 ? 90 : p->panel_height > 900 ? 900 : p->panel_height;
    p->width = LEFT + p->domains * p->panel_width + (p->domains - 1) * GAP + BAR_GAP + BAR + RIGHT;
    p->width = p->width < 620 ? 620 : p->width; /* the models' names need it */
    p->height = TOP + ROWS * p->panel_height + (ROWS - 1) * BETWEEN + BOTTOM + MODELS * LINE;
}

/* Margins of a plot between pixels from the left and from the top. */
static void place(picture *p, int left, int top, int width, int height) {
    crumb_text_print(&p->script, "set lmargin at screen %.6f\nset rmargin at screen %.6f\n", (double)left / p->width,
                     (double)(left + width) / p->width);
    crumb_text_print(&p->script, "set tmargin at screen %.6f\nset bmargin at screen %.6f\n", 1 - (double)top / p->height,
                     1 - (double)(top + height) / p->height);
}

static void draw_panel(picture *p, int row, int d, const double *level, int levels) {
    crumb_text *s = &p->script;
    crumb_field field = {.columns = p->grid, .rows = p->grid, .x = p->x, .y = p->y, .z = p->z[row][d]};
    int painted[CRUMB_LEVELS_MAX + 1], count = 0;
    for (int k = 0; k <= levels; k++) {
        crumb_text_print(s, "$r%dd%dl%d << EOD\n", row, d, k);
        if (crumb_contour_fill(s, &field, k == 0 ? -INFINITY : level[k - 1]) > 0) {
            painted[count++] = k;
        } else {
            crumb_text_print(s, "\n");
        }
        crumb_text_print(s, "EOD\n");
    }
    place(p, LEFT + d * (p->panel_width + GAP), TOP + row * (p->panel_height + BETWEEN), p->panel_width, p->panel_height);
    crumb_text_print(s, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\nset format '%%g'\n", p->x[0], p->x[p->grid - 1],
                     p->y[0], p->y[p->grid - 1]);
    crumb_text_print(
        s, "set title '%s \xe2\x80\x93 %s weights' offset 0,-0.4\nset xlabel 'distance' offset 0,0.5\nset ylabel '%s'\n",
        row_names[row], d + 1 < p->domains ? "quantized" : "float", d == 0 ? "distance" : "");
    crumb_text_print(s, "set ytics format '%s'\nplot ", d == 0 ? "%g" : "");
    for (int i = 0; i < count; i++) { /* a border of the same colour closes the hairlines between polygons */
        unsigned rgb = band_colour(painted[i], levels);
        crumb_text_print(s,
                         "$r%dd%dl%d using 1:2 with filledcurves closed fs solid 1 border lc rgb '#%06x' lw 0.6 lc rgb '#%06x' "
                         "notitle, ",
                         row, d, painted[i], rgb, rgb);
    }
    crumb_text_print(s,
                     "$models using 1:2 with points pt 7 ps 1.8 lc rgb '#101010' notitle, $models using 1:2 with points pt 7 "
                     "ps 1.6 lc rgb '#ffffff' notitle, $models using 1:2:3 with labels tc rgb '#101010' notitle\n");
}

/* The colours with the values between them. */
static void draw_bar(picture *p, int row, const double *level, int levels) {
    crumb_text *s = &p->script;
    place(p, LEFT + p->domains * p->panel_width + (p->domains - 1) * GAP + BAR_GAP, TOP + row * (p->panel_height + BETWEEN),
          BAR, p->panel_height);
    crumb_text_print(s,
                     "unset title\nunset xlabel\nunset ylabel\nunset xtics\nunset ytics\nset border 0\nset xrange [0:1]\n"
                     "set yrange [0:%d]\nset y2range [0:%d]\nset y2tics scale 0 offset -0.6,0 tc rgb " CRUMB_PLOT_INK " (",
                     levels + 1, levels + 1);
    for (int k = 0; k < levels; k += p->panel_height < 200 ? 2 : 1) {
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

static void draw_all(picture *p) {
    crumb_text *s = &p->script;
    lay_out(p);
    crumb_text_print(s, "$models << EOD\n");
    for (int m = 0; m < MODELS; m++) {
        crumb_text_print(s, "%.6g %.6g %c\n", p->model_x[m], p->model_y[m], 'A' + m);
    }
    crumb_text_print(s, "EOD\nset multiplot\nunset key\nunset grid\nset border 15\nset tics out nomirror\n");
    for (int m = 0; m < MODELS; m++) {
        crumb_text_print(s, "set label %d ", m + 1);
        crumb_plot_text(s, p->model[m]);
        crumb_text_print(s, " at screen %.6f,%.6f tc rgb " CRUMB_PLOT_INK "\n", (double)LEFT / p->width,
                         (double)((MODELS - m) * LINE - LINE / 2) / p->height);
    }
    for (int row = 0; row < ROWS; row++) {
        double level[CRUMB_LEVELS_MAX];
        crumb_field fields[2];
        for (int d = 0; d < p->domains; d++) {
            fields[d] = (crumb_field){.columns = p->grid, .rows = p->grid, .x = p->x, .y = p->y, .z = p->z[row][d]};
        }
        int levels = crumb_contour_levels(&fields[0], p->domains > 1 ? &fields[1] : NULL, level);
        for (int d = 0; d < p->domains; d++) {
            draw_panel(p, row, d, level, levels);
            crumb_text_print(s, "unset label\n");
        }
        draw_bar(p, row, level, levels);
    }
    crumb_text_print(s, "unset multiplot\n");
}

crumb_status crumb_surface_plot(crumb_ctx *ctx, const char *path, crumb_plot *plot) {
    picture p = {.ctx = ctx, .path = path, .script = {.ctx = ctx}};
    char *script = NULL;
    crumb_status status = read_file(&p);
    if (status == CRUMB_OK) {
        draw_all(&p);
        status = crumb_text_take(&p.script, &script);
    }
    if (status == CRUMB_OK) {
        plot->title = "Loss surface";
        plot->description = p.domains > 1
                                ? "Train loss and test error over the plane through three models, with quantized weights on "
                                  "the left and with float weights on the right"
                                : "Train loss and test error over the plane through three float models";
        plot->width = p.width;
        plot->height = p.height;
        plot->script = script;
    }
    crumb_free(ctx, p.x);
    crumb_free(ctx, p.y);
    for (int row = 0; row < ROWS; row++) {
        crumb_free(ctx, p.z[row][0]);
        crumb_free(ctx, p.z[row][1]);
    }
    return status;
}

void crumb_surface_forget(crumb_ctx *ctx, crumb_plot *plot) {
    crumb_free(ctx, (char *)plot->script);
    plot->script = NULL;
}

crumb_status crumb_surface_draw(crumb_ctx *ctx, const char *json_path, const char *svg_path) {
    crumb_plot plot = {.id = "surface", .standalone = true};
    char *svg;
    CRUMB_TRY(crumb_surface_plot(ctx, json_path, &plot));
    crumb_status status = crumb_plot_svg(ctx, &plot, &svg);
    crumb_surface_forget(ctx, &plot);
    if (status == CRUMB_OK) {
        status = crumb_file_write(ctx, svg_path, svg, strlen(svg));
        crumb_free(ctx, svg);
    }
    return status;
}
