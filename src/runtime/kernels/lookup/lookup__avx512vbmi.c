/* AVX-512 VBMI for the family "lookup": vpermb with a table row, 64 channels at a time.
 *
 * The load ports decide. A 64-byte load takes the place of two smaller ones, two such a cycle in all; a table row and a pattern
 * loaded for every vpermb leave 0.9 pairs of vpermb and vpaddb a cycle. So the patterns of four units come in one 64-bit load
 * and are cut out with shifts: 1.15 pairs; and, where there are more than 64 channels, a table row serves two vectors of
 * channels: 1.35 pairs, of 1.7 that the vector units can do. Tiles are 8 pixels by one vector or 4 by two: with three sums each
 * (bytes, 16-bit even and odd) 24 registers.
 *
 * Per period, byte sums are added to 16-bit sums: `all` takes whole 16-bit lanes, even byte + 256 * odd byte, and `odd` the odd
 * bytes; even = all - 256 * odd, modulo 2^16. Three instructions; where only the even bytes have channels (at most 32), masking
 * and adding them is two. Even bytes are channels 0 to 31, odd bytes 32 to 63, so widening to 32 bits gives channels in order.
 */
#include "runtime/kernels/lookup/lookup.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

enum { VECTOR = 64, QUAD = 4, SUMS = 8, FLUSH = 65535 };

static int32_t lane(int32_t channel) {
    return channel < 32 ? 2 * channel : 2 * (channel - 32) + 1;
}

/* ---- Staging: 16 groups of up to 4 channels at a time, or 8 of up to 6 */

INLINE void stage_groups(uint16_t *dst, const uint8_t *src, __mmask64 channels, uint32_t groups, __m512i fill, __m512i gather,
                         __m512i powers, const bool wide) {
    __m512i digits = _mm512_permutexvar_epi8(gather, _mm512_mask_loadu_epi8(fill, channels, src));
    __m512i sums = _mm512_madd_epi16(_mm512_maddubs_epi16(digits, powers), _mm512_set1_epi16(1));
    if (wide) {
        sums = _mm512_slli_epi64(_mm512_add_epi64(sums, _mm512_srli_epi64(sums, 32)), 6);
        _mm512_mask_cvtepi64_storeu_epi16(dst, (__mmask8)groups, sums);
    } else {
        _mm512_mask_cvtepi32_storeu_epi16(dst, (__mmask16)groups, _mm512_slli_epi32(sums, 6));
    }
}

INLINE void stage_all(const crumb_lookup *lookup, uint8_t *dst, const uint8_t *src, int32_t pixels, const bool wide) {
    const int32_t in = lookup->frame.in, group = lookup->plan.group, at_once = (wide ? 8 : 16) * group;
    const __m512i fill = _mm512_set1_epi8((char)lookup->fill);
    const __m512i gather = _mm512_loadu_si512(lookup->gather), powers = _mm512_loadu_si512(lookup->powers);
    uint16_t *to = (uint16_t *)(void *)dst;
    for (int32_t p = 0; p < pixels; p++, src += lookup->frame.problem.channels) {
        for (int32_t c = 0; c < in; c += at_once) {
            const int32_t left = in - c < at_once ? in - c : at_once, groups = (left + group - 1) / group;
            stage_groups(to, src + c, ~0ull >> (64 - left), (1u << groups) - 1, fill, gather, powers, wide);
            to += groups;
        }
    }
}

static void stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    if (lookup->plan.group > 4) {
        stage_all(lookup, dst, src, pixels, true);
    } else {
        stage_all(lookup, dst, src, pixels, false);
    }
}

/* ---- Tiles
 *
 * A quad is four units of all pixels of a tile. It is written in assembly: the compiler, which sees dozens of equal chains of
 * additions, moves sums between registers and memory until a third of the speed is gone. Offsets of four pixels are in r8 to
 * r11, rax is the unit's, weights are in zmm16 to zmm19, what the table gives in zmm20 and zmm21. */

