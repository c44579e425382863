/* What this processor can do. The one place that asks. */
#ifndef CRUMB_CPU_H
#define CRUMB_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* Feature bits (ctx.h) after a limit by name; NULL = no limit. False for a name that is unknown. */
bool crumb_cpu_limited(const char *limit, uint32_t *features);

#endif
