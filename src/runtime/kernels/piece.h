/* A tile of a frame in pieces: a few pixels by one sub-block of 16 channels, for instruction sets whose registers do not hold a
 * tile's sums. Pieces of a sub-block follow one another, so its weights come from the first-level cache for all but the first.
 * A panel's unit is [16 channels of 4 bytes] times the sub-blocks, or several such rows. */
#ifndef CRUMB_PIECE_H
#define CRUMB_PIECE_H

#include "runtime/kernels/frame.h"

#include <string.h>

typedef struct crumb_piece {
    const crumb_frame *frame;
    const uint8_t *x; /* of the first pixel, the next one's `step` further */
    size_t step;
    const uint8_t *weight; /* 64 bytes, the next row of the panel `row` further */
    size_t row;
    int32_t *acc; /* 16, begun with the constants; the next pixel's `lanes` further */
    size_t lanes;
    int32_t pixels;
} crumb_piece;

typedef void crumb_piece_fn(const crumb_piece *piece);

/* Calls loop for pieces of at most `most` pixels. */
static inline void crumb_piece_each(const crumb_frame *frame, const crumb_frame_tile *t, crumb_piece_fn *loop, int32_t most) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES, pieces = (t->pixels + most - 1) / most;
    for (int32_t b = 0; b < t->blocks; b++) {
        for (int32_t i = 0; i < pieces; i++) {
            const int32_t p0 = t->pixels * i / pieces, p1 = t->pixels * (i + 1) / pieces;
            const crumb_piece piece = {.frame = frame,
                                       .x = t->x + (size_t)p0 * t->step,
                                       .step = t->step,
                                       .weight = t->weight + 4 * CRUMB_FRAME_LANES * b,
                                       .row = 4 * (size_t)lanes,
                                       .acc = (int32_t *)t->acc + p0 * lanes + b * CRUMB_FRAME_LANES,
                                       .lanes = (size_t)lanes,
                                       .pixels = p1 - p0};
            for (int32_t p = 0; p < piece.pixels && t->constant != NULL; p++) {
                memcpy(piece.acc + p * lanes, t->constant + b * CRUMB_FRAME_LANES, CRUMB_FRAME_LANES * sizeof(int32_t));
            }
            loop(&piece);
        }
    }
}

#endif