#define OFFSETS_1(x) "movq (%[" x "]), %%r8\n\t"
#define OFFSETS_2(x) OFFSETS_1(x) "movq (%[" x "],%[step]), %%r9\n\t"
#define OFFSETS_3(x) OFFSETS_2(x) "movq (%[" x "],%[step],2), %%r10\n\t"
#define OFFSETS_4(x) OFFSETS_3(x) "movq (%[" x "],%[step3]), %%r11\n\t"

/* One vector of channels: the quad's four vectors of weights stay in registers for two groups of pixels. */
#define WEIGHTS                                                                                                                \
    "vmovdqa64 (%[w]), %%zmm16\n\t"                                                                                            \
    "vmovdqa64 64(%[w]), %%zmm17\n\t"                                                                                          \
    "vmovdqa64 128(%[w]), %%zmm18\n\t"                                                                                         \
    "vmovdqa64 192(%[w]), %%zmm19\n\t"
#define ADD(offset, sum, weight)                                                                                               \
    "movzwl %%" offset "w, %%eax\n\t"                                                                                          \
    "shrq $16, %%" offset "\n\t"                                                                                               \
    "vpermb (%[table],%%rax), %%zmm" #weight ", %%zmm20\n\t"                                                                   \
    "vpaddb %%zmm20, %[" sum "], %[" sum "]\n\t"
#define UNIT_1(weight, a) ADD("r8", a, weight)
#define UNIT_2(weight, a, b) UNIT_1(weight, a) ADD("r9", b, weight)
#define UNIT_3(weight, a, b, c) UNIT_2(weight, a, b) ADD("r10", c, weight)
#define UNIT_4(weight, a, b, c, d) UNIT_3(weight, a, b, c) ADD("r11", d, weight)
#define GROUP(n, x, ...)                                                                                                       \
    OFFSETS_##n(x) UNIT_##n(16, __VA_ARGS__) UNIT_##n(17, __VA_ARGS__) UNIT_##n(18, __VA_ARGS__) UNIT_##n(19, __VA_ARGS__)

/* Two vectors of channels: a table row in a register serves both. */
#define ADD_TWO(offset, low, high)                                                                                             \
    "movzwl %%" offset "w, %%eax\n\t"                                                                                          \
    "shrq $16, %%" offset "\n\t"                                                                                               \
    "vmovdqa64 (%[table],%%rax), %%zmm20\n\t"                                                                                  \
    "vpermb %%zmm20, %%zmm16, %%zmm21\n\t"                                                                                     \
    "vpaddb %%zmm21, %[" low "], %[" low "]\n\t"                                                                               \
    "vpermb %%zmm20, %%zmm17, %%zmm21\n\t"                                                                                     \
    "vpaddb %%zmm21, %[" high "], %[" high "]\n\t"
#define PAIR(at)                                                                                                               \
    "vmovdqa64 " #at "(%[w]), %%zmm16\n\t"                                                                                     \
    "vmovdqa64 64+" #at "(%[w]), %%zmm17\n\t"
#define UNIT_TWO_1 ADD_TWO("r8", "s0", "s1")
#define UNIT_TWO_2 UNIT_TWO_1 ADD_TWO("r9", "s2", "s3")
#define UNIT_TWO_3 UNIT_TWO_2 ADD_TWO("r10", "s4", "s5")
#define UNIT_TWO_4 UNIT_TWO_3 ADD_TWO("r11", "s6", "s7")
#define GROUP_TWO(n) OFFSETS_##n("x0") PAIR(0) UNIT_TWO_##n PAIR(128) UNIT_TWO_##n PAIR(256) UNIT_TWO_##n PAIR(384) UNIT_TWO_##n

#define SUM(i) [s##i] "+v"(sum[i])
#define IN [x0] "r"(x[0]), [x1] "r"(x[1]), [step] "r"(step), [step3] "r"(3 * step), [table] "r"(table), [w] "r"(w)
#define CHANGED "rax", "r8", "r9", "r10", "r11", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "cc", "memory"

