/* Family "words": codes of any kind as 16-bit words, two products at a time into an int32 lane: what vpmaddwd does. For 8-bit
 * weights on processors without a dot product of bytes, and for what the family "bytes" cannot take: activations with odd codes
 * of 8 bits or without a level that is 0 under padding, weights of 9 bits.
 *
 * Activations are staged as codes and padding as 0, so there are no constants and no borders. The panel of a block is
 * [segment][unit][lane][2] of int16, a unit being two channels. Codes are at most 2 * 511 + 1024 in magnitude (pack/rules.c):
 * they fit int16, and two products 2^24. */
#ifndef CRUMB_WORDS_H
#define CRUMB_WORDS_H

#include "runtime/kernels/frame.h"

bool crumb_words_supports(const crumb_conv_problem *problem);
crumb_status crumb_words_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                 const void *weight, crumb_conv_ready *ready);
/* to = the codes of indices. */
void crumb_words_widen(int16_t *restrict to, const uint8_t *restrict from, size_t count, const crumb_packed_codes *codes);
void crumb_words_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels);

#endif
