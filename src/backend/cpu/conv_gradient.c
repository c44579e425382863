/* Backward-weights on the direct kernels; conv_direct.h explains the method. Each thread sums its units
 * into its own copy of the gradient, kept as pieces in the kernel's order; the copies are then added in
 * thread order, so that the bits depend on the number of threads and on nothing else. */
#include "backend/cpu/conv_pass.h"
#include "base/threads.h"

#include <string.h>

enum { LANES = CRUMB_CONV_LANES, PIECE_O = 8 };

/* The scratch and the unit's rows of dy are read kh * o/8 times; together they should fit half of a 1 MiB
 * second-level cache, and longer units load and store the register-held sums less often. */
#define SCRATCH_FLOATS 32768

/* Pixels of a unit at which loading and storing 24 sums costs less than a hundredth of the arithmetic:
 * 24 loads and 24 stores take about 30 cycles, a pixel takes 12. Several small images make one unit. */
#define UNIT_PIXELS 256

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

bool crumb_conv_gradient_init(crumb_conv_gradient *g, const crumb_conv2d_shape *s, int threads,
                              const crumb_conv_kernels *kernels) {
    const int small = s->c <= 3 && s->kh == 3;
    if (!kernels || s->groups != 1 || s->dilation_h != 1 || s->dilation_w != 1 || s->kw != 3 || s->stride_w > 2 ||
        (!small && s->o % PIECE_O != 0)) {
        return false;
    }
    *g = (crumb_conv_gradient){.kernels = kernels,
                               .threads = threads,
                               .small = small,
                               .shape = *s,
                               .oh = crumb_conv2d_out_h(s),
                               .ow = crumb_conv2d_out_w(s)};
    g->c_blocks = ceil_div(s->c, LANES);
    g->o_blocks = ceil_div(s->o, small ? LANES : PIECE_O);
    g->scratch_cols = (g->ow - 1) * s->stride_w + 3;
    const int64_t rows_that_fit = SCRATCH_FLOATS / (g->scratch_cols * g->c_blocks * LANES);
    int64_t most = (rows_that_fit - s->kh) / s->stride_h + 1;
    most = most < 1 ? 1 : most;
    g->blocks = ceil_div(g->oh, most);
    g->block_rows = ceil_div(g->oh, g->blocks);
    g->blocks = ceil_div(g->oh, g->block_rows);
    g->scratch_rows = (g->block_rows - 1) * s->stride_h + s->kh;
    g->images = 1;
    const int64_t scratch = g->scratch_rows * g->scratch_cols * g->c_blocks * LANES;
    while (g->blocks == 1 && g->images * g->oh * g->ow < UNIT_PIXELS && (g->images + 1) * scratch <= SCRATCH_FLOATS &&
           (g->images + 1) * threads <= s->n) {
        g->images++;
    }
    g->sums = (size_t)(small ? g->o_blocks * 27 * LANES : s->kh * g->o_blocks * g->c_blocks * 3 * PIECE_O * LANES);
    g->scratch = (size_t)(g->images * scratch);
    return true;
}

size_t crumb_conv_gradient_workspace(const crumb_conv_gradient *g) {
    return (g->sums + g->scratch) * (size_t)g->threads * sizeof(float);
}

static void fill_unit(const crumb_conv_gradient *g, float *scratch, const float *x, int64_t image, int64_t images,
                      int64_t row0) {
    const crumb_conv2d_shape *s = &g->shape;
    for (int64_t i = 0; i < images; i++) {
        g->kernels->fill(&(crumb_conv_fill){.dst = scratch + i * g->scratch_rows * g->scratch_cols * g->c_blocks * LANES,
                                            .src = x + (image + i) * s->h * s->w * s->c,
                                            .h = s->h,
                                            .w = s->w,
                                            .c = s->c,
                                            .row0 = row0 * s->stride_h - s->pad_top,
                                            .col0 = -s->pad_left,
                                            .rows = g->scratch_rows,
                                            .width = g->scratch_cols});
    }
}

/* Lets the pieces of a unit fetch what the next unit reads: half of them its part of x, half that of dy. */
static void plan_prefetch(const crumb_conv_gradient *g, crumb_conv_grad *piece, const float *next, int64_t floats,
                          int64_t index, int64_t pieces) {
    const int64_t rows = piece->images * piece->rows, lines = floats / 16;
    const int64_t per_row = (lines + rows * pieces - 1) / (rows * pieces);
    piece->next_lines = next && index * per_row * rows < lines ? (size_t)per_row : 0;
    piece->next = (const char *)next + (next ? index * per_row * rows * 64 : 0);
    (void)g;
}

