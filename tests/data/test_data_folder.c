/* Folders of PNG and JPEG files: layouts, decoding, and every way a file can be wrong. */
#include "fixture.h"

#include "data/readers.h"

static int setup(void **state) {
    fixture_make(state);
    fixture *f = *state;
    snprintf(f->spec, sizeof(f->spec), "folder:%s:train", f->folder);
    return 0;
}

static void save_image(fixture *f, const char *name, int64_t height, int64_t width, bool gray, int shade) {
    uint8_t *pixels = smooth_pixels(height, width, gray ? 1 : 3, shade);
    bytes b = strstr(name, "png") != NULL ? png_file(pixels, height, width, gray) : jpeg_file(pixels, height, width, gray);
    save(f->folder, name, &b);
    free(pixels);
}

static void make_classes(fixture *f, const char *split) {
    static const char *const classes[] = {"zebra", "ant", "cow"};
    char name[64];
    for (int k = 0; k < 3; k++) {
        snprintf(name, sizeof(name), "%s/%s", split, classes[k]);
        make_folder(f->folder, name);
        snprintf(name, sizeof(name), "%s/%s/b.png", split, classes[k]);
        save_image(f, name, 8, 10, false, 10 * k);
        snprintf(name, sizeof(name), "%s/%s/a.JPG", split, classes[k]);
        save_image(f, name, 8, 10, false, 10 * k);
        snprintf(name, sizeof(name), "%s/%s/.hidden.png", split, classes[k]);
        save_image(f, name, 1, 1, false, 0);
        snprintf(name, sizeof(name), "%s/%s/readme.txt", split, classes[k]);
        bytes text = {0};
        put(&text, "x", 1);
        save(f->folder, name, &text);
    }
}

static void classes_are_sorted_and_pictures_decoded(void **state) {
    fixture *f = *state;
    crumb_dataset *set;
    crumb_dataset_info info;
    make_classes(f, "train");
    make_classes(f, "val");
    for (int train = 0; train < 2; train++) {
        snprintf(f->spec, sizeof(f->spec), "folder:%s%s", f->folder, train ? ":train" : "");
        assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
        crumb_dataset_describe(set, &info);
        assert_int_equal(info.count, 6);
        assert_int_equal(info.classes, 3);
        assert_string_equal(info.class_names[0], "ant");
        assert_string_equal(info.class_names[2], "zebra");
        assert_int_equal(info.height, 8);
        assert_int_equal(info.width, 10);
        assert_int_equal(info.channels, 3);
        static const int shades[] = {10, 20, 0}; /* ant, cow, zebra */
        for (int i = 0; i < 6; i++) {
            uint8_t *pixels, *wanted = smooth_pixels(8, 10, 3, shades[i / 2]);
            int64_t height, width;
            int label;
            assert_ok(f->ctx, crumb_dataset_image(set, i, &pixels, &height, &width, &label));
            assert_int_equal(label, i / 2);
            assert_int_equal(set->label(set, i), label);
            for (int k = 0; k < 240; k++) {
                assert_true(abs(pixels[k] - wanted[k]) <= (i % 2 == 0 ? 4 : 0)); /* a.JPG comes first */
            }
            crumb_dataset_release(set, pixels);
            free(wanted);
        }
        crumb_dataset_close(set);
        test_every_allocation(open_and_check, f->spec);
    }
}

static void one_folder_serves_both_splits(void **state) {
    fixture *f = *state;
    make_classes(f, ".");
    save_image(f, "cow/gray.png", 4, 5, true, 7);
    save_image(f, "cow/gray.jpeg", 4, 5, true, 7);
    for (int train = 0; train < 2; train++) {
        crumb_dataset *set;
        crumb_dataset_info info;
        snprintf(f->spec, sizeof(f->spec), "folder:%s:%s", f->folder, train ? "train" : "test");
        assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
        crumb_dataset_describe(set, &info);
        assert_int_equal(info.count, 8);
        assert_int_equal(info.height, 0); /* sizes differ */
        assert_int_equal(info.width, 0);
        for (int i = 4; i < 6; i++) { /* gray becomes three equal channels */
            uint8_t *pixels, *wanted = smooth_pixels(4, 5, 1, 7);
            int64_t height, width;
            int label;
            assert_ok(f->ctx, crumb_dataset_image(set, i, &pixels, &height, &width, &label));
            assert_int_equal(height * width, 20);
            for (int k = 0; k < 60; k++) {
                assert_true(abs(pixels[k] - wanted[k / 3]) <= (i == 4 ? 3 : 0));
            }
            crumb_dataset_release(set, pixels);
            free(wanted);
        }
        crumb_dataset_close(set);
    }
}

