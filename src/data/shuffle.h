/* A random order of 0 .. n-1 that needs no memory: the index at a position is a function of (seed, epoch, n, position). */
#ifndef CRUMB_SHUFFLE_H
#define CRUMB_SHUFFLE_H

#include <stdint.h>

int64_t crumb_shuffle_at(uint64_t seed, uint64_t epoch, int64_t n, int64_t position);

#endif
