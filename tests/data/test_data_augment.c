/* Augmentations, each against its definition. */
#include "samples.h"

#include "base/param.h"

/* A row with parameters "name=value ..." over its presets. */
typedef struct chosen {
    const crumb_augment *row;
    _Alignas(16) unsigned char params[CRUMB_AUGMENT_PARAMS_MAX];
} chosen;

static chosen choose(const char *name, const char *settings) {
    chosen c = {.row = crumb_augment_find(name)};
    crumb_ctx *ctx;
    char text[128], *rest = NULL;
    assert_non_null(c.row);
    assert_int_equal(crumb_ctx_create(&ctx, NULL), CRUMB_OK);
    crumb_params_preset(c.row->params, c.params);
    strcpy(text, settings);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        const crumb_param *param = crumb_param_find(c.row->params, word);
        assert_non_null(param);
        assert_ok(ctx, crumb_param_set(ctx, param, c.params, value));
    }
    crumb_ctx_destroy(ctx);
    return c;
}

static crumb_image picture(int64_t height, int64_t width, int64_t channels) {
    crumb_image image = {malloc((size_t)(height * width * channels)), height, width, channels};
    for (int64_t i = 0; i < height * width * channels; i++) {
        image.pixels[i] = (uint8_t)(1 + i % 251);
    }
    return image;
}

static crumb_image apply(const chosen *c, const crumb_image *from, uint64_t seed) {
    crumb_image to = *from;
    crumb_rng rng = crumb_rng_at(seed, 0, 0);
    if (c->row->shape != NULL) {
        c->row->shape(c->params, &to.height, &to.width);
    }
    to.pixels = malloc((size_t)(to.height * to.width * to.channels));
    memset(to.pixels, 0xee, (size_t)(to.height * to.width * to.channels));
    c->row->bytes(c->params, from, &to, &rng);
    return to;
}

static uint8_t at(const crumb_image *image, int64_t y, int64_t x, int64_t c) {
    return image->pixels[(y * image->width + x) * image->channels + c];
}

static int64_t mirror(int64_t i, int64_t size) {
    return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i;
}

/* True if `to` is the window at (dy, dx) of the padded image. */
static bool is_window(const crumb_image *from, const crumb_image *to, int64_t dy, int64_t dx, bool reflect) {
    for (int64_t y = 0; y < to->height; y++) {
        for (int64_t x = 0; x < to->width; x++) {
            for (int64_t c = 0; c < to->channels; c++) {
                int64_t sy = y + dy, sx = x + dx;
                bool inside = sy >= 0 && sy < from->height && sx >= 0 && sx < from->width;
                uint8_t wanted = inside || reflect ? at(from, mirror(sy, from->height), mirror(sx, from->width), c) : 0;
                if (at(to, y, x, c) != wanted) {
                    return false;
                }
            }
        }
    }
    return true;
}

static void pad_crop_cuts_every_window(void **state) {
    (void)state;
    for (int reflect = 0; reflect < 2; reflect++) {
        chosen c = choose("pad-crop", reflect ? "pad=2 mode=reflect" : "pad=2");
        crumb_image from = picture(6, 7, 3);
        int seen[25] = {0}, different = 0;
        for (uint64_t seed = 0; seed < 400; seed++) {
            crumb_image to = apply(&c, &from, seed);
            int found = -1;
            for (int k = 0; k < 25 && found < 0; k++) {
                found = is_window(&from, &to, k / 5 - 2, k % 5 - 2, reflect != 0) ? k : -1;
            }
            assert_true(found >= 0);
            different += seen[found]++ == 0;
            free(to.pixels);
        }
        assert_int_equal(different, 25);
        free(from.pixels);
    }
}

static void pad_crop_with_much_padding(void **state) {
    (void)state;
    chosen zero = choose("pad-crop", "pad=1000"), reflect = choose("pad-crop", "pad=1000 mode=reflect");
    crumb_image from = picture(3, 1, 2);
    for (uint64_t seed = 0; seed < 50; seed++) {
        crumb_image a = apply(&zero, &from, seed), b = apply(&reflect, &from, seed);
        assert_int_not_equal(at(&b, 1, 0, 1), 0xee);
        assert_int_not_equal(at(&b, 2, 0, 0), 0);
        assert_int_not_equal(at(&a, 2, 0, 0), 0xee);
        free(a.pixels);
        free(b.pixels);
    }
    free(from.pixels);
}

