/* crumb/base.h - what every part of crumb shares: status codes, the context, parameter tables.
 *
 * Conventions of all public headers
 * - Every function that can fail returns a crumb_status. Results go through pointers and are untouched on failure; the
 *   context then holds a one-line message with the offending values (crumb_message).
 * - crumb_x_create / crumb_x_open pair with crumb_x_destroy / crumb_x_close; both accept NULL. Pointer arguments are
 *   borrowed for the call unless the comment says "keeps".
 * - The library never prints, exits or reads the environment; log lines go to the context's log function.
 * - A context and everything made from it belong to one thread at a time; different contexts are independent.
 */
#ifndef CRUMB_BASE_H
#define CRUMB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CRUMB_API __attribute__((visibility("default")))
#define CRUMB_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CRUMB_API
#define CRUMB_PRINTF(text, first)
#endif

#define CRUMB_VERSION "0.1.0"

typedef enum crumb_status {
    CRUMB_OK = 0,
    CRUMB_ERROR_MEMORY,      /* an allocation failed */
    CRUMB_ERROR_IO,          /* the system refused to read or write; message carries its reason */
    CRUMB_ERROR_FORMAT,      /* a file is not what it claims to be; message carries file, offset, value */
    CRUMB_ERROR_ARGUMENT,    /* a value is unknown, of the wrong type or out of range */
    CRUMB_ERROR_SHAPE,       /* tensors do not fit together */
    CRUMB_ERROR_UNSUPPORTED, /* understood, and not offered */
    CRUMB_ERROR_NUMERIC,     /* NaN or infinity where training needs a number */
    CRUMB_ERROR_STOPPED      /* the caller asked to stop */
} crumb_status;

/* "out of memory", "bad format", ... : a fixed English phrase, never NULL. */
CRUMB_API const char *crumb_status_text(crumb_status status);

typedef enum crumb_log_level { CRUMB_LOG_ERROR, CRUMB_LOG_WARNING, CRUMB_LOG_INFO, CRUMB_LOG_DEBUG } crumb_log_level;

typedef struct crumb_ctx crumb_ctx;

/* Where memory and messages go. Every member may be NULL or 0: malloc and free, and silence. alloc and release go together;
 * both may be called from any thread. */
typedef struct crumb_settings {
    void *(*alloc)(void *user, size_t bytes);
    void (*release)(void *user, void *block);
    void *allocator_user;
    void (*log)(void *user, crumb_log_level level, const char *line); /* line has no newline */
    void *log_user;
    int threads;           /* worker threads for computation; 0 = one per available processor */
    const char *cpu_limit; /* "scalar", "avx2", "avxvnni", "avx512" or "neon": no more than this; NULL = all there is */
} crumb_settings;

/* Makes a context; settings may be NULL. Fails with MEMORY, or ARGUMENT for an unknown cpu_limit (*ctx is NULL then). */
CRUMB_API crumb_status crumb_ctx_create(crumb_ctx **ctx, const crumb_settings *settings);
CRUMB_API void crumb_ctx_destroy(crumb_ctx *ctx);
/* The message of the last failure in this context, "" if none. Valid until the next failure. */
CRUMB_API const char *crumb_message(const crumb_ctx *ctx);
CRUMB_API int crumb_threads(const crumb_ctx *ctx); /* worker threads for computation, at least 1 */

/* ---- Parameter tables: one row describes a parameter to recipes, range checks, `crumb info`, checkpoints and the docs. */

typedef enum crumb_param_type {
    CRUMB_PARAM_BOOL,   /* bool */
    CRUMB_PARAM_INT,    /* int64_t */
    CRUMB_PARAM_REAL,   /* double */
    CRUMB_PARAM_CHOICE, /* int: index into the words of `choices` */
    CRUMB_PARAM_TEXT,   /* char[CRUMB_TEXT_MAX], zero-terminated */
    CRUMB_PARAM_LIST    /* crumb_list: up to CRUMB_LIST_MAX reals */
} crumb_param_type;

enum { CRUMB_TEXT_MAX = 512, CRUMB_LIST_MAX = 32 };

typedef struct crumb_list {
    int count;
    double at[CRUMB_LIST_MAX];
} crumb_list;

typedef struct crumb_param {
    const char *name;
    crumb_param_type type;
    size_t offset;         /* of the member in the owner's parameter struct */
    const char *preset;    /* default value, written as in a recipe: "0.9", "true", "cosine", "[82, 123]" */
    double min, max;       /* inclusive range of INT, REAL and LIST elements; TEXT: max is the member's size, 0: CRUMB_TEXT_MAX */
    const char *choices;   /* CHOICE: words separated by '|' */
    const char *doc;       /* one line, with the unit */
} crumb_param;

/* A row of a kind's list, as `crumb info` shows it. params ends with a row whose name is NULL, or is NULL. */
typedef struct crumb_entry {
    const char *name;
    const char *doc;
    const crumb_param *params;
} crumb_entry;

/* The name in names[] (count of them) nearest to `name` by edit distance, NULL if none is near: "did you mean ...?" */
CRUMB_API const char *crumb_nearest(const char *name, const char *const *names, size_t count);

#ifdef __cplusplus
}
#endif
#endif
