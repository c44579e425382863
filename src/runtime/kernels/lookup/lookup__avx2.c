/* AVX2 for the family "lookup": vpshufb, 16 entries a table row, 32 channels at a time. W1 then goes by groups of 4 channels,
 * ternary and W2 by 2: 64 to 128 products for a vpshufb and a vpaddb, beside 32 for the vpmaddubsw and vpaddw of bytes__avx2.c.
 *
 * A tile is 6 pixels by one or two vectors of channels: 12 byte sums, the unit's weights, a table row and what it gives fill
 * the 16 registers. Per period the byte sums go to 16-bit sums in memory: `all` takes whole 16-bit lanes, even byte + 256 * odd
 * byte, and `odd` the odd bytes; even = all - 256 * odd, modulo 2^16. Even bytes are channels 0 to 15 of a vector, odd bytes 16
 * to 31, so widening to 32 bits gives channels in order. */
#include "runtime/kernels/lookup/lookup.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { VECTOR = 32, ROW = 16, PIXELS = 6, FLUSH = 65535 };

static int32_t lane(int32_t channel) {
    return channel < 16 ? 2 * channel : 2 * (channel - 16) + 1;
}

/* ---- Staging: groups of 2 and 4, where no pixel's last group is filled up, as one long line */

INLINE __m256i load(const void *from) {
    return _mm256_loadu_si256(from);
}

/* 16 groups of 2: x0 + levels * x1, times ROW. */
INLINE void stage_pairs(uint16_t *to, const uint8_t *src, int32_t levels) {
    const __m256i sums = _mm256_maddubs_epi16(load(src), _mm256_set1_epi16((int16_t)(1 | levels << 8)));
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_slli_epi16(sums, 4));
}

/* 16 groups of 4: of the sums of 2, those at even places plus levels^2 times those at odd ones. */
INLINE void stage_fours(uint16_t *to, const uint8_t *src, int32_t levels) {
    const __m256i powers = _mm256_set1_epi16((int16_t)(1 | levels << 8)),
                  squares = _mm256_set1_epi32(1 | levels * levels << 16);
    const __m256i low = _mm256_madd_epi16(_mm256_maddubs_epi16(load(src), powers), squares);
    const __m256i high = _mm256_madd_epi16(_mm256_maddubs_epi16(load(src + 32), powers), squares);
    const __m256i sums = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_slli_epi16(sums, 4));
}

static void stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const int32_t group = ((const crumb_lookup *)(const void *)frame)->plan.group, levels = frame->problem.x.levels;
    if (group == 3 || frame->in % group != 0 || frame->in != frame->problem.channels) {
        crumb_lookup_stage(frame, dst, src, pixels);
        return;
    }
    uint16_t *to = (uint16_t *)(void *)dst;
    int64_t left = (int64_t)pixels * (frame->in / group);
    for (; left >= 16; left -= 16, to += 16, src += 16 * group) {
        if (group == 2) {
            stage_pairs(to, src, levels);
        } else {
            stage_fours(to, src, levels);
        }
    }
    for (; left > 0; left--, to++, src += group) {
        const int32_t high = group == 4 ? (src[3] * levels + src[2]) * levels : 0;
        *to = (uint16_t)(ROW * ((high + src[1]) * levels + src[0]));
    }
}

/* ---- Tiles */

/* 16-bit sums of one pixel and vector to its accumulators, of which there are 16 * blocks; they become 0. */
INLINE void flush(int32_t *acc, __m256i *all, __m256i *odd, int32_t blocks) {
    const __m256i part[2] = {_mm256_sub_epi16(*all, _mm256_slli_epi16(*odd, 8)), *odd};
    for (int32_t b = 0; b < blocks; b++) {
        __m256i *to = (__m256i *)(void *)(acc + b * CRUMB_FRAME_LANES);
        const __m256i low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(part[b]));
        const __m256i high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(part[b], 1));
        _mm256_storeu_si256(to, _mm256_add_epi32(load(to), low));
        _mm256_storeu_si256(to + 1, _mm256_add_epi32(load(to + 1), high));
    }
    *all = *odd = _mm256_setzero_si256();
}

static void flush_all(const crumb_frame_tile *t, __m256i *all, __m256i *odd, int32_t vectors) {
    for (int32_t i = 0; i < t->pixels * vectors; i++) {
        int32_t *acc = (int32_t *)t->acc + i / vectors * t->blocks * CRUMB_FRAME_LANES + i % vectors * VECTOR;
        const int32_t blocks = t->blocks - 2 * (i % vectors);
        flush(acc, &all[i], &odd[i], blocks < 2 ? blocks : 2);
    }
}

INLINE void widen(const __m256i *sum, __m256i *all, __m256i *odd, const int sums) {
#pragma GCC unroll 12
    for (int i = 0; i < sums; i++) {
        all[i] = _mm256_add_epi16(all[i], sum[i]);
        odd[i] = _mm256_add_epi16(odd[i], _mm256_srli_epi16(sum[i], 8));
    }
}

