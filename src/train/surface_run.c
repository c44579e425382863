/* The walk over a loss surface, and its files:
 *
 *     points.jsonl    a first line that says what surface it is, then a line a point, in the order of the walk: the three
 * models (row -1, column 0 to 2), then the grid, row by row; the quantized domain first surface.json    everything, when every
 * point is there
 *
 * Points are appended one by one. A walk that was killed leaves whole lines and perhaps the beginning of one, which is cut off;
 * it goes on behind them, to the same numbers: they are printed with all their digits, and a point depends on no other. */
#include "train/surface.h"

#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, GRID_MAX = 1001, DIGITS = 17, FILE_LARGEST = 1 << 30 };

typedef struct walk {
    crumb_ctx *ctx;
    crumb_terrain terrain;
    const crumb_surface_options *options; /* the terrain's: defaults filled in */
    int64_t points, done;                 /* of both domains */
    crumb_surface_value *value;           /* [points], in the order of the walk */
    char path[PATH_ROOM];
    FILE *file;
    crumb_surface_progress progress;
} walk;

static const char *const keys[] = {"train_loss", "train_error", "test_loss", "test_error"};
enum { KEYS = 4 };

static double *member(crumb_surface_value *value, int k) {
    double *const at[KEYS] = {&value->train_loss, &value->train_error, &value->test_loss, &value->test_error};
    return at[k];
}

/* ---- Where the points are. */

static double coordinate(const walk *w, const double at[3], int64_t index) {
    double low = 0, high = 1;
    for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
        low = at[m] < low ? at[m] : low;
        high = at[m] > high ? at[m] : high;
    }
    low -= w->options->margin;
    high += w->options->margin;
    return low + (high - low) * (double)index / (double)(w->options->grid - 1);
}

static int64_t domain_points(const walk *w) {
    return CRUMB_SURFACE_MODELS + w->options->grid * w->options->grid;
}

typedef struct place {
    bool quantized;
    int64_t row, column; /* row -1: the model of that column */
} place;

static place place_of(const walk *w, int64_t index) {
    int64_t domain = domain_points(w), in = index % domain - CRUMB_SURFACE_MODELS, grid = w->options->grid;
    place p = {.quantized = w->terrain.quantized && index < domain};
    p.row = in < 0 ? -1 : in / grid;
    p.column = in < 0 ? in + CRUMB_SURFACE_MODELS : in % grid;
    return p;
}

static crumb_status measure(walk *w, int64_t index) {
    place p = place_of(w, index);
    const crumb_plane *plane = &w->terrain.plane;
    double a = p.row < 0 ? plane->a[p.column] : coordinate(w, plane->a, p.column);
    double b = p.row < 0 ? plane->b[p.column] : coordinate(w, plane->b, p.row);
    return crumb_terrain_measure(&w->terrain, a, b, p.quantized, &w->value[index]);
}

/* ---- JSON. */

static json_t *real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* What makes two surfaces the same. The files' names do not: their weights do. */
static json_t *identity(const walk *w) {
    static const char *const steps[] = {"follow", "shared", "refit"};
    const crumb_surface_options *o = w->options;
    char weights[24];
    snprintf(weights, sizeof(weights), "%016" PRIx64, w->terrain.digest);
    return json_pack("{s:s, s:s, s:s, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:s}", "weights", weights, "train", o->train, "test",
                     o->test, "grid", (json_int_t)o->grid, "margin", o->margin, "train_images", (json_int_t)o->train_images,
                     "test_images", (json_int_t)o->test_images, "norm_images", (json_int_t)o->norm_images, "batch",
                     (json_int_t)o->batch, "seed", (json_int_t)o->seed, "steps", steps[o->steps]);
}

