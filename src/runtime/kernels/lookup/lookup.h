/* Family "lookup": few-level weights and activations, several channels at a time through a table in a vector register.
 *
 * `group` channels of a pixel have levels(x)^group possible patterns, and the weights of one output channel levels(w)^group.
 * When the former are at most 256 and the latter at most 64, the sum of the group's products is a byte in a table [pattern of
 * x][pattern of w], 16 KiB at the most, that stays in the first-level cache. The row of an activation pattern is the table
 * operand of vpermb, whose indices are the weight patterns of 64 output channels: permute and add, two instructions, are 64 *
 * group products. Zen 5 does 1.6 such pairs a cycle, 1.7 vpdpbusd, and 1.2 times and + popcount + add on 512 bits; products a
 * cycle:
 *
 *                      group       lookup      vpdpbusd     popcount
 *     W1A1               6            610           110          610
 *     W1A2               4            410           110          305
 *     W2A2, ternary A2   3            305           110          150
 *     W2A3, W1A4, W2A4   2            205           110      100, 75
 *
 * Loads, edges and the emptying of bytes leave 0.65 pairs a cycle with 64 channels and 1.05 with more; counting bits, 1.1
 * triples, so that the family "planes" comes first for up to three counts (docs/ARCHITECTURE.md).
 *
 * Lanes are output channels: nothing is reduced across lanes, and any number of input channels will do.
 *
 * An entry is sum code(x) code(w) less the smallest entry, so that it fits a byte; the frame's constant gives it back. `period`
 * entries are added in bytes, then bytes to 16-bit sums, and those, before they overflow, to 32 bits.
 *
 * Channels that fill up a pixel's last group, and padding, need a product of 0. If x has a level of code 0, they are that
 * level. If not, filling is index 0 on both sides, a known product, which the constant takes back; and two more patterns are
 * padding: all entries mean 0 in one, the last group's filling in the other.
 *
 * A unit is a pattern, staged as the 16-bit offset of its table row. The panel of a block of 64 or 128 channels is
 * [segment][unit][vector of channels] of weight patterns; the order of the channels in a vector is the instruction set's. */
#ifndef CRUMB_LOOKUP_H
#define CRUMB_LOOKUP_H

#include "runtime/kernels/frame.h"

enum { CRUMB_LOOKUP_PATTERNS = 256 };

/* Which problems, and how. */
typedef struct crumb_lookup_plan {
    int32_t group;
    int32_t patterns;  /* of x without padding */
    int32_t zero;      /* index of code 0 of x, -1: none */
    int32_t low, span; /* smallest entry, largest less smallest */
    int32_t period;    /* entries that fit a byte */
} crumb_lookup_plan;

/* False where no group of two or more fits so many weight patterns. */
bool crumb_lookup_plan_make(const crumb_conv_problem *problem, int32_t weight_patterns, crumb_lookup_plan *plan);

typedef struct crumb_lookup {
    crumb_frame frame;
    crumb_lookup_plan plan;
    int32_t row;          /* bytes of a table row */
    int32_t fill;         /* index in channels that fill up a group */
    const uint8_t *table; /* [patterns + 2][row], aligned to 64 */
    /* For staging by vectors: a group's indices are gathered into 4 bytes (group <= 4) or 8, and multiplied by powers. */
    uint8_t gather[64];
    int8_t powers[64];
} crumb_lookup;

/* What an instruction set adds to a crumb_frame_family. */
typedef struct crumb_lookup_family {
    crumb_frame_family frame;
    int32_t row;                      /* bytes of a table row: at most so many weight patterns */
    int32_t vector;                   /* channels of a vector, and */
    int32_t block;                    /* of a block */
    int32_t (*lane)(int32_t channel); /* place of a vector's channel */
} crumb_lookup_family;

crumb_status crumb_lookup_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                  const void *weight, crumb_conv_ready *ready);
void crumb_lookup_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels);

#endif
