/* File -> packed network. Everything is checked before it is used, and nothing is believed that can be computed: a file is
 * valid only if the writer would have written it so. Tensors and texts stay in the file's bytes. */
#include "base/crc32c.h"
#include "base/file.h"
#include "base/utf8.h"
#include "pack/file_records.h"
#include "pack/rules.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct reader {
    crumb_ctx *ctx;
    const char *name; /* of the file */
    const uint8_t *data;
    size_t size;
    crumb_file_header header;
    crumb_file_parts parts;
    crumb_packed *packed;
} reader;

/* "<file>: byte 16: ..." */
CRUMB_PRINTF(3, 4) static crumb_status bad(const reader *r, uint64_t at, const char *format, ...) {
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

bool crumb_packed_probe_file(const char *path) {
    char head[8];
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = file >= 0 ? read(file, head, sizeof(head)) : 0;
    if (file >= 0) {
        close(file);
    }
    return size > 0 && crumb_packed_probe(head, (size_t)size);
}

static crumb_status read_header(reader *r) {
    crumb_file_header *h = &r->header;
    if (!crumb_packed_probe(r->data, r->size)) {
        return bad(r, 0, "this is not a packed network; crumb pack makes one of a trained network");
    }
    if (r->size < sizeof(*h)) {
        return bad(r, r->size, "the file ends within its header of %zu bytes", sizeof(*h));
    }
    memcpy(h, r->data, sizeof(*h));
    if (h->version != CRUMB_FILE_VERSION) {
        return bad(r, offsetof(crumb_file_header, version), "version %" PRIu32 ", this reader knows %d", h->version,
                   CRUMB_FILE_VERSION);
    }
    if (h->bytes != r->size) {
        return bad(r, offsetof(crumb_file_header, bytes), "a file of %" PRIu64 " bytes, here are %zu", h->bytes, r->size);
    }
    uint32_t sum = crumb_crc32c(r->data + CRUMB_FILE_SUMMED_FROM, r->size - CRUMB_FILE_SUMMED_FROM);
    if (sum != h->checksum) {
        return bad(r, offsetof(crumb_file_header, checksum), "checksum %08" PRIx32 ", the bytes have %08" PRIx32, h->checksum,
                   sum);
    }
    return CRUMB_OK;
}

static crumb_status check_zeros(const reader *r, uint64_t from, uint64_t to) {
    for (uint64_t at = from; at < to; at++) {
        if (r->data[at] != 0) {
            return bad(r, at, "%d where zeros fill a gap", r->data[at]);
        }
    }
    return CRUMB_OK;
}

static crumb_status check_parts(reader *r) {
    const crumb_file_header *h = &r->header;
    r->parts = crumb_file_parts_of(h);
    if (r->parts.end > r->size || h->values > INT32_MAX || h->tensors > INT32_MAX) {
        return bad(r, offsetof(crumb_file_header, values),
                   "%" PRIu32 " values, %" PRIu32 " nodes, %" PRIu32 " tensors, %" PRIu32 " bytes of text end at byte %" PRIu64,
                   h->values, h->nodes, h->tensors, h->text_bytes, r->parts.end);
    }
    if (h->values == 0 || h->nodes != h->values - 1) {
        return bad(r, offsetof(crumb_file_header, nodes), "%" PRIu32 " nodes make %" PRIu32 " values", h->nodes, h->values);
    }
    if (h->logits >= h->values || h->classes == 0) {
        return bad(r, offsetof(crumb_file_header, logits),
                   "value %" PRIu32 " of %" PRIu32 " is the logits of %" PRIu32 " classes", h->logits, h->values, h->classes);
    }
    for (int c = 0; c < CRUMB_PACKED_PIXEL_MAX; c++) {
        if (!isfinite(h->mean[c]) || !isfinite(h->deviation[c]) || h->deviation[c] <= 0.0f) {
            return bad(r, offsetof(crumb_file_header, mean), "normalisation %d is %g, %g", c, (double)h->mean[c],
                       (double)h->deviation[c]);
        }
    }
    return check_zeros(r, offsetof(crumb_file_header, zero), sizeof(*h));
}

/* ---- Texts: UTF-8 without control characters, each ended by a zero byte. */

static crumb_status check_texts(const reader *r) {
    const char *text = (const char *)r->data + r->parts.texts;
    size_t size = r->header.text_bytes;
    if (size == 0 || text[size - 1] != '\0') {
        return bad(r, r->parts.end, "the texts do not end with a zero byte");
    }
    for (size_t at = 0; at < size;) {
        uint32_t point;
        size_t length = crumb_utf8_next(text + at, size - at, &point);
        if (length == 0 || (point != 0 && point < 0x20) || (point >= 0x7f && point < 0xa0)) {
            return bad(r, r->parts.texts + at, "not UTF-8, or a control character, in a name");
        }
        at += length;
    }
    return CRUMB_OK;
}

/* The text at `offset`, which must be the start of one; `at` is where the offset stands. */
static crumb_status find_text(const reader *r, uint64_t at, uint32_t offset, const char **text) {
    const char *texts = (const char *)r->data + r->parts.texts;
    if (offset >= r->header.text_bytes || (offset > 0 && texts[offset - 1] != '\0')) {
        return bad(r, at, "no text starts at %" PRIu32, offset);
    }
    *text = texts + offset;
    return CRUMB_OK;
}

static crumb_status read_class_names(reader *r) {
    const crumb_file_header *h = &r->header;
    uint64_t at = offsetof(crumb_file_header, class_names), offset = h->class_names;
    if (h->class_names == CRUMB_FILE_NONE) {
        return CRUMB_OK;
    }
    if (h->classes > h->text_bytes) {
        return bad(r, at, "%" PRIu32 " class names in %" PRIu32 " bytes", h->classes, h->text_bytes);
    }
    r->packed->class_name = crumb_alloc(r->ctx, h->classes, sizeof(*r->packed->class_name));
    if (r->packed->class_name == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    for (uint32_t i = 0; i < h->classes; i++) {
        CRUMB_TRY(find_text(r, at, (uint32_t)offset, &r->packed->class_name[i]));
        offset += strlen(r->packed->class_name[i]) + 1;
    }
    return CRUMB_OK;
}

/* ---- Tensors. */

static crumb_status check_tensor(const reader *r, uint64_t at, const crumb_file_tensor *record, const crumb_packed_tensor *t) {
    bool is_plain = t->encoding == CRUMB_PACKED_FLOAT || t->encoding == CRUMB_PACKED_PLACES;
    bool fits = is_plain                            ? t->codes.levels == 0
                : t->encoding == CRUMB_PACKED_BITS  ? t->codes.levels >= 2
                : t->encoding == CRUMB_PACKED_TRITS ? t->codes.levels == 3
                                                    : false;
    if (!fits || !crumb_packed_codes_valid(&t->codes, CRUMB_PACKED_LEVELS_MAX) || t->rows < 1 || t->columns < 1) {
        return bad(r, at,
                   "a tensor of %" PRId32 " x %" PRId32 ", encoding %" PRId32 ", %" PRId32 " levels, code %" PRId32
                   " * index + %" PRId32,
                   record->rows, record->columns, record->encoding, record->levels, record->multiply, record->offset);
    }
    return CRUMB_OK;
}

/* Every index is a level, and what a row's last byte has left is zero. */
static crumb_status check_indices(const reader *r, const crumb_packed_tensor *t, uint16_t *index, uint8_t *again) {
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
            return bad(r, (uint64_t)(one.data - r->data), "row %" PRId32 " has index %u of %" PRId32 " levels", row, largest,
                       t->codes.levels);
        }
        crumb_packed_pack_row(&one, 0, index, again);
        if (memcmp(again, one.data, row_bytes) != 0) {
            return bad(r, (uint64_t)(one.data - r->data), "row %" PRId32 " is not as it is written", row);
        }
    }
    return CRUMB_OK;
}