INLINE void add_quad(__m512i *sum, const uint8_t *table, const uint8_t *const *x, size_t step, const uint8_t *w,
                     const int pixels, const int vectors) {
    if (vectors == 1 && pixels == 1) {
        __asm__(WEIGHTS GROUP(1, "x0", "s0") : SUM(0) : IN : CHANGED);
    } else if (vectors == 1 && pixels == 2) {
        __asm__(WEIGHTS GROUP(2, "x0", "s0", "s1") : SUM(0), SUM(1) : IN : CHANGED);
    } else if (vectors == 1 && pixels == 3) {
        __asm__(WEIGHTS GROUP(3, "x0", "s0", "s1", "s2") : SUM(0), SUM(1), SUM(2) : IN : CHANGED);
    } else if (vectors == 1 && pixels == 4) {
        __asm__(WEIGHTS GROUP(4, "x0", "s0", "s1", "s2", "s3") : SUM(0), SUM(1), SUM(2), SUM(3) : IN : CHANGED);
    } else if (vectors == 1 && pixels == 5) {
        __asm__(WEIGHTS GROUP(4, "x0", "s0", "s1", "s2", "s3") GROUP(1, "x1", "s4")
                : SUM(0), SUM(1), SUM(2), SUM(3), SUM(4)
                : IN
                : CHANGED);
    } else if (vectors == 1 && pixels == 6) {
        __asm__(WEIGHTS GROUP(4, "x0", "s0", "s1", "s2", "s3") GROUP(2, "x1", "s4", "s5")
                : SUM(0), SUM(1), SUM(2), SUM(3), SUM(4), SUM(5)
                : IN
                : CHANGED);
    } else if (vectors == 1 && pixels == 7) {
        __asm__(WEIGHTS GROUP(4, "x0", "s0", "s1", "s2", "s3") GROUP(3, "x1", "s4", "s5", "s6")
                : SUM(0), SUM(1), SUM(2), SUM(3), SUM(4), SUM(5), SUM(6)
                : IN
                : CHANGED);
    } else if (vectors == 1 && pixels == 8) {
        __asm__(WEIGHTS GROUP(4, "x0", "s0", "s1", "s2", "s3") GROUP(4, "x1", "s4", "s5", "s6", "s7")
                : SUM(0), SUM(1), SUM(2), SUM(3), SUM(4), SUM(5), SUM(6), SUM(7)
                : IN
                : CHANGED);
    } else if (vectors == 2 && pixels == 1) {
        __asm__(GROUP_TWO(1) : SUM(0), SUM(1) : IN : CHANGED);
    } else if (vectors == 2 && pixels == 2) {
        __asm__(GROUP_TWO(2) : SUM(0), SUM(1), SUM(2), SUM(3) : IN : CHANGED);
    } else if (vectors == 2 && pixels == 3) {
        __asm__(GROUP_TWO(3) : SUM(0), SUM(1), SUM(2), SUM(3), SUM(4), SUM(5) : IN : CHANGED);
    } else if (vectors == 2 && pixels == 4) {
        __asm__(GROUP_TWO(4) : SUM(0), SUM(1), SUM(2), SUM(3), SUM(4), SUM(5), SUM(6), SUM(7) : IN : CHANGED);
    }
}

INLINE const uint8_t *pixel(const uint8_t *const *x, size_t step, size_t step3, const int p) {
    return p % 4 == 3 ? x[p / 4] + step3 : x[p / 4] + (size_t)(p % 4) * step;
}

/* One unit. */
INLINE void add_unit(__m512i *sum, const uint8_t *table, const uint8_t *const *x, size_t step, const uint8_t *w,
                     const int pixels, const int vectors) {
    __m512i weight[2];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        weight[v] = _mm512_load_si512(w + v * VECTOR);
    }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) {
        const __m512i row = _mm512_load_si512(table + *(const uint16_t *)(const void *)pixel(x, step, 3 * step, p));
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            sum[p * vectors + v] = _mm512_add_epi8(sum[p * vectors + v], _mm512_permutexvar_epi8(weight[v], row));
        }
    }
}