static void layouts_that_are_refused(void **state) {
    fixture *f = *state;
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, "no class folders", f->spec);
    make_classes(f, "train");
    snprintf(f->spec, sizeof(f->spec), "folder:%s:test", f->folder);
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, "neither test nor val", f->spec);
    make_folder(f->folder, "test/lion");
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, "no class lion", f->spec);
    make_folder(f->folder, "train/lion");
    assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, "no .png, .jpg or .jpeg", f->spec);
    snprintf(f->spec, sizeof(f->spec), "folder:%s/nowhere", f->folder);
    assert_open_fails(f->ctx, CRUMB_ERROR_IO, "No such file", f->spec);
}

/* What could not be written into a model's file is refused before training. */
static void names_that_are_no_lines(void **state) {
    fixture *f = *state;
    static const char *const names[] = {"\xff", "a\nb", "\xc2\x85"};
    for (int i = 0; i < 3; i++) {
        char from[128], to[128];
        const char *before = i == 0 ? "ant" : names[i - 1];
        if (i == 0) {
            make_classes(f, "train");
        }
        snprintf(from, sizeof(from), "%s/train/%s", f->folder, before);
        snprintf(to, sizeof(to), "%s/train/%s", f->folder, names[i]);
        assert_int_equal(rename(from, to), 0);
        assert_open_fails(f->ctx, CRUMB_ERROR_FORMAT, "the name of a class is not UTF-8", f->spec);
    }
}

/* One bad picture among good ones: found when it is read, or at once when already its header is bad. */
static void picture_fails(fixture *f, bytes wrong, const char *words) {
    crumb_picture picture;
    char message[256] = "";
    assert_int_equal(crumb_picture_decode(f->ctx, "x", wrong.data, wrong.size, &picture, message, sizeof(message)),
                     CRUMB_ERROR_FORMAT);
    if (strstr(message, words) == NULL) {
        fail_msg("message \"%s\" lacks \"%s\"", message, words);
    }
    save(f->folder, "train/cow/b.png", &wrong);
    assert_int_equal(open_and_check(f->ctx, f->spec), CRUMB_ERROR_FORMAT);
    assert_non_null(strstr(crumb_message(f->ctx), "train/cow/b.png"));
}

static void pictures_that_are_refused(void **state) {
    fixture *f = *state;
    make_classes(f, "train");
    assert_ok(f->ctx, open_and_check(f->ctx, f->spec));
    uint8_t *pixels = smooth_pixels(8, 10, 3, 9);
    bytes png = png_file(pixels, 8, 10, false), jpeg = jpeg_file(pixels, 8, 10, false), b = {0};
    free(pixels);
    put(&b, "GIF89a", 6);
    picture_fails(f, b, "byte 0: magic 0x4749 in 6 bytes is neither PNG nor JPEG");
    b = (bytes){0};
    put(&b, "", 0);
    picture_fails(f, b, "in 0 bytes");
    for (size_t size = 8; size < png.size; size += 3) {
        b = (bytes){0};
        put(&b, png.data, size);
        picture_fails(f, b, "byte ");
    }
    for (size_t size = 2; size + 2 < jpeg.size; size += 11) { /* without the end marker alone, nothing is lost */
        b = (bytes){0};
        put(&b, jpeg.data, size);
        picture_fails(f, b, "JPEG of");
    }
    b = (bytes){0};
    put(&b, png.data, png.size);
    b.data[png.size - 20] ^= 0xff;
    picture_fails(f, b, "PNG: ");
    b = (bytes){0};
    put(&b, png.data, png.size);
    memset(b.data + 16, 0x7f, 8); /* 2 billion pixels wide: refused before memory is taken */
    picture_fails(f, b, "PNG: ");
    drop(&png);
    drop(&jpeg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(classes_are_sorted_and_pictures_decoded, setup, fixture_drop),
        cmocka_unit_test_setup_teardown(one_folder_serves_both_splits, setup, fixture_drop),
        cmocka_unit_test_setup_teardown(layouts_that_are_refused, setup, fixture_drop),
        cmocka_unit_test_setup_teardown(names_that_are_no_lines, setup, fixture_drop),
        cmocka_unit_test_setup_teardown(pictures_that_are_refused, setup, fixture_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
