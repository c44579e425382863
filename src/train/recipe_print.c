/* The effective recipe as YAML: every key, in the tables' order, in block style. What is printed reads back to the same bits.
 */
#include "train/recipe_read.h"

#include "base/param.h"
#include "base/utf8.h"
#include "train/catalog.h"

#include <string.h>

enum { VALUE_MAX = CRUMB_LIST_MAX * 32 }; /* the longest value is a list of reals */

static const void *in(const void *owner, size_t offset) {
    return (const char *)owner + offset;
}

/* True if the text means itself without quotes. */
static bool is_plain(const char *text) {
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    return text[0] != '\0' && text[0] != '-' && strspn(text, safe) == strlen(text);
}

/* Printable characters as they are, others as escapes. */
void crumb_recipe_quote(crumb_text *to, const char *text, bool variables) {
    crumb_text_bytes(to, "\"", 1);
    size_t size = strlen(text), length;
    uint32_t point = 0; /* recipes hold UTF-8 alone */
    for (const char *at = text, *end = text + size; (length = crumb_utf8_next(at, (size_t)(end - at), &point)) > 0;
         at += length) {
        if (point == '"' || point == '\\') {
            crumb_text_print(to, "\\%c", (char)point);
        } else if (variables && point == '$' && at[1] == '{') {
            crumb_text_bytes(to, "$$", 2);
        } else if ((point >= ' ' && point < 127) || (point >= 0xa0 && point < 0x2000)) {
            crumb_text_bytes(to, at, length);
        } else {
            crumb_text_print(to, "\\U%08X", point);
        }
    }
    crumb_text_bytes(to, "\"", 1);
}

static void print_text(crumb_text *to, const char *text) {
    if (is_plain(text)) {
        crumb_text_print(to, "%s", text);
    } else {
        crumb_recipe_quote(to, text, true);
    }
}

static void print_key(crumb_text *to, int indent, const char *key) {
    /* "- " has been printed in place of the first key's indent. */
    bool after_dash = to->length >= 2 && memcmp(to->at + to->length - 2, "- ", 2) == 0;
    crumb_text_print(to, "%*s%s:", after_dash ? 0 : indent, "", key);
}

static void print_params(crumb_text *to, int indent, const crumb_param *params, const void *owner) {
    for (const crumb_param *param = params; param != NULL && param->name != NULL; param++) {
        print_key(to, indent, param->name);
        crumb_text_bytes(to, " ", 1);
        if (param->type == CRUMB_PARAM_TEXT) {
            print_text(to, in(owner, param->offset));
        } else {
            char value[VALUE_MAX];
            crumb_param_print(param, owner, value, sizeof(value));
            crumb_text_print(to, "%s", value);
        }
        crumb_text_bytes(to, "\n", 1);
    }
}

static void print_map(crumb_text *to, int indent, const crumb_schema *schema, const void *owner);

static void print_list(crumb_text *to, int indent, const crumb_schema_child *child, const void *owner) {
    int count;
    memcpy(&count, in(owner, child->count), sizeof(count));
    print_key(to, indent, child->key);
    crumb_text_print(to, "%s\n", count == 0 ? " []" : "");
    for (int i = 0; i < count; i++) {
        crumb_text_print(to, "%*s- ", indent + 2, "");
        print_map(to, indent + 4, child->schema, in(owner, child->offset + (size_t)i * child->stride));
    }
}

/* A section without the row that it cannot do without is absent. */
static bool is_absent(const crumb_schema *schema, const void *owner) {
    bool absent = false;
    for (const crumb_schema_child *child = schema->children; child != NULL && child->key != NULL; child++) {
        absent |= child->max == 0 && child->schema->kind != CRUMB_NO_KIND && child->schema->preset == NULL &&
                  crumb_schema_row(child->schema, in(owner, child->offset)) == NULL;
    }
    return absent;
}

static void print_child(crumb_text *to, int indent, const crumb_schema_child *child, const void *owner) {
    const void *inner = in(owner, child->offset);
    if (child->given != CRUMB_NO_OFFSET && !*(const bool *)in(owner, child->given)) {
        return;
    }
    if (child->max > 0) {
        print_list(to, indent, child, owner);
        return;
    }
    print_key(to, indent, child->key);
    if (is_absent(child->schema, inner)) {
        crumb_text_print(to, " none\n");
        return;
    }
    crumb_text_bytes(to, "\n", 1);
    print_map(to, indent + 2, child->schema, inner);
}

static void print_map(crumb_text *to, int indent, const crumb_schema *schema, const void *owner) {
    if (schema->kind != CRUMB_NO_KIND) {
        const void *row = crumb_schema_row(schema, owner);
        print_key(to, indent, "name");
        crumb_text_print(to, " %s\n", row != NULL ? crumb_row_name(row) : "none");
        if (row == NULL) {
            return;
        }
        print_params(to, indent, crumb_row_params((crumb_kind)schema->kind, row), in(owner, schema->row_params));
    }
    print_params(to, indent, schema->params, owner);
    for (const crumb_schema_child *child = schema->children; child != NULL && child->key != NULL; child++) {
        print_child(to, indent, child, owner);
    }
}

crumb_status crumb_recipe_print(const crumb_recipe *recipe, char **yaml) {
    crumb_text text = {.ctx = recipe->ctx};
    print_map(&text, 0, &crumb_recipe_schema, recipe);
    return crumb_text_take(&text, yaml);
}

void crumb_text_free(crumb_ctx *ctx, char *text) {
    crumb_free(ctx, text);
}
