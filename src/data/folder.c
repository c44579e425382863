/* A folder of images: PATH/train/CLASS and PATH/test/CLASS (or PATH/val/CLASS), or PATH/CLASS for both splits, with
 * .png, .jpg and .jpeg files. Classes are sorted by name (those of the training folder where there is one, so that both splits
 * agree). Files are decoded when they are read. */
#include "base/file.h"
#include "base/utf8.h"
#include "data/held.h"
#include "data/readers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 4096 };

/* Names that grow: all texts in one block, an offset each. */
typedef struct names {
    char *text;
    size_t text_used, text_room;
    size_t *offset;
    size_t count, room;
} names;

typedef struct folder {
    char root[PATH_ROOM]; /* of the split */
    names classes, files;
    const char **class_names; /* into classes.text */
    int32_t *labels;          /* one a file */
    size_t labels_room;
} folder;

static crumb_status names_add(crumb_ctx *ctx, names *list, const char *name) {
    size_t bytes = strlen(name) + 1;
    if (list->text_used + bytes > list->text_room) {
        size_t room = 2 * list->text_room + bytes + 256;
        char *text = crumb_resize(ctx, list->text, list->text_room, room, 1);
        if (text == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        list->text = text;
        list->text_room = room;
    }
    if (list->count == list->room) {
        size_t room = 2 * list->room + 16;
        size_t *offset = crumb_resize(ctx, list->offset, list->room, room, sizeof(*offset));
        if (offset == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        list->offset = offset;
        list->room = room;
    }
    memcpy(list->text + list->text_used, name, bytes);
    list->offset[list->count++] = list->text_used;
    list->text_used += bytes;
    return CRUMB_OK;
}

static const char *names_at(const names *list, size_t index) {
    return list->text + list->offset[index];
}

static void names_free(crumb_ctx *ctx, names *list) {
    crumb_free(ctx, list->text);
    crumb_free(ctx, list->offset);
}

static int by_text(const void *a, const void *b, void *text) {
    return strcmp((const char *)text + *(const size_t *)a, (const char *)text + *(const size_t *)b);
}

static void names_sort(names *list, size_t first) {
    if (list->count > first) {
        qsort_r(list->offset + first, list->count - first, sizeof(*list->offset), by_text, list->text);
    }
}

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_image(const char *path) {
    const char *dot = strrchr(path, '.');
    struct stat info;
    return dot != NULL && (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0) &&
           stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Adds the entries of a folder that `wanted` accepts, sorted; hidden ones are passed over. */
static crumb_status list_folder(crumb_ctx *ctx, const char *path, bool (*wanted)(const char *path), names *list) {
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    }
    size_t first = list->count;
    crumb_status status = CRUMB_OK;
    for (struct dirent *entry; status == CRUMB_OK && (entry = readdir(directory)) != NULL;) {
        char full[PATH_ROOM];
        int length = snprintf(full, sizeof(full), "%s/%s", path, entry->d_name);
        if (length >= (int)sizeof(full)) {
            status = crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "path of %d bytes is too long", length);
        } else if (entry->d_name[0] != '.' && wanted(full)) {
            status = names_add(ctx, list, entry->d_name);
        }
    }
    closedir(directory);
    names_sort(list, first);
    return status;
}

static int find_class(const folder *state, const char *name) {
    for (size_t k = 0; k < state->classes.count; k++) {
        if (strcmp(names_at(&state->classes, k), name) == 0) {
            return (int)k;
        }
    }
    return -1;
}

/* Adds the files of one class folder. */
static crumb_status list_class(crumb_ctx *ctx, folder *state, const char *name) {
    char path[2 * PATH_ROOM];
    int label = find_class(state, name);
    size_t first = state->files.count;
    snprintf(path, sizeof(path), "%s/%s", state->root, name);
    if (label < 0) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: the training images have no class %s", path, name);
    }
    CRUMB_TRY(list_folder(ctx, path, is_image, &state->files));
    if (state->files.count == first) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: no .png, .jpg or .jpeg file", path);
    }
    if (state->files.count > state->labels_room) {
        size_t room = 2 * state->files.count;
        int32_t *labels = crumb_resize(ctx, state->labels, state->labels_room, room, sizeof(*labels));
        if (labels == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        state->labels = labels;
        state->labels_room = room;
    }
    for (size_t i = first; i < state->files.count; i++) {
        state->labels[i] = label;
    }
    return CRUMB_OK;
}