/* sum += entries[w]. As assembly, since the compiler otherwise looks up all of a unit first and has no registers left. */
INLINE void add_entries(__m256i *sum, __m256i entries, __m256i w) {
    __m256i found;
    __asm__("vpshufb %3, %2, %1\n\tvpaddb %1, %0, %0" : "+x"(*sum), "=&x"(found) : "x"(entries), "x"(w));
}

/* One unit: two pointers reach six pixels. */
INLINE void add_unit(__m256i *sum, const uint8_t *table, const uint8_t *x, size_t step, const uint8_t *w, const int pixels,
                     const int vectors) {
    const __m256i w0 = load(w), w1 = vectors == 2 ? load(w + VECTOR) : w0;
    const uint8_t *x3 = x + 3 * step;
#pragma GCC unroll 6
    for (int p = 0; p < pixels; p++) {
        const uint8_t *row = table + *(const uint16_t *)(const void *)((p < 3 ? x : x3) + (size_t)(p % 3) * step);
        const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)row));
        add_entries(&sum[p * vectors], entries, w0);
        if (vectors == 2) {
            add_entries(&sum[p * vectors + 1], entries, w1);
        }
    }
}

INLINE void run(const crumb_frame *frame, const crumb_frame_tile *t, const int pixels, const int vectors) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    const int32_t period = lookup->plan.period, most = FLUSH / lookup->plan.span;
    const uint8_t *w = t->weight, *table = lookup->table;
    __m256i all[2 * PIXELS], odd[2 * PIXELS];
    for (int i = 0; i < pixels * vectors; i++) {
        all[i] = odd[i] = _mm256_setzero_si256();
    }
    int32_t left = most;
    for (int32_t s = 0; s < frame->segments; s++) {
        const uint8_t *x = t->x + crumb_frame_segment(frame, s);
        for (int32_t u = frame->units, n; u > 0; u -= n, left -= n) {
            __m256i sum[2 * PIXELS];
#pragma GCC unroll 12
            for (int i = 0; i < pixels * vectors; i++) {
                sum[i] = _mm256_setzero_si256();
            }
            if (left < period) {
                flush_all(t, all, odd, vectors);
                left = most;
            }
            n = u < period ? u : period;
            for (int32_t i = n; i > 0; i--) {
                add_unit(sum, table, x, t->step, w, pixels, vectors);
                x += 2;
                w += vectors * VECTOR;
            }
            widen(sum, all, odd, pixels * vectors);
        }
    }
    flush_all(t, all, odd, vectors);
}

static void one(const crumb_frame *frame, const crumb_frame_tile *t) {
    switch (t->pixels) {
    case 1:
        run(frame, t, 1, 1);
        break;
    case 2:
        run(frame, t, 2, 1);
        break;
    case 3:
        run(frame, t, 3, 1);
        break;
    case 4:
        run(frame, t, 4, 1);
        break;
    case 5:
        run(frame, t, 5, 1);
        break;
    case 6:
        run(frame, t, 6, 1);
        break;
    }
}

static void two(const crumb_frame *frame, const crumb_frame_tile *t) {
    switch (t->pixels) {
    case 1:
        run(frame, t, 1, 2);
        break;
    case 2:
        run(frame, t, 2, 2);
        break;
    case 3:
        run(frame, t, 3, 2);
        break;
    case 4:
        run(frame, t, 4, 2);
        break;
    case 5:
        run(frame, t, 5, 2);
        break;
    case 6:
        run(frame, t, 6, 2);
        break;
    }
}

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const size_t lanes = (size_t)(t->blocks * CRUMB_FRAME_LANES);
    for (int32_t p = 0; p < t->pixels; p++) {
        memcpy((int32_t *)t->acc + (size_t)p * lanes, t->constant, lanes * sizeof(int32_t));
    }
    if (t->blocks > 2) {
        two(frame, t);
    } else {
        one(frame, t);
    }
}

/* Where half of every vector would be empty, four bytes at a time are faster. */
static bool supports(const crumb_conv_problem *problem) {
    crumb_lookup_plan plan;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    return p.out_channels / p.groups > CRUMB_FRAME_LANES && crumb_lookup_plan_make(&p, ROW, &plan);
}

static const crumb_lookup_family family = {
    .frame = {.stage = stage, .tile = tile, .pixels = {0, PIXELS, PIXELS, PIXELS, PIXELS}},
    .row = ROW,
    .vector = VECTOR,
    .block = 2 * VECTOR,
    .lane = lane};

const crumb_conv_kernel crumb_conv_lookup__avx2 = {
    .name = "conv_i32_few_few__avx2",
    .family = "lookup",
    .cpu = CRUMB_CPU_AVX2,
    .supports = supports,
    .prepare = crumb_lookup_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
