/* From folders to what is known of them: runs, comparisons, loss surfaces, the table as JSON. */
#include "base/file.h"
#include "report/json.h"
#include "report/page.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RUNS_MAX = 512 };

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* ---- Runs. */

/* Adds the run of a folder; one of which nothing is readable leaves its notes with the report, unless it holds something else.
 */
static crumb_status add_run(crumb_report *report, const char *folder, const char *variant, int64_t seed, int colour,
                            bool other) {
    if (report->runs == RUNS_MAX) {
        crumb_text_print(&report->notes, "%s: a report has at most %d runs\n", folder, RUNS_MAX);
        return CRUMB_OK;
    }
    crumb_run *run = &report->run[report->runs];
    *run = (crumb_run){.seed = seed, .colour = colour};
    snprintf(run->variant, sizeof(run->variant), "%s", variant);
    crumb_status status = crumb_run_read(report->ctx, folder, run);
    if (status == CRUMB_OK && run->any) {
        report->runs++;
        return CRUMB_OK;
    }
    if (status == CRUMB_OK && !other) {
        crumb_text_print(&report->notes, "%s: no run\n", folder);
    }
    crumb_run_free(run);
    *run = (crumb_run){0};
    return status;
}

/* ---- A comparison's folder: DIR/VARIANT/seed-N. */

static int order(const struct dirent **a, const struct dirent **b) {
    return strverscmp((*a)->d_name, (*b)->d_name);
}

