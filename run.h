/* crumb/base.h - what every part of crumb shares: status codes, the context, parameter tables.
 *
 * Conventions of all three public headers
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
    const char *cpu_limit; /* "scalar", "avx2", "avx512", "neon": use no more than this; NULL = all there is */
} crumb_settings;

/* Makes a context; settings may be NULL. Fails with MEMORY, or ARGUMENT for an unknown cpu_limit (*ctx is NULL then). */
CRUMB_API crumb_status crumb_ctx_create(crumb_ctx **ctx, const crumb_settings *settings);
CRUMB_API void crumb_ctx_destroy(crumb_ctx *ctx);
/* The message of the last failure in this context, "" if none. Valid until the next failure. */
CRUMB_API const char *crumb_message(const crumb_ctx *ctx);
CRUMB_API int crumb_threads(const crumb_ctx *ctx);

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
/* crumb/run.h - running packed networks: the half of crumb that ships inside a product.
 *
 * libcrumb_run needs only libc, libm and pthreads. Open, plan, run:
 *
 *     crumb_ctx *ctx;         crumb_ctx_create(&ctx, NULL);
 *     crumb_packed *packed;   crumb_packed_open(ctx, "net.crumb", &packed);
 *     crumb_plan *plan;       crumb_plan_create(packed, &plan);
 *     crumb_session *session; crumb_session_create(plan, NULL, &session);
 *     crumb_session_run_pixels(session, pixels, 1, logits);
 *
 * A packed network is the file; a plan is the network made ready for this processor (kernels chosen, weights in their order); a
 * session is the memory of one run after another. Packed network and plan are immutable and shared by any number of sessions; a
 * session belongs to one thread at a time and allocates nothing while running. Close in the reverse order.
 *
 * Images are NHWC. See base.h for the conventions on errors and ownership; running fails only for arguments and never touches
 * the context.
 */
#ifndef CRUMB_RUN_H
#define CRUMB_RUN_H


#ifdef __cplusplus
extern "C" {
#endif

typedef struct crumb_packed crumb_packed;
typedef struct crumb_plan crumb_plan;
typedef struct crumb_session crumb_session;

/* Opens a packed file (mapped into memory) and checks all of it. FORMAT names file, offset and value. */
CRUMB_API crumb_status crumb_packed_open(crumb_ctx *ctx, const char *path, crumb_packed **packed);
/* The same from memory, which is borrowed until close and must be aligned to 64 bytes; `name` stands for the file in messages.
 */
CRUMB_API crumb_status crumb_packed_parse(crumb_ctx *ctx, const char *name, const void *data, size_t size,
                                          crumb_packed **packed);
CRUMB_API void crumb_packed_close(crumb_packed *packed);

typedef struct crumb_packed_info {
    const char *model;              /* "resnet20" */
    int height, width, channels;    /* of the image */
    int classes;                    /* logits an image */
    const char *const *class_names; /* classes of them, or NULL */
    const float *mean, *deviation;  /* channels values: pixels become (pixel / 255 - mean) / deviation */
    int layers;
    size_t file_bytes;
    double operations; /* one image; a multiply-accumulate is two */
} crumb_packed_info;
CRUMB_API void crumb_packed_describe(const crumb_packed *packed, crumb_packed_info *info);

/* One node of the network, in order. */
typedef struct crumb_packed_layer {
    const char *name, *op;
    int height, width, channels;      /* of its output */
    int weight_bits, activation_bits; /* of a convolution's weights and input, 32: float; 0: none */
    size_t weight_bytes;              /* in the file */
    double operations;                /* one image */
} crumb_packed_layer;
CRUMB_API bool crumb_packed_layer_at(const crumb_packed *packed, int index, crumb_packed_layer *layer);

/* Chooses a kernel for each layer and packs weights for it. Keeps `packed`. */
CRUMB_API crumb_status crumb_plan_create(crumb_packed *packed, crumb_plan **plan);
CRUMB_API void crumb_plan_destroy(crumb_plan *plan);
/* The plan as text, one line a step: nodes fused into it, kernel, layout, bytes. Release with free of the context: lives as
 * long as the plan. */
CRUMB_API const char *crumb_plan_text(const crumb_plan *plan);

typedef struct crumb_session_options {
    int threads;     /* 0: the context's */
    int batch;       /* images worked on at a time, 0: 1; runs of any size are cut into such pieces */
    void *workspace; /* 64-byte aligned, crumb_session_workspace bytes, borrowed until destroy; NULL: allocated */
    bool profile;    /* measure the time of each layer */
} crumb_session_options;

/* Bytes of workspace such a session needs; options may be NULL, its workspace member is not read. */
CRUMB_API size_t crumb_session_workspace(const crumb_plan *plan, const crumb_session_options *options);
CRUMB_API crumb_status crumb_session_create(const crumb_plan *plan, const crumb_session_options *options,
                                            crumb_session **session);
CRUMB_API void crumb_session_destroy(crumb_session *session);

/* logits[count * classes] of count images: normalised floats, or 8-bit pixels. ARGUMENT for a negative count or NULL. */
CRUMB_API crumb_status crumb_session_run(crumb_session *session, const float *images, int64_t count, float *logits);
CRUMB_API crumb_status crumb_session_run_pixels(crumb_session *session, const uint8_t *pixels, int64_t count, float *logits);

/* Seconds spent in layer `index` (a fused layer's time is with the layer it is fused into) since the session was made; 0
 * without `profile`. */
CRUMB_API double crumb_session_seconds(const crumb_session *session, int index);

#ifdef __cplusplus
}
#endif
#endif
