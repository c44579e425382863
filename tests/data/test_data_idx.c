/* IDX and CIFAR: what is read, and every way a file can be wrong. */
#include "fixture.h"

static void save_idx(fixture *f) {
    bytes images = idx_images(30, 5, 4), labels = idx_labels(30, 10);
    bytes test_images = idx_images(7, 5, 4), test_labels = idx_labels(7, 10);
    bytes zipped = deflated(&images, 31), zipped_labels = deflated(&labels, 31);
    save(f->folder, "train-images-idx3-ubyte.gz", &zipped);
    save(f->folder, "train-labels.idx1-ubyte.gz", &zipped_labels);
    save(f->folder, "t10k-images.idx3-ubyte", &test_images);
    save(f->folder, "t10k-labels-idx1-ubyte", &test_labels);
    drop(&images);
    drop(&labels);
}

static void idx_reads_plain_and_gzipped(void **state) {
    fixture *f = *state;
    save_idx(f);
    for (int train = 0; train < 2; train++) {
        crumb_dataset *set;
        crumb_dataset_info info;
        snprintf(f->spec, sizeof(f->spec), "idx:%s:%s", f->folder, train ? "train" : "test");
        assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
        crumb_dataset_describe(set, &info);
        assert_string_equal(info.kind, "idx");
        assert_string_equal(info.split, train ? "train" : "test");
        assert_int_equal(info.count, train ? 30 : 7);
        assert_int_equal(info.height, 5);
        assert_int_equal(info.width, 4);
        assert_int_equal(info.channels, 1);
        assert_int_equal(info.classes, 10);
        for (int i = 0; i < info.count; i++) {
            assert_image(f->ctx, set, i, i % 10);
        }
        int64_t counts[10];
        assert_ok(f->ctx, crumb_dataset_check(set, counts));
        assert_int_equal(counts[6], train ? 3 : 1);
        uint8_t *pixels;
        int64_t height, width;
        int label;
        assert_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "outside 0 ..",
                     crumb_dataset_image(set, info.count, &pixels, &height, &width, &label));
        crumb_dataset_close(set);
    }
    test_every_allocation(open_and_check, f->spec);
    snprintf(f->spec, sizeof(f->spec), "idx:%s", f->folder);
    test_every_allocation(open_and_check, f->spec);
}

/* Replaces the test set's images or labels by wrong ones. */
static void idx_fails(fixture *f, bool images, bytes wrong, crumb_status status, const char *words) {
    save(f->folder, images ? "t10k-images.idx3-ubyte" : "t10k-labels-idx1-ubyte", &wrong);
    snprintf(f->spec, sizeof(f->spec), "idx:%s", f->folder);
    assert_open_fails(f->ctx, status, words, f->spec);
    assert_non_null(strstr(crumb_message(f->ctx), images ? "t10k-images" : "t10k-labels"));
    bytes good = images ? idx_images(7, 5, 4) : idx_labels(7, 10);
    save(f->folder, images ? "t10k-images.idx3-ubyte" : "t10k-labels-idx1-ubyte", &good);
}

static void idx_names_what_is_wrong(void **state) {
    fixture *f = *state;
    save_idx(f);
    bytes b = idx_images(7, 5, 4);
    b.data[2] = 0x0d;
    idx_fails(f, true, b, CRUMB_ERROR_FORMAT, "byte 0: magic 0x00000d03");
    b = idx_images(7, 5, 4);
    b.size--;
    idx_fails(f, true, b, CRUMB_ERROR_FORMAT, "byte 155: truncated, the header promises 156");
    b = idx_images(7, 5, 4);
    put(&b, "x", 1);
    idx_fails(f, true, b, CRUMB_ERROR_FORMAT, "byte 156: data goes on");
    b = idx_images(7, 5, 4);
    b.size = 9;
    idx_fails(f, true, b, CRUMB_ERROR_FORMAT, "byte 9: truncated in the IDX header");
    b = idx_images(7, 5, 4);
    b.size = 0;
    idx_fails(f, true, b, CRUMB_ERROR_FORMAT, "byte 0: truncated");
    b = idx_images(7, 5, 4);
    memset(b.data + 4, 0xff, 12);
    idx_fails(f, true, b, CRUMB_ERROR_FORMAT, "dimension 4294967295");
    b = idx_images(7, 5, 4);
    memset(b.data + 8, 0, 4);
    idx_fails(f, true, b, CRUMB_ERROR_FORMAT, "byte 8: dimension 0");
    idx_fails(f, true, idx_labels(7, 10), CRUMB_ERROR_FORMAT, "1 dimensions, images have 3");
    idx_fails(f, false, idx_images(7, 5, 4), CRUMB_ERROR_FORMAT, "3 dimensions, labels have 1");
    idx_fails(f, false, idx_labels(6, 10), CRUMB_ERROR_FORMAT, "6 labels for the 7 images");
    b = idx_labels(7, 10);
    b.data[8 + 3] = 12;
    idx_fails(f, false, b, CRUMB_ERROR_FORMAT, "byte 11: label 12 of image 3 is outside 0 .. 9");
    snprintf(f->spec, sizeof(f->spec), "idx:%s/nowhere", f->folder);
    assert_open_fails(f->ctx, CRUMB_ERROR_IO, "No such file", f->spec);
}

