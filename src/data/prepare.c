/* From a sample of the set to the numbers that the network sees. Pixels are augmented as bytes, which moves a quarter of the
 * memory that floats would, then normalised as PyTorch does it: (pixel / 255 - mean) / deviation, in that order, in float. */
#include "data/prepare.h"

#include "data/shuffle.h"

#include <stdio.h>
#include <string.h>

/* An image between two augmentations may have at most so many bytes: a refused file, not a refused allocation, is the message.
 */
static const int64_t room_max = (int64_t)1 << 30;
static const uint64_t augment_stream = 0x6175676d656e7421; /* keeps augmentation and order independent */

static void next_size(const crumb_augment_choice *choice, int64_t *height, int64_t *width) {
    if (choice->augment->shape != NULL) {
        choice->augment->shape(choice->params, height, width);
    }
}

/* The size behind all augmentations; 0 x 0 when it depends on the image. */
static crumb_status settle_size(crumb_prepare *prepare) {
    const crumb_dataset *dataset = prepare->dataset;
    prepare->channels = dataset->info.channels;
    prepare->height = dataset->info.height;
    prepare->width = dataset->info.width;
    for (int i = 0; i < prepare->options.augments; i++) {
        const crumb_augment_choice *choice = &prepare->options.augment[i];
        if (dataset->info.real && choice->augment->bytes != NULL) {
            return crumb_fail(dataset->ctx, CRUMB_ERROR_UNSUPPORTED,
                              "%s works on 8-bit images; the samples of this %s set are real", choice->augment->name,
                              dataset->info.kind);
        }
        next_size(choice, &prepare->height, &prepare->width);
    }
    if (prepare->height <= 0 || prepare->width <= 0) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_SHAPE,
                          "the images of this %s set differ in size: add resize or random-resized-crop to the augmentations",
                          dataset->info.kind);
    }
    return CRUMB_OK;
}

static crumb_status check_options(crumb_prepare *prepare) {
    const crumb_dataset *dataset = prepare->dataset;
    crumb_feed_options *options = &prepare->options;
    int64_t all = dataset->info.count;
    if (options->batch < 1) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_ARGUMENT, "batch of %lld images", (long long)options->batch);
    }
    if (options->first < 0 || options->first >= all || options->count < 0 || options->count > all - options->first) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_ARGUMENT, "images %lld .. %lld of a set of %lld", (long long)options->first,
                          (long long)(options->first + options->count - 1), (long long)all);
    }
    prepare->count = options->count != 0 ? options->count : all - options->first;
    if (options->shuffle && prepare->count < options->batch) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_ARGUMENT, "%lld images do not fill one batch of %lld",
                          (long long)prepare->count, (long long)options->batch);
    }
    for (int64_t c = 0; c < dataset->info.channels && !dataset->info.real; c++) {
        if (!(options->deviation[c] > 0)) {
            return crumb_fail(dataset->ctx, CRUMB_ERROR_ARGUMENT, "deviation of channel %lld is %g, not positive", (long long)c,
                              (double)options->deviation[c]);
        }
    }
    return CRUMB_OK;
}

crumb_status crumb_prepare_init(crumb_prepare *prepare, const crumb_dataset *dataset, const crumb_feed_options *options) {
    *prepare = (crumb_prepare){.dataset = dataset, .options = *options};
    CRUMB_TRY(check_options(prepare));
    CRUMB_TRY(settle_size(prepare));
    int64_t row = prepare->width * prepare->channels;
    prepare->mean = crumb_alloc(dataset->ctx, (size_t)row, sizeof(float));
    prepare->deviation = crumb_alloc(dataset->ctx, (size_t)row, sizeof(float));
    if (prepare->mean == NULL || prepare->deviation == NULL) {
        crumb_prepare_fini(prepare);
        return CRUMB_ERROR_MEMORY;
    }
    for (int64_t i = 0; i < row && !dataset->info.real; i++) {
        prepare->mean[i] = options->mean[i % prepare->channels];
        prepare->deviation[i] = options->deviation[i % prepare->channels];
    }
    return CRUMB_OK;
}

void crumb_prepare_fini(crumb_prepare *prepare) {
    if (prepare->dataset != NULL) {
        crumb_free(prepare->dataset->ctx, prepare->mean);
        crumb_free(prepare->dataset->ctx, prepare->deviation);
    }
    *prepare = (crumb_prepare){0};
}

