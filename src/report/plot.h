/* Pictures by gnuplot: a script goes in, an SVG element comes out.
 *
 * gnuplot runs as a child process, found on PATH, with the script on its standard input; no shell and no file of the user's is
 * involved. Its output is cleaned: colours become CSS variables, so that a page decides about light and dark; ids get a prefix,
 * so that many pictures stand in one page; what has no effect goes.
 *
 * A script is plain gnuplot commands; terminal, encoding, font, axes and grid are set before it. Names of colours are the
 * macros below; line types 1 to 8 are the colours of series, 9 to 16 the same dashed. Text that comes from outside must go
 * through crumb_plot_text: gnuplot runs commands that stand between backquotes in double-quoted strings. Numbers belong into
 * data blocks ("$d << EOD"), where nothing is executed. */
#ifndef CRUMB_PLOT_H
#define CRUMB_PLOT_H

#include "base/text.h"

/* Colours as gnuplot takes them: "set border lc rgb " CRUMB_PLOT_INK. */
#define CRUMB_PLOT_INK "'#f90301'"   /* text */
#define CRUMB_PLOT_MUTED "'#f90302'" /* axes, less important text */
#define CRUMB_PLOT_GRID "'#f90303'"
#define CRUMB_PLOT_ACCENT "'#f90304'" /* what the picture is about */
#define CRUMB_PLOT_FILL "'#f90305'"   /* areas */
#define CRUMB_PLOT_BAND "'#f90306'"   /* areas behind everything */
#define CRUMB_PLOT_PAGE "'#f90307'"   /* what lies under the picture */
enum { CRUMB_PLOT_SERIES = 8 };       /* colours of line types; 9 to 16 are dashed */

/* The variables with their values, as rules for ":root", light and dark. */
extern const char crumb_plot_style[];

typedef struct crumb_plot {
    const char *id;                  /* letters, digits and '-', once a page */
    const char *title, *description; /* for those who do not see the picture; description may be NULL */
    int width, height;               /* CSS pixels */
    bool standalone;                 /* a file of its own, with crumb_plot_style and a background */
    const char *script;
} crumb_plot;

/* The picture as text; crumb_free it. UNSUPPORTED: there is no gnuplot; FORMAT: gnuplot refused the script, with its words. */
crumb_status crumb_plot_svg(crumb_ctx *ctx, const crumb_plot *plot, char **svg);
/* `text` as a gnuplot string; control characters become spaces, bytes that are not UTF-8 question marks. */
void crumb_plot_text(crumb_text *script, const char *text);
/* `text` with & < > " ' as XML entities; what XML cannot hold (control characters, bytes that are not UTF-8) becomes U+FFFD. */
void crumb_xml_text(crumb_text *out, const char *text);
/* Cleans the SVG that gnuplot wrote; part of crumb_plot_svg. */
crumb_status crumb_plot_clean(crumb_ctx *ctx, const crumb_plot *plot, const char *raw, char **svg);

#endif
