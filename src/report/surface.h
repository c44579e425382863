/* A loss surface as a report sees it: surface.json, which `crumb surface` writes, and its pictures as scripts for gnuplot. */
#ifndef CRUMB_REPORT_SURFACE_H
#define CRUMB_REPORT_SURFACE_H

#include "report/plot.h"

enum { CRUMB_VIEW_MODELS = 3, CRUMB_VIEW_ROWS = 2, CRUMB_VIEW_DOMAINS = 2, CRUMB_VIEW_NAME = 80 };

typedef struct crumb_surface_model {
    char name[CRUMB_VIEW_NAME]; /* "A: runs/sqwa/capture-1.safetensors" */
    double x, y;
    double value[CRUMB_VIEW_ROWS][CRUMB_VIEW_DOMAINS]; /* NaN: not known */
} crumb_surface_model;

typedef struct crumb_surface_view {
    crumb_ctx *ctx;
    char path[4096 + 32];                           /* of the file */
    int grid, domains;                              /* 2: quantized and float; 1: float */
    double *x, *y;                                  /* [grid], rising: Euclidean distances of weights */
    double *z[CRUMB_VIEW_ROWS][CRUMB_VIEW_DOMAINS]; /* [train loss, test error][domain]: [grid][grid], NaN as infinite */
    crumb_surface_model model[CRUMB_VIEW_MODELS];
    double train_images, test_images; /* of a point; NaN: not known */
} crumb_surface_view;

/* FORMAT: the file is no surface. crumb_surface_forget it. */
crumb_status crumb_surface_read(crumb_ctx *ctx, const char *path, crumb_surface_view **view);
void crumb_surface_forget(crumb_surface_view *view);
/* Fills title, description, size and script of a plot (crumb_free the script); the caller chooses the rest before. row and
 * domain -1: every row, every domain, side by side. Domains of one row share their colours. */
crumb_status crumb_surface_plot(const crumb_surface_view *view, int row, int domain, crumb_plot *plot);
const char *crumb_surface_row(int row);                                       /* "Train loss" */
const char *crumb_surface_domain(const crumb_surface_view *view, int domain); /* "quantized" */

#endif