/* 16-bit sums of one pixel and vector to its accumulators. */
INLINE void flush(int32_t *acc, __m512i all, __m512i odd, int32_t blocks) {
    __m512i even = _mm512_sub_epi16(all, _mm512_slli_epi16(odd, 8));
    const __m256i part[4] = {_mm512_castsi512_si256(even), _mm512_extracti64x4_epi64(even, 1), _mm512_castsi512_si256(odd),
                             _mm512_extracti64x4_epi64(odd, 1)};
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++) {
        if (b < blocks) {
            int32_t *to = acc + b * CRUMB_FRAME_LANES;
            _mm512_store_si512(to, _mm512_add_epi32(_mm512_load_si512(to), _mm512_cvtepu16_epi32(part[b])));
        }
    }
}

INLINE void flush_all(const crumb_frame_tile *t, __m512i *all, __m512i *odd, const int pixels, const int vectors) {
    const int32_t blocks = vectors == 2 ? t->blocks - 4 : t->blocks;
#pragma GCC unroll 8
    for (int i = 0; i < pixels * vectors; i++) {
        int32_t *acc = (int32_t *)t->acc + i / vectors * t->blocks * CRUMB_FRAME_LANES + i % vectors * VECTOR;
        flush(acc, all[i], odd[i], vectors == 2 && i % 2 == 0 ? 4 : blocks);
        all[i] = odd[i] = _mm512_setzero_si512();
    }
}

INLINE void begin(const crumb_frame_tile *t, const int pixels) {
    for (int32_t i = 0; i < pixels * t->blocks; i++) {
        __m512i constant = _mm512_loadu_si512(t->constant + i % t->blocks * CRUMB_FRAME_LANES);
        _mm512_store_si512((int32_t *)t->acc + i * CRUMB_FRAME_LANES, constant);
    }
}

INLINE void widen(__m512i *sum, __m512i *all, __m512i *odd, const int sums, const bool half) {
#pragma GCC unroll 8
    for (int i = 0; i < sums; i++) {
        if (half) {
            all[i] = _mm512_add_epi16(all[i], _mm512_and_si512(sum[i], _mm512_set1_epi16(0xff)));
        } else {
            all[i] = _mm512_add_epi16(all[i], sum[i]);
            odd[i] = _mm512_add_epi16(odd[i], _mm512_srli_epi16(sum[i], 8));
        }
    }
}

INLINE void run(const crumb_frame *frame, const crumb_frame_tile *t, const int pixels, const int vectors, const bool half) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    const int32_t period = lookup->plan.period / QUAD * QUAD, most = FLUSH / lookup->plan.span;
    const uint8_t *w = t->weight, *table = lookup->table;
    const size_t step = t->step;
    __m512i all[SUMS], odd[SUMS];
    int32_t left = most;
    begin(t, pixels);
#pragma GCC unroll 8
    for (int i = 0; i < pixels * vectors; i++) {
        all[i] = odd[i] = _mm512_setzero_si512();
    }
    for (int32_t s = 0; s < frame->segments; s++) {
        const uint8_t *x[2] = {t->x + crumb_frame_segment(frame, s), t->x + crumb_frame_segment(frame, s) + 4 * step};
        for (int32_t u = frame->units, n; u > 0; u -= n, left -= n) {
            __m512i sum[SUMS];
#pragma GCC unroll 8
            for (int i = 0; i < pixels * vectors; i++) {
                sum[i] = _mm512_setzero_si512();
            }
            if (left < period) {
                flush_all(t, all, odd, pixels, vectors);
                left = most;
            }
            if (u >= QUAD) {
                n = u < period ? u / QUAD * QUAD : period;
                for (int32_t q = n; q > 0; q -= QUAD) {
                    add_quad(sum, table, x, step, w, pixels, vectors);
                    x[0] += 2 * QUAD;
                    x[1] += 2 * QUAD;
                    w += QUAD * vectors * VECTOR;
                }
            } else {
                n = u;
                for (int32_t q = n; q > 0; q--) {
                    add_unit(sum, table, x, step, w, pixels, vectors);
                    x[0] += 2;
                    x[1] += 2;
                    w += vectors * VECTOR;
                }
            }
            widen(sum, all, odd, pixels * vectors, half);
        }
    }
    flush_all(t, all, odd, pixels, vectors);
}