static int is_seed(const struct dirent *entry) {
    return strncmp(entry->d_name, "seed-", 5) == 0;
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* Calls take for every subfolder; names are in order. */
static crumb_status each_folder(crumb_report *report, const char *folder, int (*wanted)(const struct dirent *),
                                crumb_status (*take)(crumb_report *report, const char *path, const char *name, void *user),
                                void *user) {
    struct dirent **entry = NULL;
    int count = scandir(folder, &entry, wanted, order);
    crumb_status status = CRUMB_OK;
    for (int i = 0; i < count; i++) {
        char path[8192];
        bool fits = snprintf(path, sizeof(path), "%s/%s", folder, entry[i]->d_name) < (int)sizeof(path);
        if (status == CRUMB_OK && fits && is_folder(path)) {
            status = take(report, path, entry[i]->d_name, user);
        }
        free(entry[i]);
    }
    free(entry);
    return status;
}

typedef struct variant_scan {
    const crumb_comparison_view *view;
    const char *name;
    int colour, others; /* variants that compare.json does not know */
} variant_scan;

static crumb_status take_seed(crumb_report *report, const char *path, const char *name, void *user) {
    const variant_scan *scan = user;
    return add_run(report, path, scan->name, atoll(name + strlen("seed-")), scan->colour, false);
}

/* Variants that compare.json knows come first, in its order. */
static crumb_status take_known(crumb_report *report, const char *folder, variant_scan *scan) {
    for (int v = 0; v < scan->view->variants; v++) {
        char path[8192];
        scan->name = scan->view->variant[v].name;
        scan->colour = v + 1;
        bool plain = scan->name[0] != '\0' && scan->name[0] != '.' && strchr(scan->name, '/') == NULL;
        if (plain && snprintf(path, sizeof(path), "%s/%s", folder, scan->name) < (int)sizeof(path)) {
            CRUMB_TRY(each_folder(report, path, is_seed, take_seed, scan));
        }
    }
    return CRUMB_OK;
}

static crumb_status take_other(crumb_report *report, const char *path, const char *name, void *user) {
    variant_scan *scan = user;
    int before = report->runs;
    for (int v = 0; v < scan->view->variants; v++) {
        if (strcmp(scan->view->variant[v].name, name) == 0) {
            return CRUMB_OK;
        }
    }
    scan->name = name;
    scan->colour = scan->view->variants + scan->others + 1;
    CRUMB_TRY(each_folder(report, path, is_seed, take_seed, scan));
    scan->others += report->runs > before;
    return CRUMB_OK;
}

static crumb_status take_any(crumb_report *report, const char *path, const char *name, void *user) {
    (void)report;
    (void)path;
    (void)name;
    *(bool *)user = true;
    return CRUMB_OK;
}

static crumb_status look_for_seeds(crumb_report *report, const char *path, const char *name, void *user) {
    (void)name;
    return each_folder(report, path, is_seed, take_any, user);
}

/* ---- Opening. */

static crumb_status add_folder(crumb_report *report, const char *folder) {
    char path[4096];
    bool found = false, seeds = false, surface = false;
    if (snprintf(path, sizeof(path), "%s", folder) >= (int)sizeof(path) || !is_folder(folder)) {
        report->skipped++;
        return CRUMB_OK;
    }
    CRUMB_TRY(crumb_comparison_view_read(report, folder, &found));
    CRUMB_TRY(crumb_report_take_surface(report, folder, &surface));
    CRUMB_TRY(each_folder(report, folder, is_visible, look_for_seeds, &seeds));
    if (!found && !seeds) {
        return add_run(report, folder, "", 0, report->runs + 1, surface);
    }
    static const crumb_comparison_view unfinished;
    variant_scan scan = {.view = found ? &report->comparison[report->comparisons - 1] : &unfinished};
    CRUMB_TRY(take_known(report, folder, &scan));
    return each_folder(report, folder, is_visible, take_other, &scan);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static const char *name_of(const crumb_run *run, int which) {
    return which == 0 ? run->name : which == 1 ? base_name(run->folder) : run->folder;
}

static bool is_alone(const crumb_report *report, int run, int which) {
    for (int i = 0; i < report->runs; i++) {
        if (i != run && report->run[i].variant[0] == '\0' &&
            strcmp(name_of(&report->run[i], which), name_of(&report->run[run], which)) == 0) {
            return false;
        }
    }
    return true;
}

/* Runs go by their recipes' names; by their folders' where those do not tell them apart, with the way there if need be. */
static void label_runs(crumb_report *report) {
    for (int i = 0; i < report->runs; i++) {
        crumb_run *run = &report->run[i];
        int which = is_alone(report, i, 0) ? 0 : is_alone(report, i, 1) ? 1 : 2;
        const char *name = name_of(run, which);
        size_t length = strlen(name), most = sizeof(run->label) - 4;
        if (run->variant[0] != '\0') {
            snprintf(run->label, sizeof(run->label), "%.150s, seed %lld", run->variant, (long long)run->seed);
        } else {
            snprintf(run->label, sizeof(run->label), "%s%.*s", length > most ? "..." : "", (int)most,
                     name + (length > most ? length - most : 0));
        }
    }
}

crumb_status crumb_report_open(crumb_ctx *ctx, const char *const *folders, int count, crumb_report **out) {
    crumb_report *report = crumb_alloc(ctx, 1, sizeof(*report));
    if (report == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    report->ctx = report->notes.ctx = ctx;
    report->run = crumb_alloc(ctx, RUNS_MAX, sizeof(*report->run));
    report->comparison = crumb_alloc(ctx, (size_t)count + 1, sizeof(*report->comparison));
    report->surface = crumb_alloc(ctx, (size_t)count + 1, sizeof(crumb_surface_view *));
    bool made = report->run != NULL && report->comparison != NULL && report->surface != NULL;
    crumb_status status = made ? CRUMB_OK : CRUMB_ERROR_MEMORY;
    for (int i = 0; i < count && status == CRUMB_OK; i++) {
        status = add_folder(report, folders[i]);
    }
    if (report->skipped > 0 && report->skipped == count) {
        crumb_text_print(&report->notes, "%s: not a folder\n", folders[0]);
    }
    status = status == CRUMB_OK ? report->notes.status : status;
    if (status == CRUMB_OK && report->runs == 0 && report->comparisons == 0 && report->surfaces == 0) {
        const char *note = report->notes.at != NULL ? report->notes.at : "no folder";
        status = crumb_fail(ctx, CRUMB_ERROR_FORMAT, "no run to report: %.*s%s", (int)strcspn(note, "\n"), note,
                            count > 1 ? " (and others)" : "");
    }
    if (status != CRUMB_OK) {
        crumb_report_close(report);
        return status;
    }
    label_runs(report);
    *out = report;
    return CRUMB_OK;
}

void crumb_report_close(crumb_report *report) {
    if (report == NULL) {
        return;
    }
    for (int i = 0; i < report->runs; i++) {
        crumb_run_free(&report->run[i]);
    }
    for (int i = 0; report->comparison != NULL && i < report->comparisons; i++) {
        crumb_free(report->ctx, report->comparison[i].variant);
    }
    for (int i = 0; i < report->surfaces; i++) {
        crumb_surface_forget(report->surface[i]);
    }
    crumb_free(report->ctx, report->run);
    crumb_free(report->ctx, report->comparison);
    crumb_free(report->ctx, report->surface);
    crumb_free(report->ctx, report->notes.at);
    crumb_free(report->ctx, report);
}

/* ---- The table as JSON. */

static json_t *real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* Texts from files are cut to a size, perhaps within a character. */
static json_t *text_of(const char *text) {
    json_t *string = json_string(text);
    return string != NULL ? string : json_string("?");
}

static json_t *lines_of(const char *lines) {
    json_t *array = json_array();
    for (const char *at = lines; at != NULL && *at != '\0'; at += strcspn(at, "\n") + 1) {
        json_t *line = json_stringn(at, strcspn(at, "\n"));
        json_array_append_new(array, line != NULL ? line : json_string("?"));
    }
    return array;
}

static json_t *bits_of(int bits) {
    return bits > 0 ? json_integer(bits) : json_null();
}

static json_t *run_json(const crumb_run *run) {
    json_t *facts = json_pack("{s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "folder", text_of(run->folder), "name",
                              text_of(run->name), "model", text_of(run->model), "finished", run->finished, "weight_bits",
                              bits_of(run->weight_bits), "activation_bits", bits_of(run->activation_bits), "variant",
                              run->variant[0] != '\0' ? text_of(run->variant) : json_null(), "seed",
                              run->variant[0] != '\0' ? json_integer(run->seed) : json_null());
    json_t *results = json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:I}", "val_top1", real(run->val_top1), "val_top5",
                                real(run->val_top5), "val_loss", real(run->val_loss), "best_top1", real(run->best_top1),
                                "best_epoch", (json_int_t)run->best_epoch, "direct_top1", real(run->direct_top1), "float_top1",
                                real(run->float_top1), "epochs", (json_int_t)run->epochs);
    json_t *rest = json_pack("{s:o, s:o, s:I, s:o, s:o}", "seconds", real(run->seconds), "images_per_second", real(run->speed),
                             "bytes", (json_int_t)run->file_bytes, "packed_weight_bytes", real(run->packed_bytes), "problems",
                             lines_of(run->notes.at));
    bool made = facts != NULL && results != NULL && rest != NULL && json_object_update(facts, results) == 0 &&
                json_object_update(facts, rest) == 0;
    json_decref(results);
    json_decref(rest);
    if (!made) {
        json_decref(facts);
        return NULL;
    }
    return facts;
}

static json_t *comparison_json(const crumb_comparison_view *view) {
    json_t *variants = json_array();
    for (int v = 0; v < view->variants; v++) {
        const crumb_report_variant *variant = &view->variant[v];
        json_t *top1 = json_array();
        for (int s = 0; s < variant->seeds; s++) {
            json_array_append_new(top1, real(variant->top1[s]));
        }
        json_array_append_new(variants,
                              json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", text_of(variant->name), "top1",
                                        top1, "mean", real(variant->mean), "deviation", real(variant->deviation), "difference",
                                        real(variant->difference), "low", real(variant->low), "high", real(variant->high),
                                        "verdict", text_of(variant->verdict)));
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "folder", text_of(view->folder), "control", text_of(view->control), "measure",
                     text_of(view->measure), "variants", variants);
}

