/* One sample from the set to the batch: read, augment, normalise. Called by many threads at once, each with its own scratch. */
#ifndef CRUMB_PREPARE_H
#define CRUMB_PREPARE_H

#include "data/dataset.h"

/* Fixed while a feed lives. */
typedef struct crumb_prepare {
    const crumb_dataset *dataset;
    crumb_feed_options options;
    int64_t count;                   /* samples an epoch draws from */
    int64_t height, width, channels; /* as delivered */
    float *mean, *deviation;         /* one row of the image: width * channels */
} crumb_prepare;

/* Two images between which the augmentations alternate; they grow when a larger one comes. */
typedef struct crumb_scratch {
    uint8_t *pixels[2];
    size_t room[2];
} crumb_scratch;

/* Checks the options against the set and settles the delivered size. */
crumb_status crumb_prepare_init(crumb_prepare *prepare, const crumb_dataset *dataset, const crumb_feed_options *options);
void crumb_prepare_fini(crumb_prepare *prepare);
/* Room for every image in between, if their sizes are known. */
crumb_status crumb_scratch_init(crumb_scratch *scratch, const crumb_prepare *prepare);
void crumb_scratch_fini(crumb_scratch *scratch, crumb_ctx *ctx);
/* Writes the sample at a position of an epoch, height * width * channels floats, and its label. Failures are explained in
 * message. */
crumb_status crumb_prepare_sample(const crumb_prepare *prepare, crumb_scratch *scratch, int64_t epoch, int64_t position,
                                  float *image, float *label, char *message, size_t size);

#endif
