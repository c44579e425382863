/* The limits of plain C, as the compiler vectorises it for any processor of the kind. */
#include "measure/limits.h"

#include <string.h>

enum { LANES = 64 };

static void floats(int64_t rounds) {
    float a[LANES];
    memset(a, 0, sizeof(a));
    for (int64_t r = 0; r < rounds; r++) {
        for (int i = 0; i < LANES; i++) {
            a[i] = a[i] * 0.5f + 1.0f;
        }
        __asm__ volatile("" : : "r"(a) : "memory");
    }
}

static void bytes(int64_t rounds) {
    int32_t a[LANES];
    uint8_t x[LANES];
    int8_t w[LANES];
    memset(a, 0, sizeof(a));
    memset(x, 3, sizeof(x));
    memset(w, 2, sizeof(w));
    for (int64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : : "r"(x), "r"(w) : "memory");
        for (int i = 0; i < LANES; i++) {
            a[i] = (int32_t)((uint32_t)a[i] + (uint32_t)(x[i] * w[i]));
        }
        __asm__ volatile("" : : "r"(a) : "memory");
    }
}

static void bits(int64_t rounds) {
    uint64_t a[8], x[8];
    memset(a, 0, sizeof(a));
    memset(x, 0x5b, sizeof(x));
    for (int64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : : "r"(x) : "memory");
        for (int i = 0; i < 8; i++) {
            a[i] += (uint64_t)__builtin_popcountll(x[i] ^ 0x123456789abcdef);
        }
        __asm__ volatile("" : : "r"(a) : "memory");
    }
}

const crumb_limit_loop crumb_limit_floats__scalar = {
    .limit = CRUMB_LIMIT_FLOATS, .name = "plain multiplications and additions", .operations = LANES * 2, .run = floats};
const crumb_limit_loop crumb_limit_bytes__scalar = {
    .limit = CRUMB_LIMIT_BYTES, .name = "plain products of bytes", .operations = LANES * 2, .run = bytes};
const crumb_limit_loop crumb_limit_bits__scalar = {
    .limit = CRUMB_LIMIT_BITS, .name = "plain population count", .operations = 8 * 128, .run = bits};
