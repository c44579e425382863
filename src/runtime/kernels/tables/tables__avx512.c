/* AVX-512 for the family "tables": vpermps picks 16 channels' entries of a table in a register, by the lowest four bits of the
 * panel's words; the next unit's come by a shift.
 *
 * A tile of P pixels by B sub-blocks keeps P * B sums and B words in registers; a unit costs P loads of tables, P * B
 * permutations and additions and B shifts. Of Zen 5's four vector ports two permute, and one of these two adds; so of pairs of
 * vpermps and vaddps there are 1.33 a cycle. Every second addition is therefore written as a multiplication by one and an
 * addition, which is the same number and goes to the multipliers' ports: 1.5 pairs, as 355 GFLOP/s for weights of 3 and 4
 * levels and 710 for those of 2, where the multipliers themselves do 237.
 *
 * A linear layer has blocks of 8 sub-blocks, to hide the four cycles of an addition with a single pixel. Its tables alone would
 * be as many bytes as the block's panel, and from the second-level cache: with one pixel they are made anew from the channels,
 * in registers, 2 instructions (4 for 2 levels) for 8 sub-blocks. A word is then loaded four times, a byte further each time,
 * which gives every second unit without a shift; so a pair costs 2.75 instructions of the four ports, 39 GB/s of panel. The
 * panel is asked for ahead of use, since the loop itself looks ahead no more than two words. */
#include "runtime/simd__avx512.tmpl"

#include "runtime/kernels/tables/tables_stage.tmpl"

/* Pixel p of a tile: four pointers reach 16 pixels with the address modes base + {0, 1, 2} * step and base + 3 * step. */
INLINE const float *pixel(const float *const *x, size_t step, size_t step3, const int p) {
    return p % 4 == 3 ? x[p / 4] + step3 : x[p / 4] + (size_t)(p % 4) * step;
}

/* ---- Staging */

/* A single pixel needs no tables. */
static void stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const size_t floats = ((const crumb_tables *)(const void *)frame)->floats, in = (size_t)frame->in * sizeof(float);
    if (floats == 0) {
        stage_pixels(frame, dst, src, pixels);
        return;
    }
    for (int32_t p = 0; p < pixels; p++, dst += frame->pixel_bytes, src += in) {
        if (pixels > 1) {
            stage_pixels(frame, dst, src, 1);
        }
        memcpy(dst + floats, src, in);
        memset(dst + floats + in, 0, (size_t)frame->pixel_bytes - floats - in);
    }
}

/* ---- Tiles */

/* sum + entry, in one of two ways. */
INLINE __m512 add(__m512 sum, __m512 entry, __m512 one, const bool multiply) {
    return multiply ? _mm512_fmadd_ps(entry, one, sum) : _mm512_add_ps(sum, entry);
}

INLINE void add_unit(__m512 *acc, __m512i *number, const float *const *x, size_t step, __m512 one, const int pixels,
                     const int blocks) {
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++) {
        const __m512 entries = _mm512_load_ps(pixel(x, step, 3 * step, p));
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            const int i = p * blocks + b;
            acc[i] = add(acc[i], _mm512_permutexvar_ps(number[b], entries), one, pixels == 1 || i % 2 == 0);
        }
    }
#pragma GCC unroll 8
    for (int b = 0; b < blocks; b++) {
        number[b] = _mm512_srli_epi32(number[b], 4);
    }
}

/* `units` units of the panel, from w on; returns what follows there. */
INLINE const uint8_t *add_units(__m512 *acc, const uint8_t *w, const float **x, size_t step, int32_t units, const int pixels,
                                const int blocks) {
    const __m512 one = _mm512_set1_ps(1.0f);
    for (int32_t left = units, n; left > 0; left -= n) {
        __m512i number[8];
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            number[b] = _mm512_load_si512(w + 64 * b);
        }
        w += 64 * blocks;
        n = left < CRUMB_TABLES_WORD ? left : CRUMB_TABLES_WORD;
        for (int32_t u = n; u > 0; u--) {
            add_unit(acc, number, x, step, one, pixels, blocks);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                x[i] += CRUMB_TABLES_ENTRIES;
            }
        }
    }
    return w;
}

/* ---- One pixel of a linear layer, from its channels */