#define TILE(name, p, v, half)                                                                                                 \
    static void name(const crumb_frame *frame, const crumb_frame_tile *t) {                                                    \
        run(frame, t, p, v, half);                                                                                             \
    }
TILE(tile_1x32, 1, 1, true)
TILE(tile_2x32, 2, 1, true)
TILE(tile_3x32, 3, 1, true)
TILE(tile_4x32, 4, 1, true)
TILE(tile_5x32, 5, 1, true)
TILE(tile_6x32, 6, 1, true)
TILE(tile_7x32, 7, 1, true)
TILE(tile_8x32, 8, 1, true)
TILE(tile_1x64, 1, 1, false)
TILE(tile_2x64, 2, 1, false)
TILE(tile_3x64, 3, 1, false)
TILE(tile_4x64, 4, 1, false)
TILE(tile_5x64, 5, 1, false)
TILE(tile_6x64, 6, 1, false)
TILE(tile_7x64, 7, 1, false)
TILE(tile_8x64, 8, 1, false)
TILE(tile_1x128, 1, 2, false)
TILE(tile_2x128, 2, 2, false)
TILE(tile_3x128, 3, 2, false)
TILE(tile_4x128, 4, 2, false)

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    typedef void tile_fn(const crumb_frame *, const crumb_frame_tile *);
    static tile_fn *const tiles[3][SUMS] = {
        {tile_1x32, tile_2x32, tile_3x32, tile_4x32, tile_5x32, tile_6x32, tile_7x32, tile_8x32},
        {tile_1x64, tile_2x64, tile_3x64, tile_4x64, tile_5x64, tile_6x64, tile_7x64, tile_8x64},
        {tile_1x128, tile_2x128, tile_3x128, tile_4x128}};
    tiles[(t->blocks > 2) + (t->blocks > 4)][t->pixels - 1](frame, t);
}

/* Times of a permute and add, in one vector of channels and in two, and of a vpdpbusd of the family "bytes", in tenths of the
 * last, as crumb bench kernels measures them in 3x3 convolutions of 64 and 128 channels. */
enum { ONE = 29, TWO = 20, DOT = 10 };

/* Where it beats vpdpbusd: few channels fill too little of a vector here, and one of 16 lanes there. */
static bool supports(const crumb_conv_problem *problem) {
    crumb_lookup_plan plan;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    if (!crumb_lookup_plan_make(&p, VECTOR, &plan) || plan.period < QUAD) {
        return false;
    }
    const int64_t in = p.channels / p.groups, out = p.out_channels / p.groups, vectors = (out + VECTOR - 1) / VECTOR;
    const int64_t pairs = vectors * p.kernel_width * ((in + plan.group - 1) / plan.group);
    const int64_t dots = (out + CRUMB_FRAME_LANES - 1) / CRUMB_FRAME_LANES * ((in * p.kernel_width + 3) / 4);
    return pairs * (vectors > 1 ? TWO : ONE) < dots * DOT;
}

static const crumb_lookup_family family = {.frame = {.stage = stage, .tile = tile, .pixels = {0, 8, 8, 8, 8, 4, 4, 4, 4}},
                                           .row = VECTOR,
                                           .vector = VECTOR,
                                           .block = 2 * VECTOR,
                                           .lane = lane};

const crumb_conv_kernel crumb_conv_lookup__avx512vbmi = {
    .name = "conv_i32_few_few__avx512vbmi",
    .family = "lookup",
    .cpu = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512VBMI,
    .supports = supports,
    .prepare = crumb_lookup_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
