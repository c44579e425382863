/* Checkpoints: one safetensors file, replaced atomically, with all that a run needs to go on from between two steps as if it
 * had never been interrupted:
 *
 *     network.<name>            parameters and states, quantizer states too
 *     slot<k>.<name>            the optimizer's buffers of a parameter
 *     strategy<i>.state         a strategy's state as it lies in memory
 *     strategy<i>.tensor.<name> its named buffers
 *     figures                   what the strategies reported, as it lies in memory
 *     counters, numbers         where the run stands, sums of the epoch, results so far, position in the log
 *
 * Random streams and the order of the data need no space: they are functions of the seed and the counters. */
#include "formats/safetensors.h"
#include "train/trainer_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const key_recipe = "checkpoint.recipe";

enum { NAME_ROOM = 256, PATH_ROOM = 4096 };

/* ---- Counters and numbers: listed once, for saving and loading. */

enum { WHOLES = 15, REALS = 16 };

typedef struct ledger {
    int64_t phase, position; /* copies: other types in the trainer, or not in it */
    double elapsed;
    int64_t *whole[WHOLES];
    double *real[REALS];
} ledger;

static void open_ledger(ledger *l, crumb_trainer *t) {
    crumb_train_result *r = &t->result;
    int64_t *whole[WHOLES] = {&l->phase,      &l->position,   &t->epoch,          &t->step,         &t->total_epoch,
                              &t->total_step, &t->steps,      &t->optimizer_step, &t->epoch_right,  &t->epoch_seen,
                              &t->images,     &r->best_epoch, &r->epochs,         &t->total_epochs, &t->extra_images};
    double *real[REALS] = {&l->elapsed,      &t->epoch_loss,   &t->epoch_extra, &t->rate,     &t->train_seconds,
                           &t->step_seconds, &t->eval_seconds, &r->val_top1,    &r->val_top5, &r->val_loss,
                           &r->best_top1,    &r->direct_top1,  &r->float_top1,  &r->seconds,  &r->images_per_second,
                           &t->quantized};
    memcpy(l->whole, whole, sizeof(whole));
    memcpy(l->real, real, sizeof(real));
}

/* ---- Saving. */

static crumb_status path_of(crumb_ctx *ctx, const char *folder, const char *name, char path[PATH_ROOM]) {
    if (snprintf(path, PATH_ROOM, "%s/%s", folder, name) >= PATH_ROOM) {
        return crumb_fail(ctx, CRUMB_ERROR_ARGUMENT, "folder name of %zu bytes is too long", strlen(folder));
    }
    return CRUMB_OK;
}

static crumb_status add_slots(const crumb_trainer *trainer, crumb_safetensors_writer *writer) {
    for (int v = 0; v < trainer->network->values; v++) {
        const crumb_value *value = &trainer->network->value[v];
        for (int k = 0; k < trainer->slots && value->kind == CRUMB_VALUE_PARAM; k++) {
            char name[NAME_ROOM];
            snprintf(name, sizeof(name), "slot%d.%s", k, value->name);
            CRUMB_TRY(crumb_safetensors_add(writer, name, "F32", CRUMB_SHAPE(crumb_shape_count(value->shape)),
                                            trainer->slot[(int64_t)v * trainer->slots + k]));
        }
    }
    return CRUMB_OK;
}

static crumb_status add_strategies(const crumb_trainer *trainer, crumb_safetensors_writer *writer) {
    for (int i = 0; i < trainer->strategies; i++) {
        const crumb_strategy_run *run = &trainer->strategy[i];
        char name[NAME_ROOM];
        snprintf(name, sizeof(name), "strategy%d.state", i);
        CRUMB_TRY(crumb_safetensors_add(writer, name, "U8", CRUMB_SHAPE((int64_t)run->strategy->state_size), run->state));
        for (int k = 0; k < run->tensors; k++) {
            snprintf(name, sizeof(name), "strategy%d.tensor.%s", i, run->tensor[k].name);
            CRUMB_TRY(crumb_safetensors_add(writer, name, "F32", CRUMB_SHAPE(run->tensor[k].count), run->tensor[k].data));
        }
    }
    return CRUMB_OK;
}

