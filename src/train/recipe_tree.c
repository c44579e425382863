/* Recipe trees: built from libfyaml's events rather than its documents, so that every node is ours (allocation, lines, edits by
 * overrides) and the parts of YAML a recipe has no use for can be refused by name. */
#include "train/recipe_tree.h"

#include "base/text.h"
#include "base/utf8.h"

#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

typedef struct parser {
    crumb_ctx *ctx;
    const char *file;
    bool lines; /* nodes get line numbers */
    struct fy_parser *yaml;
    struct fy_diag *diag;
    int depth;
} parser;

crumb_status crumb_tree_blame(crumb_ctx *ctx, crumb_status status, const crumb_tree *at) {
    return at->line > 0 ? crumb_fail_in(ctx, status, "%s:%d", at->file, at->line) : crumb_fail_in(ctx, status, "%s", at->file);
}

crumb_status crumb_tree_fail(crumb_ctx *ctx, crumb_status status, const crumb_tree *at, const char *format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    crumb_fail(ctx, status, "%s", message);
    return crumb_tree_blame(ctx, status, at);
}

static void free_contents(crumb_ctx *ctx, crumb_tree *tree) {
    for (crumb_tree *child = tree->first, *next; child != NULL; child = next) {
        next = child->next;
        crumb_tree_free(ctx, child);
    }
    crumb_free(ctx, tree->text);
    tree->first = NULL;
    tree->text = NULL;
}

void crumb_tree_free(crumb_ctx *ctx, crumb_tree *tree) {
    if (tree != NULL) {
        free_contents(ctx, tree);
        crumb_free(ctx, tree->key);
        crumb_free(ctx, tree);
    }
}

const crumb_tree *crumb_tree_find(const crumb_tree *map, const char *key) {
    for (const crumb_tree *child = map->first; child != NULL; child = child->next) {
        if (child->key != NULL && strcmp(child->key, key) == 0) {
            return child;
        }
    }
    return NULL;
}

bool crumb_tree_is_nothing(const char *text) {
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 || strcmp(text, "none") == 0;
}

/* A new last child; it is the parent's to free at once. */
static crumb_tree *append(crumb_ctx *ctx, crumb_tree *parent, const char *file, int line) {
    crumb_tree *child = crumb_alloc(ctx, 1, sizeof(*child));
    if (child != NULL) {
        crumb_tree **end = &parent->first;
        while (*end != NULL) {
            end = &(*end)->next;
        }
        *end = child;
        child->file = file;
        child->line = line;
    }
    return child;
}

/* ---- Reading YAML. */

static int line_of(const parser *p, struct fy_event *event, int otherwise) {
    const struct fy_mark *mark = fy_event_start_mark(event);
    return !p->lines ? 0 : mark != NULL ? mark->line + 1 : otherwise;
}

static crumb_status fail_at(const parser *p, int line, const char *message) {
    crumb_tree at = {.file = p->file, .line = line};
    return crumb_tree_fail(p->ctx, CRUMB_ERROR_FORMAT, &at, "%s", message);
}

/* Why the event stream ended: the first diagnostic libfyaml collected. */
static crumb_status syntax_error(const parser *p) {
    void *iterator = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(p->diag, &iterator);
    return fail_at(p, error != NULL && p->lines ? error->line : 0,
                   error != NULL && error->msg != NULL ? error->msg : "not YAML");
}

