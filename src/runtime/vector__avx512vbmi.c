/* The set of loops for AVX-512 with VBMI: tables of 256 bytes lie in four registers. */
#include "runtime/vector.h"

#include <immintrin.h>

/* The entries of x's bytes. */
static inline __attribute__((always_inline)) __m512i entries(const __m512i table[4], __m512i x) {
    __m512i low = _mm512_permutex2var_epi8(table[0], x, table[1]), high = _mm512_permutex2var_epi8(table[2], x, table[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
}

/* A vector of 64 bytes begins with channel (vector * 64) % channels; every channel's entries are looked up, and those at its
 * places kept. */
static void translate_pixels(uint8_t *y, const uint8_t *x, const uint8_t *table, int64_t pixels, int64_t channels) {
    __m512i tables[CRUMB_PACKED_PIXEL_MAX][4];
    __mmask64 places[CRUMB_PACKED_PIXEL_MAX] = {0}; /* of channel c in a vector that begins with channel 0 */
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t i = 0; i < 4; i++) {
            tables[c][i] = _mm512_loadu_si512(table + c * 256 + i * 64);
        }
        for (int64_t i = c; i < 64; i += channels) {
            places[c] |= (__mmask64)1 << i;
        }
    }
    const int64_t bytes = pixels * channels;
    for (int64_t i = 0, first = 0; i < bytes; i += 64, first = (first + 64) % channels) {
        const __mmask64 there = bytes - i < 64 ? ((__mmask64)1 << (bytes - i)) - 1 : ~(__mmask64)0;
        const __m512i in = _mm512_maskz_loadu_epi8(there, x + i);
        __m512i out = _mm512_setzero_si512();
        for (int64_t c = 0; c < channels; c++) { /* channel c is where channel c - first is otherwise */
            out = _mm512_mask_mov_epi8(out, places[(c - first + channels) % channels], entries(tables[c], in));
        }
        _mm512_mask_storeu_epi8(y + i, there, out);
    }
}

#define VECTOR crumb_vector__avx512vbmi
#define CHAIN crumb_chain_run__avx512
#define WIDTH 64
#define TRANSLATE translate_pixels
#include "runtime/vector.tmpl"
