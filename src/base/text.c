/* Growing texts. */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* Room for `more` bytes and the terminating zero. */
static bool reserve(crumb_text *text, size_t more) {
    if (text->status != CRUMB_OK) {
        return false;
    }
    if (text->length + more + 1 > text->room) {
        size_t room = 2 * (text->length + more) + 64;
        char *larger = crumb_resize(text->ctx, text->at, text->room, room, 1);
        if (larger == NULL) {
            text->status = CRUMB_ERROR_MEMORY;
            return false;
        }
        text->at = larger;
        text->room = room;
    }
    return true;
}

void crumb_text_bytes(crumb_text *text, const char *bytes, size_t size) {
    if (reserve(text, size)) {
        if (size > 0) {
            memcpy(text->at + text->length, bytes, size); /* bytes may be NULL otherwise */
        }
        text->length += size;
        text->at[text->length] = '\0';
    }
}

void crumb_text_print(crumb_text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length >= 0 && reserve(text, (size_t)length)) {
        vsnprintf(text->at + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
    va_end(arguments);
}

crumb_status crumb_text_take(crumb_text *text, char **out) {
    crumb_text_bytes(text, "", 0);
    if (text->status != CRUMB_OK) {
        crumb_free(text->ctx, text->at);
        text->at = NULL;
        return text->status;
    }
    *out = text->at;
    text->at = NULL;
    return CRUMB_OK;
}
