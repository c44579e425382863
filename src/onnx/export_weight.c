/* A layer's weights: read from the packed network, written as each form has them. */
#include "onnx/export_parts.h"

#include <math.h>
#include <string.h>

/* ---- Reading. */

/* Whether the kernel is the whole input, so that there is one window: a linear layer. */
static bool is_linear(const crumb_packed *packed, const crumb_packed_node *node) {
    const crumb_packed_value *x = &packed->value[node->input[0]];
    return node->kernel_height == x->height && node->kernel_width == x->width && node->padding == 0 && node->dilation == 1 &&
           node->groups == 1;
}

static void set_shape(crumb_onnx_weight *y, const crumb_packed_node *node) {
    y->rank = y->linear ? 2 : 4;
    y->dim[0] = y->rows;
    y->dim[1] = y->linear ? y->columns : y->columns / (node->kernel_height * node->kernel_width);
    y->dim[2] = node->kernel_height;
    y->dim[3] = node->kernel_width;
}

/* [KH, KW, C] -> [C, KH, KW]: where the file's column goes. */
static int32_t column_of(const crumb_onnx_weight *y, int32_t column) {
    int32_t pixels = (int32_t)(y->dim[2] * y->dim[3]), channels = y->columns / pixels;
    return column % channels * pixels + column / channels;
}

static void read_floats(const crumb_packed_tensor *tensor, crumb_onnx_weight *y) {
    for (int64_t row = 0; row < y->rows; row++) {
        for (int32_t i = 0; i < y->columns; i++) {
            float value;
            memcpy(&value, tensor->data + ((size_t)(row * y->columns) + (size_t)i) * sizeof(value), sizeof(value));
            y->real[row * y->columns + column_of(y, i)] = value;
        }
    }
}

static void read_codes(const crumb_packed_tensor *tensor, crumb_onnx_weight *y, uint16_t *index) {
    for (int64_t row = 0; row < y->rows; row++) {
        crumb_packed_unpack_row(tensor, (int32_t)row, index);
        for (int32_t i = 0; i < y->columns; i++) {
            y->code[row * y->columns + column_of(y, i)] = (int16_t)crumb_packed_code(&tensor->codes, index[i]);
        }
    }
}

/* Columns of a group of a row: `row` counts groups. */
static void span_of(const crumb_onnx_weight *y, int64_t row, int64_t *from, int64_t *to) {
    int64_t first = row % y->groups * y->group, end = first + y->group;
    *from = row / y->groups * y->columns + first;
    *to = row / y->groups * y->columns + (end < y->columns ? end : y->columns);
}

/* Folded scales are above zero: codes take the sign; what has multiplier 0 is zeros. */
static void fold_signs(crumb_onnx_weight *y) {
    for (int64_t row = 0; row < (int64_t)y->rows * y->groups; row++) {
        float scale = y->scale[row];
        int sign = scale == 0.0f ? 0 : scale < 0.0f ? -1 : 1;
        int64_t from, to;
        span_of(y, row, &from, &to);
        for (int64_t i = from; i < to && sign != 1; i++) {
            y->code[i] = (int16_t)(sign * y->code[i]);
        }
        y->scale[row] = sign == 0 ? 1.0f : fabsf(scale);
    }
}

static void find_range(crumb_onnx_weight *y) {
    for (int64_t i = 0; i < (int64_t)y->rows * y->columns; i++) {
        y->low = y->code[i] < y->low ? y->code[i] : y->low;
        y->high = y->code[i] > y->high ? y->code[i] : y->high;
    }
}

static void set_scales(const crumb_onnx_job *job, const crumb_packed_node *node, crumb_onnx_weight *y) {
    const crumb_packed *packed = job->packed;
    const crumb_packed_codes *x = &packed->value[node->input[0]].codes;
    const float *multiplier = crumb_packed_floats(packed, node->multiplier), *own = crumb_packed_floats(packed, node->extra);
    double scale_x = x->levels > 0 && x->scale > 0.0f ? (double)x->scale : 1;
    int32_t groups = own != NULL ? packed->tensor[node->extra].columns : 0;
    for (int32_t row = 0; row < y->rows; row++) {
        y->scale[row] = (float)((double)multiplier[row] / scale_x);
        if (job->form->functions && y->code != NULL) {
            float scale = own == NULL ? 1.0f : own[groups > 1 ? row : 0];
            y->scale[row] = scale > 0.0f && isfinite(scale) ? scale : 1.0f; /* a layer of zeros: any will do */
        }
    }
}

