/* Data sets as a caller sees them: the spec, the registry, contact sheets, digits. */
#include "fixture.h"

#include "base/param.h"

static void specs_are_taken_apart(void **state) {
    fixture *f = *state;
    static const char *const folders[] = {"plain", "with:colon", "with:train:test", "a:val"};
    crumb_dataset *set;
    crumb_dataset_info info;
    for (int k = 0; k < 4; k++) {
        char name[128];
        make_folder(f->folder, folders[k]);
        bytes records = cifar_records(2, 1, 10);
        snprintf(name, sizeof(name), "%s/test_batch.bin", folders[k]);
        save(f->folder, name, &records);
        bool ends_like_split = k == 2; /* then the split must be written out */
        snprintf(f->spec, sizeof(f->spec), "cifar10:%s/%s%s", f->folder, folders[k], ends_like_split ? ":test" : "");
        assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
        crumb_dataset_describe(set, &info);
        assert_string_equal(info.split, "test");
        crumb_dataset_close(set);
    }
    snprintf(f->spec, sizeof(f->spec), "%s/plain", f->folder);
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "did you mean cifar10:/tmp", f->spec);
    snprintf(f->spec, sizeof(f->spec), "cifar10:%s/plain:valid", f->folder);
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "split 'valid' is neither train nor test", f->spec);
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "unknown kind 'cfiar10', did you mean cifar10?", "cfiar10:/x");
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "unknown kind 'foldr', did you mean folder?", "foldr:/x");
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "KIND:PATH[:SPLIT]", "something-else:/x");
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "KIND:PATH[:SPLIT]", "");
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "needs a path", "cifar10");
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "needs a path", "cifar10::train");
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "split 'val' is neither", "digits:val");
    char *monster = malloc(10000);
    memset(monster, 'x', 9999);
    monster[9999] = '\0';
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "unknown kind", monster);
    memcpy(monster, "idx:", 4);
    assert_open_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "too long", monster);
    free(monster);
    crumb_dataset_close(NULL);
}

static void rows_are_complete_and_sorted(void **state) {
    (void)state;
    for (int i = 0; crumb_loaders[i] != NULL; i++) {
        assert_non_null(crumb_loaders[i]->doc);
        assert_true(i == 0 || strcmp(crumb_loaders[i - 1]->name, crumb_loaders[i]->name) < 0);
        assert_true(crumb_loaders[i]->probe == NULL || !crumb_loaders[i]->probe("/nowhere"));
    }
    for (int i = 0; crumb_augments[i] != NULL; i++) {
        const crumb_augment *row = crumb_augments[i];
        unsigned char params[CRUMB_AUGMENT_PARAMS_MAX];
        assert_ptr_equal(crumb_augment_find(row->name), row);
        assert_true(i == 0 || strcmp(crumb_augments[i - 1]->name, row->name) < 0);
        assert_true(row->params_size <= CRUMB_AUGMENT_PARAMS_MAX);
        assert_true((row->bytes == NULL) != (row->reals == NULL));
        crumb_params_preset(row->params, params); /* asserts that presets are in range */
    }
    assert_null(crumb_augment_find("flop"));
}

/* The decoded sheet, and what must be in it: class k's images in its share of the cells. */
static void sheet_is_grouped_by_class(void **state) {
    fixture *f = *state;
    crumb_dataset *set;
    bytes images = idx_images(40, 6, 5), labels = idx_labels(40, 4);
    for (int i = 0; i < 40; i++) { /* all of class 3 but one become class 0, so that 3 is short of images */
        labels.data[8 + i] = i % 4 == 3 && i != 7 ? 0 : labels.data[8 + i];
    }
    save(f->folder, "t10k-images-idx3-ubyte", &images);
    save(f->folder, "t10k-labels-idx1-ubyte", &labels);
    snprintf(f->spec, sizeof(f->spec), "idx:%s", f->folder);
    char path[128];
    snprintf(path, sizeof(path), "%s/sheet.png", f->folder);
    assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
    assert_ok(f->ctx, crumb_dataset_sheet(set, 3, 4, path));
    png_image png = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&png, path) != 0);
    assert_int_equal(png.width, 2 + 3 * 7);
    assert_int_equal(png.height, 2 + 4 * 8);
    png.format = PNG_FORMAT_GRAY;
    uint8_t *gray = malloc(PNG_IMAGE_SIZE(png));
    assert_true(png_image_finish_read(&png, NULL, gray, 0, NULL) != 0);
    static const int shown[12] = {0, 3, 4, 1, 5, 9, 2, 6, 10, 7, -1, -1};
    for (int cell = 0; cell < 12; cell++) {
        for (int k = 0; k < 30; k++) {
            int y = 2 + cell / 3 * 8 + k / 5, x = 2 + cell % 3 * 7 + k % 5;
            assert_int_equal(gray[y * 23 + x], shown[cell] < 0 ? 128 : sample_pixel(shown[cell], k));
        }
    }
    free(gray);
    assert_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "0 columns", crumb_dataset_sheet(set, 0, 4, path));
    assert_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "rows", crumb_dataset_sheet(set, 9999, 9999, path));
    assert_fails(f->ctx, CRUMB_ERROR_IO, "nowhere", crumb_dataset_sheet(set, 3, 4, "/nowhere/x.png"));
    crumb_dataset_close(set);
}

