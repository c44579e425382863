/* The feed: a ring of batches that background threads fill ahead of the training step.
 *
 * Batches are numbered through all epochs: ticket = epoch * steps + step. A worker takes the next ticket whose place in the
 * ring (ticket modulo ring size) is free, fills it without the lock, and marks it ready; the caller takes tickets in order and
 * keeps one place until its next call. Since a batch is a function of its ticket alone, neither the number of workers nor their
 * timing shows in what is delivered. */
#include "data/prepare.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { AHEAD_DEFAULT = 4, MESSAGE_ROOM = 512 };

typedef struct place {
    float *images, *labels;
    int64_t valid;
    bool ready;
    crumb_status status;
    char message[MESSAGE_ROOM];
} place;

typedef struct worker {
    crumb_feed *feed;
    crumb_scratch scratch;
    pthread_t thread;
} worker;

struct crumb_feed {
    crumb_ctx *ctx;
    crumb_prepare prepare;
    int64_t steps;
    int places;
    place *ring;
    int workers, started; /* started: threads to be joined */
    worker *worker;       /* at least one: its scratch serves the caller when there are no threads */
    pthread_mutex_t lock;
    pthread_cond_t work, done; /* a place became free or the feed's state changed; a batch became ready */
    int64_t taken;             /* next ticket for a worker */
    int64_t delivered;         /* next ticket for the caller */
    bool held;                 /* the caller still uses ticket delivered - 1 */
    bool running, stopping;
    int busy; /* workers that fill a place */
};

static void fill(crumb_feed *feed, crumb_scratch *scratch, int64_t ticket, place *at) {
    const crumb_prepare *prepare = &feed->prepare;
    int64_t batch = prepare->options.batch, size = prepare->height * prepare->width * prepare->channels;
    int64_t epoch = ticket / feed->steps, first = ticket % feed->steps * batch;
    at->valid = prepare->count - first < batch ? prepare->count - first : batch;
    at->status = CRUMB_OK;
    at->message[0] = '\0';
    for (int64_t i = 0; i < at->valid && at->status == CRUMB_OK; i++) {
        at->status = crumb_prepare_sample(prepare, scratch, epoch, first + i, at->images + i * size, at->labels + i,
                                          at->message, sizeof(at->message));
    }
    memset(at->images + at->valid * size, 0, (size_t)((batch - at->valid) * size) * sizeof(float));
    memset(at->labels + at->valid, 0, (size_t)(batch - at->valid) * sizeof(float));
}

static bool has_work(const crumb_feed *feed) {
    return feed->running && feed->taken < feed->delivered - feed->held + feed->places;
}

static void *work(void *given) {
    worker *self = given;
    crumb_feed *feed = self->feed;
    pthread_mutex_lock(&feed->lock);
    while (!feed->stopping) {
        if (!has_work(feed)) {
            pthread_cond_wait(&feed->work, &feed->lock);
            continue;
        }
        int64_t ticket = feed->taken++;
        place *at = &feed->ring[ticket % feed->places];
        feed->busy++;
        pthread_mutex_unlock(&feed->lock);
        fill(feed, &self->scratch, ticket, at);
        pthread_mutex_lock(&feed->lock);
        feed->busy--;
        at->ready = true;
        pthread_cond_signal(&feed->done); /* only the feed's owner waits here */
    }
    pthread_mutex_unlock(&feed->lock);
    return NULL;
}

