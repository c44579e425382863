/* Parameter tables: presets, parsing, printing. */
#include "base/param.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *member(const crumb_param *param, void *out) {
    return (char *)out + param->offset;
}

const crumb_param *crumb_param_find(const crumb_param *params, const char *name) {
    for (; params != NULL && params->name != NULL; params++) {
        if (strcmp(params->name, name) == 0) {
            return params;
        }
    }
    return NULL;
}

const char *crumb_choice_word(const char *choices, int index, char *word, size_t size) {
    const char *at = choices;
    for (int i = 0; i < index && at != NULL; i++) {
        at = strchr(at, '|');
        at = at != NULL ? at + 1 : NULL;
    }
    snprintf(word, size, "%.*s", at != NULL ? (int)strcspn(at, "|") : 0, at != NULL ? at : "");
    return word;
}

static int choice_index(const char *choices, const char *text) {
    char word[64];
    for (int i = 0; crumb_choice_word(choices, i, word, sizeof(word))[0] != '\0'; i++) {
        if (strcmp(word, text) == 0) {
            return i;
        }
    }
    return -1;
}

static crumb_status out_of_range(crumb_ctx *ctx, const crumb_param *param, const char *text) {
    if (param->max >= 1e300) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %s is below %g", param->name, text, param->min);
    }
    return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %s is outside %g .. %g", param->name, text, param->min, param->max);
}

/* A whole text as a finite number; NaN and infinities are no parameter's value. */
static bool parse_real(const char *text, double *value) {
    char *end;
    errno = 0;
    double parsed = strtod(text, &end);
    while (*end == ' ') {
        end++;
    }
    if (end == text || *end != '\0' || !isfinite(parsed)) {
        return false;
    }
    *value = parsed;
    return true;
}

static bool parse_int(const char *text, int64_t *value) {
    char *end;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno == ERANGE) {
        return false;
    }
    *value = parsed;
    return true;
}

static crumb_status set_list(crumb_ctx *ctx, const crumb_param *param, crumb_list *out, const char *text) {
    crumb_list list = {0};
    size_t length = strlen(text);
    if (length < 2 || text[0] != '[' || text[length - 1] != ']') {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %s is not a list of numbers like [1, 2]", param->name, text);
    }
    const char *at = text + 1, *end = text + length - 1;
    while (at < end && strspn(at, " ") < (size_t)(end - at)) {
        char item[64];
        at += strspn(at, " ");
        size_t width = strcspn(at, ",]");
        snprintf(item, sizeof(item), "%.*s", (int)(width < sizeof(item) ? width : sizeof(item) - 1), at);
        double value;
        if (!parse_real(item, &value)) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: '%s' in %s is not a number", param->name, item, text);
        }
        if (value < param->min || value > param->max) {
            return out_of_range(ctx, param, item);
        }
        if (list.count == CRUMB_LIST_MAX) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: more than %d numbers", param->name, CRUMB_LIST_MAX);
        }
        list.at[list.count++] = value;
        at += width + 1;
    }
    *out = list;
    return CRUMB_OK;
}

static crumb_status set_number(crumb_ctx *ctx, const crumb_param *param, void *out, const char *text) {
    double value;
    int64_t whole = 0;
    bool is_int = param->type == CRUMB_PARAM_INT;
    if (is_int ? !parse_int(text, &whole) : !parse_real(text, &value)) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: '%s' is not a %snumber", param->name, text, is_int ? "whole " : "");
    }
    value = is_int ? (double)whole : value;
    if (value < param->min || value > param->max) {
        return out_of_range(ctx, param, text);
    }
    if (is_int) {
        *(int64_t *)member(param, out) = whole;
    } else {
        *(double *)member(param, out) = value;
    }
    return CRUMB_OK;
}