/* Scales of groups times the row's multiplier. */
static void set_group_scales(const crumb_onnx_job *job, const crumb_packed_node *node, crumb_onnx_weight *y) {
    const float *multiplier = crumb_packed_floats(job->packed, node->multiplier);
    const float *own = crumb_packed_floats(job->packed, node->extra);
    for (int64_t i = 0; i < (int64_t)y->rows * y->groups; i++) {
        y->scale[i] = (float)((double)multiplier[i / y->groups] * (double)own[i]);
    }
}

static int32_t nbits_width(const crumb_onnx_weight *y);

/* Scales of groups are MatMulNBits' only; elsewhere such a weight is floats. */
static crumb_status spread_groups(crumb_onnx_job *job, crumb_onnx_weight *y) {
    if (job->form->nbits && y->linear && nbits_width(y) > 0) {
        return CRUMB_OK;
    }
    y->real = crumb_alloc(job->ctx, (size_t)y->rows * (size_t)y->columns, sizeof(*y->real));
    if (y->real == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (int64_t row = 0; row < (int64_t)y->rows * y->groups; row++) {
        int64_t from, to;
        span_of(y, row, &from, &to);
        for (int64_t i = from; i < to; i++) {
            y->real[i] = y->scale[row] * (float)y->code[i];
        }
    }
    crumb_free(job->ctx, y->code);
    y->code = NULL;
    y->group = y->columns;
    y->groups = 1;
    for (int32_t row = 0; row < y->rows; row++) {
        y->scale[row] = 1.0f;
    }
    return CRUMB_OK;
}

static crumb_status read_all(crumb_onnx_job *job, const crumb_packed_node *node, const crumb_packed_tensor *tensor,
                             crumb_onnx_weight *y, uint16_t *index) {
    if (tensor->encoding == CRUMB_PACKED_FLOAT) {
        set_scales(job, node, y);
        read_floats(tensor, y);
        return CRUMB_OK;
    }
    read_codes(tensor, y, index);
    if (y->groups > 1) {
        set_group_scales(job, node, y);
        fold_signs(y);
        find_range(y);
        return spread_groups(job, y);
    }
    set_scales(job, node, y);
    if (!job->form->functions) {
        fold_signs(y);
    }
    find_range(y);
    return CRUMB_OK;
}

crumb_status crumb_onnx_weight_read(crumb_onnx_job *job, const crumb_packed_node *node, crumb_onnx_weight *y) {
    const crumb_packed_tensor *tensor = &job->packed->tensor[node->weight];
    const int32_t group = crumb_packed_group(job->packed, node);
    *y = (crumb_onnx_weight){
        .rows = tensor->rows, .columns = tensor->columns, .linear = is_linear(job->packed, node), .codes = &tensor->codes};
    y->group = group > 0 ? group : y->columns;
    y->groups = group > 0 ? job->packed->tensor[node->extra].columns : 1;
    set_shape(y, node);
    bool is_float = tensor->encoding == CRUMB_PACKED_FLOAT;
    size_t count = (size_t)y->rows * (size_t)y->columns;
    uint16_t *index = NULL;
    y->scale = crumb_alloc(job->ctx, (size_t)y->rows * (size_t)y->groups, sizeof(*y->scale));
    if (is_float) {
        y->real = crumb_alloc(job->ctx, count, sizeof(*y->real));
    } else {
        y->code = crumb_alloc(job->ctx, count, sizeof(*y->code));
        index = crumb_alloc(job->ctx, (size_t)y->columns, sizeof(*index));
    }
    bool made = y->scale != NULL && (is_float ? y->real != NULL : y->code != NULL && index != NULL);
    crumb_status status = made ? read_all(job, node, tensor, y, index) : CRUMB_ERROR_MEMORY;
    crumb_free(job->ctx, index);
    if (status != CRUMB_OK) {
        crumb_onnx_weight_free(job->ctx, y);
    }
    return status;
}

void crumb_onnx_weight_free(crumb_ctx *ctx, crumb_onnx_weight *weight) {
    crumb_free(ctx, weight->real);
    crumb_free(ctx, weight->code);
    crumb_free(ctx, weight->scale);
}

/* ---- As floats. */

const char *crumb_onnx_weight_floats(crumb_onnx_job *job, const crumb_onnx_weight *y) {
    const char *name = crumb_onnx_part(job, "weight");
    size_t count = (size_t)y->rows * (size_t)y->columns;
    float *out = crumb_onnx_tensor(&job->w, name, CRUMB_ONNX_FLOAT, y->rank, y->dim, count * sizeof(*out));
    for (size_t i = 0; out != NULL && i < count; i++) {
        out[i] = y->scale[i / (size_t)y->columns] * (y->real != NULL ? y->real[i] : (float)y->code[i]);
    }
    return name;
}

/* ---- As integers of some width. */

/* Integer types, the narrowest first; those that are signed need no zero points. */
typedef struct integer_type {
    int32_t id, bits, low, high, since; /* opset */
} integer_type;

static const integer_type types[] = {
    {CRUMB_ONNX_INT2, 2, -2, 1, 25},
    {CRUMB_ONNX_UINT2, 2, 0, 3, 25},
    {CRUMB_ONNX_INT4, 4, -8, 7, 21},
    {CRUMB_ONNX_UINT4, 4, 0, 15, 21},
    {CRUMB_ONNX_INT8, 8, -128, 127, 1},
    {CRUMB_ONNX_INT16, 16, INT16_MIN, INT16_MAX, 21},
    {CRUMB_ONNX_INT32, 32, INT32_MIN, INT32_MAX, 1},
};

/* The lowest and highest code of a row (group by group, if it has groups), and 0. */
static void row_range(const crumb_onnx_weight *y, int64_t row, int32_t *low, int32_t *high) {
    int64_t from, to;
    span_of(y, row, &from, &to);
    *low = *high = 0;
    for (int64_t i = from; i < to; i++) {
        *low = y->code[i] < *low ? y->code[i] : *low;
        *high = y->code[i] > *high ? y->code[i] : *high;
    }
}

static bool fits(const crumb_onnx_weight *y, const integer_type *type) {
    if (type->low < 0) {
        return y->low >= type->low && y->high <= type->high;
    }
    for (int64_t row = 0; row < (int64_t)y->rows * y->groups; row++) {
        int32_t low, high;
        row_range(y, row, &low, &high);
        if (high - low > type->high) {
            return false;
        }
    }
    return true;
}

static const integer_type *narrowest(const crumb_onnx_weight *y, int opset) {
    size_t last = sizeof(types) / sizeof(types[0]) - 1, i = 0;
    while (i < last && (opset < types[i].since || !fits(y, &types[i]))) {
        i++;
    }
    return &types[i];
}

int32_t crumb_onnx_weight_bits(const crumb_onnx_job *job, const crumb_onnx_weight *y) {
    return narrowest(y, job->form->opset)->bits;
}

/* Element `at` of a tensor: little-endian, several of less than 8 bits in a byte, the first in its lowest bits. */
static void put(uint8_t *data, int32_t bits, size_t at, int32_t value) {
    if (bits < 8) {
        size_t per = 8 / (size_t)bits;
        data[at / per] |= (uint8_t)(((uint32_t)value & ((1u << bits) - 1)) << (at % per * (size_t)bits));
        return;
    }
    for (int32_t byte = 0; byte < bits / 8; byte++) {
        data[at * (size_t)(bits / 8) + (size_t)byte] = (uint8_t)((uint32_t)value >> (8 * byte));
    }
}

static size_t bytes_of(size_t count, int32_t bits) {
    return (count * (size_t)bits + 7) / 8;
}

/* For 8 bits and less; wider ones have none in older opsets. */
static const char *zero_points(crumb_onnx_job *job, const crumb_onnx_weight *y, const integer_type *type) {
    const char *name = crumb_onnx_part(job, "weight/zero_point");
    uint8_t *out = crumb_onnx_tensor(&job->w, name, type->id, 1, y->dim, bytes_of((size_t)y->rows, type->bits));
    for (int64_t row = 0; out != NULL && type->low == 0 && row < y->rows; row++) {
        int32_t low, high;
        row_range(y, row, &low, &high);
        put(out, type->bits, (size_t)row, -low);
    }
    return name;
}

const char *crumb_onnx_weight_integers(crumb_onnx_job *job, const crumb_onnx_weight *y) {
    crumb_onnx_writer *w = &job->w;
    const integer_type *type = narrowest(y, job->form->opset);
    const char *code = crumb_onnx_part(job, "weight/code"), *name = crumb_onnx_part(job, "weight");
    size_t count = (size_t)y->rows * (size_t)y->columns;
    uint8_t *out = crumb_onnx_tensor(w, code, type->id, y->rank, y->dim, bytes_of(count, type->bits));
    for (int64_t row = 0; out != NULL && row < y->rows; row++) {
        int32_t low = 0, high;
        if (type->low == 0) {
            row_range(y, row, &low, &high);
        }
        for (int64_t i = row * y->columns; i < (row + 1) * y->columns; i++) {
            put(out, type->bits, (size_t)i, y->code[i] - low);
        }
    }
    const char *read[3] = {code, crumb_onnx_floats(w, crumb_onnx_part(job, "weight/scale"), 1, y->dim, y->scale)};
    int inputs = 2;
    if (type->bits <= 8) {
        read[inputs++] = zero_points(job, y, type);
    }
    crumb_onnx_int(w, crumb_onnx_add(w, "DequantizeLinear", name, inputs, read), "axis", 0);
    return name;
}

/* ---- As MatMulNBits has them: for each row blocks of 32 indices and a scale and zero point of each, here the row's; or the
 * groups that have scales. */

static int32_t block_of(const crumb_onnx_weight *y) {
    return y->groups > 1 ? y->group : 32;
}

static int32_t nbits_width(const crumb_onnx_weight *y) {
    static const int32_t widths[] = {2, 4, 8};
    for (size_t i = 0; i < 3; i++) {
        integer_type type = {.low = 0, .high = (1 << widths[i]) - 1};
        if (fits(y, &type)) {
            return widths[i];
        }
    }
    return 0;
}

/* What fills up the last block is the zero point. */
static void fill_blocks(const crumb_onnx_weight *y, int32_t bits, int64_t blocks, uint8_t *index, float *scale, uint8_t *zero) {
    const int64_t block = block_of(y);
    size_t row_bytes = bytes_of((size_t)(blocks * block), bits), zero_bytes = bytes_of((size_t)blocks, bits);
    for (int64_t at = 0; at < y->rows * blocks; at++) {
        int64_t row = at / blocks, b = at % blocks, group = y->groups > 1 ? at : row;
        int32_t low, high;
        row_range(y, group, &low, &high);
        for (int64_t i = b * block; i < (b + 1) * block; i++) {
            put(index + (size_t)row * row_bytes, bits, (size_t)i, (i < y->columns ? y->code[row * y->columns + i] : 0) - low);
        }
        scale[at] = y->scale[group];
        put(zero + (size_t)row * zero_bytes, bits, (size_t)b, -low);
    }
}

const char *crumb_onnx_weight_nbits(crumb_onnx_job *job, const crumb_onnx_weight *y, const char *x) {
    crumb_onnx_writer *w = &job->w;
    int32_t bits = nbits_width(y);
    if (bits == 0) {
        return NULL;
    }
    int64_t block = block_of(y), blocks = (y->columns + block - 1) / block, block_bytes = block * bits / 8;
    int64_t zero_bytes = y->rows * (int64_t)bytes_of((size_t)blocks, bits), scales = y->rows * blocks;
    const char *index = crumb_onnx_part(job, "weight/index"), *scale = crumb_onnx_part(job, "weight/scale");
    const char *zero = crumb_onnx_part(job, "weight/zero_point"), *product = crumb_onnx_part(job, "product");
    uint8_t *index_at = crumb_onnx_tensor(w, index, CRUMB_ONNX_UINT8, 3, (const int64_t[]){y->rows, blocks, block_bytes},
                                          (size_t)(y->rows * blocks * block_bytes));
    float *scale_at = crumb_onnx_tensor(w, scale, CRUMB_ONNX_FLOAT, 1, &scales, (size_t)scales * sizeof(*scale_at));
    uint8_t *zero_at = crumb_onnx_tensor(w, zero, CRUMB_ONNX_UINT8, 1, &zero_bytes, (size_t)zero_bytes);
    if (index_at != NULL && scale_at != NULL && zero_at != NULL) {
        fill_blocks(y, bits, blocks, index_at, scale_at, zero_at);
    }
    crumb_onnx_node *node = CRUMB_ONNX_ADD(w, "MatMulNBits", product, x, index, scale, zero);
    crumb_onnx_domain(node, "com.microsoft");
    crumb_onnx_int(w, node, "K", y->columns);
    crumb_onnx_int(w, node, "N", y->rows);
    crumb_onnx_int(w, node, "bits", bits);
    crumb_onnx_int(w, node, "block_size", block);
    crumb_onnx_int(w, node, "accuracy_level", 4);
    crumb_onnx_import(w, "com.microsoft", 1);
    return product;
}