/* Signals belong to the program's own threads: workers block them all. */
static crumb_status start_workers(crumb_feed *feed) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    for (; feed->started < feed->workers && error == 0; feed->started += error == 0) {
        error = pthread_create(&feed->worker[feed->started].thread, NULL, work, &feed->worker[feed->started]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0
               ? CRUMB_OK
               : crumb_fail(feed->ctx, CRUMB_ERROR_IO, "cannot start loader thread %d: %s", feed->started, strerror(error));
}

static crumb_status make_ring(crumb_feed *feed) {
    int64_t batch = feed->prepare.options.batch;
    size_t size = (size_t)(feed->prepare.height * feed->prepare.width * feed->prepare.channels);
    feed->ring = crumb_alloc(feed->ctx, (size_t)feed->places, sizeof(*feed->ring));
    feed->worker = crumb_alloc(feed->ctx, (size_t)(feed->workers > 0 ? feed->workers : 1), sizeof(*feed->worker));
    if (feed->ring == NULL || feed->worker == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int i = 0; i < feed->places; i++) {
        feed->ring[i].images = crumb_alloc(feed->ctx, (size_t)batch, size * sizeof(float));
        feed->ring[i].labels = crumb_alloc(feed->ctx, (size_t)batch, sizeof(float));
        if (feed->ring[i].images == NULL || feed->ring[i].labels == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
    }
    for (int i = 0; i < feed->workers || i == 0; i++) {
        feed->worker[i].feed = feed;
        CRUMB_TRY(crumb_scratch_init(&feed->worker[i].scratch, &feed->prepare));
    }
    return start_workers(feed);
}

crumb_status crumb_feed_create(crumb_dataset *dataset, const crumb_feed_options *options, crumb_feed **out) {
    if (options->workers < 0 || options->ahead < 0 || options->ahead == 1) {
        return crumb_fail(dataset->ctx, CRUMB_ERROR_ARGUMENT, "%d workers, %d batches ahead: at least 0 and 2",
                          options->workers, options->ahead);
    }
    crumb_feed *feed = crumb_alloc(dataset->ctx, 1, sizeof(*feed));
    if (feed == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    feed->ctx = dataset->ctx;
    feed->workers = options->workers;
    feed->places = options->workers == 0 ? 1 : options->ahead > 0 ? options->ahead : AHEAD_DEFAULT;
    pthread_mutex_init(&feed->lock, NULL);
    pthread_cond_init(&feed->work, NULL);
    pthread_cond_init(&feed->done, NULL);
    crumb_status status = crumb_prepare_init(&feed->prepare, dataset, options);
    if (status == CRUMB_OK) {
        int64_t count = feed->prepare.count, batch = options->batch;
        feed->steps = options->shuffle ? count / batch : (count - 1) / batch + 1;
        status = make_ring(feed);
    }
    if (status != CRUMB_OK) {
        crumb_feed_destroy(feed);
        return status;
    }
    *out = feed;
    return CRUMB_OK;
}

static void stop_workers(crumb_feed *feed) {
    pthread_mutex_lock(&feed->lock);
    feed->stopping = true;
    pthread_cond_broadcast(&feed->work);
    pthread_mutex_unlock(&feed->lock);
    for (int i = 0; i < feed->started; i++) {
        pthread_join(feed->worker[i].thread, NULL);
    }
}

void crumb_feed_destroy(crumb_feed *feed) {
    if (feed == NULL) {
        return;
    }
    stop_workers(feed);
    for (int i = 0; feed->worker != NULL && (i < feed->workers || i == 0); i++) {
        crumb_scratch_fini(&feed->worker[i].scratch, feed->ctx);
    }
    for (int i = 0; feed->ring != NULL && i < feed->places; i++) {
        crumb_free(feed->ctx, feed->ring[i].images);
        crumb_free(feed->ctx, feed->ring[i].labels);
    }
    crumb_free(feed->ctx, feed->worker);
    crumb_free(feed->ctx, feed->ring);
    crumb_prepare_fini(&feed->prepare);
    pthread_cond_destroy(&feed->work);
    pthread_cond_destroy(&feed->done);
    pthread_mutex_destroy(&feed->lock);
    crumb_free(feed->ctx, feed);
}

crumb_shape crumb_feed_image(const crumb_feed *feed) {
    return CRUMB_SHAPE(feed->prepare.height, feed->prepare.width, feed->prepare.channels);
}

int64_t crumb_feed_steps(const crumb_feed *feed) {
    return feed->steps;
}

void crumb_feed_seek(crumb_feed *feed, int64_t epoch, int64_t step) {
    pthread_mutex_lock(&feed->lock);
    feed->running = false;
    while (feed->busy > 0) {
        pthread_cond_wait(&feed->done, &feed->lock);
    }
    for (int i = 0; i < feed->places; i++) {
        feed->ring[i].ready = false;
    }
    feed->taken = feed->delivered = epoch * feed->steps + step;
    feed->held = false;
    feed->running = true;
    pthread_cond_broadcast(&feed->work);
    pthread_mutex_unlock(&feed->lock);
}

/* The place of the next ticket, filled; the place delivered before is free from here on. */
static place *await_batch(crumb_feed *feed) {
    place *at = &feed->ring[feed->delivered % feed->places];
    if (feed->workers == 0) {
        fill(feed, &feed->worker[0].scratch, feed->delivered, at);
        feed->delivered += at->status == CRUMB_OK;
        return at;
    }
    pthread_mutex_lock(&feed->lock);
    feed->held = false;
    feed->running = true;
    pthread_cond_broadcast(&feed->work);
    while (!at->ready) {
        pthread_cond_wait(&feed->done, &feed->lock);
    }
    if (at->status == CRUMB_OK) {
        at->ready = false;
        feed->held = true;
        feed->delivered++;
    }
    pthread_mutex_unlock(&feed->lock);
    return at;
}

crumb_status crumb_feed_next(crumb_feed *feed, const float **images, const float **labels, int64_t *valid) {
    place *at = await_batch(feed);
    if (at->status != CRUMB_OK) { /* the position stays: the same failure again, or a seek elsewhere */
        return crumb_fail(feed->ctx, at->status, "%s", at->message);
    }
    *images = at->images;
    *labels = at->labels;
    *valid = at->valid;
    return CRUMB_OK;
}
