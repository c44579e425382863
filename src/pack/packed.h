/* The packed network: the shared truth of lowering, the file, the runtime, the C export and verification.
 *
 * A packed network is a list of nodes over values, in execution order, like a trained graph, but every node is exact: it says
 * which float operations happen, in which order, each rounded once to nearest even, or that the arithmetic is of integers. So a
 * result is a function of the file alone, whatever the processor, the kernel, the fusion or the number of threads: fusing nodes
 * is the executor's business and changes no bit.
 *
 * A value is one image's activation, [H, W, C] (a vector is [1, 1, C]), and is either REAL (float) or CODES: unsigned indices
 * of `bits` bits that mean
 *
 *     code = multiply * index + offset           (an integer)
 *     value = scale * (float)code                (one float multiplication: the quantizer's `fake`, quant/quantizer.h)
 *
 * The nodes (x: first input, y: output; v, c: elements; f32 arithmetic):
 *
 *   quantize     y.index = rint(clamp(v * inverse, lo, hi)) - lo        ROUND: rint to even; NaN gives lo
 *                y.index = number of thresholds T with v >= T           THRESHOLDS, ascending, levels - 1 of them; NaN gives 0
 *   dequantize   y = scale * (float)code
 *   conv2d       acc = sum over the window, padding left out, of code(x) * code(w), exactly (int32; none may overflow),
 *                or for a REAL x the float sum acc = fmaf(v, w, acc) from 0 in the order kh, kw, channel, w a float or a code;
 *                but with codes of at most 4 levels the channels of a tap (of its group) are summed two at a time, of 2
 *                levels four at a time: t = fmaf(v, w, t) from 0 over the two or four (fewer at the end), then acc = acc + t,
 *                so that t can come from a table. Weights with a scale for each `group` channels (crumb_packed_group; REAL x,
 *                kernel 1 x 1, one group of channels): s such a sum of the group alone, then acc = fmaf(s, scale[o][group],
 * acc) from 0, group after group; y = fmaf((float)acc, multiplier[o], bias[o])    batch norm, scales and biases are folded into
 * the two. A linear layer is a convolution whose kernel is its whole input. affine       y = fmaf(v, multiplier[c], bias[c])
 *   add, mul     y = a + b, y = a * b                                   REAL
 *   relu         y = v > 0 ? v : 0                                      NaN gives 0
 *   prelu        y = v > 0 ? v : slope[c] * v
 *   clip         y = v < lo ? lo : v > hi ? hi : v
 *   max_pool     y = the window's first element inside the image, then v > y ? v : y for the others, in the order kh, kw;
 *                REAL or CODES (indices are ordered as values are)
 *   average_pool y = (sum in the order kh, kw of elements inside the image, from 0) * (1 / divisor);
 *                divisor: kernel * kernel, or with count_inside the elements inside
 *   global_average_pool   the same over all pixels, row by row
 *   concat       along channels, the inputs in order                    REAL
 *   pad          channels: `before` and `after` channels of 0           REAL
 *   subsample    y[h, w] = x[h * stride, w * stride]                    REAL or CODES
 *   flatten      [H, W, C] -> [1, 1, C * H * W], channel first (PyTorch's order)   REAL or CODES
 *   gather       y[h, w, c] = x[i], the i-th element of the input in memory order, i = row[h] + column[w] + channel[c]; where
 *                one of the three is -1, lo (for CODES an index). Slices, transpositions, reshapes, borders, nearest resizing
 *   constant     y = the tensor                                         no input
 *   div          y = a / b                                              REAL
 *   sigmoid, tanh             of each element, as functions.c computes them
 *   softmax, log_softmax, lrn over each pixel's channels, likewise; all REAL
 *
 * Node i makes value i + 1. Weights of a conv2d are [O, KH, KW, C / groups]: float, or indices at their true width (see
 * crumb_packed_encoding). */
#ifndef CRUMB_PACKED_H
#define CRUMB_PACKED_H

#include "base/ctx.h"
#include "crumb/run.h"