static void idx_damaged_gzip(void **state) {
    fixture *f = *state;
    save_idx(f);
    snprintf(f->spec, sizeof(f->spec), "idx:%s:train", f->folder);
    bytes plain = idx_images(30, 5, 4), zipped = deflated(&plain, 31);
    zipped.size -= 20;
    save(f->folder, "train-images-idx3-ubyte.gz", &zipped);
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, "truncated", f->spec);
    zipped = deflated(&plain, 31);
    zipped.data[zipped.size - 6] ^= 1; /* the checksum behind the data, which is read because one more byte is asked for */
    save(f->folder, "train-images-idx3-ubyte.gz", &zipped);
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, "compressed data", f->spec);
    memset(plain.data + 4, 0x7f, 4); /* a header that promises terabytes must not be believed */
    zipped = deflated(&plain, 31);
    save(f->folder, "train-images-idx3-ubyte.gz", &zipped);
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, "cannot hold them", f->spec);
    drop(&plain);
    bytes labels = idx_labels(30, 10);
    labels.data[8] = 200;
    save(f->folder, "train-labels-idx1-ubyte", &labels);
    plain = idx_images(30, 5, 4);
    save(f->folder, "train-images-idx3-ubyte.gz", &plain); /* plain in spite of its name */
    char path[128];
    snprintf(path, sizeof(path), "%s/train-labels.idx1-ubyte.gz", f->folder);
    unlink(path);
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, "byte 8: label 200 of image 0", f->spec);
}

static void save_cifar(fixture *f) {
    char name[32];
    for (int i = 1; i <= 5; i++) {
        snprintf(name, sizeof(name), "data_batch_%d.bin", i);
        bytes b = cifar_records(i, 1, 10);
        save(f->folder, name, &b);
    }
    bytes test = cifar_records(12, 1, 10), fine = cifar_records(101, 2, 100), train = cifar_records(3, 2, 100), names = {0};
    save(f->folder, "test_batch.bin", &test);
    save(f->folder, "test.bin", &fine);
    save(f->folder, "train.bin", &train);
    put(&names, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n", 21);
    save(f->folder, "batches.meta.txt", &names);
}

static void cifar_reads_both_sets(void **state) {
    fixture *f = *state;
    save_cifar(f);
    static const struct {
        const char *form;
        int count, classes, label_of_2;
    } cases[] = {{"cifar10:%s:train", 15, 10, 1},
                 {"cifar10:%s:test", 12, 10, 2},
                 {"cifar100:%s:train", 3, 100, 2},
                 {"cifar100:%s", 101, 100, 2}};
    for (int k = 0; k < 4; k++) {
        crumb_dataset *set;
        crumb_dataset_info info;
        snprintf(f->spec, sizeof(f->spec), cases[k].form, f->folder);
        assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
        crumb_dataset_describe(set, &info);
        assert_int_equal(info.count, cases[k].count);
        assert_int_equal(info.classes, cases[k].classes);
        assert_int_equal(info.height * info.width * info.channels, 3072);
        assert_int_equal(set->label(set, 2), cases[k].label_of_2);
        if (k == 1) {
            assert_string_equal(info.class_names[9], "j");
        }
        if (k > 0) { /* in the training set of CIFAR-10 every file starts anew at image 0 */
            assert_image(f->ctx, set, 2, 2);
        }
        crumb_dataset_close(set);
        test_every_allocation(open_and_check, f->spec);
    }
}

static void cifar_fails(fixture *f, const char *kind, const char *file, bytes wrong, const char *words) {
    save_cifar(f);
    save(f->folder, file, &wrong);
    snprintf(f->spec, sizeof(f->spec), "%s:%s:train", kind, f->folder);
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, words, f->spec);
    assert_non_null(strstr(crumb_message(f->ctx), file));
}

static void cifar_names_what_is_wrong(void **state) {
    fixture *f = *state;
    bytes b = cifar_records(3, 1, 10);
    b.size--;
    cifar_fails(f, "cifar10", "data_batch_3.bin", b, "byte 6146: truncated: 9218 bytes");
    b = (bytes){0};
    put(&b, "", 0);
    cifar_fails(f, "cifar10", "data_batch_2.bin", b, "byte 0: truncated: 0 bytes");
    b = cifar_records(3, 1, 10);
    b.data[2 * 3073] = 10;
    cifar_fails(f, "cifar10", "data_batch_5.bin", b, "byte 6146: label 10 of image 2 is outside 0 .. 9");
    b = cifar_records(3, 2, 100);
    b.data[3074 + 1] = 255;
    cifar_fails(f, "cifar100", "train.bin", b, "byte 3075: label 255 of image 1 is outside 0 .. 99");
    b = (bytes){0};
    put(&b, "a\nb\n", 4);
    cifar_fails(f, "cifar10", "batches.meta.txt", b, "2 class names, 10 expected");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(idx_reads_plain_and_gzipped, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(idx_names_what_is_wrong, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(idx_damaged_gzip, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(cifar_reads_both_sets, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(cifar_names_what_is_wrong, fixture_make, fixture_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
