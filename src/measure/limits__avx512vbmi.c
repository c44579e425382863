/* Look-ups in tables of 64 bytes with AVX-512 VBMI. */
#include "measure/limits.h"

#include <immintrin.h>

enum { CHAINS = 12 };

static void tables(int64_t rounds) {
    __m512i a[CHAINS], index[CHAINS], table = _mm512_set1_epi32(0x3020100);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm512_setzero_si512();
        index[i] = _mm512_set1_epi8((char)i);
    }
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+v"(index[i]));
            a[i] = _mm512_add_epi8(a[i], _mm512_permutexvar_epi8(index[i], table));
            __asm__ volatile("" : "+v"(a[i]));
        }
    }
}

const crumb_limit_loop crumb_limit_tables__avx512vbmi = {.limit = CRUMB_LIMIT_TABLES,
                                                         .name = "vpermb, vpaddb, 512 bits",
                                                         .cpu = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512VBMI,
                                                         .operations = CHAINS * 64,
                                                         .columns = 64,
                                                         .run = tables};
