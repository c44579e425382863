/* The files of a run folder that have a line an epoch or a layer. A line that cannot be read is left out and counted: one note
 * a file tells how many and what is wrong with the first. */
#include "base/file.h"
#include "report/json.h"
#include "report/run.h"

#include <stdio.h>
#include <string.h>

enum { EPOCH_MAX = 1000000000, LINES_MAX = 1 << 20, HISTOGRAMS_MAX = 20000, WEIGHTS_MAX = 1 << 30, FIGURES_MAX = 1000 };

/* ---- Lines of JSON. */

/* Takes one object; returns what is wrong with it, NULL if nothing. *status: out of memory. */
typedef const char *(*take_line)(crumb_run *run, const json_t *line, crumb_status *status);

static crumb_status read_lines(crumb_run *run, const char *name, char *text, take_line take) {
    crumb_status status = CRUMB_OK;
    int lines = 0, bad = 0, first_line = 0;
    char first[200] = "";
    for (char *at = text, *next; *at != '\0' && status == CRUMB_OK; at = next) {
        size_t length = strcspn(at, "\n");
        json_error_t error;
        next = at + length + (at[length] == '\n');
        lines++;
        json_t *line = json_loadb(at, length, JSON_REJECT_DUPLICATES, &error);
        const char *wrong = json_is_object(line) ? take(run, line, &status) : line != NULL ? "not an object" : error.text;
        if (wrong != NULL && bad++ == 0) {
            first_line = lines;
            snprintf(first, sizeof(first), "%s", wrong);
        }
        json_decref(line);
    }
    if (bad > 0) {
        crumb_run_note(run, "%s: %d of %d lines cannot be used, the first is line %d: %s", name, bad, lines, first_line, first);
    }
    return status;
}

static crumb_status read_file(crumb_run *run, const char *name, bool may_be_absent, take_line take) {
    char *text;
    CRUMB_TRY(crumb_run_file(run, name, may_be_absent, &text));
    crumb_status status = text != NULL ? read_lines(run, name, text, take) : CRUMB_OK;
    crumb_free(run->ctx, text);
    return status;
}

/* Room for one more in an array; NULL: out of memory. */
static void *grow(crumb_ctx *ctx, void *block, int count, int *room, size_t size) {
    if (count < *room) {
        return block;
    }
    int larger = *room > 0 ? 2 * *room : 32;
    void *grown = crumb_resize(ctx, block, (size_t)*room, (size_t)larger, size);
    *room = grown != NULL ? larger : *room;
    return grown;
}

/* ---- log.jsonl */

static const char *const columns[CRUMB_COLUMNS] = {
    [CRUMB_COLUMN_LOSS] = "loss",
    [CRUMB_COLUMN_EXTRA_LOSS] = "extra_loss",
    [CRUMB_COLUMN_LR] = "lr",
    [CRUMB_COLUMN_LR_MIN] = "lr_min",
    [CRUMB_COLUMN_LR_MAX] = "lr_max",
    [CRUMB_COLUMN_TRAIN_TOP1] = "train_top1",
    [CRUMB_COLUMN_VAL_TOP1] = "val_top1",
    [CRUMB_COLUMN_VAL_LOSS] = "val_loss",
    [CRUMB_COLUMN_SECONDS] = "seconds",
    [CRUMB_COLUMN_SPEED] = "images_per_second",
    [CRUMB_COLUMN_QUANTIZED] = "quantized",
    [CRUMB_COLUMN_WEIGHT_BITS] = "weight_bits",
    [CRUMB_COLUMN_ACTIVATION_BITS] = "activation_bits",
};

/* A phase goes on while its name stays; a strategy's phases have names of their own. */
static bool add_to_phase(crumb_run *run, const char *name) {
    crumb_run_phase *last = run->phases > 0 ? &run->phase[run->phases - 1] : NULL;
    char own[CRUMB_RUN_NAME];
    snprintf(own, sizeof(own), "%s", name);
    if (last != NULL && (strcmp(last->name, own) == 0 || run->phases == CRUMB_RUN_PHASES)) {
        last->count++;
        return true;
    }
    crumb_run_phase *more = crumb_resize(run->ctx, run->phase, (size_t)run->phases, (size_t)run->phases + 1, sizeof(*more));
    if (more == NULL) {
        return false;
    }
    run->phase = more;
    more[run->phases] = (crumb_run_phase){.first = run->count, .count = 1};
    memcpy(more[run->phases].name, own, sizeof(own));
    run->phases++;
    return true;
}

bool crumb_run_take_figures(crumb_run *run, const void *json, int64_t epoch) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)json_object_get(json, "figures"), name, value) {
        int at = 0;
        while (at < run->figures && strcmp(run->figure[at].name, name) != 0) {
            at++;
        }
        bool known = at < run->figures;
        if (!json_is_number(value) || strlen(name) >= sizeof(run->figure->name) || (!known && run->figures == FIGURES_MAX)) {
            continue;
        }
        if (!known) {
            crumb_run_figure *more = grow(run->ctx, run->figure, run->figures, &run->figure_room, sizeof(*more));
            if (more == NULL) {
                return false;
            }
            run->figure = more;
            snprintf(more[at].name, sizeof(more->name), "%s", name);
            more[at].epoch = -1;
            run->figures++;
        }
        run->figure[at].value = json_number_value(value);
        run->figure[at].epoch = epoch >= 0 ? epoch : run->figure[at].epoch;
    }
    return true;
}

