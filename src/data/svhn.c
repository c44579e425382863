/* Street View House Numbers, cropped digits (Y. Netzer et al., "Reading digits in natural images with unsupervised feature
 * learning", 2011), as published: train_32x32.mat and test_32x32.mat with X, bytes of 32 x 32 x 3 x count, first index fastest,
 * and y, in which label 10 is the digit 0. */
#include "base/file.h"
#include "data/held.h"
#include "data/readers.h"

#include <stdio.h>
#include <string.h>

enum { SIDE = 32, PIXELS = SIDE * SIDE * 3 };

typedef struct contents {
    char path[4096];
    uint8_t *data;
    size_t size;
    crumb_mat x, y; /* rank 0: not found yet */
} contents;

/* From [column-major 32][32][3] to rows of pixels, in place. */
static void turn(uint8_t *pixels) {
    uint8_t from[PIXELS];
    memcpy(from, pixels, PIXELS);
    for (int i = 0; i < PIXELS; i++) {
        int channel = i % 3, column = i / 3 % SIDE, row = i / 3 / SIDE;
        pixels[i] = from[row + SIDE * (column + SIDE * channel)];
    }
}

static crumb_status find_arrays(crumb_ctx *ctx, contents *file) {
    CRUMB_TRY(crumb_file_read(ctx, file->path, 0, &file->data, &file->size));
    CRUMB_TRY(crumb_mat_check(ctx, file->path, file->data, file->size));
    for (size_t offset = CRUMB_MAT_FIRST; offset < file->size;) {
        crumb_mat array;
        CRUMB_TRY(crumb_mat_next(ctx, file->path, file->data, file->size, &offset, &array));
        crumb_mat *wanted = strcmp(array.name, "X") == 0 ? &file->x : strcmp(array.name, "y") == 0 ? &file->y : &array;
        if (wanted->rank == 0) {
            *wanted = array;
        } else {
            crumb_free(ctx, array.block);
        }
    }
    if (file->x.rank == 0 || file->y.rank == 0) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: end of file without an array %s", file->path, file->size,
                          file->x.rank == 0 ? "X" : "y");
    }
    return CRUMB_OK;
}

static crumb_status check_arrays(crumb_ctx *ctx, const contents *file, int64_t *count) {
    const crumb_mat *x = &file->x;
    int64_t images = x->rank == 4 ? x->dim[3] : 1;
    if (x->type != CRUMB_MAT_UINT8 || x->rank < 3 || x->dim[0] != SIDE || x->dim[1] != SIDE || x->dim[2] != 3 || images == 0) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT,
                          "%s: byte %zu: X has type %d and size %lld x %lld x %lld x %lld, bytes of 32 x 32 x 3 x "
                          "count are expected",
                          file->path, x->offset, x->type, (long long)x->dim[0], (long long)x->dim[1], (long long)x->dim[2],
                          (long long)x->dim[3]);
    }
    if (file->y.count != (size_t)images) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: y has %zu labels for %lld images", file->path, file->y.offset,
                          file->y.count, (long long)images);
    }
    *count = images;
    return CRUMB_OK;
}

static crumb_status take_labels(crumb_ctx *ctx, const contents *file, crumb_held *held) {
    for (size_t i = 0; i < file->y.count; i++) {
        double label = crumb_mat_value(&file->y, i);
        if (!(label >= 1 && label <= 10) || label != (int)label) {
            return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu%s: label %g of image %zu is outside 1 .. 10", file->path,
                              file->y.offset + i * crumb_mat_item(file->y.type),
                              file->y.block != NULL ? " of the decompressed y" : "", label, i);
        }
        held->labels[i] = (int)label % 10;
    }
    return CRUMB_OK;
}

static crumb_status fill(crumb_ctx *ctx, contents *file, crumb_dataset *dataset) {
    static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    CRUMB_TRY(find_arrays(ctx, file));
    CRUMB_TRY(check_arrays(ctx, file, &dataset->info.count));
    dataset->info.height = dataset->info.width = SIDE;
    dataset->info.channels = 3;
    dataset->info.classes = 10;
    dataset->info.class_names = names;
    crumb_held_normalise(dataset, (float[]){0.4377f, 0.4438f, 0.4728f}, (float[]){0.1980f, 0.2010f, 0.1970f});
    CRUMB_TRY(crumb_held_create(dataset));
    crumb_held *held = dataset->state;
    CRUMB_TRY(take_labels(ctx, file, held));
    uint8_t **owner = file->x.block != NULL ? &file->x.block : &file->data;
    uint8_t *pixels = *owner + file->x.offset;
    held->block = *owner;
    held->pixels = pixels;
    *owner = NULL;
    for (int64_t i = 0; i < dataset->info.count; i++) {
        turn(pixels + i * PIXELS);
    }
    return CRUMB_OK;
}

static crumb_status svhn_open(crumb_ctx *ctx, const char *path, const char *split, uint64_t seed, crumb_dataset *dataset) {
    (void)seed;
    contents file = {0};
    snprintf(file.path, sizeof(file.path), "%s/%s_32x32.mat", path, split);
    crumb_status status = fill(ctx, &file, dataset);
    crumb_free(ctx, file.x.block);
    crumb_free(ctx, file.y.block);
    crumb_free(ctx, file.data);
    return status;
}

static bool svhn_probe(const char *path) {
    char file[4096];
    int length = snprintf(file, sizeof(file), "%s/test_32x32.mat", path);
    return length > 0 && (size_t)length < sizeof(file) && crumb_file_exists(file);
}

const crumb_loader crumb_loader_svhn = {
    .name = "svhn",
    .doc = "SVHN cropped digits as published: train_32x32.mat, test_32x32.mat (MATLAB 5)",
    .needs_path = true,
    .probe = svhn_probe,
    .open = svhn_open,
};
