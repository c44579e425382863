/* OpenMP's thread count, set from the context. */
#include "base/threads.h"

#ifdef _OPENMP
#include <omp.h>
#endif

void crumb_threads_begin(const crumb_ctx *ctx) {
#ifdef _OPENMP
    omp_set_dynamic(0);
    omp_set_num_threads(crumb_threads(ctx));
#else
    (void)ctx;
#endif
}