enum {
    CRUMB_PACKED_GROUP_MIN = 16, /* channels that share a scale of a weight: these and powers of two between */
    CRUMB_PACKED_GROUP_MAX = 128,
    CRUMB_PACKED_INPUTS_MAX = 8,
    CRUMB_PACKED_LEVELS_MAX = 512,       /* of weights: 9 bits */
    CRUMB_PACKED_ACTIVATION_MAX = 256,   /* levels of activations: 8 bits */
    CRUMB_PACKED_PIXEL_MAX = 4,          /* channels of the image */
    CRUMB_PACKED_ELEMENTS_MAX = 1 << 28, /* of a value */
    CRUMB_PACKED_WINDOW_MAX = 1 << 16    /* kernel, stride, dilation; padding is less than the kernel's extent and than 256 */
};

typedef enum crumb_packed_op {
    CRUMB_PACKED_QUANTIZE,
    CRUMB_PACKED_DEQUANTIZE,
    CRUMB_PACKED_CONV2D,
    CRUMB_PACKED_AFFINE,
    CRUMB_PACKED_ADD,
    CRUMB_PACKED_MUL,
    CRUMB_PACKED_RELU,
    CRUMB_PACKED_PRELU,
    CRUMB_PACKED_CLIP,
    CRUMB_PACKED_MAX_POOL,
    CRUMB_PACKED_AVERAGE_POOL,
    CRUMB_PACKED_GLOBAL_AVERAGE_POOL,
    CRUMB_PACKED_CONCAT,
    CRUMB_PACKED_PAD,
    CRUMB_PACKED_SUBSAMPLE,
    CRUMB_PACKED_FLATTEN,
    CRUMB_PACKED_GATHER,
    CRUMB_PACKED_CONSTANT,
    CRUMB_PACKED_DIV,
    CRUMB_PACKED_SIGMOID,
    CRUMB_PACKED_TANH,
    CRUMB_PACKED_SOFTMAX,
    CRUMB_PACKED_LOG_SOFTMAX,
    CRUMB_PACKED_LRN,
    CRUMB_PACKED_OPS
} crumb_packed_op;

/* Integer codes: index 0 .. levels - 1 means multiply * index + offset. levels 0: REAL. */
typedef struct crumb_packed_codes {
    int32_t levels, bits; /* bits: of an index, the smallest that hold levels - 1, at least 1 */
    int32_t multiply, offset;
    float scale; /* of an activation; weights keep theirs in the node's multiplier, and for inspection in weight_scale */
} crumb_packed_codes;

typedef struct crumb_packed_value {
    int32_t height, width, channels;
    crumb_packed_codes codes;
} crumb_packed_value;

/* How a tensor lies in the file. All little-endian, every tensor at a multiple of 64 bytes; each row (output channel) of codes
 * starts at a byte. */
typedef enum crumb_packed_encoding {
    CRUMB_PACKED_FLOAT, /* float32 */
    CRUMB_PACKED_BITS,  /* indices of 1 .. 9 bits, the first in the lowest bits */
    CRUMB_PACKED_TRITS, /* three levels: five indices a byte, i0 + 3 i1 + 9 i2 + 27 i3 + 81 i4: 1.6 bits a weight */
    CRUMB_PACKED_PLACES /* int32: where gather's elements come from */
} crumb_packed_encoding;

typedef struct crumb_packed_tensor {
    crumb_packed_encoding encoding;
    int32_t rows;             /* output channels; 1 for vectors */
    int32_t columns;          /* elements of a row */
    crumb_packed_codes codes; /* scale unused */
    const uint8_t *data;      /* in the file */
    uint64_t bytes;
} crumb_packed_tensor;

typedef struct crumb_packed_node {
    const char *name; /* the trained layer's name, "layer1.0.conv1" */
    crumb_packed_op op;
    int32_t inputs, input[CRUMB_PACKED_INPUTS_MAX]; /* values */
    int32_t output;                                 /* value */
    /* conv2d, pools, subsample; square but for the kernel. lrn: channels of a window as the kernel's height */
    int32_t kernel_height, kernel_width, stride, padding;
    union {
        int32_t dilation;     /* conv2d */
        int32_t stride_width; /* pools: along a row; 0: as stride */
    };
    int32_t groups;
    union {
        int32_t before;      /* pad */
        int32_t made_height; /* gather, constant: of the output */
    };
    union {
        int32_t after;
        int32_t made_width;
    };
    bool count_inside;     /* average_pool */
    bool ceil_mode;        /* pools: a last window that begins inside the image and reaches out of it counts too */
    bool thresholds_form;  /* quantize */
    float inverse, lo, hi; /* quantize (ROUND), clip; gather: lo; lrn: alpha, beta, bias */
    /* Indices into tensors, -1: none. weight: conv2d. multiplier, bias: conv2d and affine. extra: slopes of prelu, thresholds
     * of quantize, elements of constant, rows, columns and channels of gather one after the other; conv2d: the weights' own
     * scales before folding (1 or O of them; for information and for exporters), or scales of groups, [O, groups], which are
     * not folded. */
    int32_t weight, multiplier, bias, extra;
} crumb_packed_node;

