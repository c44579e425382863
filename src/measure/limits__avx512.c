/* Multiply-adds with AVX-512. */
#include "measure/limits.h"

#include <immintrin.h>

enum { CHAINS = 16 }; /* more than latency times ports */

static void floats(int64_t rounds) {
    __m512 a[CHAINS], b = _mm512_set1_ps(0.5f), c = _mm512_set1_ps(1.0f);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm512_set1_ps((float)i);
    }
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) {
            a[i] = _mm512_fmadd_ps(a[i], b, c);
            __asm__ volatile("" : "+v"(a[i]));
        }
    }
}

const crumb_limit_loop crumb_limit_floats__avx512 = {
    .limit = CRUMB_LIMIT_FLOATS, .name = "vfmadd, 512 bits", .cpu = CRUMB_CPU_AVX512, .operations = CHAINS * 32, .run = floats};
