/* How long OpenMP's threads spin at a barrier before they sleep.
 *
 * GNU's runtime spins 300,000 times by default, some milliseconds. That is fine on an idle machine. Beside another program the
 * thread that spins keeps the very core that the thread it waits for has to get: LeNet-5 trained in 40 s beside two busy
 * programs, and in 10.5 to 12.5 s with 0 to 3,000 spins. The parallel loops of a training step are tens of microseconds apart,
 * and so much is what 3,000 spins take. Who sets GOMP_SPINCOUNT or OMP_WAIT_POLICY is obeyed.
 *
 * The runtime reads its variables when it is loaded, before any line of ours: so the command sets them and starts itself once
 * more. Where that is not possible it goes on as it is. */
#include "cli.h"

#include <stdlib.h>
#include <unistd.h>

void cli_wait_briefly(char *const *argv) {
#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__)
    if (getenv("GOMP_SPINCOUNT") == NULL && getenv("OMP_WAIT_POLICY") == NULL && setenv("GOMP_SPINCOUNT", "3000", 0) == 0) {
        execv("/proc/self/exe", argv);
    }
#else
    (void)argv;
#endif
}
