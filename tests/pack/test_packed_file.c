/* Packed files: codes as bytes, writing and reading, and that nothing but what the writer writes is accepted. */
#include "harness.h"

#include "base/crc32c.h"
#include "base/file.h"
#include "pack/file_records.h"
#include "pack/oracle.h"
#include "pack/sample.h"

static crumb_ctx *new_ctx(void) {
    crumb_ctx *ctx;
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    return ctx;
}

/* ---- Codes. */

static void check_roundtrip(crumb_packed_encoding encoding, int32_t levels, int32_t columns, crumb_rng *rng) {
    crumb_packed_tensor tensor = {
        .encoding = encoding, .rows = 3, .columns = columns, .codes = {levels, crumb_packed_bits(levels), 1, 0, 0}};
    uint64_t row_bytes = crumb_packed_row_bytes(&tensor);
    uint8_t *data = malloc(3 * row_bytes + 1);
    uint16_t index[3][64], again[64];
    memset(data, 0xa5, 3 * row_bytes + 1);
    tensor.data = data;
    for (int32_t row = 0; row < 3; row++) {
        for (int32_t i = 0; i < columns; i++) {
            index[row][i] = (uint16_t)(row == 0 ? (uint32_t)levels - 1 : crumb_rng_below(rng, (uint32_t)levels));
        }
        crumb_packed_pack_row(&tensor, row, index[row], data);
    }
    assert_int_equal(data[3 * row_bytes], 0xa5);
    for (int32_t row = 0; row < 3; row++) {
        memset(again, 0xff, sizeof(again));
        crumb_packed_unpack_row(&tensor, row, again);
        assert_memory_equal(again, index[row], (size_t)columns * sizeof(*again));
        assert_true(columns == 64 || again[columns] == 0xffff);
    }
    free(data);
}

static void test_codes(void **state) {
    (void)state;
    crumb_rng rng = crumb_rng_at(1, 2, 3);
    for (int32_t columns = 1; columns <= 64; columns++) {
        for (int32_t bits = 1; bits <= 9; bits++) {
            check_roundtrip(CRUMB_PACKED_BITS, 1 << bits, columns, &rng);
            check_roundtrip(CRUMB_PACKED_BITS, (1 << bits) - (bits > 1), columns, &rng);
        }
        check_roundtrip(CRUMB_PACKED_TRITS, 3, columns, &rng);
    }
    assert_int_equal(crumb_packed_bits(0), 0);
    assert_int_equal(crumb_packed_bits(2), 1);
    assert_int_equal(crumb_packed_bits(3), 2);
    assert_int_equal(crumb_packed_bits(256), 8);
    assert_int_equal(crumb_packed_bits(257), 9);
}

/* The bytes that docs/FORMAT.md shows. */
static void test_codes_by_hand(void **state) {
    (void)state;
    crumb_packed_tensor two = {.encoding = CRUMB_PACKED_BITS, .rows = 1, .columns = 5, .codes = {4, 2, 1, -2, 0}};
    crumb_packed_tensor three = {.encoding = CRUMB_PACKED_BITS, .rows = 1, .columns = 5, .codes = {8, 3, 1, 0, 0}};
    crumb_packed_tensor trits = {.encoding = CRUMB_PACKED_TRITS, .rows = 1, .columns = 7, .codes = {3, 2, 1, -1, 0}};
    uint8_t data[2];
    crumb_packed_pack_row(&two, 0, (uint16_t[]){1, 2, 3, 0, 2}, data);
    assert_int_equal(data[0], 1 | 2 << 2 | 3 << 4);
    assert_int_equal(data[1], 2);
    crumb_packed_pack_row(&three, 0, (uint16_t[]){7, 1, 6, 2, 5}, data);
    assert_int_equal(data[0] | data[1] << 8, 7 | 1 << 3 | 6 << 6 | 2 << 9 | 5 << 12);
    crumb_packed_pack_row(&trits, 0, (uint16_t[]){2, 1, 0, 2, 2, 1, 2}, data);
    assert_int_equal(data[0], 2 + 1 * 3 + 0 * 9 + 2 * 27 + 2 * 81);
    assert_int_equal(data[1], 1 + 2 * 3);
}

