/* MatMulNBits (com.microsoft): y = x W' with W [N,K] in blocks of 2-, 4- or 8-bit codes along K, each with a scale and a zero
 * point (by default the middle, 2^(bits-1)). Activations are floats here, whatever accuracy_level allows a runtime. */
#include "onnx/importer.h"

#include <inttypes.h>

typedef struct nbits {
    int64_t rows, columns, bits, block, blocks;
    const float *scale;
    const int64_t *byte, *zero_byte; /* zero_byte NULL: zero, or the middle */
    const float *zero;
} nbits;

static crumb_status bytes_of(const crumb_import_node *n, int k, const char *what, int64_t wanted, const int64_t **bytes) {
    const crumb_onnx_array *array;
    CRUMB_TRY(crumb_import_constant(n, n->inputs > k ? n->x[k] : NULL, what, &array));
    int64_t count = crumb_shape_count(array->shape);
    if (array->type != CRUMB_ONNX_UINT8 || count != wanted) {
        return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "%s has %" PRId64 " values of %s, not %" PRId64 " of UINT8", what, count,
                                 crumb_onnx_type_of(array->type)->name, wanted);
    }
    *bytes = array->whole;
    return CRUMB_OK;
}

static crumb_status floats_of(const crumb_import_node *n, int k, const char *what, int64_t wanted, const float **reals) {
    CRUMB_TRY(crumb_import_reals(n, n->inputs > k ? n->x[k] : NULL, what, reals));
    int64_t count = crumb_shape_count(n->x[k]->shape);
    return count == wanted
               ? CRUMB_OK
               : crumb_import_fail(n, CRUMB_ERROR_SHAPE, "%s has %" PRId64 " values, not %" PRId64, what, count, wanted);
}

static crumb_status read_sizes(const crumb_import_node *n, nbits *w) {
    const int64_t most = INT64_C(1) << 31;
    CRUMB_TRY(crumb_import_int(n, "N", 0, &w->rows));
    CRUMB_TRY(crumb_import_int(n, "K", 0, &w->columns));
    CRUMB_TRY(crumb_import_int(n, "bits", 4, &w->bits));
    CRUMB_TRY(crumb_import_int(n, "block_size", 0, &w->block));
    if (w->rows < 1 || w->columns < 1 || w->rows > most / w->columns || (w->bits != 2 && w->bits != 4 && w->bits != 8) ||
        w->block < 16 || w->block > most || w->block % 8 != 0) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED,
                                 "N %" PRId64 ", K %" PRId64 ", %" PRId64 " bits, blocks of %" PRId64
                                 "; supported are 2, 4 and 8 bits, blocks of 16 and more",
                                 w->rows, w->columns, w->bits, w->block);
    }
    if (n->inputs > 4 && n->x[4] != NULL) {
        return crumb_import_fail(n, CRUMB_ERROR_UNSUPPORTED, "input g_idx; supported are groups in order");
    }
    w->blocks = (w->columns + w->block - 1) / w->block;
    return CRUMB_OK;
}

static crumb_status read_all(const crumb_import_node *n, nbits *w) {
    CRUMB_TRY(read_sizes(n, w));
    int64_t steps = w->rows * w->blocks;
    CRUMB_TRY(bytes_of(n, 1, "B", steps * (w->block * w->bits / 8), &w->byte));
    CRUMB_TRY(floats_of(n, 2, "scales", steps, &w->scale));
    CRUMB_TRY(crumb_import_check_steps(n, w->scale, steps));
    if (n->inputs < 4 || n->x[3] == NULL) {
        return CRUMB_OK;
    }
    const crumb_onnx_array *zero;
    CRUMB_TRY(crumb_import_constant(n, n->x[3], "zero_points", &zero));
    return zero->real != NULL ? floats_of(n, 3, "zero_points", steps, &w->zero)
                              : bytes_of(n, 3, "zero_points", w->rows * ((w->blocks * w->bits + 7) / 8), &w->zero_byte);
}

/* The i-th number of `bits` bits, the first in the lowest. */
static int64_t number_at(const int64_t *bytes, int64_t bits, int64_t i) {
    return bytes[i * bits / 8] >> (i * bits % 8) & ((INT64_C(1) << bits) - 1);
}

static float zero_of(const nbits *w, int64_t row, int64_t block) {
    if (w->zero != NULL) {
        return w->zero[row * w->blocks + block];
    }
    return w->zero_byte == NULL ? (float)(INT64_C(1) << (w->bits - 1))
                                : (float)number_at(w->zero_byte + row * ((w->blocks * w->bits + 7) / 8), w->bits, block);
}

static crumb_status dequantize(const crumb_import_node *n, const nbits *w, crumb_import_value *out) {
    crumb_onnx_array made;
    crumb_import_steps steps = {.shape = CRUMB_SHAPE(w->rows, w->columns), .axis = 1, .block = w->block};
    CRUMB_TRY(crumb_onnx_array_make(n->im->ctx, CRUMB_ONNX_FLOAT, steps.shape, &made));
    for (int64_t row = 0; row < w->rows; row++) {
        for (int64_t i = 0; i < w->columns; i++) {
            int64_t code = number_at(w->byte, w->bits, row * w->blocks * w->block + i);
            made.real[row * w->columns + i] = (float)code - zero_of(w, row, i / w->block);
        }
    }
    return crumb_import_set_codes(n, out, &made, w->zero == NULL, &steps, w->scale);
}

/* The weight [N,K] as a parameter of the graph, quantized. */
static crumb_status add_weight(const crumb_import_node *n, crumb_import_value *w, int *at) {
    crumb_import_form form = {.shape = w->shape, .from = w->shape, .order = {0, 1}, .learned = true, .decay = true};
    CRUMB_TRY(crumb_import_param(n, w, &form, "weight", at));
    return crumb_import_weight_site(n, w, 0, at);
}

crumb_status crumb_import_nbits(const crumb_import_node *n) {
    nbits w = {0};
    crumb_import_value made = {.at = -1, .param = -1};
    crumb_shape x = n->x[0]->shape;
    int weight = -1;
    CRUMB_TRY(read_all(n, &w));
    if (x.rank < 1 || crumb_shape_last(x) != w.columns) {
        return crumb_import_fail(n, CRUMB_ERROR_SHAPE, "rows of %" PRId64 " values for K %" PRId64,
                                 x.rank > 0 ? crumb_shape_last(x) : 1, w.columns);
    }
    made.name = n->x[1]->name;
    crumb_status status = dequantize(n, &w, &made);
    if (status == CRUMB_OK) {
        status = add_weight(n, &made, &weight);
    }
    crumb_import_forget(n->im, &made);
    return status == CRUMB_OK ? crumb_import_rows(n, weight, n->inputs > 5 ? n->x[5] : NULL) : status;
}
