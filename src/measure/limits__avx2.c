/* The limits with AVX2. There is no dot product of bytes and no population count: three and eight instructions stand in for
 * them. */
#include "measure/limits.h"

#include <immintrin.h>

enum { CHAINS = 8 };

static void floats(int64_t rounds) {
    __m256 a[CHAINS + 2], b = _mm256_set1_ps(0.5f), c = _mm256_set1_ps(1.0f);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS + 2; i++) {
        a[i] = _mm256_set1_ps((float)i);
    }
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 10
        for (int i = 0; i < CHAINS + 2; i++) {
            a[i] = _mm256_fmadd_ps(a[i], b, c);
            __asm__ volatile("" : "+x"(a[i]));
        }
    }
}

static void bytes(int64_t rounds) {
    __m256i a[CHAINS], x = _mm256_set1_epi8(3), w = _mm256_set1_epi8(2), ones = _mm256_set1_epi16(1);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm256_set1_epi32(i);
    }
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 8
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+x"(w));
            a[i] = _mm256_add_epi32(a[i], _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), ones));
            __asm__ volatile("" : "+x"(a[i]));
        }
    }
}

/* Counts of nibbles from a table (Mula), summed in bytes. */
static void bits(int64_t rounds) {
    const __m256i low = _mm256_set1_epi8(15),
                  counts = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    __m256i a[CHAINS], x = _mm256_set1_epi64x(0x123456789abcdef), w = _mm256_set1_epi64x(0x9e3779b97f4a7c15);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm256_setzero_si256();
    }
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 8
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+x"(w));
            __m256i t = _mm256_xor_si256(x, w);
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(t, 4), low);
            t = _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(t, low)), _mm256_shuffle_epi8(counts, high));
            a[i] = _mm256_add_epi8(a[i], t);
            __asm__ volatile("" : "+x"(a[i]));
        }
    }
}

static void tables(int64_t rounds) {
    __m256i a[CHAINS], index = _mm256_set1_epi8(5), table = _mm256_set1_epi32(0x3020100);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm256_setzero_si256();
    }
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 8
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+x"(index));
            a[i] = _mm256_add_epi8(a[i], _mm256_shuffle_epi8(table, index));
            __asm__ volatile("" : "+x"(a[i]));
        }
    }
}

const crumb_limit_loop crumb_limit_floats__avx2 = {.limit = CRUMB_LIMIT_FLOATS,
                                                   .name = "vfmadd, 256 bits",
                                                   .cpu = CRUMB_CPU_AVX2,
                                                   .operations = (CHAINS + 2) * 16,
                                                   .run = floats};
const crumb_limit_loop crumb_limit_bytes__avx2 = {.limit = CRUMB_LIMIT_BYTES,
                                                  .name = "vpmaddubsw, vpmaddwd, vpaddd, 256 bits",
                                                  .cpu = CRUMB_CPU_AVX2,
                                                  .operations = CHAINS * 64,
                                                  .run = bytes};
const crumb_limit_loop crumb_limit_bits__avx2 = {.limit = CRUMB_LIMIT_BITS,
                                                 .name = "vpxor, two vpshufb, sums of bytes, 256 bits",
                                                 .cpu = CRUMB_CPU_AVX2,
                                                 .operations = CHAINS * 512,
                                                 .run = bits};
const crumb_limit_loop crumb_limit_tables__avx2 = {.limit = CRUMB_LIMIT_TABLES,
                                                   .name = "vpshufb, vpaddb, 256 bits",
                                                   .cpu = CRUMB_CPU_AVX2,
                                                   .operations = CHAINS * 32,
                                                   .columns = 16,
                                                   .run = tables};
