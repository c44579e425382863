/* Marching squares (Lorensen and Cline's cubes in two dimensions), filled: a cell's part above a level is its square clipped
 * where the value, linear along each edge, crosses the level. Regions are painted one over the other, from the lowest level up,
 * so they need no holes; a row's neighbouring cells that lie wholly above become one rectangle. */
#include "report/contour.h"

#include <math.h>

static double at(const crumb_field *f, int row, int column) {
    double z = f->z[(int64_t)row * f->columns + column];
    return isnan(z) ? INFINITY : z;
}

static void rectangle(crumb_text *out, const crumb_field *f, int row, int from, int to) {
    crumb_text_print(out, "%.6g %.6g\n%.6g %.6g\n%.6g %.6g\n%.6g %.6g\n\n", f->x[from], f->y[row], f->x[to], f->y[row],
                     f->x[to], f->y[row + 1], f->x[from], f->y[row + 1]);
}

/* Where the value reaches the level between two corners, one of them above. */
static double share(double z0, double z1, double level) {
    double t = isinf(z1) ? 0 : isinf(z0) ? 1 : (level - z0) / (z1 - z0);
    return t > 0 ? t < 1 ? t : 1 : 0;
}

/* Corners in order around the cell; crossings between one above and one below. */
static void clip(crumb_text *out, const crumb_field *f, int row, int column, double level) {
    const int dx[5] = {0, 1, 1, 0, 0}, dy[5] = {0, 0, 1, 1, 0};
    for (int i = 0; i < 4; i++) {
        double x0 = f->x[column + dx[i]], y0 = f->y[row + dy[i]], z0 = at(f, row + dy[i], column + dx[i]);
        double x1 = f->x[column + dx[i + 1]], y1 = f->y[row + dy[i + 1]], z1 = at(f, row + dy[i + 1], column + dx[i + 1]);
        if (z0 >= level) {
            crumb_text_print(out, "%.6g %.6g\n", x0, y0);
        }
        if ((z0 >= level) != (z1 >= level)) {
            double t = share(z0, z1, level);
            crumb_text_print(out, "%.6g %.6g\n", x0 + t * (x1 - x0), y0 + t * (y1 - y0));
        }
    }
    crumb_text_bytes(out, "\n", 1);
}

static int corners_above(const crumb_field *f, int row, int column, double level) {
    return (at(f, row, column) >= level) + (at(f, row, column + 1) >= level) + (at(f, row + 1, column) >= level) +
           (at(f, row + 1, column + 1) >= level);
}

int crumb_contour_fill(crumb_text *out, const crumb_field *f, double level) {
    int polygons = 0;
    for (int row = 0; row + 1 < f->rows; row++) {
        for (int column = 0; column + 1 < f->columns; column++) {
            int above = corners_above(f, row, column, level), from = column;
            if (above == 4) {
                while (column + 2 < f->columns && corners_above(f, row, column + 1, level) == 4) {
                    column++;
                }
                rectangle(out, f, row, from, column + 1);
            } else if (above > 0) {
                clip(out, f, row, column, level);
            }
            polygons += above > 0;
        }
    }
    return polygons;
}

static void widen(const crumb_field *f, double *least, double *largest) {
    for (int64_t i = 0; f != NULL && i < (int64_t)f->rows * f->columns; i++) {
        if (isfinite(f->z[i])) {
            *least = f->z[i] < *least ? f->z[i] : *least;
            *largest = f->z[i] > *largest ? f->z[i] : *largest;
        }
    }
}

int crumb_contour_levels(const crumb_field *a, const crumb_field *b, double level[CRUMB_LEVELS_MAX]) {
    double least = INFINITY, largest = -INFINITY;
    widen(a, &least, &largest);
    widen(b, &least, &largest);
    if (!(largest > least)) {
        return 0;
    }
    bool ratios = least > 0 && largest > 2 * least;
    for (int k = 0; k < CRUMB_LEVELS_MAX; k++) {
        double t = (k + 1.0) / (CRUMB_LEVELS_MAX + 1);
        level[k] = ratios ? least * pow(largest / least, t) : least + t * (largest - least);
    }
    return CRUMB_LEVELS_MAX;
}
