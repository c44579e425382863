/* The feed: what a batch holds depends on (options, epoch, step) alone, whoever makes it. */
#include "samples.h"

#include "base/param.h"
#include "data/shuffle.h"

enum { BATCH = 8 };

typedef struct fixture {
    crumb_ctx *ctx;
    char folder[64], spec[128];
    crumb_dataset *set;
} fixture;

static int setup(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    crumb_ctx_create(&f->ctx, NULL);
    strcpy(f->folder, test_folder());
    bytes records = cifar_records(53, 1, 10);
    save(f->folder, "test_batch.bin", &records);
    snprintf(f->spec, sizeof(f->spec), "cifar10:%s", f->folder);
    assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &f->set));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    crumb_dataset_close(f->set);
    remove_folder(f->folder);
    crumb_ctx_destroy(f->ctx);
    free(f);
    return 0;
}

static void add(crumb_feed_options *options, const char *name) {
    crumb_augment_choice *choice = &options->augment[options->augments++];
    choice->augment = crumb_augment_find(name);
    crumb_params_preset(choice->augment->params, choice->params);
}

static crumb_feed_options plain_options(void) {
    return (crumb_feed_options){.batch = BATCH, .seed = 7, .mean = {0.5f, 0.4f, 0.3f}, .deviation = {0.25f, 0.5f, 1}};
}

static crumb_feed_options training_options(int workers) {
    crumb_feed_options options = plain_options();
    options.shuffle = true;
    options.workers = workers;
    add(&options, "pad-crop");
    add(&options, "flip");
    add(&options, "jitter");
    add(&options, "erase");
    return options;
}