static const char *take_log_line(crumb_run *run, const json_t *line, crumb_status *status) {
    const char *phase = crumb_json_text(line, "phase");
    int64_t epoch = crumb_json_whole(line, "epoch", 0, EPOCH_MAX, -1);
    if (phase == NULL || epoch < 0) {
        return phase == NULL ? "no phase" : "no epoch";
    }
    if (!crumb_run_take_figures(run, line, epoch)) {
        *status = CRUMB_ERROR_MEMORY;
        return NULL;
    }
    if (epoch == 0) {
        double *point = strcmp(phase, "float") == 0    ? &run->float_point
                        : strcmp(phase, "direct") == 0 ? &run->direct_point
                                                       : NULL;
        if (point != NULL) {
            *point = crumb_json_real(line, "val_top1");
        }
        return NULL;
    }
    if (strcmp(phase, "test") == 0 && run->count > 0 && epoch == run->epoch[run->count - 1].epoch) {
        return NULL; /* the test set after the last epoch: the result has it */
    }
    if (run->count > 0 && epoch <= run->epoch[run->count - 1].epoch) {
        return "the epoch does not rise";
    }
    if (run->count >= LINES_MAX) {
        return "too many epochs";
    }
    crumb_run_epoch *more = grow(run->ctx, run->epoch, run->count, &run->room, sizeof(*more));
    if (more == NULL) {
        *status = CRUMB_ERROR_MEMORY;
        return NULL;
    }
    run->epoch = more;
    more[run->count].epoch = epoch;
    for (int c = 0; c < CRUMB_COLUMNS; c++) {
        more[run->count].at[c] = crumb_json_real(line, columns[c]);
    }
    if (!add_to_phase(run, phase)) {
        *status = CRUMB_ERROR_MEMORY;
        return NULL;
    }
    run->count++;
    run->any = true;
    return NULL;
}

crumb_status crumb_run_read_log(crumb_run *run) {
    return read_file(run, "log.jsonl", false, take_log_line);
}

/* ---- histograms.jsonl */

/* An array of finite numbers, none below `min`, each not below the one before if `rising`; its size, or -1. */
static int take_array(const json_t *line, const char *key, double *out, int room, double min, bool rising) {
    const json_t *array = json_object_get(line, key);
    if (!json_is_array(array) || json_array_size(array) > (size_t)room) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        out[i] = json_is_number(item) ? json_number_value(item) : NAN;
        if (!isfinite(out[i]) || out[i] < min || (rising && i > 0 && out[i] < out[i - 1])) {
            return -1;
        }
    }
    return (int)json_array_size(array);
}

static const char *parse_histogram(const json_t *line, crumb_run_histogram *h) {
    const char *layer = crumb_json_text(line, "layer"), *quantizer = crumb_json_text(line, "quantizer");
    h->epoch = crumb_json_whole(line, "epoch", 0, EPOCH_MAX, -1);
    h->bits = (int)crumb_json_whole(line, "bits", 1, 32, 0);
    h->weights = crumb_json_whole(line, "weights", 1, WEIGHTS_MAX, 0);
    h->scales = crumb_json_whole(line, "scales", 0, WEIGHTS_MAX, 0);
    h->outside = crumb_json_whole(line, "below", 0, WEIGHTS_MAX, 0) + crumb_json_whole(line, "above", 0, WEIGHTS_MAX, 0);
    h->error = crumb_json_real(line, "error");
    h->low = crumb_json_real(line, "low");
    h->high = crumb_json_real(line, "high");
    if (layer == NULL || h->epoch < 0 || h->bits == 0 || h->weights == 0) {
        return layer == NULL ? "no layer" : h->epoch < 0 ? "no epoch" : h->bits == 0 ? "no bits" : "no weights";
    }
    if (!(h->low < h->high) || fabs(h->low) > 1e30 || fabs(h->high) > 1e30 || h->high - h->low < 1e-30) {
        return "no range";
    }
    snprintf(h->layer, sizeof(h->layer), "%s", layer);
    snprintf(h->quantizer, sizeof(h->quantizer), "%s", quantizer != NULL ? quantizer : "");
    h->bins = take_array(line, "bins", h->bin, CRUMB_RUN_BINS, 0, false);
    h->levels = take_array(line, "levels", h->level, CRUMB_RUN_LEVELS, -1e30, true);
    int at_levels = take_array(line, "at_levels", h->at_level, CRUMB_RUN_LEVELS, 0, false);
    return h->bins < 1 ? "no bins" : h->levels < 0 || at_levels != h->levels ? "levels do not fit" : NULL;
}

