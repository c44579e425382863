/* Exclusive or, population count and addition with AVX-512 VPOPCNTDQ. */
#include "measure/limits.h"

#include <immintrin.h>

enum { CHAINS = 10 };

static void bits(int64_t rounds) {
    __m512i a[CHAINS], w[CHAINS], x = _mm512_set1_epi64(0x123456789abcdef);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm512_setzero_si512();
        w[i] = _mm512_set1_epi64(0x9e3779b9 * (long long)i);
    }
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 10
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+v"(w[i]));
            a[i] = _mm512_add_epi64(a[i], _mm512_popcnt_epi64(_mm512_xor_si512(x, w[i])));
            __asm__ volatile("" : "+v"(a[i]));
        }
    }
}

const crumb_limit_loop crumb_limit_bits__avx512popcnt = {.limit = CRUMB_LIMIT_BITS,
                                                         .name = "vpxor, vpopcntq, vpaddq, 512 bits",
                                                         .cpu = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512POPCNT,
                                                         .operations = CHAINS * 1024,
                                                         .run = bits};
