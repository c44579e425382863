/* Forward and backward-data on the direct kernels; conv_direct.h explains the method. */
#include "backend/cpu/conv_pass.h"
#include "base/threads.h"

enum { LANES = CRUMB_CONV_LANES };

/* A unit's scratch should stay in a 48 KiB first-level cache next to a filter row's weights. */
#define SCRATCH_FLOATS 8192

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Tiles of 2 x 8 where they waste fewer columns than tiles of 1 x 16. */
static void class_blocks(crumb_conv_class *k, int64_t stride_h, int64_t stride_w, int64_t c_blocks) {
    k->shape = ceil_div(k->cols, 8) * 8 < ceil_div(k->cols, 16) * 16;
    const int64_t tile_rows = k->shape ? 2 : 1, tile_cols = k->shape ? 8 : 16;
    k->scratch_cols = (ceil_div(k->cols, tile_cols) * tile_cols - 1) * stride_w + k->kw;
    const int64_t rows_that_fit = SCRATCH_FLOATS / (k->scratch_cols * c_blocks * LANES);
    int64_t most = (rows_that_fit - k->kh) / stride_h + 1;
    most = most < tile_rows ? tile_rows : most / tile_rows * tile_rows;
    k->blocks = ceil_div(k->rows, most);
    k->block_rows = ceil_div(ceil_div(k->rows, k->blocks), tile_rows) * tile_rows;
    k->blocks = ceil_div(k->rows, k->block_rows);
    k->scratch_rows = (k->block_rows - 1) * stride_h + k->kh;
}

static void forward_class(crumb_conv_pass *p, const crumb_conv2d_shape *s) {
    const int64_t ow = crumb_conv2d_out_w(s);
    p->classes = 1;
    p->class[0] = (crumb_conv_class){
        .kh = s->kh,
        .kw = s->kw,
        .step_kh = 1,
        .step_kw = 1,
        .rows = crumb_conv2d_out_h(s),
        .cols = ow,
        .in_row = -s->pad_top,
        .in_col = -s->pad_left,
        .y_row = (size_t)(ow * s->o),
        .y_px = (size_t)s->o,
    };
}

typedef struct {
    int64_t taps, first, count, in;
} axis;

/* One axis of backward-data for the input positions q = stride*i + a. Output position r contributes through
 * tap k when q + pad = stride*r + k, so k = k0 + stride*m with k0 = (a + pad) mod stride and
 * r = i + (a + pad - k0)/stride - m. Numbered by rising r, tap m' = taps - 1 - m starts at
 * r = i + in with in = (a + pad - k0)/stride - (taps - 1). */
static axis residue(int64_t a, int64_t size, int64_t kernel, int64_t stride, int64_t pad) {
    const int64_t k0 = (a + pad) % stride, taps = kernel > k0 ? ceil_div(kernel - k0, stride) : 0;
    return (axis){.taps = taps,
                  .first = k0 + stride * (taps - 1),
                  .count = size > a ? ceil_div(size - a, stride) : 0,
                  .in = (a + pad - k0) / stride - (taps - 1)};
}

static void backward_classes(crumb_conv_pass *p, const crumb_conv2d_shape *s) {
    for (int64_t a = 0; a < s->stride_h; a++) {
        for (int64_t b = 0; b < s->stride_w; b++) {
            const axis v = residue(a, s->h, s->kh, s->stride_h, s->pad_top);
            const axis u = residue(b, s->w, s->kw, s->stride_w, s->pad_left);
            if (v.count && u.count) {
                p->class[p->classes++] = (crumb_conv_class){
                    .kh = u.taps ? v.taps : 0,
                    .kw = v.taps ? u.taps : 0,
                    .first_kh = v.first,
                    .step_kh = -s->stride_h,
                    .first_kw = u.first,
                    .step_kw = -s->stride_w,
                    .rows = v.count,
                    .cols = u.count,
                    .in_row = v.in,
                    .in_col = u.in,
                    .y_offset = (size_t)((a * s->w + b) * s->c),
                    .y_row = (size_t)(s->stride_h * s->w * s->c),
                    .y_px = (size_t)(s->stride_w * s->c),
                };
            }
        }
    }
}

