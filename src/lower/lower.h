/* Trained graph -> packed network.
 *
 * Each activation quantizer becomes a quantize node, each conv2d or linear layer a conv2d on the integer codes of its input and
 * weights, and what stands behind it as a function of the channel alone is folded into multiplier and bias. In double, in this
 * order, each rounded to float once, at the end:
 *
 *     multiplier[o] = scale_x * scale_w[o]                                    bias[o] = the layer's bias, or 0
 *     batch norm:  g = weight[o] / sqrt(running_var[o] + eps);  multiplier[o] *= g;  bias[o] = (bias[o] - running_mean[o]) * g
 * + b[o] shift:       bias[o] += shift[o]
 *     + - * / v:   the same with one constant a channel: bias += v; bias -= v; both *= v; both /= v
 *
 * A float input counts as scale_x = 1, float weights as scale_w = 1. A batch norm or shift is folded if nothing else reads what
 * it reads; otherwise, and where no layer stands before it, it becomes an affine node of multiplier 1 and bias 0, folded
 * likewise.
 *
 * What a maximum or a rearrangement leaves of codes are codes; a border and any other op read their values.
 *
 * A graph's value of any rank is here [product of the first dimensions, last but one, last]: the same elements in the same
 * order. Ops that only move elements become a gather, whatever they are: they are run on the elements' places (lower_move.c).
 * Others are taken apart (fmaf is the affine node's):
 *
 *     a - b = a + fmaf(b, -1, 0)                          leaky_relu: prelu with equal slopes
 *     hard_sigmoid(x) = clip(fmaf(x, slope, offset), 0, 1)     hard_swish(x) = clip(fmaf(x, 1/6, 1/2), 0, 1) * x
 *     mean over axes: those axes as pixels, in their order, then the mean over pixels
 *     transposed convolution: zeros between and around the pixels, then the convolution with the kernel turned by 180 degrees
 *
 * Where it changes no result the order is the cheaper one: a quantizer moves in front of a maximum or flatten that it alone
 * reads (quantizers rise), a rectifier that only an unsigned quantizer reads goes, and flatten before a linear layer makes that
 * a convolution with a kernel of the whole map. */
#ifndef CRUMB_LOWER_H
#define CRUMB_LOWER_H

#include "graph/graph.h"
#include "pack/packed.h"

typedef struct crumb_lower_facts {
    const char *model;             /* "resnet20" */
    const char *class_names;       /* one a line, NULL: none */
    const float *mean, *deviation; /* a value for each of the image's channels */
} crumb_lower_facts;

/* Whether a node adds or multiplies by one constant a channel, and is folded: batch_norm, shift, arithmetic with a constant. */
bool crumb_lower_is_affine(const crumb_graph *graph, int node);

/* The graph's weight quantizers observe their weights anew, as in every forward pass. UNSUPPORTED names the layer and op that
 * cannot be packed. Keeps nothing of the graph. */
crumb_status crumb_lower(crumb_graph *graph, const crumb_lower_facts *facts, crumb_packed **packed);

#endif
