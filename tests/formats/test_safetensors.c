/* safetensors: what is written reads back, malformed files are refused with a reason, 16-bit floats convert exactly. */
#include "harness.h"

#include "base/file.h"
#include "formats/dtype.h"
#include "formats/safetensors.h"

static void test_half(void **state) {
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        int sign = bits >> 15 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
        float value = crumb_half_to_float((uint16_t)bits);
        if (exponent == 31) {
            assert_true(fraction != 0 ? isnan(value) : isinf(value) && (value > 0) == (sign > 0));
            continue;
        }
        double expected = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
        assert_true((double)value == sign * expected && (signbit(value) != 0) == (sign < 0));
    }
}

static void test_bfloat(void **state) {
    (void)state;
    for (unsigned bits = 0; bits < 65536; bits++) {
        float value = crumb_bfloat_to_float((uint16_t)bits);
        uint32_t back;
        memcpy(&back, &value, sizeof(back));
        assert_int_equal(back, bits << 16);
    }
    assert_true(crumb_bfloat_to_float(0x3fc0) == 1.5f);
}

/* A file in memory: length, header, data. */
typedef struct image {
    uint8_t bytes[4096];
    size_t size;
} image;

static image make(const char *header, size_t data) {
    image made = {.size = 8 + strlen(header) + data};
    uint64_t length = strlen(header);
    assert_true(made.size <= sizeof(made.bytes));
    memcpy(made.bytes, &length, 8);
    memcpy(made.bytes + 8, header, length);
    for (size_t i = 0; i < data; i++) {
        made.bytes[8 + length + i] = (uint8_t)(i + 1);
    }
    return made;
}

typedef struct bad_case {
    const char *header;
    size_t data;
    const char *message;
} bad_case;

#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const bad_case bad[] = {
    {"", 0, "byte 8 does not start a JSON header"},
    {"[1]", 0, "byte 8 does not start a JSON header"},
    {" {}", 0, "byte 8 does not start a JSON header"},
    {"{", 0, "header, byte"},
    {"{} x", 0, "header, byte"},
    {"{}", 4, "4 bytes after the last tensor"},
    {"{\"a\":3}", 0, "tensor 'a': is not {dtype, shape, data_offsets}"},
    {"{\"a\":{}}", 0, "tensor 'a': is not {dtype, shape, data_offsets}"},
    {"{\"a\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,4]}}", 4, "tensor 'a': is not {dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"x\":1}}", 4, "tensor 'a': is not {dtype"},
    {"{\"a\":" T("F33", "[1]", "[0,4]") "}", 4, "tensor 'a': dtype 'F33' is unknown"},
    {"{\"a\":" T("F32", "1", "[0,4]") "}", 4, "'shape' is not a list"},
    {"{\"a\":" T("F32", "[-1]", "[0,4]") "}", 4, "a dimension is not a whole number"},
    {"{\"a\":" T("F32", "[1.0]", "[0,4]") "}", 4, "a dimension is not a whole number"},
    {"{\"a\":" T("F32", "[1,1,1,1,1,1,1]", "[0,4]") "}", 4, "rank 7, at most 6"},
    {"{\"a\":" T("F32", "[4611686018427387904,4]", "[0,4]") "}", 4, "the shape's size overflows"},
    {"{\"a\":" T("F32", "[4611686018427387904]", "[0,0]") "}", 0, "0 bytes for F32 of shape 4611686018427387904"},
    {"{\"a\":" T("F32", "[99999999999999999999]", "[0,4]") "}", 4, "header, byte"},
    {"{\"a\":" T("F32", "[2]", "[0,4]") "}", 4, "tensor 'a': 4 bytes for F32 of shape 2"},
    {"{\"a\":" T("F32", "[1]", "[0]") "}", 4, "'data_offsets' is not a list of two"},
    {"{\"a\":" T("F32", "[1]", "[0,4,8]") "}", 4, "'data_offsets' is not a list of two"},
    {"{\"a\":" T("F32", "[1]", "7") "}", 4, "'data_offsets' is not a list of two"},
    {"{\"a\":" T("F32", "[1]", "[0,\"4\"]") "}", 4, "'data_offsets' is not a list of two"},
    {"{\"a\":" T("F32", "[1]", "[4,0]") "}", 4, "bytes 4 .. 0 are not within the data's 4 bytes"},
    {"{\"a\":" T("F32", "[1]", "[-4,0]") "}", 4, "bytes -4 .. 0 are not within"},
    {"{\"a\":" T("F32", "[2]", "[0,8]") "}", 4, "bytes 0 .. 8 are not within the data's 4 bytes"},
    {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"a\":" T("F32", "[1]", "[4,8]") "}", 8, "duplicate"},
    {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[2,6]") "}", 6,
     "tensor 'b' begins at byte 2 of the data, inside the tensor that ends at 4"},
    {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[0,4]") "}", 4, "begins at byte 0"},
    {"{\"a\":" T("F32", "[1]", "[4,8]") "}", 8, "tensor 'a' begins at byte 4 of the data, a gap after 0"},
    {"{\"a\":" T("F32", "[1]", "[0,4]") "}", 5, "1 bytes after the last tensor"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__ 'a' is not a text"},
    {"{\"a\\u0000b\":" T("F32", "[1]", "[0,4]") "}", 4, "header, byte"},
    {"{\"\xff\":" T("F32", "[1]", "[0,4]") "}", 4, "header, byte"},
};

