/* Family "winograd": convolutions 3x3 of stride 1 in exact integers, two by two outputs from four by four inputs with 16
 * multiplications for 36 (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016):
 *
 *     4 y = A' [(H g H') o (B' d B)] A
 *
 *     B' = 1  0 -1  0     H = 2 G = 2  0  0     A' = 1  1  1  0
 *          0  1  1  0               1  1  1          0  1 -1 -1
 *          0 -1  1  0               1 -1  1
 *          0  1  0 -1               0  0  2
 *
 * G has halves; 2 G has not, and 4 y is a sum of integers, divided at the end. Products are of 16 bits and summed in 32: with
 * codes of magnitudes X and W transformed inputs reach 4 X and weights 9 W, and though sums wrap modulo 2^32 on the way, 4 y is
 * right while 4 * 9 X W channels < 2^31 (8 by 8 bits: 1842 channels).
 *
 * A band is some pairs of output rows, its tiles row by row. Its transformed inputs v are [16][tile][channel] of int16, the
 * panel of 16 output channels [16][channel / 2][lane][2] of int16: 16 matrix products, done by pieces (piece.h), whose sums are
 * [16][tile][lane]. Against the words a direct convolution stages, 16/9 of the weights are read. */
#ifndef CRUMB_WINOGRAD_H
#define CRUMB_WINOGRAD_H

#include "runtime/kernels/piece.h"

/* What an instruction set adds: sums += products of a piece of at most `pixels` tiles. */
typedef struct crumb_winograd_family {
    crumb_piece_fn *multiply;
    int32_t pixels;
} crumb_winograd_family;

bool crumb_winograd_supports(const crumb_conv_problem *problem);
crumb_status crumb_winograd_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                    const void *weight, crumb_conv_ready *ready);
void crumb_winograd_run(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                        crumb_conv_sink sink, void *user, void *scratch);

#endif
