/* Paths: scopes, numbering, and the layers of graph.h behind a status that sticks. */
#include "graph/path.h"

#include <stdio.h>
#include <string.h>

crumb_path crumb_path_begin(crumb_graph *graph, int x, double width) {
    return (crumb_path){.graph = graph, .at = x, .width = width};
}

crumb_status crumb_path_end(const crumb_path *path, int *value) {
    if (path->status == CRUMB_OK) {
        *value = path->at;
    }
    return path->status;
}

static void fail_long_name(crumb_path *path) {
    path->status = crumb_fail(path->graph->ctx, CRUMB_ERROR_ARGUMENT, "%.40s...: name longer than %d bytes", path->scope,
                              CRUMB_NAME_MAX - 1);
}

crumb_path crumb_path_enter(const crumb_path *outer, const char *format, ...) {
    crumb_path inner = *outer;
    inner.number = 0;
    char name[CRUMB_NAME_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(name, sizeof(name), format, arguments);
    va_end(arguments);
    const char *dot = outer->scope[0] != '\0' ? "." : "";
    length += (int)(strlen(outer->scope) + strlen(dot));
    if (inner.status == CRUMB_OK && length >= CRUMB_NAME_MAX) {
        fail_long_name(&inner);
    } else {
        size_t used = strlen(inner.scope);
        snprintf(inner.scope + used, sizeof(inner.scope) - used, "%s%s", dot, name);
    }
    return inner;
}

void crumb_path_leave(crumb_path *outer, const crumb_path *inner) {
    outer->at = inner->at;
    outer->status = inner->status;
}

int64_t crumb_path_filters(const crumb_path *path, int64_t filters, int64_t groups) {
    int64_t parts = llround((double)filters * path->width / (double)groups);
    return (parts > 1 ? parts : 1) * groups;
}

int64_t crumb_path_channels(const crumb_path *path) {
    return crumb_shape_last(path->graph->value[path->at].shape);
}

/* Writes the next layer's full name; false if the path has failed. */
static bool next(crumb_path *path, const char *name, char full[CRUMB_NAME_MAX]) {
    if (path->status != CRUMB_OK) {
        return false;
    }
    char number[16];
    if (name == NULL) {
        snprintf(number, sizeof(number), "%d", path->number++);
        name = number;
    }
    const char *dot = path->scope[0] != '\0' ? "." : "";
    if (snprintf(full, CRUMB_NAME_MAX, "%s%s%s", path->scope, dot, name) >= CRUMB_NAME_MAX) {
        fail_long_name(path);
        return false;
    }
    return true;
}

void crumb_path_conv2d(crumb_path *path, const char *name, crumb_conv conv) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_conv2d(path->graph, full, path->at, conv, &path->at);
    }
}

void crumb_path_linear(crumb_path *path, const char *name, int64_t out, bool bias) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_linear(path->graph, full, path->at, out, bias, &path->at);
    }
}

void crumb_path_batch_norm(crumb_path *path, const char *name, bool affine) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_batch_norm(path->graph, full, path->at, affine, &path->at);
    }
}

void crumb_path_relu(crumb_path *path, const char *name) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_relu(path->graph, full, path->at, &path->at);
    }
}

void crumb_path_prelu(crumb_path *path, const char *name) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_prelu(path->graph, full, path->at, &path->at);
    }
}

void crumb_path_shift(crumb_path *path, const char *name) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_shift(path->graph, full, path->at, &path->at);
    }
}

void crumb_path_add(crumb_path *path, const char *name, int other) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_add(path->graph, full, path->at, other, &path->at);
    }
}

void crumb_path_max_pool(crumb_path *path, const char *name, int64_t kernel, int64_t stride, int64_t padding) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_max_pool(path->graph, full, path->at, kernel, stride, padding, &path->at);
    }
}

void crumb_path_average_pool(crumb_path *path, const char *name, int64_t kernel, int64_t stride) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_average_pool(path->graph, full, path->at, kernel, stride, &path->at);
    }
}

void crumb_path_global_average_pool(crumb_path *path, const char *name) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_global_average_pool(path->graph, full, path->at, &path->at);
    }
}

void crumb_path_flatten(crumb_path *path, const char *name) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_flatten(path->graph, full, path->at, &path->at);
    }
}

void crumb_path_dropout(crumb_path *path, const char *name, double p) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full) && p > 0) {
        path->status = crumb_graph_dropout(path->graph, full, path->at, p, &path->at);
    }
}

void crumb_path_subsample(crumb_path *path, const char *name, int64_t step) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_subsample(path->graph, full, path->at, step, &path->at);
    }
}

void crumb_path_pad_channels(crumb_path *path, const char *name, int64_t before, int64_t after) {
    char full[CRUMB_NAME_MAX];
    if (next(path, name, full)) {
        path->status = crumb_graph_pad_channels(path->graph, full, path->at, before, after, &path->at);
    }
}
