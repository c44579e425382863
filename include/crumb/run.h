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

#include "crumb/base.h"

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
/* True if a file that begins with these bytes is a packed one, whole or not; 8 are enough. */
CRUMB_API bool crumb_packed_probe(const void *head, size_t size);
/* The same of a file; false for what is missing, or no regular file. */
CRUMB_API bool crumb_packed_probe_file(const char *path);

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
CRUMB_API void crumb_packed_describe(const crumb_packed *packed,
                                     crumb_packed_info *info); /* its texts live as long as `packed` */

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
/* The plan as text, one line a step: nodes fused into it, kernel, layout, bytes. The text is the plan's and lives as long as
 * it does. */
CRUMB_API const char *crumb_plan_text(const crumb_plan *plan);

typedef struct crumb_session_options {
    int threads;     /* 0: the context's */
    int batch;       /* images worked on at a time, 0: as many as suit caches and threads; runs of any size are cut into such */
    void *workspace; /* 64-byte aligned, crumb_session_workspace bytes, borrowed until destroy; NULL: allocated */
    bool profile;    /* measure the time of each layer */
} crumb_session_options;

/* Bytes of workspace such a session needs; options may be NULL, its workspace member is not read. */
CRUMB_API size_t crumb_session_workspace(const crumb_plan *plan, const crumb_session_options *options);
/* ARGUMENT for a negative number of threads or images, and for a workspace that is not aligned. */
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