/* Eight units. */
INLINE void add_word(__m512 *acc, const uint8_t *w, const float *x, const crumb_tables *tables, const int group,
                     const int blocks) {
    const __m512 one = _mm512_set1_ps(1.0f);
    crumb_frame_ahead(w, blocks);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++, x += 2 * group) {
        const __m512 even = table(tables, x, group, 0), odd = table(tables, x + group, group, 0);
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            const __m512i number = _mm512_loadu_si512(w + 64 * b + i);
            acc[b] = _mm512_fmadd_ps(_mm512_permutexvar_ps(number, even), one, acc[b]);
            acc[b] = _mm512_add_ps(acc[b], _mm512_permutexvar_ps(_mm512_srli_epi32(number, 4), odd));
        }
    }
}

INLINE const uint8_t *add_channels(__m512 *acc, const uint8_t *w, const float *x, const crumb_tables *tables, int32_t units,
                                   const int group, const int blocks) {
    for (; units >= CRUMB_TABLES_WORD; units -= CRUMB_TABLES_WORD) {
        add_word(acc, w, x, tables, group, blocks);
        w += 64 * blocks;
        x += CRUMB_TABLES_WORD * group;
    }
    for (int32_t u = 0; u < units; u++, x += group) {
        const __m512 entries = table(tables, x, group, 0);
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            const __m512i number = _mm512_srlv_epi32(_mm512_load_si512(w + 64 * b), _mm512_set1_epi32(4 * u));
            acc[b] = _mm512_add_ps(acc[b], _mm512_permutexvar_ps(number, entries));
        }
    }
    return units > 0 ? w + 64 * blocks : w;
}

INLINE void run_vector(const crumb_tables *tables, const crumb_frame_tile *t, const int group, const int blocks) {
    const crumb_frame *frame = &tables->frame;
    const float *x = (const float *)(const void *)(t->x + tables->floats);
    const uint8_t *w = t->weight;
    const bool scaled = crumb_frame_scaled(frame);
    float *to = t->acc;
    __m512 total[8], acc[8];
#pragma GCC unroll 8
    for (int b = 0; b < blocks; b++) {
        total[b] = acc[b] = _mm512_setzero_ps();
    }
    for (int32_t left = frame->units, n; left > 0; left -= n, x += n * group) {
        const float *scale = (const float *)(const void *)w;
        if (scaled) {
            crumb_frame_ahead(w, blocks);
        }
        n = left < frame->group_units ? left : frame->group_units;
        w = add_channels(acc, scaled ? w + 64 * blocks : w, x, tables, n, group, blocks);
        if (scaled) {
#pragma GCC unroll 8
            for (int b = 0; b < blocks; b++) {
                total[b] = _mm512_fmadd_ps(acc[b], _mm512_load_ps(scale + CRUMB_FRAME_LANES * b), total[b]);
                acc[b] = _mm512_setzero_ps();
            }
        }
    }
#pragma GCC unroll 8
    for (int b = 0; b < blocks; b++) {
        _mm512_store_ps(to + b * CRUMB_FRAME_LANES, scaled ? total[b] : acc[b]);
    }
}

#define VECTOR(b)                                                                                                              \
    static void vector_##b(const crumb_tables *tables, const crumb_frame_tile *t) {                                            \
        if (tables->group == 4) {                                                                                              \
            run_vector(tables, t, 4, b);                                                                                       \
        } else {                                                                                                               \
            run_vector(tables, t, 2, b);                                                                                       \
        }                                                                                                                      \
    }
/* clang-format off */
VECTOR(1)
VECTOR(2)
VECTOR(3)
VECTOR(4)
VECTOR(5)
VECTOR(6)
VECTOR(7)
VECTOR(8)
/* clang-format on */

/* ---- Several */

INLINE void run(const crumb_frame *frame, const crumb_frame_tile *t, const int pixels, const int blocks) {
    __m512 acc[24];
    float *to = t->acc;
    const bool scaled = crumb_frame_scaled(frame);
#pragma GCC unroll 24
    for (int i = 0; i < pixels * blocks; i++) {
        acc[i] = _mm512_setzero_ps();
        _mm512_store_ps(to + i * CRUMB_FRAME_LANES, acc[i]);
    }
    const size_t step = t->step / sizeof(float);
    const uint8_t *w = t->weight;
    for (int32_t s = 0; s < frame->segments; s++) {
        const float *x[4];
        x[0] = (const float *)(const void *)(t->x + crumb_frame_segment(frame, s));
        x[1] = x[0] + 4 * step;
        x[2] = x[1] + 4 * step;
        x[3] = x[2] + 4 * step;
        if (!scaled) {
            w = add_units(acc, w, x, step, frame->units, pixels, blocks);
            continue;
        }
        for (int32_t left = frame->units, n; left > 0; left -= n) {
            const float *scale = (const float *)(const void *)w;
            n = left < frame->group_units ? left : frame->group_units;
            w = add_units(acc, w + 64 * blocks, x, step, n, pixels, blocks);
#pragma GCC unroll 24
            for (int i = 0; i < pixels * blocks; i++) {
                const __m512 by = _mm512_load_ps(scale + i % blocks * CRUMB_FRAME_LANES);
                float *sum = to + i * CRUMB_FRAME_LANES;
                _mm512_store_ps(sum, _mm512_fmadd_ps(acc[i], by, _mm512_load_ps(sum)));
                acc[i] = _mm512_setzero_ps();
            }
        }
    }
    if (!scaled) {
#pragma GCC unroll 24
        for (int i = 0; i < pixels * blocks; i++) {
            _mm512_store_ps(to + i * CRUMB_FRAME_LANES, acc[i]);
        }
    }
}

