/* Data sets and the batches made from them.
 *
 * A loader is one file in src/data/ and one row in loaders.inc. It opens a set and answers `read` for any index from any
 * thread. Sets that fit (IDX, CIFAR, SVHN, digits) are kept as bytes in memory; folders decode on demand. */
#ifndef CRUMB_DATASET_H
#define CRUMB_DATASET_H

#include "base/rng.h"
#include "crumb/train.h"
#include "tensor/tensor.h"

/* One sample, HWC. Exactly one of pixels and reals is set; both are borrowed until `done`. */
typedef struct crumb_sample {
    const uint8_t *pixels;
    const float *reals;
    int64_t height, width;
    int label;
    void *block; /* what `done` frees, NULL for sets in memory */
} crumb_sample;

struct crumb_dataset {
    crumb_ctx *ctx;
    crumb_dataset_info info;
    void *state;
    /* Thread-safe. On failure writes the reason into message (size bytes): worker threads must not touch the context. */
    crumb_status (*read)(const crumb_dataset *dataset, int64_t index, crumb_sample *sample, char *message, size_t size);
    void (*done)(const crumb_dataset *dataset, crumb_sample *sample); /* NULL: nothing to free */
    int (*label)(const crumb_dataset *dataset, int64_t index);        /* class of a sample, without decoding it */
    void (*close)(crumb_dataset *dataset);                            /* frees state */
};

typedef struct crumb_loader {
    const char *name; /* KIND of --data */
    const char *doc;
    bool needs_path;
    bool (*probe)(const char *path); /* true if path looks like this kind (magic or file names); NULL: never */
    /* Fills a zeroed *dataset (ctx is set). split is "train" or "test". */
    crumb_status (*open)(crumb_ctx *ctx, const char *path, const char *split, uint64_t seed, crumb_dataset *dataset);
} crumb_loader;

/* Checks "KIND:PATH[:SPLIT]" without opening it: the kind is known, the path exists. */
crumb_status crumb_dataset_locate(crumb_ctx *ctx, const char *spec);

#define CRUMB_LOADER(name) extern const crumb_loader crumb_loader_##name;
#include "data/loaders.inc"
#undef CRUMB_LOADER
extern const crumb_loader *const crumb_loaders[]; /* NULL-terminated */

/* ---- Augmentation: one file in src/data/augment/ and one row in augments.inc. Works on 8-bit HWC images, before
 * normalisation, except `after` rows (random erasing in PyTorch's order), which work on the normalised floats. */
typedef struct crumb_image {
    uint8_t *pixels; /* room for room bytes */
    int64_t height, width, channels;
} crumb_image;

enum { CRUMB_AUGMENT_PARAMS_MAX = 128, CRUMB_AUGMENTS_MAX = 8 };

typedef struct crumb_augment {
    const char *name; /* "pad-crop", "flip", "random-resized-crop", "resize", "center-crop", "erase" */
    const char *doc;
    const crumb_param *params;
    size_t params_size;
    bool random; /* false: also applied in evaluation (resize, center-crop) */
    /* Size of the result for an input of this size (for planning; 0 x 0 in = unknown size, allowed where the output size is
     * fixed). NULL: unchanged. */
    void (*shape)(const void *params, int64_t *height, int64_t *width);
    /* Reads `from`, writes `to` (distinct buffers, to->pixels large enough by `shape`). Either of the two is NULL. */
    void (*bytes)(const void *params, const crumb_image *from, crumb_image *to, crumb_rng *rng);
    void (*reals)(const void *params, float *image, int64_t height, int64_t width, int64_t channels, crumb_rng *rng);
} crumb_augment;

#define CRUMB_AUGMENT(name) extern const crumb_augment crumb_augment_##name;
#include "data/augments.inc"
#undef CRUMB_AUGMENT
extern const crumb_augment *const crumb_augments[]; /* NULL-terminated */
const crumb_augment *crumb_augment_find(const char *name);

typedef struct crumb_augment_choice {
    const crumb_augment *augment;
    _Alignas(16) unsigned char params[CRUMB_AUGMENT_PARAMS_MAX];
} crumb_augment_choice;

/* ---- Batches: shuffled, augmented, normalised, prepared ahead by background threads.
 *
 * What a batch holds is a function of (options, epoch, index) alone: the permutation comes from (seed, epoch), a sample's
 * augmentation from (seed, epoch, position). So a run resumes at any step, with any number of workers, to the same bits. */
typedef struct crumb_feed crumb_feed;

typedef struct crumb_feed_options {
    int64_t batch;
    int64_t first, count; /* sub-range of the set (held-out validation); count 0: all from first */
    bool mixed;   /* first and count are places in a fixed random order of the set: parts of a set sorted by class see all */
    bool shuffle; /* also: drop the last, smaller batch. false: keep it, the rest of the tensor is zero */
    uint64_t seed;
    float mean[4], deviation[4];
    int augments;
    crumb_augment_choice augment[CRUMB_AUGMENTS_MAX];
    int workers; /* background threads; 0: batches are made in crumb_feed_next */
    int ahead;   /* batches in flight, at least 2; 0: 4 */
} crumb_feed_options;

/* Shape of one image as the feed delivers it: [height, width, channels]. SHAPE if images differ in size and nothing resizes
 * them. */
crumb_status crumb_feed_create(crumb_dataset *dataset, const crumb_feed_options *options, crumb_feed **feed);
void crumb_feed_destroy(crumb_feed *feed);
crumb_shape crumb_feed_image(const crumb_feed *feed);
int64_t crumb_feed_steps(const crumb_feed *feed); /* batches an epoch */
/* Starts delivering from this epoch and batch index. */
void crumb_feed_seek(crumb_feed *feed, int64_t epoch, int64_t step);
/* Copies nothing: *images [batch, H, W, C] and *labels [batch] (class as float) stay valid until the next call. *valid is the
 * number of real samples. After the last batch of an epoch goes on with the next epoch. Errors name file or index. */
crumb_status crumb_feed_next(crumb_feed *feed, const float **images, const float **labels, int64_t *valid);

#endif
