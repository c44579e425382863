/* Attributes of a node, typed. */
#include "onnx/importer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

crumb_status crumb_import_fail(const crumb_import_node *n, crumb_status status, const char *format, ...) {
    char text[900];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const char *name = n->proto->name != NULL && n->proto->name[0] != '\0' ? n->proto->name : n->name;
    return crumb_fail(n->im->ctx, status, "%s: %.40s %.80s: %s", n->im->path, n->proto->op_type, name, text);
}

const CrumbOnnx__AttributeProto *crumb_import_attribute(const crumb_import_node *n, const char *name) {
    for (size_t i = 0; i < n->proto->n_attribute; i++) {
        if (n->proto->attribute[i]->name != NULL && strcmp(n->proto->attribute[i]->name, name) == 0) {
            return n->proto->attribute[i];
        }
    }
    return NULL;
}

static crumb_status wrong_type(const crumb_import_node *n, const char *name, const char *wanted) {
    return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "attribute %s is not %s", name, wanted);
}

crumb_status crumb_import_int(const crumb_import_node *n, const char *name, int64_t preset, int64_t *value) {
    const CrumbOnnx__AttributeProto *a = crumb_import_attribute(n, name);
    if (a != NULL && !a->has_i) {
        return wrong_type(n, name, "a whole number");
    }
    *value = a != NULL ? a->i : preset;
    return CRUMB_OK;
}

crumb_status crumb_import_real(const crumb_import_node *n, const char *name, double preset, double *value) {
    const CrumbOnnx__AttributeProto *a = crumb_import_attribute(n, name);
    if (a != NULL && !a->has_f) {
        return wrong_type(n, name, "a number");
    }
    *value = a != NULL ? (double)a->f : preset;
    return CRUMB_OK;
}

crumb_status crumb_import_word(const crumb_import_node *n, const char *name, const char *preset, char word[64]) {
    const CrumbOnnx__AttributeProto *a = crumb_import_attribute(n, name);
    if (a != NULL && (!a->has_s || memchr(a->s.data, 0, a->s.len) != NULL)) {
        return wrong_type(n, name, "a text");
    }
    snprintf(word, 64, "%.*s", a != NULL ? (int)(a->s.len < 63 ? a->s.len : 63) : 63,
             a != NULL ? (const char *)a->s.data : preset);
    return CRUMB_OK;
}

crumb_status crumb_import_list(const crumb_import_node *n, const char *name, crumb_import_ints *list) {
    const CrumbOnnx__AttributeProto *a = crumb_import_attribute(n, name);
    list->count = -1;
    if (a == NULL) {
        return CRUMB_OK;
    }
    if (a->n_floats > 0 || a->n_strings > 0 || a->has_i || a->has_f || a->has_s || a->n_ints > CRUMB_ONNX_INPUTS_MAX) {
        return wrong_type(n, name, "a list of whole numbers");
    }
    list->count = (int)a->n_ints;
    for (int i = 0; i < list->count; i++) {
        list->at[i] = a->ints[i];
    }
    return CRUMB_OK;
}

crumb_status crumb_import_list_of(const crumb_import_node *n, const char *name, int k, crumb_import_ints *list) {
    CRUMB_TRY(crumb_import_list(n, name, list));
    if (list->count >= 0 || k >= n->inputs || n->x[k] == NULL) {
        return CRUMB_OK;
    }
    const crumb_onnx_array *array;
    CRUMB_TRY(crumb_import_constant(n, n->x[k], name, &array));
    int64_t count = crumb_shape_count(array->shape);
    if (array->whole == NULL || count > CRUMB_ONNX_INPUTS_MAX) {
        return crumb_import_fail(n, CRUMB_ERROR_FORMAT, "input %d (%s) is not a short list of whole numbers", k, name);
    }
    list->count = (int)count;
    memcpy(list->at, array->whole, (size_t)count * sizeof(*list->at));
    return CRUMB_OK;
}

static bool has_word(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length) {
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
            return length > 0;
        }
    }
    return false;
}

crumb_status crumb_import_check_attributes(const crumb_import_node *n, const crumb_import_row *row) {
    for (size_t i = 0; i < n->proto->n_attribute; i++) {
        const char *name = n->proto->attribute[i]->name;
        if (name == NULL || !has_word(row->attributes, name)) {
            return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "attribute %.40s; supported are: %s",
                                     name != NULL ? name : "without name",
                                     row->attributes[0] != '\0' ? row->attributes : "none");
        }
    }
    return CRUMB_OK;
}

crumb_status crumb_import_axis(const crumb_import_node *n, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank) {
        return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "there is no axis %" PRId64 " of %d", axis, rank);
    }
    *out = (int)(axis < 0 ? axis + rank : axis);
    return CRUMB_OK;
}
