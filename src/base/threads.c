/* OpenMP's thread count, set from the context. */
#include "base/threads.h"

void crumb_threads_begin(const crumb_ctx *ctx) {
    omp_set_dynamic(0);
    omp_set_num_threads(crumb_threads(ctx));
}
