/* The run folder's log, TensorBoard events, recipe and result. */
#include "train/run_log.h"

#include "base/file.h"
#include "formats/tensorboard.h"
#include "train/weight_histogram.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, DIGITS = 10 };

struct crumb_run_log {
    crumb_ctx *ctx;
    const crumb_recipe *recipe;
    char folder[PATH_ROOM];
    FILE *file; /* log.jsonl */
    crumb_tensorboard *events;
    crumb_histogram_log *histograms;
};

static crumb_status io_failure(const crumb_run_log *log, const char *what) {
    return crumb_fail(log->ctx, CRUMB_ERROR_IO, "cannot %s %s/log.jsonl: %s", what, log->folder, strerror(errno));
}

static void path_in(const crumb_run_log *log, const char *name, char path[PATH_ROOM + 32]) {
    snprintf(path, PATH_ROOM + 32, "%s/%s", log->folder, name);
}

/* ---- Opening. */

static crumb_status write_recipe(const crumb_run_log *log) {
    char path[PATH_ROOM + 32], *yaml;
    path_in(log, "recipe.yaml", path);
    CRUMB_TRY(crumb_recipe_print(log->recipe, &yaml));
    crumb_status status = crumb_file_write(log->ctx, path, yaml, strlen(yaml));
    crumb_text_free(log->ctx, yaml);
    return status;
}

/* A log that is shorter than its checkpoint says (the disk lost power, or somebody cut it) goes on in a new line: the run
 * matters more than the account of it. */
static crumb_status mend_lines(crumb_run_log *log, int64_t length, int64_t position) {
    crumb_log(log->ctx, CRUMB_LOG_WARNING, "%s/log.jsonl has %lld bytes, its checkpoint says %lld", log->folder,
              (long long)length, (long long)position);
    if (length == 0) {
        return CRUMB_OK;
    }
    int last = fseeko(log->file, -1, SEEK_END) == 0 ? fgetc(log->file) : EOF;
    bool whole = last == '\n' || (last != EOF && fseeko(log->file, 0, SEEK_END) == 0 && fputc('\n', log->file) == '\n');
    return whole ? CRUMB_OK : io_failure(log, "read");
}

/* Opens the log and cuts it at the checkpoint's position. */
static crumb_status open_lines(crumb_run_log *log, int64_t position) {
    char path[PATH_ROOM + 32];
    path_in(log, "log.jsonl", path);
    log->file = fopen(path, position < 0 ? "wb" : "ab+");
    if (log->file == NULL || fseeko(log->file, 0, SEEK_END) != 0) {
        return io_failure(log, "open");
    }
    int64_t length = ftello(log->file);
    if (position >= 0 && length < position) {
        CRUMB_TRY(mend_lines(log, length, position));
    } else if (position >= 0 && ftruncate(fileno(log->file), position) != 0) {
        return io_failure(log, "cut");
    }
    return fseeko(log->file, 0, SEEK_END) == 0 ? CRUMB_OK : io_failure(log, "open");
}

static crumb_status open_all(crumb_run_log *log, int64_t position, int64_t step) {
    CRUMB_TRY(crumb_folder_make(log->ctx, log->folder));
    CRUMB_TRY(write_recipe(log));
    CRUMB_TRY(open_lines(log, position));
    CRUMB_TRY(crumb_histogram_log_open(log->ctx, log->folder, position < 0 ? -1 : step, &log->histograms));
    return crumb_tensorboard_open(log->ctx, log->folder, position < 0 ? 0 : step + 1, &log->events);
}

crumb_status crumb_run_log_open(const crumb_recipe *recipe, const char *folder, int64_t position, int64_t step,
                                crumb_run_log **out) {
    crumb_ctx *ctx = recipe->ctx;
    if (strlen(folder) >= PATH_ROOM) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "run folder: a name of %zu bytes is too long", strlen(folder));
    }
    crumb_run_log *log = crumb_alloc(ctx, 1, sizeof(*log));
    if (log == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    log->ctx = ctx;
    log->recipe = recipe;
    strcpy(log->folder, folder);
    crumb_status status = open_all(log, position, step);
    if (status != CRUMB_OK) {
        crumb_run_log_close(log);
        return status;
    }
    *out = log;
    return CRUMB_OK;
}

void crumb_run_log_close(crumb_run_log *log) {
    if (log == NULL) {
        return;
    }
    if (log->file != NULL) {
        fclose(log->file); /* every line was flushed when it was written */
    }
    crumb_tensorboard_close(log->events);
    crumb_histogram_log_close(log->histograms);
    crumb_free(log->ctx, log);
}

