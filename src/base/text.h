/* A text that grows as it is printed to. The first failure sticks; later prints are ignored, so callers check once, at the end.
 */
#ifndef CRUMB_TEXT_H
#define CRUMB_TEXT_H

#include "base/ctx.h"

typedef struct crumb_text {
    crumb_ctx *ctx;
    char *at; /* zero-terminated, NULL while empty; release with crumb_free */
    size_t length, room;
    crumb_status status;
} crumb_text;

void crumb_text_print(crumb_text *text, const char *format, ...) CRUMB_PRINTF(2, 3);
void crumb_text_bytes(crumb_text *text, const char *bytes, size_t size);
/* Gives the text to the caller ("" if nothing was printed), or frees it and says why not. */
crumb_status crumb_text_take(crumb_text *text, char **out);

#endif