static void flip_mirrors_with_its_probability(void **state) {
    (void)state;
    static const char *const settings[] = {"p=0", "p=1", "p=0.3"};
    static const int low[] = {0, 1000, 250}, high[] = {0, 1000, 350};
    crumb_image from = picture(4, 5, 3);
    for (int k = 0; k < 3; k++) {
        chosen c = choose("flip", settings[k]);
        int flipped = 0;
        for (uint64_t seed = 0; seed < 1000; seed++) {
            crumb_image to = apply(&c, &from, seed);
            bool is = at(&to, 0, 0, 0) != at(&from, 0, 0, 0);
            for (int64_t i = 0; i < 60; i++) {
                assert_int_equal(at(&to, i / 15, i / 3 % 5, i % 3), at(&from, i / 15, is ? 4 - i / 3 % 5 : i / 3 % 5, i % 3));
            }
            flipped += is;
            free(to.pixels);
        }
        assert_in_range(flipped, low[k], high[k]);
    }
    free(from.pixels);
}

static void resize_keeps_proportions(void **state) {
    (void)state;
    static const int64_t cases[][5] = {
        {100, 200, 50, 50, 100}, {200, 100, 50, 100, 50}, {7, 7, 5, 5, 5}, {3, 10, 9, 9, 30}, {0, 0, 9, 0, 0}};
    for (int k = 0; k < 5; k++) {
        char text[32];
        snprintf(text, sizeof(text), "size=%d", (int)cases[k][2]);
        chosen c = choose("resize", text);
        int64_t height = cases[k][0], width = cases[k][1];
        c.row->shape(c.params, &height, &width);
        assert_int_equal(height, cases[k][3]);
        assert_int_equal(width, cases[k][4]);
    }
    chosen exact = choose("resize", "size=9 exact=true");
    int64_t height = 0, width = 0;
    exact.row->shape(exact.params, &height, &width);
    assert_int_equal(height * width, 81);
}

/* Constant stays constant; halving averages with the triangle's weights 1 3 3 1; the same size changes nothing. */
static void resize_is_a_weighted_mean(void **state) {
    (void)state;
    chosen same = choose("resize", "size=8 exact=true"), half = choose("resize", "size=4 exact=true"),
           twice = choose("resize", "size=16 exact=true");
    crumb_image from = picture(8, 8, 3);
    crumb_image to = apply(&same, &from, 0);
    assert_memory_equal(to.pixels, from.pixels, 192);
    free(to.pixels);
    for (int64_t i = 0; i < 192; i++) {
        from.pixels[i] = (uint8_t)(i / 3 % 8 * 16 + 10); /* a ramp over the columns */
    }
    to = apply(&half, &from, 0);
    for (int64_t y = 0; y < 4; y++) {
        assert_int_equal(at(&to, y, 1, 0), (1 * 26 + 3 * 42 + 3 * 58 + 1 * 74 + 4) / 8);
        assert_int_equal(at(&to, y, 2, 2), 82);
        assert_int_equal(at(&to, y, 0, 1), (3 * 10 + 3 * 26 + 1 * 42 + 3) / 7); /* the part of the triangle that is inside */
    }
    free(to.pixels);
    to = apply(&twice, &from, 0);
    assert_int_equal(at(&to, 5, 0, 0), 10);
    assert_int_equal(at(&to, 5, 1, 0), 14); /* a quarter of the way from 10 to 26 */
    assert_int_equal(at(&to, 5, 2, 0), 22);
    assert_int_equal(at(&to, 5, 15, 0), 122);
    free(to.pixels);
    memset(from.pixels, 77, 192);
    static const char *const sizes[] = {"size=1 exact=true", "size=3 exact=true", "size=31 exact=true"};
    for (int k = 0; k < 3; k++) {
        chosen c = choose("resize", sizes[k]);
        to = apply(&c, &from, 0);
        for (int64_t i = 0; i < to.height * to.width * 3; i++) {
            assert_int_equal(to.pixels[i], 77);
        }
        free(to.pixels);
    }
    free(from.pixels);
}

static void center_crop_takes_the_middle(void **state) {
    (void)state;
    crumb_image from = picture(7, 10, 3);
    chosen c = choose("center-crop", "size=4");
    crumb_image to = apply(&c, &from, 0);
    assert_true(is_window(&from, &to, 2, 3, false)); /* round(1.5) = 2 */
    free(to.pixels);
    c = choose("center-crop", "size=2");
    to = apply(&c, &from, 0);
    assert_true(is_window(&from, &to, 2, 4, false)); /* round(2.5) = 2 */
    free(to.pixels);
    c = choose("center-crop", "size=9");
    to = apply(&c, &from, 0);
    assert_true(is_window(&from, &to, -1, 0, false)); /* two rows are missing: one above */
    free(to.pixels);
    c = choose("center-crop", "size=12");
    to = apply(&c, &from, 0);
    assert_true(is_window(&from, &to, -2, -1, false));
    free(to.pixels);
    free(from.pixels);
}

