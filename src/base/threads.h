/* How many threads compute. The one place that knows whether there is OpenMP; without it everything runs on the
 * caller. */
#ifndef CRUMB_THREADS_H
#define CRUMB_THREADS_H

#include "base/ctx.h"

#ifdef _OPENMP
#include <omp.h>
#else
static inline int omp_get_thread_num(void) {
    return 0;
}
static inline int omp_get_num_threads(void) {
    return 1;
}
static inline int omp_get_max_threads(void) {
    return 1;
}
static inline void omp_set_num_threads(int threads) {
    (void)threads;
}
static inline void omp_set_dynamic(int dynamic) {
    (void)dynamic;
}
#endif

/* Parallel loops that follow on this thread use the context's number of threads. */
void crumb_threads_begin(const crumb_ctx *ctx);

#endif
