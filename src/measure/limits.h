/* What a core can do at most: loops that do nothing else, one file an instruction set, rows in limits.c. */
#ifndef CRUMB_MEASURE_LIMITS_H
#define CRUMB_MEASURE_LIMITS_H

#include "crumb/measure.h"
#include "runtime/kernel.h"

typedef struct crumb_limit_loop {
    crumb_limit limit;
    const char *name;
    uint32_t cpu;      /* CRUMB_CPU_ bits it needs */
    double operations; /* of a round */
    int columns;       /* TABLES: entries of a table */
    void (*run)(int64_t rounds);
} crumb_limit_loop;

extern const crumb_limit_loop crumb_limit_floats__avx512, crumb_limit_floats__avx2, crumb_limit_floats__scalar,
    crumb_limit_bytes__avx512vnni, crumb_limit_bytes__avxvnni, crumb_limit_bytes__avx2, crumb_limit_bytes__scalar,
    crumb_limit_bits__avx512popcnt, crumb_limit_bits__avx2, crumb_limit_bits__scalar, crumb_limit_tables__avx512vbmi, crumb_limit_tables__avx2;

/* The least seconds of `images` images of a problem, and the limit that says so. from_memory: the weights have to be read. */
double crumb_limits_problem(const crumb_limits *limits, const crumb_conv_problem *problem, int64_t images, bool from_memory,
                            crumb_limit *which);

/* Seconds on a clock that only goes forward. */
double crumb_measure_now(void);

#endif
