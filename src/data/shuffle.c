/* The order is a cipher's: a Feistel network over the smallest domain 2^2h >= n is a permutation whatever its round function
 * (Luby, Rackoff 1988: four random rounds look random; six here, since halves are short), and walking its cycle until the value
 * is below n restricts it to 0 .. n-1 (Black, Rogaway 2002), after four steps at most on average. So a feed can start at any
 * step of any epoch, and no thread shares a table. */
#include "data/shuffle.h"

#include "base/rng.h"

enum { ROUNDS = 6 };

int64_t crumb_shuffle_at(uint64_t seed, uint64_t epoch, int64_t n, int64_t position) {
    int half = 1;
    while (half < 31 && ((int64_t)1 << (2 * half)) < n) {
        half++;
    }
    uint64_t mask = ((uint64_t)1 << half) - 1, key[ROUNDS];
    crumb_rng rng = crumb_rng_at(seed, epoch, ~(uint64_t)0);
    for (int r = 0; r < ROUNDS; r++) {
        key[r] = crumb_rng_u64(&rng);
    }
    uint64_t x = (uint64_t)position;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (int r = 0; r < ROUNDS; r++) {
            uint64_t swapped = left ^ (crumb_mix(key[r] + right) & mask);
            left = right;
            right = swapped;
        }
        x = left << half | right;
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}
