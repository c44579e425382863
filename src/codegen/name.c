/* Identifiers of the file: a layer's name with underscores for what C does not allow, and its number behind it where it would
 * be taken twice or mean something else. */
#include "codegen/codegen.h"

#include <stdio.h>
#include <string.h>

enum {
    LENGTH = 40,    /* of a layer's name */
    SEARCHED = 2000 /* with more nodes than these they are called n0, n1, ...: no search is needed */
};

/* Functions and variables of the file, the words of C, and what some compilers define. */
static const char *const taken[] = {"arena",
                                    "asm",
                                    "auto",
                                    "base",
                                    "best",
                                    "bottom",
                                    "break",
                                    "c",
                                    "case",
                                    "cell",
                                    "char",
                                    "column",
                                    "const",
                                    "continue",
                                    "default",
                                    "do",
                                    "double",
                                    "else",
                                    "enum",
                                    "exponential",
                                    "extern",
                                    "first",
                                    "float",
                                    "for",
                                    "from",
                                    "from_channel",
                                    "from_column",
                                    "from_row",
                                    "fused",
                                    "goto",
                                    "group",
                                    "h",
                                    "hyperbolic_tangent",
                                    "i",
                                    "i386",
                                    "if",
                                    "image",
                                    "inline",
                                    "int",
                                    "int16_t",
                                    "int32_t",
                                    "int8_t",
                                    "j",
                                    "k",
                                    "kh",
                                    "kw",
                                    "largest",
                                    "last",
                                    "left",
                                    "level",
                                    "level_wide",
                                    "linux",
                                    "log_sum",
                                    "logarithm",
                                    "logits",
                                    "long",
                                    "n",
                                    "part",
                                    "passed",
                                    "pixel",
                                    "pixels",
                                    "power_of_two",
                                    "product",
                                    "products",
                                    "register",
                                    "restrict",
                                    "return",
                                    "right",
                                    "rounded",
                                    "row",
                                    "short",
                                    "sigmoid",
                                    "signed",
                                    "sizeof",
                                    "square",
                                    "static",
                                    "struct",
                                    "sum",
                                    "switch",
                                    "tap",
                                    "term",
                                    "times",
                                    "to",
                                    "top",
                                    "total",
                                    "total_bytes",
                                    "total_small",
                                    "typedef",
                                    "u",
                                    "uint16_t",
                                    "uint32_t",
                                    "uint64_t",
                                    "uint8_t",
                                    "union",
                                    "unix",
                                    "unsigned",
                                    "v",
                                    "void",
                                    "volatile",
                                    "w",
                                    "while",
                                    "window",
                                    "x",
                                    "y"};

/* Of these followed by a digit: pointers and functions. */
static const char *const stems[] = {"dot", "index", "level", "n", "x", "y"};

/* What belongs to a layer is called <layer>_<one of these>; what the header declares, <file>_<one of these>. */
static const char *const endings[] = {"_weight", "_multiplier", "_bias",     "_slope",   "_threshold",
                                      "_offset", "_table",      "_step",     "_run",     "_class_name",
                                      "_rows",   "_columns",    "_channels", "_elements"};

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool crumb_codegen_identifier(const char *text) {
    size_t length = strlen(text);
    bool good = is_letter(text[0]) && length < CRUMB_CODEGEN_NAME;
    for (size_t i = 0; good && i < length; i++) {
        good = is_letter(text[i]) || is_digit(text[i]) || text[i] == '_';
    }
    return good;
}

static void clean(char out[CRUMB_CODEGEN_NAME], const char *name) {
    int32_t n = 0;
    if (!is_letter(name[0])) {
        out[n++] = 'n';
    }
    for (; *name != '\0' && n < LENGTH; name++) {
        bool good = is_letter(*name) || is_digit(*name);
        if (good || (n > 0 && out[n - 1] != '_')) { /* no two underscores: C++ keeps such names */
            out[n++] = good ? *name : '_';
        }
    }
    out[n] = '\0';
}

static bool ends_like_an_array(const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t ending = strlen(endings[i]);
        if (length >= ending && strcmp(name + length - ending, endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool begins_like_a_helper(const char *name) {
    for (size_t i = 0; i < sizeof(stems) / sizeof(stems[0]); i++) {
        size_t length = strlen(stems[i]);
        if (strncmp(name, stems[i], length) == 0 && is_digit(name[length])) {
            return true;
        }
    }
    return strncmp(name, "run_", 4) == 0;
}

/* Macros have no small letters. */
static bool is_loud(const char *name) {
    bool loud = true;
    for (; *name != '\0'; name++) {
        loud = loud && !(*name >= 'a' && *name <= 'z');
    }
    return loud;
}

static bool is_reserved(const char *name) {
    bool is = ends_like_an_array(name) || begins_like_a_helper(name) || is_loud(name);
    for (size_t k = 0; !is && k < sizeof(taken) / sizeof(taken[0]); k++) {
        is = strcmp(name, taken[k]) == 0;
    }
    return is;
}

static bool is_used(const crumb_codegen *g, int32_t i, const char *name) {
    for (int32_t k = 0; k < i; k++) {
        if (strcmp(name, g->node[k].name) == 0) {
            return true;
        }
    }
    return false;
}

static void name_node(crumb_codegen *g, int32_t i) {
    crumb_codegen_node *node = &g->node[i];
    if (g->packed->nodes > SEARCHED) {
        snprintf(node->name, sizeof(node->name), "n%d", (int)i);
        return;
    }
    clean(node->name, g->packed->node[i].name);
    for (bool taken_now = is_reserved(node->name); taken_now || is_used(g, i, node->name); taken_now = false) {
        size_t length = strlen(node->name);
        snprintf(node->name + length, sizeof(node->name) - length, "_%d", (int)i);
    }
}

void crumb_codegen_names(crumb_codegen *g) {
    for (int32_t i = 0; i < g->packed->nodes; i++) {
        name_node(g, i);
    }
    for (int32_t s = g->stages - 1; s >= 0; s--) {
        g->stage[s].name = g->stage[s].root >= 0 ? g->node[g->stage[s].root].name : NULL;
    }
    for (int32_t i = g->packed->nodes - 1; i >= 0; i--) {
        if (g->node[i].stage >= 0 && g->stage[g->node[i].stage].root < 0) {
            g->stage[g->node[i].stage].name = g->node[i].name;
        }
    }
}