static const char *take_histogram(crumb_run *run, const json_t *line, crumb_status *status) {
    crumb_run_histogram h = {0};
    const char *wrong = run->histograms < HISTOGRAMS_MAX ? parse_histogram(line, &h) : "too many histograms";
    if (wrong != NULL) {
        return wrong;
    }
    crumb_run_histogram *more = grow(run->ctx, run->histogram, run->histograms, &run->histogram_room, sizeof(*more));
    if (more == NULL) {
        *status = CRUMB_ERROR_MEMORY;
        return NULL;
    }
    run->histogram = more;
    more[run->histograms++] = h;
    run->any = true;
    return NULL;
}

crumb_status crumb_run_read_histograms(crumb_run *run) {
    return read_file(run, "histograms.jsonl", true, take_histogram);
}

int crumb_run_histogram_epochs(const crumb_run *run, int64_t *epoch, int max) {
    int count = 0;
    for (int i = 0; i < run->histograms; i++) {
        int64_t next = run->histogram[i].epoch;
        int at = 0;
        while (at < count && epoch[at] < next) {
            at++;
        }
        if (at < count && epoch[at] == next) {
            continue;
        }
        if (count == max) { /* the earlier ones are kept */
            if (at == count) {
                continue;
            }
            count--;
        }
        memmove(epoch + at + 1, epoch + at, (size_t)(count - at) * sizeof(*epoch));
        epoch[at] = next;
        count++;
    }
    return count;
}

const crumb_run_histogram *crumb_run_find(const crumb_run *run, const char *layer, int64_t epoch) {
    for (int i = run->histograms - 1; i >= 0; i--) {
        if (run->histogram[i].epoch == epoch && strcmp(run->histogram[i].layer, layer) == 0) {
            return &run->histogram[i];
        }
    }
    return NULL;
}

/* ---- recipe.yaml: the effective recipe, as train/recipe_print.c writes it: two spaces a level, "- " begins an element. */

typedef struct level {
    size_t length; /* of the path without this level */
    int element;   /* of the list at this level, -1: none yet */
} level;

enum { LEVELS = 16 };

static crumb_status add_key(crumb_run *run, const char *path, const char *value, size_t length, int *room) {
    crumb_recipe_key *more = grow(run->ctx, run->key, run->keys, room, sizeof(*more));
    if (more == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    run->key = more;
    snprintf(more[run->keys].path, sizeof(more->path), "%s", path);
    bool quoted = length >= 2 && value[0] == '"' && value[length - 1] == '"' && memchr(value, '\\', length) == NULL;
    value += quoted;
    length -= quoted ? 2 : 0;
    snprintf(more[run->keys].value, sizeof(more->value), "%.*s", (int)(length < 1000 ? length : 1000), value);
    run->keys++;
    return CRUMB_OK;
}

/* Puts ".part" behind the first `length` bytes of the path and returns the new length. */
static size_t put(char path[CRUMB_RUN_NAME], size_t length, const char *part, size_t size) {
    int written = snprintf(path + length, CRUMB_RUN_NAME - length, "%s%.*s", length > 0 ? "." : "", (int)size, part);
    size_t end = length + (size_t)(written > 0 ? written : 0);
    return end < CRUMB_RUN_NAME ? end : CRUMB_RUN_NAME - 1;
}

/* One line: its keys go to the path, a value makes a key of the run. */
static crumb_status take_recipe_line(crumb_run *run, const char *line, size_t length, char path[CRUMB_RUN_NAME],
                                     level levels[LEVELS + 1], int *room) {
    size_t indent = strspn(line, " "), depth = indent / 2;
    const char *at = line + indent, *end = line + length;
    if (indent >= length || depth + 1 >= LEVELS || *at == '#') {
        return CRUMB_OK;
    }
    size_t base = levels[depth].length;
    if (at + 2 <= end && strncmp(at, "- ", 2) == 0) {
        char number[16];
        snprintf(number, sizeof(number), "%d", ++levels[depth].element);
        base = put(path, base, number, strlen(number));
        at += 2;
        depth++;
        levels[depth] = (level){base, -1};
    }
    const char *colon = at;
    while (colon < end && *colon != ':') {
        colon++;
    }
    if (colon == end) {
        return CRUMB_OK;
    }
    size_t name = put(path, base, at, (size_t)(colon - at));
    const char *value = colon + 1 < end && colon[1] == ' ' ? colon + 2 : end;
    levels[depth + 1] = (level){name, -1};
    return value < end ? add_key(run, path, value, (size_t)(end - value), room) : CRUMB_OK;
}

crumb_status crumb_run_read_recipe(crumb_run *run) {
    level levels[LEVELS + 1] = {{0, -1}};
    char path[CRUMB_RUN_NAME] = "";
    int room = 0;
    CRUMB_TRY(crumb_run_file(run, "recipe.yaml", false, &run->recipe));
    run->any = run->any || run->recipe != NULL;
    for (const char *at = run->recipe; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, "\n");
        CRUMB_TRY(take_recipe_line(run, at, length, path, levels, &room));
        at += length + (at[length] == '\n');
    }
    return CRUMB_OK;
}

const char *crumb_run_key(const crumb_run *run, const char *path) {
    for (int i = 0; i < run->keys; i++) {
        if (strcmp(run->key[i].path, path) == 0) {
            return run->key[i].value;
        }
    }
    return NULL;
}
