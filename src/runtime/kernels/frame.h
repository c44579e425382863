/* What the convolution kernels share: geometry, staging, the walk over groups, blocks of channels and tiles of pixels.
 *
 * A frame cuts a layer's work so that a family's inner loop sees nothing but contiguous memory:
 *
 *     band     output rows whose input is staged at a time, as many as fit FRAME_BAND bytes
 *     staged   the band's input rows in the family's form, with padding around: [row][pixel][pixel_bytes]
 *     window   an output pixel's inputs: `segments` runs of `units` units; a unit is what the inner loop takes at a time (4
 * bytes of indices, a float, a byte of several indices). Without dilation a run is a row of the kernel, all its pixels and
 *              channels; with it, or in channels that do not fill their last unit, a run is one tap.
 *     block    up to 64 or 128 output channels of a group (the family's choice), in sub-blocks of 16
 *     tile     neighbouring output pixels, `step` bytes apart in the staged row, times a block: one call of the inner loop
 *
 * A layer of 1 x 1, stride 1, without padding and groups is flat: all its pixels, of all images, are one line. A kernel that
 * covers its whole input is such a layer of height * width * channels inputs (crumb_frame_make rewrites it).
 *
 * Blocks are the outer loop and tiles the inner one, so a block's weights are read from memory once a band and stay in the
 * second-level cache; the staged band is small.
 *
 * Sums of codes. With x staged as s = code - low, low the smallest code, and padding as the s of code 0, a window needs no
 * knowledge of borders: sum code(x) code(w) = sum s code(w) + low * sum code(w), the last sum over all taps. So a family's
 * inner loop adds a constant per channel, `constant`. Where weights are stored as v with code(w) = a v + b, also sum s code(w)
 * = a * sum s v + b * sum s and the window's sum of s is needed: `finish`, for the few that cannot have a = 1, b = 0.
 *
 * A family that cannot stage code 0, since x has no such level, stages padding as index 0, a code too many in every tap outside
 * of the image; `border` takes it back, in the few windows that reach out. */
#ifndef CRUMB_FRAME_H
#define CRUMB_FRAME_H

#include "runtime/kernel.h"

enum {
    CRUMB_FRAME_BLOCK = 128,       /* channels of a block, at most */
    CRUMB_FRAME_LANES = 16,        /* of a sub-block */
    CRUMB_FRAME_PIXELS = 16,       /* of a tile, at most */
    CRUMB_FRAME_OUTPUTS = 16 * 64, /* of a tile, at most */
    CRUMB_FRAME_SLACK = 128        /* bytes that may be read after a band, and after the panel */
};

typedef struct crumb_frame crumb_frame;

/* One call of an inner loop: acc[p * 16 * blocks + c] for `pixels` pixels and 16 * blocks channels. */
typedef struct crumb_frame_tile {
    void *acc;
    const uint8_t *x;
    size_t step;
    const uint8_t *weight;   /* the block's panel */
    const int32_t *constant; /* of the block's channels */
    const int32_t *border;   /* [taps][block], NULL: none; not the inner loop's business */
    int32_t pixels, blocks;
} crumb_frame_tile;

/* A family. */
typedef struct crumb_frame_family {
    /* `pixels` input pixels of a group, from its first channel at src on, into staged form. */
    void (*stage)(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels);
    void (*tile)(const crumb_frame *frame, const crumb_frame_tile *tile);
    int32_t pixels[CRUMB_FRAME_BLOCK / CRUMB_FRAME_LANES + 1]; /* at most so many a tile, by sub-blocks */
} crumb_frame_family;

struct crumb_frame {
    crumb_conv_problem problem; /* rewritten */
    bool flat;
    int32_t in, out;                    /* channels of a group */
    int32_t element;                    /* bytes of an input element */
    int32_t unit;                       /* bytes */
    int32_t pixel_bytes;                /* staged */
    int32_t width;                      /* staged pixels of a row */
    int32_t segments, units;            /* of a window, of a segment */
    int32_t group_units;                /* that share scales; units: no scales */
    bool taps;                          /* a segment is a tap, not a row of taps */
    size_t row_bytes, step;             /* staged */
    size_t segment_row, segment_column; /* distance of segments: of kernel rows, of taps in a row */
    int64_t band;                       /* output rows (flat: pixels) */
    size_t staged_bytes;                /* of a band, with slack */
    uint8_t padding_byte;               /* what staged padding is filled with, */
    const uint8_t *padding;             /* or, unless NULL, pixel_bytes of a pixel of padding */
    size_t block_bytes;                 /* panel of a full block */
    int32_t block, blocks;              /* channels of a full one; of a group */
    int32_t a, b;                       /* finish: acc * a + b * sum of the window; 1, 0: nothing to do */
    const int32_t *constant;            /* [groups][blocks][block] */
    const uint8_t *panel;               /* [groups][blocks][block_bytes] */
    const int32_t *border;              /* [groups][blocks][taps][block], added for taps outside of the image; or NULL */
    const crumb_frame_family *family;
};

/* Settles everything but a, b, constant, panel, block_bytes and padding for a family that stages a pixel's `in` channels
 * in pixel_bytes bytes. Segments are rows of taps when dilation allows and the unit divides them or `loose` says that a unit
 * may run into the next pixel (its weights are then 0). */
