/* Sizes and offsets of activation buffers. */
#include "harness.h"

#include "runtime/layout.h"

static void real(void **state) {
    (void)state;
    crumb_layout layout = crumb_layout_make(CRUMB_LAYOUT_REAL, 5, 7, 3, 1, 2);
    assert_int_equal(layout.pixel_bytes, 12);
    assert_int_equal(layout.row_bytes, 11 * 12);
    assert_int_equal(layout.plane_bytes, 9 * 11 * 12);
    assert_int_equal(layout.bytes, (9 * 11 * 12 + CRUMB_LAYOUT_SLACK + 63) / 64 * 64);
    assert_int_equal(crumb_layout_at(&layout, -2, -2), 0);
    assert_int_equal(crumb_layout_at(&layout, 0, 0), 2 * 11 * 12 + 2 * 12);
    assert_int_equal(crumb_layout_at(&layout, 6, 8), 9 * 11 * 12 - 12);
}

static void bytes(void **state) {
    (void)state;
    for (int32_t channels = 1; channels <= 9; channels++) {
        crumb_layout layout = crumb_layout_make(CRUMB_LAYOUT_BYTES, 2, 3, channels, 8, 0);
        assert_int_equal(layout.pixel_bytes, (channels + 3) / 4 * 4);
        assert_int_equal(layout.planes, 1);
        assert_int_equal(layout.plane_bytes, 6 * layout.pixel_bytes);
    }
}

static void planes(void **state) {
    (void)state;
    for (int32_t channels = 1; channels <= 65; channels += 8) {
        crumb_layout layout = crumb_layout_make(CRUMB_LAYOUT_PLANES, 4, 4, channels, 3, 1);
        assert_int_equal(layout.pixel_bytes, (channels + 15) / 16 * 2);
        assert_int_equal(layout.plane_bytes, 36 * layout.pixel_bytes);
        assert_true(layout.bytes >= 3 * layout.plane_bytes + CRUMB_LAYOUT_SLACK);
        assert_int_equal(layout.bytes % 64, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(real), cmocka_unit_test(bytes), cmocka_unit_test(planes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
