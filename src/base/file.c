/* Whole-file reads and atomic writes. What is written has no name until it is whole, where the system offers that. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static crumb_status io_failure(crumb_ctx *ctx, const char *what, const char *path) {
    return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* Opens a regular file without waiting: a pipe would wait for its other end. */
static crumb_status open_regular(crumb_ctx *ctx, const char *path, int *file, struct stat *info) {
    *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*file < 0) {
        return io_failure(ctx, "open", path);
    }
    crumb_status status = CRUMB_OK;
    if (fstat(*file, info) != 0) {
        status = io_failure(ctx, "read", path);
    } else if (!S_ISREG(info->st_mode)) {
        status = crumb_fail(ctx, CRUMB_ERROR_IO, "cannot read %s: not a regular file", path);
    }
    if (status != CRUMB_OK) {
        close(*file);
    }
    return status;
}

crumb_status crumb_file_read(crumb_ctx *ctx, const char *path, size_t max, uint8_t **data, size_t *size) {
    int descriptor;
    struct stat info;
    CRUMB_TRY(open_regular(ctx, path, &descriptor, &info));
    FILE *file = fdopen(descriptor, "rb");
    if (file == NULL) {
        close(descriptor);
        return io_failure(ctx, "open", path);
    }
    crumb_status status = CRUMB_OK;
    uint8_t *bytes = NULL;
    if (max != 0 && (uint64_t)info.st_size > max) {
        status =
            crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: %lld bytes, at most %zu are read", path, (long long)info.st_size, max);
    } else if ((bytes = crumb_alloc(ctx, (size_t)info.st_size + 1, 1)) == NULL) {
        status = CRUMB_ERROR_MEMORY;
    } else if (fread(bytes, 1, (size_t)info.st_size, file) != (size_t)info.st_size) {
        status = ferror(file) ? io_failure(ctx, "read", path)
                              : crumb_fail(ctx, CRUMB_ERROR_IO, "cannot read %s: it shrank while being read", path);
    }
    fclose(file);
    if (status != CRUMB_OK) {
        crumb_free(ctx, bytes);
        return status;
    }
    *data = bytes;
    *size = (size_t)info.st_size;
    return CRUMB_OK;
}

crumb_status crumb_file_map(crumb_ctx *ctx, const char *path, const uint8_t **data, size_t *size) {
    int file;
    struct stat info;
    CRUMB_TRY(open_regular(ctx, path, &file, &info));
    crumb_status status = CRUMB_OK;
    void *at = MAP_FAILED;
    if (info.st_size == 0) {
        status = crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: the file is empty", path);
    } else if ((at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0)) == MAP_FAILED) {
        status = io_failure(ctx, "map", path);
    }
    close(file);
    if (status == CRUMB_OK) {
        *data = at;
        *size = (size_t)info.st_size;
    }
    return status;
}

void crumb_file_unmap(const uint8_t *data, size_t size) {
    munmap((void *)data, size);
}

void crumb_file_forget(const uint8_t *data, size_t size) {
    madvise((void *)(uintptr_t)data, size, MADV_DONTNEED); /* advice: nothing depends on it */
}

/* The descriptor as a path, which linkat follows to the file itself. */
static void descriptor_path(char path[64], int file) {
    snprintf(path, 64, "/proc/self/fd/%d", file);
}

/* A file without a name in the folder of `path`: a program that is killed leaves nothing. NULL where the system has none. */
static FILE *open_nameless(const char *path) {
#if defined(O_TMPFILE)
    char copy[sizeof(((crumb_writer *)0)->path)], link[64];
    strcpy(copy, path);
    int file = open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (file < 0) {
        return NULL;
    }
    descriptor_path(link, file);
    FILE *stream = access(link, F_OK) == 0 ? fdopen(file, "wb") : NULL;
    if (stream == NULL) {
        close(file);
    }
    return stream;
#else
    (void)path;
    return NULL;
#endif
}

/* Gives a nameless file the temporary name: a link cannot replace a file, a rename can. */
static bool name_it(const crumb_writer *writer) {
    char link[64];
    descriptor_path(link, fileno(writer->file));
    unlink(writer->temporary); /* of a killed program that had this number */
    return linkat(AT_FDCWD, link, AT_FDCWD, writer->temporary, AT_SYMLINK_FOLLOW) == 0;
}