static crumb_status add_figures(const crumb_trainer *trainer, crumb_safetensors_writer *writer) {
    int64_t bytes = trainer->figures * (int64_t)sizeof(crumb_figure);
    return crumb_safetensors_add(writer, "figures", "U8", CRUMB_SHAPE(bytes), trainer->figure);
}

static crumb_status add_ledger(crumb_trainer *trainer, crumb_safetensors_writer *writer) {
    ledger l = {.phase = trainer->phase, .elapsed = crumb_seconds() - trainer->start};
    void *wholes, *reals;
    CRUMB_TRY(crumb_run_log_position(trainer->log, &l.position));
    open_ledger(&l, trainer);
    CRUMB_TRY(crumb_safetensors_room(writer, "counters", "I64", CRUMB_SHAPE(WHOLES), &wholes));
    CRUMB_TRY(crumb_safetensors_room(writer, "numbers", "F64", CRUMB_SHAPE(REALS), &reals));
    for (int i = 0; i < WHOLES; i++) {
        ((int64_t *)wholes)[i] = *l.whole[i];
    }
    for (int i = 0; i < REALS; i++) {
        ((double *)reals)[i] = *l.real[i];
    }
    return CRUMB_OK;
}

static crumb_status fill(crumb_trainer *trainer, crumb_safetensors_writer *writer) {
    char *recipe;
    CRUMB_TRY(crumb_recipe_print(trainer->recipe, &recipe));
    crumb_status status = crumb_safetensors_note(writer, key_recipe, recipe);
    crumb_text_free(trainer->ctx, recipe);
    if (status != CRUMB_OK) {
        return status;
    }
    CRUMB_TRY(crumb_graph_store(trainer->network, "network.", writer));
    CRUMB_TRY(add_slots(trainer, writer));
    CRUMB_TRY(add_strategies(trainer, writer));
    CRUMB_TRY(add_figures(trainer, writer));
    return add_ledger(trainer, writer);
}

crumb_status crumb_checkpoint_save(crumb_trainer *trainer) {
    char path[PATH_ROOM];
    crumb_safetensors_writer *writer;
    CRUMB_TRY(path_of(trainer->ctx, trainer->options->out, "checkpoint.safetensors", path));
    CRUMB_TRY(crumb_safetensors_begin(trainer->ctx, &writer));
    crumb_status status = fill(trainer, writer);
    if (status == CRUMB_OK) {
        status = crumb_safetensors_commit(writer, path);
    }
    crumb_safetensors_drop(writer);
    return status;
}

/* ---- Loading. */

bool crumb_checkpoint_exists(const char *folder) {
    char path[PATH_ROOM];
    return snprintf(path, sizeof(path), "%s/checkpoint.safetensors", folder) < PATH_ROOM && access(path, F_OK) == 0;
}

static crumb_status bad(crumb_trainer *trainer, const crumb_safetensors *file, const char *name) {
    return crumb_fail(trainer->ctx, CRUMB_ERROR_FORMAT, "%s: %s is missing or not what this run needs",
                      crumb_safetensors_path(file), name);
}

/* The bytes of a tensor of exactly this type and size; FORMAT otherwise. */
static crumb_status copy_tensor(crumb_trainer *trainer, const crumb_safetensors *file, const char *name, const char *dtype,
                                void *out, size_t bytes) {
    int at = crumb_safetensors_find(file, name);
    if (at < 0) {
        return bad(trainer, file, name);
    }
    crumb_safetensor tensor = crumb_safetensors_at(file, at);
    if (strcmp(tensor.dtype, dtype) != 0 || tensor.bytes != bytes) {
        return bad(trainer, file, name);
    }
    memcpy(out, tensor.data, bytes);
    return CRUMB_OK;
}