static crumb_status check_content(const reader *r, const crumb_packed_tensor *t) {
    if (t->codes.levels == 0) {
        return CRUMB_OK; /* what a number may be depends on its use: rules.c */
    }
    uint16_t *index = crumb_alloc(r->ctx, (size_t)t->columns, sizeof(*index));
    uint8_t *again = crumb_alloc(r->ctx, (size_t)crumb_packed_row_bytes(t), 1);
    crumb_status status = index != NULL && again != NULL ? check_indices(r, t, index, again) : CRUMB_ERROR_MEMORY;
    crumb_free(r->ctx, index);
    crumb_free(r->ctx, again);
    return status;
}

/* The tensors follow one another, each at the next multiple of 64; *end is where the next one must be. */
static crumb_status read_tensor(const reader *r, uint64_t at, crumb_packed_tensor *t, uint64_t *end) {
    crumb_file_tensor record;
    memcpy(&record, r->data + at, sizeof(record));
    *t = (crumb_packed_tensor){
        .encoding = (crumb_packed_encoding)record.encoding,
        .rows = record.rows,
        .columns = record.columns,
        .codes = {record.levels, crumb_packed_bits(record.levels), record.multiply, record.offset, 0.0f},
    };
    CRUMB_TRY(check_tensor(r, at, &record, t));
    uint64_t row_bytes = crumb_packed_row_bytes(t), room = r->size - *end;
    if (record.at != *end || row_bytes > room / (uint64_t)t->rows) {
        return bad(r, at, "%" PRId32 " rows of %" PRIu64 " bytes at byte %" PRIu64 " of %zu; the last tensor ends at %" PRIu64,
                   t->rows, row_bytes, record.at, r->size, *end);
    }
    t->bytes = (uint64_t)t->rows * row_bytes;
    t->data = r->data + record.at;
    *end = crumb_file_align(record.at + t->bytes);
    if (*end > r->size) {
        return bad(r, at, "the tensor ends at byte %" PRIu64 " of %zu", *end, r->size);
    }
    CRUMB_TRY(check_content(r, t));
    return check_zeros(r, record.at + t->bytes, *end);
}

