/* crumb/report.h - an account of finished and unfinished runs: one table, one HTML page.
 *
 * A report reads files and nothing else: of a run folder recipe.yaml, log.jsonl, result.json, histograms.jsonl and the sizes of
 * the networks; of a comparison's folder compare.json and its runs; a surface.json in either. What is missing or damaged is
 * said in its place. The page needs no network and no scripts; pictures are drawn by gnuplot, which must be on PATH. See base.h
 * for the conventions on errors and ownership.
 */
#ifndef CRUMB_REPORT_H
#define CRUMB_REPORT_H

#include "crumb/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct crumb_report crumb_report;

/* Reads the folders. FORMAT if none of them holds a run, a comparison or a surface. */
CRUMB_API crumb_status crumb_report_open(crumb_ctx *ctx, const char *const *folders, int count, crumb_report **report);
CRUMB_API void crumb_report_close(crumb_report *report);

/* The result table as a JSON object: {"runs": [{"folder", "name", "model", "finished", "val_top1", ..., "problems"}],
 * "comparisons": [...], "surfaces": [...]}. crumb_text_free it. */
CRUMB_API crumb_status crumb_report_json(const crumb_report *report, char **json);

enum { CRUMB_REPORT_EPOCHS = 4 };

typedef struct crumb_report_options {
    const char *title;                  /* NULL: made from the runs' names */
    int epochs;                         /* 0: the first, one between, the last */
    int64_t epoch[CRUMB_REPORT_EPOCHS]; /* histograms are drawn of these epochs, or the nearest there are */
    int layer_runs;                     /* draw layers of so many runs; 0: 4 */
} crumb_report_options;

/* Writes the page. options may be NULL. UNSUPPORTED: there is no gnuplot. */
CRUMB_API crumb_status crumb_report_write(const crumb_report *report, const crumb_report_options *options, const char *path);

#ifdef __cplusplus
}
#endif
#endif
