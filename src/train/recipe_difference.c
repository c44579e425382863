/* Where two effective recipes differ. Both are printed by recipe_print.c: block style, two spaces a level, a key a line, so a
 * line's path is its own key and those of the nearest lines above it that are indented less. */
#include "train/recipe.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH = 16 };

/* A line, taken apart: "    - lr: 0.1" is indent 6 (where its keys stand), key "lr", value "0.1". */
typedef struct line {
    size_t indent, key_length, value_length;
    const char *key, *value;
    bool item; /* starts an element of a list */
} line;

static line parse(const char *at) {
    line l = {.indent = strspn(at, " ")};
    l.item = strncmp(at + l.indent, "- ", 2) == 0;
    l.indent += l.item ? 2 : 0;
    l.key = at + l.indent;
    l.key_length = strcspn(l.key, ":\n");
    l.value = l.key + l.key_length;
    l.value += *l.value == ':';
    l.value += *l.value == ' ';
    l.value_length = strcspn(l.value, "\n");
    return l;
}

static const char *next_line(const char *at) {
    at += strcspn(at, "\n");
    return *at == '\n' ? at + 1 : at;
}

/* Keys and list indices on the way to a line. */
typedef struct path {
    int depth;
    struct {
        size_t indent;
        const char *key;
        size_t length;
        int index; /* of the list element whose keys stand here, -1: no list */
    } at[DEPTH];
} path;

static void step(path *p, const line *l) {
    while (p->depth > 0 && p->at[p->depth - 1].indent > l->indent) {
        p->depth--;
    }
    bool same = p->depth > 0 && p->at[p->depth - 1].indent == l->indent;
    int index = same ? p->at[p->depth - 1].index + l->item : l->item ? 0 : -1;
    p->depth += !same && p->depth < DEPTH;
    p->at[p->depth - 1].indent = l->indent;
    p->at[p->depth - 1].key = l->key;
    p->at[p->depth - 1].length = l->key_length;
    p->at[p->depth - 1].index = index;
}

static int print_path(const path *p, char *text, int room) {
    int used = 0;
    for (int i = 0; i < p->depth && used < room; i++) {
        if (p->at[i].index >= 0) {
            used += snprintf(text + used, (size_t)(room - used), "%d.", p->at[i].index);
        }
        used += used < room ? snprintf(text + used, (size_t)(room - used), "%.*s%s", (int)p->at[i].length, p->at[i].key,
                                       i + 1 < p->depth ? "." : "")
                            : 0;
    }
    return used < room ? used : room;
}

bool crumb_recipe_difference(const char *now, const char *before, char text[CRUMB_RECIPE_DIFFERENCE]) {
    enum { PATH = 160 };
    path p = {0};
    text[0] = '\0';
    for (; *now != '\0' || *before != '\0'; now = next_line(now), before = next_line(before)) {
        line a = parse(now), b = parse(before);
        size_t length = (size_t)(next_line(now) - now);
        if (*now != '\0' && strncmp(now, before, length) == 0) {
            step(&p, &a);
            continue;
        }
        bool same_key = a.indent == b.indent && a.key_length == b.key_length && strncmp(a.key, b.key, a.key_length) == 0;
        bool gone = *now == '\0' || a.indent < b.indent;
        step(&p, gone ? &b : &a);
        int used = print_path(&p, text, PATH);
        if (same_key) {
            snprintf(text + used, (size_t)(CRUMB_RECIPE_DIFFERENCE - used), " is %.*s, was %.*s",
                     (int)(a.value_length < 80 ? a.value_length : 80), a.value_length > 0 ? a.value : "there",
                     (int)(b.value_length < 80 ? b.value_length : 80), b.value_length > 0 ? b.value : "there");
        } else {
            snprintf(text + used, (size_t)(CRUMB_RECIPE_DIFFERENCE - used), gone ? " is gone" : " is new");
        }
        return true;
    }
    return false;
}
