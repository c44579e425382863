/* Parameter structs described by tables (crumb_param): defaults, parsing, range errors, printing. */
#ifndef CRUMB_PARAM_H
#define CRUMB_PARAM_H

#include "base/ctx.h"

/* Fills the struct with every row's preset. A preset outside its own range is a bug and asserts. */
void crumb_params_preset(const crumb_param *params, void *out);
const crumb_param *crumb_param_find(const crumb_param *params, const char *name);
/* Sets one member from text as in a recipe. Message: "lr: 12 is outside 0 .. 10", "cylic is none of saw-tooth|triangle"... */
crumb_status crumb_param_set(crumb_ctx *ctx, const crumb_param *param, void *out, const char *text);
/* Writes the member as recipe text that crumb_param_set reads back to the same bits. Returns the length as snprintf does. */
size_t crumb_param_print(const crumb_param *param, const void *from, char *text, size_t size);
/* The word of a choice, e.g. crumb_choice_word("a|b|c", 1, buf, n) -> "b". */
const char *crumb_choice_word(const char *choices, int index, char *word, size_t size);

#endif
