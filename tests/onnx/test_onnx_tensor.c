/* Tensors of ONNX files: every place where values may lie, element types below a byte, files beside the model. */
#include "harness.h"

#include "base/file.h"
#include "onnx/tensor.h"

static CrumbOnnx__TensorProto raw(int type, int64_t *dims, int rank, void *bytes, size_t size) {
    CrumbOnnx__TensorProto t = CRUMB_ONNX__TENSOR_PROTO__INIT;
    t.name = "t", t.has_data_type = 1, t.data_type = type, t.dims = dims, t.n_dims = (size_t)rank;
    t.has_raw_data = bytes != NULL, t.raw_data = (ProtobufCBinaryData){size, bytes};
    return t;
}

static void check(const CrumbOnnx__TensorProto *t, int count, const double *values) {
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    crumb_onnx_array array;
    assert_ok(ctx, crumb_onnx_tensor_read(ctx, "m.onnx", t, &array));
    assert_int_equal(crumb_shape_count(array.shape), count);
    for (int i = 0; i < count; i++) {
        double got = array.real != NULL ? (double)array.real[i] : (double)array.whole[i];
        if (got != values[i]) {
            fail_msg("type %d: value %d is %g, not %g", (int)t->data_type, i, got, values[i]);
        }
    }
    crumb_onnx_array_free(ctx, &array);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

#define RAW(type, count, ...)                                                                                                  \
    do {                                                                                                                       \
        CrumbOnnx__TensorProto t_ = raw(type, (int64_t[]){count}, 1, bytes, sizeof(bytes));                                    \
        check(&t_, count, (const double[]){__VA_ARGS__});                                                                      \
    } while (0)

static void test_raw(void **state) {
    (void)state;
    {
        uint8_t bytes[] = {0x21, 0xf8, 0x07};
        RAW(CRUMB_ONNX_INT4, 5, 1, 2, -8, -1, 7);
        RAW(CRUMB_ONNX_UINT4, 6, 1, 2, 8, 15, 7, 0);
        RAW(CRUMB_ONNX_INT2, 12, 1, 0, -2, 0, 0, -2, -1, -1, -1, 1, 0, 0);
        RAW(CRUMB_ONNX_UINT2, 9, 1, 0, 2, 0, 0, 2, 3, 3, 3);
        RAW(CRUMB_ONNX_INT8, 3, 33, -8, 7);
        RAW(CRUMB_ONNX_UINT8, 3, 33, 248, 7);
        RAW(CRUMB_ONNX_BOOL, 3, 1, 1, 1);
    }
    {
        uint8_t bytes[] = {0x00, 0x3c, 0x00, 0xc0}; /* 0x3c00, 0xc000 */
        RAW(CRUMB_ONNX_FLOAT16, 2, 1, -2);
        RAW(CRUMB_ONNX_BFLOAT16, 2, 0x1p-7, -2);
        RAW(CRUMB_ONNX_INT16, 2, 15360, -16384);
        RAW(CRUMB_ONNX_UINT16, 2, 15360, 49152);
        RAW(CRUMB_ONNX_INT32, 1, -1073726464);
        RAW(CRUMB_ONNX_UINT32, 1, 3221240832.0);
    }
    {
        double bytes[] = {0.5, -3};
        RAW(CRUMB_ONNX_DOUBLE, 2, 0.5, -3);
    }
    {
        int64_t bytes[] = {-5, 1000000007};
        RAW(CRUMB_ONNX_INT64, 2, -5, 1000000007);
    }
}

static void test_fields(void **state) {
    (void)state;
    int64_t dims[1] = {2}, whole[] = {-7, 9};
    int32_t small[] = {0x3c00, 0xc000}, packed[] = {0x8f, 0x01};
    double wide[] = {1.25, -2};
    CrumbOnnx__TensorProto t = raw(CRUMB_ONNX_FLOAT16, dims, 1, NULL, 0);
    t.int32_data = small, t.n_int32_data = 2;
    check(&t, 2, (const double[]){1, -2});
    t = raw(CRUMB_ONNX_INT64, dims, 1, NULL, 0);
    t.int64_data = whole, t.n_int64_data = 2;
    check(&t, 2, (const double[]){-7, 9});
    t = raw(CRUMB_ONNX_DOUBLE, dims, 1, NULL, 0);
    t.double_data = wide, t.n_double_data = 2;
    check(&t, 2, (const double[]){1.25, -2});
    dims[0] = 3;
    t = raw(CRUMB_ONNX_INT4, dims, 1, NULL, 0);
    t.int32_data = packed, t.n_int32_data = 2;
    check(&t, 3, (const double[]){-1, -8, 1});
}

/* ---- Files beside the model. */

typedef struct beside {
    CrumbOnnx__TensorProto tensor;
    CrumbOnnx__StringStringEntryProto entry[3], *entries[3];
    int64_t dims[1];
    char offset[24], length[24];
} beside;

static void point(beside *b, char *location, long long offset, long long length) {
    static char *const keys[] = {"location", "offset", "length"};
    b->dims[0] = 3;
    b->tensor = raw(CRUMB_ONNX_FLOAT, b->dims, 1, NULL, 0);
    b->tensor.has_data_location = 1, b->tensor.data_location = CRUMB_ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    snprintf(b->offset, sizeof(b->offset), "%lld", offset);
    snprintf(b->length, sizeof(b->length), "%lld", length);
    for (int i = 0; i < 3; i++) {
        b->entry[i] = (CrumbOnnx__StringStringEntryProto)CRUMB_ONNX__STRING_STRING_ENTRY_PROTO__INIT;
        b->entry[i].key = keys[i];
        b->entries[i] = &b->entry[i];
    }
    b->entry[0].value = location, b->entry[1].value = b->offset, b->entry[2].value = b->length;
    b->tensor.external_data = b->entries, b->tensor.n_external_data = 3;
}

static void test_external(void **state) {
    (void)state;
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, 1);
    char model[256], data[256];
    const char *folder = test_folder();
    snprintf(model, sizeof(model), "%s/m.onnx", folder);
    snprintf(data, sizeof(data), "%s/w.bin", folder);
    const float values[] = {9, 1, 2, 3};
    assert_ok(ctx, crumb_file_write(ctx, data, values, sizeof(values)));
    beside b;
    crumb_onnx_array array;
    point(&b, "w.bin", 4, 12);
    assert_ok(ctx, crumb_onnx_tensor_read(ctx, model, &b.tensor, &array));
    assert_true(array.real[0] == 1 && array.real[2] == 3);
    crumb_onnx_array_free(ctx, &array);
#define REFUSED(words, location, offset, length)                                                                               \
    point(&b, location, offset, length);                                                                                       \
    assert_fails(ctx, CRUMB_ERROR_FORMAT, words, crumb_onnx_tensor_read(ctx, model, &b.tensor, &array))
    REFUSED("12 bytes from byte 8 (length 12) of 16 bytes", "w.bin", 8, 12);
    REFUSED("(length 11)", "w.bin", 4, 11);
    REFUSED("from byte 9223372036854775807", "w.bin", 9223372036854775807, 12);
    REFUSED("external offset is \"-4\"", "w.bin", -4, 12);
    REFUSED("is not a file below the model's folder", "../w.bin", 0, 12);
    REFUSED("is not a file below the model's folder", "a/../../w.bin", 0, 12);
    REFUSED("is not a file below the model's folder", data, 0, 12);
    REFUSED("is not a file below the model's folder", "", 0, 12);
#undef REFUSED
    point(&b, "gone.bin", 0, 12);
    assert_fails(ctx, CRUMB_ERROR_IO, "gone.bin", crumb_onnx_tensor_read(ctx, model, &b.tensor, &array));
    unlink(data);
    rmdir(folder);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_raw), cmocka_unit_test(test_fields),
                                       cmocka_unit_test(test_external)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