/* ---- Writing and reading. */

static void test_write_and_read(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    crumb_packed *built, *read;
    assert_ok(ctx, sample_every_op(ctx, 7, &built));
    char folder[64], path[128];
    snprintf(folder, sizeof(folder), "%s", test_folder());
    snprintf(path, sizeof(path), "%s/net.crumb", folder);
    assert_ok(ctx, crumb_packed_write(built, path));
    assert_ok(ctx, crumb_packed_open(ctx, path, &read));
    assert_int_equal(read->file_bytes, built->file_bytes);
    assert_memory_equal(read->file, built->file, built->file_bytes);
    assert_int_equal(read->file_bytes % 64, 0);
    for (int32_t i = 0; i < read->tensors; i++) {
        assert_int_equal((uintptr_t)read->tensor[i].data % 64, 0);
    }
    crumb_packed_info info;
    crumb_packed_describe(read, &info);
    assert_string_equal(info.model, "every op");
    assert_int_equal(info.classes, 5);
    assert_string_equal(info.class_names[2], "鳥");
    assert_string_equal(info.class_names[3], "");
    assert_int_equal(info.height, 9);
    assert_true(info.mean[1] == 0.5f && info.deviation[2] == 0.25f && info.deviation[1] == 1.0f);
    assert_int_equal(info.layers, read->nodes);
    crumb_packed_layer layer;
    assert_true(crumb_packed_layer_at(read, 1, &layer));
    assert_string_equal(layer.op, "conv2d");
    assert_int_equal(layer.weight_bits, 2);
    assert_int_equal(layer.activation_bits, 32);
    assert_int_equal(layer.weight_bytes, 4 * 6); /* 27 trits a row */
    assert_true(layer.operations == 2.0 * 9 * 8 * 4 * 27);
    assert_false(crumb_packed_layer_at(read, read->nodes, &layer));
    assert_false(crumb_packed_layer_at(read, -1, &layer));
    crumb_packed_close(read);
    crumb_packed_close(built);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
    crumb_ctx_destroy(ctx);
}

static crumb_status build_and_reread(crumb_ctx *ctx, void *user) {
    (void)user;
    crumb_packed *built, *read;
    crumb_oracle *oracle;
    CRUMB_TRY(sample_every_op(ctx, 7, &built));
    crumb_status status = crumb_packed_parse(ctx, "again", built->file, built->file_bytes, &read);
    if (status == CRUMB_OK) {
        status = crumb_oracle_create(read, &oracle);
        if (status == CRUMB_OK) {
            crumb_oracle_destroy(oracle);
        }
        crumb_packed_close(read);
    }
    crumb_packed_close(built);
    return status;
}

static void test_allocations(void **state) {
    (void)state;
    test_every_allocation(build_and_reread, NULL);
}

/* ---- Bad files. */

typedef struct bytes {
    uint8_t *at;
    size_t size;
} bytes;

/* An aligned copy of a network's bytes. */
static bytes copy_of(crumb_ctx *ctx, const crumb_packed *packed) {
    bytes copy = {crumb_alloc(ctx, packed->file_bytes, 1), packed->file_bytes};
    memcpy(copy.at, packed->file, copy.size);
    return copy;
}

static void sum_again(bytes b) {
    uint32_t sum = crumb_crc32c(b.at + CRUMB_FILE_SUMMED_FROM, b.size - CRUMB_FILE_SUMMED_FROM);
    memcpy(b.at + offsetof(crumb_file_header, checksum), &sum, sizeof(sum));
}