static void run_piece(const crumb_conv_gradient *g, crumb_conv_grad *piece, float *sums, const float *scratch, const float *dy,
                      int64_t index) {
    const int64_t kh_c = g->shape.kh * g->c_blocks, ob = g->small ? index : index / kh_c;
    const int64_t i = g->small ? 0 : index % kh_c;
    if (g->small) {
        const int64_t left = g->shape.o - ob * LANES;
        piece->lanes = (uint16_t)(left < LANES ? (1u << left) - 1 : 0xffffu);
    }
    piece->dy = dy + ob * (g->small ? LANES : PIECE_O);
    piece->x =
        scratch + (size_t)(i % g->c_blocks) * (size_t)g->scratch_rows * piece->x_row + (size_t)(i / g->c_blocks) * piece->x_row;
    piece->acc = sums + index * (g->small ? 27 * LANES : 3 * PIECE_O * LANES);
    (g->small ? g->kernels->grad_small : g->kernels->grad)[g->shape.stride_w - 1](piece);
}

/* Units count (group of images, block of rows). */
static void run_unit(const crumb_conv_gradient *g, float *sums, float *scratch, const float *x, const float *dy, int64_t unit,
                     int last) {
    const crumb_conv2d_shape *s = &g->shape;
    const int64_t image = unit / g->blocks * g->images, row0 = unit % g->blocks * g->block_rows;
    const int64_t images = s->n - image < g->images ? s->n - image : g->images;
    const size_t x_row = (size_t)(g->scratch_cols * LANES);
    fill_unit(g, scratch, x, image, images, row0);
    crumb_conv_grad piece = {.x_row = x_row,
                             .x_tile_row = (size_t)s->stride_h * x_row,
                             .dy_row = (size_t)(g->ow * s->o),
                             .dy_px = (size_t)s->o,
                             .x_image = (size_t)(g->scratch_rows * g->c_blocks) * x_row,
                             .dy_image = (size_t)(g->oh * g->ow * s->o),
                             .images = images,
                             .rows = g->oh - row0 < g->block_rows ? g->oh - row0 : g->block_rows,
                             .cols = g->ow};
    const int64_t pieces = g->o_blocks * (g->small ? 1 : s->kh * g->c_blocks), half = (pieces + 1) / 2;
    const int64_t x_floats = g->images * g->block_rows * s->stride_h * s->w * s->c;
    const int64_t dy_floats = g->images * g->block_rows * g->ow * s->o;
    const float *dy0 = dy + (image * g->oh + row0) * g->ow * s->o;
    const float *next_x = x + image * s->h * s->w * s->c + row0 * s->stride_h * s->w * s->c + x_floats;
    for (int64_t i = 0; i < pieces; i++) {
        if (i < half) {
            plan_prefetch(g, &piece, last ? NULL : next_x, x_floats, i, half);
        } else {
            plan_prefetch(g, &piece, last ? NULL : dy0 + dy_floats, dy_floats, i - half, pieces - half);
        }
        run_piece(g, &piece, sums, scratch, dy0, i);
    }
}

/* Adds the copies of one filter o and puts its values where they belong. */
static void reduce_filter(const crumb_conv_gradient *g, float *dw, const float *sums, int64_t o, int64_t copies) {
    const crumb_conv2d_shape *s = &g->shape;
    const int64_t c_step = g->small ? LANES : 1;
    for (int64_t i = 0; i < s->kh; i++) {
        for (int64_t j = 0; j < 3; j++) {
            for (int64_t c0 = 0; c0 < s->c; c0 += LANES) {
                const int64_t piece = (o / PIECE_O * s->kh + i) * g->c_blocks + c0 / LANES;
                const float *from = sums + (g->small ? (o / LANES * 27 + (i * 3 + j) * 3) * LANES + o % LANES
                                                     : ((piece * 3 + j) * PIECE_O + o % PIECE_O) * LANES);
                float *to = dw + ((o * s->kh + i) * 3 + j) * s->c + c0;
                const int64_t lanes = s->c - c0 < LANES ? s->c - c0 : LANES;
                for (int64_t l = 0; l < lanes; l++) {
                    float sum = from[l * c_step];
                    for (int64_t t = 1; t < copies; t++) {
                        sum += from[(size_t)t * g->sums + (size_t)(l * c_step)];
                    }
                    to[l] = sum;
                }
            }
        }
    }
}

void crumb_conv_gradient_run(const crumb_conv_gradient *g, float *dw, const float *x, const float *dy, void *workspace) {
    float *sums = workspace;
#pragma omp parallel num_threads(g->threads)
    {
        const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
        const int64_t units = ceil_div(g->shape.n, g->images) * g->blocks;
        const int64_t end = units * (thread + 1) / threads;
        float *own = sums + (size_t)thread * g->sums,
              *scratch = sums + (size_t)g->threads * g->sums + (size_t)thread * g->scratch;
        memset(own, 0, g->sums * sizeof(float));
        for (int64_t u = units * thread / threads; u < end; u++) {
            run_unit(g, own, scratch, x, dy, u, u + 1 == end);
        }
#pragma omp barrier
        for (int64_t o = thread; o < g->shape.o; o += threads) {
            reduce_filter(g, dw, sums, o, threads);
        }
    }
}