/* A scalar's text as a copy. */
static crumb_status scalar_text(const parser *p, struct fy_event *event, int line, char **out) {
    size_t size = 0;
    const char *text = event->scalar.value != NULL ? fy_token_get_text(event->scalar.value, &size) : "";
    if (text == NULL || memchr(text, '\0', size) != NULL) {
        return fail_at(p, line, "a text with a zero byte");
    }
    *out = crumb_alloc(p->ctx, size + 1, 1);
    if (*out == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    memcpy(*out, text, size);
    return CRUMB_OK;
}

static crumb_status refuse_extras(const parser *p, const struct fy_event *event, int line) {
    bool extra = event->type == FYET_ALIAS;
    extra |= event->type == FYET_SCALAR && (event->scalar.anchor != NULL || event->scalar.tag != NULL);
    extra |= event->type == FYET_MAPPING_START && (event->mapping_start.anchor != NULL || event->mapping_start.tag != NULL);
    extra |= event->type == FYET_SEQUENCE_START && (event->sequence_start.anchor != NULL || event->sequence_start.tag != NULL);
    return extra ? fail_at(p, line, "anchors, aliases and tags are not used in recipes") : CRUMB_OK;
}

static crumb_status read_node(parser *p, struct fy_event *event, crumb_tree *node);

/* The children of a list, up to its end. */
static crumb_status read_list(parser *p, crumb_tree *list) {
    for (;;) {
        struct fy_event *event = fy_parser_parse(p->yaml);
        if (event == NULL) {
            return syntax_error(p);
        }
        crumb_status status = CRUMB_OK;
        bool end = event->type == FYET_SEQUENCE_END;
        if (!end) {
            crumb_tree *child = append(p->ctx, list, p->file, line_of(p, event, list->line));
            status = child != NULL ? read_node(p, event, child) : CRUMB_ERROR_MEMORY;
        }
        fy_parser_event_free(p->yaml, event);
        if (end || status != CRUMB_OK) {
            return status;
        }
    }
}

/* The key of a mapping's next entry, as a new child without value. */
static crumb_status read_key(parser *p, struct fy_event *event, crumb_tree *map, crumb_tree **out) {
    int line = line_of(p, event, map->line);
    CRUMB_TRY(refuse_extras(p, event, line));
    if (event->type != FYET_SCALAR) {
        return fail_at(p, line, "a key is not a word");
    }
    char *key = NULL;
    CRUMB_TRY(scalar_text(p, event, line, &key));
    const crumb_tree *before = crumb_tree_find(map, key);
    crumb_tree *child = append(p->ctx, map, p->file, line);
    if (child == NULL) {
        crumb_free(p->ctx, key);
        return CRUMB_ERROR_MEMORY;
    }
    child->key = key;
    if (before != NULL) {
        return before->line > 0
                   ? crumb_tree_fail(p->ctx, CRUMB_ERROR_FORMAT, child, "key '%.60s' is already in line %d", key, before->line)
                   : crumb_tree_fail(p->ctx, CRUMB_ERROR_FORMAT, child, "key '%.60s' is there twice", key);
    }
    *out = child;
    return CRUMB_OK;
}

static crumb_status read_map(parser *p, crumb_tree *map) {
    crumb_tree *child = NULL; /* with its key read, waiting for its value */
    for (;;) {
        struct fy_event *event = fy_parser_parse(p->yaml);
        if (event == NULL) {
            return syntax_error(p);
        }
        crumb_status status = CRUMB_OK;
        bool end = event->type == FYET_MAPPING_END;
        if (!end && child == NULL) {
            status = read_key(p, event, map, &child);
        } else if (!end) {
            status = read_node(p, event, child);
            child = NULL;
        }
        fy_parser_event_free(p->yaml, event);
        if (end || status != CRUMB_OK) {
            return status;
        }
    }
}

static crumb_status read_node(parser *p, struct fy_event *event, crumb_tree *node) {
    CRUMB_TRY(refuse_extras(p, event, node->line));
    if (event->type == FYET_SCALAR) {
        node->kind = CRUMB_TREE_SCALAR;
        return scalar_text(p, event, node->line, &node->text);
    }
    if (p->depth == DEPTH_MAX) {
        return fail_at(p, node->line, "nested too deeply");
    }
    p->depth++;
    crumb_status status = CRUMB_OK;
    if (event->type == FYET_MAPPING_START) {
        node->kind = CRUMB_TREE_MAP;
        status = read_map(p, node);
    } else {
        node->kind = CRUMB_TREE_LIST;
        status = read_list(p, node);
    }
    p->depth--;
    return status;
}

/* The one document of the stream into root. */
static crumb_status read_stream(parser *p, crumb_tree *root) {
    int documents = 0;
    for (;;) {
        struct fy_event *event = fy_parser_parse(p->yaml);
        if (event == NULL) {
            return fy_parser_get_stream_error(p->yaml) ? syntax_error(p) : CRUMB_OK;
        }
        crumb_status status = CRUMB_OK;
        if (event->type == FYET_DOCUMENT_START && ++documents > 1) {
            status = fail_at(p, line_of(p, event, 0), "a second document");
        } else if (event->type == FYET_SCALAR || event->type == FYET_MAPPING_START || event->type == FYET_SEQUENCE_START ||
                   event->type == FYET_ALIAS) {
            status = read_node(p, event, root);
        }
        fy_parser_event_free(p->yaml, event);
        if (status != CRUMB_OK) {
            return status;
        }
    }
}

/* What YAML or recipes have no use for, and what libfyaml 0.7 is not proof against (a directive with a byte that is not UTF-8
 * keeps it busy for ever), is refused before it sees the text. */
static crumb_status screen(const parser *p, const char *text, size_t size) {
    int line = 1;
    uint32_t point = '\n', before;
    for (size_t at = 0, length; at < size; at += length) {
        before = point;
        length = crumb_utf8_next(text + at, size - at, &point);
        if (length == 0) {
            return fail_at(p, line, "the text is not UTF-8");
        }
        bool blank = point == '\t' || point == '\n' || point == '\r';
        bool separator = point == 0x2028 || point == 0x2029 || point == 0xfeff;
        if ((point < ' ' && !blank) || (point >= 0x7f && point < 0xa0) || separator) {
            return fail_at(p, line, "a control character; in double quotes it can be written \\uXXXX");
        }
        if (point == '%' && (before == '\n' || before == '\r')) {
            return fail_at(p, line, "a line that starts with '%': directives are not used in recipes");
        }
        line += point == '\n';
    }
    return CRUMB_OK;
}

static void discard(struct fy_diag *diag, void *user, const char *text, size_t size) {
    (void)diag, (void)user, (void)text, (void)size;
}

static crumb_status parse_yaml(parser *p, const char *text, size_t size, crumb_tree *root) {
    struct fy_diag_cfg how;
    fy_diag_cfg_default(&how);
    how.fp = NULL;
    how.output_fn = discard;
    p->diag = fy_diag_create(&how);
    if (p->diag == NULL) {
        return crumb_fail(p->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    }
    fy_diag_set_collect_errors(p->diag, true);
    struct fy_parse_cfg configuration = {.flags = FYPCF_QUIET, .diag = p->diag};
    p->yaml = fy_parser_create(&configuration);
    crumb_status status;
    if (p->yaml == NULL || fy_parser_set_string(p->yaml, text, size) != 0) {
        status = crumb_fail(p->ctx, CRUMB_ERROR_MEMORY, "out of memory");
    } else {
        status = read_stream(p, root);
    }
    fy_parser_destroy(p->yaml);
    fy_diag_destroy(p->diag);
    return status;
}

static crumb_status parse(crumb_ctx *ctx, const char *file, bool lines, const char *text, size_t size, crumb_tree **tree) {
    parser p = {.ctx = ctx, .file = file, .lines = lines};
    crumb_tree *root = crumb_alloc(ctx, 1, sizeof(*root));
    if (root == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    root->file = file;
    root->kind = CRUMB_TREE_MAP;
    crumb_status status = screen(&p, text, size);
    if (status == CRUMB_OK && size > 0) {
        status = parse_yaml(&p, text, size, root);
    }
    if (status != CRUMB_OK) {
        crumb_tree_free(ctx, root);
        return status;
    }
    *tree = root;
    return CRUMB_OK;
}

crumb_status crumb_tree_parse(crumb_ctx *ctx, const char *name, const char *text, size_t size, crumb_tree **tree) {
    return parse(ctx, name, true, text, size, tree);
}

/* ---- Overrides. */

static crumb_tree *child_at(crumb_tree *list, long index, long *count) {
    crumb_tree *found = NULL;
    *count = 0;
    for (crumb_tree *child = list->first; child != NULL; child = child->next, ++*count) {
        found = *count == index ? child : found;
    }
    return found;
}

static bool is_index(const char *word) {
    return word[0] != '\0' && strlen(word) <= 6 && strspn(word, "0123456789") == strlen(word);
}

/* A scalar on the way to a deeper key: nothing becomes an empty mapping or list, a name becomes {name: ...}. */
static crumb_status open_scalar(crumb_ctx *ctx, crumb_tree *node, const char *word, const char *origin) {
    char *text = node->text;
    node->text = NULL;
    node->kind = is_index(word) ? CRUMB_TREE_LIST : CRUMB_TREE_MAP;
    if (text == NULL || node->kind == CRUMB_TREE_LIST || crumb_tree_is_nothing(text)) {
        crumb_free(ctx, text);
        return CRUMB_OK;
    }
    crumb_tree *name = append(ctx, node, origin, 0);
    if (name == NULL) {
        crumb_free(ctx, text);
        return CRUMB_ERROR_MEMORY;
    }
    name->text = text;
    name->file = node->file;
    name->line = node->line;
    name->key = crumb_copy_text(ctx, "name");
    return name->key != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
}

/* The child of that name or index, made if it can be. */
static crumb_status descend(crumb_ctx *ctx, crumb_tree **node, const char *word, const char *origin) {
    crumb_tree *parent = *node, *child;
    if (word[0] == '\0') {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: an empty key", origin);
    }
    if (parent->kind == CRUMB_TREE_SCALAR) {
        CRUMB_TRY(open_scalar(ctx, parent, word, origin));
    }
    if (parent->kind == CRUMB_TREE_LIST) {
        long count, index = is_index(word) ? strtol(word, NULL, 10) : -1;
        child = child_at(parent, index, &count);
        if (index < 0 || index > count) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: '%.60s' is no element of a list of %ld", origin, word, count);
        }
    } else {
        child = (crumb_tree *)crumb_tree_find(parent, word);
    }
    if (child == NULL) {
        child = append(ctx, parent, origin, 0);
        if (child == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        child->key = parent->kind == CRUMB_TREE_MAP ? crumb_copy_text(ctx, word) : NULL;
        if (parent->kind == CRUMB_TREE_MAP && child->key == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
    }
    *node = child;
    return CRUMB_OK;
}

static crumb_status assign(crumb_ctx *ctx, crumb_tree *node, const char *value, const char *origin) {
    free_contents(ctx, node);
    node->file = origin;
    node->line = 0;
    node->kind = CRUMB_TREE_SCALAR;
    if (value[0] != '[' && value[0] != '{') {
        node->text = crumb_copy_text(ctx, value);
        return node->text != NULL ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    }
    crumb_tree *tree;
    CRUMB_TRY(parse(ctx, origin, false, value, strlen(value), &tree));
    node->kind = tree->kind;
    node->text = tree->text;
    node->first = tree->first;
    tree->text = NULL;
    tree->first = NULL;
    crumb_tree_free(ctx, tree);
    return CRUMB_OK;
}

crumb_status crumb_tree_override(crumb_ctx *ctx, crumb_tree *tree, const char *override, const char *origin) {
    const char *value = strchr(override, '=');
    if (value == NULL) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: no '='; write key.path=value", origin);
    }
    crumb_tree *node = tree;
    for (const char *at = override; at <= value;) {
        char word[64];
        size_t length = strcspn(at, ".=");
        if (length >= sizeof(word)) {
            return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "%s: a key of %zu bytes", origin, length);
        }
        memcpy(word, at, length);
        word[length] = '\0';
        CRUMB_TRY(descend(ctx, &node, word, origin));
        at += length + 1;
    }
    return assign(ctx, node, value + 1, origin);
}

/* ---- ${NAME}. */

static bool is_utf8(const char *text) {
    size_t size = strlen(text), length = 1;
    uint32_t point;
    for (size_t at = 0; at < size && length > 0; at += length) {
        length = crumb_utf8_next(text + at, size - at, &point);
    }
    return length > 0;
}

/* The value of the ${NAME} that starts at `at`. */
static crumb_status variable(crumb_ctx *ctx, const crumb_tree *node, const char *at, crumb_lookup lookup, void *user,
                             const char **value, size_t *length) {
    char name[64];
    size_t size = strcspn(at + 2, "}");
    if (at[2 + size] != '}' || size == 0 || size >= sizeof(name)) {
        return crumb_tree_fail(ctx, CRUMB_ERROR_ARGUMENT, node, "'%.20s' is not ${NAME}", at);
    }
    memcpy(name, at + 2, size);
    name[size] = '\0';
    *value = lookup != NULL ? lookup(user, name) : NULL;
    if (*value == NULL) {
        return crumb_tree_fail(ctx, CRUMB_ERROR_ARGUMENT, node, "${%s} is not set", name);
    }
    *length = size + 3;
    return CRUMB_OK;
}

static crumb_status expand_text(crumb_ctx *ctx, crumb_tree *node, crumb_lookup lookup, void *user) {
    crumb_text text = {.ctx = ctx};
    crumb_status status = CRUMB_OK;
    for (const char *at = node->text; *at != '\0' && status == CRUMB_OK;) {
        const char *value = at;
        size_t length = 1;
        if (strncmp(at, "$${", 3) == 0) {
            crumb_text_bytes(&text, "${", 2);
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            status = variable(ctx, node, at, lookup, user, &value, &length);
            crumb_text_print(&text, "%s", status == CRUMB_OK ? value : "");
            at += length;
        } else {
            crumb_text_bytes(&text, at++, 1);
        }
    }
    char *expanded;
    crumb_status taken = crumb_text_take(&text, &expanded);
    if (taken != CRUMB_OK) {
        return taken;
    }
    crumb_free(ctx, node->text);
    node->text = expanded;
    return status;
}

crumb_status crumb_tree_expand(crumb_ctx *ctx, crumb_tree *tree, crumb_lookup lookup, void *user) {
    if (tree->text != NULL && strstr(tree->text, "${") != NULL) {
        CRUMB_TRY(expand_text(ctx, tree, lookup, user));
    }
    if (tree->text != NULL && !is_utf8(tree->text)) {
        return crumb_tree_fail(ctx, CRUMB_ERROR_FORMAT, tree, "the text is not UTF-8");
    }
    for (crumb_tree *child = tree->first; child != NULL; child = child->next) {
        CRUMB_TRY(crumb_tree_expand(ctx, child, lookup, user));
    }
    return CRUMB_OK;
}
