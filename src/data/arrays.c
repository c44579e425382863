/* The npy loader: train_x, train_y, test_x, test_y as .npy files in a folder or as members of one .npz. x holds bytes (images)
 * or reals (samples used as they are), [count, height, width, channels], [count, height, width] or [count, features]; y whole
 * numbers [count]. */
#include "base/file.h"
#include "data/held.h"
#include "data/readers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct source {
    crumb_ctx *ctx;
    const char *path;
    bool zipped;
    uint8_t *data; /* of the .npz */
    size_t size;
} source;

typedef struct array {
    char name[4096]; /* for messages */
    uint8_t *data;   /* NULL: there is no such array */
    size_t size;
    crumb_npy npy;
} array;

static crumb_status read_array(const source *from, const char *split, const char *what, bool required, array *out) {
    char member[32];
    snprintf(member, sizeof(member), "%s_%s.npy", split, what);
    snprintf(out->name, sizeof(out->name), "%s%s%s", from->path, from->zipped ? ":" : "/", member);
    if (from->zipped) {
        CRUMB_TRY(crumb_zip_read(from->ctx, from->path, from->data, from->size, member, &out->data, &out->size));
        if (out->data == NULL && required) {
            return crumb_fail(from->ctx, CRUMB_ERROR_FORMAT, "%s: no member %s", from->path, member);
        }
    } else if (required || crumb_file_exists(out->name)) {
        CRUMB_TRY(crumb_file_read(from->ctx, out->name, 0, &out->data, &out->size));
    }
    return out->data != NULL ? crumb_npy_parse(from->ctx, out->name, out->data, out->size, &out->npy) : CRUMB_OK;
}

static int64_t whole_number(const array *from, size_t index) {
    size_t item = (size_t)from->npy.item;
    const uint8_t *at = from->data + from->npy.offset + index * item;
    uint64_t bits = 0;
    for (size_t i = 0; i < item; i++) {
        bits |= (uint64_t)at[i] << (8 * i);
    }
    int unused = 64 - 8 * (int)item;
    return from->npy.kind == 'i' ? (int64_t)(bits << unused) >> unused : bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
}

/* Labels as 32-bit numbers, and their classes; *labels stays NULL if the array does not exist. */
static crumb_status take_labels(crumb_ctx *ctx, const array *y, int32_t **labels, int *classes) {
    if (y->data == NULL) {
        return CRUMB_OK;
    }
    if (y->npy.kind == 'f' || y->npy.rank != 1) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT,
                          "%s: byte 0: labels of type %c%d and rank %d; whole numbers of rank 1 are expected", y->name,
                          y->npy.kind, y->npy.item, y->npy.rank);
    }
    *labels = crumb_alloc(ctx, y->npy.count, sizeof(**labels));
    if (*labels == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (size_t i = 0; i < y->npy.count; i++) {
        int64_t label = whole_number(y, i);
        (*labels)[i] = (int32_t)(label < INT32_MIN ? INT32_MIN : label > INT32_MAX ? INT32_MAX : label);
    }
    crumb_label_source from = {y->name, y->npy.offset, (size_t)y->npy.item};
    return crumb_labels_classes(ctx, from, *labels, (int64_t)y->npy.count, classes);
}

static crumb_status take_sizes(crumb_dataset *dataset, const array *x) {
    crumb_dataset_info *info = &dataset->info;
    const int64_t *dim = x->npy.dim;
    bool flat = x->npy.rank == 2;
    info->real = x->npy.kind == 'f';
    info->count = dim[0];
    info->height = flat ? 1 : dim[1];
    info->width = flat ? dim[1] : dim[2];
    info->channels = x->npy.rank == 4 ? dim[3] : 1;
    if (!info->real && (x->npy.kind != 'u' || x->npy.item != 1)) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: byte 0: samples of type %c%d; u1, f4 and f8 are read",
                          x->name, x->npy.kind, x->npy.item);
    }
    if (x->npy.rank < 2 || x->npy.count == 0 || (!info->real && info->channels > 4)) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_FORMAT,
                          "%s: byte 0: shape %lld x %lld x %lld x %lld of rank %d; count x height x width "
                          "x channels (of bytes: at most 4) is expected",
                          x->name, (long long)dim[0], (long long)dim[1], (long long)dim[2], (long long)dim[3], x->npy.rank);
    }
    return CRUMB_OK;
}

