/* Direct convolution with the accumulators of a tile of outputs in vector registers.
 *
 * A pass is cut into units, (image, block of output rows); a thread owns a contiguous run of units. For
 * a unit the input rows it needs are copied into a scratch that is padded with zeros and blocked by 16
 * channels, scratch[c / 16][row][column][c % 16], small enough for the first-level cache. The copy is one
 * load and one store for every kh*kw*o/16 multiply-adds on that vector, and it buys kernels without edge
 * cases: a tap is an address offset, known when the kernel is compiled.
 *
 * Forward and backward-data share a kernel: 16 output pixels (1 x 16, or 2 x 8 for narrow images) by 16
 * output channels. For each input channel it loads the kw weight vectors of a kernel row and broadcasts
 * the inputs one by one, each feeding up to kw accumulators: 18 + 3 loads for 48 multiply-adds at kw = 3,
 * where one broadcast for each multiply-add would leave the two load ports as the limit.
 *
 * Backward-data with stride s is s*s forward convolutions, one for each residue of the output
 * coordinates, with the taps that reach that residue (crumb_conv_class).
 *
 * Backward-weights holds a 3 (kw) x 8 (o) x 16 (c) piece of the gradient in registers while it walks over
 * the pixels of a unit: 3 loads and 8 broadcasts for 24 multiply-adds. Where there are at most 3 input
 * channels the lanes are output channels and all 27 (kh, kw, c) of a filter are held.
 */
#ifndef CRUMB_BACKEND_CPU_CONV_DIRECT_H
#define CRUMB_BACKEND_CPU_CONV_DIRECT_H

#include <stddef.h>
#include <stdint.h>

enum { CRUMB_CONV_LANES = 16 };

/* One tile of outputs. Distances are in floats. */
typedef struct {
    float *y; /* first output of the tile: pixel (0, 0), first of 16 channels */
    size_t y_row, y_px;
    const float *x;    /* scratch position of tap (0, 0) of pixel (0, 0) */
    size_t x_row;      /* scratch distance of two input rows (taps) */
    size_t x_tile_row; /* ... of the input rows of two output rows */
    size_t x_block;    /* ... of two blocks of 16 channels */
    const float *w;    /* packed [c / 16][kh][c % 16][kw][16] */
    const float *bias; /* 16 values or NULL */
    int accumulate;    /* start from y instead of from bias */
    int kh, c;
    int rows, cols; /* outputs that exist; the rest of the tile is computed and dropped */
    uint16_t lanes; /* output channels that exist */
} crumb_conv_tile;

/* One block of input rows to copy: dst[(c/16)*block + (row*width + column)*16 + c%16]. */
typedef struct {
    float *dst;
    const float *src;    /* pixel (0, 0) of the image, NHWC */
    int64_t h, w, c;     /* the image */
    int64_t row0, col0;  /* image coordinates of the scratch's corner, possibly negative */
    int64_t rows, width; /* the scratch */
} crumb_conv_fill;

/* One piece of the weight gradient over the rows of a unit, images of them one after the other. */
typedef struct {
    float *acc;        /* [3][8][16], or [27][16] in the small-channel kernel; added to */
    const float *x;    /* scratch position of the piece's first tap for pixel (0, 0) */
    const float *dy;   /* pixel (0, 0), first output channel of the piece */
    size_t x_row;      /* scratch distance of two input rows (taps; small-channel kernel only) */
    size_t x_tile_row; /* ... of the input rows of two output rows */
    size_t dy_row, dy_px;
    size_t x_image, dy_image;
    int64_t images, rows, cols;
    const char *next;  /* bytes that the next unit will read, fetched into the cache meanwhile: */
    size_t next_lines; /* so many lines of 64 bytes for each output row of this piece */
    uint16_t lanes;    /* small-channel kernel: output channels that exist */
} crumb_conv_grad;

typedef void crumb_conv_tile_fn(const crumb_conv_tile *tile);
typedef void crumb_conv_grad_fn(const crumb_conv_grad *grad);

/* What an instruction set provides; a NULL entry is a case it does not cover. */
typedef struct {
    const char *name;
    crumb_conv_tile_fn *tile[2][3][2]; /* [1x16, 2x8][kw - 1][stride_w - 1] */
    crumb_conv_grad_fn *grad[2];       /* kw = 3, [stride_w - 1] */
    crumb_conv_grad_fn *grad_small[2]; /* kh = kw = 3, c <= 3, [stride_w - 1] */
    void (*fill)(const crumb_conv_fill *fill);
    /* dst[c*dst_step + l] = src[l*src_step + c], c and l below 16: a block of filters for forward */
    void (*transpose)(float *dst, size_t dst_step, const float *src, size_t src_step);
} crumb_conv_kernels;

/* NULL when the CPU lacks the instructions. */
const crumb_conv_kernels *crumb_conv_kernels__avx512(void);

#endif
