/* How many threads compute. The one place that speaks to OpenMP's settings; without OpenMP everything runs on the caller. */
#ifndef CRUMB_THREADS_H
#define CRUMB_THREADS_H

#include "base/ctx.h"

/* Parallel loops that follow on this thread use the context's number of threads. */
void crumb_threads_begin(const crumb_ctx *ctx);

#endif
