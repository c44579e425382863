/* A tensor is a dense, row-major array of reals with a shape. Activations are NHWC, convolution weights OHWI, linear weights
 * [out, in]: the last dimension is always the one that is contiguous in memory and the one a channel index runs over.
 *
 * There are no strides: every op that rearranges (slice, concat, pad) copies, so every kernel may assume dense rows. */
#ifndef CRUMB_TENSOR_H
#define CRUMB_TENSOR_H

#include "base/ctx.h"

enum { CRUMB_RANK_MAX = 6 };

typedef struct crumb_shape {
    int rank;
    int64_t dim[CRUMB_RANK_MAX];
} crumb_shape;

typedef struct crumb_tensor {
    crumb_shape shape;
    void *data; /* float everywhere but in gradient checks, where ops are compiled for double */
} crumb_tensor;

#define CRUMB_SHAPE(...) \
    crumb_shape_make((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

crumb_shape crumb_shape_make(int rank, const int64_t *dim);
int64_t crumb_shape_count(crumb_shape shape); /* elements; 1 for rank 0 */
bool crumb_shape_equal(crumb_shape a, crumb_shape b);
/* "128x32x32x16"; text must hold CRUMB_SHAPE_TEXT bytes; returns text. */
enum { CRUMB_SHAPE_TEXT = 128 };
const char *crumb_shape_print(crumb_shape shape, char text[CRUMB_SHAPE_TEXT]);
int64_t crumb_shape_last(crumb_shape shape); /* channels: size of the last dimension; 1 for rank 0 */

#endif
