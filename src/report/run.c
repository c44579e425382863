/* A run folder: its result, the sizes of its networks, its notes. */
#include "report/run.h"

#include "base/file.h"
#include "report/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 256 << 20 };

void crumb_run_note(crumb_run *run, const char *format, ...) {
    char line[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof(line), format, values);
    va_end(values);
    for (char *at = line; *at != '\0'; at++) {
        *at = *at == '\n' ? ' ' : *at;
    }
    crumb_text_print(&run->notes, "%s\n", line);
}

static void path_of(const crumb_run *run, const char *name, char path[sizeof(((crumb_run *)0)->folder) + 64]) {
    snprintf(path, sizeof(run->folder) + 64, "%s/%s", run->folder, name);
}

crumb_status crumb_run_file(crumb_run *run, const char *name, bool may_be_absent, char **text) {
    char path[sizeof(run->folder) + 64];
    uint8_t *data = NULL;
    size_t size = 0;
    path_of(run, name, path);
    *text = NULL;
    if (!crumb_file_exists(path)) {
        if (!may_be_absent) {
            crumb_run_note(run, "%s is missing", name);
        }
        return CRUMB_OK;
    }
    crumb_status status = crumb_file_read(run->ctx, path, FILE_MAX, &data, &size);
    if (status == CRUMB_ERROR_MEMORY) {
        return status;
    }
    if (status != CRUMB_OK) {
        crumb_run_note(run, "%s", crumb_message(run->ctx));
    } else if (size == 0) {
        crumb_run_note(run, "%s is empty", name);
        crumb_free(run->ctx, data);
    } else if (memchr(data, '\0', size) != NULL) {
        crumb_run_note(run, "%s is not text", name);
        crumb_free(run->ctx, data);
    } else {
        *text = (char *)data;
    }
    return CRUMB_OK;
}

/* ---- result.json */

static void copy_text(char *to, size_t size, const char *text) {
    if (text != NULL) {
        snprintf(to, size, "%s", text);
    }
}

static void take_result(crumb_run *run, const json_t *result) {
    run->any = run->finished = true;
    copy_text(run->name, sizeof(run->name), crumb_json_text(result, "name"));
    copy_text(run->model, sizeof(run->model), crumb_json_text(result, "model"));
    run->val_top1 = crumb_json_real(result, "val_top1");
    run->val_top5 = crumb_json_real(result, "val_top5");
    run->val_loss = crumb_json_real(result, "val_loss");
    run->best_top1 = crumb_json_real(result, "best_top1");
    run->direct_top1 = crumb_json_real(result, "direct_top1");
    run->float_top1 = crumb_json_real(result, "float_top1");
    run->seconds = crumb_json_real(result, "seconds");
    run->speed = crumb_json_real(result, "images_per_second");
    run->best_epoch = crumb_json_whole(result, "best_epoch", 0, INT64_MAX, 0);
    run->epochs = crumb_json_whole(result, "epochs", 0, INT64_MAX, run->epochs);
    run->weight_bits = (int)crumb_json_whole(result, "weight_bits", 1, 32, 0);
    run->activation_bits = (int)crumb_json_whole(result, "activation_bits", 1, 32, 0);
    if (isnan(run->val_top1)) {
        crumb_run_note(run, "result.json has no val_top1");
    }
}

static crumb_status read_result(crumb_run *run) {
    char *text;
    json_error_t error;
    CRUMB_TRY(crumb_run_file(run, "result.json", true, &text));
    if (text == NULL) {
        return CRUMB_OK;
    }
    json_t *result = json_loads(text, 0, &error);
    crumb_status status = CRUMB_OK;
    if (json_is_object(result)) {
        take_result(run, result);
        status = crumb_run_take_figures(run, result, -1) ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    } else {
        crumb_run_note(run, "result.json: line %d: %s", error.line, result != NULL ? "not an object" : error.text);
    }
    json_decref(result);
    crumb_free(run->ctx, text);
    return status;
}

/* ---- The networks: a safetensors file begins with the length of its header. */

static int64_t look_at_network(crumb_run *run, const char *name) {
    char path[sizeof(run->folder) + 64];
    struct stat info;
    unsigned char head[8];
    path_of(run, name, path);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }
    bool whole = fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode) && fread(head, 1, 8, file) == 8;
    uint64_t length = 0;
    for (int i = 7; whole && i >= 0; i--) {
        length = length << 8 | head[i];
    }
    whole = whole && length <= (uint64_t)info.st_size - 8 && fgetc(file) == '{';
    fclose(file);
    if (!whole) {
        crumb_run_note(run, "%s is damaged", name);
        return 0;
    }
    run->any = true;
    return info.st_size;
}

/* ---- What only the log or the recipe knows. */

