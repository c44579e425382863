/* IDX, the format of MNIST (Y. LeCun, C. Cortes): a big-endian header {0, 0, type, rank, dimensions...} and the elements.
 * Images are [count, height, width] of bytes, labels [count] of bytes; plain or gzipped. */
#include "data/readers.h"

#include "base/file.h"
#include "data/held.h"

#include <stdio.h>
#include <string.h>

enum { TYPE_BYTES = 0x08, HEADER_MAX = 20 };

static uint32_t big32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The header alone, from at least HEADER_MAX or all bytes. */
static crumb_status parse_header(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, crumb_idx *idx) {
    if (size < 4) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: truncated in the IDX header", name, size);
    }
    if (data[0] != 0 || data[1] != 0 || data[2] != TYPE_BYTES || data[3] < 1 || data[3] > 4) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte 0: magic 0x%08x, IDX of bytes has 0x00000801 to 0x00000804", name,
                          big32(data));
    }
    crumb_idx found = {.rank = data[3], .offset = 4 + 4 * (size_t)data[3], .count = 1};
    if (size < found.offset) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: truncated in the IDX header", name, size);
    }
    for (int i = 0; i < found.rank; i++) {
        found.dim[i] = big32(data + 4 + 4 * i);
        if (found.dim[i] == 0 || __builtin_mul_overflow(found.count, (size_t)found.dim[i], &found.count) ||
            found.count > SIZE_MAX / 4) {
            return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %d: dimension %lld", name, 4 + 4 * i, (long long)found.dim[i]);
        }
    }
    *idx = found;
    return CRUMB_OK;
}

crumb_status crumb_idx_parse(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, crumb_idx *idx) {
    crumb_idx found;
    CRUMB_TRY(parse_header(ctx, name, data, size, &found));
    if (size - found.offset != found.count) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: %s, the header promises %zu bytes", name,
                          size < found.offset + found.count ? size : found.offset + found.count,
                          size < found.offset + found.count ? "truncated" : "data goes on", found.offset + found.count);
    }
    *idx = found;
    return CRUMB_OK;
}

crumb_status crumb_idx_unzip(crumb_ctx *ctx, const char *name, uint8_t **data, size_t *size) {
    if (*size < 2 || (*data)[0] != 0x1f || (*data)[1] != 0x8b) {
        return CRUMB_OK;
    }
    crumb_deflated packed = {name, *data, *size, 0, CRUMB_INFLATE_GZIP};
    uint8_t header[HEADER_MAX];
    size_t got;
    crumb_idx idx;
    CRUMB_TRY(crumb_inflate(ctx, &packed, header, sizeof(header), &got));
    CRUMB_TRY(parse_header(ctx, name, header, got, &idx));
    /* Deflate gains at most 1032 : 1, so a header that promises more lies, and no memory is spent on it. */
    if (idx.count / 1032 > *size) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT,
                          "%s: byte 4: header promises %zu bytes, %zu compressed ones cannot hold them", name, idx.count,
                          *size);
    }
    size_t room = idx.offset + idx.count + 1; /* one more shows that data goes on */
    uint8_t *plain = crumb_alloc(ctx, room, 1);
    if (plain == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_status status = crumb_inflate(ctx, &packed, plain, room, &got);
    if (status != CRUMB_OK) {
        crumb_free(ctx, plain);
        return status;
    }
    crumb_free(ctx, *data);
    *data = plain;
    *size = got;
    return CRUMB_OK;
}

/* The file under any of the names in use: train-images-idx3-ubyte, train-images.idx3-ubyte, either with .gz. */
static bool find_file(const char *folder, const char *prefix, const char *what, int rank, char *path, size_t size) {
    static const char *const forms[] = {"%s/%s-%s-idx%d-ubyte", "%s/%s-%s.idx%d-ubyte", "%s/%s-%s-idx%d-ubyte.gz",
                                        "%s/%s-%s.idx%d-ubyte.gz"};
    for (size_t i = sizeof(forms) / sizeof(forms[0]); i-- > 0;) {
        int length = snprintf(path, size, forms[i], folder, prefix, what, rank);
        if (length > 0 && (size_t)length < size && crumb_file_exists(path)) {
            return true;
        }
    }
    snprintf(path, size, forms[0], folder, prefix, what, rank);
    return false;
}

static const char *prefix_of(const char *split) {
    return strcmp(split, "train") == 0 ? "train" : "t10k";
}

static bool idx_probe(const char *path) {
    char file[4096];
    return find_file(path, "train", "labels", 1, file, sizeof(file)) ||
           find_file(path, "t10k", "labels", 1, file, sizeof(file));
}

