/* The catalog: one line a kind says how its rows are reached; everything that lists or looks up goes through it.
 *
 * Every descriptor starts with `const char *name`; where `doc` and `params` lie differs, so the table keeps their offsets. */
#include "train/catalog.h"

#include "backend/backend.h"
#include "data/dataset.h"
#include "formats/safetensors.h"
#include "graph/graph.h"
#include "train/imported.h"
#include "train/strategy.h"

#include <stdio.h>
#include <string.h>

enum { NONE = -1, DETAIL_MAX = 2048, NAMES_MAX = 128 };

/* Each list has its own element type: one accessor a list. */
#define ROWS(kind, list)                                                                                                       \
    static const void *kind##_row(int index) {                                                                                 \
        return (list)[index];                                                                                                  \
    }
/* The models of models.inc, then the one that files describe. */
static const void *model_row(int index) {
    int count = 0;
    while (crumb_models[count] != NULL) {
        count++;
    }
    return index < count ? crumb_models[index] : index == count ? &crumb_imported : NULL;
}
ROWS(quantizer, crumb_quantizers)
ROWS(strategy, crumb_strategies)
ROWS(optimizer, crumb_optimizers)
ROWS(schedule, crumb_schedules)
ROWS(loader, crumb_loaders)
ROWS(augment, crumb_augments)
ROWS(op, crumb_ops)
ROWS(format, crumb_formats)
ROWS(backend, crumb_backend_rows)

/* ---- More about a row: "key: value" lines, written by the kind's own function. */

typedef struct lines {
    char text[DETAIL_MAX];
    size_t used;
} lines;

CRUMB_PRINTF(2, 3)
static void add(lines *to, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(to->text + to->used, sizeof(to->text) - to->used, format, arguments);
    va_end(arguments);
    size_t room = sizeof(to->text) - to->used - 1;
    to->used += length < 0 ? 0 : (size_t)length < room ? (size_t)length : room;
}

/* "key: a, b" from the names whose bits are set; nothing if none is. */
static void add_flags(lines *to, const char *key, unsigned flags, const char *const *names) {
    const char *before = key, *between = ": ";
    for (int i = 0; names[i] != NULL; i++) {
        if ((flags >> i & 1u) != 0) {
            add(to, "%s%s%s", before, between, names[i]);
            before = "";
            between = ", ";
        }
    }
    if (before != key) {
        add(to, "\n");
    }
}

static void describe_model(lines *to, const void *row) {
    const crumb_model *model = row;
    add(to, "input: %lld x %lld x %lld\n", (long long)model->height, (long long)model->width, (long long)model->channels);
}

static void describe_quantizer(lines *to, const void *row) {
    static const char *const properties[] = {"weights",
                                             "activations",
                                             "odd",
                                             "idempotent",
                                             "scales by powers of two",
                                             "reads signed values",
                                             "projects latent weights",
                                             "running range of activations",
                                             NULL};
    const crumb_quantizer *quantizer = row;
    add(to, "bits: %d .. %d\n", quantizer->min_bits, quantizer->max_bits);
    add_flags(to, "properties", quantizer->flags, properties);
    for (const crumb_quant_state *state = quantizer->state; state != NULL && state->name != NULL; state++) {
        add(to, "state: %s%s%s\n", state->name, state->learned ? ", learned" : "", state->per_channel ? ", a channel" : "");
    }
    add(to, "source: %s\n", quantizer->source);
}

static void describe_strategy(lines *to, const void *row) {
    static const char *const hooks[] = {"rewrite",   "begin_phase", "before_forward", "add_gradient", "after_step",
                                        "end_phase", NULL};
    const crumb_strategy *strategy = row;
    unsigned set = (strategy->rewrite != NULL) | (strategy->begin_phase != NULL) << 1 |
                   (strategy->before_forward != NULL) << 2 | (strategy->add_gradient != NULL) << 3 |
                   (strategy->after_step != NULL) << 4 | (strategy->end_phase != NULL) << 5;
    add_flags(to, "hooks", set, hooks);
    if (strategy->about != NULL) {
        add(to, "about: %s\n", strategy->about);
    }
    add(to, "source: %s\n", strategy->source);
}

static void describe_optimizer(lines *to, const void *row) {
    add(to, "slots: %d floats a parameter\n", ((const crumb_optimizer *)row)->slots);
}

static void describe_schedule(lines *to, const void *row) {
    add(to, "cycles: %s\n", ((const crumb_schedule *)row)->minimum != NULL ? "yes" : "no");
}

static void describe_loader(lines *to, const void *row) {
    const crumb_loader *loader = row;
    add(to, "data: %s%s[:train|:test]\n", loader->name, loader->needs_path ? ":PATH" : "");
}

static void describe_augment(lines *to, const void *row) {
    add(to, "applied: %s\n", ((const crumb_augment *)row)->random ? "in training" : "in training and evaluation");
}

static void describe_op(lines *to, const void *row) {
    const crumb_op *op = row;
    add(to, "inputs: %s\ndifferentiable: %s\n", op->input_names, op->backward != NULL ? "yes" : "no");
}

