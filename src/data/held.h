/* Sets that are kept in memory: IDX, CIFAR, SVHN, npy and digits share this state, its read and its close. */
#ifndef CRUMB_HELD_H
#define CRUMB_HELD_H

#include "data/dataset.h"

enum { CRUMB_CLASSES_MAX = 65536 };

typedef struct crumb_held {
    void *block;           /* owns the samples; freed by close */
    const uint8_t *pixels; /* exactly one of pixels and reals is set: count * height * width * channels, HWC */
    const float *reals;
    int32_t *labels; /* count */
    char *name_text;
    const char **names;
} crumb_held;

/* Gives the dataset, whose info holds its sizes, a held state with room for the labels, and its functions. Failing or not, the
 * dataset's close (if set) then frees everything. */
crumb_status crumb_held_create(crumb_dataset *dataset);
/* Class names from a text file with one a line, empty lines skipped; fails unless there are info.classes of them. */
crumb_status crumb_held_name(crumb_dataset *dataset, const char *path);
void crumb_held_normalise(crumb_dataset *dataset, const float *mean, const float *deviation);

/* Where labels came from, for messages: label i lies at byte `offset` + i * `stride` of `name`. */
typedef struct crumb_label_source {
    const char *name;
    size_t offset, stride;
} crumb_label_source;

/* Number of classes of a set whose files do not say: the largest label + 1. A label that is negative, beyond CRUMB_CLASSES_MAX,
 * or above 9 and at least twice the number of labels in use is damage, not a class. */
crumb_status crumb_labels_classes(crumb_ctx *ctx, crumb_label_source source, const int32_t *labels, int64_t count,
                                  int *classes);
crumb_status crumb_labels_check(crumb_ctx *ctx, crumb_label_source source, const int32_t *labels, int64_t count, int classes);

#endif