struct crumb_packed {
    crumb_ctx *ctx;
    int32_t values, nodes, tensors;
    crumb_packed_value *value; /* value 0 is the image, REAL, normalised pixels */
    crumb_packed_node *node;
    crumb_packed_tensor *tensor;
    int32_t logits; /* value: the network's output, REAL */
    /* Pixels become value 0 by ((float)pixel / 255 - mean[c]) / deviation[c], in float, in this order. */
    float mean[4], deviation[4];
    const char *model; /* "resnet20" */
    int32_t classes;
    const char **class_name; /* classes of them, or NULL */
    const uint8_t *file;     /* what tensors and texts point into */
    size_t file_bytes;
    bool mapped, owned; /* what close does with `file`: unmap, free, or (neither) nothing */
};

/* ---- The file (docs/FORMAT.md describes it byte by byte). read.c, write.c */

/* crumb_packed_open and crumb_packed_parse (run.h) check everything before use: the checksum, every length, index, range and
 * shape, topological order, that no conv2d can overflow. */
/* The bytes of its file, for a network whose tensors may point to memory of the caller's. crumb_free them. */
crumb_status crumb_packed_bytes(const crumb_packed *packed, uint8_t **bytes, size_t *size);
/* The same into a file; whole or not at all. */
crumb_status crumb_packed_write(const crumb_packed *packed, const char *path);

/* ---- Codes <-> bytes. encode.c */

/* Bits of an index: the smallest number that holds levels - 1, at least 1; 0 for levels 0. */
int32_t crumb_packed_bits(int32_t levels);
uint64_t crumb_packed_row_bytes(const crumb_packed_tensor *tensor);
/* index[columns] of one row; TRITS and BITS. */
void crumb_packed_unpack_row(const crumb_packed_tensor *tensor, int32_t row, uint16_t *index);
void crumb_packed_pack_row(const crumb_packed_tensor *tensor, int32_t row, const uint16_t *index, uint8_t *data);
static inline int32_t crumb_packed_code(const crumb_packed_codes *codes, int32_t index) {
    return codes->multiply * index + codes->offset;
}
/* The largest magnitude of a code. */
static inline int32_t crumb_packed_reach(const crumb_packed_codes *codes) {
    int32_t low = crumb_packed_code(codes, 0), high = crumb_packed_code(codes, codes->levels - 1);
    return -low > high ? -low : high;
}
/* Vector of a float tensor (multiplier, bias, thresholds), NULL for index -1. */
const float *crumb_packed_floats(const crumb_packed *packed, int32_t tensor);
/* Of a gather node. */
typedef struct crumb_packed_places {
    const int32_t *row, *column, *channel;
} crumb_packed_places;
crumb_packed_places crumb_packed_places_of(const crumb_packed *packed, const crumb_packed_node *node);

/* Of a pool. */
static inline int32_t crumb_packed_stride_width(const crumb_packed_node *pool) {
    return pool->stride_width != 0 ? pool->stride_width : pool->stride;
}

/* Channels that share a scale of a conv2d's weight, the last ones of an output may be fewer: the power of two that gives as
 * many groups as `extra` has columns. 0: scales are folded. */
int32_t crumb_packed_group(const crumb_packed *packed, const crumb_packed_node *node);

static inline int64_t crumb_packed_elements(const crumb_packed_value *value) {
    return (int64_t)value->height * value->width * value->channels;
}

/* The op's name as `crumb info` shows it. */
const char *crumb_packed_op_name(crumb_packed_op op);

#endif