static json_t *surface_json(const crumb_surface_view *view) {
    json_t *models = json_array();
    for (int m = 0; m < CRUMB_VIEW_MODELS; m++) {
        const crumb_surface_model *model = &view->model[m];
        json_t *object = json_pack("{s:o}", "name", text_of(model->name));
        for (int d = 0; d < view->domains; d++) {
            json_object_set_new(
                object, crumb_surface_domain(view, d),
                json_pack("{s:o, s:o}", "train_loss", real(model->value[0][d]), "test_error", real(model->value[1][d])));
        }
        json_array_append_new(models, object);
    }
    return json_pack("{s:o, s:i, s:o}", "file", text_of(view->path), "grid", view->grid, "models", models);
}

crumb_status crumb_report_json(const crumb_report *report, char **json) {
    json_t *runs = json_array(), *comparisons = json_array(), *surfaces = json_array();
    for (int i = 0; i < report->runs; i++) {
        json_array_append_new(runs, run_json(&report->run[i]));
    }
    for (int i = 0; i < report->comparisons; i++) {
        json_array_append_new(comparisons, comparison_json(&report->comparison[i]));
    }
    for (int i = 0; i < report->surfaces; i++) {
        json_array_append_new(surfaces, surface_json(report->surface[i]));
    }
    bool whole = (int)json_array_size(runs) == report->runs && (int)json_array_size(comparisons) == report->comparisons &&
                 (int)json_array_size(surfaces) == report->surfaces;
    json_t *object = json_pack("{s:o, s:o, s:o, s:o}", "runs", runs, "comparisons", comparisons, "surfaces", surfaces,
                               "problems", lines_of(report->notes.at));
    char *text = whole && object != NULL ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(object);
    *json = text != NULL ? crumb_copy_text(report->ctx, text) : NULL;
    free(text);
    return *json != NULL ? CRUMB_OK : crumb_fail(report->ctx, CRUMB_ERROR_MEMORY, "out of memory");
}