typedef struct contents {
    char path[4096];
    uint8_t *data;
    size_t size;
    crumb_idx idx;
} contents;

static crumb_status read_file(crumb_ctx *ctx, contents *file) {
    CRUMB_TRY(crumb_file_read(ctx, file->path, 0, &file->data, &file->size));
    CRUMB_TRY(crumb_idx_unzip(ctx, file->path, &file->data, &file->size));
    return crumb_idx_parse(ctx, file->path, file->data, file->size, &file->idx);
}

static crumb_status read_labels(crumb_ctx *ctx, const char *folder, const char *split, contents *file, int32_t **labels) {
    find_file(folder, prefix_of(split), "labels", 1, file->path, sizeof(file->path));
    CRUMB_TRY(read_file(ctx, file));
    if (file->idx.rank != 1) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte 3: %d dimensions, labels have 1", file->path, file->idx.rank);
    }
    *labels = crumb_alloc(ctx, file->idx.count, sizeof(**labels));
    if (*labels == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (size_t i = 0; i < file->idx.count; i++) {
        (*labels)[i] = file->data[file->idx.offset + i];
    }
    return CRUMB_OK;
}

/* Classes are what the training labels use; the test set must keep to them. */
static crumb_status count_classes(crumb_ctx *ctx, const char *folder, int *classes) {
    contents file = {0};
    int32_t *labels = NULL;
    crumb_status status = read_labels(ctx, folder, "train", &file, &labels);
    if (status == CRUMB_OK) {
        status =
            crumb_labels_classes(ctx, (crumb_label_source){file.path, file.idx.offset, 1}, labels, file.idx.dim[0], classes);
    }
    crumb_free(ctx, labels);
    crumb_free(ctx, file.data);
    return status;
}

static crumb_status open_images(crumb_dataset *dataset, contents *file) {
    crumb_ctx *ctx = dataset->ctx;
    CRUMB_TRY(read_file(ctx, file));
    const crumb_idx *idx = &file->idx;
    if (idx->rank != 3) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte 3: %d dimensions, images have 3", file->path, idx->rank);
    }
    dataset->info.count = idx->dim[0];
    dataset->info.height = idx->dim[1];
    dataset->info.width = idx->dim[2];
    dataset->info.channels = 1;
    CRUMB_TRY(crumb_held_create(dataset));
    crumb_held *held = dataset->state;
    held->block = file->data;
    held->pixels = file->data + idx->offset;
    file->data = NULL;
    return CRUMB_OK;
}

static crumb_status open_labels(crumb_dataset *dataset, const char *folder, const char *split, contents *file,
                                const char *images) {
    crumb_ctx *ctx = dataset->ctx;
    int32_t *labels = NULL;
    char train[4096];
    crumb_status status = read_labels(ctx, folder, split, file, &labels);
    if (status == CRUMB_OK && file->idx.dim[0] != dataset->info.count) {
        status = crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte 4: %lld labels for the %lld images of %s", file->path,
                            (long long)file->idx.dim[0], (long long)dataset->info.count, images);
    }
    crumb_label_source source = {file->path, file->idx.offset, 1};
    if (status == CRUMB_OK && strcmp(split, "test") == 0 && find_file(folder, "train", "labels", 1, train, sizeof(train))) {
        status = count_classes(ctx, folder, &dataset->info.classes);
    } else if (status == CRUMB_OK) {
        status = crumb_labels_classes(ctx, source, labels, file->idx.dim[0], &dataset->info.classes);
    }
    if (status == CRUMB_OK) {
        status = crumb_labels_check(ctx, source, labels, file->idx.dim[0], dataset->info.classes);
    }
    if (status == CRUMB_OK) {
        memcpy(((crumb_held *)dataset->state)->labels, labels, file->idx.count * sizeof(*labels));
    }
    crumb_free(ctx, labels);
    return status;
}

static crumb_status idx_open(crumb_ctx *ctx, const char *path, const char *split, uint64_t seed, crumb_dataset *dataset) {
    (void)seed;
    contents images = {0}, labels = {0};
    find_file(path, prefix_of(split), "images", 3, images.path, sizeof(images.path));
    crumb_status status = open_images(dataset, &images);
    if (status == CRUMB_OK) {
        status = open_labels(dataset, path, split, &labels, images.path);
    }
    crumb_free(ctx, images.data);
    crumb_free(ctx, labels.data);
    crumb_held_normalise(dataset, (float[]){0.1307f}, (float[]){0.3081f}); /* MNIST's */
    return status;
}

const crumb_loader crumb_loader_idx = {
    .name = "idx",
    .doc = "MNIST-style IDX files, plain or .gz: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-...",
    .needs_path = true,
    .probe = idx_probe,
    .open = idx_open,
};
