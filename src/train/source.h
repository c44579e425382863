/* A recipe's data: its sets, and the batches that training and evaluation take from them. */
#ifndef CRUMB_SOURCE_H
#define CRUMB_SOURCE_H

#include "train/recipe.h"

typedef struct crumb_source {
    crumb_dataset *train, *test; /* test is NULL when the recipe names none */
} crumb_source;

/* Opens both sets; their classes must agree. */
crumb_status crumb_source_open(const crumb_recipe *recipe, crumb_source *source);
void crumb_source_close(crumb_source *source);

typedef enum crumb_part {
    CRUMB_PART_TRAIN,      /* shuffled, augmented, without the held-out images */
    CRUMB_PART_VALIDATION, /* the held-out training images, or the test set when none are held out */
    CRUMB_PART_TEST
} crumb_part;
crumb_status crumb_source_feed(const crumb_recipe *recipe, const crumb_source *source, crumb_part part, crumb_feed **feed);

/* Normalisation per channel: the recipe's, else the training set's own. ARGUMENT if the recipe's has another number of channels. */
crumb_status crumb_source_normalisation(const crumb_recipe *recipe, const crumb_dataset *dataset, float mean[4],
                                        float deviation[4]);
/* Only the augmentations that evaluation needs too (resize, center-crop). Returns how many. */
int crumb_source_still(const crumb_recipe *recipe, crumb_augment_choice still[CRUMB_AUGMENTS_MAX]);
/* Shape of the network's input for images of this feed: [1, H, W, C]. */
crumb_shape crumb_source_image(const crumb_feed *feed);

#endif
