/* Data sets by "KIND:PATH[:SPLIT]", and what can be asked of any of them. */
#include "data/dataset.h"

#include "base/file.h"
#include "base/param.h"

#include <string.h>

enum { PATH_ROOM = 4096, LOADERS_MAX = 64 };

typedef struct parts {
    const crumb_loader *loader;
    char path[PATH_ROOM];
    const char *split;
} parts;

static const crumb_loader *find_loader(const char *name, size_t length) {
    for (int i = 0; crumb_loaders[i] != NULL; i++) {
        if (strlen(crumb_loaders[i]->name) == length && memcmp(crumb_loaders[i]->name, name, length) == 0) {
            return crumb_loaders[i];
        }
    }
    return NULL;
}

/* An unknown KIND: the user forgot it (the spec is a path that some loader recognises) or misspelt it. */
static crumb_status unknown_kind(crumb_ctx *ctx, const char *spec, const char *kind) {
    const char *names[LOADERS_MAX];
    size_t count = 0;
    for (; crumb_loaders[count] != NULL; count++) {
        names[count] = crumb_loaders[count]->name;
        if (crumb_loaders[count]->probe != NULL && crumb_loaders[count]->probe(spec)) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "data set '%.200s' has no kind; did you mean %s:%.200s?", spec,
                              names[count], spec);
        }
    }
    const char *nearest = crumb_nearest(kind, names, count);
    if (nearest != NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "data set '%.200s': unknown kind '%.40s', did you mean %s?", spec, kind,
                          nearest);
    }
    return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "data set '%.200s': unknown kind '%.40s'; KIND:PATH[:SPLIT] is expected", spec,
                      kind);
}

/* "train" or "test" as the constant, NULL for anything else. */
static const char *split_name(const char *text) {
    return strcmp(text, "train") == 0 ? "train" : strcmp(text, "test") == 0 ? "test" : NULL;
}

static crumb_status unknown_split(crumb_ctx *ctx, const char *spec, const char *word) {
    return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "data set '%.200s': split '%.40s' is neither train nor test", spec, word);
}

/* PATH may contain colons: what follows the last one is a split only if it is a split's name. */
static crumb_status take_split(crumb_ctx *ctx, const char *spec, parts *found) {
    char *colon = strrchr(found->path, ':');
    if (colon == NULL) {
        return CRUMB_OK;
    }
    const char *split = split_name(colon + 1);
    if (split != NULL) {
        found->split = split;
        *colon = '\0';
        return CRUMB_OK;
    }
    bool is_path = strchr(colon, '/') != NULL || crumb_file_exists(found->path);
    return is_path ? CRUMB_OK : unknown_split(ctx, spec, colon + 1);
}

static crumb_status split_spec(crumb_ctx *ctx, const char *spec, parts *found) {
    size_t length = strcspn(spec, ":");
    const char *rest = spec[length] == ':' ? spec + length + 1 : "";
    *found = (parts){.loader = find_loader(spec, length), .split = "test"};
    if (strlen(rest) >= sizeof(found->path)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "data set: path of %zu bytes is too long", strlen(rest));
    }
    if (found->loader == NULL) {
        memcpy(found->path, spec, length < PATH_ROOM - 1 ? length : PATH_ROOM - 1);
        return unknown_kind(ctx, spec, found->path);
    }
    if (!found->loader->needs_path) {
        found->split = rest[0] == '\0' ? "test" : split_name(rest);
        return found->split != NULL ? CRUMB_OK : unknown_split(ctx, spec, rest);
    }
    strcpy(found->path, rest);
    CRUMB_TRY(take_split(ctx, spec, found));
    return found->path[0] != '\0' ? CRUMB_OK
                                  : crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "data set '%.200s' needs a path: %s:PATH[:SPLIT]",
                                               spec, found->loader->name);
}

crumb_status crumb_dataset_locate(crumb_ctx *ctx, const char *spec) {
    parts found;
    CRUMB_TRY(split_spec(ctx, spec, &found));
    return !found.loader->needs_path || crumb_file_exists(found.path)
               ? CRUMB_OK
               : crumb_fail(ctx, CRUMB_ERROR_IO, "data set '%.200s': there is no file or folder '%s'", spec, found.path);
}

crumb_status crumb_dataset_open(crumb_ctx *ctx, const char *spec, uint64_t seed, crumb_dataset **out) {
    parts found;
    CRUMB_TRY(split_spec(ctx, spec, &found));
    crumb_dataset *dataset = crumb_alloc(ctx, 1, sizeof(*dataset));
    if (dataset == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    dataset->ctx = ctx;
    dataset->info = (crumb_dataset_info){.kind = found.loader->name, .split = found.split, .deviation = {1, 1, 1, 1}};
    crumb_status status = found.loader->open(ctx, found.path, found.split, seed, dataset);
    if (status != CRUMB_OK) {
        crumb_dataset_close(dataset);
        return status;
    }
    *out = dataset;
    return CRUMB_OK;
}

void crumb_dataset_close(crumb_dataset *dataset) {
    if (dataset != NULL) {
        if (dataset->close != NULL) {
            dataset->close(dataset);
        }
        crumb_free(dataset->ctx, dataset);
    }
}

void crumb_dataset_describe(const crumb_dataset *dataset, crumb_dataset_info *info) {
    *info = dataset->info;
}

/* Reads on the caller's thread, so that the reason may go to the context. */
static crumb_status read_sample(crumb_dataset *dataset, int64_t index, crumb_sample *sample) {
    char message[1024] = "";
    if (index < 0 || index >= dataset->info.count) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_ARGUMENT, "image %lld is outside 0 .. %lld", (long long)index,
                          (long long)dataset->info.count - 1);
    }
    crumb_status status = dataset->read(dataset, index, sample, message, sizeof(message));
    return status == CRUMB_OK ? status : crumb_fail(dataset->ctx, status, "%s", message);
}

static void sample_done(const crumb_dataset *dataset, crumb_sample *sample) {
    if (dataset->done != NULL) {
        dataset->done(dataset, sample);
    }
}

crumb_status crumb_dataset_image(crumb_dataset *dataset, int64_t index, uint8_t **pixels, int64_t *height, int64_t *width,
                                 int *label) {
    if (dataset->info.real) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_UNSUPPORTED, "%s: the samples are real numbers, not images",
                          dataset->info.kind);
    }
    crumb_sample sample = {0};
    CRUMB_TRY(read_sample(dataset, index, &sample));
    size_t bytes = (size_t)(sample.height * sample.width * dataset->info.channels);
    uint8_t *copy = crumb_alloc(dataset->ctx, bytes, 1);
    if (copy != NULL) {
        memcpy(copy, sample.pixels, bytes);
        *pixels = copy;
        *height = sample.height;
        *width = sample.width;
        *label = sample.label;
    }
    sample_done(dataset, &sample);
    return copy != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

void crumb_dataset_release(crumb_dataset *dataset, uint8_t *pixels) {
    crumb_free(dataset->ctx, pixels);
}

crumb_status crumb_dataset_check(crumb_dataset *dataset, int64_t *counts) {
    memset(counts, 0, (size_t)dataset->info.classes * sizeof(*counts));
    for (int64_t i = 0; i < dataset->info.count; i++) {
        crumb_sample sample = {0};
        CRUMB_TRY(read_sample(dataset, i, &sample));
        counts[sample.label]++;
        sample_done(dataset, &sample);
    }
    return CRUMB_OK;
}