static void describe_format(lines *to, const void *row) {
    const crumb_format *format = row;
    add(to, "access: %s\n", format->reads && format->writes ? "reads and writes" : format->reads ? "reads" : "writes");
}

static void describe_backend(lines *to, const void *row) {
    static const char *const features[] = {"avx2",       "avx512", "avx512vnni", "avx512bf16", "avx512popcnt",
                                           "avx512vbmi", "neon",   "dotprod",    "avxvnni",    NULL};
    const crumb_backend_row *backend = row;
    for (int i = 0; backend->pattern[i] != NULL; i++) {
        add(to, "%s%s", i == 0 ? "nodes: " : " -> ", backend->pattern[i]);
    }
    add(to, "\n");
    add_flags(to, "needs", backend->isa, features);
    add(to, "passes: %s\n", backend->backward != NULL ? "forward and backward" : "forward");
}

/* ---- The kinds. */

typedef struct kind_line {
    const char *singular, *plural;
    const void *(*row)(int index);
    int doc, params; /* offsets in the descriptor, NONE: it has none */
    void (*describe)(lines *to, const void *row);
} kind_line;

#define KIND(kind, plural, type, params)                                                                                       \
    { #kind, plural, kind##_row, (int)offsetof(type, doc), params, describe_##kind }
#define PARAMS(type) (int)offsetof(type, params)

static const kind_line kinds[CRUMB_KINDS] = {
    [CRUMB_KIND_MODEL] = KIND(model, "models", crumb_model, PARAMS(crumb_model)),
    [CRUMB_KIND_QUANTIZER] = KIND(quantizer, "quantizers", crumb_quantizer, PARAMS(crumb_quantizer)),
    [CRUMB_KIND_STRATEGY] = KIND(strategy, "strategies", crumb_strategy, PARAMS(crumb_strategy)),
    [CRUMB_KIND_OPTIMIZER] = KIND(optimizer, "optimizers", crumb_optimizer, PARAMS(crumb_optimizer)),
    [CRUMB_KIND_SCHEDULE] = KIND(schedule, "schedules", crumb_schedule, PARAMS(crumb_schedule)),
    [CRUMB_KIND_LOADER] = KIND(loader, "loaders", crumb_loader, NONE),
    [CRUMB_KIND_AUGMENT] = KIND(augment, "augments", crumb_augment, PARAMS(crumb_augment)),
    [CRUMB_KIND_OP] = KIND(op, "ops", crumb_op, PARAMS(crumb_op)),
    [CRUMB_KIND_FORMAT] = KIND(format, "formats", crumb_format, NONE),
    [CRUMB_KIND_BACKEND] = {"backend row", "backend", backend_row, NONE, NONE, describe_backend},
};

static bool is_kind(crumb_kind kind) {
    return (unsigned)kind < CRUMB_KINDS;
}

const char *crumb_kind_singular(crumb_kind kind) {
    return kinds[kind].singular;
}

const char *crumb_kind_name(crumb_kind kind) {
    return is_kind(kind) ? kinds[kind].plural : NULL;
}

int crumb_kind_count(crumb_kind kind) {
    int count = 0;
    while (kinds[kind].row(count) != NULL) {
        count++;
    }
    return count;
}

const void *crumb_kind_row(crumb_kind kind, int index) {
    return is_kind(kind) && index >= 0 && index < crumb_kind_count(kind) ? kinds[kind].row(index) : NULL;
}

const char *crumb_row_name(const void *row) {
    return *(const char *const *)row;
}

static const char *row_doc(crumb_kind kind, const void *row) {
    int offset = kinds[kind].doc;
    return offset != NONE ? *(const char *const *)((const char *)row + offset) : "";
}

const crumb_param *crumb_row_params(crumb_kind kind, const void *row) {
    int offset = kinds[kind].params;
    return offset != NONE ? *(const crumb_param *const *)((const char *)row + offset) : NULL;
}

crumb_status crumb_kind_find(crumb_ctx *ctx, crumb_kind kind, const char *name, const void **out) {
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (int i = 0; kinds[kind].row(i) != NULL; i++) {
        const void *row = kinds[kind].row(i);
        if (strcmp(crumb_row_name(row), name) == 0) {
            *out = row;
            return CRUMB_OK;
        }
        if (count < NAMES_MAX) {
            names[count++] = crumb_row_name(row);
        }
    }
    const char *nearest = crumb_nearest(name, names, count);
    return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "unknown %s '%.60s'%s%s%s", kinds[kind].singular, name,
                      nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
}

bool crumb_kind_entry(crumb_kind kind, int index, crumb_entry *entry) {
    const void *row = crumb_kind_row(kind, index);
    if (row == NULL) {
        return false;
    }
    *entry = (crumb_entry){crumb_row_name(row), row_doc(kind, row), crumb_row_params(kind, row)};
    return true;
}

const char *crumb_kind_detail(crumb_kind kind, int index) {
    static _Thread_local lines text;
    const void *row = crumb_kind_row(kind, index);
    if (row == NULL) {
        return NULL;
    }
    text = (lines){.used = 0};
    kinds[kind].describe(&text, row);
    if (text.used > 0 && text.text[text.used - 1] == '\n') {
        text.text[--text.used] = '\0';
    }
    return text.used > 0 ? text.text : NULL;
}
