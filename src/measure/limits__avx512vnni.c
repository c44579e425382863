/* Dot products of bytes with AVX-512 VNNI. */
#include "measure/limits.h"

#include <immintrin.h>

enum { CHAINS = 16 };

static void bytes(int64_t rounds) {
    __m512i a[CHAINS], x = _mm512_set1_epi8(3), w = _mm512_set1_epi8(2);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm512_set1_epi32(i);
    }
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) {
            a[i] = _mm512_dpbusd_epi32(a[i], x, w);
            __asm__ volatile("" : "+v"(a[i]));
        }
    }
}

const crumb_limit_loop crumb_limit_bytes__avx512vnni = {.limit = CRUMB_LIMIT_BYTES,
                                                        .name = "vpdpbusd, 512 bits",
                                                        .cpu = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512VNNI,
                                                        .operations = CHAINS * 128,
                                                        .run = bytes};
