/* Sets kept in memory: reading is pointer arithmetic, so any thread may do it. */
#include "data/held.h"

#include "base/file.h"

#include <string.h>

static crumb_status held_read(const crumb_dataset *dataset, int64_t index, crumb_sample *sample, char *message, size_t size) {
    (void)message, (void)size;
    const crumb_held *held = dataset->state;
    const crumb_dataset_info *info = &dataset->info;
    int64_t elements = info->height * info->width * info->channels;
    *sample = (crumb_sample){.height = info->height, .width = info->width, .label = held->labels[index]};
    if (info->real) {
        sample->reals = held->reals + index * elements;
    } else {
        sample->pixels = held->pixels + index * elements;
    }
    return CRUMB_OK;
}

static int held_label(const crumb_dataset *dataset, int64_t index) {
    const crumb_held *held = dataset->state;
    return held->labels[index];
}

static void held_close(crumb_dataset *dataset) {
    crumb_held *held = dataset->state;
    crumb_free(dataset->ctx, held->block);
    crumb_free(dataset->ctx, held->labels);
    crumb_free(dataset->ctx, held->name_text);
    crumb_free(dataset->ctx, held->names);
    crumb_free(dataset->ctx, held);
}

crumb_status crumb_held_create(crumb_dataset *dataset) {
    crumb_held *held = crumb_alloc(dataset->ctx, 1, sizeof(*held));
    if (held == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    dataset->state = held;
    dataset->read = held_read;
    dataset->label = held_label;
    dataset->close = held_close;
    held->labels = crumb_alloc(dataset->ctx, (size_t)dataset->info.count, sizeof(*held->labels));
    return held->labels != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

crumb_status crumb_held_name(crumb_dataset *dataset, const char *path) {
    crumb_held *held = dataset->state;
    uint8_t *text;
    size_t size;
    CRUMB_TRY(crumb_file_read(dataset->ctx, path, 1 << 20, &text, &size));
    held->name_text = (char *)text;
    held->names = crumb_alloc(dataset->ctx, (size_t)dataset->info.classes, sizeof(*held->names));
    if (held->names == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    int count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(held->name_text, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest)) {
        if (count < dataset->info.classes) {
            held->names[count] = line;
        }
        count++;
    }
    if (count != dataset->info.classes) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_FORMAT, "%s: %d class names, %d expected", path, count,
                          dataset->info.classes);
    }
    dataset->info.class_names = held->names;
    return CRUMB_OK;
}

void crumb_held_normalise(crumb_dataset *dataset, const float *mean, const float *deviation) {
    for (int64_t c = 0; c < dataset->info.channels && c < 4; c++) {
        dataset->info.mean[c] = mean[c];
        dataset->info.deviation[c] = deviation[c];
    }
}

static crumb_status bad_label(crumb_ctx *ctx, crumb_label_source source, const int32_t *labels, int64_t index, int limit) {
    return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: label %d of image %lld is outside 0 .. %d", source.name,
                      source.offset + (size_t)index * source.stride, labels[index], (long long)index, limit - 1);
}

crumb_status crumb_labels_check(crumb_ctx *ctx, crumb_label_source source, const int32_t *labels, int64_t count, int classes) {
    for (int64_t i = 0; i < count; i++) {
        if (labels[i] < 0 || labels[i] >= classes) {
            return bad_label(ctx, source, labels, i, classes);
        }
    }
    return CRUMB_OK;
}

crumb_status crumb_labels_classes(crumb_ctx *ctx, crumb_label_source source, const int32_t *labels, int64_t count,
                                  int *classes) {
    CRUMB_TRY(crumb_labels_check(ctx, source, labels, count, CRUMB_CLASSES_MAX));
    uint8_t *used = crumb_alloc(ctx, CRUMB_CLASSES_MAX, 1);
    if (used == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    int64_t largest = 0;
    int different = 0;
    for (int64_t i = 0; i < count; i++) {
        different += used[labels[i]] == 0;
        used[labels[i]] = 1;
        largest = labels[i] > labels[largest] ? i : largest;
    }
    crumb_free(ctx, used);
    int limit = 2 * different > 10 ? 2 * different : 10;
    if (count > 0 && labels[largest] >= limit) {
        return bad_label(ctx, source, labels, largest, limit);
    }
    *classes = count > 0 ? labels[largest] + 1 : 0;
    return CRUMB_OK;
}