/* Takes the object; the text is jansson's. NULL: no memory. */
static char *print(json_t *object, size_t flags) {
    char *text = object != NULL ? json_dumps(object, flags | JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(object);
    return text;
}

static json_t *point_json(walk *w, int64_t index) {
    place p = place_of(w, index);
    json_t *object =
        json_pack("{s:b, s:I, s:I}", "quantized", (int)p.quantized, "row", (json_int_t)p.row, "column", (json_int_t)p.column);
    int failed = 0;
    for (int k = 0; k < KEYS; k++) {
        failed |= json_object_set_new(object, keys[k], real(*member(&w->value[index], k)));
    }
    if (failed != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* ---- The file of points. */

static crumb_status io_failure(const walk *w, const char *what) {
    return crumb_fail(w->ctx, CRUMB_ERROR_IO, "cannot %s %s: %s", what, w->path, strerror(errno));
}

/* Takes the text of one line. */
static crumb_status append(walk *w, char *text) {
    if (text == NULL) {
        return crumb_fail(w->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    bool written = fputs(text, w->file) >= 0 && fputc('\n', w->file) == '\n' && fflush(w->file) == 0;
    free(text);
    return written ? CRUMB_OK : io_failure(w, "write");
}

static crumb_status check_identity(const walk *w, const json_t *before) {
    json_t *now = identity(w);
    const char *key;
    json_t *value;
    crumb_status status = now != NULL ? CRUMB_OK : crumb_fail(w->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    json_object_foreach(now, key, value) {
        const json_t *other = json_object_get(before, key);
        bool weights = strcmp(key, "weights") == 0;
        if (status == CRUMB_OK && !json_equal(value, (json_t *)other)) {
            char *is = json_dumps(value, JSON_ENCODE_ANY), *was = other != NULL ? json_dumps(other, JSON_ENCODE_ANY) : NULL;
            status = crumb_fail(w->ctx, CRUMB_ERROR_ARGUMENT, "%s holds another surface (%s%s%s%s%s): use another folder",
                                w->path, weights ? "the models' weights differ" : key, weights ? "" : " is ",
                                weights || is == NULL ? "" : is, weights ? "" : ", was ",
                                weights       ? ""
                                : was != NULL ? was
                                              : "not there");
            free(is);
            free(was);
        }
    }
    json_decref(now);
    return status;
}

/* A line of a point must be the one that the walk expects there. */
static bool take_point(walk *w, const json_t *line) {
    place p = place_of(w, w->done);
    const json_t *quantized = json_object_get(line, "quantized"), *row = json_object_get(line, "row");
    const json_t *column = json_object_get(line, "column");
    if (w->done >= w->points || !json_is_boolean(quantized) || json_is_true(quantized) != p.quantized ||
        !json_is_integer(row) || json_integer_value(row) != p.row || !json_is_integer(column) ||
        json_integer_value(column) != p.column) {
        return false;
    }
    for (int k = 0; k < KEYS; k++) {
        const json_t *value = json_object_get(line, keys[k]);
        if (!json_is_number(value) && !json_is_null(value)) {
            return false;
        }
        *member(&w->value[w->done], k) = json_is_null(value) ? NAN : json_number_value(value);
    }
    w->done++;
    return true;
}

/* Whole lines of the file; *good: bytes up to the end of the last. */
static crumb_status read_lines(walk *w, const char *text, size_t size, size_t *good) {
    int number = 0;
    for (size_t at = 0; at < size; at = *good) {
        const char *end = memchr(text + at, '\n', size - at);
        if (end == NULL) {
            break; /* killed while it was written */
        }
        size_t length = (size_t)(end - text) - at;
        json_t *line = json_loadb(text + at, length, JSON_REJECT_DUPLICATES, NULL);
        crumb_status status = CRUMB_OK;
        if (!json_is_object(line) || (number > 0 && !take_point(w, line))) {
            status = crumb_fail(w->ctx, CRUMB_ERROR_FORMAT, "%s:%d: not the point that belongs there", w->path, number + 1);
        } else if (number == 0) {
            status = check_identity(w, line);
        }
        json_decref(line);
        if (status != CRUMB_OK) {
            return status;
        }
        number++;
        *good = (size_t)(end - text) + 1;
    }
    return CRUMB_OK;
}

static crumb_status open_points(walk *w) {
    uint8_t *text;
    size_t size, good = 0;
    snprintf(w->path, sizeof(w->path), "%s/points.jsonl", w->options->out);
    CRUMB_TRY(crumb_folder_make(w->ctx, w->options->out));
    if (crumb_file_exists(w->path)) {
        CRUMB_TRY(crumb_file_read(w->ctx, w->path, FILE_LARGEST, &text, &size));
        crumb_status status = read_lines(w, (const char *)text, size, &good);
        crumb_free(w->ctx, text);
        if (status != CRUMB_OK) {
            return status;
        }
    }
    w->file = fopen(w->path, "ab");
    if (w->file == NULL || ftruncate(fileno(w->file), (off_t)good) != 0 || fseeko(w->file, 0, SEEK_END) != 0) {
        return io_failure(w, "open");
    }
    return good > 0 ? CRUMB_OK : append(w, print(identity(w), JSON_COMPACT));
}

/* ---- The outcome. */

/* Index of a domain's first point; -1: it has none. */
static int64_t first_of(const walk *w, bool quantized) {
    if (quantized) {
        return w->terrain.quantized ? 0 : -1;
    }
    return w->terrain.quantized ? domain_points(w) : 0;
}

static json_t *value_json(crumb_surface_value *value) {
    return json_pack("{s:o, s:o, s:o, s:o}", keys[0], real(value->train_loss), keys[1], real(value->train_error), keys[2],
                     real(value->test_loss), keys[3], real(value->test_error));
}

/* {"train_loss": [[...], ...], ...}: a list a row, from the lowest y. */
static json_t *domain_json(walk *w, int64_t first) {
    int64_t grid = w->options->grid;
    json_t *object = json_object();
    int failed = object == NULL;
    for (int k = 0; k < KEYS; k++) {
        json_t *rows = json_array();
        for (int64_t r = 0; r < grid; r++) {
            json_t *row = json_array();
            for (int64_t c = 0; c < grid; c++) {
                crumb_surface_value *value = &w->value[first + CRUMB_SURFACE_MODELS + r * grid + c];
                failed |= json_array_append_new(row, real(*member(value, k)));
            }
            failed |= json_array_append_new(rows, row);
        }
        failed |= json_object_set_new(object, keys[k], rows);
    }
    if (failed != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *axis_json(const walk *w, const double at[3], double length) {
    json_t *axis = json_array();
    for (int64_t i = 0; i < w->options->grid; i++) {
        if (json_array_append_new(axis, json_real(coordinate(w, at, i) * length)) != 0) {
            json_decref(axis);
            return NULL;
        }
    }
    return axis;
}

static json_t *models_json(walk *w) {
    const crumb_plane *plane = &w->terrain.plane;
    int64_t quantized = first_of(w, true), plain = first_of(w, false);
    json_t *models = json_array();
    for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
        json_t *model = json_pack("{s:s, s:f, s:f, s:o}", "file", w->options->models[m], "x", plane->a[m] * plane->u_length,
                                  "y", plane->b[m] * plane->v_length, "float", value_json(&w->value[plain + m]));
        int failed = quantized >= 0 ? json_object_set_new(model, "quantized", value_json(&w->value[quantized + m])) : 0;
        failed |= json_array_append_new(models, model);
        if (failed != 0) {
            json_decref(models);
            return NULL;
        }
    }
    return models;
}

static crumb_status write_surface(walk *w) {
    char path[PATH_ROOM];
    const crumb_plane *plane = &w->terrain.plane;
    int failed = 0;
    json_t *object = identity(w);
    failed |= json_object_set_new(object, "step_spread", real(w->terrain.step_spread));
    failed |= json_object_set_new(object, "models", models_json(w));
    failed |= json_object_set_new(object, "x", axis_json(w, plane->a, plane->u_length));
    failed |= json_object_set_new(object, "y", axis_json(w, plane->b, plane->v_length));
    if (w->terrain.quantized) {
        failed |= json_object_set_new(object, "quantized", domain_json(w, first_of(w, true)));
    }
    failed |= json_object_set_new(object, "float", domain_json(w, first_of(w, false)));
    if (failed != 0) {
        json_decref(object);
        return crumb_fail(w->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    char *text = print(object, JSON_INDENT(1));
    if (text == NULL) {
        return crumb_fail(w->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    snprintf(path, sizeof(path), "%s/surface.json", w->options->out);
    crumb_status status = crumb_file_write(w->ctx, path, text, strlen(text));
    free(text);
    return status;
}

/* The models' values, and the smallest of each on the grid. */
static void summarise(walk *w, bool quantized, crumb_surface_value models[3], crumb_surface_value *best) {
    int64_t first = first_of(w, quantized);
    *best = (crumb_surface_value){NAN, NAN, NAN, NAN};
    for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
        models[m] = first >= 0 ? w->value[first + m] : *best;
    }
    for (int64_t i = CRUMB_SURFACE_MODELS; first >= 0 && i < domain_points(w); i++) {
        for (int k = 0; k < KEYS; k++) {
            double value = *member(&w->value[first + i], k), *least = member(best, k);
            *least = isnan(*least) || value < *least ? value : *least;
        }
    }
}

static void report(walk *w, crumb_surface_result *result) {
    const crumb_plane *plane = &w->terrain.plane;
    for (int m = 0; m < CRUMB_SURFACE_MODELS; m++) {
        result->x[m] = plane->a[m] * plane->u_length;
        result->y[m] = plane->b[m] * plane->v_length;
    }
    result->step_spread = w->terrain.step_spread;
    summarise(w, true, result->quantized, &result->best_quantized);
    summarise(w, false, result->plain, &result->best_plain);
}

/* ---- Walking. */

static crumb_status tell(walk *w) {
    const crumb_surface_options *o = w->options;
    w->progress.done = w->done;
    w->progress.total = w->points;
    if (w->done > 0) {
        w->progress.quantized = place_of(w, w->done - 1).quantized;
        w->progress.value = w->value[w->done - 1];
    }
    if (o->progress == NULL || o->progress(o->user, &w->progress)) {
        return CRUMB_OK;
    }
    return crumb_fail(w->ctx, CRUMB_ERROR_STOPPED, "stopped after %" PRId64 " of %" PRId64 " points", w->done, w->points);
}

static crumb_status walk_all(walk *w, crumb_surface_result *result) {
    w->points = domain_points(w) * (w->terrain.quantized ? 2 : 1);
    w->value = crumb_alloc(w->ctx, (size_t)w->points, sizeof(*w->value));
    if (w->value == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(open_points(w));
    w->progress.found = w->done;
    CRUMB_TRY(tell(w));
    while (w->done < w->points) {
        CRUMB_TRY(measure(w, w->done));
        CRUMB_TRY(append(w, print(point_json(w, w->done), JSON_COMPACT)));
        w->done++;
        CRUMB_TRY(tell(w));
    }
    CRUMB_TRY(write_surface(w));
    if (result != NULL) {
        report(w, result);
    }
    return CRUMB_OK;
}

static crumb_status check_options(crumb_ctx *ctx, const crumb_surface_options *o) {
    if (o->grid < 2 || o->grid > GRID_MAX) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "grid: %" PRId64 " points a side are outside 2 .. %d", o->grid, GRID_MAX);
    }
    if (!(o->margin <= 100)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "margin: %g is outside 0 .. 100", o->margin);
    }
    if ((unsigned)o->steps > CRUMB_STEPS_REFIT) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "steps: %d is no way to find them", (int)o->steps);
    }
    if (o->train_images < 1 || o->test_images < 1 || o->norm_images < 1 || o->batch < 1) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "a number of images is below 1");
    }
    if (strlen(o->out) > PATH_ROOM - 32) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "folder name of %zu bytes", strlen(o->out));
    }
    return CRUMB_OK;
}

static int64_t or_preset(int64_t value, int64_t preset) {
    return value != 0 ? value : preset;
}

crumb_status crumb_surface(crumb_ctx *ctx, const crumb_surface_options *options, crumb_surface_result *result) {
    crumb_surface_options o = *options;
    o.grid = or_preset(o.grid, 21);
    o.margin = o.margin < 0 ? 0.2 : o.margin;
    o.train_images = or_preset(o.train_images, 1000);
    o.test_images = or_preset(o.test_images, 1000);
    o.norm_images = or_preset(o.norm_images, 1000);
    o.batch = or_preset(o.batch, 100);
    CRUMB_TRY(check_options(ctx, &o));
    walk w = {.ctx = ctx};
    CRUMB_TRY(crumb_terrain_open(ctx, &o, &w.terrain));
    w.options = &w.terrain.options;
    crumb_status status = walk_all(&w, result);
    if (w.file != NULL) {
        fclose(w.file); /* every line was flushed when it was written */
    }
    crumb_free(ctx, w.value);
    crumb_terrain_close(&w.terrain);
    return status;
}