bool crumb_conv_pass_init(crumb_conv_pass *p, const crumb_conv2d_shape *s, int transposed, int threads,
                          const crumb_conv_kernels *kernels) {
    if (!kernels || s->groups != 1 || s->dilation_h != 1 || s->dilation_w != 1 || s->kw > 3 || s->stride_w > 2 ||
        s->stride_h > 2) {
        return false;
    }
    const int64_t oh = crumb_conv2d_out_h(s), ow = crumb_conv2d_out_w(s);
    *p = (crumb_conv_pass){
        .kernels = kernels,
        .threads = threads,
        .transposed = transposed,
        .n = s->n,
        .c = transposed ? s->o : s->c,
        .o = transposed ? s->c : s->o,
        .src_h = transposed ? oh : s->h,
        .src_w = transposed ? ow : s->w,
        .stride_h = transposed ? 1 : s->stride_h,
        .stride_w = transposed ? 1 : s->stride_w,
        .filter_kh = s->kh,
        .filter_kw = s->kw,
        .src_image = (size_t)(transposed ? oh * ow * s->o : s->h * s->w * s->c),
        .dst_image = (size_t)(transposed ? s->h * s->w * s->c : oh * ow * s->o),
    };
    if (transposed) {
        backward_classes(p, s);
    } else {
        forward_class(p, s);
    }
    const int64_t c_blocks = ceil_div(p->c, LANES), o_blocks = ceil_div(p->o, LANES);
    for (int i = 0; i < p->classes; i++) {
        crumb_conv_class *k = &p->class[i];
        class_blocks(k, p->stride_h, p->stride_w, c_blocks);
        k->w_offset = p->packed;
        p->packed += (size_t)(o_blocks * LANES * k->kh * k->kw * p->c);
        const size_t scratch = (size_t)(c_blocks * LANES * k->scratch_rows * k->scratch_cols);
        p->scratch = scratch > p->scratch ? scratch : p->scratch;
    }
    return true;
}

size_t crumb_conv_pass_workspace(const crumb_conv_pass *p) {
    return (p->packed + p->scratch * (size_t)p->threads) * sizeof(float);
}

/* Packs the weights of one block of 16 destination channels, [c/16][kh][c%16][kw][16]. Forward takes
 * w[o][kh][kw][c] with destination o, backward-data with destination c. */
static void pack_tap(const crumb_conv_pass *p, float *out, size_t step, const float *from, int64_t channels, int64_t lanes) {
    const int64_t filter = p->filter_kh * p->filter_kw;
    const int64_t in_step = p->transposed ? filter * p->o : 1, out_step = p->transposed ? 1 : filter * p->c;
    if (!p->transposed && channels == LANES && lanes == LANES) {
        p->kernels->transpose(out, step, from, (size_t)out_step);
        return;
    }
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t l = 0; l < LANES; l++) {
            out[(size_t)c * step + (size_t)l] = l < lanes ? from[c * in_step + l * out_step] : 0.0f;
        }
    }
}

static void pack_block(const crumb_conv_pass *p, const crumb_conv_class *k, float *out, const float *w, int64_t o0) {
    const int64_t filter = p->filter_kh * p->filter_kw, tap_step = p->transposed ? p->o : p->c;
    const int64_t in_step = p->transposed ? filter * p->o : 1, out_step = p->transposed ? 1 : filter * p->c;
    const int64_t lanes = p->o - o0 < LANES ? p->o - o0 : LANES;
    for (int64_t c0 = 0; c0 < p->c; c0 += LANES) {
        const int64_t channels = p->c - c0 < LANES ? p->c - c0 : LANES;
        for (int64_t i = 0; i < k->kh; i++, out += channels * k->kw * LANES) {
            for (int64_t j = 0; j < k->kw; j++) {
                const int64_t tap = (k->first_kh + i * k->step_kh) * p->filter_kw + k->first_kw + j * k->step_kw;
                pack_tap(p, out + j * LANES, (size_t)(k->kw * LANES), w + tap * tap_step + c0 * in_step + o0 * out_step,
                         channels, lanes);
            }
        }
    }
}

static void pack_weights(const crumb_conv_pass *p, float *packed, const float *w, int thread) {
    for (int i = 0; i < p->classes; i++) {
        const crumb_conv_class *k = &p->class[i];
        const int64_t size = k->kh * k->kw * p->c * LANES;
        for (int64_t b = thread; b < ceil_div(p->o, LANES); b += p->threads) {
            pack_block(p, k, packed + k->w_offset + b * size, w, b * LANES);
        }
    }
}

/* A class without taps gets no contribution: zeros, unless it only had to be added to. */
static void clear_class(const crumb_conv_pass *p, const crumb_conv_class *k, float *dst, int64_t row0, int64_t rows,
                        int accumulate) {
    for (int64_t r = row0; r < row0 + rows && !accumulate; r++) {
        for (int64_t j = 0; j < k->cols; j++) {
            for (int64_t o = 0; o < p->o; o++) {
                dst[k->y_offset + (size_t)r * k->y_row + (size_t)j * k->y_px + (size_t)o] = 0.0f;
            }
        }
    }
}

/* Source bytes that the next unit will copy, fetched a few lines a tile while this one computes: a copy
 * that waited for memory would leave the arithmetic idle for as long as a tenth of the unit. */
typedef struct {
    const char *at;
    int64_t lines, lines_per_tile;
} prefetch;

static void prefetch_some(prefetch *f) {
    for (int64_t i = 0; i < f->lines_per_tile && f->lines > 0; i++, f->lines--, f->at += 64) {
        __builtin_prefetch(f->at, 0, 2);
    }
}