static crumb_status read_tensors(reader *r) {
    uint64_t end = crumb_file_align(r->parts.end);
    if (end > r->size) {
        return bad(r, r->parts.end, "the file ends within the gap before its tensors");
    }
    CRUMB_TRY(check_zeros(r, r->parts.end, end));
    for (int32_t i = 0; i < r->packed->tensors; i++) {
        uint64_t at = r->parts.tensors + (uint64_t)i * sizeof(crumb_file_tensor);
        CRUMB_TRY(read_tensor(r, at, &r->packed->tensor[i], &end));
    }
    return end == r->size ? CRUMB_OK : bad(r, end, "%zu bytes after the last tensor", (size_t)(r->size - end));
}

/* ---- Values and nodes. */

static crumb_packed_value value_of(const crumb_file_value *v) {
    return (crumb_packed_value){.height = v->height,
                                .width = v->width,
                                .channels = v->channels,
                                .codes = {v->levels, crumb_packed_bits(v->levels), v->multiply, v->offset, v->scale}};
}

static crumb_status check_image(const reader *r, const crumb_packed_value *image) {
    int64_t most = CRUMB_PACKED_ELEMENTS_MAX;
    bool fits = image->codes.levels == 0 && crumb_packed_codes_valid(&image->codes, 2) && image->height >= 1 &&
                image->width >= 1 && image->channels >= 1 && image->channels <= CRUMB_PACKED_PIXEL_MAX &&
                image->height <= most && image->width <= most / image->height / image->channels;
    return fits ? CRUMB_OK
                : bad(r, r->parts.values, "an image of %" PRId32 " x %" PRId32 " x %" PRId32 " with %" PRId32 " levels",
                      image->height, image->width, image->channels, image->codes.levels);
}

/* What is stored must be what the node makes. */
static crumb_status check_value(const reader *r, uint64_t at, const crumb_file_value *stored, const crumb_packed_value *made) {
    bool same = stored->height == made->height && stored->width == made->width && stored->channels == made->channels &&
                stored->levels == made->codes.levels && stored->multiply == made->codes.multiply &&
                stored->offset == made->codes.offset && stored->scale == made->codes.scale && stored->zero == 0;
    return same ? CRUMB_OK
                : bad(r, at,
                      "a value of %" PRId32 " x %" PRId32 " x %" PRId32 ", %" PRId32 " levels, where its node makes %" PRId32
                      " x %" PRId32 " x %" PRId32 ", %" PRId32 " levels",
                      stored->height, stored->width, stored->channels, stored->levels, made->height, made->width,
                      made->channels, made->codes.levels);
}

static crumb_status node_of(const reader *r, uint64_t at, crumb_packed_node *node) {
    crumb_file_node n;
    memcpy(&n, r->data + at, sizeof(n));
    if ((n.flags & ~(uint32_t)(CRUMB_FILE_COUNT_INSIDE | CRUMB_FILE_THRESHOLDS | CRUMB_FILE_CEIL_MODE)) != 0) {
        return bad(r, at + offsetof(crumb_file_node, flags), "flags %08" PRIx32, n.flags);
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
    return find_text(r, at, n.name, &node->name);
}

static crumb_status read_nodes(reader *r) {
    crumb_packed *packed = r->packed;
    crumb_file_value stored;
    memcpy(&stored, r->data + r->parts.values, sizeof(stored));
    packed->value[0] = value_of(&stored);
    CRUMB_TRY(check_image(r, &packed->value[0]));
    CRUMB_TRY(check_value(r, r->parts.values, &stored, &packed->value[0]));
    for (int32_t i = 0; i < packed->nodes; i++) {
        uint64_t value_at = r->parts.values + (uint64_t)(i + 1) * sizeof(crumb_file_value);
        crumb_packed_value *made = &packed->value[i + 1];
        memcpy(&stored, r->data + value_at, sizeof(stored));
        *made = value_of(&stored);
        CRUMB_TRY(node_of(r, r->parts.nodes + (uint64_t)i * sizeof(crumb_file_node), &packed->node[i]));
        CRUMB_TRY(crumb_packed_infer(packed, r->name, i, made));
        CRUMB_TRY(check_value(r, value_at, &stored, made));
    }
    const crumb_packed_value *logits = &packed->value[packed->logits];
    if (logits->codes.levels != 0 || logits->height != 1 || logits->width != 1 || logits->channels != packed->classes) {
        return bad(r, offsetof(crumb_file_header, logits), "value %" PRId32 " cannot be the logits of %" PRId32 " classes",
                   packed->logits, packed->classes);
    }
    return CRUMB_OK;
}

/* ---- All of it. */

static crumb_status make_room(reader *r) {
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

static crumb_status read_all(reader *r) {
    CRUMB_TRY(read_header(r));
    CRUMB_TRY(check_parts(r));
    CRUMB_TRY(check_texts(r));
    CRUMB_TRY(make_room(r));
    CRUMB_TRY(find_text(r, offsetof(crumb_file_header, model), r->header.model, &r->packed->model));
    CRUMB_TRY(read_class_names(r));
    CRUMB_TRY(read_tensors(r));
    return read_nodes(r);
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
    reader r = {.ctx = ctx, .name = name, .data = data, .size = size, .packed = packed};
    crumb_status status = read_all(&r);
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