/* ---- Reading on any thread */

static crumb_status file_failure(const char *path, const char *why, char *message, size_t room) {
    snprintf(message, room, "cannot read %s: %s", path, why);
    return CRUMB_ERROR_IO;
}

/* crumb_file_read without the context's message: this runs on worker threads. */
static crumb_status read_file(crumb_ctx *ctx, const char *path, uint8_t **data, size_t *size, char *message, size_t room) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (file < 0 || fstat(file, &info) != 0) {
        crumb_status status = file_failure(path, strerror(errno), message, room);
        if (file >= 0) {
            close(file);
        }
        return status;
    }
    size_t bytes = (size_t)info.st_size, done = 0;
    uint8_t *block = crumb_alloc_quiet(ctx, bytes + 1, 1);
    crumb_status status = CRUMB_OK;
    if (block == NULL) {
        snprintf(message, room, "out of memory: %zu bytes refused", bytes);
        status = CRUMB_ERROR_MEMORY;
    }
    while (status == CRUMB_OK && done < bytes) {
        ssize_t got = read(file, block + done, bytes - done);
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            status = file_failure(path, got < 0 ? strerror(errno) : "it shrank while being read", message, room);
        }
        done += got > 0 ? (size_t)got : 0;
    }
    close(file);
    if (status != CRUMB_OK) {
        crumb_free(ctx, block);
        return status;
    }
    *data = block;
    *size = bytes;
    return CRUMB_OK;
}

static void file_path(const folder *state, int64_t index, char path[3 * PATH_ROOM]) {
    snprintf(path, 3 * PATH_ROOM, "%s/%s/%s", state->root, names_at(&state->classes, (size_t)state->labels[index]),
             names_at(&state->files, (size_t)index));
}

static crumb_status folder_read(const crumb_dataset *dataset, int64_t index, crumb_sample *sample, char *message, size_t size) {
    const folder *state = dataset->state;
    char path[3 * PATH_ROOM];
    uint8_t *data;
    size_t bytes;
    crumb_picture picture;
    file_path(state, index, path);
    CRUMB_TRY(read_file(dataset->ctx, path, &data, &bytes, message, size));
    crumb_status status = crumb_picture_decode(dataset->ctx, path, data, bytes, &picture, message, size);
    crumb_free(dataset->ctx, data);
    CRUMB_TRY(status);
    *sample = (crumb_sample){.pixels = picture.pixels,
                             .height = picture.height,
                             .width = picture.width,
                             .label = state->labels[index],
                             .block = picture.pixels};
    return CRUMB_OK;
}

static void folder_done(const crumb_dataset *dataset, crumb_sample *sample) {
    crumb_free(dataset->ctx, sample->block);
    sample->block = NULL;
}

static int folder_label(const crumb_dataset *dataset, int64_t index) {
    const folder *state = dataset->state;
    return state->labels[index];
}

static void folder_close(crumb_dataset *dataset) {
    folder *state = dataset->state;
    names_free(dataset->ctx, &state->classes);
    names_free(dataset->ctx, &state->files);
    crumb_free(dataset->ctx, state->class_names);
    crumb_free(dataset->ctx, state->labels);
    crumb_free(dataset->ctx, state);
}

/* ---- Opening */

/* Reads headers until two sizes differ: then the set has none. */
static crumb_status common_size(crumb_dataset *dataset) {
    const folder *state = dataset->state;
    crumb_dataset_info *info = &dataset->info;
    for (int64_t i = 0; i < info->count; i++) {
        char path[3 * PATH_ROOM], message[512] = "";
        uint8_t *data;
        size_t size;
        crumb_picture picture = {0};
        file_path(state, i, path);
        CRUMB_TRY(crumb_file_read(dataset->ctx, path, 0, &data, &size));
        crumb_status status = crumb_picture_size(path, data, size, &picture, message, sizeof(message));
        crumb_free(dataset->ctx, data);
        if (status != CRUMB_OK) {
            return crumb_fail(dataset->ctx, status, "%s", message);
        }
        if (i > 0 && (picture.height != info->height || picture.width != info->width)) {
            info->height = info->width = 0;
            return CRUMB_OK;
        }
        info->height = picture.height;
        info->width = picture.width;
    }
    return CRUMB_OK;
}