static crumb_status check_recipe(crumb_trainer *trainer, const crumb_safetensors *file) {
    const char *saved = crumb_safetensors_metadata(file, key_recipe);
    char *now;
    if (saved == NULL) {
        return bad(trainer, file, key_recipe);
    }
    CRUMB_TRY(crumb_recipe_print(trainer->recipe, &now));
    char difference[CRUMB_RECIPE_DIFFERENCE];
    bool differs = crumb_recipe_difference(now, saved, difference);
    crumb_text_free(trainer->ctx, now);
    return !differs ? CRUMB_OK
                    : crumb_fail(trainer->ctx, CRUMB_ERROR_ARGUMENT,
                                 "%s: is of another recipe (%s); resume with the recipe it was made with, or start anew",
                                 crumb_safetensors_path(file), difference);
}

static crumb_status load_ledger(crumb_trainer *trainer, const crumb_safetensors *file) {
    int64_t wholes[WHOLES], steps = trainer->steps, epochs = trainer->total_epochs;
    double reals[REALS];
    ledger l;
    CRUMB_TRY(copy_tensor(trainer, file, "counters", "I64", wholes, sizeof(wholes)));
    CRUMB_TRY(copy_tensor(trainer, file, "numbers", "F64", reals, sizeof(reals)));
    open_ledger(&l, trainer);
    for (int i = 0; i < WHOLES; i++) {
        *l.whole[i] = wholes[i];
    }
    for (int i = 0; i < REALS; i++) {
        *l.real[i] = reals[i];
    }
    if (l.phase < 0 || l.phase >= trainer->timeline->phases || trainer->steps != steps || trainer->total_epochs != epochs ||
        trainer->epoch < 0 || trainer->epoch > trainer->timeline->phase[l.phase].epochs || trainer->step < 0 ||
        trainer->step > steps || l.position < 0) {
        return bad(trainer, file, "counters");
    }
    trainer->phase = (int)l.phase;
    trainer->log_position = l.position;
    trainer->start = crumb_seconds() - l.elapsed;
    return CRUMB_OK;
}

static crumb_status load_network(crumb_trainer *trainer, const crumb_safetensors *file) {
    for (int v = 0; v < trainer->network->values; v++) {
        const crumb_value *value = &trainer->network->value[v];
        char name[NAME_ROOM];
        snprintf(name, sizeof(name), "network.%s", value->name);
        if ((value->kind == CRUMB_VALUE_PARAM || value->kind == CRUMB_VALUE_STATE) && crumb_safetensors_find(file, name) < 0) {
            return bad(trainer, file, name);
        }
        for (int k = 0; k < trainer->slots && value->kind == CRUMB_VALUE_PARAM; k++) {
            snprintf(name, sizeof(name), "slot%d.%s", k, value->name);
            CRUMB_TRY(copy_tensor(trainer, file, name, "F32", trainer->slot[(int64_t)v * trainer->slots + k],
                                  (size_t)crumb_shape_count(value->shape) * sizeof(float)));
        }
    }
    return crumb_graph_load(trainer->network, "network.", file, false);
}

static crumb_status load_strategy(crumb_trainer *trainer, crumb_strategy_run *run, const crumb_safetensors *file) {
    char name[NAME_ROOM], prefix[64];
    snprintf(name, sizeof(name), "strategy%d.state", run->index);
    snprintf(prefix, sizeof(prefix), "strategy%d.tensor.", run->index);
    CRUMB_TRY(copy_tensor(trainer, file, name, "U8", run->state, run->strategy->state_size));
    for (int i = 0; i < crumb_safetensors_count(file); i++) {
        crumb_safetensor tensor = crumb_safetensors_at(file, i);
        if (strncmp(tensor.name, prefix, strlen(prefix)) != 0) {
            continue;
        }
        int64_t count = crumb_shape_count(tensor.shape);
        float *data = crumb_strategy_tensor(trainer->ctx, run, tensor.name + strlen(prefix), count);
        if (data == NULL) {
            return CRUMB_ERROR_MEMORY;
        }
        CRUMB_TRY(copy_tensor(trainer, file, tensor.name, "F32", data, (size_t)count * sizeof(float)));
    }
    return CRUMB_OK;
}

