/* histograms.jsonl: writing it, and cutting it where a resumed run goes on. */
#include "base/file.h"
#include "train/weight_histogram.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_ROOM = 4096 + 32, DIGITS = 6 };

struct crumb_histogram_log {
    crumb_ctx *ctx;
    char path[PATH_ROOM];
    FILE *file;
};

static crumb_status io_failure(const crumb_histogram_log *log, const char *what) {
    return crumb_fail(log->ctx, CRUMB_ERROR_IO, "cannot %s %s: %s", what, log->path, strerror(errno));
}

/* Bytes of the whole lines at the file's beginning that belong to steps up to `step`. */
static crumb_status find_cut(const crumb_histogram_log *log, int64_t step, off_t *cut) {
    uint8_t *data;
    size_t size;
    CRUMB_TRY(crumb_file_read(log->ctx, log->path, 0, &data, &size));
    const char *text = (const char *)data, *end;
    long long at = 0;
    size_t kept = 0;
    while ((end = strchr(text + kept, '\n')) != NULL && sscanf(text + kept, "{\"step\":%lld,", &at) == 1 && at <= step) {
        kept = (size_t)(end - text) + 1;
    }
    crumb_free(log->ctx, data);
    *cut = (off_t)kept;
    return CRUMB_OK;
}

static crumb_status open_file(crumb_histogram_log *log, int64_t step) {
    off_t cut = 0;
    if (step >= 0 && crumb_file_exists(log->path)) {
        CRUMB_TRY(find_cut(log, step, &cut));
    }
    log->file = fopen(log->path, "ab");
    if (log->file == NULL || ftruncate(fileno(log->file), cut) != 0) {
        return io_failure(log, "open");
    }
    return CRUMB_OK;
}

crumb_status crumb_histogram_log_open(crumb_ctx *ctx, const char *folder, int64_t step, crumb_histogram_log **out) {
    crumb_histogram_log *log = crumb_alloc(ctx, 1, sizeof(*log));
    if (log == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    log->ctx = ctx;
    bool fits = snprintf(log->path, sizeof(log->path), "%s/histograms.jsonl", folder) < PATH_ROOM;
    crumb_status status = fits
                              ? open_file(log, step)
                              : crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "a folder name of %zu bytes is too long", strlen(folder));
    if (status != CRUMB_OK) {
        crumb_histogram_log_close(log);
        return status;
    }
    *out = log;
    return CRUMB_OK;
}

void crumb_histogram_log_close(crumb_histogram_log *log) {
    if (log != NULL) {
        if (log->file != NULL) {
            fclose(log->file); /* lines were flushed as they were written */
        }
        crumb_free(log->ctx, log);
    }
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *counts(const int64_t *count, int size) {
    json_t *array = json_array();
    for (int i = 0; i < size; i++) {
        json_array_append_new(array, json_integer(count[i]));
    }
    return array;
}

static json_t *reals(const double *value, int size) {
    json_t *array = json_array();
    for (int i = 0; i < size; i++) {
        json_array_append_new(array, number(value[i]));
    }
    return array;
}

/* The line as text, which jansson allocated; NULL: no memory. */
static char *print_line(const crumb_weight_histogram *h, const char *phase, int64_t epoch, int64_t step) {
    json_t *line = json_pack("{s:I, s:I, s:s, s:s, s:s?, s:i, s:I, s:I}", "step", (json_int_t)step, "epoch", (json_int_t)epoch,
                             "phase", phase, "layer", h->layer, "quantizer", h->quantizer, "bits", h->bits, "weights",
                             (json_int_t)h->weights, "scales", (json_int_t)h->scales);
    json_t *more = json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "error", number(h->error), "low", number(h->low),
                             "high", number(h->high), "below", (json_int_t)h->below, "above", (json_int_t)h->above, "bins",
                             counts(h->bin, CRUMB_HISTOGRAM_BINS), "levels", reals(h->level, h->levels), "at_levels",
                             counts(h->at_level, h->levels));
    bool made = line != NULL && more != NULL && json_object_update(line, more) == 0;
    char *text = made ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(line);
    json_decref(more);
    return text;
}

crumb_status crumb_histogram_log_add(crumb_histogram_log *log, const char *phase, int64_t epoch, int64_t step,
                                     const crumb_graph *network) {
    crumb_weight_histogram histogram;
    for (int nth = 0; crumb_graph_layer(network, nth) >= 0; nth++) {
        CRUMB_TRY(crumb_weight_histogram_take(network, nth, &histogram));
        char *text = print_line(&histogram, phase, epoch, step);
        if (text == NULL) {
            return crumb_fail(log->ctx, CRUMB_ERROR_MEMORY, "out of memory");
        }
        bool written = fputs(text, log->file) >= 0 && fputc('\n', log->file) == '\n';
        free(text);
        if (!written) {
            return io_failure(log, "write");
        }
    }
    return fflush(log->file) == 0 ? CRUMB_OK : io_failure(log, "write");
}
