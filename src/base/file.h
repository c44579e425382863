/* Whole-file reads and atomic writes. A final name only ever shows a complete file: written beside, fsynced, renamed. Neither
 * waits for a pipe, nor replaces a device. */
#ifndef CRUMB_FILE_H
#define CRUMB_FILE_H

#include "base/ctx.h"

#include <stdio.h>

/* Reads a whole regular file of at most max bytes (0: no limit); *data is one byte longer and zero-terminated;
 * crumb_free it. Messages carry path and the system's reason. */
crumb_status crumb_file_read(crumb_ctx *ctx, const char *path, size_t max, uint8_t **data, size_t *size);

/* Maps a whole regular file, not empty, for reading; undo with crumb_file_unmap. The file must not shrink meanwhile: what crumb
 * writes replaces a file, and never changes one. */
crumb_status crumb_file_map(crumb_ctx *ctx, const char *path, const uint8_t **data, size_t *size);
void crumb_file_unmap(const uint8_t *data, size_t size);
/* Gives back the memory of what has been read of a mapped file: what is read again comes from the file again. */
void crumb_file_forget(const uint8_t *data, size_t size);

typedef struct crumb_writer {
    crumb_ctx *ctx;
    FILE *file;
    bool nameless; /* the file gets its temporary name when it is whole */
    char path[4096], temporary[4096 + 32];
    crumb_status status; /* first failure; later writes are ignored */
} crumb_writer;

crumb_status crumb_writer_open(crumb_ctx *ctx, const char *path, crumb_writer *writer);
void crumb_writer_bytes(crumb_writer *writer, const void *data, size_t size);
/* Flushes, fsyncs, renames over path and syncs the folder; on any failure removes the temporary and says why. */
crumb_status crumb_writer_commit(crumb_writer *writer);
void crumb_writer_abandon(crumb_writer *writer);
/* Commits two files that belong together: on a failure neither appears, and what had their names before is still there. */
crumb_status crumb_writer_commit_pair(crumb_writer *first, crumb_writer *second);
crumb_status crumb_file_write(crumb_ctx *ctx, const char *path, const void *data, size_t size);
/* mkdir -p */
crumb_status crumb_folder_make(crumb_ctx *ctx, const char *path);
bool crumb_file_exists(const char *path);

#endif
