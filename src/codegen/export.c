/* crumb_packed_export_c: a packed network as a C file and its header. Planned (codegen.h), printed (emit.h), written whole. */
#include "base/file.h"
#include "codegen/emit.h"

#include <string.h>

static crumb_status plan(crumb_codegen *g) {
    const crumb_packed *packed = g->packed;
    g->value = crumb_alloc(g->ctx, (size_t)packed->values, sizeof(*g->value));
    g->node = crumb_alloc(g->ctx, (size_t)packed->nodes + 1, sizeof(*g->node));
    g->stage = crumb_alloc(g->ctx, (size_t)packed->nodes + 1, sizeof(*g->stage));
    if (g->value == NULL || g->node == NULL || g->stage == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    if (packed->logits == 0) {
        return crumb_fail(g->ctx, CRUMB_ERROR_UNSUPPORTED, "the network computes nothing: its logits are the image");
    }
    CRUMB_TRY(crumb_codegen_tables(g));
    crumb_codegen_reindex(g);
    crumb_codegen_stages(g);
    crumb_codegen_sums(g);
    CRUMB_TRY(crumb_codegen_thresholds(g));
    crumb_codegen_computed(g);
    CRUMB_TRY(crumb_codegen_arena(g));
    crumb_codegen_names(g);
    return CRUMB_OK;
}

static void release(crumb_codegen *g) {
    for (int32_t v = 0; g->value != NULL && v < g->packed->values; v++) {
        crumb_free(g->ctx, g->value[v].table);
    }
    for (int32_t i = 0; g->node != NULL && i < g->packed->nodes; i++) {
        crumb_free(g->ctx, g->node[i].threshold);
        crumb_free(g->ctx, g->node[i].falls);
    }
    crumb_free(g->ctx, g->value);
    crumb_free(g->ctx, g->node);
    crumb_free(g->ctx, g->stage);
}

/* "dir/net.c" -> "net", and "dir/net.h" in `header`. */
static crumb_status split_path(crumb_ctx *ctx, const char *path, char name[CRUMB_CODEGEN_NAME], char *header, size_t room) {
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    size_t length = strlen(base), all = strlen(path);
    if (length < 3 || strcmp(base + length - 2, ".c") != 0 || length - 2 >= CRUMB_CODEGEN_NAME || all >= room) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: not the name of a C file, as net.c", path);
    }
    memcpy(name, base, length - 2);
    name[length - 2] = '\0';
    if (!crumb_codegen_identifier(name)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: functions are named after the file, and \"%s\" is no name in C", path,
                          name);
    }
    memcpy(header, path, all + 1);
    header[all - 1] = 'h';
    return CRUMB_OK;
}

static crumb_status write_files(crumb_ctx *ctx, const char *path, const char *header, const crumb_codegen_files *files) {
    crumb_writer source, head;
    CRUMB_TRY(crumb_writer_open(ctx, path, &source));
    crumb_status status = crumb_writer_open(ctx, header, &head);
    if (status != CRUMB_OK) {
        crumb_writer_abandon(&source);
        return status;
    }
    crumb_writer_bytes(&source, files->source.at, files->source.length);
    crumb_writer_bytes(&head, files->header.at, files->header.length);
    return crumb_writer_commit_pair(&source, &head);
}

static void print_files(crumb_emit *e, crumb_codegen_files *files) {
    crumb_emit_source(e, &files->source);
    crumb_emit_header(e, &files->header);
    files->constant_bytes = e->constant_bytes;
    files->memory_bytes = (int64_t)e->g->cells * 4;
}

static crumb_status emit(crumb_codegen *g, crumb_codegen_files *files) {
    crumb_emit *e = crumb_alloc(g->ctx, 1, sizeof(*e));
    int32_t columns = 1;
    for (int32_t i = 0; i < g->packed->tensors; i++) {
        columns = g->packed->tensor[i].columns > columns ? g->packed->tensor[i].columns : columns;
    }
    uint16_t *row = crumb_alloc(g->ctx, (size_t)columns, sizeof(*row));
    crumb_status status = e != NULL && row != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        *e = (crumb_emit){.g = g, .row = row, .data.ctx = g->ctx, .helpers.ctx = g->ctx, .stages.ctx = g->ctx};
        print_files(e, files);
        crumb_text *const texts[] = {&e->data, &e->helpers, &e->stages, &files->source, &files->header};
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            status = status == CRUMB_OK ? texts[i]->status : status;
        }
        crumb_free(g->ctx, e->data.at);
        crumb_free(g->ctx, e->helpers.at);
        crumb_free(g->ctx, e->stages.at);
    }
    crumb_free(g->ctx, row);
    crumb_free(g->ctx, e);
    return status;
}

crumb_status crumb_codegen_print(const crumb_packed *packed, const char *name, bool floats, crumb_codegen_files *files) {
    crumb_codegen g = {.ctx = packed->ctx, .packed = packed, .name = name, .reals = floats};
    *files = (crumb_codegen_files){.source.ctx = packed->ctx, .header.ctx = packed->ctx};
    crumb_status status = plan(&g);
    if (status == CRUMB_OK) {
        status = emit(&g, files);
    }
    release(&g);
    if (status != CRUMB_OK) {
        crumb_codegen_release(packed->ctx, files);
    }
    return status;
}

void crumb_codegen_release(crumb_ctx *ctx, crumb_codegen_files *files) {
    crumb_free(ctx, files->source.at);
    crumb_free(ctx, files->header.at);
    *files = (crumb_codegen_files){0};
}

crumb_status crumb_packed_export_c(const crumb_packed *packed, const char *path, const crumb_export_c_options *options,
                                   crumb_export_c_result *result) {
    char name[CRUMB_CODEGEN_NAME], header[CRUMB_EXPORT_PATH_MAX];
    crumb_codegen_files files;
    CRUMB_TRY(split_path(packed->ctx, path, name, header, sizeof(header)));
    CRUMB_TRY(crumb_codegen_print(packed, name, options != NULL && options->floats, &files));
    crumb_status status = write_files(packed->ctx, path, header, &files);
    if (status == CRUMB_OK && result != NULL) {
        *result = (crumb_export_c_result){.constant_bytes = files.constant_bytes, .memory_bytes = files.memory_bytes};
        memcpy(result->header, header, strlen(header) + 1);
    }
    crumb_codegen_release(packed->ctx, &files);
    return status;
}
