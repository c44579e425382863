/* The metadata of an ONNX model that crumb exported: class names and normalisation, so that they come back with the network.
 * Files of others have none of these keys; a key that does not fit the network is an error. */
#include "onnx/import.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *find(const CrumbOnnx__ModelProto *model, const char *key) {
    const char *value = NULL;
    for (size_t i = 0; i < model->n_metadata_props && value == NULL; i++) {
        const CrumbOnnx__StringStringEntryProto *entry = model->metadata_props[i];
        value = entry->key != NULL && strcmp(entry->key, key) == 0 ? entry->value : NULL;
    }
    return value;
}

/* "0.49,0.48,0.45" as `count` numbers. */
static bool read_numbers(const char *text, int64_t count, float *number) {
    for (int64_t i = 0; i < count; i++) {
        char *end;
        number[i] = strtof(text, &end);
        if (end == text || *end != (i + 1 < count ? ',' : '\0') || !isfinite(number[i])) {
            return false;
        }
        text = end + 1;
    }
    return true;
}

static crumb_status read_pixels(crumb_ctx *ctx, const char *path, const CrumbOnnx__ModelProto *model, int64_t channels,
                                crumb_import_facts *facts) {
    const char *mean = find(model, "crumb.mean"), *deviation = find(model, "crumb.deviation");
    if (mean == NULL && deviation == NULL) {
        return CRUMB_OK;
    }
    bool fits = mean != NULL && deviation != NULL && channels <= 4 && read_numbers(mean, channels, facts->mean) &&
                read_numbers(deviation, channels, facts->deviation);
    for (int64_t c = 0; fits && c < channels; c++) {
        fits = facts->deviation[c] > 0.0f;
    }
    if (!fits) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT,
                          "%s: metadata crumb.mean \"%.40s\" and crumb.deviation \"%.40s\" for %" PRId64 " channels", path,
                          mean != NULL ? mean : "", deviation != NULL ? deviation : "", channels);
    }
    facts->channels = (int)channels;
    return CRUMB_OK;
}

crumb_status crumb_import_notes(crumb_ctx *ctx, const char *path, const CrumbOnnx__ModelProto *model, int64_t channels,
                                int64_t classes, crumb_import_facts *facts) {
    const char *names = find(model, "crumb.class_names");
    int64_t lines = 1;
    *facts = (crumb_import_facts){0};
    CRUMB_TRY(read_pixels(ctx, path, model, channels, facts));
    if (names == NULL) {
        return CRUMB_OK;
    }
    for (const char *at = names; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    if (lines != classes) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT,
                          "%s: metadata crumb.class_names has %" PRId64 " lines for %" PRId64 " classes", path, lines, classes);
    }
    facts->class_names = crumb_copy_text(ctx, names);
    return facts->class_names != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}