static crumb_status load_figures(crumb_trainer *trainer, const crumb_safetensors *file) {
    int at = crumb_safetensors_find(file, "figures");
    size_t bytes = at >= 0 ? crumb_safetensors_at(file, at).bytes : 1;
    if (bytes % sizeof(crumb_figure) != 0) {
        return bad(trainer, file, "figures");
    }
    size_t count = bytes / sizeof(crumb_figure);
    trainer->figure = crumb_alloc(trainer->ctx, count + 1, sizeof(*trainer->figure));
    if (trainer->figure == NULL) {
        return CRUMB_ERROR_MEMORY;
    }
    CRUMB_TRY(copy_tensor(trainer, file, "figures", "U8", trainer->figure, bytes));
    trainer->figures = (int)count;
    for (size_t i = 0; i < count; i++) {
        trainer->figure[i].name[CRUMB_FIGURE_NAME - 1] = '\0';
    }
    return CRUMB_OK;
}

static crumb_status restore(crumb_trainer *trainer, const crumb_safetensors *file) {
    CRUMB_TRY(check_recipe(trainer, file));
    CRUMB_TRY(load_ledger(trainer, file));
    int64_t optimizer_step = trainer->optimizer_step; /* building a phase starts it anew */
    CRUMB_TRY(crumb_phase_build(trainer, false));
    trainer->optimizer_step = optimizer_step;
    CRUMB_TRY(load_network(trainer, file));
    for (int i = 0; i < trainer->strategies; i++) {
        CRUMB_TRY(load_strategy(trainer, &trainer->strategy[i], file));
    }
    CRUMB_TRY(load_figures(trainer, file));
    CRUMB_TRY(crumb_strategies_resume(trainer));
    crumb_trainer_rewind(trainer);
    return CRUMB_OK;
}

crumb_status crumb_checkpoint_load(crumb_trainer *trainer) {
    char path[PATH_ROOM];
    crumb_safetensors *file;
    CRUMB_TRY(path_of(trainer->ctx, trainer->options->out, "checkpoint.safetensors", path));
    CRUMB_TRY(crumb_safetensors_open(trainer->ctx, path, &file));
    crumb_status status = restore(trainer, file);
    crumb_safetensors_close(file);
    return status;
}

/* ---- A new run in an old folder. */

static const char *const products[] = {"checkpoint.safetensors", "last.safetensors", "best.safetensors", "result.json"};

/* "last.safetensors" itself, or what a killed process left of writing it: "last.safetensors.4711.tmp". */
static bool is_product(const char *name) {
    if (strncmp(name, "capture-", 8) == 0 && strstr(name, ".safetensors") != NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++) {
        size_t length = strlen(products[i]), whole = strlen(name);
        if (strncmp(name, products[i], length) == 0 &&
            (name[length] == '\0' || (whole > length + 4 && strcmp(name + whole - 4, ".tmp") == 0))) {
            return true;
        }
    }
    return false;
}

crumb_status crumb_checkpoint_clear(crumb_trainer *trainer) {
    const char *out = trainer->options->out;
    crumb_status status = CRUMB_OK;
    DIR *folder = opendir(out);
    if (folder == NULL) {
        return CRUMB_OK; /* a new folder; if it cannot be made, the log says so */
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL && status == CRUMB_OK; entry = readdir(folder)) {
        char path[PATH_ROOM];
        if (!is_product(entry->d_name)) {
            continue;
        }
        status = path_of(trainer->ctx, out, entry->d_name, path);
        if (status == CRUMB_OK && unlink(path) != 0) {
            status = crumb_fail(trainer->ctx, CRUMB_ERROR_IO, "cannot remove %s of an earlier run: %s", path, strerror(errno));
        }
    }
    closedir(folder);
    return status;
}