void crumb_frame_make(crumb_frame *frame, const crumb_conv_problem *problem, const crumb_frame_family *family, int32_t block,
                      int32_t unit, int32_t pixel_bytes, bool loose);
/* The problem as crumb_frame_make rewrites it: a kernel that covers its input becomes 1 x 1. */
crumb_conv_problem crumb_frame_rewrite(const crumb_conv_problem *problem);

/* The tap and the byte of its pixel at byte `at` of segment `segment`; tap >= kernel taps or byte >= pixel_bytes: padding. */
void crumb_frame_position(const crumb_frame *frame, int32_t segment, int32_t at, int32_t *tap, int32_t *byte);

/* One piece of memory for a family's object, which begins with the frame, its constants and its panels: copies the frame there
 * and fills ready. The panel of a full block takes block_bytes. */
crumb_status crumb_frame_alloc(crumb_ctx *ctx, crumb_conv_ready *ready, size_t object, crumb_frame *made, size_t block_bytes,
                               int32_t **constant, uint8_t **panel);

/* Where a unit's weights of one output channel go. */
typedef struct crumb_frame_place {
    uint8_t *block;
    int32_t lane, lanes; /* channel within the block, of so many */
    int32_t segment, unit;
} crumb_frame_place;

/* `row`: index of the channel's first weight. */
typedef void crumb_frame_put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row,
                             const void *user);
/* Calls put for every output channel, segment and unit. */
void crumb_frame_pack(const crumb_frame *frame, uint8_t *panel, const void *weight, crumb_frame_put *put, const void *user);

/* Where a problem has scales of groups, a family's panel has a vector of them, a float a channel of the block, in front of each
 * group's weights, and its tile multiplies the group's sums with them (packed.h). The family calls this before it allocates, a
 * unit being `channels` channels, and then crumb_frame_pack_scales, where a group takes `bytes` of a channel, scale included.
 */
void crumb_frame_group(crumb_frame *frame, int32_t channels);
void crumb_frame_pack_scales(const crumb_frame *frame, uint8_t *panel, const float *scale, size_t bytes);

static inline bool crumb_frame_scaled(const crumb_frame *frame) {
    return frame->problem.group > 0;
}

static inline int32_t crumb_frame_groups(const crumb_frame *frame) {
    return (frame->units + frame->group_units - 1) / frame->group_units;
}

/* Channels of a block, in whole sub-blocks. */
static inline int32_t crumb_frame_lanes(const crumb_frame *frame, int32_t block) {
    int32_t left = frame->out - block * frame->block;
    left = left < frame->block ? left : frame->block;
    return (left + CRUMB_FRAME_LANES - 1) / CRUMB_FRAME_LANES * CRUMB_FRAME_LANES;
}

size_t crumb_frame_scratch(const crumb_frame *frame);
void crumb_frame_run(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                     crumb_conv_sink sink, void *user, void *scratch);

/* A row of a panel that is read in order, `blocks` lines of the cache, some way ahead: a loop over few pixels looks no further
 * than a word or two itself. What lies behind the panel is asked for in vain. */
static inline __attribute__((always_inline)) void crumb_frame_ahead(const uint8_t *row, const int blocks) {
    enum { AHEAD = 8192 };
#pragma GCC unroll 8
    for (int b = 0; b < blocks; b++) {
        __builtin_prefetch((const void *)((uintptr_t)(row + 64 * b) + AHEAD), 0, 3);
    }
}

/* Calls an inlined loop with the number of pixels, which it then knows, behind its other arguments. */
#define CRUMB_PIXELS_4(pixels, loop, ...)                                                                                      \
    switch (pixels) {                                                                                                          \
    case 1:                                                                                                                    \
        loop(__VA_ARGS__, 1);                                                                                                  \
        break;                                                                                                                 \
    case 2:                                                                                                                    \
        loop(__VA_ARGS__, 2);                                                                                                  \
        break;                                                                                                                 \
    case 3:                                                                                                                    \
        loop(__VA_ARGS__, 3);                                                                                                  \
        break;                                                                                                                 \
    case 4:                                                                                                                    \
        loop(__VA_ARGS__, 4);                                                                                                  \
        break;                                                                                                                 \
    }
#define CRUMB_PIXELS_6(pixels, loop, ...)                                                                                      \
    switch (pixels) {                                                                                                          \
    case 5:                                                                                                                    \
        loop(__VA_ARGS__, 5);                                                                                                  \
        break;                                                                                                                 \
    case 6:                                                                                                                    \
        loop(__VA_ARGS__, 6);                                                                                                  \
        break;                                                                                                                 \
    default:                                                                                                                   \
        CRUMB_PIXELS_4(pixels, loop, __VA_ARGS__)                                                                              \
    }

/* Offset of segment s in a window. */
static inline size_t crumb_frame_segment(const crumb_frame *frame, int32_t s) {
    if (!frame->taps) {
        return (size_t)s * frame->segment_row;
    }
    int32_t row = s / frame->problem.kernel_width, column = s % frame->problem.kernel_width;
    return (size_t)row * frame->segment_row + (size_t)column * frame->segment_column;
}

static inline size_t crumb_frame_round(size_t value, size_t to) {
    return (value + to - 1) / to * to;
}

#endif
