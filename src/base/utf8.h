/* UTF-8 (RFC 3629): overlong forms, surrogates and points above 10ffff are not UTF-8. */
#ifndef CRUMB_UTF8_H
#define CRUMB_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the sequence at `at`, of at most `size` bytes: returns its length and sets *point, or 0 if there is none. */
size_t crumb_utf8_next(const char *at, size_t size, uint32_t *point);

#endif