static crumb_status open_and_sheet(crumb_ctx *ctx, void *user) {
    fixture *f = user;
    crumb_dataset *set;
    char path[128];
    snprintf(path, sizeof(path), "%s/sheet.png", f->folder);
    CRUMB_TRY(crumb_dataset_open(ctx, f->spec, 1, &set));
    crumb_status status = crumb_dataset_sheet(set, 4, 4, path);
    crumb_dataset_close(set);
    return status;
}

static void sheet_survives_want_of_memory(void **state) {
    fixture *f = *state;
    bytes records = cifar_records(12, 1, 10);
    save(f->folder, "test_batch.bin", &records);
    snprintf(f->spec, sizeof(f->spec), "cifar10:%s", f->folder);
    test_every_allocation(open_and_sheet, f);
}

static void sheet_reduces_large_pictures(void **state) {
    fixture *f = *state;
    crumb_dataset *set;
    uint8_t *pixels = smooth_pixels(100, 300, 3, 0);
    bytes large = png_file(pixels, 100, 300, false), small = png_file(pixels, 10, 12, false);
    free(pixels);
    make_folder(f->folder, "a");
    save(f->folder, "a/large.png", &large);
    save(f->folder, "a/small.png", &small);
    snprintf(f->spec, sizeof(f->spec), "folder:%s", f->folder);
    char path[128];
    snprintf(path, sizeof(path), "%s/sheet.png", f->folder);
    assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
    assert_ok(f->ctx, crumb_dataset_sheet(set, 2, 1, path));
    png_image png = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&png, path) != 0);
    assert_int_equal(png.width, 2 + 2 * 66);
    png_image_free(&png);
    crumb_dataset_close(set);
}

static uint64_t hash(const uint8_t *data, size_t size, uint64_t h) {
    for (size_t i = 0; i < size; i++) {
        h = (h ^ data[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

/* Images of the digits set drawn by so many threads, as a number. */
static uint64_t digits_hash(int threads, uint64_t seed, const char *spec) {
    test_memory memory = {0};
    crumb_ctx *ctx = test_ctx(&memory, threads);
    crumb_dataset *set;
    crumb_dataset_info info;
    assert_ok(ctx, crumb_dataset_open(ctx, spec, seed, &set));
    crumb_dataset_describe(set, &info);
    assert_int_equal(info.height * info.width * info.channels, 784);
    uint64_t h = (uint64_t)info.count;
    for (int64_t i = 0; i < info.count; i++) {
        crumb_sample sample;
        assert_int_equal(set->read(set, i, &sample, NULL, 0), CRUMB_OK);
        assert_int_equal(sample.label, i % 10);
        h = hash(sample.pixels, 784, h);
    }
    crumb_dataset_close(set);
    crumb_ctx_destroy(ctx);
    assert_int_equal(memory.live, 0);
    return h;
}

static void digits_depend_on_the_seed_alone(void **state) {
    (void)state;
    uint64_t one = digits_hash(1, 1, "digits");
    assert_true(one == digits_hash(3, 1, "digits:test"));
    assert_true(one != digits_hash(1, 2, "digits"));
    assert_true(one == UINT64_C(0x273544525b1dbd3c)); /* the same picture on every machine: only exact operations draw it */
    test_every_allocation(open_and_check, "digits");
}

static void digits_use_the_range(void **state) {
    fixture *f = *state;
    crumb_dataset *set;
    int64_t counts[10];
    assert_ok(f->ctx, crumb_dataset_open(f->ctx, "digits:train", 1, &set));
    assert_int_equal(set->info.count, 60000);
    assert_ok(f->ctx, crumb_dataset_check(set, counts));
    assert_int_equal(counts[9], 6000);
    double sum = 0, squares = 0;
    int brightest = 0;
    for (int64_t i = 0; i < 2000; i++) {
        crumb_sample sample;
        assert_int_equal(set->read(set, i, &sample, NULL, 0), CRUMB_OK);
        for (int k = 0; k < 784; k++) {
            double value = sample.pixels[k] / 255.0;
            sum += value;
            squares += value * value;
            brightest = sample.pixels[k] > brightest ? sample.pixels[k] : brightest;
        }
    }
    double mean = sum / (2000 * 784), deviation = sqrt(squares / (2000 * 784) - mean * mean);
    assert_true(fabs(mean - (double)set->info.mean[0]) < 0.01);
    assert_true(fabs(deviation - (double)set->info.deviation[0]) < 0.01);
    assert_int_equal(brightest, 255);
    crumb_dataset_close(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(specs_are_taken_apart, fixture_make, fixture_drop),
        cmocka_unit_test(rows_are_complete_and_sorted),
        cmocka_unit_test_setup_teardown(sheet_is_grouped_by_class, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(sheet_survives_want_of_memory, fixture_make, fixture_drop),
        cmocka_unit_test_setup_teardown(sheet_reduces_large_pictures, fixture_make, fixture_drop),
        cmocka_unit_test(digits_depend_on_the_seed_alone),
        cmocka_unit_test_setup_teardown(digits_use_the_range, fixture_make, fixture_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
