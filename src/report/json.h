/* Reading JSON that somebody else may have written: what is not there or of another type is a value that says so, never a
 * failure. */
#ifndef CRUMB_REPORT_JSON_H
#define CRUMB_REPORT_JSON_H

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* A finite number, else NaN. */
static inline double crumb_json_real(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    return isfinite(number) ? number : NAN;
}

/* A whole number within the range, else `absent`. */
static inline int64_t crumb_json_whole(const json_t *object, const char *key, int64_t min, int64_t max, int64_t absent) {
    const json_t *value = json_object_get(object, key);
    int64_t number = json_is_integer(value) ? json_integer_value(value) : absent;
    return json_is_integer(value) && number >= min && number <= max ? number : absent;
}

/* The text, or NULL. */
static inline const char *crumb_json_text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

#endif
