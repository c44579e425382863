/* Counter-based random numbers: the n-th number of a stream is a pure function of (seed, stream, n).
 *
 * Nothing but a 64-bit counter has to be saved in a checkpoint, and work may be split over any number of threads: a sample's
 * augmentation draws from the stream (seed, epoch, index) whoever loads it. The mixer is splitmix64's finaliser (Steele,
 * Lea, Flood 2014) over key + counter * golden ratio; it passes BigCrush and its inverse exists, so no two counters of a key
 * collide. */
#ifndef CRUMB_RNG_H
#define CRUMB_RNG_H

#include <math.h>
#include <stdint.h>

typedef struct crumb_rng {
    uint64_t key, counter;
} crumb_rng;

static inline uint64_t crumb_mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Streams of different (seed, stream, index) are independent. */
static inline crumb_rng crumb_rng_at(uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t key = crumb_mix(seed + 0x9e3779b97f4a7c15u);
    key = crumb_mix(key ^ (stream + 0xd1b54a32d192ed03u));
    key = crumb_mix(key ^ (index + 0x8cb92ba72f3d8dd7u));
    return (crumb_rng){key, 0};
}

static inline uint64_t crumb_rng_u64(crumb_rng *rng) {
    return crumb_mix(rng->key + 0x9e3779b97f4a7c15u * ++rng->counter);
}

/* Uniform in [0, 1), 24 bits: every value is a float. */
static inline float crumb_rng_uniform(crumb_rng *rng) {
    return (float)(crumb_rng_u64(rng) >> 40) * 0x1p-24f;
}

/* Uniform in 0 .. n-1, n > 0; bias below n / 2^32 by multiply-shift. */
static inline uint32_t crumb_rng_below(crumb_rng *rng, uint32_t n) {
    return (uint32_t)(((crumb_rng_u64(rng) >> 32) * n) >> 32);
}

/* Standard normal (Box-Muller, one of the pair; two draws a number). */
static inline float crumb_rng_normal(crumb_rng *rng) {
    double u = ((double)(crumb_rng_u64(rng) >> 11) + 0.5) * 0x1p-53;
    double v = (double)(crumb_rng_u64(rng) >> 11) * 0x1p-53;
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

#endif