static void test_truncated(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    crumb_packed *packed, *read;
    assert_ok(ctx, sample_every_op(ctx, 7, &packed));
    bytes b = copy_of(ctx, packed);
    for (size_t size = 0; size < b.size; size++) {
        assert_int_equal(crumb_packed_parse(ctx, "short", b.at, size, &read), CRUMB_ERROR_FORMAT);
        if (size >= sizeof(crumb_file_header)) { /* and when the header tells the truth about it */
            uint64_t claimed = size;
            memcpy(b.at + offsetof(crumb_file_header, bytes), &claimed, sizeof(claimed));
            sum_again((bytes){b.at, size});
            assert_int_equal(crumb_packed_parse(ctx, "short", b.at, size, &read), CRUMB_ERROR_FORMAT);
            memcpy(b.at, packed->file, sizeof(crumb_file_header));
        }
    }
    crumb_free(ctx, b.at);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

/* What survives must still be a network that runs. */
static void try_running(crumb_ctx *ctx, const crumb_packed *packed) {
    crumb_oracle *oracle;
    crumb_packed_info info;
    crumb_packed_describe(packed, &info);
    if (info.operations > 2e6) {
        return;
    }
    float *image = calloc((size_t)crumb_packed_elements(&packed->value[0]), sizeof(float));
    assert_ok(ctx, crumb_oracle_create(packed, &oracle));
    crumb_oracle_run(oracle, image);
    crumb_oracle_destroy(oracle);
    free(image);
}

/* Each byte in turn has a bit flipped: refused for its checksum; and with the checksum made anew either refused or run. */
static void test_flipped(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    crumb_packed *packed, *read;
    assert_ok(ctx, sample_every_op(ctx, 7, &packed));
    bytes b = copy_of(ctx, packed);
    size_t accepted = 0, ran = 0;
    for (size_t i = 0; i < b.size; i++) {
        b.at[i] ^= (uint8_t)(1 << i * 5 % 8);
        assert_int_equal(crumb_packed_parse(ctx, "flipped", b.at, b.size, &read), CRUMB_ERROR_FORMAT);
        assert_true(strncmp(crumb_message(ctx), "flipped: ", 9) == 0);
        sum_again(b);
        crumb_status status = crumb_packed_parse(ctx, "flipped", b.at, b.size, &read);
        assert_true(status == CRUMB_OK || status == CRUMB_ERROR_FORMAT);
        if (status == CRUMB_OK) {
            if (accepted++ % 8 == 0) {
                try_running(ctx, read);
                ran++;
            }
            crumb_packed_close(read);
        }
        memcpy(b.at, packed->file, sizeof(crumb_file_header));
        b.at[i] = packed->file[i];
    }
    assert_true(ran > 100 && accepted < b.size);
    crumb_free(ctx, b.at);
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

/* One 32-bit word of a record, changed. */
typedef struct change {
    size_t at;
    uint32_t word;
    const char *message;
} change;

static size_t node_at(const crumb_packed *packed, int32_t node, size_t member) {
    return sizeof(crumb_file_header) + (size_t)packed->values * sizeof(crumb_file_value) +
           (size_t)packed->tensors * sizeof(crumb_file_tensor) + (size_t)node * sizeof(crumb_file_node) + member;
}

static int32_t first_node(const crumb_packed *packed, crumb_packed_op op) {
    int32_t i = 0;
    while (packed->node[i].op != op) {
        i++;
    }
    return i;
}

/* Where the node's tensor `extra` begins. */
static size_t tensor_of(const crumb_packed *packed, int32_t node) {
    return (size_t)(packed->tensor[packed->node[node].extra].data - packed->file);
}

#define NODE(op, member) node_at(packed, first_node(packed, CRUMB_PACKED_##op), offsetof(crumb_file_node, member))
#define HEADER(member) offsetof(crumb_file_header, member)

static void check_changes(crumb_packed *packed, const change *changes, size_t count) {
    crumb_ctx *ctx = packed->ctx;
    crumb_packed *read;
    bytes b = copy_of(ctx, packed);
    for (size_t i = 0; i < count; i++) {
        memcpy(b.at + changes[i].at, &changes[i].word, sizeof(uint32_t));
        sum_again(b);
        assert_fails(ctx, CRUMB_ERROR_FORMAT, changes[i].message, crumb_packed_parse(ctx, "bad", b.at, b.size, &read));
        memcpy(b.at, packed->file, b.size);
    }
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "not aligned", crumb_packed_parse(ctx, "odd", b.at + 1, b.size - 1, &read));
    crumb_free(ctx, b.at);
}

static void test_messages(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    crumb_packed *packed;
    assert_ok(ctx, sample_every_op(ctx, 7, &packed));
    const change changes[] = {
        {0, 0x20202020, "not a packed network"},
        {HEADER(version), 2, "version 2, this reader knows 1"},
        {HEADER(values), 0x7fffffff, "2147483647 values"},
        {HEADER(nodes), 3, "3 nodes make"},
        {HEADER(logits), 9999, "value 9999"},
        {HEADER(logits), 1, "cannot be the logits"},
        {HEADER(classes), 0, "0 classes"},
        {HEADER(model), 1, "no text starts at 1"},
        {HEADER(mean), 0x7fc00000, "normalisation 0 is nan"},
        {HEADER(deviation), 0, "normalisation 0"},
        {HEADER(zero), 1, "where zeros fill a gap"},
        {sizeof(crumb_file_header), 0, "an image of 0 x 8 x 3"},
        {sizeof(crumb_file_header) + 8, 5, "an image of 9 x 8 x 5"},
        {sizeof(crumb_file_header) + sizeof(crumb_file_value), 10, "where its node makes 9 x 8 x 4"},
        {NODE(CONV2D, op), 77, "there is no op 77"},
        {NODE(CONV2D, inputs), 2, "number of inputs 2 is outside 1 .. 1"},
        {NODE(CONV2D, input), 5, "input 5 is outside 0 .. 0"},
        {NODE(CONV2D, input[7]), 1, "input that is none 1"},
        {NODE(CONV2D, output), 2, "makes value 2, not 1"},
        {NODE(CONV2D, stride), 0, "stride 0 is outside"},
        {NODE(CONV2D, padding), 3, "padding 3 is outside 0 .. 2"},
        {NODE(CONV2D, dilation), 0x80000000u, "dilation -2147483648"},
        {NODE(CONV2D, groups), 2, "in 2 groups"},
        {NODE(CONV2D, kernel_height), 2, "weight has 27 values an output, the window 18"},
        {NODE(CONV2D, weight), 99999, "weight is tensor 99999"},
        {NODE(CONV2D, multiplier), 0, "multiplier is 4 x 27 floats, not 4 floats"},
        {NODE(CONV2D, before), 1, "a member that the op does not have is set"},
        {NODE(CONV2D, flags), 8, "flags 00000008"},
        {NODE(CONV2D, name), 3, "no text starts at 3"},
        {NODE(QUANTIZE, inverse), 0x7f800000, "inverse inf"},
        {NODE(QUANTIZE, hi), 0x40000000, "limits 0 .. 2 for codes 0 .. 3"},
        {NODE(CLIP, lo), 0x7f000000, "limits 1.7"},
        {NODE(PRELU, extra), 0, "slope is"},
        {NODE(AVERAGE_POOL, kernel_width), 1, "padding 1 is outside 0 .. 0"},
        {NODE(ADD, input[1]), 0, "inputs of"},
        {NODE(DEQUANTIZE, input), 0, "the input is REAL"},
        {NODE(PAD, after), 0x7fffffff, "after 2147483647 is outside"},
        {NODE(MAX_POOL, kernel_height), 0, "kernel height 0"},
    };
    check_changes(packed, changes, sizeof(changes) / sizeof(changes[0]));
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

static void test_function_messages(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    crumb_packed *packed;
    assert_ok(ctx, sample_every_op(ctx, 7, &packed));
    const change changes[] = {
        {NODE(AVERAGE_POOL, dilation), 99999, "stride along a row 99999"},
        {NODE(GATHER, before), 0, "height 0 is outside"},
        {NODE(GATHER, after), 99, "makes no 5 x 99 pixels"},
        {NODE(GATHER, extra), 0, "encoding 0, makes no"},
        {NODE(GATHER, extra), 0xffffffffu, "what it reads is tensor -1"},
        {NODE(GATHER, lo), 0x41800000, "it fills with 16, 0"},
        {NODE(GATHER, lo), 0x3f000000, "it fills with 0.5, 0"},
        {NODE(GATHER, hi), 0x3f800000, "it fills with 15, 1"},
        {NODE(GATHER, inverse), 0x3f800000, "a member that the op does not have is set"},
        {NODE(CONSTANT, after), 1000, "pixels"},
        {NODE(CONSTANT, inputs), 1, "number of inputs 1 is outside 0 .. 0"},
        {NODE(LRN, hi), 0, "alpha 0.5, beta 0.75, bias 0"},
        {NODE(LRN, kernel_width), 2, "window's width 2"},
        {NODE(DIV, input[1]), 0, "inputs of"},
        {NODE(SOFTMAX, kernel_height), 1, "a member that the op does not have is set"},
        {tensor_of(packed, first_node(packed, CRUMB_PACKED_GATHER)), 0x7fffff00, "of 4 elements"},
        {tensor_of(packed, first_node(packed, CRUMB_PACKED_GATHER)), 0x80000000u, "place -2147483648"},
    };
    check_changes(packed, changes, sizeof(changes) / sizeof(changes[0]));
    crumb_packed_close(packed);
    crumb_ctx_destroy(ctx);
}

/* Scales of groups that no group gives, and where they cannot be. */
static void test_groups(void **state) {
    (void)state;
    static const crumb_packed_codes four = {.levels = 4, .multiply = 1, .offset = -2};
    static const struct {
        int32_t columns; /* of the scales; negative: codes */
        int32_t levels, input, groups;
        float scale;
        const char *message;
    } cases[] = {
        {3, 4, 0, 1, 1, NULL},
        {2, 4, 0, 1, 1, NULL}, /* groups of 32 */
        {4, 4, 0, 1, 1, "4 floats for 40 weights an output: of no group of 16, 32, 64 or 128"},
        {-3, 4, 0, 1, 1, "6 x 3 codes for 40"},
        {3, 0, 0, 1, 1, "want a REAL input, codes and"},
        {3, 4, 1, 1, 1, "want a REAL input, codes and"},
        {2, 4, 0, 2, 1, "1 x 1 in 2 groups"},
        {3, 4, 0, 1, INFINITY, "weight scale 17 is inf"},
    };
    crumb_ctx *ctx = new_ctx();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sample s = {.rng = crumb_rng_at(1, 0, 0)};
        crumb_packed *packed;
        crumb_build_begin(&s.build, ctx, 1, 1, 4);
        s.build.packed.classes = 6;
        int32_t x = sample_conv(&s, 0, 40 * cases[i].groups, 1, (crumb_packed_codes){0}, (crumb_packed_node){0});
        x = cases[i].input == 1 ? sample_round(&s, x, 4, 0) : x;
        crumb_packed_node node = crumb_build_node_of(CRUMB_PACKED_CONV2D, "fc", x);
        node.kernel_height = node.kernel_width = node.stride = node.dilation = 1;
        node.groups = cases[i].groups;
        node.weight = cases[i].levels > 0 ? sample_codes(&s, 6, 40, four) : sample_floats(&s, 6, 40, false);
        node.multiplier = sample_floats(&s, 1, 6, false);
        node.bias = sample_floats(&s, 1, 6, false);
        int32_t columns = cases[i].columns < 0 ? -cases[i].columns : cases[i].columns;
        float scale[24] = {0};
        scale[17] = cases[i].scale;
        node.extra =
            cases[i].columns < 0 ? sample_codes(&s, 6, columns, four) : crumb_build_floats(&s.build, 6, columns, scale);
        crumb_build_append(&s.build, &node, NULL);
        if (cases[i].message == NULL) {
            assert_ok(ctx, crumb_build_end(&s.build, &packed));
            crumb_packed_layer layer;
            assert_true(crumb_packed_layer_at(packed, 1, &layer));
            assert_int_equal(layer.weight_bytes, 6 * (40 * 2 / 8 + columns * (int)sizeof(float)));
            crumb_packed_close(packed);
        } else {
            assert_fails(ctx, CRUMB_ERROR_FORMAT, cases[i].message, crumb_build_end(&s.build, &packed));
        }
    }
    crumb_ctx_destroy(ctx);
}

static void test_bad_names(void **state) {
    (void)state;
    static const char *const names[] = {"tab\there", "broken \xc3", "\xed\xa0\x80", "escape \x1b[2J", "c1 \xc2\x9b"};
    crumb_ctx *ctx = new_ctx();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        sample s = {.rng = crumb_rng_at(1, 0, 0)};
        crumb_packed *packed;
        crumb_build_begin(&s.build, ctx, 1, 1, 1);
        s.build.packed.model = names[i];
        s.build.packed.classes = 1;
        sample_node(&s, CRUMB_PACKED_RELU, 0);
        assert_fails(ctx, CRUMB_ERROR_FORMAT, "in a name", crumb_build_end(&s.build, &packed));
    }
    crumb_ctx_destroy(ctx);
}

