/* UTF-8: every code point there is, encoded by its definition, and everything that is not one. */
#include "harness.h"

#include "base/utf8.h"

/* RFC 3629, section 3. */
static size_t encode(uint32_t point, char bytes[4]) {
    size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, point >>= 6) {
        bytes[i] = (char)(0x80 | (point & 0x3f));
    }
    bytes[0] = (char)(lead[length] | point);
    return length;
}

static void test_points(void **state) {
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        char bytes[4];
        uint32_t decoded = 1234567;
        size_t length = encode(point, bytes);
        bool valid = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        assert_int_equal(crumb_utf8_next(bytes, 4, &decoded), valid ? length : 0);
        assert_int_equal(decoded, valid ? point : 1234567);
        assert_int_equal(crumb_utf8_next(bytes, length - 1, &decoded), 0);
    }
}

static void test_others(void **state) {
    (void)state;
    static const char *const bad[] = {"\x80",          "\xbf",
                                      "\xc0\x80",      "\xc1\xbf",
                                      "\xe0\x9f\xbf",  "\xf0\x8f\xbf\xbf",
                                      "\xc3(",         "\xe2\x82(",
                                      "\xf0\x9f\x8d(", "\xf8\x88\x80\x80\x80",
                                      "\xff",          "\xc3\xc3"};
    uint32_t point;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(crumb_utf8_next(bad[i], strlen(bad[i]), &point), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_points), cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