crumb_status crumb_writer_open(crumb_ctx *ctx, const char *path, crumb_writer *writer) {
    memset(writer, 0, sizeof(*writer));
    writer->ctx = ctx;
    if (strlen(path) >= sizeof(writer->path)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "path of %zu bytes is too long", strlen(path));
    }
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) { /* renaming would replace /dev/null */
        return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot write %s: not a regular file", path);
    }
    strcpy(writer->path, path);
    snprintf(writer->temporary, sizeof(writer->temporary), "%s.%ld.tmp", path, (long)getpid());
    writer->file = open_nameless(writer->path);
    writer->nameless = writer->file != NULL;
    if (!writer->nameless) {
        writer->file = fopen(writer->temporary, "wb");
    }
    return writer->file != NULL ? CRUMB_OK : io_failure(ctx, "create", path);
}

static void remember_failure(crumb_writer *writer) {
    if (writer->status == CRUMB_OK) {
        writer->status = io_failure(writer->ctx, "write", writer->path);
    }
}

void crumb_writer_bytes(crumb_writer *writer, const void *data, size_t size) {
    if (writer->status == CRUMB_OK && size != 0 && fwrite(data, 1, size, writer->file) != size) {
        remember_failure(writer);
    }
}

/* The rename is durable only when the folder's entry is on disk too. */
static void sync_folder(const char *path) {
    char copy[sizeof(((crumb_writer *)0)->path)];
    strcpy(copy, path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY);
    if (folder >= 0) {
        fsync(folder); /* some file systems refuse; the data itself is safe */
        close(folder);
    }
}

/* The temporary file is whole and on the disk, or gone. */
static crumb_status finish(crumb_writer *writer) {
    if (writer->status == CRUMB_OK && (fflush(writer->file) != 0 || fsync(fileno(writer->file)) != 0)) {
        remember_failure(writer);
    }
    if (writer->status == CRUMB_OK && writer->nameless && !name_it(writer)) {
        remember_failure(writer);
    }
    if (fclose(writer->file) != 0) {
        remember_failure(writer);
    }
    writer->file = NULL;
    if (writer->status != CRUMB_OK) {
        unlink(writer->temporary);
    }
    return writer->status;
}

static crumb_status publish(crumb_writer *writer) {
    if (rename(writer->temporary, writer->path) != 0) {
        remember_failure(writer);
        unlink(writer->temporary);
        return writer->status;
    }
    sync_folder(writer->path);
    return CRUMB_OK;
}

crumb_status crumb_writer_commit(crumb_writer *writer) {
    CRUMB_TRY(finish(writer));
    return publish(writer);
}

/* A second name for what a file is about to replace; where the file system has no links, its only name. */
static bool set_aside(const char *path, const char *kept) {
    struct stat info;
    return lstat(path, &info) == 0 && !S_ISDIR(info.st_mode) && (link(path, kept) == 0 || rename(path, kept) == 0);
}

static crumb_status publish_pair(crumb_writer *first, crumb_writer *second) {
    char kept[sizeof(first->temporary)];
    snprintf(kept, sizeof(kept), "%s.%ld.old", first->path, (long)getpid());
    bool aside = set_aside(first->path, kept);
    crumb_status status = publish(first);
    bool appeared = status == CRUMB_OK;
    status = appeared ? publish(second) : status;
    if (status != CRUMB_OK && aside) {
        rename(kept, first->path);
    } else if (status != CRUMB_OK && appeared) {
        unlink(first->path);
    }
    unlink(kept);
    return status;
}

crumb_status crumb_writer_commit_pair(crumb_writer *first, crumb_writer *second) {
    crumb_status status = finish(first);
    if (status != CRUMB_OK) {
        crumb_writer_abandon(second);
        return status;
    }
    status = finish(second);
    status = status == CRUMB_OK ? publish_pair(first, second) : status;
    if (status != CRUMB_OK) {
        unlink(first->temporary);
        unlink(second->temporary);
    }
    return status;
}

void crumb_writer_abandon(crumb_writer *writer) {
    if (writer->file != NULL) {
        fclose(writer->file);
        writer->file = NULL;
        unlink(writer->temporary);
    }
}

crumb_status crumb_file_write(crumb_ctx *ctx, const char *path, const void *data, size_t size) {
    crumb_writer writer;
    CRUMB_TRY(crumb_writer_open(ctx, path, &writer));
    crumb_writer_bytes(&writer, data, size);
    return crumb_writer_commit(&writer);
}

crumb_status crumb_folder_make(crumb_ctx *ctx, const char *path) {
    char partial[4096];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof(partial)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "folder name of %zu bytes", length);
    }
    memcpy(partial, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (partial[i] != '/' && partial[i] != '\0') {
            continue;
        }
        char keep = partial[i];
        partial[i] = '\0';
        if (mkdir(partial, 0777) != 0 && errno != EEXIST) {
            return io_failure(ctx, "create folder", partial);
        }
        partial[i] = keep;
    }
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return crumb_fail(ctx, CRUMB_ERROR_IO, "%s is not a folder", path);
    }
    return CRUMB_OK;
}

bool crumb_file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}