#define TILE(p, b)                                                                                                             \
    static void tile_##p##x##b(const crumb_frame *frame, const crumb_frame_tile *t) {                                          \
        run(frame, t, p, b);                                                                                                   \
    }
/* clang-format off */
TILE(1, 1)
TILE(2, 1)
TILE(3, 1)
TILE(4, 1)
TILE(5, 1)
TILE(6, 1)
TILE(7, 1)
TILE(8, 1)
TILE(9, 1)
TILE(10, 1)
TILE(11, 1)
TILE(12, 1)
TILE(13, 1)
TILE(14, 1)
TILE(15, 1)
TILE(16, 1)
TILE(1, 2)
TILE(2, 2)
TILE(3, 2)
TILE(4, 2)
TILE(5, 2)
TILE(6, 2)
TILE(7, 2)
TILE(8, 2)
TILE(9, 2)
TILE(10, 2)
TILE(11, 2)
TILE(12, 2)
TILE(1, 3)
TILE(2, 3)
TILE(3, 3)
TILE(4, 3)
TILE(5, 3)
TILE(6, 3)
TILE(7, 3)
TILE(8, 3)
TILE(1, 4)
TILE(2, 4)
TILE(3, 4)
TILE(4, 4)
TILE(5, 4)
TILE(6, 4)
TILE(1, 5)
TILE(2, 5)
TILE(1, 6)
TILE(2, 6)
TILE(1, 7)
TILE(2, 7)
TILE(1, 8)
TILE(2, 8)
/* clang-format on */

typedef void tile_fn(const crumb_frame *frame, const crumb_frame_tile *t);

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    static tile_fn *const tiles[8][17] = {
        {NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1, tile_7x1, tile_8x1, tile_9x1, tile_10x1, tile_11x1,
         tile_12x1, tile_13x1, tile_14x1, tile_15x1, tile_16x1},
        {NULL, tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2, tile_7x2, tile_8x2, tile_9x2, tile_10x2, tile_11x2,
         tile_12x2},
        {NULL, tile_1x3, tile_2x3, tile_3x3, tile_4x3, tile_5x3, tile_6x3, tile_7x3, tile_8x3},
        {NULL, tile_1x4, tile_2x4, tile_3x4, tile_4x4, tile_5x4, tile_6x4},
        {NULL, tile_1x5, tile_2x5},
        {NULL, tile_1x6, tile_2x6},
        {NULL, tile_1x7, tile_2x7},
        {NULL, tile_1x8, tile_2x8},
    };
    static void (*const vectors[8])(const crumb_tables *tables, const crumb_frame_tile *t) = {
        vector_1, vector_2, vector_3, vector_4, vector_5, vector_6, vector_7, vector_8};
    const crumb_tables *tables = (const crumb_tables *)(const void *)frame;
    if (t->pixels == 1 && tables->floats > 0) {
        vectors[t->blocks - 1](tables, t);
        return;
    }
    tiles[t->blocks - 1][t->pixels](frame, t);
}

static const crumb_tables_family family = {.frame = {.stage = stage, .tile = tile, .pixels = {0, 16, 12, 8, 6, 2, 2, 2, 2}},
                                           .floats = true};

const crumb_conv_kernel crumb_conv_tables__avx512 = {
    .name = "conv_f32_f32_few__avx512",
    .family = "tables",
    .cpu = CRUMB_CPU_AVX512,
    .supports = crumb_tables_supports,
    .prepare = crumb_tables_prepare,
    .run = crumb_frame_run,
    .inner = &family,
};
