/* The picture of a loss surface: surface.json (written by `crumb surface`) as a script for gnuplot. */
#ifndef CRUMB_REPORT_SURFACE_H
#define CRUMB_REPORT_SURFACE_H

#include "report/plot.h"

/* Fills title, description, size and script of a plot; the caller chooses the rest and gives them back with
 * crumb_surface_forget. FORMAT: the file is no surface. */
crumb_status crumb_surface_plot(crumb_ctx *ctx, const char *path, crumb_plot *plot);
void crumb_surface_forget(crumb_ctx *ctx, crumb_plot *plot);

#endif
