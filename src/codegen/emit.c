/* Lines of functions and elements of arrays. */
#include "codegen/emit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

crumb_expression crumb_expression_of(const char *format, ...) {
    crumb_expression made;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(made.text, sizeof(made.text), format, arguments);
    va_end(arguments);
    return made;
}

static void print_line(crumb_emit *e, const char *text, const char *end) {
    crumb_text_print(&e->stages, "%*s%s%s\n", 4 * e->indent, "", text, end);
}

void crumb_emit_line(crumb_emit *e, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    print_line(e, text, "");
}

void crumb_emit_open(crumb_emit *e, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    print_line(e, text, " {");
    e->indent++;
}

void crumb_emit_close(crumb_emit *e) {
    e->indent--;
    print_line(e, "}", "");
}

bool crumb_emit_loop(crumb_emit *e, const char *name, int32_t count) {
    if (count > 1) {
        crumb_emit_open(e, "for (int32_t %s = 0; %s < %d; %s++)", name, name, (int)count, name);
    }
    return count > 1;
}

/* ---- Arrays. */

static const char *type_of(int bits) {
    switch (bits) {
    case 8:
        return "uint8_t";
    case -16:
        return "int16_t";
    case -32:
        return "int32_t";
    default:
        return "uint32_t";
    }
}

void crumb_emit_array_open(crumb_emit *e, const char *owner, const char *ending, int bits, int64_t count) {
    e->constant_bytes += count * (bits < 0 ? -bits : bits) / 8;
    crumb_text_print(&e->data, "static const %s %s_%s[%lld] = {", type_of(bits), owner, ending, (long long)count);
}

void crumb_emit_element(crumb_emit *e, int bits, int64_t value, int64_t at) {
    int a_line = bits == 32 ? 8 : 16;
    crumb_text_print(&e->data, "%s", at % a_line == 0 ? "\n    " : " ");
    if (bits == 32) {
        crumb_text_print(&e->data, "0x%08llxu,", (unsigned long long)value);
    } else {
        crumb_text_print(&e->data, "%lld,", (long long)value);
    }
}

void crumb_emit_array_close(crumb_emit *e) {
    crumb_text_print(&e->data, "\n};\n");
}

/* Infinity, of thresholds, and NaN, of pixels: <float.h> has no names for them. */
crumb_expression crumb_emit_real(float value) {
    if (isnan(value) || isinf(value)) {
        return crumb_expression_of("%s", isnan(value) ? "0.0f / 0.0f" : value < 0.0f ? "-1.0f / 0.0f" : "1.0f / 0.0f");
    }
    crumb_expression made = crumb_expression_of("%.9g", (double)value);
    bool whole = strpbrk(made.text, ".e") == NULL;
    size_t length = strlen(made.text);
    snprintf(made.text + length, sizeof(made.text) - length, "%sf", whole ? ".0" : "");
    return made;
}

void crumb_emit_reals(crumb_emit *e, const char *owner, const char *ending, const float *value, int64_t count) {
    e->constant_bytes += count * (int64_t)sizeof(*value);
    crumb_text_print(&e->data, "static const float %s_%s[%lld] = {", owner, ending, (long long)count);
    for (int64_t i = 0; i < count; i++) {
        crumb_text_print(&e->data, "%s%s,", i % 8 == 0 ? "\n    " : " ", crumb_emit_real(value[i]).text);
    }
    crumb_emit_array_close(e);
}
