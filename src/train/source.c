/* A recipe's data: which images train, which validate, how they are normalised. */
#include "train/source.h"

#include <string.h>

crumb_status crumb_source_open(const crumb_recipe *recipe, crumb_source *source) {
    crumb_ctx *ctx = recipe->ctx;
    crumb_source opened = {0};
    uint64_t seed = (uint64_t)recipe->train.seed;
    CRUMB_TRY(crumb_dataset_open(ctx, recipe->data.train, seed, &opened.train));
    crumb_status status = CRUMB_OK;
    if (recipe->data.test[0] != '\0') {
        status = crumb_dataset_open(ctx, recipe->data.test, seed, &opened.test);
    }
    if (status == CRUMB_OK && opened.test != NULL && opened.test->info.classes != opened.train->info.classes) {
        status = crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "data: %s has %d classes, %s has %d", recipe->data.train,
                            opened.train->info.classes, recipe->data.test, opened.test->info.classes);
    }
    if (status != CRUMB_OK) {
        crumb_source_close(&opened);
        return status;
    }
    *source = opened;
    return CRUMB_OK;
}

void crumb_source_close(crumb_source *source) {
    crumb_dataset_close(source->train);
    crumb_dataset_close(source->test);
    *source = (crumb_source){0};
}

static crumb_status take_list(crumb_ctx *ctx, const char *name, const crumb_list *list, int64_t channels, const float *own,
                              float out[4]) {
    if (list->count != 0 && list->count != channels) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "data.%s: %d values for images of %lld channels", name, list->count,
                          (long long)channels);
    }
    for (int c = 0; c < 4; c++) {
        out[c] = c < list->count ? (float)list->at[c] : own[c];
    }
    return CRUMB_OK;
}

crumb_status crumb_source_normalisation(const crumb_recipe *recipe, const crumb_dataset *dataset, float mean[4],
                                        float deviation[4]) {
    const crumb_dataset_info *info = &dataset->info;
    CRUMB_TRY(take_list(recipe->ctx, "mean", &recipe->data.mean, info->channels, info->mean, mean));
    return take_list(recipe->ctx, "deviation", &recipe->data.deviation, info->channels, info->deviation, deviation);
}

int crumb_source_still(const crumb_recipe *recipe, crumb_augment_choice still[CRUMB_AUGMENTS_MAX]) {
    int count = 0;
    for (int i = 0; i < recipe->augments; i++) {
        if (!recipe->augment[i].augment->random) {
            still[count++] = recipe->augment[i];
        }
    }
    return count;
}

/* The part of the training set, mixed by a fixed order, that `part` uses: first the images to train on, then the held-out ones.
 */
static crumb_status find_range(const crumb_recipe *recipe, const crumb_source *source, crumb_part part,
                               crumb_feed_options *options) {
    const crumb_recipe_data *data = &recipe->data;
    int64_t all = source->train->info.count, used = data->limit > 0 && data->limit < all ? data->limit : all;
    if (data->holdout >= used) {
        return crumb_fail(recipe->ctx, CRUMB_ERROR_ARGUMENT,
                          "data.holdout: %lld of %lld training images leave none to train on", (long long)data->holdout,
                          (long long)used);
    }
    if (part == CRUMB_PART_TRAIN && used - data->holdout < recipe->train.batch) {
        return crumb_fail(recipe->ctx, CRUMB_ERROR_ARGUMENT, "train.batch: %lld, but there are only %lld images to train on",
                          (long long)recipe->train.batch, (long long)(used - data->holdout));
    }
    options->mixed = used < all || data->holdout > 0;
    options->first = part == CRUMB_PART_TRAIN ? 0 : used - data->holdout;
    options->count = part == CRUMB_PART_TRAIN ? used - data->holdout : data->holdout;
    return CRUMB_OK;
}

crumb_status crumb_source_feed(const crumb_recipe *recipe, const crumb_source *source, crumb_part part, crumb_feed **feed) {
    bool train = part == CRUMB_PART_TRAIN, from_test = part == CRUMB_PART_TEST || (!train && recipe->data.holdout == 0);
    crumb_dataset *dataset = from_test ? source->test : source->train;
    if (dataset == NULL) {
        return crumb_fail(recipe->ctx, CRUMB_ERROR_ARGUMENT, "data.test: no test set named and no training images held out");
    }
    crumb_feed_options options = {.batch = recipe->train.batch,
                                  .shuffle = train,
                                  .seed = (uint64_t)recipe->train.seed,
                                  .workers = (int)recipe->data.workers};
    if (train) {
        options.augments = recipe->augments;
        memcpy(options.augment, recipe->augment, sizeof(options.augment));
    } else {
        options.augments = crumb_source_still(recipe, options.augment);
    }
    if (!from_test) {
        CRUMB_TRY(find_range(recipe, source, part, &options));
    }
    CRUMB_TRY(crumb_source_normalisation(recipe, source->train, options.mean, options.deviation));
    return crumb_feed_create(dataset, &options, feed);
}

crumb_shape crumb_source_image(const crumb_feed *feed) {
    crumb_shape image = crumb_feed_image(feed);
    return CRUMB_SHAPE(1, image.dim[0], image.dim[1], image.dim[2]);
}
