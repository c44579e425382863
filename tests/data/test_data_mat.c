/* SVHN from MATLAB 5 files: compressed as published and plain, and every way a file can be wrong. */
#include "fixture.h"

#include "data/readers.h"

static int setup(void **state) {
    fixture_make(state);
    fixture *f = *state;
    snprintf(f->spec, sizeof(f->spec), "svhn:%s", f->folder);
    return 0;
}

static void svhn_reads_compressed_and_plain(void **state) {
    fixture *f = *state;
    static const int label_types[] = {2, 9, 5};
    for (int k = 0; k < 6; k++) {
        crumb_dataset *set;
        crumb_dataset_info info;
        bytes file = svhn_file(13, k % 2 == 0, label_types[k / 2]);
        save(f->folder, "test_32x32.mat", &file);
        assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
        crumb_dataset_describe(set, &info);
        assert_int_equal(info.count, 13);
        assert_int_equal(info.height * info.width * info.channels, 3072);
        assert_string_equal(info.class_names[0], "0");
        for (int i = 0; i < 13; i++) {
            assert_image(f->ctx, set, i, i % 10);
        }
        crumb_dataset_close(set);
        test_every_allocation(open_and_check, f->spec);
    }
}

static void every_number_type_is_read(void **state) {
    (void)state;
    crumb_mat array = {.type = 1, .data = (const uint8_t[]){0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    static const struct {
        int type, bytes;
        double value;
    } cases[] = {{1, 1, -2},  {2, 1, 254},
                 {3, 2, -2},  {4, 2, 65534},
                 {5, 4, -2},  {6, 4, 4294967294.0},
                 {12, 8, -2}, {13, 8, 18446744073709551614.0},
                 {14, 0, 0},  {8, 0, 0},
                 {99, 0, 0},  {-1, 0, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        array.type = cases[i].type;
        assert_int_equal(crumb_mat_item(cases[i].type), cases[i].bytes);
        if (cases[i].bytes > 0) {
            assert_true(crumb_mat_value(&array, 0) == cases[i].value);
        }
    }
    array = (crumb_mat){.type = 7, .data = (const uint8_t[]){0, 0, 0x20, 0xc1}};
    assert_true(crumb_mat_value(&array, 0) == -10);
    array = (crumb_mat){.type = 9, .data = (const uint8_t[]){0, 0, 0, 0, 0, 0, 0x24, 0x40}};
    assert_true(crumb_mat_value(&array, 0) == 10);
}

static void svhn_fails(fixture *f, bytes wrong, crumb_status status, const char *words) {
    save(f->folder, "test_32x32.mat", &wrong);
    assert_open_fails(f->ctx, status, words, f->spec);
    assert_non_null(strstr(crumb_message(f->ctx), "test_32x32.mat"));
}

/* A file of these two arrays, plain; dim of X and its number of bytes. */
static bytes custom(int x_class, const int32_t *dim, size_t x_bytes, const char *y_name, int y_count, int label) {
    bytes file = mat_header(), x = {0}, y = {0};
    put_zeros(&x, x_bytes);
    for (int i = 0; i < y_count; i++) {
        put(&y, &(uint8_t){(uint8_t)label}, 1);
    }
    bytes ax = mat_array("X", x_class, 4, dim, 2, &x), ay = mat_array(y_name, 6, 2, (int32_t[]){y_count, 1}, 2, &y);
    mat_append(&file, &ax, false);
    mat_append(&file, &ay, false);
    return file;
}

static void svhn_names_what_is_wrong(void **state) {
    fixture *f = *state;
    static const int32_t good[] = {32, 32, 3, 2}, tall[] = {64, 32, 3, 1}, huge[] = {0x7fffffff, 0x7fffffff, 0x7fffffff, 2};
    bytes b = svhn_file(3, false, 2);
    b.size = 100;
    svhn_fails(f, b, CRUMB_ERROR_FORMAT, "byte 100: truncated in the MATLAB header");
    b = svhn_file(3, false, 2);
    b.data[124] = 7;
    svhn_fails(f, b, CRUMB_ERROR_FORMAT, "byte 124: magic 0x4d490107");
    b = svhn_file(3, false, 2);
    memcpy(b.data + 124, "\1\0MI", 4);
    svhn_fails(f, b, CRUMB_ERROR_UNSUPPORTED, "byte 124");
    b = svhn_file(3, false, 2);
    b.data[125] = 2; /* version 7.3 is HDF5 */
    svhn_fails(f, b, CRUMB_ERROR_UNSUPPORTED, "byte 124");
    b = svhn_file(3, false, 2);
    b.data[128] = 13;
    svhn_fails(f, b, CRUMB_ERROR_FORMAT, "byte 128: neither an array");
    for (int compressed = 0; compressed < 2; compressed++) {
        bytes whole = svhn_file(3, compressed != 0, 2);
        for (size_t size = 128; size < whole.size; size += compressed ? 1 : 97) { /* cut anywhere */
            bytes cut = {0};
            put(&cut, whole.data, size);
            svhn_fails(f, cut, CRUMB_ERROR_FORMAT, "byte ");
        }
        drop(&whole);
    }
    b = svhn_file(3, true, 2);
    b.data[200] ^= 0x55;
    svhn_fails(f, b, CRUMB_ERROR_FORMAT, "compressed data");
    svhn_fails(f, custom(9, good, 6144, "z", 2, 1), CRUMB_ERROR_FORMAT, "without an array y");
    svhn_fails(f, custom(9, good, 6144, "y", 3, 1), CRUMB_ERROR_FORMAT, "3 labels for 2 images");
    svhn_fails(f, custom(9, tall, 6144, "y", 1, 1), CRUMB_ERROR_FORMAT, "64 x 32 x 3 x 1");
    svhn_fails(f, custom(9, huge, 6144, "y", 1, 1), CRUMB_ERROR_FORMAT, "array dimension");
    svhn_fails(f, custom(9, good, 6143, "y", 2, 1), CRUMB_ERROR_FORMAT, "do not match the dimensions: 6143");
    svhn_fails(f, custom(2, good, 6144, "y", 2, 1), CRUMB_ERROR_FORMAT, "not a real numeric array");
    svhn_fails(f, custom(9, good, 6144, "y", 2, 11), CRUMB_ERROR_FORMAT, "label 11 of image 0 is outside 1 .. 10");
    svhn_fails(f, custom(9, good, 6144, "y", 2, 0), CRUMB_ERROR_FORMAT, "label 0 of image 0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(svhn_reads_compressed_and_plain, setup, fixture_drop),
        cmocka_unit_test(every_number_type_is_read),
        cmocka_unit_test_setup_teardown(svhn_names_what_is_wrong, setup, fixture_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
