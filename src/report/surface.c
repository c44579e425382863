/* A loss surface: reading it. What it looks like: surface_plot.c. */
#include "report/surface.h"

#include "base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FILE_LARGEST = 1 << 30, GRID_MAX = 1001, NAME_SHOWN = 72 };

static const char *const row_keys[CRUMB_VIEW_ROWS] = {"train_loss", "test_error"};

static crumb_status bad(const crumb_surface_view *view, const char *what) {
    return crumb_fail(view->ctx, CRUMB_ERROR_FORMAT, "%s: no surface: %s is missing or not as expected", view->path, what);
}

static double real(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* `count` numbers, null as NaN. */
static bool take_numbers(const json_t *array, int count, double *out) {
    if ((int)json_array_size(array) != count) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, (size_t)i);
        if (!json_is_number(value) && !json_is_null(value)) {
            return false;
        }
        out[i] = json_is_number(value) ? json_number_value(value) : NAN;
    }
    return true;
}

static crumb_status take_axis(crumb_surface_view *view, const json_t *object, const char *key, double **axis) {
    *axis = crumb_alloc(view->ctx, (size_t)view->grid, sizeof(double));
    if (*axis == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    if (!take_numbers(json_object_get(object, key), view->grid, *axis)) {
        return bad(view, key);
    }
    for (int i = 0; i < view->grid; i++) {
        if (!isfinite((*axis)[i]) || (i > 0 && !((*axis)[i] > (*axis)[i - 1]))) {
            return bad(view, key);
        }
    }
    return CRUMB_OK;
}

static crumb_status take_field(crumb_surface_view *view, const json_t *domain, const char *key, double **z) {
    const json_t *rows = json_object_get(domain, key);
    *z = crumb_alloc(view->ctx, (size_t)view->grid * (size_t)view->grid, sizeof(double));
    if (*z == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    if ((int)json_array_size(rows) != view->grid) {
        return bad(view, key);
    }
    for (int r = 0; r < view->grid; r++) {
        if (!take_numbers(json_array_get(rows, (size_t)r), view->grid, *z + (int64_t)r * view->grid)) {
            return bad(view, key);
        }
    }
    return CRUMB_OK;
}

/* "A: .../plain/last.safetensors": the end of a path says more than its beginning. */
static void take_name(char *to, int index, const char *file) {
    size_t length = strlen(file), skip = length > NAME_SHOWN ? length - NAME_SHOWN : 0;
    while (skip > 0 && skip < length && ((unsigned char)file[skip] & 0xc0) == 0x80) {
        skip++; /* not into the middle of a character */
    }
    snprintf(to, CRUMB_VIEW_NAME, "%c: %s%s", 'A' + index, skip > 0 ? "\xe2\x80\xa6" : "", file + skip);
}

/* "quantized" or "float" of a surface or of one of its models. */
static const json_t *domain_of(const crumb_surface_view *view, const json_t *object, int domain) {
    return json_object_get(object, domain + 1 < view->domains ? "quantized" : "float");
}

static crumb_status take_models(crumb_surface_view *view, const json_t *models) {
    if (json_array_size(models) != CRUMB_VIEW_MODELS) {
        return bad(view, "models");
    }
    for (int m = 0; m < CRUMB_VIEW_MODELS; m++) {
        const json_t *model = json_array_get(models, (size_t)m);
        const char *file = json_string_value(json_object_get(model, "file"));
        crumb_surface_model *to = &view->model[m];
        to->x = real(model, "x");
        to->y = real(model, "y");
        if (!isfinite(to->x) || !isfinite(to->y) || file == NULL) {
            return bad(view, "models");
        }
        take_name(to->name, m, file);
        for (int row = 0; row < CRUMB_VIEW_ROWS; row++) {
            for (int d = 0; d < view->domains; d++) {
                to->value[row][d] = real(domain_of(view, model, d), row_keys[row]);
            }
        }
    }
    return CRUMB_OK;
}

static crumb_status take_all(crumb_surface_view *view, const json_t *object) {
    const json_t *grid = json_object_get(object, "grid");
    if (!json_is_integer(grid) || json_integer_value(grid) < 2 || json_integer_value(grid) > GRID_MAX) {
        return bad(view, "grid");
    }
    view->grid = (int)json_integer_value(grid);
    view->domains = json_object_get(object, "quantized") != NULL ? 2 : 1;
    view->train_images = real(object, "train_images");
    view->test_images = real(object, "test_images");
    CRUMB_TRY(take_axis(view, object, "x", &view->x));
    CRUMB_TRY(take_axis(view, object, "y", &view->y));
    CRUMB_TRY(take_models(view, json_object_get(object, "models")));
    for (int row = 0; row < CRUMB_VIEW_ROWS; row++) {
        for (int d = 0; d < view->domains; d++) {
            CRUMB_TRY(take_field(view, domain_of(view, object, d), row_keys[row], &view->z[row][d]));
        }
    }
    return CRUMB_OK;
}

static crumb_status read_file(crumb_surface_view *view) {
    uint8_t *data;
    size_t size;
    CRUMB_TRY(crumb_file_read(view->ctx, view->path, FILE_LARGEST, &data, &size));
    json_t *object = json_loadb((const char *)data, size, 0, NULL);
    crumb_free(view->ctx, data);
    crumb_status status = json_is_object(object) ? take_all(view, object) : bad(view, "JSON object");
    json_decref(object);
    return status;
}

crumb_status crumb_surface_read(crumb_ctx *ctx, const char *path, crumb_surface_view **out) {
    crumb_surface_view *view = crumb_alloc(ctx, 1, sizeof(*view));
    if (view == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    view->ctx = ctx;
    crumb_status status = CRUMB_OK;
    if (snprintf(view->path, sizeof(view->path), "%s", path) >= (int)sizeof(view->path)) {
        status = crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "file name of %zu bytes", strlen(path));
    }
    status = status == CRUMB_OK ? read_file(view) : status;
    if (status != CRUMB_OK) {
        crumb_surface_forget(view);
        return status;
    }
    *out = view;
    return CRUMB_OK;
}

void crumb_surface_forget(crumb_surface_view *view) {
    if (view == NULL) {
        return;
    }
    crumb_free(view->ctx, view->x);
    crumb_free(view->ctx, view->y);
    for (int row = 0; row < CRUMB_VIEW_ROWS; row++) {
        for (int d = 0; d < CRUMB_VIEW_DOMAINS; d++) {
            crumb_free(view->ctx, view->z[row][d]);
        }
    }
    crumb_free(view->ctx, view);
}
