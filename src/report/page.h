/* The report as it is put together: what was read, and the page that is written. */
#ifndef CRUMB_REPORT_PAGE_H
#define CRUMB_REPORT_PAGE_H

#include "crumb/report.h"
#include "report/plot.h"
#include "report/run.h"
#include "report/surface.h"

enum { CRUMB_COMPARE_SEEDS = 64 };

/* A variant of a comparison, as compare.json has it. */
typedef struct crumb_report_variant {
    char name[CRUMB_RUN_NAME], verdict[64];
    int seeds;
    double top1[CRUMB_COMPARE_SEEDS]; /* NaN: not measured */
    double mean, deviation, difference, low, high, seconds;
    int64_t images, epochs;
    int weight_bits, activation_bits; /* 0: not known */
    int colour;
} crumb_report_variant;

typedef struct crumb_comparison_view {
    char folder[4096], control[CRUMB_RUN_NAME], measure[32];
    int variants; /* 0: there is no compare.json yet */
    crumb_report_variant *variant;
} crumb_comparison_view;

struct crumb_report {
    crumb_ctx *ctx;
    int runs, comparisons, surfaces;
    crumb_run *run;
    crumb_comparison_view *comparison;
    crumb_surface_view **surface;
    crumb_text notes; /* about folders that hold no run, a line each */
    int skipped;      /* arguments that are no folders: shells put files there, too, for "all in runs" */
};

typedef struct crumb_page {
    crumb_ctx *ctx;
    const crumb_report *report;
    crumb_report_options options;
    crumb_text html;
    int pictures; /* so far: their ids */
} crumb_page;

/* ---- page.c */

/* A picture in a <figure> with a caption (HTML); a picture that gnuplot refuses becomes a line that says so. plot->id is set
 * here. */
crumb_status crumb_page_picture(crumb_page *page, crumb_plot *plot, const char *caption);
void crumb_page_text(crumb_page *page, const char *text);      /* escaped */
void crumb_page_key(crumb_page *page, int colour);             /* a line of that colour, as in a legend */
void crumb_page_label(crumb_page *page, const crumb_run *run); /* a run's name with its colour */
void crumb_page_group(crumb_page *page, const crumb_run *run); /* its variant's, if it has one */
/* A comparison's runs of one variant differ in the seed alone: true if the run before is of the same. */
bool crumb_is_repeated(const crumb_report *report, int which);
/* A table cell: the number with so many decimals, a dash for NaN. */
void crumb_page_number(crumb_page *page, double value, int decimals);
void crumb_page_cell(crumb_page *page, const char *text);
/* Bits of weights and activations: "W2 A8", "float". */
enum { CRUMB_PAGE_BITS = 32 };
const char *crumb_page_bits(int weight_bits, int activation_bits, char text[CRUMB_PAGE_BITS]);
extern const char crumb_page_style[];
/* The smallest of ..., 0.1, 0.2, 0.5, 1, 2, 5, ... that cuts `range` into at most `most` parts. */
double crumb_nice_step(double range, int most);

/* ---- The sections, one file each; nothing is written where there is nothing to show. */

crumb_status crumb_section_results(crumb_page *page);
crumb_status crumb_section_comparisons(crumb_page *page);
crumb_status crumb_section_curves(crumb_page *page);
crumb_status crumb_section_layers(crumb_page *page);
crumb_status crumb_section_surfaces(crumb_page *page);
crumb_status crumb_section_recipes(crumb_page *page);

/* ---- comparison.c */

/* Reads DIR/compare.json into the next comparison; false: there is none, and no VARIANT/seed-N folder either. */
crumb_status crumb_comparison_view_read(crumb_report *report, const char *folder, bool *found);

/* ---- planes.c */

/* Reads DIR/surface.json into the next surface; false: there is none, or it is damaged, which a note says. */
crumb_status crumb_report_take_surface(crumb_report *report, const char *folder, bool *found);

#endif