static void test_malformed(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        test_memory memory = {0};
        crumb_ctx *ctx = test_ctx(&memory, 1);
        crumb_safetensors *file = NULL;
        image made = make(bad[i].header, bad[i].data);
        crumb_status status = crumb_safetensors_parse(ctx, "x.safetensors", made.bytes, made.size, &file);
        if (status != CRUMB_ERROR_FORMAT || strstr(crumb_message(ctx), bad[i].message) == NULL ||
            strncmp(crumb_message(ctx), "x.safetensors: ", 15) != 0) {
            fail_msg("case %zu: \"%s\" instead of \"%s\"", i, crumb_message(ctx), bad[i].message);
        }
        assert_null(file);
        crumb_ctx_destroy(ctx);
        assert_int_equal(memory.live, 0);
    }
}

/* Every shorter prefix of a good file is refused, and so is a header length beyond the file. */
static void test_truncated(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_safetensors *file;
    image made = make("{\"a\":" T("F32", "[2]", "[0,8]") "}", 8);
    for (size_t size = 0; size < made.size; size++) {
        uint8_t *copy = malloc(size + 1); /* so that AddressSanitizer sees reads past the end */
        memcpy(copy, made.bytes, size);
        assert_int_equal(crumb_safetensors_parse(ctx, "x", copy, size, &file), CRUMB_ERROR_FORMAT);
        free(copy);
    }
    const uint64_t lengths[] = {0, 1, made.size - 7, 1 << 30, UINT64_MAX};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        memcpy(made.bytes, &lengths[i], 8);
        assert_int_equal(crumb_safetensors_parse(ctx, "x", made.bytes, made.size, &file), CRUMB_ERROR_FORMAT);
    }
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_good(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_safetensors *file;
    image made =
        make("{\"__metadata__\":{\"k\":\"v\"},\"z\":" T("U8", "[3]", "[0,3]") ",\"e\":" T("F32", "[0,2]", "[3,3]") ",\"s\":" T(
                 "I16", "[]", "[3,5]") ",\"q\":" T("F8_E4M3", "[1]", "[5,6]") "}   ",
             6);
    assert_ok(ctx, crumb_safetensors_parse(ctx, "x", made.bytes, made.size, &file));
    assert_int_equal(crumb_safetensors_count(file), 4);
    assert_string_equal(crumb_safetensors_at(file, 0).name, "e"); /* by name */
    assert_string_equal(crumb_safetensors_metadata(file, "k"), "v");
    assert_null(crumb_safetensors_metadata(file, "x"));
    assert_int_equal(crumb_safetensors_find(file, "no"), -1);
    float values[3] = {0};
    crumb_safetensor tensor = crumb_safetensors_at(file, crumb_safetensors_find(file, "z"));
    assert_ok(ctx, crumb_safetensor_floats(ctx, &tensor, values));
    assert_true(values[0] == 1 && values[1] == 2 && values[2] == 3);
    tensor = crumb_safetensors_at(file, crumb_safetensors_find(file, "s"));
    assert_int_equal(tensor.shape.rank, 0);
    assert_ok(ctx, crumb_safetensor_floats(ctx, &tensor, values));
    assert_true(values[0] == 4 + 256 * 5);
    tensor = crumb_safetensors_at(file, crumb_safetensors_find(file, "q"));
    assert_fails(ctx, CRUMB_ERROR_UNSUPPORTED, "'q': dtype F8_E4M3", crumb_safetensor_floats(ctx, &tensor, values));
    crumb_safetensors_close(file);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

/* ---- Writing. */

static const int64_t i64s[2] = {-3, 1LL << 40};
static const double f64s[1] = {0.1};
static const float f32s[4] = {1, -2.5f, 3, 1e-30f};
static const uint16_t f16s[3] = {0x3c00, 0xc100, 1};
static const int8_t i8s[1] = {-7};
static char written[128];

static crumb_status write_all(crumb_ctx *ctx, crumb_safetensors_writer *writer) {
    void *room;
    CRUMB_TRY(crumb_safetensors_add(writer, "c.f32", "F32", CRUMB_SHAPE(2, 2), f32s));
    CRUMB_TRY(crumb_safetensors_add(writer, "a.i8", "I8", CRUMB_SHAPE(1), i8s));
    CRUMB_TRY(crumb_safetensors_add(writer, "z.i64", "I64", CRUMB_SHAPE(2), i64s));
    CRUMB_TRY(crumb_safetensors_add(writer, "f64", "F64", (crumb_shape){0}, f64s));
    CRUMB_TRY(crumb_safetensors_add(writer, "f16 \"\xc3\xa9\"", "F16", CRUMB_SHAPE(3), f16s));
    CRUMB_TRY(crumb_safetensors_room(writer, "room", "BF16", CRUMB_SHAPE(1), &room));
    memcpy(room, &(uint16_t){0x3fc0}, 2);
    CRUMB_TRY(crumb_safetensors_note(writer, "model", "resnet20"));
    CRUMB_TRY(crumb_safetensors_note(writer, "model", "resnet32")); /* the last one counts */
    (void)ctx;
    return crumb_safetensors_commit(writer, written);
}

static crumb_status round_trip(crumb_ctx *ctx, void *user) {
    crumb_safetensors_writer *writer;
    crumb_safetensors *file;
    (void)user;
    CRUMB_TRY(crumb_safetensors_begin(ctx, &writer));
    crumb_status status = write_all(ctx, writer);
    crumb_safetensors_drop(writer);
    CRUMB_TRY(status);
    CRUMB_TRY(crumb_safetensors_open(ctx, written, &file));
    crumb_safetensors_close(file);
    return CRUMB_OK;
}

static float value_of(crumb_ctx *ctx, const crumb_safetensors *file, const char *name, int index) {
    int found = crumb_safetensors_find(file, name);
    assert_true(found >= 0);
    crumb_safetensor tensor = crumb_safetensors_at(file, found);
    float values[8];
    assert_true(index < crumb_shape_count(tensor.shape) && crumb_shape_count(tensor.shape) <= 8);
    assert_ok(ctx, crumb_safetensor_floats(ctx, &tensor, values));
    return values[index];
}

static void test_round_trip(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    snprintf(written, sizeof(written), "%s/x.safetensors", test_folder());
    assert_ok(ctx, round_trip(ctx, NULL));
    crumb_safetensors *file;
    assert_ok(ctx, crumb_safetensors_open(ctx, written, &file));
    assert_int_equal(crumb_safetensors_count(file), 6);
    assert_string_equal(crumb_safetensors_metadata(file, "model"), "resnet32");
    assert_true(value_of(ctx, file, "c.f32", 1) == -2.5f && value_of(ctx, file, "c.f32", 3) == 1e-30f);
    assert_true(value_of(ctx, file, "a.i8", 0) == -7 && value_of(ctx, file, "z.i64", 1) == 0x1p40f);
    assert_true(value_of(ctx, file, "f64", 0) == 0.1f && value_of(ctx, file, "f16 \"\xc3\xa9\"", 1) == -2.5f);
    assert_true(value_of(ctx, file, "f16 \"\xc3\xa9\"", 2) == 0x1p-24f && value_of(ctx, file, "room", 0) == 1.5f);
    crumb_safetensors_close(file);

    uint8_t *bytes;
    size_t size;
    uint64_t length;
    assert_ok(ctx, crumb_file_read(ctx, written, 0, &bytes, &size));
    memcpy(&length, bytes, 8);
    assert_int_equal((8 + length) % 64, 0); /* the data is aligned, and the widest type comes first */
    assert_int_equal(size, 8 + length + 16 + 8 + 16 + 6 + 2 + 1);
    assert_memory_equal(bytes + 8 + length, f64s, 8);
    assert_memory_equal(bytes + 8 + length + 8, i64s, 16);
    assert_true(crumb_format_safetensors.probe(bytes, size) && !crumb_format_safetensors.probe(bytes + 1, size - 1));
    crumb_free(ctx, bytes);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

static void test_allocations(void **state) {
    (void)state;
    test_every_allocation(round_trip, NULL);
    unlink(written);
    written[strlen(written) - strlen("/x.safetensors")] = '\0';
    rmdir(written);
}

static void test_refused_writes(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_safetensors_writer *writer;
    assert_ok(ctx, crumb_safetensors_begin(ctx, &writer));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "dtype 'F31' is unknown",
                 crumb_safetensors_add(writer, "a", "F31", CRUMB_SHAPE(1), f32s));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "not UTF-8", crumb_safetensors_note(writer, "a", "\xff"));
    assert_ok(ctx, crumb_safetensors_add(writer, "a", "F32", CRUMB_SHAPE(1), f32s));
    assert_fails(ctx, CRUMB_ERROR_IO, "/no/such/folder/x", crumb_safetensors_commit(writer, "/no/such/folder/x"));
    assert_ok(ctx, crumb_safetensors_add(writer, "a", "F32", CRUMB_SHAPE(1), f32s));
    assert_fails(ctx, CRUMB_ERROR_ARGUMENT, "tensor 'a' is already", crumb_safetensors_commit(writer, "/no/such/folder/x"));
    crumb_safetensors_drop(writer);
    crumb_safetensors_drop(NULL);
    crumb_safetensors_close(NULL);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half),        cmocka_unit_test(test_bfloat),         cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_truncated),   cmocka_unit_test(test_good),           cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_allocations), cmocka_unit_test(test_refused_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
