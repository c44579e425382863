/* Panels, transformations and walk of the family "winograd" (winograd.h). */
#include "runtime/kernels/winograd/winograd.h"

#include "runtime/kernels/words/words.h"

#include <stdlib.h>

/* Bytes of a band's transformed inputs: a part of a small second-level cache; a block's weights want the rest. One pair of
 * rows may take more, up to MOST. GIVEN channels go to the sink at a time. */
enum { BAND = 192 * 1024, MOST = 1024 * 1024, GIVEN = 64, LANES = CRUMB_FRAME_LANES, STRIP = CRUMB_FRAME_PIXELS };

typedef struct winograd {
    crumb_frame frame;                                    /* of one product: a segment of channels / 2 units */
    int32_t across;                                       /* tiles of a pair of rows */
    int32_t pairs;                                        /* of rows, of a full band */
    size_t row;                                           /* elements of a staged row */
    size_t staged, vertical, inputs, sums, half, outputs; /* where they lie in scratch */
    size_t block;                                         /* elements of a block's panel */
    const int16_t *panel;
} winograd;

/* Bytes of a pair of rows, transformed. */
static size_t pair_bytes(const crumb_conv_problem *p) {
    return 16 * (((size_t)p->out_width + 1) / 2) * (size_t)p->channels * sizeof(int16_t);
}

static int64_t largest(const crumb_packed_codes *codes) {
    const int64_t low = abs(codes->offset), high = abs(crumb_packed_code(codes, codes->levels - 1));
    return low > high ? low : high;
}

bool crumb_winograd_supports(const crumb_conv_problem *p) {
    return p->x.levels != 0 && p->kernel_height == 3 && p->kernel_width == 3 && p->stride == 1 && p->dilation == 1 &&
           p->groups == 1 && p->channels % 2 == 0 && p->out_height > 1 && p->out_width > 1 && pair_bytes(p) <= MOST &&
           4 * 9 * largest(&p->x) * largest(&p->w) * p->channels <= INT32_MAX;
}

/* ---- Weights */

static void transform_weight(int16_t *to, const int32_t *g, size_t step) {
    static const int32_t h[4][3] = {{2, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 2}};
    for (int i = 0; i < 16; i++) {
        int32_t sum = 0;
        for (int k = 0; k < 9; k++) {
            sum += h[i / 4][k / 3] * h[i % 4][k % 3] * g[k];
        }
        to[(size_t)i * step] = (int16_t)sum;
    }
}

static void pack(const winograd *w, int16_t *panel, const uint16_t *index) {
    const crumb_conv_problem *p = &w->frame.problem;
    const int32_t channels = p->channels;
    for (int32_t o = 0; o < p->out_channels; o++, index += 9 * channels) {
        int16_t *block = panel + (size_t)(o / LANES) * w->block;
        for (int32_t c = 0; c < channels; c++) {
            int32_t g[9];
            for (int32_t k = 0; k < 9; k++) {
                g[k] = crumb_packed_code(&p->w, index[k * channels + c]);
            }
            transform_weight(block + (c / 2 * LANES + o % LANES) * 2 + c % 2, g, (size_t)channels * LANES);
        }
    }
}

static size_t reserve(size_t *bytes, size_t count, size_t size) {
    const size_t at = *bytes;
    *bytes += crumb_frame_round(count * size, 64);
    return at;
}

/* Geometry, and the bytes of scratch. */
static size_t settle(winograd *w, const crumb_conv_problem *p) {
    const size_t channels = (size_t)p->channels;
    *w = (winograd){.frame = {.problem = *p, .segments = 1, .units = p->channels / 2}, .across = (p->out_width + 1) / 2};
    const size_t pair = pair_bytes(p);
    const int32_t most = (p->out_height + 1) / 2;
    w->pairs = pair > BAND ? 1 : (int32_t)(BAND / pair) < most ? (int32_t)(BAND / pair) : most;
    w->row = (size_t)(2 * w->across + 2) * channels;
    w->block = 16 * channels * LANES;
    const size_t tiles = (size_t)w->pairs * (size_t)w->across;
    size_t bytes = 0;
    w->staged = reserve(&bytes, 4 * w->row, sizeof(int16_t));
    w->vertical = reserve(&bytes, 4 * w->row, sizeof(int16_t));
    w->inputs = reserve(&bytes, 16 * tiles * channels, sizeof(int16_t));
    w->sums = reserve(&bytes, 16 * tiles * LANES, sizeof(int32_t));
    w->half = reserve(&bytes, 8 * tiles * LANES, sizeof(int32_t));
    w->outputs = reserve(&bytes, 4 * tiles * GIVEN, sizeof(int32_t));
    return bytes;
}