static uint64_t hash(const void *data, size_t size, uint64_t h) {
    for (size_t i = 0; i < size; i++) {
        h = (h ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

/* The next batch as a number. */
static uint64_t next_hash(crumb_ctx *ctx, crumb_feed *feed) {
    const float *images, *labels;
    int64_t valid;
    assert_ok(ctx, crumb_feed_next(feed, &images, &labels, &valid));
    uint64_t h = hash(images, BATCH * 3072 * sizeof(float), (uint64_t)valid);
    return hash(labels, BATCH * sizeof(float), h);
}

static void plain_batches_are_the_set_in_order(void **state) {
    fixture *f = *state;
    for (int workers = 0; workers < 3; workers++) {
        crumb_feed *feed;
        crumb_feed_options options = plain_options();
        options.workers = workers;
        assert_ok(f->ctx, crumb_feed_create(f->set, &options, &feed));
        assert_int_equal(crumb_feed_steps(feed), 7); /* 53 images: six batches and one of five */
        assert_true(crumb_shape_equal(crumb_feed_image(feed), CRUMB_SHAPE(32, 32, 3)));
        for (int64_t step = 0; step < 15; step++) { /* two epochs and one batch */
            const float *images, *labels;
            int64_t valid;
            assert_ok(f->ctx, crumb_feed_next(feed, &images, &labels, &valid));
            assert_int_equal(valid, step % 7 == 6 ? 5 : 8);
            for (int64_t i = 0; i < BATCH; i++) {
                int64_t index = step % 7 * BATCH + i;
                assert_true(labels[i] == (i < valid ? (float)(index % 10) : 0));
                for (int64_t k = 0; k < 3072; k += 5) {
                    float wanted = ((float)sample_pixel(index, k) / 255.0f - options.mean[k % 3]) / options.deviation[k % 3];
                    assert_true(images[i * 3072 + k] == (i < valid ? wanted : 0));
                }
            }
        }
        crumb_feed_destroy(feed);
    }
}

static void workers_do_not_show(void **state) {
    fixture *f = *state;
    static const int workers[] = {0, 1, 3, 7};
    static const int ahead[] = {0, 0, 2, 5};
    uint64_t first[20];
    for (int k = 0; k < 4; k++) {
        crumb_feed *feed;
        crumb_feed_options options = training_options(workers[k]);
        options.ahead = ahead[k];
        assert_ok(f->ctx, crumb_feed_create(f->set, &options, &feed));
        assert_int_equal(crumb_feed_steps(feed), 6);
        for (int i = 0; i < 20; i++) {
            uint64_t h = next_hash(f->ctx, feed);
            first[i] = k == 0 ? h : first[i];
            assert_true(h == first[i]);
            for (int j = 0; j < i; j++) {
                assert_true(first[j] != h); /* epochs differ */
            }
        }
        crumb_feed_destroy(feed);
    }
}

static void seek_equals_running_there(void **state) {
    fixture *f = *state;
    uint64_t straight[24];
    for (int workers = 0; workers < 4; workers++) {
        crumb_feed *feed;
        crumb_feed_options options = training_options(workers);
        assert_ok(f->ctx, crumb_feed_create(f->set, &options, &feed));
        for (int i = 0; i < 24; i++) {
            straight[i] = next_hash(f->ctx, feed);
        }
        static const int targets[] = {0, 5, 23, 6, 7, 1};
        for (int k = 0; k < 6; k++) {
            crumb_feed_seek(feed, targets[k] / 6, targets[k] % 6);
            for (int i = targets[k]; i < 24 && i < targets[k] + 3; i++) {
                assert_true(next_hash(f->ctx, feed) == straight[i]);
            }
        }
        crumb_feed_seek(feed, 1, 0);
        crumb_feed_seek(feed, 2, 0);
        assert_true(next_hash(f->ctx, feed) == straight[12]);
        crumb_feed_destroy(feed);
        assert_ok(f->ctx, crumb_feed_create(f->set, &options, &feed));
        crumb_feed_destroy(feed); /* before anything was asked for */
    }
}

/* How often the feed's next epoch draws each of the 53 images; the first pixels tell which one it is. */
static void count_epoch(crumb_ctx *ctx, crumb_feed *feed, int seen[53]) {
    memset(seen, 0, 53 * sizeof(*seen));
    for (int64_t i = 0; i < crumb_feed_steps(feed); i++) {
        const float *images, *labels;
        int64_t valid;
        assert_ok(ctx, crumb_feed_next(feed, &images, &labels, &valid));
        for (int64_t k = 0; k < valid; k++) {
            for (int j = 0; j < 53; j++) {
                float wanted = ((float)sample_pixel(j, 0) / 255.0f - 0.5f) / 0.25f;
                seen[j] += images[k * 3072] == wanted && labels[k] == (float)(j % 10);
            }
        }
    }
}

static void an_epoch_draws_every_image_once(void **state) {
    fixture *f = *state;
    crumb_feed *feed;
    crumb_feed_options options = plain_options();
    options.shuffle = true;
    options.first = 10;
    options.count = 40;
    assert_ok(f->ctx, crumb_feed_create(f->set, &options, &feed));
    assert_int_equal(crumb_feed_steps(feed), 5);
    for (int epoch = 0; epoch < 3; epoch++) {
        int seen[53];
        count_epoch(f->ctx, feed, seen);
        for (int j = 0; j < 53; j++) {
            assert_int_equal(seen[j], j >= 10 && j < 50);
        }
    }
    crumb_feed_destroy(feed);
}

/* Two parts of a mixed set share no image, leave none out, and neither is a stretch of the set. */
static void mixed_parts_divide_the_set(void **state) {
    fixture *f = *state;
    int seen[2][53], changes = 0;
    for (int part = 0; part < 2; part++) {
        crumb_feed *feed;
        crumb_feed_options options = plain_options();
        options.mixed = true;
        options.shuffle = part == 0;
        options.first = part == 0 ? 0 : 40;
        options.count = part == 0 ? 40 : 13;
        assert_ok(f->ctx, crumb_feed_create(f->set, &options, &feed));
        for (int epoch = 0; epoch < 2; epoch++) {
            int again[53];
            memcpy(again, seen[part], sizeof(again));
            count_epoch(f->ctx, feed, seen[part]);
            assert_true(epoch == 0 || memcmp(again, seen[part], sizeof(again)) == 0); /* always the same images */
        }
        crumb_feed_destroy(feed);
    }
    for (int j = 0; j < 53; j++) {
        assert_int_equal(seen[0][j] + seen[1][j], 1);
        changes += j > 0 && seen[1][j] != seen[1][j - 1];
    }
    assert_true(changes > 6);
}

static void shuffle_is_a_fair_permutation(void **state) {
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 5, 16, 17, 1000, 65536, 100003};
    for (int s = 0; s < 9; s++) {
        int64_t n = sizes[s];
        char *seen = calloc(1, (size_t)n);
        for (int64_t i = 0; i < n; i++) {
            int64_t at = crumb_shuffle_at(3, 9, n, i);
            assert_true(at >= 0 && at < n && seen[at]++ == 0);
        }
        free(seen);
    }
    for (int64_t n = 2; n <= 10; n += 4) { /* each index at each position equally often: within 6 sigma over 10,000 epochs */
        for (int64_t position = 0; position < n; position++) {
            int count[10] = {0};
            for (uint64_t epoch = 0; epoch < 10000; epoch++) {
                count[crumb_shuffle_at(1, epoch, n, position)]++;
            }
            for (int64_t k = 0; k < n; k++) {
                double p = 1 / (double)n;
                assert_true(fabs(count[k] - 10000 * p) < 6 * sqrt(10000 * p * (1 - p)));
            }
        }
    }
    double products = 0; /* neighbours are uncorrelated */
    for (int64_t i = 0; i + 1 < 50000; i++) {
        products +=
            ((double)crumb_shuffle_at(1, 2, 50000, i) / 25000 - 1) * ((double)crumb_shuffle_at(1, 2, 50000, i + 1) / 25000 - 1);
    }
    assert_true(fabs(products / 50000) < 6.0 / 3 / sqrt(50000));
}

static void options_that_are_refused(void **state) {
    fixture *f = *state;
    crumb_feed *feed = NULL;
    static const struct {
        int64_t batch, first, count;
        int workers, ahead;
        bool shuffle;
        const char *words;
    } cases[] = {
        {0, 0, 0, 0, 0, false, "batch of 0"},      {8, 53, 0, 0, 0, false, "of a set of 53"},
        {8, -1, 0, 0, 0, false, "of a set of 53"}, {8, 50, 4, 0, 0, false, "images 50 .. 53"},
        {64, 0, 0, 0, 0, true, "do not fill"},     {8, 0, 0, -1, 0, false, "-1 workers"},
        {8, 0, 0, 1, 1, false, "1 batches ahead"},
    };
    for (int k = 0; k < 7; k++) {
        crumb_feed_options options = plain_options();
        options.batch = cases[k].batch;
        options.first = cases[k].first;
        options.count = cases[k].count;
        options.workers = cases[k].workers;
        options.ahead = cases[k].ahead;
        options.shuffle = cases[k].shuffle;
        assert_fails(f->ctx, CRUMB_ERROR_ARGUMENT, cases[k].words, crumb_feed_create(f->set, &options, &feed));
    }
    crumb_feed_options options = plain_options();
    options.deviation[1] = 0;
    assert_fails(f->ctx, CRUMB_ERROR_ARGUMENT, "deviation of channel 1", crumb_feed_create(f->set, &options, &feed));
    assert_null(feed);
    crumb_feed_destroy(NULL);
}

/* A folder of pictures of different sizes; `bad` of them is none. */
static void make_pictures(fixture *f, int bad) {
    char name[64];
    make_folder(f->folder, "pictures/a");
    for (int i = 0; i < 20; i++) {
        uint8_t *pixels = smooth_pixels(8 + i, 12, 3, i);
        bytes file = png_file(pixels, 8 + i, 12, false);
        free(pixels);
        if (i == bad) {
            file.size /= 2;
        }
        snprintf(name, sizeof(name), "pictures/a/%02d.png", i);
        save(f->folder, name, &file);
    }
    snprintf(f->spec, sizeof(f->spec), "folder:%s/pictures", f->folder);
}

static void pictures_of_any_size_are_resized(void **state) {
    fixture *f = *state;
    crumb_dataset *set;
    crumb_feed *feed;
    make_pictures(f, -1);
    assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
    crumb_feed_options options = plain_options();
    assert_fails(f->ctx, CRUMB_ERROR_SHAPE, "differ in size", crumb_feed_create(set, &options, &feed));
    add(&options, "flip");
    add(&options, "resize"); /* shorter side only: the result still varies */
    crumb_ctx *ctx = f->ctx;
    assert_ok(ctx, crumb_param_set(ctx, &options.augment[1].augment->params[0], options.augment[1].params, "10"));
    assert_fails(ctx, CRUMB_ERROR_SHAPE, "differ in size", crumb_feed_create(set, &options, &feed));
    add(&options, "center-crop");
    assert_ok(ctx, crumb_param_set(ctx, &options.augment[2].augment->params[0], options.augment[2].params, "9"));
    uint64_t first = 0;
    for (int workers = 0; workers < 4; workers++) {
        const float *images, *labels;
        int64_t valid;
        options.workers = workers;
        assert_ok(ctx, crumb_feed_create(set, &options, &feed));
        assert_true(crumb_shape_equal(crumb_feed_image(feed), CRUMB_SHAPE(9, 9, 3)));
        uint64_t h = 1;
        for (int i = 0; i < 9; i++) {
            assert_ok(ctx, crumb_feed_next(feed, &images, &labels, &valid));
            h = hash(images, BATCH * 243 * sizeof(float), h);
        }
        first = workers == 0 ? h : first;
        assert_true(h == first);
        crumb_feed_destroy(feed);
    }
    crumb_dataset_close(set);
}

static void a_bad_picture_reaches_the_caller(void **state) {
    fixture *f = *state;
    make_pictures(f, 13);
    for (int workers = 0; workers < 4; workers++) {
        crumb_dataset *set;
        crumb_feed *feed;
        const float *images, *labels;
        int64_t valid;
        assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
        crumb_feed_options options = plain_options();
        options.workers = workers;
        add(&options, "center-crop");
        assert_ok(f->ctx, crumb_feed_create(set, &options, &feed));
        assert_ok(f->ctx, crumb_feed_next(feed, &images, &labels, &valid));
        for (int again = 0; again < 3; again++) {
            assert_fails(f->ctx, CRUMB_ERROR_FORMAT, "a/13.png: byte ", crumb_feed_next(feed, &images, &labels, &valid));
        }
        crumb_feed_seek(feed, 0, 2);
        assert_ok(f->ctx, crumb_feed_next(feed, &images, &labels, &valid));
        assert_int_equal(valid, 4);
        crumb_feed_destroy(feed);
        crumb_dataset_close(set);
    }
}

/* One row of 30,000 pixels whose shorter side is to become 4096 would take terabytes: refused, and the image named. */
static void a_picture_that_grows_too_large_is_named(void **state) {
    fixture *f = *state;
    crumb_dataset *set;
    crumb_feed *feed;
    const float *images, *labels;
    int64_t valid;
    uint8_t *pixels = smooth_pixels(1, 30000, 3, 0);
    bytes file = png_file(pixels, 1, 30000, false);
    free(pixels);
    make_pictures(f, -1);
    save(f->folder, "pictures/a/03.png", &file);
    assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
    crumb_feed_options options = plain_options();
    add(&options, "resize");
    add(&options, "center-crop");
    assert_ok(f->ctx, crumb_param_set(f->ctx, &options.augment[0].augment->params[0], options.augment[0].params, "4096"));
    assert_ok(f->ctx, crumb_param_set(f->ctx, &options.augment[1].augment->params[0], options.augment[1].params, "9"));
    options.batch = 1;
    options.first = 3;
    assert_ok(f->ctx, crumb_feed_create(set, &options, &feed));
    assert_fails(f->ctx, CRUMB_ERROR_SHAPE, "image 3: resize: 1 x 30000 pixels become 4096 x 122880000",
                 crumb_feed_next(feed, &images, &labels, &valid));
    crumb_feed_destroy(feed);
    crumb_dataset_close(set);
}

static void reals_are_used_as_they_are(void **state) {
    fixture *f = *state;
    bytes x = {0}, y = {0};
    for (int i = 0; i < 10 * 6; i++) {
        put(&x, &(float){(float)i / 8}, 4);
    }
    for (int i = 0; i < 10; i++) {
        put_little(&y, (uint64_t)(i % 3), 4);
    }
    bytes fx = npy_file(1, "<f4", "False", "(10, 6)", &x), fy = npy_file(1, "<i4", "False", "(10,)", &y);
    save(f->folder, "test_x.npy", &fx);
    save(f->folder, "test_y.npy", &fy);
    snprintf(f->spec, sizeof(f->spec), "npy:%s", f->folder);
    crumb_dataset *set;
    crumb_feed *feed;
    const float *images, *labels;
    int64_t valid;
    assert_ok(f->ctx, crumb_dataset_open(f->ctx, f->spec, 1, &set));
    crumb_feed_options options = plain_options();
    options.deviation[0] = 0; /* not looked at */
    assert_ok(f->ctx, crumb_feed_create(set, &options, &feed));
    assert_true(crumb_shape_equal(crumb_feed_image(feed), CRUMB_SHAPE(1, 6, 1)));
    assert_ok(f->ctx, crumb_feed_next(feed, &images, &labels, &valid));
    for (int i = 0; i < BATCH * 6; i++) {
        assert_true(images[i] == (float)i / 8);
    }
    crumb_feed_destroy(feed);
    add(&options, "flip");
    assert_fails(f->ctx, CRUMB_ERROR_UNSUPPORTED, "flip works on 8-bit images", crumb_feed_create(set, &options, &feed));
    crumb_dataset_close(set);
}

/* user: spec; three batches or one of pictures, with workers unless pictures are decoded (they allocate ahead of what is asked
 * for). */
static crumb_status open_and_feed(crumb_ctx *ctx, void *user) {
    crumb_dataset *set;
    crumb_feed *feed;
    const float *images, *labels;
    int64_t valid;
    bool pictures = strncmp(user, "folder", 6) == 0;
    CRUMB_TRY(crumb_dataset_open(ctx, user, 1, &set));
    crumb_feed_options options = training_options(pictures ? 0 : 2);
    if (pictures) {
        crumb_augment_choice *last = &options.augment[options.augments];
        add(&options, "random-resized-crop");
        *(int64_t *)(last->params + last->augment->params[0].offset) = 6;
    }
    crumb_status status = crumb_feed_create(set, &options, &feed);
    if (status == CRUMB_OK) {
        for (int i = 0; i < (pictures ? 1 : 3) && status == CRUMB_OK; i++) {
            status = crumb_feed_next(feed, &images, &labels, &valid);
        }
        crumb_feed_destroy(feed);
    }
    crumb_dataset_close(set);
    return status;
}

static void every_allocation_may_fail(void **state) {
    fixture *f = *state;
    test_every_allocation(open_and_feed, f->spec);
    char name[64];
    make_folder(f->folder, "few/a"); /* one batch of small pictures */
    for (int i = 0; i < BATCH; i++) {
        uint8_t *pixels = smooth_pixels(4 + i % 2, 4, 3, i);
        bytes file = png_file(pixels, 4 + i % 2, 4, false);
        free(pixels);
        snprintf(name, sizeof(name), "few/a/%d.png", i);
        save(f->folder, name, &file);
    }
    snprintf(f->spec, sizeof(f->spec), "folder:%s/few", f->folder);
    test_every_allocation(open_and_feed, f->spec);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_batches_are_the_set_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(workers_do_not_show, setup, teardown),
        cmocka_unit_test_setup_teardown(seek_equals_running_there, setup, teardown),
        cmocka_unit_test_setup_teardown(an_epoch_draws_every_image_once, setup, teardown),
        cmocka_unit_test_setup_teardown(mixed_parts_divide_the_set, setup, teardown),
        cmocka_unit_test(shuffle_is_a_fair_permutation),
        cmocka_unit_test_setup_teardown(options_that_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(pictures_of_any_size_are_resized, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_picture_reaches_the_caller, setup, teardown),
        cmocka_unit_test_setup_teardown(a_picture_that_grows_too_large_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(reals_are_used_as_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