static crumb_status make_room(crumb_scratch *scratch, crumb_ctx *ctx, int which, size_t bytes) {
    if (scratch->room[which] >= bytes) {
        return CRUMB_OK;
    }
    crumb_free(ctx, scratch->pixels[which]);
    scratch->pixels[which] = crumb_alloc_quiet(ctx, bytes, 1);
    scratch->room[which] = scratch->pixels[which] != NULL ? bytes : 0;
    return scratch->pixels[which] != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

crumb_status crumb_scratch_init(crumb_scratch *scratch, const crumb_prepare *prepare) {
    int64_t height = prepare->dataset->info.height, width = prepare->dataset->info.width;
    for (int i = 0, which = 0; i < prepare->options.augments; i++) {
        next_size(&prepare->options.augment[i], &height, &width);
        int64_t bytes = height * width * prepare->channels;
        if (prepare->options.augment[i].augment->bytes == NULL || bytes > room_max) {
            continue;
        }
        if (make_room(scratch, prepare->dataset->ctx, which, (size_t)bytes) != CRUMB_OK) {
            return crumb_fail(prepare->dataset->ctx, CRUMB_ERROR_MEMORY, "out of memory: %lld bytes refused", (long long)bytes);
        }
        which = 1 - which;
    }
    return CRUMB_OK;
}

void crumb_scratch_fini(crumb_scratch *scratch, crumb_ctx *ctx) {
    crumb_free(ctx, scratch->pixels[0]);
    crumb_free(ctx, scratch->pixels[1]);
    *scratch = (crumb_scratch){0};
}

/* Runs the byte augmentations; image ends up pointing at the sample or into the scratch. */
static crumb_status augment_bytes(const crumb_prepare *prepare, crumb_scratch *scratch, crumb_image *image, crumb_rng *rng,
                                  char *message, size_t size) {
    int which = 0;
    for (int i = 0; i < prepare->options.augments; i++) {
        const crumb_augment_choice *choice = &prepare->options.augment[i];
        if (choice->augment->bytes == NULL) {
            continue;
        }
        crumb_image to = *image;
        next_size(choice, &to.height, &to.width);
        int64_t bytes;
        if (__builtin_mul_overflow(to.height, to.width * to.channels, &bytes) || bytes > room_max) {
            snprintf(message, size, "%s: %lld x %lld pixels become %lld x %lld", choice->augment->name,
                     (long long)image->height, (long long)image->width, (long long)to.height, (long long)to.width);
            return CRUMB_ERROR_SHAPE;
        }
        if (make_room(scratch, prepare->dataset->ctx, which, (size_t)bytes) != CRUMB_OK) {
            snprintf(message, size, "out of memory: %lld bytes refused", (long long)bytes);
            return CRUMB_ERROR_MEMORY;
        }
        to.pixels = scratch->pixels[which];
        choice->augment->bytes(choice->params, image, &to, rng);
        *image = to;
        which = 1 - which;
    }
    return CRUMB_OK;
}

static void normalise(float *restrict to, const uint8_t *restrict pixels, const float *restrict mean,
                      const float *restrict deviation, int64_t height, int64_t row) {
    for (int64_t y = 0; y < height; y++) {
        for (int64_t i = 0; i < row; i++) {
            to[y * row + i] = ((float)pixels[y * row + i] / 255.0f - mean[i]) / deviation[i];
        }
    }
}

static crumb_status pixels_to_floats(const crumb_prepare *prepare, crumb_scratch *scratch, const crumb_sample *sample,
                                     crumb_rng *rng, float *image, char *message, size_t size) {
    crumb_image pixels = {(uint8_t *)sample->pixels, sample->height, sample->width, prepare->channels}; /* only ever read */
    CRUMB_TRY(augment_bytes(prepare, scratch, &pixels, rng, message, size));
    if (pixels.height != prepare->height || pixels.width != prepare->width) {
        snprintf(message, size, "image of %lld x %lld where %lld x %lld is expected", (long long)pixels.height,
                 (long long)pixels.width, (long long)prepare->height, (long long)prepare->width);
        return CRUMB_ERROR_SHAPE;
    }
    normalise(image, pixels.pixels, prepare->mean, prepare->deviation, prepare->height, prepare->width * prepare->channels);
    return CRUMB_OK;
}

crumb_status crumb_prepare_sample(const crumb_prepare *prepare, crumb_scratch *scratch, int64_t epoch, int64_t position,
                                  float *image, float *label, char *message, size_t size) {
    const crumb_dataset *dataset = prepare->dataset;
    const crumb_feed_options *options = &prepare->options;
    int64_t index = options->shuffle ? crumb_shuffle_at(options->seed, (uint64_t)epoch, prepare->count, position) : position;
    crumb_rng rng = crumb_rng_at(options->seed ^ augment_stream, (uint64_t)epoch, (uint64_t)position);
    crumb_sample sample = {0};
    index += options->first;
    if (options->mixed) {
        index = crumb_shuffle_at(0, 0, dataset->info.count, index);
    }
    CRUMB_TRY(dataset->read(dataset, index, &sample, message, size));
    crumb_status status = CRUMB_OK;
    if (sample.reals != NULL) {
        memcpy(image, sample.reals, (size_t)(prepare->height * prepare->width * prepare->channels) * sizeof(*image));
    } else {
        status = pixels_to_floats(prepare, scratch, &sample, &rng, image, message, size);
        if (status == CRUMB_ERROR_SHAPE) {
            char why[256];
            snprintf(why, sizeof(why), "%s", message);
            snprintf(message, size, "image %lld: %s", (long long)index, why);
        }
    }
    *label = (float)sample.label;
    if (dataset->done != NULL) {
        dataset->done(dataset, &sample);
    }
    for (int i = 0; i < options->augments && status == CRUMB_OK; i++) {
        if (options->augment[i].augment->reals != NULL) {
            options->augment[i].augment->reals(options->augment[i].params, image, prepare->height, prepare->width,
                                               prepare->channels, &rng);
        }
    }
    return status;
}