crumb_status crumb_winograd_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                    const void *weight, crumb_conv_ready *ready) {
    (void)kernel;
    winograd made;
    const size_t scratch = settle(&made, problem), head = crumb_frame_round(sizeof(made), 64);
    const size_t blocks = (size_t)((problem->out_channels + LANES - 1) / LANES);
    const size_t bytes = head + blocks * made.block * sizeof(int16_t);
    uint8_t *memory = crumb_alloc(ctx, bytes, 1);
    if (memory == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    int16_t *panel = (int16_t *)(void *)(memory + head);
    made.panel = panel;
    memcpy(memory, &made, sizeof(made));
    pack(&made, panel, weight);
    ready->channel_step = LANES;
    ready->scratch_bytes = scratch;
    ready->panel = memory;
    ready->panel_bytes = bytes;
    return CRUMB_OK;
}

/* ---- Inputs */

/* A column of B' d: four from four. */
static void combine(int16_t *restrict a, int16_t *restrict b, int16_t *restrict c, int16_t *restrict d, const int16_t *x,
                    size_t step, size_t count) {
    const int16_t *x1 = x + step, *x2 = x1 + step, *x3 = x2 + step;
    for (size_t i = 0; i < count; i++) {
        a[i] = (int16_t)(x[i] - x2[i]);
        b[i] = (int16_t)(x1[i] + x2[i]);
        c[i] = (int16_t)(x2[i] - x1[i]);
        d[i] = (int16_t)(x1[i] - x3[i]);
    }
}

/* A row of the image with what lies beside it, the whole of which may be outside. */
static void stage_row(const winograd *w, int16_t *to, const uint8_t *image, int32_t y) {
    const crumb_conv_problem *p = &w->frame.problem;
    const size_t channels = (size_t)p->channels, left = (size_t)p->padding * channels, count = (size_t)p->width * channels;
    const bool inside = y >= 0 && y < p->height;
    memset(to, 0, (inside ? left : w->row) * sizeof(*to));
    if (inside) {
        crumb_words_widen(to + left, image + (size_t)y * count, count, &p->x);
        memset(to + left + count, 0, (w->row - left - count) * sizeof(*to));
    }
}

/* v of the pair-th pair of rows of a band of `tiles` tiles; the pair's first output row is y. */
static void transform_inputs(const winograd *w, uint8_t *scratch, const uint8_t *image, int32_t y, int32_t pair, size_t tiles) {
    int16_t *staged = (int16_t *)(void *)(scratch + w->staged), *rows = (int16_t *)(void *)(scratch + w->vertical);
    const size_t channels = (size_t)w->frame.problem.channels, slice = tiles * channels;
    int16_t *v = (int16_t *)(void *)(scratch + w->inputs) + (size_t)pair * (size_t)w->across * channels;
    for (int32_t i = 0; i < 4; i++) {
        stage_row(w, staged + (size_t)i * w->row, image, y - w->frame.problem.padding + i);
    }
    combine(rows, rows + w->row, rows + 2 * w->row, rows + 3 * w->row, staged, w->row, w->row);
    for (int32_t i = 0; i < 4; i++, rows += w->row) {
        for (int32_t t = 0; t < w->across; t++) {
            int16_t *to = v + 4 * (size_t)i * slice + (size_t)t * channels;
            combine(to, to + slice, to + 2 * slice, to + 3 * slice, rows + 2 * (size_t)t * channels, channels, channels);
        }
    }
}

/* ---- Sums and outputs */

static void multiply(const winograd *w, const crumb_winograd_family *family, uint8_t *scratch, const int16_t *panel,
                     int32_t tiles) {
    const int32_t channels = w->frame.problem.channels, pieces = (tiles + family->pixels - 1) / family->pixels;
    const int16_t *v = (const int16_t *)(const void *)(scratch + w->inputs);
    int32_t *sums = (int32_t *)(void *)(scratch + w->sums);
    memset(sums, 0, 16 * (size_t)tiles * LANES * sizeof(*sums));
    for (int32_t i = 0; i < 16; i++, v += tiles * channels, sums += tiles * LANES, panel += channels * LANES) {
        for (int32_t k = 0; k < pieces; k++) {
            const int32_t t0 = tiles * k / pieces, t1 = tiles * (k + 1) / pieces;
            const crumb_piece piece = {.frame = &w->frame,
                                       .x = (const uint8_t *)(v + t0 * channels),
                                       .step = (size_t)channels * sizeof(*v),
                                       .weight = (const uint8_t *)panel,
                                       .row = 2 * LANES * sizeof(*panel),
                                       .acc = sums + t0 * LANES,
                                       .lanes = LANES,
                                       .pixels = t1 - t0};
            family->multiply(&piece);
        }
    }
}

/* A column of A' m: two from four. */
static void reduce(int32_t *restrict a, int32_t *restrict b, const int32_t *m, size_t step, size_t count, int shift) {
    const int32_t *m1 = m + step, *m2 = m1 + step, *m3 = m2 + step;
    for (size_t i = 0; i < count; i++) {
        a[i] = (int32_t)((uint32_t)m[i] + (uint32_t)m1[i] + (uint32_t)m2[i]) >> shift;
        b[i] = (int32_t)((uint32_t)m1[i] - (uint32_t)m2[i] - (uint32_t)m3[i]) >> shift;
    }
}

/* Outputs are [row][2 * across][GIVEN], a block's from lane `first` on. */
static void transform_sums(const winograd *w, uint8_t *scratch, size_t tiles, size_t first) {
    const int32_t *sums = (const int32_t *)(const void *)(scratch + w->sums);
    int32_t *half = (int32_t *)(void *)(scratch + w->half), *outputs = (int32_t *)(void *)(scratch + w->outputs);
    const size_t slice = tiles * LANES, across = (size_t)w->across;
    for (size_t j = 0; j < 4; j++) {
        reduce(half + j * slice, half + (4 + j) * slice, sums + j * slice, 4 * slice, slice, 0);
    }
    for (size_t t = 0; t < tiles; t++) {
        for (size_t a = 0; a < 2; a++) {
            int32_t *to = outputs + ((2 * (t / across) + a) * across + t % across) * 2 * GIVEN + first;
            reduce(to, to + GIVEN, half + 4 * a * slice + t * LANES, slice, LANES, 2);
        }
    }
}

typedef struct target {
    crumb_conv_sink sink;
    void *user;
    int64_t pixel; /* the band's first */
    int32_t rows;
} target;

static void give(const winograd *w, uint8_t *scratch, const target *to, int32_t o, int32_t channels) {
    const int32_t width = w->frame.problem.out_width;
    for (int32_t row = 0; row < to->rows; row++) {
        int32_t *acc = (int32_t *)(void *)(scratch + w->outputs) + row * 2 * w->across * GIVEN;
        for (int32_t x = 0; x < width; x += STRIP) {
            const int32_t count = width - x < STRIP ? width - x : STRIP;
            to->sink(to->user, to->pixel + (int64_t)row * width + x, count, o, channels, acc + x * GIVEN, GIVEN);
        }
    }
}

void crumb_winograd_run(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                        crumb_conv_sink sink, void *user, void *scratch) {
    const winograd *w = ready->panel;
    const crumb_conv_problem *p = &w->frame.problem;
    const size_t image = (size_t)p->height * (size_t)p->width * (size_t)p->channels;
    target to = {.sink = sink, .user = user};
    for (int64_t row = row0; row < row1; row += to.rows) {
        const int64_t n = row / p->out_height, last = (n + 1) * p->out_height < row1 ? (n + 1) * p->out_height : row1;
        to.rows = (int32_t)(last - row < 2 * w->pairs ? last - row : 2 * w->pairs);
        to.pixel = row * p->out_width;
        const int32_t pairs = (to.rows + 1) / 2, tiles = pairs * w->across;
        for (int32_t i = 0; i < pairs; i++) {
            transform_inputs(w, scratch, (const uint8_t *)x + (size_t)n * image, (int32_t)(row % p->out_height) + 2 * i, i,
                             (size_t)tiles);
        }
        for (int32_t o = o0; o < o1; o += GIVEN) {
            const int32_t channels = o1 - o < GIVEN ? o1 - o : GIVEN;
            for (int32_t c = 0; c < channels; c += LANES) {
                multiply(w, ready->kernel->inner, scratch, w->panel + (size_t)((o + c) / LANES) * w->block, tiles);
                transform_sums(w, scratch, (size_t)tiles, (size_t)c);
            }
            give(w, scratch, &to, o, channels);
        }
    }
}