static crumb_status set_text(crumb_ctx *ctx, const crumb_param *param, char *out, const char *text) {
    size_t length = strlen(text), room = param->max > 0 ? (size_t)param->max : CRUMB_TEXT_MAX;
    if (length >= room) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: %zu bytes, at most %zu", param->name, length, room - 1);
    }
    memset(out, 0, room);
    memcpy(out, text, length);
    return CRUMB_OK;
}

crumb_status crumb_param_set(crumb_ctx *ctx, const crumb_param *param, void *out, const char *text) {
    int index;
    switch (param->type) {
    case CRUMB_PARAM_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: '%s' is neither true nor false", param->name, text);
        }
        *(bool *)member(param, out) = text[0] == 't';
        return CRUMB_OK;
    case CRUMB_PARAM_CHOICE:
        index = choice_index(param->choices, text);
        if (index < 0) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: '%s' is none of %s", param->name, text, param->choices);
        }
        *(int *)member(param, out) = index;
        return CRUMB_OK;
    case CRUMB_PARAM_TEXT:
        return set_text(ctx, param, member(param, out), text);
    case CRUMB_PARAM_LIST:
        return set_list(ctx, param, member(param, out), text);
    case CRUMB_PARAM_INT:
    case CRUMB_PARAM_REAL:
        return set_number(ctx, param, out, text);
    }
    return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: parameter type %d is unknown", param->name, (int)param->type);
}

void crumb_params_preset(const crumb_param *params, void *out) {
    crumb_ctx *ctx = NULL; /* presets are in range (tested for every row), so no message is ever written */
    for (; params != NULL && params->name != NULL; params++) {
        crumb_status status = crumb_param_set(ctx, params, out, params->preset);
        assert(status == CRUMB_OK);
        (void)status;
    }
}

/* The shortest of %.15g to %.17g that reads back to the same double. */
static int print_real(double value, char *text, size_t size) {
    int length = 0;
    for (int digits = 6; digits <= 17; digits++) {
        length = snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    return length;
}

size_t crumb_param_print(const crumb_param *param, const void *from, char *text, size_t size) {
    const char *at = (const char *)from + param->offset;
    char number[64];
    size_t length;
    switch (param->type) {
    case CRUMB_PARAM_BOOL:
        return (size_t)snprintf(text, size, "%s", *(const bool *)at ? "true" : "false");
    case CRUMB_PARAM_INT:
        return (size_t)snprintf(text, size, "%" PRId64, *(const int64_t *)at);
    case CRUMB_PARAM_REAL:
        print_real(*(const double *)at, number, sizeof(number));
        return (size_t)snprintf(text, size, "%s", number);
    case CRUMB_PARAM_CHOICE:
        return (size_t)snprintf(text, size, "%s", crumb_choice_word(param->choices, *(const int *)at, number, sizeof(number)));
    case CRUMB_PARAM_TEXT:
        return (size_t)snprintf(text, size, "%s", at);
    case CRUMB_PARAM_LIST:
        break;
    }
    const crumb_list *list = (const crumb_list *)at;
    length = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < list->count; i++) {
        print_real(list->at[i], number, sizeof(number));
        length += (size_t)snprintf(text + (length < size ? length : size), length < size ? size - length : 0, "%s%s",
                                   i == 0 ? "" : ", ", number);
    }
    return length + (size_t)snprintf(text + (length < size ? length : size), length < size ? size - length : 0, "]");
}

/* Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours count one each. */
static size_t edit_distance(const char *a, const char *b) {
    enum { MAX = 48 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= MAX || m >= MAX) {
        return MAX;
    }
    size_t d[MAX][MAX];
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best) {
                best = d[i - 2][j - 2] + 1;
            }
            d[i][j] = best;
        }
    }
    return d[n][m];
}

const char *crumb_nearest(const char *name, const char *const *names, size_t count) {
    const char *nearest = NULL;
    size_t limit = (strlen(name) + 1) / 2; /* further away is another word, not a slip */
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(name, names[i]);
        if (distance <= limit && (nearest == NULL || distance < edit_distance(name, nearest))) {
            nearest = names[i];
        }
    }
    return nearest;
}