/* The window shows in what a picture of its own coordinates becomes. */
static void random_resized_crop_keeps_to_its_ranges(void **state) {
    (void)state;
    chosen c = choose("random-resized-crop", "size=20 scale_min=0.25");
    crumb_image from = picture(200, 200, 2);
    for (int64_t i = 0; i < 200 * 200; i++) {
        from.pixels[2 * i] = (uint8_t)(i % 200);
        from.pixels[2 * i + 1] = (uint8_t)(i / 200);
    }
    double least = 1, most = 0, narrow = 9, wide = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        crumb_image to = apply(&c, &from, seed);
        double width = (at(&to, 5, 15, 0) - at(&to, 5, 5, 0)) * 2, height = (at(&to, 15, 5, 1) - at(&to, 5, 5, 1)) * 2;
        double area = width * height / 40000, ratio = width / height;
        least = fmin(least, area);
        most = fmax(most, area);
        narrow = fmin(narrow, ratio);
        wide = fmax(wide, ratio);
        free(to.pixels);
    }
    assert_true(least > 0.22 && least < 0.3 && most > 0.9 && most < 1.05);
    assert_true(narrow > 0.71 && narrow < 0.8 && wide > 1.25 && wide < 1.4);
    free(from.pixels);
    from = picture(2, 300, 3); /* no window of these proportions fits: the largest one in the middle */
    crumb_image to = apply(&c, &from, 1);
    assert_int_equal(to.height * to.width, 400);
    free(to.pixels);
    free(from.pixels);
    from = picture(1, 1, 3);
    to = apply(&c, &from, 1);
    assert_int_equal(at(&to, 19, 19, 2), at(&from, 0, 0, 2));
    free(to.pixels);
    free(from.pixels);
}

static void erase_writes_one_rectangle(void **state) {
    (void)state;
    chosen c = choose("erase", "p=1 value=5"), never = choose("erase", "p=0");
    double least = 1, most = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        float image[32 * 32 * 3] = {0};
        crumb_rng rng = crumb_rng_at(seed, 0, 0);
        c.row->reals(c.params, image, 32, 32, 3, &rng);
        int64_t top = 32, bottom = -1, left = 32, right = -1, erased = 0;
        for (int64_t i = 0; i < 32 * 32; i++) {
            assert_true(image[3 * i] == image[3 * i + 1] && image[3 * i] == image[3 * i + 2]);
            if (image[3 * i] == 5) {
                top = i / 32 < top ? i / 32 : top;
                bottom = i / 32 > bottom ? i / 32 : bottom;
                left = i % 32 < left ? i % 32 : left;
                right = i % 32 > right ? i % 32 : right;
                erased++;
            }
        }
        assert_int_equal(erased, (bottom - top + 1) * (right - left + 1));
        least = fmin(least, (double)erased / 1024);
        most = fmax(most, (double)erased / 1024);
        float still[12] = {0};
        never.row->reals(never.params, still, 2, 2, 3, &rng);
        assert_true(still[0] == 0 && still[11] == 0);
    }
    assert_true(least > 0.01 && least < 0.04 && most > 0.3 && most < 0.37);
}

static void jitter_scales_brightness_and_contrast(void **state) {
    (void)state;
    crumb_image from = picture(8, 8, 3);
    chosen none = choose("jitter", "brightness=0 contrast=0"), bright = choose("jitter", "brightness=0.5 contrast=0"),
           flat = choose("jitter", "brightness=0 contrast=0.5");
    for (int i = 0; i < 192; i++) {
        from.pixels[i] = (uint8_t)(90 + i % 61); /* far enough from 0 and 255 that nothing is clipped */
    }
    crumb_image to = apply(&none, &from, 3);
    assert_memory_equal(to.pixels, from.pixels, 192);
    free(to.pixels);
    double least = 9, most = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        to = apply(&bright, &from, seed);
        double factor = (double)to.pixels[100] / from.pixels[100];
        assert_true(fabs(factor - (double)to.pixels[90] / from.pixels[90]) < 0.02);
        least = fmin(least, factor);
        most = fmax(most, factor);
        free(to.pixels);
        to = apply(&flat, &from, seed);
        double sum = 0, gray = 0; /* whatever the contrast, the mean gray stays */
        for (int i = 0; i < 64; i++) {
            static const double luma[3] = {0.299, 0.587, 0.114};
            for (int k = 0; k < 3; k++) {
                sum += luma[k] * to.pixels[3 * i + k];
                gray += luma[k] * from.pixels[3 * i + k];
            }
        }
        assert_true(fabs(sum - gray) / 64 < 1);
        free(to.pixels);
    }
    assert_true(least > 0.49 && least < 0.52 && most > 1.47 && most < 1.52);
    free(from.pixels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pad_crop_cuts_every_window),
        cmocka_unit_test(pad_crop_with_much_padding),
        cmocka_unit_test(flip_mirrors_with_its_probability),
        cmocka_unit_test(resize_keeps_proportions),
        cmocka_unit_test(resize_is_a_weighted_mean),
        cmocka_unit_test(center_crop_takes_the_middle),
        cmocka_unit_test(random_resized_crop_keeps_to_its_ranges),
        cmocka_unit_test(erase_writes_one_rectangle),
        cmocka_unit_test(jitter_scales_brightness_and_contrast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
