/* How the ten digits are written: the ways that are common in handwriting, as strokes through points. */
#ifndef CRUMB_GLYPHS_H
#define CRUMB_GLYPHS_H

#include <stdint.h>

enum { CRUMB_GLYPH_POINTS = 24, CRUMB_GLYPH_VARIANTS = 4 };

/* A box of 100 x 100, y down. A stroke is a smooth curve through its points; a point given twice is a corner. */
typedef struct crumb_glyph_point {
    int8_t x, y;
} crumb_glyph_point;

typedef struct crumb_glyph {
    int points; /* of all strokes; a point with x < 0 ends a stroke */
    crumb_glyph_point point[CRUMB_GLYPH_POINTS];
} crumb_glyph;

extern const crumb_glyph crumb_glyphs[10][CRUMB_GLYPH_VARIANTS]; /* variants without points end the list */

#endif
