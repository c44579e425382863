/* crumb_run.c - runs packed networks: the library libcrumb_run as one file, written by tools/amalgamate from its sources.
 *
 *     cc -O2 crumb_run.c program.c -lm -lpthread
 *
 * run.h says how it is used. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("O3", "fp-contract=off", "no-math-errno", "no-trapping-math")
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#include "run.h"

/* What this processor can do. The one place that asks. */
#ifndef CRUMB_CPU_H
#define CRUMB_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* What only exists on x86: table rows and calls of files __avx2 and __avx512. */
#if defined(__x86_64__)
#define CRUMB_ON_X86(...) __VA_ARGS__
#else
#define CRUMB_ON_X86(...)
#endif

/* Feature bits (ctx.h) after a limit by name; NULL = no limit. False for a name that is unknown. */
bool crumb_cpu_limited(const char *limit, uint32_t *features);

#endif

/* The context behind every call: allocator, last message, log, thread count, CPU features. Internal to src/. */
#ifndef CRUMB_CTX_H
#define CRUMB_CTX_H


#include <stdarg.h>

/* Allocation. Sizes are count * size with the multiplication checked; zeroed; NULL sets the message. Buffers are aligned
 * to 64 bytes (a cache line, an AVX-512 register), so tensors can use aligned loads. */
void *crumb_alloc(crumb_ctx *ctx, size_t count, size_t size);
/* The same from any thread: leaves the message alone. */
void *crumb_alloc_quiet(crumb_ctx *ctx, size_t count, size_t size);
void *crumb_resize(crumb_ctx *ctx, void *block, size_t old_count, size_t count, size_t size); /* new part is zeroed */
void crumb_free(crumb_ctx *ctx, void *block);
char *crumb_copy_text(crumb_ctx *ctx, const char *text);

/* Records "message" (printf rules) as the context's last failure and returns status. */
crumb_status crumb_fail(crumb_ctx *ctx, crumb_status status, const char *format, ...) CRUMB_PRINTF(3, 4);
/* Puts "prefix: " before the last message: who was asked for what, added on the way up. */
crumb_status crumb_fail_in(crumb_ctx *ctx, crumb_status status, const char *format, ...) CRUMB_PRINTF(3, 4);
void crumb_log(crumb_ctx *ctx, crumb_log_level level, const char *format, ...) CRUMB_PRINTF(3, 4);

#define CRUMB_TRY(call)                          \
    do {                                         \
        crumb_status try_status_ = (call);       \
        if (try_status_ != CRUMB_OK) {           \
            return try_status_;                  \
        }                                        \
    } while (0)

/* CPU features this context may use (after cpu_limit). */
enum {
    CRUMB_CPU_AVX2 = 1 << 0,       /* with FMA and F16C */
    CRUMB_CPU_AVX512 = 1 << 1,     /* F, BW, DQ, VL, CD */
    CRUMB_CPU_AVX512VNNI = 1 << 2,
    CRUMB_CPU_AVX512BF16 = 1 << 3,
    CRUMB_CPU_AVX512POPCNT = 1 << 4, /* VPOPCNTDQ and BITALG */
    CRUMB_CPU_AVX512VBMI = 1 << 5,
    CRUMB_CPU_NEON = 1 << 6,
    CRUMB_CPU_DOTPROD = 1 << 7
};
uint32_t crumb_cpu(const crumb_ctx *ctx);

#endif

/* CRC-32C (Castagnoli), as in RFC 3720: the sum of TensorBoard's records and of packed networks. */
#ifndef CRUMB_CRC32C_H
#define CRUMB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crumb_crc32c(const void *data, size_t size);

#endif

/* Whole-file reads and atomic writes. A final name only ever shows a complete file: written beside, fsynced, renamed. */
#ifndef CRUMB_FILE_H
#define CRUMB_FILE_H


#include <stdio.h>

/* Reads a whole regular file of at most max bytes (0: no limit); *data is one byte longer and zero-terminated;
 * crumb_free it. Messages carry path and the system's reason. */
crumb_status crumb_file_read(crumb_ctx *ctx, const char *path, size_t max, uint8_t **data, size_t *size);

/* Maps a whole regular file, not empty, for reading; undo with crumb_file_unmap. The file must not shrink meanwhile: what crumb writes
 * replaces a file, and never changes one. */
crumb_status crumb_file_map(crumb_ctx *ctx, const char *path, const uint8_t **data, size_t *size);
void crumb_file_unmap(const uint8_t *data, size_t size);

typedef struct crumb_writer {
    crumb_ctx *ctx;
    FILE *file;
    char path[4096], temporary[4096 + 32];
    crumb_status status; /* first failure; later writes are ignored */
} crumb_writer;

crumb_status crumb_writer_open(crumb_ctx *ctx, const char *path, crumb_writer *writer);
void crumb_writer_bytes(crumb_writer *writer, const void *data, size_t size);
void crumb_writer_text(crumb_writer *writer, const char *format, ...) CRUMB_PRINTF(2, 3);
/* Flushes, fsyncs, renames over path and syncs the folder; on any failure removes the temporary and says why. */
crumb_status crumb_writer_commit(crumb_writer *writer);
void crumb_writer_abandon(crumb_writer *writer);
crumb_status crumb_file_write(crumb_ctx *ctx, const char *path, const void *data, size_t size);
/* mkdir -p */
crumb_status crumb_folder_make(crumb_ctx *ctx, const char *path);
bool crumb_file_exists(const char *path);

#endif

/* Parameter structs described by tables (crumb_param): defaults, parsing, range errors, printing. */
#ifndef CRUMB_PARAM_H
#define CRUMB_PARAM_H


/* Fills the struct with every row's preset. A preset outside its own range is a bug and asserts. */
void crumb_params_preset(const crumb_param *params, void *out);
const crumb_param *crumb_param_find(const crumb_param *params, const char *name);
/* Sets one member from text as in a recipe. Message: "lr: 12 is outside 0 .. 10", "cylic is none of saw-tooth|triangle"... */
crumb_status crumb_param_set(crumb_ctx *ctx, const crumb_param *param, void *out, const char *text);
/* Writes the member as recipe text that crumb_param_set reads back to the same bits. Returns the length as snprintf does. */
size_t crumb_param_print(const crumb_param *param, const void *from, char *text, size_t size);
/* The word of a choice, e.g. crumb_choice_word("a|b|c", 1, buf, n) -> "b". */
const char *crumb_choice_word(const char *choices, int index, char *word, size_t size);

#endif

/* A text that grows as it is printed to. The first failure sticks; later prints are ignored, so callers check once, at the end.
 */
#ifndef CRUMB_TEXT_H
#define CRUMB_TEXT_H


typedef struct crumb_text {
    crumb_ctx *ctx;
    char *at; /* zero-terminated, NULL while empty; release with crumb_free */
    size_t length, room;
    crumb_status status;
} crumb_text;

void crumb_text_print(crumb_text *text, const char *format, ...) CRUMB_PRINTF(2, 3);
void crumb_text_bytes(crumb_text *text, const char *bytes, size_t size);
/* Gives the text to the caller ("" if nothing was printed), or frees it and says why not. */
crumb_status crumb_text_take(crumb_text *text, char **out);

#endif

/* How many threads compute. The one place that knows whether there is OpenMP; without it everything runs on the
 * caller. */
#ifndef CRUMB_THREADS_H
#define CRUMB_THREADS_H


#ifdef _OPENMP
#include <omp.h>
#else
static inline int omp_get_thread_num(void) {
    return 0;
}
static inline int omp_get_num_threads(void) {
    return 1;
}
static inline int omp_get_max_threads(void) {
    return 1;
}
static inline void omp_set_num_threads(int threads) {
    (void)threads;
}
static inline void omp_set_dynamic(int dynamic) {
    (void)dynamic;
}
#endif

/* Parallel loops that follow on this thread use the context's number of threads. */
void crumb_threads_begin(const crumb_ctx *ctx);

#endif

/* UTF-8 (RFC 3629): overlong forms, surrogates and points above 10ffff are not UTF-8. */
#ifndef CRUMB_UTF8_H
#define CRUMB_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the sequence at `at`, of at most `size` bytes: returns its length and sets *point, or 0 if there is none. */
size_t crumb_utf8_next(const char *at, size_t size, uint32_t *point);

#endif

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
 *                so that t can come from a table;
 *                y = fmaf((float)acc, multiplier[o], bias[o])    batch norm, scales and biases are folded into the two.
 *                A linear layer is a convolution whose kernel is its whole input.
 *   affine       y = fmaf(v, multiplier[c], bias[c])
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
 *
 * Node i makes value i + 1. Weights of a conv2d are [O, KH, KW, C / groups]: float, or indices at their true width (see
 * crumb_packed_encoding). */
#ifndef CRUMB_PACKED_H
#define CRUMB_PACKED_H


enum {
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
    CRUMB_PACKED_TRITS  /* three levels: five indices a byte, i0 + 3 i1 + 9 i2 + 27 i3 + 81 i4: 1.6 bits a weight */
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
    /* conv2d, pools, subsample; square but for the kernel */
    int32_t kernel_height, kernel_width, stride, padding, dilation, groups;
    int32_t before, after; /* pad */
    bool count_inside;     /* average_pool */
    bool ceil_mode;        /* pools: a last window that begins inside the image and reaches out of it counts too */
    bool thresholds_form;  /* quantize */
    float inverse, lo, hi; /* quantize (ROUND), clip */
    /* Indices into tensors, -1: none. weight: conv2d. multiplier, bias: conv2d and affine. extra: slopes of prelu, thresholds
     * of quantize, conv2d: the weights' own scales before folding (1 or O of them; for information and for exporters). */
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
/* True for the first bytes of a packed file. */
bool crumb_packed_probe(const void *head, size_t size);

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

static inline int64_t crumb_packed_elements(const crumb_packed_value *value) {
    return (int64_t)value->height * value->width * value->channels;
}

/* The op's name as `crumb info` shows it. */
const char *crumb_packed_op_name(crumb_packed_op op);

#endif

/* A packed network under construction: values, nodes and tensors are appended; shapes follow from the nodes. The first failure
 * sticks, later calls do nothing, and end says what it was; so construction checks once.
 *
 *     crumb_build b;
 *     crumb_build_begin(&b, ctx, 32, 32, 3);
 *     crumb_packed_node conv = crumb_build_node_of(CRUMB_PACKED_CONV2D, "conv1", 0);
 *     conv.weight = crumb_build_codes(&b, ...);  ...
 *     b.packed.logits = crumb_build_append(&b, &conv, NULL);
 *     crumb_build_end(&b, &packed);  */
#ifndef CRUMB_PACKED_BUILD_H
#define CRUMB_PACKED_BUILD_H


typedef struct crumb_build {
    /* The caller may set mean and deviation (0 and 1), logits (the last value), model, classes and class_name; texts are
     * borrowed until end. */
    crumb_packed packed;
    int32_t value_room, node_room, tensor_room;
    crumb_status status;
} crumb_build;

void crumb_build_begin(crumb_build *build, crumb_ctx *ctx, int32_t height, int32_t width, int32_t channels);
/* A float tensor; returns its index. values are copied. */
int32_t crumb_build_floats(crumb_build *build, int32_t rows, int32_t columns, const float *values);
/* rows * columns indices below codes.levels; three levels become TRITS, others BITS. codes.bits is filled here. */
int32_t crumb_build_codes(crumb_build *build, int32_t rows, int32_t columns, crumb_packed_codes codes, const uint16_t *index);
/* A node of one input with nothing else set: 0, tensors -1. */
crumb_packed_node crumb_build_node_of(crumb_packed_op op, const char *name, int32_t input);
/* Appends a node (its name is copied, its output set) and returns the value it makes. codes: of a quantize node, else NULL;
 * bits is filled here. */
int32_t crumb_build_append(crumb_build *build, const crumb_packed_node *node, const crumb_packed_codes *codes);
/* Releases what was built. On success *packed is what reading its file gives. */
crumb_status crumb_build_end(crumb_build *build, crumb_packed **packed);

#endif

/* The rule of each op: which inputs, members and tensors a node may have and what value it makes. Reader and builder ask the
 * same rules, so what the builder accepts is what the reader accepts. */
#ifndef CRUMB_PACKED_RULES_H
#define CRUMB_PACKED_RULES_H


/* Checks packed->node[node], whose inputs are values before it, and fills *out with the value it makes; out->codes holds the
 * wanted codes of a quantize node on entry. FORMAT: "<file>: node 3, conv2d 'layer1.0.conv1': stride 0 is outside 1 .. 65536".
 */
crumb_status crumb_packed_infer(const crumb_packed *packed, const char *file, int32_t node, crumb_packed_value *out);

/* True for codes that a value or tensor of at most `levels` levels may have. */
bool crumb_packed_codes_valid(const crumb_packed_codes *codes, int32_t levels);

/* Operations of a node for one image; a multiply-accumulate is two. */
double crumb_packed_operations(const crumb_packed *packed, int32_t node);

#endif

/* The meaning of a packed network, executed: packed.h written down as loops, one node after the other, every value kept.
 * Nothing is fused, laid out, vectorised or threaded, and nothing is shared with the runtime, so that the two can be compared
 * bit for bit. */
#ifndef CRUMB_PACKED_ORACLE_H
#define CRUMB_PACKED_ORACLE_H


typedef struct crumb_oracle crumb_oracle;

/* Keeps `packed`. */
crumb_status crumb_oracle_create(const crumb_packed *packed, crumb_oracle **oracle);
void crumb_oracle_destroy(crumb_oracle *oracle);
/* One image, value 0. */
void crumb_oracle_run(crumb_oracle *oracle, const float *image);
/* Of the last run, [H, W, C]: the numbers of a REAL value, else NULL; the indices of a value of CODES, else NULL. */
const float *crumb_oracle_real(const crumb_oracle *oracle, int32_t value);
const int32_t *crumb_oracle_index(const crumb_oracle *oracle, int32_t value);

#endif

/* The records of a packed file (docs/FORMAT.md), as reader and writer copy them. Numbers are little-endian, floats IEEE 754; a
 * processor of the other order would need another reader, so this one does not compile there. */
#ifndef CRUMB_FILE_RECORDS_H
#define CRUMB_FILE_RECORDS_H


_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "packed files are little-endian");

enum { CRUMB_FILE_VERSION = 1, CRUMB_FILE_ALIGNMENT = 64, CRUMB_FILE_SUMMED_FROM = 16 };
#define CRUMB_FILE_MAGIC                                                                                                       \
    "\x89"                                                                                                                     \
    "CRUMB\r\n" /* not text, and noticed when a transfer takes it for text */
#define CRUMB_FILE_NONE UINT32_MAX

typedef struct crumb_file_header {
    uint8_t magic[8];
    uint32_t version, checksum; /* CRC-32C of the bytes behind it */
    uint64_t bytes;             /* of the file */
    uint32_t values, nodes, tensors, text_bytes;
    uint32_t logits, classes;
    uint32_t model, class_names; /* in the texts; CRUMB_FILE_NONE: no names */
    float mean[CRUMB_PACKED_PIXEL_MAX], deviation[CRUMB_PACKED_PIXEL_MAX];
    uint32_t zero[10];
} crumb_file_header;

typedef struct crumb_file_value {
    int32_t height, width, channels, levels, multiply, offset;
    float scale;
    uint32_t zero;
} crumb_file_value;

typedef struct crumb_file_node {
    uint32_t name; /* in the texts */
    int32_t op, inputs, input[CRUMB_PACKED_INPUTS_MAX], output;
    int32_t kernel_height, kernel_width, stride, padding, dilation, groups, before, after;
    uint32_t flags;
    float inverse, lo, hi;
    int32_t weight, multiplier, bias, extra;
} crumb_file_node;
enum { CRUMB_FILE_COUNT_INSIDE = 1, CRUMB_FILE_THRESHOLDS = 2, CRUMB_FILE_CEIL_MODE = 4 };

typedef struct crumb_file_tensor {
    int32_t encoding, rows, columns, levels, multiply, offset;
    uint64_t at; /* in the file */
} crumb_file_tensor;

_Static_assert(sizeof(crumb_file_header) == 128 && sizeof(crumb_file_value) == 32 && sizeof(crumb_file_node) == 112 &&
                   sizeof(crumb_file_tensor) == 32,
               "records have no gaps");

static inline uint64_t crumb_file_align(uint64_t at) {
    return (at + CRUMB_FILE_ALIGNMENT - 1) / CRUMB_FILE_ALIGNMENT * CRUMB_FILE_ALIGNMENT;
}

/* Where the parts lie, one behind the other; the tensors start at the next multiple of 64. */
typedef struct crumb_file_parts {
    uint64_t values, nodes, tensors, texts, end;
} crumb_file_parts;

static inline crumb_file_parts crumb_file_parts_of(const crumb_file_header *header) {
    crumb_file_parts p = {.values = sizeof(*header)};
    p.tensors = p.values + (uint64_t)header->values * sizeof(crumb_file_value);
    p.nodes = p.tensors + (uint64_t)header->tensors * sizeof(crumb_file_tensor);
    p.texts = p.nodes + (uint64_t)header->nodes * sizeof(crumb_file_node);
    p.end = p.texts + header->text_bytes;
    return p;
}

#endif

/* What follows a source of elements - a convolution's accumulators, a pool, a value in memory - until the results are stored:
 * batch norm, additions, rectifiers, quantizers, stores, without a visit to memory in between. A chain is a list of links; each
 * does to every element what its node in pack/packed.h says, so chains change no bit.
 *
 * A chain holds one float v and one index q an element. The first link sets v or q from the source or from memory, links in
 * between change v, quantizers set q from v and leave v alone, stores write v or q. So one chain may serve several readers: a
 * float for a shortcut, two quantizers for two convolutions.
 *
 * Values lie in memory as dense stacks [N, H, W, C], floats or an index a byte. `crumb_chain_run` is the scalar twin of
 * crumb_chain_run__avx2 and __avx512, which are instances of chain_vector.tmpl. */
#ifndef CRUMB_CHAIN_H
#define CRUMB_CHAIN_H


enum { CRUMB_LINKS_MAX = 48 };

typedef enum crumb_link_op {
    /* First links. acc is what the source hands over, `memory` the link's operand. */
    CRUMB_LINK_SCALE,      /* v = fmaf((float)acc, a[c], b[c]); int32_t acc */
    CRUMB_LINK_COUNT,      /* q = number of thresholds k with (acc ^ flip[c]) >= threshold[k * channels + c]; int32_t acc */
    CRUMB_LINK_REAL,       /* v = acc; float acc */
    CRUMB_LINK_INDEX,      /* q = acc; uint8_t acc */
    CRUMB_LINK_LOAD,       /* v = memory */
    CRUMB_LINK_LOAD_CODES, /* v = scale * (float)(multiply * memory + offset) */
    CRUMB_LINK_LOAD_INDEX, /* q = memory */
    /* v from v. */
    CRUMB_LINK_AFFINE, /* v = fmaf(v, a[c], b[c]) */
    CRUMB_LINK_ADD,    /* v = v + memory */
    CRUMB_LINK_ADD_CODES,
    CRUMB_LINK_MUL,
    CRUMB_LINK_MUL_CODES,
    CRUMB_LINK_RELU,
    CRUMB_LINK_PRELU, /* slopes a[c] */
    CRUMB_LINK_CLIP,  /* lo, hi */
    /* q from v. */
    CRUMB_LINK_ROUND,      /* inverse, lo, hi */
    CRUMB_LINK_THRESHOLDS, /* a[0 .. thresholds - 1] */
    /* Stores. */
    CRUMB_LINK_STORE,       /* v */
    CRUMB_LINK_STORE_INDEX, /* q */
    CRUMB_LINK_OPS
} crumb_link_op;

/* One link. Its operand in memory is a stack of images: pixel (y, x) of the chain is the operand's (step y, step x), channel c
 * its c - before, or 0 if it has no such channel. */
typedef struct crumb_link {
    crumb_link_op op;
    int32_t node;   /* of the packed network, which it carries out */
    int32_t buffer; /* of the plan; -1: touches no memory */
    int32_t step, before;
    int32_t height, width, channels; /* the operand's */
    uint8_t *base;                   /* its first image; set by the session */
    size_t pixel;                    /* bytes of a pixel */
    const float *a, *b;
    const int32_t *threshold, *flip;
    int32_t thresholds;
    float inverse, lo, hi;
    float scale;
    int32_t multiply, offset;
} crumb_link;

typedef struct crumb_chain {
    const crumb_link *link;
    int32_t links;
    int32_t height, width, channels; /* of an image */
    bool steps;                      /* some operand's step is not 1 */
} crumb_chain;

/* A crumb_conv_sink (kernel.h) whose user is the chain: pixels pixel .. pixel + pixels - 1 of the stack, channels o ..
 * o + channels - 1; element (p, c) of the source is acc[p * stride + c]. Reads acc only, and nothing beyond. */
typedef void crumb_chain_fn(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc, int32_t stride);
crumb_chain_fn crumb_chain_run, crumb_chain_run__avx2, crumb_chain_run__avx512;

/* Bytes of an element of what the first link takes from the source. */
static inline size_t crumb_chain_item(const crumb_chain *chain) {
    return chain->link[0].op == CRUMB_LINK_INDEX ? sizeof(uint8_t) : sizeof(float);
}

static inline bool crumb_link_is_bytes(crumb_link_op op) {
    return op == CRUMB_LINK_LOAD_CODES || op == CRUMB_LINK_LOAD_INDEX || op == CRUMB_LINK_ADD_CODES ||
           op == CRUMB_LINK_MUL_CODES || op == CRUMB_LINK_STORE_INDEX;
}

/* Where the operand of a pixel of the stack lies. */
static inline uint8_t *crumb_link_pixel(const crumb_chain *chain, const crumb_link *link, int64_t pixel) {
    if (link->step != 1) {
        int64_t x = pixel % chain->width, row = pixel / chain->width;
        int64_t y = row % chain->height, n = row / chain->height;
        pixel = (n * link->height + y * link->step) * link->width + x * link->step;
    }
    return link->base + (size_t)pixel * link->pixel;
}

#endif

/* Convolution kernels: one folder a family in kernels/, one file an instruction set in kernels.inc, chosen at plan time: the
 * first row whose instructions the context may use and whose `supports` says yes; the scalar rows, which take everything, are
 * last.
 *
 * Activations are dense stacks of images [N, H, W, C]: an index a byte (CODES), or floats (REAL). There are no halos and no
 * packed layouts outside of kernels: a kernel copies the input rows it is about to use into its scratch, with padding around
 * them, in the form its inner loop wants (bytes, groups of indices, planes of bits). An input element is copied once and then
 * multiplied with kernel_height * kernel_width * out_channels weights, so the copy is 1 to 2 % of the time of a layer; in
 * return whatever follows a convolution reads and writes plain arrays.
 *
 * A kernel computes accumulators (int32 for CODES, float for REAL) of strips of output pixels for a block of output channels,
 * and hands them to the caller's sink, which does what follows: multiplier and bias, addition, rectifier, quantization,
 * storing. Accumulators are exactly the sums of pack/packed.h, so all rows give equal bits.
 *
 * Weights are packed once at plan time into panels the inner loop reads in order. Where an activation's or weight's code is not
 * its index (multiply, offset), the difference is folded into the stored weights, into per-channel corrections and, where that
 * does not do, into the sum of the window's indices. Where 0 is not a level of the activation, padding needs corrections that
 * depend on which taps are inside: the window's border class. Weights that are floats must be finite: padding is added as 0. */
#ifndef CRUMB_KERNEL_H
#define CRUMB_KERNEL_H


/* What is to be computed. */
typedef struct crumb_conv_problem {
    int32_t height, width, channels; /* input */
    int32_t out_height, out_width, out_channels;
    int32_t kernel_height, kernel_width, stride, padding, dilation, groups;
    crumb_packed_codes x; /* levels 0: REAL */
    crumb_packed_codes w; /* levels 0: float weights, only with REAL x */
} crumb_conv_problem;

/* Accumulators of `pixels` consecutive pixels of the output stack [N, out_height, out_width], from index `pixel` on (a strip
 * may cross rows and images), for output channels o .. o + channels - 1: acc[p * stride + c], int32 or float by the problem.
 * acc is aligned to 64 bytes and stride is a multiple of 16, so whole vectors may be read and, since the sink may overwrite
 * acc, written; what lies beyond `channels` has no meaning. o is a multiple of 16, channels too but for the last of the layer
 * or of a group (grouped layers: o is any multiple of out_channels / groups plus a multiple of 16). Called from many threads,
 * never twice for the same output. */
typedef void (*crumb_conv_sink)(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc,
                                int32_t stride);

typedef struct crumb_conv_kernel crumb_conv_kernel;

/* A kernel made ready for one problem: weights in panels, corrections, offsets. Immutable and shared by all sessions. */
typedef struct crumb_conv_ready {
    const crumb_conv_kernel *kernel;
    crumb_conv_problem problem;
    int32_t channel_step; /* run's o0 must be a multiple of it, o1 too or all channels; 0: only all channels at once */
    size_t scratch_bytes; /* a thread's own, given to run */
    void *panel;          /* the kernel's own; crumb_alloc'd in one piece with everything it needs */
    size_t panel_bytes;
} crumb_conv_ready;

struct crumb_conv_kernel {
    const char *name;   /* <op>_<acc>_<act>_<weight>__<isa>, "conv_i32_u8_s8__avx512vnni" */
    const char *family; /* its folder: "bytes", "lookup", "real", ... */
    uint32_t cpu;       /* CRUMB_CPU_ bits it needs */
    bool (*supports)(const crumb_conv_problem *problem);
    /* weight: the unpacked indices [O, KH, KW, C / groups] (uint16_t), or floats. Fills all of ready but kernel and problem. */
    crumb_status (*prepare)(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                            const void *weight, crumb_conv_ready *ready);
    /* Rows row0 .. row1 - 1 of the output stack (row n * out_height + y is row y of image n), channels o0 .. o1 - 1. x: the
     * input stack's first image; nothing outside of the images that these rows belong to is read. Give one call as many rows as
     * there are, of many images too: a linear layer (out_height 1) then works on several images at a time, and rows of one
     * image share staged input. Layers of few rows are better divided among threads by channels. scratch: 64-byte aligned. */
    void (*run)(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                crumb_conv_sink sink, void *user, void *scratch);
    const void *inner; /* the family's inner loops for this instruction set */
};

extern const crumb_conv_kernel *const crumb_conv_kernels[]; /* from kernels.inc, NULL-terminated, fastest first */

/* What a conv2d node computes. */
crumb_conv_problem crumb_conv_problem_of(const crumb_packed *packed, const crumb_packed_node *node);

/* The first row that fits, made ready. Fails only with MEMORY. */
crumb_status crumb_conv_prepare(crumb_ctx *ctx, const crumb_conv_problem *problem, const void *weight, crumb_conv_ready *ready);
const crumb_conv_kernel *crumb_conv_choose(const crumb_ctx *ctx, const crumb_conv_problem *problem);
/* With a certain row, whose supports must say yes; tests and benches ask for it. */
crumb_status crumb_conv_prepare_with(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                     const void *weight, crumb_conv_ready *ready);
void crumb_conv_release(crumb_ctx *ctx, crumb_conv_ready *ready);

#endif

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
 * = a * sum s v + b * sum s and the window's sum of s is needed: `finish`, for the few that cannot have a = 1, b = 0. */
#ifndef CRUMB_FRAME_H
#define CRUMB_FRAME_H


enum {
    CRUMB_FRAME_BLOCK = 128,       /* channels of a block, at most */
    CRUMB_FRAME_LANES = 16,        /* of a sub-block */
    CRUMB_FRAME_PIXELS = 16,       /* of a tile, at most */
    CRUMB_FRAME_OUTPUTS = 16 * 64, /* of a tile, at most */
    CRUMB_FRAME_SLACK = 128        /* bytes that may be read after a band */
};

typedef struct crumb_frame crumb_frame;

/* One call of an inner loop: acc[p * 16 * blocks + c] for `pixels` pixels and 16 * blocks channels. */
typedef struct crumb_frame_tile {
    void *acc;
    const uint8_t *x;
    size_t step;
    const uint8_t *weight;   /* the block's panel */
    const int32_t *constant; /* of the block's channels */
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

/* Channels of a block, in whole sub-blocks. */
static inline int32_t crumb_frame_lanes(const crumb_frame *frame, int32_t block) {
    int32_t left = frame->out - block * frame->block;
    left = left < frame->block ? left : frame->block;
    return (left + CRUMB_FRAME_LANES - 1) / CRUMB_FRAME_LANES * CRUMB_FRAME_LANES;
}

size_t crumb_frame_scratch(const crumb_frame *frame);
void crumb_frame_run(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                     crumb_conv_sink sink, void *user, void *scratch);

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

/* Family "bytes": indices of up to 8 bits times weights of up to 8 bits, four products at a time into an int32 lane: what
 * vpdpbusd, vpmaddubsw and NEON's udot do. Weights of fewer bits are widened when the plan is made.
 *
 * A unit is four staged bytes. The panel of a block is [segment][unit][lane][4] of int8, so a vector holds four weights of each
 * of 16 channels, and a pixel's unit is broadcast to all lanes.
 *
 * Weights are codes where those fit int8. Else (odd codes -255 .. 255, or 0 .. 255) they are v = index - 128, and
 * code = multiply * v + (offset + 128 * multiply): the frame's a and b. Sums wrap modulo 2^32 on the way; the result is the
 * exact one, which fits. */
#ifndef CRUMB_BYTES_H
#define CRUMB_BYTES_H


bool crumb_bytes_supports(const crumb_conv_problem *problem);
crumb_status crumb_bytes_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                 const void *weight, crumb_conv_ready *ready);
void crumb_bytes_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels);

#endif

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

/* Family "real": float activations with float weights or codes; every output's sum is taken in the order of packed.h, so rows
 * vectorise over output channels only.
 *
 * A unit is `group` floats of a pixel (1, or 2 or 4 for codes of few levels; the staged pixel is filled up with zeros, which
 * change nothing: fmaf(0, 0, t) = t, and a sum that starts at +0 never becomes -0). The wide panel of a block is
 * [segment][unit][group][lane] of float, codes already converted: all integers of 9 bits are floats. */
#ifndef CRUMB_REAL_H
#define CRUMB_REAL_H


typedef struct crumb_real {
    crumb_frame frame;
    int32_t group;
} crumb_real;

/* Channels that are summed together: pack/packed.h. */
int32_t crumb_real_group(const crumb_packed_codes *w);
bool crumb_real_supports(const crumb_conv_problem *problem);
crumb_status crumb_real_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                const void *weight, crumb_conv_ready *ready);
void crumb_real_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels);

#endif

/* The runtime's inner loops outside of convolutions, one set an instruction set: chains (chain.h) and the rows of pools. All
 * sets give the same bits. */
#ifndef CRUMB_VECTOR_H
#define CRUMB_VECTOR_H


typedef struct crumb_vector {
    crumb_chain_fn *chain;
    /* For i < n, none overlapping: y = x > y ? x : y; the same for indices; y = y + x; y = y * factor. */
    void (*max)(float *y, const float *x, int64_t n);
    void (*max_index)(uint8_t *y, const uint8_t *x, int64_t n);
    void (*add)(float *y, const float *x, int64_t n);
    void (*scale)(float *y, float factor, int64_t n);
} crumb_vector;

/* The fastest that the context may use. */
const crumb_vector *crumb_vector_pick(const crumb_ctx *ctx);
extern const crumb_vector crumb_vector__plain, crumb_vector__avx2, crumb_vector__avx512;

#endif

/* A packed network made ready: a list of steps over buffers in one arena.
 *
 * A step has a source, which makes elements - a convolution, a pool, a load from memory - and a chain (chain.h), which does
 * what follows and stores what others read. The planner walks the nodes in order and puts each behind the source that its input
 * comes from, if all else that it needs is there by then; what a chain cannot take along begins a step of its own. A value is
 * stored if a later step reads it. Nodes that only look at a value in another way (subsample, pad, dequantize) make no step:
 * their readers look through them (crumb_view).
 *
 * The arena is laid out for one image, by lifetimes; a session that works on n images at a time multiplies every offset by n,
 * for values are dense stacks. */
#ifndef CRUMB_PLAN_H
#define CRUMB_PLAN_H


/* A value in memory: floats, or an index a byte. */
typedef struct crumb_buffer {
    int32_t value;
    size_t pixel;       /* bytes */
    size_t bytes;       /* of one image, rounded up to 64 */
    size_t offset;      /* in the arena */
    int32_t born, dies; /* steps that first write and last read it */
} crumb_buffer;

typedef struct crumb_work crumb_work;
/* Makes rows row0 .. row1 - 1 of the stack of outputs, channels o0 .. o1 - 1, and hands them to the step's chain. */
typedef void crumb_step_source(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1);
crumb_step_source crumb_step_image, crumb_step_memory, crumb_step_conv, crumb_step_max_pool, crumb_step_max_pool_index,
    crumb_step_average_pool, crumb_step_global_average_pool, crumb_step_concat, crumb_step_flatten;

typedef struct crumb_step {
    crumb_step_source *source;
    int32_t node;                                   /* the first one in it; -1: the image */
    int32_t height, width, channels;                /* of what the source makes */
    int32_t inputs, input[CRUMB_PACKED_INPUTS_MAX]; /* buffers that the source reads */
    int32_t first, links;                           /* in plan->link */
    crumb_conv_ready conv;
    int32_t *thresholds; /* of CRUMB_LINK_COUNT; the plan frees them */
} crumb_step;

struct crumb_plan {
    crumb_ctx *ctx;
    const crumb_packed *packed;
    const crumb_vector *vector;
    int32_t steps, links, buffers;
    crumb_step *step;
    crumb_link *link;
    crumb_buffer *buffer;
    int32_t *buffer_of;                       /* of each value, -1: never in memory */
    size_t arena;                             /* bytes for one image */
    size_t scratch;                           /* bytes for each thread */
    float pixel[CRUMB_PACKED_PIXEL_MAX][256]; /* what 8-bit pixels become */
    char *text;
};

/* One thread at one step: what a source may see. */
struct crumb_work {
    const crumb_plan *plan;
    const crumb_step *step;
    crumb_chain *chain;
    uint8_t *arena;
    int32_t room;          /* images that the arena has room for */
    int32_t images;        /* that there are */
    const float *reals;    /* the images, or */
    const uint8_t *pixels; /* as 8-bit pixels; the other is NULL */
    void *scratch;
};

static inline uint8_t *crumb_buffer_at(const crumb_plan *plan, uint8_t *arena, int32_t room, int32_t buffer) {
    return arena + plan->buffer[buffer].offset * (size_t)room;
}

/* With keep every value has memory of its own, so that crumb_session_value can show it after a run. */
crumb_status crumb_plan_make(crumb_packed *packed, bool keep, crumb_plan **plan);

/* The planner's parts. Steps, links and buffers; kernels; offsets; the text. */
crumb_status crumb_plan_steps(crumb_plan *plan, bool keep);
crumb_status crumb_plan_kernels(crumb_plan *plan);
/* Shortens the chain of a step where that changes no bit (plan_shorten.c). */
crumb_status crumb_plan_shorten(crumb_plan *plan, crumb_step *step);
void crumb_plan_arena(crumb_plan *plan, bool keep);
crumb_status crumb_plan_print(crumb_plan *plan);

/* Elements of a strip that sources other than convolutions make at a time, if a pixel has no more. */
enum { CRUMB_STRIP = 2048 };

#endif

/* What evaluation and verification see of a session: its network; the values between the layers. */
#ifndef CRUMB_SESSION_H
#define CRUMB_SESSION_H


const crumb_packed *crumb_session_packed(const crumb_session *session);

/* A plan whose sessions keep every value until the end of a run; otherwise the same, kernels and chains included. */
crumb_status crumb_plan_create_keeping(crumb_packed *packed, crumb_plan **plan);

/* After a run of one image by a session of batch 1 of such a plan: the value's numbers [H, W, C], or its indices. The other is
 * NULL. Valid until the next run. */
const float *crumb_session_reals(const crumb_session *session, int32_t value);
const uint8_t *crumb_session_indices(const crumb_session *session, int32_t value);

#endif

/* Dividing a layer among threads. */
#ifndef CRUMB_SHARE_H
#define CRUMB_SHARE_H

#include <stdint.h>

typedef struct crumb_share {
    int64_t row0, row1;
    int32_t o0, o1;
} crumb_share;

/* Thread t's share of a stack of rows: the rows in `down` parts, the channels in threads / down, so that the largest share is
 * smallest; rows rather than channels where that is the same. channel_step as in crumb_conv_ready, 0: never by channels. */
crumb_share crumb_share_of(int64_t rows, int32_t channels, int32_t channel_step, int threads, int t);

#endif

/* A few threads that work on one thing together, again and again: started once, waiting in between. They spin for a moment
 * before they sleep, so that the steps of a small network cost microseconds; nothing is allocated after create. */
#ifndef CRUMB_TEAM_H
#define CRUMB_TEAM_H


typedef struct crumb_team crumb_team;

/* threads: with the caller's. */
crumb_status crumb_team_create(crumb_ctx *ctx, int threads, crumb_team **team);
void crumb_team_destroy(crumb_team *team);
/* Calls work(user, t) on thread t of each and returns when all have ended; the caller is thread 0. */
void crumb_team_run(crumb_team *team, void (*work)(void *user, int thread), void *user);
/* Called by every thread inside work: returns when all have called it. */
void crumb_team_barrier(crumb_team *team);

#endif

/* ==== src/base/cpu.c */
/* CPU features by the compiler's cpuid wrapper (x86) or the kernel's hardware words (aarch64). */


#include <string.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static uint32_t cpu_detect(void) {
    uint32_t features = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        features |= CRUMB_CPU_AVX2;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")) {
        features |= CRUMB_CPU_AVX512;
        features |= __builtin_cpu_supports("avx512vnni") ? CRUMB_CPU_AVX512VNNI : 0;
        features |= __builtin_cpu_supports("avx512bf16") ? CRUMB_CPU_AVX512BF16 : 0;
        features |= __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bitalg") ? CRUMB_CPU_AVX512POPCNT
                                                                                                        : 0;
        features |= __builtin_cpu_supports("avx512vbmi") ? CRUMB_CPU_AVX512VBMI : 0;
    }
#elif defined(__aarch64__)
    features |= CRUMB_CPU_NEON;
    features |= (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 ? CRUMB_CPU_DOTPROD : 0;
#endif
    return features;
}

bool crumb_cpu_limited(const char *limit, uint32_t *features) {
    static const struct {
        const char *name;
        uint32_t allowed;
    } limits[] = {
        {"scalar", 0},
        {"avx2", CRUMB_CPU_AVX2},
        {"avx512", ~(uint32_t)0},
        {"neon", CRUMB_CPU_NEON | CRUMB_CPU_DOTPROD},
    };
    *features = cpu_detect();
    if (limit == NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (strcmp(limit, limits[i].name) == 0) {
            *features &= limits[i].allowed;
            return true;
        }
    }
    return false;
}

/* ==== src/base/crc32c.c */
/* CRC-32C: polynomial 0x1edc6f41, bits reversed. Long data goes eight bytes at a time through eight tables (Kounavis and Berry,
 * "slicing by 8", 2005): table[k][b] is what byte b does to the sum when k more bytes follow it, so the eight look-ups of a
 * word are independent. The tables are made anew for each call, some 2^12 steps; short data goes bit
 * by bit. */

#include <string.h>

enum { crc32c_SLICES = 8, crc32c_LONG = 1024 };

static inline uint32_t crc32c_after_byte(uint32_t crc) {
    for (int bit = 0; bit < 8; bit++) {
        crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0x82f63b78u : 0);
    }
    return crc;
}

static void crc32c_make_tables(uint32_t table[crc32c_SLICES][256]) {
    for (uint32_t b = 0; b < 256; b++) {
        table[0][b] = crc32c_after_byte(b);
    }
    for (uint32_t i = 256; i < 256 * crc32c_SLICES; i++) {
        uint32_t before = table[i / 256 - 1][i % 256];
        table[i / 256][i % 256] = before >> 8 ^ table[0][before & 255];
    }
}

static uint32_t crc32c_sum_words(uint32_t crc, const uint8_t *bytes, size_t words) {
    uint32_t table[crc32c_SLICES][256];
    crc32c_make_tables(table);
    for (size_t i = 0; i < words; i++) {
        const uint8_t *at = bytes + i * crc32c_SLICES;
        uint8_t low[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16), (uint8_t)(crc >> 24)};
        crc = table[7][low[0] ^ at[0]] ^ table[6][low[1] ^ at[1]] ^ table[5][low[2] ^ at[2]] ^ table[4][low[3] ^ at[3]] ^
              table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^ table[0][at[7]];
    }
    return crc;
}

uint32_t crumb_crc32c(const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint32_t crc = 0xffffffffu;
    size_t words = size >= crc32c_LONG ? size / crc32c_SLICES : 0;
    if (words > 0) {
        crc = crc32c_sum_words(crc, bytes, words);
    }
    for (size_t i = words * crc32c_SLICES; i < size; i++) {
        crc = crc32c_after_byte(crc ^ bytes[i]);
    }
    return ~crc;
}

/* ==== src/base/ctx.c */
/* The context: memory through the caller's allocator, the last message, the log. */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ctx_MESSAGE_MAX = 1024, ctx_ALIGNMENT = 64 };

struct crumb_ctx {
    crumb_settings settings;
    int threads;
    uint32_t cpu;
    char message[ctx_MESSAGE_MAX];
};

static void *ctx_default_alloc(void *user, size_t bytes) {
    (void)user;
    return malloc(bytes);
}

static void ctx_default_release(void *user, void *block) {
    (void)user;
    free(block);
}

const char *crumb_status_text(crumb_status status) {
    static const char *const text[] = {
        [CRUMB_OK] = "done",
        [CRUMB_ERROR_MEMORY] = "out of memory",
        [CRUMB_ERROR_IO] = "cannot read or write",
        [CRUMB_ERROR_FORMAT] = "bad format",
        [CRUMB_ERROR_ARGUMENT] = "bad argument",
        [CRUMB_ERROR_SHAPE] = "shapes do not fit",
        [CRUMB_ERROR_UNSUPPORTED] = "not supported",
        [CRUMB_ERROR_NUMERIC] = "not a number",
        [CRUMB_ERROR_STOPPED] = "stopped",
    };
    return (size_t)status < sizeof(text) / sizeof(text[0]) ? text[status] : "unknown status";
}

crumb_status crumb_ctx_create(crumb_ctx **out, const crumb_settings *settings) {
    static const crumb_settings none;
    const crumb_settings *given = settings != NULL ? settings : &none;
    *out = NULL;
    uint32_t cpu;
    if (!crumb_cpu_limited(given->cpu_limit, &cpu)) {
        return CRUMB_ERROR_ARGUMENT;
    }
    void *(*alloc)(void *, size_t) = given->alloc != NULL ? given->alloc : ctx_default_alloc;
    crumb_ctx *ctx = alloc(given->allocator_user, sizeof(*ctx));
    if (ctx == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    memset(ctx, 0, sizeof(*ctx));
    ctx->settings = *given;
    ctx->settings.cpu_limit = NULL; /* borrowed for this call only */
    if (given->alloc == NULL || given->release == NULL) {
        ctx->settings.alloc = ctx_default_alloc;
        ctx->settings.release = ctx_default_release;
    }
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    ctx->threads = given->threads > 0 ? given->threads : processors > 0 ? (int)processors : 1;
    ctx->cpu = cpu;
    *out = ctx;
    return CRUMB_OK;
}

void crumb_ctx_destroy(crumb_ctx *ctx) {
    if (ctx != NULL) {
        ctx->settings.release(ctx->settings.allocator_user, ctx);
    }
}

const char *crumb_message(const crumb_ctx *ctx) {
    return ctx->message;
}

int crumb_threads(const crumb_ctx *ctx) {
    return ctx->threads;
}

uint32_t crumb_cpu(const crumb_ctx *ctx) {
    return ctx->cpu;
}

/* A block is over-allocated by ALIGNMENT; the word before the aligned address holds the address the allocator gave. */
void *crumb_alloc_quiet(crumb_ctx *ctx, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    char *block = ctx->settings.alloc(ctx->settings.allocator_user, bytes + ctx_ALIGNMENT + sizeof(void *));
    if (block == NULL) {
        return NULL;
    }
    uintptr_t aligned = ((uintptr_t)block + sizeof(void *) + ctx_ALIGNMENT - 1) & ~(uintptr_t)(ctx_ALIGNMENT - 1);
    ((void **)aligned)[-1] = block;
    memset((void *)aligned, 0, bytes);
    return (void *)aligned;
}

void *crumb_alloc(crumb_ctx *ctx, size_t count, size_t size) {
    void *block = crumb_alloc_quiet(ctx, count, size);
    if (block == NULL) {
        crumb_fail(ctx, CRUMB_ERROR_MEMORY, "out of memory: %zu x %zu bytes refused", count, size);
    }
    return block;
}

void *crumb_resize(crumb_ctx *ctx, void *block, size_t old_count, size_t count, size_t size) {
    void *larger = crumb_alloc(ctx, count, size);
    if (larger != NULL && block != NULL) {
        memcpy(larger, block, (old_count < count ? old_count : count) * size);
        crumb_free(ctx, block);
    }
    return larger;
}

void crumb_free(crumb_ctx *ctx, void *block) {
    if (block != NULL) {
        ctx->settings.release(ctx->settings.allocator_user, ((void **)block)[-1]);
    }
}

char *crumb_copy_text(crumb_ctx *ctx, const char *text) {
    size_t length = strlen(text) + 1;
    char *copy = crumb_alloc(ctx, length, 1);
    if (copy != NULL) {
        memcpy(copy, text, length);
    }
    return copy;
}

/* Messages are one line: control characters that came from a file or an argument are shown as '?'. */
static void ctx_one_line(char *text) {
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 127) {
            *text = '?';
        }
    }
}

crumb_status crumb_fail(crumb_ctx *ctx, crumb_status status, const char *format, ...) {
    char message[ctx_MESSAGE_MAX]; /* arguments may point into ctx->message */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    ctx_one_line(message);
    memcpy(ctx->message, message, sizeof(message));
    return status;
}

crumb_status crumb_fail_in(crumb_ctx *ctx, crumb_status status, const char *format, ...) {
    char prefix[ctx_MESSAGE_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof(prefix), format, arguments);
    va_end(arguments);
    char old[ctx_MESSAGE_MAX];
    memcpy(old, ctx->message, sizeof(old));
    return crumb_fail(ctx, status, "%s: %.*s", prefix, ctx_MESSAGE_MAX / 2 - 8, old);
}

void crumb_log(crumb_ctx *ctx, crumb_log_level level, const char *format, ...) {
    if (ctx->settings.log == NULL) {
        return;
    }
    char line[ctx_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    ctx->settings.log(ctx->settings.log_user, level, line);
}

/* ==== src/base/file.c */
/* Whole-file reads and atomic writes. */

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static crumb_status file_io_failure(crumb_ctx *ctx, const char *what, const char *path) {
    return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

crumb_status crumb_file_read(crumb_ctx *ctx, const char *path, size_t max, uint8_t **data, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return file_io_failure(ctx, "open", path);
    }
    crumb_status status = CRUMB_OK;
    uint8_t *bytes = NULL;
    struct stat info;
    if (fstat(fileno(file), &info) != 0) {
        status = file_io_failure(ctx, "read", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = crumb_fail(ctx, CRUMB_ERROR_IO, "cannot read %s: not a regular file", path);
    } else if (max != 0 && (uint64_t)info.st_size > max) {
        status = crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: %lld bytes, at most %zu are read", path, (long long)info.st_size, max);
    } else if ((bytes = crumb_alloc(ctx, (size_t)info.st_size + 1, 1)) == NULL) {
        status = CRUMB_ERROR_MEMORY;
    } else if (fread(bytes, 1, (size_t)info.st_size, file) != (size_t)info.st_size) {
        status = ferror(file) ? file_io_failure(ctx, "read", path)
                              : crumb_fail(ctx, CRUMB_ERROR_IO, "cannot read %s: it shrank while being read", path);
    }
    fclose(file);
    if (status != CRUMB_OK) {
        crumb_free(ctx, bytes);
        return status;
    }
    *data = bytes;
    *size = (size_t)info.st_size;
    return CRUMB_OK;
}

crumb_status crumb_file_map(crumb_ctx *ctx, const char *path, const uint8_t **data, size_t *size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return file_io_failure(ctx, "open", path);
    }
    crumb_status status = CRUMB_OK;
    struct stat info;
    void *at = MAP_FAILED;
    if (fstat(file, &info) != 0) {
        status = file_io_failure(ctx, "read", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = crumb_fail(ctx, CRUMB_ERROR_IO, "cannot read %s: not a regular file", path);
    } else if (info.st_size == 0) {
        status = crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: the file is empty", path);
    } else if ((at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0)) == MAP_FAILED) {
        status = file_io_failure(ctx, "map", path);
    }
    close(file);
    if (status == CRUMB_OK) {
        *data = at;
        *size = (size_t)info.st_size;
    }
    return status;
}

void crumb_file_unmap(const uint8_t *data, size_t size) {
    munmap((void *)data, size);
}

crumb_status crumb_writer_open(crumb_ctx *ctx, const char *path, crumb_writer *writer) {
    memset(writer, 0, sizeof(*writer));
    writer->ctx = ctx;
    if (strlen(path) >= sizeof(writer->path)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "path of %zu bytes is too long", strlen(path));
    }
    strcpy(writer->path, path);
    snprintf(writer->temporary, sizeof(writer->temporary), "%s.%ld.tmp", path, (long)getpid());
    writer->file = fopen(writer->temporary, "wb");
    return writer->file != NULL ? CRUMB_OK : file_io_failure(ctx, "create", path);
}

static void file_remember_failure(crumb_writer *writer) {
    if (writer->status == CRUMB_OK) {
        writer->status = file_io_failure(writer->ctx, "write", writer->path);
    }
}

void crumb_writer_bytes(crumb_writer *writer, const void *data, size_t size) {
    if (writer->status == CRUMB_OK && size != 0 && fwrite(data, 1, size, writer->file) != size) {
        file_remember_failure(writer);
    }
}

void crumb_writer_text(crumb_writer *writer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (writer->status == CRUMB_OK && vfprintf(writer->file, format, arguments) < 0) {
        file_remember_failure(writer);
    }
    va_end(arguments);
}

/* The rename is durable only when the folder's entry is on disk too. */
static void file_sync_folder(const char *path) {
    char copy[sizeof(((crumb_writer *)0)->path)];
    strcpy(copy, path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY);
    if (folder >= 0) {
        fsync(folder); /* some file systems refuse; the data itself is safe */
        close(folder);
    }
}

crumb_status crumb_writer_commit(crumb_writer *writer) {
    if (writer->status == CRUMB_OK && (fflush(writer->file) != 0 || fsync(fileno(writer->file)) != 0)) {
        file_remember_failure(writer);
    }
    if (fclose(writer->file) != 0) {
        file_remember_failure(writer);
    }
    writer->file = NULL;
    if (writer->status == CRUMB_OK && rename(writer->temporary, writer->path) != 0) {
        file_remember_failure(writer);
    }
    if (writer->status != CRUMB_OK) {
        unlink(writer->temporary);
        return writer->status;
    }
    file_sync_folder(writer->path);
    return CRUMB_OK;
}

void crumb_writer_abandon(crumb_writer *writer) {
    if (writer->file != NULL) {
        fclose(writer->file);
        writer->file = NULL;
        unlink(writer->temporary);
    }
}

crumb_status crumb_file_write(crumb_ctx *ctx, const char *path, const void *data, size_t size) {
    crumb_writer writer;
    CRUMB_TRY(crumb_writer_open(ctx, path, &writer));
    crumb_writer_bytes(&writer, data, size);
    return crumb_writer_commit(&writer);
}

crumb_status crumb_folder_make(crumb_ctx *ctx, const char *path) {
    char partial[4096];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof(partial)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "folder name of %zu bytes", length);
    }
    memcpy(partial, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (partial[i] != '/' && partial[i] != '\0') {
            continue;
        }
        char keep = partial[i];
        partial[i] = '\0';
        if (mkdir(partial, 0777) != 0 && errno != EEXIST) {
            return file_io_failure(ctx, "create folder", partial);
        }
        partial[i] = keep;
    }
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return crumb_fail(ctx, CRUMB_ERROR_IO, "%s is not a folder", path);
    }
    return CRUMB_OK;
}

bool crumb_file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

/* ==== src/base/param.c */
/* Parameter tables: presets, parsing, printing. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *param_member(const crumb_param *param, void *out) {
    return (char *)out + param->offset;
}

const crumb_param *crumb_param_find(const crumb_param *params, const char *name) {
    for (; params != NULL && params->name != NULL; params++) {
        if (strcmp(params->name, name) == 0) {
            return params;
        }
    }
    return NULL;
}

const char *crumb_choice_word(const char *choices, int index, char *word, size_t size) {
    const char *at = choices;
    for (int i = 0; i < index && at != NULL; i++) {
        at = strchr(at, '|');
        at = at != NULL ? at + 1 : NULL;
    }
    snprintf(word, size, "%.*s", at != NULL ? (int)strcspn(at, "|") : 0, at != NULL ? at : "");
    return word;
}

static int param_choice_index(const char *choices, const char *text) {
    char word[64];
    for (int i = 0; crumb_choice_word(choices, i, word, sizeof(word))[0] != '\0'; i++) {
        if (strcmp(word, text) == 0) {
            return i;
        }
    }
    return -1;
}

static crumb_status param_out_of_range(crumb_ctx *ctx, const crumb_param *param, const char *text) {
    if (param->max >= 1e300) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %s is below %g", param->name, text, param->min);
    }
    return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %s is outside %g .. %g", param->name, text, param->min, param->max);
}

/* A whole text as a finite number; NaN and infinities are no parameter's value. */
static bool param_parse_real(const char *text, double *value) {
    char *end;
    errno = 0;
    double parsed = strtod(text, &end);
    while (*end == ' ') {
        end++;
    }
    if (end == text || *end != '\0' || !isfinite(parsed)) {
        return false;
    }
    *value = parsed;
    return true;
}

static bool param_parse_int(const char *text, int64_t *value) {
    char *end;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno == ERANGE) {
        return false;
    }
    *value = parsed;
    return true;
}

static crumb_status param_set_list(crumb_ctx *ctx, const crumb_param *param, crumb_list *out, const char *text) {
    crumb_list list = {0};
    size_t length = strlen(text);
    if (length < 2 || text[0] != '[' || text[length - 1] != ']') {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %s is not a list of numbers like [1, 2]", param->name, text);
    }
    const char *at = text + 1, *end = text + length - 1;
    while (at < end && strspn(at, " ") < (size_t)(end - at)) {
        char item[64];
        at += strspn(at, " ");
        size_t width = strcspn(at, ",]");
        snprintf(item, sizeof(item), "%.*s", (int)(width < sizeof(item) ? width : sizeof(item) - 1), at);
        double value;
        if (!param_parse_real(item, &value)) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: '%s' in %s is not a number", param->name, item, text);
        }
        if (value < param->min || value > param->max) {
            return param_out_of_range(ctx, param, item);
        }
        if (list.count == CRUMB_LIST_MAX) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: more than %d numbers", param->name, CRUMB_LIST_MAX);
        }
        list.at[list.count++] = value;
        at += width + 1;
    }
    *out = list;
    return CRUMB_OK;
}

static crumb_status param_set_number(crumb_ctx *ctx, const crumb_param *param, void *out, const char *text) {
    double value;
    int64_t whole = 0;
    bool is_int = param->type == CRUMB_PARAM_INT;
    if (is_int ? !param_parse_int(text, &whole) : !param_parse_real(text, &value)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: '%s' is not a %snumber", param->name, text, is_int ? "whole " : "");
    }
    value = is_int ? (double)whole : value;
    if (value < param->min || value > param->max) {
        return param_out_of_range(ctx, param, text);
    }
    if (is_int) {
        *(int64_t *)param_member(param, out) = whole;
    } else {
        *(double *)param_member(param, out) = value;
    }
    return CRUMB_OK;
}

static crumb_status param_set_text(crumb_ctx *ctx, const crumb_param *param, char *out, const char *text) {
    size_t length = strlen(text), room = param->max > 0 ? (size_t)param->max : CRUMB_TEXT_MAX;
    if (length >= room) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %zu bytes, at most %zu", param->name, length, room - 1);
    }
    memset(out, 0, room);
    memcpy(out, text, length);
    return CRUMB_OK;
}

crumb_status crumb_param_set(crumb_ctx *ctx, const crumb_param *param, void *out, const char *text) {
    int index;
    switch (param->type) {
    case CRUMB_PARAM_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: '%s' is neither true nor false", param->name, text);
        }
        *(bool *)param_member(param, out) = text[0] == 't';
        return CRUMB_OK;
    case CRUMB_PARAM_CHOICE:
        index = param_choice_index(param->choices, text);
        if (index < 0) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: '%s' is none of %s", param->name, text, param->choices);
        }
        *(int *)param_member(param, out) = index;
        return CRUMB_OK;
    case CRUMB_PARAM_TEXT:
        return param_set_text(ctx, param, param_member(param, out), text);
    case CRUMB_PARAM_LIST:
        return param_set_list(ctx, param, param_member(param, out), text);
    case CRUMB_PARAM_INT:
    case CRUMB_PARAM_REAL:
        return param_set_number(ctx, param, out, text);
    }
    return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: parameter type %d is unknown", param->name, (int)param->type);
}

void crumb_params_preset(const crumb_param *params, void *out) {
    crumb_ctx *ctx = NULL; /* presets are in range (tested for every row), so no message is ever written */
    for (; params != NULL && params->name != NULL; params++) {
        crumb_status status = crumb_param_set(ctx, params, out, params->preset);
        assert(status == CRUMB_OK);
        (void)status;
    }
}

/* The shortest of %.15g to %.17g that reads back to the same double. */
static int param_print_real(double value, char *text, size_t size) {
    int length = 0;
    for (int digits = 6; digits <= 17; digits++) {
        length = snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    return length;
}

size_t crumb_param_print(const crumb_param *param, const void *from, char *text, size_t size) {
    const char *at = (const char *)from + param->offset;
    char number[64];
    size_t length;
    switch (param->type) {
    case CRUMB_PARAM_BOOL:
        return (size_t)snprintf(text, size, "%s", *(const bool *)at ? "true" : "false");
    case CRUMB_PARAM_INT:
        return (size_t)snprintf(text, size, "%" PRId64, *(const int64_t *)at);
    case CRUMB_PARAM_REAL:
        param_print_real(*(const double *)at, number, sizeof(number));
        return (size_t)snprintf(text, size, "%s", number);
    case CRUMB_PARAM_CHOICE:
        return (size_t)snprintf(text, size, "%s", crumb_choice_word(param->choices, *(const int *)at, number, sizeof(number)));
    case CRUMB_PARAM_TEXT:
        return (size_t)snprintf(text, size, "%s", at);
    case CRUMB_PARAM_LIST:
        break;
    }
    const crumb_list *list = (const crumb_list *)at;
    length = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < list->count; i++) {
        param_print_real(list->at[i], number, sizeof(number));
        length += (size_t)snprintf(text + (length < size ? length : size), length < size ? size - length : 0, "%s%s",
                                   i == 0 ? "" : ", ", number);
    }
    return length + (size_t)snprintf(text + (length < size ? length : size), length < size ? size - length : 0, "]");
}

/* Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours count one each. */
static size_t param_edit_distance(const char *a, const char *b) {
    enum { MAX = 48 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= MAX || m >= MAX) {
        return MAX;
    }
    size_t d[MAX][MAX];
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best) {
                best = d[i - 2][j - 2] + 1;
            }
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *crumb_nearest(const char *name, const char *const *names, size_t count) {
    const char *nearest = NULL;
    size_t limit = strlen(name) / 2 + 1; /* further away is another word, not a slip */
    for (size_t i = 0; i < count; i++) {
        size_t distance = param_edit_distance(name, names[i]);
        if (distance <= limit && (nearest == NULL || distance < param_edit_distance(name, nearest))) {
            nearest = names[i];
        }
    }
    return nearest;
}

/* ==== src/base/text.c */
/* Growing texts. */

#include <stdio.h>
#include <string.h>

/* Room for `more` bytes and the terminating zero. */
static bool text_reserve(crumb_text *text, size_t more) {
    if (text->status != CRUMB_OK) {
        return false;
    }
    if (text->length + more + 1 > text->room) {
        size_t room = 2 * (text->length + more) + 64;
        char *larger = crumb_resize(text->ctx, text->at, text->room, room, 1);
        if (larger == NULL) {
            text->status = CRUMB_ERROR_MEMORY;
            return false;
        }
        text->at = larger;
        text->room = room;
    }
    return true;
}

void crumb_text_bytes(crumb_text *text, const char *bytes, size_t size) {
    if (text_reserve(text, size)) {
        if (size > 0) {
            memcpy(text->at + text->length, bytes, size); /* bytes may be NULL otherwise */
        }
        text->length += size;
        text->at[text->length] = '\0';
    }
}

void crumb_text_print(crumb_text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length >= 0 && text_reserve(text, (size_t)length)) {
        vsnprintf(text->at + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

crumb_status crumb_text_take(crumb_text *text, char **out) {
    crumb_text_bytes(text, "", 0);
    if (text->status != CRUMB_OK) {
        crumb_free(text->ctx, text->at);
        text->at = NULL;
        return text->status;
    }
    *out = text->at;
    text->at = NULL;
    return CRUMB_OK;
}

/* ==== src/base/threads.c */
/* OpenMP's thread count, set from the context. */

void crumb_threads_begin(const crumb_ctx *ctx) {
    omp_set_dynamic(0);
    omp_set_num_threads(crumb_threads(ctx));
}

/* ==== src/base/utf8.c */
/* UTF-8 decoding, a sequence at a time. */

size_t crumb_utf8_next(const char *at, size_t size, uint32_t *point) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000}; /* that needs so many bytes */
    const unsigned char *byte = (const unsigned char *)at;
    if (size == 0) {
        return 0;
    }
    size_t length = byte[0] < 0x80 ? 1 : byte[0] < 0xc0 ? 0 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : byte[0] < 0xf8 ? 4 : 0;
    if (length == 0 || length > size) {
        return 0;
    }
    uint32_t value = length == 1 ? byte[0] : byte[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((byte[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (byte[i] & 0x3fu);
    }
    if (value < smallest[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
        return 0;
    }
    *point = value;
    return length;
}

/* ==== src/pack/build.c */
/* Construction of packed networks. The end writes the file's bytes and reads them: there is one kind of packed network. */


#include <string.h>

enum { build_FIRST_ROOM = 16 };

static void *build_grown(crumb_build *b, void *list, int32_t count, int32_t *room, size_t size) {
    if (b->status != CRUMB_OK || count < *room) {
        return list;
    }
    int32_t wanted = *room > 0 ? 2 * *room : build_FIRST_ROOM;
    void *larger = crumb_resize(b->packed.ctx, list, (size_t)*room, (size_t)wanted, size);
    if (larger == NULL) {
        b->status = CRUMB_ERROR_MEMORY;
        return list;
    }
    *room = wanted;
    return larger;
}

void crumb_build_begin(crumb_build *b, crumb_ctx *ctx, int32_t height, int32_t width, int32_t channels) {
    *b = (crumb_build){.packed = {.ctx = ctx, .deviation = {1, 1, 1, 1}, .model = "", .logits = -1}};
    b->packed.value = build_grown(b, NULL, 0, &b->value_room, sizeof(*b->packed.value));
    if (b->status == CRUMB_OK) {
        b->packed.value[b->packed.values++] = (crumb_packed_value){.height = height, .width = width, .channels = channels};
    }
}

/* ---- Tensors. */

/* Takes the descriptor and gives it memory; NULL after a failure. */
static uint8_t *build_append_tensor(crumb_build *b, crumb_packed_tensor tensor) {
    crumb_packed *packed = &b->packed;
    packed->tensor = build_grown(b, packed->tensor, packed->tensors, &b->tensor_room, sizeof(*packed->tensor));
    if (b->status != CRUMB_OK) {
        return NULL;
    }
    tensor.bytes = (uint64_t)tensor.rows * crumb_packed_row_bytes(&tensor);
    uint8_t *data = crumb_alloc(packed->ctx, (size_t)tensor.bytes, 1);
    if (data == NULL) {
        b->status = CRUMB_ERROR_MEMORY;
        return NULL;
    }
    tensor.data = data;
    packed->tensor[packed->tensors++] = tensor;
    return data;
}

int32_t crumb_build_floats(crumb_build *b, int32_t rows, int32_t columns, const float *values) {
    uint8_t *data = build_append_tensor(b, (crumb_packed_tensor){.encoding = CRUMB_PACKED_FLOAT, .rows = rows, .columns = columns});
    if (data == NULL) {
        return -1;
    }
    memcpy(data, values, (size_t)rows * (size_t)columns * sizeof(*values));
    return b->packed.tensors - 1;
}

int32_t crumb_build_codes(crumb_build *b, int32_t rows, int32_t columns, crumb_packed_codes codes, const uint16_t *index) {
    codes.bits = crumb_packed_bits(codes.levels);
    codes.scale = 0.0f;
    crumb_packed_tensor tensor = {.encoding = codes.levels == 3 ? CRUMB_PACKED_TRITS : CRUMB_PACKED_BITS,
                                  .rows = rows,
                                  .columns = columns,
                                  .codes = codes};
    uint8_t *data = build_append_tensor(b, tensor);
    for (int32_t row = 0; data != NULL && row < rows; row++) {
        crumb_packed_pack_row(&tensor, row, index + (size_t)row * (size_t)columns, data);
    }
    return b->packed.tensors - 1;
}

/* ---- Nodes. */

crumb_packed_node crumb_build_node_of(crumb_packed_op op, const char *name, int32_t input) {
    return (crumb_packed_node){
        .name = name, .op = op, .inputs = 1, .input = {input}, .weight = -1, .multiplier = -1, .bias = -1, .extra = -1};
}

/* What messages call a network that is no file yet. */
static const char *build_name_of(const crumb_packed *packed) {
    return packed->model[0] != '\0' ? packed->model : "network";
}

static crumb_status build_append(crumb_build *b, const crumb_packed_node *given, const crumb_packed_codes *codes) {
    crumb_packed *packed = &b->packed;
    char *name = crumb_copy_text(packed->ctx, given->name);
    if (name == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    crumb_packed_node *node = &packed->node[packed->nodes];
    *node = *given;
    node->name = name;
    node->output = packed->values;
    packed->nodes++;
    crumb_packed_value made = {0};
    if (codes != NULL) {
        made.codes = *codes;
        made.codes.bits = crumb_packed_bits(codes->levels);
    }
    CRUMB_TRY(crumb_packed_infer(packed, build_name_of(packed), packed->nodes - 1, &made));
    packed->value[packed->values++] = made;
    return CRUMB_OK;
}

int32_t crumb_build_append(crumb_build *b, const crumb_packed_node *node, const crumb_packed_codes *codes) {
    crumb_packed *packed = &b->packed;
    packed->value = build_grown(b, packed->value, packed->values, &b->value_room, sizeof(*packed->value));
    packed->node = build_grown(b, packed->node, packed->nodes, &b->node_room, sizeof(*packed->node));
    if (b->status == CRUMB_OK) {
        b->status = build_append(b, node, codes);
    }
    return b->status == CRUMB_OK ? packed->values - 1 : 0;
}

/* ---- The end. */

static crumb_status build_finish(crumb_build *b, crumb_packed **out) {
    uint8_t *bytes;
    size_t size;
    CRUMB_TRY(b->status);
    b->packed.logits = b->packed.logits >= 0 ? b->packed.logits : b->packed.values - 1;
    CRUMB_TRY(crumb_packed_bytes(&b->packed, &bytes, &size));
    crumb_status status = crumb_packed_parse(b->packed.ctx, build_name_of(&b->packed), bytes, size, out);
    if (status != CRUMB_OK) {
        crumb_free(b->packed.ctx, bytes);
        return status;
    }
    (*out)->owned = true;
    return CRUMB_OK;
}

crumb_status crumb_build_end(crumb_build *b, crumb_packed **out) {
    crumb_packed *packed = &b->packed;
    crumb_status status = build_finish(b, out);
    for (int32_t i = 0; i < packed->tensors; i++) {
        crumb_free(packed->ctx, (void *)packed->tensor[i].data);
    }
    for (int32_t i = 0; i < packed->nodes; i++) {
        crumb_free(packed->ctx, (void *)packed->node[i].name);
    }
    crumb_free(packed->ctx, packed->value);
    crumb_free(packed->ctx, packed->node);
    crumb_free(packed->ctx, packed->tensor);
    return status;
}

/* ==== src/pack/describe.c */
/* What `crumb info` shows of a packed network. */

void crumb_packed_describe(const crumb_packed *packed, crumb_packed_info *info) {
    *info = (crumb_packed_info){
        .model = packed->model,
        .height = packed->value[0].height,
        .width = packed->value[0].width,
        .channels = packed->value[0].channels,
        .classes = packed->classes,
        .class_names = packed->class_name,
        .mean = packed->mean,
        .deviation = packed->deviation,
        .layers = packed->nodes,
        .file_bytes = packed->file_bytes,
    };
    for (int32_t i = 0; i < packed->nodes; i++) {
        info->operations += crumb_packed_operations(packed, i);
    }
}

static int describe_bits_of(const crumb_packed_codes *codes) {
    return codes->levels == 0 ? 32 : codes->bits;
}

bool crumb_packed_layer_at(const crumb_packed *packed, int index, crumb_packed_layer *layer) {
    if (index < 0 || index >= packed->nodes) {
        return false;
    }
    const crumb_packed_node *node = &packed->node[index];
    const crumb_packed_value *made = &packed->value[node->output];
    *layer = (crumb_packed_layer){
        .name = node->name,
        .op = crumb_packed_op_name(node->op),
        .height = made->height,
        .width = made->width,
        .channels = made->channels,
        .operations = crumb_packed_operations(packed, index),
    };
    if (node->weight >= 0) {
        layer->weight_bits = describe_bits_of(&packed->tensor[node->weight].codes);
        layer->activation_bits = describe_bits_of(&packed->value[node->input[0]].codes);
        layer->weight_bytes = (size_t)packed->tensor[node->weight].bytes;
    }
    return true;
}

/* ==== src/pack/encode.c */
/* Codes as bytes. BITS: index i occupies bits i * bits .. i * bits + bits - 1 of its row, counted from the lowest bit of the
 * first byte. TRITS: five indices below 3 a byte, since 3^5 = 243 <= 256: 1.6 bits an index, where two bits would be a quarter
 * more. Unused bits and indices of a row's last byte are 0. */

enum { encode_TRITS_A_BYTE = 5 };

int32_t crumb_packed_bits(int32_t levels) {
    int32_t bits = levels > 0;
    while (levels > 1 << bits) {
        bits++;
    }
    return bits;
}

uint64_t crumb_packed_row_bytes(const crumb_packed_tensor *tensor) {
    uint64_t columns = (uint64_t)tensor->columns;
    switch (tensor->encoding) {
    case CRUMB_PACKED_FLOAT:
        return columns * sizeof(float);
    case CRUMB_PACKED_BITS:
        return (columns * (uint64_t)tensor->codes.bits + 7) / 8;
    default:
        return (columns + encode_TRITS_A_BYTE - 1) / encode_TRITS_A_BYTE;
    }
}

static void encode_unpack_trits(const uint8_t *data, uint16_t *index, int32_t count) {
    for (int32_t i = 0; i < count;) {
        for (unsigned rest = *data++, k = 0; k < encode_TRITS_A_BYTE && i < count; k++, rest /= 3) {
            index[i++] = (uint16_t)(rest % 3);
        }
    }
}

static void encode_unpack_bits(const uint8_t *data, uint16_t *index, int32_t count, int32_t bits) {
    uint32_t held = 0;
    for (int32_t i = 0, have = 0; i < count; i++, have -= bits, held >>= bits) {
        for (; have < bits; have += 8) {
            held |= (uint32_t)*data++ << have;
        }
        index[i] = (uint16_t)(held & ((1u << bits) - 1));
    }
}

void crumb_packed_unpack_row(const crumb_packed_tensor *tensor, int32_t row, uint16_t *index) {
    const uint8_t *data = tensor->data + (uint64_t)row * crumb_packed_row_bytes(tensor);
    if (tensor->encoding == CRUMB_PACKED_TRITS) {
        encode_unpack_trits(data, index, tensor->columns);
    } else {
        encode_unpack_bits(data, index, tensor->columns, tensor->codes.bits);
    }
}

static void encode_pack_trits(uint8_t *data, const uint16_t *index, int32_t count) {
    for (int32_t i = 0; i < count;) {
        unsigned byte = 0;
        for (unsigned k = 0, weight = 1; k < encode_TRITS_A_BYTE && i < count; k++, weight *= 3) {
            byte += index[i++] * weight;
        }
        *data++ = (uint8_t)byte;
    }
}

static void encode_pack_bits(uint8_t *data, const uint16_t *index, int32_t count, int32_t bits) {
    uint32_t held = 0;
    int32_t have = 0;
    for (int32_t i = 0; i < count; i++) {
        held |= (uint32_t)index[i] << have;
        for (have += bits; have >= 8; have -= 8, held >>= 8) {
            *data++ = (uint8_t)held;
        }
    }
    if (have > 0) {
        *data = (uint8_t)held;
    }
}

void crumb_packed_pack_row(const crumb_packed_tensor *tensor, int32_t row, const uint16_t *index, uint8_t *data) {
    data += (uint64_t)row * crumb_packed_row_bytes(tensor);
    if (tensor->encoding == CRUMB_PACKED_TRITS) {
        encode_pack_trits(data, index, tensor->columns);
    } else {
        encode_pack_bits(data, index, tensor->columns, tensor->codes.bits);
    }
}

const float *crumb_packed_floats(const crumb_packed *packed, int32_t tensor) {
    return tensor >= 0 ? (const float *)packed->tensor[tensor].data : NULL;
}

/* ==== src/pack/oracle.c */
/* The naive executor; see oracle.h. */

#include <math.h>
#include <string.h>

typedef struct oracle_held {
    float *real;
    int32_t *index;
} oracle_held;

struct crumb_oracle {
    const crumb_packed *packed;
    oracle_held *value;
    int32_t **code; /* of a node's weight, all rows; NULL for float weights and other nodes */
};

typedef struct oracle_step {
    crumb_oracle *oracle;
    const crumb_packed_node *node;
    const crumb_packed_value *in, *out; /* first input, output */
    oracle_held x, y;
} oracle_step;

/* ---- Places. */

static int64_t oracle_at(const crumb_packed_value *v, int64_t h, int64_t w, int64_t c) {
    return (h * v->width + w) * v->channels + c;
}

static bool oracle_inside(const crumb_packed_value *v, int64_t h, int64_t w) {
    return h >= 0 && h < v->height && w >= 0 && w < v->width;
}

/* ---- Codes. */

static int32_t oracle_round_index(const crumb_packed_node *node, float v) {
    float scaled = v * node->inverse;
    float low = scaled > node->lo ? scaled : node->lo;
    float clamped = low < node->hi ? low : node->hi;
    return (int32_t)(rintf(clamped) - node->lo);
}

static int32_t oracle_count_thresholds(const float *threshold, int32_t count, float v) {
    int32_t index = 0;
    for (int32_t i = 0; i < count; i++) {
        index += v >= threshold[i];
    }
    return index;
}

static void oracle_quantize(const oracle_step *s) {
    const float *threshold = crumb_packed_floats(s->oracle->packed, s->node->extra);
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.index[i] = s->node->thresholds_form ? oracle_count_thresholds(threshold, s->out->codes.levels - 1, s->x.real[i])
                                                 : oracle_round_index(s->node, s->x.real[i]);
    }
}

static void oracle_dequantize(const oracle_step *s) {
    const crumb_packed_codes *codes = &s->in->codes;
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.real[i] = codes->scale * (float)crumb_packed_code(codes, s->x.index[i]);
    }
}

/* ---- Convolution. */

typedef struct oracle_window {
    int64_t first;         /* channel of the group's first input */
    int64_t channels, row; /* channels of a group; the output's first weight */
    int64_t top, left;     /* input pixel under kernel position (0, 0) */
} oracle_window;

static int64_t oracle_sum_codes(const oracle_step *s, const oracle_window *w) {
    const int32_t *code = s->oracle->code[s->node->output - 1];
    int64_t sum = 0;
    for (int64_t kh = 0; kh < s->node->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->node->kernel_width; kw++) {
            int64_t h = w->top + kh * s->node->dilation, v = w->left + kw * s->node->dilation;
            for (int64_t c = 0; oracle_inside(s->in, h, v) && c < w->channels; c++) {
                int64_t x = crumb_packed_code(&s->in->codes, s->x.index[oracle_at(s->in, h, v, w->first + c)]);
                sum += x * code[w->row + (kh * s->node->kernel_width + kw) * w->channels + c];
            }
        }
    }
    return sum;
}

/* The weights of one tap for one output: codes or floats. */
typedef struct oracle_tap {
    const int32_t *code;
    const float *weight;
} oracle_tap;

static float oracle_weight_at(const oracle_tap *t, int64_t c) {
    return t->code != NULL ? (float)t->code[c] : t->weight[c];
}

/* Channels that are summed among themselves before they are added; 1: all go into one sum. */
static int64_t oracle_channels_at_a_time(int32_t levels) {
    return levels == 2 ? 4 : levels == 3 || levels == 4 ? 2 : 1;
}

static float oracle_add_tap(float sum, const float *x, const oracle_tap *t, int64_t channels, int64_t together) {
    for (int64_t c = 0; c < channels; c += together) {
        float part = together > 1 ? 0.0f : sum;
        for (int64_t i = c; i < c + together && i < channels; i++) {
            part = fmaf(x[i], oracle_weight_at(t, i), part);
        }
        sum = together > 1 ? sum + part : part;
    }
    return sum;
}

static float oracle_sum_reals(const oracle_step *s, const oracle_window *w) {
    const crumb_packed_tensor *tensor = &s->oracle->packed->tensor[s->node->weight];
    const int32_t *code = s->oracle->code[s->node->output - 1];
    int64_t together = oracle_channels_at_a_time(tensor->codes.levels);
    float sum = 0.0f;
    for (int64_t kh = 0; kh < s->node->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->node->kernel_width; kw++) {
            int64_t h = w->top + kh * s->node->dilation, v = w->left + kw * s->node->dilation;
            int64_t first = w->row + (kh * s->node->kernel_width + kw) * w->channels;
            oracle_tap t = {.code = code != NULL ? code + first : NULL,
                     .weight = code != NULL ? NULL : (const float *)tensor->data + first};
            if (oracle_inside(s->in, h, v)) {
                sum = oracle_add_tap(sum, s->x.real + oracle_at(s->in, h, v, w->first), &t, w->channels, together);
            }
        }
    }
    return sum;
}

static void oracle_conv2d(const oracle_step *s) {
    const crumb_packed *packed = s->oracle->packed;
    const crumb_packed_node *node = s->node;
    const float *multiplier = crumb_packed_floats(packed, node->multiplier), *bias = crumb_packed_floats(packed, node->bias);
    int64_t columns = packed->tensor[node->weight].columns, channels = s->in->channels / node->groups;
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        int64_t o = i % s->out->channels, pixel = i / s->out->channels;
        oracle_window w = {.first = o / (s->out->channels / node->groups) * channels,
                    .channels = channels,
                    .row = o * columns,
                    .top = pixel / s->out->width * node->stride - node->padding,
                    .left = pixel % s->out->width * node->stride - node->padding};
        float sum = s->in->codes.levels != 0 ? (float)oracle_sum_codes(s, &w) : oracle_sum_reals(s, &w);
        s->y.real[i] = fmaf(sum, multiplier[o], bias[o]);
    }
}

/* ---- Element by element. */

static void oracle_affine(const oracle_step *s) {
    const float *multiplier = crumb_packed_floats(s->oracle->packed, s->node->multiplier);
    const float *bias = crumb_packed_floats(s->oracle->packed, s->node->bias);
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        int64_t c = i % s->out->channels;
        s->y.real[i] = fmaf(s->x.real[i], multiplier[c], bias[c]);
    }
}

static void oracle_add(const oracle_step *s) {
    const float *b = s->oracle->value[s->node->input[1]].real;
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.real[i] = s->x.real[i] + b[i];
    }
}

static void oracle_mul(const oracle_step *s) {
    const float *b = s->oracle->value[s->node->input[1]].real;
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.real[i] = s->x.real[i] * b[i];
    }
}

static void oracle_relu(const oracle_step *s) {
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        s->y.real[i] = s->x.real[i] > 0.0f ? s->x.real[i] : 0.0f;
    }
}

static void oracle_prelu(const oracle_step *s) {
    const float *slope = crumb_packed_floats(s->oracle->packed, s->node->extra);
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        float v = s->x.real[i];
        s->y.real[i] = v > 0.0f ? v : slope[i % s->out->channels] * v;
    }
}

static void oracle_clip(const oracle_step *s) {
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        float v = s->x.real[i];
        s->y.real[i] = v < s->node->lo ? s->node->lo : v > s->node->hi ? s->node->hi : v;
    }
}

/* ---- Pools. */

static void oracle_max_pool_at(const oracle_step *s, int64_t h, int64_t w, int64_t c) {
    int64_t best = -1;
    for (int64_t kh = 0; kh < s->node->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->node->kernel_width; kw++) {
            int64_t y = h * s->node->stride - s->node->padding + kh, x = w * s->node->stride - s->node->padding + kw;
            if (!oracle_inside(s->in, y, x)) {
                continue;
            }
            int64_t i = oracle_at(s->in, y, x, c);
            bool larger = best < 0 || (s->x.real != NULL ? s->x.real[i] > s->x.real[best] : s->x.index[i] > s->x.index[best]);
            best = larger ? i : best;
        }
    }
    if (s->x.real != NULL) {
        s->y.real[oracle_at(s->out, h, w, c)] = s->x.real[best];
    } else {
        s->y.index[oracle_at(s->out, h, w, c)] = s->x.index[best];
    }
}

static void oracle_average_pool_at(const oracle_step *s, int64_t h, int64_t w, int64_t c) {
    float sum = 0.0f;
    int32_t count = 0;
    for (int64_t kh = 0; kh < s->node->kernel_height; kh++) {
        for (int64_t kw = 0; kw < s->node->kernel_width; kw++) {
            int64_t y = h * s->node->stride - s->node->padding + kh, x = w * s->node->stride - s->node->padding + kw;
            if (oracle_inside(s->in, y, x)) {
                sum += s->x.real[oracle_at(s->in, y, x, c)];
                count++;
            }
        }
    }
    int32_t divisor = s->node->count_inside ? count : s->node->kernel_height * s->node->kernel_width;
    s->y.real[oracle_at(s->out, h, w, c)] = sum * (1.0f / (float)divisor);
}

static void oracle_for_each_output(const oracle_step *s, void (*of)(const oracle_step *s, int64_t h, int64_t w, int64_t c)) {
    for (int64_t h = 0; h < s->out->height; h++) {
        for (int64_t w = 0; w < s->out->width; w++) {
            for (int64_t c = 0; c < s->out->channels; c++) {
                of(s, h, w, c);
            }
        }
    }
}

static void oracle_max_pool(const oracle_step *s) {
    oracle_for_each_output(s, oracle_max_pool_at);
}

static void oracle_average_pool(const oracle_step *s) {
    oracle_for_each_output(s, oracle_average_pool_at);
}

static void oracle_global_average_pool(const oracle_step *s) {
    int64_t pixels = (int64_t)s->in->height * s->in->width;
    for (int64_t c = 0; c < s->in->channels; c++) {
        float sum = 0.0f;
        for (int64_t p = 0; p < pixels; p++) {
            sum += s->x.real[p * s->in->channels + c];
        }
        s->y.real[c] = sum * (1.0f / (float)pixels);
    }
}

/* ---- Rearranging. */

static void oracle_concat(const oracle_step *s) {
    int64_t pixels = (int64_t)s->out->height * s->out->width, start = 0;
    for (int k = 0; k < s->node->inputs; k++) {
        const float *x = s->oracle->value[s->node->input[k]].real;
        int64_t channels = s->oracle->packed->value[s->node->input[k]].channels;
        for (int64_t i = 0; i < pixels * channels; i++) {
            s->y.real[i / channels * s->out->channels + start + i % channels] = x[i];
        }
        start += channels;
    }
}

static void oracle_pad(const oracle_step *s) {
    for (int64_t i = 0; i < crumb_packed_elements(s->out); i++) {
        int64_t c = i % s->out->channels - s->node->before, pixel = i / s->out->channels;
        s->y.real[i] = c >= 0 && c < s->in->channels ? s->x.real[pixel * s->in->channels + c] : 0.0f;
    }
}

static void oracle_move(const oracle_step *s, int64_t to, int64_t from) {
    if (s->x.real != NULL) {
        s->y.real[to] = s->x.real[from];
    } else {
        s->y.index[to] = s->x.index[from];
    }
}

static void oracle_subsample_at(const oracle_step *s, int64_t h, int64_t w, int64_t c) {
    oracle_move(s, oracle_at(s->out, h, w, c), oracle_at(s->in, h * s->node->stride, w * s->node->stride, c));
}

static void oracle_subsample(const oracle_step *s) {
    oracle_for_each_output(s, oracle_subsample_at);
}

static void oracle_flatten(const oracle_step *s) {
    int64_t pixels = (int64_t)s->in->height * s->in->width;
    for (int64_t i = 0; i < crumb_packed_elements(s->in); i++) {
        oracle_move(s, i % s->in->channels * pixels + i / s->in->channels, i);
    }
}

static void (*const run_op[CRUMB_PACKED_OPS])(const oracle_step *s) = {
    [CRUMB_PACKED_QUANTIZE] = oracle_quantize,
    [CRUMB_PACKED_DEQUANTIZE] = oracle_dequantize,
    [CRUMB_PACKED_CONV2D] = oracle_conv2d,
    [CRUMB_PACKED_AFFINE] = oracle_affine,
    [CRUMB_PACKED_ADD] = oracle_add,
    [CRUMB_PACKED_MUL] = oracle_mul,
    [CRUMB_PACKED_RELU] = oracle_relu,
    [CRUMB_PACKED_PRELU] = oracle_prelu,
    [CRUMB_PACKED_CLIP] = oracle_clip,
    [CRUMB_PACKED_MAX_POOL] = oracle_max_pool,
    [CRUMB_PACKED_AVERAGE_POOL] = oracle_average_pool,
    [CRUMB_PACKED_GLOBAL_AVERAGE_POOL] = oracle_global_average_pool,
    [CRUMB_PACKED_CONCAT] = oracle_concat,
    [CRUMB_PACKED_PAD] = oracle_pad,
    [CRUMB_PACKED_SUBSAMPLE] = oracle_subsample,
    [CRUMB_PACKED_FLATTEN] = oracle_flatten,
};

/* ---- The object. */

void crumb_oracle_run(crumb_oracle *oracle, const float *image) {
    const crumb_packed *packed = oracle->packed;
    memcpy(oracle->value[0].real, image, (size_t)crumb_packed_elements(&packed->value[0]) * sizeof(*image));
    for (int32_t i = 0; i < packed->nodes; i++) {
        const crumb_packed_node *node = &packed->node[i];
        run_op[node->op](&(oracle_step){.oracle = oracle,
                                 .node = node,
                                 .in = &packed->value[node->input[0]],
                                 .out = &packed->value[node->output],
                                 .x = oracle->value[node->input[0]],
                                 .y = oracle->value[node->output]});
    }
}

const float *crumb_oracle_real(const crumb_oracle *oracle, int32_t value) {
    return oracle->value[value].real;
}

const int32_t *crumb_oracle_index(const crumb_oracle *oracle, int32_t value) {
    return oracle->value[value].index;
}

static crumb_status oracle_decode_weight(crumb_oracle *oracle, int32_t node) {
    const crumb_packed *packed = oracle->packed;
    int32_t index = packed->node[node].weight;
    if (index < 0 || packed->tensor[index].codes.levels == 0) {
        return CRUMB_OK;
    }
    const crumb_packed_tensor *t = &packed->tensor[index];
    int32_t *code = oracle->code[node] = crumb_alloc(packed->ctx, (size_t)t->rows * (size_t)t->columns, sizeof(*code));
    uint16_t *row = crumb_alloc(packed->ctx, (size_t)t->columns, sizeof(*row));
    for (int32_t o = 0; code != NULL && row != NULL && o < t->rows; o++) {
        crumb_packed_unpack_row(t, o, row);
        for (int32_t i = 0; i < t->columns; i++) {
            code[(size_t)o * (size_t)t->columns + (size_t)i] = crumb_packed_code(&t->codes, row[i]);
        }
    }
    crumb_free(packed->ctx, row);
    return code != NULL && row != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status oracle_hold_value(crumb_oracle *oracle, int32_t value) {
    const crumb_packed_value *v = &oracle->packed->value[value];
    oracle_held *to = &oracle->value[value];
    size_t count = (size_t)crumb_packed_elements(v);
    if (v->codes.levels != 0) {
        to->index = crumb_alloc(oracle->packed->ctx, count, sizeof(*to->index));
    } else {
        to->real = crumb_alloc(oracle->packed->ctx, count, sizeof(*to->real));
    }
    return to->index != NULL || to->real != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status oracle_fill(crumb_oracle *oracle) {
    const crumb_packed *packed = oracle->packed;
    oracle->value = crumb_alloc(packed->ctx, (size_t)packed->values, sizeof(*oracle->value));
    oracle->code = crumb_alloc(packed->ctx, (size_t)packed->nodes + 1, sizeof(*oracle->code));
    if (oracle->value == NULL || oracle->code == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int32_t i = 0; i < packed->nodes; i++) {
        CRUMB_TRY(oracle_decode_weight(oracle, i));
    }
    for (int32_t i = 0; i < packed->values; i++) {
        CRUMB_TRY(oracle_hold_value(oracle, i));
    }
    return CRUMB_OK;
}

crumb_status crumb_oracle_create(const crumb_packed *packed, crumb_oracle **out) {
    crumb_oracle *oracle = crumb_alloc(packed->ctx, 1, sizeof(*oracle));
    if (oracle == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    oracle->packed = packed;
    crumb_status status = oracle_fill(oracle);
    if (status != CRUMB_OK) {
        crumb_oracle_destroy(oracle);
        return status;
    }
    *out = oracle;
    return CRUMB_OK;
}

void crumb_oracle_destroy(crumb_oracle *oracle) {
    if (oracle == NULL) {
        return;
    }
    crumb_ctx *ctx = oracle->packed->ctx;
    for (int32_t i = 0; oracle->value != NULL && i < oracle->packed->values; i++) {
        crumb_free(ctx, oracle->value[i].real);
        crumb_free(ctx, oracle->value[i].index);
    }
    for (int32_t i = 0; oracle->code != NULL && i < oracle->packed->nodes; i++) {
        crumb_free(ctx, oracle->code[i]);
    }
    crumb_free(ctx, oracle->value);
    crumb_free(ctx, oracle->code);
    crumb_free(ctx, oracle);
}

/* ==== src/pack/read.c */
/* File -> packed network. Everything is checked before it is used, and nothing is believed that can be computed: a file is
 * valid only if the writer would have written it so. Tensors and texts stay in the file's bytes. */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct read_reader {
    crumb_ctx *ctx;
    const char *name; /* of the file */
    const uint8_t *data;
    size_t size;
    crumb_file_header header;
    crumb_file_parts parts;
    crumb_packed *packed;
} read_reader;

/* "<file>: byte 16: ..." */
CRUMB_PRINTF(3, 4) static crumb_status read_bad(const read_reader *r, uint64_t at, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return crumb_fail(r->ctx, CRUMB_ERROR_FORMAT, "%s: byte %" PRIu64 ": %s", r->name, at, text);
}

/* ---- Header. */

bool crumb_packed_probe(const void *head, size_t size) {
    return size >= 8 && memcmp(head, CRUMB_FILE_MAGIC, 8) == 0;
}

static crumb_status read_read_header(read_reader *r) {
    crumb_file_header *h = &r->header;
    if (!crumb_packed_probe(r->data, r->size)) {
        return read_bad(r, 0, "this is not a packed network");
    }
    if (r->size < sizeof(*h)) {
        return read_bad(r, r->size, "the file ends within its header of %zu bytes", sizeof(*h));
    }
    memcpy(h, r->data, sizeof(*h));
    if (h->version != CRUMB_FILE_VERSION) {
        return read_bad(r, offsetof(crumb_file_header, version), "version %" PRIu32 ", this reader knows %d", h->version,
                   CRUMB_FILE_VERSION);
    }
    if (h->bytes != r->size) {
        return read_bad(r, offsetof(crumb_file_header, bytes), "a file of %" PRIu64 " bytes, here are %zu", h->bytes, r->size);
    }
    uint32_t sum = crumb_crc32c(r->data + CRUMB_FILE_SUMMED_FROM, r->size - CRUMB_FILE_SUMMED_FROM);
    if (sum != h->checksum) {
        return read_bad(r, offsetof(crumb_file_header, checksum), "checksum %08" PRIx32 ", the bytes have %08" PRIx32, h->checksum,
                   sum);
    }
    return CRUMB_OK;
}

static crumb_status read_check_zeros(const read_reader *r, uint64_t from, uint64_t to) {
    for (uint64_t at = from; at < to; at++) {
        if (r->data[at] != 0) {
            return read_bad(r, at, "%d where zeros fill a gap", r->data[at]);
        }
    }
    return CRUMB_OK;
}

static crumb_status read_check_parts(read_reader *r) {
    const crumb_file_header *h = &r->header;
    r->parts = crumb_file_parts_of(h);
    if (r->parts.end > r->size || h->values > INT32_MAX || h->tensors > INT32_MAX) {
        return read_bad(r, offsetof(crumb_file_header, values),
                   "%" PRIu32 " values, %" PRIu32 " nodes, %" PRIu32 " tensors, %" PRIu32 " bytes of text end at byte %" PRIu64,
                   h->values, h->nodes, h->tensors, h->text_bytes, r->parts.end);
    }
    if (h->values == 0 || h->nodes != h->values - 1) {
        return read_bad(r, offsetof(crumb_file_header, nodes), "%" PRIu32 " nodes make %" PRIu32 " values", h->nodes, h->values);
    }
    if (h->logits >= h->values || h->classes == 0) {
        return read_bad(r, offsetof(crumb_file_header, logits),
                   "value %" PRIu32 " of %" PRIu32 " is the logits of %" PRIu32 " classes", h->logits, h->values, h->classes);
    }
    for (int c = 0; c < CRUMB_PACKED_PIXEL_MAX; c++) {
        if (!isfinite(h->mean[c]) || !isfinite(h->deviation[c]) || h->deviation[c] <= 0.0f) {
            return read_bad(r, offsetof(crumb_file_header, mean), "normalisation %d is %g, %g", c, (double)h->mean[c],
                       (double)h->deviation[c]);
        }
    }
    return read_check_zeros(r, offsetof(crumb_file_header, zero), sizeof(*h));
}

/* ---- Texts: UTF-8 without control characters, each ended by a zero byte. */

static crumb_status read_check_texts(const read_reader *r) {
    const char *text = (const char *)r->data + r->parts.texts;
    size_t size = r->header.text_bytes;
    if (size == 0 || text[size - 1] != '\0') {
        return read_bad(r, r->parts.end, "the texts do not end with a zero byte");
    }
    for (size_t at = 0; at < size;) {
        uint32_t point;
        size_t length = crumb_utf8_next(text + at, size - at, &point);
        if (length == 0 || (point != 0 && point < 0x20) || (point >= 0x7f && point < 0xa0)) {
            return read_bad(r, r->parts.texts + at, "not UTF-8, or a control character, in a name");
        }
        at += length;
    }
    return CRUMB_OK;
}

/* The text at `offset`, which must be the start of one; `at` is where the offset stands. */
static crumb_status read_find_text(const read_reader *r, uint64_t at, uint32_t offset, const char **text) {
    const char *texts = (const char *)r->data + r->parts.texts;
    if (offset >= r->header.text_bytes || (offset > 0 && texts[offset - 1] != '\0')) {
        return read_bad(r, at, "no text starts at %" PRIu32, offset);
    }
    *text = texts + offset;
    return CRUMB_OK;
}

static crumb_status read_read_class_names(read_reader *r) {
    const crumb_file_header *h = &r->header;
    uint64_t at = offsetof(crumb_file_header, class_names), offset = h->class_names;
    if (h->class_names == CRUMB_FILE_NONE) {
        return CRUMB_OK;
    }
    if (h->classes > h->text_bytes) {
        return read_bad(r, at, "%" PRIu32 " class names in %" PRIu32 " bytes", h->classes, h->text_bytes);
    }
    r->packed->class_name = crumb_alloc(r->ctx, h->classes, sizeof(*r->packed->class_name));
    if (r->packed->class_name == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (uint32_t i = 0; i < h->classes; i++) {
        CRUMB_TRY(read_find_text(r, at, (uint32_t)offset, &r->packed->class_name[i]));
        offset += strlen(r->packed->class_name[i]) + 1;
    }
    return CRUMB_OK;
}

/* ---- Tensors. */

static crumb_status read_check_tensor(const read_reader *r, uint64_t at, const crumb_file_tensor *record, const crumb_packed_tensor *t) {
    bool is_float = t->encoding == CRUMB_PACKED_FLOAT;
    bool fits = is_float                            ? t->codes.levels == 0
                : t->encoding == CRUMB_PACKED_BITS  ? t->codes.levels >= 2
                : t->encoding == CRUMB_PACKED_TRITS ? t->codes.levels == 3
                                                    : false;
    if (!fits || !crumb_packed_codes_valid(&t->codes, CRUMB_PACKED_LEVELS_MAX) || t->rows < 1 || t->columns < 1) {
        return read_bad(r, at,
                   "a tensor of %" PRId32 " x %" PRId32 ", encoding %" PRId32 ", %" PRId32 " levels, code %" PRId32
                   " * index + %" PRId32,
                   record->rows, record->columns, record->encoding, record->levels, record->multiply, record->offset);
    }
    return CRUMB_OK;
}

/* Every index is a level, and what a row's last byte has left is zero. */
static crumb_status read_check_indices(const read_reader *r, const crumb_packed_tensor *t, uint16_t *index, uint8_t *again) {
    uint64_t row_bytes = crumb_packed_row_bytes(t);
    crumb_packed_tensor one = *t;
    for (int32_t row = 0; row < t->rows; row++) {
        one.data = t->data + (uint64_t)row * row_bytes;
        crumb_packed_unpack_row(&one, 0, index);
        unsigned largest = 0;
        for (int32_t i = 0; i < t->columns; i++) {
            largest = index[i] > largest ? index[i] : largest;
        }
        if (largest >= (unsigned)t->codes.levels) {
            return read_bad(r, (uint64_t)(one.data - r->data), "row %" PRId32 " has index %u of %" PRId32 " levels", row, largest,
                       t->codes.levels);
        }
        crumb_packed_pack_row(&one, 0, index, again);
        if (memcmp(again, one.data, row_bytes) != 0) {
            return read_bad(r, (uint64_t)(one.data - r->data), "row %" PRId32 " is not as it is written", row);
        }
    }
    return CRUMB_OK;
}

static crumb_status read_check_content(const read_reader *r, const crumb_packed_tensor *t) {
    if (t->encoding == CRUMB_PACKED_FLOAT) {
        return CRUMB_OK; /* what a float may be depends on its use: rules.c */
    }
    uint16_t *index = crumb_alloc(r->ctx, (size_t)t->columns, sizeof(*index));
    uint8_t *again = crumb_alloc(r->ctx, (size_t)crumb_packed_row_bytes(t), 1);
    crumb_status status = index != NULL && again != NULL ? read_check_indices(r, t, index, again) : CRUMB_ERROR_MEMORY;
    crumb_free(r->ctx, index);
    crumb_free(r->ctx, again);
    return status;
}

/* The tensors follow one another, each at the next multiple of 64; *end is where the next one must be. */
static crumb_status read_read_tensor(const read_reader *r, uint64_t at, crumb_packed_tensor *t, uint64_t *end) {
    crumb_file_tensor record;
    memcpy(&record, r->data + at, sizeof(record));
    *t = (crumb_packed_tensor){
        .encoding = (crumb_packed_encoding)record.encoding,
        .rows = record.rows,
        .columns = record.columns,
        .codes = {record.levels, crumb_packed_bits(record.levels), record.multiply, record.offset, 0.0f},
    };
    CRUMB_TRY(read_check_tensor(r, at, &record, t));
    uint64_t row_bytes = crumb_packed_row_bytes(t), room = r->size - *end;
    if (record.at != *end || row_bytes > room / (uint64_t)t->rows) {
        return read_bad(r, at, "%" PRId32 " rows of %" PRIu64 " bytes at byte %" PRIu64 " of %zu; the last tensor ends at %" PRIu64,
                   t->rows, row_bytes, record.at, r->size, *end);
    }
    t->bytes = (uint64_t)t->rows * row_bytes;
    t->data = r->data + record.at;
    *end = crumb_file_align(record.at + t->bytes);
    if (*end > r->size) {
        return read_bad(r, at, "the tensor ends at byte %" PRIu64 " of %zu", *end, r->size);
    }
    CRUMB_TRY(read_check_content(r, t));
    return read_check_zeros(r, record.at + t->bytes, *end);
}

static crumb_status read_read_tensors(read_reader *r) {
    uint64_t end = crumb_file_align(r->parts.end);
    if (end > r->size) {
        return read_bad(r, r->parts.end, "the file ends within the gap before its tensors");
    }
    CRUMB_TRY(read_check_zeros(r, r->parts.end, end));
    for (int32_t i = 0; i < r->packed->tensors; i++) {
        uint64_t at = r->parts.tensors + (uint64_t)i * sizeof(crumb_file_tensor);
        CRUMB_TRY(read_read_tensor(r, at, &r->packed->tensor[i], &end));
    }
    return end == r->size ? CRUMB_OK : read_bad(r, end, "%zu bytes after the last tensor", (size_t)(r->size - end));
}

/* ---- Values and nodes. */

static crumb_packed_value read_value_of(const crumb_file_value *v) {
    return (crumb_packed_value){.height = v->height,
                                .width = v->width,
                                .channels = v->channels,
                                .codes = {v->levels, crumb_packed_bits(v->levels), v->multiply, v->offset, v->scale}};
}

static crumb_status read_check_image(const read_reader *r, const crumb_packed_value *image) {
    int64_t most = CRUMB_PACKED_ELEMENTS_MAX;
    bool fits = image->codes.levels == 0 && crumb_packed_codes_valid(&image->codes, 2) && image->height >= 1 &&
                image->width >= 1 && image->channels >= 1 && image->channels <= CRUMB_PACKED_PIXEL_MAX &&
                image->height <= most && image->width <= most / image->height / image->channels;
    return fits ? CRUMB_OK
                : read_bad(r, r->parts.values, "an image of %" PRId32 " x %" PRId32 " x %" PRId32 " with %" PRId32 " levels",
                      image->height, image->width, image->channels, image->codes.levels);
}

/* What is stored must be what the node makes. */
static crumb_status read_check_value(const read_reader *r, uint64_t at, const crumb_file_value *stored, const crumb_packed_value *made) {
    bool same = stored->height == made->height && stored->width == made->width && stored->channels == made->channels &&
                stored->levels == made->codes.levels && stored->multiply == made->codes.multiply &&
                stored->offset == made->codes.offset && stored->scale == made->codes.scale && stored->zero == 0;
    return same ? CRUMB_OK
                : read_bad(r, at,
                      "a value of %" PRId32 " x %" PRId32 " x %" PRId32 ", %" PRId32 " levels, where its node makes %" PRId32
                      " x %" PRId32 " x %" PRId32 ", %" PRId32 " levels",
                      stored->height, stored->width, stored->channels, stored->levels, made->height, made->width,
                      made->channels, made->codes.levels);
}

static crumb_status read_node_of(const read_reader *r, uint64_t at, crumb_packed_node *node) {
    crumb_file_node n;
    memcpy(&n, r->data + at, sizeof(n));
    if ((n.flags & ~(uint32_t)(CRUMB_FILE_COUNT_INSIDE | CRUMB_FILE_THRESHOLDS | CRUMB_FILE_CEIL_MODE)) != 0) {
        return read_bad(r, at + offsetof(crumb_file_node, flags), "flags %08" PRIx32, n.flags);
    }
    *node = (crumb_packed_node){
        .op = (crumb_packed_op)n.op,
        .inputs = n.inputs,
        .output = n.output,
        .kernel_height = n.kernel_height,
        .kernel_width = n.kernel_width,
        .stride = n.stride,
        .padding = n.padding,
        .dilation = n.dilation,
        .groups = n.groups,
        .before = n.before,
        .after = n.after,
        .count_inside = (n.flags & CRUMB_FILE_COUNT_INSIDE) != 0,
        .ceil_mode = (n.flags & CRUMB_FILE_CEIL_MODE) != 0,
        .thresholds_form = (n.flags & CRUMB_FILE_THRESHOLDS) != 0,
        .inverse = n.inverse,
        .lo = n.lo,
        .hi = n.hi,
        .weight = n.weight,
        .multiplier = n.multiplier,
        .bias = n.bias,
        .extra = n.extra,
    };
    memcpy(node->input, n.input, sizeof(node->input));
    return read_find_text(r, at, n.name, &node->name);
}

static crumb_status read_read_nodes(read_reader *r) {
    crumb_packed *packed = r->packed;
    crumb_file_value stored;
    memcpy(&stored, r->data + r->parts.values, sizeof(stored));
    packed->value[0] = read_value_of(&stored);
    CRUMB_TRY(read_check_image(r, &packed->value[0]));
    CRUMB_TRY(read_check_value(r, r->parts.values, &stored, &packed->value[0]));
    for (int32_t i = 0; i < packed->nodes; i++) {
        uint64_t value_at = r->parts.values + (uint64_t)(i + 1) * sizeof(crumb_file_value);
        crumb_packed_value *made = &packed->value[i + 1];
        memcpy(&stored, r->data + value_at, sizeof(stored));
        *made = read_value_of(&stored);
        CRUMB_TRY(read_node_of(r, r->parts.nodes + (uint64_t)i * sizeof(crumb_file_node), &packed->node[i]));
        CRUMB_TRY(crumb_packed_infer(packed, r->name, i, made));
        CRUMB_TRY(read_check_value(r, value_at, &stored, made));
    }
    const crumb_packed_value *logits = &packed->value[packed->logits];
    if (logits->codes.levels != 0 || logits->height != 1 || logits->width != 1 || logits->channels != packed->classes) {
        return read_bad(r, offsetof(crumb_file_header, logits), "value %" PRId32 " cannot be the logits of %" PRId32 " classes",
                   packed->logits, packed->classes);
    }
    return CRUMB_OK;
}

/* ---- All of it. */

static crumb_status read_make_room(read_reader *r) {
    const crumb_file_header *h = &r->header;
    crumb_packed *packed = r->packed;
    packed->values = (int32_t)h->values;
    packed->nodes = (int32_t)h->nodes;
    packed->tensors = (int32_t)h->tensors;
    packed->logits = (int32_t)h->logits;
    packed->classes = (int32_t)h->classes;
    memcpy(packed->mean, h->mean, sizeof(packed->mean));
    memcpy(packed->deviation, h->deviation, sizeof(packed->deviation));
    packed->value = crumb_alloc(r->ctx, h->values, sizeof(*packed->value));
    packed->node = crumb_alloc(r->ctx, (size_t)h->nodes + 1, sizeof(*packed->node));
    packed->tensor = crumb_alloc(r->ctx, (size_t)h->tensors + 1, sizeof(*packed->tensor));
    return packed->value != NULL && packed->node != NULL && packed->tensor != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status read_read_all(read_reader *r) {
    CRUMB_TRY(read_read_header(r));
    CRUMB_TRY(read_check_parts(r));
    CRUMB_TRY(read_check_texts(r));
    CRUMB_TRY(read_make_room(r));
    CRUMB_TRY(read_find_text(r, offsetof(crumb_file_header, model), r->header.model, &r->packed->model));
    CRUMB_TRY(read_read_class_names(r));
    CRUMB_TRY(read_read_tensors(r));
    return read_read_nodes(r);
}

crumb_status crumb_packed_parse(crumb_ctx *ctx, const char *name, const void *data, size_t size, crumb_packed **out) {
    if ((uintptr_t)data % CRUMB_FILE_ALIGNMENT != 0) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: the bytes are not aligned to %d", name, CRUMB_FILE_ALIGNMENT);
    }
    crumb_packed *packed = crumb_alloc(ctx, 1, sizeof(*packed));
    if (packed == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    packed->ctx = ctx;
    packed->file = data;
    packed->file_bytes = size;
    read_reader r = {.ctx = ctx, .name = name, .data = data, .size = size, .packed = packed};
    crumb_status status = read_read_all(&r);
    if (status != CRUMB_OK) {
        crumb_packed_close(packed);
        return status;
    }
    *out = packed;
    return CRUMB_OK;
}

crumb_status crumb_packed_open(crumb_ctx *ctx, const char *path, crumb_packed **packed) {
    const uint8_t *data = NULL;
    size_t size = 0;
    CRUMB_TRY(crumb_file_map(ctx, path, &data, &size));
    crumb_status status = crumb_packed_parse(ctx, path, data, size, packed);
    if (status != CRUMB_OK) {
        crumb_file_unmap(data, size);
        return status;
    }
    (*packed)->mapped = true;
    return CRUMB_OK;
}

void crumb_packed_close(crumb_packed *packed) {
    if (packed == NULL) {
        return;
    }
    crumb_ctx *ctx = packed->ctx;
    if (packed->mapped) {
        crumb_file_unmap(packed->file, packed->file_bytes);
    } else if (packed->owned) {
        crumb_free(ctx, (void *)packed->file);
    }
    crumb_free(ctx, packed->value);
    crumb_free(ctx, packed->node);
    crumb_free(ctx, packed->tensor);
    crumb_free(ctx, packed->class_name);
    crumb_free(ctx, packed);
}

/* ==== src/pack/rules.c */
/* The table of ops: names, members, shape rules, operations. */

#include <math.h>
#include <stdio.h>

/* Members of a node that an op reads; the others must be 0, tensor indices -1. */
enum {
    rules_KERNEL = 1 << 0,
    rules_STRIDE = 1 << 1,
    rules_PADDING = 1 << 2,
    rules_DILATION = 1 << 3,
    rules_GROUPS = 1 << 4,
    rules_AROUND = 1 << 5, /* before, after */
    rules_INSIDE = 1 << 6, /* count_inside */
    rules_FORM = 1 << 7,   /* thresholds_form, inverse */
    rules_LIMITS = 1 << 8, /* lo, hi */
    rules_WEIGHT = 1 << 9,
    rules_SCALES = 1 << 10, /* multiplier, bias */
    rules_EXTRA = 1 << 11,
    rules_CEIL = 1 << 12 /* ceil_mode */
};

enum { rules_PADDING_MAX = 255, rules_OFFSET_MAX = 1024 };

typedef struct rules_rule_call {
    const crumb_packed *packed;
    const char *file;
    int32_t index;
    const crumb_packed_node *node;
    const crumb_packed_value *x[CRUMB_PACKED_INPUTS_MAX];
} rules_rule_call;

typedef struct rules_rule {
    const char *name;
    int inputs_min, inputs_max;
    unsigned members;
    crumb_status (*infer)(const rules_rule_call *call, crumb_packed_value *out);
    double per_output; /* operations an element of the output, without those of a window */
} rules_rule;

static const rules_rule rules_rules[CRUMB_PACKED_OPS];

const char *crumb_packed_op_name(crumb_packed_op op) {
    return rules_rules[op].name;
}

/* ---- Failures. */

CRUMB_PRINTF(2, 3) static crumb_status rules_bad(const rules_rule_call *call, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return crumb_fail(call->packed->ctx, CRUMB_ERROR_FORMAT, "%s: node %d, %s '%.80s': %s", call->file, (int)call->index,
                      rules_rules[call->node->op].name, call->node->name, text);
}

static crumb_status rules_need_range(const rules_rule_call *call, const char *what, int32_t value, int32_t min, int32_t max) {
    return value >= min && value <= max ? CRUMB_OK
                                        : rules_bad(call, "%s %d is outside %d .. %d", what, (int)value, (int)min, (int)max);
}

static crumb_status rules_need_real(const rules_rule_call *call) {
    for (int k = 0; k < call->node->inputs; k++) {
        if (call->x[k]->codes.levels != 0) {
            return rules_bad(call, "input %d is codes, not REAL", k);
        }
    }
    return CRUMB_OK;
}

static crumb_status rules_need_codes(const rules_rule_call *call) {
    return call->x[0]->codes.levels != 0 ? CRUMB_OK : rules_bad(call, "the input is REAL, not codes");
}

/* A float tensor of one row and `count` finite numbers. */
static crumb_status rules_need_vector(const rules_rule_call *call, const char *what, int32_t tensor, int32_t count) {
    if (tensor < 0 || tensor >= call->packed->tensors) {
        return rules_bad(call, "%s is tensor %d of %d", what, (int)tensor, (int)call->packed->tensors);
    }
    const crumb_packed_tensor *t = &call->packed->tensor[tensor];
    if (t->encoding != CRUMB_PACKED_FLOAT || t->rows != 1 || t->columns != count) {
        return rules_bad(call, "%s is %d x %d %s, not %d floats", what, (int)t->rows, (int)t->columns,
                   t->encoding == CRUMB_PACKED_FLOAT ? "floats" : "codes", (int)count);
    }
    const float *value = crumb_packed_floats(call->packed, tensor);
    for (int32_t i = 0; i < count; i++) {
        if (!isfinite(value[i])) {
            return rules_bad(call, "%s %d is %g", what, (int)i, (double)value[i]);
        }
    }
    return CRUMB_OK;
}

static crumb_status rules_make(const rules_rule_call *call, crumb_packed_value *out, int64_t height, int64_t width, int64_t channels) {
    int64_t most = CRUMB_PACKED_ELEMENTS_MAX;
    if (height < 1 || width < 1 || channels < 1 || height > most || width > most / height ||
        channels > most / (height * width)) {
        return rules_bad(call, "makes %lld x %lld x %lld elements", (long long)height, (long long)width, (long long)channels);
    }
    out->height = (int32_t)height;
    out->width = (int32_t)width;
    out->channels = (int32_t)channels;
    return CRUMB_OK;
}

static crumb_status rules_make_real(const rules_rule_call *call, crumb_packed_value *out, int64_t height, int64_t width, int64_t channels) {
    out->codes = (crumb_packed_codes){0};
    return rules_make(call, out, height, width, channels);
}

/* ---- Codes. */

static bool rules_same_codes(const crumb_packed_codes *a, const crumb_packed_codes *b) {
    return a->levels == b->levels && a->bits == b->bits && a->multiply == b->multiply && a->offset == b->offset;
}

bool crumb_packed_codes_valid(const crumb_packed_codes *codes, int32_t levels) {
    static const crumb_packed_codes none;
    if (codes->levels == 0) {
        return rules_same_codes(codes, &none) && codes->scale == 0.0f;
    }
    return codes->levels >= 2 && codes->levels <= levels && codes->bits == crumb_packed_bits(codes->levels) &&
           (codes->multiply == 1 || codes->multiply == 2) && codes->offset >= -rules_OFFSET_MAX && codes->offset <= rules_OFFSET_MAX &&
           isfinite(codes->scale) && codes->scale >= 0.0f;
}

static crumb_status rules_infer_rounding(const rules_rule_call *call, const crumb_packed_codes *codes) {
    const crumb_packed_node *node = call->node;
    if (node->extra != -1) {
        return rules_bad(call, "rounds, but has tensor %d", (int)node->extra);
    }
    if (!isfinite(node->inverse) || codes->multiply != 1 || node->lo != (float)codes->offset ||
        node->hi != (float)(codes->offset + codes->levels - 1)) {
        return rules_bad(call, "inverse %g and limits %g .. %g for codes %d .. %d", (double)node->inverse, (double)node->lo,
                   (double)node->hi, (int)codes->offset, (int)(codes->offset + codes->levels - 1));
    }
    return CRUMB_OK;
}

static crumb_status rules_infer_thresholds(const rules_rule_call *call, const crumb_packed_codes *codes) {
    const crumb_packed_node *node = call->node;
    if (node->inverse != 0.0f || node->lo != 0.0f || node->hi != 0.0f) {
        return rules_bad(call, "has thresholds and limits");
    }
    if (node->extra < 0 || node->extra >= call->packed->tensors) {
        return rules_bad(call, "thresholds are tensor %d of %d", (int)node->extra, (int)call->packed->tensors);
    }
    const crumb_packed_tensor *t = &call->packed->tensor[node->extra];
    if (t->encoding != CRUMB_PACKED_FLOAT || t->rows != 1 || t->columns != codes->levels - 1) {
        return rules_bad(call, "%d x %d thresholds for %d levels", (int)t->rows, (int)t->columns, (int)codes->levels);
    }
    const float *threshold = crumb_packed_floats(call->packed, node->extra);
    for (int32_t i = 0; i < t->columns; i++) {
        if (isnan(threshold[i]) || (i > 0 && threshold[i] < threshold[i - 1])) {
            return rules_bad(call, "threshold %d is %g, not above the last", (int)i, (double)threshold[i]);
        }
    }
    return CRUMB_OK;
}

static crumb_status rules_infer_quantize(const rules_rule_call *call, crumb_packed_value *out) {
    const crumb_packed_codes *codes = &out->codes;
    CRUMB_TRY(rules_need_real(call));
    if (codes->levels == 0 || !crumb_packed_codes_valid(codes, CRUMB_PACKED_ACTIVATION_MAX)) {
        return rules_bad(call, "%d levels of %d bits, code %d * index + %d, scale %g", (int)codes->levels, (int)codes->bits,
                   (int)codes->multiply, (int)codes->offset, (double)codes->scale);
    }
    CRUMB_TRY(call->node->thresholds_form ? rules_infer_thresholds(call, codes) : rules_infer_rounding(call, codes));
    return rules_make(call, out, call->x[0]->height, call->x[0]->width, call->x[0]->channels);
}

static crumb_status rules_infer_dequantize(const rules_rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(rules_need_codes(call));
    return rules_make_real(call, out, call->x[0]->height, call->x[0]->width, call->x[0]->channels);
}

/* ---- Convolution. */

/* Pixels of a window's rows (or columns) along an image of `size`: negative if the window does not fit. */
static int64_t rules_positions(int64_t size, int64_t extent, int64_t padding, int64_t stride) {
    int64_t room = size + 2 * padding - extent;
    return room < 0 ? 0 : room / stride + 1;
}

static crumb_status rules_check_window(const rules_rule_call *call) {
    const crumb_packed_node *node = call->node;
    CRUMB_TRY(rules_need_range(call, "kernel height", node->kernel_height, 1, CRUMB_PACKED_WINDOW_MAX));
    CRUMB_TRY(rules_need_range(call, "kernel width", node->kernel_width, 1, CRUMB_PACKED_WINDOW_MAX));
    return rules_need_range(call, "stride", node->stride, 1, CRUMB_PACKED_WINDOW_MAX);
}

static crumb_status rules_check_padding(const rules_rule_call *call, int64_t least_extent) {
    int64_t most = least_extent - 1 < rules_PADDING_MAX ? least_extent - 1 : rules_PADDING_MAX;
    return rules_need_range(call, "padding", call->node->padding, 0, (int32_t)most);
}

/* The weight's tensor, its shape, and the codes on both sides. */
static crumb_status rules_check_weight(const rules_rule_call *call) {
    const crumb_packed_node *node = call->node;
    if (node->weight < 0 || node->weight >= call->packed->tensors) {
        return rules_bad(call, "weight is tensor %d of %d", (int)node->weight, (int)call->packed->tensors);
    }
    const crumb_packed_tensor *weight = &call->packed->tensor[node->weight];
    const crumb_packed_value *x = call->x[0];
    if (node->groups < 1 || x->channels % node->groups != 0 || weight->rows % node->groups != 0) {
        return rules_bad(call, "%d channels and %d outputs in %d groups", (int)x->channels, (int)weight->rows, (int)node->groups);
    }
    int64_t columns = (int64_t)node->kernel_height * node->kernel_width * (x->channels / node->groups);
    if (columns != weight->columns) {
        return rules_bad(call, "weight has %d values an output, the window %lld", (int)weight->columns, (long long)columns);
    }
    if (x->codes.levels == 0) {
        return CRUMB_OK;
    }
    if (weight->codes.levels == 0) {
        return rules_bad(call, "float weights on codes");
    }
    int64_t sum = columns * crumb_packed_reach(&x->codes) * crumb_packed_reach(&weight->codes);
    return sum <= INT32_MAX
               ? CRUMB_OK
               : rules_bad(call, "a sum of %lld products may reach %lld, beyond int32", (long long)columns, (long long)sum);
}

static crumb_status rules_infer_conv2d(const rules_rule_call *call, crumb_packed_value *out) {
    const crumb_packed_node *node = call->node;
    const crumb_packed_value *x = call->x[0];
    CRUMB_TRY(rules_check_window(call));
    CRUMB_TRY(rules_need_range(call, "dilation", node->dilation, 1, CRUMB_PACKED_WINDOW_MAX));
    CRUMB_TRY(rules_check_weight(call));
    int64_t high = (int64_t)(node->kernel_height - 1) * node->dilation + 1;
    int64_t wide = (int64_t)(node->kernel_width - 1) * node->dilation + 1;
    CRUMB_TRY(rules_check_padding(call, high < wide ? high : wide));
    const crumb_packed_tensor *weight = &call->packed->tensor[node->weight];
    CRUMB_TRY(rules_need_vector(call, "multiplier", node->multiplier, weight->rows));
    CRUMB_TRY(rules_need_vector(call, "bias", node->bias, weight->rows));
    if (node->extra >= 0 && node->extra < call->packed->tensors) {
        bool one = call->packed->tensor[node->extra].columns == 1;
        CRUMB_TRY(rules_need_vector(call, "weight scale", node->extra, one ? 1 : weight->rows));
    } else if (node->extra != -1) {
        return rules_bad(call, "weight scales are tensor %d of %d", (int)node->extra, (int)call->packed->tensors);
    }
    return rules_make_real(call, out, rules_positions(x->height, high, node->padding, node->stride),
                     rules_positions(x->width, wide, node->padding, node->stride), weight->rows);
}

/* ---- Element by element. */

static crumb_status rules_infer_same(const rules_rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(rules_need_real(call));
    return rules_make_real(call, out, call->x[0]->height, call->x[0]->width, call->x[0]->channels);
}

static crumb_status rules_infer_affine(const rules_rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(rules_need_vector(call, "multiplier", call->node->multiplier, call->x[0]->channels));
    CRUMB_TRY(rules_need_vector(call, "bias", call->node->bias, call->x[0]->channels));
    return rules_infer_same(call, out);
}

static crumb_status rules_infer_binary(const rules_rule_call *call, crumb_packed_value *out) {
    const crumb_packed_value *a = call->x[0], *b = call->x[1];
    if (a->height != b->height || a->width != b->width || a->channels != b->channels) {
        return rules_bad(call, "inputs of %d x %d x %d and %d x %d x %d", (int)a->height, (int)a->width, (int)a->channels,
                   (int)b->height, (int)b->width, (int)b->channels);
    }
    return rules_infer_same(call, out);
}

static crumb_status rules_infer_prelu(const rules_rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(rules_need_vector(call, "slope", call->node->extra, call->x[0]->channels));
    return rules_infer_same(call, out);
}

static crumb_status rules_infer_clip(const rules_rule_call *call, crumb_packed_value *out) {
    if (!isfinite(call->node->lo) || !isfinite(call->node->hi) || call->node->lo > call->node->hi) {
        return rules_bad(call, "limits %g .. %g", (double)call->node->lo, (double)call->node->hi);
    }
    return rules_infer_same(call, out);
}

/* ---- Pixels and channels. */

/* Of a pool along a side of `size`. With ceil_mode the last one must still begin in front of the image's end. */
static int64_t rules_windows(int64_t size, const crumb_packed_node *node) {
    int64_t count =
        rules_positions(size + (node->ceil_mode ? node->stride - 1 : 0), node->kernel_height, node->padding, node->stride);
    return count > 0 && (count - 1) * node->stride >= size + node->padding ? count - 1 : count;
}

static crumb_status rules_infer_pool(const rules_rule_call *call, crumb_packed_value *out) {
    const crumb_packed_node *node = call->node;
    const crumb_packed_value *x = call->x[0];
    CRUMB_TRY(rules_check_window(call));
    CRUMB_TRY(rules_check_padding(call, node->kernel_height));
    if (node->kernel_height != node->kernel_width) {
        return rules_bad(call, "kernel %d x %d is not square", (int)node->kernel_height, (int)node->kernel_width);
    }
    out->codes = x->codes;
    return rules_make(call, out, rules_windows(x->height, node), rules_windows(x->width, node), x->channels);
}

static crumb_status rules_infer_average_pool(const rules_rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(rules_need_real(call));
    return rules_infer_pool(call, out);
}

static crumb_status rules_infer_global_average_pool(const rules_rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(rules_need_real(call));
    return rules_make_real(call, out, 1, 1, call->x[0]->channels);
}

static crumb_status rules_infer_concat(const rules_rule_call *call, crumb_packed_value *out) {
    const crumb_packed_value *first = call->x[0];
    int64_t channels = 0;
    CRUMB_TRY(rules_need_real(call));
    for (int k = 0; k < call->node->inputs; k++) {
        const crumb_packed_value *x = call->x[k];
        if (x->height != first->height || x->width != first->width) {
            return rules_bad(call, "input %d is %d x %d, the first %d x %d", k, (int)x->height, (int)x->width, (int)first->height,
                       (int)first->width);
        }
        channels += x->channels;
    }
    return rules_make_real(call, out, first->height, first->width, channels);
}

static crumb_status rules_infer_pad(const rules_rule_call *call, crumb_packed_value *out) {
    CRUMB_TRY(rules_need_real(call));
    CRUMB_TRY(rules_need_range(call, "before", call->node->before, 0, CRUMB_PACKED_ELEMENTS_MAX));
    CRUMB_TRY(rules_need_range(call, "after", call->node->after, 0, CRUMB_PACKED_ELEMENTS_MAX));
    return rules_make_real(call, out, call->x[0]->height, call->x[0]->width,
                     (int64_t)call->x[0]->channels + call->node->before + call->node->after);
}

static crumb_status rules_infer_subsample(const rules_rule_call *call, crumb_packed_value *out) {
    const crumb_packed_value *x = call->x[0];
    CRUMB_TRY(rules_need_range(call, "stride", call->node->stride, 1, CRUMB_PACKED_WINDOW_MAX));
    out->codes = x->codes;
    return rules_make(call, out, (x->height - 1) / call->node->stride + 1, (x->width - 1) / call->node->stride + 1, x->channels);
}

static crumb_status rules_infer_flatten(const rules_rule_call *call, crumb_packed_value *out) {
    out->codes = call->x[0]->codes;
    return rules_make(call, out, 1, 1, crumb_packed_elements(call->x[0]));
}

/* ---- The table. */

static const rules_rule rules_rules[CRUMB_PACKED_OPS] = {
    [CRUMB_PACKED_QUANTIZE] = {"quantize", 1, 1, rules_FORM | rules_LIMITS | rules_EXTRA, rules_infer_quantize, 1},
    [CRUMB_PACKED_DEQUANTIZE] = {"dequantize", 1, 1, 0, rules_infer_dequantize, 1},
    [CRUMB_PACKED_CONV2D] = {"conv2d", 1, 1, rules_KERNEL | rules_STRIDE | rules_PADDING | rules_DILATION | rules_GROUPS | rules_WEIGHT | rules_SCALES | rules_EXTRA,
                             rules_infer_conv2d, 0},
    [CRUMB_PACKED_AFFINE] = {"affine", 1, 1, rules_SCALES, rules_infer_affine, 2},
    [CRUMB_PACKED_ADD] = {"add", 2, 2, 0, rules_infer_binary, 1},
    [CRUMB_PACKED_MUL] = {"mul", 2, 2, 0, rules_infer_binary, 1},
    [CRUMB_PACKED_RELU] = {"relu", 1, 1, 0, rules_infer_same, 1},
    [CRUMB_PACKED_PRELU] = {"prelu", 1, 1, rules_EXTRA, rules_infer_prelu, 1},
    [CRUMB_PACKED_CLIP] = {"clip", 1, 1, rules_LIMITS, rules_infer_clip, 1},
    [CRUMB_PACKED_MAX_POOL] = {"max_pool", 1, 1, rules_KERNEL | rules_STRIDE | rules_PADDING | rules_CEIL, rules_infer_pool, 0},
    [CRUMB_PACKED_AVERAGE_POOL] = {"average_pool", 1, 1, rules_KERNEL | rules_STRIDE | rules_PADDING | rules_CEIL | rules_INSIDE, rules_infer_average_pool, 0},
    [CRUMB_PACKED_GLOBAL_AVERAGE_POOL] = {"global_average_pool", 1, 1, 0, rules_infer_global_average_pool, 0},
    [CRUMB_PACKED_CONCAT] = {"concat", 1, CRUMB_PACKED_INPUTS_MAX, 0, rules_infer_concat, 0},
    [CRUMB_PACKED_PAD] = {"pad", 1, 1, rules_AROUND, rules_infer_pad, 0},
    [CRUMB_PACKED_SUBSAMPLE] = {"subsample", 1, 1, rules_STRIDE, rules_infer_subsample, 0},
    [CRUMB_PACKED_FLATTEN] = {"flatten", 1, 1, 0, rules_infer_flatten, 0},
};

static bool rules_unused_members_are_clear(const crumb_packed_node *node, unsigned members) {
    const struct {
        unsigned member;
        bool clear;
    } parts[] = {
        {rules_KERNEL, node->kernel_height == 0 && node->kernel_width == 0},
        {rules_STRIDE, node->stride == 0},
        {rules_PADDING, node->padding == 0},
        {rules_DILATION, node->dilation == 0},
        {rules_GROUPS, node->groups == 0},
        {rules_AROUND, node->before == 0 && node->after == 0},
        {rules_INSIDE, !node->count_inside},
        {rules_CEIL, !node->ceil_mode},
        {rules_FORM, !node->thresholds_form && node->inverse == 0.0f},
        {rules_LIMITS, node->lo == 0.0f && node->hi == 0.0f},
        {rules_WEIGHT, node->weight == -1},
        {rules_SCALES, node->multiplier == -1 && node->bias == -1},
        {rules_EXTRA, node->extra == -1},
    };
    bool clear = true;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        clear = clear && (parts[i].clear || (members & parts[i].member) != 0);
    }
    return clear;
}

crumb_status crumb_packed_infer(const crumb_packed *packed, const char *file, int32_t index, crumb_packed_value *out) {
    const crumb_packed_node *node = &packed->node[index];
    if ((unsigned)node->op >= CRUMB_PACKED_OPS) {
        return crumb_fail(packed->ctx, CRUMB_ERROR_FORMAT, "%s: node %d '%.80s': there is no op %d", file, (int)index,
                          node->name, (int)node->op);
    }
    const rules_rule *row = &rules_rules[node->op];
    rules_rule_call call = {.packed = packed, .file = file, .index = index, .node = node};
    CRUMB_TRY(rules_need_range(&call, "number of inputs", node->inputs, row->inputs_min, row->inputs_max));
    for (int k = 0; k < node->inputs; k++) {
        CRUMB_TRY(rules_need_range(&call, "input", node->input[k], 0, index));
        call.x[k] = &packed->value[node->input[k]];
    }
    for (int k = node->inputs; k < CRUMB_PACKED_INPUTS_MAX; k++) {
        CRUMB_TRY(rules_need_range(&call, "input that is none", node->input[k], 0, 0));
    }
    if (node->output != index + 1) {
        return rules_bad(&call, "makes value %d, not %d", (int)node->output, (int)index + 1);
    }
    if (!rules_unused_members_are_clear(node, row->members)) {
        return rules_bad(&call, "a member that the op does not have is set");
    }
    return row->infer(&call, out);
}

double crumb_packed_operations(const crumb_packed *packed, int32_t index) {
    const crumb_packed_node *node = &packed->node[index];
    double outputs = (double)crumb_packed_elements(&packed->value[node->output]);
    double window = (double)node->kernel_height * (double)node->kernel_width;
    switch (node->op) {
    case CRUMB_PACKED_CONV2D:
        return 2.0 * outputs * (double)packed->tensor[node->weight].columns;
    case CRUMB_PACKED_GLOBAL_AVERAGE_POOL:
        return (double)crumb_packed_elements(&packed->value[node->input[0]]);
    default:
        return outputs * (rules_rules[node->op].per_output + window);
    }
}

/* ==== src/pack/write.c */
/* Packed network -> file. The bytes are a function of the network alone. */

#include <string.h>

typedef struct write_sizes {
    uint64_t write_text_bytes, bytes;
} write_sizes;

static uint64_t write_tensor_bytes(const crumb_packed_tensor *tensor) {
    return (uint64_t)tensor->rows * crumb_packed_row_bytes(tensor);
}

static uint64_t write_text_bytes(const crumb_packed *packed) {
    uint64_t bytes = strlen(packed->model) + 1;
    for (int32_t i = 0; packed->class_name != NULL && i < packed->classes; i++) {
        bytes += strlen(packed->class_name[i]) + 1;
    }
    for (int32_t i = 0; i < packed->nodes; i++) {
        bytes += strlen(packed->node[i].name) + 1;
    }
    return bytes;
}

static crumb_file_header write_header_of(const crumb_packed *packed) {
    crumb_file_header header = {
        .magic = CRUMB_FILE_MAGIC,
        .version = CRUMB_FILE_VERSION,
        .values = (uint32_t)packed->values,
        .nodes = (uint32_t)packed->nodes,
        .tensors = (uint32_t)packed->tensors,
        .text_bytes = (uint32_t)write_text_bytes(packed),
        .logits = (uint32_t)packed->logits,
        .classes = (uint32_t)packed->classes,
        .class_names = CRUMB_FILE_NONE,
    };
    memcpy(header.mean, packed->mean, sizeof(header.mean));
    memcpy(header.deviation, packed->deviation, sizeof(header.deviation));
    header.bytes = crumb_file_align(crumb_file_parts_of(&header).end);
    for (int32_t i = 0; i < packed->tensors; i++) {
        header.bytes += crumb_file_align(write_tensor_bytes(&packed->tensor[i]));
    }
    return header;
}

static void write_write_values(const crumb_packed *packed, uint8_t *at) {
    for (int32_t i = 0; i < packed->values; i++) {
        const crumb_packed_value *v = &packed->value[i];
        crumb_file_value record = {v->height,         v->width,        v->channels,    v->codes.levels,
                                   v->codes.multiply, v->codes.offset, v->codes.scale, 0};
        memcpy(at + (size_t)i * sizeof(record), &record, sizeof(record));
    }
}

static void write_write_tensors(const crumb_packed *packed, uint8_t *bytes, const crumb_file_parts *parts) {
    uint64_t at = crumb_file_align(parts->end);
    for (int32_t i = 0; i < packed->tensors; i++) {
        const crumb_packed_tensor *t = &packed->tensor[i];
        crumb_file_tensor record = {(int32_t)t->encoding, t->rows,         t->columns, t->codes.levels,
                                    t->codes.multiply,    t->codes.offset, at};
        memcpy(bytes + parts->tensors + (size_t)i * sizeof(record), &record, sizeof(record));
        memcpy(bytes + at, t->data, write_tensor_bytes(t));
        at += crumb_file_align(write_tensor_bytes(t));
    }
}

static crumb_file_node write_node_record(const crumb_packed_node *n, uint32_t name) {
    crumb_file_node record = {
        .name = name,
        .op = (int32_t)n->op,
        .inputs = n->inputs,
        .output = n->output,
        .kernel_height = n->kernel_height,
        .kernel_width = n->kernel_width,
        .stride = n->stride,
        .padding = n->padding,
        .dilation = n->dilation,
        .groups = n->groups,
        .before = n->before,
        .after = n->after,
        .flags = (n->count_inside ? CRUMB_FILE_COUNT_INSIDE : 0u) | (n->thresholds_form ? CRUMB_FILE_THRESHOLDS : 0u) |
                 (n->ceil_mode ? CRUMB_FILE_CEIL_MODE : 0u),
        .inverse = n->inverse,
        .lo = n->lo,
        .hi = n->hi,
        .weight = n->weight,
        .multiplier = n->multiplier,
        .bias = n->bias,
        .extra = n->extra,
    };
    memcpy(record.input, n->input, sizeof(record.input));
    return record;
}

/* Puts a text behind the last one and returns its offset in the texts. */
static uint32_t write_put_text(uint8_t *texts, uint32_t *used, const char *text) {
    uint32_t at = *used;
    size_t size = strlen(text) + 1;
    memcpy(texts + at, text, size);
    *used += (uint32_t)size;
    return at;
}

static void write_write_texts_and_nodes(const crumb_packed *packed, uint8_t *bytes, const crumb_file_parts *parts,
                                  crumb_file_header *header) {
    uint8_t *texts = bytes + parts->texts;
    uint32_t used = 0;
    header->model = write_put_text(texts, &used, packed->model);
    for (int32_t i = 0; packed->class_name != NULL && i < packed->classes; i++) {
        uint32_t at = write_put_text(texts, &used, packed->class_name[i]);
        header->class_names = i == 0 ? at : header->class_names;
    }
    for (int32_t i = 0; i < packed->nodes; i++) {
        crumb_file_node record = write_node_record(&packed->node[i], write_put_text(texts, &used, packed->node[i].name));
        memcpy(bytes + parts->nodes + (size_t)i * sizeof(record), &record, sizeof(record));
    }
}

crumb_status crumb_packed_bytes(const crumb_packed *packed, uint8_t **out, size_t *size) {
    if (write_text_bytes(packed) >= CRUMB_FILE_NONE) {
        return crumb_fail(packed->ctx, CRUMB_ERROR_UNSUPPORTED, "%llu bytes of names are more than a packed file holds",
                          (unsigned long long)write_text_bytes(packed));
    }
    crumb_file_header header = write_header_of(packed);
    crumb_file_parts parts = crumb_file_parts_of(&header);
    uint8_t *bytes = crumb_alloc(packed->ctx, (size_t)header.bytes, 1);
    if (bytes == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    write_write_values(packed, bytes + parts.values);
    write_write_tensors(packed, bytes, &parts);
    write_write_texts_and_nodes(packed, bytes, &parts, &header);
    memcpy(bytes, &header, sizeof(header));
    header.checksum = crumb_crc32c(bytes + CRUMB_FILE_SUMMED_FROM, (size_t)header.bytes - CRUMB_FILE_SUMMED_FROM);
    memcpy(bytes, &header, sizeof(header));
    *out = bytes;
    *size = (size_t)header.bytes;
    return CRUMB_OK;
}

crumb_status crumb_packed_write(const crumb_packed *packed, const char *path) {
    uint8_t *bytes;
    size_t size;
    CRUMB_TRY(crumb_packed_bytes(packed, &bytes, &size));
    crumb_status status = crumb_file_write(packed->ctx, path, bytes, size);
    crumb_free(packed->ctx, bytes);
    return status;
}

/* ==== src/runtime/chain.c */
/* Chains in plain C: pixel by pixel, up to BLOCK channels at a time, link by link. */

#include <math.h>
#include <string.h>

enum { chain_BLOCK = 64 };

/* Channels c0 .. c0 + n - 1 of one pixel of the stack. */
typedef struct chain_block {
    const crumb_chain *chain;
    int64_t pixel;
    int32_t c0, n;
    float v[chain_BLOCK];
    int32_t q[chain_BLOCK];
} chain_block;

/* ---- First links. */

static void chain_take(chain_block *b, const crumb_link *link, const void *acc) {
    const int32_t *sum = acc;
    const float *real = acc;
    const uint8_t *index = acc;
    for (int32_t i = 0; i < b->n; i++) {
        int32_t c = b->c0 + i;
        switch (link->op) {
        case CRUMB_LINK_SCALE:
            b->v[i] = fmaf((float)sum[i], link->a[c], link->b[c]);
            break;
        case CRUMB_LINK_COUNT:
            b->q[i] = 0;
            for (int32_t k = 0; k < link->thresholds; k++) {
                b->q[i] += (sum[i] ^ link->flip[c]) >= link->threshold[(size_t)k * (size_t)b->chain->channels + (size_t)c];
            }
            break;
        case CRUMB_LINK_REAL:
            b->v[i] = real[i];
            break;
        default:
            b->q[i] = index[i];
            break;
        }
    }
}

static void chain_load(const chain_block *b, const crumb_link *link, float *to) {
    const uint8_t *pixel = crumb_link_pixel(b->chain, link, b->pixel);
    bool codes = crumb_link_is_bytes(link->op);
    for (int32_t i = 0; i < b->n; i++) {
        int32_t c = b->c0 + i - link->before;
        if (c < 0 || c >= link->channels) {
            to[i] = 0.0f;
        } else if (codes) {
            to[i] = link->scale * (float)(link->multiply * pixel[c] + link->offset);
        } else {
            memcpy(&to[i], pixel + (size_t)c * sizeof(float), sizeof(float));
        }
    }
}

static void chain_load_index(chain_block *b, const crumb_link *link) {
    const uint8_t *pixel = crumb_link_pixel(b->chain, link, b->pixel);
    for (int32_t i = 0; i < b->n; i++) {
        b->q[i] = pixel[b->c0 + i];
    }
}

/* ---- v from v. */

static void chain_change(chain_block *b, const crumb_link *link, const float *operand) {
    for (int32_t i = 0; i < b->n; i++) {
        int32_t c = b->c0 + i;
        float v = b->v[i];
        switch (link->op) {
        case CRUMB_LINK_AFFINE:
            v = fmaf(v, link->a[c], link->b[c]);
            break;
        case CRUMB_LINK_ADD:
        case CRUMB_LINK_ADD_CODES:
            v = v + operand[i];
            break;
        case CRUMB_LINK_MUL:
        case CRUMB_LINK_MUL_CODES:
            v = v * operand[i];
            break;
        case CRUMB_LINK_RELU:
            v = v > 0.0f ? v : 0.0f;
            break;
        case CRUMB_LINK_PRELU:
            v = v > 0.0f ? v : link->a[c] * v;
            break;
        default:
            v = v < link->lo ? link->lo : v > link->hi ? link->hi : v;
            break;
        }
        b->v[i] = v;
    }
}

/* ---- q from v. */

static void chain_quantize(chain_block *b, const crumb_link *link) {
    for (int32_t i = 0; i < b->n; i++) {
        if (link->op == CRUMB_LINK_ROUND) {
            float v = b->v[i] * link->inverse;
            v = v > link->lo ? v : link->lo;
            v = v < link->hi ? v : link->hi;
            b->q[i] = (int32_t)(rintf(v) - link->lo);
        } else {
            b->q[i] = 0;
            for (int32_t k = 0; k < link->thresholds; k++) {
                b->q[i] += b->v[i] >= link->a[k];
            }
        }
    }
}

/* ---- Stores. */

static void chain_store_index(const chain_block *b, const crumb_link *link) {
    uint8_t *pixel = crumb_link_pixel(b->chain, link, b->pixel);
    for (int32_t i = 0; i < b->n; i++) {
        pixel[b->c0 + i] = (uint8_t)b->q[i];
    }
}

static void chain_run_link(chain_block *b, const crumb_link *link, const void *acc) {
    float operand[chain_BLOCK];
    switch (link->op) {
    case CRUMB_LINK_SCALE:
    case CRUMB_LINK_COUNT:
    case CRUMB_LINK_REAL:
    case CRUMB_LINK_INDEX:
        chain_take(b, link, acc);
        break;
    case CRUMB_LINK_LOAD:
    case CRUMB_LINK_LOAD_CODES:
        chain_load(b, link, b->v);
        break;
    case CRUMB_LINK_LOAD_INDEX:
        chain_load_index(b, link);
        break;
    case CRUMB_LINK_ADD:
    case CRUMB_LINK_ADD_CODES:
    case CRUMB_LINK_MUL:
    case CRUMB_LINK_MUL_CODES:
        chain_load(b, link, operand);
        chain_change(b, link, operand);
        break;
    case CRUMB_LINK_ROUND:
    case CRUMB_LINK_THRESHOLDS:
        chain_quantize(b, link);
        break;
    case CRUMB_LINK_STORE:
        memcpy(crumb_link_pixel(b->chain, link, b->pixel) + (size_t)b->c0 * sizeof(float), b->v, (size_t)b->n * sizeof(float));
        break;
    case CRUMB_LINK_STORE_INDEX:
        chain_store_index(b, link);
        break;
    default:
        chain_change(b, link, NULL);
        break;
    }
}

void crumb_chain_run(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc, int32_t stride) {
    const crumb_chain *chain = user;
    chain_block b = {.chain = chain};
    for (int32_t p = 0; p < pixels; p++) {
        b.pixel = pixel + p;
        for (int32_t c = 0; c < channels; c += chain_BLOCK) {
            b.c0 = o + c;
            b.n = channels - c < chain_BLOCK ? channels - c : chain_BLOCK;
            const uint8_t *from = acc;
            from = from != NULL ? from + ((size_t)p * (size_t)stride + (size_t)c) * crumb_chain_item(chain) : NULL;
            for (int32_t i = 0; i < chain->links; i++) {
                chain_run_link(&b, &chain->link[i], from);
            }
        }
    }
}

/* ==== src/runtime/chain__avx2.c */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
/* Chains with AVX2 and FMA: eight lanes. */

#include <immintrin.h>

#define chain__avx2_RUN crumb_chain_run__avx2
#define chain__avx2_WIDTH 8
#define chain__avx2_V static inline __attribute__((always_inline))

typedef __m256 chain__avx2_reals;
typedef __m256i chain__avx2_words;
typedef __m128i chain__avx2_bytes; /* the low eight */
typedef __m256i chain__avx2_counts;
typedef struct chain__avx2_lanes {
    int32_t lo, hi;
} chain__avx2_lanes;

chain__avx2_V chain__avx2_lanes chain__avx2_lanes_of(int32_t lo, int32_t hi) {
    return (chain__avx2_lanes){lo, hi};
}
chain__avx2_V chain__avx2_words chain__avx2_mask_of(chain__avx2_lanes m) {
    const chain__avx2_words place = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(m.lo), place),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32(m.hi), place));
}
chain__avx2_V chain__avx2_reals chain__avx2_r_load(const void *p, chain__avx2_lanes m, bool full) {
    return full ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, chain__avx2_mask_of(m));
}
chain__avx2_V chain__avx2_words chain__avx2_w_load(const void *p, chain__avx2_lanes m, bool full) {
    return full ? _mm256_loadu_si256(p) : _mm256_maskload_epi32(p, chain__avx2_mask_of(m));
}
chain__avx2_V chain__avx2_bytes chain__avx2_b_load(const void *p, chain__avx2_lanes m, bool full) {
    uint64_t eight = 0;
    if (full) {
        __builtin_memcpy(&eight, p, sizeof(eight));
    } else {
        for (int32_t i = m.lo; i < m.hi; i++) {
            eight |= (uint64_t)((const uint8_t *)p)[i] << 8 * i;
        }
    }
    return _mm_cvtsi64_si128((int64_t)eight);
}
chain__avx2_V void chain__avx2_r_store(void *p, chain__avx2_lanes m, bool full, chain__avx2_reals v) {
    if (full) {
        _mm256_storeu_ps(p, v);
    } else {
        _mm256_maskstore_ps(p, chain__avx2_mask_of(m), v);
    }
}
chain__avx2_V void chain__avx2_b_store(void *p, int32_t n, bool full, chain__avx2_bytes q) {
    uint64_t eight = (uint64_t)_mm_cvtsi128_si64(q);
    __builtin_memcpy(p, &eight, full ? sizeof(eight) : (size_t)n);
}
chain__avx2_V chain__avx2_reals chain__avx2_r_set1(float x) {
    return _mm256_set1_ps(x);
}
chain__avx2_V chain__avx2_reals chain__avx2_r_add(chain__avx2_reals a, chain__avx2_reals b) {
    return _mm256_add_ps(a, b);
}
chain__avx2_V chain__avx2_reals chain__avx2_r_mul(chain__avx2_reals a, chain__avx2_reals b) {
    return _mm256_mul_ps(a, b);
}
chain__avx2_V chain__avx2_reals chain__avx2_r_fma(chain__avx2_reals a, chain__avx2_reals b, chain__avx2_reals c) {
    return _mm256_fmadd_ps(a, b, c);
}
chain__avx2_V chain__avx2_reals chain__avx2_r_max(chain__avx2_reals a, chain__avx2_reals b) {
    return _mm256_max_ps(a, b);
}
chain__avx2_V chain__avx2_reals chain__avx2_r_min(chain__avx2_reals a, chain__avx2_reals b) {
    return _mm256_min_ps(a, b);
}
chain__avx2_V chain__avx2_reals chain__avx2_r_prelu(chain__avx2_reals v, chain__avx2_reals slope) {
    return _mm256_blendv_ps(_mm256_mul_ps(slope, v), v, _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ));
}
chain__avx2_V chain__avx2_reals chain__avx2_r_clip(chain__avx2_reals v, chain__avx2_reals lo, chain__avx2_reals hi) {
    return _mm256_blendv_ps(_mm256_min_ps(hi, v), lo, _mm256_cmp_ps(v, lo, _CMP_LT_OQ));
}
chain__avx2_V chain__avx2_reals chain__avx2_r_keep(chain__avx2_lanes m, chain__avx2_reals v) {
    return _mm256_and_ps(v, _mm256_castsi256_ps(chain__avx2_mask_of(m)));
}
chain__avx2_V chain__avx2_reals chain__avx2_w_real(chain__avx2_words q) {
    return _mm256_cvtepi32_ps(q);
}
chain__avx2_V chain__avx2_words chain__avx2_r_round(chain__avx2_reals v) {
    return _mm256_cvtps_epi32(v);
}
chain__avx2_V chain__avx2_words chain__avx2_b_words(chain__avx2_bytes q) {
    return _mm256_cvtepu8_epi32(q);
}
chain__avx2_V chain__avx2_bytes chain__avx2_w_bytes(chain__avx2_words a) {
    const __m128i low = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    return _mm_unpacklo_epi32(_mm_shuffle_epi8(_mm256_castsi256_si128(a), low),
                              _mm_shuffle_epi8(_mm256_extracti128_si256(a, 1), low));
}
chain__avx2_V chain__avx2_bytes chain__avx2_b_zero(void) {
    return _mm_setzero_si128();
}
chain__avx2_V chain__avx2_words chain__avx2_w_set1(int32_t x) {
    return _mm256_set1_epi32(x);
}
chain__avx2_V chain__avx2_words chain__avx2_w_sub(chain__avx2_words a, chain__avx2_words b) {
    return _mm256_sub_epi32(a, b);
}
chain__avx2_V chain__avx2_words chain__avx2_w_xor(chain__avx2_words a, chain__avx2_words b) {
    return _mm256_xor_si256(a, b);
}
chain__avx2_V chain__avx2_counts chain__avx2_c_zero(void) {
    return _mm256_setzero_si256();
}
chain__avx2_V chain__avx2_counts chain__avx2_r_count(chain__avx2_counts n, chain__avx2_reals v, chain__avx2_reals t) {
    return _mm256_sub_epi32(n, _mm256_castps_si256(_mm256_cmp_ps(v, t, _CMP_GE_OQ)));
}
chain__avx2_V chain__avx2_counts chain__avx2_w_count(chain__avx2_counts n, chain__avx2_words a, chain__avx2_words t) {
    return _mm256_sub_epi32(n, _mm256_andnot_si256(_mm256_cmpgt_epi32(t, a), _mm256_set1_epi32(-1)));
}
chain__avx2_V chain__avx2_bytes chain__avx2_c_bytes(chain__avx2_counts n) {
    return chain__avx2_w_bytes(n);
}

/* Chains on vectors: crumb_chain_run for one instruction set, bit for bit. A block of up to four pixels by one vector of channels goes
 * through all links in registers, so a link costs its arithmetic and a quarter of a jump. The including file defines before it:
 *
 *     RUN, WIDTH                       the function's name; lanes of a vector, 8 or 16
 *     reals, words, bytes, lanes       vectors of float, int32_t, uint8_t; which lanes exist
 *     counts                           vector of small counts
 *     lanes_of(lo, hi)                 lanes lo .. hi - 1
 *     r_load(p, m, full) w_load b_load lanes m of memory, 0 elsewhere; all lanes when full
 *     r_store(p, m, full, v)           b_store(p, n, full, q): the first n lanes
 *     r_set1 r_add r_mul r_fma(a, b, c) = a * b + c
 *     r_max(a, b) = a > b ? a : b      the second operand if either is NaN or both are zeros; r_min likewise
 *     r_prelu(v, s) = v > 0 ? v : s * v        r_clip(v, lo, hi) = v < lo ? lo : v > hi ? hi : v
 *     r_keep(m, v)                     v in lanes m, 0 elsewhere
 *     w_real(a), b_words(q)            conversions; r_round(v) to words, to nearest even; w_bytes(a) the low bytes
 *     w_sub w_xor w_set1 b_zero
 *     c_zero()  r_count(n, v, t), w_count(n, a, t): n + (v >= t), n + (a >= t)  c_bytes(n) */
#define chain__avx2_INLINE static inline __attribute__((always_inline))
enum { chain__avx2_PIXELS = 4 };

/* One call of the sink. */
typedef struct chain__avx2_strip {
    const crumb_chain *chain;
    const uint8_t *acc;
    size_t acc_pixel, acc_item;
    int32_t o;                       /* channel of acc[0] */
    uint8_t *at[CRUMB_LINKS_MAX];    /* the links' operands at the strip's first pixel, channel 0 */
    size_t advance[CRUMB_LINKS_MAX]; /* from there to the next pixel's, bytes */
} chain__avx2_strip;

/* `pixels` pixels from the p-th, channels c .. c + n - 1 of them; pixels and full (n is WIDTH) are constants. */
typedef struct chain__avx2_block {
    const chain__avx2_strip *s;
    int32_t p, c, n;
} chain__avx2_block;

chain__avx2_INLINE chain__avx2_lanes chain__avx2_lanes_here(const chain__avx2_block *b, const bool full) {
    return chain__avx2_lanes_of(0, full ? chain__avx2_WIDTH : b->n);
}

chain__avx2_INLINE const void *chain__avx2_acc_at(const chain__avx2_block *b, int i) {
    const chain__avx2_strip *s = b->s;
    return s->acc + (size_t)(b->p + i) * s->acc_pixel + (size_t)(b->c - s->o) * s->acc_item;
}

chain__avx2_INLINE uint8_t *chain__avx2_operand_at(const chain__avx2_block *b, int index, int i) {
    return b->s->at[index] + (size_t)(b->p + i) * b->s->advance[index];
}

/* ---- Loads. An operand may have fewer channels than the chain: the lanes it has. */

chain__avx2_INLINE bool chain__avx2_has_all(const chain__avx2_block *b, const crumb_link *link, const bool full) {
    return full && link->before <= b->c && b->c - link->before + chain__avx2_WIDTH <= link->channels;
}

chain__avx2_INLINE chain__avx2_lanes chain__avx2_operand_lanes(const chain__avx2_block *b, const crumb_link *link) {
    int32_t lo = link->before - b->c, hi = lo + link->channels;
    lo = lo < 0 ? 0 : lo > b->n ? b->n : lo;
    hi = hi < lo ? lo : hi > b->n ? b->n : hi;
    return chain__avx2_lanes_of(lo, hi);
}

chain__avx2_INLINE void chain__avx2_load_reals(chain__avx2_reals *to, const chain__avx2_block *b, int index, const int pixels, const bool full) {
    const crumb_link *link = &b->s->chain->link[index];
    ptrdiff_t at = ((ptrdiff_t)b->c - link->before) * (ptrdiff_t)sizeof(float);
    if (chain__avx2_has_all(b, link, full)) {
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            to[i] = chain__avx2_r_load(chain__avx2_operand_at(b, index, i) + at, chain__avx2_lanes_of(0, chain__avx2_WIDTH), true);
        }
        return;
    }
    chain__avx2_lanes m = chain__avx2_operand_lanes(b, link);
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        to[i] = chain__avx2_r_load(chain__avx2_operand_at(b, index, i) + at, m, false);
    }
}

/* (float)multiply * q + (float)offset is exact: magnitudes below 2^24. */
chain__avx2_INLINE void chain__avx2_load_codes(chain__avx2_reals *to, const chain__avx2_block *b, int index, const int pixels, const bool full) {
    const crumb_link *link = &b->s->chain->link[index];
    chain__avx2_reals scale = chain__avx2_r_set1(link->scale), multiply = chain__avx2_r_set1((float)link->multiply), offset = chain__avx2_r_set1((float)link->offset);
    bool all = chain__avx2_has_all(b, link, full);
    chain__avx2_lanes m = all ? chain__avx2_lanes_of(0, chain__avx2_WIDTH) : chain__avx2_operand_lanes(b, link);
    ptrdiff_t at = (ptrdiff_t)b->c - link->before;
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        const uint8_t *from = chain__avx2_operand_at(b, index, i) + at;
        chain__avx2_bytes q = all ? chain__avx2_b_load(from, m, true) : chain__avx2_b_load(from, m, false);
        to[i] = chain__avx2_r_keep(m, chain__avx2_r_mul(scale, chain__avx2_r_fma(chain__avx2_w_real(chain__avx2_b_words(q)), multiply, offset)));
    }
}

/* ---- Links. Each function does those that it knows and says whether it was one. */

chain__avx2_INLINE bool chain__avx2_link_first(chain__avx2_reals *v, chain__avx2_bytes *q, const chain__avx2_block *b, int index, const int pixels, const bool full) {
    const crumb_link *link = &b->s->chain->link[index];
    chain__avx2_lanes m = chain__avx2_lanes_here(b, full);
    switch (link->op) {
    case CRUMB_LINK_SCALE: {
        chain__avx2_reals multiplier = chain__avx2_r_load(link->a + b->c, m, full), bias = chain__avx2_r_load(link->b + b->c, m, full);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx2_r_fma(chain__avx2_w_real(chain__avx2_w_load(chain__avx2_acc_at(b, i), m, full)), multiplier, bias);
        }
        return true;
    }
    case CRUMB_LINK_COUNT: {
        chain__avx2_words flip = chain__avx2_w_load(link->flip + b->c, m, full), sum[chain__avx2_PIXELS];
        chain__avx2_counts n[chain__avx2_PIXELS];
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            sum[i] = chain__avx2_w_xor(chain__avx2_w_load(chain__avx2_acc_at(b, i), m, full), flip);
            n[i] = chain__avx2_c_zero();
        }
        for (int32_t k = 0; k < link->thresholds; k++) {
            chain__avx2_words threshold = chain__avx2_w_load(link->threshold + (ptrdiff_t)k * b->s->chain->channels + b->c, m, full);
#pragma GCC unroll 4
            for (int i = 0; i < pixels; i++) {
                n[i] = chain__avx2_w_count(n[i], sum[i], threshold);
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            q[i] = chain__avx2_c_bytes(n[i]);
        }
        return true;
    }
    case CRUMB_LINK_REAL:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx2_r_load(chain__avx2_acc_at(b, i), m, full);
        }
        return true;
    case CRUMB_LINK_INDEX:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            q[i] = chain__avx2_b_load(chain__avx2_acc_at(b, i), m, full);
        }
        return true;
    case CRUMB_LINK_LOAD_INDEX:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            q[i] = chain__avx2_b_load(chain__avx2_operand_at(b, index, i) + b->c, m, full);
        }
        return true;
    default:
        return false;
    }
}

chain__avx2_INLINE void chain__avx2_link_operand(chain__avx2_reals *v, const chain__avx2_block *b, int index, const int pixels, const bool full) {
    crumb_link_op op = b->s->chain->link[index].op;
    chain__avx2_reals with[chain__avx2_PIXELS];
    if (op == CRUMB_LINK_ADD || op == CRUMB_LINK_MUL || op == CRUMB_LINK_LOAD) {
        chain__avx2_load_reals(with, b, index, pixels, full);
    } else {
        chain__avx2_load_codes(with, b, index, pixels, full);
    }
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        v[i] = op == CRUMB_LINK_LOAD || op == CRUMB_LINK_LOAD_CODES  ? with[i]
               : op == CRUMB_LINK_ADD || op == CRUMB_LINK_ADD_CODES ? chain__avx2_r_add(v[i], with[i])
                                                                    : chain__avx2_r_mul(v[i], with[i]);
    }
}

chain__avx2_INLINE void chain__avx2_link_change(chain__avx2_reals *v, const chain__avx2_block *b, const crumb_link *link, const int pixels, const bool full) {
    chain__avx2_lanes m = chain__avx2_lanes_here(b, full);
    switch (link->op) {
    case CRUMB_LINK_AFFINE: {
        chain__avx2_reals multiplier = chain__avx2_r_load(link->a + b->c, m, full), bias = chain__avx2_r_load(link->b + b->c, m, full);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx2_r_fma(v[i], multiplier, bias);
        }
        break;
    }
    case CRUMB_LINK_PRELU: {
        chain__avx2_reals slope = chain__avx2_r_load(link->a + b->c, m, full);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx2_r_prelu(v[i], slope);
        }
        break;
    }
    case CRUMB_LINK_RELU:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx2_r_max(v[i], chain__avx2_r_set1(0.0f));
        }
        break;
    default:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx2_r_clip(v[i], chain__avx2_r_set1(link->lo), chain__avx2_r_set1(link->hi));
        }
        break;
    }
}

chain__avx2_INLINE void chain__avx2_link_quantize(chain__avx2_bytes *q, const chain__avx2_reals *v, const crumb_link *link, const int pixels) {
    if (link->op == CRUMB_LINK_ROUND) {
        chain__avx2_reals inverse = chain__avx2_r_set1(link->inverse), lo = chain__avx2_r_set1(link->lo), hi = chain__avx2_r_set1(link->hi);
        chain__avx2_words first = chain__avx2_w_set1((int32_t)link->lo);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            q[i] = chain__avx2_w_bytes(chain__avx2_w_sub(chain__avx2_r_round(chain__avx2_r_min(chain__avx2_r_max(chain__avx2_r_mul(v[i], inverse), lo), hi)), first));
        }
        return;
    }
    chain__avx2_counts n[chain__avx2_PIXELS];
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        n[i] = chain__avx2_c_zero();
    }
    for (int32_t k = 0; k < link->thresholds; k++) {
        chain__avx2_reals threshold = chain__avx2_r_set1(link->a[k]);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            n[i] = chain__avx2_r_count(n[i], v[i], threshold);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        q[i] = chain__avx2_c_bytes(n[i]);
    }
}

chain__avx2_INLINE void chain__avx2_run_block(const chain__avx2_block *b, const int pixels, const bool full) {
    chain__avx2_reals v[chain__avx2_PIXELS];
    chain__avx2_bytes q[chain__avx2_PIXELS];
    const crumb_chain *chain = b->s->chain;
#pragma GCC unroll 4
    for (int i = 0; i < chain__avx2_PIXELS; i++) {
        v[i] = chain__avx2_r_set1(0.0f);
        q[i] = chain__avx2_b_zero();
    }
    for (int32_t index = 0; index < chain->links; index++) {
        const crumb_link *link = &chain->link[index];
        switch (link->op) {
        case CRUMB_LINK_STORE:
#pragma GCC unroll 4
            for (int i = 0; i < pixels; i++) {
                chain__avx2_r_store(chain__avx2_operand_at(b, index, i) + (size_t)b->c * sizeof(float), chain__avx2_lanes_here(b, full), full, v[i]);
            }
            break;
        case CRUMB_LINK_STORE_INDEX:
#pragma GCC unroll 4
            for (int i = 0; i < pixels; i++) {
                chain__avx2_b_store(chain__avx2_operand_at(b, index, i) + b->c, b->n, full, q[i]);
            }
            break;
        case CRUMB_LINK_ROUND:
        case CRUMB_LINK_THRESHOLDS:
            chain__avx2_link_quantize(q, v, link, pixels);
            break;
        case CRUMB_LINK_AFFINE:
        case CRUMB_LINK_RELU:
        case CRUMB_LINK_PRELU:
        case CRUMB_LINK_CLIP:
            chain__avx2_link_change(v, b, link, pixels, full);
            break;
        default:
            if (!chain__avx2_link_first(v, q, b, index, pixels, full)) {
                chain__avx2_link_operand(v, b, index, pixels, full);
            }
            break;
        }
    }
}

/* Pixels of a strip whose operands advance evenly. */
static void chain__avx2_run_strip(chain__avx2_strip *s, int64_t pixel, int32_t pixels, int32_t channels) {
    const crumb_chain *chain = s->chain;
    for (int32_t i = 0; i < chain->links; i++) {
        s->at[i] = crumb_link_pixel(chain, &chain->link[i], pixel);
        s->advance[i] = (size_t)chain->link[i].step * chain->link[i].pixel;
    }
    for (int32_t c = 0; c < channels; c += chain__avx2_WIDTH) {
        chain__avx2_block b = {s, 0, s->o + c, channels - c < chain__avx2_WIDTH ? channels - c : chain__avx2_WIDTH};
        bool full = b.n == chain__avx2_WIDTH;
        for (; b.p + chain__avx2_PIXELS <= pixels && full; b.p += chain__avx2_PIXELS) {
            chain__avx2_run_block(&b, chain__avx2_PIXELS, true);
        }
        for (; b.p < pixels && full; b.p++) {
            chain__avx2_run_block(&b, 1, true);
        }
        for (; b.p + chain__avx2_PIXELS <= pixels; b.p += chain__avx2_PIXELS) {
            chain__avx2_run_block(&b, chain__avx2_PIXELS, false);
        }
        for (; b.p < pixels; b.p++) {
            chain__avx2_run_block(&b, 1, false);
        }
    }
}

void chain__avx2_RUN(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc, int32_t stride) {
    const crumb_chain *chain = user;
    chain__avx2_strip s; /* member by member: most of the arrays stays unused */
    s.chain = chain;
    s.acc = acc;
    s.o = o;
    s.acc_item = crumb_chain_item(chain);
    s.acc_pixel = (size_t)stride * s.acc_item;
    while (pixels > 0) {
        int32_t some = pixels;
        if (chain->steps) { /* a subsampled operand does not advance evenly past its row */
            int32_t row = chain->width - (int32_t)(pixel % chain->width);
            some = row < pixels ? row : pixels;
        }
        chain__avx2_run_strip(&s, pixel, some, channels);
        s.acc = s.acc != NULL ? s.acc + (size_t)some * s.acc_pixel : NULL;
        pixel += some;
        pixels -= some;
    }
}
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/* ==== src/runtime/chain__avx512.c */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c")
#endif
/* Chains with AVX-512: sixteen lanes, masks for those that exist. */

#include <immintrin.h>

#define chain__avx512_RUN crumb_chain_run__avx512
#define chain__avx512_WIDTH 16
#define chain__avx512_V static inline __attribute__((always_inline))

typedef __m512 chain__avx512_reals;
typedef __m512i chain__avx512_words;
typedef __m128i chain__avx512_bytes;
typedef __m128i chain__avx512_counts;
typedef __mmask16 chain__avx512_lanes;

chain__avx512_V chain__avx512_lanes chain__avx512_lanes_of(int32_t lo, int32_t hi) {
    return (chain__avx512_lanes)(((1u << hi) - 1) & ~((1u << lo) - 1));
}
chain__avx512_V chain__avx512_reals chain__avx512_r_load(const void *p, chain__avx512_lanes m, bool full) {
    return full ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(m, p);
}
chain__avx512_V chain__avx512_words chain__avx512_w_load(const void *p, chain__avx512_lanes m, bool full) {
    return full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi32(m, p);
}
chain__avx512_V chain__avx512_bytes chain__avx512_b_load(const void *p, chain__avx512_lanes m, bool full) {
    return full ? _mm_loadu_si128(p) : _mm_maskz_loadu_epi8(m, p);
}
chain__avx512_V void chain__avx512_r_store(void *p, chain__avx512_lanes m, bool full, chain__avx512_reals v) {
    if (full) {
        _mm512_storeu_ps(p, v);
    } else {
        _mm512_mask_storeu_ps(p, m, v);
    }
}
chain__avx512_V void chain__avx512_b_store(void *p, int32_t n, bool full, chain__avx512_bytes q) {
    if (full) {
        _mm_storeu_si128(p, q);
    } else {
        _mm_mask_storeu_epi8(p, chain__avx512_lanes_of(0, n), q);
    }
}
chain__avx512_V chain__avx512_reals chain__avx512_r_set1(float x) {
    return _mm512_set1_ps(x);
}
chain__avx512_V chain__avx512_reals chain__avx512_r_add(chain__avx512_reals a, chain__avx512_reals b) {
    return _mm512_add_ps(a, b);
}
chain__avx512_V chain__avx512_reals chain__avx512_r_mul(chain__avx512_reals a, chain__avx512_reals b) {
    return _mm512_mul_ps(a, b);
}
chain__avx512_V chain__avx512_reals chain__avx512_r_fma(chain__avx512_reals a, chain__avx512_reals b, chain__avx512_reals c) {
    return _mm512_fmadd_ps(a, b, c);
}
chain__avx512_V chain__avx512_reals chain__avx512_r_max(chain__avx512_reals a, chain__avx512_reals b) {
    return _mm512_max_ps(a, b);
}
chain__avx512_V chain__avx512_reals chain__avx512_r_min(chain__avx512_reals a, chain__avx512_reals b) {
    return _mm512_min_ps(a, b);
}
chain__avx512_V chain__avx512_reals chain__avx512_r_prelu(chain__avx512_reals v, chain__avx512_reals slope) {
    return _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NGT_UQ), slope, v);
}
chain__avx512_V chain__avx512_reals chain__avx512_r_clip(chain__avx512_reals v, chain__avx512_reals lo, chain__avx512_reals hi) {
    return _mm512_mask_mov_ps(_mm512_min_ps(hi, v), _mm512_cmp_ps_mask(v, lo, _CMP_LT_OQ), lo);
}
chain__avx512_V chain__avx512_reals chain__avx512_r_keep(chain__avx512_lanes m, chain__avx512_reals v) {
    return _mm512_maskz_mov_ps(m, v);
}
chain__avx512_V chain__avx512_reals chain__avx512_w_real(chain__avx512_words q) {
    return _mm512_cvtepi32_ps(q);
}
chain__avx512_V chain__avx512_words chain__avx512_r_round(chain__avx512_reals v) {
    return _mm512_cvtps_epi32(v);
}
chain__avx512_V chain__avx512_words chain__avx512_b_words(chain__avx512_bytes q) {
    return _mm512_cvtepu8_epi32(q);
}
chain__avx512_V chain__avx512_bytes chain__avx512_w_bytes(chain__avx512_words a) {
    return _mm512_cvtepi32_epi8(a);
}
chain__avx512_V chain__avx512_bytes chain__avx512_b_zero(void) {
    return _mm_setzero_si128();
}
chain__avx512_V chain__avx512_words chain__avx512_w_set1(int32_t x) {
    return _mm512_set1_epi32(x);
}
chain__avx512_V chain__avx512_words chain__avx512_w_sub(chain__avx512_words a, chain__avx512_words b) {
    return _mm512_sub_epi32(a, b);
}
chain__avx512_V chain__avx512_words chain__avx512_w_xor(chain__avx512_words a, chain__avx512_words b) {
    return _mm512_xor_si512(a, b);
}
chain__avx512_V chain__avx512_counts chain__avx512_c_zero(void) {
    return _mm_setzero_si128();
}
chain__avx512_V chain__avx512_counts chain__avx512_r_count(chain__avx512_counts n, chain__avx512_reals v, chain__avx512_reals t) {
    return _mm_mask_sub_epi8(n, _mm512_cmp_ps_mask(v, t, _CMP_GE_OQ), n, _mm_set1_epi8(-1));
}
chain__avx512_V chain__avx512_counts chain__avx512_w_count(chain__avx512_counts n, chain__avx512_words a, chain__avx512_words t) {
    return _mm_mask_sub_epi8(n, _mm512_cmpge_epi32_mask(a, t), n, _mm_set1_epi8(-1));
}
chain__avx512_V chain__avx512_bytes chain__avx512_c_bytes(chain__avx512_counts n) {
    return n;
}

/* Chains on vectors: crumb_chain_run for one instruction set, bit for bit. A block of up to four pixels by one vector of channels goes
 * through all links in registers, so a link costs its arithmetic and a quarter of a jump. The including file defines before it:
 *
 *     RUN, WIDTH                       the function's name; lanes of a vector, 8 or 16
 *     reals, words, bytes, lanes       vectors of float, int32_t, uint8_t; which lanes exist
 *     counts                           vector of small counts
 *     lanes_of(lo, hi)                 lanes lo .. hi - 1
 *     r_load(p, m, full) w_load b_load lanes m of memory, 0 elsewhere; all lanes when full
 *     r_store(p, m, full, v)           b_store(p, n, full, q): the first n lanes
 *     r_set1 r_add r_mul r_fma(a, b, c) = a * b + c
 *     r_max(a, b) = a > b ? a : b      the second operand if either is NaN or both are zeros; r_min likewise
 *     r_prelu(v, s) = v > 0 ? v : s * v        r_clip(v, lo, hi) = v < lo ? lo : v > hi ? hi : v
 *     r_keep(m, v)                     v in lanes m, 0 elsewhere
 *     w_real(a), b_words(q)            conversions; r_round(v) to words, to nearest even; w_bytes(a) the low bytes
 *     w_sub w_xor w_set1 b_zero
 *     c_zero()  r_count(n, v, t), w_count(n, a, t): n + (v >= t), n + (a >= t)  c_bytes(n) */
#define chain__avx512_INLINE static inline __attribute__((always_inline))
enum { chain__avx512_PIXELS = 4 };

/* One call of the sink. */
typedef struct chain__avx512_strip {
    const crumb_chain *chain;
    const uint8_t *acc;
    size_t acc_pixel, acc_item;
    int32_t o;                       /* channel of acc[0] */
    uint8_t *at[CRUMB_LINKS_MAX];    /* the links' operands at the strip's first pixel, channel 0 */
    size_t advance[CRUMB_LINKS_MAX]; /* from there to the next pixel's, bytes */
} chain__avx512_strip;

/* `pixels` pixels from the p-th, channels c .. c + n - 1 of them; pixels and full (n is WIDTH) are constants. */
typedef struct chain__avx512_block {
    const chain__avx512_strip *s;
    int32_t p, c, n;
} chain__avx512_block;

chain__avx512_INLINE chain__avx512_lanes chain__avx512_lanes_here(const chain__avx512_block *b, const bool full) {
    return chain__avx512_lanes_of(0, full ? chain__avx512_WIDTH : b->n);
}

chain__avx512_INLINE const void *chain__avx512_acc_at(const chain__avx512_block *b, int i) {
    const chain__avx512_strip *s = b->s;
    return s->acc + (size_t)(b->p + i) * s->acc_pixel + (size_t)(b->c - s->o) * s->acc_item;
}

chain__avx512_INLINE uint8_t *chain__avx512_operand_at(const chain__avx512_block *b, int index, int i) {
    return b->s->at[index] + (size_t)(b->p + i) * b->s->advance[index];
}

/* ---- Loads. An operand may have fewer channels than the chain: the lanes it has. */

chain__avx512_INLINE bool chain__avx512_has_all(const chain__avx512_block *b, const crumb_link *link, const bool full) {
    return full && link->before <= b->c && b->c - link->before + chain__avx512_WIDTH <= link->channels;
}

chain__avx512_INLINE chain__avx512_lanes chain__avx512_operand_lanes(const chain__avx512_block *b, const crumb_link *link) {
    int32_t lo = link->before - b->c, hi = lo + link->channels;
    lo = lo < 0 ? 0 : lo > b->n ? b->n : lo;
    hi = hi < lo ? lo : hi > b->n ? b->n : hi;
    return chain__avx512_lanes_of(lo, hi);
}

chain__avx512_INLINE void chain__avx512_load_reals(chain__avx512_reals *to, const chain__avx512_block *b, int index, const int pixels, const bool full) {
    const crumb_link *link = &b->s->chain->link[index];
    ptrdiff_t at = ((ptrdiff_t)b->c - link->before) * (ptrdiff_t)sizeof(float);
    if (chain__avx512_has_all(b, link, full)) {
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            to[i] = chain__avx512_r_load(chain__avx512_operand_at(b, index, i) + at, chain__avx512_lanes_of(0, chain__avx512_WIDTH), true);
        }
        return;
    }
    chain__avx512_lanes m = chain__avx512_operand_lanes(b, link);
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        to[i] = chain__avx512_r_load(chain__avx512_operand_at(b, index, i) + at, m, false);
    }
}

/* (float)multiply * q + (float)offset is exact: magnitudes below 2^24. */
chain__avx512_INLINE void chain__avx512_load_codes(chain__avx512_reals *to, const chain__avx512_block *b, int index, const int pixels, const bool full) {
    const crumb_link *link = &b->s->chain->link[index];
    chain__avx512_reals scale = chain__avx512_r_set1(link->scale), multiply = chain__avx512_r_set1((float)link->multiply), offset = chain__avx512_r_set1((float)link->offset);
    bool all = chain__avx512_has_all(b, link, full);
    chain__avx512_lanes m = all ? chain__avx512_lanes_of(0, chain__avx512_WIDTH) : chain__avx512_operand_lanes(b, link);
    ptrdiff_t at = (ptrdiff_t)b->c - link->before;
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        const uint8_t *from = chain__avx512_operand_at(b, index, i) + at;
        chain__avx512_bytes q = all ? chain__avx512_b_load(from, m, true) : chain__avx512_b_load(from, m, false);
        to[i] = chain__avx512_r_keep(m, chain__avx512_r_mul(scale, chain__avx512_r_fma(chain__avx512_w_real(chain__avx512_b_words(q)), multiply, offset)));
    }
}

/* ---- Links. Each function does those that it knows and says whether it was one. */

chain__avx512_INLINE bool chain__avx512_link_first(chain__avx512_reals *v, chain__avx512_bytes *q, const chain__avx512_block *b, int index, const int pixels, const bool full) {
    const crumb_link *link = &b->s->chain->link[index];
    chain__avx512_lanes m = chain__avx512_lanes_here(b, full);
    switch (link->op) {
    case CRUMB_LINK_SCALE: {
        chain__avx512_reals multiplier = chain__avx512_r_load(link->a + b->c, m, full), bias = chain__avx512_r_load(link->b + b->c, m, full);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx512_r_fma(chain__avx512_w_real(chain__avx512_w_load(chain__avx512_acc_at(b, i), m, full)), multiplier, bias);
        }
        return true;
    }
    case CRUMB_LINK_COUNT: {
        chain__avx512_words flip = chain__avx512_w_load(link->flip + b->c, m, full), sum[chain__avx512_PIXELS];
        chain__avx512_counts n[chain__avx512_PIXELS];
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            sum[i] = chain__avx512_w_xor(chain__avx512_w_load(chain__avx512_acc_at(b, i), m, full), flip);
            n[i] = chain__avx512_c_zero();
        }
        for (int32_t k = 0; k < link->thresholds; k++) {
            chain__avx512_words threshold = chain__avx512_w_load(link->threshold + (ptrdiff_t)k * b->s->chain->channels + b->c, m, full);
#pragma GCC unroll 4
            for (int i = 0; i < pixels; i++) {
                n[i] = chain__avx512_w_count(n[i], sum[i], threshold);
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            q[i] = chain__avx512_c_bytes(n[i]);
        }
        return true;
    }
    case CRUMB_LINK_REAL:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx512_r_load(chain__avx512_acc_at(b, i), m, full);
        }
        return true;
    case CRUMB_LINK_INDEX:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            q[i] = chain__avx512_b_load(chain__avx512_acc_at(b, i), m, full);
        }
        return true;
    case CRUMB_LINK_LOAD_INDEX:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            q[i] = chain__avx512_b_load(chain__avx512_operand_at(b, index, i) + b->c, m, full);
        }
        return true;
    default:
        return false;
    }
}

chain__avx512_INLINE void chain__avx512_link_operand(chain__avx512_reals *v, const chain__avx512_block *b, int index, const int pixels, const bool full) {
    crumb_link_op op = b->s->chain->link[index].op;
    chain__avx512_reals with[chain__avx512_PIXELS];
    if (op == CRUMB_LINK_ADD || op == CRUMB_LINK_MUL || op == CRUMB_LINK_LOAD) {
        chain__avx512_load_reals(with, b, index, pixels, full);
    } else {
        chain__avx512_load_codes(with, b, index, pixels, full);
    }
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        v[i] = op == CRUMB_LINK_LOAD || op == CRUMB_LINK_LOAD_CODES  ? with[i]
               : op == CRUMB_LINK_ADD || op == CRUMB_LINK_ADD_CODES ? chain__avx512_r_add(v[i], with[i])
                                                                    : chain__avx512_r_mul(v[i], with[i]);
    }
}

chain__avx512_INLINE void chain__avx512_link_change(chain__avx512_reals *v, const chain__avx512_block *b, const crumb_link *link, const int pixels, const bool full) {
    chain__avx512_lanes m = chain__avx512_lanes_here(b, full);
    switch (link->op) {
    case CRUMB_LINK_AFFINE: {
        chain__avx512_reals multiplier = chain__avx512_r_load(link->a + b->c, m, full), bias = chain__avx512_r_load(link->b + b->c, m, full);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx512_r_fma(v[i], multiplier, bias);
        }
        break;
    }
    case CRUMB_LINK_PRELU: {
        chain__avx512_reals slope = chain__avx512_r_load(link->a + b->c, m, full);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx512_r_prelu(v[i], slope);
        }
        break;
    }
    case CRUMB_LINK_RELU:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx512_r_max(v[i], chain__avx512_r_set1(0.0f));
        }
        break;
    default:
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            v[i] = chain__avx512_r_clip(v[i], chain__avx512_r_set1(link->lo), chain__avx512_r_set1(link->hi));
        }
        break;
    }
}

chain__avx512_INLINE void chain__avx512_link_quantize(chain__avx512_bytes *q, const chain__avx512_reals *v, const crumb_link *link, const int pixels) {
    if (link->op == CRUMB_LINK_ROUND) {
        chain__avx512_reals inverse = chain__avx512_r_set1(link->inverse), lo = chain__avx512_r_set1(link->lo), hi = chain__avx512_r_set1(link->hi);
        chain__avx512_words first = chain__avx512_w_set1((int32_t)link->lo);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            q[i] = chain__avx512_w_bytes(chain__avx512_w_sub(chain__avx512_r_round(chain__avx512_r_min(chain__avx512_r_max(chain__avx512_r_mul(v[i], inverse), lo), hi)), first));
        }
        return;
    }
    chain__avx512_counts n[chain__avx512_PIXELS];
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        n[i] = chain__avx512_c_zero();
    }
    for (int32_t k = 0; k < link->thresholds; k++) {
        chain__avx512_reals threshold = chain__avx512_r_set1(link->a[k]);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; i++) {
            n[i] = chain__avx512_r_count(n[i], v[i], threshold);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < pixels; i++) {
        q[i] = chain__avx512_c_bytes(n[i]);
    }
}

chain__avx512_INLINE void chain__avx512_run_block(const chain__avx512_block *b, const int pixels, const bool full) {
    chain__avx512_reals v[chain__avx512_PIXELS];
    chain__avx512_bytes q[chain__avx512_PIXELS];
    const crumb_chain *chain = b->s->chain;
#pragma GCC unroll 4
    for (int i = 0; i < chain__avx512_PIXELS; i++) {
        v[i] = chain__avx512_r_set1(0.0f);
        q[i] = chain__avx512_b_zero();
    }
    for (int32_t index = 0; index < chain->links; index++) {
        const crumb_link *link = &chain->link[index];
        switch (link->op) {
        case CRUMB_LINK_STORE:
#pragma GCC unroll 4
            for (int i = 0; i < pixels; i++) {
                chain__avx512_r_store(chain__avx512_operand_at(b, index, i) + (size_t)b->c * sizeof(float), chain__avx512_lanes_here(b, full), full, v[i]);
            }
            break;
        case CRUMB_LINK_STORE_INDEX:
#pragma GCC unroll 4
            for (int i = 0; i < pixels; i++) {
                chain__avx512_b_store(chain__avx512_operand_at(b, index, i) + b->c, b->n, full, q[i]);
            }
            break;
        case CRUMB_LINK_ROUND:
        case CRUMB_LINK_THRESHOLDS:
            chain__avx512_link_quantize(q, v, link, pixels);
            break;
        case CRUMB_LINK_AFFINE:
        case CRUMB_LINK_RELU:
        case CRUMB_LINK_PRELU:
        case CRUMB_LINK_CLIP:
            chain__avx512_link_change(v, b, link, pixels, full);
            break;
        default:
            if (!chain__avx512_link_first(v, q, b, index, pixels, full)) {
                chain__avx512_link_operand(v, b, index, pixels, full);
            }
            break;
        }
    }
}

/* Pixels of a strip whose operands advance evenly. */
static void chain__avx512_run_strip(chain__avx512_strip *s, int64_t pixel, int32_t pixels, int32_t channels) {
    const crumb_chain *chain = s->chain;
    for (int32_t i = 0; i < chain->links; i++) {
        s->at[i] = crumb_link_pixel(chain, &chain->link[i], pixel);
        s->advance[i] = (size_t)chain->link[i].step * chain->link[i].pixel;
    }
    for (int32_t c = 0; c < channels; c += chain__avx512_WIDTH) {
        chain__avx512_block b = {s, 0, s->o + c, channels - c < chain__avx512_WIDTH ? channels - c : chain__avx512_WIDTH};
        bool full = b.n == chain__avx512_WIDTH;
        for (; b.p + chain__avx512_PIXELS <= pixels && full; b.p += chain__avx512_PIXELS) {
            chain__avx512_run_block(&b, chain__avx512_PIXELS, true);
        }
        for (; b.p < pixels && full; b.p++) {
            chain__avx512_run_block(&b, 1, true);
        }
        for (; b.p + chain__avx512_PIXELS <= pixels; b.p += chain__avx512_PIXELS) {
            chain__avx512_run_block(&b, chain__avx512_PIXELS, false);
        }
        for (; b.p < pixels; b.p++) {
            chain__avx512_run_block(&b, 1, false);
        }
    }
}

void chain__avx512_RUN(void *user, int64_t pixel, int32_t pixels, int32_t o, int32_t channels, void *acc, int32_t stride) {
    const crumb_chain *chain = user;
    chain__avx512_strip s; /* member by member: most of the arrays stays unused */
    s.chain = chain;
    s.acc = acc;
    s.o = o;
    s.acc_item = crumb_chain_item(chain);
    s.acc_pixel = (size_t)stride * s.acc_item;
    while (pixels > 0) {
        int32_t some = pixels;
        if (chain->steps) { /* a subsampled operand does not advance evenly past its row */
            int32_t row = chain->width - (int32_t)(pixel % chain->width);
            some = row < pixels ? row : pixels;
        }
        chain__avx512_run_strip(&s, pixel, some, channels);
        s.acc = s.acc != NULL ? s.acc + (size_t)some * s.acc_pixel : NULL;
        pixel += some;
        pixels -= some;
    }
}
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/* ==== src/runtime/kernel.c */
/* The table behind kernels.inc and the choice among its rows. */

#if defined(__x86_64__)
#define CRUMB_CONV_X86(name) CRUMB_CONV(name)
#define CRUMB_CONV_ARM(name)
#elif defined(__aarch64__)
#define CRUMB_CONV_X86(name)
#define CRUMB_CONV_ARM(name) CRUMB_CONV(name)
#else
#define CRUMB_CONV_X86(name)
#define CRUMB_CONV_ARM(name)
#endif

#define CRUMB_CONV(name) extern const crumb_conv_kernel crumb_conv_##name;
/* Convolution kernels, best first: crumb_conv_prepare takes the first that fits (runtime/kernel.h). X86 and ARM rows exist where such a
 * processor is compiled for. */
CRUMB_CONV_X86(lookup__avx512vbmi)
CRUMB_CONV_X86(bytes__avx512vnni)
CRUMB_CONV(bytes__scalar)
CRUMB_CONV(lookup__scalar)
CRUMB_CONV(real__scalar)
CRUMB_CONV(direct__scalar)
#undef CRUMB_CONV

const crumb_conv_kernel *const crumb_conv_kernels[] = {
#define CRUMB_CONV(name) &crumb_conv_##name,
/* Convolution kernels, best first: crumb_conv_prepare takes the first that fits (runtime/kernel.h). X86 and ARM rows exist where such a
 * processor is compiled for. */
CRUMB_CONV_X86(lookup__avx512vbmi)
CRUMB_CONV_X86(bytes__avx512vnni)
CRUMB_CONV(bytes__scalar)
CRUMB_CONV(lookup__scalar)
CRUMB_CONV(real__scalar)
CRUMB_CONV(direct__scalar)
#undef CRUMB_CONV
    NULL,
};

crumb_conv_problem crumb_conv_problem_of(const crumb_packed *packed, const crumb_packed_node *node) {
    const crumb_packed_value *x = &packed->value[node->input[0]], *y = &packed->value[node->output];
    return (crumb_conv_problem){.height = x->height,
                                .width = x->width,
                                .channels = x->channels,
                                .out_height = y->height,
                                .out_width = y->width,
                                .out_channels = y->channels,
                                .kernel_height = node->kernel_height,
                                .kernel_width = node->kernel_width,
                                .stride = node->stride,
                                .padding = node->padding,
                                .dilation = node->dilation,
                                .groups = node->groups,
                                .x = x->codes,
                                .w = packed->tensor[node->weight].codes};
}

crumb_status crumb_conv_prepare_with(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                     const void *weight, crumb_conv_ready *ready) {
    crumb_conv_ready made = {.kernel = kernel, .problem = *problem};
    CRUMB_TRY(kernel->prepare(ctx, kernel, problem, weight, &made));
    *ready = made;
    return CRUMB_OK;
}

const crumb_conv_kernel *crumb_conv_choose(const crumb_ctx *ctx, const crumb_conv_problem *problem) {
    const crumb_conv_kernel *const *kernel = crumb_conv_kernels;
    while (((*kernel)->cpu & ~crumb_cpu(ctx)) != 0 || !(*kernel)->supports(problem)) {
        kernel++;
    }
    return *kernel;
}

crumb_status crumb_conv_prepare(crumb_ctx *ctx, const crumb_conv_problem *problem, const void *weight,
                                crumb_conv_ready *ready) {
    return crumb_conv_prepare_with(ctx, crumb_conv_choose(ctx, problem), problem, weight, ready);
}

void crumb_conv_release(crumb_ctx *ctx, crumb_conv_ready *ready) {
    crumb_free(ctx, ready->panel);
    *ready = (crumb_conv_ready){0};
}

/* ==== src/runtime/kernels/bytes/bytes.c */
/* Choice, staging and panels of the family "bytes" (bytes.h). */

#include <string.h>

static bool bytes_fits_int8(const crumb_packed_codes *w) {
    int32_t low = w->offset, high = crumb_packed_code(w, w->levels - 1);
    return low >= -128 && low <= 127 && high >= -128 && high <= 127;
}

bool crumb_bytes_supports(const crumb_conv_problem *problem) {
    const crumb_packed_codes *x = &problem->x, *w = &problem->w;
    if (x->levels == 0 || x->multiply < 0 || (int64_t)x->multiply * (x->levels - 1) > 255) {
        return false;
    }
    /* Padding is staged as the byte of code 0. */
    bool zero = x->offset <= 0 && x->offset >= -255;
    return (problem->padding == 0 || zero) && (bytes_fits_int8(w) || w->levels <= 256);
}

/* s = multiply * index */
void crumb_bytes_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const size_t in = (size_t)frame->in, out = (size_t)frame->pixel_bytes, stride = (size_t)frame->problem.channels;
    const int32_t multiply = frame->problem.x.multiply;
    if (multiply == 1 && in == stride && in == out) {
        memcpy(dst, src, (size_t)pixels * in);
        return;
    }
    for (int32_t p = 0; p < pixels; p++, src += stride, dst += out) {
        for (size_t c = 0; c < in; c++) {
            dst[c] = (uint8_t)(multiply * src[c]);
        }
        memset(dst + in, 0, out - in);
    }
}

static void bytes_put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const uint16_t *index = (const uint16_t *)weight + row;
    const bool direct = *(const bool *)user;
    uint8_t *to =
        place->block + 4 * (((size_t)place->segment * (size_t)frame->units + (size_t)place->unit) * (size_t)place->lanes +
                            (size_t)place->lane);
    for (int32_t i = 0; i < 4; i++) {
        int32_t tap, byte;
        crumb_frame_position(frame, place->segment, 4 * place->unit + i, &tap, &byte);
        if (tap < frame->problem.kernel_height * frame->problem.kernel_width && byte < frame->in) {
            int32_t w = index[(size_t)tap * (size_t)frame->in + (size_t)byte];
            to[i] = (uint8_t)(direct ? crumb_packed_code(&frame->problem.w, w) : w - 128);
        }
    }
}

static void bytes_fill_constants(const crumb_frame *frame, int32_t *constant, const uint16_t *index) {
    const size_t row = (size_t)(frame->problem.kernel_height * frame->problem.kernel_width) * (size_t)frame->in;
    for (int32_t o = 0; o < frame->problem.out_channels; o++) {
        int64_t sum = 0;
        for (size_t i = 0; i < row; i++) {
            sum += crumb_packed_code(&frame->problem.w, index[(size_t)o * row + i]);
        }
        const int32_t group = o / frame->out, inside = o % frame->out;
        constant[group * frame->blocks * frame->block + inside] = (int32_t)(uint32_t)(sum * frame->problem.x.offset);
    }
}

crumb_status crumb_bytes_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                 const void *weight, crumb_conv_ready *ready) {
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    const int32_t in = p.channels / p.groups;
    crumb_frame frame;
    crumb_frame_make(&frame, problem, kernel->inner, 64, 4, in, true);
    const bool direct = bytes_fits_int8(&p.w);
    if (!direct) {
        frame.a = p.w.multiply;
        frame.b = p.w.offset + 128 * p.w.multiply;
    }
    frame.padding_byte = (uint8_t)-p.x.offset;
    int32_t *constant;
    uint8_t *panel;
    const size_t block = 4 * (size_t)frame.segments * (size_t)frame.units * (size_t)crumb_frame_lanes(&frame, 0);
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, sizeof(frame), &frame, block, &constant, &panel));
    crumb_frame_pack(&frame, panel, weight, bytes_put, &direct);
    bytes_fill_constants(&frame, constant, weight);
    return CRUMB_OK;
}

/* ==== src/runtime/kernels/bytes/bytes__avx512vnni.c */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vnni,avx2,fma,f16c")
#endif
/* AVX-512 VNNI for the family "bytes": vpdpbusd, 64 products an instruction.
 *
 * A tile of P pixels by B sub-blocks of 16 channels keeps P * B accumulators in registers; a unit costs B loads of weights, P
 * broadcasts from memory and P * B dot products. The processor does two dot products and two loads a cycle, and a dot product
 * takes five cycles: P * B >= 10 hides that, and P + B <= P * B leaves the dot products as the only limit. 32 registers hold P
 * * B + B + 1. */

#include <immintrin.h>
#include <string.h>

#define bytes__avx512vnni_INLINE static inline __attribute__((always_inline))

bytes__avx512vnni_INLINE __m512i bytes__avx512vnni_broadcast(const uint8_t *x) {
    int32_t unit;
    memcpy(&unit, x, sizeof(unit));
    return _mm512_set1_epi32(unit);
}

/* Pixel p of a tile: four pointers reach 16 pixels with the address modes base + {0, 1, 2} * step and base + 3 * step. */
bytes__avx512vnni_INLINE const uint8_t *bytes__avx512vnni_pixel(const uint8_t *const *x, size_t step, size_t step3, const int p) {
    return p % 4 == 3 ? x[p / 4] + step3 : x[p / 4] + (size_t)(p % 4) * step;
}

bytes__avx512vnni_INLINE void bytes__avx512vnni_run(const crumb_frame *frame, const crumb_frame_tile *t, const int pixels, const int blocks) {
    __m512i acc[28];
#pragma GCC unroll 28
    for (int i = 0; i < pixels * blocks; i++) {
        acc[i] = _mm512_loadu_si512(t->constant + i % blocks * CRUMB_FRAME_LANES);
    }
    const size_t step = t->step, step3 = 3 * step;
    const uint8_t *w = t->weight;
    for (int32_t s = 0; s < frame->segments; s++) {
        const uint8_t *x[4];
        x[0] = t->x + crumb_frame_segment(frame, s);
        x[1] = x[0] + 4 * step;
        x[2] = x[1] + 4 * step;
        x[3] = x[2] + 4 * step;
        for (int32_t u = 0; u < frame->units; u++) {
            __m512i weight[4];
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++) {
                weight[b] = _mm512_load_si512(w + 64 * b);
            }
#pragma GCC unroll 16
            for (int p = 0; p < pixels; p++) {
                __m512i in = bytes__avx512vnni_broadcast(bytes__avx512vnni_pixel(x, step, step3, p));
#pragma GCC unroll 4
                for (int b = 0; b < blocks; b++) {
                    acc[p * blocks + b] = _mm512_dpbusd_epi32(acc[p * blocks + b], in, weight[b]);
                }
            }
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                x[i] += 4;
            }
            w += 64 * blocks;
        }
    }
#pragma GCC unroll 28
    for (int i = 0; i < pixels * blocks; i++) {
        _mm512_store_si512((int32_t *)t->acc + i * CRUMB_FRAME_LANES, acc[i]);
    }
}

#define bytes__avx512vnni_TILE(p, b)                                                                                                             \
    static void bytes__avx512vnni_tile_##p##x##b(const crumb_frame *frame, const crumb_frame_tile *t) {                                          \
        bytes__avx512vnni_run(frame, t, p, b);                                                                                                   \
    }
bytes__avx512vnni_TILE(1, 1)
bytes__avx512vnni_TILE(2, 1)
bytes__avx512vnni_TILE(3, 1) bytes__avx512vnni_TILE(4, 1) bytes__avx512vnni_TILE(5, 1) bytes__avx512vnni_TILE(6, 1) bytes__avx512vnni_TILE(7, 1) bytes__avx512vnni_TILE(8, 1) bytes__avx512vnni_TILE(9, 1) bytes__avx512vnni_TILE(10, 1) bytes__avx512vnni_TILE(11, 1) bytes__avx512vnni_TILE(12, 1) bytes__avx512vnni_TILE(13, 1)
    bytes__avx512vnni_TILE(14, 1) bytes__avx512vnni_TILE(15, 1) bytes__avx512vnni_TILE(16, 1) bytes__avx512vnni_TILE(1, 2) bytes__avx512vnni_TILE(2, 2) bytes__avx512vnni_TILE(3, 2) bytes__avx512vnni_TILE(4, 2) bytes__avx512vnni_TILE(5, 2) bytes__avx512vnni_TILE(6, 2) bytes__avx512vnni_TILE(7, 2) bytes__avx512vnni_TILE(8, 2)
        bytes__avx512vnni_TILE(9, 2) bytes__avx512vnni_TILE(10, 2) bytes__avx512vnni_TILE(11, 2) bytes__avx512vnni_TILE(12, 2) bytes__avx512vnni_TILE(13, 2) bytes__avx512vnni_TILE(14, 2) bytes__avx512vnni_TILE(1, 3) bytes__avx512vnni_TILE(2, 3) bytes__avx512vnni_TILE(3, 3) bytes__avx512vnni_TILE(4, 3)
            bytes__avx512vnni_TILE(5, 3) bytes__avx512vnni_TILE(6, 3) bytes__avx512vnni_TILE(7, 3) bytes__avx512vnni_TILE(8, 3) bytes__avx512vnni_TILE(9, 3) bytes__avx512vnni_TILE(1, 4) bytes__avx512vnni_TILE(2, 4) bytes__avx512vnni_TILE(3, 4) bytes__avx512vnni_TILE(4, 4) bytes__avx512vnni_TILE(5, 4)
                bytes__avx512vnni_TILE(6, 4)

                    typedef void bytes__avx512vnni_tile_fn(const crumb_frame *frame, const crumb_frame_tile *t);

static void bytes__avx512vnni_tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    static bytes__avx512vnni_tile_fn *const tiles[4][17] = {
        {NULL, bytes__avx512vnni_tile_1x1, bytes__avx512vnni_tile_2x1, bytes__avx512vnni_tile_3x1, bytes__avx512vnni_tile_4x1, bytes__avx512vnni_tile_5x1, bytes__avx512vnni_tile_6x1, bytes__avx512vnni_tile_7x1, bytes__avx512vnni_tile_8x1, bytes__avx512vnni_tile_9x1, bytes__avx512vnni_tile_10x1, bytes__avx512vnni_tile_11x1,
         bytes__avx512vnni_tile_12x1, bytes__avx512vnni_tile_13x1, bytes__avx512vnni_tile_14x1, bytes__avx512vnni_tile_15x1, bytes__avx512vnni_tile_16x1},
        {NULL, bytes__avx512vnni_tile_1x2, bytes__avx512vnni_tile_2x2, bytes__avx512vnni_tile_3x2, bytes__avx512vnni_tile_4x2, bytes__avx512vnni_tile_5x2, bytes__avx512vnni_tile_6x2, bytes__avx512vnni_tile_7x2, bytes__avx512vnni_tile_8x2, bytes__avx512vnni_tile_9x2, bytes__avx512vnni_tile_10x2, bytes__avx512vnni_tile_11x2,
         bytes__avx512vnni_tile_12x2, bytes__avx512vnni_tile_13x2, bytes__avx512vnni_tile_14x2},
        {NULL, bytes__avx512vnni_tile_1x3, bytes__avx512vnni_tile_2x3, bytes__avx512vnni_tile_3x3, bytes__avx512vnni_tile_4x3, bytes__avx512vnni_tile_5x3, bytes__avx512vnni_tile_6x3, bytes__avx512vnni_tile_7x3, bytes__avx512vnni_tile_8x3, bytes__avx512vnni_tile_9x3},
        {NULL, bytes__avx512vnni_tile_1x4, bytes__avx512vnni_tile_2x4, bytes__avx512vnni_tile_3x4, bytes__avx512vnni_tile_4x4, bytes__avx512vnni_tile_5x4, bytes__avx512vnni_tile_6x4},
    };
    tiles[t->blocks - 1][t->pixels](frame, t);
}

static const crumb_frame_family bytes__avx512vnni_family = {.stage = crumb_bytes_stage, .tile = bytes__avx512vnni_tile, .pixels = {0, 16, 14, 9, 6}};

const crumb_conv_kernel crumb_conv_bytes__avx512vnni = {
    .name = "conv_i32_u8_s8__avx512vnni",
    .family = "bytes",
    .cpu = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512VNNI,
    .supports = crumb_bytes_supports,
    .prepare = crumb_bytes_prepare,
    .run = crumb_frame_run,
    .inner = &bytes__avx512vnni_family,
};
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/* ==== src/runtime/kernels/bytes/bytes__scalar.c */
/* The plain twin of the family "bytes". */

#include <string.h>

static void bytes__scalar_tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        uint32_t acc[64];
        memcpy(acc, t->constant, (size_t)lanes * sizeof(acc[0]));
        const int8_t *w = (const int8_t *)t->weight;
        for (int32_t s = 0; s < frame->segments; s++) {
            const uint8_t *x = t->x + (size_t)p * t->step + crumb_frame_segment(frame, s);
            for (int32_t u = 0; u < frame->units; u++, x += 4, w += 4 * lanes) {
                for (int32_t c = 0; c < lanes; c++) {
                    int32_t sum = x[0] * w[4 * c] + x[1] * w[4 * c + 1] + x[2] * w[4 * c + 2] + x[3] * w[4 * c + 3];
                    acc[c] += (uint32_t)sum;
                }
            }
        }
        memcpy((int32_t *)t->acc + (size_t)p * (size_t)lanes, acc, (size_t)lanes * sizeof(acc[0]));
    }
}

static const crumb_frame_family bytes__scalar_family = {.stage = crumb_bytes_stage, .tile = bytes__scalar_tile, .pixels = {0, 16, 16, 16, 16}};

const crumb_conv_kernel crumb_conv_bytes__scalar = {
    .name = "conv_i32_u8_s8__scalar",
    .family = "bytes",
    .supports = crumb_bytes_supports,
    .prepare = crumb_bytes_prepare,
    .run = crumb_frame_run,
    .inner = &bytes__scalar_family,
};

/* ==== src/runtime/kernels/direct/direct__scalar.c */
/* Codes of any kind by the definition: the last row, for the few problems no family takes: activations with odd codes of 8 bits
 * or without a level that is 0 under padding, weights of 9 bits. */

#include <string.h>

enum { direct__scalar_LANES = 16 };

static bool direct__scalar_supports(const crumb_conv_problem *problem) {
    return problem->x.levels != 0;
}

static size_t direct__scalar_window(const crumb_conv_problem *p) {
    return (size_t)p->kernel_height * (size_t)p->kernel_width * (size_t)(p->channels / p->groups);
}

/* The panel is the codes, as they come. */
static crumb_status direct__scalar_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                            const void *weight, crumb_conv_ready *ready) {
    (void)kernel;
    const uint16_t *index = weight;
    const size_t count = (size_t)problem->out_channels * direct__scalar_window(problem);
    int16_t *code = crumb_alloc(ctx, count, sizeof(*code));
    if (code == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        code[i] = (int16_t)crumb_packed_code(&problem->w, index[i]);
    }
    ready->channel_step = problem->groups == 1 ? direct__scalar_LANES : 0;
    ready->scratch_bytes = direct__scalar_LANES * sizeof(int32_t);
    ready->panel = code;
    ready->panel_bytes = count * sizeof(*code);
    return CRUMB_OK;
}

static int32_t direct__scalar_output(const crumb_conv_problem *p, const int16_t *w, const uint8_t *image, int32_t y, int32_t x) {
    const int32_t in = p->channels / p->groups;
    int32_t acc = 0;
    for (int32_t kh = 0; kh < p->kernel_height; kh++) {
        for (int32_t kw = 0; kw < p->kernel_width; kw++, w += in) {
            const int32_t h = y * p->stride - p->padding + kh * p->dilation, v = x * p->stride - p->padding + kw * p->dilation;
            if (h < 0 || h >= p->height || v < 0 || v >= p->width) {
                continue;
            }
            const uint8_t *pixel = image + ((size_t)h * (size_t)p->width + (size_t)v) * (size_t)p->channels;
            for (int32_t c = 0; c < in; c++) {
                acc += crumb_packed_code(&p->x, pixel[c]) * w[c];
            }
        }
    }
    return acc;
}

static void direct__scalar_run(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                crumb_conv_sink sink, void *user, void *scratch) {
    const crumb_conv_problem *p = &ready->problem;
    const int32_t in = p->channels / p->groups, out = p->out_channels / p->groups;
    const size_t image = (size_t)p->height * (size_t)p->width * (size_t)p->channels;
    int32_t *acc = scratch;
    for (int64_t pixel = row0 * p->out_width; pixel < row1 * p->out_width; pixel++) {
        const int32_t y = (int32_t)(pixel / p->out_width % p->out_height), column = (int32_t)(pixel % p->out_width);
        const uint8_t *from = (const uint8_t *)x + (size_t)(pixel / p->out_width / p->out_height) * image;
        for (int32_t o = o0, count; o < o1; o += count) {
            const int32_t end = (o / out + 1) * out < o1 ? (o / out + 1) * out : o1;
            count = end - o < direct__scalar_LANES ? end - o : direct__scalar_LANES;
            for (int32_t i = 0; i < count; i++) {
                const int16_t *w = (const int16_t *)ready->panel + (size_t)(o + i) * direct__scalar_window(p);
                acc[i] = direct__scalar_output(p, w, from + (o / out) * in, y, column);
            }
            sink(user, pixel, 1, o, count, acc, direct__scalar_LANES);
        }
    }
}

const crumb_conv_kernel crumb_conv_direct__scalar = {
    .name = "conv_i32_any_any__scalar",
    .family = "direct",
    .supports = direct__scalar_supports,
    .prepare = direct__scalar_prepare,
    .run = direct__scalar_run,
};

/* ==== src/runtime/kernels/frame.c */
/* Geometry and walk of frame.h. */

#include <string.h>

/* Staged bytes of a band: a part of a small second-level cache; the block's weights want the rest. */
enum { frame_FRAME_BAND = 96 * 1024 };

crumb_conv_problem crumb_frame_rewrite(const crumb_conv_problem *problem) {
    crumb_conv_problem p = *problem;
    /* Float sums of few-level weights go by groups of a tap's channels, which must not change. */
    bool same_groups = p.x.levels != 0 || p.channels % 4 == 0;
    if (p.kernel_height == p.height && p.kernel_width == p.width && p.padding == 0 && p.dilation == 1 && p.groups == 1 &&
        same_groups) {
        p.channels *= p.height * p.width;
        p.height = p.width = p.kernel_height = p.kernel_width = 1;
        p.stride = 1;
    }
    return p;
}

void crumb_frame_make(crumb_frame *frame, const crumb_conv_problem *problem, const crumb_frame_family *family, int32_t block,
                      int32_t unit, int32_t pixel_bytes, bool loose) {
    crumb_conv_problem p = crumb_frame_rewrite(problem);
    *frame = (crumb_frame){.problem = p, .family = family, .block = block, .unit = unit, .pixel_bytes = pixel_bytes, .a = 1};
    frame->flat = p.kernel_height == 1 && p.kernel_width == 1 && p.stride == 1 && p.padding == 0 && p.groups == 1;
    frame->in = p.channels / p.groups;
    frame->out = p.out_channels / p.groups;
    frame->element = p.x.levels != 0 ? 1 : (int32_t)sizeof(float);
    frame->width = p.width + 2 * p.padding;
    frame->taps = p.kernel_width > 1 && (p.dilation > 1 || (pixel_bytes % unit != 0 && !loose));
    int32_t run = frame->taps ? pixel_bytes : p.kernel_width * pixel_bytes;
    frame->units = (run + unit - 1) / unit;
    frame->segments = frame->taps ? p.kernel_height * p.kernel_width : p.kernel_height;
    frame->row_bytes = (size_t)frame->width * (size_t)pixel_bytes;
    frame->step = (size_t)p.stride * (size_t)pixel_bytes;
    frame->segment_row = (size_t)p.dilation * frame->row_bytes;
    frame->segment_column = (size_t)p.dilation * (size_t)pixel_bytes;
    frame->blocks = (frame->out + block - 1) / block;
    int64_t row = frame->flat ? pixel_bytes : (int64_t)frame->row_bytes * p.stride;
    int64_t window = frame->flat ? 0 : (int64_t)frame->row_bytes * ((p.kernel_height - 1) * p.dilation + 1);
    int64_t least = frame->flat ? CRUMB_FRAME_PIXELS : 1;
    frame->band = (frame_FRAME_BAND - window) / row > least ? (frame_FRAME_BAND - window) / row : least;
    if (!frame->flat && frame->band > p.out_height) {
        frame->band = p.out_height;
    }
    frame->staged_bytes = crumb_frame_round((size_t)(window + frame->band * row) + CRUMB_FRAME_SLACK, 64);
}

void crumb_frame_position(const crumb_frame *frame, int32_t segment, int32_t at, int32_t *tap, int32_t *byte) {
    if (frame->taps) {
        *tap = segment;
        *byte = at;
        return;
    }
    int32_t column = at / frame->pixel_bytes, taps = frame->problem.kernel_height * frame->problem.kernel_width;
    *tap = column < frame->problem.kernel_width ? segment * frame->problem.kernel_width + column : taps;
    *byte = at % frame->pixel_bytes;
}

/* One thread's run: scratch in pieces, and where it is. */
typedef struct frame_walk {
    const crumb_frame *frame;
    const uint8_t *x;
    crumb_conv_sink sink;
    void *user;
    uint8_t *staged;
    int32_t *acc;
    int64_t *sums;  /* of the staged pixels, where the frame needs them: [row][width] */
    int32_t o0, o1; /* of all channels */
    int32_t group;
    int64_t pixel;     /* first output pixel of the band, in the stack */
    int32_t rows;      /* output rows of the band; flat: 1 */
    int64_t row_width; /* output pixels of a row; flat: of the band */
} frame_walk;

static size_t frame_sums_bytes(const crumb_frame *f) {
    size_t pixels = f->b != 0 ? f->staged_bytes / (size_t)f->pixel_bytes + 1 : 0;
    return crumb_frame_round(pixels * sizeof(int64_t), 64);
}

size_t crumb_frame_scratch(const crumb_frame *frame) {
    return frame->staged_bytes + frame_sums_bytes(frame) + sizeof(int32_t) * CRUMB_FRAME_OUTPUTS;
}

static void frame_sum_pixels(frame_walk *w, int64_t pixels) {
    const crumb_frame *f = w->frame;
    for (int64_t p = 0; p < pixels; p++) {
        const uint8_t *s = w->staged + (size_t)p * (size_t)f->pixel_bytes;
        int32_t sum = 0;
        for (int32_t c = 0; c < f->in; c++) {
            sum += s[c];
        }
        w->sums[p] = sum;
    }
}

/* Pixels of the input stack, from index `first` on, of the walk's group. */
static void frame_stage_pixels(const frame_walk *w, uint8_t *dst, int64_t first, int32_t pixels) {
    const crumb_frame *f = w->frame;
    int64_t at = first * f->problem.channels + (int64_t)w->group * f->in;
    f->family->stage(f, dst, w->x + (size_t)at * (size_t)f->element, pixels);
}

static void frame_stage_padding(const crumb_frame *f, uint8_t *dst, int32_t pixels) {
    const size_t bytes = (size_t)f->pixel_bytes;
    if (f->padding == NULL) {
        memset(dst, f->padding_byte, (size_t)pixels * bytes);
        return;
    }
    for (int32_t p = 0; p < pixels; p++) {
        memcpy(dst + (size_t)p * bytes, f->padding, bytes);
    }
}

static void frame_stage_rows(frame_walk *w, int64_t image, int32_t y0) {
    const crumb_frame *f = w->frame;
    const crumb_conv_problem *p = &f->problem;
    const size_t border = (size_t)p->padding * (size_t)f->pixel_bytes;
    const int32_t first = y0 * p->stride - p->padding;
    const int32_t count = (w->rows - 1) * p->stride + (p->kernel_height - 1) * p->dilation + 1;
    for (int32_t r = 0; r < count; r++) {
        if (p->kernel_height == 1 && r % p->stride != 0) {
            continue;
        }
        uint8_t *dst = w->staged + (size_t)r * f->row_bytes;
        int32_t y = first + r;
        if (y < 0 || y >= p->height) {
            frame_stage_padding(f, dst, f->width);
            continue;
        }
        frame_stage_padding(f, dst, p->padding);
        frame_stage_padding(f, dst + f->row_bytes - border, p->padding);
        frame_stage_pixels(w, dst + border, (image * p->height + y) * p->width, p->width);
    }
    if (f->b != 0) {
        frame_sum_pixels(w, (int64_t)count * f->width);
    }
}

/* acc = a * acc + b * (sum of the window) + constant, for what the inner loop cannot. */
static void frame_finish(const frame_walk *w, const crumb_frame_tile *tile, int32_t row, int64_t column, const int32_t *constant) {
    const crumb_frame *f = w->frame;
    const crumb_conv_problem *p = &f->problem;
    const int32_t channels = tile->blocks * CRUMB_FRAME_LANES;
    for (int32_t i = 0; i < tile->pixels; i++) {
        int64_t sum = 0, at = (int64_t)row * p->stride * f->width + (column + i) * p->stride;
        for (int32_t t = 0; t < p->kernel_height * p->kernel_width; t++) {
            sum += w->sums[at + (int64_t)(t / p->kernel_width) * p->dilation * f->width + (t % p->kernel_width) * p->dilation];
        }
        int32_t *acc = (int32_t *)tile->acc + (size_t)i * (size_t)channels, add = (int32_t)(f->b * sum);
        for (int32_t c = 0; c < channels; c++) {
            acc[c] = f->a * acc[c] + add + constant[c];
        }
    }
}

static void frame_run_line(const frame_walk *w, crumb_frame_tile *tile, int32_t row, int32_t o, int32_t channels) {
    static const int32_t none[CRUMB_FRAME_BLOCK];
    const crumb_frame *f = w->frame;
    const int32_t *constant = tile->constant;
    const bool raw = f->a != 1 || f->b != 0;
    const int64_t most = f->family->pixels[tile->blocks], tiles = (w->row_width + most - 1) / most;
    const uint8_t *x = w->staged + (size_t)row * (size_t)f->problem.stride * f->row_bytes;
    for (int64_t t = 0; t < tiles; t++) {
        int64_t x0 = w->row_width * t / tiles, x1 = w->row_width * (t + 1) / tiles;
        tile->x = x + (size_t)x0 * f->step;
        tile->pixels = (int32_t)(x1 - x0);
        tile->constant = raw ? none : constant;
        f->family->tile(f, tile);
        if (raw) {
            frame_finish(w, tile, row, x0, constant);
        }
        w->sink(w->user, w->pixel + row * w->row_width + x0, tile->pixels, o, channels, tile->acc,
                tile->blocks * CRUMB_FRAME_LANES);
    }
    tile->constant = constant;
}

static void frame_run_blocks(const frame_walk *w) {
    const crumb_frame *f = w->frame;
    const int32_t base = w->group * f->out;
    const int32_t from = w->o0 > base ? w->o0 - base : 0, to = w->o1 - base < f->out ? w->o1 - base : f->out;
    for (int32_t o = from; o < to; o += f->block) {
        const int32_t left = f->out - o, channels = left < f->block ? left : f->block;
        const size_t block = (size_t)w->group * (size_t)f->blocks + (size_t)(o / f->block);
        crumb_frame_tile tile = {.acc = w->acc,
                                 .step = f->step,
                                 .weight = f->panel + block * f->block_bytes,
                                 .constant = f->constant != NULL ? f->constant + block * (size_t)f->block : NULL,
                                 .blocks = (channels + CRUMB_FRAME_LANES - 1) / CRUMB_FRAME_LANES};
        for (int32_t row = 0; row < w->rows; row++) {
            frame_run_line(w, &tile, row, base + o, channels);
        }
    }
}

static void frame_run_flat(frame_walk *w, int64_t pixel0, int64_t pixel1) {
    const crumb_frame *f = w->frame;
    for (int64_t at = pixel0; at < pixel1; at += f->band) {
        w->pixel = at;
        w->rows = 1;
        w->row_width = pixel1 - at < f->band ? pixel1 - at : f->band;
        frame_stage_pixels(w, w->staged, at, (int32_t)w->row_width);
        if (f->b != 0) {
            frame_sum_pixels(w, w->row_width);
        }
        frame_run_blocks(w);
    }
}

void crumb_frame_run(const crumb_conv_ready *ready, const void *x, int64_t row0, int64_t row1, int32_t o0, int32_t o1,
                     crumb_conv_sink sink, void *user, void *scratch) {
    const crumb_frame *f = ready->panel;
    const crumb_conv_problem *p = &f->problem;
    uint8_t *at = scratch;
    frame_walk w = {.frame = f, .x = x, .sink = sink, .user = user, .o0 = o0, .o1 = o1, .staged = at, .row_width = p->out_width};
    w.acc = (int32_t *)(void *)(at + f->staged_bytes);
    w.sums = (int64_t *)(void *)(w.acc + CRUMB_FRAME_OUTPUTS);
    if (f->flat) {
        frame_run_flat(&w, row0 * p->out_width, row1 * p->out_width);
        return;
    }
    for (int64_t row = row0; row < row1; row += w.rows) {
        int64_t image = row / p->out_height, y = row % p->out_height, end = (image + 1) * p->out_height;
        end = end < row1 ? end : row1;
        w.rows = (int32_t)(end - row < f->band ? end - row : f->band);
        w.pixel = row * p->out_width;
        for (w.group = 0; w.group < p->groups; w.group++) {
            frame_stage_rows(&w, image, (int32_t)y);
            frame_run_blocks(&w);
        }
    }
}

crumb_status crumb_frame_alloc(crumb_ctx *ctx, crumb_conv_ready *ready, size_t object, crumb_frame *made, size_t block_bytes,
                               int32_t **constant, uint8_t **panel) {
    const size_t blocks = (size_t)made->problem.groups * (size_t)made->blocks;
    const size_t head = crumb_frame_round(object, 64), constants = blocks * (size_t)made->block * sizeof(int32_t);
    if (block_bytes > (SIZE_MAX - head - constants) / blocks) {
        return crumb_fail(ctx, CRUMB_ERROR_MEMORY, "a layer's %zu blocks of %zu bytes of weights", blocks, block_bytes);
    }
    const size_t bytes = head + constants + blocks * block_bytes;
    uint8_t *memory = crumb_alloc(ctx, bytes, 1);
    if (memory == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    *constant = (int32_t *)(void *)(memory + head);
    *panel = memory + head + constants;
    made->block_bytes = block_bytes;
    made->constant = *constant;
    made->panel = *panel;
    memcpy(memory, made, sizeof(*made));
    ready->channel_step = made->problem.groups == 1 ? made->block : 0;
    ready->scratch_bytes = crumb_frame_scratch(made);
    ready->panel = memory;
    ready->panel_bytes = bytes;
    return CRUMB_OK;
}

void crumb_frame_pack(const crumb_frame *frame, uint8_t *panel, const void *weight, crumb_frame_put *put, const void *user) {
    const int32_t taps = frame->problem.kernel_height * frame->problem.kernel_width;
    for (int32_t o = 0; o < frame->problem.out_channels; o++) {
        const int32_t inside = o % frame->out, lanes = crumb_frame_lanes(frame, inside / frame->block);
        const size_t block = (size_t)(o / frame->out) * (size_t)frame->blocks + (size_t)(inside / frame->block);
        const size_t row = (size_t)o * (size_t)taps * (size_t)frame->in;
        for (int32_t s = 0; s < frame->segments; s++) {
            for (int32_t u = 0; u < frame->units; u++) {
                const crumb_frame_place place = {.block = panel + block * frame->block_bytes,
                                                 .lane = inside % frame->block,
                                                 .lanes = lanes,
                                                 .segment = s,
                                                 .unit = u};
                put(frame, &place, weight, row, user);
            }
        }
    }
}

/* ==== src/runtime/kernels/lookup/lookup.c */
/* Plan, tables, staging and panels of the family "lookup" (lookup.h). */

#include <string.h>

static int32_t lookup_power(int32_t base, int32_t exponent) {
    int32_t value = 1;
    for (int32_t i = 0; i < exponent && value <= CRUMB_LOOKUP_PATTERNS; i++) {
        value *= base;
    }
    return value;
}

static int32_t lookup_zero_index(const crumb_packed_codes *codes) {
    for (int32_t i = 0; i < codes->levels; i++) {
        if (crumb_packed_code(codes, i) == 0) {
            return i;
        }
    }
    return -1;
}

/* Smallest and largest product of codes; 0 is among them where padding means it. */
static void lookup_products(const crumb_conv_problem *p, int32_t zero, int32_t *low, int32_t *high) {
    const int32_t x[2] = {crumb_packed_code(&p->x, 0), crumb_packed_code(&p->x, p->x.levels - 1)};
    const int32_t w[2] = {crumb_packed_code(&p->w, 0), crumb_packed_code(&p->w, p->w.levels - 1)};
    *low = *high = zero < 0 ? 0 : x[0] * w[0];
    for (int i = 0; i < 4; i++) {
        int32_t product = x[i / 2] * w[i % 2];
        *low = product < *low ? product : *low;
        *high = product > *high ? product : *high;
    }
}

bool crumb_lookup_plan_make(const crumb_conv_problem *problem, int32_t weight_patterns, crumb_lookup_plan *plan) {
    const int32_t lx = problem->x.levels, lw = problem->w.levels, in = problem->channels / problem->groups;
    if (lx < 2 || lw < 2 || lx > 16 || lw > 16) {
        return false;
    }
    const int32_t zero = lookup_zero_index(&problem->x), others = zero < 0 ? 2 : 0;
    int32_t low, high;
    lookup_products(problem, zero, &low, &high);
    for (int32_t group = 6; group >= 2; group--) {
        const int32_t span = group * (high - low), patterns = lookup_power(lx, group);
        if (group <= in && patterns + others <= CRUMB_LOOKUP_PATTERNS && lookup_power(lw, group) <= weight_patterns && span <= 127) {
            *plan = (crumb_lookup_plan){group, patterns, zero, group * low, span, 255 / span};
            return true;
        }
    }
    return false;
}

/* A group's pattern is a number with the group's indices as digits, the first channel the lowest. */
void crumb_lookup_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    const int32_t in = frame->in, group = lookup->plan.group, levels = frame->problem.x.levels;
    uint16_t *to = (uint16_t *)(void *)dst;
    for (int32_t p = 0; p < pixels; p++, src += frame->problem.channels) {
        for (int32_t c = 0; c < in; c += group) {
            int32_t pattern = 0;
            for (int32_t i = group - 1; i >= 0; i--) {
                pattern = pattern * levels + (c + i < in ? src[c + i] : lookup->fill);
            }
            *to++ = (uint16_t)(pattern * lookup->row);
        }
    }
}

static int32_t lookup_digit(int32_t number, int32_t base, int32_t at) {
    return number / lookup_power(base, at) % base;
}

/* Filling channels of a pixel's last group. */
static int32_t lookup_filling(const crumb_frame *frame, int32_t group) {
    return (group - frame->in % group) % group;
}

/* What filling adds to each tap. */
static int32_t lookup_filled(const crumb_lookup *lookup) {
    const crumb_conv_problem *p = &lookup->frame.problem;
    const int32_t product = crumb_packed_code(&p->x, 0) * crumb_packed_code(&p->w, 0);
    return lookup->plan.zero < 0 ? lookup_filling(&lookup->frame, lookup->plan.group) * product : 0;
}

static void lookup_fill_table(const crumb_lookup *lookup, uint8_t *table) {
    const crumb_lookup_plan *plan = &lookup->plan;
    const crumb_conv_problem *p = &lookup->frame.problem;
    const int32_t weights = lookup_power(p->w.levels, plan->group);
    for (int32_t a = 0; a < plan->patterns; a++) {
        for (int32_t b = 0; b < weights; b++) {
            int32_t sum = 0;
            for (int32_t i = 0; i < plan->group; i++) {
                sum += crumb_packed_code(&p->x, lookup_digit(a, p->x.levels, i)) * crumb_packed_code(&p->w, lookup_digit(b, p->w.levels, i));
            }
            table[a * lookup->row + b] = (uint8_t)(sum - plan->low);
        }
    }
    if (plan->zero < 0) {
        memset(table + plan->patterns * lookup->row, -plan->low, (size_t)lookup->row);
        memset(table + (plan->patterns + 1) * lookup->row, lookup_filled(lookup) - plan->low, (size_t)lookup->row);
    }
}

/* Gathering of 16 groups to 4 bytes each, or 8 groups to 8. */
static void lookup_fill_gather(crumb_lookup *lookup) {
    const int32_t group = lookup->plan.group, wide = group <= 4 ? 4 : 8;
    for (int32_t i = 0; i < 64; i++) {
        const bool used = i % wide < group;
        lookup->gather[i] = (uint8_t)(used ? i / wide * group + i % wide : 0);
        lookup->powers[i] = (int8_t)(used ? lookup_power(lookup->frame.problem.x.levels, i % wide) : 0);
    }
}

/* A pixel of padding, as staged. */
static void lookup_fill_padding(const crumb_lookup *lookup, uint16_t *pixel) {
    const crumb_lookup_plan *plan = &lookup->plan;
    const int32_t units = lookup->frame.pixel_bytes / lookup->frame.unit;
    int32_t zeros = 0;
    for (int32_t i = 0; i < plan->group; i++) {
        zeros = zeros * lookup->frame.problem.x.levels + plan->zero;
    }
    for (int32_t u = 0; u < units; u++) {
        pixel[u] = (uint16_t)((plan->zero >= 0 ? zeros : plan->patterns + (u == units - 1)) * lookup->row);
    }
}

typedef struct lookup_packer {
    const crumb_lookup *lookup;
    const crumb_lookup_family *family;
} lookup_packer;

static void lookup_put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const lookup_packer *pack = user;
    const int32_t group = pack->lookup->plan.group, levels = frame->problem.w.levels, vector = pack->family->vector;
    int32_t tap, byte, pattern = 0;
    crumb_frame_position(frame, place->segment, place->unit * frame->unit, &tap, &byte);
    for (int32_t i = group - 1; i >= 0; i--) {
        const int32_t c = byte / frame->unit * group + i;
        const size_t at = row + (size_t)tap * (size_t)frame->in + (size_t)c;
        pattern = pattern * levels + (c < frame->in ? ((const uint16_t *)weight)[at] : 0);
    }
    const size_t unit = (size_t)place->segment * (size_t)frame->units + (size_t)place->unit;
    const size_t vectors = (size_t)((place->lanes + vector - 1) / vector);
    uint8_t *to = place->block + (unit * vectors + (size_t)(place->lane / vector)) * (size_t)vector;
    to[pack->family->lane(place->lane % vector)] = (uint8_t)pattern;
}

/* Object, table, a pixel of padding: one piece with the panels. */
static crumb_status lookup_build(crumb_ctx *ctx, crumb_lookup *made, const crumb_lookup_family *family, crumb_conv_ready *ready,
                          int32_t **constant, uint8_t **panel) {
    const size_t head = crumb_frame_round(sizeof(*made), 64);
    const size_t table = crumb_frame_round((size_t)(made->plan.patterns + 2) * (size_t)made->row, 64);
    const int32_t lanes = made->frame.block < made->frame.out ? made->frame.block : made->frame.out;
    const size_t vectors = (size_t)((lanes + family->vector - 1) / family->vector);
    const size_t block = (size_t)made->frame.segments * (size_t)made->frame.units * vectors * (size_t)family->vector;
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, head + table + (size_t)made->frame.pixel_bytes, &made->frame,
                                crumb_frame_round(block, 64), constant, panel));
    uint8_t *memory = ready->panel;
    made->frame = *(crumb_frame *)ready->panel;
    made->frame.padding = memory + head + table;
    made->table = memory + head;
    made->fill = made->plan.zero < 0 ? 0 : made->plan.zero;
    lookup_fill_gather(made);
    memcpy(memory, made, sizeof(*made));
    lookup_fill_table(made, memory + head);
    lookup_fill_padding(made, (uint16_t *)(void *)(memory + head + table));
    return CRUMB_OK;
}

crumb_status crumb_lookup_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                  const void *weight, crumb_conv_ready *ready) {
    const crumb_lookup_family *family = kernel->inner;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    crumb_lookup made = {.row = family->row};
    crumb_lookup_plan_make(&p, family->row, &made.plan);
    const int32_t group = made.plan.group, in = p.channels / p.groups, out = p.out_channels / p.groups;
    const int32_t block = out > family->vector ? family->block : family->vector;
    crumb_frame_make(&made.frame, problem, &family->frame, block, 2, (in + group - 1) / group * 2, false);
    int32_t *constant;
    uint8_t *panel;
    CRUMB_TRY(lookup_build(ctx, &made, family, ready, &constant, &panel));
    crumb_frame_pack(&made.frame, panel, weight, lookup_put, &(lookup_packer){ready->panel, family});
    const int32_t taps = p.kernel_height * p.kernel_width;
    for (int32_t i = 0; i < p.groups * made.frame.blocks * made.frame.block; i++) {
        constant[i] = made.frame.segments * made.frame.units * made.plan.low - taps * lookup_filled(&made);
    }
    return CRUMB_OK;
}

/* ==== src/runtime/kernels/lookup/lookup__avx512vbmi.c */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx2,fma,f16c")
#endif
/* AVX-512 VBMI for the family "lookup": vpermb with a table row, 64 channels at a time.
 *
 * The load ports decide. A 64-byte load takes the place of two smaller ones, two such a cycle in all; a table row and a pattern
 * loaded for every vpermb leave 0.9 pairs of vpermb and vpaddb a cycle. So the patterns of four units come in one 64-bit load
 * and are cut out with shifts: 1.15 pairs; and, where there are more than 64 channels, a table row serves two vectors of
 * channels: 1.35 pairs, of 1.7 that the vector units can do. Tiles are 8 pixels by one vector or 4 by two: with three sums each
 * (bytes, 16-bit even and odd) 24 registers.
 *
 * Per period, byte sums are added to 16-bit sums: `all` takes whole 16-bit lanes, even byte + 256 * odd byte, and `odd` the odd
 * bytes; even = all - 256 * odd, modulo 2^16. Three instructions; where only the even bytes have channels (at most 32), masking
 * and adding them is two. Even bytes are channels 0 to 31, odd bytes 32 to 63, so widening to 32 bits gives channels in order.
 */

#include <immintrin.h>

#define lookup__avx512vbmi_INLINE static inline __attribute__((always_inline))

enum { lookup__avx512vbmi_VECTOR = 64, lookup__avx512vbmi_QUAD = 4, lookup__avx512vbmi_SUMS = 8, lookup__avx512vbmi_FLUSH = 65535 };

static int32_t lookup__avx512vbmi_lane(int32_t channel) {
    return channel < 32 ? 2 * channel : 2 * (channel - 32) + 1;
}

/* ---- Staging: 16 groups of up to 4 channels at a time, or 8 of up to 6 */

lookup__avx512vbmi_INLINE void lookup__avx512vbmi_stage_groups(uint16_t *dst, const uint8_t *src, __mmask64 channels, uint32_t groups, __m512i fill, __m512i gather,
                         __m512i powers, const bool wide) {
    __m512i digits = _mm512_permutexvar_epi8(gather, _mm512_mask_loadu_epi8(fill, channels, src));
    __m512i sums = _mm512_madd_epi16(_mm512_maddubs_epi16(digits, powers), _mm512_set1_epi16(1));
    if (wide) {
        sums = _mm512_slli_epi64(_mm512_add_epi64(sums, _mm512_srli_epi64(sums, 32)), 6);
        _mm512_mask_cvtepi64_storeu_epi16(dst, (__mmask8)groups, sums);
    } else {
        _mm512_mask_cvtepi32_storeu_epi16(dst, (__mmask16)groups, _mm512_slli_epi32(sums, 6));
    }
}

lookup__avx512vbmi_INLINE void lookup__avx512vbmi_stage_all(const crumb_lookup *lookup, uint8_t *dst, const uint8_t *src, int32_t pixels, const bool wide) {
    const int32_t in = lookup->frame.in, group = lookup->plan.group, at_once = (wide ? 8 : 16) * group;
    const __m512i fill = _mm512_set1_epi8((char)lookup->fill);
    const __m512i gather = _mm512_loadu_si512(lookup->gather), powers = _mm512_loadu_si512(lookup->powers);
    uint16_t *to = (uint16_t *)(void *)dst;
    for (int32_t p = 0; p < pixels; p++, src += lookup->frame.problem.channels) {
        for (int32_t c = 0; c < in; c += at_once) {
            const int32_t left = in - c < at_once ? in - c : at_once, groups = (left + group - 1) / group;
            lookup__avx512vbmi_stage_groups(to, src + c, ~0ull >> (64 - left), (1u << groups) - 1, fill, gather, powers, wide);
            to += groups;
        }
    }
}

static void lookup__avx512vbmi_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    if (lookup->plan.group > 4) {
        lookup__avx512vbmi_stage_all(lookup, dst, src, pixels, true);
    } else {
        lookup__avx512vbmi_stage_all(lookup, dst, src, pixels, false);
    }
}

/* ---- Tiles
 *
 * A quad is four units of all pixels of a tile. It is written in assembly: the compiler, which sees dozens of equal chains of
 * additions, moves sums between registers and memory until a third of the speed is gone. Offsets of four pixels are in r8 to
 * r11, rax is the unit's, weights are in zmm16 to zmm19, what the table gives in zmm20 and zmm21. */

#define lookup__avx512vbmi_OFFSETS_1(x) "movq (%[" x "]), %%r8\n\t"
#define lookup__avx512vbmi_OFFSETS_2(x) lookup__avx512vbmi_OFFSETS_1(x) "movq (%[" x "],%[step]), %%r9\n\t"
#define lookup__avx512vbmi_OFFSETS_3(x) lookup__avx512vbmi_OFFSETS_2(x) "movq (%[" x "],%[step],2), %%r10\n\t"
#define lookup__avx512vbmi_OFFSETS_4(x) lookup__avx512vbmi_OFFSETS_3(x) "movq (%[" x "],%[step3]), %%r11\n\t"

/* One vector of channels: the quad's four vectors of weights stay in registers for two groups of pixels. */
#define lookup__avx512vbmi_WEIGHTS                                                                                                                \
    "vmovdqa64 (%[w]), %%zmm16\n\t"                                                                                            \
    "vmovdqa64 64(%[w]), %%zmm17\n\t"                                                                                          \
    "vmovdqa64 128(%[w]), %%zmm18\n\t"                                                                                         \
    "vmovdqa64 192(%[w]), %%zmm19\n\t"
#define lookup__avx512vbmi_ADD(offset, sum, weight)                                                                                               \
    "movzwl %%" offset "w, %%eax\n\t"                                                                                          \
    "shrq $16, %%" offset "\n\t"                                                                                               \
    "vpermb (%[table],%%rax), %%zmm" #weight ", %%zmm20\n\t"                                                                   \
    "vpaddb %%zmm20, %[" sum "], %[" sum "]\n\t"
#define lookup__avx512vbmi_UNIT_1(weight, a) lookup__avx512vbmi_ADD("r8", a, weight)
#define lookup__avx512vbmi_UNIT_2(weight, a, b) lookup__avx512vbmi_UNIT_1(weight, a) lookup__avx512vbmi_ADD("r9", b, weight)
#define lookup__avx512vbmi_UNIT_3(weight, a, b, c) lookup__avx512vbmi_UNIT_2(weight, a, b) lookup__avx512vbmi_ADD("r10", c, weight)
#define lookup__avx512vbmi_UNIT_4(weight, a, b, c, d) lookup__avx512vbmi_UNIT_3(weight, a, b, c) lookup__avx512vbmi_ADD("r11", d, weight)
#define lookup__avx512vbmi_GROUP(n, x, ...)                                                                                                       \
    lookup__avx512vbmi_OFFSETS_##n(x) lookup__avx512vbmi_UNIT_##n(16, __VA_ARGS__) lookup__avx512vbmi_UNIT_##n(17, __VA_ARGS__) lookup__avx512vbmi_UNIT_##n(18, __VA_ARGS__) lookup__avx512vbmi_UNIT_##n(19, __VA_ARGS__)

/* Two vectors of channels: a table row in a register serves both. */
#define lookup__avx512vbmi_ADD_TWO(offset, low, high)                                                                                             \
    "movzwl %%" offset "w, %%eax\n\t"                                                                                          \
    "shrq $16, %%" offset "\n\t"                                                                                               \
    "vmovdqa64 (%[table],%%rax), %%zmm20\n\t"                                                                                  \
    "vpermb %%zmm20, %%zmm16, %%zmm21\n\t"                                                                                     \
    "vpaddb %%zmm21, %[" low "], %[" low "]\n\t"                                                                               \
    "vpermb %%zmm20, %%zmm17, %%zmm21\n\t"                                                                                     \
    "vpaddb %%zmm21, %[" high "], %[" high "]\n\t"
#define lookup__avx512vbmi_PAIR(at)                                                                                                               \
    "vmovdqa64 " #at "(%[w]), %%zmm16\n\t"                                                                                     \
    "vmovdqa64 64+" #at "(%[w]), %%zmm17\n\t"
#define lookup__avx512vbmi_UNIT_TWO_1 lookup__avx512vbmi_ADD_TWO("r8", "s0", "s1")
#define lookup__avx512vbmi_UNIT_TWO_2 lookup__avx512vbmi_UNIT_TWO_1 lookup__avx512vbmi_ADD_TWO("r9", "s2", "s3")
#define lookup__avx512vbmi_UNIT_TWO_3 lookup__avx512vbmi_UNIT_TWO_2 lookup__avx512vbmi_ADD_TWO("r10", "s4", "s5")
#define lookup__avx512vbmi_UNIT_TWO_4 lookup__avx512vbmi_UNIT_TWO_3 lookup__avx512vbmi_ADD_TWO("r11", "s6", "s7")
#define lookup__avx512vbmi_GROUP_TWO(n) lookup__avx512vbmi_OFFSETS_##n("x0") lookup__avx512vbmi_PAIR(0) lookup__avx512vbmi_UNIT_TWO_##n lookup__avx512vbmi_PAIR(128) lookup__avx512vbmi_UNIT_TWO_##n lookup__avx512vbmi_PAIR(256) lookup__avx512vbmi_UNIT_TWO_##n lookup__avx512vbmi_PAIR(384) lookup__avx512vbmi_UNIT_TWO_##n

#define lookup__avx512vbmi_SUM(i) [s##i] "+v"(sum[i])
#define lookup__avx512vbmi_IN [x0] "r"(x[0]), [x1] "r"(x[1]), [step] "r"(step), [step3] "r"(3 * step), [table] "r"(table), [w] "r"(w)
#define lookup__avx512vbmi_CHANGED "rax", "r8", "r9", "r10", "r11", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "cc", "memory"

lookup__avx512vbmi_INLINE void lookup__avx512vbmi_add_quad(__m512i *sum, const uint8_t *table, const uint8_t *const *x, size_t step, const uint8_t *w,
                     const int pixels, const int vectors) {
    if (vectors == 1 && pixels == 1) {
        __asm__(lookup__avx512vbmi_WEIGHTS lookup__avx512vbmi_GROUP(1, "x0", "s0") : lookup__avx512vbmi_SUM(0) : lookup__avx512vbmi_IN : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 1 && pixels == 2) {
        __asm__(lookup__avx512vbmi_WEIGHTS lookup__avx512vbmi_GROUP(2, "x0", "s0", "s1") : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1) : lookup__avx512vbmi_IN : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 1 && pixels == 3) {
        __asm__(lookup__avx512vbmi_WEIGHTS lookup__avx512vbmi_GROUP(3, "x0", "s0", "s1", "s2") : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1), lookup__avx512vbmi_SUM(2) : lookup__avx512vbmi_IN : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 1 && pixels == 4) {
        __asm__(lookup__avx512vbmi_WEIGHTS lookup__avx512vbmi_GROUP(4, "x0", "s0", "s1", "s2", "s3") : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1), lookup__avx512vbmi_SUM(2), lookup__avx512vbmi_SUM(3) : lookup__avx512vbmi_IN : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 1 && pixels == 5) {
        __asm__(lookup__avx512vbmi_WEIGHTS lookup__avx512vbmi_GROUP(4, "x0", "s0", "s1", "s2", "s3") lookup__avx512vbmi_GROUP(1, "x1", "s4")
                : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1), lookup__avx512vbmi_SUM(2), lookup__avx512vbmi_SUM(3), lookup__avx512vbmi_SUM(4)
                : lookup__avx512vbmi_IN
                : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 1 && pixels == 6) {
        __asm__(lookup__avx512vbmi_WEIGHTS lookup__avx512vbmi_GROUP(4, "x0", "s0", "s1", "s2", "s3") lookup__avx512vbmi_GROUP(2, "x1", "s4", "s5")
                : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1), lookup__avx512vbmi_SUM(2), lookup__avx512vbmi_SUM(3), lookup__avx512vbmi_SUM(4), lookup__avx512vbmi_SUM(5)
                : lookup__avx512vbmi_IN
                : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 1 && pixels == 7) {
        __asm__(lookup__avx512vbmi_WEIGHTS lookup__avx512vbmi_GROUP(4, "x0", "s0", "s1", "s2", "s3") lookup__avx512vbmi_GROUP(3, "x1", "s4", "s5", "s6")
                : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1), lookup__avx512vbmi_SUM(2), lookup__avx512vbmi_SUM(3), lookup__avx512vbmi_SUM(4), lookup__avx512vbmi_SUM(5), lookup__avx512vbmi_SUM(6)
                : lookup__avx512vbmi_IN
                : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 1 && pixels == 8) {
        __asm__(lookup__avx512vbmi_WEIGHTS lookup__avx512vbmi_GROUP(4, "x0", "s0", "s1", "s2", "s3") lookup__avx512vbmi_GROUP(4, "x1", "s4", "s5", "s6", "s7")
                : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1), lookup__avx512vbmi_SUM(2), lookup__avx512vbmi_SUM(3), lookup__avx512vbmi_SUM(4), lookup__avx512vbmi_SUM(5), lookup__avx512vbmi_SUM(6), lookup__avx512vbmi_SUM(7)
                : lookup__avx512vbmi_IN
                : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 2 && pixels == 1) {
        __asm__(lookup__avx512vbmi_GROUP_TWO(1) : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1) : lookup__avx512vbmi_IN : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 2 && pixels == 2) {
        __asm__(lookup__avx512vbmi_GROUP_TWO(2) : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1), lookup__avx512vbmi_SUM(2), lookup__avx512vbmi_SUM(3) : lookup__avx512vbmi_IN : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 2 && pixels == 3) {
        __asm__(lookup__avx512vbmi_GROUP_TWO(3) : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1), lookup__avx512vbmi_SUM(2), lookup__avx512vbmi_SUM(3), lookup__avx512vbmi_SUM(4), lookup__avx512vbmi_SUM(5) : lookup__avx512vbmi_IN : lookup__avx512vbmi_CHANGED);
    } else if (vectors == 2 && pixels == 4) {
        __asm__(lookup__avx512vbmi_GROUP_TWO(4) : lookup__avx512vbmi_SUM(0), lookup__avx512vbmi_SUM(1), lookup__avx512vbmi_SUM(2), lookup__avx512vbmi_SUM(3), lookup__avx512vbmi_SUM(4), lookup__avx512vbmi_SUM(5), lookup__avx512vbmi_SUM(6), lookup__avx512vbmi_SUM(7) : lookup__avx512vbmi_IN : lookup__avx512vbmi_CHANGED);
    }
}

lookup__avx512vbmi_INLINE const uint8_t *lookup__avx512vbmi_pixel(const uint8_t *const *x, size_t step, size_t step3, const int p) {
    return p % 4 == 3 ? x[p / 4] + step3 : x[p / 4] + (size_t)(p % 4) * step;
}

/* One unit. */
lookup__avx512vbmi_INLINE void lookup__avx512vbmi_add_unit(__m512i *sum, const uint8_t *table, const uint8_t *const *x, size_t step, const uint8_t *w,
                     const int pixels, const int vectors) {
    __m512i weight[2];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        weight[v] = _mm512_load_si512(w + v * lookup__avx512vbmi_VECTOR);
    }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++) {
        const __m512i row = _mm512_load_si512(table + *(const uint16_t *)(const void *)lookup__avx512vbmi_pixel(x, step, 3 * step, p));
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            sum[p * vectors + v] = _mm512_add_epi8(sum[p * vectors + v], _mm512_permutexvar_epi8(weight[v], row));
        }
    }
}

/* 16-bit sums of one pixel and vector to its accumulators. */
lookup__avx512vbmi_INLINE void lookup__avx512vbmi_flush(int32_t *acc, __m512i all, __m512i odd, int32_t blocks) {
    __m512i even = _mm512_sub_epi16(all, _mm512_slli_epi16(odd, 8));
    const __m256i part[4] = {_mm512_castsi512_si256(even), _mm512_extracti64x4_epi64(even, 1), _mm512_castsi512_si256(odd),
                             _mm512_extracti64x4_epi64(odd, 1)};
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++) {
        if (b < blocks) {
            int32_t *to = acc + b * CRUMB_FRAME_LANES;
            _mm512_store_si512(to, _mm512_add_epi32(_mm512_load_si512(to), _mm512_cvtepu16_epi32(part[b])));
        }
    }
}

lookup__avx512vbmi_INLINE void lookup__avx512vbmi_flush_all(const crumb_frame_tile *t, __m512i *all, __m512i *odd, const int pixels, const int vectors) {
    const int32_t blocks = vectors == 2 ? t->blocks - 4 : t->blocks;
#pragma GCC unroll 8
    for (int i = 0; i < pixels * vectors; i++) {
        int32_t *acc = (int32_t *)t->acc + i / vectors * t->blocks * CRUMB_FRAME_LANES + i % vectors * lookup__avx512vbmi_VECTOR;
        lookup__avx512vbmi_flush(acc, all[i], odd[i], vectors == 2 && i % 2 == 0 ? 4 : blocks);
        all[i] = odd[i] = _mm512_setzero_si512();
    }
}

lookup__avx512vbmi_INLINE void lookup__avx512vbmi_begin(const crumb_frame_tile *t, const int pixels) {
    for (int32_t i = 0; i < pixels * t->blocks; i++) {
        __m512i constant = _mm512_loadu_si512(t->constant + i % t->blocks * CRUMB_FRAME_LANES);
        _mm512_store_si512((int32_t *)t->acc + i * CRUMB_FRAME_LANES, constant);
    }
}

lookup__avx512vbmi_INLINE void lookup__avx512vbmi_widen(__m512i *sum, __m512i *all, __m512i *odd, const int sums, const bool half) {
#pragma GCC unroll 8
    for (int i = 0; i < sums; i++) {
        if (half) {
            all[i] = _mm512_add_epi16(all[i], _mm512_and_si512(sum[i], _mm512_set1_epi16(0xff)));
        } else {
            all[i] = _mm512_add_epi16(all[i], sum[i]);
            odd[i] = _mm512_add_epi16(odd[i], _mm512_srli_epi16(sum[i], 8));
        }
    }
}

lookup__avx512vbmi_INLINE void lookup__avx512vbmi_run(const crumb_frame *frame, const crumb_frame_tile *t, const int pixels, const int vectors, const bool half) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    const int32_t period = lookup->plan.period / lookup__avx512vbmi_QUAD * lookup__avx512vbmi_QUAD, most = lookup__avx512vbmi_FLUSH / lookup->plan.span;
    const uint8_t *w = t->weight, *table = lookup->table;
    const size_t step = t->step;
    __m512i all[lookup__avx512vbmi_SUMS], odd[lookup__avx512vbmi_SUMS];
    int32_t left = most;
    lookup__avx512vbmi_begin(t, pixels);
#pragma GCC unroll 8
    for (int i = 0; i < pixels * vectors; i++) {
        all[i] = odd[i] = _mm512_setzero_si512();
    }
    for (int32_t s = 0; s < frame->segments; s++) {
        const uint8_t *x[2] = {t->x + crumb_frame_segment(frame, s), t->x + crumb_frame_segment(frame, s) + 4 * step};
        for (int32_t u = frame->units, n; u > 0; u -= n, left -= n) {
            __m512i sum[lookup__avx512vbmi_SUMS];
#pragma GCC unroll 8
            for (int i = 0; i < pixels * vectors; i++) {
                sum[i] = _mm512_setzero_si512();
            }
            if (left < period) {
                lookup__avx512vbmi_flush_all(t, all, odd, pixels, vectors);
                left = most;
            }
            if (u >= lookup__avx512vbmi_QUAD) {
                n = u < period ? u / lookup__avx512vbmi_QUAD * lookup__avx512vbmi_QUAD : period;
                for (int32_t q = n; q > 0; q -= lookup__avx512vbmi_QUAD) {
                    lookup__avx512vbmi_add_quad(sum, table, x, step, w, pixels, vectors);
                    x[0] += 2 * lookup__avx512vbmi_QUAD;
                    x[1] += 2 * lookup__avx512vbmi_QUAD;
                    w += lookup__avx512vbmi_QUAD * vectors * lookup__avx512vbmi_VECTOR;
                }
            } else {
                n = u;
                for (int32_t q = n; q > 0; q--) {
                    lookup__avx512vbmi_add_unit(sum, table, x, step, w, pixels, vectors);
                    x[0] += 2;
                    x[1] += 2;
                    w += vectors * lookup__avx512vbmi_VECTOR;
                }
            }
            lookup__avx512vbmi_widen(sum, all, odd, pixels * vectors, half);
        }
    }
    lookup__avx512vbmi_flush_all(t, all, odd, pixels, vectors);
}

#define lookup__avx512vbmi_TILE(name, p, v, half)                                                                                                 \
    static void name(const crumb_frame *frame, const crumb_frame_tile *t) {                                                    \
        lookup__avx512vbmi_run(frame, t, p, v, half);                                                                                             \
    }
lookup__avx512vbmi_TILE(tile_1x32, 1, 1, true)
lookup__avx512vbmi_TILE(tile_2x32, 2, 1, true)
lookup__avx512vbmi_TILE(tile_3x32, 3, 1, true)
lookup__avx512vbmi_TILE(tile_4x32, 4, 1, true)
lookup__avx512vbmi_TILE(tile_5x32, 5, 1, true)
lookup__avx512vbmi_TILE(tile_6x32, 6, 1, true)
lookup__avx512vbmi_TILE(tile_7x32, 7, 1, true)
lookup__avx512vbmi_TILE(tile_8x32, 8, 1, true)
lookup__avx512vbmi_TILE(tile_1x64, 1, 1, false)
lookup__avx512vbmi_TILE(tile_2x64, 2, 1, false)
lookup__avx512vbmi_TILE(tile_3x64, 3, 1, false)
lookup__avx512vbmi_TILE(tile_4x64, 4, 1, false)
lookup__avx512vbmi_TILE(tile_5x64, 5, 1, false)
lookup__avx512vbmi_TILE(tile_6x64, 6, 1, false)
lookup__avx512vbmi_TILE(tile_7x64, 7, 1, false)
lookup__avx512vbmi_TILE(tile_8x64, 8, 1, false)
lookup__avx512vbmi_TILE(tile_1x128, 1, 2, false)
lookup__avx512vbmi_TILE(tile_2x128, 2, 2, false)
lookup__avx512vbmi_TILE(tile_3x128, 3, 2, false)
lookup__avx512vbmi_TILE(tile_4x128, 4, 2, false)

static void tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    typedef void tile_fn(const crumb_frame *, const crumb_frame_tile *);
    static tile_fn *const tiles[3][lookup__avx512vbmi_SUMS] = {
        {tile_1x32, tile_2x32, tile_3x32, tile_4x32, tile_5x32, tile_6x32, tile_7x32, tile_8x32},
        {tile_1x64, tile_2x64, tile_3x64, tile_4x64, tile_5x64, tile_6x64, tile_7x64, tile_8x64},
        {tile_1x128, tile_2x128, tile_3x128, tile_4x128}};
    tiles[(t->blocks > 2) + (t->blocks > 4)][t->pixels - 1](frame, t);
}

static bool lookup__avx512vbmi_supports(const crumb_conv_problem *problem) {
    crumb_lookup_plan plan;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    return crumb_lookup_plan_make(&p, lookup__avx512vbmi_VECTOR, &plan) && plan.period >= lookup__avx512vbmi_QUAD;
}

static const crumb_lookup_family lookup__avx512vbmi_family = {.frame = {.stage = lookup__avx512vbmi_stage, .tile = tile, .pixels = {0, 8, 8, 8, 8, 4, 4, 4, 4}},
                                           .row = lookup__avx512vbmi_VECTOR,
                                           .vector = lookup__avx512vbmi_VECTOR,
                                           .block = 2 * lookup__avx512vbmi_VECTOR,
                                           .lane = lookup__avx512vbmi_lane};

const crumb_conv_kernel crumb_conv_lookup__avx512vbmi = {
    .name = "conv_i32_few_few__avx512vbmi",
    .family = "lookup",
    .cpu = CRUMB_CPU_AVX512 | CRUMB_CPU_AVX512VBMI,
    .supports = lookup__avx512vbmi_supports,
    .prepare = crumb_lookup_prepare,
    .run = crumb_frame_run,
    .inner = &lookup__avx512vbmi_family,
};
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/* ==== src/runtime/kernels/lookup/lookup__scalar.c */
/* The plain twin of the family "lookup". */

#include <string.h>

enum { lookup__scalar_VECTOR = 64 };

static bool lookup__scalar_supports(const crumb_conv_problem *problem) {
    crumb_lookup_plan plan;
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    return crumb_lookup_plan_make(&p, 64, &plan);
}

static int32_t lookup__scalar_lane(int32_t channel) {
    return channel;
}

static void lookup__scalar_tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const crumb_lookup *lookup = (const crumb_lookup *)(const void *)frame;
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        int32_t *acc = (int32_t *)t->acc + (size_t)p * (size_t)lanes;
        const uint8_t *w = t->weight;
        memcpy(acc, t->constant, (size_t)lanes * sizeof(*acc));
        for (int32_t s = 0; s < frame->segments; s++) {
            const uint16_t *x = (const uint16_t *)(const void *)(t->x + (size_t)p * t->step + crumb_frame_segment(frame, s));
            for (int32_t u = 0; u < frame->units; u++, w += lookup__scalar_VECTOR) {
                const uint8_t *row = lookup->table + x[u];
                for (int32_t c = 0; c < lanes; c++) {
                    acc[c] += row[w[c]];
                }
            }
        }
    }
}

static const crumb_lookup_family lookup__scalar_family = {.frame = {.stage = crumb_lookup_stage, .tile = lookup__scalar_tile, .pixels = {0, 16, 16, 16, 16}},
                                           .row = 64,
                                           .vector = lookup__scalar_VECTOR,
                                           .block = lookup__scalar_VECTOR,
                                           .lane = lookup__scalar_lane};

const crumb_conv_kernel crumb_conv_lookup__scalar = {
    .name = "conv_i32_few_few__scalar",
    .family = "lookup",
    .supports = lookup__scalar_supports,
    .prepare = crumb_lookup_prepare,
    .run = crumb_frame_run,
    .inner = &lookup__scalar_family,
};

/* ==== src/runtime/kernels/real/real.c */
/* Choice, staging and wide panels of the family "real" (real.h). */

#include <string.h>

int32_t crumb_real_group(const crumb_packed_codes *w) {
    return w->levels == 0 || w->levels > 4 ? 1 : w->levels > 2 ? 2 : 4;
}

bool crumb_real_supports(const crumb_conv_problem *problem) {
    return problem->x.levels == 0;
}

void crumb_real_stage(const crumb_frame *frame, uint8_t *dst, const uint8_t *src, int32_t pixels) {
    const size_t in = (size_t)frame->in * sizeof(float), out = (size_t)frame->pixel_bytes;
    const size_t stride = (size_t)frame->problem.channels * sizeof(float);
    if (in == stride && in == out) {
        memcpy(dst, src, (size_t)pixels * in);
        return;
    }
    for (int32_t p = 0; p < pixels; p++, src += stride, dst += out) {
        memcpy(dst, src, in);
        memset(dst + in, 0, out - in);
    }
}

static void real_put(const crumb_frame *frame, const crumb_frame_place *place, const void *weight, size_t row, const void *user) {
    const int32_t group = *(const int32_t *)user;
    float *to = (float *)(void *)place->block +
                ((size_t)place->segment * (size_t)frame->units + (size_t)place->unit) * (size_t)(group * place->lanes) +
                (size_t)place->lane;
    for (int32_t i = 0; i < group; i++, to += place->lanes) {
        int32_t tap, byte;
        crumb_frame_position(frame, place->segment, (group * place->unit + i) * (int32_t)sizeof(float), &tap, &byte);
        int32_t channel = byte / (int32_t)sizeof(float);
        if (channel < frame->in) {
            const size_t at = row + (size_t)tap * (size_t)frame->in + (size_t)channel;
            *to = frame->problem.w.levels == 0 ? ((const float *)weight)[at]
                                               : (float)crumb_packed_code(&frame->problem.w, ((const uint16_t *)weight)[at]);
        }
    }
}

crumb_status crumb_real_prepare(crumb_ctx *ctx, const crumb_conv_kernel *kernel, const crumb_conv_problem *problem,
                                const void *weight, crumb_conv_ready *ready) {
    const crumb_conv_problem p = crumb_frame_rewrite(problem);
    crumb_real real = {.group = crumb_real_group(&p.w)};
    const int32_t in = p.channels / p.groups, filled = (in + real.group - 1) / real.group * real.group;
    crumb_frame_make(&real.frame, problem, kernel->inner, 64, real.group * (int32_t)sizeof(float),
                     filled * (int32_t)sizeof(float), false);
    int32_t *constant;
    uint8_t *panel;
    const size_t block = sizeof(float) * (size_t)real.frame.segments * (size_t)real.frame.units *
                         (size_t)(real.group * crumb_frame_lanes(&real.frame, 0));
    CRUMB_TRY(crumb_frame_alloc(ctx, ready, sizeof(real), &real.frame, block, &constant, &panel));
    ((crumb_real *)ready->panel)->group = real.group;
    crumb_frame_pack(&real.frame, panel, weight, real_put, &real.group);
    return CRUMB_OK;
}

/* ==== src/runtime/kernels/real/real__scalar.c */
/* The plain twin of the family "real". */

#include <math.h>
#include <string.h>

static void real__scalar_window(const crumb_real *real, const crumb_frame_tile *t, int32_t p, float *acc) {
    const crumb_frame *frame = &real->frame;
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES, group = real->group;
    const float *w = (const float *)(const void *)t->weight;
    for (int32_t s = 0; s < frame->segments; s++) {
        const float *x = (const float *)(const void *)(t->x + (size_t)p * t->step + crumb_frame_segment(frame, s));
        for (int32_t u = 0; u < frame->units; u++, x += group, w += group * lanes) {
            for (int32_t c = 0; c < lanes; c++) {
                float sum = group == 1 ? acc[c] : 0.0f;
                for (int32_t i = 0; i < group; i++) {
                    sum = fmaf(x[i], w[i * lanes + c], sum);
                }
                acc[c] = group == 1 ? sum : acc[c] + sum;
            }
        }
    }
}

static void real__scalar_tile(const crumb_frame *frame, const crumb_frame_tile *t) {
    const int32_t lanes = t->blocks * CRUMB_FRAME_LANES;
    for (int32_t p = 0; p < t->pixels; p++) {
        float *acc = (float *)t->acc + (size_t)p * (size_t)lanes;
        memset(acc, 0, (size_t)lanes * sizeof(*acc));
        real__scalar_window((const crumb_real *)(const void *)frame, t, p, acc);
    }
}

static const crumb_frame_family real__scalar_family = {.stage = crumb_real_stage, .tile = real__scalar_tile, .pixels = {0, 16, 16, 16, 16}};

const crumb_conv_kernel crumb_conv_real__scalar = {
    .name = "conv_f32_f32_f32__scalar",
    .family = "real",
    .supports = crumb_real_supports,
    .prepare = crumb_real_prepare,
    .run = crumb_frame_run,
    .inner = &real__scalar_family,
};

/* ==== src/runtime/plan.c */
/* Making a plan, in order: steps (plan_steps.c), kernels, shorter chains (plan_shorten.c), the arena (plan_arena.c), the text.
 */

/* ---- Kernels. */

static crumb_status plan_prepare(crumb_plan *plan, crumb_step *step) {
    const crumb_packed_node *node = &plan->packed->node[step->node];
    const crumb_packed_tensor *tensor = &plan->packed->tensor[node->weight];
    crumb_conv_problem problem = crumb_conv_problem_of(plan->packed, node);
    if (tensor->codes.levels == 0) {
        return crumb_conv_prepare(plan->ctx, &problem, crumb_packed_floats(plan->packed, node->weight), &step->conv);
    }
    uint16_t *index = crumb_alloc(plan->ctx, (size_t)tensor->rows * (size_t)tensor->columns, sizeof(*index));
    if (index == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int32_t row = 0; row < tensor->rows; row++) {
        crumb_packed_unpack_row(tensor, row, index + (size_t)row * (size_t)tensor->columns);
    }
    crumb_status status = crumb_conv_prepare(plan->ctx, &problem, index, &step->conv);
    crumb_free(plan->ctx, index);
    return status;
}

/* What a source other than a convolution writes its strips into. */
static size_t plan_strip_bytes(const crumb_step *step) {
    size_t elements = (size_t)step->channels;
    return (elements < CRUMB_STRIP ? CRUMB_STRIP : elements) * sizeof(float);
}

crumb_status crumb_plan_kernels(crumb_plan *plan) {
    for (int32_t i = 0; i < plan->steps; i++) {
        crumb_step *step = &plan->step[i];
        size_t scratch = plan_strip_bytes(step);
        if (step->source == crumb_step_conv) {
            CRUMB_TRY(plan_prepare(plan, step));
            scratch = step->conv.scratch_bytes;
        }
        plan->scratch = scratch > plan->scratch ? scratch : plan->scratch;
    }
    plan->scratch = (plan->scratch + 63) / 64 * 64;
    return CRUMB_OK;
}

/* ---- The plan. */

/* The pixels of packed.h: each step rounded, in this order. */
static void plan_tabulate_pixels(crumb_plan *plan) {
    for (int32_t c = 0; c < plan->packed->value[0].channels; c++) {
        for (int pixel = 0; pixel < 256; pixel++) {
            plan->pixel[c][pixel] = ((float)pixel / 255.0f - plan->packed->mean[c]) / plan->packed->deviation[c];
        }
    }
}

static crumb_status plan_make(crumb_plan *plan, bool keep) {
    plan_tabulate_pixels(plan);
    CRUMB_TRY(crumb_plan_steps(plan, keep));
    CRUMB_TRY(crumb_plan_kernels(plan));
    for (int32_t i = 0; i < plan->steps; i++) {
        CRUMB_TRY(crumb_plan_shorten(plan, &plan->step[i]));
    }
    crumb_plan_arena(plan, keep);
    return crumb_plan_print(plan);
}

crumb_status crumb_plan_make(crumb_packed *packed, bool keep, crumb_plan **out) {
    crumb_plan *plan = crumb_alloc(packed->ctx, 1, sizeof(*plan));
    if (plan == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    plan->ctx = packed->ctx;
    plan->packed = packed;
    plan->vector = crumb_vector_pick(packed->ctx);
    crumb_status status = plan_make(plan, keep);
    if (status != CRUMB_OK) {
        crumb_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return CRUMB_OK;
}

crumb_status crumb_plan_create(crumb_packed *packed, crumb_plan **plan) {
    return crumb_plan_make(packed, false, plan);
}

void crumb_plan_destroy(crumb_plan *plan) {
    if (plan == NULL) {
        return;
    }
    for (int32_t i = 0; i < plan->steps; i++) {
        crumb_conv_release(plan->ctx, &plan->step[i].conv);
        crumb_free(plan->ctx, plan->step[i].thresholds);
    }
    crumb_free(plan->ctx, plan->text);
    crumb_free(plan->ctx, plan->buffer_of);
    crumb_free(plan->ctx, plan->buffer);
    crumb_free(plan->ctx, plan->link);
    crumb_free(plan->ctx, plan->step);
    crumb_free(plan->ctx, plan);
}

const char *crumb_plan_text(const crumb_plan *plan) {
    return plan->text;
}

/* ==== src/runtime/plan_arena.c */
/* Where buffers lie: each from the step that first writes it to the step that last reads it, the lowest place that is free all
 * that time, in order of birth. */

static void plan_arena_find_lifetimes(crumb_plan *plan, bool keep) {
    for (int32_t i = 0; i < plan->buffers; i++) {
        plan->buffer[i].born = plan->steps;
    }
    for (int32_t i = 0; i < plan->steps; i++) {
        const crumb_step *step = &plan->step[i];
        for (int32_t k = 0; k < step->inputs; k++) {
            plan->buffer[step->input[k]].dies = i;
        }
        for (int32_t k = step->first; k < step->first + step->links; k++) {
            if (plan->link[k].buffer >= 0) {
                crumb_buffer *buffer = &plan->buffer[plan->link[k].buffer];
                buffer->born = i < buffer->born ? i : buffer->born;
                buffer->dies = i;
            }
        }
    }
    for (int32_t i = 0; i < plan->buffers; i++) {
        bool stays = keep || plan->buffer_of[plan->packed->logits] == i;
        plan->buffer[i].dies = stays ? plan->steps : plan->buffer[i].dies;
    }
}

static bool plan_arena_live_together(const crumb_buffer *a, const crumb_buffer *b) {
    return a->born <= b->dies && b->born <= a->dies;
}

/* True if none of the first `count` buffers is in the way of `wanted` at this offset. */
static bool plan_arena_fits(const crumb_plan *plan, int32_t count, const crumb_buffer *wanted, size_t offset) {
    for (int32_t i = 0; i < count; i++) {
        const crumb_buffer *other = &plan->buffer[i];
        if (plan_arena_live_together(other, wanted) && offset < other->offset + other->bytes && other->offset < offset + wanted->bytes) {
            return false;
        }
    }
    return true;
}

/* The lowest place is 0 or the end of another buffer. */
static size_t plan_arena_lowest_place(const crumb_plan *plan, int32_t count, const crumb_buffer *wanted) {
    size_t best = SIZE_MAX;
    if (plan_arena_fits(plan, count, wanted, 0)) {
        return 0;
    }
    for (int32_t i = 0; i < count; i++) {
        size_t end = plan->buffer[i].offset + plan->buffer[i].bytes;
        if (end < best && plan_arena_fits(plan, count, wanted, end)) {
            best = end;
        }
    }
    return best;
}

void crumb_plan_arena(crumb_plan *plan, bool keep) {
    plan_arena_find_lifetimes(plan, keep);
    for (int32_t i = 0; i < plan->buffers; i++) {
        crumb_buffer *buffer = &plan->buffer[i];
        buffer->offset = plan_arena_lowest_place(plan, i, buffer);
        size_t end = buffer->offset + buffer->bytes;
        plan->arena = end > plan->arena ? end : plan->arena;
    }
}

/* ==== src/runtime/plan_shorten.c */
/* Shorter chains with the same results.
 *
 * A rectifier in front of nothing but quantizers that give what is not positive their lowest level anyway goes.
 *
 * Multiplier, bias, rectifier and quantizer of few levels behind integer accumulators are together a step function of each
 * channel's accumulator: fmaf, max, min, multiplication by a positive number and rounding are monotone, and so is what they
 * make one after the other. Its steps are found by bisection over the accumulator with the very operations of the chain, hence
 * exact; the chain then compares integers (Larq's and FINN's thresholds). Where the multiplier is negative the function falls;
 * not(acc) = -1 - acc turns it around. */

#include <math.h>

/* More thresholds cost more than the arithmetic they replace, six vector instructions. */
enum { plan_shorten_THRESHOLDS_MAX = 3 };

static bool plan_shorten_lowest_below_zero(const crumb_link *link) {
    return link->op == CRUMB_LINK_ROUND ? link->lo >= 0.0f && link->inverse >= 0.0f
                                        : link->thresholds == 0 || link->a[0] > 0.0f;
}

static void plan_shorten_remove_link(crumb_plan *plan, crumb_step *step, int32_t index) {
    crumb_link *link = &plan->link[step->first];
    for (int32_t i = index; i + 1 < step->links; i++) {
        link[i] = link[i + 1];
    }
    step->links--;
}

static void plan_shorten_drop_rectifier(crumb_plan *plan, crumb_step *step) {
    const crumb_link *link = &plan->link[step->first];
    int32_t last = -1;
    bool useless = true;
    for (int32_t i = 1; i < step->links; i++) {
        bool quantizes = link[i].op == CRUMB_LINK_ROUND || link[i].op == CRUMB_LINK_THRESHOLDS;
        if (link[i].op == CRUMB_LINK_RELU) {
            last = i;
            useless = true;
        } else {
            useless = useless && (link[i].op == CRUMB_LINK_STORE_INDEX || (quantizes && plan_shorten_lowest_below_zero(&link[i])));
        }
    }
    if (last > 0 && useless) {
        plan_shorten_remove_link(plan, step, last);
    }
}

/* ---- Thresholds. The pattern: SCALE, then any of RELU and CLIP, a quantizer, its store. */

static bool plan_shorten_is_step_function(const crumb_link *link, int32_t links, int32_t channels) {
    if (links < 3 || link[0].op != CRUMB_LINK_SCALE || link[links - 1].op != CRUMB_LINK_STORE_INDEX) {
        return false;
    }
    for (int32_t i = 1; i < links - 2; i++) {
        if (link[i].op != CRUMB_LINK_RELU && link[i].op != CRUMB_LINK_CLIP) {
            return false;
        }
    }
    for (int32_t c = 0; c < channels; c++) {
        if (!isfinite(link[0].a[c]) || !isfinite(link[0].b[c])) {
            return false;
        }
    }
    const crumb_link *last = &link[links - 2];
    return last->op == CRUMB_LINK_THRESHOLDS ||
           (last->op == CRUMB_LINK_ROUND && last->inverse > 0.0f && isfinite(last->inverse));
}

/* The chain of one channel, for one element. */
typedef struct plan_shorten_probe {
    crumb_link link[CRUMB_LINKS_MAX];
    crumb_chain chain;
    float a, b;
    uint8_t index;
} plan_shorten_probe;

static void plan_shorten_probe_init(plan_shorten_probe *p, const crumb_link *link, int32_t links, int32_t c) {
    for (int32_t i = 0; i < links; i++) {
        p->link[i] = link[i];
    }
    p->a = link[0].a[c];
    p->b = link[0].b[c];
    p->link[0].a = &p->a;
    p->link[0].b = &p->b;
    p->link[links - 1].base = &p->index;
    p->link[links - 1].pixel = 1;
    p->chain = (crumb_chain){.link = p->link, .links = links, .height = 1, .width = 1, .channels = 1};
}

/* The smallest x for which the index of x (of not(x) with flip -1) is at least `level`. INT32_MAX if it never is: no
 * accumulator reaches that, for 2^31 - 1 is prime, and neither a window nor a code has so many. */
static int32_t plan_shorten_bisect(plan_shorten_probe *p, int32_t flip, int32_t level) {
    int64_t below = (int64_t)INT32_MIN - 1, at = INT32_MAX;
    while (at - below > 1) {
        int64_t middle = below + (at - below) / 2;
        int32_t acc = (int32_t)middle ^ flip;
        crumb_chain_run(&p->chain, 0, 1, 0, 1, &acc, 1);
        if (p->index >= level) {
            at = middle;
        } else {
            below = middle;
        }
    }
    return (int32_t)at;
}

static crumb_status plan_shorten_compare_integers(crumb_plan *plan, crumb_step *step) {
    crumb_link *link = &plan->link[step->first];
    int32_t links = step->links, channels = step->channels;
    int32_t levels = link[links - 2].thresholds;
    step->thresholds = crumb_alloc(plan->ctx, (size_t)(levels + 1) * (size_t)channels, sizeof(*step->thresholds));
    if (step->thresholds == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    int32_t *flip = step->thresholds, *threshold = flip + channels;
    for (int32_t c = 0; c < channels; c++) {
        flip[c] = link[0].a[c] < 0.0f ? -1 : 0;
        plan_shorten_probe p;
        plan_shorten_probe_init(&p, link, links, c);
        for (int32_t k = 0; k < levels; k++) {
            threshold[(size_t)k * (size_t)channels + (size_t)c] = plan_shorten_bisect(&p, flip[c], k + 1);
        }
    }
    link[0] = (crumb_link){.op = CRUMB_LINK_COUNT,
                           .node = link[0].node,
                           .buffer = -1,
                           .step = 1,
                           .flip = flip,
                           .threshold = threshold,
                           .thresholds = levels};
    link[1] = link[links - 1];
    step->links = 2;
    return CRUMB_OK;
}

crumb_status crumb_plan_shorten(crumb_plan *plan, crumb_step *step) {
    plan_shorten_drop_rectifier(plan, step);
    const crumb_link *link = &plan->link[step->first];
    if (plan_shorten_is_step_function(link, step->links, step->channels) && link[step->links - 2].thresholds <= plan_shorten_THRESHOLDS_MAX) {
        return plan_shorten_compare_integers(plan, step);
    }
    return CRUMB_OK;
}

/* ==== src/runtime/plan_steps.c */
/* From nodes to steps: which node goes into which chain, and which values need memory. */

/* How a value's elements are found in a buffer. */
typedef struct plan_steps_view {
    int32_t buffer; /* -1: they are not in memory */
    int32_t step, before;
    const crumb_packed_codes *codes; /* the buffer's indices are dequantized on the way; NULL: taken as they are */
} plan_steps_view;

typedef struct plan_steps_builder {
    crumb_plan *plan;
    const crumb_packed *packed;
    bool keep;
    bool *done;    /* nodes that are in a chain, or are views */
    bool *there;   /* values that a finished step has stored, and views of them */
    int32_t *made; /* values that the present step stores */
    int32_t mades;
    plan_steps_view *views;    /* of values */
    int32_t *first; /* values: begin of their readers, in node order */
    int32_t *reader;
    crumb_step *step; /* in the making */
} plan_steps_builder;

/* ---- Readers. */

static void plan_steps_list_readers(plan_steps_builder *b) {
    const crumb_packed *packed = b->packed;
    for (int32_t i = 0; i < packed->nodes; i++) {
        for (int32_t k = 0; k < packed->node[i].inputs; k++) {
            b->first[packed->node[i].input[k] + 1]++;
        }
    }
    for (int32_t v = 0; v < packed->values; v++) {
        b->first[v + 1] += b->first[v];
    }
    for (int32_t i = packed->nodes - 1; i >= 0; i--) { /* backwards, filling each list from its end */
        for (int32_t k = packed->node[i].inputs - 1; k >= 0; k--) {
            int32_t v = packed->node[i].input[k];
            b->reader[--b->first[v + 1]] = i;
        }
    }
    for (int32_t v = 0; v < packed->values; v++) { /* first[v + 1] is now where the list of v begins */
        b->first[v] = b->first[v + 1];
    }
    int32_t all = 0;
    for (int32_t i = 0; i < packed->nodes; i++) {
        all += packed->node[i].inputs;
    }
    b->first[packed->values] = all;
}

/* Flattening a vector changes nothing: a link that is none for floats, the same view for codes. */
static bool plan_steps_flattens_vector(const plan_steps_builder *b, const crumb_packed_node *n, bool codes) {
    const crumb_packed_value *x = &b->packed->value[n->input[0]];
    return n->op == CRUMB_PACKED_FLATTEN && x->height == 1 && x->width == 1 && (x->codes.levels != 0) == codes;
}

static bool plan_steps_is_view(const plan_steps_builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    return n->op == CRUMB_PACKED_SUBSAMPLE || n->op == CRUMB_PACKED_PAD || n->op == CRUMB_PACKED_DEQUANTIZE ||
           plan_steps_flattens_vector(b, n, true);
}

static bool plan_steps_is_elementwise(const plan_steps_builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    return n->op == CRUMB_PACKED_AFFINE || n->op == CRUMB_PACKED_ADD || n->op == CRUMB_PACKED_MUL ||
           n->op == CRUMB_PACKED_RELU || n->op == CRUMB_PACKED_PRELU || n->op == CRUMB_PACKED_CLIP ||
           n->op == CRUMB_PACKED_QUANTIZE || plan_steps_flattens_vector(b, n, false);
}

/* True if a step after the present one reads the value from memory. */
static bool plan_steps_needs_memory(const plan_steps_builder *b, int32_t value, int32_t next) {
    bool needed = b->keep || value == b->packed->logits;
    for (int32_t i = b->first[value]; i < b->first[value + 1]; i++) {
        needed = needed || (!b->done[b->reader[i]] && b->reader[i] != next);
    }
    return needed;
}

/* True if some reader of a view wants a stack of its own, as all but element-wise nodes and other views do. */
static bool plan_steps_needs_stack(const plan_steps_builder *b, int32_t value) {
    bool needed = b->keep || value == b->packed->logits;
    for (int32_t i = b->first[value]; i < b->first[value + 1]; i++) {
        needed = needed || !(plan_steps_is_elementwise(b, b->reader[i]) || plan_steps_is_view(b, b->reader[i]));
    }
    return needed;
}

/* ---- Steps, links, buffers. There is room for as many as there can be (room_for). */

static int32_t plan_steps_add_buffer(plan_steps_builder *b, int32_t value) {
    crumb_plan *plan = b->plan;
    const crumb_packed_value *v = &b->packed->value[value];
    size_t pixel = (size_t)v->channels * (v->codes.levels != 0 ? sizeof(uint8_t) : sizeof(float));
    plan->buffer[plan->buffers] =
        (crumb_buffer){.value = value, .pixel = pixel, .bytes = ((size_t)v->height * (size_t)v->width * pixel + 63) / 64 * 64};
    plan->buffer_of[value] = plan->buffers;
    b->views[value] = (plan_steps_view){.buffer = plan->buffers, .step = 1};
    return plan->buffers++;
}

static crumb_link *plan_steps_add_link(plan_steps_builder *b, crumb_link_op op, int32_t node) {
    crumb_link *link = &b->plan->link[b->plan->links++];
    *link = (crumb_link){.op = op, .node = node, .buffer = -1, .step = 1};
    b->step->links++;
    return link;
}

static void plan_steps_set_operand(plan_steps_builder *b, crumb_link *link, const plan_steps_view *from) {
    const crumb_buffer *buffer = &b->plan->buffer[from->buffer];
    const crumb_packed_value *value = &b->packed->value[buffer->value];
    link->buffer = from->buffer;
    link->step = from->step;
    link->before = from->before;
    link->height = value->height;
    link->width = value->width;
    link->channels = value->channels;
    link->pixel = buffer->pixel;
    if (from->codes != NULL) {
        link->scale = from->codes->scale;
        link->multiply = from->codes->multiply;
        link->offset = from->codes->offset;
    }
}

static void plan_steps_add_load(plan_steps_builder *b, int32_t value, int32_t node) {
    const plan_steps_view *from = &b->views[value];
    bool indices = b->packed->value[value].codes.levels != 0;
    crumb_link_op op = indices ? CRUMB_LINK_LOAD_INDEX : from->codes != NULL ? CRUMB_LINK_LOAD_CODES : CRUMB_LINK_LOAD;
    plan_steps_set_operand(b, plan_steps_add_link(b, op, node), from);
}

static void plan_steps_add_store(plan_steps_builder *b, int32_t value, int32_t node) {
    bool indices = b->packed->value[value].codes.levels != 0;
    crumb_link *link = plan_steps_add_link(b, indices ? CRUMB_LINK_STORE_INDEX : CRUMB_LINK_STORE, node);
    plan_steps_add_buffer(b, value);
    b->made[b->mades++] = value;
    plan_steps_set_operand(b, link, &b->views[value]);
}

static void plan_steps_add_quantizer(plan_steps_builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    crumb_link *link = plan_steps_add_link(b, n->thresholds_form ? CRUMB_LINK_THRESHOLDS : CRUMB_LINK_ROUND, node);
    link->inverse = n->inverse;
    link->lo = n->lo;
    link->hi = n->hi;
    link->thresholds = b->packed->value[n->output].codes.levels - 1;
    link->a = crumb_packed_floats(b->packed, n->extra);
}

/* ---- Chains. */

static int32_t plan_steps_operand_of(const crumb_packed_node *node, int32_t value) {
    return node->input[0] == value ? node->input[1] : node->input[0];
}

/* The node of an element-wise op that goes on from `value`. */
static void plan_steps_add_node(plan_steps_builder *b, int32_t node, int32_t value) {
    const crumb_packed_node *n = &b->packed->node[node];
    if (n->op == CRUMB_PACKED_ADD || n->op == CRUMB_PACKED_MUL) {
        const plan_steps_view *from = &b->views[plan_steps_operand_of(n, value)];
        bool add = n->op == CRUMB_PACKED_ADD, codes = from->codes != NULL;
        crumb_link_op op = add     ? (codes ? CRUMB_LINK_ADD_CODES : CRUMB_LINK_ADD)
                           : codes ? CRUMB_LINK_MUL_CODES
                                   : CRUMB_LINK_MUL;
        plan_steps_set_operand(b, plan_steps_add_link(b, op, node), from);
        return;
    }
    if (n->op == CRUMB_PACKED_FLATTEN) {
        return;
    }
    static const crumb_link_op ops[CRUMB_PACKED_OPS] = {[CRUMB_PACKED_AFFINE] = CRUMB_LINK_AFFINE,
                                                        [CRUMB_PACKED_RELU] = CRUMB_LINK_RELU,
                                                        [CRUMB_PACKED_PRELU] = CRUMB_LINK_PRELU,
                                                        [CRUMB_PACKED_CLIP] = CRUMB_LINK_CLIP};
    crumb_link *link = plan_steps_add_link(b, ops[n->op], node);
    link->a = crumb_packed_floats(b->packed, n->op == CRUMB_PACKED_AFFINE ? n->multiplier : n->extra);
    link->b = crumb_packed_floats(b->packed, n->bias);
    link->lo = n->lo;
    link->hi = n->hi;
}

/* The first reader of `value` that can go on now, -1: none. */
static int32_t plan_steps_next_node(const plan_steps_builder *b, int32_t value) {
    for (int32_t i = b->first[value]; i < b->first[value + 1]; i++) {
        const crumb_packed_node *n = &b->packed->node[b->reader[i]];
        bool can = plan_steps_is_elementwise(b, b->reader[i]) && n->op != CRUMB_PACKED_QUANTIZE && !b->done[b->reader[i]];
        if (can && (n->inputs == 1 || b->there[plan_steps_operand_of(n, value)])) {
            return b->reader[i];
        }
    }
    return -1;
}

static bool plan_steps_has_room(const plan_steps_builder *b) {
    return b->step->links + 5 <= CRUMB_LINKS_MAX; /* a node, two of a quantizer, a store, one more */
}

static void plan_steps_add_quantizers(plan_steps_builder *b, int32_t value) {
    for (int32_t i = b->first[value]; i < b->first[value + 1]; i++) {
        int32_t node = b->reader[i];
        if (b->packed->node[node].op == CRUMB_PACKED_QUANTIZE && !b->done[node] && plan_steps_has_room(b)) {
            b->done[node] = true;
            if (plan_steps_needs_memory(b, b->packed->node[node].output, -1)) {
                plan_steps_add_quantizer(b, node);
                plan_steps_add_store(b, b->packed->node[node].output, node);
            }
        }
    }
}

/* The rest of a chain that has just computed the float `value`, which is in memory already or not. */
static void plan_steps_extend(plan_steps_builder *b, int32_t value, int32_t node, bool stored) {
    for (;;) {
        plan_steps_add_quantizers(b, value);
        int32_t next = plan_steps_has_room(b) ? plan_steps_next_node(b, value) : -1;
        if (!stored && plan_steps_needs_memory(b, value, next)) {
            plan_steps_add_store(b, value, node);
        }
        if (next < 0) {
            return;
        }
        plan_steps_add_node(b, next, value);
        b->done[next] = true;
        value = b->packed->node[next].output;
        node = next;
        stored = false;
    }
}

/* ---- Steps. */

static void plan_steps_begin_step(plan_steps_builder *b, crumb_step_source *source, int32_t node, int32_t value) {
    const crumb_packed_value *v = &b->packed->value[value];
    b->step = &b->plan->step[b->plan->steps++];
    *b->step = (crumb_step){.source = source,
                            .node = node,
                            .height = v->height,
                            .width = v->width,
                            .channels = v->channels,
                            .first = b->plan->links};
}

static void plan_steps_add_view(plan_steps_builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    plan_steps_view v = b->views[n->input[0]];
    v.step *= n->op == CRUMB_PACKED_SUBSAMPLE ? n->stride : 1;
    v.before += n->op == CRUMB_PACKED_PAD ? n->before : 0;
    v.codes = n->op == CRUMB_PACKED_DEQUANTIZE ? &b->packed->value[n->input[0]].codes : v.codes;
    b->views[n->output] = v;
    b->done[node] = true;
    b->there[n->output] = true;
    if (n->op == CRUMB_PACKED_FLATTEN) {
        b->plan->buffer_of[n->output] = v.buffer;
    }
}

/* What the step stored is there for the next ones; so are views of it that need no stack. */
static void plan_steps_end_step(plan_steps_builder *b) {
    for (int32_t i = 0; i < b->mades; i++) {
        int32_t value = b->made[i];
        b->there[value] = true;
        for (int32_t k = b->first[value]; k < b->first[value + 1]; k++) {
            int32_t node = b->reader[k], output = b->packed->node[node].output;
            bool looks = plan_steps_is_view(b, node) && !b->done[node];
            if (looks && (b->packed->node[node].op == CRUMB_PACKED_FLATTEN || !plan_steps_needs_stack(b, output))) {
                plan_steps_add_view(b, node);
                b->made[b->mades++] = output;
            }
        }
    }
    b->mades = 0;
}

static crumb_step_source *plan_steps_source_of(const plan_steps_builder *b, const crumb_packed_node *node) {
    bool codes = b->packed->value[node->input[0]].codes.levels != 0;
    switch (node->op) {
    case CRUMB_PACKED_CONV2D:
        return crumb_step_conv;
    case CRUMB_PACKED_MAX_POOL:
        return codes ? crumb_step_max_pool_index : crumb_step_max_pool;
    case CRUMB_PACKED_AVERAGE_POOL:
        return crumb_step_average_pool;
    case CRUMB_PACKED_GLOBAL_AVERAGE_POOL:
        return crumb_step_global_average_pool;
    case CRUMB_PACKED_CONCAT:
        return crumb_step_concat;
    default:
        return crumb_step_flatten;
    }
}

/* A node that makes its elements itself. */
static void plan_steps_source_step(plan_steps_builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    bool from_codes = b->packed->value[n->input[0]].codes.levels != 0, to_codes = b->packed->value[n->output].codes.levels != 0;
    plan_steps_begin_step(b, plan_steps_source_of(b, n), node, n->output);
    for (int32_t k = 0; k < n->inputs; k++) {
        b->step->input[b->step->inputs++] = b->views[n->input[k]].buffer;
    }
    b->done[node] = true;
    plan_steps_add_link(b, to_codes ? CRUMB_LINK_INDEX : CRUMB_LINK_REAL, node);
    if (n->op == CRUMB_PACKED_CONV2D) {
        crumb_link *link = &b->plan->link[b->step->first];
        link->op = CRUMB_LINK_SCALE;
        link->a = crumb_packed_floats(b->packed, n->multiplier);
        link->b = crumb_packed_floats(b->packed, n->bias);
        if (!from_codes) { /* the accumulators are floats */
            crumb_link *affine = plan_steps_add_link(b, CRUMB_LINK_AFFINE, node);
            affine->a = link->a;
            affine->b = link->b;
            link->op = CRUMB_LINK_REAL;
        }
    }
    if (!to_codes) {
        plan_steps_extend(b, n->output, node, false);
    } else if (plan_steps_needs_memory(b, n->output, -1)) {
        plan_steps_add_store(b, n->output, node);
    }
    plan_steps_end_step(b);
}

/* A view that some reader wants as a stack of its own: the others are done since their input is there. */
static void plan_steps_stack_step(plan_steps_builder *b, int32_t node) {
    const crumb_packed_node *n = &b->packed->node[node];
    plan_steps_add_view(b, node);
    plan_steps_begin_step(b, crumb_step_memory, node, n->output);
    plan_steps_add_load(b, n->output, node);
    if (b->packed->value[n->output].codes.levels == 0) {
        plan_steps_extend(b, n->output, node, false);
    } else if (plan_steps_needs_memory(b, n->output, -1)) {
        plan_steps_add_store(b, n->output, node);
    }
    plan_steps_end_step(b);
}

/* An element-wise node that no chain took along: a chain of its own, from its first input. */
static void plan_steps_memory_step(plan_steps_builder *b, int32_t node) {
    int32_t value = b->packed->node[node].input[0];
    plan_steps_begin_step(b, crumb_step_memory, node, value);
    plan_steps_add_load(b, value, node);
    plan_steps_extend(b, value, node, true);
    plan_steps_end_step(b);
}

static void plan_steps_image_step(plan_steps_builder *b) {
    plan_steps_begin_step(b, crumb_step_image, -1, 0);
    plan_steps_add_link(b, CRUMB_LINK_REAL, -1);
    plan_steps_extend(b, 0, -1, false);
    plan_steps_end_step(b);
}

static void plan_steps_build(plan_steps_builder *b) {
    for (int32_t v = 0; v < b->packed->values; v++) {
        b->plan->buffer_of[v] = -1;
        b->views[v].buffer = -1;
    }
    plan_steps_list_readers(b);
    plan_steps_image_step(b);
    for (int32_t i = 0; i < b->packed->nodes; i++) {
        if (b->done[i]) {
            continue;
        }
        if (plan_steps_is_view(b, i)) {
            plan_steps_stack_step(b, i);
        } else if (plan_steps_is_elementwise(b, i)) {
            plan_steps_memory_step(b, i);
        } else {
            plan_steps_source_step(b, i);
        }
    }
}

/* A node is at most a first link, one or two of its own and a store; a step more begins with a load. */
static bool plan_steps_room_for(plan_steps_builder *b) {
    crumb_ctx *ctx = b->plan->ctx;
    size_t nodes = (size_t)b->packed->nodes + 1, values = (size_t)b->packed->values + 1;
    b->plan->step = crumb_alloc(ctx, nodes, sizeof(*b->plan->step));
    b->plan->link = crumb_alloc(ctx, 5 * nodes, sizeof(*b->plan->link));
    b->plan->buffer = crumb_alloc(ctx, values, sizeof(*b->plan->buffer));
    b->plan->buffer_of = crumb_alloc(ctx, values, sizeof(*b->plan->buffer_of));
    b->done = crumb_alloc(ctx, nodes, sizeof(*b->done));
    b->there = crumb_alloc(ctx, values, sizeof(*b->there));
    b->made = crumb_alloc(ctx, values, sizeof(*b->made));
    b->views = crumb_alloc(ctx, values, sizeof(*b->views));
    b->first = crumb_alloc(ctx, values + 1, sizeof(*b->first));
    b->reader = crumb_alloc(ctx, nodes * CRUMB_PACKED_INPUTS_MAX, sizeof(*b->reader));
    return b->plan->step != NULL && b->plan->link != NULL && b->plan->buffer != NULL && b->plan->buffer_of != NULL &&
           b->done != NULL && b->there != NULL && b->made != NULL && b->views != NULL && b->first != NULL && b->reader != NULL;
}

crumb_status crumb_plan_steps(crumb_plan *plan, bool keep) {
    plan_steps_builder b = {.plan = plan, .packed = plan->packed, .keep = keep};
    bool room = plan_steps_room_for(&b);
    if (room) {
        plan_steps_build(&b);
    }
    crumb_free(plan->ctx, b.reader);
    crumb_free(plan->ctx, b.first);
    crumb_free(plan->ctx, b.views);
    crumb_free(plan->ctx, b.made);
    crumb_free(plan->ctx, b.there);
    crumb_free(plan->ctx, b.done);
    return room ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

/* ==== src/runtime/plan_text.c */
/* A plan as text, a line a step:
 *
 *     layer1.0.conv1      32 x 32 x 16   conv_i32_u8_s8__avx512vnni   9.2 k   conv2d + relu + quantize -> value 7 (codes)
 *
 * name of the first node, its output, kernel, bytes of weights in panels, the nodes in the chain, what is stored. */


#include <stdio.h>

static const char *plan_text_name_of(const crumb_plan *plan, const crumb_step *step) {
    return step->node < 0 ? "image" : plan->packed->node[step->node].name;
}

static void plan_text_print_chain(const crumb_plan *plan, const crumb_step *step, crumb_text *text) {
    int32_t last = step->node;
    crumb_text_print(text, "%s", last < 0 ? "image" : crumb_packed_op_name(plan->packed->node[last].op));
    for (int32_t i = step->first; i < step->first + step->links; i++) {
        const crumb_link *link = &plan->link[i];
        if (link->node != last && link->node >= 0) {
            last = link->node;
            crumb_text_print(text, " + %s", crumb_packed_op_name(plan->packed->node[last].op));
        }
        if (link->op == CRUMB_LINK_COUNT) {
            crumb_text_print(text, " + thresholds");
        }
        if (link->op == CRUMB_LINK_STORE || link->op == CRUMB_LINK_STORE_INDEX) {
            crumb_text_print(text, " -> %s at %zu", link->op == CRUMB_LINK_STORE ? "floats" : "codes",
                             plan->buffer[link->buffer].offset);
        }
    }
}

static void plan_text_print_step(const crumb_plan *plan, const crumb_step *step, crumb_text *text) {
    char shape[48];
    snprintf(shape, sizeof(shape), "%d x %d x %d", (int)step->height, (int)step->width, (int)step->channels);
    const char *kernel = step->conv.kernel != NULL ? step->conv.kernel->name : "";
    crumb_text_print(text, "%-24s %-16s %-32s %9zu  ", plan_text_name_of(plan, step), shape, kernel, step->conv.panel_bytes);
    plan_text_print_chain(plan, step, text);
    crumb_text_print(text, "\n");
}

crumb_status crumb_plan_print(crumb_plan *plan) {
    crumb_text text = {.ctx = plan->ctx};
    size_t panels = 0;
    for (int32_t i = 0; i < plan->steps; i++) {
        plan_text_print_step(plan, &plan->step[i], &text);
        panels += plan->step[i].conv.panel_bytes;
    }
    crumb_text_print(&text, "%d steps, %zu bytes of weights, %zu of activations an image, %zu of scratch a thread\n",
                     (int)plan->steps, panels, plan->arena, plan->scratch);
    return crumb_text_take(&text, &plan->text);
}

/* ==== src/runtime/session.c */
/* Running a plan. A session has a team of threads and one or more lanes. A lane is the memory of a stack of images on their way
 * through the network. With several images at hand every thread takes some through all steps in a lane of its own, and needs to
 * wait for nobody; a single image is shared: the rows or channels of each step are divided, with a barrier in between. */


#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { session_THREADS_MAX = 1024 };

typedef struct session_lane {
    uint8_t *arena;
    crumb_link *link;   /* the plan's, with places in this arena */
    crumb_chain *chain; /* of each step */
    double *seconds;    /* of each step */
} session_lane;

/* One call of run. */
typedef struct session_job {
    const float *reals;
    const uint8_t *pixels;
    int64_t count;
    float *logits;
    int64_t piece;     /* images that a lane takes at a time */
    atomic_llong next; /* image that no thread has taken yet */
    bool shared;       /* one lane, all threads */
} session_job;

struct crumb_session {
    crumb_ctx *ctx;
    const crumb_plan *plan;
    crumb_team *team;
    int threads, lanes;
    int32_t room; /* images of a lane */
    bool profile;
    session_lane *session_lane;
    uint8_t *memory; /* lanes, then each thread's scratch */
    bool owned;
    session_job session_job;
};

/* ---- Sizes. */

typedef struct session_sizes {
    int threads, lanes;
    int32_t room;
    size_t session_lane, bytes;
} session_sizes;

/* Images at a time when the caller does not say: as many as keep activations in a second-level cache of 1 MiB, up to 16. */
static int32_t session_usual_room(const crumb_plan *plan) {
    size_t images = plan->arena > 0 ? ((size_t)1 << 19) / plan->arena : 16;
    return images < 1 ? 1 : images > 16 ? 16 : (int32_t)images;
}

static session_sizes session_sizes_of(const crumb_plan *plan, const crumb_session_options *options) {
    static const crumb_session_options none;
    const crumb_session_options *o = options != NULL ? options : &none;
    session_sizes s = {.threads = o->threads > 0 ? o->threads : crumb_threads(plan->ctx)};
    s.threads = s.threads < session_THREADS_MAX ? s.threads : session_THREADS_MAX;
    int32_t batch = o->batch > 0 ? o->batch : session_usual_room(plan) * s.threads;
    s.lanes = batch >= s.threads ? s.threads : 1;
    s.room = batch / s.lanes;
    s.session_lane = plan->arena * (size_t)s.room;
    s.bytes = s.session_lane * (size_t)s.lanes + plan->scratch * (size_t)s.threads;
    return s;
}

size_t crumb_session_workspace(const crumb_plan *plan, const crumb_session_options *options) {
    return session_sizes_of(plan, options).bytes;
}

/* ---- Making one. */

static void session_bind_lane(const crumb_session *session, session_lane *to) {
    const crumb_plan *plan = session->plan;
    for (int32_t i = 0; i < plan->links; i++) {
        to->link[i] = plan->link[i];
        if (plan->link[i].buffer >= 0) {
            to->link[i].base = crumb_buffer_at(plan, to->arena, session->room, plan->link[i].buffer);
        }
    }
    for (int32_t i = 0; i < plan->steps; i++) {
        const crumb_step *step = &plan->step[i];
        to->chain[i] = (crumb_chain){.link = to->link + step->first,
                                     .links = step->links,
                                     .height = step->height,
                                     .width = step->width,
                                     .channels = step->channels};
        for (int32_t k = 0; k < step->links; k++) {
            to->chain[i].steps = to->chain[i].steps || to->chain[i].link[k].step != 1;
        }
    }
}

static crumb_status session_make_lanes(crumb_session *session, size_t bytes) {
    const crumb_plan *plan = session->plan;
    session->session_lane = crumb_alloc(session->ctx, (size_t)session->lanes, sizeof(*session->session_lane));
    for (int i = 0; i < session->lanes && session->session_lane != NULL; i++) {
        session_lane *to = &session->session_lane[i];
        to->arena = session->memory + bytes * (size_t)i;
        to->link = crumb_alloc(session->ctx, (size_t)plan->links, sizeof(*to->link));
        to->chain = crumb_alloc(session->ctx, (size_t)plan->steps, sizeof(*to->chain));
        to->seconds = crumb_alloc(session->ctx, (size_t)plan->steps, sizeof(*to->seconds));
        if (to->link == NULL || to->chain == NULL || to->seconds == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        session_bind_lane(session, to);
    }
    return session->session_lane != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

static crumb_status session_fill(crumb_session *session, const crumb_session_options *options) {
    session_sizes s = session_sizes_of(session->plan, options);
    session->threads = s.threads;
    session->lanes = s.lanes;
    session->room = s.room;
    session->profile = options != NULL && options->profile;
    session->memory = options != NULL ? options->workspace : NULL;
    if ((uintptr_t)session->memory % 64 != 0) {
        return crumb_fail(session->ctx, CRUMB_ERROR_ARGUMENT, "workspace at %p is not aligned to 64 bytes",
                          (void *)session->memory);
    }
    if (session->memory == NULL) {
        session->owned = true;
        session->memory = crumb_alloc(session->ctx, s.bytes, 1);
    }
    if (session->memory == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(session_make_lanes(session, s.session_lane));
    return crumb_team_create(session->ctx, s.threads, &session->team);
}

crumb_status crumb_session_create(const crumb_plan *plan, const crumb_session_options *options, crumb_session **out) {
    crumb_session *session = crumb_alloc(plan->ctx, 1, sizeof(*session));
    if (session == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    session->ctx = plan->ctx;
    session->plan = plan;
    crumb_status status = session_fill(session, options);
    if (status != CRUMB_OK) {
        crumb_session_destroy(session);
        return status;
    }
    *out = session;
    return CRUMB_OK;
}

void crumb_session_destroy(crumb_session *session) {
    if (session == NULL) {
        return;
    }
    crumb_team_destroy(session->team);
    for (int i = 0; i < session->lanes && session->session_lane != NULL; i++) {
        crumb_free(session->ctx, session->session_lane[i].seconds);
        crumb_free(session->ctx, session->session_lane[i].chain);
        crumb_free(session->ctx, session->session_lane[i].link);
    }
    crumb_free(session->ctx, session->session_lane);
    if (session->owned) {
        crumb_free(session->ctx, session->memory);
    }
    crumb_free(session->ctx, session);
}

/* ---- Running. */

static double session_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Takes `images` images from the first-th through the network; thread t of `threads` that do so together. */
static void session_run_piece(crumb_session *session, session_lane *in, int64_t first, int64_t images, int t, int threads) {
    const crumb_plan *plan = session->plan;
    const session_job *todo = &session->session_job;
    const crumb_packed_value *image = &plan->packed->value[0];
    int64_t elements = first * crumb_packed_elements(image);
    int scratch = threads > 1 ? t : (int)(in - session->session_lane);
    crumb_work work = {.plan = plan,
                       .arena = in->arena,
                       .room = session->room,
                       .images = (int32_t)images,
                       .reals = todo->reals != NULL ? todo->reals + elements : NULL,
                       .pixels = todo->pixels != NULL ? todo->pixels + elements : NULL,
                       .scratch = session->memory + plan->arena * (size_t)session->room * (size_t)session->lanes +
                                  plan->scratch * (size_t)scratch};
    for (int32_t i = 0; i < plan->steps; i++) {
        const crumb_step *step = work.step = &plan->step[i];
        work.chain = &in->chain[i];
        crumb_share mine = crumb_share_of(images * step->height, step->channels, step->conv.channel_step, threads, t);
        double start = session->profile && t == 0 ? session_now() : 0;
        if (mine.row0 < mine.row1 && mine.o0 < mine.o1) {
            step->source(&work, mine.row0, mine.row1, mine.o0, mine.o1);
        }
        if (threads > 1) {
            crumb_team_barrier(session->team);
        }
        if (session->profile && t == 0) {
            in->seconds[i] += (session_now() - start) * (threads > 1 ? session->lanes : 1);
        }
    }
    if (t == 0) {
        const uint8_t *logits = crumb_buffer_at(plan, in->arena, session->room, plan->buffer_of[plan->packed->logits]);
        int64_t classes = crumb_packed_elements(&plan->packed->value[plan->packed->logits]);
        memcpy(todo->logits + first * classes, logits, (size_t)(images * classes) * sizeof(float));
    }
}

static void session_run_thread(void *given, int t) {
    crumb_session *session = given;
    session_job *todo = &session->session_job;
    if (!todo->shared) {
        int64_t first;
        while ((first = atomic_fetch_add(&todo->next, todo->piece)) < todo->count) {
            int64_t images = todo->count - first < todo->piece ? todo->count - first : todo->piece;
            session_run_piece(session, &session->session_lane[t], first, images, 0, 1);
        }
        return;
    }
    for (int64_t first = 0; first < todo->count; first += todo->piece) {
        int64_t images = todo->count - first < todo->piece ? todo->count - first : todo->piece;
        session_run_piece(session, &session->session_lane[0], first, images, t, session->threads);
        crumb_team_barrier(session->team); /* the logits are copied before the next piece overwrites them */
    }
}

static crumb_status session_run(crumb_session *session, const float *reals, const uint8_t *pixels, int64_t count, float *logits) {
    if (session == NULL || count < 0 || (count > 0 && ((reals == NULL && pixels == NULL) || logits == NULL))) {
        return CRUMB_ERROR_ARGUMENT;
    }
    if (count == 0) {
        return CRUMB_OK;
    }
    session_job *todo = &session->session_job;
    int64_t each = (count + session->threads - 1) / session->threads;
    todo->reals = reals;
    todo->pixels = pixels;
    todo->count = count;
    todo->logits = logits;
    todo->shared = session->threads > 1 && (session->lanes == 1 || count < session->threads);
    todo->piece = todo->shared || each > session->room ? session->room : each;
    atomic_store(&todo->next, 0);
    crumb_team_run(session->team, session_run_thread, session);
    return CRUMB_OK;
}

crumb_status crumb_session_run(crumb_session *session, const float *images, int64_t count, float *logits) {
    return session_run(session, images, NULL, count, logits);
}

crumb_status crumb_session_run_pixels(crumb_session *session, const uint8_t *pixels, int64_t count, float *logits) {
    return session_run(session, NULL, pixels, count, logits);
}

/* ---- Looking in. */

double crumb_session_seconds(const crumb_session *session, int index) {
    double seconds = 0;
    for (int32_t i = 0; i < session->plan->steps; i++) {
        int node = session->plan->step[i].node < 0 ? 0 : session->plan->step[i].node; /* the image's is with the first layer */
        for (int l = 0; l < session->lanes && node == index; l++) {
            seconds += session->session_lane[l].seconds[i];
        }
    }
    return seconds / session->lanes; /* lanes run beside each other */
}

const crumb_packed *crumb_session_packed(const crumb_session *session) {
    return session->plan->packed;
}

crumb_status crumb_plan_create_keeping(crumb_packed *packed, crumb_plan **plan) {
    return crumb_plan_make(packed, true, plan);
}

static const uint8_t *session_value_at(const crumb_session *session, int32_t value) {
    int32_t buffer = session->plan->buffer_of[value];
    return buffer >= 0 ? crumb_buffer_at(session->plan, session->session_lane[0].arena, session->room, buffer) : NULL;
}

const float *crumb_session_reals(const crumb_session *session, int32_t value) {
    bool real = session->plan->packed->value[value].codes.levels == 0;
    return real ? (const float *)session_value_at(session, value) : NULL;
}

const uint8_t *crumb_session_indices(const crumb_session *session, int32_t value) {
    bool real = session->plan->packed->value[value].codes.levels == 0;
    return real ? NULL : session_value_at(session, value);
}

/* ==== src/runtime/share.c */
/* Shares of share.h. */

static int64_t share_part(int64_t all, int64_t parts, int64_t index) {
    return all * index / parts;
}

crumb_share crumb_share_of(int64_t rows, int32_t channels, int32_t channel_step, int threads, int t) {
    int64_t step = channel_step > 0 ? channel_step : channels, units = (channels + step - 1) / step, best = INT64_MAX;
    int down = threads;
    for (int d = threads; d >= 1; d--) {
        int64_t across = threads / d, largest = (rows + d - 1) / d * ((units + across - 1) / across);
        if (threads % d == 0 && largest < best) {
            best = largest;
            down = d;
        }
    }
    int64_t across = threads / down, o0 = share_part(units, across, t % across) * step;
    int64_t o1 = share_part(units, across, t % across + 1) * step;
    return (crumb_share){share_part(rows, down, t / across), share_part(rows, down, t / across + 1), (int32_t)o0,
                         o1 < channels ? (int32_t)o1 : channels};
}

/* ==== src/runtime/step_sources.c */
/* The sources of steps: what makes the elements that a chain takes on. Strips other than a convolution's are made in the
 * thread's scratch, a few pixels at a time. */

#include <string.h>

static void step_sources_hand_over(const crumb_work *work, int64_t pixel, int64_t pixels, void *acc) {
    work->plan->vector->chain(work->chain, pixel, (int32_t)pixels, 0, work->step->channels, acc, work->step->channels);
}

static const uint8_t *step_sources_input_of(const crumb_work *work, int32_t k) {
    return crumb_buffer_at(work->plan, work->arena, work->room, work->step->input[k]);
}

static const crumb_packed_node *step_sources_node_of(const crumb_work *work) {
    return &work->plan->packed->node[work->step->node];
}

/* Pixels that a strip of scratch holds. */
static int64_t step_sources_strip_pixels(const crumb_step *step) {
    return step->channels < CRUMB_STRIP ? CRUMB_STRIP / step->channels : 1;
}

/* ---- The image. */

static void step_sources_pixels_to_floats(const crumb_work *work, const uint8_t *pixels, int64_t count, float *to) {
    for (int32_t c = 0; c < work->step->channels; c++) {
        const float *table = work->plan->pixel[c];
        for (int64_t i = c; i < count * work->step->channels; i += work->step->channels) {
            to[i] = table[pixels[i]];
        }
    }
}

void crumb_step_image(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    int64_t channels = work->step->channels, end = row1 * work->step->width, some = step_sources_strip_pixels(work->step);
    for (int64_t pixel = row0 * work->step->width; pixel < end; pixel += some) {
        int64_t pixels = end - pixel < some ? end - pixel : some;
        if (work->pixels != NULL) {
            step_sources_pixels_to_floats(work, work->pixels + pixel * channels, pixels, work->scratch);
        } else {
            memcpy(work->scratch, work->reals + pixel * channels, (size_t)(pixels * channels) * sizeof(float));
        }
        step_sources_hand_over(work, pixel, pixels, work->scratch);
    }
}

/* ---- Memory: the chain's first link loads. */

void crumb_step_memory(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    for (int64_t row = row0; row < row1; row++) {
        step_sources_hand_over(work, row * work->step->width, work->step->width, NULL);
    }
}

/* ---- Convolution. */

void crumb_step_conv(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    const crumb_conv_ready *conv = &work->step->conv;
    conv->kernel->run(conv, step_sources_input_of(work, 0), row0, row1, o0, o1, work->plan->vector->chain, work->chain, work->scratch);
}

/* ---- Windows. */

/* The part of an output pixel's window that lies inside the image: rows top .. bottom - 1, columns left .. right - 1. */
typedef struct step_sources_window {
    int64_t image, top, bottom, left, right;
} step_sources_window;

static step_sources_window step_sources_window_at(const crumb_work *work, const crumb_packed_value *x, int64_t pixel) {
    const crumb_packed_node *node = step_sources_node_of(work);
    int64_t row = pixel / work->step->width, y = row % work->step->height * node->stride - node->padding;
    int64_t left = pixel % work->step->width * node->stride - node->padding;
    return (step_sources_window){.image = row / work->step->height,
                    .top = y < 0 ? 0 : y,
                    .bottom = y + node->kernel_height < x->height ? y + node->kernel_height : x->height,
                    .left = left < 0 ? 0 : left,
                    .right = left + node->kernel_width < x->width ? left + node->kernel_width : x->width};
}

static const crumb_packed_value *step_sources_input_value(const crumb_work *work) {
    return &work->plan->packed->value[step_sources_node_of(work)->input[0]];
}

/* One output pixel, of floats or indices: *to has the channels. */
typedef void step_sources_pool_pixel(const crumb_work *work, const step_sources_window *w, const uint8_t *x, void *to);

static void step_sources_pool(const crumb_work *work, int64_t row0, int64_t row1, size_t item, step_sources_pool_pixel *make) {
    const crumb_packed_value *value = step_sources_input_value(work);
    const uint8_t *x = step_sources_input_of(work, 0);
    size_t pixel_bytes = (size_t)work->step->channels * item;
    int64_t end = row1 * work->step->width, some = step_sources_strip_pixels(work->step);
    for (int64_t pixel = row0 * work->step->width; pixel < end; pixel += some) {
        int64_t pixels = end - pixel < some ? end - pixel : some;
        for (int64_t p = 0; p < pixels; p++) {
            step_sources_window w = step_sources_window_at(work, value, pixel + p);
            make(work, &w, x, (uint8_t *)work->scratch + (size_t)p * pixel_bytes);
        }
        step_sources_hand_over(work, pixel, pixels, work->scratch);
    }
}

static const uint8_t *step_sources_element_at(const crumb_work *work, const step_sources_window *w, const uint8_t *x, int64_t row, int64_t column,
                                 size_t item) {
    const crumb_packed_value *value = step_sources_input_value(work);
    return x + (size_t)(((w->image * value->height + row) * value->width + column) * value->channels) * item;
}

static void step_sources_max_pixel(const crumb_work *work, const step_sources_window *w, const uint8_t *x, void *to) {
    int64_t channels = work->step->channels;
    memcpy(to, step_sources_element_at(work, w, x, w->top, w->left, sizeof(float)), (size_t)channels * sizeof(float));
    for (int64_t row = w->top; row < w->bottom; row++) {
        for (int64_t column = w->left; column < w->right; column++) {
            work->plan->vector->max(to, (const float *)step_sources_element_at(work, w, x, row, column, sizeof(float)), channels);
        }
    }
}

static void step_sources_max_index_pixel(const crumb_work *work, const step_sources_window *w, const uint8_t *x, void *to) {
    int64_t channels = work->step->channels;
    memcpy(to, step_sources_element_at(work, w, x, w->top, w->left, 1), (size_t)channels);
    for (int64_t row = w->top; row < w->bottom; row++) {
        for (int64_t column = w->left; column < w->right; column++) {
            work->plan->vector->max_index(to, step_sources_element_at(work, w, x, row, column, 1), channels);
        }
    }
}

static void step_sources_average_pixel(const crumb_work *work, const step_sources_window *w, const uint8_t *x, void *to) {
    const crumb_packed_node *node = step_sources_node_of(work);
    int64_t channels = work->step->channels;
    int64_t inside = (w->bottom - w->top) * (w->right - w->left), all = (int64_t)node->kernel_height * node->kernel_width;
    memset(to, 0, (size_t)channels * sizeof(float));
    for (int64_t row = w->top; row < w->bottom; row++) {
        for (int64_t column = w->left; column < w->right; column++) {
            work->plan->vector->add(to, (const float *)step_sources_element_at(work, w, x, row, column, sizeof(float)), channels);
        }
    }
    work->plan->vector->scale(to, 1.0f / (float)(node->count_inside ? inside : all), channels);
}

void crumb_step_max_pool(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    step_sources_pool(work, row0, row1, sizeof(float), step_sources_max_pixel);
}

void crumb_step_max_pool_index(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    step_sources_pool(work, row0, row1, 1, step_sources_max_index_pixel);
}

void crumb_step_average_pool(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    step_sources_pool(work, row0, row1, sizeof(float), step_sources_average_pixel);
}

void crumb_step_global_average_pool(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    const crumb_packed_value *x = step_sources_input_value(work);
    int64_t channels = x->channels, pixels = (int64_t)x->height * x->width;
    float *to = work->scratch;
    for (int64_t image = row0; image < row1; image++) { /* a row is an image */
        const float *from = (const float *)step_sources_input_of(work, 0) + image * pixels * channels;
        memset(to, 0, (size_t)channels * sizeof(float));
        for (int64_t p = 0; p < pixels; p++) {
            work->plan->vector->add(to, from + p * channels, channels);
        }
        work->plan->vector->scale(to, 1.0f / (float)pixels, channels);
        step_sources_hand_over(work, image, 1, to);
    }
}

/* ---- Moves. */

void crumb_step_concat(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    const crumb_step *step = work->step;
    int64_t end = row1 * step->width, some = step_sources_strip_pixels(step);
    for (int64_t pixel = row0 * step->width; pixel < end; pixel += some) {
        int64_t pixels = end - pixel < some ? end - pixel : some;
        float *to = work->scratch;
        for (int64_t p = 0; p < pixels; p++) {
            for (int32_t k = 0; k < step->inputs; k++) {
                size_t bytes = work->plan->buffer[step->input[k]].pixel;
                memcpy(to, step_sources_input_of(work, k) + (size_t)(pixel + p) * bytes, bytes);
                to += bytes / sizeof(float);
            }
        }
        step_sources_hand_over(work, pixel, pixels, work->scratch);
    }
}

/* From [H, W, C] to [C, H, W]. */
void crumb_step_flatten(const crumb_work *work, int64_t row0, int64_t row1, int32_t o0, int32_t o1) {
    (void)o0, (void)o1;
    const crumb_packed_value *x = step_sources_input_value(work);
    int64_t channels = x->channels, pixels = (int64_t)x->height * x->width;
    bool codes = x->codes.levels != 0;
    for (int64_t image = row0; image < row1; image++) {
        const float *reals = (const float *)step_sources_input_of(work, 0) + image * pixels * channels;
        const uint8_t *indices = step_sources_input_of(work, 0) + image * pixels * channels;
        for (int64_t i = 0; i < pixels * channels; i++) {
            int64_t from = i % pixels * channels + i / pixels;
            if (codes) {
                ((uint8_t *)work->scratch)[i] = indices[from];
            } else {
                ((float *)work->scratch)[i] = reals[from];
            }
        }
        step_sources_hand_over(work, image, 1, work->scratch);
    }
}

/* ==== src/runtime/team.c */
/* One counter of rounds does everything: a barrier ends when the last thread advances it, and a run begins and ends with a
 * barrier. Who waits spins on the counter SPINS times - not at all where threads outnumber processors, for then the one waited
 * for may need this one - and then sleeps on a condition. */


#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { team_SPINS = 4096 }; /* some tens of microseconds: longer than a layer's imbalance, shorter than a scheduler's slice */

struct crumb_team {
    crumb_ctx *ctx;
    atomic_int threads; /* in a barrier */
    int started;        /* besides the caller's */
    int spins;
    atomic_uint round;   /* barriers passed */
    atomic_int arrived;  /* at the present one */
    atomic_int sleepers; /* threads that wait for `advanced`, or are about to */
    pthread_mutex_t mutex;
    pthread_cond_t advanced;
    bool ends;
    void (*work)(void *user, int thread);
    void *user;
    struct member {
        crumb_team *team;
        int thread;
        pthread_t id;
    } member[];
};

static void team_wait_for(crumb_team *team, unsigned round) {
    for (int i = 0; i < team->spins; i++) {
        if (atomic_load_explicit(&team->round, memory_order_acquire) != round) {
            return;
        }
        CRUMB_ON_X86(__builtin_ia32_pause();)
    }
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->sleepers, 1);
    while (atomic_load(&team->round) == round) {
        pthread_cond_wait(&team->advanced, &team->mutex);
    }
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->mutex);
}

void crumb_team_barrier(crumb_team *team) {
    if (team->threads == 1) {
        return;
    }
    unsigned round = atomic_load_explicit(&team->round, memory_order_relaxed);
    if (atomic_fetch_add(&team->arrived, 1) + 1 < team->threads) {
        team_wait_for(team, round);
        return;
    }
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    atomic_fetch_add(&team->round, 1);
    if (atomic_load(&team->sleepers) > 0) {
        pthread_mutex_lock(&team->mutex); /* a sleeper holds it from counting itself until it waits */
        pthread_cond_broadcast(&team->advanced);
        pthread_mutex_unlock(&team->mutex);
    }
}

static void *team_member_main(void *given) {
    struct member *self = given;
    crumb_team *team = self->team;
    for (;;) {
        crumb_team_barrier(team);
        if (team->ends) {
            return NULL;
        }
        team->work(team->user, self->thread);
        crumb_team_barrier(team);
    }
}

void crumb_team_run(crumb_team *team, void (*work)(void *user, int thread), void *user) {
    team->work = work;
    team->user = user;
    crumb_team_barrier(team);
    work(user, 0);
    crumb_team_barrier(team);
}

crumb_status crumb_team_create(crumb_ctx *ctx, int threads, crumb_team **out) {
    crumb_team *team = crumb_alloc(ctx, 1, sizeof(*team) + (size_t)threads * sizeof(team->member[0]));
    if (team == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    team->ctx = ctx;
    team->threads = threads;
    team->spins = threads <= sysconf(_SC_NPROCESSORS_ONLN) ? team_SPINS : 0;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->advanced, NULL);
    int refused = 0;
    for (int t = 1; t < threads && refused == 0; t++) {
        team->member[t] = (struct member){.team = team, .thread = t};
        refused = pthread_create(&team->member[t].id, NULL, team_member_main, &team->member[t]);
        team->started += refused == 0;
    }
    if (refused != 0) {
        crumb_team_destroy(team);
        return crumb_fail(ctx, CRUMB_ERROR_IO, "cannot start thread of %d: %s", threads, strerror(refused));
    }
    *out = team;
    return CRUMB_OK;
}

void crumb_team_destroy(crumb_team *team) {
    if (team == NULL) {
        return;
    }
    team->ends = true;
    team->threads = team->started + 1; /* all that came to be wait at the first barrier */
    crumb_team_barrier(team);
    for (int t = 1; t <= team->started; t++) {
        pthread_join(team->member[t].id, NULL);
    }
    pthread_cond_destroy(&team->advanced);
    pthread_mutex_destroy(&team->mutex);
    crumb_free(team->ctx, team);
}

/* ==== src/runtime/vector.c */
/* The set of loops for any processor, and the choice among the sets. */


#define vector_VECTOR crumb_vector__plain
#define vector_CHAIN crumb_chain_run
/* The loops of vector.h, vectorised by the compiler for the including file's instruction set. It defines VECTOR and CHAIN, the
 * names of the set and of its chain. */
static void vector_max(float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] > y[i] ? x[i] : y[i];
    }
}

static void vector_max_index(uint8_t *restrict y, const uint8_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] > y[i] ? x[i] : y[i];
    }
}

static void vector_add(float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] + x[i];
    }
}

static void vector_scale(float *restrict y, float factor, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] * factor;
    }
}

const crumb_vector vector_VECTOR = {.chain = vector_CHAIN, .max = vector_max, .max_index = vector_max_index, .add = vector_add, .scale = vector_scale};

const crumb_vector *crumb_vector_pick(const crumb_ctx *ctx) {
    static const struct {
        uint32_t cpu;
        const crumb_vector *set;
    } sets[] = {
        CRUMB_ON_X86({CRUMB_CPU_AVX512, &crumb_vector__avx512}, {CRUMB_CPU_AVX2, &crumb_vector__avx2}, ){0,
                                                                                                         &crumb_vector__plain},
    };
    int i = 0;
    while ((crumb_cpu(ctx) & sets[i].cpu) != sets[i].cpu) {
        i++;
    }
    return sets[i].set;
}

/* ==== src/runtime/vector__avx2.c */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
/* The set of loops for AVX2. */

#define vector__avx2_VECTOR crumb_vector__avx2
#define vector__avx2_CHAIN crumb_chain_run__avx2
/* The loops of vector.h, vectorised by the compiler for the including file's instruction set. It defines VECTOR and CHAIN, the
 * names of the set and of its chain. */
static void vector__avx2_max(float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] > y[i] ? x[i] : y[i];
    }
}

static void vector__avx2_max_index(uint8_t *restrict y, const uint8_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] > y[i] ? x[i] : y[i];
    }
}

static void vector__avx2_add(float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] + x[i];
    }
}

static void vector__avx2_scale(float *restrict y, float factor, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] * factor;
    }
}

const crumb_vector vector__avx2_VECTOR = {.chain = vector__avx2_CHAIN, .max = vector__avx2_max, .max_index = vector__avx2_max_index, .add = vector__avx2_add, .scale = vector__avx2_scale};
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/* ==== src/runtime/vector__avx512.c */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c")
#endif
/* The set of loops for AVX-512. */

#define vector__avx512_VECTOR crumb_vector__avx512
#define vector__avx512_CHAIN crumb_chain_run__avx512
/* The loops of vector.h, vectorised by the compiler for the including file's instruction set. It defines VECTOR and CHAIN, the
 * names of the set and of its chain. */
static void vector__avx512_max(float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] > y[i] ? x[i] : y[i];
    }
}

static void vector__avx512_max_index(uint8_t *restrict y, const uint8_t *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] > y[i] ? x[i] : y[i];
    }
}

static void vector__avx512_add(float *restrict y, const float *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] + x[i];
    }
}

static void vector__avx512_scale(float *restrict y, float factor, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] * factor;
    }
}

const crumb_vector vector__avx512_VECTOR = {.chain = vector__avx512_CHAIN, .max = vector__avx512_max, .max_index = vector__avx512_max_index, .add = vector__avx512_add, .scale = vector__avx512_scale};
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
