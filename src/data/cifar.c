/* CIFAR-10 and CIFAR-100, binary version (A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009):
 * records of one label byte (CIFAR-100: coarse, then fine label) and a 32 x 32 image as three planes of 1024 bytes. */
#include "base/file.h"
#include "data/held.h"
#include "data/readers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE, FILES_MAX = 5 };

/* What differs between the two sets. */
typedef struct variant {
    int label_bytes, classes;
    const char *train[FILES_MAX + 1], *test[2], *names;
    float mean[3], deviation[3];
} variant;

static const variant cifar10 = {
    .label_bytes = 1,
    .classes = 10,
    .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
    .test = {"test_batch.bin"},
    .names = "batches.meta.txt",
    .mean = {0.4914f, 0.4822f, 0.4465f},
    .deviation = {0.2470f, 0.2435f, 0.2616f},
};

static const variant cifar100 = {
    .label_bytes = 2,
    .classes = 100,
    .train = {"train.bin"},
    .test = {"test.bin"},
    .names = "fine_label_names.txt",
    .mean = {0.5071f, 0.4865f, 0.4409f},
    .deviation = {0.2673f, 0.2564f, 0.2762f},
};

static void interleave(uint8_t *pixels, const uint8_t *planes) {
    for (int i = 0; i < PLANE; i++) {
        pixels[3 * i] = planes[i];
        pixels[3 * i + 1] = planes[PLANE + i];
        pixels[3 * i + 2] = planes[2 * PLANE + i];
    }
}

crumb_status crumb_cifar_parse(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, int label_bytes, int classes,
                               int64_t records, uint8_t *pixels, int32_t *labels) {
    size_t record = (size_t)label_bytes + PIXELS;
    if (size != (size_t)records * record) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: truncated: %zu bytes are no %lld records of %zu", name,
                          size / record * record, size, (long long)records, record);
    }
    for (int64_t i = 0; i < records; i++) {
        const uint8_t *at = data + (size_t)i * record;
        labels[i] = at[label_bytes - 1];
        if (labels[i] >= classes) {
            return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: label %d of image %lld is outside 0 .. %d", name,
                              (size_t)i * record + (size_t)label_bytes - 1, labels[i], (long long)i, classes - 1);
        }
        interleave(pixels + i * PIXELS, at + label_bytes);
    }
    return CRUMB_OK;
}

/* Records of a file by its size. */
static crumb_status count_records(crumb_ctx *ctx, const char *path, int label_bytes, int64_t *records) {
    struct stat info;
    int64_t record = label_bytes + PIXELS;
    if (stat(path, &info) != 0) {
        return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    }
    if (info.st_size == 0 || info.st_size % record != 0) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT,
                          "%s: byte %lld: truncated: %lld bytes are no whole number of %lld-byte records", path,
                          (long long)(info.st_size / record * record), (long long)info.st_size, (long long)record);
    }
    *records = info.st_size / record;
    return CRUMB_OK;
}

static crumb_status load_file(crumb_dataset *dataset, const char *path, int label_bytes, int64_t first, int64_t records) {
    crumb_held *held = dataset->state;
    uint8_t *data;
    size_t size;
    CRUMB_TRY(crumb_file_read(dataset->ctx, path, 0, &data, &size));
    crumb_status status = crumb_cifar_parse(dataset->ctx, path, data, size, label_bytes, dataset->info.classes, records,
                                            (uint8_t *)held->block + first * PIXELS, held->labels + first);
    crumb_free(dataset->ctx, data);
    return status;
}

static crumb_status cifar_open(crumb_dataset *dataset, const char *folder, const char *split, const variant *set) {
    const char *const *files = strcmp(split, "train") == 0 ? set->train : set->test;
    char path[4096];
    int64_t records[FILES_MAX] = {0}, total = 0;
    for (int i = 0; files[i] != NULL; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        CRUMB_TRY(count_records(dataset->ctx, path, set->label_bytes, &records[i]));
        total += records[i];
    }
    dataset->info.count = total;
    dataset->info.height = dataset->info.width = SIDE;
    dataset->info.channels = 3;
    dataset->info.classes = set->classes;
    crumb_held_normalise(dataset, set->mean, set->deviation);
    CRUMB_TRY(crumb_held_create(dataset));
    crumb_held *held = dataset->state;
    held->block = crumb_alloc(dataset->ctx, (size_t)total, PIXELS);
    held->pixels = held->block;
    if (held->block == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    int64_t first = 0;
    for (int i = 0; files[i] != NULL; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        CRUMB_TRY(load_file(dataset, path, set->label_bytes, first, records[i]));
        first += records[i];
    }
    snprintf(path, sizeof(path), "%s/%s", folder, set->names);
    return crumb_file_exists(path) ? crumb_held_name(dataset, path) : CRUMB_OK;
}

static crumb_status cifar10_open(crumb_ctx *ctx, const char *path, const char *split, uint64_t seed, crumb_dataset *dataset) {
    (void)ctx, (void)seed;
    return cifar_open(dataset, path, split, &cifar10);
}

static crumb_status cifar100_open(crumb_ctx *ctx, const char *path, const char *split, uint64_t seed, crumb_dataset *dataset) {
    (void)ctx, (void)seed;
    return cifar_open(dataset, path, split, &cifar100);
}

static bool has_file(const char *folder, const char *file) {
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, file);
    return length > 0 && (size_t)length < sizeof(path) && crumb_file_exists(path);
}

static bool cifar10_probe(const char *path) {
    return has_file(path, cifar10.train[0]) || has_file(path, cifar10.test[0]);
}

static bool cifar100_probe(const char *path) {
    return has_file(path, cifar100.train[0]) || has_file(path, cifar100.test[0]);
}

const crumb_loader crumb_loader_cifar10 = {
    .name = "cifar10",
    .doc = "CIFAR-10 binary version: data_batch_1.bin ... data_batch_5.bin, test_batch.bin, batches.meta.txt if there",
    .needs_path = true,
    .probe = cifar10_probe,
    .open = cifar10_open,
};

const crumb_loader crumb_loader_cifar100 = {
    .name = "cifar100",
    .doc = "CIFAR-100 binary version, fine labels: train.bin, test.bin, fine_label_names.txt if there",
    .needs_path = true,
    .probe = cifar100_probe,
    .open = cifar100_open,
};
