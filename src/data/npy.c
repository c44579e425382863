/* NumPy arrays (numpy.lib.format): magic, version, a Python dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (3,
 * 4), } as text, then the numbers in C order. */
#include "data/readers.h"

#include <stdio.h>
#include <string.h>

enum { WORD = 32 };

/* A scanner over the header's text. */
typedef struct scanner {
    crumb_ctx *ctx;
    const char *name;
    const uint8_t *data;
    size_t at, end;
} scanner;

static crumb_status bad(const scanner *s, const char *what) {
    char near[17] = "";
    snprintf(near, sizeof(near), "%.*s", (int)(s->end - s->at < 16 ? s->end - s->at : 16), (const char *)s->data + s->at);
    return crumb_fail(s->ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: npy header: %s at '%s'", s->name, s->at, what, near);
}

static void skip_spaces(scanner *s) {
    while (s->at < s->end && (s->data[s->at] == ' ' || s->data[s->at] == '\n')) {
        s->at++;
    }
}

static bool take(scanner *s, char wanted) {
    skip_spaces(s);
    bool is = s->at < s->end && s->data[s->at] == (uint8_t)wanted;
    s->at += is;
    return is;
}

/* A quoted string. */
static crumb_status take_string(scanner *s, char word[WORD]) {
    skip_spaces(s);
    char quote = s->at < s->end ? (char)s->data[s->at] : '\0';
    if (quote != '\'' && quote != '"') {
        return bad(s, "a string is expected");
    }
    size_t begin = s->at + 1, end = begin;
    while (end < s->end && s->data[end] != (uint8_t)quote) {
        end++;
    }
    if (end == s->end || end - begin >= WORD) {
        return bad(s, "a short string is expected");
    }
    memcpy(word, s->data + begin, end - begin);
    word[end - begin] = '\0';
    s->at = end + 1;
    return CRUMB_OK;
}

static crumb_status take_descr(scanner *s, crumb_npy *npy) {
    char word[WORD];
    size_t at = s->at;
    CRUMB_TRY(take_string(s, word));
    char order = word[0], kind = word[0] != '\0' ? word[1] : '\0';
    int item = kind != '\0' && word[2] >= '1' && word[2] <= '8' && word[3] == '\0' ? word[2] - '0' : 0;
    bool whole = (kind == 'u' || kind == 'i') && (item == 1 || item == 2 || item == 4 || item == 8);
    bool real = kind == 'f' && (item == 4 || item == 8);
    if ((!whole && !real) || (order == '>' && item > 1) || strchr("<>|=", order) == NULL) {
        return crumb_fail(s->ctx, CRUMB_ERROR_UNSUPPORTED,
                          "%s: byte %zu: elements of type '%s'; u1 to u8, i1 to i8, f4 and f8, "
                          "little-endian, are read",
                          s->name, at, word);
    }
    npy->kind = kind;
    npy->item = item;
    return CRUMB_OK;
}

static crumb_status take_order(scanner *s) {
    skip_spaces(s);
    if (s->end - s->at >= 4 && memcmp(s->data + s->at, "True", 4) == 0) {
        return crumb_fail(s->ctx, CRUMB_ERROR_UNSUPPORTED,
                          "%s: byte %zu: fortran_order is True; save a C-ordered array "
                          "(numpy.ascontiguousarray)",
                          s->name, s->at);
    }
    if (s->end - s->at < 5 || memcmp(s->data + s->at, "False", 5) != 0) {
        return bad(s, "True or False is expected");
    }
    s->at += 5;
    return CRUMB_OK;
}

static crumb_status take_shape(scanner *s, crumb_npy *npy) {
    if (!take(s, '(')) {
        return bad(s, "'(' is expected");
    }
    npy->count = 1;
    while (!take(s, ')')) {
        size_t at = s->at;
        uint64_t value = 0;
        while (s->at < s->end && s->data[s->at] >= '0' && s->data[s->at] <= '9' && value < UINT64_MAX / 100) {
            value = value * 10 + (uint64_t)(s->data[s->at++] - '0');
        }
        if (s->at == at || npy->rank == 4) {
            return bad(s, "a shape of at most 4 numbers is expected");
        }
        if (value > INT64_MAX || __builtin_mul_overflow(npy->count, (size_t)value, &npy->count)) {
            return bad(s, "the shape overflows");
        }
        npy->dim[npy->rank++] = (int64_t)value;
        if (!take(s, ',')) {
            return take(s, ')') ? CRUMB_OK : bad(s, "',' or ')' is expected");
        }
    }
    return CRUMB_OK;
}

static crumb_status take_dictionary(scanner *s, crumb_npy *npy) {
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    unsigned seen = 0;
    if (!take(s, '{')) {
        return bad(s, "'{' is expected");
    }
    while (!take(s, '}')) {
        char word[WORD];
        CRUMB_TRY(take_string(s, word));
        unsigned key = 0;
        while (key < 3 && strcmp(keys[key], word) != 0) {
            key++;
        }
        if (key == 3 || (seen & 1U << key) != 0 || !take(s, ':')) {
            return bad(s, "descr, fortran_order and shape are expected, once each");
        }
        seen |= 1U << key;
        CRUMB_TRY(key == 0 ? take_descr(s, npy) : key == 1 ? take_order(s) : take_shape(s, npy));
        if (!take(s, ',')) {
            if (!take(s, '}')) {
                return bad(s, "',' or '}' is expected");
            }
            break;
        }
    }
    return seen == 7 ? CRUMB_OK : bad(s, "descr, fortran_order or shape is missing");
}

crumb_status crumb_npy_parse(crumb_ctx *ctx, const char *name, const uint8_t *data, size_t size, crumb_npy *out) {
    if (size < 10 || memcmp(data, "\x93NUMPY", 6) != 0) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte 0: magic 0x%02x in %zu bytes, .npy begins with 0x93 NUMPY", name,
                          size > 0 ? data[0] : 0, size);
    }
    if (data[6] < 1 || data[6] > 3) {
        return crumb_fail(ctx, CRUMB_ERROR_UNSUPPORTED, "%s: byte 6: npy version %d, 1 to 3 are read", name, data[6]);
    }
    size_t begin = data[6] == 1 ? 10 : 12, length = data[8] | (size_t)data[9] << 8;
    length |= data[6] == 1 || size < begin ? 0 : (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (size < begin || length > size - begin) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte 8: truncated: npy header of %zu bytes in a file of %zu", name,
                          length, size);
    }
    crumb_npy npy = {0};
    scanner s = {ctx, name, data, begin, begin + length};
    CRUMB_TRY(take_dictionary(&s, &npy));
    npy.offset = begin + length;
    size_t bytes;
    if (__builtin_mul_overflow(npy.count, (size_t)npy.item, &bytes) || bytes != size - npy.offset) {
        return crumb_fail(ctx, CRUMB_ERROR_FORMAT, "%s: byte %zu: %zu bytes of numbers, the shape needs %zu of %d bytes each",
                          name, size, size - npy.offset, npy.count, npy.item);
    }
    *out = npy;
    return CRUMB_OK;
}