static crumb_status take_reals(crumb_ctx *ctx, const array *x, crumb_held *held) {
    const uint8_t *from = x->data + x->npy.offset;
    float *reals = held->block = crumb_alloc(ctx, x->npy.count, sizeof(float));
    if (reals == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    held->reals = reals;
    for (size_t i = 0; i < x->npy.count; i++) {
        double wide;
        if (x->npy.item == 8) {
            memcpy(&wide, from + 8 * i, 8);
            reals[i] = (float)wide;
        } else {
            memcpy(&reals[i], from + 4 * i, 4);
        }
        if (!isfinite(reals[i])) {
            return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: sample holds %g", x->name,
                              x->npy.offset + i * (size_t)x->npy.item, (double)reals[i]);
        }
    }
    return CRUMB_OK;
}

static crumb_status take_samples(crumb_dataset *dataset, array *x) {
    CRUMB_TRY(take_sizes(dataset, x));
    CRUMB_TRY(crumb_held_create(dataset));
    crumb_held *held = dataset->state;
    if (dataset->info.real) {
        return take_reals(dataset->ctx, x, held);
    }
    crumb_held_normalise(dataset, (float[]){0.5f, 0.5f, 0.5f, 0.5f}, (float[]){0.5f, 0.5f, 0.5f, 0.5f});
    held->block = x->data;
    held->pixels = x->data + x->npy.offset;
    x->data = NULL;
    return CRUMB_OK;
}

/* Classes are what the training labels use, if they are there; the split's own labels must keep to them. */
static crumb_status fill(crumb_dataset *dataset, const source *from, array *x, array *y, array *train) {
    crumb_ctx *ctx = dataset->ctx;
    int32_t *labels = NULL, *others = NULL;
    const char *split = dataset->info.split;
    CRUMB_TRY(read_array(from, split, "x", true, x));
    CRUMB_TRY(read_array(from, split, "y", true, y));
    CRUMB_TRY(take_samples(dataset, x));
    crumb_status status = take_labels(ctx, y, &labels, &dataset->info.classes);
    if (status == CRUMB_OK && y->npy.count != (size_t)dataset->info.count) {
        status = crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte 0: %zu labels for %lld samples", y->name, y->npy.count,
                            (long long)dataset->info.count);
    }
    if (status == CRUMB_OK && strcmp(split, "test") == 0) {
        status = read_array(from, "train", "y", false, train);
        status = status == CRUMB_OK ? take_labels(ctx, train, &others, &dataset->info.classes) : status;
    }
    if (status == CRUMB_OK) {
        crumb_label_source where = {y->name, y->npy.offset, (size_t)y->npy.item};
        status = crumb_labels_check(ctx, where, labels, dataset->info.count, dataset->info.classes);
    }
    if (status == CRUMB_OK) {
        memcpy(((crumb_held *)dataset->state)->labels, labels, (size_t)dataset->info.count * sizeof(*labels));
    }
    crumb_free(ctx, labels);
    crumb_free(ctx, others);
    return status;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static crumb_status npy_open(crumb_ctx *ctx, const char *path, const char *split, uint64_t seed, crumb_dataset *dataset) {
    (void)split, (void)seed;
    source from = {.ctx = ctx, .path = path, .zipped = ends_with(path, ".npz")};
    array x = {.data = NULL}, y = {.data = NULL}, train = {.data = NULL};
    crumb_status status = from.zipped ? crumb_file_read(ctx, path, 0, &from.data, &from.size) : CRUMB_OK;
    if (status == CRUMB_OK) {
        status = fill(dataset, &from, &x, &y, &train);
    }
    crumb_free(ctx, x.data);
    crumb_free(ctx, y.data);
    crumb_free(ctx, train.data);
    crumb_free(ctx, from.data);
    return status;
}

static bool npy_probe(const char *path) {
    char file[4096];
    int length = snprintf(file, sizeof(file), "%s/test_x.npy", path);
    return (ends_with(path, ".npz") || (length > 0 && (size_t)length < sizeof(file))) &&
           crumb_file_exists(ends_with(path, ".npz") ? path : file);
}

const crumb_loader crumb_loader_npy = {
    .name = "npy",
    .doc = "NumPy arrays train_x, train_y, test_x, test_y: .npy files in a folder, or one .npz; bytes or reals",
    .needs_path = true,
    .probe = npy_probe,
    .open = npy_open,
};