static void run_block(const crumb_conv_pass *p, const crumb_conv_class *k, const crumb_conv_tile *base, int64_t rows,
                      prefetch *next) {
    const int tile_rows = k->shape ? 2 : 1, tile_cols = k->shape ? 8 : 16;
    crumb_conv_tile_fn *fn = p->kernels->tile[k->shape][k->kw - 1][p->stride_w - 1];
    crumb_conv_tile t = *base;
    for (int64_t r = 0; r < rows; r += tile_rows) {
        t.rows = (int)(rows - r < tile_rows ? rows - r : tile_rows);
        for (int64_t j = 0; j < k->cols; j += tile_cols) {
            t.cols = (int)(k->cols - j < tile_cols ? k->cols - j : tile_cols);
            t.y = base->y + (size_t)r * k->y_row + (size_t)j * k->y_px;
            t.x = base->x + (size_t)r * t.x_tile_row + (size_t)(j * p->stride_w * LANES);
            prefetch_some(next);
            fn(&t);
        }
    }
}

typedef struct {
    float *dst;
    const float *src, *packed, *bias;
    int accumulate;
} operands;

static prefetch plan_prefetch(const crumb_conv_pass *p, const crumb_conv_class *k, const operands *a, int64_t unit) {
    const int64_t image = unit / k->blocks, row = unit % k->blocks * k->block_rows * p->stride_h + k->in_row;
    const int64_t first = row < 0 ? 0 : row, last = row + k->scratch_rows < p->src_h ? row + k->scratch_rows : p->src_h;
    const int64_t tiles =
        ((p->o + LANES - 1) / LANES) * (k->shape ? k->block_rows / 2 : k->block_rows) * ceil_div(k->cols, k->shape ? 8 : 16);
    prefetch f = {(const char *)(a->src + (size_t)image * p->src_image + (size_t)(first * p->src_w * p->c)),
                  (last - first) * p->src_w * p->c / 16, 0};
    f.lines = unit < p->n * k->blocks && f.lines > 0 ? f.lines : 0;
    f.lines_per_tile = ceil_div(f.lines, tiles);
    return f;
}

static void run_unit(const crumb_conv_pass *p, const crumb_conv_class *k, const operands *a, int64_t unit, float *scratch) {
    const int64_t image = unit / k->blocks, row0 = unit % k->blocks * k->block_rows;
    const int64_t rows = k->rows - row0 < k->block_rows ? k->rows - row0 : k->block_rows;
    float *dst = a->dst + (size_t)image * p->dst_image;
    if (!k->kh || !k->kw) {
        clear_class(p, k, dst, row0, rows, a->accumulate);
        return;
    }
    p->kernels->fill(&(crumb_conv_fill){.dst = scratch,
                                        .src = a->src + (size_t)image * p->src_image,
                                        .h = p->src_h,
                                        .w = p->src_w,
                                        .c = p->c,
                                        .row0 = row0 * p->stride_h + k->in_row,
                                        .col0 = k->in_col,
                                        .rows = k->scratch_rows,
                                        .width = k->scratch_cols});
    crumb_conv_tile t = {.y_row = k->y_row,
                         .y_px = k->y_px,
                         .x = scratch,
                         .x_row = (size_t)(k->scratch_cols * LANES),
                         .x_tile_row = (size_t)(p->stride_h * k->scratch_cols * LANES),
                         .x_block = (size_t)(k->scratch_rows * k->scratch_cols * LANES),
                         .accumulate = a->accumulate,
                         .kh = (int)k->kh,
                         .c = (int)p->c};
    prefetch next = plan_prefetch(p, k, a, unit + 1);
    for (int64_t o = 0; o < p->o; o += LANES) {
        t.lanes = (uint16_t)(p->o - o < LANES ? (1u << (p->o - o)) - 1 : 0xffffu);
        t.y = dst + k->y_offset + (size_t)row0 * k->y_row + (size_t)o;
        t.w = a->packed + k->w_offset + (size_t)(o * k->kh * k->kw * p->c);
        t.bias = a->bias ? a->bias + o : NULL;
        run_block(p, k, &t, rows, &next);
    }
}

void crumb_conv_pass_run(const crumb_conv_pass *p, float *dst, const float *src, const float *w, const float *bias,
                         int accumulate, void *workspace) {
    float *packed = workspace;
    const operands a = {dst, src, packed, bias, accumulate};
#pragma omp parallel num_threads(p->threads)
    {
        const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
        float *scratch = packed + p->packed + (size_t)thread * p->scratch;
        if (threads == p->threads) {
            pack_weights(p, packed, w, (int)thread);
        } else if (thread == 0) {
            for (int i = 0; i < p->threads; i++) {
                pack_weights(p, packed, w, i);
            }
        }
#pragma omp barrier
        for (int i = 0; i < p->classes; i++) {
            const int64_t units = p->n * p->class[i].blocks;
            for (int64_t u = units * thread / threads; u < units * (thread + 1) / threads; u++) {
                run_unit(p, &p->class[i], &a, u, scratch);
            }
        }
    }
}
