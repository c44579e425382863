/* npy and npz: versions, types, members, and every way a file can be wrong. */
#include "fixture.h"

#include "data/readers.h"

/* count images of 4 x 3 x 2, as bytes, f4 (4) or f8 (8). */
static bytes samples(int version, int count, int item) {
    bytes b = {0};
    char shape[64];
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < 24; k++) {
            uint8_t pixel = sample_pixel(i, k);
            if (item == 1) {
                put(&b, &pixel, 1);
            } else if (item == 4) {
                put(&b, &(float){(float)pixel / 2}, 4);
            } else {
                put(&b, &(double){(double)pixel / 2}, 8);
            }
        }
    }
    snprintf(shape, sizeof(shape), "(%d, 4, 3, 2)", count);
    return npy_file(version, item == 1 ? "|u1" : item == 4 ? "<f4" : "<f8", "False", shape, &b);
}

static bytes labels(const char *descr, int count, int64_t odd_one) {
    bytes b = {0};
    char shape[64];
    for (int i = 0; i < count; i++) {
        put_little(&b, (uint64_t)(i == 2 ? odd_one : i % 5), descr[2] - '0');
    }
    snprintf(shape, sizeof(shape), "(%d,)", count);
    return npy_file(1, descr, "False", shape, &b);
}

static void npy_reads_versions_and_types(void **state) {
    fixture *f = *state;
    static const char *const label_types[] = {"<i8", "<i4", "|u1", "<u2"};
    static const int items[] = {1, 4, 8};
    snprintf(f->spec, sizeof(f->spec), "npy:%s:train", f->folder);
    for (int version = 1; version <= 3; version++) {
        for (int k = 0; k < 12; k++) {
            bytes x = samples(version, 11, items[k % 3]), y = labels(label_types[k / 3], 11, 2);
            save(f->folder, "train_x.npy", &x);
            save(f->folder, "train_y.npy", &y);
            crumb_dataset *set;
            crumb_dataset_info info;
            assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
            crumb_dataset_describe(set, &info);
            assert_int_equal(info.count, 11);
            assert_int_equal(info.classes, 5);
            assert_int_equal(info.real, k % 3 != 0);
            if (info.real) {
                crumb_sample sample;
                assert_int_equal(set->read(set, 7, &sample, NULL, 0), CRUMB_OK);
                assert_int_equal(sample.label, 2);
                assert_true(sample.reals[5] == (float)sample_pixel(7, 5) / 2);
                uint8_t *pixels;
                int64_t height, width;
                int label;
                assert_fails(f->ctx, CRUMB_ERROR_UNSUPPORTED, "not images",
                             crumb_dataset_image(set, 0, &pixels, &height, &width, &label));
                assert_fails(f->ctx, CRUMB_ERROR_UNSUPPORTED, "not images", crumb_dataset_sheet(set, 2, 2, "nowhere.png"));
            } else {
                assert_image(f->ctx, set, 7, 2);
            }
            crumb_dataset_close(set);
        }
    }
    test_every_allocation(open_and_check, f->spec);
}

static bytes npz(bool compressed, bool with_y) {
    zip z = {0};
    bytes x = samples(1, 9, 1), y = labels("<i8", 9, 2), train = labels("<i4", 50, 2);
    zip_add(&z, "test_x.npy", &x, compressed);
    if (with_y) {
        zip_add(&z, "test_y.npy", &y, compressed);
    }
    zip_add(&z, "train_y.npy", &train, compressed);
    drop(&y);
    return zip_finish(&z);
}

static void npz_reads_stored_and_deflated(void **state) {
    fixture *f = *state;
    snprintf(f->spec, sizeof(f->spec), "npy:%s/a.npz", f->folder);
    for (int compressed = 0; compressed < 2; compressed++) {
        bytes file = npz(compressed != 0, true);
        save(f->folder, "a.npz", &file);
        crumb_dataset *set;
        assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
        for (int i = 0; i < 9; i++) {
            assert_image(f->ctx, set, i, i % 5);
        }
        crumb_dataset_close(set);
        test_every_allocation(open_and_check, f->spec);
    }
}

