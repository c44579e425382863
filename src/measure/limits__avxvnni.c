/* Dot products of bytes with AVX-VNNI. */
#include "base/ctx.h"
#include "measure/limits.h"

#include <immintrin.h>

enum { CHAINS = 12 };

static void bytes(int64_t rounds) {
    __m256i a[CHAINS], x = _mm256_set1_epi8(3), w = _mm256_set1_epi8(2);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm256_set1_epi32(i);
    }
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            a[i] = _mm256_dpbusd_avx_epi32(a[i], x, w);
            __asm__ volatile("" : "+x"(a[i]));
        }
    }
}

const crumb_limit_loop crumb_limit_bytes__avxvnni = {.limit = CRUMB_LIMIT_BYTES,
                                                     .name = "vpdpbusd, 256 bits",
                                                     .cpu = CRUMB_CPU_AVX2 | CRUMB_CPU_AVXVNNI,
                                                     .operations = CHAINS * 64,
                                                     .run = bytes};
