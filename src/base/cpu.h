/* What this processor can do. The one place that asks. */
#ifndef CRUMB_CPU_H
#define CRUMB_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* What only exists on x86: table rows and calls of files __avx2 and __avx512. */
#if defined(__x86_64__)
#define CRUMB_ON_X86(...) __VA_ARGS__
#else
#define CRUMB_ON_X86(...)
#endif

/* Feature bits after a limit by name; NULL = no limit. False for a name that is unknown. */
bool crumb_cpu_limited(const char *limit, uint32_t *features);

#endif