static void npz_fails(fixture *f, bytes wrong, const char *words) {
    save(f->folder, "a.npz", &wrong);
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, words, f->spec);
    assert_non_null(strstr(crumb_message(f->ctx), "a.npz"));
}

static void npz_names_what_is_wrong(void **state) {
    fixture *f = *state;
    snprintf(f->spec, sizeof(f->spec), "npy:%s/a.npz", f->folder);
    npz_fails(f, npz(false, false), "no member test_y.npy");
    for (int compressed = 0; compressed < 2; compressed++) {
        bytes whole = npz(compressed != 0, true);
        for (size_t size = 0; size < whole.size; size += 13) { /* cut anywhere */
            bytes cut = {0};
            put(&cut, whole.data, size);
            npz_fails(f, cut, "no ZIP directory at the end");
        }
        bytes damaged = {0};
        put(&damaged, whole.data, whole.size);
        damaged.data[compressed ? 60 : 200] ^= 0x10;
        npz_fails(f, damaged, compressed ? "byte " : "CRC");
        drop(&whole);
    }
    bytes b = npz(false, true);
    b.data[0] = 'Q';
    npz_fails(f, b, "byte 0: no ZIP member here");
    b = npz(false, true);
    memset(b.data + b.size - 6, 0x7f, 4); /* offset of the directory */
    npz_fails(f, b, "damaged ZIP directory, entry 0");
}

static void parse_fails(fixture *f, bytes file, crumb_status status, const char *words) {
    crumb_npy npy;
    assert_fails(f->ctx, status, words, crumb_npy_parse(f->ctx, "x.npy", file.data, file.size, &npy));
    drop(&file);
}

static bytes header(const char *descr, const char *order, const char *shape, size_t numbers) {
    bytes b = {0};
    put_zeros(&b, numbers);
    return npy_file(1, descr, order, shape, &b);
}

static bytes raw_header(const char *text) {
    bytes b = {0};
    put(&b, "\x93NUMPY\1\0", 8);
    put_little(&b, strlen(text), 2);
    put(&b, text, strlen(text));
    return b;
}

static void npy_names_what_is_wrong(void **state) {
    fixture *f = *state;
    parse_fails(f, header("<f4", "True", "(1,)", 4), CRUMB_ERROR_UNSUPPORTED, "fortran_order is True");
    parse_fails(f, header(">f4", "False", "(1,)", 4), CRUMB_ERROR_UNSUPPORTED, "type '>f4'");
    parse_fails(f, header("<c8", "False", "(1,)", 8), CRUMB_ERROR_UNSUPPORTED, "type '<c8'");
    parse_fails(f, header("|O", "False", "(1,)", 8), CRUMB_ERROR_UNSUPPORTED, "type '|O'");
    parse_fails(f, header("<f2", "False", "(1,)", 2), CRUMB_ERROR_UNSUPPORTED, "type '<f2'");
    parse_fails(f, header("", "False", "(1,)", 2), CRUMB_ERROR_UNSUPPORTED, "type ''");
    parse_fails(f, header("<f4", "Maybe", "(1,)", 4), CRUMB_ERROR_FORMAT, "True or False is expected");
    parse_fails(f, header("<f4", "False", "(2,)", 4), CRUMB_ERROR_FORMAT, "4 bytes of numbers, the shape needs 2");
    parse_fails(f, header("<f4", "False", "(1,)", 5), CRUMB_ERROR_FORMAT, "5 bytes of numbers, the shape needs 1");
    parse_fails(f, header("<f4", "False", "(4294967296, 4294967296, 4)", 4), CRUMB_ERROR_FORMAT, "overflows");
    parse_fails(f, header("<f4", "False", "(99999999999999999999999, )", 4), CRUMB_ERROR_FORMAT, "expected");
    parse_fails(f, header("<f4", "False", "(1, 1, 1, 1, 1)", 4), CRUMB_ERROR_FORMAT, "at most 4");
    parse_fails(f, header("<f4", "False", "(-1,)", 4), CRUMB_ERROR_FORMAT, "at most 4 numbers");
    parse_fails(f, header("<f4", "False", "[1]", 4), CRUMB_ERROR_FORMAT, "'(' is expected");
    parse_fails(f, raw_header("{'descr': '<f4'}"), CRUMB_ERROR_FORMAT, "is missing");
    parse_fails(f, raw_header("{'descr': '<f4', 'descr': '<f4'}"), CRUMB_ERROR_FORMAT, "once each");
    parse_fails(f, raw_header("{'colour': 3}"), CRUMB_ERROR_FORMAT, "once each");
    parse_fails(f, raw_header("{'descr"), CRUMB_ERROR_FORMAT, "a short string is expected");
    parse_fails(f, raw_header(""), CRUMB_ERROR_FORMAT, "'{' is expected");
    bytes b = header("<f4", "False", "(1,)", 4);
    b.data[6] = 4;
    parse_fails(f, b, CRUMB_ERROR_UNSUPPORTED, "byte 6: npy version 4");
    b = header("<f4", "False", "(1,)", 4);
    b.data[0] = 'N';
    parse_fails(f, b, CRUMB_ERROR_FORMAT, "byte 0: magic 0x4e");
    b = header("<f4", "False", "(1,)", 4);
    b.data[9] = 0xff;
    parse_fails(f, b, CRUMB_ERROR_FORMAT, "byte 8: truncated");
    bytes whole = header("<f4", "False", "(1,)", 4);
    for (size_t size = 0; size < whole.size; size++) {
        bytes cut = {0};
        put(&cut, whole.data, size);
        parse_fails(f, cut, CRUMB_ERROR_FORMAT, "byte ");
    }
    drop(&whole);
}