/* The largest sum that fits, and one window more. 8-bit codes 0 .. 255, weights -128 .. 127: 32640 a product. */
static void test_overflow(void **state) {
    (void)state;
    static const crumb_packed_codes byte = {.levels = 256, .multiply = 1, .offset = -128};
    crumb_ctx *ctx = new_ctx();
    for (int32_t columns = INT32_MAX / 32640; columns <= INT32_MAX / 32640 + 1; columns++) {
        sample s = {.rng = crumb_rng_at(1, 0, 0)};
        crumb_packed *packed;
        crumb_build_begin(&s.build, ctx, 1, columns, 1);
        s.build.packed.classes = 1;
        int32_t x = sample_round(&s, sample_node(&s, CRUMB_PACKED_FLATTEN, 0), 256, 0);
        sample_conv(&s, x, 1, 1, byte, (crumb_packed_node){0});
        if (columns == INT32_MAX / 32640) {
            assert_ok(ctx, crumb_build_end(&s.build, &packed));
            crumb_packed_close(packed);
        } else {
            assert_fails(ctx, CRUMB_ERROR_FORMAT, "beyond int32", crumb_build_end(&s.build, &packed));
        }
    }
    crumb_ctx_destroy(ctx);
}

static void test_paths(void **state) {
    (void)state;
    crumb_ctx *ctx = new_ctx();
    crumb_packed *packed;
    assert_fails(ctx, CRUMB_ERROR_IO, "cannot open /nowhere/net.crumb", crumb_packed_open(ctx, "/nowhere/net.crumb", &packed));
    assert_fails(ctx, CRUMB_ERROR_IO, "not a regular file", crumb_packed_open(ctx, "/tmp", &packed));
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "not a packed network", crumb_packed_open(ctx, "README.md", &packed));
    assert_int_equal(crumb_file_write(ctx, "/tmp/crumb-empty", "", 0), CRUMB_OK);
    assert_fails(ctx, CRUMB_ERROR_FORMAT, "empty", crumb_packed_open(ctx, "/tmp/crumb-empty", &packed));
    unlink("/tmp/crumb-empty");
    crumb_packed_close(NULL);
    crumb_ctx_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),       cmocka_unit_test(test_codes_by_hand), cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_paths),       cmocka_unit_test(test_messages),      cmocka_unit_test(test_function_messages),
        cmocka_unit_test(test_groups),      cmocka_unit_test(test_bad_names),     cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_allocations), cmocka_unit_test(test_truncated),     cmocka_unit_test(test_flipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
