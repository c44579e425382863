/* A few threads that work on one thing together, again and again: started once, waiting in between. They spin for a moment
 * before they sleep, so that the steps of a small network cost microseconds; nothing is allocated after create. */
#ifndef CRUMB_TEAM_H
#define CRUMB_TEAM_H

#include "base/ctx.h"

typedef struct crumb_team crumb_team;

/* threads: with the caller's. */
crumb_status crumb_team_create(crumb_ctx *ctx, int threads, crumb_team **team);
void crumb_team_destroy(crumb_team *team);
/* Calls work(user, t) on thread t of each and returns when all have ended; the caller is thread 0. */
void crumb_team_run(crumb_team *team, void (*work)(void *user, int thread), void *user);
/* Called by every thread inside work: returns when all have called it. */
void crumb_team_barrier(crumb_team *team);

#endif