/* Which folder holds the split, and which one defines the classes. */
static crumb_status find_roots(crumb_ctx *ctx, const char *path, const char *split, folder *state, char train[PATH_ROOM]) {
    static const char *const tests[] = {"test", "val"};
    if (snprintf(train, PATH_ROOM, "%s/train", path) >= PATH_ROOM) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "path of %zu bytes is too long", strlen(path));
    }
    if (!is_folder(train)) {
        strcpy(train, path);
        strcpy(state->root, path);
        return CRUMB_OK;
    }
    strcpy(state->root, train);
    for (int i = 0; i < 2 && strcmp(split, "test") == 0; i++) {
        snprintf(state->root, sizeof(state->root), "%s/%s", path, tests[i]);
        if (is_folder(state->root)) {
            return CRUMB_OK;
        }
    }
    return strcmp(split, "train") == 0
               ? CRUMB_OK
               : crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: train is there, but neither test nor val", path);
}

static crumb_status list_split(crumb_ctx *ctx, folder *state, const char *train) {
    names present = {0};
    CRUMB_TRY(list_folder(ctx, train, is_folder, &state->classes));
    crumb_status status = list_folder(ctx, state->root, is_folder, &present);
    for (size_t k = 0; k < present.count && status == CRUMB_OK; k++) {
        status = list_class(ctx, state, names_at(&present, k));
    }
    names_free(ctx, &present);
    if (status == CRUMB_OK && state->files.count == 0) {
        status = crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: no class folders with images", state->root);
    }
    return status;
}

/* Names travel with the network, as lines and as JSON. */
static bool is_line(const char *name) {
    for (size_t at = 0, length = strlen(name), step; at < length; at += step) {
        uint32_t point;
        step = crumb_utf8_next(name + at, length - at, &point);
        if (step == 0 || point < 0x20 || (point >= 0x7f && point < 0xa0)) {
            return false;
        }
    }
    return true;
}

static crumb_status name_classes(crumb_ctx *ctx, folder *state, const char *train) {
    state->class_names = crumb_alloc(ctx, state->classes.count, sizeof(*state->class_names));
    if (state->class_names == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (size_t k = 0; k < state->classes.count; k++) {
        state->class_names[k] = names_at(&state->classes, k);
        if (!is_line(state->class_names[k])) {
            return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s/%s: the name of a class is not UTF-8, or has control characters",
                              train, state->class_names[k]);
        }
    }
    return CRUMB_OK;
}

static crumb_status folder_open(crumb_ctx *ctx, const char *path, const char *split, uint64_t seed, crumb_dataset *dataset) {
    (void)seed;
    char train[PATH_ROOM];
    folder *state = crumb_alloc(ctx, 1, sizeof(*state));
    if (state == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    dataset->state = state;
    dataset->read = folder_read;
    dataset->done = folder_done;
    dataset->label = folder_label;
    dataset->close = folder_close;
    CRUMB_TRY(find_roots(ctx, path, split, state, train));
    CRUMB_TRY(list_split(ctx, state, train));
    CRUMB_TRY(name_classes(ctx, state, train));
    dataset->info.count = (int64_t)state->files.count;
    dataset->info.channels = 3;
    dataset->info.classes = (int)state->classes.count;
    dataset->info.class_names = state->class_names;
    crumb_held_normalise(dataset, (float[]){0.485f, 0.456f, 0.406f}, (float[]){0.229f, 0.224f, 0.225f}); /* ImageNet's */
    return common_size(dataset);
}

static bool folder_probe(const char *path) {
    char train[PATH_ROOM];
    int length = snprintf(train, sizeof(train), "%s/train", path);
    return length > 0 && length < (int)sizeof(train) && is_folder(train);
}

const crumb_loader crumb_loader_folder = {
    .name = "folder",
    .doc = "images in PATH/train/CLASS/ and PATH/test/CLASS/ (or val), or PATH/CLASS/ for both; PNG and JPEG, as RGB",
    .needs_path = true,
    .probe = folder_probe,
    .open = folder_open,
};