static void pair_fails(fixture *f, bytes x, bytes y, crumb_status status, const char *words) {
    save(f->folder, "test_x.npy", &x);
    save(f->folder, "test_y.npy", &y);
    snprintf(f->spec, sizeof(f->spec), "npy:%s", f->folder);
    assert_open_fails(f->ctx, status, words, f->spec);
}

static void arrays_that_do_not_fit(void **state) {
    fixture *f = *state;
    bytes train = labels("<i4", 50, 2);
    save(f->folder, "train_y.npy", &train);
    pair_fails(f, samples(1, 9, 1), labels("<i8", 8, 2), CRUMB_ERROR_FORMAT, "8 labels for 9 samples");
    pair_fails(f, samples(1, 9, 1), labels("<i8", 9, -3), CRUMB_ERROR_FORMAT, "byte 144: label -3 of image 2");
    pair_fails(f, samples(1, 9, 1), labels("<i4", 9, 7), CRUMB_ERROR_FORMAT, "byte 136: label 7 of image 2 is outside 0 .. 4");
    pair_fails(f, samples(1, 9, 1), labels("<i8", 9, (int64_t)1 << 40), CRUMB_ERROR_FORMAT, "label 2147483647 of image 2");
    pair_fails(f, samples(1, 9, 1), samples(1, 9, 4), CRUMB_ERROR_FORMAT, "labels of type f4 and rank 4");
    pair_fails(f, labels("<i8", 9, 2), labels("<i8", 9, 2), CRUMB_ERROR_UNSUPPORTED, "samples of type i8");
    pair_fails(f, header("|u1", "False", "(2, 3, 1, 5)", 30), labels("<i8", 2, 2), CRUMB_ERROR_FORMAT, "at most 4");
    pair_fails(f, header("|u1", "False", "(0, 3, 1)", 0), labels("<i8", 2, 2), CRUMB_ERROR_FORMAT, "rank 3");
    bytes x = samples(1, 9, 4);
    float nan = NAN;
    memcpy(x.data + 128 + 4 * 10, &nan, 4);
    pair_fails(f, x, labels("<i8", 9, 2), CRUMB_ERROR_FORMAT, "byte 168: sample holds nan");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(npy_reads_versions_and_types, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(npz_reads_stored_and_deflated, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(npz_names_what_is_wrong, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(npy_names_what_is_wrong, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(arrays_that_do_not_fit, fixture_make, fixture_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
