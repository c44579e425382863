/* Accuracy of a packed network on a data set. */
#include "base/param.h"
#include "runtime/session.h"
#include "train/trainer_parts.h"

#include <stdio.h>

static crumb_status add_augment(crumb_ctx *ctx, const char *name, int64_t size, crumb_feed_options *options) {
    crumb_augment_choice *choice = &options->augment[options->augments++];
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)size);
    choice->augment = crumb_augment_find(name);
    crumb_params_preset(choice->augment->params, choice->params);
    return crumb_param_set(ctx, crumb_param_find(choice->augment->params, "size"), choice->params, text);
}

/* Images of another size than the network's: the shorter side to `resize`, then the middle. */
static crumb_status add_augments(const crumb_packed *packed, const crumb_dataset *dataset, int64_t resize,
                                 crumb_feed_options *options) {
    const crumb_packed_value *image = &packed->value[0];
    if (resize == 0 && dataset->info.height == image->height && dataset->info.width == image->width) {
        return CRUMB_OK;
    }
    if (image->height != image->width) {
        return crumb_fail(packed->ctx, CRUMB_ERROR_SHAPE, "images are not all %d x %d, which the network takes",
                          (int)image->height, (int)image->width);
    }
    CRUMB_TRY(add_augment(packed->ctx, "resize", resize > 0 ? resize : image->height, options));
    return add_augment(packed->ctx, "center-crop", image->height, options);
}

static crumb_status open_feed(const crumb_packed *packed, crumb_dataset *dataset, int64_t batch, int64_t resize,
                              crumb_feed **feed) {
    const crumb_dataset_info *info = &dataset->info;
    if (info->channels != packed->value[0].channels) {
        return crumb_fail(packed->ctx, CRUMB_ERROR_SHAPE, "images have %lld channels, the network takes %d",
                          (long long)info->channels, (int)packed->value[0].channels);
    }
    if (info->classes > packed->classes) {
        return crumb_fail(packed->ctx, CRUMB_ERROR_SHAPE, "the data set has %d classes, the network %d", info->classes,
                          (int)packed->classes);
    }
    crumb_feed_options options = {.batch = batch < info->count ? batch : info->count, .workers = 1};
    for (int c = 0; c < 4; c++) {
        options.mean[c] = packed->mean[c];
        options.deviation[c] = packed->deviation[c];
    }
    CRUMB_TRY(add_augments(packed, dataset, resize, &options));
    return crumb_feed_create(dataset, &options, feed);
}

/* One batch; *spent grows by the time in the session. */
static crumb_status score_batch(crumb_session *session, crumb_feed *feed, int64_t left, float *logits, crumb_score *score,
                                double *spent) {
    const crumb_packed *packed = crumb_session_packed(session);
    const float *images, *labels;
    int64_t valid;
    CRUMB_TRY(crumb_feed_next(feed, &images, &labels, &valid));
    valid = valid < left ? valid : left;
    double start = crumb_seconds();
    crumb_status status = crumb_session_run(session, images, valid, logits);
    *spent += crumb_seconds() - start;
    crumb_score_add(score, logits, labels, valid, packed->classes);
    return status;
}

static crumb_status score_all(crumb_session *session, crumb_feed *feed, int64_t total, const crumb_evaluate_options *options,
                              float *logits, crumb_score *score, double *spent) {
    crumb_feed_seek(feed, 0, 0);
    while (score->images < total) {
        CRUMB_TRY(score_batch(session, feed, total - score->images, logits, score, spent));
        if (options->progress != NULL && !options->progress(options->user, score->images, total)) {
            return crumb_fail(crumb_session_packed(session)->ctx, CRUMB_ERROR_STOPPED, "stopped after %lld images",
                              (long long)score->images);
        }
    }
    return CRUMB_OK;
}

crumb_status crumb_evaluate_session(crumb_session *session, crumb_dataset *dataset, int64_t resize,
                                    const crumb_evaluate_options *given, crumb_evaluation *evaluation) {
    const crumb_packed *packed = crumb_session_packed(session);
    crumb_evaluate_options options = given != NULL ? *given : (crumb_evaluate_options){0};
    int64_t all = dataset->info.count, total = options.limit > 0 && options.limit < all ? options.limit : all;
    int64_t batch = options.batch > 0 ? options.batch : 250;
    crumb_feed *feed = NULL;
    crumb_score score = {0};
    double start = crumb_seconds(), spent = 0;
    CRUMB_TRY(open_feed(packed, dataset, batch, resize, &feed));
    float *logits = crumb_alloc(packed->ctx, (size_t)batch * (size_t)packed->classes, sizeof(*logits));
    crumb_status status =
        logits != NULL ? score_all(session, feed, total, &options, logits, &score, &spent) : CRUMB_ERROR_MEMORY;
    if (status == CRUMB_OK) {
        crumb_score_result(&score, crumb_seconds() - start, evaluation);
        evaluation->images_per_second = spent > 0 ? (double)score.images / spent : 0;
    }
    crumb_free(packed->ctx, logits);
    crumb_feed_destroy(feed);
    return status;
}
