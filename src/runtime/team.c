/* One counter of rounds does everything: a barrier ends when the last thread advances it, and a run begins and ends with a
 * barrier. Who waits spins on the counter SPINS times - not at all where threads outnumber processors, for then the one waited
 * for may need this one - and then sleeps on a condition. */
#include "runtime/team.h"

#include "base/cpu.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { SPINS = 4096 }; /* some tens of microseconds: longer than a layer's imbalance, shorter than a scheduler's slice */

struct crumb_team {
    crumb_ctx *ctx;
    atomic_int threads; /* in a barrier */
    int started;        /* besides the caller's */
    int spins;
    atomic_uint round;   /* barriers passed */
    atomic_int arrived;  /* at the present one */
    atomic_int sleepers; /* threads that wait for `advanced`, or are about to */
    pthread_mutex_t mutex;
    pthread_cond_t advanced;
    bool ends;
    void (*work)(void *user, int thread);
    void *user;
    struct member {
        crumb_team *team;
        int thread;
        pthread_t id;
    } member[];
};

static void wait_for(crumb_team *team, unsigned round) {
    for (int i = 0; i < team->spins; i++) {
        if (atomic_load_explicit(&team->round, memory_order_acquire) != round) {
            return;
        }
        CRUMB_ON_X86(__builtin_ia32_pause();)
    }
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->sleepers, 1);
    while (atomic_load(&team->round) == round) {
        pthread_cond_wait(&team->advanced, &team->mutex);
    }
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->mutex);
}

void crumb_team_barrier(crumb_team *team) {
    if (team->threads == 1) {
        return;
    }
    unsigned round = atomic_load_explicit(&team->round, memory_order_relaxed);
    if (atomic_fetch_add(&team->arrived, 1) + 1 < team->threads) {
        wait_for(team, round);
        return;
    }
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    atomic_fetch_add(&team->round, 1);
    if (atomic_load(&team->sleepers) > 0) {
        pthread_mutex_lock(&team->mutex); /* a sleeper holds it from counting itself until it waits */
        pthread_cond_broadcast(&team->advanced);
        pthread_mutex_unlock(&team->mutex);
    }
}

static void *member_main(void *given) {
    struct member *self = given;
    crumb_team *team = self->team;
    for (;;) {
        crumb_team_barrier(team);
        if (team->ends) {
            return NULL;
        }
        team->work(team->user, self->thread);
        crumb_team_barrier(team);
    }
}

void crumb_team_run(crumb_team *team, void (*work)(void *user, int thread), void *user) {
    team->work = work;
    team->user = user;
    crumb_team_barrier(team);
    work(user, 0);
    crumb_team_barrier(team);
}

crumb_status crumb_team_create(crumb_ctx *ctx, int threads, crumb_team **out) {
    crumb_team *team = crumb_alloc(ctx, 1, sizeof(*team) + (size_t)threads * sizeof(team->member[0]));
    if (team == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    team->ctx = ctx;
    team->threads = threads;
    team->spins = threads <= sysconf(_SC_NPROCESSORS_ONLN) ? SPINS : 0;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->advanced, NULL);
    int refused = 0;
    for (int t = 1; t < threads && refused == 0; t++) {
        team->member[t] = (struct member){.team = team, .thread = t};
        refused = pthread_create(&team->member[t].id, NULL, member_main, &team->member[t]);
        team->started += refused == 0;
    }
    if (refused != 0) {
        crumb_team_destroy(team);
        return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot start thread of %d: %s", threads, strerror(refused));
    }
    *out = team;
    return CRUMB_OK;
}

void crumb_team_destroy(crumb_team *team) {
    if (team == NULL) {
        return;
    }
    team->ends = true;
    team->threads = team->started + 1; /* all that came to be wait at the first barrier */
    crumb_team_barrier(team);
    for (int t = 1; t <= team->started; t++) {
        pthread_join(team->member[t].id, NULL);
    }
    pthread_cond_destroy(&team->advanced);
    pthread_mutex_destroy(&team->mutex);
    crumb_free(team->ctx, team);
}