static int bits_of_recipe(const crumb_run *run, const char *what) {
    char path[64];
    snprintf(path, sizeof(path), "quantize.%s.name", what);
    const char *name = crumb_run_key(run, path);
    snprintf(path, sizeof(path), "quantize.%s.bits", what);
    const char *bits = crumb_run_key(run, path);
    if (name != NULL && strcmp(name, "none") == 0) {
        return 32;
    }
    int value = bits != NULL ? atoi(bits) : 0;
    return value >= 1 && value <= 8 ? value : 0;
}

/* An unfinished run stands where its log ends. */
static void complete_from_log(crumb_run *run) {
    for (int i = 0; i < run->count; i++) {
        const crumb_run_epoch *epoch = &run->epoch[i];
        double top1 = epoch->at[CRUMB_COLUMN_VAL_TOP1];
        if (isfinite(top1)) {
            run->val_top1 = top1;
            run->val_loss = epoch->at[CRUMB_COLUMN_VAL_LOSS];
        }
        if (i == run->phase[run->phases - 1].first) { /* the best is of the last phase, as in a result */
            run->best_top1 = NAN;
        }
        if (isfinite(top1) && !(run->best_top1 >= top1)) {
            run->best_top1 = top1;
            run->best_epoch = epoch->epoch;
        }
        run->epochs = epoch->epoch;
        run->seconds = epoch->at[CRUMB_COLUMN_SECONDS];
        run->speed = epoch->at[CRUMB_COLUMN_SPEED];
        double bits = epoch->at[CRUMB_COLUMN_WEIGHT_BITS], activation_bits = epoch->at[CRUMB_COLUMN_ACTIVATION_BITS];
        run->weight_bits = bits >= 1 && bits <= 32 ? (int)bits : run->weight_bits;
        run->activation_bits = activation_bits >= 1 && activation_bits <= 32 ? (int)activation_bits : run->activation_bits;
    }
    run->float_top1 = run->float_point;
    run->direct_top1 = run->direct_point;
}

static void complete(crumb_run *run) {
    const char *name = crumb_run_key(run, "name"), *model = crumb_run_key(run, "model.name");
    if (!run->finished) {
        complete_from_log(run);
    }
    if (run->name[0] == '\0') {
        const char *slash = strrchr(run->folder, '/');
        copy_text(run->name, sizeof(run->name),
                  name != NULL                        ? name
                  : slash != NULL && slash[1] != '\0' ? slash + 1
                                                      : run->folder);
    }
    copy_text(run->model, sizeof(run->model), run->model[0] == '\0' ? model : NULL);
    run->weight_bits = run->weight_bits != 0 ? run->weight_bits : bits_of_recipe(run, "weights");
    run->activation_bits = run->activation_bits != 0 ? run->activation_bits : bits_of_recipe(run, "activations");
}

static void measure_packed(crumb_run *run) {
    int64_t last = -1;
    for (int i = 0; i < run->histograms; i++) {
        last = run->histogram[i].epoch > last ? run->histogram[i].epoch : last;
    }
    double bytes = 0;
    for (int i = 0; i < run->histograms; i++) {
        const crumb_run_histogram *h = &run->histogram[i];
        if (h->epoch == last && h == crumb_run_find(run, h->layer, last)) {
            bytes += ceil((double)h->weights * h->bits / 8) + 4 * (double)h->scales;
        }
    }
    run->packed_bytes = run->histograms > 0 ? bytes : NAN;
}

crumb_status crumb_run_read(crumb_ctx *ctx, const char *folder, crumb_run *run) {
    run->ctx = run->notes.ctx = ctx;
    snprintf(run->folder, sizeof(run->folder), "%s", folder);
    for (size_t n = strlen(run->folder); n > 1 && run->folder[n - 1] == '/'; n--) {
        run->folder[n - 1] = '\0';
    }
    run->val_top1 = run->val_top5 = run->val_loss = run->best_top1 = run->direct_top1 = run->float_top1 = NAN;
    run->seconds = run->speed = run->float_point = run->direct_point = NAN;
    CRUMB_TRY(crumb_run_read_recipe(run));
    CRUMB_TRY(crumb_run_read_log(run));
    CRUMB_TRY(read_result(run));
    CRUMB_TRY(crumb_run_read_histograms(run));
    int64_t last = look_at_network(run, "last.safetensors"), best = look_at_network(run, "best.safetensors");
    run->file_bytes = best > 0 ? best : last;
    complete(run);
    measure_packed(run);
    return run->notes.status;
}

void crumb_run_free(crumb_run *run) {
    crumb_free(run->ctx, run->recipe);
    crumb_free(run->ctx, run->key);
    crumb_free(run->ctx, run->epoch);
    crumb_free(run->ctx, run->phase);
    crumb_free(run->ctx, run->figure);
    crumb_free(run->ctx, run->histogram);
    crumb_free(run->ctx, run->notes.at);
}
