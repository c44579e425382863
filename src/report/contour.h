/* Filled contours of values on a rectangular grid, as polygons for gnuplot. */
#ifndef CRUMB_CONTOUR_H
#define CRUMB_CONTOUR_H

#include "base/text.h"

typedef struct crumb_field {
    int columns, rows;   /* at least 2 each */
    const double *x, *y; /* of columns and rows, rising */
    const double *z;     /* [rows][columns]; NaN counts as infinite */
} crumb_field;

/* Appends the region z >= level as closed polygons "x y" a corner, a blank line behind each; edges are interpolated linearly.
 * Returns how many. -INFINITY: everything. */
int crumb_contour_fill(crumb_text *out, const crumb_field *field, double level);

enum { CRUMB_LEVELS_MAX = 12 };
/* Levels between the least and the largest of two fields (the second may be NULL): equally spaced, or in equal ratios where the
 * largest is more than twice the least. Returns how many, 0 if all values are the same. */
int crumb_contour_levels(const crumb_field *a, const crumb_field *b, double level[CRUMB_LEVELS_MAX]);

#endif