/* ---- Lines. */

/* One measured number of a line: its key, its TensorBoard tag (NULL: none). */
typedef struct column {
    const char *key, *tag;
    size_t offset;
} column;

#define LINE(member) offsetof(crumb_run_line, member)
static const column columns[] = {
    {"loss", "loss/train", LINE(loss)},
    {"extra_loss", "loss/extra", LINE(extra_loss)},
    {"lr", "lr", LINE(lr)},
    {"lr_min", NULL, LINE(lr_min)},
    {"lr_max", NULL, LINE(lr_max)},
    {"train_top1", "accuracy/train_top1", LINE(train_top1)},
    {"val_top1", "accuracy/val_top1", LINE(val_top1)},
    {"val_top5", "accuracy/val_top5", LINE(val_top5)},
    {"val_loss", "loss/val", LINE(val_loss)},
    {"seconds", "time/seconds", LINE(seconds)},
    {"images_per_second", "time/images_per_second", LINE(images_per_second)},
    {"quantized", NULL, LINE(quantized)},
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static double number(const void *from, size_t offset) {
    double value;
    memcpy(&value, (const char *)from + offset, sizeof(value));
    return value;
}

static int set_number(json_t *object, const char *key, double value) {
    return json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

/* The figures as the member "figures", if there is one to write. */
static int set_figures(json_t *object, const crumb_figure *figure, int figures, bool all) {
    json_t *members = json_object();
    int failed = members == NULL;
    for (int i = 0; i < figures; i++) {
        if (all || !figure[i].logged) {
            failed |= set_number(members, figure[i].name, figure[i].value);
        }
    }
    if (json_object_size(members) > 0) {
        return failed | json_object_set_new(object, "figures", members);
    }
    json_decref(members);
    return failed;
}

/* The object as text, which jansson allocated; frees the object. NULL: no memory. */
static char *print_json(json_t *object, bool complete, size_t flags) {
    char *text = complete ? json_dumps(object, flags | JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(object);
    return text;
}

static char *print_line(const crumb_run_line *line) {
    json_t *object = json_object();
    int failed = json_object_set_new(object, "phase", json_string(line->phase));
    failed |= json_object_set_new(object, "epoch", json_integer(line->epoch));
    failed |= json_object_set_new(object, "step", json_integer(line->step));
    for (int i = 0; i < COLUMNS; i++) {
        failed |= set_number(object, columns[i].key, number(line, columns[i].offset));
    }
    failed |= json_object_set_new(object, "weight_bits", json_integer(line->weight_bits));
    failed |= json_object_set_new(object, "activation_bits", json_integer(line->activation_bits));
    failed |= set_figures(object, line->figure, line->figures, false);
    return print_json(object, failed == 0, JSON_COMPACT);
}

static crumb_status write_events(crumb_run_log *log, const crumb_run_line *line) {
    for (int i = 0; i < COLUMNS; i++) {
        double value = number(line, columns[i].offset);
        if (columns[i].tag != NULL && isfinite(value)) {
            CRUMB_TRY(crumb_tensorboard_scalar(log->events, columns[i].tag, line->step, value));
        }
    }
    for (int i = 0; i < line->figures; i++) {
        if (!line->figure[i].logged && isfinite(line->figure[i].value)) {
            CRUMB_TRY(crumb_tensorboard_scalar(log->events, line->figure[i].name, line->step, line->figure[i].value));
        }
    }
    return crumb_tensorboard_flush(log->events);
}

crumb_status crumb_run_log_add(crumb_run_log *log, const crumb_run_line *line) {
    char *text = print_line(line);
    if (text == NULL) {
        return crumb_fail(log->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    bool written = fputs(text, log->file) >= 0 && fputc('\n', log->file) == '\n' && fflush(log->file) == 0;
    free(text);
    return written ? write_events(log, line) : io_failure(log, "write");
}

crumb_status crumb_run_log_weights(crumb_run_log *log, int64_t step, const crumb_graph *network) {
    for (int i = 0; i < network->values; i++) {
        const crumb_value *value = &network->value[i];
        if (value->kind == CRUMB_VALUE_PARAM) {
            char tag[CRUMB_NAME_MAX + 16];
            snprintf(tag, sizeof(tag), "weights/%s", value->name);
            CRUMB_TRY(crumb_tensorboard_histogram(log->events, tag, step, value->data, crumb_shape_count(value->shape)));
        }
    }
    return crumb_tensorboard_flush(log->events);
}

crumb_status crumb_run_log_histograms(crumb_run_log *log, const char *phase, int64_t epoch, int64_t step,
                                      const crumb_graph *network) {
    return crumb_histogram_log_add(log->histograms, phase, epoch, step, network);
}

crumb_status crumb_run_log_position(crumb_run_log *log, int64_t *position) {
    if (fflush(log->file) != 0 || fsync(fileno(log->file)) != 0) {
        return io_failure(log, "write");
    }
    *position = ftello(log->file);
    return CRUMB_OK;
}

/* ---- The result. */

#define RESULT(member)                                                                                                         \
    { #member, NULL, offsetof(crumb_train_result, member) }
static const column result_reals[] = {
    RESULT(val_top1),    RESULT(val_top5),   RESULT(val_loss), RESULT(best_top1),
    RESULT(direct_top1), RESULT(float_top1), RESULT(seconds),  RESULT(images_per_second),
};
static const column result_wholes[] = {RESULT(best_epoch), RESULT(epochs), RESULT(images), RESULT(extra_images)};
static const column result_bits[] = {RESULT(weight_bits), RESULT(activation_bits)};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char *print_result(const crumb_recipe *recipe, const crumb_train_result *result, const crumb_figure *figure,
                          int figures) {
    json_t *object = json_object();
    int failed = json_object_set_new(object, "name", json_string(recipe->name));
    failed |= json_object_set_new(object, "model", json_string(recipe->model.model->name));
    for (size_t i = 0; i < COUNT(result_reals); i++) {
        failed |= set_number(object, result_reals[i].key, number(result, result_reals[i].offset));
    }
    for (size_t i = 0; i < COUNT(result_wholes); i++) {
        int64_t value;
        memcpy(&value, (const char *)result + result_wholes[i].offset, sizeof(value));
        failed |= json_object_set_new(object, result_wholes[i].key, json_integer(value));
    }
    for (size_t i = 0; i < COUNT(result_bits); i++) {
        int value;
        memcpy(&value, (const char *)result + result_bits[i].offset, sizeof(value));
        failed |= json_object_set_new(object, result_bits[i].key, json_integer(value));
    }
    failed |= set_figures(object, figure, figures, true);
    return print_json(object, failed == 0, JSON_INDENT(2));
}

crumb_status crumb_run_log_result(crumb_run_log *log, const crumb_train_result *result, const crumb_figure *figure,
                                  int figures) {
    char path[PATH_ROOM + 32];
    path_in(log, "result.json", path);
    char *text = print_result(log->recipe, result, figure, figures);
    if (text == NULL) {
        return crumb_fail(log->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    crumb_status status = crumb_file_write(log->ctx, path, text, strlen(text));
    free(text);
    return status;
}

/* Fills *result from the object; the key that is missing or of another type, NULL if none is. */
static const char *take_result(const json_t *object, crumb_train_result *result) {
    for (size_t i = 0; i < COUNT(result_reals); i++) {
        const json_t *value = json_object_get(object, result_reals[i].key);
        double real = json_is_null(value) ? NAN : json_number_value(value);
        if (!json_is_null(value) && !json_is_number(value)) {
            return result_reals[i].key;
        }
        memcpy((char *)result + result_reals[i].offset, &real, sizeof(real));
    }
    for (size_t i = 0; i < COUNT(result_wholes) + COUNT(result_bits); i++) {
        const column *from = i < COUNT(result_wholes) ? &result_wholes[i] : &result_bits[i - COUNT(result_wholes)];
        const json_t *value = json_object_get(object, from->key);
        int64_t whole = json_integer_value(value);
        int bits = (int)whole;
        if (!json_is_integer(value)) {
            return from->key;
        }
        if (i < COUNT(result_wholes)) {
            memcpy((char *)result + from->offset, &whole, sizeof(whole));
        } else {
            memcpy((char *)result + from->offset, &bits, sizeof(bits));
        }
    }
    return NULL;
}

crumb_status crumb_run_log_read_result(crumb_ctx *ctx, const char *folder, crumb_train_result *result) {
    char path[PATH_ROOM + 32];
    uint8_t *data;
    size_t size;
    crumb_train_result read = {0};
    snprintf(path, sizeof(path), "%.*s/result.json", PATH_ROOM, folder);
    CRUMB_TRY(crumb_file_read(ctx, path, 1 << 20, &data, &size));
    json_t *object = json_loadb((const char *)data, size, 0, NULL);
    crumb_free(ctx, data);
    const char *bad = json_is_object(object) ? take_result(object, &read) : "object";
    json_decref(object);
    if (bad != NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: %s is missing or of another type", path, bad);
    }
    *result = read;
    return CRUMB_OK;
}
